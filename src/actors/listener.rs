//! The listener: takes connections and starts a session for each, on the arbiters in turn. It
//! serves strangers, so it counts: so many connections in all, so many from one address.
//!
//! No mailbox is used: it is one loop, and ends with its node.

use crate::actors::admission::Admission;
use crate::actors::backlog::Backlog;
use crate::actors::busy::Busy;
use crate::actors::credit::CreditBook;
use crate::actors::journal::JournalActor;
use crate::actors::ledger::TellHealth;
use crate::actors::node::{Join, Node};
use crate::actors::offering::Offering;
use crate::actors::selling::{Feed, Selling};
use crate::actors::session::SessionActor;
use crate::actors::sight::Sight;
use crate::actors::trusting::Trusting;
use crate::actors::{Ledgers, NoRandomness, now_ms, random, random_digest, random_key};
use crate::gate::neighbourhood;
use crate::journal::Reader;
use crate::message::{Code, ErrorMessage};
use crate::session::{Offer, Seller, SellerRandomness};
use crate::source::Origin;
use actix::prelude::*;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// What every session of a seller shares.
#[derive(Clone)]
pub struct Shop {
    /// What is offered.
    pub offering: Offering,
    /// Where the items of each topic come from.
    pub topics: Arc<BTreeMap<String, Origin>>,
    /// Our ledgers.
    pub ledgers: Ledgers,
    /// The journal.
    pub journal: Addr<JournalActor>,
    /// The journal, to read.
    pub reader: Reader,
    /// Channels in use.
    pub busy: Busy,
    /// Which ledgers' channels are watched.
    pub sight: Sight,
    /// What is out unsecured.
    pub credit: CreditBook,
    /// Who knows how well our ledgers are.
    pub health: Vec<Recipient<TellHealth>>,
    /// How buyers are trusted, and what settling costs.
    pub trusting: Trusting,
    /// Who is let in.
    pub admission: Admission,
    /// What is sent and not acknowledged.
    pub backlog: Backlog,
    /// How long a new connection may stay silent.
    pub first_message: Duration,
}

/// How long to wait after a connection could not be taken.
const AGAIN: Duration = Duration::from_millis(50);

/// Takes connections until the node is gone.
pub async fn listen(
    listener: TcpListener,
    shop: Shop,
    node: Addr<Node>,
    arbiters: Vec<ArbiterHandle>,
) {
    let mut next = arbiters.iter().cycle();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // For want of file handles, or because the other side left: both pass.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        let Ok(stream) = stream.into_std() else { continue };
        if let Err(busy) = shop.admission.menu(peer.ip(), now_ms()) {
            turn_away(&stream, &busy);
            continue;
        }
        let offer = match shop.offering.now() {
            Ok(offer) => offer,
            Err(nothing) => {
                turn_away(&stream, &nothing);
                continue;
            }
        };
        match node.send(Join { from: neighbourhood(peer.ip()) }).await {
            Ok(Ok(id)) => {
                if let Some(arbiter) = next.next() {
                    let guest = Guest { stream, from: peer.ip(), id, offer };
                    start(arbiter, guest, shop.clone(), node.clone());
                }
            }
            Ok(Err(full)) => turn_away(&stream, &full),
            Err(_) => return,
        }
    }
}

/// A connection that was taken.
struct Guest {
    stream: TcpStream,
    from: IpAddr,
    id: u64,
    /// What it is offered.
    offer: Arc<Offer>,
}

fn start(arbiter: &ArbiterHandle, guest: Guest, shop: Shop, node: Addr<Node>) {
    arbiter.spawn_fn(move || {
        let Guest { from, id, .. } = guest;
        match begin(guest, shop, node.clone()) {
            Ok(session) => node.do_send(crate::actors::node::Started { id, session }),
            Err(why) => {
                tracing::error!(%from, why, "a session could not begin");
                node.do_send(crate::actors::node::Gone { id });
            }
        }
    });
}

fn begin(
    Guest { stream, from, id, offer }: Guest,
    shop: Shop,
    node: Addr<Node>,
) -> Result<Addr<SessionActor<Selling>>, String> {
    let randomness = randomness().map_err(|error| error.to_string())?;
    let item_bytes_max = offer.policy.item_bytes_max;
    let core = Seller::new(offer, randomness, now_ms());
    let side = Selling {
        id,
        node,
        topics: shop.topics,
        item_bytes_max,
        ledgers: shop.ledgers,
        reader: shop.reader,
        busy: shop.busy,
        sight: shop.sight,
        source: Feed::default(),
        holds: Vec::new(),
        offering: Some(shop.offering),
        credit: shop.credit,
        lent: Vec::new(),
        notes: Default::default(),
        trusting: shop.trusting,
        asked: None,
        admission: shop.admission,
        from,
        seat: None,
        backlog: shop.backlog.open(),
        is_paused: false,
    };
    let silence_max = Some(shop.first_message);
    let session = SessionActor::start_on(stream, core, side, shop.journal, silence_max)
        .map_err(|error| error.to_string())?;
    shop.health.iter().for_each(|ledger| ledger.do_send(TellHealth(session.clone().recipient())));
    Ok(session)
}

fn randomness() -> Result<SellerRandomness, NoRandomness> {
    Ok(SellerRandomness {
        challenge: random_digest()?,
        session_key: random()?,
        ephemeral: random_key()?,
        wrap_nonce: *random()?,
    })
}

/// Says why without waiting: a stranger who reads nothing must not hold up the others.
fn turn_away(mut stream: &TcpStream, full: &str) {
    let error = ErrorMessage { code: Code::Busy, message: full.to_owned(), voucher: None };
    // The socket does not block, and a fresh one takes one line; if not, it just closes.
    let _ = stream.write_all(&error.frame());
}
