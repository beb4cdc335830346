//! A crowd of producers before a gateway that is slower than they are. Each owes a record for each
//! window through one outbox and journal, as sessions do, and waits for its credit as they do.

use super::clients::{Clients, IN_FLIGHT, opened};
use super::records::anchor;
use crate::actors::journal::JournalActor;
use crate::actors::random_key;
use crate::cli::bench::setting::memory;
use crate::cli::bench::work::{failed, joined, met, open, owe, reference, watched};
use crate::cli::exit::Outcome;
use crate::cli::fabric::FABRIC;
use crate::cli::running::Running;
use actix::prelude::*;
use sdpp_ledger::LedgerId;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// How many times faster they produce than the gateway takes it.
const FASTER: f64 = 5.0;

/// Who they are.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// How many.
    pub(super) producers: usize,
    /// How many windows each produces.
    pub(super) windows: usize,
    /// How many of these may be open.
    pub(super) credit: usize,
}

/// What one run measured.
#[derive(Serialize)]
pub(super) struct Crowd {
    /// How many they wanted to produce in a second, all together.
    wanted_per_s: f64,
    /// How many the gateway took.
    pub(super) records_per_s: f64,
    /// The most that was owed and not met.
    pub(super) open_at_most: usize,
    /// The most of that which was on its way.
    pub(super) on_way_at_most: usize,
    /// When the first record of the crowd was owed.
    pub(super) mib_before: f64,
    /// When the last was met.
    pub(super) mib_after: f64,
    mib_at_most: f64,
}

impl Crowd {
    /// Has them produce; `ms_for_one` is what the gateway takes for one record.
    pub(super) async fn measure(
        clients: &Clients<'_>,
        rule: Rule,
        ms_for_one: f64,
    ) -> Outcome<Crowd> {
        let config = clients.config().await?;
        let ledger = opened(&config).await?;
        ledger.open_account().await?;
        let key = random_key().map_err(failed)?;
        let side = Running::start(&config, key, &[(FABRIC, &ledger)])?;
        let wanted_per_s = FASTER * IN_FLIGHT as f64 * 1_000.0 / ms_for_one.max(1.0);
        let every = Duration::from_secs_f64(rule.producers as f64 / wanted_per_s);
        let mut producers = JoinSet::new();
        let (began, mib_before) = (Instant::now(), resident());
        for _ in 0..rule.producers {
            let (journal, id) = (side.journal.clone(), ledger.ledger().id().clone());
            producers.spawn(produce(journal, id, rule, every));
        }
        let mut crowd = Crowd {
            wanted_per_s,
            records_per_s: 0.0,
            open_at_most: 0,
            on_way_at_most: 0,
            mib_before,
            mib_after: mib_before,
            mib_at_most: mib_before,
        };
        watched(producers, || crowd.look(&side, ledger.ledger().id())).await?;
        let records = rule.producers * rule.windows;
        crowd.records_per_s = records as f64 / began.elapsed().as_secs_f64();
        crowd.mib_after = resident();
        side.stop();
        Ok(crowd)
    }

    fn look(&mut self, side: &Running, ledger: &LedgerId) -> Outcome {
        let [open, on_way] = open(side, ledger)?;
        self.open_at_most = self.open_at_most.max(open);
        self.on_way_at_most = self.on_way_at_most.max(on_way);
        self.mib_at_most = self.mib_at_most.max(resident());
        Ok(())
    }
}

/// One producer: a window at a time, as fast as it may, and never more open than its credit.
async fn produce(
    journal: Addr<JournalActor>,
    ledger: LedgerId,
    rule: Rule,
    every: Duration,
) -> Outcome {
    let credit = Arc::new(Semaphore::new(rule.credit));
    let mut ticks = interval(every);
    // Who had to wait does not catch up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open = JoinSet::new();
    for _ in 0..rule.windows {
        ticks.tick().await;
        let window = credit.clone().acquire_owned().await.map_err(failed)?;
        let reference = reference()?;
        owe(&journal, &ledger, reference, anchor(reference)?).await?;
        let journal = journal.clone();
        open.spawn(async move {
            let met = met(&journal, reference, "a record").await;
            drop(window);
            met
        });
    }
    joined(open).await.map(drop)
}

/// The memory that this process has, in MiB; zero where the system does not tell.
fn resident() -> f64 {
    memory("self", "VmRSS").unwrap_or(0.0)
}
