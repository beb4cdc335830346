//! Strangers: whom a seller serves and how, and crowds of those who want nothing but its time.

use crate::place::*;
use serde_json::Value;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Child;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const PATIENCE: Duration = Duration::from_secs(90);

/// A place whose seller's config says this too, under `[seller]` and at the end of `[limits]`.
fn open(methods: &'static str, seller: &str, limits: &str) -> Place {
    let topics = limits.to_owned();
    let mut place = Place::open(Setting { methods, topics, anchor: "after", ..Setting::default() });
    tell_seller(&mut place, seller);
    place
}

fn tell_seller(place: &mut Place, seller: &str) {
    let path = place.path("seller.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(path, config.replacen("[seller]\n", &format!("[seller]\n{seller}"), 1)).unwrap();
    place.sell();
}

/// What became of an order of so many items.
fn buys(place: &Place, name: &str, quantity: &str) -> (i32, String) {
    let _ = fs::remove_file(place.items(name));
    told(&mut place.buy(name, "memory", quantity))
}

fn is_refused(told: (i32, String), why: &str) {
    let (exit, said) = told;
    assert_ne!(exit, 0, "{said}");
    assert!(said.contains(why), "{why:?} is not in {said}");
}

/// A buyer that cannot pay by escrow.
fn by_transfer(place: &Place, name: &str) {
    place.buyer(name, 100_000);
    let path = place.path(&format!("{name}.toml"));
    let config = fs::read_to_string(&path).unwrap();
    let config = config.replace("\"transfer\", \"escrow\"", "\"transfer\"");
    fs::write(path, config.replace("deposit = \"5000\"\n", "")).unwrap();
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// A session that has had so many items, and goes on.
fn runs(place: &Place, name: &str, items: usize) -> Running {
    let mut child: Child = place.buy(name, "memory", "all").spawn().unwrap();
    until("items", || {
        assert!(child.try_wait().unwrap().is_none(), "the session ended");
        place.lines(name) >= items
    });
    Running(child)
}

#[test]
fn who_has_never_paid_is_served_by_escrow_alone_where_the_seller_wants_that_and_the_menu_says() {
    let place = open("[\"transfer\", \"escrow\"]", "unknown_buyer = \"escrow\"\n", "");
    let menu = sdpp().args(["menu", &place.address, "--json"]).output().unwrap();
    assert_done(&menu);
    let menu: Value = serde_json::from_slice(&menu.stdout).unwrap();
    assert!(menu.to_string().contains("\"unknown_by_escrow\":true"), "{menu}");
    let (exit, shown) = told(sdpp().args(["menu", &place.address]));
    assert!(exit == 0 && shown.contains("new here pay by escrow"), "{shown}");
    by_transfer(&place, "new");
    is_refused(buys(&place, "new", "20"), "by escrow alone: pay by escrow");
    // Who can pay by both is served by escrow without a word, and is known from then on.
    place.buyer("both", 100_000);
    assert_eq!(buys(&place, "both", "20").0, 0);
    let both = fs::read_to_string(place.path("both.toml")).unwrap();
    let methods = both.replace("\"transfer\", \"escrow\"", "\"transfer\"");
    fs::write(place.path("both.toml"), methods.replace("deposit = \"5000\"\n", "")).unwrap();
    let (exit, said) = buys(&place, "both", "20");
    assert_eq!(exit, 0, "{said}");
}

#[test]
fn who_is_denied_or_not_allowed_buys_nothing() {
    let mut place = open("[\"transfer\"]", "", "");
    place.buyer("friend", 100_000);
    place.buyer("stranger", 100_000);
    let key = |place: &Place, name: &str| place.key(name).public().to_string();
    let peers = format!(
        "\n[peers]\nfriend = \"{}\"\nstranger = \"{}\"\n",
        key(&place, "friend"),
        key(&place, "stranger")
    );
    let path = place.path("seller.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config + &peers).unwrap();
    let open = fs::read_to_string(&path).unwrap();
    for list in ["allow = [\"friend\"]\n", "deny = [\"stranger\"]\n"] {
        fs::write(&path, &open).unwrap();
        tell_seller(&mut place, list);
        is_refused(buys(&place, "stranger", "20"), "order_refused: this seller does not sell to");
        let (exit, said) = buys(&place, "friend", "20");
        assert_eq!(exit, 0, "{list}: {said}");
    }
    place.close();
    assert_eq!(place.audit("seller").len(), 2, "nothing is written of who was not let in");
}

#[test]
fn who_left_a_window_unpaid_has_no_credit_over_restarts_of_the_seller() {
    let (methods, patience_ms) = ("[\"transfer\", \"escrow\"]", 5_000);
    let setting = Setting { methods, patience_ms, anchor: "after", ..Setting::default() };
    let mut place = Place::open(setting);
    tell_seller(&mut place, "debtors = \"escrow\"\n");
    by_transfer(&place, "debtor");
    place.buyer("other", 100_000);
    // From here on nothing can be paid, and the seller waits no longer than its patience.
    let mut buyer = runs(&place, "debtor", 10);
    place.ledger.signal("STOP");
    until("its end", || place.status()["sessions"]["ended"] == 1);
    // What it would still pay when it is back, nobody would tell the seller.
    buyer.0.kill().unwrap();
    buyer.wait();
    place.ledger.signal("CONT");
    let why = "credit: something is unpaid of a session that broke: pay by escrow";
    is_refused(buys(&place, "debtor", "20"), why);
    place.sell();
    is_refused(buys(&place, "debtor", "20"), why);
    assert_eq!(buys(&place, "other", "20").0, 0);
    let config = fs::read_to_string(place.path("debtor.toml")).unwrap();
    let config = config.replace("[\"transfer\"]", "[\"transfer\", \"escrow\"]");
    fs::write(place.path("debtor.toml"), config + "deposit = \"5000\"\n").unwrap();
    let (exit, said) = buys(&place, "debtor", "20");
    assert_eq!(exit, 0, "{said}");
    let path = place.path("seller.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(path, config.replace("debtors = \"escrow\"", "debtors = \"refuse\"")).unwrap();
    place.sell();
    is_refused(buys(&place, "debtor", "20"), "order_refused: something is unpaid");
}

#[test]
fn one_address_has_so_many_sessions_on_credit_whoever_the_buyers_are() {
    let limits = "credit_sessions_per_address_max = 1\n";
    let place = open("[\"transfer\", \"escrow\"]", "", limits);
    for name in ["first", "second"] {
        by_transfer(&place, name);
    }
    place.buyer("third", 100_000);
    let mut first = runs(&place, "first", 5);
    let why = "1 sessions from your address are on credit";
    is_refused(buys(&place, "second", "20"), why);
    assert_eq!(buys(&place, "third", "20").0, 0, "it goes over to escrow");
    first.signal("INT");
    assert!(first.wait().success());
    assert_eq!(buys(&place, "second", "20").0, 0, "what was on credit is paid");
    let _ = fs::remove_file(place.items("first"));
    let mut first = runs(&place, "first", 5);
    first.0.kill().unwrap();
    first.wait();
    until("its end", || place.status()["sessions"]["connections"] == 0);
    is_refused(buys(&place, "second", "20"), why);
}

#[test]
fn who_orders_too_often_or_in_too_many_sessions_is_told_to_come_again() {
    let limits = "orders_per_minute_per_address = 6\nsessions_per_buyer_max = 1\n";
    let place = open("[\"transfer\"]", "", limits);
    place.buyer("buyer", 100_000);
    assert_eq!(buys(&place, "buyer", "20").0, 0);
    is_refused(
        buys(&place, "buyer", "20"),
        "busy: orders come faster than this seller answers: come again in",
    );
}

/// What strace runs goes on where strace is killed.
struct Traced(u32);

impl Drop for Traced {
    fn drop(&mut self) {
        let by = self.0.to_string();
        let _ = std::process::Command::new("pkill").args(["-KILL", "-P", &by]).status();
    }
}

#[test]
fn while_the_journal_lags_no_order_is_taken_and_the_status_says_so() {
    // A write that takes a tenth of a second and more is too slow here.
    let mut place = open("[\"transfer\"]", "", "journal_lag_ms = 100\n");
    place.buyer("buyer", 100_000);
    drop(place.seller.take());
    let mut slow = std::process::Command::new("strace");
    slow.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"]);
    slow.args(["inject=fdatasync:delay_exit=2000000", env!("CARGO_BIN_EXE_sdpp"), "sell"]);
    let (seller, address) = listening(slow.arg("--config").arg(place.path("seller.toml")));
    let _traced = Traced(seller.0.id());
    (place.seller, place.address) = (Some(seller), address);
    // The first order finds a journal of which nothing is known to be slow.
    let mut first = place.buy("buyer", "co2", "20").spawn().unwrap();
    until("a slow journal", || place.status()["why"].to_string().contains("journal_lag_ms is 100"));
    let config = fs::read_to_string(place.path("buyer.toml")).unwrap();
    fs::write(place.path("again.toml"), config.replace("buyer-journal", "again-journal")).unwrap();
    is_refused(buys(&place, "again", "20"), "busy: this seller takes no orders just now");
    let _ = first.kill();
    let _ = first.wait();
}

/// A connection from an address of this host's own.
async fn connect(from: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, from)), 0))?;
    socket.connect(to).await
}

