//! Payment channels in the escrow contract, read where they are final.

use crate::abi::{self, ROWS_MAX};
use crate::events::events_of;
use crate::evidence::CHANNELS_ASKED;
use crate::finality::stands;
use crate::ledger::{Chain, Contract, EthereumLedger};
use crate::names;
use crate::rpc::{Answer, Rpc, Trouble};
use crate::view::{Block, Log, at};
use async_trait::async_trait;
use ethers_core::abi::Token as Word;
use ethers_core::types::{Address, U256};
use sdpp_ledger::{
    Amount, Asset, Call, Change, ChangeKind, Changes, Channel, ChannelId, Domain, Escrow,
    LedgerError, Result, Signed,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The most blocks that one answer is about.
pub(crate) const BLOCKS_ASKED: u64 = 1_000;

/// The events that change a channel. What cancels a request to close is a top up.
const KINDS: [&str; 6] =
    ["ChannelOpened", "TopUp", "CloseRequested", "Settled", "ChannelClosed", "Withdrawn"];

#[async_trait]
impl Escrow for EthereumLedger {
    fn domain(&self) -> &Domain {
        &self.contract().domain
    }

    fn grace_period(&self) -> Duration {
        self.contract().grace_period
    }

    async fn lag(&self) -> Result<Duration> {
        self.chain.nodes.ask(|node| Box::pin(self.chain.lag(node))).await
    }

    async fn escrow_call(&self, number: u64, call: &Call) -> Result<Signed> {
        if matches!(call, Call::Anchor(_) | Call::Transfer(_) | Call::Bond(_)) {
            let why = "an anchor, a transfer or a bond is not the escrow's";
            return Err(LedgerError::refused("NotAnEscrowCall", why));
        }
        self.prepared(number, call).await
    }

    async fn channel(&self, id: &ChannelId) -> Result<Option<Channel>> {
        self.chain.nodes.ask(|node| Box::pin(self.chain.final_channel(node, id))).await
    }

    fn rows_at_most(&self) -> usize {
        ROWS_MAX
    }

    async fn needs_approval(&self, asset: &Asset, amount: Amount) -> Result<bool> {
        let token = names::token(asset)?;
        if token.is_zero() {
            return Ok(false);
        }
        self.lacks_leave(token, self.contract().address, amount).await
    }

    async fn changes(&self, channels: &[ChannelId], from: u64) -> Result<Changes> {
        self.chain.nodes.ask(|node| Box::pin(self.chain.changes_on(node, channels, from))).await
    }
}

impl EthereumLedger {
    fn contract(&self) -> &Contract {
        // The ability is handed out by `Ledger::escrow` where there is a contract and nowhere
        // else; the type is public, so a caller could come another way.
        #[allow(clippy::expect_used)]
        self.chain.escrow.as_ref().expect("asked for by the ability that `escrow()` answers")
    }

    /// Whether a contract may not take so much of a token from our account.
    pub(crate) async fn lacks_leave(
        &self,
        token: Address,
        taker: Address,
        amount: Amount,
    ) -> Result<bool> {
        let asked = |node: Arc<Rpc>| async move { self.leave(&node, token, taker).await };
        let leave = self.chain.nodes.ask(|node| Box::pin(asked(node))).await?;
        Ok(leave < names::word(amount))
    }

    /// How much of a token a contract may take from our account.
    pub(crate) async fn leave(&self, node: &Rpc, token: Address, taker: Address) -> Answer<U256> {
        let words = [Word::Address(self.own.address), Word::Address(taker)];
        let input = abi::input(abi::ALLOWANCE, &words);
        let answer = node.call(token, &input, json!("pending")).await?;
        let word = answer.get(..32).map(U256::from_big_endian);
        let why = || Trouble::refused("NotAToken", format!("{token:?} tells no allowance"));
        word.ok_or_else(why)
    }
}

impl Chain {
    /// Between the newest block and the newest final one; on a chain that is younger than the
    /// depth, between the newest and the first.
    async fn lag(&self, node: Arc<Rpc>) -> Answer<Duration> {
        if self.settings.depth <= 1 {
            return Ok(Duration::ZERO);
        }
        let head = node.head().await?;
        let height = self.final_height(&head).unwrap_or_default();
        let lost = || node.trouble("a final block is not shown");
        let deep = node.block(height).await?.ok_or_else(lost)?;
        Ok(Duration::from_millis(head.at_ms().saturating_sub(deep.at_ms())))
    }

    async fn final_channel(&self, node: Arc<Rpc>, id: &ChannelId) -> Answer<Option<Channel>> {
        let head = node.head().await?;
        let Some(height) = self.final_height(&head) else {
            return Ok(None);
        };
        match self.channel_at(&node, id, at(height)).await {
            Err(Trouble::Said { what, .. }) => {
                let what = format!("{what}: channels at height {height} cannot be read");
                Err(Trouble::Said { what, said: None })
            }
            answer => answer,
        }
    }

    /// A channel as it stands at a block.
    pub async fn channel_at(
        &self,
        node: &Rpc,
        id: &ChannelId,
        block: Value,
    ) -> Answer<Option<Channel>> {
        channel_at(node, self.escrow_address().unwrap_or_default(), id, block).await
    }

    async fn changes_on(
        &self,
        node: Arc<Rpc>,
        channels: &[ChannelId],
        from: u64,
    ) -> Answer<Changes> {
        let head = node.head().await?;
        let Some(to) = self.final_height(&head).filter(|height| from <= *height) else {
            return Ok(Changes { list: Vec::new(), next: from });
        };
        let to = to.min(from.saturating_add(BLOCKS_ASKED - 1));
        let filters = channels.chunks(CHANNELS_ASKED).map(|ids| self.filter(&KINDS, ids)).collect();
        let (logs, next) = events_of(&node, filters, from..=to).await?;
        let mut list = BTreeMap::new();
        let mut times = BTreeMap::new();
        for log in logs {
            let odd = || node.trouble("an event that was not asked for");
            let (place, change) = self.change(&log, channels).ok_or_else(odd)?;
            let at_ms = match times.get(&change.height) {
                Some(at_ms) => *at_ms,
                None => block_of(&node, &log, change.height).await?.at_ms(),
            };
            times.insert(change.height, at_ms);
            list.insert(place, Change { at_ms, ..change });
        }
        if !stands(&node, &head).await? {
            return Err(node.trouble("the chain was rewritten while it was read"));
        }
        Ok(Changes { list: list.into_values().collect(), next })
    }

    /// What an event says, and its place in the chain; its time is not in it.
    fn change(&self, log: &Log, channels: &[ChannelId]) -> Option<((u64, u64), Change)> {
        let channel = ChannelId(log.topics.get(1)?.0);
        let is_asked = Some(log.address) == self.escrow_address() && channels.contains(&channel);
        if !is_asked || log.removed == Some(true) {
            return None;
        }
        let amount = |at| log.word(at).and_then(names::amount);
        let kind = KINDS.iter().find(|kind| abi::topic(kind) == log.topics[0])?;
        let kind = match *kind {
            "ChannelOpened" => ChangeKind::Opened { deposit: amount(3)? },
            "TopUp" => ChangeKind::ToppedUp { deposit: amount(1)? },
            "CloseRequested" => {
                let seconds = u64::try_from(amount(0)?.units()).ok()?;
                ChangeKind::CloseRequested { ready_ms: seconds.checked_mul(1000)? }
            }
            "Settled" => ChangeKind::Settled { settled: amount(0)? },
            "ChannelClosed" => ChangeKind::Closed { settled: amount(0)? },
            _ => ChangeKind::Withdrawn,
        };
        let tx = names::tx_id(log.transaction_hash?);
        let place = log.place()?;
        let height = place.0;
        Some((place, Change { channel, kind, tx, height, at_ms: 0 }))
    }
}

/// A channel as an escrow has it at a block.
pub(crate) async fn channel_at(
    node: &Rpc,
    escrow: Address,
    id: &ChannelId,
    block: Value,
) -> Answer<Option<Channel>> {
    let input = abi::escrow_input("getChannel", &[abi::bytes32(&id.0)]);
    let answer = node.call(escrow, &input, block).await?;
    // Before the contract was there, there was no channel either.
    if answer.is_empty() {
        return Ok(None);
    }
    channel(&answer).ok_or_else(|| node.trouble("a channel that cannot be"))
}

/// The block that an event is in, if it still stands.
pub(crate) async fn block_of(node: &Rpc, log: &Log, height: u64) -> Answer<Block> {
    let block = node.block(height).await?.filter(|block| Some(block.hash) == log.block_hash);
    block.ok_or_else(|| node.trouble("an event of a block that does not stand"))
}

/// Reads a channel: `Some(None)` where there never was one, `None` where it cannot be.
fn channel(answer: &[u8]) -> Option<Option<Channel>> {
    let address = |at: usize| {
        let word = answer.get(at * 32..at * 32 + 32)?;
        word[..12].iter().all(|b| *b == 0).then(|| Address::from_slice(&word[12..]))
    };
    let number = |at: usize| abi::word(answer, at * 32);
    let (payer, payee, token, signer) = (address(0)?, address(1)?, address(2)?, address(3)?);
    if payer.is_zero() {
        return Some(None);
    }
    let signer = if signer.is_zero() { payer } else { signer };
    let asked = u64::try_from(number(6)?).ok()?.checked_mul(1000)?;
    Some(Some(Channel {
        payer: names::account(payer),
        payee: names::account(payee),
        asset: names::asset(token),
        signer: names::account(signer),
        deposit: Amount::new(number(4)?),
        settled: Amount::new(number(5)?),
        close_requested_ms: (asked > 0).then_some(asked),
        finalized: number(7)? != 0,
    }))
}
