//! Obligations: what is owed to a ledger, from its record until it is met or refused.
//!
//! One table, [`State::next`], decides how each moves; whoever writes the journal goes through it.

use super::delivery::DeliveryId;
use super::keys;
use super::tree::Tree;
use crate::record::{Act, Owed};
use crate::terms::{Purpose, SessionId};
use sdpp_ledger::{Anchor, Call, Claim, Digest, Evidence, Redeem, TxId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something owed to a ledger, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    /// What is owed.
    pub owed: Owed,
    /// The session that owes it.
    pub session: Option<SessionId>,
    /// The entry that it comes from.
    pub entry: u64,
    /// Since when, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// A claim: further transactions that were named later, because the payer raised its fee.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<TxId>,
    /// How far it is.
    pub state: State,
    /// When to look at it again, in milliseconds since 1970 UTC, while it is open or watching.
    pub due_ms: u64,
    /// How often in a row that has led to nothing.
    pub tries: u32,
    /// How often the ledger refused it, and it was to be tried again all the same.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refusals: u32,
}

/// How far an obligation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Waits for its session's end.
    Held,
    /// To be done.
    Open {
        /// It must not share a transaction: the ledger refused one that it shared.
        alone: bool,
    },
    /// A claim, to be checked until it is known.
    Watching,
    /// On a delivery that may still happen: never to be signed again.
    Riding {
        /// Which.
        delivery: DeliveryId,
    },
    /// Done, for good.
    Met {
        /// What the ledger says.
        evidence: Evidence,
    },
    /// Will never be done as asked.
    Refused {
        /// The ledger's reason.
        why: String,
    },
}

/// What can happen to an obligation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Its session ended.
    Released,
    /// The ledger refused a transaction that it shared: it goes alone from here on.
    Separated,
    /// It was prepared.
    Boarded {
        /// Into which delivery.
        delivery: DeliveryId,
    },
    /// Its delivery can never happen.
    Dropped,
    /// The ledger says that it is done.
    Met {
        /// What the ledger says.
        evidence: Evidence,
    },
    /// The ledger says that it will never be done.
    Refused {
        /// The ledger's reason.
        why: String,
    },
    /// The ledger refused it, and may think better of it: it is tried again later, alone.
    Deferred,
    /// A person wants a refused one tried again.
    Retried,
}

/// An event that cannot happen in a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot happen to what is {state}")]
pub struct Illegal {
    state: String,
    event: String,
}

impl Illegal {
    pub(super) fn new(state: &impl fmt::Debug, event: &impl fmt::Debug) -> Self {
        Illegal { state: format!("{state:?}"), event: format!("{event:?}") }
    }
}

impl State {
    /// The state that an obligation is born in. Only a session's end releases what is held.
    pub fn birth(owed: &Owed, in_session: bool) -> Self {
        match owed.act {
            Act::Check(_) => State::Watching,
            Act::Do(_) if owed.held && in_session => State::Held,
            Act::Do(_) => State::Open { alone: false },
        }
    }

    /// The table: where `event` leads from here. `owed` tells what a retried one is.
    ///
    /// # Errors
    /// [`Illegal`] where the event cannot happen.
    pub fn next(self, event: Event, owed: &Owed) -> Result<State, Illegal> {
        match (self, event) {
            (State::Held, Event::Released) => Ok(State::Open { alone: false }),
            (State::Open { .. }, Event::Separated) => Ok(State::Open { alone: true }),
            (State::Open { .. }, Event::Boarded { delivery }) => Ok(State::Riding { delivery }),
            (State::Open { .. } | State::Riding { .. }, Event::Deferred) => {
                Ok(State::Open { alone: true })
            }
            (State::Riding { .. }, Event::Dropped) => Ok(State::Open { alone: false }),
            (State::Riding { .. } | State::Watching, Event::Met { evidence }) => {
                Ok(State::Met { evidence })
            }
            (
                State::Open { .. } | State::Riding { .. } | State::Watching,
                Event::Refused { why },
            ) => Ok(State::Refused { why }),
            (State::Refused { .. }, Event::Retried) => Ok(match owed.act {
                Act::Check(_) => State::Watching,
                Act::Do(_) => State::Open { alone: true },
            }),
            (state, event) => Err(Illegal::new(&state, &event)),
        }
    }

