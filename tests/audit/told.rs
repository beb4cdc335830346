//! A session with credit notes, paces and legs as its two sides write it down: told message by message,
//! each signed by whoever says it, so that a story can have what it wants.

use crate::pair::{self, START_MS, key, ledger, tx_of};
use sdpp::crypto::{leaf, running_digest, salt};
use sdpp::journal::Entry;
use sdpp::message::{
    Ack, Agreement, Amend, Body, Change, Complaint, CreditNote, Cumulative, CurrencyOffer,
    DataInvoice, Draft, EscrowChoice, Exit, ExitLeg, Invoice, LegChange, LegReason, Menu, Moment,
    Order, PaceChange, PaceReason, PaymentAck, Quote, Quoted, Reason, Refused, Voucher, Word,
    terms,
};
use sdpp::record::{Act, End, Leaves, Owed, Record, SignedMessage};
use sdpp::terms::{Leg, Method, Pace, Purpose, Rate, Role, SessionId};
use sdpp_ledger::{
    Amount, Call, ChannelId, Claim, Digest, Evidence, LedgerId, Redeem, Reference, Transfer,
    keccak, merkle,
};
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a window's payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// It is final, or vouched.
    Final,
    /// By transfer it is on its way for ever.
    Pending,
    /// Nobody pays it.
    Never,
}

/// The ledger that `FAR` lives on.
pub fn elsewhere() -> LedgerId {
    "sdpp:elsewhere".parse().unwrap()
}

/// A session, and what both sides write of it.
pub struct Told {
    pub menu: Menu,
    pub session: SessionId,
    pub agreement: Agreement,
    pub s: Vec<Record>,
    pub b: Vec<Record>,
    digest: Digest,
    pub items: u64,
    windows: u64,
    pub amends: u64,
    /// The totals that were invoiced, that the buyer said were paid, and that are paid for good, by leg.
    pub invoiced: BTreeMap<usize, Amount>,
    pub said: BTreeMap<usize, Amount>,
    pub settled: BTreeMap<usize, Amount>,
    /// The last amount vouched on each channel.
    pub vouched: BTreeMap<ChannelId, Amount>,
    /// What no ledger ever finds.
    lost: BTreeSet<Reference>,
}

/// Three for seven, by the word of three sources.
pub fn quote() -> Quote {
    let said = |source: &str, numerator| Quoted {
        source: source.to_owned(),
        rate: Rate { numerator: Amount::new(numerator), denominator: Amount::new(7) },
        at: Moment(START_MS),
    };
    let sources = vec![said("high", 9), said("middle", 3), said("low", 1)];
    Quote { sources, at: Moment(START_MS), expires_at: Moment(START_MS + 60_000) }
}

/// `SDP`, which prices are in, and `FAR` on another ledger, at three units for seven.
pub fn offer(name: &str, method: Method) -> CurrencyOffer {
    let near = pair::menu().currency("SDP", method).unwrap().clone();
    let (rate, quote) = (quote().rate().unwrap(), Some(quote()));
    let (currency, symbol) = (name.to_owned(), name.to_owned());
    let payment_address = key(7).public().account();
    match name {
        "SDP" => near,
        _ => CurrencyOffer {
            currency,
            symbol,
            rate,
            quote,
            payment_address,
            ledger: elsewhere(),
            decimals: 9,
            ..near
        },
    }
}

impl Told {
    /// An order of `gas`, which costs 10 an item here, four to a window.
    pub fn order(name: &str, method: Method) -> Told {
        Told::ordered(name, method, |_| {})
    }

    /// Two windows of 40 in `SDP`, of which the second is never final; then two in `FAR`, which together
    /// come to 34.
    pub fn failed_over(method: Method) -> Told {
        let mut told = Told::order("SDP", Method::Transfer);
        told.window(Paid::Final).window(Paid::Pending);
        assert!(told.begin_leg("FAR", method, 10));
        told.window(Paid::Final).window(Paid::Final).end();
        told
    }

    /// One in `FAR` by transfer, from another menu.
    pub fn order_from(change: impl FnOnce(&mut Menu)) -> Told {
        Told::ordered("FAR", Method::Transfer, change)
    }

