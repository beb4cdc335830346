//! Bonds that wait for our part, on their way from the sessions whose orders are under them to whoever
//! pledges it. Strangers name them: each stands here once, and there are so many at most.
//!
//! No mailbox is used: sessions ask and are told at once, and one loop takes what waits, in turn.

use sdpp_ledger::{BondId, LedgerId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The most that wait at once. One more is asked for again when its order comes again.
const WAITING_MAX: usize = 64;

/// The most that rest at once: of more, those that have rested longest are looked at again.
const RESTING_MAX: usize = 1_024;

/// How long one that was refused is not looked at again.
const REFUSED: Duration = Duration::from_secs(60);

/// The same for one whose ledger did not answer.
const AWAY: Duration = Duration::from_secs(5);

/// The bonds that wait; its clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Joining(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    bonds: Mutex<BTreeMap<BondId, Stage>>,
    news: Notify,
}

#[derive(Debug)]
enum Stage {
    Waits { ledger: LedgerId, since: Instant },
    Rests { until: Instant, why: Option<String> },
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// Our part is pledged, or on its way.
    Pledged,
    /// It is not pledged, and why, for the buyer.
    Refused(String),
    /// Nobody could tell.
    Unknown,
}

impl Joining {
    /// Asks that our part of a bond be pledged, where nobody has and it was not looked at just now.
    pub fn ask(&self, ledger: LedgerId, bond: BondId) {
        let mut bonds = self.bonds();
        let waiting = bonds.values().filter(|stage| matches!(stage, Stage::Waits { .. })).count();
        if waiting < WAITING_MAX && !bonds.contains_key(&bond) {
            bonds.insert(bond, Stage::Waits { ledger, since: Instant::now() });
            self.0.news.notify_one();
        }
    }

    /// Why our part of a bond is not pledged, where that was said a short while ago.
    pub fn refused(&self, bond: &BondId) -> Option<String> {
        match self.bonds().get(bond) {
            Some(Stage::Rests { why, .. }) => why.clone(),
            _ => None,
        }
    }

    /// The next to look at, as soon as there is one. It waits until it is said what became of it.
    pub async fn next(&self) -> (LedgerId, BondId) {
        loop {
            let waits = |(bond, stage): (&BondId, &Stage)| match stage {
                Stage::Waits { ledger, since } => Some((*since, ledger.clone(), *bond)),
                Stage::Rests { .. } => None,
            };
            let next = self.bonds().iter().filter_map(waits).min();
            match next {
                Some((_, ledger, bond)) => return (ledger, bond),
                None => self.0.news.notified().await,
            }
        }
    }

    /// What became of one that was taken.
    pub fn is(&self, bond: BondId, joined: Joined) {
        let (rests, why) = match joined {
            Joined::Pledged => (Duration::ZERO, None),
            Joined::Refused(why) => (REFUSED, Some(why)),
            Joined::Unknown => (AWAY, None),
        };
        let mut bonds = self.bonds();
        bonds.insert(bond, Stage::Rests { until: Instant::now() + rests, why });
        let until = |(bond, stage): (&BondId, &Stage)| match stage {
            Stage::Rests { until, .. } => Some((*until, *bond)),
            Stage::Waits { .. } => None,
        };
        let resting: Vec<_> = bonds.iter().filter_map(until).collect();
        if let Some((_, first)) = resting.iter().min().filter(|_| resting.len() > RESTING_MAX) {
            bonds.remove(first);
        }
    }

    /// Those that are known now.
    fn bonds(&self) -> MutexGuard<'_, BTreeMap<BondId, Stage>> {
        let mut bonds = self.0.bonds.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        bonds.retain(|_, stage| !matches!(stage, Stage::Rests { until, .. } if *until <= now));
        bonds
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn bond(number: u8) -> BondId {
        BondId([number; 32])
    }

    #[tokio::test]
    async fn a_bond_is_looked_at_once_and_not_again_for_a_while_where_it_was_refused() {
        let joining = Joining::default();
        let ledger: LedgerId = "eip155:1".parse().unwrap();
        let ask = |number| joining.ask(ledger.clone(), bond(number));
        ask(1);
        ask(1);
        assert_eq!(joining.next().await.1, bond(1));
        joining.is(bond(1), Joined::Refused("no".to_owned()));
        ask(1);
        ask(2);
        assert_eq!(
            (joining.refused(&bond(1)), joining.refused(&bond(2))),
            (Some("no".into()), None)
        );
        assert_eq!(joining.next().await.1, bond(2), "the other rests");
        joining.is(bond(2), Joined::Pledged);
        assert_eq!(joining.refused(&bond(2)), None);
        ask(2);
        assert_eq!(joining.next().await.1, bond(2), "whoever pledges knows what it did");
    }

    #[tokio::test]
    async fn strangers_name_so_many_at_most_and_keep_nobodys_out() {
        let joining = Joining::default();
        let ask = |number| joining.ask("eip155:1".parse().unwrap(), bond(number));
        (0..=200).for_each(ask);
        assert_eq!(joining.bonds().len(), WAITING_MAX);
        for _ in 0..WAITING_MAX {
            joining.is(joining.next().await.1, Joined::Refused("no".to_owned()));
        }
        ask(u8::MAX);
        assert_eq!(joining.next().await.1, bond(u8::MAX), "what was refused takes no place");
    }

    #[test]
    fn so_many_rest_at_most() {
        let joining = Joining::default();
        let mut bond = [0; 32];
        for number in 0..=RESTING_MAX + 5 {
            bond[..8].copy_from_slice(&number.to_be_bytes());
            joining.is(BondId(bond), Joined::Refused("no".to_owned()));
        }
        assert_eq!(joining.bonds().len(), RESTING_MAX);
        assert!(joining.refused(&BondId(bond)).is_some(), "the last one does");
    }
}
