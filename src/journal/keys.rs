//! The keys of the trees: bytes whose order is the order in which they are read.
//!
//! Names of ledgers and accounts are visible ASCII, so a zero byte ends them.

use crate::terms::SessionId;
use sdpp_ledger::{
    Account, BondId, Change, ChangeKind, ChannelId, Digest, LedgerId, Reference, TxId,
};

/// In [`due`]: an obligation that is to be prepared.
pub(super) const OPEN: u8 = b'o';
/// In [`due`]: the same about a bond. However many others wait, it is looked at.
pub(super) const BOND: u8 = b'b';
/// In [`due`]: all that is to be prepared.
pub(super) const TO_PREPARE: [u8; 2] = [BOND, OPEN];
/// In [`due`]: a claim that is to be checked.
pub(super) const WATCHING: u8 = b'w';
/// In [`due`]: a delivery that may still happen.
pub(super) const LIVE: u8 = b'l';

pub(super) fn seq(seq: u64) -> [u8; 8] {
    seq.to_be_bytes()
}

/// The number at the end of a key.
pub(super) fn tail(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

pub(super) fn ledger(ledger: &LedgerId) -> Vec<u8> {
    [ledger.as_str().as_bytes(), &[0]].concat()
}

pub(super) fn account(id: &LedgerId, account: &Account) -> Vec<u8> {
    [&ledger(id), account.as_str().as_bytes(), &[0]].concat()
}

pub(super) fn in_account(account: &Account, number: u64) -> Vec<u8> {
    [account.as_str().as_bytes(), &[0], &number.to_be_bytes()].concat()
}

pub(super) fn delivery(id: &LedgerId, account: &Account, number: u64) -> Vec<u8> {
    [ledger(id), in_account(account, number)].concat()
}

/// The most entries that one row of a session's index names.
pub(super) const SEQS_IN_ROW: usize = 256;

/// The entries that a commit added to a session: one row for many, under the last, so that a scan
/// from any entry on starts with the row that holds the next.
pub(super) fn session_row(session: &SessionId, seqs: &[u64]) -> (Vec<u8>, Vec<u8>) {
    let last = seqs.last().copied().unwrap_or_default();
    let value = seqs.iter().flat_map(|seq| seq.to_be_bytes()).collect();
    (in_session(session, last), value)
}

/// The entries that a row of a session's index names.
pub(super) fn seqs(row: &[u8]) -> impl Iterator<Item = u64> {
    row.chunks_exact(8).filter_map(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)))
}

pub(super) fn in_session(session: &SessionId, seq: u64) -> Vec<u8> {
    [&session.0.0[..], &seq.to_be_bytes()].concat()
}

pub(super) fn held(session: &SessionId, reference: &[u8; 32]) -> Vec<u8> {
    [session.0.0, *reference].concat()
}

pub(super) fn unsettled(id: &LedgerId, at_ms: u64, reference: &Reference) -> Vec<u8> {
    [&ledger(id)[..], &at_ms.to_be_bytes(), &reference.0].concat()
}

/// Ledgers write one transaction in upper or lower case, and it pays once all the same.
pub(super) fn claim(id: &LedgerId, tx: &TxId) -> Vec<u8> {
    [ledger(id), tx.as_str().to_ascii_lowercase().into_bytes()].concat()
}

/// In the tree of single values: the height to read next.
pub(super) fn cursor(id: &LedgerId) -> Vec<u8> {
    [b"watch ", id.as_str().as_bytes()].concat()
}

/// In the tree of single values: how the keys of channels that paid out too much begin.
pub(super) const UNJUST: &[u8] = b"unjust ";

pub(super) fn unjust(channel: &ChannelId) -> Vec<u8> {
    [UNJUST, &channel.0].concat()
}

/// In the tree of single values: how the keys of bonds begin.
pub(super) const BONDS: &[u8] = b"bond ";

pub(super) fn bond(id: &BondId) -> Vec<u8> {
    [BONDS, &id.0].concat()
}

/// In the tree of single values: how the keys of the sessions under a bond begin.
pub(super) fn under(id: &BondId) -> Vec<u8> {
    [b"under ", &id.0[..]].concat()
}

/// Says that all leaves of a dataset are there: the place behind any that they have.
pub(super) fn whole_dataset(root: &Digest) -> Vec<u8> {
    stretch(root, u32::MAX)
}

/// Leaves of a dataset from that place on.
pub(super) fn stretch(root: &Digest, at: u32) -> Vec<u8> {
    [&root.0[..], &at.to_be_bytes()].concat()
}

/// In the tree of single values: the last rate of one currency in another.
pub(super) fn rated(currency: &str, default: &str) -> Vec<u8> {
    [b"rated ", currency.as_bytes(), &[0], default.as_bytes()].concat()
}

/// What redeems a voucher of a channel.
pub(super) fn redeem(channel: &ChannelId, reference: &Reference) -> Vec<u8> {
    [channel.0, reference.0].concat()
}

/// What happened to a channel, whatever block tells it; `before` is how often the same happened
/// before it in one transaction. A transaction is in one block, so it is told as a whole.
pub(super) fn change(change: &Change, before: u32) -> Vec<u8> {
    let tx = change.tx.as_str().to_ascii_lowercase();
    let (tag, amount) = match &change.kind {
        ChangeKind::Opened { deposit } => (b'o', deposit.units()),
        ChangeKind::ToppedUp { deposit } => (b't', deposit.units()),
        ChangeKind::CloseRequested { ready_ms } => (b'r', u128::from(*ready_ms)),
        ChangeKind::Settled { settled } => (b's', settled.units()),
        ChangeKind::Closed { settled } => (b'c', settled.units()),
        ChangeKind::Withdrawn => (b'w', 0),
    };
    let place: &[u8] = if before == 0 { &[] } else { &[&[0], &before.to_be_bytes()[..]].concat() };
    [&change.channel.0[..], &[tag], &amount.to_be_bytes(), tx.as_bytes(), place].concat()
}

pub(super) fn due_kind(id: &LedgerId, kind: u8) -> Vec<u8> {
    [&ledger(id)[..], &[kind]].concat()
}

pub(super) fn due(id: &LedgerId, kind: u8, at_ms: u64, what: &[u8]) -> Vec<u8> {
    [&due_kind(id, kind), &at_ms.to_be_bytes()[..], what].concat()
}
