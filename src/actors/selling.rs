//! The seller's side of a session's actor: brings items from the source while the core has room
//! for them, and looks at channels.

mod feeding;
mod place;

pub use place::Place;

use crate::actors::admission::{Admission, Seat};
use crate::actors::amending::Waiting;
use crate::actors::asking::{Asking, Asks, Settles};
use crate::actors::backlog::Part;
use crate::actors::busy::{Busy, Serving, Taken};
use crate::actors::credit::{CreditBook, Lent};
use crate::actors::joining::Joining;
use crate::actors::node::{Asked, Leave};
use crate::actors::offering::Offering;
use crate::actors::promised::Promised;
use crate::actors::resuming::{self, LastWords};
use crate::actors::session::{Core, Ctx, Ended, SessionActor, Side};
use crate::actors::shown::{Shown, ask_for};
use crate::actors::sight::Sight;
use crate::actors::trusting::{self, Trusting};
use crate::actors::{Ledgers, now_ms};
use crate::journal::Reader;
use crate::message::Voucher;
use crate::record::{End, Record};
use crate::session::{ChannelView, Input, NoteEnd, Output, Progress, Seller};
use crate::source::{Origin, Source};
use crate::standing::Standing;
use crate::terms::{Role, SessionId};
use actix::prelude::*;
use sdpp_ledger::{Account, Amount, BondId, Call, ChannelId, LedgerError, LedgerId, PublicKey};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before a ledger is asked for a channel again, or whether more may be sent.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How often it is looked whether a channel was given back.
const GIVE_WAY_LOOKS: u32 = 5;

/// The seller's side.
pub struct Selling {
    /// Its place at the node.
    pub place: Place,
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
    /// Bonds that wait for our part.
    pub joining: Joining,
    /// Which ledgers' channels are watched.
    pub sight: Sight,
    /// Files as they were promised to sessions that were begun before this process was started.
    pub promised: Promised,
    /// The source, while it is open.
    pub source: Feed,
    /// How many of its items it is opened behind.
    pub skip: u64,
    /// How often it was to be opened anew: what it was asked for before that is for nobody.
    pub rewinds: u64,
    /// The channels that this session holds, one for each leg.
    pub holds: Vec<Taken>,
    /// What is offered now; without it a session keeps its currency.
    pub offering: Option<Offering>,
    /// What is out unsecured, over all sessions.
    pub credit: CreditBook,
    /// What this session may have out.
    pub lent: Vec<Lent>,
    /// Who waits for what becomes of a credit note.
    pub notes: Waiting<NoteEnd>,
    /// How the buyer is trusted, and what settling costs.
    pub trusting: Trusting,
    /// What was said last in sessions that are over.
    pub last_words: LastWords,
    /// What the node knows of the session.
    pub asked: Option<Asked>,
    /// Who is let in.
    pub admission: Admission,
    /// Where the buyer is.
    pub from: IpAddr,
    /// The session's place, once there is an order.
    pub seat: Option<Seat>,
    /// What is sent and not acknowledged.
    pub backlog: Part,
    /// The source waits until others have less of that out.
    pub is_paused: bool,
}

/// Where the source is.
#[derive(Debug, Default)]
pub enum Feed {
    /// Not opened yet.
    #[default]
    Closed,
    /// Here.
    Open(Box<Source>),
    /// Being opened, or asked for items.
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

    fn peek(&self) -> Option<&Output> {
        Seller::peek(self)
    }

    fn poll_record(&mut self, may_go: &dyn Fn(&Output) -> bool) -> Option<Output> {
        Seller::poll_record(self, may_go)
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

    fn is_away(&self) -> bool {
        Seller::is_away(self)
    }
}

impl Settles for Seller {
    fn to_settle(&self) -> Option<(LedgerId, Call)> {
        Seller::redeemable(self)
    }
}

impl Asks for Selling {
    fn asking(&mut self) -> &mut Asking {
        &mut self.trusting.asking
    }

    fn ledgers(&self) -> &Ledgers {
        &self.ledgers
    }
}

type Actor = SessionActor<Selling>;

impl Side for Selling {
    type Core = Seller;

