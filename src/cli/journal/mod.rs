//! `sdpp journal`: the entries and the outbox, while the node runs or while it does not.

mod backup;
pub(super) mod prune;
mod release;
mod restore;
mod soak;

use super::book::{Book, ROWS, Where, misfit};
use super::exit::{Exit, Failure, Outcome};
use super::out;
use crate::journal::delivery::Cancel as Wish;
use crate::journal::{Answer, Delivery, Obligation, Placed, Pruned, Query};
use crate::message::Moment;
use crate::terms::SessionId;
use clap::{Args, Subcommand, ValueEnum};
use sdpp_ledger::Reference;
use serde::Serialize;
use serde_json::{Value, json};

/// List, show, verify and prune a journal, try again what a ledger refused, cancel what is stuck,
/// back a journal up, and restore a backup.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp journal verify --journal seller-journal")]
pub(super) struct Journal {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    List(List),
    Show(Show),
    Verify(Verify),
    Retry(Retry),
    Cancel(Cancel),
    Prune(prune::Prune),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Release(release::Release),
    Soak(soak::Soak),
}

/// List entries, sessions, or the outbox: obligations to ledgers and deliveries on their way.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp journal list obligations --unsettled --journal seller-journal"
)]
struct List {
    /// What to list.
    #[arg(value_enum, default_value_t = What::Entries)]
    what: What,
    #[command(flatten)]
    book: Where,
    /// Entries: of this session only.
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    /// Entries: after this one.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// Entries: so many at most.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Obligations: only those that are neither met nor refused.
    #[arg(long)]
    unsettled: bool,
    /// Answer with JSON, one object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Entries,
    Sessions,
    Obligations,
    Deliveries,
}

/// Show one entry by its seq, or one obligation by its reference. No secret is shown.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp journal show 12 --journal seller-journal")]
struct Show {
    /// A seq, or a reference (0x and 64 hex digits).
    which: String,
    #[command(flatten)]
    book: Where,
    /// Answer with JSON on one line.
    #[arg(long)]
    json: bool,
}

/// Walk the whole chain of entries, and read all that stands beside it.
///
/// The exit code is 3 where it is broken, or ends too early.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp journal verify --at-least 120 --journal seller-journal")]
struct Verify {
    #[command(flatten)]
    book: Where,
    /// The entry that must be there.
    #[arg(long, value_name = "SEQ")]
    at_least: Option<u64>,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

/// Try again something owed that a ledger refused.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp journal retry 0x5c1a... --journal seller-journal")]
struct Retry {
    /// Its reference, as `sdpp journal list obligations` shows it.
    reference: Reference,
    #[command(flatten)]
    book: Where,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

/// Have something owed to a ledger not be done any more.
///
/// What is not signed yet is refused at once. For what is on its way, a transaction without effect
/// is sent under its number; whichever of the two the ledger takes is final. All that shares a
/// transaction with it is cancelled too, and can be tried again.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp journal cancel 0x5c1a... --journal seller-journal")]
struct Cancel {
    /// Its reference, as `sdpp journal list obligations` shows it.
    reference: Reference,
    #[command(flatten)]
    book: Where,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

impl Journal {
    pub(super) fn run(self) -> Outcome {
        match self.verb {
            Verb::List(list) => list.run(),
            Verb::Show(show) => show.run(),
            Verb::Verify(verify) => verify.run(),
            Verb::Retry(Retry { reference, book, json }) => {
                book.open()?.retry(reference)?;
                let line = format!("{reference} will be tried again");
                if json { out::json(&json!({ "reference": reference })) } else { out::line(line) }
            }
            Verb::Cancel(Cancel { reference, book, json }) => {
                book.open()?.cancel(reference)?;
                let line = format!("{reference} will not be done, unless it is done before");
                if json { out::json(&json!({ "reference": reference })) } else { out::line(line) }
            }
            Verb::Prune(prune) => prune.run(),
            Verb::Backup(backup) => backup.run(),
            Verb::Restore(restore) => restore.run(),
            Verb::Release(release) => release.run(),
            Verb::Soak(soak) => soak.run(),
        }
    }
}

impl List {
    fn run(self) -> Outcome {
        let mut book = self.book.open()?;
        match self.what {
            What::Entries => {
                let limit = self.limit.unwrap_or(u64::MAX);
                book.each_entry(self.session, self.after, limit, |entry| {
                    let record = name_in(&entry.record, "record");
                    let session = entry.session.map(|id| format!("  session {id}"));
                    self.print(&entry, || {
                        let session = session.unwrap_or_default();
                        let pruned = if entry.lacks.is_some() { "  pruned" } else { "" };
                        let (seq, at) = (entry.seq, Moment(entry.at_ms));
                        format!("{seq:>8}  {at}  {record}{session}{pruned}")
                    })
                })
            }
            What::Sessions => self.sessions(&mut book),
            What::Obligations => self.obligations(&mut book),
            What::Deliveries => self.deliveries(&mut book),
        }
    }

    fn sessions(&self, book: &mut Book) -> Outcome {
        book.each_session(|_, row| {
            let Placed { id, session } = row;
            let ended = session.ended.map_or("open".to_owned(), |end| name_of(&end));
            self.print(row, || {
                format!("{id}  {ended}  as {}, entry {}", session.role, session.first_seq)
            })
        })
    }

    fn obligations(&self, book: &mut Book) -> Outcome {
        let mut after = None;
        loop {
            let answer = book.ask(&Query::Obligations { after, limit: ROWS })?;
            let Answer::Obligations { obligations } = answer else { return Err(misfit()) };
            let Some(last) = obligations.last() else { return Ok(()) };
            after = Some(last.owed.reference);
            for row in obligations.iter().filter(|row| !(self.unsettled && row.state.is_settled()))
            {
                self.print(row, || obligation_line(row))?;
            }
        }
    }

