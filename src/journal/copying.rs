//! One moment of a journal, read page by page while it is written: what a write changes that was
//! not read yet is kept as it was before.

use super::query::PAGE_MAX;
use super::tree::{
    Batch, PAGE_BYTES_MAX, Pair, Store, Tree, TreeError, after_in_order, place_in_order,
};
use super::{JournalError, Shared};
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

/// The most places that are kept as they were. A backup that is so much slower than what is written
/// is given up, before the memory is.
const KEPT_MAX: usize = 1_000_000;

/// A key, and what it held at the moment.
type Before = (Vec<u8>, Option<Vec<u8>>);

/// How far a backup is.
#[derive(Debug)]
pub(super) struct Copying {
    /// What was read lies below it, in the order of the trees and their keys.
    passed: Vec<u8>,
    /// What changed since and was not read yet, by its place.
    kept: BTreeMap<Vec<u8>, Before>,
    /// Why the moment is lost.
    lost: Option<String>,
}

impl Copying {
    fn new() -> Self {
        Copying { passed: Vec::new(), kept: BTreeMap::new(), lost: None }
    }

    fn keep(&mut self, store: &Store, tree: Tree, key: &[u8]) -> Result<(), TreeError> {
        let place = place_in_order(tree, key);
        if place > self.passed && !self.kept.contains_key(&place) {
            let before = store.get(tree, key)?;
            self.kept.insert(place, (key.to_vec(), before));
        }
        Ok(())
    }

    /// What a page held at the moment, and all up to `to` is passed.
    fn merge(&mut self, tree: Tree, live: Vec<Pair>, to: Vec<u8>) -> Vec<Pair> {
        let mut rows: BTreeMap<Vec<u8>, Pair> =
            live.into_iter().map(|pair| (place_in_order(tree, &pair.0), pair)).collect();
        let later = self.kept.split_off(&to);
        for (place, (key, before)) in std::mem::replace(&mut self.kept, later) {
            match before {
                Some(value) => drop(rows.insert(place, (key, value))),
                None => drop(rows.remove(&place)),
            }
        }
        self.passed = to;
        rows.into_values().collect()
    }
}

impl Shared {
    /// Begins to keep this moment, and gives what `look` finds in it; `None` while another backup is
    /// being made.
    pub(super) fn begin_copying<T>(
        &self,
        look: impl FnOnce(&Store) -> Result<T, JournalError>,
    ) -> Result<Option<T>, JournalError> {
        self.read(|store| {
            let found = look(store)?;
            let mut copying = self.copying();
            if copying.is_some() {
                return Ok(None);
            }
            *copying = Some(Copying::new());
            Ok(Some(found))
        })
    }

    /// Ends it.
    pub(super) fn end_copying(&self) {
        *self.copying() = None;
    }

    /// The next rows of a tree after a key, as they were at the moment; and after which key to go
    /// on, `None` at the end of the tree.
    pub(super) fn copy_page(
        &self,
        tree: Tree,
        after: Option<&[u8]>,
    ) -> Result<(Vec<Pair>, Option<Vec<u8>>), JournalError> {
        self.read(|store| {
            let (live, is_cut) = store.page(tree, &[], after, (PAGE_MAX, PAGE_BYTES_MAX))?;
            let last = live.last().filter(|_| is_cut).map(|(key, _)| key.clone());
            let to = last.as_ref().map_or(vec![tree as u8 + 1], |key| after_in_order(tree, key));
            let mut copying = self.copying();
            let Some(copying) = copying.as_mut() else {
                return Err(lost("its backup has ended".to_owned()));
            };
            match &copying.lost {
                Some(why) => Err(lost(why.clone())),
                None => Ok((copying.merge(tree, live, to), last)),
            }
        })
    }

    /// Keeps what a batch is about to change, where a backup has yet to read it. What cannot be kept
    /// fails the backup, never the write.
    pub(super) fn keep_for_backup(&self, batch: &Batch) {
        let mut copying = self.copying();
        let Some(copying) = copying.as_mut().filter(|copying| copying.lost.is_none()) else {
            return;
        };
        for (tree, key) in batch.keys() {
            if let Err(error) = copying.keep(&self.store, *tree, key) {
                copying.lost = Some(error.to_string());
            }
        }
        if copying.kept.len() > KEPT_MAX {
            copying.lost = Some(format!(
                "{KEPT_MAX} rows changed before they were read: write the backup to a faster disk, \
                 or when less is sold"
            ));
        }
        if copying.lost.is_some() {
            copying.kept.clear();
        }
    }

    fn copying(&self) -> MutexGuard<'_, Option<Copying>> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost(why: String) -> JournalError {
    JournalError::Backup { what: "the journal could not be held still".to_owned(), why }
}
