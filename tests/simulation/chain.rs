//! A ledger that moves real money by small rules: accounts with numbers, transfers, anchors and payment
//! channels, in blocks of which the last ones may be taken back. It loses requests and answers, takes
//! things late and twice, forgets its pool, and is told by a seed when.

use crate::dice::Dice;
use sdpp_ledger::{
    Account, Amount, Asset, Call, Channel, ChannelId, Domain, Evidence, Finality, Inclusion,
    LedgerError, LedgerId, Open, Redeem, Reference, Result, Signed, Transfer, TxId, Voucher,
    channel_id, keccak,
};
use std::collections::BTreeMap;

/// How many blocks make a transaction final, its own included.
const DEPTH: usize = 3;

/// A transaction's bytes as they are read: who, under which number, what; and a salt, so that no two
/// signatures over the same are alike.
type Raw = (Account, u64, Call, u64);

pub struct Chain {
    pub id: LedgerId,
    pub domain: Domain,
    pub dice: Dice,
    pub is_faulty: bool,
    pool: BTreeMap<(Account, u64), Vec<u8>>,
    /// What arrives once more, or at last, when it pleases.
    late: Vec<Vec<u8>>,
    blocks: Vec<Block>,
    /// So many blocks are never taken back.
    final_blocks: usize,
    reorgs: u64,
    /// All that was ever handed over, in order, whatever came of it.
    pub handed: Vec<(Account, u64, Vec<u8>)>,
}

struct Block {
    mined: Vec<Mined>,
    after: State,
    at_ms: u64,
    name: String,
}

#[derive(Clone)]
pub struct Mined {
    pub from: Account,
    pub number: u64,
    pub raw: Vec<u8>,
    pub call: Call,
    /// What it moved to a payee, or why it had no effect.
    pub did: Result<u128, String>,
}

/// What the ledger knows after a block.
#[derive(Clone, Default)]
pub struct State {
    balances: BTreeMap<(Account, Asset), u128>,
    pub channels: BTreeMap<ChannelId, Channel>,
    next: BTreeMap<Account, u64>,
    /// What was moved under each reference, each time.
    pub paid: BTreeMap<Reference, Vec<u128>>,
}

impl Chain {
    /// A ledger on which these hold so much.
    pub fn new(
        (id, chain_id): (LedgerId, u64),
        seed: u64,
        holds: impl IntoIterator<Item = (Account, Asset, u128)>,
    ) -> Chain {
        let contract = format!("0x{}", "ee".repeat(20)).parse().unwrap();
        let balances = holds.into_iter().map(|(who, asset, much)| ((who, asset), much)).collect();
        let after = State { balances, ..State::default() };
        let genesis = Block { mined: Vec::new(), after, at_ms: 0, name: "genesis".to_owned() };
        Chain {
            domain: Domain { chain_id, contract },
            id,
            dice: Dice(seed),
            is_faulty: true,
            pool: BTreeMap::new(),
            late: Vec::new(),
            blocks: vec![genesis],
            final_blocks: 1,
            reorgs: 0,
            handed: Vec::new(),
        }
    }

    /// Somebody else has spent all that an account held, long ago.
    pub fn drain(&mut self, account: &Account) {
        for block in &mut self.blocks {
            block.after.balances.retain(|(of, _), _| of != account);
        }
    }

    /// The state at the depth that counts as final.
    pub fn settled(&self) -> &State {
        &self.blocks[self.final_blocks - 1].after
    }

    pub fn tip(&self) -> &State {
        &self.blocks.last().unwrap().after
    }

