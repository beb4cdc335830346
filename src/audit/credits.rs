//! What both sides have agreed to change, by the journal.

use super::proof::Found;
use crate::message::{Agreement, Word};
use crate::record::SignedMessage;
use crate::terms::{Agreed, Role, Terms};
use sdpp_ledger::Amount;

/// The changes of a session so far.
#[derive(Default)]
pub(super) struct Credited(Option<Agreement>);

impl Credited {
    /// Takes a signed word about a change, when so many items were invoiced.
    pub(super) fn take(
        &mut self,
        terms: &Terms,
        by: Role,
        message: &SignedMessage,
        invoiced: u64,
    ) -> Found {
        let from_seq = message.from_seq().unwrap_or_default();
        match self.under(terms).take(by, message)? {
            Word::Agreed if from_seq <= invoiced => Err(format!(
                "what was agreed is in force from item {from_seq}, and {invoiced} were invoiced"
            )),
            _ => Ok(()),
        }
    }

    /// The terms, and what both have signed since.
    pub(super) fn agreed(&mut self, terms: &Terms) -> &Agreed {
        self.under(terms).agreed()
    }

    /// All that was credited in the leg that is on; and how much of it no window was left for, when
    /// so many items were invoiced.
    pub(super) fn totals(&mut self, terms: &Terms, invoiced: u64) -> (Amount, Amount) {
        let leg = self.agreed(terms).last_leg();
        let netted = leg.netted_by(invoiced).unwrap_or_default();
        (leg.credited(), leg.credited().saturating_sub(netted))
    }

    fn under(&mut self, terms: &Terms) -> &mut Agreement {
        self.0.get_or_insert_with(|| Agreement::new(terms))
    }
}
