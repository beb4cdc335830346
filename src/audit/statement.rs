//! What audit says of one session.

use super::Problem;
use crate::message::Paced;
use crate::record::End;
use crate::terms::{InEscrow, Method, Purpose, Rate, Role, SessionId, Void};
use sdpp_ledger::{
    Account, Amount, Anchor, Asset, Claim, Digest, Evidence, LedgerId, PublicKey, Reference,
    Transfer, TxId,
};
use std::sync::Arc;

/// One session's statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The session.
    pub session: SessionId,
    /// When it began, in milliseconds since 1970 UTC.
    pub began_ms: u64,
    /// When its last entry was written, likewise.
    pub last_ms: u64,
    /// Which side this journal is.
    pub role: Role,
    /// The seller's key.
    pub seller: PublicKey,
    /// The buyer's key.
    pub buyer: PublicKey,
    /// What was sold.
    pub topic: String,
    /// Where the seller keeps its records.
    pub records: Option<LedgerId>,
    /// K, as it was ordered.
    pub granularity: u32,
    /// The changes of pace that both have signed.
    pub paces: Vec<Paced>,
    /// What a seller lost with its process and both have signed to be void: these places hold no item.
    pub voids: Vec<Void>,
    /// The root of the dataset that all items are of, where the menu named one: the buyer held each item
    /// against it as it came.
    pub dataset: Option<Digest>,
    /// The items that were not of it, and were not taken.
    pub strays: Vec<u64>,
    /// Items that were invoiced.
    pub items_delivered: u64,
    /// Items that the buyer's signature says arrived.
    pub items_acked: u64,
    /// Windows that were invoiced.
    pub windows: u64,
    /// Those whose root and running digest were computed again from their leaves: not all have
    /// any.
    pub windows_recomputed: u64,
    /// Invoices that are in another currency than prices and do not say the rate.
    pub unrated: u64,
    /// The legs before the last, in their order: most sessions have none.
    pub earlier: Vec<LegStatement>,
    /// The leg that is on, or was at the end: most sessions have this one alone.
    pub last: LegStatement,
    /// How the session stands.
    pub state: State,
    /// The payload of so many entries was pruned. Their signatures, amounts and roots were checked
    /// as ever; the rest of their data, the items that their payments acknowledge, and the leaves
    /// under the roots could not be.
    pub pruned: u64,
    /// Each transaction that paid, or should have.
    pub settlements: Vec<Settlement>,
    /// Each anchor that we owe.
    pub anchors: Vec<AnchorLine>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// A stretch of a session that is paid in one currency, by one method, at one rate. Amounts are in
/// that currency's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegStatement {
    /// Its first item.
    pub from_seq: u64,
    /// The currency's name.
    pub currency: String,
    /// Its decimals.
    pub decimals: u8,
    /// How it is paid.
    pub method: Method,
    /// The ledger that it lives on.
    pub ledger: LedgerId,
    /// What the currency is there.
    pub asset: Asset,
    /// Who is paid.
    pub payee: Account,
    /// The price of one item, in the smallest unit of the menu's default currency.
    pub price: Amount,
    /// The currency's units for one of the default currency's.
    pub rate: Rate,
    /// The channel that it draws on, where it is paid by escrow and the session has begun.
    pub escrow: Option<InEscrow>,
    /// Its items that were invoiced.
    pub items_delivered: u64,
    /// Its items that the buyer's signature says arrived.
    pub items_acked: u64,
    /// What those cost.
    pub acked_amount: Amount,
    /// What was invoiced when.
    pub invoices: Vec<Invoiced>,
    /// What was invoiced: less what was credited, as far as a window was left for it.
    pub invoiced: Amount,
    /// What the seller credited, and the buyer has signed.
    pub credited: Amount,
    /// What of that no window was left for: the seller owes it to the buyer.
    pub credit_left: Amount,
    /// What was paid, by the buyer's signed word.
    pub paid: Amount,
    /// What is in hand for good: final on the ledger, or under a voucher that the channel covers.
    pub settled: Amount,
    /// What is invoiced and not settled.
    pub outstanding: Amount,
    /// What its channel paid out for it on the ledger, in order.
    pub payouts: Vec<Payout>,
}

impl LegStatement {
    /// What the buyer's signature says arrived and no invoice asks for yet.
    pub fn acked_not_invoiced(&self) -> Amount {
        self.acked_amount.saturating_sub(self.invoiced)
    }
}

impl Statement {
    /// The other side's key.
    pub fn peer(&self) -> &PublicKey {
        if self.role == Role::Seller { &self.buyer } else { &self.seller }
    }

    /// All legs, in their order.
    pub fn legs(&self) -> impl DoubleEndedIterator<Item = &LegStatement> {
        self.earlier.iter().chain([&self.last])
    }

    pub(super) fn legs_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut LegStatement> {
        self.earlier.iter_mut().chain([&mut self.last])
    }

    /// The leg at a place among them, from 0.
    pub fn leg(&self, place: usize) -> &LegStatement {
        self.earlier.get(place).unwrap_or(&self.last)
    }

