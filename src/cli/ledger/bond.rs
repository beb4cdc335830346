//! `sdpp ledger bond`: how large the bonds of a channel must be, which asks nobody; and pledging them.

use super::pledge::Pledge;
use crate::bond::{Bonds, Deal, Gas, GasPrice};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::out;
use crate::message::Menu;
use crate::terms::{BondTerms, Dataset, Method, Rate};
use clap::{ArgGroup, Args, Subcommand};
use sdpp_ledger::{Amount, Asset};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The bonds of both sides of a channel.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp ledger bond suggest --price 2000000000000 --granularity 100 \
                        --windows 2 --million-gas 1000000000000..4000000000000"
)]
pub(super) struct Bond {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Suggest(Suggest),
    #[command(flatten)]
    Pledge(Box<Pledge>),
}

/// Propose the smallest bonds with which neither side gains by cheating.
///
/// What is sold comes from a menu that `sdpp menu ADDR --json` has written, or is given. Why the
/// bonds are what they are, and what no bond covers, stands in contracts/ethereum/BONDS.md.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp menu 127.0.0.1:9620 --json > menu.json\n  sdpp ledger bond suggest \
                  --menu menu.json --topic gas --currency ETH --million-gas \
                  1000000000000000..4000000000000000",
    group = ArgGroup::new("what").required(true).args(["menu", "price"])
)]
struct Suggest {
    /// A menu, as `sdpp menu --json` prints it.
    #[arg(long, value_name = "FILE", requires_all = ["topic", "currency"])]
    menu: Option<PathBuf>,
    /// The topic, as the menu names it.
    #[arg(long, requires = "menu")]
    topic: Option<String>,
    /// The currency, as the menu names it; it must be offered by escrow.
    #[arg(long, requires = "menu")]
    currency: Option<String>,
    /// What an item costs, in the currency's smallest unit.
    #[arg(long, requires_all = ["granularity", "windows"])]
    price: Option<Amount>,
    /// K, the items in a window; the menu's if not said.
    #[arg(long, value_name = "K")]
    granularity: Option<u32>,
    /// W, the windows that may be unpaid; the menu's if not said.
    #[arg(long, value_name = "W")]
    windows: Option<u32>,
    /// The currency is a token, whose calls cost more; where a menu is given, it says so.
    #[arg(long, conflicts_with = "menu")]
    token: bool,
    /// What a million units of gas cost in the currency's smallest unit while the bond stands: at the
    /// least and at the most.
    #[arg(long, value_name = "LEAST..MOST")]
    million_gas: Span,
    /// Answer with JSON, one object.
    #[arg(long)]
    json: bool,
}

/// Two amounts, the smaller first; one stands for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    least: Amount,
    most: Amount,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let amount = |text: &str| {
            Amount::from_str(text).map_err(|error| format!("{text:?} is no amount: {error}"))
        };
        let (least, most) = (amount(least)?, amount(most)?);
        if least > most {
            return Err(format!("{least} is more than {most}"));
        }
        Ok(Span { least, most })
    }
}

/// What is sold, as far as it matters for bonds.
struct Sold {
    price: Amount,
    rate: Rate,
    granularity: u32,
    windows: u32,
    is_token: bool,
    /// Where they are of a dataset: how long the way up of its items is.
    levels: u64,
}

/// What is answered.
#[derive(Serialize)]
struct Suggested {
    #[serde(flatten)]
    bonds: Bonds,
    /// What a window costs.
    window: Amount,
    /// What may be unpaid.
    credit: Amount,
    million_gas: GasPrice,
}

impl Bond {
    pub(super) fn run(self) -> Outcome {
        match self.verb {
            Verb::Suggest(suggest) => suggest.run(),
            Verb::Pledge(pledge) => pledge.run(),
        }
    }
}

impl Suggest {
    fn run(self) -> Outcome {
        let sold = self.sold()?;
        let (window, credit) = sold.costs().ok_or_else(|| {
            Failure::usage("what W windows of K items cost does not fit 128 bits")
        })?;
        let gas = Gas::COIN.of_dataset(sold.levels);
        let gas = if sold.is_token { gas.in_token() } else { gas };
        let Span { least, most } = self.million_gas;
        let million_gas = GasPrice { least, most };
        let deal = Deal::new(window, credit, gas, million_gas).map_err(Failure::usage)?;
        let bonds = deal.bonds().map_err(Failure::usage)?;
        let suggested = Suggested { bonds, window, credit, million_gas };
        if self.json { out::json(&suggested) } else { out::line(suggested) }
    }

