//! The ledger itself, as a value: coins, locks, transactions, checkpoints and epochs. It is told
//! the time and touches nothing outside. What validators know is here; what a node that is asked
//! knows already is in [`view`](crate::view).

pub(crate) mod check;
pub(crate) mod checkpoint;
pub(crate) mod effect;
pub(crate) mod machine;
pub(crate) mod refusal;

use std::collections::HashMap;

use iota_sdk_types::{
    GasCostSummary, ObjectId, ObjectReference, SignedTransaction, Transaction, TransactionDigest,
    TransactionV1,
};

use self::checkpoint::{Checkpoint, Checkpoints};
use self::effect::{Executed, coins_among};
use self::refusal::{Lock, Refusal};
use crate::coin::Coin;

/// What is the same for all transactions of a network.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The reference gas price, in NANOS for a unit.
    pub(crate) gas_price: u64,
    /// The transaction that brought the packages of the system.
    pub(crate) genesis: TransactionDigest,
}

/// A transaction that was executed, and what it did.
#[derive(Debug, Clone)]
pub(crate) struct Landed {
    pub(crate) signed: SignedTransaction,
    pub(crate) executed: Executed,
}

impl Landed {
    pub(crate) fn transaction(&self) -> &TransactionV1 {
        match &self.signed.transaction {
            Transaction::V1(transaction) => transaction,
            // Only those of this version are decoded.
            _ => unreachable!("transactions are of version 1"),
        }
    }
}

/// What happened on the ledger, in order: what a node hears of, sooner or later.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Landed(TransactionDigest),
    Checkpoint(u64),
}

/// The ledger.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) rules: Rules,
    epoch: u64,
    coins: HashMap<ObjectId, Coin>,
    /// Who was promised which version of a coin, until the epoch ends or the version is spent.
    locks: HashMap<(ObjectId, u64), Vec<TransactionDigest>>,
    landed: HashMap<TransactionDigest, Landed>,
    checkpoints: Checkpoints,
    /// With the time of each, in milliseconds.
    events: Vec<(u64, Event)>,
}

