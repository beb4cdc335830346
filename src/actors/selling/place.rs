//! A connection's place at the node, and what becomes of a session that broke there.

use crate::actors::journal::{Commit, JournalActor};
use crate::actors::keeper::Kept;
use crate::actors::node::{Gone, Node};
use crate::actors::{Ledgers, interrupted};
use crate::journal::Reader;
use crate::terms::SessionId;
use actix::prelude::*;

/// A connection's place at the node, given back when it is dropped. A session that broke in its
/// midst, which is never told that it ended, is ended here as one that a kill has left: what its
/// buyer vouched is redeemed, and the next order finds no session of its own in the way.
pub struct Place {
    /// Names the connection at the node.
    pub id: u64,
    /// The node.
    pub node: Kept<Node>,
    /// Our ledgers.
    pub ledgers: Ledgers,
    /// The journal, to read.
    pub reader: Reader,
    /// The journal.
    pub journal: Addr<JournalActor>,
    /// The session, while it has not ended.
    pub session: Option<SessionId>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let (id, node) = (self.id, self.node.clone());
        let gone = move || node.addr().do_send(Gone { id });
        let Some(session) = self.session else { return gone() };
        tracing::error!(%session, "a session broke: it is ended, and what is owed goes on");
        let ended = end(self.reader.clone(), self.ledgers.clone(), self.journal.clone(), session);
        // Where no arbiter is left, the process ends.
        if let Some(arbiter) = Arbiter::try_current() {
            arbiter.spawn(async move {
                ended.await;
                gone();
            });
        }
    }
}

/// Ends a session that broke, once its records that were on their way to the disk are there: one may be
/// its best voucher.
async fn end(reader: Reader, ledgers: Ledgers, journal: Addr<JournalActor>, session: SessionId) {
    // Where the journal is gone, what it has is all there is.
    let _ = journal.send(Commit(Vec::new())).await;
    match interrupted::end(&reader, &ledgers, session) {
        Ok(ends) => journal.do_send(Commit(ends)),
        Err(error) => tracing::error!(%error, %session, "it is ended at the next start"),
    }
}
