//! Stories of a gateway that is none, or one that means harm: whatever it answers is an outage,
//! which ends within our patience and takes no more room than was said.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{
    FIRST, Gateway, MONEY, Market, anchor, claim, connected, id, is_unavailable, settings, signed,
};
use sdpp_ledger::{Call, Ledger, LedgerError, Payments, Records, Signed, Transfer};
use sdpp_ledger_fabric::{FabricLedger, Settings};
use std::time::{Duration, Instant};

/// How long the ledger here waits for any answer.
const PATIENCE: Duration = Duration::from_millis(700);

/// What it takes for an answer, at the very most: the rest is in the system's own buffers.
const ROOM: u64 = 64 << 20;

struct Hostile {
    market: Market,
    proxy: Proxy,
    ledger: FabricLedger,
    payment: Signed,
    transfer: Transfer,
}

impl Hostile {
    async fn open() -> Option<Hostile> {
        let market = Market::open().await?;
        let proxy = Proxy::start(market.double.host()).await;
        let through = market.gateway.through(proxy.url());
        let ledger = connected(impatient(&through)).await;
        let transfer = market.transfer(MONEY, 10);
        let payment = signed(&ledger, &Call::Transfer(transfer.clone())).await;
        Some(Hostile { market, proxy, ledger, payment, transfer })
    }

    /// Asks all that there is to ask; each is an outage in time.
    async fn all_are_outages(&self, what: &str) {
        let (ledger, tx) = (&self.ledger, id(&"ab".repeat(32)));
        let Call::Anchor(anchor) = anchor() else { panic!("an anchor") };
        let asset = MONEY.parse().unwrap();
        in_time(what, ledger.status()).await;
        in_time(what, ledger.submit(&self.payment)).await;
        in_time(what, ledger.finality(&self.payment)).await;
        in_time(what, ledger.paid(&claim(&tx, &self.transfer))).await;
        in_time(what, ledger.anchored(&tx, &anchor)).await;
        in_time(what, ledger.balance(ledger.account(), &asset)).await;
        in_time(what, ledger.transaction(&tx)).await;
        in_time(what, ledger.is_open()).await;
        in_time(what, ledger.ious(ledger.account(), MONEY)).await;
    }
}

fn impatient(gateway: &Gateway) -> Settings {
    Settings { patience: PATIENCE, commit_patience: PATIENCE, ..settings(gateway, "buyer") }
}

async fn in_time<T: std::fmt::Debug>(
    what: &str,
    asked: impl Future<Output = Result<T, LedgerError>>,
) {
    let since = Instant::now();
    let answer = asked.await;
    // One call may ask twice, and this machine may be busy.
    assert!(since.elapsed() < PATIENCE * 4, "{what}: {:?}", since.elapsed());
    let said = is_unavailable(&answer);
    assert!(said.len() < 1_000, "{what}: {} bytes were told", said.len());
    let is_clean = said.chars().all(|letter| !letter.is_control());
    assert!(is_clean, "{what}: {said:?}");
}

#[tokio::test]
async fn garbage_is_an_outage() {
    let Some(hostile) = Hostile::open().await else { return };
    let bodies = [
        "",
        "null",
        "[]",
        "{}",
        "garbage",
        "\u{1b}[2J\u{7}",
        "{\"result\":null}",
        "{\"result\":[]}",
        "{\"result\":{}}",
        "{\"result\":\"\"}",
        "{\"result\":{\"block\":{\"transactions\":null}}}",
        "{\"headers\":{},\"result\":{\"block\":{\"transactions\":[{}]}}}",
        "{\"transactionHash\":1}",
        "{\"transactionHash\":\"ab\",\"status\":\"VALID\"}",
        "{\"error\":{\"error\":\"\"}}",
    ];
    for body in bodies {
        for status in [200, 500] {
            hostile.proxy.always("", Fault::Say(status, body.to_owned()));
            hostile.all_are_outages(&format!("{status} {body:?}")).await;
        }
    }
    let deep = "[".repeat(500_000);
    hostile.proxy.always("", Fault::Say(200, deep));
    hostile.all_are_outages("deep").await;
    for bytes in [&b"\x16\x03\x01\x02"[..], b"HTTP/1.1 999999 \r\n\r\n", b"SSH-2.0\r\n", b"\0\0"] {
        hostile.proxy.always("", Fault::Bytes(bytes.to_vec()));
        hostile.all_are_outages("no HTTP").await;
    }
    hostile.proxy.always("", Fault::Close);
    hostile.all_are_outages("closed").await;
    hostile.goes_on().await;
}

