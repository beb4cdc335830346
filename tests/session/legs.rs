//! Legs: where a ledger stalls, the next window is paid in another currency of the menu, in the same
//! session, once both sides have signed it.

use crate::amends::agreed_by;
use crate::liars::{ends_with, lie_in};
use crate::pair::*;
use sdpp::message::{Amend, DataInvoice, Exit, LegReason, Reason};
use sdpp::record::{Act, End, Record};
use sdpp::session::{Buyer, Input, Output, PinnedCurrency};
use sdpp::settling::Policy;
use sdpp::terms::{Method, Rate};
use sdpp_ledger::{Amount, Call, ChannelId};
use serde_json::{Value, json};
use std::sync::Arc;

pub fn rate(numerator: u128, denominator: u128) -> Rate {
    Rate { numerator: Amount::new(numerator), denominator: Amount::new(denominator) }
}

/// `SDP` on the one ledger at 1 for 1, `OTH` on another at 7 for 3, both by both methods; the buyer
/// turns to the second when the first stalls for 3 seconds.
pub fn setting(first: Method, second: Method) -> Setting {
    let mut setting = Setting::default().anchored_after().no_records().order("co2", Some(24));
    let others = [Method::Transfer, Method::Escrow].map(|method| offer_other(method, rate(7, 3)));
    setting.menu.currencies_accepted.extend(others);
    setting.wish.currencies = vec![pinned(first), pinned_other(second)];
    setting.buyer.fail_over_after_ms = Some(3_000);
    setting
}

pub fn by_transfer() -> Setting {
    setting(Method::Transfer, Method::Transfer)
}

/// Number, currency, amount and running total of each invoice.
pub fn invoices(pair: &Pair) -> Vec<(u64, String, u128, u128)> {
    let all = sent(&pair.s).into_iter().filter(|m| m["message_type"] == "data_invoice");
    let of = |m: Value| {
        let invoice = &m["data"]["invoice"];
        let amount = |key: &str| invoice[key].as_str().unwrap().parse().unwrap();
        let currency = invoice["currency"].as_str().unwrap().to_owned();
        (invoice["number"].as_u64().unwrap(), currency, amount("amount"), amount("amount_total"))
    };
    all.map(of).collect()
}

pub fn exits(pair: &Pair) -> Vec<Value> {
    let both = [&pair.s, &pair.b];
    let exit = |side| sent(side).into_iter().find(|m| m["message_type"] == "exit").unwrap();
    both.map(|side| exit(side)["data"].clone()).to_vec()
}

pub fn changes(side: &Side, what: &str) -> usize {
    let is_it = |m: &Value| !m["data"]["change"][what].is_null();
    sent(side).iter().filter(|m| m["message_type"] == "amend" && is_it(m)).count()
}

/// The first ledger takes payments and makes none final.
pub fn stalled(setting: Setting) -> Pair {
    let mut pair = setting.start();
    pair.stalled.insert(ledger());
    pair.run();
    pair
}

/// The first ledger asks too much in the second window; by escrow that counts because the deposit is to
/// grow there, and does not.
fn turned(mut setting: Setting, windows: u32) -> Pair {
    setting.wish.currencies[0].channels.deposit = Amount::new(1_000);
    setting.deposit = Amount::new(20 * u128::from(windows) + 25);
    let mut pair = setting.windows(4, windows).start();
    pair.run_to(6);
    pair.deposit = Amount::new(1_000);
    let trouble = Some(LegReason::Dear);
    pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble });
    pair
}

fn earlier() -> ChannelId {
    ChannelId([5; 32])
}

/// By escrow, and by transfer from the third window on, so many items of which are sent.
fn on_its_second_leg(items: u64) -> Pair {
    let mut pair = turned(setting(Method::Escrow, Method::Transfer), 1);
    pair.run_to(items);
    pair.run_without_feeding();
    assert_eq!(pair.seller.progress().legs, 2);
    pair
}

#[test]
fn a_ledger_that_ails_is_no_reason_to_leave_a_channel_that_has_room() {
    for trouble in [LegReason::Dear, LegReason::Stalled] {
        let mut pair = setting(Method::Escrow, Method::Transfer).start();
        pair.run_to(6);
        pair.stalled.insert(ledger());
        let trouble = Some(trouble);
        pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble });
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert_eq!((changes(&pair.b, "ask_leg"), pair.s.progress().legs), (0, 1));
    }
}

