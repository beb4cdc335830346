//! What the signed words come to in one leg: asked for, arrived, receipted, overcharged.

use super::papers::{InvoicePaper, Papers, PaymentPaper};
use super::verdict::Figure;
use crate::terms::{Leg, Role};
use sdpp_ledger::Amount;
use std::collections::BTreeSet;

/// A leg, and where it ends.
pub(super) struct On<'p> {
    /// Its place among all.
    pub(super) number: usize,
    pub(super) leg: &'p Leg,
    /// Its last item, where another follows.
    to_seq: u64,
    /// Where the next leg on the same channel begins on it.
    end: Option<Amount>,
}

impl<'p> On<'p> {
    pub(super) fn new(number: usize, papers: &'p Papers<'_>) -> On<'p> {
        let leg = papers.price.nth_leg(number);
        let mut later = papers.price.legs().skip(number + 1).peekable();
        let to_seq = later.peek().map_or(u64::MAX, |next| next.from_seq.saturating_sub(1));
        let channel = leg.escrow.map(|escrow| escrow.channel);
        let end = later.filter_map(|next| next.escrow).find(|next| Some(next.channel) == channel);
        On { number, leg, to_seq, end: end.map(|end| end.base) }
    }

    pub(super) fn has_window(&self, papers: &Papers<'_>, window: u64) -> bool {
        let first = papers.price.window(window).map(|(first, _)| first);
        first.is_some_and(|first| papers.price.leg_place(first) == self.number)
    }

    /// What the buyer's exits say was paid of it.
    pub(super) fn said_paid<'a>(
        &self,
        papers: &'a Papers<'_>,
    ) -> impl Iterator<Item = Amount> + use<'a, 'p> {
        let number = self.number;
        let exits = papers.exits_of(Role::Buyer);
        exits.filter_map(move |exit| Some(papers.exit_leg(exit, number)?.paid_total))
    }

    /// What of an amount on the channel is not a later leg's.
    pub(super) fn within(&self, amount: Amount) -> Amount {
        self.end.map_or(amount, |end| end.min(amount))
    }
}

/// What the seller's sound invoices of a leg come to.
pub(super) fn invoiced(on: &On<'_>, papers: &Papers<'_>) -> Figure {
    let its = papers.sound_invoices().filter(|invoice| invoice.leg == Some(on.number));
    let figure = |invoice: &InvoicePaper<'_>| Figure {
        items: invoice.to.map_or(0, |to| on.leg.given(to)),
        amount: invoice.total(),
        by: Some(invoice.signed.paper.clone()),
    };
    its.max_by_key(|invoice| invoice.total()).map(figure).unwrap_or_default()
}

/// What the buyer's signature says arrived of a leg: acks, payments, its exit. Never more than the
/// seller's own exit says that it sent.
pub(super) fn acknowledged(on: &On<'_>, papers: &Papers<'_>) -> Figure {
    let acks = papers.acks.iter().filter_map(|(seq, acks)| {
        let ack = acks.iter().find(|ack| ack.is_ordered)?;
        Some((*seq, ack.paper.clone()))
    });
    let exits = papers.exits_of(Role::Buyer).filter_map(|exit| {
        let items = exit.words.as_ref()?.items;
        papers.price.owed(items).map(|_| (items, exit.signed.paper.clone()))
    });
    let Some((items, by)) = exits.chain(acks).max_by_key(|(items, _)| *items) else {
        return Figure::default();
    };
    let sent = papers.exits_of(Role::Seller).filter_map(|exit| Some(exit.words.as_ref()?.items));
    let to_seq = sent.max().map_or(items, |sent| sent.min(items)).min(on.to_seq);
    let amount = on.leg.price_of(to_seq).unwrap_or_default();
    let items = on.leg.given(to_seq);
    Figure { items, amount, by: (items > 0).then_some(by) }
}

/// The largest receipt that the seller signed for a leg; of those that say the same, the first.
pub(super) fn receipted(on: &On<'_>, papers: &Papers<'_>) -> Figure {
    let mut best = Figure::default();
    for (amount, signed) in papers.receipts(on.number) {
        if amount > best.amount {
            best = Figure { items: 0, amount, by: Some(signed.paper.clone()) };
        }
    }
    best
}

/// What the seller asked for beyond the price of a leg, and the buyer answered.
pub(super) fn overcharged(on: &On<'_>, papers: &Papers<'_>) -> Amount {
    let mut most = Amount::ZERO;
    for (number, payments) in &papers.payments {
        let paid: BTreeSet<Amount> = payments.iter().map(PaymentPaper::total).collect();
        let invoices = papers.invoices.get(number).map_or(&[][..], Vec::as_slice);
        let its = invoices.iter().filter(|invoice| invoice.leg == Some(on.number));
        for invoice in its.filter(|invoice| paid.contains(&invoice.total())) {
            let price = invoice.to.and_then(|to| papers.price.owed(to));
            most = price.map_or(most, |price| most.max(invoice.total().saturating_sub(price)));
        }
    }
    most
}
