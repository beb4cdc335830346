//! The judge: from what was signed to who owes whom.

use super::bundle::{Body, Bundle};
use super::case::{Case, JudgeError, Keys};
use super::misconduct;
use super::money::Money;
use super::papers::{InvoicePaper, Papers, SAME_MAX, under};
use super::parting;
use super::strays;
use super::verdict::{
    Condition, DisclosedItem, Figure, LegVerdict, MISDEEDS_MAX, Paper, Party, Pay, Trade, Verdict,
};
use crate::crypto::leaf;
use crate::message::legible;
use crate::record::SignedMessage;
use crate::terms::{Leg, Role};
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
    let strays = strays::look(case);
    let misconduct = misconduct::find(case, &papers, &money, &strays);
    let mut notes = notes(case, &papers, &money);
    notes.extend(strays::notes(case, &strays));
    let decided_by = decided_by(case, &papers, &money);
    let terms = &case.terms;
    let party = |key, given: bool| Party { key, identity_proven: given };
    let legs: Vec<LegVerdict> = money.into_iter().map(|leg| leg_verdict(&papers, leg)).collect();
    let debts = legs.iter().flat_map(|leg| &leg.debts).cloned().collect();
    let unless = legs.iter().flat_map(|leg| &leg.unless).cloned().collect();
    // There is always the leg that was ordered.
    let last = legs.last().cloned().unwrap_or_else(|| leg_verdict(&papers, Money::default()));
    Verdict {
        session: terms.session,
        seller: party(terms.seller, keys.seller.is_some()),
        buyer: party(terms.buyer, keys.buyer.is_some()),
        heard: [Role::Seller, Role::Buyer].into_iter().filter(|role| case.hears(*role)).collect(),
        trade: Trade {
            topic: terms.topic.clone(),
            quantity: terms.quantity,
            granularity: terms.granularity,
            pay: last.pay,
        },
        parting: parting::find(case, &papers),
        items: items(case, &papers),
        decided_by,
        notes,
        credited: last.credited,
        debts,
        unproven: last.unproven,
        voucher: last.voucher,
        misdeeds: misconduct.len() as u64,
        misconduct: misconduct.into_iter().take(MISDEEDS_MAX).collect(),
        invoiced: last.invoiced,
        acknowledged: last.acknowledged,
        due: last.due,
        receipted: last.receipted,
        admitted: last.admitted,
        unless,
        legs,
    }
}

fn leg_verdict(papers: &Papers<'_>, money: Money) -> LegVerdict {
    let leg = papers.price.nth_leg(money.leg);
    LegVerdict {
        from_seq: leg.from_seq,
        pay: pay(leg),
        credited: papers.price.credited(money.leg),
        debts: money.debts(leg),
        unproven: unproven(&money),
        voucher: money.vouched(),
        invoiced: money.invoiced,
        acknowledged: money.acknowledged,
        due: money.due,
        receipted: money.receipted,
        admitted: money.admitted,
        unless: money.conditions,
    }
}

fn pay(leg: &Leg) -> Pay {
    let (currency, rate) = (&leg.currency, leg.currency.rate);
    // Where the price is a whole number of units nothing is rounded away.
    let scaled = leg.price.checked_mul(rate.numerator.units()).map(Amount::units);
    let by = rate.denominator.units();
    let is_whole = |scaled: &u128| scaled.checked_rem(by) == Some(0);
    let item = scaled.filter(is_whole).and_then(|scaled| scaled.checked_div(by));
    Pay {
        price: leg.price,
        rate,
        item: item.map(Amount::new),
        currency: currency.name.clone(),
        decimals: currency.decimals,
        method: currency.method,
        ledger: currency.ledger.clone(),
        asset: currency.asset.clone(),
        payee: currency.payee.clone(),
        channel: leg.escrow.map(|escrow| escrow.channel),
        base: leg.escrow.map(|escrow| escrow.base),
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
fn decided_by(case: &Case<'_>, read: &Papers<'_>, money: &[Money]) -> Vec<Paper> {
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
    papers.extend(read.price.papers().iter().cloned());
    for leg in money {
        let figures = [&leg.invoiced, &leg.acknowledged, &leg.receipted];
        papers.extend(figures.into_iter().filter_map(|figure| figure.by.clone()));
        papers.extend(leg.best.as_ref().and_then(|best| best.paper.clone()));
        papers.extend(leg.claims.iter().cloned());
    }
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
fn notes(case: &Case<'_>, papers: &Papers<'_>, money: &[Money]) -> Vec<String> {
    let mut notes: Vec<String> = money.iter().flat_map(|leg| &leg.notes).cloned().collect();
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
    notes.extend(papers.of_unknown_legs().take(MISDEEDS_MAX));
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