#[test]
fn a_channel_of_an_earlier_leg_that_is_paid_may_close_and_the_session_goes_on() {
    for (role, reason) in [(Role::Seller, None), (Role::Buyer, None), (Role::Seller, Some(()))] {
        let mut pair = on_its_second_leg(10);
        let channel = earlier();
        match reason {
            None => pair.tell(role, Input::ChannelOver(channel)),
            Some(()) => {
                pair.tell(role, Input::StopOn { channel, reason: Reason::ChannelClosing });
            }
        }
        // Another session's channel is nothing to this one.
        pair.tell(role, Input::ChannelOver(ChannelId([77; 32])));
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{role:?}");
        assert_eq!(pair.s.progress().items, 24);
        let redeems = |record: &&Record| match record.owed().map(|owed| &owed.act) {
            Some(Act::Do(Call::Close(redeem) | Call::Settle(redeem))) => redeem.channel == channel,
            _ => false,
        };
        // What is closed is not redeemed; what is only about to be, is.
        let redeemed = pair.s.records.iter().filter(redeems).count();
        assert_eq!(redeemed > 0, role == Role::Buyer || reason.is_some(), "{role:?} {reason:?}");
    }
}

/// Its voucher was to be redeemed by its age, and nobody can redeem it any more.
#[test]
fn what_is_vouched_on_a_channel_that_is_over_ends_no_session_with_its_age() {
    let mut setting = setting(Method::Escrow, Method::Transfer);
    let by_age = Policy { age_ms: Some(3_000), ..Policy::default() };
    setting.seller.settling = [("SDP".to_owned(), by_age)].into();
    let mut pair = turned(setting, 1);
    pair.run_to(10);
    pair.run_without_feeding();
    assert_eq!(pair.seller.progress().legs, 2);
    pair.tell(Role::Seller, Input::ChannelOver(earlier()));
    pair.now_ms += 4_000;
    pair.seller.handle_timeout(pair.now_ms);
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.s.why(), Reason::Complete.to_string());
}

#[test]
fn a_channel_that_is_not_watched_any_more_is_redeemed_though_its_leg_is_over() {
    let mut pair = on_its_second_leg(10);
    let (channel, before) = (earlier(), pair.s.records.len());
    pair.tell(Role::Seller, Input::StopOn { channel, reason: Reason::Stopped });
    pair.run_without_feeding();
    let redeemed = pair.s.records[before..]
        .iter()
        .any(|record| matches!(record, Record::Redeeming { channel: of, .. } if *of == channel));
    assert!(redeemed && pair.s.closed.is_none());
    pair.run();
    assert_eq!(pair.s.end(), End::Complete);
}

/// No more than one leg's credit is lost: nothing more leaves when what an earlier leg owes cannot be
/// paid any more.
#[test]
fn a_channel_of_an_earlier_leg_that_closes_unpaid_ends_the_session() {
    for role in [Role::Seller, Role::Buyer] {
        let mut pair = turned(setting(Method::Escrow, Method::Transfer), 1);
        pair.run_to(7);
        let before = pair.seller.progress().items;
        pair.tell(role, Input::ChannelOver(earlier()));
        pair.run();
        assert_eq!(pair.s.progress().items, before, "{role:?}");
        assert!([pair.s.end(), pair.b.end()].contains(&End::Failed), "{role:?}");
    }
}

#[test]
fn a_channel_that_its_ledger_refuses_to_show_is_no_leg_and_the_session_goes_on() {
    let mut pair = setting(Method::Transfer, Method::Escrow).start();
    pair.blind.insert(other_ledger());
    pair.stalled.insert(ledger());
    pair.run().wait();
    assert_eq!(changes(&pair.b, "ask_leg"), 1);
    let (channel, why) = (ChannelId([6; 32]), "no such contract".to_owned());
    pair.tell(Role::Seller, Input::NotShown { channel, why });
    pair.stalled.clear();
    pair.resume();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!((changes(&pair.s, "refused"), pair.s.progress().legs), (1, 1));
}

