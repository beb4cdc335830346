//! What can be written to the journal, and what comes back.

use super::datasets::Stretch;
use super::delivery::{self, DeliveryId};
use super::entry::Head;
use super::obligation::{self, Illegal};
use super::prune::{Dropped, Pruning};
use super::quarantine::Release;
use super::reclaim::Reclaim;
use super::settle::Settle;
use super::watch::Watch;
use crate::record::Record;
use crate::terms::{Rate, SessionId};
use sdpp_ledger::{Account, Call, Digest, Evidence, LedgerId, Reference, Signed, TxId};

/// One change of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A fact, and with it what it owes. The same record under the same reference again changes
    /// nothing and is answered with the first entry.
    Append {
        /// The session that it belongs to; the one that it founds in [`Record::Order`].
        session: Option<SessionId>,
        /// The fact; never [`Record::Met`], [`Record::Refused`] or [`Record::Pruned`], which the
        /// journal appends.
        record: Box<Record>,
    },
    /// A signed transaction: from here on, and no earlier, it may be submitted.
    Prepare(Box<Prepare>),
    /// Something happened to a delivery.
    Delivery {
        /// Which.
        id: DeliveryId,
        /// What happened.
        event: delivery::Event,
        /// When to look at it again, in milliseconds since 1970 UTC.
        due_ms: u64,
    },
    /// A delivery signed again under its number, for a higher fee: from here on, and no earlier,
    /// it may be submitted.
    Raise {
        /// Which.
        delivery: DeliveryId,
        /// The new variant.
        signed: Box<Signed>,
    },
    /// A delivery's newest variant offers enough, or no higher fee can be had: think of it again
    /// after some time.
    Keep {
        /// Which.
        delivery: DeliveryId,
    },
    /// An operator wants something owed not to be done any more: refused at once where nothing
    /// was signed for it, else when a transaction without effect has taken its number.
    Cancel {
        /// What is owed.
        reference: Reference,
    },
    /// A transaction without effect under a delivery's number: from here on, and no earlier, it
    /// may be submitted.
    Void {
        /// Which.
        delivery: DeliveryId,
        /// The transaction, or the ledger's reason why there is none.
        signed: Result<Box<Signed>, String>,
    },
    /// Something happened to an obligation that is on no delivery: `Met`, `Refused`, `Separated`
    /// or `Retried`.
    Obligation {
        /// Which.
        reference: Reference,
        /// What happened.
        event: obligation::Event,
    },
    /// The ledger refused something before anything was signed for it. It is `Refused` for good,
    /// or tried again later where a voucher is worth that.
    Refused {
        /// What is owed.
        reference: Reference,
        /// The ledger's reason, its code first.
        why: String,
    },
    /// A claim's transaction stands in a block that is not deep enough yet: look again later.
    Included {
        /// What it pays for.
        reference: Reference,
        /// How many blocks hold it or stand on it, at least 1.
        blocks: u64,
        /// When, in milliseconds since 1970 UTC.
        due_ms: u64,
    },
    /// A claim's transaction stands in no block, or in none any more: look again later.
    Absent {
        /// What it pays for.
        reference: Reference,
        /// When, in milliseconds since 1970 UTC.
        due_ms: u64,
    },
    /// What a ledger said of our channels; see [`super::watch`].
    Watch(Box<Watch>),
    /// What is left in a channel of ours is to come back, as far as it is time for that; see
    /// [`super::watch`]. Else nothing changes.
    Reclaim(Reclaim),
    /// Payload is dropped; see [`super::prune`]. Of a session that has changed since it was looked
    /// at nothing is.
    Prune(Box<Pruning>),
    /// A channel's best voucher is to be redeemed, as far as anything is missing; see
    /// [`super::settle`]. Else nothing changes.
    Settle(Box<Settle>),
    /// What a currency was quoted at last; see [`super::Reader::rated`].
    Rated(Rated),
    /// Leaves of a dataset that is to be sold under a bond, from its first on; see [`super::datasets`].
    Keeping(Box<Stretch>),
    /// A dataset answers for nothing any more: some of its leaves are dropped, and it is not kept as a whole.
    Forget {
        /// Its root.
        root: Digest,
    },
    /// The journal was just restored from a backup; see [`super::quarantine`].
    Restore {
        /// When the backup was made, in milliseconds since 1970 UTC.
        backup_ms: u64,
    },
    /// The ledgers have told what a restored journal had forgotten; see [`super::quarantine`].
    Release(Box<Release>),
    /// A bundle of evidence tells of a session that a restored journal had forgotten.
    Learn {
        /// The session.
        session: SessionId,
        /// The bundle's digest.
        bundle: Digest,
    },
    /// Nothing came of looking at something: look again later.
    Postpone {
        /// What.
        live: Live,
        /// When, in milliseconds since 1970 UTC.
        due_ms: u64,
    },
}

