//! `sdpp status`: what a running node is doing; and what a node answers to all who ask it.

use super::bonding::is_out;
use super::desk::{self, Desk};
use super::dispute::settling;
use super::exit::{Exit, Failure, Outcome};
use super::journal::prune;
use super::running::Running;
use super::sell::Selling;
use super::{out, remainders};
use crate::actors::admission::Admission;
use crate::actors::keeper::{Keeper, Kept, Part};
use crate::actors::ledger::{AskHealth, LedgerActor};
use crate::actors::node::{AllAsked, Count, Node};
use crate::actors::now_ms;
use crate::actors::offering::{LeftOut, Offering};
use crate::actors::reclaim::Reclaiming;
use crate::actors::sight::Sight;
use crate::admin::health::Health;
use crate::admin::{Client, Request, Response};
use crate::config::Config;
use crate::journal::bonds::Pledged;
use crate::journal::watch::Home;
use crate::journal::{OpenChannel, Reader, Unjust, Unsettled};
use crate::message::Moment;
use crate::session::Grant;
use clap::Args;
use sdpp_ledger::{Ledger, LedgerId};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The most sessions whose buyers' requests are shown.
const ASKING_SHOWN: usize = 100;

/// The most open channels that are shown.
const CHANNELS_SHOWN: usize = 100;

/// The most bonds that are shown.
const BONDS_SHOWN: usize = 100;

/// How long a ledger may take to say how it is.
const LEDGER_WAIT: Duration = Duration::from_secs(2);

/// What the running node is doing: ready or why not, sessions, what is owed and since when, its
/// ledgers, its open channels.
#[derive(Debug, Args)]
#[command(
    after_help = "Exits with 0 when it is ready, with 1 when it is not.\n\nExample:\n  sdpp status --journal seller-journal"
)]
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
        let status = match status {
            Response::Status(status) => status,
            Response::Failed(why) => return Err(Failure::new(Exit::Failed, why)),
            _ => return Err(Failure::new(Exit::Failed, "the node answered another question")),
        };
        if self.json {
            out::json(&status)?
        } else {
            show(&status)?
        }
        match status["ready"].as_bool() {
            Some(true) => Ok(()),
            // Why not was answered, on standard output.
            _ => Err(Failure::new(Exit::Failed, "")),
        }
    }
}

/// The same for a person, a line for each thing.
fn show(status: &Value) -> Outcome {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    out::line(words(status))?;
    let (sessions, entries) = (&status["sessions"], &status["journal"]["entries"]);
    if sessions.is_null() {
        return Ok(());
    }
    let (open, ever) = (&sessions["connections"], &sessions["ever"]);
    out::line(format_args!("sessions  {open} connections open, {ever} sessions in the journal"))?;
    out::line(format_args!("journal   up to entry {entries}"))?;
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
        if let Some(error) = ledger["error"].as_str() {
            out::line(format_args!("away      {name}: {error}"))?;
        }
        if let Some(ms) = ledger["unwatched_ms"].as_u64() {
            let unread = humantime::format_duration(whole_s(ms));
            out::line(format_args!(
                "unwatched {name}: its channels could not be read for {unread}: sessions on them \
                 are ended, and none begins"
            ))?;
        }
    }
    for (name, part) in status["parts"].as_object().into_iter().flatten() {
        out::line(format_args!("broke     {name}: {} times since the start", part["broke"]))?;
    }
    for one in status["left_out"].as_array().into_iter().flatten() {
        let [currency, method, why] = ["currency", "method", "why"].map(|key| text(&one[key]));
        out::line(format_args!("off menu  {currency} by {method}: {why}"))?;
    }
    for topic in status["changed"].as_array().into_iter().flatten().map(text) {
        out::line(format_args!(
            "off menu  topic {topic}: its file has changed; start the seller anew to sell it as it is"
        ))?;
    }
    for ask in status["asks"].as_array().into_iter().flatten() {
        let [session, number, item] = ["session", "ask", "item"].map(|key| text(&ask[key]));
        let [reason, amount] = ["reason", "amount"].map(|key| text(&ask[key]));
        out::line(format_args!(
            "asked     {amount} back for item {item}, {reason}: `sdpp dispute credit {session} \
             --ask {number} --items {item} --reason {reason}` grants it"
        ))?;
    }
    for bond in status["bonds"].as_array().into_iter().flatten() {
        let [id, channel, pledged] = ["bond", "channel", "pledged"].map(|key| text(&bond[key]));
        out::line(format_args!("bond      {id} for channel {channel}: {pledged} of ours"))?;
    }
    status["channels"].as_array().into_iter().flatten().try_for_each(show_channel)
}

