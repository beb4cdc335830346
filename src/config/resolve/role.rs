//! What makes a seller, and what makes a buyer.

use super::super::file::{BondFile, BuyerFile, OfferedBondFile, SellerFile, SpendingFile, Units};
use super::super::{BondAmounts, Buyer, CurrencyConfig, OfferedBond, Seller, Spending};
use super::Outcome;
use super::policy;
use super::tls;
use super::value::{PATIENCE_MS, at_least_one, host_port, known, within, wrong};
use crate::door::UnknownBuyer;
use crate::terms::{BondTerms, Method};
use sdpp_ledger::{Amount, PublicKey};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

/// The longest life of a menu, which the protocol sets.
const RESUME_S: RangeInclusive<u64> = 0..=86_400;
const MENU_TTL_S: RangeInclusive<u64> = 1..=600;
/// The longest outage that can be planned for: a week.
const OUTAGE_S: RangeInclusive<u64> = 0..=7 * 24 * 60 * 60;
/// How long a seller may take to end: up to twice the longest patience.
const DRAIN_S: RangeInclusive<u64> = 0..=2 * 24 * 60 * 60;
/// The longest that a seller is left to close a channel: a week.
const RECLAIM_AFTER_S: RangeInclusive<u64> = 0..=7 * 24 * 60 * 60;
/// How long a payment may take to be final before another currency is asked for: up to a day.
const FAIL_OVER_AFTER_S: RangeInclusive<u64> = 1..=24 * 60 * 60;
/// How long a voucher may be in hand: from a second to a month.
pub(super) const REDEEM_EVERY_S: RangeInclusive<u64> = 1..=30 * 24 * 60 * 60;
/// The most items that may be unpaid. Their leaves are kept in memory.
pub(super) const CREDIT_ITEMS_MAX: u64 = 1_000_000;

pub(super) fn seller(
    written: SellerFile,
    currencies: &BTreeMap<String, CurrencyConfig>,
    peers: &BTreeMap<String, PublicKey>,
    base: &Path,
) -> Outcome<Seller> {
    let at = |key: &'static str| ["seller", key];
    let default_currency = match written.default_currency {
        Some(name) => known(&at("default_currency"), name, currencies, "currencies")?,
        None if currencies.len() == 1 => currencies.keys().next().cloned().unwrap_or_default(),
        None => {
            let what =
                "there is more than one currency, or none: write default_currency = \"NAME\"";
            return Err(wrong(&["seller"], what));
        }
    };
    let rate = currencies.get(&default_currency).map(|currency| &currency.rate);
    if rate.is_some_and(|rate| !rate.is_one_to_one()) {
        let what = "prices are in this currency, so its rate is one to one: remove the rate";
        return Err(wrong(&["currencies", &default_currency, "rate"], what));
    }
    let granularity = at_least_one(&at("granularity"), written.granularity.unwrap_or(10))?;
    let credit_windows = at_least_one(&at("credit_windows"), written.credit_windows.unwrap_or(1))?;
    if u64::from(granularity) * u64::from(credit_windows) > CREDIT_ITEMS_MAX {
        let what =
            format!("granularity times credit_windows is more than {CREDIT_ITEMS_MAX} items");
        return Err(wrong(&at("granularity"), what));
    }
    let trust = policy::trust(written.trust, granularity, credit_windows)?;
    let patience_ms = written.patience_ms.unwrap_or(30_000);
    let patience_ms = within(&at("patience_ms"), patience_ms, PATIENCE_MS)?;
    let is_signed = written.signature_required.unwrap_or(true);
    let every_s = written.redeem_every_s;
    let every_s = every_s.map(|every_s| within(&at("redeem_every_s"), every_s, REDEEM_EVERY_S));
    Ok(Seller {
        listen: written.listen.parse().map_err(|_| {
            wrong(&at("listen"), "expected an IP address and a port, such as \"127.0.0.1:9620\"")
        })?,
        default_currency,
        granularity,
        credit_windows,
        signature_required: is_signed,
        patience_ms,
        resume_s: within(&at("resume_s"), written.resume_s.unwrap_or(0), RESUME_S)?,
        menu_ttl_s: within(&at("menu_ttl_s"), written.menu_ttl_s.unwrap_or(600), MENU_TTL_S)?,
        outage_s: within(&at("outage_s"), written.outage_s.unwrap_or(300), OUTAGE_S)?,
        drain_s: within(
            &at("drain_s"),
            written.drain_s.unwrap_or((2 * patience_ms).div_ceil(1_000)),
            DRAIN_S,
        )?,
        redeem_above: redeem_above(written.redeem_above, currencies)?,
        redeem_every_s: every_s.transpose()?,
        credit_up_to: credit_up_to(written.credit_up_to, currencies)?,
        fail_over: written.fail_over.unwrap_or(false),
        unknown_buyer: unknown_buyer(written.unknown_buyer.unwrap_or_default(), currencies)?,
        debtors: written.debtors.unwrap_or_default(),
        allow: allow(written.allow, &written.deny, peers)?,
        deny: all_known("deny", written.deny, peers)?,
        trust,
        bonds: bonds(written.bonds, currencies, is_signed, granularity)?,
        tls: written.tls.map(|written| tls::seller(written, base)).transpose()?,
    })
}

