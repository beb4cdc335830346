//! Deliveries: one transaction on its way to a ledger, for one or many obligations.
//!
//! One table, [`State::next`], decides how each moves; whoever writes the journal goes through it.

use super::entry::Head;
use super::keys;
use super::obligation::Illegal;
use super::tree::Tree;
use sdpp_ledger::{Account, Call, Evidence, Inclusion, LedgerId, Reference, Signed, TxId};
use serde::{Deserialize, Serialize};

/// Names a delivery: which of an account's numbers on which ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeliveryId {
    /// The ledger.
    pub ledger: LedgerId,
    /// The account that signs.
    pub account: Account,
    /// The account's number (nonce) in it.
    pub number: u64,
}

/// One transaction on its way to a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Which.
    pub id: DeliveryId,
    /// What it does.
    pub call: Call,
    /// The obligations that it meets, in the order of their leaves where they share a root.
    pub references: Vec<Reference>,
    /// The journal's head as it was when this was prepared, where it stands as the last leaf
    /// under the root, below [`Head::reference`].
    pub head: Option<Head>,
    /// All that was ever signed under this number; the last is the one that is sent, and any of
    /// those that are [`Delivery::own`] may be mined.
    pub variants: Vec<Signed>,
    /// How often it was signed again: for a higher fee, or to cancel it. What stands before those
    /// and the one that was prepared is of other calls, which the ledger refused.
    #[serde(default)]
    pub again: usize,
    /// When its newest variant was signed, or was last found to offer enough, in milliseconds
    /// since 1970 UTC; 0 where none was looked at since it was prepared.
    #[serde(default)]
    pub priced_ms: u64,
    /// Whether an operator wants it cancelled.
    #[serde(default)]
    pub cancel: Cancel,
    /// How far it is.
    pub state: State,
    /// When it was prepared, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// When to look at it again, in milliseconds since 1970 UTC, while it is live.
    pub due_ms: u64,
    /// How often in a row that has led to nothing.
    pub tries: u32,
}

/// Whether an operator wants a delivery cancelled, and what came of that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cancel", rename_all = "snake_case")]
pub enum Cancel {
    /// Nobody wants it.
    #[default]
    No,
    /// Somebody does.
    Wished,
    /// Its newest variants have no effect but to use the number up.
    Signed {
        /// The first of them among the variants.
        from: usize,
    },
    /// The ledger cannot.
    Refused {
        /// The ledger's reason.
        why: String,
    },
}

/// How far a delivery is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The bytes are on disk; the ledger may or may not have them: submit them.
    Prepared {
        /// The ledger took them before, and has forgotten them; or it may have taken what they
        /// cancel.
        accepted: bool,
    },
    /// The ledger has them, or had them: ask how final they are.
    Sent,
    /// In a block that is not deep enough yet.
    Included {
        /// Which block.
        place: Inclusion,
    },
    /// The ledger refused the bytes. Not believed until looked up: they may have arrived before.
    Rejected {
        /// The ledger's reason.
        why: String,
        /// As of what is prepared.
        accepted: bool,
    },
    /// Done, for good.
    Final {
        /// What the ledger says.
        evidence: Evidence,
    },
    /// In a block, for good, without effect.
    Reverted {
        /// The ledger's reason.
        why: String,
        /// Where.
        evidence: Evidence,
    },
    /// A transaction without effect used its number up, for good, as an operator wished.
    Cancelled {
        /// What the ledger says of that transaction.
        evidence: Evidence,
    },
    /// It can never happen.
    Dead {
        /// Why.
        why: String,
        /// Another transaction took its place; if not, its number is free for another delivery.
        number_spent: bool,
    },
}

/// What can happen to a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The ledger took the bytes, or had them.
    Sent {
        /// The transaction's id.
        tx: TxId,
    },
    /// The ledger refused the bytes.
    Rejected {
        /// The ledger's reason.
        why: String,
    },
    /// The ledger has never heard of it, or has forgotten it.
    Unknown,
    /// In a pool, and in no block (any more).
    Pending,
    /// In a block that is not deep enough yet.
    Included {
        /// Which block.
        place: Inclusion,
    },
    /// Done, for good.
    Final {
        /// What the ledger says.
        evidence: Evidence,
    },
    /// In a block, for good, without effect.
    Reverted {
        /// The ledger's reason.
        why: String,
        /// Where.
        evidence: Evidence,
    },
    /// Another transaction used up its number, or what it spends, for good.
    Replaced,
    /// It was signed again under its number, for the same: send the newest variant.
    Resigned,
    /// What has no effect but to use its number up was signed: send that.
    Voided,
    /// The transaction that cancels it is done, for good.
    Cancelled {
        /// What the ledger says.
        evidence: Evidence,
    },
}