    fn ordered(name: &str, method: Method, change: impl FnOnce(&mut Menu)) -> Told {
        let offers = ["SDP", "FAR"].into_iter();
        let offers =
            offers.flat_map(|name| [Method::Transfer, Method::Escrow].map(|m| offer(name, m)));
        let mut menu =
            Menu { currencies_accepted: offers.collect(), records: None, ..pair::menu() };
        menu.prices.insert("gas".to_owned(), Amount::new(10));
        change(&mut menu);
        let (menu_signed, _) = Draft::new(SessionId::NONE, &menu).sign(&key(1), "");
        let channel = ChannelId([5; 32]);
        let by_escrow = method == Method::Escrow;
        let order = Order {
            version: "SDPP/1".to_owned(),
            encoding: "json".to_owned(),
            data_type: "gas".to_owned(),
            order_quantity: Some(100),
            price: None,
            currency_type: name.to_owned(),
            method,
            address: key(2).public().account(),
            public_key_signature: key(2).public(),
            public_key_encryption: key(4).public(),
            menu_digest: menu_signed.data_digest,
            nonce: keccak(&[b"nonce"]),
            escrow: by_escrow.then_some(EscrowChoice { channel, base: Amount::ZERO }),
            resumes: false,
            bond: None,
        };
        let (order_signed, _) = Draft::new(SessionId::NONE, &order).sign(&key(2), "");
        let terms = terms(&menu, &order, &order_signed.data_digest).unwrap();
        let session = terms.session;
        let record = |role, peer: u8| Record::Order {
            role,
            peer: key(peer).public(),
            menu: Box::new(menu_signed.clone()),
            order: Box::new(order_signed.clone()),
            owed: None,
        };
        let epoch = Record::Epoch {
            key: None,
            epoch: 0,
            salt_secret: sdpp::crypto::SaltSecret(Digest([9; 32])),
        };
        Told {
            menu,
            session,
            agreement: Agreement::new(&terms),
            s: vec![record(Role::Seller, 2), epoch.clone()],
            b: vec![record(Role::Buyer, 1), epoch],
            digest: session.0,
            items: 0,
            windows: 0,
            amends: 0,
            invoiced: BTreeMap::new(),
            said: BTreeMap::new(),
            settled: BTreeMap::new(),
            vouched: BTreeMap::new(),
            lost: BTreeSet::new(),
        }
    }

    fn sign<T: Body>(&self, by: u8, body: &T, verification: &str) -> SignedMessage {
        Draft::new(self.session, body).sign(&key(by), verification).0
    }

    fn both(&mut self, record: Record) {
        self.s.push(record.clone());
        self.b.push(record);
    }

    /// The leg that the last item stands in, and its place.
    fn leg(&self) -> (usize, Leg) {
        let agreed = self.agreement.agreed();
        (agreed.leg_place(self.items), agreed.leg(self.items).clone())
    }

    /// A whole window: its items, its invoice, and what becomes of its payment.
    pub fn window(&mut self, paid: Paid) -> &mut Self {
        self.window_with(paid, |_| {})
    }

