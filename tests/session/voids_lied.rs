//! Liars about what was lost: a buyer cannot have declared void what it has signed for, nor pay for what is
//! void, and a seller cannot have the buyer wait for ever, or write for ever. And what is lost beside
//! changes that are under way.

use crate::amends::grant;
use crate::cuts::hello;
use crate::liars::ends_with;
use crate::line::*;
use crate::pair::*;
use crate::voids::*;
use sdpp::message::{
    Change, Cumulative, DataInvoice, Draft, Envelope, Invoice, PaceReason, PaymentAck, SessionKey,
};
use sdpp::record::{End, Record};
use sdpp::session::Input;
use sdpp::terms::{Pace, Purpose};
use sdpp_ledger::Amount;

/// The seller of a live source is told that its buyer is back and has so many items; gives what it says.
fn says_it_has(wire: &mut Wire, received: u64) -> String {
    let line = wire.lines + 1;
    let hello = hello(wire, 2, line, |resume| resume.received = received);
    wire.knock(&hello)
}

/// The buyer signs acks for five windows and pays for none.
#[test]
fn a_buyer_that_says_it_lacks_what_it_has_acknowledged_is_refused() {
    let setting = Setting::default().order("co2", Some(60)).windows(10, 5).anchored_after();
    let mut wire = Wire::new(setting);
    wire.pair.ledger_down = true;
    while wire.step() {}
    let acked = wire.pair.s.records.iter().filter_map(|record| match record {
        Record::Ack { message } => Some(message.number),
        _ => None,
    });
    assert_eq!(acked.max(), Some(50));
    wire.restart(false).unwrap();
    for received in [0, 10, 40, 49] {
        let told = says_it_has(&mut wire, received);
        assert!(told.contains("order_refused"), "it has {received}: {told}");
    }
    wire.pair.ledger_down = false;
    wire.finish();
    is_given(&wire, 60, 5);
}

#[test]
fn a_buyer_that_says_it_lacks_what_it_has_signed_to_be_void_is_refused() {
    let mut wire = proposed();
    wire.cut();
    let by_buyer =
        |record: &Record| matches!(record, Record::Amend { by: sdpp::terms::Role::Buyer, .. });
    while !wire.pair.s.records.iter().any(by_buyer) {
        assert!(wire.step());
    }
    wire.restart(false).unwrap();
    for received in [3, 4, 5] {
        let told = says_it_has(&mut wire, received);
        assert!(told.contains("order_refused"), "it has {received}: {told}");
    }
    wire.finish();
    is_given(&wire, 10, 5);
}

/// The buyer's word that it paid a window, which may be one that it never heard of.
fn payment(wire: &Wire, number: u64) -> Vec<u8> {
    let invoice = |record: &Record| match record {
        Record::Invoice { message, to_seq, digest, .. } if message.number == number => {
            Some((message.amount_total, Cumulative { seq: *to_seq, digest: *digest }))
        }
        _ => None,
    };
    let (amount_total, ack) = wire.pair.s.records.iter().find_map(invoice).unwrap();
    let payment = PaymentAck { number, from: None, amount_total, ack, voucher: None };
    Draft::new(wire.pair.b.session.unwrap(), &payment).sign(&key(2), "0xbogus").1
}

fn is_payment_of(record: &Record, of: u64) -> bool {
    matches!(record, Record::Payment { message, .. } if message.number == of)
}

/// The buyer hears the first window and pays it; of what leaves behind that it hears nothing.
fn send_unheard(wire: &mut Wire) {
    wire.run_to(3).pair.muted = Some(Role::Seller);
    while wire.step() {}
    wire.pair.muted = None;
    assert!(wire.pair.s.records.iter().any(|record| is_payment_of(record, 1)));
    assert_eq!((wire.pair.b.delivered.len(), wire.pair.seller.progress().items), (3, 9));
}

/// A session whose second window was invoiced and got lost, up to the void that the seller proposes.
fn lost_invoice() -> Wire {
    let mut wire = Wire::new(setting("transfer"));
    send_unheard(&mut wire);
    wire.restart(false).unwrap();
    while changes(&wire.pair.s.records).is_empty() {
        assert!(wire.step());
    }
    while wire.pair.drain_outputs(Role::Seller) {}
    wire
}

#[test]
fn a_payment_for_what_is_being_declared_void_is_refused() {
    let mut wire = lost_invoice();
    let paid = payment(&wire, 2);
    wire.pair.s.wire.clear();
    wire.pair.tell(Role::Seller, Input::Read(&paid));
    while wire.pair.drain_outputs(Role::Seller) {}
    assert!(!wire.pair.s.records.iter().any(|record| is_payment_of(record, 2)));
    ends_with(&mut wire.pair, Role::Buyer, "bad_payment", "window 2 is void");
}

