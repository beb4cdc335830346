//! `hello`: an optional greeting, answered by the menu; or the buyer's word that a session of its own is
//! to go on here.

use crate::crypto::layout::MessageKind;
use crate::message::envelope::{Body, Facts};
use crate::message::resume::Resume;
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
    /// A session that is to go on over this connection; left out where none is. Only then is a hello
    /// signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Box<Resume>>,
}

impl Hello {
    /// Who says to be asking.
    pub fn buyer(&self) -> Option<&PublicKey> {
        match self {
            Hello::Speaks(choice) => choice.buyer.as_ref(),
            Hello::Plain(_) => None,
        }
    }

    /// The session that is to go on here.
    pub fn resume(&self) -> Option<&Resume> {
        match self {
            Hello::Speaks(choice) => choice.resume.as_deref(),
            Hello::Plain(_) => None,
        }
    }
}

impl Body for Hello {
    const KIND: MessageKind = MessageKind::Hello;

    /// What resumes is bound to the connection that it is said on.
    fn facts(&self) -> Facts {
        let of = |resume: &Resume| Facts {
            number: resume.received,
            commitment: resume.challenge,
            ..Facts::default()
        };
        self.resume().map(of).unwrap_or_default()
    }
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
