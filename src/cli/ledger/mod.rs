//! `sdpp ledger`: ask the ledgers of a config, and serve one to other processes.

mod serve;

use super::exit::{Exit, Failure, Outcome};
use super::{out, wait_for};
use crate::config::Config;
use crate::config::ledgers::{Keyring, Opened, Transaction};
use crate::message::Moment;
use clap::{Args, Subcommand};
use sdpp_ledger::{Account, Amount, Asset, Call, Finality, LedgerError, TxId};
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;

/// Ask the ledgers of a config, or serve one.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger status --config seller.toml")]
pub(super) struct Ledger {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    List(List),
    Status(Status),
    Balance(Balance),
    Fund(Fund),
    Tx(Tx),
    Channels(Channels),
    Serve(serve::Serve),
}

/// List the ledgers of a config. Asks nobody.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger list --config seller.toml")]
struct List {
    #[command(flatten)]
    which: Which,
}

/// Show how ledgers are: which chain, how high, our account and its next number.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger status --config seller.toml --json")]
struct Status {
    #[command(flatten)]
    which: Which,
}

/// Show what an account holds.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger balance --config buyer.toml")]
struct Balance {
    #[command(flatten)]
    which: Which,
    /// Whose; our own if not said.
    #[arg(long)]
    account: Option<Account>,
}

/// Have a ledger's faucet create money. Asked twice it creates twice.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger fund 1000000 --config buyer.toml")]
struct Fund {
    /// How much, in the asset's smallest unit.
    amount: Amount,
    #[command(flatten)]
    which: Which,
    /// For whom; our own account if not said.
    #[arg(long)]
    account: Option<Account>,
    /// What; the ledger's own coin if not said.
    #[arg(long, default_value = "coin")]
    asset: Asset,
}

/// Show a transaction, or an account's newest ones.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger tx --config buyer.toml --limit 5")]
struct Tx {
    /// The transaction's id; the newest ones of the account if not said.
    id: Option<TxId>,
    #[command(flatten)]
    which: Which,
    /// Whose newest; our own if not said.
    #[arg(long, conflicts_with = "id")]
    account: Option<Account>,
    /// How many at most.
    #[arg(long, default_value_t = 20, conflicts_with = "id")]
    limit: u32,
}

/// Show the payment channels that an account pays into or is paid from.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger channels --config seller.toml")]
struct Channels {
    #[command(flatten)]
    which: Which,
    /// Whose; our own if not said.
    #[arg(long)]
    account: Option<Account>,
}