#[test]
fn when_the_ledger_stalls_the_next_window_is_paid_in_another_currency() {
    let mut pair = stalled(by_transfer());
    assert_eq!(pair.seller.progress().items, 4, "one window is out, and its payment is not final");
    pair.wait();
    assert_eq!(pair.now_ms, START_MS + 3_000);
    // 24 items of 5; the first four in SDP, the others in OTH.
    let owed: Vec<_> =
        invoices(&pair).into_iter().map(|(_, name, amount, _)| (name, amount)).collect();
    let others = [46, 47, 47, 46, 47].map(|amount| ("OTH".to_owned(), amount));
    assert_eq!(owed[0], ("SDP".to_owned(), 20));
    assert_eq!(owed[1..], others);
    pair.stalled.clear();
    pair.resume();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!((pair.transferred_of(&coin()), pair.transferred_of(&token())), (20, 233));
    let legs = json!([{"from_seq": 1, "amount_total": "20", "paid_total": "20"}]);
    for exit in exits(&pair) {
        assert_eq!((&exit["legs"], &exit["amount_total"]), (&legs, &json!("233")));
    }
    assert_eq!((pair.s.progress().legs, pair.b.progress().legs), (2, 2));
}

#[test]
fn what_the_first_leg_owes_is_listed_when_its_ledger_never_comes_back() {
    let mut pair = stalled(by_transfer());
    pair.wait();
    while !pair.is_over() {
        pair.wait();
    }
    assert_eq!((pair.s.end(), pair.b.end()), (End::Outstanding, End::Outstanding));
    assert_eq!(pair.s.progress().paid, Amount::new(233), "the leg that is on is paid");
    assert_eq!(exits(&pair)[0]["legs"][0]["paid_total"], "0");
}

#[test]
fn without_fail_over_the_session_ends_when_its_ledger_stalls() {
    let mut buyers = by_transfer();
    buyers.buyer.fail_over_after_ms = None;
    let mut sellers = by_transfer();
    sellers.seller.fail_over = false;
    for (setting, asks) in [(buyers, 0), (sellers, 1)] {
        let mut pair = stalled(setting);
        while !pair.is_over() {
            pair.wait();
        }
        assert_eq!(changes(&pair.b, "ask_leg"), asks);
        assert_eq!(changes(&pair.s, "refused"), asks);
        assert_eq!((pair.s.end(), pair.s.progress().items), (End::Outstanding, 4));
    }
}

#[test]
fn every_method_may_follow_every_other() {
    let methods = [Method::Transfer, Method::Escrow];
    for (first, second) in methods.into_iter().flat_map(|one| methods.map(|two| (one, two))) {
        for windows in [1, 3] {
            let mut pair = turned(setting(first, second), windows);
            pair.run();
            let what = format!("{first} {second} {windows}: {} {}", pair.s.why(), pair.b.why());
            assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{what}");
            let terms = [&pair.s, &pair.b].map(|side| side.progress().legs);
            assert_eq!(terms, [2, 2], "{what}");
            let last = invoices(&pair).pop().unwrap();
            let first_total = exits(&pair)[0]["legs"][0]["amount_total"].clone();
            let first_total: u128 = first_total.as_str().unwrap().parse().unwrap();
            // What of 120 is not paid at 1 for 1 is paid at 7 for 3, rounded down once.
            assert_eq!(last.3, (120 - first_total) * 7 / 3, "{what}");
            let vouched = |channel: u8| {
                let best = |record: &Record| match record {
                    Record::Voucher { channel: of, amount, .. } if of.0[0] == channel => {
                        Some(*amount)
                    }
                    _ => None,
                };
                pair.s.records.iter().filter_map(best).max().unwrap_or_default().units()
            };
            let paid = |method, asset, channel| match method {
                Method::Transfer => pair.transferred_of(&asset),
                Method::Escrow => vouched(channel),
            };
            assert_eq!(paid(first, coin(), 5), first_total, "{what}");
            assert_eq!(paid(second, token(), 6), last.3, "{what}");
            let redeemed = pair.s.records.iter().filter(|record| {
                let owed = record.owed().map(|owed| owed.purpose);
                owed == Some(sdpp::terms::Purpose::Close)
            });
            let escrows = [first, second].iter().filter(|m| **m == Method::Escrow).count();
            assert_eq!(redeemed.count(), escrows, "{what}: each channel is closed");
        }
    }
}

#[test]
fn both_journals_tell_the_same_legs() {
    let mut pair = stalled(by_transfer());
    let terms = pair.buyer.terms().unwrap().clone();
    pair.wait();
    let (ours, theirs) = (agreed_by(&pair.s.records, &terms), agreed_by(&pair.b.records, &terms));
    assert_eq!(ours, theirs);
    let legs: Vec<_> = ours.legs().map(|leg| (leg.from_seq, leg.currency.name.clone())).collect();
    assert_eq!(legs, [(1, "SDP".to_owned()), (5, "OTH".to_owned())]);
    // A buyer that is killed must have both to spend when it goes on.
    assert_eq!(Buyer::currencies_of(&pair.b.records), ["SDP", "OTH"]);
}

