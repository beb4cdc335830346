//! A world: nodes, lines between them, ledgers, and one queue of what happens next. Time is a number
//! that jumps to the next thing in the queue.

use crate::chain::Chain;
use crate::dice::Dice;
use crate::node::Node;
use crate::peer::{Core, Line, Outcome, Peer};
use crate::plant::{Plant, Rule, Wrong};
use crate::setup::{Errand, START_MS, Setup, asset, key, ledger_id};
use crate::teller::Shared;
use crate::witness::Witness;
use sdpp::actors::{interrupted, restarting, waiting};
use sdpp::journal::Write;
use sdpp::session::{Buyer, BuyerRandomness, Input, Offer, Seller, SellerRandomness, Wish};
use sdpp::terms::{Role, SessionId};
use sdpp_ledger::{Digest, Key, keccak};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

/// A world that is not over after so many things that happened never is.
const STEPS_MAX: u64 = 20_000;

/// How often a buyer is sent for the same.
const TRIES: u32 = 3;

/// Something that happens at its time.
pub enum Event {
    /// Bytes arrive that one side of a line sent.
    Arrive { line: u64, from: Role },
    /// A core's deadline.
    Timer { peer: u64, at_ms: u64 },
    /// A seller's source has items.
    Feed { peer: u64 },
    /// Records are on the disk that a core waits for.
    Written { peer: u64 },
    /// A core is told what its shell found out.
    Tell { peer: u64, input: Box<Input<'static>> },
    /// A buyer's shell makes another connection.
    Dial { peer: u64 },
    /// A buyer's shell looks whether the channel stands that a session waits for.
    Fund { peer: u64 },
    /// A seller's shell looks at a channel for the so manieth time.
    Look { peer: u64, ask: crate::funding::Ask, times: u32 },
    /// A node's outbox has a turn on a ledger.
    Turn { node: usize, ledger: usize, at_ms: u64 },
    /// A ledger makes a block.
    Mine { ledger: usize },
    /// Some line is cut.
    Cut,
    /// A node will crash, after some more things that it does.
    Light { node: usize },
    /// A node comes back.
    Start { node: usize },
    /// A buyer is sent.
    Errand { errand: usize, wish: Option<Box<Wish>> },
    /// Somebody else spends what an account has.
    Drain { node: usize },
}

pub struct World {
    pub dice: Dice,
    pub now_ms: u64,
    pub plant: Plant,
    pub setup: Setup,
    pub offer: Arc<Offer>,
    /// The seller's is the first.
    pub nodes: Vec<Node>,
    pub peers: BTreeMap<u64, Peer>,
    pub lines: BTreeMap<u64, Line>,
    pub chains: Vec<Shared>,
    pub errands: Vec<Errand>,
    pub witness: Witness,
    pub outcomes: Vec<Outcome>,
    pub crashes: u32,
    /// How often a session went on that a kill had left: a seller's, and a buyer's.
    pub went_on: [u32; 2],
    pub cuts: u32,
    pub steps: u64,
    /// What happened so far, in a digest.
    pub trace: Digest,
    queue: BTreeMap<(u64, u64), Event>,
    names: u64,
    is_calm: bool,
}

impl World {
    pub fn new(seed: u64, plant: Plant) -> World {
        let mut dice = Dice(seed);
        let setup = Setup::new(&mut dice);
        let chain = |ledger: usize| {
            let all = (1..=setup.buyers).map(|node| key(node).public().account());
            let holds = all.map(|account| (account, asset(ledger), 10_000));
            let id = (ledger_id(ledger), 1 + ledger as u64);
            Arc::new(Mutex::new(Chain::new(id, seed.wrapping_mul(2) + ledger as u64, holds)))
        };
        let chains: Vec<Shared> = (0..2).map(chain).collect();
        let roles = (0..=setup.buyers).map(|node| (node, role(node)));
        let nodes = roles.map(|(node, role)| Node::new(role, key(node), &chains)).collect();
        let (menu, policy) = (setup.menu.clone(), setup.seller_policy());
        let mut world = World {
            offer: Arc::new(Offer { key: key(0), menu, policy }),
            errands: setup.errands.clone(),
            now_ms: START_MS,
            dice,
            plant,
            setup,
            nodes,
            chains,
            peers: BTreeMap::new(),
            lines: BTreeMap::new(),
            witness: Witness::default(),
            outcomes: Vec::new(),
            crashes: 0,
            went_on: [0; 2],
            cuts: 0,
            steps: 0,
            trace: Digest::ZERO,
            queue: BTreeMap::new(),
            names: 0,
            is_calm: false,
        };
        world.plan();
        world
    }

