//! The seller's side of one session.

mod accept;
mod again;
mod amending;
mod beginning;
mod bills;
mod credit;
mod crediting;
mod legs;
mod offer;
mod operator;
mod purse;
mod rebuilt;
mod redeeming;
mod resuming;
mod steps;
mod stream;
mod tab;
mod voiding;

pub use accept::{check_period, hindrance};
pub use crediting::{Grant, NoteEnd, OpenAsk};
pub use offer::{Offer, PaceRule, SellerPolicy, SellerRandomness};
pub use rebuilt::Restart;
pub use resuming::{Claim, NotResumed};

use crate::crypto::layout::MessageKind;
use crate::message::{Code, Codec, Draft, Envelope, Menu, Reason};
use crate::record::{End, SignedMessage};
use crate::session::line::is_paper;
use crate::session::{Fault, Input, Output, Outputs, Progress, Row, unexpected};
use crate::terms::{Dataset, Role, SessionId};
use accept::Accepted;
use sdpp_ledger::{Call, LedgerId, PublicKey};
use std::sync::Arc;
use stream::{Pending, Stream};

/// The longest line taken from somebody who has not ordered, in bytes.
const STRANGER_FRAME_BYTES_MAX: usize = 64 * 1024;

/// Why a session that never began is over.
const NO_ORDER: &str = "no order was made";

/// The seller's side of one session, from the menu to the exit.
#[derive(Debug)]
pub struct Seller {
    offer: Arc<Offer>,
    codec: Codec,
    state: State,
    out: Outputs,
}

/// Where the session stands. `ExpectX`: the peer moves next.
#[derive(Debug)]
enum State {
    /// The menu is out.
    ExpectOrder(Box<Counter>),
    /// Another session is to go on here: whoever carries it is asked.
    ExpectSession(Box<Claim>, u64),
    /// The order is good; its buyer and its channel are being looked at.
    ExpectChannel(Box<Accepted>),
    /// Items flow.
    Streaming(Box<Stream>),
    /// A window is full, and its invoice waits for its anchor's transaction.
    Anchoring(Box<Stream>, Box<Pending>, Option<Ending>),
    /// No more items; what is owed is being paid.
    Draining(Box<Stream>, Ending),
    /// Our exit is out.
    ExpectExit(Box<Stream>, Ending),
    /// Over.
    Closed,
}

/// Before the order: the menu of this connection, and what the session's key will be.
#[derive(Debug)]
struct Counter {
    menu: Menu,
    message: SignedMessage,
    frame: Vec<u8>,
    randomness: SellerRandomness,
    greetings: u8,
}

/// Why and since when a session ends.
#[derive(Debug, Clone, Copy)]
struct Ending {
    reason: Reason,
    since_ms: u64,
    /// The buyer has said `exit`.
    heard: bool,
}

