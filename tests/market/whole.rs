//! The whole market: one seller that takes five currencies on four ledgers at once, as
//! `scripts/market up` sets it up, and a buyer that pays in each, whatever is recorded where.

use crate::place::{Running, amount, assert_done, listening, sdpp, statements, told};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What a reading costs, in the unit of SDP.
const PRICE: u128 = 1000;

/// The currencies, and how many of its units are asked for one of SDP's: as config/market.toml has it.
const RATES: [(&str, u128); 5] =
    [("SDP", 1), ("ETH", 400_000_000), ("USDX", 1), ("USD", 1), ("IOTA", 5000)];

/// Everything that the script starts; it ends with this.
struct Market(TempDir);

impl Market {
    /// `None`, said aloud, where there are no tools for it. CI must have them.
    fn up() -> Option<Market> {
        let is_there = |tool: &str| {
            Command::new(tool).arg("--version").output().is_ok_and(|o| o.status.success())
        };
        if !is_there("node") || !is_there("npm") {
            let what = "there is no node, or no npm";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{what}");
            eprintln!("SKIPPED: {what}");
            return None;
        }
        let market = Market(tempfile::tempdir().unwrap());
        assert_done(&market.script("up"));
        Some(market)
    }

    fn script(&self, verb: &str) -> Output {
        let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/market"));
        script.arg(verb).stdin(Stdio::null()).env("SDPP", env!("CARGO_BIN_EXE_sdpp"));
        for one in ["market", "anvil", "fabric", "iota"] {
            script.env(format!("SDPP_{}_DIR", one.to_uppercase()), self.0.path().join(one));
        }
        script.env("SDPP_FABRIC_BLOCK_MS", "20");
        script.env("SDPP_IOTA_CHECKPOINT_MS", "50").env("SDPP_IOTA_LAG_MS", "100");
        // Built beside us where the whole workspace is tested; otherwise the script builds it.
        let double = Path::new(env!("CARGO_BIN_EXE_sdpp")).with_file_name("sdpp-iota-double");
        if double.exists() && std::env::var_os("SDPP_IOTA_DOUBLE").is_none() {
            script.env("SDPP_IOTA_DOUBLE", double);
        }
        script.output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("market").join(name)
    }

    /// A side's config with its records on a ledger.
    fn recorded_on(&self, side: &str, ledger: &str) -> PathBuf {
        self.changed(
            side,
            "[records]\nledger = \"local\"",
            &format!("[records]\nledger = \"{ledger}\""),
        )
    }

    /// A side's config with one change.
    fn changed(&self, side: &str, from: &str, to: &str) -> PathBuf {
        let text = fs::read_to_string(self.path(&format!("{side}.toml"))).unwrap();
        assert!(text.contains(from), "{from:?} is not in {text}");
        let changed = self.path(&format!("{side}-changed.toml"));
        fs::write(&changed, text.replacen(from, to, 1)).unwrap();
        changed
    }

    fn sell(&self, config: &Path) -> (Running, String) {
        let mut sell = sdpp();
        listening(sell.args(["sell", "--listen", "127.0.0.1:0", "--config"]).arg(config))
    }

