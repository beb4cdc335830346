//! `sdpp bench fig3`: how long an order takes, by its size and by K, where payments take long to be
//! final and where they do not: the paper's third figure, measured again in real time.

use super::market::{Bought, Market, Stall, new_key};
use super::plot::{Curve, curves};
use super::report::{Figure, Report, Telling};
use super::setting::{Setting, folder};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::in_system;
use crate::config::ledgers::{ChainRules, Served};
use crate::terms::Method;
use clap::Args;
use sdpp_ledger::{Amount, Key};
use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// The paper's K, and the sizes of orders that are made.
const GRANULARITIES: [u32; 4] = [1, 4, 10, 100];
const SIZES: [u64; 9] = [1, 4, 10, 20, 40, 100, 200, 400, 1_000];

/// The paper's line, in seconds: for an item, and for each K of them.
const PAPER_ITEM_S: f64 = 0.075;
const PAPER_BLOCK_S: f64 = 21.3;

/// How many blocks make a payment final, where that takes long.
const DEPTH: u64 = 10;

/// W, where windows do not wait for one another's payments.
const CREDIT_WINDOWS: u32 = 8;

/// Measure how long orders take, by their size and K.
///
/// All orders run at the same time, each in a session of its own with a buyer of its own, paid by
/// transfer on an embedded ledger whose payments take so long to be final, and on one where they are
/// at once. Beside them stands what the paper measured: 0.075 s an item and 21.3 s for each K.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp bench fig3 --curves fig3.svg")]
pub(super) struct Fig3 {
    /// How long a payment takes to be final, in milliseconds; ten blocks.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    finality_ms: u64,
    /// The most windows of an order: one of these waits for as many payments.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    windows_max: u64,
    /// Draw the lines in this file.
    #[arg(long, value_name = "FILE")]
    curves: Option<PathBuf>,
    #[command(flatten)]
    telling: Telling,
}

/// How orders are made.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    granularity: u32,
    credit_windows: u32,
    is_slow: bool,
}

/// What one order came to.
struct Order {
    kind: Kind,
    items: u64,
    seconds: f64,
    /// Until its last item was there.
    data_seconds: f64,
}

impl Fig3 {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        self.measure()?.tell(&self.telling)
    }

    /// Measures it.
    pub(super) fn measure(&self) -> Outcome<Report> {
        // What is in them is looked at for as long as the system runs.
        let mut folders = Vec::new();
        let orders = in_system(self.orders(&mut folders))?;
        if let Some(path) = &self.curves {
            let title = format!(
                "An order's time: {} s to finality and none, W = 1 and {CREDIT_WINDOWS}; dashed: the \
                 paper's line",
                self.finality_ms as f64 / 1_000.0
            );
            let drawn = curves(&title, ["items", "seconds"], &drawn(&orders));
            fs::write(path, drawn).map_err(Failure::io("write", path))?;
        }
        let figures = kinds().filter_map(|kind| self.largest(kind, &orders)).collect();
        Ok(Report { setting: Setting::here(), figures, notes: Vec::new() })
    }

    async fn orders(&self, folders: &mut Vec<Rc<TempDir>>) -> Outcome<Vec<Order>> {
        let dir = folder()?;
        let keys = (0..kinds().count() * SIZES.len()).map(|_| new_key());
        let keys = keys.collect::<Outcome<Vec<Key>>>()?;
        let rich = |key: &Key| (key.public().account(), Amount::new(1_000_000));
        let block_time_ms = self.finality_ms / DEPTH;
        let rules = ChainRules { block_time_ms, depth: DEPTH, ..ChainRules::default() };
        let (path, listen) = (dir.path().join("ledger"), ([127, 0, 0, 1], 0).into());
        let served = Served::open(&path, listen, keys.iter().map(rich).collect(), rules).await;
        let served = served.map_err(failed)?;
        let slow = served.address().map_err(failed)?.to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let ledger = tokio::spawn(served.serve(async {
            let _ = stopped.await;
        }));
        let mut selling = Vec::new();
        for (kind, keys) in kinds().zip(keys.chunks(SIZES.len())) {
            let ledger = kind.is_slow.then(|| slow.clone());
            let orders = self.sizes(kind).zip(keys.to_vec()).collect();
            folders.push(Rc::new(folder()?));
            let dir = folders[folders.len() - 1].clone();
            selling.push(actix::spawn(sell(kind, orders, ledger, dir)));
        }
        let mut orders = Vec::new();
        for sold in selling {
            orders.extend(sold.await.map_err(failed)??);
        }
        drop(stop);
        ledger.await.map_err(failed)?;
        Ok(orders)
    }
}

