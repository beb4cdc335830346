//! The embedded ledger: opened in this process, reached in another, or served to others.

use super::{Asks, OpenError, Transaction};
use crate::config::Embedded;
use sdpp_ledger::{Account, Amount, Asset, LedgerError, LedgerId};
use sdpp_ledger_embedded::{
    Allocation, Genesis, LocalNode, Node, RemoteNode, TxRecord, system_clock,
};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most that one `fund` may create on an embedded ledger of this machine, in the smallest
/// unit of any asset, unless `sdpp ledger serve` says otherwise: a million coins of six decimals.
///
/// Such a ledger has a faucet because its coin is play money: whoever can open the folder, or
/// reach the port, could write what they like anyway. A folder served with the defaults can be
/// opened in a process and the other way round, since both found the same chain.
pub const FAUCET: Amount = Amount::new(1_000_000_000_000);

/// How long to wait at most before a node is asked for its newest block again.
const ASK_AGAIN_MS: u64 = 200;

/// Opens or reaches the node that has the chain.
pub(super) async fn open(
    name: &str,
    place: &Embedded,
    patience_ms: u64,
) -> Result<Arc<dyn Node>, OpenError> {
    match place {
        Embedded::InProcess { dir, genesis } => {
            let coins = genesis.iter().map(|(account, amount)| (account.clone(), *amount));
            let genesis = founded(coins, ChainRules::default());
            let node = LocalNode::open(dir, genesis, system_clock());
            Ok(Arc::new(node.map_err(|error| OpenError::Closed {
                ledger: name.to_owned(),
                folder: dir.display().to_string(),
                why: error.to_string(),
            })?))
        }
        Embedded::Served { address } => Ok(Arc::new(connect(name, address, patience_ms).await?)),
    }
}

/// Has the faucet give an account money; returns when that is final.
pub(super) async fn give(
    node: &Arc<dyn Node>,
    account: &Account,
    asset: &Asset,
    amount: Amount,
) -> Result<(), LedgerError> {
    node.fund(account, asset, amount).await?;
    let Genesis { block_time_ms, depth, .. } = *node.origin().genesis();
    if block_time_ms == 0 {
        // Blocks at once: it stands in one already, and only others' put more on top of it.
        return Ok(());
    }
    // It stands in the next block at the latest.
    let last = node.head().await?.height.saturating_add(depth);
    while node.head().await?.height < last {
        tokio::time::sleep(Duration::from_millis(block_time_ms.min(ASK_AGAIN_MS))).await;
    }
    Ok(())
}

/// The rules of an embedded chain. They are fixed when its folder is founded: opening it again
/// asks for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRules {
    /// Time between blocks in milliseconds; 0 for a block of its own for each transaction.
    pub block_time_ms: u64,
    /// How many blocks make a transaction final.
    pub depth: u64,
    /// How long a payee can still settle after the payer asked to close, in milliseconds.
    pub grace_period_ms: u64,
    /// The most that one `fund` may create; `None` for no faucet.
    pub faucet: Option<Amount>,
}

impl Default for ChainRules {
    fn default() -> Self {
        let Genesis { block_time_ms, depth, grace_period_ms, .. } = Genesis::default();
        ChainRules { block_time_ms, depth, grace_period_ms, faucet: Some(FAUCET) }
    }
}

/// An embedded ledger that is offered to other processes.
pub struct Served {
    node: Arc<dyn Node>,
    listener: tokio::net::TcpListener,
}

impl Served {
    /// Opens or founds the chain in a folder, with these first balances of its coin, and listens.
    ///
    /// # Errors
    /// What is wrong with the folder or the address, and what to do.
    pub async fn open(
        dir: &Path,
        listen: SocketAddr,
        coins: BTreeMap<Account, Amount>,
        rules: ChainRules,
    ) -> Result<Self, String> {
        let listener = tokio::net::TcpListener::bind(listen).await;
        let listener = listener.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
        let node = LocalNode::open(dir, founded(coins, rules), system_clock());
        let node = node.map_err(|error| error.to_string())?;
        Ok(Served { node: Arc::new(node), listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Which ledger it is.
    pub fn id(&self) -> &LedgerId {
        self.node.origin().ledger()
    }

    /// Answers until `shutdown` is ready.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        sdpp_ledger_embedded::serve(self.listener, self.node, shutdown).await;
    }
}

async fn connect(name: &str, address: &str, patience_ms: u64) -> Result<RemoteNode, OpenError> {
    let patience = Duration::from_millis(patience_ms);
    let late = || LedgerError::unavailable(format!("no answer within {patience_ms} ms"));
    let connected = tokio::time::timeout(patience, RemoteNode::connect(address)).await;
    let node = connected.unwrap_or_else(|_| Err(late()));
    node.map(|node| node.with_wait(patience)).map_err(|source| OpenError::Unreachable {
        ledger: name.to_owned(),
        address: address.to_owned(),
        source,
        hint: format!("start it (`sdpp ledger serve`), or mend the address in [ledgers.{name}]"),
    })
}

/// The genesis of a chain that begins now; where there is one in the folder, its own beginning
/// is kept.
fn founded(coins: impl IntoIterator<Item = (Account, Amount)>, rules: ChainRules) -> Genesis {
    let ChainRules { block_time_ms, depth, grace_period_ms, faucet } = rules;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = |(account, amount)| Allocation { account, asset: Asset::coin(), amount };
    Genesis {
        started_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        block_time_ms,
        depth,
        grace_period_ms,
        faucet,
        allocations: coins.into_iter().map(first).collect(),
        ..Genesis::default()
    }
}

impl From<TxRecord> for Transaction {
    fn from(record: TxRecord) -> Self {
        let finality = record.finality();
        let TxRecord { tx, from, number, call, .. } = record;
        let (number, asks) = (Some(number), Asks::Call(call));
        Transaction { tx, from, number, asks, finality }
    }
}
