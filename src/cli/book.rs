//! A journal as reading commands see it: opened by us or, while a node has it open, through that
//! node's socket. The same questions, the same answers, the same code after that.

use super::exit::{Exit, Failure, Outcome};
use crate::actors::now_ms;
use crate::admin::{Client, Request, Response, Settling};
use crate::journal::entry::Entry;
use crate::journal::prune::{Ask, Tally, Told};
use crate::journal::{
    Answer, Journal, JournalError, Made, Placed, Query, Sweep, Write, obligation,
};
use crate::terms::SessionId;
use clap::Args;
use sdpp_ledger::Reference;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How many rows are asked for at once; see [`crate::admin::RESPONSE_BYTES_MAX`].
pub(super) const ROWS: usize = 64;

/// Which journal.
#[derive(Args)]
pub(super) struct Where {
    /// The journal's folder: `dir` in [journal] of the config.
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
}

/// A journal that answers.
pub(super) enum Book {
    /// Opened by us; the folder stays locked as long as this lives.
    Ours(Journal),
    /// Open in a running node.
    Nodes(Client),
}

impl Where {
    /// The journal's folder.
    pub(super) fn dir(&self) -> &Path {
        &self.journal
    }

    /// The journal in a folder.
    pub(super) fn in_folder(journal: PathBuf) -> Where {
        Where { journal }
    }

    /// Opens the journal, or reaches the node that has it open.
    pub(super) fn open(&self) -> Outcome<Book> {
        match Journal::open_existing(&self.journal) {
            Ok(journal) => Ok(Book::Ours(journal)),
            Err(JournalError::Locked { dir, pid }) => Book::reach(&dir, pid),
            Err(error) => Err(error.into()),
        }
    }
}

impl Book {
    /// The journal in a folder; `None` where there is none yet.
    pub(super) fn find(dir: &Path) -> Outcome<Option<Book>> {
        match Journal::open_existing(dir) {
            Ok(journal) => Ok(Some(Book::Ours(journal))),
            Err(JournalError::NotAJournal(_)) => Ok(None),
            Err(JournalError::Locked { dir, pid }) => Book::reach(&dir, pid).map(Some),
            Err(error) => Err(error.into()),
        }
    }

    fn reach(dir: &Path, pid: Option<u32>) -> Outcome<Book> {
        let reached = Client::connect(dir);
        reached.map(Book::Nodes).map_err(|error| locked(dir, pid, &error))
    }

    pub(super) fn ask(&mut self, query: &Query) -> Outcome<Answer> {
        match self {
            Book::Ours(journal) => Ok(journal.reader().answer(query)?),
            Book::Nodes(client) => match ask_node(client, &Request::Journal(query.clone()))? {
                Response::Journal(answer) => Ok(answer),
                _ => Err(misfit()),
            },
        }
    }

    /// Entries after `after`, of one session or of all, up to `limit`; handed on one by one,
    /// never all in memory.
    pub(super) fn each_entry(
        &mut self,
        session: Option<SessionId>,
        mut after: u64,
        mut limit: u64,
        mut look: impl FnMut(Entry) -> Outcome,
    ) -> Outcome {
        while limit > 0 {
            let rows = ROWS.min(usize::try_from(limit).unwrap_or(ROWS));
            let Answer::Entries { entries } =
                self.ask(&Query::Entries { session, after, limit: rows })?
            else {
                return Err(misfit());
            };
            let Some(last) = entries.last() else { break };
            after = last.seq;
            limit -= entries.len().min(rows) as u64;
            entries.into_iter().try_for_each(&mut look)?;
        }
        Ok(())
    }

    /// All entries up to `to`, in order; as [`Book::each_entry`]. A restored journal has fewer than
    /// their seqs say.
    pub(super) fn each_entry_to(
        &mut self,
        to: u64,
        mut look: impl FnMut(Entry) -> Outcome,
    ) -> Outcome {
        self.each_entry(None, 0, to, |entry| if entry.seq <= to { look(entry) } else { Ok(()) })
    }

