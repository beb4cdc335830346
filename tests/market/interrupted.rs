//! Buyers that are killed in mid-stream and whose command is typed once more: the file is whole in the
//! end, everything is paid once, and it is one session.

use crate::place::*;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a story waits for items.
const PATIENCE: Duration = Duration::from_secs(60);

/// After how many items the buyer is killed, each time.
const KILLED_AFTER: [usize; 5] = [3, 41, 90, 95, 180];

/// How many items are bought.
const ITEMS: usize = 250;

/// A seller that keeps sessions, and a buyer with money.
fn open(setting: Setting) -> Place {
    let place = Place::open(Setting { resume_s: 60, ..setting });
    place.buyer("ann", 1_000_000);
    place
}

/// Runs the command until so many items came, and kills it. Whether it was still running.
fn kill_after(place: &Place, items: usize) -> bool {
    let mut running = Running(place.buy("ann", "co2", &ITEMS.to_string()).spawn().unwrap());
    let started = Instant::now();
    while place.lines("ann") < items {
        assert!(started.elapsed() < PATIENCE, "items flow");
        if let Some(status) = running.0.try_wait().unwrap() {
            panic!("it ended with {} items: {status}", place.lines("ann"));
        }
    }
    running.signal("KILL");
    running.wait();
    place.lines("ann") < ITEMS
}

fn is_whole(file: &Path) {
    let items = std::fs::read_to_string(file).unwrap();
    assert_eq!(items.lines().collect::<Vec<_>>(), co2_items(ITEMS), "each once, in its order");
}

fn a_buyer_that_is_killed_again_and_again(setting: Setting) {
    let mut place = open(setting);
    let mut killed = 0;
    for items in KILLED_AFTER {
        killed += usize::from(kill_after(&place, items));
    }
    assert!(killed > 2, "most of the kills came in mid-stream");
    let bought = place.buy("ann", "co2", &ITEMS.to_string()).output().unwrap();
    assert_done(&bought);
    let said = String::from_utf8_lossy(&bought.stderr).into_owned();
    assert!(said.contains("was interrupted, and goes on after item"), "{said}");
    is_whole(&place.items("ann"));
    let told = statements(&bought.stdout).remove(0);
    let cost = 20 * ITEMS as u128;
    assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (cost, cost), "{told}");
    place.close();
    for name in ["seller", "ann"] {
        let mut found = place.audit(name);
        assert_eq!(found.len(), 1, "{name}: it is one session");
        let told = found.remove(0);
        assert_eq!((&told["settled"], &told["outstanding"]), (&told["invoiced"], &"0".into()));
        assert_eq!(amount(&told["settled"]), cost, "{name}: {told}");
    }
}

#[test]
fn a_buyer_that_is_killed_again_and_again_has_each_item_once_by_transfer() {
    a_buyer_that_is_killed_again_and_again(Setting::default());
}

#[test]
fn a_buyer_that_is_killed_again_and_again_has_each_item_once_by_escrow() {
    let setting = Setting { methods: "[\"escrow\"]", ..Setting::default() };
    a_buyer_that_is_killed_again_and_again(setting);
}

#[test]
fn a_buyer_that_is_killed_again_and_again_has_each_item_once_under_macs() {
    let setting = Setting { methods: "[\"escrow\"]", signed: false, ..Setting::default() };
    a_buyer_that_is_killed_again_and_again(setting);
}

#[test]
fn another_command_leaves_an_interrupted_session_to_its_own() {
    for methods in ["[\"transfer\"]", "[\"escrow\"]"] {
        let place = open(Setting { methods, ..Setting::default() });
        kill_after(&place, 30);
        let mut other = sdpp();
        other.args(["buy", &place.address, "co2", "20", "--trust-on-first-use", "--config"]);
        other.arg(place.path("ann.toml")).arg("--output").arg(place.path("other.items"));
        let other = other.output().unwrap();
        assert_done(&other);
        assert_eq!(lines(&place.path("other.items")), 20);
        assert_done(&place.buy("ann", "co2", &ITEMS.to_string()).output().unwrap());
        is_whole(&place.items("ann"));
        assert_eq!(place.audit("ann").len(), 2, "{methods}");
    }
}

#[test]
fn who_wants_to_begin_anew_says_so() {
    let place = open(Setting::default());
    kill_after(&place, 30);
    let moved = place.path("ann.first");
    std::fs::rename(place.items("ann"), &moved).unwrap();
    let mut again = place.buy("ann", "co2", &ITEMS.to_string());
    let (exit, said) = told(&mut again);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("should hold its items 1 to") && said.contains("--new"), "{said}");
    // What cannot begin anew ends nothing.
    std::fs::write(place.items("ann"), "in the way\n").unwrap();
    let (exit, said) = told(place.buy("ann", "co2", &ITEMS.to_string()).arg("--new"));
    assert!(exit == 1 && said.contains("is there already"), "{said}");
    assert!(!said.contains("is ended"), "{said}");
    std::fs::remove_file(place.items("ann")).unwrap();
    let begun = again.arg("--new").output().unwrap();
    assert_done(&begun);
    let said = String::from_utf8_lossy(&begun.stderr).into_owned();
    assert!(said.contains("is ended, as it was left"), "{said}");
    is_whole(&place.items("ann"));
    let first = std::fs::read_to_string(moved).unwrap();
    assert!(co2_items(ITEMS).join("\n").starts_with(first.trim_end()), "it is as it was");
    assert_eq!(place.audit("ann").len(), 2);
}

