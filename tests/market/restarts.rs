//! A seller that is killed in mid-stream and started again: its buyer goes on by itself, and has every
//! item, once; of a live source as many as it ordered, and what was lost is void.

use crate::place::*;
use serde_json::Value;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many items have come when the seller is killed, each time.
const KILLS: [usize; 3] = [25, 110, 203];

pub fn kill_and_start_again(place: &mut Place) {
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
fn a_seller_that_is_killed_in_mid_stream_goes_on_with_its_dataset() {
    a_seller_that_is_killed_in_mid_stream_costs_nothing(Setting {
        committed: true,
        ..Setting::default()
    });
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

/// Each item is another, whoever asks and whenever: the moment that it is. It ends when nobody reads it,
/// for a seller that is killed ends none of its programs.
const TICKS: &str = "[topics.ticks]\nprice = \"20\"\nsource = { kind = \"command\", \
                     command = [\"sh\", \"-c\", \"while date +%s%N; do :; done\"] }\n";

fn live(setting: Setting) -> Place {
    let place = Place::open(Setting { resume_s: 60, topics: TICKS.to_owned(), ..setting });
    place.buyer("ann", 1_000_000);
    place
}

/// Waits until so many lines are in the buyer's file.
pub fn lines_come(place: &Place, buying: &mut Child, lines: usize) {
    let began = Instant::now();
    while place.lines("ann") < lines {
        assert!(began.elapsed() < PATIENCE, "items flow up to {lines}");
        assert!(buying.try_wait().unwrap().is_none(), "it is over before {lines} lines came");
        std::thread::yield_now();
    }
}

/// The command came to its end: so many items were billed and paid, each line of the file is another, and
/// both books have the same voids and nothing is wrong.
fn is_given(place: &mut Place, bought: &Output, items: u64) {
    assert_done(bought);
    let told = statements(&bought.stdout).remove(0);
    let cost = u128::from(items) * 20;
    assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (cost, cost), "{told}");
    assert_eq!(told["items"], items, "{told}");
    place.close();
    let stated = |name: &str| place.audit(name).remove(0);
    let (sold, bought) = (stated("seller"), stated("ann"));
    assert_eq!(
        (&sold["items_delivered"], &bought["items_delivered"]),
        (&told["items"], &told["items"])
    );
    let places = |void: &Value| 1 + void[1].as_u64().unwrap() - void[0].as_u64().unwrap();
    let voids = sold["voids"].as_array().unwrap();
    assert_eq!(voids.iter().map(places).sum::<u64>(), told["void"].as_u64().unwrap());
    assert_eq!(sold["voids"], bought["voids"]);
    let file = std::fs::read_to_string(place.items("ann")).unwrap();
    let ticks: Vec<u128> = file.lines().map(|line| line.parse().unwrap()).collect();
    assert!(ticks.is_sorted_by(|one, next| one < next), "each item, once, in its order");
    let most = items + told["void"].as_u64().unwrap();
    assert!((items..=most).contains(&(ticks.len() as u64)), "{} of {most} places", ticks.len());
    assert_eq!(place.balance("seller"), cost, "each payment landed once");
}

fn a_live_source_goes_on(setting: Setting) {
    let mut place = live(setting);
    let mut buying = place.buy("ann", "ticks", "300").spawn().unwrap();
    for items in KILLS {
        lines_come(&place, &mut buying, items);
        kill_and_start_again(&mut place);
    }
    let bought = buying.wait_with_output().unwrap();
    is_given(&mut place, &bought, 300);
    let told = statements(&bought.stdout).remove(0);
    assert!(told["void"].as_u64() > Some(0), "{told}");
}

#[test]
fn a_live_source_goes_on_by_transfer_and_what_is_lost_is_void() {
    a_live_source_goes_on(Setting::default());
}

#[test]
fn a_live_source_goes_on_by_escrow_and_what_is_lost_is_void() {
    let methods = "[\"escrow\"]";
    a_live_source_goes_on(Setting { methods, anchor: "after", ..Setting::default() });
}

#[test]
fn a_buyer_that_is_killed_after_a_void_finds_its_place_in_its_file() {
    let mut place = live(Setting::default());
    let mut buying = place.buy("ann", "ticks", "300").spawn().unwrap();
    lines_come(&place, &mut buying, 27);
    kill_and_start_again(&mut place);
    lines_come(&place, &mut buying, 85);
    buying.kill().unwrap();
    buying.wait().unwrap();
    let bought = place.buy("ann", "ticks", "300").output().unwrap();
    is_given(&mut place, &bought, 300);
    let told = statements(&bought.stdout).remove(0);
    assert!(told["void"].as_u64() > Some(0), "{told}");
}
