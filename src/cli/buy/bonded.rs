//! The bond that an order is to be under: looked at on its ledger before anybody is dialled.

use crate::actors::session::Ended;
use crate::cli::bonding::{OnLedger, check_wanted, spending_of};
use crate::cli::dispute::bonded::{self, failed};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::Running;
use crate::config::{Config, Spending};
use crate::record::End;
use crate::session::UnderBond;
use sdpp_ledger::BondId;
use serde_json::Value;
use std::time::Duration;

/// A bond that one of our ledgers has in force.
pub(super) async fn under(id: BondId, config: &Config, running: &Running) -> Outcome<UnderBond> {
    for ledger in running.ledgers.values() {
        if ledger.bonds().is_none() {
            continue;
        }
        let Some(on) = OnLedger::look(&running.reader, ledger.clone(), id).await? else { continue };
        let spending = spending_of(config, running, (ledger.id(), &on.bond.asset));
        if let Some(wanted) = spending.and_then(|of| of.bond) {
            let refused = |why| Failure::usage(format!("bond {id}: {why}"));
            check_wanted(&wanted, &on.bond).map_err(refused)?;
        }
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

/// What may be ordered in: nothing that our config wants a bond for, where none is named.
pub(super) fn allowed<'a>(
    spending: Vec<&'a Spending>,
    bond: Option<&BondId>,
) -> Outcome<Vec<&'a Spending>> {
    let is_free = |of: &&Spending| bond.is_some() || of.bond.is_none();
    let allowed: Vec<&Spending> = spending.into_iter().filter(is_free).collect();
    if allowed.is_empty() {
        let why = "this config buys under a bond alone: name one with --bond. `sdpp ledger bond open --menu \
                   FILE` pledges our part of one, and its seller joins it";
        return Err(Failure::usage(why));
    }
    Ok(allowed)
}

/// What a session goes on in that was begun before: what it is paid in, whatever our config wants for that by
/// now, and what needs no bond. It turns into nothing that needs one: it would not be under it.
pub(super) fn going_on<'a>(spending: Vec<&'a Spending>, its: &[String]) -> Vec<&'a Spending> {
    let is_free = |of: &&Spending| of.bond.is_none() || its.contains(&of.currency);
    spending.into_iter().filter(is_free).collect()
}

/// Complains of what the seller did in a session under a bond, and tells what came of that. What takes longer
/// goes on at the next start.
pub(super) async fn complain(
    ended: &Ended,
    running: &Running,
    patience: Duration,
) -> Option<Value> {
    let session = ended.session.filter(|_| ended.end == End::Misconduct)?;
    match tokio::time::timeout(patience, bonded::complain(running, &session)).await {
        Ok(told) => told.unwrap_or_else(|failure| Some(failed(&failure))),
        Err(_) => Some(failed(&"its ledger takes longer: `sdpp dispute settle` sees it through")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::config::BondAmounts;
    use sdpp_ledger::Amount;

    fn spending(currency: &str, is_bonded: bool) -> Spending {
        let amount = Amount::new(400);
        let bond = BondAmounts { buyer: amount, seller: amount, stake: amount, fee: amount };
        Spending {
            currency: currency.to_owned(),
            max_total: amount,
            max_per_day: None,
            deposit: Some(amount),
            top_up_below: None,
            keep_channel: is_bonded,
            bond: is_bonded.then_some(bond),
        }
    }

    fn names(spending: &[&Spending]) -> Vec<String> {
        spending.iter().map(|of| of.currency.clone()).collect()
    }

    #[test]
    fn a_session_without_a_bond_is_paid_in_nothing_that_needs_one_also_when_it_goes_on() {
        let [free, bonded, other] = [("SDP", false), ("ETH", true), ("DAI", true)];
        let all = [free, bonded, other].map(|(name, is_bonded)| spending(name, is_bonded));
        let all: Vec<&Spending> = all.iter().collect();
        assert_eq!(names(&allowed(all.clone(), None).unwrap()), ["SDP"]);
        let its = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&going_on(all.clone(), &its(&["SDP"]))), ["SDP"]);
        // The config may want a bond since.
        assert_eq!(names(&going_on(all, &its(&["ETH"]))), ["SDP", "ETH"]);
    }
}
