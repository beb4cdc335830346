//! A session that a kill or a power cut left without an end, read back from what it left: its records,
//! in their order, and the items that were kept. What it comes to has no connection and wants one, as if
//! the line had been cut.
//!
//! Nothing is decided a second time: what was said stands, and is said again to the byte where the
//! seller lacks it.

use super::ending::end_of;
use super::paying::Bill;
use super::purse::Purse;
use super::stream::Stream;
use super::tab::paying;
use super::{Buyer, BuyerPolicy, PinnedCurrency, State, Wish};
use crate::crypto::{Keys, SaltSecret, leaf, salt};
use crate::message::{
    Agreement, Codec, DataInvoice, EscrowChoice, Exit, Menu, Order, PaymentAck, Word, reread,
    reread_terms, said_again,
};
use crate::record::{Record, SignedMessage};
use crate::session::{Output, Outputs};
use crate::terms::{Currency, Method, Role, Terms, Void};
use sdpp_ledger::{Amount, ChannelId, Digest, Domain, Key};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What a session without an end left.
#[derive(Debug)]
pub struct Left {
    /// Its records in their order, and when each was written, in milliseconds since 1970 UTC.
    pub records: Vec<(u64, Record)>,
    /// The items that were kept behind the last accepted invoice, from the first of them on.
    pub items: Vec<Vec<u8>>,
    /// All that was acknowledged is in there, or was invoiced.
    pub keeps_all: bool,
    /// The channels that it draws on, or has asked to.
    pub channels: BTreeMap<ChannelId, LeftChannel>,
}

/// A channel as its ledger and our journal have it. Amounts are in its asset's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftChannel {
    /// What vouchers on it are signed under.
    pub domain: Domain,
    /// Its deposit, for good.
    pub deposit: Amount,
    /// The most that may have been vouched on it in all.
    pub ceiling: Amount,
    /// It is closed or withdrawn: its seller may have ended the session while we were gone.
    pub is_over: bool,
}

/// A session on its way back.
struct Rebuilding<'a> {
    buyer: &'a mut Buyer,
    channels: &'a BTreeMap<ChannelId, LeftChannel>,
    /// What takes the place of the session's keys until it has the next epoch's.
    nobodys: Zeroizing<[u8; 32]>,
    ordered: Option<(Terms, Menu, Option<Purse>)>,
    stream: Option<Stream>,
    has_left: bool,
    /// How the session ends, where the seller has said `exit`.
    parted: Option<Exit>,
}

impl Buyer {
    /// The channels that a session's records name: what a ledger is to be asked of before the session
    /// is read back.
    pub fn channels_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<ChannelId> {
        records.into_iter().filter_map(|one| Some(asked(one)?.1?.channel)).collect()
    }

    /// The currencies that a session's records name, those of legs that it asked for too: what is to be
    /// spent for it to go on.
    pub fn currencies_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<String> {
        records.into_iter().filter_map(|one| Some(asked(one)?.0)).collect()
    }

    /// A session as its records have it, cut off from its seller. `nobodys` is drawn at random.
    ///
    /// # Errors
    /// Why it cannot go on, as a sentence.
    pub fn rebuilt(
        key: Key,
        wish: Wish,
        policy: BuyerPolicy,
        nobodys: Digest,
        left: &Left,
        now_ms: u64,
    ) -> Result<Buyer, String> {
        let randomness = super::BuyerRandomness { encryption: key.clone(), nonce: nobodys };
        let codec = Codec::new(policy.frame_bytes_max);
        let (state, redial, out) = (State::Closed, Default::default(), Outputs::new());
        let mut buyer = Buyer { key, wish, policy, randomness, codec, state, redial, out };
        let mut rebuilding = Rebuilding {
            buyer: &mut buyer,
            channels: &left.channels,
            nobodys: Zeroizing::new(nobodys.0),
            ordered: None,
            stream: None,
            has_left: false,
            parted: None,
        };
        for (at_ms, record) in &left.records {
            rebuilding.take(*at_ms, record)?;
        }
        rebuilding.finish(left, now_ms)?;
        Ok(buyer)
    }

