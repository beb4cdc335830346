//! A session's source: opened when items are wanted first, and asked for as many as there is credit for.

use super::{Actor, Ctx, Feed, LOOK_AGAIN, Selling};
use crate::session::{Input, Row};
use crate::source::{Batch, Item, Origin, Source, SourceError};
use crate::terms::Dataset;
use actix::prelude::*;
use std::num::NonZeroUsize;

/// The most items that are taken from a source at once.
const ITEMS_AT_ONCE: u64 = 1024;

/// What a message with an item has beside the item and its path, in bytes, more or less.
const MESSAGE_BYTES: usize = 512;

/// What a sister on an item's way up takes there.
const SISTER_BYTES: usize = 43;

/// Brings items from the source while the core has room for them.
pub(super) fn bring(actor: &mut Actor, ctx: &mut Ctx<Selling>) {
    if !may_send(actor, ctx) {
        return;
    }
    let wants = actor.core.wants().min(ITEMS_AT_ONCE);
    let sisters = actor.core.dataset().map_or(0, |dataset| dataset.depth());
    let Some(side) = actor.side.as_mut() else { return };
    // Small items count by what is around them on the wire.
    let around = MESSAGE_BYTES + SISTER_BYTES * sisters;
    let fit = (side.backlog.at_once() / around).max(1);
    let wants = usize::try_from(wants).unwrap_or(fit).min(fit);
    let Some(wants) = NonZeroUsize::new(wants) else { return };
    match std::mem::replace(&mut side.source, Feed::Asked) {
        Feed::Open(source) => ask(actor, source, wants, ctx),
        Feed::Closed => open(actor, ctx),
        busy_or_over => side.source = busy_or_over,
    }
}

/// Whether more may be sent, by what all sessions have out; where not, it is looked at again later.
fn may_send(actor: &mut Actor, ctx: &mut Ctx<Selling>) -> bool {
    let bytes = actor.core.unacknowledged_bytes();
    let Some(side) = actor.side.as_mut() else { return false };
    let may = side.backlog.may_send(bytes);
    if !may && !std::mem::replace(&mut side.is_paused, true) {
        ctx.run_later(LOOK_AGAIN, |actor, ctx| {
            actor.side.iter_mut().for_each(|side| side.is_paused = false);
            actor.drive(ctx);
        });
    }
    may
}

/// Opens the source.
fn open(actor: &mut Actor, ctx: &mut Ctx<Selling>) {
    let promised = actor.core.dataset();
    let topic = actor.core.ordered().map(|(topic, _)| topic.to_owned());
    let Some(side) = actor.side.as_ref() else { return };
    let of_topic = topic.and_then(|topic| Some((side.topics.get(&topic)?.clone(), topic)));
    let Some((origin, topic)) = of_topic else {
        return cannot(actor, "the topic has no source", ctx);
    };
    if let Some(promised) = promised.filter(|promised| origin.dataset() != Some(*promised)) {
        return commit_again(actor, (topic, origin), promised, ctx);
    }
    open_of(actor, origin, ctx);
}

/// The session was begun before this seller was started, when its file was promised: it may have grown
/// since, or be promised no more. What is in it is read on a thread of its own.
fn commit_again(
    actor: &mut Actor,
    of_topic: (String, Origin),
    promised: Dataset,
    ctx: &mut Ctx<Selling>,
) {
    let of = rewinds(actor);
    let Some(side) = actor.side.as_ref() else { return };
    let (known, max) = (side.promised.clone(), side.item_bytes_max);
    let found = async move { known.origin(of_topic, promised, max).await };
    ctx.spawn(found.into_actor(actor).map(move |found, actor, ctx| match found {
        _ if !is_where(actor, of) => {}
        Ok(origin) => open_of(actor, origin, ctx),
        Err(error) => {
            tracing::error!(error, "the source is not what was sold from");
            // What was sent before is still to be paid. Where it is to be said again, the session
            // itself knows that it cannot be.
            actor.side.iter_mut().for_each(|side| side.source = Feed::Ended);
            actor.tell(Input::SourceEnded, ctx);
        }
    }));
}

