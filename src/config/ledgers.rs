//! Opening the ledgers of a config: from a name to something that can be asked. The one place that
//! names a concrete ledger, with what only one kind needs in a file of its own; its callers
//! hold traits.
//!
//! Nothing is tried again here: a ledger that is not there when it is opened is an error that
//! says which, where and what to do.

mod bonds;
mod embedded;
mod error;
#[cfg(feature = "ethereum")]
mod ethereum;
#[cfg(feature = "fabric")]
mod fabric;
#[cfg(feature = "iota")]
mod iota;
mod told;

pub use embedded::{ChainRules, FAUCET, Served};
pub use error::OpenError;
pub use told::{Asks, Deployed, Token, Transaction};

use super::{Config, Embedded, EndpointFrom, Fabric, Iota, LedgerAt, LedgerConfig};
use crate::keystore::{KeyFrom, KeystoreError};
use sdpp_ledger::{
    Account, Amount, Asset, Channel, ChannelId, Key, Ledger, LedgerError, TxId, keccak,
};
use sdpp_ledger_embedded::{EmbeddedLedger, Node};
#[cfg(feature = "ethereum")]
use sdpp_ledger_ethereum::EthereumLedger;
#[cfg(feature = "fabric")]
use sdpp_ledger_fabric::FabricLedger;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
    #[cfg(feature = "fabric")]
    Fabric(FabricLedger),
    #[cfg(feature = "iota")]
    Iota(iota::Network),
}

