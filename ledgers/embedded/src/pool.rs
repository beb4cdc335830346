//! Transactions that wait for a block: for their turn, or for the block's time.
//!
//! Kept in memory only. A pool that is forgotten (a restart) is no loss: whoever watches a
//! transaction finds it unknown and submits the same bytes again.

use crate::Refusal;
use crate::tx::Tx;
use sdpp_ledger::{Account, LedgerError, TxId};
use std::collections::BTreeMap;

/// The most transactions that wait at once.
pub const POOL_MAX: usize = 4_096;

/// How far a number may be ahead of the account's next one; so the most of one account that
/// wait at once is one more.
pub const GAP_MAX: u64 = 64;

#[derive(Debug, Default)]
pub(crate) struct Pool {
    by_account: BTreeMap<Account, BTreeMap<u64, Waiting>>,
    size: usize,
    arrivals: u64,
}

#[derive(Debug)]
struct Waiting {
    tx: Tx,
    arrival: u64,
}

impl Pool {
    /// Takes a transaction in; `next` tells the lowest number that no block has used for an
    /// account. The same one again is no error.
    pub fn insert(&mut self, tx: Tx, next: impl Fn(&Account) -> u64) -> Result<(), LedgerError> {
        let turn = next(&tx.from);
        check_number(&tx, turn)?;
        if let Some(first) = self.find(&tx.from, tx.number) {
            return same(first, &tx);
        }
        if self.size >= POOL_MAX {
            self.make_room(tx.number == turn, next)?;
        }
        self.size += 1;
        self.arrivals += 1;
        let (from, number) = (tx.from.clone(), tx.number);
        let waiting = Waiting { tx, arrival: self.arrivals };
        let of_account = self.by_account.entry(from).or_default();
        of_account.insert(number, waiting);
        Ok(())
    }

    /// Takes out the one that came first among those whose turn it is.
    pub fn pop(&mut self, next: impl Fn(&Account) -> u64) -> Option<Tx> {
        let turns = self.by_account.iter();
        let turns = turns.filter_map(|(account, txs)| txs.get(&next(account)));
        let first = turns.min_by_key(|waiting| waiting.arrival)?;
        let (account, number) = (first.tx.from.clone(), first.tx.number);
        self.remove(&account, number)
    }

    /// The one of this account and number.
    pub fn find(&self, account: &Account, number: u64) -> Option<&Tx> {
        let waiting = self.by_account.get(account)?.get(&number)?;
        Some(&waiting.tx)
    }

    /// The one with this id.
    pub fn find_id(&self, id: &TxId) -> Option<&Tx> {
        self.txs().find(|tx| tx.id == *id)
    }

    /// All that wait.
    pub fn txs(&self) -> impl Iterator<Item = &Tx> {
        let all = self.by_account.values().flat_map(BTreeMap::values);
        all.map(|waiting| &waiting.tx)
    }

    /// The lowest number from `next` on that nothing here uses.
    pub fn next_number(&self, account: &Account, next: u64) -> u64 {
        let free = |number: &u64| self.find(account, *number).is_none();
        (next..u64::MAX).find(free).unwrap_or(u64::MAX)
    }

    /// Forgets everything; returns how much that was.
    pub fn clear(&mut self) -> usize {
        let size = self.size;
        *self = Pool::default();
        size
    }

    fn remove(&mut self, account: &Account, number: u64) -> Option<Tx> {
        let of_account = self.by_account.get_mut(account)?;
        let waiting = of_account.remove(&number)?;
        if of_account.is_empty() {
            self.by_account.remove(account);
        }
        self.size -= 1;
        Some(waiting.tx)
    }

