//! Where a ledger's endpoint is: in the config, or elsewhere when its URL holds a secret.

use crate::keystore::{self, KeystoreError};
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where the URL of an endpoint comes from. Holds no secret, so it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointFrom {
    /// Here: `SCHEME://HOST` or `SCHEME://HOST:PORT`; a gateway may have a path behind it.
    Url(String),
    /// A file that others cannot read.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl EndpointFrom {
    /// The file that it is in, where it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            EndpointFrom::File(path) => Some(path),
            EndpointFrom::Url(_) | EndpointFrom::Env(_) => None,
        }
    }

    /// Fetches the URL.
    ///
    /// # Errors
    /// [`KeystoreError`] says what is missing and what to do.
    pub fn read(&self) -> Result<Zeroizing<String>, KeystoreError> {
        match self {
            EndpointFrom::Url(url) => Ok(Zeroizing::new(url.clone())),
            EndpointFrom::File(path) => keystore::read_file(path),
            EndpointFrom::Env(name) => keystore::read_variable(name),
        }
    }
}

impl fmt::Display for EndpointFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointFrom::Url(url) => f.write_str(url),
            EndpointFrom::File(path) => write!(f, "file:{}", path.display()),
            EndpointFrom::Env(name) => write!(f, "env:{name}"),
        }
    }
}

impl Serialize for EndpointFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
