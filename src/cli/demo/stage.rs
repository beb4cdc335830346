//! What the demo is played on: keys, configs and money for both sides.

use super::TOPIC;
use crate::actors::random_key;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::config::ledgers::{Keyring, OpenError, Opened};
use crate::config::{Config, Ethereum, LedgerAt};
use sdpp_ledger::{Account, Amount, Asset, Key};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a reading costs on the embedded ledger, in its smallest unit.
const EMBEDDED_PRICE: u128 = 3;
/// What a reading costs on a chain, in wei: a millionth of an ether.
const CHAIN_PRICE: u128 = 1_000_000_000_000;
/// What each side gets on a chain for its transactions, in wei: an ether, far more than they cost.
const FOR_GAS: u128 = 1_000_000_000_000_000_000;
/// The ledger's name in the configs that `scripts/anvil` writes.
const ANVIL: &str = "anvil";

/// A ledger to play on.
pub(super) struct On {
    /// Its name in the configs.
    pub(super) ledger: &'static str,
    /// What both configs say of ledger, currency and records.
    shared: String,
    /// What a reading costs, in the currency's smallest unit.
    price: u128,
    /// What the buyer's config says of its money.
    spending: String,
    /// What each side must have at first, seller and buyer.
    need: [Amount; 2],
    /// Whose money it is; `None` where there is a faucet.
    operator: Option<Config>,
}

/// Keys and configs of both sides, in one folder.
pub(super) struct Stage {
    pub(super) dir: PathBuf,
    pub(super) seller: Config,
    pub(super) buyer: Config,
    pub(super) on: On,
}

/// Both sides' keys and ledgers, opened.
pub(super) struct Open {
    pub(super) seller_key: Key,
    pub(super) buyer_key: Key,
    pub(super) sellers_ledger: Opened,
    pub(super) buyers_ledger: Opened,
}

/// The ledger that comes with sdpp, in this process; pays by transfer.
pub(super) fn embedded(items: u64) -> On {
    On {
        ledger: "local",
        shared: embedded_toml().to_owned(),
        price: EMBEDDED_PRICE,
        spending: "currency = \"SDP\", max_total = \"1000000000\"".to_owned(),
        need: [Amount::ZERO, Amount::new(u128::from(items) * EMBEDDED_PRICE * 2)],
        operator: None,
    }
}

/// The chain that `scripts/anvil up` has started; pays by escrow.
pub(super) fn anvil(items: u64) -> Outcome<On> {
    let operator = Config::load(&anvil_dir()?.join("operator.toml"))?;
    let Some(LedgerAt::Ethereum(chain)) = operator.ledgers.get(ANVIL).map(|ledger| &ledger.at)
    else {
        return Err(not_up("its operator.toml names no such chain"));
    };
    let cost = u128::from(items) * CHAIN_PRICE;
    Ok(On {
        ledger: ANVIL,
        shared: chain_toml(chain)?,
        price: CHAIN_PRICE,
        spending: format!("currency = \"ETH\", max_total = \"{cost}\", deposit = \"{cost}\""),
        need: [Amount::new(FOR_GAS), Amount::new(cost + FOR_GAS)],
        operator: Some(operator),
    })
}

impl Stage {
    /// Writes what is not there yet: keys once, configs anew.
    pub(super) fn set(dir: &Path, granularity: u32, on: On) -> Outcome<Stage> {
        for side in ["seller", "buyer"] {
            write_key(&dir.join(format!("{side}.key")))?;
        }
        let write = |name: &str, text: String| -> Outcome<Config> {
            let path = dir.join(name);
            fs::write(&path, text).map_err(Failure::io("write", &path))?;
            Ok(Config::load(&path)?)
        };
        let seller = write("seller.toml", seller_toml(granularity, &on))?;
        let buyer = write("buyer.toml", buyer_toml(&on))?;
        Ok(Stage { dir: dir.to_owned(), seller, buyer, on })
    }

    /// Opens keys and ledgers, and gives both sides what they need.
    pub(super) async fn open(&self) -> Outcome<Open> {
        let mut keys = Keyring::default();
        let seller_key = keys.open(&self.seller.identity)?;
        let buyer_key = keys.open(&self.buyer.identity)?;
        let sellers_ledger = self.reach(&self.seller, &mut keys).await?;
        let buyers_ledger = sellers_ledger.signed_by(buyer_key.clone());
        let giver = match &self.on.operator {
            Some(operator) => self.reach(operator, &mut keys).await?,
            None => sellers_ledger.clone(),
        };
        for (key, need) in [&seller_key, &buyer_key].into_iter().zip(self.on.need) {
            fund(&giver, &key.public().account(), need).await?;
        }
        Ok(Open { seller_key, buyer_key, sellers_ledger, buyers_ledger })
    }

