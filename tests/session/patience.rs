//! How long each side waits, for what, and what it does then.

use crate::liars::{ends_with, last_error};
use crate::pair::*;
use sdpp::message::{Draft, Exit, Reason};
use sdpp::record::{End, Record};
use sdpp::session::Input;
use sdpp_ledger::Amount;

/// Takes all that waits on the wire away.
fn cut_wire(pair: &mut Pair) {
    pair.b.wire.clear();
}

#[test]
fn a_buyer_that_acknowledges_nothing_is_waited_for_no_longer_than_patience() {
    let setting = Setting::default().no_records().order("co2", None).windows(100, 1);
    let mut pair = setting.start();
    pair.run_to(3);
    while pair.seller.wants() > 0 {
        pair.step();
        cut_wire(&mut pair);
    }
    assert!(pair.seller.progress().items > 3);
    assert_eq!(pair.seller.poll_timeout(), Some(START_MS + 10_000));
    pair.now_ms += 10_000;
    pair.seller.handle_timeout(pair.now_ms);
    while pair.drain_outputs(Role::Seller) {}
    let (code, message) = last_error(&pair.s);
    assert_eq!((code.as_str(), pair.s.end()), ("timed_out", End::Broken));
    assert!(message.contains("nothing is acknowledged"), "{message}");
}

#[test]
fn each_ack_begins_the_wait_anew_and_a_slow_source_is_no_silence() {
    let setting = Setting::default().no_records().order("co2", None).windows(100, 1);
    let mut pair = setting.start();
    pair.source = Some(0);
    while pair.seller.session().is_none() {
        assert!(pair.step());
    }
    while pair.drain_outputs(Role::Seller) {}
    for _ in 0..5 {
        assert_eq!(pair.seller.poll_timeout(), None, "nothing is out, so nobody is waited for");
        pair.now_ms += 60_000;
        pair.tell(Role::Seller, Input::Items(vec![item(1)]));
        while pair.drain_outputs(Role::Seller) {}
        assert_eq!(pair.seller.poll_timeout(), Some(pair.now_ms + 10_000));
        pair.now_ms += 9_000;
        while pair.carry(Role::Seller) || pair.drain_outputs(Role::Buyer) {}
        while pair.carry(Role::Buyer) {}
    }
    assert!(pair.s.closed.is_none() && pair.b.closed.is_none());
}

#[test]
fn a_payment_that_never_becomes_final_ends_the_flow_in_good_order() {
    let mut setting = Setting::default().no_records().order("co2", None).windows(2, 4);
    setting.seller.finality_ms = 50_000;
    let mut pair = setting.start();
    while !types(&pair.b).contains(&"payment_ack".to_owned()) {
        assert!(pair.step());
    }
    pair.never_final = true;
    while pair.seller.progress().items < 5 {
        assert!(pair.step());
    }
    pair.source = Some(0);
    let sent_before = pair.seller.progress().items;
    pair.run_without_feeding();
    assert_eq!(pair.seller.poll_timeout(), Some(START_MS + 50_000));
    pair.wait_without_feeding();
    assert_eq!(pair.seller.wants(), 0, "the flow has stopped");
    let last = sent(&pair.s).pop().unwrap();
    assert_eq!(last["message_type"], "data_invoice", "the part window is asked for");
    while pair.s.closed.is_none() {
        pair.wait_without_feeding();
    }
    let exit = sent(&pair.s).pop().unwrap();
    assert_eq!(exit["data"]["reason"], "time_up");
    assert_eq!(exit["data"]["items"], sent_before);
    assert_eq!(exit["data"]["paid_total"], "0");
    assert_eq!((pair.s.end(), pair.b.end()), (End::Outstanding, End::Outstanding));
}

#[test]
fn a_source_that_ends_while_an_invoice_waits_ends_the_session() {
    let mut pair = Setting::default().order("co2", None).windows(4, 2).start();
    pair.run_to(3);
    pair.ledger_down = true;
    pair.run();
    assert_eq!((pair.seller.wants(), pair.seller.progress().items), (0, 4));
    pair.tell(Role::Seller, Input::SourceEnded);
    pair.ledger_down = false;
    pair.run_without_feeding();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.b.delivered.len(), 4);
    let exit = sent(&pair.s).pop().unwrap();
    assert_eq!(exit["data"]["reason"], "source_ended");
}

/// A side that was stopped says so itself, and the other that it was.
#[test]
fn who_stopped_is_told() {
    for (role, to_buyer) in [(Role::Seller, "the seller stopped"), (Role::Buyer, "stopped")] {
        let mut pair = Setting::default().order("co2", Some(20)).windows(4, 2).start();
        pair.run_to(6);
        pair.tell(role, Input::Stop(sdpp::message::Reason::Stopped));
        pair.run();
        assert_eq!((pair.b.end(), pair.b.why()), (End::Complete, to_buyer));
    }
}

#[test]
fn finality_is_waited_for_from_the_last_claim_on() {
    let mut pair = Setting::default().no_records().start();
    while types(&pair.s).iter().filter(|t| *t == "data_invoice").count() < 2 {
        assert!(pair.step());
    }
    pair.ledger_down = true;
    pair.run();
    pair.now_ms += 12_000;
    pair.seller.handle_timeout(pair.now_ms);
    pair.ledger_down = false;
    while types(&pair.b).iter().filter(|t| *t == "payment_ack").count() < 2 {
        assert!(pair.step());
    }
    pair.ledger_down = true;
    pair.run();
    assert_eq!(pair.seller.poll_timeout(), Some(START_MS + 22_000));
    assert!(pair.s.closed.is_none());
    pair.ledger_down = false;
    pair.run();
    assert_eq!(pair.s.end(), End::Complete);
}

/// The buyer anchors its order first, and its ledger takes longer than the seller's patience.
#[test]
fn an_order_may_come_until_the_menu_expires() {
    let mut pair = Setting::default().start();
    pair.ledger_down = true;
    pair.run();
    assert_eq!(pair.seller.poll_timeout(), Some(START_MS + 60_000));
    pair.now_ms += 9_999 + 10_000;
    pair.seller.handle_timeout(pair.now_ms);
    pair.ledger_down = false;
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
}

#[test]
fn a_second_exit_has_no_place() {
    for anchored_first in [false, true] {
        let setting = Setting::default();
        let setting = if anchored_first { setting } else { setting.no_records() };
        let mut pair = setting.start();
        while pair.seller.progress().items < 4 {
            assert!(pair.step());
        }
        pair.ledger_down = true;
        pair.run();
        let (reason, zero) = (Reason::Stopped, Amount::ZERO);
        let exit = Exit {
            reason,
            items: 0,
            amount_total: zero,
            paid_total: zero,
            anchored: vec![],
            channel: None,
            legs: Vec::new(),
            bonded: false,
        };
        let (_, frame) = Draft::new(pair.s.session.unwrap(), &exit).sign(&key(2), "");
        pair.forge_to_seller(&frame);
        assert!(pair.s.closed.is_none(), "the first is good");
        pair.forge_to_seller(&frame);
        ends_with(&mut pair, Role::Buyer, "unexpected", "a second exit");
        let exits = pair.s.records.iter().filter(|r| matches!(r, Record::Exit { .. })).count();
        assert_eq!(exits, 1);
    }
}
