//! The writing half of a session's connection. No rule of the protocol is here.

use crate::actors::wire::Line;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// How long the last bytes of a session may take to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// Bytes on their way out, in a task of their own: a peer that reads slowly must not keep us from
/// reading.
pub(super) struct Writer {
    queue: Option<mpsc::UnboundedSender<Vec<u8>>>,
    unsent: Arc<AtomicUsize>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Writer {
    pub(super) fn idle() -> Self {
        Writer { queue: None, unsent: Arc::default(), task: None }
    }

    /// Writes to a connection.
    pub(super) fn start(mut line: Line) -> Self {
        let (queue, receiver) = mpsc::unbounded_channel();
        let unsent = Arc::<AtomicUsize>::default();
        let counted = unsent.clone();
        let task = actix::spawn(async move {
            if write_out(&mut line, receiver, counted).await.is_ok() {
                // Best effort: the peer may be gone already.
                let _ = line.shutdown().await;
            }
        });
        Writer { queue: Some(queue), unsent, task: Some(task) }
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

/// Writes what is queued until no more will be, or the connection breaks.
async fn write_out(
    line: &mut Line,
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    unsent: Arc<AtomicUsize>,
) -> io::Result<()> {
    while let Some(mut bytes) = queue.recv().await {
        while let Ok(more) = queue.try_recv() {
            bytes.extend_from_slice(&more);
        }
        // TLS keeps what the socket did not take until it is told to flush.
        line.write_all(&bytes).await?;
        line.flush().await?;
        unsent.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    Ok(())
}
