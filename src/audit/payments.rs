//! A session's money line by line, as it is entered into books: each payment and each payout of
//! its channel once, and what is vouched and not paid out yet.

use super::statement::{LegStatement, Payout, Settlement, Statement};
use crate::terms::{Method, Rate};
use sdpp_ledger::{Amount, Reference, TxId};

/// Money for one session. All lines of a leg that are final or vouched make what was paid of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The place of its leg among the session's.
    pub leg: usize,
    /// When it was final or else invoiced, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// How many items it pays for.
    pub items: u64,
    /// How much, in the currency's smallest unit.
    pub amount: Amount,
    /// Our fee, in the smallest unit of the ledger's own coin; `None` where we paid none, or none
    /// is known yet.
    pub fee: Option<Amount>,
    /// The transaction, once one is final.
    pub tx: Option<TxId>,
    /// How far it is.
    pub progress: Progress,
    /// What it carries, where that is known.
    pub reference: Option<Reference>,
}

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Final on its ledger.
    Final,
    /// On its way.
    Pending,
    /// It will never happen as asked.
    Refused,
    /// Under a voucher that was not redeemed yet.
    Vouched,
}

impl Progress {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Progress::Final => "final",
            Progress::Pending => "pending",
            Progress::Refused => "refused",
            Progress::Vouched => "vouched",
        }
    }
}

impl Statement {
    /// Its money, leg by leg, line by line.
    pub fn payments(&self) -> Vec<Payment> {
        let of_leg = |(place, leg): (usize, &LegStatement)| self.payments_of(place, leg);
        self.legs().enumerate().flat_map(of_leg).collect()
    }

    fn payments_of(&self, place: usize, leg: &LegStatement) -> Vec<Payment> {
        let its = self.settlements.iter().filter(|line| usize::from(line.leg) == place);
        match leg.method {
            Method::Transfer => its.map(transfer).collect(),
            Method::Escrow => {
                let of_payout = |payout| leg.payout(place, payout);
                let mut lines: Vec<Payment> = leg.payouts.iter().map(of_payout).collect();
                let redeems: Vec<&Settlement> = its.filter(|line| line.is_by_voucher).collect();
                lines.extend(leg.vouched(place, &redeems, self.began_ms));
                lines
            }
        }
    }
}

impl LegStatement {
    fn payout(&self, leg: usize, payout: &Payout) -> Payment {
        let Payout { at_ms, tx, reference, before, after, fee } = payout.clone();
        Payment {
            leg,
            at_ms,
            items: self.items_between(before, after),
            amount: after.saturating_sub(before),
            fee,
            tx: Some(tx),
            progress: Progress::Final,
            reference,
        }
    }

    /// What is vouched and neither paid out nor lost.
    fn vouched(&self, leg: usize, redeems: &[&Settlement], began_ms: u64) -> Option<Payment> {
        let before = self.payouts.last().map_or(Amount::ZERO, |payout| payout.after);
        let after = self.paid.max(before);
        let is_open = |line: &&&Settlement| line.evidence.is_none() && line.refused.is_none();
        let redeem = redeems.iter().find(is_open);
        // Of a channel that is over, nothing more comes.
        let is_left = after > before && (redeem.is_some() || self.settled >= after);
        is_left.then(|| Payment {
            leg,
            at_ms: self.invoices.last().map_or(began_ms, |invoiced| invoiced.at_ms),
            items: self.items_between(before, after),
            amount: after.saturating_sub(before),
            fee: None,
            tx: None,
            progress: if redeem.is_some() { Progress::Pending } else { Progress::Vouched },
            reference: redeem.map(|line| line.reference),
        })
    }

    fn items_between(&self, before: Amount, after: Amount) -> u64 {
        let most = self.items_acked.max(self.items_delivered);
        let for_amount = |amount| items_for(amount, self.price, self.rate).min(most);
        for_amount(after).saturating_sub(for_amount(before))
    }
}

fn transfer(line: &Settlement) -> Payment {
    let told = line.evidence.as_ref();
    Payment {
        leg: line.leg.into(),
        at_ms: line.at_ms,
        items: line.items,
        amount: told.map_or(line.amount, |told| told.amount),
        fee: told.and_then(|told| told.fee),
        tx: told.map(|told| told.tx.clone()),
        progress: match (told, &line.refused) {
            (Some(_), _) => Progress::Final,
            (None, Some(_)) => Progress::Refused,
            (None, None) => Progress::Pending,
        },
        reference: Some(line.reference),
    }
}

/// How many items so much pays for: the most that cost no more. What an item costs is rounded down
/// from the total, so an amount is enough for all that cost less than one unit more.
fn items_for(amount: Amount, price: Amount, rate: Rate) -> u64 {
    let per_item = price.checked_mul(rate.numerator.units());
    let more = amount.checked_add(Amount::new(1));
    let scaled = more.and_then(|more| more.checked_mul(rate.denominator.units()));
    match (scaled, per_item) {
        (Some(scaled), Some(per_item)) if per_item > Amount::ZERO => {
            let most = scaled.units().div_ceil(per_item.units()).saturating_sub(1);
            u64::try_from(most).unwrap_or(u64::MAX)
        }
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_pays_for_the_most_items_that_cost_no_more() {
        let rate = |numerator, denominator| Rate {
            numerator: Amount::new(numerator),
            denominator: Amount::new(denominator),
        };
        let (one, third) = (Rate::ONE, rate(1, 3));
        let items = |amount, rate| items_for(Amount::new(amount), Amount::new(3), rate);
        assert_eq!([items(0, one), items(3, one), items(8, one), items(9, one)], [0, 1, 2, 3]);
        assert_eq!([items(0, third), items(1, third), items(5, third)], [0, 1, 5]);
        assert_eq!(items(1, rate(10, 7)), 0, "an item costs 4 and two sevenths");
        assert_eq!(items(4, rate(10, 7)), 1);
        assert_eq!(items(u128::MAX, one), u64::MAX);
    }
}
