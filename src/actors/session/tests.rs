#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::connection::{AHEAD_BYTES_MAX, READ_BYTES};
use super::*;
use crate::journal::tests::{NOW, ended, order, session};
use crate::journal::{Journal, Session};
use crate::record::{Act, Owed};
use crate::terms::Purpose;
use sdpp_ledger::{Anchor, Call, Digest, Key};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What a core was told, and what was asked of it: with bytes, how many records were durable then.
type Log = Rc<RefCell<Vec<String>>>;

/// Wants a record made durable when it is told to stop, and then something sent; and the same once more
/// when its peer speaks.
struct Recorder {
    log: Log,
    reader: Reader,
    /// What it wants when it is told to stop, instead of all that.
    on_stop: Vec<Output>,
    /// What it wants when its connection breaks.
    on_hangup: Vec<Output>,
    wants: VecDeque<Output>,
    owes: u8,
    has_read: Rc<RefCell<usize>>,
}

impl Recorder {
    fn want(&mut self) {
        self.owes += 1;
        let reference = Reference([self.owes; 32]);
        let act = Act::Do(Call::Anchor(Anchor::One { reference, digest: Digest::ZERO }));
        let ledger = "embedded:7377".parse().unwrap();
        let owed = Owed { reference, purpose: Purpose::Order, ledger, act, held: false };
        let record = Box::new(Record::Anchoring { owed, invoice: None });
        self.wants.push_back(Output::Record { session: SessionId::NONE, record });
        self.wants.push_back(Output::Send(b"a promise".to_vec()));
    }
}

impl Core for Recorder {
    fn handle(&mut self, input: Input<'_>, _: u64) {
        match input {
            Input::Read(bytes) => {
                *self.has_read.borrow_mut() += bytes.len();
                if bytes == b"a word" {
                    self.log.borrow_mut().push("read".to_owned());
                    self.want();
                }
            }
            Input::Hangup => {
                self.log.borrow_mut().push("hangup".to_owned());
                self.wants.extend(self.on_hangup.drain(..));
            }
            Input::Stop(_) if !self.on_stop.is_empty() => self.wants.extend(self.on_stop.drain(..)),
            _ => {
                self.log.borrow_mut().push("told".to_owned());
                self.want();
            }
        }
    }

    fn poll(&mut self) -> Option<Output> {
        let next = self.wants.pop_front();
        let told = next.as_ref().map(|output| match output {
            Output::Record { .. } => "record".to_owned(),
            _ => format!("sends after {}", self.reader.head().map_or(0, |head| head.seq)),
        });
        self.log.borrow_mut().extend(told);
        next
    }

    fn peek(&self) -> Option<&Output> {
        self.wants.front()
    }

    fn poll_record(&mut self, may_go: &dyn Fn(&Output) -> bool) -> Option<Output> {
        let next = self.peek().filter(|next| matches!(next, Output::Record { .. }));
        next.filter(|next| may_go(next))?;
        self.poll()
    }

    fn poll_timeout(&self) -> Option<u64> {
        None
    }

    fn handle_timeout(&mut self, _: u64) {}

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn is_away(&self) -> bool {
        false
    }
}

fn recorded(session: SessionId, record: Record) -> Output {
    Output::Record { session, record: Box::new(record) }
}

/// A side whose peer says something as soon as it is told to.
struct Peer {
    speaks: Rc<Notify>,
    /// What bytes that leave wait for, the first time.
    waits_for: Option<Rc<Notify>>,
}

impl Side for Peer {
    type Core = Recorder;

    fn carry_out(_: &mut SessionActor<Self>, _: Output, _: &mut Ctx<Self>) -> Result<(), String> {
        Ok(())
    }

    fn waits(&self, output: &Output) -> bool {
        self.waits_for.is_some() && matches!(output, Output::Send(_))
    }

    fn before(&mut self, _: &Output) -> Before {
        let happens = self.waits_for.take();
        Box::pin(async move {
            if let Some(happens) = happens {
                happens.notified().await;
            }
        })
    }

    fn idle(_: &mut SessionActor<Self>, _: &mut Ctx<Self>) {}

    fn ended(self, _: Ended) {}
}

fn listen(actor: &mut SessionActor<Peer>, ctx: &mut Ctx<Peer>) {
    let Some(Peer { speaks, .. }) = &actor.side else { return };
    let speaks = speaks.clone();
    let spoken = async move { speaks.notified().await }.into_actor(actor);
    ctx.spawn(spoken.map(|(), actor, ctx| actor.tell(Input::Read(b"a word"), ctx)));
}

/// A journal whose thread is held until it is let go.
struct Held {
    journal: Addr<JournalActor>,
    reader: Reader,
    release: Option<mpsc::Sender<()>>,
    arbiter: Arbiter,
    _dir: TempDir,
}

