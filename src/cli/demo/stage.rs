//! What the demo is played on: keys, configs and money for both sides.

use super::TOPIC;
use crate::actors::random_key;
use crate::cli::anvil::{self, ANVIL, Anvil, fund};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::fabric::{self, FABRIC};
use crate::cli::iota::{self, IOTA};
use crate::config::Config;
use crate::config::ledgers::{Keyring, OpenError, Opened};
use sdpp_ledger::{Amount, Asset, Key};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a reading costs on the embedded ledger and on Fabric, in the smallest unit.
const PRICE: u128 = 3;
/// What a reading costs on a chain, in wei: a millionth of an ether.
const CHAIN_PRICE: u128 = 1_000_000_000_000;
/// What a reading costs on IOTA, in NANOS: a hundred-thousandth of a coin.
const IOTA_PRICE: u128 = 10_000;
/// What each side has on IOTA at least for its transactions, in NANOS: ten coins, far more than they
/// cost.
const FOR_IOTA_GAS: u128 = 10_000_000_000;
/// What each side gets on a chain for its transactions, in wei: an ether, far more than they cost.
const FOR_GAS: u128 = 1_000_000_000_000_000_000;

/// A ledger to play on.
pub(super) struct On {
    /// Its name in the configs.
    pub(super) ledger: &'static str,
    /// What each config says of the ledger, seller's and buyer's.
    ledgers: [String; 2],
    /// What both say of currency and records.
    shared: String,
    /// What a reading costs, in the currency's smallest unit.
    price: u128,
    /// What the buyer's config says of its money.
    spending: String,
    /// What each side must have at first, seller and buyer, and of what.
    need: [Amount; 2],
    asset: Asset,
    gives: Gives,
    /// How to say that it is not there.
    not_up: fn(&str) -> Failure,
    /// What it is, where it only behaves like the ledger it stands for.
    pub(super) double: Option<Double>,
}

/// A ledger that only behaves like one.
#[derive(Clone, Copy)]
pub(super) struct Double {
    /// Of what it is one.
    pub(super) of: &'static str,
    /// What a person must know before believing what was played on it.
    pub(super) lines: [&'static str; 2],
}

/// Who gives both sides their money.
enum Gives {
    /// The ledger, which is in this process: it has a faucet and is opened once.
    Itself,
    /// Somebody who has some, on a ledger that others have started.
    Operator(Box<Config>),
    /// A faucet that each side's config names.
    Faucet,
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
        ledgers: [EMBEDDED, EMBEDDED].map(str::to_owned),
        shared: SDP.to_owned() + &records("local"),
        price: PRICE,
        spending: "currency = \"SDP\", max_total = \"1000000000\"".to_owned(),
        need: [Amount::ZERO, Amount::new(u128::from(items) * PRICE * 2)],
        asset: Asset::coin(),
        gives: Gives::Itself,
        not_up: |why| Failure::new(Exit::Ledger, why),
        double: None,
    }
}

/// The chain that `scripts/anvil up` has started; pays by escrow.
pub(super) fn anvil(items: u64) -> Outcome<On> {
    let anvil = Anvil::find()?;
    let cost = u128::from(items) * CHAIN_PRICE;
    Ok(On {
        ledger: ANVIL,
        ledgers: [String::new(), String::new()],
        shared: anvil.toml()? + &records(ANVIL),
        price: CHAIN_PRICE,
        spending: format!("currency = \"ETH\", max_total = \"{cost}\", deposit = \"{cost}\""),
        need: [Amount::new(FOR_GAS), Amount::new(cost + FOR_GAS)],
        asset: Asset::coin(),
        gives: Gives::Operator(Box::new(anvil.operator)),
        not_up: |why| anvil::SCRIPT.not_up(why),
        double: None,
    })
}

