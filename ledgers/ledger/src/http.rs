//! What is the same with whoever answers over HTTP: how it is asked, and that of an answer no more
//! is read than a limit. Nothing here shows a URL, as it may hold a key.

use crate::Endpoint;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Error, Response};
use std::time::Duration;

/// The longest wait that anybody can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// Why an answer was not read.
#[derive(Debug)]
pub enum Unread {
    /// The connection broke. The error's own text holds the URL.
    Broken(Error),
    /// It is longer than what is read.
    TooLong,
}

/// A client for one endpoint, which keeps an idle connection for so long: less than the other side
/// does, as a question that meets a closed one is an outage.
pub fn client(endpoint: &Endpoint, idle: Duration) -> ClientBuilder {
    // A redirect would carry what is secret to another host.
    let builder = Client::builder().redirect(Policy::none()).pool_idle_timeout(idle);
    if endpoint.is_loopback() { builder.no_proxy() } else { builder }
}

/// The bytes of an answer, where there are no more than `max`.
///
/// # Errors
/// Where there are more, or the connection breaks.
pub async fn body(mut response: Response, max: usize) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if bytes.len() + chunk.len() > max {
            return Err(Unread::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// When to ask again, where an answer says so in seconds: ten minutes at the most.
pub fn retry_after(response: &Response) -> Option<Duration> {
    let header = response.headers().get("retry-after")?.to_str().ok()?;
    Some(Duration::from_secs(header.parse().ok()?).min(RETRY_AFTER_MAX))
}

/// What happened to a question that has no answer, in words that show no URL.
pub fn broken(error: &Error) -> &'static str {
    if error.is_connect() { "no connection" } else { "the connection broke" }
}
