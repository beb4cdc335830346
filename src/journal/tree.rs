//! The journal's place on disk: trees of keys and values, written in durable atomic batches.
//!
//! The only module that names sled. It knows nothing of entries or obligations. Three things that
//! sled 0.34 does not do by itself are done here:
//!
//! - sled's `flush` does not survive a power cut: it never calls fsync. Each batch is therefore
//!   followed by `fdatasync` on sled's own `db` file, before anybody is answered.
//! - A large value, or a page of up to 20 of them, is moved to a file of its own that no sync
//!   covers. sled does so from 128 KiB a page on, so values are cut into pieces of 4 KiB.
//! - sled panics on some damage. Each call is caught and becomes [`TreeError::Damaged`].

use super::doom::Doom;
use super::folder;
use crate::terms::SHOWN_BYTES_MAX;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Once, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The longest value, in bytes: the words that a session ends for, where each byte of them is escaped by
/// another, and as much as any other entry needs.
pub(super) const VALUE_BYTES_MAX: usize = 2 * SHOWN_BYTES_MAX + 256 * 1024;

/// How many bytes a page has at the most beside its last row.
pub(super) const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// 20 values of this size, the most that sled keeps in one page, stay under its threshold.
const PIECE_BYTES_MAX: usize = 4 * 1024;

/// sled lets go of its files in the background: a journal that was just dropped in this process
/// may still hold them for a moment.
const LOCK_TRIES: u32 = 200;

/// Which tree. All live in one sled tree under their own first byte, so that one batch over
/// several of them is one atomic write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Tree {
    /// `schema`, `identity`, `head`, for each ledger with channels the height to read next, and
    /// for each currency whose rate is told the last.
    Meta = 1,
    /// seq -> the entry's body. Never written again, and never removed.
    Entries = 2,
    /// session -> what is known of it.
    Sessions = 3,
    /// session, seq -> which entries a session got in one commit, up to this one.
    SessionEntries = 4,
    /// channel -> its ceiling and best voucher.
    Channels = 5,
    /// reference -> obligation.
    Obligations = 6,
    /// session, reference -> nothing: what waits for the session's end.
    Held = 7,
    /// ledger, since when, reference -> nothing: all that is neither met nor refused.
    Unsettled = 8,
    /// ledger, account, number -> delivery.
    Deliveries = 9,
    /// ledger, account -> which numbers are next.
    Accounts = 10,
    /// ledger, transaction -> the reference that claims it.
    Claims = 11,
    /// ledger, kind, moment, what -> nothing: when to look at a live row again.
    Due = 12,
    /// channel -> what its ledger is known to say of it.
    Watched = 13,
    /// channel -> nothing: those that are not over.
    Watching = 14,
    /// channel, change, transaction -> the entry that tells it.
    Changes = 15,
    /// channel, reference -> amount, whether that closes: what redeems a voucher and is not refused.
    Redeems = 16,
    /// seq -> the entry's payload, until it is pruned.
    Payloads = 17,
    /// buyer's key as hex -> what it has earned or owes.
    Standings = 18,
    /// dataset's root, place of the first -> leaves of it that follow each other; behind them, once all are
    /// there -> the last entry by then.
    Datasets = 19,
}

impl Tree {
    /// All of them, in the order of their first bytes.
    pub(super) const ALL: [Tree; 19] = [
        Tree::Meta,
        Tree::Entries,
        Tree::Sessions,
        Tree::SessionEntries,
        Tree::Channels,
        Tree::Obligations,
        Tree::Held,
        Tree::Unsettled,
        Tree::Deliveries,
        Tree::Accounts,
        Tree::Claims,
        Tree::Due,
        Tree::Watched,
        Tree::Watching,
        Tree::Changes,
        Tree::Redeems,
        Tree::Payloads,
        Tree::Standings,
        Tree::Datasets,
    ];

    /// The tree with this first byte.
    pub(super) fn of(byte: u8) -> Option<Tree> {
        Tree::ALL.into_iter().find(|tree| *tree as u8 == byte)
    }
}

/// Where a value stands.
pub(super) type Place = (Tree, Vec<u8>);

/// Writes that become durable together: what each place holds afterwards.
pub(super) type Batch = BTreeMap<Place, Option<Vec<u8>>>;

