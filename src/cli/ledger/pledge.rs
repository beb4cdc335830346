//! `sdpp ledger bond open | join | show | add | revoke | release | end | retract | withdraw`: a bond of ours, by
//! our own wallet.

use super::opening::Open;
use super::pledged::{Part, Wants};
use crate::cli::bonding::{OnLedger, bonds_of};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use crate::cli::running::{Running, Signals, in_system};
use crate::config::Config;
use crate::config::ledgers::{Keyring, Ledgers, Opened};
use crate::journal::bonds::bond_act;
use crate::session::hindrance;
use clap::{Args, Subcommand};
use sdpp_ledger::bond::Held;
use sdpp_ledger::{Amount, Bond, BondAct, BondId, Ledger};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// What is done about a bond of ours.
#[derive(Subcommand)]
pub(super) enum Pledge {
    /// Agree on a bond for a channel and pledge our part: the other side joins it by its id, and a seller that
    /// says so in its config by itself, once there is an order under it.
    ///
    /// Typed twice it pledges once. The amounts are in the channel's currency, in its smallest unit; see
    /// `sdpp ledger bond suggest`.
    #[command(
        after_help = "Example:\n  sdpp menu 127.0.0.1:9620 --json > menu.json\n  sdpp ledger bond open --menu menu.json --currency ETH --config buyer.toml\n  sdpp ledger bond open 0xCHANNEL --seller-key KEY --buyer 400 --seller 301 --stake 20 --fee 10 --config buyer.toml"
    )]
    Open(Open),
    /// Pledge our part of a bond that the other side has opened.
    #[command(
        after_help = "Example:\n  sdpp ledger bond join 0xBOND --at-most 301 --config seller.toml"
    )]
    Join(Join),
    /// Show how a bond stands.
    #[command(after_help = "Example:\n  sdpp ledger bond show 0xBOND --config buyer.toml")]
    Show(Which),
    /// Add to our part: what fees have eaten is filled up again.
    #[command(
        after_help = "Example:\n  sdpp ledger bond add 0xBOND --amount 10 --config buyer.toml"
    )]
    Add(Add),
    /// Take back a pledge that the other side has not answered with its own.
    #[command(after_help = "Example:\n  sdpp ledger bond revoke 0xBOND --config buyer.toml")]
    Revoke(Which),
    /// Let the other side's part go at once.
    #[command(after_help = "Example:\n  sdpp ledger bond release 0xBOND --config seller.toml")]
    Release(Which),
    /// Ask for the end of a bond and, run again when that may be, have back what is left.
    #[command(after_help = "Example:\n  sdpp ledger bond end 0xBOND --config buyer.toml")]
    End(Which),
    /// Seller: take back a demand that waits for its answer, with its stake.
    #[command(after_help = "Example:\n  sdpp ledger bond retract 0xBOND --config seller.toml")]
    Retract(Which),
    /// Take out what the bonds have credited to us in the bond's currency, of whichever bond.
    #[command(after_help = "Example:\n  sdpp ledger bond withdraw 0xBOND --config seller.toml")]
    Withdraw(Which),
}

/// Which bond, where.
#[derive(Args)]
pub(super) struct Which {
    /// The bond.
    #[arg(value_name = "BOND")]
    id: BondId,
    #[command(flatten)]
    place: Place,
}

/// Where.
#[derive(Args)]
pub(super) struct Place {
    /// The config whose wallet pledges.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The ledger, by its name in the config; where one alone holds bonds it need not be said.
    #[arg(long, value_name = "NAME")]
    ledger: Option<String>,
    /// Answer with JSON, one object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Join {
    #[command(flatten)]
    which: Which,
    /// The most that we pledge.
    #[arg(long, value_name = "AMOUNT")]
    at_most: Amount,
    #[command(flatten)]
    wants: Wants,
}

