//! Fixed bytes with a meaning each: digest, reference, channel id. `0x` lower-case hex in text.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha3::{Digest as _, Keccak256};
use std::fmt;
use std::str::FromStr;

/// Why a text is not `0x` and lower-case hex of the right length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 0x and {expected} lower-case hex digits, got {got}")]
pub struct ParseBytesError {
    expected: usize,
    got: String,
}

/// Reads `0x` and exactly `2 * N` lower-case hex digits.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseBytesError> {
    let error = || ParseBytesError { expected: 2 * N, got: format!("{} characters", text.len()) };
    let (pairs, odd) = text.strip_prefix("0x").ok_or_else(error)?.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !odd.is_empty() {
        return Err(error());
    }
    let (mut bytes, mut all) = ([0; N], 0);
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (DIGIT[usize::from(*high)], DIGIT[usize::from(*low)]);
        *byte = high << 4 | low & 15;
        all |= high | low;
    }
    if all & NO_DIGIT == 0 { Ok(bytes) } else { Err(error()) }
}

/// In [`DIGIT`]: of what is no lower-case hex digit.
const NO_DIGIT: u8 = 0x80;

/// What each byte is as a digit: several are read for each item.
const DIGIT: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[DIGITS[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `0x` and lower-case hex, made where it is needed: several are written for each item.
pub(crate) struct HexText {
    text: [u8; HexText::LENGTH_MAX],
    length: usize,
}

impl HexText {
    /// Of a signature.
    const LENGTH_MAX: usize = 2 + 2 * 65;

    /// The text of so many bytes, 65 at the most.
    pub(crate) fn of(bytes: &[u8]) -> HexText {
        let mut text = [b'0'; HexText::LENGTH_MAX];
        text[1] = b'x';
        for (pair, byte) in text[2..].chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        HexText { text, length: 2 + 2 * bytes.len().min(65) }
    }

    pub(crate) fn as_str(&self) -> &str {
        // Digits are text.
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

/// Gives a type over fixed bytes its text form, `0x` and lower-case hex, in JSON too.
macro_rules! hex_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(crate::bytes::HexText::of(&self.0).as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseBytesError;

            fn from_str(text: &str) -> Result<Self, ParseBytesError> {
                parse_hex(text).map($name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(crate::bytes::HexText::of(&self.0).as_str())
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
pub(crate) use hex_text;

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        hex_text!($name);

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
    };
}

bytes32!(
    /// A Keccak-256 digest.
    Digest
);
bytes32!(
    /// Our idempotency key on a ledger: made from what both sides know, the same in a retry,
    /// after a crash and after a restore.
    Reference
);
bytes32!(
    /// Names a payment channel, as the escrow computes it; see [`crate::channel_id`].
    ChannelId
);

impl Digest {
    /// 32 zero bytes: "no digest here" in fixed layouts.
    pub const ZERO: Digest = Digest([0; 32]);
}

/// Keccak-256 over the parts, one after the other without separators.
pub fn keccak(parts: &[&[u8]]) -> Digest {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keccak_of_nothing_is_the_well_known_one() {
        let known = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(keccak(&[]).to_string(), known);
        assert_eq!(keccak(&[b"a", b"b"]), keccak(&[b"ab"]));
    }

    #[test]
    fn only_lower_case_hex_of_the_right_length_is_read() {
        let good = keccak(&[]).to_string();
        assert_eq!(good.parse::<Digest>().unwrap(), keccak(&[]));
        for bad in [&good[2..], &good[..64], &good.to_uppercase(), &format!("{good}00"), ""] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?} was taken");
        }
    }
}
