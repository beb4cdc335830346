//! Items that are not the ones in their places of the dataset that the menu named. A seller signs with each
//! item its way up to the root on the menu; one whose item and way lead elsewhere has signed a lie. Where
//! its words were not kept, it has signed the item all the same, and only its own answer could show that
//! the item is of the dataset: a contract asks for that.

use super::bundle::Body;
use super::case::{Case, JudgeError, Keys, Signed};
use super::papers::SAME_MAX;
use super::verdict::{Misdeed, Offence};
use crate::crypto::dataset_leaf;
use crate::crypto::layout::MessageKind;
use crate::message::{Data, DataInvoice, Path, reread};
use crate::record::{SignedMessage, Stray};
use crate::terms::{Dataset, Role};

/// What a contract is asked with to have the seller show that an item is in the dataset. Nothing here is
/// the buyer's word: the seller has signed the dataset's root, and the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrayEvidence<'a> {
    /// The dataset that the menu named.
    pub dataset: Dataset,
    /// What opens the item's leaf; for an item that came with its invoice its place under that root too.
    pub stray: &'a Stray,
    /// The seller's signature: the item's `data`, or where `stray.invoiced` is there its window's
    /// `data_invoice`.
    pub message: &'a SignedMessage,
}

/// The stray items in a body of evidence that the seller signed, as a contract is told of them.
///
/// # Errors
/// Why the body shows no session.
pub fn stray_evidence(body: &Body) -> Result<Vec<StrayEvidence<'_>>, JudgeError> {
    let case = Case::by(vec![body], &Keys::default())?;
    let Some(dataset) = case.terms.dataset else { return Ok(Vec::new()) };
    let of = |stray| {
        let signed = signed(&case, stray)?;
        let is_item = signed.message.kind == MessageKind::Data;
        // What the words of an invoice alone name stands in no layout.
        let is_told = is_item || stray.invoiced.is_some();
        is_told.then_some(StrayEvidence { dataset, stray, message: signed.message })
    };
    Ok(body.strays.iter().take(SAME_MAX).filter_map(of).collect())
}

/// What is proven by the items that buyers did not take.
pub(super) fn misdeeds(case: &Case<'_>) -> Vec<Misdeed> {
    let convicts = |stray| {
        let (dataset, signed) = (case.terms.dataset?, signed(case, stray)?);
        if has(&dataset, stray, way(case, stray, signed)?.as_ref()) {
            return None;
        }
        let (seq, root) = (stray.seq, dataset.root);
        let why = format!(
            "signed as item {seq} what its own path does not show to be item {seq} of the dataset {root} \
             that its menu named"
        );
        let proven_by = vec![signed.paper.clone()];
        Some(Misdeed { by: Role::Seller, what: Offence::StrayItem, why, proven_by })
    };
    strays(case).filter_map(convicts).collect()
}

/// What is lacking, where an item proves nothing.
pub(super) fn notes(case: &Case<'_>) -> Vec<String> {
    strays(case).filter_map(|stray| lacks(case, stray)).collect()
}

fn lacks(case: &Case<'_>, stray: &Stray) -> Option<String> {
    let seq = stray.seq;
    let Some(dataset) = case.terms.dataset else {
        return Some(format!(
            "item {seq} was not taken, and the menu named no dataset: it proves nothing"
        ));
    };
    let Some(signed) = signed(case, stray) else {
        return Some(format!(
            "item {seq} was not taken, and nothing that the seller signed has it: it proves nothing. What \
             travels under a MAC never does"
        ));
    };
    match way(case, stray, signed) {
        Some(path) if has(&dataset, stray, path.as_ref()) => Some(format!(
            "item {seq} was not taken, and it is the dataset's: the seller's own path shows it"
        )),
        Some(_) => None,
        None => Some(format!(
            "item {seq} was not taken: the seller signed it, and the words that name its path are not here. \
             That it is of the dataset {} only the seller can show, to a contract that asks",
            dataset.root
        )),
    }
}

fn strays<'c>(case: &'c Case<'_>) -> impl Iterator<Item = &'c Stray> {
    case.bodies.iter().flat_map(|body| body.strays.iter().take(SAME_MAX))
}

fn has(dataset: &Dataset, stray: &Stray, path: Option<&Path>) -> bool {
    let leaf = dataset_leaf(&stray.content);
    path.is_some_and(|path| dataset.has(stray.seq, &leaf, &path.sisters(&stray.salt)))
}

/// The message by which the seller signed the item: its leaf stands in it, or under its root.
fn signed<'c, 'a>(case: &'c Case<'a>, stray: &Stray) -> Option<&'c Signed<'a>> {
    let leaf = stray.leaf(&case.terms.session);
    let is_item =
        |one: &&Signed<'_>| (one.message.number, one.message.commitment) == (stray.seq, leaf);
    let is_invoice = |one: &&Signed<'_>| match &stray.invoiced {
        Some(invoiced) => {
            one.message.number == invoiced.number
                && invoiced.proof.verify(&leaf, &one.message.commitment)
        }
        None => reread::<DataInvoice>(one.message).is_ok_and(|words| words.leaf == Some(leaf)),
    };
    let mut items = case.of(MessageKind::Data, Role::Seller);
    let mut invoices = case.of(MessageKind::DataInvoice, Role::Seller);
    items.find(is_item).or_else(|| invoices.find(is_invoice))
}

/// The item's way up as the seller signed it; `None` where its words are not there, inside where they name
/// none.
fn way(case: &Case<'_>, stray: &Stray, signed: &Signed<'_>) -> Option<Option<Path>> {
    match signed.message.kind {
        MessageKind::Data => Some(reread::<Data>(signed.message).ok()?.path),
        _ => {
            let words = reread::<DataInvoice>(signed.message).ok()?;
            let leaf = stray.leaf(&case.terms.session);
            // An item of the window that came before its last had a message of its own.
            (words.leaf == Some(leaf)).then_some(words.path)
        }
    }
}
