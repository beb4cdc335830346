//! A node in this process: the chain, its file, its clock, and one sync for many callers.

use crate::Refusal;
use crate::block::{Fund, Raw};
use crate::chain::Chain;
use crate::genesis::{Genesis, Origin};
use crate::node::{Answer, CHANNELS_MAX, Node, ROWS_MAX, Request};
use crate::store::{OpenError, Record, Store};
use crate::tx::Tx;
use async_trait::async_trait;
use sdpp_ledger::{ChannelId, LedgerError, Result, TxId};
use serde_json::value::RawValue;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// Tells the time in milliseconds since 1970 UTC. A step back is taken as no time passed.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The system's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 is no time at all; blocks then keep the time that they have.
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    })
}

/// A node in this process; share it between accounts in an [`Arc`].
///
/// A transaction is answered when its block is on the disk or, with a block time, when it is in
/// the pool. Needs a tokio runtime where it has a folder: it waits for the disk on a thread of
/// its own. Without a folder every answer is computed at once, so simulations repeat exactly.
pub struct LocalNode {
    origin: Origin,
    clock: Clock,
    durable: bool,
    inner: Arc<Mutex<Inner>>,
    /// Transactions that came while another sync was under way; they share the next. Never more
    /// than there are callers waiting.
    arrivals: Mutex<Vec<Arrival>>,
    /// Held by the one who brings the arrivals into the chain.
    turn: tokio::sync::Mutex<()>,
}

/// A checked transaction, and where its answer goes.
type Arrival = (Tx, oneshot::Sender<Result<TxId>>);

struct Inner {
    chain: Chain,
    store: Option<Store>,
    /// Why nothing more is answered: after a failed write nobody knows what the disk holds.
    broken: Option<String>,
}

