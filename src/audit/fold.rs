//! One session's entries, folded.

use super::Problem;
use super::credits::Credited;
use super::due::Due;
use super::proof::{Found, are_under_root, is_by};
use super::statement::{Check, Expected, State, Statement};
use crate::crypto::layout::MessageKind;
use crate::journal::Entry;
use crate::message::{Ack, DataInvoice, Exit, Menu, Order, PaymentAck, reread, terms};
use crate::record::{Act, End, Owed, Record, SignedMessage};
use crate::terms::{InEscrow, Method, Purpose, Role, SessionId, Terms};
use sdpp_ledger::{
    Amount, Call, Claim, Digest, Domain, Evidence, PublicKey, Reference, Signature, Transfer,
    Voucher, merkle,
};
use std::collections::HashMap;

/// What is known of a session so far.
pub(super) struct Fold {
    session: SessionId,
    identity: PublicKey,
    began_ms: u64,
    /// Where the fold is.
    entry: u64,
    ground: Ground,
    windows: Vec<Window>,
    credited: Credited,
    acked: u64,
    paid: Amount,
    settled: Amount,
    state: State,
    /// The session's key was given: from there on items flow and vouchers are signed.
    has_begun: bool,
    owed: Vec<Due>,
    /// Where in `owed` each reference stands.
    places: HashMap<Reference, usize>,
    problems: Vec<Problem>,
    checks: Vec<Check>,
}

/// What the session stands on.
enum Ground {
    /// Nothing yet: its order may wait for its anchor.
    ExpectOrder,
    /// Which side we are, and what both signed.
    Under(Role, Box<Terms>),
    /// Its order is none. That was named, and nothing more can be said.
    Baseless,
}

/// An invoiced window.
struct Window {
    to_seq: u64,
    digest: Digest,
    total: Amount,
}

