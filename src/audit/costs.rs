//! What transactions cost that belong to no session: opening a channel, adding to it, getting back
//! what is left in it, giving leave.

use super::statement::Told;
use crate::journal::Entry;
use crate::record::{Act, Owed, Record};
use crate::terms::Purpose;
use sdpp_ledger::{Evidence, LedgerId, Reference};
use std::collections::HashMap;
use std::sync::Arc;

/// One of them, once it is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// What it carries.
    pub reference: Reference,
    /// What it is for.
    pub purpose: Purpose,
    /// Where.
    pub ledger: Arc<LedgerId>,
    /// What the ledger said.
    pub evidence: Told,
}

/// All of a journal.
#[derive(Default)]
pub(super) struct Costs {
    open: HashMap<Reference, Owed>,
    done: Vec<Cost>,
}

impl Costs {
    /// Takes the next entry.
    pub(super) fn take(&mut self, entry: &Entry) {
        if entry.session.is_some() {
            return;
        }
        if let Some(owed) = entry.record.owed().filter(|owed| matches!(owed.act, Act::Do(_))) {
            self.open.insert(owed.reference, owed.clone());
        }
        if let Record::Met { reference, evidence, .. } = &entry.record {
            self.done.extend(self.open.remove(reference).map(|owed| cost(entry, owed, evidence)));
        }
    }

    /// Those that are final, in their order.
    pub(super) fn finish(self) -> Vec<Cost> {
        self.done
    }
}

fn cost(entry: &Entry, owed: Owed, evidence: &Evidence) -> Cost {
    let Owed { reference, purpose, ledger, .. } = owed;
    let evidence = Told::new((entry.seq, entry.at_ms), evidence, true);
    Cost { reference, purpose, ledger: Arc::new(ledger), evidence }
}