/// Bonds are for channels, in sessions whose items are signed, and as their contract takes them.
fn bonds(
    written: BTreeMap<String, OfferedBondFile>,
    currencies: &BTreeMap<String, CurrencyConfig>,
    is_signed: bool,
    granularity: u32,
) -> Outcome<BTreeMap<String, OfferedBond>> {
    let mut bonds = BTreeMap::new();
    if !written.is_empty() && granularity > BondTerms::GRANULARITY_MAX {
        let what = format!(
            "with [seller.bonds] it is at most {}: what a bond answers for is kept then",
            BondTerms::GRANULARITY_MAX
        );
        return Err(wrong(&["seller", "granularity"], what));
    }
    for (name, one) in written {
        let at = ["seller", "bonds", name.as_str()];
        let by_escrow = currencies.get(&name).map(|one| one.methods.contains(&Method::Escrow));
        match by_escrow {
            None => return Err(wrong(&at, "there is no such currency in [currencies]")),
            Some(false) => {
                let what = "a bond is for a channel: add \"escrow\" to the currency's methods";
                return Err(wrong(&at, what));
            }
            Some(true) if !is_signed => {
                let what = "a bond answers for what was signed: write signature_required = true";
                return Err(wrong(&at, what));
            }
            Some(true) => {}
        }
        let offered = offered(&name, one)?;
        bonds.insert(name, offered);
    }
    Ok(bonds)
}

fn offered(name: &str, written: OfferedBondFile) -> Outcome<OfferedBond> {
    let OfferedBondFile { buyer, seller, stake, fee, pledge_at_most } = written;
    let amounts = amounts(&["seller", "bonds", name], BondFile { buyer, seller, stake, fee })?;
    let pledge_at_most = pledge_at_most.map(|units| units.0);
    if let Some(at_most) = pledge_at_most.filter(|at_most| *at_most < amounts.seller) {
        let what = format!(
            "our part of one bond is {}, so with {at_most} none is ever joined: write no less, or \
             leave it out to join each by hand",
            amounts.seller
        );
        return Err(wrong(&["seller", "bonds", name, "pledge_at_most"], what));
    }
    Ok(OfferedBond { amounts, pledge_at_most })
}

/// What the contract takes.
fn amounts(at: &[&str], written: BondFile) -> Outcome<BondAmounts> {
    let BondFile { buyer, seller, stake, fee } = written;
    let [buyer, seller, stake, fee] = [buyer, seller, stake, fee].map(|units| units.0);
    if stake == Amount::ZERO || stake > buyer || stake > seller || fee > buyer {
        let what = "the stake is at least 1 and no more than either part, the fee no more than \
                    the buyer's: `sdpp ledger bond suggest` proposes all four";
        return Err(wrong(at, what));
    }
    Ok(BondAmounts { buyer, seller, stake, fee })
}

