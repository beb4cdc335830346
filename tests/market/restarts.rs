//! A seller that is killed in mid-stream and started again: its buyer goes on by itself, and has every
//! item, once.

use crate::place::*;
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many items have come when the seller is killed, each time.
const KILLS: [usize; 3] = [25, 110, 203];

fn kill_and_start_again(place: &mut Place) {
    place.seller().signal("KILL");
    place.seller().wait();
    let mut sell = sdpp();
    sell.args(["sell", "--listen", &place.address, "--config"]).arg(place.path("seller.toml"));
    place.seller = Some(listening(&mut sell).0);
}

fn a_seller_that_is_killed_in_mid_stream_costs_nothing(setting: Setting) {
    let place = Place::open(Setting { resume_s: 60, ..setting });
    place.buyer("ann", 1_000_000);
    ann_buys_of_a_seller_that_is_killed(place, "");
}

/// One that keeps sessions for a while, at an address that begins with `scheme`.
pub fn ann_buys_of_a_seller_that_is_killed(mut place: Place, scheme: &str) {
    let address = format!("{scheme}{}", place.address);
    let mut buying = buy(place.dir.path(), "ann", &[&address, "co2", "300"]).spawn().unwrap();
    for items in KILLS {
        let began = Instant::now();
        while place.lines("ann") < items {
            assert!(began.elapsed() < PATIENCE, "items flow up to {items}");
            if buying.try_wait().unwrap().is_some() {
                assert_done(&buying.wait_with_output().unwrap());
                panic!("it is done before the seller is killed");
            }
            std::thread::yield_now();
        }
        kill_and_start_again(&mut place);
    }
    let bought = buying.wait_with_output().unwrap();
    assert_done(&bought);
    let items = std::fs::read_to_string(place.items("ann")).unwrap();
    assert_eq!(items.lines().collect::<Vec<_>>(), co2_items(300), "each item, once, in its order");
    let told = statements(&bought.stdout).remove(0);
    assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (6_000, 6_000), "{told}");
    place.close();
    for name in ["seller", "ann"] {
        assert_eq!(place.audit(name).len(), 1, "it is one session, and nothing is wrong with it");
    }
    assert_eq!(place.balance("seller"), 6_000, "each payment landed once");
}

#[test]
fn a_seller_that_is_killed_in_mid_stream_goes_on_by_escrow_under_macs() {
    let (methods, signed) = ("[\"escrow\"]", false);
    a_seller_that_is_killed_in_mid_stream_costs_nothing(Setting {
        methods,
        signed,
        anchor: "after",
        ..Setting::default()
    });
}

#[test]
fn a_seller_that_is_killed_in_mid_stream_goes_on_by_transfer() {
    a_seller_that_is_killed_in_mid_stream_costs_nothing(Setting::default());
}
