//! `sdpp bench all`: every figure that needs nothing but this machine, in one table.

use super::report::{Figure, Report, Telling};
use super::setting::Setting;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::note;
use clap::Args;
use serde::Deserialize;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Measure all that needs nothing but this machine, one after the other, as each does by itself.
///
/// Each runs in a process of its own. It takes some minutes, about 3 GB of disk for the time, and a machine that does nothing else.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp bench all --svg figures.svg --curves fig3.svg")]
pub(super) struct All {
    /// How many runs each has, where it is not one that is long.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    runs: u8,
    /// How many entries the journals have that are audited and restarted on.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    entries: u64,
    /// Draw the lines of the third figure in this file.
    #[arg(long, value_name = "FILE")]
    curves: Option<PathBuf>,
    #[command(flatten)]
    telling: Telling,
}

/// What each of them tells.
#[derive(Deserialize)]
struct Told {
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl All {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let (runs, entries) = (self.runs.to_string(), self.entries.to_string());
        let curves = self.curves.iter().flat_map(|path| ["--curves".into(), path.into()]);
        let (mut figures, mut notes) = (Vec::new(), Vec::new());
        for (name, arguments) in [
            ("items", vec!["--runs", &runs]),
            ("journal", vec!["--runs", &runs]),
            ("sessions", vec!["--runs", &runs]),
            ("restart", vec!["--runs", &runs, "--entries", &entries]),
            ("audit", vec!["--runs", &runs, "--entries", &entries]),
            ("fig3", vec![]),
        ] {
            note(format_args!("{name}:"));
            let mut arguments: Vec<PathBuf> = arguments.into_iter().map(Into::into).collect();
            if name == "fig3" {
                arguments.extend(curves.clone());
            }
            let told = told(name, &arguments)?;
            figures.extend(told.figures);
            notes.extend(told.notes);
        }
        Report { setting: Setting::here(), figures, notes }.tell(&self.telling)
    }
}

/// Measures one of them in a process of its own.
fn told(name: &str, arguments: &[PathBuf]) -> Outcome<Told> {
    let program = std::env::current_exe().map_err(failed)?;
    let mut bench = Command::new(program);
    bench.args(["bench", name, "--json"]).args(arguments);
    let ran = bench.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(failed)?;
    if !ran.status.success() {
        return Err(Failure::new(Exit::Failed, format!("sdpp bench {name}: {}", ran.status)));
    }
    serde_json::from_slice(&ran.stdout).map_err(failed)
}

fn failed(error: impl Display) -> Failure {
    Failure::new(Exit::Failed, error)
}
