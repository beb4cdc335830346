//! Where items come from: sensors of this machine, files, standard input, other programs.
//!
//! A source gives items when it is asked and no more than it is asked for, because only what a
//! buyer has credit for may be sent. It does not know prices, sessions or the wire.

mod command;
mod dataset;
mod feed;
mod file;
mod host;
mod item;

pub use command::Command;
pub use dataset::Committed;
pub use file::{File, Format};
pub use host::{Host, Sensor};
pub use item::Item;

use crate::terms::Dataset;
use sdpp_ledger::Digest;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// Where the items of one topic come from, as the config says. Each session opens its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A sensor of this machine, read at an interval.
    Host(Host),
    /// A file, which can be read again.
    File(File),
    /// A file whose content is promised: its root stands on the menu.
    Committed(Committed),
    /// The lines of our standard input. One session at a time.
    Stdin {
        /// What happens to lines while no buyer has credit.
        when_slow: WhenSlow,
    },
    /// The lines that a program prints.
    Command(Command),
}

/// What a live source does while its buyer has no credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenSlow {
    /// Time goes on: what nobody could take is counted, not kept, and never billed.
    Skip,
    /// The source waits: the pipe fills up, the next reading is put off.
    Wait,
}

/// What [`Source::next`] brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// At least one item, at most as many as were asked for.
    Items(Vec<Item>),
    /// The same of a committed file: each with the sisters on its way up to the file's root.
    Rows(Vec<(Item, Vec<Digest>)>),
    /// There are no more, and never will be.
    End,
}

/// What can go wrong with a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The operating system refused.
    #[error("cannot {what} {place}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        place: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file, or a line in one, cannot be sold.
    #[error("{place}: {why}")]
    Unfit {
        /// The file and line, or the source.
        place: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// This machine has no such sensor.
    #[error("this machine has no {sensor} sensor that can be read: take the topic off the menu")]
    NoSensor {
        /// The sensor's name in the config.
        sensor: &'static str,
    },
    /// Standard input is somebody else's for now.
    #[error(
        "standard input is being sold to another buyer: it can be read once only, and the next \
         session may open it when that one has ended"
    )]
    Taken,
    /// A live source was asked for what is gone.
    #[error("{place} is live and cannot go back: items that were given are gone")]
    Gone {
        /// The source.
        place: String,
    },
    /// A file is not what was promised.
    #[error(
        "{place} has changed since its root was put on the menu: item {item} and what follows is not \
         sold any more. Start the seller anew to commit to the file as it is"
    )]
    Changed {
        /// The file.
        place: String,
        /// The first item that is not given.
        item: u64,
    },
    /// A source is not what a session was sold from.
    #[error(
        "{place} does not begin with the dataset {root} that was sold from: who bought of that gets no \
         more of it. Before a seller is started that has sessions of it, put the file back as it was, with \
         `committed = true`"
    )]
    Other {
        /// The source.
        place: String,
        /// What was sold from.
        root: Digest,
    },
    /// A program ended badly.
    #[error("the command {program:?} failed: {status}")]
    Failed {
        /// Its first word.
        program: String,
        /// Its exit status.
        status: std::process::ExitStatus,
    },
}

impl SourceError {
    fn io(what: &'static str, place: impl ToString) -> impl FnOnce(std::io::Error) -> Self {
        let place = place.to_string();
        move |error| SourceError::Io { what, place, error }
    }

    fn unfit(place: impl ToString, why: impl ToString) -> Self {
        SourceError::Unfit { place: place.to_string(), why: why.to_string() }
    }
}

impl Origin {
    /// Whether this can be sold here and now, and how many items there are: `None` while nobody
    /// can know. Reads a file to its end, so that a menu promises only what can be sent.
    ///
    /// # Errors
    /// [`SourceError`] says why the topic has to stay off the menu.
    pub fn check(&self, item_bytes_max: usize) -> Result<Option<u64>, SourceError> {
        match self {
            Origin::Host(host) => host.open().map(|_| None),
            Origin::File(file) => file.count(item_bytes_max).map(Some),
            Origin::Committed(committed) => committed.file().count(item_bytes_max).map(Some),
            Origin::Command(command) => command.check().map(|()| None),
            Origin::Stdin { .. } => Ok(None),
        }
    }

