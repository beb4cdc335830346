//! What a purchase came to, for people and for programs.

use super::Buy;
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
    let Told { ended: Ended { session, end, why, progress, .. }, money, complained, took } = told;
    if ask.json {
        out::json(&json!({
            "session": session,
            "topic": ask.topic,
            "items": progress.items,
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
        let (items, windows) = (progress.items, progress.windows);
        let paid = money.map_or("nothing".to_owned(), |money| money.paid_of_owed(progress));
        let lost = match progress.void {
            0 => String::new(),
            places => format!(" ({places} more are void: the seller was started anew; not billed)"),
        };
        let line = format!("{items} items in {windows} windows{lost}, {paid} paid: {why}");
        // Standard output is for items alone.
        note(line);
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
    Err(Failure::new(exit, why))
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
