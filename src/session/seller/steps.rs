//! The transitions that the seller's tables name. Each does first what can fail, then moves the
//! state.

use super::accept::{self, Accepted, shut};
use super::credit::{unsecured, window};
use super::stream::{Pending, Stream};
use super::tab::Tab;
use super::{Counter, Ending, Event, Offer, Seller, State, stream_of};
use crate::message::{Code, Draft, Envelope, Hello, Menu, Reason};
use crate::record::End;
use crate::session::{Fault, Input, Output, Outputs, channel_over, unexpected};
use crate::standing::Standing;
use crate::terms::SessionId;
use sdpp_ledger::ChannelId;

/// How many times a buyer may say hello.
const GREETINGS_MAX: u8 = 3;

impl Seller {
    /// A good order: before anything is looked at for it, whoever knows its buyer is asked.
    pub(super) fn take_order(
        &mut self,
        state: &mut State,
        accepted: Accepted,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let buyer = accepted.terms.buyer;
        *state = State::ExpectChannel(Box::new(accepted));
        if self.offer.policy.asks_admission {
            self.out.push(Output::Admit { buyer });
            return Ok(());
        }
        self.look_or_serve(state, now_ms)
    }

    /// The answer: what is known of the buyer decides how it is served.
    pub(super) fn admit(
        &mut self,
        state: &mut State,
        admitted: Result<Standing, String>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let State::ExpectChannel(accepted) = state else { return Ok(()) };
        let busy = |why| Fault { code: Code::Busy, ..Fault::ours(why) };
        let standing = admitted.map_err(busy)?;
        let (method, window) = (accepted.terms.currency.method, window(&accepted.terms));
        self.offer.policy.door.judge(&standing, method, window).map_err(shut)?;
        accepted.standing = Some(standing);
        self.look_or_serve(state, now_ms)
    }

    fn look_or_serve(&mut self, state: &mut State, now_ms: u64) -> Result<(), Fault> {
        let State::ExpectChannel(accepted) = &*state else { return Ok(()) };
        match accepted.look() {
            Some(look) => {
                self.out.push(look);
                Ok(())
            }
            None => self.lend_or_serve(state, now_ms),
        }
    }

    /// By transfer all that may be unpaid is unsecured: whoever keeps the book of that is asked.
    fn lend_or_serve(&mut self, state: &mut State, now_ms: u64) -> Result<(), Fault> {
        if let (State::ExpectChannel(accepted), true) = (&*state, self.offer.policy.asks_credit) {
            let (buyer, amount) = (accepted.terms.buyer, unsecured(&accepted.terms));
            let currency = accepted.terms.currency.name.clone();
            self.out.push(Output::Credit { buyer, currency, amount });
            return Ok(());
        }
        self.serve(state, now_ms)
    }

    pub(super) fn serve(&mut self, state: &mut State, now_ms: u64) -> Result<(), Fault> {
        if let State::ExpectChannel(accepted) = std::mem::replace(state, State::Closed) {
            let stream = Stream::begin(self.offer.clone(), *accepted, &mut self.out)?;
            *state = State::Streaming(Box::new(stream));
        }
        self.advance(state, now_ms)
    }

    /// The invoice that waited leaves; `tx` is its anchor's, empty when it was not to be had.
    pub(super) fn send_pending(
        &mut self,
        state: &mut State,
        tx: &str,
        now_ms: u64,
    ) -> Result<(), Fault> {
        if let State::Anchoring(mut stream, pending, ending) =
            std::mem::replace(state, State::Closed)
        {
            stream.send_pending(*pending, tx, now_ms, &mut self.out);
            // Nothing follows a window that an earlier process closed before it was full, as it stopped.
            let has_stopped = stream.windows.ended_short(stream.agreed())
                && !stream.agreed().is_last(stream.windows.items());
            let ending =
                ending.or_else(|| has_stopped.then(|| Ending::new(Reason::Stopped, now_ms)));
            *state = State::Streaming(stream);
            if let Some(ending) = ending {
                return self.drain(state, ending, now_ms);
            }
        }
        self.advance(state, now_ms)
    }

    /// Stops the flow, and asks for what is not yet asked for.
    pub(super) fn drain(
        &mut self,
        state: &mut State,
        ending: Ending,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let State::Streaming(stream) = state else {
            return Ok(());
        };
        if let Some(again) = &mut stream.again {
            let heard = ending.heard || again.ending.is_some_and(|ending| ending.heard);
            again.ending = Some(Ending { heard, ..again.ending.unwrap_or(ending) });
            return Ok(());
        }
        stream.end_amends(&mut self.out);
        let pending = stream.close_part_window(now_ms, &mut self.out)?;
        if let Some(pending) = pending {
            wait_for_anchor(state, pending, Some(ending));
            return Ok(());
        }
        if let State::Streaming(stream) = std::mem::replace(state, State::Closed) {
            *state = State::Draining(stream, Ending { since_ms: now_ms, ..ending });
        }
        self.advance(state, now_ms)
    }

