//! Vouchers that a ledger refuses: tried again for a while, and no longer counted as redeemed when
//! that is over, so that whatever asks for the money next owes it anew.

use super::{Fault, Stage};
use crate::journal::damaged;
use crate::journal::obligation::{Event, Illegal, Obligation, State, redeem_in};
use crate::journal::outbox;
use crate::journal::tree::Tree;
use crate::journal::watch::Watched;
use crate::record::Owed;
use crate::terms::Role;
use sdpp_ledger::{Amount, ChannelId, Reference};

impl Stage<'_> {
    /// A ledger refused something that nothing was signed for.
    pub(super) fn unsigned(&mut self, reference: &Reference, why: &str) -> Result<(), Fault> {
        let row = self.obligation(reference)?;
        match row.state {
            State::Open { .. } => self.refused(reference, why, false),
            state => Err(Illegal::new(&state, &Event::Refused { why: why.to_owned() }).into()),
        }
    }

    /// A ledger refused something: for good, or until it is tried again.
    pub(super) fn refused(
        &mut self,
        reference: &Reference,
        why: &str,
        is_final: bool,
    ) -> Result<(), Fault> {
        let row = self.obligation(reference)?;
        let redeem = redeem_in(&row.owed).map(|(redeem, _)| redeem.channel);
        let again = |refusals| redeem.and_then(|_| outbox::again_after_ms(why, refusals, is_final));
        let wait_ms = match (again(row.refusals), redeem) {
            // Its payer may withdraw soon, and nobody asks for the money again before that.
            (None, Some(channel)) if !is_final && self.is_threatened(&channel)? => {
                again(0).map(|_| outbox::THREATENED_AGAIN_MS)
            }
            (wait_ms, _) => wait_ms,
        };
        let Some(wait_ms) = wait_ms else {
            let why = why.to_owned();
            return self.obligation_event(reference, Event::Refused { why }, None);
        };
        self.obligation_event(reference, Event::Deferred, None)?;
        let old = self.obligation(reference)?;
        let due_ms = self.now_ms.saturating_add(wait_ms);
        let refusals = row.refusals.saturating_add(1);
        let row = Obligation { due_ms, refusals, ..old.clone() };
        self.put_obligation(Some(&old), &row)
    }

    fn is_threatened(&mut self, channel: &ChannelId) -> Result<bool, Fault> {
        let row = self.watched(channel)?;
        Ok(row.is_some_and(|row| row.ready_ms.is_some() && !row.is_over))
    }

    /// What its channel has redeemed, after something owed was refused for good or is tried again
    /// by a person: as much as the largest voucher that is redeemed or still owed to be.
    pub(super) fn count_redeems(&mut self, owed: &Owed) -> Result<(), Fault> {
        let Some((redeem, _)) = redeem_in(owed) else { return Ok(()) };
        let channel = redeem.channel;
        let Some(row) = self.watched(&channel)?.filter(|row| row.side == Role::Seller) else {
            return Ok(());
        };
        let (mut redeemed, mut is_left) = (Amount::ZERO, false);
        for (_, value) in self.scan(Tree::Redeems, &channel.0)? {
            let ([amount @ .., is_close], 17) = (&value[..], value.len()) else {
                return Err(damaged("a row of what is redeemed").into());
            };
            let units = amount.iter().fold(0, |sum, byte| (sum << 8) | u128::from(*byte));
            redeemed = redeemed.max(Amount::new(units));
            is_left |= *is_close == 1;
        }
        self.put_watched(&channel, &Watched { redeemed, is_left, ..row })
    }
}
