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
use crate::terms::{Dataset, PLACES_MAX, Role};
use sdpp_ledger::Digest;
use std::collections::HashMap;

/// What a contract is asked with to have the seller show that an item is in the dataset. Nothing here is
/// the buyer's word: the seller has signed the dataset's root, and the item.
///
/// A contract asks whether the item is anywhere in the dataset, and not whether it is the one in its place:
/// who asks about an item that is there loses its stake. So nobody asks by itself but where `way` is
/// [`Way::Nowhere`], and even then only who knows the whole dataset knows how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrayEvidence<'a> {
    /// The dataset that the menu named.
    pub dataset: Dataset,
    /// What opens the item's leaf; for an item that came with its invoice its place under that root too.
    pub stray: &'a Stray,
    /// The seller's signature: the item's `data`, or where `stray.invoiced` is there its window's
    /// `data_invoice`.
    pub message: &'a SignedMessage,
    /// Where the way leads that the seller signed with it.
    pub way: Way,
}

/// Where a way up leads from an item that is not the one in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the dataset's root, by another place: the item is of the dataset, and a contract is shown so.
    Elsewhere,
    /// Not to that root, whatever place it began at; or there is none.
    Nowhere,
    /// Nobody can tell: the words that bring it are not there, or more places than a million would have to be
    /// tried.
    Unknown,
}

/// The stray items in a body of evidence that the seller signed, as a contract is told of them.
///
/// # Errors
/// Why the body shows no session.
pub fn stray_evidence<'a>(body: &'a Body) -> Result<Vec<StrayEvidence<'a>>, JudgeError> {
    let case = Case::by(vec![body], &Keys::default())?;
    let Some(dataset) = case.terms.dataset else { return Ok(Vec::new()) };
    let mut places = PLACES_MAX;
    let evidence = |seen: &Seen<'_, 'a>| {
        let Standing::Signed(signed, brings) = &seen.standing else { return None };
        // What the words of an invoice alone name stands in no layout.
        let is_item = signed.message.kind == MessageKind::Data;
        let (stray, message) = (seen.stray, signed.message);
        let way = match brings {
            Brings::Path(path) if has(&dataset, stray, path.as_ref()) => return None,
            Brings::Path(path) => way(&dataset, stray, path.as_ref(), &mut places),
            Brings::Another | Brings::Lost => Way::Unknown,
        };
        let is_told = is_item || stray.invoiced.is_some();
        is_told.then_some(StrayEvidence { dataset, stray, message, way })
    };
    Ok(look(&case).iter().filter_map(evidence).collect())
}

/// A stray item as the judge sees it.
pub(super) struct Seen<'c, 'a> {
    stray: &'a Stray,
    standing: Standing<'c, 'a>,
}

enum Standing<'c, 'a> {
    /// The menu named no dataset.
    NoDataset,
    /// Nothing that the seller signed has it.
    Unsigned,
    /// This message of the seller's has it.
    Signed(&'c Signed<'a>, Brings),
}

/// What the words of that message bring with it.
enum Brings {
    /// Its way up, or none.
    Path(Option<Path>),
    /// Another item: this one came in a message of its own, before its window's last.
    Another,
    /// The words are not there.
    Lost,
}

/// All of them, the first bundle's first.
pub(super) fn look<'c, 'a>(case: &'c Case<'a>) -> Vec<Seen<'c, 'a>> {
    let mut in_invoices = None;
    let strays = case.bodies.iter().flat_map(|body| body.strays.iter().take(SAME_MAX));
    let seen =
        strays.map(|stray| Seen { stray, standing: standing(case, stray, &mut in_invoices) });
    seen.collect()
}

/// The invoices that bring an item, by its leaf, and the way up that they name for it.
type InInvoices<'c, 'a> = HashMap<Digest, (&'c Signed<'a>, Option<Path>)>;

