//! What was credited of the price of items, once both sides have signed it. Sessions, audits and
//! judges all count by this.

use sdpp_ledger::Amount;

/// The credit notes of one leg of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credits(Vec<Credit>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Credit {
    /// In force for this item and those after it.
    from_seq: u64,
    /// All credits so far, this one included.
    total: Amount,
    /// What was owed before it: it takes nothing back of that.
    floor: Amount,
}

impl Credits {
    /// All credits so far, in the currency's smallest unit.
    pub fn total(&self) -> Amount {
        self.0.last().map_or(Amount::ZERO, |credit| credit.total)
    }

    /// What is owed for `items` items whose price is `price` in all: the total never goes back, so
    /// a credit above what one window costs carries over to the next.
    pub(super) fn net(&self, items: u64, price: Amount) -> Amount {
        let begun = self.0.partition_point(|credit| credit.from_seq <= items);
        let credit = begun.checked_sub(1).and_then(|last| self.0.get(last));
        credit.map_or(price, |credit| price.saturating_sub(credit.total).max(credit.floor))
    }

    /// Takes a note in: from `from_seq` on `total` is credited in all, where the items before it
    /// cost `price`.
    ///
    /// # Errors
    /// What makes it no credit note, as a sentence: it must credit more than the one before and no
    /// more than what the items before it cost, and not reach back behind the one before.
    pub(super) fn add(
        &mut self,
        from_seq: u64,
        total: Amount,
        price: Amount,
    ) -> Result<(), String> {
        if self.0.last().is_some_and(|last| last.from_seq > from_seq) {
            return Err(format!("item {from_seq} comes before the credit note before it"));
        }
        if total <= self.total() {
            return Err(format!("{} are credited already, not {total}", self.total()));
        }
        let before = from_seq.saturating_sub(1);
        if total > price {
            return Err(format!("{before} items cost {price}: {total} are too much to credit"));
        }
        let floor = self.net(before, price);
        self.0.push(Credit { from_seq, total, floor });
        Ok(())
    }

    /// Items became void, so that those up to one cost something else: what was owed before each note
    /// is counted anew. Nothing where a price passes 128 bits.
    pub(super) fn recount(&mut self, price_of: impl Fn(u64) -> Option<Amount>) -> Option<()> {
        for Credit { from_seq, total, .. } in std::mem::take(&mut self.0) {
            let before = from_seq.saturating_sub(1);
            let floor = self.net(before, price_of(before)?);
            self.0.push(Credit { from_seq, total, floor });
        }
        Some(())
    }
}