    /// What it is when it is put on a menu: a file that is to be committed to is read, and its root
    /// computed.
    ///
    /// # Errors
    /// As [`Origin::check`].
    pub fn stock(&self, item_bytes_max: usize) -> Result<(Origin, Option<u64>), SourceError> {
        match self {
            Origin::File(file) if file.committed => {
                let committed = Committed::to(file, item_bytes_max)?;
                let count = committed.dataset().count.into();
                Ok((Origin::Committed(committed), Some(count)))
            }
            other => Ok((other.clone(), other.check(item_bytes_max)?)),
        }
    }

    /// The dataset that is promised, once it is.
    pub fn dataset(&self) -> Option<Dataset> {
        match self {
            Origin::Committed(committed) => Some(committed.dataset()),
            _ => None,
        }
    }

    /// The same as it was promised to a session before: a file is read, up to where that dataset ends. Blocks
    /// for as long as the disk does.
    ///
    /// # Errors
    /// [`SourceError::Other`] where that is not what it has, else why it cannot be read.
    pub fn committed_to(
        &self,
        promised: Dataset,
        item_bytes_max: usize,
    ) -> Result<Origin, SourceError> {
        let file = match self {
            Origin::File(file) => file,
            Origin::Committed(committed) => committed.file(),
            _ => {
                let (place, root) = (self.to_string(), promised.root);
                return Err(SourceError::Other { place, root });
            }
        };
        Committed::again(promised, file, item_bytes_max).map(Origin::Committed)
    }

    /// Opens it for one session, `skip` items further on than its beginning: what a resumed
    /// session has had already. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`SourceError::Gone`] where a live source is asked to skip, else why it cannot be opened.
    pub fn open(&self, item_bytes_max: usize, skip: u64) -> Result<Source, SourceError> {
        if skip > 0 && !self.is_rereadable() {
            return Err(SourceError::Gone { place: self.to_string() });
        }
        Ok(Source(match self {
            Origin::Host(host) => Open::Host(host.open()?),
            Origin::File(file) => Open::File(file.open(item_bytes_max, skip)?),
            Origin::Committed(of) => Open::Committed(Box::new(of.open(item_bytes_max, skip)?)),
            Origin::Command(command) => Open::Command(command.open(item_bytes_max)?),
            Origin::Stdin { when_slow } => Open::Stdin(feed::stdin(item_bytes_max, *when_slow)?),
        }))
    }

    /// Whether items can be read a second time.
    pub fn is_rereadable(&self) -> bool {
        matches!(self, Origin::File(_) | Origin::Committed(_))
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Host(host) => write!(f, "sensor {}", host.sensor.name()),
            Origin::File(file) => file.path.display().fmt(f),
            Origin::Committed(committed) => committed.file().path.display().fmt(f),
            Origin::Stdin { .. } => f.write_str("standard input"),
            Origin::Command(command) => write!(f, "command {:?}", command.program()),
        }
    }
}

/// An open source. Dropping it stops whatever it started.
#[derive(Debug)]
pub struct Source(Open);

#[derive(Debug)]
enum Open {
    Host(host::Open),
    File(file::Open),
    Committed(Box<dataset::Open>),
    Stdin(feed::Stdin),
    Command(command::Open),
}

impl Source {
    /// The next items, at most so many, and no further one when these have so many bytes; waits for
    /// the first and for no other. Calling it is the promise that a buyer can take them. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`SourceError`] when the source broke; what came before it was given first.
    pub async fn next(
        &mut self,
        at_most: NonZeroUsize,
        bytes: usize,
    ) -> Result<Batch, SourceError> {
        match &mut self.0 {
            Open::Host(host) => Ok(host.next().await),
            Open::File(file) => file.next(at_most, bytes),
            Open::Committed(file) => file.next(at_most, bytes),
            Open::Stdin(stdin) => stdin.next(at_most, bytes).await,
            Open::Command(command) => command.next(at_most, bytes).await,
        }
    }

    /// How many readings or lines nobody could take, since this was opened.
    pub fn skipped(&self) -> u64 {
        match &self.0 {
            Open::Host(host) => host.skipped(),
            Open::File(_) | Open::Committed(_) => 0,
            Open::Stdin(stdin) => stdin.skipped(),
            Open::Command(command) => command.skipped(),
        }
    }
}

#[cfg(test)]
mod tests;
