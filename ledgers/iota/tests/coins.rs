//! Coins: as many payments at once as there are coins, and never two on one.

#![allow(clippy::unwrap_used, reason = "a test may panic in what it shares, too")]

mod rig;

use rig::{Liar, Network, assert_away, assert_refused, gas_of, holds, landed};
use sdpp_iota_double::Options;
use sdpp_ledger::{Amount, Anchor, Call, Digest, Ledger, LedgerError, Payments, Records, Signed};
use sdpp_ledger_iota::{IotaLedger, Scheme, Settings};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;

async fn network() -> Network {
    Network::double(Options::default(), Scheme::Ed25519).await
}

/// What is prepared and has not ended, as a journal keeps it.
#[derive(Default)]
struct Outbox {
    live: Vec<Signed>,
    done: usize,
    most: usize,
}

impl Outbox {
    /// Prepares one more if there is a coin for it.
    async fn prepare(&mut self, network: &Network, nanos: u128) -> bool {
        network.payer().note_live(&self.live);
        match network.payer().transfer(0, &network.transfer(nanos)).await {
            Ok(signed) => self.live.push(signed),
            Err(LedgerError::Unavailable { what, .. }) if what.contains("in use") => return false,
            Err(error) => panic!("{error}"),
        }
        self.most = self.most.max(self.live.len());
        true
    }

    /// Sends all that is live at once, and waits until it has ended.
    async fn land(&mut self, network: &Network) {
        let mut landing = JoinSet::new();
        for signed in self.live.drain(..) {
            let payer = network.payer().clone();
            landing.spawn(async move {
                payer.submit(&signed).await.unwrap();
                landed(&payer, &signed).await;
            });
        }
        while let Some(joined) = landing.join_next().await {
            joined.unwrap();
            self.done += 1;
        }
    }
}

#[tokio::test]
async fn fifty_windows_at_once_from_five_coins_are_all_paid_and_none_collide() {
    let network = network().await;
    let before = holds(network.payer(), network.payee().account()).await;
    let mut outbox = Outbox::default();
    while outbox.done + outbox.live.len() < 50 {
        if !outbox.prepare(&network, 1_000_000).await {
            let coins: Vec<_> = outbox.live.iter().flat_map(gas_of).collect();
            let distinct: BTreeSet<_> = coins.iter().collect();
            assert_eq!(coins.len(), distinct.len(), "two rows on one coin");
            outbox.land(&network).await;
        }
    }
    outbox.land(&network).await;
    let got = holds(network.payer(), network.payee().account()).await - before;
    let tally = network.of_ours().tally();
    assert_eq!((got, tally.executed, tally.failed), (50_000_000, 50, 0));
    assert_eq!(tally.conflicts, 0, "nothing was promised twice");
    assert!(outbox.most >= 20, "only {} were on their way at once", outbox.most);
}

#[tokio::test]
async fn what_is_prepared_at_once_lives_on_different_coins() {
    let network = network().await;
    let transfers: Vec<_> = (0..4).map(|_| network.transfer(1_000)).collect();
    let payer = network.payer();
    let prepared = [
        tokio::join!(payer.transfer(0, &transfers[0]), payer.transfer(1, &transfers[1])),
        tokio::join!(payer.transfer(2, &transfers[2]), payer.transfer(3, &transfers[3])),
    ];
    let prepared = prepared.into_iter().flat_map(|(one, other)| [one.unwrap(), other.unwrap()]);
    let coins: Vec<_> = prepared.flat_map(|signed| gas_of(&signed)).collect();
    let distinct: BTreeSet<_> = coins.iter().collect();
    assert_eq!((coins.len(), distinct.len()), (4, 4));
}

#[tokio::test]
async fn a_coin_that_was_spent_is_not_picked_again_where_a_node_lags() {
    let network = network().await;
    let liar = Liar::start(network.of_ours().url()).await;
    let endpoint = liar.url.parse().unwrap();
    let settings = Settings { coins: 1, endpoint, ..network.settings.clone() };
    let payer = IotaLedger::connect(settings, rig::fresh_key()).await.unwrap();
    network.payer().give(payer.account(), Amount::new(1_000_000_000), &|_| {}).await.unwrap();
    let before = network.asked("iotax_getCoins", json!([payer.account()])).await;
    let signed = payer.transfer(0, &network.transfer(1_000)).await.unwrap();
    payer.submit(&signed).await.unwrap();
    landed(&payer, &signed).await;
    payer.note_live(&[]);
    liar.lie(move |method, result| {
        if method == "iotax_getCoins" {
            *result = before.clone();
        }
    });
    assert_away(payer.transfer(1, &network.transfer(1_000)).await, "in use");
    liar.lie(|_, _| {});
    let signed = payer.transfer(1, &network.transfer(1_000)).await.unwrap();
    payer.submit(&signed).await.unwrap();
    landed(&payer, &signed).await;
}

/// Somebody with the same key spends while the faucet sends: no balance ever shows all of it.
#[tokio::test]
async fn what_a_faucet_sent_has_arrived_though_the_balance_does_not_grow() {
    let network = network().await;
    let liar = Liar::start(network.of_ours().url()).await;
    let settings = Settings { endpoint: liar.url.parse().unwrap(), ..network.settings.clone() };
    let payer = IotaLedger::connect(settings, rig::fresh_key()).await.unwrap();
    liar.lie(|method, result| {
        if method == "iotax_getBalance" {
            result["totalBalance"] = json!("5");
        }
    });
    let given = tokio::time::timeout(Duration::from_secs(20), payer.fund(&network.faucet)).await;
    assert_eq!(given.unwrap().unwrap(), Amount::new(1_000_000_000_000));
}

