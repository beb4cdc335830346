//! An item held against the dataset that the menu named: the n-th of a session is the n-th there. One that
//! is not is neither delivered nor acknowledged, and what proves it is kept.

use super::stream::Stream;
use crate::crypto::layout::MessageKind;
use crate::crypto::{dataset_leaf, salt};
use crate::message::{Base64, Code, Envelope, Invoice, Path};
use crate::record::{Invoiced, Record, Stray};
use crate::session::{Fault, Outputs};
use crate::terms::SHOWN_BYTES_MAX;
use sdpp_ledger::{Digest, keccak};

/// An item as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brought<'a> {
    pub(super) seq: u64,
    pub(super) body: &'a Base64,
    pub(super) leaf: Digest,
    pub(super) path: Option<&'a Path>,
    /// Its window's invoice, where it came with that.
    pub(super) invoice: Option<&'a Invoice>,
}

impl Stream {
    /// What brings an item of a dataset is not longer than what is kept of it, or its seller could hide from
    /// a judge what it signed.
    pub(super) fn can_be_shown(&self, envelope: &Envelope<'_>) -> Result<(), Fault> {
        let brings_item = matches!(envelope.kind(), MessageKind::Data | MessageKind::DataInvoice);
        if self.terms.dataset.is_none() || !brings_item || envelope.can_be_shown() {
            return Ok(());
        }
        let what =
            format!("a {} of a dataset is longer than {SHOWN_BYTES_MAX} bytes", envelope.kind());
        Err(Fault::theirs(Code::BadItem, what))
    }

    /// The opened item is the one in its place of the dataset, where one was named.
    pub(super) fn is_promised(
        &self,
        brought: &Brought<'_>,
        item: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let Some(dataset) = self.terms.dataset else { return Ok(()) };
        let (seq, content) = (brought.seq, keccak(&[item]));
        let leaf = dataset_leaf(&content);
        let salt = salt(self.keys.salt_secret(), seq);
        if brought.path.is_some_and(|path| dataset.has(seq, &leaf, &path.sisters(&salt))) {
            return Ok(());
        }
        let (invoiced, contradicted) = match brought.invoice {
            None => (None, false),
            Some(invoice) => self.invoiced_with(invoice, brought.leaf),
        };
        out.record(Record::Stray(Stray { seq, content, salt, invoiced }));
        let said = format!("item {seq} is not shown to be that of the dataset on the menu");
        let (root, topic, session) = (dataset.root, &self.terms.topic, self.terms.session);
        let topic = crate::message::legible(topic);
        let why = format!(
            "item {seq} is not item {seq} of the dataset {root} that the menu named for {topic:?}: it is \
             neither delivered nor acknowledged. `sdpp dispute bundle {session}` has what proves it, \
             `sdpp dispute judge` says how far"
        );
        let items = self.items.iter().filter(|_| contradicted).cloned();
        let fault = Fault { said: Some(said), ..Fault::theirs(Code::BadItem, why) };
        Err(fault.shown_by(items))
    }

    /// The place of the window's last leaf under the root of its invoice; or that the root is not of the
    /// items that came.
    fn invoiced_with(&self, invoice: &Invoice, leaf: Digest) -> (Option<Invoiced>, bool) {
        let (root, proof) = self.windows.proof_with(leaf);
        if root != invoice.root {
            return (None, true);
        }
        (proof.map(|proof| Invoiced { number: invoice.number, proof }), false)
    }
}
