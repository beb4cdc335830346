//! The file that a chain is kept in, and the lock on its folder.
//!
//! `blocks` holds one record in each line: 16 hex digits (the first 8 bytes of the Keccak-256
//! of what follows the blank), a blank, and JSON: the genesis in the first line, an array of
//! blocks in each other one. A record is what one write and one sync brought; so a cut of power
//! can spoil the last record only, which nobody was told of, and which is cut off. A record that
//! is spoilt anywhere else is damage, and nothing is read past it.

use sdpp_ledger::keccak;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Why a folder cannot be opened as a chain.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{folder} is in use by process {holder}: stop that one, or reach it over TCP")]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The holder's process id as it wrote it, or `unknown`.
        holder: String,
    },
    /// Somebody or something changed what was kept.
    #[error("{file} is damaged at byte {offset}: {why}; restore it from a copy")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where the damaged record begins.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The folder holds a chain with another genesis than the one asked for.
    #[error("{folder} holds another chain: {differs}; take another folder or change it back")]
    OtherChain {
        /// The folder.
        folder: PathBuf,
        /// The first rule that differs, as kept and as asked for.
        differs: String,
    },
    /// The genesis that was asked for is not sound.
    #[error("this chain cannot be founded: {0}")]
    Genesis(#[from] crate::Refusal),
    /// The disk failed.
    #[error("{what}: {error}")]
    Io {
        /// What was being done, and to which file.
        what: String,
        /// What the system said.
        error: io::Error,
    },
}

/// One record of the file.
pub(crate) struct Record {
    /// Where it begins, in bytes from the file's start.
    pub offset: u64,
    /// Its JSON.
    pub payload: Vec<u8>,
}

/// The open file; the folder stays locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    file: File,
    _lock: File,
}

impl Store {
    /// Opens a folder, and makes it with `first` as its first record where there is none.
    /// Returns all records.
    pub fn open(folder: &Path, first: &[u8]) -> Result<(Store, Vec<Record>), OpenError> {
        fs::create_dir_all(folder).map_err(io_error("cannot make", folder))?;
        let lock = lock(folder)?;
        let path = folder.join(BLOCKS);
        if !path.exists() {
            write_anew(folder, &record(first))?;
            sync_parent(folder)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(&path)
            .map_err(io_error("cannot open", &path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error("cannot read", &path))?;
        let (records, sound) = split(&bytes, &path)?;
        if sound < bytes.len() as u64 {
            cut_tail(&mut file, &path, sound, bytes.len() as u64)?;
        }
        let store = Store { folder: folder.to_owned(), file, _lock: lock };
        Ok((store, records))
    }

    /// Appends blocks as one record and returns when they are on the disk.
    pub fn append(&mut self, blocks: &[Vec<u8>]) -> io::Result<()> {
        self.file.write_all(&record(&array(blocks)))?;
        self.file.sync_data()
    }

    /// Puts other records in place of all, at once; a crash leaves the old or the new.
    pub fn rewrite(&mut self, first: &[u8], blocks: &[Vec<u8>]) -> Result<(), OpenError> {
        let mut bytes = record(first);
        for block in blocks {
            bytes.extend(record(&array(std::slice::from_ref(block))));
        }
        write_anew(&self.folder, &bytes)?;
        let path = self.folder.join(BLOCKS);
        let file = OpenOptions::new().append(true).open(&path);
        self.file = file.map_err(io_error("cannot open", &path))?;
        Ok(())
    }

    /// Makes every later write fail, as a disk that is full or gone.
    #[cfg(test)]
    pub fn close_for_writing(&mut self) {
        self.file = File::open(self.folder.join(BLOCKS)).unwrap();
    }

    /// The error for a record that was read and cannot be.
    pub fn damaged(&self, offset: u64, why: impl Into<String>) -> OpenError {
        damaged(&self.folder.join(BLOCKS), offset, why)
    }
}

const BLOCKS: &str = "blocks";
const LOCK: &str = "lock";
/// Bytes of a record before its JSON: 16 hex digits and a blank.
const HEAD: usize = 17;

/// Locks the folder until the file is dropped, and writes our process id there.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io_error("cannot open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(folder, file)),
        Err(TryLockError::Error(error)) => return Err(io_error("cannot lock", &path)(error)),
    }
    let written =
        file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
    written.map_err(io_error("cannot write", &path))?;
    Ok(file)
}

