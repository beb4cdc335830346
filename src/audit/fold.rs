//! One session's entries, folded.

use super::Problem;
use super::counts::Counts;
use super::due::{Due, Line};
use super::ground::{Ground, Under};
use super::proof::{EVIDENCE, Found, ToVerify};
use super::statement::{AnchorLine, Settlement, State, Statement};
use crate::crypto::layout::MessageKind;
use crate::journal::Entry;
use crate::message::{Menu, Order, legible, reread, terms};
use crate::record::{End, Record, SignedMessage, Stray};
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
    pub(super) counts: Counts,
    pub(super) acked: u64,
    /// Acks of items that are not invoiced yet, by seq.
    pub(super) early: Vec<Early>,
    /// The digest up to each of the last items that were invoiced, by seq.
    pub(super) late: VecDeque<(u64, Digest)>,
    pub(super) state: State,
    /// The session's key was given: from there on items flow and vouchers are signed.
    pub(super) has_begun: bool,
    pub(super) owed: Vec<Due>,
    /// Where in `owed` each reference stands.
    pub(super) places: HashMap<Reference, usize>,
    /// The ledgers that it is owed to.
    pub(super) ledgers: Vec<Arc<LedgerId>>,
    pub(super) problems: Vec<Problem>,
    /// Items that the buyer did not take, and the leaf that each was sold by.
    pub(super) strays: Vec<(Stray, Digest)>,
    /// Signatures that nobody has verified yet.
    pub(super) to_verify: Vec<ToVerify>,
}

