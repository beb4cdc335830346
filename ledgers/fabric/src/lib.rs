//! Hyperledger Fabric as a ledger of sdpp, through a REST gateway.

#![forbid(unsafe_code)]