fn in_use(folder: &Path, lock: File) -> OpenError {
    let mut pid = String::new();
    let read = lock.take(20).read_to_string(&mut pid);
    let known = read.is_ok() && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
    OpenError::InUse {
        folder: folder.to_owned(),
        holder: if known { pid } else { "unknown".to_owned() },
    }
}

/// Writes the whole file aside, syncs it, and puts it in its place.
fn write_anew(folder: &Path, bytes: &[u8]) -> Result<(), OpenError> {
    let (aside, path) = (folder.join("blocks.new"), folder.join(BLOCKS));
    let write = || {
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(io_error("cannot write", &path))
}

/// Syncs the folder that holds ours, so that ours is still there after a cut of power.
fn sync_parent(folder: &Path) -> Result<(), OpenError> {
    let full = fs::canonicalize(folder).map_err(io_error("cannot find", folder))?;
    let Some(parent) = full.parent() else {
        return Ok(());
    };
    let synced = File::open(parent).and_then(|parent| parent.sync_all());
    synced.map_err(io_error("cannot sync", parent))
}

/// Splits the file into records; also returns how many bytes of it are sound. What is beyond
/// them is the spoilt last record.
fn split(bytes: &[u8], path: &Path) -> Result<(Vec<Record>, u64), OpenError> {
    let mut records = Vec::new();
    let mut offset = 0;
    while offset < bytes.len() {
        let rest = &bytes[offset..];
        let end = rest.iter().position(|b| *b == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        let last = end.is_none_or(|end| end + 1 == rest.len());
        match payload(line).filter(|_| end.is_some()) {
            Some(payload) => {
                records.push(Record { offset: offset as u64, payload: payload.to_vec() })
            }
            // The first record is renamed into place whole, so it is never a torn one.
            None if last && offset > 0 => break,
            None => return Err(damaged(path, offset as u64, "the checksum does not match")),
        }
        offset += line.len() + 1;
    }
    if records.is_empty() {
        return Err(damaged(path, 0, "there is no genesis"));
    }
    Ok((records, offset as u64))
}

fn cut_tail(file: &mut File, path: &Path, sound: u64, length: u64) -> Result<(), OpenError> {
    tracing::warn!(
        file = %path.display(),
        offset = sound,
        bytes = length - sound,
        "the last record was not written to its end, as after a cut of power: cut off"
    );
    file.set_len(sound)
        .and_then(|()| file.sync_all())
        .and_then(|()| file.seek(SeekFrom::End(0)).map(drop))
        .map_err(io_error("cannot cut the torn end off", path))
}

/// The JSON of a line whose checksum is right.
fn payload(line: &[u8]) -> Option<&[u8]> {
    let (head, payload) = line.split_at_checked(HEAD)?;
    (head == checksum(payload)).then_some(payload)
}

fn record(payload: &[u8]) -> Vec<u8> {
    [&checksum(payload), payload, b"\n"].concat()
}

fn checksum(payload: &[u8]) -> Vec<u8> {
    format!("{} ", hex::encode(&keccak(&[payload]).0[..8])).into_bytes()
}

/// Blocks, which are JSON, as one JSON array.
fn array(blocks: &[Vec<u8>]) -> Vec<u8> {
    [b"[", blocks.join(&b',').as_slice(), b"]"].concat()
}

fn damaged(path: &Path, offset: u64, why: impl Into<String>) -> OpenError {
    OpenError::Damaged { file: path.to_owned(), offset, why: why.into() }
}

fn io_error(what: &str, path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let what = format!("{what} {}", path.display());
    move |error| OpenError::Io { what, error }
}
