//! `sdpp bench journal`: how many records a second become durable, beside what the disk and its trees
//! do by themselves, and how much later a window's invoice leaves because it is durable first.

use super::history::History;
use super::market::{Market, Stall, new_key};
use super::relay::Relay;
use super::report::{Figure, Report, Target, Telling};
use super::setting::{Setting, folder, folder_in};
use crate::actors::journal::{Commit, JournalActor};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::note;
use crate::cli::running::in_system;
use crate::journal::{Journal, Pair, Write, bare_batches};
use crate::record::Record;
use crate::terms::{Method, SessionId};
use actix::prelude::*;
use clap::Args;
use sdpp_ledger::keccak;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How many append at once, and how long what they append is, in bytes.
const APPENDERS: u64 = 64;
const VALUE_BYTES: usize = 256;

/// How long the row of such a session is, in bytes.
const SESSION_BYTES: usize = 128;

/// A window's invoice, and what a sync of this disk brings to it, in bytes.
const GRANULARITY: u32 = 10;
const SYNC_BYTES: usize = 4096;

/// Append to a journal from many sessions at once, and sell windows.
///
/// What is appended is the shortest record that a seller writes, some 256 bytes as it stands on disk,
/// with all that the journal keeps beside it. In the same run as many values of 256 bytes go to the
/// trees beneath by themselves, each batch with one sync; and once more with as many rows as the journal
/// has for each. A window's added latency is what a relay sees between the item before an invoice and
/// that invoice; beside it is a sync of a page that its file had, and of one that makes its file longer.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp bench journal --runs 5")]
pub(super) struct JournalFigures {
    /// How many records a run appends.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(64..=10_000_000))]
    records: u64,
    /// How many windows a run sells.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(4..=100_000))]
    windows: u64,
    /// How many runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    runs: u8,
    /// A folder on the disk to use; the system's for temporary files by default.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    telling: Telling,
}

impl JournalFigures {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        self.measure()?.tell(&self.telling)
    }

    /// Measures it.
    pub(super) fn measure(&self) -> Outcome<Report> {
        let (mut appends, mut by_rows) = (Vec::new(), Vec::new());
        let (mut middle, mut late, mut longer) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=self.runs {
            let dir = folder_in(self.dir.as_deref())?;
            let ours = appended(&dir.path().join("journal"), self.records)?;
            let bare = self.bare(&dir.path().join("trees"), value_alone)?;
            let rows = self.bare(&dir.path().join("rows"), with_rows)?;
            let [p50, p99] = added(self.windows)?;
            let [over, grown] = syncs(dir.path(), self.windows)?;
            note(format_args!(
                "run {number}: {ours:.0} appends/s, the trees {bare:.0}/s, with all rows {rows:.0}/s; \
                 a window {p50:.3} ms, a sync {over:.3} ms, of a file that grows {grown:.3} ms"
            ));
            appends.push((ours, bare));
            by_rows.push((ours, rows));
            middle.push((p50, over));
            late.push((p99, over));
            longer.push((p50, grown));
        }
        let of_sync = "one sync of this disk, the middle of as many";
        let what = "durable appends/s, 64 appenders, 256 bytes";
        let latency = "added latency of a window, p50";
        let figures = vec![
            Figure::beside(what, "/s", &appends, "sled's own batch of 64 with one sync")
                .wants(Target::LeastOfBound(0.7)),
            Figure::beside(
                "durable appends/s, by their rows",
                "/s",
                &by_rows,
                "the same of as many rows",
            ),
            Figure::beside(latency, "ms", &middle, of_sync).wants(Target::MostOfBound(2.0)),
            Figure::beside("added latency of a window, p99", "ms", &late, of_sync),
            Figure::beside(
                "added latency of a window, p50, by a growing file",
                "ms",
                &longer,
                "one sync that makes its file longer",
            ),
        ];
        Ok(Report { setting: Setting::here(), figures, notes: Vec::new() })
    }

    /// Appends in a second of the trees by themselves.
    fn bare(&self, dir: &Path, rows: impl Fn(u64) -> Vec<Pair>) -> Outcome<f64> {
        let batches = self.records.div_ceil(APPENDERS);
        let in_batch =
            |batch| (batch * APPENDERS..(batch + 1) * APPENDERS).flat_map(&rows).collect();
        let took = bare_batches(dir, batches, in_batch)?;
        Ok(self.records as f64 / took.as_secs_f64())
    }
}

/// A value, and nothing beside it.
fn value_alone(number: u64) -> Vec<Pair> {
    vec![(number.to_be_bytes().to_vec(), vec![7; VALUE_BYTES])]
}