/// An invoiced window, or all the windows of a void.
pub(super) struct Window {
    /// Its number; of a void, the last.
    pub(super) number: u64,
    pub(super) to_seq: u64,
    /// The items of the session up to there, but for those that are void.
    pub(super) items: u64,
    /// It holds no item: its numbers were used, and no invoice of them is owed.
    pub(super) is_void: bool,
    /// Its root and digest follow from its leaves.
    pub(super) is_recomputed: bool,
    /// Its invoice is in another currency than prices are, and does not say the rate.
    pub(super) is_unrated: bool,
    /// The running digest at its end.
    pub(super) digest: Digest,
    /// What its leg asks for in all up to it.
    pub(super) total: Amount,
    /// The place of its leg.
    pub(super) leg: u16,
    /// When it was invoiced, in milliseconds since 1970 UTC.
    pub(super) at_ms: u64,
    /// The number of the window that it was paid with; 0 while no payment says so.
    pub(super) answered: u64,
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
            counts: Counts::default(),
            acked: 0,
            early: Vec::new(),
            late: VecDeque::new(),
            state: State::Open,
            has_begun: false,
            owed: Vec::new(),
            places: HashMap::new(),
            ledgers: Vec::new(),
            problems: Vec::new(),
            strays: Vec::new(),
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
        let mut ground = std::mem::replace(&mut self.ground, Ground::Baseless);
        let result = match (&mut ground, &entry.record) {
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
            (Ground::Over(_), record) => self.after_end(record),
            (Ground::Under(under), record) => self.under_terms(under, record),
        };
        self.ground = match ground {
            Ground::Under(under) if self.state != State::Open => self.let_go(*under),
            ground => ground,
        };
        self.note(result);
    }

    /// The session's statement, `None` where there never was an order, and all that is wrong.
    pub(super) fn finish(mut self) -> (Option<Statement>, Vec<Problem>) {
        let mut statement = match std::mem::replace(&mut self.ground, Ground::Baseless) {
            Ground::Under(under) => self.drafted(*under),
            Ground::Over(statement) => *statement,
            Ground::ExpectOrder | Ground::Baseless => return (None, self.problems),
        };
        let is_complete = self.state == State::Ended(End::Complete);
        for (place, leg) in statement.legs_mut().enumerate() {
            let count = self.counts.of(place);
            (leg.paid, leg.settled) = (count.paid, count.settled);
            leg.outstanding = leg.invoiced.saturating_sub(leg.settled);
        }
        if statement.role == Role::Seller && is_complete {
            for leg in statement.legs().filter(|leg| leg.outstanding > Amount::ZERO) {
                let what = format!("it ended as complete, and {} is outstanding", leg.outstanding);
                self.problems.push(Problem::new(self.entry, Some(self.session), what));
            }
        }
        let (settlements, anchors) = lines(std::mem::take(&mut self.owed));
        (statement.settlements, statement.anchors) = (settlements, anchors);
        (statement.last_ms, statement.pruned) = (self.at_ms, self.pruned);
        statement.problems = self.problems.clone();
        (Some(statement), self.problems)
    }

    /// The session is over: no message is held against its windows any more, and a journal has
    /// very many sessions.
    fn let_go(&mut self, under: Under) -> Ground {
        let statement = Box::new(self.drafted(under));
        (self.windows, self.early, self.late) = Default::default();
        self.owed.shrink_to_fit();
        Ground::Over(statement)
    }

    pub(super) fn note(&mut self, result: Found) {
        if let Err(what) = result {
            self.note_at(self.entry, what);
        }
    }

    pub(super) fn note_at(&mut self, entry: u64, what: String) {
        self.problems.push(Problem::new(entry, Some(self.session), what));
    }

    /// The last item that was invoiced.
    pub(super) fn items(&self) -> u64 {
        self.windows.last().map_or(0, |window| window.to_seq)
    }

    /// The last number that was used.
    pub(super) fn numbers(&self) -> u64 {
        self.windows.last().map_or(0, |window| window.number)
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
            Ok((terms, menu)) if (terms.seller, terms.buyer) == (seller, buyer) => {
                let anchored = self.is_anchored(&terms, Purpose::Order, 0, &order.data_digest);
                self.note(anchored);
                self.note(is_quoted(&menu, &terms));
                self.ground = Ground::Under(Box::new(Under::new(role, &terms, menu)));
            }
            Ok(_) => self.note(Err("menu and order are of other people".to_owned())),
            Err(why) => self.note(Err(format!("menu and order make no session: {why}"))),
        }
    }

    fn terms(&self, menu: &SignedMessage, order: &SignedMessage) -> Found<(Terms, Menu)> {
        let menu_body: Menu = reread(menu).map_err(|e| e.to_string())?;
        let order_body: Order = reread(order).map_err(|e| e.to_string())?;
        if order_body.menu_digest != menu.data_digest {
            return Err("the order is for another menu".to_owned());
        }
        let terms = terms(&menu_body, &order_body, &order.data_digest).map_err(|(_, why)| why)?;
        if terms.session != self.session {
            return Err(format!("they make session {}", terms.session));
        }
        Ok((terms, menu_body))
    }

    fn after_end(&mut self, record: &Record) -> Found {
        match record {
            // A dispute begins when a session is over, and so may what redeems its best voucher.
            Record::Disputed { bundle, owed } => self.dispute(bundle, owed),
            Record::Redeeming { .. } => Ok(()),
            _ => Err("it comes after the session's end".to_owned()),
        }
    }

    fn under_terms(&mut self, under: &mut Under, record: &Record) -> Found {
        match record {
            Record::Order { .. } => Err("a session has one order".to_owned()),
            Record::Invoice { message, from_seq, to_seq, digest, leaves, owed } => {
                let (seqs, items) = ((*from_seq, *to_seq), (digest, leaves));
                self.invoice(under, message, seqs, items, owed.as_ref())
            }
            Record::Ack { message } => self.ack(under.terms(), message),
            Record::Amend { by, message } => {
                let void = under.amend(*by, message, self.items())?;
                void.map_or(Ok(()), |void| self.voided(under.agreed(), void))
            }
            Record::Payment { message, owed } => self.payment(under, message, owed.as_ref()),
            Record::Gathering { from, number, owed: Some(owed), .. } => {
                self.gathered(under, (*from, *number), owed)
            }
            Record::Voucher { channel, domain, amount, signature } => {
                let voucher = Voucher { channel: *channel, amount: *amount };
                self.voucher(under, &voucher, domain, signature)
            }
            // An order that led to nothing names how its channel stands all the same.
            Record::Spent { channel, amount, .. } if self.has_begun => {
                self.spent(under, *channel, *amount);
                Ok(())
            }
            Record::Exit { by, message, .. } => self.exit(under, *by, message),
            Record::Ended { end, evidence, .. } => {
                self.state = State::Ended(*end);
                let shown = self.are_shown(under.terms(), evidence);
                self.note(shown);
                let (role, terms) = (under.role, under.terms());
                let peer = if role == Role::Seller { &terms.buyer } else { &terms.seller };
                let at = (self.entry, self.session);
                let theirs = |one| ToVerify::message(at, EVIDENCE, one, *peer);
                self.to_verify.extend(evidence.iter().map(theirs));
                Ok(())
            }
            Record::Stray(stray) => self.stray(under.terms(), stray),
            Record::Disputed { bundle, owed } => self.dispute(bundle, owed),
            // The outbox's own records were taken before; the rest proves nothing to anybody.
            Record::Met { .. }
            | Record::Refused { .. }
            | Record::Anchoring { .. }
            | Record::Delivering { .. }
            | Record::Epoch { .. }
            | Record::Priced(_)
            | Record::Void { .. }
            | Record::PassedOver { .. }
            | Record::Settling { .. }
            | Record::Gathering { .. }
            | Record::Reserved { .. }
            | Record::Pruned { .. }
            | Record::Restored { .. }
            | Record::Learned { .. }
            | Record::Released
            | Record::Ceiling { .. }
            | Record::Spent { .. }
            | Record::Funding { .. }
            | Record::Approving { .. }
            | Record::Bonding { .. }
            | Record::ChannelChange { .. }
            | Record::Redeeming { .. }
            | Record::Reclaiming { .. } => Ok(()),
        }
    }
}

/// What the menu says of where the rate comes from must make the rate.
fn is_quoted(menu: &Menu, terms: &Terms) -> Found {
    let currency = &terms.currency;
    match menu.currency(&currency.name, currency.method) {
        Some(offer) if !offer.is_as_quoted() => {
            Err(format!("the menu's quote for {} makes another rate", legible(&currency.name)))
        }
        _ => Ok(()),
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
