//! Offers a node to other processes, on a listener that the caller opened.
//!
//! There is no authentication and no encryption: transactions carry their own signatures, but
//! anybody who can connect can read, and draw from a faucet. Listen on loopback.

use crate::node::Node;
use crate::wire::{Outcome, QUESTION_BYTES_MAX, Question, Reply, read_line, write_line};
use sdpp_ledger::LedgerError;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The most connections that are open at once; a further one is told so and closed.
pub const CONNECTIONS_MAX: usize = 64;

/// How long a connection may say nothing, or not take its answer, before it is closed.
pub const IDLE_MAX: Duration = Duration::from_secs(120);

/// Answers connections until `shutdown` is ready; then closes them all. Whether a question that
/// had no answer by then took effect is for its asker to look up.
pub async fn serve(
    listener: TcpListener,
    node: Arc<dyn Node>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(converse(stream, Arc::clone(&node)));
                }
                Ok((stream, _)) => turn_away(&stream),
                Err(error) => pause_after(&error).await,
            },
        }
    }
}

/// Says why without waiting: a stranger who takes nothing must not hold up the others.
fn turn_away(stream: &TcpStream) {
    let full = about_connection(LedgerError::unavailable(format!(
        "{CONNECTIONS_MAX} connections are open already, which is the most"
    )));
    let mut line = crate::genesis::to_json(&full);
    line.push(b'\n');
    // Best effort: the stream is closed either way.
    let _ = stream.try_write(&line);
}

/// Accepting fails for want of file handles, or because the other side left: both pass.
async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn converse(stream: TcpStream, node: Arc<dyn Node>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let line = timeout(IDLE_MAX, read_line(&mut reader, QUESTION_BYTES_MAX)).await;
        let Some(line) = line.unwrap_or(Ok(None)).transpose() else {
            return;
        };
        let reply = match line {
            Ok(line) => answer(&line, node.as_ref()).await,
            Err(error) => unreadable(&error),
        };
        let written = timeout(IDLE_MAX, write_line(&mut writer, &reply)).await;
        if reply.id == 0 || !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

async fn answer(line: &[u8], node: &dyn Node) -> Reply {
    match serde_json::from_slice::<Question>(line) {
        Ok(question) => Reply { id: question.id, outcome: node.ask(question.ask).await.into() },
        Err(error) => unreadable(&error),
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Reply {
    about_connection(LedgerError::refused("Malformed", error.to_string()))
}

fn about_connection(error: LedgerError) -> Reply {
    Reply { id: 0, outcome: Outcome::from(Err(error)) }
}
