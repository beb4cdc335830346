//! Stories of what goes wrong on a real chain and on the way to it: nothing is paid twice, nothing
//! is given up that can still happen, and nothing is called final that can be taken back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{Anvil, account, evidence, key, settings, signed, transfer, until};
use sdpp_ledger::{
    Amount, Asset, Call, Claim, Finality, Key, Ledger, LedgerError, Payments, Signed,
};
use sdpp_ledger_ethereum::{EthereumLedger, Settings};
use serde_json::json;
use std::time::Duration;

async fn connected(settings: Settings) -> EthereumLedger {
    EthereumLedger::connect(settings, key(0)).await.unwrap()
}

async fn at(anvil: &Anvil, depth: u64) -> EthereumLedger {
    connected(settings(&[anvil.url()], depth)).await
}

/// What account 1 got beyond what Anvil gave it.
async fn got(ledger: &EthereumLedger) -> u128 {
    let held = ledger.balance(&account(1), &Asset::coin()).await.unwrap();
    held.units() - 10_000 * 10u128.pow(18)
}

fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, LedgerError>, part: &str) {
    match answer {
        Err(LedgerError::Unavailable { what, .. }) if what.contains(part) => {}
        other => panic!("not unavailable with {part:?}: {other:?}"),
    }
}

fn is_refused<T: std::fmt::Debug>(answer: &Result<T, LedgerError>, wanted: &str) {
    match answer {
        Err(LedgerError::Refused { code, .. }) if code == wanted => {}
        other => panic!("not refused with {wanted}: {other:?}"),
    }
}

#[tokio::test]
async fn a_node_that_ends_and_comes_back_with_its_state_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let args = ["--state", state.to_str().unwrap()];
    let Some(anvil) = Anvil::start(&args).await else { return };
    let ledger = at(&anvil, 1).await;
    let before = signed(&ledger, &Call::Transfer(transfer(5, 1))).await;
    ledger.submit(&before).await.unwrap();
    let told = evidence(&ledger, &before).await;
    let after = signed(&ledger, &Call::Transfer(transfer(6, 2))).await;
    let port = anvil.port;
    anvil.end().await;
    is_unavailable(&ledger.submit(&after).await, "no connection");
    is_unavailable(&ledger.finality(&before).await, "no connection");
    let anvil = Anvil::start_on(port, &args).await.unwrap();
    assert_eq!(evidence(&ledger, &before).await, told, "the same as before");
    assert_eq!(ledger.finality(&after).await, Ok(Finality::Unknown));
    ledger.submit(&before).await.unwrap();
    ledger.submit(&after).await.unwrap();
    evidence(&ledger, &after).await;
    assert_eq!(got(&ledger).await, 11);
    drop(anvil);
}

#[tokio::test]
async fn what_the_pool_dropped_lands_by_the_same_bytes() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = at(&anvil, 2).await;
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    let tx = ledger.submit(&sent).await.unwrap();
    assert_eq!(ledger.finality(&sent).await, Ok(Finality::Pending(None)));
    anvil.ask("anvil_dropTransaction", json!([tx.as_str()])).await;
    assert_eq!(ledger.finality(&sent).await, Ok(Finality::Unknown));
    assert_eq!(ledger.submit(&sent).await, Ok(tx.clone()));
    assert_eq!(ledger.submit(&sent).await, Ok(tx), "it has it already");
    anvil.mine(1).await;
    assert!(matches!(ledger.finality(&sent).await, Ok(Finality::Pending(Some(_)))));
    anvil.mine(1).await;
    evidence(&ledger, &sent).await;
    assert_eq!(got(&ledger).await, 7);
}

#[tokio::test]
async fn a_jump_of_the_base_fee_is_met_by_a_raise_up_to_the_ceiling() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = at(&anvil, 1).await;
    let first = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&first).await.unwrap();
    let jump = 20_000_000_000u64;
    anvil.ask("anvil_setNextBlockBaseFeePerGas", json!([format!("0x{jump:x}")])).await;
    anvil.mine(1).await;
    assert!(!matches!(ledger.finality(&first).await, Ok(Finality::Final(_))), "too cheap");
    let second = ledger.raise(std::slice::from_ref(&first)).await.unwrap().unwrap();
    assert_eq!(second.number, first.number);
    assert!(second.tx != first.tx && second.fee > first.fee, "{second:?}");
    ledger.submit(&second).await.unwrap();
    anvil.mine(1).await;
    evidence(&ledger, &second).await;
    assert_eq!(ledger.finality(&first).await, Ok(Finality::Replaced));
    assert_eq!(got(&ledger).await, 7);

    anvil.ask("anvil_setNextBlockBaseFeePerGas", json!(["0x174876e801"])).await;
    anvil.mine(1).await;
    let call = Call::Transfer(transfer(1, 3));
    let answer = sdpp_ledger::prepare(&ledger, 1, &call).await;
    is_unavailable(&answer, "fees are above the ceiling");
}

