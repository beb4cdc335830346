//! What a buyer has spent since some moment, ledger by ledger and asset by asset: the invoices that it
//! has accepted since then, paid or still on their way. Fees do not count, nor what lies in channels
//! and is not vouched.

use crate::journal::Entry;
use crate::message::{Agreement, reread_terms};
use crate::record::Record;
use crate::terms::Role;
use sdpp_ledger::{Amount, Asset, LedgerId};
use std::collections::BTreeMap;

/// How long a day is, in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// When the day began, in UTC, that a moment is in. Both in milliseconds since 1970 UTC.
pub fn day_began_ms(now_ms: u64) -> u64 {
    now_ms - now_ms % DAY_MS
}

/// What was spent since a moment.
#[derive(Debug, Clone)]
pub struct Spent {
    since_ms: u64,
    sums: BTreeMap<(LedgerId, Asset), Amount>,
}

/// One session on its way through.
#[derive(Debug, Default)]
pub struct OfSession {
    agreement: Option<Agreement>,
    /// The place of the leg that was invoiced last, and what it came to.
    leg: (usize, Amount),
}

impl Spent {
    /// Nothing yet, since a moment in milliseconds since 1970 UTC.
    pub fn since(since_ms: u64) -> Self {
        Spent { since_ms, sums: BTreeMap::new() }
    }

    /// What was spent of an asset on a ledger, in its smallest unit.
    pub fn of(&self, ledger: &LedgerId, asset: &Asset) -> Amount {
        self.sums.get(&(ledger.clone(), asset.clone())).copied().unwrap_or_default()
    }

    /// Takes the next entry of one session; all of its entries, in their order, its order first.
    ///
    /// # Errors
    /// Why it cannot be counted, as a sentence.
    pub fn take(&mut self, session: &mut OfSession, entry: &Entry) -> Result<(), String> {
        match &entry.record {
            Record::Order { role: Role::Buyer, menu, order, .. } => {
                // Neither is ever pruned.
                let damaged = |why| format!("{why}: `sdpp journal verify` says what is damaged");
                let (_, _, terms) = reread_terms(menu, order).map_err(damaged)?;
                session.agreement = Some(Agreement::new(&terms));
            }
            Record::Amend { by, message } => {
                if let Some(agreement) = &mut session.agreement {
                    agreement.take(*by, message)?;
                }
            }
            Record::Invoice { message, to_seq, .. } => {
                self.invoice(session, entry.at_ms, message.amount_total, *to_seq);
            }
            _ => {}
        }
        Ok(())
    }

    fn invoice(&mut self, session: &mut OfSession, at_ms: u64, total: Amount, to_seq: u64) {
        let Some(agreement) = &session.agreement else { return };
        let agreed = agreement.agreed();
        let place = agreed.leg_place(to_seq);
        let (last, before) = session.leg;
        let before = if last == place { before } else { Amount::ZERO };
        session.leg = (place, total);
        if at_ms < self.since_ms {
            return;
        }
        let currency = &agreed.leg(to_seq).currency;
        let sum = self.sums.entry((currency.ledger.clone(), currency.asset.clone())).or_default();
        // Nobody has spent more than there can be.
        let more = total.saturating_sub(before);
        *sum = sum.checked_add(more).unwrap_or(Amount::new(u128::MAX));
    }
}
