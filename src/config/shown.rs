//! How a config's keys and sources are written when it is shown: as a file would have them.

use crate::keystore::KeyFrom;
use crate::source::{File, Format, Origin, Sensor, WhenSlow};
use crate::terms::{CountsWhen, Step};
use sdpp_ledger::Amount;
use serde::{Serialize, Serializer};
use std::path::Path;

/// A key, and what opens it.
pub(super) fn key<S: Serializer>(key: &KeyFrom, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'a> {
        key: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        keystore: Option<&'a Path>,
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<String>,
    }
    let (keystore, password) = match key {
        KeyFrom::Keystore { dir, password, .. } => {
            (Some(dir.as_path()), Some(password.to_string()))
        }
        KeyFrom::File(_) | KeyFrom::Env(_) => (None, None),
    };
    Shown { key: key.to_string(), keystore, password }.serialize(serializer)
}

/// A key, where there is one.
pub(super) fn key_if_any<S: Serializer>(
    from: &Option<KeyFrom>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match from {
        Some(from) => key(from, serializer),
        None => serializer.serialize_none(),
    }
}

/// How final a payment must be: its steps.
pub(super) fn counts_when<S: Serializer>(
    when: &CountsWhen,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown {
        #[serde(skip_serializing_if = "Option::is_none")]
        up_to: Option<Amount>,
        blocks: u64,
    }
    let step = |Step { up_to, blocks }: &Step| Shown { up_to: Some(*up_to), blocks: *blocks };
    let last = when.beyond().map(|blocks| Shown { up_to: None, blocks });
    serializer.collect_seq(when.steps().iter().map(step).chain(last))
}

/// Where the items of a topic come from.
pub(super) fn origin<S: Serializer>(origin: &Origin, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Shown<'a> {
        Host { sensor: Sensor, interval_ms: u128, when_slow: WhenSlow },
        File { path: &'a Path, format: Format, committed: bool },
        Stdin { when_slow: WhenSlow },
        Command { command: &'a [String], when_slow: WhenSlow },
    }
    let shown = match origin {
        Origin::Host(host) => Shown::Host {
            sensor: host.sensor,
            interval_ms: host.interval.as_millis(),
            when_slow: host.when_slow,
        },
        Origin::File(File { path, format, committed }) => {
            Shown::File { path, format: *format, committed: *committed }
        }
        Origin::Committed(of) => {
            let File { path, format, committed } = of.file();
            Shown::File { path, format: *format, committed: *committed }
        }
        Origin::Stdin { when_slow } => Shown::Stdin { when_slow: *when_slow },
        Origin::Command(command) => {
            Shown::Command { command: &command.argv, when_slow: command.when_slow }
        }
    };
    shown.serialize(serializer)
}
