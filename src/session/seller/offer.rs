//! What a seller brings to every session, and the randomness that each one is told.

use crate::door::Door;
use crate::message::{Menu, PaceReason};
use crate::settling;
use crate::terms::{CountsWhen, Currency, Pace, PaceFacts};
use sdpp_ledger::{Amount, Digest, Key};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What all sessions of a seller share.
#[derive(Debug)]
pub struct Offer {
    /// Signs everything.
    pub key: Key,
    /// The menu; each connection gets it with a challenge and an expiry of its own.
    pub menu: Menu,
    /// How this seller behaves.
    pub policy: SellerPolicy,
}

impl Offer {
    /// When payments in a currency count for credit: as the menu says, and where it says what is not
    /// known here, when they are final.
    pub(super) fn counts_when(&self, currency: &Currency) -> CountsWhen {
        let offer = self.menu.currency(&currency.name, currency.method);
        offer.and_then(|offer| offer.finality.parse().ok()).unwrap_or_default()
    }
}

/// How a seller behaves.
#[derive(Debug, Clone)]
pub struct SellerPolicy {
    /// How long to wait for the peer, an anchor, or finality at the end, in milliseconds.
    pub patience_ms: u64,
    /// How long the ledger may take to make a payment final while items flow, in milliseconds;
    /// after that the session ends in good order. The shell's default is 10 times the patience.
    pub finality_ms: u64,
    /// How long a menu is good, and an order waited for, in milliseconds; see
    /// [`Menu::LIFETIME_MS_MAX`].
    pub menu_lifetime_ms: u64,
    /// The longest that this seller may be away, in milliseconds: a channel whose grace period is
    /// under twice that, and the time in which its ledger makes a request to close final, is not
    /// served on. The shell's default is 5 minutes.
    pub outage_ms: u64,
    /// When a voucher is redeemed while its session goes on, by the currency's name. Not at all where
    /// none is given.
    pub settling: BTreeMap<String, settling::Policy>,
    /// How much may be credited without a person in one session, in a currency's smallest unit, to
    /// a buyer that asks with the proof of an item; by the currency's name. Nothing where none is
    /// given.
    pub credit_up_to: BTreeMap<String, Amount>,
    /// Says at which pace a session goes on, each time a window is closed; the menu's where there is
    /// none. [`super::Seller::follow`] gives one session a rule of its own.
    pub pace: Option<PaceRule>,
    /// Whoever carries the session keeps a book of what is out unsecured, and is asked before that
    /// grows.
    pub asks_credit: bool,
    /// Whom this seller sells to, and whom on credit.
    pub door: Door,
    /// Whoever carries the session knows what earlier ones say of its buyer and how many there are, and
    /// is asked before an order is taken.
    pub asks_admission: bool,
    /// The currencies, by name, in whose bonds our part is pledged for who orders under one.
    pub joins: BTreeSet<String>,
    /// A buyer may pay otherwise from one window on to the next, at the rate that is offered then.
    pub fail_over: bool,
    /// An invoice waits for its anchor's transaction and names it.
    pub anchor_before: bool,
    /// Records wait for the session's end and ride under one root.
    pub hold_records: bool,
    /// The longest line taken, in bytes; 64 KiB at most before there is an order.
    pub frame_bytes_max: usize,
    /// The longest item sent, in bytes.
    pub item_bytes_max: usize,
    /// The most bytes of messages with items sent and not acknowledged; at the cap the source
    /// pauses.
    pub unacknowledged_bytes_max: usize,
}

impl SellerPolicy {
    /// When vouchers in this currency are redeemed before their session ends.
    pub(super) fn settling(&self, currency: &str) -> settling::Policy {
        self.settling.get(currency).copied().unwrap_or_default()
    }
}

/// What says at which pace a session goes on: a pure function of what the session has seen of its
/// buyer, and of what whoever made the rule knew of it before.
#[derive(Clone)]
pub struct PaceRule(Arc<Pacing>);

type Pacing = dyn Fn(&PaceFacts) -> Option<(Pace, PaceReason)> + Send + Sync;

impl PaceRule {
    /// A rule; it answers nothing where the pace is to stay as it is.
    pub fn new(
        rule: impl Fn(&PaceFacts) -> Option<(Pace, PaceReason)> + Send + Sync + 'static,
    ) -> Self {
        PaceRule(Arc::new(rule))
    }

    /// The pace that is to be, and why; `None` where it stays as it is.
    pub fn pace(&self, facts: &PaceFacts) -> Option<(Pace, PaceReason)> {
        (self.0)(facts)
    }
}

impl fmt::Debug for PaceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaceRule")
    }
}

/// What a seller's session is told instead of drawing it. Not printed.
#[derive(Clone)]
pub struct SellerRandomness {
    /// The menu's challenge.
    pub challenge: Digest,
    /// The session's key.
    pub session_key: Zeroizing<[u8; 32]>,
    /// The fresh key that wraps it.
    pub ephemeral: Key,
    /// The nonce under which it is wrapped.
    pub wrap_nonce: [u8; 12],
}

impl fmt::Debug for SellerRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SellerRandomness(kept secret)")
    }
}
