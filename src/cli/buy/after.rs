//! When a session is over, or none began: what is still owed is settled, and what is left comes back.

use super::told::tell_left;
use crate::actors::reclaim;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::remainders::Teller;
use crate::cli::running::Running;
use crate::config::Buyer as BuyerConfig;
use crate::journal::Remainder;
use crate::record::End;
use std::time::Duration;

/// Has what a session left owed settled, as long as our patience lasts. What is left in channels then.
pub(super) async fn settle(
    running: &Running,
    policy: &reclaim::Policy,
    buyer: &BuyerConfig,
    (end, began_ms): (End, u64),
) -> Outcome<Vec<Remainder>> {
    running.take_back(policy).await?;
    for unsettled in running.settle(Duration::from_millis(buyer.patience_ms)).await? {
        let (count, ledger) = (unsettled.count, unsettled.ledger);
        tracing::warn!(count, %ledger, "still owed: the next start goes on with it");
    }
    match end {
        End::Complete => running.left_since(began_ms).await,
        _ => running.left().await,
    }
}

pub(super) fn at_once() -> Failure {
    Failure::new(Exit::Failed, "ended at once: what is owed goes on at the next start")
}

/// A seller that is gone closes no channel either: what is time for is done. Gives the failure back.
pub(super) async fn away(
    failure: Failure,
    running: &Running,
    policy: &reclaim::Policy,
    teller: &Teller<'_>,
) -> Outcome<Failure> {
    if running.take_back(policy).await? > 0 {
        let patience_ms = teller.config.buyer.as_ref().map_or(0, |buyer| buyer.patience_ms);
        running.settle(Duration::from_millis(patience_ms)).await?;
        tell_left(teller, &running.left().await?);
    }
    Ok(failure)
}
