//! One node, which is asked by JSON-RPC: how long an answer may be, and what an error means. What a
//! node says in words decides only what [`Said`] names.

use crate::said::{Said, named, said};
use iota_sdk_types::ObjectId;
use reqwest::StatusCode;
use sdpp_ledger::jsonrpc::{self, JsonRpc};
use sdpp_ledger::{Endpoint, LedgerError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// The longest answer that is read, in bytes: to a question after a checkpoint or a page of coins,
/// after one transaction (ours are far shorter) or all that the node can do, and after anything else.
const ANSWER_MAX_MANY: usize = 4 * 1024 * 1024;
const ANSWER_MAX_ONE: usize = 1024 * 1024;
const ANSWER_MAX: usize = 256 * 1024;

/// Why a question has no answer.
pub(crate) type Trouble = jsonrpc::Trouble<Meaning>;

/// What an error of a node's means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub said: Said,
    /// The object that its words name.
    pub object: Option<ObjectId>,
}

/// What a node answers, or why not.
pub(crate) type Answer<T> = Result<T, Trouble>;

/// A node behind its endpoint, or a faucet.
pub(crate) struct Rpc(JsonRpc<Meaning>);

impl Rpc {
    /// A node that is given so long for each answer.
    ///
    /// # Errors
    /// Where the TLS library cannot be set up.
    pub fn new(endpoint: Endpoint, patience: Duration) -> Result<Self, LedgerError> {
        JsonRpc::new(endpoint, patience, told).map(Rpc)
    }

    /// Asks one question.
    pub async fn ask<T: DeserializeOwned>(&self, method: &str, params: Value) -> Answer<T> {
        self.0.ask(method, params, answer_max(method)).await
    }

    /// Asks a faucet: a request of its own kind under a path of the endpoint.
    pub async fn plain(&self, path: &str, body: Option<&Value>) -> Answer<(StatusCode, Vec<u8>)> {
        let mut url = self.0.endpoint().url().clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        let request = match body {
            Some(body) => self.0.http().post(url).body(body.to_string()),
            None => self.0.http().get(url),
        };
        self.0.exchange(path, request, ANSWER_MAX).await
    }

    /// A trouble of this node.
    pub fn trouble(&self, what: &str) -> Trouble {
        self.0.trouble(what)
    }
}

/// Reads an error.
fn told(error: &str) -> Option<jsonrpc::Told<Meaning>> {
    let Told { code, message } = serde_json::from_str(error).ok()?;
    let said = Meaning { said: said(code, &message), object: named(&message) };
    let is_busy = matches!(said.said, Said::Busy);
    Some(jsonrpc::Told { words: message, said, is_busy })
}

/// Whether this is the node's way to say that it has no such transaction.
pub(crate) fn is_not_found(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Said { said: Meaning { said: Said::NotFound, .. }, .. })
}

/// A node's error.
#[derive(Deserialize)]
struct Told {
    code: i64,
    message: String,
}

/// The longest answer to a question.
fn answer_max(method: &str) -> usize {
    match method {
        "iota_getCheckpoint" | "iotax_getCoins" => ANSWER_MAX_MANY,
        "iota_getTransactionBlock"
        | "iota_executeTransactionBlock"
        | "iota_dryRunTransactionBlock"
        | "rpc.discover" => ANSWER_MAX_ONE,
        _ => ANSWER_MAX,
    }
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
        answered(name, &answer(name), 1)
    }

    fn plain<T: DeserializeOwned>(text: &str) -> Answer<T> {
        answered("iota_some", text, 7)
    }

    fn answered<T: DeserializeOwned>(method: &str, text: &str, id: u64) -> Answer<T> {
        node().0.read(method, StatusCode::OK, text.as_bytes(), id)
    }

    #[test]
    fn an_error_is_told_with_its_meaning_and_its_words_but_not_our_key() {
        let trouble = plain::<u64>(r#"{"error":{"code":-32002,"message":"0123456789\u202eno"}}"#);
        let Err(Trouble::Said { said, what }) = trouble else { panic!("{trouble:?}") };
        assert_eq!(said, Meaning { said: Said::Other, object: None });
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
        assert!(is_not_found(&unknown.unwrap_err()));
        assert_eq!(exchange("17-get-tx-unknown")["status"], 200, "errors come with HTTP 200");
    }
}