/// A key and its value, as read.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What can go wrong on disk.
#[derive(Debug, thiserror::Error)]
pub(super) enum TreeError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(String),
    #[error("another program holds sled's lock")]
    Locked,
}

/// The trees of one journal.
pub(super) struct Store {
    dir: PathBuf,
    cache_bytes: u64,
    /// `None` where they were closed to be opened anew, and could not be.
    files: RwLock<Option<Files>>,
    #[cfg(test)]
    pub(super) watch: Watch,
}

/// sled's trees, and a handle of our own on the file that they are in.
struct Files {
    db: sled::Db,
    file: File,
}

impl Files {
    /// Opens or creates them, and makes durable what sled wrote in doing so.
    fn open(dir: &Path, cache_bytes: u64) -> Result<Files, TreeError> {
        let db = open_when_unlocked(dir, cache_bytes)?;
        let file = File::options().write(true).open(dir.join("db"))?;
        folder::close_and_sync(dir)?;
        Ok(Files { db, file })
    }
}

/// What tests count and break.
#[cfg(test)]
#[derive(Default)]
pub(super) struct Watch {
    pub(super) syncs: std::sync::atomic::AtomicU64,
    pub(super) gets: std::sync::atomic::AtomicU64,
    pub(super) fail_next_sync: std::sync::atomic::AtomicBool,
    pub(super) refuse_next_write: std::sync::atomic::AtomicBool,
    pub(super) refuse_gets: std::sync::atomic::AtomicBool,
}

impl Store {
    /// Opens or creates the trees in a folder.
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, TreeError> {
        let files = RwLock::new(Some(Files::open(dir, cache_bytes)?));
        Ok(Store {
            dir: dir.to_owned(),
            cache_bytes,
            files,
            #[cfg(test)]
            watch: Watch::default(),
        })
    }

    /// Closes the trees and opens them anew, after a write failed.
    pub(super) fn reopen(&self) -> Result<(), TreeError> {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        // sled writes once more as it closes, and may panic where it cannot.
        let closed = files.take();
        caught(|| {
            drop(closed);
            Ok(())
        })?;
        *files = Some(Files::open(&self.dir, self.cache_bytes)?);
        #[cfg(test)]
        self.watch.refuse_gets.store(false, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    }

    /// Calls sled; a panic of its own becomes an error that says what it said.
    fn with<T>(&self, call: impl FnOnce(&Files) -> Result<T, TreeError>) -> Result<T, TreeError> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        match &*files {
            Some(files) => caught(|| call(files)),
            None => Err(io::Error::other("its files could not be opened anew").into()),
        }
    }

