//! How many payments fit a block: of one account, of many to one payee, and in IOUs.

use super::clients::Clients;
use super::records::done;
use crate::cli::bench::work::{failed, joined, payment};
use crate::cli::exit::Outcome;
use crate::config::ledgers::Opened;
use sdpp_ledger::{Account, Amount, Asset, Call, Evidence};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// What each payment moves, in the smallest unit.
const AMOUNT: u128 = 7;

/// What one run measured.
#[derive(Serialize)]
pub(super) struct Blocks {
    /// Of one account that makes all its payments at the same time.
    pub(super) spends_per_block: f64,
    /// From the first to the last that has a payment of many accounts to one.
    pub(super) blocks_of_many: u64,
    /// Of one account that promises as often at the same time.
    pub(super) ious_per_block: f64,
}

/// Pays one payee, and looks at what it has then.
pub(super) async fn measure(
    clients: &Clients<'_>,
    payers: usize,
    payments: usize,
) -> Outcome<Blocks> {
    let payee = clients.open().await?;
    let to = payee.ledger().account();
    let rich = clients.rich(payers.max(1), AMOUNT * (payments as u128 + 1)).await?;
    let many = paid(rich.iter(), to, clients.asset()).await?;
    let Some(payer) = rich.first() else { return Err(failed("there is no payer")) };
    let spends = paid((0..payments).map(|_| payer), to, clients.asset()).await?;
    let iou: Asset = format!("iou:{}", clients.asset()).parse().map_err(failed)?;
    let ious = paid((0..payments).map(|_| payer), to, &iou).await?;
    let owed = (rich.len() + payments) as u128 * AMOUNT;
    for (asset, owed) in [(clients.asset(), owed), (&iou, payments as u128 * AMOUNT)] {
        let Some(money) = payee.ledger().payments() else { return Err(failed("no money")) };
        let has = money.balance(to, asset).await?;
        if has != Amount::new(owed) {
            return Err(failed(format!("the payee has {has} of {asset}, and was paid {owed}")));
        }
    }
    let (first, last) = (many.iter().min(), many.iter().max());
    let span = last.zip(first).map_or(0, |(last, first)| last - first + 1);
    let per_block = |heights: &[u64]| heights.len() as f64 / distinct(heights) as f64;
    Ok(Blocks {
        spends_per_block: per_block(&spends),
        blocks_of_many: span,
        ious_per_block: per_block(&ious),
    })
}

/// Has each of these pay at the same time. The heights of the blocks that have it.
async fn paid<'o>(
    payers: impl Iterator<Item = &'o Arc<Opened>>,
    to: &Account,
    asset: &Asset,
) -> Outcome<Vec<u64>> {
    let mut tasks = JoinSet::new();
    for payer in payers {
        let call = Call::Transfer(payment(to, asset, AMOUNT)?);
        let payer = payer.ledger().clone();
        tasks.spawn(async move { Ok(done(payer.as_ref(), &call).await?) });
    }
    let all: Vec<Evidence> = joined(tasks).await?;
    Ok(all.into_iter().map(|evidence| evidence.height).collect())
}

fn distinct(heights: &[u64]) -> usize {
    heights.iter().collect::<BTreeSet<_>>().len().max(1)
}
