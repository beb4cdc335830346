//! Ledgers, and the currencies that live on them.

use super::super::file::{CurrencyFile, LedgerFile, LedgerKind, Units};
use super::super::{CurrencyConfig, Embedded, LedgerAt, LedgerConfig, RateFrom};
use super::secret::{Written, key};
use super::value::{PATIENCE_MS, account, host_port, known, visible, within, wrong};
use super::{Outcome, ethereum, fabric, iota, rate, taken};
use crate::keystore::{KeyFrom, PasswordFrom};
use crate::terms::{Method, Rate};
use sdpp_ledger::{Account, Amount, Asset};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn ledger(
    name: &str,
    written: LedgerFile,
    identity: &KeyFrom,
    base: &Path,
) -> Outcome<LedgerConfig> {
    let at = |key: &'static str| ["ledgers", name, key];
    only_keys_of_kind(name, &written)?;
    Ok(LedgerConfig {
        key: match written.kind {
            LedgerKind::Embedded | LedgerKind::Ethereum | LedgerKind::Iota => {
                Some(ledger_key(name, &written, identity, base)?)
            }
            LedgerKind::Fabric => None,
        },
        patience_ms: within(
            &at("patience_ms"),
            written.patience_ms.unwrap_or(10_000),
            PATIENCE_MS,
        )?,
        at: match written.kind {
            LedgerKind::Embedded => LedgerAt::Embedded(embedded(name, written, base)?),
            LedgerKind::Ethereum => LedgerAt::Ethereum(ethereum::chain(name, written, base)?),
            LedgerKind::Fabric => LedgerAt::Fabric(Box::new(fabric::gateway(name, written, base)?)),
            LedgerKind::Iota => LedgerAt::Iota(iota::network(name, written, base)?),
        },
    })
}

pub(super) fn currency(
    name: &str,
    written: CurrencyFile,
    ledgers: &BTreeMap<String, LedgerConfig>,
    is_seller: bool,
    base: &Path,
) -> Outcome<CurrencyConfig> {
    let at = |key: &'static str| ["currencies", name, key];
    visible(&["currencies", name], name)?;
    let sellers = [
        ("payee", written.payee.is_some()),
        ("rate", written.rate.is_some()),
        ("finality", written.finality.is_some()),
        ("limits", written.limits.is_some()),
    ];
    if let (false, Some((key, _))) = (is_seller, sellers.iter().find(|(_, is_written)| *is_written))
    {
        let what = "only a seller says this, and there is no [seller]: remove it";
        return Err(wrong(&at(key), what));
    }
    if written.decimals > 38 {
        return Err(wrong(&at("decimals"), "no amount has more than 38 decimals"));
    }
    let asset = written.asset.as_deref().unwrap_or("coin");
    let ledger = known(&at("ledger"), written.ledger, ledgers, "ledgers")?;
    let place = ledgers.get(&ledger).map(|ledger| &ledger.at);
    let account = match place {
        Some(LedgerAt::Fabric(_)) => fabric::account,
        Some(LedgerAt::Iota(_)) => iota::account,
        Some(LedgerAt::Embedded(_) | LedgerAt::Ethereum(_)) | None => account,
    };
    let methods = methods(&at("methods"), written.methods)?;
    let meant = CurrencyConfig {
        finality: taken::finality(name, &methods, written.finality)?,
        limits: taken::limits(name, written.limits)?,
        ledger,
        asset: asset.parse::<Asset>().map_err(|e| wrong(&at("asset"), e))?,
        symbol: match written.symbol {
            Some(symbol) => visible(&at("symbol"), &symbol)?,
            None => name.to_owned(),
        },
        decimals: written.decimals,
        methods,
        payee: written.payee.map(|payee| account(&at("payee"), &payee)).transpose()?,
        rate: match written.rate {
            Some(written) => rate::rate(name, written, ledgers, base)?,
            None => RateFrom::Fixed(Rate::ONE),
        },
    };
    match place {
        Some(LedgerAt::Ethereum(chain)) => ethereum::currency(name, &meant, chain)?,
        Some(LedgerAt::Fabric(_)) => fabric::currency(name, &meant)?,
        Some(LedgerAt::Iota(_)) => iota::currency(name, &meant)?,
        Some(LedgerAt::Embedded(_)) | None => {}
    }
    Ok(meant)
}