    fn deliveries(&self, book: &mut Book) -> Outcome {
        let mut after = None;
        loop {
            let answer = book.ask(&Query::Deliveries { after, limit: ROWS })?;
            let Answer::Deliveries { deliveries } = answer else { return Err(misfit()) };
            let Some(last) = deliveries.last() else { return Ok(()) };
            after = Some(last.id.clone());
            for row in &deliveries {
                self.print(row, || delivery_line(row))?;
            }
        }
    }

    fn print(&self, row: &impl Serialize, line: impl FnOnce() -> String) -> Outcome {
        if self.json { out::json(row) } else { out::line(line()) }
    }
}

impl Show {
    fn run(self) -> Outcome {
        let seq = self.which.parse::<u64>().ok().filter(|seq| *seq > 0);
        let found = match (seq, self.which.parse::<Reference>()) {
            (Some(seq), _) => entry(&mut self.book.open()?, seq)?,
            (None, Ok(reference)) => obligation(&mut self.book.open()?, reference)?,
            _ => return Err(Failure::usage("write an entry's seq, from 1, or a reference 0x...")),
        };
        match found {
            Some(found) if self.json => out::json(&found),
            Some(found) => out::pretty(&found),
            None => {
                let why = format!("the journal has no {}", self.which);
                Err(Failure::new(Exit::Failed, why))
            }
        }
    }
}

impl Verify {
    fn run(self) -> Outcome {
        let (head, pruned) = match self.book.open()?.ask(&Query::Verify)? {
            Answer::Holds { head, pruned } => (head, pruned),
            Answer::Broken { broken } => {
                let why = format!(
                    "the chain is broken: {broken}, in {}. Keep the folder as it is, and restore the \
                     last backup into another one: `sdpp journal restore --journal NEW --from BACKUP`",
                    self.book.dir().display()
                );
                return Err(Failure::new(Exit::Wrong, why));
            }
            _ => return Err(misfit()),
        };
        if let Some(least) = self.at_least.filter(|least| *least > head.seq) {
            let why = format!("entry {least} is not there: the journal ends at {}", head.seq);
            return Err(Failure::new(Exit::Wrong, why));
        }
        if self.json {
            return out::json(&json!({ "head": head, "pruned": pruned }));
        }
        out::line(format!("the chain holds, from entry 1 to {}: {}", head.seq, head.digest))?;
        let Pruned { entries, sessions, before_ms } = pruned;
        if entries == 0 {
            return Ok(());
        }
        let before = Moment(before_ms);
        out::line(format!(
            "pruned: the payload of {entries} entries of {sessions} sessions that ended before \
             {before}"
        ))
    }
}

fn entry(book: &mut Book, seq: u64) -> Outcome<Option<Value>> {
    let mut found = None;
    book.each_entry(None, seq - 1, 1, |entry| {
        found = (entry.seq == seq).then(|| json!(entry));
        Ok(())
    })?;
    Ok(found)
}

fn obligation(book: &mut Book, reference: Reference) -> Outcome<Option<Value>> {
    let query = Query::Obligations { after: before(reference), limit: 1 };
    let Answer::Obligations { obligations } = book.ask(&query)? else { return Err(misfit()) };
    let found = obligations.into_iter().find(|row| row.owed.reference == reference);
    Ok(found.map(|row| json!(row)))
}

/// The largest reference that is less than this one; `None` before the first.
fn before(Reference(mut bytes): Reference) -> Option<Reference> {
    let last = bytes.iter().rposition(|byte| *byte > 0)?;
    bytes[last] -= 1;
    bytes[last + 1..].fill(u8::MAX);
    Some(Reference(bytes))
}

fn obligation_line(row: &Obligation) -> String {
    let (reference, ledger) = (row.owed.reference, &row.owed.ledger);
    let (purpose, state) = (name_of(&row.owed.purpose), name_in(&row.state, "state"));
    let since = Moment(row.at_ms);
    format!("{reference}  {state}  {purpose} on {ledger}, since {since}, entry {}", row.entry)
}

fn delivery_line(row: &Delivery) -> String {
    let tx = row.signed().and_then(|signed| signed.tx.as_ref());
    let tx = tx.map_or("no id yet".to_owned(), ToString::to_string);
    let (state, call, count) =
        (name_in(&row.state, "state"), name_in(&row.call, "call"), row.references.len());
    let (number, account, ledger) = (row.id.number, &row.id.account, &row.id.ledger);
    let cancel = cancel_told(&row.cancel);
    format!("{tx}  {state}  {call} for {count}, number {number} of {account} on {ledger}{cancel}")
}

/// What came of an operator's wish. Where the ledger cannot, it says what would help.
fn cancel_told(cancel: &Wish) -> String {
    match cancel {
        Wish::No => String::new(),
        Wish::Wished => ", to be cancelled".to_owned(),
        Wish::Signed { .. } => ", being cancelled".to_owned(),
        Wish::Refused { why } => format!(", not cancelled: {why}"),
    }
}

/// The word that a value is written with in the journal.
fn name_of(value: &impl Serialize) -> String {
    json!(value).as_str().unwrap_or("?").to_owned()
}

fn name_in(value: &impl Serialize, tag: &str) -> String {
    json!(value)[tag].as_str().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_ledger_could_not_cancel_is_shown_with_what_would_help() {
        let why = "FeeCeiling: set fee_ceiling to at least 9".to_owned();
        let told = cancel_told(&Wish::Refused { why });
        assert_eq!(told, ", not cancelled: FeeCeiling: set fee_ceiling to at least 9");
        assert_eq!(cancel_told(&Wish::No), "");
    }
}