/// A stranger that was turned away; `None` where it was shown a menu, or stands.
async fn turned_away(stream: &mut TcpStream) -> bool {
    let mut said = vec![0; 64];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut said)).await;
    matches!(read, Ok(Ok(_))) && String::from_utf8_lossy(&said).contains("\"error\"")
}

/// Reads a byte at a time, to the end of a line.
async fn sips(stream: &mut TcpStream) -> usize {
    let (mut byte, mut count) = ([0_u8; 1], 0);
    while byte != *b"\n" && matches!(stream.read(&mut byte).await, Ok(1)) {
        count += 1;
    }
    count
}

#[test]
fn a_crowd_that_connects_drips_and_sips_is_bounded_and_honest_sessions_do_not_notice() {
    let limits = "connections_max = 128\nfirst_message_ms = 8000\n";
    let place = open("[\"transfer\"]", "", limits);
    place.buyer("honest", 1_000_000);
    place.buyer("late", 100_000);
    let mut honest = runs(&place, "honest", 10);
    let address: SocketAddr = place.address.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let before = place.lines("honest");
    let (crowd, away) = runtime.block_on(async {
        let (mut crowd, mut away) = (Vec::new(), 0);
        for number in 0..1_000_u32 {
            // Whoever is turned away may be reset before it is there.
            let Ok(mut stream) = connect(2, address).await else {
                away += 1;
                continue;
            };
            match turned_away(&mut stream).await {
                true => away += 1,
                false => crowd.push((number, stream)),
            }
        }
        for (number, stream) in &mut crowd {
            match *number % 3 {
                0 => drop(stream.write_all(b"{").await),
                1 => assert!(sips(stream).await > 100, "the menu, byte by byte"),
                _ => {}
            }
        }
        (crowd, away)
    });
    let stay = crowd.len();
    assert!((1..=64).contains(&stay), "{stay} stay of one address, {away} are turned away");
    // Somebody else is served meanwhile, and the one that was served is still.
    let (exit, said) = buys(&place, "late", "20");
    assert_eq!(exit, 0, "{said}");
    until("items go on", || place.lines("honest") > before + 20);
    // Who says nothing, or no whole message, is not waited for.
    until("the crowd is gone", || place.status()["sessions"]["connections"] == 1);
    drop(crowd);
    honest.signal("INT");
    assert!(honest.wait().success(), "its session ends complete");
}
