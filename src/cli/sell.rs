//! `sdpp sell`: runs the seller until a signal.

use super::dispute::guard::Guard;
use super::exit::{Exit, Failure, Outcome};
use super::ledger::joining;
use super::running::{Means, Running, Signals, in_system};
use super::stock::{Stock, stocked};
use super::{answering, out, rating};
use crate::actors::admission::{Admission, Crowding};
use crate::actors::backlog::Backlog;
use crate::actors::credit::{CreditBook, CreditLimits};
use crate::actors::fees::Fees;
use crate::actors::keeper::Kept;
use crate::actors::listener::{Shop, listen};
use crate::actors::node::{Count, Drain, Node, Room};
use crate::actors::now_ms;
use crate::actors::offering::{Memory, Offering};
use crate::actors::restarting;
use crate::actors::room;
use crate::actors::trusting::Trusting;
use crate::config::ledgers::{Keyring, Ledgers, Opened};
use crate::config::{
    AnchorWhen, BondAmounts, Config, CurrencyConfig, CurrencyLimits, Limits, RecordsBatch, Seller,
};
use crate::door::UnknownBuyer;
use crate::gate::PerMinute;
use crate::message::{
    BondOffer, CurrencyOffer, ENCODING, Menu, Moment, OrderLimits, RecordsOffer, SpecialPrice,
    VERSION,
};
use crate::record::DATA_BYTES_MAX;
use crate::session::{Offer, SellerPolicy};
use crate::source::Origin;
use crate::terms::{CountsWhen, Method, Rate};
use actix::prelude::*;
use clap::Args;
use sdpp_ledger::{Amount, Digest};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// How many times its patience a seller waits for a payment that was claimed to be final.
const FINALITY_PATIENCES: u64 = 10;

/// How long to wait before a node that broke is asked to drain again.
const DRAIN_AGAIN: Duration = Duration::from_millis(50);

/// How often ledgers are asked whether our accounts can still do their part.
const FUNDS_EVERY: Duration = Duration::from_secs(5);

/// Runs the seller until Ctrl-C or SIGTERM. The first line on standard output is
/// `listening ADDR`; the end waits for windows to be paid.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp sell --config seller.toml")]
pub(super) struct Sell {
    /// The seller's config.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Listen here instead of where the config says; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

impl Sell {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let mut config = Config::load(&self.config)?;
        if let (Some(seller), Some(listen)) = (&mut config.seller, self.listen) {
            seller.listen = listen;
        }
        in_system(sell(config))
    }
}

async fn sell(config: Config) -> Outcome {
    let mut keys = Keyring::default();
    let key = keys.open(&config.identity)?;
    let opened = Ledgers::open(&config, &mut keys).await?;
    let opened: Vec<(&str, &Opened)> = opened.iter().collect();
    let running = Running::start(&config, key, &opened)?;
    let mut guard = Guard::default();
    // Also while files are read to their ends, and while sessions end.
    let selling = tokio::select! {
        selling = Selling::start(&config, &running) => selling,
        never = guard.keep(&running) => match never {},
    };
    let selling = match selling {
        Ok(selling) => selling,
        Err(failure) => {
            // Whoever cannot sell can still be asked for what was sold.
            guard.answered(&running, patience(seller_of(&config)?)).await;
            return Err(failure);
        }
    };
    tokio::select! {
        sold = sold(&config, &running, selling) => sold,
        never = guard.keep(&running) => match never {},
        never = joining::keep(&config, &running) => match never {},
    }
}

/// Sells until a signal, and ends in good order.
async fn sold(config: &Config, running: &Running, selling: Selling) -> Outcome {
    answering::answer(config, running, &selling).await?;
    let mut signals = Signals::listen()?;
    out::line(format_args!("listening {}", selling.address))?;
    tokio::select! {
        () = signals.next() => {}
        failure = running.stopped() => return Err(failure),
    }
    let at_most = Duration::from_secs(seller_of(config)?.drain_s);
    let ended = tokio::select! {
        ended = selling.end(running, at_most) => ended,
        () = signals.next() => {
            let why = "ended at once: what is open goes on at the next start";
            return Err(Failure::new(Exit::Failed, why));
        }
        failure = running.stopped() => return Err(failure),
    };
    running.written().await.and(ended)
}

/// A seller that listens.
pub(super) struct Selling {
    /// Where.
    pub(super) address: SocketAddr,
    /// Its node.
    pub(super) node: Kept<Node>,
    /// What stands on its menu.
    pub(super) offering: Offering,
    /// Who is let in.
    pub(super) admission: Admission,
    /// Its patience.
    pub(super) patience: Duration,
    arbiters: Vec<Arbiter>,
}

