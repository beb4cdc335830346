//! Death at a chosen write of the journal, for tests of what a kill leaves behind.
//!
//! A debug build that is started with `SDPP_DIES_AT=N:MOMENT` kills itself by SIGKILL as the N-th
//! write of its process reaches that moment: `before` anything of it is there, `applied` in memory,
//! `flushed` to the file and not synced, or `synced` and not answered. With the name of a record in
//! place of N, it is the first write that has one. Optimised builds have nothing of this: to them
//! the variable is nothing.

use super::tree::Batch;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The moment of a write at which the process dies.
pub(super) struct Doom(Option<&'static str>);

impl Doom {
    /// Of the next write.
    pub(super) fn of(batch: &Batch) -> Doom {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
        if !cfg!(debug_assertions) {
            return Doom(None);
        }
        let nth = WRITES.fetch_add(1, Ordering::SeqCst) + 1;
        let chosen = CHOSEN.get_or_init(|| std::env::var("SDPP_DIES_AT").ok());
        let chosen = chosen.as_ref().and_then(|chosen| chosen.split_once(':'));
        let chosen = chosen.filter(|(write, _)| match write.parse::<u64>() {
            Ok(number) => number == nth,
            Err(_) => has_record(batch, write),
        });
        Doom(chosen.map(|(_, moment)| moment))
    }

    /// Its write has come so far.
    pub(super) fn reaches(&self, moment: &str) {
        if self.0 == Some(moment) {
            die();
        }
    }
}

fn has_record(batch: &Batch, name: &str) -> bool {
    let tag = format!("\"record\":\"{name}\"");
    let mut values = batch.values().flatten();
    values.any(|value| value.windows(tag.len()).any(|bytes| bytes == tag.as_bytes()))
}

#[cfg(unix)]
fn die() {
    use rustix::process::{Signal, getpid, kill_process};
    // Nobody refuses a process its own signals, and this one ends it before the call is over.
    let _ = kill_process(getpid(), Signal::KILL);
}

#[cfg(not(unix))]
fn die() {
    std::process::abort();
}