fn only_keys_of_kind(name: &str, written: &LedgerFile) -> Outcome<()> {
    use LedgerKind::{Embedded, Ethereum, Fabric, Iota};
    let keys: [(&str, bool, &[LedgerKind]); 32] = [
        ("dir", written.dir.is_some(), &[Embedded]),
        ("genesis", written.genesis.is_some(), &[Embedded]),
        ("address", written.address.is_some(), &[Embedded]),
        ("chain_id", written.chain_id.is_some(), &[Ethereum]),
        ("endpoints", written.endpoints.is_some(), &[Ethereum]),
        ("escrow", written.escrow.is_some(), &[Ethereum]),
        ("bonds", written.bonds.is_some(), &[Ethereum]),
        ("depth", written.depth.is_some(), &[Ethereum]),
        ("fee_ceiling", written.fee_ceiling.is_some(), &[Ethereum, Iota]),
        ("chain", written.chain.is_some(), &[Iota]),
        ("endpoint", written.endpoint.is_some(), &[Iota]),
        ("faucet", written.faucet.is_some(), &[Iota]),
        ("scheme", written.scheme.is_some(), &[Iota]),
        ("coins", written.coins.is_some(), &[Iota]),
        ("gateway", written.gateway.is_some(), &[Fabric]),
        ("channel", written.channel.is_some(), &[Fabric]),
        ("chaincode", written.chaincode.is_some(), &[Fabric]),
        ("signer", written.signer.is_some(), &[Fabric]),
        ("token", written.token.is_some(), &[Fabric]),
        ("user", written.user.is_some(), &[Fabric]),
        ("tls_ca", written.tls_ca.is_some(), &[Fabric]),
        ("tls_certificate", written.tls_certificate.is_some(), &[Fabric]),
        ("tls_key", written.tls_key.is_some(), &[Fabric]),
        ("commit_patience_ms", written.commit_patience_ms.is_some(), &[Fabric]),
        ("in_flight", written.in_flight.is_some(), &[Fabric]),
        ("events", written.events.is_some(), &[Fabric]),
        ("ious_from", written.ious_from.is_some(), &[Fabric]),
        ("owe_at_most", written.owe_at_most.is_some(), &[Fabric]),
        ("poll_ms", written.poll_ms.is_some(), &[Ethereum, Fabric, Iota]),
        ("key", written.key.is_some(), &[Embedded, Ethereum, Iota]),
        ("keystore", written.keystore.is_some(), &[Embedded, Ethereum, Iota]),
        ("password", written.password.is_some(), &[Embedded, Ethereum, Fabric, Iota]),
    ];
    let stray = keys.iter().find(|(_, is_written, of)| *is_written && !of.contains(&written.kind));
    let Some((key, ..)) = stray else { return Ok(()) };
    let what = match (*key, written.kind) {
        ("key" | "keystore", Fabric) => {
            "no key of ours signs on this kind of ledger: the gateway does, as the identity that \
             signer names; remove it"
        }
        ("chain_id", Iota) => {
            "a network of this kind is named by its chain identifier, 8 hex digits: write chain = \
             \"6364aad5\" for mainnet, \"2304aa97\" for testnet, and remove this"
        }
        _ => "this kind of ledger has no such key: remove it, or change the kind",
    };
    Err(wrong(&["ledgers", name, key], what))
}

fn embedded(name: &str, written: LedgerFile, base: &Path) -> Outcome<Embedded> {
    let at = |key: &'static str| ["ledgers", name, key];
    match (written.dir, written.address) {
        (Some(dir), None) => Ok(Embedded::InProcess {
            dir: base.join(dir),
            genesis: genesis(name, written.genesis.unwrap_or_default())?,
        }),
        (None, Some(_)) if written.genesis.is_some() => {
            let what = "what accounts hold at the beginning is said where the ledger is served, \
                        beside its dir: remove it here";
            Err(wrong(&at("genesis"), what))
        }
        (None, Some(address)) => {
            Ok(Embedded::Served { address: host_port(&at("address"), address)? })
        }
        (Some(_), Some(_)) => {
            Err(wrong(&at("address"), "a ledger is either here (dir) or elsewhere (address)"))
        }
        (None, None) => {
            let what = "say where it is: dir = \"ledger\" for one in this process, or \
                        address = \"127.0.0.1:9630\" for one that `sdpp ledger serve` serves";
            Err(wrong(&["ledgers", name], what))
        }
    }
}

fn genesis(ledger: &str, written: BTreeMap<String, Units>) -> Outcome<BTreeMap<Account, Amount>> {
    let grant = |(text, units): (String, Units)| {
        Ok((account(&["ledgers", ledger, "genesis", &text], &text)?, units.0))
    };
    written.into_iter().map(grant).collect()
}

/// The ledger's own key, or the identity's. What opens the identity's opens this one too, unless
/// the ledger says otherwise.
fn ledger_key(
    name: &str,
    written: &LedgerFile,
    identity: &KeyFrom,
    base: &Path,
) -> Outcome<KeyFrom> {
    let Some(own) = &written.key else {
        if written.password.is_some() || written.keystore.is_some() {
            let key = written.password.as_ref().map_or("keystore", |_| "password");
            let what = "it goes with a key of this ledger's own: add key = \"keystore:NAME\"";
            return Err(wrong(&["ledgers", name, key], what));
        }
        return Ok(identity.clone());
    };
    let written = Written {
        table: &["ledgers", name],
        key: own,
        keystore: written.keystore.as_deref(),
        password: written.password.as_ref(),
    };
    match identity {
        KeyFrom::Keystore { dir, password, .. } => key(&written, dir, password, base),
        _ => key(&written, &base.join("keys"), &PasswordFrom::Prompt, base),
    }
}

fn methods(key: &[&str], written: Option<Vec<Method>>) -> Outcome<Vec<Method>> {
    let methods = written.unwrap_or_else(|| vec![Method::Transfer]);
    let twice = methods.iter().enumerate().any(|(i, method)| methods[..i].contains(method));
    if methods.is_empty() || twice {
        let what = "name at least one of \"transfer\" and \"escrow\", each once";
        return Err(wrong(key, what));
    }
    Ok(methods)
}
