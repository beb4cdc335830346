//! What slows a session down: an earlier debt, payments that are not final, a channel with little
//! room, a ledger that is away. Each comes by a signed change; invoices say the number and why.

use crate::amends::{agreed_by, setting};
use crate::pair::*;
use sdpp::message::LegReason;
use sdpp::record::End;
use sdpp::session::{Input, PaceRule};
use sdpp::standing::{Known, PacePolicy, Standing};
use sdpp::terms::{Method, Pace};
use sdpp_ledger::{Amount, LedgerId};

/// Four items of five units each a window at first; 16, and three windows unpaid, at most.
fn policy() -> PacePolicy {
    PacePolicy {
        floor: Pace { granularity: 4, credit_windows: 1 },
        most: Pace { granularity: 16, credit_windows: 3 },
        earn_permille: 1_000,
        unconfirmed_most: None,
    }
}

/// A seller that knows this of its buyer, and a buyer that takes what comes.
fn trusting(policy: PacePolicy, standing: Standing) -> Setting {
    let mut setting = setting().order("co2", None).windows(4, 1);
    let known = Known { standing, elsewhere: Amount::ZERO };
    setting.seller.pace = Some(PaceRule::new(move |facts| policy.pace(&known, facts)));
    setting
}

fn rich() -> Standing {
    Standing { earned: Amount::new(1_000_000), ..Standing::default() }
}

/// The paces that the seller's invoices say, each once: K, W, and why.
fn said(pair: &Pair) -> Vec<(u64, u64, String)> {
    let invoices = sent(&pair.s).into_iter().filter(|m| m["message_type"] == "data_invoice");
    let mut said: Vec<_> = invoices
        .filter_map(|message| {
            let pace = &message["data"]["invoice"]["pace"];
            let why = pace["why"].as_str()?.to_owned();
            Some((pace["granularity"].as_u64()?, pace["credit_windows"].as_u64()?, why))
        })
        .collect();
    said.dedup();
    said
}

fn paces(expected: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
    expected.iter().map(|(k, w, why)| (*k, *w, (*why).to_owned())).collect()
}

/// Both journals tell the same pace for every item that was sent.
fn assert_both_signed(pair: &Pair) {
    let terms = pair.buyer.terms().unwrap();
    let (ours, theirs) = (agreed_by(&pair.s.records, terms), agreed_by(&pair.b.records, terms));
    assert_eq!(ours, theirs);
}

fn tell_seller(pair: &mut Pair, ledger: LedgerId, trouble: Option<LegReason>) {
    pair.seller.handle(Input::Ledger { ledger, trouble }, pair.now_ms);
}

#[test]
fn a_thin_channel_slows_down_step_by_step_until_it_is_topped_up() {
    let mut setting = trusting(policy(), rich()).by_escrow();
    setting.deposit = Amount::new(5 * 60);
    setting.wish.currencies[0].channels.deposit = Amount::new(5 * 200);
    let mut pair = setting.start();
    pair.run();
    let thin = [(16, 2, "thin"), (16, 1, "thin"), (8, 1, "thin"), (4, 1, "thin")];
    assert_eq!(said(&pair), paces(&thin));
    assert!(pair.s.closed.is_none() && !pair.top_ups.is_empty(), "it waits for the top-up");
    assert_both_signed(&pair);
    pair.top_up();
    pair.run_to(120);
    let after = said(&pair);
    assert_eq!(after[..4], paces(&thin));
    assert_eq!((after[4].0, after[4].2.as_str()), (16, "earned"), "{after:?}");
    assert_both_signed(&pair);
}

#[test]
fn a_channel_with_room_for_all_that_is_ordered_is_not_thin() {
    let mut setting = trusting(policy(), rich()).by_escrow().order("co2", Some(60));
    setting.deposit = Amount::new(5 * 60);
    let mut pair = setting.start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
    assert_eq!(said(&pair), paces(&[(16, 3, "earned")]));
}

#[test]
fn a_sick_ledger_slows_down_to_the_floor_and_a_well_one_lets_it_grow_again() {
    let mut setting = trusting(policy(), rich()).by_escrow();
    setting.deposit = Amount::new(100_000);
    let mut pair = setting.start();
    pair.run_to(60);
    tell_seller(&mut pair, other_ledger(), Some(LegReason::Stalled));
    pair.run_to(100);
    assert_eq!(said(&pair), paces(&[(16, 3, "earned")]), "nothing is paid on that one");
    tell_seller(&mut pair, ledger(), Some(LegReason::Stalled));
    pair.run_to(180);
    assert_eq!(said(&pair), paces(&[(16, 3, "earned"), (4, 1, "ledger")]));
    tell_seller(&mut pair, ledger(), None);
    pair.run_to(260);
    let all = [(16, 3, "earned"), (4, 1, "ledger"), (16, 3, "earned")];
    assert_eq!(said(&pair), paces(&all));
    assert_both_signed(&pair);
}

#[test]
fn payments_that_are_not_final_slow_down_until_they_are() {
    let policy = PacePolicy { unconfirmed_most: Some(Amount::new(200)), ..policy() };
    let setting = trusting(policy, rich());
    assert_eq!(setting.wish.currencies[0].method, Method::Transfer);
    let mut pair = setting.start();
    pair.run_to(60);
    assert_eq!(said(&pair), paces(&[(16, 3, "earned")]));
    pair.stalled.insert(ledger());
    pair.run();
    pair.stalled.clear();
    while pair.settle_again() {}
    pair.run_to(260);
    let all = said(&pair);
    assert_eq!(all[..2], paces(&[(16, 3, "earned"), (16, 2, "unconfirmed")]));
    assert_eq!(all[2..], paces(&[(16, 3, "earned")]), "and back, once they are");
    assert_both_signed(&pair);
}

#[test]
fn who_owes_from_an_earlier_session_is_trusted_with_so_much_less() {
    let owed = Amount::new(1_000 - 5 * 8);
    let standing = Standing { earned: Amount::new(1_000), owed, ..Standing::default() };
    let mut pair = trusting(policy(), standing).start();
    pair.run_to(60);
    let said = said(&pair);
    assert_eq!(said[0], (8, 1, "missed".to_owned()), "{said:?}");
    let mut debtless = trusting(policy(), Standing { owed: Amount::ZERO, ..standing }).start();
    debtless.run_to(60);
    assert_eq!(self::said(&debtless)[0], (16, 3, "earned".to_owned()));
    assert_both_signed(&pair);
}