#[tokio::test]
async fn a_cancelled_number_is_used_by_nothing() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = at(&anvil, 1).await;
    let first = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&first).await.unwrap();
    let nothing = ledger.cancel(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(nothing.number, first.number);
    ledger.submit(&nothing).await.unwrap();
    anvil.mine(1).await;
    assert_eq!(evidence(&ledger, &nothing).await.amount, Amount::ZERO);
    assert_eq!(ledger.finality(&first).await, Ok(Finality::Replaced));
    assert_eq!(got(&ledger).await, 0);
}

#[tokio::test]
async fn a_reorg_of_one_to_ten_blocks_moves_back_what_was_in_it() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = at(&anvil, 11).await;
    anvil.mine(12).await;
    for blocks in 1..=10u8 {
        let sent = signed(&ledger, &Call::Transfer(transfer(100, blocks))).await;
        ledger.submit(&sent).await.unwrap();
        anvil.mine(blocks.into()).await;
        let mined = ledger.finality(&sent).await;
        assert!(matches!(mined, Ok(Finality::Pending(Some(_)))), "{blocks}: {mined:?}");
        anvil.ask("anvil_reorg", json!([blocks, []])).await;
        let back = ledger.finality(&sent).await;
        let is_back = matches!(back, Ok(Finality::Unknown | Finality::Pending(None)));
        assert!(is_back, "{blocks}: {back:?}");
        ledger.submit(&sent).await.unwrap();
        anvil.mine(10).await;
        assert!(matches!(ledger.finality(&sent).await, Ok(Finality::Pending(Some(_)))));
        anvil.mine(1).await;
        evidence(&ledger, &sent).await;
        assert_eq!(got(&ledger).await, u128::from(blocks) * 100, "exactly once each");
    }
}

#[tokio::test]
async fn another_chain_behind_the_endpoint_is_an_outage_until_ours_is_back() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let ledger = at(&anvil, 1).await;
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    anvil.ask("anvil_setChainId", json!([5])).await;
    let out = until("the change is noticed", async || ledger.status().await.err()).await;
    is_unavailable::<()>(&Err(out), "the chain id changed: it is 5, not 31337");
    is_unavailable(&ledger.submit(&sent).await, "the chain id changed");
    anvil.ask("anvil_setChainId", json!([31337])).await;
    ledger.submit(&sent).await.unwrap();
    evidence(&ledger, &sent).await;
    assert_eq!(got(&ledger).await, 7);
}

