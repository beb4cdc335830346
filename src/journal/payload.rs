//! Payload: what an entry was written with and can do without.
//!
//! That is the raw `data` of invoices, acks, payments and amends, and the leaves of a window's
//! items. All that `audit` counts stands in the entry beside it: in the signed layout, which binds
//! the data by its digest and the leaves by their root. Menu, order, exits, vouchers and the
//! messages that show misconduct are never payload.

use crate::record::{Leaves, Record, SignedMessage};
use sdpp_ledger::Digest;

/// In place of the length of data that was not kept.
const NO_DATA: u32 = u32::MAX;

/// An entry's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    data: Option<String>,
    leaves: Leaves,
}

impl Payload {
    /// Takes the payload out of a record, where it has some.
    pub(super) fn take(record: &mut Record) -> Option<Payload> {
        let (message, leaves) = places(record)?;
        let data = message.data.take();
        let leaves = leaves.map(std::mem::take).unwrap_or_default();
        (data.is_some() || !leaves.as_slice().is_empty()).then_some(Payload { data, leaves })
    }

    /// Puts it back where it was taken; `None` where this record never had any.
    pub(super) fn put_back(self, record: &mut Record) -> Option<()> {
        let (message, leaves) = places(record)?;
        message.data = self.data;
        match leaves {
            Some(leaves) => *leaves = self.leaves,
            None if self.leaves.as_slice().is_empty() => {}
            None => return None,
        }
        Some(())
    }

    /// The bytes that are stored: the length of the data (u32 big-endian), the data, 32 bytes for
    /// each leaf.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let data = self.data.as_deref().unwrap_or_default().as_bytes();
        let length = match &self.data {
            // A record with so much data is refused as too large.
            Some(data) => u32::try_from(data.len()).unwrap_or(NO_DATA - 1),
            None => NO_DATA,
        };
        let leaves = self.leaves.as_slice();
        let mut bytes = Vec::with_capacity(4 + data.len() + 32 * leaves.len());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(data);
        leaves.iter().for_each(|leaf| bytes.extend_from_slice(&leaf.0));
        bytes
    }

    /// Reads stored bytes; `None` where they are none.
    pub(super) fn read(bytes: &[u8]) -> Option<Payload> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (data, rest) = match u32::from_be_bytes(*length) {
            NO_DATA => (None, rest),
            length => {
                let (data, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(String::from_utf8(data.to_vec()).ok()?), rest)
            }
        };
        let (leaves, rest) = rest.as_chunks();
        let leaves = Leaves::of(leaves.iter().copied().map(Digest).collect());
        rest.is_empty().then_some(Payload { data, leaves })
    }
}

/// Where a record has payload. What changes the terms is needed to understand whatever follows it:
/// only of a credit note the signed layout says enough.
fn places(record: &mut Record) -> Option<(&mut SignedMessage, Option<&mut Leaves>)> {
    match record {
        Record::Invoice { message, leaves, .. } => Some((message, Some(leaves))),
        Record::Amend { message, .. } if message.changes_terms() => None,
        Record::Ack { message }
        | Record::Payment { message, .. }
        | Record::Amend { message, .. } => Some((message, None)),
        _ => None,
    }
}
