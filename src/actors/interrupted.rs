//! Sessions that a kill or a power cut left without an end. No connection survives its process,
//! so they are ended when it starts again: the records that waited for their end go out, and the
//! best vouchers that a seller holds are redeemed.

use crate::journal::{JournalError, Reader, Write};
use crate::message::{Agreement, reread_terms};
use crate::record::{Act, End, INTERRUPTED, Owed, Record};
use crate::terms::{Leg, Purpose, Role, SessionId, number_in_leg};
use sdpp_ledger::{Call, ChannelId, Domain, Ledger, LedgerId, Redeem};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The end of each session that has none, but of those that are left as they are. To be written before
/// any new session begins.
///
/// # Errors
/// As all of [`Reader`]'s methods.
pub fn ends(
    journal: &Reader,
    ledgers: &BTreeMap<LedgerId, Arc<dyn Ledger>>,
    is_left: impl Fn(&SessionId) -> bool,
) -> Result<Vec<Write>, JournalError> {
    let mut ends = Vec::new();
    for (id, session) in journal.open_sessions()?.into_iter().filter(|(id, _)| !is_left(id)) {
        ends.extend(of(journal, ledgers, id, session.role)?);
    }
    Ok(ends)
}

/// The end of one session, where it has none.
///
/// # Errors
/// As all of [`Reader`]'s methods.
pub fn end(
    journal: &Reader,
    ledgers: &BTreeMap<LedgerId, Arc<dyn Ledger>>,
    id: SessionId,
) -> Result<Vec<Write>, JournalError> {
    match journal.session(&id)? {
        Some(session) if session.ended.is_none() => of(journal, ledgers, id, session.role),
        _ => Ok(Vec::new()),
    }
}

fn of(
    journal: &Reader,
    ledgers: &BTreeMap<LedgerId, Arc<dyn Ledger>>,
    id: SessionId,
    role: Role,
) -> Result<Vec<Write>, JournalError> {
    let mut owed = match role {
        Role::Seller => redeem(journal, ledgers, id)?,
        Role::Buyer => Vec::new(),
    };
    let last = owed.pop().map(|(_, owed)| owed);
    let mut ends: Vec<Write> = owed
        .into_iter()
        .map(|(channel, owed)| {
            let record = Box::new(Record::Redeeming { channel, owed });
            Write::Append { session: Some(id), record }
        })
        .collect();
    let why = INTERRUPTED.to_owned();
    let record = Record::Ended { end: End::Broken, why, evidence: Vec::new(), owed: last };
    ends.push(Write::Append { session: Some(id), record: Box::new(record) });
    Ok(ends)
}

/// What a seller's session has left behind that a kill ended.
#[derive(Default)]
struct Left {
    /// The best voucher on each of its channels, the first that was vouched on first.
    best: Vec<(Domain, Redeem)>,
    /// What was agreed, to know which leg a channel pays for.
    agreement: Option<Agreement>,
}

impl Left {
    fn take(&mut self, record: Record) {
        match record {
            Record::Order { menu, order, .. } => {
                let terms = reread_terms(&menu, &order).ok().map(|(_, _, terms)| terms);
                self.agreement = terms.as_ref().map(Agreement::new);
            }
            // What was wrong with a word changed nothing when it was said, either.
            Record::Amend { by, message } => {
                self.agreement.iter_mut().for_each(|known| drop(known.take(by, &message)));
            }
            // Each is larger than the one before.
            Record::Voucher { channel, domain, amount, signature } => {
                self.best.retain(|(_, redeem)| redeem.channel != channel);
                self.best.push((domain, Redeem { channel, amount, signature }));
            }
            _ => {}
        }
    }

    /// The place of the leg that a channel pays for.
    fn place(&self, channel: &ChannelId) -> usize {
        let agreed = self.agreement.as_ref().map(Agreement::agreed);
        let is_its = |leg: &Leg| leg.escrow.is_some_and(|escrow| escrow.channel == *channel);
        agreed.and_then(|agreed| agreed.legs().position(is_its)).unwrap_or_default()
    }
}

/// What the best voucher on each channel of a seller's session gives.
fn redeem(
    journal: &Reader,
    ledgers: &BTreeMap<LedgerId, Arc<dyn Ledger>>,
    session: SessionId,
) -> Result<Vec<(ChannelId, Owed)>, JournalError> {
    let mut left = Left::default();
    journal.each_session_entry(&session, |entry| left.take(entry.record))?;
    let owed = |(domain, redeem): &(Domain, Redeem)| {
        let is_its = |ledger: &&Arc<dyn Ledger>| {
            ledger.escrow().is_some_and(|escrow| escrow.domain() == domain)
        };
        let Some(ledger) = ledgers.values().find(is_its) else {
            tracing::error!(%session, "a voucher cannot be redeemed: its ledger is not in the config");
            return None;
        };
        let number = number_in_leg(left.place(&redeem.channel), 0);
        let owed = Owed {
            reference: session.reference(Purpose::Settle, number),
            purpose: Purpose::Settle,
            ledger: ledger.id().clone(),
            act: Act::Do(Call::Settle(redeem.clone())),
            held: false,
        };
        Some((redeem.channel, owed))
    };
    Ok(left.best.iter().filter_map(owed).collect())
}
