//! `sdpp bench fabric` on a network of its own: what it says that it did the network has.

use crate::network::Network;
use crate::place::{assert_done, says_what_to_start, sdpp};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

/// How many transactions of each kind the network has, by its own word.
fn counts(network: &Network) -> Value {
    let text = fs::read_to_string(network.path("network.json")).unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    let host = told["faults"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = &answer[answer.find('{').unwrap()..=answer.rfind('}').unwrap()];
    serde_json::from_str::<Value>(body).unwrap()["counts"].clone()
}

#[test]
fn what_the_bench_says_was_recorded_and_paid_the_network_has() {
    let Some(network) = Network::up() else { return };
    let before = counts(&network)["VALID"].as_u64().unwrap();
    let mut bench = sdpp();
    bench.args(["bench", "fabric", "--json", "--runs", "2", "--records", "9", "--producers", "4"]);
    bench.args(["--windows", "3", "--credit", "2", "--payers", "3", "--payments", "2"]);
    let output = bench.env("SDPP_FABRIC_DIR", network.path("")).output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();

    let records = 1 + 9 + 4 * 3;
    // Each payer's money is made, swept and paid; then one of them pays and promises twice.
    let payments = 3 * 3 + 2 + 2;
    let accounts = 2 + 3;
    let after = counts(&network);
    let done = 1 + 2 * (records + payments + accounts);
    assert_eq!(after["VALID"].as_u64().unwrap() - before, done, "each once: {after} {told}");
    assert_eq!(after["MVCC_READ_CONFLICT"], 0, "one account's payments wait for each other");

    let median = |name: &str| told[name]["median"].as_f64().unwrap();
    assert_eq!(median("spends_per_block"), 1.0, "{told}");
    assert!(median("blocks_of_many") <= 2.0, "{told}");
    assert!(told["open_at_most"]["max"].as_f64().unwrap() <= 8.0, "{told}");
    for measured in ["ms_for_one", "cpu_ms_per_record", "bare_cpu_ms_per_record"] {
        assert!(median(measured) > 0.0, "{told}");
    }
    assert_eq!(told["is_bounded"], true, "{told}");
}

#[test]
fn the_bench_says_what_to_start_where_no_network_is() {
    says_what_to_start(&["bench", "fabric"], "fabric");
}
