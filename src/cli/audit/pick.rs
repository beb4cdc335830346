//! Which sessions and lines are shown: by peer, currency and time. The chain and every signature
//! are verified whatever is picked.

use crate::audit::{Report, Span, Statement};
use crate::cli::exit::{Failure, Outcome};
use crate::config::Config;
use crate::message::Moment;
use clap::Args;
use sdpp_ledger::PublicKey;
use std::collections::HashMap;

/// A day's milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// What to show.
#[derive(Args)]
pub(super) struct Pick {
    /// Only what was from then on: a day in UTC (2026-01-31), or a moment (2026-01-31T12:00:00Z).
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<u64>,
    /// Only what was up to then: a day in UTC, which counts in whole, or before a moment.
    #[arg(long, value_name = "WHEN", value_parser = until)]
    until: Option<u64>,
    /// Only sessions with this one: a public key, or a name in [peers] of the config.
    #[arg(long, value_name = "KEY|NAME")]
    peer: Option<String>,
    /// Only sessions in this currency.
    #[arg(long, value_name = "NAME")]
    currency: Option<String>,
}

impl Pick {
    /// The time that is shown.
    pub(super) fn span(&self) -> Span {
        let since_ms = self.since.unwrap_or(Span::ALL.since_ms);
        Span { since_ms, until_ms: self.until.unwrap_or(Span::ALL.until_ms) }
    }

    /// Leaves out what is not asked for. A session is shown in whole when any of it was in time.
    pub(super) fn apply(&self, report: &mut Report, names: &Names) -> Outcome {
        let peer = self.peer.as_deref().map(|peer| names.key(peer)).transpose()?;
        let (span, currency) = (self.span(), self.currency.as_deref());
        if peer.is_none() && currency.is_none() && span == Span::ALL {
            return Ok(());
        }
        report.keep(|one: &Statement| {
            peer.is_none_or(|peer| *one.peer() == peer)
                && currency.is_none_or(|currency| one.legs().any(|leg| leg.currency == currency))
                && one.last_ms >= span.since_ms
                && one.began_ms < span.until_ms
        });
        Ok(())
    }
}

/// What the config calls the other sides.
#[derive(Default)]
pub(super) struct Names(HashMap<String, String>);

impl Names {
    pub(super) fn of(config: Option<&Config>) -> Names {
        let peers = config.map(|config| &config.peers).into_iter().flatten();
        Names(peers.map(|(name, key)| (key.to_string(), name.clone())).collect())
    }

    /// What a key is called, by its text.
    pub(super) fn name(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn key(&self, peer: &str) -> Outcome<PublicKey> {
        let by_name = self.0.iter().find(|(_, name)| *name == peer).map(|(key, _)| key.as_str());
        by_name.unwrap_or(peer).parse().map_err(|error| {
            let why = "and [peers] of the config (--config) has no such name";
            Failure::usage(format!("--peer {peer:?}: {error}, {why}"))
        })
    }
}

fn since(text: &str) -> Result<u64, String> {
    when(text).map(|(at_ms, _)| at_ms)
}

fn until(text: &str) -> Result<u64, String> {
    when(text).map(|(at_ms, is_day)| if is_day { at_ms.saturating_add(DAY_MS) } else { at_ms })
}

/// A moment, and whether it stands for its day.
fn when(text: &str) -> Result<(u64, bool), String> {
    let is_day = !text.contains('T');
    let whole = if is_day { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let moment: Result<Moment, _> = whole.parse();
    moment.map(|moment| (moment.0, is_day)).map_err(|_| {
        "expected a day in UTC like 2026-01-31, or a moment like 2026-01-31T12:00:00Z".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_in_utc_and_a_moment_at_once() {
        assert_eq!(since("1970-01-02"), Ok(DAY_MS));
        assert_eq!(until("1970-01-02"), Ok(2 * DAY_MS));
        assert_eq!(until("1970-01-02T00:00:01Z"), Ok(DAY_MS + 1_000));
        for bad in ["", "yesterday", "1970-01-32", "1969-12-31", "1970-01-02T00:00:00+01:00"] {
            assert!(since(bad).is_err(), "{bad} was taken");
        }
    }
}