    /// The same, with something else in the invoice.
    pub fn window_with(&mut self, paid: Paid, change: impl FnOnce(&mut Invoice)) -> &mut Self {
        let (from_seq, number) = (self.items + 1, self.windows + 1);
        let to_seq = self.agreement.agreed().window_end(from_seq);
        let secret = sdpp::crypto::SaltSecret(Digest([9; 32]));
        let leaf_of = |seq| leaf(&self.session, seq, &salt(&secret, seq), &pair::item(seq));
        let leaves: Vec<Digest> = (from_seq..=to_seq).map(leaf_of).collect();
        self.digest = leaves.iter().fold(self.digest, |before, leaf| running_digest(&before, leaf));
        (self.items, self.windows) = (to_seq, number);
        let (place, leg) = self.leg();
        let before = self.invoiced.get(&place).copied().unwrap_or_default();
        let amount_total = self.agreement.agreed().owed_for(to_seq).unwrap();
        let amount = amount_total.saturating_sub(before);
        let reference = self.session.reference(Purpose::Payment, number);
        let mut invoice = Invoice {
            number,
            from: from_seq,
            to: to_seq,
            amount,
            amount_total,
            paid_total: self.settled.get(&place).copied().unwrap_or_default(),
            currency: leg.currency.name.clone(),
            payment_address: leg.currency.payee.clone(),
            digest: self.digest,
            root: merkle::root(&leaves),
            reference,
            due_at: Moment(0),
            rate: self.agreement.invoice_rate(&self.menu, from_seq),
            pace: self.agreement.invoice_pace(from_seq),
        };
        change(&mut invoice);
        let body = DataInvoice {
            seq: to_seq,
            body: None,
            leaf: None,
            path: None,
            invoice,
            anchored: vec![],
        };
        let message = self.sign(1, &body, "");
        let ack = Ack { seq: to_seq, digest: self.digest, voucher: None };
        let ack = self.sign(2, &ack, "");
        self.both(Record::Ack { message: ack });
        self.invoiced.insert(place, amount_total);
        let by_transfer = leg.currency.method == Method::Transfer;
        let transfer = Transfer {
            to: leg.currency.payee.clone(),
            asset: leg.currency.asset.clone(),
            amount,
            reference,
        };
        let owed = |act| {
            let ledger = leg.currency.ledger.clone();
            Owed { reference, purpose: Purpose::Payment, ledger, act, held: false }
        };
        let pays = by_transfer && paid != Paid::Never && amount > Amount::ZERO;
        let digest = self.digest;
        let record = |owed| {
            let (message, leaves) = (message.clone(), Leaves::of(leaves.clone()));
            Record::Invoice { message, from_seq, to_seq, digest, leaves, owed }
        };
        let pay = pays.then(|| owed(Act::Do(Call::Transfer(transfer.clone()))));
        self.s.push(record(None));
        self.b.push(record(pay));
        if paid == Paid::Never || amount == Amount::ZERO {
            return self;
        }
        let voucher = leg.escrow.map(|on| {
            let amount = on.base.checked_add(amount_total).unwrap();
            self.vouched.insert(on.channel, amount);
            sdpp_ledger::Voucher { channel: on.channel, amount }
        });
        let signature = |voucher: &sdpp_ledger::Voucher| voucher.sign(&pair::domain(), &key(2));
        let brought = voucher.as_ref().map(|voucher| Voucher {
            cumulative_amount: voucher.amount,
            signature: signature(voucher),
        });
        let ack = Cumulative { seq: to_seq, digest: self.digest };
        let body = PaymentAck { number, from: None, amount_total, ack, voucher: brought };
        let tx = tx_of(&reference);
        let message = self.sign(2, &body, if by_transfer { tx.as_str() } else { "" });
        self.said.insert(place, amount_total);
        if let Some(voucher) = &voucher {
            let (channel, amount) = (voucher.channel, voucher.amount);
            self.b.push(Record::Ceiling { channel, amount });
            let (domain, signature) = (pair::domain(), signature(voucher));
            self.s.push(Record::Voucher { channel, domain, amount, signature });
        }
        let claim = by_transfer.then(|| owed(Act::Check(Claim { tx, transfer })));
        self.s.push(Record::Payment { message: message.clone(), owed: claim });
        self.b.push(Record::Payment { message, owed: None });
        match paid == Paid::Final || !by_transfer {
            // Without a gap: no window is paid behind one that is not.
            true => drop(self.settled.insert(place, amount_total)),
            false => drop(self.lost.insert(reference)),
        }
        self
    }

    /// The seller's word for a change from the next window on; not in any journal yet.
    pub fn proposal(&mut self, change: Change) -> SignedMessage {
        self.amends += 1;
        let (number, by, from_seq) = (self.amends, Role::Seller, self.items + 1);
        self.sign(1, &Amend { number, by, from_seq, change }, "")
    }

    /// The same under the buyer's signature.
    pub fn answer(message: &SignedMessage) -> SignedMessage {
        SignedMessage { signature: key(2).sign(&message.digest()), ..message.clone() }
    }

    /// Both sign a change; `false` where it is none under what was agreed.
    pub fn agree(&mut self, change: Change) -> bool {
        let message = self.proposal(change);
        let answer = Told::answer(&message);
        let mut then = self.agreement.clone();
        if then.take(Role::Seller, &message) != Ok(Word::Proposed)
            || then.take(Role::Buyer, &answer) != Ok(Word::Agreed)
        {
            self.amends -= 1;
            return false;
        }
        self.agreement = then;
        self.both(Record::Amend { by: Role::Seller, message });
        self.both(Record::Amend { by: Role::Buyer, message: answer });
        true
    }

    /// The seller proposes a change, and the buyer does not take it.
    pub fn refuse(&mut self, change: Change) {
        let message = self.proposal(change);
        let (number, by, from_seq) = (self.amends, Role::Seller, self.items + 1);
        let change = Change::Refused(Refused { why: "no".to_owned() });
        let refusal = self.sign(2, &Amend { number, by, from_seq, change }, "");
        for (by, message) in [(Role::Seller, message), (Role::Buyer, refusal)] {
            self.agreement.take(by, &message).unwrap();
            self.both(Record::Amend { by, message });
        }
    }

    /// So much is credited.
    pub fn credit(&mut self, amount: u128) -> bool {
        let before = self.agreement.agreed().last_leg().credited();
        let amount = Amount::new(amount);
        let total = before.checked_add(amount).unwrap();
        let (items, reason) = (vec![self.items.max(1)], Complaint::Lost);
        self.agree(Change::Credit(CreditNote { amount, total, items, reason, ask: None }))
    }