impl Hostile {
    /// After all that it was told nothing has happened, and what was prepared is good.
    async fn goes_on(&self) {
        self.proxy.calm();
        let (tx, _) = rig::landed(&self.ledger, &self.payment).await;
        assert_eq!(rig::evidence(&self.ledger, &self.payment).await.tx, tx);
        assert_eq!(self.market.seller_has().await, FIRST + 10);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_never_ends_is_given_up() {
    let Some(hostile) = Hostile::open().await else { return };
    for fault in [Fault::Long(1 << 40), Fault::Long(ROOM * 8), Fault::Endless] {
        let before = hostile.proxy.sent();
        hostile.proxy.always("", fault.clone());
        let status = hostile.ledger.status().await;
        is_unavailable(&status);
        let taken = hostile.proxy.sent() - before;
        assert!(taken < ROOM, "{fault:?}: {taken} bytes were taken");
        hostile.all_are_outages(&format!("{fault:?}")).await;
    }
    hostile.goes_on().await;
}

#[tokio::test]
async fn who_answers_slowly_or_not_at_all_is_waited_for_as_long_as_was_said() {
    let Some(hostile) = Hostile::open().await else { return };
    for fault in [Fault::Silence, Fault::Drip(Duration::from_millis(100))] {
        hostile.proxy.always("", fault.clone());
        hostile.all_are_outages(&format!("{fault:?}")).await;
    }
    hostile.goes_on().await;
}

/// What is no gateway of ours is told when we connect, and what may be one later is an outage.
#[tokio::test]
async fn connecting_to_what_is_no_gateway_ends_in_time() {
    let Some(hostile) = Hostile::open().await else { return };
    let through = hostile.market.gateway.through(hostile.proxy.url());
    let faults = [
        Fault::Silence,
        Fault::Close,
        Fault::Endless,
        Fault::Say(200, "<html>".into()),
        Fault::Say(404, "404 page not found".into()),
        Fault::Say(503, String::new()),
        Fault::Bytes(b"SSH-2.0\r\n".to_vec()),
    ];
    for fault in faults {
        hostile.proxy.always("", fault.clone());
        let since = Instant::now();
        let answer = FabricLedger::connect(impatient(&through)).await;
        assert!(answer.is_err(), "{fault:?}");
        assert!(since.elapsed() < PATIENCE * 8, "{fault:?}: {:?}", since.elapsed());
    }
    hostile.proxy.calm();
    FabricLedger::connect(impatient(&through)).await.unwrap();
}

/// It gives its word for a transaction that is no such thing: whatever it says, what we are told
/// is an id and nothing else.
#[tokio::test]
async fn a_gateway_that_only_says_valid_is_not_believed() {
    let Some(hostile) = Hostile::open().await else { return };
    let said = format!(
        "{{\"headers\":{{}},\"blockNumber\":3,\"transactionHash\":\"{}\",\"status\":\"VALID\"}}",
        "ab".repeat(32)
    );
    let answer = Fault::Say(200, said);
    hostile.proxy.always("POST /transactions", answer);
    let submitted = hostile.ledger.submit(&hostile.payment).await;
    is_unavailable(&submitted);
    hostile.goes_on().await;
}
