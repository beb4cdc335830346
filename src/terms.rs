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
