//! Topics, and where their items come from.

use super::super::Topic;
use super::super::file::{SourceFile, SourceKind, TopicFile};
use super::Outcome;
use super::price::{Named, special_prices};
use super::value::{TEXT_BYTES_MAX, visible, within, wrong};
use crate::source::{Command, File, Format, Host, Origin, WhenSlow};
use sdpp_ledger::Amount;
use std::path::Path;
use std::time::Duration;

/// The longest interval between two readings: a day.
const INTERVAL_MS_MAX: u64 = 24 * 60 * 60 * 1000;

pub(super) fn topic(
    name: &str,
    written: TopicFile,
    named: &Named<'_>,
    base: &Path,
) -> Outcome<Topic> {
    visible(&["topics", name], name)?;
    if written.price.0 == Amount::ZERO {
        return Err(wrong(&["topics", name, "price"], "an item costs at least 1"));
    }
    let units = written.units.unwrap_or_default();
    if units.len() > TEXT_BYTES_MAX || units.chars().any(char::is_control) {
        let what = format!("expected at most {TEXT_BYTES_MAX} bytes of text");
        return Err(wrong(&["topics", name, "units"], what));
    }
    let prices = special_prices(name, written.prices, named)?;
    let source = origin(name, written.source, base)?;
    Ok(Topic { price: written.price.0, units, prices, source })
}

fn origin(topic: &str, written: SourceFile, base: &Path) -> Outcome<Origin> {
    let at = |key: &'static str| ["topics", topic, "source", key];
    only_keys_of_kind(topic, &written)?;
    match written.kind {
        SourceKind::Host => host(topic, &written),
        SourceKind::File => file(topic, written, base),
        SourceKind::Stdin => {
            Ok(Origin::Stdin { when_slow: written.when_slow.unwrap_or(WhenSlow::Wait) })
        }
        SourceKind::Command => {
            let argv = written.command.unwrap_or_default();
            if argv.first().is_none_or(String::is_empty) {
                let what =
                    "which program? command = [\"program\", \"argument\"]; there is no shell";
                return Err(wrong(&at("command"), what));
            }
            let when_slow = written.when_slow.unwrap_or(WhenSlow::Wait);
            Ok(Origin::Command(Command { argv, dir: base.to_owned(), when_slow }))
        }
    }
}

fn host(topic: &str, written: &SourceFile) -> Outcome<Origin> {
    let at = |key: &'static str| ["topics", topic, "source", key];
    let what = "which one? sensor = \"cpu_load\", \"memory\", \"network\" or \"temperature\"";
    let sensor = written.sensor.ok_or_else(|| wrong(&at("sensor"), what))?;
    let least = u64::try_from(sensor.interval_min().as_millis()).unwrap_or(u64::MAX);
    let interval_ms = written.interval_ms.unwrap_or(1000);
    let interval_ms = within(&at("interval_ms"), interval_ms, least..=INTERVAL_MS_MAX)?;
    Ok(Origin::Host(Host {
        sensor,
        interval: Duration::from_millis(interval_ms),
        when_slow: written.when_slow.unwrap_or(WhenSlow::Skip),
    }))
}

fn file(topic: &str, written: SourceFile, base: &Path) -> Outcome<Origin> {
    let at = |key: &'static str| ["topics", topic, "source", key];
    let what = "which file? path = \"data.csv\"";
    let path = written.path.ok_or_else(|| wrong(&at("path"), what))?;
    let what = "the name does not tell: format = \"csv\", \"ndjson\" or \"lines\"";
    let format =
        written.format.or_else(|| Format::of(&path)).ok_or_else(|| wrong(&at("format"), what))?;
    let committed = written.committed.unwrap_or_default();
    Ok(Origin::File(File { path: base.join(path), format, committed }))
}

fn only_keys_of_kind(topic: &str, written: &SourceFile) -> Outcome<()> {
    let kind = written.kind;
    let stray = [
        ("sensor", written.sensor.is_some(), kind == SourceKind::Host),
        ("interval_ms", written.interval_ms.is_some(), kind == SourceKind::Host),
        ("path", written.path.is_some(), kind == SourceKind::File),
        ("format", written.format.is_some(), kind == SourceKind::File),
        ("committed", written.committed.is_some(), kind == SourceKind::File),
        ("command", written.command.is_some(), kind == SourceKind::Command),
        ("when_slow", written.when_slow.is_some(), kind != SourceKind::File),
    ];
    match stray.iter().find(|(_, is_written, belongs)| *is_written && !belongs) {
        Some((key, ..)) => {
            let what = "this kind of source has no such key: remove it, or change the kind";
            Err(wrong(&["topics", topic, "source", key], what))
        }
        None => Ok(()),
    }
}
