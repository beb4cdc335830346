//! Buying and selling, by every way of paying and recording, one buyer and many.

use crate::place::*;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ends paid on both sides, with the items as they were, and nothing wrong in either journal.
fn ends_paid(place: &Place, name: &str, child: Child, items: usize) {
    let output = child.wait_with_output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let owed = (items as u128 * 20).to_string();
    assert_eq!((&told["owed"], &told["paid"]), (&owed.clone().into(), &owed.into()), "{told}");
    assert_eq!(told["end"], "complete", "{told}");
    let got = std::fs::read_to_string(place.items(name)).unwrap();
    assert_eq!(got.lines().collect::<Vec<_>>(), co2_items(items));
    let statements = place.audit(name);
    assert_eq!(statements.len(), 1, "{statements:?}");
    assert_eq!(statements[0]["outstanding"], "0", "{statements:?}");
    assert_eq!(statements[0]["problems"].as_array().unwrap().len(), 0);
}

#[test]
fn every_way_of_paying_and_recording() {
    let settings = [
        Setting::default(),
        Setting {
            signed: false,
            batch: "session",
            anchor: "after",
            credit_windows: 8,
            ..Setting::default()
        },
        Setting { methods: "[\"escrow\"]", ..Setting::default() },
        Setting { methods: "[\"escrow\"]", signed: false, anchor: "after", ..Setting::default() },
    ];
    for setting in settings {
        let mut place = Place::open(setting);
        place.buyer("buyer", 10_000);
        let child = place.buy("buyer", "co2", "95").spawn().unwrap();
        ends_paid(&place, "buyer", child, 95);
        place.close();
        let sold = place.audit("seller");
        assert_eq!(sold.len(), 1);
        assert_eq!((&sold[0]["items_delivered"], &sold[0]["windows"]), (&95.into(), &10.into()));
        assert_eq!(place.balance("seller"), 1_900, "{sold:?}");
        assert_eq!(place.balance("buyer"), 8_100, "what was not spent is back");
        let anchors = sold[0]["anchors"].as_array().unwrap();
        assert_eq!(anchors.len(), 11, "ten invoices and the receipt");
        assert!(anchors.iter().all(|anchor| anchor["ok"] == true), "{anchors:?}");
    }
}

#[test]
fn two_buyers_at_once_and_twenty_at_once() {
    let mut place = Place::open(Setting { granularity: 5, ..Setting::default() });
    for count in [2, 20] {
        let names: Vec<String> = (0..count).map(|n| format!("buyer-{count}-{n}")).collect();
        names.iter().for_each(|name| place.buyer(name, 10_000));
        let children: Vec<Child> =
            names.iter().map(|name| place.buy(name, "co2", "23").spawn().unwrap()).collect();
        for (name, child) in names.iter().zip(children) {
            ends_paid(&place, name, child, 23);
        }
    }
    place.close();
    let sold = place.audit("seller");
    assert_eq!(sold.len(), 22);
    assert!(sold.iter().all(|statement| statement["state"] == "complete"), "{sold:?}");
    assert_eq!(place.balance("seller"), 22 * 23 * 20);
}

#[test]
fn a_stop_on_either_side_ends_with_the_last_window_paid() {
    for who in ["seller", "buyer"] {
        let mut place = Place::open(Setting { granularity: 7, ..Setting::default() });
        place.buyer("buyer", 1_000_000);
        let buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
        while place.lines("buyer") < 20 {
            std::thread::yield_now();
        }
        let output = if who == "seller" {
            place.close();
            wait(buyer)
        } else {
            buyer.signal("INT");
            wait(buyer)
        };
        assert_done(&output);
        let bought = place.audit("buyer").remove(0);
        assert_eq!(bought["state"], "complete", "{who} stopped: {bought}");
        assert_eq!(bought["outstanding"], "0");
        let items = std::fs::read_to_string(place.items("buyer")).unwrap().lines().count();
        assert_eq!(bought["items_delivered"], items, "every item that came is in the file");
        assert_eq!(amount(&bought["settled"]), items as u128 * 3);
    }
}

