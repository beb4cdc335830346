//! An HTTP proxy in front of a node, which does to the next questions what a queue tells it, and
//! to all others what a rule tells it.

use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What happens to one question.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It never reaches the node: the connection is closed.
    LoseQuestion,
    /// The node is asked, its answer is lost: the connection is closed.
    LoseAnswer,
    /// The node is asked twice, the second answer is told.
    Twice,
    /// Its answer comes late.
    Late(Duration),
    /// The node is not asked: these bytes are the answer's body.
    Say(Vec<u8>),
    /// The node is not asked: HTTP 429, and seconds to wait.
    TooMany(u64),
    /// The node is not asked: HTTP 503.
    Down,
    /// The node is not asked: HTTP 307, to another place.
    Elsewhere(String),
    /// The node is not asked: an answer that begins, and goes on with one byte each time.
    Drip(Duration),
    /// The node's answer with one text replaced by another.
    Altered(String, String),
    /// The node is not asked: this is the answer's result.
    Result(Value),
    /// The node is not asked: it says no, in these words.
    Error(String),
    /// It never reaches the node and is never answered; who waits is told that it came.
    HoldQuestion(mpsc::Sender<()>),
    /// The node is asked, its answer is kept back for ever; who waits is told that it is there.
    HoldAnswer(mpsc::Sender<()>),
}

/// Which questions a fault waits for.
#[derive(Debug)]
struct Scripted {
    method: String,
    fault: Fault,
}

/// What is done to each question that meets no scripted fault, by its method and parameters.
type Rule = Box<dyn Fn(&str, &Value) -> Option<Fault> + Send>;

