//! The chain as a value: bytes and the time go in, blocks and answers come out.
//!
//! It knows no clock, file, socket or task. With a block time, blocks fall on whole multiples of
//! it since the start; whoever asks first tells the time, and what waited is put into the block
//! that was due then. Blocks without content count for height and depth and are not kept. With
//! a block time of 0 each transaction has a block of its own, at once.

mod lookup;

use crate::Refusal;
use crate::block::{Block, Fund, Op, Raw};
use crate::effect::Effect;
use crate::genesis::Origin;
use crate::pool::Pool;
use crate::state::{Setting, State};
use crate::tx::Tx;
use sdpp_ledger::{Account, Amount, Asset, Digest, LedgerError, TxId};
use std::collections::HashMap;

/// The most that one block does; what is beyond it waits for the next.
pub const OPS_MAX: usize = 500;

/// The most blocks with content that are read for one answer about channels.
pub const BLOCKS_AT_ONCE: usize = 1_000;

/// A chain from its genesis on.
#[derive(Debug)]
pub(crate) struct Chain {
    origin: Origin,
    blocks: Vec<Kept>,
    /// Newest block, kept or empty.
    height: u64,
    at_ms: u64,
    /// After the newest block.
    state: State,
    /// After the newest final block, and how many of `blocks` that is. Left alone where a depth
    /// of 1 makes it the same as `state`.
    final_state: State,
    final_blocks: usize,
    included: HashMap<TxId, Included>,
    /// Each account's transactions; a transaction's number is its index here.
    by_account: HashMap<Account, Vec<TxId>>,
    pool: Pool,
    /// Money from the faucet that waits for its block.
    funds: Vec<Fund>,
}

/// A block that has content.
#[derive(Debug)]
struct Kept {
    height: u64,
    at_ms: u64,
    hash: Digest,
    ops: Vec<KeptOp>,
}

#[derive(Debug)]
enum KeptOp {
    Tx(TxId),
    Fund(Fund),
}

/// A transaction in a block.
#[derive(Debug)]
struct Included {
    tx: Tx,
    /// Index in `blocks`.
    block: usize,
    outcome: Result<Effect, Refusal>,
}

/// What a block does, checked.
#[derive(Debug, Clone)]
enum Checked {
    Tx(Tx),
    Fund(Fund),
}

impl Chain {
    /// The chain with nothing but block 0.
    pub fn new(origin: Origin) -> Self {
        // `Origin::new` founded the same state to check it.
        #[allow(clippy::expect_used)]
        let state = State::founded(origin.genesis()).expect("a checked genesis");
        Chain {
            blocks: Vec::new(),
            height: 0,
            at_ms: origin.genesis().started_ms,
            final_state: state.clone(),
            state,
            final_blocks: 0,
            included: HashMap::new(),
            by_account: HashMap::new(),
            pool: Pool::default(),
            funds: Vec::new(),
            origin,
        }
    }

    /// What it is founded on.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Takes a checked transaction; it waits in the pool for [`Chain::advance`].
    pub fn submit(&mut self, tx: Tx) -> Result<TxId, LedgerError> {
        let id = tx.id.clone();
        if self.included.contains_key(&id) {
            return Ok(id);
        }
        let by_account = &self.by_account;
        self.pool.insert(tx, |account| used(by_account, account))?;
        Ok(id)
    }

    /// Has the faucet create money in the next block.
    pub fn fund(&mut self, fund: Fund) -> Result<(), Refusal> {
        self.check_faucet(&fund)?;
        if self.funds.len() >= OPS_MAX {
            return Err(Refusal::new("FaucetLimit", "too many wait for the next block"));
        }
        let waiting = self.funds.iter().filter(|f| f.asset == fund.asset);
        let waiting = waiting.map(|f| f.amount);
        self.state.check_mint(&fund.account, &fund.asset, waiting.chain([fund.amount]))?;
        self.funds.push(fund);
        Ok(())
    }

    /// Lets time pass: seals what was due. Returns the blocks to be kept.
    pub fn advance(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        let genesis = self.origin.genesis();
        let (block_time, started) = (genesis.block_time_ms, genesis.started_ms);
        let Some(due) = now_ms.saturating_sub(started).checked_div(block_time) else {
            return self.seal_each(now_ms);
        };
        let mut sealed = Vec::new();
        while self.height < due {
            let ops = self.pick(OPS_MAX);
            if ops.is_empty() {
                self.skip_to(due);
                break;
            }
            // Not beyond `due`, so the product is not beyond `now_ms`.
            let at_ms = started + (self.height + 1) * block_time;
            sealed.push(self.seal(at_ms, ops));
        }
        sealed
    }

