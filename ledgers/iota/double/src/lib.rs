//! A double of an IOTA node for tests: JSON-RPC, a faucet, and a way to make things go wrong.
//!
//! It validates for real: transactions are decoded by the network's own types, digests computed,
//! signatures, versions, owners, balances and gas checked; it answers in the shapes and words that
//! a real node was recorded with. It is no node: the README beside says what it does not prove.

#![forbid(unsafe_code)]

mod admin;
mod chain;
mod coin;
mod faucet;
mod faults;
mod giving;
mod http;
mod objects;
mod openrpc;
mod rpc;
mod shared;
mod show;
mod view;
mod world;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use iota_sdk_types::{Address, ObjectId, TransactionDigest};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use self::faults::{Fault, Trouble};
pub use self::world::Tally;

use self::coin::Coin;
use self::http::Door;
use self::shared::Shared;

/// Who tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The system.
    System,
    /// The test, with [`Double::advance`].
    Manual,
}

/// A coin that is there from the beginning.
#[derive(Debug, Clone)]
pub struct GenesisCoin {
    /// Its id.
    pub id: ObjectId,
    /// Its version.
    pub version: u64,
    /// Whose it is.
    pub owner: Address,
    /// In NANOS.
    pub balance: u64,
    /// The transaction that it comes from.
    pub previous: TransactionDigest,
}

impl GenesisCoin {
    /// A coin of the genesis; `number` makes its id.
    pub fn new(owner: Address, balance: u64, number: u64) -> GenesisCoin {
        let previous = world::genesis();
        // The first id is the faucet's.
        let id = ObjectId::derive_id(previous, number + 1);
        GenesisCoin { id, version: 1, owner, balance, previous }
    }

    fn coin(&self) -> Coin {
        Coin::new(self.id, self.version, self.owner, self.balance, self.previous)
    }
}

/// How a double is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The chain's identifier, 8 hex digits; otherwise made from its first checkpoint.
    pub chain_id: Option<String>,
    /// The reference gas price, in NANOS for a unit.
    pub gas_price: u64,
    /// What is there from the beginning, beside the faucet's coin.
    pub coins: Vec<GenesisCoin>,
    /// What each of the five coins has that the faucet gives, in NANOS.
    pub faucet_amount: u64,
    /// Milliseconds between two checkpoints; with 0 each transaction has one of its own, at once.
    pub checkpoint_ms: u64,
    /// How late the node hears of what happened, in milliseconds.
    pub read_lag_ms: u64,
    /// Who tells the time.
    pub clock: Clock,
    /// The ports of node, faucet and control on the loopback interface; 0 is any that is free.
    pub ports: [u16; 3],
}

impl Default for Options {
    /// As fast as can be: everything is final, and known to the node, at once.
    fn default() -> Options {
        Options {
            chain_id: None,
            gas_price: 1_000,
            coins: Vec::new(),
            faucet_amount: 200_000_000_000,
            checkpoint_ms: 0,
            read_lag_ms: 0,
            clock: Clock::System,
            ports: [0; 3],
        }
    }
}

impl Options {
    /// At the pace of the recorded network: four checkpoints a second, of which the node hears
    /// after one and a half.
    pub fn real_pace() -> Options {
        Options { checkpoint_ms: 250, read_lag_ms: 1_500, ..Options::default() }
    }
}

