//! `sdpp journal restore`: a new journal out of a backup, in quarantine.

use crate::actors::now_ms;
use crate::cli::exit::Outcome;
use crate::cli::out;
use crate::journal::restore::{Restored, restore};
use crate::message::Moment;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Make a journal out of a backup. It signs nothing until `sdpp journal release`.
///
/// The whole backup is verified first. What was written after it is missing, and nobody can tell by
/// this journal what was signed then.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp journal restore --journal seller-journal --from backups/journal-0x02...-120.backup"
)]
pub(super) struct Restore {
    /// The journal's folder; it must not be there yet, or be empty.
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(super) fn run(self) -> Outcome {
        let Restored { manifest, rows, quarantine } = restore(&self.journal, &self.from, now_ms())?;
        if self.json {
            return out::json(&json!({
                "backup": manifest, "rows": rows, "quarantine": quarantine,
            }));
        }
        let (seq, made) = (manifest.head.seq, Moment(manifest.at_ms));
        out::line(format_args!(
            "restored: all up to entry {seq}, {rows} rows, as of {made}; the next entries begin at \
             {}",
            quarantine.entry
        ))?;
        out::line(
            "in quarantine: what came after the backup is missing, and nothing is signed until `sdpp \
             journal release` has asked the ledgers for it",
        )
    }
}
