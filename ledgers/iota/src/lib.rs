//! IOTA as a ledger of sdpp.

#![forbid(unsafe_code)]
