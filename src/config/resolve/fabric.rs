//! Channels of Hyperledger Fabric, and what only goes together with one.

use super::super::file::{LedgerFile, SecretText, Units};
use super::super::{Config, CurrencyConfig, EndpointFrom, Fabric, LedgerAt, LoginFrom, TlsFrom};
use super::Outcome;
use super::secret::{self, elsewhere};
use super::value::{PATIENCE_MS, visible, within, wrong};
use crate::terms::Method;
use sdpp_ledger::{Account, Amount, Endpoint};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

/// The longest name of a channel and of a chaincode, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// A gateway waits a minute for a block (`maxTXWaitTime`): who stops waiting before it does would
/// take for lost what is under way.
const COMMIT_PATIENCE_MS_DEFAULT: u64 = 75_000;
/// FabConnect lets ten in at once (`maxInFlight`); not all of that is ours.
const IN_FLIGHT_DEFAULT: u64 = 8;
const IN_FLIGHT: RangeInclusive<u64> = 1..=256;
/// Events say it earlier, and a submission that is waited for is answered when it is in a block.
const POLL_MS_DEFAULT: u64 = 1_000;
const POLL_MS: RangeInclusive<u64> = 10..=*PATIENCE_MS.end();
/// The most organisations and accounts whose IOUs are taken.
const IOUS_FROM_MAX: usize = 256;

pub(super) fn gateway(name: &str, written: LedgerFile, base: &Path) -> Outcome<Fabric> {
    let at = |key: &'static str| ["ledgers", name, key];
    if !cfg!(feature = "fabric") {
        let what = "this sdpp was built without Fabric: build one with `--features fabric`";
        return Err(wrong(&at("kind"), what));
    }
    let needed = |key: &'static str, text: &Option<String>, example| {
        let what = format!("which {key}? {key} = \"{example}\"");
        text.clone().ok_or_else(|| wrong(&["ledgers", name], what))
    };
    let gateway = url(name, written.gateway.as_ref(), base)?;
    let (login, tls) = (login(name, &written, base)?, tls(name, &written, base)?);
    is_private(name, &gateway, &written)?;
    let commit_patience_ms = written.commit_patience_ms.unwrap_or(COMMIT_PATIENCE_MS_DEFAULT);
    let in_flight = written.in_flight.unwrap_or(IN_FLIGHT_DEFAULT);
    Ok(Fabric {
        gateway,
        channel: plain(&at("channel"), needed("channel", &written.channel, "sdpp")?)?,
        chaincode: plain(&at("chaincode"), needed("chaincode", &written.chaincode, "sdpp")?)?,
        signer: visible(&at("signer"), &needed("signer", &written.signer, "user1")?)?,
        login,
        tls_ca: written.tls_ca.map(|path| base.join(path)),
        tls,
        commit_patience_ms: within(&at("commit_patience_ms"), commit_patience_ms, PATIENCE_MS)?,
        // It is 256 at most.
        in_flight: within(&at("in_flight"), in_flight, IN_FLIGHT)? as usize,
        poll_ms: within(&at("poll_ms"), written.poll_ms.unwrap_or(POLL_MS_DEFAULT), POLL_MS)?,
        events: written.events.unwrap_or(true),
        ious_from: ious_from(name, written.ious_from.unwrap_or_default())?,
        owe_at_most: owe_at_most(name, written.owe_at_most.unwrap_or_default())?,
    })
}

/// What a currency may be on a channel of Fabric.
pub(super) fn currency(name: &str, meant: &CurrencyConfig) -> Outcome<()> {
    let at = |key: &'static str| ["currencies", name, key];
    let asset = meant.asset.as_str();
    let fits = match Fabric::unit_of(&meant.asset) {
        Some(unit) => is_unit(unit),
        None => is_money(asset),
    };
    if !fits {
        let what = "this ledger has no coin: write asset = \"Org1MSP/USD\", the organisation that \
                    answers for the money and its code, or \"iou:Org1MSP/USD\" to be paid in \
                    promises of it";
        return Err(wrong(&at("asset"), what));
    }
    if meant.methods.contains(&Method::Escrow) {
        let what = "there is no escrow on this ledger: write methods = [\"transfer\"]";
        return Err(wrong(&at("methods"), what));
    }
    Ok(())
}

