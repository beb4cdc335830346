//! Any EVM chain as a ledger of sdpp.
//!
//! A node is asked over JSON-RPC; nothing that it says is believed beyond what it is asked for,
//! and nothing that it says in words decides anything. What is sent is signed here first, and
//! its id is known before it leaves.
//!
//! Reading order: [`Settings`] and [`EthereumLedger`] (`ledger`), what a call is on the chain
//! (`abi`, `artifact`, `tx`, `fees`, `prepare`), how it gets there and what became of it (`submit`,
//! `finality`, `numbers`, `evidence`, `events`), and the four abilities (`records`, `payments`, `escrow`, `bonds`), and what others tell there (`token`, `feed`). `rpc`,
//! `endpoints`, `view` and `proof` are the way to a node.

#![forbid(unsafe_code)]

mod abi;
mod artifact;
mod bonds;
mod deploy;
mod endpoints;
mod escrow;
mod events;
mod evidence;
mod feed;
mod fees;
mod finality;
mod ledger;
mod names;
mod numbers;
mod payments;
mod prepare;
mod proof;
mod records;
mod rpc;
mod submit;
mod token;
mod tx;
mod view;

pub use deploy::Deployed;
pub use ledger::{EthereumLedger, Settings, TxView};
pub use sdpp_ledger::{Endpoint, EndpointError};
pub use token::Token;
