//! What the signed messages say, read under the terms: each invoice, payment, ack and exit as far
//! as its words were kept, and what stands in the frame under the signature where they were not.

use super::case::{Case, Signed};
use super::price::Price;
use super::verdict::{Misdeed, Offence, Paper};
use crate::crypto::layout::MessageKind;
use crate::message::Ack;
use crate::message::{
    Body, Data, DataInvoice, Exit, ExitLeg, Invoice, PaymentAck, Voucher, reread,
};
use crate::terms::{InEscrow, Method, Purpose, Role};
use sdpp_ledger::{Amount, ChannelId, Digest, TxId};
use std::collections::BTreeMap;

/// The most messages with one number that are held against each other one by one: an honest side
/// signs one, or as many payments as it raises fees. Whoever signs more is convicted by the first
/// two, and takes nobody's time with the rest.
pub(super) const SAME_MAX: usize = 16;

/// All of them.
pub(super) struct Papers<'a> {
    pub(super) price: Price,
    /// By number; more than one where the seller signed more than one.
    pub(super) invoices: BTreeMap<u64, Vec<InvoicePaper<'a>>>,
    pub(super) payments: BTreeMap<u64, Vec<PaymentPaper<'a>>>,
    /// The buyer's words for items, in acks and payments, by seq.
    pub(super) acks: BTreeMap<u64, Vec<AckPaper>>,
    /// Exits: the seller's and the buyer's.
    pub(super) exits: Vec<ExitPaper<'a>>,
    /// The leaves that the seller signed, by seq.
    pub(super) leaves: BTreeMap<u64, Vec<(Digest, Paper)>>,
    /// The vouchers in the buyer's messages of this session.
    pub(super) vouchers: Vec<VoucherPaper>,
    /// What the buyer's messages that are there without their words may have vouched, by the place of
    /// the leg.
    pub(super) may_be_vouched: BTreeMap<usize, Amount>,
    /// How many messages are there without their words.
    pub(super) wordless: usize,
    pub(super) misdeeds: Vec<Misdeed>,
}

/// An invoice.
pub(super) struct InvoicePaper<'a> {
    pub(super) signed: &'a Signed<'a>,
    /// Its first seq, where it can be told.
    pub(super) from: Option<u64>,
    /// Its last seq, likewise.
    pub(super) to: Option<u64>,
    /// It says no other pace than the menu's.
    pub(super) is_menus: bool,
    /// The place of the leg that it is counted in; `None` where it speaks of a change that is not in
    /// evidence, and the seller, who would have it, was not heard.
    pub(super) leg: Option<usize>,
    /// What was paid so far, by the seller's word.
    pub(super) receipt: Option<Amount>,
    /// The running digest at its end.
    pub(super) digest: Option<Digest>,
    /// Why it is not what was agreed, where it is not.
    pub(super) wrong: Option<String>,
}

impl InvoicePaper<'_> {
    /// Whether it is what was agreed.
    pub(super) fn is_sound(&self) -> bool {
        self.wrong.is_none() && self.leg.is_some()
    }

    /// What it asks in all.
    pub(super) fn total(&self) -> Amount {
        self.signed.message.amount_total
    }
}

/// A payment.
pub(super) struct PaymentPaper<'a> {
    pub(super) signed: &'a Signed<'a>,
    /// The first window that it pays, where its words were kept; its number is the last.
    pub(super) from: Option<u64>,
    /// The transaction that it names.
    pub(super) tx: Option<TxId>,
}

impl PaymentPaper<'_> {
    /// What it says was paid in all.
    pub(super) fn total(&self) -> Amount {
        self.signed.message.amount_total
    }
}

/// A voucher in a message of this session.
pub(super) struct VoucherPaper {
    pub(super) voucher: Voucher,
    /// The channel of the leg that it came in.
    pub(super) channel: ChannelId,
    /// The seller's bundle has it.
    pub(super) is_sellers: bool,
    pub(super) paper: Paper,
}

/// The buyer's word that items arrived.
pub(super) struct AckPaper {
    /// The running digest, where it was kept.
    pub(super) digest: Option<Digest>,
    /// It is of items that were ordered.
    pub(super) is_ordered: bool,
    pub(super) paper: Paper,
}

