//! The statement for an accountant: CSV, one line for each payment or settlement.

use super::print::{Shown, day};
use crate::audit::{By, Payment, Statement};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::{note, out};
use crate::terms::Role;
use sdpp_ledger::{Amount, LedgerId, Reference};
use serde::Serialize;
use std::collections::BTreeMap;

/// A line. `amount` and `amount_units` are the same, in whole coins and in the smallest unit;
/// `fee` is in the smallest unit of the ledger's own coin.
#[derive(Serialize)]
struct Row<'a> {
    session: String,
    date: String,
    peer: String,
    peer_name: String,
    role: Role,
    topic: String,
    items: u64,
    currency: String,
    amount_units: Amount,
    amount: String,
    fee: Option<Amount>,
    ledger: String,
    tx: String,
    finality: &'a str,
    reference: Option<Reference>,
}

const HEADING: [&str; 15] = [
    "session",
    "date",
    "peer",
    "peer_name",
    "role",
    "topic",
    "items",
    "currency",
    "amount_units",
    "amount",
    "fee",
    "ledger",
    "tx",
    "finality",
    "reference",
];

/// Prints the heading, and the lines in the time that is asked for, session by session.
pub(super) fn print(shown: &Shown<'_>) -> Outcome {
    let failed = |error: csv::Error| Failure::new(Exit::Failed, error);
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(HEADING).map_err(failed)?;
    for one in &shown.report.statements {
        for line in one.payments().iter().filter(|line| shown.span.has(line.at_ms)) {
            writer.serialize(row(one, line, shown)).map_err(failed)?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| Failure::new(Exit::Failed, error))?;
    out::line(String::from_utf8_lossy(&bytes).trim_end())?;
    left_out(shown);
    Ok(())
}

/// Says which of our fees no line has: those of anchors, and of opening, closing and withdrawing.
fn left_out(shown: &Shown<'_>) {
    let mut lines: BTreeMap<&LedgerId, Amount> = BTreeMap::new();
    for one in &shown.report.statements {
        for line in one.payments().iter().filter(|line| shown.span.has(line.at_ms)) {
            let sum = lines.entry(&one.leg(line.leg).ledger).or_default();
            *sum = line.fee.and_then(|fee| sum.checked_add(fee)).unwrap_or(*sum);
        }
    }
    for ((by, ledger), all) in &shown.totals().fees {
        let Some(all) = all.fee.filter(|_| *by == By::Currency) else { continue };
        let rest = all.saturating_sub(lines.get(ledger).copied().unwrap_or_default());
        if rest > Amount::ZERO {
            note(format_args!(
                "note: of our fees, {rest} of the coin's smallest unit on {ledger} went into anchors \
                 and channels and stand in no line here; --format json --totals has all of them"
            ));
        }
    }
}

fn row<'a>(one: &'a Statement, line: &'a Payment, shown: &Shown<'_>) -> Row<'a> {
    let (peer, leg) = (one.peer().to_string(), one.leg(line.leg));
    Row {
        session: one.session.to_string(),
        date: day(line.at_ms),
        peer_name: plain(shown.names.name(&peer).unwrap_or_default()),
        peer,
        role: one.role,
        topic: plain(&one.topic),
        items: line.items,
        currency: plain(&leg.currency),
        amount_units: line.amount,
        amount: line.amount.to_decimal(leg.decimals),
        fee: line.fee,
        ledger: plain(leg.ledger.as_str()),
        tx: plain(line.tx.as_ref().map_or("", |tx| tx.as_str())),
        finality: line.progress.name(),
        reference: line.reference,
    }
}

/// What a formula begins with, wide forms included.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// A text that no spreadsheet takes for a formula, and that stays in its line.
fn plain(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    let is_formula = text.trim_start().starts_with(FORMULA);
    if is_formula { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_stranger_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r\n=1"] {
            assert!(plain(text).starts_with('\''), "{text:?} is {:?}", plain(text));
        }
        assert_eq!(plain("co2 = good"), "co2 = good");
    }
}
