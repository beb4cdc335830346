//! Rows as they are with the writes before applied, and how one is changed.

use super::{Fault, Stage};
use crate::journal::JournalError;
use crate::journal::delivery::{Delivery, DeliveryId};
use crate::journal::keys;
use crate::journal::obligation::Obligation;
use crate::journal::reader::{read_row, row_bytes};
use crate::journal::tree::{Pair, Place, Tree, VALUE_BYTES_MAX};
use crate::journal::write::WriteError;
use sdpp_ledger::Reference;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

impl Stage<'_> {
    pub(super) fn obligation(&mut self, reference: &Reference) -> Result<Obligation, Fault> {
        let row = self.row(Tree::Obligations, &reference.0)?;
        row.ok_or_else(|| WriteError::NoSuchObligation(*reference).into())
    }

    pub(super) fn delivery(&mut self, id: &DeliveryId) -> Result<Delivery, Fault> {
        let key = keys::delivery(&id.ledger, &id.account, id.number);
        let row = self.row(Tree::Deliveries, &key)?;
        row.ok_or_else(|| WriteError::NoSuchDelivery(id.clone()).into())
    }

    pub(super) fn row<T: DeserializeOwned>(
        &self,
        tree: Tree,
        key: &[u8],
    ) -> Result<Option<T>, JournalError> {
        let bytes = self.get(tree, key)?;
        bytes.map(|bytes| read_row(tree, &bytes)).transpose()
    }

    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        match self.batch.get(&(tree, key.to_vec())) {
            Some(staged) => Ok(staged.clone()),
            None => Ok(self.store.get(tree, key)?),
        }
    }

    /// All pairs whose keys start with `prefix`.
    pub(super) fn scan(&self, tree: Tree, prefix: &[u8]) -> Result<Vec<Pair>, JournalError> {
        let on_disk = self.store.scan(tree, prefix, None, usize::MAX)?;
        let mut pairs: BTreeMap<_, _> = on_disk.into_iter().collect();
        let staged = self.batch.range((tree, prefix.to_vec())..);
        for ((_, key), value) in
            staged.take_while(|((t, k), _)| *t == tree && k.starts_with(prefix))
        {
            match value {
                Some(value) => pairs.insert(key.clone(), value.clone()),
                None => pairs.remove(key),
            };
        }
        Ok(pairs.into_iter().collect())
    }

    pub(super) fn put_row<T: Serialize>(
        &mut self,
        what: &'static str,
        tree: Tree,
        key: Vec<u8>,
        row: &T,
    ) -> Result<(), Fault> {
        let bytes = row_bytes(row)?;
        self.put(what, tree, key, bytes)
    }

    pub(super) fn put(
        &mut self,
        what: &'static str,
        tree: Tree,
        key: Vec<u8>,
        value: Vec<u8>,
    ) -> Result<(), Fault> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(
                WriteError::TooLarge { what, bytes: value.len(), max: VALUE_BYTES_MAX }.into()
            );
        }
        self.set((tree, key), Some(value));
        Ok(())
    }

    pub(super) fn reindex(
        &mut self,
        before: Vec<(Tree, Vec<u8>, Vec<u8>)>,
        after: Vec<(Tree, Vec<u8>, Vec<u8>)>,
    ) -> Result<(), Fault> {
        for (tree, key, _) in before.iter().filter(|row| !after.contains(row)) {
            self.set((*tree, key.clone()), None);
        }
        for (tree, key, value) in after.into_iter().filter(|row| !before.contains(row)) {
            self.put("an index row", tree, key, value)?;
        }
        Ok(())
    }

    pub(super) fn set(&mut self, key: Place, value: Option<Vec<u8>>) {
        let before = self.batch.insert(key.clone(), value);
        self.undo.push((key, before));
    }
}
