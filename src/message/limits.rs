//! Which orders a seller takes in a currency.

use crate::terms::Terms;
use sdpp_ledger::Amount;
use serde::{Deserialize, Serialize};

/// The cheapest and the dearest order that is taken, in the currency's smallest unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLimits {
    /// An order costs at least so much; left out where any will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_min: Option<Amount>,
    /// An order costs at most so much; left out where any will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_max: Option<Amount>,
}

impl OrderLimits {
    /// Whether any order will do.
    pub fn is_none(&self) -> bool {
        *self == OrderLimits::default()
    }

    /// Why these terms are not taken, as a sentence that says the limit. What counts is the whole
    /// order; of a stream without an end, what may be unpaid at a time.
    pub fn refuse(&self, terms: &Terms) -> Option<String> {
        let items = terms.quantity.unwrap_or(terms.credit_items());
        let (cost, name) = (terms.owed_for(items)?, &terms.currency.name);
        if let Some(min) = self.order_min.filter(|min| cost < *min) {
            return Some(format!("the order comes to {cost} {name}, the smallest taken is {min}"));
        }
        let max = self.order_max.filter(|max| cost > *max)?;
        Some(format!("the order comes to {cost} {name}, the largest taken is {max}"))
    }
}
