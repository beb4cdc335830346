//! What items cost under the terms and the credit notes. All money of a verdict is counted here.

use super::case::{Case, Signed};
use super::verdict::{Misdeed, Offence};
use crate::crypto::layout::MessageKind;
use crate::message::{Agreement, Amend, Change, Word, reread};
use crate::record::SignedMessage;
use crate::terms::{Role, Terms};
use sdpp_ledger::{Amount, Digest};
use std::collections::BTreeMap;

/// What items cost.
pub(super) struct Price<'a> {
    terms: &'a Terms,
    agreement: Agreement,
    credited: Amount,
}

impl<'a> Price<'a> {
    /// By the terms, and by what was signed of credits; with what is wrong with that.
    pub(super) fn of(case: &'a Case<'a>) -> (Price<'a>, Vec<Misdeed>) {
        let (agreement, credited) = (Agreement::default(), Amount::ZERO);
        let mut price = Price { terms: &case.terms, agreement, credited };
        let mut misdeeds = Vec::new();
        let mut refused: BTreeMap<u64, &Signed<'_>> = BTreeMap::new();
        for answer in case.of(MessageKind::Amend, Role::Buyer).filter(|one| is_refusal(one)) {
            refused.insert(answer.message.number, answer);
        }
        // The buyer's answer is the very words that the seller has proposed, under its own signature.
        let answers = |note: &Signed<'_>| {
            let digest = note.paper.digest;
            case.of(MessageKind::Amend, Role::Buyer).find(move |one| one.paper.digest == digest)
        };
        for note in case.of(MessageKind::Amend, Role::Seller) {
            match price.agreement.take(&case.terms, Role::Seller, note.message) {
                // It follows on what was agreed before, and who brings it may have left that out.
                Err(why) if case.hears(Role::Seller) => misdeeds.push(blame(note, &why)),
                Err(_) => {}
                Ok(Word::Proposed) => {
                    let (answer, refusal) = (answers(note), refused.get(&note.message.number));
                    if let (Some(answer), Some(refusal)) = (answer, refusal) {
                        let why = format!(
                            "agreed to credit note {0} and refused it",
                            note.message.number
                        );
                        let mut misdeed = blame(answer, &why);
                        misdeed.proven_by.push(refusal.paper.clone());
                        misdeeds.push(misdeed);
                    }
                    price.settle(note, answer, refusal.is_some());
                }
                Ok(Word::Agreed | Word::Other) => {}
            }
        }
        (price, misdeeds)
    }

    /// A note changes prices once both have signed it, and binds the seller before: unless the buyer
    /// has refused it.
    fn settle(&mut self, note: &Signed<'_>, answer: Option<&Signed<'_>>, is_refused: bool) {
        if is_refused {
            return;
        }
        self.credited = self.credited.max(note.message.amount_total);
        if let Some(answer) = answer {
            // The same words under the buyer's signature: the agreement has checked them before.
            let _ = self.agreement.take(self.terms, Role::Buyer, answer.message);
        }
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
        self.agreement.credits().owed_for(self.terms, items)
    }

    /// The same without any credit.
    pub(super) fn gross(&self, items: u64) -> Option<Amount> {
        self.owed(items).and(self.terms.owed_for(items))
    }

    /// The first seq of a window, and the last that it can have.
    pub(super) fn window(&self, number: u64) -> Option<(u64, u64)> {
        let size = u64::from(self.terms.granularity);
        let first = number.checked_sub(1)?.checked_mul(size)?.checked_add(1)?;
        let last = first.checked_add(size - 1)?;
        let last = self.terms.quantity.map_or(last, |quantity| last.min(quantity));
        (first <= last).then_some((first, last))
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

/// A buyer's word that it does not take a credit note. Where its words were pruned, or too long to be
/// kept, its layout says so: nothing else that a buyer signs commits to nothing.
fn is_refusal(one: &Signed<'_>) -> bool {
    let SignedMessage { data, commitment, amount_total, .. } = one.message;
    if data.is_none() {
        return (*commitment, *amount_total) == (Digest::ZERO, Amount::ZERO);
    }
    let body = reread::<Amend>(one.message);
    body.is_ok_and(|body| body.by == Role::Seller && matches!(body.change, Change::Refused(_)))
}

fn blame(one: &Signed<'_>, why: &str) -> Misdeed {
    let (by, what) = (one.paper.signed_by, Offence::WrongCredit);
    Misdeed { by, what, why: format!("in its amend: {why}"), proven_by: vec![one.paper.clone()] }
}
