//! What goes over a connection: one JSON object in each line, answers in the order of questions.
//!
//! A question is `{"id":N,"ask":REQUEST}`; its answer has the same id:
//! `{"id":N,"ok":ANSWER}`, or `{"id":N,"refused":{..}}`, or `{"id":N,"unavailable":{..}}`.
//! Id 0 is what a node says of the connection itself, before it closes it.

use crate::node::{Answer, Request};
use sdpp_ledger::LedgerError;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest question that a node reads, in bytes: the longest transaction in hex, and a frame.
pub const QUESTION_BYTES_MAX: usize = 2 * crate::TX_BYTES_MAX + 1024;

/// The longest answer that a client reads, in bytes: what a block full of batches did to
/// channels, or as many full batches as one answer lists.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    pub id: u64,
    pub ask: Request,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reply {
    pub id: u64,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Ok(Box<Answer>),
    Refused { code: String, why: String },
    Unavailable { what: String, retry_after_ms: Option<u64> },
}

impl From<Result<Answer, LedgerError>> for Outcome {
    fn from(result: Result<Answer, LedgerError>) -> Self {
        match result {
            Ok(answer) => Outcome::Ok(Box::new(answer)),
            Err(LedgerError::Refused { code, why }) => Outcome::Refused { code, why },
            Err(LedgerError::Unavailable { what, retry_after }) => Outcome::Unavailable {
                what,
                retry_after_ms: retry_after.and_then(|d| u64::try_from(d.as_millis()).ok()),
            },
        }
    }
}

impl From<Outcome> for Result<Answer, LedgerError> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok(answer) => Ok(*answer),
            Outcome::Refused { code, why } => Err(LedgerError::Refused { code, why }),
            Outcome::Unavailable { what, retry_after_ms } => Err(LedgerError::Unavailable {
                what,
                retry_after: retry_after_ms.map(Duration::from_millis),
            }),
        }
    }
}

/// Reads one line without its end; `None` when the other side closed between two lines.
///
/// # Errors
/// `InvalidData` for a line longer than `most`, `UnexpectedEof` for one that is cut off.
pub(crate) async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin + Send),
    most: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = reader.take(most as u64 + 1);
    limited.read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() == most => {
            let why = format!("a line of more than {most} bytes");
            Err(io::Error::new(io::ErrorKind::InvalidData, why))
        }
        Some(_) => {
            let why = "closed in the middle of a line";
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, why))
        }
    }
}

pub(crate) async fn write_line(
    writer: &mut (impl AsyncWrite + Unpin + Send),
    message: &(impl Serialize + Sync),
) -> io::Result<()> {
    let mut line = crate::genesis::to_json(message);
    line.push(b'\n');
    writer.write_all(&line).await?;
    writer.flush().await
}
