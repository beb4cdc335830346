//! `sdpp bench`: the README's figures, measured again on this machine. One figure, one file.

mod all;
mod audit;
mod bare;
mod clock;
#[cfg(feature = "fabric")]
mod fabric;
mod fig3;
mod history;
#[cfg(feature = "iota")]
mod iota;
mod items;
mod journal;
mod judge;
mod market;
mod plot;
mod redeeming;
mod relay;
mod report;
mod restart;
mod sessions;
mod setting;
mod settle;
mod windows;
#[cfg(any(feature = "fabric", feature = "iota"))]
mod work;

use super::exit::Outcome;
use clap::{Args, Subcommand};

/// Measure the README's figures again on this machine.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  scripts/anvil up && sdpp bench settle\n  sdpp bench all")]
pub(super) struct Bench {
    #[command(subcommand)]
    figure: Figure,
}

#[derive(Debug, Subcommand)]
enum Figure {
    All(all::All),
    Items(items::Items),
    Journal(journal::JournalFigures),
    Sessions(sessions::Sessions),
    Restart(restart::Restart),
    #[command(visible_alias = "verify")]
    Audit(audit::Audit),
    Fig3(fig3::Fig3),
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
            Figure::All(all) => all.run(),
            Figure::Items(items) => items.run(),
            Figure::Journal(journal) => journal.run(),
            Figure::Sessions(sessions) => sessions.run(),
            Figure::Restart(restart) => restart.run(),
            Figure::Fig3(fig3) => fig3.run(),
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
