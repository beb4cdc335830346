//! TLS on the data channel: which files it is spoken with. Holds no secret, so it can be shown.

use super::SecretFrom;
use super::pem;
use crate::keystore::KeystoreError;
use crate::tls::Papers;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Where a certificate and its key come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PapersFrom {
    /// PEM of the certificate, and of those between it and its authority.
    pub certificate: PathBuf,
    /// Where the PEM of its key is.
    pub key: SecretFrom,
}

impl PapersFrom {
    /// Reads both.
    ///
    /// # Errors
    /// [`KeystoreError`] says which is missing or lies open, and what to do.
    pub fn read(&self) -> Result<Papers, KeystoreError> {
        Ok(Papers { certificate: pem::read(&self.certificate)?, key: self.key.read()? })
    }
}

/// How a seller speaks TLS; where it has this, it speaks nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SellerTls {
    /// What it shows.
    #[serde(flatten)]
    pub papers: PapersFrom,
    /// PEM of authorities: only buyers with a certificate of one of them are let in. `None` for
    /// everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_roots: Option<PathBuf>,
}

impl SellerTls {
    /// Reads the authorities, where there are some.
    ///
    /// # Errors
    /// [`KeystoreError`] says what is missing.
    pub fn read_roots(&self) -> Result<Option<Vec<u8>>, KeystoreError> {
        read_if_any(self.client_roots.as_deref())
    }
}

/// How a buyer speaks TLS to sellers that it dials so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BuyerTls {
    /// PEM of the authorities that are believed; `None` for the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roots: Option<PathBuf>,
    /// Who must be named in the seller's certificate; `None` for the host that is dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is shown to a seller that asks.
    #[serde(flatten)]
    pub papers: Option<PapersFrom>,
}

impl BuyerTls {
    /// Reads the authorities, where there are some.
    ///
    /// # Errors
    /// [`KeystoreError`] says what is missing.
    pub fn read_roots(&self) -> Result<Option<Vec<u8>>, KeystoreError> {
        read_if_any(self.roots.as_deref())
    }
}

fn read_if_any(path: Option<&Path>) -> Result<Option<Vec<u8>>, KeystoreError> {
    path.map(pem::read).transpose()
}