#[derive(Args)]
pub(super) struct Add {
    #[command(flatten)]
    which: Which,
    /// How much, in the currency's smallest unit.
    #[arg(long, value_name = "AMOUNT")]
    amount: Amount,
}

impl Pledge {
    pub(super) fn run(self) -> Outcome {
        in_system(self.done())
    }

    /// The bond that is meant; or, where there is none yet, what it is to be.
    fn which(&self) -> Result<&Which, &Open> {
        match self {
            Pledge::Open(open) => Err(open),
            Pledge::Join(Join { which, .. }) | Pledge::Add(Add { which, .. }) => Ok(which),
            Pledge::Show(which) | Pledge::Revoke(which) | Pledge::Release(which) => Ok(which),
            Pledge::End(which) | Pledge::Retract(which) | Pledge::Withdraw(which) => Ok(which),
        }
    }

    async fn done(self) -> Outcome {
        let place = match self.which() {
            Ok(which) => &which.place,
            Err(open) => &open.place,
        };
        let config = Config::load(&place.config)?;
        let mut keys = Keyring::default();
        let key = keys.open(&config.identity)?;
        let opened = Ledgers::open(&config, &mut keys).await?;
        let opened: Vec<(&str, &Opened)> = opened.iter().collect();
        let running = Running::start(&config, key, &opened)?;
        let ledger = ledger(&running, place.ledger.as_deref())?;
        let mut signals = Signals::listen()?;
        tokio::select! {
            done = self.on((&config, &running), ledger, place) => done,
            () = signals.next() => {
                let why = "ended before it was final: what is owed goes on at the next start";
                Err(Failure::new(Exit::Failed, why))
            }
        }
    }

    async fn on(
        &self,
        (config, running): (&Config, &Running),
        ledger: Arc<dyn Ledger>,
        place: &Place,
    ) -> Outcome {
        let on = match self.which() {
            Ok(which) => OnLedger::find(&running.reader, ledger, which.id).await?,
            Err(open) => open.on(ledger, config, running).await?,
        };
        self.check(&on, config, running).await?;
        let (was, mut steps) = match on.under_way(running).await? {
            Some((act, step)) => (bond_act(&act).cloned(), vec![step]),
            None => (None, Vec::new()),
        };
        for act in self.acts((&on, running), was.as_ref()).await? {
            steps.push(on.done(running, act).await?);
        }
        if self.takes_out() && on.credited().await? > Amount::ZERO {
            steps.push(on.done(running, BondAct::Withdraw).await?);
        }
        let held = on.held().await?;
        if place.json {
            let Bond { channel, buyer_key, seller_key, .. } = &on.bond;
            let Bond { buyer_amount, seller_amount, stake, fee, .. } = &on.bond;
            return out::json(&json!({
                "bond": on.id, "channel": channel, "buyer_key": buyer_key, "seller_key": seller_key,
                "buyer": buyer_amount, "seller": seller_amount, "stake": stake, "fee": fee,
                "steps": steps, "held": held,
            }));
        }
        out::line(line(&on, &held))
    }

    /// Whether our part may be pledged: nothing else that is done about a bond puts more at risk.
    async fn check(&self, on: &OnLedger, config: &Config, running: &Running) -> Outcome {
        let joined = match self {
            Pledge::Open(_) => None,
            Pledge::Join(join) => Some((&join.wants, join.at_most)),
            _ => return Ok(()),
        };
        Part::of(on, config, running).check(joined).await
    }

