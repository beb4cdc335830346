//! Lines that break: what a pair does about them as its shells would.

use crate::pair::*;
use sdpp::record::{End, Record};
use sdpp::session::{Buyer, Claim, Input, NotResumed, Output, Restart, Seller, SellerRandomness};
use sdpp::settling::Policy;
use sdpp_ledger::{Amount, Digest, Key, keccak};
use zeroize::Zeroizing;

/// How long either side keeps a session without a line.
pub const RESUME_MS: u64 = 30_000;

/// What a setting is called, and it.
type Named = (&'static str, fn() -> Setting);

/// What is sold how, wherever a session breaks and goes on: ten items.
pub const SETTINGS: [Named; 10] = [
    ("transfer", ten),
    ("transfer, one item to a window", || ten().windows(1, 1)),
    ("transfer, several windows of one item", || ten().windows(1, 3)),
    ("transfer, anchors after", || ten().anchored_after()),
    ("transfer under MACs", || ten().under_mac().anchored_after()),
    ("escrow", || ten().by_escrow().no_records()),
    ("escrow under MACs", || ten().by_escrow().under_mac().anchored_after()),
    ("a committed dataset", || ten().committed(20).anchored_after()),
    ("escrow under MACs, a committed dataset", || {
        ten().committed(10).by_escrow().under_mac().no_records()
    }),
    ("several windows in a payment", || {
        let waits = Policy { exposure: Some(Amount::new(1_000_000)), ..Policy::default() };
        ten().anchored_after().windows(1, 5).together(waits)
    }),
];

fn ten() -> Setting {
    Setting::default().order("co2", Some(10)).windows(3, 2)
}

/// A setting in which sessions outlive their lines.
pub fn resumable(mut setting: Setting) -> Setting {
    setting.menu.resume_ms = Some(RESUME_MS);
    setting.buyer.resume_ms = Some(RESUME_MS);
    setting
}

/// A pair whose line can be cut.
pub struct Wire {
    pub pair: Pair,
    /// The connection that the buyer made anew, until it is the session's.
    pub door: Option<Box<Seller>>,
    /// What the buyer sent over it, in all connections.
    pub hellos: Vec<Vec<u8>>,
    /// The buyer wants another connection.
    wants_line: bool,
    /// How many connections there were.
    pub lines: u64,
    seen: usize,
    restarts: u64,
    /// The source can be read again.
    rereads: bool,
    /// The seller alone has heard that the line is gone.
    unnoticed: bool,
    /// The buyer alone has.
    deaf: bool,
}

fn randomness(line: u64) -> SellerRandomness {
    let of = |what: &[u8]| keccak(&[what, &line.to_be_bytes()]);
    SellerRandomness {
        challenge: of(b"challenge"),
        session_key: Zeroizing::new(of(b"session key").0),
        ephemeral: Key::from_bytes(&of(b"ephemeral").0).unwrap(),
        wrap_nonce: [line as u8; 12],
    }
}

impl Wire {
    pub fn new(setting: Setting) -> Wire {
        let pair = resumable(setting).start();
        let (door, hellos) = (None, Vec::new());
        Wire {
            pair,
            door,
            hellos,
            wants_line: false,
            lines: 1,
            seen: 0,
            restarts: 0,
            rereads: true,
            unnoticed: false,
            deaf: false,
        }
    }

    /// Both sides hear that the line is gone; what was under way on it is lost.
    pub fn cut(&mut self) {
        self.hang_up(Role::Seller);
        self.hang_up(Role::Buyer);
    }

    /// One side alone hears of it.
    pub fn hang_up(&mut self, role: Role) {
        match role {
            Role::Seller => self.pair.b.wire.clear(),
            Role::Buyer => self.pair.s.wire.clear(),
        }
        self.unnoticed = role == Role::Seller;
        if self.door.is_some() {
            // What was said over the new connection is not for whoever has the old one.
            self.pair.b.wire.clear();
        }
        match (role, self.door.take()) {
            // A connection that nobody took goes for its buyer alone.
            (Role::Seller, Some(_)) => self.pair.tell(Role::Buyer, Input::Hangup),
            (role, _) => self.pair.tell(role, Input::Hangup),
        }
        self.look();
    }

    /// The seller is killed, and started again from what it had put out: with a source that can be read
    /// again, or not. Whether the session goes on.
    pub fn restart(&mut self, rereads: bool) -> Result<(), String> {
        (self.rereads, self.pair.is_live) = (rereads, !rereads);
        let rebuilt = self.rebuilt(true)?;
        let pair = &mut self.pair;
        pair.seller = rebuilt;
        pair.b.wire.clear();
        pair.tell_outcomes();
        self.hang_up(Role::Buyer);
        self.pair.b.wire.clear();
        Ok(())
    }

    /// The buyer's process is gone, and this one has its place: it has no line. The seller hears of that
    /// now, or when the buyer comes back.
    pub fn replace_buyer(&mut self, buyer: Buyer, is_noticed: bool) {
        let has_door = self.door.take().is_some();
        self.pair.buyer = buyer;
        self.pair.s.wire.clear();
        self.pair.b.wire.clear();
        (self.wants_line, self.unnoticed) = (false, false);
        match is_noticed && !has_door {
            true => self.pair.tell(Role::Seller, Input::Hangup),
            false => self.deaf |= !has_door,
        }
        self.look();
    }

    /// What was wanted before may have been forgotten.
    pub fn forget_seen(&mut self) {
        self.seen = self.seen.min(self.pair.b.log.len());
    }

    /// The session as the seller's records have it.
    fn rebuilt(&mut self, may_void: bool) -> Result<Seller, String> {
        self.restarts += 1;
        let restart = Restart {
            rereads: self.rereads,
            may_void,
            session_key: Zeroizing::new(keccak(&[b"restart", &self.restarts.to_be_bytes()]).0),
            domains: [ledger(), other_ledger(), third_ledger()].map(|id| (id, domain())).into(),
            standing: None,
        };
        let pair = &self.pair;
        Seller::rebuilt(&pair.offer, &pair.s.records, restart, pair.now_ms)
    }

    /// What is kept in memory no more is in the journal, and the source has the items.
    fn resume_anew(&mut self, claim: &Claim) -> Option<()> {
        while self.pair.drain_outputs(Role::Seller) {}
        let mut rebuilt = self.rebuilt(self.pair.seller.is_anew()).ok()?;
        rebuilt.resume(claim, self.pair.now_ms).ok()?;
        self.pair.seller = rebuilt;
        self.pair.tell_outcomes();
        Some(())
    }

    /// One thing that can happen next, if any.
    pub fn step(&mut self) -> bool {
        let stepped = self.dial() || self.carry_to_door() || self.pair.step();
        self.look();
        stepped
    }

    /// The buyer gets the connection that it wants.
    pub fn dial(&mut self) -> bool {
        if !std::mem::take(&mut self.wants_line) || self.pair.b.closed.is_some() {
            return false;
        }
        self.lines += 1;
        self.pair.b.wire.clear();
        self.pair.s.wire.clear();
        let offer = self.pair.offer.clone();
        let door = Seller::new(offer, randomness(self.lines), self.pair.now_ms);
        self.door = Some(Box::new(door));
        let encryption = Key::from_bytes(&keccak(&[b"encryption", &self.lines.to_be_bytes()]).0);
        self.pair.tell(Role::Buyer, Input::Connected { encryption: encryption.unwrap() });
        self.answer();
        true
    }

    /// What the buyer says over a new connection is for whoever answers there.
    fn carry_to_door(&mut self) -> bool {
        let Some(door) = self.door.as_mut() else { return false };
        let bytes: Vec<u8> = self.pair.b.wire.drain(..).collect();
        if bytes.is_empty() {
            return false;
        }
        door.handle(Input::Read(&bytes), self.pair.now_ms);
        self.hellos.push(bytes);
        self.answer();
        true
    }

    /// Does what the new connection wants.
    fn answer(&mut self) {
        while let Some(output) = self.door.as_mut().and_then(|door| door.poll()) {
            match output {
                Output::Send(bytes) => self.pair.s.wire.extend(bytes),
                Output::Resume { .. } => self.claim(),
                Output::Close { .. } => self.door = None,
                other => panic!("a connection without a session wants {other:?}"),
            }
        }
    }

    /// The session takes over the connection, or what it says instead is said there.
    fn claim(&mut self) {
        let Some(mut door) = self.door.take() else { return };
        let now_ms = self.pair.now_ms;
        let claim = door.claim().unwrap().clone();
        if self.pair.s.closed.is_some() {
            door.handle(parted(&self.pair), now_ms);
        } else {
            let resumed = self.pair.seller.resume(&claim, now_ms);
            let refused = resumed.err().filter(|_| self.resume_anew(&claim).is_none());
            let Some(refused) = refused else {
                // The old line hears no more of us.
                self.pair.s.wire.clear();
                self.deaf = false;
                return;
            };
            door.handle(Input::NotResumed(refused), now_ms);
        }
        self.door = Some(door);
    }

    /// Looks for what the buyer wants of whoever carries it.
    fn look(&mut self) {
        let log = &self.pair.b.log;
        self.wants_line |= log[self.seen..].contains(&Output::Redial);
        self.seen = log.len();
    }

    /// A connection of somebody's, who says this on it; gives what is answered.
    pub fn knock(&mut self, bytes: &[u8]) -> String {
        self.lines += 1;
        let (offer, now_ms) = (self.pair.offer.clone(), self.pair.now_ms);
        let mut door = Seller::new(offer, randomness(self.lines), now_ms);
        door.handle(Input::Read(bytes), now_ms);
        if let Some(claim) = door.claim().cloned() {
            match self.pair.seller.resume(&claim, now_ms) {
                Ok(()) => return "the session goes on here".to_owned(),
                Err(refused) => door.handle(Input::NotResumed(refused), now_ms),
            }
        }
        let mut said = String::new();
        while let Some(output) = door.poll() {
            if let Output::Send(bytes) = output {
                said.push_str(&String::from_utf8(bytes).unwrap());
            }
        }
        said.lines().last().unwrap_or_default().to_owned()
    }

    /// Runs until so many items arrived.
    pub fn run_to(&mut self, items: usize) -> &mut Self {
        while self.pair.b.delivered.len() < items && self.step() {}
        self
    }

    /// Runs as far as it goes while the source gives nothing.
    pub fn run_without_feeding(&mut self) {
        while self.dial() || self.carry_to_door() || self.pair.step_without_feeding() {
            self.look();
        }
    }

    /// Runs to the end; where nothing moves, time does.
    pub fn finish(&mut self) -> &mut Self {
        for _ in 0..100_000 {
            if self.pair.is_over() {
                return self;
            }
            if self.step() {
                continue;
            }
            if std::mem::take(&mut self.unnoticed) {
                self.hang_up(Role::Buyer);
            } else if std::mem::take(&mut self.deaf) {
                self.pair.tell(Role::Seller, Input::Hangup);
            } else if self.pair.ledger_down {
                self.pair.ledger_down = false;
            } else {
                self.pair.pass_time();
                self.look();
            }
        }
        panic!("the session does not end");
    }
}

/// What the seller's journal has of a session that is over.
fn parted(pair: &Pair) -> Input<'static> {
    let exit = pair.s.records.iter().find_map(|record| match record {
        Record::Exit { by: sdpp::terms::Role::Seller, message, .. } => Some(message.clone()),
        _ => None,
    });
    match exit {
        Some(exit) => Input::Parted { buyer: key(2).public(), exit: Box::new(exit) },
        None => Input::NotResumed(NotResumed::unknown()),
    }
}

/// All items came, each once, and all is paid; both books say so.
pub fn is_whole(wire: &Wire, items: u64) {
    let Pair { s, b, .. } = &wire.pair;
    assert_eq!((s.end(), b.end()), (End::Complete, End::Complete), "{} / {}", s.why(), b.why());
    assert_eq!(b.delivered.len() as u64, items);
    for (at, (seq, item)) in b.delivered.iter().enumerate() {
        assert_eq!((*seq, item), (at as u64 + 1, &crate::pair::item(*seq)));
    }
    let of = |side: &Side| (side.progress().owed, side.progress().paid);
    assert_eq!(of(s).0, of(s).1);
    assert_eq!(of(s), of(b));
}

/// The challenge of the menu of a connection, by its number.
pub fn challenge_of(line: u64) -> Digest {
    randomness(line).challenge
}
