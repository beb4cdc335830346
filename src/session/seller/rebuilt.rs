//! A session as its journal has it, when the process that served it is gone. What it recorded is taken
//! in once more, in its order, by the same functions that took the messages; then the session waits for
//! its buyer as if its connection had just broken.

use super::again::Again;
use super::amending::Proposed;
use super::bills::Acks;
use super::legs::{LegAsk, priced};
use super::purse::{Brought, Purse};
use super::stream::{Drafted, Pending, Stream};
use super::tab::{Bill, Tab};
use super::{Ending, Offer, PaceRule, Seller, State};
use crate::crypto::Keys;
use crate::message::{
    Ack, Codec, Cumulative, Draft, Exit, PaymentAck, Reason, Voucher, reread, reread_terms,
    said_again,
};
use crate::record::{Record, SignedMessage, Unsigned};
use crate::session::windows::Window;
use crate::session::{Fault, Output, Outputs};
use crate::standing::Standing;
use crate::terms::{InEscrow, Leg, Method, Purpose, Role};
use sdpp_ledger::{Amount, ChannelId, Domain, LedgerId, Reference, TxId};
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a session is built anew with, beside what its journal says.
pub struct Restart {
    /// Its source can be read again from any item.
    pub rereads: bool,
    /// Where it cannot, what left may be declared void: the process that sent it is gone. In one that lives
    /// a buyer that says it lacks something would be believed as often as it likes.
    pub may_void: bool,
    /// Fresh: it stands in the place of the session's key until the next epoch, and nothing leaves
    /// under it.
    pub session_key: Zeroizing<[u8; 32]>,
    /// What vouchers are signed under, by the ledger.
    pub domains: BTreeMap<LedgerId, Domain>,
    /// What earlier sessions say of the buyer, where somebody was asked.
    pub standing: Option<Standing>,
}

/// A session while its records are taken in.
struct Replay {
    stream: Stream,
    out: Outputs,
    restart: Restart,
    now_ms: u64,
    /// An invoice that waits for its anchor, as far as the records go.
    drafted: Option<(Reference, Drafted)>,
    /// How many legs have their figures on record.
    priced: usize,
    /// How many voids have.
    voided: usize,
    reserved_seq: u64,
    /// The last item that the records say to be acknowledged, and its digest.
    acked: Option<Cumulative>,
    /// The last voucher that a message brought: its own record may not have been written.
    brought: Option<Brought>,
    ours: Option<Reason>,
    theirs: Option<Reason>,
    has_key: bool,
}

impl Seller {
    /// A session of this seller's that goes on when its buyer comes back: what `records` say of it, all
    /// that there are, in their order. It does not sell what `offer` has now but what was ordered.
    /// What became of what is [`Seller::awaited`] is to be told to it.
    ///
    /// # Errors
    /// Why it cannot go on, as a sentence: it is to be ended.
    pub fn rebuilt(
        offer: &Offer,
        records: &[Record],
        restart: Restart,
        now_ms: u64,
    ) -> Result<Seller, String> {
        let (first, rest) = records.split_first().ok_or("it has no records")?;
        let mut replay = Replay::begin(offer, first, restart, now_ms)?;
        rest.iter().try_for_each(|record| replay.take(record))?;
        replay.finish()
    }

    /// What the buyer may have out unsecured in this session, in each currency's smallest unit.
    pub fn unsecured(&self) -> Vec<(String, Amount)> {
        let of = |stream: &Stream| {
            stream.unsecured().map(|(name, most)| (name.clone(), *most)).collect()
        };
        self.stream().map(of).unwrap_or_default()
    }

    /// The channels that pay for this session, and their ledgers.
    pub fn channels(&self) -> Vec<(LedgerId, ChannelId)> {
        let of = |tab: &Tab| Some((tab.currency.ledger.clone(), tab.purse.as_ref()?.id));
        self.stream().into_iter().flat_map(|stream| stream.tabs.all().filter_map(of)).collect()
    }

    /// What it sells under.
    pub fn offer(&self) -> &Arc<Offer> {
        &self.offer
    }

    /// The longest item that it sends, in bytes.
    pub fn item_bytes_max(&self) -> usize {
        self.offer.policy.item_bytes_max
    }

