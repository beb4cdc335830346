//! A file whose content is promised before it is sold: its Merkle root stands on the menu, and each item
//! goes out with its way up to that root.
//!
//! Neither the items nor their leaves are held: of each block of items there is one digest, and where it
//! begins in the file, so that nobody reads all that is before it. The leaves of a block are read again when
//! its first item is asked for. Where they do not come to what was promised the file has changed, and nothing
//! of it is given that could not be proven. It may grow: a last line whose end is not there is no item yet,
//! as who writes it may be in the middle of it.

use super::file::{self, File};
use super::{Batch, Item, SourceError};
use crate::crypto::dataset_leaf;
use crate::terms::Dataset;
use sdpp_ledger::{Digest, keccak, merkle};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// How many items have one digest between them in memory. A power of two, so that it is a node of the
/// tree.
const BLOCK: u32 = 256;

/// A file as it was when its root was computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    file: File,
    dataset: Dataset,
    blocks: Arc<Blocks>,
}

/// What is held of a file's blocks.
#[derive(Debug, PartialEq, Eq)]
struct Blocks {
    /// The tree above them.
    tree: merkle::Tree,
    /// Where each begins, in bytes.
    places: Vec<u64>,
}

impl Committed {
    /// Reads the whole file, and keeps a digest for each block of it.
    ///
    /// # Errors
    /// Why it cannot be promised.
    pub fn to(file: &File, item_bytes_max: usize) -> Result<Committed, SourceError> {
        Committed::to_first(u32::MAX, file, item_bytes_max)
    }

    /// The same of its first items, as they were promised once. What was written behind them since is not
    /// of that dataset.
    pub(super) fn again(
        promised: Dataset,
        file: &File,
        item_bytes_max: usize,
    ) -> Result<Committed, SourceError> {
        let now = Committed::to_first(promised.count, file, item_bytes_max)?;
        if now.dataset == promised {
            return Ok(now);
        }
        Err(SourceError::Other { place: file.path.display().to_string(), root: promised.root })
    }

    fn to_first(most: u32, file: &File, item_bytes_max: usize) -> Result<Committed, SourceError> {
        let mut open = file.open(item_bytes_max, 0)?.of_ended_lines();
        let (mut roots, mut places, mut count) = (Vec::new(), Vec::new(), 0_u32);
        // Behind a short block nothing follows: what is written meanwhile is not of it.
        while count.is_multiple_of(BLOCK) {
            let place = open.place()?;
            let leaves = open.leaves(BLOCK.min(most - count))?;
            let Some(read) = u32::try_from(leaves.len()).ok().filter(|read| *read > 0) else {
                break;
            };
            let too_many = || SourceError::unfit(file.path.display(), "it has 2^32 items or more");
            count = count.checked_add(read).ok_or_else(too_many)?;
            roots.push(merkle::root(&leaves));
            places.push(place);
        }
        if count == 0 {
            let why = "it has no items: there is nothing to commit to. A last line without its end is none";
            return Err(SourceError::unfit(file.path.display(), why));
        }
        let blocks = Blocks { tree: merkle::Tree::over(roots), places };
        let dataset = Dataset { root: blocks.tree.root(), count };
        Ok(Committed { file: file.clone(), dataset, blocks: Arc::new(blocks) })
    }

