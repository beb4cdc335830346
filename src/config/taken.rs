//! What a seller takes: prices that hold for some orders, and how much it sells in a currency.

use sdpp_ledger::Amount;
use serde::Serialize;

/// A price that holds in the place of its topic's, where all that it names is so; it names at least
/// one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpecialPrice {
    /// Paid in this currency: a name in [`super::Config::currencies`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Ordered by this buyer: a name in [`super::Config::peers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer: Option<String>,
    /// So many items are ordered, or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_quantity: Option<u64>,
    /// The price of one item, in the default currency's smallest unit; at least 1.
    pub price: Amount,
}

/// How much a seller sells in a currency, in its smallest unit, each at least 1; `None` for no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CurrencyLimits {
    /// What an order costs at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_min: Option<Amount>,
    /// What an order costs at most; what may be unpaid at a time, where it is a stream without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_max: Option<Amount>,
    /// How much one buyer may owe at a time that no deposit secures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit_to_one: Option<Amount>,
    /// How much all buyers may owe at a time that no deposit secures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit_to_all: Option<Amount>,
}

impl CurrencyLimits {
    /// Whether there is no limit.
    pub fn is_none(&self) -> bool {
        *self == CurrencyLimits::default()
    }
}
