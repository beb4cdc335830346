//! Asks the sources of each currency's rate at intervals, never for a connection, and keeps what is
//! made of what they say.
//!
//! No mailbox is used: it is one loop for each currency, and ends with whoever shows the menu.

use crate::actors::now_ms;
use crate::actors::offering::Heard;
use crate::message::Quote;
use crate::rates::Book;
use crate::rates::source::Ticker;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// What each currency is quoted at, or why it is not; one that is not here was not asked for yet.
pub(super) type Rated = BTreeMap<String, Result<Quote, String>>;

/// Goes on asking for every currency whose rate sources tell.
pub(super) fn start(tickers: BTreeMap<String, Ticker>, heard: &Arc<Heard>) {
    for (currency, ticker) in tickers {
        actix::spawn(watch(currency, ticker, Arc::downgrade(heard)));
    }
}

async fn watch(currency: String, ticker: Ticker, heard: Weak<Heard>) {
    let sources = ticker.sources.iter();
    let sources = sources.map(|source| (source.name.clone(), source.max_age_ms));
    let mut book = Book::new(ticker.limits.clone(), sources);
    loop {
        let answers = ticker.ask(now_ms()).await;
        let quote = book.take(answers, now_ms()).map_err(|why| why.to_string());
        let Some(heard) = heard.upgrade() else { return };
        heard.tell(|known| drop(known.rated.insert(currency.clone(), quote)));
        drop(heard);
        tokio::time::sleep(ticker.every).await;
    }
}
