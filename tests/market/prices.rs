//! A server of prices on a free port of this machine, that answers as a story tells it to: also
//! with lies, with too much, too slowly, or not at all.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How it answers.
#[derive(Clone)]
pub enum Way {
    /// With this document.
    Say(String),
    /// With these bytes and nothing of HTTP.
    Raw(Vec<u8>),
    /// With a document, a byte now and then.
    Drip(String),
    /// With so many bytes of white space before a good document.
    Pad(usize, String),
    /// It does not.
    Stall,
    /// It closes the connection.
    HangUp,
}

struct Shared {
    way: Mutex<Way>,
    asked: AtomicUsize,
    is_over: AtomicBool,
}

/// The server, ended when it is dropped.
pub struct Prices {
    port: u16,
    shared: Arc<Shared>,
}

impl Prices {
    pub fn start(way: Way) -> Prices {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Mutex::new(way);
        let shared = Arc::new(Shared { way, asked: 0.into(), is_over: false.into() });
        let of_loop = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_loop.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = of_loop.clone();
                // Whoever asked may be gone.
                std::thread::spawn(move || drop(stream.and_then(|one| answer(one, &shared))));
            }
        });
        Prices { port, shared }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// It answers otherwise from now on.
    pub fn turn(&self, way: Way) {
        *self.shared.way.lock().unwrap() = way;
    }

    pub fn say(&self, document: &str) {
        self.turn(Way::Say(document.to_owned()));
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Prices {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the loop.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let way = shared.way.lock().unwrap().clone();
    match way {
        Way::Say(document) => stream.write_all(ok(document.len(), &document).as_bytes()),
        Way::Raw(bytes) => stream.write_all(&bytes),
        Way::Pad(bytes, document) => {
            stream.write_all(ok(bytes + document.len(), "").as_bytes())?;
            let spaces = vec![b' '; 64 * 1024];
            for _ in 0..bytes / spaces.len() {
                stream.write_all(&spaces)?;
            }
            stream.write_all(&spaces[..bytes % spaces.len()])?;
            stream.write_all(document.as_bytes())
        }
        Way::Drip(document) => {
            stream.write_all(ok(document.len(), "").as_bytes())?;
            for byte in document.bytes() {
                std::thread::sleep(Duration::from_millis(100));
                stream.write_all(&[byte])?;
            }
            Ok(())
        }
        // Until whoever asked has gone.
        Way::Stall => stream.read(&mut byte).map(drop),
        Way::HangUp => Ok(()),
    }
}

fn ok(length: usize, document: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{document}"
    )
}
