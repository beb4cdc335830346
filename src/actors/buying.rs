//! The buyer's side of a session's actor: hands items on, and has the channel funded that pays.

use crate::actors::Ledgers;
use crate::actors::amending::Waiting;
use crate::actors::asking::{self, Asking, Asks, Settles};
use crate::actors::busy::{Busy, Taken};
use crate::actors::funding::{Funded, Funding, Wanted};
use crate::actors::funds::{afford, answers, is_coming};
use crate::actors::resuming::{self, Dialing};
use crate::actors::session::{Before, Core, Ctx, Ended, SessionActor, Side};
use crate::journal::Reader;
use crate::record::Record;
use crate::session::{Answer, Buyer, Input, Output, Paying, Progress};
use actix::prelude::*;
use sdpp_ledger::{Account, Amount, Asset, Call, ChannelId, LedgerId};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many items may wait to be written out; then the session stops reading.
pub const ITEMS_WAITING: usize = 4096;

/// How long a ledger may take to say what our account has, when a session turns to it.
const AFFORD_WITHIN: Duration = Duration::from_secs(30);

/// How long a ledger may take to open a channel, when a session turns to it. One that opens later is
/// there for the next session.
const FUND_WITHIN: Duration = Duration::from_secs(120);

/// What a buyer's session tells whoever started it.
#[derive(Debug)]
pub enum Event {
    /// An item, opened and acknowledged.
    Item {
        /// Its place in the session, from 1.
        seq: u64,
        /// Its bytes.
        item: Vec<u8>,
    },
    /// What is paid in from here on.
    Paying(Paying),
    /// Where the session stands.
    Progress(Progress),
    /// Keep the items before this, and answer.
    Keep {
        /// On the disk, and not only out of this process.
        on_disk: bool,
        /// Who waits for it. Where items cannot be kept it is answered all the same: the session is
        /// stopped for that.
        done: oneshot::Sender<()>,
    },
}

/// Where items go, as the journal is to have it.
#[derive(Debug, Clone, Default)]
pub struct Delivering {
    /// The seller's address.
    pub address: String,
    /// The file, where they go to one.
    pub file: Option<String>,
    /// Items that are not out of this process.
    unkept: bool,
    /// Items that may not be on the disk.
    unsynced: bool,
}

impl Delivering {
    /// From a seller to a file, or to whoever reads. What a file has from before may not be on the disk.
    pub fn new(address: &str, file: Option<String>) -> Self {
        let unsynced = file.is_some();
        Delivering { address: address.to_owned(), file, unkept: false, unsynced }
    }
}

/// The buyer's side.
pub struct Buying {
    /// Our ledgers.
    pub ledgers: Ledgers,
    /// The journal, to read.
    pub reader: Reader,
    /// Channels in use.
    pub busy: Busy,
    /// Whose vouchers count: the account of the key that signs messages.
    pub signer: Account,
    /// How long a ledger may take to show what we can pay with, before another currency is taken.
    pub patience: Duration,
    /// The channels that this session holds, one for each leg; given back at its end.
    pub holds: Vec<Taken>,
    /// Where items go; a bounded channel.
    pub events: mpsc::Sender<Event>,
    /// Where the end is told.
    pub done: oneshot::Sender<Ended>,
    /// Items that were not handed on yet.
    pub delivered: Vec<Event>,
    /// What was told last.
    pub told: Progress,
    /// What it was told of fees.
    pub asking: Asking,
    /// Who waits for the seller's answer to a complaint.
    pub asked: Waiting<Answer>,
    /// How a connection that broke is made again.
    pub dialing: Dialing,
    /// Where items go.
    pub delivering: Delivering,
}

impl Core for Buyer {
    fn handle(&mut self, input: Input<'_>, now_ms: u64) {
        Buyer::handle(self, input, now_ms);
    }

    fn poll(&mut self) -> Option<Output> {
        Buyer::poll(self)
    }

    fn peek(&self) -> Option<&Output> {
        Buyer::peek(self)
    }

    fn poll_record(&mut self, may_go: &dyn Fn(&Output) -> bool) -> Option<Output> {
        Buyer::poll_record(self, may_go)
    }

    fn poll_timeout(&self) -> Option<u64> {
        Buyer::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now_ms: u64) {
        Buyer::handle_timeout(self, now_ms);
    }

    fn progress(&self) -> Progress {
        Buyer::progress(self)
    }

    fn is_away(&self) -> bool {
        Buyer::is_away(self)
    }
}

impl Settles for Buyer {
    fn to_settle(&self) -> Option<(LedgerId, Call)> {
        Buyer::to_settle(self)
    }
}

impl Asks for Buying {
    fn asking(&mut self) -> &mut Asking {
        &mut self.asking
    }

    fn ledgers(&self) -> &Ledgers {
        &self.ledgers
    }
}

type Actor = SessionActor<Buying>;

