//! Opening the ledgers of a config: from a name to something that can be asked. The one place
//! that names a concrete ledger; its callers hold traits.
//!
//! Nothing is tried again here: a ledger that is not there when it is opened is an error that
//! says which, where and what to do.

use super::{Config, Embedded, LedgerAt, LedgerConfig};
use crate::keystore::{KeyFrom, KeystoreError};
use sdpp_ledger::{
    Account, Amount, Asset, Call, Channel, ChannelId, Finality, Key, Ledger, LedgerError, LedgerId,
    TxId, keccak,
};
use sdpp_ledger_embedded::{
    Allocation, EmbeddedLedger, Genesis, LocalNode, Node, RemoteNode, TxRecord, system_clock,
};
use std::collections::BTreeMap;
use std::fmt;
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

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its key cannot be.
    #[error("the key of ledger {ledger}: {source}")]
    Key {
        /// The ledger's name in the config.
        ledger: String,
        /// What is wrong with the key.
        source: KeystoreError,
    },
    /// The folder that it lives in cannot be.
    #[error("ledger {ledger} in {folder}: {why}")]
    Closed {
        /// The ledger's name in the config.
        ledger: String,
        /// Its folder.
        folder: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// Nobody answers where it should be.
    #[error(
        "ledger {ledger} at {address}: {source}: start it (`sdpp ledger serve`), or mend the \
         address in [ledgers.{ledger}]"
    )]
    Unreachable {
        /// The ledger's name in the config.
        ledger: String,
        /// Where it should be.
        address: String,
        /// What came back.
        source: LedgerError,
    },
    /// The config names no such ledger.
    #[error("the config has no ledger {name:?}: name one of {known}")]
    NoSuchLedger {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
}

/// Keys that were opened, so that one which is used in several places is unlocked once: its
/// owner is asked for the password once, and unlocking is slow on purpose.
#[derive(Default)]
pub struct Keyring(Vec<(KeyFrom, Key)>);

impl Keyring {
    /// The key from there.
    ///
    /// # Errors
    /// As [`KeyFrom::open`].
    pub fn open(&mut self, from: &KeyFrom) -> Result<Key, KeystoreError> {
        if let Some((_, key)) = self.0.iter().find(|(known, _)| known == from) {
            return Ok(key.clone());
        }
        let key = from.open()?;
        self.0.push((from.clone(), key.clone()));
        Ok(key)
    }
}

/// The ledgers of a config, opened, by the names that it gives them.
pub struct Ledgers(BTreeMap<String, Opened>);

/// One ledger, opened.
#[derive(Clone)]
pub struct Opened {
    ledger: Arc<dyn Ledger>,
    node: Arc<dyn Node>,
}

/// A transaction as a ledger tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub tx: TxId,
    /// Who signed it.
    pub from: Account,
    /// The signer's number in it.
    pub number: u64,
    /// What it asks for.
    pub call: Call,
    /// How final it is.
    pub finality: Finality,
}

impl Ledgers {
    /// Opens all ledgers of a config.
    ///
    /// # Errors
    /// [`OpenError`] for the first that cannot be opened.
    pub async fn open(config: &Config, keys: &mut Keyring) -> Result<Self, OpenError> {
        let mut opened = BTreeMap::new();
        for name in config.ledgers.keys() {
            opened.insert(name.clone(), Opened::open(config, name, keys).await?);
        }
        Ok(Ledgers(opened))
    }

    /// A ledger by its name in the config. Whoever resolved the name with the same config finds
    /// it.
    pub fn named(&self, name: &str) -> Option<&Opened> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Opened)> {
        self.0.iter().map(|(name, opened)| (name.as_str(), opened))
    }
}

impl Opened {
    /// Opens one ledger of a config.
    ///
    /// # Errors
    /// [`OpenError`] says which, where and what to do.
    pub async fn open(config: &Config, name: &str, keys: &mut Keyring) -> Result<Self, OpenError> {
        let written = known(config, name)?;
        let source = keys.open(&written.key);
        let key = source.map_err(|source| OpenError::Key { ledger: name.to_owned(), source })?;
        Self::with_key(name, written, key).await
    }

