//! The buyer's side of a session's actor: hands items on, and opens the channel that pays.

use crate::actors::Ledgers;
use crate::actors::journal::{Await, Commit, JournalActor};
use crate::actors::random_digest;
use crate::actors::session::{Core, Ctx, Ended, SessionActor, Side};
use crate::journal::{NewsKind, Write};
use crate::record::{Act, Owed, Record};
use crate::session::{Buyer, Input, Output, Progress};
use crate::terms::{Purpose, SessionId};
use actix::prelude::*;
use sdpp_ledger::{
    Account, Amount, Asset, Call, ChannelId, Digest, Domain, Escrow, Ledger, LedgerError, LedgerId,
    Open, channel_id,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many items may wait to be written out; then the session stops reading.
pub const ITEMS_WAITING: usize = 4096;

/// How long to wait before a ledger is asked for a channel again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

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
    /// Where the session stands.
    Progress(Progress),
}

/// The buyer's side.
pub struct Buying {
    /// Our ledgers.
    pub ledgers: Ledgers,
    /// What a new channel on each ledger is funded with, at least.
    pub deposits: BTreeMap<LedgerId, Amount>,
    /// Where items go; a bounded channel.
    pub events: mpsc::Sender<Event>,
    /// Where the end is told.
    pub done: oneshot::Sender<Ended>,
    /// Items that were not handed on yet.
    pub delivered: Vec<Event>,
    /// What was told last.
    pub told: Progress,
}

impl Core for Buyer {
    fn handle(&mut self, input: Input<'_>, now_ms: u64) {
        Buyer::handle(self, input, now_ms);
    }

    fn poll(&mut self) -> Option<Output> {
        Buyer::poll(self)
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
}

type Actor = SessionActor<Buying>;

impl Side for Buying {
    type Core = Buyer;

    fn carry_out(actor: &mut Actor, output: Output, ctx: &mut Ctx<Self>) -> Result<(), String> {
        match output {
            Output::Deliver { seq, item } => {
                if let Some(side) = actor.side.as_mut() {
                    side.delivered.push(Event::Item { seq, item });
                }
            }
            Output::Fund { cost, ledger, payee, asset } => {
                return fund(actor, Wanted { cost, ledger, payee, asset }, ctx);
            }
            _ => {}
        }
        Ok(())
    }

    /// Hands on what was delivered. While nobody takes it, the session stops reading.
    fn idle(actor: &mut Actor, ctx: &mut Ctx<Self>) {
        let progress = actor.core.progress();
        let Some(side) = actor.side.as_mut() else { return };
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
        ctx.wait(handed.into_actor(actor));
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

/// The channel that a session wants.
struct Wanted {
    cost: Option<Amount>,
    ledger: LedgerId,
    payee: Account,
    asset: Asset,
}

/// A channel that is open.
struct Funded {
    channel: ChannelId,
    domain: Domain,
    deposit: Amount,
}

/// Opens a channel through the journal's outbox, and tells the core when it stands.
fn fund(actor: &mut Actor, wanted: Wanted, ctx: &mut Ctx<Buying>) -> Result<(), String> {
    let Some(side) = actor.side.as_ref() else { return Ok(()) };
    let deposit = side.deposits.get(&wanted.ledger).copied().unwrap_or_default();
    let deposit = deposit.max(wanted.cost.unwrap_or_default());
    let Some(ledger) = side.ledgers.get(&wanted.ledger).cloned() else {
        return Err(format!("there is no ledger {} here", wanted.ledger));
    };
    let funded = open(ledger, actor.journal.clone(), wanted, deposit);
    ctx.spawn(funded.into_actor(actor).map(|funded, actor, ctx| match funded {
        Ok(Funded { channel, domain, deposit }) => {
            let base = Amount::ZERO;
            actor.tell(Input::Funded { channel, domain, base, deposit }, ctx);
        }
        Err(why) => actor.fail(format!("no channel could be opened: {why}"), ctx),
    }));
    Ok(())
}

async fn open(
    ledger: Arc<dyn Ledger>,
    journal: Addr<JournalActor>,
    wanted: Wanted,
    deposit: Amount,
) -> Result<Funded, String> {
    let escrow = ledger.escrow().ok_or("this ledger has no escrow")?;
    let salt = random_digest().map_err(|error| error.to_string())?;
    let Wanted { ledger: id, payee, asset, .. } = wanted;
    let domain = escrow.domain().clone();
    let channel = channel_id(&domain, ledger.account(), &payee, &asset, &salt, None);
    let owed = Owed {
        // A channel is no session, and has its references all the same.
        reference: SessionId(Digest(channel.0)).reference(Purpose::Open, 0),
        purpose: Purpose::Open,
        ledger: id,
        act: Act::Do(Call::Open(Open {
            payee: payee.clone(),
            asset: asset.clone(),
            deposit,
            salt,
            signer: None,
        })),
        held: false,
    };
    let reference = owed.reference;
    let record = Box::new(Record::Funding { channel, payee, asset, owed });
    let write = Write::Append { session: None, record };
    let committed = journal.send(Commit(vec![write])).await.map_err(|e| e.to_string())?;
    let answers = committed.map_err(|error| error.to_string())?;
    answers.into_iter().try_for_each(|a| a.map(|_| ())).map_err(|error| error.to_string())?;
    match journal.send(Await(reference)).await.map_err(|error| error.to_string())? {
        Some(NewsKind::Met(_)) => {}
        Some(NewsKind::Refused(why)) => return Err(why),
        _ => return Err("the journal stopped".to_owned()),
    }
    let deposit = stands(escrow, &channel).await.map_err(|error| error.to_string())?;
    Ok(Funded { channel, domain, deposit })
}

/// Waits until the ledger shows the channel, and gives its deposit.
async fn stands(escrow: &dyn Escrow, id: &ChannelId) -> Result<Amount, LedgerError> {
    loop {
        match escrow.channel(id).await {
            Ok(Some(channel)) => return Ok(channel.deposit),
            Ok(None) | Err(LedgerError::Unavailable { .. }) => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(refused) => return Err(refused),
        }
    }
}
