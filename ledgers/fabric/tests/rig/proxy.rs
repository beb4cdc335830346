//! An HTTP proxy in front of a gateway, which does to each request what a rule tells it. Without
//! one it hands on all that comes, websockets too.

use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It never reaches the gateway: the connection is closed.
    Close,
    /// It never reaches the gateway and is never answered.
    Silence,
    /// The gateway is not asked: this status and body are the answer.
    Say(u16, String),
    /// The gateway is not asked: these bytes are all that comes, and they may be no HTTP.
    Bytes(Vec<u8>),
    /// The gateway is not asked: an answer that says how long it is, and is so many bytes.
    Long(u64),
    /// The gateway is not asked: an answer that never ends, as fast as it is read.
    Endless,
    /// The gateway is not asked: an answer of one byte each time.
    Drip(Duration),
    /// The gateway is not asked: HTTP 307, to another place.
    Elsewhere(String),
    /// The gateway's answer with one text replaced by another, wherever it stands.
    Altered(String, String),
}

/// One request, by what a rule needs to know.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and path, without what comes after `?`.
    pub what: String,
    /// The chaincode's function, where it calls one.
    pub func: String,
    /// The whole head, as it came.
    pub head: String,
}

type Rule = Box<dyn Fn(&Asked) -> Option<Fault> + Send>;

/// A proxy on its own port.
pub struct Proxy {
    pub port: u16,
    gateway: Arc<Mutex<String>>,
    rule: Arc<Mutex<Option<Rule>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    sent: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// In front of the gateway at `host:port`.
    pub async fn start(gateway: String) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (rule, asked, sent) = (Arc::default(), Arc::default(), Arc::default());
        let gateway = Arc::new(Mutex::new(gateway));
        let lane = Lane {
            gateway: Arc::clone(&gateway),
            rule: Arc::clone(&rule),
            asked: Arc::clone(&asked),
            sent: Arc::clone(&sent),
        };
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let lane = lane.clone();
                tokio::spawn(async move { lane.serve(stream).await });
            }
        });
        Proxy { port, gateway, rule, asked, sent, serving }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on it is in front of another gateway.
    pub fn point_at(&self, gateway: String) {
        *self.gateway.lock().unwrap() = gateway;
    }

    /// From now on every request is told to a rule.
    pub fn rule(&self, rule: impl Fn(&Asked) -> Option<Fault> + Send + 'static) {
        *self.rule.lock().unwrap() = Some(Box::new(rule));
    }

    /// From now on all requests that begin with these words (any, where there are none) meet a
    /// fault.
    pub fn always(&self, what: &'static str, fault: Fault) {
        self.rule(move |asked| asked.what.starts_with(what).then(|| fault.clone()));
    }

    /// There is no rule any longer.
    pub fn calm(&self) {
        *self.rule.lock().unwrap() = None;
    }

    /// All that came so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How many bytes of long and endless answers were taken from it, about.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Lane {
    gateway: Arc<Mutex<String>>,
    rule: Arc<Mutex<Option<Rule>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    sent: Arc<AtomicU64>,
}

impl Lane {
    /// One request for each connection, so that a rule is told of all of them.
    async fn serve(&self, mut stream: TcpStream) {
        let Some((head, body)) = read_request(&mut stream).await else { return };
        let asked = asked(&head, &body);
        let fault = self.rule.lock().unwrap().as_ref().and_then(|rule| rule(&asked));
        self.asked.lock().unwrap().push(asked);
        // Who asked may have gone away, which is its right.
        let _ = match fault {
            None => self.hand_on(stream, &head, &body).await,
            Some(Fault::Altered(from, to)) => {
                let answer = self.answer(&head, &body).await;
                answer_with(&mut stream, 200, &answer.replace(&from, &to)).await
            }
            Some(fault) => self.misbehave(stream, fault).await,
        };
    }

    /// Everything from here on goes through as it is: there is one request on each connection,
    /// unless it becomes a websocket.
    async fn hand_on(&self, mut stream: TcpStream, head: &str, body: &[u8]) -> std::io::Result<()> {
        let mut gateway = TcpStream::connect(self.at()).await?;
        gateway.write_all(alone(head).as_bytes()).await?;
        gateway.write_all(body).await?;
        copy_bidirectional(&mut stream, &mut gateway).await.map(drop)
    }

    fn at(&self) -> String {
        self.gateway.lock().unwrap().clone()
    }

    /// The gateway's answer, without its head.
    async fn answer(&self, head: &str, body: &[u8]) -> String {
        let mut gateway = TcpStream::connect(self.at()).await.unwrap();
        gateway.write_all(alone(head).as_bytes()).await.unwrap();
        gateway.write_all(body).await.unwrap();
        let mut answer = String::new();
        gateway.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    async fn misbehave(&self, mut stream: TcpStream, fault: Fault) -> std::io::Result<()> {
        const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        match fault {
            Fault::Close | Fault::Altered(..) => Ok(()),
            Fault::Silence => std::future::pending().await,
            Fault::Say(status, body) => answer_with(&mut stream, status, &body).await,
            Fault::Bytes(bytes) => stream.write_all(&bytes).await,
            Fault::Long(length) => {
                let head = format!("{OK}Content-Length: {length}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                self.flood(stream, length).await
            }
            Fault::Endless => {
                stream.write_all(format!("{OK}Connection: close\r\n\r\n").as_bytes()).await?;
                self.flood(stream, u64::MAX).await
            }
            Fault::Drip(pause) => {
                stream.write_all(format!("{OK}Content-Length: 100000\r\n\r\n").as_bytes()).await?;
                loop {
                    stream.write_all(b" ").await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Fault::Elsewhere(url) => {
                let head = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: ";
                stream.write_all(format!("{head}{url}\r\n\r\n").as_bytes()).await
            }
        }
    }

    async fn flood(&self, mut stream: TcpStream, length: u64) -> std::io::Result<()> {
        const PIECE: [u8; 16_384] = [b' '; 16_384];
        let mut left = length;
        while left > 0 {
            let now = PIECE.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            stream.write_all(&PIECE[..now]).await?;
            left -= now as u64;
            self.sent.fetch_add(now as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}

async fn answer_with(stream: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} So\r\nConnection: close\r\nContent-Length: {length}");
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await
}

/// The same head, of a request that is the last on its connection; an upgrade is that anyway.
fn alone(head: &str) -> String {
    let is_named = |line: &str| line.to_ascii_lowercase().starts_with("connection:");
    let is_upgrade = head.to_ascii_lowercase().contains("\r\nupgrade:");
    if is_upgrade {
        return head.to_owned();
    }
    let lines: Vec<&str> = head.trim_end().split("\r\n").filter(|line| !is_named(line)).collect();
    format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"))
}

fn asked(head: &str, body: &[u8]) -> Asked {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let func = body["func"].as_str().unwrap_or_default().to_owned();
    Asked { what: format!("{method} {path}"), func, head: head.to_owned() }
}

/// A request's head and body; `None` when the connection ends first.
async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = end + length.unwrap_or(0);
    while bytes.len() < whole {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, bytes[end..whole].to_vec()))
}
