//! What a session that did not end well leaves behind is carried to a real chain, by whichever side
//! does it and however often: to the last unit.

use crate::chain::PRICE;
use crate::gate::{Limits, vanish};
use crate::killed::{BEFORE_IT_LEAVES, Market, change};
use crate::place::{Place, Running, Setting, amount, assert_done, sdpp, told};
use serde_json::{Value, json};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

/// What the buyer of these stories takes, and what it acknowledges.
const LIMITS: Limits = Limits { take: 95, ack: 93 };

/// What the seller is owed by that, in wei.
const VOUCHED: i128 = 93 * PRICE as i128;

/// What the buyer deposits, in wei.
const DEPOSIT: i128 = 1_000_000_000_000_000;

/// A chain, a seller of 95 readings in windows of ten, and a buyer that pays in one way alone.
fn market(method: &str) -> Option<Market> {
    let market = Market::open()?;
    let config = market.chain.read("buyer.toml");
    market.pays_by(method, &config);
    change(&market.chain, "seller", "granularity = 5", "granularity = 10");
    let readings: Vec<String> = (1..=LIMITS.take).map(|n| format!("{{\"reading\":{n}}}")).collect();
    fs::write(market.chain.path("readings.json"), readings.join("\n") + "\n").unwrap();
    let topic = "[topics.readings]\nprice = \"1000000000000\"\nunits = \"\"\n\
                 source = { kind = \"file\", path = \"readings.json\", format = \"lines\" }\n\
                 [topics.cpu_load]";
    change(&market.chain, "seller", "[topics.cpu_load]", topic);
    Some(market)
}

/// A buyer takes what it takes and says nothing more. As long as its line is kept it has not even
/// hung up.
fn vanished(market: &Market, address: &str) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut buy = sdpp();
    buy.arg("buy").arg(listener.local_addr().unwrap().to_string()).args(["readings", "all"]);
    buy.args(["--trust-on-first-use", "--currency", "ETH", "--config"]);
    buy.arg(market.chain.path("buyer.toml")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut buyer = Running(buy.spawn().unwrap());
    vanish(&listener, &mut buyer.0, address, LIMITS).unwrap()
}

/// The channel that the seller holds a voucher for 93 readings on.
fn vouched(market: &Market) {
    let most = VOUCHED.to_string();
    market.until_seller(|told| told["channels"][0]["vouched"] == json!(most));
}

/// A seller that was killed at the moment at which its buyer vanished.
fn both_gone() -> Option<Market> {
    let market = market("escrow")?;
    market.without_records();
    let (mut seller, address) = market.chain.sell();
    let line = vanished(&market, &address);
    vouched(&market);
    seller.signal("KILL");
    seller.wait();
    drop(line);
    Some(market)
}

fn settle(market: &Market, side: &str) -> Command {
    let session = market.book(side, "sessions")[0]["id"].as_str().unwrap().to_owned();
    let mut settle = sdpp();
    settle.args(["dispute", "settle", &session, "--config"]);
    settle.arg(market.chain.path(&format!("{side}.toml")));
    settle
}

/// What the command says to a program, and its exit code.
fn settled(market: &Market, side: &str, more: &[&str]) -> (i32, Value) {
    let output = settle(market, side).arg("--json").args(more).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let told = serde_json::from_slice(&output.stdout);
    (output.status.code().unwrap(), told.unwrap_or_else(|error| panic!("{error}: {errors}")))
}

/// What a side's own journal proves, as `sdpp dispute show` tells it to a program.
fn shown(market: &Market, side: &str) -> Value {
    let session = market.book(side, "sessions")[0]["id"].as_str().unwrap().to_owned();
    let mut show = sdpp();
    show.args(["dispute", "show", &session, "--json", "--journal"]);
    let (exit, verdict) = told(show.arg(market.chain.path(&format!("{side}-journal"))));
    assert_eq!(exit, 0, "{verdict}");
    serde_json::from_str(&verdict).unwrap()
}

/// The calls that it names, and how far each is.
fn calls(told: &Value) -> Vec<(&str, &str)> {
    let text = |value: &'_ Value| value.as_str().map(str::to_owned).unwrap();
    let calls = told["calls"].as_array().unwrap();
    assert!(calls.iter().all(|call| !text(&call["call"]).is_empty()), "{told}");
    calls
        .iter()
        .map(|call| (call["call"].as_str().unwrap(), call["state"].as_str().unwrap()))
        .collect()
}

fn gained(market: &Market) -> (i128, i128) {
    (market.gained("seller"), market.gained("buyer"))
}

/// The escrow's grace period is over.
fn time_passes(market: &Market) {
    market.ask("evm_increaseTime", &json!([1_000_000]));
    market.ask("evm_mine", &json!([]));
}

