//! What comes before a deposit: money enough for it, and leave for the escrow to take it where the
//! asset asks for that. Leave is given through the journal's outbox, and is final before anything
//! is deposited.

use crate::actors::funding::Funding;
use crate::actors::funds::afford;
use crate::actors::random_digest;
use crate::record::Record;
use crate::terms::{Purpose, SessionId};
use sdpp_ledger::{Amount, Approve, Asset, Call, LedgerError};
use std::time::Duration;

/// How long to wait before a ledger is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

impl Funding {
    /// Sees to it that our account can deposit so much of an asset. Waits for a ledger that does
    /// not answer.
    ///
    /// # Errors
    /// Why it cannot, for people.
    pub(super) async fn see_to_deposit(&self, asset: &Asset, amount: Amount) -> Result<(), String> {
        afford(self.ledger.as_ref(), asset, amount).await?;
        if !self.needs_approval(asset, amount).await.map_err(|error| error.to_string())? {
            return Ok(());
        }
        // Leave can be spent or taken back, so each has a reference of its own. Where a process
        // died with one on its way, the next one says the same and changes nothing.
        let unique = SessionId(random_digest().map_err(|error| error.to_string())?);
        let reference = unique.reference(Purpose::Approve, 0);
        let call = Call::Approve(Approve { asset: asset.clone() });
        let owed = self.owed(reference, Purpose::Approve, call);
        let ledger = self.ledger.id();
        tracing::info!(%asset, %ledger, "the escrow is given leave to take deposits, once for all");
        self.append(Record::Approving { asset: asset.clone(), owed }).await?;
        let given = self.met(reference).await;
        given.map_err(|why| format!("the escrow was given no leave to take {asset}: {why}"))
    }

    async fn needs_approval(&self, asset: &Asset, amount: Amount) -> Result<bool, LedgerError> {
        let Some(escrow) = self.ledger.escrow() else { return Ok(false) };
        loop {
            match escrow.needs_approval(asset, amount).await {
                Err(LedgerError::Unavailable { .. }) => tokio::time::sleep(ASK_AGAIN).await,
                answer => return answer,
            }
        }
    }
}
