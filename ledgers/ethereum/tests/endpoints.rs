//! Stories of the way to a chain: endpoints that are slow, on another fork, hostile or greedy.
//! Nobody waits for one of them longer than was said, and none of them decides for the others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{Anvil, evidence, key, settings, signed, transfer, until};
use sdpp_ledger::{Call, Finality, Ledger, LedgerError};
use sdpp_ledger_ethereum::{EthereumLedger, Settings};
use std::time::{Duration, Instant};

/// How old the word of an endpoint may be before it is asked again.
const GAP: Duration = Duration::from_millis(1_050);

async fn connected(urls: &[String], patience_ms: u64) -> EthereumLedger {
    let patience = Duration::from_millis(patience_ms);
    let settings = Settings { patience, ..settings(urls, 1) };
    EthereumLedger::connect(settings, key(0)).await.unwrap()
}

/// A proxy that answers whatever it is asked so late.
async fn late(anvil: &Anvil, time: Duration) -> Proxy {
    let proxy = Proxy::start(anvil.port).await;
    (0..100).for_each(|_| proxy.next("", Fault::Late(time)));
    proxy
}

fn what<T: std::fmt::Debug>(answer: Result<T, LedgerError>) -> (String, Option<Duration>) {
    match answer {
        Err(LedgerError::Unavailable { what, retry_after }) => (what, retry_after),
        other => panic!("no outage: {other:?}"),
    }
}

#[tokio::test]
async fn a_slow_second_endpoint_slows_nobody() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let slow = late(&anvil, Duration::from_secs(3)).await;
    let ledger = connected(&[anvil.url(), slow.url()], 5_000).await;
    for _ in 0..2 {
        tokio::time::sleep(GAP).await;
        let since = Instant::now();
        ledger.status().await.unwrap();
        assert!(since.elapsed() < Duration::from_millis(900), "{:?}", since.elapsed());
    }
    assert!(slow.asked("eth_chainId") > 0, "it is asked all the same");
}

#[tokio::test]
async fn a_slow_first_endpoint_is_passed_over_while_another_is_as_good() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let slow = late(&anvil, Duration::from_millis(1_200)).await;
    let ledger = connected(&[slow.url(), anvil.url()], 5_000).await;
    for _ in 0..2 {
        let since = Instant::now();
        ledger.status().await.unwrap();
        assert!(since.elapsed() < Duration::from_millis(900), "{:?}", since.elapsed());
        // Its own word has come by then.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
    }
    // It still serves where there is no other.
    connected(&[slow.url()], 5_000).await;
}

#[tokio::test]
async fn an_endpoint_that_was_ahead_is_waited_for_so_long_and_no_longer() {
    let Some(behind) = Anvil::start(&[]).await else { return };
    let ahead = Anvil::start(&[]).await.unwrap();
    ahead.mine(20).await;
    let proxy = Proxy::start(ahead.port).await;
    let ledger = connected(&[behind.url(), proxy.url()], 4_000).await;
    assert_eq!(ledger.status().await.unwrap().height, 20);
    (0..100).for_each(|_| proxy.next("", Fault::Late(Duration::from_millis(300))));
    tokio::time::sleep(GAP).await;
    assert_eq!(ledger.status().await.unwrap().height, 20, "it is only a little late");
    proxy.calm();
    (0..100).for_each(|_| proxy.next("", Fault::Late(Duration::from_secs(60))));
    tokio::time::sleep(GAP).await;
    let since = Instant::now();
    assert_eq!(ledger.status().await.unwrap().height, 0, "the other one answers");
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[tokio::test]
async fn on_two_forks_each_answer_is_of_one_of_them() {
    let Some(ours) = Anvil::start(&["--no-mining"]).await else { return };
    let other = Anvil::start(&["--no-mining"]).await.unwrap();
    ours.mine(2).await;
    other.mine(7).await;
    let alone = connected(&[ours.url()], 5_000).await;
    let sent = signed(&alone, &Call::Transfer(transfer(7, 1))).await;
    alone.submit(&sent).await.unwrap();
    ours.mine(3).await;
    evidence(&alone, &sent).await;
    let both = settings(&[ours.url(), other.url()], 5);
    let both = EthereumLedger::connect(both, key(0)).await.unwrap();
    // Three blocks deep on the one fork, and five below the head of the other.
    let told = both.finality(&sent).await;
    assert!(matches!(told, Ok(Finality::Pending(Some(_)))), "{told:?}");
    other.mine(9).await;
    until("the one that is ahead is asked", async || {
        (both.finality(&sent).await == Ok(Finality::Unknown)).then_some(())
    })
    .await;
    other.kill().await;
    let told = both.finality(&sent).await;
    assert!(matches!(told, Ok(Finality::Pending(Some(_)))), "{told:?}");
    ours.mine(2).await;
    evidence(&both, &sent).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_as_our_url_holds_a_key() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let (proxy, thief) = (Proxy::start(anvil.port).await, Proxy::start(anvil.port).await);
    let ledger = connected(&[format!("{}/?key=secret-of-ours", proxy.url())], 5_000).await;
    let answer = || Fault::Elsewhere(thief.url());
    (0..3).for_each(|_| proxy.next("eth_getTransactionCount", answer()));
    let (text, _) = what(ledger.next_number().await);
    assert!(text.contains("HTTP 307"), "{text}");
    assert_eq!(thief.asked("eth_getTransactionCount"), 0, "it was followed");
}

#[tokio::test]
async fn a_wait_that_a_node_asks_for_is_bounded() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(&[proxy.url()], 5_000).await;
    proxy.next("eth_getTransactionCount", Fault::TooMany(u64::MAX));
    let (_, retry_after) = what(ledger.next_number().await);
    assert_eq!(retry_after, Some(Duration::from_secs(600)));
}

#[tokio::test]
async fn an_answer_that_drips_ends_within_patience() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(&[proxy.url()], 500).await;
    proxy.next("eth_getTransactionCount", Fault::Drip(Duration::from_millis(100)));
    let since = Instant::now();
    let (text, _) = what(ledger.next_number().await);
    assert!(text.contains("no answer to eth_getTransactionCount within 500 ms"), "{text}");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    ledger.next_number().await.unwrap();
}
