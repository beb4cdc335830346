//! What a transaction costs: units of gas at the network's price, and a deposit for every object
//! that it leaves behind, most of which comes back when that object goes. Each transaction is tried
//! by the node before it is signed; what is kept here is only what to expect before that.

use crate::coins::Need;
use crate::view::Gas;

/// The units that the smallest transaction is charged, which ours are, and by which the budget
/// goes beyond what the trial cost, as the price of an object may have changed until it lands.
const UNITS: u64 = 1_000;

/// What a coin's deposit was when it was measured, and a little more, in NANOS.
const DEPOSIT: u64 = 1_000_000;

/// What transactions have cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rates {
    /// The most units that one was charged.
    units: u64,
    /// The most that a coin's deposit was, in NANOS.
    deposit: u64,
}

impl Default for Rates {
    fn default() -> Self {
        Rates { units: UNITS, deposit: DEPOSIT }
    }
}

impl Rates {
    /// What a transaction needs that pays so much where a unit costs so much, in NANOS.
    pub fn need(&self, amount: u64, price: u64, ceiling: u64) -> Need {
        // Two coins are left behind: its own, and the payee's.
        let fee = self.computing(price).saturating_add(self.deposit.saturating_mul(2));
        Need { amount, fee, fee_each: self.deposit.max(1), ceiling }
    }

    /// What of a budget is for what is computed, where a unit costs so much, in NANOS.
    pub fn computing(&self, price: u64) -> u64 {
        self.units.saturating_add(UNITS).saturating_mul(price)
    }

    /// Takes note of what one cost in a trial that left so many objects behind, where a unit costs
    /// so much.
    pub fn learn(&mut self, gas: &Gas, objects: u64, price: u64) {
        self.units = self.units.max(gas.computation_cost.div_ceil(price.max(1)));
        self.deposit = self.deposit.max(gas.storage_cost.div_ceil(objects.max(1)));
    }

    /// Takes note that what was expected was not enough.
    pub fn double(&mut self) {
        self.units = self.units.saturating_mul(2);
        self.deposit = self.deposit.saturating_mul(2);
    }
}

/// The budget of a transaction that cost so much in a trial: with room for one unit more in each
/// that the smallest is charged. Nothing for an absurd sum.
pub(crate) fn budget(gas: &Gas, price: u64) -> Option<u64> {
    gas.most()?.checked_add(UNITS.checked_mul(price)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAID: Gas =
        Gas { computation_cost: 1_000_000, storage_cost: 1_960_800, storage_rebate: 980_400 };

    #[test]
    fn what_is_expected_covers_what_was_measured() {
        let need = Rates::default().need(5, 1_000, 9);
        let budget = budget(&PAID, 1_000).unwrap();
        assert_eq!(budget, 3_960_800, "as another implementation has it");
        assert!(need.fee >= budget, "{need:?}");
        let mut rates = Rates::default();
        rates.learn(&PAID, 2, 1_000);
        assert_eq!(rates, Rates::default(), "nothing was learned from what was expected");
    }

    #[test]
    fn a_network_that_has_become_dearer_is_learned_and_never_forgotten() {
        let dear = Gas { computation_cost: 6_000_000, storage_cost: 9_000_000, storage_rebate: 0 };
        let mut rates = Rates::default();
        rates.learn(&dear, 3, 2_000);
        rates.learn(&PAID, 2, 1_000);
        let need = rates.need(0, 2_000, 0);
        assert!(need.fee >= budget(&Gas { storage_cost: 6_000_000, ..dear }, 2_000).unwrap());
        assert_eq!(need.fee_each, 3_000_000);
    }

    #[test]
    fn what_was_not_enough_is_doubled() {
        let (before, mut rates) = (Rates::default().need(0, 1_000, 0), Rates::default());
        rates.double();
        let after = rates.need(0, 1_000, 0);
        assert!(after.fee >= before.fee + before.fee / 2, "{after:?}");
        assert_eq!(after.fee_each, 2 * before.fee_each);
    }

    #[test]
    fn absurd_prices_are_no_overflow() {
        assert_eq!(Rates::default().need(0, u64::MAX, 0).fee, u64::MAX);
        assert_eq!(budget(&PAID, u64::MAX), None);
    }
}
