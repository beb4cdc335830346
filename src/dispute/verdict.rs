//! What a judge says: a value. Its field names are those of `--json`; `tell.rs` puts it in
//! sentences. Amounts are in the currency's smallest unit. Where a session has several legs, what is
//! said outside of `legs` of a currency and of amounts is said of the last.

use crate::crypto::layout::MessageKind;
use crate::terms::{Method, Rate, Role, SessionId};
use sdpp_ledger::{
    Account, Amount, Asset, ChannelId, Digest, LedgerId, PublicKey, Reference, TxId,
};
use serde::Serialize;

/// The most misdeeds that are named one by one.
pub const MISDEEDS_MAX: usize = 100;

/// What a judge says of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The session.
    pub session: SessionId,
    /// The seller.
    pub seller: Party,
    /// The buyer.
    pub buyer: Party,
    /// Whose bundles were judged.
    pub heard: Vec<Role>,
    /// What both signed.
    pub trade: Trade,
    /// What the seller's invoices demand, as far as they fit what both signed.
    pub invoiced: Figure,
    /// What the buyer's signature says arrived.
    pub acknowledged: Figure,
    /// What the seller's signed credit notes take off it.
    pub credited: Amount,
    /// What is due for the items acknowledged, credits taken off.
    pub due: Amount,
    /// What the seller's signed receipts say was paid.
    pub receipted: Figure,
    /// What the seller itself, in its own bundle, says that its ledger paid beyond that.
    pub admitted: Amount,
    /// What the seller demands beyond what was acknowledged: not owed.
    pub unproven: Figure,
    /// Who owes whom, leg by leg. Empty where nobody can owe anything.
    pub debts: Vec<Debt>,
    /// What only a ledger can tell, and what it would change, leg by leg.
    pub unless: Vec<Condition>,
    /// Each leg by itself.
    pub legs: Vec<LegVerdict>,
    /// The best voucher, where the session is paid by escrow.
    pub voucher: Option<Vouched>,
    /// Who broke the rules, proven by signatures.
    pub misconduct: Vec<Misdeed>,
    /// How many misdeeds there are in all.
    pub misdeeds: u64,
    /// The first point at which the two stories part, where two bundles were judged.
    pub parting: Option<Parting>,
    /// Items that were disclosed.
    pub items: Vec<DisclosedItem>,
    /// The signed messages that decide.
    pub decided_by: Vec<Paper>,
    /// What else a reader must know.
    pub notes: Vec<String>,
}

/// What a judge says of one leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LegVerdict {
    /// Its first item.
    pub from_seq: u64,
    /// What is paid for an item, and how.
    pub pay: Pay,
    /// What the seller's invoices demand for it, as far as they fit what both signed.
    pub invoiced: Figure,
    /// What the buyer's signature says arrived of it.
    pub acknowledged: Figure,
    /// What the seller's signed credit notes take off it.
    pub credited: Amount,
    /// What is due for the items acknowledged, credits taken off.
    pub due: Amount,
    /// What the seller's signed receipts say was paid.
    pub receipted: Figure,
    /// What the seller itself, in its own bundle, says that its ledger paid beyond that.
    pub admitted: Amount,
    /// What the seller demands beyond what was acknowledged: not owed.
    pub unproven: Figure,
    /// Who owes whom.
    pub debts: Vec<Debt>,
    /// What only a ledger can tell, and what it would change.
    pub unless: Vec<Condition>,
    /// The best voucher, where it is paid by escrow.
    pub voucher: Option<Vouched>,
}

/// One party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Party {
    /// Its key, by menu and order.
    pub key: PublicKey,
    /// Whoever asked for the verdict knows that this is that party's key.
    pub identity_proven: bool,
}

/// What both signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trade {
    /// What was sold.
    pub topic: String,
    /// How many items were ordered; `None` for as many as there are.
    pub quantity: Option<u64>,
    /// K, as it was ordered.
    pub granularity: u32,
    /// What is paid for an item, and how.
    #[serde(flatten)]
    pub pay: Pay,
}

/// What is paid for an item, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pay {
    /// What one item costs, in the default currency's smallest unit.
    pub price: Amount,
    /// The currency's units for one of the default currency's.
    pub rate: Rate,
    /// What one item costs in the currency that is paid in, where that is a whole amount.
    pub item: Option<Amount>,
    /// The currency's name.
    pub currency: String,
    /// Its decimals.
    pub decimals: u8,
    /// How it is paid.
    pub method: Method,
    /// The ledger that it lives on.
    pub ledger: LedgerId,
    /// What it is there.
    pub asset: Asset,
    /// Who is paid.
    pub payee: Account,
    /// The channel, where it is paid by escrow.
    pub channel: Option<ChannelId>,
    /// What was vouched on it before this leg.
    pub base: Option<Amount>,
}