impl Selling {
    /// Listens, and serves whoever connects.
    pub(super) async fn start(config: &Config, running: &Running) -> Outcome<Selling> {
        let seller = seller_of(config)?;
        let stock = stocked(config, running).await?;
        let (offer, topics) = offer(config, seller, &running.means(), stock)?;
        let listener = TcpListener::bind(seller.listen).await.map_err(|error| {
            let (address, hint) = (seller.listen, "stop what uses it, or set another in [seller]");
            Failure::new(Exit::Failed, format!("cannot listen on {address}: {error}: {hint}"))
        })?;
        let address = listener.local_addr().map_err(|e| Failure::new(Exit::Failed, e))?;
        let limits = &config.limits;
        let room = Room {
            connections_max: limits.connections_max,
            per_address_max: limits.connections_per_address_max,
            sessions_wait: seller.resume_s > 0,
        };
        let (keeper, node) = (&running.keeper, Node::start_with(&running.keeper, room));
        let named = |name: &str| running.ids.get(name).and_then(|id| running.ledgers.get(id));
        let tickers = rating::tickers(config, |name| named(name).cloned())?;
        let (ledgers, sight) = (running.ledgers.clone(), running.sight.clone());
        let (reader, journal) = (running.reader.clone(), running.journal.clone());
        let rates = (tickers, Some(Memory { reader, journal }));
        let (key, menu) = (offer.key.clone(), offer.menu.clone());
        let ours = Offer { key, menu, policy: offer.policy.clone() };
        let offering = Offering::start(keeper, offer, ledgers, sight, rates, FUNDS_EVERY).await;
        let admission = Admission::new(crowding(limits), running.lag.clone(), now_ms());
        let shop = Shop {
            offering: offering.clone(),
            topics: Arc::new(topics),
            promised: Default::default(),
            ledgers: running.ledgers.clone(),
            journal: running.journal.clone(),
            reader: running.reader.clone(),
            busy: running.busy.clone(),
            joining: running.joining.clone(),
            sight: running.sight.clone(),
            credit: CreditBook::new(credit_limits(config)),
            health: running.actors.values().cloned().collect(),
            last_words: Default::default(),
            trusting: Trusting::new(seller.pace_policy(), Fees::default()),
            admission: admission.clone(),
            backlog: Backlog::new(limits.unacknowledged_bytes_all_max, limits.sessions_max),
            first_message: Duration::from_millis(limits.first_message_ms),
            idle: Duration::from_millis(limits.idle_ms),
            tls: super::tls::sellers(config)?,
        };
        let least = config.journal.room_mb.saturating_mul(1 << 20);
        room::watch(keeper, running.reader.clone(), node.clone(), least);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let arbiters: Vec<Arbiter> = (0..cores).map(|_| Arbiter::new()).collect();
        let handles: Vec<ArbiterHandle> = arbiters.iter().map(Arbiter::handle).collect();
        restarting::take_up(&shop, &ours, &node, &handles).await?;
        listen(keeper, listener, shop, node.clone(), handles);
        let patience = patience(seller);
        Ok(Selling { address, node, offering, admission, patience, arbiters })
    }

    /// Takes no more orders, and waits until every session has ended in good order.
    pub(super) async fn drain(&self) {
        self.admission.close();
        // A node that broke is started again, and knows who is there.
        while self.node.addr().send(Drain).await.is_err() {
            tokio::time::sleep(DRAIN_AGAIN).await;
        }
    }

    /// Ends in good order: sessions end, and what they leave owed is settled. Fails where sessions
    /// are left after so long; what is still owed then is said.
    async fn end(&self, running: &Running, at_most: Duration) -> Outcome {
        let (began, at_most_s) = (Instant::now(), at_most.as_secs());
        tracing::info!(at_most_s, "ending: no new orders, open windows are closed and paid");
        let drained = tokio::time::timeout(at_most, self.drain()).await;
        let rest = at_most.saturating_sub(began.elapsed()).min(self.patience);
        for unsettled in running.settle(rest).await? {
            let (count, ledger) = (unsettled.count, unsettled.ledger);
            tracing::warn!(count, %ledger, "still owed: the next start goes on with it");
        }
        if drained.is_ok() {
            return Ok(());
        }
        let connections = self.node.addr().send(Count).await.map_or(0, |crowd| crowd.connections);
        let why = format!(
            "{connections} connections were open after the {at_most_s} s of seller.drain_s: the next \
             start sees to their sessions, and goes on with what is owed"
        );
        Err(Failure::new(Exit::Failed, why))
    }

