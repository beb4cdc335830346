//! TLS on the data channel, on both sides.

use super::super::file::{BuyerTlsFile, SecretText, SellerTlsFile};
use super::super::{BuyerTls, PapersFrom, SellerTls};
use super::Outcome;
use super::secret::elsewhere;
use super::value::{host_port, wrong};
use crate::tls;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) fn seller(written: SellerTlsFile, base: &Path) -> Outcome<SellerTls> {
    let at = ["seller", "tls"];
    is_built(&at)?;
    let papers = papers(&at, written.certificate, written.key.as_ref(), base)?;
    let what = "a seller shows a certificate: write certificate = \"seller.pem\" and \
                key = \"file:seller.tls.key\"";
    Ok(SellerTls {
        papers: papers.ok_or_else(|| wrong(&at, what))?,
        client_roots: written.client_roots.map(|path| base.join(path)),
    })
}

pub(super) fn buyer(at: &[&str], written: BuyerTlsFile, base: &Path) -> Outcome<BuyerTls> {
    is_built(at)?;
    if let Some(name) = &written.name
        && !tls::is_name(name)
    {
        let what = "expected a host's name or an IP address, as the seller's certificate has it";
        return Err(wrong(&[at, &["name"]].concat(), what));
    }
    Ok(BuyerTls {
        roots: written.roots.map(|path| base.join(path)),
        name: written.name,
        papers: papers(at, written.certificate, written.key.as_ref(), base)?,
    })
}

/// What holds for single sellers, in place of what holds for all.
pub(super) fn by_address(
    written: BTreeMap<String, BuyerTlsFile>,
    base: &Path,
) -> Outcome<BTreeMap<String, BuyerTls>> {
    let one = |(address, written): (String, BuyerTlsFile)| {
        let at = ["buyer", "tls_at", address.as_str()];
        if address.contains("://") {
            return Err(wrong(&at, "write HOST:PORT alone, without what stands before it"));
        }
        let meant = buyer(&at, written, base)?;
        Ok((host_port(&at, address.clone())?, meant))
    };
    written.into_iter().map(one).collect()
}

fn papers(
    at: &[&str],
    certificate: Option<PathBuf>,
    key: Option<&SecretText>,
    base: &Path,
) -> Outcome<Option<PapersFrom>> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(PapersFrom {
            certificate: base.join(certificate),
            key: elsewhere(&[at, &["key"]].concat(), key, base)?,
        })),
        (certificate, _) => {
            let key = certificate.map_or("key", |_| "certificate");
            let what = "certificate and key go together: add the other, or remove it";
            Err(wrong(&[at, &[key]].concat(), what))
        }
    }
}

fn is_built(at: &[&str]) -> Outcome<()> {
    if cfg!(feature = "tls") {
        return Ok(());
    }
    Err(wrong(at, "this sdpp was built without TLS: build one with `--features tls`"))
}
