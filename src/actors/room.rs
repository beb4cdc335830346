//! Watches how much room the journal has: where it runs short the node takes no more orders and ends
//! its sessions in good order, while there is still room for their last records; and when there is
//! room again, it goes on.
//!
//! No mailbox is used: it is one loop, and is kept.

use crate::actors::keeper::{Keeper, Kept};
use crate::actors::node::{Node, Short};
use crate::journal::Reader;
use std::time::Duration;

/// How often is looked.
const EVERY: Duration = Duration::from_millis(200);

/// Tells the node whenever the journal runs short of room or has enough again: `least` bytes.
pub fn watch(keeper: &Keeper, journal: Reader, node: Kept<Node>, least: u64) {
    keeper.keep("room", move || Some(look(journal.clone(), node.clone(), least)));
}

async fn look(journal: Reader, node: Kept<Node>, least: u64) {
    let mut told = None;
    loop {
        let why = short(&journal, least);
        // A node that broke hears it when it is there again.
        if why != told && node.addr().send(Short(why.clone())).await.is_ok() {
            match &why {
                Some(why) => tracing::error!(why, "no more orders are taken, sessions are ended"),
                None => tracing::info!("the journal has room: orders are taken again"),
            }
            told = why;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Why the journal has no room for another session, in words that do not change while that lasts.
pub fn short(journal: &Reader, least: u64) -> Option<String> {
    if let Err(error) = journal.head() {
        return Some(error.to_string());
    }
    match journal.room() {
        Ok(room) if room >= least => None,
        Ok(_) => Some(format!(
            "the journal's disk has less than {} MB of room: make some",
            least.div_ceil(1 << 20)
        )),
        Err(error) => Some(error.to_string()),
    }
}
