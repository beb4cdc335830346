//! `sdpp ledger`: ask the ledgers of a config, and serve one to other processes.

mod bond;
mod close;
mod deploy;
pub(in crate::cli) mod joining;
mod open;
mod opening;
mod pledge;
mod pledged;
mod policy;
mod serve;
mod shown;

use super::exit::{Exit, Failure, Outcome};
use super::{out, wait_for};
use crate::actors::now_ms;
use crate::cli::holdings::{Holding, assets, holdings, named};
use crate::config::ledgers::{Keyring, Opened};
use crate::config::{Config, Fabric, LedgerAt};
use crate::journal::{Journal, JournalError};
use crate::keystore::KeyFrom;
use crate::message::Moment;
use clap::{Args, Subcommand};
use sdpp_ledger::{Account, Amount, Asset, LedgerError, TxId};
use serde::Serialize;
use serde_json::json;
use shown::ShownTx;
use std::path::PathBuf;
use std::time::Duration;

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
    Open(open::Open),
    Fund(Fund),
    Tx(Tx),
    Channels(Channels),
    Close(close::Close),
    Bond(bond::Bond),
    Deploy(deploy::Deploy),
    Policy(policy::SettlingPolicy),
    Serve(serve::Serve),
}

/// List the ledgers of a config. Asks nobody.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger list --config seller.toml")]
struct List {
    #[command(flatten)]
    which: Which,
}

/// Show how ledgers are: which chain, how high and since when, our account and its next number.
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

/// Give an account money: asked twice it gives twice.
///
/// An embedded ledger's faucet creates it. On a chain it comes from the account of the config's
/// own key; on Fabric it is made where we are an admin of its organisation, and else comes from our
/// account; on IOTA the config's faucet gives us what it gives, and others are paid from ours. The
/// command waits until that is final.
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
    /// What; if not said the ledger's own coin, or where it has none the config's only money there.
    #[arg(long)]
    asset: Option<Asset>,
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

/// What an account holds, as one line of JSON.
#[derive(Serialize)]
struct Held<'a> {
    ledger: &'a str,
    account: &'a Account,
    #[serde(flatten)]
    held: &'a Holding,
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
            Verb::Open(open) => wait_for(open.run()),
            Verb::Fund(fund) => wait_for(fund.run()),
            Verb::Tx(tx) => wait_for(tx.run()),
            Verb::Channels(channels) => wait_for(channels.run()),
            Verb::Close(close) => close.run(),
            Verb::Bond(bond) => bond.run(),
            Verb::Deploy(deploy) => wait_for(deploy.run()),
            Verb::Policy(policy) => policy.run(),
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
            let held = holdings(&chosen.config, &name, &opened, account).await;
            for held in held.map_err(at(&name))? {
                let shown = Held { ledger: &name, account, held: &held };
                chosen.print(&format!("{name}  {account}  {held}"), &shown)?;
            }
        }
        Ok(())
    }
}

