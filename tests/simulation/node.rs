//! One side's machine: what is on its disk, which a crash leaves, and what is in its memory.

use crate::teller::{Shared, Teller};
use sdpp::actors::waiting::Waiting;
use sdpp::journal::outbox::{Outbox, Policy};
use sdpp::journal::{Journal, Reader};
use sdpp::record::SignedMessage;
use sdpp::terms::{Role, SessionId};
use sdpp_ledger::{Account, ChannelId, Key, Ledger, LedgerId, PublicKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tempfile::TempDir;

pub struct Node {
    pub role: Role,
    pub key: Key,
    pub tellers: Vec<Arc<Teller>>,
    dir: TempDir,
    /// The items that a buyer has, by session; on its disk.
    pub files: BTreeMap<SessionId, Vec<(u64, Vec<u8>)>>,
    /// `None` while it is down.
    pub journal: Option<Journal>,
    /// It crashes after so many more things that it does.
    pub fuse: Option<u64>,
    pub memory: Memory,
}

/// What a crash takes.
#[derive(Default)]
pub struct Memory {
    pub outboxes: Vec<Outbox>,
    /// When each outbox has its next turn; as late as can be where none is planned.
    pub turns_ms: Vec<u64>,
    /// Channels in use, and by whom.
    pub busy: BTreeMap<ChannelId, u64>,
    /// A seller's last word in sessions that are over.
    pub last_words: BTreeMap<SessionId, (PublicKey, SignedMessage)>,
    /// Which channels a buyer's sessions wait for, by session.
    pub wants: BTreeMap<u64, Want>,
    /// Items that are not out of a buyer's process yet.
    pub unkept: Vec<(SessionId, u64, Vec<u8>)>,
    /// A buyer's sessions that a kill left, each until its command is typed again, and as whom it holds
    /// its channels.
    pub waiting: Vec<(u64, Waiting)>,
}

/// The channel that a session waits for.
#[derive(Clone)]
pub struct Want {
    pub ledger: usize,
    pub least: sdpp_ledger::Amount,
    pub ample: sdpp_ledger::Amount,
    pub payee: Account,
    pub asset: sdpp_ledger::Asset,
    /// Which was chosen or opened.
    pub channel: Option<ChannelId>,
    /// Those that are of no use.
    pub passed: BTreeSet<ChannelId>,
}

impl Node {
    pub fn new(role: Role, key: Key, chains: &[Shared]) -> Node {
        let account = key.public().account();
        let teller = |chain: &Shared| Arc::new(Teller::new(chain, account.clone()));
        // No power is cut here, so nothing is lost in memory.
        let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let mut node = Node {
            role,
            key,
            tellers: chains.iter().map(teller).collect(),
            dir,
            files: BTreeMap::new(),
            journal: None,
            fuse: None,
            memory: Memory::default(),
        };
        node.start();
        node
    }

    /// What the disk has, and nothing else.
    pub fn start(&mut self) {
        let path = self.dir.path().join("journal");
        self.journal = Some(Journal::open(&path, self.key.public()).unwrap());
        let outboxes = self.tellers.iter().map(outbox).collect();
        let turns_ms = vec![u64::MAX; self.tellers.len()];
        self.memory = Memory { outboxes, turns_ms, ..Memory::default() };
    }

    pub fn crash(&mut self) {
        self.journal = None;
        self.fuse = None;
        self.memory = Memory::default();
    }

    pub fn account(&self) -> Account {
        self.key.public().account()
    }

    pub fn reader(&self) -> Reader {
        self.journal.as_ref().expect("the node is up").reader()
    }

    pub fn ledgers(&self) -> BTreeMap<LedgerId, Arc<dyn Ledger>> {
        let named = |teller: &Arc<Teller>| (teller.id().clone(), teller.clone() as Arc<dyn Ledger>);
        self.tellers.iter().map(named).collect()
    }

    /// The place of a ledger.
    pub fn ledger(&self, id: &LedgerId) -> usize {
        self.tellers.iter().position(|teller| teller.id() == id).expect("both have it")
    }

    /// Whether all that it owes to ledgers has come to something.
    pub fn is_settled(&self) -> bool {
        let Some(journal) = &self.journal else { return false };
        journal.reader().counts().unwrap().unsettled.is_empty()
    }
}

fn outbox(teller: &Arc<Teller>) -> Outbox {
    let policy = Policy {
        anchors_at_most: 2,
        redeems_at_most: 1,
        raise_after_ms: 300,
        in_flight_max: 3,
        poll_ms: 100,
        backoff_base_ms: 50,
        backoff_max_ms: 1_000,
    };
    Outbox::new(teller.as_ref(), policy)
}
