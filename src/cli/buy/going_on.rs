//! The same command once more, after a kill: its session goes on where its journal and its file have
//! it.

use super::kept::{Kept, read_back};
use super::{Buy, Session, believing, carry, session_policy, unsafe_system};
use crate::actors::busy::{Serving, Taken};
use crate::actors::buying::Delivering;
use crate::actors::resuming::Dialing;
use crate::actors::session::Ended;
use crate::actors::waiting::{GoOn, Waiting, entries, ledger_of, look_at};
use crate::actors::{now_ms, random_digest};
use crate::cli::dial::{dial, way};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::items::Items;
use crate::cli::note;
use crate::cli::running::{Running, Waits};
use crate::config::Config;
use crate::record::{End, Record};
use crate::session::{Buyer, Left, LeftChannel, Wish};
use crate::terms::{Purpose, Role};
use sdpp_ledger::{ChannelId, Reference};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long a ledger may take to show a channel that was paid from, its last top-up included.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// The file as the journal names it: the same wherever the command is typed.
pub(super) fn named(output: Option<&Path>) -> Option<String> {
    let path = output?;
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Some(whole.to_string_lossy().into_owned())
}

/// What a kill left of an order.
pub(super) struct LeftOver {
    /// What the command goes on with.
    pub(super) goes_on: Option<Waits>,
    /// What ends before the command begins anew.
    pub(super) ending: Vec<Waits>,
}

/// What a kill left of this very command, if it did; where the command is to begin anew, all that was
/// left of such an order is to end. What is left of others stays as it is while this process runs.
pub(super) fn left(ask: &Buy, running: &mut Running) -> LeftOver {
    let is_asked = |waits: &mut Waits| is_order(ask, &waits.session);
    if ask.new {
        let ending = running.waiting.extract_if(.., is_asked).collect();
        return LeftOver { goes_on: None, ending };
    }
    let file = named(ask.output.as_deref());
    let is_mine = |waits: &mut Waits| is_asked(waits) && waits.session.file == file;
    let goes_on = running.waiting.extract_if(.., is_mine).last();
    LeftOver { goes_on, ending: Vec::new() }
}

/// Whether a session is of the order that a command asks for.
fn is_order(ask: &Buy, session: &Waiting) -> bool {
    let asked = (ask.address.as_str(), ask.topic.as_str(), ask.quantity.0);
    asked == (session.address.as_str(), session.topic.as_str(), session.quantity)
}

/// Reads the session back, dials where its seller has something to say yet, and has it go on.
pub(super) async fn go_on(
    ask: &Buy,
    config: &Config,
    wish: Wish,
    Waits { session: waiting, holds }: &mut Waits,
    running: &Running,
) -> Outcome<(Session, Items)> {
    let session = waiting.session;
    let all = entries(&running.reader, &session)?.into_iter();
    let records: Vec<_> = all.map(|entry| (entry.at_ms, entry.record)).collect();
    let invoiced = Buyer::invoiced_by(records.iter().map(|(_, record)| record));
    let path = ask.output.as_deref();
    let mut kept = match path {
        Some(path) => read_back(path, session, &records)?,
        None => Kept::nothing(),
    };
    let behind = std::mem::take(&mut kept.behind);
    let items = invoiced + behind.len() as u64;
    note(format_args!("session {session} was interrupted, and goes on after item {items}"));
    let owes = owed(&records);
    let channels = channels(waiting, running).await?;
    let left = Left { records, items: behind, keeps_all: kept.all, channels };
    let policy = session_policy(config, running)?;
    let patience = Duration::from_millis(policy.patience_ms);
    let nobodys = random_digest().map_err(unsafe_system)?;
    let core = Buyer::rebuilt(running.key.clone(), wish, policy, nobodys, &left, now_ms());
    let core = core.map_err(|why| stuck(waiting, Exit::Failed, &why))?;
    let believing = believing(config, &ask.address);
    let way = way(&ask.address, &believing)?;
    let wire = match core.is_over() {
        // All is said: what is left is to be written down, and needs nobody.
        true => None,
        // Where nobody answers nothing is ended, and the command may be typed again.
        false => Some(dial(&way, (&ask.address, &believing), patience).await?),
    };
    let to = kept.open(path)?;
    let delivering = Delivering::new(&ask.address, named(path));
    let dialing = Dialing::on_line_to(way);
    let mut begun = carry((wire, core), dialing, delivering, (running, config, patience));
    holds.clear();
    begun.holds = hold(running, waiting, &begun)?;
    begun.actor.do_send(GoOn { session, owes });
    Ok((begun, to))
}

