//! The node: knows every session, counts connections, and ends them in good order. It serves the
//! listener, the sessions as they end, and commands that ask how it is.
//!
//! Mailbox: actix's default of 16 for those who wait; sessions write past it, one message each when
//! they begin and end, and one when what their buyer asks for changes.

use crate::actors::keeper::{Keeper, Kept};
use crate::actors::selling::Selling;
use crate::actors::session::{Ended, SessionActor, Stop};
use crate::message::Reason;
use crate::session::OpenAsk;
use crate::terms::SessionId;
use actix::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Where the buyers of sessions without a connection are.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What strangers are told when we end.
pub(super) const CLOSING: &str = "this seller is closing";

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// In all.
    pub connections_max: usize,
    /// From one address.
    pub per_address_max: usize,
    /// Sessions wait for their buyers to come back on another.
    pub sessions_wait: bool,
}

/// The node.
pub struct Node(Arc<Mutex<Guests>>);

/// All that a node knows; its next life knows the same.
struct Guests {
    room: Room,
    next_id: u64,
    connections: BTreeMap<u64, Connection>,
    per_address: HashMap<IpAddr, usize>,
    /// Set when no more orders are taken; told when the last who was there is gone.
    draining: Option<Vec<oneshot::Sender<()>>>,
    /// Why no order can be taken just now, for our own people.
    short: Option<String>,
    ended: u64,
}

struct Connection {
    from: IpAddr,
    session: Option<Addr<SessionActor<Selling>>>,
    asked: Option<Asked>,
    /// It came when no more orders were taken, for a session that waits. Nobody waits for it.
    is_late: bool,
}

/// A connection wants in.
#[derive(Message)]
#[rtype(result = "Result<u64, String>")]
pub struct Join {
    /// From where.
    pub from: IpAddr,
}

/// A session that has no connection wants its place: one that went on when this process was started.
#[derive(Message)]
#[rtype(result = "u64")]
pub struct Keep;

/// A session runs.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Started {
    /// Its connection.
    pub id: u64,
    /// Its actor.
    pub session: Addr<SessionActor<Selling>>,
}

/// A session has its terms, or what its buyer asks for has changed.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Asked {
    /// Its connection.
    pub id: u64,
    /// The session.
    pub session: SessionId,
    /// What the buyer wants credited and nobody has answered.
    pub asks: Vec<OpenAsk>,
}

/// Asks for the actor of a session; `None` where it is over, or was never here.
#[derive(Message)]
#[rtype(result = "Option<Addr<SessionActor<Selling>>>")]
pub struct Find(pub SessionId);

/// Asks what buyers want credited and nobody has answered, of so many sessions at most.
#[derive(Message)]
#[rtype(result = "Vec<Asked>")]
pub struct AllAsked {
    /// The most.
    pub at_most: usize,
}

/// A session is over.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave {
    /// Its connection.
    pub id: u64,
    /// How it ended.
    pub ended: Ended,
}

/// A connection is gone without a session.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Gone {
    /// The connection.
    pub id: u64,
}

/// Asks every session to end in good order, and answers when the last one has. Connections are taken as
/// long as a session may wait for its buyer to come back on one, and no others.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

/// The journal has no room for another session, and why; `None` when it has again. Sessions that run
/// end in good order.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Short(pub Option<String>);

/// Asks how many there are.
#[derive(Message)]
#[rtype(result = "Crowd")]
pub struct Count;

/// How many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, MessageResponse)]
pub struct Crowd {
    /// Connections, with a session or before one.
    pub connections: usize,
    /// Sessions that have ended since the node started.
    pub ended: u64,
    /// Why no order can be taken just now.
    pub short: Option<String>,
    /// No more are taken.
    pub is_draining: bool,
}

impl Node {
    /// Starts a node with so much room, and has it kept.
    pub fn start_with(keeper: &Keeper, room: Room) -> Kept<Node> {
        let guests = Arc::new(Mutex::new(Guests {
            room,
            next_id: 0,
            connections: BTreeMap::new(),
            per_address: HashMap::new(),
            draining: None,
            short: None,
            ended: 0,
        }));
        keeper.actor("node", move || Node(guests.clone()))
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    /// Forgets those who left while nobody took note.
    fn forget_gone(&mut self) {
        let is_gone = |one: &Connection| one.session.as_ref().is_some_and(|s| !s.connected());
        let gone = self.connections.iter().filter(|(_, one)| is_gone(one));
        for id in gone.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.forget(id);
        }
    }

    fn join(&mut self, from: IpAddr) -> Result<u64, String> {
        let is_late = self.draining.is_some();
        if is_late && !self.may_wait() {
            return Err(CLOSING.to_owned());
        }
        if self.short.is_some() {
            // What is wrong with our disk is not a stranger's business.
            return Err("this seller takes no orders just now".to_owned());
        }
        let Room { connections_max, per_address_max, .. } = self.room;
        if self.connections.len() >= connections_max {
            return Err(format!("{connections_max} connections are open, which is the most"));
        }
        let here = self.per_address.entry(from).or_default();
        if *here >= per_address_max {
            return Err(format!("{per_address_max} connections are open from your address"));
        }
        *here += 1;
        Ok(self.enter(from, is_late))
    }

