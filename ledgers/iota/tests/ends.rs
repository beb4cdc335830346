//! How something that was signed ends, whatever happens in between: once, or provably never.

#![allow(clippy::unwrap_used, reason = "a test may panic in what it shares, too")]

mod rig;

use iota_sdk_types::TransactionDigest;
use rig::{Liar, Network, assert_away, assert_refused, gas_of, landed};
use sdpp_iota_double::{Fault, Options};
use sdpp_ledger::{Amount, Claim, Finality, Key, Ledger, Payments, Signed};
use sdpp_ledger_iota::{IotaLedger, Scheme, Settings};

const EXECUTE: &str = "iota_executeTransactionBlock";

async fn network() -> Network {
    Network::double(Options::default(), Scheme::Ed25519).await
}

/// The same account in another process.
fn elsewhere(network: &Network, key: Key) -> IotaLedger {
    network.payer().signed_by(key)
}

#[tokio::test]
async fn an_answer_that_is_lost_is_found_by_asking() {
    let network = network().await;
    let signed = network.prepared(1_000).await;
    network.of_ours().arm(Fault::Lost.once().on(EXECUTE));
    let told = network.payer().submit(&signed).await.unwrap();
    assert_eq!(Some(told), signed.tx);
    let first = landed(network.payer(), &signed).await;
    network.payer().submit(&signed).await.unwrap();
    assert_eq!(landed(network.payer(), &signed).await, first, "the same bytes take effect once");
    assert_eq!(network.of_ours().tally().executed, 1);
}

#[tokio::test]
async fn what_never_arrived_is_unknown_and_lands_when_it_is_sent_again() {
    let network = network().await;
    let signed = network.prepared(1_000).await;
    network.of_ours().arm(Fault::Dropped.once().on(EXECUTE));
    assert_away(network.payer().submit(&signed).await, "connection");
    assert_eq!(network.payer().finality(&signed).await.unwrap(), Finality::Unknown);
    network.payer().submit(&signed).await.unwrap();
    landed(network.payer(), &signed).await;
}

#[tokio::test]
async fn executed_is_not_final_before_it_stands_in_a_checkpoint() {
    let network = network().await;
    network.of_ours().hold_checkpoints(true);
    let transfer = network.transfer(1_000);
    let signed = network.payer().transfer(0, &transfer).await.unwrap();
    let tx = network.payer().submit(&signed).await.unwrap();
    let pending = Finality::Pending(None);
    assert_eq!(network.payer().finality(&signed).await.unwrap(), pending);
    let claim = Claim { tx, transfer };
    assert_eq!(network.payee().paid(&claim).await.unwrap(), pending);
    network.of_ours().hold_checkpoints(false);
    landed(network.payer(), &signed).await;
    let paid = network.payee().paid(&claim).await.unwrap();
    assert!(matches!(paid, Finality::Final(_)), "{paid:?}");
}

/// Two processes with one key, which is forbidden, and which is how a coin is spent elsewhere.
async fn outrun(network: &Network, key: Key, times: u128) -> Signed {
    let other = elsewhere(network, key);
    let signed = network.payer().transfer(0, &network.transfer(1_000)).await.unwrap();
    for nth in 0..times {
        let faster = other.transfer(0, &network.transfer(2_000 + nth)).await.unwrap();
        other.submit(&faster).await.unwrap();
        landed(&other, &faster).await;
        other.note_live(&[]);
    }
    signed
}

/// A network whose payer has this one key and one coin.
async fn with_one_coin() -> (Network, Key) {
    let key = rig::fresh_key();
    let mut network = network().await;
    let payer = network.payer().signed_by(key.clone());
    network.settings.coins = 1;
    let payer = {
        network.payer().give(payer.account(), Amount::new(1_000_000_000), &|_| {}).await.unwrap();
        IotaLedger::connect(network.settings.clone(), key.clone()).await.unwrap()
    };
    network.ledgers[0] = payer;
    (network, key)
}

#[tokio::test]
async fn what_can_never_land_is_dead_once_another_is_shown_to_have_spent_its_coin() {
    for times in [1, 4] {
        let (network, key) = with_one_coin().await;
        let signed = outrun(&network, key, times).await;
        // No refusal: it is asked next how final it is, maybe of a node that is behind.
        network.payer().submit(&signed).await.unwrap();
        let finality = network.payer().finality(&signed).await.unwrap();
        assert_eq!(finality, Finality::Replaced, "after {times} others");
    }
}