    /// Another pace from the next window on.
    pub fn pace(&mut self, granularity: u32, credit_windows: u32) -> bool {
        let pace = Pace { granularity, credit_windows };
        self.agree(Change::Pace(PaceChange { pace, why: PaceReason::Earned }))
    }

    /// What a leg from the next window on would be. By escrow it begins where the channel is.
    pub fn turn(&self, name: &str, method: Method, price: u128) -> LegChange {
        let channel = ChannelId([if name == "SDP" { 5 } else { 6 }; 32]);
        let base = self.vouched.get(&channel).copied().unwrap_or_default();
        let escrow = (method == Method::Escrow).then_some(EscrowChoice { channel, base });
        let (currency, price) = (offer(name, method), Amount::new(price));
        LegChange { currency, price, escrow, why: LegReason::Stalled, ask: None }
    }

    /// Another leg from the next window on.
    pub fn begin_leg(&mut self, name: &str, method: Method, price: u128) -> bool {
        let leg = self.turn(name, method, price);
        self.agree(Change::Leg(leg))
    }

    /// Both say goodbye.
    pub fn end(&mut self) -> &mut Self {
        let (place, leg) = self.leg();
        let of =
            |all: &BTreeMap<usize, Amount>, place| all.get(&place).copied().unwrap_or_default();
        let exit = |paid: &BTreeMap<usize, Amount>| Exit {
            reason: Reason::Complete,
            items: self.items,
            amount_total: of(&self.invoiced, place),
            paid_total: of(paid, place),
            anchored: Vec::new(),
            channel: None,
            bonded: false,
            legs: (self.agreement.agreed().legs().take(place).enumerate())
                .map(|(earlier, leg)| ExitLeg {
                    from_seq: leg.from_seq,
                    amount_total: of(&self.invoiced, earlier),
                    paid_total: of(paid, earlier),
                })
                .collect(),
        };
        let said = [(Role::Buyer, 2, exit(&self.said)), (Role::Seller, 1, exit(&self.settled))];
        for (by, key, exit) in said {
            let message = self.sign(key, &exit, "");
            self.both(Record::Exit { by, message, owed: None });
        }
        let is_even = self.invoiced.iter().all(|(leg, total)| of(&self.settled, *leg) == *total);
        let end = if is_even { End::Complete } else { End::Outstanding };
        let record = |owed| Record::Ended { end, why: String::new(), evidence: Vec::new(), owed };
        let redeem = leg.escrow.and_then(|on| {
            let (channel, amount) = (on.channel, *self.vouched.get(&on.channel)?);
            let voucher = sdpp_ledger::Voucher { channel, amount };
            let signature = voucher.sign(&pair::domain(), &key(2));
            let act = Act::Do(Call::Close(Redeem { channel, amount, signature }));
            let reference = self.session.reference(Purpose::Close, 0);
            let ledger = leg.currency.ledger.clone();
            Some(Owed { reference, purpose: Purpose::Close, ledger, act, held: false })
        });
        self.s.push(record(redeem));
        self.b.push(record(None));
        self
    }

    pub fn records(&self, role: Role) -> &[Record] {
        if role == Role::Seller { &self.s } else { &self.b }
    }

    /// A side's journal, and what ledgers said of what is owed to them.
    pub fn entries(&self, role: Role) -> Vec<Entry> {
        let mut records = Vec::new();
        for record in self.records(role) {
            records.push(record.clone());
            let owed = record.owed().filter(|owed| !self.lost.contains(&owed.reference));
            records.extend(owed.map(met));
        }
        let entry = |(seq, record)| Entry {
            lacks: None,
            seq: seq as u64 + 1,
            at_ms: START_MS + seq as u64,
            session: Some(self.session),
            prev: Digest::ZERO,
            record,
        };
        records.into_iter().enumerate().map(entry).collect()
    }
}

fn met(owed: &Owed) -> Record {
    let amount = match &owed.act {
        Act::Check(claim) => claim.transfer.amount,
        Act::Do(Call::Transfer(transfer)) => transfer.amount,
        Act::Do(Call::Close(redeem) | Call::Settle(redeem)) => redeem.amount,
        Act::Do(_) => Amount::ZERO,
    };
    let tx = tx_of(&owed.reference);
    let evidence = Evidence { amount, ..Evidence::new(tx, 7, "block", 7) };
    Record::Met { reference: owed.reference, evidence, proof: None }
}

/// The ledger of a currency by its name.
pub fn ledger_of(name: &str) -> LedgerId {
    if name == "SDP" { ledger() } else { elsewhere() }
}
