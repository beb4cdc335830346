//! What a seller asks of the channel that an order names, and what a lying buyer hears.

use crate::channels::vouchers;
use crate::liars::{ends_with, last_error};
use crate::pair::*;
use sdpp::message::Reason;
use sdpp::record::{End, Record};
use sdpp::session::{ChannelView, Input, Output};
use sdpp_ledger::{Amount, Channel};

/// The session up to where the seller looks at the channel, which its ledger shows so.
fn shown(setting: Setting, change: impl FnOnce(&mut ChannelView)) -> Pair {
    let mut pair = setting.by_escrow().no_records().start();
    while types(&pair.b).is_empty() {
        assert!(pair.step());
    }
    let order: Vec<u8> = pair.b.wire.drain(..).collect();
    pair.seller.handle(Input::Read(&order), pair.now_ms);
    assert!(matches!(pair.seller.poll(), Some(Output::Look { .. })));
    let mut view = pair.view();
    change(&mut view);
    pair.tell(Role::Seller, Input::Channel(view));
    pair.run();
    pair
}

/// A seller that took it would have served for nothing: not one item left.
fn refused(setting: Setting, change: impl FnOnce(&mut ChannelView), code: &str, says: &str) {
    let mut pair = shown(setting, change);
    ends_with(&mut pair, Role::Buyer, code, says);
    assert_eq!(pair.seller.progress().items, 0, "{says}");
    assert!(pair.s.records.is_empty(), "a session that never began leaves nothing: {says}");
}

fn channel(view: &mut ChannelView) -> &mut Channel {
    view.channel.as_mut().unwrap()
}

#[test]
fn a_channel_that_cannot_pay_for_the_session_is_refused() {
    let refused = |change: fn(&mut ChannelView), code, says| {
        refused(Setting::default(), change, code, says);
    };
    refused(|v| v.channel = None, "channel", "no channel");
    refused(|v| v.busy = true, "channel_busy", "another session");
    let five = |v: &mut ChannelView| v.best.as_mut().unwrap().cumulative_amount = Amount::new(5);
    refused(five, "channel", "the last amount vouched is 5");
    refused(|v| channel(v).settled = Amount::new(5), "channel", "the last amount vouched is 5");
    refused(|v| channel(v).finalized = true, "channel", "closed");
    refused(|v| v.is_left = true, "channel", "about to be closed");
    refused(|v| channel(v).deposit = Amount::new(11), "channel", "does not cover one window");
}

#[test]
fn a_channel_of_others_or_in_other_money_is_refused() {
    let refused = |change: fn(&mut ChannelView), says| {
        refused(Setting::default(), change, "channel", says);
    };
    refused(|v| channel(v).payee = key(9).public().account(), "not us");
    let play_money = |v: &mut ChannelView| {
        channel(v).asset = "0x00000000000000000000000000000000000000bb".parse().unwrap();
    };
    refused(play_money, "not us");
    refused(|v| channel(v).signer = key(9).public().account(), "not signed by the key of this");
    refused(|v| channel(v).payer = key(9).public().account(), "not signed by the key of this");
}

/// Its payer may take the money while we still deliver.
#[test]
fn a_channel_that_is_closing_is_refused() {
    let closing = |v: &mut ChannelView| channel(v).close_requested_ms = Some(START_MS);
    refused(Setting::default(), closing, "channel", "its payer asked to close it");
}

/// That is the seller's own trouble, and no reason to give the channel up.
#[test]
fn a_seller_that_cannot_watch_channels_begins_no_session_on_one() {
    let mut pair = shown(Setting::default(), |view| view.is_unwatched = true);
    let (code, message) = last_error(&pair.s);
    assert_eq!((code.as_str(), pair.s.end()), ("busy", End::Failed), "{message}");
    assert!(pair.s.records.is_empty() && pair.s.progress().items == 0);
    assert_eq!(pair.run().b.end(), End::Refused);
}

