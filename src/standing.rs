//! What a buyer has earned with a seller, or owes it, and the pace that this is good for. Pure: the
//! journal keeps it beside the facts that it counts, sessions ask at each closed window.
//!
//! Values are in the default currency's smallest unit, whatever was paid in. They decide how much
//! is trusted, and are nobody's bill: audit counts those.

mod tally;
#[cfg(test)]
mod tests;

pub use tally::{Priced, Tally};

use crate::terms::{Pace, PaceFacts, PaceReason};
use sdpp_ledger::Amount;
use serde::{Deserialize, Serialize};

/// What is known of a buyer over all of its sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it paid for good.
    pub settled: Amount,
    /// Windows that it paid for good.
    pub windows: u64,
    /// Of what it paid, how much counts for trust: halved whenever a session breaks with something
    /// owed.
    pub earned: Amount,
    /// Payments that were final only after their session had broken.
    pub late: u64,
    /// Sessions that broke with something owed.
    pub broken: u64,
    /// What sessions that are over have left unpaid.
    pub owed: Amount,
}

impl Standing {
    /// It paid so much more, and so many windows.
    pub fn pay(&mut self, amount: Amount, windows: u64) {
        self.settled = self.settled.saturating_add(amount);
        self.earned = self.earned.saturating_add(amount);
        self.windows = self.windows.saturating_add(windows);
    }

    /// A session of it is over and leaves so much unpaid; `broken`, unless both sides or we ended it.
    pub fn part(&mut self, owed: Amount, broken: bool) {
        self.owed = self.owed.saturating_add(owed);
        if broken && owed > Amount::ZERO {
            self.broken = self.broken.saturating_add(1);
            self.earned = Amount::new(self.earned.units() / 2);
        }
    }

    /// Whether it ever paid us anything for good.
    pub fn has_paid(&self) -> bool {
        self.settled > Amount::ZERO
    }

    /// Whether it owes what a whole window costs, or more, and has broken a session that it owed for: of
    /// a part of a window there is no invoice that could be paid, and what is unpaid when both sides or
    /// we end a session is only not final yet.
    pub fn is_debtor(&self, window: Amount) -> bool {
        self.owed >= window.max(Amount::new(1)) && self.broken > 0
    }

    /// Of what it owed so much is paid after all.
    pub fn make_good(&mut self, amount: Amount, broken: bool) {
        self.owed = self.owed.saturating_sub(amount);
        if broken {
            self.late = self.late.saturating_add(1);
        }
    }
}

/// What is known of a buyer when a window of one of its sessions is closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Over all of its sessions, when this one began.
    pub standing: Standing,
    /// What its other sessions may leave unpaid now: what was earned is shared among them.
    pub elsewhere: Amount,
}

/// How a seller trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacePolicy {
    /// What everybody gets, and what the menu says.
    pub floor: Pace,
    /// What nobody gets more than; at least the floor in both.
    pub most: Pace,
    /// How much may be unpaid for each 1000 units that were paid.
    pub earn_permille: u32,
    /// With more than this sent and not paid for good, the pace slows down; never where none is
    /// given.
    pub unconfirmed_most: Option<Amount>,
}

impl PacePolicy {
    /// One pace for everybody.
    pub fn fixed(pace: Pace) -> Self {
        PacePolicy { floor: pace, most: pace, earn_permille: 0, unconfirmed_most: None }
    }

    /// Whether every buyer has the same pace whatever it does.
    pub fn is_fixed(&self) -> bool {
        self.floor == self.most
    }

    /// The pace that a session is to go on at, and why; `None` where it is the one that it has.
    pub fn pace(&self, known: &Known, facts: &PaceFacts) -> Option<(Pace, PaceReason)> {
        let (pace, why) = self.target(known, facts);
        (pace != facts.pace).then_some((pace, why))
    }

