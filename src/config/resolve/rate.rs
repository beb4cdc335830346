//! Rates: the one that is written, or who is asked and what a quote must keep to.

use super::super::file::{RateFile, RateSourceFile, RateSourceKind, Units};
use super::super::{LedgerAt, LedgerConfig, RateFrom, RateSource, RateSourceAt, ToldRate};
use super::value::{account, known, visible, within, wrong};
use super::{Outcome, Wrong, secret};
use crate::rates::SOURCES_MAX;
use crate::rates::json::Pointer;
use crate::terms::Rate;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

/// A price that is older than two minutes is one of another market.
const MAX_AGE_S_DEFAULT: u64 = 120;
const SPREAD_PERMILLE_DEFAULT: u32 = 20;
const JUMP_PERMILLE_DEFAULT: u32 = 100;
const JUMP_WITHIN_S_DEFAULT: u64 = 600;
const EVERY_S_DEFAULT: u64 = 10;
const GOOD_FOR_S_DEFAULT: u64 = 120;
const PATIENCE_MS_DEFAULT: u64 = 5_000;
/// A source that takes longer than a minute is as good as none.
const PATIENCE_MS: RangeInclusive<u64> = 100..=60_000;
/// From a second to a month.
const SECONDS: RangeInclusive<u64> = 1..=30 * 24 * 60 * 60;
const PLACES: RangeInclusive<u64> = 0..=38;

pub(super) fn rate(
    currency: &str,
    written: RateFile,
    ledgers: &BTreeMap<String, LedgerConfig>,
    base: &Path,
) -> Outcome<RateFrom> {
    match (&written.sources, written.numerator, written.denominator) {
        (Some(_), None, None) => told(currency, written, ledgers, base),
        (Some(_), numerator, _) => {
            let key = numerator.map_or("denominator", |_| "numerator");
            let what = "a rate is fixed (numerator and denominator) or told by sources: remove one";
            Err(wrong(&at(currency, key), what))
        }
        (None, Some(numerator), Some(denominator)) => {
            only_fixed(currency, &written)?;
            fixed(currency, numerator, denominator).map(RateFrom::Fixed)
        }
        (None, ..) => {
            let what = "which rate? { numerator = 1, denominator = 2 }, or sources = [...] that \
                        tell it";
            Err(wrong(&["currencies", currency, "rate"], what))
        }
    }
}

fn fixed(currency: &str, numerator: Units, denominator: Units) -> Outcome<Rate> {
    for (key, units) in [("numerator", numerator), ("denominator", denominator)] {
        if !(1..=Rate::PLAIN_MAX).contains(&units.0.units()) {
            let what = "a rate is a ratio of two numbers that are not zero, below 2^63: \
                        { numerator = \"1\", denominator = \"1\" } is one for one";
            return Err(wrong(&at(currency, key), what));
        }
    }
    let rate = Rate { numerator: numerator.0, denominator: denominator.0 };
    Ok(if rate.numerator == rate.denominator { Rate::ONE } else { rate })
}

fn only_fixed(currency: &str, written: &RateFile) -> Outcome<()> {
    let keys = [
        ("max_age_s", written.max_age_s.is_some()),
        ("largest_spread_permille", written.largest_spread_permille.is_some()),
        ("largest_jump_permille", written.largest_jump_permille.is_some()),
        ("jump_within_s", written.jump_within_s.is_some()),
        ("least_sources", written.least_sources.is_some()),
        ("every_s", written.every_s.is_some()),
        ("good_for_s", written.good_for_s.is_some()),
        ("patience_ms", written.patience_ms.is_some()),
    ];
    match keys.iter().find(|(_, is_written)| *is_written) {
        Some((key, _)) => {
            Err(wrong(&at(currency, key), "it goes with sources: a fixed rate has none; remove it"))
        }
        None => Ok(()),
    }
}

fn told(
    currency: &str,
    written: RateFile,
    ledgers: &BTreeMap<String, LedgerConfig>,
    base: &Path,
) -> Outcome<RateFrom> {
    let at = |key: &'static str| at(currency, key);
    let seconds = |key, written: Option<u64>, default| {
        within(&at(key), written.unwrap_or(default), SECONDS.clone())
    };
    let max_age_s = seconds("max_age_s", written.max_age_s, MAX_AGE_S_DEFAULT)?;
    let listed = written.sources.unwrap_or_default();
    let count = listed.len();
    if !(1..=SOURCES_MAX).contains(&count) {
        let what = format!("who tells it? 1 to {SOURCES_MAX} sources");
        return Err(wrong(&at("sources"), what));
    }
    let source = |(index, written): (usize, RateSourceFile)| {
        let index = index.to_string();
        let of = Table { path: ["currencies", currency, "rate", "sources", &index] };
        source(&of, written, max_age_s, ledgers, base)
    };
    let sources = listed.into_iter().enumerate().map(source).collect::<Outcome<_>>()?;
    // More than half of them, unless another number is written.
    let least = written.least_sources.unwrap_or(count as u64 / 2 + 1);
    let patience_ms = written.patience_ms.unwrap_or(PATIENCE_MS_DEFAULT);
    let told = ToldRate {
        // It is 8 at most.
        least_sources: within(&at("least_sources"), least, 1..=count as u64)? as usize,
        largest_spread_permille: written.largest_spread_permille.unwrap_or(SPREAD_PERMILLE_DEFAULT),
        largest_jump_permille: written.largest_jump_permille.unwrap_or(JUMP_PERMILLE_DEFAULT),
        jump_within_s: seconds("jump_within_s", written.jump_within_s, JUMP_WITHIN_S_DEFAULT)?,
        every_s: seconds("every_s", written.every_s, EVERY_S_DEFAULT)?,
        good_for_s: seconds("good_for_s", written.good_for_s, GOOD_FOR_S_DEFAULT)?,
        patience_ms: within(&at("patience_ms"), patience_ms, PATIENCE_MS)?,
        sources,
    };
    lasts(currency, &told)?;
    Ok(RateFrom::Told(Box::new(told)))
}

