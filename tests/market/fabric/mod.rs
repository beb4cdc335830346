//! Stories on a Fabric network: a seller and buyers as processes of their own, the double with the
//! real chaincode, and what the network itself tells afterwards.

mod faults;
mod killed;
mod shop;

use crate::double::FIRST;
use crate::place::amount;
use crate::shop::{CO2, ends_paid};
use serde_json::Value;
use shop::{Plan, Shop, times};

/// Buys 95 items, ends, and reads both books back from the ledgers: one statement each.
fn bought_and_sold(shop: &mut Shop) -> [Value; 2] {
    shop.buys_co2(95);
    ["seller", "buyer"].map(|side| {
        assert_eq!(shop.unsettled(side), Vec::<Value>::new(), "{side}");
        shop.settled_co2(side, 95)
    })
}

#[test]
fn a_stream_is_paid_in_account_money_and_recorded_where_it_is_paid() {
    let settings = [
        Plan::default(),
        Plan { batch: "session", anchor: "after", events: false, ..Plan::default() },
    ];
    for plan in settings {
        let Some(mut shop) = Shop::open(plan) else { return };
        let [sold, _] = bought_and_sold(&mut shop);
        assert_eq!(shop.total("seller"), FIRST + 95 * CO2);
        assert_eq!(shop.total("buyer"), FIRST - 95 * CO2);
        let bought = shop.told("buyer");
        assert_eq!(times(&bought, "Paid"), 10, "one payment for each window");
        let anchors = sold["anchors"].as_array().unwrap();
        assert_eq!(anchors.len(), 11, "ten invoices and the receipt");
        // What a row names is what the network has.
        let told = shop.told("seller");
        let on_ledger: Vec<&str> = told.iter().map(|one| one.tx.as_str()).collect();
        let named = anchors.iter().all(|one| on_ledger.contains(&one["tx"].as_str().unwrap()));
        assert!(named, "{anchors:?} {told:?}");
    }
}

#[test]
fn a_stream_is_paid_in_ious_of_a_buyer_that_the_seller_trusts() {
    let Some(mut shop) = Shop::open(Plan { pays_in: "IOU", ..Plan::default() }) else { return };
    bought_and_sold(&mut shop);
    assert_eq!((shop.total("seller"), shop.total("buyer")), (FIRST, FIRST), "no money moved");
    assert_eq!(shop.ious("seller"), [95 * CO2, 0]);
    assert_eq!(shop.ious("buyer"), [0, 95 * CO2]);
    assert_eq!(times(&shop.told("buyer"), "Owed"), 10);
}

/// Nobody whose IOUs are worth nothing to the seller gets anything for them.
#[test]
fn a_buyer_whose_ious_the_seller_does_not_take_is_not_paid_with_them() {
    let Some(mut shop) = Shop::open(Plan { pays_in: "IOU", ..Plan::default() }) else { return };
    let config = shop.path("seller.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let other = text.replace("ious_from = [\"Org2MSP\"]", "ious_from = [\"Org3MSP\"]");
    std::fs::write(&config, other).unwrap();
    shop.sell();
    let output = shop.buy("buyer", "co2", "95").output().unwrap();
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(shop.lines("buyer") <= 2 * 10, "no more than the credit it was given");
    shop.close();
    let sold = shop.audit("seller").remove(0);
    assert_eq!(amount(&sold["settled"]), 0, "{sold}");
}

#[test]
fn what_is_paid_on_anvil_is_recorded_on_fabric() {
    let plan = Plan { pays_in: "ETH", records_on: "fabric", ..Plan::default() };
    let Some(mut shop) = Shop::open(plan) else { return };
    bought_and_sold(&mut shop);
    assert_eq!((shop.total("seller"), shop.total("buyer")), (FIRST, FIRST), "no money here");
    let told = shop.told("seller");
    assert!(times(&told, "Anchored") >= 10, "{told:?}");
    let chain = shop.chain.as_ref().unwrap();
    let held = chain.cast(&["balance", "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"]);
    assert_eq!(held, "10000000000000000001900", "paid, and no fee for a record");
}

#[test]
fn what_is_paid_on_fabric_is_recorded_on_anvil() {
    for pays_in in ["USD", "IOU"] {
        let plan = Plan { pays_in, records_on: "anvil", ..Plan::default() };
        let Some(mut shop) = Shop::open(plan) else { return };
        let [sold, _] = bought_and_sold(&mut shop);
        assert_eq!(shop.told("seller").len(), 0, "no record here");
        let chain = shop.chain.as_ref().unwrap();
        let mut recorded = chain.events("Recorded(address,bytes32,uint16,bytes32)");
        recorded.extend(chain.events("RootRecorded(address,bytes32,uint32)"));
        let on_chain: Vec<&str> = recorded.iter().map(|(.., tx)| tx.as_str()).collect();
        for anchor in sold["anchors"].as_array().unwrap() {
            assert!(on_chain.contains(&anchor["tx"].as_str().unwrap()), "{anchor}");
        }
    }
}

#[test]
fn twenty_buyers_at_once_are_each_served_and_paid_for_once() {
    let Some(mut shop) = Shop::open(Plan { granularity: 5, ..Plan::default() }) else { return };
    let names: Vec<String> = (0..20).map(|n| format!("buyer-{n}")).collect();
    names.iter().for_each(|name| shop.add_buyer(name, 1_000));
    let children: Vec<_> =
        names.iter().map(|name| shop.buy(name, "co2", "23").spawn().unwrap()).collect();
    children.into_iter().for_each(|child| ends_paid(child, 23));
    shop.close();
    assert_eq!(shop.total("seller"), FIRST + 20 * 23 * CO2);
    let sold = shop.audit("seller");
    assert_eq!(sold.len(), 20);
    assert!(sold.iter().all(|told| told["state"] == "complete"), "{sold:?}");
    for name in &names {
        let bought = shop.audit(name);
        assert_eq!(amount(&bought[0]["settled"]), 23 * CO2, "{bought:?}");
    }
}

/// A treasury can pay a new trader only once its account is there.
#[test]
fn an_account_is_opened_by_a_command_of_its_own() {
    let Some(shop) = Shop::open(Plan::default()) else { return };
    let gateway = shop.gateway();
    let stranger = shop.runtime.block_on(gateway.new_stranger(false));
    shop.write_side("new", &stranger.name, &shop.buyer_toml());
    for when in ["now", "before"] {
        let mut command = crate::place::sdpp();
        command.args(["ledger", "open", "--json", "--config"]).arg(shop.path("new.toml"));
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(told["account"], stranger.account.as_str());
        assert_eq!(told["opened"], when);
    }
    let given = gateway.mint("admin", &stranger.account, crate::double::MONEY, 7);
    shop.runtime.block_on(given);
    let has = gateway.total(&stranger.name, &stranger.account, crate::double::MONEY);
    assert_eq!(shop.runtime.block_on(has), 7);
}
