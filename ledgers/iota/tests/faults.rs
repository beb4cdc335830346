//! What a node can do to us, and what we make of it: an outage, and nothing that is believed.

#![allow(clippy::unwrap_used, reason = "a test may panic in what it shares, too")]

mod rig;

use rig::{Network, assert_away, assert_refused, landed};
use sdpp_iota_double::{Fault, Options};
use sdpp_ledger::{Amount, Claim, Finality, Ledger, LedgerError, Payments};
use sdpp_ledger_iota::{IotaLedger, Scheme, Settings};
use std::time::Duration;

async fn network() -> Network {
    Network::double(Options::default(), Scheme::Ed25519).await
}

#[tokio::test]
async fn every_question_survives_every_fault() {
    let faults = [
        Fault::Unavailable,
        Fault::TooMany,
        Fault::Garbage,
        Fault::Huge { bytes: 5_000_000 },
        Fault::Dropped,
        Fault::Refuse { code: -32000, message: "Transaction \u{1b}[2J is unhappy".to_owned() },
    ];
    let network = network().await;
    let (transfer, evidence) = network.paid(1_000).await;
    let claim = Claim { tx: evidence.tx, transfer };
    let signed = network.prepared(1).await;
    for fault in faults {
        network.of_ours().arm(fault.clone().always());
        let payer = network.payer();
        let away = [
            payer.status().await.err(),
            payer.transfer(0, &network.transfer(1)).await.err(),
            payer.submit(&signed).await.err(),
            payer.finality(&signed).await.err(),
            payer.reserve().await.err(),
        ];
        for error in away {
            let Some(LedgerError::Unavailable { what, retry_after }) = error else {
                panic!("{fault:?} led to {error:?}")
            };
            assert!(!what.contains('\u{1b}'), "{what:?}");
            assert_eq!(retry_after.is_some(), fault == Fault::TooMany, "{fault:?}");
        }
        let away = payer.paid(&claim).await;
        assert!(matches!(away, Err(LedgerError::Unavailable { .. })), "{fault:?}: {away:?}");
        network.of_ours().clear();
    }
    network.payer().submit(&signed).await.unwrap();
    landed(network.payer(), &signed).await;
    let paid = network.payee().paid(&claim).await.unwrap();
    assert!(matches!(paid, Finality::Final(_)), "{paid:?}");
}

#[tokio::test]
async fn what_is_longer_than_anything_of_ours_is_not_ours() {
    let network = network().await;
    let (transfer, evidence) = network.paid(1_000).await;
    let claim = Claim { tx: evidence.tx, transfer };
    let long = || Fault::Huge { bytes: 5_000_000 }.once().on("iota_getTransactionBlock");
    network.of_ours().arm(long());
    assert_refused(network.payee().paid(&claim).await, "NotATransfer");
    network.of_ours().arm(long());
    let unknown = Claim { tx: network.prepared(1).await.tx.unwrap(), ..claim };
    assert_away(network.payee().paid(&unknown).await, "more than");
}

#[tokio::test]
async fn a_node_that_hangs_is_given_up_after_the_patience() {
    let network = network().await;
    let patience = Duration::from_millis(50);
    let settings = Settings { patience, ..network.settings.clone() };
    let impatient = IotaLedger::connect(settings, rig::fresh_key()).await.unwrap();
    network.of_ours().arm(Fault::Held.always());
    assert_away(impatient.status().await, "within 50 ms");
    network.of_ours().clear();
}

#[tokio::test]
async fn a_node_of_another_network_is_refused_at_first_and_an_outage_later() {
    let network = network().await;
    let chain = "00000000".to_owned();
    let other = Settings { chain, ..network.settings.clone() };
    let refused = IotaLedger::connect(other, rig::fresh_key()).await.unwrap_err().to_string();
    let words = format!("is of network {}, and not of 00000000", network.settings.chain);
    assert!(refused.contains("WrongChain") && refused.contains(&words), "{refused}");
    for chain in ["", "6364AAD5", "6364aad", "6364aad5 ", "eip155:1"] {
        let settings = Settings { chain: chain.to_owned(), ..network.settings.clone() };
        assert_refused(IotaLedger::connect(settings, rig::fresh_key()).await, "Malformed");
    }
    for coins in [0, 501] {
        let settings = Settings { coins, ..network.settings.clone() };
        assert_refused(IotaLedger::connect(settings, rig::fresh_key()).await, "Malformed");
    }
    network.of_ours().set_chain_id("000\u{1b}00");
    assert_away(network.payer().status().await, "is of network 000 00, and not of");
}