    /// Whether a session may wait for its buyer.
    fn may_wait(&self) -> bool {
        self.room.sessions_wait && self.connections.values().any(|one| one.asked.is_some())
    }

    fn enter(&mut self, from: IpAddr, is_late: bool) -> u64 {
        self.next_id += 1;
        let connection = Connection { from, session: None, asked: None, is_late };
        self.connections.insert(self.next_id, connection);
        self.next_id
    }

    fn is_drained(&self) -> bool {
        self.connections.values().all(|one| one.is_late)
    }

    fn stop_sessions(&self) {
        for session in self.connections.values().filter_map(|c| c.session.as_ref()) {
            session.do_send(Stop::from(Reason::Stopped));
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if let Some(here) = self.per_address.get_mut(&connection.from) {
            *here -= 1;
            if *here == 0 {
                self.per_address.remove(&connection.from);
            }
        }
        if self.is_drained() {
            for waiting in self.draining.iter_mut().flat_map(std::mem::take) {
                // Whoever no longer waits needs no answer.
                let _ = waiting.send(());
            }
        }
    }
}

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.guests().forget_gone();
    }
}

impl Handler<Join> for Node {
    type Result = Result<u64, String>;

    fn handle(&mut self, Join { from }: Join, _: &mut Context<Self>) -> Self::Result {
        self.guests().join(from)
    }
}

impl Handler<Keep> for Node {
    type Result = u64;

    fn handle(&mut self, Keep: Keep, _: &mut Context<Self>) -> u64 {
        let mut guests = self.guests();
        *guests.per_address.entry(NOWHERE).or_default() += 1;
        guests.enter(NOWHERE, false)
    }
}

impl Handler<Started> for Node {
    type Result = ();

    fn handle(&mut self, Started { id, session }: Started, _: &mut Context<Self>) {
        let mut guests = self.guests();
        let is_ending = guests.draining.is_some() || guests.short.is_some();
        let Some(connection) = guests.connections.get_mut(&id) else { return };
        if is_ending && !connection.is_late {
            session.do_send(Stop::from(Reason::Stopped));
        }
        connection.session = Some(session);
    }
}

impl Handler<Asked> for Node {
    type Result = ();

    fn handle(&mut self, asked: Asked, _: &mut Context<Self>) {
        if let Some(connection) = self.guests().connections.get_mut(&asked.id) {
            connection.asked = Some(asked);
        }
    }
}

impl Handler<Find> for Node {
    type Result = Option<Addr<SessionActor<Selling>>>;

    fn handle(&mut self, Find(session): Find, _: &mut Context<Self>) -> Self::Result {
        let is_it = |one: &&Connection| one.asked.as_ref().is_some_and(|s| s.session == session);
        self.guests().connections.values().find(is_it)?.session.clone()
    }
}

impl Handler<AllAsked> for Node {
    type Result = MessageResult<AllAsked>;

    fn handle(&mut self, AllAsked { at_most }: AllAsked, _: &mut Context<Self>) -> Self::Result {
        let guests = self.guests();
        let asked = guests.connections.values().filter_map(|one| one.asked.as_ref());
        let asked = asked.filter(|asked| !asked.asks.is_empty());
        MessageResult(asked.take(at_most).cloned().collect())
    }
}

impl Handler<Leave> for Node {
    type Result = ();

    fn handle(&mut self, Leave { id, ended }: Leave, _: &mut Context<Self>) {
        let Ended { session, end, why, progress, .. } = ended;
        if let Some(session) = session {
            let (items, owed, paid) = (progress.items, progress.owed, progress.paid);
            tracing::info!(%session, ?end, why, items, %owed, %paid, "a session ended");
            self.guests().ended += 1;
        } else {
            tracing::debug!(?end, why, "a connection ended before a session");
        }
        self.guests().forget(id);
    }
}

impl Handler<Gone> for Node {
    type Result = ();

    fn handle(&mut self, Gone { id }: Gone, _: &mut Context<Self>) {
        self.guests().forget(id);
    }
}

impl Handler<Drain> for Node {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        let mut guests = self.guests();
        if guests.is_drained() {
            let _ = sender.send(());
            guests.draining.get_or_insert_default();
        } else {
            guests.draining.get_or_insert_default().push(sender);
        }
        guests.stop_sessions();
        Box::pin(async move {
            let _ = receiver.await;
        })
    }
}

impl Handler<Short> for Node {
    type Result = ();

    fn handle(&mut self, Short(why): Short, _: &mut Context<Self>) {
        let mut guests = self.guests();
        guests.short = why;
        if guests.short.is_some() {
            guests.stop_sessions();
        }
    }
}

impl Handler<Count> for Node {
    type Result = Crowd;

    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> Crowd {
        let guests = self.guests();
        Crowd {
            connections: guests.connections.len(),
            ended: guests.ended,
            short: guests.short.clone(),
            is_draining: guests.draining.is_some(),
        }
    }
}
