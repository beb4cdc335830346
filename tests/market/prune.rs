//! Pruning the journals of a real seller and a real buyer.

use crate::place::*;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// `sdpp journal VERB ...` on a side's journal: what it printed.
fn journal(place: &Place, name: &str, args: &[&str]) -> String {
    let mut command = sdpp();
    command.arg("journal").args(args).arg("--journal").arg(place.journal(name));
    let (code, text) = told(&mut command);
    assert_eq!(code, 0, "{text}");
    text
}

fn prune(place: &Place, name: &str, more: &[&str]) -> Value {
    let args = [&["prune", "--older", "0s", "--json"], more].concat();
    serde_json::from_str(&journal(place, name, &args)).unwrap()
}

/// Asks until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
    }
}

/// A session's statement, without what follows from how much was pruned.
fn statement(place: &Place, name: &str, session: &Value) -> (u64, Value) {
    let all = place.audit(name);
    let mut one = all.into_iter().find(|one| one["session"] == *session).unwrap();
    one["windows_recomputed"].take();
    (one["pruned"].take().as_u64().unwrap(), one)
}

fn payload_rows(dir: &Path) -> usize {
    // The journal is closed here; this looks at what is really on disk.
    sled::open(dir).unwrap().scan_prefix([17]).count()
}

#[test]
fn a_seller_is_pruned_while_it_streams_and_its_buyer_does_not_notice() {
    let mut place = Place::open(Setting::default());
    place.buyer("first", 10_000);
    assert_done(&place.buy("first", "co2", "95").output().unwrap());
    let settled = || prune(&place, "seller", &["--dry-run"])["sessions"] == 1;
    until("the first session is settled", settled);
    let session = place.audit("seller")[0]["session"].clone();
    let (none, before) = statement(&place, "seller", &session);
    assert_eq!(none, 0, "a dry run drops nothing");

    place.buyer("second", 10_000);
    let second = place.buy("second", "memory", "400").spawn().unwrap();
    until("items flow", || place.lines("second") > 20);
    let first = prune(&place, "seller", &[]);
    let streamed = place.lines("second");
    assert!(streamed < 400, "the story is of a session that runs");
    // Ten windows: their invoices, payments and one ack or more for each.
    assert_eq!(first["sessions"], 1, "{first}");
    assert!(first["entries"].as_u64().unwrap() >= 20, "{first}");
    assert!(first["deliveries"].as_u64().unwrap() >= 1, "{first}");
    assert_eq!(first["kept"]["open"], 1, "{first}");
    let said = journal(&place, "seller", &["verify"]);
    assert!(said.contains("pruned: the payload of") && said.contains("of 1 sessions"), "{said}");
    let (pruned, after) = statement(&place, "seller", &session);
    assert_eq!((Some(pruned), after), (first["entries"].as_u64(), before.clone()));

    let output = second.wait_with_output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["end"], &told["owed"]), (&"complete".into(), &told["paid"]), "{told}");
    assert_eq!(place.lines("second"), 400);
    let again = |what: &str| prune(&place, "seller", &["--dry-run"])[what].clone();
    until("the second session is settled", || again("sessions") == 1);
    place.close();
    assert!(payload_rows(&place.journal("seller")) > 0);
    let rest = prune(&place, "seller", &[]);
    assert_eq!((&rest["sessions"], &rest["kept"]), (&1.into(), &serde_json::json!({})), "{rest}");
    assert_eq!(payload_rows(&place.journal("seller")), 0);
    let nothing = prune(&place, "seller", &[]);
    assert_eq!((&nothing["entries"], &nothing["bytes"]), (&0.into(), &0.into()), "{nothing}");
    assert_eq!(statement(&place, "seller", &session).1, before);
    // The ledgers, asked again, hold what the pruned journal says.
    assert!(place.audit("seller").iter().all(|one| one["problems"] == serde_json::json!([])));
}

#[test]
fn a_buyer_prunes_its_closed_journal_and_is_told_what_went() {
    let mut place = Place::open(Setting { anchor: "after", ..Setting::default() });
    place.buyer("buyer", 10_000);
    assert_done(&place.buy("buyer", "co2", "40").output().unwrap());
    place.close();
    let before = place.audit("buyer");
    let recent = journal(&place, "buyer", &["prune", "--older", "90d"]);
    assert!(
        recent.contains("dropped 0 bytes") && recent.contains("1 session too recent"),
        "{recent}"
    );
    let would = journal(&place, "buyer", &["prune", "--older", "0s", "--dry-run"]);
    assert!(would.starts_with("would drop ") && would.lines().count() == 1, "{would}");
    let dropped = journal(&place, "buyer", &["prune", "--older", "0s"]);
    let what = |text: &str| text.lines().next().unwrap().split_once(" bytes").unwrap().0.to_owned();
    let numbers = |text: &str| what(text).split(' ').next_back().unwrap().to_owned();
    assert_eq!(numbers(&would), numbers(&dropped), "{would}{dropped}");
    assert!(dropped.contains("on disk: "), "{dropped}");
    let mut after = place.audit("buyer");
    assert!(after[0]["pruned"].as_u64().unwrap() >= 8, "{after:?}");
    assert_eq!(after[0]["windows_recomputed"], 0, "its leaves are gone too");
    for what in ["pruned", "windows_recomputed"] {
        after[0][what] = before[0][what].clone();
    }
    assert_eq!(after, before);
    let listed = journal(&place, "buyer", &["list"]);
    let invoice = listed.lines().find(|line| line.contains("invoice")).unwrap();
    assert!(invoice.ends_with("  pruned"), "{invoice}");
    let seq = invoice.split_whitespace().next().unwrap();
    let shown: Value =
        serde_json::from_str(&journal(&place, "buyer", &["show", seq, "--json"])).unwrap();
    assert!(shown["lacks"].is_string() && shown["record"]["message"]["data"].is_null(), "{shown}");
    assert!(shown["record"]["message"]["signature"].is_string(), "{shown}");
}

#[test]
fn what_is_no_duration_is_wrong_usage() {
    let (code, said) = told(sdpp().args(["journal", "prune", "--older", "soon", "--journal", "j"]));
    assert!(code == 2 && said.contains("--older"), "{said}");
    let (code, said) = told(sdpp().args(["journal", "prune", "--journal", "j"]));
    assert!(code == 2 && said.contains("--older"), "{said}");
    for text in ["90d", "12w", "2y"] {
        let missing = tempfile::tempdir().unwrap().path().join("none");
        let mut command = sdpp();
        command.args(["journal", "prune", "--older", text, "--journal"]).arg(missing);
        let (code, said) = told(&mut command);
        assert!(code == 2 && said.contains("holds no journal"), "{said}");
    }
}
