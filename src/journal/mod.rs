//! The journal: what happened, and what is still owed to a ledger. It survives a power cut.
//!
//! Records become entries of a hash chain; what a record owes to a ledger becomes an obligation,
//! and each transaction that goes out for obligations a delivery. All change in
//! [`Journal::commit`], and what it has answered is never lost. [`Reader`]s see what is durable
//! and nothing else, so whoever acts on what it reads obeys the write-ahead rule.
//!
//! It is no session, no ledger and no actor: it has no clock, no rng and no socket, and calls
//! nobody. [`outbox`] says what to ask of a ledger next; asking is its caller's work.

pub mod backup;
pub mod bonds;
mod copying;
pub mod datasets;
pub mod delivery;
mod doom;
pub mod entry;
mod facts;
mod folder;
mod keys;
pub mod obligation;
pub mod outbox;
mod payload;
pub mod prune;
pub mod quarantine;
mod query;
mod reader;
pub mod reclaim;
pub mod restore;
pub mod settle;
mod stage;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod unjust;
mod walk;
pub mod watch;
mod whole;
mod write;

pub use backup::Made;
pub use delivery::{Delivery, DeliveryId, Numbers};
pub use entry::{Broken, Entry, Head};
pub use facts::{Channel, Session};
pub use obligation::Obligation;
pub use prune::{Pruning, Sweep};
pub use quarantine::{Quarantine, Release};
pub use query::{Answer, PAGE_MAX, Placed, Query};
pub use reader::{Counts, Reader, Unsettled};
pub use reclaim::{Doing, Reclaim, Remainder};
pub use settle::{Means, Settle};
pub use tree::{Pair, bare_batches};
pub use unjust::Unjust;
pub use walk::{Pruned, Raw, Unlinked, Walk, Walked};
pub use watch::{Home, OpenChannel, Watch, Watched};
pub use write::{Live, News, NewsKind, Prepare, Rated, Write, WriteError, Written};

use copying::Copying;
use folder::Folder;
use sdpp_ledger::PublicKey;
use stage::Stage;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tree::{Batch, Store, Tree, TreeError};

/// The format of what is on disk, [`crate::record`] included.
const SCHEMA: u32 = 2;

/// How much of it is kept in memory by who writes it, and by who opens one that is there: that one
/// reads most of it once.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
const CACHE_BYTES_ONCE: u64 = 16 * 1024 * 1024;

/// Why a journal cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was touched.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error(
        "the journal in {} is open in {}; ask that process, or stop it",
        dir.display(),
        pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// The process, where it left its pid.
        pid: Option<u32>,
    },
    /// The folder holds no journal, and perhaps something else.
    #[error("{} holds no journal; give the folder of one", .0.display())]
    NotAJournal(PathBuf),
    /// The same where a journal was to be made: it holds something else.
    #[error("{} holds no journal, but something else; give the folder of one, or a new one", .0.display())]
    Taken(PathBuf),
    /// It is somebody else's.
    #[error("this is the journal of {found}, not of {expected}: check key and folder")]
    Identity {
        /// Whose it is.
        found: Box<PublicKey>,
        /// Whose it was opened as.
        expected: Box<PublicKey>,
    },
    /// It was written by a version of this program with another format.
    #[error(
        "the journal has format {found}, this program reads and writes format {SCHEMA} alone: read \
         it with the program that wrote it, and begin a new one in another folder"
    )]
    Schema {
        /// Its format.
        found: String,
    },
    /// What is on disk is not what was written there.
    #[error(
        "the journal is damaged: {what}. Keep the folder as it is, and restore the last backup \
         into another one: `sdpp journal restore --journal NEW --from BACKUP`"
    )]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// A backup could not be made, or nothing be restored from it. The journal is as it was.
    #[error("{what}: {why}")]
    Backup {
        /// What could not be done.
        what: String,
        /// Why, and what to do.
        why: String,
    },
    /// The disk refused something, so nobody knows what is on it until the journal is opened anew.
    #[error("the journal stopped when the disk refused: {why}. Mend that, or make room")]
    Stopped {
        /// How the write failed.
        why: String,
    },
}

