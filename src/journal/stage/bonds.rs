//! What is known of bonds.

use super::{Fault, Stage};
use crate::journal::bonds::Known;
use crate::journal::keys;
use crate::journal::tree::Tree;
use crate::record::Record;
use crate::terms::SessionId;

impl Stage<'_> {
    /// Keeps what a record says of a bond: that we pledge it, or that a session is under it.
    pub(super) fn learn_bond(
        &mut self,
        session: Option<SessionId>,
        record: &Record,
    ) -> Result<(), Fault> {
        let Some(id) = Known::named(record) else { return Ok(()) };
        let key = keys::bond(&id);
        let mut known: Known = self.row(Tree::Meta, &key)?.unwrap_or_default();
        known.learn(session, record);
        self.put_row("a bond", Tree::Meta, key, &known)?;
        let Some(session) = session else { return Ok(()) };
        let key = [&keys::under(&id)[..], &session.0.0].concat();
        self.put("an index row", Tree::Meta, key, Vec::new())
    }
}
