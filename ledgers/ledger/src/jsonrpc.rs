//! JSON-RPC over HTTP: one question at a time, each with a limit in time and size. What comes back
//! is a stranger's; what is said of an endpoint never shows more of its URL than scheme, host and
//! port, as the rest may hold a key.

use crate::http::{self, Unread};
use crate::{Endpoint, LedgerError};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest error that is read, in bytes.
const ERROR_MAX: usize = 64 * 1024;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(5);

/// When to ask again where a node has too much to do and says no time.
const LATER: Duration = Duration::from_secs(1);

/// Why a question has no answer; `S` is what a ledger reads out of an error beside its words.
#[derive(Debug)]
pub enum Trouble<S> {
    /// The node was not reached, or what it said is no answer.
    Node {
        /// Who, and what came back.
        what: String,
        /// When to ask again, where it said so.
        retry_after: Option<Duration>,
    },
    /// The node answered with an error.
    Said {
        /// What it means.
        said: S,
        /// Its words, clean, and whose they are.
        what: String,
    },
    /// The answer is longer than what is read: less must be asked for.
    TooLong {
        /// Who, and how long it may be.
        what: String,
    },
    /// What the ledger says to whoever asked; another node would say the same.
    Ledger(LedgerError),
    /// What the ledger refuses by what this node told: another one may tell something else.
    Refused {
        /// As in [`LedgerError::Refused`].
        code: String,
        /// In words.
        why: String,
    },
}

impl<S> Trouble<S> {
    /// A refusal by what a node told.
    pub fn refused(code: &str, why: impl Into<String>) -> Self {
        Trouble::Refused { code: code.to_owned(), why: why.into() }
    }

    /// What the ledger says, a refusal of which is by what a node told.
    pub fn told(error: LedgerError) -> Self {
        match error {
            LedgerError::Refused { code, why } => Trouble::Refused { code, why },
            error => Trouble::Ledger(error),
        }
    }
}

impl<S> From<LedgerError> for Trouble<S> {
    fn from(error: LedgerError) -> Self {
        Trouble::Ledger(error)
    }
}

impl<S> From<Trouble<S>> for LedgerError {
    fn from(trouble: Trouble<S>) -> Self {
        match trouble {
            Trouble::Node { what, retry_after } => LedgerError::Unavailable { what, retry_after },
            Trouble::Said { what, .. } | Trouble::TooLong { what } => {
                LedgerError::unavailable(what)
            }
            Trouble::Ledger(error) => error,
            Trouble::Refused { code, why } => LedgerError::Refused { code, why },
        }
    }
}

/// An error as a ledger reads it.
pub struct Told<S> {
    /// The node's own words.
    pub words: String,
    /// What it means.
    pub said: S,
    /// Whether the node has too much to do, and is to be asked again.
    pub is_busy: bool,
}

/// A node behind its endpoint.
pub struct JsonRpc<S> {
    http: Client,
    endpoint: Endpoint,
    patience: Duration,
    error: fn(&str) -> Option<Told<S>>,
    next_id: AtomicU64,
}

impl<S> JsonRpc<S> {
    /// A node that is given so long for each answer; `error` reads the JSON of an error, at most
    /// 64 KiB, where it can be read.
    ///
    /// # Errors
    /// Where the TLS library cannot be set up.
    pub fn new(
        endpoint: Endpoint,
        patience: Duration,
        error: fn(&str) -> Option<Told<S>>,
    ) -> Result<Self, LedgerError> {
        let no_client = |_| LedgerError::unavailable("no HTTP client can be made here");
        let http = http::client(&endpoint, IDLE).build().map_err(no_client)?;
        Ok(JsonRpc { http, endpoint, patience, error, next_id: AtomicU64::new(1) })
    }

