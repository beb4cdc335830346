//! Unjust claims: channels of ours that paid out more than was ever vouched on them. A ledger that
//! checks signatures lets no seller do that, so either it does not, or a key of ours is in other
//! hands, or this journal is older than the truth. Whichever it is, its owner must know.

use super::reader::Reader;
use super::tree::Tree;
use super::watch::{Home, Watched};
use super::{JournalError, PAGE_MAX, damaged, keys};
use crate::terms::Role;
use sdpp_ledger::{Amount, ChannelId, LedgerId};

/// A channel that we pay into, and that paid out too much. Amounts are in its asset's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjust {
    /// The channel.
    pub channel: ChannelId,
    /// Its ledger.
    pub ledger: LedgerId,
    /// What its seller has had in all, by its ledger.
    pub settled: Amount,
    /// The most that was vouched on it, or was allowed to be.
    pub vouched: Amount,
}

impl Watched {
    /// Whether its seller has had more than we ever vouched.
    pub(super) fn is_unjust(&self, vouched: Amount) -> bool {
        self.side == Role::Buyer && self.settled > vouched
    }
}

impl Reader {
    /// The channels of ours that paid out more than was vouched, open or not, by id. What explains
    /// one, as a voucher that a restored journal had forgotten, takes it off.
    pub fn unjust(&self) -> Result<Vec<Unjust>, JournalError> {
        let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let page = self.page(Tree::Meta, keys::UNJUST, after.as_deref(), PAGE_MAX)?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            after = Some(last.clone());
            for (key, _) in &page {
                let channel = key.last_chunk().ok_or_else(|| damaged("an unjust claim"))?;
                found.extend(self.unjust_in(ChannelId(*channel))?);
            }
        }
    }

    fn unjust_in(&self, channel: ChannelId) -> Result<Option<Unjust>, JournalError> {
        let Some(row) = self.watched(&channel)? else { return Ok(None) };
        let vouched = self.channel(&channel)?.and_then(|facts| facts.ceiling).unwrap_or_default();
        let (is_unjust, settled) = (row.is_unjust(vouched), row.settled);
        Ok(match row.home {
            Home::Ledger(ledger) if is_unjust => Some(Unjust { channel, ledger, settled, vouched }),
            // What we pay into we opened on a ledger that we know.
            Home::Ledger(_) | Home::Domain(_) => None,
        })
    }
}
