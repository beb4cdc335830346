//! A channel over more than one session: kept or closed at the end, and topped up while items flow.

use crate::liars::{ends_with, last_error, lie_in};
use crate::pair::*;
use sdpp::message::{PaceReason, PaymentAck};
use sdpp::record::{End, Record};
use sdpp::session::{Input, Output};
use sdpp::terms::Pace;
use sdpp_ledger::{Amount, Call};
use serde_json::json;

/// Two items at 5 in a window, one window on credit, a channel that is kept.
fn kept(topic: &str, quantity: Option<u64>) -> Setting {
    let mut setting = Setting::default().by_escrow().no_records().order(topic, quantity);
    setting.wish.currencies[0].channels.keep = true;
    setting.windows(2, 1)
}

/// As many items as there are, on a deposit of 40 that grows by 40.
fn small() -> Setting {
    let mut setting = kept("co2", None);
    setting.deposit = Amount::new(40);
    setting.wish.currencies[0].channels.deposit = Amount::new(40);
    setting
}

/// What the buyer remembers of its channel: the most that was vouched, and whether it is kept.
fn spent(pair: &Pair) -> Option<(u128, bool)> {
    let before_end = pair.b.records.iter().rev().nth(1)?;
    match before_end {
        Record::Spent { amount, kept, .. } => Some((amount.units(), *kept)),
        _ => None,
    }
}

pub fn vouchers(pair: &Pair) -> Vec<u128> {
    let amount = |m: &serde_json::Value| {
        m["data"]["voucher"]["cumulative_amount"].as_str().map(|text| text.parse().unwrap())
    };
    sent(&pair.b).iter().filter_map(amount).collect()
}

/// At a larger pace the seller sends more at once: what the channel is to hold for that is not there yet.
#[test]
fn a_pace_that_the_deposit_does_not_cover_yet_is_refused() {
    let mut setting = small().windows(1, 1);
    setting.deposit = Amount::new(15);
    let mut pair = setting.start();
    pair.run_to(1);
    let larger = Pace { granularity: 3, credit_windows: 1 };
    pair.seller.change_pace(larger, PaceReason::Earned, pair.now_ms).unwrap();
    pair.run();
    let said = sent(&pair.b).into_iter().find(|m| m["message_type"] == "amend").unwrap();
    assert!(said["data"]["change"]["refused"].is_object(), "{said}");
    pair.tops_up = true;
    pair.shown = Some(pair.deposit);
    pair.run_to(9).stop(Role::Buyer);
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
}

#[test]
fn a_channel_that_the_buyer_wants_again_is_settled_and_stays_open() {
    for stops in [None, Some(Role::Seller), Some(Role::Buyer)] {
        let quantity = stops.is_none().then_some(6);
        let setting = Setting { base: Amount::new(100), ..kept("co2", quantity) };
        let mut pair = setting.start();
        match stops {
            Some(role) => drop(pair.run_to(6).stop(role)),
            None => drop(pair.run()),
        }
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        let Some((_, Call::Settle(redeem), _)) = pair.ledger.last() else {
            panic!("{stops:?}: {:?} does not settle", pair.ledger.last());
        };
        let vouched = 100 + pair.b.delivered.len() as u128 * 5;
        assert_eq!(redeem.amount.units(), vouched);
        assert_eq!(spent(&pair), Some((vouched, true)), "the next session begins there");
        let exit = sent(&pair.b).into_iter().find(|m| m["message_type"] == "exit").unwrap();
        assert_eq!(exit["data"]["channel"], "keep");
    }
}

#[test]
fn a_channel_that_nobody_wants_again_is_closed_and_its_buyer_knows() {
    let mut pair = Setting::default().by_escrow().no_records().start();
    pair.run();
    assert!(matches!(pair.ledger.last(), Some((_, Call::Close(_), _))));
    assert_eq!(spent(&pair), Some((18, false)));
    let exit = sent(&pair.b).pop().unwrap();
    assert!(exit["data"].get("channel").is_none(), "{exit}");
}

#[test]
fn a_session_that_ends_badly_leaves_the_channel_open() {
    let mut pair = Setting::default().by_escrow().no_records().order("co2", None).start();
    pair.run_to(6);
    pair.tell(Role::Buyer, Input::Hangup);
    pair.tell(Role::Seller, Input::Hangup);
    pair.run();
    assert!(matches!(pair.ledger.last(), Some((_, Call::Settle(_), _))));
    let (vouched, kept) = spent(&pair).unwrap();
    assert!(kept && vouched >= 15, "{vouched}");
    assert_eq!(vouchers(&pair).last(), Some(&vouched), "to the unit, not the ceiling");
}

