//! From a call to signed bytes: tried out on the chain as it is about to be, priced, signed.
//! What would revert is refused here, before it costs anything.

use crate::abi::{self, Body};
use crate::fees::Market;
use crate::ledger::EthereumLedger;
use crate::names;
use crate::rpc::{Answer, Rpc, Trouble};
use crate::tx::Tx;
use crate::view::hex_text;
use ethers_core::types::{Address, U64, U256};
use sdpp_ledger::{Amount, Asset, Bonding, Call, LedgerError, Result, Signed};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// More gas than any block has.
const GAS_MAX: u64 = 1 << 32;

/// The gas of a transaction that does nothing, where a node does not say.
const GAS_OF_NOTHING: u64 = 21_000;

/// How soon to ask again for what waits for a block.
const SOON: Duration = Duration::from_secs(1);

/// The token that a call takes from our account.
#[derive(Clone, Copy)]
struct Spent {
    token: Address,
    amount: U256,
    /// The contract that takes it and needs leave to, and what it says where it did not get it.
    taker: Option<(Address, &'static str)>,
}

impl EthereumLedger {
    /// Prepares a call under our account's `number`.
    pub(crate) async fn prepared(&self, number: u64, call: &Call) -> Result<Signed> {
        self.chain.nodes.ask(|node| Box::pin(self.prepared_on(node, number, call))).await
    }

    /// Prepares what is no call of the ledger's, such as a contract's making.
    pub(crate) async fn prepared_body(&self, number: u64, body: &Body) -> Result<Signed> {
        let nodes = &self.chain.nodes;
        nodes.ask(|node| Box::pin(self.signed_on(node, number, body.clone(), None, false))).await
    }

    /// The same for a higher fee; see [`sdpp_ledger::Ledger::raise`].
    pub(crate) async fn raised(&self, variants: &[Signed]) -> Result<Option<Signed>> {
        let newest = variants.last().ok_or_else(nothing_signed)?;
        let tx = Tx::read(newest, self.own.address)?;
        let asked = |node: Arc<Rpc>| async move {
            let held = node.coin(self.own.address, "latest").await?;
            Ok((Market::ask(&node).await?, held))
        };
        let (market, held) = self.chain.nodes.ask(|node| Box::pin(asked(node))).await?;
        let room = held.saturating_sub(tx.body.value) / U256::from(tx.gas.max(1));
        let room = u128::try_from(room).unwrap_or(u128::MAX);
        let fees = market.raise(tx.fees, variants.len(), room, self.chain.ceiling());
        let fees = fees.inspect_err(|error| self.warn(newest, error))?;
        fees.map(|fees| Tx { fees, ..tx }.sign(&self.own.key)).transpose()
    }

    /// Nothing, for a fee that goes before all of these; see [`sdpp_ledger::Ledger::cancel`].
    pub(crate) async fn cancelled(&self, variants: &[Signed]) -> Result<Signed> {
        let newest = variants.last().ok_or_else(nothing_signed)?;
        let tx = Tx::read(newest, self.own.address)?;
        let body = Body::to(self.own.address, Vec::new());
        let asked = |node: Arc<Rpc>| {
            let body = &body;
            async move { Ok((Market::ask(&node).await?, self.gas_of_nothing(&node, body).await?)) }
        };
        let (market, gas) = self.chain.nodes.ask(|node| Box::pin(asked(node))).await?;
        let fees = market.outbid(tx.fees, self.chain.ceiling());
        let fees = fees.inspect_err(|error| self.warn(newest, error))?;
        Tx { fees, body, gas, ..tx }.sign(&self.own.key)
    }

    /// An operator sets the ceiling, and is told that it holds something up: whoever asked tries
    /// again by itself, and has nobody to tell.
    fn warn(&self, newest: &Signed, error: &LedgerError) {
        let (account, number) = (&self.own.account, newest.number);
        tracing::warn!(ledger = %self.chain.id, %account, number, "{error}");
    }

