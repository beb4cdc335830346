//! The seller's session once there are terms: items, invoices and the exit on their way out.
//! What comes in is in `bills.rs`.

use super::again::Again;
use super::amending::{Amends, Phase};
use super::bills::{Acks, Unacked};
use super::credit::Granted;
use super::tab::{Bill, Tab};
use super::{Ending, Offer, PaceRule};
use crate::crypto::layout::MessageKind;
use crate::crypto::{Keys, SealError, dataset_leaf, leaf, salt};
use crate::message::{
    Anchored, Base64, Cumulative, DataInvoice, Draft, Exit, ExitLeg, Invoice, Moment,
};
use crate::record::{Act, End, Leaves, Owed, Record, SignedMessage, Unsigned};
use crate::session::tabs::Tabs;
use crate::session::windows::{Window, Windows};
use crate::session::{Fault, Outputs, Progress, Row};
use crate::terms::{Agreed, PaceFacts, Purpose, Role, Terms};
use sdpp_ledger::{Amount, Anchor, Call, Digest, LedgerId, Reference, keccak};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A session's items and money, as the seller has them.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) offer: Arc<Offer>,
    pub(super) terms: Terms,
    pub(super) keys: Keys,
    /// The keys of earlier epochs, the oldest first: what was sealed once stays as it was.
    pub(super) former: VecDeque<Keys>,
    /// The keys of epochs before this process was started are gone.
    pub(super) forgot_keys: bool,
    pub(super) windows: Windows,
    pub(super) acks: Acks,
    /// What each leg owes.
    pub(super) tabs: Tabs<Tab>,
    /// Where records stand that the buyer was not told of yet.
    pub(super) untold: Vec<Anchored>,
    pub(super) amends: Amends,
    /// What the buyer may have out unsecured.
    pub(super) credit: Granted,
    /// Says at which pace the session goes on.
    pub(super) rule: Option<PaceRule>,
    /// Ledgers that do not do what they are asked to, as far as we know.
    pub(super) unwell: BTreeSet<LedgerId>,
    /// Items that the source gave and that have not left: they were asked for before a credit note
    /// was proposed, and wait with it for the buyer's signature.
    pub(super) ready: VecDeque<Row>,
    /// The last item that is reserved on disk.
    pub(super) reserved_seq: u64,
    /// What left before this process was started, until it is known again.
    pub(super) again: Option<Box<Again>>,
}

/// An invoice that waits for its anchor's transaction.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) reference: Reference,
    pub(super) give_up_ms: u64,
    pub(super) drafted: Drafted,
}

/// An invoice whose bytes are fixed.
#[derive(Debug)]
pub(super) struct Drafted {
    pub(super) draft: Draft,
    /// The window's last item, where it travels in it.
    pub(super) last: Option<LastItem>,
    pub(super) window: Window,
    pub(super) bill: Bill,
}

/// The last item of a window on its way into an invoice.
#[derive(Debug)]
pub(super) struct LastItem {
    pub(super) row: Row,
    pub(super) body: Vec<u8>,
    pub(super) leaf: Digest,
}

impl Drafted {
    /// What is kept of it while it waits; `None` where it is too long for that.
    fn kept(&self) -> Option<Box<Unsigned>> {
        let Window { from_seq, to_seq, digest, ref leaves, .. } = self.window;
        let leaves = Leaves::of(leaves.clone());
        self.draft.unsigned((from_seq, to_seq), digest, leaves).map(Box::new)
    }
}

impl Stream {
    /// How many items may be sent just now.
    pub(super) fn room(&self) -> u64 {
        if let Some(again) = &self.again {
            return again.wants();
        }
        if self.acks.unacked_bytes() >= self.offer.policy.unacknowledged_bytes_max {
            return 0;
        }
        let sent = self.windows.items();
        // What was counted may be taken back after more was sent.
        let given = |seq| self.agreed().given(seq);
        let unpaid = given(sent).saturating_sub(given(self.on().counted_items()));
        let credit = self.agreed().pace(sent + 1).credit_items().saturating_sub(unpaid);
        let ordered = self.agreed().last_seq().map_or(u64::MAX, |last| last.saturating_sub(sent));
        // Never beyond the open window: its invoice may have to wait for an anchor.
        let window = self.agreed().window_end(sent + 1).saturating_sub(sent);
        let unsigned = self.amends.stops_at().saturating_sub(1 + sent);
        let room = credit.min(ordered).min(window).min(unsigned);
        room.saturating_sub(self.ready.len() as u64)
    }

