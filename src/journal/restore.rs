//! Restoring: a new journal out of a backup, in quarantine. See [`super::quarantine`] for what that
//! is; here the backup is verified as a whole before the journal has its name.

use super::backup::{Manifest, Row, Sheets, sync_folder};
use super::folder::Folder;
use super::tree::{Batch, Store, Tree};
use super::write::Write;
use super::{CACHE_BYTES_ONCE, Journal, JournalError, Quarantine};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How many bytes of rows are written at once.
const BATCH_BYTES: usize = 4 << 20;

/// A journal that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub manifest: Manifest,
    /// How many rows of all trees it had.
    pub rows: u64,
    /// The quarantine that the journal is in.
    pub quarantine: Quarantine,
}

/// Makes a journal in a folder that is not there, or is empty, out of a backup. A backup in which
/// anything is wrong leaves none. `now_ms` in milliseconds since 1970 UTC.
///
/// # Errors
/// `Backup` where nothing is restored, and what to do; `Io` where the disk refuses.
pub fn restore(dir: &Path, from: &Path, now_ms: u64) -> Result<Restored, JournalError> {
    is_free(dir)?;
    let unread = |why: String| no_good(from, why);
    let file = File::open(from).map_err(|error| unread(error.to_string()))?;
    let mut sheets = Sheets::begin(file).map_err(unread)?;
    let aside = Aside::beside(dir)?;
    let rows = fill(&aside.0, &mut sheets).map_err(|error| match error {
        Fault::Backup(why) => no_good(from, why),
        Fault::Journal(error) => error,
    })?;
    let quarantine = begin_quarantine(&aside.0, &sheets.manifest, from, now_ms)?;
    aside.take_name(dir)?;
    Ok(Restored { manifest: sheets.manifest, rows, quarantine })
}

/// What stops a restore.
enum Fault {
    Backup(String),
    Journal(JournalError),
}

impl<E: Into<JournalError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Fault::Journal(error.into())
    }
}

fn no_good(from: &Path, why: String) -> JournalError {
    let what = format!("nothing is restored from {}", from.display());
    JournalError::Backup { what, why }
}

fn is_free(dir: &Path) -> Result<(), JournalError> {
    let refuse = |why: &str| {
        let what = format!("nothing is restored into {}", dir.display());
        Err(JournalError::Backup { what, why: why.to_owned() })
    };
    let mut items = match fs::read_dir(dir) {
        Ok(items) => items,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return refuse(&error.to_string()),
    };
    match (items.next().is_some(), dir.join("db").exists()) {
        (false, _) => Ok(()),
        (true, true) => refuse("it holds a journal: move that away first, and keep it"),
        (true, false) => refuse("it is not empty: name a folder that is not there yet"),
    }
}

/// A folder beside the one that is to be, removed unless it becomes that one.
struct Aside(PathBuf);

impl Aside {
    fn beside(dir: &Path) -> Result<Aside, JournalError> {
        let what = || format!("{} needs a folder beside it", dir.display());
        let unnamed = || JournalError::Backup { what: what(), why: "name one".to_owned() };
        let mut name = dir.file_name().ok_or_else(unnamed)?.to_owned();
        name.push(".restoring");
        let path = dir.with_file_name(name);
        if path.exists() {
            let what = format!("{} is what another restore has left", path.display());
            let why = "if none is running, remove it and try again".to_owned();
            return Err(JournalError::Backup { what, why });
        }
        Ok(Aside(path))
    }

    fn take_name(self, dir: &Path) -> Result<(), JournalError> {
        // An empty folder is replaced, any other is not.
        let named = fs::rename(&self.0, dir).and_then(|()| sync_folder(dir));
        named.map_err(|source| JournalError::Io { what: dir.display().to_string(), source })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Where it has its name it is here no more.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes all rows of a backup, as they were. How many.
fn fill(dir: &Path, sheets: &mut Sheets<File>) -> Result<u64, Fault> {
    let folder = Folder::claim(dir, true)?;
    let store = Store::open(dir, CACHE_BYTES_ONCE)?;
    let (mut batch, mut bytes, mut rows) = (Batch::new(), 0, 0);
    while let Some(Row { tree, key, value }) = sheets.next().map_err(Fault::Backup)? {
        (bytes, rows) = (bytes + key.len() + value.len(), rows + 1);
        batch.insert((tree, key), Some(value));
        if bytes >= BATCH_BYTES {
            store.write(&std::mem::take(&mut batch))?;
            bytes = 0;
        }
    }
    store.write(&batch)?;
    // The mark of a journal that is new would be missed otherwise.
    let has_head = store.get(Tree::Meta, b"head")?.is_some();
    drop((store, folder));
    match has_head {
        true => Ok(rows),
        false => Err(Fault::Backup("it has no head".to_owned())),
    }
}

/// Sees that the chain holds and is the one that the backup names, and begins the quarantine.
fn begin_quarantine(
    dir: &Path,
    manifest: &Manifest,
    from: &Path,
    now_ms: u64,
) -> Result<Quarantine, JournalError> {
    let mut journal = Journal::open_existing(dir)?;
    let reader = journal.reader();
    let head = match reader.verify()? {
        Ok(head) => head,
        Err(broken) => return Err(no_good(from, format!("its chain is broken: {broken}"))),
    };
    if (head, reader.identity()) != (manifest.head, manifest.identity) {
        return Err(no_good(from, "it is not the moment that it names".to_owned()));
    }
    let written = journal.commit(now_ms, vec![Write::Restore { backup_ms: manifest.at_ms }])?;
    if let Some(Err(error)) = written.into_iter().next() {
        return Err(no_good(from, error.to_string()));
    }
    let missing = || no_good(from, "its quarantine did not begin".to_owned());
    reader.quarantine()?.ok_or_else(missing)
}
