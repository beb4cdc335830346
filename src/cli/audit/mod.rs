//! `sdpp audit`: the statement of a journal, each figure proved or named as wrong.
//!
//! The chain is walked first: from a broken one nothing is exported. Then all entries go through
//! the fold, one after the other and never all in memory, and where a config is given the ledgers
//! are asked for what only they can tell.

mod online;
mod print;

use super::book::{Book, ROWS, Where, misfit};
use super::exit::{Exit, Failure, Outcome};
use super::{note, wait_for};
use crate::audit::Audit as Fold;
use crate::audit::{Problem, Report};
use crate::config::Config;
use crate::journal::{Answer, Head, Query, Reader};
use crate::terms::SessionId;
use clap::{Args, ValueEnum};
use sdpp_ledger::PublicKey;
use std::path::PathBuf;

/// Verify a journal and print its statement.
///
/// The chain, each signature, each amount and each anchor is checked; the exit code is 3 where
/// something is wrong. With --config the ledgers are asked as well whether they hold what the
/// journal says that they hold; no key is needed for that.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp audit --journal seller-journal --config seller.toml")]
pub(super) struct Audit {
    #[command(flatten)]
    book: Where,
    /// This session only.
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    /// How to print the statement: JSON is one object for each session, one a line.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// The config that names the ledgers to ask.
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
        let config = match self.config.as_deref().filter(|_| !self.offline) {
            Some(file) => Some(Config::load(file)?),
            None => None,
        };
        let mut book = self.book.open()?;
        let (identity, head) = verified(&mut book)?;
        let mut report = self.fold(&mut book, identity, head)?;
        drop(book);
        if self.session.is_some() && report.statements.is_empty() && report.problems.is_empty() {
            return Err(Failure::usage("the journal has no such session"));
        }
        let asked = match &config {
            Some(config) => wait_for(online::ask(&mut report, config)),
            None => {
                note_unasked(&report);
                Ok(())
            }
        };
        let format = if self.json { Format::Json } else { self.format };
        print::statements(&report, format, identity, head)?;
        found(&report.problems)?;
        asked
    }

    fn fold(&self, book: &mut Book, identity: PublicKey, head: Head) -> Outcome<Report> {
        let mut fold = match self.session {
            Some(session) => Fold::of_session(identity, session),
            None => Fold::new(identity),
        };
        // What is appended meanwhile was not verified.
        book.each_entry(None, 0, head.seq, |entry| {
            fold.take(&entry);
            Ok(())
        })?;
        Ok(fold.finish())
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
    online::ask_all(&mut report, ledgers).await?;
    Ok(report)
}

/// Whose journal it is and where it ends, if its chain holds.
fn verified(book: &mut Book) -> Outcome<(PublicKey, Head)> {
    let Answer::Counts { identity, .. } = book.ask(&Query::Counts)? else { return Err(misfit()) };
    match book.ask(&Query::Verify)? {
        Answer::Holds { head, .. } => Ok((identity, head)),
        Answer::Broken { broken } => {
            let why = format!("the chain is broken, so nothing is exported: {broken}");
            Err(Failure::new(Exit::Wrong, why))
        }
        _ => Err(misfit()),
    }
}

fn note_unasked(report: &Report) {
    let checks: usize = report.statements.iter().map(|statement| statement.checks.len()).sum();
    if checks > 0 {
        note(format_args!(
            "note: no ledger was asked whether it holds the {checks} transactions that this \
             journal says are final; --config FILE names the ledgers"
        ));
    }
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
