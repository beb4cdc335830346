//! Rates with evidence: what an invoice says of its rate is what the menu quoted.

use crate::liars::{ends_with, lie};
use crate::pair::*;
use sdpp::message::{DataInvoice, Menu, Moment, Quote, Quoted};
use sdpp::record::End;
use sdpp::terms::{Method, Rate};
use sdpp_ledger::Amount;
use serde_json::{Value, json};

fn rate(numerator: u128, denominator: u128) -> Rate {
    Rate { numerator: Amount::new(numerator), denominator: Amount::new(denominator) }
}

/// Three sources, of which the one in the middle says 7 for 3.
fn quote() -> Quote {
    let at = Moment(START_MS - 5_000);
    let said = |source: &str, rate| Quoted { source: source.to_owned(), rate, at };
    let sources = vec![
        said("one.example", rate(9, 3)),
        said("two.example", rate(7, 3)),
        said("three.example", rate(2, 1)),
    ];
    Quote { sources, at, expires_at: Moment(START_MS + 60_000) }
}

/// `DLR` is what prices are in, `SDP` is paid at 7 for 3.
fn setting() -> Setting {
    let mut setting = Setting::default().anchored_after().no_records().order("co2", Some(6));
    setting.menu.default_currency = "DLR".to_owned();
    for offer in &mut setting.menu.currencies_accepted {
        (offer.rate, offer.quote) = (rate(7, 3), Some(quote()));
    }
    setting
}

fn rates(pair: &Pair) -> Vec<Value> {
    let invoices = sent(&pair.s).into_iter().filter(|m| m["message_type"] == "data_invoice");
    invoices.map(|m| m["data"]["invoice"]["rate"].clone()).collect()
}

#[test]
fn an_invoice_in_another_currency_than_the_default_names_rate_and_sources() {
    for setting in [setting(), setting().by_escrow()] {
        let mut pair = setting.start();
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert_eq!(pair.s.progress().paid, Amount::new(70));
        for said in rates(&pair) {
            assert_eq!((&said["numerator"], &said["denominator"]), (&json!("7"), &json!("3")));
            assert_eq!(said["quote"], serde_json::to_value(quote()).unwrap());
        }
    }
}

#[test]
fn an_invoice_in_the_default_currency_names_none() {
    let mut pair = Setting::default().start();
    pair.run();
    assert!(rates(&pair).iter().all(Value::is_null));
}

#[test]
fn an_invoice_with_another_rate_or_other_sources_is_refused() {
    let cases: [fn(&mut Value); 3] = [
        |m| m["invoice"]["rate"]["numerator"] = json!("8"),
        |m| m["invoice"]["rate"]["quote"]["sources"][0]["source"] = json!("other.example"),
        |m| m["invoice"]["rate"]["quote"] = json!(null),
    ];
    for change in cases {
        let mut pair = lie::<DataInvoice>(setting(), Role::Seller, change);
        ends_with(&mut pair, Role::Seller, "bad_invoice", "its rate");
    }
    let unasked =
        |m: &mut Value| m["invoice"]["rate"] = json!({"numerator": "1", "denominator": "1"});
    let mut pair = lie::<DataInvoice>(Setting::default(), Role::Seller, unasked);
    ends_with(&mut pair, Role::Seller, "bad_invoice", "its rate");
}

/// Sellers of an earlier version say nothing of it.
#[test]
fn an_invoice_that_names_no_rate_is_taken() {
    let silent = |m: &mut Value| m["invoice"]["rate"] = json!(null);
    let pair = lie::<DataInvoice>(setting(), Role::Seller, silent);
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
}

#[test]
fn a_rate_that_its_quote_does_not_make_is_passed_over() {
    type Case = (fn(&mut Quote), &'static str);
    let cases: [Case; 3] = [
        (|quote| quote.sources.truncate(1), "a rate that its quote does not make"),
        (|quote| quote.sources.clear(), "a rate that its quote does not make"),
        (|quote| quote.sources[1].rate.denominator = Amount::ZERO, "its quote does not make"),
    ];
    for (spoil, says) in cases {
        let mut only = setting();
        let mut both = setting();
        both.wish.currencies = vec![pinned(Method::Transfer), pinned(Method::Escrow)];
        for setting in [&mut only, &mut both] {
            let offer = &mut setting.menu.currencies_accepted[0];
            spoil(offer.quote.as_mut().unwrap());
        }
        let mut pair = only.start();
        pair.run();
        assert!(pair.b.why().contains(says), "{}", pair.b.why());
        let mut pair = both.start();
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert!(pair.transferred() == Amount::ZERO, "the next in common is taken");
    }
}

/// An honest seller's menu is good no longer than its quotes.
#[test]
fn a_quote_that_is_no_longer_offered_is_not_ordered_at() {
    let old = |m: &mut Value| {
        let quote = &mut m["currencies_accepted"][0]["quote"];
        quote["expires_at"] = serde_json::to_value(Moment(START_MS - 2_000)).unwrap();
    };
    let pair = lie::<Menu>(setting(), Role::Seller, old);
    assert!(pair.b.why().contains("a quote that was good until"), "{}", pair.b.why());
}
