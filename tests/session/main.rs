//! Stories of one session, both sides, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod liars;
mod pair;
mod properties;
mod stories;
