//! Opening the ledgers of a config: from a name to something that can be asked. The one place that
//! names a concrete ledger, with what only one kind needs in a file of its own; its callers
//! hold traits.
//!
//! Nothing is tried again here: a ledger that is not there when it is opened is an error that
//! says which, where and what to do.

mod embedded;
#[cfg(feature = "ethereum")]
mod ethereum;

pub use embedded::{ChainRules, FAUCET, Served};

use super::{Config, Embedded, EndpointFrom, LedgerAt, LedgerConfig};
use crate::keystore::{KeyFrom, KeystoreError};
use sdpp_ledger::{
    Account, Amount, Asset, Call, Channel, ChannelId, Finality, Key, Ledger, LedgerError, TxId,
    keccak,
};
use sdpp_ledger_embedded::{EmbeddedLedger, Node, TxRecord};
#[cfg(feature = "ethereum")]
use sdpp_ledger_ethereum::EthereumLedger;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
    /// Nobody answers where it should be, or somebody else does.
    #[error("ledger {ledger} at {address}: {source}: {hint}")]
    Unreachable {
        /// The ledger's name in the config.
        ledger: String,
        /// Where it should be.
        address: String,
        /// What came back.
        source: LedgerError,
        /// What to do.
        hint: String,
    },
    /// Where it should be asked is not told.
    #[error("an endpoint of ledger {ledger}: {source}")]
    Endpoint {
        /// The ledger's name in the config.
        ledger: String,
        /// What is wrong with the place that its URL comes from.
        source: KeystoreError,
    },
    /// This program was built without that kind of ledger.
    #[error("ledger {ledger}: this sdpp was built without its kind: build one with all features")]
    NotBuilt {
        /// The ledger's name in the config.
        ledger: String,
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
    kind: Kind,
}

/// What a ledger can be asked for beyond the traits.
#[derive(Clone)]
enum Kind {
    Embedded(Arc<dyn Node>),
    #[cfg(feature = "ethereum")]
    Ethereum(EthereumLedger),
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
    pub asks: Asks,
    /// How final it is.
    pub finality: Finality,
}

/// What a transaction asks a ledger for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// Something that we could have asked for.
    Call(Call),
    /// Something else.
    Other {
        /// Of whom; `None` where it makes a contract.
        to: Option<Account>,
        /// What it brings along, in the coin's smallest unit.
        value: Amount,
    },
}

/// Something that was put on a ledger, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The transaction that did it.
    pub tx: TxId,
    /// Where it is now.
    pub contract: Account,
    /// Height of its block.
    pub height: u64,
}

