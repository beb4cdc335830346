//! What a seller's session is told beside its items: how far its buyer is trusted, and what settling
//! costs.

use crate::actors::asking::{self, Asking};
use crate::actors::fees::Fees;
use crate::actors::selling::Selling;
use crate::actors::session::{Ctx, SessionActor};
use crate::session::PaceRule;
use crate::standing::{Known, PacePolicy, Standing};
use crate::terms::{Pace, PaceFacts};
use sdpp_ledger::{Amount, PublicKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Actor = SessionActor<Selling>;

/// How a session's buyer is trusted, and what the session was told.
#[derive(Debug, Clone)]
pub struct Trusting {
    policy: PacePolicy,
    shares: Shares,
    /// What it was told of fees.
    pub(super) asking: Asking,
    has_begun: bool,
}

impl Trusting {
    /// Before the session's order.
    pub fn new(policy: PacePolicy, fees: Fees) -> Self {
        let (shares, asking) = (Shares::default(), Asking::new(fees));
        Trusting { policy, shares, asking, has_begun: false }
    }
}

/// What each live session may leave unpaid, in the default currency's smallest unit; its clones show
/// the same. What a buyer has earned is shared among its sessions by this.
#[derive(Debug, Clone, Default)]
struct Shares(Arc<Mutex<BTreeMap<String, Live>>>);

/// The live sessions of a buyer, each by a number of its own.
#[derive(Debug, Default)]
struct Live {
    next: u64,
    shares: BTreeMap<u64, Amount>,
}

/// One session's part, given back when dropped.
#[derive(Debug)]
struct Share {
    all: Shares,
    buyer: String,
    number: u64,
}

impl Shares {
    /// A session begins, and may leave nothing unpaid before its first window is closed.
    fn open(&self, buyer: &PublicKey) -> Share {
        let buyer = buyer.to_string();
        let mut all = self.lock();
        let live = all.entry(buyer.clone()).or_default();
        live.next += 1;
        let number = live.next;
        live.shares.insert(number, Amount::ZERO);
        drop(all);
        Share { all: self.clone(), buyer, number }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Decides by what the buyer's other sessions may leave unpaid, and takes what was decided. None
    /// of those decides meanwhile.
    fn take<T>(&self, decide: impl FnOnce(Amount) -> (T, Amount)) -> T {
        let mut all = self.all.lock();
        let live = all.entry(self.buyer.clone()).or_default();
        let others = live.shares.iter().filter(|(number, _)| **number != self.number);
        let sum = |sum: Amount, (_, share): (_, &Amount)| sum.saturating_add(*share);
        let (decided, taken) = decide(others.fold(Amount::ZERO, sum));
        live.shares.insert(self.number, taken);
        decided
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(live) = all.get_mut(&self.buyer) {
            live.shares.remove(&self.number);
            if live.shares.is_empty() {
                all.remove(&self.buyer);
            }
        }
    }
}

/// The rule of one session, by what its buyer has earned before and has out elsewhere.
fn rule(policy: PacePolicy, standing: Standing, share: Share) -> PaceRule {
    PaceRule::new(move |facts| {
        share.take(|elsewhere| {
            let paced = policy.pace(&Known { standing, elsewhere }, facts);
            let next = paced.map_or(facts.pace, |(pace, _)| pace);
            // Until both have signed the new one, the old one is in force.
            (paced, unpaid(facts, next).max(unpaid(facts, facts.pace)))
        })
    })
}

/// What a pace lets be unpaid, in the default currency's smallest unit.
fn unpaid(facts: &PaceFacts, pace: Pace) -> Amount {
    Amount::new(facts.price.units().saturating_mul(pace.credit_items().into()))
}

/// Once there is an order: the session follows what its buyer has earned before, and hears of fees.
pub(super) fn begin(actor: &mut Actor, ctx: &mut Ctx<Selling>) {
    let Some((buyer, side)) = actor.core.buyer().zip(actor.side.as_mut()) else { return };
    if std::mem::replace(&mut side.trusting.has_begun, true) {
        return;
    }
    let policy = side.trusting.policy;
    if !policy.is_fixed() {
        match side.reader.standing(&buyer) {
            Ok(standing) => {
                let share = side.trusting.shares.open(&buyer);
                actor.core.follow(rule(policy, standing, share));
            }
            // It goes on as everybody does.
            Err(error) => tracing::error!(%error, "what the buyer has earned cannot be read"),
        }
    }
    asking::begin(actor, ctx);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use sdpp_ledger::Key;

    const FLOOR: Pace = Pace { granularity: 2, credit_windows: 1 };
    const MOST: Pace = Pace { granularity: 16, credit_windows: 1 };

    fn buyer(byte: u8) -> PublicKey {
        Key::from_bytes(&[byte; 32]).unwrap().public()
    }

    /// A session of a buyer that has earned the credit of 20 items; it gives the granularity that it
    /// goes on at after a window.
    fn session(shares: &Shares, of: u8) -> impl Fn(Pace) -> u32 + use<> {
        let policy =
            PacePolicy { floor: FLOOR, most: MOST, earn_permille: 1_000, unconfirmed_most: None };
        let standing = Standing { earned: Amount::new(20 * 5), ..Standing::default() };
        let rule = rule(policy, standing, shares.open(&buyer(of)));
        move |pace| {
            let facts = PaceFacts {
                pace,
                windows: 1,
                price: Amount::new(5),
                settled: Amount::ZERO,
                unsettled: Amount::ZERO,
                room: None,
                is_ledger_well: true,
            };
            rule.pace(&facts).map_or(pace, |(pace, _)| pace).granularity
        }
    }

    #[test]
    fn what_a_buyer_has_earned_is_shared_over_its_live_sessions() {
        let shares = Shares::default();
        let [one, two, others] = [1, 1, 2].map(|of| session(&shares, of));
        assert_eq!(one(FLOOR), 16);
        assert_eq!(two(FLOOR), 4, "four items are left of twenty");
        assert_eq!(others(FLOOR), 16, "another buyer has its own");
        drop(one);
        assert_eq!(two(Pace { granularity: 4, ..FLOOR }), 16, "all of it, once the other is over");
        drop((two, others));
        assert!(shares.lock().is_empty(), "nothing is remembered of who has no session");
    }

    #[test]
    fn a_pace_that_shrinks_is_counted_until_the_next_window_is_closed() {
        let shares = Shares::default();
        let [one, two] = [1, 1].map(|of| session(&shares, of));
        assert_eq!(two(FLOOR), 16);
        assert_eq!(one(MOST), 4, "sixteen are elsewhere");
        assert_eq!(two(MOST), 4, "its sixteen are in force until both have signed");
        assert_eq!(one(Pace { granularity: 4, ..FLOOR }), 4);
    }
}
