//! The seller's side of a session's actor: brings items from the source while the core has room
//! for them, and looks at channels.

use crate::actors::Ledgers;
use crate::actors::node::{Leave, Node};
use crate::actors::session::{Core, Ctx, Ended, SessionActor, Side, Stop};
use crate::journal::{JournalError, Reader};
use crate::message::{Reason, Voucher};
use crate::session::{ChannelView, Input, Output, Progress, Seller};
use crate::source::{Batch, Item, Origin, Source, SourceError};
use actix::prelude::*;
use sdpp_ledger::{ChannelId, Ledger, LedgerError, LedgerId};
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most items that are taken from a source at once.
const ITEMS_AT_ONCE: u64 = 1024;

/// How long to wait before a ledger is asked for a channel again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Channels that serve a session just now: each at most one, and how to end that.
#[derive(Debug, Clone, Default)]
pub struct Busy(Arc<Mutex<HashMap<ChannelId, Option<Recipient<Stop>>>>>);

/// A channel's place in [`Busy`], given back when dropped.
#[derive(Debug)]
pub struct Taken(Busy, ChannelId);

impl Busy {
    /// Takes a channel for a session; `None` while another one has it.
    pub fn take(&self, channel: ChannelId, session: Recipient<Stop>) -> Option<Taken> {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.contains_key(&channel) {
            return None;
        }
        busy.insert(channel, Some(session));
        Some(Taken(self.clone(), channel))
    }

    /// Takes a channel for no session, so that none begins on it meanwhile; `None` while one has it.
    pub fn hold(&self, channel: ChannelId) -> Option<Taken> {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.contains_key(&channel) {
            return None;
        }
        busy.insert(channel, None);
        Some(Taken(self.clone(), channel))
    }

