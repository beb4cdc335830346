//! `scripts/iota`: what a person starts, asks and stops.

#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use ed25519_dalek::SigningKey;
use iota_sdk_types::Ed25519PublicKey;
use serde_json::{Value, json};

/// The script, with a folder of the test's own. What it started ends with this.
struct Script {
    dir: tempfile::TempDir,
}

impl Script {
    fn new() -> Script {
        Script { dir: tempfile::tempdir().unwrap() }
    }

    fn run(&self, verb: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../scripts/iota");
        let mut command = Command::new(script);
        command.arg(verb).env("SDPP_IOTA_DIR", self.dir.path());
        command.env("SDPP_IOTA_DOUBLE", env!("CARGO_BIN_EXE_sdpp-iota-double"));
        command.output().unwrap()
    }

    fn says(&self, verb: &str) -> String {
        let output = self.run(verb);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    fn network(&self) -> Value {
        let text = std::fs::read_to_string(self.dir.path().join("network.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.run("down");
    }
}

#[tokio::test]
async fn a_person_starts_it_once_asks_it_and_stops_it() {
    let script = Script::new();
    assert_eq!(script.run("status").status.code(), Some(1));
    let said = script.says("up");
    assert!(said.contains("THIS IS NO IOTA NODE"), "{said}");

    let network = script.network();
    let request = support::request("iota_getChainIdentifier", &json!([]));
    let (_, answer) = support::post(network["url"].as_str().unwrap(), &request).await;
    assert_eq!(answer["result"], network["chain_id"]);
    assert!(script.says("status").contains("up (a double)"));

    // A second `up` finds the first.
    script.says("up");
    assert_eq!(script.network(), network);

    assert!(script.says("down").contains("stopped"));
    assert_eq!(script.run("status").status.code(), Some(1));
    assert!(script.says("down").contains("not up"));
}

#[test]
fn after_a_crash_it_comes_back_on_its_ports_with_another_ledger() {
    let script = Script::new();
    script.says("up");
    let before = script.network();
    let pid = before["pids"]["double"].to_string();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    script.says("up");
    let after = script.network();
    assert_eq!(after["url"], before["url"]);
    assert_ne!(after["pids"], before["pids"]);
    assert_ne!(after["chain_id"], before["chain_id"]);
}

#[test]
fn what_it_does_not_know_is_refused_with_its_usage() {
    let output = Script::new().run("sideways");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("up | down | status"));
}

#[tokio::test]
async fn what_it_writes_is_of_this_ledger_and_of_accounts_that_have_coins() {
    let script = Script::new();
    script.says("up");
    let path = |name: &str| script.dir.path().join(name);
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let network = script.network();
    let (url, chain) = (network["url"].as_str().unwrap(), network["chain_id"].as_str().unwrap());
    for side in ["seller", "buyer"] {
        let config = read(&format!("{side}.toml"));
        assert!(config.contains(url) && config.contains(chain), "{config}");
        let mode = std::fs::metadata(path(&format!("{side}.key"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "others read {side}.key");
        let secret = hex::decode(&read(&format!("{side}.key")).trim()[2..]).unwrap();
        let secret = SigningKey::from_bytes(&secret.try_into().unwrap());
        let public = Ed25519PublicKey::new(secret.verifying_key().to_bytes());
        let params = json!([public.derive_address().to_hex()]);
        let request = support::request("iotax_getBalance", &params);
        let (_, answer) = support::post(url, &request).await;
        assert_eq!(answer["result"]["totalBalance"], "1000000000000", "{side}: {answer}");
    }
    let (key, before) = (read("seller.key"), read("seller.toml"));
    script.says("up");
    assert_eq!((read("seller.key"), read("seller.toml")), (key.clone(), before));

    // What was owed on a ledger that is gone would be waited for without end.
    std::fs::create_dir(path("seller-journal")).unwrap();
    std::fs::write(path("seller-journal/lock"), "1").unwrap();
    script.says("down");
    script.says("up");
    assert!(!path("seller-journal").exists());
    assert!(path(&format!("seller-journal-of-{chain}")).exists());
    let now = script.network()["chain_id"].as_str().unwrap().to_owned();
    assert!(now != chain && read("seller.toml").contains(&now));
    assert_eq!(read("seller.key"), key, "who one is does not change");
}

#[test]
fn no_new_ledger_begins_under_somebody_who_has_a_journal_of_the_old_one_open() {
    let script = Script::new();
    script.says("up");
    script.says("down");
    let journal = script.dir.path().join("seller-journal");
    std::fs::create_dir(&journal).unwrap();
    std::fs::write(journal.join("lock"), "4711").unwrap();
    let open = std::fs::File::open(journal.join("lock")).unwrap();
    open.lock().unwrap();
    let output = script.run("up");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("stop process 4711"), "{said}");
    assert_eq!(script.run("status").status.code(), Some(1), "it was started all the same");
    drop(open);
    script.says("up");
}
