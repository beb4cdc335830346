//! How a seller trusts, and when either side settles.

use super::super::file::{SettlementFile, TrustFile};
use super::super::{CurrencyConfig, Seller, Settlement, Trust};
use super::Outcome;
use super::role::{CREDIT_ITEMS_MAX, REDEEM_EVERY_S};
use super::value::{known, within, wrong};
use crate::terms::Method;
use sdpp_ledger::Amount;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// How much may be unpaid for 1000 that were paid: as much at the most.
const EARN_PERMILLE: RangeInclusive<u64> = 1..=1_000;
/// How much, where nothing else is said.
const EARN_PERMILLE_USUAL: u32 = 100;
/// Which part of a voucher its fee may be.
const FEE_PERMILLE: RangeInclusive<u64> = 1..=1_000;

pub(super) fn trust(written: TrustFile, granularity: u32, credit_windows: u32) -> Outcome<Trust> {
    let at = |key: &'static str| ["seller", "trust", key];
    let trust = Trust {
        granularity: written.granularity.unwrap_or(granularity),
        credit_windows: written.credit_windows.unwrap_or(credit_windows),
        earn_permille: written.earn_permille.unwrap_or(EARN_PERMILLE_USUAL),
        unconfirmed_most: written.unconfirmed_most.map(|units| units.0),
    };
    within(&at("earn_permille"), trust.earn_permille.into(), EARN_PERMILLE)?;
    for (key, most, floor) in [
        ("granularity", trust.granularity, granularity),
        ("credit_windows", trust.credit_windows, credit_windows),
    ] {
        if most < floor {
            let what = format!("everybody gets {floor}, so nobody can earn less: raise it");
            return Err(wrong(&at(key), what));
        }
    }
    if u64::from(trust.granularity) * u64::from(trust.credit_windows) > CREDIT_ITEMS_MAX {
        let what =
            format!("granularity times credit_windows is more than {CREDIT_ITEMS_MAX} items");
        return Err(wrong(&at("granularity"), what));
    }
    Ok(trust)
}

pub(super) fn settlement(
    written: BTreeMap<String, SettlementFile>,
    (seller, is_buyer): (Option<&Seller>, bool),
    currencies: &BTreeMap<String, CurrencyConfig>,
) -> Outcome<BTreeMap<String, Settlement>> {
    let one = |(name, written): (String, SettlementFile)| {
        let at = ["settlement", name.as_str()];
        known(&at, name.clone(), currencies, "currencies")?;
        let settlement = settlement_in(&name, written, seller)?;
        let methods = currencies.get(&name).map(|currency| &currency.methods);
        let is_paid = |method| methods.is_some_and(|methods| methods.contains(&method));
        let redeems = seller.is_some() && is_paid(Method::Escrow);
        if redeems || (is_buyer && is_paid(Method::Transfer)) {
            return Ok((name, settlement));
        }
        let what = match (seller, is_buyer) {
            (Some(_), _) => {
                "it is for escrow: remove it, or add \"escrow\" to the currency's methods"
            }
            (None, true) => {
                "it is for transfers: remove it, or add \"transfer\" to the currency's methods"
            }
            (None, false) => {
                "only a seller redeems and only a buyer pays: remove it, or add [seller] or [buyer]"
            }
        };
        Err(wrong(&at, what))
    };
    written.into_iter().map(one).collect()
}

fn settlement_in(
    name: &str,
    written: SettlementFile,
    seller: Option<&Seller>,
) -> Outcome<Settlement> {
    let at = |key: &'static str| ["settlement", name, key];
    let permille = written.fee_below_permille;
    let permille = permille.map(|permille| {
        within(&at("fee_below_permille"), permille.into(), FEE_PERMILLE).map(|_| permille)
    });
    let settlement = Settlement {
        fee_below_permille: permille.transpose()?,
        age_s: written
            .age_s
            .map(|age_s| within(&at("age_s"), age_s, REDEEM_EVERY_S))
            .transpose()?,
        exposure: written.exposure.map(|units| units.0),
    };
    if settlement.exposure == Some(Amount::ZERO) {
        return Err(wrong(&at("exposure"), "expected at least 1; leave it out for no limit"));
    }
    let says_above = seller.is_some_and(|seller| seller.redeem_above.contains_key(name));
    let says_age = seller.is_some_and(|seller| seller.redeem_every_s.is_some());
    for (key, is_double) in [
        ("exposure", settlement.exposure.is_some() && says_above),
        ("age_s", settlement.age_s.is_some() && says_age),
    ] {
        if is_double {
            let what = "[seller] says it already, as redeem_above or redeem_every_s: remove one";
            return Err(wrong(&at(key), what));
        }
    }
    let nothing = Settlement { fee_below_permille: None, age_s: None, exposure: None };
    if settlement == nothing {
        let what = "say when: fee_below_permille, age_s or exposure";
        return Err(wrong(&["settlement", name], what));
    }
    Ok(settlement)
}