#[test]
fn a_payment_for_what_is_void_since_long_is_refused() {
    let mut wire = lost_invoice();
    let is_later =
        |record: &Record| matches!(record, Record::Payment { message, .. } if message.number > 2);
    while !wire.pair.s.records.iter().any(is_later) {
        assert!(wire.step());
    }
    let paid = payment(&wire, 2);
    wire.pair.tell(Role::Seller, Input::Read(&paid));
    while wire.pair.drain_outputs(Role::Seller) {}
    assert!(!wire.pair.s.records.iter().any(|record| is_payment_of(record, 2)));
    ends_with(&mut wire.pair, Role::Buyer, "bad_payment", "window 2 is void");
}

/// The buyer hears the key of a further epoch, and that more has left than did; nothing else.
fn with_next_seq(wire: &mut Wire, next_seq: u64) {
    let (session, seller) = (wire.pair.b.session.unwrap(), key(1).public());
    loop {
        let said: Vec<u8> = wire.pair.s.wire.iter().copied().collect();
        let text = String::from_utf8(said).unwrap();
        let is_key = |line: &&str| line.contains("\"message_type\":\"session_key\"");
        if let Some(line) = text.lines().find(is_key) {
            let envelope = Envelope::parse(line.as_bytes()).unwrap();
            let mut body = envelope.signed_by::<SessionKey>(&seller, session).unwrap().body;
            body.resumed.as_mut().unwrap().next_seq = next_seq;
            let frame = Draft::new(session, &body).sign(&key(1), "").1;
            wire.pair.s.wire = frame.into();
            wire.pair.carry(Role::Seller);
            while wire.pair.drain_outputs(Role::Buyer) {}
            return;
        }
        assert!(wire.step(), "no key was sent");
    }
}

#[test]
fn a_seller_that_says_more_left_than_can_have_left_is_not_believed() {
    let cases = [(100, true), (1_000_000, true), (2_000_000, false), (1 << 60, false)];
    for (next_seq, is_believed) in cases {
        let mut wire = Wire::new(setting("transfer"));
        wire.run_to(5);
        wire.cut();
        let epochs = |wire: &Wire| {
            wire.pair.b.records.iter().filter(|one| matches!(one, Record::Epoch { .. })).count()
        };
        let before = epochs(&wire);
        with_next_seq(&mut wire, next_seq);
        assert_eq!(epochs(&wire) > before, is_believed, "{next_seq}");
        assert!(wire.pair.b.closed.is_none());
    }
}

/// An invoice as the seller signs it, for whatever.
fn invoice(wire: &Wire, number: u64, to: u64) -> Vec<u8> {
    let session = wire.pair.b.session.unwrap();
    let first = sent(&wire.pair.s).into_iter().find(|one| one["message_type"] == "data_invoice");
    let first: DataInvoice = serde_json::from_value(first.unwrap()["data"].clone()).unwrap();
    let reference = session.reference(Purpose::Payment, number);
    let invoice = Invoice { number, from: to - 2, to, reference, ..first.invoice };
    let invoice = DataInvoice { seq: to, invoice, ..first };
    Draft::new(session, &invoice).sign(&key(1), "").1
}

#[test]
fn a_seller_has_each_window_passed_over_once_and_its_word_is_kept() {
    let hear = |wire: &mut Wire, number, to| {
        let frame = invoice(wire, number, to);
        wire.pair.tell(Role::Buyer, Input::Read(&frame));
        while wire.pair.drain_outputs(Role::Buyer) {}
        frame
    };
    // The window that the buyer has some of, or the next, and the one behind it.
    let back = || {
        let mut wire = Wire::new(setting("transfer"));
        wire.run_to(4);
        wire.cut();
        let first = wire.pair.buyer.progress().items / 3 + 1;
        with_next_seq(&mut wire, 3 * first + 4);
        hear(&mut wire, first, 3 * first);
        hear(&mut wire, first + 1, 3 * first + 3);
        assert!(wire.pair.b.closed.is_none(), "{}", wire.pair.b.why());
        (wire, first)
    };
    let (wire, first) = back();
    let kept = wire.pair.b.records.iter().filter_map(|record| match record {
        Record::PassedOver { message } => Some((message.number, message.data.is_some())),
        _ => None,
    });
    assert_eq!(kept.collect::<Vec<_>>(), [(first, false), (first + 1, false)]);
    let lies = [(first + 1, first + 1), (first, first), (first + 2, first + 1), (1, first)];
    for (number, window) in lies {
        let (mut wire, _) = back();
        hear(&mut wire, number, 3 * window);
        ends_with(&mut wire.pair, Role::Seller, "bad_invoice", "passed over");
    }
}

