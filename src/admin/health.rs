//! The health answer for whoever supervises the process: `GET /health` on an address of this host
//! says `200` when the node is ready and `503` when it is not, with the words of `sdpp status`.
//!
//! It is no web server: one question on each connection, and everything is bounded. It knows no
//! node: whoever serves brings what is to be said.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The most connections at once; a further one is closed.
const CONNECTIONS_MAX: usize = 16;

/// The longest question, its headers included, in bytes.
const QUESTION_BYTES_MAX: usize = 8 * 1024;

/// How long a question may take to come, and its answer to leave.
const QUESTION_WAIT: Duration = Duration::from_secs(5);

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether the node is ready.
    pub is_ready: bool,
    /// The same in words, and why not; in one line.
    pub words: String,
}

/// Answers with what `tell` says at that time, until it is dropped.
pub async fn serve<T, F>(listener: &TcpListener, tell: T)
where
    T: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Health> + Send + 'static,
{
    let tell = Arc::new(tell);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(converse(stream, Arc::clone(&tell)));
                }
                Ok(_) => tracing::warn!("{CONNECTIONS_MAX} ask for health at once: one more was closed"),
                Err(error) => {
                    tracing::warn!(%error, "a question for health could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}

async fn converse<T, F>(mut stream: TcpStream, tell: Arc<T>)
where
    T: Fn() -> F,
    F: Future<Output = Health>,
{
    // Whoever does not ask in time, or not in HTTP, is told nothing.
    let Ok(Ok(Some(line))) = timeout(QUESTION_WAIT, question(&mut stream)).await else { return };
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match (method, path.split('?').next()) {
        ("GET" | "HEAD", Some("/health")) => {
            let Health { is_ready, words } = tell().await;
            (if is_ready { "200 OK" } else { "503 Service Unavailable" }, words)
        }
        ("GET" | "HEAD", _) => ("404 Not Found", "ask for /health".to_owned()),
        _ => ("405 Method Not Allowed", "ask with GET".to_owned()),
    };
    let body = body.replace(char::is_control, "?") + "\n";
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let answer = if method == "HEAD" { head } else { head + &body };
    // Whoever no longer listens needs no answer.
    let _ = timeout(QUESTION_WAIT, stream.write_all(answer.as_bytes())).await;
}

/// The first line of a question whose headers have come; `None` where it is no such thing.
async fn question(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let (mut bytes, mut part) = (Vec::new(), [0; 1024]);
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        let count = stream.read(&mut part).await?;
        if count == 0 || bytes.len() + count > QUESTION_BYTES_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(&part[..count]);
    }
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(std::str::from_utf8(line).ok().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    async fn ask(port: u16, question: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // The other side may close before it has read all of it.
        let _ = stream.write_all(question).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_supervisor_hears_whether_the_node_is_ready_and_a_stranger_nothing_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ready = Arc::new(AtomicBool::new(true));
        let is_ready = ready.clone();
        let tell = move || {
            let is_ready = is_ready.load(Ordering::SeqCst);
            let words = if is_ready { "ready" } else { "not ready: the\nledger is away" };
            std::future::ready(Health { is_ready, words: words.to_owned() })
        };
        let server = tokio::spawn(async move { serve(&listener, tell).await });
        let get = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let answer = ask(port, get).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nready\n"));
        ready.store(false, Ordering::SeqCst);
        let answer = ask(port, get).await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("the?ledger"), "{answer}");
        let head = ask(port, b"HEAD /health HTTP/1.1\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 503 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(ask(port, b"GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        assert!(ask(port, b"POST /health HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
        assert_eq!(ask(port, &vec![b'x'; QUESTION_BYTES_MAX + 1]).await, "");
        server.abort();
    }
}