/// Whether it is ready, and why not.
fn words(status: &Value) -> String {
    let why = status["why"].as_array().into_iter().flatten().filter_map(Value::as_str);
    match why.collect::<Vec<_>>() {
        why if why.is_empty() => "ready".to_owned(),
        why => format!("not ready: {}", why.join("; ")),
    }
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
    desk: Desk,
    node: Kept<Node>,
    offering: Offering,
    admission: Admission,
    sight: Sight,
    ledgers: Vec<OneLedger>,
    reclaiming: Reclaiming,
    keeper: Keeper,
    /// Where supervisors are answered.
    health: Option<SocketAddr>,
    /// How long a ledger may be away, and something be owed, before that is why we are not ready.
    patience: Duration,
    old: Duration,
}

struct OneLedger {
    name: String,
    id: LedgerId,
    ledger: Arc<dyn Ledger>,
    actor: Kept<LedgerActor>,
}

impl Asked {
    /// Answers for a node.
    pub(super) fn new(
        config: &Config,
        running: &Running,
        selling: &Selling,
        health: Option<SocketAddr>,
    ) -> Self {
        let one = |(name, id): (&String, &LedgerId)| {
            let (ledger, actor) = (running.ledgers.get(id)?.clone(), running.actors.get(id)?);
            Some(OneLedger { name: name.clone(), id: id.clone(), ledger, actor: actor.clone() })
        };
        Asked {
            desk: Desk { reader: running.reader.clone(), journal: running.journal.clone() },
            node: selling.node.clone(),
            offering: selling.offering.clone(),
            admission: selling.admission.clone(),
            sight: running.sight.clone(),
            ledgers: running.ids.iter().filter_map(one).collect(),
            reclaiming: running.reclaiming(),
            keeper: running.keeper.clone(),
            health,
            patience: selling.patience,
            old: Duration::from_secs(config.admin.obligations_old_s),
        }
    }
}

/// Answers one request.
pub(super) async fn answer(asked: Arc<Asked>, request: Request) -> Response {
    let (desk, node) = (&asked.desk, &asked.node);
    let answered = match request {
        Request::Status => {
            // A journal that cannot be read is what there is to tell.
            let stopped = |why: String| json!({ "ready": false, "why": [why] });
            Ok(Response::Status(whole(&asked).await.unwrap_or_else(stopped)))
        }
        Request::Credit { session, items, reason, amount, ask } => {
            let grant = Grant { items, reason, amount, ask };
            desk::credit(node, session, grant).await.map(Response::Amended)
        }
        Request::Decline { session, ask, why } => {
            desk::decline(node, session, ask, why).await.map(Response::Amended)
        }
        Request::Prune(ask) => {
            let told = prune::answer(desk.reader.clone(), &desk.journal, ask).await;
            told.map(Response::Pruned)
        }
        Request::Settle(ask) => {
            let answered = settling::answer(&asked.reclaiming, &ask).await;
            answered.map(Response::Settling).map_err(text)
        }
        request => desk.answer(request).await,
    };
    answered.unwrap_or_else(Response::Failed)
}

/// How a node is, in short.
pub(super) async fn health(asked: Arc<Asked>) -> Health {
    match status(&asked).await {
        Ok(status) => Health { is_ready: status["ready"] == true, words: words(&status) },
        Err(error) => Health { is_ready: false, words: format!("not ready: {error}") },
    }
}

