//! The bond that an order is to be under: looked at on its ledger before anybody is dialled.

use crate::cli::bonding::OnLedger;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::Running;
use crate::session::UnderBond;
use sdpp_ledger::BondId;
use std::time::Duration;

/// A bond that one of our ledgers has in force.
pub(super) async fn under(id: BondId, running: &Running) -> Outcome<UnderBond> {
    for ledger in running.ledgers.values() {
        if ledger.bonds().is_none() {
            continue;
        }
        let Some(on) = OnLedger::look(&running.reader, ledger.clone(), id).await? else { continue };
        let held = on.held().await?;
        let waits = held.challenged_until_ms.is_some() || held.demanded_until_ms.is_some();
        if !held.is_good || waits {
            let why = format!(
                "bond {id} is not in force, its end was asked for, or a complaint waits: \
                 `sdpp ledger bond show {id}` tells"
            );
            return Err(Failure::new(Exit::Ledger, why));
        }
        on.check_period(Duration::ZERO).await?;
        return Ok(UnderBond { id, bond: on.bond });
    }
    Err(Failure::usage(format!("no ledger of this config has bond {id}")))
}
