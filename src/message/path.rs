//! The way of an item up to the root of its dataset, as bytes: 32 for each sister, masked.

use crate::crypto::masked;
use crate::message::text::Base64;
use crate::terms::PATH_MAX;
use sdpp_ledger::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The sisters from an item's leaf up, as they travel: who has not the item's salt cannot read them. On the
/// wire one text of base64, half of what a list of hex would take: it travels with each item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Digest>);

impl Path {
    /// Masks these sisters by the item's salt.
    pub fn of(sisters: &[Digest], salt: &Digest) -> Path {
        Path(masked(salt, sisters))
    }

    /// The sisters.
    pub fn sisters(&self, salt: &Digest) -> Vec<Digest> {
        masked(salt, &self.0)
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Base64(self.0.iter().flat_map(|sister| sister.0).collect()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Base64(bytes) = Base64::deserialize(deserializer)?;
        let (sisters, rest) = bytes.as_chunks();
        if !rest.is_empty() || sisters.len() > PATH_MAX {
            let why =
                format!("so many bytes are no path: 32 for each of at most {PATH_MAX} sisters");
            return Err(de::Error::custom(why));
        }
        Ok(Path(sisters.iter().copied().map(Digest).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_whole_sisters_and_no_more_than_any_dataset_asks_for() {
        for count in [0, 1, PATH_MAX] {
            let path = Path::of(&vec![Digest([7; 32]); count], &Digest([1; 32]));
            let text = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<Path>(&text).unwrap(), path);
        }
        for bytes in [1, 31, 33, 32 * (PATH_MAX + 1)] {
            let text = serde_json::to_string(&Base64(vec![7; bytes])).unwrap();
            assert!(serde_json::from_str::<Path>(&text).is_err(), "{bytes} bytes");
        }
    }
}
