//! Legs: the buyer asks to pay otherwise from the next window on, and we propose that at the rate
//! that we offer now. What an earlier leg owes stays owed; at most one is unpaid when another begins,
//! so that no more is out than what two legs have on credit.

use super::Offer;
use super::accept::check_channel;
use super::amending::{Phase, UNDER_BOND};
use super::purse::Purse;
use super::stream::Stream;
use super::tab::Tab;
use crate::message::{AskLeg, Change, EscrowChoice, LegChange};
use crate::record::{Record, SignedMessage};
use crate::session::{ChannelView, Fault, Output, Outputs};
use crate::standing::Priced;
use crate::terms::{Leg, Method, Role, Terms};
use sdpp_ledger::ChannelId;
use std::sync::Arc;

/// A buyer's request that is not answered.
#[derive(Debug)]
pub(super) struct LegAsk {
    number: u64,
    ask: AskLeg,
    stage: Stage,
}

/// How far we are with it.
#[derive(Debug)]
enum Stage {
    /// What we offer now is asked for.
    Quoting,
    /// Its channel is looked at, until then at the longest: its ledger may not answer.
    Looking { change: Box<LegChange>, until_ms: u64 },
    /// It can be proposed.
    Ready(Box<LegChange>, Option<Box<Purse>>),
    /// It waits for the buyer's signature.
    Proposed(Option<Box<Purse>>),
}

