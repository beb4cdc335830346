//! The buyer's session once it has the session's key: items and invoices in, acks and payments
//! out.

use super::amending::Amends;
use super::dataset::Brought;
use super::ending::end_of;
use super::gathering::Gather;
use super::paying::Bill;
use super::purse::Purse;
use super::tab::{Tab, paying};
use super::turning::Turning;
use crate::crypto::layout::MessageKind;
use crate::crypto::{Keys, leaf, salt};
use crate::message::{
    Ack, AfterExit, Code, Cumulative, Data, DataInvoice, Draft, Envelope, Exit, ExitLeg, Invoice,
    Menu, Reason,
};
use crate::record::{Act, EVIDENCE_MAX, End, Leaves, Owed, Record, SignedMessage};
use crate::session::tabs::Tabs;
use crate::session::windows::{Window, Windows};
use crate::session::{Fault, Output, Outputs, Progress, unexpected};
use crate::terms::{Agreed, Currency, Method, Purpose, Role, Terms};
use sdpp_ledger::{Amount, Call, Key, Transfer};

/// What a buyer brings to its session, beside what was agreed.
pub(super) struct Brings {
    pub(super) key: Key,
    /// The menu that it ordered from.
    pub(super) offered: Menu,
    /// The most that it wants the session to cost.
    pub(super) ceiling: Option<Amount>,
    /// The most leaves that it holds until a window is invoiced.
    pub(super) granularity_max: u32,
    /// When it pays together what may be.
    pub(super) gather: Gather,
    /// How it turns to another currency.
    pub(super) turning: Turning,
}

/// A session's items and money, as the buyer has them.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) key: Key,
    /// The menu that we ordered from.
    pub(super) offered: Menu,
    /// The most leaves that we hold until a window is invoiced.
    pub(super) granularity_max: u32,
    pub(super) terms: Terms,
    pub(super) keys: Keys,
    pub(super) windows: Windows,
    /// What each leg costs.
    pub(super) tabs: Tabs<Tab>,
    /// When we pay together what may be paid together.
    pub(super) gather: Gather,
    /// How we turn to another currency.
    pub(super) turning: Turning,
    /// The items of the open window as the seller signed them, while they are few enough to be
    /// kept: against an invoice that says otherwise.
    pub(super) items: Vec<SignedMessage>,
    /// Up to where an ack was sent.
    pub(super) acked_seq: u64,
    /// The last item that had left when the line broke last: up to there all may come in `data`.
    pub(super) again_to: u64,
    /// The last window whose invoice was passed over: its items were lost.
    pub(super) passed_over: u64,
    /// Since when we hold back what would give the seller more credit than the channel has.
    pub(super) short_since_ms: Option<u64>,
    /// We have said `exit`: what we send gives no more credit.
    pub(super) leaving: bool,
    /// The keys that are on are the session's: those of a session that was read back are not, before
    /// it goes on.
    pub(super) may_seal: bool,
    pub(super) amends: Amends,
}

