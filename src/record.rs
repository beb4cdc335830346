//! The facts that a session leaves behind, and what each obliges us to do on a ledger.
//!
//! These types are the journal's format: they change only with its schema version. A signed
//! message is kept as it was signed, byte for byte, so that it still proves what it says when
//! whoever reads it trusts neither side.

mod leaves;
mod stray;

pub use leaves::Leaves;
pub use stray::{Invoiced, Stray};

use crate::crypto::SaltSecret;
use crate::crypto::layout::{Layout, MessageKind};
use crate::settling;
use crate::standing::Priced;
use crate::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{
    Account, Amount, Asset, BondId, Call, Change, ChannelId, Claim, Digest, Domain, Evidence,
    LedgerId, PublicKey, Reference, Signature, keccak, merkle,
};
use serde::{Deserialize, Serialize};

/// The longest raw `data` that is kept with a signed message, in bytes. Of a longer one (an
/// invoice that brings a large item along) only the digest is kept: number, root and total
/// amount stand in the signed layout itself, and everything else in menu and order.
pub const DATA_BYTES_MAX: usize = 16 * 1024;

/// The most transactions that may be named for one payment after its first: whoever raises a fee
/// signs another, and each is asked for.
pub const FURTHER_TXS_MAX: usize = 8;

/// The most items of a window whose leaves are kept with its invoice: of a larger window no item
/// can be proven without all the others.
pub const LEAVES_MAX: usize = 4 * 1024;

/// The most messages that are kept as evidence with a session's end. Items that were signed are
/// kept for a window of fewer alone, so that an entry stays within what the journal takes.
pub const EVIDENCE_MAX: usize = 256;

/// Why a session is over that ended with its process: no word about the other side.
pub const INTERRUPTED: &str = "this side ended without a word, and was started again";

/// A message as it was signed: evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedMessage {
    /// Which message.
    pub kind: MessageKind,
    /// The session that was signed; [`SessionId::NONE`] in a menu and an order.
    pub session: SessionId,
    /// The number that was signed.
    pub number: u64,
    /// The commitment that was signed.
    pub commitment: Digest,
    /// The total amount that was signed.
    pub amount_total: Amount,
    /// The raw bytes of `data` as sent, unless they were too long to keep.
    pub data: Option<String>,
    /// Keccak-256 of the raw bytes of `data` as sent.
    pub data_digest: Digest,
    /// The `verification` as sent.
    pub verification: String,
    /// The signature.
    pub signature: Signature,
}

impl SignedMessage {
    /// The digest under the signature.
    pub fn digest(&self) -> Digest {
        let layout = Layout {
            session: self.session,
            kind: self.kind,
            number: self.number,
            commitment: self.commitment,
            amount_total: self.amount_total,
            data: self.data_digest,
            verification: keccak(&[self.verification.as_bytes()]),
        };
        layout.digest()
    }

    /// Whether `key` signed this, and the raw data kept is the data that was signed.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        let data_fits =
            self.data.as_ref().is_none_or(|data| keccak(&[data.as_bytes()]) == self.data_digest);
        data_fits && key.verify(&self.digest(), &self.signature)
    }

    /// The item that its commitment names, where that is one: in an amend, the first that a change is
    /// in force for.
    pub fn from_seq(&self) -> Option<u64> {
        let (zeros, seq) = self.commitment.0.split_at(24);
        let seq = seq.try_into().ok().map(u64::from_be_bytes)?;
        (seq > 0 && zeros.iter().all(|byte| *byte == 0)).then_some(seq)
    }

    /// Whether its words may change the terms, and its signed layout does not say how: all amends that
    /// are in force from an item on, but credit notes.
    pub fn changes_terms(&self) -> bool {
        let is_credit = self.amount_total != Amount::ZERO;
        self.kind == MessageKind::Amend && !is_credit && self.from_seq().is_some()
    }
}