    async fn prepared_on(&self, node: Arc<Rpc>, number: u64, call: &Call) -> Answer<Signed> {
        let (body, spent) = self.body(&node, call).await?;
        let is_batch = matches!(call, Call::SettleMany(_) | Call::CloseMany(_));
        self.signed_on(node, number, body, spent, is_batch).await
    }

    /// A call as the chain takes it, and the token that it takes from our account.
    async fn body(&self, node: &Arc<Rpc>, call: &Call) -> Answer<(Body, Option<Spent>)> {
        let topped_up = match call {
            Call::TopUp(top_up) => {
                let channel = self.chain.channel_at(node, &top_up.channel, json!("pending"));
                channel.await?.map_or(Ok(Address::zero()), |c| names::token(&c.asset))?
            }
            _ => Address::zero(),
        };
        if let Call::Bond(bonding) = call {
            let body = self.bond_body(bonding)?;
            return Ok((body, self.spent_on_bond(bonding)?));
        }
        let escrow = self.chain.escrow_address();
        let body = abi::body(call, escrow, topped_up)?;
        Ok((body, spent(call, topped_up, escrow)?))
    }

    /// What a call about a bond takes of a token.
    fn spent_on_bond(&self, bonding: &Bonding) -> Answer<Option<Spent>> {
        let Bonding { bond, act } = bonding;
        let token = names::token(&bond.asset)?;
        let amount = names::word(act.takes(bond, &self.own.account));
        let taker = Some((self.bonds_contract()?.address, "NotReceived"));
        let is_some = !token.is_zero() && !amount.is_zero();
        Ok(is_some.then_some(Spent { token, amount, taker }))
    }

    /// What a call costs as the chain is about to be, tried out there and not signed; see
    /// [`sdpp_ledger::Ledger::cost`].
    pub(crate) async fn priced(&self, call: &Call) -> Result<Amount> {
        self.chain.nodes.ask(|node| Box::pin(self.priced_on(node, call))).await
    }

    async fn priced_on(&self, node: Arc<Rpc>, call: &Call) -> Answer<Amount> {
        let (body, spent) = self.body(&node, call).await?;
        let number = node.count(self.own.address, json!("pending")).await?;
        let gas = match self.gas_used_by(&node, &body).await {
            Err(Trouble::Said { what, said: Some(data) }) => {
                return Err(self.why_refused(&node, number, spent, &what, &data).await);
            }
            answer => answer?,
        };
        let price = Market::ask(&node).await?.price();
        let cost = price.checked_mul(gas.into()).ok_or_else(|| node.trouble("an absurd fee"))?;
        Ok(Amount::new(cost))
    }

    async fn signed_on(
        &self,
        node: Arc<Rpc>,
        number: u64,
        body: Body,
        spent: Option<Spent>,
        is_batch: bool,
    ) -> Answer<Signed> {
        let held = node.coin(self.own.address, "pending").await?;
        if body.value > held {
            return Err(Trouble::told(self.insufficient(&Asset::coin(), held, body.value)));
        }
        let fees = Market::ask(&node).await?.fees(self.chain.ceiling())?;
        let gas = match self.gas(&node, &body).await {
            Err(Trouble::Said { what, said: Some(data) }) => {
                return Err(self.why_refused(&node, number, spent, &what, &data).await);
            }
            answer => answer?,
        };
        let chain_id = self.chain.settings.chain_id;
        let tx = Tx { chain_id, number, gas, fees, body };
        let signed = tx.sign(&self.own.key)?;
        let cost = names::word(signed.fee).saturating_add(tx.body.value);
        if cost <= held {
            return Ok(signed);
        }
        let own = &self.own.account;
        let needs = format!("{own} holds {held} wei and the call may cost {cost}: fund it");
        // A batch may go in parts; a single call that moves no coin of ours waits for money.
        let error = match tx.body.value.is_zero() && !is_batch {
            true => LedgerError::unavailable(needs),
            false => self.insufficient(&Asset::coin(), held, cost),
        };
        Err(Trouble::told(error))
    }

    /// The gas for a call as the chain is about to be, and a quarter more, as it goes on.
    async fn gas(&self, node: &Rpc, body: &Body) -> Answer<u64> {
        let gas = self.gas_used_by(node, body).await?;
        Ok(gas + gas / 4)
    }

