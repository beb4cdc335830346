//! A buyer that says what it likes: well signed where it wants, without a ledger, a journal or a purse.

use crate::frame::Frame;
use sdpp::message::{Ack, Body, Cumulative, Draft, Order, PaymentAck};
use sdpp::terms::{Method, Role, SessionId};
use sdpp_ledger::{Amount, Digest, Key, keccak};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long it waits for the seller's next word.
const PATIENCE: Duration = Duration::from_secs(90);

static COUNT: AtomicU64 = AtomicU64::new(1);

/// A key that nobody had before in this process.
pub fn fresh_key() -> Key {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let seed = keccak(&[b"a stranger", &number.to_be_bytes(), &std::process::id().to_be_bytes()]);
    Key::from_bytes(&seed.0).unwrap()
}

/// A stranger at a seller's.
pub struct Stranger {
    stream: BufReader<TcpStream>,
    pub key: Key,
    pub menu: Frame,
    pub session: SessionId,
    /// The running digest after each item that came, from that of none on.
    pub digests: Vec<Digest>,
}

impl Stranger {
    /// Connects, and hears the menu.
    pub fn at(seller: &str) -> Stranger {
        let stream = TcpStream::connect(seller).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut stream = BufReader::new(stream);
        let menu = line(&mut stream).expect("a menu");
        let menu = Frame::read(Role::Seller, &menu);
        assert_eq!(menu.kind, "menu", "{}", menu.data);
        let (session, digests) = (SessionId::NONE, Vec::new());
        Stranger { stream, key: fresh_key(), menu, session, digests }
    }

    /// The same, and it has ordered so many items, and holds its key for them.
    pub fn served(seller: &str, topic: &str, quantity: Option<u64>) -> Stranger {
        let mut stranger = Stranger::at(seller);
        let order = stranger.order(|order| {
            order.data_type = topic.to_owned();
            order.order_quantity = quantity;
        });
        stranger.say(&order);
        stranger.hears("session_key");
        stranger
    }

    /// An order of twenty items as an honest buyer's would be, changed before it is signed.
    pub fn order(&mut self, change: impl FnOnce(&mut Order)) -> Vec<u8> {
        let mut order = Order {
            version: "SDPP/1".to_owned(),
            encoding: "json".to_owned(),
            data_type: "co2".to_owned(),
            order_quantity: Some(20),
            price: None,
            currency_type: "SDP".to_owned(),
            method: Method::Transfer,
            address: self.key.public().account(),
            public_key_signature: self.key.public(),
            public_key_encryption: fresh_key().public(),
            menu_digest: self.menu.digest,
            nonce: keccak(&[fresh_key().public().to_string().as_bytes()]),
            escrow: None,
            resumes: false,
            bond: None,
        };
        change(&mut order);
        let draft = Draft::new(SessionId::NONE, &order);
        self.session = SessionId::of(&order.menu_digest, &draft.data_digest());
        self.digests = vec![self.session.0];
        draft.sign(&self.key, "").1
    }

    /// Its word, under its signature in this session.
    pub fn signed<T: Body>(&self, body: &T, verification: &str) -> Vec<u8> {
        Draft::new(self.session, body).sign(&self.key, verification).1
    }

    /// Its word that the items up to this one came.
    pub fn ack(&self, seq: u64) -> Vec<u8> {
        let digest = self.digests[seq as usize];
        self.signed(&Ack { seq, digest, voucher: None }, "")
    }

    /// Its word that this transaction pays the first window, of so many items.
    pub fn payment(&self, items: u64, amount: u64, tx: &str) -> Vec<u8> {
        let ack = Cumulative { seq: items, digest: self.digests[items as usize] };
        let amount_total = Amount::new(amount.into());
        self.signed(&PaymentAck { number: 1, from: None, amount_total, ack, voucher: None }, tx)
    }

    /// Says this. Who has hung up does not hear it.
    pub fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// The seller's next word; `None` where it has hung up.
    pub fn hear(&mut self) -> Option<Frame> {
        let frame = Frame::read(Role::Seller, &line(&mut self.stream)?);
        if frame.is_item() {
            let leaf: Digest = serde_json::from_value(frame.data["leaf"].clone()).unwrap();
            let before = *self.digests.last().unwrap();
            self.digests.push(keccak(&[&before.0, &leaf.0]));
        }
        Some(frame)
    }

    /// How many items came.
    pub fn items(&self) -> u64 {
        self.digests.len() as u64 - 1
    }

    /// Waits for a word of this kind.
    #[track_caller]
    pub fn hears(&mut self, kind: &str) -> Frame {
        loop {
            let frame = self.hear().unwrap_or_else(|| panic!("the seller hung up before {kind}"));
            if frame.kind == kind {
                return frame;
            }
            assert_ne!(frame.kind, "error", "{}", frame.data);
        }
    }

    /// Takes items until it has so many.
    #[track_caller]
    pub fn takes(&mut self, items: u64) {
        while self.items() < items {
            let frame = self.hear().expect("items");
            assert_ne!(frame.kind, "error", "{}", frame.data);
        }
    }

    /// The seller finds the lie, says so, and hangs up.
    #[track_caller]
    pub fn is_refused(&mut self, code: &str, says: &str) {
        let (told, message) = self.error();
        assert_eq!(told, code, "{message}");
        assert!(message.contains(says), "{says:?} is not in {message:?}");
        assert!(self.hear().is_none(), "it hangs up");
    }

    /// What the seller refuses it with: the code, and the sentence.
    pub fn error(&mut self) -> (String, String) {
        while let Some(frame) = self.hear() {
            if frame.kind == "error" {
                let text = |key: &str| frame.data[key].as_str().unwrap_or_default().to_owned();
                return (text("code"), text("message"));
            }
        }
        (String::new(), "the seller hung up without a word".to_owned())
    }

    /// The seller hangs up before all of a frame is there; it says why, where that was not lost with what
    /// it did not read.
    #[track_caller]
    pub fn hangs_up_on_too_much(&mut self, says: &str) {
        while let Some(frame) = self.hear() {
            if frame.kind == "error" {
                assert_eq!(frame.data["code"], serde_json::json!("frame_too_long"));
                assert!(frame.data.to_string().contains(says), "{}", frame.data);
            }
        }
    }

    /// Sends byte after byte of a message that never ends, until the seller has enough.
    pub fn drips(&mut self) {
        let mut half = self.stream.get_ref().try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while half.write_all(b" ").is_ok() {
                    // As slowly as a drip; nothing waits for it.
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            while self.hear().is_some() {}
            let _ = self.stream.get_ref().shutdown(Shutdown::Both);
        });
    }

    /// What ends its connection, whoever waits on it.
    pub fn hangs_up_by(&self) -> impl FnOnce() + use<> {
        let stream = self.stream.get_ref().try_clone().unwrap();
        move || drop(stream.shutdown(Shutdown::Both))
    }

    /// A byte at a time, to the end of a line.
    pub fn sips(&mut self) -> Frame {
        let (mut bytes, mut byte) = (Vec::new(), [0_u8; 1]);
        while !bytes.ends_with(b"\n") {
            self.stream.get_mut().read_exact(&mut byte).unwrap();
            bytes.extend(byte);
        }
        Frame::read(Role::Seller, &bytes)
    }
}

/// A line, its end included; `None` where there is none any more.
fn line(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match stream.read_until(b'\n', &mut bytes) {
        Ok(1..) if bytes.ends_with(b"\n") => Some(bytes),
        // What was on its way when the seller closed may be lost with a reset.
        _ => None,
    }
}
