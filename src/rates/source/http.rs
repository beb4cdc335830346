//! A server that tells a price over HTTP.

use super::{ANSWER_BYTES_MAX, Trouble, too_long};
use reqwest::{Client, StatusCode};
use sdpp_ledger::{Endpoint, LedgerError};
use std::time::Duration;

/// How long an idle connection is kept: shorter than servers keep theirs, as a question that meets
/// a closed one is an outage.
const IDLE: Duration = Duration::from_secs(5);

/// A server that is asked over HTTP.
#[derive(Clone)]
pub struct Server {
    http: Client,
    endpoint: Endpoint,
}

impl Server {
    /// A server at a URL.
    ///
    /// # Errors
    /// Where the TLS library cannot be set up.
    pub fn new(endpoint: Endpoint) -> Result<Self, LedgerError> {
        // A redirect would carry a key in the URL to another host, and another host's word here.
        let builder = Client::builder().redirect(reqwest::redirect::Policy::none());
        let builder = builder.pool_idle_timeout(IDLE);
        let builder = if endpoint.is_loopback() { builder.no_proxy() } else { builder };
        let no_client = |_| LedgerError::unavailable("no HTTP client can be made here");
        Ok(Server { http: builder.build().map_err(no_client)?, endpoint })
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) async fn ask(&self) -> Result<String, Trouble> {
        let request = self.http.get(self.endpoint.url().clone());
        let request = request.header("accept", "application/json");
        let mut response = request.send().await.map_err(|error| broken(&error))?;
        if response.status() != StatusCode::OK {
            return Err(Trouble::Silent(format!("HTTP {}", response.status().as_u16())));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Trouble::Nonsense(too_long()));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).map_err(|_| Trouble::Nonsense("it is no UTF-8".to_owned()))
    }
}

/// The error's own text holds the URL, so it is not passed on.
fn broken(error: &reqwest::Error) -> Trouble {
    let what = if error.is_connect() { "no connection" } else { "the connection broke" };
    Trouble::Silent(what.to_owned())
}