/// What moves the session.
enum Event<'a> {
    Message(Envelope<'a>),
    Items(Vec<Row>),
    Other(Input<'a>),
    /// Something is to change.
    Granted,
    Timeout,
}

impl Seller {
    /// A session on a connection that was just made: its first output is the menu.
    pub fn new(offer: Arc<Offer>, randomness: SellerRandomness, now_ms: u64) -> Self {
        let mut menu = offer.menu.shown_to(None);
        menu.challenge = randomness.challenge;
        menu.expires_at = menu.quoted_until(now_ms + offer.policy.menu_lifetime_ms);
        let (message, frame) = Draft::new(SessionId::NONE, &menu).sign(&offer.key, "");
        let mut out = Outputs::new();
        out.leave(frame.clone());
        let codec = Codec::new(offer.policy.frame_bytes_max);
        let counter = Counter { menu, message, frame, randomness, greetings: 0 };
        Seller { offer, codec, state: State::ExpectOrder(Box::new(counter)), out }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input<'_>, now_ms: u64) {
        match input {
            Input::Read(bytes) => self.read(bytes, now_ms),
            Input::Items(items) => {
                self.step(Event::Items(items.into_iter().map(Row::from).collect()), now_ms);
            }
            Input::Rows(rows) => self.step(Event::Items(rows), now_ms),
            other => self.step(Event::Other(other), now_ms),
        }
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// What [`Seller::poll`] gives next.
    pub fn peek(&self) -> Option<&Output> {
        self.out.peek()
    }

    /// Takes out the next record, where nothing but bytes that are to leave stand before it, and these and it
    /// may go: it may be written before they leave.
    pub fn poll_record(&mut self, may_go: &dyn Fn(&Output) -> bool) -> Option<Output> {
        self.out.pop_record(may_go)
    }

    /// When [`Seller::handle_timeout`] is to be called, in milliseconds since 1970 UTC.
    pub fn poll_timeout(&self) -> Option<u64> {
        match &self.state {
            // Nothing is left to wake up for, also where a connection was waited for.
            State::Closed => None,
            _ if self.out.cut_until_ms().is_some() => self.wakes_while_cut_ms(),
            State::ExpectSession(_, deadline_ms) => Some(*deadline_ms),
            // The buyer may be anchoring its order or opening a channel.
            State::ExpectOrder(counter) => Some(counter.menu.expires_at.0),
            State::ExpectChannel(accepted) => Some(accepted.deadline_ms),
            State::Streaming(stream) => stream.deadline_ms(),
            State::Anchoring(stream, pending, _) => {
                Some(stream.wakes_ms().unwrap_or(u64::MAX).min(pending.give_up_ms))
            }
            State::Draining(stream, ending) => {
                let finality_from_ms = ending.since_ms.max(stream.last_claim_ms());
                let gives_up_ms = finality_from_ms + self.offer.policy.patience_ms;
                let ends_ms = stream.drains_to_ms().unwrap_or(gives_up_ms);
                Some(stream.wakes_ms().unwrap_or(u64::MAX).min(ends_ms))
            }
            State::ExpectExit(_, ending) => Some(ending.since_ms + self.offer.policy.patience_ms),
        }
    }

    /// The deadline has come.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.poll_timeout().is_some_and(|deadline| now_ms >= deadline) {
            self.step(Event::Timeout, now_ms);
        }
    }

    /// How many items the session can take from its source just now: zero while no credit is
    /// left, the buyer is slow, or an invoice waits for its anchor.
    pub fn wants(&self) -> u64 {
        if self.out.cut_until_ms().is_some() || self.is_rewinding() {
            return 0;
        }
        match &self.state {
            State::Streaming(stream) => stream.room(),
            _ => {
                self.stream().and_then(|stream| stream.again.as_ref()).map_or(0, |one| one.wants())
            }
        }
    }

    /// Whether the source is to be opened anew: what it gives before that is for nobody.
    pub fn is_rewinding(&self) -> bool {
        self.out.has_rewind()
    }

    /// How many bytes of messages with items are sent and not acknowledged.
    pub fn unacknowledged_bytes(&self) -> usize {
        self.stream().map_or(0, |stream| stream.acks.unacked_bytes())
    }

    /// The topic that was ordered and how many items of it, once there is an order.
    pub fn ordered(&self) -> Option<(&str, Option<u64>)> {
        self.stream().map(|stream| (stream.terms.topic.as_str(), stream.terms.quantity))
    }

    /// The dataset that its items are promised to be of, where there is one.
    pub fn dataset(&self) -> Option<Dataset> {
        self.stream().and_then(|stream| stream.terms.dataset)
    }

    /// The session's id, once there is an order.
    pub fn session(&self) -> Option<SessionId> {
        self.stream().map(|stream| stream.terms.session)
    }

    /// Who buys, once there is an order.
    pub fn buyer(&self) -> Option<PublicKey> {
        self.stream().map(|stream| stream.terms.buyer)
    }

    /// What redeeming the voucher in hand would ask of its ledger, where the fee for that decides
    /// whether it is redeemed: [`Input::Fee`] tells the fee.
    pub fn redeemable(&self) -> Option<(LedgerId, Call)> {
        self.stream().and_then(Stream::redeemable)
    }

    /// Whether the session has no connection just now, and waits for another.
    pub fn is_away(&self) -> bool {
        self.out.cut_until_ms().is_some()
    }

    /// Where the session stands, for people.
    pub fn progress(&self) -> Progress {
        self.stream().map(Stream::progress).unwrap_or_default()
    }

    fn stream(&self) -> Option<&Stream> {
        match &self.state {
            State::Streaming(stream)
            | State::Anchoring(stream, ..)
            | State::Draining(stream, _)
            | State::ExpectExit(stream, _) => Some(stream),
            _ => None,
        }
    }

    fn read(&mut self, bytes: &[u8], now_ms: u64) {
        if self.out.cut_until_ms().is_some() {
            // What still comes over a connection that is gone is nobody's, whole or not.
            return;
        }
        let mut codec = std::mem::replace(&mut self.codec, Codec::new(0));
        codec.push(bytes);
        while !matches!(self.state, State::Closed) {
            codec.limit(self.frame_bytes_max());
            match codec.next_frame() {
                Ok(Some(frame)) => match Envelope::parse(frame) {
                    Ok(envelope) => self.step(Event::Message(envelope), now_ms),
                    Err(error) => self.fail(error.into()),
                },
                Ok(None) => break,
                Err(error) => self.fail(error.into()),
            }
        }
        self.codec = codec;
    }

    fn frame_bytes_max(&self) -> usize {
        let max = self.offer.policy.frame_bytes_max;
        match self.state {
            State::ExpectOrder(_) | State::ExpectSession(..) => max.min(STRANGER_FRAME_BYTES_MAX),
            _ => max,
        }
    }

    fn step(&mut self, event: Event<'_>, now_ms: u64) {
        // A fault needs the stream that it happened in, so the state is taken back on error.
        let mut state = std::mem::replace(&mut self.state, State::Closed);
        let is_paper = matches!(&event, Event::Message(message) if is_paper(message.kind()));
        let result = self.next(&mut state, event, now_ms);
        self.state = state;
        match result {
            Ok(()) if is_paper => self.out.heard_paper(),
            Ok(()) => {}
            Err(fault) => self.fail(fault),
        }
    }

    /// The table: what each event does in each state. First what every state does alike.
    fn next(&mut self, state: &mut State, event: Event<'_>, now_ms: u64) -> Result<(), Fault> {
        match (&state, &event) {
            (State::Closed, _) => Ok(()),
            _ if self.is_of_the_cut(state, &event) => self.while_cut(state, &event, now_ms),
            (_, Event::Message(envelope)) if envelope.kind() == MessageKind::Error => {
                Err(Fault::told(Role::Buyer, &envelope.unproven()?))
            }
            (_, Event::Other(Input::Failed(why))) => Err(Fault::private(Role::Seller, why.clone())),
            (State::ExpectSession(..), _) => self.before_session(state, event),
            (State::ExpectOrder(_) | State::ExpectChannel(_), _) => {
                self.before_terms(state, event, now_ms)
            }
            (
                State::ExpectExit(..),
                Event::Timeout | Event::Other(Input::Hangup | Input::ChannelOver(_)),
            ) => {
                self.end(state);
                Ok(())
            }
            (_, Event::Other(Input::ChannelOver(channel))) => self.without_channel(state, *channel),
            (_, Event::Other(Input::StopOn { channel, reason })) => {
                let (channel, reason) = (*channel, *reason);
                self.stop_on(state, channel, reason, now_ms)
            }
            (_, Event::Other(Input::Hangup)) => Err(Fault::timed_out("the connection broke")),
            (
                State::Anchoring(_, _, Some(ending)) | State::Draining(_, ending),
                Event::Message(envelope),
            ) if envelope.kind() == MessageKind::Exit && ending.heard => {
                Err(unexpected("a second exit", None))
            }
            (_, Event::Message(envelope)) if envelope.kind() == MessageKind::Exit => {
                self.hear_exit(state, envelope, now_ms)
            }
            _ => self.under_terms(state, event, now_ms),
        }
    }

    /// The table while there is no session yet.
    fn before_terms(
        &mut self,
        state: &mut State,
        event: Event<'_>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        match (&mut *state, event) {
            (State::ExpectOrder(counter), Event::Message(envelope)) => match envelope.kind() {
                MessageKind::Hello => self.hear_hello(state, &envelope, now_ms),
                MessageKind::Order => {
                    let accepted = accept::accept(&self.offer, counter, &envelope, now_ms)?;
                    self.take_order(state, accepted, now_ms)
                }
                kind => Err(unexpected(&kind.to_string(), None)),
            },
            (State::ExpectChannel(_), Event::Other(Input::Admitted(admitted))) => {
                self.admit(state, admitted, now_ms)
            }
            (State::ExpectChannel(accepted), Event::Other(Input::Channel(view))) => {
                accepted.check_channel(view, &self.offer.policy, &mut self.out)?;
                self.serve(state, now_ms)
            }
            (State::ExpectChannel(_), Event::Other(Input::Credit(granted))) => match granted {
                Ok(()) => self.serve(state, now_ms),
                Err(why) => Err(Fault { code: Code::Credit, ..Fault::ours(why) }),
            },
            (State::ExpectChannel(_), Event::Other(Input::NotShown { why, .. })) => {
                Err(Fault::private(Role::Seller, why))
            }
            (_, Event::Message(envelope)) => Err(unexpected(&envelope.kind().to_string(), None)),
            (State::ExpectChannel(_), Event::Timeout) => {
                Err(Fault::ours("the ledger did not show the channel in time"))
            }
            (_, Event::Timeout) => Err(Fault::timed_out("no order came before the menu expired")),
            (_, Event::Other(Input::Stop(_) | Input::StopOn { .. })) => {
                let said = Some("this seller takes no orders just now".to_owned());
                Err(Fault { end: End::Broken, code: Code::Busy, said, ..Fault::ours(NO_ORDER) })
            }
            (_, Event::Other(Input::Hangup)) => {
                *state = State::Closed;
                let (why, progress) = (NO_ORDER.to_owned(), Progress::default());
                self.out.push(Output::Close { end: End::Broken, why, progress, again: None });
                Ok(())
            }
            (_, Event::Items(_) | Event::Granted | Event::Other(_)) => Ok(()),
        }
    }

    /// The table once there are terms.
    fn under_terms(
        &mut self,
        state: &mut State,
        event: Event<'_>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        if matches!(event, Event::Timeout)
            && stream_of(state).is_some_and(|stream| stream.wake(now_ms, &mut self.out))
        {
            return Ok(());
        }
        let event = match stream_of(state) {
            Some(stream) => stream.read_again(event, now_ms, &mut self.out)?,
            None => Some(event),
        };
        let Some(event) = event else { return self.advance(state, now_ms) };
        match (&mut *state, event) {
            (State::Streaming(stream), Event::Items(items)) => stream.ready.extend(items),
            // Items that were fetched while the session was already ending are nobody's.
            (_, Event::Items(_)) => {}
            (State::Streaming(_), Event::Other(Input::SourceEnded)) => {
                return self.drain(state, Ending::new(Reason::SourceEnded, now_ms), now_ms);
            }
            (State::Streaming(_), Event::Other(Input::Stop(reason))) => {
                return self.drain(state, Ending::new(reason, now_ms), now_ms);
            }
            (State::Anchoring(_, _, ending), Event::Other(Input::SourceEnded)) => {
                ending.get_or_insert(Ending::new(Reason::SourceEnded, now_ms));
            }
            (State::Anchoring(_, _, ending), Event::Other(Input::Stop(reason))) => {
                ending.get_or_insert(Ending::new(reason, now_ms));
            }
            (
                State::Anchoring(_, pending, _),
                Event::Other(Input::Signed { reference, tx } | Input::Met { reference, tx }),
            ) if pending.reference == reference => {
                return self.send_pending(state, tx.as_str(), now_ms);
            }
            (State::Anchoring(_, pending, _), Event::Other(Input::Refused { reference, .. }))
                if pending.reference == reference =>
            {
                return self.send_pending(state, "", now_ms);
            }
            (State::Anchoring(..), Event::Timeout) => return self.send_pending(state, "", now_ms),
            (State::Streaming(stream), Event::Timeout) => {
                stream.check_late(now_ms)?;
                // What is left is a payment that the ledger does not make final.
                return self.drain(state, Ending::new(Reason::TimeUp, now_ms), now_ms);
            }
            (State::Draining(stream, _), Event::Timeout) => match stream.on().late(now_ms) {
                Some(late) => return Err(late),
                None => return self.say_exit(state, now_ms),
            },
            (state, event) => hear(state, event, now_ms, &mut self.out)?,
        }
        self.advance(state, now_ms)
    }
}