    /// What a key holds.
    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        #[cfg(test)]
        {
            use std::sync::atomic::Ordering::SeqCst;
            self.watch.gets.fetch_add(1, SeqCst);
            if self.watch.refuse_gets.load(SeqCst) {
                return Err(io::Error::from(io::ErrorKind::StorageFull).into());
            }
        }
        self.with(|files| {
            let Some(first) = files.db.get(piece_key(tree, key, 0))? else {
                return Ok(None);
            };
            let (count, start) = split_first(&first)?;
            let mut value = start.to_vec();
            for piece in 1..count {
                let more = files.db.get(piece_key(tree, key, piece))?;
                value.extend_from_slice(&more.ok_or_else(|| lost_piece(tree))?);
            }
            Ok(Some(value))
        })
    }

    /// Up to `limit` pairs whose keys start with `prefix` and are larger than `after`, in order.
    pub(super) fn scan(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, TreeError> {
        Ok(self.page(tree, prefix, after, (limit, usize::MAX))?.0)
    }

    /// The same, and no further pair behind so many bytes; and whether more may follow.
    pub(super) fn page(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        (limit, bytes_max): (usize, usize),
    ) -> Result<(Vec<Pair>, bool), TreeError> {
        let start = match after {
            Some(key) => piece_key(tree, key, u16::MAX),
            None => [&[tree as u8], prefix].concat(),
        };
        let whole = [&[tree as u8], prefix].concat();
        self.with(|files| {
            let (mut pairs, mut bytes) = (Vec::new(), 0);
            let mut pieces = files.db.range(start..);
            while pairs.len() < limit && bytes < bytes_max {
                let Some(first) = pieces.next() else { return Ok((pairs, false)) };
                let (key, first) = first?;
                if !key.starts_with(&whole) {
                    return Ok((pairs, false));
                }
                let pair = read_pair(tree, &key, &first, &mut pieces)?;
                bytes += pair.0.len() + pair.1.len();
                pairs.push(pair);
            }
            Ok((pairs, true))
        })
    }

    /// The pair with the largest key of a tree.
    pub(super) fn last(&self, tree: Tree) -> Result<Option<Pair>, TreeError> {
        let found = self.with(|files| Ok(files.db.get_lt([tree as u8 + 1])?))?;
        let key = match found {
            Some((key, _)) if key.first() == Some(&(tree as u8)) => key,
            _ => return Ok(None),
        };
        let key = bare_key(tree, &key)?;
        Ok(self.get(tree, key)?.map(|value| (key.to_vec(), value)))
    }

    /// Writes all of a batch or nothing, and returns when no power cut can take it back.
    ///
    /// After an error nobody knows what is on the disk: the store must be opened anew.
    pub(super) fn write(&self, batch: &Batch) -> Result<(), TreeError> {
        #[cfg(test)]
        if self.watch.refuse_next_write.swap(false, std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        let doom = Doom::of(batch);
        let mut pieces = sled::Batch::default();
        for ((tree, key), value) in batch {
            self.cut(&mut pieces, *tree, key, value.as_deref())?;
        }
        doom.reaches("before");
        self.with(|files| {
            files.db.apply_batch(pieces)?;
            doom.reaches("applied");
            files.db.flush()?;
            Ok(())
        })?;
        doom.reaches("flushed");
        self.sync()?;
        doom.reaches("synced");
        Ok(())
    }

    fn cut(
        &self,
        pieces: &mut sled::Batch,
        tree: Tree,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), TreeError> {
        let mut count = 0;
        if let Some(value) = value {
            let (start, rest) = value.split_at(value.len().min(PIECE_BYTES_MAX));
            count = u16::try_from(1 + rest.len().div_ceil(PIECE_BYTES_MAX))
                .map_err(|_| io::Error::other("a value too long for the journal"))?;
            pieces.insert(piece_key(tree, key, 0), [&count.to_be_bytes(), start].concat());
            for (piece, bytes) in (1..count).zip(rest.chunks(PIECE_BYTES_MAX)) {
                pieces.insert(piece_key(tree, key, piece), bytes);
            }
        }
        let is_new = value.is_some()
            && matches!(tree, Tree::Entries | Tree::Payloads | Tree::SessionEntries);
        // Entries and their payload are never written twice and need no look.
        let before = if is_new { 0 } else { self.pieces_of(tree, key)? };
        for old in count..before {
            pieces.remove(piece_key(tree, key, old));
        }
        Ok(())
    }

    /// How many pieces a key has on disk.
    fn pieces_of(&self, tree: Tree, key: &[u8]) -> Result<u16, TreeError> {
        self.with(|files| match files.db.get(piece_key(tree, key, 0))? {
            Some(first) => Ok(split_first(&first)?.0),
            None => Ok(0),
        })
    }

    fn sync(&self) -> Result<(), TreeError> {
        #[cfg(test)]
        {
            use std::sync::atomic::Ordering::SeqCst;
            self.watch.syncs.fetch_add(1, SeqCst);
            if self.watch.fail_next_sync.swap(false, SeqCst) {
                return Err(io::Error::from(io::ErrorKind::StorageFull).into());
            }
        }
        self.with(|files| Ok(files.file.sync_data()?))
    }
}

/// How long the trees take by themselves for so many batches of rows, each batch durable before the
/// next: what no journal upon them can pass, and what the bench compares ours with.
///
/// # Errors
/// As a journal's.
pub fn bare_batches(
    dir: &Path,
    batches: u64,
    rows: impl Fn(u64) -> Vec<Pair>,
) -> Result<Duration, super::JournalError> {
    let timed = || -> Result<Duration, TreeError> {
        let files = Files::open(dir, super::CACHE_BYTES)?;
        let began = Instant::now();
        for number in 0..batches {
            let mut batch = sled::Batch::default();
            rows(number).into_iter().for_each(|(key, value)| batch.insert(key, value));
            files.db.apply_batch(batch)?;
            files.db.flush()?;
            files.file.sync_data()?;
        }
        Ok(began.elapsed())
    };
    Ok(caught(timed)?)
}

fn open_when_unlocked(dir: &Path, cache_bytes: u64) -> Result<sled::Db, TreeError> {
    for _ in 0..LOCK_TRIES {
        match open_once(dir, cache_bytes) {
            Err(TreeError::Locked) => std::thread::sleep(Duration::from_millis(10)),
            other => return other,
        }
    }
    Err(TreeError::Locked)
}

fn open_once(dir: &Path, cache_bytes: u64) -> Result<sled::Db, TreeError> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        // Nothing is left to flush between batches.
        .flush_every_ms(None);
    caught(|| Ok(config.open()?))
}

