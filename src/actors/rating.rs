//! Asks the sources of each currency's rate at intervals, never for a connection, and keeps what is
//! made of what they say. The last rate of each outlives the process, in the journal: a quote that is
//! wild is no less so after a restart.
//!
//! No mailbox is used: it is one loop for each currency, and ends with whoever shows the menu.

use crate::actors::journal::{Commit, JournalActor};
use crate::actors::keeper::Keeper;
use crate::actors::now_ms;
use crate::actors::offering::Heard;
use crate::journal::{Rated as Last, Reader, Write};
use crate::message::Quote;
use crate::rates::source::Ticker;
use crate::rates::{Book, Made};
use actix::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// What each currency is quoted at, or why it is not; one that is not here was not asked for yet.
pub(super) type Rated = BTreeMap<String, Result<Quote, String>>;

/// Where last rates are kept.
#[derive(Clone)]
pub struct Memory {
    /// To read them.
    pub reader: Reader,
    /// To write them.
    pub journal: Addr<JournalActor>,
}

/// Goes on asking for every currency whose rate sources tell; rates are in `default`.
pub(super) fn start(
    keeper: &Keeper,
    tickers: BTreeMap<String, Ticker>,
    default: &str,
    memory: Option<&Memory>,
    heard: &Arc<Heard>,
) {
    for (currency, ticker) in tickers {
        let name = format!("rate of {currency}");
        let last = LastRate { currency, default: default.to_owned(), memory: memory.cloned() };
        let heard = Arc::downgrade(heard);
        keeper.keep(name, move || Some(watch(last.clone(), ticker.clone(), heard.clone())));
    }
}

async fn watch(last: LastRate, ticker: Ticker, heard: Weak<Heard>) {
    let sources = ticker.sources.iter();
    let sources = sources.map(|source| (source.name.clone(), source.max_age_ms));
    let mut book = Book::new(ticker.limits.clone(), sources);
    if let Some(made) = last.read() {
        book.go_on_from(made, now_ms());
    }
    loop {
        let answers = ticker.ask(now_ms()).await;
        let quote = book.take(answers, now_ms()).map_err(|why| why.to_string());
        // Before anybody is shown it: what was offered is what the next process measures by.
        if let (Ok(_), Some(made)) = (&quote, book.last()) {
            last.write(made).await;
        }
        let Some(heard) = heard.upgrade() else { return };
        heard.tell(|known| drop(known.rated.insert(last.currency.clone(), quote)));
        drop(heard);
        tokio::time::sleep(ticker.every).await;
    }
}

/// The last rate of a currency, where it is kept.
#[derive(Clone)]
struct LastRate {
    currency: String,
    default: String,
    memory: Option<Memory>,
}

impl LastRate {
    fn read(&self) -> Option<Made> {
        let memory = self.memory.as_ref()?;
        let read = memory.reader.rated(&self.currency, &self.default);
        let unread =
            |error| tracing::warn!(%error, currency = self.currency, "its last rate is unknown");
        read.map_err(unread).ok()?.map(|Last { rate, at_ms, .. }| Made { rate, at_ms })
    }

    /// A journal that takes nothing more stops the node by itself, and this says why.
    async fn write(&self, Made { rate, at_ms }: Made) {
        let Some(memory) = &self.memory else { return };
        let (currency, default) = (self.currency.clone(), self.default.clone());
        let rated = Write::Rated(Last { currency, default, rate, at_ms });
        if let Ok(Err(error)) = memory.journal.send(Commit(vec![rated])).await {
            tracing::warn!(%error, currency = self.currency, "its last rate is not kept");
        }
    }
}
