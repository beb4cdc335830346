//! A small ledger that loses requests, answers, pools and blocks, and asks changing fees, by a
//! seed.

use super::unnumbered::{Coin, Kind, Unnumbered};
use super::*;
use async_trait::async_trait;
use sdpp_ledger::{
    Channel, Claim, Escrow, Evidence, Finality, Inclusion, Ledger, LedgerError, Payments, Records,
    Redeem, Result, Row, Signed, Status, Transfer,
};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How many blocks make a transaction final, its own included.
const DEPTH: usize = 3;

/// A payment of so much is refused when it is prepared.
pub(super) const POISON: u128 = 666;
/// A payment of so much is refused when it is submitted.
pub(super) const REJECTED: u128 = 667;
/// A payment of so much is mined and reverts.
pub(super) const REVERTS: u128 = 668;

/// A voucher of so much is refused, alone or as a row of a batch.
pub(super) const SKIPPED: u128 = 669;

/// What it says of such a voucher.
const SETTLED: &str = "AmountNotIncreasing: it was settled";

/// The most that this ledger's account offers for a transaction.
pub(super) const CEILING: u128 = 40;

/// A seeded source of numbers (splitmix64).
#[derive(Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.roll().is_multiple_of(n)
    }
}

/// One account's view of the ledger.
pub(super) struct Toy {
    id: LedgerId,
    account: Account,
    domain: Domain,
    chain: Mutex<Chain>,
}

pub(super) struct Chain {
    pub(super) pool: BTreeMap<u64, Vec<u8>>,
    pub(super) blocks: Vec<Vec<Mined>>,
    /// No reorg takes what was once deep enough, however many come in a row.
    final_height: usize,
    reorgs: u64,
    pub(super) dice: Dice,
    pub(super) faulty: bool,
    pub(super) kind: Kind,
    /// A gateway that signs: the transaction's id is told when it is submitted.
    pub(super) gateway: bool,
    pub(super) unnumbered: Unnumbered,
    pub(super) refuses_roots: bool,
    pub(super) refuses_batches: bool,
    /// A batch is mined and comes to nothing as a whole.
    pub(super) reverts_batches: bool,
    /// How many rows of a batch the account can pay the fee for.
    pub(super) rows_paid: usize,
    /// What a transaction must offer to be taken into a block.
    pub(super) price: u128,
    /// What offers less is refused for now, instead of waiting in the pool.
    pub(super) picky: bool,
    /// What offers more than this is refused for good.
    pub(super) refused_above: u128,
    /// All bytes that ever arrived and were not refused, by number.
    pub(super) arrived: BTreeMap<u64, Vec<Vec<u8>>>,
}

#[derive(Clone)]
pub(super) struct Mined {
    pub(super) number: u64,
    pub(super) raw: Vec<u8>,
    /// `None` in what only uses its number up.
    pub(super) call: Option<Call>,
    pub(super) fee: u128,
    /// What it spends, where only one transaction may.
    pub(super) coin: Option<Coin>,
}

impl Toy {
    /// A ledger of another kind than one with numbers.
    pub(super) fn without_numbers(seed: u64, faulty: bool, kind: Kind) -> Self {
        let toy = Toy::new(seed, faulty);
        toy.chain().kind = kind;
        toy.chain().gateway = kind == Kind::Gateway;
        toy
    }

    pub(super) fn new(seed: u64, faulty: bool) -> Self {
        Toy {
            id: ledger_id(),
            account: account(1),
            domain: Domain { chain_id: 1, contract: account(3) },
            chain: Mutex::new(Chain {
                pool: BTreeMap::new(),
                blocks: vec![Vec::new()],
                final_height: 0,
                reorgs: 0,
                dice: Dice(seed ^ 0x1ed6e5),
                faulty,
                kind: Kind::Numbers,
                gateway: false,
                unnumbered: Unnumbered::default(),
                refuses_roots: false,
                refuses_batches: false,
                reverts_batches: false,
                rows_paid: usize::MAX,
                price: 1,
                picky: false,
                refused_above: u128::MAX,
                arrived: BTreeMap::new(),
            }),
        }
    }

    pub(super) fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }
}

impl Chain {
    /// A block with all that follows on the last number, and an empty one for depth.
    pub(super) fn mine(&mut self) {
        if self.kind != Kind::Numbers {
            return self.mine_unnumbered();
        }
        let mut block = Vec::new();
        let mut next = self.next();
        while let Some(mined) = self.pool.get(&next).map(|raw| read(raw)) {
            if mined.fee < self.price {
                break;
            }
            self.pool.remove(&next);
            block.push(mined);
            next += 1;
        }
        self.blocks.push(block);
        let deep = self.blocks.len().saturating_sub(DEPTH);
        self.final_height = self.final_height.max(deep);
    }