#[tokio::test]
async fn a_node_is_what_it_says_and_need_not_say_it() {
    let network = network().await;
    let said = network.payer().software().await.unwrap();
    assert_eq!(said.as_deref(), Some("a double of an IOTA node 1.26.0-alpha"));
    assert_eq!(network.of_ours().tally().strange, Vec::<String>::new());
    let message = "Method not found".to_owned();
    network.of_ours().arm(Fault::Refuse { code: -32601, message }.once());
    assert_eq!(network.payer().software().await.unwrap(), None);
    network.of_ours().arm(Fault::Dropped.once());
    assert_away(network.payer().software().await, "connection");
}

#[tokio::test]
async fn a_claim_that_the_node_has_not_heard_of_yet_is_unknown_and_then_final() {
    let network = network().await;
    network.of_ours().stand_still(true);
    let transfer = network.transfer(1_000);
    let signed = network.payer().transfer(0, &transfer).await.unwrap();
    let tx = network.payer().submit(&signed).await.unwrap();
    let claim = Claim { tx, transfer };
    assert_eq!(network.payee().paid(&claim).await.unwrap(), Finality::Unknown);
    network.of_ours().stand_still(false);
    network.of_ours().advance(Duration::ZERO);
    let paid = network.payee().paid(&claim).await.unwrap();
    assert!(matches!(paid, Finality::Final(_)), "{paid:?}");
}

#[tokio::test]
async fn a_faucet_that_fails_is_told() {
    let network = network().await;
    let poor = network.payer().signed_by(rig::fresh_key());
    network.of_ours().arm(Fault::TooMany.once().on("faucet"));
    assert_away(poor.fund(&network.faucet).await, "too many requests");
    network.of_ours().arm(Fault::Unavailable.once().on("faucet"));
    assert_away(poor.fund(&network.faucet).await, "503");
    assert_eq!(poor.fund(&network.faucet).await.unwrap(), Amount::new(1_000_000_000_000));
}

#[tokio::test]
async fn a_faucet_that_is_away_is_named_and_what_to_do_about_it() {
    let network = network().await;
    // Nobody listens where somebody has just been.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let faucet = format!("http://127.0.0.1:{port}/0123456789secret").parse().unwrap();
    let away = network.payer().fund(&faucet).await.unwrap_err().to_string();
    let place = format!("http://127.0.0.1:{port}: no connection");
    assert!(away.contains(&place) && !away.contains("secret"), "{away}");
    let advice = format!("have somebody pay {}", network.payer().account());
    assert!(away.contains("see that it is up") && away.contains(&advice), "{away}");
}

#[tokio::test]
async fn nobody_is_given_coins() {
    let network = network().await;
    let zero = format!("0x{}", "0".repeat(64)).parse().unwrap();
    assert_refused(network.payer().give(&zero, Amount::new(1), &|_| {}).await, "Nobody");
    assert_eq!(network.of_ours().tally().executed, 0);
}

#[tokio::test]
async fn who_gives_while_all_coins_are_in_use_is_told_what_it_waits_for() {
    let network = network().await;
    let settings = Settings { coins: 1, ..network.settings.clone() };
    let payer = IotaLedger::connect(settings, rig::fresh_key()).await.unwrap();
    network.payer().give(payer.account(), Amount::new(1_000_000_000), &|_| {}).await.unwrap();
    let signed = payer.transfer(0, &network.transfer(1)).await.unwrap();
    payer.note_live(&[signed]);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (giver, to) = (payer.clone(), network.payee().account().clone());
    let giving = tokio::spawn(async move {
        let tell = |what: &str| drop(tell.send(what.to_owned()));
        giver.give(&to, Amount::new(5), &tell).await
    });
    let what = told.recv().await.unwrap();
    assert!(what.starts_with("waiting up to 120 s: all coins are in use"), "{what}");
    payer.note_live(&[]);
    assert_eq!(giving.await.unwrap().unwrap().amount, Amount::new(5));
    assert_eq!(told.recv().await, None, "it is told once");
}
