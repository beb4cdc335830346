//! `sdpp ledger close`: gets back what is left in the channels that we pay into.

use crate::actors::journal::Await;
use crate::actors::reclaim::Reclaiming;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::remainders::Teller;
use crate::cli::running::{Running, Signals, Waits, in_system};
use crate::cli::{note, out};
use crate::config::Config;
use crate::config::ledgers::{Keyring, Ledgers, Opened};
use crate::journal::{Doing, NewsKind, PAGE_MAX, Remainder, Watched};
use crate::message::Moment;
use crate::terms::Role;
use clap::Args;
use sdpp_ledger::{Amount, Asset, Channel, ChannelId, Ledger, LedgerId};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often a ledger and the journal are compared while one is behind the other.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Get back what is left in channels that this config's journal pays into.
///
/// The escrow is asked to close a channel; from then on its seller has the escrow's grace period to
/// redeem the vouchers that it holds. Run again after that, the command withdraws the rest. It waits
/// until all that is final, and says of each channel what it is then. Kept channels are closed too,
/// and a session that a kill left in one is ended, so that its `sdpp buy` cannot go on with it.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger close --all --config buyer.toml")]
pub(super) struct Close {
    /// The channels, as `sdpp buy` and `sdpp audit` name them.
    #[arg(value_name = "CHANNEL", required_unless_present = "all", conflicts_with = "all")]
    channels: Vec<ChannelId>,
    /// All that are open.
    #[arg(long)]
    all: bool,
    /// The config whose journal pays into them.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Answer with JSON, one object a line.
    #[arg(long)]
    json: bool,
}

impl Close {
    pub(super) fn run(self) -> Outcome {
        let config = Config::load(&self.config)?;
        let dir = &config.journal.dir;
        if !dir.exists() {
            let why = format!("there is no journal in {}: nothing was paid from it", dir.display());
            return Err(Failure::usage(why));
        }
        in_system(close(self, config))
    }
}

/// A channel that is to be closed.
struct Chosen {
    channel: ChannelId,
    ledger: LedgerId,
    asset: Asset,
    went: Went,
}

/// How it went with what was last owed for a channel.
#[derive(PartialEq)]
enum Went {
    /// Well: there may be a next step.
    Well,
    /// The ledger's clock is a little behind ours.
    TooEarly,
    /// It was refused, and why.
    Refused(String),
}

async fn close(ask: Close, config: Config) -> Outcome {
    let mut keys = Keyring::default();
    let key = keys.open(&config.identity)?;
    let opened = Ledgers::open(&config, &mut keys).await?;
    let opened: Vec<(&str, &Opened)> = opened.iter().collect();
    let mut running = Running::start(&config, key, &opened)?;
    let mut chosen = choose(&ask, &running)?;
    end_left(&chosen, &mut running).await?;
    if chosen.is_empty() && !ask.json {
        running.look().await;
        running.check_claims()?;
        // Of one that stays open that was said.
        return match open(&running)?.is_empty() {
            true => out::line("this config's journal pays into no open channel"),
            false => Ok(()),
        };
    }
    let mut signals = Signals::listen()?;
    tokio::select! {
        done = take_back(&mut chosen, &running) => done?,
        () = signals.next() => {
            let why = "ended before it was final: what is owed goes on at the next start";
            return Err(Failure::new(Exit::Failed, why));
        }
    }
    let teller = Teller { config: &config, ids: &running.ids, policy: None };
    let rests = running.reader.remainders()?;
    let rests = rests.into_iter().map(|one| (one.channel, one.left)).collect();
    let mut refused = Ok(());
    for one in &chosen {
        let Some(row) = running.reader.watched(&one.channel)? else { continue };
        if ask.all && !row.is_seen {
            // Its opening is on its way, or was refused.
            continue;
        }
        // While it is open its seller may still redeem what was vouched.
        let left = BTreeMap::get(&rests, &one.channel).copied().unwrap_or(row.left());
        show(one, &row, left, &teller, ask.json)?;
        if let Went::Refused(why) = &one.went {
            let why = format!("channel {}: {why}", one.channel);
            refused = refused.and(Err(Failure::new(Exit::Ledger, why)));
        }
    }
    refused?;
    running.check_claims()
}

fn choose(ask: &Close, running: &Running) -> Outcome<Vec<Chosen>> {
    let mut chosen = Vec::new();
    let bonded = running.reclaiming().bonded();
    let bonded = bonded.map_err(|error| Failure::new(Exit::Failed, error))?;
    for channel in if ask.all { open(running)? } else { ask.channels.clone() } {
        if bonded.contains(&channel) {
            let why = format!(
                "channel {channel} stays open: what answers a demand under its bond is paid from it, so \
                 `sdpp ledger bond end` has that back first"
            );
            if !ask.all {
                return Err(Failure::usage(why));
            }
            note(why);
            continue;
        }
        let watched = running.reader.watched(&channel)?;
        let place = watched.map(|watched| running.reader.paid_into(&watched)).transpose()?;
        let unknown = format!("this config's journal pays into no channel {channel}");
        let (ledger, asset) = place.flatten().ok_or_else(|| Failure::usage(unknown))?;
        if !running.ledgers.contains_key(&ledger) {
            let why = format!("channel {channel} is on {ledger}, which the config does not name");
            return Err(Failure::usage(why));
        }
        chosen.push(Chosen { channel, ledger, asset, went: Went::Well });
    }
    Ok(chosen)
}

/// Ends what a kill left in these channels: the journal is ours, so no command goes on with it meanwhile.
async fn end_left(chosen: &[Chosen], running: &mut Running) -> Outcome {
    let is_chosen = |channel: &ChannelId| chosen.iter().any(|one| one.channel == *channel);
    let is_in_one = |waits: &mut Waits| waits.session.channels.iter().any(is_chosen);
    let left = running.waiting.extract_if(.., is_in_one).collect();
    running.end(left).await
}

