//! A session's statement, as far as its own messages make it: what was asked for and what arrived, leg
//! by leg. What was paid of it is known when all entries are read.

use super::fold::{Fold, Window};
use super::ground::Under;
use super::statement::{Invoiced, LegStatement, Statement};
use crate::message::Paced;
use crate::terms::Leg;
use sdpp_ledger::Amount;

impl Fold {
    /// The statement without what was paid and what is owed to ledgers.
    pub(super) fn drafted(&self, under: Under) -> Statement {
        let Under { role, agreement, .. } = under;
        let paces: Vec<Paced> = agreement.paces().to_vec();
        let agreed = agreement.agreed();
        let (voids, given) = (agreed.voids().to_vec(), |seq| agreed.given(seq));
        let (items_delivered, items_acked) = (given(self.items()), given(self.acked));
        let (terms, over, on) = agreement.into_agreed().into_legs();
        let place = over.len();
        let ends: Vec<u64> = over.iter().map(|leg| leg.from_seq).chain([on.from_seq]).collect();
        let earlier = over.into_iter().zip(ends.into_iter().skip(1)).enumerate();
        let earlier = earlier.map(|(place, (leg, next))| self.leg(place, leg, Some(next)));
        let earlier = earlier.collect();
        let last = self.leg(place, on, None);
        let windows =
            |is: fn(&Window) -> bool| self.windows.iter().filter(|one| is(one)).count() as u64;
        Statement {
            session: self.session,
            began_ms: self.began_ms,
            last_ms: self.at_ms,
            role,
            seller: terms.seller,
            buyer: terms.buyer,
            topic: terms.topic,
            records: terms.records,
            granularity: terms.granularity,
            paces,
            voids,
            dataset: terms.dataset.map(|dataset| dataset.root),
            strays: self.strays.iter().map(|(stray, _)| stray.seq).collect(),
            items_delivered,
            items_acked,
            windows: windows(|window| !window.is_void),
            windows_recomputed: windows(|window| window.is_recomputed),
            unrated: windows(|window| window.is_unrated),
            earlier,
            last,
            state: self.state,
            pruned: self.pruned,
            settlements: Vec::new(),
            anchors: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// A leg, up to the item before the next.
    fn leg(&self, place: usize, leg: Leg, next_from: Option<u64>) -> LegStatement {
        let most = next_from.map_or(u64::MAX, |next| next.saturating_sub(1));
        let invoices = self.invoices(place);
        let invoiced = self.counts.of(place).invoiced;
        let (to_seq, acked) = (self.items().min(most), self.acked.min(most));
        let netted = leg.netted_by(to_seq).unwrap_or_default();
        LegStatement {
            from_seq: leg.from_seq,
            items_delivered: leg.given(to_seq),
            items_acked: leg.given(acked),
            acked_amount: leg.owed_for(acked).unwrap_or(invoiced),
            invoices,
            invoiced,
            credited: leg.credited(),
            credit_left: leg.credited().saturating_sub(netted),
            paid: Amount::ZERO,
            settled: Amount::ZERO,
            outstanding: Amount::ZERO,
            payouts: Vec::new(),
            price: leg.price,
            rate: leg.currency.rate,
            currency: leg.currency.name,
            decimals: leg.currency.decimals,
            method: leg.currency.method,
            ledger: leg.currency.ledger,
            asset: leg.currency.asset,
            payee: leg.currency.payee,
            escrow: leg.escrow.filter(|_| self.has_begun),
        }
    }

    /// What of a leg was invoiced when.
    fn invoices(&self, place: usize) -> Vec<Invoiced> {
        let mut before: Option<&Window> = None;
        let mut invoices = Vec::new();
        for window in &self.windows {
            let items_before = before.map_or(0, |before| before.items);
            let total = before.filter(|before| before.leg == window.leg).map(|before| before.total);
            before = Some(window);
            if usize::from(window.leg) == place && !window.is_void {
                let items = window.items.saturating_sub(items_before);
                let amount = window.total.saturating_sub(total.unwrap_or_default());
                invoices.push(Invoiced { at_ms: window.at_ms, items, amount });
            }
        }
        invoices.shrink_to_fit();
        invoices
    }
}