#[test]
fn a_seller_that_died_with_its_buyer_is_paid_for_what_was_acknowledged_and_then_closes() {
    let Some(market) = both_gone() else { return };
    assert_eq!(gained(&market), (0, -DEPOSIT), "nothing is settled yet");
    // The first of two commands shows what is owed, the second has it paid.
    let verdict = shown(&market, "seller");
    assert_eq!(amount(&verdict["voucher"]["worth"]), VOUCHED as u128, "{verdict}");
    assert_eq!(amount(&verdict["unless"][0]["pays"]), VOUCHED as u128, "{verdict}");
    let rows = || market.book("seller", "entries").len();
    let before = rows();
    let (exit, dry) = settled(&market, "seller", &["--dry-run"]);
    assert_eq!((exit, calls(&dry), rows()), (0, vec![("settle", "planned")], before), "{dry}");
    assert_eq!(amount(&dry["calls"][0]["brings"]), VOUCHED as u128, "{dry}");
    let foretold = amount(&dry["calls"][0]["cost"]);

    let (exit, done) = settled(&market, "seller", &[]);
    assert_eq!((exit, calls(&done)), (0, vec![("settle", "done")]), "{done}");
    assert_eq!(gained(&market), (VOUCHED, -DEPOSIT));
    assert_eq!(shown(&market, "seller")["debts"], json!([]), "it has what it can prove");
    let cost = amount(&done["calls"][0]["cost"]);
    assert!(foretold.abs_diff(cost) < cost / 2, "{foretold} was foretold, it cost {cost}");

    let (exit, again) = told(&mut settle(&market, "seller"));
    assert!(exit == 0 && again.contains("there is nothing more to do"), "{again}");
    let (exit, closed) = settled(&market, "seller", &["--close"]);
    assert_eq!((exit, calls(&closed)), (0, vec![("close", "done")]), "{closed}");
    assert_eq!(closed["channel"]["over"], true, "{closed}");
    assert_eq!(gained(&market), (VOUCHED, -VOUCHED), "the buyer has its rest back");
    assert_eq!(market.sent_by("seller").len(), 2, "each thing once");
    for side in ["seller", "buyer"] {
        let (exit, again) = settled(&market, side, &[]);
        assert_eq!((exit, calls(&again).len()), (0, usize::from(side == "seller")), "{again}");
        assert_eq!(market.told(side, "settled"), VOUCHED as u128, "{side}");
    }
    assert_eq!(gained(&market), (VOUCHED, -VOUCHED));
}

#[test]
fn a_stale_close_is_answered_in_time_by_a_seller_that_was_down() {
    let Some(market) = both_gone() else { return };
    let (exit, asked) = settled(&market, "buyer", &[]);
    assert_eq!((exit, calls(&asked)), (0, vec![("request_close", "done")]), "{asked}");
    let ready_ms = asked["channel"]["ready_ms"].as_u64().unwrap();
    let (exit, said) = told(&mut settle(&market, "buyer"));
    assert!(exit == 0 && said.contains("can be withdrawn from"), "{said}");

    let (exit, dry) = settled(&market, "seller", &["--dry-run"]);
    assert_eq!((exit, calls(&dry)), (0, vec![("close", "planned")]), "{dry}");
    assert_eq!(dry["channel"]["ready_ms"].as_u64(), Some(ready_ms), "{dry}");
    let (exit, done) = settled(&market, "seller", &[]);
    assert_eq!((exit, calls(&done)), (0, vec![("close", "done")]), "{done}");
    assert_eq!(gained(&market), (VOUCHED, -VOUCHED), "both have what is theirs");

    let (exit, closed) = settled(&market, "buyer", &[]);
    assert_eq!((exit, &closed["channel"]["over"]), (0, &json!(true)), "{closed}");
    let (exit, said) = told(&mut settle(&market, "seller"));
    assert!(exit == 0 && said.contains("there is nothing more to do"), "{said}");
    assert_eq!((market.sent_by("seller").len(), market.sent_by("buyer").len()), (1, 2));
    assert_eq!(gained(&market), (VOUCHED, -VOUCHED));
}

