//! A liar on the line between a real buyer and a real seller: hears every frame, and says what it likes to
//! either. With a side's key it lies in that side's name; without, it is a stranger between the two.

use crate::frame::Frame;
use sdpp::terms::{Role, SessionId};
use sdpp_ledger::ChannelId;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a liar does about a frame.
pub enum Do {
    /// Says this to one of the two.
    Say(Role, Vec<u8>),
    /// Cuts the line.
    Cut,
    /// Says nothing more: neither hears it when the other hangs up.
    Hush,
}

/// What is known where a frame comes by.
pub struct Heard<'a> {
    pub frame: &'a Frame,
    /// Of the order that went by last.
    pub session: SessionId,
    /// What that order is paid from, where it is by escrow.
    pub channel: Option<ChannelId>,
    /// The connection, from 1.
    pub line: usize,
}

/// What a liar makes of each frame.
pub type Lie = Box<dyn FnMut(&Heard<'_>) -> Vec<Do> + Send>;

/// The liar's place.
pub struct Relay {
    pub address: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    frames: Vec<Frame>,
    session: Option<SessionId>,
    channel: Option<ChannelId>,
}

impl Heard<'_> {
    /// It goes on as it is.
    pub fn on(&self) -> Vec<Do> {
        self.instead(self.frame.bytes.clone())
    }

    /// Something else goes on in its place.
    pub fn instead(&self, bytes: Vec<u8>) -> Vec<Do> {
        vec![Do::Say(other(self.frame.from), bytes)]
    }

    /// Whether this side says a message of this kind.
    pub fn is(&self, from: Role, kind: &str) -> bool {
        self.frame.from == from && self.frame.kind == kind
    }
}

/// Everything goes on as it is.
pub fn honest() -> Lie {
    Box::new(|heard| heard.on())
}

/// The first frame of this kind is told otherwise, all else as it is.
pub fn first(
    from: Role,
    kind: &'static str,
    mut lie: impl FnMut(&Heard<'_>) -> Vec<Do> + Send + 'static,
) -> Lie {
    let mut told = false;
    Box::new(move |heard| {
        if told || !heard.is(from, kind) {
            return heard.on();
        }
        told = true;
        lie(heard)
    })
}

fn other(role: Role) -> Role {
    if role == Role::Seller { Role::Buyer } else { Role::Seller }
}

impl Relay {
    /// A liar before this seller.
    pub fn to(seller: &str, lie: Lie) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::<Mutex<Seen>>::default();
        let (seller, notes) = (seller.to_owned(), seen.clone());
        // It stands until the test's process ends; nobody knows its port but the liar's victim.
        std::thread::spawn(move || {
            let lie = Arc::new(Mutex::new(lie));
            for (before, buyer) in listener.incoming().enumerate() {
                let (Ok(buyer), Ok(seller)) = (buyer, TcpStream::connect(&seller)) else { return };
                let is_hushed = AtomicBool::new(false);
                let line = Line { buyer, seller, number: before + 1, is_hushed };
                line.carry(&lie, &notes);
            }
        });
        Relay { address, seen }
    }

    /// The frames that a side said.
    pub fn said(&self, from: Role, kind: &str) -> Vec<Frame> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let said =
            seen.frames.iter().filter(|frame| (frame.from, frame.kind.as_str()) == (from, kind));
        said.cloned().collect()
    }

    /// The session that was ordered last.
    pub fn session(&self) -> SessionId {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.session.expect("an order went by")
    }
}

/// A connection, both its halves.
struct Line {
    buyer: TcpStream,
    seller: TcpStream,
    number: usize,
    is_hushed: AtomicBool,
}

impl Line {
    fn carry(self, lie: &Arc<Mutex<Lie>>, seen: &Arc<Mutex<Seen>>) {
        let line = Arc::new(self);
        for from in [Role::Seller, Role::Buyer] {
            let (line, lie, seen) = (line.clone(), lie.clone(), seen.clone());
            std::thread::spawn(move || line.listen(from, &lie, &seen));
        }
    }

    fn end(&self, role: Role) -> &TcpStream {
        if role == Role::Seller { &self.seller } else { &self.buyer }
    }

    fn listen(&self, from: Role, lie: &Mutex<Lie>, seen: &Mutex<Seen>) {
        let mut reader = BufReader::new(self.end(from));
        loop {
            let mut bytes = Vec::new();
            if !matches!(reader.read_until(b'\n', &mut bytes), Ok(1..)) || !bytes.ends_with(b"\n") {
                break;
            }
            let frame = Frame::read(from, &bytes);
            let (session, channel) = {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if frame.kind == "order" {
                    let menu = serde_json::from_value(frame.data["menu_digest"].clone()).unwrap();
                    seen.session = Some(SessionId::of(&menu, &frame.digest));
                    let channel = frame.data["escrow"]["channel"].clone();
                    seen.channel = serde_json::from_value(channel).ok();
                }
                seen.frames.push(frame.clone());
                (seen.session.unwrap_or(SessionId::NONE), seen.channel)
            };
            let heard = Heard { frame: &frame, session, channel, line: self.number };
            // What is said on either side is said in one order.
            let mut lie = lie.lock().unwrap_or_else(PoisonError::into_inner);
            for todo in lie(&heard) {
                match todo {
                    // Who has hung up does not hear it.
                    Do::Say(to, bytes) => drop(self.end(to).write_all(&bytes)),
                    Do::Cut => [Role::Seller, Role::Buyer].iter().for_each(|role| {
                        let _ = self.end(*role).shutdown(Shutdown::Both);
                    }),
                    Do::Hush => self.is_hushed.store(true, Ordering::Relaxed),
                }
            }
        }
        if !self.is_hushed.load(Ordering::Relaxed) {
            let _ = self.end(other(from)).shutdown(Shutdown::Write);
        }
    }
}
