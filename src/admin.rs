//! How one process asks another that has a journal open: a Unix socket in the journal's folder,
//! for this user alone (folder 0700, socket 0600).
//!
//! One JSON object in each line: a [`Request`] in, a [`Response`] out, any number of times on one
//! connection. Everything is bounded: connections, lines, and how long either side waits. It
//! knows no node: whoever serves brings a handler.

pub mod health;

use crate::journal::{Answer, Made, Query, prune};
use crate::message::{Base64, Complaint};
use crate::terms::SessionId;
use sdpp_ledger::{Amount, Digest, Reference};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::future::Future;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The socket's name in the journal's folder.
const NAME: &str = "admin.sock";

/// The longest path that a Unix socket can have, in bytes.
const PATH_BYTES_MAX: usize = 107;

/// The longest request, in bytes: an item that is complained of fits.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// The longest response, in bytes. 64 of the journal's largest rows fit: ask for no more at once.
pub const RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The most connections at once; a further one is closed.
pub const CONNECTIONS_MAX: usize = 16;

/// How long a connection may say nothing, or not take its response, before it is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// How long a client waits for a response. Walking a long chain takes its time.
const RESPONSE_WAIT: Duration = Duration::from_secs(120);

/// How long a client waits for a sign of life, before it asks anything: a process that was stopped, by a
/// debugger say, has its socket open still.
const ALIVE_WAIT: Duration = Duration::from_secs(15);

/// What a running node is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Something about its journal.
    Journal(Query),
    /// What it is doing.
    Status,
    /// To try again something owed that a ledger refused.
    Retry(Reference),
    /// Not to do something owed any more, as far as that can still be had.
    Cancel(Reference),
    /// To prune its journal, or to say what that would drop.
    Prune(prune::Ask),
    /// To back its journal up to this new file, or to one in this folder, by a path from the root.
    Backup(PathBuf),
    /// To settle what a session left behind, or what that would take.
    Settle(Settling),
    /// Seller: to credit items of a session that runs.
    Credit {
        /// The session.
        session: SessionId,
        /// The items.
        items: Vec<u64>,
        /// What is wrong with them.
        reason: Complaint,
        /// How much, in the currency's smallest unit; `None` for what they cost.
        amount: Option<Amount>,
        /// The buyer's request that this grants.
        ask: Option<u64>,
    },
    /// Seller: not to credit what the buyer asks for.
    Decline {
        /// The session.
        session: SessionId,
        /// The request's number.
        ask: u64,
        /// What the buyer is told.
        why: String,
    },
    /// Buyer: to ask for the credit of an item, in a session that runs.
    Ask {
        /// The session.
        session: SessionId,
        /// The item.
        seq: u64,
        /// What is wrong with it.
        reason: Complaint,
        /// How much, in the currency's smallest unit; `None` for what it costs.
        amount: Option<Amount>,
        /// Its bytes as they were delivered.
        item: Base64,
    },
}

