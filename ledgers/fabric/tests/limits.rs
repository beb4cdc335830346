//! Stories of promises that are prepared and not yet on the ledger: they count as owed, once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use rig::{IOUS, MONEY, Market, connected, is_refused, settings, signed, transfer, with_ious};
use sdpp_ledger::{Call, Ledger, prepare};

#[tokio::test]
async fn promises_that_are_prepared_count_as_owed_and_once_only() {
    let Some(market) = Market::open().await else { return };
    let settings = with_ious(settings(&market.gateway, "buyer"), MONEY, 100, &[]);
    let buyer = connected(settings).await;
    let owe = |units| Call::Transfer(transfer(market.seller.account(), IOUS, units));
    let first = signed(&buyer, &owe(60)).await;
    buyer.note_live(std::slice::from_ref(&first));
    is_refused(&prepare(&buyer, 1, &owe(41)).await, "InsufficientFunds");
    let second = signed(&buyer, &owe(40)).await;
    // What has landed and has not ended yet stands on the ledger too.
    buyer.submit(&first).await.unwrap();
    buyer.note_live(std::slice::from_ref(&first));
    signed(&buyer, &owe(40)).await;
    buyer.note_live(&[first, second]);
    is_refused(&prepare(&buyer, 2, &owe(1)).await, "InsufficientFunds");
    // What was prepared and came to nothing is owed no more.
    buyer.note_live(&[]);
    signed(&buyer, &owe(40)).await;
}

#[tokio::test]
async fn what_is_owed_already_is_prepared_again_without_owing_it_twice() {
    let Some(market) = Market::open().await else { return };
    let settings = with_ious(settings(&market.gateway, "buyer"), MONEY, 100, &[]);
    let buyer = connected(settings).await;
    let call = Call::Transfer(transfer(market.seller.account(), IOUS, 100));
    let tx = buyer.submit(&signed(&buyer, &call).await).await.unwrap();
    let again = signed(&buyer, &call).await;
    assert_eq!(buyer.submit(&again).await.unwrap(), tx);
    let Call::Transfer(made) = call else { panic!("a transfer") };
    let other = Call::Transfer(sdpp_ledger::Transfer { to: somebody_else(&market), ..made });
    is_refused(&prepare(&buyer, 1, &other).await, "InsufficientFunds");
}

/// Another account than that which was promised something.
fn somebody_else(market: &Market) -> sdpp_ledger::Account {
    let account = market.seller.account().as_str();
    let (msp, digits) = account.split_once(':').unwrap();
    format!("{msp}:{}", digits.chars().rev().collect::<String>()).parse().unwrap()
}
