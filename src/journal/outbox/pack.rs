//! What may share one transaction, and what that transaction then does.

use crate::journal::entry::Head;
use crate::journal::obligation::{Obligation, State};
use crate::record::Act;
use sdpp_ledger::{Anchor, Batch, Call, Digest, PublicKey, Redeem, merkle};

/// What one transaction does for some obligations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The call.
    pub call: Call,
    /// The leaves under its root, the head's last; none where there is no root.
    pub leaves: Vec<Digest>,
}

/// How something owed may share a transaction with its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// As a leaf under a Merkle root.
    Root,
    /// As a row of a [`Call::SettleMany`].
    Settle,
    /// As a row of a [`Call::CloseMany`].
    Close,
}

/// What one transaction does for these obligations: the call of a single one, the batch of
/// many vouchers, or the root over the leaves of many and the head's. `None` when they cannot share one.
pub fn pack(owed: &[Obligation], head: Option<Head>, identity: &PublicKey) -> Option<Packed> {
    if let ([row], None) = (owed, head) {
        return match &row.owed.act {
            Act::Do(call) => Some(Packed { call: call.clone(), leaves: Vec::new() }),
            Act::Check(_) => None,
        };
    }
    if let (Some(call), None) = (batch_of(owed), head) {
        return Some(Packed { call, leaves: Vec::new() });
    }
    let leaves: Option<Vec<Digest>> = owed.iter().map(Obligation::leaf).collect();
    let mut leaves = leaves.filter(|leaves| !leaves.is_empty())?;
    leaves.extend(head.map(|head| Anchor::leaf(&head.reference(identity), &head.digest)));
    let call = Call::Anchor(Anchor::Root {
        root: merkle::root(&leaves),
        count: u32::try_from(leaves.len()).ok()?,
    });
    Some(Packed { call, leaves })
}

/// Whether a call stands for more than one thing, so that its refusal says nothing of each.
pub(in crate::journal) fn is_shared(call: &Call) -> bool {
    matches!(call, Call::Anchor(Anchor::Root { .. }) | Call::SettleMany(_) | Call::CloseMany(_))
}

/// How it may share a transaction; not at all once it shared one that the ledger refused.
pub(super) fn share_of(row: &Obligation) -> Option<Share> {
    match (&row.state, &row.owed.act) {
        (State::Open { alone: false }, Act::Do(Call::Settle(_))) => Some(Share::Settle),
        (State::Open { alone: false }, Act::Do(Call::Close(_))) => Some(Share::Close),
        (State::Open { alone: false }, _) => row.leaf().map(|_| Share::Root),
        _ => None,
    }
}

/// Whether it may join these, which share one transaction. A channel's second voucher waits for
/// the next batch.
pub(super) fn may_share_with(row: &Obligation, batch: &[Obligation]) -> bool {
    let share = share_of(row);
    let is_alike = |other: &Obligation| share_of(other) == share;
    let channel = redeem(row).map(|redeem| redeem.channel);
    let is_here = |other: &Obligation| redeem(other).map(|redeem| redeem.channel) == channel;
    // Those that are here already are all like the first.
    share.is_some()
        && batch.first().is_none_or(is_alike)
        && (channel.is_none() || !batch.iter().any(is_here))
}

/// The call that redeems all of these at once, where all settle or all close.
fn batch_of(owed: &[Obligation]) -> Option<Call> {
    let rows: Option<Vec<Redeem>> = owed.iter().map(|row| redeem(row).cloned()).collect();
    let batch = Batch { rows: rows? };
    let is_settle = |row: &Obligation| matches!(row.owed.act, Act::Do(Call::Settle(_)));
    if owed.iter().all(is_settle) {
        Some(Call::SettleMany(batch))
    } else if !owed.iter().any(is_settle) {
        Some(Call::CloseMany(batch))
    } else {
        None
    }
}

fn redeem(row: &Obligation) -> Option<&Redeem> {
    match &row.owed.act {
        Act::Do(Call::Settle(redeem) | Call::Close(redeem)) => Some(redeem),
        _ => None,
    }
}