    /// A full pool drops one with a gap before it for a newcomer whose turn it is, so that
    /// strangers' gaps keep nobody out.
    fn make_room(
        &mut self,
        newcomer_is_next: bool,
        next: impl Fn(&Account) -> u64,
    ) -> Result<(), LedgerError> {
        let mut lasts = self.by_account.iter().filter_map(|(account, txs)| {
            let last = *txs.keys().last()?;
            let gapped = last.saturating_sub(next(account)) >= txs.len() as u64;
            gapped.then(|| (account.clone(), last))
        });
        match lasts.next() {
            Some((account, last)) if newcomer_is_next => {
                self.remove(&account, last);
                Ok(())
            }
            _ => Err(LedgerError::unavailable(format!(
                "{POOL_MAX} transactions wait already, which is the most"
            ))),
        }
    }
}

fn check_number(tx: &Tx, next: u64) -> Result<(), Refusal> {
    let Tx { from, number, .. } = tx;
    if *number < next {
        let why = format!("number {number} of {from} is used; the next one is {next}");
        return Err(Refusal::new("NonceTooLow", why));
    }
    if *number - next > GAP_MAX {
        let why = format!("number {number} of {from} is more than {GAP_MAX} ahead of {next}");
        return Err(Refusal::new("NonceTooHigh", why));
    }
    Ok(())
}

/// There are no fees to outbid with, so the first of two under one number stays.
fn same(first: &Tx, second: &Tx) -> Result<(), LedgerError> {
    if first.id == second.id {
        return Ok(());
    }
    let why = format!("{} waits under number {}", first.id, first.number);
    Err(Refusal::new("NumberTaken", why).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdpp_ledger::{Anchor, Call, Digest, Key, Reference};

    fn tx(owner: u16, number: u64) -> Tx {
        let mut secret = [1; 32];
        secret[..2].copy_from_slice(&owner.to_be_bytes());
        let anchor = Anchor::One { reference: Reference([0; 32]), digest: Digest::ZERO };
        let key = Key::from_bytes(&secret).unwrap();
        Tx::sign(&Digest::ZERO, &key, number, &Call::Anchor(anchor))
    }

    #[test]
    fn turns_are_taken_in_order_of_arrival() {
        let mut pool = Pool::default();
        for tx in [tx(2, 1), tx(1, 0), tx(2, 0)] {
            pool.insert(tx, |_| 0).unwrap();
        }
        assert_eq!(pool.pop(|_| 0), Some(tx(1, 0)));
        assert_eq!(pool.pop(|_| 0), Some(tx(2, 0)));
        assert_eq!(pool.pop(|_| 0), None);
        assert_eq!(pool.pop(|_| 1), Some(tx(2, 1)));
        assert_eq!(pool.size, 0);
        for [first, second] in [[1, 2], [2, 1]] {
            pool.insert(tx(first, 0), |_| 0).unwrap();
            pool.insert(tx(second, 0), |_| 0).unwrap();
            assert_eq!(pool.pop(|_| 0), Some(tx(first, 0)));
            assert_eq!(pool.pop(|_| 0), Some(tx(second, 0)));
        }
    }

    #[test]
    fn a_full_pool_drops_a_gap_for_a_turn_and_nothing_else() {
        let mut pool = Pool::default();
        let owners = (POOL_MAX as u64 / 64) as u16;
        for (owner, number) in (0..owners).flat_map(|o| (1..65).map(move |n| (o, n))) {
            pool.insert(tx(owner, number), |_| 0).unwrap();
        }
        assert_eq!(pool.size, POOL_MAX);
        let another_gap = pool.insert(tx(owners, 1), |_| 0);
        assert!(matches!(another_gap, Err(LedgerError::Unavailable { .. })));
        // Where it is everybody's turn, there is no gap to drop.
        let newcomer = tx(owners, 0);
        let nobody_gapped = |account: &Account| u64::from(*account != newcomer.from);
        let refused = pool.insert(newcomer.clone(), nobody_gapped);
        assert!(matches!(refused, Err(LedgerError::Unavailable { .. })));
        pool.insert(tx(owners, 0), |_| 0).unwrap();
        assert_eq!(pool.size, POOL_MAX);
        assert_eq!(pool.pop(|_| 0), Some(tx(owners, 0)));
    }
}