fn wait(mut running: Running) -> std::process::Output {
    // Taken out, so that dropping the rest stops nobody.
    let stdout = running.0.stdout.take();
    let stderr = running.0.stderr.take();
    let status = running.wait();
    let read = |from: Option<&mut dyn std::io::Read>| {
        let mut bytes = Vec::new();
        from.map(|from| from.read_to_end(&mut bytes));
        bytes
    };
    let stdout = read(stdout.map(|s| Box::leak(Box::new(s)) as &mut dyn std::io::Read));
    let stderr = read(stderr.map(|s| Box::leak(Box::new(s)) as &mut dyn std::io::Read));
    std::process::Output { status, stdout, stderr }
}

#[test]
fn what_a_program_prints_is_sold_like_any_sensor() {
    let topics = "[topics.count]\nprice = \"20\"\nsource = { kind = \"command\", command = [\"seq\", \"1\", \"12\"] }\n";
    let place = Place::open(Setting { topics: topics.to_owned(), ..Setting::default() });
    place.buyer("buyer", 10_000);
    assert_done(&place.buy("buyer", "count", "all").output().unwrap());
    let got = std::fs::read_to_string(place.items("buyer")).unwrap();
    assert_eq!(
        got.lines().map(|l| l.parse().unwrap()).collect::<Vec<u32>>(),
        (1..=12).collect::<Vec<_>>()
    );
    assert_eq!(place.balance("seller"), 240, "the part window was paid too");
}

#[test]
fn a_buyer_without_money_gets_what_k_and_w_allow_and_no_more() {
    let place = Place::open(Setting { anchor: "after", ..Setting::default() });
    // What it needs for what is out on credit, and nothing for what it goes on to take.
    place.buyer("buyer", 400);
    let output = place.buy("buyer", "co2", "all").output().unwrap();
    assert!(!output.status.success());
    let sold = place.audit("seller").remove(0);
    assert_eq!(amount(&sold["settled"]), 400, "two windows were paid: {sold}");
    assert!(sold["items_delivered"].as_u64().unwrap() <= 40, "{sold}");
    assert_eq!(place.balance("seller"), 400);
}

#[test]
fn a_buyer_that_cannot_pay_for_all_that_it_wants_orders_nothing() {
    for methods in ["[\"transfer\"]", "[\"escrow\"]"] {
        let place = Place::open(Setting { methods, ..Setting::default() });
        place.buyer("buyer", 1_899);
        let output = place.buy("buyer", "co2", "95").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // A channel is funded with more than this order, by the config.
        let needs = if methods.contains("escrow") { 5_000 } else { 1_900 };
        assert!(said.contains(&format!("can pay 1899 of the coin, it needs {needs}")), "{said}");
        let (_, said) = told(&mut to_stdout(&place));
        assert_eq!(said.lines().count(), 1, "it is said once: {said}");
        let config = place.path("buyer.toml");
        let fund = format!("`sdpp ledger fund AMOUNT --config {}`", config.display());
        assert!(said.contains(&fund), "{said}");
        assert_eq!(place.balance("buyer"), 1_899);
        assert!(place.audit("seller").is_empty() && place.audit("buyer").is_empty());
    }
}

/// A buyer's command to buy 95 items, to standard output.
fn to_stdout(place: &Place) -> Command {
    let mut command = sdpp();
    command.args(["buy", &place.address, "co2", "95", "--trust-on-first-use", "--config"]);
    command.arg(place.path("buyer.toml")).stderr(Stdio::piped());
    command
}

