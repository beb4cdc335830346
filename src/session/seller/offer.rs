//! What a seller brings to every session, and the randomness that each one is told.

use super::redeeming::RedeemWhen;
use crate::message::Menu;
use sdpp_ledger::{Amount, Digest, Key};
use std::collections::BTreeMap;
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
    /// From how much on, in a currency's smallest unit, a voucher is redeemed while its session
    /// goes on; by the currency's name. Not at all for its worth where none is given.
    pub redeem_above: BTreeMap<String, Amount>,
    /// How long a voucher may be in hand, in milliseconds, before it is redeemed while its session
    /// goes on. The shell's default is as long as the session lasts.
    pub redeem_every_ms: Option<u64>,
    /// How much may be credited without a person in one session, in a currency's smallest unit, to
    /// a buyer that asks with the proof of an item; by the currency's name. Nothing where none is
    /// given.
    pub credit_up_to: BTreeMap<String, Amount>,
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
    pub(super) fn redeem_when(&self, currency: &str) -> RedeemWhen {
        let above = self.redeem_above.get(currency).copied();
        RedeemWhen { above, every_ms: self.redeem_every_ms }
    }
}

/// What a seller's session is told instead of drawing it.
#[derive(Debug)]
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
