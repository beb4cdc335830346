//! A session's records on their way to the disk: what is asked of the journal, and what it answers. While
//! some are on their way nothing else is asked of the core, and that is all there is to the write-ahead
//! rule: what is behind a record is still in the core.

use super::{Core, Ctx, Ended, SessionActor, Side};
use crate::actors::journal::{Commit, Committed, JournalActor};
use crate::actors::now_ms;
use crate::journal::{JournalError, Write, WriteError};
use crate::record::Record;
use crate::session::{Input, Output};
use crate::terms::SessionId;
use actix::prelude::*;
use sdpp_ledger::Reference;
use std::time::Duration;

/// How long to wait before the last words of a session are written again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

impl<S: Side> SessionActor<S> {
    /// Makes a record durable, and with it those that follow it: a record may be on the disk before bytes
    /// in front of it leave, never after those behind it. Until then nothing else is asked of the core.
    pub(super) fn commit(&mut self, session: SessionId, record: Box<Record>, ctx: &mut Ctx<S>) {
        let mut records = Vec::new();
        self.note(session, record, &mut records, ctx);
        loop {
            let side = &self.side;
            let may_go = |next: &Output| side.as_ref().is_none_or(|side| !side.waits(next));
            let next = self.core.poll_record(&may_go);
            let Some(Output::Record { session, record }) = next else { break };
            self.note(session, record, &mut records, ctx);
        }
        self.write(records, ctx);
    }

    /// This side cannot go on, after the journal did not take some records or for another reason. Records
    /// are written that the core still wanted: what they say has happened.
    pub(super) fn fail_with(&mut self, unwritten: Vec<Write>, why: String, ctx: &mut Ctx<S>) {
        if self.failed {
            return;
        }
        let session = self.session.map(tracing::field::display);
        tracing::error!(session, why, "the session cannot go on");
        (self.failed, self.unwritten) = (true, unwritten);
        let (mut records, mut ended) = (Vec::new(), None);
        while let Some(dropped) = self.core.poll() {
            match dropped {
                Output::Record { session, record } => {
                    self.note(session, record, &mut records, ctx);
                }
                Output::Close { end, why, progress, again } => {
                    ended = Some(Ended { session: self.session, end, why, progress, again });
                }
                _ => {}
            }
        }
        if !records.is_empty() {
            self.write(records, ctx);
        }
        match ended {
            // A core that was closing already has no more to say than these.
            Some(ended) => {
                self.when_idle.push_front(Box::new(move |actor, ctx| actor.close(ended, ctx)));
                self.drive(ctx);
            }
            None => self.tell(Input::Failed(why), ctx),
        }
    }

    fn write(&mut self, records: Vec<Write>, ctx: &mut Ctx<S>) {
        // Behind what the disk did not take nothing is written before that.
        if !self.unwritten.is_empty() {
            return self.unwritten.extend(records);
        }
        let claims: Vec<_> = records.iter().map(claim_in).collect();
        let committed = self.journal.send(Commit(records.clone())).into_actor(self);
        self.is_writing = true;
        ctx.spawn(committed.map(move |committed, actor, ctx| {
            actor.is_writing = false;
            let is_taken = matches!(&committed, Ok(Ok(_)));
            let committed = committed.map_err(|error| error.to_string());
            match committed.and_then(|committed| all_written(committed, &claims)) {
                Ok(refused) => {
                    actor.written(&records);
                    refused.into_iter().for_each(|input| actor.core.handle(input, now_ms()));
                    actor.drive(ctx);
                }
                // The core's last words on a journal that fails cannot be written either: they wait
                // until it can.
                Err(_) if actor.failed => {
                    actor.unwritten.extend(records.into_iter().filter(|_| !is_taken));
                    actor.drive(ctx);
                }
                Err(error) => {
                    // The peer is told, and what is wrong with our disk is not its business.
                    tracing::error!(error, "the journal did not take a record");
                    let why = "the journal did not take a record".to_owned();
                    let unwritten = if is_taken { Vec::new() } else { records };
                    actor.fail_with(unwritten, why, ctx);
                }
            }
        }));
    }

    fn written(&mut self, records: &[Write]) {
        let Some(side) = &mut self.side else { return };
        for write in records {
            if let Write::Append { session: Some(session), record } = write {
                side.noted(*session, record);
            }
        }
    }

    /// A record is to be written, with what stands beside it.
    fn note(
        &mut self,
        session: SessionId,
        record: Box<Record>,
        records: &mut Vec<Write>,
        ctx: &mut Ctx<S>,
    ) {
        self.begin(session, ctx);
        let beside = self.side.as_ref().and_then(|side| side.beside(&record));
        tell_void(session, &record);
        let session = Some(session);
        let all = [record].into_iter().chain(beside.map(Box::new));
        records.extend(all.map(|record| Write::Append { session, record }));
    }
}

/// Has the last words of a session written when the journal's disk has room again. Where this process
/// ends before, the next one ends the session.
pub(super) async fn write_later(journal: Addr<JournalActor>, words: Vec<Write>) {
    while journal.connected() && !words.is_empty() {
        tokio::time::sleep(WRITE_AGAIN).await;
        let committed = journal.send(Commit(words.clone())).await;
        let waits = |error: &JournalError| {
            matches!(error, JournalError::Stopped { .. } | JournalError::Io { .. })
        };
        if !matches!(committed, Ok(Err(error)) if waits(&error)) {
            return;
        }
    }
}

/// Says what a seller lost with its process: both sides' people want to know.
fn tell_void(session: SessionId, record: &Record) {
    if let Record::Void { from_seq, to_seq, .. } = record {
        tracing::warn!(
            %session,
            "void: items {from_seq} to {to_seq} (the seller was started anew; not billed)"
        );
    }
}

/// What a write claims to be paid by a transaction that the peer names.
fn claim_in(write: &Write) -> Option<Reference> {
    let Write::Append { record, .. } = write else { return None };
    let Record::Payment { owed, .. } = record.as_ref() else { return None };
    owed.as_ref().map(|owed| owed.reference)
}

/// The claims that were refused because their transactions have paid something else: that is a lie of the
/// peer's, and no fault of our journal. Else the first write that was refused, as a sentence.
fn all_written(
    committed: Committed,
    claims: &[Option<Reference>],
) -> Result<Vec<Input<'static>>, String> {
    let answers = committed.map_err(|error| error.to_string())?;
    let mut refused = Vec::new();
    for (answer, claim) in answers.into_iter().zip(claims) {
        match (answer, *claim) {
            (Ok(_), _) => {}
            (Err(WriteError::TxUsed { tx, .. }), Some(reference)) => {
                let why = format!("transaction {tx} has paid something else already");
                refused.push(Input::Refused { reference, why });
            }
            (Err(error), _) => return Err(format!("the journal refused a record: {error}")),
        }
    }
    Ok(refused)
}
