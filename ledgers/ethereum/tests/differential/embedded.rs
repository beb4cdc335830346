//! The embedded ledger, driven as every caller drives it.

use sdpp_ledger::{
    Account, Amount, Asset, Call, Channel, ChannelId, Domain, Finality, Key, Ledger, Row, prepare,
};
use sdpp_ledger_embedded::{Allocation, EmbeddedLedger, Genesis, LocalNode, Node};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Runtime;

/// One chain in memory, and a ledger for each key.
pub struct Embedded {
    runtime: Runtime,
    node: Arc<dyn Node>,
    ledgers: Vec<EmbeddedLedger>,
    now_ms: Arc<AtomicU64>,
}

impl Embedded {
    /// A chain on which each key's account has so much of each asset.
    pub fn new(
        chain_id: u64,
        started_s: u64,
        grace_s: u64,
        holdings: &[(Key, Amount)],
        assets: &[Asset],
    ) -> Embedded {
        let allocations = holdings.iter().flat_map(|(key, amount)| {
            let account = key.public().account();
            let of = move |asset: &Asset| Allocation {
                account: account.clone(),
                asset: asset.clone(),
                amount: *amount,
            };
            assets.iter().map(of)
        });
        let genesis = Genesis {
            chain_id,
            started_ms: started_s * 1_000,
            grace_period_ms: grace_s * 1_000,
            allocations: allocations.collect(),
            ..Genesis::default()
        };
        let now_ms = Arc::new(AtomicU64::new(genesis.started_ms));
        let clock = Arc::clone(&now_ms);
        let clock = Arc::new(move || clock.load(Ordering::Relaxed));
        let node: Arc<dyn Node> = Arc::new(LocalNode::in_memory(genesis, clock).unwrap());
        let ledger = |(key, _): &(Key, Amount)| EmbeddedLedger::new(Arc::clone(&node), key.clone());
        Embedded {
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            ledgers: holdings.iter().map(ledger).collect(),
            node,
            now_ms,
        }
    }

    /// The domain of its vouchers.
    pub fn domain(&self) -> Domain {
        self.node.origin().domain().clone()
    }

    /// What time it is from now on, in seconds since 1970 UTC.
    pub fn set_time(&self, now_s: u64) {
        self.now_ms.store(now_s * 1_000, Ordering::Relaxed);
    }

    /// One call in a block of its own, by the account of key number `by`: what became of a batch's
    /// rows. `Err` is the name of the refusal.
    pub fn call(&self, by: usize, call: &Call) -> Result<Vec<Row>, String> {
        let ledger = &self.ledgers[by];
        let done = self.runtime.block_on(async {
            let number = ledger.next_number().await.unwrap();
            let signed = prepare(ledger, number, call).await.unwrap();
            ledger.submit(&signed).await.unwrap();
            ledger.finality(&signed).await.unwrap()
        });
        match done {
            Finality::Final(evidence) => Ok(evidence.rows),
            Finality::Reverted { why, .. } => Err(why.split(':').next().unwrap().to_owned()),
            other => panic!("{call:?} is {other:?}"),
        }
    }

    /// What an account has.
    pub fn balance(&self, account: &Account, asset: &Asset) -> Amount {
        self.runtime.block_on(self.node.balance(account, asset)).unwrap()
    }

    /// A channel as the ledger tells it.
    pub fn channel(&self, id: &ChannelId) -> Option<Channel> {
        self.runtime.block_on(self.node.channel(id)).unwrap()
    }
}
