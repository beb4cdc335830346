//! What a party's signatures prove against it. Nothing here rests on what is missing from a bundle
//! of the other side: whoever accuses could have left it out.

use super::case::{Case, Signed};
use super::money::Money;
use super::papers::{InvoicePaper, Papers, SAME_MAX, under};
use super::strays::{self, Seen};
use super::verdict::{Misdeed, Offence, Paper};
use crate::message::{Exit, ExitLeg};
use crate::terms::Role;
use sdpp_ledger::{Amount, Digest, TxId, merkle};
use std::collections::BTreeMap;

/// All that is proven, in a fixed order.
pub(super) fn find(
    case: &Case<'_>,
    papers: &Papers<'_>,
    money: &[Money],
    strays: &[Seen<'_, '_>],
) -> Vec<Misdeed> {
    let mut found = Found { papers, misdeeds: case.misdeeds.clone() };
    found.misdeeds.extend(papers.misdeeds.iter().cloned());
    found.misdeeds.extend(money.iter().flat_map(|leg| &leg.misdeeds).cloned());
    found.invoices();
    found.leaves(case);
    money.iter().for_each(|leg| found.receipts(case, leg));
    found.acks(case);
    found.payments(case);
    found.exits();
    found.misdeeds.extend(strays::misdeeds(case, strays));
    found.misdeeds.sort();
    found.misdeeds.dedup();
    found.misdeeds
}

struct Found<'p, 'a> {
    papers: &'p Papers<'a>,
    misdeeds: Vec<Misdeed>,
}

impl Found<'_, '_> {
    fn add(&mut self, by: Role, what: Offence, why: String, proven_by: Vec<Paper>) {
        self.misdeeds.push(Misdeed { by, what, why, proven_by });
    }

    fn invoices(&mut self) {
        let papers = self.papers;
        for (number, invoices) in &papers.invoices {
            for invoice in invoices {
                if let Some(wrong) = &invoice.wrong {
                    let why = format!("invoice {number} {wrong}");
                    self.add(Role::Seller, Offence::WrongInvoice, why, vec![paper(invoice.signed)]);
                }
            }
            let differ = |one: &&InvoicePaper<'_>| one.signed.message.data_digest;
            if let Some((one, other)) = two(invoices.iter(), differ) {
                let why = format!("signed two different invoices with number {number}");
                let proven_by = vec![paper(one.signed), paper(other.signed)];
                self.add(Role::Seller, Offence::DoubleInvoice, why, proven_by);
            }
        }
        self.short_windows();
    }

