//! `hello`: an optional greeting, answered by the menu.

use crate::crypto::layout::MessageKind;
use crate::message::envelope::Body;
use sdpp_ledger::PublicKey;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `data` of a `hello`: empty text as in the paper, or what the buyer speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Hello {
    /// What the buyer speaks.
    Speaks(Choice),
    /// Empty text.
    Plain(String),
}

/// Versions and encodings that a buyer speaks, the best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Protocol versions, such as `SDPP/1`.
    pub versions: Vec<String>,
    /// Encodings of items, such as `json`.
    pub encodings: Vec<String>,
    /// The key that would sign an order: the menu that answers has the prices for it. Nobody proves
    /// it here, and an order by another key has the others' prices. Left out where not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<PublicKey>,
}

impl Hello {
    /// Who says to be asking.
    pub fn buyer(&self) -> Option<&PublicKey> {
        match self {
            Hello::Speaks(choice) => choice.buyer.as_ref(),
            Hello::Plain(_) => None,
        }
    }
}

impl Body for Hello {
    const KIND: MessageKind = MessageKind::Hello;
}

// By hand: what serde derives for "one or the other" takes an array for an object.
impl<'de> Deserialize<'de> for Hello {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HelloVisitor;
        impl<'de> Visitor<'de> for HelloVisitor {
            type Value = Hello;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("empty text, or an object with versions and encodings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Hello, E> {
                Ok(Hello::Plain(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Hello, A::Error> {
                Choice::deserialize(MapAccessDeserializer::new(object)).map(Hello::Speaks)
            }
        }
        deserializer.deserialize_any(HelloVisitor)
    }
}