impl Held {
    fn new() -> Held {
        let dir = tempfile::tempdir().unwrap();
        let identity = Key::from_bytes(&[1; 32]).unwrap().public();
        let mut journal = Journal::open(&dir.path().join("journal"), identity).unwrap();
        let order = Write::Append { session: Some(session(1)), record: Box::new(order()) };
        journal.commit(NOW, vec![order]).unwrap();
        let arbiter = Arbiter::new();
        let (journal, reader) = JournalActor::start_on(&arbiter, journal);
        let (release, held) = mpsc::channel::<()>();
        arbiter.spawn_fn(move || {
            let _ = held.recv();
        });
        Held { journal, reader, release: Some(release), arbiter, _dir: dir }
    }

    fn recorder(&self) -> Recorder {
        let (log, wants, has_read) = (Log::default(), VecDeque::new(), Rc::default());
        let (on_stop, on_hangup) = (Vec::new(), Vec::new());
        Recorder { log, reader: self.reader.clone(), on_stop, on_hangup, wants, owes: 0, has_read }
    }

    /// Whether session 1 has its end in the journal, or gets it in a while.
    async fn has_ended(&self) -> bool {
        let is_ended = || {
            matches!(self.reader.session(&session(1)), Ok(Some(Session { ended: Some(_), .. })))
        };
        tokio::time::timeout(Duration::from_secs(30), until(is_ended)).await.is_ok()
    }
}

const SILENCE: SilenceMax = SilenceMax { first: None, idle: Duration::MAX };

async fn connection() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (wire, _) = listener.accept().await.unwrap();
    (Wire::Plain(wire), line)
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

fn count(log: &Log, what: &str) -> usize {
    log.borrow().iter().filter(|one| one.starts_with(what)).count()
}

/// What is to leave after a record waits for the disk, whatever comes meanwhile. The core is told of it,
/// and what it wants then waits behind.
#[actix::test]
async fn nothing_leaves_before_its_record_is_durable_although_the_peer_speaks_meanwhile() {
    let mut held = Held::new();
    let (core, speaks) = (held.recorder(), Rc::new(Notify::new()));
    let log = core.log.clone();
    let peer = Peer { speaks: speaks.clone(), waits_for: None };
    let session = SessionActor::start_without(core, peer, held.journal.clone(), SILENCE, listen);
    session.do_send(Stop::from(Reason::Stopped));
    until(|| count(&log, "record") == 1).await;
    speaks.notify_one();
    until(|| count(&log, "read") == 1).await;
    assert_eq!(*log.borrow(), ["told", "record", "read"], "nothing is asked of the core meanwhile");
    drop(held.release.take());
    until(|| count(&log, "sends") == 2).await;
    assert_eq!(log.borrow()[3..], ["sends after 2", "record", "sends after 3"]);
    held.arbiter.stop();
}

/// The same where something else must have happened before bytes leave: even what comes in the very moment
/// in which the wait begins, which actix gives us all the same, makes nothing overtake.
#[actix::test]
async fn nothing_leaves_before_what_it_waits_for_has_happened() {
    let mut held = Held::new();
    drop(held.release.take());
    let (core, speaks, happens) = (held.recorder(), Rc::new(Notify::new()), Rc::new(Notify::new()));
    let log = core.log.clone();
    let peer = Peer { speaks: speaks.clone(), waits_for: Some(happens.clone()) };
    let session = SessionActor::start_without(core, peer, held.journal.clone(), SILENCE, listen);
    session.do_send(Stop::from(Reason::Stopped));
    speaks.notify_one();
    until(|| count(&log, "read") == 1).await;
    until(|| held.reader.head().unwrap().seq == 2).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(count(&log, "sends"), 0, "{:?}", log.borrow());
    happens.notify_one();
    until(|| count(&log, "sends") == 2).await;
    held.arbiter.stop();
}

/// What a peer says while the disk is slow is not read without an end, and all of it is read in the end.
#[actix::test]
async fn a_peer_is_not_read_without_an_end_while_the_disk_is_slow() {
    const SAYS: usize = 8 * AHEAD_BYTES_MAX;
    let mut held = Held::new();
    let (wire, mut line) = connection().await;
    let core = held.recorder();
    let (log, has_read) = (core.log.clone(), core.has_read.clone());
    let peer = Peer { speaks: Rc::default(), waits_for: None };
    let session =
        SessionActor::start_on(wire, core, peer, held.journal.clone(), SILENCE);
    session.do_send(Stop::from(Reason::Stopped));
    until(|| count(&log, "record") == 1).await;
    let says = actix::spawn(async move {
        line.write_all(&vec![b'.'; SAYS]).await.unwrap();
        line
    });
    until(|| *has_read.borrow() > AHEAD_BYTES_MAX).await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    // actix takes up to 16 times of what a stream has before it looks whether that was cancelled.
    let most = AHEAD_BYTES_MAX + 16 * READ_BYTES;
    assert!(*has_read.borrow() <= most, "{} bytes wait in memory", has_read.borrow());
    drop(held.release.take());
    until(|| *has_read.borrow() == SAYS).await;
    drop(says.await.unwrap());
    held.arbiter.stop();
}

