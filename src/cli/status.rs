//! `sdpp status`: what a running node is doing; and what a node answers to all who ask it.

use super::exit::{Exit, Failure, Outcome};
use super::journal::prune;
use super::running::Running;
use super::sell::Selling;
use super::{out, remainders};
use crate::actors::journal::{Commit, JournalActor};
use crate::actors::ledger::{AskHealth, LedgerActor};
use crate::actors::node::{Count, Node};
use crate::actors::now_ms;
use crate::actors::offering::{LeftOut, Offering};
use crate::actors::sight::Sight;
use crate::admin::{Client, Request, Response};
use crate::journal::watch::Home;
use crate::journal::{OpenChannel, Reader, Unsettled, Write, obligation};
use crate::message::Moment;
use actix::prelude::*;
use clap::Args;
use sdpp_ledger::{Ledger, LedgerId};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The most open channels that are shown.
const CHANNELS_SHOWN: usize = 100;

/// How long a ledger may take to say how it is.
const LEDGER_WAIT: Duration = Duration::from_secs(2);

/// What the running node is doing: ready or why not, sessions, what is owed and since when, its
/// ledgers, its open channels.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp status --journal seller-journal")]
pub(super) struct Status {
    /// The journal's folder, where the node's socket is.
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Status {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let answer = Client::connect(&self.journal).and_then(|mut node| node.ask(&Request::Status));
        let status = answer.map_err(|error| {
            let dir = self.journal.display();
            Failure::new(Exit::Failed, format!("no node answers for the journal in {dir}: {error}"))
        })?;
        let Response::Status(status) = status else {
            return Err(Failure::new(Exit::Failed, "the node answered another question"));
        };
        if self.json { out::json(&status) } else { show(&status) }
    }
}

/// The same for a person, a line for each thing.
fn show(status: &Value) -> Outcome {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let why: Vec<String> = status["why"].as_array().into_iter().flatten().map(text).collect();
    match why.is_empty() {
        true => out::line("ready")?,
        false => out::line(format_args!("not ready: {}", why.join("; ")))?,
    }
    let (sessions, entries) = (&status["sessions"], &status["journal"]["entries"]);
    let (open, ever) = (&sessions["connections"], &sessions["ever"]);
    out::line(format_args!("sessions  {open} connections open, {ever} sessions in the journal"))?;
    out::line(format_args!("journal   {entries} entries"))?;
    for (name, ledger) in status["ledgers"].as_object().into_iter().flatten() {
        let (id, owed) = (text(&ledger["ledger"]), &ledger["unsettled"]);
        let since = match ledger["oldest_ms"].as_u64() {
            Some(ms) => format!(", the oldest for {}", humantime::format_duration(whole_s(ms))),
            None => String::new(),
        };
        let head = match (ledger["height"].as_u64(), ledger["head_age_s"].as_u64()) {
            (Some(height), Some(age_s)) => {
                let age = humantime::format_duration(Duration::from_secs(age_s));
                format!(", height {height}, its head is of {age} ago")
            }
            _ => String::new(),
        };
        out::line(format_args!("ledger    {name}: {owed} obligations open{since}{head} ({id})"))?;
        if let Some(ms) = ledger["unwatched_ms"].as_u64() {
            let unread = humantime::format_duration(whole_s(ms));
            out::line(format_args!(
                "unwatched {name}: its channels could not be read for {unread}: sessions on them \
                 are ended, and none begins"
            ))?;
        }
    }
    for one in status["left_out"].as_array().into_iter().flatten() {
        let [currency, method, why] = ["currency", "method", "why"].map(|key| text(&one[key]));
        out::line(format_args!("off menu  {currency} by {method}: {why}"))?;
    }
    status["channels"].as_array().into_iter().flatten().try_for_each(show_channel)
}

