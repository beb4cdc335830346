//! The coin book: which coins a transaction may live on. Two transactions on one version of a coin
//! exclude each other, and can lock it until the epoch ends; so a coin belongs to one row of what
//! is owed until that row has ended. A value: it is told what the node has and what is on its way,
//! and asks nobody.
//!
//! Nothing is ever sent that is not somebody's payment or record: so coins are made of the change
//! of those (a transaction of its own would be known to no journal when a crash comes), and what
//! is small is swept up by those as well, into the coin that they live on.

use crate::shape::Split;
use iota_sdk_types::{ObjectId, ObjectReference, Version};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The most coins that one transaction lives on. The network takes 256.
const GAS_MAX: usize = 250;

/// The most small coins that one transaction sweeps up beside those that it needs.
const SWEEP_MAX: usize = 32;

/// The most coins that one transaction makes of its change.
const SPLIT_MAX: usize = 64;

/// The most coins of which it is remembered that an old version was spent.
const FLOORS_MAX: usize = 4096;

/// A coin of ours, as the node has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coin {
    /// Which, at which version.
    pub at: ObjectReference,
    /// What it holds, in NANOS.
    pub balance: u64,
}

/// What a transaction needs, all in NANOS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// What it pays.
    pub amount: u64,
    /// What it may cost beside, where it makes no coins.
    pub fee: u64,
    /// What each coin that it makes costs beside; one at least.
    pub fee_each: u64,
    /// The most that it may cost in all.
    pub ceiling: u64,
}

/// What a transaction is to live on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    /// The coins, one at least; all of them become the first.
    pub gas: Vec<ObjectReference>,
    /// The coins that it makes of its change.
    pub split: Option<Split>,
    /// What it may cost so.
    pub fee: u64,
}

/// Why there is nothing to live on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Short {
    /// All coins together do not hold so much.
    Poor,
    /// They do, but not so many as one transaction may live on.
    Scattered,
    /// They do, once some that are in use are free again.
    Busy,
}

/// Which coins are in use.
#[derive(Debug, Default)]
pub(crate) struct Book {
    held: BTreeMap<ObjectId, Hold>,
    /// Below which version a coin is known to be spent, whatever a node that lags says.
    floors: BTreeMap<ObjectId, Version>,
}

/// A coin in use.
#[derive(Debug, Clone, Copy)]
struct Hold {
    version: Version,
    /// Whether who uses it was told of since it was taken: then it is in use until it is not told
    /// any more. Else until the node shows that it was spent.
    is_told: bool,
    /// How many coins its transaction makes.
    makes: u16,
}

impl Book {
    /// What is on its way, all of it: the coins that each lives on, and how many it makes.
    pub fn note_live(&mut self, live: impl IntoIterator<Item = (Vec<ObjectReference>, u16)>) {
        self.held.clear();
        for (gas, makes) in live {
            self.hold(&gas, makes, true);
        }
    }

    /// Takes what was picked.
    pub fn take(&mut self, pick: &Pick) {
        self.hold(&pick.gas, pick.split.map_or(0, |split| split.count), false);
    }

    /// Takes note that these were spent, for good.
    pub fn note_spent(&mut self, gas: &[ObjectReference]) {
        for at in gas {
            let floor = self.floors.entry(at.object_id).or_default();
            *floor = (*floor).max(after(at.version));
        }
        while self.floors.len() > FLOORS_MAX {
            self.floors.pop_first();
        }
    }

