//! What happens when one side lies: a clear error, the evidence kept, nothing lost.

use crate::pair::*;
use sdpp::crypto::layout::MessageKind;
use sdpp::message::{Ack, Body, Data, DataInvoice, Draft, Exit, Order, PaymentAck};
use sdpp::record::{End, Record};
use sdpp::session::Input;
use sdpp::terms::SessionId;
use sdpp_ledger::{Amount, Digest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A message on the wire whose data can be changed, or left as it is to the byte.
#[derive(Serialize, Deserialize)]
struct Message {
    message_type: String,
    data: Box<RawValue>,
    signature: String,
    verification: String,
}

impl Message {
    fn change_data(&mut self, change: impl FnOnce(&mut Value)) {
        let mut data: Value = serde_json::from_str(self.data.get()).unwrap();
        change(&mut data);
        self.data = serde_json::value::to_raw_value(&data).unwrap();
    }
}

/// Runs to the next message of a kind on the wire, changes it, and lets everything go on.
fn tamper(pair: &mut Pair, from: Role, kind: &str, change: impl FnOnce(&Pair, &mut Message)) {
    loop {
        let side = if from == Role::Seller { &pair.s } else { &pair.b };
        let wire: Vec<u8> = side.wire.iter().copied().collect();
        let text = String::from_utf8(wire).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let is_kind = |line: &String| line.contains(&format!("\"message_type\":\"{kind}\""));
        if let Some(line) = lines.iter_mut().find(|line| is_kind(line)) {
            let mut message: Message = serde_json::from_str(line).unwrap();
            change(pair, &mut message);
            *line = serde_json::to_string(&message).unwrap();
            let side = if from == Role::Seller { &mut pair.s } else { &mut pair.b };
            side.wire = (lines.join("\n") + "\n").bytes().collect();
            pair.run();
            return;
        }
        assert!(pair.step(), "no {kind} was sent");
    }
}

/// As [`tamper`] in a fresh session, and the liar signs its lie: only its content gives it away.
pub fn lie<T: Body>(setting: Setting, liar: Role, change: impl Fn(&mut Value)) -> Pair {
    let mut pair = setting.start();
    lie_in::<T>(&mut pair, liar, change);
    pair
}

/// As [`lie`] in a session that is under way.
pub fn lie_in<T: Body>(pair: &mut Pair, liar: Role, change: impl Fn(&mut Value)) {
    let key = key(if liar == Role::Seller { 1 } else { 2 });
    tamper(pair, liar, &T::KIND.to_string(), |pair, message| {
        message.change_data(change);
        let body: T = serde_json::from_str(message.data.get()).unwrap();
        let session = pair.s.session.or(pair.b.session).unwrap_or(SessionId::NONE);
        let (_, frame) = Draft::new(session, &body).sign(&key, &message.verification);
        *message = serde_json::from_slice(&frame).unwrap();
    });
}

pub fn last_error(side: &Side) -> (String, String) {
    let error = sent(side).into_iter().rfind(|m| m["message_type"] == "error");
    let error = error.expect("an error is sent before closing");
    let text = |key: &str| error["data"][key].as_str().unwrap().to_owned();
    (text("code"), text("message"))
}

/// The session is over, both sides know why, and what was recorded ends with it.
pub fn ends_with(pair: &mut Pair, liar: Role, code: &str, says: &str) {
    let honest = if liar == Role::Seller { &pair.b } else { &pair.s };
    let (found, message) = last_error(honest);
    assert_eq!(found, code, "{message}");
    assert!(message.contains(says), "{message:?} does not say {says:?}");
    assert_eq!(honest.end(), End::Misconduct, "{message}");
    if honest.session.is_some() {
        let last = honest.records.last().unwrap();
        assert!(matches!(last, Record::Ended { end: End::Misconduct, .. }), "{last:?}");
    }
}

#[test]
fn a_changed_message_is_known_by_its_signature() {
    let mut pair = Setting::default().start();
    tamper(&mut pair, Role::Seller, "data_invoice", |_, m| {
        m.change_data(|d| d["invoice"]["amount"] = json!("1"))
    });
    ends_with(&mut pair, Role::Seller, "bad_signature", "data_invoice");
}

#[test]
fn a_relabelled_type_is_known_by_its_signature() {
    let mut pair = Setting::default().anchored_after().windows(4, 2).start();
    tamper(&mut pair, Role::Buyer, "payment_ack", |_, m| m.message_type = "exit".to_owned());
    let (code, _) = last_error(&pair.s);
    assert!(code == "malformed" || code == "bad_signature", "{code}");
    assert_eq!(pair.s.end(), End::Misconduct);
}

#[test]
fn a_changed_verification_is_known_by_its_signature() {
    let mut pair = Setting::default().start();
    tamper(&mut pair, Role::Buyer, "payment_ack", |_, m| m.verification = "0x00".to_owned());
    ends_with(&mut pair, Role::Buyer, "bad_signature", "payment_ack");
}

#[test]
fn the_other_half_of_a_signature_is_no_signature() {
    let mut pair = Setting::default().start();
    tamper(&mut pair, Role::Buyer, "payment_ack", |_, m| {
        m.signature = high_s(&m.signature);
    });
    ends_with(&mut pair, Role::Buyer, "bad_signature", "payment_ack");
}

/// n - s instead of s, and the other v.
fn high_s(signature: &str) -> String {
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let digits = |text: &str| -> Vec<u32> {
        text.as_bytes().iter().rev().map(|b| (*b as char).to_digit(16).unwrap()).collect()
    };
    let (mut borrow, mut flipped) = (0i32, Vec::new());
    for (n, s) in digits(order).into_iter().zip(digits(&signature[66..130])) {
        let digit = n as i32 - s as i32 - borrow;
        borrow = i32::from(digit < 0);
        flipped.push(char::from_digit((digit + 16 * borrow) as u32, 16).unwrap());
    }
    let s: String = flipped.into_iter().rev().collect();
    let v = if signature.ends_with("1b") { "1c" } else { "1b" };
    format!("{}{s}{v}", &signature[..66])
}

#[test]
fn an_item_under_mac_cannot_be_changed_either() {
    let mut pair = Setting::default().under_mac().start();
    tamper(&mut pair, Role::Seller, "data", |_, m| m.change_data(|d| d["seq"] = json!(2)));
    ends_with(&mut pair, Role::Seller, "bad_signature", "data");
    let mut pair = Setting::default().under_mac().start();
    tamper(&mut pair, Role::Buyer, "ack", |_, m| m.change_data(|d| d["seq"] = json!(3)));
    ends_with(&mut pair, Role::Buyer, "bad_signature", "ack");
}

#[test]
fn a_frame_that_is_no_message_ends_the_session_with_a_word_for_it() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20));
    let twice = r#"{"message_type":"hello","data":"","data":"","signature":"","verification":""}"#;
    let deep = format!(
        r#"{{"message_type":"hello","data":{}0{},"signature":"","verification":""}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let inner = r#"{"message_type":"hello","data":{"versions":[],"versions":[]},"signature":"","verification":""}"#;
    let extra = r#"{"message_type":"hello","data":"","signature":"","verification":"","more":1}"#;
    let unknown = r#"{"message_type":"hallo","data":"","signature":"","verification":""}"#;
    let cases: [(&[u8], &str, &str); 9] = [
        (b"GET / HTTP/1.1", "malformed", "frame"),
        (b"{}", "malformed", "missing field"),
        (b"\xff\xfe", "malformed", "utf-8"),
        (twice.as_bytes(), "malformed", "duplicate"),
        (inner.as_bytes(), "malformed", "duplicate key \"versions\""),
        (extra.as_bytes(), "malformed", "unknown field"),
        (unknown.as_bytes(), "malformed", "unknown variant"),
        (deep.as_bytes(), "malformed", "recursion"),
        (long.as_bytes(), "frame_too_long", "longer than the 65536"),
    ];
    for (frame, code, says) in cases {
        let mut pair = Setting::default().start();
        pair.forge_to_seller(&[frame, b"\n"].concat());
        ends_with(&mut pair, Role::Buyer, code, says);
    }
}