impl Fold {
    pub(super) fn new(session: SessionId, identity: PublicKey, began_ms: u64) -> Self {
        Fold {
            session,
            identity,
            began_ms,
            entry: 0,
            ground: Ground::ExpectOrder,
            windows: Vec::new(),
            credited: Credited::default(),
            acked: 0,
            paid: Amount::ZERO,
            settled: Amount::ZERO,
            state: State::Open,
            has_begun: false,
            owed: Vec::new(),
            places: HashMap::new(),
            problems: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// Takes the next entry; what is wrong with it is kept as a problem, and the entries after it
    /// are judged on their own.
    pub(super) fn take(&mut self, entry: &Entry) {
        self.entry = entry.seq;
        self.has_begun |= matches!(entry.record, Record::Epoch { .. });
        if let Some(owed) = entry.record.owed() {
            self.owe(owed);
        }
        let ground = std::mem::replace(&mut self.ground, Ground::Baseless);
        let result = match (&ground, &entry.record) {
            (Ground::Baseless, _) => Ok(()),
            (_, Record::Met { reference, evidence, proof }) => {
                self.met(*reference, evidence, proof.as_ref())
            }
            (_, Record::Refused { reference, why }) => self.refused(*reference, why),
            (Ground::ExpectOrder, Record::Anchoring { .. }) => Ok(()),
            (Ground::ExpectOrder, Record::Order { role, peer, menu, order, .. }) => {
                return self.found(*role, *peer, menu, order);
            }
            (Ground::ExpectOrder, _) => Err("it belongs to a session without an order".to_owned()),
            // It may come long after the session's end.
            (Ground::Under(_, terms), Record::Disputed { bundle, owed }) => {
                let due = self.due(owed.reference);
                due.map_or(Ok(()), |due| due.fit(terms.records.as_ref(), bundle))
            }
            (Ground::Under(role, terms), record) => self.under_terms(*role, terms, record),
        };
        self.ground = ground;
        self.note(result);
    }

    /// Something is owed. A claim may come again, with another transaction.
    fn owe(&mut self, owed: &Owed) {
        if self.due(owed.reference).is_some_and(|due| due.claim_also(owed)) {
            return;
        }
        if self.places.insert(owed.reference, self.owed.len()).is_some() {
            self.note(Err(format!("{} is owed a second time", owed.reference)));
        }
        self.owed.push(Due::new(owed.clone()));
    }

    /// The session's statement, `None` where there never was an order, and all that is wrong.
    pub(super) fn finish(mut self) -> (Option<Statement>, Vec<Problem>) {
        let Ground::Under(role, terms) = std::mem::replace(&mut self.ground, Ground::Baseless)
        else {
            return (None, self.problems);
        };
        let (items, invoiced) = self.invoiced();
        let outstanding = invoiced.saturating_sub(self.settled);
        let is_complete = self.state == State::Ended(End::Complete);
        if role == Role::Seller && is_complete && outstanding > Amount::ZERO {
            self.note(Err(format!("it ended as complete, and {outstanding} is outstanding")));
        }
        let (credited, credit_left) = self.credited.totals(&terms, items);
        let terms = *terms;
        let statement = Statement {
            session: self.session,
            began_ms: self.began_ms,
            role,
            seller: terms.seller,
            buyer: terms.buyer,
            topic: terms.topic,
            currency: terms.currency.name,
            decimals: terms.currency.decimals,
            method: terms.currency.method,
            ledger: terms.currency.ledger,
            payee: terms.currency.payee,
            escrow: terms.escrow.filter(|_| self.has_begun),
            records: terms.records,
            granularity: terms.granularity,
            items_delivered: items,
            items_acked: self.acked,
            windows: self.windows.len() as u64,
            invoiced,
            credited,
            credit_left,
            paid: self.paid,
            settled: self.settled,
            outstanding,
            state: self.state,
            settlements: self.owed.iter().filter_map(Due::settlement).collect(),
            anchors: self.owed.iter().filter_map(Due::anchor).collect(),
            problems: self.problems.clone(),
            checks: self.checks,
        };
        (Some(statement), self.problems)
    }

    fn note(&mut self, result: Found) {
        if let Err(what) = result {
            let (entry, session) = (self.entry, Some(self.session));
            self.problems.push(Problem { entry, session, what });
        }
    }

    /// The last item that was invoiced, and what all of them cost.
    fn invoiced(&self) -> (u64, Amount) {
        self.windows.last().map_or((0, Amount::ZERO), |window| (window.to_seq, window.total))
    }

    /// The order: both signatures, and the terms that follow from them.
    fn found(&mut self, role: Role, peer: PublicKey, menu: &SignedMessage, order: &SignedMessage) {
        let (seller, buyer) = match role {
            Role::Seller => (self.identity, peer),
            Role::Buyer => (peer, self.identity),
        };
        self.note(is_by("menu", menu, MessageKind::Menu, &seller, SessionId::NONE));
        self.note(is_by("order", order, MessageKind::Order, &buyer, SessionId::NONE));
        match self.terms(menu, order) {
            Ok(terms) if (terms.seller, terms.buyer) == (seller, buyer) => {
                let anchored = self.is_anchored(&terms, Purpose::Order, 0, &order.data_digest);
                self.note(anchored);
                self.ground = Ground::Under(role, Box::new(terms));
            }
            Ok(_) => self.note(Err("menu and order are of other people".to_owned())),
            Err(why) => self.note(Err(format!("menu and order make no session: {why}"))),
        }
    }

    fn terms(&self, menu: &SignedMessage, order: &SignedMessage) -> Found<Terms> {
        let menu_body: Menu = reread(menu).map_err(|e| e.to_string())?;
        let order_body: Order = reread(order).map_err(|e| e.to_string())?;
        if order_body.menu_digest != menu.data_digest {
            return Err("the order is for another menu".to_owned());
        }
        let terms = terms(&menu_body, &order_body, &order.data_digest).map_err(|(_, why)| why)?;
        if terms.session != self.session {
            return Err(format!("they make session {}", terms.session));
        }
        Ok(terms)
    }

    fn under_terms(&mut self, role: Role, terms: &Terms, record: &Record) -> Found {
        if self.state != State::Open {
            return Err("it comes after the session's end".to_owned());
        }
        match record {
            Record::Order { .. } => Err("a session has one order".to_owned()),
            Record::Invoice { message, from_seq, to_seq, digest, leaves, owed } => {
                self.note(are_under_root(message, leaves));
                self.invoice(terms, message, (*from_seq, *to_seq), digest, owed.as_ref())
            }
            Record::Ack { message } => self.ack(terms, message),
            Record::Amend { by, message } => {
                let (items, _) = self.invoiced();
                self.credited.take(terms, *by, message, items)
            }
            Record::Payment { message, owed } => self.payment(terms, message, owed.as_ref()),
            Record::Voucher { channel, domain, amount, signature } => {
                let voucher = Voucher { channel: *channel, amount: *amount };
                self.voucher(terms, &voucher, domain, signature)
            }
            // An order that led to nothing names how its channel stands all the same.
            Record::Spent { amount, .. } if self.has_begun => {
                let base = terms.escrow.map_or(Amount::ZERO, |escrow| escrow.base);
                self.paid = self.paid.max(amount.saturating_sub(base));
                Ok(())
            }
            Record::Exit { by, message, .. } => self.exit(role, terms, *by, message),
            Record::Ended { end, evidence, .. } => {
                self.state = State::Ended(*end);
                let peer = if role == Role::Seller { &terms.buyer } else { &terms.seller };
                let is_theirs = evidence.iter().all(|message| message.is_by(peer));
                let why = "the evidence is not signed by the other side";
                is_theirs.then_some(()).ok_or_else(|| why.to_owned())
            }
            // The outbox's own records were taken before; the rest proves nothing to anybody.
            Record::Met { .. }
            | Record::Refused { .. }
            | Record::Anchoring { .. }
            | Record::Epoch { .. }
            | Record::Reserved { .. }
            | Record::Disputed { .. }
            | Record::Ceiling { .. }
            | Record::Spent { .. }
            | Record::Funding { .. }
            | Record::Approving { .. }
            | Record::ChannelChange { .. }
            | Record::Redeeming { .. }
            | Record::Reclaiming { .. } => Ok(()),
        }
    }

    fn invoice(
        &mut self,
        terms: &Terms,
        message: &SignedMessage,
        (from_seq, to_seq): (u64, u64),
        digest: &Digest,
        owed: Option<&Owed>,
    ) -> Found {
        let (items, before) = self.invoiced();
        let (number, next) = (message.number, self.windows.len() as u64 + 1);
        let agreed = self.credited.owed_for(terms, to_seq);
        let total = agreed.ok_or("the price passes 128 bits")?;
        let amount = total.saturating_sub(before);
        // Counted as agreed, whatever is wrong with it: what follows is judged on its own.
        self.windows.push(Window { to_seq, digest: *digest, total });
        self.note(is_by("invoice", message, MessageKind::DataInvoice, &terms.seller, self.session));
        if (from_seq, number) != (items + 1, next) || to_seq < from_seq {
            return Err(format!("invoice {number} does not follow the one before"));
        }
        if to_seq - items > u64::from(terms.granularity) {
            return Err(format!("invoice {number} is for more than K items"));
        }
        if message.amount_total != total {
            let said = message.amount_total;
            return Err(format!("invoice {number} asks {said} in all, {total} is agreed"));
        }
        if message.data.is_some() {
            self.is_as_recorded(terms, message, (from_seq, to_seq, amount, *digest))?;
        }
        let anchored = self.is_anchored(terms, Purpose::Invoice, number, &message.data_digest);
        self.note(anchored);
        match owed.map(|owed| (owed, &owed.act)) {
            Some((owed, Act::Do(Call::Transfer(transfer)))) => {
                self.is_agreed(terms, (number, amount), owed, transfer)
            }
            _ => Ok(()),
        }
    }

    /// The invoice's own words must be what stands beside them.
    fn is_as_recorded(
        &self,
        terms: &Terms,
        message: &SignedMessage,
        recorded: (u64, u64, Amount, Digest),
    ) -> Found {
        let body: DataInvoice = reread(message).map_err(|e| e.to_string())?;
        let (invoice, currency) = (&body.invoice, &terms.currency);
        let number = invoice.number;
        if (invoice.from, invoice.to, invoice.amount, invoice.digest) != recorded {
            return Err(format!("invoice {number} is not what was recorded of it"));
        }
        if invoice.payment_address != currency.payee || invoice.currency != currency.name {
            return Err(format!("invoice {number} asks to pay another than was agreed"));
        }
        if invoice.reference != self.session.reference(Purpose::Payment, number) {
            return Err(format!("invoice {number} has another reference than was agreed"));
        }
        Ok(())
    }

    fn ack(&mut self, terms: &Terms, message: &SignedMessage) -> Found {
        is_by("ack", message, MessageKind::Ack, &terms.buyer, self.session)?;
        let Ack { seq, digest, .. } = reread(message).map_err(|e| e.to_string())?;
        let next = self.windows.partition_point(|window| window.to_seq < seq);
        let ends = |window: &&Window| window.to_seq == seq;
        if self.windows.get(next).filter(ends).is_some_and(|window| window.digest != digest) {
            return Err(format!("the ack of item {seq} is of other items than were invoiced"));
        }
        self.acked = self.acked.max(seq);
        Ok(())
    }

    fn payment(&mut self, terms: &Terms, message: &SignedMessage, owed: Option<&Owed>) -> Found {
        is_by("payment", message, MessageKind::PaymentAck, &terms.buyer, self.session)?;
        let PaymentAck { number, amount_total, ack, .. } =
            reread(message).map_err(|e| e.to_string())?;
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let window = index.and_then(|index| self.windows.get(index));
        let before = index.and_then(|index| self.windows.get(index.checked_sub(1)?));
        let paid_before = before.map_or(Amount::ZERO, |window| window.total);
        let fits = |window: &Window| {
            (window.to_seq, window.digest, window.total) == (ack.seq, ack.digest, amount_total)
        };
        if !window.is_some_and(fits) {
            return Err(format!("the payment of window {number} does not fit its invoice"));
        }
        let amount = amount_total.saturating_sub(paid_before);
        self.acked = self.acked.max(ack.seq);
        self.paid = self.paid.max(amount_total);
        if terms.currency.method == Method::Escrow {
            return Ok(());
        }
        if let Some(owed) = owed {
            let Act::Check(Claim { tx, transfer }) = &owed.act else {
                return Err(format!("the payment of window {number} is not the buyer's own"));
            };
            self.is_agreed(terms, (number, amount), owed, transfer)?;
            if tx.as_str() != message.verification {
                return Err(format!("the payment of window {number} names another transaction"));
            }
        }
        match self.due(self.session.reference(Purpose::Payment, number)) {
            Some(_) => Ok(()),
            None => Err(format!("no transfer stands behind the payment of window {number}")),
        }
    }

    /// A transfer must pay exactly this window to the payee of the terms.
    fn is_agreed(
        &self,
        terms: &Terms,
        (number, amount): (u64, Amount),
        owed: &Owed,
        transfer: &Transfer,
    ) -> Found {
        let currency = &terms.currency;
        let reference = self.session.reference(Purpose::Payment, number);
        let (to, asset) = (currency.payee.clone(), currency.asset.clone());
        let agreed = Transfer { to, asset, amount, reference };
        let is_there = owed.ledger == currency.ledger && owed.reference == reference;
        if *transfer == agreed && is_there {
            return Ok(());
        }
        Err(format!("the transfer for window {number} is not the one that was agreed"))
    }

    fn voucher(
        &mut self,
        terms: &Terms,
        voucher: &Voucher,
        domain: &Domain,
        signature: &Signature,
    ) -> Found {
        let Some(InEscrow { channel, base }) = terms.escrow else {
            return Err("a voucher, and the order names no channel".to_owned());
        };
        if channel != voucher.channel {
            return Err("a voucher on another channel than the order's".to_owned());
        }
        if !terms.buyer.verify(&voucher.digest(domain), signature) {
            return Err("the voucher is not signed by the buyer".to_owned());
        }
        let worth = voucher.amount.saturating_sub(base);
        (self.paid, self.settled) = (self.paid.max(worth), self.settled.max(worth));
        Ok(())
    }

    fn exit(&mut self, role: Role, terms: &Terms, by: Role, message: &SignedMessage) -> Found {
        let key = if by == Role::Seller { &terms.seller } else { &terms.buyer };
        is_by("exit", message, MessageKind::Exit, key, self.session)?;
        let (items, invoiced) = self.invoiced();
        let total = message.amount_total;
        if by == Role::Buyer {
            return match total > invoiced {
                true => Err(format!("the buyer's exit names {total}, {invoiced} was invoiced")),
                false => Ok(()),
            };
        }
        if total != invoiced {
            return Err(format!("the seller's exit names {total}, {invoiced} was invoiced"));
        }
        let anchored = self.is_anchored(terms, Purpose::Exit, 0, &message.data_digest);
        self.note(anchored);
        if message.data.is_none() {
            return Ok(());
        }
        let body: Exit = reread(message).map_err(|e| e.to_string())?;
        if body.items != items {
            let said = body.items;
            return Err(format!("the seller's exit names {said} items, {items} were invoiced"));
        }
        let receipt = body.paid_total;
        // What a buyer has under vouchers is settled by the seller's receipt for them.
        if role == Role::Buyer && terms.currency.method == Method::Escrow {
            self.settled = self.settled.max(receipt);
        }
        if receipt > invoiced || (role == Role::Seller && receipt > self.settled) {
            return Err(format!(
                "the seller's exit is a receipt for {receipt}, more than was paid"
            ));
        }
        Ok(())
    }

    /// An anchor for this record must hold the record's digest, on the ledger of the terms. That
    /// there is none is no problem: only the seller's records are anchored, and only where it
    /// keeps any.
    fn is_anchored(&mut self, terms: &Terms, purpose: Purpose, number: u64, of: &Digest) -> Found {
        let reference = self.session.reference(purpose, number);
        let records = terms.records.clone();
        self.due(reference).map_or(Ok(()), |due| due.fit(records.as_ref(), of))
    }

    fn met(
        &mut self,
        reference: Reference,
        evidence: &Evidence,
        proof: Option<&merkle::Proof>,
    ) -> Found {
        let Some(due) = self.due(reference) else {
            return Err(format!("{reference} is met and was never owed"));
        };
        let what = due.meet(evidence, proof)?;
        let ledger = due.owed.ledger.clone();
        let amount = match &what {
            Some(Expected::Paid(claim)) => claim.transfer.amount,
            _ => Amount::ZERO,
        };
        let entry = self.entry;
        self.checks.extend(what.map(|what| Check { entry, reference, ledger, what }));
        self.settled = self.settled.checked_add(amount).ok_or("the sum passes 128 bits")?;
        let (settled, (_, invoiced)) = (self.settled, self.invoiced());
        if amount > Amount::ZERO && settled > invoiced {
            return Err(format!("{settled} is settled, {invoiced} was invoiced"));
        }
        Ok(())
    }

    fn refused(&mut self, reference: Reference, why: &str) -> Found {
        match self.due(reference) {
            Some(due) => due.refuse(why),
            None => Err(format!("{reference} is refused and was never owed")),
        }
    }

    fn due(&mut self, reference: Reference) -> Option<&mut Due> {
        self.places.get(&reference).and_then(|place| self.owed.get_mut(*place))
    }
}
