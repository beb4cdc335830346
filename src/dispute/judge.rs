//! The judge: from what was signed to who owes whom.

use super::bundle::{Body, Bundle};
use super::case::{Case, JudgeError, Keys};
use super::misconduct;
use super::money::Money;
use super::papers::{InvoicePaper, Papers, SAME_MAX, under};
use super::parting;
use super::verdict::{
    Condition, DisclosedItem, Figure, MISDEEDS_MAX, Paper, Party, Trade, Verdict,
};
use crate::crypto::layout::MessageKind;
use crate::crypto::leaf;
use crate::message::legible;
use crate::record::SignedMessage;
use crate::terms::{Role, Terms};
use sdpp_ledger::{Amount, keccak};

/// Judges one session by one bundle or two. The same bundles make the same verdict, whichever is
/// named first.
///
/// # Errors
/// Why no verdict can be given.
pub fn judge(bundles: &[Bundle], keys: &Keys) -> Result<Verdict, JudgeError> {
    Ok(weigh(&Case::open(bundles, keys)?, keys))
}

/// Judges by one side's own journal, for that side alone: nobody had to sign it.
///
/// # Errors
/// As [`judge`].
pub fn judge_own(body: &Body, keys: &Keys) -> Result<Verdict, JudgeError> {
    Ok(weigh(&Case::by(vec![body], keys)?, keys))
}

fn weigh(case: &Case<'_>, keys: &Keys) -> Verdict {
    let papers = Papers::read(case);
    let money = Money::count(case, &papers);
    let misconduct = misconduct::find(case, &papers, &money);
    let terms = &case.terms;
    let party = |key, given: bool| Party { key, identity_proven: given };
    Verdict {
        session: terms.session,
        seller: party(terms.seller, keys.seller.is_some()),
        buyer: party(terms.buyer, keys.buyer.is_some()),
        heard: [Role::Seller, Role::Buyer].into_iter().filter(|role| case.hears(*role)).collect(),
        trade: trade(terms),
        parting: parting::find(case, &papers),
        items: items(case, &papers),
        decided_by: decided_by(case, &money),
        notes: notes(case, &papers, &money),
        credited: papers.price.credited(),
        debts: money.debts(),
        unproven: unproven(&money),
        voucher: money.vouched(),
        misdeeds: misconduct.len() as u64,
        misconduct: misconduct.into_iter().take(MISDEEDS_MAX).collect(),
        invoiced: money.invoiced,
        acknowledged: money.acknowledged,
        due: money.due,
        receipted: money.receipted,
        admitted: money.admitted,
        unless: money.conditions,
    }
}

fn trade(terms: &Terms) -> Trade {
    let currency = &terms.currency;
    // Where a thousand cost a thousand times as much, nothing is rounded away.
    let one = terms.owed_for(1);
    let is_whole = |one: &Amount| one.checked_mul(1_000) == terms.owed_for(1_000);
    Trade {
        item: one.filter(is_whole),
        topic: terms.topic.clone(),
        quantity: terms.quantity,
        price: terms.price,
        granularity: terms.granularity,
        currency: currency.name.clone(),
        decimals: currency.decimals,
        method: currency.method,
        ledger: currency.ledger.clone(),
        asset: currency.asset.clone(),
        payee: currency.payee.clone(),
        channel: terms.escrow.map(|escrow| escrow.channel),
        base: terms.escrow.map(|escrow| escrow.base),
    }
}

/// What the seller demands beyond what the buyer acknowledged.
fn unproven(money: &Money) -> Figure {
    let (invoiced, due) = (&money.invoiced, money.due);
    Figure {
        items: invoiced.items.saturating_sub(money.acknowledged.items),
        amount: invoiced.amount.saturating_sub(due),
        by: invoiced.by.clone().filter(|_| invoiced.amount > due),
    }
}

