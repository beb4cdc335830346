//! `sdpp dispute list`: the sessions of a journal in which something is not as it should be.

use super::verified;
use crate::actors::now_ms;
use crate::cli::book::{Book, Where};
use crate::cli::exit::Outcome;
use crate::cli::out;
use crate::crypto::layout::MessageKind;
use crate::dispute::{Body, Gather, Keys, Verdict, judge_own};
use crate::journal::Placed;
use crate::message::{Amend, Change, Moment, reread};
use crate::record::End;
use crate::terms::Role;
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;

/// List the sessions in which something is owed, broke off, or was against the rules.
///
/// What happened to channels outside of their sessions is not looked at here: `sdpp dispute show`
/// says more of one session.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp dispute list --journal seller-journal")]
pub(super) struct List {
    #[command(flatten)]
    book: Where,
    /// Answer with JSON, one object a line.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self) -> Outcome {
        let mut book = self.book.open()?;
        let (_, to) = verified(&mut book)?;
        book.each_session(|book, placed| self.look(book, placed, to))
    }

    fn look(&self, book: &mut Book, placed: &Placed, to: u64) -> Outcome {
        let mut gather = Gather::new(placed.id);
        book.each_entry(Some(placed.id), 0, to, |entry| {
            gather.take(&entry);
            Ok(())
        })?;
        let body = gather.body(Moment(now_ms()), &[]).map_err(|error| error.to_string());
        let asks = body.as_ref().map(waiting).unwrap_or_default();
        let judged = body
            .and_then(|body| judge_own(&body, &Keys::default()).map_err(|error| error.to_string()));
        let ended = placed.session.ended;
        let is_well = matches!(ended, Some(End::Complete) | None) && asks.is_empty();
        match judged {
            Ok(verdict) if is_well && verdict.debts.is_empty() && verdict.misdeeds == 0 => Ok(()),
            Ok(verdict) => self.line(placed, &verdict, &asks),
            Err(why) if self.json => {
                out::json(&json!({ "session": placed.id, "state": name(ended), "why": why }))
            }
            Err(why) => out::line(format_args!("{}  {}  {why}", placed.id, name(ended))),
        }
    }

    fn line(&self, placed: &Placed, verdict: &Verdict, asks: &[u64]) -> Outcome {
        let (state, role) = (name(placed.session.ended), placed.session.role);
        if self.json {
            return out::json(&json!({
                "session": placed.id, "role": role, "state": state,
                "seller": verdict.seller.key, "buyer": verdict.buyer.key,
                "topic": verdict.trade.topic, "currency": verdict.trade.pay.currency,
                "debts": verdict.debts, "unless": verdict.unless.len(),
                "misdeeds": verdict.misdeeds, "asks": asks,
            }));
        }
        let misconduct = match verdict.misconduct.first() {
            Some(first) => format!(" Misconduct: the {} {}.", first.by, first.why),
            None => String::new(),
        };
        let sentence = verdict.sentence();
        let asks = match asks.len() {
            0 => String::new(),
            count => format!(" {count} of the buyer's requests for a credit are not answered."),
        };
        out::line(format_args!("{}  {role}  {state}  {sentence}{misconduct}{asks}", placed.id))
    }
}

/// The numbers of the buyer's requests for a credit that the seller has not answered.
fn waiting(body: &Body) -> Vec<u64> {
    let (mut asked, mut answered) = (BTreeSet::new(), BTreeSet::new());
    for message in body.messages.iter().filter(|one| one.kind == MessageKind::Amend) {
        let Ok(amend) = reread::<Amend>(message) else { continue };
        match amend.change {
            Change::Ask(_) => drop(asked.insert(amend.number)),
            Change::Credit(note) => answered.extend(note.ask),
            Change::Refused(_) if amend.by == Role::Buyer => drop(answered.insert(amend.number)),
            Change::Refused(_)
            | Change::Pace(_)
            | Change::Leg(_)
            | Change::AskLeg(_)
            | Change::Void(_)
            | Change::Unknown => {}
        }
    }
    asked.difference(&answered).copied().collect()
}

fn name(ended: Option<End>) -> &'static str {
    match ended {
        None => "open",
        Some(End::Complete) => "complete",
        Some(End::Outstanding) => "outstanding",
        Some(End::Broken) => "broken",
        Some(End::Misconduct) => "misconduct",
        Some(End::Refused) => "refused",
        Some(End::Failed) => "failed",
    }
}
