//! A side is killed while it streams: what was acknowledged is there, and what was owed is met
//! once, without being asked.

use crate::place::*;
use serde_json::Value;

/// How many entries a journal has; asks the running node where there is one.
pub fn entries(place: &Place, name: &str) -> u64 {
    let output = sdpp()
        .args(["journal", "verify", "--json", "--journal"])
        .arg(place.journal(name))
        .output()
        .unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["head"]["seq"].as_u64().unwrap_or_else(|| panic!("{told}"))
}

#[test]
fn a_seller_killed_while_it_streams_goes_on_with_all_that_is_owed() {
    let mut place =
        Place::open(Setting { granularity: 3, patience_ms: 5_000, ..Setting::default() });
    place.buyer("buyer", 1_000_000);
    let buyer = place.buy("buyer", "memory", "all").spawn().unwrap();
    while place.lines("buyer") < 30 {
        std::thread::yield_now();
    }
    let acknowledged = entries(&place, "seller");
    place.seller().signal("KILL");
    place.seller().wait();
    let output = buyer.wait_with_output().unwrap();
    assert!(!output.status.success(), "the line broke");
    both_books_agree_after(&mut place, acknowledged);
}

#[test]
fn a_buyer_killed_while_it_streams_goes_on_with_all_that_it_owes() {
    let mut place =
        Place::open(Setting { granularity: 3, patience_ms: 5_000, ..Setting::default() });
    place.buyer("buyer", 1_000_000);
    let mut buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
    while place.lines("buyer") < 30 {
        std::thread::yield_now();
    }
    buyer.signal("KILL");
    buyer.wait();
    let acknowledged = entries(&place, "seller");
    // A new order of the same buyer goes on with what the old one owed.
    std::fs::rename(place.items("buyer"), place.path("first.items")).unwrap();
    assert_done(&place.buy("buyer", "co2", "5").output().unwrap());
    place.close();
    both_books_agree_after(&mut place, acknowledged);
}

/// Restarts the seller, and compares both journals and the ledger.
pub fn both_books_agree_after(place: &mut Place, acknowledged: u64) {
    place.sell();
    place.close();
    let at_least = acknowledged.to_string();
    let mut verify = sdpp();
    verify.args(["journal", "verify", "--at-least", &at_least, "--journal"]);
    assert_done(&verify.arg(place.journal("seller")).output().unwrap());
    let (sold, bought) = (place.audit("seller"), place.audit("buyer"));
    assert_eq!(sold.len(), bought.len());
    for (sold, bought) in sold.iter().zip(&bought) {
        assert_eq!(sold["session"], bought["session"]);
        let (theirs, ours) = (amount(&sold["settled"]), amount(&bought["settled"]));
        assert!(theirs <= ours, "nothing is received that was not sent: {sold} {bought}");
        let price = if sold["topic"] == "co2" { 20 } else { 3 };
        assert!(ours - theirs <= 3 * 2 * price, "within K * W: {sold} {bought}");
    }
    let paid: u128 = bought.iter().map(|statement| amount(&statement["settled"])).sum();
    assert_eq!(place.balance("seller"), paid, "each payment landed once");
    for name in ["seller", "buyer"] {
        let open = sdpp()
            .args(["journal", "list", "obligations", "--unsettled", "--json", "--journal"])
            .arg(place.journal(name))
            .output()
            .unwrap();
        assert_done(&open);
        assert_eq!(String::from_utf8_lossy(&open.stdout).trim(), "", "{name} owes nothing more");
    }
}

#[test]
fn a_seller_killed_with_vouchers_redeems_them_and_anchors_what_waited() {
    let methods = "[\"escrow\"]";
    let setting = Setting { granularity: 3, patience_ms: 5_000, methods, ..Setting::default() };
    let mut place = Place::open(Setting { batch: "session", anchor: "after", ..setting });
    place.buyer("buyer", 1_000_000);
    let buyer = place.buy("buyer", "memory", "all").spawn().unwrap();
    while place.lines("buyer") < 30 {
        std::thread::yield_now();
    }
    place.seller().signal("KILL");
    place.seller().wait();
    assert!(!buyer.wait_with_output().unwrap().status.success(), "the line broke");
    place.sell();
    place.close();
    let sold = place.audit("seller").remove(0);
    assert_eq!(sold["state"], "broken", "{sold}");
    let received = place.balance("seller");
    assert!(received >= 3 * 27, "what was vouched for is here: {sold}");
    assert_eq!(amount(&sold["settled"]), received, "{sold}");
    let anchors = sold["anchors"].as_array().unwrap();
    assert!(anchors.len() >= 9 && anchors.iter().all(|a| a["ok"] == true), "{anchors:?}");
}
