//! Single values: names, accounts, addresses, numbers within bounds.

use super::{Outcome, Wrong};
use sdpp_ledger::Account;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Shortest and longest wait that makes sense for anything: a tenth of a second, a day.
pub(super) const PATIENCE_MS: RangeInclusive<u64> = 100..=24 * 60 * 60 * 1000;
/// The longest topic, symbol and unit, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 64;
/// The longest address, in bytes.
const ADDRESS_BYTES_MAX: usize = 256;

pub(super) fn known<T>(
    at: &[&str],
    name: String,
    among: &BTreeMap<String, T>,
    table: &str,
) -> Outcome<String> {
    if among.contains_key(&name) {
        return Ok(name);
    }
    let names: Vec<&str> = among.keys().map(String::as_str).collect();
    let what = if names.is_empty() {
        format!("there is no {name:?}: add [{table}.{name}]")
    } else {
        format!("there is no {name:?}: add [{table}.{name}], or name one of {}", names.join(", "))
    };
    Err(wrong(at, what))
}

pub(super) fn account(at: &[&str], text: &str) -> Outcome<Account> {
    let what = || {
        wrong(at, "an account is 0x and 40 lower-case hex digits; `sdpp keys show` prints yours")
    };
    let digits = text.strip_prefix("0x").ok_or_else(what)?;
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if digits.len() != 40 || !digits.bytes().all(lower) {
        return Err(what());
    }
    text.parse().map_err(|_| what())
}

pub(super) fn host_port(at: &[&str], text: String) -> Outcome<String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let fits = text.len() <= ADDRESS_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    if fits && port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Ok(text);
    }
    Err(wrong(at, "expected a host and a port, such as \"127.0.0.1:9630\""))
}

pub(super) fn visible(at: &[&str], text: &str) -> Outcome<String> {
    if (1..=TEXT_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(wrong(at, format!("expected 1 to {TEXT_BYTES_MAX} visible ASCII characters")))
}

pub(super) fn within(at: &[&str], value: u64, range: RangeInclusive<u64>) -> Outcome<u64> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = range.into_inner();
    Err(wrong(at, format!("{value} is out of bounds: write {least} to {most}")))
}

pub(super) fn at_least_one(at: &[&str], value: u32) -> Outcome<u32> {
    if value > 0 { Ok(value) } else { Err(wrong(at, "write at least 1")) }
}

pub(super) fn wrong(key: &[&str], what: impl Display) -> Wrong {
    Wrong { key: key.iter().map(|part| (*part).to_owned()).collect(), what: what.to_string() }
}