/// An order as an honest buyer would make it, changed before it is signed.
pub fn order(change: impl Fn(&mut Order)) -> Pair {
    order_under(Setting::default().no_records().start(), change)
}

/// The same, on a connection that is there; its order does not arrive.
pub fn order_under(mut pair: Pair, change: impl Fn(&mut Order)) -> Pair {
    let ordered = |pair: &Pair| types(&pair.b).last().is_some_and(|kind| kind == "order");
    while !ordered(&pair) {
        assert!(pair.step());
    }
    let honest = sent(&pair.b).pop().unwrap();
    pair.b.wire.clear();
    let mut order: Order = serde_json::from_value(honest["data"].clone()).unwrap();
    change(&mut order);
    let (_, frame) = Draft::new(SessionId::NONE, &order).sign(&key(2), "");
    pair.forge_to_seller(&frame);
    pair
}

#[test]
fn an_order_that_does_not_fit_the_menu_is_refused_with_the_reason() {
    type Case = (fn(&mut Order), &'static str, &'static str);
    let cases: [Case; 9] = [
        (
            |o| o.order_quantity = Some(101),
            "quantity",
            "101 items of gas were ordered, there are 100",
        ),
        (|o| o.order_quantity = Some(0), "quantity", "no items"),
        (|o| o.data_type = "gold".to_owned(), "unknown_topic", "\"gold\""),
        (|o| o.currency_type = "BTC".to_owned(), "unknown_currency", "\"BTC\""),
        (|o| o.menu_digest = Digest::ZERO, "menu_expired", "another menu"),
        (|o| o.version = "SDPP/0".to_owned(), "version", "SDPP/1"),
        (|o| o.public_key_encryption = o.public_key_signature, "order_refused", "fresh"),
        (|o| o.method = sdpp::terms::Method::Escrow, "order_refused", "channel"),
        (|o| o.public_key_signature = key(1).public(), "bad_signature", "order"),
    ];
    for (change, code, says) in cases {
        let mut pair = order(change);
        ends_with(&mut pair, Role::Buyer, code, says);
        assert!(pair.s.records.is_empty(), "nothing is owed for an order that was refused");
    }
}