#[test]
fn a_session_that_bought_nothing_owes_nothing_to_anybody() {
    for keep in [true, false] {
        let mut setting = Setting { base: Amount::new(30), ..kept("co2", None) };
        setting.wish.currencies[0].channels.keep = keep;
        let mut pair = setting.start();
        while !types(&pair.s).contains(&"session_key".to_owned()) || !pair.b.wire.is_empty() {
            assert!(pair.drain_outputs(Role::Seller) || pair.step());
        }
        pair.run_without_feeding();
        pair.tell(Role::Buyer, Input::Stop(sdpp::message::Reason::Stopped));
        pair.run_without_feeding();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert!(pair.ledger.is_empty(), "{:?}", pair.ledger);
        assert_eq!(spent(&pair), Some((30, true)), "there is nothing to close it with");
    }
}

#[test]
fn a_channel_that_was_used_before_and_is_refused_is_not_tried_again() {
    for (base, given_up) in [(50, true), (0, false)] {
        let mut pair = Setting { base: Amount::new(base), ..kept("co2", Some(4)) }.start();
        // What it shows is not ours.
        (pair.known, pair.vouches) = (Some(Amount::new(70)), 3);
        pair.run();
        ends_with(&mut pair, Role::Buyer, "channel", "the last amount vouched is 70");
        let left = given_up.then_some((base, false));
        assert_eq!(spent(&pair), left, "a new one may only be slow to show");
        assert!(pair.b.again.is_none());
    }
}

/// It wrote down what it may vouch, and died before it wrote down what it did.
#[test]
fn a_buyer_is_shown_what_a_crash_has_hidden_and_orders_again_from_there() {
    for ceiling in [90, 60] {
        let mut pair = Setting { base: Amount::new(50), ..kept("co2", Some(4)) }.start();
        (pair.ceiling, pair.known) = (Amount::new(ceiling), Some(Amount::new(70)));
        pair.run();
        ends_with(&mut pair, Role::Buyer, "channel", "base is 50, the last amount vouched is 70");
        assert_eq!((spent(&pair), pair.b.again.is_some()), (Some((70, true)), true));
        assert_eq!(pair.b.end(), End::Refused);
        assert!(pair.ledger.is_empty(), "nothing is redeemed for it");
    }
    // The seller has lost what it was given. Nobody pays for what it never asked for.
    let mut pair = Setting { base: Amount::new(50), ..kept("co2", Some(4)) }.start();
    pair.ceiling = Amount::new(90);
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(spent(&pair), Some((70, true)));
    assert_eq!(vouchers(&pair).last(), Some(&70));
}

#[test]
fn a_small_deposit_lasts_for_as_many_items_as_there_are() {
    for setting in [small(), small().under_mac()] {
        let mut pair = setting.start();
        pair.tops_up = true;
        pair.run_to(100).stop(Role::Buyer);
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        let cost = pair.b.delivered.len() as u128 * 5;
        assert!(cost >= 500 && pair.s.progress().paid.units() == cost);
        let added: u128 = pair.top_ups.iter().map(|amount| amount.units()).sum();
        assert_eq!(pair.deposit.units(), 40 + added);
        assert!(pair.deposit.units() < cost + 40 + 20, "no more than is needed soon");
        assert_eq!(spent(&pair), Some((cost, true)));
    }
}

/// While the ledger takes its time, items flow as far as the deposit covers what could come.
#[test]
fn a_top_up_under_way_stops_nothing_that_the_deposit_covers() {
    let mut pair = small().start();
    pair.run();
    assert_eq!(pair.top_ups, [Amount::new(40)], "one at a time");
    assert_eq!(pair.b.delivered.len(), 8, "all that 40 pays for, the last on credit");
    assert_eq!(vouchers(&pair).last(), Some(&30), "what is held back would give more credit");
    assert!(pair.b.closed.is_none() && pair.s.closed.is_none());
    pair.top_up();
    pair.run();
    assert_eq!(pair.b.delivered.len(), 16);
    assert_eq!(pair.top_ups.len(), 2);
    pair.tops_up = true;
    pair.source = Some(50);
    pair.top_up();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
}

#[test]
fn a_buyer_whose_channel_does_not_grow_leaves_in_good_order() {
    for refused in [true, false] {
        let mut pair = small().start();
        pair.run();
        if refused {
            let why = "InsufficientFunds".to_owned();
            pair.tell(
                Role::Buyer,
                Input::NotToppedUp { channel: sdpp_ledger::ChannelId([5; 32]), why },
            );
            pair.run();
        } else {
            pair.wait();
            assert_eq!(pair.now_ms, START_MS + 5_000, "well within the seller's patience");
        }
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert_eq!(pair.s.why(), "the buyer's ceiling is reached");
        assert_eq!(pair.s.progress().paid, Amount::new(40), "what came is paid");
        assert_eq!(spent(&pair), Some((40, true)));
    }
}

