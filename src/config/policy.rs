//! A seller's policies as its config means them.

use super::{Config, Seller, Settlement};
use crate::settling;
use crate::standing::PacePolicy;
use crate::terms::Pace;
use std::collections::BTreeMap;

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
    /// When vouchers are redeemed while their session goes on, by the currency's name: as
    /// `[settlement]` says it, and as `redeem_above` and `redeem_every_s` do.
    pub fn settling(&self) -> BTreeMap<String, settling::Policy> {
        let Some(seller) = &self.seller else { return BTreeMap::new() };
        let one = |name: &String| (name.clone(), self.settling_in(seller, name));
        let all = self.currencies.keys().map(one);
        all.filter(|(_, policy)| !policy.is_silent()).collect()
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