/// The double of a Fabric network that `scripts/fabric up` has started; pays in account money.
pub(super) fn fabric(items: u64) -> Outcome<On> {
    let network = fabric::Network::find()?;
    let (maker, asset) = network.maker()?;
    let cost = u128::from(items) * PRICE;
    let currency = usd(&asset);
    let spending = format!("currency = \"USD\", max_total = \"{cost}\"");
    let operator = buyer_text(&(network.toml(maker) + &currency), &spending);
    let nowhere = Path::new("/");
    let operator = Config::parse(&operator, &nowhere.join("operator.toml"), nowhere)?;
    Ok(On {
        ledger: FABRIC,
        ledgers: ["seller", "buyer"].map(|signer| network.toml(signer)),
        shared: currency + &records(FABRIC),
        price: PRICE,
        spending,
        need: [Amount::ZERO, Amount::new(cost)],
        asset,
        gives: Gives::Operator(Box::new(operator)),
        not_up: |why| fabric::SCRIPT.not_up(why),
        double: Some(Double { of: "a Fabric network", lines: fabric::DOUBLE }),
    })
}

/// The double of an IOTA node that `scripts/iota up` has started; pays in its coin.
pub(super) fn iota(items: u64) -> Outcome<On> {
    let network = iota::Network::find()?;
    let cost = u128::from(items) * IOTA_PRICE;
    Ok(On {
        ledger: IOTA,
        ledgers: [String::new(), String::new()],
        shared: network.toml() + &records(IOTA),
        price: IOTA_PRICE,
        spending: format!("currency = \"IOTA\", max_total = \"{cost}\""),
        need: [Amount::new(FOR_IOTA_GAS), Amount::new(cost + FOR_IOTA_GAS)],
        asset: Asset::coin(),
        gives: Gives::Faucet,
        not_up: |why| iota::SCRIPT.not_up(why),
        double: Some(Double { of: "an IOTA node", lines: iota::DOUBLE }),
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
        let buyers_ledger = match self.on.gives {
            Gives::Itself => sellers_ledger.signed_by(buyer_key.clone())?,
            Gives::Operator(_) | Gives::Faucet => self.reach(&self.buyer, &mut keys).await?,
        };
        let operator = match &self.on.gives {
            Gives::Operator(operator) => Some(self.reach(operator, &mut keys).await?),
            Gives::Itself | Gives::Faucet => None,
        };
        for (side, need) in [&sellers_ledger, &buyers_ledger].into_iter().zip(self.on.need) {
            side.open_account().await?;
            let giver = operator.as_ref().unwrap_or(side);
            fund(giver, side.ledger().account(), &self.on.asset, need).await?;
        }
        Ok(Open { seller_key, buyer_key, sellers_ledger, buyers_ledger })
    }

    async fn reach(&self, config: &Config, keys: &mut Keyring) -> Outcome<Opened> {
        match Opened::open(config, self.on.ledger, keys).await {
            Err(error @ OpenError::Unreachable { .. }) => Err((self.on.not_up)(&error.to_string())),
            opened => Ok(opened?),
        }
    }
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

const EMBEDDED: &str = r#"
[ledgers.local]
kind = "embedded"
dir = "ledger"
"#;

const SDP: &str = r#"
[currencies.SDP]
ledger = "local"
asset = "coin"
decimals = 6
methods = ["transfer"]
"#;

fn usd(asset: &Asset) -> String {
    format!(
        r#"
[currencies.USD]
ledger = "{FABRIC}"
asset = "{asset}"
decimals = 6
methods = ["transfer"]
"#
    )
}

fn records(ledger: &str) -> String {
    format!(
        r#"
[records]
ledger = "{ledger}"
batch = "each"
anchor = "before"
"#
    )
}

fn seller_toml(granularity: u32, on: &On) -> String {
    let On { shared, price, ledgers: [ledger, _], .. } = on;
    format!(
        r#"# The demo's seller.
[identity]
key = "file:seller.key"

[journal]
dir = "seller-journal"
{ledger}{shared}
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
    buyer_text(&(on.ledgers[1].clone() + &on.shared), &on.spending)
}

fn buyer_text(shared: &str, spending: &str) -> String {
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
