//! The double of a Fabric network as a person starts it: `scripts/fabric up`, what it writes, what
//! commands say of it, and the demo on it.

use crate::place::{self, amount, assert_done, listening, says_what_to_start, sdpp, told};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What a reading costs in the seller's config that the script writes.
const PRICE: u128 = 100;

/// A network of this story's own; its processes end with it.
pub struct Network(TempDir);

impl Network {
    /// `None`, said aloud, where there are no tools for it. CI must have them.
    pub fn up() -> Option<Network> {
        let is_there = |tool: &str| {
            Command::new(tool).arg("--version").output().is_ok_and(|o| o.status.success())
        };
        if !is_there("node") || !is_there("npm") {
            let what = "there is no node, or no npm";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{what}");
            eprintln!("SKIPPED: {what}");
            return None;
        }
        let network = Network(tempfile::tempdir().unwrap());
        assert_done(&network.script("up"));
        Some(network)
    }

    fn script(&self, verb: &str) -> Output {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut script = Command::new(project.join("scripts/fabric"));
        script.arg(verb).stdin(Stdio::null()).env("SDPP_FABRIC_BLOCK_MS", "20");
        script.env("SDPP_FABRIC_DIR", self.0.path()).output().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn demo(&self) -> Output {
        let mut demo = sdpp();
        demo.args(["demo", "--ledger", "fabric", "--items", "20", "--json", "--dir"]);
        demo.arg(self.path("demo")).env("SDPP_FABRIC_DIR", self.0.path()).output().unwrap()
    }

    /// A command about a config, and its answer in JSON, an object for each line.
    fn ask(&self, command: &[&str], config: &str) -> Vec<Value> {
        let output =
            sdpp().args(command).args(["--json", "--config"]).arg(self.path(config)).output();
        let output = output.unwrap();
        assert_done(&output);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `sdpp config check --online`: how it ends, and what it says.
    fn check(&self, config: &str) -> (i32, String) {
        told(sdpp().args(["config", "check", "--online"]).arg(self.path(config)))
    }

    /// The buyer's config with one change, under another name.
    fn changed(&self, from: &str, to: &str) -> &'static str {
        let text = fs::read_to_string(self.path("buyer.toml")).unwrap();
        assert!(text.contains(from), "{from:?} is not in {text}");
        fs::write(self.path("changed.toml"), text.replacen(from, to, 1)).unwrap();
        "changed.toml"
    }

    fn told(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path("network.json")).unwrap()).unwrap()
    }

    /// Somebody new, whom the gateway can sign for and who never did anything.
    #[tokio::main(flavor = "current_thread")]
    async fn enroll(&self, name: &str) {
        let url = self.told()["url"].as_str().unwrap().to_owned();
        let post = async |path: String, body: Value| {
            let request = reqwest::Client::new().post(format!("{url}/identities{path}"));
            let answer = request.body(body.to_string()).send().await.unwrap();
            let text = answer.error_for_status().unwrap().text().await.unwrap();
            serde_json::from_str::<Value>(&text).unwrap()
        };
        let registered = post(String::new(), json!({ "name": name, "type": "client" })).await;
        post(format!("/{name}/enroll"), json!({ "secret": registered["secret"] })).await;
    }

    /// Who can sign there.
    fn account(&self, name: &str) -> String {
        let network = self.told();
        let signer = network["signers"].as_array().unwrap().iter().find(|s| s["name"] == name);
        signer.unwrap()["account"].as_str().unwrap().to_owned()
    }

    fn audit(&self, side: &str) -> Vec<Value> {
        place::audit(self.0.path(), side)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.script("down");
    }
}

