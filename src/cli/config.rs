//! `sdpp config`: whether a config holds together, and what it means.

use super::exit::{Exit, Failure, Outcome};
use super::holdings::{Holding, holdings, named};
use super::offered::{Offered, offered};
use super::out;
use super::rating::{self, Answers};
use super::running::{Means, in_system};
use super::stock::Stock;
use crate::actors::funds::lack;
use crate::config::ledgers::{Keyring, Opened, Token};
use crate::config::{Config as Meant, CurrencyConfig, LedgerAt};
use crate::keystore::{self, KeyFrom, KeystoreError, PasswordFrom};
use clap::{Args, Subcommand};
use sdpp_ledger::{Account, Amount, Asset, Ledger, LedgerError, LedgerId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Check a config, or show what it means.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp config check seller.toml --online")]
pub(super) struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Check(Check),
    Show(Show),
}

/// Check that everything a config refers to is there.
///
/// Keys, what is to unlock them (but for what a person types) and what is to be sold are looked for, as
/// `sdpp sell` and `sdpp buy` would find them here and now; with --online the keys are unlocked and the ledgers
/// asked as well: whether they are the ones that are meant, their contract the right one, their
/// tokens what the currencies say; who we are there, what we hold and whether that is enough for
/// fees; what each source of a rate answers now; and what a buyer would see of it. Nothing is written
/// to any, and nothing is signed. It fails where the menu would have no currency.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp config check seller.toml --online")]
struct Check {
    /// The config.
    file: PathBuf,
    /// Unlock the keys and ask each ledger as well.
    #[arg(long)]
    online: bool,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

/// Show a config with every default filled in and every path resolved. It holds no secrets.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp config show seller.toml --json")]
struct Show {
    /// The config.
    file: PathBuf,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(super) fn run(self) -> Outcome {
        match self.verb {
            Verb::Check(check) => check.run(),
            Verb::Show(Show { file, json }) => {
                let config = Meant::load(&file)?;
                if json { out::json(&config) } else { out::line(config.show().trim_end()) }
            }
        }
    }
}

impl Check {
    fn run(self) -> Outcome {
        let config = Meant::load(&self.file)?;
        let in_file = |failure: Failure| Failure {
            why: format!("{}: {}", self.file.display(), failure.why),
            ..failure
        };
        let stock = offline(&config).map_err(in_file)?;
        let Online { reached, rates, offered } = match self.online {
            true => in_system(online(&config, stock)).map_err(in_file)?,
            false => Online::default(),
        };
        let is_empty = offered.as_ref().is_some_and(|offered| !offered.is_something());
        let (seller, buyer) = (config.seller.is_some(), config.buyer.is_some());
        if self.json {
            out::json(&serde_json::json!({
                "file": self.file, "good": true, "seller": seller, "buyer": buyer,
                "topics": config.topics.keys().collect::<Vec<_>>(),
                "currencies": config.currencies.keys().collect::<Vec<_>>(),
                "ledgers": config.ledgers.keys().collect::<Vec<_>>(),
                "online": self.online, "reached": reached, "rates": rates,
                "offered": offered.as_ref().map(Offered::json),
            }))?;
            return nothing_offered(is_empty);
        }
        let who = match (seller, buyer) {
            (true, true) => "a seller and a buyer",
            (true, false) => "a seller",
            _ => "a buyer",
        };
        let asked = if self.online { ", all ledgers answer" } else { "" };
        out::line(format!("{} is good: {who}{asked}", self.file.display()))?;
        reached.iter().try_for_each(out::line)?;
        rates.iter().try_for_each(out::line)?;
        offered.iter().try_for_each(Offered::show)?;
        nothing_offered(is_empty)
    }
}

/// A seller that could be paid in nothing would sell nothing.
fn nothing_offered(is_empty: bool) -> Outcome {
    let why = "nobody could buy: no currency of this config can be offered just now";
    if is_empty { Err(Failure::new(Exit::Failed, why)) } else { Ok(()) }
}

/// What can be checked without a password and without a network; what there is to sell.
fn offline(config: &Meant) -> Outcome<Stock> {
    let ledgers = config
        .ledgers
        .iter()
        .filter_map(|(name, ledger)| Some((format!("ledgers.{name}.key"), ledger.key.as_ref()?)));
    for (place, key) in
        std::iter::once(("identity.key".to_owned(), &config.identity)).chain(ledgers)
    {
        is_there(key).map_err(|error| Failure::usage(format!("{place}: {error}")))?;
    }
    for (name, ledger) in &config.ledgers {
        for (key, path) in files(&ledger.at) {
            let missing = |error| Failure::usage(format!("ledgers.{name}.{key}: {error}"));
            is_file(path).map_err(missing)?;
        }
    }
    super::tls::check(config)?;
    for (name, currency) in &config.currencies {
        let key = config.ledgers.get(&currency.ledger).and_then(|ledger| ledger.key.as_ref());
        // Other keys show their account only when they are opened.
        if let Some(own) = key.map(account_of).transpose()?.flatten() {
            check_payee(name, currency, &own)?;
        }
    }
    let stocked = config.topics.iter().map(|(name, topic)| {
        let stock = topic.source.stock(config.limits.item_bytes_max);
        let unfit = |error| Failure::usage(format!("topics.{name}.source: {error}"));
        Ok((name.clone(), stock.map_err(unfit)?))
    });
    stocked.collect()
}

/// The files beside keys that a ledger's config names, by key.
fn files(at: &LedgerAt) -> Vec<(&'static str, &Path)> {
    match at {
        LedgerAt::Embedded(_) => Vec::new(),
        LedgerAt::Ethereum(chain) => {
            chain.endpoints.iter().filter_map(|from| Some(("endpoints", from.file()?))).collect()
        }
        LedgerAt::Fabric(fabric) => fabric.files(),
        LedgerAt::Iota(iota) => iota.files(),
    }
}

/// Whether a key and its password can be fetched. Whether the one opens the other shows when it is used.
fn is_there(key: &KeyFrom) -> Result<(), KeystoreError> {
    match key {
        KeyFrom::Keystore { dir, name, password } => {
            if !keystore::list(dir)?.iter().any(|listed| listed.name == *name) {
                return Err(KeystoreError::Missing { name: name.clone(), dir: dir.clone() });
            }
            match password {
                PasswordFrom::Prompt => Ok(()),
                PasswordFrom::Env(_) | PasswordFrom::File(_) => password.read("").map(drop),
            }
        }
        KeyFrom::File(_) | KeyFrom::Env(_) => key.open().map(drop),
    }
}

fn is_file(path: &Path) -> Result<(), KeystoreError> {
    let about = std::fs::metadata(path).map(drop);
    about.map_err(|error| KeystoreError::Io { what: "read", path: path.to_owned(), error })
}

/// The account of a key whose file says it without a password.
fn account_of(key: &KeyFrom) -> Outcome<Option<Account>> {
    let KeyFrom::Keystore { dir, name, .. } = key else { return Ok(None) };
    let listed = keystore::list(dir)?;
    Ok(listed.into_iter().find(|one| one.name == *name).and_then(|one| one.account))
}

fn check_payee(name: &str, currency: &CurrencyConfig, own: &Account) -> Outcome {
    let wrong = |why| Failure::usage(format!("currencies.{name}.payee: {why}"));
    currency.payee(own).map(drop).map_err(wrong)
}

/// Who we are on a ledger.
#[derive(Serialize)]
struct Reached {
    ledger: String,
    /// What it says that it is, and how high.
    id: LedgerId,
    height: u64,
    account: Account,
    /// Whether the account can be paid.
    is_open: bool,
    holds: Vec<Holding>,
    /// Why our account cannot do its part there.
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<String>,
    /// What it takes of the coin for fees in one more session, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    fees: Option<String>,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reached { ledger, account, is_open, holds, .. } = self;
        write!(f, "{ledger}  account {account} on {} at height {}", self.id, self.height)?;
        if !is_open {
            f.write_str("\n  is not open yet: `sdpp sell` and `sdpp buy` open it")?;
        }
        holds.iter().try_for_each(|held| write!(f, "\n  holds {held}"))?;
        if let Some(fees) = &self.fees {
            write!(f, "\n  needs {fees} for fees in one more session")?;
        }
        self.lacks.iter().try_for_each(|lacks| write!(f, "\n  LACKS: {lacks}"))
    }
}

