//! Prices that hold for a buyer or a quantity: what an order pays by its own menu is agreed, and a
//! seller that asks the topic's price is named.

use crate::lies::{lie, sign_again};
use crate::pair::{Setting, key};
use crate::{audit, both};
use sdpp::audit::State;
use sdpp::message::SpecialPrice;
use sdpp::record::{End, Record};
use sdpp_ledger::Amount;
use serde_json::json;

fn special(price: u128) -> SpecialPrice {
    let (currency, buyer, from_quantity) = (None, None, None);
    let topic = "gas".to_owned();
    SpecialPrice { topic, currency, buyer, from_quantity, price: Amount::new(price) }
}

/// Six items at 3 each, were it not for these.
fn setting(special_prices: Vec<SpecialPrice>) -> Setting {
    let mut setting = Setting::default();
    setting.menu.special_prices = special_prices;
    setting
}

fn for_buyer(byte: u8, price: u128) -> SpecialPrice {
    SpecialPrice { buyer: Some(key(byte).public()), ..special(price) }
}

fn from_quantity(from: u64, price: u128) -> SpecialPrice {
    SpecialPrice { from_quantity: Some(from), ..special(price) }
}

#[test]
fn a_buyers_own_price_and_a_quantitys_are_what_was_agreed() {
    let cases = [
        (vec![for_buyer(2, 2)], 12),
        (vec![from_quantity(6, 1)], 6),
        (vec![from_quantity(6, 2), for_buyer(2, 1)], 6),
        (vec![from_quantity(7, 1), for_buyer(9, 1)], 18),
    ];
    for (prices, cost) in cases {
        for setting in [setting(prices.clone()), setting(prices).by_escrow()] {
            let mut pair = setting.start();
            pair.run();
            for (owner, entries) in both(&pair) {
                let report = audit(&owner, &entries);
                assert_eq!(report.problems, []);
                let [one] = &report.statements[..] else { panic!("one session") };
                let money = &one.last;
                let cost = Amount::new(cost);
                assert_eq!((money.invoiced, money.paid, money.settled), (cost, cost, cost));
                assert_eq!(one.state, State::Ended(End::Complete));
            }
        }
    }
}

#[test]
fn a_seller_that_asks_the_topics_price_where_another_was_ordered_is_named() {
    for prices in [vec![for_buyer(2, 2)], vec![from_quantity(6, 2)]] {
        let mut pair = setting(prices).start();
        pair.run();
        for book in both(&pair) {
            lie(book, "asks 18 in all, 12 is agreed", |entries| {
                let (seq, message) = nth!(entries, 1, Record::Invoice { message, .. } => message);
                message.amount_total = Amount::new(18);
                sign_again(message, &key(1), |data| data["invoice"]["amount_total"] = json!("18"));
                seq
            });
        }
    }
}
