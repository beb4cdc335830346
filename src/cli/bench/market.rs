//! A seller and its buyers in one process, over loopback and an embedded ledger of their own: the
//! very parts that `sdpp sell` and `sdpp buy` run, each side with its key and its journal, each
//! buyer on a thread of its own as it would be in a process of its own.
//!
//! Nothing is measured where money is missing: what was delivered, owed, paid and is on the ledger in
//! the end must be the same, or the bench fails.

use super::setting::config;
use crate::actors::buying::Event;
use crate::actors::random_key;
use crate::cli::anvil::fund;
use crate::cli::buy;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::{Running, in_system};
use crate::cli::sell::Selling;
use crate::config::Config;
use crate::config::ledgers::Opened;
use crate::record::End;
use crate::session::Wish;
use crate::terms::Method;
use sdpp_ledger::{Amount, Asset, Key, PublicKey};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long both sides may take to have everything final at the end.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);

/// The embedded ledger's name in the configs.
const LOCAL: &str = "local";

/// What is sold, and how.
#[derive(Debug, Clone)]
pub(super) struct Stall {
    /// How many items the source has.
    pub(super) items: u64,
    /// How long each is, in bytes.
    pub(super) item_bytes: usize,
    /// K.
    pub(super) granularity: u32,
    /// W.
    pub(super) credit_windows: u32,
    /// Each item and ack is signed; else they stand under a MAC.
    pub(super) is_signed: bool,
    /// How it is paid.
    pub(super) method: Method,
    /// Papers are anchored, at the end of their session.
    pub(super) has_records: bool,
    /// How many sessions there may be at once. What one of them asks its source for at once is less
    /// where there are more.
    pub(super) sessions_max: usize,
    /// Where a ledger is served to all; else one is opened in this process.
    pub(super) ledger: Option<String>,
}

/// A seller that listens.
pub(super) struct Market {
    pub(super) stall: Stall,
    pub(super) address: String,
    seller: Running,
    selling: Selling,
    giver: Opened,
    // Its actors look at it for as long as their system runs: whoever opens it keeps it till then.
    dir: Rc<TempDir>,
}

/// What a buyer has of its sessions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bought {
    pub(super) items: u64,
    owed: u128,
    paid: u128,
    /// When it dialled.
    pub(super) began: Instant,
    /// When its first item came, and its last.
    pub(super) first: Instant,
    pub(super) last: Instant,
    /// From dialling until the longest of its sessions had ended, its last payment final.
    pub(super) took: Duration,
}

/// The same money, seen from all sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    /// What the items cost that came.
    delivered: u128,
    /// What they were invoiced for.
    owed: u128,
    /// What the buyers paid.
    paid: u128,
    /// What the seller's account has.
    on_ledger: u128,
}

impl Sum {
    fn check(&self) -> Outcome {
        let Sum { delivered, owed, paid, on_ledger } = *self;
        if owed == delivered && paid == owed && on_ledger == owed {
            return Ok(());
        }
        let why = format!(
            "items for {delivered} were delivered, {owed} is owed, {paid} was paid and {on_ledger} \
             is on the ledger: nothing is measured where these differ"
        );
        Err(Failure::new(Exit::Wrong, why))
    }
}

impl Market {
    /// Opens it, its files in a folder of its own.
    pub(super) async fn open(stall: Stall, dir: Rc<TempDir>) -> Outcome<Market> {
        write_items(&dir.path().join("items"), &stall)?;
        let seller = config(&dir, "seller", &stall.seller_toml())?;
        let giver = Opened::open_to_read(&seller, LOCAL).await?;
        let key = new_key()?;
        let ledger = giver.signed_by(key.clone())?;
        let running = Running::start(&seller, key, &[(LOCAL, &ledger)])?;
        let selling = Selling::start(&seller, &running).await?;
        let address = selling.address.to_string();
        Ok(Market { stall, address, seller: running, selling, giver, dir })
    }

