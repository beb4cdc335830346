//! What channels paid out on their ledgers, dealt out to the sessions that it was for.

use super::Report;
use super::fees::part;
use super::statement::{Payout, Statement};
use crate::journal::Entry;
use crate::record::{Act, Owed, Record};
use crate::terms::InEscrow;
use sdpp_ledger::{Amount, Call, ChangeKind, ChannelId, Reference, TxId};
use std::collections::HashMap;

/// All payouts of a journal's channels.
#[derive(Default)]
pub(super) struct Payouts {
    redeems: HashMap<Reference, (ChannelId, Amount)>,
    by_channel: HashMap<ChannelId, Vec<Step>>,
}

/// A channel has paid so much in all.
struct Step {
    in_all: Amount,
    at_ms: u64,
    tx: TxId,
    reference: Option<Reference>,
}

impl Payouts {
    /// Takes the next entry.
    pub(super) fn take(&mut self, entry: &Entry) {
        if let Some(Owed { reference, act: Act::Do(call), .. }) = entry.record.owed()
            && let Call::Settle(redeem) | Call::Close(redeem) = call
        {
            self.redeems.insert(*reference, (redeem.channel, redeem.amount));
        }
        match &entry.record {
            Record::Met { reference, evidence, .. } => {
                if let Some((channel, in_all)) = self.redeems.remove(reference) {
                    let (at_ms, tx) = (entry.at_ms, evidence.tx.clone());
                    self.step(channel, Step { in_all, at_ms, tx, reference: Some(*reference) });
                }
            }
            Record::ChannelChange { change, .. } => {
                let (ChangeKind::Settled { settled } | ChangeKind::Closed { settled }) =
                    change.kind
                else {
                    return;
                };
                let (at_ms, tx) = (entry.at_ms, change.tx.clone());
                self.step(change.channel, Step { in_all: settled, at_ms, tx, reference: None });
            }
            _ => {}
        }
    }

    /// A redeem of ours and the watch tell of the same: who came first has its time.
    fn step(&mut self, channel: ChannelId, new: Step) {
        let steps = self.by_channel.entry(channel).or_default();
        match steps.iter_mut().find(|step| step.in_all == new.in_all) {
            Some(known) if known.tx == new.tx => {
                known.reference = known.reference.or(new.reference);
            }
            // Nothing was left to be paid out any more.
            Some(_) => {}
            None => steps.push(new),
        }
    }

    /// Each session on a channel has what lies between its base and the next one's.
    pub(super) fn deal(mut self, report: &mut Report) {
        let fees = redeem_fees(report);
        for steps in self.by_channel.values_mut() {
            steps.sort_by_key(|step| step.in_all);
        }
        for (place, (start, end)) in shares(&report.statements) {
            let statement = &mut report.statements[place];
            let Some(InEscrow { channel, .. }) = statement.escrow else { continue };
            let mut before = Amount::ZERO;
            for step in self.by_channel.get(&channel).into_iter().flatten() {
                let from = before.max(start);
                let to = end.map_or(step.in_all, |end| end.min(step.in_all));
                before = step.in_all;
                if from < to {
                    statement.payouts.push(Payout {
                        at_ms: step.at_ms,
                        tx: step.tx.clone(),
                        reference: step.reference,
                        before: from.saturating_sub(start),
                        after: to.saturating_sub(start),
                        fee: step.reference.and_then(|reference| fees.get(&reference).copied()),
                    });
                }
            }
        }
        share(&mut report.statements);
    }
}

/// One redeem may pay for several sessions, which then share its fee.
fn share(statements: &mut [Statement]) {
    let mut riders: HashMap<Reference, (u64, u64)> = HashMap::new();
    let payouts = || statements.iter().flat_map(|statement| &statement.payouts);
    for reference in payouts().filter_map(|payout| payout.reference) {
        riders.entry(reference).or_default().1 += 1;
    }
    for payout in statements.iter_mut().flat_map(|statement| &mut statement.payouts) {
        if let Some((next, count)) = payout.reference.and_then(|one| riders.get_mut(&one)) {
            payout.fee = payout.fee.map(|fee| part(fee, *next, *count));
            *next += 1;
        }
    }
}

/// Where on its channel each session by escrow begins and ends, in the order of the sessions.
fn shares(statements: &[Statement]) -> Vec<(usize, (Amount, Option<Amount>))> {
    let mut next = HashMap::new();
    let places = statements.iter().enumerate().rev().filter_map(|(place, statement)| {
        let InEscrow { channel, base } = statement.escrow?;
        Some((place, (base, next.insert(channel, base))))
    });
    let mut found: Vec<_> = places.collect();
    found.reverse();
    found
}

/// What each redeem of ours cost.
fn redeem_fees(report: &Report) -> HashMap<Reference, Amount> {
    let lines = report.statements.iter().flat_map(|statement| &statement.settlements);
    let of_sessions = lines.filter(|line| line.is_by_voucher).filter_map(|line| {
        let told = line.evidence.as_ref()?;
        Some((line.reference, told.fee?))
    });
    let others = report.costs.iter().filter_map(|cost| Some((cost.reference, cost.evidence.fee?)));
    of_sessions.chain(others).collect()
}