    /// The gas that a call takes as the chain is about to be.
    async fn gas_used_by(&self, node: &Rpc, body: &Body) -> Answer<u64> {
        let mut call = json!({
            "from": self.own.address, "value": body.value, "data": hex_text(&body.data),
        });
        if let Some(to) = body.to {
            call["to"] = json!(to);
        }
        let gas: U64 = node.ask("eth_estimateGas", json!([call, "pending"])).await?;
        let gas = gas.as_u64();
        if gas > GAS_MAX {
            return Err(node.trouble("an absurd amount of gas"));
        }
        Ok(gas)
    }

    /// The gas for what has no effect: chains differ, and an account may have code of its own.
    async fn gas_of_nothing(&self, node: &Rpc, body: &Body) -> Answer<u64> {
        match self.gas(node, body).await {
            Err(Trouble::Said { .. }) => Ok(GAS_OF_NOTHING),
            gas => gas.map(|gas| gas.max(GAS_OF_NOTHING)),
        }
    }

    /// What a call that reverts when it is tried is told.
    async fn why_refused(
        &self,
        node: &Rpc,
        number: u64,
        spent: Option<Spent>,
        what: &str,
        data: &[u8],
    ) -> Trouble {
        let refused = async || -> Answer<LedgerError> {
            // What was signed before this one and is not there yet may be what it needs.
            if number > node.count(self.own.address, json!("pending")).await? {
                return Ok(soon("earlier transactions of this account are not there yet"));
            }
            let code = abi::refusal(data);
            if let Some(error) = self.lacks(node, spent, &code).await? {
                return Ok(error);
            }
            let name = code.split(':').next().unwrap_or(&code);
            Ok(LedgerError::refused(name, format!("{code}: {what}")))
        };
        refused().await.map_or_else(|trouble| trouble, Trouble::told)
    }

    /// Whether it is the token that lacks, or the leave to take it.
    async fn lacks(
        &self,
        node: &Rpc,
        spent: Option<Spent>,
        code: &str,
    ) -> Answer<Option<LedgerError>> {
        let is_about = |spent: &Spent| spent.taker.is_none_or(|(_, said)| code == said);
        let Some(spent) = spent.filter(is_about) else {
            return Ok(None);
        };
        let held = self.chain.tokens(node, spent.token, self.own.address, "pending").await?;
        if held < spent.amount {
            let asset = names::asset(spent.token);
            return Ok(Some(self.insufficient(&asset, held, spent.amount)));
        }
        let leave = match spent.taker {
            Some((taker, _)) => self.leave(node, spent.token, taker).await?,
            None => U256::MAX,
        };
        let waits = || soon("the contract has no leave to take this token yet");
        Ok((leave < spent.amount).then(waits))
    }

    fn insufficient(&self, asset: &Asset, held: U256, needed: U256) -> LedgerError {
        let own = &self.own.account;
        let why = format!("{own} holds {held} of {asset} and this takes {needed}");
        LedgerError::refused("InsufficientFunds", why)
    }
}

/// The token that a call takes from our account.
fn spent(call: &Call, topped_up: Address, escrow: Option<Address>) -> Result<Option<Spent>> {
    let (token, amount, is_deposit) = match call {
        Call::Transfer(transfer) => (names::token(&transfer.asset)?, transfer.amount, false),
        Call::Open(open) => (names::token(&open.asset)?, open.deposit, true),
        Call::TopUp(top_up) => (topped_up, top_up.amount, true),
        _ => (Address::zero(), Amount::ZERO, false),
    };
    let taker = escrow.filter(|_| is_deposit).map(|escrow| (escrow, "DepositNotReceived"));
    let spent = Spent { token, amount: names::word(amount), taker };
    Ok((!token.is_zero()).then_some(spent))
}

fn soon(what: &str) -> LedgerError {
    LedgerError::Unavailable { what: what.to_owned(), retry_after: Some(SOON) }
}

fn nothing_signed() -> LedgerError {
    LedgerError::refused("Malformed", "nothing was signed under this number")
}
