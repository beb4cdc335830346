//! `sdpp journal prune`: drops payload that nobody needs any more, in a journal that is closed or
//! through the node that has it open.

use crate::actors::journal::{Commit, JournalActor};
use crate::actors::now_ms;
use crate::cli::book::Where;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::out;
use crate::journal::prune::{Ask, Dropped, Kept, Place, Tally, Told};
use crate::journal::{Reader, Sweep, Write};
use crate::message::Moment;
use actix::Addr;
use clap::Args;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a node works on one request; then it answers, and is asked for the rest.
const SLICE: Duration = Duration::from_secs(2);

/// Drop what old sessions can do without, and keep the chain.
///
/// Of sessions that ended as complete longer ago than --older, that are paid and settled, in no
/// dispute, and on no channel that is open, the raw data of invoices, acks, payments and amends and
/// the leaves of items go, and the signed bytes of their final transactions. All amounts, digests
/// and signatures stay, and menu, order, exits, vouchers and what the ledgers said: the chain still
/// verifies, audit states the same figures, and the journal says what was pruned. Items of those
/// sessions can not be proven one by one any more. It cannot be undone.
///
/// The files do not shrink at once: what became free is used again by what is written next, and
/// until then what was dropped can still stand in them.
///
/// While a `sdpp sell` has the journal open it is that which does it, in small batches between its own
/// writes. A `sdpp buy` does not: prune when it has ended.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp journal prune --older 90d --dry-run --journal seller-journal"
)]
pub(in crate::cli) struct Prune {
    /// Sessions that ended longer ago than this: 90d, 12weeks, 2years.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    older: Duration,
    #[command(flatten)]
    book: Where,
    /// Say what would be dropped, and drop nothing.
    #[arg(long)]
    dry_run: bool,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

impl Prune {
    pub(super) fn run(self) -> Outcome {
        let older_ms = u64::try_from(self.older.as_millis()).unwrap_or(u64::MAX);
        let before_ms = now_ms().saturating_sub(older_ms);
        let mut book = self.book.open()?;
        let dir = self.book.dir();
        let before = disk_bytes(dir)?;
        let tally =
            book.prune(Ask { before_ms, dry_run: self.dry_run, from: Place::Sessions(None) })?;
        // sled writes once more as it is closed.
        drop(book);
        let after = disk_bytes(dir)?;
        if self.json {
            let mut told = json!(tally);
            told["before_ms"] = before_ms.into();
            told["dry_run"] = self.dry_run.into();
            told["disk_bytes"] = json!({ "before": before, "after": after });
            return out::json(&told);
        }
        self.tell(&tally, before_ms)?;
        if self.dry_run {
            return Ok(());
        }
        out::line(format_args!(
            "on disk: {before} bytes before, {after} after; what became free is used again by what \
             is written next"
        ))
    }

    fn tell(&self, tally: &Tally, before_ms: u64) -> Outcome {
        let Tally { sessions, entries, deliveries, bytes, kept } = tally;
        let verb = if self.dry_run { "would drop" } else { "dropped" };
        out::line(format_args!(
            "{verb} {bytes} bytes: the payload of {entries} entries of {sessions} sessions that \
             ended before {}, and the signed bytes of {deliveries} transactions",
            Moment(before_ms)
        ))?;
        let reasons: Vec<String> = kept.iter().map(|(why, n)| reason(*why, *n)).collect();
        match reasons.is_empty() {
            true => Ok(()),
            false => out::line(format_args!("kept whole: {}", reasons.join(", "))),
        }
    }
}

fn reason(kept: Kept, count: u64) -> String {
    let noun = if count == 1 { "session" } else { "sessions" };
    format!("{count} {noun} {}", kept.why())
}

/// What the files of a folder take, those in folders below included.
fn disk_bytes(dir: &Path) -> Outcome<u64> {
    let sum = || -> std::io::Result<u64> {
        let mut sum = 0;
        let mut left = vec![dir.to_owned()];
        while let Some(dir) = left.pop() {
            for item in std::fs::read_dir(dir)? {
                let item = item?;
                match item.metadata() {
                    Ok(meta) if meta.is_dir() => left.push(item.path()),
                    Ok(meta) => sum += meta.len(),
                    // A node may have removed it just now.
                    Err(_) => {}
                }
            }
        }
        Ok(sum)
    };
    sum().map_err(|error| Failure::usage(format!("{}: {error}", dir.display())))
}

/// Answers for a node: prunes, or only looks, for a while. Each batch is a commit of its own, so
/// what sessions write goes between them.
pub(in crate::cli) async fn answer(
    reader: Reader,
    journal: &Addr<JournalActor>,
    ask: Ask,
) -> Result<Told, String> {
    let started = Instant::now();
    let mut sweep = Sweep::new(ask.before_ms, ask.from);
    loop {
        let reader = reader.clone();
        let looked = move || {
            let batch = sweep.next(&reader);
            (sweep, batch)
        };
        let batch;
        (sweep, batch) = tokio::task::spawn_blocking(looked).await.map_err(text)?;
        let Some(batch) = batch.map_err(text)? else { break };
        if ask.dry_run {
            sweep.count(&batch.would_drop());
        } else if !batch.is_empty() {
            sweep.count(&commit(journal, Write::Prune(Box::new(batch))).await?);
        }
        if sweep.rest().is_some() && started.elapsed() > SLICE {
            break;
        }
    }
    Ok(Told { rest: sweep.rest().cloned(), tally: sweep.tally().clone() })
}

async fn commit(journal: &Addr<JournalActor>, write: Write) -> Result<Dropped, String> {
    let answers = journal.send(Commit(vec![write])).await.map_err(text)?.map_err(text)?;
    let written = answers.into_iter().next().ok_or("the journal did not answer")?;
    Ok(written.map_err(text)?.pruned.map_or_else(Dropped::default, |dropped| *dropped))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
