//! The buyer's side of one session.

mod amending;
mod bid;
mod dataset;
mod ending;
mod gathering;
mod ordering;
mod paying;
mod purse;
mod rebuilt;
mod resuming;
mod room;
mod said;
mod stream;
mod tab;
mod turning;
mod voiding;
mod wish;

pub use amending::{Answer, Complain};
pub use bid::{Bid, bids};
pub use rebuilt::{Left, LeftChannel};
pub use wish::{BuyerPolicy, BuyerRandomness, ChannelPlan, PinnedCurrency, UnderBond, Wish};

use crate::crypto::layout::MessageKind;
use crate::message::{Codec, Draft, Envelope, Menu, Reason};
use crate::record::SignedMessage;
use crate::session::line::is_paper;
use crate::session::{Fault, Input, Output, Outputs, Progress, unexpected};
use crate::terms::{Method, Role, Terms};
use ending::without_channel;
use ordering::{Heard, Passed};
use purse::Purse;
use resuming::Redial;
use sdpp_ledger::{Amount, Call, Key, LedgerId, Reference};
use stream::Stream;

/// The buyer's side of one session, from the menu to the exit.
#[derive(Debug)]
pub struct Buyer {
    key: Key,
    wish: Wish,
    policy: BuyerPolicy,
    randomness: BuyerRandomness,
    codec: Codec,
    state: State,
    redial: Redial,
    out: Outputs,
}

/// Where the session stands. `ExpectX`: the peer moves next.
#[derive(Debug)]
enum State {
    /// Connected.
    ExpectMenu { deadline_ms: u64, has_said_hello: bool },
    /// The menu is good; our own money is looked at, or a channel found or opened.
    Funding(Box<Choice>),
    /// None of our currencies is funded, and something is on its way: they are looked at again.
    Unfunded { menu: Box<Heard>, again_ms: u64 },
    /// The order is fixed and waits for its anchor's transaction.
    Anchoring(Box<Ordered>, Reference, u64),
    /// The order is out.
    ExpectKey(Box<Ordered>, u64),
    /// Items flow.
    Streaming(Box<Stream>),
    /// Our exit is out; the seller closes its window, is paid, and answers.
    Leaving(Box<Stream>, u64),
    /// Over.
    Closed,
}

/// A menu, and what we take of it.
#[derive(Debug)]
struct Choice {
    heard: Heard,
    /// What we would pay in.
    ours: PinnedCurrency,
    /// Its place in our order of preference.
    place: usize,
    /// What came before it there, and is not paid in.
    passed: Vec<Passed>,
}

/// An order whose bytes are fixed.
#[derive(Debug)]
struct Ordered {
    terms: Terms,
    menu: SignedMessage,
    draft: Draft,
    purse: Option<Purse>,
    /// What the seller offers.
    offered: Menu,
    /// The most that the session may cost.
    ceiling: Option<Amount>,
}

