//! The gateway is stopped, frozen, cut off and restarted while a stream flows: each invoice lands
//! once, and what is owed is paid.

use super::shop::{Plan, Shop, times};
use crate::double::FIRST;
use crate::place::{Running, amount};
use crate::shop::{CO2, ends_paid, until};
use serde_json::{Value, json};

/// The stream is paid, each invoice once, and both books say what the network says.
fn all_is_well(shop: &mut Shop, items: usize) {
    shop.close();
    let windows = items.div_ceil(shop.plan.granularity as usize);
    assert_eq!(times(&shop.told("buyer"), "Paid"), windows, "one payment for each window");
    let owed = items as u128 * CO2;
    assert_eq!((shop.total("seller"), shop.total("buyer")), (FIRST + owed, FIRST - owed));
    for side in ["seller", "buyer"] {
        let told = shop.audit(side).remove(0);
        let settled = (&told["outstanding"], amount(&told["settled"]));
        assert_eq!(settled, (&Value::from("0"), owed), "{side}: {told}");
        assert_eq!(shop.unsettled(side), Vec::<Value>::new(), "{side}");
    }
}

fn faulted(events: bool, arm: impl FnOnce(&Shop, &mut Running)) {
    let plan = Plan { granularity: 5, events, ..Plan::default() };
    let Some(mut shop) = Shop::open(plan) else { return };
    let mut buyer = Running(shop.buy("buyer", "co2", "150").spawn().unwrap());
    until("items flow", || shop.lines("buyer") > 10);
    arm(&shop, &mut buyer);
    ends_paid(taken(buyer), 150);
    all_is_well(&mut shop, 150);
}

/// The child itself, to be waited for with what it says.
fn taken(mut running: Running) -> std::process::Child {
    let idle = std::process::Command::new("true").spawn().unwrap();
    std::mem::replace(&mut running.0, idle)
}

#[test]
fn a_gateway_that_freezes_and_hangs_up_in_mid_stream_costs_time_alone() {
    faulted(true, |shop, _| {
        for func in ["Pay", "Anchor"] {
            for fault in [
                json!({ "fault": "freeze", "when": "before", "func": func }),
                json!({ "fault": "freeze", "when": "after", "func": func }),
                json!({ "fault": "freeze", "when": "late", "func": func, "ms": 200 }),
                json!({ "fault": "close", "when": "before", "func": func }),
                json!({ "fault": "close", "when": "after", "func": func }),
                json!({ "fault": "refuse", "text": "SERVICE_UNAVAILABLE", "func": func }),
                json!({ "fault": "refuse", "text": "never seen before", "func": func }),
                json!({ "fault": "conflict", "times": 5, "func": func }),
                json!({ "fault": "inflight", "func": func }),
            ] {
                shop.double.faults.arm(fault);
            }
        }
        for on in ["query", "lookup"] {
            shop.double.faults.arm(json!({ "fault": "close", "on": on, "times": 2 }));
            shop.double.faults.arm(json!({ "fault": "refuse", "on": on, "text": "TIMEOUT" }));
        }
    });
}

#[test]
fn a_gateway_that_is_restarted_in_mid_stream_costs_time_alone() {
    for events in [true, false] {
        faulted(events, |shop, _| {
            for down_ms in [0, 800] {
                let before = shop.lines("buyer");
                shop.double.faults.restart(down_ms);
                until("items flow again", || shop.lines("buyer") > before + 10);
            }
        });
    }
}

#[test]
fn a_chaincode_that_is_away_in_mid_stream_is_waited_for() {
    faulted(true, |shop, _| {
        shop.double.faults.arm(json!({ "fault": "unplug" }));
        let stopped = shop.lines("buyer");
        // Credit is two windows: then nothing comes until it is back.
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert!(shop.lines("buyer") <= stopped + 4 * 5, "no more than credit allows");
        shop.double.faults.calm();
    });
}

#[test]
fn events_that_come_twice_or_late_change_nothing() {
    faulted(true, |shop, _| {
        shop.double.faults.arm(json!({ "fault": "events", "when": "duplicate", "times": 20 }));
        shop.double.faults.arm(json!({ "fault": "events", "when": "late", "ms": 300, "times": 9 }));
    });
}

/// With a poll that is far apart, what is paid in time was heard.
#[test]
fn who_listens_is_woken_and_does_not_wait_for_its_next_look() {
    let plan = Plan { poll_ms: 20_000, granularity: 10, ..Plan::default() };
    let Some(shop) = Shop::open(plan) else { return };
    let since = std::time::Instant::now();
    ends_paid(shop.buy("buyer", "co2", "60").spawn().unwrap(), 60);
    assert!(since.elapsed().as_secs() < 20, "it waited for {:?}", since.elapsed());
}