impl Side for Buying {
    type Core = Buyer;

    fn beside(&self, record: &Record) -> Option<Record> {
        let Delivering { address, file, .. } = &self.delivering;
        let (address, file) = (address.clone(), file.clone());
        matches!(record, Record::Order { .. }).then_some(Record::Delivering { address, file })
    }

    /// Items are out of this process before anything leaves that says that they came, and on the disk
    /// before their window is accepted to be paid.
    fn waits(&self, output: &Output) -> bool {
        let Delivering { file, unkept, unsynced, .. } = &self.delivering;
        let is_open = match output {
            Output::Send(_) => *unkept,
            output => *unsynced && counts_items(output),
        };
        file.is_some() && is_open
    }

    fn before(&mut self, output: &Output) -> Before {
        let on_disk = counts_items(output);
        let Delivering { unkept, unsynced, .. } = &mut self.delivering;
        (*unkept, *unsynced) = (false, *unsynced && !on_disk);
        let (done, kept) = oneshot::channel();
        let events = std::mem::take(&mut self.delivered);
        let events = events.into_iter().chain([Event::Keep { on_disk, done }]);
        let sender = self.events.clone();
        Box::pin(async move {
            for event in events {
                // Whoever no longer listens has stopped this session already.
                let _ = sender.send(event).await;
            }
            let _ = kept.await;
        })
    }

    fn carry_out(actor: &mut Actor, output: Output, ctx: &mut Ctx<Self>) -> Result<(), String> {
        match output {
            Output::Deliver { seq, item } => {
                if let Some(side) = actor.side.as_mut() {
                    side.dialing.succeeded();
                    (side.delivering.unkept, side.delivering.unsynced) = (true, true);
                    side.delivered.push(Event::Item { seq, item });
                }
            }
            Output::Paying(paying) => {
                for passed in &paying.passed {
                    tracing::warn!("not paid in {passed}");
                }
                if let Some(side) = actor.side.as_mut() {
                    side.delivered.push(Event::Paying(paying));
                }
            }
            Output::Redial => return resuming::dial(actor, ctx),
            Output::Fund { least, ample, ledger, payee, asset, only } => {
                let Some(side) = actor.side.as_ref() else { return Ok(()) };
                let signer = side.signer.clone();
                let wanted = Wanted { least, ample, payee, asset, signer, only };
                return fund(actor, &ledger, wanted, ctx);
            }
            Output::TopUp { ledger, channel, amount } => {
                return top_up(actor, &ledger, channel, amount, ctx);
            }
            Output::Unfunded { passed, within_ms } => {
                let (s, why) = (within_ms / 1_000, passed.join("; "));
                tracing::warn!("money is on its way to us: it is waited for, {s} s at most: {why}");
            }
            Output::Afford { ledger, asset, amount } => {
                return look_at_funds(actor, &ledger, asset, amount, ctx);
            }
            _ => {}
        }
        Ok(())
    }

    /// Hands on what was delivered. While nobody takes it, the session stops reading.
    fn idle(actor: &mut Actor, ctx: &mut Ctx<Self>) {
        if actor.core.to_settle().is_some() {
            asking::begin(actor, ctx);
        }
        let progress = actor.core.progress();
        let Some(side) = actor.side.as_mut() else { return };
        side.asked.tell(|number| actor.core.answer(number));
        let mut events = std::mem::take(&mut side.delivered);
        if progress != side.told {
            side.told = progress;
            events.push(Event::Progress(progress));
        }
        if events.is_empty() {
            return;
        }
        let sender = side.events.clone();
        let handed = async move {
            for event in events {
                // Whoever no longer listens has stopped this session already.
                let _ = sender.send(event).await;
            }
        };
        ctx.wait(handed.into_actor(actor).map(|(), actor, ctx| actor.drive(ctx)));
    }

    fn ended(self, ended: Ended) {
        let last = self.delivered;
        let (events, done) = (self.events, self.done);
        actix::spawn(async move {
            for event in last {
                let _ = events.send(event).await;
            }
            let _ = done.send(ended);
        });
    }
}

/// Whether it says how many items have come: those are to be where they are kept.
fn counts_items(output: &Output) -> bool {
    let is_one = |record: &Record| matches!(record, Record::Invoice { .. } | Record::Void { .. });
    matches!(output, Output::Record { record, .. } if is_one(record))
}

