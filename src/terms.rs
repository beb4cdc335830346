//! What both sides signed: one menu times one order. Nothing in a session is decided from
//! anything else.

use sdpp_ledger::{
    Account, Amount, Asset, ChannelId, Digest, LedgerId, PublicKey, Reference, keccak,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Names a session: it binds both sides to one menu and one order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Digest);

impl SessionId {
    /// What stands in for a session before an order exists.
    pub const NONE: SessionId = SessionId(Digest::ZERO);

    /// `keccak("SDPP/1 session" || keccak(menu's raw data) || keccak(order's raw data))`.
    pub fn of(menu: &Digest, order: &Digest) -> Self {
        SessionId(keccak(&[b"SDPP/1 session", &menu.0, &order.0]))
    }

    /// Our idempotency key for one thing that this session wants of a ledger:
    /// `keccak("SDPP/1 reference" || session || purpose (1 byte) || number (u64))`.
    pub fn reference(&self, purpose: Purpose, number: u64) -> Reference {
        let parts: [&[u8]; 4] =
            [b"SDPP/1 reference", &self.0.0, &[purpose as u8], &number.to_be_bytes()];
        Reference(keccak(&parts).0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SessionId {
    type Err = sdpp_ledger::ParseBytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(SessionId)
    }
}

/// What a reference is for. The number is part of the wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Anchoring the order.
    Order = 1,
    /// Anchoring an invoice.
    Invoice = 2,
    /// Paying an invoice, and checking that it was paid.
    Payment = 3,
    /// Anchoring the seller's exit: the final receipt.
    Exit = 4,
    /// Opening the escrow channel.
    Open = 5,
    /// Adding to the escrow channel.
    TopUp = 6,
    /// Redeeming a voucher and keeping the channel.
    Settle = 7,
    /// Redeeming the last voucher and closing the channel.
    Close = 8,
    /// Letting the escrow take deposits.
    Approve = 9,
    /// Payer: asking the escrow to close the channel.
    RequestClose = 10,
    /// Payer: taking back what is left in the channel.
    Withdraw = 11,
    /// Anchoring the evidence of a dispute.
    Dispute = 12,
}

/// Which side of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Owns the sensor, sends items, is paid.
    Seller,
    /// Receives items, pays.
    Buyer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::Seller => "seller",
            Role::Buyer => "buyer",
        })
    }
}

/// How a currency is paid in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// One ledger payment for each window.
    Transfer,
    /// Vouchers on a channel that was funded beforehand.
    Escrow,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Method::Transfer => "transfer",
            Method::Escrow => "escrow",
        })
    }
}

/// A ratio of two integers: so many of a currency's smallest units for so many of the default
/// currency's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Units of the currency.
    pub numerator: Amount,
    /// Units of the default currency; never zero.
    pub denominator: Amount,
}

impl Rate {
    /// One for one.
    pub const ONE: Rate = Rate { numerator: Amount::new(1), denominator: Amount::new(1) };
}

/// A currency as a menu offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency {
    /// Its name in menus and orders, such as `SDP`.
    pub name: String,
    /// What people write behind an amount.
    pub symbol: String,
    /// How many decimals a whole coin has.
    pub decimals: u8,
    /// The ledger that it lives on.
    pub ledger: LedgerId,
    /// What it is there.
    pub asset: Asset,
    /// How it is paid.
    pub method: Method,
    /// Who is paid.
    pub payee: Account,
    /// Its units for one unit of the default currency.
    pub rate: Rate,
}

/// The channel that an escrow session draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InEscrow {
    /// The channel.
    pub channel: ChannelId,
    /// What was vouched on it before this session: a voucher pays its amount less this.
    pub base: Amount,
}

