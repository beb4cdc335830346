//! What both sides have agreed to credit, by the journal.

use super::proof::Found;
use crate::message::{Agreement, Amend, Word};
use crate::record::SignedMessage;
use crate::terms::{Role, Terms};
use sdpp_ledger::Amount;

/// The credit notes of a session so far.
#[derive(Default)]
pub(super) struct Credited(Agreement);

impl Credited {
    /// Takes a signed word about a change, when so many items were invoiced.
    pub(super) fn take(
        &mut self,
        terms: &Terms,
        by: Role,
        message: &SignedMessage,
        invoiced: u64,
    ) -> Found {
        let from_seq = Amend::from_seq_of(&message.commitment).unwrap_or_default();
        match self.0.take(terms, by, message)? {
            Word::Agreed if from_seq <= invoiced => Err(format!(
                "the credit of {} is in force from item {from_seq}, and {invoiced} were invoiced",
                message.amount_total
            )),
            _ => Ok(()),
        }
    }

    /// What so many items cost, less what was credited.
    pub(super) fn owed_for(&self, terms: &Terms, items: u64) -> Option<Amount> {
        self.0.credits().owed_for(terms, items)
    }

    /// All that was credited; and how much of it no window was left for, when so many items were
    /// invoiced.
    pub(super) fn totals(&self, terms: &Terms, invoiced: u64) -> (Amount, Amount) {
        let credits = self.0.credits();
        let netted = credits.netted_by(terms, invoiced).unwrap_or_default();
        (credits.total(), credits.total().saturating_sub(netted))
    }
}
