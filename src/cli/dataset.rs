//! `sdpp dataset root`: what a file comes to as a dataset, for a seller to tell and for a buyer to compare.

use super::exit::{Exit, Failure, Outcome};
use super::out;
use crate::source::{Committed, File, Format};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;

/// The longest item here, in bytes: longer than any that is sold. The root does not depend on it.
const ITEM_BYTES_MAX: usize = 1 << 30;

/// Files that are promised before they are sold.
///
/// A topic whose source is a file with `committed = true` has its root on the menu. Each buyer holds
/// each item against it, and whoever has the whole file can compute it.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp dataset root data/mauna-loa-co2.csv")]
pub(super) struct Dataset {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Root(Root),
}

/// Compute the Merkle root of a file's items.
///
/// A file that was bought whole has the root of the one that was sold: what a buyer writes is items in
/// lines, so it is read as `lines`.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp dataset root bought.txt --format lines")]
struct Root {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What its lines are, `csv`, `ndjson` or `lines`, where its name does not tell.
    #[arg(long)]
    format: Option<Format>,
    /// Answer with JSON, one object.
    #[arg(long)]
    json: bool,
}

impl Dataset {
    pub(super) fn run(self) -> Outcome {
        let Verb::Root(root) = self.verb;
        root.run()
    }
}

impl Root {
    fn run(self) -> Outcome {
        std::fs::metadata(&self.file).map_err(Failure::io("read", &self.file))?;
        let told = || "what are its lines? say --format csv, ndjson or lines";
        let format = self.format.or_else(|| Format::of(&self.file));
        let format = format.ok_or_else(|| Failure::usage(told()))?;
        let file = File { path: self.file, format, committed: true };
        let committed = Committed::to(&file, ITEM_BYTES_MAX)
            .map_err(|error| Failure::new(Exit::Failed, error))?;
        let dataset = committed.dataset();
        if self.json {
            return out::line(json!({ "root": dataset.root, "items": dataset.count }));
        }
        out::line(format_args!("root   {}", dataset.root))?;
        out::line(format_args!("items  {}", dataset.count))
    }
}