/// What both sides signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The session.
    pub session: SessionId,
    /// The seller's key.
    pub seller: PublicKey,
    /// The buyer's key.
    pub buyer: PublicKey,
    /// What is sold.
    pub topic: String,
    /// How many items; `None` for as many as there are.
    pub quantity: Option<u64>,
    /// The price of one item, in the default currency's smallest unit.
    pub price: Amount,
    /// What is paid, and how.
    pub currency: Currency,
    /// K: items in a window.
    pub granularity: u32,
    /// W: windows that may be unpaid.
    pub credit_windows: u32,
    /// Whether items and acks are signed, or only under a MAC.
    pub signed_items: bool,
    /// The channel, where the method is escrow.
    pub escrow: Option<InEscrow>,
    /// Where the seller keeps its records; `None` when it keeps none.
    pub records: Option<LedgerId>,
}

impl Terms {
    /// What `items` items cost in all, in the chosen currency's smallest unit.
    ///
    /// Computed from the total, so rounding never adds up: the sum is rounded down, once, in the
    /// buyer's favour by less than one unit a session. `None` when it does not fit 128 bits.
    pub fn owed_for(&self, items: u64) -> Option<Amount> {
        let total = self.price.checked_mul(items.into())?;
        let rate = &self.currency.rate;
        let scaled = total.checked_mul(rate.numerator.units())?;
        scaled.units().checked_div(rate.denominator.units()).map(Amount::new)
    }

    /// The most items that may be sent and not yet paid: W * K.
    pub fn credit_items(&self) -> u64 {
        u64::from(self.granularity) * u64::from(self.credit_windows)
    }

    /// Whether `seq` is the last item that was ordered.
    pub fn is_last(&self, seq: u64) -> bool {
        self.quantity.is_some_and(|quantity| seq >= quantity)
    }
}

/// The most messages of one side that propose or ask for a change in one session.
pub const AMENDS_MAX: u64 = 1_000;

/// The most items that one credit note is for.
pub const CREDITED_ITEMS_MAX: usize = 256;