#[test]
fn no_top_up_passes_what_the_session_may_cost() {
    let mut setting = small();
    setting.wish.max_total = Some(Amount::new(95));
    let mut pair = setting.start();
    pair.tops_up = true;
    pair.run();
    assert_eq!(pair.top_ups, [40, 15].map(Amount::new));
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.s.progress().paid, Amount::new(90), "one more window would pass it");
}

#[test]
fn a_deposit_that_covers_the_order_is_never_topped_up() {
    let mut setting = kept("co2", Some(12));
    setting.deposit = Amount::new(60);
    setting.wish.currencies[0].channels.deposit = Amount::new(60);
    let mut pair = setting.start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert!(pair.top_ups.is_empty());
}

#[test]
fn what_is_left_before_a_top_up_can_be_said() {
    let wanted_after = |below: Option<u128>| {
        let mut setting = small();
        setting.wish.currencies[0].channels.top_up_below = below.map(Amount::new);
        let mut pair = setting.start();
        while pair.top_ups.is_empty() {
            assert!(pair.step());
        }
        pair.b.delivered.len()
    };
    assert_eq!(wanted_after(Some(39)), 1);
    assert_eq!(wanted_after(None), 5, "less is left than two windows cost");
    assert_eq!(wanted_after(Some(1)), 5, "never later");
}

#[test]
fn a_channel_is_asked_for_with_room_for_what_the_session_costs() {
    let asked = |setting: Setting| {
        let mut pair = setting.start();
        pair.run_to(1);
        let fund = |output: &Output| match output {
            Output::Fund { least, ample, .. } => Some((least.units(), ample.units())),
            _ => None,
        };
        pair.b.log.iter().find_map(fund).unwrap()
    };
    assert_eq!(asked(small()), (10, 40));
    let mut setting = kept("co2", Some(20));
    assert_eq!(asked(setting), (100, 100));
    setting = kept("co2", Some(20));
    setting.wish.currencies[0].channels.deposit = Amount::new(500);
    assert_eq!(asked(setting), (100, 500));
}

/// The seller asks another node than the buyer, and that one is three answers behind.
#[test]
fn a_seller_looks_again_before_it_judges_a_voucher_beyond_the_deposit() {
    for setting in [small(), small().under_mac()] {
        let mut pair = setting.start();
        (pair.tops_up, pair.source) = (true, Some(60));
        pair.shown = Some(Amount::new(40));
        pair.run();
        assert_eq!(pair.looks, 2, "once for the order, once for the voucher");
        assert_eq!(pair.seller.progress().paid, Amount::new(40));
        pair.wait().wait();
        assert_eq!(pair.looks, 4);
        assert!(pair.s.closed.is_none(), "it may only be late");
        pair.shown = None;
        pair.wait();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert_eq!(pair.b.delivered.len(), 60);
        let looks = 5 + pair.top_ups.len();
        assert!(pair.looks <= looks, "{} looks, not for each voucher", pair.looks);
    }
}

#[test]
fn a_voucher_that_no_deposit_ever_covers_is_bad_payment() {
    let mut pair = small().start();
    (pair.tops_up, pair.shown) = (true, Some(Amount::new(40)));
    pair.run();
    while pair.s.closed.is_none() {
        pair.wait();
    }
    let (code, message) = last_error(&pair.s);
    assert_eq!((code.as_str(), pair.s.end()), ("bad_payment", End::Misconduct));
    assert!(message.contains("passes the deposit 40"), "{message}");
    assert_eq!(pair.looks, 12, "ten times in our patience, and no more");
    let Some((_, Call::Settle(redeem), _)) = pair.ledger.last() else { panic!("not settled") };
    assert_eq!(redeem.amount, Amount::new(40), "what is covered is money");
}

#[test]
fn who_does_not_sign_cannot_make_the_seller_ask_its_ledger() {
    let mut pair = small().under_mac().start();
    pair.shown = Some(Amount::new(10));
    while pair.seller.progress().paid < Amount::new(10) {
        assert!(pair.step());
    }
    lie_in::<PaymentAck>(&mut pair, Role::Buyer, |m| {
        let voucher = &mut m["voucher"];
        let amount: u128 = voucher["cumulative_amount"].as_str().unwrap().parse().unwrap();
        assert!(amount > 10, "beyond the deposit that the seller sees");
        let signature = voucher["signature"].as_str().unwrap().to_owned();
        let v = if signature.ends_with("1b") { "1c" } else { "1b" };
        voucher["signature"] = json!(format!("{}{v}", &signature[..130]));
    });
    ends_with(&mut pair, Role::Buyer, "bad_payment", "not signed by the channel's signer");
    assert_eq!(pair.looks, 1, "only for the order");
}

#[test]
fn less_than_a_window_needs_no_deposit_for_one() {
    let mut setting = kept("co2", Some(3)).windows(10, 1);
    setting.deposit = Amount::new(15);
    let mut pair = setting.start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
}
