//! What both sides sign of a bond that a session is under, to the byte (PROTOCOL.md, section 16).

use super::{Rate, Terms};
use sdpp_ledger::{Amount, BondId, Digest, keccak};

/// The bond that a session is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bonded {
    /// Its id.
    pub id: BondId,
    /// The root of the dataset that all items are of; zero where none was named.
    pub dataset: Digest,
}

/// The terms of a session as far as its bond is about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BondTerms {
    /// The bond's id.
    pub bond: BondId,
    /// What was vouched on the channel before.
    pub base: Amount,
    /// The price of one item, in the default currency's smallest unit.
    pub price: Amount,
    /// The currency's rate.
    pub rate: Rate,
    /// K.
    pub granularity: u32,
    /// W.
    pub credit_windows: u32,
    /// The root of the dataset that all items are of; zero where none was named.
    pub dataset: Digest,
}

impl BondTerms {
    /// The largest K: so many items of a window are kept as evidence.
    pub const GRANULARITY_MAX: u32 = 256;

    /// The most items of a dataset: so many of its leaves its seller keeps, and of any way up it can be
    /// told whether it leads to the root.
    pub const ITEMS_MAX: u32 = 1 << 20;

    /// Those of a session, where it is under a bond.
    pub fn of(terms: &Terms) -> Option<BondTerms> {
        let Bonded { id, dataset } = terms.bond?;
        Some(BondTerms {
            bond: id,
            base: terms.escrow?.base,
            price: terms.price,
            rate: terms.currency.rate,
            granularity: terms.granularity,
            credit_windows: terms.credit_windows,
            dataset,
        })
    }

    /// What the first items of a session cost in all, rounded down; `None` where it does not fit.
    pub fn price_of(&self, items: u64) -> Option<Amount> {
        let total = self.price.checked_mul(items.into())?;
        let scaled = total.checked_mul(self.rate.numerator.units())?;
        scaled.units().checked_div(self.rate.denominator.units()).map(Amount::new)
    }

    /// What `order` and `session_key` commit to.
    pub fn digest(&self) -> Digest {
        let BondTerms { base, price, rate, granularity, credit_windows, .. } = self;
        let amount = |amount: &Amount| amount.units().to_be_bytes();
        keccak(&[
            b"SDPP/1 bond",
            &self.bond.0,
            &amount(base),
            &amount(price),
            &amount(&rate.numerator),
            &amount(&rate.denominator),
            &granularity.to_be_bytes(),
            &credit_windows.to_be_bytes(),
            &self.dataset.0,
        ])
    }
}