/// Somebody new must be able to buy in some way.
fn unknown_buyer(
    written: UnknownBuyer,
    currencies: &BTreeMap<String, CurrencyConfig>,
) -> Outcome<UnknownBuyer> {
    let is_escrow = |currency: &CurrencyConfig| currency.methods.contains(&Method::Escrow);
    if written == UnknownBuyer::Escrow && !currencies.values().any(is_escrow) {
        let what = "nobody new could buy here: add \"escrow\" to a currency's methods, or write \
                    \"credit\"";
        return Err(wrong(&["seller", "unknown_buyer"], what));
    }
    Ok(written)
}

fn allow(
    written: Option<Vec<String>>,
    deny: &[String],
    peers: &BTreeMap<String, PublicKey>,
) -> Outcome<Option<Vec<String>>> {
    let Some(written) = written else { return Ok(None) };
    if written.is_empty() {
        let what = "nobody could buy here: name some of [peers], or leave it out for everybody";
        return Err(wrong(&["seller", "allow"], what));
    }
    if let Some(name) = written.iter().find(|name| deny.contains(name)) {
        let what = format!("{name:?} stands in deny too: remove it from one of the two");
        return Err(wrong(&["seller", "allow"], what));
    }
    all_known("allow", written, peers).map(Some)
}

fn all_known(
    key: &'static str,
    written: Vec<String>,
    peers: &BTreeMap<String, PublicKey>,
) -> Outcome<Vec<String>> {
    let one = |name: String| match peers.contains_key(&name) {
        true => Ok(name),
        false => {
            let what = format!("there is no {name:?} in [peers]: add it there, with its key");
            Err(wrong(&["seller", key], what))
        }
    };
    written.into_iter().map(one).collect()
}

fn credit_up_to(
    written: BTreeMap<String, Units>,
    currencies: &BTreeMap<String, CurrencyConfig>,
) -> Outcome<BTreeMap<String, Amount>> {
    let one = |(name, units): (String, Units)| {
        let at = ["seller", "credit_up_to", name.as_str()];
        known(&at, name.clone(), currencies, "currencies")?;
        match units.0 {
            Amount::ZERO => Err(wrong(&at, "expected at least 1; leave it out to credit nothing")),
            amount => Ok((name, amount)),
        }
    };
    written.into_iter().map(one).collect()
}

fn redeem_above(
    written: BTreeMap<String, Units>,
    currencies: &BTreeMap<String, CurrencyConfig>,
) -> Outcome<BTreeMap<String, Amount>> {
    let one = |(name, units): (String, Units)| {
        let at = ["seller", "redeem_above", name.as_str()];
        known(&at, name.clone(), currencies, "currencies")?;
        let methods = currencies.get(&name).map(|currency| &currency.methods);
        if !methods.is_some_and(|methods| methods.contains(&Method::Escrow)) {
            let what = "it is for escrow: remove it, or add \"escrow\" to the currency's methods";
            return Err(wrong(&at, what));
        }
        if units.0 == Amount::ZERO {
            return Err(wrong(&at, "expected at least 1; leave it out to redeem at the end alone"));
        }
        Ok((name, units.0))
    };
    written.into_iter().map(one).collect()
}

