//! Watches how much room the journal has: where it runs short the node takes no more orders and ends
//! its sessions in good order, while there is still room for their last records; and when there is
//! room again, it goes on.
//!
//! No mailbox is used: it is one loop, and ends with its node.

use crate::actors::node::{Node, Short};
use crate::journal::Reader;
use actix::prelude::*;
use std::time::Duration;

/// How often is looked.
const EVERY: Duration = Duration::from_millis(200);

/// Tells the node whenever the journal runs short of room or has enough again: `least` bytes.
pub async fn watch(journal: Reader, node: Addr<Node>, least: u64) {
    let mut before = None;
    while node.connected() {
        let why = short(&journal, least);
        if why != before {
            match &why {
                Some(why) => tracing::error!(why, "no more orders are taken, sessions are ended"),
                None => tracing::info!("the journal has room: orders are taken again"),
            }
            before.clone_from(&why);
            node.do_send(Short(why));
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