/// What a ledger says of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What people write behind an amount.
    pub symbol: String,
    /// How many decimals a whole one has.
    pub decimals: u8,
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

    /// As [`Opened::open`], but whatever contract the config names: to deploy another.
    ///
    /// # Errors
    /// As [`Opened::open`].
    pub async fn open_to_deploy(
        config: &Config,
        name: &str,
        keys: &mut Keyring,
    ) -> Result<Self, OpenError> {
        let mut written = known(config, name)?.clone();
        if let LedgerAt::Ethereum(chain) = &mut written.at {
            chain.escrow = None;
        }
        let key = keys.open(&written.key);
        let key = key.map_err(|source| OpenError::Key { ledger: name.to_owned(), source })?;
        Self::with_key(name, &written, key).await
    }

    async fn with_key(name: &str, written: &LedgerConfig, key: Key) -> Result<Self, OpenError> {
        match &written.at {
            LedgerAt::Embedded(place) => {
                let node = embedded::open(name, place, written.patience_ms).await?;
                Ok(Opened::on_node(node, key))
            }
            #[cfg(feature = "ethereum")]
            LedgerAt::Ethereum(chain) => {
                let ledger = ethereum::connect(name, chain, written.patience_ms, key).await?;
                Ok(Opened::on_chain(ledger))
            }
            #[cfg(not(feature = "ethereum"))]
            LedgerAt::Ethereum(_) => Err(OpenError::NotBuilt { ledger: name.to_owned() }),
        }
    }

    fn on_node(node: Arc<dyn Node>, key: Key) -> Self {
        let ledger = Arc::new(EmbeddedLedger::new(Arc::clone(&node), key));
        Opened { ledger, kind: Kind::Embedded(node) }
    }

    #[cfg(feature = "ethereum")]
    fn on_chain(ledger: EthereumLedger) -> Self {
        Opened { ledger: Arc::new(ledger.clone()), kind: Kind::Ethereum(ledger) }
    }

    /// The same ledger as another account sees it: where seller and buyer live in one process.
    pub fn signed_by(&self, key: Key) -> Opened {
        match &self.kind {
            Kind::Embedded(node) => Opened::on_node(Arc::clone(node), key),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => Opened::on_chain(ledger.signed_by(key)),
        }
    }

    /// The ledger, for whoever has sessions to settle.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Gives an account money: out of nothing where the ledger has a faucet, else from our own,
    /// and then it is final when this returns. Asked twice it gives twice.
    ///
    /// # Errors
    /// What the ledger answers; so for all of these.
    pub async fn fund(
        &self,
        account: &Account,
        asset: &Asset,
        amount: Amount,
    ) -> Result<(), LedgerError> {
        match &self.kind {
            Kind::Embedded(node) => node.fund(account, asset, amount).await,
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => ethereum::send(ledger, account, asset, amount).await,
        }
    }

    /// A transaction by its id.
    pub async fn transaction(&self, tx: &TxId) -> Result<Option<Transaction>, LedgerError> {
        match &self.kind {
            Kind::Embedded(node) => Ok(node.tx(tx).await?.map(Transaction::from)),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => Ok(ledger.transaction(tx).await?.map(Transaction::from)),
        }
    }

    /// An account's newest transactions, the newest first, so many at most.
    pub async fn history(
        &self,
        account: &Account,
        limit: u32,
    ) -> Result<Vec<Transaction>, LedgerError> {
        match &self.kind {
            Kind::Embedded(node) => {
                let records = node.history(account, limit).await?;
                Ok(records.into_iter().map(Transaction::from).collect())
            }
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(_) => Err(ethereum::keeps_no_list("transactions: name one by its id")),
        }
    }

    /// The channels that an account pays into or is paid from.
    pub async fn channels(
        &self,
        account: &Account,
    ) -> Result<Vec<(ChannelId, Channel)>, LedgerError> {
        match &self.kind {
            Kind::Embedded(node) => node.channels(account).await,
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(_) => Err(ethereum::keeps_no_list("channels: the journal does")),
        }
    }

    /// Puts the contract on the ledger that channels and records need, from our own account; it
    /// is final when this returns. Asked twice it makes two. `grace_period` is how long a payee
    /// can still settle after the payer asked to close, for good.
    #[cfg_attr(not(feature = "ethereum"), allow(unused_variables))]
    pub async fn deploy_escrow(&self, grace_period: Duration) -> Result<Deployed, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Err(nothing_to_deploy()),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => ledger.deploy_escrow(grace_period).await.map(Deployed::from),
        }
    }

    /// Puts a token on the ledger that anybody can mint, all of `supply` ours, in its smallest
    /// unit; as [`Opened::deploy_escrow`].
    #[cfg_attr(not(feature = "ethereum"), allow(unused_variables))]
    pub async fn deploy_test_token(
        &self,
        symbol: &str,
        decimals: u8,
        supply: Amount,
    ) -> Result<Deployed, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Err(nothing_to_deploy()),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => {
                let deployed = ledger.deploy_token(symbol, symbol, decimals, supply).await;
                deployed.map(Deployed::from)
            }
        }
    }

    /// What a transaction cost in gas; `None` where there is no such thing, or no such transaction.
    #[cfg_attr(not(feature = "ethereum"), allow(unused_variables))]
    pub async fn gas_used(&self, tx: &TxId) -> Result<Option<u64>, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Ok(None),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => ledger.gas_used(tx).await,
        }
    }

    /// What the ledger's node says that it is; `None` for one that is part of sdpp.
    pub async fn software(&self) -> Result<Option<String>, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Ok(None),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => ledger.software().await.map(Some),
        }
    }

    /// What the ledger itself says of a token; `None` where it says nothing: an embedded one, and
    /// any about its own coin.
    #[cfg_attr(not(feature = "ethereum"), allow(unused_variables))]
    pub async fn token(&self, asset: &Asset) -> Result<Option<Token>, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Ok(None),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(_) if *asset == Asset::coin() => Ok(None),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => ledger.token(asset).await.map(|token| Some(token.into())),
        }
    }
}

impl From<TxRecord> for Transaction {
    fn from(record: TxRecord) -> Self {
        let finality = record.finality();
        let TxRecord { tx, from, number, call, .. } = record;
        let asks = Asks::Call(call);
        Transaction { tx, from, number, asks, finality }
    }
}

impl fmt::Display for LedgerAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerAt::Embedded(Embedded::InProcess { dir, .. }) => {
                write!(f, "embedded in {}", dir.display())
            }
            LedgerAt::Embedded(Embedded::Served { address }) => write!(f, "embedded at {address}"),
            LedgerAt::Ethereum(chain) => {
                write!(f, "chain {} at ", chain.chain_id)?;
                join(f, &chain.endpoints)?;
                chain.escrow.as_ref().map_or(Ok(()), |escrow| write!(f, ", escrow {escrow}"))
            }
        }
    }
}

fn known<'a>(config: &'a Config, name: &str) -> Result<&'a LedgerConfig, OpenError> {
    config.ledgers.get(name).ok_or_else(|| OpenError::NoSuchLedger {
        name: name.to_owned(),
        known: config.ledgers.keys().cloned().collect::<Vec<_>>().join(", "),
    })
}

fn nothing_to_deploy() -> LedgerError {
    LedgerError::refused("NothingToDeploy", "an embedded ledger brings its channels along")
}

fn join(f: &mut fmt::Formatter<'_>, endpoints: &[EndpointFrom]) -> fmt::Result {
    let written: Vec<String> = endpoints.iter().map(EndpointFrom::to_string).collect();
    f.write_str(&written.join(", "))
}