/// Whatever state the session is in: not one more item leaves, and what was vouched is told to
/// the journal, which knows what it is worth.
#[test]
fn a_channel_that_is_over_ends_its_session_wherever_it_is() {
    for items in [1, 4, 5] {
        let mut pair = Setting::default().by_escrow().start();
        pair.run_to(items);
        let before = pair.seller.progress().items;
        pair.tell(Role::Seller, Input::ChannelOver(sdpp_ledger::ChannelId([5; 32])));
        pair.run();
        assert_eq!(pair.s.progress().items, before, "nothing more is delivered");
        let (code, message) = last_error(&pair.s);
        assert_eq!((code.as_str(), pair.s.end()), ("channel", End::Failed), "{message}");
        assert!(message.contains("over"), "{message}");
        let last = pair.s.records.last().unwrap();
        assert!(matches!(last, Record::Ended { end: End::Failed, .. }), "{last:?}");
    }
}

/// A buyer whose channel is closed under it signs nothing more on it, says so, and has lost nothing
/// that it did not vouch.
#[test]
fn a_buyer_whose_channel_is_over_vouches_no_more() {
    for items in [1, 4, 5] {
        let mut pair = Setting::default().by_escrow().start();
        // One that it only looked at before it took this one is not this one.
        pair.tell(Role::Buyer, Input::ChannelOver(sdpp_ledger::ChannelId([5; 32])));
        pair.run_to(items);
        let vouched = vouchers(&pair);
        pair.tell(Role::Buyer, Input::ChannelOver(sdpp_ledger::ChannelId([5; 32])));
        pair.run();
        assert_eq!(vouchers(&pair), vouched, "nothing more is vouched");
        let (code, message) = last_error(&pair.b);
        assert_eq!((code.as_str(), pair.b.end()), ("channel", End::Failed), "{message}");
        assert_eq!(pair.s.end(), End::Refused, "its seller knows");
        let [.., Record::Spent { amount, kept: false, .. }, Record::Ended { .. }] =
            &pair.b.records[..]
        else {
            panic!("{:?}", pair.b.records)
        };
        assert_eq!(amount.units(), vouched.last().copied().unwrap_or(0));
    }
}

/// A seller may close at once when all is paid: what it said before that is heard all the same.
#[test]
fn a_buyer_that_is_leaving_hears_its_sellers_exit_though_the_channel_is_over() {
    for (items, end) in [(4, End::Complete), (5, End::Failed)] {
        let mut pair = Setting::default().by_escrow().order("co2", None).windows(4, 2).start();
        pair.run_to(items);
        pair.run_without_feeding();
        let vouched = vouchers(&pair);
        pair.tell(Role::Buyer, Input::Stop(Reason::Stopped));
        pair.tell(Role::Buyer, Input::ChannelOver(sdpp_ledger::ChannelId([5; 32])));
        pair.run_without_feeding();
        // But for an invoice that comes after it nothing is vouched.
        assert_eq!((pair.b.end(), pair.b.why().contains("over")), (end, end == End::Failed));
        assert_eq!(vouchers(&pair), vouched);
    }
}

#[test]
fn a_deposit_that_is_vouched_away_but_for_less_than_a_window_is_refused() {
    let setting = || Setting { base: Amount::new(990), ..Setting::default() };
    // The buyer's own check comes first: this buyer lies to itself too.
    let poor = |v: &mut ChannelView| channel(v).deposit = Amount::new(1_001);
    let setting = || Setting { deposit: Amount::new(1_008), ..setting() };
    refused(setting(), poor, "channel", "deposit 1001 does not cover one window");
    let mut enough = shown(setting(), |v| channel(v).deposit = Amount::new(1_008));
    assert_eq!(enough.run().s.progress().paid, Amount::new(18));
}

#[test]
fn a_grace_period_under_twice_our_longest_outage_is_refused() {
    let setting = || {
        let mut setting = Setting::default();
        setting.seller.outage_ms = 60_000;
        setting
    };
    let says = "its grace period is 119 s, we may be away for 60 s";
    refused(setting(), |v| v.grace_ms = 119_999, "channel", says);
    let mut enough = shown(setting(), |v| v.grace_ms = 120_000);
    assert_eq!(enough.run().s.progress().paid, Amount::new(18));
    // What is told late is told late when we are back, too.
    let says = "and hear of a request to close 132 s late";
    refused(setting(), |v| (v.grace_ms, v.lag_ms) = (383_999, 132_000), "channel", says);
    let mut enough = shown(setting(), |v| (v.grace_ms, v.lag_ms) = (384_000, 132_000));
    assert_eq!(enough.run().s.progress().paid, Amount::new(18));
}
