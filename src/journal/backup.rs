//! A backup: one moment of a journal in one file, made while it is written or while it is not.
//!
//! The file has a line that names the format, a line of JSON that names the moment ([`Manifest`]),
//! each row of each tree, and at its end their count and a digest over all of it. So what was torn
//! or changed is told before anything is restored from it. It holds what the journal holds, salt
//! secrets included: mode 0600.
//!
//! A row is: its tree (u8), the lengths of key and value (u32 each), key, value. The end is: 0 (u8),
//! the count of rows (u64), the digest (32 bytes). Numbers are big-endian. The digest is Keccak-256,
//! begun with both lines and taken on with each row: `d = keccak(d || row)`.

use super::entry::Head;
use super::reader::{Reader, read_row};
use super::tree::{Pair, Tree, VALUE_BYTES_MAX};
use super::{JournalError, SCHEMA, Shared, damaged};
use sdpp_ledger::{Digest, PublicKey, keccak};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first line.
const FORMAT: &str = "SDPP/1 journal backup 1";

/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// The longest key, in bytes: names of ledgers, accounts and transactions are shorter.
const KEY_BYTES_MAX: usize = 4 * 1024;

/// Which moment of which journal a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Whose journal.
    pub identity: PublicKey,
    /// The journal's format.
    pub schema: u32,
    /// The last entry.
    pub head: Head,
    /// When it was made, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The file.
    pub file: PathBuf,
    /// Which moment.
    pub manifest: Manifest,
    /// How many rows of all trees.
    pub rows: u64,
    /// How long the file is, in bytes.
    pub bytes: u64,
    /// The digest over all of it.
    pub digest: Digest,
}

/// What a backup takes in.
pub(super) struct Row {
    pub(super) tree: Tree,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Ends the keeping of a moment, however its backup ends.
struct Moment(Arc<Shared>);

impl Drop for Moment {
    fn drop(&mut self) {
        self.0.end_copying();
    }
}

impl Reader {
    /// Writes this moment of the journal to a new file; in a folder, to one that is named after
    /// whose it is and its last entry. Who writes the journal goes on meanwhile. The file has its
    /// name only when all of it is on disk, and nothing is overwritten. `now_ms` in milliseconds
    /// since 1970 UTC.
    ///
    /// # Errors
    /// `Backup` where another one is being made or the file cannot be written, else as all of
    /// [`Reader`]'s methods.
    pub fn back_up(&self, output: &Path, now_ms: u64) -> Result<Made, JournalError> {
        let shared = self.shared();
        let head = shared.begin_copying(|store| {
            let head = store.get(Tree::Meta, b"head")?;
            read_row::<Head>(Tree::Meta, &head.ok_or_else(|| damaged("it has lost its head"))?)
        })?;
        let Some(head) = head else {
            let what = "another backup of this journal is being made".to_owned();
            return Err(JournalError::Backup { what, why: "wait for it to end".to_owned() });
        };
        let moment = Moment(shared.clone());
        let manifest = Manifest { identity: shared.identity, schema: SCHEMA, head, at_ms: now_ms };
        let file = named(output, &manifest);
        let fails = |error: io::Error| unmade(&file, &error);
        if file.try_exists().map_err(fails)? {
            return Err(unmade(&file, &ErrorKind::AlreadyExists.into()));
        }
        let part = Part::create(&file).map_err(fails)?;
        let mut sheet = Sheet::begin(&part.file, &manifest).map_err(fails)?;
        copy(&moment.0, |tree, (key, value)| sheet.row(tree, &key, &value).map_err(fails))?;
        let (rows, bytes, digest) = sheet.end().map_err(fails)?;
        part.take_name(&file).map_err(fails)?;
        Ok(Made { file, manifest, rows, bytes, digest })
    }
}

/// All rows of the moment, tree by tree.
fn copy(
    shared: &Shared,
    mut row: impl FnMut(Tree, Pair) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    for tree in Tree::ALL {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (page, next) = shared.copy_page(tree, after.as_deref())?;
            page.into_iter().try_for_each(|pair| row(tree, pair))?;
            match next {
                Some(key) => after = Some(key),
                None => break,
            }
        }
    }
    Ok(())
}

fn named(output: &Path, manifest: &Manifest) -> PathBuf {
    if !output.is_dir() {
        return output.to_owned();
    }
    let identity: String = manifest.identity.to_string().chars().take(12).collect();
    output.join(format!("journal-{identity}-{}.backup", manifest.head.seq))
}

fn unmade(file: &Path, error: &io::Error) -> JournalError {
    let why = match error.kind() {
        ErrorKind::AlreadyExists => {
            "it exists, and nothing is overwritten: name another".to_owned()
        }
        _ => error.to_string(),
    };
    JournalError::Backup { what: format!("no backup could be written to {}", file.display()), why }
}

/// A file without its name yet. Dropped before it has that, it is removed.
struct Part {
    file: File,
    path: Option<PathBuf>,
}

impl Part {
    fn create(file: &Path) -> io::Result<Part> {
        let mut name = file.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
        name.push(".part");
        let path = file.with_file_name(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Part { file: options.open(&path)?, path: Some(path) })
    }

