//! `sdpp dispute settle`: carries what a session left behind to the ledger that holds the money.

use super::bonded::{Chamber, Suit};
use super::case::Case;
use super::claim::Claim;
use super::settling::{self, Ground};
use super::told::{self, failed};
use crate::actors::Ledgers as Known;
use crate::actors::busy::Busy;
use crate::actors::now_ms;
use crate::admin::{Client, Settling};
use crate::cli::book::{Book, misfit};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use crate::cli::running::{Running, Signals, in_system};
use crate::config::Config;
use crate::config::ledgers::{Keyring, Ledgers, Opened};
use crate::journal::{Journal, JournalError, Write};
use crate::message::Moment;
use crate::terms::{Method, Role, SessionId};
use clap::Args;
use sdpp_ledger::{Amount, Key};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often is asked how far it is: at first, and at the most when it takes long.
const LOOK_FIRST: Duration = Duration::from_millis(100);
const LOOK_AT_MOST: Duration = Duration::from_secs(5);

/// How long something that is to be done may stay undone because the journal does not know yet what
/// its ledger shows.
const UNOWED_AT_MOST: Duration = Duration::from_secs(60);

/// Carry what a session left behind to the ledger that holds the money.
///
/// By escrow a seller redeems its best voucher, also one whose channel's payer asked to close it:
/// then, or with --close, the channel is closed with it. A buyer asks the escrow to close the
/// channel and, run again after the grace period, withdraws what is left. Everything goes through
/// the journal's outbox: run again after a crash the command goes on, and nothing is done twice.
/// By transfer no escrow holds the money: the signed bundle of the evidence is written to a file,
/// its digest is pinned on the ledger that keeps the session's records, and the claim is printed:
/// who owes whom what, by which signed papers. It waits until all is final, and says so where there
/// is nothing to do. Of a session under a bond the other side's misconduct, or its silence about
/// what it acknowledged, first becomes a complaint to the bond's contract; run again when the time to
/// answer is over, the command takes what the other side has lost. While the node runs that has the
/// journal open, that node does it; but about a bond it only answers, and is stopped for a complaint.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp dispute settle 0xSESSION --config seller.toml --dry-run")]
pub(super) struct Settle {
    /// The session, as `sdpp audit` and `sdpp buy` name it.
    session: SessionId,
    /// The config whose journal has it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Seller: close the channel too, also where its payer did not ask for that.
    #[arg(long)]
    close: bool,
    /// Of a session that turned to another currency or ledger on the way, the leg with this number, the
    /// one that was ordered being 1; without it, the last.
    #[arg(long, value_name = "N")]
    leg: Option<usize>,
    /// By transfer: write the evidence to this file; without it, to one in the current folder that is
    /// named after the session and the bundle.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Buyer, under a bond: stake up to so much in all on what its seller is asked to show. Without it, as much
    /// as would be won, and but once on an item of a dataset.
    #[arg(long, value_name = "AMOUNT")]
    stake: Option<Amount>,
    /// Show the calls, what they cost and what they bring. Nothing is written.
    #[arg(long)]
    dry_run: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Settle {
    pub(super) fn run(self) -> Outcome {
        let config = Config::load(&self.config)?;
        let dir = &config.journal.dir;
        if !dir.exists() {
            let why = format!("there is no journal in {}", dir.display());
            return Err(Failure::usage(why));
        }
        match Journal::open_existing(dir) {
            Ok(journal) => in_system(self.ours(config, journal)),
            Err(JournalError::Locked { dir, pid }) => match Client::connect(&dir) {
                Ok(node) => in_system(self.nodes(&config, node)),
                Err(_) => Err(JournalError::Locked { dir, pid }.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn asks(&self) -> Settling {
        let Settle { session, close, leg, dry_run, .. } = *self;
        Settling { session, close, leg, dry_run, bundle: None }
    }

    /// With a journal that nobody else has open.
    async fn ours(self, config: Config, journal: Journal) -> Outcome {
        let mut keys = Keyring::default();
        let key = keys.open(&config.identity)?;
        let opened = Ledgers::open(&config, &mut keys).await?;
        let opened: Vec<(&str, &Opened)> = opened.iter().collect();
        let (reader, mut book) = (journal.reader(), Book::Ours(journal));
        let method = Case::find(&reader, &self.session, self.leg)?.terms.currency.method;
        let (ask, claim) = self.claims(method, &mut book, &key)?;
        let Book::Ours(mut journal) = book else { return Err(misfit()) };
        let known = opened.iter().map(|(_, opened)| opened.ledger().clone());
        let ledgers: Known = Arc::new(known.map(|one| (one.id().clone(), one)).collect());
        let ground = Ground { reader: &reader, ledgers: &ledgers };
        let mut plan = settling::plan(&ground, &Busy::default(), &ask).await?;
        if ask.dry_run {
            let mut told = plan.told(&ask.session);
            let chamber = Chamber { reader: &reader, ledgers: &ledgers, key: &key };
            told["bond"] = self.bond(&chamber, None).await.unwrap_or_else(|why| failed(&why));
            return self.show(told, claim);
        }
        // Before anything else runs: a watch, or the end of a session that was killed, would owe
        // the same in another way.
        if let Some(write) = plan.write.take_if(|write| matches!(write, Write::Settle(_))) {
            let answers = journal.commit(now_ms(), vec![write])?;
            let failed = |error| Failure::new(Exit::Failed, error);
            answers.into_iter().try_for_each(|one| one.map(drop)).map_err(failed)?;
        }
        drop(reader);
        let running = Running::start_on(&config, key, &opened, journal)?;
        let reclaiming = running.reclaiming();
        let mut signals = Signals::listen()?;
        let settled = async {
            // Trouble with it keeps nobody from what the channel owes.
            let bond = self.bond(&Chamber::of(&running), Some(&running)).await;
            let bond = bond.unwrap_or_else(|why| failed(&why));
            let case = Case::find(&running.reader, &self.session, self.leg)?;
            // A buyer that has a complaint is about that: what is left in its channel comes back by
            // itself, or with `sdpp ledger close`.
            let has_acted = bond["complaints"] != 0 || bond["steps"] != json!([]);
            let is_about_bond = case.role == Role::Buyer && !bond.is_null() && has_acted;
            let ask = Settling { dry_run: is_about_bond, ..ask.clone() };
            let mut told = match is_about_bond {
                true => settling::answer(&reclaiming, &ask).await?,
                false => {
                    until_done(&ask, async |ask| settling::answer(&reclaiming, &ask).await).await?
                }
            };
            told["bond"] = bond;
            Ok::<_, Failure>(told)
        };
        let told = tokio::select! {
            told = settled => told?,
            () = signals.next() => {
                let why = "ended before it was final: what is owed goes on at the next start";
                return Err(Failure::new(Exit::Failed, why));
            }
        };
        // What came of it is a fact of the journal too.
        running.look().await;
        self.show(told, claim)
    }

    /// Under a bond, what was done about that: first, as its answers take their time. Where nothing runs,
    /// what would be.
    async fn bond(&self, chamber: &Chamber<'_>, running: Option<&Running>) -> Outcome<Value> {
        let case = Case::find(chamber.reader, &self.session, self.leg)?;
        let suit = Suit::find(chamber, &case, &self.session).await?;
        match (suit.map(|suit| suit.staking(self.stake)), running) {
            (Some(suit), Some(running)) => suit.pursue(running).await,
            (Some(suit), None) => suit.planned(chamber).await,
            (None, _) => Ok(Value::Null),
        }
    }

    /// Through the node that has the journal open.
    async fn nodes(self, config: &Config, node: Client) -> Outcome {
        let mut book = Book::Nodes(node);
        let mut shown = book.settle(Settling { dry_run: true, ..self.asks() })?;
        let bond = shown["bond"]["bond"].as_str().filter(|_| !self.dry_run);
        let unpursued = bond.map(|bond| {
            format!(
                "the session is under bond {bond}, about which a node that runs does nothing but answer: \
                 stop the node that has this journal open, and type it again"
            )
        });
        let method = shown["method"].take();
        let method = serde_json::from_value(method).map_err(|_| misfit())?;
        // Only who signs the evidence needs the key.
        let (ask, claim) = match method {
            Method::Escrow => (self.asks(), None),
            Method::Transfer => {
                let key = Keyring::default().open(&config.identity)?;
                self.claims(method, &mut book, &key)?
            }
        };
        let mut told = match ask.dry_run {
            true => book.settle(ask)?,
            false => until_done(&ask, async |ask| book.settle(ask)).await?,
        };
        if let Some(why) = unpursued {
            told["bond"]["failed"] = json!(why);
        }
        self.show(told, claim)
    }

    /// What is asked for; without an escrow with the evidence, which is in its file from then on.
    fn claims(
        &self,
        method: Method,
        book: &mut Book,
        key: &Key,
    ) -> Outcome<(Settling, Option<Shown>)> {
        let ask = self.asks();
        if method == Method::Escrow {
            return Ok((ask, None));
        }
        let claim = Claim::of(book, self.session, key)?;
        // An anchor costs a fee: who wants one for a session that is even names the bundle's file.
        if !claim.says_something() && self.bundle.is_none() {
            return Ok((ask, Some(Shown { claim, file: None })));
        }
        let file = match self.dry_run {
            true => None,
            false => Some(claim.write(self.bundle.as_deref())?),
        };
        let bundle = Some(claim.bundle.digest());
        Ok((Settling { bundle, ..ask }, Some(Shown { claim, file })))
    }

    fn show(&self, mut told: Value, claim: Option<Shown>) -> Outcome {
        if let Some(Shown { claim: Claim { bundle, verdict }, file }) = claim {
            told["bundle"] = json!({ "digest": bundle.digest(), "file": file });
            told["verdict"] = json!(verdict);
            if !self.json {
                out::line(verdict.to_string().trim_end())?;
            }
        }
        match self.json {
            true => out::json(&told)?,
            false => {
                lines(&told, self.dry_run).into_iter().try_for_each(out::line)?;
                if !told["bond"].is_null() {
                    told::lines(&told["bond"]).into_iter().try_for_each(out::line)?;
                }
            }
        }
        outcome(&told, self.dry_run)
    }
}

/// A claim, and the file that its bundle stands in; none in a dry run.
struct Shown {
    claim: Claim,
    file: Option<PathBuf>,
}

/// Asks again and again until nothing is under way and nothing more can be done.
async fn until_done(
    ask: &Settling,
    mut asked: impl AsyncFnMut(Settling) -> Outcome<Value>,
) -> Outcome<Value> {
    let (began, mut wait) = (Instant::now(), LOOK_FIRST);
    let mut told = asked(ask.clone()).await?;
    loop {
        let is = |state| move |call: &&Value| call["state"] == state;
        let calls = told["calls"].as_array().cloned().unwrap_or_default();
        let [owed, planned, refused] =
            ["owed", "planned", "refused"].map(|state| calls.iter().any(|call| is(state)(&call)));
        if !owed && (!planned || refused) {
            return Ok(told);
        }
        if !owed && began.elapsed() > UNOWED_AT_MOST {
            let why = "the journal was not told what its ledger shows: try again later";
            return Err(Failure::new(Exit::Ledger, why));
        }
        tokio::time::sleep(wait).await;
        wait = wait.mul_f32(1.5).min(LOOK_AT_MOST);
        // What was refused is not tried again without a word.
        told = asked(Settling { dry_run: owed, ..ask.clone() }).await?;
    }
}

/// What a person is told.
fn lines(told: &Value, is_dry: bool) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let money = Money::of(told);
    let (role, topic, method) = (text(&told["role"]), text(&told["topic"]), text(&told["method"]));
    let session = text(&told["session"]);
    let mut lines =
        vec![format!("session {session}: we are the {role} of {topic}, paid by {method}")];
    lines.extend(channel_line(told, &money));
    if let (Some(digest), file) = (told["bundle"]["digest"].as_str(), &told["bundle"]["file"]) {
        let place = file.as_str().map_or(String::new(), |file| format!(" is in {file}"));
        lines.push(format!("evidence {digest}{place}"));
    }
    let calls = told["calls"].as_array().into_iter().flatten();
    let calls: Vec<String> = calls.map(|call| call_line(call, &money)).collect();
    let is_done =
        told["calls"].as_array().into_iter().flatten().all(|call| call["state"] == "done");
    lines.extend(calls);
    lines.extend(told["held"].as_str().map(str::to_owned));
    let ready_ms = told["channel"]["ready_ms"].as_u64();
    let waits = told["role"] == "buyer" && told["channel"]["over"] == false;
    match ready_ms.filter(|_| waits) {
        Some(ready_ms) if ready_ms > now_ms() => {
            let ready = Moment(ready_ms);
            lines.push(format!(
                "what is left can be withdrawn from {ready} on: run this again then"
            ));
        }
        // What keeps it from being done was said.
        _ if told["held"].is_string() && told["bundle"]["file"].is_null() => {}
        _ if is_done && is_dry => lines.push("there is nothing to do".to_owned()),
        _ if is_done => match told["bundle"]["file"].as_str() {
            // No contract collects it.
            Some(file) => lines.push(format!(
                "whoever you show it to judges for itself: sdpp dispute judge {file} --seller-key K \
                 --buyer-key K"
            )),
            None => lines.push("there is nothing more to do".to_owned()),
        },
        _ => {}
    }
    lines
}

fn channel_line(told: &Value, money: &Money) -> Option<String> {
    let channel = &told["channel"];
    let id = channel["channel"].as_str()?;
    let Some(settled) = channel["settled"].as_str() else {
        return Some(format!("channel {id} is not on its ledger"));
    };
    let (vouched, deposit) = (money.show(&channel["vouched"]), money.show(&channel["deposit"]));
    let settled = money.show(&Value::from(settled));
    let most = if told["role"] == "buyer" { "at most " } else { "" };
    let state = match (channel["over"] == true, channel["ready_ms"].as_u64()) {
        (true, _) => ", and it is closed".to_owned(),
        (false, Some(ready)) => {
            format!(", and its payer asked to close it: free from {} on", Moment(ready))
        }
        (false, None) => String::new(),
    };
    Some(format!("channel {id}: {most}{vouched} of {deposit} vouched, {settled} paid out{state}"))
}

fn call_line(call: &Value, money: &Money) -> String {
    let name = call["call"].as_str().unwrap_or_default().replace('_', " ");
    let is_redeemed = matches!(name.as_str(), "settle" | "close");
    let amount = money.show(&call["brings"]);
    let brings = match (call["brings"].as_str(), call["state"].as_str()) {
        (Some("0") | None, _) => String::new(),
        // What a voucher gives counts from the channel's first day.
        (_, Some("done")) if is_redeemed => format!(" up to {amount} in all"),
        _ => format!(", which brings {amount}"),
    };
    let cost = match call["cost"].as_str() {
        Some("0") | None => String::new(),
        Some(fee) => format!(", for a fee of {fee} in the smallest unit of the ledger's coin"),
    };
    let (tx, why) = (call["tx"].as_str(), call["why"].as_str());
    match (call["state"].as_str(), tx, why) {
        (Some("done"), Some(tx), _) => format!("done: {name}{brings}, in {tx}{cost}"),
        (Some("planned"), _, Some(why)) => format!("to do: {name}{brings}; but {why}"),
        (Some("planned"), ..) => format!("to do: {name}{brings}{cost}"),
        (Some("refused"), _, Some(why)) => format!("refused: {name}{brings}: {why}"),
        _ => format!("under way: {name}{brings}"),
    }
}

/// How it ended: a call that its ledger refused, and money that is lost, are failures.
fn outcome(told: &Value, is_dry: bool) -> Outcome {
    let mut calls = told["calls"].as_array().into_iter().flatten();
    if let Some(refused) = calls.find(|call| call["state"] == "refused" && !is_dry) {
        let why = refused["why"].as_str().unwrap_or("it was refused");
        return Err(Failure::new(Exit::Ledger, why));
    }
    let channel = &told["channel"];
    let units = |value: &Value| value.as_str().and_then(|text| text.parse::<Amount>().ok());
    let [vouched, settled] = ["vouched", "settled"].map(|name| units(&channel[name]));
    match (vouched, settled) {
        (Some(vouched), Some(settled))
            if told["role"] == "seller" && channel["over"] == true && settled < vouched =>
        {
            let lost =
                Money::of(told).show(&Value::from(vouched.saturating_sub(settled).to_string()));
            let why = format!("the channel is over and pays nothing any more: {lost} is lost");
            Err(Failure::new(Exit::Failed, why))
        }
        _ => match told["bond"]["failed"].as_str() {
            Some(why) => Err(Failure::new(Exit::Ledger, why)),
            None => Ok(()),
        },
    }
}

/// The words of a session for its money.
struct Money {
    symbol: String,
    decimals: u8,
}

impl Money {
    fn of(told: &Value) -> Money {
        let decimals = told["decimals"].as_u64().and_then(|count| u8::try_from(count).ok());
        let symbol = told["symbol"].as_str().unwrap_or_default().to_owned();
        Money { symbol, decimals: decimals.unwrap_or(0) }
    }

    fn show(&self, amount: &Value) -> String {
        let amount = amount.as_str().and_then(|text| text.parse::<Amount>().ok());
        format!("{} {}", amount.unwrap_or_default().to_decimal(self.decimals), self.symbol)
    }
}
