//! One endpoint: JSON-RPC over HTTP, one question at a time, each with a limit in time and size.
//! What comes back is a stranger's; what is said of an endpoint never shows more of its URL than
//! scheme, host and port, as the rest may hold a key.

use reqwest::{Client, Response, StatusCode};
use sdpp_ledger::{Endpoint, LedgerError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest answer that is read, in bytes: to a question after events or all of a block, after
/// one thing that strangers may have written to, and after anything else.
const ANSWER_MAX_MANY: usize = 16 * 1024 * 1024;
const ANSWER_MAX_ONE: usize = 2 * 1024 * 1024;
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
    Node { what: String, retry_after: Option<Duration> },
    /// The node answered with an error: its words, and for a reverted call what it reverted with.
    Said { what: String, data: Option<Vec<u8>> },
    /// The answer is longer than what is read: less must be asked for.
    TooLong { what: String },
    /// What the ledger says to whoever asked; another node would say the same.
    Ledger(LedgerError),
    /// What the ledger refuses by what this node told: another one may tell something else.
    Refused { code: String, why: String },
}

impl Trouble {
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
            Trouble::Refused { code, why } => LedgerError::Refused { code, why },
        }
    }
}

/// What a node answers, or why not.
pub(crate) type Answer<T> = Result<T, Trouble>;

/// A node behind its endpoint.
pub(crate) struct Rpc {
    http: Client,
    endpoint: Endpoint,
    patience: Duration,
    next_id: AtomicU64,
    /// The height of the newest block, as told last and at most.
    height: [AtomicU64; 2],
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
        Ok(Rpc { http, endpoint, patience, next_id: AtomicU64::new(1), height: Default::default() })
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The height of the newest block that it told last.
    pub fn height(&self) -> u64 {
        self.height[0].load(Ordering::Relaxed)
    }

    /// The largest such height that it ever told, twice in a row at least: one wrong answer is
    /// not the height of a chain.
    pub fn height_most(&self) -> u64 {
        self.height[1].load(Ordering::Relaxed)
    }

    /// Takes note of such a height.
    pub fn note_height(&self, height: u64) {
        let last = self.height[0].swap(height, Ordering::Relaxed);
        self.height[1].fetch_max(height.min(last), Ordering::Relaxed);
    }

    /// Asks one question.
    pub async fn ask<T: DeserializeOwned>(&self, method: &str, params: Value) -> Answer<T> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let max = answer_max(method, &params);
        let question = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let exchange = self.exchange(question.to_string(), max);
        let Ok(answered) = tokio::time::timeout(self.patience, exchange).await else {
            let ms = self.patience.as_millis();
            return Err(self.trouble(&format!("no answer to {method} within {ms} ms")));
        };
        let (status, bytes) = answered?;
        self.read(method, status, &bytes, id)
    }

    /// A trouble of this node.
    pub fn trouble(&self, what: &str) -> Trouble {
        let what = format!("{}: {}", self.endpoint, self.endpoint.clean(what));
        Trouble::Node { what, retry_after: None }
    }

    async fn exchange(&self, question: String, max: usize) -> Answer<(StatusCode, Vec<u8>)> {
        let request = self.http.post(self.endpoint.url().clone());
        let request = request.header("content-type", "application/json").body(question);
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
        let result = self.result_of(status, bytes, id)?;
        serde_json::from_str(result).map_err(|e| self.trouble(&format!("{method}: {e}")))
    }

    /// The result as it is written: whoever asked reads it into what it is to be, and nothing in
    /// between holds what nobody asked for.
    fn result_of<'a>(&self, status: StatusCode, bytes: &'a [u8], id: u64) -> Answer<&'a str> {
        let http = |_| match status.is_success() {
            true => self.trouble("the answer is no JSON-RPC"),
            false => self.trouble(&format!("HTTP {}", status.as_u16())),
        };
        let answered: Answered<'a> = serde_json::from_slice(bytes).map_err(http)?;
        if let Some(error) = answered.error {
            return Err(self.said(error.get()));
        }
        if answered.id.is_none_or(|told| told.get() != id.to_string()) {
            return Err(self.trouble("an answer to another question"));
        }
        let result = answered.result.ok_or_else(|| self.trouble("an answer without a result"))?;
        Ok(result.get())
    }

    fn said(&self, error: &str) -> Trouble {
        let Some(Said { code, message, data }) = small(error) else {
            return self.trouble("an error that cannot be read");
        };
        let words: Option<String> = message.and_then(|message| small(message.get()));
        let words = words.unwrap_or_else(|| "an error".to_owned());
        let what = format!("{} says: {}", self.endpoint, self.endpoint.clean(&words));
        if code.is_some_and(|code| code.get() == "429") {
            return Trouble::Node { what, retry_after: Some(Duration::from_secs(1)) };
        }
        Trouble::Said { what, data: data.and_then(|data| revert_data(&small(data.get())?)) }
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
struct Said<'a> {
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// Reads a part of an error.
fn small<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    (text.len() <= ERROR_MAX).then(|| serde_json::from_str(text).ok()).flatten()
}

