//! What both sides have signed to be void: what was invoiced of it and never heard is not owed, and
//! nothing is held against it.

use super::fold::{Fold, Window};
use super::proof::Found;
use crate::crypto::{running_digest, void_leaf};
use crate::terms::{Agreed, Void};

impl Fold {
    /// From here on these places hold no item.
    pub(super) fn voided(&mut self, agreed: &Agreed, void: Void) -> Found {
        let is_before = |window: &Window| window.to_seq < void.from_seq;
        let kept = self.windows.partition_point(is_before);
        let answered = self.windows.drain(kept..).any(|window| window.answered != 0);
        self.early.retain(|ack| !void.has(ack.seq));
        self.late.retain(|(seq, _)| !void.has(*seq));
        let before = self.windows.last().map_or(self.session.0, |window| window.digest);
        let follows = self.items().saturating_add(1) == void.from_seq;
        let digest = running_digest(&before, &void_leaf(&self.session, void));
        for place in 0..agreed.legs().count() {
            let of_it = |window: &&Window| usize::from(window.leg) == place;
            let total = self.windows.iter().rev().find(of_it).map(|window| window.total);
            self.counts.on(place).invoiced = total.unwrap_or_default();
        }
        let [first, last] = [void.from_seq, void.to_seq].map(|seq| agreed.window_of(seq));
        let number = self.numbers().saturating_add(last - first + 1);
        let leg = agreed.leg_place(void.to_seq);
        // One for all of them: a void may have very many, and only at its end anything can be acknowledged.
        self.windows.push(Window {
            number,
            to_seq: void.to_seq,
            items: agreed.given(void.to_seq),
            is_void: true,
            is_recomputed: false,
            is_unrated: false,
            digest,
            total: self.counts.of(leg).invoiced,
            leg: u16::try_from(leg).unwrap_or(u16::MAX),
            at_ms: self.at_ms,
            answered: 0,
        });
        match (follows, answered) {
            (_, true) => Err("what is declared void was paid".to_owned()),
            (false, _) => {
                Err("what is declared void does not follow on what was invoiced".to_owned())
            }
            (true, false) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{Currency, Method, Rate, SessionId, Terms};
    use sdpp_ledger::{Amount, Asset, Key};

    /// One item to a window, as many as there are.
    fn terms() -> Terms {
        let key = Key::from_bytes(&[1; 32]).unwrap().public();
        let currency = Currency {
            name: "SDP".to_owned(),
            symbol: "SDP".to_owned(),
            decimals: 6,
            ledger: "sdpp:story".parse().unwrap(),
            asset: Asset::coin(),
            method: Method::Transfer,
            payee: key.account(),
            rate: Rate::ONE,
        };
        Terms {
            session: SessionId::NONE,
            seller: key,
            buyer: key,
            topic: "gas".to_owned(),
            quantity: None,
            price: Amount::new(5),
            currency,
            granularity: 1,
            credit_windows: 1_000_000,
            signed_items: true,
            escrow: None,
            bond: None,
            records: None,
            dataset: None,
        }
    }

    #[test]
    fn a_void_of_very_many_windows_is_kept_as_one() {
        let (terms, void) = (terms(), Void { from_seq: 1, to_seq: 1_000_000 });
        let mut agreed = Agreed::new(&terms);
        agreed.void(void).unwrap();
        let mut fold = Fold::new(terms.session, terms.seller, 0);
        assert_eq!(fold.voided(&agreed, void), Ok(()));
        assert_eq!(fold.windows.len(), 1);
        assert_eq!((fold.items(), fold.numbers()), (1_000_000, 1_000_000));
        assert!(fold.pays(7, 8).is_err(), "nothing is owed for its windows");
    }
}
