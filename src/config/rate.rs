//! Where the rate of a currency comes from: it is written here, or sources are asked.

use super::EndpointFrom;
use crate::rates::json::Pointer;
use crate::terms::Rate;
use sdpp_ledger::Account;
use serde::Serialize;
use std::path::PathBuf;

/// Where a rate comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RateFrom {
    /// It is this, and never changes; both numbers are below 2^63.
    Fixed(Rate),
    /// Sources tell it.
    Told(Box<ToldRate>),
}

impl RateFrom {
    /// The rate, where it never changes.
    pub fn fixed(&self) -> Option<Rate> {
        match self {
            RateFrom::Fixed(rate) => Some(*rate),
            RateFrom::Told(_) => None,
        }
    }

    /// Who tells it, where it changes.
    pub fn told(&self) -> Option<&ToldRate> {
        match self {
            RateFrom::Fixed(_) => None,
            RateFrom::Told(told) => Some(told),
        }
    }

    /// Whether it is one to one for ever.
    pub fn is_one_to_one(&self) -> bool {
        self.fixed().is_some_and(|rate| rate.numerator == rate.denominator)
    }
}

/// The sources of a rate, and what a quote of them must keep to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToldRate {
    /// How many sources must have said something that still counts; at least 1.
    pub least_sources: usize,
    /// How much more the highest of them may be than the lowest, in thousandths of the lowest.
    pub largest_spread_permille: u32,
    /// How far a quote may be from the one that `jump_within_s` began with, in thousandths of it.
    pub largest_jump_permille: u32,
    /// So long a quote is what later ones are measured by, in seconds.
    pub jump_within_s: u64,
    /// How often the sources are asked, in seconds.
    pub every_s: u64,
    /// How long a quote is offered, in seconds: longer than until the next.
    pub good_for_s: u64,
    /// How long a source may take to answer, in milliseconds.
    pub patience_ms: u64,
    /// Who is asked, 1 to 8.
    pub sources: Vec<RateSource>,
}

/// Who tells a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateSource {
    /// Where.
    #[serde(flatten)]
    pub at: RateSourceAt,
    /// What buyers are told that it is called; `None` for a host, the name of a file, or a contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it tells what one whole coin of the default currency costs in the currency. Else
    /// what one of the currency costs in the default one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub invert: bool,
    /// How many places behind the point of a price count; the rest is rounded in the buyer's
    /// favour. `None`: all do, and a price that does not fit is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub places: Option<u8>,
    /// How old what it says may be, in seconds.
    pub max_age_s: u64,
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RateSourceAt {
    /// A JSON document over HTTP.
    Http {
        /// Its URL.
        url: EndpointFrom,
        /// Where in the document the price is.
        pointer: Pointer,
        /// Where the time is at which it was so; `None` for when it is asked.
        #[serde(rename = "at", skip_serializing_if = "Option::is_none")]
        time: Option<Pointer>,
    },
    /// A file: a JSON document, or a price alone on a line.
    File {
        /// The file.
        path: PathBuf,
        /// Where in the document the price is.
        pointer: Pointer,
        /// Where the time is at which it was so; `None` for when it was written.
        #[serde(rename = "at", skip_serializing_if = "Option::is_none")]
        time: Option<Pointer>,
    },
    /// A contract that others tell the price.
    Feed {
        /// The ledger that it is on: a name in the config's ledgers.
        ledger: String,
        /// The contract.
        contract: Account,
    },
}
