//! Paces that follow what a buyer has earned: before this session, and in it.

use crate::pair::*;
use sdpp::record::{End, Record};
use sdpp::session::PaceRule;
use sdpp::standing::{Known, PacePolicy, Standing};
use sdpp::terms::Pace;
use sdpp_ledger::Amount;

fn pace(granularity: u32, credit_windows: u32) -> Pace {
    Pace { granularity, credit_windows }
}

/// Items at 5; windows of 2, and of 8 for who has paid enough.
fn policy() -> PacePolicy {
    PacePolicy { floor: pace(2, 1), most: pace(8, 2), earn_permille: 500, unconfirmed_most: None }
}

fn setting() -> Setting {
    let mut setting = Setting::default().anchored_after().no_records().order("co2", Some(60));
    setting.buyer.granularity_max = 100;
    setting.windows(2, 1)
}

fn with(setting: Setting, policy: PacePolicy, standing: Standing) -> Pair {
    let mut pair = setting.start();
    pair.run_to(1);
    let known = Known { standing, elsewhere: Amount::ZERO };
    pair.seller.follow(PaceRule::new(move |facts| policy.pace(&known, facts)));
    pair
}

/// How many items each window has, and why its pace is not the menu's.
fn windows(pair: &Pair) -> Vec<(u64, Option<String>)> {
    let invoices = sent(&pair.s).into_iter().filter(|m| m["message_type"] == "data_invoice");
    let of = |m: serde_json::Value| {
        let invoice = &m["data"]["invoice"];
        let [from, to] = ["from", "to"].map(|key| invoice[key].as_u64().unwrap());
        (to + 1 - from, invoice["pace"]["why"].as_str().map(str::to_owned))
    };
    invoices.map(of).collect()
}

#[test]
fn a_new_buyer_begins_with_small_windows_and_earns_larger_ones() {
    for setting in [setting(), setting().by_escrow()] {
        let mut pair = with(setting, policy(), Standing::default());
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        let sizes: Vec<u64> = windows(&pair).into_iter().map(|(size, _)| size).collect();
        let grown = &sizes[..sizes.len() - 1];
        assert!(
            sizes.starts_with(&[2, 2, 2]) && grown.is_sorted() && grown.ends_with(&[8]),
            "{sizes:?}"
        );
        let why: Vec<_> = windows(&pair).into_iter().filter_map(|(_, why)| why).collect();
        assert!(why.iter().all(|why| why == "earned"), "{why:?}");
        let amends = pair.s.records.iter().filter(|r| matches!(r, Record::Amend { .. })).count();
        assert_eq!(amends, 2 * 3, "each step is proposed and signed once");
    }
}

#[test]
fn what_was_earned_before_counts_from_the_second_window_on() {
    let earned = Amount::new(1_000_000);
    let known = Standing { earned, settled: earned, ..Standing::default() };
    let mut pair = with(setting(), policy(), known);
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    let sizes: Vec<u64> = windows(&pair).into_iter().map(|(size, _)| size).collect();
    assert!(sizes.iter().filter(|size| **size == 2).count() <= 2, "{sizes:?}");
    assert!(sizes.contains(&8), "{sizes:?}");
    let owes = Standing { owed: earned, ..known };
    let mut pair = with(setting(), policy(), owes);
    pair.run();
    assert_eq!(pair.s.end(), End::Complete);
    assert!(windows(&pair).iter().all(|(size, why)| (*size, why) == (2, &None)), "it owes");
}

/// What standings are counted by is on disk with the order, and once for each session.
#[test]
fn what_items_cost_is_recorded_with_the_order() {
    let mut pair = setting().by_escrow().start();
    pair.run();
    let priced = |record: &&Record| matches!(record, Record::Priced(_));
    assert_eq!(pair.s.records.iter().filter(priced).count(), 1);
    assert_eq!(pair.b.records.iter().filter(priced).count(), 0);
    let Some(Record::Priced(told)) = pair.s.records.iter().find(priced) else { unreachable!() };
    assert_eq!((told.from_seq, told.price), (1, Amount::new(5)));
    assert!(told.channel.is_some());
}
