//! What is out unsecured, over all sessions of a seller: by transfer all that may be unpaid at a time.
//! It is held against what one buyer, and all of them, may have out in a currency. Sessions share it.

use sdpp_ledger::{Amount, PublicKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most that may be out unsecured, by a currency's name, in its smallest unit; as much as there
/// can be where none is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreditLimits {
    /// To one buyer.
    pub to_one: BTreeMap<String, Amount>,
    /// To all.
    pub to_all: BTreeMap<String, Amount>,
}

/// The book of what is out; its clones show the same.
#[derive(Debug, Clone, Default)]
pub struct CreditBook {
    limits: Arc<CreditLimits>,
    /// By currency and buyer.
    out: Arc<Mutex<BTreeMap<(String, String), Amount>>>,
}

/// What one session may have out in one currency, given back when dropped.
#[derive(Debug)]
pub struct Lent {
    book: CreditBook,
    currency: String,
    buyer: String,
    amount: Amount,
}

impl CreditBook {
    /// A book in which nothing is out.
    pub fn new(limits: CreditLimits) -> Self {
        CreditBook { limits: Arc::new(limits), out: Arc::default() }
    }

    /// Lets a buyer have nothing out in a currency, to be raised.
    pub fn open(&self, buyer: &PublicKey, currency: &str) -> Lent {
        let (currency, buyer) = (currency.to_owned(), buyer.to_string());
        Lent { book: self.clone(), currency, buyer, amount: Amount::ZERO }
    }

    fn out(&self) -> MutexGuard<'_, BTreeMap<(String, String), Amount>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    /// The currency's name.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// Lets the session have so much out in all.
    ///
    /// # Errors
    /// The limit that this would pass, for the buyer; then all is as it was.
    pub fn raise(&mut self, to: Amount) -> Result<(), String> {
        let most = Amount::new(u128::MAX);
        let (limits, name) = (&self.book.limits, &self.currency);
        let to_one = limits.to_one.get(name).copied().unwrap_or(most);
        let to_all = limits.to_all.get(name).copied().unwrap_or(most);
        let mut out = self.book.out();
        let sum = |of: &dyn Fn(&String) -> bool| {
            let amounts = out.iter().filter(|((currency, buyer), _)| currency == name && of(buyer));
            let all = amounts.fold(Amount::ZERO, |sum, (_, amount)| sum.saturating_add(*amount));
            all.saturating_sub(self.amount).saturating_add(to)
        };
        let (one, all) = (sum(&|buyer| *buyer == self.buyer), sum(&|_| true));
        // What would never fit does not fit later either.
        let wait = match to > to_one.min(to_all) {
            true => "order fewer items, or pay otherwise",
            false => "wait until less is out, or pay otherwise",
        };
        if one > to_one {
            return Err(format!(
                "this seller lets one buyer have {to_one} {name} out on credit, not {one}: {wait}"
            ));
        }
        if all > to_all {
            return Err(format!(
                "this seller has no room for {to} {name} more on credit just now: {wait}"
            ));
        }
        let key = (self.currency.clone(), self.buyer.clone());
        let held = out.entry(key).or_default();
        *held = held.saturating_sub(self.amount).saturating_add(to);
        drop(out);
        self.amount = to;
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut out = self.book.out();
        let key = (self.currency.clone(), self.buyer.clone());
        if let Some(held) = out.get_mut(&key) {
            *held = held.saturating_sub(self.amount);
            if *held == Amount::ZERO {
                out.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;
    use sdpp_ledger::Key;

    fn buyer(byte: u8) -> PublicKey {
        Key::from_bytes(&[byte; 32]).unwrap().public()
    }

    fn book() -> CreditBook {
        let limit = |amount| BTreeMap::from([("SDP".to_owned(), Amount::new(amount))]);
        CreditBook::new(CreditLimits { to_one: limit(10), to_all: limit(15) })
    }

    #[test]
    fn one_buyer_has_no_more_out_than_its_limit_over_all_its_sessions() {
        let book = book();
        let [mut one, mut two] = [book.open(&buyer(1), "SDP"), book.open(&buyer(1), "SDP")];
        one.raise(Amount::new(6)).unwrap();
        assert!(two.raise(Amount::new(5)).unwrap_err().contains("10 SDP"));
        two.raise(Amount::new(4)).unwrap();
        one.raise(Amount::new(3)).unwrap();
        two.raise(Amount::new(7)).unwrap();
        drop(one);
        two.raise(Amount::new(10)).unwrap();
    }

    #[test]
    fn all_buyers_have_no_more_out_than_their_limit() {
        let book = book();
        let [mut one, mut two] = [book.open(&buyer(1), "SDP"), book.open(&buyer(2), "SDP")];
        one.raise(Amount::new(10)).unwrap();
        assert!(two.raise(Amount::new(6)).unwrap_err().contains("no room for 6 SDP"));
        two.raise(Amount::new(5)).unwrap();
        drop(one);
        two.raise(Amount::new(10)).unwrap();
        drop(two);
        assert!(book.out().is_empty(), "nothing is remembered of who owes nothing");
    }

    #[test]
    fn a_currency_without_limits_has_none() {
        book().open(&buyer(1), "OTH").raise(Amount::new(u128::MAX)).unwrap();
    }

    proptest! {
        #[test]
        fn whatever_sessions_come_raise_and_go_no_more_is_out_than_the_limits(
            steps in prop::collection::vec((0_usize..6, 0_u128..14), 0..60),
        ) {
            let book = book();
            // Two sessions of each of three buyers.
            let mut sessions: Vec<Option<Lent>> = (0..6).map(|_| None).collect();
            for (at, amount) in steps {
                let of = buyer(u8::try_from(at / 2 + 1).unwrap());
                let session = sessions[at].get_or_insert_with(|| book.open(&of, "SDP"));
                if amount == 13 {
                    sessions[at] = None;
                } else {
                    let before = session.amount;
                    let is_let = session.raise(Amount::new(amount)).is_ok();
                    prop_assert_eq!(session.amount.units(), if is_let { amount } else { before.units() });
                }
                let held = |at: usize| sessions[at].as_ref().map_or(0, |lent| lent.amount.units());
                let each = [0, 2, 4].map(|first| held(first) + held(first + 1));
                prop_assert!(each.iter().all(|one| *one <= 10), "{each:?}");
                prop_assert!(each.iter().sum::<u128>() <= 15, "{each:?}");
            }
        }
    }
}
