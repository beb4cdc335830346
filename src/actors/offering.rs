//! What stands on the menu now: a currency in which our account cannot do its part is left out
//! before anything is promised in it, and so is one whose rate is stale or wild, and a topic whose file is
//! not what the menu promises. Ledgers and sources of rates are asked at the start and at intervals, never
//! for a connection.
//!
//! No mailbox is used: one loop asks the ledgers, one for each currency its sources, and one shows
//! what they heard. They end with whoever shows the menu.

use crate::actors::funds::lack;
use crate::actors::keeper::Keeper;
pub use crate::actors::rating::Memory;
use crate::actors::rating::{self, Rated};
use crate::actors::sight::Sight;
use crate::actors::{Ledgers, now_ms};
use crate::message::{CurrencyOffer, Menu, Quote};
use crate::rates;
use crate::rates::source::Ticker;
use crate::session::Offer;
use crate::terms::{Method, Rate};
use sdpp_ledger::{Amount, Asset, Ledger, LedgerError, LedgerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// So much longer than a menu the quote of a fixed rate is good, as one is made at intervals.
const FIXED_MS: u64 = 60_000;

/// Longer than anybody looks who looks once.
const ONCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Why nothing is offered, for strangers: what our account holds is not their business.
const UNPAYABLE: &str = "this seller can be paid in no currency just now: its own accounts lack coin, \
                         or its rates are not known";

/// The menu as it stands now; its clones show the same.
#[derive(Debug, Clone)]
pub struct Offering {
    shown: Arc<RwLock<Shown>>,
    heard: Arc<Heard>,
}

#[derive(Debug)]
struct Shown {
    /// `None` where no currency is left.
    offer: Option<Arc<Offer>>,
    left_out: Vec<LeftOut>,
    silent: Silent,
}

/// A currency that is not on the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub currency: String,
    /// How it would be paid.
    pub method: Method,
    /// Why not, for our own people.
    pub why: String,
}

/// All that we would offer, and what that takes of us.
struct Whole {
    offer: Offer,
    ledgers: Ledgers,
    sight: Sight,
    /// The currencies whose rates are told.
    told: Vec<String>,
}

/// What those heard who ask.
#[derive(Debug, Default)]
pub(super) struct Heard {
    known: Mutex<Facts>,
    news: Notify,
}

/// What ledgers and sources answered.
#[derive(Debug, Default, Clone)]
pub(super) struct Facts {
    /// `None` before all ledgers were asked once.
    ledgers: Option<Known>,
    silent: Silent,
    /// What currencies are quoted at.
    pub(super) rated: Rated,
    /// The topics whose files are not what the menu promises.
    changed: BTreeSet<String>,
}

/// What the ledgers answered last; one that is not here did not answer.
type Known = BTreeMap<LedgerId, Answered>;

/// Since when ledgers do not answer, in milliseconds since 1970 UTC.
type Silent = BTreeMap<LedgerId, u64>;

/// What a ledger answered.
#[derive(Debug, Clone, Default)]
struct Answered {
    /// Why our account cannot do its part there.
    lack: Option<String>,
    /// How late it tells what happens to channels.
    lag: Duration,
}

impl Offering {
    /// Asks the ledgers and the sources of rates, by the names of their currencies, and goes on
    /// asking: the ledgers every so often. Rates go on from what `memory` has of an earlier process.
    pub async fn start(
        keeper: &Keeper,
        offer: Offer,
        ledgers: Ledgers,
        sight: Sight,
        (tickers, memory): (BTreeMap<String, Ticker>, Option<Memory>),
        every: Duration,
    ) -> Offering {
        let heard = Arc::new(Heard::default());
        let told = tickers.keys().cloned().collect();
        rating::start(keeper, tickers, &offer.menu.default_currency, memory.as_ref(), &heard);
        let (asked, hearing) = (ledgers.clone(), Arc::downgrade(&heard));
        keeper.keep("asking ledgers", move || {
            Some(ask_ledgers(asked.clone(), hearing.clone(), every))
        });
        let whole = Arc::new(Whole { offer, ledgers, sight, told });
        let known = loop {
            match heard.facts() {
                facts if whole.is_all(&facts) => break facts,
                _ => heard.news.notified().await,
            }
        };
        let news = whole.look_over(&known, &[], now_ms());
        let offering = Offering { shown: Arc::new(RwLock::new(news)), heard: heard.clone() };
        let shown = Arc::downgrade(&offering.shown);
        keeper.keep("menu", move || Some(whole.clone().watch(heard.clone(), shown.clone(), every)));
        offering
    }

