//! The one value of a JSON document that is a price or a time, as the text that it is written as:
//! no number goes through a float.

use super::price::Price;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The longest pointer, in bytes.
const POINTER_BYTES_MAX: usize = 256;

/// Where in a document a value is, as RFC 6901 writes it: `/data/0/price`; empty for all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    steps: Vec<String>,
}

impl Pointer {
    /// The price there: a JSON number, or a text that is one.
    ///
    /// # Errors
    /// Why there is none, as a sentence. It may hold the source's own words.
    pub fn price(&self, json: &str) -> Result<Price, String> {
        self.text(json)?.parse()
    }

    /// The time there, in milliseconds since 1970 UTC: RFC 3339, or a number of seconds or
    /// milliseconds since then; below 10^11 it is seconds.
    ///
    /// # Errors
    /// As [`Pointer::price`].
    pub fn time_ms(&self, json: &str) -> Result<u64, String> {
        let text = self.text(json)?;
        let number = || text.parse::<Price>().ok()?.as_time_ms();
        let written = || u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok();
        let shown: String = text.chars().take(40).collect();
        number().or_else(written).ok_or_else(|| {
            format!(
                "{shown:?} is no time: expected seconds since 1970, or like 2026-01-31T12:00:00Z"
            )
        })
    }

    /// What is written there.
    fn text<'a>(&self, json: &'a str) -> Result<Cow<'a, str>, String> {
        let mut value: &RawValue =
            serde_json::from_str(json).map_err(|_| "the answer is no JSON".to_owned())?;
        for step in &self.steps {
            let found = Step(step).deserialize(value).unwrap_or_default();
            value = match found.as_slice() {
                [one] => one,
                [] => return Err(format!("there is no {self}")),
                _ => return Err(format!("it says {step:?} more than once")),
            };
        }
        match value.get().as_bytes().first() {
            Some(b'"') => {
                let read = serde_json::from_str(value.get()).map(Cow::Owned);
                read.map_err(|_| format!("at {self} is a text that cannot be read"))
            }
            Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(value.get())),
            _ => Err(format!("at {self} is neither a number nor a text")),
        }
    }
}

impl FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        let is_pointer = text.is_empty() || text.starts_with('/');
        if !is_plain || !is_pointer || text.len() > POINTER_BYTES_MAX {
            return Err("expected a JSON pointer like \"/data/price\", or \"\" for all".to_owned());
        }
        let step = |step: &str| step.replace("~1", "/").replace("~0", "~");
        Ok(Pointer { text: text.to_owned(), steps: text.split('/').skip(1).map(step).collect() })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Serialize for Pointer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// One step into an object or an array: what is there, up to two, as a key that stands twice could
/// be read in two ways.
struct Step<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key == self.0 && found.len() < 2 {
                true => found.push(map.next_value()?),
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let index = self.0.parse::<usize>().ok().filter(|index| index.to_string() == self.0);
        let (mut found, mut at) = (Vec::new(), 0);
        while let Some(value) = list.next_element::<&'de RawValue>()? {
            found.extend(Some(value).filter(|_| Some(at) == index));
            at += 1;
        }
        Ok(found)
    }
}
