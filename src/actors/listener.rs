//! The listener: takes connections and starts a session for each, on the arbiters in turn. It
//! serves strangers, so it counts: so many connections in all, so many from one address.
//!
//! No mailbox is used: it is one loop, and goes on as long as the process does.

use crate::actors::admission::Admission;
use crate::actors::backlog::Backlog;
use crate::actors::busy::Busy;
use crate::actors::credit::CreditBook;
use crate::actors::joining::Joining;
use crate::actors::journal::JournalActor;
use crate::actors::keeper::{Keeper, Kept};
use crate::actors::ledger::{LedgerActor, TellHealth};
use crate::actors::node::{Gone, Join, Node, Started};
use crate::actors::offering::Offering;
use crate::actors::promised::Promised;
use crate::actors::resuming::LastWords;
use crate::actors::selling::{Feed, Place, Selling};
use crate::actors::session::{SessionActor, SilenceMax};
use crate::actors::sight::Sight;
use crate::actors::trusting::Trusting;
use crate::actors::wire::{Wire, registered};
use crate::actors::{Ledgers, NoRandomness, now_ms, random, random_digest, random_key};
use crate::gate::neighbourhood;
use crate::journal::Reader;
use crate::message::{Code, ErrorMessage};
use crate::session::{Offer, Seller, SellerRandomness};
use crate::source::Origin;
use crate::tls::{Refused, SellersTls};
use actix::prelude::*;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// What every session of a seller shares.
#[derive(Clone)]
pub struct Shop {
    /// What is offered.
    pub offering: Offering,
    /// Where the items of each topic come from.
    pub topics: Arc<BTreeMap<String, Origin>>,
    /// Files as they were promised to sessions that were begun before this process was started.
    pub promised: Promised,
    /// Our ledgers.
    pub ledgers: Ledgers,
    /// The journal.
    pub journal: Addr<JournalActor>,
    /// The journal, to read.
    pub reader: Reader,
    /// Channels in use.
    pub busy: Busy,
    /// Bonds that wait for our part.
    pub joining: Joining,
    /// Which ledgers' channels are watched.
    pub sight: Sight,
    /// What was said last in sessions that are over.
    pub last_words: LastWords,
    /// What is out unsecured.
    pub credit: CreditBook,
    /// Who knows how well our ledgers are.
    pub health: Vec<Kept<LedgerActor>>,
    /// How buyers are trusted, and what settling costs.
    pub trusting: Trusting,
    /// Who is let in.
    pub admission: Admission,
    /// What is sent and not acknowledged.
    pub backlog: Backlog,
    /// How long a new connection may stay silent.
    pub first_message: Duration,
    /// How long any may.
    pub idle: Duration,
    /// How buyers are let in under TLS; `None` in the clear.
    pub tls: Option<SellersTls>,
}

/// How long to wait after a connection could not be taken.
const AGAIN: Duration = Duration::from_millis(50);

/// What is said to who does not speak TLS to a seller that speaks nothing else.
const TLS_ONLY: &str = "this seller speaks TLS alone: dial tls://HOST:PORT";

/// What strangers are told while what keeps their places is started again.
const BROKE: &str = "this seller takes no connection just now: come again in a moment";

/// Takes connections, and is kept.
pub fn listen(
    keeper: &Keeper,
    listener: TcpListener,
    shop: Shop,
    node: Kept<Node>,
    arbiters: Vec<ArbiterHandle>,
) {
    let (listener, arbiters) = (Arc::new(listener), Arc::new(arbiters));
    keeper.keep("listener", move || {
        Some(take_all(listener.clone(), shop.clone(), node.clone(), arbiters.clone()))
    });
}

