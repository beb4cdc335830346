//! The bonds of both sides of a channel: what is signed of them, and how large they must be, so that to
//! play fair is the best answer of both. Pure: what a window costs and what gas costs go in, amounts come out. Why they are what they are
//! stands in `contracts/ethereum/BONDS.md`; that they are enough, and no more than that, is what
//! [`game`] finds by playing every dispute through.

pub mod game;
#[cfg(test)]
mod tests;

pub use crate::terms::BondTerms;

use sdpp_ledger::Amount;
use serde::Serialize;
use std::fmt;

/// What the calls of a dispute cost in gas: those of `contracts/ethereum/gas.md`, in coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gas {
    /// The seller asks in public.
    pub demand: u64,
    /// The buyer pays with a voucher, and gets nothing for it.
    pub pay: u64,
    /// The buyer brings a receipt.
    pub refute: u64,
    /// The buyer asks the seller to show an item.
    pub complain: u64,
    /// The seller shows it.
    pub show: u64,
    /// Whoever was right ends it, and takes out what it won.
    pub conclude: u64,
}

impl Gas {
    /// In coin.
    pub const COIN: Gas = Gas {
        demand: 97_000,
        pay: 94_000,
        refute: 76_000,
        complain: 84_000,
        show: 47_000,
        conclude: 96_000,
    };

    /// What a stake in a token costs more to bring, and a credit in one to take out.
    const TOKEN: u64 = 40_000;

    /// What each level of a way up that is longer than a window's costs more to show.
    const LEVEL: u64 = 1_020;

    /// The levels above a window of 256.
    const LEVELS: u64 = 8;

    /// Where items are of a dataset of so many levels.
    pub const fn of_dataset(self, levels: u64) -> Gas {
        let more = levels.saturating_sub(Self::LEVELS);
        Gas { show: self.show + more * Self::LEVEL, ..self }
    }

    /// In a token, whose stakes are transfers.
    pub const fn in_token(self) -> Gas {
        let Gas { demand, complain, conclude, .. } = self;
        Gas {
            demand: demand + Self::TOKEN,
            complain: complain + Self::TOKEN,
            conclude: conclude + Self::TOKEN,
            ..self
        }
    }
}

/// What a deal puts at risk, and what a dispute about it costs, in the currency's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deal {
    /// What a window of K items costs: what a seller can have for items that are not what it signed.
    pub window: u128,
    /// What W windows cost: what a buyer can owe for items that it has.
    pub credit: u128,
    /// What a demand costs when gas is cheapest.
    pub cheapest_demand: u128,
    /// What each call costs when gas is dearest; of [`Gas::demand`].
    pub demand: u128,
    /// Of [`Gas::pay`].
    pub pay: u128,
    /// Of [`Gas::refute`].
    pub refute: u128,
    /// Of [`Gas::complain`].
    pub complain: u128,
    /// Of [`Gas::show`].
    pub show: u128,
    /// Of [`Gas::conclude`].
    pub conclude: u128,
}

/// What a million units of gas cost, in the currency's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GasPrice {
    /// While the bond stands, at the least.
    pub least: Amount,
    /// At the most.
    pub most: Amount,
}

/// What both sides should agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bonds {
    /// What the buyer pledges, at the least.
    pub buyer: Amount,
    /// What the seller pledges, at the least.
    pub seller: Amount,
    /// What a complaint is made with.
    pub stake: Amount,
    /// What a buyer that pays only when it is asked in public pays for that.
    pub fee: Amount,
    /// The smallest debt that a seller asks for in public: a smaller one costs it more than it brings.
    pub least_debt: Amount,
}

/// Why no bonds do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBonds {
    /// A price, K, W or rate of zero, or windows that cost nothing.
    Nothing,
    /// All that may be unpaid is less than what it pays to ask for.
    CreditTooSmall {
        /// What W windows cost.
        credit: Amount,
        /// The smallest debt that is asked for.
        least_debt: Amount,
    },
    /// An amount is more than the contract can hold: 2^88 - 1.
    TooLarge,
}

/// What an amount can be at most in the contract.
const AMOUNT_MAX: u128 = (1 << 88) - 1;

impl Deal {
    /// Windows and credit as the terms have them; what gas costs.
    ///
    /// # Errors
    /// When an amount is zero, or more than the contract holds.
    pub fn new(window: Amount, credit: Amount, gas: Gas, price: GasPrice) -> Result<Deal, NoBonds> {
        let (window, credit) = (window.units(), credit.units());
        if window == 0 || credit == 0 {
            return Err(NoBonds::Nothing);
        }
        let largest = [window, credit, price.least.units(), price.most.units()];
        if largest.into_iter().any(|amount| amount > AMOUNT_MAX) {
            return Err(NoBonds::TooLarge);
        }
        let most = |gas: u64| cost(gas, price.most);
        Ok(Deal {
            window,
            credit,
            cheapest_demand: cost(gas.demand, price.least),
            demand: most(gas.demand),
            pay: most(gas.pay),
            refute: most(gas.refute),
            complain: most(gas.complain),
            show: most(gas.show),
            conclude: most(gas.conclude),
        })
    }

    /// The smallest bonds with which to play fair is the best answer of both at every turn, and with
    /// which who played fair has lost nothing when the other did not.
    ///
    /// # Errors
    /// When there are none; see [`NoBonds`].
    pub fn bonds(&self) -> Result<Bonds, NoBonds> {
        // Less than a demand costs, so that to ask for what was paid never pays.
        let fee = self.cheapest_demand.saturating_sub(1);
        let stake = self.show;
        let least_debt = (self.demand + 1).saturating_sub(fee).max(1);
        if self.credit < least_debt {
            let (credit, least_debt) = (Amount::new(self.credit), Amount::new(least_debt));
            return Err(NoBonds::CreditTooSmall { credit, least_debt });
        }
        let seller = doubled(self.window + self.complain + self.conclude)
            .max(doubled(self.refute.saturating_sub(stake)))
            .max(self.window + 1);
        let buyer = doubled(self.credit + self.demand + self.conclude)
            .max(self.credit + fee + self.pay + 1);
        if buyer.max(seller) > AMOUNT_MAX {
            return Err(NoBonds::TooLarge);
        }
        let [buyer, seller, stake, fee, least_debt] =
            [buyer, seller, stake, fee, least_debt].map(Amount::new);
        Ok(Bonds { buyer, seller, stake, fee, least_debt })
    }
}

/// What gas costs, rounded up: nothing is free.
fn cost(gas: u64, million: Amount) -> u128 {
    (u128::from(gas) * million.units()).div_ceil(1_000_000).max(1)
}

/// The smallest bond of which the half that is not burnt, rounded up, is so much.
fn doubled(half: u128) -> u128 {
    (2 * half).saturating_sub(1)
}

impl fmt::Display for NoBonds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoBonds::Nothing => f.write_str(
                "a window that costs nothing needs no bond: the price, K, W and the rate are all \
                 above zero where one is pledged",
            ),
            NoBonds::CreditTooSmall { credit, least_debt } => write!(
                f,
                "all that may be unpaid is {credit}, and to ask for less than {least_debt} costs a \
                 seller more than it brings, so no bond makes a buyer pay it: take larger windows, \
                 or more of them, or a ledger with cheaper gas"
            ),
            NoBonds::TooLarge => f.write_str(
                "such an amount is more than the contract holds, which is 2^88 - 1 of the smallest \
                 unit",
            ),
        }
    }
}

impl std::error::Error for NoBonds {}