    /// Whether nothing more is to be done about it.
    pub fn is_settled(&self) -> bool {
        matches!(self, State::Met { .. } | State::Refused { .. })
    }
}

impl Obligation {
    /// The leaf that stands for it under a Merkle root; `None` when it must ride alone.
    pub fn leaf(&self) -> Option<Digest> {
        match &self.owed.act {
            Act::Do(Call::Anchor(Anchor::One { reference, digest })) => {
                Some(Anchor::leaf(reference, digest))
            }
            _ => None,
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused { .. })
    }

    /// The claims that any transaction may prove, the first and those named later.
    pub fn claims(&self) -> Vec<Claim> {
        let Act::Check(first) = &self.owed.act else {
            return Vec::new();
        };
        let later = self.also.iter().map(|tx| Claim { tx: tx.clone(), ..first.clone() });
        std::iter::once(first.clone()).chain(later).collect()
    }

    /// The rows of other trees that this one implies.
    pub(super) fn index(&self) -> Vec<(Tree, Vec<u8>, Vec<u8>)> {
        let reference = &self.owed.reference.0;
        let ledger = &self.owed.ledger;
        let mut rows = Vec::new();
        if !self.state.is_settled() {
            let key = keys::unsettled(ledger, self.at_ms, &self.owed.reference);
            rows.push((Tree::Unsettled, key, Vec::new()));
        }
        match (&self.state, self.session) {
            (State::Held, Some(session)) => {
                rows.push((Tree::Held, keys::held(&session, reference), Vec::new()));
            }
            (State::Open { .. }, _) => {
                let is_bond = self.owed.purpose == Purpose::Bond;
                let kind = if is_bond { keys::BOND } else { keys::OPEN };
                let key = keys::due(ledger, kind, self.due_ms, reference);
                rows.push((Tree::Due, key, Vec::new()));
            }
            (State::Watching, _) => {
                let key = keys::due(ledger, keys::WATCHING, self.due_ms, reference);
                rows.push((Tree::Due, key, Vec::new()));
            }
            _ => {}
        }
        rows.extend(self.paying_tx());
        rows.extend(self.redeems());
        rows
    }

    /// What is redeemed or is to be, of which channel; what is refused redeems nothing.
    fn redeems(&self) -> Option<(Tree, Vec<u8>, Vec<u8>)> {
        let (redeem, is_close) = redeem_in(&self.owed)?;
        let key = keys::redeem(&redeem.channel, &self.owed.reference);
        let value = [&redeem.amount.units().to_be_bytes()[..], &[u8::from(is_close)]].concat();
        (!self.is_refused()).then_some((Tree::Redeems, key, value))
    }

    /// The transaction that has paid what was claimed: it pays once. Who names one holds nothing by it
    /// before the ledger has shown that it pays.
    fn paying_tx(&self) -> Option<(Tree, Vec<u8>, Vec<u8>)> {
        let (Act::Check(_), State::Met { evidence }) = (&self.owed.act, &self.state) else {
            return None;
        };
        let key = keys::claim(&self.owed.ledger, &evidence.tx);
        Some((Tree::Claims, key, self.owed.reference.0.to_vec()))
    }
}

/// What is redeemed here, and whether that closes the channel.
pub(super) fn redeem_in(owed: &Owed) -> Option<(&Redeem, bool)> {
    match &owed.act {
        Act::Do(Call::Settle(redeem)) => Some((redeem, false)),
        Act::Do(Call::Close(redeem)) => Some((redeem, true)),
        _ => None,
    }
}

// serde asks with a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