    /// Buys ten readings; what is told of it.
    fn buy(&self, address: &str, config: &Path, more: &[&str]) -> Value {
        let items = self.path("items");
        let _ = fs::remove_file(&items);
        let mut buy = sdpp();
        buy.args(["buy", address, "memory", "10", "--json", "--config"]).arg(config);
        let output = buy.args(more).arg("--output").arg(&items).output().unwrap();
        assert_done(&output);
        assert_eq!(fs::read_to_string(items).unwrap().lines().count(), 10);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The bill for ten readings, and how asking for it ends.
    fn bill(&self, address: &str, config: &Path, more: &[&str]) -> (i32, Value) {
        let mut buy = sdpp();
        buy.args(["buy", address, "memory", "10", "--dry-run", "--json", "--config"]).arg(config);
        let output = buy.args(more).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let told = serde_json::from_str(told.trim()).unwrap_or_else(|_| {
            panic!("{told}{}", String::from_utf8_lossy(&output.stderr));
        });
        (output.status.code().unwrap(), told)
    }

    /// A side's statements, compared with all the ledgers.
    fn audit(&self, side: &str) -> Vec<Value> {
        let mut audit = sdpp();
        audit.args(["audit", "--format", "json", "--config"]);
        let output = audit.arg(self.path(&format!("{side}.toml"))).output().unwrap();
        assert_done(&output);
        statements(&output.stdout)
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        let _ = self.script("down");
    }
}

#[test]
fn whoever_pays_on_one_ledger_may_record_on_any_other() {
    let Some(market) = Market::up() else { return };
    let (mut paid, mut sessions) = (BTreeMap::<&str, u128>::new(), 0);
    for records in ["local", "anvil", "fabric", "iota"] {
        let buyer = market.recorded_on("buyer", records);
        let (mut seller, address) = market.sell(&market.recorded_on("seller", records));
        for (currency, rate) in RATES {
            let bought = market.buy(&address, &buyer, &["--currency", currency]);
            let owed = 10 * PRICE * rate;
            assert_eq!(bought["currency"], currency, "{bought}");
            assert_eq!(
                (amount(&bought["owed"]), amount(&bought["paid"])),
                (owed, owed),
                "{bought}"
            );
            *paid.entry(currency).or_default() += owed;
            sessions += 1;
        }
        seller.signal("TERM");
        assert!(seller.wait().success());
    }
    for side in ["seller", "buyer"] {
        let statements = market.audit(side);
        assert_eq!(statements.len(), sessions, "{statements:?}");
        let mut settled = BTreeMap::<&str, u128>::new();
        for one in &statements {
            assert_eq!((&one["problems"], &one["outstanding"]), (&json!([]), &json!("0")), "{one}");
            *settled.entry(one["currency"].as_str().unwrap()).or_default() +=
                amount(&one["settled"]);
        }
        assert_eq!(settled, paid, "{side}");
    }
}

#[test]
fn a_check_reaches_every_ledger_and_shows_the_menu_and_a_bill_is_shown_before_it_is_paid() {
    let Some(market) = Market::up() else { return };
    let (exit, said) =
        told(sdpp().args(["config", "check", "--online"]).arg(market.path("seller.toml")));
    assert_eq!(exit, 0, "{said}");
    let (ledgers, menu) = said.split_once("A buyer would see:").unwrap();
    for (currency, _) in RATES {
        assert!(menu.contains(&format!("\n{currency} ")), "{currency} is not in {menu}");
    }
    for ledger in
        ["local  account 0x", "anvil  account 0x", "fabric  account Org1MSP:", "iota  account 0x"]
    {
        assert!(ledgers.contains(ledger), "{ledger} is not in {ledgers}");
    }
    assert!(
        ledgers.contains("for fees") && ledgers.contains("on eip155:31337 at height"),
        "{ledgers}"
    );
    let (mut seller, address) = market.sell(&market.path("seller.toml"));
    let journal = market.path("buyer-journal");

    // All that we have will do, in our order of preference.
    let (exit, bill) = market.bill(&address, &market.path("buyer.toml"), &[]);
    assert_eq!(exit, 0, "{bill}");
    assert_eq!(bill["chosen"], json!({ "currency": "USD", "method": "transfer" }), "{bill}");
    let choices = bill["choices"].as_array().unwrap();
    let named = |currency: &str, method: &str| {
        let is =
            |one: &&Value| (&one["currency"], &one["method"]) == (&json!(currency), &json!(method));
        choices.iter().find(is).unwrap_or_else(|| panic!("{currency} by {method}: {bill}"))
    };
    for (currency, rate) in RATES {
        let line = named(currency, "transfer");
        assert_eq!(amount(&line["cost"]), 10 * PRICE * rate, "{line}");
        assert_eq!(amount(&line["in_default"]), 10 * PRICE, "{line}");
        assert!(!line["fees"].as_array().unwrap().is_empty(), "{line}");
    }
    assert_eq!(named("ETH", "escrow")["deposit"], "400000000000000");
    assert_eq!(named("USD", "transfer")["left_today"], "10000000");
    assert!(!journal.exists(), "who only asks writes nothing");

    // What is preferred and not enough is passed over, and said so.
    let poor = market.changed(
        "buyer",
        "max_total = \"1000000\"                       # the most",
        "max_total = \"9999\" # the most",
    );
    let (exit, bill) = market.bill(&address, &poor, &[]);
    assert_eq!((exit, &bill["chosen"]["currency"]), (0, &json!("USDX")), "{bill}");
    let bought = market.buy(&address, &poor, &[]);
    assert_eq!(bought["currency"], "USDX", "{bought}");

    // A day's ceiling counts what was spent, over restarts.
    let day = market.changed(
        "buyer",
        "max_per_day = \"10000000\"                    # and",
        "max_per_day = \"15000\" # and",
    );
    assert_eq!(market.buy(&address, &day, &[])["currency"], "USD");
    let (_, bill) = market.bill(&address, &day, &[]);
    assert_eq!(bill["choices"][0]["left_today"], "5000", "{bill}");
    assert_eq!(bill["chosen"]["currency"], "USDX", "{bill}");
    assert_eq!(market.buy(&address, &day, &[])["currency"], "USDX");
    seller.signal("TERM");
    assert!(seller.wait().success());
}
