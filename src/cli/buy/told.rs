//! What a purchase came to, for people and for programs.

use super::Buy;
use crate::actors::funds::is_lack;
use crate::actors::session::Ended;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::items::Money;
use crate::cli::remainders::Teller;
use crate::cli::{dispute, note, out};
use crate::journal::Remainder;
use crate::record::End;
use serde_json::{Value, json};
use std::time::Duration;

/// The most channels with something left in them that are told of at the end.
const REMAINDERS_TOLD: usize = 5;

/// What a session came to.
pub(super) struct Told<'a> {
    pub(super) ended: &'a Ended,
    /// What was paid in, where something was ordered.
    pub(super) money: Option<&'a Money>,
    /// What came of a complaint to its bond's contract, where it is under one.
    pub(super) complained: Option<Value>,
    pub(super) took: Duration,
}

/// Says what it came to; how the command ends by that.
pub(super) fn report(
    ask: &Buy,
    told: Told<'_>,
    teller: &Teller<'_>,
    left: &[Remainder],
) -> Outcome {
    let Told { ended, money, complained, took } = told;
    let Ended { session, end, why, progress, .. } = ended;
    if ask.json {
        out::json(&json!({
            "session": session,
            "topic": ask.topic,
            "items": progress.items,
            "ordered": ask.quantity.0,
            "void": progress.void,
            "windows": progress.windows,
            "currency": money.map(|money| &money.currency),
            "owed": progress.owed,
            "paid": progress.paid,
            "end": end,
            "why": why,
            "bond": complained,
            "seconds": took.as_secs_f64(),
            "left": left.iter().map(|one| teller.json(one)).collect::<Vec<_>>(),
        }))?;
    } else {
        // Where nothing was ordered all is said in why, with which the command ends.
        if session.is_some() || *end == End::Complete {
            note(came_to(ask, ended, money));
        }
        let complained = complained.iter().flat_map(dispute::told::lines);
        complained.for_each(note);
        tell_left(teller, left);
    }
    let exit = match end {
        End::Complete => return Ok(()),
        End::Misconduct => Exit::Peer,
        End::Outstanding => {
            return Err(Failure::new(Exit::Failed, "not all that is owed was final at the end"));
        }
        End::Broken | End::Refused | End::Failed => Exit::Failed,
    };
    let hint = if session.is_none() && is_lack(why) { fund(ask) } else { String::new() };
    Err(Failure::new(exit, format!("{why}{hint}")))
}

/// What came, and what was paid. Standard output is for items alone.
fn came_to(ask: &Buy, ended: &Ended, money: Option<&Money>) -> String {
    let Ended { progress, why, .. } = ended;
    let (items, windows) = (progress.items, progress.windows);
    let paid = money.map_or("nothing".to_owned(), |money| money.paid_of_owed(progress));
    let lost = match progress.void {
        0 => String::new(),
        places => format!(" ({places} more are void: the seller was started anew; not billed)"),
    };
    let of = ask.quantity.0.filter(|ordered| *ordered != items);
    let of = of.map_or(String::new(), |ordered| format!(" of {ordered}"));
    format!("{items}{of} items in {windows} windows{lost}, {paid} paid: {why}")
}

/// How an account that can pay too little gets more.
fn fund(ask: &Buy) -> String {
    let config = ask.config.display();
    format!(
        ". Give that account money: `sdpp ledger fund AMOUNT --config {config}` does where the ledger \
         has a faucet, with AMOUNT in the smallest unit as here"
    )
}

/// What is left in channels, and how it comes back.
pub(super) fn tell_left(teller: &Teller<'_>, left: &[Remainder]) {
    for one in left.iter().take(REMAINDERS_TOLD) {
        note(format_args!("{}: {}", teller.how_much(one), teller.how_back(one)));
    }
    if let Some(more @ 1..) = left.len().checked_sub(REMAINDERS_TOLD) {
        note(format_args!("and more in {more} other channels"));
    }
}
