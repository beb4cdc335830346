//! The leaves of a window as a record has them.

use super::LEAVES_MAX;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use base64::prelude::*;
use sdpp_ledger::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The leaves of a window's items in their order: what proofs of single items under its root are
/// made from. Empty where there are more than [`LEAVES_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaves(Vec<Digest>);

impl Leaves {
    /// The leaves of a window, as far as they are kept.
    pub fn of(leaves: Vec<Digest>) -> Self {
        if leaves.len() <= LEAVES_MAX { Leaves(leaves) } else { Leaves::default() }
    }

    /// Them, the window's first item first.
    pub fn as_slice(&self) -> &[Digest] {
        &self.0
    }
}

/// One text of base64, 32 bytes a leaf: half of what a list of hex would take.
impl Serialize for Leaves {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|leaf| leaf.0).collect();
        serializer.collect_str(&Base64Display::new(&bytes, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Leaves {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(|_| de::Error::custom("leaves are no base64"))?;
        let (leaves, rest) = bytes.as_chunks();
        if !rest.is_empty() || leaves.len() > LEAVES_MAX {
            return Err(de::Error::custom("so many bytes are no leaves"));
        }
        Ok(Leaves(leaves.iter().copied().map(Digest).collect()))
    }
}
