//! What both sides have signed to be void: what was invoiced of it and never heard is not owed, and
//! nothing is held against it.

use super::fold::{Fold, Window};
use super::ground::Under;
use super::proof::Found;
use crate::crypto::{running_digest, void_leaf};
use crate::terms::Void;
use sdpp_ledger::Digest;

impl Fold {
    /// From here on these places hold no item.
    pub(super) fn voided(&mut self, under: &Under, void: Void) -> Found {
        let agreed = under.agreed();
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
        let mut from_seq = void.from_seq;
        while from_seq <= void.to_seq {
            let to_seq = agreed.full_window_end(from_seq);
            let leg = agreed.leg_place(to_seq);
            let total = self.counts.of(leg).invoiced;
            let leg = u16::try_from(leg).unwrap_or(u16::MAX);
            let (items, at_ms) = (agreed.given(to_seq), self.at_ms);
            let (is_void, answered) = (true, 0);
            // Only at its end anything can be acknowledged.
            let digest = if to_seq == void.to_seq { digest } else { Digest::ZERO };
            let window = Window { to_seq, items, is_void, digest, total, leg, at_ms, answered };
            self.windows.push(window);
            from_seq = to_seq.saturating_add(1);
        }
        match (follows, answered) {
            (_, true) => Err("what is declared void was paid".to_owned()),
            (false, _) => {
                Err("what is declared void does not follow on what was invoiced".to_owned())
            }
            (true, false) => Ok(()),
        }
    }
}