#[tokio::test]
async fn after_a_crash_what_was_prepared_keeps_its_coins_and_lands() {
    let network = network().await;
    let key = rig::fresh_key();
    let before = network.payer().signed_by(key.clone());
    before.fund(&network.faucet).await.unwrap();
    let mut live = Vec::new();
    for nth in 1..4_u64 {
        before.note_live(&live);
        live.push(before.transfer(nth, &network.transfer(1_000)).await.unwrap());
    }
    drop(before);
    let after = network.payer().signed_by(key);
    after.note_live(&live);
    let next = after.transfer(9, &network.transfer(1_000)).await.unwrap();
    let held: Vec<_> = live.iter().flat_map(gas_of).collect();
    assert!(gas_of(&next).iter().all(|coin| !held.contains(coin)), "a coin in use was taken");
    live.push(next);
    for signed in &live {
        after.submit(signed).await.unwrap();
        landed(&after, signed).await;
    }
    assert_eq!(network.of_ours().tally().conflicts, 0);
}

#[tokio::test]
async fn many_small_coins_pay_together_and_become_one() {
    let network = network().await;
    let payer = with_coins(&network, 1, &[3_000_000; 5]).await;
    let signed = payer.transfer(0, &network.transfer(6_000_000)).await.unwrap();
    assert!(gas_of(&signed).len() >= 4, "one coin is not enough");
    payer.submit(&signed).await.unwrap();
    let evidence = landed(&payer, &signed).await;
    assert_eq!(evidence.amount, Amount::new(6_000_000));
    assert_eq!(evidence.fee, Amount::ZERO, "more was given back than was paid");
    let deposits = Amount::new(980_400 * gas_of(&signed).len() as u128);
    assert_eq!(evidence.rebate, deposits, "one for each coin that is no more, and for the old one");
}

#[tokio::test]
async fn who_has_too_little_is_told_how_much_it_takes() {
    let network = network().await;
    let payer = with_coins(&network, 4, &[3_000_000]).await;
    assert_refused(payer.transfer(0, &network.transfer(1)).await, "InsufficientFunds");
    assert_refused(payer.cost(&Call::Transfer(network.transfer(1))).await, "InsufficientFunds");
    let beyond = network.transfer(1 << 64);
    assert_refused(network.payer().transfer(0, &beyond).await, "InsufficientFunds");
}

/// Pages of coins are other views each time: one that moves in between is on none of them.
#[tokio::test]
async fn too_little_is_believed_of_the_balance_alone() {
    let network = network().await;
    let liar = Liar::start(network.of_ours().url()).await;
    let settings = Settings { endpoint: liar.url.parse().unwrap(), ..network.settings.clone() };
    let payer = IotaLedger::connect(settings, rig::fresh_key()).await.unwrap();
    payer.fund(&network.faucet).await.unwrap();
    liar.lie(|method, result| {
        if method == "iotax_getCoins" {
            result["data"] = json!([]);
        }
    });
    let call = Call::Transfer(network.transfer(1));
    assert_away(payer.cost(&call).await, "changed while they were read");
    assert_away(payer.transfer(0, &network.transfer(1)).await, "changed while they were read");
    liar.lie(|_, _| {});
    payer.transfer(0, &network.transfer(1)).await.unwrap();
}

#[tokio::test]
async fn a_cost_is_told_without_signing_and_is_what_it_comes_to() {
    let network = network().await;
    let payer = with_coins(&network, 1, &[1_000_000_000]).await;
    let transfer = network.transfer(1_000);
    let told = payer.cost(&Call::Transfer(transfer.clone())).await.unwrap();
    let signed = payer.transfer(0, &transfer).await.unwrap();
    payer.submit(&signed).await.unwrap();
    assert_eq!(landed(&payer, &signed).await.fee, told);
    assert_eq!(told, Amount::new(1_980_400), "as it was recorded");
    assert!(payer.reserve().await.unwrap() > told);
    let anchor = Anchor::Root { root: Digest([1; 32]), count: 2 };
    let signed = payer.anchor(0, &anchor).await.unwrap();
    payer.submit(&signed).await.unwrap();
    assert_eq!(landed(&payer, &signed).await.fee, Amount::new(1_000_000), "as it was recorded");
}

#[tokio::test]
async fn nothing_is_signed_that_may_cost_more_than_the_ceiling() {
    let network = network().await;
    let fee_ceiling = Amount::new(3_000_000);
    let settings = Settings { fee_ceiling, ..network.settings.clone() };
    let key = rig::fresh_key();
    let payer = IotaLedger::connect(settings, key).await.unwrap();
    payer.fund(&network.faucet).await.unwrap();
    assert_away(payer.transfer(0, &network.transfer(1)).await, "the ceiling is 3000000");
}

/// An account that aims at so many coins, with these.
async fn with_coins(network: &Network, aim: usize, balances: &[u128]) -> IotaLedger {
    let settings = Settings { coins: aim, ..network.settings.clone() };
    let ledger = IotaLedger::connect(settings, rig::fresh_key()).await.unwrap();
    for balance in balances {
        network.payer().give(ledger.account(), Amount::new(*balance), &|_| {}).await.unwrap();
    }
    ledger
}