#[test]
fn the_rate_is_the_one_that_is_offered_now_and_not_too_far_off_the_menus() {
    for (now, takes) in [(rate(49, 20), true), (rate(2, 1), true), (rate(5, 2), false)] {
        let mut pair = stalled(by_transfer());
        let mut menu = pair.offer.menu.clone();
        menu.currencies_accepted.iter_mut().skip(2).for_each(|offer| offer.rate = now);
        pair.offers(menu);
        pair.wait();
        let last = invoices(&pair).pop().unwrap();
        assert_eq!(last.1 == "OTH", takes, "{now:?}");
        assert_eq!(changes(&pair.b, "refused"), usize::from(!takes));
        if takes {
            assert_eq!(last.3, 100 * now.numerator.units() / now.denominator.units());
        }
    }
}

#[test]
fn what_is_not_offered_any_more_is_refused_and_the_next_of_our_currencies_is_asked_for() {
    let mut setting = by_transfer();
    setting.wish.currencies.push(pinned_other(Method::Escrow));
    let mut pair = stalled(setting);
    let mut menu = pair.offer.menu.clone();
    menu.currencies_accepted.remove(2);
    pair.offers(menu);
    pair.wait();
    assert_eq!((changes(&pair.b, "ask_leg"), changes(&pair.s, "refused")), (2, 1));
    assert_eq!(invoices(&pair).pop().unwrap().1, "OTH");
    assert_eq!(pair.transferred_of(&token()), 0, "by escrow");
}

#[test]
fn a_currency_in_which_we_cannot_pay_is_passed_over() {
    let mut pair = by_transfer().start();
    pair.run_to(4);
    pair.stalled.insert(ledger());
    pair.holds = Amount::ZERO;
    pair.run().wait();
    assert_eq!(changes(&pair.b, "ask_leg"), 0);
    while !pair.is_over() {
        pair.wait();
    }
    assert_eq!(pair.s.why(), sdpp::message::Reason::TimeUp.to_string());
}

/// Our ceiling is in what was ordered; what is left of it holds in the next currency.
#[test]
fn the_ceiling_holds_over_legs() {
    for (max, items) in [(120, 24), (79, 14)] {
        let mut setting = by_transfer().order("co2", None).windows(2, 1);
        setting.wish.max_total = Some(Amount::new(max));
        let mut pair = setting.start();
        pair.source = Some(24);
        pair.run_to(6);
        let trouble = Some(LegReason::Stalled);
        pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble });
        pair.run();
        assert_eq!(
            (pair.s.end(), pair.b.end()),
            (End::Complete, End::Complete),
            "{}",
            pair.b.why()
        );
        assert_eq!(pair.b.progress().legs, 2);
        assert_eq!(pair.b.delivered.len(), items, "{max}");
    }
}

/// After the first window twenty items follow, at 233 in all, 46 of which may be out on credit.
#[test]
fn a_currency_s_own_ceiling_holds_in_a_leg() {
    for most in [233, 232, 95, 46, 45] {
        let mut setting = by_transfer();
        setting.wish.currencies[1].max_total = Some(Amount::new(most));
        let mut pair = stalled(setting);
        pair.wait();
        pair.stalled.clear();
        pair.resume();
        while !pair.is_over() {
            pair.wait();
        }
        let paid = pair.transferred_of(&token());
        assert!(paid <= most, "{paid} of {most}");
        assert_eq!(changes(&pair.b, "ask_leg"), usize::from(most > 45), "{most}");
        // Where so much on credit is too much already, it waits for the first ledger.
        assert_eq!(pair.s.progress().items == 24, most >= 233 || most == 45, "{most}");
    }
}

#[test]
fn whoever_watches_is_told_what_is_paid_in_when_a_leg_s_first_item_is_here() {
    let mut pair = stalled(by_transfer());
    pair.wait();
    let log = pair.b.log.iter().filter_map(|output| match output {
        Output::Paying(paying) => Some((paying.currency.clone(), 0)),
        Output::Deliver { seq, .. } => Some((String::new(), *seq)),
        _ => None,
    });
    let log: Vec<_> = log.collect();
    let told = |name: &str| log.iter().position(|(currency, _)| currency == name).unwrap();
    assert_eq!((told("SDP"), &log[told("OTH") + 1]), (0, &(String::new(), 5)));
}

