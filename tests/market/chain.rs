//! A chain of a story's own: `scripts/anvil up` in a folder of its own, and what the chain itself
//! tells afterwards.

use crate::place::{self, Running, assert_done, listening, sdpp, told};
use sdpp_ledger::keccak;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What a reading costs.
pub const PRICE: u128 = 1_000_000_000_000;

/// A chain of this story's own; its process ends with it.
pub struct Chain(TempDir);

impl Chain {
    /// `None`, said aloud, where there are no tools for it. CI must have them.
    pub fn up() -> Option<Chain> {
        let tools = project().join("contracts/ethereum/node_modules/.bin");
        let npm = Command::new("npm").arg("--version").output();
        if !tools.join("cast").exists() && !npm.is_ok_and(|npm| npm.status.success()) {
            let what = "neither the tools in contracts/ethereum nor npm to fetch them are here";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{what}");
            eprintln!("SKIPPED: {what}");
            return None;
        }
        let chain = Chain(tempfile::tempdir().unwrap());
        assert_done(&chain.script("up"));
        Some(chain)
    }

    pub fn script(&self, verb: &str) -> Output {
        self.script_with(verb, env!("CARGO_BIN_EXE_sdpp"))
    }

    /// The script with another program for `sdpp`, and its folder named as from the one it is in.
    pub fn script_with(&self, verb: &str, sdpp: &str) -> Output {
        let mut script = Command::new(project().join("scripts/anvil"));
        script.arg(verb).env("SDPP", sdpp).stdin(Stdio::null());
        script.current_dir(self.0.path().parent().unwrap());
        script.env("SDPP_ANVIL_DIR", self.0.path().file_name().unwrap()).output().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap().trim().to_owned()
    }

    /// What `up` wrote down: `url`, `escrow` or `token`.
    pub fn recorded(&self, name: &str) -> String {
        let text = self.read("chain");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).to_owned()
    }

    /// Asks the chain with a program that is not ours.
    pub fn cast(&self, args: &[&str]) -> String {
        let cast = project().join("contracts/ethereum/node_modules/.bin/cast");
        let url = self.recorded("url");
        let output = Command::new(cast).args(args).args(["--rpc-url", &url]).output().unwrap();
        assert_done(&output);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn rpc(&self, method: &str, parameter: &Value) -> Value {
        serde_json::from_str(&self.cast(&["rpc", method, &parameter.to_string()])).unwrap()
    }

    /// Everything that ever happened under an event's name, as (topics, data, transaction).
    pub fn events(&self, signature: &str) -> Vec<(Vec<String>, u128, String)> {
        let topic = keccak(&[signature.as_bytes()]).to_string();
        let logs = self.rpc("eth_getLogs", &json!({ "fromBlock": "0x0", "topics": [topic] }));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let event = |log: &Value| {
            let topics = log["topics"].as_array().unwrap().iter().map(text).collect();
            // The first word of the data, where that is a number that fits.
            let word = text(&log["data"]).get(2 + 32..2 + 64).map(str::to_owned);
            let number = word.and_then(|w| u128::from_str_radix(&w, 16).ok()).unwrap_or_default();
            (topics, number, text(&log["transactionHash"]))
        };
        logs.as_array().unwrap().iter().map(event).collect()
    }

    /// What an account has paid for these transactions of its own.
    pub fn fees(&self, account: &str, transactions: &BTreeSet<String>) -> u128 {
        let number = |value: &Value| {
            let digits = value.as_str().unwrap().strip_prefix("0x").unwrap();
            u128::from_str_radix(digits, 16).unwrap()
        };
        let receipts =
            transactions.iter().map(|tx| self.rpc("eth_getTransactionReceipt", &json!(tx)));
        let own: Vec<Value> = receipts.filter(|receipt| receipt["from"] == account).collect();
        let count = self.cast(&["nonce", account]).parse::<usize>().unwrap();
        assert_eq!(own.len(), count, "{account} has sent nothing else");
        own.iter().map(|r| number(&r["gasUsed"]) * number(&r["effectiveGasPrice"])).sum()
    }

    /// What a transaction cost in gas.
    pub fn gas(&self, tx: &str) -> u64 {
        let receipt = self.rpc("eth_getTransactionReceipt", &json!(tx));
        let digits = receipt["gasUsed"].as_str().unwrap().strip_prefix("0x").unwrap();
        u64::from_str_radix(digits, 16).unwrap()
    }

    pub fn account(&self, side: &str) -> String {
        let keys = self.path("keys");
        let output = sdpp().args(["keys", "show", side, "--json", "--dir"]).arg(keys).output();
        let told: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        told["account"].as_str().unwrap().to_owned()
    }

    pub fn sell(&self) -> (Running, String) {
        let mut sell = sdpp();
        sell.args(["sell", "--listen", "127.0.0.1:0", "--config"]);
        listening(sell.arg(self.path("seller.toml")))
    }

    pub fn buy(&self, address: &str, config: &str, currency: &str) -> Value {
        let items = self.path(&format!("{currency}.items"));
        let output = sdpp()
            .args(["buy", address, "cpu_load", "10", "--trust-on-first-use", "--json"])
            .args(["--currency", currency, "--config"])
            .arg(self.path(config))
            .arg("--output")
            .arg(&items)
            .output()
            .unwrap();
        assert_done(&output);
        assert_eq!(fs::read_to_string(items).unwrap().lines().count(), 10);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A side's statement in a currency, compared with the chain.
    pub fn audit(&self, side: &str, currency: &str) -> Value {
        let mut found = place::audit(self.0.path(), side).into_iter();
        found.find(|statement| statement["currency"] == currency).unwrap()
    }

    /// Changes the buyer's config: its tokens are spent one way alone.
    pub fn buyer_pays_tokens_by(&self, method: &str) {
        let text = self.read("buyer.toml");
        let (ether, token) = text.split_once("[currencies.USDX]").unwrap();
        let line = token.lines().find(|line| line.starts_with("methods")).unwrap();
        let token = token.replacen(line, &format!("methods = [\"{method}\"]"), 1);
        fs::write(self.path("buyer.toml"), format!("{ether}[currencies.USDX]{token}")).unwrap();
    }

    /// Gives an account so much of the coin, in wei, and takes all else from it.
    pub fn endow(&self, side: &str, wei: u128) {
        let account = self.account(side);
        self.cast(&["rpc", "anvil_setBalance", &account, &format!("{wei:#x}")]);
    }

    /// What a seller offers: each currency and how it is paid, or its error.
    pub fn offered(address: &str) -> Result<Vec<String>, String> {
        let (exit, text) = told(sdpp().args(["menu", address, "--json"]));
        if exit != 0 {
            return Err(text);
        }
        let menu: Value = serde_json::from_str(&text).unwrap();
        let accepted = menu["currencies_accepted"].as_array().unwrap().iter();
        let name = |one: &Value| format!("{} {}", one["currency"], one["method"]).replace('"', "");
        Ok(accepted.map(name).collect())
    }

    pub fn demo(&self) -> Output {
        let mut demo = sdpp();
        demo.args(["demo", "--ledger", "anvil", "--items", "20", "--json", "--dir"]);
        demo.arg(self.path("demo")).env("SDPP_ANVIL_DIR", self.0.path()).output().unwrap()
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.script("down");
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