    /// The pace that this buyer is good for, and what holds it there.
    ///
    /// It is a step of [`PacePolicy::steps`]: no more of it may be unpaid than was earned, less what
    /// is owed and what its other sessions may leave unpaid, and no more than its channel can bear.
    pub fn target(&self, known: &Known, facts: &PaceFacts) -> (Pace, PaceReason) {
        let Known { standing, elsewhere } = known;
        let granted = self.granted(standing.earned.saturating_add(facts.settled));
        let granted = granted.saturating_sub(*elsewhere);
        let earned = self.step(items(granted, facts.price));
        let most = (earned, PaceReason::Earned);
        let left = self.step(items(granted.saturating_sub(standing.owed), facts.price));
        let brakes = [
            (!facts.is_ledger_well).then_some((self.floor, PaceReason::Ledger)),
            (standing.owed > Amount::ZERO).then_some((left, PaceReason::Missed)),
            facts.room.map(|room| (self.in_channel(items(room, facts.price)), PaceReason::Thin)),
            self.unconfirmed(facts).map(|pace| (pace, PaceReason::Unconfirmed)),
        ];
        let slower = |least: (Pace, PaceReason), brake: (Pace, PaceReason)| {
            if brake.0.credit_items() < least.0.credit_items() { brake } else { least }
        };
        brakes.into_iter().flatten().fold(most, slower)
    }

    /// The paces that there are, the slowest first. Each is about twice the one before, so that a
    /// session has few changes: windows grow first, as that saves payments; when they are as large
    /// as they may be, more of them may be unpaid.
    pub fn steps(&self) -> impl Iterator<Item = Pace> {
        let PacePolicy { floor, most, .. } = *self;
        std::iter::successors(Some(floor), move |pace| {
            let Pace { granularity, credit_windows } = *pace;
            if granularity < most.granularity {
                let granularity = granularity.saturating_mul(2).min(most.granularity);
                return Some(Pace { granularity, credit_windows });
            }
            let credit_windows = credit_windows.saturating_mul(2).min(most.credit_windows);
            (credit_windows > pace.credit_windows).then_some(Pace { granularity, credit_windows })
        })
    }

    /// How much may be unpaid for so much that was paid.
    fn granted(&self, paid: Amount) -> Amount {
        let (permille, paid) = (u128::from(self.earn_permille), paid.units());
        let exact = paid.checked_mul(permille).map(|scaled| scaled / 1_000);
        Amount::new(exact.unwrap_or_else(|| (paid / 1_000).saturating_mul(permille)))
    }

    /// The fastest pace that leaves no more items unpaid; the floor where none does.
    fn step(&self, items: u128) -> Pace {
        let fits = |pace: &Pace| u128::from(pace.credit_items()) <= items;
        self.steps().take_while(fits).last().unwrap_or(self.floor)
    }

    /// The fastest pace that a channel with room for so many items can bear and one window more, so
    /// that its buyer need not stop before the pace does.
    fn in_channel(&self, items: u128) -> Pace {
        let most = |pace: &Pace| u128::from(pace.credit_items()) + u128::from(pace.granularity);
        let fits = |pace: &Pace| most(pace) <= items;
        self.steps().take_while(fits).last().unwrap_or(self.floor)
    }

    /// A step down while too much is not final, and none up before it is half of that: the pace
    /// does not swing.
    fn unconfirmed(&self, facts: &PaceFacts) -> Option<Pace> {
        let most = self.unconfirmed_most?;
        let now = facts.pace.credit_items();
        let slower = |pace: &Pace| pace.credit_items() < now;
        match facts.unsettled {
            much if much > most => {
                Some(self.steps().take_while(slower).last().unwrap_or(self.floor))
            }
            some if some.units() > most.units() / 2 => Some(self.step(now.into())),
            _ => None,
        }
    }
}

/// How many items so much is the price of.
fn items(value: Amount, price: Amount) -> u128 {
    value.units().checked_div(price.units()).unwrap_or(u128::MAX)
}
