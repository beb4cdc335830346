//! One account on a channel: the way in, and what both abilities share.

use crate::block::Kept;
use crate::call::Request;
use crate::events::Listening;
use crate::gateway::Gateway;
use crate::rows::{Caller, Info};
use crate::settings::{Settings, misconfigured};
use crate::{names, payments};
use async_trait::async_trait;
use sdpp_ledger::{
    Account, Amount, Asset, Call, Done, Escrow, Finality, Ledger, LedgerError, LedgerId, Payments,
    Records, Reference, Result, Signed, Status, TxId,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// What our chaincode calls itself, and the versions that this was built for.
const CHAINCODE: &str = "sdpp-fabric";
const CHAINCODE_VERSION: &str = "1.";

/// One account on a channel of Hyperledger Fabric. A handle: clones share the way to the gateway,
/// its limits, and the turn in which the account spends.
#[derive(Clone)]
pub struct FabricLedger {
    pub(crate) own: Arc<Own>,
}

/// What the clones of a handle share.
pub(crate) struct Own {
    pub id: LedgerId,
    pub account: Account,
    /// The account's organisation, and whether it may make that organisation's money.
    pub msp: String,
    pub admin: bool,
    /// The chaincode's version.
    pub version: String,
    pub gateway: Gateway,
    /// Held while money is spent: two spends at once would make one of them invalid.
    pub spending: tokio::sync::Mutex<()>,
    /// References of which it is not known what became of them.
    pub doubts: Mutex<HashSet<String>>,
    /// The promises that are prepared and have not ended.
    pub promises: Mutex<Vec<payments::Promise>>,
    pub kept: Kept,
    pub listening: tokio::sync::Mutex<Listening>,
}

#[derive(Deserialize)]
struct Up {
    ok: bool,
}

#[derive(Deserialize)]
struct Height {
    height: u64,
}

impl fmt::Debug for FabricLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FabricLedger({} on {})", self.own.account, self.own.id)
    }
}

impl FabricLedger {
    /// Reaches a gateway and checks that the channel has our chaincode, and who we are there. It
    /// only asks.
    ///
    /// # Errors
    /// `Unavailable` while the gateway or the channel is away; `Refused` with `NotTheChaincode`,
    /// or with `Misconfigured`, which says what to mend.
    pub async fn connect(settings: Settings) -> Result<Self> {
        settings.check()?;
        let mut gateway = Gateway::new(settings)?;
        let up: Up = gateway.own("status", None).await.map_err(|trouble| trouble.at_first())?;
        if !up.ok {
            return Err(gateway.doubt("the gateway says that it is not up").into());
        }
        let info: Info = first(&gateway, "GetInfo").await?;
        if info.name != CHAINCODE || !info.version.starts_with(CHAINCODE_VERSION) {
            let (name, version) = (gateway.clean(&info.name), gateway.clean(&info.version));
            let why = format!("{name} {version} is not {CHAINCODE} {CHAINCODE_VERSION}x");
            return Err(LedgerError::refused("NotTheChaincode", why));
        }
        let caller: Caller = first(&gateway, "WhoAmI").await?;
        let account = Some(&caller.account).filter(|account| names::is_account(account));
        let account = account.and_then(|account| account.parse().ok());
        let Some(account) = account.filter(|_| names::msp_of(&caller.account) == caller.msp) else {
            return Err(gateway.doubt("an account that is none").into());
        };
        let genesis = gateway.meet().await.map_err(|trouble| trouble.at_first())?;
        let id = id_of(&genesis, gateway.settings())?;
        let listening = Listening::new(gateway.settings(), &id, &account);
        Ok(FabricLedger {
            own: Arc::new(Own {
                id,
                account,
                msp: caller.msp,
                admin: caller.admin,
                version: info.version,
                gateway,
                spending: tokio::sync::Mutex::default(),
                doubts: Mutex::default(),
                promises: Mutex::default(),
                kept: Kept::default(),
                listening: tokio::sync::Mutex::new(listening),
            }),
        })
    }
}

/// A first question, to which another chaincode may answer anything.
async fn first<T: serde::de::DeserializeOwned>(gateway: &Gateway, func: &str) -> Result<T> {
    let asked = gateway.query(&Request::new(func, &[])).await;
    let told: serde_json::Value = asked.map_err(|trouble| trouble.at_first())?;
    let other = |_| LedgerError::refused("NotTheChaincode", format!("an odd answer to {func}"));
    serde_json::from_value(told).map_err(other)
}

/// A name for the chaincode on this very channel. The channel is told from others of its name by
/// its first block, which comes from the ledger and not from settings.
fn id_of(genesis: &[u8; 32], settings: &Settings) -> Result<LedgerId> {
    let Settings { channel, chaincode, .. } = settings;
    let parts: [&[u8]; 5] = [genesis, &[0], channel.as_bytes(), &[0], chaincode.as_bytes()];
    let hash = hex::encode(Sha256::digest(parts.concat()));
    // CAIP-2 leaves 32 characters.
    format!("fabric:{}", &hash[..32]).parse().map_err(|_| misconfigured("no ledger's id"))
}

#[async_trait]
impl Ledger for FabricLedger {
    fn id(&self) -> &LedgerId {
        &self.own.id
    }

    fn account(&self) -> &Account {
        &self.own.account
    }

    /// A block here has no time of its own: it is the time of the answer, by our clock.
    async fn status(&self) -> Result<Status> {
        let told: Height = self.own.gateway.lookup(&["chaininfo"]).await?;
        let height = told.height.saturating_sub(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Ok(Status { height, at_ms, depth: 1 })
    }

    fn has_numbers(&self) -> bool {
        false
    }

    async fn next_number(&self) -> Result<u64> {
        Ok(0)
    }

    fn note_live(&self, signed: &[Signed]) {
        self.note_promises(signed);
    }

    async fn heard(&self) -> Vec<Reference> {
        self.listen().await
    }

    async fn submit(&self, signed: &Signed) -> Result<TxId> {
        self.submit_request(signed).await
    }

    async fn finality(&self, signed: &Signed) -> Result<Finality> {
        Ok(self.finality_of(signed).await?)
    }

    async fn spendable(&self, asset: &Asset) -> Result<Amount> {
        Ok(self.can_spend(asset).await?)
    }

    /// The chaincode does a thing once under its caller's reference, and answers whoever asks again
    /// with the first.
    async fn done(&self, _: &Call, _: u64) -> Result<Done> {
        Ok(Done::No)
    }

    fn records(&self) -> Option<&dyn Records> {
        Some(self)
    }

    fn payments(&self) -> Option<&dyn Payments> {
        Some(self)
    }

    fn escrow(&self) -> Option<&dyn Escrow> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    #[test]
    fn each_channel_and_each_chaincode_is_a_ledger_of_its_own() {
        let id = |genesis: u8, channel: &str, chaincode: &str| {
            let (channel, chaincode) = (channel.to_owned(), chaincode.to_owned());
            id_of(&[genesis; 32], &Settings { channel, chaincode, ..settings() }).unwrap()
        };
        let known = id(1, "sdpp", "sdpp");
        assert_eq!(known.as_str().len(), "fabric:".len() + 32);
        assert_eq!(known, id(1, "sdpp", "sdpp"));
        for other in [id(2, "sdpp", "sdpp"), id(1, "sdp", "psdpp"), id(1, "sdpp", "other")] {
            assert_ne!(known, other);
        }
    }
}