    /// Asks each of them once, and shows what stands on the menu then.
    pub async fn look(
        offer: Offer,
        ledgers: Ledgers,
        tickers: BTreeMap<String, Ticker>,
    ) -> Offering {
        let sight = Sight::new(Duration::MAX);
        Offering::start(&Keeper::default(), offer, ledgers, sight, (tickers, None), ONCE).await
    }

    /// What is offered now.
    ///
    /// # Errors
    /// Why nothing is, for strangers.
    pub fn now(&self) -> Result<Arc<Offer>, String> {
        let shown = self.shown();
        let offer = shown.offer.as_ref().and_then(|offer| good(offer, now_ms()));
        offer.ok_or_else(|| UNPAYABLE.to_owned())
    }

    /// The file of a topic is not what the menu promises: nobody is to order of it any more.
    pub(super) fn take_off(&self, topic: &str) {
        self.heard.tell(|facts| {
            if facts.changed.insert(topic.to_owned()) {
                tracing::warn!(topic, "not on the menu until this seller is started anew");
            }
        });
    }

    /// The topics that are off the menu, as their files have changed.
    pub fn changed(&self) -> BTreeSet<String> {
        self.heard.facts().changed
    }

    /// What is left out now, and why.
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.shown().left_out.clone()
    }

    /// Since when a ledger does not answer, in milliseconds since 1970 UTC; `None` where it does.
    pub fn silent_since(&self, ledger: &LedgerId) -> Option<u64> {
        self.shown().silent.get(ledger).copied()
    }

    fn shown(&self) -> RwLockReadGuard<'_, Shown> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The offer without what is quoted no longer; `None` where nothing is left.
fn good(offer: &Arc<Offer>, now_ms: u64) -> Option<Arc<Offer>> {
    let is_good = |one: &CurrencyOffer| is_quoted(one, now_ms);
    if offer.menu.currencies_accepted.iter().all(is_good) {
        return Some(offer.clone());
    }
    let Offer { key, policy, .. } = offer.as_ref();
    let mut menu = offer.menu.clone();
    menu.currencies_accepted.retain(is_good);
    let is_something = !menu.currencies_accepted.is_empty();
    is_something.then(|| Arc::new(Offer { key: key.clone(), menu, policy: policy.clone() }))
}

/// Whether the quote of a currency is still offered.
fn is_quoted(one: &CurrencyOffer, now_ms: u64) -> bool {
    one.quote.as_ref().is_none_or(|quote| quote.expires_at.0 > now_ms)
}

