//! From the config as written to the config as meant. Each refusal names its key and says what
//! to write instead. What one table alone shows is in a file of its own; here is what only the
//! whole shows.

mod admin;
mod ethereum;
mod fabric;
mod iota;
mod ledger;
mod limits;
mod peers;
mod policy;
mod price;
mod rate;
mod role;
mod secret;
mod taken;
mod tls;
mod topic;
mod value;

use super::file::{FileConfig, RecordsFile};
use super::place::KeyPath;
use super::{
    AnchorWhen, Config, Ethereum, Journal, LedgerAt, LedgerConfig, Records, RecordsBatch, Seller,
    Topic,
};
use crate::terms::Rate;
use sdpp_ledger::Amount;
use std::collections::BTreeMap;
use std::path::Path;
use value::{known, within, wrong};

/// Something is wrong with a key.
pub(super) struct Wrong {
    pub key: KeyPath,
    pub what: String,
}

type Outcome<T> = Result<T, Wrong>;

pub(super) fn config(written: FileConfig, base: &Path) -> Outcome<Config> {
    let identity = secret::identity(&written.identity, base)?;
    let ledgers =
        each(written.ledgers, |name, ledger| ledger::ledger(name, ledger, &identity, base))?;
    let is_seller = written.seller.is_some();
    let currencies = each(written.currencies, |name, currency| {
        ledger::currency(name, currency, &ledgers, is_seller, base)
    })?;
    let records = written.records.map(|written| records(written, &ledgers)).transpose()?;
    let peers = peers::peers(written.peers)?;
    let seller = written.seller.map(|seller| role::seller(seller, &currencies, &peers, base));
    let seller = seller.transpose()?;
    let roles = (seller.as_ref(), written.buyer.is_some());
    let settlement = policy::settlement(written.settlement, roles, &currencies)?;
    let named = price::Named { currencies: &currencies, peers: &peers };
    let topics = each(written.topics, |name, topic| topic::topic(name, topic, &named, base))?;
    let buyer = written.buyer.map(|buyer| role::buyer(buyer, &currencies, base)).transpose()?;
    let room_mb = within(&["journal", "room_mb"], written.journal.room_mb, 1..=1 << 20)?;
    let config = Config {
        identity,
        journal: Journal { dir: base.join(written.journal.dir), room_mb },
        ledgers,
        currencies,
        records,
        seller,
        settlement,
        topics,
        buyer,
        peers,
        limits: written.limits,
        admin: admin::admin(&written.admin)?,
    };
    limits::check(&config.limits)?;
    limits::check_committed(&config.limits, &config.topics)?;
    check_roles(&config)?;
    fabric::check_ious(&config)?;
    Ok(config)
}

fn records(written: RecordsFile, ledgers: &BTreeMap<String, LedgerConfig>) -> Outcome<Records> {
    let ledger = known(&["records", "ledger"], written.ledger, ledgers, "ledgers")?;
    if let Some(LedgerAt::Ethereum(Ethereum { escrow: None, .. })) =
        ledgers.get(&ledger).map(|ledger| &ledger.at)
    {
        return Err(wrong(
            &["records", "ledger"],
            ethereum::no_contract(&ledger, "keeping records"),
        ));
    }
    let batch = written.batch.unwrap_or(RecordsBatch::Each);
    let by_default = match batch {
        RecordsBatch::Each => AnchorWhen::Before,
        RecordsBatch::Session => AnchorWhen::After,
    };
    let anchor = written.anchor.unwrap_or(by_default);
    if batch == RecordsBatch::Session && anchor == AnchorWhen::Before {
        let what = "a message cannot wait for an anchor that is made when the session ends: \
                        write anchor = \"after\", or batch = \"each\"";
        return Err(wrong(&["records", "anchor"], what));
    }
    Ok(Records { ledger, batch, anchor })
}

