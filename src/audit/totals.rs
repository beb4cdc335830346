//! Sums over sessions: by peer, topic, currency and day.
//!
//! Never of two currencies: one that has the same name on another ledger, or is another asset
//! there, is another. Never of what came in and what went out. Fees are in their ledger's own coin
//! and have sums of their own.

use super::payments::{Payment, Progress};
use super::{Cost, LegStatement, Report, Statement, Told};
use crate::terms::Role;
use sdpp_ledger::{Amount, Asset, LedgerId};
use std::collections::BTreeMap;

/// A day's milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A span of time: from a moment on, and before another, in milliseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first moment in it.
    pub since_ms: u64,
    /// The first moment after it.
    pub until_ms: u64,
}

impl Span {
    /// All of time.
    pub const ALL: Span = Span { since_ms: 0, until_ms: u64::MAX };

    /// Whether a moment is in it.
    pub fn has(&self, at_ms: u64) -> bool {
        (self.since_ms..self.until_ms).contains(&at_ms)
    }
}

/// What is summed over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The other side, by its key's text.
    Peer(String),
    /// What was sold.
    Topic(String),
    /// All of a currency.
    Currency,
    /// A day in UTC, by its first millisecond: of what was settled the day on which that was
    /// final, of what was invoiced the day of the invoice.
    Day(u64),
}

/// A currency, and which way it went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money {
    /// Whether it came in: we are the seller.
    pub is_income: bool,
    /// Its name.
    pub name: String,
    /// Its ledger.
    pub ledger: LedgerId,
    /// What it is there.
    pub asset: Asset,
    /// Its decimals.
    pub decimals: u8,
}

impl Money {
    fn of(role: Role, leg: &LegStatement) -> Money {
        Money {
            is_income: role == Role::Seller,
            name: leg.currency.clone(),
            ledger: leg.ledger.clone(),
            asset: leg.asset.clone(),
            decimals: leg.decimals,
        }
    }
}

/// Sums in one currency's smallest unit; `None` where one passes 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// How many sessions have a part in it.
    pub sessions: u64,
    /// Items that were invoiced.
    pub items: u64,
    /// What was invoiced.
    pub invoiced: Option<Amount>,
    /// What was settled on the ledger, for good.
    pub settled: Option<Amount>,
}

impl Default for Sums {
    fn default() -> Self {
        let zero = Some(Amount::ZERO);
        Sums { sessions: 0, items: 0, invoiced: zero, settled: zero }
    }
}

/// Sums of fees in a ledger's own coin, in its smallest unit; `None` where one passes 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// What was paid: of each transaction what was left after its rebate.
    pub fee: Option<Amount>,
    /// What was given back of deposits.
    pub rebate: Option<Amount>,
}

impl Default for Fees {
    fn default() -> Self {
        Fees { fee: Some(Amount::ZERO), rebate: Some(Amount::ZERO) }
    }
}

impl Fees {
    /// Whether nothing was paid, and nothing given back.
    pub fn is_nothing(&self) -> bool {
        *self == Fees::default()
    }
}

/// All sums.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// By what, in which currency.
    pub money: BTreeMap<(By, Money), Sums>,
    /// Our fees, by what, in which ledger's coin. What belongs to no session
    /// (a channel's opening) is in the day's sum and in the ledger's whole, [`By::Currency`].
    pub fees: BTreeMap<(By, LedgerId), Fees>,
}

impl Totals {
    /// Of what a report shows, as far as it was in a span of time.
    pub fn of(report: &Report, span: Span) -> Totals {
        let mut totals = Totals::default();
        for statement in &report.statements {
            totals.add_session(statement, span);
        }
        for Cost { ledger, evidence, .. } in &report.costs {
            if span.has(evidence.at_ms) {
                for by in [By::Currency, By::Day(day(evidence.at_ms))] {
                    totals.add_fee(by, ledger, evidence);
                }
            }
        }
        totals
    }

    fn add_session(&mut self, one: &Statement, span: Span) {
        // Two legs in one currency are one session's part in its sums.
        let mut own: BTreeMap<(By, Money), Sums> = BTreeMap::new();
        let payments = one.payments();
        for (place, leg) in one.legs().enumerate() {
            let money = Money::of(one.role, leg);
            let mut add = |at_ms: u64, change: &dyn Fn(&mut Sums)| {
                if span.has(at_ms) {
                    for by in bys(one, at_ms) {
                        change(own.entry((by, money.clone())).or_default());
                    }
                }
            };
            if place == 0 {
                add(one.began_ms, &|_| {});
            }
            for line in &leg.invoices {
                add(line.at_ms, &|sums| {
                    sums.items = sums.items.saturating_add(line.items);
                    sums.invoiced = sum(sums.invoiced, line.amount);
                });
            }
            let is_final = |line: &&Payment| line.leg == place && line.progress == Progress::Final;
            for line in payments.iter().filter(is_final) {
                add(line.at_ms, &|sums| sums.settled = sum(sums.settled, line.amount));
            }
        }
        for (of, sums) in own {
            let all = self.money.entry(of).or_default();
            all.sessions += 1;
            all.items = all.items.saturating_add(sums.items);
            all.invoiced = sums.invoiced.and_then(|amount| sum(all.invoiced, amount));
            all.settled = sums.settled.and_then(|amount| sum(all.settled, amount));
        }
        self.add_fees(one, span);
    }

    fn add_fees(&mut self, one: &Statement, span: Span) {
        let settlements = one.settlements.iter().map(|line| (&line.ledger, &line.evidence));
        let anchors = one.anchors.iter().map(|line| (&line.ledger, &line.evidence));
        for (ledger, told) in settlements.chain(anchors) {
            if let Some(told) = told.as_ref().filter(|told| span.has(told.at_ms)) {
                bys(one, told.at_ms).into_iter().for_each(|by| self.add_fee(by, ledger, told));
            }
        }
    }

    /// Nothing where the other side paid it.
    fn add_fee(&mut self, by: By, ledger: &LedgerId, told: &Told) {
        let Some(fee) = told.fee else { return };
        let all = self.fees.entry((by, ledger.clone())).or_default();
        all.fee = sum(all.fee, fee);
        all.rebate = sum(all.rebate, told.rebate);
    }
}

impl Statement {
    /// Our fees for this session by now, ledger by ledger: payments, redeems and anchors.
    pub fn fees(&self) -> BTreeMap<LedgerId, Fees> {
        let mut totals = Totals::default();
        totals.add_fees(self, Span::ALL);
        let of_all = totals.fees.into_iter().filter(|((by, _), _)| *by == By::Currency);
        of_all.map(|((_, ledger), fees)| (ledger, fees)).collect()
    }
}

/// All that something of a session at a moment counts for.
fn bys(one: &Statement, at_ms: u64) -> [By; 4] {
    [
        By::Peer(one.peer().to_string()),
        By::Topic(one.topic.clone()),
        By::Currency,
        By::Day(day(at_ms)),
    ]
}

/// The first millisecond of a moment's day in UTC.
fn day(at_ms: u64) -> u64 {
    at_ms - at_ms % DAY_MS
}

fn sum(all: Option<Amount>, more: Amount) -> Option<Amount> {
    all?.checked_add(more)
}