impl Ledgers {
    /// Opens all ledgers of a config for sessions: where a currency of ours lives and accounts have
    /// to be opened there first, ours is.
    ///
    /// # Errors
    /// [`OpenError`] for the first that cannot be opened.
    pub async fn open(config: &Config, keys: &mut Keyring) -> Result<Self, OpenError> {
        let mut opened = BTreeMap::new();
        for name in config.ledgers.keys() {
            let one = Opened::open(config, name, keys).await?;
            if config.currencies.values().any(|currency| currency.ledger == *name) {
                let failed = |source| OpenError::Account { ledger: name.clone(), source };
                one.open_account().await.map_err(failed)?;
            }
            opened.insert(name.clone(), one);
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
    /// Opens one ledger of a config. Nothing is written there.
    ///
    /// # Errors
    /// [`OpenError`] says which, where and what to do.
    pub async fn open(config: &Config, name: &str, keys: &mut Keyring) -> Result<Self, OpenError> {
        let written = known(config, name)?;
        Self::with_key(name, written, unlocked(name, written, keys)?).await
    }

    /// Opens one ledger to look at it: no key of ours is unlocked, so nothing that it could sign
    /// would be of use to anybody. Where a gateway signs there is no key, and it is as
    /// [`Opened::open`].
    ///
    /// # Errors
    /// As [`Opened::open`].
    pub async fn open_to_read(config: &Config, name: &str) -> Result<Self, OpenError> {
        // Any key will do: this digest is a number below the curve's order.
        #[allow(clippy::expect_used)]
        let nobody = Key::from_bytes(&keccak(&[b"nobody"]).0).expect("it is a secret key");
        Self::with_key(name, known(config, name)?, Some(nobody)).await
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
            (chain.escrow, chain.bonds) = (None, None);
        }
        let key = unlocked(name, &written, keys)?;
        Self::with_key(name, &written, key).await
    }

    async fn with_key(
        name: &str,
        written: &LedgerConfig,
        key: Option<Key>,
    ) -> Result<Self, OpenError> {
        let key = || key.ok_or_else(|| OpenError::NoKey { ledger: name.to_owned() });
        match &written.at {
            LedgerAt::Embedded(place) => {
                let key = key()?;
                let node = embedded::open(name, place, written.patience_ms).await?;
                Ok(Opened::on_node(node, key))
            }
            #[cfg(feature = "ethereum")]
            LedgerAt::Ethereum(chain) => {
                let ledger = ethereum::connect(name, chain, written.patience_ms, key()?).await?;
                Ok(Opened::on_chain(ledger))
            }
            #[cfg(feature = "fabric")]
            LedgerAt::Fabric(gateway) => {
                let ledger = fabric::connect(name, gateway, written.patience_ms).await?;
                Ok(Opened { ledger: Arc::new(ledger.clone()), kind: Kind::Fabric(ledger) })
            }
            #[cfg(feature = "iota")]
            LedgerAt::Iota(network) => {
                let patience_ms = written.patience_ms;
                let network = iota::Network::connect(name, network, patience_ms, key()?).await?;
                Ok(Opened::on_network(network))
            }
            #[cfg(not(feature = "ethereum"))]
            LedgerAt::Ethereum(_) => Err(OpenError::NotBuilt { ledger: name.to_owned() }),
            #[cfg(not(feature = "fabric"))]
            LedgerAt::Fabric(_) => Err(OpenError::NotBuilt { ledger: name.to_owned() }),
            #[cfg(not(feature = "iota"))]
            LedgerAt::Iota(_) => Err(OpenError::NotBuilt { ledger: name.to_owned() }),
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

    #[cfg(feature = "iota")]
    fn on_network(network: iota::Network) -> Self {
        Opened { ledger: Arc::new(network.ledger.clone()), kind: Kind::Iota(network) }
    }

    /// The same ledger as another account sees it: where seller and buyer live in one process.
    ///
    /// # Errors
    /// [`OpenError::NoKeys`] where no key signs.
    pub fn signed_by(&self, key: Key) -> Result<Opened, OpenError> {
        match &self.kind {
            Kind::Embedded(node) => Ok(Opened::on_node(Arc::clone(node), key)),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => Ok(Opened::on_chain(ledger.signed_by(key))),
            #[cfg(feature = "fabric")]
            Kind::Fabric(ledger) => Err(OpenError::NoKeys { ledger: ledger.id().to_string() }),
            #[cfg(feature = "iota")]
            Kind::Iota(network) => Ok(Opened::on_network(network.signed_by(key))),
        }
    }

    /// The ledger, for whoever has sessions to settle.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Opens our account where a ledger wants that before it can be paid. Again it does nothing.
    ///
    /// # Errors
    /// What the ledger answers; so for all of these.
    pub async fn open_account(&self) -> Result<(), LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Ok(()),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(_) => Ok(()),
            #[cfg(feature = "fabric")]
            Kind::Fabric(ledger) => ledger.open_account().await,
            #[cfg(feature = "iota")]
            Kind::Iota(_) => Ok(()),
        }
    }

    /// Whether accounts have to be opened here before they can be paid.
    pub fn opens_accounts(&self) -> bool {
        match &self.kind {
            Kind::Embedded(_) => false,
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(_) => false,
            #[cfg(feature = "fabric")]
            Kind::Fabric(_) => true,
            #[cfg(feature = "iota")]
            Kind::Iota(_) => false,
        }
    }

    /// Whether our account can be paid.
    pub async fn is_open(&self) -> Result<bool, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Ok(true),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(_) => Ok(true),
            #[cfg(feature = "fabric")]
            Kind::Fabric(ledger) => ledger.is_open().await,
            #[cfg(feature = "iota")]
            Kind::Iota(_) => Ok(true),
        }
    }

    /// What an account owes in open promises of an asset; `None` where money is no promise.
    #[cfg_attr(not(feature = "fabric"), allow(unused_variables))]
    pub async fn owed(
        &self,
        account: &Account,
        asset: &Asset,
    ) -> Result<Option<Amount>, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Ok(None),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(_) => Ok(None),
            #[cfg(feature = "fabric")]
            Kind::Fabric(ledger) => fabric::owed(ledger, account, asset).await,
            #[cfg(feature = "iota")]
            Kind::Iota(_) => Ok(None),
        }
    }

    /// Gives an account money: out of nothing where the ledger has a faucet, else from our own,
    /// and then it is final when this returns. Asked twice it gives twice. What was given: a
    /// public faucet gives what it gives.
    pub async fn fund(
        &self,
        account: &Account,
        asset: &Asset,
        amount: Amount,
    ) -> Result<Amount, LedgerError> {
        match &self.kind {
            Kind::Embedded(node) => embedded::give(node, account, asset, amount).await,
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => ethereum::send(ledger, account, asset, amount).await,
            #[cfg(feature = "fabric")]
            Kind::Fabric(ledger) => fabric::give(ledger, account, asset, amount).await,
            #[cfg(feature = "iota")]
            Kind::Iota(network) => return network.give(account, asset, amount).await,
        }?;
        Ok(amount)
    }

    /// A transaction by its id.
    pub async fn transaction(&self, tx: &TxId) -> Result<Option<Transaction>, LedgerError> {
        match &self.kind {
            Kind::Embedded(node) => Ok(node.tx(tx).await?.map(Transaction::from)),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => Ok(ledger.transaction(tx).await?.map(Transaction::from)),
            #[cfg(feature = "fabric")]
            Kind::Fabric(ledger) => Ok(ledger.transaction(tx).await?.map(Transaction::from)),
            #[cfg(feature = "iota")]
            Kind::Iota(network) => Ok(network.ledger.transaction(tx).await?.map(Transaction::from)),
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
            Kind::Ethereum(_) => Err(keeps_no_list("transactions: name one by its id")),
            #[cfg(feature = "fabric")]
            Kind::Fabric(_) => Err(keeps_no_list("transactions: name one by its id")),
            #[cfg(feature = "iota")]
            Kind::Iota(_) => Err(keeps_no_list("transactions: name one by its id")),
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
            Kind::Ethereum(_) => Err(keeps_no_list(OF_CHANNELS)),
            #[cfg(feature = "fabric")]
            Kind::Fabric(_) => Ok(Vec::new()),
            #[cfg(feature = "iota")]
            Kind::Iota(_) => Ok(Vec::new()),
        }
    }

    /// Puts the contract on the ledger that channels and records need, from our own account; it
    /// is final when this returns. Asked twice it makes two. `grace_period` is how long a payee
    /// can still settle after the payer asked to close, for good.
    #[cfg_attr(not(feature = "ethereum"), allow(unused_variables))]
    pub async fn deploy_escrow(&self, grace_period: Duration) -> Result<Deployed, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Err(nothing_to_deploy()),
            #[cfg(feature = "fabric")]
            Kind::Fabric(_) => Err(fabric::nothing_to_deploy()),
            #[cfg(feature = "iota")]
            Kind::Iota(_) => Err(iota::nothing_to_deploy()),
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
            #[cfg(feature = "fabric")]
            Kind::Fabric(_) => Err(fabric::nothing_to_deploy()),
            #[cfg(feature = "iota")]
            Kind::Iota(_) => Err(iota::nothing_to_deploy()),
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
            #[cfg(feature = "fabric")]
            Kind::Fabric(_) => Ok(None),
            #[cfg(feature = "iota")]
            Kind::Iota(_) => Ok(None),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => ledger.gas_used(tx).await,
        }
    }

    /// What the ledger's node says that it is; `None` for one that is part of sdpp, or says nothing.
    pub async fn software(&self) -> Result<Option<String>, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Ok(None),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => ledger.software().await.map(Some),
            #[cfg(feature = "fabric")]
            Kind::Fabric(ledger) => ledger.software().await.map(Some),
            #[cfg(feature = "iota")]
            Kind::Iota(network) => network.ledger.software().await,
        }
    }

    /// What the ledger itself says of a token; `None` where it says nothing: an embedded one, and
    /// any about its own coin.
    #[cfg_attr(not(feature = "ethereum"), allow(unused_variables))]
    pub async fn token(&self, asset: &Asset) -> Result<Option<Token>, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Ok(None),
            #[cfg(feature = "fabric")]
            Kind::Fabric(_) => Ok(None),
            #[cfg(feature = "iota")]
            Kind::Iota(_) => Ok(None),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(_) if *asset == Asset::coin() => Ok(None),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => ledger.token(asset).await.map(|token| Some(token.into())),
        }
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
                chain.escrow.as_ref().map_or(Ok(()), |escrow| write!(f, ", escrow {escrow}"))?;
                chain.bonds.as_ref().map_or(Ok(()), |bonds| write!(f, ", bonds {bonds}"))
            }
            LedgerAt::Fabric(fabric) => {
                let Fabric { gateway, channel, chaincode, .. } = fabric.as_ref();
                write!(f, "channel {channel}, chaincode {chaincode} at {gateway}")
            }
            LedgerAt::Iota(Iota { chain, endpoint, .. }) => {
                write!(f, "network {chain} at {endpoint}")
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

/// The key that signs there, unlocked, where one does.
fn unlocked(
    name: &str,
    written: &LedgerConfig,
    keys: &mut Keyring,
) -> Result<Option<Key>, OpenError> {
    let key = written.key.as_ref().map(|from| keys.open(from)).transpose();
    key.map_err(|source| OpenError::Key { ledger: name.to_owned(), source })
}

/// What is not listed, and what knows our own.
#[cfg(feature = "ethereum")]
const OF_CHANNELS: &str =
    "channels; `sdpp audit --format json --config FILE` names those of our journal's sessions";

/// What a ledger does not answer without an index of its own.
#[cfg(any(feature = "ethereum", feature = "fabric", feature = "iota"))]
fn keeps_no_list(of: &str) -> LedgerError {
    LedgerError::refused("NotListed", format!("this ledger lists no account's {of}"))
}

fn nothing_to_deploy() -> LedgerError {
    LedgerError::refused("NothingToDeploy", "an embedded ledger brings its channels along")
}

fn join(f: &mut fmt::Formatter<'_>, endpoints: &[EndpointFrom]) -> fmt::Result {
    let written: Vec<String> = endpoints.iter().map(EndpointFrom::to_string).collect();
    f.write_str(&written.join(", "))
}