    /// What is promised.
    pub fn dataset(&self) -> Dataset {
        self.dataset
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Opens the file behind its first `skip` items. Nothing of it is read before it is asked for.
    pub(super) fn open(&self, item_bytes_max: usize, skip: u64) -> Result<Open, SourceError> {
        let at = u32::try_from(skip).unwrap_or(u32::MAX).min(self.dataset.count);
        let place = self.blocks.places.get((at / BLOCK) as usize).copied();
        let open = || {
            let mut open = self.file.open(item_bytes_max, 0)?.of_ended_lines();
            open.go_to(place.unwrap_or_default()).map(|()| open)
        };
        let open = || open().map_err(|error| self.unfit(at, error));
        let (ahead, items, items_at) = (open()?, open()?, at - at % BLOCK);
        Ok(Open { of: self.clone(), ahead, items, items_at, at, block: None, broken: None })
    }

    /// The leaves of all that is promised, a block each time. Nothing is read before it is asked for.
    ///
    /// # Errors
    /// Why the file cannot be opened; and each block where it is not what was promised any more.
    pub fn leaves(
        &self,
        item_bytes_max: usize,
    ) -> Result<impl Iterator<Item = Result<Vec<Digest>, SourceError>> + use<>, SourceError> {
        let mut open = self.open(item_bytes_max, 0)?;
        let blocks = 0..self.dataset.count.div_ceil(BLOCK);
        Ok(blocks.map(move |number| Ok(open.read_ahead(number)?.leaves.leaves().to_vec())))
    }

    /// Why nothing from this item on is given, by its place from 0.
    fn changed(&self, at: u32) -> SourceError {
        SourceError::Changed {
            place: self.file.path.display().to_string(),
            item: u64::from(at) + 1,
        }
    }

    /// The same where it cannot even be read: it could once.
    fn unfit(&self, at: u32, error: SourceError) -> SourceError {
        match error {
            SourceError::Unfit { .. } => self.changed(at),
            other => other,
        }
    }
}

/// A committed file that is being read.
#[derive(Debug)]
pub(super) struct Open {
    of: Committed,
    /// Reads the leaves of a block, before its items are given.
    ahead: file::Open,
    items: file::Open,
    /// The place of the item in the file that it would give next, from 0.
    items_at: u32,
    /// The next item's place, which may be further on.
    at: u32,
    /// The leaves of the block that it stands in, once they are what was promised.
    block: Option<Block>,
    /// What was met behind items that had to be given first.
    broken: Option<SourceError>,
}

/// A block that was read ahead.
#[derive(Debug)]
struct Block {
    number: u32,
    leaves: merkle::Tree,
}

impl Open {
    /// The next items, each with its way up. Blocks for as long as the disk does.
    pub(super) fn next(
        &mut self,
        at_most: NonZeroUsize,
        bytes: usize,
    ) -> Result<Batch, SourceError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let (mut rows, mut brought) = (Vec::new(), 0);
        while rows.len() < at_most.get() && (rows.is_empty() || brought < bytes) {
            match self.next_row() {
                Ok(Some(row)) => {
                    brought += row.0.as_str().len() + row.1.len() * size_of::<Digest>();
                    rows.push(row);
                }
                Ok(None) => break,
                Err(error) if rows.is_empty() => return Err(error),
                Err(error) => {
                    self.broken = Some(error);
                    break;
                }
            }
        }
        Ok(if rows.is_empty() { Batch::End } else { Batch::Rows(rows) })
    }

    fn next_row(&mut self) -> Result<Option<(Item, Vec<Digest>)>, SourceError> {
        let at = self.at;
        if at == self.of.dataset.count {
            return Ok(None);
        }
        let number = at / BLOCK;
        if self.block.as_ref().is_none_or(|block| block.number != number) {
            self.block = Some(self.read_ahead(number)?);
        }
        let changed = || self.of.changed(at);
        let item = loop {
            let item = self.items.next_item().map_err(|error| self.of.unfit(at, error))?;
            let item = item.ok_or_else(changed)?;
            self.items_at += 1;
            if self.items_at > at {
                break item;
            }
        };
        let leaf = dataset_leaf(&keccak(&[item.as_str().as_bytes()]));
        let leaves = self.block.as_ref().map(|block| &block.leaves).ok_or_else(changed)?;
        let place = (at % BLOCK) as usize;
        // The file may have changed since its block was read.
        if leaves.leaves().get(place) != Some(&leaf) {
            return Err(changed());
        }
        let within = leaves.prove(place).ok_or_else(changed)?;
        let above = self.of.blocks.tree.prove(number as usize).ok_or_else(changed)?;
        self.at += 1;
        Ok(Some((item, [within.path, above.path].concat())))
    }

    /// The leaves of a block, where they are what was promised.
    fn read_ahead(&mut self, number: u32) -> Result<Block, SourceError> {
        // What was written behind its end since was never promised.
        let count = self.of.dataset.count.saturating_sub(number * BLOCK).min(BLOCK);
        let leaves = self.ahead.leaves(count).map_err(|error| self.of.unfit(self.at, error))?;
        let leaves = merkle::Tree::over(leaves);
        let promised = self.of.blocks.tree.leaves().get(number as usize);
        match promised == Some(&leaves.root()) {
            true => Ok(Block { number, leaves }),
            false => Err(self.of.changed(self.at)),
        }
    }
}

impl file::Open {
    /// The leaves of the next items, so many where there are.
    fn leaves(&mut self, count: u32) -> Result<Vec<Digest>, SourceError> {
        let mut leaves = Vec::new();
        while leaves.len() < count as usize
            && let Some(item) = self.next_item()?
        {
            leaves.push(dataset_leaf(&keccak(&[item.as_str().as_bytes()])));
        }
        Ok(leaves)
    }
}

#[cfg(test)]
mod tests;
