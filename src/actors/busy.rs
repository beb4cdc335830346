//! The channels that serve a session just now, each at most one, and how that session is ended
//! when something happens to its channel. Sessions, and the watches over the ledgers, share it.

use crate::actors::session::{GiveWay, Over, Stop};
use crate::message::Reason;
use crate::terms::Role;
use actix::prelude::*;
use sdpp_ledger::{ChannelId, LedgerId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Channels in use; its clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Busy(Arc<Mutex<HashMap<ChannelId, Held>>>);

/// The session that a channel serves.
#[derive(Debug, Clone)]
pub struct Serving {
    /// The channel's ledger.
    pub ledger: LedgerId,
    /// Ends it in good order.
    pub stop: Recipient<Stop>,
    /// Ends it at once.
    pub over: Recipient<Over>,
    /// Seller: ends it where it waits for its buyer, who has come back with another order.
    pub give_way: Option<Recipient<GiveWay>>,
    /// Which side it is.
    pub role: Role,
}

#[derive(Debug)]
struct Held {
    /// `None` where it is held for no session.
    serving: Option<Serving>,
    told: Told,
}

/// What a session was told; each word is said once, and none after a graver one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Stop,
    Over,
}

/// A channel's place in [`Busy`], given back when dropped.
#[derive(Debug)]
pub struct Taken(Busy, ChannelId);

impl Busy {
    /// Takes a channel for a session; `None` while another one has it.
    pub fn take(&self, channel: ChannelId, serving: Serving) -> Option<Taken> {
        self.claim(channel, Some(serving))
    }

    /// Takes a channel for no session, so that none begins on it meanwhile; `None` while one has it.
    pub fn hold(&self, channel: ChannelId) -> Option<Taken> {
        self.claim(channel, None)
    }

    fn claim(&self, channel: ChannelId, serving: Option<Serving>) -> Option<Taken> {
        let mut held = self.held();
        if held.contains_key(&channel) {
            return None;
        }
        held.insert(channel, Held { serving, told: Told::Nothing });
        Some(Taken(self.clone(), channel))
    }

    /// Whether a session has a channel, or it is held.
    pub fn is_taken(&self, channel: &ChannelId) -> bool {
        self.held().contains_key(channel)
    }

    /// Whether a channel serves a session just now.
    pub fn is_serving(&self, channel: &ChannelId) -> bool {
        self.held().get(channel).is_some_and(|held| held.serving.is_some())
    }

    /// The channels of one ledger that serve sellers' sessions just now.
    pub fn selling_on(&self, ledger: &LedgerId) -> Vec<ChannelId> {
        self.on(ledger, |serving| serving.role == Role::Seller)
    }

    /// The channels of one ledger that serve sessions of either side just now.
    pub fn serving_on(&self, ledger: &LedgerId) -> Vec<ChannelId> {
        self.on(ledger, |_| true)
    }

    fn on(&self, ledger: &LedgerId, is_meant: impl Fn(&Serving) -> bool) -> Vec<ChannelId> {
        let held = self.held();
        let serves = |held: &Held| {
            let serving = held.serving.as_ref();
            serving.is_some_and(|serving| serving.ledger == *ledger && is_meant(serving))
        };
        held.iter().filter(|(_, held)| serves(held)).map(|(channel, _)| *channel).collect()
    }

    /// Asks the session on a channel to end in good order, once, where it still needs the channel. Whether there was one to ask.
    pub fn stop(&self, channel: &ChannelId, reason: Reason) -> bool {
        let stop =
            |serving: &Serving| serving.stop.do_send(Stop { reason, channel: Some(*channel) });
        self.tell(channel, Told::Stop, stop)
    }

    /// The same, where it is a seller's.
    pub fn stop_selling(&self, channel: &ChannelId, reason: Reason) -> bool {
        let role = |held: &Held| held.serving.as_ref().map(|serving| serving.role);
        let is_selling = self.held().get(channel).and_then(role) == Some(Role::Seller);
        is_selling && self.stop(channel, reason)
    }

    /// Asks the session on a channel to end if it has no connection, for another of the same buyer.
    pub fn give_way(&self, channel: &ChannelId) {
        let held = self.held();
        let serving = held.get(channel).and_then(|held| held.serving.as_ref());
        let session = serving.and_then(|serving| serving.give_way.as_ref());
        session.into_iter().for_each(|session| session.do_send(GiveWay));
    }

    /// Ends the session on a channel that is over, once, where it still needs the channel. Whether there was one to end.
    pub fn end(&self, channel: &ChannelId) -> bool {
        self.tell(channel, Told::Over, |serving| serving.over.do_send(Over(*channel)))
    }

    fn tell(&self, channel: &ChannelId, told: Told, say: impl FnOnce(&Serving)) -> bool {
        let mut all = self.held();
        let Some(held) = all.get_mut(channel).filter(|held| held.told < told) else {
            return false;
        };
        held.told = told;
        held.serving.as_ref().map(say).is_some()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<ChannelId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// The channel.
    pub fn channel(&self) -> ChannelId {
        self.1
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.held().remove(&self.1);
    }
}