    /// What says at which pace it goes on, to be given to another core of the same session.
    pub fn rule(&self) -> Option<PaceRule> {
        self.stream().and_then(|stream| stream.rule.clone())
    }

    /// What the session waits for a ledger to do, or to say.
    pub fn awaited(&self) -> Vec<Reference> {
        let session = self.session();
        let claims = self
            .stream()
            .into_iter()
            .flat_map(|stream| stream.tabs.all().flat_map(Tab::claimed).collect::<Vec<u64>>());
        let reference = |number| session.map(|id| id.reference(Purpose::Payment, number));
        let redeemed = self.stream().into_iter().flat_map(Stream::purses);
        let redeemed = redeemed.filter_map(|purse| purse.redeemed.awaits());
        let anchor = match &self.state {
            State::Anchoring(_, pending, _) => Some(pending.reference),
            _ => None,
        };
        claims.filter_map(reference).chain(redeemed).chain(anchor).collect()
    }
}

impl Replay {
    fn begin(
        offer: &Offer,
        first: &Record,
        restart: Restart,
        now_ms: u64,
    ) -> Result<Replay, String> {
        let Record::Order { role: Role::Seller, menu, order, .. } = first else {
            return Err("it does not begin with an order of a buyer's".to_owned());
        };
        let (menu, order, terms) = reread_terms(menu, order)?;
        if menu.resume_ms.is_none() || !order.resumes {
            return Err("it ends with its connection, as it was ordered".to_owned());
        }
        let (key, policy) = (offer.key.clone(), offer.policy.clone());
        if terms.seller != key.public() {
            return Err("it is another seller's".to_owned());
        }
        let offer = Arc::new(Offer { key, menu, policy });
        let mut out = Outputs::new();
        out.begin(terms.session);
        out.keep_line();
        let keys = Keys::first(&restart.session_key, terms.session);
        let may = (restart.rereads, restart.may_void);
        let again = Some(Box::new(Again::new(terms.session.0, may)));
        let mut stream = Stream::new(offer, terms, keys, None, restart.standing);
        (stream.again, stream.rule, stream.forgot_keys) = (again, None, true);
        let mut replay = Replay {
            stream,
            out,
            restart,
            now_ms,
            drafted: None,
            priced: 0,
            voided: 0,
            reserved_seq: 0,
            acked: None,
            brought: None,
            ours: None,
            theirs: None,
            has_key: false,
        };
        let leg = replay.stream.agreed().last_leg().clone();
        replay.stream.tabs.at_mut(0).purse = replay.purse(&leg)?;
        Ok(replay)
    }

    /// The channel that a leg draws on. What its ledger shows of it is asked for again with the first
    /// voucher that passes what is known.
    fn purse(&self, leg: &Leg) -> Result<Option<Purse>, String> {
        let Some(InEscrow { channel, base }) = leg.escrow else { return Ok(None) };
        let domain = self.restart.domains.get(&leg.currency.ledger).cloned();
        let domain = domain.ok_or_else(|| {
            format!("its ledger {} is not in the config, or has no escrow", leg.currency.ledger)
        })?;
        let signer = self.stream.terms.buyer.account();
        let when = self.stream.offer.policy.settling(&leg.currency.name);
        Ok(Some(Purse::new(channel, domain, signer, base, base, when)))
    }