fn show_channel(channel: &Value) -> Outcome {
    let text = |name: &str| channel[name].as_str().unwrap_or("unknown").to_owned();
    let [id, side, deposit] = ["channel", "side", "deposit"].map(text);
    let [vouched, settled] = ["vouched", "settled"].map(text);
    let closing = match channel["ready_ms"].as_u64() {
        Some(ready) => format!(", asked to close, free from {}", Moment(ready)),
        None => String::new(),
    };
    let doing = match (channel["left"].as_str(), channel["doing"].as_str()) {
        (Some(left), Some("nothing" | "closing")) => format!(", {left} left"),
        (Some(left), Some("asking")) => format!(", {left} left, being asked to close"),
        (Some(left), Some("withdrawing")) => format!(", {left} left, being withdrawn"),
        (Some(left), Some(_)) => format!(", {left} left, closing it was refused"),
        _ => String::new(),
    };
    out::line(format_args!(
        "channel   {id} as {side}: deposit {deposit}, vouched {vouched}, settled \
         {settled}{doing}{closing}"
    ))
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn whole_s(ms: u64) -> Duration {
    Duration::from_secs(ms / 1_000)
}

/// What a node's socket is answered from.
pub(super) struct Asked {
    reader: Reader,
    journal: Addr<JournalActor>,
    node: Addr<Node>,
    offering: Offering,
    sight: Sight,
    ledgers: Vec<OneLedger>,
}

struct OneLedger {
    name: String,
    id: LedgerId,
    ledger: Arc<dyn Ledger>,
    actor: Addr<LedgerActor>,
}

impl Asked {
    /// Answers for a node.
    pub(super) fn new(running: &Running, selling: &Selling) -> Self {
        let one = |(name, id): (&String, &LedgerId)| {
            let (ledger, actor) = (running.ledgers.get(id)?.clone(), running.actors.get(id)?);
            Some(OneLedger { name: name.clone(), id: id.clone(), ledger, actor: actor.clone() })
        };
        Asked {
            reader: running.reader.clone(),
            journal: running.journal.clone(),
            node: selling.node.clone(),
            offering: selling.offering.clone(),
            sight: running.sight.clone(),
            ledgers: running.ids.iter().filter_map(one).collect(),
        }
    }
}

/// Answers one request.
pub(super) async fn answer(asked: Arc<Asked>, request: Request) -> Response {
    let answered = match request {
        Request::Journal(query) => {
            let reader = asked.reader.clone();
            // Walking a long chain takes its time, and must not hold up what runs here.
            let answer = tokio::task::spawn_blocking(move || reader.answer(&query)).await;
            answer.map_err(text).and_then(|answer| answer.map_err(text)).map(Response::Journal)
        }
        Request::Status => status(&asked).await.map(Response::Status),
        Request::Retry(reference) => {
            let write = Write::Obligation { reference, event: obligation::Event::Retried };
            commit(&asked, write).await.map(|()| Response::Retried)
        }
        Request::Cancel(reference) => {
            let write = Write::Cancel { reference };
            commit(&asked, write).await.map(|()| Response::Cancelling)
        }
        Request::Prune(ask) => {
            let told = prune::answer(asked.reader.clone(), &asked.journal, ask).await;
            told.map(Response::Pruned)
        }
    };
    answered.unwrap_or_else(Response::Failed)
}

async fn status(asked: &Asked) -> Result<Value, String> {
    let counts = asked.reader.counts().map_err(text)?;
    let crowd = asked.node.send(Count).await.map_err(text)?;
    let (mut ledgers, mut why) = (serde_json::Map::new(), Vec::new());
    for ledger in &asked.ledgers {
        let unsettled = counts.unsettled.iter().find(|unsettled| unsettled.ledger == ledger.id);
        let (mut shown, error) = ledger.status(unsettled).await;
        let blind = asked.sight.blind_for(&ledger.id);
        shown["unwatched_ms"] = json!(blind.map(whole_ms));
        ledgers.insert(ledger.name.clone(), shown);
        why.extend(error.map(|error| format!("ledger {} is away: {error}", ledger.name)));
        why.extend(blind.map(|_| format!("channels on ledger {} are not watched", ledger.name)));
    }
    why.extend(asked.offering.now().err());
    let left_out = asked.offering.left_out().into_iter();
    let left_out = left_out.map(|LeftOut { currency, method, why }| {
        json!({ "currency": currency, "method": method, "why": why })
    });
    Ok(json!({
        "left_out": left_out.collect::<Vec<_>>(),
        "ready": why.is_empty(),
        "why": why,
        "sessions": { "connections": crowd.connections, "ended": crowd.ended, "ever": counts.sessions },
        "journal": { "entries": counts.head.seq, "head": counts.head.digest },
        "ledgers": ledgers,
        "channels": channels(&asked.reader)?,
    }))
}

/// The first open channels, by id.
fn channels(reader: &Reader) -> Result<Vec<Value>, String> {
    let open = reader.open_channels(None, CHANNELS_SHOWN).map_err(text)?;
    let shown = open.into_iter().map(|one| {
        // Of what we pay into as a buyer alone.
        let rest = reader.remainder(one.clone()).map_err(text)?;
        let OpenChannel { channel, watched, vouched } = one;
        let ledger = match watched.home {
            Home::Ledger(id) => Some(id),
            Home::Domain(_) => None,
        };
        Ok(json!({
            "channel": channel,
            "side": watched.side,
            "ledger": ledger,
            "seen": watched.is_seen,
            "deposit": watched.deposit,
            "vouched": vouched,
            "settled": watched.settled,
            "ready_ms": watched.ready_ms,
            "left": rest.as_ref().map(|rest| rest.left),
            "doing": rest.as_ref().map(|rest| remainders::name(&rest.doing)),
        }))
    });
    shown.collect()
}

impl OneLedger {
    /// How it is: asked now, and as its actor has found it.
    async fn status(&self, unsettled: Option<&Unsettled>) -> (Value, Option<String>) {
        let asked = tokio::time::timeout(LEDGER_WAIT, self.ledger.status()).await;
        let (head, error) = match asked {
            Ok(Ok(status)) => (Some(status), None),
            Ok(Err(error)) => (None, Some(error.to_string())),
            Err(_) => (None, Some("it does not answer".to_owned())),
        };
        let age_s = |head: &sdpp_ledger::Status| now_ms().saturating_sub(head.at_ms) / 1_000;
        let trouble = self.actor.send(AskHealth).await.unwrap_or_default();
        let oldest_ms = unsettled.map(|row| now_ms().saturating_sub(row.oldest_ms));
        let shown = json!({
            "ledger": self.id,
            "height": head.as_ref().map(|head| head.height),
            "head_age_s": head.as_ref().map(age_s),
            "error": error,
            "away_since_ms": trouble.as_ref().map(|trouble| trouble.since_ms),
            "unsettled": unsettled.map_or(0, |row| row.count),
            "oldest_ms": oldest_ms,
        });
        (shown, error.or(trouble.map(|trouble| trouble.what)))
    }
}

async fn commit(asked: &Asked, write: Write) -> Result<(), String> {
    let committed = asked.journal.send(Commit(vec![write])).await.map_err(text)?;
    let answers = committed.map_err(text)?;
    answers.into_iter().try_for_each(|answer| answer.map(|_| ())).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
