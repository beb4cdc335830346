//! What both sides of a session have agreed to change, from their signed words alone. Sessions,
//! audits and judges all follow amends by this, and no other way.

use super::amend::{Amend, Change, CreditNote, LegChange, PaceChange, VoidChange};
use super::envelope::reread;
use crate::crypto::layout::MessageKind;
use crate::message::{InvoicePace, InvoiceRate, Menu, Quote};
use crate::record::SignedMessage;
use crate::terms::{Agreed, Currency, Role, Terms, Void};
use sdpp_ledger::{Amount, Digest};

/// The amends of a session as far as they were followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    agreed: Agreed,
    /// The number of the last change that was proposed.
    number: u64,
    proposed: Option<Proposed>,
    paces: Vec<Paced>,
    quotes: Vec<(u64, Option<Quote>)>,
}

/// A change of pace that both have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paced {
    /// The first item that it is in force for.
    pub from_seq: u64,
    /// The number of its amend.
    pub amend: u64,
    /// What it said.
    pub change: PaceChange,
}

/// A change that waits for the buyer's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Proposed {
    /// The digest of its signed layout.
    digest: Digest,
    number: u64,
    from_seq: u64,
    proposal: Proposal,
}

/// What a seller can propose.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Proposal {
    Credit {
        /// All credits of the leg that is on, this one included.
        total: Amount,
    },
    Pace(PaceChange),
    Leg(Box<LegChange>),
    Void(VoidChange),
}

/// What an `amend` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The seller has proposed a change.
    Proposed,
    /// The buyer has signed the very same: from here on it counts.
    Agreed,
    /// The same, and by it these places hold no item: what was asked for them is not owed.
    Voided(Void),
    /// Nothing changes by it: a request, or a refusal.
    Other,
}

impl Agreement {
    /// Nothing is changed yet.
    pub fn new(terms: &Terms) -> Self {
        let agreed = Agreed::new(terms);
        Agreement { agreed, number: 0, proposed: None, paces: Vec::new(), quotes: Vec::new() }
    }

    /// The terms, and what both have signed since.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// The last change of pace, and the number of its amend; `None` while the menu's holds.
    pub fn pace(&self) -> Option<(u64, PaceChange)> {
        self.paces.last().map(|paced| (paced.amend, paced.change))
    }

    /// All changes of pace, in their order.
    pub fn paces(&self) -> &[Paced] {
        &self.paces
    }

    /// The change of pace that is in force for an item; `None` where the menu's pace is. The last word
    /// for one item holds.
    pub fn paced(&self, seq: u64) -> Option<&Paced> {
        self.paces.iter().rev().find(|paced| paced.from_seq <= seq)
    }

    /// What an invoice says of the pace of the window that begins with an item: nothing while the
    /// menu's holds.
    pub fn invoice_pace(&self, seq: u64) -> Option<InvoicePace> {
        self.paced(seq)
            .map(|Paced { amend, change, .. }| InvoicePace { amend: *amend, change: *change })
    }

    /// What an invoice says of the rate of that window: nothing where it is in the menu's default
    /// currency.
    pub fn invoice_rate(&self, menu: &Menu, seq: u64) -> Option<InvoiceRate> {
        let leg = self.agreed.leg(seq);
        let Currency { name, method, rate, .. } = &leg.currency;
        if *name == menu.default_currency {
            return None;
        }
        let ordered = || menu.currency(name, *method).and_then(|offer| offer.quote.as_ref());
        let quote = if leg.from_seq == 1 { ordered() } else { self.quote(seq) };
        Some(InvoiceRate { rate: *rate, quote: quote.cloned() })
    }

    /// The terms and the legs, and nothing else of it.
    pub fn into_agreed(self) -> Agreed {
        self.agreed
    }

    /// Where the rate of the leg comes from that an item stands in, where a change said so; the first
    /// leg's stands in the menu.
    pub fn quote(&self, seq: u64) -> Option<&Quote> {
        let begun = |(from_seq, _): &&(u64, Option<Quote>)| *from_seq <= seq;
        self.quotes.iter().rev().find(begun).and_then(|(_, quote)| quote.as_ref())
    }