/// Opens it behind what was given before. A long way into a file is gone on another thread: other sessions
/// have this one.
fn open_of(actor: &mut Actor, origin: Origin, ctx: &mut Ctx<Selling>) {
    let Some(side) = actor.side.as_ref() else { return };
    let (of, max, skip) = (side.rewinds, side.item_bytes_max, side.skip);
    if skip == 0 || !origin.is_rereadable() {
        return opened(actor, origin.open(max, skip), ctx);
    }
    let readers = side.promised.readers.clone();
    let source = async move { readers.read(move || origin.open(max, skip)).await };
    ctx.spawn(source.into_actor(actor).map(move |source, actor, ctx| match source {
        _ if !is_where(actor, Some(of)) => {}
        Ok(source) => opened(actor, source, ctx),
        Err(error) => cannot(actor, &error.to_string(), ctx),
    }));
}

/// It is asked for what is wanted by now.
fn opened(actor: &mut Actor, source: Result<Source, SourceError>, ctx: &mut Ctx<Selling>) {
    match source {
        Ok(source) => {
            let Some(side) = actor.side.as_mut() else { return };
            side.source = Feed::Open(Box::new(source));
            bring(actor, ctx);
        }
        Err(error) => {
            look_at(actor, &error);
            cannot(actor, &error.to_string(), ctx);
        }
    }
}

/// The buyer is told, and what runs here is not its business.
fn cannot(actor: &mut Actor, error: &str, ctx: &mut Ctx<Selling>) {
    tracing::error!(error, "the source cannot be opened");
    actor.fail("the source cannot be opened".to_owned(), ctx);
}

fn rewinds(actor: &Actor) -> Option<u64> {
    actor.side.as_ref().map(|side| side.rewinds)
}

/// Whether the source is where it was then, and stays there.
fn is_where(actor: &Actor, of: Option<u64>) -> bool {
    rewinds(actor) == of && !actor.core.is_rewinding()
}

/// Asks the source for items. While it has none, the session goes on with everything else.
fn ask(actor: &mut Actor, mut source: Box<Source>, wants: NonZeroUsize, ctx: &mut Ctx<Selling>) {
    let of = rewinds(actor);
    let bytes = actor.side.as_ref().map_or(0, |side| side.backlog.at_once());
    let items = async move {
        // What was sealed before leaves meanwhile, and others have their turn.
        tokio::task::yield_now().await;
        let batch = source.next(wants, bytes).await;
        (source, batch)
    };
    ctx.spawn(items.into_actor(actor).map(move |(source, batch), actor, ctx| {
        if is_where(actor, of) {
            feed(actor, source, batch, ctx);
        }
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
        Ok(Batch::Rows(rows)) => {
            side.source = Feed::Open(source);
            let row = |(item, path): (Item, _)| Row { item: item.into_bytes(), path };
            return actor.tell(Input::Rows(rows.into_iter().map(row).collect()), ctx);
        }
        Ok(Batch::End) => {}
        // What was sent before is still to be paid, so the session ends in good order.
        Err(error) => {
            tracing::error!(%error, "the source broke");
            look_at(actor, &error);
        }
    }
    let Some(side) = actor.side.as_mut() else { return };
    side.source = Feed::Ended;
    actor.tell(Input::SourceEnded, ctx);
}

/// Where a file has changed the menu goes on promising it as it was, and no more of that is to be ordered. A
/// session that was begun before this seller was started may be of another promise.
fn look_at(actor: &Actor, error: &SourceError) {
    let (Some((topic, _)), Some(side)) = (actor.core.ordered(), &actor.side) else { return };
    let is_on_menu = side.topics.get(topic).and_then(Origin::dataset) == actor.core.dataset();
    let has_changed = is_on_menu && matches!(error, SourceError::Changed { .. });
    side.offering.iter().filter(|_| has_changed).for_each(|offering| offering.take_off(topic));
}