/// A quote must last until the next one is made, or the currency would come and go.
fn lasts(currency: &str, told: &ToldRate) -> Outcome<()> {
    let least_s = told.every_s + told.patience_ms.div_ceil(1_000);
    if told.good_for_s > least_s {
        return Ok(());
    }
    let what = format!(
        "{} s are over before the next quote: write more than every_s and patience_ms together, \
         which are {least_s} s",
        told.good_for_s
    );
    Err(wrong(&at(currency, "good_for_s"), what))
}

/// The table of a source.
struct Table<'a> {
    path: [&'a str; 5],
}

impl Table<'_> {
    fn wrong(&self, key: &str, what: impl std::fmt::Display) -> Wrong {
        wrong(&self.key(key), what)
    }

    fn key<'b>(&'b self, key: &'b str) -> Vec<&'b str> {
        [self.path.as_slice(), &[key]].concat()
    }
}

fn source(
    of: &Table<'_>,
    written: RateSourceFile,
    max_age_s: u64,
    ledgers: &BTreeMap<String, LedgerConfig>,
    base: &Path,
) -> Outcome<RateSource> {
    only_keys_of_kind(of, &written)?;
    let (name, places) = (written.name.clone(), written.places);
    let max_age_s = written.max_age_s.unwrap_or(max_age_s);
    let invert = written.invert.unwrap_or(false);
    Ok(RateSource {
        at: place(of, written, ledgers, base)?,
        name: name.map(|name| visible(&of.key("name"), &name)).transpose()?,
        invert,
        // It is 38 at most.
        places: places
            .map(|places| within(&of.key("places"), places, PLACES).map(|places| places as u8))
            .transpose()?,
        max_age_s: within(&of.key("max_age_s"), max_age_s, SECONDS)?,
    })
}

fn place(
    of: &Table<'_>,
    written: RateSourceFile,
    ledgers: &BTreeMap<String, LedgerConfig>,
    base: &Path,
) -> Outcome<RateSourceAt> {
    let missing = |what: &str| wrong(&of.path, what);
    let pointer = |key: &str, text: String| text.parse().map_err(|why: String| of.wrong(key, why));
    let time = |text: Option<String>| text.map(|text| pointer("at", text)).transpose();
    Ok(match written.kind {
        RateSourceKind::Http => {
            if !cfg!(feature = "rates-http") {
                let what = "this sdpp was built without rates over HTTP: build one with \
                            `--features rates-http`, or have a file tell the price";
                return Err(of.wrong("kind", what));
            }
            let url = written.url.as_ref().ok_or_else(|| {
                missing("where is it? url = \"https://prices.example/eth-usd\", and pointer")
            })?;
            let what = "expected \"http://HOST\" or https, perhaps with a path, and no query, as \
                        that may be an API key: then put the whole URL elsewhere and write \
                        \"env:NAME\" or \"file:PATH\". A key that stood here has been in the \
                        open: replace it";
            let url = secret::url(url, base).ok_or_else(|| of.wrong("url", what))?;
            let text = written.pointer.ok_or_else(|| {
                missing("where in the answer is the price? pointer = \"/data/price\", or \"\"")
            })?;
            RateSourceAt::Http { url, pointer: pointer("pointer", text)?, time: time(written.at)? }
        }
        RateSourceKind::File => {
            let path =
                written.path.ok_or_else(|| missing("which file? path = \"eth-usd.json\""))?;
            let at: Option<Pointer> = time(written.at)?;
            let pointer = pointer("pointer", written.pointer.unwrap_or_default())?;
            RateSourceAt::File { path: base.join(path), pointer, time: at }
        }
        RateSourceKind::Feed => {
            let (ledger, contract) = written.ledger.zip(written.contract).ok_or_else(|| {
                missing("which contract on which ledger? ledger = \"main\", contract = \"0x...\"")
            })?;
            let ledger = known(&of.key("ledger"), ledger, ledgers, "ledgers")?;
            if !ledgers.get(&ledger).is_some_and(|of| matches!(of.at, LedgerAt::Ethereum(_))) {
                let what = "this kind of ledger has no contracts that tell prices";
                return Err(of.wrong("ledger", what));
            }
            RateSourceAt::Feed { ledger, contract: account(&of.key("contract"), &contract)? }
        }
    })
}

fn only_keys_of_kind(of: &Table<'_>, written: &RateSourceFile) -> Outcome<()> {
    use RateSourceKind::{Feed, File, Http};
    let keys: [(&str, bool, &[RateSourceKind]); 6] = [
        ("url", written.url.is_some(), &[Http]),
        ("path", written.path.is_some(), &[File]),
        ("pointer", written.pointer.is_some(), &[Http, File]),
        ("at", written.at.is_some(), &[Http, File]),
        ("ledger", written.ledger.is_some(), &[Feed]),
        ("contract", written.contract.is_some(), &[Feed]),
    ];
    match keys.iter().find(|(_, is_written, kinds)| *is_written && !kinds.contains(&written.kind)) {
        Some((key, ..)) => {
            let what = "this kind of source has no such key: remove it, or change the kind";
            Err(of.wrong(key, what))
        }
        None => Ok(()),
    }
}

fn at<'a>(currency: &'a str, key: &'a str) -> [&'a str; 4] {
    ["currencies", currency, "rate", key]
}