    fn sold(&self) -> Outcome<Sold> {
        let mut sold = match (&self.menu, self.price) {
            (Some(path), _) => self.on_menu(path)?,
            (None, price) => Sold {
                price: price.unwrap_or_default(),
                rate: Rate::ONE,
                granularity: 0,
                windows: 0,
                is_token: self.token,
                levels: 0,
            },
        };
        sold.granularity = self.granularity.unwrap_or(sold.granularity);
        sold.windows = self.windows.unwrap_or(sold.windows);
        Ok(sold)
    }

    fn on_menu(&self, path: &Path) -> Outcome<Sold> {
        let menu = menu(path)?;
        let (topic, name) = (self.topic.as_deref(), self.currency.as_deref());
        let (topic, name) = (topic.unwrap_or_default(), name.unwrap_or_default());
        let Some(price) = menu.prices.get(topic) else {
            return Err(Failure::usage(format!("the menu has no topic {topic:?}")));
        };
        let Some(offer) = menu.currency(name, Method::Escrow) else {
            let why =
                format!("the menu has no currency {name:?} by escrow: bonds are for channels");
            return Err(Failure::usage(why));
        };
        // What some pay may be more.
        let special = menu.special_prices.iter().filter(|special| special.topic == topic);
        let price = special.map(|special| special.price).fold(*price, Amount::max);
        Ok(Sold {
            price,
            rate: offer.rate,
            granularity: menu.payment_granularity,
            windows: menu.credit_windows,
            is_token: offer.asset != Asset::coin(),
            levels: levels(&menu, topic)?,
        })
    }
}

/// How long the way up of an item is that the menu promises.
fn levels(menu: &Menu, topic: &str) -> Outcome<u64> {
    let Some(root) = menu.datasets.get(topic).copied() else { return Ok(0) };
    let count = menu.available_data.get(topic).copied().flatten().unwrap_or(u64::MAX);
    let count = u32::try_from(count).ok().filter(|count| *count <= BondTerms::ITEMS_MAX);
    let too_many = || {
        let most = BondTerms::ITEMS_MAX;
        Failure::usage(format!(
            "topic {topic:?} is a dataset of more than {most} items: none is sold under a bond"
        ))
    };
    Ok(Dataset { root, count: count.ok_or_else(too_many)? }.depth() as u64)
}

/// A menu, as `sdpp menu --json` wrote it.
pub(super) fn menu(path: &Path) -> Outcome<Menu> {
    let text = std::fs::read(path).map_err(Failure::io("read", path))?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::usage(format!("{} is no menu: {error}", path.display())))
}

impl Sold {
    /// What a window costs, and what may be unpaid, both rounded up.
    fn costs(&self) -> Option<(Amount, Amount)> {
        let Sold { price, rate, granularity, windows, .. } = self;
        let cost = |items: u64| {
            let total = price.checked_mul(items.into())?.checked_mul(rate.numerator.units())?;
            Some(Amount::new(total.units().div_ceil(rate.denominator.units().max(1))))
        };
        let (k, w) = (u64::from(*granularity), u64::from(*windows));
        Some((cost(k)?, cost(k.checked_mul(w)?)?))
    }
}

impl fmt::Display for Suggested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Suggested { bonds, window, credit, million_gas } = self;
        let Bonds { buyer, seller, stake, fee, least_debt } = bonds;
        let GasPrice { least, most } = million_gas;
        writeln!(
            f,
            "all in the currency's smallest unit, with a million gas at {least} to {most}"
        )?;
        writeln!(f, "the buyer pledges     {buyer}  (it can owe {credit})")?;
        writeln!(f, "the seller pledges    {seller}  (a window costs {window})")?;
        writeln!(f, "a complaint's stake   {stake}")?;
        writeln!(f, "the fee for a demand  {fee}")?;
        write!(f, "debts from {least_debt} on are worth a demand; smaller ones no bond collects")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_one_amount_or_two() {
        let span = |least, most| Span { least: Amount::new(least), most: Amount::new(most) };
        assert_eq!("7".parse(), Ok(span(7, 7)));
        assert_eq!("7..9".parse(), Ok(span(7, 9)));
        assert!("9..7".parse::<Span>().is_err_and(|why| why.contains("more than")));
        assert!("7..".parse::<Span>().is_err_and(|why| why.contains("no amount")));
    }

    #[test]
    fn costs_are_rounded_up_once() {
        let rate = Rate { numerator: Amount::new(1), denominator: Amount::new(3) };
        let sold = Sold {
            price: Amount::new(1),
            rate,
            granularity: 4,
            windows: 2,
            is_token: false,
            levels: 0,
        };
        assert_eq!(sold.costs(), Some((Amount::new(2), Amount::new(3))));
    }
}
