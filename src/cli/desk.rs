//! What a process that has a journal open answers to whoever asks on its socket, beyond how it is:
//! about the journal, about what is owed, and about credit notes.

use crate::actors::amending::{Ask, Credit, Decline, OnItsWay};
use crate::actors::buying::Buying;
use crate::actors::journal::{Commit, JournalActor};
use crate::actors::keeper::Kept;
use crate::actors::node::{Find, Node};
use crate::actors::now_ms;
use crate::actors::session::SessionActor;
use crate::admin::{Admin, Amended, AmendedState, Request, Response};
use crate::journal::{Reader, Write, obligation};
use crate::message::Complaint;
use crate::record::Record;
use crate::session::{Answer, Complain, Grant, NoteEnd};
use crate::terms::SessionId;
use actix::prelude::*;
use sdpp_ledger::Amount;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long whoever asks waits for the other side's answer before it is told that there is none yet.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// How many entries are read at once.
const ENTRIES: usize = 256;

/// What is said to whoever asks another process than the one that does it.
const NOT_HERE: &str = "the process that has this journal open does not do that: a running `sdpp sell` \
                        answers `sdpp status`, `sdpp dispute credit`, `sdpp dispute settle` and `sdpp journal \
                        prune`, a running `sdpp buy` answers `sdpp dispute ask`, and either `sdpp journal \
                        backup` and what only reads. Once it has ended, `settle` and `prune` do it themselves";

/// A journal that is open here.
#[derive(Clone)]
pub(super) struct Desk {
    /// To read.
    pub(super) reader: Reader,
    /// To write.
    pub(super) journal: Addr<JournalActor>,
}

impl Desk {
    /// Answers what is about the journal and its outbox alone.
    pub(super) async fn answer(&self, request: Request) -> Result<Response, String> {
        match request {
            Request::Journal(query) => {
                let reader = self.reader.clone();
                // Walking a long chain takes its time, and must not hold up what runs here.
                let answer = tokio::task::spawn_blocking(move || reader.answer(&query)).await;
                answer.map_err(text)?.map_err(text).map(Response::Journal)
            }
            Request::Retry(reference) => {
                let event = obligation::Event::Retried;
                self.commit(Write::Obligation { reference, event }).await?;
                Ok(Response::Retried)
            }
            Request::Cancel(reference) => {
                self.commit(Write::Cancel { reference }).await?;
                Ok(Response::Cancelling)
            }
            Request::Backup(output) => {
                let reader = self.reader.clone();
                let back_up = move || reader.back_up(&output, now_ms());
                let made = tokio::task::spawn_blocking(back_up).await;
                made.map_err(text)?.map_err(text).map(Response::Backup)
            }
            _ => Err(NOT_HERE.to_owned()),
        }
    }

    async fn commit(&self, write: Write) -> Result<(), String> {
        let committed = self.journal.send(Commit(vec![write])).await.map_err(text)?;
        let answers = committed.map_err(text)?;
        answers.into_iter().try_for_each(|answer| answer.map(|_| ())).map_err(text)
    }
}

/// Seller: credits items in a session that runs, and waits a while for the buyer.
pub(super) async fn credit(
    node: &Kept<Node>,
    session: SessionId,
    grant: Grant,
) -> Result<Amended, String> {
    let actor = find(node, session).await?;
    let way = actor.send(Credit(grant)).await.map_err(|_| over(session))??;
    Ok(wait(way, |number, end| match end {
        NoteEnd::Agreed { from_seq, amount, .. } => agreed(number, amount, from_seq),
        NoteEnd::Refused(why) => refused(number, why),
    })
    .await)
}

/// Seller: declines what the buyer of a session that runs asks for.
pub(super) async fn decline(
    node: &Kept<Node>,
    session: SessionId,
    ask: u64,
    why: String,
) -> Result<Amended, String> {
    let actor = find(node, session).await?;
    let declined = actor.send(Decline { ask, why: why.clone() }).await;
    declined.map_err(|_| over(session))??;
    Ok(Amended { state: AmendedState::Declined, ..refused(ask, why) })
}

async fn find(
    node: &Kept<Node>,
    session: SessionId,
) -> Result<Addr<SessionActor<crate::actors::selling::Selling>>, String> {
    let found = node.addr().send(Find(session)).await.map_err(text)?;
    found.ok_or_else(|| over(session))
}

