//! Sessions that a kill or a power cut left without an end, and that go on when their buyers come back:
//! each is built anew from what the journal has of it, and waits for its buyer without a connection.

use crate::actors::busy::Serving;
use crate::actors::journal::Commit;
use crate::actors::keeper::Kept;
use crate::actors::listener::Shop;
use crate::actors::node::{Keep, Node, Started};
use crate::actors::selling::{self, Selling};
use crate::actors::session::{Ctx, SessionActor, SilenceMax};
use crate::actors::{Ledgers, interrupted, now_ms, random};
use crate::journal::{JournalError, Reader};
use crate::message::{Order, reread, reread_terms};
use crate::record::Record;
use crate::session::{Offer, Restart, Seller};
use crate::source::Origin;
use crate::terms::{Role, SessionId};
use actix::prelude::*;
use sdpp_ledger::Ledger;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Why a session is not built anew.
type Why = String;

/// A seller's sessions that have no end and were ordered to go on over another connection. What a
/// restored journal has of one may not be all, so such a session is none of them.
///
/// # Errors
/// As all of [`Reader`]'s methods.
pub fn kept(journal: &Reader) -> Result<Vec<SessionId>, JournalError> {
    let forgotten_to = journal.quarantine()?.map_or(0, |quarantine| quarantine.after_seq);
    let mut kept = Vec::new();
    for (id, session) in journal.open_sessions()? {
        let is_ours = session.role == Role::Seller && session.first_seq > forgotten_to;
        if is_ours && resumes(journal, session.first_seq)? {
            kept.push(id);
        }
    }
    Ok(kept)
}

fn resumes(journal: &Reader, order: u64) -> Result<bool, JournalError> {
    let Some(entry) = journal.entry(order)? else { return Ok(false) };
    let Record::Order { menu, order, .. } = entry.record else { return Ok(false) };
    let agreed = reread_terms(&menu, &order);
    Ok(agreed.is_ok_and(|(menu, order, _)| menu.resume_ms.is_some() && order.resumes))
}

/// Takes up all of them, and ends those that cannot go on. To be done before anybody is let in.
///
/// # Errors
/// Why the journal cannot be read.
pub async fn take_up(
    shop: &Shop,
    offer: &Offer,
    node: &Kept<Node>,
    arbiters: &[ArbiterHandle],
) -> Result<(), JournalError> {
    let mut next = arbiters.iter().cycle();
    for id in kept(&shop.reader)? {
        let built = rebuild(&shop.reader, offer, (&shop.topics, &shop.ledgers), (id, true))?;
        match (built, next.next()) {
            (Ok(core), Some(arbiter)) => start(core, shop, node, arbiter).await,
            (built, _) => {
                let why = built.err().unwrap_or_else(|| "there is no thread for it".to_owned());
                tracing::warn!(session = %id, why, "a session cannot go on: it is ended");
                let ends = interrupted::end(&shop.reader, &shop.ledgers, id)?;
                // Where the journal refuses, the next start ends it.
                let _ = shop.journal.send(Commit(ends)).await;
            }
        }
    }
    Ok(())
}

