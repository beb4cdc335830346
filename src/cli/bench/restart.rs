//! `sdpp bench restart`: how long a seller with a long past takes from its start to serving.

use super::audit;
use super::history::History;
use super::report::{Figure, Report, Target, Telling};
use super::setting::{Setting, folder_in, memory, write_key};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::note;
use clap::Args;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Start a seller on a journal that is made for it.
///
/// Writes a seller's journal as `sdpp bench audit` does and starts `sdpp sell` on it, in a process of
/// its own, until it says that it listens. A million entries take about 3 GB of disk for the time.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp bench restart --entries 100000")]
pub(super) struct Restart {
    /// How many entries the journal has, at least.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    entries: u64,
    /// How many runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    runs: u8,
    /// A folder on the disk to use; the system's for temporary files by default.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    telling: Telling,
}

impl Restart {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        self.measure()?.tell(&self.telling)
    }

    /// Measures it.
    pub(super) fn measure(&self) -> Outcome<Report> {
        let dir = folder_in(self.dir.as_deref())?;
        let (entries, _) = audit::write(&dir.path().join("journal"), self.entries)?;
        let config = seller(dir.path())?;
        let (mut seconds, mut mib) = (Vec::new(), Vec::new());
        for number in 1..=self.runs {
            let began = Instant::now();
            let serving = Serving::start(&config)?;
            seconds.push(began.elapsed().as_secs_f64());
            mib.extend(memory(&serving.child.id().to_string(), "VmHWM"));
            note(format_args!("run {number}: {:.3} s", seconds.last().unwrap_or(&0.0)));
        }
        let what = format!("restart with {entries} entries, to serving");
        let figures = vec![
            Figure::of(what, "s", seconds).wants(Target::Most(5.0)),
            Figure::of("most memory of that", "MiB", mib),
        ];
        let notes = vec!["The journal's pages are in the system's cache.".to_owned()];
        Ok(Report { setting: Setting::here(), figures, notes })
    }
}

/// A seller's config whose key is the history's.
fn seller(dir: &Path) -> Outcome<PathBuf> {
    write_key(&dir.join("seller.key"), &History::new()?.seller)?;
    for (name, text) in [("items", "one\n"), ("seller.toml", CONFIG)] {
        let path = dir.join(name);
        fs::write(&path, text).map_err(Failure::io("write", &path))?;
    }
    Ok(dir.join("seller.toml"))
}

const CONFIG: &str = r#"
[identity]
key = "file:seller.key"
[journal]
dir = "journal"
[ledgers.local]
kind = "embedded"
dir = "ledger"
[currencies.SDP]
ledger = "local"
asset = "coin"
decimals = 6
[seller]
listen = "127.0.0.1:0"
[topics.items]
price = "1"
source = { kind = "file", path = "items", format = "lines" }
"#;

/// A seller in a process of its own, until this is dropped.
pub(super) struct Serving {
    pub(super) child: Child,
    /// Where it listens.
    pub(super) address: String,
}

impl Serving {
    /// Starts it, and returns when it listens.
    pub(super) fn start(config: &Path) -> Outcome<Serving> {
        let failed =
            |error| Failure::new(Exit::Failed, format!("sdpp sell does not start: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let mut sell = Command::new(program);
        sell.args(["sell", "--config"]).arg(config);
        sell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut serving = Serving { child: sell.spawn().map_err(failed)?, address: String::new() };
        let mut said = String::new();
        if let Some(out) = serving.child.stdout.take() {
            // What it does not say it says elsewhere.
            let _ = BufReader::new(out).read_line(&mut said);
        }
        if let Some(address) = said.strip_prefix("listening ") {
            serving.address = address.trim().to_owned();
            return Ok(serving);
        }
        let mut why = String::new();
        if let Some(mut errors) = serving.child.stderr.take() {
            let _ = errors.read_to_string(&mut why);
        }
        Err(Failure::new(Exit::Failed, format!("sdpp sell does not listen: {why}")))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It is asked for nothing any more; what it leaves is thrown away.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
