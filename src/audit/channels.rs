//! What the ledgers said of our channels, held against what was vouched on them.

use super::Problem;
use crate::journal::Entry;
use crate::record::Record;
use sdpp_ledger::{Amount, Change, ChangeKind, ChannelId};
use std::collections::HashMap;

/// All channels of a journal.
#[derive(Default)]
pub(super) struct Channels {
    /// The most that was vouched on each, or was allowed to be.
    vouched: HashMap<ChannelId, Amount>,
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
        let (ChangeKind::Settled { settled } | ChangeKind::Closed { settled }) = change.kind else {
            return;
        };
        let vouched = self.vouched.get(&change.channel).copied().unwrap_or_default();
        if settled > vouched {
            let channel = change.channel;
            let what = format!("channel {channel}: {settled} is settled, {vouched} was vouched");
            self.problems.push(Problem { entry, session: None, what });
        }
    }
}
