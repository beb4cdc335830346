//! Reclaiming: getting back what is left in the channels that we pay into, whatever their sellers
//! do. The table is [`super::watch`]'s; here is what is asked of it, and how far each channel is.

use super::obligation::State;
use super::query::PAGE_MAX;
use super::reader::Reader;
use super::watch::{Clock, Home, Last, Step, Watched, Wish};
use super::{JournalError, OpenChannel, damaged};
use crate::record::Act;
use crate::terms::Role;
use sdpp_ledger::{Amount, Asset, Call, ChannelId, LedgerId};

/// Somebody wishes that what is left in a channel comes back: what it is time for is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reclaim {
    /// The channel.
    pub channel: ChannelId,
    /// Why.
    pub wish: Wish,
    /// The time of its ledger's newest block, where it was asked, in milliseconds since 1970 UTC.
    pub ledger_ms: Option<u64>,
}

/// An open channel that we pay into, of whose deposit not all is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remainder {
    /// The channel.
    pub channel: ChannelId,
    /// Its ledger.
    pub ledger: LedgerId,
    /// What was deposited.
    pub asset: Asset,
    /// What was not vouched, in the asset's smallest unit: so much comes back at least. After a
    /// crash it is more where less was vouched than was allowed.
    pub left: Amount,
    /// What its ledger is known to say of it.
    pub watched: Watched,
    /// What is being done.
    pub doing: Doing,
}

/// What is being done to get back what is left in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// Nothing.
    Nothing,
    /// This step is owed, or done and its ledger has yet to tell what came of it.
    Owed(Step),
    /// It was asked to be closed, and can be withdrawn from this moment on, in milliseconds since
    /// 1970 UTC.
    Closing(u64),
    /// This step was refused, for this reason.
    Refused(Step, String),
}

impl Reader {
    /// What is left in the open channels that we pay into, by id. One that its ledger was not
    /// asked for yet is not among them.
    pub fn remainders(&self) -> Result<Vec<Remainder>, JournalError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.open_channels(after.as_ref(), PAGE_MAX)?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.channel);
            for one in page {
                found.extend(self.remainder(one)?);
            }
        }
    }

    /// The step that a wish makes owed now. `now_ms` in milliseconds since 1970 UTC.
    pub fn must_reclaim(
        &self,
        reclaim: &Reclaim,
        now_ms: u64,
    ) -> Result<Option<Step>, JournalError> {
        let Reclaim { channel, wish, ledger_ms } = reclaim;
        let Some(row) = self.watched(channel)? else { return Ok(None) };
        let last = match row.reclaiming(channel) {
            Some(reference) => self.obligation(&reference)?,
            None => None,
        };
        let clock = Clock { now_ms, ledger_ms: *ledger_ms };
        Ok(row.must_reclaim(*wish, Last::of(last.as_ref()), clock))
    }

    /// What is left in an open channel, where we pay into it.
    pub fn remainder(&self, one: OpenChannel) -> Result<Option<Remainder>, JournalError> {
        let OpenChannel { channel, watched, vouched } = one;
        let Some((ledger, asset)) = self.paid_into(&watched)? else { return Ok(None) };
        if !watched.is_seen || watched.left() == Amount::ZERO {
            return Ok(None);
        }
        let left = watched.left().min(watched.deposit.saturating_sub(vouched));
        let doing = self.doing(&channel, &watched)?;
        Ok(Some(Remainder { channel, ledger, asset, left, watched, doing }))
    }

    /// Where a channel is that we opened, and what was deposited in it; `None` for any other.
    pub fn paid_into(&self, watched: &Watched) -> Result<Option<(LedgerId, Asset)>, JournalError> {
        let (Role::Buyer, Home::Ledger(ledger), Some(opening)) =
            (watched.side, &watched.home, &watched.opening)
        else {
            return Ok(None);
        };
        let row = self.obligation(opening)?;
        let row = row.ok_or_else(|| damaged("a channel without its opening"))?;
        Ok(match row.owed.act {
            Act::Do(Call::Open(open)) => Some((ledger.clone(), open.asset)),
            _ => None,
        })
    }

    fn doing(&self, channel: &ChannelId, watched: &Watched) -> Result<Doing, JournalError> {
        let last = match watched.reclaiming(channel) {
            Some(reference) => self.obligation(&reference)?,
            None => None,
        };
        Ok(match (watched.reclaim, last.map(|row| row.state), watched.ready_ms) {
            (Some(Step::RequestClose) | None, _, Some(ready_ms)) => Doing::Closing(ready_ms),
            (Some(step), Some(State::Refused { why }), _) => Doing::Refused(step, why),
            (Some(step), ..) => Doing::Owed(step),
            (None, _, None) => Doing::Nothing,
        })
    }
}
