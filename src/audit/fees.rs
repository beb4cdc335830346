//! A transaction's fee and rebate, shared by all that rode in it.

use super::Report;
use super::statement::Told;
use sdpp_ledger::{Amount, TxId};
use std::collections::HashMap;

/// The part of one of so many, the first being 0: all have the same, and the first ones one unit
/// more, so that all parts make the whole.
pub(super) fn part(whole: Amount, which: u64, count: u64) -> Amount {
    let (units, count) = (whole.units(), u128::from(count.max(1)));
    let more = u128::from(u128::from(which) < units % count);
    Amount::new(units / count + more)
}

/// Gives each line its part of its transaction's fee, and of what came back.
pub(super) fn share(report: &mut Report) {
    let mut riders: HashMap<TxId, (u64, u64)> = HashMap::new();
    for told in ours(report) {
        riders.entry(told.tx.clone()).or_default().1 += 1;
    }
    // Who rides alone pays for itself.
    riders.retain(|_, (_, count)| *count > 1);
    for told in ours(report) {
        if let Some((next, count)) = riders.get_mut(&told.tx) {
            told.fee = told.fee.map(|fee| part(fee, *next, *count));
            told.rebate = part(told.rebate, *next, *count);
            *next += 1;
        }
    }
}

/// What the ledgers said of what we paid the fees for.
fn ours(report: &mut Report) -> impl Iterator<Item = &mut Told> {
    let of_sessions = report.statements.iter_mut().flat_map(|statement| {
        let paid = statement.settlements.iter_mut().filter_map(|line| line.evidence.as_mut());
        paid.chain(statement.anchors.iter_mut().filter_map(|line| line.evidence.as_mut()))
    });
    let others = report.costs.iter_mut().map(|cost| &mut cost.evidence);
    of_sessions.chain(others).filter(|told| told.fee.is_some())
}