impl Stream {
    pub(super) fn new(
        Brings { key, offered, ceiling, granularity_max, gather, turning }: Brings,
        terms: Terms,
        keys: Keys,
        purse: Option<Purse>,
    ) -> Stream {
        let (windows, amends) = (Windows::new(terms.session), Amends::new(&terms));
        let ceiling = ceiling.unwrap_or(Amount::new(u128::MAX));
        let leg = amends.agreement.agreed().last_leg();
        let policy = gather.policy(&offered, &leg.currency);
        let tabs = Tabs::new(Tab::new(leg, purse, ceiling, policy));
        Stream {
            key,
            offered,
            granularity_max,
            terms,
            keys,
            windows,
            tabs,
            gather,
            turning,
            items: Vec::new(),
            acked_seq: 0,
            again_to: 0,
            passed_over: 0,
            short_since_ms: None,
            leaving: false,
            may_seal: true,
            amends,
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let (places, agreed) = (self.windows.items(), self.agreed());
        Progress {
            items: agreed.given(places),
            void: places - agreed.given(places),
            windows: self.windows.closed().saturating_sub(agreed.void_windows()),
            owed: self.last_tab().invoiced,
            paid: self.last_tab().paid,
            legs: self.tabs.count(),
        }
    }

    /// What the seller may count on as paid of a leg: what it can have heard of when it has heard all
    /// that we sent before our exit.
    fn credited(&self, place: usize) -> Amount {
        let tab = self.tabs.at(place);
        let vouched = match &tab.purse {
            // What was vouched for items that are void since is in the seller's hand all the same.
            Some(purse) if self.terms.signed_items => {
                let owed = self.agreed().owed_in(place, tab.vouched_seq).unwrap_or_default();
                owed.max(purse.worth())
            }
            _ => Amount::ZERO,
        };
        tab.farewell.unwrap_or_else(|| tab.paid.max(vouched))
    }

    /// Takes an item, or an item with its window's invoice.
    pub(super) fn hear(
        &mut self,
        envelope: &Envelope<'_>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        self.can_be_shown(envelope)?;
        match envelope.kind() {
            MessageKind::Data => self.hear_data(envelope, out),
            MessageKind::DataInvoice => self.hear_invoice(envelope, now_ms, out),
            MessageKind::Amend => self.hear_amend(envelope, now_ms, out),
            kind => Err(unexpected(&kind.to_string(), Some(self.terms.session))),
        }
    }

    /// Says that items arrived, if some did since it was last said. Where the channel is short, the
    /// voucher for them follows with another ack once it is not.
    pub(super) fn ack(&mut self, out: &mut Outputs) -> Result<(), Fault> {
        let Cumulative { seq, digest } = self.cumulative();
        let place = self.agreed().leg_place(seq);
        let tab = self.tabs.at(place);
        let pays = tab.purse.is_some() && self.terms.signed_items && !self.is_short(place);
        // What was acknowledged before a kill may be ahead of what we have of it.
        let is_paid = !pays || tab.vouched_seq >= seq;
        if self.acked_seq >= seq && is_paid {
            return Ok(());
        }
        self.acked_seq = seq;
        let voucher = if pays { Some(self.voucher(seq, out)?) } else { None };
        let tab = self.tabs.at_mut(place);
        tab.vouched_seq = if pays { seq } else { tab.vouched_seq };
        let draft = Draft::new(self.terms.session, &Ack { seq, digest, voucher });
        if self.terms.signed_items {
            out.leave(draft.sign(&self.key, "").1);
        } else {
            out.leave(draft.tag(self.keys.from(Role::Buyer).mac()));
        }
        Ok(())
    }

    /// Says `exit`.
    pub(super) fn say_exit(&mut self, reason: Reason, out: &mut Outputs) {
        self.take_leave();
        let keeps = self.purses().any(Purse::keeps);
        let exit = Exit {
            channel: keeps.then_some(AfterExit::Keep),
            reason,
            items: self.windows.items(),
            amount_total: self.last_tab().invoiced,
            paid_total: self.last_tab().paid,
            anchored: Vec::new(),
            legs: self.legs_before(),
            bonded: false,
        };
        let (message, frame) = Draft::new(self.terms.session, &exit).sign(&self.key, "");
        out.record(Record::Exit { by: Role::Buyer, message, owed: None });
        out.send(frame);
    }

    /// What we send from here on gives no more credit.
    pub(super) fn take_leave(&mut self) {
        for place in 0..self.tabs.count() {
            let credited = self.credited(place);
            self.tabs.at_mut(place).farewell.get_or_insert(credited);
        }
        self.leaving = true;
    }

    /// Takes the seller's exit, our final receipt, and says how the session ended.
    pub(super) fn hear_exit(
        &self,
        envelope: &Envelope<'_>,
        out: &mut Outputs,
    ) -> Result<(End, Reason), Fault> {
        let exit = envelope.signed_by::<Exit>(&self.terms.seller, self.terms.session)?;
        let (end, reason) = (end_of(&exit.body), exit.body.reason);
        let Exit { items, amount_total, paid_total, legs, bonded, .. } = exit.body;
        if bonded != self.terms.bond.is_some() {
            let why = "the seller's exit is a receipt for a bond's contract where there is a bond, and there \
                       alone";
            return Err(Fault::theirs(Code::Malformed, why));
        }
        let ours = (self.windows.items(), self.last_tab().invoiced);
        let costs = |legs: &[ExitLeg]| {
            legs.iter().map(|leg| (leg.from_seq, leg.amount_total)).collect::<Vec<_>>()
        };
        if costs(&legs) != costs(&self.legs_before())
            || legs.iter().any(|leg| leg.paid_total > leg.amount_total)
        {
            let why = "the seller's exit names other legs than we have, or what they do not cost";
            return Err(Fault::theirs(Code::BadInvoice, why).shown_by(exit.message));
        }
        if (items, amount_total) != ours || paid_total > amount_total {
            let why = format!(
                "the seller's exit names {items} items for {amount_total}, we have {} for {}",
                ours.0, ours.1
            );
            return Err(Fault::theirs(Code::BadInvoice, why).shown_by(exit.message));
        }
        if let Some(message) = exit.message {
            out.record(Record::Exit { by: Role::Seller, message, owed: None });
        }
        Ok((end, reason))
    }

    fn hear_data(&mut self, envelope: &Envelope<'_>, out: &mut Outputs) -> Result<(), Fault> {
        let (seller, session) = (&self.terms.seller, self.terms.session);
        let data = if self.terms.signed_items {
            envelope.signed_by::<Data>(seller, session)?
        } else {
            envelope.under_mac::<Data>(self.keys.from(Role::Seller).mac(), session)?
        };
        let Data { seq, body, leaf, path } = data.body;
        let brought = Brought { seq, body: &body, leaf, path: path.as_ref(), invoice: None };
        self.is_due(seq)
            .and_then(|()| self.take_item(brought, out))
            .and_then(|()| self.still_open(seq))
            .map_err(|fault| fault.shown_by(envelope.whole(&data.message)))?;
        self.keep_item(data.message);
        Ok(())
    }

    /// Keeps an item as it was signed, by its digest alone: what it is stands in its leaf.
    fn keep_item(&mut self, message: Option<SignedMessage>) {
        let pace = self.agreed().pace(self.windows.items());
        if u64::from(pace.granularity) <= EVIDENCE_MAX as u64 {
            self.items.extend(message.map(|message| SignedMessage { data: None, ..message }));
        }
    }

    /// An item may come now: it is the next, nothing was closed for good before it, and the
    /// seller has credit for it.
    fn is_due(&self, seq: u64) -> Result<(), Fault> {
        if seq != self.windows.items() + 1 || self.agreed().is_last(self.windows.items()) {
            let why = format!("item {seq}: it is not the next one that was ordered");
            return Err(Fault::theirs(Code::BadItem, why));
        }
        if self.windows.ended_short(self.agreed()) {
            let why = format!("item {seq} follows an invoice for less than a window");
            return Err(Fault::theirs(Code::BadInvoice, why));
        }
        let credit = self.agreed().pace(seq).credit_items();
        // What an earlier leg owes is paid beside it, and gives no credit here.
        let place = self.agreed().leg_place(seq);
        let due = self.agreed().owed_in(place, self.agreed().before(seq, credit));
        if due.is_none_or(|due| due > self.credited(place)) {
            let why = format!("item {seq}: more than {credit} items are not paid");
            return Err(Fault::theirs(Code::BadItem, why));
        }
        Ok(())
    }

    /// A full window must come with its invoice.
    fn still_open(&self, seq: u64) -> Result<(), Fault> {
        if seq > self.again_to && self.agreed().window_end(seq) == seq {
            let why = format!("item {seq} ends its window and brings no invoice");
            return Err(Fault::theirs(Code::BadInvoice, why));
        }
        Ok(())
    }

    fn take_item(&mut self, brought: Brought<'_>, out: &mut Outputs) -> Result<(), Fault> {
        let Brought { seq, body, leaf: said, invoice, .. } = brought;
        let kind = invoice.map_or(MessageKind::Data, |_| MessageKind::DataInvoice);
        let bad = |why: &str| Fault::theirs(Code::BadItem, format!("item {seq}: {why}"));
        let item = self
            .keys
            .from(Role::Seller)
            .open(kind, seq, &body.0)
            .map_err(|error| bad(&error.to_string()))?;
        let salt = salt(self.keys.salt_secret(), seq);
        if leaf(&self.terms.session, seq, &salt, &item) != said {
            return Err(bad("its leaf is not the digest of what was sealed"));
        }
        self.is_promised(&brought, &item, out)?;
        self.windows.push(said);
        out.extend(self.paying_from(seq));
        out.push(Output::Deliver { seq, item });
        Ok(())
    }

    /// What is paid in from an item on, where it is the first that a further leg gives.
    fn paying_from(&self, seq: u64) -> Option<Output> {
        let leg = self.agreed().leg(seq);
        let is_first = leg.from_seq > self.agreed().before(seq, 1).max(1);
        is_first.then(|| Output::Paying(paying(&leg.currency)))
    }

    fn hear_invoice(
        &mut self,
        envelope: &Envelope<'_>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let (seller, session) = (&self.terms.seller, self.terms.session);
        let verified = envelope.signed_by::<DataInvoice>(seller, session)?;
        let (invoice, message) = (verified.body, verified.message);
        if self.passes_over(&invoice) {
            return self.pass_over(&invoice, message, out);
        }
        let brings_item = invoice.body.is_some() && !self.came_again(&invoice);
        let due = if brings_item { self.is_due(invoice.seq) } else { Ok(()) };
        let evidence = message.clone();
        due.and_then(|()| self.take_invoice(invoice, message, now_ms, out))
            .map_err(|fault| fault.shown_first_by(envelope.whole(&evidence)))
    }

    fn take_invoice(
        &mut self,
        DataInvoice { seq, body, leaf, path, invoice, .. }: DataInvoice,
        message: Option<SignedMessage>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let bad = |why: String| Fault::theirs(Code::BadInvoice, why);
        match (body, leaf) {
            (Some(_), Some(leaf)) if seq == self.windows.items() && seq <= self.again_to => {
                if self.windows.last_leaf() != Some(&leaf) {
                    return Err(bad(format!("invoice {}: another item came", invoice.number)));
                }
            }
            (Some(body), Some(leaf)) => {
                let (path, invoice) = (path.as_ref(), Some(&invoice));
                self.take_item(Brought { seq, body: &body, leaf, path, invoice }, out)?;
            }
            (None, None) => {}
            _ => {
                return Err(bad("an invoice brings an item and its leaf, or neither".to_owned()));
            }
        }
        if self.windows.open_items() == 0 {
            return Err(bad(format!("invoice {} is for no items", invoice.number)));
        }
        let window = self.windows.close();
        let items = std::mem::take(&mut self.items);
        self.check_invoice(seq, &invoice, &window).map_err(|why| {
            let is_of_others = (invoice.digest, invoice.root) != (window.digest, window.root);
            bad(why).shown_by(items.into_iter().filter(|_| is_of_others))
        })?;
        let place = self.agreed().leg_place(window.to_seq);
        self.within_ceiling(place, invoice.amount_total)?;
        let message = message.ok_or_else(|| Fault::ours("an invoice without its signature"))?;
        let Window { from_seq, to_seq, digest, leaves, .. } = window;
        let (leaves, owed) = (Leaves::of(leaves), self.owed_at_once(place, &invoice));
        out.record(Record::Invoice { message, from_seq, to_seq, digest, leaves, owed });
        let Invoice { number, amount, amount_total, due_at, .. } = invoice;
        let is_held = self.tabs.at(place).gathered.holds();
        let bill = Bill { number, from_seq, amount, amount_total, due_ms: due_at.0, is_held };
        self.bill(place, &bill, now_ms);
        Ok(())
    }

    /// The last look before money is owed, whatever led here. Our ceiling is nobody's business but
    /// ours, so passing it is no misconduct.
    pub(super) fn within_ceiling(&self, place: usize, owed: Amount) -> Result<(), Fault> {
        let tab = self.tabs.at(place);
        if owed <= tab.limit() {
            return Ok(());
        }
        let Currency { name, decimals, .. } = &tab.currency;
        let [owed, limit] = [owed, tab.limit()].map(|amount| amount.to_decimal(*decimals));
        let why = format!("{owed} {name} are asked in all, our ceiling is {limit}");
        Err(Fault { code: Code::BadInvoice, ..Fault::ours(why) })
    }

    /// Everything that an invoice says must be what the terms and the items say.
    fn check_invoice(&self, seq: u64, invoice: &Invoice, window: &Window) -> Result<(), String> {
        let number = window.number;
        let differs = |what: &str| Err(format!("invoice {number}: {what} is not what was agreed"));
        let place = self.agreed().leg_place(window.to_seq);
        let (due, tab) = (self.agreed().owed_in(place, window.to_seq), self.tabs.at(place));
        if (invoice.number, invoice.from, invoice.to) != (number, window.from_seq, window.to_seq)
            || seq != window.to_seq
        {
            return differs("its number or range");
        }
        if (invoice.digest, invoice.root) != (window.digest, window.root) {
            return differs("its digest or root");
        }
        if Some(invoice.amount_total) != due
            || invoice.amount_total.checked_sub(tab.invoiced) != Some(invoice.amount)
        {
            return differs("its amount");
        }
        let currency = &tab.currency;
        if invoice.currency != currency.name || invoice.payment_address != currency.payee {
            return differs("its currency or payee");
        }
        if invoice.reference != self.terms.session.reference(Purpose::Payment, number) {
            return differs("its reference");
        }
        let agreement = &self.amends.agreement;
        if invoice.pace != agreement.invoice_pace(window.from_seq) {
            return differs("its pace");
        }
        // Sellers of an earlier version say nothing of the rate.
        let rate = agreement.invoice_rate(&self.offered, window.from_seq);
        if invoice.rate.is_some() && invoice.rate != rate {
            return differs("its rate");
        }
        Ok(())
    }

    /// The transfer that an invoice asks for, unless it may wait for others.
    fn owed_at_once(&self, place: usize, invoice: &Invoice) -> Option<Owed> {
        let tab = self.tabs.at(place);
        let is_free = invoice.amount == Amount::ZERO;
        if tab.currency.method == Method::Escrow || is_free || tab.gathered.holds() {
            return None;
        }
        Some(self.transfer(place, invoice.number, invoice.amount))
    }

    /// Owing a leg's ledger the payment of a window, or of several that end with it.
    pub(super) fn transfer(&self, place: usize, number: u64, amount: Amount) -> Owed {
        let transfer = self.asked_for(place, number, amount);
        Owed {
            reference: transfer.reference,
            purpose: Purpose::Payment,
            ledger: self.tabs.at(place).currency.ledger.clone(),
            act: Act::Do(Call::Transfer(transfer)),
            held: false,
        }
    }

    /// That payment itself.
    pub(super) fn asked_for(&self, place: usize, number: u64, amount: Amount) -> Transfer {
        let reference = self.terms.session.reference(Purpose::Payment, number);
        let Currency { payee: to, asset, .. } = self.tabs.at(place).currency.clone();
        Transfer { to, asset, amount, reference }
    }

    /// The terms, and what both have signed since.
    pub(super) fn agreed(&self) -> &Agreed {
        self.amends.agreement.agreed()
    }

    /// The first item of the next window that has not begun.
    pub(super) fn next_from(&self) -> u64 {
        self.agreed().next_from(self.windows.items())
    }

    /// What the leg costs that the last item stands in.
    fn last_tab(&self) -> &Tab {
        self.tabs.at(self.agreed().leg_place(self.windows.items()))
    }

    /// What the legs before that one came to.
    fn legs_before(&self) -> Vec<ExitLeg> {
        let of = |tab: &Tab| ExitLeg {
            from_seq: tab.from_seq,
            amount_total: tab.invoiced,
            paid_total: tab.paid,
        };
        self.tabs.all().take(self.agreed().leg_place(self.windows.items())).map(of).collect()
    }

    pub(super) fn cumulative(&self) -> Cumulative {
        Cumulative { seq: self.windows.items(), digest: self.windows.digest() }
    }
}