    /// The last place that the accepted invoices of a session and its voids cover: what may be kept behind
    /// it is a window at the largest.
    pub fn invoiced_by<'a>(records: impl IntoIterator<Item = &'a Record> + Clone) -> u64 {
        let to = |record: &Record| match record {
            Record::Invoice { to_seq, .. } => Some(*to_seq),
            _ => None,
        };
        let voids = Buyer::voids_of(records.clone()).into_iter().map(|(void, _)| void.to_seq);
        records.into_iter().filter_map(to).chain(voids).max().unwrap_or_default()
    }

    /// What both sides have signed to be void, and how many items of each had come and were delivered.
    pub fn voids_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<(Void, u64)> {
        let (mut agreement, mut noted, mut voids) = (None, 0, Vec::new());
        for record in records {
            match record {
                Record::Order { menu, order, .. } => {
                    let terms = reread_terms(menu, order).ok().map(|(_, _, terms)| terms);
                    agreement = terms.map(|terms| Agreement::new(&terms));
                }
                // Noted before it is signed: after a kill between the two it is noted once more.
                Record::Void { delivered, .. } => noted = delivered.unwrap_or_default(),
                Record::Amend { by, message } => {
                    let word = agreement.as_mut().map(|agreement| agreement.take(*by, message));
                    if let Some(Ok(Word::Voided(void))) = word {
                        voids.push((void, noted));
                    }
                }
                _ => {}
            }
        }
        voids
    }
}

/// The channel of a request for another leg.
/// What a record asks to be paid in, and from which channel, where it orders or asks for a leg.
fn asked(record: &Record) -> Option<(String, Option<EscrowChoice>)> {
    use crate::message::{Amend, Change};
    match record {
        Record::Order { order, .. } => {
            reread::<Order>(order).ok().map(|order| (order.currency_type, order.escrow))
        }
        Record::Amend { by: Role::Buyer, message } => match reread::<Amend>(message).ok()?.change {
            Change::AskLeg(ask) => Some((ask.currency, ask.escrow)),
            _ => None,
        },
        _ => None,
    }
}

