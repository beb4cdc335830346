//! What stands on the menu now: a currency in which our account cannot do its part is left out
//! before anything is promised in it. Ledgers are asked at the start and at intervals, never for
//! a connection.
//!
//! No mailbox is used: it is one loop, and ends with whoever shows the menu.

use crate::actors::Ledgers;
use crate::actors::funds::lack;
use crate::actors::sight::Sight;
use crate::message::CurrencyOffer;
use crate::session::Offer;
use crate::terms::Method;
use sdpp_ledger::{Amount, Asset, Ledger, LedgerError, LedgerId};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

/// The menu as it stands now; its clones show the same.
#[derive(Debug, Clone)]
pub struct Offering(Arc<RwLock<Standing>>);

#[derive(Debug)]
struct Standing {
    /// `None` where no currency is left.
    offer: Option<Arc<Offer>>,
    left_out: Vec<LeftOut>,
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
}

/// What the ledgers answered last; one that is not here did not answer.
type Known = BTreeMap<LedgerId, Answered>;

/// What a ledger answered.
#[derive(Debug, Clone, Default)]
struct Answered {
    /// Why our account cannot do its part there.
    lack: Option<String>,
    /// How late it tells what happens to channels.
    lag: Duration,
}

impl Offering {
    /// Asks the ledgers, and goes on asking every so often.
    pub async fn start(offer: Offer, ledgers: Ledgers, sight: Sight, every: Duration) -> Offering {
        let whole = Whole { offer, ledgers, sight };
        let mut known = Known::new();
        whole.ask(&mut known).await;
        let standing = whole.standing(&known, &[]);
        let offering = Offering(Arc::new(RwLock::new(standing)));
        let shown = Arc::downgrade(&offering.0);
        actix::spawn(async move { whole.watch(known, &shown, every).await });
        offering
    }

    /// What is offered now.
    ///
    /// # Errors
    /// Why nothing is, for strangers: what our account holds is not their business.
    pub fn now(&self) -> Result<Arc<Offer>, String> {
        let standing = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let none = "this seller can be paid in no currency just now: its own accounts lack coin";
        standing.offer.clone().ok_or_else(|| none.to_owned())
    }

    /// What is left out now, and why.
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).left_out.clone()
    }
}

impl Whole {
    async fn watch(self, mut known: Known, shown: &Weak<RwLock<Standing>>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            self.ask(&mut known).await;
            let Some(shown) = shown.upgrade() else { return };
            let before = shown.read().unwrap_or_else(PoisonError::into_inner).left_out.clone();
            let standing = self.standing(&known, &before);
            *shown.write().unwrap_or_else(PoisonError::into_inner) = standing;
        }
    }

    /// Whether our accounts can do their part, and how late we hear of what others do. A ledger
    /// that does not answer leaves what was known.
    async fn ask(&self, known: &mut Known) {
        for (id, ledger) in self.ledgers.iter() {
            let answered = match answer(ledger.as_ref()).await {
                Ok(answered) => answered,
                Err(LedgerError::Unavailable { .. }) => continue,
                Err(error) => Answered { lack: Some(error.to_string()), ..Answered::default() },
            };
            known.insert(id.clone(), answered);
        }
    }

    /// What is to be shown; what changed since `before` is said in the log.
    fn standing(&self, known: &Known, before: &[LeftOut]) -> Standing {
        let (mut menu, mut left_out) = (self.offer.menu.clone(), Vec::new());
        menu.currencies_accepted.retain(|one| match self.why_not(one, known) {
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
        let Offer { key, policy, .. } = &self.offer;
        let is_something = !menu.currencies_accepted.is_empty();
        let offer = Offer { key: key.clone(), menu, policy: policy.clone() };
        Standing { offer: is_something.then(|| Arc::new(offer)), left_out }
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

async fn answer(ledger: &dyn Ledger) -> Result<Answered, LedgerError> {
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
