//! Stories of a gateway that fails in the middle: whatever it says or does not say, what was
//! prepared happens once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{
    FIRST, IOUS, MONEY, Market, PATIENCE, Signer, anchor, asked_of_chaincode, connected, evidence,
    is_refused, is_unavailable, landed, settings, signed, transfer, with_ious,
};
use sdpp_ledger::{Amount, Call, Finality, Ledger, LedgerError, Payments, Signed};
use sdpp_ledger_fabric::FabricLedger;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long the gateway waits for a transaction here, which is less than a client of it waits.
const WAIT: [&str; 2] = ["--wait-ms", "200"];

/// One of each kind of thing that is put on the ledger, and its function.
fn calls(market: &Market) -> [(Call, &'static str); 3] {
    [
        (Call::Transfer(market.transfer(MONEY, 10)), "Pay"),
        (Call::Transfer(market.transfer(IOUS, 10)), "Owe"),
        (anchor(), "Anchor"),
    ]
}

/// How often it really happened: events are told by what changed something.
async fn times(market: &Market, signed: &Signed) -> usize {
    let (_, args) = asked_of_chaincode(signed);
    let told = market.gateway.told_since("seller", 0).await;
    told.iter().filter(|one| one.reference == args[0]).count()
}

/// Submits under a fault, which is an outage, and then until it lands; it happened once.
async fn lands_once(market: &Market, call: &Call, fault: Value, is_applied: bool) {
    let signed = signed(&market.buyer, call).await;
    market.double.faults.arm(fault.clone());
    let outage = is_unavailable(&market.buyer.submit(&signed).await);
    assert!(!outage.is_empty() && outage.len() < 1_000, "{fault}: {outage}");
    let told = market.buyer.finality(&signed).await.unwrap();
    match (is_applied, &told) {
        (true, Finality::Final(_)) | (false, Finality::Unknown) => {}
        _ => panic!("{fault}: {told:?}"),
    }
    let (tx, outages) = landed(&market.buyer, &signed).await;
    assert_eq!(outages, 0, "{fault}: one fault, one outage");
    let evidence = evidence(&market.buyer, &signed).await;
    assert_eq!(evidence.tx, tx, "{fault}");
    if let Finality::Final(first) = told {
        assert_eq!(first, evidence, "{fault}: final is for good");
    }
    assert_eq!(times(market, &signed).await, 1, "{fault}");
}

#[tokio::test]
async fn what_froze_or_was_cut_off_before_it_was_done_is_done_at_the_next_try() {
    let Some(market) = Market::open_with(&WAIT).await else { return };
    for fault in ["freeze", "close"] {
        for (call, func) in calls(&market) {
            let fault = json!({ "fault": fault, "when": "before", "func": func });
            lands_once(&market, &call, fault, false).await;
        }
    }
    assert_eq!(market.seller_has().await, FIRST + 20);
}

#[tokio::test]
async fn what_froze_or_was_cut_off_after_it_was_done_is_not_done_again() {
    let Some(market) = Market::open_with(&WAIT).await else { return };
    for fault in ["freeze", "close"] {
        for (call, func) in calls(&market) {
            let fault = json!({ "fault": fault, "when": "after", "func": func });
            lands_once(&market, &call, fault, true).await;
        }
    }
    assert_eq!(market.seller_has().await, FIRST + 20);
}

/// The gateway says that it timed out, and does it later all the same: perhaps before we try
/// again, perhaps after.
#[tokio::test]
async fn what_is_done_late_is_done_once_whenever_it_is_tried_again() {
    let Some(market) = Market::open_with(&WAIT).await else { return };
    for (call, func) in calls(&market) {
        for is_waited_for in [true, false] {
            let call = anew(&call);
            let signed = signed(&market.buyer, &call).await;
            let fault = json!({ "fault": "freeze", "when": "late", "func": func, "ms": 300 });
            market.double.faults.arm(fault);
            is_unavailable(&market.buyer.submit(&signed).await);
            assert_eq!(market.buyer.finality(&signed).await, Ok(Finality::Unknown), "not yet");
            if is_waited_for {
                until_final(&market.buyer, &signed).await;
            }
            let (tx, _) = landed(&market.buyer, &signed).await;
            assert_eq!(evidence(&market.buyer, &signed).await.tx, tx);
            // Whoever did not wait has sent it twice, and the late one is in a block too then.
            let copies = if is_waited_for { 1 } else { 2 };
            until_sent(&market, &signed, copies).await;
            assert_eq!(evidence(&market.buyer, &signed).await.tx, tx, "final is for good");
            assert_eq!(times(&market, &signed).await, 1, "{func}");
        }
    }
    assert_eq!(market.seller_has().await, FIRST + 20);
}

/// The same call under another reference.
fn anew(call: &Call) -> Call {
    match call {
        Call::Transfer(transfer) => Call::Transfer(sdpp_ledger::Transfer {
            reference: rig::reference(),
            ..transfer.clone()
        }),
        _ => anchor(),
    }
}

async fn until_final(ledger: &FabricLedger, signed: &Signed) {
    let since = Instant::now();
    while !matches!(ledger.finality(signed).await, Ok(Finality::Final(_))) {
        assert!(since.elapsed() < PATIENCE, "it never came");
    }
}

/// Waits until so many transactions under its reference are in blocks.
async fn until_sent(market: &Market, signed: &Signed, count: usize) {
    let (_, args) = asked_of_chaincode(signed);
    let since = Instant::now();
    loop {
        let newest = market.gateway.height("seller").await;
        let all = market.gateway.transactions("seller", 1..=newest).await;
        let is_ours = |tx: &Value| tx["actions"][0]["input"]["args"][1] == args[0].as_str();
        if all.iter().filter(|(_, tx)| is_ours(tx)).count() >= count {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "there were never {count} of them");
    }
}

#[tokio::test]
async fn each_thing_that_a_gateway_says_of_itself_is_an_outage_and_not_the_end() {
    let Some(market) = Market::open().await else { return };
    let texts = [
        "CONNECTION_FAILED",
        "SERVICE_UNAVAILABLE",
        "TIMEOUT",
        "MVCC_READ_CONFLICT",
        "PHANTOM_READ_CONFLICT",
        "Transaction processing for endorser [127.0.0.1:7051]: Chaincode status Code: (500) \
         UNKNOWN. Description: could not launch chaincode sdpp_1:ab: connection to sdpp_1:ab failed",
        "Failed to create new channel client: failed to create channel context: failed to get \
         client context to create channel client: user not found",
        "something that nobody has seen before",
        "",
    ];
    for text in texts {
        for (call, func) in calls(&market) {
            let fault = json!({ "fault": "refuse", "text": text, "func": func });
            lands_once(&market, &call, fault, false).await;
        }
    }
    assert_eq!(market.seller_has().await, FIRST + 10 * texts.len() as u128);
}

#[tokio::test]
async fn a_full_gateway_says_when_to_come_back() {
    let Some(market) = Market::open().await else { return };
    let signed = signed(&market.buyer, &anchor()).await;
    market.double.faults.arm(json!({ "fault": "inflight" }));
    match market.buyer.submit(&signed).await {
        Err(LedgerError::Unavailable { retry_after: Some(_), .. }) => {}
        other => panic!("{other:?}"),
    }
    market.buyer.submit(&signed).await.unwrap();
}

/// The gateway tries four times itself; a call that is invalid more often is tried anew by us.
#[tokio::test]
async fn a_call_that_is_invalid_again_and_again_lands_once_in_the_end() {
    let Some(market) = Market::open_with(&["--retry-ms", "10"]).await else { return };
    for (times, outages) in [(1, 0), (3, 0), (4, 1), (9, 2)] {
        let transfer = market.transfer(MONEY, 10);
        let signed = signed(&market.buyer, &Call::Transfer(transfer)).await;
        let fault = json!({ "fault": "conflict", "func": "Pay", "times": times });
        market.double.faults.arm(fault);
        let (tx, met) = landed(&market.buyer, &signed).await;
        assert_eq!(met, outages, "{times} conflicts");
        assert_eq!(evidence(&market.buyer, &signed).await.tx, tx);
        assert_eq!(self::times(&market, &signed).await, 1);
    }
    assert_eq!(market.seller_has().await, FIRST + 40);
}

#[tokio::test]
async fn a_chaincode_that_is_away_is_waited_for() {
    let Some(market) = Market::open().await else { return };
    let signed = signed(&market.buyer, &Call::Transfer(market.transfer(MONEY, 10))).await;
    market.double.faults.arm(json!({ "fault": "unplug" }));
    is_unavailable(&market.buyer.submit(&signed).await);
    is_unavailable(&market.buyer.finality(&signed).await);
    let asset = MONEY.parse().unwrap();
    is_unavailable(&market.buyer.balance(market.buyer.account(), &asset).await);
    market.double.faults.calm();
    landed(&market.buyer, &signed).await;
    assert_eq!(times(&market, &signed).await, 1);
}

#[tokio::test]
async fn a_gateway_that_is_started_again_finds_all_as_it_was() {
    let Some(market) = Market::open().await else { return };
    let before = signed(&market.buyer, &Call::Transfer(market.transfer(MONEY, 10))).await;
    let tx = market.buyer.submit(&before).await.unwrap();
    let during = signed(&market.buyer, &Call::Transfer(market.transfer(MONEY, 10))).await;
    let faults = market.double.faults.clone();
    let restarting = tokio::task::spawn_blocking(move || faults.restart(500));
    let (_, outages) = landed(&market.buyer, &during).await;
    restarting.await.unwrap();
    println!("{outages} outages while it was down");
    assert_eq!(evidence(&market.buyer, &before).await.tx, tx);
    for signed in [&before, &during] {
        market.buyer.submit(signed).await.unwrap();
        assert_eq!(times(&market, signed).await, 1);
    }
    assert_eq!(market.seller_has().await, FIRST + 20);
}

/// What the chaincode refuses will never work as it stands, and nothing happened.
#[tokio::test]
async fn a_refusal_of_the_chaincode_is_one_and_leaves_nothing() {
    let Some(market) = Market::open().await else { return };
    let poor = market.gateway.new_signer(false).await;
    let poor = connected(settings(&market.gateway, &poor.name)).await;
    let wanted = transfer(market.seller.account(), MONEY, 1);
    let signed = signed(&poor, &Call::Transfer(wanted)).await;
    is_refused(&poor.submit(&signed).await, "InsufficientFunds");
    assert_eq!(poor.finality(&signed).await, Ok(Finality::Unknown));
    // The very same bytes are good once there is money.
    let account = poor.account().as_str();
    market.gateway.mint("admin", account, MONEY, 1).await;
    let tx = poor.submit(&signed).await.unwrap();
    assert_eq!(evidence(&poor, &signed).await.tx, tx);
}

#[tokio::test]
async fn bytes_that_are_no_call_of_ours_are_never_sent() {
    let Some(market) = Market::open().await else { return };
    let signed = signed(&market.buyer, &Call::Transfer(market.transfer(MONEY, 10))).await;
    let text = String::from_utf8(signed.raw.clone()).unwrap();
    let altered = [
        String::new(),
        "{}".to_owned(),
        format!("{text} "),
        text.replace("Pay", "Sweep"),
        text.replace("Pay", "OpenAccount"),
        text.replacen('{', "{\"transientMap\":{},", 1),
        text.replace("\"10\"", "10"),
        text.replace("\"10\"", "\"010\""),
    ];
    for raw in altered {
        assert_ne!(raw, text, "nothing was altered");
        let signed = Signed { raw: raw.clone().into_bytes(), ..signed.clone() };
        is_refused(&market.buyer.submit(&signed).await, "Malformed");
    }
    assert_eq!(times(&market, &signed).await, 0);
}

/// One whose money is all in credits that nobody has swept.
async fn with_credits(market: &Market, count: u128) -> (Signer, FabricLedger) {
    let signer = market.gateway.new_signer(false).await;
    let mut set = JoinSet::new();
    for _ in 0..count {
        let (gateway, account) = (market.gateway.clone(), signer.account.clone());
        set.spawn(async move { gateway.mint("admin", &account, MONEY, 10).await });
    }
    assert_eq!(set.join_all().await.len() as u128, count);
    let ledger = connected(settings(&market.gateway, &signer.name)).await;
    (signer, ledger)
}

#[tokio::test]
async fn money_that_waits_in_credits_is_swept_when_it_is_needed() {
    let Some(market) = Market::open().await else { return };
    for (credits, amount) in [(1, 10), (3, 25), (120, 1_150)] {
        let (signer, payer) = with_credits(&market, credits).await;
        let asset = MONEY.parse().unwrap();
        assert_eq!(payer.spendable(&asset).await.unwrap().units(), credits * 10);
        let signed = signed(&payer, &Call::Transfer(market.transfer(MONEY, amount))).await;
        let (tx, _) = landed(&payer, &signed).await;
        assert_eq!(evidence(&payer, &signed).await.tx, tx);
        let left = market.gateway.total(&signer.name, &signer.account, MONEY).await;
        assert_eq!(left, credits * 10 - amount);
    }
}

#[tokio::test]
async fn a_sweep_that_is_cut_off_before_or_after_costs_nothing() {
    let Some(market) = Market::open_with(&WAIT).await else { return };
    for fault in ["freeze", "close"] {
        for when in ["before", "after"] {
            let (signer, payer) = with_credits(&market, 3).await;
            let signed = signed(&payer, &Call::Transfer(market.transfer(MONEY, 30))).await;
            market.double.faults.arm(json!({ "fault": fault, "when": when, "func": "Sweep" }));
            is_unavailable(&payer.submit(&signed).await);
            let (tx, _) = landed(&payer, &signed).await;
            assert_eq!(evidence(&payer, &signed).await.tx, tx);
            assert_eq!(market.gateway.total(&signer.name, &signer.account, MONEY).await, 0);
        }
    }
    assert_eq!(market.seller_has().await, FIRST + 120);
}

/// A process that was cut off and another that begins where it was: nothing is known but the
/// bytes.
#[tokio::test]
async fn another_handle_with_the_same_bytes_goes_on_where_one_was_cut_off() {
    let Some(market) = Market::open_with(&WAIT).await else { return };
    let signed = signed(&market.buyer, &Call::Transfer(market.transfer(MONEY, 10))).await;
    market.double.faults.arm(json!({ "fault": "freeze", "when": "after", "ms": 5_000 }));
    let cut = tokio::time::timeout(Duration::from_millis(300), market.buyer.submit(&signed)).await;
    assert!(cut.is_err(), "it was frozen: {cut:?}");
    let reborn = connected(settings(&market.gateway, "buyer")).await;
    let Finality::Final(told) = reborn.finality(&signed).await.unwrap() else { panic!("it is") };
    assert_eq!(reborn.submit(&signed).await, Ok(told.tx));
    assert_eq!(times(&market, &signed).await, 1);
}

/// What one endorser says against a transaction, as the gateway passes it on.
fn said(why: &str) -> Fault {
    let text = format!(
        "Failed to submit: Transaction processing for endorser [127.0.0.1:9051]: Chaincode status \
         Code: (500) UNKNOWN. Description: {why}"
    );
    Fault::Say(500, json!({ "error": text }).to_string())
}

/// An endorser of another organisation may be behind ours, and what was sent before may still be
/// ordered: what only it sees ends nothing.
#[tokio::test]
async fn a_refusal_that_our_own_peer_does_not_see_is_an_outage() {
    let Some(market) = Market::open().await else { return };
    let proxy = Proxy::start(market.double.host()).await;
    let through = market.gateway.through(proxy.url());
    let buyer = with_ious(settings(&through, "buyer"), MONEY, 1_000, &[]);
    let buyer = connected(buyer).await;
    for (asset, why) in [
        (MONEY, "NO_SUCH_ACCOUNT: the seller was not opened"),
        (IOUS, "NO_SUCH_ACCOUNT: the seller was not opened"),
        (MONEY, "CONFLICT: payment 0x01 exists with hash 0x02"),
        (MONEY, "INSUFFICIENT_FUNDS: 10 of Org1MSP/USD is more than the balance of 0"),
    ] {
        let signed = signed(&buyer, &Call::Transfer(market.transfer(asset, 10))).await;
        proxy.rule(move |asked| {
            (asked.what == "POST /transactions" && asked.func != "Sweep").then(|| said(why))
        });
        is_unavailable(&buyer.submit(&signed).await);
        proxy.calm();
        let (tx, outages) = landed(&buyer, &signed).await;
        assert_eq!((evidence(&buyer, &signed).await.tx, outages), (tx, 0), "{why}");
    }
    assert_eq!(market.seller_has().await, FIRST + 30);
}

/// A peer that has swept already lists no credits, and one that is behind still counts them.
#[tokio::test]
async fn credits_that_are_counted_and_not_listed_refuse_no_payment() {
    let Some(market) = Market::open().await else { return };
    let proxy = Proxy::start(market.double.host()).await;
    let payer = market.gateway.new_signer(false).await;
    market.gateway.mint("admin", &payer.account, MONEY, 10).await;
    let ledger = connected(settings(&market.gateway.through(proxy.url()), &payer.name)).await;
    let signed = signed(&ledger, &Call::Transfer(market.transfer(MONEY, 10))).await;
    let none = json!({ "result": { "credits": [], "more": false } }).to_string();
    proxy.rule(move |asked| (asked.func == "ListCredits").then(|| Fault::Say(200, none.clone())));
    is_unavailable(&ledger.submit(&signed).await);
    proxy.calm();
    landed(&ledger, &signed).await;
    assert_eq!(market.seller_has().await, FIRST + 10);
}

/// Each call gives anew, so what came of one is found out before anybody is told to give again.
#[tokio::test]
async fn a_gift_that_was_made_and_not_answered_is_found() {
    let Some(market) = Market::open().await else { return };
    let commit_patience = Duration::from_secs(2);
    let admin = settings(&market.gateway, "admin");
    let admin = connected(sdpp_ledger_fabric::Settings { commit_patience, ..admin }).await;
    market.double.faults.arm(json!({ "fault": "freeze", "when": "after", "func": "Mint" }));
    let (seller, amount) = (market.seller.account(), Amount::new(9));
    let given = admin.give(seller, &MONEY.parse().unwrap(), amount).await.unwrap();
    assert_eq!(given.amount, amount);
    assert_eq!(market.seller_has().await, FIRST + 9);
}