    /// How long items may flow on as things stand: until a payment is late, the buyer was silent
    /// for our patience, or the ledger has not made a payment final in all that time.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let policy = &self.offer.policy;
        let silent_ms = self.acks.silent_since_ms().map(|since| since + policy.patience_ms);
        let final_ms = self.on().claimed_since_ms().map(|since| since + policy.finality_ms);
        // What ends as soon as what left is known again cannot end a second time.
        let is_ending = self.again.as_ref().is_some_and(|again| again.ending.is_some());
        let final_ms = final_ms.filter(|_| !is_ending);
        let signed_ms = self.amends.unanswered_since_ms().map(|since| since + policy.patience_ms);
        let buyers = [self.on().next_due_ms(), silent_ms, signed_ms];
        let buyers = buyers.into_iter().flatten().filter(|_| !self.is_reading_again());
        buyers.chain(final_ms).chain(self.wakes_ms()).min()
    }

    /// How long a payment is waited for once no more items follow, where one is due.
    pub(super) fn drains_to_ms(&self) -> Option<u64> {
        match self.is_reading_again() {
            true => Some(u64::MAX),
            false => self.on().next_due_ms(),
        }
    }

    /// A payment that is late, or a buyer that is silent, ends the session.
    pub(super) fn check_late(&self, now_ms: u64) -> Result<(), Fault> {
        if self.is_reading_again() {
            return Ok(());
        }
        if let Some(late) = self.on().late(now_ms) {
            return Err(late);
        }
        let is_long = |since_ms: &u64| since_ms + self.offer.policy.patience_ms <= now_ms;
        if self.acks.silent_since_ms().as_ref().is_some_and(is_long) {
            return Err(Fault::timed_out("items are out, and nothing is acknowledged"));
        }
        if self.amends.unanswered_since_ms().as_ref().is_some_and(is_long) {
            let what = self.amends.unanswered();
            return Err(Fault::timed_out(format!(
                "a {what} is out, and the buyer does not answer it"
            )));
        }
        Ok(())
    }

    /// Whether the buyer waits for what our source gives again: it may lack what it is to acknowledge or to
    /// pay, or has acknowledged it and we cannot tell yet. Its time begins behind that.
    pub(super) fn is_reading_again(&self) -> bool {
        self.again.as_ref().is_some_and(|again| again.is_reading())
    }

    /// When the last payment was said, of whichever leg.
    pub(super) fn last_claim_ms(&self) -> u64 {
        self.tabs.all().map(Tab::last_claim_ms).max().unwrap_or_default()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.agreed().is_last(self.windows.items())
    }

    pub(super) fn progress(&self) -> Progress {
        let (places, agreed) = (self.windows.items(), self.agreed());
        Progress {
            items: agreed.given(places),
            void: places - agreed.given(places),
            windows: self.windows.closed().saturating_sub(agreed.void_windows()),
            owed: self.last_tab().billed(),
            paid: self.last_tab().paid_total(),
            legs: self.tabs.count(),
        }
    }

    /// Sends what the source gave, up to the first item that a credit note is in force for which
    /// the buyer has not signed: it may have been proposed while the source was asked.
    pub(super) fn send_ready(
        &mut self,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<Option<Pending>, Fault> {
        while self.again.is_none()
            && self.windows.items() + 1 < self.amends.stops_at()
            && let Some(row) = self.ready.pop_front()
        {
            if let Some(pending) = self.send(row, now_ms, out)? {
                return Ok(Some(pending));
            }
        }
        Ok(None)
    }

    /// Sends an item; the last of a window with its invoice, or that invoice has to wait.
    fn send(&mut self, row: Row, now_ms: u64, out: &mut Outputs) -> Result<Option<Pending>, Fault> {
        let (max, length) = (self.offer.policy.item_bytes_max, row.item.len());
        if length > max {
            let why = format!("the source gave an item of {length} bytes, {max} are allowed");
            return Err(Fault::ours(why));
        }
        let seq = self.windows.items() + 1;
        self.is_promised(seq, &row)?;
        let ends_window = self.agreed().window_end(seq) == seq;
        let salt = salt(self.keys.salt_secret(), seq);
        let leaf = leaf(&self.terms.session, seq, &salt, &row.item);
        if ends_window {
            let lane = self.keys.from(Role::Seller);
            let body = lane.seal(MessageKind::DataInvoice, seq, &row.item).map_err(unsealed)?;
            self.windows.push(leaf);
            return self.invoice(Some(LastItem { row, body, leaf }), now_ms, out);
        }
        let frame = self.data(seq, &row, leaf)?;
        self.windows.push(leaf);
        let cumulative = Cumulative { seq, digest: self.windows.digest() };
        self.acks.sent(Unacked { cumulative, bytes: frame.len() }, now_ms);
        out.keep_item(seq, &row, leaf);
        out.leave(frame);
        Ok(None)
    }

    /// Nothing is signed that is not what was promised: it would cost the bond.
    pub(super) fn is_promised(&self, seq: u64, row: &Row) -> Result<(), Fault> {
        let Some(dataset) = self.terms.dataset else { return Ok(()) };
        if dataset.has(seq, &dataset_leaf(&keccak(&[&row.item])), &row.path) {
            return Ok(());
        }
        let why = format!("the source's item {seq} is not that of the menu's dataset");
        Err(Fault::private(Role::Seller, why))
    }

    /// Asks for a window that is not full, if one is open.
    pub(super) fn close_part_window(
        &mut self,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<Option<Pending>, Fault> {
        if self.windows.open_items() == 0 {
            return Ok(None);
        }
        self.invoice(None, now_ms, out)
    }

    /// Sends an invoice that waited; `tx` is its anchor's, empty when that was not to be had.
    pub(super) fn send_pending(
        &mut self,
        pending: Pending,
        tx: &str,
        now_ms: u64,
        out: &mut Outputs,
    ) {
        self.send_invoice(pending.drafted, (tx, None), now_ms, out);
    }

    /// Says `exit`: the buyer's final receipt.
    pub(super) fn say_exit(&mut self, ending: &Ending, out: &mut Outputs) {
        let exit = Exit {
            reason: ending.reason,
            items: self.windows.items(),
            amount_total: self.last_tab().billed(),
            paid_total: self.last_tab().receipted(),
            anchored: std::mem::take(&mut self.untold),
            channel: None,
            legs: self.legs_before(),
            bonded: self.terms.bond.is_some(),
        };
        let draft = Draft::new(self.terms.session, &exit);
        let (message, frame) = draft.sign(&self.offer.key, "");
        let owed = self.anchor(Purpose::Exit, 0, &draft);
        out.record(Record::Exit { by: Role::Seller, message, owed });
        out.send(frame);
    }

    /// How a session ends in which both sides said `exit`.
    pub(super) fn end(&self) -> End {
        let is_paid = |tab: &Tab| tab.receipted() == tab.billed();
        if self.tabs.all().all(is_paid) { End::Complete } else { End::Outstanding }
    }

    /// The last records of this session.
    pub(super) fn ended(
        &mut self,
        end: End,
        why: &str,
        evidence: Vec<SignedMessage>,
        out: &mut Outputs,
    ) {
        if let Some(message) = self.acks.unkept() {
            out.record(Record::Ack { message });
        }
        let mut owed = self.redeem_all(end);
        let last = owed.pop().map(|(_, owed)| owed);
        owed.into_iter()
            .for_each(|(channel, owed)| out.record(Record::Redeeming { channel, owed }));
        out.extend_records(self.redeem_at_end());
        let owed = last;
        out.record(Record::Ended { end, why: why.to_owned(), evidence, owed });
    }

    /// Closes the window and asks for it.
    fn invoice(
        &mut self,
        last: Option<LastItem>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<Option<Pending>, Fault> {
        let drafted = self.draft(last, now_ms)?;
        let owed = self.anchor(Purpose::Invoice, drafted.window.number, &drafted.draft);
        match owed {
            Some(owed) if self.offer.policy.anchor_before && !owed.held => {
                let reference = owed.reference;
                out.record(Record::Anchoring { owed, invoice: drafted.kept() });
                let give_up_ms = now_ms + self.offer.policy.patience_ms;
                Ok(Some(Pending { reference, give_up_ms, drafted }))
            }
            owed => {
                self.send_invoice(drafted, ("", owed), now_ms, out);
                Ok(None)
            }
        }
    }

    fn draft(&mut self, last: Option<LastItem>, now_ms: u64) -> Result<Drafted, Fault> {
        let window = self.windows.close();
        let place = self.agreed().leg_place(window.to_seq);
        let amount_total = self.owed_in(place, window.to_seq)?;
        let tab = self.tabs.at(place);
        let amount = amount_total.saturating_sub(tab.billed());
        // An invoice that waits for its anchor is not late before it has left.
        let waits = if self.offer.policy.anchor_before { 2 } else { 1 };
        let due_ms = now_ms + waits * self.offer.policy.patience_ms;
        let invoice = Invoice {
            number: window.number,
            from: window.from_seq,
            to: window.to_seq,
            amount,
            amount_total,
            paid_total: tab.paid_total().min(amount_total),
            currency: tab.currency.name.clone(),
            payment_address: tab.currency.payee.clone(),
            digest: window.digest,
            root: window.root,
            reference: self.terms.session.reference(Purpose::Payment, window.number),
            due_at: Moment(due_ms),
            rate: self.amends.agreement.invoice_rate(&self.offer.menu, window.from_seq),
            pace: self.amends.agreement.invoice_pace(window.from_seq),
        };
        let path = last.as_ref().and_then(|last| self.path_of(window.to_seq, &last.row));
        let brings = last.as_ref().map(|last| (Base64(last.body.clone()), last.leaf));
        let (body, leaf) = brings.unzip();
        let anchored = std::mem::take(&mut self.untold);
        let message = DataInvoice { seq: window.to_seq, body, leaf, path, invoice, anchored };
        let draft = Draft::new(self.terms.session, &message);
        let window_end = Cumulative { seq: window.to_seq, digest: window.digest };
        let bill = Bill::new(window.number, amount, amount_total, window_end, due_ms);
        Ok(Drafted { draft, last, window, bill })
    }

    /// The invoice is recorded, the next seqs are reserved, and it leaves: with its anchor's
    /// transaction, or still owing the anchor.
    fn send_invoice(
        &mut self,
        drafted: Drafted,
        (tx, owed): (&str, Option<Owed>),
        now_ms: u64,
        out: &mut Outputs,
    ) {
        let Drafted { draft, last, window, bill } = drafted;
        let (message, frame) = draft.sign(&self.offer.key, tx);
        self.amends.notes.sold(&window);
        let Window { from_seq, to_seq, digest, leaves, .. } = window;
        let leaves = Leaves::of(leaves);
        out.record(Record::Invoice { message, from_seq, to_seq, digest, leaves, owed });
        self.reserve(to_seq, out);
        if let Some(LastItem { row, leaf, .. }) = last {
            out.keep_item(to_seq, &row, leaf);
            let cumulative = Cumulative { seq: to_seq, digest };
            self.acks.sent(Unacked { cumulative, bytes: frame.len() }, now_ms);
        }
        out.send(frame);
        let place = self.agreed().leg_place(to_seq);
        self.tabs.at_mut(place).add(bill);
        self.see_to_pace();
    }

    /// The anchor that a message of ours owes, where the seller keeps records.
    fn anchor(&self, purpose: Purpose, number: u64, draft: &Draft) -> Option<Owed> {
        let ledger = self.terms.records.clone()?;
        let reference = self.terms.session.reference(purpose, number);
        let digest = draft.data_digest();
        let act = Act::Do(Call::Anchor(Anchor::One { reference, digest }));
        Some(Owed { reference, purpose, ledger, act, held: self.offer.policy.hold_records })
    }

    /// The terms, and what both have signed since.
    pub(super) fn agreed(&self) -> &Agreed {
        self.amends.agreement.agreed()
    }

    /// What our rule for paces is told.
    pub(super) fn pace_facts(&self) -> PaceFacts {
        let (place, items) = (self.place(), self.windows.items());
        let tab = self.tabs.at(place);
        let owed = |items| self.agreed().owed_in(place, items).unwrap_or(Amount::new(u128::MAX));
        let all = self.agreed().last_seq().map(owed);
        // Where it has room for all that is ordered it is never too thin.
        let purse = tab.purse.as_ref().filter(|purse| all.is_none_or(|all| all > purse.room()));
        let room = purse
            .map(|purse| tab.currency.rate.in_default(purse.room().saturating_sub(owed(items))));
        let unsettled = self.unsettled();
        PaceFacts {
            pace: self.agreed().pace(self.next_from()),
            windows: self.windows.closed().saturating_sub(self.agreed().void_windows()),
            price: self.agreed().leg(self.next_from()).price,
            settled: self.agreed().worth(items).saturating_sub(unsettled),
            unsettled,
            room,
            is_ledger_well: !self.unwell.contains(&tab.currency.ledger),
        }
    }

    /// The first seq of the next window that has not begun.
    pub(super) fn next_from(&self) -> u64 {
        self.agreed().next_from(self.windows.items())
    }

    /// What those of so many items cost that stand in a leg, by its place, less what was credited.
    pub(super) fn owed_in(&self, place: usize, items: u64) -> Result<Amount, Fault> {
        let too_much = || Fault::ours("the price of this session passes 128 bits");
        self.agreed().owed_in(place, items).ok_or_else(too_much)
    }

    /// The place of the leg that is on: of the one that the next item stands in while windows follow,
    /// then of the one that the last item stands in. What earlier legs owe is waited for at the end.
    pub(super) fn place(&self) -> usize {
        let next = u64::from(self.amends.phase == Phase::Open);
        self.agreed().leg_place(self.windows.items().saturating_add(next))
    }

    /// What the leg owes that is on.
    pub(super) fn on(&self) -> &Tab {
        self.tabs.at(self.place())
    }

    /// What the leg owes that the last item stands in.
    pub(super) fn last_tab(&self) -> &Tab {
        self.tabs.at(self.agreed().leg_place(self.windows.items()))
    }

    /// What the legs before that one came to.
    fn legs_before(&self) -> Vec<ExitLeg> {
        let of = |tab: &Tab| ExitLeg {
            from_seq: tab.first_item(),
            amount_total: tab.billed(),
            paid_total: tab.receipted(),
        };
        self.tabs.all().take(self.agreed().leg_place(self.windows.items())).map(of).collect()
    }

    /// What the items cost that left and are not paid for good, in the default currency's unit.
    fn unsettled(&self) -> Amount {
        let ends = self.tabs.all().skip(1).map(|tab| tab.first_item() - 1);
        let items = self.windows.items();
        let ends = ends.chain([u64::MAX]).map(|end| end.min(items));
        let worth = |items| self.agreed().worth(items);
        let of = |(tab, end): (&Tab, u64)| worth(end).saturating_sub(worth(tab.paid_items()));
        let unpaid = self.tabs.all().zip(ends).map(of);
        unpaid.fold(Amount::ZERO, Amount::saturating_add)
    }
}

fn unsealed(error: SealError) -> Fault {
    Fault::ours(error.to_string())
}