fn setting_of(quantity: u64) -> Setting {
    Setting::default().order("co2", Some(quantity)).windows(3, 2)
}

/// Nothing leaves behind a window while a change of pace waits for its answer.
#[test]
fn behind_a_change_that_was_not_answered_nothing_is_void() {
    let mut wire = Wire::new(setting("transfer"));
    let is_invoice = |record: &Record| matches!(record, Record::Invoice { .. });
    while !wire.pair.s.records.iter().any(is_invoice) {
        assert!(wire.step());
    }
    let pace = Pace { granularity: 3, credit_windows: 3 };
    wire.pair.seller.change_pace(pace, PaceReason::Earned, wire.pair.now_ms).unwrap();
    while wire.pair.drain_outputs(Role::Seller) {}
    assert_eq!(changes(&wire.pair.s.records).remove(0).0, 4);
    wire.run_to(3);
    wire.restart(false).unwrap();
    wire.finish();
    is_given(&wire, 10, 5);
    assert_eq!(wire.pair.s.progress().void, 0);
}

#[test]
fn a_source_that_can_be_read_again_since_goes_on_where_it_was_lost() {
    let mut wire = proposed();
    wire.restart(true).unwrap();
    wire.finish();
    is_given(&wire, 10, 5);
    let voids = voids(&wire.pair.b.records);
    let is_void = |seq: &u64| voids.iter().any(|(void, _)| void.has(*seq));
    let given = wire.pair.b.delivered.iter().filter(|(seq, _)| !is_void(seq));
    let given: Vec<_> = given.map(|(_, one)| one.clone()).collect();
    assert_eq!(given, (1..=10).map(item).collect::<Vec<_>>());
}

/// A credit note is always signed, also where its window is lost.
#[test]
fn a_credit_note_behind_what_was_lost_is_signed_all_the_same() {
    let mut wire = Wire::new(setting_of(20));
    send_unheard(&mut wire);
    wire.pair.seller.credit(grant(&[1], Some(5)), wire.pair.now_ms).unwrap();
    while wire.pair.drain_outputs(Role::Seller) {}
    let (from_seq, note) = changes(&wire.pair.s.records).remove(0);
    assert!(matches!(note, Change::Credit(_)) && from_seq == 10, "{from_seq}");
    wire.restart(false).unwrap();
    wire.finish();
    let Pair { s, b, .. } = &wire.pair;
    assert_eq!((s.end(), b.end()), (End::Complete, End::Complete), "{} / {}", s.why(), b.why());
    assert!(s.progress().void > 0);
    assert_eq!((s.progress().items, s.progress().owed), (20, Amount::new(95)));
    assert_eq!(b.progress().paid, b.progress().owed);
}

/// Items that left behind the last invoice are lost, and a change had been proposed from behind them.
#[test]
fn a_change_from_behind_a_window_that_was_open_and_lost_is_nobodys_lie() {
    for credits in [false, true] {
        let mut wire = Wire::new(setting("transfer"));
        while !wire.pair.b.records.iter().any(|record| is_payment_of(record, 1)) {
            assert!(wire.step());
        }
        let delivered = wire.pair.b.delivered.len();
        assert!(delivered < 5, "{delivered} came");
        while wire.pair.seller.progress().items < 5 {
            let next = wire.pair.seller.progress().items + 1;
            wire.pair.tell(Role::Seller, Input::Items(vec![item(next)]));
            wire.pair.produced = next;
            while wire.pair.drain_outputs(Role::Seller) {}
        }
        let now_ms = wire.pair.now_ms;
        let pace = Pace { granularity: 2, credit_windows: 3 };
        match credits {
            true => assert!(wire.pair.seller.credit(grant(&[1], Some(5)), now_ms).is_ok()),
            false => wire.pair.seller.change_pace(pace, PaceReason::Earned, now_ms).unwrap(),
        }
        while wire.pair.drain_outputs(Role::Seller) {}
        assert_eq!(changes(&wire.pair.s.records).remove(0).0, 7);
        wire.restart(false).unwrap();
        wire.finish();
        let Pair { s, b, .. } = &wire.pair;
        let ends = (s.end(), b.end());
        assert_eq!(ends, (End::Complete, End::Complete), "{} / {}", s.why(), b.why());
        assert!(s.progress().void > 0);
        let credited = if credits { 5 } else { 0 };
        assert_eq!((s.progress().items, s.progress().owed), (10, Amount::new(50 - credited)));
    }
}
