//! One session's entries, folded.

use super::Problem;
use super::credits::Credited;
use super::due::{Due, Line};
use super::proof::{EVIDENCE, Found, ToVerify};
use super::statement::{AnchorLine, Invoiced, Settlement, State, Statement};
use crate::crypto::layout::MessageKind;
use crate::journal::Entry;
use crate::message::{Menu, Order, reread, terms};
use crate::record::{End, Record, SignedMessage};
use crate::terms::{Purpose, Role, SessionId, Terms};
use sdpp_ledger::{Amount, Digest, LedgerId, PublicKey, Reference, Voucher};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What is known of a session so far.
pub(super) struct Fold {
    pub(super) session: SessionId,
    pub(super) identity: PublicKey,
    pub(super) began_ms: u64,
    /// Where the fold is.
    pub(super) entry: u64,
    /// When that was, in milliseconds since 1970 UTC.
    pub(super) at_ms: u64,
    /// Whether the payload of that entry was pruned.
    pub(super) is_pruned: bool,
    /// How many were.
    pub(super) pruned: u64,
    pub(super) ground: Ground,
    pub(super) windows: Vec<Window>,
    pub(super) credited: Credited,
    /// What is left of them when the session is over, and where the last one ended.
    over: (Vec<Invoiced>, (u64, Amount)),
    /// Windows whose root and digest follow from their leaves.
    pub(super) recomputed: u64,
    pub(super) acked: u64,
    /// Acks of items that are not invoiced yet, by seq.
    pub(super) early: Vec<Early>,
    /// The digest up to each of the last items that were invoiced, by seq.
    pub(super) late: VecDeque<(u64, Digest)>,
    pub(super) paid: Amount,
    pub(super) settled: Amount,
    pub(super) state: State,
    /// The session's key was given: from there on items flow and vouchers are signed.
    pub(super) has_begun: bool,
    pub(super) owed: Vec<Due>,
    /// Where in `owed` each reference stands.
    pub(super) places: HashMap<Reference, usize>,
    /// The ledgers that it is owed to.
    pub(super) ledgers: Vec<Arc<LedgerId>>,
    pub(super) problems: Vec<Problem>,
    /// Signatures that nobody has verified yet.
    pub(super) to_verify: Vec<ToVerify>,
}

/// What the session stands on.
pub(super) enum Ground {
    /// Nothing yet: its order may wait for its anchor.
    ExpectOrder,
    /// Which side we are, and what both signed.
    Under(Role, Box<Terms>),
    /// Its order is none. That was named, and nothing more can be said.
    Baseless,
}

/// An invoiced window.
pub(super) struct Window {
    pub(super) to_seq: u64,
    pub(super) digest: Digest,
    pub(super) total: Amount,
    /// When it was invoiced, in milliseconds since 1970 UTC.
    pub(super) at_ms: u64,
}

/// An ack of items that are not invoiced yet.
pub(super) struct Early {
    pub(super) entry: u64,
    pub(super) seq: u64,
    pub(super) digest: Digest,
}

impl Fold {
    pub(super) fn new(session: SessionId, identity: PublicKey, began_ms: u64) -> Self {
        Fold {
            session,
            identity,
            began_ms,
            entry: 0,
            at_ms: began_ms,
            is_pruned: false,
            pruned: 0,
            ground: Ground::ExpectOrder,
            windows: Vec::new(),
            credited: Credited::default(),
            over: (Vec::new(), (0, Amount::ZERO)),
            recomputed: 0,
            acked: 0,
            early: Vec::new(),
            late: VecDeque::new(),
            paid: Amount::ZERO,
            settled: Amount::ZERO,
            state: State::Open,
            has_begun: false,
            owed: Vec::new(),
            places: HashMap::new(),
            ledgers: Vec::new(),
            problems: Vec::new(),
            to_verify: Vec::new(),
        }
    }

