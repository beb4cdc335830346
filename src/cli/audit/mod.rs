//! `sdpp audit`: the statement of a journal, each figure proved or named as wrong.
//!
//! All entries go through the fold, one after the other and never all in memory, each once its
//! place in the chain is checked. From a broken chain nothing is exported, and from one with a
//! false signature neither; anything else that is wrong stands beside the figures that it is about.
//! Where a config is given the ledgers are asked for what only they can tell.

mod json;
mod online;
mod pick;
pub(super) mod pool;
mod print;
mod reading;
mod sheet;

use super::book::{ROWS, Where};
use super::exit::{Exit, Failure, Outcome};
use super::{note, wait_for};
use crate::audit::Audit as Fold;
use crate::audit::{Problem, Report};
use crate::config::Config;
use crate::journal::Reader;
use crate::terms::SessionId;
use clap::{Args, ValueEnum};
use pick::{Names, Pick};
use print::Shown;
use reading::Read;
use std::path::PathBuf;

/// Verify a journal and print its statement.
///
/// The chain, each signature, digest, root, amount and anchor is checked; the exit code is 3 where
/// something is wrong, and nothing is printed where the chain is broken or a signature is false.
/// With --config the ledgers are asked as well whether they hold what the journal says that they
/// hold, and how its channels stand there; no key is needed for that.
#[derive(Args)]
#[command(after_help = "Example:
  sdpp audit --config seller.toml
  sdpp audit --journal seller-journal --format csv --since 2026-01-01 --until 2026-03-31")]
pub(super) struct Audit {
    /// The journal's folder: `dir` in [journal] of the config. Without it, the one that --config names.
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    journal: Option<PathBuf>,
    /// This session only.
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    #[command(flatten)]
    pick: Pick,
    /// How to print the statement: JSON is one object for each session, one a line; CSV one line
    /// for each payment or settlement.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// JSON: a last object with sums by peer, topic, currency and day, which a table of several
    /// sessions has in any case.
    #[arg(long)]
    totals: bool,
    /// The config that names the ledgers to ask, and the other sides in [peers].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ask no ledger.
    #[arg(long)]
    offline: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

impl Audit {
    pub(super) fn run(self) -> Outcome {
        let config = self.config.as_deref().map(Config::load).transpose()?;
        let names = Names::of(config.as_ref());
        let named = config.as_ref().map(|config| config.journal.dir.clone());
        let folder = self.journal.clone().or(named);
        let folder = folder.ok_or_else(|| Failure::usage("which journal? --journal DIR"))?;
        let mut book = Where::in_folder(folder).open()?;
        let fold = |identity| match self.session {
            Some(session) => Fold::of_session(identity, session),
            None => Fold::new(identity),
        };
        let Read { identity, entries, audit } = reading::read(&mut book, fold)?;
        let mut report = audit.finish();
        drop(book);
        genuine(&report.problems)?;
        if self.session.is_some() && report.statements.is_empty() && report.problems.is_empty() {
            return Err(Failure::usage("the journal has no such session"));
        }
        self.pick.apply(&mut report, &names)?;
        let (words, asked) = match config.as_ref().filter(|_| !self.offline) {
            Some(config) => {
                let asking = async { Ok(online::ask(&mut report, config).await) };
                let (words, asked) = wait_for(asking)?;
                (Some(words), asked)
            }
            None => {
                self.note_unasked(&report);
                (None, Ok(()))
            }
        };
        let shown = Shown {
            report: &report,
            identity,
            entries,
            names: &names,
            words: words.as_ref(),
            is_part: asked.is_err(),
            span: self.pick.span(),
            with_totals: self.totals,
        };
        print::statements(&shown, if self.json { Format::Json } else { self.format })?;
        found(&report.problems)?;
        asked
    }

    fn note_unasked(&self, report: &Report) {
        let checks: usize = report.statements.iter().map(|one| one.checks().count()).sum();
        let channels = report.escrowed.len();
        if checks + channels == 0 && !self.offline {
            return;
        }
        let why = match self.offline {
            true => "--offline",
            false => "--config FILE names the ledgers",
        };
        let transactions = if checks == 1 { "transaction" } else { "transactions" };
        let are = if checks == 1 { "is" } else { "are" };
        let stand = if channels == 1 { "channel stands" } else { "channels stand" };
        note(format_args!(
            "note: no ledger was asked whether it holds the {checks} {transactions} that this \
             journal says {are} final, nor how its {channels} {stand} now; {why}"
        ));
    }
}

/// The report of a journal that this process has open, its chain walked and its ledgers asked.
pub(super) async fn of(reader: &Reader, ledgers: &online::ById) -> Outcome<Report> {
    let head = reader.verify()?.map_err(|broken| Failure::new(Exit::Wrong, broken))?;
    let mut fold = Fold::new(reader.identity());
    let mut after = 0;
    while after < head.seq {
        let entries = reader.entries(after, ROWS)?;
        after = entries.last().map_or(head.seq, |entry| entry.seq);
        entries.iter().for_each(|entry| fold.take(entry));
    }
    let mut report = fold.finish();
    online::ask_all(&mut report, ledgers).await.1?;
    Ok(report)
}

/// From a journal with a false signature nothing is exported: what else stands in it may be as
/// false.
fn genuine(problems: &[Problem]) -> Outcome {
    let mut forged = problems.iter().filter(|problem| problem.is_forged);
    let Some(Problem { entry, what, .. }) = forged.next() else { return Ok(()) };
    let more = match forged.count() {
        0 => String::new(),
        1 => ", and so is another one".to_owned(),
        more => format!(", and so are {more} others"),
    };
    let why = format!("nothing is exported: entry {entry}: {what}{more}");
    Err(Failure::new(Exit::Wrong, why))
}

fn found(problems: &[Problem]) -> Outcome {
    let Some(first) = problems.first() else { return Ok(()) };
    let count = match problems.len() {
        1 => "1 thing is".to_owned(),
        count => format!("{count} things are"),
    };
    let why = format!("{count} wrong; the first, in entry {}: {}", first.entry, first.what);
    Err(Failure::new(Exit::Wrong, why))
}
