//! Death at a chosen write of the journal, for tests of what a kill leaves behind.
//!
//! A debug build that is started with `SDPP_DIES_AT=N:MOMENT` kills itself by SIGKILL as the N-th
//! write of its process reaches that moment: `before` anything of it is there, `applied` in memory,
//! `flushed` to the file and not synced, or `synced` and not answered. Optimised builds have nothing
//! of this: to them the variable is nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which write of its process one is, from 1.
pub(super) struct Nth(u64);

impl Nth {
    /// The next one.
    pub(super) fn next() -> Nth {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        match cfg!(debug_assertions) {
            true => Nth(WRITES.fetch_add(1, Ordering::SeqCst) + 1),
            false => Nth(0),
        }
    }

    /// It has come so far.
    pub(super) fn reaches(&self, moment: &str) {
        static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
        if !cfg!(debug_assertions) {
            return;
        }
        let chosen = CHOSEN.get_or_init(|| std::env::var("SDPP_DIES_AT").ok());
        if chosen.as_ref().is_some_and(|chosen| *chosen == format!("{}:{moment}", self.0)) {
            die();
        }
    }
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