async fn take_all(
    listener: Arc<TcpListener>,
    shop: Shop,
    node: Kept<Node>,
    arbiters: Arc<Vec<ArbiterHandle>>,
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
        match node.addr().send(Join { from: neighbourhood(peer.ip()) }).await {
            Ok(Ok(id)) => {
                if let Some(arbiter) = next.next() {
                    let guest = Guest { stream, from: peer.ip(), id, offer };
                    start(arbiter, guest, shop.clone(), node.clone());
                }
            }
            Ok(Err(full)) => turn_away(&stream, &full),
            Err(_) => turn_away(&stream, BROKE),
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

fn start(arbiter: &ArbiterHandle, guest: Guest, shop: Shop, node: Kept<Node>) {
    let (id, giving_back) = (guest.id, node.clone());
    let is_begun = arbiter.spawn(async move {
        let Guest { stream, from, id, offer } = guest;
        let began = Instant::now();
        let Some(wire) = let_in(stream, from, &shop).await else {
            return node.addr().do_send(Gone { id });
        };
        // What the handshake took, it took of the time for the first message.
        let first = Some(shop.first_message.saturating_sub(began.elapsed()));
        let silence_max = SilenceMax { first, idle: shop.idle };
        match begin((wire, from, id, offer), shop, silence_max, node.clone()) {
            Ok(session) => node.addr().do_send(Started { id, session }),
            Err(error) => {
                tracing::error!(%from, %error, "a session could not begin");
                node.addr().do_send(Gone { id });
            }
        }
    });
    if !is_begun {
        tracing::error!("a session could not begin: its thread has ended");
        giving_back.addr().do_send(Gone { id });
    }
}

/// What carries the session, when the buyer has done what TLS asks for; `None` where it is not let in.
async fn let_in(stream: TcpStream, from: IpAddr, shop: &Shop) -> Option<Wire> {
    let refused = |why: String| tracing::info!(%from, why, "a connection was not let in");
    let stream = match registered(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::error!(%from, %error, "a session could not begin");
            return None;
        }
    };
    let Some(tls) = &shop.tls else { return Some(Wire::Plain(stream)) };
    match tls.accept(stream, shop.first_message).await {
        Ok(stream) => return Some(Wire::Tls(Box::new(stream))),
        Err(Refused::InTheClear(stream)) => {
            let message = TLS_ONLY.to_owned();
            let error = ErrorMessage { code: Code::Version, message, voucher: None };
            // What it has said is read, or closing would throw away our answer. A fresh socket takes
            // one line; if not, it just closes.
            let _ = stream.try_read(&mut [0; 1024]);
            let _ = stream.try_write(&error.frame());
            refused("it does not speak TLS".to_owned());
        }
        Err(Refused::Handshake(why)) => refused(why),
    }
    None
}

fn begin(
    (wire, from, id, offer): (Wire, IpAddr, u64, Arc<Offer>),
    shop: Shop,
    silence_max: SilenceMax,
    node: Kept<Node>,
) -> Result<Addr<SessionActor<Selling>>, NoRandomness> {
    let randomness = randomness()?;
    let item_bytes_max = offer.policy.item_bytes_max;
    let core = Seller::new(offer, randomness, now_ms());
    let side = shop.side(id, node, from, item_bytes_max);
    let journal = shop.journal.clone();
    let session = SessionActor::start_on(wire, core, side, journal, silence_max);
    shop.tell_health(&session);
    Ok(session)
}

impl Shop {
    /// The seller's side of a session on a connection.
    pub(super) fn side(
        &self,
        id: u64,
        node: Kept<Node>,
        from: IpAddr,
        item_bytes_max: usize,
    ) -> Selling {
        let shop = self.clone();
        let (reader, journal) = (shop.reader.clone(), shop.journal);
        Selling {
            place: Place {
                id,
                node,
                ledgers: shop.ledgers.clone(),
                reader,
                journal,
                session: None,
            },
            topics: shop.topics,
            item_bytes_max,
            ledgers: shop.ledgers,
            reader: shop.reader,
            busy: shop.busy,
            joining: shop.joining,
            sight: shop.sight,
            promised: shop.promised,
            source: Feed::default(),
            skip: 0,
            rewinds: 0,
            holds: Vec::new(),
            offering: Some(shop.offering),
            credit: shop.credit,
            lent: Vec::new(),
            notes: Default::default(),
            trusting: shop.trusting,
            asked: None,
            last_words: shop.last_words,
            admission: shop.admission,
            from,
            seat: None,
            backlog: shop.backlog.open(),
            is_paused: false,
        }
    }

    /// A session hears how well our ledgers are.
    pub(super) fn tell_health(&self, session: &Addr<SessionActor<Selling>>) {
        for ledger in &self.health {
            ledger.addr().do_send(TellHealth(session.clone().recipient()));
        }
    }
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
