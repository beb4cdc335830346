//! What a transaction carries beside the money: one pure input of a fixed layout that no command
//! uses and that the sender signs with all the rest.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `SDPP` |
//! | 4 | the layout's version: 1 |
//! | 5 | the kind: 0 for a payment, 1 for one record, 2 for the root of many |
//! | 6..38 | payment, record: the reference; root: the Merkle root |
//! | 38..70 | record: its digest; root: the count, big-endian in the last four bytes; else zero |
//!
//! On the chain it is a `vector<u8>`. The reference is what binds a payment to what it pays for:
//! two payments of one amount to one payee differ in it, and one payment can be claimed for
//! nothing else.

use sdpp_ledger::{Anchor, Digest, Reference};

/// How long it is, in bytes.
pub(crate) const LENGTH: usize = 70;

const MARK: &[u8; 4] = b"SDPP";
const VERSION: u8 = 1;
const PAYMENT: u8 = 0;
const ONE: u8 = 1;
const ROOT: u8 = 2;

/// What a transaction carries for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carried {
    /// What the payment is for.
    Payment(Reference),
    /// What is put on record.
    Anchor(Anchor),
}

impl Carried {
    /// The bytes of the layout.
    pub fn to_bytes(&self) -> [u8; LENGTH] {
        let (kind, first, second) = match self {
            Carried::Payment(reference) => (PAYMENT, reference.0, Digest::ZERO.0),
            Carried::Anchor(Anchor::One { reference, digest }) => (ONE, reference.0, digest.0),
            Carried::Anchor(Anchor::Root { root, count }) => (ROOT, root.0, word(*count)),
        };
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(MARK);
        bytes[4..6].copy_from_slice(&[VERSION, kind]);
        bytes[6..38].copy_from_slice(&first);
        bytes[38..].copy_from_slice(&second);
        bytes
    }

    /// What bytes of this layout carry; nothing for any others.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let (mut first, mut second) = ([0; 32], [0; 32]);
        first.copy_from_slice(&bytes[6..38]);
        second.copy_from_slice(&bytes[38..]);
        let carried = match bytes[5] {
            PAYMENT => Carried::Payment(Reference(first)),
            ONE => {
                let (reference, digest) = (Reference(first), Digest(second));
                Carried::Anchor(Anchor::One { reference, digest })
            }
            ROOT => {
                let count = second.last_chunk().map(|last| u32::from_be_bytes(*last))?;
                Carried::Anchor(Anchor::Root { root: Digest(first), count })
            }
            _ => return None,
        };
        // What is zero in the layout, the mark and the version are looked at by writing it again.
        (carried.to_bytes() == *bytes).then_some(carried)
    }
}

fn word(count: u32) -> [u8; 32] {
    let mut word = [0; 32];
    word[28..].copy_from_slice(&count.to_be_bytes());
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Carried; 3] {
        let (reference, digest) = (Reference([1; 32]), Digest([2; 32]));
        [
            Carried::Payment(reference),
            Carried::Anchor(Anchor::One { reference, digest }),
            Carried::Anchor(Anchor::Root { root: digest, count: 0x0102_0304 }),
        ]
    }

    #[test]
    fn the_layout_is_as_it_is_written_down() {
        let bytes = all().map(|carried| hex::encode(carried.to_bytes()));
        let (ones, twos, zeros) = ("01".repeat(32), "02".repeat(32), "00".repeat(32));
        assert_eq!(bytes[0], format!("534450500100{ones}{zeros}"));
        assert_eq!(bytes[1], format!("534450500101{ones}{twos}"));
        assert_eq!(bytes[2], format!("534450500102{twos}{}01020304", "00".repeat(28)));
    }

    #[test]
    fn what_is_read_is_what_was_written_and_nothing_else_is_read() {
        for carried in all() {
            let bytes = carried.to_bytes();
            assert_eq!(Carried::read(&bytes), Some(carried));
            assert_eq!(Carried::read(&bytes[1..]), None);
            for at in 0..6 {
                let mut other = bytes;
                other[at] ^= 0x80;
                assert_eq!(Carried::read(&other), None, "byte {at} was not looked at");
            }
        }
        let mut padded = all()[0].to_bytes();
        padded[69] = 1;
        assert_eq!(Carried::read(&padded), None, "a payment carries no digest");
    }
}
