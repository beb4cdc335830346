//! A ledger that stops in the middle of a stream: the rest is paid on another where both sides want
//! that, and waits where one does not.

use crate::chain::Chain;
use crate::place::*;
use crate::shop::until;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// How many items may be unpaid on one ledger.
const CREDIT: usize = 20;

/// A chain that does not answer until this is dropped.
struct Frozen(String);

impl Frozen {
    fn new(chain: &Chain) -> Frozen {
        let frozen = Frozen(chain.read("pid"));
        frozen.signal("STOP");
        frozen
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.0]).status().unwrap().success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("CONT");
    }
}

/// A buyer that pays in ether first, and then in the coin of an embedded ledger, which keeps the
/// seller's records.
fn open(chain: &Chain, fail_over: bool) -> Place {
    let mut place = Place::open(Setting { anchor: "after", ..Setting::default() });
    place.buyer("buyer", 1_000_000);
    let (url, escrow) = (chain.recorded("url"), chain.recorded("escrow"));
    let ether = format!(
        "\n[ledgers.anvil]\nkind = \"ethereum\"\nchain_id = 31337\nendpoints = [\"{url}\"]\n\
         escrow = \"{escrow}\"\ndepth = 1\npoll_ms = 100\n\
         [currencies.ETH]\nledger = \"anvil\"\nasset = \"coin\"\ndecimals = 18\n\
         methods = [\"transfer\"]\n"
    );
    let rate = "rate = { numerator = \"1000000000\", denominator = \"1\" }\n";
    let seller = [("[seller]\n", format!("[seller]\nfail_over = {fail_over}\n"))];
    let second = "[[buyer.currencies]]\ncurrency = \"SDP\"\n";
    let first = second.replace("SDP", "ETH");
    let most = "max_total = \"1000000000000000000\"\n";
    let buyer = [(second, format!("fail_over_after_s = 1\n{first}{most}{second}"))];
    for (side, changes, more) in
        [("seller", &seller[..], format!("{ether}{rate}")), ("buyer", &buyer[..], ether.clone())]
    {
        let path = place.path(&format!("{side}.toml"));
        let mut text = fs::read_to_string(&path).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{from:?} is not in {text}");
            text = text.replacen(from, to, 1);
        }
        fs::write(path, text + &more).unwrap();
        let account = place.key(side).public().account().to_string();
        chain.cast(&["rpc", "anvil_setBalance", &account, "0xde0b6b3a7640000"]);
    }
    place.sell();
    place
}

/// What the seller's journal has of changes, by the one word that each is.
fn changes(place: &Place) -> Vec<String> {
    let mut list = sdpp();
    list.args(["journal", "list", "--json", "--journal"]).arg(place.journal("seller"));
    let output = list.output().unwrap();
    assert_done(&output);
    let entries = statements(&output.stdout);
    let amends = entries.iter().map(|entry| &entry["record"]).filter(|r| r["record"] == "amend");
    let change = |amend: &Value| {
        let data = amend["message"]["data"].as_str().unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        data["change"].as_object().unwrap().keys().next().unwrap().clone()
    };
    amends.map(change).collect()
}

/// Each leg of a side's only statement: its currency, and what was invoiced, paid and left.
fn legs(place: &Place, side: &str) -> Vec<[String; 4]> {
    let statement = place.audit(side).remove(0);
    assert_eq!(statement["problems"], json!([]), "{side}: {statement}");
    assert_eq!(statement["state"], "complete", "{side}: {statement}");
    let of = |leg: &Value| {
        ["currency", "invoiced", "paid", "outstanding"].map(|key| leg[key].as_str().unwrap().into())
    };
    statement["legs"].as_array().unwrap().iter().map(of).collect()
}

/// Buys without an end, stops the chain when some is paid there, and starts it again once the seller's
/// journal has this change; then goes on for a while and ends. Gives each leg, on which both agree.
fn plays(chain: &Chain, mut place: Place, change: &str) -> Vec<[String; 4]> {
    let mut buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
    until("windows are paid in ether", || place.lines("buyer") > 3 * CREDIT);
    let frozen = Frozen::new(chain);
    let before = place.lines("buyer");
    until("the buyer asked for another currency", || {
        changes(&place).iter().any(|one| one == change)
    });
    let is_refused = change == "refused";
    if is_refused {
        assert!(place.lines("buyer") <= before + 2 * CREDIT, "nothing is paid, and nothing comes");
        drop(frozen);
        until("the stream goes on", || place.lines("buyer") > before + 5 * CREDIT);
    } else {
        until("the stream goes on", || place.lines("buyer") > before + 5 * CREDIT);
        drop(frozen);
    }
    buyer.signal("INT");
    assert!(buyer.wait().success());
    place.close();
    let told = legs(&place, "seller");
    assert_eq!(told, legs(&place, "buyer"));
    for leg in &told {
        assert_eq!((&leg[1], leg[3].as_str()), (&leg[2], "0"), "{leg:?}");
    }
    told
}

#[test]
fn a_ledger_that_stops_in_mid_stream_is_left_for_another_where_both_sides_want_that() {
    let Some(chain) = Chain::up() else { return };
    let legs = plays(&chain, open(&chain, true), "leg");
    let currencies: Vec<_> = legs.iter().map(|leg| leg[0].as_str()).collect();
    assert_eq!(currencies, ["ETH", "SDP"]);
    assert!(legs.iter().all(|leg| leg[2] != "0"), "both were paid in: {legs:?}");
}

#[test]
fn a_ledger_that_stops_in_mid_stream_is_waited_for_where_the_seller_changes_no_currency() {
    let Some(chain) = Chain::up() else { return };
    let legs = plays(&chain, open(&chain, false), "refused");
    let currencies: Vec<_> = legs.iter().map(|leg| leg[0].as_str()).collect();
    assert_eq!(currencies, ["ETH"]);
}
