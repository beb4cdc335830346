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

/// Those who were let in before the kill have their places when they come back, and a newcomer waits
/// until one is free.
#[test]
fn sessions_that_wait_for_their_buyers_take_the_places_that_there_are() {
    let topics = "sessions_max = 2\n".to_owned();
    let mut place = Place::open(Setting { resume_s: 60, topics, ..Setting::default() });
    let names = ["ann", "bob", "eve"];
    names.iter().for_each(|name| place.buyer(name, 1_000_000));
    let [ann, bob] = ["ann", "bob"].map(|name| {
        let buying = Running(place.buy(name, "co2", "300").spawn().unwrap());
        let began = Instant::now();
        while place.lines(name) < 25 {
            assert!(began.elapsed() < PATIENCE, "items flow");
        }
        // It does not notice what happens.
        buying.signal("STOP");
        buying
    });
    kill_and_start_again(&mut place);
    let (exit, said) = told(&mut place.buy("eve", "co2", "20"));
    assert!(exit != 0 && said.contains("2 sessions are open, which is the most"), "{said}");
    for (name, mut buying) in [("ann", ann), ("bob", bob)] {
        buying.signal("CONT");
        assert!(buying.wait().success(), "{name} has its place");
        assert_eq!(place.lines(name), 300);
    }
    let _ = std::fs::remove_file(place.items("eve"));
    assert_done(&place.buy("eve", "co2", "20").output().unwrap());
    place.close();
    assert_eq!(place.audit("seller").len(), 3, "nobody began anew");
}

#[test]
fn a_seller_that_is_killed_in_mid_stream_goes_on_by_transfer() {
    a_seller_that_is_killed_in_mid_stream_costs_nothing(Setting::default());
}
