//! A double of an IOTA node for tests.

#![forbid(unsafe_code)]
