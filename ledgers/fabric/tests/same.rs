//! Stories of a gateway behind which there is another ledger than before: it has the same names and
//! the same accounts, and none of what is owed is paid there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{
    MONEY, Market, anchor, claim, connected, evidence, is_unavailable, landed, settings, signed,
};
use sdpp_ledger::{Anchor, Call, Ledger, Payments, Records};
use sdpp_ledger_fabric::FabricLedger;
use std::time::{Duration, Instant};

/// Two ledgers, and a way to the first that can be pointed at the second.
struct Two {
    ours: Market,
    other: Market,
    proxy: Proxy,
    buyer: FabricLedger,
}

impl Two {
    async fn open() -> Option<Two> {
        let (ours, other) = (Market::open().await?, Market::open().await?);
        assert_eq!(ours.buyer.account(), other.buyer.account(), "else nobody could be deceived");
        assert_ne!(ours.buyer.id(), other.buyer.id());
        let proxy = Proxy::start(ours.double.host()).await;
        let buyer = connected(settings(&ours.gateway.through(proxy.url()), "buyer")).await;
        Some(Two { ours, other, proxy, buyer })
    }

    /// How often somebody looked which ledger it is.
    fn looks(&self) -> usize {
        self.proxy.asked().iter().filter(|asked| asked.what == "GET /blocks/0").count()
    }

    /// Nothing is sent to the other ledger and nothing is believed of it, and what is owed is paid
    /// on ours once it is back.
    async fn keeps_to_ours(&self) {
        let Two { ours, other, proxy, buyer } = self;
        let transfer = ours.transfer(MONEY, 10);
        let payment = signed(buyer, &Call::Transfer(transfer.clone())).await;
        let before = signed(buyer, &anchor()).await;
        let tx = ours.buyer.submit(&before).await.unwrap();
        let newest = other.gateway.height("seller").await;
        let Call::Anchor(Anchor::One { reference, digest }) = anchor() else { unreachable!() };
        let record = Anchor::One { reference, digest };
        proxy.point_at(other.double.host());
        for said in [
            is_unavailable(&buyer.submit(&payment).await),
            is_unavailable(&buyer.finality(&before).await),
            is_unavailable(&buyer.finality(&payment).await),
            is_unavailable(&buyer.paid(&claim(&tx, &transfer)).await),
            is_unavailable(&buyer.anchored(&tx, &record).await),
            is_unavailable(&buyer.clone().status().await),
            is_unavailable(&buyer.spendable(&MONEY.parse().unwrap()).await),
        ] {
            assert!(said.contains("another ledger"), "{said}");
        }
        assert_eq!(other.gateway.height("seller").await, newest, "something was sent there");
        proxy.point_at(ours.double.host());
        let (tx, outages) = landed(buyer, &payment).await;
        assert_eq!((evidence(buyer, &payment).await.tx, outages), (tx, 0));
        evidence(buyer, &before).await;
    }
}

/// The clock goes on by so much at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_gateway_that_is_pointed_at_another_ledger_is_noticed_after_some_seconds() {
    let Some(two) = Two::open().await else { return };
    two.buyer.status().await.unwrap();
    let transfer = two.ours.transfer(MONEY, 1);
    signed(&two.buyer, &Call::Transfer(transfer)).await;
    pass(Duration::from_secs(6)).await;
    two.keeps_to_ours().await;
}

#[tokio::test]
async fn a_gateway_that_comes_back_with_another_ledger_is_noticed_at_once() {
    let Some(two) = Two::open().await else { return };
    for fault in [Fault::Close, Fault::Say(502, String::new())] {
        two.proxy.always("", fault);
        is_unavailable(&two.buyer.status().await);
        two.proxy.calm();
        two.keeps_to_ours().await;
    }
}

#[tokio::test]
async fn however_much_is_asked_of_a_ledger_it_is_looked_at_once_in_some_seconds() {
    let Some(two) = Two::open().await else { return };
    let ask = async |count: usize| {
        let clones = (0..count).map(|_| two.buyer.clone());
        let mut set: tokio::task::JoinSet<_> =
            clones.map(|buyer| async move { buyer.status().await }).collect();
        while let Some(told) = set.join_next().await {
            told.unwrap().unwrap();
        }
    };
    let before = two.looks();
    let began = Instant::now();
    pass(Duration::from_secs(6)).await;
    ask(20).await;
    ask(20).await;
    let (looks, gaps) = (two.looks() - before, began.elapsed().as_secs() / 5);
    assert!(looks >= 1 && looks as u64 <= 1 + gaps, "{looks} looks");
}