    /// Appends an empty block, where no time makes one. Returns it, to be kept.
    pub fn seal_empty(&mut self, now_ms: u64) -> Result<Vec<u8>, Refusal> {
        if self.origin.genesis().block_time_ms > 0 {
            let why = "this chain has a block time: let that pass instead";
            return Err(Refusal::new("BlockTime", why));
        }
        Ok(self.seal(now_ms.max(self.at_ms), Vec::new()))
    }

    /// Appends a block that was kept, everything verified again.
    pub fn replay(&mut self, json: &[u8]) -> Result<(), String> {
        let block: Block = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        let tip = self.tip();
        if block.parent != tip {
            return Err(format!("a block's parent is {}, not {tip}", block.parent));
        }
        self.check_place(&block)?;
        let ops = self.check_ops(block.ops).map_err(|r| r.to_string())?;
        self.append(block.height, block.at_ms, Block::hash(json), ops);
        Ok(())
    }

    /// This chain with its last `count` blocks taken out and empty ones in their place, so
    /// that it is no shorter. What they did is forgotten; what waits still does. Returns the new
    /// chain and all of its blocks to be kept.
    pub fn reorganised(mut self, count: u64) -> (Chain, Vec<Vec<u8>>) {
        let cut = self.height.saturating_sub(count);
        let mut new = Chain::new(self.origin.clone());
        let mut json = Vec::new();
        for old in self.blocks.iter().take_while(|old| old.height <= cut) {
            new.height = old.height - 1;
            json.push(new.seal(old.at_ms, self.checked_ops(old)));
        }
        new.funds = self.funds;
        new.pool = std::mem::take(&mut self.pool);
        if self.origin.genesis().block_time_ms > 0 {
            new.skip_to(self.height);
        }
        while new.height < self.height {
            json.push(new.seal(self.at_ms, Vec::new()));
        }
        (new, json)
    }

    /// Forgets what waits; returns how many transactions that were.
    pub fn forget_pool(&mut self) -> usize {
        self.pool.clear()
    }

    fn check_faucet(&self, fund: &Fund) -> Result<(), Refusal> {
        let Some(most) = self.origin.genesis().faucet else {
            return Err(Refusal::new("NoFaucet", "this chain has no faucet"));
        };
        if fund.amount > most {
            let why = format!("{} asked, the faucet gives {most} at most", fund.amount);
            return Err(Refusal::new("FaucetLimit", why));
        }
        Ok(())
    }

    fn check_place(&self, block: &Block) -> Result<(), String> {
        let genesis = self.origin.genesis();
        let since = block.at_ms.checked_sub(genesis.started_ms);
        let right = match genesis.block_time_ms {
            0 => block.height == self.height + 1 && block.at_ms >= self.at_ms,
            time => {
                let due = block.height.checked_mul(time);
                block.height > self.height && due.is_some() && due == since
            }
        };
        if right && block.ops.len() <= OPS_MAX {
            return Ok(());
        }
        Err(format!(
            "a block of {} operations with height {} at {} ms cannot follow height {} at {} ms",
            block.ops.len(),
            block.height,
            block.at_ms,
            self.height,
            self.at_ms
        ))
    }

    /// Checks a kept block's operations as if a stranger had sent them.
    fn check_ops(&self, ops: Vec<Op>) -> Result<Vec<Checked>, Refusal> {
        let mut taken = Taken::default();
        let mut minted: HashMap<Asset, Vec<Amount>> = HashMap::new();
        let check = |op| match op {
            Op::Tx(Raw(raw)) => {
                let tx = Tx::read(self.origin.digest(), &raw)?;
                taken.check(&tx, used(&self.by_account, &tx.from))?;
                Ok(Checked::Tx(tx))
            }
            Op::Fund(fund) => {
                self.check_faucet(&fund)?;
                let amounts = minted.entry(fund.asset.clone()).or_default();
                amounts.push(fund.amount);
                self.state.check_mint(&fund.account, &fund.asset, amounts.iter().copied())?;
                Ok(Checked::Fund(fund))
            }
        };
        ops.into_iter().map(check).collect()
    }

    /// A block for each that waits; all of one moment.
    fn seal_each(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        let at_ms = now_ms.max(self.at_ms);
        let mut sealed = Vec::new();
        loop {
            let ops = self.pick(1);
            if ops.is_empty() {
                return sealed;
            }
            sealed.push(self.seal(at_ms, ops));
        }
    }

    /// Takes out of what waits what the next block does.
    fn pick(&mut self, limit: usize) -> Vec<Checked> {
        let funds = self.funds.len().min(limit);
        let mut ops: Vec<_> = self.funds.drain(..funds).map(Checked::Fund).collect();
        let mut taken = Taken::default();
        while ops.len() < limit {
            let by_account = &self.by_account;
            let next = |account: &Account| used(by_account, account) + taken.of(account);
            let Some(tx) = self.pool.pop(next) else { break };
            taken.count(&tx.from);
            ops.push(Checked::Tx(tx));
        }
        ops
    }

