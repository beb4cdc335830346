//! What is kept of datasets.

use super::{Fault, Stage};
use crate::journal::datasets::Stretch;
use crate::journal::tree::Tree;
use crate::journal::{JournalError, keys};
use sdpp_ledger::Digest;

/// The most rows that are forgotten in one write.
const ROWS_AT_ONCE: usize = 1_000;

impl Stage<'_> {
    /// Keeps some of a dataset's leaves.
    pub(super) fn keep_stretch(&mut self, stretch: &Stretch) -> Result<(), Fault> {
        let Stretch { dataset, at, leaves } = stretch;
        let row = leaves.iter().flat_map(|leaf| leaf.0).collect();
        self.put("leaves of a dataset", Tree::Datasets, keys::stretch(&dataset.root, *at), row)?;
        match stretch.is_last() {
            true => {
                let (key, seq) = (keys::whole_dataset(&dataset.root), self.head.seq);
                self.put_row("a dataset", Tree::Datasets, key, &seq)
            }
            false => Ok(()),
        }
    }

    /// Forgets a dataset: from here on it is not kept as a whole, and so many of its rows are gone.
    pub(super) fn forget(&mut self, root: &Digest) -> Result<(), Fault> {
        self.set((Tree::Datasets, keys::whole_dataset(root)), None);
        let rows = self.store.scan(Tree::Datasets, &root.0, None, ROWS_AT_ONCE);
        for (key, _) in rows.map_err(JournalError::from)? {
            self.set((Tree::Datasets, key), None);
        }
        Ok(())
    }
}
