//! Audit: a pure fold over a journal's entries. What was ordered, delivered, acknowledged,
//! invoiced, paid and is still owed, each figure proved by what was signed, or named as a problem.
//!
//! It trusts neither side, its own included: every signature is verified against the terms that
//! both signed, and every digest, root and amount computed again. What only a ledger can tell is
//! left as [`Check`]s and [`Escrowed`] channels for whoever can ask one. Signatures may be
//! verified elsewhere, on as many threads as there are: [`Audit::read`] hands them out.

mod approvals;
mod channels;
mod costs;
mod counts;
mod draft;
mod due;
mod escrowed;
mod exits;
mod fees;
mod fold;
mod ground;
mod messages;
mod outbox;
mod paying;
mod payments;
mod payouts;
mod proof;
mod remainders;
mod spent;
mod statement;
mod strays;
mod totals;
mod voided;

pub use approvals::{Approval, Approved};
pub use costs::Cost;
pub use escrowed::{Escrowed, Seen};
pub use payments::{Payment, Progress};
pub use proof::ToVerify;
pub use remainders::Remainder;
pub use spent::{OfSession, Spent, day_began_ms};
pub use statement::{
    AnchorLine, Check, Expected, Invoiced, LegStatement, Payout, Settlement, State, Statement, Told,
};
pub use totals::{By, Fees, Money, Span, Sums, Totals};

use crate::journal::Entry;
use crate::terms::SessionId;
use channels::Channels;
use costs::Costs;
use escrowed::AllEscrowed;
use fold::Fold;
use payouts::Payouts;
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
    payouts: Payouts,
    escrowed: AllEscrowed,
    costs: Costs,
    approvals: Vec<Approval>,
    remainders: Remainders,
    /// False signatures.
    forged: Vec<Problem>,
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
    /// A signature is false: the journal holds what was never said, and no figure of it counts.
    pub is_forged: bool,
}

impl Problem {
    /// Something that is wrong with a figure, not with a signature.
    pub fn new(entry: u64, session: Option<SessionId>, what: String) -> Self {
        Problem { entry, session, what, is_forged: false }
    }

    /// The order in which they are told: by entry, and a false signature before what follows.
    pub fn place(&self) -> (u64, bool) {
        (self.entry, !self.is_forged)
    }
}

impl Audit {
    /// The audit of one side's journal.
    pub fn new(identity: PublicKey) -> Self {
        Audit {
            identity,
            sessions: BTreeMap::new(),
            order: Vec::new(),
            channels: Channels::default(),
            payouts: Payouts::default(),
            escrowed: AllEscrowed::default(),
            costs: Costs::default(),
            approvals: Vec::new(),
            remainders: Remainders::default(),
            forged: Vec::new(),
            only: None,
        }
    }

    /// The same of one session alone. It wants all entries, too: what a session is paid with may
    /// be redeemed by others.
    pub fn of_session(identity: PublicKey, session: SessionId) -> Self {
        Audit { only: Some(session), ..Audit::new(identity) }
    }

    /// Takes the next entry, its signatures included.
    pub fn take(&mut self, entry: &Entry) {
        let mut to_verify = Vec::new();
        self.read(entry, &mut to_verify);
        let forged = to_verify.iter().filter(|one| !one.holds());
        forged.for_each(|one| self.refute(one));
    }

    /// Takes the next entry, but for its signatures: these are added to what is to be verified,
    /// and whichever does not hold is told to [`Audit::refute`] before the end.
    pub fn read(&mut self, entry: &Entry, to_verify: &mut Vec<ToVerify>) {
        self.channels.take(entry);
        self.payouts.take(entry);
        self.escrowed.take(entry);
        self.costs.take(entry);
        approvals::take(&mut self.approvals, entry);
        self.remainders.take(entry);
        let Some(session) = entry.session else { return };
        let fold = self.sessions.entry(session).or_insert_with(|| {
            self.order.push(session);
            Fold::new(session, self.identity, entry.at_ms)
        });
        fold.take(entry);
        to_verify.append(&mut fold.to_verify);
    }

    /// A signature of an entry that was read does not hold.
    pub fn refute(&mut self, forged: &ToVerify) {
        self.forged.push(forged.problem());
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
        let (changes, mut others) = self.channels.finish();
        others.append(&mut self.forged);
        others.sort_by(|a, b| (a.entry, &a.what).cmp(&(b.entry, &b.what)));
        for statement in &mut report.statements {
            let of_it = |problem: &&Problem| problem.session == Some(statement.session);
            statement.problems.extend(others.iter().filter(of_it).cloned());
            statement.problems.sort_by_key(Problem::place);
        }
        report.problems.extend(others);
        report.costs = self.costs.finish();
        fees::share(&mut report);
        self.payouts.deal(&mut report);
        report.escrowed = self.escrowed.finish(&report.statements);
        match self.only {
            // What other sessions say was needed to know what is this one's.
            Some(only) => report.keep(|statement| statement.session == only),
            None => {
                (report.changes, report.approvals) = (changes, self.approvals);
                report.remainders = self.remainders.finish();
            }
        }
        report.problems.sort_by_key(Problem::place);
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
    /// The channels of these sessions, to be held against their ledgers.
    pub escrowed: Vec<Escrowed>,
    /// What transactions cost that belong to no session.
    pub costs: Vec<Cost>,
    /// All that is wrong, the first entry first.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Leaves out sessions, and all that is of no session. What is forged stays: whoever asks for
    /// one session would rely on the others' entries being whole.
    pub fn keep(&mut self, is_kept: impl Fn(&Statement) -> bool) {
        self.statements.retain(is_kept);
        let kept: std::collections::HashSet<SessionId> =
            self.statements.iter().map(|statement| statement.session).collect();
        let is_of = |session: Option<SessionId>| session.is_some_and(|one| kept.contains(&one));
        self.problems.retain(|problem| problem.is_forged || is_of(problem.session));
        self.escrowed.retain(|channel| is_of(channel.session));
        self.costs.clear();
        self.approvals.clear();
        self.remainders.clear();
    }
}
