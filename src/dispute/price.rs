//! What items cost under the terms and the credit notes. All money of a verdict is counted here.

use super::case::{Case, Signed};
use super::papers::SAME_MAX;
use super::verdict::{Misdeed, Offence};
use crate::crypto::layout::MessageKind;
use crate::message::{Agreement, Amend, Change, Word, reread};
use crate::terms::{AMENDS_MAX, Role, Terms};
use sdpp_ledger::{Amount, Digest};
use std::collections::BTreeMap;

/// What items cost.
pub(super) struct Price<'a> {
    terms: &'a Terms,
    agreement: Agreement,
    credited: Amount,
    /// What the seller asks must be exactly this: it was heard, and brings all credit notes; and the
    /// buyer has not both taken and refused one, so that the seller could have followed either.
    is_exact: bool,
}

impl<'a> Price<'a> {
    /// By the terms, and by what was signed of credits; with what is wrong with that.
    pub(super) fn of(case: &'a Case<'a>) -> (Price<'a>, Vec<Misdeed>) {
        let answers = Answers::of(case);
        let notes = answers.notes(case);
        let contradicts = |note: &&Signed<'_>| answers.agreed(note).zip(answers.refused(note));
        let is_exact = case.hears(Role::Seller) && notes.iter().find_map(contradicts).is_none();
        let (agreement, credited) = (Agreement::new(&case.terms), Amount::ZERO);
        let mut price = Price { terms: &case.terms, agreement, credited, is_exact };
        let mut misdeeds = Vec::new();
        for note in &notes {
            if let Some((answer, refusal)) = contradicts(note) {
                let number = note.message.number;
                let why = format!("agreed to credit note {number} and refused it");
                let mut misdeed = blame(answer, &why);
                misdeed.proven_by.push(refusal.paper.clone());
                misdeeds.push(misdeed);
            }
            match price.agreement.take(Role::Seller, note.message) {
                // It follows on what was agreed before, and who brings it may have left that out.
                Err(why) if is_exact => misdeeds.push(blame(note, &why)),
                Ok(Word::Proposed) if answers.refused(note).is_none() => {
                    price.settle(note, answers.agreed(note));
                }
                Err(_) | Ok(_) => {}
            }
        }
        (price, misdeeds)
    }

    /// A note changes prices once both have signed it, and binds the seller before: unless the buyer
    /// has refused it.
    fn settle(&mut self, note: &Signed<'_>, answer: Option<&Signed<'_>>) {
        self.credited = self.credited.max(note.message.amount_total);
        if let Some(answer) = answer {
            // The same words under the buyer's signature: the agreement has checked them before.
            let _ = self.agreement.take(Role::Buyer, answer.message);
        }
    }

    /// Whether what the seller asks must be exactly what this says.
    pub(super) fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// All that the seller has signed that it credits.
    pub(super) fn credited(&self) -> Amount {
        self.credited
    }

    /// What the first `items` items cost in all, net of the credits that both have signed. `None`
    /// beyond 128 bits, and beyond what was ordered.
    pub(super) fn owed(&self, items: u64) -> Option<Amount> {
        if self.terms.quantity.is_some_and(|quantity| items > quantity) {
            return None;
        }
        self.agreement.agreed().owed_for(items)
    }

    /// The same without any credit.
    pub(super) fn gross(&self, items: u64) -> Option<Amount> {
        self.owed(items).and(self.agreement.agreed().leg(items).price_of(items))
    }

    /// The first seq of a window, and the last that it can have.
    pub(super) fn window(&self, number: u64) -> Option<(u64, u64)> {
        self.agreement.agreed().window(number)
    }

    /// Where a window ends after which so much is owed in all; the last such item.
    pub(super) fn end_of(&self, number: u64, total: Amount) -> Option<u64> {
        let (first, last) = self.window(number)?;
        // What is owed never falls, so the last item that fits is found by halves.
        let (mut low, mut high) = (first, last);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match self.owed(middle) {
                Some(owed) if owed <= total => low = middle,
                _ => high = middle - 1,
            }
        }
        (self.owed(low) == Some(total)).then_some(low)
    }
}

/// What the buyer said to the seller's credit notes.
struct Answers<'p, 'a> {
    /// The very words that the seller has proposed, under the buyer's own signature; by digest.
    agreed: BTreeMap<Digest, &'p Signed<'a>>,
    /// By the note's number.
    refused: BTreeMap<u64, &'p Signed<'a>>,
}

impl<'p, 'a> Answers<'p, 'a> {
    fn of(case: &'p Case<'a>) -> Self {
        let (mut agreed, mut refused) = (BTreeMap::new(), BTreeMap::new());
        for answer in case.of(MessageKind::Amend, Role::Buyer) {
            agreed.insert(answer.paper.digest, answer);
            if is_refusal(answer) {
                refused.insert(answer.message.number, answer);
            }
        }
        Answers { agreed, refused }
    }

    fn agreed(&self, note: &Signed<'_>) -> Option<&'p Signed<'a>> {
        self.agreed.get(&note.paper.digest).copied()
    }

    fn refused(&self, note: &Signed<'_>) -> Option<&'p Signed<'a>> {
        self.refused.get(&note.message.number).copied()
    }

    /// The seller's credit notes in their order. Of some with one number, the one that the buyer has
    /// agreed to comes first: whoever signs another beside it takes nothing of it back. And no more
    /// than a session can have: whoever signs a flood of them takes nobody's time with it.
    fn notes(&self, case: &'p Case<'a>) -> Vec<&'p Signed<'a>> {
        let notes = case.of(MessageKind::Amend, Role::Seller);
        let is_note = |note: &&Signed<'_>| {
            note.message.amount_total > Amount::ZERO && note.message.number <= AMENDS_MAX
        };
        let mut notes: Vec<_> = notes.filter(is_note).collect();
        notes.sort_by_key(|note| (note.message.number, self.agreed(note).is_none()));
        let same = notes.chunk_by(|one, next| one.message.number == next.message.number);
        same.flat_map(|same| same.iter().copied().take(SAME_MAX)).collect()
    }
}

/// A buyer's word that it does not take a credit note. Where its words were pruned, the frame under
/// its signature has neither item nor amount, as nothing else of the buyer's has.
fn is_refusal(one: &Signed<'_>) -> bool {
    let message = one.message;
    if message.data.is_none() {
        return (message.commitment, message.amount_total) == (Digest::ZERO, Amount::ZERO);
    }
    let body = reread::<Amend>(message);
    body.is_ok_and(|body| body.by == Role::Seller && matches!(body.change, Change::Refused(_)))
}

fn blame(one: &Signed<'_>, why: &str) -> Misdeed {
    let (by, what) = (one.paper.signed_by, Offence::WrongCredit);
    Misdeed { by, what, why: format!("in its amend: {why}"), proven_by: vec![one.paper.clone()] }
}