/// The signed messages that the verdict follows from.
fn decided_by(case: &Case<'_>, money: &Money) -> Vec<Paper> {
    let mut papers = Vec::new();
    if let Some(body) = case.bodies.first() {
        let paper = |message: &SignedMessage, signed_by| Paper {
            signed_by,
            kind: message.kind,
            number: message.number,
            digest: message.digest(),
        };
        papers.extend([paper(&body.menu, Role::Seller), paper(&body.order, Role::Buyer)]);
    }
    let credits = case.of(MessageKind::Amend, Role::Seller);
    let credits = credits.filter(|one| one.message.amount_total > Amount::ZERO);
    papers.extend(credits.map(|one| one.paper.clone()));
    let figures = [&money.invoiced, &money.acknowledged, &money.receipted];
    papers.extend(figures.into_iter().filter_map(|figure| figure.by.clone()));
    papers.extend(money.best.as_ref().and_then(|best| best.paper.clone()));
    papers.extend(money.claims.iter().cloned());
    papers.sort_by_key(|paper| (paper.kind, paper.number, paper.signed_by, paper.digest));
    papers.dedup();
    papers
}

/// The items that were disclosed, each held against its invoiced root.
fn items(case: &Case<'_>, papers: &Papers<'_>) -> Vec<DisclosedItem> {
    let mut items = Vec::new();
    for proof in case.bodies.iter().flat_map(|body| &body.proofs) {
        let Some(disclosed) = &proof.disclosed else { continue };
        let item = &disclosed.item.0;
        let is_leaf = leaf(&case.terms.session, proof.seq, &disclosed.salt, item) == proof.leaf;
        let stands = under(papers, proof.invoice, proof.seq, |root, index, count| {
            let place = (proof.proof.index, proof.proof.count);
            place == (index, count) && proof.proof.verify(&proof.leaf, root)
        });
        items.push(DisclosedItem {
            seq: proof.seq,
            invoice: proof.invoice,
            text: std::str::from_utf8(item).ok().map(legible),
            digest: keccak(&[item]),
            proven: is_leaf && stands.is_some(),
        });
    }
    items
}

/// What else a reader must know.
fn notes(case: &Case<'_>, papers: &Papers<'_>, money: &Money) -> Vec<String> {
    let mut notes = money.notes.clone();
    for (role, other) in [(Role::Seller, Role::Buyer), (Role::Buyer, Role::Seller)] {
        if !case.hears(role) {
            notes.push(format!(
                "the {role} was not heard: what it may hold, and the {other} left out, is not in \
                 this verdict"
            ));
        }
    }
    if papers.wordless > 0 {
        notes.push(format!(
            "{} messages are there without their words, which were pruned or too long to keep: \
             they count as far as the frame under their signatures says",
            papers.wordless
        ));
    }
    notes.extend(disagreements(case, papers).take(MISDEEDS_MAX));
    notes
}

/// Where the two sides signed different things, and neither signed two.
fn disagreements<'p>(
    case: &'p Case<'_>,
    papers: &'p Papers<'_>,
) -> impl Iterator<Item = String> + 'p {
    papers.sound_invoices().filter_map(|invoice| {
        let number = invoice.signed.message.number;
        let acks = papers.acks.get(&invoice.to?).map_or(&[][..], Vec::as_slice);
        let is_other = |digest| invoice.digest.is_some_and(|invoiced| invoiced != digest);
        if acks.iter().take(SAME_MAX).filter_map(|ack| ack.digest).any(is_other) {
            return Some(format!(
                "the seller's invoice {number} is for other items than the buyer acknowledged up \
                 to its end: one of the two signed what is not so, and nothing here tells which"
            ));
        }
        let answers = |invoice: &InvoicePaper<'_>, total| invoice.total() == total;
        let payments = papers.payments.get(&number).map_or(&[][..], Vec::as_slice);
        let mut payments = payments.iter().take(SAME_MAX);
        let other = payments.find(|payment| !answers(invoice, payment.total()))?;
        let is_only_heard = !case.hears(Role::Buyer);
        is_only_heard.then(|| {
            let (asked, said) = (invoice.total(), other.total());
            format!("invoice {number} asks {asked} in all, the buyer's payment of it says {said}")
        })
    })
}

/// What a condition takes off a debt.
pub(super) fn sum(conditions: &[Condition]) -> Amount {
    let add = |sum: Amount, one: &Condition| {
        sum.checked_add(one.amount()).unwrap_or(Amount::new(u128::MAX))
    };
    conditions.iter().fold(Amount::ZERO, add)
}