/// An exit.
pub(super) struct ExitPaper<'a> {
    pub(super) signed: &'a Signed<'a>,
    pub(super) words: Option<Exit>,
}

impl<'a> Papers<'a> {
    /// Reads all that was signed.
    pub(super) fn read(case: &'a Case<'a>) -> Papers<'a> {
        let (price, misdeeds) = Price::of(case);
        let mut papers = Papers {
            price,
            invoices: BTreeMap::new(),
            payments: BTreeMap::new(),
            acks: BTreeMap::new(),
            exits: Vec::new(),
            leaves: BTreeMap::new(),
            vouchers: Vec::new(),
            may_be_vouched: BTreeMap::new(),
            wordless: 0,
            misdeeds,
        };
        for one in &case.signed {
            match one.message.kind {
                MessageKind::DataInvoice => papers.invoice(case, one),
                MessageKind::PaymentAck => papers.payment(case, one),
                MessageKind::Ack => papers.ack(case, one),
                MessageKind::Exit => papers.exit(one),
                MessageKind::Data => papers.item(one),
                _ => {}
            }
        }
        // What the buyer took comes first: no flood of others with its number hides it.
        let is_others = |invoice: &InvoicePaper<'_>| !invoice.signed.held.has(Role::Buyer);
        papers.invoices.values_mut().for_each(|same| same.sort_by_key(is_others));
        papers
    }

    /// All invoices that are what was agreed, by number.
    pub(super) fn sound_invoices(&self) -> impl DoubleEndedIterator<Item = &InvoicePaper<'a>> {
        self.invoices.values().flatten().filter(|invoice| invoice.is_sound())
    }

    /// What to say of invoices that are counted in no leg.
    pub(super) fn of_unknown_legs(&self) -> impl Iterator<Item = String> {
        let unknown = |one: &&InvoicePaper<'_>| one.leg.is_none() && one.wrong.is_none();
        self.invoices.values().flatten().filter(unknown).map(|one| {
            let number = one.signed.message.number;
            format!(
                "invoice {number} speaks of a change that is not in this evidence: it counts for \
                 nothing here, and proves nothing against the seller"
            )
        })
    }

    /// The receipts that the seller signed for a leg, in their order.
    pub(super) fn receipts(&self, leg: usize) -> Vec<(Amount, &Signed<'a>)> {
        let of_leg = |one: &&InvoicePaper<'a>| one.leg == Some(leg);
        let invoices = self.invoices.values().flatten().filter(of_leg);
        let invoices = invoices.filter_map(|one| Some((one.receipt?, one.signed)));
        let exits = self.exits_of(Role::Seller);
        let exits = exits.filter_map(|one| Some((self.exit_leg(one, leg)?.paid_total, one.signed)));
        invoices.chain(exits).collect()
    }

    /// What an exit says that a leg came to.
    pub(super) fn exit_leg(&self, exit: &ExitPaper<'_>, leg: usize) -> Option<ExitLeg> {
        let words = exit.words.as_ref().filter(|words| self.knows_legs(words))?;
        let from_seq = self.price.legs().nth(leg)?.from_seq;
        let Exit { items, amount_total, paid_total, .. } = *words;
        match self.price.leg_place(items) == leg {
            true => Some(ExitLeg { from_seq, amount_total, paid_total }),
            false => words.leg(from_seq).copied(),
        }
    }

    /// Whether the legs that an exit names are those in evidence. It says how many it stands behind.
    pub(super) fn knows_legs(&self, exit: &Exit) -> bool {
        let earlier = self.price.leg_place(exit.items);
        let known = self.price.legs().take(earlier).map(|leg| leg.from_seq);
        self.price.is_exact() || known.eq(exit.legs.iter().map(|leg| leg.from_seq))
    }

    pub(super) fn exits_of(&self, by: Role) -> impl Iterator<Item = &ExitPaper<'a>> {
        self.exits.iter().filter(move |exit| exit.signed.paper.signed_by == by)
    }

    /// The words of a message, where they were kept and are those that were signed.
    fn words<T: Body>(&mut self, one: &Signed<'_>) -> Option<T> {
        if one.message.data.is_none() {
            self.wordless += 1;
            return None;
        }
        reread(one.message).map_err(|error| self.blame(one, Offence::Malformed, error)).ok()
    }

    fn blame(&mut self, one: &Signed<'_>, what: Offence, why: impl ToString) {
        let (by, why, proven_by) = (one.paper.signed_by, why.to_string(), vec![one.paper.clone()]);
        self.misdeeds.push(Misdeed { by, what, why, proven_by });
    }

    fn invoice(&mut self, case: &Case<'_>, one: &'a Signed<'a>) {
        let message = one.message;
        let (number, total) = (message.number, message.amount_total);
        let words: Option<DataInvoice> = self.words(one);
        let leaf = words.as_ref().and_then(|words| Some((words.seq, words.leaf?)));
        if let Some((seq, leaf)) = leaf {
            self.leaves.entry(seq).or_default().push((leaf, one.paper.clone()));
        }
        if self.is_withdrawn(number, words.as_ref()) {
            return;
        }
        let mut invoice = match &words {
            Some(DataInvoice { invoice, .. }) => InvoicePaper {
                signed: one,
                from: Some(invoice.from),
                to: Some(invoice.to),
                is_menus: invoice.pace.is_none(),
                leg: Some(self.price.leg_place(invoice.to)),
                receipt: Some(invoice.paid_total),
                digest: Some(invoice.digest),
                wrong: None,
            },
            // Its range follows from its total, and must.
            None => InvoicePaper {
                signed: one,
                from: self.price.window(number).map(|(first, _)| first),
                to: self.price.end_of(number, total),
                is_menus: self.price.is_exact(),
                leg: self.price.window(number).map(|(first, _)| self.price.leg_place(first)),
                receipt: None,
                digest: None,
                wrong: None,
            },
        };
        let other = words.as_ref().and_then(|words| self.other_change(words));
        invoice.wrong = match (&words, other) {
            (_, Some(why)) if self.price.is_exact() => Some(why),
            // Whoever brings it may have left out the change that it speaks of.
            (_, Some(_)) => {
                invoice.leg = None;
                None
            }
            (Some(words), None) => self.is_wrong(case, words),
            (None, None) => self.is_wrong_total(number, total),
        };
        if words.is_none() && !self.price.is_exact() && invoice.wrong.take().is_some() {
            invoice.leg = None;
        }
        self.invoices.entry(number).or_default().push(invoice);
    }

    /// Whether an invoice is of what both have signed to be void: it was signed before, as a rule, and counts
    /// for nothing.
    fn is_withdrawn(&self, number: u64, words: Option<&DataInvoice>) -> bool {
        let window = self.price.window(number);
        let is_void = window.is_some_and(|(first, _)| self.price.is_void(first));
        let items = words.map(|words| [words.invoice.from, words.invoice.to]);
        is_void && items.is_none_or(|items| items.iter().all(|seq| self.price.is_void(*seq)))
    }

    /// What an invoice says of its currency, its rate or its pace that no change in evidence says.
    fn other_change(&self, words: &DataInvoice) -> Option<String> {
        let invoice = &words.invoice;
        let currency = &self.price.leg(invoice.to).currency;
        if invoice.currency != currency.name || invoice.payment_address != currency.payee {
            let why = "asks for another currency, or to pay another, than was agreed";
            return Some(why.to_owned());
        }
        if self.price.may_follow(invoice.to) {
            return Some("is for items that were not ordered".to_owned());
        }
        let other = self.price.other_rate(invoice).or_else(|| self.price.other_pace(invoice));
        let is_changed = self.price.leg_place(invoice.to) > 0 || invoice.pace.is_some();
        let follows = || "follows on a change that is not in evidence".to_owned();
        other.or_else(|| (is_changed && self.price.has_gap()).then(follows))
    }

    /// Why an invoice is not what was agreed.
    fn is_wrong(&self, case: &Case<'_>, words: &DataInvoice) -> Option<String> {
        let Invoice { number, from, to, amount, amount_total, .. } = words.invoice;
        let invoice = &words.invoice;
        let wrong = |why: String| Some(why);
        // Behind a pace that was left out windows are others.
        let is_placed = self.price.is_exact() || invoice.pace.is_none();
        match self.price.window(number).filter(|_| is_placed) {
            None if is_placed => return wrong("is for a window that was not ordered".to_owned()),
            Some((first, last)) if from != first || to < first || to > last || words.seq != to => {
                return wrong(format!(
                    "is for items {from} to {to}, its window is at most {first} to {last}"
                ));
            }
            _ => {}
        }
        let owed = self.price.owed(to);
        if !self.may_ask(to, amount_total) {
            let cost = owed.map_or("more than 128 bits can hold".to_owned(), |o| o.to_string());
            return wrong(format!("asks for {amount_total} in all, {to} items cost {cost}"));
        }
        let before = self.price.owed_before(from);
        let rest = before.and_then(|before| amount_total.checked_sub(before));
        if owed == Some(amount_total) && rest != Some(amount) {
            return wrong(format!("asks for {amount}, and for {amount_total} in all"));
        }
        if invoice.reference != case.terms.session.reference(Purpose::Payment, number) {
            return wrong("has another reference than was agreed".to_owned());
        }
        if invoice.paid_total > amount_total {
            let said = invoice.paid_total;
            return wrong(format!("is a receipt for {said}, more than it asks for in all"));
        }
        None
    }

    /// Whether the seller may ask so much in all for so many items: what they cost. A bundle of the
    /// buyer's alone could leave out a credit note, or that the buyer refused it.
    pub(super) fn may_ask(&self, items: u64, total: Amount) -> bool {
        if self.price.is_exact() {
            return self.price.owed(items) == Some(total);
        }
        self.price.gross(items).is_some_and(|gross| total <= gross)
    }

    /// Whether a total is what the items cost in the leg in evidence, with the credits or without. A
    /// leg that was left out begins from nothing, and names less.
    pub(super) fn is_priced(&self, items: u64, total: Amount) -> bool {
        [self.price.owed(items), self.price.gross(items)].contains(&Some(total))
    }

    /// Whether an invoice or an exit is of a leg in evidence for sure.
    pub(super) fn is_of_known_leg(&self, signed: &Signed<'_>) -> bool {
        let (paper, total) = (&signed.paper, signed.message.amount_total);
        let invoices = self.invoices.get(&paper.number).into_iter().flatten();
        let invoice = invoices.filter(|one| one.signed.paper == *paper).find_map(|one| one.to);
        let exits = self.exits.iter().filter(|one| one.signed.paper == *paper);
        let exit = exits.filter_map(|one| one.words.as_ref()).map(|words| words.items).next();
        invoice.or(exit).is_some_and(|items| self.is_priced(items, total))
    }

    /// The same of an invoice whose words were not kept: its range follows from its total.
    fn is_wrong_total(&self, number: u64, total: Amount) -> Option<String> {
        let Some((_, last)) = self.price.window(number) else {
            return Some("is for a window that was not ordered".to_owned());
        };
        let is_price = self.price.end_of(number, total).is_some();
        let is_wrong = !is_price && (self.price.is_exact() || !self.may_ask(last, total));
        is_wrong.then(|| format!("asks for {total} in all, which no items of its window cost"))
    }

    fn payment(&mut self, case: &Case<'_>, one: &'a Signed<'a>) {
        let message = one.message;
        let words: Option<PaymentAck> = self.words(one);
        let seq = match &words {
            Some(words) => Some(words.ack.seq),
            None => self.price.end_of(message.number, message.amount_total),
        };
        let digest = words.as_ref().map(|words| words.ack.digest);
        let from = words.as_ref().map(PaymentAck::first);
        if let Some(seq) = seq {
            self.acknowledge(one, seq, digest);
        }
        if let Some(seq) = seq {
            self.voucher(case, one, seq, words.and_then(|words| words.voucher));
        }
        let first = self.price.window(message.number).map_or(0, |(first, _)| first);
        let is_transfer = self.price.leg(first).currency.method == Method::Transfer;
        let tx = message.verification.parse().ok().filter(|_| is_transfer);
        let payment = PaymentPaper { signed: one, from, tx };
        self.payments.entry(message.number).or_default().push(payment);
    }

    /// Whether these windows stand in one leg.
    pub(super) fn is_one_leg(&self, from: u64, number: u64) -> bool {
        let leg = |number| self.price.window(number).map(|(first, _)| self.price.leg_place(first));
        leg(from).is_some() && leg(from) == leg(number)
    }

    /// Whether the buyer says of a window that it is paid.
    pub(super) fn is_answered(&self, window: u64) -> bool {
        let later = self.payments.range(window..).flat_map(|(_, payments)| payments);
        let mut from = later.map(|one| one.from.unwrap_or(one.signed.message.number));
        from.any(|from| from <= window)
    }

    fn ack(&mut self, case: &Case<'_>, one: &'a Signed<'a>) {
        let words: Option<Ack> = self.words(one);
        self.acknowledge(one, one.message.number, Some(one.message.commitment));
        self.voucher(case, one, one.message.number, words.and_then(|words| words.voucher));
    }

    /// The voucher of a message that acknowledges items: for what they cost, and no more. A larger
    /// one is none of this session's, whoever shows it.
    fn voucher(&mut self, case: &Case<'_>, one: &Signed<'_>, seq: u64, voucher: Option<Voucher>) {
        let Some(InEscrow { channel, base }) = self.price.leg(seq).escrow else { return };
        if one.message.data.is_none() {
            let owed = self.price.owed(seq).unwrap_or_default();
            let most = self.may_be_vouched.entry(self.price.leg_place(seq)).or_default();
            *most = owed.max(*most);
        }
        let Some(voucher) = voucher else { return };
        let worth = voucher.cumulative_amount.saturating_sub(base);
        match self.price.vouchable(seq) {
            // A seller that is heard alone may have left out the leg that it is of.
            Some(most) if worth > most && case.hears(Role::Buyer) => {
                let why = format!("vouched {worth} for {seq} items that cost {most}");
                self.blame(one, Offence::WrongPayment, why);
            }
            Some(most) if worth > most => {}
            _ => {
                let (is_sellers, paper) = (one.held.has(Role::Seller), one.paper.clone());
                self.vouchers.push(VoucherPaper { voucher, channel, is_sellers, paper });
            }
        }
    }

    fn acknowledge(&mut self, one: &Signed<'_>, seq: u64, digest: Option<Digest>) {
        let is_ordered = self.price.owed(seq).is_some();
        let ack = AckPaper { digest, is_ordered, paper: one.paper.clone() };
        self.acks.entry(seq).or_default().push(ack);
    }

    fn exit(&mut self, one: &'a Signed<'a>) {
        let words: Option<Exit> = self.words(one);
        self.exits.push(ExitPaper { signed: one, words });
    }

    fn item(&mut self, one: &Signed<'_>) {
        // The leaf stands in the frame; its words only prove that it is an item's.
        if one.message.data.is_some() && self.words::<Data>(one).is_none() {
            return;
        }
        let leaf = (one.message.commitment, one.paper.clone());
        self.leaves.entry(one.message.number).or_default().push(leaf);
    }
}

/// The invoice under whose root something stands: told the root, the item's place and how many
/// items there are.
pub(super) fn under<'p, 'a>(
    papers: &'p Papers<'a>,
    number: u64,
    seq: u64,
    stands: impl Fn(&Digest, u32, u32) -> bool,
) -> Option<&'p InvoicePaper<'a>> {
    papers.invoices.get(&number)?.iter().take(SAME_MAX).find(|invoice| {
        let before = invoice.from.and_then(|first| first.checked_sub(1));
        let in_window = |seq: u64| u32::try_from(seq.checked_sub(before?)?).ok();
        let index = in_window(seq).and_then(|nth| nth.checked_sub(1));
        match (index, invoice.to.and_then(in_window)) {
            (Some(index), Some(count)) => stands(&invoice.signed.message.commitment, index, count),
            _ => false,
        }
    })
}
