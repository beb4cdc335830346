//! Files are read on threads of their own: who reads long keeps no session's thread. They are no more at once
//! than there are cores, however many buyers come back: sessions, ledgers and answers need some of those too.

use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// How many read at once at least: a large file is not in a small one's way.
const READERS_MIN: usize = 2;

/// The threads that read; its clones are the same.
#[derive(Debug, Clone)]
pub struct Readers(Arc<Semaphore>);

impl Default for Readers {
    fn default() -> Readers {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Readers(Arc::new(Semaphore::new(cores.max(READERS_MIN))))
    }
}

impl Readers {
    /// Reads when it is its turn. What has begun keeps its place to its end, whoever still waits for it.
    ///
    /// # Errors
    /// Where the reading panics.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // Nobody closes it, so there is a place in the end.
        let place = self.0.clone().acquire_owned().await;
        spawn_blocking(move || (read(), drop(place)).0).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    #[tokio::test]
    async fn buyers_that_come_back_together_are_read_for_one_after_the_other() {
        let readers = Readers(Arc::new(Semaphore::new(1)));
        let (begins, begun) = channel();
        // It waits for the second to begin, which does not before the first has its end.
        let first = readers.read(move || begun.recv_timeout(Duration::from_millis(300)));
        let second = readers.read(move || begins.send(()).is_err());
        let (met, was_alone) = tokio::join!(first, second);
        assert_eq!(met.unwrap(), Err(RecvTimeoutError::Timeout));
        assert!(was_alone.unwrap(), "the first was over by then");
    }
}
