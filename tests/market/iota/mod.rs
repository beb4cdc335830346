//! Stories on IOTA: a seller and a buyer as processes of their own, the double of a node in this
//! one, and what the node itself tells afterwards.

mod faults;
mod killed;
mod shop;

use crate::shop::{CO2, ends_paid, until};
use sdpp_iota_double::Fault;
use serde_json::Value;
use shop::{FIRST, Plan, Shop};
use std::collections::BTreeSet;

/// Buys 95 items, ends, and reads both books back from the ledgers: one statement each.
fn bought_and_sold(shop: &mut Shop) -> [Value; 2] {
    shop.buys_co2(95);
    shop.books_are_the_nodes();
    ["seller", "buyer"].map(|side| shop.settled_co2(side, 95))
}

fn transactions(rows: &Value) -> BTreeSet<&str> {
    rows.as_array().unwrap().iter().map(|row| row["tx"].as_str().unwrap()).collect()
}

#[test]
fn a_stream_is_paid_in_iota_and_recorded_where_it_is_paid() {
    let plans = [
        Plan::default(),
        Plan { batch: "session", anchor: "after", ..Plan::default() },
        Plan { pace_ms: [250, 1_500], granularity: 50, ..Plan::default() },
    ];
    for plan in plans {
        let windows = 95_usize.div_ceil(plan.granularity as usize);
        let Some(mut shop) = Shop::open(plan) else { return };
        let [sold, bought] = bought_and_sold(&mut shop);
        let paid = transactions(&bought["settlements"]);
        assert_eq!(paid.len(), windows, "one payment for each window");
        assert_eq!(paid, transactions(&sold["settlements"]), "both name the same");
    }
}

#[test]
fn what_is_paid_in_iota_is_recorded_on_anvil() {
    let Some(mut shop) = Shop::open(Plan { records_on: "anvil", ..Plan::default() }) else {
        return;
    };
    let [sold, _] = bought_and_sold(&mut shop);
    assert_eq!(shop.tally().executed, 10, "a payment for each window, and no record here");
    assert_eq!(shop.total("seller"), i128::try_from(FIRST + 95 * CO2).unwrap(), "and no fee");
    let chain = shop.chain.as_ref().unwrap();
    let mut recorded = chain.events("Recorded(address,bytes32,uint16,bytes32)");
    recorded.extend(chain.events("RootRecorded(address,bytes32,uint32)"));
    let on_chain: BTreeSet<&str> = recorded.iter().map(|(.., tx)| tx.as_str()).collect();
    assert!(transactions(&sold["anchors"]).is_subset(&on_chain), "{sold}");
}

#[test]
fn what_is_paid_on_anvil_is_recorded_on_iota() {
    for method in ["transfer", "escrow"] {
        let plan = Plan { pays_in: "ETH", method, ..Plan::default() };
        let Some(mut shop) = Shop::open(plan) else { return };
        let [sold, _] = bought_and_sold(&mut shop);
        let recorded = transactions(&sold["anchors"]);
        assert!(recorded.iter().all(|tx| !tx.starts_with("0x")), "{recorded:?}");
        assert!(recorded.len() >= 10, "{recorded:?}");
        assert!(shop.total("seller") < i128::try_from(FIRST).unwrap(), "records cost a fee");
        if method == "transfer" {
            let chain = shop.chain.as_ref().unwrap();
            let held = chain.cast(&["balance", "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"]);
            assert_eq!(held, "10000000000000000001900", "paid, and no fee for a record");
        }
    }
}

/// While nothing becomes final, windows go on as far as credit does, each on coins of its own.
#[test]
fn windows_at_the_same_time_are_paid_from_what_was_one_coin() {
    let plan = Plan { credit_windows: 12, granularity: 2, anchor: "after", ..Plan::default() };
    let Some(mut shop) = Shop::open(plan) else { return };
    assert_eq!(shop.coins("buyer"), 1);
    let child = shop.buy("buyer", "co2", "190").spawn().unwrap();
    until("the coin is split", || shop.coins("buyer") > 12);
    let before = shop.tally().executed;
    shop.double.hold_checkpoints(true);
    until("many are on their way", || shop.tally().executed >= before + 12);
    shop.double.hold_checkpoints(false);
    ends_paid(child, 190);
    shop.close();
    shop.books_are_the_nodes();
    let bought = shop.audit("buyer").remove(0);
    assert_eq!(transactions(&bought["settlements"]).len(), 95, "each once");
}

/// A node that tells less than the truth is asked again, and nothing is paid that was paid.
#[test]
fn an_audit_while_the_node_is_away_says_so_and_finds_nothing_wrong_later() {
    let Some(mut shop) = Shop::open(Plan::default()) else { return };
    bought_and_sold(&mut shop);
    shop.double.arm(Fault::Unavailable.always());
    let mut audit = crate::place::sdpp();
    audit.args(["audit", "--format", "json", "--journal"]).arg(shop.path("buyer-journal"));
    let output = audit.arg("--config").arg(shop.path("buyer.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    shop.double.clear();
    shop.books_are_the_nodes();
}