/// The credit notes of a session that both sides have signed: what items cost with them. Sessions,
/// audits and judges all count by this.
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

    /// What `items` items cost in all, less what was credited: the total never goes back, so a
    /// credit above what one window costs carries over to the next. `None` as in
    /// [`Terms::owed_for`].
    pub fn owed_for(&self, terms: &Terms, items: u64) -> Option<Amount> {
        let price = terms.owed_for(items)?;
        let begun = self.0.partition_point(|credit| credit.from_seq <= items);
        let credit = begun.checked_sub(1).and_then(|last| self.0.get(last));
        Some(credit.map_or(price, |credit| price.saturating_sub(credit.total).max(credit.floor)))
    }

    /// How much of the credits is netted when `items` items were invoiced. The rest has brought
    /// the buyer nothing, and stays the seller's debt.
    pub fn netted_by(&self, terms: &Terms, items: u64) -> Option<Amount> {
        let (price, owed) = (terms.owed_for(items)?, self.owed_for(terms, items)?);
        Some(price.saturating_sub(owed))
    }

    /// Takes a note in: from `from_seq` on `total` is credited in all.
    ///
    /// # Errors
    /// What makes it no credit note under these terms, as a sentence: it must be in force from the
    /// first item of a window that was ordered, credit more than the one before and no more than
    /// what the items before it cost, and not reach back behind the one before.
    pub fn add(&mut self, terms: &Terms, from_seq: u64, total: Amount) -> Result<(), String> {
        let before = from_seq.saturating_sub(1);
        if before == 0 || !before.is_multiple_of(u64::from(terms.granularity)) {
            return Err(format!("item {from_seq} begins no window after the first"));
        }
        if terms.is_last(before) {
            return Err(format!("no item {from_seq} was ordered: there is nothing to net it in"));
        }
        if self.0.last().is_some_and(|last| last.from_seq > from_seq) {
            return Err(format!("item {from_seq} comes before the credit note before it"));
        }
        if total <= self.total() {
            return Err(format!("{} are credited already, not {total}", self.total()));
        }
        let too_much = || "the price of this session passes 128 bits".to_owned();
        let price = terms.owed_for(before).ok_or_else(too_much)?;
        if total > price {
            return Err(format!("{before} items cost {price}: {total} are too much to credit"));
        }
        if self.0.len() as u64 >= AMENDS_MAX {
            return Err(format!("a session has {AMENDS_MAX} credit notes at most"));
        }
        let floor = self.owed_for(terms, before).ok_or_else(too_much)?;
        self.0.push(Credit { from_seq, total, floor });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;
    use sdpp_ledger::Key;

    /// Items at `price * numerator / denominator`, four to a window.
    fn terms(price: u128, numerator: u128, denominator: u128) -> Terms {
        let key = |byte| Key::from_bytes(&[byte; 32]).unwrap().public();
        let (numerator, denominator) = (Amount::new(numerator), Amount::new(denominator));
        Terms {
            session: SessionId::NONE,
            seller: key(1),
            buyer: key(2),
            topic: "gas".to_owned(),
            quantity: Some(40),
            price: Amount::new(price),
            currency: Currency {
                name: "SDP".to_owned(),
                symbol: "SDP".to_owned(),
                decimals: 6,
                ledger: "sdpp:story".parse().unwrap(),
                asset: Asset::coin(),
                method: Method::Transfer,
                payee: key(1).account(),
                rate: Rate { numerator, denominator },
            },
            granularity: 4,
            credit_windows: 1,
            signed_items: true,
            escrow: None,
            records: None,
        }
    }

    fn owed(credits: &Credits, terms: &Terms, items: u64) -> u128 {
        credits.owed_for(terms, items).unwrap().units()
    }

    #[test]
    fn a_credit_above_one_windows_price_carries_over_and_totals_never_go_back() {
        let (terms, mut credits) = (terms(3, 1, 1), Credits::default());
        credits.add(&terms, 9, Amount::new(14)).unwrap();
        let totals = [8, 9, 12, 13, 16].map(|items| owed(&credits, &terms, items));
        assert_eq!(totals, [24, 24, 24, 25, 34]);
        assert_eq!(credits.netted_by(&terms, 12), Some(Amount::new(12)));
        assert_eq!(credits.netted_by(&terms, 16), Some(Amount::new(14)));
        credits.add(&terms, 13, Amount::new(20)).unwrap();
        assert_eq!([12, 14, 15, 16].map(|items| owed(&credits, &terms, items)), [24, 24, 25, 28]);
    }

    #[test]
    fn what_is_no_credit_note_under_the_terms_says_why() {
        let (terms, mut credits) = (terms(3, 1, 1), Credits::default());
        credits.add(&terms, 9, Amount::new(5)).unwrap();
        for (from_seq, total, why) in [
            (0, 6, "begins no window"),
            (1, 6, "begins no window"),
            (10, 6, "begins no window"),
            (41, 6, "no item 41 was ordered"),
            (5, 6, "comes before"),
            (9, 5, "5 are credited already"),
            (9, 25, "8 items cost 24"),
        ] {
            let error = credits.add(&terms, from_seq, Amount::new(total)).unwrap_err();
            assert!(error.contains(why), "{error:?} does not say {why:?}");
        }
        assert_eq!(credits.total(), Amount::new(5), "what was refused changes nothing");
    }

    proptest! {
        /// Totals only grow, by no more than the price of the items, and whatever was netted is
        /// no more than what was credited.
        #[test]
        fn totals_with_credits_only_grow(
            price in 0u128..9,
            rate in (1u128..5, 1u128..9),
            notes in prop::collection::vec((1u64..10, 1u128..20), 0..6),
        ) {
            let (terms, mut credits) = (terms(price, rate.0, rate.1), Credits::default());
            let mut from_window = 0;
            for (windows, amount) in notes {
                from_window += windows % 3;
                let total = credits.total().checked_add(Amount::new(amount)).unwrap();
                let _ = credits.add(&terms, 4 * from_window + 1, total);
            }
            for items in 1..=40u64 {
                let (before, now) = (owed(&credits, &terms, items - 1), owed(&credits, &terms, items));
                prop_assert!(before <= now, "{} items owe {}, {} owe {}", items - 1, before, items, now);
                let most = terms.owed_for(items).unwrap().units();
                prop_assert!(now <= most);
                prop_assert!(most - now <= credits.total().units());
            }
        }
    }
}
