//! One node: JSON-RPC over HTTP, one question at a time, each with a limit in time and size. What
//! comes back is a stranger's; what a node says in words decides only what [`Said`] names.

use crate::said::{Said, named, said};
use iota_sdk_types::ObjectId;
use reqwest::{Client, Response, StatusCode};
use sdpp_ledger::{Endpoint, LedgerError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest answer that is read, in bytes: to a question after a checkpoint or a page of coins,
/// after one transaction (ours are far shorter), and after anything else.
const ANSWER_MAX_MANY: usize = 4 * 1024 * 1024;
const ANSWER_MAX_ONE: usize = 1024 * 1024;
const ANSWER_MAX: usize = 256 * 1024;

/// The longest error that is read, in bytes.
const ERROR_MAX: usize = 64 * 1024;

/// How long an idle connection is kept: shorter than nodes keep theirs, as a question that meets
/// a closed one is an outage.
const IDLE: Duration = Duration::from_secs(5);

/// The longest wait that a node can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The node was not reached, or what it said is no answer.
    Node {
        /// What was tried and what came back.
        what: String,
        /// When to ask again, where it said so.
        retry_after: Option<Duration>,
    },
    /// The node answered with an error.
    Said {
        /// What it means.
        said: Said,
        /// Its words, clean, and whose they are.
        what: String,
        /// The object that they name.
        object: Option<ObjectId>,
    },
    /// The answer is longer than what is read.
    TooLong {
        /// Whose answer.
        what: String,
    },
    /// What the ledger says to whoever asked.
    Ledger(LedgerError),
}

impl Trouble {
    /// A refusal.
    pub fn refused(code: &str, why: impl Into<String>) -> Self {
        Trouble::Ledger(LedgerError::refused(code, why))
    }

    /// Whether this is the node's way to say that it has no such transaction.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Trouble::Said { said: Said::NotFound, .. })
    }
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Trouble::Ledger(error)
    }
}

impl From<Trouble> for LedgerError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Node { what, retry_after } => LedgerError::Unavailable { what, retry_after },
            Trouble::Said { what, .. } | Trouble::TooLong { what } => {
                LedgerError::unavailable(what)
            }
            Trouble::Ledger(error) => error,
        }
    }
}

/// What a node answers, or why not.
pub(crate) type Answer<T> = Result<T, Trouble>;

/// A node behind its endpoint, or a faucet.
pub(crate) struct Rpc {
    http: Client,
    endpoint: Endpoint,
    patience: Duration,
    next_id: AtomicU64,
}

impl Rpc {
    /// A node that is given so long for each answer.
    ///
    /// # Errors
    /// Where the TLS library cannot be set up.
    pub fn new(endpoint: Endpoint, patience: Duration) -> Result<Self, LedgerError> {
        // A redirect would carry the key in the URL to another host.
        let builder = Client::builder().redirect(reqwest::redirect::Policy::none());
        let builder = builder.pool_idle_timeout(IDLE);
        let builder = if endpoint.is_loopback() { builder.no_proxy() } else { builder };
        let no_client = |_| LedgerError::unavailable("no HTTP client can be made here");
        let http = builder.build().map_err(no_client)?;
        Ok(Rpc { http, endpoint, patience, next_id: AtomicU64::new(1) })
    }