    /// Forgets up to the last two blocks, and perhaps what was in them.
    pub(super) fn reorg(&mut self) {
        self.reorgs += 1;
        for _ in 0..1 + self.dice.roll() % (DEPTH as u64 - 1) {
            if self.blocks.len() - 1 <= self.final_height {
                return;
            }
            for mined in self.blocks.pop().unwrap() {
                if self.dice.one_in(2) {
                    self.pool.insert(mined.number, mined.raw);
                }
            }
        }
    }

    pub(super) fn forget_pool(&mut self) {
        self.pool.clear();
    }

    /// Somebody else signs with our key, and is first.
    pub(super) fn stranger(&mut self) {
        let number = self.next();
        let digest = keccak(&[&self.dice.roll().to_be_bytes()]);
        let anchor = Anchor::One { reference: Reference(digest.0), digest };
        let raw = write(number, Some(Call::Anchor(anchor)), 0, CEILING, None);
        self.pool.remove(&number);
        self.blocks.push(vec![read(&raw)]);
    }

    /// Another price; what offers less falls out of the pool where it is picky.
    pub(super) fn reprice(&mut self, price: u128) {
        self.price = price;
        if self.kind == Kind::Coins {
            self.begin_epoch();
        }
        if self.picky {
            self.pool.retain(|_, raw| read(raw).fee >= price);
        }
    }

    fn sign(
        &mut self,
        number: u64,
        call: Option<Call>,
        fee: u128,
        coin: Option<Coin>,
    ) -> Result<Signed> {
        // No two signatures over the same are alike, so that a second one shows.
        let salt = self.dice.roll();
        let raw = write(number, call, salt, fee, coin);
        let tx = (!self.gateway).then(|| tx_of(&raw));
        self.answer(Signed { number, tx, raw, fee: Amount::new(fee) })
    }

    /// Forgets all blocks, however deep.
    pub(super) fn lose_all(&mut self) {
        self.blocks = vec![Vec::new()];
        self.pool.clear();
        self.final_height = 0;
    }

    /// All that took effect.
    pub(super) fn mined(&self) -> impl Iterator<Item = &Mined> {
        self.blocks.iter().flatten()
    }

    fn next(&self) -> u64 {
        self.mined().last().map_or(5, |mined| mined.number + 1)
    }

    pub(super) fn evidence(&self, raw: &[u8], height: usize) -> Evidence {
        let call = serde_json::from_slice(raw).ok().and_then(|raw: Raw| raw.1);
        let (amount, rows) = call.as_ref().map_or((Amount::ZERO, Vec::new()), moved);
        Evidence {
            amount,
            fee: Amount::new(1),
            rows,
            ..Evidence::new(tx_of(raw), height as u64, self.block(height), NOW)
        }
    }

    fn block(&self, height: usize) -> String {
        format!("block-{height}-{}", self.reorgs)
    }

    /// Down, or the request is lost.
    fn request(&mut self) -> Result<()> {
        match self.faulty && self.dice.one_in(6) {
            true => Err(LedgerError::unavailable("the request is lost")),
            false => Ok(()),
        }
    }

    fn answer<T>(&mut self, answer: T) -> Result<T> {
        match self.faulty && self.dice.one_in(6) {
            true => Err(LedgerError::unavailable("the answer is lost")),
            false => Ok(answer),
        }
    }

    fn take(&mut self, signed: &Signed) -> Result<TxId> {
        let mined = read(&signed.raw);
        if mined.call.as_ref().is_some_and(|call| units(call) == REJECTED) {
            return Err(LedgerError::refused("Rejected", "for good"));
        }
        if mined.fee > self.refused_above {
            return Err(LedgerError::refused("TooDear", "nobody takes so much"));
        }
        if self.kind != Kind::Numbers {
            return self.take_unnumbered(mined);
        }
        if self.picky && mined.fee < self.price {
            return Err(LedgerError::unavailable("it offers too little"));
        }
        let known = self.arrived.entry(signed.number).or_default();
        if !known.contains(&signed.raw) {
            known.push(signed.raw.clone());
        }
        let is_mined = self.mined().any(|m| m.number == signed.number);
        let offered = self.pool.get(&signed.number).map_or(0, |raw| read(raw).fee);
        if !is_mined && mined.fee > offered {
            self.pool.insert(signed.number, mined.raw);
        }
        Ok(tx_of(&signed.raw))
    }

    pub(super) fn reverts(&self, call: &Call) -> bool {
        match call {
            Call::Settle(redeem) | Call::Close(redeem) => redeem.amount.units() == SKIPPED,
            Call::SettleMany(_) | Call::CloseMany(_) => self.reverts_batches,
            call => units(call) == REVERTS,
        }
    }

