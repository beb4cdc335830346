//! A session that outlives its connection, as the seller has it. Its buyer says on another connection
//! that it is to go on there; whoever carries sessions brings that word to the one that it names, and
//! the old connection yields only to a word that the buyer signed for the new one.

use super::bills::Unacked;
use super::purse::Purse;
use super::stream::{LastItem, Pending, Stream};
use super::{Event, Seller, SellerRandomness, State, steps::greet, stream_of};
use crate::crypto::layout::MessageKind;
use crate::crypto::{EPOCHS_MAX, Keys, SealError, salt, wrap};
use crate::message::{
    Base64, Code, Cumulative, Data, Draft, Envelope, Hello, Path, Resume, Resumed, SessionKey,
    said_again,
};
use crate::record::{End, SignedMessage};
use crate::session::line::{Sent, Word};
use crate::session::{Fault, Input, Output, Outputs, Progress, Row};
use crate::terms::{Role, SessionId};
use sdpp_ledger::{Digest, PublicKey};

/// The former epochs whose keys are kept, for what a buyer sealed in them and says again.
const FORMER_EPOCHS: usize = 8;

/// A buyer's word, on a connection of its own, that a session is to go on there. Nobody has checked it
/// yet: [`Seller::resume`] does.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The session.
    pub session: SessionId,
    /// That of the connection's menu.
    challenge: Digest,
    /// The hello.
    frame: Vec<u8>,
    randomness: SellerRandomness,
}

/// Why a session does not go on, for the buyer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotResumed {
    /// For programs.
    pub code: Code,
    /// For people.
    pub why: String,
}

impl NotResumed {
    /// There is no such session.
    pub fn unknown() -> Self {
        let why = "that session is over, or was never here".to_owned();
        NotResumed { code: Code::NoSuchSession, why }
    }
}

impl From<NotResumed> for Fault {
    fn from(NotResumed { code, why }: NotResumed) -> Self {
        Fault { code, ..Fault::ours(why) }
    }
}

impl From<Fault> for NotResumed {
    fn from(Fault { code, why, .. }: Fault) -> Self {
        NotResumed { code, why }
    }
}

impl Claim {
    /// What the buyer of the session says, once it is proven that it does, and here.
    fn check(&self, buyer: &PublicKey) -> Result<Resume, Fault> {
        let envelope = Envelope::parse(&self.frame)?;
        let hello = envelope.signed_by::<Hello>(buyer, self.session)?.body;
        let resume = hello.resume().copied();
        let here =
            |resume: &Resume| (resume.session, resume.challenge) == (self.session, self.challenge);
        resume.filter(here).ok_or_else(|| {
            let why = "the hello answers the menu of another connection, or names another session";
            Fault::theirs(Code::BadSignature, why)
        })
    }
}

impl Seller {
    /// The buyer's word that another session is to go on over this connection, after
    /// [`Output::Resume`].
    pub fn claim(&self) -> Option<&Claim> {
        match &self.state {
            State::ExpectSession(claim, _) => Some(claim),
            _ => None,
        }
    }

    /// The session goes on over the connection that the claim was made on: what is to be sent from here
    /// on is for that one, and what else comes over the old one is not to be told any more.
    ///
    /// # Errors
    /// Why it does not. Then nothing has changed, and the old connection is as good as it was.
    pub fn resume(&mut self, claim: &Claim, now_ms: u64) -> Result<(), NotResumed> {
        let codec = crate::message::Codec::new(self.offer.policy.frame_bytes_max);
        let (stream, pending) = match &mut self.state {
            State::Anchoring(stream, pending, _) => (stream, Some(pending.as_mut())),
            State::Streaming(stream)
            | State::Draining(stream, _)
            | State::ExpectExit(stream, _) => (stream, None),
            _ => return Err(NotResumed::unknown()),
        };
        stream.resume(claim, pending, now_ms, &mut self.out)?;
        self.codec = codec;
        if let State::Draining(_, ending) | State::ExpectExit(_, ending) = &mut self.state {
            ending.since_ms = now_ms;
        }
        if self.stream().is_some_and(|stream| stream.again.is_some()) {
            // Nothing may be lacking, and then it goes on at once.
            self.step(Event::Granted, now_ms);
        }
        Ok(())
    }