impl Rebuilding<'_> {
    /// Takes the next record.
    fn take(&mut self, at_ms: u64, record: &Record) -> Result<(), String> {
        match record {
            Record::Order { menu, order, .. } => self.order(menu, order),
            Record::Epoch { epoch, salt_secret, .. } => self.epoch(*epoch, salt_secret),
            Record::Invoice { message, from_seq, to_seq, digest, owed, .. } => {
                self.heard();
                let window = (*from_seq, *to_seq, *digest);
                self.invoice(message, window, owed.is_some(), at_ms)
            }
            Record::Gathering { number, why, .. } => {
                self.stream()?.decided(*number, *why, at_ms);
                Ok(())
            }
            Record::Payment { message, .. } => {
                let voucher = reread::<PaymentAck>(message).ok().and_then(|paid| paid.voucher);
                let vouched = voucher.map(|voucher| voucher.cumulative_amount);
                self.stream()?.said_paid(message, vouched);
                self.say(message)
            }
            Record::PassedOver { message } => {
                self.heard();
                self.stream()?.passed_over = message.number;
                Ok(())
            }
            Record::Amend { by, message } => self.amend(*by, message),
            Record::Exit { by: Role::Buyer, message, .. } => self.leave(message),
            Record::Exit { by: Role::Seller, message, .. } => {
                self.heard();
                self.parted = Some(reread(message).map_err(|error| error.to_string())?);
                Ok(())
            }
            Record::Ended { .. } => Err("the session has its end".to_owned()),
            // What concerns channels and ledgers is asked of them.
            _ => Ok(()),
        }
    }

    fn order(&mut self, menu: &SignedMessage, order: &SignedMessage) -> Result<(), String> {
        let (menu, order, terms) = reread_terms(menu, order)?;
        if !self.buyer.resumes(&menu) || !order.resumes {
            return Err(
                "it ended with its connection: its seller does not wait, or we do not, as \
                        the configs have it"
                    .to_owned(),
            );
        }
        let named = terms.dataset.map(|dataset| dataset.root);
        self.buyer.wish.refuse(named.as_ref()).map_or(Ok(()), Err)?;
        let Currency { name, method, .. } = &terms.currency;
        let purse = self.purse(order.escrow, name, *method)?;
        self.buyer.out.begin(terms.session);
        self.ordered = Some((terms, menu, purse));
        Ok(())
    }

    /// Our currency of this name, as the config has it now.
    fn ours(&self, name: &str, method: Method) -> Result<&PinnedCurrency, String> {
        let is_it = |ours: &&PinnedCurrency| (ours.name.as_str(), ours.method) == (name, method);
        let ours = self.buyer.wish.currencies.iter().find(is_it);
        ours.ok_or_else(|| {
            format!("it is paid in {name} by {method}, which is not to be spent by the config")
        })
    }

    /// The channel of an order or of a request, as it is known now.
    fn purse(
        &self,
        choice: Option<EscrowChoice>,
        name: &str,
        method: Method,
    ) -> Result<Option<Purse>, String> {
        let ours = self.ours(name, method)?;
        let Some(EscrowChoice { channel, base }) = choice else { return Ok(None) };
        let Some(known) = self.channels.get(&channel) else {
            return Err(format!("nothing is known of its channel {channel}"));
        };
        let LeftChannel { domain, deposit, ceiling, is_over } = known.clone();
        let amounts = (base, ceiling.max(base), deposit);
        let mut purse = Purse::new((channel, domain), amounts, ours.channels.clone());
        if is_over {
            purse.end();
        }
        Ok(Some(purse))
    }

    fn epoch(&mut self, epoch: u32, salt_secret: &SaltSecret) -> Result<(), String> {
        if let Some((terms, menu, purse)) = self.ordered.take() {
            let ours = self.ours(&terms.currency.name, terms.currency.method)?;
            let brings = self.buyer.brings(menu, self.buyer.wish.ceiling(ours));
            let keys = Keys::next(&self.nobodys, terms.session, epoch, salt_secret.clone());
            let mut stream = Stream::new(brings, terms, keys, purse);
            stream.may_seal = false;
            self.stream = Some(stream);
            self.buyer.out.keep_line();
        }
        self.buyer.out.line.iter_mut().for_each(|line| line.epoch = epoch);
        Ok(())
    }

    fn invoice(
        &mut self,
        message: &SignedMessage,
        (from_seq, to_seq, digest): (u64, u64, Digest),
        is_owed: bool,
        at_ms: u64,
    ) -> Result<(), String> {
        let stream = self.stream()?;
        let (number, amount_total) = (message.number, message.amount_total);
        stream.windows.recall(number, to_seq, digest);
        let place = stream.agreed().leg_place(to_seq);
        let tab = stream.tabs.at(place);
        let amount = amount_total.saturating_sub(tab.invoiced);
        let is_held = tab.currency.method == Method::Transfer && !is_owed;
        let due_ms = reread::<DataInvoice>(message).map_or(at_ms, |read| read.invoice.due_at.0);
        let bill = Bill { number, from_seq, amount, amount_total, due_ms, is_held };
        stream.bill(place, &bill, at_ms);
        Ok(())
    }

    fn amend(&mut self, by: Role, message: &SignedMessage) -> Result<(), String> {
        match by {
            Role::Seller => self.heard(),
            Role::Buyer => self.say(message)?,
        }
        let Some(ask) = self.stream()?.said_of_change(by, message)? else { return Ok(()) };
        let purse = self.purse(ask.escrow.clone(), &ask.currency, ask.method)?;
        self.stream()?.asked_again(message.number, ask, purse)
    }

    /// Our exit: what the seller had heard of as paid by then, at the most.
    fn leave(&mut self, message: &SignedMessage) -> Result<(), String> {
        let items = reread::<Exit>(message).map_or(u64::MAX, |exit| exit.items);
        let stream = self.stream()?;
        let place = stream.agreed().leg_place(items);
        stream.tabs.at_mut(place).vouched_seq = items;
        stream.take_leave();
        self.has_left = true;
        self.say(message)
    }

    /// A paper of the seller's was taken.
    fn heard(&mut self) {
        self.buyer.out.heard_paper();
    }

    /// A paper of ours: it is kept for the seller that may lack it. One that was too long to be kept
    /// cannot be said again, nor can what was before it.
    fn say(&mut self, message: &SignedMessage) -> Result<(), String> {
        let line = self.buyer.out.line.as_mut().ok_or_else(before_its_key)?;
        match said_again(message) {
            Some(frame) => line.keep_paper(frame),
            None => line.lose_paper(),
        }
        Ok(())
    }

    fn stream(&mut self) -> Result<&mut Stream, String> {
        self.stream.as_mut().ok_or_else(before_its_key)
    }

    /// The session as it stands: cut off, and on its way to another connection.
    fn finish(mut self, left: &Left, now_ms: u64) -> Result<(), String> {
        let Some(mut stream) = self.stream.take() else { return Err(before_its_key()) };
        stream.keep_items(&left.items)?;
        stream.reckon_vouched(left);
        let buyer = self.buyer;
        buyer.out.push(Output::Paying(paying(&stream.agreed().last_leg().currency)));
        let patience_ms = buyer.policy.patience_ms;
        let mut state = match self.has_left {
            true => State::Leaving(Box::new(stream), now_ms + 3 * patience_ms),
            false => State::Streaming(Box::new(stream)),
        };
        if let Some(exit) = self.parted {
            if let (false, State::Streaming(stream)) = (self.has_left, &mut state) {
                stream.say_exit(exit.reason, &mut buyer.out);
            }
            buyer.part(&mut state, end_of(&exit), exit.reason);
            return Ok(());
        }
        buyer.cut_off(now_ms);
        let went = match self.has_left {
            true => buyer.pay_all(&mut state, now_ms),
            false => buyer.go_on(&mut state, now_ms),
        };
        buyer.state = state;
        went.unwrap_or_else(|fault| buyer.fail(fault));
        Ok(())
    }
}

