//! Hyperledger Fabric as a ledger of sdpp, through a REST gateway (FireFly FabConnect).
//!
//! The gateway signs: what is prepared here is a request, and the reference in it is what makes
//! sending it twice harmless, since the chaincode does a thing once under its caller's reference.
//! What became of a request is found by that reference, never by what the gateway said to it.
//!
//! Reading order: [`Settings`], [`FabricLedger`] (`ledger`), what a call is there (`call`, `names`,
//! `rows`, `block`), how it gets there and what became of it (`submit`, `spends`, `finality`), the
//! two abilities (`records`, `payments`), what an operator asks (`operator`), what the ledger
//! tells by itself (`events`). `gateway` and `class` are the way to the gateway, and `same` sees
//! that the same ledger is behind it.

#![forbid(unsafe_code)]

mod block;
mod call;
mod class;
mod events;
mod finality;
mod gateway;
mod ledger;
mod names;
mod operator;
mod payments;
mod records;
mod rows;
mod same;
mod settings;
mod spends;
mod submit;

pub use ledger::FabricLedger;
pub use operator::{Debts, Ious, TxView};
pub use sdpp_ledger::{Endpoint as Gateway, EndpointError as GatewayError};
pub use settings::{Login, Settings, Tls};
