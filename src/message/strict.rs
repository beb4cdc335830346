//! JSON that says one thing: no key twice in any object. Two readers could otherwise take
//! different values from the same signed bytes.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Whether `text` is one JSON value in which no object has a key twice.
pub fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<Strict>(text).map(|_| ())
}

/// Any JSON value, looked through and thrown away.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

/// Accepts a scalar of each type that JSON has.
macro_rules! scalars {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<Strict, E> {
            Ok(Strict)
        })*
    };
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: Error>(self) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        while items.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Strict, A::Error> {
        let mut keys = Keys::default();
        while let Some(Key(key)) = object.next_key::<Key<'de>>()? {
            if let Some(twice) = keys.insert(key) {
                return Err(A::Error::custom(format_args!("duplicate key {twice:?}")));
            }
            object.next_value::<Strict>()?;
        }
        Ok(Strict)
    }
}

/// A key, borrowed from the input where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The keys of one object seen so far: a list while short, a set once long, so that an object
/// with very many keys takes no quadratic time.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    const FEW: usize = 16;

    /// Takes a key in; gives it back when it was there.
    fn insert(&mut self, key: Cow<'de, str>) -> Option<Cow<'de, str>> {
        if self.few.contains(&key) || self.many.contains(&key) {
            return Some(key);
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_twice_is_refused_at_any_depth() {
        for good in [r#"{"a":1,"b":{"a":[{"a":null}]}}"#, r#""x""#, "[1.5,-2,true]"] {
            assert!(check(good).is_ok(), "{good} was refused");
        }
        let escaped = r#"{"a":1,"\u0061":2}"#;
        for bad in [r#"{"a":1,"a":1}"#, r#"[{"b":{"c":1,"d":2,"c":3}}]"#, escaped, "{", "1 2"] {
            assert!(check(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_key_twice_is_found_among_many() {
        let keys: Vec<String> = (0..100).map(|i| format!("\"k{i}\":0")).collect();
        assert!(check(&format!("{{{}}}", keys.join(","))).is_ok());
        assert!(check(&format!("{{{},\"k77\":1}}", keys.join(","))).is_err());
    }

    #[test]
    fn a_hostile_depth_is_an_error_not_a_crash() {
        assert!(check(&"[".repeat(100_000)).is_err());
    }
}
