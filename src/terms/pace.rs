//! How many items make a window, and how many windows may be unpaid; it may change from one window
//! to the next.

use super::Terms;
use sdpp_ledger::Amount;
use serde::{Deserialize, Serialize};
use std::fmt;

/// K and W.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pace {
    /// K: items in a window; never zero.
    pub granularity: u32,
    /// W: windows that may be unpaid; never zero.
    pub credit_windows: u32,
}

impl Pace {
    /// The most items that a pace may leave unpaid. Their leaves are kept in memory.
    pub const CREDIT_ITEMS_MAX: u64 = 1_000_000;

    /// The most items that may be sent and not yet paid: W * K.
    pub fn credit_items(&self) -> u64 {
        u64::from(self.granularity) * u64::from(self.credit_windows)
    }

    /// The most places that can be void at once as far as what is out on credit goes: what two paces let be
    /// unpaid, and the window that is open.
    pub fn void_items_max(&self) -> u64 {
        2 * self.credit_items().min(Self::CREDIT_ITEMS_MAX) + u64::from(self.granularity)
    }

    /// Whether a session can run at it.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.granularity == 0 || self.credit_windows == 0 {
            return Err("K or W is zero".to_owned());
        }
        let (items, most) = (self.credit_items(), Self::CREDIT_ITEMS_MAX);
        match items > most {
            true => Err(format!("K times W is {items} items, {most} at most")),
            false => Ok(()),
        }
    }
}

/// What moves a seller to another pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaceReason {
    /// The buyer has paid so much that it earned more.
    Earned,
    /// The buyer has missed a deadline.
    Missed,
    /// Too much of what it paid is not final.
    Unconfirmed,
    /// Its channel is nearly used up.
    Thin,
    /// The paying ledger is away or behind.
    Ledger,
}

impl fmt::Display for PaceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PaceReason::Earned => "earned",
            PaceReason::Missed => "missed",
            PaceReason::Unconfirmed => "unconfirmed",
            PaceReason::Thin => "thin",
            PaceReason::Ledger => "ledger",
        })
    }
}

/// What a session has seen of its buyer when a window is closed. Values are in the default currency's
/// smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceFacts {
    /// The pace of the windows to come as it is agreed.
    pub pace: Pace,
    /// Windows invoiced.
    pub windows: u64,
    /// The price of one item.
    pub price: Amount,
    /// What the items cost that are paid for good in this session.
    pub settled: Amount,
    /// What those cost that are not.
    pub unsettled: Amount,
    /// By escrow: what is left in the channel beyond all items sent, unless that is enough for all
    /// that is ordered.
    pub room: Option<Amount>,
    /// Whether the paying ledger does what it is asked to, as far as we know.
    pub is_ledger_well: bool,
}

/// The paces of a session, one after another. The first is the one that was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paces(Vec<Stretch>);

/// Windows of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    /// The first item of the first of them.
    from_seq: u64,
    /// The number of the first of them.
    number: u64,
    pace: Pace,
}

impl Stretch {
    fn size(&self) -> u64 {
        self.pace.granularity.max(1).into()
    }
}

impl Paces {
    pub fn new(terms: &Terms) -> Self {
        Paces(vec![Stretch { from_seq: 1, number: 1, pace: terms.pace() }])
    }

    /// What holds for an item.
    pub fn at(&self, seq: u64) -> Pace {
        self.stretch(|stretch| stretch.from_seq <= seq).pace
    }

    /// The window that an item stands in, were it full: its number, and its first and last item.
    pub fn window_of(&self, seq: u64) -> (u64, u64, u64) {
        let stretch = self.stretch(|stretch| stretch.from_seq <= seq);
        let before = seq.saturating_sub(stretch.from_seq) / stretch.size();
        let first = stretch.from_seq + before * stretch.size();
        (stretch.number + before, first, first.saturating_add(stretch.size() - 1))
    }

    /// The first and the last item of a window by its number, were it full.
    pub fn window(&self, number: u64) -> Option<(u64, u64)> {
        let stretch = self.stretch(|stretch| stretch.number <= number);
        let before = number.checked_sub(stretch.number)?.checked_mul(stretch.size())?;
        let first = stretch.from_seq.checked_add(before)?;
        Some((first, first.checked_add(stretch.size() - 1)?))
    }

    /// From an item on, which begins a window, it is another. The last word for one item holds.
    pub fn add(&mut self, from_seq: u64, pace: Pace) {
        let (number, ..) = self.window_of(from_seq);
        self.0.retain(|stretch| stretch.from_seq < from_seq);
        self.0.push(Stretch { from_seq, number, pace });
    }

    /// The last stretch of those that are so; there are none before the first.
    fn stretch(&self, is_before: impl Fn(&Stretch) -> bool) -> Stretch {
        let count = self.0.partition_point(is_before).max(1);
        let first = Pace { granularity: 1, credit_windows: 1 };
        let none = Stretch { from_seq: 1, number: 1, pace: first };
        self.0.get(count - 1).copied().unwrap_or(none)
    }
}