/// An invoice whose bytes are fixed, and that is not signed before its anchor's transaction is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsigned {
    /// Its number.
    pub number: u64,
    /// The root of its window.
    pub commitment: Digest,
    /// What it asks for in all.
    pub amount_total: Amount,
    /// The raw bytes of `data`.
    pub data: String,
    /// First seq of the window.
    pub from_seq: u64,
    /// Last seq of the window.
    pub to_seq: u64,
    /// The running digest at the window's end.
    pub digest: Digest,
    /// The window's leaves.
    pub leaves: Leaves,
}

/// Something owed to a ledger because of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Our idempotency key for it.
    pub reference: Reference,
    /// What it is for.
    pub purpose: Purpose,
    /// The ledger that it is owed to.
    pub ledger: LedgerId,
    /// What is to be done there.
    pub act: Act,
    /// It waits for the session's end, to ride with the session's others under one root.
    pub held: bool,
}

/// What is to be done about something owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Make it happen.
    Do(Call),
    /// Somebody says that it happened: find out.
    Check(Claim),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Both sides said `exit`, and all that was owed is paid.
    Complete,
    /// Both sides said `exit` while something was still outstanding.
    Outstanding,
    /// The line broke, or the other side went silent for longer than our patience.
    Broken,
    /// The other side broke the rules.
    Misconduct,
    /// The other side sent `error`.
    Refused,
    /// We could not go on: our source, ledger or journal failed, or a ceiling was reached.
    Failed,
}

