//! Stories of one session, both sides, in virtual time.

mod liars;
mod pair;
mod properties;
mod stories;