/// An account as this ledger writes it.
pub(super) fn account(at: &[&str], text: &str) -> Outcome<Account> {
    let what = "an account on this ledger is an MSP id, a colon and 64 lower-case hex digits; \
                `sdpp ledger status` prints yours";
    if !is_account(text) {
        return Err(wrong(at, what));
    }
    text.parse().map_err(|_| wrong(at, what))
}

/// Whoever is paid in promises says whose, and whoever pays in them says how much at most: neither
/// has a default that would be safe.
pub(super) fn check_ious(config: &Config) -> Outcome<()> {
    for (name, currency) in &config.currencies {
        let Some(LedgerAt::Fabric(fabric)) = config.ledgers.get(&currency.ledger).map(|l| &l.at)
        else {
            continue;
        };
        let Some(unit) = Fabric::unit_of(&currency.asset) else { continue };
        let ledger = currency.ledger.as_str();
        if config.seller.is_some() && fabric.ious_from.is_empty() {
            let what = format!(
                "{name} is paid in IOUs, and no organisation's are taken: write ious_from = \
                 [\"Org1MSP\"] with whom you trust to redeem them"
            );
            return Err(wrong(&["ledgers", ledger, "ious_from"], what));
        }
        let spends = config.buyer.iter().flat_map(|buyer| &buyer.currencies);
        let is_spent = spends.into_iter().any(|spending| spending.currency == *name);
        if is_spent && !fabric.owe_at_most.contains_key(unit) {
            let what = format!(
                "{name} is paid in IOUs, and we may owe nothing: write owe_at_most = {{ \"{unit}\" \
                 = \"1000000\" }} with the most that may be open at a time"
            );
            return Err(wrong(&["ledgers", ledger, "owe_at_most"], what));
        }
    }
    Ok(())
}

fn url(name: &str, written: Option<&SecretText>, base: &Path) -> Outcome<EndpointFrom> {
    let at = ["ledgers", name, "gateway"];
    let what = "where is it? gateway = \"http://127.0.0.1:3000\"";
    let text = written.ok_or_else(|| wrong(&at[..2], what))?;
    let what = "expected \"http://HOST:PORT\" or https, perhaps with a path, and no query. A login goes \
                into token, or user and password; where the path is secret put the whole URL \
                elsewhere and write \"env:NAME\" or \"file:PATH\". A secret that stood here has \
                been in the open: replace it";
    secret::url(text, base).ok_or_else(|| wrong(&at, what))
}

fn login(name: &str, written: &LedgerFile, base: &Path) -> Outcome<Option<LoginFrom>> {
    let at = |key: &'static str| ["ledgers", name, key];
    let secret = |key, text| elsewhere(&at(key), text, base);
    match (&written.token, &written.user, &written.password) {
        (None, None, None) => Ok(None),
        (Some(token), None, None) => Ok(Some(LoginFrom::Bearer { token: secret("token", token)? })),
        (None, Some(user), Some(password)) => {
            let user = visible(&at("user"), user)?;
            if user.contains(':') {
                return Err(wrong(&at("user"), "no name in a login has a colon"));
            }
            Ok(Some(LoginFrom::Basic { user, password: secret("password", password)? }))
        }
        (Some(_), ..) => {
            let what = "a gateway asks for a token or for user and password: remove one of them";
            Err(wrong(&at("token"), what))
        }
        (None, user, _) => {
            let key = user.as_ref().map_or("password", |_| "user");
            let what = "user and password go together: add the other, or remove it";
            Err(wrong(&at(key), what))
        }
    }
}

