//! Questions to a journal and their answers, as values: a command asks a running node with them,
//! or opens the journal and asks it itself, with the same code.
//!
//! No answer brings a salt secret along: the salt of one item, where its owner wants to disclose
//! that item, is all that can be asked for.

use super::JournalError;
use super::delivery::{Delivery, DeliveryId};
use super::entry::{Broken, Entry, Head};
use super::facts::Session;
use super::obligation::Obligation;
use super::reader::{Counts, Reader};
use super::walk::{Pruned, Walked};
use crate::crypto::salt;
use crate::terms::SessionId;
use sdpp_ledger::{Digest, LedgerId, PublicKey, Reference};
use serde::{Deserialize, Serialize};

/// The most rows that one answer brings; where they are large, fewer.
pub const PAGE_MAX: usize = 1000;

/// A question to a journal. Pages follow the row that `after` names; `limit` is at most
/// [`PAGE_MAX`], and an empty page is the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "query", rename_all = "snake_case")]
pub enum Query {
    /// Whose journal, how much, what is owed.
    Counts,
    /// Entries in order.
    Entries {
        /// Only those of one session.
        session: Option<SessionId>,
        /// The entry before the first; 0 for the start.
        after: u64,
        /// How many.
        limit: usize,
    },
    /// Sessions by id.
    Sessions {
        /// The session before the first.
        after: Option<SessionId>,
        /// How many.
        limit: usize,
    },
    /// Obligations by reference.
    Obligations {
        /// The obligation before the first.
        after: Option<Reference>,
        /// How many.
        limit: usize,
    },
    /// Obligations to one ledger that are neither met nor refused, the oldest first.
    Unsettled {
        /// The ledger.
        ledger: LedgerId,
        /// The obligation before the first.
        after: Option<Reference>,
        /// How many.
        limit: usize,
    },
    /// Deliveries by ledger, account and number.
    Deliveries {
        /// The delivery before the first.
        after: Option<DeliveryId>,
        /// How many.
        limit: usize,
    },
    /// The salt of one item: what discloses that item, and no other.
    Salt {
        /// The session.
        session: SessionId,
        /// The item.
        seq: u64,
    },
    /// Whether the chain holds, and every row can be read.
    Verify,
}

/// An answer, in the order of the questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Whose journal, how much, what is owed.
    Counts {
        /// Whose journal.
        identity: PublicKey,
        /// How much, what is owed.
        counts: Counts,
    },
    /// Entries, without their secrets.
    Entries {
        /// In order.
        entries: Vec<Entry>,
    },
    /// Sessions.
    Sessions {
        /// By id.
        sessions: Vec<Placed>,
    },
    /// Obligations, settled or not.
    Obligations {
        /// In the order that was asked.
        obligations: Vec<Obligation>,
    },
    /// Deliveries.
    Deliveries {
        /// By ledger, account and number.
        deliveries: Vec<Delivery>,
    },
    /// An item's salt; `None` where the session has none.
    Salt {
        /// The salt.
        salt: Option<Digest>,
    },
    /// The chain holds up to its head.
    Holds {
        /// The last entry.
        head: Head,
        /// What was pruned.
        #[serde(default)]
        pruned: Pruned,
    },
    /// The chain is broken.
    Broken {
        /// Where and how.
        broken: Broken,
    },
}

/// A session under its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Its id.
    pub id: SessionId,
    /// What is known of it.
    #[serde(flatten)]
    pub session: Session,
}

impl Reader {
    /// Answers a question.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods. An unknown `after` is no error: its page is empty or
    /// starts where it would stand.
    pub fn answer(&self, query: &Query) -> Result<Answer, JournalError> {
        self.found(query).map_err(|error| self.in_folder(error))
    }

    fn found(&self, query: &Query) -> Result<Answer, JournalError> {
        Ok(match query {
            Query::Counts => Answer::Counts { identity: self.identity(), counts: self.counts()? },
            Query::Entries { session, after, limit } => {
                let entries = match session {
                    Some(session) => self.session_entries(session, *after, *limit)?,
                    None => self.entries(*after, *limit)?,
                };
                let entries = entries.into_iter().map(Entry::redacted).collect();
                Answer::Entries { entries }
            }
            Query::Sessions { after, limit } => {
                let sessions = self.sessions(after.as_ref(), *limit)?.into_iter();
                let sessions = sessions.map(|(id, session)| Placed { id, session });
                Answer::Sessions { sessions: sessions.collect() }
            }
            Query::Obligations { after, limit } => {
                Answer::Obligations { obligations: self.obligations(after.as_ref(), *limit)? }
            }
            Query::Unsettled { ledger, after, limit } => {
                self.answer_unsettled(ledger, after.as_ref(), *limit)?
            }
            Query::Deliveries { after, limit } => {
                Answer::Deliveries { deliveries: self.deliveries(after.as_ref(), *limit)? }
            }
            // In all epochs salts are made from what the first brought.
            Query::Salt { session, seq } => {
                let secret = self.salt_secret(session, 0)?;
                Answer::Salt { salt: secret.map(|secret| salt(&secret, *seq)) }
            }
            Query::Verify => match self.walk()? {
                Ok(Walked { head, pruned }) => {
                    self.read_all()?;
                    Answer::Holds { head, pruned }
                }
                Err(broken) => Answer::Broken { broken },
            },
        })
    }

    fn answer_unsettled(
        &self,
        ledger: &LedgerId,
        after: Option<&Reference>,
        limit: usize,
    ) -> Result<Answer, JournalError> {
        let after = match after {
            Some(reference) => self.obligation(reference)?,
            None => None,
        };
        Ok(Answer::Obligations { obligations: self.unsettled(ledger, after.as_ref(), limit)? })
    }
}