    /// All sessions, by id; handed on one by one, never all in memory.
    pub(super) fn each_session(
        &mut self,
        mut look: impl FnMut(&mut Self, &Placed) -> Outcome,
    ) -> Outcome {
        let mut after = None;
        loop {
            let Answer::Sessions { sessions } =
                self.ask(&Query::Sessions { after, limit: ROWS })?
            else {
                return Err(misfit());
            };
            let Some(last) = sessions.last() else { return Ok(()) };
            after = Some(last.id);
            sessions.iter().try_for_each(|placed| look(self, placed))?;
        }
    }

    /// Has something tried again that a ledger refused.
    pub(super) fn retry(&mut self, reference: Reference) -> Outcome {
        match self {
            Book::Ours(journal) => {
                let event = obligation::Event::Retried;
                commit(journal, Write::Obligation { reference, event })
            }
            Book::Nodes(client) => match ask_node(client, &Request::Retry(reference))? {
                Response::Retried => Ok(()),
                _ => Err(misfit()),
            },
        }
    }

    /// Prunes it, or finds out what that would drop.
    pub(super) fn prune(&mut self, mut ask: Ask) -> Outcome<Tally> {
        let mut sum = Tally::default();
        match self {
            Book::Ours(journal) => {
                let mut sweep = Sweep::new(ask.before_ms, ask.from);
                while match ask.dry_run {
                    true => sweep.rehearse(&journal.reader())?,
                    false => journal.prune(now_ms(), &mut sweep)?,
                } {}
                sum.add(sweep.tally().clone());
            }
            Book::Nodes(client) => loop {
                let asked = ask_node(client, &Request::Prune(ask.clone()))?;
                let Response::Pruned(Told { tally, rest }) = asked else { return Err(misfit()) };
                sum.add(tally);
                match rest {
                    Some(place) => ask.from = place,
                    None => break,
                }
            },
        }
        Ok(sum)
    }

    /// Backs it up to a new file, or to one in a folder.
    pub(super) fn back_up(&mut self, output: &Path) -> Outcome<Made> {
        let absolute = std::path::absolute(output).map_err(Failure::io("find", output))?;
        match self {
            Book::Ours(journal) => Ok(journal.reader().back_up(&absolute, now_ms())?),
            Book::Nodes(client) => match ask_node(client, &Request::Backup(absolute))? {
                Response::Backup(made) => Ok(made),
                _ => Err(misfit()),
            },
        }
    }

    /// Has something owed not be done any more, as far as that can still be had.
    pub(super) fn cancel(&mut self, reference: Reference) -> Outcome {
        match self {
            Book::Ours(journal) => commit(journal, Write::Cancel { reference }),
            Book::Nodes(client) => match ask_node(client, &Request::Cancel(reference))? {
                Response::Cancelling => Ok(()),
                _ => Err(misfit()),
            },
        }
    }

    /// Has the node that has the journal open settle something; see [`Settling`].
    pub(super) fn settle(&mut self, asked: Settling) -> Outcome<Value> {
        let Book::Nodes(client) = self else { return Err(misfit()) };
        match ask_node(client, &Request::Settle(asked))? {
            Response::Settling(told) => Ok(told),
            _ => Err(misfit()),
        }
    }
}

fn commit(journal: &mut Journal, write: Write) -> Outcome {
    let answers = journal.commit(now_ms(), vec![write])?;
    let done = answers.into_iter().try_for_each(|answer| answer.map(drop));
    done.map_err(|error| Failure::new(Exit::Failed, error))
}

/// An answer to another question than was asked.
pub(super) fn misfit() -> Failure {
    Failure::new(
        Exit::Failed,
        "the journal's node answered another question: is it of this version?",
    )
}

fn ask_node(client: &mut Client, request: &Request) -> Outcome<Response> {
    match client.ask(request) {
        Ok(Response::Failed(why)) => Err(Failure::new(Exit::Failed, why)),
        Ok(response) => Ok(response),
        Err(error) => {
            let why = format!("the node that has the journal open does not answer: {error}");
            Err(Failure::new(Exit::Failed, why))
        }
    }
}

fn locked(dir: &Path, pid: Option<u32>, error: &std::io::Error) -> Failure {
    let who = pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
    let why = format!(
        "the journal in {} is open in {who}, which does not answer on its socket ({error}): wait \
         for it to end, or stop it",
        dir.display()
    );
    Failure::new(Exit::Failed, why)
}
