//! What the stories on a real chain stand on: an Anvil that the test starts and stops itself, its
//! accounts, and a proxy in front of it. Shared by path with the tests of the whole project.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test file is a program, uses its own part, and fails by panicking"
)]

pub mod code;
pub mod proxy;

use sdpp_ledger::{
    Account, Amount, Approve, Asset, Call, Evidence, Finality, Key, Ledger, Reference, Signed,
    Transfer,
};
use sdpp_ledger_ethereum::{EthereumLedger, Settings};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The chain id of every Anvil here.
pub const CHAIN_ID: u64 = 31337;

/// The grace period of every escrow here, the shortest that there is.
pub const GRACE: Duration = Duration::from_secs(600);

/// How long a test waits for a process or a block before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Anvil's accounts, which hold 10,000 coins each.
const SECRETS: [&str; 5] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
];

/// A key of Anvil's.
pub fn key(owner: usize) -> Key {
    let mut bytes = [0; 32];
    hex::decode_to_slice(SECRETS[owner], &mut bytes).unwrap();
    Key::from_bytes(&bytes).unwrap()
}

pub fn account(owner: usize) -> Account {
    key(owner).public().account()
}

/// A node of our own, ended with the test.
pub struct Anvil {
    child: Child,
    pub port: u16,
}

impl Anvil {
    /// Starts one; `None`, said aloud, where there is no Anvil. Under `CI=true` there must be.
    pub async fn start(args: &[&str]) -> Option<Anvil> {
        Anvil::start_on(0, args).await
    }

    /// The same on a port that was ours before.
    pub async fn start_on(port: u16, args: &[&str]) -> Option<Anvil> {
        let Some(program) = program() else {
            let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!is_ci, "there is no anvil: npm ci --ignore-scripts in contracts/ethereum");
            eprintln!("SKIPPED: there is no anvil (SDPP_ANVIL, contracts/ethereum, PATH)");
            return None;
        };
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--host", "127.0.0.1"]).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("anvil starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(address) = line.strip_prefix("Listening on ") {
                    return address.rsplit_once(':').unwrap().1.parse().unwrap();
                }
            }
            panic!("anvil ended before it listened");
        };
        let port = tokio::time::timeout(PATIENCE, listening).await.expect("anvil listens in time");
        // What it says from now on is read and let go, or the pipe would fill.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Anvil { child, port })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks it anything.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Asks it anything, and takes an error for an answer.
    pub async fn answer(&self, method: &str, params: Value) -> Value {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let body = proxy::ask(self.port, question.to_string().as_bytes()).await;
        serde_json::from_slice(&body.expect("anvil answers")).unwrap()
    }

    pub async fn mine(&self, blocks: u64) {
        for _ in 0..blocks {
            self.ask("evm_mine", json!([])).await;
        }
    }

    pub async fn height(&self) -> u64 {
        let text = self.ask("eth_blockNumber", json!([])).await;
        u64::from_str_radix(text.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    /// Ends it in good order, so that it writes its state.
    pub async fn end(mut self) {
        let id = self.child.id().expect("it runs").to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        assert!(told.success());
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends in time").unwrap();
    }

    /// Ends it as a power cut would.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("SDPP_ANVIL") {
        return Some(path.into());
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packaged =
        here.ancestors().map(|dir| dir.join("contracts/ethereum/node_modules/.bin/anvil"));
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&paths).map(|dir| dir.join("anvil")).collect::<Vec<_>>();
    packaged.chain(installed).find(|path| path.is_file())
}

/// Settings for a chain at these URLs, without an escrow.
pub fn settings(urls: &[String], depth: u64) -> Settings {
    Settings {
        chain_id: CHAIN_ID,
        endpoints: urls.iter().map(|url| url.parse().unwrap()).collect(),
        escrow: None,
        bonds: None,
        depth,
        fee_ceiling: Amount::new(100_000_000_000),
        patience: Duration::from_secs(5),
    }
}

/// Does something while blocks are made for it.
pub async fn mining<T>(anvil: &Anvil, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_millis(20)) => anvil.mine(1).await,
        }
    }
}

/// An escrow on a fresh chain, and its settings at a depth.
pub async fn with_escrow(anvil: &Anvil, depth: u64) -> Settings {
    let bare = settings(&[anvil.url()], 1);
    let ledger = EthereumLedger::connect(bare.clone(), key(3)).await.unwrap();
    let deployed = mining(anvil, ledger.deploy_escrow(GRACE)).await.unwrap();
    anvil.mine(depth).await;
    Settings { escrow: Some(deployed.contract), depth, ..bare }
}

/// The same with a contract of bonds beside it, whose answers may take so long.
pub async fn with_bonds(anvil: &Anvil, depth: u64, period: Duration) -> Settings {
    let settings = with_escrow(anvil, depth).await;
    let at_once = Settings { depth: 1, ..settings.clone() };
    let ledger = EthereumLedger::connect(at_once, key(3)).await.unwrap();
    let escrow = settings.escrow.clone().unwrap();
    let deployed = mining(anvil, ledger.deploy_bonds(&escrow, period)).await.unwrap();
    anvil.mine(depth).await;
    Settings { bonds: Some(deployed.contract), ..settings }
}

/// A token on it, all of which account 0 holds, with leave for the escrow to take it.
pub async fn with_token(anvil: &Anvil, settings: &Settings) -> Asset {
    let at_once = Settings { depth: 1, ..settings.clone() };
    let ledger = EthereumLedger::connect(at_once, key(0)).await.unwrap();
    let supply = Amount::new(1_000_000_000);
    let token = mining(anvil, ledger.deploy_token("Test", "TEST", 6, supply)).await.unwrap();
    let asset: Asset = token.contract.as_str().parse().unwrap();
    let approve = Call::Approve(Approve { asset: asset.clone() });
    mining(anvil, ledger.send_and_wait(&approve)).await.unwrap();
    anvil.mine(settings.depth).await;
    asset
}

/// A transfer of coin to account 1.
pub fn transfer(units: u128, reference: u8) -> Transfer {
    Transfer {
        to: account(1),
        asset: Asset::coin(),
        amount: Amount::new(units),
        reference: Reference([reference; 32]),
    }
}

/// Prepares a call under the next number.
pub async fn signed(ledger: &EthereumLedger, call: &Call) -> Signed {
    let number = ledger.next_number().await.unwrap();
    sdpp_ledger::prepare(ledger, number, call).await.unwrap()
}

/// Asks until something is so, as long as patience lasts; for what no event tells.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(so) = ask().await {
            return so;
        }
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The evidence of what is final by now, or as soon as a node that makes blocks by itself has
/// made one.
pub async fn evidence(ledger: &EthereumLedger, signed: &Signed) -> Evidence {
    let ask = async || match ledger.finality(signed).await {
        Ok(Finality::Final(evidence)) => Some(evidence),
        Ok(Finality::Pending(_)) => None,
        other => panic!("not final: {other:?}"),
    };
    until("it is final", ask).await
}
