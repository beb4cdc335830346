//! The bond that an order is to be under: looked at on its ledger before anybody is dialled, and waited for
//! where its seller pledges once it has our order.

use super::after::at_once;
use crate::cli::bonding::{OnLedger, check_wanted, spending_of};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::{Running, Signals};
use crate::config::{Config, Spending};
use crate::record::End;
use crate::session::{UnderBond, Wish};
use sdpp_ledger::BondId;
use sdpp_ledger::bond::Held;
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
fn is_in_force(OnLedger { id, .. }: &OnLedger, held: &Held) -> Outcome<bool> {
    if held.is_good && !held.is_complained_of() {
        return Ok(true);
    }
    if held.waits_for_seller() {
        return Ok(false);
    }
    let why = format!(
        "bond {id} is not in force, its end was asked for, or a complaint waits: `sdpp ledger bond show \
         {id}` tells"
    );
    Err(Failure::new(Exit::Ledger, why))
}

/// The wait for a seller that has our order and pledges its part of our bond, or does not see it in force yet.
pub(super) struct Waiting {
    /// How long it is waited, beside what the ledger takes until something is final.
    at_most: Duration,
    until: Option<Instant>,
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
        let (id, until) = (on.id, self.until(&on).await?);
        // A seller that would have served has pledged: what is lacking then is that we see it.
        let again = (end == End::Refused).then(|| Instant::now() + self.again_after);
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
                "nothing was served under bond {id} in time ({why}): `sdpp ledger bond show {id}` tells when \
                 its seller's part is final; the same command buys then"
            ),
        ))
    }

    /// The moment at which it is given up.
    async fn until(&mut self, on: &OnLedger) -> Outcome<Instant> {
        if let Some(until) = self.until {
            return Ok(until);
        }
        let lag = match on.ledger.escrow() {
            Some(escrow) => escrow.lag().await?,
            None => Duration::ZERO,
        };
        Ok(*self.until.insert(Instant::now() + self.at_most + lag))
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
                   FILE` pledges our part of one, and its seller joins it";
        return Err(Failure::usage(why));
    }
    Ok(allowed)
}
