//! One session's entries, folded.

use super::Problem;
use super::statement::{AnchorLine, Check, Expected, Settlement, State, Statement};
use crate::journal::Entry;
use crate::message::{DataInvoice, Exit, Menu, Order, PaymentAck, reread, terms};
use crate::record::{Act, Owed, Record, SignedMessage};
use crate::terms::{Method, Purpose, Role, SessionId, Terms};
use sdpp_ledger::{
    Amount, Anchor, Call, Claim, Digest, Evidence, PublicKey, Reference, Transfer, merkle,
};

/// What is known of a session so far.
pub(super) struct Fold {
    session: SessionId,
    identity: PublicKey,
    began_ms: u64,
    /// Where the fold is.
    entry: u64,
    founded: Option<(Role, Terms)>,
    items: u64,
    acked: u64,
    windows: u64,
    invoiced: Amount,
    paid: Amount,
    settled: Amount,
    state: State,
    owed: Vec<Due>,
    problems: Vec<Problem>,
    checks: Vec<Check>,
}

/// Something owed, and what became of it.
struct Due {
    owed: Owed,
    evidence: Option<Evidence>,
    refused: Option<String>,
    ok: bool,
}

/// A check that failed, as a sentence.
type Found<T = ()> = Result<T, String>;

impl Fold {
    pub(super) fn new(session: SessionId, identity: PublicKey, began_ms: u64) -> Self {
        Fold {
            session,
            identity,
            began_ms,
            entry: 0,
            founded: None,
            items: 0,
            acked: 0,
            windows: 0,
            invoiced: Amount::ZERO,
            paid: Amount::ZERO,
            settled: Amount::ZERO,
            state: State::Open,
            owed: Vec::new(),
            problems: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// Takes the next entry; what is wrong with it is kept as a problem.
    pub(super) fn take(&mut self, entry: &Entry) {
        self.entry = entry.seq;
        let result = match (&self.founded, &entry.record) {
            (None, Record::Order { role, peer, menu, order, .. }) => {
                self.found(*role, *peer, menu, order)
            }
            (None, Record::Anchoring { .. }) => Ok(()),
            (None, _) => Err("it belongs to a session without an order".to_owned()),
            (Some((role, terms)), record) => {
                let (role, terms) = (*role, terms.clone());
                self.under_terms(role, &terms, record)
            }
        };
        if let Some(owed) = entry.record.owed() {
            self.owe(owed.clone());
        }
        if let Err(what) = result {
            self.problem(what);
        }
    }

    /// The session's statement, `None` where there never was an order, and all that is wrong.
    pub(super) fn finish(mut self) -> (Option<Statement>, Vec<Problem>) {
        let Some((role, terms)) = self.founded.take() else { return (None, self.problems) };
        let anchors: Vec<AnchorLine> = self.owed.iter().filter_map(Due::anchor).collect();
        let settlements: Vec<Settlement> = self.owed.iter().filter_map(Due::settlement).collect();
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
            records: terms.records,
            granularity: terms.granularity,
            items_delivered: self.items,
            items_acked: self.acked,
            windows: self.windows,
            invoiced: self.invoiced,
            paid: self.paid,
            settled: self.settled,
            outstanding: self.invoiced.saturating_sub(self.settled),
            state: self.state,
            settlements,
            anchors,
            problems: self.problems.clone(),
            checks: self.checks,
        };
        (Some(statement), self.problems)
    }

    fn problem(&mut self, what: String) {
        let (entry, session) = (self.entry, Some(self.session));
        self.problems.push(Problem { entry, session, what });
    }

    /// The order: both signatures, and the terms that follow from them.
    fn found(
        &mut self,
        role: Role,
        peer: PublicKey,
        menu: &SignedMessage,
        order: &SignedMessage,
    ) -> Found {
        let menu_body: Menu = reread(menu).map_err(|e| e.to_string())?;
        let order_body: Order = reread(order).map_err(|e| e.to_string())?;
        let terms = terms(&menu_body, &order_body, &order.data_digest).map_err(|(_, why)| why)?;
        let (seller, buyer) = match role {
            Role::Seller => (self.identity, peer),
            Role::Buyer => (peer, self.identity),
        };
        let signed = [("menu", menu, seller), ("order", order, buyer)];
        let terms = if order_body.menu_digest == menu.data_digest { Some(terms) } else { None };
        let terms =
            terms.filter(|t| (t.session, t.seller, t.buyer) == (self.session, seller, buyer));
        self.founded = terms.map(|terms| (role, terms));
        for (what, message, key) in signed {
            is_by(what, message, &key, SessionId::NONE)?;
        }
        match self.founded {
            Some(_) => Ok(()),
            None => Err("menu and order do not make this session".to_owned()),
        }
    }

    fn under_terms(&mut self, role: Role, terms: &Terms, record: &Record) -> Found {
        match record {
            Record::Order { .. } => Err("a session has one order".to_owned()),
            Record::Invoice { message, from_seq, to_seq, digest, owed } => {
                self.invoice(terms, message, (*from_seq, *to_seq), digest, owed.as_ref())
            }
            Record::Ack { message } => self.ack(terms, message),
            Record::Payment { message, owed } => self.payment(terms, message, owed.as_ref()),
            Record::Voucher { channel, domain, amount, signature } => {
                let voucher = sdpp_ledger::Voucher { channel: *channel, amount: *amount };
                let base = terms.escrow.filter(|escrow| escrow.channel == *channel);
                let base = base.ok_or("a voucher on another channel than the order's")?.base;
                if !terms.buyer.verify(&voucher.digest(domain), signature) {
                    return Err("the voucher is not signed by the buyer".to_owned());
                }
                self.settled = self.settled.max(amount.saturating_sub(base));
                Ok(())
            }
            Record::Exit { by, message, .. } => self.exit(role, terms, *by, message),
            Record::Ended { end, .. } => {
                self.state = State::Ended(*end);
                Ok(())
            }
            Record::Met { reference, evidence, proof } => {
                self.met(terms, *reference, evidence, proof.as_ref())
            }
            Record::Refused { reference, why } => {
                if let Some(due) = self.due(*reference) {
                    due.refused = Some(why.clone());
                }
                Ok(())
            }
            Record::Anchoring { .. }
            | Record::Epoch { .. }
            | Record::Reserved { .. }
            | Record::Ceiling { .. }
            | Record::Funding { .. } => Ok(()),
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
        is_by("invoice", message, &terms.seller, self.session)?;
        if from_seq != self.items + 1 || to_seq < from_seq || message.number != self.windows + 1 {
            return Err(format!("invoice {} does not follow the one before", message.number));
        }
        if to_seq - self.items > u64::from(terms.granularity) {
            return Err(format!("invoice {} is for more than K items", message.number));
        }
        let total = terms.owed_for(to_seq).ok_or("the price passes 128 bits")?;
        if message.amount_total != total {
            let (said, number) = (message.amount_total, message.number);
            return Err(format!("invoice {number} asks {said} in all, {total} is agreed"));
        }
        let amount = total.saturating_sub(self.invoiced);
        if message.data.is_some() {
            let body: DataInvoice = reread(message).map_err(|e| e.to_string())?;
            let invoice = &body.invoice;
            let said = (invoice.from, invoice.to, invoice.amount, invoice.digest);
            let currency = &terms.currency;
            let same_payee = invoice.payment_address == currency.payee;
            if said != (from_seq, to_seq, amount, *digest) || !same_payee {
                return Err(format!("invoice {} is not what was recorded of it", message.number));
            }
        }
        (self.items, self.windows, self.invoiced) = (to_seq, message.number, total);
        match owed.map(|owed| &owed.act) {
            Some(Act::Do(Call::Transfer(transfer))) => {
                self.is_payment(terms, message.number, amount, transfer)
            }
            _ => Ok(()),
        }
    }

    fn ack(&mut self, terms: &Terms, message: &SignedMessage) -> Found {
        is_by("ack", message, &terms.buyer, self.session)?;
        self.acked = self.acked.max(message.number);
        Ok(())
    }

    fn payment(&mut self, terms: &Terms, message: &SignedMessage, owed: Option<&Owed>) -> Found {
        is_by("payment", message, &terms.buyer, self.session)?;
        let body: PaymentAck = reread(message).map_err(|e| e.to_string())?;
        let expected = terms.owed_for(body.ack.seq).ok_or("the price passes 128 bits")?;
        if body.amount_total != expected || body.ack.seq > self.items {
            return Err(format!("the payment of window {} does not fit its invoice", body.number));
        }
        let amount = body.amount_total.saturating_sub(self.paid);
        self.acked = self.acked.max(body.ack.seq);
        self.paid = self.paid.max(body.amount_total);
        match owed.map(|owed| &owed.act) {
            Some(Act::Check(Claim { transfer, .. })) => {
                self.is_payment(terms, body.number, amount, transfer)
            }
            _ => Ok(()),
        }
    }

    /// A transfer must pay exactly this window to the payee of the terms.
    fn is_payment(&self, terms: &Terms, number: u64, amount: Amount, transfer: &Transfer) -> Found {
        let currency = &terms.currency;
        let agreed = Transfer {
            to: currency.payee.clone(),
            asset: currency.asset.clone(),
            amount,
            reference: self.session.reference(Purpose::Payment, number),
        };
        if *transfer == agreed {
            return Ok(());
        }
        Err(format!("the transfer for window {number} is not the one that was agreed"))
    }

    fn exit(&mut self, role: Role, terms: &Terms, by: Role, message: &SignedMessage) -> Found {
        let key = if by == Role::Seller { &terms.seller } else { &terms.buyer };
        is_by("exit", message, key, self.session)?;
        let body: Exit = reread(message).map_err(|e| e.to_string())?;
        if by == Role::Seller && (body.amount_total != self.invoiced || body.items != self.items) {
            let (items, total) = (body.items, body.amount_total);
            return Err(format!("the seller's exit names {items} items for {total}"));
        }
        // What a buyer has under vouchers is settled by the seller's receipt for them.
        let is_receipt = by == Role::Seller && terms.currency.method == Method::Escrow;
        if is_receipt && role == Role::Buyer {
            self.settled = self.settled.max(body.paid_total);
        }
        Ok(())
    }

    fn met(
        &mut self,
        terms: &Terms,
        reference: Reference,
        evidence: &Evidence,
        proof: Option<&merkle::Proof>,
    ) -> Found {
        let Some(due) = self.due(reference) else {
            return Err(format!("{reference} is met and was never owed"));
        };
        due.evidence = Some(evidence.clone());
        let (owed, tx) = (due.owed.clone(), evidence.tx.clone());
        let what = match &owed.act {
            Act::Check(claim) => {
                self.settled = self.settled.checked_add(claim.transfer.amount).ok_or("too much")?;
                Some(Expected::Paid(claim.clone()))
            }
            Act::Do(Call::Transfer(transfer)) => {
                self.settled = self.settled.checked_add(transfer.amount).ok_or("too much")?;
                Some(Expected::Paid(Claim { tx, transfer: transfer.clone() }))
            }
            Act::Do(Call::Anchor(anchor)) => Some(Expected::Anchored(tx, under(anchor, proof)?)),
            Act::Do(_) => None,
        };
        if self.settled > self.invoiced {
            let (settled, invoiced) = (self.settled, self.invoiced);
            return Err(format!("{settled} are settled, {invoiced} were invoiced"));
        }
        debug_assert!(terms.session == self.session);
        let (entry, ledger) = (self.entry, owed.ledger);
        self.checks.extend(what.map(|what| Check { entry, ledger, what }));
        Ok(())
    }

    fn owe(&mut self, owed: Owed) {
        self.owed.push(Due { owed, evidence: None, refused: None, ok: true });
    }

    fn due(&mut self, reference: Reference) -> Option<&mut Due> {
        self.owed.iter_mut().find(|due| due.owed.reference == reference)
    }
}

impl Due {
    fn anchor(&self) -> Option<AnchorLine> {
        matches!(self.owed.act, Act::Do(Call::Anchor(_))).then(|| AnchorLine {
            reference: self.owed.reference,
            purpose: self.owed.purpose,
            evidence: self.evidence.clone(),
            refused: self.refused.clone(),
            ok: self.ok,
        })
    }

    fn settlement(&self) -> Option<Settlement> {
        let amount = match &self.owed.act {
            Act::Check(claim) => claim.transfer.amount,
            Act::Do(Call::Transfer(transfer)) => transfer.amount,
            Act::Do(Call::Settle(redeem) | Call::Close(redeem)) => redeem.amount,
            Act::Do(_) => return None,
        };
        Some(Settlement {
            reference: self.owed.reference,
            purpose: self.owed.purpose,
            amount,
            evidence: self.evidence.clone(),
            refused: self.refused.clone(),
        })
    }
}

/// What stands on the ledger for an anchor: itself, or the root that its proof leads to.
fn under(anchor: &Anchor, proof: Option<&merkle::Proof>) -> Found<Anchor> {
    match (anchor, proof) {
        (Anchor::One { reference, digest }, Some(proof)) => {
            let root = proof.root(&Anchor::leaf(reference, digest));
            let root = root.ok_or("the proof of an anchor has not the right length")?;
            Ok(Anchor::Root { root, count: proof.count })
        }
        _ => Ok(anchor.clone()),
    }
}

fn is_by(what: &str, message: &SignedMessage, key: &PublicKey, session: SessionId) -> Found {
    if message.session != session {
        return Err(format!("the {what} is of another session"));
    }
    if !message.is_by(key) {
        return Err(format!("the signature of the {what} is false"));
    }
    Ok(())
}