    /// A buyer on a thread of its own, which buys so many items in each of so many sessions at once, at
    /// this address. It is given what it needs, unless it has that.
    pub(super) async fn buyer(
        &self,
        (number, key): (usize, Key),
        (sessions, items): (usize, u64),
        address: &str,
    ) -> Outcome<JoinHandle<Outcome<Bought>>> {
        let need = Amount::new(sessions as u128 * u128::from(items));
        let toml = self.stall.buyer_toml(Amount::new(items.into()));
        let config = config(&self.dir, &format!("buyer-{number}"), &toml)?;
        fund(&self.giver, &key.public().account(), &Asset::coin(), need).await?;
        let ledger = self.giver.signed_by(key.clone())?;
        let (address, seller) = (address.to_owned(), self.seller.key.public());
        let thread = std::thread::Builder::new().name(format!("sdpp-buyer-{number}"));
        let buys = move || {
            in_system(async move {
                let running = Running::start(&config, key, &[(LOCAL, &ledger)])?;
                let wish = wish(&config, &running, seller, ("items", Some(items)))?;
                let bought = buy_all(&address, &config, wish, sessions, &running).await?;
                all_settled(&running).await?;
                running.stop();
                Ok(bought)
            })
        };
        thread.spawn(buys).map_err(Failure::io("start a thread in", self.dir.path()))
    }

    /// Waits for the buyers, has all be final, and compares what all sides say.
    pub(super) async fn close(
        self,
        buyers: Vec<JoinHandle<Outcome<Bought>>>,
    ) -> Outcome<Vec<Bought>> {
        let mut all = Vec::new();
        for buyer in buyers {
            let bought = tokio::task::spawn_blocking(move || buyer.join()).await;
            let broke = |_| Failure::new(Exit::Failed, "a buyer's thread has broken");
            let bought = bought.map_err(|error| Failure::new(Exit::Failed, error))?;
            all.push(bought.map_err(broke)??);
        }
        self.selling.drain().await;
        all_settled(&self.seller).await?;
        let none = || Failure::new(Exit::Ledger, "this ledger moves no money");
        let payments = self.giver.ledger().payments().ok_or_else(none)?;
        let account = self.seller.key.public().account();
        let on_ledger = payments.balance(&account, &Asset::coin()).await?.units();
        self.selling.stop();
        self.seller.stop();
        let add = |of: fn(&Bought) -> u128| all.iter().map(of).sum();
        let delivered = add(|bought| u128::from(bought.items));
        let sum =
            Sum { delivered, owed: add(|one| one.owed), paid: add(|one| one.paid), on_ledger };
        sum.check()?;
        Ok(all)
    }
}

/// Nobody's yet.
pub(super) fn new_key() -> Outcome<Key> {
    random_key().map_err(|error| Failure::new(Exit::Failed, error))
}

/// As many lines as there are items, no two alike.
fn write_items(path: &Path, stall: &Stall) -> Outcome {
    let file = File::create(path).map_err(Failure::io("write", path))?;
    let (mut file, width) = (BufWriter::new(file), stall.item_bytes);
    let mut lines = (1..=stall.items).map(|number| writeln!(file, "{number:0>width$}"));
    lines.try_for_each(|written| written).map_err(Failure::io("write", path))
}

/// All of a topic from this seller, or so many items, in each currency that the buyer has.
pub(super) fn wish(
    config: &Config,
    running: &Running,
    seller: PublicKey,
    (topic, quantity): (&str, Option<u64>),
) -> Outcome<Wish> {
    let none = || Failure::usage("the buyer has no [buyer]");
    let spending: Vec<_> = config.buyer.as_ref().ok_or_else(none)?.currencies.iter().collect();
    Ok(Wish {
        topic: topic.to_owned(),
        quantity,
        currencies: buy::pinned(config, &spending, |name| running.ledger(name))?,
        max_total: None,
        seller: Some(seller),
        bond: None,
        dataset: None,
    })
}

/// Buys in so many sessions at once.
async fn buy_all(
    address: &str,
    config: &Config,
    wish: Wish,
    sessions: usize,
    running: &Running,
) -> Outcome<Bought> {
    let mut taking = Vec::new();
    for _ in 0..sessions {
        let began = Instant::now();
        let session = buy::start(address, config, wish.clone(), running).await?;
        taking.push(actix::spawn(take_all(session, (began, 1))));
    }
    let mut all: Option<Bought> = None;
    for taken in taking {
        let one = taken.await.map_err(|error| Failure::new(Exit::Failed, error))??;
        all = Some(all.map_or(one, |all| all.and(one)));
    }
    all.ok_or_else(|| Failure::usage("no session was asked for"))
}

