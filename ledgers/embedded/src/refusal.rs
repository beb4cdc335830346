//! Why the ledger refuses something: a code for programs, a sentence for people.

use sdpp_ledger::LedgerError;

/// A refusal by the chain's rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {why}")]
pub struct Refusal {
    /// A short name for programs, such as `InsufficientFunds`.
    pub code: &'static str,
    /// A sentence for people.
    pub why: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, why: impl Into<String>) -> Self {
        let why = why.into();
        Refusal { code, why }
    }
}

impl From<Refusal> for LedgerError {
    fn from(refusal: Refusal) -> Self {
        LedgerError::refused(refusal.code, refusal.why)
    }
}
