//! `sdpp bench`: the README's figures, measured again on this machine. One figure, one file.

mod audit;
#[cfg(feature = "fabric")]
mod fabric;
mod history;
#[cfg(feature = "iota")]
mod iota;
mod judge;
mod redeeming;
mod setting;
mod settle;
mod windows;
#[cfg(any(feature = "fabric", feature = "iota"))]
mod work;

use super::exit::Outcome;
use clap::{Args, Subcommand};

/// Measure the README's figures again on this machine.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  scripts/anvil up && sdpp bench settle")]
pub(super) struct Bench {
    #[command(subcommand)]
    figure: Figure,
}

#[derive(Debug, Subcommand)]
enum Figure {
    Audit(audit::Audit),
    Settle(settle::Settle),
    Judge(judge::Judge),
    #[cfg(feature = "fabric")]
    Fabric(fabric::Fabric),
    #[cfg(feature = "iota")]
    Iota(iota::Iota),
}

impl Bench {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        match self.figure {
            Figure::Audit(audit) => audit.run(),
            Figure::Settle(settle) => settle.run(),
            Figure::Judge(judge) => judge.run(),
            #[cfg(feature = "fabric")]
            Figure::Fabric(fabric) => fabric.run(),
            #[cfg(feature = "iota")]
            Figure::Iota(iota) => iota.run(),
        }
    }
}
