//! sdpp's default ledger: small, durable, in this process, with no network of its own.
//!
//! It is a chain like the big ones, for one machine: accounts are those of Ethereum, every
//! transaction is signed and numbered, blocks name their parents by hash, payment channels
//! follow the rules of `draft-evm-session-00`, and nothing is final before its depth. What
//! works here was rehearsed for a ledger that is far away, slow and sometimes gone.
//!
//! # In this process
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use sdpp_ledger::{Asset, Amount, Key, Ledger};
//! use sdpp_ledger_embedded::{EmbeddedLedger, Genesis, LocalNode, Node, system_clock};
//! use std::sync::Arc;
//!
//! let genesis = Genesis {
//!     faucet: Some(Amount::new(1_000)),
//!     ..Genesis::default()
//! };
//! let node = LocalNode::open("ledger".as_ref(), genesis, system_clock())?;
//! let node: Arc<dyn Node> = Arc::new(node);
//! let ledger = EmbeddedLedger::new(Arc::clone(&node), Key::from_bytes(&[7; 32])?);
//! node.fund(ledger.account(), &Asset::coin(), Amount::new(500)).await?;
//! # Ok(()) }
//! ```
//!
//! # For other processes
//!
//! [`serve`] offers a node on a TCP listener (loopback: there is no authentication), and
//! [`RemoteNode::connect`] reaches it. A [`RemoteNode`] stays with the chain that it first met.
//!
//! # Blocks, depth and time
//!
//! With a block time of 0, the default, each transaction has a block of its own at once and, at
//! depth 1, is final when it is answered. A greater depth then counts later transactions'
//! blocks, or those of [`LocalNode::seal_empty`]. With a block time, blocks fall on its whole
//! multiples since the start; there is no task behind that: whoever asks first tells the time.
//!
//! # What lasts
//!
//! A folder holds `blocks` (one checked record in each line, synced before anybody is told) and
//! `lock`. Opening verifies every signature, number and hash again, cuts off a last record that
//! was not written to its end, and stops at any other damage. The pool is not kept: what waited
//! there is unknown after a restart, and its owner submits the same bytes again.
//!
//! All of the chain is in memory too, its transactions included: it is for one machine's
//! sessions, and a folder that has grown too large is left for a new one.
//!
//! # What is deliberately absent
//!
//! Fees, consensus between several nodes, programs on the chain, pruning, authentication.
//! Nothing here knows of sessions, messages, journals or actors.

#![forbid(unsafe_code)]

mod block;
mod chain;
mod effect;
mod escrow;
pub mod faults;
mod genesis;
mod ledger;
mod local;
mod node;
mod pool;
mod record;
mod refusal;
mod remote;
mod serve;
mod state;
mod store;
mod tx;
mod wire;

pub use block::Raw;
pub use chain::{BLOCKS_AT_ONCE, OPS_MAX};
pub use effect::BATCH_ROWS_MAX;
pub use genesis::{ALLOCATIONS_MAX, Allocation, Genesis, Origin};
pub use ledger::EmbeddedLedger;
pub use local::{Clock, LocalNode, system_clock};
pub use node::{Answer, CHANNELS_MAX, Node, ROWS_MAX, Request};
pub use pool::{GAP_MAX, POOL_MAX};
pub use record::{Place, TxRecord};
pub use refusal::Refusal;
pub use remote::{ANSWER_WAIT, RemoteNode};
pub use serve::{CONNECTIONS_MAX, IDLE_MAX, serve};
pub use store::OpenError;
pub use tx::TX_BYTES_MAX;
pub use wire::{ANSWER_BYTES_MAX, QUESTION_BYTES_MAX};
