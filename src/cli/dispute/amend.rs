//! What `credit` and `ask` share: the process that has the session is asked.

use crate::admin::{Amended, AmendedState, Client, Request, Response};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use std::path::Path;

/// Asks the process that has a session, and tells what became of it.
pub(super) fn amend(journal: &Path, request: &Request, is_json: bool) -> Outcome {
    let answer = Client::connect(journal).and_then(|mut client| client.ask(request));
    let answer = answer.map_err(|error| {
        let dir = journal.display();
        let why = format!(
            "no process answers for the journal in {dir}: {error}: where its session is over, \
             `sdpp dispute bundle` has what proves it"
        );
        Failure::new(Exit::Failed, why)
    })?;
    let amended = match answer {
        Response::Amended(amended) => amended,
        Response::Failed(why) => return Err(Failure::new(Exit::Failed, why)),
        _ => return Err(Failure::new(Exit::Failed, "it answered another question")),
    };
    if is_json {
        out::json(&amended)?
    } else {
        tell(&amended)?
    }
    match amended.state {
        AmendedState::Refused => Err(Failure::new(Exit::Failed, "nothing is credited")),
        AmendedState::Agreed | AmendedState::Declined | AmendedState::Waiting => Ok(()),
    }
}

fn tell(amended: &Amended) -> Outcome {
    let Amended { number, state, amount, from_seq, why } = amended;
    let why = why.as_deref().unwrap_or_default();
    match (state, amount, from_seq) {
        (AmendedState::Agreed, Some(amount), Some(from_seq)) => out::line(format_args!(
            "number {number}: {amount} credited, signed by both, netted from item {from_seq} on"
        )),
        (AmendedState::Agreed, ..) => out::line(format_args!("number {number}: signed by both")),
        (AmendedState::Refused, ..) => out::line(format_args!("number {number}: refused: {why}")),
        (AmendedState::Declined, ..) => out::line(format_args!("number {number}: declined")),
        (AmendedState::Waiting, ..) => out::line(format_args!("number {number}: {why}")),
    }
}
