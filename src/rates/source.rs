//! Asking the sources of a rate: an HTTP server, a file, a contract of a ledger. Each answer has a
//! limit in time and size, whatever is in it is a stranger's, and nothing here decides whether a
//! rate is offered.

#[cfg(feature = "rates-http")]
mod http;

#[cfg(feature = "rates-http")]
pub use http::Server;

use super::json::Pointer;
use super::price::{Price, Units};
use super::{Heard, Limits};
use sdpp_ledger::{Account, Ledger, LedgerError, clean};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::task::JoinSet;

/// The longest answer that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// All sources of one currency, and how they are asked.
#[derive(Clone)]
pub struct Ticker {
    /// They; the sources of the quote are in their order.
    pub sources: Vec<Source>,
    /// What a quote of them must keep to.
    pub limits: Limits,
    /// How often they are asked.
    pub every: Duration,
    /// How long an answer may take.
    pub patience: Duration,
}

/// One source.
#[derive(Clone)]
pub struct Source {
    /// What it is called, for people and strangers.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// How its price becomes a rate.
    pub units: Units,
    /// How old what it says may be, in milliseconds.
    pub max_age_ms: u64,
}

/// Where a source is.
#[derive(Clone)]
pub enum Place {
    /// A JSON document over HTTP.
    #[cfg(feature = "rates-http")]
    Http {
        /// The server.
        server: Server,
        /// Where in the document what is.
        pointers: Pointers,
    },
    /// A file: a JSON document, or a price on a line of its own.
    File {
        /// The file.
        path: PathBuf,
        /// Where in the document what is.
        pointers: Pointers,
    },
    /// A contract of a ledger.
    Feed {
        /// The ledger.
        ledger: Arc<dyn Ledger>,
        /// The contract.
        contract: Account,
    },
}

/// Where in a JSON document what is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointers {
    /// The price.
    pub price: Pointer,
    /// When it was so. `None`: when it was asked for, or of a file when it was written.
    pub at: Option<Pointer>,
}

/// Why a source tells no price, as [`Heard`] has it.
enum Trouble {
    Silent(String),
    Nonsense(String),
}

impl Ticker {
    /// Asks all sources at once. What is not answered in time is said to be silent.
    pub async fn ask(&self, now_ms: u64) -> Vec<Heard> {
        let mut asking = JoinSet::new();
        for (place, source) in self.sources.iter().enumerate() {
            let (source, patience) = (source.clone(), self.patience);
            asking.spawn(async move { (place, source.ask(now_ms, patience).await) });
        }
        let lost = Heard::Silent("it could not be asked".to_owned());
        let mut heard = vec![lost; self.sources.len()];
        while let Some(answered) = asking.join_next().await {
            if let Ok((place, answer)) = answered {
                heard[place] = answer;
            }
        }
        heard
    }
}

impl Source {
    /// Asks it. It is `now_ms` then, which is when an answer without a time was true.
    pub async fn ask(&self, now_ms: u64, patience: Duration) -> Heard {
        let answered = tokio::time::timeout(patience, self.price(now_ms)).await;
        let late = || Trouble::Silent(format!("no answer within {} ms", patience.as_millis()));
        let priced = answered.unwrap_or_else(|_| Err(late()));
        let rated = priced.and_then(|(price, at_ms)| {
            Ok(Heard::Said { rate: price.rate(&self.units).map_err(Trouble::Nonsense)?, at_ms })
        });
        rated.unwrap_or_else(|trouble| match trouble {
            Trouble::Silent(why) => Heard::Silent(self.clean(&why)),
            Trouble::Nonsense(why) => Heard::Nonsense(self.clean(&why)),
        })
    }

    /// The price, and when it was so.
    #[cfg_attr(not(feature = "rates-http"), allow(unused_variables))]
    async fn price(&self, now_ms: u64) -> Result<(Price, u64), Trouble> {
        match &self.place {
            #[cfg(feature = "rates-http")]
            Place::Http { server, pointers } => {
                let text = server.ask().await?;
                pointers.read(&text, now_ms).map_err(Trouble::Nonsense)
            }
            Place::File { path, pointers } => {
                let (path, pointers) = (path.clone(), pointers.clone());
                let reading = tokio::task::spawn_blocking(move || in_file(&path, &pointers));
                let read = reading.await.unwrap_or_else(|_| Err("it cannot be read".to_owned()));
                // Whoever writes it may be about to write the rest.
                read.map_err(Trouble::Silent)
            }
            Place::Feed { ledger, contract } => {
                let told = ledger.feed(contract).await.map_err(|error| match error {
                    LedgerError::Unavailable { what, .. } => Trouble::Silent(what),
                    refused => Trouble::Nonsense(refused.to_string()),
                })?;
                let price = Price::of(told.answer, told.decimals).map_err(Trouble::Nonsense)?;
                Ok((price, told.at_ms))
            }
        }
    }

    /// Its own words, without what of its URL is secret.
    fn clean(&self, words: &str) -> String {
        match &self.place {
            #[cfg(feature = "rates-http")]
            Place::Http { server, .. } => server.endpoint().clean(words),
            Place::File { .. } | Place::Feed { .. } => clean(words, std::iter::empty()),
        }
    }
}

impl Pointers {
    fn read(&self, text: &str, otherwise_ms: u64) -> Result<(Price, u64), String> {
        let at_ms = self.at.as_ref().map_or(Ok(otherwise_ms), |at| at.time_ms(text))?;
        Ok((self.price.price(text)?, at_ms))
    }
}

fn too_long() -> String {
    format!("an answer of more than {ANSWER_BYTES_MAX} bytes")
}

fn in_file(path: &Path, pointers: &Pointers) -> Result<(Price, u64), String> {
    let unread = |error: std::io::Error| format!("it cannot be read: {error}");
    let about = std::fs::metadata(path).map_err(unread)?;
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    let (file, mut text) = (File::open(path).map_err(unread)?, String::new());
    let written = file.metadata().and_then(|about| about.modified()).map_err(unread)?;
    let limit = ANSWER_BYTES_MAX as u64;
    (&file).take(limit + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() > ANSWER_BYTES_MAX {
        return Err(too_long());
    }
    // The first half of a number is a number too.
    if text.ends_with(|c: char| c.is_ascii_digit()) {
        return Err("it ends without a new line, so it may be half of a price".to_owned());
    }
    let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
    pointers.read(&text, u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(all(test, feature = "rates-http"))]
mod tests;