impl From<TreeError> for JournalError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Io(source) => {
                JournalError::Io { what: "the journal's files".to_owned(), source }
            }
            TreeError::Damaged(what) => JournalError::Damaged { what },
            TreeError::Locked => JournalError::Damaged {
                what: "its files are locked by a program that is not this one".to_owned(),
            },
        }
    }
}

impl JournalError {
    /// The same, and which journal it is of, where that is not said yet.
    fn in_folder(self, dir: &Path) -> Self {
        let at = |what: String| match what.contains(&*dir.to_string_lossy()) {
            true => what,
            false => format!("{what} in {}", dir.display()),
        };
        match self {
            JournalError::Io { what, source } => JournalError::Io { what: at(what), source },
            JournalError::Damaged { what } => JournalError::Damaged { what: at(what) },
            other => other,
        }
    }
}

/// The one writer of a journal.
pub struct Journal {
    shared: Arc<Shared>,
    head: Head,
    /// What it is not to be trusted with, where it was restored from a backup.
    quarantine: Option<Quarantine>,
}

/// What the writer and its readers share.
struct Shared {
    // Before the folder: the lock ends after sled has let go of its files.
    store: Store,
    folder: Mutex<Folder>,
    identity: PublicKey,
    /// Held for writing from the first byte of a batch until it is durable, so that no reader
    /// sees what a power cut could still take back. `Some` when the disk refused something.
    gate: RwLock<Option<String>>,
    /// The backup that is being made, if one is.
    copying: Mutex<Option<Copying>>,
}

impl Journal {
    /// Opens the journal in a folder, or creates it: folder 0700, files 0600.
    ///
    /// # Errors
    /// All of [`JournalError`] but `Stopped`.
    pub fn open(dir: &Path, identity: PublicKey) -> Result<Journal, JournalError> {
        let journal = Self::start(dir, Some(identity)).map_err(|error| error.in_folder(dir))?;
        let found = journal.shared.identity;
        if found != identity {
            return Err(JournalError::Identity { found: found.into(), expected: identity.into() });
        }
        Ok(journal)
    }

    /// Opens a journal that is there, whosever it is.
    ///
    /// # Errors
    /// All of [`JournalError`] but `Identity` and `Stopped`.
    pub fn open_existing(dir: &Path) -> Result<Journal, JournalError> {
        Self::start(dir, None).map_err(|error| error.in_folder(dir))
    }

    fn start(dir: &Path, maker: Option<PublicKey>) -> Result<Journal, JournalError> {
        let mut folder = Folder::claim(dir, maker.is_some())?;
        let store = Store::open(dir, if maker.is_some() { CACHE_BYTES } else { CACHE_BYTES_ONCE })?;
        let mark = folder.read_mark().map_err(|e| io_in(&folder, e))?;
        let is_new = mark.is_none() && store.last(Tree::Meta)?.is_none();
        let identity = match maker {
            Some(identity) if is_new => make(&store, &identity)?,
            _ => read_identity(&store)?,
        };
        let head = reader::checked_head(&store, &identity)?;
        reader::check_mark(&store, &head, mark.flatten())?;
        folder.write_mark((head.seq, head.digest)).map_err(|e| io_in(&folder, e))?;
        if is_new {
            folder::close_and_sync(dir).map_err(|e| io_in(&folder, e))?;
        }
        let (folder, gate, copying) = (folder.into(), RwLock::new(None), Mutex::new(None));
        let shared = Arc::new(Shared { store, folder, identity, gate, copying });
        let quarantine = quarantine::of(&shared.store)?;
        Ok(Journal { shared, head, quarantine })
    }

