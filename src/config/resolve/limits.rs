//! What no peer can make us exceed must leave room for something.

use super::super::{Limits, Topic};
use super::Outcome;
use super::value::{PATIENCE_MS, at_least_one, within, wrong};
use crate::source::Origin;
use crate::terms::SHOWN_BYTES_MAX;
use std::collections::BTreeMap;

/// A buyer keeps what brings an item of a dataset as it was signed, and takes nothing that is too long for that.
pub(super) fn check_committed(limits: &Limits, topics: &BTreeMap<String, Topic>) -> Outcome<()> {
    let most = Limits::item_bytes_in(SHOWN_BYTES_MAX);
    let is_committed =
        |topic: &Topic| matches!(&topic.source, Origin::File(file) if file.committed);
    let committed = topics.iter().find(|(_, topic)| is_committed(topic));
    let Some((name, _)) = committed.filter(|_| limits.item_bytes_max > most) else { return Ok(()) };
    let what = format!(
        "the items of a committed file are at most {most} bytes long: write no more in limits.item_bytes_max, \
         which is {}",
        limits.item_bytes_max
    );
    Err(wrong(&["topics", name, "source", "committed"], what))
}

pub(super) fn check(limits: &Limits) -> Outcome<()> {
    let at_least = [
        ("connections_per_address_max", limits.connections_per_address_max, 1, "1"),
        ("item_bytes_max", limits.item_bytes_max, 1, "1"),
        ("connections_max", limits.connections_max, 1, "1"),
        ("sessions_max", limits.sessions_max, 1, "1"),
        ("sessions_per_buyer_max", limits.sessions_per_buyer_max, 1, "1"),
        (
            "unacknowledged_bytes_all_max",
            limits.unacknowledged_bytes_all_max,
            limits.unacknowledged_bytes_max,
            "what one connection may have, unacknowledged_bytes_max",
        ),
        (
            "frame_bytes_max",
            limits.frame_bytes_max,
            limits.frame_bytes_needed(),
            "what an item of item_bytes_max needs in base64, with its message",
        ),
        (
            "unacknowledged_bytes_max",
            limits.unacknowledged_bytes_max,
            limits.frame_bytes_needed(),
            "what one item of item_bytes_max needs in base64, with its message",
        ),
    ];
    for (key, is, needed, why) in at_least {
        if is < needed {
            let what = format!("{is} is too small: write at least {needed} ({why})");
            return Err(wrong(&["limits", key], what));
        }
    }
    for (key, is) in [
        ("menus_per_minute", limits.menus_per_minute),
        ("menus_per_minute_per_address", limits.menus_per_minute_per_address),
        ("orders_per_minute", limits.orders_per_minute),
        ("orders_per_minute_per_address", limits.orders_per_minute_per_address),
    ] {
        at_least_one(&["limits", key], is)?;
    }
    within(&["limits", "journal_lag_ms"], limits.journal_lag_ms, PATIENCE_MS)?;
    within(&["limits", "idle_ms"], limits.idle_ms, PATIENCE_MS)?;
    within(&["limits", "first_message_ms"], limits.first_message_ms, PATIENCE_MS).map(|_| ())
}