/// How a node is, with what none but our own people ask its ledgers for.
async fn whole(asked: &Asked) -> Result<Value, String> {
    let mut status = status(asked).await?;
    status["bonds"] = json!(bonds(asked).await?);
    Ok(status)
}

async fn status(asked: &Asked) -> Result<Value, String> {
    let counts = asked.desk.reader.counts().map_err(text)?;
    // A node that broke is started again, and among the parts meanwhile.
    let crowd = asked.node.addr().send(Count).await.unwrap_or_default();
    let (mut ledgers, mut why) = (serde_json::Map::new(), down(&asked.keeper));
    if crowd.is_draining {
        why.push("it is ending, and takes no more orders".to_owned());
    }
    for ledger in &asked.ledgers {
        let unsettled = counts.unsettled.iter().find(|unsettled| unsettled.ledger == ledger.id);
        let (mut shown, is_well) = ledger.status(unsettled, asked).await;
        let blind = asked.sight.blind_for(&ledger.id);
        shown["unwatched_ms"] = json!(blind.map(whole_ms));
        ledgers.insert(ledger.name.clone(), shown);
        why.extend(is_well.err());
        why.extend(unsettled.and_then(|row| ledger.old(row, asked.old)));
        why.extend(blind.map(|_| format!("channels on ledger {} are not watched", ledger.name)));
    }
    let unjust = asked.desk.reader.unjust().map_err(text)?;
    why.extend(unjust.iter().map(|one| {
        let Unjust { channel, settled, vouched, .. } = one;
        format!("channel {channel} paid out {settled}, and {vouched} was vouched at the most")
    }));
    why.extend(asked.admission.behind(now_ms()));
    why.extend(asked.offering.now().err());
    why.extend(crowd.short);
    let left_out = asked.offering.left_out().into_iter();
    let left_out = left_out.map(|LeftOut { currency, method, why }| {
        json!({ "currency": currency, "method": method, "why": why })
    });
    Ok(json!({
        "left_out": left_out.collect::<Vec<_>>(),
        "changed": asked.offering.changed(),
        "ready": why.is_empty(),
        "why": why,
        "sessions": { "connections": crowd.connections, "ended": crowd.ended, "ever": counts.sessions },
        "journal": { "entries": counts.head.seq, "head": counts.head.digest },
        "ledgers": ledgers,
        "parts": parts(&asked.keeper),
        "health": asked.health,
        "asks": asks(asked).await?,
        "channels": channels(&asked.desk.reader)?,
        "unjust": unjust.iter().map(told_unjust).collect::<Vec<_>>(),
    }))
}

/// What broke and does not run again yet.
fn down(keeper: &Keeper) -> Vec<String> {
    let down = keeper.all().into_iter().filter(|(_, part)| part.is_down);
    down.map(|(name, _)| format!("{name} broke and is started again: the log says why")).collect()
}

/// What broke since the start, and how often.
fn parts(keeper: &Keeper) -> Value {
    let broke = keeper.all().into_iter().filter(|(_, part)| part.broke > 0);
    let told =
        |(name, part): (String, Part)| (name, json!({ "broke": part.broke, "down": part.is_down }));
    Value::Object(broke.map(told).collect())
}

fn told_unjust(unjust: &Unjust) -> Value {
    let Unjust { channel, ledger, settled, vouched } = unjust;
    json!({ "channel": channel, "ledger": ledger, "settled": settled, "vouched": vouched })
}