/// A rate that a quote was made at. It is no entry: menus and orders carry the quotes that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// The currency.
    pub currency: String,
    /// The one that it is counted in.
    pub default: String,
    /// The currency's smallest units for one of the default one's.
    pub rate: Rate,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// Intent, number and signed bytes of one transaction, in one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    /// The ledger.
    pub ledger: LedgerId,
    /// The account that signed.
    pub account: Account,
    /// What was signed.
    pub call: Call,
    /// The obligations that it meets; all open.
    pub references: Vec<Reference>,
    /// The journal's head, where it stands under the root as its last leaf.
    pub head: Option<Head>,
    /// The bytes, and the account's number in them.
    pub signed: Signed,
}

/// Something in the outbox that is looked at again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Live {
    /// An obligation that is to be prepared, or a claim that is to be checked.
    Obligation(Reference),
    /// A delivery that may still happen.
    Delivery(DeliveryId),
}

/// What came of a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The entry that an append made, or that was there before it.
    pub seq: Option<u64>,
    /// It was there before: nothing changed.
    pub repeated: bool,
    /// What sessions want to know.
    pub news: Vec<News>,
    /// The ledgers that have new work.
    pub ledgers: Vec<LedgerId>,
    /// What was pruned.
    pub pruned: Option<Box<Dropped>>,
}

/// Something that the session which owes it wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The session.
    pub session: Option<SessionId>,
    /// What was owed.
    pub reference: Reference,
    /// What happened.
    pub kind: NewsKind,
}

/// What happened to something owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewsKind {
    /// Its transaction is signed, durable, and has this id.
    Signed(TxId),
    /// So many blocks hold the payment that was claimed, or stand on it, and it is not final; 0: none
    /// does, or none any more. Told each time that it was looked for.
    Included {
        /// How many.
        blocks: u64,
    },
    /// It is done, for good.
    Met(Evidence),
    /// It will not be done, and this is the ledger's reason.
    Refused(String),
}

impl NewsKind {
    /// Nothing more will happen to it.
    pub fn is_last(&self) -> bool {
        matches!(self, NewsKind::Met(_) | NewsKind::Refused(_))
    }
}

/// Why a write changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The reference stands for something else already.
    #[error("reference {reference} was used with another content in entry {entry}")]
    ReferenceConflict {
        /// The reference.
        reference: Reference,
        /// Its first entry.
        entry: u64,
    },
    /// A session is founded once.
    #[error("session {0} exists")]
    SessionExists(SessionId),
    /// A session is founded by its order.
    #[error("there is no session to which this record belongs")]
    NoSuchSession,
    /// Nothing follows the end of a session.
    #[error("the session has ended")]
    SessionEnded,
    /// Something that only grows would shrink.
    #[error("{what} must be at least {least}, not {asked}")]
    NotGrowing {
        /// What.
        what: &'static str,
        /// The least that is accepted.
        least: u128,
        /// What was asked.
        asked: u128,
    },
    /// A transaction pays once.
    #[error("transaction {tx} has paid {by} already")]
    TxUsed {
        /// The transaction.
        tx: TxId,
        /// What it has paid.
        by: Reference,
    },
    /// Only the journal itself records that something is met, refused or pruned, and that it was
    /// restored.
    #[error("met, refused, pruned and what tells of a restore are appended by the journal alone")]
    OutboxOnly,
    /// The journal was restored from a backup, and nothing may be signed by it yet.
    #[error("the journal was restored from a backup: run `sdpp journal release` first")]
    Quarantined,
    /// There is nothing to be released.
    #[error("the journal is in no quarantine")]
    NotQuarantined,
    /// A session that the journal forgot the end of is never gone on with.
    #[error("session {0} is older than the backup that the journal was restored from, and is over")]
    SessionLost(SessionId),
    /// It does not fit.
    #[error("{what} takes {bytes} bytes, more than {max}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The most that fits, in bytes.
        max: usize,
    },
    /// A number is used once.
    #[error("number {} of {} on {} is used", .0.number, .0.account, .0.ledger)]
    NumberUsed(DeliveryId),
    /// What was signed is not what the obligations say.
    #[error("what was signed is not what is owed: {0}")]
    NotWhatIsOwed(&'static str),
    /// There is no such obligation.
    #[error("nothing is owed under {0}")]
    NoSuchObligation(Reference),
    /// There is no such delivery.
    #[error("{} has no delivery {} on {}", .0.account, .0.number, .0.ledger)]
    NoSuchDelivery(DeliveryId),
    /// The state machine forbids it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
}
