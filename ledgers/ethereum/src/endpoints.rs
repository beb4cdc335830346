//! Several endpoints of one chain: which to ask, by what each said last of its chain and head.
//! An endpoint that is on another chain is left out until it is back on ours.

use crate::rpc::{Answer, Rpc, Trouble};
use sdpp_ledger::{Endpoint, LedgerError};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How old the word of an endpoint about its chain and head may be.
const GAP: Duration = Duration::from_secs(1);

/// How long an endpoint that failed is left alone while another one answers.
const REST: Duration = Duration::from_secs(5);

/// How long one that was never heard is waited for while another one is as good as any known.
const GRACE: Duration = Duration::from_millis(250);

/// How long one that was further ahead is waited for while another one answers.
const ROUND: Duration = Duration::from_secs(1);

/// How many blocks one endpoint may be behind another and still be as good: a block is told to
/// one sooner than to the other.
const LAG_MAX: u64 = 2;

/// How long a head may stand still before an operator is told.
const STILL: Duration = Duration::from_secs(180);

/// A question that one node answers, over as many requests as it takes.
pub(crate) type Asking<'a, T> = Pin<Box<dyn Future<Output = Answer<T>> + Send + 'a>>;

/// Whether what is known of the endpoints is enough.
type IsEnough<'a> = dyn Fn(&[Health]) -> bool + Sync + 'a;

pub(crate) struct Endpoints {
    chain_id: u64,
    patience: Duration,
    seats: Vec<Arc<Rpc>>,
    /// In the order of the seats. Who asked does not wait for all answers: each is told here
    /// when it comes.
    health: Arc<watch::Sender<Vec<Health>>>,
}

#[derive(Clone)]
struct Health {
    /// When it was asked last.
    asked: Option<Instant>,
    /// Whether that has no answer yet.
    is_asking: bool,
    /// When it said its word.
    told: Option<Instant>,
    /// Whether that took so long that another one is rather asked.
    is_slow: bool,
    word: Word,
    /// Its head, when it last grew, and whether an operator was told that it does no longer.
    growth: Option<Growth>,
}

