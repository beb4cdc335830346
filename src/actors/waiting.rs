//! A buyer's sessions that a kill or a power cut left without an end, and that the command which began
//! them can go on with: it names the same seller, topic, quantity and file. Nothing is decided here but
//! how long they are left for it.

use crate::actors::journal::{Await, Commit, JournalActor};
use crate::actors::session::{Ctx, SessionActor};
use crate::actors::{Ledgers, buying::Buying};
use crate::journal::{Entry, Home, JournalError, Reader};
use crate::message::reread_terms;
use crate::record::Record;
use crate::session::{Buyer, LeftChannel};
use crate::terms::{Purpose, Role, SessionId};
use actix::prelude::*;
use sdpp_ledger::{ChannelId, LedgerId, Reference};

/// How long a session is left for its command after its seller has stopped waiting, by its last record,
/// in milliseconds: a source may have been silent for a while before the kill. What its channels have
/// left is not to be had meanwhile.
const LEFT_FOR_MS: u64 = 60 * 60 * 1_000;

/// A session that its command can go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub session: SessionId,
    /// Where its seller was dialled.
    pub address: String,
    /// The file that its items go to; `None` where they went to whoever read them.
    pub file: Option<String>,
    /// What was ordered.
    pub topic: String,
    /// How many items; `None` for as many as there are.
    pub quantity: Option<u64>,
    /// The channels that it draws on, or has asked to.
    pub channels: Vec<ChannelId>,
    /// The currencies that it is paid in, or has asked to be.
    pub currencies: Vec<String>,
    /// Until when it is left for its command, in milliseconds since 1970 UTC.
    until_ms: u64,
}

/// All of them at this time.
///
/// # Errors
/// As all of [`Reader`]'s methods.
pub fn waiting(journal: &Reader, now_ms: u64) -> Result<Vec<Waiting>, JournalError> {
    let mut found = Vec::new();
    for (id, session) in journal.open_sessions()? {
        if session.role == Role::Buyer && !session.epochs.is_empty() {
            let waits = of(id, &entries(journal, &id)?);
            found.extend(waits.filter(|waits| now_ms < waits.until_ms));
        }
    }
    Ok(found)
}

/// A session's entries, all of them.
///
/// # Errors
/// As all of [`Reader`]'s methods.
pub fn entries(journal: &Reader, session: &SessionId) -> Result<Vec<Entry>, JournalError> {
    let mut all = Vec::new();
    journal.each_session_entry(session, |entry| all.push(entry))?;
    Ok(all)
}

fn of(session: SessionId, entries: &[Entry]) -> Option<Waiting> {
    let ordered = entries.iter().find_map(|entry| match &entry.record {
        Record::Order { menu, order, .. } => Some((menu, order)),
        _ => None,
    });
    let delivering = entries.iter().find_map(|entry| match &entry.record {
        Record::Delivering { address, file } => Some((address.clone(), file.clone())),
        _ => None,
    });
    let ((menu, order), (address, file)) = ordered.zip(delivering)?;
    let (menu, order, _) = reread_terms(menu, order).ok()?;
    let resume_ms = menu.resume_ms.filter(|_| order.resumes)?;
    let (topic, quantity) = (order.data_type, order.order_quantity);
    let records = || entries.iter().map(|entry| &entry.record);
    let (channels, currencies) = (Buyer::channels_of(records()), Buyer::currencies_of(records()));
    let last_ms = entries.last().map_or(0, |entry| entry.at_ms);
    let until_ms = last_ms.saturating_add(resume_ms).saturating_add(LEFT_FOR_MS);
    Some(Waiting { session, address, file, topic, quantity, channels, currencies, until_ms })
}

/// The ledger that a channel of ours is on.
///
/// # Errors
/// Why it cannot be told, for people.
pub fn ledger_of(
    journal: &Reader,
    ledgers: &Ledgers,
    channel: &ChannelId,
) -> Result<LedgerId, String> {
    let watched = journal.watched(channel).map_err(|error| error.to_string())?;
    let watched = watched.ok_or_else(|| format!("the journal has no channel {channel}"))?;
    match watched.home {
        Home::Ledger(id) => Ok(id),
        Home::Domain(domain) => {
            let has = |ledger: &LedgerId| {
                let escrow = ledgers.get(ledger).and_then(|ledger| ledger.escrow());
                escrow.is_some_and(|escrow| *escrow.domain() == domain)
            };
            let found = ledgers.keys().find(|id| has(id)).cloned();
            found.ok_or_else(|| format!("no ledger of the config has channel {channel}"))
        }
    }
}

/// A channel as its ledger has it, once a top-up that was under way is done or refused.
///
/// # Errors
/// Why it cannot be told, for people.
pub async fn look_at(
    reader: &Reader,
    journal: &Addr<JournalActor>,
    ledgers: &Ledgers,
    channel: &ChannelId,
) -> Result<LeftChannel, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let id = ledger_of(reader, ledgers, channel)?;
    let watched = reader.watched(channel).map_err(|error| text(&error))?;
    if let Some(last) = watched.and_then(|watched| watched.top_ups.checked_sub(1)) {
        let top_up = SessionId(sdpp_ledger::Digest(channel.0)).reference(Purpose::TopUp, last);
        // One that was refused leaves the deposit as the ledger shows it.
        let _ = journal.send(Await(top_up)).await.map_err(|error| text(&error))?;
    }
    let ledger = ledgers.get(&id).ok_or_else(|| format!("there is no ledger {id} here"))?;
    let escrow = ledger.escrow().ok_or_else(|| format!("{id} has no escrow"))?;
    let shown = escrow.channel(channel).await.map_err(|error| text(&error))?;
    let shown = shown.ok_or_else(|| format!("{id} has no channel {channel}"))?;
    let facts = reader.channel(channel).map_err(|error| text(&error))?.unwrap_or_default();
    let (domain, ceiling) = (escrow.domain().clone(), facts.ceiling.unwrap_or_default());
    Ok(LeftChannel { domain, deposit: shown.deposit, ceiling, is_over: shown.finalized })
}

/// Tells a session that was read back what became meanwhile of all that it owes.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct GoOn {
    /// The session.
    pub session: SessionId,
    /// What it owes.
    pub owes: Vec<Reference>,
}

impl Handler<GoOn> for SessionActor<Buying> {
    type Result = ();

    fn handle(&mut self, GoOn { session, owes }: GoOn, ctx: &mut Ctx<Buying>) {
        self.begin(session, ctx);
        let Some(reader) = self.side.as_ref().map(|side| side.reader.clone()) else { return };
        // What is news from here on is told us: we are listening once this is answered.
        let listens = self.journal.send(Commit(Vec::new()));
        let told = listens.into_actor(self);
        ctx.spawn(told.map(move |_, actor, ctx| actor.tell_became(&reader, owes, ctx)));
    }
}