#[test]
fn what_nobody_claims_in_time_is_the_buyers_and_its_seller_is_told_so() {
    let Some(market) = both_gone() else { return };
    let (exit, dry) = settled(&market, "buyer", &["--dry-run"]);
    assert_eq!((exit, calls(&dry)), (0, vec![("request_close", "planned")]), "{dry}");
    let (exit, asked) = settled(&market, "buyer", &[]);
    assert_eq!((exit, calls(&asked)), (0, vec![("request_close", "done")]), "{asked}");
    time_passes(&market);
    let (exit, dry) = settled(&market, "buyer", &["--dry-run"]);
    assert!(exit == 0 && calls(&dry).contains(&("withdraw", "planned")), "{dry}");
    let (exit, done) = settled(&market, "buyer", &[]);
    assert_eq!((exit, calls(&done)), (0, vec![("withdraw", "done")]), "{done}");
    assert_eq!(gained(&market), (0, 0), "all of the deposit is back");
    let (exit, again) = settled(&market, "buyer", &[]);
    assert_eq!((exit, calls(&again)), (0, vec![("withdraw", "done")]), "{again}");
    assert_eq!(market.sent_by("buyer").len(), 3);

    let (exit, said) = told(&mut settle(&market, "seller"));
    assert!(exit == 1 && said.contains("0.000093000000000000 ETH is lost"), "{said}");
    assert!(market.sent_by("seller").is_empty(), "nothing is sent in vain");
}

#[test]
fn a_settlement_that_is_killed_in_the_middle_is_finished_by_the_next_and_paid_once() {
    let Some(market) = both_gone() else { return };
    let doomed = market.doomed("seller", &BEFORE_IT_LEAVES);
    let is_held = market.hold(&doomed);
    let mut running = Running(settle(&market, "seller").stdout(Stdio::null()).spawn().unwrap());
    market.kill(&mut running, &doomed, &is_held);
    assert_eq!(gained(&market), (0, -DEPOSIT));
    let (exit, dry) = settled(&market, "seller", &["--dry-run"]);
    assert_eq!((exit, calls(&dry)), (0, vec![("settle", "owed")]), "{dry}");
    let (exit, done) = settled(&market, "seller", &[]);
    assert_eq!((exit, calls(&done)), (0, vec![("settle", "done")]), "{done}");
    assert_eq!(market.sent_by("seller").len(), 1, "once");
    assert_eq!(gained(&market), (VOUCHED, -DEPOSIT));
    market.book_is_the_chain_s("seller");
}

/// The seller does by itself what it can: the command finds all done. When it was down while the
/// channel's payer asked to close, its watch answers as soon as it is up.
#[test]
fn a_running_seller_settles_by_itself_and_so_does_one_that_comes_back_to_a_request() {
    let Some(market) = market("escrow") else { return };
    market.without_records();
    let (mut seller, address) = market.chain.sell();
    let line = vanished(&market, &address);
    vouched(&market);
    let (exit, dry) = settled(&market, "seller", &["--dry-run"]);
    assert_eq!((exit, calls(&dry)), (0, vec![("settle", "planned")]), "by its node: {dry}");
    drop(line);
    market.until("it settles", || market.gained("seller") == VOUCHED);
    market.seller_settles();
    let verdict = shown(&market, "seller");
    assert_eq!((&verdict["acknowledged"]["items"], &verdict["debts"]), (&json!(93), &json!([])));
    let (exit, done) = settled(&market, "seller", &[]);
    assert_eq!((exit, calls(&done)), (0, vec![("settle", "done")]), "{done}");
    assert_eq!(market.sent_by("seller").len(), 1, "once");
    let (exit, closed) = settled(&market, "seller", &["--close"]);
    assert_eq!((exit, calls(&closed)), (0, vec![("close", "done")]), "by its node: {closed}");
    assert_eq!(gained(&market), (VOUCHED, -VOUCHED));

    // The same buyer again, in a new channel, and this time its seller is away.
    let line = vanished(&market, &address);
    vouched(&market);
    seller.signal("KILL");
    seller.wait();
    drop(line);
    let sessions = market.book("buyer", "sessions");
    let channels = market.book("buyer", "obligations");
    assert_eq!((sessions.len(), channels.len()), (2, 2), "{channels:?}");
    let mut close = sdpp();
    close.args(["ledger", "close", "--all", "--config"]).arg(market.chain.path("buyer.toml"));
    let (exit, said) = told(&mut close);
    assert!(exit == 0 && said.contains("asked to close"), "{said}");
    assert_eq!(gained(&market), (VOUCHED, -VOUCHED - DEPOSIT));
    let (mut seller, _) = market.chain.sell();
    market.until("its watch answers", || market.gained("seller") == 2 * VOUCHED);
    market.seller_settles();
    seller.signal("TERM");
    assert!(seller.wait().success());
    time_passes(&market);
    let (exit, said) = told(&mut close);
    assert!(exit == 0 && said.contains("came back"), "{said}");
    assert_eq!(gained(&market), (2 * VOUCHED, -2 * VOUCHED));
}

