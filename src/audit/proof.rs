//! What a message proves by itself, and what has to be verified for it.

use super::Problem;
use crate::crypto::layout::MessageKind;
use crate::record::SignedMessage;
use crate::terms::SessionId;
use sdpp_ledger::{Digest, PublicKey, Signature};

/// A check that failed, as a sentence.
pub(super) type Found<T = ()> = Result<T, String>;

/// A signature that is yet to be verified: nearly all of an audit's time, and no other part of it
/// waits for the answer. So it may be done on any thread, in any order.
#[derive(Debug)]
pub struct ToVerify {
    entry: u64,
    session: SessionId,
    what: &'static str,
    key: PublicKey,
    of: Of,
}

/// What was signed.
#[derive(Debug)]
enum Of {
    Message(Box<SignedMessage>),
    Digest(Digest, Signature),
}

impl ToVerify {
    /// A message, `what` for people.
    pub(super) fn message(
        (entry, session): (u64, SessionId),
        what: &'static str,
        message: &SignedMessage,
        key: PublicKey,
    ) -> Self {
        ToVerify { entry, session, what, key, of: Of::Message(Box::new(message.clone())) }
    }

    /// A digest, `what` for people.
    pub(super) fn digest(
        (entry, session): (u64, SessionId),
        what: &'static str,
        (digest, signature): (Digest, Signature),
        key: PublicKey,
    ) -> Self {
        ToVerify { entry, session, what, key, of: Of::Digest(digest, signature) }
    }

    /// Whether the signature is what it says that it is.
    pub fn holds(&self) -> bool {
        match &self.of {
            Of::Message(message) => message.is_by(&self.key),
            Of::Digest(digest, signature) => self.key.verify(digest, signature),
        }
    }

    /// What is wrong where it does not hold.
    pub(super) fn problem(&self) -> Problem {
        let what = match self.what {
            VOUCHER => "the voucher is not signed by the buyer".to_owned(),
            EVIDENCE => "the evidence is not signed by the other side".to_owned(),
            what => format!("the signature of the {what} is false"),
        };
        Problem { entry: self.entry, session: Some(self.session), what, is_forged: true }
    }
}

pub(super) const VOUCHER: &str = "voucher";
pub(super) const EVIDENCE: &str = "evidence";

/// A message must be of this kind and session.
pub(super) fn is_of(
    what: &str,
    message: &SignedMessage,
    kind: MessageKind,
    session: SessionId,
) -> Found {
    if message.kind != kind {
        return Err(format!("the {what} is a message of another kind"));
    }
    if message.session != session {
        return Err(format!("the {what} is of another session"));
    }
    Ok(())
}