/// The open channels that we opened.
fn open(running: &Running) -> Outcome<Vec<ChannelId>> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = running.reader.open_channels(after.as_ref(), PAGE_MAX)?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.channel);
        let ours = page.into_iter().filter(|one| one.watched.side == Role::Buyer);
        found.extend(ours.map(|one| one.channel));
    }
}

/// Has each step owed that it is time for, and waits for it, until there is none.
async fn take_back(chosen: &mut [Chosen], running: &Running) -> Outcome {
    let reclaiming = running.reclaiming();
    loop {
        for one in chosen.iter().filter(|one| one.went == Went::Well) {
            until_agreed(one, running).await?;
        }
        let left = left(chosen, &reclaiming)?;
        let asked = reclaiming.asked(left.values().cloned().collect()).await;
        let asked = asked.map_err(|error| Failure::new(Exit::Failed, error))?;
        let under_way = |one: &Remainder| matches!(one.doing, Doing::Owed(_));
        let mut is_done = true;
        for one in chosen.iter_mut() {
            let is_asked = asked.iter().any(|reclaim| reclaim.channel == one.channel);
            if is_asked || left.get(&one.channel).is_some_and(under_way) || is_owed(one, running)? {
                is_done = false;
                one.went = how_it_went(one, running).await?;
            }
        }
        if is_done {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether something is still owed for a channel: its ledger may tell what came of it before the
/// outbox has seen that it is final.
fn is_owed(one: &Chosen, running: &Running) -> Outcome<bool> {
    let watched = running.reader.watched(&one.channel)?;
    let reference = watched.and_then(|row| row.reclaiming(&one.channel));
    let row = reference.map(|reference| running.reader.obligation(&reference)).transpose()?;
    Ok(row.flatten().is_some_and(|row| !row.state.is_settled()))
}

/// What is left in the channels that something can still be done about.
fn left(chosen: &[Chosen], reclaiming: &Reclaiming) -> Outcome<BTreeMap<ChannelId, Remainder>> {
    let wanted =
        |one: &Remainder| chosen.iter().any(|c| c.channel == one.channel && c.went == Went::Well);
    let remainders = reclaiming.reader.remainders()?.into_iter().filter(wanted);
    Ok(remainders.map(|one| (one.channel, one)).collect())
}

/// Waits until what is owed for a channel is done, or refused. That its seller has closed it
/// meanwhile is no refusal.
async fn how_it_went(one: &Chosen, running: &Running) -> Outcome<Went> {
    let watched = running.reader.watched(&one.channel)?;
    let Some(reference) = watched.and_then(|row| row.reclaiming(&one.channel)) else {
        return Ok(Went::Well);
    };
    let stopped = || Failure::new(Exit::Failed, "the journal stopped");
    let news = running.journal.send(Await(reference)).await.map_err(|_| stopped())?;
    let NewsKind::Refused(why) = news.ok_or_else(stopped)? else { return Ok(Went::Well) };
    if shown(one, running).await?.is_some_and(|channel| channel.finalized) {
        until_agreed(one, running).await?;
        return Ok(Went::Well);
    }
    Ok(if why.contains("CloseNotReady") { Went::TooEarly } else { Went::Refused(why) })
}

/// Waits until the journal was told what the ledger shows.
async fn until_agreed(one: &Chosen, running: &Running) -> Outcome {
    loop {
        let Some(channel) = shown(one, running).await? else { return Ok(()) };
        let watched = running.reader.watched(&one.channel)?;
        if watched.is_some_and(|watched| agree(&watched, &channel)) {
            return Ok(());
        }
        running.look().await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn agree(watched: &Watched, channel: &Channel) -> bool {
    watched.is_seen
        && watched.is_over == channel.finalized
        && (watched.is_over || watched.ready_ms.is_some() == channel.close_requested_ms.is_some())
        && (watched.deposit, watched.settled) == (channel.deposit, channel.settled)
}

async fn shown(one: &Chosen, running: &Running) -> Outcome<Option<Channel>> {
    let ledger: Option<&Arc<dyn Ledger>> = running.ledgers.get(&one.ledger);
    let Some(escrow) = ledger.and_then(|ledger| ledger.escrow()) else {
        let why = format!("ledger {} has no escrow any more", one.ledger);
        return Err(Failure::new(Exit::Ledger, why));
    };
    Ok(escrow.channel(&one.channel).await?)
}

/// What a channel is now.
fn show(one: &Chosen, row: &Watched, left: Amount, teller: &Teller<'_>, is_json: bool) -> Outcome {
    let Chosen { channel, ledger, asset, went } = one;
    let refused = if let Went::Refused(why) = went { Some(why) } else { None };
    let money = teller.money(ledger, asset, left);
    let (state, line) = match (row.is_over, row.ready_ms, refused) {
        (true, ..) => ("closed", format!("closed: {money} came back")),
        (false, Some(ready_ms), _) => {
            let ready = Moment(ready_ms);
            let line = format!(
                "asked to close: {money} can be withdrawn from {ready} on, run this again then"
            );
            ("closing", line)
        }
        (false, None, Some(why)) => ("refused", format!("not asked to close: {why}")),
        (false, None, None) if !row.is_seen => ("unknown", "not on its ledger".to_owned()),
        (false, None, None) => ("open", format!("open: {money} is left in it")),
    };
    if !is_json {
        return out::line(format_args!("{channel}  {line}"));
    }
    out::json(&json!({
        "channel": channel, "ledger": ledger, "asset": asset, "state": state,
        "deposit": row.deposit, "settled": row.settled, "left": left,
        "ready_ms": row.ready_ms, "why": refused,
    }))
}
