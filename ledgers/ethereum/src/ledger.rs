//! One account on a chain: settings, the way in, and what all three abilities share.

use crate::abi;
use crate::artifact::Made;
use crate::bonds::{self, BondsContract};
use crate::endpoints::Endpoints;
use crate::fees::Market;
use crate::names;
use crate::rpc::{Answer, Rpc, Trouble};
use async_trait::async_trait;
use ethers_core::abi::Token as Word;
use ethers_core::types::{Address, U256};
use sdpp_ledger::{
    Account, Amount, Asset, Bonds, Call, ChannelId, Domain, Endpoint, Escrow, Feed, Finality, Key,
    Ledger, LedgerError, LedgerId, Payments, Records, Result, Signed, Status, TxId, Voucher,
};
use serde_json::json;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The gas of what one more session asks of an account at most: ten anchors, a settlement and a
/// close, each with a token.
const SESSION_GAS: u128 = 10 * 35_000 + 2 * 150_000;

/// How long an operator's command waits where nothing else is said.
const LANDING: Duration = Duration::from_secs(600);

/// Which chain, by whom it is reached, and what is accepted from it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The chain's id as in EIP-155; nothing is asked of or signed for another one.
    pub chain_id: u64,
    /// Nodes of this chain, one at least. The one that is furthest ahead is asked.
    pub endpoints: Vec<Endpoint>,
    /// The escrow contract, `0x` and lower-case hex. Without it there are payments only.
    pub escrow: Option<Account>,
    /// The contract of bonds for that escrow's channels, written likewise.
    pub bonds: Option<Account>,
    /// How many blocks must stand on top of another, itself included, before it is final; 1 at
    /// least.
    pub depth: u64,
    /// The most that is offered for gas, in wei for each.
    pub fee_ceiling: Amount,
    /// How long one answer of a node may take.
    pub patience: Duration,
}

/// One account on an EVM chain. A handle: clones share their endpoints.
#[derive(Clone)]
pub struct EthereumLedger {
    pub(crate) chain: Arc<Chain>,
    pub(crate) own: Arc<Own>,
    /// How long an operator's command waits for what it sent to be final.
    pub(crate) landing: Duration,
}

/// The account that signs.
pub(crate) struct Own {
    pub key: Key,
    pub account: Account,
    pub address: Address,
    /// The largest number that was free once or is after one that was sent; none at first.
    number: Mutex<Option<u64>>,
}

/// The chain, whoever signs.
pub(crate) struct Chain {
    pub id: LedgerId,
    pub settings: Settings,
    pub nodes: Endpoints,
    pub escrow: Option<Contract>,
    pub bonds: Option<BondsContract>,
}

/// The escrow as it was found.
pub(crate) struct Contract {
    pub address: Address,
    pub domain: Domain,
    pub grace_period: Duration,
}

/// A transaction as the chain tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxView {
    /// Its id.
    pub tx: TxId,
    /// Who signed it.
    pub from: Account,
    /// The signer's number (nonce) in it.
    pub number: u64,
    /// To whom it is; `None` where it makes a contract.
    pub to: Option<Account>,
    /// The coin that it brings, in wei.
    pub value: Amount,
    /// What it asks for, where it is a call of ours to the last byte.
    pub call: Option<Call>,
    /// How final it is.
    pub finality: Finality,
}

impl fmt::Debug for EthereumLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EthereumLedger({} on {})", self.own.account, self.chain.id)
    }
}

