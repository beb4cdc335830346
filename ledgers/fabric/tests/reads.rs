//! Stories of what is read from a network: which ledger it is, what a transaction did, who holds
//! what.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use rig::{
    Double, FIRST, Gateway, IOUS, MONEY, Market, anchor, connected, done, id, settings, signed,
    transfer, with_ious,
};
use sdpp_ledger::{Amount, Call, Finality, Ledger, Payments, Transfer};
use sdpp_ledger_fabric::FabricLedger;

/// The channel is told by its own first block: names in a config make no two ledgers one.
#[tokio::test]
async fn two_networks_whose_names_are_the_same_are_two_ledgers() {
    let Some(market) = Market::open().await else { return };
    let other = Double::start(&[]).unwrap();
    let other = connected(settings(&Gateway::of(&other), "buyer")).await;
    let (buyer, seller) = (&market.buyer, &market.seller);
    assert_eq!(buyer.id(), seller.id());
    assert_ne!(buyer.id(), other.id());
    let reference = buyer.id().as_str().strip_prefix("fabric:").unwrap();
    assert!(reference.len() == 32 && reference.bytes().all(|b| b.is_ascii_hexdigit()));
    market.double.faults.restart(0);
    let again = connected(settings(&market.gateway, "buyer")).await;
    assert_eq!(again.id(), buyer.id(), "a gateway that was started again is the same ledger");
    let height = buyer.status().await.unwrap();
    done(buyer, &anchor()).await;
    let now = buyer.status().await.unwrap();
    assert_eq!((now.height, now.depth), (height.height + 1, 1));
}

#[tokio::test]
async fn an_account_is_the_one_that_the_chaincode_knows_us_by() {
    let Some(market) = Market::open().await else { return };
    assert_eq!(market.buyer.account().as_str(), market.double.account("buyer"));
    assert_eq!(market.seller.account().as_str(), market.double.account("seller"));
    assert!(!market.buyer.has_numbers());
    assert_eq!(market.buyer.next_number().await, Ok(0));
    let software = market.buyer.software().await.unwrap();
    assert!(software.contains("sdpp 1.0.0"), "{software}");
}

#[tokio::test]
async fn a_transaction_is_shown_as_what_it_did() {
    let Some(market) = Market::open().await else { return };
    let Market { gateway, buyer, seller, .. } = &market;
    for call in [
        Call::Transfer(market.transfer(MONEY, 12)),
        Call::Transfer(market.transfer(IOUS, 12)),
        anchor(),
    ] {
        let evidence = done(buyer, &call).await;
        let seen = seller.transaction(&evidence.tx).await.unwrap().unwrap();
        assert_eq!(seen.from.as_str(), buyer.account().as_str());
        assert_eq!((seen.tx, seen.call), (evidence.tx.clone(), Some(call)));
        let Finality::Final(told) = seen.finality else { panic!("it is final") };
        assert_eq!(
            (told.tx, told.height, told.block),
            (evidence.tx, evidence.height, evidence.block)
        );
    }
    let minted = id(&gateway.mint("admin", seller.account().as_str(), MONEY, 5).await);
    let seen = seller.transaction(&minted).await.unwrap().unwrap();
    assert_eq!((seen.call, seen.function.as_str()), (None, "Mint"));
    assert_eq!(seen.from.as_str(), market.double.account("admin"));
    assert_eq!(seller.transaction(&id(&"ab".repeat(32))).await, Ok(None));
}

#[tokio::test]
async fn who_is_admin_makes_money_and_who_is_not_pays_it() {
    let Some(market) = Market::open().await else { return };
    let admin = connected(settings(&market.gateway, "admin")).await;
    let (asset, amount) = (MONEY.parse().unwrap(), Amount::new(9));
    for giver in [&admin, &market.buyer] {
        let given = giver.give(market.seller.account(), &asset, amount).await.unwrap();
        assert_eq!(given.amount, amount);
    }
    assert_eq!(market.seller_has().await, FIRST + 18);
    let left = market.buyer.balance(market.buyer.account(), &asset).await.unwrap();
    assert_eq!(left.units(), FIRST - 9);
    let to_us = async |giver: &FabricLedger, asset: &str| {
        giver.give(giver.account(), &asset.parse().unwrap(), amount).await
    };
    assert!(to_us(&admin, MONEY).await.is_ok());
    rig::is_refused(&to_us(&market.buyer, MONEY).await, "NoFaucet");
    rig::is_refused(&to_us(&market.buyer, "coin").await, "Malformed");
}

