//! A session as both sides signed it, and where the money of one of its legs is.

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::journal::Reader;
use crate::message::{Agreement, reread_terms};
use crate::record::Record;
use crate::terms::{Role, SessionId, Terms};
use sdpp_ledger::PublicKey;

/// A session that something is to be done about.
pub(super) struct Case {
    /// Which side we are.
    pub(super) role: Role,
    /// The other side's key.
    pub(super) peer: PublicKey,
    /// What both signed, with what is paid in the leg that this is about, and how.
    pub(super) terms: Terms,
}

impl Case {
    /// A leg of the session as the journal has it, by its number from 1; the last, where none is named.
    pub(super) fn find(reader: &Reader, session: &SessionId, leg: Option<usize>) -> Outcome<Case> {
        let unknown = || Failure::usage(format!("the journal has no session {session}"));
        let known = reader.session(session)?.ok_or_else(unknown)?;
        let entry = reader.entry(known.first_seq)?.ok_or_else(unknown)?;
        let Record::Order { role, peer, menu, order, .. } = entry.record else {
            return Err(Failure::new(Exit::Wrong, format!("session {session} has no order")));
        };
        let (_, _, terms) =
            reread_terms(&menu, &order).map_err(|why| Failure::new(Exit::Wrong, why))?;
        let agreement = followed(reader, session, &terms)?;
        let mut legs = agreement.agreed().legs();
        let found = match leg {
            Some(number) => number.checked_sub(1).and_then(|place| legs.nth(place)),
            None => legs.next_back(),
        };
        let none = || Failure::usage(format!("session {session} has no such leg"));
        let leg = found.ok_or_else(none)?;
        let (price, currency, escrow) = (leg.price, leg.currency.clone(), leg.escrow);
        Ok(Case { role, peer, terms: Terms { price, currency, escrow, ..terms } })
    }
}

/// What both have agreed to change. What is no amend under it is for an audit to name.
fn followed(reader: &Reader, session: &SessionId, terms: &Terms) -> Outcome<Agreement> {
    let mut agreement = Agreement::new(terms);
    reader.each_session_entry(session, |entry| {
        if let Record::Amend { by, message } = &entry.record {
            let _ = agreement.take(*by, message);
        }
    })?;
    Ok(agreement)
}
