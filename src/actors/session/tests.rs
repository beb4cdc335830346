#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::journal::tests::{NOW, ended, order, session};
use crate::journal::{Journal, Session};
use sdpp_ledger::Key;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc;
use tokio::sync::Notify;

/// What a core was told, and how often it was asked what it wants.
type Log = Rc<RefCell<Vec<&'static str>>>;

/// Wants things done when it is told to stop, and nothing before or after.
struct Recorder {
    log: Log,
    on_stop: Vec<Output>,
    wants: VecDeque<Output>,
}

impl Core for Recorder {
    fn handle(&mut self, input: Input<'_>, _: u64) {
        if matches!(input, Input::Stop(_)) {
            self.wants.extend(self.on_stop.drain(..));
        }
        self.log.borrow_mut().push(if matches!(input, Input::Read(_)) { "read" } else { "told" });
    }

    fn poll(&mut self) -> Option<Output> {
        self.log.borrow_mut().push("asked");
        self.wants.pop_front()
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
struct Peer(Rc<Notify>);

impl Side for Peer {
    type Core = Recorder;

    fn carry_out(_: &mut SessionActor<Self>, _: Output, _: &mut Ctx<Self>) -> Result<(), String> {
        Ok(())
    }

    fn idle(_: &mut SessionActor<Self>, _: &mut Ctx<Self>) {}

    fn ended(self, _: Ended) {}
}

fn listen(actor: &mut SessionActor<Peer>, ctx: &mut Ctx<Peer>) {
    let Some(Peer(speaks)) = &actor.side else { return };
    let speaks = speaks.clone();
    let spoken = async move { speaks.notified().await }.into_actor(actor);
    ctx.spawn(spoken.map(|(), actor, ctx| actor.tell(Input::Read(b"a word"), ctx)));
}

/// What is to leave after a record waits for the disk, whatever comes meanwhile: even what comes in the
/// very moment in which the wait begins, which actix gives us all the same.
#[actix::test]
async fn nothing_leaves_before_its_record_is_durable_although_the_peer_speaks_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Key::from_bytes(&[1; 32]).unwrap().public();
    let journal = Journal::open(&dir.path().join("journal"), identity).unwrap();
    let arbiter = Arbiter::new();
    let (journal, _reader) = JournalActor::start_on(&arbiter, journal);
    let (release, held) = mpsc::channel::<()>();
    arbiter.spawn_fn(move || {
        let _ = held.recv();
    });
    let (log, speaks) = (Log::default(), Rc::new(Notify::new()));
    let reserved = Record::Reserved { to_seq: 1 };
    let on_stop = vec![recorded(SessionId::NONE, reserved), Output::Send(b"a promise".to_vec())];
    let core = Recorder { log: log.clone(), on_stop, wants: VecDeque::new() };
    let silence_max = SilenceMax { first: None, idle: Duration::MAX };
    let peer = Peer(speaks.clone());
    let session = SessionActor::start_without(core, peer, journal, silence_max, listen);
    while log.borrow().is_empty() {
        tokio::task::yield_now().await;
    }
    log.borrow_mut().clear();
    speaks.notify_one();
    session.do_send(Stop::from(Reason::Stopped));
    while !log.borrow().contains(&"read") {
        tokio::task::yield_now().await;
    }
    // The record and what follows it were asked for, and nothing more after the peer had spoken.
    assert_eq!(*log.borrow(), ["told", "asked", "asked", "read"]);
    drop(release);
    while log.borrow().last() != Some(&"asked") {
        tokio::task::yield_now().await;
    }
    arbiter.stop();
}

/// How a session that ends while the disk is full for a moment stands in its journal in the end.
async fn ended_on_a_full_disk(last: Vec<Output>) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let identity = Key::from_bytes(&[1; 32]).unwrap().public();
    let mut journal = Journal::open(&dir.path().join("journal"), identity).unwrap();
    let order = Write::Append { session: Some(session(1)), record: Box::new(order()) };
    journal.commit(NOW, vec![order]).unwrap();
    let arbiter = Arbiter::new();
    let (journal, reader) = JournalActor::start_on(&arbiter, journal);
    let core = Recorder { log: Log::default(), on_stop: last, wants: VecDeque::new() };
    let silence_max = SilenceMax { first: None, idle: Duration::MAX };
    let take = |_: &mut SessionActor<Peer>, _: &mut Ctx<Peer>| {};
    let session_actor =
        SessionActor::start_without(core, Peer(Rc::default()), journal, silence_max, take);
    reader.refuse_next_write();
    session_actor.send(Stop::from(Reason::Stopped)).await.unwrap();
    let is_over = async {
        while session_actor.connected() {
            tokio::task::yield_now().await;
        }
        // The journal is being mended for a while.
        while !matches!(reader.session(&session(1)), Ok(Some(Session { ended: Some(_), .. }))) {
            tokio::task::yield_now().await;
        }
    };
    let is_over = tokio::time::timeout(Duration::from_secs(30), is_over).await.is_ok();
    arbiter.stop();
    is_over
}

/// A session is over for both, and the disk takes no last word of it: it is written when there is room.
#[actix::test]
async fn the_end_of_a_session_is_written_when_the_disk_is_no_longer_full() {
    let close = || Output::Close {
        end: End::Complete,
        why: "over".to_owned(),
        progress: Progress::default(),
        again: None,
    };
    let end = || recorded(session(1), ended("over"));
    assert!(ended_on_a_full_disk(vec![end(), close()]).await, "it is what the disk refused");
    let reserved = recorded(session(1), Record::Reserved { to_seq: 1 });
    let exit = Output::Send(b"an exit".to_vec());
    let behind = vec![reserved, exit, end(), close()];
    assert!(ended_on_a_full_disk(behind).await, "it is behind what the disk refused");
}