#[derive(Clone, Copy)]
struct Growth {
    head: u64,
    at: Instant,
    is_said: bool,
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
        let health = Arc::new(watch::Sender::new(vec![Health::unasked(); seats.len()]));
        Ok(Endpoints { chain_id, patience, seats, health })
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
                    self.doubt(&node, &trouble);
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
                Err(trouble) => self.doubt(&node, &trouble),
            }
        }
        let Refusal { code, why, by } = refusal;
        let what = format!("{} refused ({code}: {why}), not believed: {doubt}", by.endpoint());
        Err(LedgerError::unavailable(what))
    }

    /// Asks all that were silent whether they are back.
    async fn recall(&self) {
        self.ask_those(|one| !one.is_able());
        let mut told = self.health.subscribe();
        let is_silent = |one: &Health| !one.is_able() && one.is_asked(self.patience);
        let heard = told.wait_for(|all| !all.iter().any(is_silent));
        // Who stays silent is said nothing of.
        let _ = tokio::time::timeout(self.patience, heard).await;
    }

    /// That an endpoint has yet to catch up, if it is so by its last word: a chain does not get
    /// shorter by more than a reorganisation.
    fn behind(&self, node: &Rpc) -> Option<String> {
        let furthest = self.seats.iter().map(|seat| seat.height_most()).max()?;
        let lag = furthest.saturating_sub(node.height());
        let what = || format!("{} is {lag} blocks behind what was seen", node.endpoint());
        (lag > LAG_MAX).then(what)
    }

    /// The endpoints on our chain that answer: those that are furthest ahead first, among them
    /// the quick ones, and then in the order of the settings, as who takes turns among nodes meets
    /// other pools. Those that have not answered this time come last.
    ///
    /// # Errors
    /// `Unavailable` where there is none.
    pub async fn in_order(&self) -> Result<Vec<Arc<Rpc>>, LedgerError> {
        let since = Instant::now();
        // Once more where those that answered before do not: then those that failed are asked.
        for _ in 0..2 {
            self.ask_who_is_due(since);
            self.wait(since).await;
            if self.health.borrow().iter().any(|one| one.is_fresh(since)) {
                break;
            }
        }
        let health = self.health.borrow();
        if !health.iter().any(|one| one.is_fresh(since)) {
            return Err(self.nobody(&health));
        }
        let mut able = ranked(&health);
        able.sort_by_key(|seat| !health[*seat].is_fresh(since));
        Ok(able.into_iter().map(|seat| Arc::clone(&self.seats[seat])).collect())
    }

    /// Whether every endpoint is on another chain.
    pub fn is_elsewhere(&self) -> bool {
        self.health.borrow().iter().all(|one| matches!(one.word, Word::Elsewhere(_)))
    }

    fn doubt(&self, node: &Arc<Rpc>, trouble: &Trouble) {
        let Trouble::Node { what, retry_after } = trouble else { return };
        tracing::debug!(endpoint = %node.endpoint(), what, "an endpoint failed");
        let word = Word::Silent { what: what.clone(), retry_after: *retry_after };
        if let Some(seat) = self.seats.iter().position(|seat| Arc::ptr_eq(seat, node)) {
            self.health.send_modify(|all| {
                all[seat].asked = Some(Instant::now());
                all[seat].tell(node, word);
            });
        }
    }

    /// Asks all that are due. One that failed is left to rest unless nobody else answers.
    fn ask_who_is_due(&self, since: Instant) {
        let is_alone = !self.health.borrow().iter().any(Health::is_able);
        self.ask_those(|one| match (one.is_able(), is_alone) {
            (true, _) => !one.is_fresh(since),
            (false, true) => one.asked.is_none_or(|asked| asked < since),
            (false, false) => one.is_old(REST),
        });
    }

    /// Asks at once, and waits for nobody. One that asked for patience has it.
    fn ask_those(&self, is_due: impl Fn(&Health) -> bool) {
        let mut due = Vec::new();
        self.health.send_if_modified(|all| {
            for (seat, one) in all.iter_mut().enumerate() {
                if is_due(one) && !one.has_to_wait() && !one.is_asked(self.patience) {
                    (one.asked, one.is_asking) = (Some(Instant::now()), true);
                    due.push(seat);
                }
            }
            false
        });
        for seat in due {
            let (node, all) = (Arc::clone(&self.seats[seat]), Arc::clone(&self.health));
            let chain_id = self.chain_id;
            tokio::spawn(async move {
                let word = word_of(&node, chain_id).await;
                all.send_modify(|all| all[seat].tell(&node, word));
            });
        }
    }

    /// Waits until enough is known to ask somebody: the less, the longer it takes.
    async fn wait(&self, since: Instant) {
        let is_over = |all: &[Health]| !all.iter().any(|one| one.is_asked(self.patience));
        let is_fresh = |all: &[Health]| all.iter().any(|one| one.is_fresh(since));
        let is_good = |all: &[Health]| {
            let best = best(all);
            all.iter().any(|one| one.is_fresh(since) && one.lag(best) == 0)
        };
        // Whoever goes from node to node meets other pools: the first is worth a moment.
        let is_first = |all: &[Health]| {
            let first = ranked(all).first().is_some_and(|seat| all[*seat].is_fresh(since));
            first && all.iter().all(|one| one.told.is_some())
        };
        let mut told = self.health.subscribe();
        let waits: [(Duration, &IsEnough<'_>); 3] = [
            (GRACE, &is_first),
            (ROUND.min(self.patience), &is_good),
            (self.patience.saturating_add(GRACE), &is_fresh),
        ];
        for (time, is_enough) in waits {
            let left = time.saturating_sub(since.elapsed());
            let enough = told.wait_for(|all| is_over(all) || is_enough(all));
            if tokio::time::timeout(left, enough).await.is_ok() {
                return;
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
    fn unasked() -> Self {
        let word = Word::Silent { what: "not asked yet".to_owned(), retry_after: None };
        Health { asked: None, is_asking: false, told: None, is_slow: false, word, growth: None }
    }

    fn is_able(&self) -> bool {
        matches!(self.word, Word::Head(_))
    }

    fn head(&self) -> u64 {
        match self.word {
            Word::Head(head) => head,
            _ => 0,
        }
    }

    /// How many blocks it is behind, where that counts.
    fn lag(&self, best: u64) -> u64 {
        Some(best.saturating_sub(self.head())).filter(|lag| *lag > LAG_MAX).unwrap_or_default()
    }

    /// Whether it is on our chain by a word that was not old at a time.
    fn is_fresh(&self, at: Instant) -> bool {
        self.is_able() && self.told.is_some_and(|told| told + GAP > at)
    }

    fn is_old(&self, age: Duration) -> bool {
        self.asked.is_none_or(|asked| asked.elapsed() >= age)
    }

    /// Whether its answer is still to come. Who asked may be gone, and its answer with it.
    fn is_asked(&self, patience: Duration) -> bool {
        self.is_asking && !self.is_old(patience.saturating_mul(2))
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
        if let Word::Head(head) = word {
            self.growth = Some(grown(node, self.growth, head));
        }
        self.is_slow = self.is_asking && self.is_old(ROUND);
        (self.word, self.told, self.is_asking) = (word, Some(Instant::now()), false);
    }
}

/// How a head has grown. That it stands still is said once: a chain of one's own may rest, and a
/// node may have lost its chain.
fn grown(node: &Rpc, before: Option<Growth>, head: u64) -> Growth {
    let Some(before) = before.filter(|before| before.head == head) else {
        if before.is_some_and(|before| before.is_said) {
            tracing::info!(endpoint = %node.endpoint(), head, "its head moves again");
        }
        return Growth { head, at: Instant::now(), is_said: false };
    };
    let seconds = before.at.elapsed().as_secs();
    let is_said = seconds >= STILL.as_secs();
    if is_said && !before.is_said {
        tracing::warn!(endpoint = %node.endpoint(), head, "its head is of {seconds} s ago");
    }
    Growth { is_said, ..before }
}

/// The furthest head that any endpoint on our chain said last.
fn best(all: &[Health]) -> u64 {
    all.iter().filter(|one| one.is_able()).map(Health::head).max().unwrap_or_default()
}

/// The seats on our chain by what they said last, the one to ask first.
fn ranked(all: &[Health]) -> Vec<usize> {
    let best = best(all);
    let mut able: Vec<usize> = (0..all.len()).filter(|seat| all[*seat].is_able()).collect();
    able.sort_by_key(|seat| (all[*seat].lag(best), all[*seat].is_slow));
    able
}

async fn word_of(node: &Rpc, chain_id: u64) -> Word {
    let word = async || -> Answer<Word> {
        let (id, head) = tokio::join!(node.chain_id(), node.head());
        match id? {
            id if id == chain_id => Ok(Word::Head(head?.height())),
            id => Ok(Word::Elsewhere(id)),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Rpc {
        Rpc::new("http://127.0.0.1:1".parse().unwrap(), Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn a_head_that_stands_still_is_said_once_and_again_when_it_moves() {
        let since = Instant::now().checked_sub(STILL).unwrap();
        let first = grown(&node(), None, 7);
        assert!((first.head, first.is_said) == (7, false));
        assert!(!grown(&node(), Some(first), 7).is_said, "it may rest");
        let still = grown(&node(), Some(Growth { at: since, ..first }), 7);
        assert!(still.is_said && still.at == since);
        assert!(grown(&node(), Some(still), 7).is_said);
        let moves = grown(&node(), Some(still), 8);
        assert!((moves.head, moves.is_said) == (8, false) && moves.at > since);
    }

    #[test]
    fn who_is_ahead_is_asked_then_who_is_quick_then_the_first() {
        let head = |head, is_slow| Health { word: Word::Head(head), is_slow, ..Health::unasked() };
        let all = [head(5, false), head(98, true), head(98, false), head(100, false)];
        assert_eq!(ranked(&all), [2, 3, 1, 0]);
        assert_eq!(ranked(&[Health::unasked(), head(0, true)]), [1]);
    }
}
