//! The channel that pays for a buyer's session: one that is there and free, topped up where it has
//! too little room, or a new one. Every deposit goes through the journal's outbox.

use crate::actors::busy::{Busy, Serving, Taken};
use crate::actors::journal::{Await, Commit, JournalActor};
use crate::actors::random_digest;
use crate::actors::session::{Over, Stop};
use crate::journal::{Channel as Facts, NewsKind, OpenChannel, PAGE_MAX, Reader, Watched, Write};
use crate::record::{Act, Owed, Record};
use crate::terms::{Purpose, Role, SessionId};
use actix::prelude::*;
use sdpp_ledger::{
    Account, Amount, Asset, Call, Channel, ChannelId, Digest, Domain, Escrow, Ledger, LedgerError,
    Open, Reference, TopUp, channel_id,
};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before a ledger is asked for a channel again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The channel that a session wants. Amounts are in the asset's smallest unit.
pub(super) struct Wanted {
    /// What there must be room for.
    pub(super) least: Amount,
    /// What a new channel is funded with, and one that has too little room is filled up to.
    pub(super) ample: Amount,
    /// Who may claim from it.
    pub(super) payee: Account,
    /// What is deposited.
    pub(super) asset: Asset,
    /// Whose vouchers count.
    pub(super) signer: Account,
    /// This channel and no other.
    pub(super) only: Option<ChannelId>,
}

/// A channel that is open, and this session's alone.
pub(super) struct Funded {
    pub(super) channel: ChannelId,
    pub(super) domain: Domain,
    /// The last amount that is known to be vouched on it.
    pub(super) base: Amount,
    /// The most that may have been.
    pub(super) ceiling: Amount,
    pub(super) deposit: Amount,
    pub(super) taken: Taken,
}

/// One ledger, as a session funds channels there.
#[derive(Clone)]
pub(super) struct Funding {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) journal: Addr<JournalActor>,
    pub(super) reader: Reader,
    pub(super) busy: Busy,
    pub(super) session: (Recipient<Stop>, Recipient<Over>),
}

