//! What no peer can make us exceed; the defaults hold a small machine.

use serde::{Deserialize, Serialize};

/// What sealing adds to an item, in bytes.
const SEALED_BYTES: usize = 16;

/// What a message with an item and an invoice has beside the item, in bytes.
const REST_BYTES: usize = 8 * 1024;

/// What a peer cannot make us exceed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once, each with one session at most.
    pub connections_max: usize,
    /// Connections at once from one address.
    pub connections_per_address_max: usize,
    /// Menus that are shown in a minute; a sixth of them at once.
    pub menus_per_minute: u32,
    /// The same from one address.
    pub menus_per_minute_per_address: u32,
    /// Orders that are looked at in a minute; a sixth of them at once.
    pub orders_per_minute: u32,
    /// The same from one address.
    pub orders_per_minute_per_address: u32,
    /// Sessions at once.
    pub sessions_max: usize,
    /// Sessions at once with one buyer.
    pub sessions_per_buyer_max: usize,
    /// Sessions of one address, whoever the buyers, that are on credit now or broke unpaid in the last
    /// day.
    pub credit_sessions_per_address_max: usize,
    /// How long a new connection may stay silent, in milliseconds; a buyer that opens a channel
    /// does that first.
    pub first_message_ms: u64,
    /// How long a connection may bring no message, in milliseconds; then it counts as broken. More than a
    /// source is silent for, and than a payment takes to be final.
    pub idle_ms: u64,
    /// The longest message, in bytes.
    pub frame_bytes_max: usize,
    /// The longest item, in bytes.
    pub item_bytes_max: usize,
    /// Bytes sent and not acknowledged, on one connection.
    pub unacknowledged_bytes_max: usize,
    /// The same, on all connections together.
    pub unacknowledged_bytes_all_max: usize,
    /// How long the journal may take for a write, in milliseconds; beyond that no order is taken.
    pub journal_lag_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 256,
            connections_per_address_max: 16,
            menus_per_minute: 3_000,
            menus_per_minute_per_address: 600,
            orders_per_minute: 1_200,
            orders_per_minute_per_address: 600,
            sessions_max: 128,
            sessions_per_buyer_max: 16,
            credit_sessions_per_address_max: 32,
            first_message_ms: 60_000,
            idle_ms: 3_600_000,
            frame_bytes_max: 1024 * 1024,
            item_bytes_max: 64 * 1024,
            unacknowledged_bytes_max: 256 * 1024,
            unacknowledged_bytes_all_max: 16 * 1024 * 1024,
            journal_lag_ms: 10_000,
        }
    }
}

impl Limits {
    /// The longest message that an item of the longest kind can need: sealed (16 bytes more), in
    /// base64 (four for three), and the rest of a message with an invoice, 8 KiB with room to spare.
    pub fn frame_bytes_needed(&self) -> usize {
        let sealed = self.item_bytes_max.saturating_add(SEALED_BYTES);
        sealed.div_ceil(3).saturating_mul(4).saturating_add(REST_BYTES)
    }

    /// The longest item that can come in a message of so many bytes.
    pub fn item_bytes_in(frame_bytes: usize) -> usize {
        (frame_bytes.saturating_sub(REST_BYTES) / 4 * 3).saturating_sub(SEALED_BYTES)
    }
}
