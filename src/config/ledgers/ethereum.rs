//! EVM chains: reached over their endpoints, and what an operator does on them by hand.

use super::{Asks, Deployed, OpenError, Token, Transaction};
use crate::config::{EndpointFrom, Ethereum};
use crate::keystore::KeystoreError;
use sdpp_ledger::{Account, Amount, Asset, Call, Key, LedgerError, Reference, Transfer};
use sdpp_ledger_ethereum::{Endpoint, EthereumLedger, Settings};
use std::time::Duration;

/// Reaches the chain, and sees that it is the one which the config means.
pub(super) async fn connect(
    name: &str,
    chain: &Ethereum,
    patience_ms: u64,
    key: Key,
) -> Result<EthereumLedger, OpenError> {
    let untold = |source| OpenError::Endpoint { ledger: name.to_owned(), source };
    let endpoints: Result<Vec<Endpoint>, _> = chain.endpoints.iter().map(endpoint).collect();
    let settings = Settings {
        chain_id: chain.chain_id,
        endpoints: endpoints.map_err(untold)?,
        escrow: chain.escrow.clone(),
        bonds: chain.bonds.clone(),
        depth: chain.depth,
        fee_ceiling: chain.fee_ceiling,
        patience: Duration::from_millis(patience_ms),
    };
    EthereumLedger::connect(settings, key).await.map_err(|source| OpenError::Unreachable {
        ledger: name.to_owned(),
        address: chain.endpoints.iter().map(EndpointFrom::to_string).collect::<Vec<_>>().join(", "),
        hint: match source {
            LedgerError::Unavailable { .. } => {
                format!("start its node, or mend the endpoints in [ledgers.{name}]")
            }
            LedgerError::Refused { .. } => {
                format!("mend chain_id, endpoints, escrow or bonds in [ledgers.{name}]")
            }
        },
        source,
    })
}

/// Pays somebody from our account, and waits until it is final.
pub(super) async fn send(
    ledger: &EthereumLedger,
    to: &Account,
    asset: &Asset,
    amount: Amount,
) -> Result<(), LedgerError> {
    if to == sdpp_ledger::Ledger::account(ledger) {
        let why = "a chain makes no money for us: ours pays others; say which with --account";
        return Err(LedgerError::refused("NoFaucet", why));
    }
    let mut reference = Reference([0; 32]);
    getrandom::getrandom(&mut reference.0)
        .map_err(|error| LedgerError::unavailable(format!("no randomness: {error}")))?;
    let (to, asset) = (to.clone(), asset.clone());
    let call = Call::Transfer(Transfer { to, asset, amount, reference });
    ledger.send_and_wait(&call).await.map(drop)
}

fn endpoint(from: &EndpointFrom) -> Result<Endpoint, KeystoreError> {
    let why = "it is no URL such as https://HOST/PATH";
    let wrong = || KeystoreError::Secret { place: from.to_string(), why };
    from.read()?.trim().parse().map_err(|_| wrong())
}

impl From<sdpp_ledger_ethereum::TxView> for Transaction {
    fn from(view: sdpp_ledger_ethereum::TxView) -> Self {
        let sdpp_ledger_ethereum::TxView { tx, from, number, to, value, call, finality } = view;
        let asks = call.map_or(Asks::Other { to, value }, Asks::Call);
        Transaction { tx, from, number: Some(number), asks, finality }
    }
}

impl From<sdpp_ledger_ethereum::Deployed> for Deployed {
    fn from(deployed: sdpp_ledger_ethereum::Deployed) -> Self {
        let sdpp_ledger_ethereum::Deployed { tx, contract, height } = deployed;
        Deployed { tx, contract, height }
    }
}

impl From<sdpp_ledger_ethereum::Token> for Token {
    fn from(token: sdpp_ledger_ethereum::Token) -> Self {
        let sdpp_ledger_ethereum::Token { symbol, decimals } = token;
        Token { symbol, decimals }
    }
}
