//! The watch: what a ledger is known to say of the channels that we have part in.
//!
//! A channel comes in with the record that gives us part in it: the buyer's funding, the seller's
//! first voucher. From then on the ledger's word on it arrives in [`Watch`] writes: each change
//! becomes a [`crate::record::Record::ChannelChange`] once, whatever is read again, and the height to read next is
//! written with it. One table, [`Watched::next`], decides what each word makes of a channel. A
//! seller whose payer asked to close owes itself the best voucher at once. A buyer whose channel
//! nobody needs any more owes itself what is left in it: it asks to close, and withdraws when the
//! grace period is over.
//!
//! Only final blocks are told, so a reorganisation within the depth that counts as final changes
//! nothing here. A deeper one takes nothing back: facts stay as they were told, a channel that is
//! over stays over, and what comes in the blocks' place is told as it comes. `audit` with the
//! ledgers' config then names the transactions that are no longer there.

mod asked;

pub use asked::{OpenChannel, Plan};

use super::obligation::{Obligation, State};
use crate::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{
    Amount, Call, Change, ChangeKind, ChannelId, Digest, Domain, InChannel, LedgerId, Reference,
};
use serde::{Deserialize, Serialize};

/// The most open channels of one ledger that are watched; beyond it the last by id wait, unless
/// they serve a session just now.
pub const WATCHED_MAX: usize = 10_000;

/// How long after a refusal what is left in a channel is asked for again, in milliseconds.
pub const AGAIN_MS: u64 = 10 * 60 * 1_000;

/// How far a ledger's clock may be behind ours, in milliseconds.
const APART_MS: u64 = 60_000;

/// A channel that we have part in. Amounts are in its asset's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Which side we are.
    pub side: Role,
    /// Where it is.
    pub home: Home,
    /// What opens it, where we do.
    pub opening: Option<Reference>,
    /// Whether the ledger was asked for it yet: until then all that follows is unknown.
    pub is_seen: bool,
    /// All that was ever deposited.
    pub deposit: Amount,
    /// All that was ever paid out to the payee.
    pub settled: Amount,
    /// The payer asked to close it, and may withdraw from this moment on, in milliseconds since
    /// 1970 UTC.
    pub ready_ms: Option<u64>,
    /// Closed or withdrawn: nothing more can happen to it.
    pub is_over: bool,
    /// Its last session left it to be closed: none begins on it any more.
    #[serde(default)]
    pub is_left: bool,
    /// Buyer: how often it was topped up, or was to be.
    #[serde(default)]
    pub top_ups: u64,
    /// Seller: the largest voucher that is redeemed or is owed to be.
    pub redeemed: Amount,
    /// Seller: how often the watch had one redeemed.
    pub redeems: u64,
    /// Buyer: when a session last made something of it, in milliseconds since 1970 UTC.
    #[serde(default)]
    pub used_ms: u64,
    /// Buyer: what was owed last to get back what is left in it. A top-up takes a request back.
    #[serde(default)]
    pub reclaim: Option<Step>,
    /// Buyer: how often something was owed for that.
    #[serde(default)]
    pub reclaims: u64,
}

/// Where a channel is, as far as we know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Home {
    /// On this ledger.
    Ledger(LedgerId),
    /// On the ledger whose escrow has this domain.
    Domain(Domain),
}

/// A channel as its ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// All that was ever deposited.
    pub deposit: Amount,
    /// All that was ever paid out to the payee.
    pub settled: Amount,
    /// From when on the payer may withdraw, in milliseconds since 1970 UTC; `None` when it did not
    /// ask to close.
    pub ready_ms: Option<u64>,
    /// Closed or withdrawn.
    pub is_over: bool,
}

/// What a ledger said of channels, to be written at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The ledger.
    pub ledger: LedgerId,
    /// What happened, in order. What was told before changes nothing, and what is of channels
    /// that we have no part in is not taken.
    pub changes: Vec<Change>,
    /// Channels as they are after these changes, where the ledger was asked for them.
    pub seen: Vec<(ChannelId, View)>,
    /// The height to read next.
    pub next: u64,
}