#[test]
fn items_that_nobody_takes_are_paid_all_the_same() {
    let place = Place::open(Setting { granularity: 7, ..Setting::default() });
    place.buyer("buyer", 10_000);
    let mut buyer = to_stdout(&place).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(1, buyer.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_done(&buyer.wait_with_output().unwrap());
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = to_stdout(&place).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot write the output: No space"), "{said}");
    for bought in place.audit("buyer") {
        assert_eq!((&bought["state"], &bought["outstanding"]), (&"complete".into(), &"0".into()));
        assert_eq!(bought["invoiced"], bought["settled"], "{bought}");
    }
}

#[test]
fn a_currency_s_ceiling_holds_for_that_currency() {
    let place = Place::open(Setting::default());
    place.buyer("buyer", 10_000);
    let sdp = std::fs::read_to_string(place.path("buyer.toml")).unwrap();
    let gold = "[currencies.GOLD]\nledger = \"local\"\ndecimals = 6\nmethods = [\"transfer\"]\n";
    // The seller takes SDP alone, and the cost is 1900.
    for (of_gold, of_sdp, is_bought) in [("1000000", "1899", false), ("10", "1900", true)] {
        let first =
            format!("[[buyer.currencies]]\ncurrency = \"GOLD\"\nmax_total = \"{of_gold}\"\n");
        let config = sdp
            .replace("max_total = \"1000000\"", &format!("max_total = \"{of_sdp}\""))
            .replace("[[buyer", &format!("{first}[[buyer"))
            .replace("[records]", &format!("{gold}[records]"));
        std::fs::write(place.path("buyer.toml"), config).unwrap();
        let output = place.buy("buyer", "co2", "95").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), is_bought, "{said}");
        assert!(is_bought || said.contains("our ceiling is 0.001899"), "{said}");
    }
}

#[test]
fn a_connection_that_says_nothing_does_not_stay() {
    let topics = "first_message_ms = 200\n".to_owned();
    let place = Place::open(Setting { topics, patience_ms: 60_000, ..Setting::default() });
    let (mut stranger, began) =
        (std::net::TcpStream::connect(&place.address).unwrap(), Instant::now());
    let mut menu = Vec::new();
    stranger.read_to_end(&mut menu).unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "long before the patience of a session");
    assert!(menu.starts_with(b"{\"message_type\":\"menu\""));
}

#[test]
fn what_cannot_be_bought_is_said_and_costs_nothing() {
    let place = Place::open(Setting::default());
    place.buyer("buyer", 10_000);
    for (topic, quantity, says) in [
        ("gold", "5", "no topic \"gold\""),
        ("co2", "1000000", "items of co2 are wanted, there are"),
    ] {
        let output = place.buy("buyer", topic, quantity).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(says), "{said:?} does not say {says:?}");
        assert!(!place.items("buyer").exists(), "the next try finds nothing in its way");
    }
    assert_eq!(place.balance("buyer"), 10_000);
}

#[test]
fn a_port_or_a_journal_in_use_is_named() {
    let place = Place::open(Setting::default());
    let second = sdpp().args(["sell", "--config"]).arg(place.path("seller.toml")).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    let pid = place.seller.as_ref().unwrap().0.id().to_string();
    assert!(said.contains(&format!("process {pid}")), "{said}");
    place.buyer("other", 1);
    let mut config = std::fs::read_to_string(place.path("seller.toml")).unwrap();
    config = config.replace("seller-journal", "third-journal");
    config = config.replace("127.0.0.1:0", &place.address);
    std::fs::write(place.path("third.toml"), config).unwrap();
    let third = sdpp().args(["sell", "--config"]).arg(place.path("third.toml")).output().unwrap();
    let said = String::from_utf8_lossy(&third.stderr).into_owned();
    assert!(said.contains(&place.address) && said.contains("cannot listen"), "{said}");
}

/// Whoever reads our output takes a break: what came is acknowledged and paid meanwhile.
#[test]
fn a_slow_reader_of_the_items_keeps_nobody_waiting() {
    let place = Place::open(Setting { granularity: 100, ..Setting::default() });
    place.buyer("buyer", 100_000);
    let mut buy = sdpp();
    buy.args(["buy", &place.address, "co2", "2200", "--trust-on-first-use", "--config"]);
    let mut buyer =
        Running(buy.arg(place.path("buyer.toml")).stdout(Stdio::piped()).spawn().unwrap());
    let mut stdout = buyer.0.stdout.take().unwrap();
    while place.status()["sessions"]["ended"] != 1 {
        std::thread::yield_now();
    }
    assert_eq!(place.balance("seller"), 44_000, "all is paid before anything is read");
    let mut got = String::new();
    stdout.read_to_string(&mut got).unwrap();
    assert!(buyer.wait().success());
    assert_eq!(got.lines().collect::<Vec<_>>(), co2_items(2200));
}
