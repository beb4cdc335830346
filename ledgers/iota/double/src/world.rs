//! The ledger, the node's view of it and the time: all that a request is answered from.

use std::collections::BTreeMap;

use iota_sdk_types::{Address, ObjectId, SignedTransaction, TransactionDigest};

use crate::chain::refusal::Refusal;
use crate::chain::{Chain, Rules};
use crate::coin::Coin;
use crate::faucet::Faucet;
use crate::view::View;
use crate::{GenesisCoin, Options};

/// The transaction that brought the packages of the system to the recorded network.
const GENESIS: &str = "GuToau2FvfSd6J37cS8awas9UMVX3kbqvSAWCK1eVPh1";

/// What was asked of a double so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests by their method, those that met a fault too.
    pub requests: BTreeMap<String, u64>,
    /// Transactions that were executed, those of the faucet apart.
    pub executed: u64,
    /// Of these, those that failed.
    pub failed: u64,
    /// Refusals because a coin's version was spent by another transaction, or promised to one.
    pub conflicts: u64,
    /// What was wrong with requests, or with answers of the double, by the node's OpenRPC file: the
    /// first so many.
    pub strange: Vec<String>,
}

/// As many strange things are remembered.
const STRANGE_MAX: usize = 100;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chain: Chain,
    pub(crate) view: View,
    pub(crate) faucet: Faucet,
    pub(crate) chain_id: String,
    pub(crate) tally: Tally,
    /// What the faucet gave, and to whom.
    gifts: Vec<(TransactionDigest, Address)>,
    now_ms: u64,
}

impl World {
    pub(crate) fn new(options: &Options, now_ms: u64) -> World {
        let genesis = genesis();
        let rules = Rules { gas_price: options.gas_price, genesis };
        let mut coins: Vec<Coin> = options.coins.iter().map(GenesisCoin::coin).collect();
        let (faucet, coin) = Faucet::new(genesis, options.faucet_amount);
        coins.push(coin);
        let chain = Chain::new(rules, coins, now_ms, options.checkpoint_ms);
        let view = View::new(&chain, options.read_lag_ms);
        let chain_id = options.chain_id.clone().unwrap_or_else(|| chain_id(&chain));
        let (tally, gifts) = (Tally::default(), Vec::new());
        let mut world = World { chain, view, faucet, chain_id, tally, gifts, now_ms };
        // The genesis is as old as the ledger: the node knows it however late it hears.
        world.view.set_lag(0);
        world.pass_time(now_ms);
        world.view.set_lag(options.read_lag_ms);
        world
    }

    /// Tells the time: milliseconds since 1970. It never goes back.
    pub(crate) fn pass_time(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        self.chain.pass_time(self.now_ms);
        self.view.catch_up(&self.chain, self.now_ms);
    }

    /// Checks a transaction and promises it what it takes.
    pub(crate) fn promise(&mut self, signed: &SignedTransaction) -> Result<(), Refusal> {
        let promised = self.chain.promise(signed);
        self.tally.conflicts += u64::from(promised.as_ref().is_err_and(is_conflict));
        promised
    }

    /// Executes what was promised.
    pub(crate) fn land(&mut self, signed: SignedTransaction) -> Result<(), Refusal> {
        let digest = digest(&signed);
        let again = self.chain.landed(&digest).is_some();
        self.chain.land(signed, self.now_ms)?;
        if let Some(landed) = self.chain.landed(&digest).filter(|_| !again) {
            self.tally.executed += 1;
            self.tally.failed += u64::from(!landed.executed.v1().status.is_success());
        }
        self.pass_time(self.now_ms);
        Ok(())
    }

    /// Gives coins of the faucet, and says which and by which transaction.
    pub(crate) fn give(
        &mut self,
        payee: Address,
    ) -> Result<(TransactionDigest, Vec<(ObjectId, u64)>), Refusal> {
        let signed = self.faucet.pay(&self.chain, payee)?;
        let digest = digest(&signed);
        self.chain.land(signed, self.now_ms)?;
        self.pass_time(self.now_ms);
        self.gifts.push((digest, payee));
        Ok((digest, self.coins_given(&digest, payee)))
    }

    /// The gift of the faucet's transaction that is meant.
    pub(crate) fn given(
        &self,
        meant: impl Fn(&TransactionDigest) -> bool,
    ) -> Option<(TransactionDigest, Vec<(ObjectId, u64)>)> {
        let (digest, payee) = self.gifts.iter().find(|(digest, _)| meant(digest))?;
        Some((*digest, self.coins_given(digest, *payee)))
    }

    /// Remembers what was strange about a request or an answer.
    pub(crate) fn note_strange(&mut self, checked: Result<(), String>) {
        if let Err(strange) = checked
            && self.tally.strange.len() < STRANGE_MAX
        {
            self.tally.strange.push(strange);
        }
    }

    /// Forgets the transactions of checkpoints below `first`, of which the node has heard.
    pub(crate) fn prune(&mut self, first: u64) {
        self.chain.prune(first.min(self.view.height()));
    }

    fn coins_given(&self, digest: &TransactionDigest, payee: Address) -> Vec<(ObjectId, u64)> {
        let changes = self.chain.landed(digest).map(|landed| landed.executed.changes.as_slice());
        let coins = changes.into_iter().flatten().filter_map(|change| change.after.as_ref());
        let coins = coins.filter(|coin| coin.owner == payee);
        coins.map(|coin| (coin.id, coin.balance)).collect()
    }
}

/// The transaction that coins of the genesis come from.
pub(crate) fn genesis() -> TransactionDigest {
    // It is a constant, and the pinned tests would fail on another value.
    #[allow(clippy::expect_used)]
    GENESIS.parse().expect("a digest")
}

pub(crate) fn digest(signed: &SignedTransaction) -> TransactionDigest {
    signed.transaction.digest()
}

/// As a network derives it: the beginning of its first checkpoint's digest.
fn chain_id(chain: &Chain) -> String {
    let first = chain.checkpoint(0).map(|checkpoint| checkpoint.digest.into_bytes());
    hex::encode(&first.unwrap_or_default()[..4])
}

fn is_conflict(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Reserved(_) => true,
        Refusal::Input(text) => text.contains("is not available for consumption"),
        _ => false,
    }
}
