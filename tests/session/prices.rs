//! Prices that hold for a currency, a buyer or a quantity: which one an order pays, and who sees it.

use crate::liars::{ends_with, order_under};
use crate::pair::*;
use sdpp::message::{Menu, Priced, SpecialPrice};
use sdpp::record::End;
use sdpp_ledger::Amount;
use serde_json::Value;

fn special(price: u128) -> SpecialPrice {
    let (currency, buyer, from_quantity) = (None, None, None);
    let topic = "gas".to_owned();
    SpecialPrice { topic, currency, buyer, from_quantity, price: Amount::new(price) }
}

fn from_quantity(from: u64, price: u128) -> SpecialPrice {
    SpecialPrice { from_quantity: Some(from), ..special(price) }
}

fn in_currency(name: &str, price: u128) -> SpecialPrice {
    SpecialPrice { currency: Some(name.to_owned()), ..special(price) }
}

fn for_buyer(byte: u8, price: u128) -> SpecialPrice {
    SpecialPrice { buyer: Some(key(byte).public()), ..special(price) }
}

/// Six items of `gas`, which cost 3 each where nothing else holds.
fn setting(special_prices: Vec<SpecialPrice>) -> Setting {
    let mut setting = Setting::default().anchored_after().no_records();
    setting.menu.special_prices = special_prices;
    setting
}

fn menus(pair: &Pair) -> Vec<Value> {
    let menus = sent(&pair.s).into_iter().filter(|m| m["message_type"] == "menu");
    menus.map(|m| m["data"].clone()).collect()
}

fn order_of(pair: &Pair) -> Value {
    let order = sent(&pair.b).into_iter().find(|m| m["message_type"] == "order");
    order.expect("it orders")["data"].clone()
}

#[test]
fn the_lowest_special_price_that_holds_is_paid_and_else_the_topics() {
    let other_topic = SpecialPrice { topic: "co2".to_owned(), ..special(1) };
    let both = SpecialPrice { currency: Some("SDP".to_owned()), ..from_quantity(6, 2) };
    let neither = SpecialPrice { currency: Some("ETH".to_owned()), ..from_quantity(6, 1) };
    let cases = [
        (vec![], 18),
        (vec![from_quantity(6, 2)], 12),
        (vec![from_quantity(7, 2)], 18),
        (vec![in_currency("SDP", 2)], 12),
        (vec![in_currency("ETH", 2)], 18),
        (vec![both], 12),
        (vec![neither], 18),
        (vec![other_topic], 18),
        // It stands in the topic's place, so it may be above it.
        (vec![in_currency("SDP", 5)], 30),
        (vec![in_currency("SDP", 5), from_quantity(1, 4), from_quantity(7, 1)], 24),
        // Nobody pays another's.
        (vec![for_buyer(9, 1), from_quantity(2, 2)], 12),
    ];
    for (prices, cost) in cases {
        let mut pair = setting(prices.clone()).start();
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{prices:?}");
        let (sold, bought) = (pair.s.progress(), pair.b.progress());
        assert_eq!((sold.paid, bought.paid), (Amount::new(cost), Amount::new(cost)), "{prices:?}");
        let named = (cost != 18).then(|| Value::String((cost / 6).to_string()));
        assert_eq!(order_of(&pair).get("price"), named.as_ref(), "{prices:?}");
    }
}

#[test]
fn a_stream_without_an_end_is_no_large_order() {
    let menu = Menu { special_prices: vec![from_quantity(1, 1)], ..menu() };
    let buyer = key(2).public();
    let price = |topic, quantity| {
        menu.price(&Priced { topic, currency: "SDP", buyer: &buyer, quantity }).map(|p| p.units())
    };
    assert_eq!(price("gas", Some(1)), Some(1));
    assert_eq!(price("gas", None), Some(3));
    assert_eq!(price("gold", Some(1)), None);
}

#[test]
fn a_buyer_with_prices_of_its_own_says_who_it_is_and_pays_them() {
    let prices = vec![for_buyer(2, 1), for_buyer(9, 2), from_quantity(6, 2)];
    let mut pair = setting(prices.clone()).start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.s.progress().paid, Amount::new(6));
    assert_eq!(types(&pair.b)[..2], ["hello", "order"]);
    let [for_all, for_us] = &menus(&pair)[..] else { panic!("two menus") };
    let shown = |prices: &[&SpecialPrice]| serde_json::to_value(prices).unwrap();
    assert_eq!(for_all["special_prices"], shown(&[&prices[2]]), "nobody else sees them");
    assert_eq!(for_us["special_prices"], shown(&[&prices[0], &prices[2]]));
    assert_eq!(for_all["challenge"], for_us["challenge"]);
    for menu in [for_all, for_us] {
        assert_eq!(menu["prices_by_buyer"], Value::Bool(true));
    }
}

#[test]
fn where_nobody_has_prices_of_its_own_nobody_is_asked_who_it_is() {
    let mut pair = setting(vec![from_quantity(6, 2)]).start();
    pair.run();
    assert_eq!(types(&pair.b)[0], "order");
    assert_eq!(menus(&pair).len(), 1);
    assert_eq!(menus(&pair)[0].get("prices_by_buyer"), None);
}

#[test]
fn who_says_to_be_another_sees_its_prices_and_cannot_order_at_them() {
    let hello = format!(
        "{{\"message_type\":\"hello\",\"data\":{{\"versions\":[\"SDPP/1\"],\"encodings\":[\"json\"],\
         \"buyer\":\"{}\"}},\"signature\":\"\",\"verification\":\"\"}}\n",
        key(9).public()
    );
    let setting = || setting(vec![for_buyer(9, 1)]);
    let greeted = |change: fn(&mut sdpp::message::Order)| {
        let mut pair = setting().start();
        pair.tell(Role::Seller, sdpp::session::Input::Read(hello.as_bytes()));
        while pair.drain_outputs(Role::Seller) {}
        order_under(pair, change)
    };
    let mut pair = greeted(|order| order.price = Some(Amount::new(1)));
    let says = "an item costs 3 in this order by the menu, and 1 by itself";
    ends_with(&mut pair, Role::Buyer, "order_refused", says);
}

#[test]
fn an_order_at_another_price_than_the_menus_is_refused() {
    type Case = (fn(&mut sdpp::message::Order), &'static str);
    let cases: [Case; 3] = [
        (|o| o.price = Some(Amount::new(1)), "costs 2 in this order by the menu, and 1"),
        // As whoever does not know special prices orders.
        (|o| o.price = None, "costs 2 in this order by the menu, and 3"),
        (|o| o.order_quantity = Some(5), "costs 3 in this order by the menu, and 2"),
    ];
    for (change, says) in cases {
        let mut pair = order_under(setting(vec![from_quantity(6, 2)]).start(), change);
        ends_with(&mut pair, Role::Buyer, "order_refused", says);
        assert!(pair.s.records.is_empty());
    }
}
