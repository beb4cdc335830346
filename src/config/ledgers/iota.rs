//! Networks of IOTA: reached over a node, and what an operator does on them by hand.

use super::{Asks, OpenError, Transaction};
use crate::config::{EndpointFrom, Iota, IotaScheme};
use crate::keystore::KeystoreError;
use sdpp_ledger::{Account, Amount, Asset, Endpoint, Key, Ledger as _, LedgerError};
use sdpp_ledger_iota::{IotaLedger, Scheme, Settings};
use std::time::Duration;

/// A network, and who gives coins away there.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) ledger: IotaLedger,
    faucet: Option<Endpoint>,
}

impl Network {
    /// Reaches the network, and sees that it is the one which the config means.
    pub(super) async fn connect(
        name: &str,
        iota: &Iota,
        patience_ms: u64,
        key: Key,
    ) -> Result<Network, OpenError> {
        let unread = |key| move |source| OpenError::Unread { ledger: name.to_owned(), key, source };
        let faucet = iota.faucet.as_ref().map(endpoint).transpose().map_err(unread("faucet"))?;
        let settings = Settings {
            chain: iota.chain.clone(),
            endpoint: endpoint(&iota.endpoint).map_err(unread("endpoint"))?,
            scheme: match iota.scheme {
                IotaScheme::Ed25519 => Scheme::Ed25519,
                IotaScheme::Secp256k1 => Scheme::Secp256k1,
            },
            fee_ceiling: iota.fee_ceiling,
            coins: iota.coins,
            patience: Duration::from_millis(patience_ms),
        };
        let reached = IotaLedger::connect(settings, key).await;
        let ledger = reached.map_err(|source| OpenError::Unreachable {
            ledger: name.to_owned(),
            address: iota.endpoint.to_string(),
            hint: hint(name, &source),
            source,
        })?;
        Ok(Network { ledger, faucet })
    }

    /// The same network as another account sees it.
    pub(super) fn signed_by(&self, key: Key) -> Network {
        Network { ledger: self.ledger.signed_by(key), faucet: self.faucet.clone() }
    }

    /// Asks the faucet for our own account, which gives what it gives; pays others from ours, and
    /// waits until it is final. What was given.
    pub(super) async fn give(
        &self,
        to: &Account,
        asset: &Asset,
        amount: Amount,
    ) -> Result<Amount, LedgerError> {
        if !Iota::is_money(asset) {
            let why = "the network's own coin is the only money here";
            return Err(LedgerError::refused("NoSuchAsset", why));
        }
        match &self.faucet {
            _ if to != self.ledger.account() => {
                let tell = |what: &str| tracing::warn!("{what}");
                self.ledger.give(to, amount, &tell).await.map(|_| amount)
            }
            Some(faucet) => self.ledger.fund(faucet).await,
            None => {
                let why = "this config names no faucet: ours pays others; say which with --account, \
                           or write faucet = \"URL\" where the network has one";
                Err(LedgerError::refused("NoFaucet", why))
            }
        }
    }
}

pub(super) fn nothing_to_deploy() -> LedgerError {
    let why = "payments and records need no contract on this network";
    LedgerError::refused("NothingToDeploy", why)
}

fn hint(name: &str, error: &LedgerError) -> String {
    match error {
        LedgerError::Unavailable { .. } => {
            format!("start its node, or mend endpoint in [ledgers.{name}]")
        }
        LedgerError::Refused { .. } => format!("mend chain or endpoint in [ledgers.{name}]"),
    }
}

fn endpoint(from: &EndpointFrom) -> Result<Endpoint, KeystoreError> {
    let why = "it is no URL such as https://HOST/PATH";
    let wrong = || KeystoreError::Secret { place: from.to_string(), why };
    from.read()?.trim().parse().map_err(|_| wrong())
}

impl From<sdpp_ledger_iota::TxView> for Transaction {
    fn from(view: sdpp_ledger_iota::TxView) -> Self {
        let sdpp_ledger_iota::TxView { tx, from, to, value, call, finality } = view;
        let asks = call.map_or(Asks::Other { to, value }, Asks::Call);
        Transaction { tx, from, number: None, asks, finality }
    }
}
