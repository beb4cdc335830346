//! The four fields around each message, and the signature or MAC that covers all of them.
//!
//! What a peer signs are raw bytes: `data` is kept as it came, hashed as it came, and only then
//! trusted. Nothing here is ever serialized a second time to be verified.

use crate::crypto::MacKey;
use crate::crypto::layout::{Layout, MessageKind};
use crate::message::strict;
use crate::message::text::legible;
use crate::record::{DATA_BYTES_MAX, Leaves, SignedMessage, Unsigned};
use crate::terms::{SHOWN_BYTES_MAX, SessionId};
use sdpp_ledger::{Amount, Digest, Key, PublicKey, Signature, keccak};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What the signed layout takes from a message's data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// Seq, or invoice number.
    pub number: u64,
    /// Leaf, digest or root.
    pub commitment: Digest,
    /// The total amount asked or given.
    pub amount_total: Amount,
}

/// The `data` of one kind of message.
pub trait Body: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: MessageKind;

    /// What of it stands in the signed layout.
    fn facts(&self) -> Facts {
        Facts::default()
    }
}

/// Why a frame is not a message that can be trusted. It is always its sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not JSON, or not of the shape that the protocol asks for.
    #[error("malformed {message}: {why}")]
    Malformed {
        /// Which message, as far as it is known.
        message: String,
        /// What is wrong, and where; as far as it is the sender's text, [`legible`].
        why: String,
    },
    /// Not signed by the key that this session knows, or changed on the way.
    #[error("the signature of this {0} is not good: another key's, or the message was changed")]
    BadSignature(MessageKind),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame<'a> {
    message_type: MessageKind,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    signature: Cow<'a, str>,
    #[serde(borrow)]
    verification: Cow<'a, str>,
}

/// A message as it came: of the right outer shape, and not to be trusted yet.
#[derive(Debug)]
pub struct Envelope<'a> {
    kind: MessageKind,
    data: &'a str,
    signature: Cow<'a, str>,
    verification: Cow<'a, str>,
}

impl<'a> Envelope<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when it is not JSON with exactly the four fields, or has a key
    /// twice anywhere.
    pub fn parse(frame: &'a [u8]) -> Result<Self, WireError> {
        let outer =
            |why: String| WireError::Malformed { message: "frame".to_owned(), why: legible(&why) };
        let text = std::str::from_utf8(frame).map_err(|error| outer(error.to_string()))?;
        let Frame { message_type, data, signature, verification } =
            strict::read(text).map_err(|error| outer(error.to_string()))?;
        strict::check(data.get()).map_err(|error| malformed(message_type, &error))?;
        if verification.len() > VERIFICATION_BYTES_MAX {
            return Err(outer(format!("verification is longer than {VERIFICATION_BYTES_MAX}")));
        }
        Ok(Envelope { kind: message_type, data: data.get(), signature, verification })
    }

    /// Which message this says it is.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Reads the data without any proof of who sent it: an `error`, or a menu whose key is in it.
    ///
    /// # Errors
    /// [`WireError::Malformed`], naming the field.
    pub fn unproven<T: Body>(&self) -> Result<T, WireError> {
        debug_assert_eq!(T::KIND, self.kind, "the caller has looked at the kind");
        strict::read(self.data).map_err(|error| malformed(self.kind, &error))
    }

    /// Reads a message that `key` must have signed for `session`.
    ///
    /// # Errors
    /// [`WireError::Malformed`], or [`WireError::BadSignature`].
    pub fn signed_by<T: Body>(
        &self,
        key: &PublicKey,
        session: SessionId,
    ) -> Result<Verified<T>, WireError> {
        let body = self.unproven::<T>()?;
        let bad = || WireError::BadSignature(self.kind);
        let layout = self.layout(session, body.facts());
        let signature: Signature = self.signature.parse().map_err(|_| bad())?;
        if !key.verify(&layout.digest(), &signature) {
            return Err(bad());
        }
        let message = signed_message(&layout, self.data, &self.verification, signature);
        Ok(Verified { body, message: Some(message) })
    }

    /// Reads a message that must stand under the MAC of its sender's lane.
    ///
    /// # Errors
    /// [`WireError::Malformed`], or [`WireError::BadSignature`].
    pub fn under_mac<T: Body>(
        &self,
        mac: &MacKey,
        session: SessionId,
    ) -> Result<Verified<T>, WireError> {
        let body = self.unproven::<T>()?;
        let layout = self.layout(session, body.facts());
        let tag: Option<Digest> = self.signature.parse().ok();
        if !tag.is_some_and(|tag| mac.verify(&layout, &tag.0)) {
            return Err(WireError::BadSignature(self.kind));
        }
        Ok(Verified { body, message: None })
    }

    /// The evidence of this message with its words, also where they are longer than what is kept of
    /// others: what the session ends for.
    pub fn whole(&self, message: &Option<SignedMessage>) -> Option<SignedMessage> {
        let data = || self.can_be_shown().then(|| self.data.to_owned());
        message.clone().map(|message| SignedMessage { data: data(), ..message })
    }

    /// Whether it is short enough for that.
    pub fn can_be_shown(&self) -> bool {
        self.data.len() <= SHOWN_BYTES_MAX
    }

    /// A frame of the same message: its `data` is what came, byte for byte.
    pub fn frame(&self) -> Vec<u8> {
        frame(self.kind, self.data, &self.signature, &self.verification)
    }

    /// `verification` as sent.
    pub fn verification(&self) -> &str {
        &self.verification
    }

    fn layout(&self, session: SessionId, facts: Facts) -> Layout {
        layout(session, self.kind, facts, self.data, &self.verification)
    }
}

