//! What a journal says of the channels that are watched: which there are, and what is to be asked of a
//! ledger about them.

use super::{Life, WATCHED_MAX, Watched};
use crate::journal::obligation::State;
use crate::journal::query::PAGE_MAX;
use crate::journal::reader::Reader;
use crate::journal::tree::Tree;
use crate::journal::{Channel, JournalError, damaged, keys};
use crate::terms::Role;
use sdpp_ledger::{Amount, ChannelId, Domain, LedgerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is to be asked of one ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Channels that it was not asked for yet.
    pub new: Vec<ChannelId>,
    /// Channels that are open as far as we know.
    pub known: Vec<ChannelId>,
    /// The height to read next, where one was written.
    pub cursor: Option<u64>,
}

/// An open channel, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenChannel {
    /// The channel.
    pub channel: ChannelId,
    /// What its ledger is known to say of it.
    #[serde(flatten)]
    pub watched: Watched,
    /// What was vouched on it: the best voucher (seller), or the most that may be (buyer).
    pub vouched: Amount,
}

impl Reader {
    /// What its ledger is known to say of a channel that we have, or had, part in.
    pub fn watched(&self, channel: &ChannelId) -> Result<Option<Watched>, JournalError> {
        self.row(Tree::Watched, &channel.0)
    }

    /// Up to `limit` channels that are open, after channel `after`, by id.
    pub fn open_channels(
        &self,
        after: Option<&ChannelId>,
        limit: usize,
    ) -> Result<Vec<OpenChannel>, JournalError> {
        let after = after.map(|channel| &channel.0[..]);
        let index = self.page(Tree::Watching, &[], after, limit)?;
        let rows = index.into_iter().map(|(key, _)| {
            let channel = ChannelId(key.try_into().map_err(|_| damaged("a watched channel"))?);
            let watched = self.watched(&channel)?;
            let watched = watched.ok_or_else(|| damaged("an index row without its channel"))?;
            let facts = self.channel(&channel)?.unwrap_or_default();
            let vouched = vouched(watched.side, &facts);
            Ok(OpenChannel { channel, watched, vouched })
        });
        rows.collect()
    }

    /// What is to be asked of a ledger whose escrow has this domain: of the channels that serve a
    /// session just now first, then of all others that are open. Reads all open channels.
    pub fn watch_plan(
        &self,
        ledger: &LedgerId,
        domain: &Domain,
        serving: &[ChannelId],
    ) -> Result<Plan, JournalError> {
        let mut plan = Plan { cursor: self.watch_cursor(ledger)?, ..Plan::default() };
        let first: BTreeSet<&ChannelId> = serving.iter().collect();
        for channel in serving {
            let row = self.watched(channel)?.filter(|row| row.life() != Life::Over);
            if let Some(watched) = row.filter(|row| row.is_on(ledger, domain)) {
                self.plan_one(&mut plan, *channel, &watched)?;
            }
        }
        let mut after = None;
        loop {
            let page = self.open_channels(after.as_ref(), PAGE_MAX)?;
            let Some(last) = page.last() else { return Ok(plan) };
            after = Some(last.channel);
            for OpenChannel { channel, watched, .. } in page {
                if plan.new.len() + plan.known.len() >= WATCHED_MAX {
                    return Ok(plan);
                }
                if watched.is_on(ledger, domain) && !first.contains(&channel) {
                    self.plan_one(&mut plan, channel, &watched)?;
                }
            }
        }
    }

    fn plan_one(
        &self,
        plan: &mut Plan,
        channel: ChannelId,
        watched: &Watched,
    ) -> Result<(), JournalError> {
        if !watched.is_seen {
            if !self.never_opens(watched)? {
                plan.new.push(channel);
            }
            return Ok(());
        }
        plan.known.push(channel);
        Ok(())
    }

    /// The ledger refused to open it, unless a person has that tried again.
    fn never_opens(&self, watched: &Watched) -> Result<bool, JournalError> {
        let Some(opening) = &watched.opening else { return Ok(false) };
        let row = self.obligation(opening)?;
        Ok(row.is_some_and(|row| matches!(row.state, State::Refused { .. })))
    }

    fn watch_cursor(&self, ledger: &LedgerId) -> Result<Option<u64>, JournalError> {
        self.row(Tree::Meta, &keys::cursor(ledger))
    }
}

fn vouched(side: Role, facts: &Channel) -> Amount {
    match side {
        Role::Seller => facts.voucher.map_or(Amount::ZERO, |(best, _)| best),
        Role::Buyer => facts.ceiling.unwrap_or_default(),
    }
}
