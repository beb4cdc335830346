//! Events of many blocks, read in pages. How many blocks a node answers for at once, and how many
//! events, is its own affair: where it says no, half as many are asked for, down to one block.

use crate::rpc::{Answer, Rpc, Trouble};
use crate::view::{Log, at};
use serde_json::Value;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The most blocks that one page is about, at first and ever.
const BLOCKS_FIRST: u64 = 1_000;
const BLOCKS_MAX: u64 = 50_000;

/// The most events that one page has, unless one block alone has more.
pub(crate) const EVENTS_MAX: usize = 10_000;

/// Reads the events of one node's chain in pages.
pub(crate) struct Pages {
    node: Arc<Rpc>,
    /// What is asked in each page: each has everything but the blocks.
    filters: Vec<Value>,
    /// How many blocks the next page is about, at most.
    blocks: u64,
    /// Whether the node has said no: what it allows is then approached with care.
    was_refused: bool,
}

/// Some blocks in a row, and their events that were asked for.
pub(crate) struct Page {
    pub blocks: RangeInclusive<u64>,
    pub logs: Vec<Log>,
}

impl Pages {
    pub fn new(node: &Arc<Rpc>, filters: Vec<Value>) -> Self {
        Pages { node: Arc::clone(node), filters, blocks: BLOCKS_FIRST, was_refused: false }
    }

    /// The page that begins with a range's first block.
    pub async fn first(&mut self, range: RangeInclusive<u64>) -> Answer<Page> {
        let (from, to) = range.into_inner();
        self.page(|blocks| from..=to.min(from.saturating_add(blocks - 1))).await
    }

    /// The page that ends with a range's last block.
    pub async fn last(&mut self, range: RangeInclusive<u64>) -> Answer<Page> {
        let (from, to) = range.into_inner();
        self.page(|blocks| from.max(to.saturating_sub(blocks - 1))..=to).await
    }

    /// The largest page of those that a size gives which the node answers.
    async fn page(&mut self, of: impl Fn(u64) -> RangeInclusive<u64>) -> Answer<Page> {
        loop {
            let blocks = of(self.blocks);
            let count = blocks.end() - blocks.start() + 1;
            match self.ask(&blocks).await {
                Ok(logs) if logs.len() <= EVENTS_MAX || count == 1 => {
                    self.grow(count);
                    return Ok(Page { blocks, logs });
                }
                Err(trouble) if count == 1 || !is_too_much(&trouble) => return Err(trouble),
                _ => (self.blocks, self.was_refused) = (count / 2, true),
            }
        }
    }

    /// Twice as many blocks the next time or, once the node has said no, an eighth more.
    fn grow(&mut self, count: u64) {
        let more = if self.was_refused { (count / 8).max(1) } else { count };
        self.blocks = self.blocks.max(count + more).min(BLOCKS_MAX);
    }

    async fn ask(&self, blocks: &RangeInclusive<u64>) -> Answer<Vec<Log>> {
        let mut logs = Vec::new();
        for filter in &self.filters {
            let mut filter = filter.clone();
            filter["fromBlock"] = at(*blocks.start());
            filter["toBlock"] = at(*blocks.end());
            logs.extend(self.node.logs(filter).await?);
            if logs.len() > EVENTS_MAX && blocks.start() < blocks.end() {
                break;
            }
        }
        let is_asked = |log: &Log| log.block_number.is_some_and(|n| blocks.contains(&n.as_u64()));
        match logs.iter().all(is_asked) {
            true => Ok(logs),
            false => Err(self.node.trouble("an event of a block that was not asked for")),
        }
    }
}

/// Whether a node may answer to a question about fewer blocks.
fn is_too_much(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Said { .. } | Trouble::TooLong { .. })
}

/// The events of a range of blocks, and the first block that was not read. What was read counts,
/// even if the node lets nothing more be read now.
pub(crate) async fn events_of(
    node: &Arc<Rpc>,
    filters: Vec<Value>,
    range: RangeInclusive<u64>,
) -> Answer<(Vec<Log>, u64)> {
    let (mut pages, mut logs) = (Pages::new(node, filters), Vec::new());
    let (from, to) = range.into_inner();
    let mut next = from;
    while next <= to && logs.len() < EVENTS_MAX {
        let page = match pages.first(next..=to).await {
            Err(_) if next > from => break,
            page => page?,
        };
        next = page.blocks.end().saturating_add(1);
        logs.extend(page.logs);
    }
    Ok((logs, next))
}
