//! `sdpp demo`: seller and buyer in one process, over real TCP, with real readings of this host;
//! then both audit themselves.

mod stage;

use super::audit;
use super::buy;
use super::exit::{Exit, Failure, Outcome};
use super::items::{Bar, Items};
use super::out;
use super::running::{Running, in_system};
use super::sell::Selling;
use crate::actors::session::Ended;
use crate::audit::{Report, Statement};
use crate::config::Config;
use crate::record::End;
use crate::session::Wish;
use clap::{Args, ValueEnum};
use sdpp_ledger::Amount;
use serde_json::json;
use stage::{Double, Open, Stage};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The topic that is sold: the one sensor that every host has and that reads fast.
const TOPIC: &str = "memory";

/// How long both sides may take to have everything final at the end.
const SETTLE_AT_MOST: Duration = Duration::from_secs(60);

/// A ledger that the demo runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnLedger {
    /// The one that comes with sdpp.
    Embedded,
    /// The Ethereum chain that `scripts/anvil up` starts: paid in its ether, by escrow.
    Anvil,
    /// The double of a Fabric network that `scripts/fabric up` starts: paid in its account money.
    Fabric,
    /// The double of an IOTA node that `scripts/iota up` starts: paid in its coin.
    Iota,
}

/// Sells readings of this host to a buyer in the same process, over real TCP on loopback, paid
/// and recorded on a ledger, journaled on both sides; then audits both journals.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp demo --items 100 --granularity 10")]
pub(super) struct Demo {
    /// The ledger.
    #[arg(long, value_enum, default_value = "embedded")]
    ledger: OnLedger,
    /// How many readings are sold.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    items: u64,
    /// K: readings in a window.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    granularity: u32,
    /// Keep journals, ledger, keys and configs here; without it, in a new folder that is named at
    /// the end.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl Demo {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let on = match self.ledger {
            OnLedger::Embedded => stage::embedded(self.items),
            OnLedger::Anvil => stage::anvil(self.items)?,
            OnLedger::Fabric => stage::fabric(self.items)?,
            OnLedger::Iota => stage::iota(self.items)?,
        };
        let dir = self.folder()?;
        let stage = Stage::set(&dir, self.granularity, on)?;
        in_system(play(self, stage))
    }

    fn folder(&self) -> Outcome<PathBuf> {
        match &self.dir {
            Some(dir) => {
                let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
                made.map_err(Failure::io("make the folder", dir))?;
                fs::canonicalize(dir).map_err(Failure::io("find the folder", dir))
            }
            None => {
                let new = tempfile::Builder::new().prefix("sdpp-demo-").tempdir();
                let made = new.map_err(Failure::io("make a folder in", &std::env::temp_dir()))?;
                Ok(made.keep())
            }
        }
    }
}

async fn play(demo: Demo, stage: Stage) -> Outcome {
    let started = Instant::now();
    let Open { seller_key, buyer_key, sellers_ledger, buyers_ledger } = stage.open().await?;
    let Stage { dir, seller, buyer, on } = stage;
    let name = on.ledger;
    let selling_side = Running::start(&seller, seller_key, &[(name, &sellers_ledger)])?;
    let buying_side = Running::start(&buyer, buyer_key, &[(name, &buyers_ledger)])?;
    let selling = Selling::start(&seller, &selling_side).await?;
    let say = Story { json: demo.json };
    for line in on.double.iter().flat_map(|double| double.lines) {
        say.line(format_args!("double   {line}"))?;
    }
    say.line(format_args!(
        "seller   {} listens on {}",
        selling_side.key.public(),
        selling.address
    ))?;
    say.line(format_args!(
        "buyer    {} orders {} readings of {TOPIC}",
        buying_side.key.public(),
        demo.items
    ))?;

    let items = dir.join("items.ndjson");
    let ended = trade(&demo, &buyer, &selling_side, &buying_side, &selling, &items).await?;
    selling.drain().await;
    let mut left = selling_side.settle(SETTLE_AT_MOST).await?;
    left.extend(buying_side.settle(SETTLE_AT_MOST).await?);
    let seconds = started.elapsed().as_secs_f64();
    say.readings(&items)?;

    let books = [
        audit::of(&selling_side.reader, &selling_side.ledgers).await?,
        audit::of(&buying_side.reader, &buying_side.ledgers).await?,
    ];
    selling.stop();
    selling_side.stop();
    buying_side.stop();
    if let Some(unsettled) = left.first() {
        let why = format!("{} obligations are still open on {}", unsettled.count, unsettled.ledger);
        return Err(Failure::new(Exit::Ledger, why));
    }
    let told = Told { ended: &ended, books: &books, seconds, double: on.double };
    tell(&demo, &dir, &told)
}