enum Event<'a> {
    Message(Envelope<'a>),
    Other(Input<'a>),
    Timeout,
}

impl Buyer {
    /// A session on a connection that was just made.
    pub fn new(
        key: Key,
        wish: Wish,
        policy: BuyerPolicy,
        randomness: BuyerRandomness,
        now_ms: u64,
    ) -> Self {
        let codec = Codec::new(policy.frame_bytes_max);
        let state =
            State::ExpectMenu { deadline_ms: now_ms + policy.patience_ms, has_said_hello: false };
        let (redial, out) = (Redial::default(), Outputs::new());
        Buyer { key, wish, policy, randomness, codec, state, redial, out }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input<'_>, now_ms: u64) {
        match input {
            Input::Read(bytes) => self.read(bytes, now_ms),
            other => self.step(Event::Other(other), now_ms),
        }
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// What [`Buyer::poll`] gives next.
    pub fn peek(&self) -> Option<&Output> {
        self.out.peek()
    }

    /// Takes out the next record, where nothing but bytes that are to leave stand before it, and these and it
    /// may go: it may be written before they leave.
    pub fn poll_record(&mut self, may_go: &dyn Fn(&Output) -> bool) -> Option<Output> {
        self.out.pop_record(may_go)
    }

    /// When [`Buyer::handle_timeout`] is to be called, in milliseconds since 1970 UTC.
    pub fn poll_timeout(&self) -> Option<u64> {
        match &self.state {
            // Nothing is left to wake up for, also where a connection was waited for.
            State::Closed => None,
            _ if self.out.cut_until_ms().is_some() => self.out.cut_until_ms(),
            State::ExpectMenu { deadline_ms, .. }
            | State::Anchoring(_, _, deadline_ms)
            | State::ExpectKey(_, deadline_ms)
            | State::Leaving(_, deadline_ms) => Some(*deadline_ms),
            State::Funding(choice) => Some(choice.heard.menu.expires_at.0),
            State::Unfunded { again_ms, .. } => Some(*again_ms),
            // A source that is live may be silent for as long as it likes. We lose nothing by it:
            // we owe only for what we have opened, and whoever wants an end says `Input::Stop`.
            // But while we hold back what we owe, the seller's patience runs.
            State::Streaming(stream) => {
                let short_ms = stream.short_since_ms();
                let leaves_ms = short_ms.map(|since_ms| since_ms + self.policy.patience_ms / 2);
                [leaves_ms, stream.turns_at_ms(), stream.owes_at_ms()].into_iter().flatten().min()
            }
        }
    }

    /// The deadline has come.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.poll_timeout().is_some_and(|deadline| now_ms >= deadline) {
            self.step(Event::Timeout, now_ms);
        }
    }

    /// Asks the seller to credit an item, with the proof that we were invoiced for it. Gives the
    /// number of the request; what becomes of it tells [`Buyer::answer`].
    ///
    /// # Errors
    /// Why it is not asked for, as a sentence.
    pub fn ask(&mut self, complain: Complain) -> Result<u64, String> {
        match &mut self.state {
            State::Streaming(stream) => stream.ask(complain, &mut self.out),
            _ => Err("the session has no windows to come: \
                      `sdpp dispute bundle` has what proves it"
                .to_owned()),
        }
    }

    /// Asks the seller for the rate that it offers now, where it has become better for us. What comes
    /// of it shows in the invoices.
    ///
    /// # Errors
    /// Why it is not asked for, as a sentence.
    pub fn ask_rate(&mut self) -> Result<(), String> {
        match &mut self.state {
            State::Streaming(stream) => stream.ask_rate(&mut self.out),
            _ => Err("the session has no windows to come".to_owned()),
        }
    }

    /// What paying what is held back would ask of its ledger, where the fee for that decides
    /// whether it is paid: [`Input::Fee`] tells the fee.
    pub fn to_settle(&self) -> Option<(LedgerId, Call)> {
        match &self.state {
            State::Streaming(stream) | State::Leaving(stream, _) => stream.to_settle(),
            _ => None,
        }
    }

    /// The seller's answer to a request; `None` while there is none.
    pub fn answer(&self, number: u64) -> Option<Answer> {
        match &self.state {
            State::Streaming(stream) | State::Leaving(stream, _) => {
                stream.amends.answer(number).cloned()
            }
            _ => None,
        }
    }

    /// What was agreed, once the seller has sent the session's key.
    pub fn terms(&self) -> Option<&Terms> {
        match &self.state {
            State::Streaming(stream) | State::Leaving(stream, _) => Some(&stream.terms),
            _ => None,
        }
    }

    /// Whether the session has no connection just now, and waits for another.
    pub fn is_away(&self) -> bool {
        self.out.cut_until_ms().is_some()
    }

    /// Whether nothing more is to be said or heard.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Where the session stands, for people.
    pub fn progress(&self) -> Progress {
        match &self.state {
            State::Streaming(stream) | State::Leaving(stream, _) => stream.progress(),
            _ => Progress::default(),
        }
    }

    fn read(&mut self, bytes: &[u8], now_ms: u64) {
        let mut codec = std::mem::replace(&mut self.codec, Codec::new(0));
        codec.push(bytes);
        while self.hears() {
            match codec.next_frame() {
                Ok(Some(frame)) => match Envelope::parse(frame) {
                    Ok(envelope) => self.step(Event::Message(envelope), now_ms),
                    Err(error) => self.misread(error.into()),
                },
                Ok(None) => break,
                Err(error) => self.misread(error.into()),
            }
        }
        self.codec = codec;
        // One ack for all that was read.
        if let State::Streaming(stream) | State::Leaving(stream, _) = &mut self.state
            && let Err(fault) = stream.ack(&mut self.out)
        {
            self.fail(fault);
        }
    }

    fn step(&mut self, event: Event<'_>, now_ms: u64) {
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
            _ if self.is_of_the_cut(state, &event) => self.while_cut(state, event, now_ms),
            (_, Event::Message(envelope)) if envelope.kind() == MessageKind::Error => {
                Err(Fault::told(Role::Seller, &envelope.unproven()?))
            }
            (_, Event::Other(Input::Failed(why))) => Err(Fault::private(Role::Buyer, why.clone())),
            (_, Event::Other(Input::Hangup)) => {
                Err(Fault::timed_out("the seller closed the connection, or it broke"))
            }
            (_, Event::Other(Input::ChannelOver(channel))) => without_channel(state, *channel),
            (State::Streaming(stream), Event::Other(Input::StopOn { channel, reason })) => {
                let (is_needed, reason) = (stream.needs(*channel), *reason);
                match is_needed {
                    true => self.under_terms(state, Event::Other(Input::Stop(reason)), now_ms),
                    false => Ok(()),
                }
            }
            (State::Streaming(_) | State::Leaving(..), _) => self.under_terms(state, event, now_ms),
            _ => self.before_terms(state, event, now_ms),
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
            (State::ExpectMenu { .. }, Event::Message(envelope))
                if envelope.kind() == MessageKind::Menu =>
            {
                self.hear_menu(state, &envelope, now_ms)
            }
            (
                State::Funding(_),
                Event::Other(Input::Funded { channel, domain, base, ceiling, deposit }),
            ) => self.funded(state, (channel, domain), (base, ceiling, deposit), now_ms),
            (State::Funding(choice), Event::Other(Input::Afforded))
                if choice.ours.method == Method::Transfer =>
            {
                self.order(state, None, now_ms)
            }
            (State::Funding(_), Event::Other(Input::NotFunded { why, is_coming })) => {
                self.not_funded(state, (why, is_coming), now_ms)
            }
            (State::Unfunded { .. }, Event::Timeout) => self.look_again(state, now_ms),
            (State::Anchoring(_, awaited, _), Event::Other(Input::Signed { reference, tx }))
                if *awaited == reference =>
            {
                self.send_order(state, tx.as_str(), now_ms)
            }
            (State::Anchoring(_, awaited, _), Event::Other(Input::Refused { reference, .. }))
                if *awaited == reference =>
            {
                self.send_order(state, "", now_ms)
            }
            (State::Anchoring(..), Event::Timeout) => self.send_order(state, "", now_ms),
            (State::ExpectKey(..), Event::Message(envelope))
                if envelope.kind() == MessageKind::SessionKey =>
            {
                self.hear_key(state, &envelope)
            }
            (_, Event::Message(envelope)) => Err(unexpected(&envelope.kind().to_string(), None)),
            (_, Event::Other(Input::Stop(_))) => Err(Fault::ours("stopped before it began")),
            (State::ExpectMenu { .. }, Event::Timeout) => Err(Fault::timed_out("no menu came")),
            (State::Funding(_), Event::Timeout) => {
                let why = "the menu expired before our ledger had shown what we can pay with";
                Err(Fault::ours(why))
            }
            (_, Event::Timeout) => Err(Fault::timed_out("the seller did not answer the order")),
            (_, Event::Other(_)) => Ok(()),
        }
    }

    /// The table once the session's key is here.
    fn under_terms(
        &mut self,
        state: &mut State,
        event: Event<'_>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        match (&mut *state, event) {
            (State::Streaming(stream), Event::Other(Input::Stop(reason))) => {
                stream.ack(&mut self.out)?;
                self.leave(state, reason, now_ms);
                self.pay_all(state, now_ms)
            }
            (State::Leaving(..), Event::Timeout) => {
                Err(Fault::timed_out("the seller did not answer our exit"))
            }
            (_, Event::Message(envelope)) if envelope.kind() == MessageKind::Exit => {
                self.hear_exit(state, &envelope)
            }
            (State::Streaming(stream), Event::Message(envelope)) => {
                stream.hear(&envelope, now_ms, &mut self.out)?;
                self.go_on(state, now_ms)
            }
            (State::Streaming(stream), Event::Timeout) => {
                let turned = stream.turn_if_due(now_ms, &mut self.out);
                if stream.owe_gathered(now_ms, &mut self.out) || turned {
                    return Ok(());
                }
                // The channel is not topped up in time: what the seller heard of is paid.
                self.leave(state, Reason::Ceiling, now_ms);
                self.pay_all(state, now_ms)
            }
            (State::Streaming(stream), Event::Other(Input::ToppedUp { channel, deposit })) => {
                stream.topped_up(channel, deposit);
                stream.ack(&mut self.out)?;
                self.go_on(state, now_ms)
            }
            (State::Streaming(stream), Event::Other(Input::NotToppedUp { channel, .. })) => {
                stream.not_topped_up(channel);
                self.go_on(state, now_ms)
            }
            (State::Leaving(stream, _), Event::Message(envelope)) => {
                stream.hear(&envelope, now_ms, &mut self.out)?;
                self.pay(state, now_ms)
            }
            (State::Streaming(stream) | State::Leaving(stream, _), Event::Other(input)) => {
                match input {
                    Input::Signed { reference, tx } => stream.signed(reference, tx, &mut self.out),
                    Input::Met { reference, tx } => stream.met(reference, tx, &mut self.out),
                    Input::Refused { reference, why } => stream.refused(reference, &why),
                    Input::Fee { ledger, fee } => {
                        stream.hear_fee(&ledger, fee);
                        stream.pay(now_ms, &mut self.out)
                    }
                    other => {
                        turning::turn(stream, other, &mut self.out);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }
}

/// The transitions that the tables name. Each does first what can fail, then moves the state.
impl Buyer {
    /// Says `exit`, and goes on taking and paying what was under way.
    fn leave(&mut self, state: &mut State, reason: Reason, now_ms: u64) {
        // The seller may wait its patience for the last payment to be final.
        let deadline_ms = now_ms + 3 * self.policy.patience_ms;
        if let State::Streaming(mut stream) = std::mem::replace(state, State::Closed) {
            stream.say_exit(reason, &mut self.out);
            *state = State::Leaving(stream, deadline_ms);
        }
    }

    /// Pays for what came, unless that would give the seller more credit than we can pay for. The
    /// exit goes before the payment: what the seller hears after it gives it no credit, so no
    /// honest invoice can pass the ceiling.
    fn go_on(&mut self, state: &mut State, now_ms: u64) -> Result<(), Fault> {
        if let State::Streaming(stream) = state {
            self.out.extend(stream.top_up());
            stream.note_shortage(now_ms);
            if stream.reaches_ceiling() {
                self.leave(state, Reason::Ceiling, now_ms);
                return self.pay_all(state, now_ms);
            }
        }
        self.pay(state, now_ms)
    }

    /// After our exit: what was held back because the channel was short is paid.
    fn pay_all(&mut self, state: &mut State, now_ms: u64) -> Result<(), Fault> {
        if let State::Leaving(stream, _) = state {
            stream.ack(&mut self.out)?;
        }
        self.pay(state, now_ms)
    }

    fn pay(&mut self, state: &mut State, now_ms: u64) -> Result<(), Fault> {
        match state {
            State::Streaming(stream) | State::Leaving(stream, _) => {
                stream.pay(now_ms, &mut self.out)
            }
            _ => Ok(()),
        }
    }
}
