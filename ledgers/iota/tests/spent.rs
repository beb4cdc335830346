//! Somebody else spends what a transaction was to live on: it is shown to be dead, or nothing is
//! said of it. Never is it called dead on the word of a node alone.

#![allow(clippy::unwrap_used, reason = "a test may panic in what it shares, too")]

mod rig;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iota_sdk_types::{TransactionEffects, Version};
use rig::{Liar, Network, Stranger, assert_away, coins_of, gas_of, landed};
use sdpp_iota_double::{Fault, GenesisCoin, Options};
use sdpp_ledger::{Amount, Finality, Key, Ledger, Payments, Signed};
use sdpp_ledger_iota::{IotaLedger, Scheme};
use serde_json::{Value, json};

const EXECUTE: &str = "iota_executeTransactionBlock";

async fn network() -> Network {
    Network::double(Options::default(), Scheme::Ed25519).await
}

/// Something prepared by an account with coins, and a wallet with the same key.
async fn prepared(network: &Network) -> (IotaLedger, Signed, Stranger) {
    let key = rig::fresh_key();
    let payer = network.payer().signed_by(key.clone());
    payer.fund(&network.faucet).await.unwrap();
    let signed = payer.transfer(0, &network.transfer(1_000)).await.unwrap();
    (payer, signed, Stranger::with(network, &key))
}

/// The wallet merges the coins away that something signed lives on, into another.
async fn merged_away(network: &Network, wallet: &Stranger, signed: &Signed) -> Signed {
    wallet.ledger.note_live(std::slice::from_ref(signed));
    let other = wallet.ledger.transfer(1, &network.transfer(2_000)).await.unwrap();
    let merging = wallet.merging(&other, coins_of(signed));
    wallet.lands(&merging).await;
    merging
}

/// What can never land is taken for sent, and then found dead.
async fn assert_dead(payer: &IotaLedger, signed: &Signed) {
    payer.submit(signed).await.unwrap();
    assert_eq!(payer.finality(signed).await.unwrap(), Finality::Replaced);
}

async fn assert_unproved(payer: &IotaLedger, signed: &Signed) {
    assert_away(payer.finality(signed).await, "unproved: coin 0x");
    assert_away(payer.submit(signed).await, "unproved: coin 0x");
}

#[tokio::test]
async fn what_lived_on_a_coin_that_was_merged_away_is_dead() {
    let network = network().await;
    let (payer, signed, wallet) = prepared(&network).await;
    merged_away(&network, &wallet, &signed).await;
    let gone = network.asked("iota_getObject", json!([gas_of(&signed)[0], {}])).await;
    assert_eq!(gone["error"]["code"], "deleted", "{gone}");
    assert_dead(&payer, &signed).await;
    // Some never say that a coin is gone.
    let message = "Transaction timed out before reaching finality".to_owned();
    network.of_ours().arm(Fault::Refuse { code: -32050, message }.always().on(EXECUTE));
    assert_dead(&payer, &signed).await;
    assert_eq!(network.of_ours().tally().strange, Vec::<String>::new());
}

#[tokio::test]
async fn what_merged_a_coin_away_and_is_in_no_checkpoint_yet_proves_nothing() {
    let network = network().await;
    let (payer, signed, wallet) = prepared(&network).await;
    wallet.ledger.note_live(std::slice::from_ref(&signed));
    let other = wallet.ledger.transfer(1, &network.transfer(2_000)).await.unwrap();
    network.of_ours().hold_checkpoints(true);
    wallet.ledger.submit(&wallet.merging(&other, coins_of(&signed))).await.unwrap();
    assert_away(payer.submit(&signed).await, "Could not find the referenced object");
    assert_eq!(payer.finality(&signed).await.unwrap(), Finality::Unknown);
    network.of_ours().hold_checkpoints(false);
    assert_dead(&payer, &signed).await;
}

