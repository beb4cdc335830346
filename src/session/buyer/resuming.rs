//! A session that outlives its connection, as the buyer has it. Another connection is made, and what the
//! seller proves there, with the session's next key, brings the session back. Until then nothing that
//! comes over it can harm the session, but for the seller's word that there is none.

use super::ordering::check_bonded;
use super::stream::Stream;
use super::{Buyer, Event, State};
use crate::crypto::layout::MessageKind;
use crate::crypto::{EPOCHS_MAX, Keys, unwrap_key};
use crate::message::{
    Choice, Code, Codec, DataInvoice, Draft, ENCODING, Envelope, ErrorMessage, Hello, Menu, Resume,
    Resumed, SessionKey, VERSION,
};
use crate::session::{Fault, Input, Output, Outputs};
use crate::terms::{Pace, Role};
use sdpp_ledger::Key;

/// How far another connection is that the session is to go on over.
#[derive(Debug, Default)]
pub(super) enum Redial {
    /// None is there.
    #[default]
    Away,
    /// It is made, and its menu brings the challenge.
    ExpectMenu(Key),
    /// Our hello is out.
    ExpectKey(Key),
}

impl Buyer {
    /// Whether a session on this menu goes on over another connection when its own breaks.
    pub(super) fn resumes(&self, menu: &Menu) -> bool {
        self.policy.resume_ms.is_some() && menu.resume_ms.is_some()
    }

    /// Whether what comes over the connection is for us.
    pub(super) fn hears(&self) -> bool {
        let is_away = self.out.cut_until_ms().is_some() && matches!(self.redial, Redial::Away);
        !is_away && !matches!(self.state, State::Closed)
    }

    /// What comes over the connection is no message.
    pub(super) fn misread(&mut self, fault: Fault) {
        match self.out.cut_until_ms() {
            Some(_) => self.dial_again(),
            None => self.fail(fault),
        }
    }

    /// Whether an event concerns a session's connection and there is none that is proven, or it just
    /// went.
    pub(super) fn is_of_the_cut(&self, state: &State, event: &Event<'_>) -> bool {
        let hangs_up = matches!(event, Event::Other(Input::Hangup));
        let connects = matches!(event, Event::Other(Input::Connected { .. }));
        let is_lines = matches!(event, Event::Message(_) | Event::Timeout);
        match self.out.cut_until_ms() {
            Some(_) => hangs_up || connects || is_lines,
            None => {
                let has_terms = matches!(state, State::Streaming(_) | State::Leaving(..));
                connects || hangs_up && has_terms && self.out.line.is_some()
            }
        }
    }

    /// The table while a session's connection is gone.
    pub(super) fn while_cut(
        &mut self,
        state: &mut State,
        event: Event<'_>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let Some(until_ms) = self.out.cut_until_ms() else {
            return self.cut(event, now_ms);
        };
        match (&self.redial, event) {
            (_, Event::Timeout) if now_ms >= until_ms => {
                Err(Fault::timed_out("the connection broke, and could not be made again in time"))
            }
            (Redial::Away, Event::Other(Input::Connected { encryption })) => {
                self.codec = Codec::new(self.policy.frame_bytes_max);
                self.redial = Redial::ExpectMenu(encryption);
                Ok(())
            }
            (Redial::ExpectMenu(_) | Redial::ExpectKey(_), Event::Other(Input::Hangup)) => {
                self.dial_again();
                Ok(())
            }
            (Redial::ExpectMenu(_) | Redial::ExpectKey(_), Event::Message(envelope)) => {
                self.hear_while_cut(state, &envelope, now_ms)
            }
            _ => Ok(()),
        }
    }

    /// The connection is gone.
    fn cut(&mut self, event: Event<'_>, now_ms: u64) -> Result<(), Fault> {
        if let Event::Other(Input::Hangup) = event {
            self.cut_off(now_ms);
        }
        Ok(())
    }

    /// The session has no connection, and wants one.
    pub(super) fn cut_off(&mut self, now_ms: u64) {
        self.out.cut(now_ms.saturating_add(self.policy.resume_ms.unwrap_or_default()));
        self.dial_again();
    }

    fn dial_again(&mut self) {
        self.redial = Redial::Away;
        self.out.push(Output::Redial);
    }

    /// What comes over another connection. Who cannot prove to be the seller is not talked to.
    fn hear_while_cut(
        &mut self,
        state: &mut State,
        envelope: &Envelope<'_>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        if envelope.kind() == MessageKind::Error {
            let error: ErrorMessage = envelope.unproven()?;
            if error.code != Code::Busy {
                return Err(Fault::told(Role::Seller, &error));
            }
            self.dial_again();
            return Ok(());
        }
        let (State::Streaming(stream) | State::Leaving(stream, _)) = &mut *state else {
            return Ok(());
        };
        let redial = std::mem::take(&mut self.redial);
        let heard = match (redial, envelope.kind()) {
            (Redial::ExpectMenu(encryption), MessageKind::Menu) => {
                let said = stream.say_hello(envelope, &encryption, &mut self.out);
                said.map(|()| self.redial = Redial::ExpectKey(encryption))
            }
            (Redial::ExpectKey(encryption), MessageKind::SessionKey) => {
                let resumed = stream.resume(envelope, &encryption, &mut self.out);
                if let (Ok(()), State::Leaving(_, deadline_ms)) = (&resumed, state) {
                    *deadline_ms = now_ms + 3 * self.policy.patience_ms;
                }
                resumed
            }
            // The session was over when we came back, and this is the seller's last word in it.
            (Redial::ExpectKey(_), MessageKind::Exit) => {
                self.out.come_back();
                return self.hear_exit(state, envelope);
            }
            _ => Err(Fault::theirs(Code::Unexpected, "this is no way to go on")),
        };
        if heard.is_err() {
            self.dial_again();
        }
        Ok(())
    }
}

