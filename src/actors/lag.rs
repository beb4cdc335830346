//! How long the journal takes for a write: what is being written now, or what was last. Its actor says
//! when a write begins and ends; whoever takes orders looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long a slow write is remembered when none follows, in milliseconds.
const REMEMBERED_MS: u64 = 5_000;

/// The journal's lag; its clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Lag(Arc<Times>);

/// Times in milliseconds since 1970 UTC; 0 for none.
#[derive(Debug, Default)]
struct Times {
    began_ms: AtomicU64,
    ended_ms: AtomicU64,
    took_ms: AtomicU64,
}

impl Lag {
    /// A write begins.
    pub fn begin(&self, now_ms: u64) {
        self.0.began_ms.store(now_ms, Ordering::Relaxed);
    }

    /// It is durable, or has failed.
    pub fn end(&self, now_ms: u64) {
        let began_ms = self.0.began_ms.swap(0, Ordering::Relaxed);
        self.0.took_ms.store(now_ms.saturating_sub(began_ms), Ordering::Relaxed);
        self.0.ended_ms.store(now_ms, Ordering::Relaxed);
    }

    /// How long the journal takes, in milliseconds.
    pub fn ms(&self, now_ms: u64) -> u64 {
        let began_ms = self.0.began_ms.load(Ordering::Relaxed);
        let waits_ms = if began_ms > 0 { now_ms.saturating_sub(began_ms) } else { 0 };
        let since_ms = now_ms.saturating_sub(self.0.ended_ms.load(Ordering::Relaxed));
        let is_fresh = since_ms < REMEMBERED_MS;
        let took_ms = if is_fresh { self.0.took_ms.load(Ordering::Relaxed) } else { 0 };
        waits_ms.max(took_ms)
    }
}