/// Reads the data of a message that was kept as evidence, once its signature was checked.
///
/// # Errors
/// [`WireError::Malformed`] when it is another message, or its data was too long to keep.
pub fn reread<T: Body>(message: &SignedMessage) -> Result<T, WireError> {
    let wrong =
        |why: &str| WireError::Malformed { message: message.kind.to_string(), why: why.to_owned() };
    if message.kind != T::KIND {
        return Err(wrong("another message was expected here"));
    }
    let data = message.data.as_deref().ok_or_else(|| wrong("its data was not kept"))?;
    strict::check(data).map_err(|error| malformed(message.kind, &error))?;
    let body: T = strict::read(data).map_err(|error| malformed(message.kind, &error))?;
    let Facts { number, commitment, amount_total } = body.facts();
    let signed = (message.number, message.commitment, message.amount_total);
    if signed == (number, commitment, amount_total) {
        Ok(body)
    } else {
        Err(wrong("its data and its signed layout disagree"))
    }
}

/// The longest `verification`: a transaction's id on any ledger.
const VERIFICATION_BYTES_MAX: usize = 128;

/// A message whose signature or MAC was checked.
#[derive(Debug, Clone)]
pub struct Verified<T> {
    /// What it says.
    pub body: T,
    /// The evidence, where it was signed.
    pub message: Option<SignedMessage>,
}

/// A message of ours whose `data` is fixed and which is not signed yet: what its anchor needs,
/// when the anchor's transaction is to stand in its `verification`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    kind: MessageKind,
    session: SessionId,
    facts: Facts,
    data: String,
}

impl Draft {
    /// Fixes the bytes of `data`.
    pub fn new<T: Body>(session: SessionId, body: &T) -> Self {
        // Bodies are plain structs and maps with text keys, which serde_json always writes.
        #[allow(clippy::expect_used)]
        let data = serde_json::to_string(body).expect("a body has text keys only");
        Draft { kind: T::KIND, session, facts: body.facts(), data }
    }

    /// The same bytes of `data` that the other side has signed, to be signed by us too: both stand
    /// under one layout. `None` where they were too long to keep.
    pub fn same_as(message: &SignedMessage) -> Option<Self> {
        let SignedMessage { kind, session, number, commitment, amount_total, .. } = *message;
        let facts = Facts { number, commitment, amount_total };
        Some(Draft { kind, session, facts, data: message.data.clone()? })
    }

    /// An invoice whose bytes were fixed before, to be signed.
    pub fn of_invoice(session: SessionId, unsigned: &Unsigned) -> Self {
        let Unsigned { number, commitment, amount_total, .. } = *unsigned;
        let facts = Facts { number, commitment, amount_total };
        Draft { kind: MessageKind::DataInvoice, session, facts, data: unsigned.data.clone() }
    }

    /// What is kept of an invoice of this window until it is signed; `None` where its data is too long.
    pub fn unsigned(
        &self,
        (from_seq, to_seq): (u64, u64),
        digest: Digest,
        leaves: Leaves,
    ) -> Option<Unsigned> {
        let Facts { number, commitment, amount_total } = self.facts;
        let data = self.data.clone();
        let unsigned =
            Unsigned { number, commitment, amount_total, data, from_seq, to_seq, digest, leaves };
        (self.data.len() <= DATA_BYTES_MAX).then_some(unsigned)
    }

    /// Keccak-256 of the raw bytes of `data`: what is anchored.
    pub fn data_digest(&self) -> Digest {
        keccak(&[self.data.as_bytes()])
    }

    /// Signs it: the evidence, and the frame to send.
    pub fn sign(&self, key: &Key, verification: &str) -> (SignedMessage, Vec<u8>) {
        let layout = self.layout(verification);
        let signature = key.sign(&layout.digest());
        let message = signed_message(&layout, &self.data, verification, signature);
        (message, self.frame(&signature.to_string(), verification))
    }

