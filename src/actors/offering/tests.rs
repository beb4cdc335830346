#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use serde_json::json;

const NOW_MS: u64 = 1_700_000_000_000;

/// A menu with one currency beside the default one, whose prices are of 1,000 units.
fn menu() -> Menu {
    let account = "0x00000000000000000000000000000000000000aa";
    let offer = |currency: &str| {
        json!({
            "currency": currency, "symbol": currency, "decimals": 6, "ledger": "sdpp:story",
            "asset": "coin", "method": "transfer", "payment_address": account,
            "rate": { "numerator": "1", "denominator": "1" }, "finality": "final",
        })
    };
    let key = sdpp_ledger::Key::from_bytes(&[1; 32]).unwrap().public();
    serde_json::from_value(json!({
        "versions": [], "encodings": [], "public_key": key,
        "challenge": format!("0x{}", "0".repeat(64)),
        "available_data": { "gas": null }, "prices": { "gas": "1000" }, "units": {},
        "default_currency": "SDP", "currencies_accepted": [offer("SDP"), offer("EUR")],
        "payment_granularity": 10, "credit_windows": 2, "payment_address": account,
        "signature_required": true, "records": null, "expires_at": "2023-11-14T22:13:20Z",
    }))
    .unwrap()
}

fn rate(numerator: u128, denominator: u128) -> Rate {
    Rate { numerator: Amount::new(numerator), denominator: Amount::new(denominator) }
}

#[test]
fn a_quote_is_offered_until_it_expires_and_no_millisecond_longer() {
    let quote = rates::fixed(rate(2, 1), NOW_MS, 5_000);
    let rated = Ok(quote.clone());
    assert_eq!(told(Some(&rated), NOW_MS + 4_999), Ok(quote.clone()));
    assert!(told(Some(&rated), NOW_MS + 5_000).unwrap_err().contains("was good until"));
    assert!(told(None, NOW_MS).unwrap_err().contains("not asked yet"));
    let why = Err("they differ".to_owned());
    assert_eq!(told(Some(&why), NOW_MS), Err("they differ".to_owned()));

    let mut menu = menu();
    menu.currencies_accepted[1].quote = Some(quote);
    let quoted = |now_ms| {
        let offers = menu.currencies_accepted.iter();
        offers.map(|one| is_quoted(one, now_ms)).collect::<Vec<_>>()
    };
    assert_eq!(quoted(NOW_MS + 4_999), [true, true]);
    assert_eq!(quoted(NOW_MS + 5_000), [true, false]);
    let until = |at_ms| menu.quoted_until(at_ms).0;
    assert_eq!([until(NOW_MS), until(NOW_MS + 9_000)], [NOW_MS, NOW_MS + 5_000]);
}

#[test]
fn a_rate_at_which_a_window_costs_nothing_or_more_than_any_amount_is_not_offered() {
    let mut menu = menu();
    assert_eq!(worth(&menu, &rate(1, 10_000)), Ok(()), "ten items for one unit");
    assert!(worth(&menu, &rate(1, 10_001)).unwrap_err().contains("less than a unit"));
    menu.prices.insert("gas".to_owned(), Amount::new(u128::MAX / 40));
    assert_eq!(worth(&menu, &rate(2, 1)), Ok(()));
    assert!(worth(&menu, &rate(3, 1)).unwrap_err().contains("more than any amount"));
}
