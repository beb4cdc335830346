//! What items cost under the terms and the seller's credit notes. All money of a verdict is
//! counted here.

use crate::terms::Terms;
use sdpp_ledger::Amount;

/// What items cost.
pub(super) struct Price<'a> {
    terms: &'a Terms,
    /// In the order in which they come into force.
    credits: Vec<Credit>,
}

/// A credit note that is in force.
struct Credit {
    from_seq: u64,
    /// All credits so far, this one included.
    total: Amount,
    /// What was owed before it: it takes nothing back of that.
    floor: Amount,
}

impl<'a> Price<'a> {
    /// By the terms alone.
    pub(super) fn of(terms: &'a Terms) -> Price<'a> {
        Price { terms, credits: Vec::new() }
    }

    /// Takes a credit note in: from `from_seq` on `total` is credited in all.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn credit(&mut self, from_seq: u64, total: Amount) -> Result<(), String> {
        let before = from_seq.saturating_sub(1);
        if from_seq == 0 || !before.is_multiple_of(u64::from(self.terms.granularity)) {
            return Err(format!("item {from_seq} begins no window"));
        }
        if self.credits.last().is_some_and(|last| last.from_seq > from_seq || last.total >= total) {
            return Err(format!("{total} from item {from_seq} on takes one before it back"));
        }
        let floor = self.owed(before).ok_or("the price passes 128 bits")?;
        self.credits.push(Credit { from_seq, total, floor });
        Ok(())
    }

    /// All that was credited.
    pub(super) fn credited(&self) -> Amount {
        self.credits.last().map_or(Amount::ZERO, |credit| credit.total)
    }

    /// What the first `items` items cost in all: never less than what was owed before a credit came
    /// into force. `None` beyond 128 bits, and beyond what was ordered.
    pub(super) fn owed(&self, items: u64) -> Option<Amount> {
        if self.terms.quantity.is_some_and(|quantity| items > quantity) {
            return None;
        }
        let price = self.terms.owed_for(items)?;
        let begun = self.credits.partition_point(|credit| credit.from_seq <= items);
        let credit = begun.checked_sub(1).and_then(|last| self.credits.get(last));
        Some(credit.map_or(price, |credit| price.saturating_sub(credit.total).max(credit.floor)))
    }

    /// The first seq of a window, and the last that it can have.
    pub(super) fn window(&self, number: u64) -> Option<(u64, u64)> {
        let size = u64::from(self.terms.granularity);
        let first = number.checked_sub(1)?.checked_mul(size)?.checked_add(1)?;
        let last = first.checked_add(size - 1)?;
        let last = self.terms.quantity.map_or(last, |quantity| last.min(quantity));
        (first <= last).then_some((first, last))
    }

    /// Where a window ends after which so much is owed in all; the last such item.
    pub(super) fn end_of(&self, number: u64, total: Amount) -> Option<u64> {
        let (first, last) = self.window(number)?;
        // What is owed never falls, so the last item that fits is found by halves.
        let (mut low, mut high) = (first, last);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match self.owed(middle) {
                Some(owed) if owed <= total => low = middle,
                _ => high = middle - 1,
            }
        }
        (self.owed(low) == Some(total)).then_some(low)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::terms::{Currency, Method, Rate, SessionId};
    use sdpp_ledger::{Asset, Key};

    fn terms() -> Terms {
        let key = |byte| Key::from_bytes(&[byte; 32]).unwrap().public();
        let rate = Rate { numerator: Amount::new(1), denominator: Amount::new(2) };
        Terms {
            session: SessionId::NONE,
            seller: key(1),
            buyer: key(2),
            topic: "gas".to_owned(),
            quantity: Some(10),
            price: Amount::new(3),
            currency: Currency {
                name: "SDP".to_owned(),
                symbol: "SDP".to_owned(),
                decimals: 6,
                ledger: "sdpp:story".parse().unwrap(),
                asset: Asset::coin(),
                method: Method::Transfer,
                payee: key(1).account(),
                rate,
            },
            granularity: 4,
            credit_windows: 1,
            signed_items: true,
            escrow: None,
            records: None,
        }
    }

    #[test]
    fn the_end_of_a_window_follows_from_what_was_owed_there() {
        let terms = terms();
        let price = Price::of(&terms);
        let owed: Vec<u128> = (0..=10).map(|items| price.owed(items).unwrap().units()).collect();
        assert_eq!(owed, [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15]);
        assert_eq!(price.owed(11), None, "ten were ordered");
        assert_eq!(price.end_of(1, Amount::new(6)), Some(4));
        assert_eq!(price.end_of(3, Amount::new(15)), Some(10));
        assert_eq!(price.end_of(3, Amount::new(13)), Some(9));
        assert_eq!(price.end_of(1, Amount::new(5)), None);
        assert_eq!(price.end_of(4, Amount::new(15)), None);
        assert_eq!(price.window(u64::MAX), None);
    }

    #[test]
    fn a_credit_takes_nothing_back_of_what_was_owed_before_it() {
        let terms = terms();
        let mut price = Price::of(&terms);
        price.credit(5, Amount::new(4)).unwrap();
        let owed: Vec<u128> = (4..=10).map(|items| price.owed(items).unwrap().units()).collect();
        assert_eq!(owed, [6, 6, 6, 6, 8, 9, 11]);
        assert!(price.credit(5, Amount::new(4)).is_err(), "the same again is no more");
        assert!(price.credit(6, Amount::new(9)).is_err(), "no window begins there");
    }
}
