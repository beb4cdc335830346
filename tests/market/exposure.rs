//! How much buyers may owe at a time that no deposit secures: over all sessions of one, and of all.

use crate::place::*;
use std::fs;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Child;

/// A place whose seller lets no more be out than this, with two windows of ten items at 20 a session.
fn open(methods: &'static str, to_one: u32, to_all: u32) -> Place {
    let mut place = Place::open(Setting { methods, ..Setting::default() });
    let mut config = OpenOptions::new().append(true).open(place.path("seller.toml")).unwrap();
    let limits = format!("credit_to_one = \"{to_one}\"\ncredit_to_all = \"{to_all}\"\n");
    write!(config, "\n[currencies.SDP.limits]\n{limits}").unwrap();
    place.sell();
    place
}

/// A session without an end, of which some items are here: two windows at 3 an item may be unpaid.
fn endless(place: &Place, name: &str) -> Running {
    place.buyer(name, 100_000);
    let mut child: Child = place.buy(name, "memory", "all").spawn().unwrap();
    while place.lines(name) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the session ended");
        std::thread::yield_now();
    }
    Running(child)
}

fn buy(place: &Place, name: &str, quantity: &str) -> (i32, String) {
    let _ = fs::remove_file(place.items(name));
    told(&mut place.buy(name, "co2", quantity))
}

#[test]
fn one_buyer_and_all_of_them_owe_no_more_at_a_time_than_the_seller_lets_be_out() {
    let mut place = open("[\"transfer\"]", 400, 440);
    place.buyer("second", 100_000);
    // Alone it may: two windows at 200.
    assert_eq!(buy(&place, "second", "30").0, 0);
    // Sixty are out while this one lasts.
    let mut first = endless(&place, "first");
    let (exit, said) = buy(&place, "second", "30");
    assert_ne!(exit, 0, "{said}");
    for what in ["credit: this seller has no room for 400 SDP more", "wait until less is out"] {
        assert!(said.contains(what), "{what:?} is not in {said}");
    }
    // What is left to all it may have, and another session of the first only what is left to that one.
    assert_eq!(buy(&place, "second", "19").0, 0);
    let config = fs::read_to_string(place.path("first.toml")).unwrap();
    fs::write(place.path("again.toml"), config.replace("first-journal", "again-journal")).unwrap();
    let (exit, said) = buy(&place, "again", "20");
    assert_ne!(exit, 0, "{said}");
    for what in ["this seller lets one buyer have 400 SDP out on credit, not 460", "wait until"] {
        assert!(said.contains(what), "{what:?} is not in {said}");
    }
    first.signal("INT");
    assert!(first.wait().success());
    assert_eq!(buy(&place, "second", "30").0, 0, "nothing is out any more");
    place.close();
    for statement in place.audit("seller") {
        assert_eq!(statement["problems"], serde_json::json!([]), "{statement}");
    }
}

#[test]
fn a_buyer_that_may_owe_no_more_pays_by_escrow_where_it_can_and_else_is_told_what_to_do() {
    let mut place = open("[\"transfer\", \"escrow\"]", 399, 399);
    place.buyer("buyer", 100_000);
    let config = fs::read_to_string(place.path("buyer.toml")).unwrap();
    let by_transfer = config.replace(", \"escrow\"]", "]").replace("deposit = \"5000\"\n", "");
    fs::write(place.path("buyer.toml"), by_transfer).unwrap();
    let (exit, said) = buy(&place, "buyer", "20");
    assert_ne!(exit, 0, "{said}");
    let says = "this seller lets one buyer have 399 SDP out on credit, not 400: order fewer items";
    assert!(said.contains(says), "{said}");
    fs::write(place.path("buyer.toml"), config.clone()).unwrap();
    let (exit, said) = buy(&place, "buyer", "20");
    assert_eq!(exit, 0, "{said}");
    place.close();
    assert_eq!(place.balance("seller"), 400);
}
