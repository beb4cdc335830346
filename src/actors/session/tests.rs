#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::journal::Journal;
use sdpp_ledger::Key;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc;
use tokio::sync::Notify;

/// What a core was told, and how often it was asked what it wants.
type Log = Rc<RefCell<Vec<&'static str>>>;

/// Wants a record made durable when it is told to stop, and then something sent.
struct Recorder {
    log: Log,
    wants: VecDeque<Output>,
}

impl Core for Recorder {
    fn handle(&mut self, input: Input<'_>, _: u64) {
        if matches!(input, Input::Stop(_)) {
            let (session, record) = (SessionId::NONE, Box::new(Record::Reserved { to_seq: 1 }));
            self.wants.push_back(Output::Record { session, record });
            self.wants.push_back(Output::Send(b"a promise".to_vec()));
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
    let core = Recorder { log: log.clone(), wants: VecDeque::new() };
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
