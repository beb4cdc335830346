//! `sdpp bench audit`: how fast a journal is audited, beside what its signatures alone would take.

use super::history::{History, Told};
use super::report::{Figure, Report, Target, Telling};
use super::setting::{Setting, folder_in, memory};
use crate::actors::now_ms;
use crate::cli::audit::pool::on_all_cores;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::note;
use crate::journal::{Journal, Write};
use clap::Args;
use sdpp_ledger::{Digest, Key, Signature, keccak};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many signatures are verified bare, before the audit and after it: a second's worth or so.
const BARE: usize = 30_000;

/// How many writes share a sync.
const WRITES_A_SYNC: usize = 512;

/// How often the audit's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Audit a journal that is made for it.
///
/// Writes a seller's journal, its sessions by transfer and by escrow in turn, and audits it with
/// `sdpp audit` in a process of its own. Beside that it verifies signatures and nothing else on
/// all cores: what no audit can pass. A million entries take about 3 GB of disk for the time.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp bench audit --entries 100000")]
pub(super) struct Audit {
    /// How many entries the journal has, at least.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    entries: u64,
    /// A folder on the disk to use; the system's for temporary files by default.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How many runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    runs: u8,
    #[command(flatten)]
    telling: Telling,
}

impl Audit {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        self.measure()?.tell(&self.telling)
    }

    fn measure(&self) -> Outcome<Report> {
        let dir = folder_in(self.dir.as_deref())?;
        let journal = dir.path().join("journal");
        let (entries, signatures) = write(&journal, self.entries)?;
        let history = History::new()?;
        let (mut verified, mut peaks) = (Vec::new(), Vec::new());
        for number in 1..=self.runs {
            let before = bare(&history.seller);
            let (seconds, peak_mib) = audited(&journal)?;
            let bare = f64::midpoint(before, bare(&history.seller));
            note(format_args!("run {number}: {entries} entries in {seconds:.2} s"));
            verified.push((signatures as f64 / seconds, bare));
            peaks.extend(peak_mib);
        }
        let what = format!("audit of {entries} entries: signatures verified/s");
        let figures = vec![
            Figure::beside(what, "/s", &verified, "all cores that verify and do nothing else")
                .wants(Target::LeastOfBound(0.85)),
            Figure::of("most memory of that", "MiB", peaks).wants(Target::Most(200.0)),
        ];
        let notes = vec![format!("{signatures} signatures stand in those {entries} entries.")];
        Ok(Report { setting: Setting::here(), figures, notes })
    }
}

/// Writes a journal of so many entries at least. How many it has, and how many signatures.
pub(super) fn write(dir: &Path, least: u64) -> Outcome<(u64, u64)> {
    let history = History::new()?;
    let mut journal = Journal::open(dir, history.seller.public())?;
    let (mut entries, mut signatures, mut next) = (0, 0, 0);
    on_all_cores(
        |number| history.session(number),
        |pool| {
            while entries < least {
                while pool.under_way < 8 {
                    pool.give(next);
                    next += 1;
                }
                let Some(told) = pool.take() else { break };
                let Told { writes, signatures: more } = told?;
                signatures += more;
                entries = commit(&mut journal, writes)?;
            }
            Ok::<(), Failure>(())
        },
    )?;
    note(format_args!("{entries} entries are written"));
    Ok((entries, signatures))
}

/// How many entries there are then.
fn commit(journal: &mut Journal, mut writes: Vec<Write>) -> Outcome<u64> {
    while !writes.is_empty() {
        let rest = writes.split_off(WRITES_A_SYNC.min(writes.len()));
        for answer in journal.commit(now_ms(), std::mem::replace(&mut writes, rest))? {
            answer.map_err(|error| Failure::new(Exit::Failed, error))?;
        }
    }
    Ok(journal.reader().head()?.seq)
}

/// Signatures verified a second by all cores.
fn bare(key: &Key) -> f64 {
    let public = key.public();
    let sign = |number: usize| -> (Digest, Signature) {
        let digest = keccak(&[&number.to_be_bytes()]);
        (digest, key.sign(&digest))
    };
    let signed: Vec<(Digest, Signature)> = (0..256).map(sign).collect();
    let began = Instant::now();
    let verify = |times: usize| {
        let some = signed.iter().cycle().take(times);
        some.filter(|(digest, signature)| public.verify(digest, signature)).count()
    };
    let verified = on_all_cores(verify, |pool| {
        (0..BARE / 100).for_each(|_| pool.give(100));
        std::iter::from_fn(|| pool.take()).sum::<usize>()
    });
    verified as f64 / began.elapsed().as_secs_f64()
}

/// Audits a journal as anybody would, in a process of its own: how long that took, and the most
/// memory that it had.
fn audited(journal: &Path) -> Outcome<(f64, Option<f64>)> {
    let failed = |error| Failure::new(Exit::Failed, format!("sdpp audit does not start: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut audit = Command::new(program);
    audit.args(["audit", "--offline", "--json", "--journal"]).arg(journal);
    audit.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = audit.spawn().map_err(failed)?;
    let mut peak = None;
    let status = loop {
        peak = memory(&child.id().to_string(), "VmHWM").or(peak);
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None => std::thread::sleep(LOOK_EVERY),
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let mut said = String::new();
    if let Some(mut errors) = child.stderr.take() {
        // Without it, how it ended has to do.
        let _ = errors.read_to_string(&mut said);
    }
    match status.success() {
        true => Ok((seconds, peak)),
        false => Err(Failure::new(Exit::Wrong, format!("sdpp audit: {status}: {said}"))),
    }
}