    /// Puts it under a MAC: the frame to send.
    pub fn tag(&self, mac: &MacKey) -> Vec<u8> {
        let tag = Digest(mac.tag(&self.layout("")));
        self.frame(&tag.to_string(), "")
    }

    /// Sends it unproven: only an `error`.
    pub fn bare(&self) -> Vec<u8> {
        self.frame("", "")
    }

    fn layout(&self, verification: &str) -> Layout {
        layout(self.session, self.kind, self.facts, &self.data, verification)
    }

    fn frame(&self, signature: &str, verification: &str) -> Vec<u8> {
        frame(self.kind, &self.data, signature, verification)
    }
}

/// The frame of a message that was kept as it was signed; `None` where its data was too long to keep.
pub fn said_again(message: &SignedMessage) -> Option<Vec<u8>> {
    let data = message.data.as_deref().filter(|data| strict::check(data).is_ok())?;
    Some(frame(message.kind, data, &message.signature.to_string(), &message.verification))
}

/// The four fields in their order, `data` as it is: whoever comes here has written it as JSON, or has
/// read it as such.
fn frame(kind: MessageKind, data: &str, signature: &str, verification: &str) -> Vec<u8> {
    let length = FRAME_BYTES + data.len() + signature.len() + verification.len();
    let mut frame = Vec::with_capacity(length);
    frame.extend_from_slice(b"{\"message_type\":");
    write_json(&mut frame, &kind);
    frame.extend_from_slice(b",\"data\":");
    frame.extend_from_slice(data.as_bytes());
    frame.extend_from_slice(b",\"signature\":");
    write_json(&mut frame, signature);
    frame.extend_from_slice(b",\"verification\":");
    write_json(&mut frame, verification);
    frame.extend_from_slice(b"}\n");
    frame
}

/// What a frame has beside its data, signature and verification, in bytes; a little more.
const FRAME_BYTES: usize = 96;

fn write_json<T: Serialize + ?Sized>(to: &mut Vec<u8>, value: &T) {
    // Names and texts are JSON whatever is in them, and a buffer takes all that is written to it.
    #[allow(clippy::expect_used)]
    serde_json::to_writer(to, value).expect("a text is JSON");
}

/// Most messages have nothing in their `verification`: each item, and each ack.
const KECCAK_OF_NOTHING: Digest = Digest([
    0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c, 0x92, 0x7e, 0x7d, 0xb2, 0xdc, 0xc7, 0x03, 0xc0,
    0xe5, 0x00, 0xb6, 0x53, 0xca, 0x82, 0x27, 0x3b, 0x7b, 0xfa, 0xd8, 0x04, 0x5d, 0x85, 0xa4, 0x70,
]);

fn layout(
    session: SessionId,
    kind: MessageKind,
    facts: Facts,
    data: &str,
    verification: &str,
) -> Layout {
    let Facts { number, commitment, amount_total } = facts;
    let data = keccak(&[data.as_bytes()]);
    let verification = match verification {
        "" => KECCAK_OF_NOTHING,
        text => keccak(&[text.as_bytes()]),
    };
    Layout { session, kind, number, commitment, amount_total, data, verification }
}

fn signed_message(
    layout: &Layout,
    data: &str,
    verification: &str,
    signature: Signature,
) -> SignedMessage {
    SignedMessage {
        kind: layout.kind,
        session: layout.session,
        number: layout.number,
        commitment: layout.commitment,
        amount_total: layout.amount_total,
        data: (data.len() <= DATA_BYTES_MAX).then(|| data.to_owned()),
        data_digest: layout.data,
        verification: verification.to_owned(),
        signature,
    }
}

fn malformed(kind: MessageKind, error: &serde_json::Error) -> WireError {
    WireError::Malformed { message: kind.to_string(), why: legible(&error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_what_keccak_says() {
        assert_eq!(KECCAK_OF_NOTHING, keccak(&[b""]));
    }

    #[test]
    fn a_frame_is_what_any_writer_of_json_makes() {
        let (data, odd) = (r#"{"a":[1,"ü"]}"#, "0x\"\\\n\u{1}é");
        let made = frame(MessageKind::DataInvoice, data, "0xab", odd);
        let whole = serde_json::json!({
            "message_type": "data_invoice", "data": {"a": [1, "ü"]}, "signature": "0xab",
            "verification": odd,
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&made).unwrap(), whole);
        assert_eq!(made.last(), Some(&b'\n'));
        let envelope = Envelope::parse(&made[..made.len() - 1]).unwrap();
        assert_eq!(envelope.frame(), made);
    }
}
