//! Who is told how the process is.

use serde::Serialize;
use std::net::SocketAddr;

/// Who is told how the process is, and when it is not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// Where `GET /health` is answered, on this host alone; nowhere where this is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<SocketAddr>,
    /// How long something may be owed to a ledger before a seller is not ready, in seconds; at
    /// least 1. What waits for its session's end is owed since it was written.
    pub obligations_old_s: u64,
}