#[derive(Args)]
struct Which {
    /// The config that names the ledgers.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// One of them by its name there; all if not said.
    #[arg(long, value_name = "NAME")]
    ledger: Option<String>,
    /// Answer with JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// The ledgers that a command is about.
struct Chosen {
    config: Config,
    names: Vec<String>,
    json: bool,
    keys: Keyring,
}

impl Ledger {
    pub(super) fn run(self) -> Outcome {
        match self.verb {
            Verb::List(List { which }) => which.choose()?.list(),
            Verb::Status(Status { which }) => wait_for(which.choose()?.status()),
            Verb::Balance(balance) => wait_for(balance.run()),
            Verb::Fund(fund) => wait_for(fund.run()),
            Verb::Tx(tx) => wait_for(tx.run()),
            Verb::Channels(channels) => wait_for(channels.run()),
            Verb::Serve(serve) => wait_for(serve.run()),
        }
    }
}

impl Balance {
    async fn run(self) -> Outcome {
        let mut chosen = self.which.choose()?;
        for name in chosen.names.clone() {
            let opened = chosen.open(&name).await?;
            let ledger = opened.ledger();
            let account = self.account.as_ref().unwrap_or(ledger.account());
            let Some(payments) = ledger.payments() else { continue };
            for (asset, symbol, decimals) in chosen.assets(&name) {
                let amount = payments.balance(account, &asset).await.map_err(at(&name))?;
                chosen.print(
                    &format!("{name}  {account}  {} {symbol}", amount.to_decimal(decimals)),
                    &json!({
                        "ledger": name, "account": account, "asset": asset, "amount": amount,
                        "symbol": symbol, "decimals": decimals,
                    }),
                )?;
            }
        }
        Ok(())
    }
}

impl Fund {
    async fn run(self) -> Outcome {
        let mut chosen = self.which.choose()?;
        let name = chosen.only()?;
        let opened = chosen.open(&name).await?;
        let account = self.account.as_ref().unwrap_or(opened.ledger().account());
        opened.fund(account, &self.asset, self.amount).await.map_err(at(&name))?;
        let balance = match opened.ledger().payments() {
            Some(payments) => payments.balance(account, &self.asset).await.map_err(at(&name))?,
            None => Amount::ZERO,
        };
        let (asset, amount) = (&self.asset, self.amount);
        chosen.print(
            &format!("{account} was given {amount} of {asset} on {name} and holds {balance}"),
            &json!({
                "ledger": name, "account": account, "asset": asset, "amount": amount,
                "balance": balance,
            }),
        )
    }
}

impl Tx {
    async fn run(self) -> Outcome {
        let mut chosen = self.which.choose()?;
        let mut found = 0;
        for name in chosen.names.clone() {
            let opened = chosen.open(&name).await?;
            let transactions = match &self.id {
                Some(id) => opened.transaction(id).await.map(Vec::from_iter),
                None => {
                    let account = self.account.as_ref().unwrap_or(opened.ledger().account());
                    opened.history(account, self.limit).await
                }
            };
            for transaction in transactions.map_err(at(&name))? {
                found += 1;
                let line = ShownTx::new(&name, &transaction);
                chosen.print(&line.to_string(), &line)?;
            }
        }
        match &self.id {
            Some(id) if found == 0 => Err(Failure::new(
                Exit::Failed,
                format!("no ledger that was asked knows transaction {id}"),
            )),
            _ => Ok(()),
        }
    }
}

impl Channels {
    async fn run(self) -> Outcome {
        let mut chosen = self.which.choose()?;
        for name in chosen.names.clone() {
            let opened = chosen.open(&name).await?;
            let account = self.account.as_ref().unwrap_or(opened.ledger().account());
            for (id, channel) in opened.channels(account).await.map_err(at(&name))? {
                let (deposit, settled) = (channel.deposit, channel.settled);
                let state = match (channel.finalized, channel.close_requested_ms) {
                    (true, _) => "closed",
                    (false, Some(_)) => "closing",
                    (false, None) => "open",
                };
                let (payer, payee) = (&channel.payer, &channel.payee);
                chosen.print(
                    &format!("{name}  {id}  {state}  {payer} to {payee}  {settled} of {deposit}"),
                    &json!({ "ledger": name, "channel": id, "state": state, "of": channel }),
                )?;
            }
        }
        Ok(())
    }
}

impl Which {
    fn choose(&self) -> Outcome<Chosen> {
        let config = Config::load(&self.config)?;
        let all = || config.ledgers.keys().cloned().collect::<Vec<_>>();
        let names = match &self.ledger {
            None => all(),
            Some(name) if config.ledgers.contains_key(name) => vec![name.clone()],
            Some(name) => {
                let (file, known) = (self.config.display(), all().join(", "));
                let why = format!("{file} has no ledger {name:?}: name one of {known}");
                return Err(Failure::usage(why));
            }
        };
        Ok(Chosen { config, names, json: self.json, keys: Keyring::default() })
    }
}

impl Chosen {
    async fn open(&mut self, name: &str) -> Outcome<Opened> {
        Ok(Opened::open(&self.config, name, &mut self.keys).await?)
    }

    fn only(&self) -> Outcome<String> {
        match &self.names[..] {
            [name] => Ok(name.clone()),
            names => {
                let why = format!("say which with --ledger: there are {}", names.join(", "));
                Err(Failure::usage(why))
            }
        }
    }

    /// The assets that the config knows on a ledger, with symbol and decimals; its own coin where
    /// it knows none.
    fn assets(&self, ledger: &str) -> Vec<(Asset, String, u8)> {
        let mut assets: Vec<(Asset, String, u8)> = Vec::new();
        for currency in self.config.currencies.values().filter(|c| c.ledger == ledger) {
            if assets.iter().all(|(asset, ..)| *asset != currency.asset) {
                let symbol = currency.symbol.clone();
                assets.push((currency.asset.clone(), symbol, currency.decimals));
            }
        }
        if assets.is_empty() {
            assets.push((Asset::coin(), "coin".to_owned(), 0));
        }
        assets
    }

