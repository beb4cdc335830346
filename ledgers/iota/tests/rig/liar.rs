//! Somebody between us and a node who changes what it answers.

use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is done to an answer's result, by the method that was asked.
type Lie = Box<dyn Fn(&str, &mut Value) + Send>;

/// A liar on a port of its own.
pub struct Liar {
    pub url: String,
    lie: Arc<Mutex<Option<Lie>>>,
    serving: JoinHandle<()>,
}

impl Liar {
    /// In front of a node; honest until it is told a lie.
    pub async fn start(node: String) -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lie: Arc<Mutex<Option<Lie>>> = Arc::default();
        let told = Arc::clone(&lie);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (node, told) = (node.clone(), Arc::clone(&told));
                tokio::spawn(async move { serve(stream, &node, &told).await });
            }
        });
        Liar { url, lie, serving }
    }

    /// From now on this is what it does.
    pub fn lie(&self, lie: impl Fn(&str, &mut Value) + Send + 'static) {
        *self.lie.lock().unwrap() = Some(Box::new(lie));
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One question for each connection.
async fn serve(mut stream: TcpStream, node: &str, lie: &Mutex<Option<Lie>>) -> Option<()> {
    let question = read_body(&mut stream).await?;
    let asked: Value = serde_json::from_slice(&question).ok()?;
    let request = reqwest::Client::new().post(node).header("content-type", "application/json");
    let answer = request.body(question).send().await.ok()?.bytes().await.ok()?;
    let mut answer: Value = serde_json::from_slice(&answer).ok()?;
    if let (Some(lie), Some(result)) = (&*lie.lock().unwrap(), answer.get_mut("result")) {
        lie(asked["method"].as_str()?, result);
    }
    let body = answer.to_string();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()
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
