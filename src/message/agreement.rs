//! What both sides of a session have agreed to change, from their signed words alone. Sessions,
//! audits and judges all follow amends by this, and no other way.

use super::amend::{Amend, Change};
use super::envelope::reread;
use crate::crypto::layout::MessageKind;
use crate::record::SignedMessage;
use crate::terms::{Credits, Role, Terms};
use sdpp_ledger::{Amount, Digest};

/// The amends of a session as far as they were followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    credits: Credits,
    /// The number of the last credit note that was proposed.
    number: u64,
    proposed: Option<Proposed>,
}

/// A credit note that waits for the buyer's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Proposed {
    /// The digest of its signed layout.
    digest: Digest,
    from_seq: u64,
    total: Amount,
}

/// What an `amend` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The seller has proposed a credit note.
    Proposed,
    /// The buyer has signed the very same: from here on it counts.
    Agreed,
    /// Nothing changes by it: a request, or a refusal.
    Other,
}

impl Agreement {
    /// The credit notes that both have signed.
    pub fn credits(&self) -> &Credits {
        &self.credits
    }

    /// Takes the next signed word, in the order in which they were journaled. Of a message whose
    /// `data` is not kept any more, the signed layout says all that counts.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence; then nothing has changed.
    pub fn take(
        &mut self,
        terms: &Terms,
        by: Role,
        message: &SignedMessage,
    ) -> Result<Word, String> {
        let key = if by == Role::Seller { &terms.seller } else { &terms.buyer };
        let is_of_session = (message.kind, message.session) == (MessageKind::Amend, terms.session);
        if !is_of_session || !message.is_by(key) {
            return Err(format!("this is no amend of the {by}'s in this session"));
        }
        match by {
            // Only a credit note signs an amount.
            Role::Seller if message.amount_total != Amount::ZERO => self.propose(terms, message),
            Role::Seller => Ok(Word::Other),
            Role::Buyer => self.answer(terms, message),
        }
    }

    fn propose(&mut self, terms: &Terms, message: &SignedMessage) -> Result<Word, String> {
        let (number, total) = (message.number, message.amount_total);
        let wrong = |why: String| format!("credit note {number}: {why}");
        if number <= self.number {
            return Err(wrong(format!("number {} was there already", self.number)));
        }
        let from_seq = Amend::from_seq_of(&message.commitment)
            .ok_or_else(|| wrong("it names no item that it is in force from".to_owned()))?;
        if message.data.is_some() {
            self.says_so(message, from_seq).map_err(wrong)?;
        }
        self.credits.clone().add(terms, from_seq, total).map_err(wrong)?;
        self.number = number;
        self.proposed = Some(Proposed { digest: message.digest(), from_seq, total });
        Ok(Word::Proposed)
    }

    /// Its own words must be what stands in its layout.
    fn says_so(&self, message: &SignedMessage, from_seq: u64) -> Result<(), String> {
        let body: Amend = reread(message).map_err(|error| error.to_string())?;
        match (body.by, &body.change) {
            (Role::Seller, Change::Credit(note)) => note.check(from_seq, self.credits.total()),
            _ => Err("it is none".to_owned()),
        }
    }

    fn answer(&mut self, terms: &Terms, message: &SignedMessage) -> Result<Word, String> {
        let digest = message.digest();
        let Some(proposed) = self.proposed.take_if(|proposed| proposed.digest == digest) else {
            return Ok(Word::Other);
        };
        let Proposed { from_seq, total, .. } = proposed;
        self.credits.add(terms, from_seq, total).map(|()| Word::Agreed)
    }
}
