//! What a node answers, wherever it is, and the typed questions that callers ask.

use crate::block::Raw;
use crate::genesis::{Genesis, Origin};
use crate::record::TxRecord;
use async_trait::async_trait;
use sdpp_ledger::{
    Account, Amount, Asset, Changes, Channel, ChannelId, LedgerError, Result, Status, TxId,
};
use serde::{Deserialize, Serialize};

/// The most rows that one answer lists.
pub const ROWS_MAX: u32 = 100;

/// The most channels that one question names.
pub const CHANNELS_MAX: usize = 200;

/// A node of one chain: in this process ([`crate::LocalNode`]), behind a socket
/// ([`crate::RemoteNode`]), or one that misbehaves ([`crate::faults::Faulty`]).
#[async_trait]
pub trait Node: Send + Sync {
    /// What its chain is founded on.
    fn origin(&self) -> &Origin;

    /// Answers one question.
    ///
    /// # Errors
    /// `Unavailable` when nobody knows whether anything happened, `Refused` when nothing did.
    async fn ask(&self, request: Request) -> Result<Answer>;
}

/// What can be asked of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// What the chain is founded on.
    Genesis,
    /// The newest block and the depth.
    Head,
    /// The lowest number that an account has not used, the pool included.
    NextNumber(Account),
    /// Take a transaction's bytes.
    Submit(Raw),
    /// A transaction by its id.
    Tx(TxId),
    /// A transaction by its account and number.
    ByNumber(Account, u64),
    /// An account's newest transactions in blocks, so many at most (and never more than
    /// [`ROWS_MAX`]).
    History(Account, u32),
    /// What an account holds of an asset.
    Balance(Account, Asset),
    /// What waits for a block and brings an account more of an asset.
    Coming(Account, Asset),
    /// A channel at final depth.
    Channel(ChannelId),
    /// Channels that an account pays into or is paid from, [`ROWS_MAX`] at most.
    Channels(Account),
    /// What happened to channels, [`CHANNELS_MAX`] at most, in final blocks from a height on.
    Changes(Vec<ChannelId>, u64),
    /// Create money out of nothing, where the chain has a faucet.
    Fund(Account, Asset, Amount),
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// To [`Request::Genesis`].
    Genesis(Genesis),
    /// To [`Request::Head`].
    Head(Status),
    /// To [`Request::NextNumber`].
    Number(u64),
    /// To [`Request::Submit`].
    Submitted(TxId),
    /// To [`Request::Tx`] and [`Request::ByNumber`].
    Tx(Option<TxRecord>),
    /// To [`Request::History`].
    History(Vec<TxRecord>),
    /// To [`Request::Balance`] and [`Request::Coming`].
    Balance(Amount),
    /// To [`Request::Channel`].
    Channel(Option<Channel>),
    /// To [`Request::Channels`].
    Channels(Vec<(ChannelId, Channel)>),
    /// To [`Request::Changes`].
    Changes(Changes),
    /// To [`Request::Fund`].
    Funded,
}

/// Asks, and takes the one kind of answer that fits.
macro_rules! ask {
    ($node:expr, $request:expr, $answer:pat => $value:expr) => {
        match $node.ask($request).await? {
            $answer => Ok($value),
            other => Err(misfit(&other)),
        }
    };
}

impl dyn Node {
    /// The newest block and the depth.
    ///
    /// # Errors
    /// As [`Node::ask`]; so for all of these.
    pub async fn head(&self) -> Result<Status> {
        ask!(self, Request::Head, Answer::Head(status) => status)
    }

    /// The lowest number that an account has not used, the pool included.
    pub async fn next_number(&self, account: &Account) -> Result<u64> {
        let request = Request::NextNumber(account.clone());
        ask!(self, request, Answer::Number(number) => number)
    }

    /// Hands over a transaction's bytes, any number of times.
    pub async fn submit(&self, raw: &[u8]) -> Result<TxId> {
        let request = Request::Submit(Raw(raw.to_vec()));
        ask!(self, request, Answer::Submitted(id) => id)
    }

    /// A transaction in a block or in the pool.
    pub async fn tx(&self, id: &TxId) -> Result<Option<TxRecord>> {
        ask!(self, Request::Tx(id.clone()), Answer::Tx(record) => record)
    }

    /// The transaction that has an account's number, in a block or in the pool.
    pub async fn by_number(&self, account: &Account, number: u64) -> Result<Option<TxRecord>> {
        let request = Request::ByNumber(account.clone(), number);
        ask!(self, request, Answer::Tx(record) => record)
    }

    /// An account's newest transactions in blocks, newest first, [`ROWS_MAX`] at most.
    pub async fn history(&self, account: &Account, limit: u32) -> Result<Vec<TxRecord>> {
        let request = Request::History(account.clone(), limit);
        ask!(self, request, Answer::History(records) => records)
    }

    /// What an account holds after the newest block, in the asset's smallest unit.
    pub async fn balance(&self, account: &Account, asset: &Asset) -> Result<Amount> {
        let request = Request::Balance(account.clone(), asset.clone());
        ask!(self, request, Answer::Balance(amount) => amount)
    }

    /// What waits for a block and brings an account more, in the asset's smallest unit.
    pub async fn coming(&self, account: &Account, asset: &Asset) -> Result<Amount> {
        let request = Request::Coming(account.clone(), asset.clone());
        ask!(self, request, Answer::Balance(amount) => amount)
    }

    /// A channel at final depth.
    pub async fn channel(&self, id: &ChannelId) -> Result<Option<Channel>> {
        ask!(self, Request::Channel(*id), Answer::Channel(channel) => channel)
    }

    /// Channels that an account pays into or is paid from, at final depth, [`ROWS_MAX`] at most.
    pub async fn channels(&self, account: &Account) -> Result<Vec<(ChannelId, Channel)>> {
        let request = Request::Channels(account.clone());
        ask!(self, request, Answer::Channels(channels) => channels)
    }

    /// What happened to channels, [`CHANNELS_MAX`] at most, in final blocks from a height on.
    pub async fn changes(&self, channels: &[ChannelId], from: u64) -> Result<Changes> {
        let request = Request::Changes(channels.to_vec(), from);
        ask!(self, request, Answer::Changes(changes) => changes)
    }

    /// Has the faucet create money in the next block. Asked twice it creates twice, so look at
    /// the balance before asking again after an outage.
    pub async fn fund(&self, account: &Account, asset: &Asset, amount: Amount) -> Result<()> {
        let request = Request::Fund(account.clone(), asset.clone(), amount);
        ask!(self, request, Answer::Funded => ())
    }
}

fn misfit(answer: &Answer) -> LedgerError {
    let start: String = format!("{answer:?}").chars().take(80).collect();
    LedgerError::unavailable(format!("the node answered another question: {start}"))
}
