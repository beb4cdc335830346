//! `sdpp dispute`: what a session that did not go well comes to, and what is done about it:
//! evidence out of a journal, a verdict out of evidence, corrections, and settling what is left.

mod amend;
mod ask;
pub(super) mod bonded;
mod bundle;
mod case;
mod claim;
mod credit;
pub(super) mod guard;
pub(super) mod judge;
mod list;
pub(super) mod settle;
pub(super) mod settling;
mod show;
mod shown;
pub(super) mod told;

use super::book::{Book, misfit};
use super::exit::{Exit, Failure, Outcome};
use crate::dispute::Gather;
use crate::journal::{Answer, Query};
use crate::terms::SessionId;
use clap::{Args, Subcommand};
use sdpp_ledger::PublicKey;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Show what a session comes to, export its evidence, judge evidence, correct what went wrong, and
/// settle what is left.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp dispute judge seller.json buyer.json --seller-key 0x02... --buyer-key 0x03..."
)]
pub(super) struct Dispute {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    List(list::List),
    Show(show::Show),
    Bundle(bundle::Export),
    Judge(judge::Judge),
    Settle(settle::Settle),
    Credit(credit::Credit),
    Ask(ask::Ask),
}

impl Dispute {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        match self.verb {
            Verb::List(verb) => verb.run(),
            Verb::Show(verb) => verb.run(),
            Verb::Bundle(verb) => verb.run(),
            Verb::Judge(verb) => verb.run(),
            Verb::Settle(verb) => verb.run(),
            Verb::Credit(verb) => verb.run(),
            Verb::Ask(verb) => verb.run(),
        }
    }
}

/// Makes a new file, whole or not at all: a crash leaves none under its name.
fn make(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.try_exists()? {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let mut part = path.file_name().unwrap_or_default().to_owned();
    part.push(".part");
    let part = path.with_file_name(part);
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(part, path)
}

/// Whose journal it is, and its last entry: evidence comes out of a chain that holds.
fn verified(book: &mut Book) -> Outcome<(PublicKey, u64)> {
    let Answer::Counts { identity, .. } = book.ask(&Query::Counts)? else { return Err(misfit()) };
    match book.ask(&Query::Verify)? {
        Answer::Holds { head, .. } => Ok((identity, head.seq)),
        Answer::Broken { broken } => {
            let why = format!("the chain is broken, so nothing is exported: {broken}");
            Err(Failure::new(Exit::Wrong, why))
        }
        _ => Err(misfit()),
    }
}

/// The evidence of a session, out of the whole journal up to an entry: what ledgers said of its
/// channel belongs to no session.
fn gather(book: &mut Book, session: SessionId, to: u64) -> Outcome<Gather> {
    let mut gather = Gather::new(session);
    book.each_entry_to(to, |entry| {
        gather.take(&entry);
        Ok(())
    })?;
    Ok(gather)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_whole_and_never_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evidence.json");
        // What a crash left behind is in nobody's way.
        fs::write(dir.path().join("evidence.json.part"), "torn, and longer").unwrap();
        make(&path, b"whole").unwrap();
        assert_eq!(make(&path, b"other").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
