//! What a session owes to ledgers, and what the outbox says became of it.

use super::counts::Count;
use super::due::Due;
use super::fold::Fold;
use super::ground::{Ground, is_for};
use super::proof::Found;
use crate::record::{Act, Owed};
use crate::terms::{Purpose, Terms};
use sdpp_ledger::{Amount, Call, ChannelId, Digest, Evidence, LedgerId, Reference, merkle};
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
        let mut due = Due::new(owed.clone(), ledger, self.at_ms);
        if let Act::Do(Call::Settle(redeem) | Call::Close(redeem)) = &owed.act {
            due.leg = self.leg_on(redeem.channel, redeem.amount);
        }
        self.owed.push(due);
    }

    /// The place of the leg that so much on a channel is for: the last on it that begins below.
    fn leg_on(&self, channel: ChannelId, amount: Amount) -> u16 {
        let place = match &self.ground {
            Ground::Under(under) => under.leg_on(channel, amount),
            Ground::Over(statement) => {
                let legs = statement
                    .legs()
                    .enumerate()
                    .filter(|(_, leg)| is_for(leg.escrow, channel, amount));
                legs.last().map(|(place, _)| place)
            }
            Ground::ExpectOrder | Ground::Baseless => None,
        };
        place.and_then(|place| u16::try_from(place).ok()).unwrap_or_default()
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
        let leg = due.leg;
        let count = self.counts.on(leg.into());
        count.settled = count.settled.checked_add(amount).ok_or("the sum passes 128 bits")?;
        let Count { settled, invoiced, .. } = *count;
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
