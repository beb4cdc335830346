//! The gateway over HTTP: one question or submission at a time, each with a limit in time and
//! size. What it says in words is read by one table (`class`); what is said of it never shows its
//! path, nor a secret.

use crate::call::Request;
use crate::class::{self, Meaning};
use crate::same::Met;
use crate::settings::{Login, Settings, misconfigured};
use reqwest::{Certificate, Client, Identity, RequestBuilder, Response, StatusCode, Url};
use sdpp_ledger::http::{self, Unread};
use sdpp_ledger::{Endpoint, LedgerError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The longest answer that is read, in bytes: with a block, with the first one, which is read
/// again and again and holds no transactions, and any other.
const BLOCK_MAX: usize = 64 * 1024 * 1024;
const FIRST_BLOCK_MAX: usize = 16 * 1024 * 1024;
const ANSWER_MAX: usize = 2 * 1024 * 1024;

/// How many blocks are read at once, as they may be long.
const READERS: usize = 2;

/// How long an idle connection is kept: shorter than gateways keep theirs, as a submission that
/// meets a closed one is a doubt.
const IDLE: Duration = Duration::from_secs(3);

/// When to come again where the gateway has too much to do.
const LATER: Duration = Duration::from_secs(1);

/// Why something was not done or answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Not reached, not understood, or not sure: whether anything happened is unknown.
    Doubt { what: String, retry_after: Option<Duration> },
    /// Settings keep it from working, ours or the gateway's.
    Setup { what: String },
    /// The gateway has nothing at this path, or lets nobody in there.
    Closed { what: String },
    /// What answers is not our chaincode.
    NotOurs { what: String },
    /// No block has this transaction.
    NoSuchTransaction,
    /// The chaincode refused, or what stands on the ledger does.
    Refused { code: String, why: String },
}

/// What the gateway says, or why not.
pub(crate) type Answer<T> = Result<T, Trouble>;

impl Trouble {
    /// A doubt that says no time.
    pub fn doubt(what: impl Into<String>) -> Self {
        Trouble::Doubt { what: what.into(), retry_after: None }
    }

    /// A refusal by what stands on the ledger.
    pub fn refused(code: &str, why: impl Into<String>) -> Self {
        Trouble::Refused { code: code.to_owned(), why: why.into() }
    }

    /// Whether the chaincode refused with this code of ours.
    pub fn is(&self, expected: &str) -> bool {
        matches!(self, Trouble::Refused { code, .. } if code == expected)
    }

    /// What it means before there is a ledger: then wrong settings are no outage.
    pub fn at_first(self) -> LedgerError {
        match self {
            Trouble::Setup { what } | Trouble::Closed { what } => misconfigured(what),
            Trouble::NotOurs { what } => LedgerError::refused("NotTheChaincode", what),
            trouble => trouble.into(),
        }
    }
}

/// Nothing that is owed is given up because somebody changes the settings of a gateway.
impl From<Trouble> for LedgerError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Doubt { what, retry_after } => LedgerError::Unavailable { what, retry_after },
            Trouble::Setup { what } | Trouble::Closed { what } | Trouble::NotOurs { what } => {
                LedgerError::unavailable(what)
            }
            Trouble::NoSuchTransaction => LedgerError::unavailable("no block has it yet"),
            Trouble::Refused { code, why } => LedgerError::Refused { code, why },
        }
    }
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable { what, retry_after } => Trouble::Doubt { what, retry_after },
            LedgerError::Refused { code, why } => Trouble::Refused { code, why },
        }
    }
}

/// The gateway, asked for one channel and chaincode as one signer.
pub(crate) struct Gateway {
    http: Client,
    settings: Settings,
    /// One for each submission that may be under way.
    slots: Semaphore,
    /// One for each block that may be read at once.
    readers: Semaphore,
    /// The ledger that it has to be, once that is known.
    pub met: Option<Met>,
}

/// An answer to a question: the rest of it is passed over.
#[derive(Deserialize)]
struct Told<T> {
    result: T,
}

/// The answer to a submission.
#[derive(Deserialize)]
struct Submitted {
    status: String,
}

/// An answer that says what went wrong.
#[derive(Deserialize)]
struct Failed {
    error: String,
}