/// The rows that an append has in a journal: an entry, its session, and that it is the session's.
fn with_rows(number: u64) -> Vec<Pair> {
    let session = keccak(&[&(number % APPENDERS).to_be_bytes()]).0;
    let key = |tree: u8, parts: [&[u8]; 2]| [&[tree], parts[0], parts[1]].concat();
    let number = number.to_be_bytes();
    vec![
        (key(0, [&number, &[]]), vec![7; VALUE_BYTES]),
        (key(1, [&session, &[]]), vec![7; SESSION_BYTES]),
        (key(2, [&session, &number]), number.to_vec()),
    ]
}

/// Records that became durable in a second.
fn appended(dir: &Path, records: u64) -> Outcome<f64> {
    let history = History::new()?;
    let journal = Journal::open(dir, history.seller.public())?;
    in_system(async move {
        let arbiter = Arbiter::new();
        let (journal, reader) = JournalActor::start_on(&arbiter, journal);
        let before = reader.head()?.seq;
        let began = Instant::now();
        let each = records.div_ceil(APPENDERS);
        let appenders: Vec<_> = (0..APPENDERS)
            .map(|number| actix::spawn(append(journal.clone(), history.begin(number), each)))
            .collect();
        for appender in appenders {
            appender.await.map_err(failed)??;
        }
        let took = began.elapsed().as_secs_f64();
        let written = reader.head()?.seq - before;
        arbiter.stop();
        let _ = arbiter.join();
        Ok(written as f64 / took)
    })
}

/// Appends one record after the other, each when the one before is durable, in a session of its own.
async fn append(
    journal: Addr<JournalActor>,
    (session, order): (SessionId, Write),
    records: u64,
) -> Outcome {
    commit(&journal, order).await?;
    for to_seq in 1..=records {
        let record = Box::new(Record::Reserved { to_seq });
        commit(&journal, Write::Append { session: Some(session), record }).await?;
    }
    Ok(())
}

async fn commit(journal: &Addr<JournalActor>, write: Write) -> Outcome {
    let written = journal.send(Commit(vec![write])).await.map_err(failed)?.map_err(failed)?;
    written.into_iter().try_for_each(|one| one.map(drop)).map_err(failed)
}

/// How many milliseconds an invoice comes after the item before it: the middle, and of a hundred the
/// last but one.
fn added(windows: u64) -> Outcome<[f64; 2]> {
    let (items, dir) = (windows * u64::from(GRANULARITY), folder()?);
    let stall = Stall {
        items,
        item_bytes: 128,
        granularity: GRANULARITY,
        // With more, the next window's items wait for the same write as an invoice before them.
        credit_windows: 1,
        is_signed: false,
        method: Method::Escrow,
        has_records: true,
        sessions_max: 128,
        ledger: None,
    };
    let passed = in_system(async move {
        let market = Market::open(stall, Rc::new(dir)).await?;
        let relay = Relay::to(&market.address)?;
        let buyer = market.buyer((0, new_key()?), (1, items), &relay.address).await?;
        market.close(vec![buyer]).await?;
        Ok(relay.passed())
    })?;
    let mut all = passed.before_invoices;
    all.sort_unstable();
    Ok([part(&all, 50), part(&all, 99)])
}

/// The one below which so many of a hundred are, in milliseconds.
pub(super) fn part(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
}

/// Milliseconds for a page that is written and synced, the middle of as many: over one that its file has
/// already, which is the least that a sync can take, and at the end of the file.
fn syncs(dir: &Path, times: u64) -> Outcome<[f64; 2]> {
    let path = dir.join("synced");
    let page = [7_u8; SYNC_BYTES];
    let timed = || -> io::Result<[Vec<Duration>; 2]> {
        let mut file = File::create(&path)?;
        (0..times).try_for_each(|_| file.write_all(&page))?;
        file.sync_all()?;
        let at = |number: u64| {
            let began = Instant::now();
            file.write_all_at(&page, number * SYNC_BYTES as u64)?;
            file.sync_data()?;
            Ok(began.elapsed())
        };
        let over = (0..times).map(at).collect::<io::Result<_>>()?;
        Ok([over, (times..2 * times).map(at).collect::<io::Result<_>>()?])
    };
    let all = timed().map_err(Failure::io("sync", &path))?;
    Ok(all.map(|mut each| {
        each.sort_unstable();
        part(&each, 50)
    }))
}

fn failed(error: impl Display) -> Failure {
    Failure::new(Exit::Failed, error)
}