    fn look(&self, signed: &Signed) -> Finality {
        if self.kind != Kind::Numbers {
            return self.look_unnumbered(&read(&signed.raw));
        }
        for (height, block) in self.blocks.iter().enumerate() {
            let Some(mined) = block.iter().find(|m| m.number == signed.number) else {
                continue;
            };
            let is_final = self.blocks.len() - height >= DEPTH;
            let evidence = self.evidence(&mined.raw, height);
            return match (mined.raw == signed.raw, is_final) {
                (true, true) if mined.call.as_ref().is_some_and(|call| self.reverts(call)) => {
                    let is_voucher = mined.call.as_ref().is_some_and(is_voucher);
                    let why = if is_voucher { SETTLED } else { "reverted" };
                    Finality::Reverted { why: why.to_owned(), evidence }
                }
                (true, true) => Finality::Final(evidence),
                (false, true) => Finality::Replaced,
                (true, false) => Finality::Pending(Some(Inclusion {
                    height: height as u64,
                    block: self.block(height),
                })),
                (false, false) => Finality::Unknown,
            };
        }
        match self.pool.get(&signed.number) {
            Some(raw) if *raw == signed.raw => Finality::Pending(None),
            _ => Finality::Unknown,
        }
    }
}

#[async_trait]
impl Ledger for Toy {
    fn id(&self) -> &LedgerId {
        &self.id
    }

    fn account(&self) -> &Account {
        &self.account
    }

    async fn status(&self) -> Result<Status> {
        Ok(Status { height: self.chain().blocks.len() as u64, at_ms: NOW, depth: DEPTH as u64 })
    }

    fn has_numbers(&self) -> bool {
        self.chain().kind == Kind::Numbers
    }

    fn note_live(&self, signed: &[Signed]) {
        self.chain().unnumbered.live = signed.iter().map(|one| read(&one.raw)).collect();
    }

    async fn next_number(&self) -> Result<u64> {
        assert!(self.has_numbers(), "nobody asks for numbers that are not there");
        let mut chain = self.chain();
        chain.request()?;
        let mut next = chain.next();
        while chain.pool.contains_key(&next) {
            next += 1;
        }
        chain.answer(next)
    }

    async fn submit(&self, signed: &Signed) -> Result<TxId> {
        let mut chain = self.chain();
        chain.request()?;
        let tx = chain.take(signed)?;
        chain.answer(tx)
    }

    async fn finality(&self, signed: &Signed) -> Result<Finality> {
        let mut chain = self.chain();
        chain.request()?;
        let finality = chain.look(signed);
        chain.answer(finality)
    }

    async fn raise(&self, variants: &[Signed]) -> Result<Option<Signed>> {
        if self.chain().kind == Kind::Gateway {
            return Ok(None);
        }
        let newest = read(&variants.last().unwrap().raw);
        let price = {
            let mut chain = self.chain();
            chain.request()?;
            chain.price
        };
        let fee = price.max(newest.fee * 9 / 8 + 1);
        if newest.fee >= price || fee > CEILING {
            return Ok(None);
        }
        let mut chain = self.chain();
        chain.sign(newest.number, newest.call, fee, newest.coin).map(Some)
    }

    async fn cancel(&self, variants: &[Signed]) -> Result<Signed> {
        if !self.has_numbers() {
            return Err(LedgerError::refused("NotCancellable", "it takes nothing back"));
        }
        let newest = read(&variants.last().unwrap().raw);
        let price = {
            let mut chain = self.chain();
            chain.request()?;
            chain.price
        };
        self.sign_for(newest.number, None, price.max(newest.fee + 1))
    }

    fn records(&self) -> Option<&dyn Records> {
        Some(self)
    }

    fn payments(&self) -> Option<&dyn Payments> {
        Some(self)
    }

    fn escrow(&self) -> Option<&dyn Escrow> {
        Some(self)
    }
}

impl Toy {
    /// As a chain answers: a batch may be too dear as it is, a single call waits for money.
    fn afford(&self, call: &Call) -> Result<()> {
        let (Call::SettleMany(batch) | Call::CloseMany(batch)) = call else {
            return match self.chain().rows_paid {
                0 => Err(LedgerError::unavailable("fund the account")),
                _ => Ok(()),
            };
        };
        match batch.rows.len() <= self.chain().rows_paid {
            true => Ok(()),
            false => Err(LedgerError::refused("InsufficientFunds", "so many cost too much")),
        }
    }

