//! What ledgers of any kind tell beyond the traits, for people to read.

use sdpp_ledger::{Account, Amount, Call, Finality, TxId};

/// A transaction as a ledger tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub tx: TxId,
    /// Who signed it.
    pub from: Account,
    /// The signer's number in it; `None` on a ledger without numbers.
    pub number: Option<u64>,
    /// What it asks for.
    pub asks: Asks,
    /// How final it is.
    pub finality: Finality,
}

/// What a transaction asks a ledger for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// Something that we could have asked for.
    Call(Call),
    /// Something else.
    Other {
        /// Of whom; `None` where it makes a contract.
        to: Option<Account>,
        /// What it brings along, in the coin's smallest unit.
        value: Amount,
    },
    /// A function that has no call of ours, by its name.
    Function(String),
}

/// Something that was put on a ledger, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The transaction that did it.
    pub tx: TxId,
    /// Where it is now.
    pub contract: Account,
    /// Height of its block.
    pub height: u64,
}

/// What a ledger says of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What people write behind an amount.
    pub symbol: String,
    /// How many decimals a whole one has.
    pub decimals: u8,
}