    fn list(&self) -> Outcome {
        for name in &self.names {
            let Some(ledger) = self.config.ledgers.get(name) else { continue };
            let (place, key, patience_ms) =
                (ledger.at.to_string(), ledger.key.to_string(), ledger.patience_ms);
            self.print(
                &format!("{name}  {place}  signed with {key}"),
                &json!({ "ledger": name, "at": place, "key": key, "patience_ms": patience_ms }),
            )?;
        }
        Ok(())
    }

    /// One that cannot be reached does not hide the others.
    async fn status(mut self) -> Outcome {
        let mut first = Ok(());
        for name in self.names.clone() {
            if let Err(failure) = self.status_of(&name).await {
                if failure.exit != Exit::Ledger {
                    return Err(failure);
                }
                if first.is_ok() {
                    first = Err(failure);
                } else {
                    tracing::warn!("{failure}");
                }
            }
        }
        first
    }

    async fn status_of(&mut self, name: &str) -> Outcome {
        let opened = self.open(name).await?;
        let ledger = opened.ledger();
        let status = ledger.status().await.map_err(at(name))?;
        let next_number = ledger.next_number().await.map_err(at(name))?;
        let (id, account) = (ledger.id(), ledger.account());
        let (height, depth) = (status.height, status.depth);
        let time = Moment(status.at_ms);
        self.print(
            &format!(
                "{name}  {id}  height {height} at {time}, final at depth {depth}  account \
                 {account}, next number {next_number}"
            ),
            &json!({
                "ledger": name, "id": id, "height": height, "at": time, "depth": depth,
                "account": account, "next_number": next_number,
            }),
        )
    }

    fn print(&self, line: &str, json: &impl Serialize) -> Outcome {
        if self.json { out::json(json) } else { out::line(line) }
    }
}

/// A transaction as it is shown.
#[derive(Serialize)]
struct ShownTx<'a> {
    ledger: &'a str,
    tx: &'a TxId,
    from: &'a Account,
    number: u64,
    finality: &'static str,
    height: Option<u64>,
    /// Why it had no effect.
    why: Option<&'a str>,
    call: &'a Call,
}

impl<'a> ShownTx<'a> {
    fn new(ledger: &'a str, transaction: &'a Transaction) -> Self {
        let Transaction { tx, from, number, call, finality } = transaction;
        let (finality, height, why) = match finality {
            Finality::Unknown => ("unknown", None, None),
            Finality::Pending(place) => ("pending", place.as_ref().map(|p| p.height), None),
            Finality::Final(evidence) => ("final", Some(evidence.height), None),
            Finality::Replaced => ("replaced", None, None),
            Finality::Reverted { why, evidence } => {
                ("reverted", Some(evidence.height), Some(why.as_str()))
            }
        };
        ShownTx { ledger, tx, from, number: *number, finality, height, why, call }
    }
}

impl std::fmt::Display for ShownTx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ShownTx { ledger, tx, from, number, finality, .. } = self;
        write!(f, "{ledger}  {tx}  {finality}  number {number} of {from}  ")?;
        match self.call {
            Call::Anchor(_) => f.write_str("anchor"),
            Call::Transfer(to) => write!(f, "pays {} of {} to {}", to.amount, to.asset, to.to),
            Call::Open(open) => {
                write!(f, "opens a channel to {} with {}", open.payee, open.deposit)
            }
            Call::TopUp(top_up) => write!(f, "adds {} to a channel", top_up.amount),
            Call::Settle(redeem) => write!(f, "settles {}", redeem.amount),
            Call::Close(redeem) => write!(f, "closes a channel at {}", redeem.amount),
            Call::RequestClose(_) => f.write_str("asks to close a channel"),
            Call::Withdraw(_) => f.write_str("withdraws from a channel"),
            Call::SettleMany(batch) => write!(f, "settles {} channels", batch.rows.len()),
            Call::CloseMany(batch) => write!(f, "closes {} channels", batch.rows.len()),
            Call::Approve(approve) => write!(f, "lets the escrow take {}", approve.asset),
        }?;
        self.why.map_or(Ok(()), |why| write!(f, "  without effect: {why}"))
    }
}

fn at(name: &str) -> impl FnOnce(LedgerError) -> Failure + '_ {
    move |error| Failure::new(Exit::Ledger, format!("ledger {name}: {error}"))
}