/// What is to be settled of a session. Asked again, it is done no second time, and told how far it
/// is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settling {
    /// The session.
    pub session: SessionId,
    /// Seller: its channel is to be closed too.
    pub close: bool,
    /// The leg that it is about, by its number from 1; the last, where none is named.
    #[serde(default)]
    pub leg: Option<usize>,
    /// Nothing is to be done.
    pub dry_run: bool,
    /// By transfer: the digest of the evidence that is to be pinned.
    pub bundle: Option<Digest>,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Journal`].
    Journal(Answer),
    /// To [`Request::Status`]: what `sdpp status --json` prints.
    Status(serde_json::Value),
    /// To [`Request::Retry`].
    Retried,
    /// To [`Request::Cancel`]: it is refused, or will be unless it is done before.
    Cancelling,
    /// To [`Request::Prune`]: how far it came.
    Pruned(prune::Told),
    /// To [`Request::Backup`]: what was made.
    Backup(Made),
    /// To [`Request::Settle`]: what `sdpp dispute settle --json` prints.
    Settling(serde_json::Value),
    /// To [`Request::Credit`], [`Request::Decline`] and [`Request::Ask`]: what happened.
    Amended(Amended),
    /// It cannot be done, and why.
    Failed(String),
}

/// What became of a credit note or of a request for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amended {
    /// The number of the note or request.
    pub number: u64,
    /// How it stands.
    pub state: AmendedState,
    /// Where both have signed it: how much is credited, in the currency's smallest unit.
    pub amount: Option<Amount>,
    /// Where both have signed it: the first item that it is in force for.
    pub from_seq: Option<u64>,
    /// Why it is refused, or what else there is to say.
    pub why: Option<String>,
}

/// How a credit note or a request for one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmendedState {
    /// Both sides have signed it.
    Agreed,
    /// It is refused.
    Refused,
    /// The request was declined, as asked.
    Declined,
    /// There is no answer yet.
    Waiting,
}

/// The socket of a running node. Dropping it removes the file.
pub struct Admin {
    path: PathBuf,
    listener: UnixListener,
}

impl Admin {
    /// Makes the socket in the folder of a journal that this process has open: the journal's lock
    /// is what makes a socket that stands there already a dead process's, and it is replaced.
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// `AddrInUse` when somebody answers there all the same, else what the system says.
    pub fn bind(dir: &Path) -> io::Result<Admin> {
        let path = dir.join(NAME);
        let short = Short::of(dir)?;
        if UnixStream::connect(&short.path).is_ok() {
            let why = format!("another process answers on {}", path.display());
            return Err(io::Error::new(ErrorKind::AddrInUse, why));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&short.path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Admin { path, listener })
    }

    /// Answers with what `handler` makes of each request, until it is dropped.
    pub async fn serve<H, F>(self, handler: H)
    where
        H: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                        connections.spawn(converse(stream, Arc::clone(&handler)));
                    }
                    Ok(_) => tracing::warn!("{CONNECTIONS_MAX} ask at once: one more was closed"),
                    Err(error) => {
                        tracing::warn!(%error, "the admin socket could not accept");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // What stays behind is replaced by the next who binds.
        let _ = fs::remove_file(&self.path);
    }
}

/// A connection to the node that has a journal open.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to whoever has the journal in this folder open.
    ///
    /// # Errors
    /// What the system says: `NotFound` or `ConnectionRefused` when nobody serves there, `TimedOut` when
    /// somebody has the socket and gives no sign of life.
    pub fn connect(dir: &Path) -> io::Result<Client> {
        Client::connect_within(dir, ALIVE_WAIT)
    }

    fn connect_within(dir: &Path, patience: Duration) -> io::Result<Client> {
        let stream = UnixStream::connect(&Short::of(dir)?.path)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(IDLE_MAX))?;
        let mut client = Client { stream: BufReader::new(stream) };
        // It is no request, so whoever lives says so at once, whatever else there is to do.
        client.say(b"{}\n")?;
        client.stream.get_ref().set_read_timeout(Some(RESPONSE_WAIT))?;
        Ok(client)
    }

    /// Asks, and waits for the response.
    ///
    /// # Errors
    /// When the connection breaks, is silent for too long, or what comes is no response.
    pub fn ask(&mut self, request: &Request) -> io::Result<Response> {
        let line = serde_json::to_vec(request)?;
        Ok(serde_json::from_slice(&self.say(&[&line[..], b"\n"].concat())?)?)
    }

    /// Says a line, and waits for the one that answers it.
    fn say(&mut self, line: &[u8]) -> io::Result<Vec<u8>> {
        self.stream.get_mut().write_all(line)?;
        let (mut line, most) = (Vec::new(), RESPONSE_BYTES_MAX as u64 + 1);
        let read = self.stream.by_ref().take(most).read_until(b'\n', &mut line);
        read.map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                let why = "its process does not answer: it may be stopped (`kill -CONT` lets it go on) or have \
                           too much to do";
                io::Error::new(ErrorKind::TimedOut, why)
            }
            _ => error,
        })?;
        if line.last() != Some(&b'\n') {
            let why = "it closed the connection, or its response is too long";
            return Err(io::Error::new(ErrorKind::UnexpectedEof, why));
        }
        Ok(line)
    }
}

async fn converse<H, F>(mut stream: tokio::net::UnixStream, handler: Arc<H>)
where
    H: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    let (reader, mut writer) = stream.split();
    let mut reader = tokio::io::BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(REQUEST_BYTES_MAX as u64 + 1);
        match timeout(IDLE_MAX, limited.read_until(b'\n', &mut line)).await {
            Ok(Ok(_)) if line.last() == Some(&b'\n') => {}
            _ => return,
        }
        let response = match serde_json::from_slice(&line) {
            Ok(request) => handler(request).await,
            Err(error) => Response::Failed(format!("this is no request: {error}")),
        };
        let written = timeout(IDLE_MAX, writer.write_all(&encode(&response))).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

fn encode(response: &Response) -> Vec<u8> {
    let why = match serde_json::to_vec(response) {
        Ok(line) if line.len() < RESPONSE_BYTES_MAX => return [&line[..], b"\n"].concat(),
        Ok(_) => "the response is too long: ask for fewer rows".to_owned(),
        Err(error) => format!("the response cannot be written: {error}"),
    };
    let failed = serde_json::json!({ "failed": why });
    format!("{failed}\n").into_bytes()
}

/// A path to a folder's socket that is short enough. A long one goes through the folder's own
/// handle, which must stay open as long as the path is used.
struct Short {
    path: PathBuf,
    _folder: Option<File>,
}

impl Short {
    fn of(dir: &Path) -> io::Result<Short> {
        let path = dir.join(NAME);
        if path.as_os_str().as_bytes().len() <= PATH_BYTES_MAX {
            return Ok(Short { path, _folder: None });
        }
        let folder = File::open(dir)?;
        let handle = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        if !handle.exists() {
            let why = format!(
                "{} is longer than the {PATH_BYTES_MAX} bytes that a socket's path may have: \
                 move the journal to a shorter path",
                path.display()
            );
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        Ok(Short { path: handle.join(NAME), _folder: Some(folder) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::prune::{Tally, Told};
    use crate::journal::{PAGE_MAX, Query};

    async fn answer(request: Request) -> Response {
        match request {
            Request::Status => Response::Status(serde_json::json!({ "ready": true })),
            Request::Journal(Query::Entries { limit: PAGE_MAX, .. }) => {
                Response::Failed("x".repeat(RESPONSE_BYTES_MAX))
            }
            Request::Journal(_) => Response::Journal(Answer::Entries { entries: Vec::new() }),
            Request::Retry(reference) => Response::Failed(format!("{reference}: not refused")),
            Request::Prune(_) => Response::Pruned(Told { tally: Tally::default(), rest: None }),
            Request::Settle(_) => Response::Settling(serde_json::json!({ "calls": [] })),
            _ => Response::Cancelling,
        }
    }

    /// Asks from a thread of its own, as another process would.
    async fn asked(dir: &Path, requests: Vec<Request>) -> io::Result<Vec<Response>> {
        let dir = dir.to_owned();
        let ask = move || {
            let mut client = Client::connect(&dir)?;
            requests.iter().map(|request| client.ask(request)).collect()
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    #[tokio::test]
    async fn a_node_answers_whoever_may_open_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let admin = Admin::bind(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let server = tokio::spawn(admin.serve(answer));
        let entries = |limit| Request::Journal(Query::Entries { session: None, after: 0, limit });
        let requests = vec![Request::Status, entries(1), entries(PAGE_MAX)];
        let responses = asked(dir.path(), requests).await.unwrap();
        assert_eq!(responses[0], Response::Status(serde_json::json!({ "ready": true })));
        assert_eq!(responses[1], Response::Journal(Answer::Entries { entries: Vec::new() }));
        assert!(matches!(&responses[2], Response::Failed(why) if why.contains("fewer rows")));
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        assert!(!dir.path().join(NAME).exists(), "who leaves takes its socket along");
        assert!(asked(dir.path(), vec![Request::Status]).await.is_err());
    }

    #[tokio::test]
    async fn a_dead_nodes_socket_is_replaced_and_a_living_ones_is_not() {
        let dir = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(dir.path().join(NAME)).unwrap());
        assert!(dir.path().join(NAME).exists());
        let living = Admin::bind(dir.path()).unwrap();
        let error = Admin::bind(dir.path()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(living);
    }

    /// Stopped by a signal, say.
    #[test]
    fn who_gives_no_sign_of_life_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let _silent = std::os::unix::net::UnixListener::bind(dir.path().join(NAME)).unwrap();
        let error = Client::connect_within(dir.path(), Duration::from_millis(50)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().contains("does not answer"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_with_a_long_name_is_served_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(200));
        fs::create_dir(&long).unwrap();
        let server = tokio::spawn(Admin::bind(&long).unwrap().serve(answer));
        assert_eq!(asked(&long, vec![Request::Status]).await.unwrap().len(), 1);
        server.abort();
    }

    #[tokio::test]
    async fn what_is_no_request_is_answered_and_what_has_no_end_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let server = tokio::spawn(Admin::bind(dir.path()).unwrap().serve(answer));
        let path = dir.path().join(NAME);
        let talk = move |bytes: Vec<u8>| {
            let mut stream = UnixStream::connect(&path).unwrap();
            // The other side may close before it has read all of it.
            let _ = stream.write_all(&bytes);
            let mut line = String::new();
            let _ = BufReader::new(stream).read_line(&mut line);
            line
        };
        let [short, long] = tokio::task::spawn_blocking(move || {
            [b"{}\n".to_vec(), vec![b'x'; REQUEST_BYTES_MAX + 1]].map(talk)
        })
        .await
        .unwrap();
        assert!(short.contains("no request"), "{short}");
        assert_eq!(long, "");
        server.abort();
    }
}