/// A word of the ledger on one channel.
#[derive(Debug, Clone, Copy)]
pub enum Word<'a> {
    /// How it is.
    Seen(&'a View),
    /// What happened to it.
    Changed(&'a ChangeKind),
}

impl Watched {
    /// A channel that nothing is known of yet.
    pub(super) fn new(side: Role, home: Home, opening: Option<Reference>) -> Self {
        Watched {
            side,
            home,
            opening,
            is_seen: false,
            deposit: Amount::ZERO,
            settled: Amount::ZERO,
            ready_ms: None,
            is_over: false,
            is_left: false,
            top_ups: 0,
            redeemed: Amount::ZERO,
            redeems: 0,
            used_ms: 0,
            reclaim: None,
            reclaims: 0,
        }
    }

    /// A channel that we pay into, before its ledger said anything of it.
    pub fn payer(ledger: LedgerId, opening: Reference) -> Self {
        Watched::new(Role::Buyer, Home::Ledger(ledger), Some(opening))
    }

    /// The table: what a word of its ledger makes of a channel. Amounts only grow, and what is
    /// over stays so, in whatever order words come again. A request to close is taken back by a
    /// top-up alone, which makes the deposit larger: a word of a smaller deposit, or of the same
    /// one and no request, is older than what we know and takes nothing back.
    #[must_use]
    pub fn next(mut self, word: Word<'_>) -> Self {
        match word {
            Word::Seen(view) => {
                self.is_seen = true;
                if view.deposit > self.deposit && view.ready_ms.is_none() {
                    self.reclaim = None;
                }
                if (view.deposit, view.ready_ms) > (self.deposit, self.ready_ms) {
                    self.ready_ms = view.ready_ms;
                }
                self.is_over |= view.is_over;
                self.grow(view.deposit, view.settled);
            }
            Word::Changed(ChangeKind::Opened { deposit }) => self.grow(*deposit, Amount::ZERO),
            Word::Changed(ChangeKind::ToppedUp { deposit }) => {
                if *deposit > self.deposit {
                    (self.ready_ms, self.reclaim) = (None, None);
                }
                self.grow(*deposit, Amount::ZERO);
            }
            Word::Changed(ChangeKind::CloseRequested { ready_ms }) => {
                self.ready_ms = Some(*ready_ms);
            }
            Word::Changed(ChangeKind::Settled { settled }) => self.grow(Amount::ZERO, *settled),
            Word::Changed(ChangeKind::Closed { settled }) => {
                self.is_over = true;
                self.grow(Amount::ZERO, *settled);
            }
            Word::Changed(ChangeKind::Withdrawn) => self.is_over = true,
        }
        self
    }

    fn grow(&mut self, deposit: Amount, settled: Amount) {
        self.deposit = self.deposit.max(deposit);
        self.settled = self.settled.max(settled);
    }

    /// Whether a new session may draw on it: seen, open, and nobody asked to close it.
    pub fn is_usable(&self) -> bool {
        self.is_seen && self.may_open()
    }

    /// Whether a new session may draw on it once it is seen.
    pub fn may_open(&self) -> bool {
        !self.is_over && !self.is_left && self.ready_ms.is_none() && self.reclaim.is_none()
    }

    /// What must be redeemed at once: the best voucher, where the payer asked to close and nothing
    /// is owed yet that gives as much.
    pub(super) fn must_redeem(&self, best: Option<Amount>) -> Option<Amount> {
        let threatened = self.side == Role::Seller && self.ready_ms.is_some() && !self.is_over;
        let had = self.settled.max(self.redeemed);
        best.filter(|best| threatened && *best > had)
    }

    /// What must be done now to get back what is left in it, where we are the payer: withdraw once
    /// the ledger lets us, else ask to close what somebody wishes closed. `last` is what became of
    /// what was owed last for that. One thing is owed at a time, and what was refused is owed again
    /// after [`AGAIN_MS`], or when a person asks.
    pub(super) fn must_reclaim(&self, wish: Wish, last: Last, clock: Clock) -> Option<Step> {
        if self.side != Role::Buyer || !self.is_seen || self.is_over || self.left() == Amount::ZERO
        {
            return None;
        }
        let (step, is_time) = match self.ready_ms {
            Some(ready_ms) => (Step::Withdraw, clock.is_past(ready_ms, wish)),
            None => (Step::RequestClose, self.is_wished_closed(wish, clock.now_ms)),
        };
        let is_free = match last {
            Last::Nothing => true,
            Last::UnderWay => false,
            // What is done shows here when the watch is told.
            Last::Met => self.reclaim != Some(step),
            Last::Refused { at_ms } => {
                wish == Wish::Asked || has_passed(clock.now_ms, at_ms, AGAIN_MS)
            }
        };
        (is_free && is_time).then_some(step)
    }

    fn is_wished_closed(&self, wish: Wish, now_ms: u64) -> bool {
        match wish {
            Wish::Asked => true,
            Wish::Idle { keeps, .. } if keeps && !self.is_left => false,
            Wish::Idle { after_ms, .. } => has_passed(now_ms, self.used_ms, after_ms),
        }
    }

    /// What its payer gets back if nothing more is settled; or got, once it is over.
    pub fn left(&self) -> Amount {
        self.deposit.saturating_sub(self.settled)
    }

    /// The reference of what was owed last to get back what is left in it.
    pub fn reclaiming(&self, channel: &ChannelId) -> Option<Reference> {
        self.reclaim.map(|step| step.reference(channel, self.reclaims))
    }

    /// What a session that draws on it is to make of it.
    pub fn life(&self) -> Life {
        match (self.is_over, self.ready_ms) {
            (true, _) => Life::Over,
            (false, Some(_)) => Life::Closing,
            (false, None) => Life::Open,
        }
    }

    fn is_on(&self, ledger: &LedgerId, domain: &Domain) -> bool {
        match &self.home {
            Home::Ledger(id) => id == ledger,
            Home::Domain(home) => home == domain,
        }
    }
}

/// Whether so long has passed since. A moment in the future was written by a clock that was set
/// back since, and waits for nothing.
fn has_passed(now_ms: u64, since_ms: u64, time_ms: u64) -> bool {
    now_ms < since_ms || now_ms - since_ms >= time_ms
}

/// What its payer does to get back what is left in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Ask the escrow to close it.
    RequestClose,
    /// Withdraw, when the grace period is over.
    Withdraw,
}

