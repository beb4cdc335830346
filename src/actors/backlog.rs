//! What is sent and not acknowledged, over all sessions of a seller: buyers that read slowly must not
//! fill this machine's memory together. Sessions share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes of all sessions; its clones show the same.
#[derive(Debug, Clone)]
pub struct Backlog {
    most: usize,
    /// What each session may have out whatever the others have, so that none of them stands still
    /// because of those.
    share: usize,
    all: Arc<AtomicUsize>,
}

/// One session's bytes, gone when dropped.
#[derive(Debug)]
pub struct Part {
    backlog: Backlog,
    bytes: usize,
}

impl Backlog {
    /// Nothing is out; so many bytes may be, of so many sessions.
    pub fn new(most: usize, sessions_max: usize) -> Self {
        Backlog { most, share: most.checked_div(sessions_max).unwrap_or(most), all: Arc::default() }
    }

    /// A session that has nothing out yet.
    pub fn open(&self) -> Part {
        Part { backlog: self.clone(), bytes: 0 }
    }
}

impl Part {
    /// How many bytes of items a session asks its source for at once: if all of them did at the same
    /// moment, they would have out what all may.
    pub fn at_once(&self) -> usize {
        self.backlog.share
    }

    /// This session has so much out now. Whether it may send more.
    pub fn may_send(&mut self, bytes: usize) -> bool {
        let Backlog { most, share, all } = &self.backlog;
        // Sums wrap around, and come right again: what was added is what is taken away.
        all.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
        bytes < *share || all.load(Ordering::Relaxed) < *most
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.backlog.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_buyers_together_hold_no_more_than_all_may_and_none_of_them_holds_up_another() {
        let backlog = Backlog::new(1_000, 10);
        let mut slow: Vec<Part> = (0..4).map(|_| backlog.open()).collect();
        let mut honest = backlog.open();
        assert!(slow[..3].iter_mut().all(|part| part.may_send(300)));
        assert!(!slow[3].may_send(300), "all together have what they may");
        assert!(!slow[0].may_send(300), "and none of them goes on");
        assert!(honest.may_send(99), "what is its own share it has whatever others do");
        assert!(!honest.may_send(100));
        slow.truncate(2);
        assert!(honest.may_send(100), "who has left holds nothing");
        assert!(slow[0].may_send(0));
        drop((slow, honest));
        assert_eq!(backlog.all.load(Ordering::Relaxed), 0);
    }
}