#[test]
fn what_the_script_writes_sells_and_buys_at_once_for_money_and_for_promises() {
    let Some(network) = Network::up() else { return };
    for side in ["seller", "buyer"] {
        let (exit, said) = network.check(&format!("{side}.toml"));
        assert_eq!(exit, 0, "{said}");
        assert!(said.contains("all ledgers answer"), "{said}");
        let who = format!("fabric  account {} on fabric:", network.account(side));
        assert!(said.contains(&who) && said.contains("\n  holds 1000000.000000 USD\n"), "{said}");
    }
    let mut sell = sdpp();
    sell.args(["sell", "--listen", "127.0.0.1:0", "--config"]);
    let (mut seller, address) = listening(sell.arg(network.path("seller.toml")));
    for currency in ["USD", "USD-IOU"] {
        let mut buy = sdpp();
        buy.args(["buy", &address, "memory", "10", "--trust-on-first-use", "--currency", currency]);
        buy.arg("--output").arg(network.path(currency)).arg("--config");
        assert_done(&buy.arg(network.path("buyer.toml")).output().unwrap());
        assert_eq!(fs::read_to_string(network.path(currency)).unwrap().lines().count(), 10);
    }
    // What may still be promised is less than what this would take.
    let limited = network.path(network.changed("\"100000000\"", "\"1500\""));
    let mut buy = sdpp();
    buy.args(["buy", &address, "memory", "10", "--trust-on-first-use", "--currency", "USD-IOU"]);
    let (exit, said) = told(buy.arg("--config").arg(limited));
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("can pay 500 of iou:Org1MSP/USD, it needs 1000"), "{said}");
    seller.signal("TERM");
    assert!(seller.wait().success());

    for side in ["seller", "buyer"] {
        let sessions = network.audit(side);
        assert_eq!(sessions.len(), 2, "{sessions:?}");
        for session in sessions {
            assert_eq!(session["problems"], json!([]), "{session}");
            assert_eq!(session["ledgers_asked"], true, "{session}");
            assert_eq!(amount(&session["settled"]), 10 * PRICE, "{session}");
        }
    }
    let held = network.ask(&["ledger", "balance"], "buyer.toml");
    let (money, ious) = (&held[0], &held[1]);
    assert_eq!(
        (&money["asset"], amount(&money["amount"])),
        (&json!("Org1MSP/USD"), 999_999_999_000)
    );
    assert_eq!((&ious["asset"], amount(&ious["amount"])), (&json!("iou:Org1MSP/USD"), 0));
    assert_eq!(amount(&ious["owed"]), 10 * PRICE, "{ious}");
    assert!(money.get("owed").is_none(), "money is no promise: {money}");
    let held = network.ask(&["ledger", "balance"], "seller.toml");
    assert_eq!(amount(&held[1]["amount"]), 10 * PRICE, "{held:?}");
}

#[test]
fn commands_say_who_we_are_on_a_channel_and_what_to_mend() {
    let Some(network) = Network::up() else { return };
    let (seller, buyer) = (network.account("seller"), network.account("buyer"));
    let listed = network.ask(&["ledger", "list"], "buyer.toml");
    assert_eq!((&listed[0]["key"], &listed[0]["signer"]), (&Value::Null, &json!("buyer")));
    let status = network.ask(&["ledger", "status"], "buyer.toml");
    assert_eq!((&status[0]["account"], &status[0]["is_open"]), (&json!(buyer), &json!(true)));
    assert_eq!(status[0]["next_number"], Value::Null, "{status:?}");

    // From our own money to somebody, and none to ourselves, for we make none.
    let fund = ["ledger", "fund", "2500000", "--account", &seller];
    let funded = network.ask(&fund, "buyer.toml");
    assert_eq!(funded[0]["balance"], "1000002500000", "{funded:?}");
    let (exit, said) =
        told(sdpp().args(["ledger", "fund", "5", "--config"]).arg(network.path("buyer.toml")));
    assert_eq!(exit, 5, "{said}");
    assert!(said.contains("NoFaucet") && said.contains("--account"), "{said}");
    for (asset, code) in [("coin", "Malformed"), ("iou:Org1MSP/USD", "NoFaucet")] {
        let args = ["ledger", "fund", "5", "--asset", asset, "--config"];
        let (exit, said) = told(sdpp().args(args).arg(network.path("buyer.toml")));
        assert!(exit == 5 && said.contains(code), "{said}");
    }
    // A promise is one, and within the limit, whoever makes it.
    let promise = |amount| {
        let args = ["ledger", "fund", amount, "--asset", "iou:Org1MSP/USD", "--account", &seller];
        told(sdpp().args(args).arg("--config").arg(network.path("buyer.toml")))
    };
    let (exit, said) = promise("99999000");
    assert!(exit == 0 && said.contains("holds 99.999000 USD in IOUs"), "{said}");
    let (exit, said) = promise("1001");
    assert!(exit == 5 && said.contains("InsufficientFunds"), "{said}");
    let admin = network.changed("signer = \"buyer\"", "signer = \"admin\"");
    let made = network.ask(&["ledger", "fund", "7"], admin);
    assert_eq!(made[0]["balance"], "7", "an admin of the organisation makes it: {made:?}");
    let args = ["ledger", "tx", &"0".repeat(64)];
    let (exit, said) = told(sdpp().args(args).arg("--config").arg(network.path("buyer.toml")));
    assert_eq!(exit, 1, "{said}");

    let wrong = [
        ("signer = \"buyer\"", "signer = \"nobody\"", "mend `signer`"),
        ("chaincode = \"sdpp\"", "chaincode = \"other\"", "mend `chaincode`"),
        ("channel = \"sdpp\"", "channel = \"other\"", "mend `channel`"),
        ("gateway = \"http://127.0.0.1:", "gateway = \"http://127.0.0.1:1/", "mend gateway"),
    ];
    for (from, to, what) in wrong {
        let (exit, said) = network.check(network.changed(from, to));
        assert_eq!(exit, 5, "{said}");
        assert!(said.contains(what) && said.contains("[ledgers.fabric]"), "{said}");
    }
    let with_token = "signer = \"buyer\"\ntoken = \"file:none\"";
    let (exit, said) = network.check(network.changed("signer = \"buyer\"", with_token));
    assert_eq!(exit, 2, "{said}");
    assert!(said.contains("ledgers.fabric.token: cannot read "), "{said}");
}