    /// What is to be done, in order; nothing that is done already. `was` is what this command, or one
    /// before it, had under way.
    async fn acts(
        &self,
        (on, running): (&OnLedger, &Running),
        was: Option<&BondAct>,
    ) -> Outcome<Vec<BondAct>> {
        let (own, is_seller) = (on.ledger.account(), on.is_sellers());
        let is_looked_at = matches!(self, Pledge::Show(_));
        if !is_seller && *own != on.bond.buyer && !is_looked_at {
            let why = format!("bond {} is not between {own} and another", on.id);
            return Err(Failure::usage(why));
        }
        let held = bonds_of(on.ledger.as_ref())?.held(&on.bond).await?;
        let held = held.as_ref();
        let is_in = held.is_some_and(|held| if is_seller { held.seller_in } else { held.buyer_in });
        let theirs = held.map(|held| if is_seller { held.of_buyer } else { held.of_seller });
        let mut acts = match self {
            Pledge::Open(_) | Pledge::Join(_) if is_in => Vec::new(),
            Pledge::Open(_) | Pledge::Join(_) => vec![BondAct::Pledge],
            Pledge::Show(_) => Vec::new(),
            Pledge::Add(Add { amount, .. }) => vec![BondAct::Add { amount: *amount }],
            Pledge::Revoke(_) if held.is_some_and(|held| held.revoked) => Vec::new(),
            Pledge::Revoke(_) => vec![BondAct::Revoke],
            Pledge::Release(_) if theirs == Some(Amount::ZERO) => Vec::new(),
            Pledge::Release(_) => vec![BondAct::Release],
            Pledge::End(_) => ending(on, running, held).await?,
            Pledge::Retract(_) if held.is_some_and(|held| held.demanded_until_ms.is_none()) => {
                Vec::new()
            }
            Pledge::Retract(_) => vec![BondAct::Retract],
            Pledge::Withdraw(_) => Vec::new(),
        };
        // It was on its way when the command was killed that is typed again.
        acts.retain(|act| Some(act) != was);
        Ok(acts)
    }

    /// Whether what is credited to us then is taken out.
    fn takes_out(&self) -> bool {
        matches!(
            self,
            Pledge::Revoke(_) | Pledge::End(_) | Pledge::Retract(_) | Pledge::Withdraw(_)
        )
    }
}

/// How a bond comes to its end: it is asked for and, once that may be, it is ended from here too, so that
/// the journal knows that nothing more can come of it.
async fn ending(on: &OnLedger, running: &Running, held: Option<&Held>) -> Outcome<Vec<BondAct>> {
    let now_ms = on.ledger.status().await?.at_ms;
    Ok(match held.and_then(|held| held.ends_ms) {
        None => vec![BondAct::RequestEnd],
        Some(ends_ms) if now_ms >= ends_ms && !running.reader.is_bond_over(&on.id)? => {
            vec![BondAct::End]
        }
        Some(_) => Vec::new(),
    })
}

/// The ledger that is meant.
fn ledger(running: &Running, name: Option<&str>) -> Outcome<Arc<dyn Ledger>> {
    if let Some(name) = name {
        let none = || Failure::usage(format!("the config has no ledger {name:?}"));
        return running.ledger(name).cloned().ok_or_else(none);
    }
    let mut able = running.ledgers.values().filter(|ledger| ledger.bonds().is_some());
    match (able.next(), able.next()) {
        (Some(one), None) => Ok(one.clone()),
        (None, _) => Err(Failure::usage(
            "no ledger of this config holds bonds: write bonds = \"0x...\" where it names a chain",
        )),
        _ => Err(Failure::usage("several ledgers hold bonds: say which with --ledger")),
    }
}

fn line(on: &OnLedger, held: &Held) -> String {
    let OnLedger { id, bond, .. } = on;
    let Held { of_buyer, of_seller, .. } = held;
    let state = hindrance(bond, held);
    let state = state.map_or("in force".to_owned(), |why| format!("not in force: {why}"));
    let Bond { channel, buyer_key, seller_key, buyer_amount, seller_amount, stake, fee, .. } = bond;
    format!(
        "{id}\nfor channel {channel}: {of_buyer} of the buyer's and {of_seller} of the seller's; {state}\n\
         agreed: {buyer_amount} of the buyer's, whose key is {buyer_key}, and {seller_amount} of the \
         seller's, whose key is {seller_key}; a complaint's stake {stake}, the fee for a demand {fee}"
    )
}