/// A proxy on its own port. Each scripted fault is done to one question and is gone then; a rule
/// stays.
pub struct Proxy {
    pub port: u16,
    script: Arc<Mutex<VecDeque<Scripted>>>,
    rule: Arc<Mutex<Option<Rule>>>,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// In front of the node at a port of this host.
    pub async fn start(node: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Arc<Mutex<VecDeque<Scripted>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let rule: Arc<Mutex<Option<Rule>>> = Arc::default();
        let lane = Lane {
            node,
            script: Arc::clone(&script),
            rule: Arc::clone(&rule),
            asked: Arc::clone(&asked),
        };
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let lane = lane.clone();
                tokio::spawn(async move { lane.serve(stream).await });
            }
        });
        Proxy { port, script, rule, asked, serving }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next question by this method (any, where it is empty) meets a fault.
    pub fn next(&self, method: &str, fault: Fault) {
        self.script.lock().unwrap().push_back(Scripted { method: method.to_owned(), fault });
    }

    /// From now on every question that no scripted fault waits for is told to a rule.
    pub fn rule(&self, rule: impl Fn(&str, &Value) -> Option<Fault> + Send + 'static) {
        *self.rule.lock().unwrap() = Some(Box::new(rule));
    }

    /// No fault waits any longer, and there is no rule.
    pub fn calm(&self) {
        self.script.lock().unwrap().clear();
        *self.rule.lock().unwrap() = None;
    }

    /// How many faults were not met yet.
    pub fn waiting(&self) -> usize {
        self.script.lock().unwrap().len()
    }

    /// How often a method was asked.
    pub fn asked(&self, method: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == method).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Lane {
    node: u16,
    script: Arc<Mutex<VecDeque<Scripted>>>,
    rule: Arc<Mutex<Option<Rule>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Lane {
    /// One question for each connection, so that a fault meets one and no other.
    async fn serve(&self, mut stream: TcpStream) {
        let Some(question) = read_message(&mut stream).await else { return };
        let answer = match self.fault(&question) {
            None => self.forward(&question).await,
            Some(Fault::LoseQuestion) => None,
            Some(Fault::LoseAnswer) => {
                self.forward(&question).await;
                None
            }
            Some(Fault::Twice) => {
                self.forward(&question).await;
                self.forward(&question).await
            }
            Some(Fault::Late(time)) => {
                let answer = self.forward(&question).await;
                tokio::time::sleep(time).await;
                answer
            }
            Some(Fault::Say(body)) => Some(http("200 OK", "", &body)),
            Some(Fault::TooMany(seconds)) => {
                Some(http("429 Too Many Requests", &format!("retry-after: {seconds}\r\n"), b""))
            }
            Some(Fault::Down) => Some(http("503 Service Unavailable", "", b"<html>")),
            Some(Fault::Elsewhere(url)) => {
                Some(http("307 Temporary Redirect", &format!("location: {url}\r\n"), b""))
            }
            Some(Fault::Drip(time)) => drip(&mut stream, time).await,
            Some(Fault::Altered(from, to)) => self.forward(&question).await.map(|answer| {
                let body = &answer[head_end(&answer).unwrap()..];
                let text = String::from_utf8_lossy(body).replace(&from, &to);
                http("200 OK", "", text.as_bytes())
            }),
            Some(Fault::Result(result)) => Some(said(&question, "result", result)),
            Some(Fault::Error(words)) => {
                let error = serde_json::json!({ "code": -32000, "message": words });
                Some(said(&question, "error", error))
            }
            Some(Fault::HoldQuestion(met)) => hold(&mut stream, &met).await,
            Some(Fault::HoldAnswer(met)) => {
                self.forward(&question).await;
                hold(&mut stream, &met).await
            }
        };
        if let Some(answer) = answer {
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    }

    fn fault(&self, question: &[u8]) -> Option<Fault> {
        let asked = asked(question);
        let method = asked["method"].as_str().unwrap_or_default();
        self.asked.lock().unwrap().push(method.to_owned());
        let mut script = self.script.lock().unwrap();
        let meets = |s: &Scripted| s.method.is_empty() || s.method == method;
        if let Some(at) = script.iter().position(meets) {
            return script.remove(at).map(|scripted| scripted.fault);
        }
        let rule = self.rule.lock().unwrap();
        rule.as_ref().and_then(|rule| rule(method, &asked["params"]))
    }

    async fn forward(&self, question: &[u8]) -> Option<Vec<u8>> {
        let mut node = TcpStream::connect(("127.0.0.1", self.node)).await.ok()?;
        node.write_all(question).await.ok()?;
        let answer = read_message(&mut node).await?;
        Some(http("200 OK", "", &answer[head_end(&answer)?..]))
    }
}

/// Answers byte by byte as long as whoever asked waits.
async fn drip(stream: &mut TcpStream, time: Duration) -> Option<Vec<u8>> {
    let head = http("200 OK", "", &[b' '; 10_000]);
    for byte in head {
        stream.write_all(&[byte]).await.ok()?;
        if byte == b' ' {
            tokio::time::sleep(time).await;
        }
    }
    None
}

/// A question as JSON.
fn asked(question: &[u8]) -> Value {
    let head = head_end(question).unwrap_or_default();
    serde_json::from_slice(&question[head..]).unwrap_or_default()
}

/// An answer to a question that the node was not asked.
fn said(question: &[u8], key: &str, value: Value) -> Vec<u8> {
    let id = &asked(question)["id"];
    let answer = serde_json::json!({ "jsonrpc": "2.0", "id": id, key: value });
    http("200 OK", "", answer.to_string().as_bytes())
}

/// Says that a question is held, and holds it as long as whoever asked waits.
async fn hold(stream: &mut TcpStream, met: &mpsc::Sender<()>) -> Option<Vec<u8>> {
    // Where nobody is told any more, the question is held all the same.
    let _ = met.send(());
    let _ = stream.read(&mut [0]).await;
    None
}

fn http(status: &str, header: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{header}content-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Asks a node at a port of this host: one question, one answer's body.
pub async fn ask(node: u16, body: &[u8]) -> Option<Vec<u8>> {
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: 127.0.0.1:{node}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let mut stream = TcpStream::connect(("127.0.0.1", node)).await.ok()?;
    stream.write_all(&[head.as_bytes(), body].concat()).await.ok()?;
    let answer = read_message(&mut stream).await?;
    Some(answer[head_end(&answer)?..].to_vec())
}

fn head_end(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads one message with a length, head and body.
async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = head_end(&bytes) {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.split("content-length:").nth(1)?.lines().next()?;
            let length: usize = length.trim().parse().ok()?;
            if bytes.len() >= end + length {
                return Some(bytes);
            }
        }
        let mut part = vec![0; 65536];
        let read = stream.read(&mut part).await.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&part[..read]);
    }
}