/// The same buyer where no escrow holds its money: what it paid it paid, and what it owes for the
/// rest can be shown to anybody.
#[test]
fn by_transfer_ninety_are_paid_and_the_pinned_evidence_proves_what_is_owed_for_three() {
    let Some(market) = market("transfer") else { return };
    let (mut seller, address) = market.chain.sell();
    let line = vanished(&market, &address);
    let paid = (90 * PRICE) as i128;
    market.until("ninety are paid", || market.gained("seller") == paid);
    market.seller_settles();
    drop(line);
    market.until("the session has ended", || {
        let ended = &market.book("seller", "sessions")[0]["ended"];
        *ended == json!("broken")
    });
    let (exit, dry) = settled(&market, "seller", &["--dry-run"]);
    assert_eq!((exit, calls(&dry)), (0, vec![("anchor", "planned")]), "{dry}");
    assert!(amount(&dry["calls"][0]["cost"]) > 0 && dry["bundle"]["file"].is_null(), "{dry}");

    let file = market.chain.path("evidence.json");
    let file = file.to_str().unwrap();
    let (exit, done) = settled(&market, "seller", &["--bundle", file]);
    assert_eq!((exit, calls(&done)), (0, vec![("anchor", "done")]), "{done}");
    assert_eq!(done["bundle"]["digest"], dry["bundle"]["digest"], "the same evidence");
    let debt = &done["verdict"]["debts"][0];
    assert_eq!((&debt["by"], &debt["to"]), (&json!("buyer"), &json!("seller")), "{done}");
    assert_eq!(amount(&debt["at_least"]), 3 * PRICE, "{debt}");
    assert_eq!(amount(&debt["at_most"]), 3 * PRICE, "{debt}");
    let pinned = market.chain.events("Recorded(address,bytes32,uint16,bytes32)");
    let tx = done["calls"][0]["tx"].as_str().unwrap();
    let [(_, _, on_chain)] = &pinned.iter().filter(|(.., one)| one == tx).collect::<Vec<_>>()[..]
    else {
        panic!("{tx} is not among {pinned:?}")
    };
    let logs = market.chain.rpc("eth_getTransactionReceipt", &json!(on_chain))["logs"].to_string();
    let digest = done["bundle"]["digest"].as_str().unwrap();
    assert!(logs.contains(digest.trim_start_matches("0x")), "{digest} is not in {logs}");

    // The same again is there already, whoever has the journal open.
    seller.signal("TERM");
    assert!(seller.wait().success());
    let before = market.sent_by("seller").len();
    let mut settle = settle(&market, "seller");
    let (exit, said) = told(settle.args(["--bundle", file]));
    assert!(exit == 0 && said.contains(&format!("sdpp dispute judge {file}")), "{said}");
    assert!(said.contains("The buyer owes the seller 0.000003000000000000 ETH."), "{said}");
    assert!(said.contains(tx) && said.contains(digest), "{said}");
    assert_eq!(market.sent_by("seller").len(), before, "nothing is pinned twice");
    let read = fs::read(file).unwrap();
    let bundle = sdpp::dispute::Bundle::parse(&read).unwrap();
    assert_eq!(bundle.digest().to_string(), digest);
    assert_eq!(gained(&market), (paid, -paid));
    market.told("seller", "settled");

    // The buyer was killed before it wrote how the session ended. Its first settlement writes that,
    // and it is no other evidence for the next.
    let file = market.chain.path("buyers-evidence.json");
    let file = file.to_str().unwrap();
    let digests = [(); 2].map(|()| {
        let (exit, done) = settled(&market, "buyer", &["--bundle", file]);
        assert_eq!((exit, calls(&done)), (0, vec![("anchor", "done")]), "{done}");
        done["bundle"]["digest"].clone()
    });
    assert_eq!(digests[0], digests[1]);
}

/// An anchor costs a fee, and of a session that is even it proves nothing that anybody asks.
#[test]
fn of_a_session_that_is_even_nothing_is_pinned_unless_somebody_asks() {
    let mut place = Place::open(Setting::default());
    place.buyer("buyer", 1_000_000);
    assert_done(&place.buy("buyer", "memory", "6").output().unwrap());
    place.close();
    let session = place.audit("seller")[0]["session"].as_str().unwrap().to_owned();
    let settle = |more: &[&str]| {
        let mut sdpp = sdpp();
        sdpp.args(["dispute", "settle", &session, "--json", "--config"]);
        let output = sdpp.arg(place.path("seller.toml")).args(more).output().unwrap();
        assert_done(&output);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let told = settle(&[]);
    assert_eq!((&told["calls"], &told["verdict"]["debts"]), (&json!([]), &json!([])), "{told}");
    let file = place.path("even.json");
    let told = settle(&["--bundle", file.to_str().unwrap()]);
    assert_eq!(told["calls"][0]["state"], "done", "{told}");
    assert!(file.exists());
}