    /// Makes it durable under its name.
    fn take_name(mut self, name: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        let Some(path) = self.path.take() else { return Ok(()) };
        // A second name never replaces a file, as a new one would.
        let named = match fs::hard_link(&path, name) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists && !name.try_exists()? => {
                // Not every file system has second names.
                return fs::rename(&path, name).and_then(|()| sync_folder(name));
            }
            named => named,
        };
        fs::remove_file(&path)?;
        named.and_then(|()| sync_folder(name))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Whoever finds it left over makes it anew.
        let _ = self.path.take().map(fs::remove_file);
    }
}

/// Makes durable that a folder has this name.
pub(super) fn sync_folder(name: &Path) -> io::Result<()> {
    match name.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A backup as it is written.
struct Sheet<W: Write> {
    file: BufWriter<W>,
    digest: Digest,
    rows: u64,
    bytes: u64,
}

impl<W: Write> Sheet<W> {
    fn begin(file: W, manifest: &Manifest) -> io::Result<Self> {
        let mut lines = format!("{FORMAT}\n").into_bytes();
        lines.extend(serde_json::to_vec(manifest)?);
        lines.push(b'\n');
        let (digest, bytes) = (keccak(&[&lines]), lines.len() as u64);
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&lines)?;
        Ok(Sheet { file, digest, rows: 0, bytes })
    }

    fn row(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> io::Result<()> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
        let (keys, values) = (length(key)?.to_be_bytes(), length(value)?.to_be_bytes());
        let row = [&[tree as u8][..], &keys, &values, key, value].concat();
        self.digest = keccak(&[&self.digest.0, &row]);
        (self.rows, self.bytes) = (self.rows + 1, self.bytes + row.len() as u64);
        self.file.write_all(&row)
    }

    fn end(mut self) -> io::Result<(u64, u64, Digest)> {
        let end = [&[0][..], &self.rows.to_be_bytes()].concat();
        self.digest = keccak(&[&self.digest.0, &end]);
        self.file.write_all(&end)?;
        self.file.write_all(&self.digest.0)?;
        self.file.flush()?;
        Ok((self.rows, self.bytes + end.len() as u64 + 32, self.digest))
    }
}

/// A backup as it is read. Nothing in it is believed before its end was reached.
pub(super) struct Sheets<R: Read> {
    file: BufReader<R>,
    digest: Digest,
    rows: u64,
    /// Which moment of which journal it says that it is.
    pub(super) manifest: Manifest,
}

impl<R: Read> Sheets<R> {
    /// Reads the two lines.
    ///
    /// # Errors
    /// Why it is no backup that this program can read.
    pub(super) fn begin(file: R) -> Result<Self, String> {
        let mut file = BufReader::with_capacity(1 << 20, file);
        let format = line(&mut file)?;
        if format != format!("{FORMAT}\n").as_bytes() {
            return Err(format!("it does not begin with {FORMAT:?}"));
        }
        let text = line(&mut file)?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| format!("its second line cannot be read: {error}"))?;
        if manifest.schema != SCHEMA {
            let found = manifest.schema;
            return Err(format!(
                "it is of a journal with format {found}, this program reads format {SCHEMA}: restore \
                 it with the program that made it"
            ));
        }
        Ok(Sheets { file, digest: keccak(&[&format, &text]), rows: 0, manifest })
    }

    /// The next row; `None` at the end, where the whole is what was written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn next(&mut self) -> Result<Option<Row>, String> {
        let [tree] = self.bytes()?;
        if tree == 0 {
            return self.end().map(|()| None);
        }
        let [keys, values] = [self.bytes::<4>()?, self.bytes::<4>()?];
        let length = |bytes: [u8; 4], most: usize| {
            let length = usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX);
            if length > most { Err(self.torn("has a row that is too long")) } else { Ok(length) }
        };
        let key_bytes = length(keys, KEY_BYTES_MAX)?;
        let mut row = vec![0; key_bytes + length(values, VALUE_BYTES_MAX)?];
        self.read(&mut row)?;
        self.digest = keccak(&[&self.digest.0, &[tree], &keys, &values, &row]);
        self.rows += 1;
        let tree = Tree::of(tree).ok_or_else(|| self.torn("has a row of an unknown kind"))?;
        let value = row.split_off(key_bytes);
        Ok(Some(Row { tree, key: row, value }))
    }

    fn end(&mut self) -> Result<(), String> {
        let rows = self.bytes::<8>()?;
        let digest = self.bytes::<32>()?;
        let counted = keccak(&[&self.digest.0, &[0], &rows]);
        if u64::from_be_bytes(rows) != self.rows || counted.0 != digest {
            return Err(self.torn("is not what was written: its digest is another"));
        }
        match self.file.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.torn("goes on after its end")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        self.file.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => self.torn("ends too early"),
            _ => error.to_string(),
        })
    }

    fn torn(&self, what: &str) -> String {
        format!("it {what}, after {} rows", self.rows)
    }
}

fn line(file: &mut impl io::BufRead) -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    let most = LINE_BYTES_MAX as u64;
    let read = io::BufRead::read_until(&mut file.take(most), b'\n', &mut line);
    read.map_err(|error| error.to_string())?;
    match line.ends_with(b"\n") {
        true => Ok(line),
        false => Err("it does not begin as a backup does".to_owned()),
    }
}
