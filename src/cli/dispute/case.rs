//! A session as both sides signed it, and where the money of its kind is.

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::journal::Reader;
use crate::message::{Menu, Order, reread, terms};
use crate::record::{Record, SignedMessage};
use crate::terms::{Role, SessionId, Terms};
use sdpp_ledger::PublicKey;

/// A session that something is to be done about.
pub(super) struct Case {
    /// Which side we are.
    pub(super) role: Role,
    /// The other side's key.
    pub(super) peer: PublicKey,
    /// What both signed.
    pub(super) terms: Terms,
}

impl Case {
    /// The session as the journal has it.
    pub(super) fn find(reader: &Reader, session: &SessionId) -> Outcome<Case> {
        let unknown = || Failure::usage(format!("the journal has no session {session}"));
        let known = reader.session(session)?.ok_or_else(unknown)?;
        let entry = reader.entry(known.first_seq)?.ok_or_else(unknown)?;
        let Record::Order { role, peer, menu, order, .. } = entry.record else {
            return Err(Failure::new(Exit::Wrong, format!("session {session} has no order")));
        };
        let terms = agreed(&menu, &order).map_err(|why| Failure::new(Exit::Wrong, why))?;
        Ok(Case { role, peer, terms })
    }
}

fn agreed(menu: &SignedMessage, order: &SignedMessage) -> Result<Terms, String> {
    let read_menu: Menu = reread(menu).map_err(|error| error.to_string())?;
    let read_order: Order = reread(order).map_err(|error| error.to_string())?;
    terms(&read_menu, &read_order, &order.data_digest).map_err(|(_, why)| why)
}