impl Gateway {
    /// A gateway by its settings, which were checked.
    ///
    /// # Errors
    /// `Misconfigured` where certificates or keys cannot be read.
    pub fn new(settings: Settings) -> Result<Self, LedgerError> {
        let http = client(&settings)?;
        let slots = Semaphore::new(settings.in_flight_max.clamp(1, Semaphore::MAX_PERMITS));
        let readers = Semaphore::new(READERS);
        Ok(Gateway { http, settings, slots, readers, met: None })
    }

    /// Where, as whom, and how long.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.settings.gateway
    }

    /// Asks the chaincode a question.
    pub async fn query<T: DeserializeOwned>(&self, request: &Request) -> Answer<T> {
        self.is_same().await?;
        let url = self.url(&["query"], &["channel", "chaincode", "signer"]);
        let body = json!({ "headers": {}, "func": request.func, "args": request.args });
        let asked = self.http.post(url).body(body.to_string());
        let told: Told<T> = self.ask(asked, &request.func, ANSWER_MAX).await?;
        Ok(told.result)
    }

    /// Waits for its turn to read a block.
    pub async fn reader(&self) -> Answer<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.readers.acquire().await.map_err(|_| Trouble::doubt("nothing is read any more"))
    }

    /// Asks for something of the channel itself: a block, its height.
    pub async fn lookup<T: DeserializeOwned>(&self, path: &[&str]) -> Answer<T> {
        self.is_same().await?;
        self.look(path).await
    }

    /// The same of whichever ledger answers.
    pub async fn look<T: DeserializeOwned>(&self, path: &[&str]) -> Answer<T> {
        let asked = self.http.get(self.url(path, &["channel", "signer"]));
        let what = path.first().copied().unwrap_or_default();
        let max = match path {
            ["chaininfo"] => ANSWER_MAX,
            ["blocks", "0"] => FIRST_BLOCK_MAX,
            _ => BLOCK_MAX,
        };
        let told: Told<T> = self.ask(asked, what, max).await?;
        Ok(told.result)
    }

    /// Asks the gateway something of its own, for which it needs neither channel nor signer.
    pub async fn own<T: DeserializeOwned>(&self, path: &str, body: Option<Value>) -> Answer<T> {
        let url = self.url(&[path], &[]);
        let asked = match body {
            Some(body) => self.http.post(url).body(body.to_string()),
            None => self.http.get(url),
        };
        self.ask(asked, path, ANSWER_MAX).await
    }

    /// Has the gateway sign and order something, and waits until it stands in a block as valid.
    pub async fn submit(&self, request: &Request) -> Answer<()> {
        // Nobody closes it.
        let closed = |_| Trouble::doubt("nothing is submitted any more");
        let _slot = self.slots.acquire().await.map_err(closed)?;
        self.is_same().await?;
        let mut url = self.url(&["transactions"], &["channel", "chaincode", "signer"]);
        url.query_pairs_mut().append_pair("fly-sync", "true");
        let headers = json!({ "type": "SendTransaction" });
        let body = json!({ "headers": headers, "func": request.func, "args": request.args });
        let asked = self.http.post(url).body(body.to_string());
        let patience = self.settings.commit_patience;
        let done: Submitted = self.within(asked, &request.func, ANSWER_MAX, patience).await?;
        match done.status.as_str() {
            "VALID" => Ok(()),
            other => Err(self.doubt(&format!("{} was answered with {other:?}", request.func))),
        }
    }

    /// Asks for a connection that is no HTTP any more from its first byte on.
    pub async fn upgrade(&self, path: &str, headers: &[(&str, &str)]) -> Answer<Response> {
        let mut asked = self.http.get(self.url(&[path], &[]));
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        let sent = tokio::time::timeout(self.settings.patience, self.logged_in(asked).send()).await;
        let response = sent.map_err(|_| self.doubt("no answer"))?.map_err(|e| self.broken(&e))?;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Ok(response),
            status => Err(self.unanswered(status, None, "")),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        asked: RequestBuilder,
        what: &str,
        max: usize,
    ) -> Answer<T> {
        self.within(asked, what, max, self.settings.patience).await
    }

    async fn within<T: DeserializeOwned>(
        &self,
        asked: RequestBuilder,
        what: &str,
        max: usize,
        patience: Duration,
    ) -> Answer<T> {
        let answer = self.answer(asked, what, max, patience).await;
        if let Some(met) = &self.met {
            met.heed(&answer);
        }
        answer
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        asked: RequestBuilder,
        what: &str,
        max: usize,
        patience: Duration,
    ) -> Answer<T> {
        let exchange = self.exchange(asked, max);
        let Ok(answered) = tokio::time::timeout(patience, exchange).await else {
            let ms = patience.as_millis();
            return Err(self.doubt(&format!("no answer to {what} within {ms} ms")));
        };
        let (status, retry_after, bytes) = answered?;
        if !status.is_success() {
            return Err(self.unanswered(status, retry_after, &String::from_utf8_lossy(&bytes)));
        }
        // Of serde's words the place is enough: they may repeat an answer's.
        let odd = |e: serde_json::Error| {
            let (line, column) = (e.line(), e.column());
            self.doubt(&format!("the answer to {what} cannot be read at {line}:{column}"))
        };
        serde_json::from_slice(&bytes).map_err(odd)
    }

    async fn exchange(
        &self,
        asked: RequestBuilder,
        max: usize,
    ) -> Answer<(StatusCode, Option<Duration>, Vec<u8>)> {
        let asked = asked.header("content-type", "application/json");
        let sent = self.logged_in(asked).send().await;
        let response = sent.map_err(|e| self.broken(&e))?;
        let (status, retry_after) = (response.status(), http::retry_after(&response));
        let max = if status.is_success() { max } else { ANSWER_MAX };
        let bytes = http::body(response, max).await.map_err(|unread| match unread {
            Unread::Broken(error) => self.broken(&error),
            Unread::TooLong => self.doubt(&format!("an answer of more than {max} bytes")),
        })?;
        Ok((status, retry_after, bytes))
    }

    fn logged_in(&self, asked: RequestBuilder) -> RequestBuilder {
        match &self.settings.login {
            Some(Login::Bearer(token)) => asked.bearer_auth(token.as_str()),
            Some(Login::Basic { user, password }) => {
                asked.basic_auth(user, Some(password.as_str()))
            }
            None => asked,
        }
    }

    fn url(&self, path: &[&str], parameters: &[&str]) -> Url {
        let mut url = self.endpoint().url().clone();
        // Its scheme is http or https, so it has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let Settings { channel, chaincode, signer, .. } = &self.settings;
        for &name in parameters {
            let value = match name {
                "channel" => channel,
                "chaincode" => chaincode,
                _ => signer,
            };
            url.query_pairs_mut().append_pair(&format!("fly-{name}"), value);
        }
        url
    }

    /// What an answer means that is no success.
    fn unanswered(&self, status: StatusCode, retry_after: Option<Duration>, body: &str) -> Trouble {
        let failed: Option<Failed> = serde_json::from_str(body).ok();
        match (status.as_u16(), failed) {
            (401 | 407, _) => self.setup("the gateway asks for a login, or for another one: mend `token`, or `user` and `password`"),
            (403, _) => self.closed(status, "it does not let us do this"),
            (404 | 405 | 501, _) => self.closed(status, "FabConnect would have this path"),
            (429 | 503, _) => {
                let what = format!("{}: HTTP {status}", self.endpoint());
                Trouble::Doubt { what, retry_after: retry_after.or(Some(LATER)) }
            }
            (_, Some(Failed { error })) => self.said(&error),
            _ => self.doubt(&format!("HTTP {status}")),
        }
    }

    /// What the gateway's words mean.
    fn said(&self, text: &str) -> Trouble {
        let (meaning, words) = class::meaning(text);
        let words = self.clean(words);
        match meaning {
            Meaning::Refused(code) => Trouble::refused(code, words),
            Meaning::NotOurs => Trouble::NotOurs { what: self.of_gateway(&words) },
            Meaning::NoSuchTransaction => Trouble::NoSuchTransaction,
            Meaning::Setup(mend) => self.setup(mend),
            Meaning::Busy => {
                Trouble::Doubt { what: self.of_gateway(&words), retry_after: Some(LATER) }
            }
            Meaning::Conflicted => {
                self.doubt("another transaction came before it, again and again")
            }
            Meaning::Doubt => self.doubt(&format!("says: {words}")),
        }
    }

    /// A doubt of this gateway.
    pub fn doubt(&self, what: &str) -> Trouble {
        Trouble::doubt(self.of_gateway(what))
    }

    fn closed(&self, status: StatusCode, why: &str) -> Trouble {
        Trouble::Closed { what: self.of_gateway(&format!("HTTP {status}: {why}")) }
    }

    fn setup(&self, mend: &str) -> Trouble {
        Trouble::Setup { what: self.of_gateway(mend) }
    }

    fn of_gateway(&self, what: &str) -> String {
        format!("{}: {}", self.endpoint(), self.clean(what))
    }

    /// The gateway's words, fit to be shown.
    pub fn clean(&self, words: &str) -> String {
        let login = self.settings.login.as_ref().map(Login::secrets).unwrap_or_default();
        self.endpoint().clean_of(words, login.iter().map(|secret| secret.as_str()))
    }

    /// The error's own text holds the URL, so only what caused it is passed on.
    fn broken(&self, error: &reqwest::Error) -> Trouble {
        let what = http::broken(error);
        let mut cause = error.source();
        while let Some(deeper) = cause.and_then(Error::source) {
            cause = Some(deeper);
        }
        match cause {
            Some(cause) => self.doubt(&format!("{what}: {cause}")),
            None => self.doubt(what),
        }
    }
}

