//! What is counted of each leg of a session while its entries are read. Most sessions have one.

use sdpp_ledger::Amount;

/// What is counted of one leg, in its currency's smallest unit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    /// What its invoices ask for in all.
    pub(super) invoiced: Amount,
    /// What was paid, by the buyer's signed word.
    pub(super) paid: Amount,
    /// What is in hand for good.
    pub(super) settled: Amount,
}

/// One for each leg, by its place among them.
#[derive(Default)]
pub(super) struct Counts {
    first: Count,
    later: Vec<Count>,
}

impl Counts {
    /// That of a leg.
    pub(super) fn of(&self, leg: usize) -> Count {
        match leg.checked_sub(1) {
            None => self.first,
            Some(place) => self.later.get(place).copied().unwrap_or_default(),
        }
    }

    /// The same, to be counted on.
    pub(super) fn on(&mut self, leg: usize) -> &mut Count {
        let Some(place) = leg.checked_sub(1) else { return &mut self.first };
        if self.later.len() <= place {
            self.later.resize(place + 1, Count::default());
        }
        &mut self.later[place]
    }
}
