//! Whether a stranger's transaction pays what it is said to pay: whatever it is, and whatever
//! somebody between us and the node makes of it.

#![allow(clippy::unwrap_used, reason = "a test may panic in what it shares, too")]

mod rig;

use iota_sdk_types::{Argument, Command, Input, ProgrammableTransaction};
use rig::{Liar, Network, Stranger, assert_away, assert_refused, landed};
use sdpp_iota_double::Options;
use sdpp_ledger::{Amount, Claim, Finality, Ledger, LedgerError, Payments, Records, Signed};
use sdpp_ledger_iota::{IotaLedger, Scheme};
use serde_json::{Value, json};

async fn network() -> Network {
    Network::double(Options::default(), Scheme::Ed25519).await
}

/// A transaction that pays the payee as a transfer asks, changed at will, executed.
async fn executed(
    network: &Network,
    nanos: u128,
    change: impl FnOnce(&mut ProgrammableTransaction),
) -> (Claim, IotaLedger, Signed) {
    let stranger = Stranger::funded(network).await;
    let transfer = network.transfer(nanos);
    let signed = stranger.ledger.transfer(0, &transfer).await.unwrap();
    let signed = stranger.changed(&signed, change);
    let tx = stranger.ledger.submit(&signed).await.unwrap();
    (Claim { tx, transfer }, stranger.ledger, signed)
}

#[tokio::test]
async fn what_failed_pays_nothing_and_says_so() {
    let network = network().await;
    let too_much = |made: &mut ProgrammableTransaction| {
        made.inputs[1] = Input::pure(&900_000_000_000_000_u64);
    };
    let (claim, ledger, signed) = executed(&network, 1_000, too_much).await;
    assert_refused(network.payee().paid(&claim).await, "Reverted");
    let finality = ledger.finality(&signed).await.unwrap();
    let Finality::Reverted { why, evidence } = finality else { panic!("{finality:?}") };
    assert!(why.starts_with("InsufficientFunds"), "{why}");
    assert_eq!(evidence.amount, Amount::ZERO);
    assert!(evidence.fee > Amount::ZERO, "trying costs a fee");
}

#[tokio::test]
async fn what_pays_in_another_way_is_no_transfer() {
    type Change = fn(&mut ProgrammableTransaction);
    let changes: [(&str, Change); 4] = [
        ("carries no record", |made| drop(made.inputs.remove(2))),
        ("carries something else", |made| made.inputs[2] = Input::pure(&vec![7_u8; 70])),
        ("takes back a part", |made| {
            made.inputs.push(Input::pure(&1_u64));
            let at = u16::try_from(made.inputs.len() - 1).unwrap();
            made.commands.push(Command::new_split_coins(Argument::Gas, vec![Argument::Input(at)]));
            let piece = Argument::Result(u16::try_from(made.commands.len() - 1).unwrap());
            made.commands.push(Command::new_merge_coins(Argument::Gas, vec![piece]));
        }),
        ("gives the whole coin", |made| {
            made.commands =
                vec![Command::new_transfer_objects(vec![Argument::Gas], Argument::Input(0))];
        }),
    ];
    let network = network().await;
    for (what, change) in changes {
        let (claim, _, _) = executed(&network, 1_000, change).await;
        let answer = network.payee().paid(&claim).await;
        assert!(
            matches!(&answer, Err(LedgerError::Refused { code, .. }) if code == "NotATransfer"),
            "it {what}, and yet: {answer:?}"
        );
    }
}

#[tokio::test]
async fn one_payment_pays_for_one_thing() {
    let network = network().await;
    let (made, evidence) = network.paid(1_000).await;
    let claim = |transfer| Claim { tx: evidence.tx.clone(), transfer };
    let paid = network.payee().paid(&claim(made.clone())).await.unwrap();
    assert_eq!(paid, Finality::Final(evidence.clone()));
    assert_refused(network.payee().paid(&claim(network.transfer(1_000))).await, "WrongReference");
    let named = Claim { tx: "not-a-digest".parse().unwrap(), transfer: made };
    assert_refused(network.payee().paid(&named).await, "Malformed");
}

#[tokio::test]
async fn a_transaction_is_shown_with_what_it_asks_for() {
    let network = network().await;
    let (made, evidence) = network.paid(1_000).await;
    let view = network.payee().transaction(&evidence.tx).await.unwrap().unwrap();
    assert_eq!(view.from, *network.payer().account());
    assert_eq!((view.to.as_ref(), view.value), (Some(&made.to), made.amount));
    assert_eq!(view.call, Some(sdpp_ledger::Call::Transfer(made)));
    assert_eq!(view.finality, Finality::Final(evidence));
    let hidden = network.prepared(1).await.tx.unwrap();
    assert_eq!(network.payee().transaction(&hidden).await.unwrap(), None);
}

/// A payment, and the payee as it sees it through somebody who lies.
async fn seen_through(network: &Network) -> (Liar, IotaLedger, Claim) {
    let (transfer, evidence) = network.paid(1_000).await;
    let liar = Liar::start(network.of_ours().url()).await;
    let mut settings = network.settings.clone();
    settings.endpoint = liar.url.parse().unwrap();
    let payee = IotaLedger::connect(settings, rig::fresh_key()).await.unwrap();
    let claim = Claim { tx: evidence.tx, transfer };
    let honest = payee.paid(&claim).await.unwrap();
    assert!(matches!(honest, Finality::Final(_)), "{honest:?}");
    (liar, payee, claim)
}

