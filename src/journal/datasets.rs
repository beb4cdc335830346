//! The leaves of datasets that are sold under a bond. Whoever complains of an item may ask its seller where
//! that stands, long after the file is gone or another: what answers is kept here. It is no entry of the
//! chain, as its root says whether it is right, and goes with the last bond that it answers for.

use super::reader::Reader;
use super::tree::Tree;
use super::{JournalError, PAGE_MAX, Write, damaged, keys};
use crate::terms::Dataset;
use sdpp_ledger::{BondId, Digest, merkle};
use std::collections::BTreeSet;

/// Leaves of a dataset that follow each other, of which one row is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// What they are of.
    pub dataset: Dataset,
    /// The place of the first, from 0.
    pub at: u32,
    /// All of them. With the last of the dataset all of it is kept: those before are there by then.
    pub leaves: Vec<Digest>,
}

impl Stretch {
    /// How many make a row: with its key it fits the page that sled keeps it in.
    const LEAVES_MAX: usize = 64;

    /// The writes that keep leaves of a dataset, of which the first stands there.
    pub fn writes(dataset: Dataset, first: u32, leaves: &[Digest]) -> Vec<Write> {
        let rows = (first..).step_by(Stretch::LEAVES_MAX).zip(leaves.chunks(Stretch::LEAVES_MAX));
        let stretch =
            |(at, leaves): (u32, &[Digest])| Stretch { dataset, at, leaves: leaves.to_vec() };
        rows.map(|row| Write::Keeping(Box::new(stretch(row)))).collect()
    }

    /// Whether the dataset ends with it.
    pub(super) fn is_last(&self) -> bool {
        self.at as usize + self.leaves.len() == self.dataset.count as usize
    }
}

impl Reader {
    /// Whether all leaves of a dataset are kept.
    pub fn keeps(&self, root: &Digest) -> Result<bool, JournalError> {
        Ok(self.kept_since(root)?.is_some())
    }

    /// The last entry that there was when all leaves of a dataset were kept.
    pub fn kept_since(&self, root: &Digest) -> Result<Option<u64>, JournalError> {
        self.row(Tree::Datasets, &keys::whole_dataset(root))
    }

    /// The datasets of which leaves are kept, be it some of them.
    pub fn kept_datasets(&self) -> Result<Vec<Digest>, JournalError> {
        let mut roots: Vec<Digest> = Vec::new();
        loop {
            let after = roots.last().map(keys::whole_dataset);
            let page = self.page(Tree::Datasets, &[], after.as_deref(), 1)?;
            let Some((key, _)) = page.first() else { return Ok(roots) };
            let root = key.first_chunk().ok_or_else(|| damaged("a dataset's row"))?;
            roots.push(Digest(*root));
        }
    }

    /// The datasets that sessions were of whose bonds were not had back, but for those that are `over` all the same:
    /// the other side ended them, of which this journal knows nothing.
    pub fn datasets_under_bonds(
        &self,
        over: &BTreeSet<BondId>,
    ) -> Result<BTreeSet<Digest>, JournalError> {
        let mut roots = BTreeSet::new();
        for id in self.bonds()? {
            if over.contains(&id) || self.is_bond_over(&id)? {
                continue;
            }
            for session in self.sessions_under(&id)? {
                roots.extend(self.dataset_of(&session)?);
            }
        }
        Ok(roots)
    }

    /// Where a leaf stands in a dataset that is kept, and its way up; `None` where it is not there, or that is
    /// not kept. Reads the whole of it.
    ///
    /// # Errors
    /// `Damaged` where what is kept does not come to the root, else as all of [`Reader`]'s methods.
    pub fn place_in(
        &self,
        root: &Digest,
        leaf: &Digest,
    ) -> Result<Option<merkle::Proof>, JournalError> {
        if !self.keeps(root)? {
            return Ok(None);
        }
        let tree = merkle::Tree::over(self.leaves_of(root)?);
        if tree.root() != *root {
            return Err(damaged(format!("what is kept of dataset {root} is not that dataset")));
        }
        let index = tree.leaves().iter().position(|one| one == leaf);
        Ok(index.and_then(|index| tree.prove(index)))
    }

    fn leaves_of(&self, root: &Digest) -> Result<Vec<Digest>, JournalError> {
        let (mut leaves, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(Tree::Datasets, &root.0, after.as_deref(), PAGE_MAX)?;
            let Some((last, _)) = page.last() else { return Ok(leaves) };
            after = Some(last.clone());
            let whole = keys::whole_dataset(root);
            for (_, row) in page.into_iter().filter(|(key, _)| *key != whole) {
                let (row, rest) = row.as_chunks();
                if !rest.is_empty() {
                    return Err(damaged("a dataset's row"));
                }
                leaves.extend(row.iter().copied().map(Digest));
            }
        }
    }
}
