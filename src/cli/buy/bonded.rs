//! The bond that an order is to be under: looked at on its ledger before anybody is dialled, and waited for
//! where its seller pledges once it has our order.

use super::after::at_once;
use crate::actors::session::Ended;
use crate::cli::bonding::{OnLedger, check_wanted, spending_of};
use crate::cli::dispute::bonded;
use crate::cli::dispute::told::{failed, under_way};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::{Running, Signals};
use crate::config::{Config, Spending};
use crate::record::End;
use crate::session::{UnderBond, Wish, hindrance};
use sdpp_ledger::BondId;
use sdpp_ledger::bond::Held;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often it is looked whether a bond's seller has pledged.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// After how long it is ordered again all the same, as the seller may have had too much to do; each next time
/// after twice as long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// A bond that one of our ledgers has in force, or that lacks its seller's part alone.
pub(super) async fn under(id: BondId, config: &Config, running: &Running) -> Outcome<UnderBond> {
    let on = find(id, running).await?;
    let spending = spending_of(config, running, (on.ledger.id(), &on.bond.asset));
    if let Some(wanted) = spending.and_then(|of| of.bond) {
        let refused = |why| Failure::usage(format!("bond {id}: {why}"));
        check_wanted(&wanted, &on.bond).map_err(refused)?;
    }
    let is_in_force = is_in_force(&on, &on.held().await?)?;
    on.check_period(Duration::ZERO).await?;
    Ok(UnderBond { id, bond: on.bond, is_in_force })
}

async fn find(id: BondId, running: &Running) -> Outcome<OnLedger> {
    for ledger in running.ledgers.values().filter(|ledger| ledger.bonds().is_some()) {
        let found = OnLedger::look(&running.reader, ledger.clone(), id).await?;
        if let Some(on) = found {
            return Ok(on);
        }
    }
    Err(Failure::usage(format!("no ledger of this config has bond {id}")))
}

/// Whether a bond is in force; where not, its seller's part is all that is lacking.
fn is_in_force(OnLedger { id, bond, .. }: &OnLedger, held: &Held) -> Outcome<bool> {
    let Some(why) = hindrance(bond, held) else { return Ok(true) };
    if held.waits_for_seller() {
        return Ok(false);
    }
    let why = format!(
        "bond {id} is not in force: {why}. `sdpp ledger bond show {id} --config FILE` shows all of it"
    );
    Err(Failure::new(Exit::Ledger, why))
}

/// The wait for a seller that has our order and pledges its part of our bond, or does not see it in force yet.
pub(super) struct Waiting {
    /// How long it is waited, beside what the ledger takes until something is final.
    at_most: Duration,
    until: Option<(Instant, Duration)>,
    /// When it is looked first, the next time: later each time, as the seller may be behind us.
    pause: Duration,
    again_after: Duration,
}

impl Waiting {
    pub(super) fn for_seller(at_most: Duration) -> Waiting {
        Waiting { at_most, until: None, pause: LOOK_EVERY, again_after: AGAIN_AFTER }
    }

    /// What can be ordered again now, after an order that came to this end.
    pub(super) async fn over(
        &mut self,
        mut wish: Wish,
        (end, why): (End, &str),
        running: &Running,
    ) -> Outcome<Wish> {
        let Some(under) = wish.bond.as_mut().filter(|under| !under.is_in_force) else {
            return Ok(wish);
        };
        let on = find(under.id, running).await?;
        let (id, (until, lag)) = (on.id, self.until(&on).await?);
        // A seller that would have served has pledged: what is lacking then is that we see it. What it has
        // pledged by now we see a lag later: before that it would serve us in vain.
        let again = (end == End::Refused).then(|| Instant::now() + self.again_after.max(lag));
        let mut pause = self.pause;
        (self.pause, self.again_after) = (self.pause * 2, self.again_after * 2);
        let mut signals = Signals::listen()?;
        while Instant::now() < until {
            tokio::select! {
                () = tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))) => {}
                () = signals.next() => return Err(at_once()),
            }
            pause = LOOK_EVERY;
            match on.held().await {
                Ok(held) if is_in_force(&on, &held)? => {
                    under.is_in_force = true;
                    return Ok(wish);
                }
                _ if again.is_some_and(|again| Instant::now() >= again) => return Ok(wish),
                _ => {}
            }
        }
        Err(Failure::new(
            Exit::Failed,
            format!(
                "nothing was served under bond {id} in time ({why}): `sdpp ledger bond show {id} --config FILE` tells \
                 whether its seller's part is final; type the same command again in a while"
            ),
        ))
    }

    /// The moment at which it is given up, and how long after it was made something is final for us.
    async fn until(&mut self, on: &OnLedger) -> Outcome<(Instant, Duration)> {
        if let Some(until) = self.until {
            return Ok(until);
        }
        let lag = Duration::from_millis(on.lag_ms().await?);
        Ok(*self.until.insert((Instant::now() + self.at_most + lag, lag)))
    }
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
                   MENU --config FILE` pledges our part of one, and its seller joins it";
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

/// Complains of what the seller did in a session under a bond, and tells what came of that, or how far it is when
/// our patience is over or we are to stop.
pub(super) async fn complain(
    ended: &Ended,
    running: &Running,
    patience: Duration,
) -> Outcome<Option<Value>> {
    let Some(session) = ended.session.filter(|_| ended.end == End::Misconduct) else {
        return Ok(None);
    };
    let mut signals = Signals::listen()?;
    let told = tokio::select! {
        told = bonded::complain(running, &session) => told,
        () = tokio::time::sleep(patience) => under_way(&running.reader, &session).map(Some),
        () = signals.next() => under_way(&running.reader, &session).map(Some),
    };
    Ok(told.unwrap_or_else(|failure| Some(failed(&failure))))
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
