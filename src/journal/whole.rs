//! What takes more than one read: what there are pages of, to its end, and what became of something
//! owed.

use super::entry::Entry;
use super::facts::Session;
use super::obligation::State;
use super::reader::Reader;
use super::{JournalError, NewsKind};
use crate::terms::SessionId;
use sdpp_ledger::Reference;

/// How many rows are read at once.
const ROWS: usize = 64;

impl Reader {
    /// All sessions that have no end, by id: few, for a start ends those that nobody goes on with.
    pub fn open_sessions(&self) -> Result<Vec<(SessionId, Session)>, JournalError> {
        let (mut open, mut after) = (Vec::new(), None);
        loop {
            let page = self.sessions(after.as_ref(), ROWS)?;
            let Some((last, _)) = page.last() else { return Ok(open) };
            after = Some(*last);
            open.extend(page.into_iter().filter(|(_, session)| session.ended.is_none()));
        }
    }

    /// All entries of a session, in order.
    pub fn each_session_entry(
        &self,
        session: &SessionId,
        mut take: impl FnMut(Entry),
    ) -> Result<(), JournalError> {
        let mut after = 0;
        loop {
            let page = self.session_entries(session, after, ROWS)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.seq;
            page.into_iter().for_each(&mut take);
        }
    }

    /// What became of something owed, as the session that owes it would have been told; `None` as
    /// long as nothing did.
    pub fn became(&self, reference: &Reference) -> Result<Option<NewsKind>, JournalError> {
        let Some(row) = self.obligation(reference)? else { return Ok(None) };
        Ok(match row.state {
            State::Met { evidence } => Some(NewsKind::Met(evidence)),
            State::Refused { why } => Some(NewsKind::Refused(why)),
            State::Riding { delivery } => {
                let delivery = self.delivery(&delivery)?;
                let signed = delivery.as_ref().and_then(|delivery| delivery.signed());
                signed.and_then(|signed| signed.tx.clone()).map(NewsKind::Signed)
            }
            State::Held | State::Open { .. } | State::Watching => None,
        })
    }
}
