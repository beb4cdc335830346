//! Names that a ledger gives: itself, accounts, assets, transactions. Texts with a limit.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// The longest name that is accepted, in bytes.
const LENGTH_MAX: usize = 128;

/// Why a text is not a name on a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {LENGTH_MAX} visible ASCII characters, got {got:?}")]
pub struct IdError {
    what: &'static str,
    got: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let fits = (1..=LENGTH_MAX).contains(&text.len());
                if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
                    return Ok($name(text.to_owned()));
                }
                Err(IdError { what: $what, got: text.chars().take(40).collect() })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

id!(
    /// A ledger: CAIP-2 (`eip155:31337`) where one exists.
    LedgerId,
    "a ledger's id"
);
id!(
    /// An account on a ledger, as the ledger writes it.
    Account,
    "an account"
);
id!(
    /// What is moved on a ledger: `coin` for its own coin, else a token's address or name.
    Asset,
    "an asset"
);
id!(
    /// A transaction, as its ledger names it.
    TxId,
    "a transaction id"
);

impl Asset {
    /// The ledger's own coin.
    pub fn coin() -> Self {
        Asset("coin".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_visible() {
        assert!("eip155:31337".parse::<LedgerId>().is_ok());
        for bad in ["", "a b", "a\n", "é", &"x".repeat(129)] {
            assert!(bad.parse::<Account>().is_err(), "{bad:?} was taken");
        }
    }
}
