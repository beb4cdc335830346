//! The first point at which two stories part: window by window, the invoice, its payment, what the
//! ledger said of that; then the exits. Who kept a message that the other signed can prove it.

use super::bundle::Said;
use super::case::{Case, Signed};
use super::papers::Papers;
use super::verdict::Parting;
use crate::message::legible;
use crate::terms::{Purpose, Role};
use sdpp_ledger::{Amount, Digest, Reference};
use std::collections::{BTreeMap, BTreeSet};

/// Where the stories of a seller and of a buyer part first, if they do.
pub(super) fn find(case: &Case<'_>, papers: &Papers<'_>) -> Option<Parting> {
    if !(case.hears(Role::Seller) && case.hears(Role::Buyer)) {
        return None;
    }
    let ledgers = Ledgers::of(case);
    let windows: BTreeSet<u64> =
        papers.invoices.keys().chain(papers.payments.keys()).copied().collect();
    let in_window = |window: &u64| {
        invoice(papers, *window)
            .or_else(|| payment(papers, *window))
            .or_else(|| ledgers.of_payment(case, *window))
    };
    windows.iter().find_map(in_window).or_else(|| exits(papers))
}

fn invoice(papers: &Papers<'_>, window: u64) -> Option<Parting> {
    let invoices = papers.invoices.get(&window)?;
    let [seller, buyer] = by_side(invoices.iter().map(|invoice| invoice.signed));
    if seller == buyer {
        return None;
    }
    let to = invoices.iter().filter_map(|invoice| invoice.to).max();
    let answered = papers.is_answered(window);
    let acknowledged = papers.acks.keys().next_back().copied() >= to && to.is_some();
    let proven_for = match (seller.is_empty(), buyer.is_empty()) {
        // What the buyer has, the seller signed.
        (_, false) => Some(Role::Buyer),
        (false, true) => (answered || acknowledged).then_some(Role::Seller),
        (true, true) => None,
    };
    let what = |side: &BTreeSet<(Digest, Amount)>| match side.len() {
        0 => "has no such invoice".to_owned(),
        _ => {
            let totals: Vec<String> = side.iter().map(|(_, total)| total.to_string()).collect();
            format!("has one that asks {} in all", totals.join(", and another that asks "))
        }
    };
    Some(Parting {
        window: Some(window),
        about: format!("invoice {window}"),
        seller_says: what(&seller),
        buyer_says: what(&buyer),
        proven_for,
    })
}

fn payment(papers: &Papers<'_>, window: u64) -> Option<Parting> {
    let payments = papers.payments.get(&window)?;
    let [seller, buyer] = by_side(payments.iter().map(|payment| payment.signed));
    let what = |side: &BTreeSet<(Digest, Amount)>| match side.first() {
        None => "has no word of it".to_owned(),
        Some((_, total)) => format!("has the buyer's word that {total} is paid in all"),
    };
    // A payment whose fee was raised is said again, and the last word may not have arrived.
    if seller.is_empty() == buyer.is_empty() {
        return None;
    }
    let proven_for = (!seller.is_empty()).then_some(Role::Seller);
    Some(Parting {
        window: Some(window),
        about: format!("the payment of window {window}"),
        seller_says: what(&seller),
        buyer_says: what(&buyer),
        proven_for,
    })
}

fn exits(papers: &Papers<'_>) -> Option<Parting> {
    [Role::Buyer, Role::Seller].into_iter().find_map(|by| {
        let [seller, buyer] = by_side(papers.exits_of(by).map(|exit| exit.signed));
        if seller == buyer {
            return None;
        }
        let what = |side: &BTreeSet<(Digest, Amount)>| match side.first() {
            None => "has none".to_owned(),
            Some((_, total)) => format!("has one that names {total} in all"),
        };
        let theirs = if by == Role::Seller { &buyer } else { &seller };
        let other = if by == Role::Seller { Role::Buyer } else { Role::Seller };
        Some(Parting {
            window: None,
            about: format!("the {by}'s exit"),
            seller_says: what(&seller),
            buyer_says: what(&buyer),
            proven_for: (!theirs.is_empty()).then_some(other),
        })
    })
}

/// Which messages the seller's bundle has, and which the buyer's: their digests and totals.
fn by_side<'p>(signed: impl Iterator<Item = &'p Signed<'p>>) -> [BTreeSet<(Digest, Amount)>; 2] {
    let mut sides = [BTreeSet::new(), BTreeSet::new()];
    for one in signed {
        for (side, role) in sides.iter_mut().zip([Role::Seller, Role::Buyer]) {
            if one.held.has(role) {
                side.insert((one.paper.digest, one.message.amount_total));
            }
        }
    }
    sides
}

/// What each side says that ledgers said, by reference.
struct Ledgers<'a>([BTreeMap<Reference, &'a Said>; 2]);

impl<'a> Ledgers<'a> {
    fn of(case: &Case<'a>) -> Ledgers<'a> {
        let mut sides = [BTreeMap::new(), BTreeMap::new()];
        for body in &case.bodies {
            let side = if body.role == Role::Seller { &mut sides[0] } else { &mut sides[1] };
            let payments = body.ledgers.acts.iter().filter(|act| act.purpose == Purpose::Payment);
            side.extend(payments.map(|act| (act.reference, &act.said)));
        }
        Ledgers(sides)
    }

    /// One says that a payment is final, and the other that it is not.
    fn of_payment(&self, case: &Case<'_>, window: u64) -> Option<Parting> {
        let reference = case.terms.session.reference(Purpose::Payment, window);
        let [seller, buyer] = [self.0[0].get(&reference), self.0[1].get(&reference)];
        let is_final = |said: Option<&&Said>| matches!(said, Some(Said::Final { .. }));
        let is_refused = |said: Option<&&Said>| matches!(said, Some(Said::Refused { .. }));
        let part =
            (is_final(buyer) && !is_final(seller)) || (is_final(seller) && is_refused(buyer));
        let what = |said: Option<&&Said>| match said {
            Some(Said::Final { evidence, .. }) => format!("says that {} is final", evidence.tx),
            Some(Said::Refused { why }) => format!("says that it is refused: {}", legible(why)),
            Some(Said::Nothing) | None => "says nothing of it".to_owned(),
        };
        part.then(|| Parting {
            window: Some(window),
            about: format!("what the ledger says of the payment of window {window}"),
            seller_says: what(seller),
            buyer_says: what(buyer),
            // The seller's word that it was paid is against itself.
            proven_for: is_final(seller).then_some(Role::Buyer),
        })
    }
}
