//! Stories of fees on a real chain: what is offered, when it is raised, and what the ceiling lets
//! through.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{Anvil, evidence, key, settings, signed, transfer};
use sdpp_ledger::{Amount, Call, Finality, Ledger, LedgerError, Signed};
use sdpp_ledger_ethereum::EthereumLedger;
use serde_json::{Value, json};

const GWEI: u128 = 1_000_000_000;

async fn with_ceiling(url: String, ceiling: u128) -> EthereumLedger {
    let mut settings = settings(&[url], 1);
    settings.fee_ceiling = Amount::new(ceiling);
    EthereumLedger::connect(settings, key(0)).await.unwrap()
}

async fn base_fee(anvil: &Anvil, wei: u128) {
    anvil.ask("anvil_setNextBlockBaseFeePerGas", json!([format!("0x{wei:x}")])).await;
    anvil.mine(1).await;
}

/// A number of what was signed, as the chain tells it.
async fn told(anvil: &Anvil, signed: &Signed, name: &str) -> u128 {
    let tx = anvil.ask("eth_getTransactionByHash", json!([signed.tx])).await;
    hex_number(&tx[name])
}

fn hex_number(value: &Value) -> u128 {
    u128::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// The ceiling that an error asks for.
fn ceiling_named(error: &LedgerError) -> u128 {
    let text = error.to_string();
    let (_, least) =
        text.rsplit_once("set fee_ceiling to at least ").unwrap_or_else(|| panic!("{text}"));
    least.parse().unwrap()
}

async fn lands(anvil: &Anvil, ledger: &EthereumLedger, signed: &Signed) {
    ledger.submit(signed).await.unwrap();
    anvil.mine(1).await;
    evidence(ledger, signed).await;
}

#[tokio::test]
async fn what_covers_the_price_is_never_raised_and_what_does_not_is() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = with_ceiling(anvil.url(), 100 * GWEI).await;
    let first = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&first).await.unwrap();
    let mut variants = vec![first];
    for _ in 0..8 {
        assert_eq!(ledger.raise(&variants).await, Ok(None), "the price is what it was");
    }
    for price in [5, 20, 80] {
        base_fee(&anvil, price * GWEI).await;
        variants.extend(ledger.raise(&variants).await.unwrap());
    }
    assert_eq!(variants.len(), 3, "each raise looks further ahead: {variants:?}");
    lands(&anvil, &ledger, variants.last().unwrap()).await;
    assert_eq!(ledger.finality(&variants[0]).await, Ok(Finality::Replaced));
}

#[tokio::test]
async fn under_a_low_ceiling_there_is_room_for_a_raise_or_a_cancellation() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = with_ceiling(anvil.url(), 2_500_000_000).await;
    let first = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&first).await.unwrap();
    let nothing = ledger.cancel(std::slice::from_ref(&first)).await.unwrap();
    lands(&anvil, &ledger, &nothing).await;
    assert!(told(&anvil, &nothing, "maxFeePerGas").await <= 2_500_000_000);

    base_fee(&anvil, GWEI).await;
    let first = signed(&ledger, &Call::Transfer(transfer(7, 2))).await;
    base_fee(&anvil, 1_450_000_000).await;
    let second = ledger.raise(std::slice::from_ref(&first)).await.unwrap().unwrap();
    lands(&anvil, &ledger, &second).await;
}

#[tokio::test]
async fn what_does_not_fit_under_the_ceiling_names_the_one_that_it_takes() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = with_ceiling(anvil.url(), 100 * GWEI).await;
    let first = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&first).await.unwrap();
    let variants = [first];
    let max = told(&anvil, &variants[0], "maxFeePerGas").await;
    // The operator set a lower one.
    let lower = with_ceiling(anvil.url(), max).await;
    let error = lower.cancel(&variants).await.unwrap_err();
    assert!(matches!(&error, LedgerError::Refused { code, .. } if code == "FeeCeiling"), "{error}");
    let named = ceiling_named(&error);
    assert!(with_ceiling(anvil.url(), named - 1).await.cancel(&variants).await.is_err());
    with_ceiling(anvil.url(), named).await.cancel(&variants).await.unwrap();

    base_fee(&anvil, max).await;
    let error = lower.raise(&variants).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
    let raised = with_ceiling(anvil.url(), ceiling_named(&error)).await.raise(&variants).await;
    assert!(matches!(raised, Ok(Some(_))), "{raised:?}");
    let error = sdpp_ledger::prepare(&lower, 1, &Call::Transfer(transfer(1, 2))).await.unwrap_err();
    let enough = with_ceiling(anvil.url(), ceiling_named(&error)).await;
    sdpp_ledger::prepare(&enough, 1, &Call::Transfer(transfer(1, 2))).await.unwrap();
}

#[tokio::test]
async fn a_cancellation_is_raised_when_the_price_passes_it() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = with_ceiling(anvil.url(), 100 * GWEI).await;
    let mut variants = vec![signed(&ledger, &Call::Transfer(transfer(7, 1))).await];
    ledger.submit(&variants[0]).await.unwrap();
    variants.push(ledger.cancel(&variants).await.unwrap());
    assert_eq!(ledger.raise(&variants).await, Ok(None));
    base_fee(&anvil, 30 * GWEI).await;
    let raised = ledger.raise(&variants).await.unwrap().unwrap();
    lands(&anvil, &ledger, &raised).await;
    assert_eq!(told(&anvil, &raised, "value").await, 0, "it has no effect");
    assert_eq!(ledger.finality(&variants[0]).await, Ok(Finality::Replaced));
}

#[tokio::test]
async fn a_cancellation_has_the_gas_that_the_chain_asks_for() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = with_ceiling(proxy.url(), 100 * GWEI).await;
    let first = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    // A chain on which even nothing costs half a million.
    proxy.next("eth_estimateGas", Fault::Altered("0x5208".to_owned(), "0x7a120".to_owned()));
    let nothing = ledger.cancel(std::slice::from_ref(&first)).await.unwrap();
    ledger.submit(&nothing).await.unwrap();
    assert_eq!(told(&anvil, &nothing, "gas").await, 625_000);
}

#[tokio::test]
async fn a_call_has_a_quarter_more_gas_than_it_took_when_it_was_tried() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = with_ceiling(anvil.url(), 100 * GWEI).await;
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&sent).await.unwrap();
    let tx = anvil.ask("eth_getTransactionByHash", json!([sent.tx])).await;
    let call =
        json!({ "from": tx["from"], "to": tx["to"], "value": tx["value"], "data": tx["input"] });
    let tried = hex_number(&anvil.ask("eth_estimateGas", json!([call])).await);
    assert_eq!(told(&anvil, &sent, "gas").await, tried + tried / 4);
}

#[tokio::test]
async fn a_tip_is_bounded_whatever_a_node_says() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = with_ceiling(proxy.url(), 10_000 * GWEI).await;
    let absurd = "\"result\":{\"reward\":[[\"0xffffffffffffffffff\"]]},\"was\":";
    proxy.next("eth_feeHistory", Fault::Altered("\"result\":".to_owned(), absurd.to_owned()));
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&sent).await.unwrap();
    assert_eq!(proxy.waiting(), 0);
    assert_eq!(told(&anvil, &sent, "maxPriorityFeePerGas").await, 100 * GWEI);
}