    fn take(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Epoch { epoch, salt_secret, .. } => {
                self.has_key = true;
                let session = self.stream.terms.session;
                let salt_secret = salt_secret.clone();
                let key = &self.restart.session_key;
                self.stream.keys = Keys::next(key, session, *epoch, salt_secret);
                self.out.line.iter_mut().for_each(|line| line.epoch = *epoch);
            }
            Record::Priced(_) => self.priced += 1,
            Record::Void { .. } => self.voided += 1,
            Record::Reserved { to_seq } => self.reserved_seq = self.reserved_seq.max(*to_seq),
            Record::Anchoring { owed, invoice } => {
                let unsigned = invoice.as_deref().ok_or("an invoice was too long to be kept")?;
                let drafted = self.drafted(unsigned);
                self.close(&drafted.window);
                self.drafted = Some((owed.reference, drafted));
            }
            Record::Invoice { message, from_seq, to_seq, digest, leaves, .. } => {
                let window = Window {
                    number: message.number,
                    from_seq: *from_seq,
                    to_seq: *to_seq,
                    digest: *digest,
                    root: message.commitment,
                    leaves: leaves.as_slice().to_vec(),
                };
                self.invoice(message, &window);
            }
            Record::Ack { message } => {
                let ack = reread::<Ack>(message).map_err(|error| error.to_string())?;
                self.acknowledge(Cumulative { seq: ack.seq, digest: ack.digest });
                let of = |voucher| Brought { voucher, items: ack.seq, number: None };
                self.brought = ack.voucher.map(of).or(self.brought.take());
            }
            Record::Payment { message, .. } => self.payment(message)?,
            Record::Voucher { channel, amount, signature, .. } => {
                let voucher = Voucher { cumulative_amount: *amount, signature: *signature };
                let mut purses = self.stream.purses_mut();
                let purse = purses.find(|purse| purse.id == *channel);
                purse.ok_or("a voucher is of no channel of its")?.recall(voucher);
            }
            Record::Redeeming { channel, owed } => {
                let mut purses = self.stream.purses_mut();
                let purse = purses.find(|purse| purse.id == *channel);
                purse.into_iter().for_each(|purse| purse.recall_redeemed(owed));
            }
            Record::Amend { by: Role::Seller, message } => self.our_amend(message)?,
            Record::Amend { by: Role::Buyer, message } => self.their_amend(message)?,
            Record::Exit { by, message, .. } => self.exit(*by, message)?,
            Record::Ended { .. } => return Err("it is over".to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn drafted(&self, unsigned: &Unsigned) -> Drafted {
        let Unsigned { number, amount_total, from_seq, to_seq, digest, .. } = *unsigned;
        let stream = &self.stream;
        let tab = stream.tabs.at(stream.agreed().leg_place(to_seq));
        let amount = amount_total.saturating_sub(tab.billed());
        let due_ms = self.now_ms + 2 * stream.offer.policy.patience_ms;
        let window_end = Cumulative { seq: to_seq, digest };
        let bill = Bill::new(number, amount, amount_total, window_end, due_ms);
        let leaves = unsigned.leaves.as_slice().to_vec();
        let root = unsigned.commitment;
        let window = Window { number, from_seq, to_seq, digest, root, leaves };
        let draft = Draft::of_invoice(stream.terms.session, unsigned);
        Drafted { draft, last: None, window, bill }
    }

    /// A window's bytes are fixed.
    fn close(&mut self, window: &Window) {
        let Window { number, to_seq, digest, .. } = *window;
        self.stream.windows.recall(number, to_seq, digest);
        self.out.line.iter_mut().for_each(|line| line.left_to(to_seq));
        self.stream.again.iter_mut().for_each(|again| again.fixed(window.clone()));
    }

    fn invoice(&mut self, message: &SignedMessage, window: &Window) {
        self.close(window);
        self.drafted = None;
        let stream = &mut self.stream;
        stream.amends.notes.sold(window);
        let place = stream.agreed().leg_place(window.to_seq);
        let tab = stream.tabs.at_mut(place);
        let (total, number) = (message.amount_total, message.number);
        let amount = total.saturating_sub(tab.billed());
        let window_end = Cumulative { seq: window.to_seq, digest: window.digest };
        tab.add(Bill::new(number, amount, total, window_end, self.now_ms));
        self.paper(message, window.to_seq);
    }

    /// A paper of ours left, after this item.
    fn paper(&mut self, message: &SignedMessage, after_seq: u64) {
        let line = self.out.line.iter_mut();
        line.for_each(|line| match said_again(message) {
            Some(frame) => line.keep_paper_after(after_seq, frame),
            None => line.lose_paper(),
        });
    }

    fn acknowledge(&mut self, ack: Cumulative) {
        if self.acked.is_none_or(|acked| acked.seq < ack.seq) {
            self.acked = Some(ack);
        }
    }

    fn payment(&mut self, message: &SignedMessage) -> Result<(), String> {
        let payment = reread::<PaymentAck>(message).map_err(|error| error.to_string())?;
        self.out.heard_before();
        self.acknowledge(payment.ack);
        let (items, number) = (payment.ack.seq, Some(payment.number));
        let of = |voucher| Brought { voucher, items, number };
        self.brought = payment.voucher.clone().map(of).or(self.brought.take());
        self.stream.again.iter_mut().for_each(|again| again.answered(payment.number));
        let why = |fault: Fault| fault.why;
        let now_ms = self.now_ms;
        let tab = self.stream.tab_of(payment.number);
        let is_transfer = tab.currency.method == Method::Transfer;
        if !(is_transfer && tab.is_said(payment.number)) {
            tab.claim(&payment, now_ms).map_err(why)?;
        }
        if is_transfer {
            let tx: TxId = message.verification.parse().map_err(|_| "a payment without its tx")?;
            // One that was named twice, or for what is final, changes nothing.
            let _ = tab.name(&payment, &tx, now_ms);
        }
        Ok(())
    }

    fn our_amend(&mut self, message: &SignedMessage) -> Result<(), String> {
        let leg = self.stream.recall_our_amend(message, self.now_ms)?;
        if let Some(leg) = leg {
            let purse = self.purse(&leg)?;
            self.stream.recall_proposed_leg(purse);
        }
        let is_void = self.stream.amends.proposed.as_ref().and_then(Proposed::void).is_some();
        // What waited for its anchor is void.
        self.drafted.take_if(|_| is_void);
        let items = self.stream.windows.items();
        // It names the first item of a window after one that had begun.
        let before = message.from_seq().map_or(0, |from_seq| from_seq.saturating_sub(1));
        let begun = if before > items { items + 1 } else { items };
        self.paper(message, begun);
        Ok(())
    }

    fn their_amend(&mut self, message: &SignedMessage) -> Result<(), String> {
        self.out.heard_before();
        let voids = self.stream.agreed().voids().len();
        self.stream.recall_their_amend(message, &mut self.out)?;
        if self.stream.agreed().voids().len() > voids {
            let windows = &self.stream.windows;
            let (seq, digest) = (windows.items(), windows.digest());
            // Vouchers for what is void were taken before it was declared so.
            (self.acked, self.brought) = (Some(Cumulative { seq, digest }), None);
        }
        Ok(())
    }

    fn exit(&mut self, by: Role, message: &SignedMessage) -> Result<(), String> {
        let exit = reread::<Exit>(message).map_err(|error| error.to_string())?;
        if by == Role::Seller {
            self.ours = Some(exit.reason);
            let items = self.stream.windows.items();
            self.paper(message, items);
            return Ok(());
        }
        self.out.heard_before();
        self.theirs = Some(exit.reason);
        if exit.channel == Some(crate::message::AfterExit::Keep) {
            self.stream.purses_mut().for_each(|purse| purse.keep = true);
        }
        Ok(())
    }

    /// All records are taken in: where the session stands.
    fn finish(mut self) -> Result<Seller, String> {
        if !self.has_key {
            return Err("its key was not made".to_owned());
        }
        // What taking the records in would have written is written already, or follows here.
        self.out.queue.clear();
        self.count_vouchers();
        let stream = &mut self.stream;
        let fixed = stream.windows.items();
        stream.acks = Acks::from(self.acked.map_or(0, |acked| acked.seq));
        let known = self.acked.filter(|acked| acked.seq > fixed);
        stream.reserved_seq = self.reserved_seq;
        let is_over = self.ours.is_some() || stream.windows.ended_short(stream.agreed());
        let is_last = is_over || self.drafted.is_some() || stream.agreed().is_last(fixed);
        // A window's last item leaves with its invoice, which is on record before.
        let open_to = stream.agreed().window_end(fixed + 1).saturating_sub(1);
        let may_seq = if is_last { fixed } else { open_to.min(self.reserved_seq) };
        let is_proposed = stream.amends.proposed.as_ref().and_then(Proposed::void).is_some();
        // Before a change that waits for its answer it stopped; a void is of what had left before it.
        let stops_at = if is_proposed { u64::MAX } else { stream.amends.stops_at() };
        let may_seq = may_seq.min(stops_at.saturating_sub(1)).max(fixed);
        let may_void = self.restart.may_void || is_proposed;
        if may_seq > fixed && !self.restart.rereads && !may_void {
            return Err(
                "its source is live, and items may have left that it cannot give again".into()
            );
        }
        // A file may have been written anew, and who has signed two leaves for one item has lost its bond.
        if may_seq > fixed && stream.terms.bond.is_some() {
            return Err("under a bond no item is signed twice, and some may have left".into());
        }
        stream.again.iter_mut().for_each(|again| {
            (again.may_seq, again.known) = (may_seq, known);
        });
        stream.rule = stream.offer.policy.pace.clone();
        stream.reserve(fixed, &mut self.out);
        for leg in stream.agreed().legs().skip(self.priced).cloned().collect::<Vec<_>>() {
            self.out.record(priced(&leg));
        }
        for void in stream.agreed().voids().iter().skip(self.voided).copied().collect::<Vec<_>>() {
            self.out.record(stream.void_record(void));
        }
        stream.wait_from(self.now_ms);
        stream.recall_credit();
        if let Some(brought) = self.brought.take() {
            // What was wrong with it would have ended the session.
            let _ = stream.take_voucher(brought, self.now_ms, &mut self.out);
        }
        stream.look_at_all(self.now_ms, &mut self.out);
        if stream.amends.leg.as_ref().is_some_and(LegAsk::is_quoting) {
            self.out.push(Output::Quote);
        }
        Ok(self.stand())
    }

    /// What the best vouchers pay for.
    fn count_vouchers(&mut self) {
        for place in 0..self.stream.tabs.count() {
            let Some(worth) = self.stream.tabs.at(place).purse.as_ref().and_then(Purse::worth)
            else {
                continue;
            };
            let items = self.stream.paid_for(place, worth, self.reserved_seq);
            self.stream.tabs.at_mut(place).pay_by_voucher(items, worth);
        }
    }

    fn stand(self) -> Seller {
        let Replay { mut stream, mut out, now_ms, drafted, ours, theirs, .. } = self;
        let offer = stream.offer.clone();
        let resume_ms = offer.menu.resume_ms.unwrap_or_default();
        out.cut(now_ms.saturating_add(resume_ms));
        let codec = Codec::new(offer.policy.frame_bytes_max);
        let heard = theirs.map(|reason| Ending { heard: true, ..Ending::new(reason, now_ms) });
        let state = match (ours, drafted) {
            (Some(reason), _) => {
                stream.amends_over();
                let ending = Ending { heard: heard.is_some(), ..Ending::new(reason, now_ms) };
                State::ExpectExit(Box::new(stream), ending)
            }
            (None, Some((reference, drafted))) => {
                let give_up_ms = now_ms + offer.policy.patience_ms;
                let pending = Pending { reference, give_up_ms, drafted };
                State::Anchoring(Box::new(stream), Box::new(pending), heard)
            }
            (None, None) if stream.windows.ended_short(stream.agreed()) => {
                stream.end_amends(&mut out);
                let is_last = stream.agreed().is_last(stream.windows.items());
                // Whether its source had no more or it was stopped nobody knows any more; it stopped.
                let reason = if is_last { Reason::Complete } else { Reason::Stopped };
                let ended = Ending::new(reason, now_ms);
                State::Draining(Box::new(stream), heard.unwrap_or(ended))
            }
            (None, None) => {
                stream.again.iter_mut().for_each(|again| again.ending = heard);
                State::Streaming(Box::new(stream))
            }
        };
        let is_over = matches!(&state, State::ExpectExit(_, ending) if ending.heard);
        let mut seller = Seller { offer, codec, state, out };
        if is_over {
            let mut state = std::mem::replace(&mut seller.state, State::Closed);
            seller.end(&mut state);
            seller.state = state;
        }
        seller
    }
}

impl Stream {
    /// How many items a voucher worth so much pays for in a leg, of those up to this one.
    fn paid_for(&self, place: usize, worth: Amount, most: u64) -> u64 {
        let is_paid =
            |items: u64| self.agreed().owed_in(place, items).is_some_and(|owed| owed <= worth);
        let (mut low, mut high) = (0, most);
        // What is owed never falls, so the last such item is found by halves.
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if is_paid(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }
}
