//! What a seller asks of the channel that an order names, and what a lying buyer hears.

use crate::liars::ends_with;
use crate::pair::*;
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
}