/// What was found by asking.
#[derive(Default)]
struct Online {
    reached: Vec<Reached>,
    rates: Vec<Answers>,
    /// Where it is a seller's.
    offered: Option<Offered>,
}

async fn online(config: &Meant, stock: Stock) -> Outcome<Online> {
    let mut keys = Keyring::default();
    let key = keys.open(&config.identity)?;
    let (mut reached, mut ledgers) = (Vec::new(), BTreeMap::new());
    let mut ids = BTreeMap::new();
    for name in config.ledgers.keys() {
        let opened = Opened::open(config, name, &mut keys).await?;
        let at = |error| Failure::new(Exit::Ledger, format!("ledger {name}: {error}"));
        let height = opened.ledger().status().await.map_err(at)?.height;
        for (currency, meant) in config.currencies.iter().filter(|(_, c)| c.ledger == *name) {
            check_payee(currency, meant, opened.ledger().account())?;
            if let Some(token) = opened.token(&meant.asset).await.map_err(at)? {
                check_token(currency, meant, &token)?;
            }
        }
        let (ledger, account) = (name.clone(), opened.ledger().account().clone());
        let is_open = opened.is_open().await.map_err(at)?;
        let holds = match is_open {
            true => holdings(config, name, &opened, &account).await.map_err(at)?,
            false => Vec::new(),
        };
        let id = opened.ledger().id().clone();
        let (fees, lacks) = for_fees(config, name, opened.ledger().as_ref()).await.map_err(at)?;
        let one = Reached { ledger, id, height, account, is_open, holds, lacks, fees };
        reached.push(one);
        ids.insert(name.clone(), opened.ledger().id().clone());
        ledgers.insert(opened.ledger().id().clone(), opened.ledger().clone());
    }
    let means = Means { key, ledgers: Arc::new(ledgers), ids };
    let named = |name: &str| means.ids.get(name).and_then(|id| means.ledgers.get(id)).cloned();
    let rates = rating::answers(config, named).await?;
    let offered = offered(config, &means, stock).await?;
    Ok(Online { reached, rates, offered })
}