#[tokio::test]
async fn whatever_is_lost_on_the_way_each_payment_is_made_once() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let patient = settings(&[proxy.url()], 1);
    let ledger = connected(Settings { patience: Duration::from_millis(400), ..patient }).await;
    let faults = [
        Fault::LoseQuestion,
        Fault::LoseAnswer,
        Fault::Twice,
        Fault::Late(Duration::from_millis(600)),
        Fault::Say(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":NaN}".to_vec()),
        Fault::Say(vec![0xff; 3000]),
        Fault::TooMany(0),
        Fault::Down,
    ];
    let mut paid = 0;
    for (place, fault) in faults.into_iter().enumerate() {
        let methods =
            ["eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_getBlockByNumber"];
        for (turn, method) in methods.into_iter().enumerate() {
            let reference = u8::try_from(place * methods.len() + turn).unwrap();
            let call = Call::Transfer(transfer(10, reference));
            let sent = signed(&ledger, &call).await;
            proxy.next(method, fault.clone());
            // What an outbox does: the same bytes, until the chain says that it is final.
            let told = until("it is final", async || {
                let _ = ledger.submit(&sent).await;
                match ledger.finality(&sent).await {
                    Ok(Finality::Final(evidence)) => Some(evidence),
                    Ok(Finality::Unknown | Finality::Pending(_)) => None,
                    Err(LedgerError::Unavailable { .. }) => None,
                    other => panic!("{fault:?} at {method}: {other:?}"),
                }
            });
            assert_eq!(told.await.amount, Amount::new(10));
            paid += 10;
            assert_eq!(got(&at(&anvil, 1).await).await, paid, "{fault:?} at {method}");
            assert_eq!(proxy.waiting(), 0, "{method} was never asked");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_to_what_was_sent_is_looked_up() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[proxy.url()], 1)).await;
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    proxy.next("eth_sendRawTransaction", Fault::LoseAnswer);
    assert_eq!(ledger.submit(&sent).await, Ok(sent.tx.clone().unwrap()));
    proxy.next("eth_blockNumber", Fault::Down);
    proxy.next("eth_getTransactionCount", Fault::TooMany(7));
    match ledger.next_number().await {
        Err(LedgerError::Unavailable { retry_after, .. }) => {
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn hostile_answers_are_outages_and_never_a_verdict() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[proxy.url()], 1)).await;
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&sent).await.unwrap();
    evidence(&ledger, &sent).await;
    let quoted = |from: &str, to: &str| Fault::Altered(from.to_owned(), to.to_owned());
    let long = format!("\"gasUsed\":\"0x{}", "f".repeat(80));
    let faults = [
        quoted("\"blockNumber\"", "\"blockNumbr\""),
        quoted("\"gasUsed\":\"0x", "\"gasUsed\":\"0xfffffffffffffffffffffffffffffffff"),
        quoted("\"gasUsed\":\"0x", &long),
        quoted("\"status\":\"0x1\"", "\"status\":[[[[]]]]"),
        quoted("\"transactionHash\":\"0x", "\"transactionHash\":\"0x00"),
        quoted("\"id\":", "\"id\":9"),
        quoted("\"result\":{", "\"result\":7,\"was\":{"),
        quoted("\"result\"", "\"outcome\""),
        Fault::Say(b"null".to_vec()),
        Fault::Say(b"[]".to_vec()),
        Fault::Say("[".repeat(100_000).into_bytes()),
        Fault::Say(Vec::new()),
    ];
    for fault in faults {
        proxy.next("eth_getTransactionReceipt", fault.clone());
        let answer = ledger.finality(&sent).await;
        let is_outage = matches!(answer, Err(LedgerError::Unavailable { .. }));
        assert!(is_outage, "{fault:?}: {answer:?}");
    }
    evidence(&ledger, &sent).await;
    let call = Call::Transfer(transfer(1, 2));
    let absurd = "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    for method in ["eth_estimateGas", "eth_getTransactionCount"] {
        let say = format!("\"result\":\"{absurd}\",\"was\":");
        proxy.next(method, quoted("\"result\":", &say));
        let prepared = async {
            let number = ledger.next_number().await?;
            sdpp_ledger::prepare(&ledger, number, &call).await
        };
        let answer: Result<Signed, LedgerError> = prepared.await;
        assert!(matches!(answer, Err(LedgerError::Unavailable { .. })), "{method}: {answer:?}");
    }
}

#[tokio::test]
async fn a_number_that_a_stranger_used_is_replaced_at_depth_and_not_before() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let ledger = at(&anvil, 4).await;
    anvil.mine(5).await;
    let ours = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    let foreign = signed(&ledger, &Call::Transfer(transfer(9, 2))).await;
    assert_eq!(ours.number, foreign.number);
    ledger.submit(&foreign).await.unwrap();
    for _ in 0..3 {
        anvil.mine(1).await;
        assert_eq!(ledger.finality(&ours).await, Ok(Finality::Unknown), "it can come back");
        is_unavailable(&ledger.submit(&ours).await, "was used by another");
    }
    anvil.ask("anvil_reorg", json!([3, []])).await;
    ledger.submit(&foreign).await.unwrap();
    anvil.mine(4).await;
    assert_eq!(ledger.finality(&ours).await, Ok(Finality::Replaced));
    is_refused(&ledger.submit(&ours).await, "NumberUsed");
    anvil.mine(200).await;
    assert_eq!(ledger.finality(&ours).await, Ok(Finality::Replaced), "however deep");
    assert_eq!(got(&ledger).await, 9);
}

#[tokio::test]
async fn what_landed_is_not_called_replaced_by_a_node_that_forgets() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[proxy.url()], 2)).await;
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&sent).await.unwrap();
    evidence(&at(&anvil, 1).await, &sent).await;
    anvil.mine(5).await;
    let forget = || Fault::Altered("\"result\":".to_owned(), "\"result\":null,\"was\":".to_owned());
    proxy.next("eth_getTransactionReceipt", forget());
    proxy.next("eth_getTransactionByHash", forget());
    let told = ledger.finality(&sent).await;
    is_unavailable(&told, "does not know it by its id");
    evidence(&ledger, &sent).await;
}

#[tokio::test]
async fn a_receipt_of_a_block_that_does_not_stand_is_not_final() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[proxy.url()], 1)).await;
    let made = transfer(7, 1);
    let sent = signed(&ledger, &Call::Transfer(made.clone())).await;
    let tx = ledger.submit(&sent).await.unwrap();
    let told = evidence(&ledger, &sent).await;
    let given_up = || Fault::Altered(told.block.clone(), format!("0x{}", "5".repeat(64)));
    proxy.next("eth_getTransactionReceipt", given_up());
    assert_eq!(ledger.finality(&sent).await, Ok(Finality::Pending(None)));
    proxy.next("eth_getTransactionReceipt", given_up());
    let claim = Claim { tx, transfer: made };
    assert_eq!(ledger.paid(&claim).await, Ok(Finality::Pending(None)));
    assert!(matches!(ledger.paid(&claim).await, Ok(Finality::Final(_))));
}