#[test]
fn a_channel_with_too_little_room_is_passed_over() {
    let mut setting = setting(Method::Escrow, Method::Transfer);
    setting.deposit = Amount::new(19);
    let mut pair = setting.start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.transferred_of(&token()), 280, "24 items of 5 at 7 for 3");
    let passed = pair.b.log.iter().find_map(|output| match output {
        Output::Paying(paying) => Some(paying.passed.clone()),
        _ => None,
    });
    let passed = passed.unwrap();
    assert!(
        passed[0]
            .contains("SDP by escrow: 4 items cost 0.000020 SDP, the channel's room is 0.000019")
    );
}

#[test]
fn a_third_leg_waits_until_the_first_is_paid() {
    let mut setting = by_transfer();
    let third = PinnedCurrency {
        ledger: third_ledger(),
        name: "TRD".to_owned(),
        ..pinned(Method::Transfer)
    };
    let mut offer = offer_other(Method::Transfer, rate(1, 1));
    (offer.currency, offer.symbol) = ("TRD".to_owned(), "SDP".to_owned());
    (offer.ledger, offer.asset) = (third_ledger(), coin());
    setting.menu.currencies_accepted.push(offer);
    setting.wish.currencies.push(third);
    let mut pair = stalled(setting);
    pair.stalled.insert(other_ledger());
    pair.wait().wait();
    assert_eq!(pair.seller.progress().items, 8, "W * K of each of two legs are out");
    assert_eq!((changes(&pair.b, "ask_leg"), changes(&pair.s, "refused")), (2, 1));
    assert_eq!(pair.seller.progress().items, 8);
}