/// Looks whether our account can pay what the session will ask for by transfer.
fn look_at_funds(
    actor: &mut Actor,
    ledger: &LedgerId,
    asset: Asset,
    amount: Amount,
    ctx: &mut Ctx<Buying>,
) -> Result<(), String> {
    let Some(side) = actor.side.as_ref() else { return Ok(()) };
    let known = side.ledgers.get(ledger).cloned();
    let ledger = known.ok_or_else(|| format!("there is no ledger {ledger} here"))?;
    let patience = side.patience;
    let asked = async move {
        answers(ledger.as_ref(), patience).await?;
        // Before the account is looked at: what a block brings in between is seen there.
        let is_coming = is_coming(ledger.as_ref(), &asset).await;
        let afforded = afford(ledger.as_ref(), &asset, amount).await;
        Ok(afforded.map_err(|why| Lacking { why, is_coming }))
    };
    let looked = in_time(actor.core.terms().is_some(), AFFORD_WITHIN, asked);
    ctx.spawn(looked.into_actor(actor).map(|looked, actor, ctx| match flat(looked) {
        Ok(()) => actor.tell(Input::Afforded, ctx),
        Err(lacking) => not_funded(actor, lacking, ctx),
    }));
    Ok(())
}

/// Why our account cannot pay so.
struct Lacking {
    why: String,
    /// More is on its way to it.
    is_coming: bool,
}

/// A ledger that is not there shows nothing that is on its way.
fn flat<T>(asked: Result<Result<T, Lacking>, String>) -> Result<T, Lacking> {
    asked.unwrap_or_else(|why| Err(Lacking { why, is_coming: false }))
}

/// What is asked for before there is a session may take as long as the menu holds. In a session that
/// turns to another currency it may not: where that ledger is away, the next one is tried.
async fn in_time<T>(
    is_turning: bool,
    within: Duration,
    asked: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    if !is_turning {
        return asked.await;
    }
    let late = |_| Err(format!("the ledger did not answer within {} s", within.as_secs()));
    tokio::time::timeout(within, asked).await.unwrap_or_else(late)
}

/// We cannot pay so: before the order the next currency is taken, and a session that is under way goes
/// on as it is.
fn not_funded(actor: &mut Actor, lacking: Lacking, ctx: &mut Ctx<Buying>) {
    let Lacking { why, is_coming } = lacking;
    if actor.core.terms().is_some() {
        tracing::warn!(why, "the session does not turn to another currency");
    }
    actor.tell(Input::NotFunded { why, is_coming }, ctx);
}

/// Takes or opens a channel, and tells the core when it stands.
fn fund(
    actor: &mut Actor,
    ledger: &LedgerId,
    wanted: Wanted,
    ctx: &mut Ctx<Buying>,
) -> Result<(), String> {
    let Some(funding) = funding(actor, ledger, ctx)? else { return Ok(()) };
    let patience = actor.side.as_ref().map_or(Duration::MAX, |side| side.patience);
    let asked = async move {
        answers(funding.ledger.as_ref(), patience).await?;
        let is_coming = is_coming(funding.ledger.as_ref(), &wanted.asset).await;
        let funded = funding.find_or_open(&wanted).await;
        Ok(funded.map_err(|why| Lacking { why, is_coming }))
    };
    let funded = in_time(actor.core.terms().is_some(), FUND_WITHIN, asked);
    ctx.spawn(funded.into_actor(actor).map(|funded, actor, ctx| match flat(funded) {
        Ok(Funded { channel, domain, base, ceiling, deposit, taken }) => {
            if let Some(side) = actor.side.as_mut() {
                side.holds.push(taken);
            }
            actor.tell(Input::Funded { channel, domain, base, ceiling, deposit }, ctx);
        }
        Err(Lacking { why, is_coming }) => {
            let why = format!("no channel could be opened: {why}");
            not_funded(actor, Lacking { why, is_coming }, ctx);
        }
    }));
    Ok(())
}

/// Adds to the channel's deposit while the session goes on.
fn top_up(
    actor: &mut Actor,
    ledger: &LedgerId,
    channel: ChannelId,
    amount: Amount,
    ctx: &mut Ctx<Buying>,
) -> Result<(), String> {
    let Some(funding) = funding(actor, ledger, ctx)? else { return Ok(()) };
    let topped_up = async move { funding.top_up(&channel, amount).await };
    ctx.spawn(topped_up.into_actor(actor).map(move |topped_up, actor, ctx| match topped_up {
        Ok(deposit) => actor.tell(Input::ToppedUp { channel, deposit }, ctx),
        Err(why) => {
            tracing::warn!(%channel, %amount, why, "the channel could not be topped up");
            actor.tell(Input::NotToppedUp { channel, why }, ctx);
        }
    }));
    Ok(())
}

/// Where channels on a ledger are funded; `None` when the session is over.
fn funding(actor: &Actor, id: &LedgerId, ctx: &Ctx<Buying>) -> Result<Option<Funding>, String> {
    let Some(side) = actor.side.as_ref() else { return Ok(None) };
    let ledger = side.ledgers.get(id).cloned();
    let ledger = ledger.ok_or_else(|| format!("there is no ledger {id} here"))?;
    let (reader, busy) = (side.reader.clone(), side.busy.clone());
    let session = (ctx.address().recipient(), ctx.address().recipient());
    let journal = actor.journal.clone();
    Ok(Some(Funding { ledger, journal, reader, busy, session }))
}
