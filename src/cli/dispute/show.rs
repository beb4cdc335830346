//! `sdpp dispute show`: what one's own journal proves of a session.

use super::{gather, verified};
use crate::actors::now_ms;
use crate::audit::Audit;
use crate::cli::book::Where;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use crate::dispute::{Keys, judge_own};
use crate::message::Moment;
use crate::terms::SessionId;
use clap::Args;

/// Say what a session came to, who owes whom, and by which signed papers, from one journal alone.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp dispute show 0x5c1a... --journal seller-journal")]
pub(super) struct Show {
    /// The session.
    session: SessionId,
    #[command(flatten)]
    book: Where,
    /// Answer with JSON: the verdict.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Outcome {
        let mut book = self.book.open()?;
        let (identity, to) = verified(&mut book)?;
        let body = gather(&mut book, self.session, to)?.body(Moment(now_ms()), &[]);
        let body = body.map_err(Failure::usage)?;
        let verdict = judge_own(&body, &Keys::of(body.role, identity));
        let verdict = verdict.map_err(|error| Failure::new(Exit::Wrong, error))?;
        if self.json {
            return out::json(&verdict);
        }
        let mut audit = Audit::of_session(identity, self.session);
        book.each_entry_to(to, |entry| {
            audit.take(&entry);
            Ok(())
        })?;
        for statement in audit.finish().statements {
            let (role, began) = (statement.role, Moment(statement.began_ms));
            let state = statement.state.name();
            out::line(format_args!(
                "This is the {role}'s own journal. The session began {began}, and is {state}."
            ))?;
            for problem in &statement.problems {
                out::line(format_args!("Wrong in entry {}: {}.", problem.entry, problem.what))?;
            }
        }
        out::line(verdict.to_string().trim_end())
    }
}