/// A gift of an operator's is no way around what its account may owe.
#[tokio::test]
async fn who_gives_promises_gives_no_more_than_its_settings_allow() {
    let Some(market) = Market::open().await else { return };
    let settings = with_ious(settings(&market.gateway, "buyer"), MONEY, 100, &[]);
    let buyer = connected(settings).await;
    let seller = market.seller.account();
    let give = async |asset: &str, units| {
        buyer.give(seller, &asset.parse().unwrap(), Amount::new(units)).await
    };
    assert!(give(IOUS, 60).await.is_ok());
    rig::is_refused(&give(IOUS, 41).await, "InsufficientFunds");
    rig::is_refused(&give("iou:hours", 1).await, "InsufficientFunds");
    assert!(give(IOUS, 40).await.is_ok());
    let owed = buyer.ious(buyer.account(), MONEY).await.unwrap().owed.total;
    assert_eq!(owed.units(), 100);
}

/// What an account may still owe goes with what it owes, also what others made of its IOUs.
#[tokio::test]
async fn nobody_owes_more_than_its_settings_allow() {
    let Some(market) = Market::open().await else { return };
    let settings = with_ious(settings(&market.gateway, "buyer"), MONEY, 100, &[]);
    let buyer = connected(settings).await;
    let asset = IOUS.parse().unwrap();
    let can = async || buyer.spendable(&asset).await.unwrap().units();
    assert_eq!(can().await, 100);
    let owe = |units| Call::Transfer(transfer(market.seller.account(), IOUS, units));
    let first = owe(60);
    done(&buyer, &first).await;
    assert_eq!(can().await, 40);
    refused(&buyer, &owe(41)).await;
    let given = buyer.give(market.seller.account(), &asset, Amount::new(41)).await;
    rig::is_refused(&given, "InsufficientFunds");
    done(&buyer, &owe(40)).await;
    assert_eq!(can().await, 0);
    refused(&buyer, &owe(1)).await;
    let ious = market.seller.ious(market.seller.account(), MONEY).await.unwrap();
    assert_eq!((ious.held.count, ious.held.total.units(), ious.held.more), (2, 100, false));
    let held = market.seller.balance(market.seller.account(), &asset).await.unwrap();
    assert_eq!(held.units(), 100);
    // Paid off, it may owe as much again.
    let Call::Transfer(Transfer { reference, .. }) = first else { panic!("a transfer") };
    let args = [&rig::fresh("redeem"), reference.to_string().as_str()].map(str::to_owned);
    market.gateway.submit("buyer", "RedeemIou", &[&args[0], &args[1]]).await;
    assert_eq!(can().await, 60);
    // Of another unit nothing may be owed.
    refused(&buyer, &Call::Transfer(transfer(market.seller.account(), "iou:hours", 1))).await;
}

/// Refused when it is prepared or when it is submitted, and never owed.
async fn refused(ledger: &FabricLedger, call: &Call) {
    let answer = match sdpp_ledger::prepare(ledger, 0, call).await {
        Ok(signed) => ledger.submit(&signed).await.map(drop),
        Err(error) => Err(error),
    };
    rig::is_refused(&answer, "InsufficientFunds");
}

/// Nothing of it is ever asked of the gateway.
#[tokio::test]
async fn what_cannot_be_a_call_here_is_refused_before_it_is_prepared() {
    let Some(market) = Market::open().await else { return };
    let buyer = &market.buyer;
    let good = market.transfer(MONEY, 1);
    let ourselves = Transfer { to: buyer.account().clone(), ..good.clone() };
    let nothing = Transfer { amount: Amount::ZERO, ..good.clone() };
    let coin = Transfer { asset: sdpp_ledger::Asset::coin(), ..good.clone() };
    let nobody = Transfer { to: "bob".parse().unwrap(), ..good.clone() };
    for bad in [ourselves, nothing, coin, nobody] {
        let answer = sdpp_ledger::prepare(buyer, 0, &Call::Transfer(bad.clone())).await;
        assert!(matches!(answer, Err(sdpp_ledger::LedgerError::Refused { .. })), "{bad:?}");
    }
    assert_eq!(signed(buyer, &Call::Transfer(good)).await.tx, None, "the gateway tells it later");
}