/// Invoices are read when the first item asks for them, and once: there may be as many as a bundle has rows.
fn standing<'c, 'a>(
    case: &'c Case<'a>,
    stray: &Stray,
    in_invoices: &mut Option<InInvoices<'c, 'a>>,
) -> Standing<'c, 'a> {
    if case.terms.dataset.is_none() {
        return Standing::NoDataset;
    }
    let leaf = stray.leaf(&case.terms.session);
    let is_item =
        |one: &&Signed<'_>| (one.message.number, one.message.commitment) == (stray.seq, leaf);
    if let Some(item) = case.of(MessageKind::Data, Role::Seller).find(is_item) {
        let words = reread::<Data>(item.message);
        return Standing::Signed(
            item,
            words.map_or(Brings::Lost, |words| Brings::Path(words.path)),
        );
    }
    let Some(invoiced) = &stray.invoiced else {
        let found = in_invoices.get_or_insert_with(|| read(case)).get(&leaf);
        return found.map_or(Standing::Unsigned, |(invoice, path)| {
            Standing::Signed(invoice, Brings::Path(path.clone()))
        });
    };
    let is_under = |one: &&Signed<'_>| {
        one.message.number == invoiced.number
            && invoiced.proof.verify(&leaf, &one.message.commitment)
    };
    let Some(invoice) = case.of(MessageKind::DataInvoice, Role::Seller).find(is_under) else {
        return Standing::Unsigned;
    };
    let brings = match reread::<DataInvoice>(invoice.message) {
        Ok(words) if words.leaf == Some(leaf) => Brings::Path(words.path),
        Ok(_) => Brings::Another,
        Err(_) => Brings::Lost,
    };
    Standing::Signed(invoice, brings)
}

fn read<'c, 'a>(case: &'c Case<'a>) -> InInvoices<'c, 'a> {
    let brings = |one: &'c Signed<'a>| {
        let words = reread::<DataInvoice>(one.message).ok()?;
        Some((words.leaf?, (one, words.path)))
    };
    case.of(MessageKind::DataInvoice, Role::Seller).filter_map(brings).collect()
}

/// What is proven by them.
pub(super) fn misdeeds(case: &Case<'_>, strays: &[Seen<'_, '_>]) -> Vec<Misdeed> {
    let convicts = |seen: &Seen<'_, '_>| {
        let (dataset, stray) = (case.terms.dataset?, seen.stray);
        let Standing::Signed(signed, Brings::Path(path)) = &seen.standing else { return None };
        if has(&dataset, stray, path.as_ref()) {
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
    strays.iter().filter_map(convicts).collect()
}

/// What is lacking, where an item proves nothing.
pub(super) fn notes(case: &Case<'_>, strays: &[Seen<'_, '_>]) -> Vec<String> {
    strays.iter().filter_map(|seen| lacks(case, seen)).collect()
}

fn lacks(case: &Case<'_>, seen: &Seen<'_, '_>) -> Option<String> {
    let (stray, dataset) = (seen.stray, case.terms.dataset.as_ref());
    let lacks = match &seen.standing {
        Standing::NoDataset => "and the menu named no dataset: it proves nothing",
        Standing::Unsigned => {
            "and nothing that the seller signed has it: it proves nothing. What travels under a MAC never \
             does"
        }
        Standing::Signed(_, Brings::Path(path)) => {
            dataset.filter(|dataset| has(dataset, stray, path.as_ref()))?;
            "and it is the dataset's: the seller's own path shows it"
        }
        Standing::Signed(_, Brings::Another) => {
            "and the seller signed it: it is under the root of its window's invoice. That brings another \
             item, and the message that brought this one, with its path, is not here. That it is of the \
             dataset only the seller can show, to a contract that asks"
        }
        Standing::Signed(_, Brings::Lost) => {
            "and the seller signed it, but the words that bring its path are not here. That it is of the \
             dataset only the seller can show, to a contract that asks"
        }
    };
    Some(format!("item {} was not taken, {lacks}", stray.seq))
}

fn has(dataset: &Dataset, stray: &Stray, path: Option<&Path>) -> bool {
    let leaf = dataset_leaf(&stray.content);
    path.is_some_and(|path| dataset.has(stray.seq, &leaf, &path.sisters(&stray.salt)))
}

fn way(dataset: &Dataset, stray: &Stray, path: Option<&Path>, places: &mut u64) -> Way {
    let sisters = path.map(|path| path.sisters(&stray.salt));
    let leaf = dataset_leaf(&stray.content);
    match sisters.map(|sisters| dataset.has_anywhere(&leaf, &sisters, places)) {
        Some(Some(true)) => Way::Elsewhere,
        Some(None) => Way::Unknown,
        Some(Some(false)) | None => Way::Nowhere,
    }
}