pub(super) fn buyer(
    written: BuyerFile,
    currencies: &BTreeMap<String, CurrencyConfig>,
    base: &Path,
) -> Outcome<Buyer> {
    let mut spendings: Vec<Spending> = Vec::new();
    for (index, one) in written.currencies.into_iter().enumerate() {
        let index = index.to_string();
        let spending = spending(&index, one, currencies)?;
        if spendings.iter().any(|other| other.currency == spending.currency) {
            let what = "it is in the list already: remove one of the two";
            return Err(wrong(&["buyer", "currencies", &index, "currency"], what));
        }
        spendings.push(spending);
    }
    if spendings.is_empty() {
        let what = "name at least one: { currency = \"SDP\", max_total = \"100000\" }";
        return Err(wrong(&["buyer", "currencies"], what));
    }
    let patience_ms = written.patience_ms.unwrap_or(30_000);
    let after_s = written.fail_over_after_s;
    let fail_over_after_s =
        after_s.map(|s| within(&["buyer", "fail_over_after_s"], s, FAIL_OVER_AFTER_S));
    Ok(Buyer {
        currencies: spendings,
        sellers: sellers(written.sellers)?,
        trust_on_first_use: written.trust_on_first_use.unwrap_or(false),
        patience_ms: within(&["buyer", "patience_ms"], patience_ms, PATIENCE_MS)?,
        reclaim_after_s: within(
            &["buyer", "reclaim_after_s"],
            written.reclaim_after_s.unwrap_or(600),
            RECLAIM_AFTER_S,
        )?,
        fail_over_after_s: fail_over_after_s.transpose()?,
        rate_slack_permille: within(
            &["buyer", "rate_slack_permille"],
            written.rate_slack_permille.unwrap_or(50),
            0..=1_000,
        )?,
        tls: written.tls.map(|one| tls::buyer(&["buyer", "tls"], one, base)).transpose()?,
        tls_at: tls::by_address(written.tls_at, base)?,
    })
}

fn spending(
    index: &str,
    written: SpendingFile,
    currencies: &BTreeMap<String, CurrencyConfig>,
) -> Outcome<Spending> {
    let at = |key: &'static str| ["buyer", "currencies", index, key];
    let currency = known(&at("currency"), written.currency, currencies, "currencies")?;
    let max_total = written.max_total.0;
    if max_total == Amount::ZERO {
        return Err(wrong(&at("max_total"), "with nothing to spend, nothing can be bought"));
    }
    let max_per_day = written.max_per_day.map(|units| units.0);
    if max_per_day == Some(Amount::ZERO) {
        let what = "with nothing to spend in a day, nothing can be bought: leave it out for no end";
        return Err(wrong(&at("max_per_day"), what));
    }
    let deposit = written.deposit.map(|units| units.0);
    let methods = currencies.get(&currency).map(|currency| &currency.methods);
    let escrow = methods.is_some_and(|methods| methods.contains(&Method::Escrow));
    let funded = deposit.is_some_and(|deposit| deposit > Amount::ZERO);
    if escrow && !funded {
        let what = "the currency's methods name \"escrow\", which needs a deposit of at least 1";
        return Err(wrong(&at("deposit"), what));
    }
    if !escrow && deposit.is_some() {
        let what =
            "a deposit is for escrow: remove it, or add \"escrow\" to the currency's methods";
        return Err(wrong(&at("deposit"), what));
    }
    let top_up_below = written.top_up_below.map(|units| units.0);
    for (key, is_written) in [
        ("top_up_below", top_up_below.is_some()),
        ("keep_channel", written.keep_channel == Some(true)),
    ] {
        if is_written && !escrow {
            let what = "it is for escrow: remove it, or add \"escrow\" to the currency's methods";
            return Err(wrong(&at(key), what));
        }
    }
    let keep_channel = written.keep_channel.unwrap_or(false);
    if written.bond.is_some() && !escrow {
        let what = "a bond is for a channel: add \"escrow\" to the currency's methods";
        return Err(wrong(&at("bond"), what));
    }
    if written.bond.is_some() && !keep_channel {
        let what = "a bond is for one channel, which is kept: write keep_channel = true";
        return Err(wrong(&at("bond"), what));
    }
    let bond = written.bond.map(|one| amounts(&at("bond"), one)).transpose()?;
    Ok(Spending { currency, max_total, max_per_day, deposit, top_up_below, keep_channel, bond })
}

fn sellers(written: BTreeMap<String, String>) -> Outcome<BTreeMap<String, PublicKey>> {
    let one = |(address, text): (String, String)| {
        let key = ["buyer", "sellers", address.as_str()];
        let public = text.parse().map_err(|e| wrong(&key, e))?;
        Ok((host_port(&key, address.clone())?, public))
    };
    written.into_iter().map(one).collect()
}
