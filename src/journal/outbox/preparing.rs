//! What is prepared next: the most urgent things owed, and what may share their transactions.

use super::pack::{Share, may_share_with, pack, share_of};
use super::{Outbox, Step, is_due, obligation};
use crate::journal::obligation::{Obligation, redeem_in};
use crate::journal::reader::Reader;
use crate::journal::{JournalError, keys};
use crate::terms::Purpose;
use sdpp_ledger::Signed;

/// The most things that one turn prepares where there are no numbers: the first is not on disk
/// before the last is prepared.
const PREPARES_AT_MOST: usize = 8;

/// The most anchors under one root.
const ANCHORS_AT_MOST: usize = 1024;

/// The most vouchers in one transaction. With [`VARIANT_BYTES_MAX`] of variants it still fits a
/// row.
const REDEEMS_AT_MOST: usize = 100;

impl Outbox {
    /// How many things may be prepared. Where there are numbers the ledger must have taken each
    /// before the next is prepared: one that it refuses is then the largest, can be given back,
    /// and leaves no gap that others wait behind for ever. Where there are none nobody waits
    /// behind another, but what is being prepared must be known to what is prepared next.
    pub(super) fn room(
        &self,
        journal: &Reader,
        live: &[(u64, u64)],
    ) -> Result<usize, JournalError> {
        let room = self.policy.in_flight_max.saturating_sub(live.len());
        if !self.has_numbers {
            return Ok(if self.under_way.prepares() { 0 } else { room.min(PREPARES_AT_MOST) });
        }
        for (_, number) in live {
            if !self.delivery(journal, *number)?.state.is_accepted() {
                return Ok(0);
            }
        }
        Ok(room.min(1))
    }

    /// Up to `room` things to sign, each with the newest bytes of all that is on its way.
    pub(super) fn prepares(
        &self,
        journal: &Reader,
        live: &[u64],
        at: Option<u64>,
        room: usize,
        now_ms: u64,
    ) -> Result<Vec<Step>, JournalError> {
        let mut due = self.by_urgency(journal, room, now_ms)?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let live = live.iter().map(|number| Ok(self.delivery(journal, *number)?.variants.pop()));
        let live: Vec<Option<Signed>> = live.collect::<Result<_, JournalError>>()?;
        let live: Vec<Signed> = live.into_iter().flatten().collect();
        let mut numbers = journal.numbers(&self.ledger, &self.account)?;
        let mut steps = Vec::new();
        while steps.len() < room && !due.is_empty() {
            let batch = self.batch(&mut due);
            let head = match self.takes_head(&batch) {
                true => Some(journal.head()?),
                false => None,
            };
            let Some(packed) = pack(&batch, head, &journal.identity()) else { continue };
            steps.push(Step::Prepare {
                call: packed.call,
                references: batch.iter().map(|row| row.owed.reference).collect(),
                head,
                ask: self.has_numbers && (!self.asked || numbers.given_back),
                numbers,
                live: live.clone(),
                at,
                tries: batch.first().map_or(0, |row| row.tries),
            });
            numbers.next = numbers.next.saturating_add(1);
        }
        Ok(steps)
    }

    /// The obligations that the next transaction meets, taken from what is due: the most urgent,
    /// and as many more as may share its transaction.
    fn batch(&self, due: &mut Vec<Obligation>) -> Vec<Obligation> {
        let mut batch: Vec<Obligation> = Vec::new();
        let mut rest = Vec::new();
        let mut at_most = 1;
        for row in std::mem::take(due) {
            if batch.is_empty() {
                at_most = share_of(&row).map_or(1, |share| self.at_most(share));
                batch.push(row);
            } else if batch.len() < at_most && may_share_with(&row, &batch) {
                batch.push(row);
            } else {
                rest.push(row);
            }
        }
        *due = rest;
        batch
    }

    /// What is due, as far as is looked at: first what is about bonds and what redeems from channels
    /// that their payers may empty soon, then what is due first.
    fn by_urgency(
        &self,
        journal: &Reader,
        room: usize,
        now_ms: u64,
    ) -> Result<Vec<Obligation>, JournalError> {
        let look_at = room + 2 * self.at_most(Share::Root).max(self.at_most(Share::Settle));
        let mut rows = Vec::new();
        for kind in keys::TO_PREPARE {
            for (due_ms, key) in journal.due(&self.ledger, kind, look_at)? {
                if is_due(due_ms, now_ms) {
                    let row = obligation(journal, key)?;
                    rows.push((ready_ms(journal, &row)?, row));
                }
            }
        }
        rows.sort_by_key(|(ready_ms, _)| *ready_ms);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    fn at_most(&self, share: Share) -> usize {
        match share {
            Share::Root => self.policy.anchors_at_most.clamp(1, ANCHORS_AT_MOST),
            Share::Settle | Share::Close => self.policy.redeems_at_most.clamp(1, REDEEMS_AT_MOST),
        }
    }

    /// The journal's head rides along where there is a root anyway, and with each session's last
    /// anchor, its exit.
    fn takes_head(&self, batch: &[Obligation]) -> bool {
        let is_last = |row: &Obligation| row.owed.purpose == Purpose::Exit;
        batch.iter().all(|row| share_of(row) == Some(Share::Root))
            && (self.policy.anchors_at_most > 1 || batch.iter().any(is_last))
    }
}

/// From when on the payer may take what this redeems; at the end of time where it did not ask to. What
/// is about a bond is as if it might at once: it may be an answer that somebody waits for in vain.
fn ready_ms(journal: &Reader, row: &Obligation) -> Result<u64, JournalError> {
    if row.owed.purpose == Purpose::Bond {
        return Ok(0);
    }
    let Some((redeem, _)) = redeem_in(&row.owed) else { return Ok(u64::MAX) };
    let watched = journal.watched(&redeem.channel)?;
    Ok(watched.and_then(|watched| watched.ready_ms).unwrap_or(u64::MAX))
}
