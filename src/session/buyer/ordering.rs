//! From the menu to the session's key: what a buyer does before there are items. Each step does
//! first what can fail, then moves the state.

use super::purse::Purse;
use super::stream::{Brings, Stream};
use super::{Buyer, Choice, Ordered, State, wish};
use crate::crypto::{Keys, unwrap_key};
use crate::message::{
    Code, Draft, ENCODING, Envelope, EscrowChoice, Menu, Order, SessionKey, VERSION, terms,
};
use crate::record::{Act, Owed, Record};
use crate::session::{Fault, Output};
use crate::terms::{Currency, Method, Purpose, Role, SessionId};
use sdpp_ledger::{Amount, Anchor, Call, ChannelId, Domain};

impl Buyer {
    pub(super) fn hear_menu(
        &mut self,
        state: &mut State,
        envelope: &Envelope<'_>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let key = match self.wish.seller {
            Some(key) => key,
            None => envelope.unproven::<Menu>()?.public_key,
        };
        let verified = envelope.signed_by::<Menu>(&key, SessionId::NONE)?;
        let message = verified.message.ok_or_else(|| Fault::ours("a menu without signature"))?;
        let menu = verified.body;
        wish::check_menu(&menu, &self.wish, &self.policy, now_ms)?;
        if menu.public_key == self.key.public() {
            return Err(Fault::theirs(Code::OrderRefused, "the seller has our own key"));
        }
        if message.data.is_none() {
            return Err(Fault::theirs(Code::Malformed, "the menu is too long to be kept"));
        }
        let latest_ms = now_ms.saturating_sub(self.policy.clock_skew_ms);
        let (ours, _) = wish::choose(&menu, &self.wish, latest_ms)?;
        let (currency, method, account) = (ours.name.clone(), ours.method, ours.account.clone());
        let channels = ours.channels.clone();
        let choice = Choice { menu, message, currency, method, account, channels };
        self.see_to_funds(state, choice)
    }

    /// Before anything is ordered, our own money is looked at.
    fn see_to_funds(&mut self, state: &mut State, choice: Choice) -> Result<(), Fault> {
        // Any channel will do to see what the session would cost.
        let escrow = EscrowChoice { channel: Default::default(), base: Default::default() };
        let by_escrow = choice.method == Method::Escrow;
        let order = self.order_from(&choice, by_escrow.then_some(escrow));
        let terms = wish::check_order(&choice.menu, &order, &self.wish, None)?;
        let too_much = || Fault::ours("the price of this order passes 128 bits");
        let least = terms.owed_for(terms.quantity.unwrap_or(terms.credit_items()));
        let least = least.ok_or_else(too_much)?;
        let Currency { ledger, payee, asset, .. } = terms.currency;
        self.out.push(if by_escrow {
            let ample = least.max(choice.channels.deposit);
            Output::Fund { least, ample, ledger, payee, asset }
        } else {
            Output::Afford { ledger, asset, amount: least }
        });
        *state = State::Funding(Box::new(choice));
        Ok(())
    }

    /// The channel is there: we order.
    pub(super) fn funded(
        &mut self,
        state: &mut State,
        (channel, domain): (ChannelId, Domain),
        amounts: (Amount, Amount, Amount),
        now_ms: u64,
    ) -> Result<(), Fault> {
        let State::Funding(choice) = state else {
            return Ok(());
        };
        let purse = Purse::new((channel, domain), amounts, choice.channels.clone());
        self.order(state, Some(purse), now_ms)
    }

    /// Fixes the order, and sends it or waits for its anchor.
    pub(super) fn order(
        &mut self,
        state: &mut State,
        purse: Option<Purse>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let State::Funding(choice) = state else {
            return Ok(());
        };
        let escrow = purse.as_ref().map(|p| EscrowChoice { channel: p.channel, base: p.base });
        let order = self.order_from(choice, escrow);
        let room = purse.as_ref().map(Purse::room);
        wish::check_order(&choice.menu, &order, &self.wish, room)?;
        let draft = Draft::new(SessionId::NONE, &order);
        let digest = draft.data_digest();
        let terms = terms(&choice.menu, &order, &digest).map_err(|(_, why)| Fault::ours(why))?;
        let session = terms.session;
        self.out.begin(session);
        let (menu, offered) = (choice.message.clone(), choice.menu.clone());
        let ordered = Box::new(Ordered { terms, menu, draft, purse, offered });
        let deadline_ms = now_ms + self.policy.patience_ms;
        match self.anchor(&ordered) {
            Some(owed) if self.policy.anchor_before && !owed.held => {
                *state =
                    State::Anchoring(ordered, session.reference(Purpose::Order, 0), deadline_ms);
                self.out.record(Record::Anchoring { owed });
            }
            owed => self.place(state, ordered, "", owed, now_ms),
        }
        Ok(())
    }

    pub(super) fn send_order(
        &mut self,
        state: &mut State,
        tx: &str,
        now_ms: u64,
    ) -> Result<(), Fault> {
        if let State::Anchoring(ordered, ..) = std::mem::replace(state, State::Closed) {
            self.place(state, ordered, tx, None, now_ms);
        }
        Ok(())
    }

    /// Records the order and sends it.
    fn place(
        &mut self,
        state: &mut State,
        ordered: Box<Ordered>,
        tx: &str,
        owed: Option<Owed>,
        now_ms: u64,
    ) {
        let (message, frame) = ordered.draft.sign(&self.key, tx);
        let (role, peer) = (Role::Buyer, ordered.terms.seller);
        let (menu, order) = (Box::new(ordered.menu.clone()), Box::new(message));
        self.out.record(Record::Order { role, peer, menu, order, owed });
        self.out.send(frame);
        *state = State::ExpectKey(ordered, now_ms + self.policy.patience_ms);
    }

    pub(super) fn hear_key(
        &mut self,
        state: &mut State,
        envelope: &Envelope<'_>,
    ) -> Result<(), Fault> {
        let State::ExpectKey(ordered, _) = state else {
            return Ok(());
        };
        let session = ordered.terms.session;
        let verified = envelope.signed_by::<SessionKey>(&ordered.terms.seller, session)?;
        let SessionKey { epoch, .. } = verified.body;
        if epoch != 0 {
            return Err(Fault::theirs(Code::Unexpected, "a new session begins with epoch 0"));
        }
        let wrapped = verified.body.wrapped();
        let session_key = unwrap_key(&wrapped, &self.randomness.encryption, session)
            .map_err(|error| Fault::theirs(Code::BadItem, error.to_string()))?;
        let keys = Keys::derive(&session_key, session, epoch);
        let salt_secret = keys.salt_secret().clone();
        self.out.record(Record::Epoch { epoch, salt_secret });
        if let State::ExpectKey(ordered, _) = std::mem::replace(state, State::Closed) {
            let Ordered { terms, purse, offered, .. } = *ordered;
            let brings = Brings {
                key: self.key.clone(),
                offered,
                ceiling: self.wish.max_total,
                granularity_max: self.policy.granularity_max,
            };
            let stream = Stream::new(brings, terms, keys, purse);
            *state = State::Streaming(Box::new(stream));
        }
        Ok(())
    }

    fn order_from(&self, choice: &Choice, escrow: Option<EscrowChoice>) -> Order {
        Order {
            version: VERSION.to_owned(),
            encoding: ENCODING.to_owned(),
            data_type: self.wish.topic.clone(),
            order_quantity: self.wish.quantity,
            currency_type: choice.currency.clone(),
            method: choice.method,
            address: choice.account.clone(),
            public_key_signature: self.key.public(),
            public_key_encryption: self.randomness.encryption.public(),
            menu_digest: choice.message.data_digest,
            nonce: self.randomness.nonce,
            escrow,
        }
    }

    /// The anchor that our order owes, where we keep records.
    fn anchor(&self, ordered: &Ordered) -> Option<Owed> {
        let ledger = self.policy.records.clone()?;
        let reference = ordered.terms.session.reference(Purpose::Order, 0);
        let digest = ordered.draft.data_digest();
        let act = Act::Do(Call::Anchor(Anchor::One { reference, digest }));
        let (purpose, held) = (Purpose::Order, self.policy.hold_records);
        Some(Owed { reference, purpose, ledger, act, held })
    }
}