impl Fund {
    async fn run(self) -> Outcome {
        let mut chosen = self.which.choose()?;
        let name = chosen.only()?;
        let journal = chosen.hold_journal(&name, self.account.is_some())?;
        let asset = chosen.asset(&name, self.asset)?;
        let opened = chosen.open(&name).await?;
        if let Some(journal) = &journal {
            // What is on its way since then keeps its coins.
            let ledger = opened.ledger();
            ledger.note_live(&journal.reader().live(ledger.id(), ledger.account())?);
        }
        let own = opened.ledger().account();
        let account = self.account.as_ref().unwrap_or(own);
        if account == own {
            opened.open_account().await.map_err(at(&name))?;
        }
        let given = opened.fund(account, &asset, self.amount).await.map_err(at(&name))?;
        let balance = match opened.ledger().payments() {
            Some(payments) => payments.balance(account, &asset).await.map_err(at(&name))?,
            None => Amount::ZERO,
        };
        let of = named(&chosen.config, &name, &asset);
        let [money, holds] = [given, balance].map(|amount| of.money(amount));
        chosen.print(
            &format!("{account} was given {money} on {name} and holds {holds}"),
            &json!({
                "ledger": name, "account": account, "asset": asset, "amount": given,
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

    /// Keeps a node from starting that signs with the same key, where that would give one number
    /// to two transactions, or one coin: a faucet takes no coin of ours.
    fn hold_journal(&self, name: &str, spends_ours: bool) -> Outcome<Option<Journal>> {
        match self.config.ledgers.get(name).map(|ledger| &ledger.at) {
            Some(LedgerAt::Ethereum(_)) => {}
            Some(LedgerAt::Iota(_)) if spends_ours => {}
            Some(LedgerAt::Embedded(_) | LedgerAt::Fabric(_) | LedgerAt::Iota(_)) | None => {
                return Ok(None);
            }
        }
        let dir = &self.config.journal.dir;
        match Journal::open_existing(dir) {
            Ok(journal) => Ok(Some(journal)),
            Err(JournalError::Locked { pid, .. }) => {
                let who = pid.map_or("a process".to_owned(), |pid| format!("process {pid}"));
                let why = format!(
                    "{who} is running with this config's journal ({}) and key: stop it first, or \
                     use a config with another key",
                    dir.display()
                );
                Err(Failure::new(Exit::Failed, why))
            }
            // Then nobody runs with it either.
            Err(JournalError::NotAJournal(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is to be given on a ledger: what was said, or what there is only one of.
    fn asset(&self, ledger: &str, said: Option<Asset>) -> Outcome<Asset> {
        if let Some(asset) = said {
            return Ok(asset);
        }
        let has_coin = match self.config.ledgers.get(ledger).map(|ledger| &ledger.at) {
            Some(LedgerAt::Fabric(_)) => false,
            Some(LedgerAt::Embedded(_) | LedgerAt::Ethereum(_) | LedgerAt::Iota(_)) | None => true,
        };
        if has_coin {
            return Ok(Asset::coin());
        }
        let known = assets(&self.config, ledger).into_iter().map(|of| of.asset);
        let money: Vec<Asset> = known.filter(|asset| Fabric::unit_of(asset).is_none()).collect();
        match <[Asset; 1]>::try_from(money) {
            Ok([asset]) => Ok(asset),
            Err(_) => Err(Failure::usage("say what with --asset, such as --asset Org1MSP/USD")),
        }
    }

    fn list(&self) -> Outcome {
        for name in &self.names {
            let Some(ledger) = self.config.ledgers.get(name) else { continue };
            let (place, patience_ms) = (ledger.at.to_string(), ledger.patience_ms);
            let (key, signer) = (ledger.key.as_ref().map(KeyFrom::to_string), signer(&ledger.at));
            let by = match (&key, signer) {
                (Some(key), _) => format!("signed with {key}"),
                (None, Some(signer)) => format!("its gateway signs as {signer}"),
                (None, None) => "signed by nobody".to_owned(),
            };
            self.print(
                &format!("{name}  {place}  {by}"),
                &json!({
                    "ledger": name, "at": place, "key": key, "signer": signer,
                    "patience_ms": patience_ms,
                }),
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
        let next_number = match ledger.has_numbers() {
            true => Some(ledger.next_number().await.map_err(at(name))?),
            false => None,
        };
        let (id, account) = (ledger.id(), ledger.account());
        let (height, depth) = (status.height, status.depth);
        let time = Moment(status.at_ms);
        // A chain of one's own may rest; else its node has lost it.
        let age_s = now_ms().saturating_sub(status.at_ms) / 1_000;
        let age = humantime::format_duration(Duration::from_secs(age_s));
        let escrow = ledger.escrow();
        let contract = escrow.map(|escrow| &escrow.domain().contract);
        let grace_period_s = escrow.map(|escrow| escrow.grace_period().as_secs());
        let told = contract.map_or(String::new(), |contract| format!("  escrow {contract}"));
        let number = next_number.map_or(String::new(), |next| format!(", next number {next}"));
        let is_open = opened.is_open().await.map_err(at(name))?;
        let closed = if is_open { "" } else { ", not open yet" };
        self.print(
            &format!(
                "{name}  {id}  height {height} at {time}, its head is of {age} ago, final at depth \
                 {depth}  account {account}{number}{closed}{told}"
            ),
            &json!({
                "ledger": name, "id": id, "height": height, "at": time, "head_age_s": age_s,
                "depth": depth, "account": account, "next_number": next_number, "is_open": is_open,
                "escrow": contract, "grace_period_s": grace_period_s,
            }),
        )
    }

    fn print(&self, line: &str, json: &impl Serialize) -> Outcome {
        if self.json { out::json(json) } else { out::line(line) }
    }
}

/// Whom a gateway signs for, where one does.
fn signer(at: &LedgerAt) -> Option<&str> {
    match at {
        LedgerAt::Fabric(fabric) => Some(&fabric.signer),
        LedgerAt::Embedded(_) | LedgerAt::Ethereum(_) | LedgerAt::Iota(_) => None,
    }
}

fn at(name: &str) -> impl FnOnce(LedgerError) -> Failure + '_ {
    move |error| Failure::new(Exit::Ledger, format!("ledger {name}: {error}"))
}