/// What asks, with the certificates and keys of these settings.
///
/// # Errors
/// `Misconfigured` where they cannot be read.
pub(crate) fn client(settings: &Settings) -> Result<Client, LedgerError> {
    let mut builder = http::client(&settings.gateway, IDLE);
    if let Some(pem) = &settings.tls.authorities {
        let read = Certificate::from_pem_bundle(pem).ok().filter(|list| !list.is_empty());
        let list = read.ok_or_else(|| misconfigured("no certificate can be read of tls_ca"))?;
        builder = list.into_iter().fold(builder, |builder, one| builder.add_root_certificate(one));
    }
    if let Some(pem) = &settings.tls.identity {
        let why = "tls_certificate and tls_key are no certificate with its key";
        let identity = Identity::from_pem(pem).map_err(|_| misconfigured(why))?;
        builder = builder.identity(identity);
    }
    let why = "no HTTP client can be made of these certificates";
    builder.build().map_err(|_| misconfigured(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;
    use zeroize::Zeroizing;

    fn gateway(url: &str) -> Gateway {
        let login = Some(Login::Bearer(Zeroizing::new("hunter22".to_owned())));
        Gateway::new(Settings { gateway: url.parse().unwrap(), login, ..settings() }).unwrap()
    }

    #[test]
    fn a_path_is_put_behind_the_gateways_own() {
        let at = |base: &str| {
            gateway(base).url(&["blockByTxId", "ab"], &["channel", "signer"]).to_string()
        };
        let tail = "blockByTxId/ab?fly-channel=sdpp&fly-signer=buyer";
        assert_eq!(at("http://127.0.0.1:3000"), format!("http://127.0.0.1:3000/{tail}"));
        assert_eq!(at("http://127.0.0.1:3000/a/"), format!("http://127.0.0.1:3000/a/{tail}"));
    }

    #[test]
    fn what_an_answer_means_is_told_by_its_status_and_its_words() {
        let gateway = gateway("http://127.0.0.1:3000/secretpath");
        let told = |status: u16, body: &str| {
            gateway.unanswered(StatusCode::from_u16(status).unwrap(), None, body)
        };
        let first = |status, body: &str| told(status, body).at_first().to_string();
        let later = |status, body: &str| LedgerError::from(told(status, body));
        assert!(first(401, "").contains("Misconfigured"), "{}", first(401, ""));
        assert!(first(404, "404 page not found").contains("Misconfigured"));
        assert!(matches!(later(401, ""), LedgerError::Unavailable { .. }));
        let busy = later(500, r#"{"error":"Too many in-flight transactions"}"#);
        assert!(matches!(busy, LedgerError::Unavailable { retry_after: Some(_), .. }));
        assert!(matches!(later(503, ""), LedgerError::Unavailable { retry_after: Some(_), .. }));
        let odd = later(500, r#"{"error":"hunter22 \u202e at secretpath"}"#).to_string();
        assert!(odd.contains("*** ") && !odd.contains("hunter22"), "{odd}");
        assert!(!odd.contains("secretpath") && !odd.contains('\u{202e}'), "{odd}");
        assert!(matches!(later(500, "<html>"), LedgerError::Unavailable { .. }));
    }

    #[tokio::test]
    async fn nobody_there_is_an_outage_that_shows_no_secret() {
        let gateway = gateway("http://127.0.0.1:1/secretpath");
        let answer: Answer<Value> = gateway.query(&Request::new("GetInfo", &[])).await;
        let error = LedgerError::from(answer.unwrap_err());
        let shown = format!("{error} {error:?}");
        assert!(matches!(error, LedgerError::Unavailable { .. }), "{shown}");
        assert!(!shown.contains("secretpath") && !shown.contains("hunter22"), "{shown}");
    }
}
