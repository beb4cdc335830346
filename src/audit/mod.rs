//! Audit: a pure fold over a journal's entries. What was ordered, delivered, acknowledged,
//! invoiced, paid and is still owed, each figure proved by what was signed, or named as a problem.
//!
//! It trusts neither side, its own included: every signature is verified against the terms that
//! both signed, and every amount computed again. What only a ledger can tell is left as
//! [`Check`]s for whoever can ask one.

mod approvals;
mod channels;
mod credits;
mod due;
mod fold;
mod proof;
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
    /// All but this session is left out.
    only: Option<SessionId>,
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
            only: None,
        }
    }

    /// The same of one session alone. It wants all entries, too: what a session is paid with may
    /// be redeemed by others.
    pub fn of_session(identity: PublicKey, session: SessionId) -> Self {
        Audit { only: Some(session), ..Audit::new(identity) }
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
        let mut report = Report::default();
        for fold in self.order.iter().filter_map(|session| self.sessions.remove(session)) {
            let (statement, problems) = fold.finish();
            report.statements.extend(statement);
            report.problems.extend(problems);
        }
        self.channels.deal(&mut report.statements);
        let (changes, on_channels) = self.channels.finish();
        for statement in &mut report.statements {
            let of_it = |problem: &&Problem| problem.session == Some(statement.session);
            statement.problems.extend(on_channels.iter().filter(of_it).cloned());
        }
        report.problems.extend(on_channels);
        match self.only {
            // What other sessions say was needed to know what is this one's.
            Some(only) => {
                report.statements.retain(|statement| statement.session == only);
                report.problems.retain(|problem| problem.session == Some(only));
            }
            None => {
                (report.changes, report.approvals) = (changes, self.approvals);
                report.remainders = self.remainders.finish();
            }
        }
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