#[tokio::test]
async fn what_is_told_of_a_payment_must_fit_together() {
    type Lie = fn(&str, &mut Value);
    let lies: [(&str, &str, Lie); 5] = [
        ("no transaction at all", "cannot be read", |method, result| {
            if method == "iota_getTransactionBlock" {
                result["rawTransaction"] = json!("AQAA");
            }
        }),
        ("effects that are none", "cannot be read", |method, result| {
            if method == "iota_getTransactionBlock" {
                result["rawEffects"] = json!([0, 1, 2]);
            }
        }),
        ("a checkpoint without it", "does not list", |method, result| {
            if method == "iota_getCheckpoint" {
                result["transactions"] = json!([]);
            }
        }),
        ("another checkpoint", "another checkpoint", |method, result| {
            if method == "iota_getCheckpoint" {
                result["sequenceNumber"] = json!("999");
            }
        }),
        ("a checkpoint without a time", "expected a string", |method, result| {
            if method == "iota_getCheckpoint" {
                result["timestampMs"] = json!(-1);
            }
        }),
    ];
    let network = network().await;
    let (liar, payee, claim) = seen_through(&network).await;
    for (what, words, lie) in lies {
        liar.lie(lie);
        let answer = payee.paid(&claim).await;
        match &answer {
            Err(LedgerError::Unavailable { what: told, .. }) if told.contains(words) => {}
            _ => panic!("it was told {what}, and yet: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn another_transactions_bytes_or_effects_are_not_believed() {
    let network = network().await;
    let (liar, payee, claim) = seen_through(&network).await;
    let (_, other) = network.paid(2_000).await;
    let other = network.asked(
        "iota_getTransactionBlock",
        json!([
            other.tx, { "showRawInput": true, "showRawEffects": true }
        ]),
    );
    let other = other.await;
    for parts in [&["rawTransaction", "rawEffects"][..], &["rawTransaction"], &["rawEffects"]] {
        let (other, parts) = (other.clone(), parts.to_vec());
        liar.lie(move |method, result| {
            for part in parts.iter().filter(|_| method == "iota_getTransactionBlock") {
                result[part] = other[part].clone();
            }
        });
        assert_away(payee.paid(&claim).await, "cannot be read");
    }
}

#[tokio::test]
async fn a_signature_that_is_not_the_senders_is_seen() {
    let network = network().await;
    let (liar, payee, claim) = seen_through(&network).await;
    liar.lie(|method, result| {
        if method == "iota_getTransactionBlock" {
            result["rawTransaction"] =
                json!(rig::unsigned(result["rawTransaction"].as_str().unwrap()));
        }
    });
    assert_refused(payee.paid(&claim).await, "InvalidSignature");
}

#[tokio::test]
async fn absurd_coins_and_prices_are_no_reason_to_sign_or_to_fall_over() {
    let network = network().await;
    let liar = Liar::start(network.of_ours().url()).await;
    let mut settings = network.settings.clone();
    settings.endpoint = liar.url.parse().unwrap();
    let payer = IotaLedger::connect(settings, rig::fresh_key()).await.unwrap();
    payer.fund(&network.faucet).await.unwrap();
    liar.lie(|method, result| {
        if method == "iotax_getCoins" {
            for coin in result["data"].as_array_mut().unwrap() {
                coin["balance"] = json!(u64::MAX.to_string());
            }
        }
    });
    let most = network.transfer(u64::MAX.into());
    assert_away(payer.transfer(0, &most).await, "fail as things stand");
    liar.lie(|method, result| {
        if method == "iotax_getReferenceGasPrice" {
            *result = json!(u64::MAX.to_string());
        }
    });
    assert_away(payer.transfer(0, &network.transfer(1)).await, "ceiling");
    liar.lie(|method, result| {
        if method == "iota_dryRunTransactionBlock" {
            result["effects"]["gasUsed"]["storageCost"] = json!(u64::MAX.to_string());
        }
    });
    assert_away(payer.transfer(0, &network.transfer(1)).await, "ceiling");
    liar.lie(|_, _| {});
    let signed = payer.transfer(0, &network.transfer(1)).await.unwrap();
    payer.submit(&signed).await.unwrap();
    landed(&payer, &signed).await;
}

#[tokio::test]
async fn a_record_that_failed_or_is_signed_by_nobody_is_none() {
    let network = network().await;
    let anchor = sdpp_ledger::Anchor::Root { root: sdpp_ledger::Digest([3; 32]), count: 5 };
    let signed = network.payer().anchor(0, &anchor).await.unwrap();
    let tx = network.payer().submit(&signed).await.unwrap();
    landed(network.payer(), &signed).await;
    let found = network.payee().anchored(&tx, &anchor).await.unwrap();
    assert!(matches!(found, Finality::Final(_)), "{found:?}");
    let (_, paid) = network.paid(5).await;
    assert_refused(network.payee().anchored(&paid.tx, &anchor).await, "NotThisAnchor");
}
