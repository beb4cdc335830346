//! Reading a journal through the fold once, on all cores.
//!
//! One thread takes entries in their order: it checks each one's place in the chain and folds it.
//! What takes time and depends on nothing but itself, reading stored bytes and verifying
//! signatures, is given to the others. What is found is the same in the same order, whoever was
//! faster; memory is bounded by what is under way and by what the fold keeps.

use super::pool::{Pool, cores, on_all_cores};
use crate::audit::{Audit, ToVerify};
use crate::cli::book::{Book, misfit};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::journal::{Answer, Broken, Head, Query, Raw, Reader, Unlinked, Walk};
use sdpp_ledger::PublicKey;
use std::collections::BTreeMap;

/// How many entries are read in one job, and how many signatures verified.
const ENTRIES_A_JOB: usize = 128;
const SIGNATURES_A_JOB: usize = 64;

/// The fold that has read a journal up to its end.
pub(super) struct Read {
    pub(super) identity: PublicKey,
    /// How many entries that is: of a restored journal fewer than the last one's number.
    pub(super) entries: u64,
    pub(super) audit: Audit,
}

/// Reads all of a journal. A chain that is broken is no journal: that is the error.
///
/// One that a node has open is walked by the node, up to where it ends then; what is appended
/// meanwhile is not read.
pub(super) fn read(book: &mut Book, audit: impl FnOnce(PublicKey) -> Audit) -> Outcome<Read> {
    let ended = match book {
        Book::Ours(journal) => Here::new(journal.reader(), audit)?.read()?,
        Book::Nodes(_) => through_node(book, audit)?,
    };
    Ok(ended)
}

/// What is done on any thread.
enum Job {
    Read(usize, Vec<Raw>),
    Verify(Vec<ToVerify>),
}

/// What came of it.
enum Done {
    Read(usize, Vec<Unlinked>),
    /// What does not hold.
    Verified(Vec<ToVerify>),
}

fn work(job: Job) -> Done {
    match job {
        Job::Read(place, raw) => Done::Read(place, raw.into_iter().map(Raw::read).collect()),
        Job::Verify(mut signed) => {
            signed.retain(|one| !one.holds());
            Done::Verified(signed)
        }
    }
}

/// Signatures on their way to be verified.
#[derive(Default)]
struct Signatures {
    waiting: Vec<ToVerify>,
    under_way: usize,
}

impl Signatures {
    fn give(&mut self, pool: &mut Pool<Job, Done>, at_least: usize) {
        if self.waiting.len() >= at_least.max(1) {
            self.under_way += 1;
            pool.give(Job::Verify(std::mem::take(&mut self.waiting)));
        }
    }

    fn told(&mut self, audit: &mut Audit, forged: &[ToVerify]) {
        self.under_way -= 1;
        forged.iter().for_each(|one| audit.refute(one));
    }
}

/// A journal of which we have the files.
struct Here {
    reader: Reader,
    head: Head,
    walk: Walk,
    audit: Audit,
    /// How many entries were folded.
    entries: u64,
    /// The last entry that was given out to be read.
    given: u64,
    /// Which batch is given out next, and which is next to be taken.
    batches: (usize, usize),
    /// Batches that came before their turn.
    early: BTreeMap<usize, Vec<Unlinked>>,
    signatures: Signatures,
}

impl Here {
    fn new(reader: Reader, audit: impl FnOnce(PublicKey) -> Audit) -> Outcome<Here> {
        let identity = reader.identity();
        Ok(Here {
            head: reader.head()?,
            reader,
            walk: Walk::new(&identity),
            audit: audit(identity),
            entries: 0,
            given: 0,
            batches: (0, 0),
            early: BTreeMap::new(),
            signatures: Signatures::default(),
        })
    }

    fn read(mut self) -> Outcome<Read> {
        let identity = self.reader.identity();
        on_all_cores(work, |pool| self.drive(pool))?;
        if !self.walk.end(self.head).map_err(broken)? {
            // That payload is gone which nobody pruned is known only now, and where is looked for.
            self.reader.walk()?.map_err(broken)?;
        }
        Ok(Read { identity, entries: self.entries, audit: self.audit })
    }

    fn drive(&mut self, pool: &mut Pool<Job, Done>) -> Outcome {
        loop {
            while self.batches.0 - self.batches.1 < 2 * cores()
                && self.signatures.under_way < 8 * cores()
                && self.give_entries(pool)?
            {}
            match pool.take() {
                Some(Done::Read(place, entries)) => {
                    self.early.insert(place, entries);
                    while let Some(entries) = self.early.remove(&self.batches.1) {
                        self.batches.1 += 1;
                        self.fold(entries, pool)?;
                    }
                }
                Some(Done::Verified(forged)) => self.signatures.told(&mut self.audit, &forged),
                None if self.signatures.waiting.is_empty() => return Ok(()),
                None => self.signatures.give(pool, 1),
            }
        }
    }

    /// Gives out the next entries to be read, unless there are no more.
    fn give_entries(&mut self, pool: &mut Pool<Job, Done>) -> Outcome<bool> {
        let left = usize::try_from(self.head.seq - self.given).unwrap_or(usize::MAX);
        let raw = self.reader.raw(self.given, left.min(ENTRIES_A_JOB))?;
        let Some(last) = raw.last().filter(|_| left > 0) else { return Ok(false) };
        self.given = last.seq();
        pool.give(Job::Read(self.batches.0, raw));
        self.batches.0 += 1;
        Ok(true)
    }

    fn fold(&mut self, entries: Vec<Unlinked>, pool: &mut Pool<Job, Done>) -> Outcome {
        for entry in entries {
            let entry = self.walk.take(entry).map_err(broken)?;
            self.entries += 1;
            self.audit.read(&entry, &mut self.signatures.waiting);
            self.signatures.give(pool, SIGNATURES_A_JOB);
        }
        Ok(())
    }
}

/// The node walks the chain, and tells the entries.
fn through_node(book: &mut Book, audit: impl FnOnce(PublicKey) -> Audit) -> Outcome<Read> {
    let Answer::Counts { identity, .. } = book.ask(&Query::Counts)? else { return Err(misfit()) };
    let head = match book.ask(&Query::Verify)? {
        Answer::Holds { head, .. } => head,
        Answer::Broken { broken: what } => return Err(broken(what)),
        _ => return Err(misfit()),
    };
    let (mut audit, mut signatures, mut entries) = (audit(identity), Signatures::default(), 0);
    on_all_cores(work, |pool| {
        book.each_entry_to(head.seq, |entry| {
            entries += 1;
            audit.read(&entry, &mut signatures.waiting);
            signatures.give(pool, SIGNATURES_A_JOB);
            while signatures.under_way > 8 * cores()
                && let Some(Done::Verified(forged)) = pool.take()
            {
                signatures.told(&mut audit, &forged);
            }
            Ok(())
        })?;
        signatures.give(pool, 1);
        while let Some(Done::Verified(forged)) = pool.take() {
            signatures.told(&mut audit, &forged);
        }
        Ok::<(), Failure>(())
    })?;
    Ok(Read { identity, entries, audit })
}

fn broken(what: Broken) -> Failure {
    let why = format!("the chain is broken, so nothing is exported: {what}");
    Failure::new(Exit::Wrong, why)
}
