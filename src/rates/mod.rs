//! Rates with evidence: what several sources say of a currency, and whether a quote can be made of
//! it that is neither stale nor wild.
//!
//! Here is what decides: tables and sums, which are told what was said and what time it is. A
//! price that is written becomes a ratio of two integers in [`price`], the one value of a JSON
//! document is found in [`json`]. [`source`] alone asks: over HTTP, in a file, on a ledger.

pub mod json;
pub mod price;
pub mod source;

use crate::message::{Moment, Quote, Quoted};
use crate::terms::Rate;
use std::fmt;

/// The most sources of one currency.
pub const SOURCES_MAX: usize = Quote::SOURCES_MAX;

/// The name of the source of a rate that never changes.
pub const FIXED: &str = "fixed";

/// How far a source's clock may be ahead of ours, in milliseconds.
const AHEAD_MS_MAX: u64 = 60_000;

/// What a quote must keep to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many sources must have said something that still counts; at least 1.
    pub least_sources: usize,
    /// How much higher the highest of them may be than the lowest, in thousandths of the lowest.
    pub largest_spread_permille: u32,
    /// How far a quote may be from the one that `jump_within_ms` began with, in thousandths of it.
    pub largest_jump_permille: u32,
    /// So long a quote is what later ones are measured by, in milliseconds.
    pub jump_within_ms: u64,
    /// How long a quote is offered, in milliseconds.
    pub good_for_ms: u64,
}

/// What came of asking a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It said so.
    Said {
        /// The currency's smallest units for one of the default currency's.
        rate: Rate,
        /// When, in milliseconds since 1970 UTC.
        at_ms: u64,
    },
    /// It was not reached, or not in time: what it said before counts as long as it is not too old.
    Silent(String),
    /// What it says is no rate: what it said before counts no more.
    Nonsense(String),
}

/// What the sources of one currency said, and the quotes that were made of it.
#[derive(Debug, Clone)]
pub struct Book {
    limits: Limits,
    sources: Vec<Entry>,
    /// What later quotes are measured by, and the last that was made.
    measure: Option<Made>,
    last: Option<Made>,
}

/// A quote that was made, as later ones are measured by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Its rate.
    pub rate: Rate,
    /// When it was made, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// What is known of a source.
#[derive(Debug, Clone)]
struct Entry {
    name: String,
    max_age_ms: u64,
    said: Option<(Rate, u64)>,
    /// Why it said nothing when it was asked last.
    trouble: Option<String>,
}

/// Why there is no quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    /// Too few sources.
    TooFew {
        /// How many said something that counts.
        have: usize,
        /// How many must.
        least: usize,
        /// What is the matter with the others, a sentence for each.
        troubles: Vec<String>,
    },
    /// Sources differ too much.
    Spread {
        /// Who says the least, and who the most.
        between: Box<[Quoted; 2]>,
        /// How much more that may be, in thousandths.
        permille: u32,
    },
    /// Too far from what it was.
    Jump {
        /// What it would be.
        to: Rate,
        /// What it was, and when.
        from: (Rate, Moment),
        /// How far it may be, in thousandths.
        permille: u32,
    },
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WhyNot::TooFew { have, least, troubles } => {
                write!(f, "{have} of at least {least} sources tell its rate")?;
                troubles.iter().try_for_each(|trouble| write!(f, "; {trouble}"))
            }
            WhyNot::Spread { between, permille } => {
                let [low, high] = between.as_ref().each_ref().map(|one| Ratio(&one.rate));
                let [lower, higher] = between.as_ref().each_ref().map(|one| &one.source);
                write!(f, "its sources differ by more than {permille} permille: ")?;
                write!(f, "{lower} says {low}, {higher} says {high}")
            }
            WhyNot::Jump { to, from: (rate, at), permille } => write!(
                f,
                "its rate jumps by more than {permille} permille: from {} at {at} to {}",
                Ratio(rate),
                Ratio(to)
            ),
        }
    }
}

/// A rate for people.
pub struct Ratio<'a>(pub &'a Rate);

impl fmt::Display for Ratio<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.0.numerator, self.0.denominator)
    }
}

/// The quote of a rate that never changes.
pub fn fixed(rate: Rate, now_ms: u64, good_for_ms: u64) -> Quote {
    let at = Moment(now_ms);
    let sources = vec![Quoted { source: FIXED.to_owned(), rate, at }];
    Quote { sources, at, expires_at: Moment(now_ms.saturating_add(good_for_ms)) }
}

impl Book {
    /// A book of sources by their names and how old what each says may be, in milliseconds; up to
    /// [`SOURCES_MAX`].
    pub fn new(limits: Limits, sources: impl Iterator<Item = (String, u64)>) -> Self {
        let entry = |(name, max_age_ms)| Entry { name, max_age_ms, said: None, trouble: None };
        let sources = sources.take(SOURCES_MAX).map(entry).collect();
        Book { limits, sources, measure: None, last: None }
    }

    /// Goes on from the last quote that an earlier process made: later ones are measured by it as
    /// if there had been no restart.
    pub fn go_on_from(&mut self, last: Made, now_ms: u64) {
        // By our clock nothing was made later than now.
        let last = Made { at_ms: last.at_ms.min(now_ms), ..last };
        (self.measure, self.last) = (Some(last), Some(last));
    }

    /// The last quote that was made, as later ones are measured by it.
    pub fn last(&self) -> Option<Made> {
        self.last
    }