impl State {
    /// The table: where `event` leads from here.
    ///
    /// What was accepted once is never given up because it is refused later: others with larger
    /// numbers may wait behind it. A refusal is of all that was signed for the same; of what
    /// cancels something it is no word on that, which may have arrived.
    ///
    /// # Errors
    /// [`Illegal`] where the event cannot happen: in all that is over.
    pub fn next(self, event: Event) -> Result<State, Illegal> {
        let accepted = self.is_accepted();
        match (self, event) {
            (
                state @ (State::Final { .. }
                | State::Reverted { .. }
                | State::Cancelled { .. }
                | State::Dead { .. }),
                event,
            ) => Err(Illegal::new(&state, &event)),
            // A block that was seen says more than a pool that is asked once more.
            (
                state @ State::Included { .. },
                Event::Sent { .. } | Event::Rejected { .. } | Event::Resigned | Event::Voided,
            ) => Ok(state),
            (_, Event::Sent { .. } | Event::Pending) => Ok(State::Sent),
            (_, Event::Rejected { why }) => Ok(State::Rejected { why, accepted }),
            (State::Rejected { why, accepted }, Event::Unknown) if !accepted => {
                Ok(State::Dead { why, number_spent: false })
            }
            (_, Event::Unknown | Event::Resigned) => Ok(State::Prepared { accepted }),
            (_, Event::Voided) => Ok(State::Prepared { accepted: true }),
            (_, Event::Included { place }) => Ok(State::Included { place }),
            (_, Event::Final { evidence }) => Ok(State::Final { evidence }),
            (_, Event::Reverted { why, evidence }) => Ok(State::Reverted { why, evidence }),
            (_, Event::Cancelled { evidence }) => Ok(State::Cancelled { evidence }),
            (_, Event::Replaced) => Ok(State::Dead {
                why: "another transaction took its place".to_owned(),
                number_spent: true,
            }),
        }
    }

    /// Whether the ledger ever took its bytes, or may have taken what they cancel.
    pub fn is_accepted(&self) -> bool {
        match self {
            State::Prepared { accepted } | State::Rejected { accepted, .. } => *accepted,
            State::Dead { number_spent, .. } => *number_spent,
            _ => true,
        }
    }

    /// Whether it may still happen.
    pub fn is_live(&self) -> bool {
        match self {
            State::Prepared { .. }
            | State::Sent
            | State::Included { .. }
            | State::Rejected { .. } => true,
            State::Final { .. }
            | State::Reverted { .. }
            | State::Cancelled { .. }
            | State::Dead { .. } => false,
        }
    }
}

impl Delivery {
    /// What is sent: the newest variant.
    pub fn signed(&self) -> Option<&Signed> {
        self.variants.last()
    }

    /// The variants that may be mined for it: those of its own call, and those that cancel it.
    pub fn own(&self) -> &[Signed] {
        let first = self.variants.len().saturating_sub(self.again.saturating_add(1));
        self.variants.get(first..).unwrap_or_default()
    }

    /// The variants that cancel it.
    pub fn cancelling(&self) -> &[Signed] {
        match self.cancel {
            Cancel::Signed { from } => self.variants.get(from..).unwrap_or_default(),
            _ => &[],
        }
    }

    /// How often the fee was raised of what it does now.
    pub(super) fn raises(&self) -> usize {
        self.same().len().saturating_sub(1)
    }

    /// The variants that do what the newest does.
    pub(super) fn same(&self) -> &[Signed] {
        match self.cancelling() {
            [] => self.own(),
            cancelling => cancelling,
        }
    }

    /// The bytes that used its number up as they should: to be sent again when the ledger has
    /// lost them. Pruned ones are gone.
    pub fn spent_by(&self) -> Option<&Signed> {
        let (among, evidence) = match &self.state {
            State::Final { evidence } => (self.own(), evidence),
            State::Cancelled { evidence } => (self.cancelling(), evidence),
            _ => return None,
        };
        let found = among.iter().find(|signed| is_of(signed, evidence)).or(match among {
            [only] => Some(only),
            _ => None,
        });
        found.filter(|signed| !signed.raw.is_empty())
    }

    /// Whether it came to an end that the ledger vouches for, and has bytes left all the same.
    pub(super) fn is_prunable(&self) -> bool {
        let is_done = matches!(
            self.state,
            State::Final { .. } | State::Reverted { .. } | State::Cancelled { .. }
        );
        is_done && self.raw_bytes() > 0
    }

    /// The length of all that was ever signed under its number, in bytes.
    pub(super) fn raw_bytes(&self) -> usize {
        self.variants.iter().map(|signed| signed.raw.len()).sum()
    }

    /// Whether its number may be signed for something else, when the ledger waits for it once
    /// more: its obligations went elsewhere or were refused, and nothing keeps its own bytes from
    /// being mined after all but others in their place.
    pub fn leaves_number(&self) -> bool {
        matches!(self.state, State::Dead { .. } | State::Reverted { .. })
    }

    /// The rows of other trees that this one implies.
    pub(super) fn index(&self) -> Option<(Tree, Vec<u8>, Vec<u8>)> {
        let id = &self.id;
        self.state.is_live().then(|| {
            let what = keys::in_account(&id.account, id.number);
            let key = keys::due(&id.ledger, keys::LIVE, self.due_ms, &what);
            (Tree::Due, key, Vec::new())
        })
    }
}

/// Whether this is the evidence of these bytes. Ledgers write one transaction in upper or lower
/// case.
pub(super) fn is_of(signed: &Signed, evidence: &Evidence) -> bool {
    let is_same = |tx: &TxId| tx.as_str().eq_ignore_ascii_case(evidence.tx.as_str());
    signed.tx.as_ref().is_some_and(is_same)
}

/// Which number of an account comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// One more than the largest that is used or may still be.
    pub next: u64,
    /// The next one was given back when the ledger refused it: somebody else may have used it.
    pub given_back: bool,
}
