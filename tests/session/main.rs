//! Stories of one session, both sides, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod liars;
mod pair;
mod patience;
mod properties;
mod stories;
