//! How long a window takes in a session that is paid by escrow, when each window is paid before the
//! next is served: on a chain, and on the embedded ledger, which answers at once.

use super::setting::{Spread, config, folder};
use crate::actors::buying::Event;
use crate::actors::random_key;
use crate::cli::anvil::{ANVIL, Anvil, fund};
use crate::cli::buy;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::Running;
use crate::cli::sell::Selling;
use crate::config::Config;
use crate::config::ledgers::Opened;
use crate::record::End;
use crate::session::Wish;
use sdpp_ledger::{Amount, Asset, Key};
use serde::Serialize;
use std::fs;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Windows of a session that are measured, after the first.
const WINDOWS: u64 = 100;

/// K.
const GRANULARITY: u64 = 10;

/// What the whole session costs, in the coin's smallest unit: one for each item.
const COST: u128 = ((WINDOWS + 1) * GRANULARITY) as u128;

/// What the channel is opened with: so much that it is never topped up.
const DEPOSIT: u128 = 4 * COST;

/// What each side is given on a chain, in wei, for the session and for gas: a tenth of an ether.
const ETHER: u128 = 100_000_000_000_000_000;

/// How long both sides may take to have everything final at the end.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);

/// Milliseconds for a window.
#[derive(Serialize)]
pub(super) struct PerWindow {
    /// By escrow on the chain.
    pub(super) chain: Spread,
    /// By escrow on the embedded ledger.
    pub(super) embedded: Spread,
}

/// Measures so many sessions on each, by turns.
pub(super) async fn measure(anvil: &Anvil, operator: &Opened, runs: u8) -> Outcome<PerWindow> {
    let on_chain = anvil.toml()?;
    let (mut chain, mut embedded) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        chain.push(session(&on_chain, Some(operator)).await?);
        embedded.push(session(EMBEDDED, None).await?);
    }
    Ok(PerWindow { chain: Spread::of(chain), embedded: Spread::of(embedded) })
}

/// Sells and buys in one process; the milliseconds for a window.
async fn session(shared: &str, operator: Option<&Opened>) -> Outcome<f64> {
    let dir = folder()?;
    let lines = dir.path().join("lines");
    let text = "one reading\n".repeat(usize::try_from(COST).unwrap_or(usize::MAX));
    fs::write(&lines, text).map_err(Failure::io("write", &lines))?;
    let [seller, buyer] = [load(&dir, SELLER, shared)?, load(&dir, BUYER, shared)?];
    let new_key = || random_key().map_err(|error| Failure::new(Exit::Failed, error));
    let [seller_key, buyer_key]: [Key; 2] = [new_key()?, new_key()?];
    let (name, giver) = match operator {
        Some(operator) => (ANVIL, operator.clone()),
        None => (LOCAL, Opened::open_to_read(&seller, LOCAL).await?),
    };
    let need = Amount::new(if operator.is_some() { ETHER } else { DEPOSIT });
    for key in [&seller_key, &buyer_key] {
        fund(&giver, &key.public().account(), &Asset::coin(), need).await?;
    }
    let ledgers = [giver.signed_by(seller_key.clone())?, giver.signed_by(buyer_key.clone())?];
    let selling_side = Running::start(&seller, seller_key, &[(name, &ledgers[0])])?;
    let buying_side = Running::start(&buyer, buyer_key, &[(name, &ledgers[1])])?;
    let selling = Selling::start(&seller, &selling_side).await?;
    let took = buy_all(&buyer, &buying_side, &selling_side, &selling).await?;
    selling.drain().await;
    for side in [&selling_side, &buying_side] {
        if let Some(left) = side.settle(SETTLE_WITHIN).await?.first() {
            let why = format!("{} obligations are still open on {}", left.count, left.ledger);
            return Err(Failure::new(Exit::Ledger, why));
        }
    }
    selling.stop();
    selling_side.stop();
    buying_side.stop();
    Ok(took.as_secs_f64() * 1_000.0 / WINDOWS as f64)
}

/// From the end of the first window, when the channel stands, to the end of the last.
async fn buy_all(
    config: &Config,
    buyer: &Running,
    seller: &Running,
    selling: &Selling,
) -> Outcome<Duration> {
    let none = || Failure::usage("the buyer has no [buyer]");
    let spending: Vec<_> = config.buyer.as_ref().ok_or_else(none)?.currencies.iter().collect();
    let wish = Wish {
        topic: "lines".to_owned(),
        quantity: None,
        currencies: buy::pinned(config, &spending, |name| buyer.ledger(name))?,
        max_total: None,
        seller: Some(seller.key.public()),
        bond: None,
    };
    let address = selling.address.to_string();
    let mut session = buy::start(&address, config, wish, buyer).await?;
    let (mut items, mut since, mut took) = (0, Instant::now(), Duration::ZERO);
    while let Some(event) = session.events.recv().await {
        if let Event::Item { .. } = event {
            items += 1;
            if items == GRANULARITY {
                since = Instant::now();
            }
            took = since.elapsed();
        }
    }
    let gone = |_| Failure::new(Exit::Failed, "the session's actor is gone");
    let ended = session.done.await.map_err(gone)?;
    if ended.end != End::Complete || u128::from(items) != COST {
        let why = format!("the session ended after {items} items: {}", ended.why);
        return Err(Failure::new(Exit::Failed, why));
    }
    Ok(took)
}

fn load(dir: &TempDir, (side, of_side): (&str, &str), shared: &str) -> Outcome<Config> {
    let text = format!("{shared}\n{of_side}");
    let text = text.replace("{DEPOSIT}", &DEPOSIT.to_string());
    config(dir, side, &text.replace("{K}", &GRANULARITY.to_string()))
}

/// The embedded ledger's name in the configs. Its currency is called as the chain's is.
const LOCAL: &str = "local";

const EMBEDDED: &str = r#"
[ledgers.local]
kind = "embedded"
dir = "ledger"

[currencies.ETH]
ledger = "local"
asset = "coin"
decimals = 18
methods = ["escrow"]
"#;

const SELLER: (&str, &str) = (
    "seller",
    r#"
[seller]
listen = "127.0.0.1:0"
granularity = {K}
credit_windows = 1

[topics.lines]
price = "1"
source = { kind = "file", path = "lines", format = "lines" }
"#,
);

const BUYER: (&str, &str) = (
    "buyer",
    r#"
[buyer]
currencies = [{ currency = "ETH", max_total = "{DEPOSIT}", deposit = "{DEPOSIT}" }]
"#,
);
