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

/// How many blocks one endpoint may be behind another and still be as good: a block is told to
/// one sooner than to the other.
const LAG_MAX: u64 = 2;

/// A question that one node answers, over as many requests as it takes.
pub(crate) type Asking<'a, T> = Pin<Box<dyn Future<Output = Answer<T>> + Send + 'a>>;

pub(crate) struct Endpoints {
    chain_id: u64,
    seats: Vec<Arc<Rpc>>,
    /// In the order of the seats.
    health: Arc<Mutex<Vec<Health>>>,
}

#[derive(Clone)]
struct Health {
    asked: Option<Instant>,
    word: Word,
}

/// What an endpoint refused, by what it knows of the chain.
struct Refusal {
    code: String,
    why: String,
    by: Arc<Rpc>,
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
        Ok(Endpoints { chain_id, seats, health: Arc::new(Mutex::new(health)) })
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
                Err(Trouble::Refused { code, why }) => {
                    let refusal = Refusal { code, why, by: node };
                    return self.confirmed(&op, refusal).await;
                }
                Err(trouble) => {
                    self.doubt(&node, &trouble).await;
                    first.get_or_insert(trouble);
                }
            }
        }
        let none = || LedgerError::unavailable("there is no endpoint");
        Err(first.map_or_else(none, LedgerError::from))
    }

    /// Asks again what an endpoint refused by what it knows. A refusal is for good, so one look is
    /// not enough: another endpoint has to refuse for the same reason or, where no other one is
    /// to be had, the same one when it is asked once more. None of them may be behind.
    async fn confirmed<'s, T>(
        &'s self,
        op: &impl Fn(Arc<Rpc>) -> Asking<'s, T>,
        refusal: Refusal,
    ) -> Result<T, LedgerError> {
        self.recall().await;
        let mut order = self.in_order().await?;
        order.retain(|node| !Arc::ptr_eq(node, &refusal.by));
        order.push(Arc::clone(&refusal.by));
        let mut doubt = "it could not be asked again".to_owned();
        for node in order {
            if let Some(behind) = self.behind(&node) {
                doubt = behind;
                continue;
            }
            match op(Arc::clone(&node)).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Ledger(error)) => return Err(error),
                Err(Trouble::Refused { code, why }) => match self.behind(&node) {
                    Some(behind) => doubt = behind,
                    None if code != refusal.code => doubt = format!("then {code}: {why}"),
                    None if is_syncing(&node).await => {
                        doubt = format!("{} says that it has yet to catch up", node.endpoint());
                    }
                    None => return Err(LedgerError::refused(code, why)),
                },
                Err(trouble) => self.doubt(&node, &trouble).await,
            }
        }
        let Refusal { code, why, by } = refusal;
        let what = format!("{} refused ({code}: {why}), not believed: {doubt}", by.endpoint());
        Err(LedgerError::unavailable(what))
    }

    /// Asks all that were silent whether they are back.
    async fn recall(&self) {
        let mut health = self.health.lock().await;
        self.refresh(&mut health, |health| !health.is_able() && !health.has_to_wait()).await;
    }

    /// That an endpoint has yet to catch up, if it is so by its last word: a chain does not get
    /// shorter by more than a reorganisation.
    fn behind(&self, node: &Rpc) -> Option<String> {
        let furthest = self.seats.iter().map(|seat| seat.height_most()).max()?;
        let lag = furthest.saturating_sub(node.height());
        let what = || format!("{} is {lag} blocks behind what was seen", node.endpoint());
        (lag > LAG_MAX).then(what)
    }

    /// The endpoints on our chain that answer: those that are furthest ahead first, and among
    /// them in the order of the settings, as who takes turns among nodes meets other pools.
    ///
    /// # Errors
    /// `Unavailable` where there is none.
    pub async fn in_order(&self) -> Result<Vec<Arc<Rpc>>, LedgerError> {
        let mut health = self.health.lock().await;
        let since = Instant::now();
        self.refresh(&mut health, |health| health.is_able() && health.is_old(GAP)).await;
        if health.iter().any(Health::is_able) {
            self.look_after(&mut health);
        } else {
            let is_due = |health: &Health| health.asked.is_none_or(|asked| asked < since);
            self.refresh(&mut health, |health| is_due(health) && !health.has_to_wait()).await;
        }
        let heads = health.iter().filter_map(|health| match health.word {
            Word::Head(head) => Some(head),
            _ => None,
        });
        let Some(best) = heads.max() else {
            return Err(self.nobody(&health));
        };
        let mut able: Vec<(u64, usize)> = Vec::new();
        for (seat, health) in health.iter().enumerate() {
            if let Word::Head(head) = health.word {
                let lag = best - head;
                able.push((if lag <= LAG_MAX { 0 } else { lag }, seat));
            }
        }
        able.sort_unstable();
        Ok(able.into_iter().map(|(_, seat)| Arc::clone(&self.seats[seat])).collect())
    }

    /// Whether every endpoint is on another chain.
    pub async fn is_elsewhere(&self) -> bool {
        let health = self.health.lock().await;
        health.iter().all(|health| matches!(health.word, Word::Elsewhere(_)))
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

    /// Asks all that are due, at once.
    async fn refresh(&self, health: &mut [Health], is_due: impl Fn(&Health) -> bool) {
        let mut asking = JoinSet::new();
        for (seat, health) in health.iter().enumerate() {
            if is_due(health) {
                let (node, chain_id) = (Arc::clone(&self.seats[seat]), self.chain_id);
                asking.spawn(async move { (seat, word_of(&node, chain_id).await) });
            }
        }
        while let Some(answered) = asking.join_next().await {
            if let Ok((seat, word)) = answered {
                health[seat].tell(&self.seats[seat], word);
            }
        }
    }

    /// Asks those that failed whether they are back, while others answer: nobody waits for it.
    fn look_after(&self, health: &mut [Health]) {
        for (seat, one) in health.iter_mut().enumerate() {
            if one.is_able() || !one.is_old(REST) || one.has_to_wait() {
                continue;
            }
            one.asked = Some(Instant::now());
            let (node, chain_id) = (Arc::clone(&self.seats[seat]), self.chain_id);
            let all = Arc::clone(&self.health);
            tokio::spawn(async move {
                let word = word_of(&node, chain_id).await;
                if let Some(health) = all.lock().await.get_mut(seat) {
                    health.tell(&node, word);
                }
            });
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
    fn is_able(&self) -> bool {
        matches!(self.word, Word::Head(_))
    }

    fn is_old(&self, age: Duration) -> bool {
        self.asked.is_none_or(|asked| asked.elapsed() >= age)
    }

    /// Whether it asked for patience that is not over.
    fn has_to_wait(&self) -> bool {
        match self.word {
            Word::Silent { retry_after: Some(time), .. } => !self.is_old(time),
            _ => false,
        }
    }

    /// Takes a new word. An operator is told when an endpoint goes out for being on another
    /// chain and when it is back, once each.
    fn tell(&mut self, node: &Rpc, word: Word) {
        match (&self.word, &word) {
            (Word::Elsewhere(_), Word::Elsewhere(_)) => {}
            (_, Word::Elsewhere(id)) => {
                tracing::warn!(endpoint = %node.endpoint(), id, "on another chain: left out");
            }
            (Word::Elsewhere(_), Word::Head(_)) => {
                tracing::info!(endpoint = %node.endpoint(), "back on its chain");
            }
            _ => {}
        }
        *self = Health { asked: Some(Instant::now()), word };
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

/// Whether a node says that it has yet to catch up. One that does not know the question says no.
async fn is_syncing(node: &Rpc) -> bool {
    let said = node.ask::<serde_json::Value>("eth_syncing", serde_json::json!([])).await;
    said.is_ok_and(|said| said.is_object())
}