    /// A hello: the menu once more, or a session that is to go on.
    pub(super) fn hear_hello(
        &mut self,
        state: &mut State,
        envelope: &Envelope<'_>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let State::ExpectOrder(counter) = state else { return Ok(()) };
        let hello: Hello = envelope.unproven()?;
        let resume = hello.resume().filter(|_| counter.menu.resume_ms.is_some());
        let Some(Resume { session, .. }) = resume.copied() else {
            return greet(&self.offer, counter, &hello, &mut self.out);
        };
        let (challenge, randomness) = (counter.menu.challenge, counter.randomness.clone());
        let claim = Claim { session, challenge, frame: envelope.frame(), randomness };
        let deadline_ms = now_ms + self.offer.policy.patience_ms;
        *state = State::ExpectSession(Box::new(claim), deadline_ms);
        self.out.push(Output::Resume { session });
        Ok(())
    }

    /// The table while another session is asked whether it goes on here. Where it does, the connection
    /// is taken from us, and we are told nothing.
    pub(super) fn before_session(
        &mut self,
        state: &mut State,
        event: Event<'_>,
    ) -> Result<(), Fault> {
        let State::ExpectSession(claim, _) = state else { return Ok(()) };
        let why = match event {
            Event::Other(Input::NotResumed(not_resumed)) => return Err(not_resumed.into()),
            Event::Other(Input::Parted { buyer, exit }) => {
                part(claim, &buyer, &exit, &mut self.out)?;
                "the session was over, and its exit was said again"
            }
            Event::Other(Input::Hangup | Input::Stop(_)) => "no session went on",
            Event::Message(envelope) => {
                let kind = envelope.kind().to_string();
                return Err(crate::session::unexpected(&kind, None));
            }
            Event::Timeout => {
                let why = "nobody could say in time whether the session goes on";
                return Err(Fault { code: Code::Busy, ..Fault::ours(why) });
            }
            _ => return Ok(()),
        };
        *state = State::Closed;
        let (progress, why) = (Progress::default(), why.to_owned());
        self.out.push(Output::Close { end: End::Broken, why, progress, again: None });
        Ok(())
    }

    /// Whether an event concerns a session's connection and there is none, or it just went.
    pub(super) fn is_of_the_cut(&self, state: &State, event: &Event<'_>) -> bool {
        let hangs_up = matches!(event, Event::Other(Input::Hangup));
        let is_lines = hangs_up
            || matches!(event, Event::Message(_) | Event::Timeout)
            || matches!(event, Event::Other(Input::Superseded));
        match self.out.cut_until_ms() {
            Some(_) => is_lines,
            None => hangs_up && self.out.line.is_some() && !matches!(state, State::Closed),
        }
    }

