//! Prices that hold for some orders in the place of their topic's.

use super::super::file::SpecialPriceFile;
use super::super::{CurrencyConfig, SpecialPrice};
use super::Outcome;
use super::value::{known, wrong};
use sdpp_ledger::{Amount, PublicKey};
use std::collections::BTreeMap;

/// What a special price can name.
pub(super) struct Named<'a> {
    pub(super) currencies: &'a BTreeMap<String, CurrencyConfig>,
    pub(super) peers: &'a BTreeMap<String, PublicKey>,
}

/// A menu that is longer than 16 KiB is refused; so many prices leave room for the rest of it.
const SPECIAL_PRICES_MAX: usize = 32;

pub(super) fn special_prices(
    topic: &str,
    written: Vec<SpecialPriceFile>,
    named: &Named<'_>,
) -> Outcome<Vec<SpecialPrice>> {
    if written.len() > SPECIAL_PRICES_MAX {
        let what = format!("a topic has at most {SPECIAL_PRICES_MAX} prices beside its own");
        return Err(wrong(&["topics", topic, "prices"], what));
    }
    let mut prices: Vec<SpecialPrice> = Vec::new();
    for (index, one) in written.into_iter().enumerate() {
        let index = index.to_string();
        let one = special_price(topic, &index, one, named)?;
        let is_for = |one: &SpecialPrice| {
            (one.currency.clone(), one.buyer.clone(), one.from_quantity.unwrap_or_default())
        };
        if prices.iter().any(|other| is_for(other) == is_for(&one)) {
            let what = "another price is for the same orders: remove one of the two";
            return Err(wrong(&["topics", topic, "prices", &index, "price"], what));
        }
        prices.push(one);
    }
    Ok(prices)
}

fn special_price(
    topic: &str,
    index: &str,
    written: SpecialPriceFile,
    named: &Named<'_>,
) -> Outcome<SpecialPrice> {
    let at = |key: &'static str| ["topics", topic, "prices", index, key];
    let SpecialPriceFile { currency, buyer, from_quantity, price } = written;
    if currency.is_none() && buyer.is_none() && from_quantity.is_none() {
        let what =
            "for which orders? add currency = \"NAME\", buyer = \"NAME\" or from_quantity = 1000";
        return Err(wrong(&at("price"), what));
    }
    if price.0 == Amount::ZERO {
        return Err(wrong(&at("price"), "an item costs at least 1"));
    }
    if from_quantity == Some(0) {
        return Err(wrong(&at("from_quantity"), "write at least 1"));
    }
    let known_currency = |name| known(&at("currency"), name, named.currencies, "currencies");
    let known_buyer = |name: String| match named.peers.contains_key(&name) {
        true => Ok(name),
        false => {
            let what = format!("there is no {name:?} in [peers]: add {name:?} = \"0x…\", its key");
            Err(wrong(&at("buyer"), what))
        }
    };
    Ok(SpecialPrice {
        currency: currency.map(known_currency).transpose()?,
        buyer: buyer.map(known_buyer).transpose()?,
        from_quantity,
        price: price.0,
    })
}
