//! EVM chains, and what only goes together with one.

use super::super::file::{LedgerFile, SecretText};
use super::super::{CurrencyConfig, EndpointFrom, Ethereum};
use super::Outcome;
use super::secret::{is_variable, split};
use super::value::{PATIENCE_MS, account, within, wrong};
use crate::terms::Method;
use sdpp_ledger::{Account, Amount};
use std::ops::RangeInclusive;
use std::path::Path;

/// What EIP-155 leaves room for, and a TOML integer too.
const CHAIN_ID: RangeInclusive<u64> = 1..=i64::MAX as u64;
/// The most endpoints of one ledger: each one more is asked when those before it do not answer.
const ENDPOINTS_MAX: usize = 8;
/// The longest URL of an endpoint, in bytes.
const URL_BYTES_MAX: usize = 256;
/// More than a day of any chain's blocks are not waited for.
const DEPTH: RangeInclusive<u64> = 1..=100_000;
/// Two and a half minutes of Ethereum's blocks. What it calls finalized is a quarter of an hour old.
const DEPTH_DEFAULT: u64 = 12;
/// 100 gwei.
const FEE_CEILING_DEFAULT: Amount = Amount::new(100_000_000_000);
/// A second: Ethereum makes a block every twelve, most others every one or two.
const POLL_MS_DEFAULT: u64 = 1_000;
const POLL_MS: RangeInclusive<u64> = 10..=*PATIENCE_MS.end();
/// An EVM chain counts its coin in wei.
const COIN_DECIMALS: u8 = 18;
const NOBODY: &str = "0x0000000000000000000000000000000000000000";

pub(super) fn chain(name: &str, written: LedgerFile, base: &Path) -> Outcome<Ethereum> {
    let at = |key: &'static str| ["ledgers", name, key];
    if !cfg!(feature = "ethereum") {
        let what = "this sdpp was built without Ethereum: build one with `--features ethereum`";
        return Err(wrong(&at("kind"), what));
    }
    let what = "which chain? chain_id = 1 is Ethereum, 31337 an Anvil";
    let chain_id = written.chain_id.ok_or_else(|| wrong(&["ledgers", name], what))?;
    let fee_ceiling = written.fee_ceiling.map_or(FEE_CEILING_DEFAULT, |units| units.0);
    if fee_ceiling == Amount::ZERO {
        let what = "no chain takes transactions for nothing: write wei for a unit of gas";
        return Err(wrong(&at("fee_ceiling"), what));
    }
    if written.bonds.is_some() && written.escrow.is_none() {
        let what = "bonds are for channels of an escrow: name that too, as escrow = \"0x...\"";
        return Err(wrong(&at("bonds"), what));
    }
    Ok(Ethereum {
        chain_id: within(&at("chain_id"), chain_id, CHAIN_ID)?,
        endpoints: endpoints(name, &written.endpoints.unwrap_or_default(), base)?,
        escrow: written.escrow.map(|text| somebody(&at("escrow"), &text)).transpose()?,
        bonds: written.bonds.map(|text| somebody(&at("bonds"), &text)).transpose()?,
        depth: within(&at("depth"), written.depth.unwrap_or(DEPTH_DEFAULT), DEPTH)?,
        fee_ceiling,
        poll_ms: within(&at("poll_ms"), written.poll_ms.unwrap_or(POLL_MS_DEFAULT), POLL_MS)?,
    })
}

/// What a currency may be on an EVM chain.
pub(super) fn currency(name: &str, meant: &CurrencyConfig, chain: &Ethereum) -> Outcome<()> {
    let at = |key: &'static str| ["currencies", name, key];
    let asset = meant.asset.as_str();
    if asset != "coin" && account(&[], asset).map_or(true, |token| token.as_str() == NOBODY) {
        let what = "write \"coin\" for the chain's own, or a token's address: 0x and 40 \
                    lower-case hex digits";
        return Err(wrong(&at("asset"), what));
    }
    if asset == "coin" && meant.decimals != COIN_DECIMALS {
        let what = "an EVM chain counts its coin in wei: write decimals = 18";
        return Err(wrong(&at("decimals"), what));
    }
    if let Some(payee) = &meant.payee {
        somebody(&at("payee"), payee.as_str())?;
    }
    if chain.escrow.is_none() && meant.methods.contains(&Method::Escrow) {
        return Err(wrong(&at("methods"), no_contract(&meant.ledger, "the method \"escrow\"")));
    }
    Ok(())
}

/// That something needs the contract which the config does not name.
pub(super) fn no_contract(ledger: &str, what: &str) -> String {
    format!(
        "{what} needs the contract on this ledger: `sdpp ledger deploy {ledger}` makes one; write \
         its address as escrow = \"0x...\" in [ledgers.{ledger}]"
    )
}

fn endpoints(name: &str, written: &[SecretText], base: &Path) -> Outcome<Vec<EndpointFrom>> {
    if !(1..=ENDPOINTS_MAX).contains(&written.len()) {
        let what = format!(
            "who answers for the chain? endpoints = [\"http://127.0.0.1:8545\"], up to \
             {ENDPOINTS_MAX}"
        );
        let key = ["ledgers", name, "endpoints"];
        return Err(wrong(if written.is_empty() { &key[..2] } else { &key }, what));
    }
    let one = |(index, text): (usize, &SecretText)| {
        let what = "expected \"http://HOST:PORT\" or https and nothing behind it, as that may be \
                    an API key: then put the whole URL elsewhere and write \"env:NAME\" or \
                    \"file:PATH\". A key that stood here has been in the open: replace it";
        let refused = || wrong(&["ledgers", name, "endpoints", &index.to_string()], what);
        endpoint(text, base).ok_or_else(refused)
    };
    written.iter().enumerate().map(one).collect()
}

/// Where an endpoint is whose path may be an API key.
pub(super) fn endpoint(text: &SecretText, base: &Path) -> Option<EndpointFrom> {
    match split(text)? {
        ("env", name) => is_variable(name).then(|| EndpointFrom::Env(name.to_owned())),
        ("file", path) => Some(EndpointFrom::File(base.join(path))),
        (scheme @ ("http" | "https"), rest) => {
            let host = rest.strip_prefix("//")?;
            let host = host.strip_suffix('/').unwrap_or(host);
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b);
            let fits = (1..=URL_BYTES_MAX).contains(&host.len()) && host.bytes().all(plain);
            fits.then(|| EndpointFrom::Url(format!("{scheme}://{host}")))
        }
        _ => None,
    }
}

/// An account that is not address zero, which is nobody's.
fn somebody(at: &[&str], text: &str) -> Outcome<Account> {
    let account = account(at, text)?;
    if account.as_str() == NOBODY {
        return Err(wrong(at, "address zero is nobody's"));
    }
    Ok(account)
}