#[test]
fn a_new_rate_of_the_same_currency_is_a_leg_too() {
    let mut setting = by_transfer();
    setting.menu.default_currency = "DLR".to_owned();
    let mut pair = setting.start();
    pair.run_to(6);
    let mut menu = pair.offer.menu.clone();
    menu.currencies_accepted[0].rate = rate(1, 2);
    pair.offers(menu);
    pair.buyer.ask_rate().unwrap();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    let rates: Vec<_> = sent(&pair.s)
        .into_iter()
        .filter(|m| m["message_type"] == "data_invoice")
        .map(|m| m["data"]["invoice"]["rate"]["denominator"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(rates, ["1", "1", "2", "2", "2", "2"]);
    assert_eq!(pair.transferred_of(&coin()), 40 + 40);
}

#[test]
fn a_leg_that_is_not_what_was_asked_for_is_not_signed() {
    type Case = (fn(&mut Value), &'static str);
    let cases: [Case; 9] = [
        (|m| m["change"]["leg"]["price"] = json!("6"), "its price is above"),
        (|m| m["change"]["leg"]["ask"] = json!(null), "nobody asked for it"),
        (|m| m["change"]["leg"]["ask"] = json!(2), "nobody asked for it"),
        (
            |m| m["change"]["leg"]["currency"]["currency"] = json!("SDP"),
            "is not what was asked for",
        ),
        (|m| m["change"]["leg"]["currency"]["decimals"] = json!(7), "7 decimals, ours has 6"),
        (
            |m| {
                m["change"]["leg"]["currency"]["payment_address"] =
                    json!("0x00000000000000000000000000000000000000bb");
            },
            "it pays somebody else",
        ),
        (|m| m["from_seq"] = json!(6), "item 6 does not begin the next window"),
        (
            |m| m["change"]["leg"]["currency"]["rate"]["numerator"] = json!("0"),
            "a leg cannot begin or end at a rate of 0",
        ),
        (
            |m| {
                let at = "2026-01-01T00:00:00.000Z";
                let said = json!({"numerator": "9", "denominator": "3"});
                let sources = json!([{"source": "fixed", "rate": said, "at": at}]);
                m["change"]["leg"]["currency"]["quote"] =
                    json!({"sources": sources, "at": at, "expires_at": at});
            },
            "its rate is not what its quote says",
        ),
    ];
    for (lie, says) in cases {
        let mut pair = stalled(by_transfer());
        pair.pass_time();
        lie_in::<Amend>(&mut pair, Role::Seller, lie);
        ends_with(&mut pair, Role::Seller, "bad_amend", says);
        let Some(Record::Ended { evidence, .. }) = pair.b.records.last() else { panic!("{says}") };
        assert!(evidence[0].is_by(&key(1).public()), "{says}");
        assert_eq!(changes(&pair.b, "leg"), 0, "{says}");
    }
}

#[test]
fn an_invoice_of_the_leg_before_is_refused_once_another_is_on() {
    let mut pair = stalled(by_transfer());
    pair.pass_time();
    while pair.b.delivered.len() < 5 {
        assert!(pair.step());
    }
    lie_in::<DataInvoice>(&mut pair, Role::Seller, |m| {
        m["invoice"]["currency"] = json!("SDP");
    });
    ends_with(&mut pair, Role::Seller, "bad_invoice", "its currency or payee");
}

#[test]
fn an_exit_that_names_other_legs_is_refused() {
    let cases: [fn(&mut Value); 3] = [
        |m| m["legs"] = json!([]),
        |m| m["legs"][0]["amount_total"] = json!("19"),
        |m| m["legs"][0]["paid_total"] = json!("21"),
    ];
    for lie in cases {
        let mut pair = stalled(by_transfer());
        pair.wait();
        pair.stalled.clear();
        while pair.settle_again() {}
        lie_in::<Exit>(&mut pair, Role::Seller, lie);
        ends_with(&mut pair, Role::Seller, "bad_invoice", "other legs than we have");
    }
}

/// The seller's answer comes from what it offers now, or not at all.
#[test]
fn a_seller_that_offers_nothing_refuses() {
    let mut pair = stalled(by_transfer());
    pair.quoted = None;
    pair.wait();
    assert_eq!((changes(&pair.s, "refused"), invoices(&pair).len()), (1, 1));
    let _: Option<Arc<sdpp::session::Offer>> = pair.quoted;
}

/// The ledger of the currency that is asked for may be away as well.
#[test]
fn a_channel_that_its_ledger_does_not_show_is_refused_and_the_next_currency_is_asked_for() {
    let mut setting = setting(Method::Transfer, Method::Escrow);
    setting.wish.currencies.push(pinned_other(Method::Transfer));
    let patience_ms = setting.seller.patience_ms;
    let mut pair = stalled(setting);
    pair.blind.insert(other_ledger());
    pair.wait();
    assert_eq!((changes(&pair.b, "ask_leg"), changes(&pair.s, "refused")), (1, 0));
    let asked_ms = pair.now_ms;
    pair.wait();
    assert_eq!(pair.now_ms, asked_ms + patience_ms);
    assert_eq!((changes(&pair.b, "ask_leg"), changes(&pair.s, "refused")), (2, 1));
    assert_eq!(pair.transferred_of(&token()), 233);
}

#[test]
fn who_asks_for_a_better_rate_takes_no_worse_one() {
    let mut pair = by_transfer().start();
    pair.run_to(6);
    let mut menu = pair.offer.menu.clone();
    menu.default_currency = "DLR".to_owned();
    menu.currencies_accepted[0].rate = rate(51, 50);
    pair.offers(menu);
    pair.buyer.ask_rate().unwrap();
    pair.run();
    assert_eq!((changes(&pair.s, "leg"), changes(&pair.b, "refused")), (1, 1));
    assert_eq!((pair.s.end(), pair.s.progress().legs), (End::Complete, 1));
    assert_eq!(pair.transferred_of(&coin()), 120);
}

#[test]
fn a_ledger_that_is_well_again_may_be_turned_to_again() {
    let mut pair = by_transfer().order("co2", Some(40)).start();
    let say = |pair: &mut Pair, ledger, trouble| {
        pair.tell(Role::Buyer, Input::Ledger { ledger, trouble });
    };
    pair.run_to(6);
    say(&mut pair, ledger(), Some(LegReason::Dear));
    pair.run_to(14);
    say(&mut pair, ledger(), None);
    say(&mut pair, other_ledger(), Some(LegReason::Dear));
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!((pair.s.progress().legs, pair.b.progress().legs), (3, 3));
    assert_eq!(invoices(&pair).pop().unwrap().1, "SDP");
}

/// Another leg would give the seller another window on credit.
#[test]
fn a_buyer_that_leaves_signs_no_leg() {
    let mut pair = stalled(by_transfer());
    pair.pass_time();
    while changes(&pair.s, "leg") == 0 {
        assert!(pair.step());
    }
    pair.stop(Role::Buyer);
    pair.stalled.clear();
    pair.resume();
    assert_eq!((changes(&pair.s, "leg"), changes(&pair.b, "leg")), (1, 0));
    assert_eq!(changes(&pair.b, "refused"), 1);
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!((pair.s.progress().legs, pair.s.progress().items), (1, 4));
}
