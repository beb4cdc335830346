//! How a session ends, as the buyer has it: by both exits, by a fault, or because nothing can be paid
//! any more.

use super::purse::Purse;
use super::{Buyer, State, Wish};
use crate::message::{Code, Envelope, Exit, Reason};
use crate::record::{End, Record};
use crate::session::{Fault, Output, channel_over};
use sdpp_ledger::ChannelId;

impl Buyer {
    pub(super) fn hear_exit(
        &mut self,
        state: &mut State,
        envelope: &Envelope<'_>,
    ) -> Result<(), Fault> {
        let said = matches!(state, State::Leaving(..));
        let (State::Streaming(stream) | State::Leaving(stream, _)) = state else {
            return Ok(());
        };
        let (end, reason) = stream.hear_exit(envelope, &mut self.out)?;
        if !said {
            stream.say_exit(reason, &mut self.out);
        }
        self.part(state, end, reason);
        Ok(())
    }

    /// Both have said `exit`.
    pub(super) fn part(&mut self, state: &mut State, end: End, reason: Reason) {
        let we_left = matches!(state, State::Leaving(..));
        let (State::Streaming(stream) | State::Leaving(stream, _)) = state else { return };
        let why = match reason {
            Reason::Stopped if !we_left => "the seller stopped".to_owned(),
            _ => reason.to_string(),
        };
        let progress = stream.progress();
        self.out.extend_records(stream.spent(end));
        self.out.record(Record::Ended { end, why: why.clone(), evidence: Vec::new(), owed: None });
        self.out.push(Output::Close { end, why, progress, again: None });
        *state = State::Closed;
    }

    pub(super) fn fail(&mut self, fault: Fault) {
        let progress = self.progress();
        let state = std::mem::replace(&mut self.state, State::Closed);
        let began = !matches!(
            state,
            State::ExpectMenu { .. }
                | State::Funding(_)
                | State::Unfunded { .. }
                | State::Anchoring(..)
                | State::Closed
        );
        let reminded = reminded(&state, &fault);
        let again = self.order_again(&state, &fault, reminded.is_some());
        let Fault { end, why, evidence, .. } = fault.clone();
        if began {
            match reminded {
                Some(records) => self.out.extend_records(records),
                None => self.out.extend_records(spent(&state, &fault)),
            }
            self.out.record(Record::Ended { end, why: why.clone(), evidence, owed: None });
        }
        if fault.end != End::Refused {
            self.out.leave(fault.frame());
        }
        self.out.push(Output::Close { end, why, progress, again });
    }

    /// What can be ordered on another connection: the same, where the seller has reminded us of what we
    /// had forgotten, or is yet to see the bond in force; without the currency that we ordered in,
    /// where no more may be out in that.
    fn order_again(&self, state: &State, fault: &Fault, is_reminded: bool) -> Option<Box<Wish>> {
        let State::ExpectKey(ordered, _) = state else { return None };
        let mut wish = self.wish.clone();
        let under = wish.bond.as_mut().filter(|_| fault.code == Code::Busy);
        let is_same = is_reminded || under.is_some();
        // What its seller does not see in force is waited for, whatever we see.
        under.into_iter().for_each(|under| under.is_in_force = false);
        if !is_same {
            let refused = &ordered.terms.currency;
            wish.currencies
                .retain(|ours| (&ours.name, ours.method) != (&refused.name, refused.method));
        }
        let is_good = is_same || fault.code == Code::Credit;
        (is_good && !wish.currencies.is_empty()).then(|| Box::new(wish))
    }
}

/// A channel pays no more, so nothing is vouched on it any more. A session that does not need it goes
/// on. Once we have said `exit` the seller may close it when all is paid, and its own exit may be on its
/// way.
pub(super) fn without_channel(state: &mut State, channel: ChannelId) -> Result<(), Fault> {
    let is_needed = match state {
        // Before it is funded none is the session's: one that was looked at is of no use.
        State::ExpectMenu { .. } | State::Funding(_) | State::Unfunded { .. } | State::Closed => {
            false
        }
        State::Anchoring(ordered, ..) | State::ExpectKey(ordered, _) => {
            ordered.purse.as_ref().is_some_and(|purse| purse.channel == channel)
        }
        State::Streaming(stream) => {
            let is_needed = stream.needs(channel);
            stream.channel_is_over(channel);
            is_needed
        }
        State::Leaving(stream, _) => {
            stream.channel_is_over(channel);
            false
        }
    };
    if is_needed { Err(channel_over()) } else { Ok(()) }
}

/// What we have vouched on the channel, where the seller has shown that we had forgotten it.
fn reminded(state: &State, fault: &Fault) -> Option<[Record; 2]> {
    let State::ExpectKey(ordered, _) = state else { return None };
    let (purse, voucher) = (ordered.purse.as_ref()?, fault.voucher.as_ref()?);
    purse.reminded(voucher, &ordered.terms.buyer)
}

/// What is left of the channels of a session that failed. One that was used before and that its
/// seller takes no more is of no use to us.
fn spent(state: &State, fault: &Fault) -> Vec<Record> {
    match state {
        State::Streaming(stream) | State::Leaving(stream, _) => stream.spent(fault.end),
        State::ExpectKey(ordered, _) if fault.code == Code::Channel => {
            let reused = ordered.purse.iter().filter(|purse| purse.is_reused());
            reused.map(Purse::refused).collect()
        }
        _ => Vec::new(),
    }
}

/// How a session ends that the seller's exit says this of.
pub(super) fn end_of(exit: &Exit) -> End {
    let before = exit.legs.iter().all(|leg| leg.paid_total == leg.amount_total);
    let is_paid = before && exit.paid_total == exit.amount_total;
    if is_paid { End::Complete } else { End::Outstanding }
}
