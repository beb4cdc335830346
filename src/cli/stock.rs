//! What a seller has to sell when it starts.

use super::exit::{Exit, Failure, Outcome};
use super::running::{Running, aside};
use crate::config::Config;
use crate::journal::Write;
use crate::journal::datasets::Stretch;
use crate::source::{Committed, Origin, SourceError};
use crate::terms::{BondTerms, Dataset};
use sdpp_ledger::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// What can be sold, by topic, and how many items there are.
pub(super) type Stock = BTreeMap<String, (Origin, Option<u64>)>;

/// How many blocks of a file are read before they are written.
const BLOCKS_AT_ONCE: usize = 64;

/// The topics that can be sold here and now. One that cannot is left out, and said so. Files are read to
/// their ends, and may be large: nothing else waits for that. What may be sold under a bond is kept, so that
/// it can be shown when the file is gone.
pub(super) async fn stocked(config: &Config, running: &Running) -> Outcome<Stock> {
    let max = config.limits.item_bytes_max;
    let is_bonded = config.seller.as_ref().is_some_and(|seller| !seller.bonds.is_empty());
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
            Ok((Origin::Committed(of), _)) if is_bonded => keep(running, name, of, max).await?,
            _ => Ok(()),
        };
        match kept.and(stock) {
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
    forget(running, promised).await?;
    if topics.is_empty() {
        return Err(Failure::new(Exit::Failed, "no topic of this config can be sold here and now"));
    }
    Ok(topics)
}

/// Keeps the leaves of what is promised, where that was not done before: complaints about items are answered
/// from them. The outer result is ours, the inner one the file's.
async fn keep(
    running: &Running,
    topic: &str,
    of: &Committed,
    item_bytes_max: usize,
) -> Outcome<Result<(), SourceError>> {
    let dataset = of.dataset();
    if dataset.count > BondTerms::ITEMS_MAX {
        let (items, most) = (dataset.count, BondTerms::ITEMS_MAX);
        tracing::warn!(topic, items, most, "it has too many items to be sold under a bond");
        return Ok(Ok(()));
    }
    if running.reader.keeps(&dataset.root)? {
        return Ok(Ok(()));
    }
    let mut blocks = match of.leaves(item_bytes_max) {
        Ok(blocks) => blocks,
        Err(error) => return Ok(Err(error)),
    };
    let mut at = 0;
    while at < dataset.count {
        let (rest, read) = aside(move || {
            let read: Result<Vec<_>, _> = blocks.by_ref().take(BLOCKS_AT_ONCE).collect();
            Ok((blocks, read))
        })
        .await?;
        blocks = rest;
        let leaves = match read {
            Ok(read) => read.concat(),
            Err(error) => return Ok(Err(error)),
        };
        running.commit(Stretch::writes(dataset, at, &leaves)).await?;
        at += leaves.len() as u32;
    }
    Ok(Ok(()))
}

/// Forgets what is neither promised nor under a bond any more.
async fn forget(running: &Running, mut needed: BTreeSet<Digest>) -> Outcome {
    let reader = running.reader.clone();
    let roots = reader.kept_datasets()?;
    // What a restored journal sold last it does not know.
    if reader.quarantine()?.is_some() || roots.iter().all(|root| needed.contains(root)) {
        return Ok(());
    }
    needed.extend(aside(move || Ok(reader.datasets_under_bonds()?)).await?);
    for root in roots.into_iter().filter(|root| !needed.contains(root)) {
        while running.reader.kept_datasets()?.contains(&root) {
            running.commit(vec![Write::Forget { root }]).await?;
        }
    }
    Ok(())
}
