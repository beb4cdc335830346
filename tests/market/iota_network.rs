//! What commands say of a network of IOTA, and the demo on it: the double of a node runs in this
//! process, and tells where it is as `scripts/iota up` does.

use crate::place::{amount, assert_done, says_what_to_start, sdpp, told, write_side};
use sdpp_iota_double::{Double, Options};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use tempfile::TempDir;

/// What the double's faucet gives at once, in NANOS.
const GIFT: u128 = 1_000_000_000_000;

struct Network {
    double: Double,
    dir: TempDir,
}

impl Network {
    fn up() -> Network {
        let double = Double::start(Options::default()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (url, faucet) = (double.url(), double.faucet_url());
        let at = json!({
            "url": url, "faucet": faucet, "control": double.admin_url(),
            "chain_id": double.chain_id(),
        });
        fs::write(dir.path().join("network.json"), at.to_string()).unwrap();
        Network { double, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A buyer's config, with a key that nobody had before; `more` is of the ledger.
    fn config(&self, name: &str, more: &str) {
        let mut secret = [0; 32];
        getrandom::getrandom(&mut secret).unwrap();
        let (url, chain) = (self.double.url(), self.double.chain_id());
        let text = format!(
            r#"
identity = {{ key = "file:{name}.key" }}
journal = {{ dir = "{name}-journal" }}

[ledgers.iota]
kind = "iota"
chain = "{chain}"
endpoint = "{url}"
{more}

[currencies.IOTA]
ledger = "iota"
decimals = 9

[buyer]
currencies = [{{ currency = "IOTA", max_total = "1000" }}]
"#
        );
        let key = format!("0x{}", hex::encode(secret));
        write_side(self.dir.path(), name, &key, &text);
    }

    /// A command about a config: how it ends, and what it says.
    fn said(&self, command: &[&str], name: &str) -> (i32, String) {
        let mut asked = sdpp();
        told(asked.args(command).arg("--config").arg(self.path(&format!("{name}.toml"))))
    }

    /// The same, done, and its answer in JSON.
    fn ask(&self, command: &[&str], name: &str) -> Value {
        let mut asked = sdpp();
        asked.args(command).args(["--json", "--config"]);
        let output = asked.arg(self.path(&format!("{name}.toml"))).output().unwrap();
        assert_done(&output);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn check(&self, name: &str) -> (i32, String) {
        let mut check = sdpp();
        told(check.args(["config", "check", "--online"]).arg(self.path(&format!("{name}.toml"))))
    }

    fn demo(&self, more: &[&str]) -> Output {
        let mut demo = sdpp();
        demo.args(["demo", "--ledger", "iota", "--items", "20"]).args(more).arg("--dir");
        demo.arg(self.path("demo")).env("SDPP_IOTA_DIR", self.dir.path()).output().unwrap()
    }
}

#[test]
fn the_demo_plays_on_a_double_of_a_node_and_says_that_it_is_one() {
    let network = Network::up();
    let demo = network.demo(&["--json"]);
    assert_done(&demo);
    let told: Value = serde_json::from_slice(&demo.stdout).unwrap();
    assert_eq!(
        (&told["double"], &told["items"], &told["windows"], &told["currency"]),
        (&json!(true), &json!(20), &json!(2), &json!("IOTA"))
    );
    assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (200_000, 200_000), "{told}");
    let said = String::from_utf8(network.demo(&[]).stdout).unwrap();
    assert!(said.contains("this is no IOTA network but a double"), "{said}");
    assert!(said.contains("0.000200000 IOTA owed, 0.000200000 IOTA paid"), "{said}");
    assert!(said.contains("a double of an IOTA node, which proves nothing"), "{said}");
    assert_eq!(network.double.tally().strange, Vec::<String>::new());

    let Network { double, dir } = network;
    drop(double);
    let mut demo = sdpp();
    let (exit, said) = crate::place::told(
        demo.args(["demo", "--ledger", "iota"]).env("SDPP_IOTA_DIR", dir.path()),
    );
    assert_eq!(exit, 5, "{said}");
    assert!(said.contains("scripts/iota up"), "{said}");
}

#[test]
fn the_demo_says_what_to_start_where_no_node_was_ever_started() {
    says_what_to_start(&["demo", "--ledger", "iota"], "iota");
}

/// The same key is another account under another scheme; each is asked for by what it says.
#[test]
fn commands_say_who_we_are_on_a_network_and_get_coins_from_its_faucet() {
    let network = Network::up();
    let faucet = format!("faucet = \"{}\"", network.double.faucet_url());
    network.config("rich", &faucet);
    network.config("poor", "scheme = \"secp256k1\"");
    let [rich, poor] = ["rich", "poor"].map(|name| {
        let status = network.ask(&["ledger", "status"], name);
        assert_eq!(status["next_number"], Value::Null, "{status}");
        status["account"].as_str().unwrap().to_owned()
    });
    assert!(rich.len() == 66 && poor.len() == 66 && rich != poor, "{rich} {poor}");
    let key = fs::read_to_string(network.path("poor.key")).unwrap();
    network.config("other", "");
    fs::write(network.path("other.key"), key).unwrap();
    assert_ne!(network.ask(&["ledger", "status"], "other")["account"], json!(poor));

    let given = network.ask(&["ledger", "fund", "5"], "rich");
    assert_eq!((amount(&given["amount"]), amount(&given["balance"])), (GIFT, GIFT), "{given}");
    let (exit, said) = network.said(&["ledger", "fund", "5"], "poor");
    assert!(exit == 5 && said.contains("NoFaucet"), "{said}");
    let nobody = format!("0x{}", "0".repeat(64));
    let (exit, said) = network.said(&["ledger", "fund", "5", "--account", &nobody], "rich");
    assert!(exit == 5 && said.contains("address zero is nobody's"), "{said}");
    let sent = network.ask(&["ledger", "fund", "1500000000", "--account", &poor], "rich");
    assert_eq!(sent["balance"], "1500000000", "{sent}");
    let (exit, said) = network.check("poor");
    let who = format!("iota  account {poor} on iota:");
    assert!(exit == 0 && said.contains(&who), "{said}");
    assert!(said.contains("\n  holds 1.500000000 IOTA\n"), "{said}");
    let (exit, said) =
        network.said(&["ledger", "tx", "G4fiwXdG4bWKPcxPHnLXxfozSxoYEnFKxz5ZWiuAnBaZ"], "rich");
    assert_eq!(exit, 1, "{said}");
    let (exit, said) = network.said(&["ledger", "deploy", "iota"], "rich");
    assert!(exit != 0 && said.contains("no contract"), "{exit} {said}");
}

#[test]
fn a_node_of_another_network_is_not_taken() {
    let network = Network::up();
    network.config("us", "");
    network.double.set_chain_id("6364aad5");
    let (exit, said) = network.check("us");
    assert_eq!(exit, 5, "{said}");
    assert!(said.contains("is of network 6364aad5, and not of"), "{said}");
    assert!(said.contains("mend chain or endpoint in [ledgers.iota]"), "{said}");
}