fn closes() -> Output {
    let (why, progress) = ("over".to_owned(), Progress::default());
    Output::Close { end: End::Complete, why, progress, again: None }
}

/// How a session that ends while the disk is full for a moment stands in its journal in the end.
async fn ended_on_a_full_disk(last: Vec<Output>) -> bool {
    let mut held = Held::new();
    let core = Recorder { on_stop: last, ..held.recorder() };
    let peer = Peer { speaks: Rc::default(), waits_for: None };
    let actor = SessionActor::start_without(core, peer, held.journal.clone(), SILENCE, |_, _| {});
    held.reader.refuse_next_write();
    actor.do_send(Stop::from(Reason::Stopped));
    drop(held.release.take());
    until(|| !actor.connected()).await;
    let has_ended = held.has_ended().await;
    held.arbiter.stop();
    has_ended
}

/// A session is over for both, and the disk takes no last word of it: it is written when there is room.
#[actix::test]
async fn the_end_of_a_session_is_written_when_the_disk_is_no_longer_full() {
    let end = || recorded(session(1), ended("over"));
    assert!(ended_on_a_full_disk(vec![end(), closes()]).await, "it is what the disk refused");
    let reserved = recorded(session(1), Record::Reserved { to_seq: 1 });
    let exit = Output::Send(b"an exit".to_vec());
    let behind = vec![reserved, exit, end(), closes()];
    assert!(ended_on_a_full_disk(behind).await, "it is behind what the disk refused");
}

/// The same where it is over because its connection broke, which the core hears while a record is on its
/// way to the disk that the disk then does not take.
#[actix::test]
async fn the_end_of_a_session_is_written_that_came_while_the_disk_was_asked() {
    let mut held = Held::new();
    let (wire, line) = connection().await;
    let on_stop = vec![recorded(session(1), Record::Reserved { to_seq: 1 })];
    let on_hangup = vec![recorded(session(1), ended("over")), closes()];
    let core = Recorder { on_stop, on_hangup, ..held.recorder() };
    let log = core.log.clone();
    let peer = Peer { speaks: Rc::default(), waits_for: None };
    let actor = SessionActor::start_on(wire, core, peer, held.journal.clone(), SILENCE);
    held.reader.refuse_next_write();
    actor.do_send(Stop::from(Reason::Stopped));
    until(|| count(&log, "record") == 1).await;
    drop(line);
    until(|| count(&log, "hangup") == 1).await;
    drop(held.release.take());
    until(|| !actor.connected()).await;
    assert!(held.has_ended().await, "{:?}", log.borrow());
    held.arbiter.stop();
}

/// A side that cannot go on while a record is on its way to the disk: what stands behind that leaves first.
#[actix::test]
async fn a_session_that_fails_while_the_disk_is_asked_says_first_what_it_had_to_say() {
    let mut held = Held::new();
    let (core, speaks) = (held.recorder(), Rc::new(Notify::new()));
    let log = core.log.clone();
    let peer = Peer { speaks: speaks.clone(), waits_for: None };
    let fails = |actor: &mut SessionActor<Peer>, ctx: &mut Ctx<Peer>| {
        let Some(Peer { speaks, .. }) = &actor.side else { return };
        let (speaks, log) = (speaks.clone(), actor.core.log.clone());
        let spoken = async move { speaks.notified().await }.into_actor(actor);
        ctx.spawn(spoken.map(move |(), actor, ctx| {
            actor.fail("no source".to_owned(), ctx);
            log.borrow_mut().push("failed".to_owned());
        }));
    };
    let session = SessionActor::start_without(core, peer, held.journal.clone(), SILENCE, fails);
    session.do_send(Stop::from(Reason::Stopped));
    until(|| count(&log, "record") == 1).await;
    speaks.notify_one();
    until(|| count(&log, "failed") == 1).await;
    assert_eq!(*log.borrow(), ["told", "record", "failed"]);
    drop(held.release.take());
    until(|| count(&log, "sends") == 2).await;
    assert_eq!(log.borrow()[3..], ["sends after 2", "told", "record", "sends after 3"]);
    held.arbiter.stop();
}
