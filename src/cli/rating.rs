//! The sources of rates that a config names: how they are asked, and what they answer now.

use super::exit::{Failure, Outcome};
use crate::actors::now_ms;
#[cfg(feature = "rates-http")]
use crate::config::EndpointFrom;
use crate::config::{Config, CurrencyConfig, RateSource, RateSourceAt, ToldRate};
use crate::message::Moment;
use crate::rates::price::Units;
#[cfg(feature = "rates-http")]
use crate::rates::source::Server;
use crate::rates::source::{Place, Pointers, Source, Ticker};
use crate::rates::{Book, Heard, Limits, Ratio};
#[cfg(feature = "rates-http")]
use sdpp_ledger::Endpoint;
use sdpp_ledger::Ledger;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The longest name of a source that was not given one, in characters.
const NAME_CHARS_MAX: usize = 100;

/// The sources of each currency whose rate is told, by its name. `ledger` knows the ledgers of the
/// config by theirs.
pub(super) fn tickers(
    config: &Config,
    ledger: impl Fn(&str) -> Option<Arc<dyn Ledger>>,
) -> Outcome<BTreeMap<String, Ticker>> {
    let default = config.seller.as_ref().map(|seller| &seller.default_currency);
    let Some(default) = default.and_then(|name| config.currencies.get(name)) else {
        return Ok(BTreeMap::new());
    };
    let told = config.currencies.iter().filter_map(|(name, of)| Some((name, of, of.rate.told()?)));
    told.map(|(name, of, told)| {
        let one = |(at, source): (usize, &RateSource)| {
            let place = format!("currencies.{name}.rate.sources.{at}");
            let in_place = |why| Failure::usage(format!("{place}: {why}"));
            self::source(source, [of, default], &ledger).map_err(in_place)
        };
        let sources = told.sources.iter().enumerate().map(one).collect::<Outcome<_>>()?;
        let (every, patience) = (told.every_s, Duration::from_millis(told.patience_ms));
        let (limits, every) = (limits(told), Duration::from_secs(every));
        Ok((name.clone(), Ticker { sources, limits, every, patience }))
    })
    .collect()
}

fn limits(told: &ToldRate) -> Limits {
    Limits {
        least_sources: told.least_sources,
        largest_spread_permille: told.largest_spread_permille,
        largest_jump_permille: told.largest_jump_permille,
        jump_within_ms: told.jump_within_s * 1_000,
        good_for_ms: told.good_for_s * 1_000,
    }
}

fn source(
    written: &RateSource,
    [currency, default]: [&CurrencyConfig; 2],
    ledger: impl Fn(&str) -> Option<Arc<dyn Ledger>>,
) -> Result<Source, String> {
    let pointers = |price: &crate::rates::json::Pointer, at: &Option<_>| Pointers {
        price: price.clone(),
        at: at.clone(),
    };
    let (name, place) = match &written.at {
        #[cfg(not(feature = "rates-http"))]
        RateSourceAt::Http { url, .. } => {
            return Err(format!("{url} is over HTTP, which this sdpp was built without"));
        }
        #[cfg(feature = "rates-http")]
        RateSourceAt::Http { url, pointer, time } => {
            let server = Server::new(endpoint(url)?).map_err(|error| error.to_string())?;
            let host = server.endpoint().url().host_str().unwrap_or_default().to_owned();
            (host, Place::Http { server, pointers: pointers(pointer, time) })
        }
        RateSourceAt::File { path, pointer, time } => {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let pointers = pointers(pointer, time);
            (name.unwrap_or_default(), Place::File { path: path.clone(), pointers })
        }
        RateSourceAt::Feed { ledger: name, contract } => {
            let ledger = ledger(name).ok_or_else(|| format!("there is no ledger {name}"))?;
            let (name, contract) = (format!("{}/{contract}", ledger.id()), contract.clone());
            (name, Place::Feed { ledger, contract })
        }
    };
    let units = Units {
        currency: currency.decimals,
        default: default.decimals,
        is_inverted: written.invert,
        places: written.places,
    };
    let name = written.name.clone().unwrap_or_else(|| shown(&name));
    let max_age_ms = written.max_age_s * 1_000;
    Ok(Source { name, place, units, max_age_ms })
}

/// A name that strangers are shown and terminals print.
fn shown(name: &str) -> String {
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    name.chars().take(NAME_CHARS_MAX).map(visible).collect()
}

#[cfg(feature = "rates-http")]
fn endpoint(from: &EndpointFrom) -> Result<Endpoint, String> {
    let url = from.read().map_err(|error| error.to_string())?;
    url.trim().parse().map_err(|error| format!("{from}: {error}"))
}

/// What the sources of a currency answer now.
#[derive(Serialize)]
pub(super) struct Answers {
    currency: String,
    default: String,
    sources: Vec<Answer>,
    /// The rate that they make.
    rate: Option<String>,
    /// Why they make none.
    why: Option<String>,
}

/// What one of them does.
#[derive(Serialize)]
struct Answer {
    source: String,
    rate: Option<String>,
    at: Option<Moment>,
    why: Option<String>,
}

/// Asks each source once.
pub(super) async fn answers(
    config: &Config,
    ledger: impl Fn(&str) -> Option<Arc<dyn Ledger>>,
) -> Outcome<Vec<Answers>> {
    let default = config.seller.as_ref().map(|seller| seller.default_currency.clone());
    let mut all = Vec::new();
    for (currency, ticker) in tickers(config, ledger)? {
        let heard = ticker.ask(now_ms()).await;
        let names = ticker.sources.iter().map(|source| source.name.clone());
        let sources = names.zip(&heard).map(|(name, heard)| Answer::new(name, heard)).collect();
        let entries = ticker.sources.iter().map(|source| (source.name.clone(), source.max_age_ms));
        let quote = Book::new(ticker.limits.clone(), entries).take(heard, now_ms());
        let why = quote.as_ref().err().map(ToString::to_string);
        let rate = quote.ok().and_then(|quote| quote.rate());
        let rate = rate.map(|rate| Ratio(&rate).to_string());
        let default = default.clone().unwrap_or_default();
        all.push(Answers { currency, default, sources, rate, why });
    }
    Ok(all)
}

impl Answer {
    fn new(source: String, heard: &Heard) -> Self {
        let (rate, at, why) = match heard {
            Heard::Said { rate, at_ms } => {
                (Some(Ratio(rate).to_string()), Some(Moment(*at_ms)), None)
            }
            Heard::Silent(why) | Heard::Nonsense(why) => (None, None, Some(why.clone())),
        };
        Answer { source, rate, at, why }
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answers { currency, default, sources, rate, why } = self;
        for Answer { source, rate, at, why } in sources {
            match (rate, at, why) {
                (Some(rate), Some(at), _) => {
                    writeln!(f, "{currency}  {source} says {rate} of {default}, at {at}")?;
                }
                (.., why) => {
                    let why = why.as_deref().unwrap_or_default();
                    writeln!(f, "{currency}  {source} says nothing: {why}")?;
                }
            }
        }
        match rate {
            Some(rate) => write!(f, "{currency}  is offered at {rate} units of {default}"),
            None => {
                let why = why.as_deref().unwrap_or_default();
                write!(f, "{currency}  is not offered now: {why}")
            }
        }
    }
}