/// So many items for so much money, by the word of a signed message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// Items.
    pub items: u64,
    /// What they come to.
    pub amount: Amount,
    /// The message that says so.
    pub by: Option<Paper>,
}

/// Names a signed message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Paper {
    /// Who signed it.
    pub signed_by: Role,
    /// Which message.
    #[serde(rename = "message")]
    pub kind: MessageKind,
    /// Its number: of the invoice, or of the item that is acknowledged.
    pub number: u64,
    /// What is under the signature.
    pub digest: Digest,
}

/// Somebody owes somebody money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Debt {
    /// Who owes.
    pub by: Role,
    /// To whom.
    pub to: Role,
    /// The first item of the leg that it is owed for.
    pub from_seq: u64,
    /// The currency's name.
    pub currency: String,
    /// Its decimals.
    pub decimals: u8,
    /// How much, if none of the conditions holds (a buyer's debt), or all do (a seller's).
    pub at_most: Amount,
    /// How much in the other case.
    pub at_least: Amount,
}

/// What only a ledger can tell: that this much is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "if", rename_all = "snake_case")]
pub enum Condition {
    /// One of these transactions is final and makes this payment.
    Final {
        /// The first item of the leg.
        from_seq: u64,
        /// The window that it pays.
        window: u64,
        /// The ledger.
        ledger: LedgerId,
        /// Who must be paid.
        payee: Account,
        /// What it must carry.
        reference: Reference,
        /// How much it must pay.
        pays: Amount,
        /// How much less is owed then.
        amount: Amount,
        /// The transactions, any one of them.
        txs: Vec<TxId>,
        /// What the two sides say that the ledger said.
        said: Vec<Word>,
    },
    /// The channel pays out so much in all on the buyer's voucher.
    Channel {
        /// The first item of the leg.
        from_seq: u64,
        /// The ledger.
        ledger: LedgerId,
        /// The channel.
        channel: ChannelId,
        /// What it must pay out in all.
        pays: Amount,
        /// How much less is owed then.
        amount: Amount,
        /// What the two sides say that the ledger said.
        said: Vec<Word>,
    },
}

impl Condition {
    /// How much less is owed if it holds.
    pub fn amount(&self) -> Amount {
        match self {
            Condition::Final { amount, .. } | Condition::Channel { amount, .. } => *amount,
        }
    }
}

/// What one side says that a ledger said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Word {
    /// Whose word it is.
    pub word_of: Role,
    /// What it says.
    pub says: String,
}

/// The best voucher for this session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vouched {
    /// What the payee may have in all out of the channel.
    pub cumulative: Amount,
    /// What of it is this session's.
    pub worth: Amount,
    /// Its signature holds under the domain that the seller's bundle names; `false` where no bundle
    /// names one, or it does not: the escrow alone can tell.
    pub checked: bool,
}

/// Who broke which rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Misdeed {
    /// Who.
    pub by: Role,
    /// Which, for programs.
    pub what: Offence,
    /// Which, for people.
    pub why: String,
    /// The messages that prove it.
    pub proven_by: Vec<Paper>,
}

/// What can be proven of a party by signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Offence {
    /// Its bundle has a message whose signature is false, or that has no place there.
    FalseEvidence,
    /// It signed words that the frame under the signature does not bear out.
    Malformed,
    /// Two invoices with one number.
    DoubleInvoice,
    /// An invoice that is not what both had agreed.
    WrongInvoice,
    /// Two items for one place, or an item that is not under its invoiced root.
    OtherItem,
    /// A receipt for more than was ever paid, or for less than one before it.
    FalseReceipt,
    /// Two words for the same items.
    DoubleAck,
    /// An acknowledgement of items that were not ordered, or not sent.
    WrongAck,
    /// A payment that is not what was invoiced, or one transaction for two windows.
    WrongPayment,
    /// An exit that is not what its side had signed before.
    WrongExit,
    /// A credit note that is none under what both had agreed.
    WrongCredit,
    /// A change of pace or of leg that is none under what both had agreed, one that was agreed to and
    /// refused, or two under one number.
    WrongChange,
    /// An item that its own words do not show to be the one in its place of the dataset on the menu.
    StrayItem,
}

/// The first point at which two stories part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parting {
    /// The window, where it is about one.
    pub window: Option<u64>,
    /// What it is about.
    pub about: String,
    /// What the seller's bundle has.
    pub seller_says: String,
    /// What the buyer's bundle has.
    pub buyer_says: String,
    /// Who can prove its story by the other's signature; `None` where neither can.
    pub proven_for: Option<Role>,
}

/// An item that was disclosed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DisclosedItem {
    /// Its place in the session.
    pub seq: u64,
    /// The invoice whose root it stands under.
    pub invoice: u64,
    /// Its bytes, as far as they are legible text.
    pub text: Option<String>,
    /// Keccak-256 of its bytes.
    pub digest: Digest,
    /// It is what the seller signed for.
    pub proven: bool,
}