/// What our account on a ledger needs of its coin for one more session, and why it has too little.
async fn for_fees(
    config: &Meant,
    name: &str,
    ledger: &dyn Ledger,
) -> Result<(Option<String>, Option<String>), LedgerError> {
    let reserve = ledger.reserve().await?;
    let coin = || named(config, name, &Asset::coin()).money(reserve);
    let fees = (reserve > Amount::ZERO).then(coin);
    let lacks = lack(ledger, &Asset::coin(), Amount::ZERO).await?;
    Ok((fees, lacks.map(|lack| lack.to_string())))
}

/// Whether the ledger means what the config means by a currency.
fn check_token(name: &str, meant: &CurrencyConfig, token: &Token) -> Outcome {
    let (asset, ledger) = (&meant.asset, &meant.ledger);
    let wrong = |key: &str, ours: &str, theirs: &str| {
        Failure::usage(format!(
            "currencies.{name}.{key}: {ours} here, but {ledger} says that {asset} has {theirs}: \
             is it the token that you mean?"
        ))
    };
    if token.decimals != meant.decimals {
        return Err(wrong("decimals", &meant.decimals.to_string(), &token.decimals.to_string()));
    }
    if token.symbol != meant.symbol {
        return Err(wrong(
            "symbol",
            &format!("{:?}", meant.symbol),
            &format!("{:?}", token.symbol),
        ));
    }
    Ok(())
}