    /// Asks the session on a channel that is closing to end in good order, once. Whether there
    /// was one to ask.
    pub fn stop_closing(&self, channel: &ChannelId) -> bool {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = busy.get_mut(channel).and_then(Option::take);
        session.inspect(|session| session.do_send(Stop(Reason::ChannelClosing))).is_some()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

/// The seller's side.
pub struct Selling {
    /// Names the session at the node.
    pub id: u64,
    /// The node.
    pub node: Addr<Node>,
    /// Where the items of each topic come from.
    pub topics: Arc<BTreeMap<String, Origin>>,
    /// The longest item, in bytes.
    pub item_bytes_max: usize,
    /// Our ledgers.
    pub ledgers: Ledgers,
    /// The journal, to read.
    pub reader: Reader,
    /// Channels in use.
    pub busy: Busy,
    /// The source, while it is open.
    pub source: Feed,
    /// The channel that this session holds.
    pub holds: Option<Taken>,
}

/// Where the source is.
#[derive(Debug, Default)]
pub enum Feed {
    /// Not opened yet.
    #[default]
    Closed,
    /// Here.
    Open(Box<Source>),
    /// Being asked for items.
    Asked,
    /// It has no more.
    Ended,
}

impl Core for Seller {
    fn handle(&mut self, input: Input<'_>, now_ms: u64) {
        Seller::handle(self, input, now_ms);
    }

    fn poll(&mut self) -> Option<Output> {
        Seller::poll(self)
    }

    fn poll_timeout(&self) -> Option<u64> {
        Seller::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now_ms: u64) {
        Seller::handle_timeout(self, now_ms);
    }

    fn progress(&self) -> Progress {
        Seller::progress(self)
    }
}

type Actor = SessionActor<Selling>;

impl Side for Selling {
    type Core = Seller;

    fn carry_out(actor: &mut Actor, output: Output, ctx: &mut Ctx<Self>) -> Result<(), String> {
        match output {
            Output::Look { ledger, channel } => look(actor, ledger, channel, ctx),
            _ => Ok(()),
        }
    }

    fn idle(actor: &mut Actor, ctx: &mut Ctx<Self>) {
        let wants = actor.core.wants().min(ITEMS_AT_ONCE);
        let Some(wants) = usize::try_from(wants).ok().and_then(NonZeroUsize::new) else { return };
        let Some(side) = actor.side.as_mut() else { return };
        match std::mem::replace(&mut side.source, Feed::Asked) {
            Feed::Open(source) => ask(actor, source, wants, ctx),
            Feed::Closed => match open(actor) {
                Ok(source) => ask(actor, Box::new(source), wants, ctx),
                Err(error) => {
                    // The buyer is told, and what runs here is not its business.
                    tracing::error!(error, "the source cannot be opened");
                    actor.fail("the source cannot be opened".to_owned(), ctx);
                }
            },
            busy_or_over => side.source = busy_or_over,
        }
    }

    fn ended(self, ended: Ended) {
        self.node.do_send(Leave { id: self.id, ended });
    }
}

fn open(actor: &Actor) -> Result<Source, String> {
    let ordered = actor.core.ordered().map(|(topic, _)| topic.to_owned());
    let (topic, side) = ordered.zip(actor.side.as_ref()).ok_or("nothing was ordered")?;
    let origin = side.topics.get(&topic).ok_or("the topic has no source")?;
    origin.open(side.item_bytes_max, 0).map_err(|error| error.to_string())
}

/// Asks the source for items. While it has none, the session goes on with everything else.
fn ask(actor: &Actor, mut source: Box<Source>, wants: NonZeroUsize, ctx: &mut Ctx<Selling>) {
    let items = async move {
        let batch = source.next(wants).await;
        (source, batch)
    };
    ctx.spawn(items.into_actor(actor).map(|(source, batch), actor, ctx| {
        feed(actor, source, batch, ctx);
    }));
}

fn feed(
    actor: &mut Actor,
    source: Box<Source>,
    batch: Result<Batch, SourceError>,
    ctx: &mut Ctx<Selling>,
) {
    let Some(side) = actor.side.as_mut() else { return };
    match batch {
        Ok(Batch::Items(items)) => {
            side.source = Feed::Open(source);
            let items = items.into_iter().map(Item::into_bytes).collect();
            return actor.tell(Input::Items(items), ctx);
        }
        Ok(Batch::End) => {}
        // What was sent before is still to be paid, so the session ends in good order.
        Err(error) => tracing::error!(%error, "the source broke"),
    }
    side.source = Feed::Ended;
    actor.tell(Input::SourceEnded, ctx);
}

/// Looks at a channel on its ledger, until the ledger answers or the core's patience ends.
fn look(
    actor: &mut Actor,
    ledger: LedgerId,
    channel: ChannelId,
    ctx: &mut Ctx<Selling>,
) -> Result<(), String> {
    let Some(side) = actor.side.as_mut() else { return Ok(()) };
    let Some(ledger) = side.ledgers.get(&ledger).cloned() else {
        return Err(format!("there is no ledger {ledger} here"));
    };
    if side.holds.as_ref().is_none_or(|held| held.1 != channel) {
        side.holds = side.busy.take(channel, ctx.address().recipient());
    }
    let busy = side.holds.is_none();
    let known = known(&side.reader, &channel).map_err(|error| error.to_string())?;
    let view = async move { view(ledger.as_ref(), channel, Known { busy, ..known }).await };
    ctx.spawn(view.into_actor(actor).map(|view, actor, ctx| match view {
        Ok(view) => actor.tell(Input::Channel(view), ctx),
        Err(error) => actor.fail(error.to_string(), ctx),
    }));
    Ok(())
}

/// What we know of a channel without asking its ledger.
struct Known {
    best: Option<Box<Voucher>>,
    busy: bool,
    is_left: bool,
}

fn known(reader: &Reader, channel: &ChannelId) -> Result<Known, JournalError> {
    let voucher = reader.channel(channel)?.and_then(|known| known.voucher);
    let best = voucher
        .map(|(cumulative_amount, signature)| Box::new(Voucher { cumulative_amount, signature }));
    let is_left = reader.watched(channel)?.is_some_and(|watched| watched.is_left);
    Ok(Known { best, busy: false, is_left })
}

async fn view(
    ledger: &dyn Ledger,
    id: ChannelId,
    known: Known,
) -> Result<ChannelView, LedgerError> {
    let no_escrow = || LedgerError::refused("NoSuchAbility", "this ledger has no escrow");
    let escrow = ledger.escrow().ok_or_else(no_escrow)?;
    loop {
        match escrow.channel(&id).await {
            Ok(channel) => {
                let domain = escrow.domain().clone();
                let grace_ms = u64::try_from(escrow.grace_period().as_millis());
                let grace_ms = grace_ms.unwrap_or(u64::MAX);
                let Known { best, busy, is_left } = known;
                return Ok(ChannelView { channel, domain, best, busy, is_left, grace_ms });
            }
            Err(LedgerError::Unavailable { .. }) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(refused) => return Err(refused),
        }
    }
}