impl EthereumLedger {
    /// Reaches a chain and checks that it is the one, and that the contracts there are ours.
    ///
    /// # Errors
    /// `Unavailable` while no endpoint answers; `Refused` with `WrongChain`, `NotTheEscrow`,
    /// `NotTheBonds`, or `Malformed` where the settings cannot be.
    pub async fn connect(settings: Settings, key: Key) -> Result<Self> {
        if settings.endpoints.is_empty() || settings.depth == 0 {
            let why = "a chain needs one endpoint and a depth of one, at least";
            return Err(LedgerError::refused("Malformed", why));
        }
        let id = format!("eip155:{}", settings.chain_id);
        let id = id.parse().map_err(|_| LedgerError::refused("Malformed", "no chain id"))?;
        let Settings { chain_id, patience, .. } = settings;
        let nodes = Endpoints::new(chain_id, &settings.endpoints, patience)?;
        match nodes.in_order().await {
            // Before there is a ledger this is no outage.
            Err(LedgerError::Unavailable { what, .. }) if nodes.is_elsewhere() => {
                return Err(LedgerError::refused("WrongChain", what));
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let mut chain = Chain { id, settings, nodes, escrow: None, bonds: None };
        if let Some(account) = &chain.settings.escrow {
            chain.escrow = Some(chain.found(account).await?);
        }
        if let Some(account) = &chain.settings.bonds {
            chain.bonds = Some(bonds::found(&chain, account).await?);
        }
        let (chain, own) = (Arc::new(chain), Arc::new(Own::new(key)?));
        Ok(EthereumLedger { chain, own, landing: LANDING })
    }

    /// Another account on the same chain.
    pub fn signed_by(&self, key: Key) -> Self {
        // Made of the hash of a public key by the project's own key type.
        #[allow(clippy::expect_used)]
        let own = Own::new(key).expect("a key's account is 20 bytes of hex");
        EthereumLedger { own: Arc::new(own), ..self.clone() }
    }

    /// A transaction by its id; `None` where the chain has none of this id.
    ///
    /// # Errors
    /// `Malformed`, `Unavailable`.
    pub async fn transaction(&self, tx: &TxId) -> Result<Option<TxView>> {
        self.chain.nodes.ask(|node| Box::pin(self.chain.view(node, tx))).await
    }

    /// What a transaction cost in gas; `None` where the chain has none of this id in a block.
    ///
    /// # Errors
    /// `Malformed`, `Unavailable`.
    pub async fn gas_used(&self, tx: &TxId) -> Result<Option<u64>> {
        let hash = names::hash(tx)?;
        let asked = |node: Arc<Rpc>| async move { node.receipt(hash).await };
        let receipt = self.chain.nodes.ask(|node| Box::pin(asked(node))).await?;
        let absurd = |_| LedgerError::unavailable("an absurd amount of gas");
        receipt.map(|receipt| receipt.gas_used.try_into().map_err(absurd)).transpose()
    }

    /// What the node that is asked first says that it is: a line of up to 100 characters.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn software(&self) -> Result<String> {
        let asked = |node: Arc<Rpc>| async move {
            let said: String = node.ask("web3_clientVersion", json!([])).await?;
            Ok(node.endpoint().clean(&said))
        };
        let said = self.chain.nodes.ask(|node| Box::pin(asked(node))).await?;
        Ok(said.chars().take(100).collect())
    }
}

impl Own {
    fn new(key: Key) -> Result<Self> {
        let account = key.public().account();
        let address = names::address(&account)?;
        Ok(Own { key, account, address, number: Mutex::default() })
    }

    /// The largest number that is known to have been free once, if any is.
    pub fn known_number(&self) -> Option<u64> {
        // Nothing panics while it is held.
        *self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that a number is free, or was.
    pub fn know_number(&self, free: u64) {
        let mut known = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        *known = (*known).max(Some(free));
    }
}

impl Chain {
    /// Where the escrow is, if there is one.
    pub fn escrow_address(&self) -> Option<Address> {
        self.escrow.as_ref().map(|contract| contract.address)
    }

    /// The most that is offered for gas, in wei.
    pub fn ceiling(&self) -> u128 {
        self.settings.fee_ceiling.units()
    }

    /// The escrow at an account, checked to be ours.
    async fn found(&self, account: &Account) -> Result<Contract> {
        let address = names::address(account)?;
        let domain = Domain { chain_id: self.settings.chain_id, contract: account.clone() };
        let grace = self.nodes.ask(|node| Box::pin(grace_of(node, address, &domain))).await?;
        Ok(Contract { address, domain, grace_period: Duration::from_secs(grace) })
    }