/// Where a key stands in the order in which [`Store::scan`] reads a tree.
pub(super) fn place_in_order(tree: Tree, key: &[u8]) -> Vec<u8> {
    piece_key(tree, key, 0)
}

/// Where [`Store::scan`] goes on after a key.
pub(super) fn after_in_order(tree: Tree, key: &[u8]) -> Vec<u8> {
    piece_key(tree, key, u16::MAX)
}

fn piece_key(tree: Tree, key: &[u8], piece: u16) -> Vec<u8> {
    [&[tree as u8], key, &piece.to_be_bytes()].concat()
}

fn bare_key(tree: Tree, key: &[u8]) -> Result<&[u8], TreeError> {
    match key {
        [_, bare @ .., _, _] => Ok(bare),
        _ => Err(lost_piece(tree)),
    }
}

/// The first piece says how many there are: u16 big-endian.
fn split_first(first: &[u8]) -> Result<(u16, &[u8]), TreeError> {
    match first {
        [high, low, start @ ..] => Ok((u16::from_be_bytes([*high, *low]), start)),
        _ => Err(TreeError::Damaged("a value without its length".to_owned())),
    }
}

fn read_pair(
    tree: Tree,
    key: &[u8],
    first: &[u8],
    pieces: &mut sled::Iter,
) -> Result<Pair, TreeError> {
    let bare = bare_key(tree, key)?;
    if !key.ends_with(&[0, 0]) {
        return Err(lost_piece(tree));
    }
    let (count, start) = split_first(first)?;
    let mut value = start.to_vec();
    for piece in 1..count {
        let (at, more) = pieces.next().ok_or_else(|| lost_piece(tree))??;
        if at != piece_key(tree, bare, piece) {
            return Err(lost_piece(tree));
        }
        value.extend_from_slice(&more);
    }
    Ok((bare.to_vec(), value))
}

fn lost_piece(tree: Tree) -> TreeError {
    TreeError::Damaged(format!("a value in {tree:?} lacks a piece"))
}

thread_local! {
    /// Whether a panic on this thread is told as an error.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// A panic that becomes an error is told once, as that error. All others are told as before.
fn tell_no_caught_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_CAUGHT.get() {
                tell(panic);
            }
        }));
    });
}

/// Calls sled; a panic of its own becomes an error that says what it said.
fn caught<T>(call: impl FnOnce() -> Result<T, TreeError>) -> Result<T, TreeError> {
    // sled's state may be torn after a panic, but whoever sees `Damaged` uses it no more.
    tell_no_caught_panics();
    let before = IS_CAUGHT.replace(true);
    let called = catch_unwind(AssertUnwindSafe(call));
    IS_CAUGHT.set(before);
    called.unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no word of why");
        Err(TreeError::Damaged(format!("sled gave up: {said}")))
    })
}

impl From<sled::Error> for TreeError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(io) if io.to_string().contains("could not acquire lock") => {
                TreeError::Locked
            }
            sled::Error::Io(io) if !speaks_of_damage(io.kind()) => TreeError::Io(plain(io)),
            other => TreeError::Damaged(other.to_string()),
        }
    }
}

fn speaks_of_damage(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
    matches!(kind, InvalidData | InvalidInput | NotFound | UnexpectedEof)
}

/// sled copies an error in the words that Debug has for it: what the system said, in the system's own words.
pub(super) fn plain(error: io::Error) -> io::Error {
    let text = error.to_string();
    let code = text.strip_prefix("Os { code: ").and_then(|rest| rest.split(',').next());
    code.and_then(|code| code.parse().ok()).map_or(error, io::Error::from_raw_os_error)
}