#[test]
fn equal_keys_on_both_sides_are_refused() {
    let mut pair = Setting::default().no_records().start();
    while types(&pair.b).is_empty() {
        assert!(pair.step());
    }
    let mut order: Order = serde_json::from_value(sent(&pair.b).remove(0)["data"].clone()).unwrap();
    pair.b.wire.clear();
    order.public_key_signature = key(1).public();
    let (_, frame) = Draft::new(SessionId::NONE, &order).sign(&key(1), "");
    pair.forge_to_seller(&frame);
    ends_with(&mut pair, Role::Buyer, "order_refused", "must not be the seller's");
}

#[test]
fn an_expired_menu_is_not_sold_from() {
    let mut setting = Setting::default().no_records();
    setting.buyer.clock_skew_ms = 1 << 40;
    let mut pair = setting.start();
    while types(&pair.b).is_empty() {
        assert!(pair.step());
    }
    let order: Vec<u8> = pair.b.wire.drain(..).collect();
    pair.now_ms += 60_000;
    pair.forge_to_seller(&order);
    ends_with(&mut pair, Role::Buyer, "menu_expired", "ask for a new one");
}

#[test]
fn a_buyer_takes_no_menu_that_is_not_its_sellers() {
    let mut setting = Setting::default();
    setting.wish.seller = Some(key(9).public());
    let mut pair = setting.start();
    pair.run();
    ends_with(&mut pair, Role::Seller, "bad_signature", "menu");
    let mut setting = Setting::default();
    setting.wish.seller = None;
    let mut pair = setting.start();
    pair.run();
    assert_eq!(pair.b.end(), End::Complete, "trust on first use was asked for");
}