impl Fig3 {
    /// The orders that do not wait for too many payments.
    fn sizes(&self, kind: Kind) -> impl Iterator<Item = u64> {
        let most = self.windows_max * u64::from(kind.granularity);
        SIZES.into_iter().filter(move |items| *items <= most)
    }

    /// The largest order of a kind, beside the paper's line.
    fn largest(&self, kind: Kind, orders: &[Order]) -> Option<Figure> {
        let largest = orders.iter().rfind(|order| order.kind == kind)?;
        let Order { items, seconds, data_seconds, .. } = *largest;
        let Kind { granularity, credit_windows, is_slow } = kind;
        let finality_s = if is_slow { self.finality_ms as f64 / 1_000.0 } else { 0.0 };
        let what = format!(
            "an order of {items} items, K = {granularity}, W = {credit_windows}, {finality_s} s to \
             finality (all items after {data_seconds:.2} s)"
        );
        let paper =
            PAPER_ITEM_S * items as f64 + PAPER_BLOCK_S * items.div_ceil(granularity.into()) as f64;
        Some(Figure::beside(what, "s", &[(seconds, paper)], "the paper's line"))
    }
}

fn kinds() -> impl Iterator<Item = Kind> {
    let paces = [(1, true), (CREDIT_WINDOWS, true), (1, false)];
    GRANULARITIES.into_iter().flat_map(move |granularity| {
        paces.map(|(credit_windows, is_slow)| Kind { granularity, credit_windows, is_slow })
    })
}

/// Sells all orders of a kind at the same time.
async fn sell(
    kind: Kind,
    orders: Vec<(u64, Key)>,
    ledger: Option<String>,
    dir: Rc<TempDir>,
) -> Outcome<Vec<Order>> {
    let stall = Stall {
        items: SIZES.into_iter().max().unwrap_or(1),
        item_bytes: 128,
        granularity: kind.granularity,
        credit_windows: kind.credit_windows,
        is_signed: true,
        method: Method::Transfer,
        has_records: false,
        sessions_max: 128,
        ledger,
    };
    let market = Market::open(stall, dir).await?;
    let (mut buyers, address) = (Vec::new(), market.address.clone());
    for (number, (items, key)) in orders.into_iter().enumerate() {
        buyers.push(market.buyer((number, key), (1, items), &address).await?);
    }
    let order = |bought: Bought| Order {
        kind,
        items: bought.items,
        seconds: bought.took.as_secs_f64(),
        data_seconds: bought.last.saturating_duration_since(bought.began).as_secs_f64(),
    };
    Ok(market.close(buyers).await?.into_iter().map(order).collect())
}

/// A line for each kind, and the paper's for each K.
fn drawn(orders: &[Order]) -> Vec<Curve> {
    const COLOURS: [&str; 4] = ["#c03028", "#d08020", "#388038", "#2858a8"];
    const LIGHTER: [&str; 4] = ["#e89890", "#ecc890", "#98c898", "#90b0e0"];
    const LIGHTEST: [&str; 4] = ["#f4ccc8", "#f6e4c8", "#cce4cc", "#c8d8f0"];
    let mut all = Vec::new();
    for (at, granularity) in GRANULARITIES.into_iter().enumerate() {
        for kind in kinds().filter(|kind| kind.granularity == granularity) {
            let of_kind = orders.iter().filter(|order| order.kind == kind);
            let (shades, pace) = match (kind.is_slow, kind.credit_windows) {
                (true, 1) => (COLOURS, "W = 1, slow".to_owned()),
                (true, many) => (LIGHTER, format!("W = {many}, slow")),
                (false, _) => (LIGHTEST, "W = 1, at once".to_owned()),
            };
            all.push(Curve {
                name: format!("K = {granularity}, {pace}"),
                colour: shades[at],
                is_dashed: false,
                points: of_kind.map(|order| (order.items as f64, order.seconds)).collect(),
            });
        }
        let paper = |items: u64| {
            let blocks = items.div_ceil(granularity.into()) as f64;
            (items as f64, PAPER_ITEM_S * items as f64 + PAPER_BLOCK_S * blocks)
        };
        all.push(Curve {
            name: format!("K = {granularity}, the paper"),
            colour: COLOURS[at],
            is_dashed: true,
            points: SIZES.into_iter().map(paper).collect(),
        });
    }
    all
}

fn failed(error: impl Display) -> Failure {
    Failure::new(Exit::Failed, error)
}
