//! `sdpp journal backup`: one moment of a journal in one file, while the node runs or while it does
//! not.

use crate::cli::book::{Where, misfit};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use crate::journal::{Answer, Made, Query};
use clap::Args;
use std::path::PathBuf;

/// Write one moment of a journal to a new file.
///
/// The node that has the journal open goes on meanwhile, and writes the file itself. The file holds
/// secrets, as the journal does, and is for its owner alone. The exit code is 3 where the journal's
/// chain is broken: that is no backup.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp journal backup --journal seller-journal --output backups")]
pub(super) struct Backup {
    #[command(flatten)]
    book: Where,
    /// The new file; in a folder, one named after whose journal it is and its last entry.
    #[arg(long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(super) fn run(self) -> Outcome {
        let mut book = self.book.open()?;
        match book.ask(&Query::Verify)? {
            Answer::Holds { .. } => {}
            Answer::Broken { broken } => {
                let why = format!("the chain is broken, so there is no backup of it: {broken}");
                return Err(Failure::new(Exit::Wrong, why));
            }
            _ => return Err(misfit()),
        }
        let made = book.back_up(&self.output)?;
        if self.json {
            return out::json(&made);
        }
        let Made { file, manifest, rows, bytes, digest } = made;
        let (seq, file) = (manifest.head.seq, file.display());
        out::line(format_args!(
            "{file}: all up to entry {seq}, {rows} rows, {bytes} bytes, digest {digest}"
        ))
    }
}