    /// Ends the threads of the sessions.
    pub(super) fn stop(self) {
        for arbiter in self.arbiters {
            arbiter.stop();
            let _ = arbiter.join();
        }
    }
}

fn seller_of(config: &Config) -> Outcome<&Seller> {
    let none = "this config has no [seller]: `sdpp init` writes one to start from";
    config.seller.as_ref().ok_or_else(|| Failure::usage(none))
}

fn patience(seller: &Seller) -> Duration {
    Duration::from_millis(seller.patience_ms)
}

/// The menu, and where each topic's items come from.
pub(super) fn offer(
    config: &Config,
    seller: &Seller,
    running: &Means,
    topics: Stock,
) -> Outcome<(Offer, BTreeMap<String, Origin>)> {
    let mut currencies_accepted = Vec::new();
    for (name, currency) in &config.currencies {
        for method in &currency.methods {
            let mut offer = currency_offer(name, currency, running)?;
            offer.method = *method;
            if *method == Method::Escrow {
                // A voucher is money in hand, and its deposit was final before.
                offer.finality = CountsWhen::default().to_string();
                offer.bond = seller.bonds.get(name).map(|bond| bond_offer(&bond.amounts));
            }
            currencies_accepted.push(offer);
        }
    }
    let default = currencies_accepted.iter().find(|c| c.currency == seller.default_currency);
    let default = default.ok_or_else(|| Failure::usage("the default currency is not offered"))?;
    let payment_address = default.payment_address.clone();
    let by_transfer = |offer: &CurrencyOffer| offer.method == Method::Transfer;
    // With one window unpaid at the most there are never several to be paid.
    let payments_together =
        seller.trust.credit_windows > 1 && currencies_accepted.iter().any(by_transfer);
    let of_topic = |name: &String| config.topics.get(name);
    let menu = Menu {
        versions: vec![VERSION.to_owned()],
        encodings: vec![ENCODING.to_owned()],
        public_key: running.key.public(),
        challenge: Digest::ZERO,
        available_data: topics.iter().map(|(name, (_, count))| (name.clone(), *count)).collect(),
        datasets: topics
            .iter()
            .filter_map(|(name, (origin, _))| Some((name.clone(), origin.dataset()?.root)))
            .collect(),
        prices: topics.keys().filter_map(|n| Some((n.clone(), of_topic(n)?.price))).collect(),
        special_prices: special_prices(config, &topics)?,
        prices_by_buyer: false,
        unknown_by_escrow: seller.unknown_buyer == UnknownBuyer::Escrow,
        units: topics
            .keys()
            .filter_map(|n| Some((n.clone(), of_topic(n)?.units.clone())))
            .collect(),
        default_currency: seller.default_currency.clone(),
        currencies_accepted,
        payment_granularity: seller.granularity,
        credit_windows: seller.credit_windows,
        payments_together,
        payment_address,
        signature_required: seller.signature_required,
        records: records_offer(config, running)?,
        resume_ms: (seller.resume_s > 0).then_some(seller.resume_s * 1_000),
        expires_at: Moment(0),
    };
    check_length(&menu)?;
    let policy = policy(config, seller);
    let topics = topics.into_iter().map(|(name, (origin, _))| (name, origin)).collect();
    Ok((Offer { key: running.key.clone(), menu, policy }, topics))
}

/// Buyers keep a menu as proof and refuse one that is too long for that: better said here.
fn check_length(menu: &Menu) -> Outcome {
    let buyers = menu.special_prices.iter().map(|special| special.buyer.as_ref());
    for buyer in buyers.chain([None]) {
        let text = serde_json::to_vec(&menu.shown_to(buyer));
        let length = text.map_err(|error| Failure::new(Exit::Failed, error))?.len();
        if length > DATA_BYTES_MAX {
            return Err(Failure::usage(format!(
                "the menu is {length} bytes long, buyers take {DATA_BYTES_MAX}: sell fewer topics \
                 here, in fewer currencies, or with fewer special prices"
            )));
        }
    }
    Ok(())
}

