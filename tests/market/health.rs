//! What a supervisor is told: ready or not, and why.

use crate::place::*;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What `GET /health` answers: its status, and what it says.
fn asked(address: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.trim_end().to_owned())
}

/// What it answers once it is this.
fn until(address: &str, status: u16, says: &str) -> String {
    let began = Instant::now();
    loop {
        let (now, words) = asked(address);
        if now == status && words.contains(says) {
            return words;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{now}: {words}");
    }
}

#[test]
fn a_ledger_that_is_away_for_too_long_and_what_is_owed_there_turn_the_node_red_until_it_is_back() {
    let topics = "[admin]\nhealth = \"127.0.0.1:0\"\nobligations_old_s = 2\n".to_owned();
    let setting = Setting { granularity: 3, topics, patience_ms: 120_000, ..Setting::default() };
    let mut place = Place::open(setting);
    // A ledger's own patience, after which it counts as silent; and a session's, after that.
    place.sell_with("kind = \"embedded\"\n", "kind = \"embedded\"\npatience_ms = 500\n");
    place.buyer("buyer", 1_000_000);
    let address = place.status()["health"].as_str().unwrap().to_owned();
    assert_eq!(asked(&address), (200, "ready".to_owned()));
    let buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
    while place.lines("buyer") < 10 {
        std::thread::yield_now();
    }
    place.ledger.signal("STOP");
    let words = until(&address, 503, "obligations on ledger local");
    assert!(words.starts_with("not ready: "), "{words}");
    assert!(!words.contains("is away"), "a session waits for longer than that: {words}");
    let status: Value = place.status();
    assert_eq!(status["ready"], false, "{status}");
    assert!(!status["ledgers"]["local"]["away_since_ms"].is_null(), "it is shown: {status}");
    place.ledger.signal("CONT");
    until(&address, 200, "ready");
    place.close();
    drop(buyer);
}

#[test]
fn a_ledger_that_is_away_for_longer_than_a_session_waits_is_why_a_node_is_not_ready() {
    let topics = "[admin]\nhealth = \"127.0.0.1:0\"\n".to_owned();
    let mut place = Place::open(Setting { topics, patience_ms: 2_000, ..Setting::default() });
    place.sell_with("kind = \"embedded\"\n", "kind = \"embedded\"\npatience_ms = 500\n");
    let address = place.status()["health"].as_str().unwrap().to_owned();
    // Nothing is owed there: it is asked all the same.
    place.ledger.signal("STOP");
    until(&address, 503, "ledger local is away for");
    place.ledger.signal("CONT");
    until(&address, 200, "ready");
    place.close();
}