/// What only the whole config shows.
fn check_roles(config: &Config) -> Outcome<()> {
    check_bonds(config)?;
    let Some(seller) = &config.seller else {
        if let Some(topic) = config.topics.keys().next() {
            return Err(wrong(&["topics", topic], "only a seller has topics: add [seller]"));
        }
        if config.buyer.is_none() {
            let what = "it makes neither a seller nor a buyer: add [seller] or [buyer]";
            return Err(wrong(&[], what));
        }
        return Ok(());
    };
    if config.topics.is_empty() {
        return Err(wrong(&["seller"], "it has nothing to sell: add [topics.NAME]"));
    }
    for (name, topic) in &config.topics {
        for (currency, of) in &config.currencies {
            // What sources tell is seen when they do.
            if let Some(rate) = of.rate.fixed() {
                check_windows(name, topic, (currency, rate), seller)?;
            }
        }
    }
    Ok(())
}

/// Bonds are offered and wanted where their ledger holds some: nobody could pledge one elsewhere.
fn check_bonds(config: &Config) -> Outcome<()> {
    for name in config.seller.iter().flat_map(|seller| seller.bonds.keys()) {
        check_holds(config, name, &["seller", "bonds", name])?;
    }
    let buyers = config.buyer.iter().flat_map(|buyer| &buyer.currencies);
    for (index, spending) in buyers.enumerate().filter(|(_, spending)| spending.bond.is_some()) {
        let at = ["buyer", "currencies", &index.to_string(), "bond"];
        check_holds(config, &spending.currency, &at)?;
    }
    Ok(())
}

/// Whether a currency is on a ledger that holds bonds.
fn check_holds(config: &Config, currency: &str, at: &[&str]) -> Outcome<()> {
    let ledger = config.currencies.get(currency).map(|currency| &currency.ledger);
    let on = ledger.and_then(|ledger| config.ledgers.get(ledger)).map(|ledger| &ledger.at);
    if matches!(on, Some(LedgerAt::Ethereum(Ethereum { bonds: Some(_), .. }))) {
        return Ok(());
    }
    let ledger = ledger.map_or("", String::as_str);
    let what = format!("[ledgers.{ledger}] holds no bonds: write bonds = \"0x...\" there");
    Err(wrong(at, what))
}

/// At the topic's price, and at those that hold for some orders in this currency.
fn check_windows(
    name: &str,
    topic: &Topic,
    (currency, rate): (&str, Rate),
    seller: &Seller,
) -> Outcome<()> {
    check_window(&["topics", name, "price"], topic.price, currency, rate, seller)?;
    for (index, special) in topic.prices.iter().enumerate() {
        if special.currency.as_ref().is_none_or(|name| name == currency) {
            let index = index.to_string();
            let key = ["topics", name, "prices", &index, "price"];
            check_window(&key, special.price, currency, rate, seller)?;
        }
    }
    Ok(())
}

/// A window must cost something, and all that may be unpaid must be a number.
fn check_window(
    key: &[&str],
    price: Amount,
    currency: &str,
    rate: Rate,
    seller: &Seller,
) -> Outcome<()> {
    let items = |count: u32| {
        let total = price.checked_mul(count.into())?;
        total.checked_mul(rate.numerator.units())
    };
    let too_much = || wrong(key, "the windows that may be unpaid cost more than any amount");
    let window = items(seller.granularity).ok_or_else(too_much)?;
    window.checked_mul(seller.credit_windows.into()).ok_or_else(too_much)?;
    if window < rate.denominator {
        let what = format!(
            "a window of {} items costs less than the smallest unit of {currency}: \
             raise the price, seller.granularity or the rate",
            seller.granularity
        );
        return Err(wrong(key, what));
    }
    Ok(())
}

fn each<A, B>(
    written: BTreeMap<String, A>,
    resolve: impl Fn(&str, A) -> Outcome<B>,
) -> Outcome<BTreeMap<String, B>> {
    let one = |(name, value): (String, A)| {
        let meant = resolve(&name, value)?;
        Ok((name, meant))
    };
    written.into_iter().map(one).collect()
}