    /// The table while a session's connection is gone: it waits for the next, and goes on with what
    /// does not need one.
    pub(super) fn while_cut(
        &mut self,
        state: &mut State,
        event: &Event<'_>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let Some(until_ms) = self.out.cut_until_ms() else {
            let resume_ms = self.offer.menu.resume_ms.unwrap_or_default();
            self.out.cut(now_ms.saturating_add(resume_ms));
            return Ok(());
        };
        let is_superseded = matches!(event, Event::Other(Input::Superseded));
        let is_over = is_superseded || now_ms >= until_ms;
        match (&mut *state, event) {
            (State::ExpectExit(..), Event::Timeout | Event::Other(Input::Superseded))
                if is_over =>
            {
                self.end(state);
                Ok(())
            }
            _ if is_superseded => {
                Err(Fault::timed_out("the connection broke, and the buyer began another session"))
            }
            (_, Event::Message(_) | Event::Other(_)) => Ok(()),
            _ if is_over => {
                Err(Fault::timed_out("the connection broke, and the buyer did not come back"))
            }
            (State::Anchoring(_, pending, _), _) if now_ms >= pending.give_up_ms => {
                self.send_pending(state, "", now_ms)
            }
            _ => {
                if let Some(stream) = stream_of(state) {
                    stream.wake(now_ms, &mut self.out);
                }
                Ok(())
            }
        }
    }

    /// When a session without a connection is to be told of the time.
    pub(super) fn wakes_while_cut_ms(&self) -> Option<u64> {
        let wakes_ms = self.stream().and_then(Stream::wakes_ms);
        let gives_up_ms = match &self.state {
            State::Anchoring(_, pending, _) => Some(pending.give_up_ms),
            _ => None,
        };
        [self.out.cut_until_ms(), wakes_ms, gives_up_ms].into_iter().flatten().min()
    }
}

impl Stream {
    /// What a buyer sealed with a request: under the keys that are on, or those of a former epoch,
    /// where it says it again.
    pub(super) fn open_ask(&self, number: u64, body: &[u8]) -> Result<Vec<u8>, SealError> {
        let open = |keys: &Keys| keys.from(Role::Buyer).open(MessageKind::Amend, number, body);
        let former = self.former.iter().rev().find_map(|keys| open(keys).ok());
        open(&self.keys).or_else(|error| former.ok_or(error))
    }

    /// Goes on over another connection, under a key of its own.
    fn resume(
        &mut self,
        claim: &Claim,
        pending: Option<&mut Pending>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let resume = claim.check(&self.terms.buyer)?;
        if let Some(pending) = pending {
            self.let_item_go(pending, now_ms, out);
        }
        let is_anew = self.again.is_some();
        let next_seq = match is_anew {
            true => self.place_again(&resume, now_ms, out)?,
            false => self.place_on_line(&resume, out)?,
        };
        let (epoch, heard) = out.line.as_ref().map_or((1, 0), |line| (line.epoch + 1, line.heard));
        let to = resume.public_key_encryption;
        let frame = self.session_key(claim, &to, epoch, (next_seq, heard))?;
        out.begin_epoch(epoch, self.keys.salt_secret().clone());
        let (key, salt_secret) = (&claim.randomness.session_key, self.keys.salt_secret().clone());
        let keys = Keys::next(key, self.terms.session, epoch, salt_secret);
        self.former.push_back(std::mem::replace(&mut self.keys, keys));
        if self.former.len() > FORMER_EPOCHS {
            self.former.pop_front();
        }
        out.leave(frame);
        if is_anew {
            self.begin_again(out);
            self.wait_from(now_ms);
            return Ok(());
        }
        let words = out.line.iter().flat_map(|line| line.words());
        let again: Result<Vec<_>, _> = words.map(|word| self.again(word)).collect();
        again?.into_iter().for_each(|frame| out.leave(frame));
        self.wait_from(now_ms);
        Ok(())
    }

    /// Where a session goes on: the first item that has not left. What the buyer has is forgotten.
    fn place_on_line(&self, resume: &Resume, out: &mut Outputs) -> Result<u64, Fault> {
        let Resume { received, acked, heard, .. } = *resume;
        let refused = |why: &str| Fault::theirs(Code::OrderRefused, why);
        let Some(line) = out.line.as_mut().filter(|line| line.epoch + 1 < EPOCHS_MAX) else {
            return Err(refused("this session ends with its connection"));
        };
        if received < acked || received < self.acks.acked_seq() || !line.forget(received, heard) {
            let why = "the buyer has less than it acknowledged, or lacks what is not kept, or has \
                       what did not leave";
            return Err(refused(why));
        }
        Ok(line.left_seq() + 1)
    }

