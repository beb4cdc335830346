//! The Streaming Data Payment Protocol: sell a sensor's data stream to a stranger, paid item by
//! item on the ledger that both agree on, provable afterwards.

#![forbid(unsafe_code)]

pub mod actors;
pub mod admin;
pub mod audit;
pub mod bond;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod dispute;
pub mod door;
pub mod gate;
pub mod journal;
pub mod keystore;
pub mod message;
pub mod rates;
pub mod record;
pub mod session;
pub mod settling;
pub mod source;
pub mod standing;
pub mod terms;
pub mod tls;
