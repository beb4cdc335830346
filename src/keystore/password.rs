//! Where passwords come from: a variable, a file, or a person at a terminal. Never an argument,
//! which every user of the machine can read.

use super::{KeystoreError, open_secret, read_line, variable};
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a person's answer is read from and what the question is written to.
const TERMINAL: &str = "/dev/tty";

/// A password. Wiped from memory when dropped; never printed; never empty.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password. `place` says where it came from, for the error.
    ///
    /// # Errors
    /// [`KeystoreError::Secret`] when it is empty.
    pub fn new(text: Zeroizing<String>, place: &str) -> Result<Self, KeystoreError> {
        if text.is_empty() {
            return Err(KeystoreError::Secret {
                place: place.to_owned(),
                why: "the password is empty",
            });
        }
        Ok(Password(text))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(kept secret)")
    }
}

/// Where a password comes from. Holds no secret, so it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordFrom {
    /// An environment variable.
    Env(String),
    /// A file that others cannot read; a trailing newline is not part of the password.
    File(PathBuf),
    /// A person at the terminal.
    Prompt,
}

impl PasswordFrom {
    /// Fetches the password that opens a key. `question` is what a person is asked.
    ///
    /// # Errors
    /// [`KeystoreError`] says what is missing and what to do.
    pub fn read(&self, question: &str) -> Result<Password, KeystoreError> {
        let place = self.to_string();
        let text = match self {
            PasswordFrom::Env(name) => variable(name)?,
            PasswordFrom::File(path) => read_line(open_secret(path)?, &place)?,
            PasswordFrom::Prompt => ask(Path::new(TERMINAL), question)?,
        };
        Password::new(text, &place)
    }

    /// Fetches the password for a new key; a person is asked twice.
    ///
    /// # Errors
    /// [`KeystoreError::NotTheSame`], or as [`PasswordFrom::read`].
    pub fn read_new(&self, question: &str) -> Result<Password, KeystoreError> {
        let first = self.read(question)?;
        if *self == PasswordFrom::Prompt && *ask(Path::new(TERMINAL), "Once more: ")? != *first.0 {
            return Err(KeystoreError::NotTheSame);
        }
        Ok(first)
    }
}

impl fmt::Display for PasswordFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswordFrom::Env(name) => write!(f, "env:{name}"),
            PasswordFrom::File(path) => write!(f, "file:{}", path.display()),
            PasswordFrom::Prompt => f.write_str("prompt"),
        }
    }
}

impl Serialize for PasswordFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Asks on a terminal without showing what is typed.
pub(super) fn ask(terminal: &Path, question: &str) -> Result<Zeroizing<String>, KeystoreError> {
    let open = std::fs::File::options().read(true).write(true).open(terminal);
    if open.is_err() {
        return Err(KeystoreError::NoTerminal);
    }
    rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(KeystoreError::io("ask for the password on", terminal))
}