    fn carry_out(actor: &mut Actor, output: Output, ctx: &mut Ctx<Self>) -> Result<(), String> {
        match output {
            Output::Look { ledger, channel, signer, bond } => {
                look(actor, &ledger, (channel, bond), signer, ctx)
            }
            Output::Join { ledger, bond } => {
                actor.side.iter().for_each(|side| side.joining.ask(ledger.clone(), bond));
                Ok(())
            }
            Output::Admit { buyer } => {
                let side = actor.side.as_mut().ok_or("the session is over")?;
                let admitted = admit(side, &buyer)?;
                // Told from a task of its own, as below.
                let told = async move { admitted };
                ctx.spawn(told.into_actor(actor).map(|admitted, actor, ctx| {
                    actor.tell(Input::Admitted(admitted), ctx);
                }));
                Ok(())
            }
            Output::Credit { buyer, currency, amount } => {
                let lent = actor.side.as_mut().map(|side| lend(side, &buyer, &currency, amount));
                if let Some(granted) = lent {
                    // From a task of its own, as below.
                    let told = async move { granted };
                    ctx.spawn(told.into_actor(actor).map(|granted, actor, ctx| {
                        actor.tell(Input::Credit(granted), ctx);
                    }));
                }
                Ok(())
            }
            Output::Rewind { skip } => {
                if let Some(side) = actor.side.as_mut() {
                    (side.source, side.skip) = (Feed::Closed, skip);
                    side.rewinds += 1;
                }
                Ok(())
            }
            Output::Resume { session } => {
                resuming::hand_over(actor, session, ctx);
                Ok(())
            }
            Output::Quote => {
                let offering = actor.side.as_ref().and_then(|side| side.offering.as_ref());
                let offer = offering.and_then(|offering| offering.now().ok());
                // Told from a task of its own: outputs are carried out in the middle of a step.
                let told = async move { offer };
                let tell = |offer, actor: &mut Actor, ctx: &mut Ctx<Self>| {
                    actor.tell(Input::Offer(offer), ctx);
                };
                ctx.spawn(told.into_actor(actor).map(tell));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn noted(&mut self, session: SessionId, record: &Record) {
        self.last_words.note(session, record);
    }

    fn meanwhile(actor: &mut Actor, ctx: &mut Ctx<Self>) {
        tell_node(actor);
        trusting::begin(actor, ctx);
        feeding::bring(actor, ctx);
    }

    fn idle(actor: &mut Actor, ctx: &mut Ctx<Self>) {
        tell(actor);
        trusting::begin(actor, ctx);
        feeding::bring(actor, ctx);
    }

    fn ended(mut self, ended: Ended) {
        self.place.session = None;
        let is_good = matches!(ended.end, End::Complete | End::Outstanding | End::Failed);
        if let Some(seat) = self.seat.take() {
            // What was in an open window nobody pays any more, whether it was acknowledged or not.
            seat.leave(!is_good && ended.progress.items > 0, now_ms());
        }
        let Place { id, node, .. } = &self.place;
        node.addr().do_send(Leave { id: *id, ended });
    }
}

/// Tells who waits for it what is new: the node, and people who credit, to whom a note is what is durable.
pub(super) fn tell(actor: &mut Actor) {
    tell_node(actor);
    let has_begun = actor.core.session().is_some();
    let side = actor.side.as_mut().filter(|_| has_begun);
    side.into_iter().for_each(|side| side.notes.tell(|number| actor.core.note(number)));
}

fn tell_node(actor: &mut Actor) {
    let Some((session, side)) = actor.core.session().zip(actor.side.as_mut()) else { return };
    side.place.session = Some(session);
    let asked = Asked { id: side.place.id, session, asks: actor.core.asks() };
    if side.asked.as_ref() != Some(&asked) {
        side.asked = Some(asked.clone());
        side.place.node.addr().do_send(asked);
    }
}

/// Gives the session a place and looks up what earlier ones say of its buyer; or says, for the buyer,
/// why there is no room for it.
fn admit(side: &mut Selling, buyer: &PublicKey) -> Result<Result<Standing, String>, String> {
    match side.admission.order(buyer, side.from, now_ms()) {
        Ok(seat) => side.seat = Some(seat),
        Err(busy) => return Ok(Err(busy)),
    }
    side.reader.standing(buyer).map(Ok).map_err(|error| error.to_string())
}

/// Lets the buyer have so much out in this session.
pub(super) fn lend(
    side: &mut Selling,
    buyer: &PublicKey,
    currency: &str,
    amount: Amount,
) -> Result<(), String> {
    side.seat.as_mut().map_or(Ok(()), |seat| seat.lend(now_ms()))?;
    if !side.lent.iter().any(|lent| lent.currency() == currency) {
        side.lent.push(side.credit.open(buyer, currency));
    }
    let lent = side.lent.iter_mut().find(|lent| lent.currency() == currency);
    lent.map_or(Ok(()), |lent| lent.raise(amount))
}

/// Looks at a channel on its ledger, until the ledger answers or the core's patience ends.
fn look(
    actor: &mut Actor,
    ledger: &LedgerId,
    (channel, bond): (ChannelId, Option<BondId>),
    signer: Account,
    ctx: &mut Ctx<Selling>,
) -> Result<(), String> {
    let Some(side) = actor.side.as_ref() else { return Ok(()) };
    let Some(ledger) = side.ledgers.get(ledger).cloned() else {
        return Err(format!("there is no ledger {ledger} here"));
    };
    let holds = side.holds.iter().any(|held| held.channel() == channel);
    let serving = Serving {
        ledger: ledger.id().clone(),
        stop: ctx.address().recipient(),
        over: ctx.address().recipient(),
        give_way: Some(ctx.address().recipient()),
        role: Role::Seller,
    };
    let (busy, of, joining) = (side.busy.clone(), signer.clone(), side.joining.clone());
    let asked = async move {
        let mut shown = ask_for(ledger.as_ref(), &channel, bond.as_ref()).await?;
        if let Some((view, id)) = shown.bond.as_mut().zip(bond) {
            view.unjoined = joining.refused(&id);
        }
        let is_signers = shown.channel.as_ref().is_some_and(|channel| channel.signer == of);
        if is_signers && !holds {
            wait_for(&busy, &channel).await;
        }
        Ok::<_, LedgerError>(shown)
    };
    ctx.spawn(asked.into_actor(actor).map(move |shown, actor, ctx| {
        let Some(side) = actor.side.as_mut() else { return };
        let shown = shown.map_err(|error| error.to_string());
        match shown.and_then(|shown| view(side, shown, (channel, &signer), serving)) {
            Ok(view) => actor.tell(Input::Channel(view), ctx),
            Err(why) => {
                tracing::warn!(%channel, why, "the channel cannot be looked at");
                actor.tell(Input::NotShown { channel, why }, ctx);
            }
        }
    }));
    Ok(())
}

/// A session without a connection gives its channel back to the same buyer's next, and its end takes a
/// moment.
async fn wait_for(busy: &Busy, channel: &ChannelId) {
    for _ in 0..GIVE_WAY_LOOKS {
        if !busy.is_taken(channel) {
            return;
        }
        busy.give_way(channel);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The ledger's word beside what we know, for a session that the channel is taken for where its
/// order's key is the channel's signer: ids are public, and who names one holds nothing by it.
/// What was vouched is read after that, when nobody else can add to it.
fn view(
    side: &mut Selling,
    Shown { channel, domain, grace, lag, bond }: Shown,
    (id, signer): (ChannelId, &Account),
    serving: Serving,
) -> Result<ChannelView, String> {
    let is_unwatched = side.sight.blind_for(&serving.ledger).is_some();
    let fits = channel.as_ref().is_some_and(|channel| channel.signer == *signer);
    let holds = |side: &Selling| side.holds.iter().any(|held| held.channel() == id);
    if fits && !holds(side) {
        side.holds.extend(side.busy.take(id, serving));
    }
    let busy = fits && !holds(side);
    let known = side.reader.channel(&id).map_err(|error| error.to_string())?;
    let best = known.and_then(|known| known.voucher);
    let best = best
        .map(|(cumulative_amount, signature)| Box::new(Voucher { cumulative_amount, signature }));
    let watched = side.reader.watched(&id).map_err(|error| error.to_string())?;
    let is_left = watched.is_some_and(|watched| watched.is_left || watched.is_over);
    let [grace_ms, lag_ms] =
        [grace, lag].map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    Ok(ChannelView {
        id,
        channel,
        domain,
        best,
        busy,
        is_left,
        is_unwatched,
        grace_ms,
        lag_ms,
        bond,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::actors::admission::Crowding;
    use crate::actors::backlog::Backlog;
    use crate::actors::fees::Fees;
    use crate::actors::funding::Nobody;
    use crate::actors::journal::JournalActor;
    use crate::actors::keeper::Keeper;
    use crate::actors::lag::Lag;
    use crate::actors::node::{Node, Room};
    use crate::gate::PerMinute;
    use crate::journal::Journal;
    use crate::standing::PacePolicy;
    use crate::terms::Pace;
    use actix::Actor as _;
    use sdpp_ledger::{Asset, Channel, Domain, Key};

    const CHANNEL: ChannelId = ChannelId([7; 32]);
    const ANY: Pace = Pace { granularity: 1, credit_windows: 1 };

    fn account(owner: u8) -> Account {
        Key::from_bytes(&[owner; 32]).unwrap().public().account()
    }

    fn ledger() -> LedgerId {
        "embedded:7377".parse().unwrap()
    }

    /// What a seller makes of an order on the channel, whose signer is account 2.
    fn ordered(side: &mut Selling, signer: u8) -> ChannelView {
        let session = Nobody.start();
        let (stop, over) = (session.clone().recipient(), session.recipient());
        let (ledger, give_way) = (ledger(), None);
        let serving = Serving { ledger, stop, over, give_way, role: Role::Seller };
        let channel = Channel {
            payer: account(2),
            payee: account(1),
            asset: Asset::coin(),
            signer: account(2),
            deposit: Amount::new(9),
            settled: Amount::ZERO,
            close_requested_ms: None,
            finalized: false,
        };
        let contract = account(9);
        let domain = Domain { chain_id: 1, contract };
        let (grace, lag) = (Duration::from_secs(900), Duration::ZERO);
        let shown = Shown { channel: Some(channel), domain, grace, lag, bond: None };
        view(side, shown, (CHANNEL, &account(signer)), serving).unwrap()
    }

    /// Ids of channels are public: a stranger's order that names one is refused for its signer,
    /// and keeps the channel's owner out for no moment.
    #[actix::test]
    async fn an_order_that_names_a_strangers_channel_does_not_hold_it() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Key::from_bytes(&[1; 32]).unwrap().public();
        let journal = Journal::open(&dir.path().join("journal"), identity).unwrap();
        let room = Room { connections_max: 9, per_address_max: 9, sessions_wait: false };
        let node = Node::start_with(&Keeper::default(), room);
        let busy = Busy::default();
        let at_will = [PerMinute(9), PerMinute(9)];
        let crowding = Crowding {
            menus: at_will,
            orders: at_will,
            sessions_max: 9,
            per_buyer_max: 9,
            unpaid_per_address_max: 9,
            journal_lag_ms: 9,
        };
        let admission = Admission::new(crowding, Lag::default(), now_ms());
        let (arbiter, reader) = (Arbiter::new(), journal.reader());
        let (journal, _) = JournalActor::start_on(&arbiter, journal);
        let place = || Place {
            id: 0,
            node: node.clone(),
            ledgers: Arc::default(),
            reader: reader.clone(),
            journal: journal.clone(),
            session: None,
        };
        let selling = || Selling {
            place: place(),
            topics: Arc::default(),
            item_bytes_max: 9,
            ledgers: Arc::default(),
            reader: reader.clone(),
            busy: busy.clone(),
            joining: Joining::default(),
            sight: Sight::new(Duration::MAX),
            promised: Promised::default(),
            source: Feed::default(),
            skip: 0,
            rewinds: 0,
            holds: Vec::new(),
            offering: None,
            credit: CreditBook::default(),
            lent: Vec::new(),
            notes: Waiting::default(),
            trusting: Trusting::new(PacePolicy::fixed(ANY), Fees::default()),
            asked: None,
            last_words: LastWords::default(),
            admission: admission.clone(),
            from: [127, 0, 0, 1].into(),
            seat: None,
            backlog: Backlog::new(9, 9).open(),
            is_paused: false,
        };
        let (mut strangers, mut owners, mut second) = (selling(), selling(), selling());
        let told = ordered(&mut strangers, 3);
        assert!(!told.busy && strangers.holds.is_empty(), "it is not told whether it is in use");
        assert!(!ordered(&mut owners, 2).busy, "while the stranger's order is looked at");
        assert!(!ordered(&mut owners, 2).busy, "looking again, it still has it");
        assert!(!ordered(&mut strangers, 3).busy);
        assert!(ordered(&mut second, 2).busy, "one channel serves one session");
        drop(owners);
        assert!(!ordered(&mut second, 2).busy);
    }
}
