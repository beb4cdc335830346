//! The journal's actor: the one writer, on a thread of its own, because syncing blocks it.
//!
//! It serves sessions (records), ledger actors (deliveries) and commands. Whatever waits in its
//! mailbox shares one sync: the group commit. Mailbox: [`MAILBOX`] messages; who finds it full
//! waits.

use crate::actors::lag::Lag;
use crate::actors::now_ms;
use crate::journal::{Journal, JournalError, NewsKind, Reader, Write, WriteError, Written};
use crate::terms::SessionId;
use actix::prelude::*;
use sdpp_ledger::{LedgerId, Reference};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How many messages may wait for the journal.
pub const MAILBOX: usize = 4096;

/// The journal's actor.
pub struct JournalActor {
    journal: Journal,
    lag: Lag,
    waiting: Vec<(Vec<Write>, oneshot::Sender<Committed>)>,
    sessions: HashMap<SessionId, Recipient<Told>>,
    ledgers: HashMap<LedgerId, Recipient<Wake>>,
    awaited: HashMap<Reference, Vec<oneshot::Sender<NewsKind>>>,
    said: Said,
}

/// What is wrong, said once: again when it is something else, and each [`SAID_EVERY`].
#[derive(Default)]
struct Said(HashMap<&'static str, (String, Instant)>);

impl Said {
    /// Whether this is to be said of that now.
    fn is_due(&mut self, of: &'static str, what: &JournalError, now: Instant) -> bool {
        let what = what.to_string();
        let last = self.0.get(of).filter(|(said, _)| *said == what);
        let is_due = last.is_none_or(|(_, at)| now.duration_since(*at) >= SAID_EVERY);
        if is_due {
            self.0.insert(of, (what, now));
        }
        is_due
    }
}

/// Writes, all or each for itself refused; answered when they are durable.
#[derive(Message)]
#[rtype(result = "Committed")]
pub struct Commit(pub Vec<Write>);

/// One answer for each write, or why none is on disk.
pub type Committed = Result<Vec<Result<Written, WriteError>>, Arc<JournalError>>;

/// A session wants to know what becomes of what it owes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Listen {
    /// The session.
    pub session: SessionId,
    /// Who is told; `None` ends it.
    pub recipient: Option<Recipient<Told>>,
}

/// Something happened to what a session owes.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Told {
    /// What was owed.
    pub reference: Reference,
    /// What happened.
    pub kind: NewsKind,
}

/// A ledger actor wants to know when its ledger has new work.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Serve {
    /// The ledger.
    pub ledger: LedgerId,
    /// Who is woken.
    pub recipient: Recipient<Wake>,
}

/// There is new work.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wake;

/// Answers when something owed is met or refused, at once where it is already.
#[derive(Message)]
#[rtype(result = "Option<NewsKind>")]
pub struct Await(pub Reference);

/// How often a journal that stopped is opened anew. Nobody need write to it for that: nobody orders
/// from a seller whose journal stopped.
const MEND_EVERY: Duration = Duration::from_secs(1);

/// How often the log says the same of a disk that refuses.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What waits goes to disk.
#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

impl JournalActor {
    /// Starts it on a thread of its own.
    pub fn start_on(arbiter: &Arbiter, journal: Journal) -> (Addr<JournalActor>, Reader) {
        Self::start_with(arbiter, journal, Lag::default())
    }

    /// The same, for somebody who wants to know how long it takes.
    pub fn start_with(
        arbiter: &Arbiter,
        journal: Journal,
        lag: Lag,
    ) -> (Addr<JournalActor>, Reader) {
        let reader = journal.reader();
        let addr = JournalActor::start_in_arbiter(&arbiter.handle(), |ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            JournalActor {
                journal,
                lag,
                waiting: Vec::new(),
                sessions: HashMap::new(),
                ledgers: HashMap::new(),
                awaited: HashMap::new(),
                said: Said::default(),
            }
        });
        (addr, reader)
    }

    fn tell(&mut self, written: &Written) {
        for news in &written.news {
            let told = Told { reference: news.reference, kind: news.kind.clone() };
            if let Some(recipient) = news.session.and_then(|id| self.sessions.get(&id)) {
                recipient.do_send(told);
            }
            if news.kind.is_last() {
                for waiting in self.awaited.remove(&news.reference).unwrap_or_default() {
                    // Whoever no longer waits needs no answer.
                    let _ = waiting.send(news.kind.clone());
                }
            }
        }
        for recipient in written.ledgers.iter().filter_map(|ledger| self.ledgers.get(ledger)) {
            recipient.do_send(Wake);
        }
    }

    /// A disk that is full has room again some time. What else is wrong ends this actor, and with it
    /// whoever cannot do without.
    fn mend(&mut self, ctx: &mut Context<Self>) {
        match self.journal.mend() {
            Ok(false) => {}
            Ok(true) => {
                self.said = Said::default();
                tracing::info!("the journal is written again");
            }
            Err(error @ JournalError::Io { .. }) => {
                if self.said.is_due("opening", &error, Instant::now()) {
                    tracing::warn!(%error, "the journal cannot be opened anew yet");
                }
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be opened anew");
                ctx.stop();
            }
        }
    }

    /// What is known of an obligation that nothing more will happen to.
    fn settled(&self, reference: &Reference) -> Option<NewsKind> {
        let became = self.journal.reader().became(reference).ok().flatten();
        became.filter(NewsKind::is_last)
    }
}