/// Takes what a session brings, to its end; the item of this number counts as its first.
pub(super) async fn take_all(
    mut session: buy::Session,
    (began, number): (Instant, u64),
) -> Outcome<Bought> {
    let (mut items, mut first, mut last) = (0, None, Instant::now());
    while let Some(event) = session.events.recv().await {
        if let Event::Item { .. } = event {
            items += 1;
            last = Instant::now();
            first = if items == number { Some(last) } else { first };
        }
    }
    let gone = |_| Failure::new(Exit::Failed, "the session's actor is gone");
    let ended = session.done.await.map_err(gone)?;
    if ended.end != End::Complete {
        let why = format!("a session ended after {items} items: {}", ended.why);
        return Err(Failure::new(Exit::Failed, why));
    }
    let (owed, paid) = (ended.progress.owed.units(), ended.progress.paid.units());
    let (first, took) = (first.unwrap_or(last), began.elapsed());
    Ok(Bought { items, owed, paid, began, first, last, took })
}

impl Bought {
    /// The two together.
    fn and(self, other: Bought) -> Bought {
        Bought {
            items: self.items + other.items,
            owed: self.owed + other.owed,
            paid: self.paid + other.paid,
            began: self.began.min(other.began),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            took: self.took.max(other.took),
        }
    }
}

/// From the first item of all to the last one, in seconds.
pub(super) fn seconds(bought: &[Bought]) -> f64 {
    let first = bought.iter().map(|one| one.first).min();
    let last = bought.iter().map(|one| one.last).max();
    let took = first.zip(last).map(|(first, last)| last.saturating_duration_since(first));
    took.unwrap_or_default().as_secs_f64()
}

/// Waits until all that a side owes to ledgers is final.
pub(super) async fn all_settled(side: &Running) -> Outcome {
    match side.settle(SETTLE_WITHIN).await?.first() {
        None => Ok(()),
        Some(left) => {
            let why = format!("{} obligations are still open on {}", left.count, left.ledger);
            Err(Failure::new(Exit::Ledger, why))
        }
    }
}

impl Stall {
    /// What both sides' configs say.
    fn shared_toml(&self) -> String {
        let at = match &self.ledger {
            Some(address) => format!("address = \"{address}\""),
            None => "dir = \"ledger\"".to_owned(),
        };
        let records = "[records]\nledger = \"local\"\nbatch = \"session\"\nanchor = \"after\"\n";
        let records = if self.has_records { records } else { "" };
        let method = self.method;
        format!(
            "[ledgers.local]\nkind = \"embedded\"\n{at}\n[currencies.SDP]\nledger = \"local\"\n\
             asset = \"coin\"\ndecimals = 6\nmethods = [\"{method}\"]\n{records}"
        )
    }

    /// One that is as it comes, but for how many may come: from one address all do.
    fn seller_toml(&self) -> String {
        let Stall { granularity, credit_windows, is_signed, .. } = self;
        let (shared, limits) = (self.shared_toml(), self.limits_toml());
        format!(
            "{shared}[seller]\nlisten = \"127.0.0.1:0\"\ngranularity = {granularity}\n\
             credit_windows = {credit_windows}\nsignature_required = {is_signed}\n\
             [topics.items]\nprice = \"1\"\nsource = {{ kind = \"file\", path = \"items\", format = \
             \"lines\" }}\n{limits}"
        )
    }

    /// One whose sessions cost so much each.
    fn buyer_toml(&self, need: Amount) -> String {
        let deposit = match self.method {
            Method::Escrow => format!(", deposit = \"{need}\""),
            Method::Transfer => String::new(),
        };
        let shared = self.shared_toml();
        format!(
            "{shared}[buyer]\ncurrencies = [{{ currency = \"SDP\", max_total = \"{need}\"{deposit} \
             }}]\n"
        )
    }

    fn limits_toml(&self) -> String {
        let many = self.sessions_max;
        let menus = 1_000_000;
        format!(
            "[limits]\nsessions_max = {many}\nsessions_per_buyer_max = {many}\n\
             credit_sessions_per_address_max = {many}\nconnections_max = {many}\n\
             connections_per_address_max = {many}\nmenus_per_minute = {menus}\n\
             menus_per_minute_per_address = {menus}\norders_per_minute = {menus}\n\
             orders_per_minute_per_address = {menus}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_measured_where_owed_differs_from_paid() {
        let same = Sum { delivered: 300, owed: 300, paid: 300, on_ledger: 300 };
        assert_eq!(same.check(), Ok(()));
        for other in [
            Sum { delivered: 299, ..same },
            Sum { owed: 301, ..same },
            Sum { paid: 200, ..same },
            Sum { on_ledger: 200, ..same },
        ] {
            assert_eq!(other.check().unwrap_err().exit, Exit::Wrong, "{other:?}");
        }
    }
}
