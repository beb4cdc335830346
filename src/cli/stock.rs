//! What a seller has to sell when it starts.

use super::bonding::is_over;
use super::exit::{Exit, Failure, Outcome};
use super::running::{Running, aside};
use crate::config::Config;
use crate::journal::Write;
use crate::journal::datasets::Stretch;
use crate::source::{Committed, Origin};
use crate::terms::{BondTerms, Dataset};
use sdpp_ledger::{BondId, Digest};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// What can be sold, by topic, and how many items there are.
pub(super) type Stock = BTreeMap<String, (Origin, Option<u64>)>;

/// How many blocks of a file are read before they are written.
const BLOCKS_AT_ONCE: usize = 64;

/// What keeping one leaf takes on the disk at the most, in bytes.
const LEAF_BYTES: u64 = 80;

/// The topics that can be sold here and now. One that cannot is left out, and said so. Files are read to
/// their ends, and may be large: nothing else waits for that. What may be sold under a bond is kept, so that
/// it can be shown when the file is gone.
pub(super) async fn stocked(config: &Config, running: &Running) -> Outcome<Stock> {
    let max = config.limits.item_bytes_max;
    let is_bonded = config.seller.as_ref().is_some_and(|seller| !seller.bonds.is_empty());
    let least = config.journal.room_mb.saturating_mul(1 << 20);
    let (mut topics, mut promised) = (Stock::new(), BTreeSet::new());
    for (name, topic) in &config.topics {
        let source = topic.source.clone();
        if matches!(&source, Origin::File(file) if file.committed) {
            tracing::info!(topic = name, file = %source, "is read to its end, for its root");
        }
        let stock = match source.is_rereadable() {
            true => aside(move || Ok(source.stock(max))).await?,
            false => source.stock(max),
        };
        let kept = match &stock {
            Ok((Origin::Committed(of), _)) if is_bonded => {
                keep((running, least), name, of, max).await
            }
            _ => Ok(()),
        };
        match kept.and(stock.map_err(|error| error.to_string())) {
            Ok(stock) => {
                if let Some(Dataset { root, count }) = stock.0.dataset() {
                    tracing::info!(topic = name, %root, items = count, "its root is on the menu");
                    promised.insert(root);
                }
                topics.insert(name.clone(), stock);
            }
            Err(error) => tracing::warn!(topic = name, %error, "not on the menu"),
        }
    }
    if let Err(failure) = forget(running, promised).await {
        tracing::warn!(%failure, "what is kept of datasets that nobody can ask for stays until the next start");
    }
    if topics.is_empty() {
        return Err(Failure::new(Exit::Failed, "no topic of this config can be sold here and now"));
    }
    Ok(topics)
}

/// Keeps the leaves of what is promised, where that was not done before: complaints about items are answered
/// from them. So much room is left to the rest of the journal. The error is why that cannot be.
async fn keep(
    (running, least): (&Running, u64),
    topic: &str,
    of: &Committed,
    item_bytes_max: usize,
) -> Result<(), String> {
    let dataset = of.dataset();
    if dataset.count > BondTerms::ITEMS_MAX {
        let (items, most) = (dataset.count, BondTerms::ITEMS_MAX);
        tracing::warn!(topic, items, most, "it has too many items to be sold under a bond");
        return Ok(());
    }
    let reader = &running.reader;
    if reader.keeps(&dataset.root).map_err(text)? {
        return Ok(());
    }
    let needs = u64::from(dataset.count) * LEAF_BYTES;
    if reader.room().map_err(text)? < least.saturating_add(needs) {
        return Err(format!(
            "the journal's disk has no room to keep what shows its items to a bond's contract: that takes \
             {needs} bytes beside [journal] room_mb"
        ));
    }
    let of = of.clone();
    let blocks = aside(move || Ok(of.leaves(item_bytes_max))).await;
    let mut blocks = blocks.map_err(text)?.map_err(text)?;
    let mut at = 0;
    while at < dataset.count {
        let read = aside(move || {
            let read: Result<Vec<_>, _> = blocks.by_ref().take(BLOCKS_AT_ONCE).collect();
            Ok((blocks, read))
        });
        let (rest, read) = read.await.map_err(text)?;
        blocks = rest;
        let leaves = read.map_err(text)?.concat();
        running.commit(Stretch::writes(dataset, at, &leaves)).await.map_err(text)?;
        at += leaves.len() as u32;
    }
    Ok(())
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Forgets what is neither promised nor under a bond any more.
async fn forget(running: &Running, mut needed: BTreeSet<Digest>) -> Outcome {
    let reader = running.reader.clone();
    let mut roots = reader.kept_datasets()?;
    // What was sold last before a restore this journal does not know.
    if let Some(restored) = reader.quarantine()? {
        let is_since = |since: Option<u64>| since.is_none_or(|seq| seq >= restored.entry);
        let since: Vec<_> =
            roots.iter().map(|root| reader.kept_since(root)).collect::<Result<_, _>>()?;
        roots = roots
            .into_iter()
            .zip(since)
            .filter(|(_, since)| is_since(*since))
            .map(|(root, _)| root)
            .collect();
    }
    if roots.iter().all(|root| needed.contains(root)) {
        return Ok(());
    }
    let over = over(running).await?;
    needed.extend(aside(move || Ok(reader.datasets_under_bonds(&over)?)).await?);
    for root in roots.into_iter().filter(|root| !needed.contains(root)) {
        while running.reader.kept_datasets()?.contains(&root) {
            running.commit(vec![Write::Forget { root }]).await?;
        }
    }
    Ok(())
}

/// The bonds that hold nothing of ours any more by their ledgers, as far as these answer.
async fn over(running: &Running) -> Outcome<BTreeSet<BondId>> {
    let mut over = BTreeSet::new();
    for one in running.reader.pledged()? {
        let Some(ledger) = running.ledgers.get(&one.ledger) else { continue };
        match is_over(ledger.as_ref(), &one.bond).await {
            Ok(true) => over.insert(one.id),
            Ok(false) => false,
            Err(_) => break,
        };
    }
    Ok(over)
}