    /// What a transaction is to live on, of the coins that the node has, where so many coins are
    /// wanted: those that hold the most, then so many small ones as are too many.
    pub fn pick(&self, coins: &[Coin], need: &Need, aim: usize) -> Result<Pick, Short> {
        let mut free: Vec<&Coin> = coins.iter().filter(|coin| self.is_free(coin)).collect();
        free.sort_by_key(|coin| (Reverse(coin.balance), coin.at.object_id));
        let least = u128::from(need.amount) + u128::from(need.fee);
        let (mut sum, mut count) = (0_u128, 0);
        for coin in free.iter().take(GAS_MAX) {
            if count > 0 && sum >= least {
                break;
            }
            (sum, count) = (sum + u128::from(coin.balance), count + 1);
        }
        if count == 0 || sum < least {
            return Err(short(coins, least));
        }
        // When all that is on its way has landed there are so many.
        let then = coins.len() - count + 1 + self.to_come(coins);
        let too_many = then.saturating_sub(aim);
        let swept = too_many.min(SWEEP_MAX).min((free.len() - count) / 2).min(GAS_MAX - count);
        let (main, rest) = free.split_at(count);
        let small = &rest[rest.len() - swept..];
        let gas = main.iter().chain(small).map(|coin| coin.at).collect();
        let split = split(sum - least, least, aim.saturating_sub(then), need);
        let made = split.map_or(0, |split| u64::from(split.count));
        let fee = need.fee.saturating_add(made.saturating_mul(need.fee_each));
        Ok(Pick { gas, split, fee })
    }

    fn hold(&mut self, gas: &[ObjectReference], makes: u16, is_told: bool) {
        for (nth, at) in gas.iter().enumerate() {
            // They are made once, whatever the number of coins.
            let makes = if nth == 0 { makes } else { 0 };
            let hold = Hold { version: at.version, is_told, makes };
            let now = self.held.entry(at.object_id).or_insert(hold);
            if now.version <= hold.version {
                *now = hold;
            }
        }
    }

    fn is_free(&self, coin: &Coin) -> bool {
        let is_held = self.held.get(&coin.at.object_id).is_some_and(|hold| {
            // What was never told of since is over when its coin shows a later version.
            hold.is_told || coin.at.version <= hold.version
        });
        let floor = self.floors.get(&coin.at.object_id);
        !is_held && floor.is_none_or(|floor| coin.at.version >= *floor)
    }

    /// How many coins are being made that the node cannot show yet.
    fn to_come(&self, coins: &[Coin]) -> usize {
        let is_ahead = |coin: &&Coin| {
            let hold = self.held.get(&coin.at.object_id);
            hold.is_some_and(|hold| coin.at.version <= hold.version)
        };
        let made = |coin: &Coin| self.held.get(&coin.at.object_id).map_or(0, |hold| hold.makes);
        coins.iter().filter(is_ahead).map(|coin| usize::from(made(coin))).sum()
    }
}

/// Why these coins are not enough, at least as long as others are in use.
fn short(coins: &[Coin], least: u128) -> Short {
    let mut balances: Vec<u128> = coins.iter().map(|coin| u128::from(coin.balance)).collect();
    balances.sort_unstable_by_key(|balance| Reverse(*balance));
    let has: u128 = balances.iter().sum();
    let at_once: u128 = balances.iter().take(GAS_MAX).sum();
    match (has < least, at_once < least) {
        (true, _) => Short::Poor,
        (false, true) => Short::Scattered,
        (false, false) => Short::Busy,
    }
}

/// The coins that are made of change: so many as are lacking, where each, and what stays, is good
/// for two more transactions like this one, and where they do not cost too much.
fn split(change: u128, least: u128, lacking: usize, need: &Need) -> Option<Split> {
    let (each, floor) = (u128::from(need.fee_each.max(1)), least.saturating_mul(2));
    let affordable = u128::from(need.ceiling.saturating_sub(need.fee)) / each;
    let large_enough = change.saturating_sub(floor) / (floor + each);
    let lacking = lacking.min(SPLIT_MAX) as u128;
    let count = lacking.min(affordable).min(large_enough);
    let share = (change - (count * each).min(change)) / (count + 1);
    let (count, share) = (u16::try_from(count).ok()?, u64::try_from(share).ok()?);
    (count > 0).then_some(Split { count, share })
}

fn after(version: Version) -> Version {
    version.as_u64().saturating_add(1).into()
}

#[cfg(test)]
mod tests;