#[tokio::test]
async fn what_spent_its_coin_and_is_in_no_checkpoint_yet_proves_nothing() {
    let (network, key) = with_one_coin().await;
    let other = elsewhere(&network, key);
    let signed = network.prepared(1_000).await;
    let faster = other.transfer(0, &network.transfer(2_000)).await.unwrap();
    network.of_ours().hold_checkpoints(true);
    other.submit(&faster).await.unwrap();
    assert_away(network.payer().submit(&signed).await, "issues with transaction inputs");
    assert_eq!(network.payer().finality(&signed).await.unwrap(), Finality::Unknown);
    network.of_ours().hold_checkpoints(false);
    landed(&other, &faster).await;
    assert_eq!(network.payer().finality(&signed).await.unwrap(), Finality::Replaced);
}

#[tokio::test]
async fn what_was_executed_and_pruned_is_not_taken_for_dead() {
    let (network, _) = with_one_coin().await;
    let signed = network.prepared(1_000).await;
    network.payer().submit(&signed).await.unwrap();
    landed(network.payer(), &signed).await;
    // Of the newest checkpoint nothing is pruned.
    network.payee().give(network.payer().account(), Amount::new(1), &|_| {}).await.unwrap();
    network.of_ours().prune(network.of_ours().height());
    assert_away(network.payer().finality(&signed).await, "has landed");
}

#[tokio::test]
async fn what_has_landed_and_is_not_told_of_yet_is_never_dead() {
    let (network, key) = with_one_coin().await;
    let other = elsewhere(&network, key);
    let signed = network.prepared(1_000).await;
    network.payer().submit(&signed).await.unwrap();
    let digest: TransactionDigest = signed.tx.as_ref().unwrap().as_str().parse().unwrap();
    network.of_ours().hide(digest);
    assert_away(network.payer().finality(&signed).await, "has landed");
    let next = other.transfer(0, &network.transfer(1_000)).await.unwrap();
    other.submit(&next).await.unwrap();
    landed(&other, &next).await;
    assert_away(network.payer().finality(&signed).await, "has landed");
    network.of_ours().remember_all();
    landed(network.payer(), &signed).await;
}

#[tokio::test]
async fn a_locked_coin_is_waited_for_until_the_epoch_ends() {
    let network = network().await;
    let signed = network.prepared(1_000).await;
    for coin in gas_of(&signed) {
        assert!(network.of_ours().lock(coin));
    }
    assert_away(network.payer().submit(&signed).await, "reserved for another transaction");
    assert_eq!(network.payer().finality(&signed).await.unwrap(), Finality::Unknown);
    network.of_ours().end_epoch();
    network.payer().submit(&signed).await.unwrap();
    landed(network.payer(), &signed).await;
}

#[tokio::test]
async fn bytes_that_are_not_ours_are_never_sent() {
    let network = network().await;
    let signed = network.prepared(1_000).await;
    assert_refused(network.payee().submit(&signed).await, "Malformed");
    let mut other = network.prepared(2_000).await;
    other.tx = signed.tx.clone();
    assert_refused(network.payer().submit(&other).await, "Malformed");
    let cut = Signed { raw: signed.raw[1..].to_vec(), ..signed };
    assert_refused(network.payer().submit(&cut).await, "Malformed");
    assert_eq!(network.of_ours().tally().requests.get(EXECUTE), None);
}

/// A payer who knows of the prices that a liar tells, with one coin of so much.
async fn with_a_price(
    network: &Network,
    liar: &Liar,
    coins: usize,
    nanos: u128,
) -> (IotaLedger, IotaLedger) {
    let endpoint = liar.url.parse().unwrap();
    let fee_ceiling = Amount::new(200_000_000);
    let settings = Settings { coins, endpoint, fee_ceiling, ..network.settings.clone() };
    let key = rig::fresh_key();
    let payer = IotaLedger::connect(settings, key.clone()).await.unwrap();
    network.payer().give(payer.account(), Amount::new(nanos), &|_| {}).await.unwrap();
    (payer, elsewhere(network, key))
}

