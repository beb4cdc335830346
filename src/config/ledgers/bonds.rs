//! The contract of bonds, where a ledger can have one.

#[cfg(feature = "fabric")]
use super::fabric;
#[cfg(feature = "iota")]
use super::iota;
use super::{Deployed, Kind, Opened, nothing_to_deploy};
use sdpp_ledger::{Account, LedgerError};
use std::time::Duration;

impl Opened {
    /// Puts the contract of bonds for an escrow's channels beside it; as [`Opened::deploy_escrow`].
    /// `period` is how long an answer may take, for good.
    #[cfg_attr(not(feature = "ethereum"), allow(unused_variables))]
    pub async fn deploy_bonds(
        &self,
        escrow: &Account,
        period: Duration,
    ) -> Result<Deployed, LedgerError> {
        match &self.kind {
            Kind::Embedded(_) => Err(nothing_to_deploy()),
            #[cfg(feature = "fabric")]
            Kind::Fabric(_) => Err(fabric::nothing_to_deploy()),
            #[cfg(feature = "iota")]
            Kind::Iota(_) => Err(iota::nothing_to_deploy()),
            #[cfg(feature = "ethereum")]
            Kind::Ethereum(ledger) => ledger.deploy_bonds(escrow, period).await.map(Deployed::from),
        }
    }
}