/// A session's core as the journal has it.
///
/// # Errors
/// Why the journal cannot be read; inside, why the session cannot go on.
pub(super) fn rebuild(
    reader: &Reader,
    offer: &Offer,
    (topics, ledgers): (&BTreeMap<String, Origin>, &Ledgers),
    (id, may_void): (SessionId, bool),
) -> Result<Result<Seller, Why>, JournalError> {
    let mut records = Vec::new();
    reader.each_session_entry(&id, |entry| records.push(entry.record))?;
    let standing = match records.first() {
        Some(Record::Order { peer, .. }) => Some(reader.standing(peer)?),
        _ => None,
    };
    let domain =
        |ledger: &Arc<dyn Ledger>| Some((ledger.id().clone(), ledger.escrow()?.domain().clone()));
    let session_key = match random() {
        Ok(key) => key,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let source = topic(&records).and_then(|topic| topics.get(&topic));
    let rereads = is_of_dataset(&records) || source.is_some_and(Origin::is_rereadable);
    let domains = ledgers.values().filter_map(domain).collect();
    let restart = Restart { rereads, may_void, session_key, domains, standing };
    Ok(Seller::rebuilt(offer, &records, restart, now_ms()))
}

fn topic(records: &[Record]) -> Option<String> {
    let Some(Record::Order { order, .. }) = records.first() else { return None };
    reread::<Order>(order).ok().map(|order| order.data_type)
}

/// What was promised can be read again, or nobody goes on with it, whatever its source is by now: none of it
/// is declared void.
fn is_of_dataset(records: &[Record]) -> bool {
    let Some(Record::Order { menu, order, .. }) = records.first() else { return false };
    reread_terms(menu, order).is_ok_and(|(_, _, terms)| terms.dataset.is_some())
}

async fn start(core: Seller, shop: &Shop, node: &Kept<Node>, arbiter: &ArbiterHandle) {
    let Ok(id) = node.addr().send(Keep).await else { return };
    let (shop, its_node) = (shop.clone(), node.clone());
    let (sender, started) = tokio::sync::oneshot::channel();
    arbiter.spawn(async move {
        let from = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let max = core.item_bytes_max();
        let side = shop.side(id, its_node, from, max);
        let silence_max = SilenceMax { first: None, idle: shop.idle };
        let journal = shop.journal.clone();
        let session = SessionActor::start_without(core, side, journal, silence_max, hold);
        shop.tell_health(&session);
        // Whoever waits for it is there as long as this thread.
        let _ = sender.send(session);
    });
    let Ok(session) = started.await else { return };
    node.addr().do_send(Started { id, session: session.clone() });
    if session.send(TakeUp).await.is_err() {
        tracing::error!("a session that was to go on broke");
    }
}

/// Has a session that was built anew take its place, and hear what it missed.
#[derive(Message)]
#[rtype(result = "()")]
struct TakeUp;

impl Handler<TakeUp> for SessionActor<Selling> {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, TakeUp: TakeUp, ctx: &mut Ctx<Selling>) -> Self::Result {
        let Some(session) = self.core.session() else {
            return Box::pin(async {}.into_actor(self));
        };
        tracing::info!(%session, "a session goes on from the journal, and waits for its buyer");
        selling::tell(self);
        self.begin(session, ctx);
        // What happens from here on is told; what had happened before is read.
        let listens = self.journal.send(Commit(Vec::new()));
        Box::pin(listens.into_actor(self).map(|_, actor, ctx| tell_outcomes(actor, ctx)))
    }
}

/// It has its place, its channels serve no other session, and what its buyer may have out is out. Before anything looks
/// at a channel: who looks at one that is not its own asks whoever has it to give way.
fn hold(actor: &mut SessionActor<Selling>, ctx: &mut Ctx<Selling>) {
    let (channels, unsecured) = (actor.core.channels(), actor.core.unsecured());
    let Some((buyer, side)) = actor.core.buyer().zip(actor.side.as_mut()) else { return };
    side.seat = Some(side.admission.keep(&buyer));
    for (ledger, channel) in channels {
        let serving = Serving {
            ledger,
            stop: ctx.address().recipient(),
            over: ctx.address().recipient(),
            give_way: Some(ctx.address().recipient()),
            role: Role::Seller,
        };
        if !side.holds.iter().any(|held| held.channel() == channel) {
            side.holds.extend(side.busy.take(channel, serving));
        }
    }
    for (currency, amount) in unsecured {
        if let Err(why) = selling::lend(side, &buyer, &currency, amount) {
            tracing::warn!(%currency, why, "more is out on credit than the config lets be now");
        }
    }
}

/// Tells a core that was built anew what became of what its journal says to be owed.
pub(super) fn tell_outcomes(actor: &mut SessionActor<Selling>, ctx: &mut Ctx<Selling>) {
    let Some(reader) = actor.side.as_ref().map(|side| side.reader.clone()) else { return };
    let owed = actor.core.awaited();
    actor.tell_became(&reader, owed, ctx);
}