fn tls(name: &str, written: &LedgerFile, base: &Path) -> Outcome<Option<TlsFrom>> {
    let at = |key: &'static str| ["ledgers", name, key];
    match (&written.tls_certificate, &written.tls_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFrom {
            tls_certificate: base.join(certificate),
            tls_key: elsewhere(&at("tls_key"), key, base)?,
        })),
        (certificate, _) => {
            let key = certificate.as_ref().map_or("tls_key", |_| "tls_certificate");
            let what = "tls_certificate and tls_key go together: add the other, or remove it";
            Err(wrong(&at(key), what))
        }
    }
}

/// That no secret leaves this machine in the clear, and that TLS is used where it was asked for. A
/// URL that is elsewhere is not seen here.
fn is_private(name: &str, gateway: &EndpointFrom, written: &LedgerFile) -> Outcome<()> {
    let EndpointFrom::Url(url) = gateway else { return Ok(()) };
    if !url.starts_with("http://") {
        return Ok(());
    }
    let for_tls = [
        ("tls_ca", written.tls_ca.is_some()),
        ("tls_certificate", written.tls_certificate.is_some()),
    ];
    if let Some((key, _)) = for_tls.iter().find(|(_, is_written)| *is_written) {
        let what = "it is for TLS: write https:// in gateway, or remove it";
        return Err(wrong(&["ledgers", name, key], what));
    }
    let is_here = url.parse().is_ok_and(|url: Endpoint| url.is_loopback());
    let has_login = written.token.is_some() || written.password.is_some();
    if has_login && !is_here {
        let what = "whoever is between us and the gateway would read the login: write https://";
        return Err(wrong(&["ledgers", name, "gateway"], what));
    }
    Ok(())
}

fn ious_from(name: &str, written: Vec<String>) -> Outcome<Vec<String>> {
    let at = ["ledgers", name, "ious_from"];
    if written.len() > IOUS_FROM_MAX {
        return Err(wrong(&at, format!("name {IOUS_FROM_MAX} at most")));
    }
    for (index, debtor) in written.iter().enumerate() {
        let index = index.to_string();
        let at = [&at[..], &[index.as_str()]].concat();
        if !is_msp(debtor) && !is_account(debtor) {
            let what = "expected an MSP id such as \"Org1MSP\", or an account of one";
            return Err(wrong(&at, what));
        }
        if written.iter().filter(|one| *one == debtor).count() > 1 {
            return Err(wrong(&at, "it is in the list already: remove one of the two"));
        }
    }
    Ok(written)
}

fn owe_at_most(name: &str, written: BTreeMap<String, Units>) -> Outcome<BTreeMap<String, Amount>> {
    let one = |(unit, units): (String, Units)| {
        let at = ["ledgers", name, "owe_at_most", unit.as_str()];
        if !is_unit(&unit) {
            let what = "expected what IOUs are counted in, such as \"Org1MSP/USD\": letters, \
                        digits, dots, dashes and slashes, 65 at most";
            return Err(wrong(&at, what));
        }
        match units.0 {
            Amount::ZERO => Err(wrong(&at, "expected at least 1; leave it out to owe nothing")),
            amount => Ok((unit, amount)),
        }
    };
    written.into_iter().map(one).collect()
}

fn plain(at: &[&str], text: String) -> Outcome<String> {
    if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| is_code(b) || b == b'_') {
        return Ok(text);
    }
    let what = format!("expected 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes and _");
    Err(wrong(at, what))
}

fn is_account(text: &str) -> bool {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.split_once(':')
        .is_some_and(|(msp, digits)| is_msp(msp) && digits.len() == 64 && digits.bytes().all(lower))
}

fn is_money(text: &str) -> bool {
    text.split_once('/').is_some_and(|(msp, code)| is_msp(msp) && is_of(code, 24))
}

fn is_unit(text: &str) -> bool {
    (1..=65).contains(&text.len()) && text.bytes().all(|b| is_code(b) || b == b'/')
}

fn is_msp(text: &str) -> bool {
    is_of(text, 40)
}

fn is_of(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(is_code)
}

fn is_code(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'.' || b == b'-'
}