/// A session whose payload was pruned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedSession {
    /// Which.
    pub session: SessionId,
    /// None of its entries up to this one has payload any more.
    pub through_seq: u64,
    /// How many lost theirs just now.
    pub entries: u64,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A session begins: both sides' signatures under its terms. The first record of each session.
    Order {
        /// Which side we are.
        role: Role,
        /// The other side's key.
        peer: PublicKey,
        /// The seller's menu.
        menu: Box<SignedMessage>,
        /// The buyer's order.
        order: Box<SignedMessage>,
        /// The order's anchor, where we owe it.
        owed: Option<Owed>,
    },
    /// Buyer: what the command was that ordered, for the same one to go on with the session after a
    /// kill. It proves nothing. Right behind the order.
    Delivering {
        /// The seller's address, as it was dialled.
        address: String,
        /// The file that items go to, where they go to one: nothing else goes there.
        file: Option<String>,
    },
    /// An epoch begins. Durable before the `session_key` message leaves.
    Epoch {
        /// Buyer: the `session_key` of a session under a bond, the seller's word for its terms.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Box<SignedMessage>>,
        /// From 0, one more after each resume.
        epoch: u32,
        /// What the salts of this session's leaves are made from.
        salt_secret: SaltSecret,
    },
    /// Seller: what items cost from one of them on, in figures that a buyer's standing is counted by.
    /// It proves nothing: menu, order and amends do.
    Priced(Priced),
    /// Places of a session became void, in figures beside what both have signed of it. It proves nothing:
    /// amends do.
    Void {
        /// The first of them.
        from_seq: u64,
        /// The last.
        to_seq: u64,
        /// Buyer: how many items had come of them, and stay where they were delivered to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delivered: Option<u64>,
        /// Seller: what the leg that the place before them stands in had asked for up to there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        billed: Option<Amount>,
    },
    /// Seller: items up to `to_seq` may be signed from here on. Durable before the first leaves,
    /// so that after a crash nothing is ever signed twice for one seq.
    Reserved {
        /// The last seq of the reserved range.
        to_seq: u64,
    },
    /// A message of ours is fixed, and its anchor goes before it: it will name the anchor's
    /// transaction. The message's own record follows without an anchor.
    Anchoring {
        /// The anchor.
        owed: Owed,
        /// The message, where it is a seller's invoice and short enough to be kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invoice: Option<Box<Unsigned>>,
    },
    /// A window's invoice, sent (seller) or accepted (buyer).
    Invoice {
        /// The message as the seller signed it.
        message: SignedMessage,
        /// First seq of the window.
        from_seq: u64,
        /// Last seq of the window.
        to_seq: u64,
        /// The running digest at the window's end.
        digest: Digest,
        /// The window's leaves.
        leaves: Leaves,
        /// Seller: the invoice's anchor. Buyer: the payment, where the method is transfer and it is
        /// not held back to be paid with others.
        owed: Option<Owed>,
    },
    /// Seller: items arrived, by the buyer's signed word. A buyer keeps none of its own.
    Ack {
        /// The message as the buyer signed it.
        message: SignedMessage,
    },
    /// Buyer: an invoice was heard of items that the seller lost and that never came. It counts for nothing,
    /// but as a message of the seller's that was taken.
    PassedOver {
        /// The message as the seller signed it, by its digest.
        message: SignedMessage,
    },
    /// Buyer: an item came that is not the one in its place of the dataset that the menu named. What the
    /// seller signed it by stands in the session's end.
    Stray(Stray),
    /// Buyer: vouchers up to this amount may be signed from here on. Durable before the first.
    Ceiling {
        /// The channel.
        channel: ChannelId,
        /// The most that may be vouched on it in all.
        amount: Amount,
    },
    /// Buyer: a session on this channel is over, and no voucher above this amount was signed: what
    /// else its ceiling allowed was not used, and the next session begins here.
    Spent {
        /// The channel.
        channel: ChannelId,
        /// The most that was vouched on it in all.
        amount: Amount,
        /// It stays open for the next session. Where it does not, the seller closes it.
        kept: bool,
    },
    /// Seller: a voucher that is better than those before it.
    Voucher {
        /// The channel.
        channel: ChannelId,
        /// What it is signed under.
        domain: Domain,
        /// What the payee may have in all.
        amount: Amount,
        /// The signer's signature.
        signature: Signature,
    },
    /// A `payment_ack`, received (seller) or sent (buyer).
    Payment {
        /// The message as the buyer signed it.
        message: SignedMessage,
        /// Seller: the claim to be checked, where the method is transfer.
        owed: Option<Owed>,
    },
    /// A change inside the session, proposed or agreed to: each side's word is one record.
    Amend {
        /// Whose word this is.
        by: Role,
        /// The message as it was signed.
        message: SignedMessage,
    },
    /// Either side's `exit`.
    Exit {
        /// Who said it.
        by: Role,
        /// The message as it was signed.
        message: SignedMessage,
        /// Seller's own exit: its anchor.
        owed: Option<Owed>,
    },
    /// A session is over. The last record of each session; what was held is released.
    Ended {
        /// How.
        end: End,
        /// A sentence for people.
        why: String,
        /// The messages that show the other side's misconduct, where some do: an invoice that
        /// contradicts the items comes with the signed items of its window. At most
        /// [`EVIDENCE_MAX`].
        evidence: Vec<SignedMessage>,
        /// Seller: redeeming the best voucher, where the method is escrow.
        owed: Option<Owed>,
    },
    /// A channel is opened or topped up for sessions to come.
    Funding {
        /// The channel.
        channel: ChannelId,
        /// Who may claim from it.
        payee: Account,
        /// What is deposited.
        asset: Asset,
        /// Opening or topping up.
        owed: Owed,
    },
    /// The escrow is let take deposits of an asset that asks for leave first. Met before anything
    /// is deposited.
    Approving {
        /// The asset.
        asset: Asset,
        /// Giving leave.
        owed: Owed,
    },
    /// The watch: a ledger says what happened to a channel that we have part in, for good.
    ChannelChange {
        /// The ledger.
        ledger: LedgerId,
        /// What happened.
        change: Change,
    },
    /// Seller: a voucher is redeemed before its session ends: because the channel's payer asked to
    /// close, or because it pays to.
    Redeeming {
        /// The channel.
        channel: ChannelId,
        /// Redeeming it.
        owed: Owed,
    },
    /// Seller: what is in hand on a channel is settled now, or is not, as long as nothing else is
    /// decided. One for each change of mind.
    Settling {
        /// The channel.
        channel: ChannelId,
        /// The ledger that it is on.
        ledger: LedgerId,
        /// The currency's name.
        currency: String,
        /// What was decided.
        why: settling::Why,
        /// What was in hand.
        hand: settling::Hand,
        /// What decided.
        policy: settling::Policy,
    },
    /// Buyer: invoices of one leg that a single transfer may pay are paid now, or are not, as long as
    /// nothing else is decided. One for each change of mind.
    Gathering {
        /// The first of them.
        from: u64,
        /// The last of them, which the payment is under.
        number: u64,
        /// The ledger that they are paid on.
        ledger: LedgerId,
        /// The currency's name.
        currency: String,
        /// What was decided.
        why: settling::Why,
        /// What was held back.
        hand: settling::Hand,
        /// What decided.
        policy: settling::Policy,
        /// The payment, where they are paid now.
        owed: Option<Owed>,
    },
    /// Buyer: what is left in a channel is to come back, by asking the escrow to close it or, once
    /// that was asked long enough ago, by withdrawing.
    Reclaiming {
        /// The channel.
        channel: ChannelId,
        /// Asking, or withdrawing.
        owed: Owed,
    },
    /// Something is done about a bond: pledging it, a complaint, an answer.
    Bonding {
        /// The bond.
        bond: BondId,
        /// Doing it.
        owed: Owed,
    },
    /// A session is in dispute: the evidence that was exported for it is pinned in time.
    Disputed {
        /// The digest of the evidence bundle.
        bundle: Digest,
        /// Its anchor.
        owed: Owed,
    },
    /// Payload of sessions that are over was pruned: what is missing in the entries that this
    /// names is missing because somebody wanted it so, and what else is missing is damage.
    Pruned {
        /// What ended before this moment was to be pruned, in milliseconds since 1970 UTC.
        before_ms: u64,
        /// Whose payload.
        sessions: Vec<PrunedSession>,
        /// How many deliveries lost their signed bytes.
        deliveries: u64,
    },
    /// The journal was lost, and goes on from a backup. What stood after the backup's last entry is
    /// not known, so this entry's seq lies beyond all that can have been used there.
    Restored {
        /// The backup's last entry.
        after_seq: u64,
        /// When the backup was made, in milliseconds since 1970 UTC: what is not known begins here.
        backup_ms: u64,
    },
    /// What a session came to that the journal had forgotten, by evidence that somebody signed.
    Learned {
        /// The session.
        session: SessionId,
        /// The digest of the evidence bundle.
        bundle: Digest,
    },
    /// The ledgers were asked what the journal had forgotten, and from here on it is used again.
    Released,
    /// The outbox: something owed is done, for good, and this is what the ledger says of it.
    Met {
        /// What was owed.
        reference: Reference,
        /// What the ledger says.
        evidence: Evidence,
        /// The record's place under the anchored root, where many shared one anchor.
        proof: Option<merkle::Proof>,
    },
    /// The outbox: something owed will never be done as asked.
    Refused {
        /// What was owed.
        reference: Reference,
        /// The ledger's reason.
        why: String,
    },
}

impl Record {
    /// What this record obliges us to do on a ledger.
    pub fn owed(&self) -> Option<&Owed> {
        match self {
            Record::Order { owed, .. }
            | Record::Invoice { owed, .. }
            | Record::Payment { owed, .. }
            | Record::Exit { owed, .. }
            | Record::Gathering { owed, .. }
            | Record::Ended { owed, .. } => owed.as_ref(),
            Record::Anchoring { owed, .. }
            | Record::Disputed { owed, .. }
            | Record::Funding { owed, .. }
            | Record::Approving { owed, .. }
            | Record::Redeeming { owed, .. }
            | Record::Bonding { owed, .. }
            | Record::Reclaiming { owed, .. } => Some(owed),
            _ => None,
        }
    }
}
