//! `hello`: an optional greeting, answered by the menu.

use crate::crypto::layout::MessageKind;
use crate::message::envelope::Body;
use serde::{Deserialize, Serialize};

/// `data` of a `hello`: empty text as in the paper, or what the buyer speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Body for Hello {
    const KIND: MessageKind = MessageKind::Hello;
}