impl Heard {
    /// Takes note of something.
    pub(super) fn tell(&self, note: impl FnOnce(&mut Facts)) {
        // Nothing panics while it is held.
        note(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_one();
    }

    fn facts(&self) -> Facts {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Asks whether our accounts can do their part, and how late we hear of what others do. A ledger
/// that does not answer leaves what was known.
async fn ask_ledgers(ledgers: Ledgers, heard: Weak<Heard>, every: Duration) {
    loop {
        let (mut known, mut silent) = (Known::new(), Vec::new());
        for (id, ledger) in ledgers.iter() {
            let answered = match answer(ledger.as_ref()).await {
                Ok(answered) => answered,
                Err(LedgerError::Unavailable { .. }) => {
                    silent.push(id.clone());
                    continue;
                }
                Err(error) => Answered { lack: Some(error.to_string()), ..Answered::default() },
            };
            known.insert(id.clone(), answered);
        }
        let Some(heard) = heard.upgrade() else { return };
        heard.tell(|facts| {
            facts.ledgers.get_or_insert_default().extend(known);
            let since = |id: LedgerId| {
                let since_ms = facts.silent.get(&id).copied().unwrap_or_else(now_ms);
                (id, since_ms)
            };
            facts.silent = silent.into_iter().map(since).collect();
        });
        drop(heard);
        tokio::time::sleep(every).await;
    }
}

impl Whole {
    /// Shows what was heard, at once, and what time alone changes, every so often.
    async fn watch(
        self: Arc<Self>,
        heard: Arc<Heard>,
        shown: Weak<RwLock<Shown>>,
        every: Duration,
    ) {
        loop {
            // Either is a reason to look again.
            let _ = tokio::time::timeout(every, heard.news.notified()).await;
            let Some(shown) = shown.upgrade() else { return };
            let before = shown.read().unwrap_or_else(PoisonError::into_inner).left_out.clone();
            let news = self.look_over(&heard.facts(), &before, now_ms());
            *shown.write().unwrap_or_else(PoisonError::into_inner) = news;
        }
    }

    /// Whether everybody was asked once.
    fn is_all(&self, facts: &Facts) -> bool {
        facts.ledgers.is_some() && self.told.iter().all(|one| facts.rated.contains_key(one))
    }

    /// What is to be shown; what changed since `before` is said in the log.
    fn look_over(&self, facts: &Facts, before: &[LeftOut], now_ms: u64) -> Shown {
        let (mut menu, mut left_out) = (self.offer.menu.clone(), Vec::new());
        let known = facts.ledgers.as_ref();
        let why_not = |one: &mut CurrencyOffer| {
            let lacking = known.and_then(|known| self.why_not(one, known));
            lacking.or_else(|| self.rate(one, &facts.rated, now_ms).err())
        };
        menu.currencies_accepted.retain_mut(|one| match why_not(one) {
            None => true,
            Some(why) => {
                let (currency, method) = (one.currency.clone(), one.method);
                left_out.push(LeftOut { currency, method, why });
                false
            }
        });
        for LeftOut { currency, method, why } in left_out.iter().filter(|o| !is_in(o, before)) {
            tracing::warn!(currency, %method, why, "not on the menu");
        }
        for LeftOut { currency, method, .. } in before.iter().filter(|o| !is_in(o, &left_out)) {
            tracing::info!(currency, %method, "on the menu again");
        }
        facts.changed.iter().for_each(|topic| menu.take_off(topic));
        let Offer { key, policy, .. } = &self.offer;
        // Without topics it lets in all the same: who comes back has a session to end.
        let is_payable = !menu.currencies_accepted.is_empty();
        let offer = Offer { key: key.clone(), menu, policy: policy.clone() };
        let silent = facts.silent.clone();
        Shown { offer: is_payable.then(|| Arc::new(offer)), left_out, silent }
    }

    /// Puts the newest rate and where it comes from beside a currency.
    fn rate(&self, one: &mut CurrencyOffer, rated: &Rated, now_ms: u64) -> Result<(), String> {
        let menu = &self.offer.menu;
        if one.currency == menu.default_currency {
            return Ok(());
        }
        let quote = match self.told.contains(&one.currency) {
            true => told(rated.get(&one.currency), now_ms)?,
            false => {
                let good_for_ms = self.offer.policy.menu_lifetime_ms.saturating_add(FIXED_MS);
                rates::fixed(one.rate, now_ms, good_for_ms)
            }
        };
        one.rate = quote.rate().ok_or("nobody tells its rate")?;
        one.quote = Some(quote);
        worth(menu, &one.rate)
    }

    /// Why we cannot take this currency now. What a session takes of us: its records, and
    /// redeeming where it is paid by voucher.
    fn why_not(&self, one: &CurrencyOffer, known: &Known) -> Option<String> {
        let lack = |ledger: &LedgerId| known.get(ledger).and_then(|known| known.lack.clone());
        let records = self.offer.menu.records.as_ref();
        if let Some(why) = records.and_then(|records| lack(&records.ledger)) {
            return Some(why);
        }
        match one.method {
            Method::Transfer => None,
            Method::Escrow => lack(&one.ledger)
                .or_else(|| {
                    let lag = known.get(&one.ledger).map(|known| known.lag);
                    self.grace_lacks(&one.ledger, lag.unwrap_or_default())
                })
                .or_else(|| self.unwatched(&one.ledger)),
        }
    }

    /// Whoever pays there could take the deposit back unseen.
    fn unwatched(&self, ledger: &LedgerId) -> Option<String> {
        let unread_s = self.sight.blind_for(ledger)?.as_secs();
        Some(format!("what happens to channels on {ledger} could not be read for {unread_s} s"))
    }

    /// No channel of such an escrow would be served on.
    fn grace_lacks(&self, ledger: &LedgerId, lag: Duration) -> Option<String> {
        let escrow = self.ledgers.get(ledger).and_then(|ledger: &Arc<dyn Ledger>| ledger.escrow());
        let Some(escrow) = escrow else {
            return Some(format!("{ledger} has no escrow"));
        };
        let (grace, outage_ms) = (escrow.grace_period(), self.offer.policy.outage_ms);
        let outage = Duration::from_millis(outage_ms);
        (grace < outage.saturating_add(lag).saturating_mul(2)).then(|| {
            let (grace_s, outage_s) = (grace.as_secs(), outage.as_secs());
            let lag_s = lag.as_millis().div_ceil(1_000);
            format!(
                "the escrow's grace period on {ledger} is {grace_s} s, outage_s is {outage_s}, and \
                 a request to close is final {lag_s} s late: it must be twice both together"
            )
        })
    }
}

/// The newest quote, where it is still offered.
fn told(rated: Option<&Result<Quote, String>>, now_ms: u64) -> Result<Quote, String> {
    let quote = rated.ok_or("its sources were not asked yet")?.clone()?;
    match quote.expires_at.0 > now_ms {
        true => Ok(quote),
        false => Err(format!("its rate was good until {}", quote.expires_at)),
    }
}

/// A window must cost something, and all that may be unpaid must be a number.
fn worth(menu: &Menu, rate: &Rate) -> Result<(), String> {
    for (topic, price) in &menu.prices {
        let window = price
            .checked_mul(menu.payment_granularity.into())
            .and_then(|units| units.checked_mul(rate.numerator.units()));
        let unpaid = window.and_then(|window| window.checked_mul(menu.credit_windows.into()));
        if unpaid.is_none() {
            return Err(format!("at its rate a window of {topic} costs more than any amount"));
        }
        if window < Some(rate.denominator) {
            return Err(format!("at its rate a window of {topic} costs less than a unit"));
        }
    }
    Ok(())
}

async fn answer(ledger: &dyn Ledger) -> Result<Answered, LedgerError> {
    // Where nothing below needs to ask it, it must be heard all the same.
    ledger.status().await?;
    let lack = lack(ledger, &Asset::coin(), Amount::ZERO).await?.map(|lack| lack.to_string());
    let lag = match ledger.escrow() {
        Some(escrow) => escrow.lag().await?,
        None => Duration::ZERO,
    };
    Ok(Answered { lack, lag })
}

fn is_in(one: &LeftOut, list: &[LeftOut]) -> bool {
    list.iter().any(|other| (&other.currency, other.method) == (&one.currency, one.method))
}

#[cfg(test)]
mod tests;
