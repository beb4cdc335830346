//! What the adapter's own work for a record takes, beside what as many bare exchanges take.

use super::clients::IN_FLIGHT;
use crate::actors::random_digest;
use crate::cli::bench::clock::cpu;
use crate::cli::bench::work::{failed, joined, landed, reference};
use crate::cli::exit::Outcome;
use crate::config::ledgers::Opened;
use sdpp_ledger::{Anchor, Call, Evidence, Ledger, LedgerError, Reference, prepare};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How many exchanges with the gateway a record takes: the submission, the row under its reference
/// then and once more when its finality is asked for, and its block.
const EXCHANGES: u32 = 4;

/// How often a ledger is asked whether something is final.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What one run measured.
#[derive(Serialize)]
pub(super) struct Cpu {
    /// From the preparation of one lone record until it is final, in milliseconds.
    pub(super) ms_for_one: f64,
    /// Of this process, in milliseconds.
    pub(super) ms_per_record: f64,
    /// Of this process for as many exchanges and nothing else, in milliseconds.
    pub(super) bare_ms_per_record: f64,
}

/// Anchors so many records, as many at once as the outbox would.
pub(super) async fn measure(own: &Opened, url: &str, records: u32) -> Outcome<Cpu> {
    let began = Instant::now();
    done(own.ledger().as_ref(), &anchor(reference()?)?).await?;
    let ms_for_one = began.elapsed().as_secs_f64() * 1_000.0;
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let before = cpu();
    let mut tasks = JoinSet::new();
    for _ in 0..records {
        let (ledger, slots, call) = (own.ledger().clone(), slots.clone(), anchor(reference()?)?);
        tasks.spawn(async move {
            // Nobody closes them.
            let _slot = slots.acquire().await.ok();
            done(ledger.as_ref(), &call).await.map_err(failed)
        });
    }
    joined(tasks).await?;
    let ours = cpu().saturating_sub(before);
    let ms = |cpu: Duration| cpu.as_secs_f64() * 1_000.0 / f64::from(records);
    let bare = bare(url, records, slots).await?;
    Ok(Cpu { ms_for_one, ms_per_record: ms(ours), bare_ms_per_record: ms(bare) })
}

/// Has something done, and waits until it is final.
pub(super) async fn done(ledger: &dyn Ledger, call: &Call) -> Result<Evidence, LedgerError> {
    landed(ledger, &prepare(ledger, 0, call).await?, LOOK_EVERY).await
}

/// A record of something.
pub(super) fn anchor(reference: Reference) -> Outcome<Call> {
    let digest = random_digest().map_err(failed)?;
    Ok(Call::Anchor(Anchor::One { reference, digest }))
}

/// As many exchanges as so many records take, and nothing else.
async fn bare(url: &str, records: u32, slots: Arc<Semaphore>) -> Outcome<Duration> {
    let client = reqwest::Client::builder().no_proxy().build().map_err(failed)?;
    let url = format!("{}/status", url.trim_end_matches('/'));
    let before = cpu();
    let mut tasks = JoinSet::new();
    for _ in 0..records {
        let (client, url, slots) = (client.clone(), url.clone(), slots.clone());
        tasks.spawn(async move {
            let _slot = slots.acquire().await.ok();
            for _ in 0..EXCHANGES {
                let answer = client.get(&url).send().await.map_err(failed)?;
                answer.error_for_status().map_err(failed)?.bytes().await.map_err(failed)?;
            }
            Ok(())
        });
    }
    joined(tasks).await?;
    Ok(cpu().saturating_sub(before))
}