fn price(liar: &Liar, nanos: &'static str) {
    liar.lie(move |method, result| {
        if method == "iotax_getReferenceGasPrice" {
            *result = serde_json::json!(nanos);
        }
    });
}

#[tokio::test]
async fn what_no_longer_fits_on_its_coins_says_what_a_person_can_do_and_that_helps() {
    let network = network().await;
    let liar = Liar::start(network.of_ours().url()).await;
    let (payer, wallet) = with_a_price(&network, &liar, 1, 6_000_000).await;
    let signed = payer.transfer(0, &network.transfer(1_000)).await.unwrap();
    price(&liar, "5000");
    let told = payer.raise(std::slice::from_ref(&signed)).await;
    let coin = gas_of(&signed)[0].to_hex();
    assert_away(told, &format!("spend coin {coin} with a wallet"));
    let spent = wallet.transfer(0, &network.transfer(1)).await.unwrap();
    assert_eq!(gas_of(&spent), gas_of(&signed));
    wallet.submit(&spent).await.unwrap();
    landed(&wallet, &spent).await;
    assert_eq!(payer.finality(&signed).await.unwrap(), Finality::Replaced, "it is signed anew");
}

#[tokio::test]
async fn what_has_become_dearer_makes_no_coins_where_these_no_longer_fit() {
    let network = network().await;
    let liar = Liar::start(network.of_ours().url()).await;
    let (payer, _) = with_a_price(&network, &liar, 24, 1_000_000_000).await;
    let first = payer.transfer(0, &network.transfer(1_000)).await.unwrap();
    price(&liar, "50000");
    let second = payer.raise(std::slice::from_ref(&first)).await.unwrap().unwrap();
    assert_eq!(gas_of(&second), gas_of(&first), "one of both lands");
    assert!(second.raw.len() < first.raw.len() && second.fee > first.fee);
    payer.submit(&second).await.unwrap();
    let evidence = landed(&payer, &second).await;
    assert_eq!(evidence.amount, Amount::new(1_000));
    assert_eq!(payer.finality(&first).await.unwrap(), Finality::Replaced);
}

#[tokio::test]
async fn what_a_node_calls_too_large_and_is_not_is_sent_again() {
    let network = network().await;
    let signed = network.prepared(1_000).await;
    let message = "Size limit exceeded: serialized transaction size exceeded maximum".to_owned();
    network.of_ours().arm(Fault::Refuse { code: -32002, message }.once().on(EXECUTE));
    assert_away(network.payer().submit(&signed).await, "Size limit exceeded");
    network.payer().submit(&signed).await.unwrap();
    landed(network.payer(), &signed).await;
}

#[tokio::test]
async fn what_is_underpriced_is_offered_again_on_the_same_coins_and_one_of_both_lands() {
    let network = network().await;
    let liar = Liar::start(network.of_ours().url()).await;
    let mut settings = network.settings.clone();
    settings.endpoint = liar.url.parse().unwrap();
    // Little more than the deposits of the coins that the first makes, which cost no more later.
    settings.fee_ceiling = Amount::new(30_000_000);
    let payer = IotaLedger::connect(settings, rig::fresh_key()).await.unwrap();
    payer.fund(&network.faucet).await.unwrap();
    let first = payer.transfer(7, &network.transfer(1_000)).await.unwrap();
    let variants = [first.clone()];
    assert_eq!(payer.raise(&variants).await.unwrap(), None, "the price is what it was");
    liar.lie(|method, result| {
        if method == "iotax_getReferenceGasPrice" {
            *result = serde_json::json!("1500");
        }
    });
    let second = payer.raise(&variants).await.unwrap().unwrap();
    assert_eq!((second.number, gas_of(&second)), (7, gas_of(&first)));
    assert!(second.tx != first.tx && second.fee > first.fee);
    assert_eq!(payer.raise(&[first.clone(), second.clone()]).await.unwrap(), None);
    payer.submit(&second).await.unwrap();
    landed(&payer, &second).await;
    payer.submit(&first).await.unwrap();
    assert_eq!(payer.finality(&first).await.unwrap(), Finality::Replaced);
    liar.lie(|method, result| {
        if method == "iotax_getReferenceGasPrice" {
            *result = serde_json::json!("90000");
        }
    });
    let third = payer.transfer(8, &network.transfer(1)).await;
    assert_away(third, "the ceiling");
}