    /// Takes the next signed word, in the order in which they were journaled. Of a credit note whose
    /// `data` is not kept any more, the signed layout says all that counts.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence; then nothing has changed.
    pub fn take(&mut self, by: Role, message: &SignedMessage) -> Result<Word, String> {
        let terms = self.agreed.terms();
        let key = if by == Role::Seller { &terms.seller } else { &terms.buyer };
        let is_of_session = (message.kind, message.session) == (MessageKind::Amend, terms.session);
        if !is_of_session || !message.is_by(key) {
            return Err(format!("this is no amend of the {by}'s in this session"));
        }
        match by {
            Role::Seller => self.propose(message),
            Role::Buyer => self.answer(message),
        }
    }

    fn propose(&mut self, message: &SignedMessage) -> Result<Word, String> {
        let number = message.number;
        let Some((from_seq, proposal)) = proposal_of(message)? else { return Ok(Word::Other) };
        if self.agreed.terms().bond.is_some() {
            let what = proposal.what();
            return Err(format!("{what} {number}: nothing is changed in a session under a bond"));
        }
        let wrong = |why: String| format!("{} {number}: {why}", proposal.what());
        if number <= self.number {
            return Err(wrong(format!("number {} was there already", self.number)));
        }
        if let Proposal::Credit { .. } = &proposal
            && let Some(note) = note_of(message)?
        {
            let credited = self.agreed.leg(from_seq).credited();
            note.check(from_seq, credited).map_err(wrong)?;
        }
        let mut then = self.agreed.clone();
        proposal.happen(&mut then, from_seq).map_err(wrong)?;
        self.number = number;
        self.proposed = Some(Proposed { digest: message.digest(), number, from_seq, proposal });
        Ok(Word::Proposed)
    }

    fn answer(&mut self, message: &SignedMessage) -> Result<Word, String> {
        let digest = message.digest();
        let Some(proposed) = self.proposed.take_if(|proposed| proposed.digest == digest) else {
            return Ok(Word::Other);
        };
        let Proposed { number, from_seq, proposal, .. } = proposed;
        proposal.happen(&mut self.agreed, from_seq)?;
        match proposal {
            Proposal::Credit { .. } => {}
            Proposal::Pace(change) => self.paces.push(Paced { from_seq, amend: number, change }),
            Proposal::Leg(change) => self.quotes.push((from_seq, change.currency.quote)),
            Proposal::Void(change) => return Ok(Word::Voided(change.places(from_seq))),
        }
        Ok(Word::Agreed)
    }
}

impl Proposal {
    fn happen(&self, agreed: &mut Agreed, from_seq: u64) -> Result<(), String> {
        match self {
            Proposal::Credit { total } => agreed.credit(from_seq, *total),
            Proposal::Pace(change) => agreed.change_pace(from_seq, change.pace),
            Proposal::Leg(change) => {
                change.check()?;
                let (price, currency) = (change.price, change.currency.currency());
                agreed.begin_leg(from_seq, price, currency, change.in_escrow())
            }
            Proposal::Void(change) => agreed.void(change.places(from_seq)),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Proposal::Credit { .. } => "credit note",
            Proposal::Pace(_) => "change of pace",
            Proposal::Leg(_) => "leg",
            Proposal::Void(_) => "void",
        }
    }
}

/// What a seller's word proposes, and from which item on. A credit note says it in its layout: only
/// that signs an amount.
fn proposal_of(message: &SignedMessage) -> Result<Option<(u64, Proposal)>, String> {
    let from_seq = message.from_seq();
    if message.amount_total != Amount::ZERO {
        let number = message.number;
        let from_seq = from_seq.ok_or_else(|| {
            format!("credit note {number}: it names no item that it is in force from")
        })?;
        return Ok(Some((from_seq, Proposal::Credit { total: message.amount_total })));
    }
    let (Some(from_seq), true) = (from_seq, message.data.is_some()) else { return Ok(None) };
    let body: Amend = reread(message).map_err(|error| error.to_string())?;
    Ok(match (body.by, body.change) {
        (Role::Seller, Change::Pace(change)) => Some((from_seq, Proposal::Pace(change))),
        (Role::Seller, Change::Leg(change)) => Some((from_seq, Proposal::Leg(change.into()))),
        (Role::Seller, Change::Void(change)) => Some((from_seq, Proposal::Void(change))),
        _ => None,
    })
}

/// The credit note in a seller's word, while its words are kept.
fn note_of(message: &SignedMessage) -> Result<Option<CreditNote>, String> {
    if message.data.is_none() {
        return Ok(None);
    }
    let body: Amend = reread(message).map_err(|error| error.to_string())?;
    match (body.by, body.change) {
        (Role::Seller, Change::Credit(note)) => Ok(Some(note)),
        _ => Err(format!("credit note {}: it is none", message.number)),
    }
}