    /// Opens one ledger to look at it: no key of ours is unlocked, so nothing that it could sign
    /// would be of use to anybody.
    ///
    /// # Errors
    /// As [`Opened::open`].
    pub async fn open_to_read(config: &Config, name: &str) -> Result<Self, OpenError> {
        // Any key will do: this digest is a number below the curve's order.
        #[allow(clippy::expect_used)]
        let nobody = Key::from_bytes(&keccak(&[b"nobody"]).0).expect("it is a secret key");
        Self::with_key(name, known(config, name)?, nobody).await
    }

    async fn with_key(name: &str, written: &LedgerConfig, key: Key) -> Result<Self, OpenError> {
        let LedgerAt::Embedded(place) = &written.at;
        let node: Arc<dyn Node> = match place {
            Embedded::InProcess { dir, genesis } => {
                let coins = genesis.iter().map(|(account, amount)| (account.clone(), *amount));
                let genesis = founded(coins, ChainRules::default());
                let node = LocalNode::open(dir, genesis, system_clock());
                Arc::new(node.map_err(|error| OpenError::Closed {
                    ledger: name.to_owned(),
                    folder: dir.display().to_string(),
                    why: error.to_string(),
                })?)
            }
            Embedded::Served { address } => {
                Arc::new(connect(name, address, written.patience_ms).await?)
            }
        };
        Ok(Opened { ledger: Arc::new(EmbeddedLedger::new(Arc::clone(&node), key)), node })
    }

    /// The same ledger as another account sees it: where seller and buyer live in one process.
    pub fn signed_by(&self, key: Key) -> Opened {
        let node = Arc::clone(&self.node);
        Opened { ledger: Arc::new(EmbeddedLedger::new(Arc::clone(&node), key)), node }
    }

    /// The ledger, for whoever has sessions to settle.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Creates money out of nothing, where the ledger has a faucet. Asked twice it creates twice.
    ///
    /// # Errors
    /// What the ledger answers; so for all of these.
    pub async fn fund(
        &self,
        account: &Account,
        asset: &Asset,
        amount: Amount,
    ) -> Result<(), LedgerError> {
        self.node.fund(account, asset, amount).await
    }

    /// A transaction by its id.
    pub async fn transaction(&self, tx: &TxId) -> Result<Option<Transaction>, LedgerError> {
        Ok(self.node.tx(tx).await?.map(Transaction::from))
    }

    /// An account's newest transactions, the newest first, so many at most.
    pub async fn history(
        &self,
        account: &Account,
        limit: u32,
    ) -> Result<Vec<Transaction>, LedgerError> {
        let records = self.node.history(account, limit).await?;
        Ok(records.into_iter().map(Transaction::from).collect())
    }

    /// The channels that an account pays into or is paid from.
    pub async fn channels(
        &self,
        account: &Account,
    ) -> Result<Vec<(ChannelId, Channel)>, LedgerError> {
        self.node.channels(account).await
    }
}

impl From<TxRecord> for Transaction {
    fn from(record: TxRecord) -> Self {
        let finality = record.finality();
        let TxRecord { tx, from, number, call, .. } = record;
        Transaction { tx, from, number, call, finality }
    }
}

impl fmt::Display for LedgerAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerAt::Embedded(Embedded::InProcess { dir, .. }) => {
                write!(f, "embedded in {}", dir.display())
            }
            LedgerAt::Embedded(Embedded::Served { address }) => write!(f, "embedded at {address}"),
        }
    }
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

fn known<'a>(config: &'a Config, name: &str) -> Result<&'a LedgerConfig, OpenError> {
    config.ledgers.get(name).ok_or_else(|| OpenError::NoSuchLedger {
        name: name.to_owned(),
        known: config.ledgers.keys().cloned().collect::<Vec<_>>().join(", "),
    })
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