    async fn view(&self, node: Arc<Rpc>, tx: &TxId) -> Answer<Option<TxView>> {
        let hash = names::hash(tx)?;
        let Some(seen) = node.seen(hash).await? else {
            return Ok(None);
        };
        let absurd = || node.trouble("a transaction with absurd numbers");
        let body = seen.body();
        let call = abi::call(&body, self.escrow_address());
        let place = self.place(&node, hash).await?;
        Ok(Some(TxView {
            tx: tx.clone(),
            from: names::account(seen.from),
            number: u64::try_from(seen.signed.nonce).map_err(|_| absurd())?,
            to: body.to.map(names::account),
            value: names::amount(body.value).ok_or_else(absurd)?,
            finality: self.told(&node, place, call.as_ref(), seen.from).await?,
            call,
        }))
    }
}

/// The escrow's grace period in seconds, if it is ours: its code to the last byte, with what the
/// constructor filled in, and the digest that it checks vouchers by.
async fn grace_of(node: Arc<Rpc>, address: Address, domain: &Domain) -> Answer<u64> {
    let not_ours = |why: &str| Trouble::refused("NotTheEscrow", format!("{address:?}: {why}"));
    let other_code = || not_ours("its code is not the contract's that this was built with");
    let code = node.code(address).await?;
    let asked = async |function, words: &[Word]| {
        let input = abi::escrow_input(function, words);
        match node.call(address, &input, json!("latest")).await {
            Err(Trouble::Said { .. }) => Err(other_code()),
            answer => answer,
        }
    };
    let grace = asked("CLOSE_GRACE_PERIOD", &[]).await?;
    let grace = abi::word(&grace, 0).and_then(|seconds| u64::try_from(seconds).ok());
    let separator: Result<[u8; 32], _> = asked("domainSeparator", &[]).await?.try_into();
    let (Some(grace_period), Ok(separator)) = (grace, separator) else {
        return Err(other_code());
    };
    let chain_id = domain.chain_id;
    let made = Made { grace_period, this: address, domain: separator, chain_id };
    if made.code() != code {
        return Err(other_code());
    }
    let voucher = Voucher { channel: ChannelId([1; 32]), amount: Amount::new(1) };
    let words = [abi::bytes32(&voucher.channel.0), Word::Uint(U256::one())];
    if asked("getVoucherDigest", &words).await? != voucher.digest(domain).0 {
        return Err(not_ours("it checks vouchers under another domain"));
    }
    Ok(grace_period)
}

#[async_trait]
impl Ledger for EthereumLedger {
    fn id(&self) -> &LedgerId {
        &self.chain.id
    }

    fn account(&self) -> &Account {
        &self.own.account
    }

    async fn status(&self) -> Result<Status> {
        let head = self.chain.nodes.ask(|node| Box::pin(async move { node.head().await })).await?;
        let depth = self.chain.settings.depth;
        Ok(Status { height: head.height(), at_ms: head.at_ms(), depth })
    }

    async fn next_number(&self) -> Result<u64> {
        self.free_number().await
    }

    async fn submit(&self, signed: &Signed) -> Result<TxId> {
        self.submit_signed(signed).await
    }

    async fn finality(&self, signed: &Signed) -> Result<Finality> {
        self.chain.nodes.ask(|node| Box::pin(self.finality_on(node, signed))).await
    }

    async fn raise(&self, variants: &[Signed]) -> Result<Option<Signed>> {
        self.raised(variants).await
    }

    async fn cancel(&self, variants: &[Signed]) -> Result<Signed> {
        self.cancelled(variants).await
    }

    async fn reserve(&self) -> Result<Amount> {
        let nodes = &self.chain.nodes;
        let market = nodes.ask(|node| Box::pin(async move { Market::ask(&node).await })).await?;
        let price = market.first(self.chain.ceiling()).max;
        let absurd = || LedgerError::unavailable("an absurd gas price");
        Amount::new(price).checked_mul(SESSION_GAS).ok_or_else(absurd)
    }

    async fn cost(&self, call: &Call) -> Result<Amount> {
        self.priced(call).await
    }

    async fn coming(&self, asset: &Asset) -> Result<Amount> {
        self.coming_in(asset).await
    }

    async fn feed(&self, contract: &Account) -> Result<Feed> {
        self.told_by_feed(contract).await
    }

    fn records(&self) -> Option<&dyn Records> {
        self.chain.escrow.as_ref().map(|_| self as &dyn Records)
    }

    fn payments(&self) -> Option<&dyn Payments> {
        Some(self)
    }

    fn escrow(&self) -> Option<&dyn Escrow> {
        self.chain.escrow.as_ref().map(|_| self as &dyn Escrow)
    }

    fn bonds(&self) -> Option<&dyn Bonds> {
        self.chain.bonds.as_ref().map(|_| self as &dyn Bonds)
    }
}