    /// An invoice that waits for its anchor is fixed, and its item is sealed under a key that is over: the
    /// item goes by itself.
    fn let_item_go(&mut self, pending: &mut Pending, now_ms: u64, out: &mut Outputs) {
        let Some(LastItem { row, body, leaf }) = pending.drafted.last.take() else { return };
        let window = &pending.drafted.window;
        let cumulative = Cumulative { seq: window.to_seq, digest: window.digest };
        self.acks.sent(Unacked { cumulative, bytes: body.len() }, now_ms);
        out.keep_item(window.to_seq, &row, leaf);
    }

    /// The message that brings the next epoch's key, and says where the session stands.
    fn session_key(
        &self,
        Claim { randomness, .. }: &Claim,
        to: &PublicKey,
        epoch: u32,
        (next_seq, heard): (u64, u64),
    ) -> Result<Vec<u8>, Fault> {
        let session = self.terms.session;
        let SellerRandomness { session_key, ephemeral, wrap_nonce, .. } = randomness;
        let wrapped = wrap(session_key, to, ephemeral, *wrap_nonce, session);
        let wrapped = wrapped.map_err(|error| Fault::ours(error.to_string()))?;
        let tab = self.last_tab();
        let resumed = Resumed {
            next_seq,
            acked: self.acks.acked_seq(),
            heard,
            paid_total: tab.paid_total(),
            voucher: tab.purse.as_ref().and_then(Purse::best).cloned(),
        };
        let draft =
            Draft::new(session, &SessionKey::next(epoch, &wrapped, resumed).under(&self.terms));
        Ok(draft.sign(&self.offer.key, "").1)
    }

    /// What the buyer lacks, as it is said again: an item under the keys that are on, whichever message
    /// it travelled in before; a paper as it was.
    fn again(&self, word: &Word) -> Result<Vec<u8>, Fault> {
        let Sent { seq, row, leaf } = match word {
            Word::Item(sent) => sent,
            Word::Paper(_, frame) => return Ok(frame.clone()),
        };
        self.data(*seq, row, *leaf)
    }

    /// An item in a message of its own.
    pub(super) fn data(&self, seq: u64, row: &Row, leaf: Digest) -> Result<Vec<u8>, Fault> {
        let body = self.keys.from(Role::Seller).seal(MessageKind::Data, seq, &row.item);
        let body = Base64(body.map_err(|error| Fault::ours(error.to_string()))?);
        let path = self.path_of(seq, row);
        Ok(self.prove(&Draft::new(self.terms.session, &Data { seq, body, leaf, path })))
    }

    /// An item's way up, where a dataset was promised: for the buyer alone.
    pub(super) fn path_of(&self, seq: u64, row: &Row) -> Option<Path> {
        let salt = |_| salt(self.keys.salt_secret(), seq);
        self.terms.dataset.map(salt).map(|salt| Path::of(&row.path, &salt))
    }

    /// Signs an item, or puts it under the MAC that is on.
    pub(super) fn prove(&self, draft: &Draft) -> Vec<u8> {
        if self.terms.signed_items {
            return draft.sign(&self.offer.key, "").1;
        }
        draft.tag(self.keys.from(Role::Seller).mac())
    }

    /// What the buyer owes us it could not say: its time begins anew.
    pub(super) fn wait_from(&mut self, now_ms: u64) {
        let due_ms = now_ms + self.offer.policy.patience_ms;
        self.tabs.all_mut().for_each(|tab| tab.wait_until(due_ms));
        self.acks.wait_from(now_ms);
        self.amends.wait_from(now_ms);
    }
}

/// Says a session's last word again, to its buyer, who may not have heard it.
fn part(
    claim: &Claim,
    buyer: &PublicKey,
    exit: &SignedMessage,
    out: &mut Outputs,
) -> Result<(), Fault> {
    claim.check(buyer)?;
    let frame = said_again(exit).filter(|_| exit.session == claim.session);
    out.leave(frame.ok_or_else(NotResumed::unknown)?);
    Ok(())
}