/// Says what stands of a session that went on and did not come to its end, and what to type.
pub(super) fn tell(ask: &Buy, ended: &Ended) {
    if ended.end == End::Complete {
        return;
    }
    let items = ended.progress.items;
    let came = match ask.quantity.0 {
        Some(quantity) if quantity <= items => {
            return note(format_args!("the session is over, and all of its {items} items came"));
        }
        Some(quantity) => {
            format!("{items} of its {quantity} items came, {} are missing", quantity - items)
        }
        None => format!("{items} items came"),
    };
    let Buy { address, topic, quantity, config, .. } = ask;
    let (quantity, config) =
        (quantity.0.map_or("all".to_owned(), |all| all.to_string()), config.display());
    note(format_args!(
        "the session is over: {came}, and nothing was ordered again. Another order begins anew: a \
         file with its first item again, a live source with what it reads then. To have all, order \
         all into another file: sdpp buy {address} {topic} {quantity} --config {config} --output \
         ANOTHER_FILE"
    ));
}

/// What the session owes its ledgers for items.
fn owed(records: &[(u64, Record)]) -> Vec<Reference> {
    let owed = records.iter().filter_map(|(_, record)| record.owed());
    owed.filter(|owed| owed.purpose == Purpose::Payment).map(|owed| owed.reference).collect()
}

/// Its channels as their ledgers have them.
async fn channels(
    waiting: &Waiting,
    running: &Running,
) -> Outcome<BTreeMap<ChannelId, LeftChannel>> {
    let mut channels = BTreeMap::new();
    let Running { reader, journal, ledgers, .. } = running;
    for channel in &waiting.channels {
        let asked = look_at(reader, journal, ledgers, channel);
        let late = |_| Err("its ledger does not answer".to_owned());
        let looked = tokio::time::timeout(SHOWN_WITHIN, asked).await.unwrap_or_else(late);
        let stuck =
            |why: String| stuck(waiting, Exit::Ledger, &format!("channel {channel}: {why}"));
        let looked = looked.map_err(stuck)?;
        channels.insert(*channel, looked);
    }
    Ok(channels)
}

/// Its channels are its own again.
fn hold(running: &Running, waiting: &Waiting, begun: &Session) -> Outcome<Vec<Taken>> {
    let mut holds = Vec::new();
    for channel in &waiting.channels {
        let ledger = ledger_of(&running.reader, &running.ledgers, channel);
        let ledger = ledger.map_err(|why| stuck(waiting, Exit::Failed, &why))?;
        let (stop, over) = (begun.actor.clone().recipient(), begun.actor.clone().recipient());
        let serving = Serving { ledger, stop, over, give_way: None, role: Role::Buyer };
        holds.extend(running.busy.take(*channel, serving));
    }
    Ok(holds)
}

/// Nothing is ended: what is wrong may be put right, and the command typed again.
fn stuck(Waiting { session, file, .. }: &Waiting, exit: Exit, why: &str) -> Failure {
    // What the file has in it was paid for, and is never written over.
    let elsewhere = if file.is_some() { " and another --output FILE" } else { "" };
    let why = format!(
        "session {session} was interrupted and cannot go on: {why}. Put that right and type the same \
         command again, or end that session and begin another with --new{elsewhere}"
    );
    Failure::new(exit, why)
}
