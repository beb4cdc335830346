//! What a buyer has spent since some moment, ledger by ledger and asset by asset: the invoices that it
//! has accepted since then, paid or still on their way, and what a session that ended since then had vouched
//! beyond its invoices. Fees do not count, nor what lies in channels and is not vouched.

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
    /// What each leg came to, by its place.
    legs: BTreeMap<usize, Amount>,
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
                let Some(agreement) = &session.agreement else { return Ok(()) };
                let place = agreement.agreed().leg_place(*to_seq);
                self.comes_to(session, entry.at_ms, place, message.amount_total);
            }
            Record::Spent { channel, amount, .. } => {
                let Some(agreement) = &session.agreement else { return Ok(()) };
                let escrows = agreement.agreed().legs().map(|leg| leg.escrow).enumerate();
                let its = escrows.filter_map(|(place, escrow)| Some((place, escrow?)));
                // What a channel's earlier legs had vouched is the last one's base.
                let last = its.filter(|(_, escrow)| escrow.channel == *channel).last();
                if let Some((place, escrow)) = last {
                    self.comes_to(session, entry.at_ms, place, amount.saturating_sub(escrow.base));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A leg of a session comes to so much in all.
    fn comes_to(&mut self, session: &mut OfSession, at_ms: u64, place: usize, total: Amount) {
        let leg = session.agreement.iter().find_map(|one| one.agreed().legs().nth(place));
        let Some(currency) = leg.map(|leg| &leg.currency) else { return };
        let counted = session.legs.entry(place).or_default();
        let more = total.saturating_sub(*counted);
        *counted = total.max(*counted);
        if at_ms < self.since_ms {
            return;
        }
        let sum = self.sums.entry((currency.ledger.clone(), currency.asset.clone())).or_default();
        // Nobody has spent more than there can be.
        *sum = sum.checked_add(more).unwrap_or(Amount::new(u128::MAX));
    }
}
