//! Certificates and keys out of PEM, and how long they are good.

use super::{Lifetime, Papers, Part, Unsound};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{self, InconsistentKeys, RootCertStore};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use zeroize::Zeroize;

/// From when until when each certificate in a PEM text is good, in its order. One that cannot be read
/// is left out: TLS itself says more of that.
pub fn lifetimes(pem: &[u8]) -> Vec<Lifetime> {
    let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    let read = certificates.filter_map(|one| Certificate::from_der(&one).ok());
    let lifetime = |one: Certificate| {
        let validity = one.tbs_certificate.validity;
        Lifetime {
            from_s: validity.not_before.to_unix_duration().as_secs(),
            until_s: validity.not_after.to_unix_duration().as_secs(),
        }
    };
    read.map(lifetime).collect()
}

/// What we show and sign with. The key's text is wiped; what the provider made of it stays as long as
/// this does.
pub(super) fn shown(papers: &Papers) -> Result<Arc<SingleCertAndKey>, Unsound> {
    let chain = certificates(&papers.certificate, Part::Certificate)?;
    // The error could have some of the text in it.
    let key = PrivateKeyDer::from_pem_slice(papers.key.as_bytes()).map_err(|_| Unsound {
        part: Part::Key,
        what: "it holds no private key in PEM (\"-----BEGIN PRIVATE KEY-----\")".to_owned(),
    });
    let mut key = key?;
    let signs = any_supported_type(&key);
    key.zeroize();
    let shown = CertifiedKey::new(chain, signs.map_err(unfit)?);
    match shown.keys_match() {
        // A key that does not tell is seen to be wrong by who checks its signature.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(error) => return Err(unfit(error)),
    }
    Ok(Arc::new(SingleCertAndKey::from(shown)))
}

/// Those that are believed: the ones given, or the public ones that this build brings.
pub(super) fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, Unsound> {
    let Some(pem) = pem else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, Part::Roots)? {
        let unsound = |error| Unsound {
            part: Part::Roots,
            what: format!("it holds a certificate that cannot be used: {error}"),
        };
        roots.add(certificate).map_err(unsound)?;
    }
    Ok(roots)
}

/// What is wrong with our own certificate and its key, once TLS has looked at them.
pub(super) fn unfit(error: rustls::Error) -> Unsound {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            Unsound { part: Part::Key, what: "it is not the key of that certificate".to_owned() }
        }
        rustls::Error::InvalidCertificate(error) => {
            Unsound { part: Part::Certificate, what: format!("it cannot be used: {error}") }
        }
        error => Unsound { part: Part::Key, what: format!("it cannot be used: {error}") },
    }
}

fn certificates(pem: &[u8], part: Part) -> Result<Vec<CertificateDer<'static>>, Unsound> {
    let unsound = |what: String| Unsound { part, what };
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all =
        all.map_err(|_| unsound("it is not whole: what stands in it is no PEM".to_owned()))?;
    if all.is_empty() {
        let what = "it holds no certificate in PEM (\"-----BEGIN CERTIFICATE-----\")";
        return Err(unsound(what.to_owned()));
    }
    Ok(all)
}
