//! One account on a network: settings, the way in, and what the abilities share.

use crate::coins::Book;
use crate::fees::Rates;
use crate::names;
use crate::rpc::{Rpc, Trouble};
use crate::signer::{Scheme, Signer};
use crate::tx::Tx;
use async_trait::async_trait;
use sdpp_ledger::{
    Account, Amount, Call, Endpoint, Escrow, Finality, Key, Ledger, LedgerError, LedgerId,
    Payments, Records, Result, Signed, Status, TxId,
};
use serde::Deserialize;
use serde_json::json;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many transactions one more session asks of an account at most.
const SESSION_CALLS: u128 = 12;

/// How long an operator's command waits where nothing else is said.
const LANDING: Duration = Duration::from_secs(120);

/// Which network, by whom it is reached, and what is accepted from it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The network's chain identifier: 8 lower-case hex digits (`6364aad5` is mainnet). It is not
    /// in what is signed, so a node of another network is refused when it is first asked.
    pub chain: String,
    /// A node of this network, with JSON-RPC: what it says of a transaction is believed as far as
    /// the transaction's own bytes, effects and checkpoint bear it out.
    pub endpoint: Endpoint,
    /// How the account signs.
    pub scheme: Scheme,
    /// The most that one transaction may cost, in NANOS, with the deposits for coins that it
    /// makes.
    pub fee_ceiling: Amount,
    /// How many coins to keep, 1 to 500: so many transactions can be on their way at once.
    pub coins: usize,
    /// How long one answer of the node may take. To have something executed takes a node some
    /// seconds.
    pub patience: Duration,
}

/// One account on a network. A handle: clones share their coin book.
#[derive(Clone)]
pub struct IotaLedger {
    pub(crate) chain: Arc<Chain>,
    pub(crate) own: Arc<Own>,
    /// How long an operator's command waits for what it sent to be final.
    pub(crate) landing: Duration,
}

/// The account that signs.
pub(crate) struct Own {
    pub signer: Signer,
    pub account: Account,
    /// Held while something is prepared: two at once would pick the same coins.
    pub turn: tokio::sync::Mutex<()>,
    book: Mutex<Book>,
    rates: Mutex<Rates>,
}

/// The network, whoever signs.
pub(crate) struct Chain {
    pub id: LedgerId,
    pub settings: Settings,
    pub node: Rpc,
}

/// A transaction as the network tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxView {
    /// Its digest in base58.
    pub tx: TxId,
    /// Who signed it.
    pub from: Account,
    /// Whom it pays; nobody where it is not of our shape.
    pub to: Option<Account>,
    /// How much it pays, in NANOS.
    pub value: Amount,
    /// What it asks for, where it is a call of ours to the last byte.
    pub call: Option<Call>,
    /// How final it is.
    pub finality: Finality,
}

impl fmt::Debug for IotaLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IotaLedger({} on {})", self.own.account, self.chain.id)
    }
}

impl IotaLedger {
    /// Reaches a network and checks that it is the one.
    ///
    /// # Errors
    /// `Unavailable` while the node does not answer; `Refused` with `WrongChain`, or `Malformed`
    /// where the settings cannot be.
    pub async fn connect(settings: Settings, key: Key) -> Result<Self> {
        let malformed = |why: &str| LedgerError::refused("Malformed", why);
        let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if settings.chain.len() != 8 || !settings.chain.bytes().all(is_hex) {
            return Err(malformed("a chain identifier is 8 lower-case hex digits"));
        }
        if !(1..=500).contains(&settings.coins) {
            return Err(malformed("an account keeps 1 to 500 coins"));
        }
        let id = format!("iota:{}", settings.chain);
        let id = id.parse().map_err(|_| malformed("no chain identifier"))?;
        let node = Rpc::new(settings.endpoint.clone(), settings.patience)?;
        let own = Arc::new(Own::new(key, settings.scheme));
        let chain = Arc::new(Chain { id, settings, node });
        if let Some(why) = chain.of_another().await? {
            return Err(LedgerError::refused("WrongChain", why));
        }
        Ok(IotaLedger { chain, own, landing: LANDING })
    }