impl Ending {
    fn new(reason: Reason, now_ms: u64) -> Self {
        Ending { reason, since_ms: now_ms, heard: false }
    }
}

/// What the buyer and the ledgers say, which a stream takes in whatever the state.
fn hear(state: &mut State, event: Event<'_>, now_ms: u64, out: &mut Outputs) -> Result<(), Fault> {
    let Some(stream) = stream_of(state) else {
        return Ok(());
    };
    match event {
        Event::Message(envelope) => stream.hear(&envelope, now_ms, out),
        Event::Other(Input::Met { reference, .. }) => {
            stream.met(reference);
            Ok(())
        }
        Event::Other(Input::Included { reference, blocks }) => {
            stream.seen(reference, blocks);
            Ok(())
        }
        Event::Other(Input::Signed { reference, tx }) => {
            stream.signed(reference, tx);
            Ok(())
        }
        Event::Other(Input::Refused { reference, why }) => stream.refused(reference, &why),
        Event::Other(Input::Channel(view)) => match stream.see_legs_channel(&view, out) {
            true => Ok(()),
            false => stream.see_channel(&view, now_ms, out),
        },
        Event::Other(Input::NotShown { channel, why }) => stream.not_shown(channel, why, out),
        Event::Other(Input::Credit(granted)) => {
            stream.hear_credit(granted, out);
            Ok(())
        }
        Event::Other(Input::Offer(offer)) => {
            stream.see_offer(offer.as_ref(), now_ms, out);
            Ok(())
        }
        Event::Other(Input::Ledger { ledger, trouble }) => {
            match trouble {
                Some(_) => drop(stream.unwell.insert(ledger)),
                None => drop(stream.unwell.remove(&ledger)),
            }
            Ok(())
        }
        Event::Other(Input::Fee { ledger, fee }) => {
            stream.hear_fee(&ledger, fee, now_ms, out);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn stream_of(state: &mut State) -> Option<&mut Stream> {
    match state {
        State::Streaming(stream)
        | State::Anchoring(stream, ..)
        | State::Draining(stream, _)
        | State::ExpectExit(stream, _) => Some(stream),
        _ => None,
    }
}