/// What some orders cost; those for one buyer too, which its own menu alone shows.
fn special_prices(config: &Config, topics: &Stock) -> Outcome<Vec<SpecialPrice>> {
    let mut prices = Vec::new();
    for (name, topic) in config.topics.iter().filter(|(name, _)| topics.contains_key(*name)) {
        for special in &topic.prices {
            let key = |name: &String| {
                let known = config.peers.get(name).copied();
                known.ok_or_else(|| Failure::usage(format!("there is no {name:?} in [peers]")))
            };
            prices.push(SpecialPrice {
                topic: name.clone(),
                currency: special.currency.clone(),
                buyer: special.buyer.as_ref().map(key).transpose()?,
                from_quantity: special.from_quantity,
                price: special.price,
            });
        }
    }
    Ok(prices)
}

fn bond_offer(&BondAmounts { buyer, seller, stake, fee }: &BondAmounts) -> BondOffer {
    BondOffer { buyer, seller, stake, fee }
}

fn currency_offer(
    name: &str,
    currency: &CurrencyConfig,
    running: &Means,
) -> Outcome<CurrencyOffer> {
    let ledger = running.id(&currency.ledger)?;
    let own = running.ledgers.get(&ledger).map(|ledger| ledger.account());
    let own = own.ok_or_else(|| Failure::usage("a currency without a ledger"))?;
    let wrong = |why| Failure::usage(format!("currencies.{name}.payee: {why}"));
    let payment_address = currency.payee(own).map_err(wrong)?.clone();
    Ok(CurrencyOffer {
        currency: name.to_owned(),
        symbol: currency.symbol.clone(),
        decimals: currency.decimals,
        ledger,
        asset: currency.asset.clone(),
        method: Method::Transfer,
        payment_address,
        // What sources tell is put beside it before anybody is shown it.
        rate: currency.rate.fixed().unwrap_or(Rate::ONE),
        quote: None,
        finality: currency.finality.to_string(),
        limits: OrderLimits {
            order_min: currency.limits.order_min,
            order_max: currency.limits.order_max,
        },
        bond: None,
    })
}

fn records_offer(config: &Config, running: &Means) -> Outcome<Option<RecordsOffer>> {
    let Some(records) = &config.records else { return Ok(None) };
    let batch = match records.batch {
        RecordsBatch::Each => "each",
        RecordsBatch::Session => "session",
    };
    let anchor = match records.anchor {
        AnchorWhen::Before => "before",
        AnchorWhen::After => "after",
    };
    let (ledger, batch, anchor) =
        (running.id(&records.ledger)?, batch.to_owned(), anchor.to_owned());
    Ok(Some(RecordsOffer { ledger, batch, anchor }))
}

fn policy(config: &Config, seller: &Seller) -> SellerPolicy {
    let records = config.records.as_ref();
    let limits = &config.limits;
    SellerPolicy {
        patience_ms: seller.patience_ms,
        finality_ms: FINALITY_PATIENCES * seller.patience_ms,
        menu_lifetime_ms: seller.menu_ttl_s * 1_000,
        outage_ms: seller.outage_s * 1_000,
        settling: config.settling(),
        credit_up_to: seller.credit_up_to.clone(),
        pace: None,
        joins: seller
            .bonds
            .iter()
            .filter_map(|(name, bond)| bond.pledge_at_most.map(|_| name.clone()))
            .collect(),
        fail_over: seller.fail_over,
        door: config.door(),
        asks_admission: true,
        asks_credit: true,
        anchor_before: records.is_some_and(|r| r.anchor == AnchorWhen::Before),
        hold_records: records.is_some_and(|r| r.batch == RecordsBatch::Session),
        frame_bytes_max: limits.frame_bytes_max,
        item_bytes_max: limits.item_bytes_max,
        unacknowledged_bytes_max: limits.unacknowledged_bytes_max,
    }
}

/// How many may come, and how fast.
fn crowding(limits: &Limits) -> Crowding {
    let per_minute = |each, all| [PerMinute(each), PerMinute(all)];
    Crowding {
        menus: per_minute(limits.menus_per_minute_per_address, limits.menus_per_minute),
        orders: per_minute(limits.orders_per_minute_per_address, limits.orders_per_minute),
        sessions_max: limits.sessions_max,
        per_buyer_max: limits.sessions_per_buyer_max,
        unpaid_per_address_max: limits.credit_sessions_per_address_max,
        journal_lag_ms: limits.journal_lag_ms,
    }
}

/// What buyers may have out unsecured.
fn credit_limits(config: &Config) -> CreditLimits {
    let of = |limit: fn(&CurrencyLimits) -> Option<Amount>| {
        let all = config.currencies.iter();
        all.filter_map(|(name, one)| Some((name.clone(), limit(&one.limits)?))).collect()
    };
    CreditLimits {
        to_one: of(|limits| limits.credit_to_one),
        to_all: of(|limits| limits.credit_to_all),
    }
}