    /// What asks there.
    pub fn http(&self) -> &Client {
        &self.http
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks one question, to which an answer of up to `max` bytes is read.
    ///
    /// # Errors
    /// Where there is none that can be read in time, or it is an error.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
        max: usize,
    ) -> Result<T, Trouble<S>> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let question = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let request = self.http.post(self.endpoint.url().clone());
        let request = request.body(question.to_string());
        let (status, bytes) = self.exchange(method, request, max).await?;
        self.read(method, status, &bytes, id)
    }

    /// Sends a request, and reads an answer of up to `max` bytes, whatever its status but 429.
    ///
    /// # Errors
    /// Where there is none in time, or it is longer.
    pub async fn exchange(
        &self,
        what: &str,
        request: RequestBuilder,
        max: usize,
    ) -> Result<(StatusCode, Vec<u8>), Trouble<S>> {
        let request = request.header("content-type", "application/json");
        let Ok(answered) = tokio::time::timeout(self.patience, self.sent(request, max)).await
        else {
            let ms = self.patience.as_millis();
            return Err(self.trouble(&format!("no answer to {what} within {ms} ms")));
        };
        answered
    }

    async fn sent(
        &self,
        request: RequestBuilder,
        max: usize,
    ) -> Result<(StatusCode, Vec<u8>), Trouble<S>> {
        let broken = |error| self.trouble(http::broken(&error));
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            let what = format!("{}: too many requests", self.endpoint);
            let retry_after = http::retry_after(&response).or(Some(LATER));
            return Err(Trouble::Node { what, retry_after });
        }
        let bytes = http::body(response, max).await.map_err(|unread| match unread {
            Unread::Broken(error) => broken(error),
            Unread::TooLong => {
                let what = format!("{}: an answer of more than {max} bytes", self.endpoint);
                Trouble::TooLong { what }
            }
        })?;
        Ok((status, bytes))
    }

    /// A trouble of this node.
    pub fn trouble(&self, what: &str) -> Trouble<S> {
        let what = format!("{}: {}", self.endpoint, self.endpoint.clean(what));
        Trouble::Node { what, retry_after: None }
    }

    /// Reads the answer to the question of this id. Nothing between its bytes and what it is read
    /// into holds what nobody asked for.
    ///
    /// # Errors
    /// Where it is none, or an error.
    pub fn read<T: DeserializeOwned>(
        &self,
        method: &str,
        status: StatusCode,
        bytes: &[u8],
        id: u64,
    ) -> Result<T, Trouble<S>> {
        let http = |_| match status.is_success() {
            true => self.trouble("the answer is no JSON-RPC"),
            false => self.trouble(&format!("HTTP {}", status.as_u16())),
        };
        let answered: Answered<'_> = serde_json::from_slice(bytes).map_err(http)?;
        if let Some(error) = answered.error.map(RawValue::get) {
            return Err(self.said(error));
        }
        if answered.id.is_none_or(|told| told.get() != id.to_string()) {
            return Err(self.trouble("an answer to another question"));
        }
        let result = answered.result.ok_or_else(|| self.trouble("an answer without a result"))?;
        serde_json::from_str(result.get()).map_err(|e| self.trouble(&format!("{method}: {e}")))
    }

    fn said(&self, error: &str) -> Trouble<S> {
        let told = (error.len() <= ERROR_MAX).then(|| (self.error)(error)).flatten();
        let Some(Told { words, said, is_busy }) = told else {
            return self.trouble("an error that cannot be read");
        };
        let what = format!("{} says: {}", self.endpoint, self.endpoint.clean(&words));
        match is_busy {
            true => Trouble::Node { what, retry_after: Some(LATER) },
            false => Trouble::Said { said, what },
        }
    }
}

/// A node's answer. Each key may be there once; others are passed over.
#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    /// `null` is a result.
    #[serde(borrow, default, deserialize_with = "even_null")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: DeserializeOwned>(text: &str) -> Result<T, Trouble<()>> {
        let endpoint = "http://127.0.0.1:1".parse().unwrap();
        let node = JsonRpc::new(endpoint, Duration::from_secs(1), |_| None).unwrap();
        node.read("some", StatusCode::OK, text.as_bytes(), 7)
    }

    #[test]
    fn a_key_that_is_there_twice_is_no_answer() {
        assert_eq!(read::<u64>(r#"{"x":[],"id":7,"result":5,"x":1}"#).ok(), Some(5));
        let null = read::<Option<u64>>(r#"{"id":7,"result":null,"error":null}"#);
        assert_eq!(null.ok(), Some(None));
        for bad in [
            r#"{"id":7,"result":5,"result":6}"#,
            r#"{"id":7,"id":7,"result":5}"#,
            r#"{"id":8,"result":5}"#,
            r#"{"id":7,"error":null}"#,
            r#"{"result":5}"#,
            r#"{"id":7,"result":5}{}"#,
            "<html>",
        ] {
            let trouble = read::<u64>(bad);
            assert!(matches!(trouble, Err(Trouble::Node { .. })), "{bad} was taken");
        }
    }
}