#[tokio::test]
async fn of_several_endpoints_the_one_that_is_ahead_and_on_our_chain_is_asked() {
    let Some(behind) = Anvil::start(&[]).await else { return };
    let ahead = Anvil::start(&[]).await.unwrap();
    let elsewhere = Anvil::start(&["--chain-id", "5"]).await.unwrap();
    ahead.mine(20).await;
    elsewhere.mine(90).await;
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port())
    };
    let urls = [nobody.clone(), elsewhere.url(), behind.url(), ahead.url()];
    let ledger = connected(settings(&urls, 1)).await;
    assert_eq!(ledger.status().await.unwrap().height, 20);
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&sent).await.unwrap();
    evidence(&ledger, &sent).await;
    assert_eq!(ahead.height().await, 21, "it went to the one that is ahead");
    ahead.kill().await;
    assert_eq!(ledger.status().await.unwrap().height, 0, "the next one answers");
    behind.mine(3).await;
    behind.kill().await;
    is_unavailable(&ledger.status().await, "no connection");
    is_unavailable(&ledger.status().await, "it is 5, not 31337");

    let wrong = EthereumLedger::connect(settings(&[elsewhere.url()], 1), key(0)).await;
    is_refused(&wrong, "WrongChain");
    let silent = EthereumLedger::connect(settings(&[nobody], 1), key(0)).await;
    is_unavailable(&silent, "no connection");
}

#[tokio::test]
async fn a_claim_is_read_in_one_spelling_and_by_what_arrived() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let ledger = at(&anvil, 1).await;
    let made = transfer(7, 1);
    let sent = signed(&ledger, &Call::Transfer(made.clone())).await;
    let tx = ledger.submit(&sent).await.unwrap();
    evidence(&ledger, &sent).await;
    let claim = Claim { tx: tx.clone(), transfer: made.clone() };
    assert!(matches!(ledger.paid(&claim).await, Ok(Finality::Final(_))));
    let upper = tx.as_str().to_uppercase().replace("0X", "0x");
    for other in [upper.as_str(), &tx.as_str()[2..], "0x00"] {
        let claim = Claim { tx: other.parse().unwrap(), ..claim.clone() };
        is_refused(&ledger.paid(&claim).await, "Malformed");
    }

    // A token that says yes to everything and moves nothing.
    let token = "0x00000000000000000000000000000000000000ff";
    anvil.ask("anvil_setCode", json!([token, "0x600160005260206000f3"])).await;
    let made = sdpp_ledger::Transfer { asset: token.parse().unwrap(), ..transfer(7, 2) };
    let sent = signed(&ledger, &Call::Transfer(made.clone())).await;
    let tx = ledger.submit(&sent).await.unwrap();
    until("it is mined", async || match ledger.finality(&sent).await {
        Ok(Finality::Pending(_)) => None,
        told => Some(told),
    })
    .await
    .unwrap();
    is_refused(&ledger.paid(&Claim { tx, transfer: made }).await, "AmountTooLow");
}

#[tokio::test]
async fn who_cannot_pay_the_fee_is_told_to_fund_the_account() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let settings = rig::with_escrow(&anvil, 1).await;
    let poor = connected(settings).await.signed_by(Key::from_bytes(&[9; 32]).unwrap());
    let root = sdpp_ledger::Anchor::Root { root: sdpp_ledger::Digest([1; 32]), count: 1 };
    let answer = sdpp_ledger::prepare(&poor, 0, &Call::Anchor(root)).await;
    is_unavailable(&answer, "fund it");
    let answer = sdpp_ledger::prepare(&poor, 0, &Call::Transfer(transfer(1, 1))).await;
    is_refused(&answer, "InsufficientFunds");
    assert!(poor.reserve().await.unwrap() > Amount::ZERO);
}

#[tokio::test]
async fn bytes_that_are_not_ours_are_not_sent() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let ledger = at(&anvil, 1).await;
    let other = ledger.signed_by(key(1));
    let foreign = signed(&other, &Call::Transfer(transfer(7, 1))).await;
    is_refused(&ledger.submit(&foreign).await, "Malformed");
    let mut cut = foreign.clone();
    cut.raw.pop();
    is_refused(&other.submit(&cut).await, "Malformed");
    anvil.ask("anvil_setChainId", json!([5])).await;
    let on_five = Settings { chain_id: 5, ..settings(&[anvil.url()], 1) };
    let on_five = EthereumLedger::connect(on_five, key(1)).await.unwrap();
    is_refused(&on_five.submit(&foreign).await, "WrongChain");
}