    async fn reach(&self, config: &Config, keys: &mut Keyring) -> Outcome<Opened> {
        match Opened::open(config, self.on.ledger, keys).await {
            Err(error @ OpenError::Unreachable { .. }) if self.on.operator.is_some() => {
                Err(not_up(&error.to_string()))
            }
            opened => Ok(opened?),
        }
    }
}

/// Gives an account what it needs, unless it has that much.
async fn fund(giver: &Opened, account: &Account, need: Amount) -> Outcome {
    let none = || Failure::new(Exit::Ledger, "this ledger moves no money");
    let payments = giver.ledger().payments().ok_or_else(none)?;
    let coin = Asset::coin();
    let has = payments.balance(account, &coin).await?;
    match need.checked_sub(has) {
        Some(more) if more > Amount::ZERO => Ok(giver.fund(account, &coin, more).await?),
        _ => Ok(()),
    }
}

/// Where `scripts/anvil up` wrote what it made: `$SDPP_ANVIL_DIR`, or `.anvil` in this folder or
/// one above.
fn anvil_dir() -> Outcome<PathBuf> {
    if let Some(dir) = std::env::var_os("SDPP_ANVIL_DIR").filter(|dir| !dir.is_empty()) {
        let dir = PathBuf::from(dir);
        let is_there = dir.join("operator.toml").exists();
        let nothing = || not_up(&format!("{} holds none", dir.display()));
        return if is_there { Ok(dir) } else { Err(nothing()) };
    }
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(Exit::Failed, format!("where are we? {error}")))?;
    let above = here.ancestors().map(|folder| folder.join(".anvil"));
    let nothing = || not_up(&format!("there is no .anvil in {} or above", here.display()));
    above.into_iter().find(|dir| dir.join("operator.toml").exists()).ok_or_else(nothing)
}

fn not_up(why: &str) -> Failure {
    let hint = "run `scripts/anvil up` in the project's folder first";
    Failure::new(Exit::Ledger, format!("no Anvil is up: {why}: {hint}"))
}

fn write_key(path: &Path) -> Outcome {
    if path.exists() {
        return Ok(());
    }
    let key = random_key().map_err(|error| Failure::new(Exit::Failed, error))?;
    let text = zeroize::Zeroizing::new(format!("0x{}\n", hex::encode(*key.to_bytes())));
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(Failure::io("write", path))?;
    file.write_all(text.as_bytes()).map_err(Failure::io("write", path))
}

fn embedded_toml() -> &'static str {
    r#"
[ledgers.local]
kind = "embedded"
dir = "ledger"

[currencies.SDP]
ledger = "local"
asset = "coin"
decimals = 6
methods = ["transfer"]

[records]
ledger = "local"
batch = "each"
anchor = "before"
"#
}

fn chain_toml(chain: &Ethereum) -> Outcome<String> {
    let Ethereum { chain_id, endpoints, depth, poll_ms, .. } = chain;
    let none = || not_up("its operator.toml names no escrow or no endpoint");
    let escrow = chain.escrow.as_ref().ok_or_else(none)?;
    let endpoint = endpoints.first().ok_or_else(none)?;
    Ok(format!(
        r#"
[ledgers.anvil]
kind = "ethereum"
chain_id = {chain_id}
endpoints = ["{endpoint}"]
escrow = "{escrow}"
depth = {depth}
poll_ms = {poll_ms}

[currencies.ETH]
ledger = "anvil"
asset = "coin"
decimals = 18
methods = ["escrow"]

[records]
ledger = "anvil"
batch = "each"
anchor = "before"
"#
    ))
}

fn seller_toml(granularity: u32, on: &On) -> String {
    let On { shared, price, .. } = on;
    format!(
        r#"# The demo's seller.
[identity]
key = "file:seller.key"

[journal]
dir = "seller-journal"
{shared}
[seller]
listen = "127.0.0.1:0"
granularity = {granularity}

[topics.{TOPIC}]
price = "{price}"
units = "bytes"
source = {{ kind = "host", sensor = "memory", interval_ms = 10 }}
"#
    )
}

fn buyer_toml(on: &On) -> String {
    let On { shared, spending, .. } = on;
    format!(
        r#"# The demo's buyer.
[identity]
key = "file:buyer.key"

[journal]
dir = "buyer-journal"
{shared}
[buyer]
currencies = [{{ {spending} }}]
"#
    )
}