    /// Asks one question.
    pub async fn ask<T: DeserializeOwned>(&self, method: &str, params: Value) -> Answer<T> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let question = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let request = self.http.post(self.endpoint.url().clone());
        let request = request.header("content-type", "application/json");
        let request = request.body(question.to_string());
        let (status, bytes) = self.exchange(method, request, answer_max(method)).await?;
        self.read(method, status, &bytes, id)
    }

    /// Asks a faucet: a request of its own kind under a path of the endpoint.
    pub async fn plain(&self, path: &str, body: Option<&Value>) -> Answer<(StatusCode, Vec<u8>)> {
        let mut url = self.endpoint.url().clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        let request = match body {
            Some(body) => self.http.post(url).body(body.to_string()),
            None => self.http.get(url),
        };
        let request = request.header("content-type", "application/json");
        self.exchange(path, request, ANSWER_MAX).await
    }

    /// A trouble of this node.
    pub fn trouble(&self, what: &str) -> Trouble {
        let what = format!("{}: {}", self.endpoint, self.endpoint.clean(what));
        Trouble::Node { what, retry_after: None }
    }

    async fn exchange(
        &self,
        what: &str,
        request: reqwest::RequestBuilder,
        max: usize,
    ) -> Answer<(StatusCode, Vec<u8>)> {
        let exchange = async {
            let mut response = request.send().await.map_err(|e| self.broken(&e))?;
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                let what = format!("{}: too many requests", self.endpoint);
                return Err(Trouble::Node { what, retry_after: Some(retry_after(&response)) });
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| self.broken(&e))? {
                if bytes.len() + chunk.len() > max {
                    let what = format!("{}: an answer of more than {max} bytes", self.endpoint);
                    return Err(Trouble::TooLong { what });
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok((response.status(), bytes))
        };
        let Ok(answered) = tokio::time::timeout(self.patience, exchange).await else {
            let ms = self.patience.as_millis();
            return Err(self.trouble(&format!("no answer to {what} within {ms} ms")));
        };
        answered
    }

    /// The error's own text holds the URL, so it is not passed on.
    fn broken(&self, error: &reqwest::Error) -> Trouble {
        let what = if error.is_connect() { "no connection" } else { "the connection broke" };
        self.trouble(what)
    }

    fn read<T: DeserializeOwned>(
        &self,
        method: &str,
        status: StatusCode,
        bytes: &[u8],
        id: u64,
    ) -> Answer<T> {
        let http = |_| match status.is_success() {
            true => self.trouble("the answer is no JSON-RPC"),
            false => self.trouble(&format!("HTTP {}", status.as_u16())),
        };
        let answered: Answered<'_> = serde_json::from_slice(bytes).map_err(http)?;
        if let Some(error) = answered.error {
            return Err(self.said(error.get()));
        }
        if answered.id.is_none_or(|told| told.get() != id.to_string()) {
            return Err(self.trouble("an answer to another question"));
        }
        let result = answered.result.ok_or_else(|| self.trouble("an answer without a result"))?;
        let odd = |e: serde_json::Error| self.trouble(&format!("{method}: {e}"));
        serde_json::from_str(result.get()).map_err(odd)
    }

    fn said(&self, error: &str) -> Trouble {
        let told = (error.len() <= ERROR_MAX).then(|| serde_json::from_str(error).ok()).flatten();
        let Some(Told { code, message }) = told else {
            return self.trouble("an error that cannot be read");
        };
        let what = format!("{} says: {}", self.endpoint, self.endpoint.clean(&message));
        match said(code, &message) {
            Said::Busy => Trouble::Node { what, retry_after: Some(Duration::from_secs(1)) },
            said => Trouble::Said { said, what, object: named(&message) },
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

/// A node's error.
#[derive(Deserialize)]
struct Told {
    code: i64,
    message: String,
}

fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// The longest answer to a question.
fn answer_max(method: &str) -> usize {
    match method {
        "iota_getCheckpoint" | "iotax_getCoins" => ANSWER_MAX_MANY,
        "iota_getTransactionBlock"
        | "iota_executeTransactionBlock"
        | "iota_dryRunTransactionBlock" => ANSWER_MAX_ONE,
        _ => ANSWER_MAX,
    }
}

fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).min(RETRY_AFTER_MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::recorded::{answer, exchange};

    fn node() -> Rpc {
        Rpc::new("http://127.0.0.1:1/0123456789".parse().unwrap(), Duration::from_secs(1)).unwrap()
    }

    /// What a recorded answer is read as.
    pub(crate) fn read<T: DeserializeOwned>(name: &str) -> Answer<T> {
        node().read(name, StatusCode::OK, answer(name).as_bytes(), 1)
    }

    fn plain<T: DeserializeOwned>(text: &str) -> Answer<T> {
        node().read("iota_some", StatusCode::OK, text.as_bytes(), 7)
    }

    #[test]
    fn a_key_that_is_there_twice_is_no_answer() {
        assert_eq!(plain::<u64>(r#"{"x":[],"id":7,"result":5,"x":1}"#).ok(), Some(5));
        let null = plain::<Option<u64>>(r#"{"id":7,"result":null,"error":null}"#);
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
            let trouble = plain::<u64>(bad);
            assert!(matches!(trouble, Err(Trouble::Node { .. })), "{bad} was taken");
        }
    }

    #[test]
    fn an_error_is_told_with_its_meaning_and_its_words_but_not_our_key() {
        let trouble = plain::<u64>(r#"{"error":{"code":-32002,"message":"0123456789\u202eno"}}"#);
        let Err(Trouble::Said { said: Said::Other, what, .. }) = trouble else {
            panic!("{trouble:?}")
        };
        assert_eq!(what, "http://127.0.0.1:1 says: *** no");
        for odd in ["7", r#"{"code":1}"#, r#"{"code":"x","message":"y"}"#] {
            let trouble = plain::<u64>(&format!(r#"{{"id":7,"error":{odd}}}"#));
            assert!(matches!(trouble, Err(Trouble::Node { .. })), "{trouble:?}");
        }
        let busy = plain::<u64>(r#"{"error":{"code":429,"message":"slow down"}}"#);
        assert!(matches!(busy, Err(Trouble::Node { retry_after: Some(_), .. })), "{busy:?}");
    }

    #[test]
    fn what_was_recorded_is_read() {
        assert_eq!(read::<String>("01-chain-identifier").unwrap(), "fcece89d");
        let unknown: Answer<Value> = read("17-get-tx-unknown");
        assert!(unknown.unwrap_err().is_not_found());
        assert_eq!(exchange("17-get-tx-unknown")["status"], 200, "errors come with HTTP 200");
    }
}
