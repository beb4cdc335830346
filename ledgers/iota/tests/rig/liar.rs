//! Somebody between us and a node who changes what it answers.

use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is done to an answer's result, by the method that was asked.
type Lie = Box<dyn Fn(&str, &mut Value) + Send>;

/// What is answered to a question in place of the node, if anything.
type Invention = Box<dyn Fn(&str, &Value) -> Option<Value> + Send>;

/// What a liar says.
#[derive(Default)]
struct Told {
    lie: Option<Lie>,
    invention: Option<Invention>,
}

/// A liar on a port of its own.
pub struct Liar {
    pub url: String,
    told: Arc<Mutex<Told>>,
    serving: JoinHandle<()>,
}

impl Liar {
    /// In front of a node; honest until it is told a lie.
    pub async fn start(node: String) -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared: Arc<Mutex<Told>> = Arc::default();
        let told = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (node, told) = (node.clone(), Arc::clone(&told));
                tokio::spawn(async move { serve(stream, &node, &told).await });
            }
        });
        Liar { url, told: shared, serving }
    }

    /// From now on this is what it does.
    pub fn lie(&self, lie: impl Fn(&str, &mut Value) + Send + 'static) {
        self.told.lock().unwrap().lie = Some(Box::new(lie));
    }

    /// From now on these are its results, by the method and its parameters, whatever the node says.
    pub fn invent(&self, invent: impl Fn(&str, &Value) -> Option<Value> + Send + 'static) {
        self.told.lock().unwrap().invention = Some(Box::new(invent));
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One question for each connection.
async fn serve(mut stream: TcpStream, node: &str, told: &Mutex<Told>) -> Option<()> {
    let question = read_body(&mut stream).await?;
    let asked: Value = serde_json::from_slice(&question).ok()?;
    let request = reqwest::Client::new().post(node).header("content-type", "application/json");
    let answer = request.body(question).send().await.ok()?.bytes().await.ok()?;
    let mut answer: Value = serde_json::from_slice(&answer).ok()?;
    change(&told.lock().unwrap(), &asked, &mut answer);
    let body = answer.to_string();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()
}

fn change(told: &Told, asked: &Value, answer: &mut Value) {
    let method = asked["method"].as_str().unwrap();
    if let (Some(lie), Some(result)) = (&told.lie, answer.get_mut("result")) {
        lie(method, result);
    }
    let invented = told.invention.as_ref().and_then(|invent| invent(method, &asked["params"]));
    if let Some(result) = invented {
        *answer = serde_json::json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result });
    }
}

async fn read_body(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"))?;
            let end = head + 4 + length.trim().parse::<usize>().ok()?;
            if bytes.len() >= end {
                return Some(bytes[head + 4..end].to_vec());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
