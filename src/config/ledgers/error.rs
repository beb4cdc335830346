//! Why a ledger of a config cannot be opened: which, where, and what to do.

use crate::keystore::KeystoreError;
use sdpp_ledger::LedgerError;

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
    /// With what its config says it can never work: nobody was asked.
    #[error("ledger {ledger}: {why}: mend it in [ledgers.{ledger}]")]
    Unsound {
        /// The ledger's name in the config.
        ledger: String,
        /// What is wrong.
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
    /// Our account there could not be opened.
    #[error("our account on ledger {ledger} cannot be opened: {source}")]
    Account {
        /// The ledger's name in the config.
        ledger: String,
        /// What came back.
        source: LedgerError,
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
    /// No key signs there: a gateway does.
    #[error("ledger {ledger}: no key signs on a ledger of this kind, its gateway does")]
    NoKeys {
        /// The ledger's name in the config.
        ledger: String,
    },
    /// It takes a key to sign there, and the config has none.
    #[error("ledger {ledger}: it takes a key to sign there: write key = \"keystore:NAME\"")]
    NoKey {
        /// The ledger's name in the config.
        ledger: String,
    },
    /// Something else that its config names cannot be read.
    #[error("{key} of ledger {ledger}: {source}")]
    Unread {
        /// The ledger's name in the config.
        ledger: String,
        /// Which key of the config.
        key: &'static str,
        /// What is wrong with it.
        source: KeystoreError,
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
