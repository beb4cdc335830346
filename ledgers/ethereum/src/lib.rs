//! Any EVM chain as a ledger of sdpp.

#![forbid(unsafe_code)]
