//! What a restored journal forgets to be trusted with, and what the ledgers give back; see
//! [`crate::journal::quarantine`].

use super::{Fault, Stage};
use crate::journal::damaged;
use crate::journal::delivery::Delivery;
use crate::journal::facts::{Channel, Session};
use crate::journal::obligation::Event;
use crate::journal::quarantine::{KEY, PERHAPS_DONE, Quarantine, Release, is_repeatable};
use crate::journal::tree::Tree;
use crate::journal::watch::Watched;
use crate::journal::write::{Write, WriteError};
use crate::record::{Act, Record};
use crate::terms::{Role, SessionId};
use sdpp_ledger::{Amount, Call, ChannelId};

/// No journal appends so many entries in each millisecond of its life.
const SEQS_IN_MS: u64 = 1_000;

impl Stage<'_> {
    /// In quarantine nothing is written but what leads out of it.
    pub(super) fn check_quarantine(&self, write: &Write) -> Result<(), Fault> {
        let is_on = self.quarantine.is_some_and(|quarantine| quarantine.is_on());
        let leads_out = matches!(write, Write::Release(_) | Write::Learn { .. });
        let is_restore = matches!(write, Write::Restore { .. });
        match (is_on, leads_out || is_restore) {
            (true, false) => Err(WriteError::Quarantined.into()),
            (false, true) if leads_out => Err(WriteError::NotQuarantined.into()),
            _ => Ok(()),
        }
    }

    /// Of a session that is older than the backup only its end is written.
    pub(super) fn check_session(
        &self,
        id: &SessionId,
        known: &Session,
        record: &Record,
    ) -> Result<(), Fault> {
        let is_lost = self.is_forgotten(known.first_seq);
        let ends = matches!(
            record,
            Record::Ended { .. } | Record::Disputed { .. } | Record::Redeeming { .. }
        );
        match is_lost && !ends {
            true => Err(WriteError::SessionLost(*id).into()),
            false => Ok(()),
        }
    }

    /// Whether what happened after an entry may be forgotten.
    fn is_forgotten(&self, entry: u64) -> bool {
        self.quarantine.is_some_and(|quarantine| entry <= quarantine.after_seq)
    }

    /// The journal goes on from a backup.
    pub(super) fn restore(&mut self, backup_ms: u64) -> Result<(), Fault> {
        let after_seq = self.head.seq;
        let beyond = self.now_ms.saturating_mul(SEQS_IN_MS);
        // The next entry stands there, and still names the digest of the last that is known.
        self.head.seq = beyond.max(after_seq + 1) - 1;
        self.push(None, Record::Restored { after_seq, backup_ms })?;
        let entry = self.head.seq;
        self.written.seq = Some(entry);
        self.set_quarantine(Quarantine { after_seq, backup_ms, entry, released_ms: None })?;
        for (key, _) in self.scan(Tree::Watching, &[])? {
            let channel = key.try_into().map_err(|_| damaged("a watched channel"))?;
            self.forget_channel(&ChannelId(channel), beyond)?;
        }
        Ok(())
    }

    /// As it is after what was written so far.
    pub(in crate::journal) fn quarantine(&self) -> Option<Quarantine> {
        self.quarantine
    }

    fn set_quarantine(&mut self, quarantine: Quarantine) -> Result<(), Fault> {
        self.quarantine = Some(quarantine);
        self.put_row("the quarantine", Tree::Meta, KEY.to_vec(), &quarantine)
    }

    /// All of a deposit of ours may be vouched away, and whatever was asked of the ledger may have
    /// been asked under any number up to here.
    fn forget_channel(&mut self, channel: &ChannelId, beyond: u64) -> Result<(), Fault> {
        let Some(row) = self.watched(channel)? else { return Ok(()) };
        let (redeems, reclaims) = (row.redeems.max(beyond), row.reclaims.max(beyond));
        let is_left = row.is_left || row.side == Role::Buyer;
        let deposit = self.deposit(&row)?;
        let side = row.side;
        // What was owed to get it back is looked for no more: the ledger shows how far it is.
        let row = Watched { redeems, reclaims, is_left, ..row };
        self.put_watched(channel, &row)?;
        if side == Role::Buyer {
            let facts: Option<Channel> = self.row(Tree::Channels, &channel.0)?;
            let before = facts.and_then(|facts| facts.ceiling).unwrap_or_default();
            let record = Record::Ceiling { channel: *channel, amount: deposit.max(before) };
            self.learn(None, &record)?;
            self.push(None, record)?;
        }
        Ok(())
    }

    /// The most that was ever deposited in a channel, as far as is known.
    fn deposit(&mut self, row: &Watched) -> Result<Amount, Fault> {
        let Some(opening) = row.opening else { return Ok(row.deposit) };
        let opened = match self.obligation(&opening)?.owed.act {
            Act::Do(Call::Open(open)) => open.deposit,
            _ => Amount::ZERO,
        };
        Ok(row.deposit.max(opened))
    }

    /// The ledgers have told what they can.
    pub(super) fn release_from(&mut self, release: Release) -> Result<(), Fault> {
        let Some(quarantine) = self.quarantine else {
            return Err(WriteError::NotQuarantined.into());
        };
        let Release { found, untold } = release;
        found.into_iter().try_for_each(|prepare| self.prepare(prepare))?;
        for reference in &untold {
            let why = PERHAPS_DONE.to_owned();
            self.obligation_event(reference, Event::Refused { why }, None)?;
        }
        self.push(None, Record::Released)?;
        self.written.seq = Some(self.head.seq);
        let released_ms = Some(self.now_ms);
        self.set_quarantine(Quarantine { released_ms, ..quarantine })
    }

    /// A delivery's number was taken by another transaction. Of what was owed before a restore that
    /// may have been the same, with a higher fee, forgotten: it is not signed again.
    pub(super) fn drop_spent(&mut self, row: &Delivery) -> Result<(), Fault> {
        for reference in &row.references {
            let owed = self.obligation(reference)?;
            let event = match self.is_forgotten(owed.entry) && is_repeatable(&owed) {
                true => Event::Refused { why: PERHAPS_DONE.to_owned() },
                false => Event::Dropped,
            };
            self.obligation_event(reference, event, None)?;
        }
        Ok(())
    }
}
