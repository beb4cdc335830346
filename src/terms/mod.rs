//! What both sides signed: one menu times one order, and what they have agreed to change since
//! ([`Agreed`]). Nothing in a session is decided from anything else.

mod agreed;
mod bonded;
mod counts;
mod credits;
mod dataset;
mod leg;
mod pace;
mod voids;

pub use agreed::Agreed;
pub use bonded::{BondTerms, Bonded};
pub use counts::{CountsWhen, Step};
pub use credits::Credits;
pub use dataset::{Dataset, PATH_MAX, PLACES_MAX, SHOWN_BYTES_MAX};
pub use leg::Leg;
pub use pace::{Pace, PaceFacts, PaceReason};
pub use voids::Void;

use sdpp_ledger::{
    Account, Amount, Asset, ChannelId, Digest, LedgerId, PublicKey, Reference, keccak,
};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
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

/// The number of a reference for what one leg's channel is asked for, by the leg's place: each leg has its
/// own, and of each the session's end has the first.
pub fn number_in_leg(place: usize, number: u64) -> u64 {
    // A session has fewer than 2^32 changes.
    ((place as u64) << 32) | number
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
    /// Whatever is done about a bond.
    Bond = 13,
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

    /// What an amount of the currency is worth in the default currency's smallest unit, rounded down.
    /// What passes 128 bits is taken a little low.
    pub fn in_default(&self, amount: Amount) -> Amount {
        scaled(amount, self.denominator, self.numerator)
    }

    /// How much of the currency an amount of the default currency is, rounded down. What passes 128
    /// bits is taken a little low.
    pub fn from_default(&self, amount: Amount) -> Amount {
        scaled(amount, self.numerator, self.denominator)
    }

    /// The rate of these two numbers, with the smallest ones that say the same.
    pub fn reduced(numerator: u128, denominator: u128) -> Rate {
        let (mut divisor, mut rest) = (numerator, denominator);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        let divisor = divisor.max(1);
        let (numerator, denominator) = (numerator / divisor, denominator / divisor);
        Rate { numerator: Amount::new(numerator), denominator: Amount::new(denominator) }
    }

    /// This rate and another over their common denominator; of plain rates below 2^126 both.
    pub fn crossed(&self, other: &Rate) -> [u128; 2] {
        let times = |one: Amount, by: Amount| one.units().saturating_mul(by.units());
        [times(self.numerator, other.denominator), times(other.numerator, self.denominator)]
    }

    /// Which of two plain rates asks for less. Those that ask for the same stand by how they are
    /// written, so that everybody sorts alike.
    pub fn compare(&self, other: &Rate) -> Ordering {
        let [ours, theirs] = self.crossed(other);
        ours.cmp(&theirs).then(self.numerator.cmp(&other.numerator))
    }

    /// What both numbers of a rate may be at most where rates are compared or follow one another.
    pub const PLAIN_MAX: u128 = (1 << 63) - 1;

    /// Whether both numbers are from 1 to [`Rate::PLAIN_MAX`]: then nothing that is counted with it
    /// here overflows.
    pub fn is_plain(&self) -> bool {
        let is_small = |amount: &Amount| (1..=Self::PLAIN_MAX).contains(&amount.units());
        is_small(&self.numerator) && is_small(&self.denominator)
    }
}

/// `amount * up / down`, rounded down.
fn scaled(amount: Amount, up: Amount, down: Amount) -> Amount {
    let (amount, up, down) = (amount.units(), up.units(), down.units().max(1));
    let exact = amount.checked_mul(up).map(|scaled| scaled / down);
    Amount::new(exact.unwrap_or_else(|| (amount / down).saturating_mul(up)))
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
    /// The bond that answers for both, where there is one: then nothing is changed by the way.
    pub bond: Option<Bonded>,
    /// Where the seller keeps its records; `None` when it keeps none.
    pub records: Option<LedgerId>,
    /// The dataset that all items are of, where the menu named one.
    pub dataset: Option<Dataset>,
}

impl Terms {
    /// What `items` items cost in all as it was ordered, in the chosen currency's smallest unit:
    /// [`Agreed::owed_for`] counts what was changed since.
    ///
    /// Computed from the total, so rounding never adds up: the sum is rounded down, once, in the
    /// buyer's favour by less than one unit a session. `None` when it does not fit 128 bits.
    pub fn owed_for(&self, items: u64) -> Option<Amount> {
        let total = self.price.checked_mul(items.into())?;
        let rate = &self.currency.rate;
        let scaled = total.checked_mul(rate.numerator.units())?;
        scaled.units().checked_div(rate.denominator.units()).map(Amount::new)
    }

    /// The pace that was ordered.
    pub fn pace(&self) -> Pace {
        Pace { granularity: self.granularity, credit_windows: self.credit_windows }
    }

    /// The most items that may be sent and not yet paid as it was ordered: W * K.
    pub fn credit_items(&self) -> u64 {
        self.pace().credit_items()
    }
}

/// The most messages of one side that propose or ask for a change in one session.
pub const AMENDS_MAX: u64 = 1_000;

/// The most items that one credit note is for.
pub const CREDITED_ITEMS_MAX: usize = 256;

#[cfg(test)]
mod tests;
