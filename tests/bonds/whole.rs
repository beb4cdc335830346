//! From a contract that is deployed to sessions under a bond, and to what a seller holds against a buyer, all
//! with the real binary: both sides as processes of their own on one Anvil.

use crate::court::{CHANNEL_OPENED, Court, acts, told};
use crate::rig;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A seller that runs.
pub struct Node {
    pub child: Child,
    pub address: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Court {
    pub fn sell(&self) -> Node {
        self.sells(self.command("seller", &["sell"])).expect("it listens")
    }

    /// The same by a command; `None` where it ends before it listens.
    pub fn sells(&self, mut command: Command) -> Option<Node> {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening ").unwrap_or_default().trim().to_owned();
        let node = Node { child, address };
        (!node.address.is_empty()).then_some(node)
    }

    pub async fn buy(&self, seller: &Node, more: &[&str]) -> Value {
        let _ = fs::remove_file(self.path("bought"));
        let verb = ["buy", &seller.address, "gas", "2", "--trust-on-first-use", "--json"];
        let verb = [&verb[..], &["--output", "bought"], more].concat();
        told(&self.run(self.command("buyer", &verb)).await)
    }

    /// A contract of bonds of their own, which both configs name.
    pub async fn deploys(&self) -> String {
        let verb = ["ledger", "deploy", "chain", "--bonds", "10m", "--json"];
        let made = told(&self.run(self.command("seller", &verb)).await);
        let contract = made["contract"].as_str().unwrap().to_owned();
        for side in ["seller", "buyer"] {
            let path = self.path(&format!("{side}.toml"));
            let config = fs::read_to_string(&path).unwrap();
            fs::write(&path, config.replace(&self.chain.contract, &contract)).unwrap();
        }
        contract
    }

    pub async fn bonding(&self, side: &str, verb: &[&str]) -> Value {
        let verb = [&["ledger", "bond"], verb, &["--json"]].concat();
        told(&self.run(self.command(side, &verb)).await)
    }
}

/// Both sides, the contract, and a bond for the channel that a first session has left open.
pub async fn pledged() -> Option<(Court, String, String)> {
    let court = Court::without_bond().await?;
    let config = fs::read_to_string(court.path("buyer.toml")).unwrap();
    let config = config.replace("deposit = \"1000\"", "deposit = \"1000\", keep_channel = true");
    fs::write(court.path("buyer.toml"), config).unwrap();
    court.seller_sells();
    let contract = court.deploys().await;

    // A channel stays from the first session.
    let seller = court.sell();
    let first = court.buy(&seller, &[]).await;
    assert_eq!(first["end"], "complete", "{first}");
    drop(seller);
    let channels = court.events(CHANNEL_OPENED).await;
    let channel = channels.last().unwrap()["topics"][1].as_str().unwrap();
    assert_ne!(channel, court.chain.channel.to_string());

    let key = court.chain.sellers_key.public().to_string();
    let amounts = ["--buyer", "400", "--seller", "301", "--stake", "20", "--fee", "10"];
    let open = [&["open", channel, "--seller-key", &key], &amounts[..]].concat();
    let bond = court.bonding("buyer", &open).await["bond"].as_str().unwrap().to_owned();
    let joined = court.bonding("seller", &["join", &bond, "--at-most", "301"]).await;
    assert_eq!(joined["held"]["is_good"], true, "{joined}");
    Some((court, contract, bond))
}

#[tokio::test]
async fn what_is_deployed_and_pledged_is_bought_under_and_comes_back() {
    let Some((court, contract, bond)) = pledged().await else { return };
    let seller = court.sell();
    let under = court.buy(&seller, &["--bond", &bond]).await;
    assert_eq!(under["end"], "complete", "{under}");
    assert_eq!(fs::read_to_string(court.path("bought")).unwrap(), "1\n2\n");
    drop(seller);
    let session = under["session"].as_str().unwrap();
    for side in ["seller", "buyer"] {
        let verb = ["dispute", "settle", session, "--dry-run", "--json"];
        let shown = told(&court.run(court.command(side, &verb)).await);
        assert_eq!((&shown["bond"]["bond"], &shown["bond"]["next"]), (&json!(bond), &Value::Null));
        let audit = court.run(court.command(side, &["audit", "--json"])).await;
        assert!(audit.status.success(), "{side}: {}", String::from_utf8_lossy(&audit.stderr));
    }

    let asked = court.bonding("seller", &["end", &bond]).await;
    assert_eq!(acts(&asked), ["request_end"], "{asked}");
    court.chain.pass(600).await;
    for side in ["seller", "buyer"] {
        let ended = court.bonding(side, &["end", &bond]).await;
        assert_eq!(acts(&ended), ["end", "withdraw"], "{side}: {ended}");
    }
    let left = court.chain.anvil.ask("eth_getBalance", json!([contract, "latest"])).await;
    assert_eq!(left, "0x0", "nobody's bond stays behind");
}

/// Its root stands on the menu, and both sign it for the bond's contract.
#[tokio::test]
async fn a_promised_file_is_bought_under_a_bond() {
    let Some((court, _, bond)) = pledged().await else { return };
    court.changes("seller", "format = \"lines\"", "format = \"lines\", committed = true");
    let seller = court.sell();
    let under = court.buy(&seller, &["--bond", &bond]).await;
    assert_eq!(under["end"], "complete", "{under}");
    assert_eq!(fs::read_to_string(court.path("bought")).unwrap(), "1\n2\n");
}

/// A period later nobody answers for what is signed: it goes no further under that bond.
#[tokio::test]
async fn a_session_ends_when_the_end_of_its_bond_is_asked_for() {
    let Some((court, contract, bond)) = pledged().await else { return };
    let config = fs::read_to_string(court.path("seller.toml")).unwrap();
    let source = "source = { kind = \"host\", sensor = \"cpu_load\", interval_ms = 300 }";
    let file = "source = { kind = \"file\", path = \"items\", format = \"lines\" }";
    assert!(config.contains(file));
    fs::write(court.path("seller.toml"), config.replace(file, source)).unwrap();
    let seller = court.sell();
    let verb = ["buy", &seller.address, "gas", "100", "--trust-on-first-use", "--json"];
    let verb = [&verb[..], &["--output", "stream", "--bond", &bond]].concat();
    let mut buy = court.command("buyer", &verb);
    let bought = tokio::task::spawn_blocking(move || buy.output().unwrap());
    let path = court.path("stream");
    let flows = async || fs::metadata(&path).ok().filter(|file| file.len() > 0).map(drop);
    rig::until("items come", flows).await;
    court.chain.request_end(&contract).await;
    let output = tokio::time::timeout(rig::PATIENCE, bought).await.expect("it ends").unwrap();
    assert_eq!(told(&output)["why"], "the seller stopped", "{output:?}");
}