    /// A window that is not full is the last. How many items fill it a pace may have changed, which
    /// whoever brings an invoice that speaks of one may have left out.
    fn short_windows(&mut self) {
        let papers = self.papers;
        let last = papers.sound_invoices().next_back();
        let short = |invoice: &&InvoicePaper<'_>| {
            let number = invoice.signed.message.number;
            let full = papers.price.window(number).map(|(_, last)| last);
            let is_short = invoice.to.zip(full).is_some_and(|(to, full)| to < full);
            let is_placed = papers.price.is_exact() || invoice.is_menus;
            is_placed && is_short && last.is_some_and(|last| last.signed.message.number > number)
        };
        if let (Some(short), Some(last)) = (papers.sound_invoices().find(short), last) {
            let (one, other) = (short.signed.message.number, last.signed.message.number);
            let why = format!("invoiced window {one} before it was full, and then window {other}");
            let proven_by = vec![paper(short.signed), paper(last.signed)];
            self.add(Role::Seller, Offence::WrongInvoice, why, proven_by);
        }
    }

    fn leaves(&mut self, case: &Case<'_>) {
        for (seq, signed) in &self.papers.leaves {
            if let Some(((_, one), (_, other))) = two(signed.iter(), |(leaf, _)| *leaf) {
                let why = format!("signed two different items as item {seq}");
                let proven_by = vec![one.clone(), other.clone()];
                self.add(Role::Seller, Offence::OtherItem, why, proven_by);
            }
        }
        let proofs = case.bodies.iter().flat_map(|body| &body.proofs);
        for proof in proofs {
            let Some(invoice) =
                under(self.papers, proof.invoice, proof.seq, |root, index, count| {
                    let place = (proof.proof.index, proof.proof.count);
                    place == (index, count) && proof.proof.verify(&proof.leaf, root)
                })
            else {
                continue;
            };
            let signed = self.papers.leaves.get(&proof.seq).into_iter().flatten().take(SAME_MAX);
            for (_, item) in signed.filter(|(leaf, _)| *leaf != proof.leaf) {
                let (number, seq) = (proof.invoice, proof.seq);
                let why = format!(
                    "item {seq}, as it was signed, is not under the root of invoice {number}"
                );
                let proven_by = vec![item.clone(), paper(invoice.signed)];
                self.add(Role::Seller, Offence::OtherItem, why, proven_by);
            }
        }
        self.whole_windows();
    }

    /// Where every item of a window was signed, they make its root.
    fn whole_windows(&mut self) {
        let papers = self.papers;
        for (number, invoice) in
            papers.invoices.iter().flat_map(|(n, all)| all.iter().take(2).map(move |i| (n, i)))
        {
            // By its own words, or where nobody can have left out another pace.
            let is_said = papers.price.is_exact() || invoice.digest.is_some();
            let (Some(first), Some(to)) = (invoice.from.filter(|_| is_said), invoice.to) else {
                continue;
            };
            let last = papers.price.window(*number).map(|(_, last)| last);
            if papers.price.is_exact() && last.is_none_or(|last| to > last) {
                continue;
            }
            let count = usize::try_from(to.saturating_sub(first).saturating_add(1)).ok();
            let signed: Vec<_> = papers.leaves.range(first..=to.max(first)).collect();
            let is_whole =
                Some(signed.len()) == count && signed.iter().all(|(_, all)| all.len() == 1);
            let leaves: Vec<Digest> =
                signed.iter().flat_map(|(_, all)| all.first()).map(|(leaf, _)| *leaf).collect();
            if is_whole && merkle::root(&leaves) != invoice.signed.message.commitment {
                let why = format!("the root of invoice {number} is not that of the items signed");
                let items = signed.iter().flat_map(|(_, all)| all.first());
                let mut proven_by: Vec<Paper> = items.map(|(_, item)| item.clone()).collect();
                proven_by.push(paper(invoice.signed));
                proven_by.sort();
                proven_by.dedup();
                self.add(Role::Seller, Offence::OtherItem, why, proven_by);
            }
        }
    }

    /// Receipts only grow, and are never for more than was paid. What the buyer never said is held
    /// against the seller only where the seller itself was heard.
    fn receipts(&mut self, case: &Case<'_>, money: &Money) {
        let papers = self.papers;
        let (receipts, said_paid) = (papers.receipts(money.leg), money.said_paid);
        let goes_back = receipts.windows(2).find(|pair| {
            let is_next = pair[0].1.message.number != pair[1].1.message.number;
            // Another leg that was left out would begin from nothing.
            let are_of_it = papers.price.is_exact()
                || pair.iter().all(|(_, signed)| papers.is_of_known_leg(signed));
            is_next && are_of_it && pair[1].0 < pair[0].0
        });
        if let Some([(before, one), (after, other)]) = goes_back {
            let why = format!("receipted {before} and later only {after}");
            let proven_by = vec![paper(one), paper(other)];
            self.add(Role::Seller, Offence::FalseReceipt, why, proven_by);
        }
        let best = receipts.iter().rev().max_by_key(|(receipt, _)| *receipt);
        if let Some((receipt, signed)) = best.filter(|(receipt, _)| *receipt > said_paid)
            && case.hears(Role::Seller)
        {
            let why = format!("receipted {receipt}, and {said_paid} was ever said to be paid");
            self.add(Role::Seller, Offence::FalseReceipt, why, vec![paper(signed)]);
        }
    }

    fn acks(&mut self, case: &Case<'_>) {
        let papers = self.papers;
        for (seq, acks) in &papers.acks {
            let known = acks.iter().filter(|ack| ack.digest.is_some());
            if let Some((one, other)) = two(known, |ack| ack.digest) {
                let why = format!("acknowledged two different things as the items up to {seq}");
                let proven_by = vec![one.paper.clone(), other.paper.clone()];
                self.add(Role::Buyer, Offence::DoubleAck, why, proven_by);
            }
            // Who brings it alone may have left out that some were lost: then more follow.
            let is_all = case.hears(Role::Buyer) || !case.resumes;
            if let Some(ack) = acks.iter().find(|ack| is_all && !ack.is_ordered) {
                let why = format!("acknowledged item {seq}, and so many were not ordered");
                self.add(Role::Buyer, Offence::WrongAck, why, vec![ack.paper.clone()]);
            }
        }
    }

    fn payments(&mut self, case: &Case<'_>) {
        let papers = self.papers;
        let mut named: BTreeMap<&TxId, (u64, &Signed<'_>)> = BTreeMap::new();
        for (number, payments) in &papers.payments {
            for payment in payments.iter().take(SAME_MAX) {
                if let Some(why) = self.is_wrong_payment(case, *number, payment.total()) {
                    self.add(Role::Buyer, Offence::WrongPayment, why, vec![paper(payment.signed)]);
                }
            }
            for payment in payments {
                let Some(tx) = &payment.tx else { continue };
                match named.get(tx) {
                    Some((other, first)) if other != number => {
                        let why = format!("named {tx} as payment of windows {other} and {number}");
                        let proven_by = vec![paper(first), paper(payment.signed)];
                        self.add(Role::Buyer, Offence::WrongPayment, why, proven_by);
                    }
                    _ => drop(named.insert(tx, (*number, payment.signed))),
                }
            }
            let kept = payments.iter().filter(|payment| payment.from.is_some());
            let two = two(payments.iter(), |payment| payment.total())
                .or_else(|| two(kept, |payment| payment.from));
            if let Some((one, other)) = two {
                let why = format!("says two different things of the payment of window {number}");
                let proven_by = vec![paper(one.signed), paper(other.signed)];
                self.add(Role::Buyer, Offence::WrongPayment, why, proven_by);
            }
        }
        self.together(case);
    }

    /// One payment pays windows of one leg, and none that another pays. That a leg is there may
    /// have been left out by whoever brings the payment; the buyer itself would not.
    fn together(&mut self, case: &Case<'_>) {
        let papers = self.papers;
        let mut before: Option<(u64, &Signed<'_>)> = None;
        for (number, payments) in &papers.payments {
            let said = payments.iter().filter_map(|payment| Some((payment.from?, payment.signed)));
            let Some((from, signed)) = said.min_by_key(|(from, _)| *from) else { continue };
            if let Some((other, first)) = before.filter(|(other, _)| from <= *other) {
                let why = format!("says of window {other} that two payments pay it");
                let proven_by = vec![paper(first), paper(signed)];
                self.add(Role::Buyer, Offence::WrongPayment, why, proven_by);
            } else if from > *number
                || (case.hears(Role::Buyer) && !papers.is_one_leg(from, *number))
            {
                let why = format!("says that windows {from} to {number} are paid by one payment");
                self.add(Role::Buyer, Offence::WrongPayment, why, vec![paper(signed)]);
            }
            before = Some((*number, signed));
        }
    }

    /// A payment answers an invoice, for what that asks. Whoever brings the payment may have left
    /// out the invoice that it answered; the buyer itself would not.
    fn is_wrong_payment(&self, case: &Case<'_>, number: u64, total: Amount) -> Option<String> {
        let invoices = self.papers.invoices.get(&number).map_or(&[][..], Vec::as_slice);
        let answers = |invoice: &InvoicePaper<'_>| invoice.total() == total;
        if !case.hears(Role::Buyer) || invoices.iter().any(answers) {
            return None;
        }
        match invoices.iter().find(|invoice| invoice.is_sound()) {
            Some(invoice) => {
                let asked = invoice.total();
                Some(format!("answered invoice {number} for {asked} in all with {total}"))
            }
            None if self.papers.price.end_of(number, total).is_some() => None,
            None => {
                Some(format!("says that {total} is paid with window {number}: no items cost that"))
            }
        }
    }

    fn exits(&mut self) {
        let papers = self.papers;
        for by in [Role::Seller, Role::Buyer] {
            let exits = papers.exits_of(by);
            if let Some((one, other)) = two(exits, |exit| exit.signed.message.data_digest) {
                let why = "signed two different exits".to_owned();
                let proven_by = vec![paper(one.signed), paper(other.signed)];
                self.add(by, Offence::WrongExit, why, proven_by);
            }
        }
        let last = papers.sound_invoices().next_back();
        for exit in papers.exits_of(Role::Seller) {
            let Some(words) = &exit.words else { continue };
            if let Some(why) = is_wrong_exit(papers, words, last) {
                let invoice = last.map(|invoice| paper(invoice.signed));
                let proven_by = [Some(paper(exit.signed)), invoice].into_iter().flatten().collect();
                self.add(Role::Seller, Offence::WrongExit, why, proven_by);
            }
        }
    }
}

/// The seller's exit is said when all it sent is invoiced. One that speaks of legs that are not in
/// evidence proves nothing, where whoever brings it may have left them out.
fn is_wrong_exit(
    papers: &Papers<'_>,
    words: &Exit,
    last: Option<&InvoicePaper<'_>>,
) -> Option<String> {
    let Exit { items, amount_total, paid_total, .. } = words;
    if !papers.knows_legs(words) || papers.price.may_follow(*items) {
        return None;
    }
    if !papers.may_ask(*items, *amount_total) {
        let why = format!("its exit names {items} items for {amount_total}, not what they cost");
        return Some(why);
    }
    if paid_total > amount_total {
        return Some(format!("its exit is a receipt for {paid_total} of {amount_total}"));
    }
    let on = papers.price.leg_place(*items);
    if let Some(why) = words.legs.iter().find_map(|leg| is_wrong_leg(papers, on, leg)) {
        return Some(why);
    }
    let last = last.filter(|invoice| invoice.leg == Some(on))?;
    let last = Some(last).filter(|invoice| invoice.total() > *amount_total)?;
    let (number, asked) = (last.signed.message.number, last.total());
    Some(format!("its exit names {amount_total} in all, its invoice {number} {asked}"))
}

/// What an exit says of an earlier leg is what its items cost.
fn is_wrong_leg(papers: &Papers<'_>, on: usize, leg: &ExitLeg) -> Option<String> {
    let ExitLeg { from_seq, amount_total, paid_total } = *leg;
    let mut legs = papers.price.legs().take(on + 1);
    let next = legs.by_ref().find(|known| known.from_seq == from_seq).and(legs.next());
    let Some(next) = next else {
        return Some(format!("its exit names a leg from item {from_seq}"));
    };
    if !papers.may_ask(next.from_seq - 1, amount_total) {
        return Some(format!(
            "its exit names {amount_total} for the leg from item {from_seq}, not what that cost"
        ));
    }
    (paid_total > amount_total)
        .then(|| format!("its exit is a receipt for {paid_total} of {amount_total}"))
}

fn paper(signed: &Signed<'_>) -> Paper {
    signed.paper.clone()
}

/// The first two that differ in something.
fn two<T, K: PartialEq>(mut all: impl Iterator<Item = T>, of: impl Fn(&T) -> K) -> Option<(T, T)> {
    let first = all.next()?;
    let key = of(&first);
    let other = all.find(|one| of(one) != key)?;
    Some((first, other))
}