    /// Whether more than one currency, method or rate was agreed.
    pub fn has_legs(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// What only a ledger can tell: each final transaction and what it must hold.
    pub fn checks(&self) -> impl Iterator<Item = Check> {
        let paid = self.settlements.iter().filter(|line| !line.is_by_voucher).filter_map(|line| {
            let leg = self.leg(line.leg.into());
            let (to, asset) = (leg.payee.clone(), leg.asset.clone());
            let transfer = Transfer { to, asset, amount: line.amount, reference: line.reference };
            let told = line.evidence.as_ref().filter(|told| told.can_be_asked)?;
            let what = Expected::Paid(Claim { tx: told.tx.clone(), transfer });
            Some(Check::new(told, line.reference, &line.ledger, what))
        });
        let anchored = self.anchors.iter().filter_map(|line| {
            let told = line.evidence.as_ref().filter(|told| told.can_be_asked)?;
            let what = Expected::Anchored(told.tx.clone(), *told.stands.clone()?);
            Some(Check::new(told, line.reference, &line.ledger, what))
        });
        paid.chain(anchored)
    }
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No end is recorded: it runs, or its process died.
    Open,
    /// It ended.
    Ended(End),
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Ended(End::Complete) => "complete",
            State::Ended(End::Outstanding) => "outstanding",
            State::Ended(End::Broken) => "broken",
            State::Ended(End::Misconduct) => "misconduct",
            State::Ended(End::Refused) => "refused",
            State::Ended(End::Failed) => "failed",
        }
    }
}

/// A window's invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invoiced {
    /// When it is in the journal, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// How many items.
    pub items: u64,
    /// What they cost.
    pub amount: Amount,
}

/// What a ledger said of something that is final there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The entry that says so.
    pub entry: u64,
    /// When that was, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// The transaction.
    pub tx: TxId,
    /// Height of its block.
    pub height: u64,
    /// What it moved to the payee, by the ledger.
    pub amount: Amount,
    /// Its part of the transaction's fee, in the smallest unit of the ledger's own coin; `None`
    /// where the other side paid that. Where many share a transaction, each has the same part and
    /// the first ones one unit more, so that all parts make the fee.
    pub fee: Option<Amount>,
    /// Its part, likewise, of the deposits that the transaction had given back and that are taken
    /// off the fee; zero where the other side paid that.
    pub rebate: Amount,
    /// What stands on the ledger, where it is an anchor.
    pub stands: Option<Box<Anchor>>,
    /// The ledger can be asked for it.
    pub can_be_asked: bool,
}

impl Told {
    pub(super) fn new((entry, at_ms): (u64, u64), evidence: &Evidence, is_ours: bool) -> Self {
        Told {
            entry,
            at_ms,
            tx: evidence.tx.clone(),
            height: evidence.height,
            amount: evidence.amount,
            fee: is_ours.then_some(evidence.fee),
            rebate: if is_ours { evidence.rebate } else { Amount::ZERO },
            stands: None,
            can_be_asked: false,
        }
    }
}

/// A payment, or the redeeming of a voucher, and what the ledger said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// What it carries.
    pub reference: Reference,
    /// What it is for.
    pub purpose: Purpose,
    /// Where.
    pub ledger: Arc<LedgerId>,
    /// How much: a voucher's is what its channel pays in all.
    pub amount: Amount,
    /// How many items a transfer pays for.
    pub items: u64,
    /// When it was final or else invoiced, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// The place of its leg among the session's.
    pub leg: u16,
    /// It redeems a voucher.
    pub is_by_voucher: bool,
    /// What the ledger said, once it is final.
    pub evidence: Option<Told>,
    /// Why it will never happen.
    pub refused: Option<Box<str>>,
}

/// What a channel paid out for one session in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    /// When the journal learnt that it is final, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// The transaction.
    pub tx: TxId,
    /// What it redeems, where this side does.
    pub reference: Option<Reference>,
    /// What the session had out of its channel before it.
    pub before: Amount,
    /// What it had after it.
    pub after: Amount,
    /// Its part of the fee, in the smallest unit of the ledger's own coin, where this side paid it.
    pub fee: Option<Amount>,
}

/// An anchor that we owe for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorLine {
    /// The record's reference.
    pub reference: Reference,
    /// What the record is.
    pub purpose: Purpose,
    /// Where.
    pub ledger: Arc<LedgerId>,
    /// What the ledger said, once it is final.
    pub evidence: Option<Told>,
    /// Why it will never happen.
    pub refused: Option<Box<str>>,
    /// The record that it is for is in the journal, and it holds that record's digest.
    pub ok: bool,
}

/// Something to be read back from a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The entry that says so.
    pub entry: u64,
    /// What was owed.
    pub reference: Reference,
    /// The ledger.
    pub ledger: Arc<LedgerId>,
    /// What must be there.
    pub what: Expected,
}

impl Check {
    fn new(told: &Told, reference: Reference, ledger: &Arc<LedgerId>, what: Expected) -> Self {
        Check { entry: told.entry, reference, ledger: Arc::clone(ledger), what }
    }
}

/// What must be on a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// This transaction holds this anchor.
    Anchored(TxId, Anchor),
    /// This transaction makes this transfer.
    Paid(Claim),
}
