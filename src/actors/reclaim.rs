//! Reclaiming: looks again and again whether something is left in a channel of ours that nobody
//! needs any more, and has the journal owe the next step to get it back. It serves the journal. It
//! decides nothing: the journal's table does.
//!
//! Mailbox: actix's default; nobody writes to it.

use crate::actors::busy::{Busy, Taken};
use crate::actors::journal::{Commit, JournalActor};
use crate::actors::keeper::Keeper;
use crate::actors::{Ledgers, now_ms};
use crate::journal::watch::Wish;
use crate::journal::{Reader, Reclaim, Remainder, Write};
use actix::prelude::*;
use sdpp_ledger::{Asset, ChannelId, LedgerId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// When a channel is one that nobody needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long no session may have used it.
    pub after: Duration,
    /// What channels are kept for: those of these assets stay open until a person asks.
    pub kept: Vec<(LedgerId, Asset)>,
}

/// How often is looked.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The first time: so long a session that begins with this process has to take its channel.
    pub first: Duration,
    /// After that.
    pub every: Duration,
}

/// What it takes to reclaim.
#[derive(Clone)]
pub struct Reclaiming {
    /// Our ledgers.
    pub ledgers: Ledgers,
    /// The journal, to read.
    pub reader: Reader,
    /// The journal.
    pub journal: Addr<JournalActor>,
    /// Channels in use: those are left alone.
    pub busy: Busy,
}

/// Reclaims at intervals.
pub struct ReclaimActor {
    reclaiming: Reclaiming,
    policy: Policy,
    pace: Pace,
}

impl Reclaiming {
    /// Has owed what it is time for, of all channels that nobody needs any more. How many steps
    /// that were.
    ///
    /// # Errors
    /// Why the journal could not be read or written. A ledger that does not answer is no error:
    /// its channels wait.
    pub async fn idle(&self, policy: &Policy) -> Result<usize, String> {
        let after_ms = u64::try_from(policy.after.as_millis()).unwrap_or(u64::MAX);
        let remainders = self.reader.remainders().map_err(|error| error.to_string())?;
        let wished = remainders.into_iter().map(|one| {
            let keeps = policy.kept.contains(&(one.ledger.clone(), one.asset.clone()));
            (one, Wish::Idle { after_ms, keeps })
        });
        Ok(self.wished(wished.collect()).await?.len())
    }

    /// Has owed what it is time for, by a person's wish. Gives the channels of which that was so.
    ///
    /// # Errors
    /// As [`Reclaiming::idle`].
    pub async fn asked(&self, remainders: Vec<Remainder>) -> Result<Vec<Reclaim>, String> {
        self.wished(remainders.into_iter().map(|one| (one, Wish::Asked)).collect()).await
    }

    async fn wished(&self, wished: Vec<(Remainder, Wish)>) -> Result<Vec<Reclaim>, String> {
        let bonded = self.bonded()?;
        let wished = wished.into_iter().filter(|(one, _)| !bonded.contains(&one.channel));
        let wished: Vec<_> = wished.collect();
        let clocks = self.clocks(wished.iter().map(|(one, _)| one)).await;
        let (mut due, mut held) = (Vec::new(), Vec::new());
        for (Remainder { channel, ledger, .. }, wish) in wished {
            let Some(ledger_ms) = clocks.get(&ledger).copied() else { continue };
            let reclaim = Reclaim { channel, wish, ledger_ms };
            let step = self.reader.must_reclaim(&reclaim, now_ms());
            if step.map_err(|error| error.to_string())?.is_none() {
                continue;
            }
            // Until it is written no session may take the channel.
            if let Some(taken) = self.busy.hold(channel) {
                held.push(taken);
                due.push(reclaim);
            }
        }
        if !due.is_empty() {
            self.commit(&due, held).await?;
        }
        Ok(due)
    }

    /// The channels of bonds that we have not had back: what answers a demand is paid from there, so they are
    /// left alone too.
    ///
    /// # Errors
    /// Why the journal could not be read.
    pub fn bonded(&self) -> Result<BTreeSet<ChannelId>, String> {
        if self.ledgers.values().all(|ledger| ledger.bonds().is_none()) {
            return Ok(BTreeSet::new());
        }
        self.reader.bonded_channels().map_err(|error| error.to_string())
    }

    /// Our ledgers' clocks, by their newest blocks; asked only where a grace period runs.
    async fn clocks(
        &self,
        remainders: impl Iterator<Item = &Remainder>,
    ) -> BTreeMap<LedgerId, Option<u64>> {
        let mut clocks: BTreeMap<LedgerId, Option<u64>> = BTreeMap::new();
        for Remainder { ledger: id, watched, .. } in remainders {
            let Some(ledger) = self.ledgers.get(id) else { continue };
            let clock = clocks.entry(id.clone()).or_default();
            if clock.is_none() && watched.ready_ms.is_some() {
                // One that does not answer is looked at again.
                *clock = ledger.status().await.ok().map(|status| status.at_ms);
            }
        }
        clocks
    }

    async fn commit(&self, due: &[Reclaim], held: Vec<Taken>) -> Result<(), String> {
        for Reclaim { channel, wish, .. } in due {
            tracing::info!(%channel, ?wish, "what is left in a channel is reclaimed");
        }
        let writes = due.iter().map(|reclaim| Write::Reclaim(*reclaim)).collect();
        let committed = self.journal.send(Commit(writes)).await;
        drop(held);
        let answers = committed.map_err(|error| error.to_string())?;
        let answers = answers.map_err(|error| error.to_string())?;
        answers.into_iter().try_for_each(|one| one.map(drop)).map_err(|error| error.to_string())
    }
}

impl ReclaimActor {
    /// Starts it, and has it kept.
    pub fn start_with(keeper: &Keeper, reclaiming: Reclaiming, policy: Policy, pace: Pace) {
        keeper.keep("reclaiming", move || {
            let (reclaiming, policy) = (reclaiming.clone(), policy.clone());
            Some(Context::new().into_future(ReclaimActor { reclaiming, policy, pace }))
        });
    }

    fn turn(&mut self, ctx: &mut Context<Self>) {
        if !self.reclaiming.journal.connected() {
            // Its journal was stopped, in a process that goes on.
            return ctx.stop();
        }
        let (reclaiming, policy) = (self.reclaiming.clone(), self.policy.clone());
        let turned = async move { reclaiming.idle(&policy).await };
        ctx.spawn(turned.into_actor(self).map(|turned, actor, ctx| {
            if let Err(error) = turned {
                tracing::warn!(error, "channels that nobody needs are not reclaimed");
            }
            ctx.run_later(actor.pace.every, Self::turn);
        }));
    }
}

impl Actor for ReclaimActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(self.pace.first, Self::turn);
    }
}
