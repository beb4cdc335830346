//! Channels of Hyperledger Fabric: reached through their gateway, which signs for us.

use super::{Asks, OpenError, Transaction};
use crate::config::{EndpointFrom, Fabric, LoginFrom, pem};
use crate::keystore::KeystoreError;
use sdpp_ledger::{Account, Amount, Asset, Endpoint, LedgerError};
use sdpp_ledger_fabric::{FabricLedger, Login, Settings, Tls};
use std::time::Duration;
use zeroize::Zeroizing;

/// Reaches the gateway, and sees that the chaincode behind it is the one that is meant.
pub(super) async fn connect(
    name: &str,
    fabric: &Fabric,
    patience_ms: u64,
) -> Result<FabricLedger, OpenError> {
    let unread = |key| move |source| OpenError::Unread { ledger: name.to_owned(), key, source };
    let settings = Settings {
        gateway: gateway(&fabric.gateway).map_err(unread("gateway"))?,
        channel: fabric.channel.clone(),
        chaincode: fabric.chaincode.clone(),
        signer: fabric.signer.clone(),
        login: fabric.login.as_ref().map(login).transpose().map_err(unread("the login"))?,
        tls: tls(fabric).map_err(unread("the TLS files"))?,
        patience: Duration::from_millis(patience_ms),
        commit_patience: Duration::from_millis(fabric.commit_patience_ms),
        in_flight_max: fabric.in_flight,
        events: fabric.events,
        ious_from: fabric.ious_from.clone(),
        owe_at_most: fabric.owe_at_most.clone(),
    };
    settings.check().map_err(|error| OpenError::Unsound {
        ledger: name.to_owned(),
        why: match error {
            LedgerError::Refused { why, .. } => why,
            LedgerError::Unavailable { what, .. } => what,
        },
    })?;
    FabricLedger::connect(settings).await.map_err(|source| OpenError::Unreachable {
        ledger: name.to_owned(),
        address: fabric.gateway.to_string(),
        hint: hint(name, &source),
        source,
    })
}

/// What an account owes in open IOUs; `None` for account money.
pub(super) async fn owed(
    ledger: &FabricLedger,
    account: &Account,
    asset: &Asset,
) -> Result<Option<Amount>, LedgerError> {
    match Fabric::unit_of(asset) {
        Some(unit) => Ok(Some(ledger.ious(account, unit).await?.owed.total)),
        None => Ok(None),
    }
}

/// Makes somebody money where we may, else pays it from our account, and waits until it is final.
pub(super) async fn give(
    ledger: &FabricLedger,
    to: &Account,
    asset: &Asset,
    amount: Amount,
) -> Result<(), LedgerError> {
    match ledger.give(to, asset, amount).await {
        Err(LedgerError::Refused { code, .. }) if code == "NoFaucet" => {
            let why = "we make no such money: ours pays others; say which with --account, or have \
                       an admin of its organisation give us some";
            Err(LedgerError::refused("NoFaucet", why))
        }
        given => given.map(drop),
    }
}

pub(super) fn nothing_to_deploy() -> LedgerError {
    let why = "a channel's organisations deploy its chaincode, with Fabric's own tools";
    LedgerError::refused("NothingToDeploy", why)
}

fn hint(name: &str, error: &LedgerError) -> String {
    match error {
        LedgerError::Unavailable { .. } => {
            format!("start it, or mend gateway in [ledgers.{name}]")
        }
        LedgerError::Refused { code, .. } if code == "NotTheChaincode" => format!(
            "mend channel or chaincode in [ledgers.{name}], or have the channel's organisations \
             deploy the one in contracts/fabric"
        ),
        LedgerError::Refused { .. } => {
            format!("mend it in [ledgers.{name}], or at the gateway and what stands before it")
        }
    }
}

fn gateway(from: &EndpointFrom) -> Result<Endpoint, KeystoreError> {
    let why = "it is no URL such as https://HOST/PATH";
    let wrong = || KeystoreError::Secret { place: from.to_string(), why };
    from.read()?.trim().parse().map_err(|_| wrong())
}

fn login(from: &LoginFrom) -> Result<Login, KeystoreError> {
    match from {
        LoginFrom::Bearer { token } => Ok(Login::Bearer(token.read()?)),
        LoginFrom::Basic { user, password } => {
            Ok(Login::Basic { user: user.clone(), password: password.read()? })
        }
    }
}

fn tls(fabric: &Fabric) -> Result<Tls, KeystoreError> {
    let authorities = fabric.tls_ca.as_deref().map(pem::read).transpose()?;
    let identity = match &fabric.tls {
        Some(tls) => {
            let (certificate, key) = (pem::read(&tls.tls_certificate)?, tls.tls_key.read()?);
            // With room for both, so that no copy of the key is left behind by growth.
            let mut identity =
                Zeroizing::new(Vec::with_capacity(certificate.len() + 1 + key.len()));
            identity.extend_from_slice(&certificate);
            identity.push(b'\n');
            identity.extend_from_slice(key.as_bytes());
            Some(identity)
        }
        None => None,
    };
    Ok(Tls { authorities, identity })
}

impl From<sdpp_ledger_fabric::TxView> for Transaction {
    fn from(view: sdpp_ledger_fabric::TxView) -> Self {
        let sdpp_ledger_fabric::TxView { tx, from, call, function, finality } = view;
        let asks = call.map_or(Asks::Function(function), Asks::Call);
        Transaction { tx, from, number: None, asks, finality }
    }
}
