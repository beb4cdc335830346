//! A node in another process, reached over TCP.
//!
//! One connection, used by one question at a time, opened again when it broke. On each new
//! connection the other side is asked for its genesis first, so another chain that came up
//! behind the same address sees no transaction: ours counts as away until it is back.

use crate::genesis::{Genesis, Origin};
use crate::node::{Answer, Node, Request};
use crate::wire::{ANSWER_BYTES_MAX, Question, Reply, read_line, write_line};
use async_trait::async_trait;
use sdpp_ledger::{LedgerError, Result};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long one question may take, its turn and the connection's opening included, before it
/// counts as lost.
pub const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// A node behind an address.
pub struct RemoteNode {
    address: String,
    origin: Origin,
    wait: Duration,
    /// Taken out while in use: a caller that goes away in the middle leaves none behind, so
    /// nobody reads an answer that was meant for another.
    connection: Mutex<Option<Connection>>,
}

impl RemoteNode {
    /// A node whose chain is known; nothing is connected yet, so it may be down.
    pub fn new(address: impl Into<String>, origin: Origin) -> Self {
        RemoteNode {
            address: address.into(),
            origin,
            wait: ANSWER_WAIT,
            connection: Mutex::new(None),
        }
    }

    /// Asks whoever is behind the address (`host:port`) which chain it has, and stays with that
    /// chain from then on.
    ///
    /// # Errors
    /// `Unavailable` with the address and what happened.
    pub async fn connect(address: impl Into<String>) -> Result<Self> {
        let address = address.into();
        let opened = timeout(ANSWER_WAIT, Connection::open(&address)).await;
        let opened = opened.map_err(|_| slow(ANSWER_WAIT)).flatten();
        let (connection, genesis) = opened.map_err(|trouble| trouble.at(&address))?;
        let origin = Origin::new(genesis)
            .map_err(|refusal| Trouble::garbage(refusal.to_string()).at(&address))?;
        let node = RemoteNode::new(address, origin);
        *node.connection.lock().await = Some(connection);
        Ok(node)
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_wait(self, wait: Duration) -> Self {
        RemoteNode { wait, ..self }
    }

    async fn try_ask(&self, request: &Request) -> Result<Answer, Trouble> {
        let mut place = self.connection.lock().await;
        let (connection, answer) = self.ask_over(place.take(), request).await?;
        *place = Some(connection);
        answer.map_err(Trouble::Said)
    }

    /// Asks over the connection that is held, or over a new one.
    async fn ask_over(
        &self,
        held: Option<Connection>,
        request: &Request,
    ) -> Result<(Connection, Result<Answer>), Trouble> {
        if let Some(connection) = held {
            match connection.ask(request).await {
                // A connection that was idle may be gone without our knowing. Asking again is
                // safe for all but money from the faucet.
                Err(Trouble::Io(_)) if !matches!(request, Request::Fund(..)) => {}
                outcome => return outcome,
            }
        }
        self.open().await?.ask(request).await
    }

    async fn open(&self) -> Result<Connection, Trouble> {
        let (connection, genesis) = Connection::open(&self.address).await?;
        if genesis == *self.origin.genesis() {
            return Ok(connection);
        }
        let there = Origin::new(genesis)
            .map_or_else(|refusal| refusal.to_string(), |origin| origin.ledger().to_string());
        let ours = self.origin.ledger();
        // Ours may come back, and what was asked of it is still owed: no refusal.
        let what = format!("another ledger answers here, {there}, where {ours} was");
        Err(Trouble::Said(LedgerError::unavailable(what)))
    }
}

#[async_trait]
impl Node for RemoteNode {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn ask(&self, request: Request) -> Result<Answer> {
        let asked = timeout(self.wait, self.try_ask(&request)).await;
        let asked = asked.map_err(|_| slow(self.wait)).flatten();
        asked.map_err(|trouble| trouble.at(&self.address))
    }
}

/// A connection on which every question so far had its answer.
struct Connection {
    stream: BufReader<TcpStream>,
    asked: u64,
}

/// Why a question had no answer.
enum Trouble {
    /// The connection broke.
    Io(io::Error),
    /// The other side said something, or something that cannot be.
    Said(LedgerError),
}

impl Connection {
    async fn open(address: &str) -> Result<(Connection, Genesis), Trouble> {
        let stream = TcpStream::connect(address).await.map_err(Trouble::Io)?;
        stream.set_nodelay(true).map_err(Trouble::Io)?;
        let connection = Connection { stream: BufReader::new(stream), asked: 0 };
        let (connection, answer) = connection.ask(&Request::Genesis).await?;
        match answer.map_err(Trouble::Said)? {
            Answer::Genesis(genesis) => Ok((connection, genesis)),
            _ => Err(Trouble::garbage("asked for its genesis, it told another thing")),
        }
    }

    /// Asks one question. Gives the connection back only where another question can follow.
    async fn ask(mut self, request: &Request) -> Result<(Connection, Result<Answer>), Trouble> {
        self.asked += 1;
        let question = Question { id: self.asked, ask: request.clone() };
        let written = write_line(self.stream.get_mut(), &question).await;
        let line = match read_line(&mut self.stream, ANSWER_BYTES_MAX).await {
            Ok(Some(line)) => line,
            Ok(None) => return Err(Trouble::Io(written.err().unwrap_or_else(closed))),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Trouble::garbage(error.to_string()));
            }
            Err(error) => return Err(Trouble::Io(error)),
        };
        let reply: Reply =
            serde_json::from_slice(&line).map_err(|error| Trouble::garbage(error.to_string()))?;
        match (reply.id, reply.outcome.into()) {
            (id, outcome) if id == self.asked => Ok((self, outcome)),
            (0, Err(about_connection)) => Err(Trouble::Said(about_connection)),
            (id, _) => {
                // Let the other side know that nothing more is read.
                let _ = self.stream.get_mut().shutdown().await;
                Err(Trouble::garbage(format!("answer {id} to question {}", self.asked)))
            }
        }
    }
}

impl Trouble {
    fn garbage(what: impl Into<String>) -> Trouble {
        let what: String = what.into();
        Trouble::Said(LedgerError::unavailable(format!("that is no ledger's answer: {what}")))
    }

    /// As an error for the caller, with the address in it.
    fn at(self, address: &str) -> LedgerError {
        match self {
            Trouble::Io(error) => LedgerError::unavailable(format!("{address}: {error}")),
            Trouble::Said(LedgerError::Unavailable { what, retry_after }) => {
                LedgerError::Unavailable { what: format!("{address}: {what}"), retry_after }
            }
            Trouble::Said(refused) => refused,
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer")
}

fn slow(wait: Duration) -> Trouble {
    let what = format!("no answer in {} ms", wait.as_millis());
    Trouble::Io(io::Error::new(io::ErrorKind::TimedOut, what))
}
