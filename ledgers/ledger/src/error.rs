//! What went wrong with a ledger, by what to do next.

use std::time::Duration;

/// A ledger's error, by what the caller does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// It may work later, and whether anything happened is unknown: ask again, send the same
    /// bytes again. Never a reason to sign anything new.
    #[error("the ledger cannot be reached: {what}")]
    Unavailable {
        /// What was tried and what came back.
        what: String,
        /// When to ask again, where the ledger said so.
        retry_after: Option<Duration>,
    },
    /// It will never work as asked: nothing happened and nothing will.
    #[error("the ledger refused: {code}: {why}")]
    Refused {
        /// A short name for programs, such as `InsufficientFunds` or `AmountNotIncreasing`.
        code: String,
        /// A sentence for people.
        why: String,
    },
}

impl LedgerError {
    /// A refusal with its code and reason.
    pub fn refused(code: impl Into<String>, why: impl Into<String>) -> Self {
        LedgerError::Refused { code: code.into(), why: why.into() }
    }

    /// An outage, with no word of when it ends.
    pub fn unavailable(what: impl Into<String>) -> Self {
        LedgerError::Unavailable { what: what.into(), retry_after: None }
    }
}
