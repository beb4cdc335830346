//! Who is told how the process is.

use super::super::Admin;
use super::super::file::AdminFile;
use super::Outcome;
use super::value::{within, wrong};
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// How long something may be owed: from a second to a month.
const OLD_S: RangeInclusive<u64> = 1..=30 * 24 * 60 * 60;
/// A day: longer than ledgers take, and than most sessions whose records wait for their end.
const OLD_S_USUAL: u64 = 24 * 60 * 60;

pub(super) fn admin(written: &AdminFile) -> Outcome<Admin> {
    let health = written.health.as_deref().map(health).transpose()?;
    let old_s = written.obligations_old_s.unwrap_or(OLD_S_USUAL);
    Ok(Admin { health, obligations_old_s: within(&["admin", "obligations_old_s"], old_s, OLD_S)? })
}

/// What is said there is for our own people.
fn health(text: &str) -> Outcome<SocketAddr> {
    let at = ["admin", "health"];
    let what = "expected an address of this host and a port, such as \"127.0.0.1:9640\"";
    let address: SocketAddr = text.parse().map_err(|_| wrong(&at, what))?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err(wrong(&at, format!("{address} can be reached by others: {what}"))),
    }
}
