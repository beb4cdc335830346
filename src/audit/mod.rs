//! Audit: a pure fold over a journal's entries. What was ordered, delivered, acknowledged,
//! invoiced, paid and is still owed, each figure proved by what was signed, or named as a problem.
//!
//! It trusts neither side, its own included: every signature is verified against the terms that
//! both signed, and every amount computed again. What only a ledger can tell is left as
//! [`Check`]s for whoever can ask one.

mod approvals;
mod channels;
mod due;
mod fold;
mod remainders;
mod statement;

pub use approvals::{Approval, Approved};
pub use remainders::Remainder;
pub use statement::{AnchorLine, Check, Expected, Settlement, State, Statement};

use crate::journal::Entry;
use crate::terms::SessionId;
use channels::Channels;
use fold::Fold;
use remainders::Remainders;
use sdpp_ledger::PublicKey;
use std::collections::BTreeMap;

/// Folds entries, in order, into statements.
pub struct Audit {
    identity: PublicKey,
    sessions: BTreeMap<SessionId, Fold>,
    /// Sessions in the order in which they began.
    order: Vec<SessionId>,
    channels: Channels,
    approvals: Vec<Approval>,
    remainders: Remainders,
}

/// Where an audit found something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The entry.
    pub entry: u64,
    /// The session, where it belongs to one.
    pub session: Option<SessionId>,
    /// What is wrong.
    pub what: String,
}

impl Audit {
    /// The audit of one side's journal.
    pub fn new(identity: PublicKey) -> Self {
        Audit {
            identity,
            sessions: BTreeMap::new(),
            order: Vec::new(),
            channels: Channels::default(),
            approvals: Vec::new(),
            remainders: Remainders::default(),
        }
    }

    /// Takes the next entry.
    pub fn take(&mut self, entry: &Entry) {
        self.channels.take(entry);
        approvals::take(&mut self.approvals, entry);
        self.remainders.take(entry);
        let Some(session) = entry.session else { return };
        let fold = self.sessions.entry(session).or_insert_with(|| {
            self.order.push(session);
            Fold::new(session, self.identity, entry.at_ms)
        });
        fold.take(entry);
    }

    /// One statement for each session, in the order in which they began, and all that is wrong.
    pub fn finish(mut self) -> Report {
        let (approvals, remainders) = (self.approvals, self.remainders.finish());
        let mut report = Report { approvals, remainders, ..Report::default() };
        for fold in self.order.iter().filter_map(|session| self.sessions.remove(session)) {
            let (statement, problems) = fold.finish();
            report.statements.extend(statement);
            report.problems.extend(problems);
        }
        self.channels.deal(&mut report.statements);
        let Channels { changes, problems, .. } = self.channels;
        report.changes = changes;
        report.problems.extend(problems);
        report.problems.sort_by_key(|problem| problem.entry);
        report
    }
}

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// One statement for each session.
    pub statements: Vec<Statement>,
    /// How often a ledger told that something happened to a channel.
    pub changes: u64,
    /// What our account let escrows take.
    pub approvals: Vec<Approval>,
    /// What is left in the open channels that we pay into.
    pub remainders: Vec<Remainder>,
    /// All that is wrong, the first entry first.
    pub problems: Vec<Problem>,
}