    pub fn height(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// All that is final and had an effect.
    pub fn happened(&self) -> impl Iterator<Item = &Mined> {
        let blocks = self.blocks[..self.final_blocks].iter();
        blocks.flat_map(|block| &block.mined).filter(|mined| mined.did.is_ok())
    }

    /// The next block, and what chance does to the ledger before it.
    pub fn mine(&mut self, now_ms: u64) {
        if self.is_faulty {
            self.weather();
        }
        for raw in std::mem::take(&mut self.late) {
            match self.is_faulty && self.dice.one_in(2) {
                true => self.late.push(raw),
                false => self.pool_in(raw),
            }
        }
        let mut state = self.tip().clone();
        let mut mined = Vec::new();
        let waiting: Vec<(Account, u64)> = self.pool.keys().cloned().collect();
        for (from, number) in waiting {
            let has_turn = state.next(&from) == number;
            if has_turn && !(self.is_faulty && self.dice.one_in(4)) {
                let raw = self.pool.remove(&(from, number)).unwrap();
                mined.push(state.take(&raw, &self.domain, now_ms));
            }
        }
        let name = format!("block-{}-{}", self.blocks.len(), self.reorgs);
        self.blocks.push(Block { mined, after: state, at_ms: now_ms, name });
        self.final_blocks = self.final_blocks.max((self.blocks.len() + 1).saturating_sub(DEPTH));
    }

    fn weather(&mut self) {
        if self.dice.one_in(8) {
            self.reorgs += 1;
            for _ in 0..self.dice.within(1, DEPTH as u64 - 1) {
                if self.blocks.len() <= self.final_blocks {
                    break;
                }
                for mined in self.blocks.pop().unwrap().mined {
                    if self.dice.one_in(2) {
                        self.pool.insert((mined.from, mined.number), mined.raw);
                    }
                }
            }
        }
        if self.dice.one_in(12) {
            self.pool.clear();
        }
    }

    /// Who asks may not be heard.
    pub fn request(&mut self) -> Result<()> {
        match self.is_faulty && self.dice.one_in(8) {
            true => Err(LedgerError::unavailable("the request is lost")),
            false => Ok(()),
        }
    }

    /// The answer may not arrive.
    pub fn answer<T>(&mut self, answer: T) -> Result<T> {
        match self.is_faulty && self.dice.one_in(8) {
            true => Err(LedgerError::unavailable("the answer is lost")),
            false => Ok(answer),
        }
    }

    pub fn sign(&mut self, from: &Account, number: u64, call: Call) -> Signed {
        let raw: Raw = (from.clone(), number, call, self.dice.roll());
        let raw = serde_json::to_vec(&raw).unwrap();
        Signed { number, tx: Some(tx_of(&raw)), raw, fee: Amount::ZERO }
    }

    /// Takes a transaction, perhaps late, perhaps twice.
    pub fn take(&mut self, signed: &Signed) -> TxId {
        let (from, number, ..) = read(&signed.raw);
        self.handed.push((from, number, signed.raw.clone()));
        let (is_late, is_doubled) = (self.dice.one_in(6), self.dice.one_in(6));
        if self.is_faulty && (is_late || is_doubled) {
            self.late.push(signed.raw.clone());
        }
        if !(self.is_faulty && is_late) {
            self.pool_in(signed.raw.clone());
        }
        tx_of(&signed.raw)
    }

    fn pool_in(&mut self, raw: Vec<u8>) {
        let (from, number, ..) = read(&raw);
        if self.tip().next(&from) <= number {
            self.pool.entry((from, number)).or_insert(raw);
        }
    }

    /// The lowest number of an account that is neither in a block nor in the pool.
    pub fn free_number(&self, of: &Account) -> u64 {
        let mut next = self.tip().next(of);
        while self.pool.contains_key(&(of.clone(), next)) {
            next += 1;
        }
        next
    }

    fn placed(&self, is_it: impl Fn(&Mined) -> bool) -> Option<(usize, &Mined)> {
        let blocks = self.blocks.iter().enumerate();
        let mut all = blocks.flat_map(|(at, block)| block.mined.iter().map(move |one| (at, one)));
        all.find(|(_, mined)| is_it(mined))
    }

    /// How final what an account signed is.
    pub fn look(&self, from: &Account, signed: &Signed) -> Finality {
        let at = self.placed(|mined| (&mined.from, mined.number) == (from, signed.number));
        match at {
            Some((at, mined)) if mined.raw == signed.raw => self.finality(at, mined),
            Some((at, _)) if at < self.final_blocks => Finality::Replaced,
            Some(_) => Finality::Unknown,
            None => match self.pool.get(&(from.clone(), signed.number)) {
                Some(raw) if *raw == signed.raw => Finality::Pending(None),
                _ => Finality::Unknown,
            },
        }
    }

    fn finality(&self, at: usize, mined: &Mined) -> Finality {
        let (block, height) = (&self.blocks[at], at as u64);
        if at >= self.final_blocks {
            return Finality::Pending(Some(Inclusion { height, block: block.name.clone() }));
        }
        let evidence = Evidence::new(tx_of(&mined.raw), height, block.name.clone(), block.at_ms);
        match &mined.did {
            Ok(moved) => Finality::Final(Evidence { amount: Amount::new(*moved), ..evidence }),
            Err(why) => Finality::Reverted { why: why.clone(), evidence },
        }
    }

    /// Whether a transaction makes a transfer, and how final that is.
    pub fn pays(&self, tx: &TxId, claimed: &Transfer) -> Result<Finality> {
        let Some((at, mined)) = self.placed(|mined| tx_of(&mined.raw) == *tx) else {
            let is_pooled = self.pool.values().any(|raw| tx_of(raw) == *tx);
            return Ok(if is_pooled { Finality::Pending(None) } else { Finality::Unknown });
        };
        let Call::Transfer(made) = &mined.call else {
            return Err(LedgerError::refused("NotATransfer", "it is something else"));
        };
        let is_it = (&made.to, &made.asset, &made.reference)
            == (&claimed.to, &claimed.asset, &claimed.reference);
        if !is_it || made.amount < claimed.amount {
            return Err(LedgerError::refused("WrongTransfer", "it pays something else"));
        }
        match self.finality(at, mined) {
            Finality::Reverted { why, .. } => Err(LedgerError::refused("Reverted", why)),
            finality => Ok(finality),
        }
    }
}

impl State {
    fn next(&self, of: &Account) -> u64 {
        self.next.get(of).copied().unwrap_or(0)
    }

    pub fn balance(&self, of: &Account, asset: &Asset) -> u128 {
        self.balances.get(&(of.clone(), asset.clone())).copied().unwrap_or(0)
    }

