//! Sessions that a kill or a power cut left without an end. No connection survives its process,
//! so they are ended when it starts again: the records that waited for their end go out, and the
//! best voucher that a seller holds is redeemed.

use crate::journal::{JournalError, Reader, Write};
use crate::record::{Act, End, INTERRUPTED, Owed, Record};
use crate::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{Call, Ledger, LedgerId, Redeem};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many rows are read at once.
const ROWS: usize = 64;

/// The end of each session that has none. To be written before any new session begins.
///
/// # Errors
/// As all of [`Reader`]'s methods.
pub fn ends(
    journal: &Reader,
    ledgers: &BTreeMap<LedgerId, Arc<dyn Ledger>>,
) -> Result<Vec<Write>, JournalError> {
    let (mut ends, mut after) = (Vec::new(), None);
    loop {
        let sessions = journal.sessions(after.as_ref(), ROWS)?;
        let Some((last, _)) = sessions.last() else { return Ok(ends) };
        after = Some(*last);
        for (id, session) in sessions.iter().filter(|(_, session)| session.ended.is_none()) {
            let owed = match session.role {
                Role::Seller => redeem(journal, ledgers, *id)?,
                Role::Buyer => None,
            };
            let why = INTERRUPTED.to_owned();
            let record = Record::Ended { end: End::Broken, why, evidence: Vec::new(), owed };
            ends.push(Write::Append { session: Some(*id), record: Box::new(record) });
        }
    }
}

/// What the best voucher of a seller's session gives. Each is larger than the one before.
fn redeem(
    journal: &Reader,
    ledgers: &BTreeMap<LedgerId, Arc<dyn Ledger>>,
    session: SessionId,
) -> Result<Option<Owed>, JournalError> {
    let (mut best, mut after) = (None, 0);
    loop {
        let entries = journal.session_entries(&session, after, ROWS)?;
        let Some(last) = entries.last() else { break };
        after = last.seq;
        for entry in entries {
            if let Record::Voucher { channel, domain, amount, signature } = entry.record {
                best = Some((domain, Redeem { channel, amount, signature }));
            }
        }
    }
    let Some((domain, redeem)) = best else { return Ok(None) };
    let is_its = |ledger: &&Arc<dyn Ledger>| {
        ledger.escrow().is_some_and(|escrow| *escrow.domain() == domain)
    };
    let Some(ledger) = ledgers.values().find(is_its) else {
        tracing::error!(%session, "a voucher cannot be redeemed: its ledger is not in the config");
        return Ok(None);
    };
    Ok(Some(Owed {
        reference: session.reference(Purpose::Settle, 0),
        purpose: Purpose::Settle,
        ledger: ledger.id().clone(),
        act: Act::Do(Call::Settle(redeem)),
        held: false,
    }))
}
