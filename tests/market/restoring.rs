//! A disk is lost: what a backup has is restored, and what it has not is asked of the ledger.

use crate::place::*;
use serde_json::Value;
use std::process::Command;

fn journal(args: &[&str]) -> Command {
    let mut command = sdpp();
    command.arg("journal").args(args);
    command
}

fn backed_up(place: &Place, name: &str, file: &str) -> Value {
    let mut backup = journal(&["backup", "--json", "--journal"]);
    let output = backup.arg(place.journal(name)).arg("--output").arg(place.path(file)).output();
    let output = output.unwrap();
    assert_done(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn restored(place: &Place, name: &str, file: &str) -> (i32, String) {
    let mut restore = journal(&["restore", "--journal"]);
    told(restore.arg(place.journal(name)).arg("--from").arg(place.path(file)))
}

#[test]
fn a_buyer_that_lost_its_disk_signs_nothing_until_its_ledger_was_asked_and_pays_nothing_twice() {
    let mut place =
        Place::open(Setting { granularity: 3, patience_ms: 5_000, ..Setting::default() });
    place.buyer("buyer", 1_000_000);
    let buyer = place.buy("buyer", "memory", "120").spawn().unwrap();
    while place.lines("buyer") < 30 {
        std::thread::yield_now();
    }
    // While its node streams and pays.
    let made = backed_up(&place, "buyer", "buyer.backup");
    assert!(place.lines("buyer") < 120, "the story is of a journal that is written");
    let seq = made["manifest"]["head"]["seq"].as_u64().unwrap();
    assert!(seq > 10, "{made}");
    assert_done(&buyer.wait_with_output().unwrap());
    let (code, why) = restored(&place, "buyer", "buyer.backup");
    assert_eq!(code, 1);
    assert!(why.contains("move that away first"), "{why}");
    std::fs::rename(place.journal("buyer"), place.path("lost-journal")).unwrap();
    let (code, said) = restored(&place, "buyer", "buyer.backup");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("all up to entry {seq},")), "{said}");
    std::fs::rename(place.items("buyer"), place.path("first.items")).unwrap();
    let refused = place.buy("buyer", "co2", "5").output().unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("sdpp journal release"), "{why}");

    // The seller shows what the session came to.
    let session = place.audit("seller")[0]["session"].as_str().unwrap().to_owned();
    let mut bundle = sdpp();
    bundle.args(["dispute", "bundle", &session, "--journal"]).arg(place.journal("seller"));
    bundle.arg("--config").arg(place.path("seller.toml"));
    assert_done(&bundle.arg("--output").arg(place.path("bundle.json")).output().unwrap());
    let mut release = journal(&["release", "--json", "--config"]);
    release.arg(place.path("buyer.toml")).arg("--learn").arg(place.path("bundle.json"));
    let output = release.output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["untold"], serde_json::json!([]), "{told}");
    assert_eq!(told["learned"][0]["session"], session.as_str(), "{told}");

    // It is itself again, and what was owed is not paid a second time.
    let _ = std::fs::remove_file(place.items("buyer"));
    assert_done(&place.buy("buyer", "co2", "6").output().unwrap());
    place.close();
    assert_eq!(place.balance("seller"), 120 * 3 + 6 * 20);
    let sold: u128 = place.audit("seller").iter().map(|one| amount(&one["settled"])).sum();
    assert_eq!(sold, 120 * 3 + 6 * 20);
    let mut verify = journal(&["verify", "--journal"]);
    assert_done(&verify.arg(place.journal("buyer")).output().unwrap());
}

#[test]
fn a_seller_that_lost_its_disk_sells_again_after_it_was_released() {
    let mut place = Place::open(Setting { methods: "[\"escrow\"]", ..Setting::default() });
    place.buyer("buyer", 1_000_000);
    assert_done(&place.buy("buyer", "co2", "40").output().unwrap());
    let made = backed_up(&place, "seller", "");
    let file = made["file"].as_str().unwrap().to_owned();
    std::fs::rename(place.items("buyer"), place.path("first.items")).unwrap();
    assert_done(&place.buy("buyer", "co2", "20").output().unwrap());
    place.close();
    std::fs::rename(place.journal("seller"), place.path("lost-journal")).unwrap();
    let (code, said) = restored(&place, "seller", &file);
    assert_eq!(code, 0, "{said}");
    let refused = sdpp().args(["sell", "--config"]).arg(place.path("seller.toml")).output();
    let refused = refused.unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("is missing in it"), "{why}");
    let mut release = journal(&["release", "--config"]);
    assert_done(&release.arg(place.path("seller.toml")).output().unwrap());
    std::fs::rename(place.items("buyer"), place.path("second.items")).unwrap();
    place.sell();
    assert_done(&place.buy("buyer", "co2", "20").output().unwrap());
    place.close();
    assert_eq!(place.balance("seller"), 80 * 20);
    let mut audit = sdpp();
    audit.args(["audit", "--journal"]).arg(place.journal("seller"));
    let audited = String::from_utf8(audit.output().unwrap().stdout).unwrap();
    let mut list = journal(&["list", "entries", "--json", "--limit", "100000", "--journal"]);
    let listed = list.arg(place.journal("seller")).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let last: Value = serde_json::from_str(listed.lines().last().unwrap()).unwrap();
    assert!(last["seq"].as_u64() > Some(1_000_000), "numbers have a gap");
    let count = listed.lines().count();
    assert!(audited.contains(&format!(" {count} entries\n")), "{count}: {audited}");
}

#[test]
fn a_buyer_that_lost_its_disk_vouches_on_no_channel_again_that_it_had_before() {
    let methods = "[\"escrow\"]";
    let setting = Setting { granularity: 3, patience_ms: 5_000, methods, ..Setting::default() };
    let mut place = Place::open(setting);
    place.buyer("buyer", 1_000_000);
    // What was spent today is counted from the journal's end, over the gap.
    let config = std::fs::read_to_string(place.path("buyer.toml")).unwrap();
    let config = format!("{config}max_per_day = \"900000\"\n");
    std::fs::write(place.path("buyer.toml"), config).unwrap();
    let buyer = place.buy("buyer", "memory", "120").spawn().unwrap();
    while place.lines("buyer") < 30 {
        std::thread::yield_now();
    }
    backed_up(&place, "buyer", "buyer.backup");
    assert!(place.lines("buyer") < 120, "the story is of a channel that is vouched on");
    assert_done(&buyer.wait_with_output().unwrap());
    std::fs::rename(place.journal("buyer"), place.path("lost-journal")).unwrap();
    let (code, said) = restored(&place, "buyer", "buyer.backup");
    assert_eq!(code, 0, "{said}");
    let mut release = journal(&["release", "--config"]);
    assert_done(&release.arg(place.path("buyer.toml")).output().unwrap());
    std::fs::rename(place.items("buyer"), place.path("first.items")).unwrap();
    let again = place.buy("buyer", "co2", "6").output().unwrap();
    assert_done(&again);
    let why = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!why.contains("unjust"), "what is forgotten is no claim of a thief: {why}");
    place.close();
    assert_eq!(place.balance("seller"), 120 * 3 + 6 * 20);
    let bought = place.audit("buyer");
    assert_eq!(bought.len(), 2, "{bought:?}");
}
