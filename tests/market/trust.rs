//! What a buyer has paid is remembered: over sessions, and over restarts of the seller.

use crate::place::*;
use sdpp::journal::Journal;
use sdpp::record::Record;
use serde_json::{Value, json};
use std::fs;
use std::process::Child;

/// How many items each window had, session by session.
fn windows(journal: &Journal) -> Vec<Vec<u64>> {
    let mut sessions = Vec::new();
    for entry in journal.reader().entries(0, 1_000).unwrap() {
        match entry.record {
            Record::Order { .. } => sessions.push(Vec::new()),
            Record::Invoice { from_seq, to_seq, .. } => {
                sessions.last_mut().unwrap().push(to_seq + 1 - from_seq);
            }
            _ => {}
        }
    }
    sessions
}

#[test]
fn windows_grow_with_what_was_paid_over_sessions_and_restarts() {
    for methods in ["[\"escrow\"]", "[\"transfer\"]"] {
        let topics = "[seller.trust]\ngranularity = 16\nearn_permille = 600\n".to_owned();
        let setting = Setting { methods, granularity: 2, topics, ..Setting::default() };
        let mut place = Place::open(setting);
        place.buyer("buyer", 1_000_000);
        place.buyer("other", 1_000_000);
        for name in ["buyer", "buyer", "other"] {
            assert_done(&place.buy(name, "co2", "60").output().unwrap());
            std::fs::remove_file(place.items(name)).unwrap();
            place.close();
            if name == "buyer" {
                place.sell();
            }
        }
        // Opened once: what other stories start meanwhile has its lock for a moment longer than we do.
        let journal = Journal::open_existing(&place.journal("seller")).unwrap();
        let sessions = windows(&journal);
        let [first, second, others] = &sessions[..] else { panic!("{sessions:?}") };
        for new in [first, others] {
            assert!(new.starts_with(&[2, 2, 2]), "everybody begins small: {new:?}");
            assert!(new.contains(&4) && new[..new.len() - 1].is_sorted(), "and grows: {new:?}");
        }
        assert_eq!(second[0], 2, "the first window is as the menu says");
        // Sixty items were paid, and what six in ten of them cost may be unpaid: two windows of 16.
        let known_from = second.iter().position(|items| *items == 16);
        assert!(known_from.is_some_and(|at| at <= 2), "it is known: {second:?}");
        assert!(second[..second.len() - 1].is_sorted(), "only the last may be a part: {second:?}");
        let [known, other] = ["buyer", "other"]
            .map(|name| journal.reader().standing(&place.key(name).public()).unwrap());
        assert_eq!((known.settled.units(), known.owed.units(), known.broken), (2 * 1_200, 0, 0));
        assert_eq!(known.windows, (first.len() + second.len()) as u64);
        assert_eq!(other.settled.units(), 1_200);
    }
}

/// The paces that the seller's invoices say, each once: how many items, and why.
fn said(place: &Place) -> Vec<(u64, String)> {
    let mut list = sdpp();
    list.args(["journal", "list", "--json", "--journal"]).arg(place.journal("seller"));
    let output = list.output().unwrap();
    assert_done(&output);
    let mut said = Vec::new();
    for entry in statements(&output.stdout) {
        let record = &entry["record"];
        if record["record"] == "invoice" {
            let data = record["message"]["data"].as_str().unwrap();
            let pace = &serde_json::from_str::<Value>(data).unwrap()["invoice"]["pace"];
            if let Some(granularity) = pace["granularity"].as_u64() {
                said.push((granularity, pace["why"].as_str().unwrap().to_owned()));
            }
        }
    }
    said.dedup();
    said
}

/// A side's only statement tells these paces, and nothing is wrong.
fn assert_told(place: &Place, side: &str, said: &[(u64, String)]) {
    let statement = place.audit(side).remove(0);
    assert_eq!(statement["problems"], json!([]), "{statement}");
    let paces = statement["paces"].as_array().unwrap().iter();
    let of = |pace: &Value| {
        (pace["granularity"].as_u64().unwrap(), pace["why"].as_str().unwrap().to_owned())
    };
    let mut paces: Vec<_> = paces.map(of).collect();
    paces.dedup();
    // The last change may have come after the last invoice.
    assert!(paces.starts_with(said), "{side}: {paces:?}, invoiced {said:?}");
    assert!(paces.len() <= said.len() + 1, "{side}: {paces:?}, invoiced {said:?}");
}

/// Buys without an end until the seller's invoices say this of the paces; then both end in good order,
/// and both audits tell the same.
fn buys_until(mut place: Place, mut step: impl FnMut(&Place, &[(u64, String)]) -> bool) {
    let mut buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
    let is_running = |child: &mut Child| child.try_wait().unwrap().is_none();
    loop {
        let said = said(&place);
        assert!(is_running(&mut buyer.0), "it ended before its time: {said:?}");
        assert!(place.lines("buyer") < 20_000, "no such paces: {said:?}");
        if step(&place, &said) {
            break;
        }
    }
    buyer.signal("INT");
    assert!(buyer.wait().success());
    place.close();
    let said = said(&place);
    assert_told(&place, "seller", &said);
    assert_told(&place, "buyer", &said);
}

/// From one reason on to another, in this order, whatever comes between.
fn goes(said: &[(u64, String)], way: &[(u64, &str)]) -> bool {
    let mut left = way.iter();
    let mut next = left.next();
    for (items, why) in said {
        if next.is_some_and(|(to, reason)| (items, why.as_str()) == (to, reason)) {
            next = left.next();
        }
    }
    next.is_none()
}

/// Windows of two, or of 16 for who has paid 32 items.
fn by_escrow(deposit: &str) -> Place {
    let topics = "[seller.trust]\ngranularity = 16\nearn_permille = 1000\n".to_owned();
    let (methods, granularity, anchor) = ("[\"escrow\"]", 2, "after");
    let place = Place::open(Setting { methods, granularity, anchor, topics, ..Setting::default() });
    place.buyer("buyer", 1_000_000);
    let path = place.path("buyer.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(path, config.replace("\"5000\"", deposit)).unwrap();
    place
}

/// A hundred items are deposited at a time: the channel gets thin, and is topped up.
#[test]
fn windows_shrink_with_what_is_left_in_the_channel_and_grow_when_it_is_topped_up() {
    let way = [(16, "earned"), (4, "thin"), (16, "earned"), (4, "thin"), (16, "earned")];
    buys_until(by_escrow("\"300\""), |_, said| goes(said, &way));
}

/// Vouchers go on while the ledger is frozen, in small windows.
#[test]
fn windows_shrink_while_the_ledger_does_not_answer_and_grow_when_it_does() {
    let mut frozen = false;
    buys_until(by_escrow("\"900000\""), |place, said| {
        if !frozen && goes(said, &[(16, "earned")]) {
            place.ledger.signal("STOP");
            frozen = true;
        }
        if frozen && goes(said, &[(16, "earned"), (2, "ledger")]) {
            place.ledger.signal("CONT");
        }
        goes(said, &[(16, "earned"), (2, "ledger"), (16, "earned")])
    });
}
