//! `sdpp status`: what a running node is doing; and what a node answers to all who ask it.

use super::desk::{self, Desk};
use super::dispute::settling;
use super::exit::{Exit, Failure, Outcome};
use super::journal::prune;
use super::running::Running;
use super::sell::Selling;
use super::{out, remainders};
use crate::actors::admission::Admission;
use crate::actors::ledger::{AskHealth, LedgerActor};
use crate::actors::node::{AllAsked, Count, Node};
use crate::actors::now_ms;
use crate::actors::offering::{LeftOut, Offering};
use crate::actors::reclaim::Reclaiming;
use crate::actors::sight::Sight;
use crate::admin::{Client, Request, Response};
use crate::journal::watch::Home;
use crate::journal::{OpenChannel, Reader, Unjust, Unsettled};
use crate::message::Moment;
use crate::session::Grant;
use actix::prelude::*;
use clap::Args;
use sdpp_ledger::{Ledger, LedgerId};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The most sessions whose buyers' requests are shown.
const ASKING_SHOWN: usize = 100;

/// The most open channels that are shown.
const CHANNELS_SHOWN: usize = 100;

/// How long a ledger may take to say how it is.
const LEDGER_WAIT: Duration = Duration::from_secs(2);

/// What is said of a ledger whose actor is no more.
const BROKE: &str = "what carries it has broken, and nothing that is owed there is settled: start sdpp \
     again, the log says why";

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
        let status = match status {
            Response::Status(status) => status,
            Response::Failed(why) => return Err(Failure::new(Exit::Failed, why)),
            _ => return Err(Failure::new(Exit::Failed, "the node answered another question")),
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
    for ask in status["asks"].as_array().into_iter().flatten() {
        let [session, number, item] = ["session", "ask", "item"].map(|key| text(&ask[key]));
        let [reason, amount] = ["reason", "amount"].map(|key| text(&ask[key]));
        out::line(format_args!(
            "asked     {amount} back for item {item}, {reason}: `sdpp dispute credit {session} \
             --ask {number} --items {item} --reason {reason}` grants it"
        ))?;
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
    desk: Desk,
    node: Addr<Node>,
    offering: Offering,
    admission: Admission,
    sight: Sight,
    ledgers: Vec<OneLedger>,
    reclaiming: Reclaiming,
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
            desk: Desk { reader: running.reader.clone(), journal: running.journal.clone() },
            node: selling.node.clone(),
            offering: selling.offering.clone(),
            admission: selling.admission.clone(),
            sight: running.sight.clone(),
            ledgers: running.ids.iter().filter_map(one).collect(),
            reclaiming: running.reclaiming(),
        }
    }
}

/// Answers one request.
pub(super) async fn answer(asked: Arc<Asked>, request: Request) -> Response {
    let (desk, node) = (&asked.desk, &asked.node);
    let answered = match request {
        Request::Status => status(&asked).await.map(Response::Status),
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

async fn status(asked: &Asked) -> Result<Value, String> {
    let counts = asked.desk.reader.counts().map_err(text)?;
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
    let unjust = asked.desk.reader.unjust().map_err(text)?;
    why.extend(unjust.iter().map(|one| {
        let Unjust { channel, settled, vouched, .. } = one;
        format!("channel {channel} paid out {settled}, and {vouched} was vouched at the most")
    }));
    why.extend(asked.admission.behind(now_ms()));
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
        "asks": asks(asked).await?,
        "channels": channels(&asked.desk.reader)?,
        "unjust": unjust.iter().map(told_unjust).collect::<Vec<_>>(),
    }))
}

fn told_unjust(unjust: &Unjust) -> Value {
    let Unjust { channel, ledger, settled, vouched } = unjust;
    json!({ "channel": channel, "ledger": ledger, "settled": settled, "vouched": vouched })
}

/// What buyers want credited and nobody has answered.
async fn asks(asked: &Asked) -> Result<Vec<Value>, String> {
    let all = asked.node.send(AllAsked { at_most: ASKING_SHOWN }).await.map_err(text)?;
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
        let (trouble, error) = match self.actor.send(AskHealth).await {
            Ok(trouble) => (trouble, error),
            Err(_) => (None, Some(BROKE.to_owned())),
        };
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

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::actors::journal::JournalActor;
    use crate::journal::Journal;
    use crate::journal::outbox::Policy;
    use sdpp_ledger::Key;
    use sdpp_ledger_embedded::{EmbeddedLedger, Genesis, LocalNode, system_clock};

    #[test]
    fn a_ledger_is_not_well_when_what_carries_it_has_ended() {
        let key = Key::from_bytes(&[1; 32]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let node = LocalNode::in_memory(Genesis::default(), system_clock()).unwrap();
        let ledger: Arc<dyn Ledger> = Arc::new(EmbeddedLedger::new(Arc::new(node), key.clone()));
        let policy = Policy {
            anchors_at_most: 1,
            redeems_at_most: 1,
            raise_after_ms: 30_000,
            in_flight_max: 4,
            poll_ms: 1_000,
            backoff_base_ms: 1_000,
            backoff_max_ms: 1_000,
        };
        let (system, [desk, carrying]) = (System::new(), [(); 2].map(|()| Arbiter::new()));
        system.block_on(async {
            let journal = Journal::open(&dir.path().join("journal"), key.public()).unwrap();
            let (journal, reader) = JournalActor::start_on(&desk, journal);
            let (started, actor) = tokio::sync::oneshot::channel();
            let carried = ledger.clone();
            carrying.spawn(async move {
                let _ = started.send(LedgerActor::start_for(carried, policy, reader, journal));
            });
            let (name, id, actor) = ("local".to_owned(), ledger.id().clone(), actor.await.unwrap());
            let one = OneLedger { name, id, ledger, actor };
            assert_eq!(one.status(None).await.1, None);
            carrying.stop();
            carrying.join().unwrap();
            let (shown, why) = one.status(None).await;
            assert!(why.unwrap().contains("has broken"), "{shown}");
        });
        desk.stop();
        desk.join().unwrap();
    }
}