impl Funding {
    /// Takes a channel of ours that is free and fits, or opens one. Answers when the ledger shows
    /// that it has room enough, for good.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(super) async fn find_or_open(&self, wanted: &Wanted) -> Result<Funded, String> {
        let is_meant = |id: &ChannelId| wanted.only.is_none_or(|only| only == *id);
        for channel in self.candidates(wanted)?.into_iter().filter(is_meant) {
            let Some(taken) = self.busy.take(channel, self.serving()) else { continue };
            if let Some((base, ceiling, deposit)) = self.reused(&channel, wanted).await? {
                let domain = self.escrow()?.domain().clone();
                return Ok(Funded { channel, domain, base, ceiling, deposit, taken });
            }
        }
        match wanted.only {
            None => self.open(wanted).await,
            Some(only) => Err(format!(
                "the bond is for channel {only}, which is not ours, not open, or serves another session"
            )),
        }
    }

    /// Adds to a channel's deposit, and gives the deposit when the ledger shows it.
    ///
    /// # Errors
    /// Why it does not grow, for people.
    pub(super) async fn top_up(
        &self,
        channel: &ChannelId,
        amount: Amount,
    ) -> Result<Amount, String> {
        let watched = self.watched(channel)?;
        let open = self.opening(&watched)?.ok_or("nothing is known of how it was opened")?;
        let before = self.shown(channel, Amount::ZERO).await?.deposit;
        let call = Call::TopUp(TopUp { channel: *channel, amount });
        // Each top-up is another thing owed, and all of them go on after a crash.
        let reference = reference(channel, Purpose::TopUp, watched.top_ups);
        let owed = self.owed(reference, Purpose::TopUp, call);
        let (payee, asset) = (open.payee, open.asset);
        self.see_to_deposit(&asset, amount).await?;
        self.append(Record::Funding { channel: *channel, payee, asset, owed }).await?;
        self.met(reference).await?;
        let least = before.checked_add(amount).ok_or("a deposit passes 128 bits")?;
        Ok(self.shown(channel, least).await?.deposit)
    }

    /// Our channels that may serve this, those with the most room first.
    fn candidates(&self, wanted: &Wanted) -> Result<Vec<ChannelId>, String> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.reader.open_channels(after.as_ref(), PAGE_MAX);
            let page = page.map_err(|error| error.to_string())?;
            let Some(last) = page.last() else { break };
            after = Some(last.channel);
            for OpenChannel { channel, watched, vouched } in page {
                if self.fits(&watched, wanted)? {
                    found.push((watched.deposit.saturating_sub(vouched), channel));
                }
            }
        }
        found.sort_by(|(room, _), (other, _)| other.cmp(room));
        Ok(found.into_iter().map(|(_, channel)| channel).collect())
    }

    /// Whether we opened it for this: on this ledger, for the same payee, asset and signer.
    fn fits(&self, watched: &Watched, wanted: &Wanted) -> Result<bool, String> {
        if watched.side != Role::Buyer || !watched.may_open() {
            return Ok(false);
        }
        let Some(open) = self.opening(watched)? else { return Ok(false) };
        let signer = open.signer.as_ref().unwrap_or(self.ledger.account());
        Ok((&open.payee, &open.asset, signer) == (&wanted.payee, &wanted.asset, &wanted.signer))
    }

    /// Our channel's base, ceiling and deposit, with room enough; `None` where it is of no use
    /// after all.
    async fn reused(
        &self,
        channel: &ChannelId,
        wanted: &Wanted,
    ) -> Result<Option<(Amount, Amount, Amount)>, String> {
        // Asked again, now that it is ours alone: it may have been asked to be closed since.
        let watched = Some(self.watched(channel)?).filter(Watched::may_open);
        let Some(Watched { opening: Some(opening), top_ups, .. }) = watched else {
            return Ok(None);
        };
        if self.met(opening).await.is_err() {
            return Ok(None);
        }
        if let Some(last) = top_ups.checked_sub(1) {
            // One that was refused leaves the deposit as the ledger shows it.
            let _ = self.met(reference(channel, Purpose::TopUp, last)).await;
        }
        let shown = self.shown(channel, Amount::ZERO).await?;
        if !self.is_good(&shown, wanted) {
            return Ok(None);
        }
        let facts = self.reader.channel(channel).map_err(|error| error.to_string())?;
        let Facts { spent, ceiling, .. } = facts.unwrap_or_default();
        if shown.settled > ceiling.unwrap_or_default() {
            // From here on it counts as vouched, and nobody would learn of it any more.
            let (settled, vouched) = (shown.settled, ceiling.unwrap_or_default());
            tracing::error!(
                %channel, %settled, %vouched,
                "an unjust claim, or a journal that is older than the truth: more was paid out than \
                 was ever vouched"
            );
        }
        // Where a crash hid how much was vouched, the least that it can have been: vouchers add
        // up, so a base that is too low costs us nothing, and the seller shows the right one.
        let base = spent.unwrap_or_default().max(shown.settled);
        let ceiling = ceiling.unwrap_or_default().max(base);
        let room = shown.deposit.saturating_sub(base);
        if room >= wanted.least {
            return Ok(Some((base, ceiling, shown.deposit)));
        }
        let deposit = self.top_up(channel, wanted.ample.saturating_sub(room)).await?;
        Ok(Some((base, ceiling, deposit)))
    }

    /// Whether the ledger's own word on it is what we remember.
    fn is_good(&self, shown: &Channel, wanted: &Wanted) -> bool {
        let is_open = !shown.finalized && shown.close_requested_ms.is_none();
        is_open
            && shown.payer == *self.ledger.account()
            && (&shown.payee, &shown.asset, &shown.signer)
                == (&wanted.payee, &wanted.asset, &wanted.signer)
    }

    async fn open(&self, wanted: &Wanted) -> Result<Funded, String> {
        let escrow = self.escrow()?;
        let salt = random_digest().map_err(|error| error.to_string())?;
        let Wanted { ample: deposit, payee, asset, .. } = wanted;
        let account = self.ledger.account();
        let signer = (wanted.signer != *account).then(|| wanted.signer.clone());
        let domain = escrow.domain().clone();
        let channel = channel_id(&domain, account, payee, asset, &salt, signer.as_ref());
        let taken = self.busy.take(channel, self.serving());
        let taken = taken.ok_or("a new channel is in use already")?;
        let reference = reference(&channel, Purpose::Open, 0);
        let (payee, asset) = (payee.clone(), asset.clone());
        let open = Open { payee, asset, deposit: *deposit, salt, signer };
        let (payee, asset) = (open.payee.clone(), open.asset.clone());
        let owed = self.owed(reference, Purpose::Open, Call::Open(open));
        self.see_to_deposit(&asset, *deposit).await?;
        self.append(Record::Funding { channel, payee, asset, owed }).await?;
        self.met(reference).await?;
        let deposit = self.shown(&channel, Amount::ZERO).await?.deposit;
        let (base, ceiling) = (Amount::ZERO, Amount::ZERO);
        Ok(Funded { channel, domain, base, ceiling, deposit, taken })
    }

    fn serving(&self) -> Serving {
        let (stop, over) = self.session.clone();
        let (ledger, give_way) = (self.ledger.id().clone(), None);
        Serving { ledger, stop, over, give_way, role: Role::Buyer }
    }

    pub(super) fn owed(&self, reference: Reference, purpose: Purpose, call: Call) -> Owed {
        let (ledger, act) = (self.ledger.id().clone(), Act::Do(call));
        Owed { reference, purpose, ledger, act, held: false }
    }

    pub(super) async fn append(&self, record: Record) -> Result<(), String> {
        let write = Write::Append { session: None, record: Box::new(record) };
        let committed = self.journal.send(Commit(vec![write])).await.map_err(|e| e.to_string())?;
        let answers = committed.map_err(|error| error.to_string())?;
        answers.into_iter().try_for_each(|a| a.map(|_| ())).map_err(|error| error.to_string())
    }

    /// Waits until something owed is done, for good.
    pub(super) async fn met(&self, reference: Reference) -> Result<(), String> {
        match self.journal.send(Await(reference)).await.map_err(|error| error.to_string())? {
            Some(NewsKind::Met(_)) => Ok(()),
            Some(NewsKind::Refused(why)) => Err(why),
            _ => Err("the journal stopped".to_owned()),
        }
    }

    /// Waits until the ledger shows the channel with such a deposit, and gives it.
    async fn shown(&self, id: &ChannelId, least: Amount) -> Result<Channel, String> {
        let escrow = self.escrow()?;
        loop {
            match escrow.channel(id).await {
                Ok(Some(channel)) if channel.deposit >= least => return Ok(channel),
                Ok(_) | Err(LedgerError::Unavailable { .. }) => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(refused) => return Err(refused.to_string()),
            }
        }
    }

    fn watched(&self, channel: &ChannelId) -> Result<Watched, String> {
        let watched = self.reader.watched(channel).map_err(|error| error.to_string())?;
        watched.ok_or_else(|| format!("the journal has no channel {channel}"))
    }

    /// How a channel of ours was opened here; `None` where it was elsewhere.
    fn opening(&self, watched: &Watched) -> Result<Option<Open>, String> {
        let Some(opening) = watched.opening else { return Ok(None) };
        let row = self.reader.obligation(&opening).map_err(|error| error.to_string())?;
        Ok(row.filter(|row| row.owed.ledger == *self.ledger.id()).and_then(|row| {
            match row.owed.act {
                Act::Do(Call::Open(open)) => Some(open),
                _ => None,
            }
        }))
    }

    pub(super) fn escrow(&self) -> Result<&dyn Escrow, String> {
        self.ledger.escrow().ok_or_else(|| "this ledger has no escrow".to_owned())
    }
}