    /// Appends the next block; returns it, to be kept.
    fn seal(&mut self, at_ms: u64, ops: Vec<Checked>) -> Vec<u8> {
        let block = Block {
            height: self.height + 1,
            parent: self.tip(),
            at_ms,
            ops: ops.iter().map(to_op).collect(),
        };
        let json = block.json();
        self.append(block.height, at_ms, Block::hash(&json), ops);
        json
    }

    fn append(&mut self, height: u64, at_ms: u64, hash: Digest, ops: Vec<Checked>) {
        (self.height, self.at_ms) = (height, at_ms);
        let ops = ops.into_iter().map(|op| self.run(op)).collect();
        self.blocks.push(Kept { height, at_ms, hash, ops });
        self.finalize();
    }

    fn run(&mut self, op: Checked) -> KeptOp {
        match op {
            Checked::Tx(tx) => {
                let outcome = run(&mut self.state, &self.origin, self.at_ms, &tx);
                let id = tx.id.clone();
                let ids = self.by_account.entry(tx.from.clone()).or_default();
                ids.push(id.clone());
                let block = self.blocks.len();
                let included = Included { tx, block, outcome };
                self.included.insert(id.clone(), included);
                KeptOp::Tx(id)
            }
            Checked::Fund(fund) => {
                mint(&mut self.state, &fund);
                KeptOp::Fund(fund)
            }
        }
    }

    /// Lets empty blocks fall up to a height, where time makes them.
    fn skip_to(&mut self, height: u64) {
        let genesis = self.origin.genesis();
        self.height = height;
        self.at_ms = genesis.started_ms + height * genesis.block_time_ms;
        self.finalize();
    }

    /// Brings the state that is for good up to the depth.
    fn finalize(&mut self) {
        if self.origin.genesis().depth == 1 {
            return;
        }
        let final_height = self.final_height();
        while let Some(kept) = self.blocks.get(self.final_blocks) {
            if kept.height > final_height {
                return;
            }
            for op in &kept.ops {
                match op {
                    KeptOp::Tx(id) => {
                        let tx = &self.included[id].tx;
                        // The outcome is the one that it had when it was appended.
                        let _ = run(&mut self.final_state, &self.origin, kept.at_ms, tx);
                    }
                    KeptOp::Fund(fund) => mint(&mut self.final_state, fund),
                }
            }
            self.final_blocks += 1;
        }
    }

    fn final_height(&self) -> u64 {
        (self.height + 1).saturating_sub(self.origin.genesis().depth)
    }

    fn checked_ops(&self, kept: &Kept) -> Vec<Checked> {
        let checked = |op: &KeptOp| match op {
            KeptOp::Tx(id) => Checked::Tx(self.included[id].tx.clone()),
            KeptOp::Fund(fund) => Checked::Fund(fund.clone()),
        };
        kept.ops.iter().map(checked).collect()
    }

    fn tip(&self) -> Digest {
        let newest = self.blocks.last();
        newest.map_or(*self.origin.digest(), |kept| kept.hash)
    }
}

/// How many of each account's numbers the block in the making uses.
#[derive(Default)]
struct Taken(HashMap<Account, u64>);

impl Taken {
    fn of(&self, account: &Account) -> u64 {
        self.0.get(account).copied().unwrap_or(0)
    }

    fn count(&mut self, account: &Account) {
        *self.0.entry(account.clone()).or_default() += 1;
    }

    fn check(&mut self, tx: &Tx, used: u64) -> Result<(), Refusal> {
        let next = used + self.of(&tx.from);
        if tx.number != next {
            let why = format!("{} has number {}, not {next}", tx.id, tx.number);
            return Err(Refusal::new("WrongNumber", why));
        }
        self.count(&tx.from);
        Ok(())
    }
}

/// How many numbers of an account the blocks use: the next one.
fn used(by_account: &HashMap<Account, Vec<TxId>>, account: &Account) -> u64 {
    by_account.get(account).map_or(0, |ids| ids.len() as u64)
}

fn run(state: &mut State, origin: &Origin, at_ms: u64, tx: &Tx) -> Result<Effect, Refusal> {
    let setting = Setting {
        from: &tx.from,
        at_ms,
        domain: origin.domain(),
        grace_period_ms: origin.genesis().grace_period_ms,
    };
    state.run(&tx.call, setting)
}

fn mint(state: &mut State, fund: &Fund) {
    let minted = state.mint(&fund.account, &fund.asset, fund.amount);
    debug_assert!(minted.is_ok(), "checked before it was put into a block");
}

fn to_op(op: &Checked) -> Op {
    match op {
        Checked::Tx(tx) => Op::Tx(Raw(tx.raw.clone())),
        Checked::Fund(fund) => Op::Fund(fund.clone()),
    }
}

#[cfg(test)]
mod lives;
#[cfg(test)]
mod tests;
