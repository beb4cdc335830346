//! Bytes as text: base64 where they are bulk, `0x` lower-case hex where they are few. And text of
//! a stranger's as we let people see it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;

/// The most characters of a stranger's text that are passed on.
const LEGIBLE_CHARS_MAX: usize = 200;

/// Text of a stranger's for our errors, logs and records: short, and nothing in it that moves a
/// terminal's cursor, breaks a line or turns the direction of writing.
pub fn legible(text: &str) -> String {
    text.chars().filter(|c| is_visible(*c)).take(LEGIBLE_CHARS_MAX).collect()
}

fn is_visible(c: char) -> bool {
    // What Unicode calls format characters, as far as they steer how text is shown.
    let steers = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    );
    !c.is_control() && !steers
}

/// Bytes in standard base64, padded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // At once: each item is written so, and a formatter would take it in small pieces.
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD
            .decode(text.as_bytes())
            .map(Base64)
            .map_err(|error| de::Error::custom(format_args!("not base64: {error}")))
    }
}

/// `N` bytes as `0x` and lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{}", hex::encode(self.0)))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let wrong =
            || de::Error::custom(format_args!("expected 0x and {} lower-case hex digits", 2 * N));
        let digits = text.strip_prefix("0x").ok_or_else(wrong)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) { Err(wrong()) } else { Ok(Hex(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_legible_is_short_and_moves_nothing() {
        assert_eq!(legible("Umlaute: äöü, 한국어"), "Umlaute: äöü, 한국어");
        assert_eq!(legible("a\u{1b}[2J\r\nb\u{202e}c\u{9b}d\0"), "a[2Jbcd");
        assert_eq!(legible(&"é".repeat(1000)).chars().count(), 200);
    }
}