impl Stream {
    /// The items that were kept behind the last invoice.
    fn keep_items(&mut self, items: &[Vec<u8>]) -> Result<(), String> {
        for item in items {
            let seq = self.windows.items() + 1;
            let is_over = self.windows.ended_short(self.agreed());
            let is_next = self.windows.open_items() == 0 || self.agreed().next_from(seq - 1) != seq;
            if is_over || !is_next || self.agreed().is_last(seq - 1) {
                return Err(format!("item {seq} is kept, and cannot have come"));
            }
            let salt = salt(self.keys.salt_secret(), seq);
            self.windows.push(leaf(&self.terms.session, seq, &salt, item));
        }
        self.acked_seq = self.windows.items();
        Ok(())
    }

    /// The most that can have been vouched by acks, which no record names: up to what is here, and up to
    /// what had come of what is void since. Where not all is here that was acknowledged, the seller must
    /// show it.
    fn reckon_vouched(&mut self, Left { records, keeps_all, .. }: &Left) {
        let items = self.windows.items();
        let voids = Buyer::voids_of(records.iter().map(|(_, record)| record));
        for place in 0..self.tabs.count() {
            let owed = self.agreed().owed_in(place, items).unwrap_or_default();
            let lost = voids.iter().filter_map(|(void, delivered)| {
                let last = void.from_seq.saturating_add(*delivered).checked_sub(1)?;
                let leg = self.agreed().leg(last);
                let is_here = *delivered > 0 && self.agreed().leg_place(last) == place;
                is_here.then(|| leg.price_before_void(last)).flatten()
            });
            let owed = lost.fold(owed, Amount::max);
            let by_acks = self.terms.signed_items;
            let tab = self.tabs.at_mut(place);
            let Some(purse) = &mut tab.purse else { continue };
            if by_acks {
                tab.vouched_seq = items;
                purse.reckon(owed);
            }
            if !*keeps_all {
                purse.doubt();
            }
        }
    }
}

fn before_its_key() -> String {
    "it broke before its seller had sent its key".to_owned()
}
