//! The folder that a journal lives in: private, locked, synced; and the mark beside the trees.
//!
//! It holds sled's files, `lock` (held by the one process that has the journal open, and naming
//! its pid), and `mark` (the last entry that was acknowledged). sled takes a damaged end of its
//! log for a write that was never finished and drops it in silence; the mark tells the two apart.

use super::JournalError;
use sdpp_ledger::{Digest, keccak};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const MARK_BYTES: usize = 8 + 32 + 32;

/// A folder that is ours alone until this is dropped.
pub(super) struct Folder {
    path: PathBuf,
    /// Closing the file ends the lock.
    _lock: File,
    mark: Option<File>,
}

/// The last entry that was acknowledged: its seq and digest.
pub(super) type Mark = (u64, Digest);

impl Folder {
    /// Creates the folder where it may, and locks it.
    pub(super) fn claim(path: &Path, may_create: bool) -> Result<Self, JournalError> {
        let is_journal = is_journal(path).map_err(|source| {
            let what = format!("{} cannot be read", path.display());
            JournalError::Io { what, source }
        })?;
        if !is_journal && !may_create {
            return Err(JournalError::NotAJournal(path.to_owned()));
        }
        if !is_journal && has_strangers(path).map_err(|e| io_at(path, e))? {
            return Err(JournalError::Taken(path.to_owned()));
        }
        create_private(path).map_err(|e| io_at(path, e))?;
        let lock = lock(path)?;
        Ok(Folder { path: path.to_owned(), _lock: lock, mark: None })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the mark; `None` when there is none, `Some(None)` when it is unreadable: it is
    /// written without a sync, so a power cut may tear it.
    pub(super) fn read_mark(&self) -> io::Result<Option<Option<Mark>>> {
        let mut bytes = Vec::new();
        match File::open(self.path.join("mark")) {
            Ok(file) => file.take(MARK_BYTES as u64 + 1).read_to_end(&mut bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok(Some(parse_mark(&bytes)))
    }

    /// Writes the mark. Not synced: it may fall behind the journal, never run ahead of it.
    pub(super) fn write_mark(&mut self, (seq, digest): Mark) -> io::Result<()> {
        let said = [&seq.to_be_bytes()[..], &digest.0].concat();
        let bytes = [&said[..], &keccak(&[&said]).0].concat();
        if self.mark.is_none() {
            self.mark = Some(create_file(&self.path.join("mark"))?);
        }
        match &mut self.mark {
            Some(file) => {
                io::Seek::rewind(file)?;
                file.write_all(&bytes)
            }
            None => Ok(()),
        }
    }
}

/// How many bytes the file that the trees are in may still grow by: what is free on its disk, and
/// what the limit on the size of files leaves.
#[cfg(unix)]
pub(super) fn room(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    let used = fs::metadata(path.join("db"))?.len();
    Ok(limit.map_or(free, |limit| free.min(limit.saturating_sub(used))))
}

#[cfg(not(unix))]
pub(super) fn room(_path: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

/// Takes all rights from others on what sled made in the folder, and syncs it.
pub(super) fn close_and_sync(path: &Path) -> io::Result<()> {
    for item in fs::read_dir(path)? {
        let item = item?.path();
        let meta = fs::symlink_metadata(&item)?;
        if meta.is_file() {
            restrict(&item, 0o600)?;
            File::open(&item)?.sync_all()?;
        } else if meta.is_dir() {
            restrict(&item, 0o700)?;
            File::open(&item)?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()?;
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn parse_mark(bytes: &[u8]) -> Option<Mark> {
    let (said, check) = bytes.split_at_checked(40)?;
    if check != keccak(&[said]).0 {
        return None;
    }
    let (seq, digest) = said.split_at(8);
    Some((u64::from_be_bytes(seq.try_into().ok()?), Digest(digest.try_into().ok()?)))
}

/// Whether the folder holds a journal. Of one that may not be looked into nobody knows.
fn is_journal(path: &Path) -> io::Result<bool> {
    match fs::metadata(path.join("db")) {
        Ok(meta) => Ok(meta.is_file()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether the folder holds something that a journal interrupted at its making would not.
fn has_strangers(path: &Path) -> io::Result<bool> {
    const OURS: [&str; 4] = ["lock", "conf", "blobs", "mark"];
    match fs::read_dir(path) {
        Ok(items) => {
            for item in items {
                let name = item?.file_name();
                if !OURS.iter().any(|ours| name == *ours) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn lock(path: &Path) -> Result<File, JournalError> {
    let place = path.join("lock");
    let mut file = create_file(&place).map_err(|e| io_at(&place, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // An unreadable pid still leaves a clear message.
            let _ = file.take(20).read_to_string(&mut pid);
            return Err(JournalError::Locked {
                dir: path.to_owned(),
                pid: pid.trim().parse().ok(),
            });
        }
        Err(fs::TryLockError::Error(e)) => return Err(io_at(&place, e)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|e| io_at(&place, e))?;
    Ok(file)
}

fn io_at(path: &Path, error: io::Error) -> JournalError {
    JournalError::Io { what: path.display().to_string(), source: error }
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    restrict(path, 0o700)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

fn create_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn restrict(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}