/// A running double. It ends when it is dropped, with all that it knows.
#[derive(Debug)]
pub struct Double {
    shared: Arc<Shared>,
    ports: [u16; 3],
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Double {
    /// Starts a double in this process, on a thread of its own.
    pub fn start(options: Options) -> io::Result<Double> {
        let shared = Arc::new(Shared::new(&options));
        let [node, faucet, admin] = options.ports.map(http::listen);
        let listeners = [(node?, Door::Node), (faucet?, Door::Faucet), (admin?, Door::Admin)];
        let mut ports = [0; 3];
        for (port, (listener, _)) in ports.iter_mut().zip(&listeners) {
            *port = listener.local_addr()?.port();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("iota-double".to_owned()).spawn(move || {
                runtime.block_on(async move {
                    for (listener, door) in listeners {
                        // It was bound, and is not blocking, as this wants it.
                        let Ok(listener) = TcpListener::from_std(listener) else { return };
                        tokio::spawn(http::serve(listener, door, Arc::clone(&served)));
                    }
                    // Ends with the double, which holds the other end.
                    let _ = stopped.await;
                });
            })?;
        Ok(Double { shared, ports, stop: Some(stop), thread: Some(thread) })
    }

    /// Where the node is.
    pub fn url(&self) -> String {
        self.at(0)
    }

    /// Where the faucet is: `POST /gas` and `/v1/gas` below it.
    pub fn faucet_url(&self) -> String {
        self.at(1)
    }

    /// Where the double is controlled by other processes.
    pub fn admin_url(&self) -> String {
        self.at(2)
    }

    /// The chain's identifier.
    pub fn chain_id(&self) -> String {
        self.shared.with(|world| world.chain_id.clone())
    }

    /// Lets the node say that it is of another chain.
    pub fn set_chain_id(&self, id: &str) {
        self.shared.with(|world| id.clone_into(&mut world.chain_id));
    }

    /// Lets a manual clock go on, and everything happen that is due.
    pub fn advance(&self, by: Duration) {
        self.shared.advance(by);
    }

    /// From now on requests meet a fault.
    pub fn arm(&self, trouble: Trouble) {
        self.shared.arm(trouble);
    }

    /// Takes all faults back, and releases what is held.
    pub fn clear(&self) {
        self.shared.clear();
    }

    /// Waits until so many requests are held.
    pub async fn until_held(&self, requests: usize) {
        self.shared.until_held(requests).await;
    }

    /// Releases all requests that are held now.
    pub fn release(&self) {
        self.shared.release();
    }

    /// How late the node hears from now on.
    pub fn set_read_lag(&self, lag: Duration) {
        let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self.shared.with(|world| world.view.set_lag(lag_ms));
    }

    /// Whether the node stands still, and hears of nothing. Then it does not confirm a local
    /// execution either, however long it is asked to wait.
    pub fn stand_still(&self, behind: bool) {
        self.shared.with(|world| world.view.stand_still(behind));
    }

    /// Whether no checkpoint is made: what lands meanwhile is executed and not final.
    pub fn hold_checkpoints(&self, held: bool) {
        self.shared.with(|world| world.chain.hold_checkpoints(held));
    }

    /// Lets the node say that it does not know a transaction, until it [remembers](Self::remember_all).
    pub fn hide(&self, digest: TransactionDigest) {
        self.shared.with(|world| world.view.hide(digest));
    }

    /// Ends what [`hide`](Self::hide) began.
    pub fn remember_all(&self) {
        self.shared.with(|world| world.view.remember_all());
    }

    /// Whether the node has lost its objects' history, and cannot tell changes of balances.
    pub fn forget_history(&self, forgotten: bool) {
        self.shared.with(|world| world.view.forget_history(forgotten));
    }

    /// Whether the node keeps no index of what took an object, and answers no query for that.
    pub fn forget_index(&self, forgotten: bool) {
        self.shared.with(|world| world.view.forget_index(forgotten));
    }

    /// Forgets checkpoints below this number and their transactions, for good and everywhere.
    pub fn prune(&self, below: u64) {
        self.shared.with(|world| world.prune(below));
    }

    /// Promises the present version of a coin to a transaction that never comes, until the epoch
    /// ends. Says whether there is such a coin.
    pub fn lock(&self, coin: ObjectId) -> bool {
        self.shared.with(|world| world.chain.lock(&coin, 1))
    }

    /// The same with two transactions, each of which has half of the votes, as after two different
    /// ones on one coin at once.
    pub fn equivocate(&self, coin: ObjectId) -> bool {
        self.shared.with(|world| world.chain.lock(&coin, 2))
    }

    /// Ends the epoch, and with it all locks.
    pub fn end_epoch(&self) {
        self.shared.with(|world| world.chain.end_epoch());
    }

    /// The last checkpoint that the node knows.
    pub fn height(&self) -> u64 {
        self.shared.with(|world| world.view.height())
    }

    /// What was asked of it so far.
    pub fn tally(&self) -> Tally {
        self.shared.with(|world| world.tally.clone())
    }

    fn at(&self, door: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[door])
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was told where it did.
            let _ = thread.join();
        }
    }
}