#[test]
fn a_file_that_was_changed_is_not_gone_on_with() {
    let place = open(Setting::default());
    kill_after(&place, 30);
    let items = std::fs::read_to_string(place.items("ann")).unwrap();
    std::fs::write(place.items("ann"), items.replacen("1958", "1859", 1)).unwrap();
    let mut again = place.buy("ann", "co2", &ITEMS.to_string());
    let (exit, said) = told(&mut again);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("is not what was delivered"), "{said}");
    std::fs::write(place.items("ann"), items + "{\"torn\":").unwrap();
    assert_done(&again.output().unwrap());
    is_whole(&place.items("ann"));
}

#[test]
fn who_cannot_go_on_is_told_that_another_order_begins_with_the_first_item() {
    let mut place = open(Setting { patience_ms: 5_000, ..Setting::default() });
    kill_after(&place, 30);
    drop(place.seller.take());
    let listen = format!("listen = \"{}\"", place.address);
    let config = std::fs::read_to_string(place.path("seller.toml")).unwrap();
    let config = config.replace("listen = \"127.0.0.1:0\"", &listen);
    std::fs::write(place.path("seller.toml"), config).unwrap();
    // It forgets what it kept.
    place.sell_with("resume_s = 60", "resume_s = 0");
    let (exit, said) = told(&mut place.buy("ann", "co2", &ITEMS.to_string()));
    assert_eq!(exit, 1, "{said}");
    let missing = format!("{} are missing", ITEMS - place.lines("ann"));
    let whole = format!("sdpp buy {} co2 {ITEMS} --config ", place.address);
    for what in [&missing, "a file with its first item again", &whole, "--output ANOTHER_FILE"] {
        assert!(said.contains(what), "{what:?} is not in {said}");
    }
}

#[test]
fn a_channel_of_an_interrupted_session_is_closed_by_a_persons_word() {
    for by_name in [false, true] {
        let place = open(Setting { methods: "[\"escrow\"]", ..Setting::default() });
        kill_after(&place, 30);
        let mut list = sdpp();
        list.args(["journal", "list", "entries", "--json", "--journal"]).arg(place.journal("ann"));
        let entries = statements(&list.output().unwrap().stdout);
        let session = entries.iter().find_map(|entry| entry["session"].as_str()).unwrap();
        let config = place.path("ann.toml");
        for more in [&["--dry-run"][..], &[]] {
            let mut settle = sdpp();
            settle.args(["dispute", "settle", session]).args(more).arg("--config").arg(&config);
            let (exit, said) = told(&mut settle);
            assert!(exit == 0 && said.contains("`sdpp ledger close 0x"), "{said}");
            assert!(said.contains(session) && !said.contains("there is nothing"), "{said}");
        }
        let mut channels = sdpp();
        channels.args(["ledger", "channels", "--json", "--config"]).arg(&config);
        let channels = statements(&channels.output().unwrap().stdout);
        let channel = channels[0]["channel"].as_str().unwrap();
        let mut close = sdpp();
        close.args(["ledger", "close", "--json", if by_name { channel } else { "--all" }]);
        let closed = close.arg("--config").arg(&config).output().unwrap();
        assert_done(&closed);
        let said = String::from_utf8_lossy(&closed.stderr).into_owned();
        assert!(said.contains(&format!("session {session} is ended, as it was left")), "{said}");
        let told = statements(&closed.stdout);
        assert_eq!((told.len(), &told[0]["channel"]), (1, &channel.into()), "{told:?}");
        assert!(["closing", "closed"].contains(&told[0]["state"].as_str().unwrap()), "{told:?}");
    }
}

/// Whether Ann's only session lacks nothing but its end: both have said `exit`.
fn has_parted(place: &Place) -> bool {
    let mut list = sdpp();
    list.args(["journal", "list", "entries", "--json", "--journal"]).arg(place.journal("ann"));
    let output = list.output().unwrap();
    assert_done(&output);
    let entries = statements(&output.stdout);
    let count = |name| entries.iter().filter(|entry| entry["record"]["record"] == name).count();
    (count("exit"), count("ended")) == (2, 0)
}

/// A buyer that dies when both sides have said all, before its last write, needs its seller no more.
#[test]
fn a_session_that_both_have_left_ends_without_its_seller() {
    let mut place = Place::open(Setting { granularity: 3, resume_s: 60, ..Setting::default() });
    place.buyer("ann", 1_000_000);
    let mut buy = place.buy("ann", "co2", "3");
    let died = buy.env("SDPP_DIES_AT", "ended:before").output().unwrap();
    assert!(died.status.code().is_none() && has_parted(&place), "it died there: {died:?}");
    place.seller().signal("KILL");
    place.seller().wait();
    let ended = place.buy("ann", "co2", "3").output().unwrap();
    assert_done(&ended);
    let told = statements(&ended.stdout).remove(0);
    assert_eq!((&told["end"], &told["paid"]), (&"complete".into(), &"60".into()), "{told}");
    assert!(!has_parted(&place), "it has its end");
}

#[test]
fn an_empty_file_is_in_nobodys_way_and_nothing_else_is_written_over() {
    let mut place = Place::open(Setting::default());
    place.buyer("ann", 1_000_000);
    let items = place.items("ann");
    std::fs::write(&items, "what was paid for\n").unwrap();
    let (exit, said) = told(&mut place.buy("ann", "co2", "20"));
    assert!(exit == 1 && said.contains("is there already, and nothing is written over"), "{said}");
    assert!(said.contains("resume_s") && said.contains("give another --output FILE"), "{said}");
    assert_eq!(std::fs::read_to_string(&items).unwrap(), "what was paid for\n");
    std::fs::write(&items, "").unwrap();
    assert_done(&place.buy("ann", "co2", "20").output().unwrap());
    assert_eq!(std::fs::read_to_string(&items).unwrap().lines().count(), 20);
    place.close();
}