    /// What is going to happen whatever else does.
    fn plan(&mut self) {
        for errand in 0..self.errands.len() {
            let after_ms = self.errands[errand].at_ms - START_MS;
            self.after(after_ms, Event::Errand { errand, wish: None });
        }
        for ledger in 0..self.chains.len() {
            self.after(100, Event::Mine { ledger });
        }
        for node in 0..self.nodes.len() {
            for ledger in 0..self.chains.len() {
                self.wake(node, ledger, 20);
            }
            for _ in 0..self.dice.below(3) {
                let after_ms = self.dice.below(3_000);
                self.after(after_ms, Event::Light { node });
            }
        }
        for _ in 0..self.dice.below(4) {
            let after_ms = self.dice.below(5_000);
            self.after(after_ms, Event::Cut);
        }
        if let Some(node) = self.setup.poor {
            let after_ms = self.dice.below(2_000);
            self.after(after_ms, Event::Drain { node });
        }
    }

    /// Runs to the end, or to the first thing that is wrong.
    pub fn run(&mut self) -> Result<(), Wrong> {
        while !self.is_over() {
            let Some(((at_ms, _), event)) = self.queue.pop_first() else { break };
            self.now_ms = self.now_ms.max(at_ms);
            self.steps += 1;
            self.happen(event);
            if let Some(wrong) = self.witness.wrong.take() {
                return Err(wrong);
            }
            if self.steps > STEPS_MAX {
                let what = format!("after {} steps: {}", self.steps, self.standing());
                return Err(Wrong { rule: Rule::Ends, what });
            }
        }
        crate::books::check(self)
    }

    fn is_over(&mut self) -> bool {
        let is_quiet = self.peers.is_empty() && self.errands.iter().all(|errand| errand.is_over);
        if is_quiet && !self.is_calm {
            self.is_calm = true;
            self.chains.iter().for_each(|chain| chain.lock().unwrap().is_faulty = false);
            self.nodes.iter_mut().for_each(|node| node.fuse = None);
        }
        is_quiet && self.steps.is_multiple_of(8) && self.nodes.iter().all(Node::is_settled)
    }

    /// What still stands open, for whoever has to find out why.
    fn standing(&self) -> String {
        let peers: Vec<String> = self
            .peers
            .iter()
            .map(|(id, peer)| format!("{id} {} {:?}", peer.core.role(), peer.session))
            .collect();
        let mut said = format!("peers {peers:?}");
        for node in self.nodes.iter().filter(|node| node.journal.is_some()) {
            for teller in &node.tellers {
                let id = sdpp_ledger::Ledger::id(teller.as_ref());
                for row in node.reader().unsettled(id, None, 5).unwrap() {
                    said += &format!("\n{} {:?} {:?}", node.role, row.owed.act, row.state);
                }
            }
        }
        said
    }

    pub fn after(&mut self, wait_ms: u64, event: Event) {
        let name = self.name();
        self.queue.insert((self.now_ms + wait_ms, name), event);
    }

    /// A name that nothing else has.
    pub fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    /// Adds to the trace.
    pub fn note(&mut self, what: &[u8]) {
        let at = self.now_ms.to_be_bytes();
        self.trace = keccak(&[&self.trace.0, &at, what]);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { line, from } => self.arrive(line, from),
            Event::Timer { peer, at_ms } => self.ring(peer, at_ms),
            Event::Feed { peer } => self.feed(peer),
            Event::Written { peer } => self.disk_answers(peer),
            Event::Tell { peer, input } => self.tell(peer, *input),
            Event::Dial { peer } => self.dial(peer),
            Event::Fund { peer } => self.fund(peer),
            Event::Look { peer, ask, times } => self.look(peer, ask, times),
            Event::Turn { node, ledger, at_ms } => self.turn(node, ledger, at_ms),
            Event::Mine { ledger } => {
                self.chains[ledger].lock().unwrap().mine(self.now_ms);
                self.after(100, Event::Mine { ledger });
            }
            Event::Cut => self.cut(),
            Event::Light { node } => self.nodes[node].fuse = Some(self.dice.below(40)),
            Event::Start { node } => self.start(node),
            Event::Errand { errand, wish } => self.send_out(errand, wish),
            Event::Drain { node } => {
                let account = self.nodes[node].account();
                self.chains.iter().for_each(|chain| chain.lock().unwrap().drain(&account));
            }
        }
    }

    /// Tells a core what happened, and does what it wants.
    pub fn tell(&mut self, peer: u64, input: Input<'_>) {
        let now_ms = self.now_ms;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.core.handle(input, now_ms);
        self.drive(peer);
    }

    fn ring(&mut self, peer: u64, at_ms: u64) {
        let now_ms = self.now_ms;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if one.timer_ms == Some(at_ms) {
            one.timer_ms = None;
            one.core.handle_timeout(now_ms);
            self.drive(peer);
        }
    }

