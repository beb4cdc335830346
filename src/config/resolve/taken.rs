//! What a seller takes in a currency: which orders, how much on credit, and from when on a payment
//! counts.

use super::super::CurrencyLimits;
use super::super::file::{CurrencyLimitsFile, FinalityFile, FinalityStepFile, Units};
use super::Outcome;
use super::value::wrong;
use crate::terms::{CountsWhen, Method, Step};
use sdpp_ledger::Amount;

pub(super) fn limits(
    currency: &str,
    written: Option<CurrencyLimitsFile>,
) -> Outcome<CurrencyLimits> {
    let Some(written) = written else { return Ok(CurrencyLimits::default()) };
    let at = |key: &'static str| ["currencies", currency, "limits", key];
    let amount = |key: &'static str, units: Option<Units>| match units.map(|units| units.0) {
        Some(Amount::ZERO) => {
            Err(wrong(&at(key), "expected at least 1; leave it out for no limit"))
        }
        amount => Ok(amount),
    };
    let limits = CurrencyLimits {
        order_min: amount("order_min", written.order_min)?,
        order_max: amount("order_max", written.order_max)?,
        credit_to_one: amount("credit_to_one", written.credit_to_one)?,
        credit_to_all: amount("credit_to_all", written.credit_to_all)?,
    };
    let is_above = |one: Option<Amount>, other: Option<Amount>| {
        one.zip(other).is_some_and(|(one, other)| one > other)
    };
    if is_above(limits.order_min, limits.order_max) {
        return Err(wrong(&at("order_min"), "it is above order_max: no order would be taken"));
    }
    if is_above(limits.credit_to_one, limits.credit_to_all) {
        return Err(wrong(
            &at("credit_to_one"),
            "it is above credit_to_all: lower one or raise the other",
        ));
    }
    Ok(limits)
}

/// How final a payment must be before it counts for credit.
pub(super) fn finality(
    currency: &str,
    methods: &[Method],
    written: Option<FinalityFile>,
) -> Outcome<CountsWhen> {
    let key = ["currencies", currency, "finality"];
    let steps = match written {
        None => return Ok(CountsWhen::default()),
        Some(FinalityFile::Word(word)) if word == "final" => return Ok(CountsWhen::default()),
        Some(FinalityFile::Word(_)) => {
            let what =
                "write \"final\", or steps: [{ up_to = \"1000000\", blocks = 1 }, { blocks = 12 }]";
            return Err(wrong(&key, what));
        }
        Some(FinalityFile::Steps(steps)) => steps,
    };
    if !methods.contains(&Method::Transfer) {
        let what = "it is for payments by transfer, and a voucher counts at once: remove it, or add \
                    \"transfer\" to methods";
        return Err(wrong(&key, what));
    }
    let (last, before) = match steps.split_last() {
        Some((FinalityStepFile { up_to: None, blocks }, before)) => (Some(*blocks), before),
        Some(_) => (None, &steps[..]),
        None => return Err(wrong(&key, "write at least one step, or \"final\"")),
    };
    let step = |(index, step): (usize, &FinalityStepFile)| match step.up_to {
        Some(up_to) => Ok(Step { up_to: up_to.0, blocks: step.blocks }),
        None => {
            let index = index.to_string();
            let what = "only the last step holds for any amount: add up_to";
            Err(wrong(&["currencies", currency, "finality", &index], what))
        }
    };
    let before: Vec<Step> = before.iter().enumerate().map(step).collect::<Outcome<_>>()?;
    CountsWhen::new(before, last).map_err(|why| wrong(&key, why))
}