    /// Takes the next entry; what is wrong with it is kept as a problem, and the entries after it
    /// are judged on their own.
    pub(super) fn take(&mut self, entry: &Entry) {
        (self.entry, self.at_ms) = (entry.seq, entry.at_ms);
        self.is_pruned = entry.lacks.is_some();
        self.pruned += u64::from(self.is_pruned);
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
            (Ground::Under(role, terms), record) => self.under_terms(*role, terms, record),
        };
        self.ground = ground;
        self.note(result);
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
        let invoices = match self.windows.is_empty() {
            true => std::mem::take(&mut self.over.0),
            false => self.invoices(),
        };
        let (settlements, anchors) = lines(std::mem::take(&mut self.owed));
        let (credited, credit_left) = self.credited.totals(&terms, items);
        let terms = *terms;
        let acked_amount = self.credited.agreed(&terms).owed_for(self.acked).unwrap_or(invoiced);
        let statement = Statement {
            session: self.session,
            began_ms: self.began_ms,
            last_ms: self.at_ms,
            role,
            seller: terms.seller,
            buyer: terms.buyer,
            topic: terms.topic,
            currency: terms.currency.name,
            decimals: terms.currency.decimals,
            method: terms.currency.method,
            ledger: terms.currency.ledger,
            asset: terms.currency.asset,
            payee: terms.currency.payee,
            price: terms.price,
            rate: terms.currency.rate,
            escrow: terms.escrow.filter(|_| self.has_begun),
            records: terms.records,
            granularity: terms.granularity,
            items_delivered: items,
            items_acked: self.acked,
            acked_amount,
            windows: invoices.len() as u64,
            windows_recomputed: self.recomputed,
            invoices,
            invoiced,
            credited,
            credit_left,
            paid: self.paid,
            settled: self.settled,
            outstanding,
            state: self.state,
            pruned: self.pruned,
            settlements,
            anchors,
            payouts: Vec::new(),
            problems: self.problems.clone(),
        };
        (Some(statement), self.problems)
    }

    /// The session is over: no message is held against its windows any more, and a journal has
    /// very many sessions.
    fn let_go(&mut self) {
        self.over = (self.invoices(), self.invoiced());
        (self.windows, self.early, self.late) = Default::default();
        self.owed.shrink_to_fit();
    }

    /// What was invoiced when.
    fn invoices(&self) -> Vec<Invoiced> {
        let mut before = (0, Amount::ZERO);
        let invoiced = |window: &Window| {
            let items = window.to_seq.saturating_sub(before.0);
            let amount = window.total.saturating_sub(before.1);
            before = (window.to_seq, window.total);
            Invoiced { at_ms: window.at_ms, items, amount }
        };
        self.windows.iter().map(invoiced).collect()
    }

    pub(super) fn note(&mut self, result: Found) {
        if let Err(what) = result {
            self.note_at(self.entry, what);
        }
    }

    pub(super) fn note_at(&mut self, entry: u64, what: String) {
        self.problems.push(Problem::new(entry, Some(self.session), what));
    }

    /// The last item that was invoiced, and what all of them cost.
    pub(super) fn invoiced(&self) -> (u64, Amount) {
        self.windows.last().map_or(self.over.1, |window| (window.to_seq, window.total))
    }

    /// The order: both signatures, and the terms that follow from them.
    fn found(&mut self, role: Role, peer: PublicKey, menu: &SignedMessage, order: &SignedMessage) {
        let (seller, buyer) = match role {
            Role::Seller => (self.identity, peer),
            Role::Buyer => (peer, self.identity),
        };
        let by = |key| (key, SessionId::NONE);
        let menu_signed = self.signed("menu", menu, MessageKind::Menu, by(&seller));
        self.note(menu_signed);
        let order_signed = self.signed("order", order, MessageKind::Order, by(&buyer));
        self.note(order_signed);
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
        match record {
            // A dispute begins when a session is over, and so may what redeems its best voucher.
            Record::Disputed { bundle, owed } => return self.dispute(bundle, owed),
            Record::Redeeming { .. } => return Ok(()),
            _ if self.state != State::Open => {
                return Err("it comes after the session's end".to_owned());
            }
            _ => {}
        }
        match record {
            Record::Order { .. } => Err("a session has one order".to_owned()),
            Record::Invoice { message, from_seq, to_seq, digest, leaves, owed } => {
                let (seqs, items) = ((*from_seq, *to_seq), (digest, leaves));
                self.invoice((role, terms), message, seqs, items, owed.as_ref())
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
                self.let_go();
                let peer = if role == Role::Seller { &terms.buyer } else { &terms.seller };
                let at = (self.entry, self.session);
                let theirs = |one| ToVerify::message(at, EVIDENCE, one, *peer);
                self.to_verify.extend(evidence.iter().map(theirs));
                Ok(())
            }
            // The outbox's own records were taken before; the rest proves nothing to anybody.
            Record::Met { .. }
            | Record::Refused { .. }
            | Record::Anchoring { .. }
            | Record::Epoch { .. }
            | Record::Priced(_)
            | Record::Settling { .. }
            | Record::Reserved { .. }
            | Record::Disputed { .. }
            | Record::Pruned { .. }
            | Record::Ceiling { .. }
            | Record::Spent { .. }
            | Record::Funding { .. }
            | Record::Approving { .. }
            | Record::ChannelChange { .. }
            | Record::Redeeming { .. }
            | Record::Reclaiming { .. } => Ok(()),
        }
    }
}

/// What is said of all that was owed, in its order.
fn lines(owed: Vec<Due>) -> (Vec<Settlement>, Vec<AnchorLine>) {
    let (mut settlements, mut anchors) = (Vec::new(), Vec::new());
    for due in owed {
        match due.line() {
            Line::Anchor(line) => anchors.push(line),
            Line::Settlement(line) => settlements.push(line),
            Line::None => {}
        }
    }
    (settlements, anchors)
}
