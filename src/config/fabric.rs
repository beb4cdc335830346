//! A channel of Hyperledger Fabric, and how it is reached.

use super::EndpointFrom;
use crate::keystore::{self, KeystoreError};
use sdpp_ledger::{Amount, Asset};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A channel of Hyperledger Fabric, and the gateway that signs for us there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fabric {
    /// The gateway's URL.
    pub gateway: EndpointFrom,
    /// The channel's name.
    pub channel: String,
    /// What the channel calls the chaincode.
    pub chaincode: String,
    /// Which of the gateway's identities signs for us.
    pub signer: String,
    /// What the gateway, or what stands in front of it, asks for; `None` where it asks for nothing.
    #[serde(flatten)]
    pub login: Option<LoginFrom>,
    /// PEM certificates of the authorities to believe beside the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// What we show to a gateway that asks for a certificate.
    #[serde(flatten)]
    pub tls: Option<TlsFrom>,
    /// How long a transaction may take to be in a block, in milliseconds: longer than the gateway
    /// itself waits.
    pub commit_patience_ms: u64,
    /// How many submissions wait for their answers at once; at least 1.
    pub in_flight: usize,
    /// How often a transaction under way is looked for, in milliseconds.
    pub poll_ms: u64,
    /// Whether the gateway is asked to tell what happens, over a websocket.
    pub events: bool,
    /// Whose IOUs pay us: MSP ids, and accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ious_from: Vec<String>,
    /// The most that our account may owe in open IOUs, in the smallest unit, by what they are
    /// counted in; nothing of what is not here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub owe_at_most: BTreeMap<String, Amount>,
}

impl Fabric {
    /// What the IOUs are counted in that an asset of this ledger means; `None` for account money.
    pub fn unit_of(asset: &Asset) -> Option<&str> {
        asset.as_str().strip_prefix("iou:")
    }

    /// The files that must be there, by the config's keys.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let login = self.login.as_ref().map(|login| match login {
            LoginFrom::Bearer { token } => ("token", token.file()),
            LoginFrom::Basic { password, .. } => ("password", password.file()),
        });
        let tls = self.tls.as_ref();
        let all = [
            Some(("gateway", self.gateway.file())),
            login,
            Some(("tls_ca", self.tls_ca.as_deref())),
            tls.map(|tls| ("tls_certificate", Some(tls.tls_certificate.as_path()))),
            tls.map(|tls| ("tls_key", tls.tls_key.file())),
        ];
        all.into_iter().flatten().filter_map(|(key, path)| Some((key, path?))).collect()
    }
}

/// Where a gateway's login comes from. Holds no secret, so it can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum LoginFrom {
    /// A bearer token.
    Bearer {
        /// Where it is.
        token: SecretFrom,
    },
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// Where the password is.
        password: SecretFrom,
    },
}

/// Where a client certificate and its key come from. Holds no secret, so it can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsFrom {
    /// PEM of the certificate, and of those between it and its authority.
    pub tls_certificate: PathBuf,
    /// Where the PEM of its key is.
    pub tls_key: SecretFrom,
}

/// Where a secret comes from that is no signing key. Holds no secret, so it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    /// A file that others cannot read.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl SecretFrom {
    /// The file that it is in, where it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            SecretFrom::File(path) => Some(path),
            SecretFrom::Env(_) => None,
        }
    }

    /// Fetches the secret.
    ///
    /// # Errors
    /// [`KeystoreError`] says what is missing and what to do.
    pub fn read(&self) -> Result<Zeroizing<String>, KeystoreError> {
        match self {
            SecretFrom::File(path) => keystore::read_file(path),
            SecretFrom::Env(name) => keystore::read_variable(name),
        }
    }
}

impl fmt::Display for SecretFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretFrom::File(path) => write!(f, "file:{}", path.display()),
            SecretFrom::Env(name) => write!(f, "env:{name}"),
        }
    }
}

impl Serialize for SecretFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
