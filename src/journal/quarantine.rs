//! Quarantine: what a journal that was restored from a backup is not trusted with, and what lets it
//! be used again.
//!
//! A backup is older than the truth. What was written after it, numbers and signed things among it,
//! is forgotten, and must never be signed a second time in another way. What is held to, and by
//! what:
//!
//! - *Entries.* The first entry after a restore has the seq `1000 * its moment in milliseconds`, or
//!   a larger one: no journal appends a thousand entries in each millisecond of its life, so no seq
//!   that was used after the backup is used again, nor one that an earlier restore of the same
//!   backup used. So no head is anchored twice under one reference. This rests on a clock that
//!   was not set back to before what was lost.
//! - *Sessions* that are in the backup are over: [`WriteError::SessionLost`](super::WriteError)
//!   answers whoever would sign one more invoice, ack, voucher or item for one. Sessions after the
//!   backup are unknown, and nobody can go on with what is not known; their ids are random.
//! - *Channels* that we pay into are left to be closed: any voucher up to the deposit may have been
//!   signed, so all of it counts as vouched, and no session begins there. What is left comes back as
//!   from any channel. Numbers that make references of a channel's own calls begin anew beyond all
//!   that were used.
//! - *Transactions.* While the quarantine lasts nothing is prepared, so nothing new is signed. To end
//!   it each ledger is asked for what is open and takes effect each time that it is sent
//!   ([`is_repeatable`]); [`sdpp_ledger::Ledger::done`]. What is found is taken up
//!   as if it had been prepared here; what no ledger can tell is refused, for a person to look at.
//!   After that, when another transaction took the number of one that meets something from before the
//!   restore, that may have been the same payment, forgotten: it is refused as well, never signed
//!   again.
//!
//! What is not proven: that a ledger's answer is the whole truth. A transaction that was signed
//! after the backup, reached no block, and is held by some node that our node does not hear of, is
//! found by nobody; it can still take effect when its number comes up. What was sold or bought in
//! forgotten sessions is known from bundles alone, and nobody can prove that all were brought.

use super::obligation::Obligation;
use super::reader::{Reader, read_row};
use super::tree::{Store, Tree};
use super::write::Prepare;
use super::{JournalError, damaged};
use crate::record::Act;
use sdpp_ledger::{Call, Reference};
use serde::{Deserialize, Serialize};

/// Where the row stands.
pub(super) const KEY: &[u8] = b"quarantine";

/// What is said of something owed that may have been done already.
pub(super) const PERHAPS_DONE: &str = "the journal was restored from a backup, and this may have been \
     done before: look for it on the ledger, and only where it is not there, `sdpp journal retry`";

/// That a journal was restored from a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The backup's last entry: what stood after it is not known.
    pub after_seq: u64,
    /// When the backup was made, in milliseconds since 1970 UTC.
    pub backup_ms: u64,
    /// The first entry since.
    pub entry: u64,
    /// When it was released, in milliseconds since 1970 UTC; `None` while nothing may be signed.
    pub released_ms: Option<u64>,
}

/// What the ledgers told of what is open in a restored journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// What is done or on its way already: each as it was signed.
    pub found: Vec<Prepare>,
    /// Of what no ledger could tell.
    pub untold: Vec<Reference>,
}

impl Quarantine {
    /// Whether nothing may be signed.
    pub fn is_on(&self) -> bool {
        self.released_ms.is_none()
    }
}

/// Whether something owed takes effect each time that it is sent: a payment, a top-up. All else a
/// ledger does once, or does the same again.
pub fn is_repeatable(row: &Obligation) -> bool {
    matches!(row.owed.act, Act::Do(Call::Transfer(_) | Call::TopUp(_)))
}

impl Reader {
    /// The last time that the journal was restored, if it was.
    pub fn quarantine(&self) -> Result<Option<Quarantine>, JournalError> {
        self.row(Tree::Meta, KEY)
    }
}

pub(super) fn of(store: &Store) -> Result<Option<Quarantine>, JournalError> {
    let row = store.get(Tree::Meta, KEY).map_err(JournalError::from)?;
    let row = row.map(|bytes| read_row(Tree::Meta, &bytes));
    row.transpose().map_err(|_| damaged("it does not say whether it may be used"))
}
