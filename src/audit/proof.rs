//! What a message proves by itself.

use crate::crypto::layout::MessageKind;
use crate::record::{Leaves, SignedMessage};
use crate::terms::SessionId;
use sdpp_ledger::{PublicKey, merkle};

/// A check that failed, as a sentence.
pub(super) type Found<T = ()> = Result<T, String>;

/// What was kept of a window's leaves must be what its invoice was signed for.
pub(super) fn are_under_root(message: &SignedMessage, leaves: &Leaves) -> Found {
    let leaves = leaves.as_slice();
    let fits = leaves.is_empty() || merkle::root(leaves) == message.commitment;
    fits.then_some(()).ok_or_else(|| format!("the leaves of window {} are others", message.number))
}

/// A message must be of this kind and session, and signed by this key.
pub(super) fn is_by(
    what: &str,
    message: &SignedMessage,
    kind: MessageKind,
    key: &PublicKey,
    session: SessionId,
) -> Found {
    if message.kind != kind {
        return Err(format!("the {what} is a message of another kind"));
    }
    if message.session != session {
        return Err(format!("the {what} is of another session"));
    }
    if !message.is_by(key) {
        return Err(format!("the signature of the {what} is false"));
    }
    Ok(())
}