/// The longest answer to a question.
fn answer_max(method: &str, params: &Value) -> usize {
    match method {
        "eth_getLogs" => ANSWER_MAX_MANY,
        "eth_getBlockByNumber" if params[1] == true => ANSWER_MAX_MANY,
        "eth_getBlockByNumber" | "eth_getTransactionReceipt" | "eth_getTransactionByHash" => {
            ANSWER_MAX_ONE
        }
        _ => ANSWER_MAX,
    }
}

/// The bytes that a call reverted with: plain, or one level down as some nodes put them.
fn revert_data(data: &Value) -> Option<Vec<u8>> {
    let text = data.as_str().or_else(|| data.get("data").and_then(Value::as_str))?;
    hex::decode(text.strip_prefix("0x")?).ok()
}

fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).min(RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Rpc {
        Rpc::new("http://127.0.0.1:1".parse().unwrap(), Duration::from_secs(1)).unwrap()
    }

    fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
        node().read("eth_some", StatusCode::OK, text.as_bytes(), 7).ok()
    }

    #[test]
    fn a_key_that_is_there_twice_is_no_answer() {
        assert_eq!(read::<u64>(r#"{"x":[],"id":7,"result":5,"x":1}"#), Some(5));
        assert_eq!(read::<Option<u64>>(r#"{"id":7,"result":null,"error":null}"#), Some(None));
        for bad in [
            r#"{"id":7,"result":5,"result":6}"#,
            r#"{"id":7,"id":7,"result":5}"#,
            r#"{"id":8,"result":5}"#,
            r#"{"id":7,"error":null}"#,
            r#"{"result":5}"#,
            r#"{"id":7,"result":5}{}"#,
        ] {
            assert_eq!(read::<u64>(bad), None, "{bad} was taken");
        }
    }

    #[test]
    fn an_error_is_told_with_its_words_and_what_it_reverted_with() {
        let said = |error: &str| {
            let text = format!(r#"{{"id":7,"result":null,"error":{error}}}"#);
            node().result_of(StatusCode::OK, text.as_bytes(), 7).map(str::to_owned).unwrap_err()
        };
        let plain = said(r#"{"code":3,"message":"no\u202e","data":"0x0102"}"#);
        let Trouble::Said { what, data } = plain else { panic!("{plain:?}") };
        assert_eq!((what.ends_with("says: no "), data), (true, Some(vec![1, 2])), "{what}");
        let nested = said(r#"{"message":7,"data":{"data":"0x03"}}"#);
        assert!(matches!(nested, Trouble::Said { data: Some(data), .. } if data == [3]));
        let busy = said(r#"{"code":429,"message":"busy"}"#);
        assert!(matches!(busy, Trouble::Node { retry_after: Some(_), .. }), "{busy:?}");
        let long = format!(r#"{{"data":[{}0]}}"#, "[],".repeat(40_000));
        for odd in ["7", r#"{"data":"0x01","data":"0x02"}"#, &long] {
            let odd = said(odd);
            assert!(matches!(odd, Trouble::Node { .. }), "{odd:?}");
        }
    }

    /// In KiB, by what the kernel counts.
    #[cfg(target_os = "linux")]
    fn memory(what: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_long_answer_takes_hardly_more_memory_than_its_bytes() {
        let text = format!(r#"{{"id":7,"result":[{}[]]}}"#, "[],".repeat(5_000_000));
        let before = memory("VmRSS");
        assert!(read::<Vec<crate::view::Log>>(&text).is_none());
        let kib = memory("VmHWM").saturating_sub(before);
        assert!(kib < 40 * 1024, "{kib} KiB for {} KiB", text.len() / 1024);
    }
}