impl LocalNode {
    /// Opens the chain in a folder, or founds it there.
    ///
    /// Where there is one, it must have the same genesis in all but `started_ms`, which is then
    /// the one that is kept.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub fn open(folder: &Path, genesis: Genesis, clock: Clock) -> Result<Self, OpenError> {
        let asked = Origin::new(genesis)?;
        let (store, records) = Store::open(folder, &asked.json())?;
        let mut records = records.into_iter();
        // `Store::open` answers with the first record or an error.
        let first = records.next().map(|record| record.payload);
        let kept = read_genesis(&first.unwrap_or_default());
        let kept = kept.map_err(|why| store.damaged(0, why))?;
        must_be_same(folder, asked.genesis(), kept.genesis())?;
        let mut chain = Chain::new(kept);
        for record in records {
            replay(&mut chain, &record).map_err(|why| store.damaged(record.offset, why))?;
        }
        Ok(LocalNode::new(chain, Some(store), clock))
    }

    /// A chain that lives in memory only.
    ///
    /// # Errors
    /// When the genesis is not sound.
    pub fn in_memory(genesis: Genesis, clock: Clock) -> Result<Self, Refusal> {
        let chain = Chain::new(Origin::new(genesis)?);
        Ok(LocalNode::new(chain, None, clock))
    }

    /// Appends empty blocks, for tests of depth on a chain without a block time.
    ///
    /// # Errors
    /// `Refused` on a chain with a block time, where time makes the blocks.
    pub async fn seal_empty(&self, count: u64) -> Result<()> {
        self.with(move |inner, now| {
            for _ in 0..count {
                let block = inner.chain.seal_empty(now)?;
                inner.keep(&[block])?;
            }
            Ok(())
        })
        .await
    }

    /// Forgets all transactions that wait for a block; returns how many. A fault, for tests.
    pub async fn forget_pool(&self) -> Result<usize> {
        self.with(|inner, _| Ok(inner.chain.forget_pool())).await
    }

    /// Puts empty blocks in place of the last `count`, or of fewer where `deep` is false and
    /// some of them are final. What they did is undone and forgotten. A fault, for tests.
    /// Returns how many blocks that were.
    pub async fn reorganise(&self, count: u64, deep: bool) -> Result<u64> {
        self.with(move |inner, _| {
            let status = inner.chain.status();
            let most = if deep { status.height } else { status.depth - 1 };
            let count = count.min(most).min(status.height);
            inner.reorganise(count)?;
            Ok(count)
        })
        .await
    }

    fn new(chain: Chain, store: Option<Store>, clock: Clock) -> Self {
        LocalNode {
            origin: chain.origin().clone(),
            clock,
            durable: store.is_some(),
            inner: Arc::new(Mutex::new(Inner { chain, store, broken: None })),
            arrivals: Mutex::new(Vec::new()),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Does something with the chain, brought up to the time, away from the runtime's threads
    /// where it may wait for the disk.
    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Inner, u64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let now = (self.clock)();
        if !self.durable {
            return Inner::enter(&self.inner, now, act);
        }
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || Inner::enter(&inner, now, act));
        task.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Whoever finds nobody at it brings all arrivals into the chain, with one sync. The others
    /// wait for their turn and find their answer there.
    async fn submit(&self, raw: &[u8]) -> Result<TxId> {
        let tx = Tx::read(self.origin.digest(), raw)?;
        let (sender, answer) = oneshot::channel();
        lock(&self.arrivals)?.push((tx, sender));
        let turn = self.turn.lock().await;
        let arrivals = std::mem::take(&mut *lock(&self.arrivals)?);
        if !arrivals.is_empty() {
            self.with(move |inner, now| inner.take_in(arrivals, now)).await?;
        }
        drop(turn);
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

#[async_trait]
impl Node for LocalNode {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn ask(&self, request: Request) -> Result<Answer> {
        match request {
            // Without a disk there is no sync to share.
            Request::Submit(Raw(raw)) if self.durable => {
                self.submit(&raw).await.map(Answer::Submitted)
            }
            request => self.with(move |inner, now| inner.answer(request, now)).await,
        }
    }
}

impl Inner {
    fn enter<T>(
        inner: &Mutex<Inner>,
        now_ms: u64,
        act: impl FnOnce(&mut Inner, u64) -> Result<T>,
    ) -> Result<T> {
        let mut inner = lock(inner)?;
        if let Some(why) = &inner.broken {
            return Err(LedgerError::unavailable(why.clone()));
        }
        inner.advance(now_ms)?;
        act(&mut inner, now_ms)
    }

    fn advance(&mut self, now_ms: u64) -> Result<()> {
        let sealed = self.chain.advance(now_ms);
        self.keep(&sealed)
    }

    /// Brings blocks to the disk, before anybody is told of them.
    fn keep(&mut self, blocks: &[Vec<u8>]) -> Result<()> {
        let Some(store) = self.store.as_mut().filter(|_| !blocks.is_empty()) else {
            return Ok(());
        };
        let kept = store.append(blocks);
        kept.map_err(|error| self.stop(&format!("a block could not be written: {error}")))
    }

    fn take_in(&mut self, arrivals: Vec<Arrival>, now_ms: u64) -> Result<()> {
        let take_in = |(tx, sender)| (self.chain.submit(tx), sender);
        let answers: Vec<_> = arrivals.into_iter().map(take_in).collect();
        let kept = self.advance(now_ms);
        for (answer, sender) in answers {
            // Whoever went away will look the transaction up.
            let _ = sender.send(kept.clone().and(answer));
        }
        Ok(())
    }

    fn answer(&mut self, request: Request, now_ms: u64) -> Result<Answer> {
        let chain = &self.chain;
        let rows = |limit: u32| limit.min(ROWS_MAX) as usize;
        Ok(match request {
            Request::Genesis => Answer::Genesis(chain.origin().genesis().clone()),
            Request::Head => Answer::Head(chain.status()),
            Request::NextNumber(account) => Answer::Number(chain.next_number(&account)),
            Request::Tx(id) => Answer::Tx(chain.tx(&id)),
            Request::ByNumber(account, number) => Answer::Tx(chain.by_number(&account, number)),
            Request::History(account, limit) => {
                Answer::History(chain.history(&account, rows(limit)))
            }
            Request::Balance(account, asset) => Answer::Balance(chain.balance(&account, &asset)),
            Request::Coming(account, asset) => Answer::Balance(chain.coming(&account, &asset)),
            Request::Channel(id) => Answer::Channel(chain.channel(&id)),
            Request::Channels(account) => {
                Answer::Channels(chain.channels(&account, rows(ROWS_MAX)))
            }
            Request::Changes(channels, from) => {
                check_channels(&channels)?;
                Answer::Changes(chain.changes(&channels, from, rows(ROWS_MAX)))
            }
            Request::Submit(Raw(raw)) => {
                let tx = Tx::read(chain.origin().digest(), &raw)?;
                let id = self.chain.submit(tx)?;
                self.advance(now_ms)?;
                Answer::Submitted(id)
            }
            Request::Fund(account, asset, amount) => {
                self.chain.fund(Fund { account, asset, amount })?;
                self.advance(now_ms)?;
                Answer::Funded
            }
        })
    }

    fn reorganise(&mut self, count: u64) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let origin = self.chain.origin().clone();
        let empty = Chain::new(origin.clone());
        let (chain, blocks) = std::mem::replace(&mut self.chain, empty).reorganised(count);
        self.chain = chain;
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let rewritten = store.rewrite(&origin.json(), &blocks);
        rewritten.map_err(|error| self.stop(&error.to_string()))
    }

    fn stop(&mut self, what: &str) -> LedgerError {
        let why = format!("the ledger stopped: {what}; mend the disk and start it again");
        tracing::error!("{why}");
        self.broken = Some(why.clone());
        LedgerError::unavailable(why)
    }
}

fn check_channels(channels: &[ChannelId]) -> Result<(), Refusal> {
    if channels.len() <= CHANNELS_MAX {
        return Ok(());
    }
    let why = format!("{} channels asked for, at most {CHANNELS_MAX} are", channels.len());
    Err(Refusal::new("TooManyChannels", why))
}

fn read_genesis(json: &[u8]) -> Result<Origin, String> {
    let genesis = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    Origin::new(genesis).map_err(|refusal| refusal.to_string())
}

fn replay(chain: &mut Chain, record: &Record) -> Result<(), String> {
    let blocks: Vec<&RawValue> =
        serde_json::from_slice(&record.payload).map_err(|e| e.to_string())?;
    for block in blocks {
        chain.replay(block.get().as_bytes())?;
    }
    Ok(())
}

fn must_be_same(folder: &Path, asked: &Genesis, kept: &Genesis) -> Result<(), OpenError> {
    let asked = Genesis { started_ms: kept.started_ms, ..asked.clone() };
    if asked == *kept {
        return Ok(());
    }
    Err(OpenError::OtherChain {
        folder: folder.to_owned(),
        differs: first_difference(&asked, kept),
    })
}

fn first_difference(asked: &Genesis, kept: &Genesis) -> String {
    let rules = |g: &Genesis| {
        [
            ("chain_id", g.chain_id.to_string()),
            ("block_time_ms", g.block_time_ms.to_string()),
            ("depth", g.depth.to_string()),
            ("grace_period_ms", g.grace_period_ms.to_string()),
            ("faucet", format!("{:?}", g.faucet)),
        ]
    };
    let mut pairs = rules(asked).into_iter().zip(rules(kept));
    pairs.find(|(asked, kept)| asked != kept).map_or_else(
        || "its first balances are others".to_owned(),
        |((rule, asked), (_, kept))| format!("its {rule} is {kept}, not {asked}"),
    )
}

/// A lock that a panic left behind means that the chain may be half changed: no more answers.
fn lock<T>(mutex: &Mutex<T>) -> Result<std::sync::MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| stopped())
}

fn stopped() -> LedgerError {
    LedgerError::unavailable("the ledger stopped after an error inside; start it again")
}

#[cfg(test)]
mod tests;
