//! One endpoint, which is asked by JSON-RPC: how long an answer may be, what an error means, and how
//! high the node's chain is.

use sdpp_ledger::jsonrpc::{self, JsonRpc, Told};
use sdpp_ledger::{Endpoint, LedgerError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest answer that is read, in bytes: to a question after events or all of a block, after
/// one thing that strangers may have written to, and after anything else.
const ANSWER_MAX_MANY: usize = 16 * 1024 * 1024;
const ANSWER_MAX_ONE: usize = 2 * 1024 * 1024;
const ANSWER_MAX: usize = 256 * 1024;

/// Why a question has no answer; a call that reverted said what it reverted with.
pub(crate) type Trouble = jsonrpc::Trouble<Option<Vec<u8>>>;

/// What a node answers, or why not.
pub(crate) type Answer<T> = Result<T, Trouble>;

/// A node behind its endpoint.
pub(crate) struct Rpc {
    node: JsonRpc<Option<Vec<u8>>>,
    /// The height of the newest block, as told last and at most.
    height: [AtomicU64; 2],
}

impl Rpc {
    /// A node that is given so long for each answer.
    ///
    /// # Errors
    /// Where the TLS library cannot be set up.
    pub fn new(endpoint: Endpoint, patience: Duration) -> Result<Self, LedgerError> {
        let node = JsonRpc::new(endpoint, patience, told)?;
        Ok(Rpc { node, height: Default::default() })
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        self.node.endpoint()
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
        let max = answer_max(method, &params);
        self.node.ask(method, params, max).await
    }

    /// A trouble of this node.
    pub fn trouble(&self, what: &str) -> Trouble {
        self.node.trouble(what)
    }
}

/// Reads an error.
fn told(error: &str) -> Option<Told<Option<Vec<u8>>>> {
    let Said { code, message, data } = read(error)?;
    let words: Option<String> = message.and_then(|message| read(message.get()));
    Some(Told {
        words: words.unwrap_or_else(|| "an error".to_owned()),
        said: data.and_then(|data| revert_data(&read(data.get())?)),
        is_busy: code.is_some_and(|code| code.get() == "429"),
    })
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

/// Reads a part of an error.
fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    fn node() -> Rpc {
        Rpc::new("http://127.0.0.1:1".parse().unwrap(), Duration::from_secs(1)).unwrap()
    }

    fn answered<T: DeserializeOwned>(text: &str) -> Answer<T> {
        node().node.read("eth_some", StatusCode::OK, text.as_bytes(), 7)
    }

    #[test]
    fn an_error_is_told_with_its_words_and_what_it_reverted_with() {
        let said = |error: &str| {
            let text = format!(r#"{{"id":7,"result":null,"error":{error}}}"#);
            answered::<Value>(&text).unwrap_err()
        };
        let plain = said(r#"{"code":3,"message":"no\u202e","data":"0x0102"}"#);
        let Trouble::Said { what, said: data } = plain else { panic!("{plain:?}") };
        assert_eq!((what.ends_with("says: no "), data), (true, Some(vec![1, 2])), "{what}");
        let nested = said(r#"{"message":7,"data":{"data":"0x03"}}"#);
        assert!(matches!(nested, Trouble::Said { said: Some(data), .. } if data == [3]));
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
        assert!(answered::<Vec<crate::view::Log>>(&text).is_err());
        let kib = memory("VmHWM").saturating_sub(before);
        assert!(kib < 40 * 1024, "{kib} KiB for {} KiB", text.len() / 1024);
    }
}
