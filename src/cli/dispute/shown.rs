//! What a bond's contract was asked for, and what a seller shows it then.

use crate::cli::exit::Outcome;
use crate::dispute::showing;
use crate::journal::Reader;
use sdpp_ledger::bond::{BondChangeKind, Challenge, Demand};
use sdpp_ledger::{BondAct, BondId};

/// What the seller was asked to show.
pub(super) fn challenge(kind: BondChangeKind) -> Option<Challenge> {
    match kind {
        BondChangeKind::Challenged { challenge, .. } => Some(challenge),
        _ => None,
    }
}

/// What the buyer was asked to pay.
pub(super) fn demand(kind: BondChangeKind) -> Option<Demand> {
    match kind {
        BondChangeKind::Demanded { demand, .. } => Some(demand),
        _ => None,
    }
}

/// What shows an item of a dataset that was promised, or of a window that was invoiced under the bond, where
/// that has it. Reads whole datasets and sessions.
pub(super) fn shown(reader: &Reader, bond: &BondId, asked: &Challenge) -> Outcome<Option<BondAct>> {
    if asked.is_of_dataset() {
        let proof = reader.place_in(&asked.root, &asked.leaf)?;
        return Ok(proof.map(|proof| BondAct::Show { challenge: asked.clone(), proof }));
    }
    for session in reader.sessions_under(bond)? {
        if let Some(leaves) = reader.window(&session, &asked.root)? {
            return Ok(showing(asked, &leaves));
        }
    }
    Ok(None)
}
