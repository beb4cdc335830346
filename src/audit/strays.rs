//! Items that a buyer did not take, because they are not of the dataset that the menu named.

use super::fold::Fold;
use super::proof::Found;
use crate::crypto::layout::MessageKind;
use crate::message::{DataInvoice, reread};
use crate::record::{SignedMessage, Stray};
use crate::terms::Terms;
use sdpp_ledger::Digest;

impl Fold {
    /// Such an item, in a session that has a dataset.
    pub(super) fn stray(&mut self, terms: &Terms, stray: &Stray) -> Found {
        if terms.dataset.is_none() {
            return Err(format!(
                "item {} is said not to be of a dataset, and none was named",
                stray.seq
            ));
        }
        self.strays.push((stray.clone(), stray.leaf(&self.session)));
        Ok(())
    }

    /// What the session ended with shows each of them: the seller signed it. What travels under a MAC
    /// nobody has signed.
    pub(super) fn are_shown(&self, terms: &Terms, evidence: &[SignedMessage]) -> Found {
        let is_bare = |(stray, leaf): &&(Stray, Digest)| {
            !evidence.iter().any(|message| shows(message, stray, leaf))
        };
        match self.strays.iter().find(is_bare).filter(|_| terms.signed_items) {
            Some((stray, _)) => Err(format!(
                "nothing that is kept shows that the seller signed item {}, which was not taken",
                stray.seq
            )),
            None => Ok(()),
        }
    }
}

/// Whether an item's leaf stands in a message or under its root.
fn shows(message: &SignedMessage, stray: &Stray, leaf: &Digest) -> bool {
    match (message.kind, &stray.invoiced) {
        (MessageKind::Data, _) => message.commitment == *leaf,
        (MessageKind::DataInvoice, Some(invoiced)) => {
            invoiced.proof.verify(leaf, &message.commitment)
        }
        // Its words name the leaf, and may have been too long to keep.
        (MessageKind::DataInvoice, None) => {
            message.data.is_none()
                || reread::<DataInvoice>(message).is_ok_and(|words| words.leaf == Some(*leaf))
        }
        _ => false,
    }
}
