//! `menu`: what is sold, for how much, paid how. Sent at once on connect; signed by the seller.

use crate::crypto::layout::MessageKind;
use crate::message::envelope::Body;
use crate::message::limits::OrderLimits;
use crate::message::moment::Moment;
use crate::message::price::SpecialPrice;
use crate::message::quote::Quote;
use crate::message::strict::left_out;
use crate::terms::{Currency, Method, Rate};
use sdpp_ledger::{Account, Amount, Asset, Digest, LedgerId, PublicKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `data` of a `menu`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Menu {
    /// Protocol versions that the seller speaks.
    pub versions: Vec<String>,
    /// Encodings of items that the seller speaks.
    pub encodings: Vec<String>,
    /// The seller's key.
    pub public_key: PublicKey,
    /// Fresh for each connection: no answer to this menu is good on another.
    pub challenge: Digest,
    /// Topics and how many items there are; `null` for a stream without an end.
    pub available_data: BTreeMap<String, Option<u64>>,
    /// The Merkle roots of datasets that topics are, so that each item can be held against its own; left
    /// out where no topic is one.
    #[serde(default, deserialize_with = "left_out", skip_serializing_if = "BTreeMap::is_empty")]
    pub datasets: BTreeMap<String, Digest>,
    /// The price of one item of each topic, in the default currency's smallest unit.
    pub prices: BTreeMap<String, Amount>,
    /// Prices for some orders in the place of these; see [`Menu::price`]. Left out where there are
    /// none.
    #[serde(default, deserialize_with = "left_out", skip_serializing_if = "Vec::is_empty")]
    pub special_prices: Vec<SpecialPrice>,
    /// Some special prices stand only on the menu of the buyer that they are for, who says in
    /// `hello` who it is. Left out where there are none.
    #[serde(default, deserialize_with = "left_out", skip_serializing_if = "std::ops::Not::not")]
    pub prices_by_buyer: bool,
    /// A buyer that has never paid this seller is served by escrow alone. Left out where it is served as
    /// everybody is.
    #[serde(default, deserialize_with = "left_out", skip_serializing_if = "std::ops::Not::not")]
    pub unknown_by_escrow: bool,
    /// What the readings of each topic are measured in.
    pub units: BTreeMap<String, String>,
    /// The currency that prices are in.
    pub default_currency: String,
    /// The currencies that the seller takes.
    pub currencies_accepted: Vec<CurrencyOffer>,
    /// K: items in a window.
    pub payment_granularity: u32,
    /// W: windows that may be unpaid.
    pub credit_windows: u32,
    /// One transfer may pay several invoices of a leg. Left out where each is paid by its own.
    #[serde(default, deserialize_with = "left_out", skip_serializing_if = "std::ops::Not::not")]
    pub payments_together: bool,
    /// Who is paid in the default currency.
    pub payment_address: Account,
    /// Whether items and acks are signed, or only under a MAC.
    pub signature_required: bool,
    /// Where the seller keeps its records; `null` when it keeps none.
    pub records: Option<RecordsOffer>,
    /// How long a session whose connection broke is kept for its buyer to go on with, in milliseconds;
    /// left out where it ends with its connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_ms: Option<u64>,
    /// When this menu is no longer good: at most ten minutes ahead.
    pub expires_at: Moment,
}

/// One currency of a menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyOffer {
    /// Its name.
    pub currency: String,
    /// What people write behind an amount.
    pub symbol: String,
    /// How many decimals a whole coin has.
    pub decimals: u8,
    /// The ledger that it lives on: CAIP-2 where one exists.
    pub ledger: LedgerId,
    /// What it is there: `coin`, or a token.
    pub asset: Asset,
    /// How it is paid.
    pub method: Method,
    /// Who is paid.
    pub payment_address: Account,
    /// Its units for one unit of the default currency.
    pub rate: Rate,
    /// Where the rate comes from; left out where prices are in this currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// How final a payment by transfer must be before it counts for credit: `final`, or by amount, as
    /// [`crate::terms::CountsWhen`] writes it. For people: a buyer does nothing with it.
    pub finality: String,
    /// Which orders are taken; left out where any is.
    #[serde(default, deserialize_with = "left_out", skip_serializing_if = "OrderLimits::is_none")]
    pub limits: OrderLimits,
    /// The bond that an order by escrow may be under; left out where none is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bond: Option<BondOffer>,
}

/// What a seller pledges and asks to be pledged, in the currency's smallest unit: no less will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BondOffer {
    /// The buyer's part.
    pub buyer: Amount,
    /// The seller's part.
    pub seller: Amount,
    /// What a complaint is made with.
    pub stake: Amount,
    /// What paying only when asked in public costs the buyer.
    pub fee: Amount,
}

/// Where and how a seller keeps its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsOffer {
    /// The ledger: CAIP-2 where one exists.
    pub ledger: LedgerId,
    /// `each`: one by one. `session`: all of a session under one root at its end.
    pub batch: String,
    /// `before`: an invoice names its anchor's transaction. `after`: told when known.
    pub anchor: String,
}

impl Menu {
    /// The longest that a menu may be good for, in milliseconds.
    pub const LIFETIME_MS_MAX: u64 = 10 * 60 * 1000;

    /// When it is no longer good, where it would be at `expires_at` in milliseconds since 1970 UTC: no
    /// later than the first of its quotes.
    pub fn quoted_until(&self, expires_at: u64) -> Moment {
        let quotes = self.currencies_accepted.iter().filter_map(|offer| offer.quote.as_ref());
        quotes.map(|quote| quote.expires_at).fold(Moment(expires_at), Moment::min)
    }

    /// Offers a topic no more.
    pub fn take_off(&mut self, topic: &str) {
        self.available_data.remove(topic);
        self.datasets.remove(topic);
        self.prices.remove(topic);
        self.special_prices.retain(|special| special.topic != topic);
        self.units.remove(topic);
    }

    /// The offer of a currency by this name and method.
    pub fn currency(&self, name: &str, method: Method) -> Option<&CurrencyOffer> {
        self.currencies_accepted
            .iter()
            .find(|offer| offer.currency == name && offer.method == method)
    }
}

impl CurrencyOffer {
    /// Whether its rate is what its quote makes of what its sources said.
    pub fn is_as_quoted(&self) -> bool {
        self.quote.as_ref().is_none_or(|quote| quote.rate() == Some(self.rate))
    }

    /// The currency as terms have it.
    pub fn currency(&self) -> Currency {
        Currency {
            name: self.currency.clone(),
            symbol: self.symbol.clone(),
            decimals: self.decimals,
            ledger: self.ledger.clone(),
            asset: self.asset.clone(),
            method: self.method,
            payee: self.payment_address.clone(),
            rate: self.rate,
        }
    }
}

impl Body for Menu {
    const KIND: MessageKind = MessageKind::Menu;
}
