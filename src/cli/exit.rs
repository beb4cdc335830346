//! How a command ends: the exit code that scripts rely on, and one line that says why.

use crate::config::ConfigError;
use crate::config::ledgers::OpenError;
use crate::journal::JournalError;
use crate::keystore::KeystoreError;
use sdpp_ledger::LedgerError;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// The exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// It failed, and nothing below says it better.
    Failed = 1,
    /// Wrong usage, or a wrong config.
    Usage = 2,
    /// An audit found something wrong.
    Wrong = 3,
    /// The peer misbehaved.
    Peer = 4,
    /// A ledger refused, or cannot be reached.
    Ledger = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command ends early: what, where and what to do, in one line without a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// For people; empty when there is nothing to say.
    pub why: String,
}

/// What a command comes to.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with its exit code and reason.
    pub fn new(exit: Exit, why: impl fmt::Display) -> Self {
        Failure { exit, why: why.to_string() }
    }

    /// Wrong usage.
    pub fn usage(why: impl fmt::Display) -> Self {
        Failure::new(Exit::Usage, why)
    }

    /// The system refused to do `what` with a path.
    pub fn io<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |error| {
            Failure::new(Exit::Failed, format!("cannot {what} {}: {error}", path.display()))
        }
    }

    /// Our output has no reader any more: `sdpp ... | head` is no failure of ours.
    pub(super) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure { exit: Exit::Done, why: String::new() },
            _ => Failure::new(Exit::Failed, format!("cannot write the output: {error}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, and nothing that a terminal obeys, whatever a foreign message brought along.
        let lines: Vec<&str> = self.why.lines().map(str::trim).collect();
        let plain = lines.join(" ").replace(char::is_control, "?");
        f.write_str(&plain)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::usage(error)
    }
}

impl From<KeystoreError> for Failure {
    fn from(error: KeystoreError) -> Self {
        let exit = if let KeystoreError::Io { .. } = error { Exit::Failed } else { Exit::Usage };
        Failure::new(exit, error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let exit = match error {
            JournalError::NotAJournal(_)
            | JournalError::Taken(_)
            | JournalError::Identity { .. } => Exit::Usage,
            JournalError::Damaged { .. } => Exit::Wrong,
            _ => Exit::Failed,
        };
        Failure::new(exit, error)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Failure::new(Exit::Ledger, error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Key { ledger, source } => {
                let Failure { exit, why } = source.into();
                Failure { exit, why: format!("the key of ledger {ledger}: {why}") }
            }
            OpenError::Endpoint { .. }
            | OpenError::Unread { .. }
            | OpenError::Unsound { .. }
            | OpenError::NoKey { .. }
            | OpenError::NoKeys { .. }
            | OpenError::NotBuilt { .. }
            | OpenError::NoSuchLedger { .. } => Failure::usage(error),
            OpenError::Closed { .. }
            | OpenError::Account { .. }
            | OpenError::Unreachable { .. } => Failure::new(Exit::Ledger, error),
        }
    }
}