    /// Another account on the same network.
    pub fn signed_by(&self, key: Key) -> Self {
        let own = Own::new(key, self.chain.settings.scheme);
        IotaLedger { own: Arc::new(own), ..self.clone() }
    }

    /// A transaction by its digest; `None` where the node has none of it.
    ///
    /// # Errors
    /// `Malformed`, `Unavailable`.
    pub async fn transaction(&self, tx: &TxId) -> Result<Option<TxView>> {
        Ok(self.chain.view(tx).await?)
    }

    /// What the node says that it is; `None` where it does not.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn software(&self) -> Result<Option<String>> {
        match self.chain.node.ask::<Described>("rpc.discover", json!([])).await {
            Ok(Described { info: Info { title, version } }) => {
                Ok(Some(self.chain.settings.endpoint.clean(&format!("{title} {version}"))))
            }
            Err(Trouble::Said { .. }) => Ok(None),
            Err(trouble) => Err(trouble.into()),
        }
    }
}

/// A node's own description.
#[derive(Deserialize)]
struct Described {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    title: String,
    version: String,
}

impl Own {
    fn new(key: Key, scheme: Scheme) -> Self {
        let signer = Signer::new(key, scheme);
        let account = names::account(&signer.address);
        let (turn, book, rates) = Default::default();
        Own { signer, account, turn, book, rates }
    }

    /// The coin book. Nothing panics while it is held, and nothing waits.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What transactions have cost.
    pub fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chain {
    /// Which network the node is of where it is not ours, in a sentence.
    async fn of_another(&self) -> Result<Option<String>> {
        let (told, Settings { chain, endpoint, .. }) = (self.node.chain().await?, &self.settings);
        let told = endpoint.clean(&told);
        Ok((told != *chain).then(|| format!("{endpoint} is of network {told}, and not of {chain}")))
    }

    async fn newest(&self) -> Result<Status> {
        let height = self.node.height().await?;
        let at_ms = self.node.checkpoint(height).await?.at_ms;
        Ok(Status { height, at_ms, depth: 1 })
    }
}

#[async_trait]
impl Ledger for IotaLedger {
    fn id(&self) -> &LedgerId {
        &self.chain.id
    }

    fn account(&self) -> &Account {
        &self.own.account
    }

    async fn status(&self) -> Result<Status> {
        if let Some(what) = self.chain.of_another().await? {
            return Err(LedgerError::unavailable(what));
        }
        self.chain.newest().await
    }

    fn has_numbers(&self) -> bool {
        false
    }

    async fn next_number(&self) -> Result<u64> {
        Ok(0)
    }

    fn note_live(&self, signed: &[Signed]) {
        let live = signed.iter().filter_map(|signed| Tx::read(&signed.raw));
        let made = |tx: &Tx| tx.shape().and_then(|shape| shape.split).map_or(0, |s| s.count);
        self.own.book().note_live(live.map(|tx| (tx.gas().objects.clone(), made(&tx))));
    }

    async fn submit(&self, signed: &Signed) -> Result<TxId> {
        self.submit_signed(signed).await
    }

    async fn finality(&self, signed: &Signed) -> Result<Finality> {
        Ok(self.finality_of(signed).await?)
    }

    async fn raise(&self, variants: &[Signed]) -> Result<Option<Signed>> {
        self.raised(variants).await
    }

    async fn reserve(&self) -> Result<Amount> {
        let price = self.chain.node.price().await?;
        let one = Amount::new(self.own.rates().need(0, price, 0).fee.into());
        let absurd = || LedgerError::unavailable("an absurd gas price");
        one.checked_mul(SESSION_CALLS).ok_or_else(absurd)
    }

    async fn cost(&self, call: &Call) -> Result<Amount> {
        self.priced(call).await
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
    use crate::rpc::tests::read;

    #[test]
    fn what_a_node_said_that_it_is_is_read() {
        let Described { info: Info { title, version } } = read("02-rpc-discover").unwrap();
        assert_eq!((title.as_str(), version.as_str()), ("IOTA JSON-RPC", "1.21.0-alpha"));
    }
}