/// A buyer's process, as it answers.
#[derive(Clone)]
pub(super) struct BuyersDesk {
    desk: Desk,
    session: Arc<Mutex<Option<Addr<SessionActor<Buying>>>>>,
}

impl BuyersDesk {
    /// Answers on the socket in the journal's folder, as long as the process lives.
    /// Items come and are paid without it, too.
    pub(super) fn open(dir: &Path, desk: Desk) -> BuyersDesk {
        let buyers = BuyersDesk { desk, session: Arc::default() };
        let answering = buyers.clone();
        let handler = move |request| {
            let desk = answering.clone();
            async move { desk.answer(request).await.unwrap_or_else(Response::Failed) }
        };
        match Admin::bind(dir) {
            Ok(admin) => drop(actix::spawn(admin.serve(handler))),
            Err(error) => {
                tracing::warn!(%error, "no admin socket: nobody can ask this process anything");
            }
        }
        buyers
    }

    /// From here on this session is asked.
    pub(super) fn serve(&self, session: Addr<SessionActor<Buying>>) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    async fn answer(&self, request: Request) -> Result<Response, String> {
        let Request::Ask { session, seq, reason, amount, item } = request else {
            return self.desk.answer(request).await;
        };
        let running = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let running = running.ok_or_else(|| over(session))?;
        let reader = self.desk.reader.clone();
        let wish = (reason, amount, item.0);
        let found = tokio::task::spawn_blocking(move || complain(&reader, session, seq, wish));
        let complain = found.await.map_err(text)??;
        let asked = running.send(Ask { session, complain }).await;
        let way = asked.map_err(|_| over(session))??;
        Ok(Response::Amended(
            wait(way, |number, answer| match answer {
                Answer::Credited { amount, from_seq } => agreed(number, amount, from_seq),
                Answer::Refused(why) => refused(number, why),
            })
            .await,
        ))
    }
}

/// What the journal has of an item that is complained of.
fn complain(
    reader: &Reader,
    session: SessionId,
    seq: u64,
    (reason, amount, item): (Complaint, Option<Amount>, Vec<u8>),
) -> Result<Complain, String> {
    let mut after = 0;
    loop {
        let entries = reader.session_entries(&session, after, ENTRIES).map_err(text)?;
        let Some(last) = entries.last() else {
            let is_there = after > 0;
            let early = || format!("item {seq} is not invoiced yet in session {session}");
            return Err(if is_there { early() } else { over(session) });
        };
        after = last.seq;
        for entry in entries {
            if let Record::Invoice { message, from_seq, to_seq, leaves, .. } = entry.record
                && (from_seq..=to_seq).contains(&seq)
            {
                let leaves = leaves.as_slice().to_vec();
                if leaves.is_empty() {
                    let why = "its window is so large that no proof of single items is kept";
                    return Err(format!("item {seq}: {why}"));
                }
                let invoice = message.number;
                return Ok(Complain { seq, reason, amount, item, invoice, from_seq, leaves });
            }
        }
    }
}

/// What became of something that is on its way, or that nothing has yet.
async fn wait<T>((number, end): OnItsWay<T>, tell: impl FnOnce(u64, T) -> Amended) -> Amended {
    let why = match tokio::time::timeout(ANSWER_WAIT, end).await {
        Ok(Ok(end)) => return tell(number, end),
        Ok(Err(_)) => "the session ended before the answer came: `sdpp audit` shows what is agreed",
        Err(_) => {
            "it is on its way, and nobody has answered yet: `sdpp audit` shows what is agreed"
        }
    };
    let (state, why) = (AmendedState::Waiting, Some(why.to_owned()));
    Amended { number, state, amount: None, from_seq: None, why }
}

fn agreed(number: u64, amount: Amount, from_seq: u64) -> Amended {
    let (amount, from_seq) = (Some(amount), Some(from_seq));
    Amended { number, state: AmendedState::Agreed, amount, from_seq, why: None }
}

fn refused(number: u64, why: String) -> Amended {
    let (state, why) = (AmendedState::Refused, Some(why));
    Amended { number, state, amount: None, from_seq: None, why }
}

fn over(session: SessionId) -> String {
    format!(
        "session {session} does not run here, so no window follows to net a credit in: \
         `sdpp dispute bundle` has what proves it"
    )
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