    /// Moves on where nothing more is to be waited for.
    pub(super) fn advance(&mut self, state: &mut State, now_ms: u64) -> Result<(), Fault> {
        if let Some(stream) = stream_of(state)
            && let Some(again) = stream.again.take_if(|again| again.is_done())
            && let Some(ending) = again.ending
        {
            return self.drain(state, ending, now_ms);
        }
        self.see_to_void(state, now_ms)?;
        if let State::Streaming(stream) = state
            && let Some(pending) = stream.send_ready(now_ms, &mut self.out)?
        {
            wait_for_anchor(state, pending, None);
            return Ok(());
        }
        match state {
            // What is to be void may have been all that was left to give.
            State::Streaming(stream) if stream.is_complete() && stream.again.is_none() => {
                self.drain(state, Ending::new(Reason::Complete, now_ms), now_ms)
            }
            State::Streaming(stream) => {
                stream.propose(now_ms, &mut self.out);
                Ok(())
            }
            // The buyer's signature under a note that is out is on its way: both books have it then.
            State::Draining(stream, _)
                if stream.tabs.all().all(Tab::is_paid)
                    && stream.amends.unanswered_since_ms().is_none() =>
            {
                self.say_exit(state, now_ms)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn say_exit(&mut self, state: &mut State, now_ms: u64) -> Result<(), Fault> {
        if let State::Draining(mut stream, ending) = std::mem::replace(state, State::Closed) {
            stream.amends_over();
            stream.say_exit(&ending, &mut self.out);
            *state = State::ExpectExit(stream, Ending { since_ms: now_ms, ..ending });
            if ending.heard {
                self.end(state);
            }
        }
        Ok(())
    }

    pub(super) fn hear_exit(
        &mut self,
        state: &mut State,
        envelope: &Envelope<'_>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let Some(stream) = stream_of(state) else {
            return Ok(());
        };
        let reason = stream.hear_exit(envelope, &mut self.out)?.reason;
        let heard = Ending { heard: true, ..Ending::new(reason, now_ms) };
        match state {
            State::Streaming(_) => return self.drain(state, heard, now_ms),
            State::Anchoring(_, _, ending) => ending.get_or_insert(heard).heard = true,
            State::Draining(_, ending) => ending.heard = true,
            _ => self.end(state),
        }
        Ok(())
    }

    /// Both sides have said `exit`, or the buyer is gone after ours.
    pub(super) fn end(&mut self, state: &mut State) {
        if let State::ExpectExit(mut stream, ending) = std::mem::replace(state, State::Closed) {
            let (end, why) = (stream.end(), ending.reason.to_string());
            let progress = stream.progress();
            stream.ended(end, &why, Vec::new(), &mut self.out);
            self.out.push(Output::Close { end, why, progress, again: None });
        }
    }

    /// A channel is over: a session that needs it can be paid no more.
    pub(super) fn without_channel(
        &mut self,
        state: &mut State,
        channel: ChannelId,
    ) -> Result<(), Fault> {
        match stream_of(state) {
            Some(stream) if stream.needs(channel) => Err(channel_over()),
            Some(stream) => {
                stream.channel_is_over(channel, &mut self.out);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Ends in good order because of a channel, where that is still needed. Else what is vouched on it
    /// is redeemed, for nobody knows how long it can be.
    pub(super) fn stop_on(
        &mut self,
        state: &mut State,
        channel: ChannelId,
        reason: Reason,
        now_ms: u64,
    ) -> Result<(), Fault> {
        match stream_of(state) {
            Some(stream) if !stream.needs(channel) => {
                stream.redeem_now(channel, &mut self.out);
                Ok(())
            }
            _ => self.under_terms(state, Event::Other(Input::Stop(reason)), now_ms),
        }
    }

    pub(super) fn fail(&mut self, fault: Fault) {
        let progress = self.progress();
        let mut state = std::mem::replace(&mut self.state, State::Closed);
        if let Some(stream) = stream_of(&mut state) {
            stream.ended(fault.end, &fault.why, fault.evidence.clone(), &mut self.out);
        }
        if fault.end != End::Refused {
            self.out.leave(fault.frame());
        }
        let Fault { end, why, .. } = fault;
        self.out.push(Output::Close { end, why, progress, again: None });
    }
}

/// Answers a hello with the menu, a few times: the very same, unless there are prices for whom it
/// names.
pub(super) fn greet(
    offer: &Offer,
    counter: &mut Counter,
    hello: &Hello,
    out: &mut Outputs,
) -> Result<(), Fault> {
    accept::speaks(hello, &counter.menu)?;
    counter.greetings += 1;
    if counter.greetings > GREETINGS_MAX {
        return Err(unexpected("one more hello", None));
    }
    let (challenge, expires_at) = (counter.menu.challenge, counter.menu.expires_at);
    let menu = Menu { challenge, expires_at, ..offer.menu.shown_to(hello.buyer()) };
    if menu != counter.menu {
        let (message, frame) = Draft::new(SessionId::NONE, &menu).sign(&offer.key, "");
        (counter.menu, counter.message, counter.frame) = (menu, message, frame);
    }
    out.leave(counter.frame.clone());
    Ok(())
}

/// The invoice waits for its anchor.
fn wait_for_anchor(state: &mut State, pending: Pending, ending: Option<Ending>) {
    if let State::Streaming(stream) = std::mem::replace(state, State::Closed) {
        *state = State::Anchoring(stream, Box::new(pending), ending);
    }
}
