//! Networks of IOTA, and what only goes together with one.

use super::super::file::{LedgerFile, SecretText};
use super::super::{CurrencyConfig, EndpointFrom, Iota};
use super::Outcome;
use super::ethereum::endpoint;
use super::value::{PATIENCE_MS, within, wrong};
use crate::terms::Method;
use sdpp_ledger::{Account, Amount};
use std::ops::RangeInclusive;
use std::path::Path;

/// Seven hundredths of a coin of deposits for the most that one transaction makes of its change,
/// and its gas.
const FEE_CEILING_DEFAULT: Amount = Amount::new(100_000_000);
/// A payment with its deposits takes some 4,000,000 NANOS while it is tried, and no network takes a
/// budget above 50 coins.
const FEE_CEILING: RangeInclusive<u64> = 5_000_000..=50_000_000_000;
/// Enough for a seller's or a buyer's windows; each costs a deposit of 980,400 NANOS.
const COINS_DEFAULT: u64 = 24;
/// What a node shows of an account's coins at once is cut in pages; more are not worth the deposits.
const COINS: RangeInclusive<u64> = 1..=500;
/// A transaction is executed within half a second and stands in a checkpoint soon after.
const POLL_MS_DEFAULT: u64 = 500;
const POLL_MS: RangeInclusive<u64> = 10..=*PATIENCE_MS.end();
/// The address of nobody, to which coins would be lost.
const NOBODY: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";

pub(super) fn network(name: &str, written: LedgerFile, base: &Path) -> Outcome<Iota> {
    let at = |key: &'static str| ["ledgers", name, key];
    if !cfg!(feature = "iota") {
        let what = "this sdpp was built without IOTA: build one with `--features iota`";
        return Err(wrong(&at("kind"), what));
    }
    let what = "where is a node of it? endpoint = \"https://api.mainnet.iota.cafe\"";
    let node = written.endpoint.as_ref().ok_or_else(|| wrong(&["ledgers", name], what))?;
    let ceiling = written.fee_ceiling.map_or(FEE_CEILING_DEFAULT, |units| units.0);
    let nanos = u64::try_from(ceiling.units()).unwrap_or(u64::MAX);
    let faucet = written.faucet.as_ref().map(|text| url(&at("faucet"), text, base));
    Ok(Iota {
        chain: chain(name, written.chain)?,
        endpoint: url(&at("endpoint"), node, base)?,
        faucet: faucet.transpose()?,
        scheme: written.scheme.unwrap_or_default(),
        fee_ceiling: within(&at("fee_ceiling"), nanos, FEE_CEILING).map(|_| ceiling)?,
        // It is 500 at most.
        coins: within(&at("coins"), written.coins.unwrap_or(COINS_DEFAULT), COINS)? as usize,
        poll_ms: within(&at("poll_ms"), written.poll_ms.unwrap_or(POLL_MS_DEFAULT), POLL_MS)?,
    })
}

/// What a currency may be on a network of IOTA.
pub(super) fn currency(name: &str, meant: &CurrencyConfig) -> Outcome<()> {
    let at = |key: &'static str| ["currencies", name, key];
    if !Iota::is_money(&meant.asset) {
        return Err(wrong(&at("asset"), "payments here are in the network's own: write \"coin\""));
    }
    if meant.decimals != Iota::COIN_DECIMALS {
        let what = "the network counts its coin in NANOS: write decimals = 9";
        return Err(wrong(&at("decimals"), what));
    }
    if meant.methods.contains(&Method::Escrow) {
        let what = "there is no escrow on this ledger: write methods = [\"transfer\"]";
        return Err(wrong(&at("methods"), what));
    }
    Ok(())
}

/// An account as this ledger writes it.
pub(super) fn account(at: &[&str], text: &str) -> Outcome<Account> {
    let what = "an account on this ledger is 0x and 64 lower-case hex digits; `sdpp ledger status` \
                prints yours";
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 64 && is_hex(digits));
    if digits.is_none() {
        return Err(wrong(at, what));
    }
    if text == NOBODY {
        return Err(wrong(at, "address zero is nobody's"));
    }
    text.parse().map_err(|_| wrong(at, what))
}

fn chain(name: &str, written: Option<String>) -> Outcome<String> {
    let what = "which network? chain = \"6364aad5\" is mainnet, \"2304aa97\" testnet";
    let chain = written.ok_or_else(|| wrong(&["ledgers", name], what))?;
    if chain.len() != 8 || !is_hex(&chain) {
        let what = "a chain identifier is 8 lower-case hex digits: \"6364aad5\" is mainnet, \
                    \"2304aa97\" testnet; a node tells its own (iota_getChainIdentifier)";
        return Err(wrong(&["ledgers", name, "chain"], what));
    }
    Ok(chain)
}

fn url(at: &[&str], text: &SecretText, base: &Path) -> Outcome<EndpointFrom> {
    let what = "expected \"http://HOST:PORT\" or https and nothing behind it, as that may be an API \
                key: then put the whole URL elsewhere and write \"env:NAME\" or \"file:PATH\". A key \
                that stood here has been in the open: replace it";
    endpoint(text, base).ok_or_else(|| wrong(at, what))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