    fn sign(&self, number: u64, call: Call) -> Result<Signed> {
        let price = {
            let mut chain = self.chain();
            chain.request()?;
            chain.price
        };
        self.sign_for(number, Some(call), price)
    }

    fn sign_for(&self, number: u64, call: Option<Call>, fee: u128) -> Result<Signed> {
        let mut chain = self.chain();
        let coin = chain.pick()?;
        chain.sign(number, call, fee, coin)
    }
}

#[async_trait]
impl Records for Toy {
    async fn anchor(&self, number: u64, anchor: &Anchor) -> Result<Signed> {
        if matches!(anchor, Anchor::Root { .. }) && self.chain().refuses_roots {
            return Err(LedgerError::refused("NoRoots", "one at a time"));
        }
        self.sign(number, Call::Anchor(anchor.clone()))
    }

    async fn anchored(&self, _tx: &TxId, _anchor: &Anchor) -> Result<Finality> {
        Ok(Finality::Unknown)
    }
}

#[async_trait]
impl Payments for Toy {
    async fn transfer(&self, number: u64, transfer: &Transfer) -> Result<Signed> {
        if transfer.amount.units() == POISON {
            return Err(LedgerError::refused("Poison", "never"));
        }
        self.sign(number, Call::Transfer(transfer.clone()))
    }

    async fn paid(&self, claim: &Claim) -> Result<Finality> {
        let mut chain = self.chain();
        chain.request()?;
        if claim.tx.as_str().starts_with("bad") {
            return Err(LedgerError::refused("WrongPayee", "somebody else is paid"));
        }
        let finality = match chain.blocks.len() {
            0..8 => Finality::Unknown,
            8..10 => Finality::Pending(None),
            10..12 => Finality::Pending(Some(Inclusion { height: 9, block: "0x9".to_owned() })),
            height => {
                let told = chain.evidence(claim.tx.as_str().as_bytes(), height);
                Finality::Final(Evidence { tx: claim.tx.clone(), ..told })
            }
        };
        chain.answer(finality)
    }

    async fn balance(&self, _account: &Account, _asset: &Asset) -> Result<Amount> {
        Ok(Amount::ZERO)
    }
}

#[async_trait]
impl Escrow for Toy {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn grace_period(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn escrow_call(&self, number: u64, call: &Call) -> Result<Signed> {
        let is_batch = matches!(call, Call::SettleMany(_) | Call::CloseMany(_));
        if is_batch && self.chain().refuses_batches {
            return Err(LedgerError::refused("NoBatches", "one at a time"));
        }
        self.afford(call)?;
        self.sign(number, call.clone())
    }

    async fn channel(&self, _id: &ChannelId) -> Result<Option<Channel>> {
        Ok(None)
    }
}

/// Number, call, salt, fee, and what it spends.
type Raw = (u64, Option<Call>, u64, u128, Option<Coin>);

pub(super) fn write(
    number: u64,
    call: Option<Call>,
    salt: u64,
    fee: u128,
    coin: Option<Coin>,
) -> Vec<u8> {
    let raw: Raw = (number, call, salt, fee, coin);
    serde_json::to_vec(&raw).unwrap()
}

pub(super) fn read(raw: &[u8]) -> Mined {
    let (number, call, _, fee, coin): Raw = serde_json::from_slice(raw).unwrap();
    Mined { number, raw: raw.to_vec(), call, fee, coin }
}

/// What a call moves in all, and row by row.
fn moved(call: &Call) -> (Amount, Vec<Row>) {
    match call {
        Call::Settle(redeem) | Call::Close(redeem) => (redeem.amount, Vec::new()),
        Call::SettleMany(batch) | Call::CloseMany(batch) => {
            let rows: Vec<Row> = batch.rows.iter().map(row_of).collect();
            let sum = rows.iter().map(|row| row.amount.units()).sum();
            (Amount::new(sum), rows)
        }
        _ => (Amount::ZERO, Vec::new()),
    }
}

fn is_voucher(call: &Call) -> bool {
    matches!(call, Call::Settle(_) | Call::Close(_))
}

fn row_of(redeem: &Redeem) -> Row {
    let is_refused = redeem.amount.units() == SKIPPED;
    Row {
        channel: redeem.channel,
        amount: if is_refused { Amount::ZERO } else { redeem.amount },
        refused: is_refused.then(|| SETTLED.to_owned()),
    }
}

fn units(call: &Call) -> u128 {
    match call {
        Call::Transfer(transfer) => transfer.amount.units(),
        _ => 0,
    }
}

pub(super) fn tx_of(raw: &[u8]) -> TxId {
    keccak(&[raw]).to_string().parse().unwrap()
}

/// Runs what never waits for anything outside.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("this ledger answers at once"),
    }
}
