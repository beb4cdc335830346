//! Where a rate comes from: what several sources said, and the one rate that is made of it, in a way
//! that anybody can do again.

use crate::message::moment::Moment;
use crate::terms::Rate;
use serde::{Deserialize, Serialize};

/// A rate's evidence, as the seller signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// What the sources said, at least one; see [`Quote::rate`].
    pub sources: Vec<Quoted>,
    /// When the rate was made of it.
    pub at: Moment,
    /// Until when it is offered.
    pub expires_at: Moment,
}

/// What one source said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quoted {
    /// The source's name, for people: `fixed`, a host, a ledger's contract.
    pub source: String,
    /// The currency's units for one unit of the default currency.
    pub rate: Rate,
    /// When it said so.
    pub at: Moment,
}

impl Quote {
    /// The most sources that a quote has.
    pub const SOURCES_MAX: usize = 8;

    /// The rate that these sources make: the one in the middle. Of an even number the lower of the
    /// two in the middle, which is the buyer's favour. Never a new number: somebody said this one.
    /// `None` where there is no source, or too many, or one whose rate is not
    /// plain ([`Rate::is_plain`]).
    pub fn rate(&self) -> Option<Rate> {
        let mut rates: Vec<Rate> = self.sources.iter().map(|quoted| quoted.rate).collect();
        if rates.len() > Self::SOURCES_MAX || !rates.iter().all(Rate::is_plain) {
            return None;
        }
        rates.sort_by(Rate::compare);
        rates.get(rates.len().checked_sub(1)? / 2).copied()
    }
}
