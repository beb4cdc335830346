//! `amend`: a change inside a session, in force once both sides have signed the same bytes; and the
//! buyer's request for one. What can change: what items cost (a credit note), how many make a window
//! and may be unpaid (a pace), what they are paid in (a leg), and that some are lost and not billed (a
//! void).

use crate::crypto::layout::MessageKind;
use crate::message::envelope::{Body, Facts};
use crate::message::menu::CurrencyOffer;
use crate::message::order::EscrowChoice;
use crate::message::text::Base64;
use crate::terms::{CREDITED_ITEMS_MAX, InEscrow, Method, Pace, PaceReason, Role, Void};
use sdpp_ledger::{Account, Amount, Digest, merkle};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `data` of an `amend`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amend {
    /// From 1 without gaps, for each side's own; an answer has that of what it answers.
    pub number: u64,
    /// Whose number this is: who proposed the change or asked for it.
    pub by: Role,
    /// The first item that a change is in force for; zero in what asks for a credit note, and
    /// in the answer to any request.
    pub from_seq: u64,
    /// What changes.
    pub change: Change,
}

/// What an `amend` is about: on the wire an object with the one key that names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
#[allow(clippy::large_enum_variant, reason = "one is read at a time, and seldom")]
pub enum Change {
    /// Seller: items cost less than was agreed.
    Credit(CreditNote),
    /// Buyer: asks for a credit note, with the proof of the item.
    Ask(Ask),
    /// Seller: windows are of another size, or others may be unpaid.
    Pace(PaceChange),
    /// Seller: what follows is paid otherwise.
    Leg(LegChange),
    /// Buyer: asks for that.
    AskLeg(AskLeg),
    /// Seller: what left before it was started anew and cannot leave again is not billed.
    Void(VoidChange),
    /// The answer of who does not agree. Nothing changes.
    Refused(Refused),
    /// A change of a later version: it is refused.
    Unknown,
}

/// A seller's signed correction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNote {
    /// How much is credited by this note, in the currency's smallest unit; not zero.
    pub amount: Amount,
    /// All that was credited in this session, this note included.
    pub total: Amount,
    /// The items that it is for, each once, in their order.
    pub items: Vec<u64>,
    /// What is wrong with them.
    pub reason: Complaint,
    /// The number of the buyer's request that it grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<u64>,
}

/// A buyer's request, and the proof that the item is one that it was invoiced for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The item.
    pub seq: u64,
    /// What is wrong with it.
    pub reason: Complaint,
    /// How much is asked for, in the currency's smallest unit; left out, what the item costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// The item as it was opened, sealed again: it is nobody else's business, in a journal neither.
    pub body: Base64,
    /// Its salted digest.
    pub leaf: Digest,
    /// The number of the invoice that it stands under.
    pub invoice: u64,
    /// That the leaf stands under that invoice's root.
    pub proof: merkle::Proof,
}

/// Another K or W.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceChange {
    /// Both, from here on.
    #[serde(flatten)]
    pub pace: Pace,
    /// Why.
    pub why: PaceReason,
}

/// Another currency, method, rate or price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegChange {
    /// What is paid from here on, at which rate.
    pub currency: CurrencyOffer,
    /// The price of one item, in the default currency's smallest unit.
    pub price: Amount,
    /// The channel, where the method is escrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<EscrowChoice>,
    /// Why.
    pub why: LegReason,
    /// The number of the buyer's request that it grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<u64>,
}

/// A buyer's request to pay otherwise from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskLeg {
    /// The currency's name in the menu.
    pub currency: String,
    /// How it would be paid.
    pub method: Method,
    /// The buyer's account there, which payments come from.
    pub address: Account,
    /// The channel, where the method is escrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<EscrowChoice>,
    /// Why.
    pub why: LegReason,
}

/// Places that hold no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidChange {
    /// The last of them; the first is what the amend is in force from.
    pub to_seq: u64,
}

/// What moves a session to another leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegReason {
    /// The paying ledger does not make payments final.
    Stalled,
    /// A payment there costs more than it may.
    Dear,
    /// The rate that was agreed is no longer offered.
    Rate,
}

/// Why there is no such change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For people.
    pub why: String,
}

/// What is wrong with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Complaint {
    /// It stands for a reading that is not there.
    Lost,
    /// It came too late to be of use.
    Late,
    /// It is not true.
    Wrong,
}