    fn feed(&mut self, peer: u64) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.is_fed = false;
        let from = one.given;
        let wants = one.seller().map_or(0, |seller| seller.wants()).min(3);
        if wants > 0 {
            one.given += wants;
            self.tell(peer, Input::Items((from + 1..=from + wants).map(item).collect()));
        }
    }

    /// A buyer goes and orders, or goes on where a kill left it.
    fn send_out(&mut self, errand: usize, again: Option<Box<Wish>>) {
        let Errand { node, .. } = self.errands[errand];
        if self.errands[errand].is_over {
            return;
        }
        if self.nodes[node].journal.is_none() || self.nodes[0].journal.is_none() {
            return self.after(500, Event::Errand { errand, wish: again });
        }
        if self.goes_on(errand) {
            return;
        }
        if self.errands[errand].tries >= TRIES {
            self.errands[errand].is_over = true;
            return;
        }
        self.errands[errand].tries += 1;
        let wish = again.map_or_else(|| self.wish(errand), |wish| *wish);
        let (policy, key) = (self.setup.buyer_policy(), self.nodes[node].key.clone());
        let randomness =
            BuyerRandomness { encryption: self.draw_key(), nonce: Digest(self.dice.bytes()) };
        let buyer = Buyer::new(key, wish, policy, randomness, self.now_ms);
        let line = self.connect();
        let peer = self.name();
        let mut one = Peer::new(node, Core::Buyer(Box::new(buyer)), Some(line));
        one.errand = Some(errand);
        self.peers.insert(peer, one);
        self.lines.get_mut(&line).unwrap().way(Role::Seller).reader = Some(peer);
        self.drive(peer);
    }

    /// What an errand asks the seller for.
    pub fn wish(&self, errand: usize) -> Wish {
        let asks = &self.errands[errand];
        self.setup.wish(asks, self.nodes[asks.node].account())
    }

    /// A line to the seller, with somebody who answers there.
    pub fn connect(&mut self) -> u64 {
        let (line, peer) = (self.name(), self.name());
        let drawn = match self.plant {
            Plant::SameKeysAgain => [9; 32],
            _ => self.dice.bytes(),
        };
        let randomness = SellerRandomness {
            challenge: Digest(self.dice.bytes()),
            session_key: Zeroizing::new(drawn),
            ephemeral: self.draw_key(),
            wrap_nonce: [7; 12],
        };
        let seller = Seller::new(self.offer.clone(), randomness, self.now_ms);
        let mut one = Peer::new(0, Core::Seller(Box::new(seller)), Some(line));
        one.drawn = drawn;
        self.peers.insert(peer, one);
        let mut made = Line::default();
        made.way(Role::Buyer).reader = Some(peer);
        self.lines.insert(line, made);
        self.drive(peer);
        line
    }

    pub fn draw_key(&mut self) -> Key {
        Key::from_bytes(&self.dice.bytes()).expect("all but one number in 2^128 are keys")
    }

    /// A node loses its memory and its lines.
    pub fn crash(&mut self, node: usize) {
        self.note(b"crash");
        self.crashes += 1;
        let gone: Vec<u64> =
            self.peers.iter().filter(|(_, peer)| peer.node == node).map(|(id, _)| *id).collect();
        for id in gone {
            let peer = self.peers.remove(&id).expect("it was there");
            peer.line.into_iter().for_each(|line| self.cut_line(line));
            if let Some(errand) = peer.errand {
                let after_ms = self.dice.below(3_000);
                self.after(after_ms, Event::Errand { errand, wish: None });
            }
        }
        self.nodes[node].crash();
        let after_ms = self.dice.below(3_000);
        self.after(after_ms, Event::Start { node });
    }

    /// A node comes back: a seller's sessions whose buyers may come back are built again, a buyer's are
    /// left for their commands, and what else a kill left open is ended, as the program does all three.
    fn start(&mut self, node: usize) {
        self.nodes[node].start();
        if self.plant != Plant::LeaveInterrupted {
            let (reader, ledgers) = (self.nodes[node].reader(), self.nodes[node].ledgers());
            let kept = if node == 0 { restarting::kept(&reader).unwrap() } else { Vec::new() };
            let waiting = waiting::waiting(&reader, self.now_ms).unwrap();
            let waits = |id: &SessionId| waiting.iter().any(|one| one.session == *id);
            let is_left = |id: &SessionId| kept.contains(id) || waits(id);
            let ends: Vec<Write> = interrupted::ends(&reader, &ledgers, is_left).unwrap();
            drop(reader);
            self.commit(node, ends);
            kept.into_iter().for_each(|session| self.rebuild(session));
            waiting.into_iter().for_each(|session| self.leave_waiting(node, session));
        }
        for ledger in 0..self.chains.len() {
            self.wake(node, ledger, 10);
        }
    }
}

fn role(node: usize) -> Role {
    if node == 0 { Role::Seller } else { Role::Buyer }
}

/// What the source gives.
pub fn item(seq: u64) -> Vec<u8> {
    format!("{{\"ppm\":{seq}}}").into_bytes()
}
