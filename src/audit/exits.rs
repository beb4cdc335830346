//! What the exits of a session say, held against what was invoiced of each leg.

use super::fold::Fold;
use super::ground::Under;
use super::proof::Found;
use crate::crypto::layout::MessageKind;
use crate::message::{Exit, ExitLeg, reread};
use crate::record::SignedMessage;
use crate::terms::{Method, Purpose, Role};
use sdpp_ledger::Amount;

impl Fold {
    pub(super) fn exit(&mut self, under: &Under, by: Role, message: &SignedMessage) -> Found {
        let terms = under.terms();
        let key = if by == Role::Seller { &terms.seller } else { &terms.buyer };
        self.signed("exit", message, MessageKind::Exit, (key, self.session))?;
        let words: Option<Exit> = match &message.data {
            Some(_) => Some(reread(message).map_err(|e| e.to_string())?),
            None => None,
        };
        let items = self.items();
        // A buyer may say it before the leg that is on has an invoice.
        let stands_in = words.as_ref().map_or(items, |words| words.items);
        let (total, leg) = (message.amount_total, under.agreed().leg_place(stands_in));
        let invoiced = self.counts.of(leg).invoiced;
        if by == Role::Buyer {
            return match total > invoiced {
                true => Err(format!("the buyer's exit names {total}, {invoiced} was invoiced")),
                false => Ok(()),
            };
        }
        if total != invoiced {
            return Err(format!("the seller's exit names {total}, {invoiced} was invoiced"));
        }
        let anchored = self.is_anchored(terms, Purpose::Exit, 0, &message.data_digest);
        self.note(anchored);
        let Some(words) = words else { return Ok(()) };
        if words.items != items {
            let said = words.items;
            return Err(format!("the seller's exit names {said} items, {items} were invoiced"));
        }
        self.receipt(under, leg, words.paid_total)?;
        for ExitLeg { from_seq, amount_total, paid_total } in words.legs {
            let place = under.agreed().legs().position(|leg| leg.from_seq == from_seq);
            let earlier = place.filter(|place| *place < leg);
            let Some(place) = earlier else {
                return Err(format!("the seller's exit names a leg from item {from_seq}"));
            };
            let invoiced = self.counts.of(place).invoiced;
            if amount_total != invoiced {
                return Err(format!(
                    "the seller's exit names {amount_total} for the leg from item {from_seq}, \
                     {invoiced} was invoiced"
                ));
            }
            self.receipt(under, place, paid_total)?;
        }
        Ok(())
    }

    /// The seller's last receipt for a leg.
    fn receipt(&mut self, under: &Under, leg: usize, receipt: Amount) -> Found {
        let method = under.agreed().legs().nth(leg).map(|leg| leg.currency.method);
        let count = self.counts.on(leg);
        // What a buyer has under vouchers is settled by the seller's receipt for them.
        if under.role == Role::Buyer && method == Some(Method::Escrow) {
            count.settled = count.settled.max(receipt);
        }
        if receipt > count.invoiced || (under.role == Role::Seller && receipt > count.settled) {
            return Err(format!(
                "the seller's exit is a receipt for {receipt}, more than was paid"
            ));
        }
        Ok(())
    }
}