impl LegAsk {
    /// What is to be proposed now.
    pub(super) fn ready(&mut self) -> Option<Box<LegChange>> {
        match std::mem::replace(&mut self.stage, Stage::Proposed(None)) {
            Stage::Ready(change, purse) => {
                self.stage = Stage::Proposed(purse);
                Some(change)
            }
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// What can be proposed, where it can.
    pub(super) fn to_propose(&self) -> Option<&LegChange> {
        match &self.stage {
            Stage::Ready(change, _) => Some(change),
            _ => None,
        }
    }

    /// Whether it is to be paid from this channel.
    pub(super) fn names(&self, channel: ChannelId) -> bool {
        self.ask.escrow.as_ref().is_some_and(|escrow| escrow.channel == channel)
    }

    /// Whether this channel is being looked at for it.
    pub(super) fn looks_at(&self, channel: ChannelId) -> bool {
        matches!(self.stage, Stage::Looking { .. }) && self.names(channel)
    }

    /// Whether the buyer may have signed that it is paid from this channel.
    pub(super) fn proposes(&self, channel: ChannelId) -> bool {
        self.is_proposed() && self.names(channel)
    }

    /// Whether this is its number.
    pub(super) fn is_number(&self, number: u64) -> bool {
        self.number == number
    }

    /// Whether what is offered now decides it.
    pub(super) fn is_quoting(&self) -> bool {
        matches!(self.stage, Stage::Quoting)
    }

    fn is_proposed(&self) -> bool {
        matches!(self.stage, Stage::Proposed(_))
    }
}

impl Stream {
    /// A request to pay otherwise: what we offer now decides.
    pub(super) fn hear_ask_leg(
        &mut self,
        number: u64,
        ask: AskLeg,
        message: SignedMessage,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        self.count_ask(number)?;
        out.record(Record::Amend { by: Role::Buyer, message });
        if self.amends.phase == Phase::Over {
            return Ok(());
        }
        match self.no_leg(&ask) {
            Some(why) => self.refuse(number, why, out),
            None => {
                self.amends.leg = Some(LegAsk { number, ask, stage: Stage::Quoting });
                out.push(Output::Quote);
            }
        }
        Ok(())
    }

    /// A request that was heard in an earlier life of this process: what is offered now decides.
    pub(super) fn recall_ask_leg(&mut self, number: u64, ask: AskLeg) {
        self.amends.leg.get_or_insert(LegAsk { number, ask, stage: Stage::Quoting });
    }

    /// It was granted then, on this channel.
    pub(super) fn recall_proposed_leg(&mut self, mut purse: Option<Purse>) {
        let asked = self.amends.leg.iter_mut();
        asked.for_each(|leg| leg.stage = Stage::Proposed(purse.take().map(Box::new)));
    }

    /// Why nothing comes of a request, whatever we offer.
    fn no_leg(&self, ask: &AskLeg) -> Option<&'static str> {
        if self.terms.bond.is_some() {
            return Some(UNDER_BOND);
        }
        if !self.offer.policy.fail_over {
            return Some("this seller changes no currency in a session");
        }
        if self.amends.phase != Phase::Open || self.agreed().is_last(self.next_from() - 1) {
            return Some("no window follows that could be paid otherwise");
        }
        if self.amends.leg.is_some() {
            return Some("another currency is asked for already");
        }
        if ask.escrow.is_some() != (ask.method == Method::Escrow) {
            return Some("a request names a channel exactly when its method is escrow");
        }
        let channel = ask.escrow.as_ref().map(|escrow| escrow.channel);
        if self.purses().any(|purse| Some(purse.id) == channel) {
            return Some("this channel pays for an earlier leg");
        }
        if let Some(why) = self.shut(ask.method) {
            return Some(why);
        }
        self.is_owed_twice().then_some("a leg before the last one is not paid yet")
    }

    /// Whether anything is unpaid of the legs before the last one.
    fn is_owed_twice(&self) -> bool {
        self.tabs.all().rev().skip(1).any(|tab| !tab.is_paid())
    }

    /// What we offer now, for the request that waits for it.
    pub(super) fn see_offer(&mut self, offer: Option<&Arc<Offer>>, now_ms: u64, out: &mut Outputs) {
        let Some(LegAsk { number, ask, stage: Stage::Quoting }) =
            self.amends.leg.take_if(|leg| matches!(leg.stage, Stage::Quoting))
        else {
            return;
        };
        let offered = offer.and_then(|offer| offer.menu.currency(&ask.currency, ask.method));
        let Some(currency) = offered.cloned() else {
            return self.refuse(number, "that is not offered now", out);
        };
        let on = self.agreed().last_leg();
        if on.currency == currency.currency() {
            return self.refuse(number, "that is what is paid already", out);
        }
        let (price, escrow) = (on.price, ask.escrow.clone());
        let (why, of) = (ask.why, Some(number));
        let change = Box::new(LegChange { currency, price, escrow, why, ask: of });
        let stage = match &change.escrow {
            Some(EscrowChoice { channel, .. }) => {
                let (ledger, channel) = (change.currency.ledger.clone(), *channel);
                let (signer, bond) = (self.terms.buyer.account(), None);
                out.push(Output::Look { ledger, channel, signer, bond });
                Stage::Looking { change, until_ms: now_ms + self.offer.policy.patience_ms }
            }
            None => Stage::Ready(change, None),
        };
        self.amends.leg = Some(LegAsk { number, ask, stage });
    }

    /// The channel that a request names, as it is now. Whether it was that one.
    pub(super) fn see_legs_channel(&mut self, view: &ChannelView, out: &mut Outputs) -> bool {
        let is_it = |leg: &mut LegAsk| leg.looks_at(view.id);
        let Some(LegAsk { number, ask, stage: Stage::Looking { change, .. } }) =
            self.amends.leg.take_if(is_it)
        else {
            return false;
        };
        // The channel must bear what may be unpaid at the pace that is on now.
        let pace = self.agreed().pace(self.next_from());
        let currency = change.currency.currency();
        let terms =
            Terms { escrow: change.in_escrow(), ..self.terms_of(change.price, &currency, pace) };
        match check_channel(view.clone(), &terms, &ask.address, &self.offer.policy) {
            Ok(purse) => {
                let stage = Stage::Ready(change, Some(Box::new(purse)));
                self.amends.leg = Some(LegAsk { number, ask, stage });
            }
            Err(fault) => self.refuse(number, &fault.why, out),
        }
        true
    }

    /// When a request is refused whose channel is not shown.
    pub(super) fn leg_gives_up_ms(&self) -> Option<u64> {
        match self.amends.leg.as_ref()?.stage {
            Stage::Looking { until_ms, .. } => Some(until_ms),
            _ => None,
        }
    }

    /// Refuses it, if that is due. Whether it was.
    pub(super) fn give_up_leg_if_due(&mut self, now_ms: u64, out: &mut Outputs) -> bool {
        let is_due = self.leg_gives_up_ms().is_some_and(|at_ms| at_ms <= now_ms);
        if is_due {
            self.refuse_leg("its ledger did not show the channel in time", out);
        }
        is_due
    }

    /// Proposes the leg that was asked for.
    pub(super) fn propose_leg(&mut self, change: LegChange, now_ms: u64, out: &mut Outputs) {
        let proposed = match self.is_owed_twice() {
            true => Err("a leg before the last one is not paid yet".to_owned()),
            false => self.propose_change(Change::Leg(change), now_ms, out),
        };
        if let Err(why) = proposed {
            self.refuse_leg(&why, out);
        }
    }

    /// The buyer has signed it: from its first item on it is another leg.
    pub(super) fn begin_leg(&mut self, from_seq: u64, out: &mut Outputs) {
        let asked = self.amends.leg.take();
        let purse = asked.and_then(|asked| match asked.stage {
            Stage::Proposed(purse) => purse.map(|purse| *purse),
            _ => None,
        });
        let first = self.agreed().window_of(from_seq);
        let leg = self.agreed().last_leg();
        let tab = Tab::new(leg, first, purse, self.offer.counts_when(&leg.currency));
        self.tabs.begin(tab);
        out.record(priced(self.agreed().last_leg()));
        self.amends.notes.begin_leg(self.amends.sent + 1);
    }

    /// The buyer does not sign it.
    pub(super) fn leg_refused(&mut self) {
        self.amends.leg = None;
    }

    /// No window follows any more that could be paid otherwise. What is out is answered by the buyer.
    pub(super) fn end_legs(&mut self, out: &mut Outputs) {
        if self.amends.leg.as_ref().is_some_and(|leg| !leg.is_proposed()) {
            self.refuse_leg("the session ends", out);
        }
    }

    pub(super) fn refuse_leg(&mut self, why: &str, out: &mut Outputs) {
        if let Some(LegAsk { number, .. }) = self.amends.leg.take() {
            self.refuse(number, why, out);
        }
    }
}

/// What standings are counted by from a leg's first item on.
pub(super) fn priced(leg: &Leg) -> Record {
    Record::Priced(Priced {
        from_seq: leg.from_seq,
        price: leg.price,
        rate: leg.currency.rate,
        method: leg.currency.method,
        channel: leg.escrow.map(|escrow| (escrow.channel, escrow.base)),
    })
}
