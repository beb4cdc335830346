//! What a session owes to ledgers, and what the outbox says became of it.

use super::due::Due;
use super::fold::Fold;
use super::proof::Found;
use crate::record::Owed;
use crate::terms::{Purpose, Terms};
use sdpp_ledger::{Amount, Digest, Evidence, LedgerId, Reference, merkle};
use std::sync::Arc;

impl Fold {
    /// Something is owed. A claim may come again, with another transaction.
    pub(super) fn owe(&mut self, owed: &Owed) {
        if self.due(owed.reference).is_some_and(|due| due.claim_also(owed)) {
            return;
        }
        if self.places.insert(owed.reference, self.owed.len()).is_some() {
            self.note(Err(format!("{} is owed a second time", owed.reference)));
        }
        let ledger = self.ledger(&owed.ledger);
        self.owed.push(Due::new(owed.clone(), ledger, self.at_ms));
    }

    /// One copy of a ledger's name for all that is owed there.
    fn ledger(&mut self, id: &LedgerId) -> Arc<LedgerId> {
        if let Some(known) = self.ledgers.iter().find(|known| ***known == *id) {
            return Arc::clone(known);
        }
        let new = Arc::new(id.clone());
        self.ledgers.push(Arc::clone(&new));
        new
    }

    /// An anchor for this record must hold the record's digest, on the ledger of the terms. That
    /// there is none is no problem: only the seller's records are anchored, and only where it
    /// keeps any.
    pub(super) fn is_anchored(
        &mut self,
        terms: &Terms,
        purpose: Purpose,
        number: u64,
        of: &Digest,
    ) -> Found {
        let reference = self.session.reference(purpose, number);
        let records = terms.records.clone();
        self.due(reference).map_or(Ok(()), |due| due.fit(records.as_ref(), of))
    }

    /// A dispute's evidence is anchored wherever its exporter says.
    pub(super) fn dispute(&mut self, bundle: &Digest, owed: &Owed) -> Found {
        self.due(owed.reference).map_or(Ok(()), |due| due.fit(None, bundle))
    }

    pub(super) fn met(
        &mut self,
        reference: Reference,
        evidence: &Evidence,
        proof: Option<&merkle::Proof>,
    ) -> Found {
        let at = (self.entry, self.at_ms);
        let Some(due) = self.due(reference) else {
            return Err(format!("{reference} is met and was never owed"));
        };
        let amount = due.meet(at, evidence, proof)?;
        self.settled = self.settled.checked_add(amount).ok_or("the sum passes 128 bits")?;
        let (settled, (_, invoiced)) = (self.settled, self.invoiced());
        if amount > Amount::ZERO && settled > invoiced {
            return Err(format!("{settled} is settled, {invoiced} was invoiced"));
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, reference: Reference, why: &str) -> Found {
        match self.due(reference) {
            Some(due) => due.refuse(why),
            None => Err(format!("{reference} is refused and was never owed")),
        }
    }

    pub(super) fn due(&mut self, reference: Reference) -> Option<&mut Due> {
        self.places.get(&reference).and_then(|place| self.owed.get_mut(*place))
    }
}
