//! What a stranger can make us write, hold or tell.

use crate::liars::{ends_with, last_error, order};
use crate::pair::*;
use sdpp::message::Reason;
use sdpp::record::{End, Record};
use sdpp::session::{Input, Output};

/// Nothing of it reaches a log, a record or an answer at length, nor moves a cursor.
fn is_short(text: &str, what: &str) {
    assert!(text.chars().count() < 300, "{what}: {} characters", text.chars().count());
    assert!(!text.contains(['\u{1b}', '\n', '\u{202e}']), "{what}: {text:?}");
}

#[test]
fn what_a_stranger_writes_is_cut_before_it_is_kept() {
    let rude = format!("\u{1b}[2J\n\u{202e}{}", "x".repeat(50_000));
    let mut pair = Setting::default().no_records().start();
    pair.run_to(2);
    let data = serde_json::json!({"code": "internal", "message": rude});
    let frame = serde_json::json!({
        "message_type": "error", "data": data, "signature": "", "verification": ""
    });
    pair.forge_to_seller(format!("{frame}\n").as_bytes());
    assert_eq!(pair.s.end(), End::Refused);
    is_short(pair.s.why(), "a message");
    let Some(Record::Ended { why, .. }) = pair.s.records.last() else { panic!("it ended") };
    is_short(why, "its record");
    let short = rude[..12_000].to_owned();
    let topic = order(|order| order.data_type = short.clone());
    let currency = order(|order| order.currency_type = short.clone());
    let mut field = Setting::default().start();
    let frame = serde_json::json!({
        "message_type": rude, "data": "", "signature": "", "verification": ""
    });
    field.forge_to_seller(format!("{frame}\n").as_bytes());
    for (what, pair) in [("a topic", topic), ("a currency", currency), ("a type", field)] {
        is_short(pair.s.why(), what);
        is_short(&last_error(&pair.s).1, what);
    }
    let mut setting = Setting::default();
    for offer in &mut setting.menu.currencies_accepted {
        offer.currency = rude[..5_000].to_owned();
    }
    let mut pair = setting.start();
    pair.run();
    is_short(pair.b.why(), "a menu's currencies");
}

#[test]
fn our_own_failure_is_told_without_its_reason() {
    for role in [Role::Seller, Role::Buyer] {
        let mut pair = Setting::default().no_records().start();
        pair.run_to(2);
        pair.tell(role, Input::Failed("/home/me/secret: no space left".to_owned()));
        pair.run();
        let (ours, theirs, says) = match role {
            Role::Seller => (&pair.s, &pair.b, "the seller cannot go on"),
            Role::Buyer => (&pair.b, &pair.s, "the buyer cannot go on"),
        };
        assert_eq!((ours.end(), theirs.end()), (End::Failed, End::Refused));
        assert!(ours.why().contains("secret"), "the reason is for us");
        assert_eq!(last_error(ours), ("internal".to_owned(), says.to_owned()));
        assert!(theirs.why().contains(says) && !theirs.why().contains("secret"));
    }
}

#[test]
fn who_has_not_ordered_is_told_when_no_more_orders_are_taken() {
    let mut pair = Setting::default().start();
    pair.tell(Role::Seller, Input::Stop(Reason::Stopped));
    pair.run();
    let said = "this seller takes no orders just now".to_owned();
    assert_eq!(last_error(&pair.s), ("busy".to_owned(), said));
    assert_eq!((pair.s.end(), pair.b.end()), (End::Broken, End::Refused));
    assert!(pair.b.why().contains("takes no orders"), "{}", pair.b.why());
}

#[test]
fn who_has_not_ordered_sends_no_long_frames_and_a_customer_may() {
    let hello = |length: usize| {
        let data = format!(
            "{{\"versions\":[\"SDPP/1\",\"{}\"],\"encodings\":[\"json\"]}}",
            "x".repeat(length)
        );
        format!(
            "{{\"message_type\":\"hello\",\"data\":{data},\"signature\":\"\",\"verification\":\"\"}}\n"
        )
    };
    let mut pair = Setting::default().start();
    pair.tell(Role::Seller, Input::Read(hello(60_000).as_bytes()));
    while pair.drain_outputs(Role::Seller) {}
    assert_eq!(types(&pair.s), ["menu", "menu"], "it is answered");
    let mut pair = Setting::default().start();
    pair.forge_to_seller(hello(66_000).as_bytes());
    ends_with(&mut pair, Role::Buyer, "frame_too_long", "65536");
    let mut pair = Setting::default().no_records().start();
    pair.run_to(2);
    pair.forge_to_seller(hello(66_000).as_bytes());
    ends_with(&mut pair, Role::Buyer, "unexpected", "hello");
}

/// Items of no bytes are some bytes on the wire.
#[test]
fn the_cap_counts_what_is_on_the_wire() {
    let setting = Setting::default().no_records().order("co2", None).windows(100_000, 1);
    let mut pair = setting.start();
    while pair.seller.session().is_none() {
        assert!(pair.step());
    }
    let mut bytes = 0;
    while pair.seller.wants() > 0 {
        pair.seller.handle(Input::Items(vec![vec![]; 10]), pair.now_ms);
        while let Some(output) = pair.seller.poll() {
            bytes += if let Output::Send(sent) = output { sent.len() } else { 0 };
        }
    }
    assert!((256 << 10..270 << 10).contains(&bytes), "{bytes} bytes are out");
}

#[test]
fn an_item_in_an_invoice_counts_too() {
    let mut setting = Setting::default().no_records().order("co2", None).windows(1, 100);
    setting.seller.unacknowledged_bytes_max = 10_000;
    let mut pair = setting.start();
    while pair.seller.session().is_none() {
        assert!(pair.step());
    }
    while pair.seller.wants() > 0 {
        pair.seller.handle(Input::Items(vec![vec![]]), pair.now_ms);
    }
    assert!(pair.seller.progress().items < 16, "{} are out", pair.seller.progress().items);
}
