//! How the small ledger behaves where transactions have no numbers: as a gateway in front of a
//! ledger that knows the caller's references, or as one whose coins are spent once each.

use super::ledger::{Chain, Mined, tx_of};
use super::*;
use sdpp_ledger::{Finality, LedgerError, Result};

/// What keeps a transaction from happening twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its account's number.
    Numbers,
    /// The caller's reference: what comes again under one moves nothing. A block is final.
    Gateway,
    /// The coin that it spends: two that spend one exclude each other.
    Coins,
}

/// A coin, and how often it was spent before.
pub(super) type Coin = (u64, u64);

/// How many coins there are.
const COINS: u64 = 5;

/// What is true of a ledger without numbers alone.
#[derive(Default)]
pub(super) struct Unnumbered {
    /// What is on its way, as it was told before the last preparation.
    pub(super) live: Vec<Mined>,
    /// What was taken, and happens later than its caller waits.
    late: Vec<Mined>,
    /// Two that spend one coin arrived. A real ledger may lock the coin for a day.
    pub(super) equivocated: bool,
    /// It refuses what it did, instead of saying so.
    pub(super) forgetful: bool,
    spent: BTreeMap<u64, u64>,
    arrived: BTreeMap<Coin, Vec<u8>>,
}

impl Chain {
    /// A coin that nothing on its way spends.
    pub(super) fn pick(&mut self) -> Result<Option<Coin>> {
        if self.kind != Kind::Coins {
            return Ok(None);
        }
        let taken: Vec<Coin> = self.unnumbered.live.iter().filter_map(|one| one.coin).collect();
        let version = |coin: u64| self.unnumbered.spent.get(&coin).copied().unwrap_or(0);
        let free = (0..COINS).map(|coin| (coin, version(coin))).find(|coin| !taken.contains(coin));
        free.map(Some).ok_or_else(|| LedgerError::unavailable("each coin is in use"))
    }

    pub(super) fn take_unnumbered(&mut self, one: Mined) -> Result<TxId> {
        let known = self.arrived.entry(one.number).or_default();
        if !known.contains(&one.raw) {
            known.push(one.raw.clone());
        }
        match self.kind {
            Kind::Coins => self.take_coin(one),
            _ => self.take_request(one),
        }
    }

    fn take_request(&mut self, one: Mined) -> Result<TxId> {
        if let Some(first) = self.done_under(&one) {
            let is_refused = first.raw != one.raw || self.unnumbered.forgetful;
            return match is_refused {
                true => Err(LedgerError::refused("Conflict", "the reference is taken")),
                false => Ok(tx_of(&first.raw)),
            };
        }
        if self.faulty && self.dice.one_in(5) {
            self.unnumbered.late.push(one);
            return Err(LedgerError::unavailable("no answer in time"));
        }
        let tx = tx_of(&one.raw);
        self.blocks.push(vec![one]);
        Ok(tx)
    }

    fn take_coin(&mut self, one: Mined) -> Result<TxId> {
        let coin = one.coin.unwrap();
        let tx = tx_of(&one.raw);
        if self.is_spent(coin) {
            return match self.mined().any(|mined| mined.raw == one.raw) {
                true => Ok(tx),
                false => Err(LedgerError::refused("Stale", "the coin was spent")),
            };
        }
        if one.fee < self.price {
            return Err(LedgerError::unavailable("it offers less than the price of the day"));
        }
        let first = self.unnumbered.arrived.entry(coin).or_insert_with(|| one.raw.clone());
        self.unnumbered.equivocated |= *first != one.raw;
        self.pool.insert(one.number, one.raw);
        Ok(tx)
    }

    /// What came late, and what waits.
    pub(super) fn mine_unnumbered(&mut self) {
        for one in std::mem::take(&mut self.unnumbered.late) {
            if self.done_under(&one).is_none() {
                self.blocks.push(vec![one]);
            }
        }
        let mut block = Vec::new();
        for raw in std::mem::take(&mut self.pool).into_values() {
            let one = super::ledger::read(&raw);
            let coin = one.coin.unwrap();
            if !self.is_spent(coin) {
                self.unnumbered.spent.insert(coin.0, coin.1 + 1);
                block.push(one);
            }
        }
        self.blocks.push(block);
    }

    pub(super) fn look_unnumbered(&self, one: &Mined) -> Finality {
        for (height, block) in self.blocks.iter().enumerate() {
            if !block.iter().any(|mined| mined.raw == one.raw) {
                continue;
            }
            let evidence = self.evidence(&one.raw, height);
            return match one.call.as_ref().is_some_and(|call| self.reverts(call)) {
                true => Finality::Reverted { why: "reverted".to_owned(), evidence },
                false => Finality::Final(evidence),
            };
        }
        match one.coin {
            Some(coin) if self.is_spent(coin) => Finality::Replaced,
            _ if self.pool.values().any(|raw| *raw == one.raw) => Finality::Pending(None),
            _ => Finality::Unknown,
        }
    }

    /// Prices change between epochs, and with an epoch ends what was not done in it.
    pub(super) fn begin_epoch(&mut self) {
        self.unnumbered.arrived.clear();
        self.pool.clear();
    }

    /// Somebody else signs with our key, and is first.
    pub(super) fn spend(&mut self, coin: u64) {
        *self.unnumbered.spent.entry(coin).or_default() += 1;
    }

    fn is_spent(&self, (coin, version): Coin) -> bool {
        self.unnumbered.spent.get(&coin).is_some_and(|next| *next > version)
    }

    fn done_under(&self, one: &Mined) -> Option<Mined> {
        let name = |mined: &Mined| mined.call.as_ref().map(named);
        self.mined().find(|mined| name(mined) == name(one)).cloned()
    }
}

/// Under what the ledger keeps a call.
fn named(call: &Call) -> [u8; 32] {
    match call {
        Call::Transfer(transfer) => transfer.reference.0,
        Call::Anchor(Anchor::One { reference, .. }) => reference.0,
        Call::Anchor(Anchor::Root { root, .. }) => root.0,
        other => panic!("no such call here: {other:?}"),
    }
}