impl Stream {
    /// Asks that the session go on over the connection that this menu came over.
    fn say_hello(
        &self,
        envelope: &Envelope<'_>,
        encryption: &Key,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let none = crate::terms::SessionId::NONE;
        let menu = envelope.signed_by::<Menu>(&self.terms.seller, none)?.body;
        let heard = out.line.as_ref().map_or(0, |line| line.heard);
        let resume = Resume {
            session: self.terms.session,
            challenge: menu.challenge,
            received: self.windows.items(),
            acked: self.acked_seq,
            heard,
            public_key_encryption: encryption.public(),
        };
        let (versions, encodings) = (vec![VERSION.to_owned()], vec![ENCODING.to_owned()]);
        let hello = Choice { versions, encodings, buyer: None, resume: Some(Box::new(resume)) };
        let draft = Draft::new(self.terms.session, &Hello::Speaks(hello));
        out.leave_now(draft.sign(&self.key, "").1);
        Ok(())
    }

    /// The seller proves who it is by the next epoch's key: the session goes on, and what the seller
    /// lacks is said again.
    fn resume(
        &mut self,
        envelope: &Envelope<'_>,
        encryption: &Key,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let session = self.terms.session;
        let body = envelope.signed_by::<SessionKey>(&self.terms.seller, session)?.body;
        check_bonded(&self.terms, body.bond)?;
        let bad = |why: &str| Fault::theirs(Code::Unexpected, why);
        let key = unwrap_key(&body.wrapped(), encryption, session)
            .map_err(|error| Fault::theirs(Code::BadItem, error.to_string()))?;
        let resumed = body.resumed.ok_or_else(|| bad("a key that resumes nothing"))?;
        let Resumed { next_seq, acked, heard, voucher, .. } = resumed;
        let received = self.windows.items();
        // A kill may have hidden from us what we acknowledged, and never what was sent.
        let most = if self.may_seal { self.acked_seq } else { next_seq.saturating_sub(1) };
        // What left and was lost is said again, or void: no more than any session has out.
        let lost = next_seq.checked_sub(1).and_then(|left_seq| left_seq.checked_sub(received));
        let fits = acked <= most && lost.is_some_and(|lost| lost <= Pace::CREDIT_ITEMS_MAX);
        let line = out
            .line
            .as_mut()
            .filter(|line| (line.epoch + 1..EPOCHS_MAX).contains(&body.epoch) && fits);
        if !line.is_some_and(|line| line.forget(0, heard)) {
            return Err(bad("the seller has what did not leave, or lacks what is not kept"));
        }
        let salt_secret = self.keys.salt_secret().clone();
        out.begin_epoch(body.epoch, salt_secret.clone());
        self.keys = Keys::next(&key, session, body.epoch, salt_secret);
        (self.acked_seq, self.again_to, self.may_seal) = (acked, next_seq - 1, true);
        let (signer, purses) = (self.key.public(), self.purses_mut());
        purses.zip(voucher.iter().cycle()).for_each(|(purse, shown)| purse.shown(shown, &signer));
        self.tabs.all_mut().for_each(|tab| tab.vouched_seq = tab.vouched_seq.min(acked));
        let papers: Vec<Vec<u8>> = out.line.iter().flat_map(|line| line.papers()).collect();
        papers.into_iter().for_each(|frame| out.leave(frame));
        self.ack(out)
    }

    /// Whether an invoice's item came already, in a message of its own.
    pub(super) fn came_again(&self, invoice: &DataInvoice) -> bool {
        invoice.seq == self.windows.items() && invoice.seq <= self.again_to
    }
}
