//! How many payments are on their way at once from what was one coin, through a journal and its
//! outbox, as sessions pay.

use super::accounts::{Accounts, Own};
use super::adapter::{AMOUNT, payment};
use crate::actors::journal::JournalActor;
use crate::cli::bench::setting::Spread;
use crate::cli::bench::work::{failed, met, open, owe, watched};
use crate::cli::exit::Outcome;
use crate::cli::iota::IOTA;
use crate::cli::running::Running;
use actix::prelude::*;
use sdpp_ledger::{Account, Amount, Call, LedgerId};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;

/// How many payments are owed at once: more than there are coins, so that it is these that bound.
const OWED_AT_ONCE: usize = 40;

/// What one run measured.
#[derive(Serialize)]
pub(super) struct Flight {
    pub(super) payments: u64,
    pub(super) payments_per_s: f64,
    /// How many payments were on their way, at the median of all looks since as many were as ever
    /// are, until fewer were owed than that.
    pub(super) on_way: f64,
    pub(super) on_way_at_most: f64,
    /// Refusals because another transaction had the coin.
    pub(super) equivocations: u64,
}

/// What is paid, and how many of it are left.
struct Rule {
    journal: Addr<JournalActor>,
    ledger: LedgerId,
    payee: Account,
    left: AtomicU32,
}

impl Flight {
    /// Pays so many times.
    pub(super) async fn measure(accounts: &Accounts<'_>, payments: u32) -> Outcome<Flight> {
        let (payer, payee) = (accounts.with_one_coin(payments).await?, accounts.with_nothing()?);
        let before = accounts.tally().await?;
        let config = accounts.config(&payer)?;
        let Own { key, opened } = payer;
        let side = Running::start(&config, key, &[(IOTA, &opened)])?;
        let rule = Arc::new(Rule {
            journal: side.journal.clone(),
            ledger: opened.ledger().id().clone(),
            payee: payee.account().clone(),
            left: AtomicU32::new(payments),
        });
        let began = Instant::now();
        let looks = looks(&side, rule).await?;
        let took = began.elapsed();
        side.stop();
        let after = accounts.tally().await?;
        let has = payee.holds().await?;
        let owed = Amount::new(AMOUNT * u128::from(payments));
        let done = (after.executed - before.executed, after.failed - before.failed);
        if has != owed || done != (payments.into(), 0) {
            let why = format!(
                "the payee has {has}, and was paid {owed}; the node executed {} transactions for \
                 {payments} payments, and {} failed",
                done.0, done.1
            );
            return Err(failed(why));
        }
        let most = looks.iter().copied().max().unwrap_or(0);
        Ok(Flight {
            payments: payments.into(),
            payments_per_s: f64::from(payments) / took.as_secs_f64(),
            on_way: steady(looks, most),
            on_way_at_most: most as f64,
            equivocations: after.conflicts - before.conflicts,
        })
    }
}

/// Has all of it paid. How many were on their way, each time that it was looked at while as many
/// were owed as ever are.
async fn looks(side: &Running, rule: Arc<Rule>) -> Outcome<Vec<usize>> {
    let mut payers = JoinSet::new();
    for _ in 0..OWED_AT_ONCE {
        payers.spawn(pay(rule.clone()));
    }
    let mut looks = Vec::new();
    watched(payers, || {
        if rule.left.load(Ordering::Relaxed) > 0 {
            let [_, on_way] = open(side, &rule.ledger)?;
            looks.push(on_way);
        }
        Ok(())
    })
    .await?;
    Ok(looks)
}

/// Pays one after the other, as long as any are left.
async fn pay(rule: Arc<Rule>) -> Outcome {
    let one_less = |left: u32| left.checked_sub(1);
    while rule.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
        let transfer = payment(&rule.payee)?;
        let reference = transfer.reference;
        owe(&rule.journal, &rule.ledger, reference, Call::Transfer(transfer)).await?;
        met(&rule.journal, reference, "a payment").await?;
    }
    Ok(())
}

/// The middle of what was seen, once it was as good as the most.
fn steady(looks: Vec<usize>, most: usize) -> f64 {
    let is_split = |on_way: &usize| *on_way * 10 >= most * 9;
    let from = looks.iter().position(is_split).unwrap_or(0);
    let looks = looks.into_iter().skip(from).map(|on_way| on_way as f64);
    Spread::of(looks).median
}