    /// Applies writes in order, each against the state that those before it leave, and returns
    /// when all are durable: one atomic batch, one sync. One answer for each write; a write that
    /// is refused changes nothing and does not stop the others.
    ///
    /// This is the group commit: give it all that waits.
    ///
    /// # Errors
    /// Nothing is acknowledged. `Damaged` when a row cannot be read; `Io` when the disk refuses
    /// (it may be full): from then on the journal is `Stopped` for its readers too, until
    /// [`Journal::mend`].
    pub fn commit(
        &mut self,
        now_ms: u64,
        writes: Vec<Write>,
    ) -> Result<Vec<Result<Written, WriteError>>, JournalError> {
        let shared = &self.shared;
        shared.read(|_| Ok(()))?;
        let identity = &shared.identity;
        let mut stage = Stage::new(&shared.store, identity, self.head, self.quarantine, now_ms);
        let answers = writes.into_iter().map(|write| stage.apply(write));
        let answers = answers.collect::<Result<Vec<_>, _>>();
        let answers = answers.map_err(|error| shared.stopped_by(error))?;
        let quarantine = stage.quarantine();
        let (batch, head) = stage.finish().map_err(|error| shared.stopped_by(error))?;
        if !batch.is_empty() {
            shared.write(&batch)?;
            shared.mark(&head);
            (self.head, self.quarantine) = (head, quarantine);
        }
        Ok(answers)
    }

    /// Opens the files of a journal anew that stopped, and goes on where all is there that was
    /// acknowledged. What was not may be there too, as after a crash. Gives whether it had stopped: one
    /// that did not stays as it is.
    ///
    /// # Errors
    /// `Io` while the disk still refuses: it stays `Stopped`, and may be mended later. All else is
    /// for good.
    pub fn mend(&mut self) -> Result<bool, JournalError> {
        let shared = &self.shared;
        let mut gate = shared.gate.write().unwrap_or_else(PoisonError::into_inner);
        if gate.is_none() {
            return Ok(false);
        }
        shared.store.reopen()?;
        let head = reader::checked_head(&shared.store, &shared.identity)?;
        reader::check_mark(&shared.store, &head, Some((self.head.seq, self.head.digest)))?;
        let quarantine = quarantine::of(&shared.store)?;
        (self.head, self.quarantine, *gate) = (head, quarantine, None);
        Ok(true)
    }

    /// A reader of this journal, for any thread. The folder stays locked as long as one lives.
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }
}

impl Shared {
    fn read<T>(
        &self,
        look: impl FnOnce(&Store) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let found = match &*gate {
            Some(why) => Err(JournalError::Stopped { why: why.clone() }),
            None => look(&self.store),
        };
        drop(gate);
        found.map_err(|error| self.stopped_by(error))
    }

    /// sled writes in its own time too, and tells whoever asks next that it failed: whoever reads may
    /// be the first to hear of it.
    fn stopped_by(&self, error: JournalError) -> JournalError {
        if matches!(error, JournalError::Io { .. }) {
            let mut gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            gate.get_or_insert_with(|| error.to_string());
        }
        error
    }

    fn write(&self, batch: &Batch) -> Result<(), JournalError> {
        let mut gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.keep_for_backup(batch);
        self.store.write(batch).map_err(|error| {
            let error = JournalError::from(error);
            *gate = Some(error.to_string());
            error
        })
    }

    fn mark(&self, head: &Head) {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        // The entries are durable without it: a mark that stays behind only detects less.
        let _ = folder.write_mark((head.seq, head.digest));
    }
}

fn make(store: &Store, identity: &PublicKey) -> Result<PublicKey, JournalError> {
    let head = Head { seq: 0, digest: entry::genesis(identity), at_ms: 0 };
    let mut batch = Batch::new();
    let mut put = |key: &str, value: Vec<u8>| {
        batch.insert((Tree::Meta, key.as_bytes().to_vec()), Some(value));
    };
    put("schema", SCHEMA.to_string().into_bytes());
    put("identity", identity.to_string().into_bytes());
    put("head", reader::row_bytes(&head)?);
    store.write(&batch)?;
    Ok(*identity)
}

fn read_identity(store: &Store) -> Result<PublicKey, JournalError> {
    let text = |key: &str| -> Result<String, JournalError> {
        let bytes = store.get(Tree::Meta, key.as_bytes())?;
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or_else(|| damaged(format!("it has lost its {key}")))
    };
    let found = text("schema")?;
    if found != SCHEMA.to_string() {
        return Err(JournalError::Schema { found });
    }
    text("identity")?.parse().map_err(|_| damaged("its identity is no public key"))
}

fn damaged(what: impl Into<String>) -> JournalError {
    JournalError::Damaged { what: what.into() }
}

fn io_in(folder: &Folder, source: io::Error) -> JournalError {
    JournalError::Io { what: folder.path().display().to_string(), source }
}
