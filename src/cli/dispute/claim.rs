//! What can be shown of a session whose money no escrow holds: the signed bundle of its evidence,
//! and what a judge makes of it.

use super::{make, verified};
use crate::cli::book::Book;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::dispute::{Bundle, Gather, Keys, Verdict, judge};
use crate::journal::Entry;
use crate::message::Moment;
use crate::record::Record;
use crate::terms::SessionId;
use sdpp_ledger::{Key, Reference};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How many hex digits of a session and of a bundle stand in a file's name.
const NAME_DIGITS: usize = 8;

/// A session's evidence, and the verdict on it alone.
pub(super) struct Claim {
    /// What is pinned, and handed to whoever judges.
    pub(super) bundle: Bundle,
    /// What follows from it.
    pub(super) verdict: Verdict,
}

impl Claim {
    /// The evidence that a journal has. The same journal makes the same bundle, whatever was pinned
    /// of it before: so it is exported as of the last entry of its session.
    pub(super) fn of(book: &mut Book, session: SessionId, key: &Key) -> Outcome<Claim> {
        let (mut gather, mut at_ms) = (Gather::new(session), 0);
        let mut pinned = BTreeSet::new();
        let (_, head) = verified(book)?;
        book.each_entry_to(head, |entry| {
            if !is_about(&entry, &mut pinned) {
                if entry.session == Some(session) && !is_bare_end(&entry) {
                    at_ms = at_ms.max(entry.at_ms);
                }
                gather.take(&entry);
            }
            Ok(())
        })?;
        let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error);
        let bundle = gather.finish(key, Moment(at_ms), &[]).map_err(|error| failed(&error))?;
        let keys = Keys::of(bundle.body().role, key.public());
        let verdict = judge(std::slice::from_ref(&bundle), &keys);
        let verdict = verdict.map_err(|error| Failure::new(Exit::Wrong, error))?;
        Ok(Claim { bundle, verdict })
    }

    /// Whether somebody owes something or broke the rules: else the evidence is of use to nobody.
    pub(super) fn says_something(&self) -> bool {
        !self.verdict.debts.is_empty() || self.verdict.misdeeds > 0
    }

    /// Writes the bundle, where it does not stand there already. Gives the file's path.
    pub(super) fn write(&self, file: Option<&Path>) -> Outcome<PathBuf> {
        let path = file.map_or_else(|| self.name(), Path::to_owned);
        let bytes = self.bundle.write();
        match make(&path, &bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if fs::read(&path).map_err(Failure::io("read", &path))? != bytes {
                    let why = format!("{} is there and is another file", path.display());
                    return Err(Failure::usage(format!("{why}: name a new one with --bundle")));
                }
            }
            Err(error) => return Err(Failure::io("make", &path)(error)),
        }
        Ok(path)
    }

    /// A name that no other bundle has.
    fn name(&self) -> PathBuf {
        let short = |text: String| text.chars().skip(2).take(NAME_DIGITS).collect::<String>();
        let session = short(self.verdict.session.to_string());
        let digest = short(self.bundle.digest().to_string());
        PathBuf::from(format!("dispute-{session}-{digest}.json"))
    }
}

/// Whether an entry says that its session ended, and no more. Whoever opens the journal of a process
/// that was killed writes it, and so makes no other evidence of what was pinned before.
fn is_bare_end(entry: &Entry) -> bool {
    matches!(&entry.record, Record::Ended { evidence, .. } if evidence.is_empty())
}

/// Whether an entry is about pinning evidence, which is no evidence itself.
fn is_about(entry: &Entry, pinned: &mut BTreeSet<Reference>) -> bool {
    match &entry.record {
        Record::Disputed { owed, .. } => {
            pinned.insert(owed.reference);
            true
        }
        Record::Met { reference, .. } | Record::Refused { reference, .. } => {
            pinned.contains(reference)
        }
        _ => false,
    }
}
