//! Several endpoints of one chain: which to ask, by what each said last of its chain and head.
//! An endpoint that is on another chain is left out until it is back on ours.

use crate::rpc::{Answer, Endpoint, Rpc, Trouble};
use sdpp_ledger::LedgerError;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// How old the word of an endpoint about its chain and head may be.
const GAP: Duration = Duration::from_secs(1);

/// How long an endpoint that failed is left alone while another one answers.
const REST: Duration = Duration::from_secs(5);

/// A question that one node answers, over as many requests as it takes.
pub(crate) type Asking<'a, T> = Pin<Box<dyn Future<Output = Answer<T>> + Send + 'a>>;

pub(crate) struct Endpoints {
    chain_id: u64,
    seats: Vec<Arc<Rpc>>,
    /// In the order of the seats.
    health: Mutex<Vec<Health>>,
}

#[derive(Clone)]
struct Health {
    asked: Option<Instant>,
    word: Word,
}

/// What an endpoint said last.
#[derive(Clone)]
enum Word {
    /// It is on our chain, and so far.
    Head(u64),
    /// It is on another chain.
    Elsewhere(u64),
    /// Nothing of use.
    Silent { what: String, retry_after: Option<Duration> },
}

impl Endpoints {
    pub fn new(chain_id: u64, list: &[Endpoint], patience: Duration) -> Result<Self, LedgerError> {
        let seat = |endpoint: &Endpoint| Rpc::new(endpoint.clone(), patience).map(Arc::new);
        let seats = list.iter().map(seat).collect::<Result<Vec<_>, _>>()?;
        let unasked = Word::Silent { what: "not asked yet".to_owned(), retry_after: None };
        let health = vec![Health { asked: None, word: unasked }; seats.len()];
        Ok(Endpoints { chain_id, seats, health: Mutex::new(health) })
    }

    /// Asks the endpoint that is furthest ahead, and the next where it fails. All requests of
    /// one question go to one node, as two of them need not agree.
    pub async fn ask<'s, T>(
        &'s self,
        op: impl Fn(Arc<Rpc>) -> Asking<'s, T>,
    ) -> Result<T, LedgerError> {
        let mut first = None;
        for node in self.in_order().await? {
            match op(Arc::clone(&node)).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Ledger(error)) => return Err(error),
                Err(trouble) => {
                    self.doubt(&node, &trouble).await;
                    first.get_or_insert(trouble);
                }
            }
        }
        let none = || LedgerError::unavailable("there is no endpoint");
        Err(first.map_or_else(none, LedgerError::from))
    }

    /// The endpoints on our chain that answer, the furthest ahead first.
    ///
    /// # Errors
    /// `Unavailable` where there is none.
    pub async fn in_order(&self) -> Result<Vec<Arc<Rpc>>, LedgerError> {
        let mut health = self.health.lock().await;
        self.refresh(&mut health, false).await;
        if !health.iter().any(|health| matches!(health.word, Word::Head(_))) {
            self.refresh(&mut health, true).await;
        }
        let mut able: Vec<(u64, usize)> = Vec::new();
        for (seat, health) in health.iter().enumerate() {
            if let Word::Head(head) = health.word {
                able.push((head, seat));
            }
        }
        if able.is_empty() {
            return Err(self.nobody(&health));
        }
        able.sort_by_key(|(head, seat)| (u64::MAX - head, *seat));
        Ok(able.into_iter().map(|(_, seat)| Arc::clone(&self.seats[seat])).collect())
    }

    /// Whether every endpoint that answers is on another chain.
    pub async fn is_elsewhere(&self) -> bool {
        let health = self.health.lock().await;
        let is_on = |wanted: fn(&Word) -> bool| health.iter().any(|health| wanted(&health.word));
        is_on(|word| matches!(word, Word::Elsewhere(_))) && !is_on(|w| matches!(w, Word::Head(_)))
    }

    async fn doubt(&self, node: &Arc<Rpc>, trouble: &Trouble) {
        let Trouble::Node { what, retry_after } = trouble else { return };
        tracing::debug!(endpoint = %node.endpoint(), what, "an endpoint failed");
        let mut health = self.health.lock().await;
        let seat = self.seats.iter().position(|seat| Arc::ptr_eq(seat, node));
        if let Some(health) = seat.and_then(|seat| health.get_mut(seat)) {
            let word = Word::Silent { what: what.clone(), retry_after: *retry_after };
            *health = Health { asked: Some(Instant::now()), word };
        }
    }

    /// Asks all whose word is too old, at once; `all` leaves nobody alone.
    async fn refresh(&self, health: &mut [Health], all: bool) {
        let mut asking = JoinSet::new();
        for (seat, health) in health.iter().enumerate() {
            if health.is_old(all) {
                let (node, chain_id) = (Arc::clone(&self.seats[seat]), self.chain_id);
                asking.spawn(async move { (seat, word_of(&node, chain_id).await) });
            }
        }
        while let Some(answered) = asking.join_next().await {
            if let Ok((seat, word)) = answered {
                self.seats[seat].tell(&health[seat].word, &word);
                health[seat] = Health { asked: Some(Instant::now()), word };
            }
        }
    }

    fn nobody(&self, health: &[Health]) -> LedgerError {
        let mut after = None;
        let mut said = Vec::new();
        for (seat, health) in self.seats.iter().zip(health) {
            match &health.word {
                Word::Silent { what, retry_after } => {
                    after = after.max(*retry_after);
                    said.push(what.clone());
                }
                Word::Elsewhere(id) => said.push(format!(
                    "{}: the chain id changed: it is {id}, not {}",
                    seat.endpoint(),
                    self.chain_id
                )),
                Word::Head(_) => {}
            }
        }
        LedgerError::Unavailable { what: said.join("; "), retry_after: after }
    }
}

impl Health {
    /// Where nobody is able, all are asked at once, so that whoever asks is answered from a try
    /// of this very moment.
    fn is_old(&self, all: bool) -> bool {
        let wait = match &self.word {
            Word::Head(_) => GAP,
            _ if all => Duration::ZERO,
            _ => REST,
        };
        self.asked.is_none_or(|asked| asked.elapsed() >= wait)
    }
}

impl Rpc {
    /// An operator is told when an endpoint goes out and when it is back, once each.
    fn tell(&self, before: &Word, now: &Word) {
        match (before, now) {
            (Word::Elsewhere(_), Word::Elsewhere(_)) => {}
            (_, Word::Elsewhere(id)) => {
                tracing::warn!(endpoint = %self.endpoint(), id, "on another chain: left out");
            }
            (Word::Elsewhere(_), Word::Head(_)) => {
                tracing::info!(endpoint = %self.endpoint(), "back on its chain");
            }
            _ => {}
        }
    }
}

async fn word_of(node: &Rpc, chain_id: u64) -> Word {
    let word = async || -> Answer<Word> {
        let id = node.chain_id().await?;
        if id != chain_id {
            return Ok(Word::Elsewhere(id));
        }
        Ok(Word::Head(node.head().await?.height()))
    };
    word().await.unwrap_or_else(|trouble| match LedgerError::from(trouble) {
        LedgerError::Unavailable { what, retry_after } => Word::Silent { what, retry_after },
        LedgerError::Refused { why, .. } => Word::Silent { what: why, retry_after: None },
    })
}
