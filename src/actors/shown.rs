//! What a ledger shows of a channel, and of the bond that a session is to be under: asked until it answers.

use crate::session::BondView;
use sdpp_ledger::{BondId, Channel, ChannelId, Domain, Ledger, LedgerError};
use std::time::Duration;

/// How long to wait before a ledger that did not answer is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A ledger's word on a channel.
pub(super) struct Shown {
    pub(super) channel: Option<Channel>,
    pub(super) domain: Domain,
    pub(super) grace: Duration,
    pub(super) lag: Duration,
    pub(super) bond: Option<Box<BondView>>,
}

/// Asks until the ledger answers.
///
/// # Errors
/// What it refuses the question with.
pub(super) async fn ask_for(
    ledger: &dyn Ledger,
    id: &ChannelId,
    bond: Option<&BondId>,
) -> Result<Shown, LedgerError> {
    let no_escrow = || LedgerError::refused("NoSuchAbility", "this ledger has no escrow");
    let escrow = ledger.escrow().ok_or_else(no_escrow)?;
    loop {
        let asked = async {
            Ok((escrow.channel(id).await?, escrow.lag().await?, bond_of(ledger, bond).await?))
        };
        match asked.await {
            Ok((channel, lag, bond)) => {
                let (domain, grace) = (escrow.domain().clone(), escrow.grace_period());
                return Ok(Shown { channel, domain, grace, lag, bond });
            }
            Err(LedgerError::Unavailable { .. }) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(refused) => return Err(refused),
        }
    }
}

/// A bond as its ledger has it; none where it has no such bond.
async fn bond_of(
    ledger: &dyn Ledger,
    id: Option<&BondId>,
) -> Result<Option<Box<BondView>>, LedgerError> {
    let (Some(bonds), Some(id)) = (ledger.bonds(), id) else { return Ok(None) };
    let Some(bond) = bonds.pledged(id).await? else { return Ok(None) };
    let held = bonds.held(&bond).await?;
    let period_ms = u64::try_from(bonds.period().as_millis()).unwrap_or(u64::MAX);
    Ok(held.map(|held| Box::new(BondView { bond, held, period_ms, unjoined: None })))
}
