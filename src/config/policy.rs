//! Policies as the config means them.

use super::{Config, Seller};
use crate::door::Door;
use crate::settling;
use crate::standing::PacePolicy;
use crate::terms::Pace;
use sdpp_ledger::Amount;
use serde::Serialize;
use std::collections::BTreeMap;

/// How much more than `granularity` and `credit_windows` a buyer can earn by paying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// The most items in a window; at least as many as anybody gets.
    pub granularity: u32,
    /// The most windows that may be unpaid; at least as many as anybody gets.
    pub credit_windows: u32,
    /// How much may be unpaid for each 1000 units that were paid, in the default currency.
    pub earn_permille: u32,
    /// With more than this sent and not paid for good the pace slows down, in the default currency's
    /// smallest unit; never where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unconfirmed_most: Option<Amount>,
}

/// What demands that a voucher is redeemed, or held invoices are paid by one transfer, while the
/// session goes on; at least one of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Settlement {
    /// The fee is below so many thousandths of what it brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee_below_permille: Option<u32>,
    /// It has been in hand for so long, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
    /// It brings so much, in the currency's smallest unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Amount>,
}

impl Seller {
    /// How it trusts.
    pub fn pace_policy(&self) -> PacePolicy {
        let pace = |granularity, credit_windows| Pace { granularity, credit_windows };
        PacePolicy {
            floor: pace(self.granularity, self.credit_windows),
            most: pace(self.trust.granularity, self.trust.credit_windows),
            earn_permille: self.trust.earn_permille,
            unconfirmed_most: self.trust.unconfirmed_most,
        }
    }
}

impl Config {
    /// Whom the seller sells to; everybody where there is none.
    pub fn door(&self) -> Door {
        let Some(seller) = &self.seller else { return Door::default() };
        let keys = |names: &Vec<String>| {
            names.iter().filter_map(|name| self.peers.get(name).copied()).collect()
        };
        Door {
            allow: seller.allow.as_ref().map(keys),
            deny: keys(&seller.deny),
            unknown_buyer: seller.unknown_buyer,
            debtors: seller.debtors,
        }
    }

    /// When vouchers are redeemed while their session goes on, by the currency's name: as
    /// `[settlement]` says it, and as `redeem_above` and `redeem_every_s` do.
    pub fn settling(&self) -> BTreeMap<String, settling::Policy> {
        let Some(seller) = &self.seller else { return BTreeMap::new() };
        let one = |name: &String| (name.clone(), self.settling_in(seller, name));
        let all = self.currencies.keys().map(one);
        all.filter(|(_, policy)| !policy.is_silent()).collect()
    }

    /// When invoices are paid that one transfer may pay together, by the currency's name: as
    /// `[settlement]` says it.
    pub fn settling_payments(&self) -> BTreeMap<String, settling::Policy> {
        let one = |(name, said): (&String, &Settlement)| {
            let age_ms = said.age_s.map(|age_s| age_s.saturating_mul(1_000));
            let Settlement { fee_below_permille, exposure, .. } = *said;
            (name.clone(), settling::Policy { fee_below_permille, age_ms, exposure })
        };
        self.settlement.iter().map(one).collect()
    }

    fn settling_in(&self, seller: &Seller, name: &str) -> settling::Policy {
        let none = Settlement { fee_below_permille: None, age_s: None, exposure: None };
        let said = self.settlement.get(name).copied().unwrap_or(none);
        let age_s = said.age_s.or(seller.redeem_every_s);
        settling::Policy {
            fee_below_permille: said.fee_below_permille,
            age_ms: age_s.map(|age_s| age_s.saturating_mul(1_000)),
            exposure: said.exposure.or(seller.redeem_above.get(name).copied()),
        }
    }
}