impl Chain {
    pub(crate) fn new(rules: Rules, coins: Vec<Coin>, now_ms: u64, checkpoint_ms: u64) -> Chain {
        let coins = coins.into_iter().map(|coin| (coin.id, coin)).collect();
        let checkpoints = Checkpoints::new(rules.genesis, now_ms, checkpoint_ms);
        let mut chain = Chain {
            rules,
            epoch: 0,
            coins,
            locks: HashMap::new(),
            landed: HashMap::new(),
            checkpoints,
            events: Vec::new(),
        };
        chain.events.push((now_ms, Event::Checkpoint(0)));
        chain
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn coin(&self, id: &ObjectId) -> Option<&Coin> {
        self.coins.get(id)
    }

    pub(crate) fn coins(&self) -> impl Iterator<Item = &Coin> {
        self.coins.values()
    }

    pub(crate) fn landed(&self, digest: &TransactionDigest) -> Option<&Landed> {
        self.landed.get(digest)
    }

    pub(crate) fn checkpoint(&self, number: u64) -> Option<&Checkpoint> {
        self.checkpoints.at(number)
    }

    pub(crate) fn event(&self, number: usize) -> Option<&(u64, Event)> {
        self.events.get(number)
    }

    /// The first half of an execution: checks a signed transaction as validators do, and promises
    /// it what it takes. One that landed already is as good as promised.
    pub(crate) fn promise(&mut self, signed: &SignedTransaction) -> Result<(), Refusal> {
        let Transaction::V1(transaction) = &signed.transaction else {
            return Err(Refusal::NotServed("another version of transactions".to_owned()));
        };
        let digest = transaction.digest();
        if self.landed.contains_key(&digest) {
            return Ok(());
        }
        let programmable = check::form(&self.rules, self.epoch, transaction)?;
        check::coins(transaction, programmable, |reference| self.find(reference))?;
        let takes =
            || coins_among(&programmable.inputs).chain(&transaction.gas_payment.objects).copied();
        let locked: Vec<_> = takes().filter_map(|taken| self.other_lock(taken, digest)).collect();
        if !locked.is_empty() {
            return Err(Refusal::Reserved(locked));
        }
        for taken in takes() {
            self.locks.insert((taken.object_id, taken.version.as_u64()), vec![digest]);
        }
        Ok(())
    }

    /// The second half: executes what was promised. It is refused where the promise is gone, as
    /// after the end of an epoch; a transaction that landed already changes nothing.
    pub(crate) fn land(&mut self, signed: SignedTransaction, now_ms: u64) -> Result<(), Refusal> {
        self.promise(&signed)?;
        let Transaction::V1(transaction) = &signed.transaction else { return Ok(()) };
        let digest = transaction.digest();
        if self.landed.contains_key(&digest) {
            return Ok(());
        }
        let executed = self.run(transaction, |reference| self.find(reference))?;
        for change in &executed.changes {
            if let Some(before) = &change.before {
                self.coins.remove(&before.id);
                self.locks.remove(&(before.id, before.version));
            }
            if let Some(after) = &change.after {
                self.coins.insert(after.id, after.clone());
            }
        }
        self.landed.insert(digest, Landed { signed, executed });
        self.events.push((now_ms, Event::Landed(digest)));
        self.checkpoints.wait_for(digest);
        self.pass_time(now_ms);
        Ok(())
    }

    /// What a transaction would do, on the coins that `find` knows.
    pub(crate) fn run(
        &self,
        transaction: &TransactionV1,
        find: impl Fn(&ObjectReference) -> Option<Coin>,
    ) -> Result<Executed, Refusal> {
        let programmable = check::form(&self.rules, self.epoch, transaction)?;
        let taken = check::coins(transaction, programmable, find)?;
        Ok(effect::execute(
            &self.rules,
            self.epoch,
            transaction,
            programmable,
            &taken.gas,
            &taken.inputs,
        ))
    }

    /// Makes the checkpoints that are due.
    pub(crate) fn pass_time(&mut self, now_ms: u64) {
        while let Some(due) = self.checkpoints.due(now_ms) {
            self.close_checkpoint(due);
        }
    }

    /// Whether checkpoints are made; what lands while they are not waits for them.
    pub(crate) fn hold_checkpoints(&mut self, hold: bool) {
        self.checkpoints.hold(hold);
    }

    /// Ends the epoch: what was promised and not executed is free again.
    pub(crate) fn end_epoch(&mut self) {
        self.epoch += 1;
        self.locks.clear();
        self.checkpoints.begin_epoch();
    }

    /// Promises the present version of a coin to so many transactions that will never come. Says
    /// whether there is such a coin.
    pub(crate) fn lock(&mut self, coin: &ObjectId, holders: u64) -> bool {
        let Some(coin) = self.coins.get(coin) else { return false };
        let never = |number| {
            let bytes = ObjectId::derive_id(coin.digest.into_digest().into(), number).into();
            TransactionDigest::new(bytes)
        };
        self.locks.insert((coin.id, coin.version), (0..holders).map(never).collect());
        true
    }

    /// Forgets the transactions of the checkpoints below `first`, and these.
    pub(crate) fn prune(&mut self, first: u64) {
        for digest in self.checkpoints.prune(first) {
            self.landed.remove(&digest);
        }
    }

    fn find(&self, reference: &ObjectReference) -> Option<Coin> {
        self.coins.get(&reference.object_id).cloned()
    }

    /// The lock on what is taken, if it is not this transaction's own.
    fn other_lock(&self, taken: ObjectReference, digest: TransactionDigest) -> Option<Lock> {
        let holders = self.locks.get(&(taken.object_id, taken.version.as_u64()))?;
        let lock = Lock { object: taken, holders: holders.clone() };
        (*holders != [digest]).then_some(lock)
    }

    fn close_checkpoint(&mut self, at_ms: u64) {
        let mut costs = GasCostSummary::default();
        let mut contents = Vec::new();
        for digest in self.checkpoints.waiting() {
            // What waits for a checkpoint has landed, and only what is in one is pruned.
            let Some(landed) = self.landed.get(digest) else { continue };
            costs += &landed.executed.v1().gas_cost_summary;
            contents.push((*digest, landed));
        }
        let number = self.checkpoints.close(self.epoch, at_ms, &contents, &costs);
        self.events.push((at_ms, Event::Checkpoint(number)));
    }
}
