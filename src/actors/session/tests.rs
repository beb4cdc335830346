#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::connection::{AHEAD_BYTES_MAX, READ_BYTES};
use super::*;
use crate::actors::journal::Commit;
use crate::actors::keeper::Keeper;
use crate::actors::node::{Node, Room};
use crate::actors::selling::Place;
use crate::journal::tests::{NOW, ended, order, session};
use crate::journal::{Journal, Session};
use crate::record::{Act, Owed};
use crate::terms::Purpose;
use sdpp_ledger::{Anchor, Call, Digest, Key};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Instant;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What a core was told, and what was asked of it: with bytes, how many records were durable then.
type Log = Rc<RefCell<Vec<String>>>;

/// Wants a record made durable when it is told something, and then something sent; and nothing when its
/// connection breaks.
struct Recorder {
    log: Log,
    reader: Reader,
    /// What it wants when it hears this the next time, instead of all that.
    on: BTreeMap<&'static str, Vec<Output>>,
    wants: VecDeque<Output>,
    owes: u8,
    has_read: Rc<RefCell<usize>>,
}

impl Recorder {
    fn wanting(mut self, on: &'static str, wants: Vec<Output>) -> Self {
        self.on.insert(on, wants);
        self
    }

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

    fn tell(&self, output: &Output) -> String {
        match output {
            Output::Record { .. } => "record".to_owned(),
            _ => format!("sends after {}", self.reader.head().map_or(0, |head| head.seq)),
        }
    }
}

impl Core for Recorder {
    fn handle(&mut self, input: Input<'_>, _: u64) {
        let what = match input {
            Input::Read(bytes) => {
                *self.has_read.borrow_mut() += bytes.len();
                if bytes != b"a word" {
                    return;
                }
                "read"
            }
            Input::Hangup => "hangup",
            Input::Failed(_) => "failed",
            _ => "told",
        };
        self.log.borrow_mut().push(what.to_owned());
        match self.on.remove(what) {
            Some(wants) => self.wants.extend(wants),
            None if what == "hangup" => {}
            None => self.want(),
        }
    }

    fn poll(&mut self) -> Option<Output> {
        let next = self.wants.pop_front();
        self.log.borrow_mut().extend(next.as_ref().map(|output| self.tell(output)));
        next
    }

    fn peek(&self) -> Option<&Output> {
        self.wants.front()
    }

    fn poll_record(&mut self, may_go: &dyn Fn(&Output) -> bool) -> Option<Output> {
        let is_bytes = |output: &&Output| matches!(output, Output::Send(_));
        let at = self.wants.iter().take_while(is_bytes).count();
        let is_record = matches!(self.wants.get(at), Some(Output::Record { .. }));
        let may_go = is_record && self.wants.iter().take(at + 1).all(may_go);
        let next = may_go.then(|| self.wants.remove(at)).flatten();
        self.log.borrow_mut().extend(next.as_ref().map(|output| self.tell(output)));
        next
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

    /// There are no rates.
    fn carry_out(
        _: &mut SessionActor<Self>,
        output: Output,
        _: &mut Ctx<Self>,
    ) -> Result<(), String> {
        if matches!(output, Output::Quote) { Err("no rate".to_owned()) } else { Ok(()) }
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
        let (reader, on) = (self.reader.clone(), BTreeMap::new());
        Recorder { log, reader, on, wants, owes: 0, has_read }
    }

    /// Whether a session has its end in the journal.
    fn is_ended(&self, of: SessionId) -> bool {
        matches!(self.reader.session(&of), Ok(Some(Session { ended: Some(_), .. })))
    }

    /// Whether it has, or gets it in a while.
    async fn has_ended(&self, of: SessionId) -> bool {
        let is_ended = until(|| self.is_ended(of));
        tokio::time::timeout(Duration::from_secs(30), is_ended).await.is_ok()
    }

    /// What the journal has of session 1, in its order.
    fn records(&self) -> Vec<Record> {
        let entries = self.reader.session_entries(&session(1), 0, 9).unwrap();
        entries.into_iter().map(|entry| entry.record).collect()
    }
}

const SILENCE: SilenceMax = SilenceMax { first: None, idle: Duration::MAX };

/// A session's actor does this, when it is told to, and says so.
fn does(
    what: impl FnOnce(&mut SessionActor<Peer>, &mut Ctx<Peer>) + 'static,
    held: &Held,
    core: Recorder,
) -> (Addr<SessionActor<Peer>>, Rc<Notify>) {
    let (log, speaks) = (core.log.clone(), Rc::new(Notify::new()));
    let peer = Peer { speaks: speaks.clone(), waits_for: None };
    let actor = SessionActor::new(core, peer, held.journal.clone(), SILENCE);
    let told = speaks.clone();
    let actor = SessionActor::create(move |ctx| {
        let told = async move { told.notified().await }.into_actor(&actor);
        ctx.spawn(told.map(move |(), actor, ctx| {
            what(actor, ctx);
            log.borrow_mut().push("did".to_owned());
        }));
        actor
    });
    (actor, speaks)
}

async fn connection() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (wire, _) = listener.accept().await.unwrap();
    (Wire::Plain(wire), line)
}

async fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not come to that");
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
    let session = SessionActor::start_on(wire, core, peer, held.journal.clone(), SILENCE);
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
    let core = held.recorder().wanting("told", last);
    let peer = Peer { speaks: Rc::default(), waits_for: None };
    let actor = SessionActor::start_without(core, peer, held.journal.clone(), SILENCE, |_, _| {});
    held.reader.refuse_next_write();
    actor.do_send(Stop::from(Reason::Stopped));
    drop(held.release.take());
    until(|| !actor.connected()).await;
    let has_ended = held.has_ended(session(1)).await;
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
    let core = held.recorder().wanting("told", on_stop).wanting("hangup", on_hangup);
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
    assert!(held.has_ended(session(1)).await, "{:?}", log.borrow());
    held.arbiter.stop();
}

/// A side that cannot go on while a record is on its way to the disk: what stands behind that leaves first.
#[actix::test]
async fn a_session_that_fails_while_the_disk_is_asked_says_first_what_it_had_to_say() {
    let mut held = Held::new();
    let core = held.recorder();
    let log = core.log.clone();
    let (session, speaks) = does(|actor, ctx| actor.fail("no source".to_owned(), ctx), &held, core);
    session.do_send(Stop::from(Reason::Stopped));
    until(|| count(&log, "record") == 1).await;
    speaks.notify_one();
    until(|| count(&log, "did") == 1).await;
    assert_eq!(*log.borrow(), ["told", "record", "did"]);
    drop(held.release.take());
    until(|| count(&log, "sends") == 2).await;
    assert_eq!(log.borrow()[3..], ["sends after 2", "failed", "record", "sends after 3"]);
    held.arbiter.stop();
}

fn reserved(to_seq: u64) -> Output {
    recorded(session(1), Record::Reserved { to_seq })
}

fn is_ended_behind_its_records(held: &Held) -> bool {
    let of = [Record::Reserved { to_seq: 1 }, Record::Reserved { to_seq: 2 }, ended("over")];
    held.records()[1..] == of
}

/// The same, and the disk does not take that record: it and the last words are written later, in order.
#[actix::test]
async fn a_session_that_fails_while_the_disk_does_is_ended_behind_what_it_had_recorded() {
    let mut held = Held::new();
    let word = Output::Send(b"a word".to_vec());
    let on_stop = vec![reserved(1), Output::Rewind { skip: 0 }, word, reserved(2)];
    let on_failed = vec![recorded(session(1), ended("over")), closes()];
    let core = held.recorder().wanting("told", on_stop).wanting("failed", on_failed);
    let log = core.log.clone();
    let (actor, speaks) = does(|actor, ctx| actor.fail("no source".to_owned(), ctx), &held, core);
    held.reader.refuse_next_write();
    actor.do_send(Stop::from(Reason::Stopped));
    until(|| count(&log, "record") == 1).await;
    speaks.notify_one();
    until(|| count(&log, "did") == 1).await;
    drop(held.release.take());
    until(|| !actor.connected()).await;
    assert!(held.has_ended(session(1)).await, "{:?}", log.borrow());
    assert!(is_ended_behind_its_records(&held), "{:?}", held.records());
    held.arbiter.stop();
}

/// A side that cannot go on, whose disk is well: what its core had to record is there when it is over.
#[actix::test]
async fn a_session_that_fails_on_a_good_disk_has_all_its_records_when_it_is_over() {
    for is_over in [false, true] {
        let mut held = Held::new();
        drop(held.release.take());
        let mut last = vec![recorded(session(1), ended("over")), closes()];
        let mut on_stop = vec![reserved(1), Output::Quote, reserved(2)];
        on_stop.extend(last.drain(..if is_over { 2 } else { 0 }));
        let core = held.recorder().wanting("told", on_stop).wanting("failed", last);
        let (actor, _) = does(|_, _| (), &held, core);
        actor.do_send(Stop::from(Reason::Stopped));
        until(|| !actor.connected()).await;
        assert!(is_ended_behind_its_records(&held), "over before {is_over}: {:?}", held.records());
        held.arbiter.stop();
    }
}