    /// Takes what came of asking each source, in their order, and makes a quote of all that counts.
    ///
    /// # Errors
    /// Why none can be made.
    pub fn take(&mut self, heard: Vec<Heard>, now_ms: u64) -> Result<Quote, WhyNot> {
        for (entry, heard) in self.sources.iter_mut().zip(heard) {
            entry.take(heard, now_ms);
        }
        let quote = self.quote(now_ms)?;
        // Every entry of a quote is plain, and there is one at least.
        self.last = quote.rate().map(|rate| Made { rate, at_ms: now_ms });
        self.measure = self.measure.or(self.last);
        Ok(quote)
    }

    fn quote(&mut self, now_ms: u64) -> Result<Quote, WhyNot> {
        let sources: Vec<Quoted> =
            self.sources.iter().filter_map(|entry| entry.quoted(now_ms)).collect();
        self.enough(&sources, now_ms)?;
        self.near(&sources)?;
        let (at, expires_at) = (Moment(now_ms), now_ms.saturating_add(self.limits.good_for_ms));
        let quote = Quote { sources, at, expires_at: Moment(expires_at) };
        // Every entry is plain, and there is one at least.
        if let Some(rate) = quote.rate() {
            self.steady(rate, now_ms)?;
        }
        Ok(quote)
    }

    fn enough(&self, sources: &[Quoted], now_ms: u64) -> Result<(), WhyNot> {
        let (have, least) = (sources.len(), self.limits.least_sources.max(1));
        let troubles = || self.sources.iter().filter_map(|entry| entry.trouble(now_ms)).collect();
        if have < least {
            return Err(WhyNot::TooFew { have, least, troubles: troubles() });
        }
        Ok(())
    }

    fn near(&self, sources: &[Quoted]) -> Result<(), WhyNot> {
        let permille = self.limits.largest_spread_permille;
        let order = |one: &&Quoted, other: &&Quoted| one.rate.compare(&other.rate);
        let (Some(low), Some(high)) = (sources.iter().min_by(order), sources.iter().max_by(order))
        else {
            return Ok(());
        };
        match is_above(&high.rate, &low.rate, permille) {
            true => {
                Err(WhyNot::Spread { between: Box::new([low.clone(), high.clone()]), permille })
            }
            false => Ok(()),
        }
    }

    /// Quotes are measured by the one that a stretch of time began with, so that small steps do not
    /// add up within it. When it is over, the last that was made begins the next.
    fn steady(&mut self, rate: Rate, now_ms: u64) -> Result<(), WhyNot> {
        let Limits { largest_jump_permille: permille, jump_within_ms, .. } = self.limits;
        let is_over = |made: &Made| now_ms.saturating_sub(made.at_ms) > jump_within_ms;
        if self.measure.as_ref().is_some_and(is_over) {
            self.measure = self.last.filter(|last| !is_over(last));
        }
        let Some(measure) = self.measure else { return Ok(()) };
        let from = (measure.rate, Moment(measure.at_ms));
        match is_above(&rate, &from.0, permille) || is_below(&rate, &from.0, permille) {
            true => Err(WhyNot::Jump { to: rate, from, permille }),
            false => Ok(()),
        }
    }
}

impl Entry {
    fn take(&mut self, heard: Heard, now_ms: u64) {
        (self.said, self.trouble) = match heard {
            Heard::Said { at_ms, .. } if at_ms > now_ms.saturating_add(AHEAD_MS_MAX) => {
                (None, Some(format!("its time, {}, is yet to come", Moment(at_ms))))
            }
            Heard::Said { rate, .. } if !rate.is_plain() => {
                (None, Some("its rate is not of two numbers below 2^63".to_owned()))
            }
            // By our clock nothing was said later than now.
            Heard::Said { rate, at_ms } => (Some((rate, at_ms.min(now_ms))), None),
            Heard::Silent(why) => (self.said, Some(why)),
            Heard::Nonsense(why) => (None, Some(why)),
        };
    }

    fn quoted(&self, now_ms: u64) -> Option<Quoted> {
        let (rate, at_ms) = self.said.filter(|(_, at_ms)| !self.is_stale(*at_ms, now_ms))?;
        Some(Quoted { source: self.name.clone(), rate, at: Moment(at_ms) })
    }

    fn is_stale(&self, at_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(at_ms) > self.max_age_ms
    }

    /// What is the matter with it.
    fn trouble(&self, now_ms: u64) -> Option<String> {
        let stale = self.said.filter(|(_, at_ms)| self.is_stale(*at_ms, now_ms));
        let stale = stale.map(|(_, at_ms)| {
            let (age_s, most_s) = (now_ms.saturating_sub(at_ms) / 1_000, self.max_age_ms / 1_000);
            format!("what it said is {age_s} s old, {most_s} at most")
        });
        let why: Vec<String> = [self.trouble.clone(), stale].into_iter().flatten().collect();
        (!why.is_empty()).then(|| format!("{}: {}", self.name, why.join(", ")))
    }
}

/// Whether a rate is more than so many thousandths above another.
fn is_above(rate: &Rate, base: &Rate, permille: u32) -> bool {
    let [ours, theirs] = rate.crossed(base);
    times(ours, 1_000) > times(theirs, 1_000 + u64::from(permille))
}

/// Whether a rate is more than so many thousandths below another.
fn is_below(rate: &Rate, base: &Rate, permille: u32) -> bool {
    let [ours, theirs] = rate.crossed(base);
    times(ours, 1_000) < times(theirs, 1_000_u64.saturating_sub(permille.into()))
}

/// A product of up to 192 bits: its upper 128 and its lower 64.
fn times(number: u128, by: u64) -> (u128, u64) {
    let low = u128::from(number as u64) * u128::from(by);
    let high = (number >> 64) * u128::from(by) + (low >> 64);
    (high, low as u64)
}

#[cfg(test)]
mod tests;
