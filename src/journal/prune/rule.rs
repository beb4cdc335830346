//! Which sessions keep their payload: one rule, as a table of reasons.

use crate::record::End;
use serde::{Deserialize, Serialize};

/// How a session stands, as far as the rule asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionFacts {
    /// How it ended, and when, in milliseconds since 1970 UTC.
    pub ended: Option<(End, u64)>,
    /// Evidence was exported for a dispute of it.
    pub is_disputed: bool,
    /// Something that it owes to a ledger is neither met nor refused.
    pub is_unsettled: bool,
    /// A ledger refused something that it owes.
    pub is_refused: bool,
    /// The last item that was invoiced, or that its buyer's signature says arrived.
    pub due_seq: u64,
    /// The last item of the last window that its buyer's signature says is paid.
    pub paid_seq: u64,
    /// A voucher of it is on a channel that is not over.
    pub is_on_open_channel: bool,
    /// It is under a bond that was not had back.
    pub is_under_bond: bool,
}

/// Why a session keeps its payload. The first reason that holds is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Evidence was exported for a dispute of it. No record ends a dispute, so for good.
    Disputed,
    /// It has not ended.
    Open,
    /// It ended in another way than complete: outstanding, broken, by misconduct.
    Incomplete,
    /// Something that it owes to a ledger is neither met nor refused.
    Unsettled,
    /// A ledger refused something that it owes.
    Refused,
    /// Items that arrived or were invoiced are not paid.
    Unpaid,
    /// A channel that it drew on is not over.
    Channel,
    /// A bond that it is under was not had back: what was signed in it may be asked for.
    Bond,
    /// It ended not long enough ago.
    Recent,
}

impl Kept {
    /// The reason, for people.
    pub fn why(self) -> &'static str {
        match self {
            Kept::Disputed => "in dispute",
            Kept::Open => "not ended",
            Kept::Incomplete => "not ended as complete",
            Kept::Unsettled => "not settled",
            Kept::Refused => "refused something by a ledger",
            Kept::Unpaid => "not paid in full",
            Kept::Channel => "on a channel that is open",
            Kept::Bond => "under a bond that was not had back",
            Kept::Recent => "too recent",
        }
    }
}

/// The rule: why a session that stands so keeps its payload, when that of sessions which ended
/// before `before_ms` is pruned.
pub fn kept(facts: &SessionFacts, before_ms: u64) -> Option<Kept> {
    let (is_complete, is_old) = match facts.ended {
        Some((end, at_ms)) => (end == End::Complete, at_ms < before_ms),
        None => (false, false),
    };
    let reasons = [
        (Kept::Disputed, facts.is_disputed),
        (Kept::Open, facts.ended.is_none()),
        (Kept::Incomplete, !is_complete),
        (Kept::Unsettled, facts.is_unsettled),
        (Kept::Refused, facts.is_refused),
        (Kept::Unpaid, facts.due_seq > facts.paid_seq),
        (Kept::Channel, facts.is_on_open_channel),
        (Kept::Bond, facts.is_under_bond),
        (Kept::Recent, !is_old),
    ];
    reasons.into_iter().find(|(_, holds)| *holds).map(|(reason, _)| reason)
}
