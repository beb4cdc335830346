//! Frames as liars see them: read as they came, and made anew with a good signature under what is not
//! so.

use sdpp::message::{Body, Draft};
use sdpp::terms::{Role, SessionId};
use sdpp_ledger::{Digest, Key, keccak};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A frame, as it came.
#[derive(Clone)]
pub struct Frame {
    pub from: Role,
    pub kind: String,
    pub data: Value,
    pub verification: String,
    /// Of the raw bytes of its data.
    pub digest: Digest,
    pub bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct Raw {
    message_type: String,
    data: Box<RawValue>,
    verification: String,
}

impl Frame {
    /// Reads a line, its end included.
    pub fn read(from: Role, line: &[u8]) -> Frame {
        let raw: Raw = serde_json::from_slice(line)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)));
        Frame {
            from,
            kind: raw.message_type,
            data: serde_json::from_str(raw.data.get()).unwrap(),
            verification: raw.verification,
            digest: keccak(&[raw.data.get().as_bytes()]),
            bytes: line.to_vec(),
        }
    }

    /// The same message with other data, signed by whoever has this key.
    pub fn forged<T: Body>(
        &self,
        (key, session): (&Key, SessionId),
        change: impl FnOnce(&mut Value),
    ) -> Vec<u8> {
        let mut data = self.data.clone();
        change(&mut data);
        signed::<T>(&data, (key, session), &self.verification)
    }

    /// Whether it brings an item.
    pub fn is_item(&self) -> bool {
        self.kind == "data" || (self.kind == "data_invoice" && !self.data["body"].is_null())
    }
}

/// A message of this data, signed.
pub fn signed<T: Body>(data: &Value, (key, session): (&Key, SessionId), why: &str) -> Vec<u8> {
    let body: T = serde_json::from_value(data.clone()).unwrap();
    Draft::new(session, &body).sign(key, why).1
}
