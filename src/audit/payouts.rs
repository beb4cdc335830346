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

    /// Each leg on a channel has what lies between its base and the next one's.
    pub(super) fn deal(mut self, report: &mut Report) {
        let fees = redeem_fees(report);
        for steps in self.by_channel.values_mut() {
            steps.sort_by_key(|step| step.in_all);
        }
        for Share { statement, leg, start, end } in shares(&report.statements) {
            let Some(leg) = report.statements[statement].legs_mut().nth(leg) else { continue };
            let Some(InEscrow { channel, .. }) = leg.escrow else { continue };
            let mut before = Amount::ZERO;
            for step in self.by_channel.get(&channel).into_iter().flatten() {
                let from = before.max(start);
                let to = end.map_or(step.in_all, |end| end.min(step.in_all));
                before = step.in_all;
                if from < to {
                    leg.payouts.push(Payout {
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
    let legs = || statements.iter().flat_map(Statement::legs);
    let payouts = || legs().flat_map(|leg| &leg.payouts);
    for reference in payouts().filter_map(|payout| payout.reference) {
        riders.entry(reference).or_default().1 += 1;
    }
    let legs = statements.iter_mut().flat_map(Statement::legs_mut);
    for payout in legs.flat_map(|leg| &mut leg.payouts) {
        if let Some((next, count)) = payout.reference.and_then(|one| riders.get_mut(&one)) {
            payout.fee = payout.fee.map(|fee| part(fee, *next, *count));
            *next += 1;
        }
    }
}

/// Where on its channel a leg begins and ends.
pub(super) struct Share {
    /// The place of its statement.
    pub(super) statement: usize,
    /// The place of the leg in it.
    pub(super) leg: usize,
    /// Its base.
    pub(super) start: Amount,
    /// The next one's base.
    pub(super) end: Option<Amount>,
}

/// Where on its channel each leg by escrow begins and ends, in the order of the sessions. A session may
/// turn to a channel long after it began, so those on one channel stand in the order of their bases.
pub(super) fn shares(statements: &[Statement]) -> Vec<Share> {
    let legs = statements.iter().enumerate().flat_map(|(statement, one)| {
        let escrows = one.legs().enumerate();
        escrows.filter_map(move |(leg, one)| Some((one.escrow?, statement, leg)))
    });
    let mut all: Vec<(InEscrow, usize, usize)> = legs.collect();
    all.sort_by_key(|(escrow, ..)| escrow.base);
    let mut next = HashMap::new();
    let share = |(InEscrow { channel, base }, statement, leg)| Share {
        statement,
        leg,
        start: base,
        end: next.insert(channel, base),
    };
    let mut shares: Vec<Share> = all.into_iter().rev().map(share).collect();
    shares.sort_by_key(|share| (share.statement, share.leg));
    shares
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
