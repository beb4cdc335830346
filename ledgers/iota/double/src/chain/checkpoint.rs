//! Checkpoints: what makes a transaction final. Their digests are those of the network's own types
//! over what the double puts into them; nobody signs them.

use std::collections::VecDeque;

use iota_sdk_types::{
    CheckpointContents, CheckpointContentsV1, CheckpointDigest, CheckpointSummary,
    CheckpointTransactionInfo, GasCostSummary, TransactionDigest,
};

use super::Landed;

/// So many checkpoints without a transaction are made at once after a long silence, not more.
const EMPTY_MAX: u64 = 64;

/// A checkpoint with the transactions that it lists.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    pub(crate) summary: CheckpointSummary,
    pub(crate) digest: CheckpointDigest,
    pub(crate) transactions: Vec<TransactionDigest>,
}

/// All checkpoints, and what waits for the next.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    made: VecDeque<Checkpoint>,
    /// The number of the first that is still there.
    first: u64,
    waiting: Vec<TransactionDigest>,
    /// Milliseconds between two; with 0 each transaction has one of its own, at once.
    interval_ms: u64,
    last_ms: u64,
    held: bool,
    transactions: u64,
    epoch_costs: GasCostSummary,
}

impl Checkpoints {
    /// With the first checkpoint, which has the genesis alone.
    pub(crate) fn new(genesis: TransactionDigest, now_ms: u64, interval_ms: u64) -> Checkpoints {
        let mut checkpoints = Checkpoints {
            made: VecDeque::new(),
            first: 0,
            waiting: vec![genesis],
            interval_ms,
            last_ms: now_ms,
            held: false,
            transactions: 0,
            epoch_costs: GasCostSummary::default(),
        };
        checkpoints.close(0, now_ms, &[], &GasCostSummary::default());
        checkpoints
    }

    pub(crate) fn at(&self, number: u64) -> Option<&Checkpoint> {
        let index = number.checked_sub(self.first)?;
        self.made.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn wait_for(&mut self, digest: TransactionDigest) {
        self.waiting.push(digest);
    }

    pub(crate) fn waiting(&self) -> &[TransactionDigest] {
        &self.waiting
    }

    pub(crate) fn hold(&mut self, hold: bool) {
        self.held = hold;
    }

    pub(crate) fn begin_epoch(&mut self) {
        self.epoch_costs = GasCostSummary::default();
    }

    /// When the next one is made, if that is not later than now.
    pub(crate) fn due(&mut self, now_ms: u64) -> Option<u64> {
        if self.held || (self.interval_ms == 0 && self.waiting.is_empty()) {
            return None;
        }
        if self.interval_ms == 0 {
            return Some(now_ms.max(self.last_ms));
        }
        let silence = self.interval_ms.saturating_mul(EMPTY_MAX);
        self.last_ms = self.last_ms.max(now_ms.saturating_sub(silence));
        let due = self.last_ms + self.interval_ms;
        (due <= now_ms).then_some(due)
    }

    /// Makes one of what waits, and says its number.
    pub(crate) fn close(
        &mut self,
        epoch: u64,
        at_ms: u64,
        contents: &[(TransactionDigest, &Landed)],
        costs: &GasCostSummary,
    ) -> u64 {
        let transactions = std::mem::take(&mut self.waiting);
        let number = self.first + self.made.len() as u64;
        self.transactions += transactions.len() as u64;
        self.epoch_costs += costs;
        let contents = CheckpointContents::new_v1(CheckpointContentsV1::new(
            contents.iter().map(listed).collect(),
        ));
        let summary = CheckpointSummary::new(
            epoch,
            number,
            self.transactions,
            contents.digest(),
            self.made.back().map(|last| last.digest),
            self.epoch_costs.clone(),
            at_ms,
            Vec::new(),
            None,
            Vec::new(),
        );
        let digest = summary.digest();
        self.last_ms = at_ms;
        self.made.push_back(Checkpoint { summary, digest, transactions });
        number
    }

    /// Forgets those below `first`, but never the last, and says which transactions they had.
    pub(crate) fn prune(&mut self, first: u64) -> Vec<TransactionDigest> {
        let mut gone = Vec::new();
        while self.first < first && self.made.len() > 1 {
            if let Some(checkpoint) = self.made.pop_front() {
                gone.extend(checkpoint.transactions);
                self.first += 1;
            }
        }
        gone
    }
}

fn listed((digest, landed): &(TransactionDigest, &Landed)) -> CheckpointTransactionInfo {
    CheckpointTransactionInfo {
        transaction: *digest,
        effects: landed.executed.effects.digest(),
        signatures: landed.signed.signatures.clone(),
    }
}