/// Our channel to somebody, where one is open that serves nobody; else a new one. It is for a bond, which is
/// pledged before any session is.
///
/// # Errors
/// Why there is none, for people.
pub async fn channel_to(
    payee: Account,
    (asset, deposit): (Asset, Amount),
    (ledger, signer): (Arc<dyn Ledger>, Account),
    (journal, reader, busy): (Addr<JournalActor>, Reader, Busy),
) -> Result<ChannelId, String> {
    let nobody = Nobody.start();
    let session = (nobody.clone().recipient(), nobody.recipient());
    let funding = Funding { ledger, journal, reader, busy, session };
    let (least, only) = (Amount::ZERO, None);
    let wanted = Wanted { least, ample: deposit, payee, asset, signer, only };
    Ok(funding.find_or_open(&wanted).await?.channel)
}

/// Whom a channel serves that serves no session.
pub(super) struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<Stop> for Nobody {
    type Result = ();

    fn handle(&mut self, _: Stop, _: &mut Context<Self>) {}
}

impl Handler<Over> for Nobody {
    type Result = ();

    fn handle(&mut self, _: Over, _: &mut Context<Self>) {}
}

/// A channel is no session, and has its references all the same.
fn reference(channel: &ChannelId, purpose: Purpose, number: u64) -> Reference {
    SessionId(Digest(channel.0)).reference(purpose, number)
}
