//! IOTA (the object ledger) as a ledger of sdpp: payments in its own coin, and records.
//!
//! A node is asked over JSON-RPC. What it says of a transaction is believed as far as the
//! transaction's own bytes bear it out; what it says in words decides only what a table of recorded
//! errors names. What is sent is made of the network's own types, signed here first, and its digest
//! is known before it leaves.
//!
//! Reading order: [`Settings`] and [`IotaLedger`] (`ledger`), what a call is on the network
//! (`record`, `shape`, `tx`, `signer`), what it lives on and costs (`coins`, `fees`, `prepare`),
//! how it gets there and what became of it (`submit`, `finality`), and the two abilities
//! (`payments`, `records`). `rpc`, `said` and `view` are the way to a node; `faucet` is what an
//! operator does by hand.

#![forbid(unsafe_code)]

mod coins;
mod faucet;
mod fees;
mod finality;
mod ledger;
mod names;
mod objects;
mod payments;
mod prepare;
mod record;
#[cfg(test)]
mod recorded;
mod records;
mod rpc;
mod said;
mod shape;
mod signer;
mod spent;
mod submit;
mod tx;
mod view;

pub use ledger::{IotaLedger, Settings, TxView};
pub use signer::Scheme;