/// What merged it away left one of our coins behind, which may have been spent since.
#[tokio::test]
async fn a_node_without_an_index_shows_it_by_the_coins_that_are_left() {
    for spent_since in 0..3_u128 {
        let network = network().await;
        network.of_ours().forget_index(true);
        let (payer, signed, wallet) = prepared(&network).await;
        merged_away(&network, &wallet, &signed).await;
        wallet.ledger.note_live(&[]);
        for nth in 0..spent_since {
            let next = wallet.ledger.transfer(2, &network.transfer(3_000 + nth)).await.unwrap();
            wallet.lands(&next).await;
            wallet.ledger.note_live(&[]);
        }
        assert_dead(&payer, &signed).await;
    }
}

#[tokio::test]
async fn where_a_node_does_not_tell_what_spent_a_coin_it_is_unproved() {
    let network = network().await;
    let (payer, signed, wallet) = prepared(&network).await;
    let merging = merged_away(&network, &wallet, &signed).await;
    network.of_ours().hide(merging.tx.as_ref().unwrap().as_str().parse().unwrap());
    assert_unproved(&payer, &signed).await;
    network.of_ours().remember_all();
    assert_dead(&payer, &signed).await;
    // Of the newest checkpoint nothing is pruned.
    network.payee().give(payer.account(), Amount::new(1), &|_| {}).await.unwrap();
    network.of_ours().prune(network.of_ours().height());
    let unknown = network.asked("iota_getObject", json!([gas_of(&signed)[0], {}])).await;
    assert_eq!(unknown["error"]["code"], "notExists", "{unknown}");
    assert_unproved(&payer, &signed).await;
}

/// What merges its own coins away and has landed is told of neither: that is no other's deed.
#[tokio::test]
async fn what_merged_its_own_coins_away_is_never_dead() {
    let (network, payer, key) = scattered(12).await;
    let signed = payer.transfer(0, &network.transfer(80_000_000)).await.unwrap();
    payer.submit(&signed).await.unwrap();
    landed(&payer, &signed).await;
    network.of_ours().hide(signed.tx.as_ref().unwrap().as_str().parse().unwrap());
    assert_away(payer.finality(&signed).await, "has landed");
    let next = Stranger::with(&network, &key).ledger.transfer(1, &network.transfer(1_000)).await;
    payer.submit(&next.unwrap()).await.unwrap();
    assert_away(payer.finality(&signed).await, "has landed");
    network.of_ours().remember_all();
    landed(&payer, &signed).await;
}

/// A network with an account that has so many coins of 10,000,000 NANOS.
async fn scattered(coins: u64) -> (Network, IotaLedger, Key) {
    let key = rig::fresh_key();
    let address = rig::address_of(&key);
    let coins = (0..coins).map(|number| GenesisCoin::new(address, 10_000_000, number)).collect();
    let options = Options { coins, ..Options::default() };
    let network = Network::double(options, Scheme::Ed25519).await;
    let payer = network.payer().signed_by(key.clone());
    (network, payer, key)
}

/// More than a node tells of at once: the one that it names in its refusal is looked at first.
#[tokio::test]
async fn the_one_coin_that_was_spent_may_be_any_of_many() {
    let (network, payer, key) = scattered(56).await;
    let signed = payer.transfer(0, &network.transfer(530_000_000)).await.unwrap();
    let coins = coins_of(&signed);
    assert!(coins.len() > 53, "it lives on {} coins only", coins.len());
    let wallet = Stranger::with(&network, &key);
    let small = wallet.ledger.transfer(0, &network.transfer(1_000)).await.unwrap();
    let spending = wallet.rewritten(&small, |body| {
        body.gas_payment.objects = vec![coins[53]];
        body.gas_payment.budget = 5_000_000;
    });
    wallet.changed(&spending, |made| made.commands.truncate(2));
    wallet.lands(&spending).await;
    let requests = || network.of_ours().tally().requests;
    let looked = || requests().get("iota_multiGetObjects").copied().unwrap_or(0);
    let before = looked();
    payer.submit(&signed).await.unwrap();
    assert_eq!(looked(), before + 1);
    assert_eq!(payer.finality(&signed).await.unwrap(), Finality::Replaced);
    assert_eq!(looked(), before + 3);
}

