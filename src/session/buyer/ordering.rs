//! From the menu to the session's key: what a buyer does before there are items. Each step does
//! first what can fail, then moves the state.

use super::gathering::Gather;
use super::purse::Purse;
use super::stream::{Brings, Stream};
use super::turning::Turning;
use super::{Buyer, Choice, Ordered, PinnedCurrency, State, wish};
use crate::crypto::{Keys, unwrap_key};
use crate::message::{
    Choice as Greeting, Code, Draft, ENCODING, Envelope, EscrowChoice, Hello, Menu, Order,
    SessionKey, VERSION, terms,
};
use crate::record::{Act, Owed, Record, SignedMessage};
use crate::session::{Fault, Output, Paying};
use crate::terms::{BondTerms, Currency, Method, Purpose, Role, SessionId, Terms};
use sdpp_ledger::{Amount, Anchor, Call, ChannelId, Digest, Domain};

/// How long after it was in vain our own money is looked at again, in milliseconds.
const LOOK_AGAIN_MS: u64 = 200;

/// A menu as it came.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) menu: Menu,
    message: SignedMessage,
    /// Until when it is waited for what is on its way to us, once it is.
    waits_until_ms: Option<u64>,
}

/// A currency of ours that an order is not paid in.
#[derive(Debug)]
pub(super) struct Passed {
    /// Which, and why, as a sentence.
    what: String,
    /// The whole reason, where it would be the only one.
    fault: Fault,
    /// It could be paid in once what is on its way to us is there.
    is_coming: bool,
}

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
        if self.says_who_asks(state, &menu) {
            return Ok(());
        }
        if message.data.is_none() {
            return Err(Fault::theirs(Code::Malformed, "the menu is too long to be kept"));
        }
        let heard = Heard { menu, message, waits_until_ms: None };
        self.choose(state, heard, 0, Vec::new(), now_ms)
    }

    /// Some prices are shown only to the buyer that they are for: we say once who we are. Whether we
    /// did, so that another menu comes.
    fn says_who_asks(&mut self, state: &mut State, menu: &Menu) -> bool {
        let State::ExpectMenu { has_said_hello, .. } = state else { return false };
        if !menu.prices_by_buyer || std::mem::replace(has_said_hello, true) {
            return false;
        }
        let (versions, encodings) = (vec![VERSION.to_owned()], vec![ENCODING.to_owned()]);
        let buyer = Some(self.key.public());
        let hello = Hello::Speaks(Greeting { versions, encodings, buyer, resume: None });
        self.out.leave(Draft::new(SessionId::NONE, &hello).bare());
        true
    }

    /// Takes the first of our currencies, from a place in our order of preference on, that the menu has
    /// too and that our ceiling allows.
    fn choose(
        &mut self,
        state: &mut State,
        heard: Heard,
        from: usize,
        mut passed: Vec<Passed>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let latest_ms = now_ms.saturating_sub(self.policy.clock_skew_ms);
        let mut differences = Vec::new();
        let wished = self.wish.currencies.clone().into_iter().enumerate().skip(from);
        for (place, ours) in wished {
            if let Err(what) = wish::offered(&heard.menu, &ours, latest_ms) {
                differences.extend(what.map(|what| format!("its {} has {what}", ours.name)));
                continue;
            }
            let choice = Choice { heard: heard.clone(), ours, place, passed };
            match self.see_to_funds(state, choice)? {
                None => return Ok(()),
                Some((choice, fault)) => {
                    passed = choice.passed;
                    passed.push(Passed::new(&choice.ours, fault, false));
                }
            }
        }
        if passed.iter().any(|one| one.is_coming) && self.waits(state, &heard, &passed, now_ms) {
            return Ok(());
        }
        Err(none_left(passed).unwrap_or_else(|| wish::nothing_in_common(&heard.menu, &differences)))
    }

    /// Whether we look again for what is on its way to us: within our patience, while the menu is good.
    fn waits(&mut self, state: &mut State, heard: &Heard, passed: &[Passed], now_ms: u64) -> bool {
        let until_ms = heard.waits_until_ms.unwrap_or_else(|| {
            let until_ms = (now_ms + self.policy.patience_ms).min(heard.menu.expires_at.0);
            let passed = passed.iter().map(|one| one.what.clone()).collect();
            let within_ms = until_ms.saturating_sub(now_ms);
            self.out.push(Output::Unfunded { passed, within_ms });
            until_ms
        });
        let again_ms = now_ms + LOOK_AGAIN_MS;
        let waits = again_ms <= until_ms;
        if waits {
            let menu = Box::new(Heard { waits_until_ms: Some(until_ms), ..heard.clone() });
            *state = State::Unfunded { menu, again_ms };
        }
        waits
    }

    /// What was on its way may be there now.
    pub(super) fn look_again(&mut self, state: &mut State, now_ms: u64) -> Result<(), Fault> {
        if let State::Unfunded { menu, .. } = std::mem::replace(state, State::Closed) {
            return self.choose(state, *menu, 0, Vec::new(), now_ms);
        }
        Ok(())
    }

    /// Before anything is ordered, our own money is looked at. Gives the choice back, and why, where
    /// the order would pass our ceiling.
    fn see_to_funds(
        &mut self,
        state: &mut State,
        choice: Choice,
    ) -> Result<Option<(Choice, Fault)>, Fault> {
        // Any channel will do to see what the session would cost, but for a bond's.
        let only = self.wish.bond.as_ref().map(|under| under.bond.channel);
        let escrow = EscrowChoice { channel: only.unwrap_or_default(), base: Default::default() };
        let by_escrow = choice.ours.method == Method::Escrow;
        let order = self.order_from(&choice, by_escrow.then_some(escrow));
        let order = self.under_bond(&choice.heard.menu, order)?;
        let ceiling = self.wish.ceiling(&choice.ours);
        let terms = match wish::check_order(&choice.heard.menu, &order, ceiling, None) {
            Ok(terms) => terms,
            Err(fault) if fault.code == Code::OrderRefused => return Ok(Some((choice, fault))),
            Err(fault) => return Err(fault),
        };
        let too_much = || Fault::ours("the price of this order passes 128 bits");
        let least = terms.owed_for(terms.quantity.unwrap_or(wish::out_at_first(&terms)));
        let least = least.ok_or_else(too_much)?;
        let Currency { ledger, payee, asset, .. } = terms.currency;
        self.out.push(if by_escrow {
            let ample = least.max(choice.ours.channels.deposit);
            Output::Fund { least, ample, ledger, payee, asset, only }
        } else {
            Output::Afford { ledger, asset, amount: least }
        });
        *state = State::Funding(Box::new(choice));
        Ok(None)
    }

    /// Our account cannot pay so: the next that both sides have is looked at.
    pub(super) fn not_funded(
        &mut self,
        state: &mut State,
        (why, is_coming): (String, bool),
        now_ms: u64,
    ) -> Result<(), Fault> {
        self.pass_over(state, Fault::private(Role::Buyer, why), is_coming, now_ms)
    }

    /// A currency cannot be paid in: the next that both sides have is looked at.
    fn pass_over(
        &mut self,
        state: &mut State,
        fault: Fault,
        is_coming: bool,
        now_ms: u64,
    ) -> Result<(), Fault> {
        if let State::Funding(choice) = std::mem::replace(state, State::Closed) {
            let Choice { heard, ours, place, mut passed } = *choice;
            passed.push(Passed::new(&ours, fault, is_coming));
            return self.choose(state, heard, place + 1, passed, now_ms);
        }
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
        let purse = Purse::new((channel, domain), amounts, choice.ours.channels.clone());
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
        let order = self.under_bond(&choice.heard.menu, order)?;
        let room = purse.as_ref().map(Purse::room);
        let ceiling = self.wish.ceiling(&choice.ours);
        match wish::check_order(&choice.heard.menu, &order, ceiling, room) {
            // The channel has too little room, and could not be given more.
            Err(fault) if room.is_some() && fault.code == Code::OrderRefused => {
                return self.pass_over(state, fault, false, now_ms);
            }
            checked => drop(checked?),
        }
        let draft = Draft::new(SessionId::NONE, &order);
        let digest = draft.data_digest();
        let terms =
            terms(&choice.heard.menu, &order, &digest).map_err(|(_, why)| Fault::ours(why))?;
        let session = terms.session;
        self.out.begin(session);
        let (menu, offered) = (choice.heard.message.clone(), choice.heard.menu.clone());
        self.out.push(Output::Paying(choice.paying()));
        let ordered = Box::new(Ordered { terms, menu, draft, purse, offered, ceiling });
        let deadline_ms = now_ms + self.policy.patience_ms;
        match self.anchor(&ordered) {
            Some(owed) if self.policy.anchor_before && !owed.held => {
                *state =
                    State::Anchoring(ordered, session.reference(Purpose::Order, 0), deadline_ms);
                self.out.record(Record::Anchoring { owed, invoice: None });
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
        let SessionKey { epoch, bond, .. } = verified.body;
        check_bonded(&ordered.terms, bond)?;
        if self.wish.bond.as_ref().is_some_and(|under| !under.is_in_force) {
            // It may have pledged, or not: our ledger does not show it, and it owes nothing by its word.
            let why = "our ledger does not show the seller's part of the bond as final yet";
            return Err(Fault { code: Code::Busy, ..Fault::ours(why) });
        }
        if epoch != 0 {
            return Err(Fault::theirs(Code::Unexpected, "a new session begins with epoch 0"));
        }
        let wrapped = verified.body.wrapped();
        let session_key = unwrap_key(&wrapped, &self.randomness.encryption, session)
            .map_err(|error| Fault::theirs(Code::BadItem, error.to_string()))?;
        let keys = Keys::first(&session_key, session);
        let salt_secret = keys.salt_secret().clone();
        let key = ordered.terms.bond.and(verified.message).map(Box::new);
        self.out.record(Record::Epoch { key, epoch, salt_secret });
        if let State::ExpectKey(ordered, _) = std::mem::replace(state, State::Closed) {
            let Ordered { terms, purse, offered, ceiling, .. } = *ordered;
            let stream = Stream::new(self.brings(offered, ceiling), terms, keys, purse);
            if self.resumes(&stream.offered) {
                self.out.keep_line();
            }
            *state = State::Streaming(Box::new(stream));
        }
        Ok(())
    }

    /// What we bring to a session under a menu that may cost so much.
    pub(super) fn brings(&self, offered: Menu, ceiling: Option<Amount>) -> Brings {
        let (policies, patience_ms) = (self.policy.settling.clone(), self.policy.patience_ms);
        Brings {
            key: self.key.clone(),
            offered,
            ceiling,
            granularity_max: self.policy.granularity_max,
            gather: Gather { policies, patience_ms },
            turning: Turning::new(
                self.policy.fail_over_after_ms,
                self.policy.rate_slack_permille,
                self.wish.currencies.clone(),
            ),
        }
    }

    /// An order under the bond that is wanted, where one is and answers for it.
    fn under_bond(&self, menu: &Menu, order: Order) -> Result<Order, Fault> {
        let Some(under) = &self.wish.bond else { return Ok(order) };
        match under.refuse(menu, &order) {
            Some(why) if order.escrow.is_some() => Err(Fault::ours(why)),
            // Another currency may be by escrow: that a bond is for a channel is said with the terms.
            _ => Ok(order.under(menu, under.id)),
        }
    }

    fn order_from(&self, choice: &Choice, escrow: Option<EscrowChoice>) -> Order {
        Order {
            version: VERSION.to_owned(),
            encoding: ENCODING.to_owned(),
            data_type: self.wish.topic.clone(),
            order_quantity: self.wish.quantity,
            price: None,
            currency_type: choice.ours.name.clone(),
            method: choice.ours.method,
            address: choice.ours.account.clone(),
            public_key_signature: self.key.public(),
            public_key_encryption: self.randomness.encryption.public(),
            menu_digest: choice.heard.message.data_digest,
            nonce: self.randomness.nonce,
            escrow,
            resumes: self.resumes(&choice.heard.menu),
            bond: None,
        }
        .priced(&choice.heard.menu)
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

impl Choice {
    /// What is paid in, for people.
    fn paying(&self) -> Paying {
        let PinnedCurrency { name, decimals, method, .. } = &self.ours;
        Paying {
            currency: name.clone(),
            decimals: *decimals,
            method: *method,
            passed: self.passed.iter().map(|passed| passed.what.clone()).collect(),
        }
    }
}

impl Passed {
    fn new(ours: &PinnedCurrency, fault: Fault, is_coming: bool) -> Self {
        let what = format!("{} by {}: {}", ours.name, ours.method, fault.why);
        Passed { what, fault, is_coming }
    }
}

/// The seller's word for a bond is the same as ours: else neither could hold the other to it.
pub(super) fn check_bonded(terms: &Terms, said: Option<Digest>) -> Result<(), Fault> {
    let meant = BondTerms::of(terms).map(|terms| terms.digest());
    if said == meant {
        return Ok(());
    }
    let why = "the session's key does not say of the bond what the order says";
    Err(Fault::theirs(Code::Unexpected, why))
}

/// Why nothing is ordered, where currencies were in common: what was wrong with each of them.
fn none_left(mut passed: Vec<Passed>) -> Option<Fault> {
    let whats: Vec<String> = passed.iter().map(|passed| passed.what.clone()).collect();
    let Passed { fault, .. } = passed.pop()?;
    if passed.is_empty() {
        return Some(fault);
    }
    // What our accounts hold is nothing for a stranger: one such reason hides all.
    let mut faults = passed.into_iter().map(|one| one.fault).chain([fault.clone()]);
    let said = faults.find_map(|fault| fault.said);
    Some(Fault { why: format!("nothing is ordered: {}", whats.join("; ")), said, ..fault })
}