async fn trade(
    demo: &Demo,
    config: &Config,
    seller: &Running,
    buyer: &Running,
    selling: &Selling,
    items: &Path,
) -> Outcome<Ended> {
    let none = || Failure::usage("the demo's buyer has no [buyer]");
    let spending: Vec<_> = config.buyer.as_ref().ok_or_else(none)?.currencies.iter().collect();
    let wish = Wish {
        topic: TOPIC.to_owned(),
        quantity: Some(demo.items),
        currencies: buy::pinned(config, &spending, |name| buyer.ledger(name))?,
        max_total: None,
        seller: Some(seller.key.public()),
        bond: None,
        dataset: None,
    };
    // The readings of the last run are this demo's own, and nobody else's.
    let _ = fs::remove_file(items);
    let address = selling.address.to_string();
    let session = buy::start(&address, config, wish, buyer).await?;
    let items = Items::open(Some(items))?;
    let bar = Bar::new(Some(demo.items));
    let (ended, items) = buy::follow(session, items, bar, None).await?;
    items.close().map(|()| ended)
}

/// What the demo tells a person while it runs.
struct Story {
    json: bool,
}

impl Story {
    fn line(&self, line: impl std::fmt::Display) -> Outcome {
        if self.json { Ok(()) } else { out::line(line) }
    }

    fn readings(&self, items: &Path) -> Outcome {
        let text = fs::read_to_string(items).map_err(Failure::io("read", items))?;
        for (seq, item) in text.lines().take(3).enumerate() {
            self.line(format_args!("item {:>4}  {item}", seq + 1))?;
        }
        self.line("         ...")
    }
}

/// What came of it.
struct Told<'a> {
    ended: &'a Ended,
    /// The seller's and the buyer's.
    books: &'a [Report; 2],
    seconds: f64,
    /// What the ledger really is, where it only behaves like one.
    double: Option<Double>,
}

/// Tells what came of it, and fails unless both books are clean and everything is paid.
fn tell(demo: &Demo, dir: &Path, told: &Told<'_>) -> Outcome {
    let Told { ended, books, seconds, double } = *told;
    let wrong = |why: String| Failure::new(Exit::Wrong, why);
    let [seller, buyer] = books;
    for (side, book) in [("seller", seller), ("buyer", buyer)] {
        if let Some(problem) = book.problems.first() {
            let (entry, what) = (problem.entry, &problem.what);
            return Err(wrong(format!("the {side}'s journal, entry {entry}: {what}")));
        }
    }
    let ours = |book: &'_ Report| {
        book.statements.iter().find(|s| Some(s.session) == ended.session).cloned()
    };
    let (Some(sold), Some(bought)) = (ours(seller), ours(buyer)) else {
        return Err(Failure::new(Exit::Failed, format!("no session came about: {}", ended.why)));
    };
    let anchors: Vec<_> = sold.anchors.iter().chain(&bought.anchors).collect();
    let anchored = anchors.iter().filter(|anchor| anchor.evidence.is_some()).count();
    let journals = [dir.join("seller-journal"), dir.join("buyer-journal")];
    if demo.json {
        out::json(&json!({
            "items": sold.items_delivered,
            "windows": sold.windows,
            "granularity": sold.granularity,
            "currency": sold.last.currency,
            "owed": sold.last.invoiced,
            "paid": sold.last.settled,
            "anchored": anchored,
            "journal": { "seller": journals[0], "buyer": journals[1] },
            "seconds": seconds,
            "double": double.is_some(),
        }))?;
    } else {
        summary(&sold, anchored, anchors.len(), seconds, dir)?;
        if let Some(Double { of, .. }) = double {
            out::line(format_args!(
                "\nPlayed on a double of {of}, which proves nothing of a real one."
            ))?;
        }
    }
    let paid =
        sold.last.invoiced == sold.last.settled && bought.last.invoiced == bought.last.settled;
    if ended.end != End::Complete || !paid || anchored != anchors.len() {
        return Err(wrong(format!("the session did not end paid and anchored: {}", ended.why)));
    }
    Ok(())
}

fn summary(sold: &Statement, anchored: usize, anchors: usize, seconds: f64, dir: &Path) -> Outcome {
    let money = |amount: Amount| {
        format!("{} {}", amount.to_decimal(sold.last.decimals), sold.last.currency)
    };
    let (owed, paid) = (money(sold.last.invoiced), money(sold.last.settled));
    let (items, windows, k) = (sold.items_delivered, sold.windows, sold.granularity);
    out::line(format_args!(
        "\n{items} items in {windows} windows of {k}: {owed} owed, {paid} paid, in {seconds:.1} s"
    ))?;
    out::line(format_args!("{anchored} of {anchors} records anchored on {}", sold.last.ledger))?;
    out::line("both journals audited against the ledger: nothing wrong")?;
    let at = |name: &str| out::typed(&dir.join(name));
    out::line(format_args!("\nEverything is in {}; look at it with", dir.display()))?;
    out::line(format_args!(
        "  sdpp audit --journal {} --config {}",
        at("seller-journal"),
        at("seller.toml")
    ))?;
    out::line(format_args!("  sdpp journal list --journal {}", at("buyer-journal")))
}

#[cfg(test)]
mod tests;
