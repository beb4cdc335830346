//! `sdpp dispute`: what a session that did not end well comes to, and what is done about it.

mod case;
mod claim;
pub(super) mod settle;
pub(super) mod settling;

use super::exit::Outcome;
use clap::{Args, Subcommand};

/// Settle what a session left behind.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp dispute settle 0xSESSION --config seller.toml --dry-run")]
pub(super) struct Dispute {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Settle(settle::Settle),
}

impl Dispute {
    pub(super) fn run(self) -> Outcome {
        match self.verb {
            Verb::Settle(verb) => verb.run(),
        }
    }
}
