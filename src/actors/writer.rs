//! The writing half of a session's connection. No rule of the protocol is here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// How long the last bytes of a session may take to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// Bytes on their way out, in a task of their own: a peer that reads slowly must not keep us from
/// reading.
pub(super) struct Writer {
    queue: Option<mpsc::UnboundedSender<Vec<u8>>>,
    unsent: Arc<AtomicUsize>,
    task: Option<tokio::task::JoinHandle<()>>,
    /// The connection stays open when all is written: somebody else has it.
    stays_open: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn idle() -> Self {
        let (unsent, stays_open) = (Arc::default(), Arc::default());
        Writer { queue: None, unsent, task: None, stays_open }
    }

    /// Writes to a connection; `leave` lets go of it as it is.
    pub(super) fn start<W: AsyncWrite + Unpin + 'static>(half: W, leave: fn(W)) -> Self {
        let (queue, receiver) = mpsc::unbounded_channel();
        let unsent = Arc::<AtomicUsize>::default();
        let stays_open = Arc::<AtomicBool>::default();
        let written = write_out(half, receiver, unsent.clone());
        let is_left = stays_open.clone();
        let task = actix::spawn(async move {
            let Some(mut half) = written.await else { return };
            if is_left.load(Ordering::Relaxed) {
                return leave(half);
            }
            // Best effort: the peer may be gone already.
            let _ = half.shutdown().await;
        });
        Writer { queue: Some(queue), unsent, task: Some(task), stays_open }
    }

    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        let Some(queue) = &self.queue else { return };
        self.unsent.fetch_add(bytes.len(), Ordering::Relaxed);
        // A connection that broke is noticed by whoever reads from it.
        let _ = queue.send(bytes);
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent.load(Ordering::Relaxed)
    }

    /// What is queued is for a connection that is gone.
    pub(super) fn abort(self) {
        self.task.iter().for_each(tokio::task::JoinHandle::abort);
    }

    /// Lets what is queued leave, and the connection as it is.
    pub(super) fn leave_open(&mut self) {
        self.stays_open.store(true, Ordering::Relaxed);
        self.queue = None;
    }

    /// Lets what is queued leave, for a while, and closes the connection.
    pub(super) fn finish(&mut self) -> impl Future<Output = ()> + use<> {
        self.queue = None;
        let task = self.task.take();
        async move {
            if let Some(mut task) = task
                && tokio::time::timeout(FAREWELL, &mut task).await.is_err()
            {
                task.abort();
            }
        }
    }
}

/// Writes what is queued until no more will be; gives the connection back, unless it broke.
async fn write_out<W: AsyncWrite + Unpin>(
    mut half: W,
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    unsent: Arc<AtomicUsize>,
) -> Option<W> {
    while let Some(mut bytes) = queue.recv().await {
        while let Ok(more) = queue.try_recv() {
            bytes.extend_from_slice(&more);
        }
        // TLS keeps what the socket did not take until it is told to flush.
        if half.write_all(&bytes).await.is_err() || half.flush().await.is_err() {
            return None;
        }
        unsent.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    Some(half)
}
