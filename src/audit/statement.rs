//! What audit says of one session.

use super::Problem;
use crate::record::End;
use crate::terms::{InEscrow, Method, Purpose, Role, SessionId};
use sdpp_ledger::{Account, Amount, Anchor, Claim, Evidence, LedgerId, PublicKey, Reference};

/// One session's statement. Amounts are in the currency's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The session.
    pub session: SessionId,
    /// When it began, in milliseconds since 1970 UTC.
    pub began_ms: u64,
    /// Which side this journal is.
    pub role: Role,
    /// The seller's key.
    pub seller: PublicKey,
    /// The buyer's key.
    pub buyer: PublicKey,
    /// What was sold.
    pub topic: String,
    /// The currency's name.
    pub currency: String,
    /// Its decimals.
    pub decimals: u8,
    /// How it is paid.
    pub method: Method,
    /// The ledger that it lives on.
    pub ledger: LedgerId,
    /// Who is paid.
    pub payee: Account,
    /// The channel that it draws on, where it is paid by escrow and has begun.
    pub escrow: Option<InEscrow>,
    /// Where the seller keeps its records.
    pub records: Option<LedgerId>,
    /// K.
    pub granularity: u32,
    /// Items that were invoiced.
    pub items_delivered: u64,
    /// Items that the buyer's signature says arrived.
    pub items_acked: u64,
    /// Windows that were invoiced.
    pub windows: u64,
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
    /// How the session stands.
    pub state: State,
    /// Each transaction that paid, or should have.
    pub settlements: Vec<Settlement>,
    /// Each anchor that we owe.
    pub anchors: Vec<AnchorLine>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What only a ledger can tell.
    pub checks: Vec<Check>,
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

/// A payment, or the redeeming of a voucher, and what the ledger said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// What it carries.
    pub reference: Reference,
    /// What it is for.
    pub purpose: Purpose,
    /// How much.
    pub amount: Amount,
    /// What the ledger said, once it is final.
    pub evidence: Option<Evidence>,
    /// Why it will never happen.
    pub refused: Option<String>,
}

/// An anchor that we owe for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorLine {
    /// The record's reference.
    pub reference: Reference,
    /// What the record is.
    pub purpose: Purpose,
    /// What the ledger said, once it is final.
    pub evidence: Option<Evidence>,
    /// Why it will never happen.
    pub refused: Option<String>,
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
    pub ledger: LedgerId,
    /// What must be there.
    pub what: Expected,
}

/// What must be on a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// This transaction holds this anchor.
    Anchored(sdpp_ledger::TxId, Anchor),
    /// This transaction makes this transfer.
    Paid(Claim),
}
