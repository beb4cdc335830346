//! Settling at a person's word: what a session's channel holds for us is redeemed, whatever became
//! of the session. The table is here; the watch's own, for a payer that asked to close, is
//! [`super::watch`]'s.

use super::JournalError;
use super::obligation::{Obligation, redeem_in};
use super::reader::Reader;
use super::tree::Tree;
use super::watch::{View, Watched, Word};
use super::{PAGE_MAX, damaged};
use crate::record::{Owed, Record};
use crate::terms::{Role, SessionId};
use sdpp_ledger::{Amount, ChannelId, Digest, LedgerId, Reference};

/// A person wants the best voucher that we hold on a channel redeemed. What it takes is owed;
/// where nothing is missing, nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// The channel.
    pub channel: ChannelId,
    /// Its ledger.
    pub ledger: LedgerId,
    /// How its ledger has it just now: what the watch knows of it may be older.
    pub view: View,
    /// It is to be closed with that, also where nothing more is redeemed.
    pub close: bool,
    /// A session is going on in it: better vouchers may follow, so it is not closed under it.
    pub live: bool,
}

/// How a voucher is redeemed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// The channel stays open.
    Settle,
    /// The channel ends, and its payer has the rest back at once.
    Close,
}

impl Watched {
    /// The table: how the best voucher is to be redeemed now, at a person's word. It is closed
    /// with where that is wanted, or where its payer wants it anyway and the one call does both;
    /// but not under a session, which may still bring better ones.
    pub(super) fn must_settle(
        &self,
        best: Option<Amount>,
        close: bool,
        live: bool,
    ) -> Option<Means> {
        if self.side != Role::Seller || self.is_over {
            return None;
        }
        let is_more = best? > self.settled.max(self.redeemed);
        let closes = !live && (close || (is_more && self.ready_ms.is_some()));
        // Of a seller's row: closing it is owed already.
        match (is_more, closes, self.is_left) {
            (_, true, false) => Some(Means::Close),
            (true, _, _) => Some(Means::Settle),
            (false, ..) => None,
        }
    }
}

impl Reader {
    /// What a [`Settle`] would have owed now.
    pub fn must_settle(&self, settle: &Settle) -> Result<Option<Means>, JournalError> {
        let Some(row) = self.watched(&settle.channel)? else { return Ok(None) };
        let best = self.channel(&settle.channel)?.and_then(|facts| facts.voucher);
        let row = row.next(Word::Seen(&settle.view));
        Ok(row.must_settle(best.map(|(amount, _)| amount), settle.close, settle.live))
    }

    /// All that was ever owed to redeem vouchers of a channel and was not refused, by reference.
    pub fn redeems(&self, channel: &ChannelId) -> Result<Vec<Obligation>, JournalError> {
        let mut found = Vec::new();
        for (key, _) in self.page(Tree::Redeems, &channel.0, None, PAGE_MAX)? {
            let reference = key.last_chunk().ok_or_else(|| damaged("a row of what is redeemed"))?;
            let row = self.obligation(&Reference(*reference))?;
            found.push(row.ok_or_else(|| damaged("an index row without its obligation"))?);
        }
        found.retain(|row| redeem_in(&row.owed).is_some());
        Ok(found)
    }

    /// The bundles of evidence that were pinned for a session, in order.
    pub fn disputes(&self, session: &SessionId) -> Result<Vec<(Digest, Owed)>, JournalError> {
        let mut found = Vec::new();
        self.each_session_entry(session, |entry| {
            if let Record::Disputed { bundle, owed } = entry.record {
                found.push((bundle, owed));
            }
        })?;
        Ok(found)
    }
}