/// What buyers want credited and nobody has answered.
async fn asks(asked: &Asked) -> Result<Vec<Value>, String> {
    let all = asked.node.addr().send(AllAsked { at_most: ASKING_SHOWN }).await.unwrap_or_default();
    let asks = all.into_iter().flat_map(|asked| {
        let of_one = move |ask: crate::session::OpenAsk| {
            json!({
                "session": asked.session,
                "ask": ask.number,
                "item": ask.seq,
                "reason": ask.reason,
                "amount": ask.amount,
            })
        };
        asked.asks.into_iter().map(of_one)
    });
    Ok(asks.collect())
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

/// The first bonds that we pledged and have not had back, by id. Those that the other side ended are gone too,
/// where their ledger answers in time.
async fn bonds(asked: &Asked) -> Result<Vec<Value>, String> {
    let (until, mut shown) = (Instant::now() + LEDGER_WAIT, Vec::new());
    for one in asked.desk.reader.pledged().map_err(text)? {
        let Some(on) = asked.ledgers.iter().find(|on| on.id == one.ledger) else { continue };
        let is_out = timeout_at(until, is_out(on.ledger.as_ref(), &one.bond)).await;
        if matches!(is_out, Ok(Ok(true))) {
            continue;
        }
        let (ours, _) = one.amounts(on.ledger.account());
        let Pledged { id, ledger, bond, .. } = one;
        shown.push(
            json!({ "bond": id, "ledger": ledger, "channel": bond.channel, "pledged": ours }),
        );
        if shown.len() == BONDS_SHOWN {
            break;
        }
    }
    Ok(shown)
}

impl OneLedger {
    /// How it is: asked now, and as its actor and the menu have found it. Why we are not ready, where
    /// it was away for longer than a session waits.
    async fn status(
        &self,
        unsettled: Option<&Unsettled>,
        asked: &Asked,
    ) -> (Value, Result<(), String>) {
        let answer = tokio::time::timeout(LEDGER_WAIT, self.ledger.status()).await;
        let (head, error) = match answer {
            Ok(Ok(status)) => (Some(status), None),
            Ok(Err(error)) => (None, Some(error.to_string())),
            Err(_) => (None, Some("it does not answer".to_owned())),
        };
        let age_s = |head: &sdpp_ledger::Status| now_ms().saturating_sub(head.at_ms) / 1_000;
        // An actor that broke is started again, and among the parts meanwhile.
        let trouble = self.actor.addr().send(AskHealth).await.unwrap_or_default();
        let silent_ms = asked.offering.silent_since(&self.id).filter(|_| error.is_some());
        let since_ms = trouble.as_ref().map(|trouble| trouble.since_ms).into_iter();
        let since_ms = since_ms.chain(silent_ms).min();
        let oldest_ms = unsettled.map(|row| now_ms().saturating_sub(row.oldest_ms));
        let error = error.or(trouble.map(|trouble| trouble.what));
        let shown = json!({
            "ledger": self.id,
            "height": head.as_ref().map(|head| head.height),
            "head_age_s": head.as_ref().map(age_s),
            "error": error,
            "away_since_ms": since_ms,
            "unsettled": unsettled.map_or(0, |row| row.count),
            "oldest_ms": oldest_ms,
        });
        (shown, self.is_well(since_ms, error, asked.patience))
    }

    fn is_well(
        &self,
        since_ms: Option<u64>,
        error: Option<String>,
        patience: Duration,
    ) -> Result<(), String> {
        let Some((since_ms, error)) = since_ms.zip(error) else { return Ok(()) };
        let away_ms = now_ms().saturating_sub(since_ms);
        if Duration::from_millis(away_ms) < patience {
            return Ok(());
        }
        let away = humantime::format_duration(whole_s(away_ms));
        Err(format!("ledger {} is away for {away}: {error}", self.name))
    }

    /// What is said where something is owed for so long.
    fn old(&self, Unsettled { count, oldest_ms, .. }: &Unsettled, old: Duration) -> Option<String> {
        let age_ms = now_ms().saturating_sub(*oldest_ms);
        let age = humantime::format_duration(whole_s(age_ms));
        (Duration::from_millis(age_ms) >= old).then(|| {
            format!(
                "the oldest of {count} obligations on ledger {} is open for {age}: `sdpp journal \
                 list obligations --unsettled` shows it",
                self.name
            )
        })
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
