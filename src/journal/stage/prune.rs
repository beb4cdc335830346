//! Dropping payload, and saying so in the chain in the same write.

use super::{Fault, Stage};
use crate::journal::delivery::DeliveryId;
use crate::journal::facts::Session;
use crate::journal::keys;
use crate::journal::prune::{Dropped, OfSession, Pruning};
use crate::journal::tree::Tree;
use crate::record::{PrunedSession, Record};

impl Stage<'_> {
    /// Drops a batch. Where nothing of it is there any more nothing changes, the chain included.
    pub(super) fn prune(&mut self, pruning: &Pruning) -> Result<(), Fault> {
        let mut dropped = Dropped::default();
        let mut sessions = Vec::new();
        for one in &pruning.sessions {
            sessions.extend(self.prune_session(one, &mut dropped)?);
        }
        for id in &pruning.deliveries {
            self.prune_delivery(id, &mut dropped)?;
        }
        let deliveries = dropped.deliveries;
        if sessions.is_empty() && deliveries == 0 {
            return Ok(());
        }
        self.written.pruned = Some(Box::new(dropped));
        let before_ms = pruning.before_ms;
        self.push(None, Record::Pruned { before_ms, sessions, deliveries })?;
        self.written.seq = Some(self.head.seq);
        Ok(())
    }

    fn prune_session(
        &mut self,
        one: &OfSession,
        dropped: &mut Dropped,
    ) -> Result<Option<PrunedSession>, Fault> {
        let OfSession { session, last_seq, seqs, through_seq } = one;
        let key = &session.0.0;
        let Some(known) = self.row::<Session>(Tree::Sessions, key)? else { return Ok(None) };
        let through_seq = *through_seq.min(last_seq);
        if known.ended.is_none() || self.has_entry_after(one)? {
            return Ok(None);
        }
        let mut entries = 0;
        for seq in seqs.iter().filter(|seq| **seq <= through_seq) {
            let place = (Tree::Payloads, keys::seq(*seq).to_vec());
            if let Some(payload) = self.get(place.0, &place.1)? {
                dropped.bytes += payload.len() as u64;
                entries += 1;
                self.set(place, None);
            }
        }
        if entries == 0 {
            return Ok(None);
        }
        dropped.entries += entries;
        dropped.sessions.push(*session);
        let pruned_to_seq = Some(through_seq.max(known.pruned_to_seq.unwrap_or_default()));
        self.put_row(
            "a session",
            Tree::Sessions,
            key.to_vec(),
            &Session { pruned_to_seq, ..known },
        )?;
        Ok(Some(PrunedSession { session: *session, through_seq, entries }))
    }

    /// Whether something came since the session was looked at: it may be in dispute by now.
    fn has_entry_after(&self, one: &OfSession) -> Result<bool, Fault> {
        let OfSession { session, last_seq, .. } = one;
        let after = keys::in_session(session, *last_seq);
        let on_disk = self.store.scan(Tree::SessionEntries, &session.0.0, Some(&after), 1);
        let on_disk = on_disk.map_err(crate::journal::JournalError::from)?;
        Ok(!on_disk.is_empty() || self.indexed.contains_key(session))
    }

    /// The transaction's id, its fee and the evidence stay: the bytes prove nothing more.
    fn prune_delivery(&mut self, id: &DeliveryId, dropped: &mut Dropped) -> Result<(), Fault> {
        let old = self.delivery(id)?;
        if !old.is_prunable() {
            return Ok(());
        }
        let mut row = old.clone();
        row.variants.iter_mut().for_each(|signed| signed.raw = Vec::new());
        dropped.bytes += old.raw_bytes() as u64;
        dropped.deliveries += 1;
        self.put_delivery(Some(&old), &row)
    }
}
