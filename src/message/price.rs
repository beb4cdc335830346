//! What an item costs in one order: the topic's price, or one that holds for a currency, a buyer or
//! a quantity. Both sides, audits and judges count by [`Menu::price`].

use crate::message::menu::Menu;
use sdpp_ledger::{Amount, PublicKey};
use serde::{Deserialize, Serialize};

/// A price that stands in the place of its topic's, where all that it names is so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialPrice {
    /// The topic.
    pub topic: String,
    /// Paid in this currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Ordered by this buyer. Stands only on the menu of whoever says in `hello` to be this buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<PublicKey>,
    /// So many items are ordered, or more. A stream without an end is no such order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_quantity: Option<u64>,
    /// The price of one item, in the default currency's smallest unit.
    pub price: Amount,
}

/// An order, as far as its price hangs on it.
#[derive(Debug, Clone, Copy)]
pub struct Priced<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The currency that it is paid in.
    pub currency: &'a str,
    /// Who orders.
    pub buyer: &'a PublicKey,
    /// How many items; `None` for as many as there are.
    pub quantity: Option<u64>,
}

impl SpecialPrice {
    fn is_for(&self, order: &Priced<'_>) -> bool {
        self.topic == order.topic
            && self.currency.as_ref().is_none_or(|currency| currency == order.currency)
            && self.buyer.as_ref().is_none_or(|buyer| buyer == order.buyer)
            && self.from_quantity.is_none_or(|from| order.quantity.is_some_and(|n| n >= from))
    }
}

impl Menu {
    /// The price of one item in this order, in the default currency's smallest unit: the lowest of
    /// the special prices that hold for it, else the topic's. `None` for a topic without a price.
    pub fn price(&self, order: &Priced<'_>) -> Option<Amount> {
        let topics = self.prices.get(order.topic).copied()?;
        let special = self.special_prices.iter().filter(|special| special.is_for(order));
        Some(special.map(|special| special.price).min().unwrap_or(topics))
    }

    /// This menu for who says to be this buyer: with the special prices for everybody and for that
    /// one, and with nobody else's.
    pub fn shown_to(&self, buyer: Option<&PublicKey>) -> Menu {
        let mut menu = self.clone();
        menu.special_prices.retain(|one| one.buyer.is_none() || one.buyer.as_ref() == buyer);
        menu.prices_by_buyer = self.special_prices.iter().any(|one| one.buyer.is_some());
        menu
    }
}