/// A node may make up all that it tells, but for what we have signed ourselves: nothing that lives
/// on a coin of ours, and no signature of ours under it.
#[tokio::test]
async fn what_a_node_makes_up_about_a_spender_is_not_believed() {
    let network = network().await;
    let liar = Liar::start(network.of_ours().url()).await;
    let key = rig::fresh_key();
    let settings = sdpp_ledger_iota::Settings {
        endpoint: liar.url.parse().unwrap(),
        ..network.settings.clone()
    };
    let payer = IotaLedger::connect(settings, key.clone()).await.unwrap();
    payer.fund(&network.faucet).await.unwrap();
    let wallet = Stranger::with(&network, &key);
    let earlier = wallet.ledger.transfer(0, &network.transfer(5)).await.unwrap();
    wallet.lands(&earlier).await;
    let signed = payer.transfer(0, &network.transfer(1_000)).await.unwrap();
    let stranger = Stranger::funded(&network).await;
    let its_own = stranger.ledger.transfer(0, &network.transfer(7)).await.unwrap();
    let on_our_coin = |body: &mut iota_sdk_types::TransactionV1| {
        body.gas_payment.objects = coins_of(&signed);
    };
    let lies = [
        (
            "something that we did not sign",
            stranger.rewritten(&signed, |body| {
                body.gas_payment.budget += 1;
            }),
            "did not sign",
        ),
        ("something of somebody else's", stranger.rewritten(&its_own, on_our_coin), "did not sign"),
        ("something that lives on another coin", earlier, "unproved"),
    ];
    for (what, made_up, words) in lies {
        liar.invent(spender_is(&network, &made_up, &signed).await);
        let told = payer.finality(&signed).await;
        assert!(told.is_err(), "it was told of {what}, and believes {told:?}");
        assert_away(told, words);
    }
    liar.invent(|_, _| None);
    payer.submit(&signed).await.unwrap();
    landed(&payer, &signed).await;
}

/// Tells that something spent the coins of something signed, and stands in the newest checkpoint.
async fn spender_is(
    network: &Network,
    made_up: &Signed,
    signed: &Signed,
) -> impl Fn(&str, &Value) -> Option<Value> + Send + use<> {
    let (_, real) = network.paid(1).await;
    let shown = json!([real.tx, { "showRawInput": true, "showRawEffects": true }]);
    let mut block = network.asked("iota_getTransactionBlock", shown).await;
    let mut checkpoint = network.asked("iota_getCheckpoint", json!([block["checkpoint"]])).await;
    let digest = made_up.tx.as_ref().unwrap().as_str().to_owned();
    let effects: Vec<u8> = serde_json::from_value(block["rawEffects"].clone()).unwrap();
    let mut effects = TransactionEffects::from_bcs(&effects).unwrap().into_opt_v1().unwrap();
    let coin = coins_of(signed)[0];
    effects.transaction_digest = digest.parse().unwrap();
    effects.lamport_version = Version::from_u64(coin.version.as_u64() + 1);
    effects.dependencies.clear();
    for changed in &mut effects.changed_objects {
        changed.object_id = coin.object_id;
    }
    block["digest"] = json!(digest);
    block["rawTransaction"] = json!(STANDARD.encode(&made_up.raw));
    block["rawEffects"] = json!(bcs::to_bytes(&TransactionEffects::V1(Box::new(effects))).unwrap());
    checkpoint["transactions"] = json!([digest]);
    move |method, params| match method {
        "iota_multiGetObjects" => {
            let ids = params[0].as_array().unwrap().iter();
            let spent = |id: &Value| {
                json!({ "data": {
                    "objectId": id,
                    "version": (coin.version.as_u64() + 1).to_string(),
                    "digest": coin.digest.to_string(),
                    "previousTransaction": digest,
                } })
            };
            Some(ids.map(spent).collect())
        }
        "iota_getTransactionBlock" if params[0] == digest.as_str() => Some(block.clone()),
        "iota_getCheckpoint" => Some(checkpoint.clone()),
        _ => None,
    }
}
