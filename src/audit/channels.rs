//! What the ledgers said of our channels, held against what was vouched on them.

use super::Problem;
use super::statement::{State, Statement};
use crate::journal::Entry;
use crate::record::{End, Record};
use crate::terms::{InEscrow, Role};
use sdpp_ledger::{Amount, Change, ChangeKind, ChannelId};
use std::collections::HashMap;

/// All channels of a journal.
#[derive(Default)]
pub(super) struct Channels {
    /// The most that was vouched on each, or was allowed to be.
    vouched: HashMap<ChannelId, Amount>,
    /// What each has paid out in all, and whether that was all.
    paid: HashMap<ChannelId, (Amount, bool)>,
    pub(super) changes: u64,
    pub(super) problems: Vec<Problem>,
}

impl Channels {
    /// Takes the next entry.
    pub(super) fn take(&mut self, entry: &Entry) {
        match &entry.record {
            // A buyer may sign up to its ceiling, so that is what it can have lost.
            Record::Ceiling { channel, amount } | Record::Voucher { channel, amount, .. } => {
                let most = self.vouched.entry(*channel).or_default();
                *most = (*most).max(*amount);
            }
            Record::Spent { channel, amount, .. } => {
                let most = self.vouched.entry(*channel).or_default();
                *most = (*most).min(*amount);
            }
            Record::ChannelChange { change, .. } => {
                self.changes += 1;
                self.hold_against(entry.seq, change);
            }
            _ => {}
        }
    }

    fn hold_against(&mut self, entry: u64, change: &Change) {
        let (paid, is_over) = self.paid.entry(change.channel).or_default();
        *is_over |= matches!(change.kind, ChangeKind::Closed { .. } | ChangeKind::Withdrawn);
        let (ChangeKind::Settled { settled } | ChangeKind::Closed { settled }) = change.kind else {
            return;
        };
        *paid = (*paid).max(settled);
        let vouched = self.vouched.get(&change.channel).copied().unwrap_or_default();
        if settled > vouched {
            let channel = change.channel;
            let what = format!("channel {channel}: {settled} is settled, {vouched} was vouched");
            self.problems.push(Problem { entry, session: None, what });
        }
    }

    /// Deals out what each channel has paid, by its ledger, to the sessions on it, in their order:
    /// one has what lies between its base and the next one's, whatever either side wrote of it.
    pub(super) fn deal(&self, statements: &mut [Statement]) {
        let mut next = HashMap::new();
        for statement in statements.iter_mut().rev() {
            let Some(InEscrow { channel, base }) = statement.escrow else { continue };
            if statement.state == State::Ended(End::Refused) && statement.windows == 0 {
                continue;
            }
            let end = next.insert(channel, base);
            let Some((paid, is_over)) = self.paid.get(&channel) else { continue };
            let part = end.map_or(*paid, |end| end.min(*paid)).saturating_sub(base);
            has(statement, part, *is_over);
        }
    }
}

/// A session has got so much out of its channel; where that is over, it gets no more.
fn has(statement: &mut Statement, part: Amount, is_over: bool) {
    // Vouchers that are not redeemed are worth nothing any more; the seller's receipt still is.
    statement.settled = match statement.role {
        Role::Seller if is_over => part,
        _ => statement.settled.max(part),
    };
    statement.paid = statement.paid.max(part);
    statement.outstanding = statement.invoiced.saturating_sub(statement.settled);
}