/// A fault that tests plant.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Break;

#[cfg(test)]
impl Handler<Break> for JournalActor {
    type Result = ();

    fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("a planted fault");
    }
}

impl Actor for JournalActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(MEND_EVERY, Self::mend);
    }
}

impl Handler<Commit> for JournalActor {
    type Result = ResponseFuture<Committed>;

    fn handle(&mut self, Commit(writes): Commit, ctx: &mut Context<Self>) -> Self::Result {
        if self.waiting.is_empty() {
            ctx.notify(Flush);
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.push((writes, sender));
        Box::pin(async move {
            let gone = || JournalError::Stopped { why: "its actor is gone".to_owned() };
            receiver.await.unwrap_or_else(|_| Err(Arc::new(gone())))
        })
    }
}

impl Handler<Flush> for JournalActor {
    type Result = ();

    fn handle(&mut self, _: Flush, _: &mut Context<Self>) {
        let waiting = std::mem::take(&mut self.waiting);
        let (writes, senders): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .map(|(writes, sender)| (writes.len(), (writes, sender)))
            .map(|(count, (writes, sender))| (writes, (count, sender)))
            .unzip();
        let now = now_ms();
        self.lag.begin(now);
        let committed = self.journal.commit(now, writes.into_iter().flatten().collect());
        self.lag.end(now_ms());
        match committed {
            Ok(answers) => {
                answers.iter().flatten().for_each(|written| self.tell(written));
                let mut answers = answers.into_iter();
                for (count, sender) in senders {
                    let _ = sender.send(Ok(answers.by_ref().take(count).collect()));
                }
            }
            Err(error) => {
                if self.said.is_due("writing", &error, Instant::now()) {
                    tracing::error!(%error, "the journal cannot write");
                }
                let error = Arc::new(error);
                for (_, sender) in senders {
                    let _ = sender.send(Err(error.clone()));
                }
            }
        }
    }
}

impl Handler<Listen> for JournalActor {
    type Result = ();

    fn handle(&mut self, listen: Listen, _: &mut Context<Self>) {
        match listen.recipient {
            Some(recipient) => self.sessions.insert(listen.session, recipient),
            None => self.sessions.remove(&listen.session),
        };
    }
}

impl Handler<Serve> for JournalActor {
    type Result = ();

    fn handle(&mut self, serve: Serve, _: &mut Context<Self>) {
        serve.recipient.do_send(Wake);
        self.ledgers.insert(serve.ledger, serve.recipient);
    }
}

impl Handler<Await> for JournalActor {
    type Result = ResponseFuture<Option<NewsKind>>;

    fn handle(&mut self, Await(reference): Await, _: &mut Context<Self>) -> Self::Result {
        if let Some(kind) = self.settled(&reference) {
            return Box::pin(async move { Some(kind) });
        }
        let (sender, receiver) = oneshot::channel();
        self.awaited.entry(reference).or_default().push(sender);
        Box::pin(async move { receiver.await.ok() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use sdpp_ledger::Key;

    #[test]
    fn what_is_wrong_is_said_once_a_minute_and_when_it_is_something_else() {
        let (mut said, now) = (Said::default(), Instant::now());
        let wrong = |why: &str| JournalError::Stopped { why: why.to_owned() };
        assert!(said.is_due("writing", &wrong("full"), now));
        assert!(said.is_due("opening", &wrong("full"), now));
        assert!(!said.is_due("writing", &wrong("full"), now + SAID_EVERY / 2));
        assert!(said.is_due("writing", &wrong("broken"), now + SAID_EVERY / 2));
        assert!(said.is_due("opening", &wrong("full"), now + SAID_EVERY));
    }

    #[actix::test]
    async fn a_journal_that_stopped_as_it_was_read_goes_on_though_nobody_writes_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Key::from_bytes(&[1; 32]).unwrap().public();
        let journal = Journal::open(&dir.path().join("journal"), identity).unwrap();
        let arbiter = Arbiter::new();
        let (_journal, reader) = JournalActor::start_on(&arbiter, journal);
        reader.refuse_gets();
        let goes_on = async {
            while reader.head().is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), goes_on).await.unwrap();
        arbiter.stop();
    }
}