impl CreditNote {
    /// Whether this is the next credit note where `before` was credited so far.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn check(&self, from_seq: u64, before: Amount) -> Result<(), String> {
        if self.items.is_empty() || self.items.len() > CREDITED_ITEMS_MAX {
            return Err(format!("it is for 1 to {CREDITED_ITEMS_MAX} items"));
        }
        let is_ordered = self.items.is_sorted_by(|one, next| one < next);
        let is_before = self.items.iter().all(|seq| (1..from_seq).contains(seq));
        if !is_ordered || !is_before {
            return Err("its items do not stand in their order before it".to_owned());
        }
        if self.amount == Amount::ZERO || before.checked_add(self.amount) != Some(self.total) {
            let (amount, total) = (self.amount, self.total);
            return Err(format!("{before} and {amount} are not {total}"));
        }
        Ok(())
    }
}

impl LegChange {
    /// Whether it can be the next leg's: it names a channel exactly when that is how it is paid, and
    /// its rate is what its quote says.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.escrow.is_some() != (self.currency.method == Method::Escrow) {
            return Err("it names a channel exactly when its method is escrow".to_owned());
        }
        match self.currency.is_as_quoted() {
            true => Ok(()),
            false => Err("its rate is not what its quote says".to_owned()),
        }
    }

    /// The channel as terms have it.
    pub fn in_escrow(&self) -> Option<InEscrow> {
        self.escrow.as_ref().map(EscrowChoice::in_escrow)
    }
}

impl VoidChange {
    /// The places that are void, where the amend is in force from this item on.
    pub fn places(&self, from_seq: u64) -> Void {
        Void { from_seq, to_seq: self.to_seq }
    }
}

impl fmt::Display for LegReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            LegReason::Stalled => "stalled",
            LegReason::Dear => "dear",
            LegReason::Rate => "rate",
        })
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Complaint::Lost => "lost",
            Complaint::Late => "late",
            Complaint::Wrong => "wrong",
        })
    }
}

impl Amend {
    /// What the signed layout has as commitment of a change that is in force from an item on: its
    /// seq, as 32 bytes. So the layout alone says from where on how much is credited.
    pub fn commitment(from_seq: u64) -> Digest {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&from_seq.to_be_bytes());
        Digest(word)
    }
}

impl Body for Amend {
    const KIND: MessageKind = MessageKind::Amend;

    fn facts(&self) -> Facts {
        let from_seq = Amend::commitment(self.from_seq);
        let (commitment, amount_total) = match &self.change {
            Change::Credit(credit) => (from_seq, credit.total),
            Change::Ask(ask) => (ask.leaf, Amount::ZERO),
            Change::Refused(_) => (Digest::ZERO, Amount::ZERO),
            Change::Pace(_)
            | Change::Leg(_)
            | Change::AskLeg(_)
            | Change::Void(_)
            | Change::Unknown => (from_seq, Amount::ZERO),
        };
        Facts { number: self.number, commitment, amount_total }
    }
}

/// A change as it is written: one of these keys. A key of a later version is none of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credit: Option<CreditNote>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ask: Option<Ask>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pace: Option<PaceChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leg: Option<LegChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ask_leg: Option<AskLeg>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    void: Option<VoidChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

impl TryFrom<Written> for Change {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { credit, ask, pace, leg, ask_leg, void, refused } = written;
        let all = [
            credit.map(Change::Credit),
            ask.map(Change::Ask),
            pace.map(Change::Pace),
            leg.map(Change::Leg),
            ask_leg.map(Change::AskLeg),
            void.map(Change::Void),
            refused.map(Change::Refused),
        ];
        let mut written = all.into_iter().flatten();
        match (written.next(), written.next()) {
            (None, _) => Ok(Change::Unknown),
            (Some(change), None) => Ok(change),
            (Some(_), Some(_)) => Err("a change is one thing, not several"),
        }
    }
}

impl From<Change> for Written {
    fn from(change: Change) -> Self {
        let none = Written::default();
        match change {
            Change::Credit(credit) => Written { credit: Some(credit), ..none },
            Change::Ask(ask) => Written { ask: Some(ask), ..none },
            Change::Pace(pace) => Written { pace: Some(pace), ..none },
            Change::Leg(leg) => Written { leg: Some(leg), ..none },
            Change::AskLeg(ask) => Written { ask_leg: Some(ask), ..none },
            Change::Void(void) => Written { void: Some(void), ..none },
            Change::Refused(refused) => Written { refused: Some(refused), ..none },
            Change::Unknown => none,
        }
    }
}