/// Who only asks writes nothing; who is to be paid has an account from then on.
#[test]
fn an_account_is_opened_by_who_sells_and_not_by_who_asks() {
    let Some(network) = Network::up() else { return };
    network.enroll("newcomer");
    let seller = fs::read_to_string(network.path("seller.toml")).unwrap();
    let text = seller.replacen("signer = \"seller\"", "signer = \"newcomer\"", 1);
    fs::write(network.path("newcomer.toml"), text).unwrap();
    let is_open = || network.ask(&["ledger", "status"], "newcomer.toml")[0]["is_open"].clone();
    for _ in 0..2 {
        let (exit, said) = network.check("newcomer.toml");
        assert_eq!(exit, 0, "{said}");
        assert!(said.contains("not open yet: `sdpp sell` and `sdpp buy` open it"), "{said}");
        assert_eq!(is_open(), false);
    }
    let mut sell = sdpp();
    sell.args(["sell", "--listen", "127.0.0.1:0", "--config"]);
    let (mut selling, _) = listening(sell.arg(network.path("newcomer.toml")));
    assert_eq!(is_open(), true);
    selling.signal("TERM");
    assert!(selling.wait().success());
    let (exit, said) = network.check("newcomer.toml");
    assert!(exit == 0 && said.contains("holds 0.000000 USD"), "{said}");
}

#[test]
fn the_demo_plays_on_a_double_and_says_that_it_is_one() {
    let Some(network) = Network::up() else { return };
    let demo = network.demo();
    assert_done(&demo);
    let told: Value = serde_json::from_slice(&demo.stdout).unwrap();
    assert_eq!(
        (&told["double"], &told["items"], &told["windows"], &told["currency"]),
        (&json!(true), &json!(20), &json!(2), &json!("USD"))
    );
    assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (60, 60), "{told}");
    let mut demo = sdpp();
    demo.args(["demo", "--ledger", "fabric", "--items", "10"]).arg("--dir");
    demo.arg(network.path("demo")).env("SDPP_FABRIC_DIR", network.0.path());
    let said = String::from_utf8(demo.output().unwrap().stdout).unwrap();
    assert!(said.contains("this is no Fabric network but a double"), "{said}");
    assert!(said.contains("which proves nothing of a real one"), "{said}");

    assert_done(&network.script("down"));
    let away = network.demo();
    assert_eq!(away.status.code(), Some(5));
    let said = String::from_utf8_lossy(&away.stderr).into_owned();
    assert!(said.contains("scripts/fabric up"), "{said}");
}

#[test]
fn the_demo_says_what_to_start_where_no_network_was_ever_started() {
    says_what_to_start(&["demo", "--ledger", "fabric"], "fabric");
}