/// A record that stands behind bytes that wait for something rests on that, and waits with them; one behind
/// bytes that may leave goes with those in front of it.
#[actix::test]
async fn a_record_goes_in_front_of_bytes_that_may_leave_and_of_no_others() {
    for waits in [false, true] {
        let mut held = Held::new();
        drop(held.release.take());
        let word = || Output::Send(b"a word".to_vec());
        let core = held.recorder().wanting("told", vec![reserved(1), word(), reserved(2), word()]);
        let (log, happens) = (core.log.clone(), Rc::new(Notify::new()));
        let waits_for = waits.then(|| happens.clone());
        let peer = Peer { speaks: Rc::default(), waits_for };
        let journal = held.journal.clone();
        let actor = SessionActor::start_without(core, peer, journal, SILENCE, |_, _| {});
        actor.do_send(Stop::from(Reason::Stopped));
        until(|| count(&log, "record") >= 1 && held.reader.head().unwrap().seq >= 2).await;
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        happens.notify_one();
        until(|| count(&log, "sends") == 2).await;
        let all = match waits {
            true => ["told", "record", "sends after 2", "record", "sends after 3"],
            false => ["told", "record", "record", "sends after 3", "sends after 3"],
        };
        assert_eq!(*log.borrow(), all);
        held.arbiter.stop();
    }
}

/// Connections that come back while the disk is slow wait in memory: a few.
#[actix::test]
async fn little_waits_until_a_session_has_nothing_else_to_do() {
    let mut held = Held::new();
    let core = held.recorder();
    let log = core.log.clone();
    let comes = |actor: &mut SessionActor<Peer>, ctx: &mut Ctx<Peer>| {
        for number in 0..2 * WHEN_IDLE_MAX {
            let taken = |actor: &mut SessionActor<Peer>, number, _: &mut Ctx<Peer>| {
                actor.core.log.borrow_mut().push(format!("taken {number}"));
            };
            if let Some(back) = actor.when_idle(number, taken, ctx) {
                assert_eq!(number, back);
                actor.core.log.borrow_mut().push(format!("back {number}"));
            }
        }
    };
    let (actor, speaks) = does(comes, &held, core);
    actor.do_send(Stop::from(Reason::Stopped));
    until(|| count(&log, "record") == 1).await;
    speaks.notify_one();
    until(|| count(&log, "did") == 1).await;
    assert_eq!(log.borrow()[2..], ["back 4", "back 5", "back 6", "back 7", "did"]);
    drop(held.release.take());
    until(|| count(&log, "taken") == WHEN_IDLE_MAX).await;
    assert_eq!(log.borrow()[7..], ["sends after 2", "taken 0", "taken 1", "taken 2", "taken 3"]);
    held.arbiter.stop();
}

/// That we do not read while the disk is slow is not the peer's silence.
#[actix::test]
async fn a_peer_that_we_do_not_read_is_not_silent() {
    let held = Held::new();
    let (wire, mut line) = connection().await;
    let core = held.recorder();
    let (log, has_read) = (core.log.clone(), core.has_read.clone());
    let idle = Duration::from_millis(500);
    let silence = SilenceMax { first: None, idle };
    let peer = || Peer { speaks: Rc::default(), waits_for: None };
    let actor = SessionActor::start_on(wire, core, peer(), held.journal.clone(), silence);
    actor.do_send(Stop::from(Reason::Stopped));
    until(|| count(&log, "record") == 1).await;
    let says = actix::spawn(async move {
        let all = vec![b'\n'; 8 * AHEAD_BYTES_MAX];
        // It is hung up on when the story is over.
        let _ = line.write_all(&all).await;
    });
    until(|| *has_read.borrow() > AHEAD_BYTES_MAX).await;
    // Another, that says nothing, and has all the time that the first had.
    let (wire, line) = connection().await;
    let core = held.recorder();
    let silent = core.log.clone();
    let other = SessionActor::start_on(wire, core, peer(), held.journal.clone(), silence);
    until(|| count(&silent, "hangup") == 1).await;
    assert_eq!(count(&log, "hangup"), 0);
    says.abort();
    drop((actor, other, line));
    held.arbiter.stop();
}

/// A session breaks while its records are on their way to the disk: it is ended behind them.
#[actix::test]
async fn a_session_that_breaks_while_the_disk_is_asked_is_ended_when_its_records_are_there() {
    let mut held = Held::new();
    let room = Room { connections_max: 9, per_address_max: 9, sessions_wait: false };
    let node = Node::start_with(&Keeper::default(), room);
    let order = Write::Append { session: Some(session(2)), record: Box::new(order()) };
    held.journal.do_send(Commit(vec![order]));
    drop(Place {
        id: 0,
        node,
        ledgers: Default::default(),
        reader: held.reader.clone(),
        journal: held.journal.clone(),
        session: Some(session(2)),
    });
    drop(held.release.take());
    assert!(held.has_ended(session(2)).await);
    held.arbiter.stop();
}
