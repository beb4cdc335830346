//! A wire that breaks between real programs: the buyer's file has every item, once, and all is paid.

use crate::place::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most connections that break before one holds: what is bought may be through a little earlier.
const BREAKS: usize = 12;

/// A wire to a seller, each of whose first connections breaks after some bytes.
struct Wire {
    address: String,
    connections: Arc<AtomicUsize>,
}

impl Wire {
    fn to(seller: &str) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connections = Arc::<AtomicUsize>::default();
        let (count, seller) = (connections.clone(), seller.to_owned());
        std::thread::spawn(move || {
            for buyer in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let Ok(seller) = TcpStream::connect(&seller) else { return };
                // Far enough for a handshake, the menu, the key and a few items, and no two alike.
                let bytes = 8_000 + number * 7_919 % 4_001;
                let most = if number < BREAKS { bytes } else { usize::MAX };
                carry(buyer.unwrap(), seller, most);
            }
        });
        Wire { address, connections }
    }
}

/// Carries bytes both ways until so many came from the seller; then the wire is gone.
fn carry(buyer: TcpStream, seller: TcpStream, most: usize) {
    let ends = (buyer.try_clone().unwrap(), seller.try_clone().unwrap());
    std::thread::spawn(move || copy(ends.0, ends.1, usize::MAX));
    std::thread::spawn(move || copy(seller, buyer, most));
}

fn copy(mut from: TcpStream, mut to: TcpStream, most: usize) {
    let (mut bytes, mut carried) = ([0; 700], 0);
    while carried < most {
        match from.read(&mut bytes) {
            Ok(count @ 1..) if to.write_all(&bytes[..count]).is_ok() => carried += count,
            _ => break,
        }
    }
    for end in [from, to] {
        // It may be gone already.
        let _ = end.shutdown(Shutdown::Both);
    }
}

fn a_wire_that_breaks_costs_nothing(setting: Setting) {
    let place = Place::open(Setting { resume_s: 20, ..setting });
    place.buyer("ann", 1_000_000);
    ann_buys_over_a_wire_that_breaks(place, "");
}

/// From a seller that keeps sessions for a while, at an address that begins with `scheme`.
pub fn ann_buys_over_a_wire_that_breaks(mut place: Place, scheme: &str) {
    let wire = Wire::to(&place.address);
    let address = format!("{scheme}{}", wire.address);
    let bought = buy(place.dir.path(), "ann", &[&address, "co2", "300"]).output().unwrap();
    assert_done(&bought);
    let items = std::fs::read_to_string(place.items("ann")).unwrap();
    assert_eq!(items.lines().collect::<Vec<_>>(), co2_items(300), "each item, once, in its order");
    assert!(wire.connections.load(Ordering::SeqCst) > BREAKS / 2, "the wire broke often");
    let told = statements(&bought.stdout).remove(0);
    assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (6_000, 6_000), "{told}");
    place.close();
    for name in ["seller", "ann"] {
        assert_eq!(place.audit(name).len(), 1, "it is one session, and nothing is wrong with it");
    }
}

/// A buyer that was killed comes back with another order, on the channel that its first session held
/// and would hold for a while.
#[test]
fn a_buyer_that_begins_anew_is_not_held_up_by_the_session_that_it_left() {
    let (methods, topics) = ("[\"escrow\"]", String::new());
    let setting = Setting { methods, topics, resume_s: 600, ..Setting::default() };
    let place = Place::open(setting);
    place.buyer("ann", 1_000_000);
    let mut first = Running(place.buy("ann", "memory", "all").spawn().unwrap());
    let started = std::time::Instant::now();
    while place.lines("ann") < 25 {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "items flow");
    }
    first.signal("KILL");
    first.wait();
    std::fs::rename(place.items("ann"), place.path("ann.first")).unwrap();
    let bought = place.buy("ann", "co2", "40").output().unwrap();
    assert_done(&bought);
    assert_eq!(place.lines("ann"), 40);
    assert!(started.elapsed() < std::time::Duration::from_secs(300), "sooner than it was kept");
    let ended = place.audit("ann");
    assert!(ended.len() > 1, "the session that was left, and the one that began anew");
}

#[test]
fn a_wire_that_breaks_a_dozen_times_costs_nothing_by_transfer() {
    a_wire_that_breaks_costs_nothing(Setting::default());
}

#[test]
fn a_wire_that_breaks_a_dozen_times_costs_nothing_by_escrow_under_macs() {
    let (methods, signed) = ("[\"escrow\"]", false);
    a_wire_that_breaks_costs_nothing(Setting { methods, signed, ..Setting::default() });
}