impl Step {
    /// What the references of this step are for.
    pub fn purpose(self) -> Purpose {
        match self {
            Step::RequestClose => Purpose::RequestClose,
            Step::Withdraw => Purpose::Withdraw,
        }
    }

    /// What it asks of the ledger.
    pub(super) fn call(self, channel: ChannelId) -> Call {
        match self {
            Step::RequestClose => Call::RequestClose(InChannel { channel }),
            Step::Withdraw => Call::Withdraw(InChannel { channel }),
        }
    }

    /// A channel is no session, and has its references all the same.
    pub(super) fn reference(self, channel: &ChannelId, number: u64) -> Reference {
        SessionId(Digest(channel.0)).reference(self.purpose(), number)
    }
}

/// Why a channel of ours is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A person asks for it.
    Asked,
    /// Nobody needs it any more.
    Idle {
        /// How long no session may have used it, in milliseconds: so long its seller has to close
        /// it first.
        after_ms: u64,
        /// Channels like it are kept for the next session, unless one has left it to be closed.
        keeps: bool,
    },
}

/// What became of what was owed last to get back what is left in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// Nothing was.
    Nothing,
    /// It is still owed.
    UnderWay,
    /// It is done, for good.
    Met,
    /// It was refused, so long ago.
    Refused {
        /// When, in milliseconds since 1970 UTC.
        at_ms: u64,
    },
}

impl Last {
    /// By the obligation's row.
    pub(super) fn of(row: Option<&Obligation>) -> Last {
        match row.map(|row| (&row.state, row.due_ms)) {
            None => Last::Nothing,
            Some((State::Met { .. }, _)) => Last::Met,
            Some((State::Refused { .. }, at_ms)) => Last::Refused { at_ms },
            Some(_) => Last::UnderWay,
        }
    }
}

/// What time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Here, in milliseconds since 1970 UTC.
    pub now_ms: u64,
    /// In the ledger's newest block, where it was asked: between two blocks it stands still.
    pub ledger_ms: Option<u64>,
}

impl Clock {
    /// Whether a ledger knows that a moment is past. Only a person hurries where that is by our
    /// own clock alone: what comes too early is refused.
    fn is_past(self, at_ms: u64, wish: Wish) -> bool {
        let apart_ms = if wish == Wish::Asked { 0 } else { APART_MS };
        self.ledger_ms.is_some_and(|ledger_ms| ledger_ms >= at_ms)
            || self.now_ms >= at_ms.saturating_add(apart_ms)
    }
}

/// How much of a channel's life is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It pays.
    Open,
    /// Its payer asked to close it: what is vouched can still be redeemed, for a while.
    Closing,
    /// It is closed or withdrawn, and pays nothing any more.
    Over,
}