#[test]
fn what_the_buyer_itself_cannot_order_is_said_before_an_order_leaves() {
    type Case = (fn(&mut Setting), &'static str);
    let cases: [Case; 5] = [
        (|s| s.wish.quantity = Some(101), "101 items of gas are wanted, there are 100"),
        (|s| s.wish.topic = "gold".to_owned(), "no topic \"gold\""),
        (
            |s| s.wish.max_total = Some(Amount::new(17)),
            "6 items cost 0.000018 SDP, our ceiling is 0.000017",
        ),
        (|s| s.wish.currencies[0].decimals = 2, "6 decimals, ours has 2"),
        (|s| s.wish.currencies[0].name = "ETH".to_owned(), "the seller takes SDP by transfer"),
    ];
    for (change, says) in cases {
        let mut setting = Setting::default();
        change(&mut setting);
        let mut pair = setting.start();
        pair.run();
        assert_eq!(pair.b.end(), End::Failed);
        assert!(pair.b.why().contains(says), "{:?} does not say {says:?}", pair.b.why());
        assert!(!types(&pair.b).contains(&"order".to_owned()));
    }
}

#[test]
fn a_menu_without_windows_is_not_ordered_from() {
    let mut pair = Setting::default().windows(0, 1).start();
    pair.run();
    ends_with(&mut pair, Role::Seller, "order_refused", "K or W is zero");
}

#[test]
fn an_invoice_that_asks_for_anything_else_is_not_paid() {
    type Case = (fn(&mut Value), &'static str);
    let cases: [Case; 8] = [
        (|m| m["invoice"]["amount_total"] = json!("13"), "its amount"),
        (|m| m["invoice"]["amount"] = json!("11"), "its amount"),
        (|m| m["invoice"]["number"] = json!(2), "its number"),
        (|m| m["invoice"]["from"] = json!(2), "its number or range"),
        (|m| m["invoice"]["payment_address"] = json!("0xthief"), "its currency or payee"),
        (|m| m["invoice"]["digest"] = json!(Digest::ZERO), "its digest or root"),
        (|m| m["invoice"]["root"] = json!(Digest::ZERO), "its digest or root"),
        (|m| m["invoice"]["reference"] = json!(Digest::ZERO), "its reference"),
    ];
    for (change, says) in cases {
        let mut pair = lie::<DataInvoice>(Setting::default().no_records(), Role::Seller, change);
        ends_with(&mut pair, Role::Seller, "bad_invoice", says);
        assert_eq!(pair.transferred(), Amount::ZERO, "{says}: nothing was paid");
        let Some(Record::Ended { evidence, .. }) = pair.b.records.last() else {
            panic!("{says}: it ended");
        };
        assert!(evidence.first().is_some_and(|lie| lie.is_by(&key(1).public())), "{says}");
    }
}

#[test]
fn an_item_that_is_not_under_its_leaf_is_not_acknowledged() {
    let change = |m: &mut Value| m["leaf"] = json!(Digest::ZERO);
    let mut pair = lie::<Data>(Setting::default().no_records(), Role::Seller, change);
    ends_with(&mut pair, Role::Seller, "bad_item", "its leaf is not the digest");
    let change = |m: &mut Value| m["seq"] = json!(2);
    let mut pair = lie::<Data>(Setting::default().no_records(), Role::Seller, change);
    ends_with(&mut pair, Role::Seller, "bad_item", "not the next one");
}

#[test]
fn an_ack_of_items_never_sent_or_with_another_digest_is_refused() {
    let change = |m: &mut Value| m["seq"] = json!(50);
    let mut pair = lie::<Ack>(Setting::default().no_records(), Role::Buyer, change);
    ends_with(&mut pair, Role::Buyer, "bad_item", "not sent");
    let change = |m: &mut Value| m["digest"] = json!(Digest::ZERO);
    let mut pair = lie::<Ack>(Setting::default().no_records(), Role::Buyer, change);
    ends_with(&mut pair, Role::Buyer, "bad_item", "digest");
}

#[test]
fn a_payment_that_is_short_or_for_another_window_is_refused() {
    let change = |m: &mut Value| m["amount_total"] = json!("8");
    let mut pair = lie::<PaymentAck>(Setting::default().no_records(), Role::Buyer, change);
    ends_with(&mut pair, Role::Buyer, "bad_payment", "asks 12 in all, 8 is paid: 4 owed");
    let change = |m: &mut Value| m["number"] = json!(2);
    let mut pair = lie::<PaymentAck>(Setting::default().no_records(), Role::Buyer, change);
    ends_with(&mut pair, Role::Buyer, "bad_payment", "window 1 is to be paid now, not 2");
}

/// After so many honest payments the buyer names another transaction than the one that pays, and
/// signs that.
fn claim(setting: Setting, after: usize, tx: impl Fn(&Pair) -> String) -> Pair {
    let mut pair = setting.start();
    let payments = |pair: &Pair| types(&pair.b).iter().filter(|t| *t == "payment_ack").count();
    while payments(&pair) < after || !pair.b.wire.is_empty() {
        assert!(pair.step(), "the payments before it were not sent");
    }
    tamper(&mut pair, Role::Buyer, "payment_ack", |pair, message| {
        let body: PaymentAck = serde_json::from_str(message.data.get()).unwrap();
        let draft = Draft::new(pair.b.session.unwrap(), &body);
        *message = serde_json::from_slice(&draft.sign(&key(2), &tx(pair)).1).unwrap();
    });
    pair
}

#[test]
fn a_payment_used_twice_pays_once() {
    let setting = Setting::default().no_records().windows(2, 1);
    let mut pair = claim(setting, 1, |pair| pair.ledger[0].2.to_string());
    ends_with(&mut pair, Role::Buyer, "bad_payment", "window 2 is not good");
    assert_eq!(pair.s.progress().paid, Amount::new(6), "the first window, once");
}

#[test]
fn a_payment_that_the_ledger_does_not_know_ends_the_session() {
    let mut pair = claim(Setting::default().no_records(), 0, |_| "0xnothing".to_owned());
    ends_with(&mut pair, Role::Buyer, "bad_payment", "no such payment");
    let mut pair = claim(Setting::default().no_records(), 0, |_| String::new());
    ends_with(&mut pair, Role::Buyer, "bad_payment", "names no transaction");
}

#[test]
fn a_late_payment_ends_the_session_with_what_is_owed() {
    let mut pair = Setting::default().no_records().start();
    while !types(&pair.s).contains(&"data_invoice".to_owned()) {
        assert!(pair.step());
    }
    pair.ledger_down = true;
    pair.run().wait();
    let (code, message) = last_error(&pair.s);
    assert_eq!((code.as_str(), pair.s.end()), ("timed_out", End::Broken));
    assert!(message.contains("window 1 is late: 12 owed"), "{message}");
    assert!(pair.s.records.iter().any(|r| matches!(r, Record::Ack { .. })), "the ack is kept");
}

#[test]
fn a_voucher_that_gives_less_or_is_anothers_is_refused() {
    let setting = || Setting::default().by_escrow().under_mac().no_records();
    let change = |m: &mut Value| m["voucher"]["cumulative_amount"] = json!("11");
    let mut pair = lie::<PaymentAck>(setting(), Role::Buyer, change);
    ends_with(&mut pair, Role::Buyer, "bad_payment", "worth 11 in this session, owed 12");
    let forged = key(9).sign(&Digest([1; 32])).to_string();
    let change = move |m: &mut Value| m["voucher"]["signature"] = json!(forged.as_str());
    let mut pair = lie::<PaymentAck>(setting(), Role::Buyer, change);
    ends_with(&mut pair, Role::Buyer, "bad_payment", "not signed by the channel's signer");
    assert!(!pair.s.records.iter().any(|r| matches!(r, Record::Voucher { .. })));
}

#[test]
fn a_receipt_that_does_not_fit_what_was_bought_is_misconduct() {
    let change = |m: &mut Value| m["items"] = json!(7);
    let mut pair = lie::<Exit>(Setting::default().no_records(), Role::Seller, change);
    ends_with(&mut pair, Role::Seller, "bad_invoice", "7 items");
}

#[test]
fn a_message_out_of_its_place_ends_the_session() {
    let mut pair = Setting::default().start();
    let menu = {
        pair.step();
        sent(&pair.s)[0].to_string() + "\n"
    };
    pair.run_to(2);
    pair.forge_to_seller(menu.as_bytes());
    ends_with(&mut pair, Role::Buyer, "unexpected", "menu has no place here");
    assert_eq!(MessageKind::Menu.to_string(), "menu");
}

#[test]
fn silence_before_an_order_ends_the_connection_and_leaves_nothing() {
    let mut pair = Setting::default().start();
    while pair.seller.poll().is_some() {}
    pair.now_ms += 10_000;
    pair.seller.handle_timeout(pair.now_ms);
    assert!(pair.run().s.closed.is_none(), "the buyer may still be opening a channel");
    pair.now_ms += 50_000;
    pair.seller.handle_timeout(pair.now_ms);
    pair.run();
    assert_eq!(pair.s.end(), End::Broken);
    assert!(pair.s.records.is_empty());
}

#[test]
fn a_broken_line_keeps_what_was_acknowledged() {
    let mut pair = Setting::default().no_records().windows(4, 2).order("co2", None).start();
    pair.run_to(5);
    while pair.b.wire.is_empty() && pair.step() {}
    pair.tell(Role::Seller, Input::Hangup);
    pair.tell(Role::Buyer, Input::Hangup);
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Broken, End::Broken));
    assert!(matches!(pair.s.records.last(), Some(Record::Ended { end: End::Broken, .. })));
    assert!(matches!(pair.b.records.last(), Some(Record::Ended { end: End::Broken, .. })));
}