    /// What was moved under a reference in all.
    pub fn paid_under(&self, reference: &Reference) -> u128 {
        self.paid.get(reference).map_or(0, |all| all.iter().sum())
    }

    fn take(&mut self, raw: &[u8], domain: &Domain, now_ms: u64) -> Mined {
        let (from, number, call, _) = read(raw);
        self.next.insert(from.clone(), number + 1);
        let did = self.apply(&from, &call, domain, now_ms);
        Mined { from, number, raw: raw.to_vec(), call, did }
    }

    fn apply(
        &mut self,
        from: &Account,
        call: &Call,
        domain: &Domain,
        now_ms: u64,
    ) -> Result<u128, String> {
        match call {
            Call::Anchor(_) => Ok(0),
            Call::Transfer(transfer) => {
                let Transfer { to, asset, amount, reference } = transfer;
                self.spend(from, asset, amount.units())?;
                self.give(to, asset, amount.units());
                self.paid.entry(*reference).or_default().push(amount.units());
                Ok(amount.units())
            }
            Call::Open(open) => self.open(from, open, domain),
            Call::TopUp(top_up) => {
                let channel = self.live(&top_up.channel)?;
                self.spend(from, &channel.asset, top_up.amount.units())?;
                let channel = self.channels.get_mut(&top_up.channel).unwrap();
                channel.deposit = channel.deposit.saturating_add(top_up.amount);
                channel.close_requested_ms = None;
                Ok(0)
            }
            Call::Settle(redeem) => self.pay_out(from, redeem, domain, false),
            Call::Close(redeem) => self.pay_out(from, redeem, domain, true),
            Call::RequestClose(of) => {
                self.live(&of.channel)?;
                self.channels.get_mut(&of.channel).unwrap().close_requested_ms = Some(now_ms);
                Ok(0)
            }
            _ => Err("NotKnown: nobody asks for that here".to_owned()),
        }
    }

    fn open(&mut self, from: &Account, open: &Open, domain: &Domain) -> Result<u128, String> {
        let Open { payee, asset, deposit, salt, signer } = open;
        let id = channel_id(domain, from, payee, asset, salt, signer.as_ref());
        if self.channels.contains_key(&id) {
            return Err("ChannelAlreadyExists: take another salt".to_owned());
        }
        self.spend(from, asset, deposit.units())?;
        let channel = Channel {
            payer: from.clone(),
            payee: payee.clone(),
            asset: asset.clone(),
            signer: signer.clone().unwrap_or_else(|| from.clone()),
            deposit: *deposit,
            settled: Amount::ZERO,
            close_requested_ms: None,
            finalized: false,
        };
        self.channels.insert(id, channel);
        Ok(0)
    }

    fn live(&self, id: &ChannelId) -> Result<Channel, String> {
        let channel = self.channels.get(id).filter(|channel| !channel.finalized);
        channel.cloned().ok_or_else(|| "ChannelFinalized: nothing more happens to it".to_owned())
    }

    fn pay_out(
        &mut self,
        from: &Account,
        redeem: &Redeem,
        domain: &Domain,
        closes: bool,
    ) -> Result<u128, String> {
        let mut channel = self.live(&redeem.channel)?;
        if *from != channel.payee {
            return Err("NotPayee: somebody else may".to_owned());
        }
        let voucher = Voucher { channel: redeem.channel, amount: redeem.amount };
        let signer = redeem.signature.recover(&voucher.digest(domain));
        let gives_back = closes && redeem.amount == channel.settled;
        if redeem.amount <= channel.settled && !gives_back {
            return Err("AmountNotIncreasing: it was settled".to_owned());
        }
        if redeem.amount > channel.deposit {
            return Err("AmountExceedsDeposit: there is not so much".to_owned());
        }
        if signer.as_ref() != Some(&channel.signer) && !gives_back {
            return Err("InvalidSignature: not its signer's".to_owned());
        }
        let paid = redeem.amount.saturating_sub(channel.settled).units();
        (channel.settled, channel.finalized) = (redeem.amount, closes);
        let rest = channel.deposit.saturating_sub(channel.settled).units();
        self.give(&channel.payee.clone(), &channel.asset.clone(), paid);
        if closes {
            self.give(&channel.payer.clone(), &channel.asset.clone(), rest);
        }
        self.channels.insert(redeem.channel, channel);
        Ok(paid)
    }

    fn spend(&mut self, of: &Account, asset: &Asset, much: u128) -> Result<(), String> {
        let held = self.balances.entry((of.clone(), asset.clone())).or_default();
        *held = held.checked_sub(much).ok_or("InsufficientFunds: the account has not so much")?;
        Ok(())
    }

    fn give(&mut self, to: &Account, asset: &Asset, much: u128) {
        *self.balances.entry((to.clone(), asset.clone())).or_default() += much;
    }
}

pub fn tx_of(raw: &[u8]) -> TxId {
    keccak(&[raw]).to_string().parse().unwrap()
}

fn read(raw: &[u8]) -> Raw {
    serde_json::from_slice(raw).unwrap()
}
