//! Changes inside a session, as the seller has them: what is to change (credit notes, paces, legs), what
//! waits for the buyer's signature, and what both have signed. One change is under way at a time, and
//! no item that it is in force for leaves before the buyer's answer is here.

use super::crediting::{Grant, Notes};
use super::legs::LegAsk;
use super::stream::Stream;
use crate::message::{
    Agreement, Amend, Change, Code, Draft, Envelope, LegChange, PaceChange, Refused, Word, legible,
    reread,
};
use crate::record::{Record, SignedMessage};
use crate::session::{ASKS_OPEN_MAX, Fault, Outputs, unexpected};
use crate::terms::{AMENDS_MAX, Leg, Pace, Role, Terms, Void};

/// The most changes after which our own rule asks for no other pace: the rest is for people.
const PACED_BY_RULE_MAX: u64 = AMENDS_MAX / 2;

/// The changes of a session, as the seller has them.
#[derive(Debug)]
pub(super) struct Amends {
    pub(super) agreement: Agreement,
    /// Proposals that were sent.
    pub(super) sent: u64,
    /// Requests that were heard.
    heard: u64,
    /// What waits for the buyer's signature.
    pub(super) proposed: Option<Proposed>,
    /// Credit notes.
    pub(super) notes: Notes,
    /// The pace that is wanted, until its turn comes.
    pace: Option<PaceChange>,
    /// The buyer's request to pay otherwise.
    pub(super) leg: Option<LegAsk>,
    /// The last pace that the buyer did not take: our own rule does not ask for it again.
    refused_pace: Option<Pace>,
    pub(super) phase: Phase,
}

/// A change that waits for the buyer's signature.
#[derive(Debug)]
pub(super) struct Proposed {
    number: u64,
    from_seq: u64,
    change: Change,
    since_ms: u64,
}

/// How far the session is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Windows follow.
    #[default]
    Open,
    /// None does: there is nothing to change for.
    Ending,
    /// Our exit is out: nothing more is said.
    Over,
}

/// What is to change next.
enum Wanted {
    Credit(Grant),
    Pace(PaceChange),
    Leg(Box<LegChange>),
}

impl Proposed {
    /// The buyer's request that a credit note grants.
    pub(super) fn ask(&self) -> Option<u64> {
        match &self.change {
            Change::Credit(note) => note.ask,
            _ => None,
        }
    }

    /// The places that it declares void.
    pub(super) fn void(&self) -> Option<Void> {
        match self.change {
            Change::Void(void) => Some(void.places(self.from_seq)),
            _ => None,
        }
    }

    fn what(&self) -> &'static str {
        match self.change {
            Change::Credit(_) => "credit note",
            Change::Pace(_) => "change of pace",
            Change::Leg(_) => "leg",
            Change::Void(_) => "void",
            _ => "change",
        }
    }
}

/// Why a session under a bond is as it was ordered.
pub(super) const UNDER_BOND: &str =
    "nothing is changed in a session under a bond: its contract is shown what was ordered";

impl Amends {
    pub(super) fn new(terms: &Terms) -> Self {
        Amends {
            agreement: Agreement::new(terms),
            sent: 0,
            heard: 0,
            proposed: None,
            notes: Notes::default(),
            pace: None,
            leg: None,
            refused_pace: None,
            phase: Phase::default(),
        }
    }

    /// The first item that must not leave, while a change waits for the buyer's signature.
    pub(super) fn stops_at(&self) -> u64 {
        self.proposed.as_ref().map_or(u64::MAX, |proposed| proposed.from_seq)
    }

    /// The buyer's time to answer begins anew.
    pub(super) fn wait_from(&mut self, now_ms: u64) {
        self.proposed.iter_mut().for_each(|proposed| proposed.since_ms = now_ms);
    }

    /// Since when the buyer owes an answer.
    pub(super) fn unanswered_since_ms(&self) -> Option<u64> {
        self.proposed.as_ref().map(|proposed| proposed.since_ms)
    }

    /// What the buyer owes an answer to.
    pub(super) fn unanswered(&self) -> &'static str {
        self.proposed.as_ref().map_or("change", Proposed::what)
    }
}

impl Stream {
    /// Takes in the pace that windows to come are to have.
    ///
    /// # Errors
    /// Why they will not, as a sentence.
    pub(super) fn want_pace(&mut self, change: PaceChange) -> Result<(), String> {
        change.pace.check()?;
        if self.terms.bond.is_some() {
            return Err(UNDER_BOND.to_owned());
        }
        if self.amends.phase != Phase::Open || self.agreed().is_last(self.next_from() - 1) {
            return Err("no window follows that could have another pace".to_owned());
        }
        self.amends.pace = Some(change).filter(|change| change.pace != self.pace_ahead());
        Ok(())
    }

    /// A window is closed: our own rule says at which pace the session goes on.
    pub(super) fn see_to_pace(&mut self) {
        let Some(rule) = &self.rule else { return };
        let Some((pace, why)) = rule.pace(&self.pace_facts()) else { return };
        let is_new = pace != self.pace_ahead() && self.amends.refused_pace != Some(pace);
        if self.amends.sent < PACED_BY_RULE_MAX && is_new {
            // Where no window follows there is nothing to change.
            let _ = self.want_pace(PaceChange { pace, why });
        }
    }

    /// Reserves the seqs that may leave once all items up to this one have. What was reserved for a
    /// faster pace stays so.
    pub(super) fn reserve(&mut self, seq: u64, out: &mut Outputs) {
        let credit = self.agreed().pace(seq.saturating_add(1)).credit_items();
        let to_seq = seq.saturating_add(credit);
        if to_seq > self.reserved_seq {
            self.reserved_seq = to_seq;
            out.record(Record::Reserved { to_seq });
        }
    }

    /// The pace of windows to come as it is agreed, or about to be.
    fn pace_ahead(&self) -> Pace {
        match self.amends.proposed.as_ref().map(|proposed| &proposed.change) {
            Some(Change::Pace(change)) => change.pace,
            _ => self.agreed().pace(self.next_from()),
        }
    }

    /// Proposes what is to change next, if nothing is under way.
    pub(super) fn propose(&mut self, now_ms: u64, out: &mut Outputs) {
        if self.again.is_none() {
            self.refuse_asks(out);
        }
        // The first window is as it was ordered.
        while self.amends.proposed.is_none()
            && self.again.is_none()
            && self.next_from() > 1
            && let Some(wanted) = self.next_change(out)
        {
            match wanted {
                Wanted::Credit(grant) => self.propose_credit(grant, now_ms, out),
                Wanted::Leg(change) => self.propose_leg(*change, now_ms, out),
                // Nobody waits for it: what cannot be is left as it is.
                Wanted::Pace(change) => {
                    drop(self.propose_change(Change::Pace(change), now_ms, out));
                }
            }
        }
    }

    /// What is to change next: a person's word goes first. What lets more be out unsecured waits for
    /// the shell's answer.
    fn next_change(&mut self, out: &mut Outputs) -> Option<Wanted> {
        if let Some(grant) = self.amends.notes.next() {
            return Some(Wanted::Credit(grant));
        }
        let ready = self.amends.leg.as_ref().and_then(LegAsk::to_propose);
        let ready = ready.map(|change| (change.price, change.currency.currency()));
        if let Some((price, currency)) = ready {
            let may = self.may_begin(price, &currency, out);
            let leg = self.amends.leg.as_mut().filter(|_| may);
            return leg.and_then(LegAsk::ready).map(Wanted::Leg);
        }
        let may = self.amends.pace.is_some_and(|change| self.may_pace(change.pace, out));
        self.amends.pace.take_if(|_| may).map(Wanted::Pace)
    }

    /// Whether more may be out unsecured, as we asked: what wanted that is dropped where not.
    pub(super) fn hear_credit(&mut self, granted: Result<(), String>, out: &mut Outputs) {
        let Some(currency) = self.granted(granted.is_ok()) else { return };
        let why = granted.err().unwrap_or_default();
        let ready = self.amends.leg.as_ref().and_then(LegAsk::to_propose);
        if ready.is_some_and(|change| change.currency.currency == currency) {
            self.refuse_leg(&why, out);
        } else if let Some(change) = self.amends.pace.take() {
            self.amends.refused_pace = Some(change.pace);
        }
    }

    /// Sends a change that is to be in force from the next window on.
    ///
    /// # Errors
    /// What makes it none, as a sentence.
    pub(super) fn propose_change(
        &mut self,
        change: Change,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), String> {
        self.propose_from(self.next_from(), change, now_ms, out)
    }

    /// The same, from an item on.
    pub(super) fn propose_from(
        &mut self,
        from_seq: u64,
        change: Change,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), String> {
        let (number, by) = (self.amends.sent + 1, Role::Seller);
        if number > AMENDS_MAX {
            return Err(format!("a session has {AMENDS_MAX} changes at most"));
        }
        let amend = Amend { number, by, from_seq, change: change.clone() };
        let draft = Draft::new(self.terms.session, &amend);
        let (message, frame) = draft.sign(&self.offer.key, "");
        self.amends.agreement.take(by, &message)?;
        out.record(Record::Amend { by, message });
        out.send(frame);
        self.amends.sent = number;
        self.amends.proposed = Some(Proposed { number, from_seq, change, since_ms: now_ms });
        Ok(())
    }

    /// No window follows any more: what is not changed by now is not.
    pub(super) fn end_amends(&mut self, out: &mut Outputs) {
        if self.amends.phase == Phase::Open {
            self.amends.phase = Phase::Ending;
            self.amends.pace = None;
            self.end_legs(out);
            self.end_notes("the session ends, and no window follows to net it in", out);
        }
    }

    /// Our exit leaves: no word about amends after it.
    pub(super) fn amends_over(&mut self) {
        self.amends.phase = Phase::Over;
    }

    /// Takes the buyer's word about a change.
    pub(super) fn hear_amend(
        &mut self,
        envelope: &Envelope<'_>,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let verified = envelope.signed_by::<Amend>(&self.terms.buyer, self.terms.session)?;
        let message = verified.message.ok_or_else(|| Fault::ours("an amend without signature"))?;
        let evidence = message.clone();
        let Amend { number, by, change, .. } = verified.body;
        match (by, change) {
            (Role::Seller, Change::Refused(Refused { why })) => {
                self.hear_refusal(number, &why, message, out)
            }
            (Role::Seller, _) => self.hear_agreement(message, out),
            (Role::Buyer, Change::Ask(ask)) => self.hear_ask(number, &ask, message, out),
            (Role::Buyer, Change::AskLeg(ask)) => self.hear_ask_leg(number, ask, message, out),
            (Role::Buyer, Change::Unknown) => {
                self.count_ask(number)?;
                out.record(Record::Amend { by, message });
                self.refuse(number, "this seller knows no such change", out);
                Ok(())
            }
            (Role::Buyer, _) => Err(bad("a buyer proposes no such change")),
        }
        .map_err(|fault| fault.shown_by([evidence]))
    }

    /// The buyer's signature under the very change that waits for it.
    fn hear_agreement(&mut self, message: SignedMessage, out: &mut Outputs) -> Result<(), Fault> {
        let what = self.amends.unanswered();
        let other = || bad(format!("what the buyer signed is not the {what} that was proposed"));
        let proposed = self.amends.proposed.take().ok_or_else(other)?;
        match self.amends.agreement.take(Role::Buyer, &message) {
            Ok(Word::Agreed | Word::Voided(_)) => {}
            _ => return Err(other()),
        }
        out.record(Record::Amend { by: Role::Buyer, message });
        self.agreed_to(proposed, out)
    }

    /// What was proposed is in force.
    fn agreed_to(&mut self, proposed: Proposed, out: &mut Outputs) -> Result<(), Fault> {
        let Proposed { number, from_seq, change, .. } = proposed;
        match change {
            Change::Credit(note) => self.amends.notes.agreed(number, from_seq, note),
            Change::Pace(_) => self.reserve(from_seq - 1, out),
            Change::Leg(_) => self.begin_leg(from_seq, out),
            Change::Void(void) => self.voided(void.places(from_seq), out)?,
            _ => {}
        }
        Ok(())
    }

    /// A word of ours that left in an earlier life of this process. Gives the leg that it proposes, where
    /// it does.
    pub(super) fn recall_our_amend(
        &mut self,
        message: &SignedMessage,
        now_ms: u64,
    ) -> Result<Option<Leg>, String> {
        if self.amends.agreement.take(Role::Seller, message)? != Word::Proposed {
            self.amends.notes.answered(message.number);
            self.amends.leg.take_if(|leg| leg.is_number(message.number));
            return Ok(None);
        }
        let amend = reread::<Amend>(message).map_err(|error| error.to_string())?;
        let Amend { number, from_seq, change, .. } = amend;
        let mut then = self.agreed().clone();
        let leg = match &change {
            Change::Leg(leg) => {
                let currency = leg.currency.currency();
                then.begin_leg(from_seq, leg.price, currency, leg.in_escrow())?;
                Some(then.last_leg().clone())
            }
            _ => None,
        };
        self.amends.sent = number;
        self.amends.proposed = Some(Proposed { number, from_seq, change, since_ms: now_ms });
        Ok(leg)
    }

    /// A word of the buyer's that was heard then. What it led to is on record after it.
    pub(super) fn recall_their_amend(
        &mut self,
        message: &SignedMessage,
        out: &mut Outputs,
    ) -> Result<(), String> {
        let amend = reread::<Amend>(message).map_err(|error| error.to_string())?;
        match (amend.by, amend.change) {
            (Role::Seller, Change::Refused(Refused { why })) => {
                let is_it = |proposed: &mut Proposed| proposed.number == amend.number;
                let proposed = self.amends.proposed.take_if(is_it);
                proposed
                    .map_or(Ok(()), |proposed| self.refused_by(proposed, &why))
                    .map_err(|fault| fault.why)?;
            }
            (Role::Seller, _) => {
                let word = self.amends.agreement.take(Role::Buyer, message)?;
                let is_agreed = matches!(word, Word::Agreed | Word::Voided(_));
                let proposed = self.amends.proposed.take_if(|_| is_agreed);
                let agreed = proposed.map_or(Ok(()), |proposed| self.agreed_to(proposed, out));
                agreed.map_err(|fault| fault.why)?;
            }
            (Role::Buyer, change) => {
                self.amends.heard = amend.number;
                match change {
                    Change::Ask(ask) => self.recall_ask(amend.number, &ask),
                    Change::AskLeg(ask) => self.recall_ask_leg(amend.number, ask),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn hear_refusal(
        &mut self,
        number: u64,
        why: &str,
        message: SignedMessage,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let is_it = |proposed: &mut Proposed| proposed.number == number;
        let proposed = self.amends.proposed.take_if(is_it);
        let proposed = proposed.ok_or_else(|| bad("the buyer refuses what was not proposed"))?;
        out.record(Record::Amend { by: Role::Buyer, message });
        self.refused_by(proposed, why)
    }

    /// The buyer does not sign what was proposed. Only without a void nothing goes on.
    fn refused_by(&mut self, proposed: Proposed, why: &str) -> Result<(), Fault> {
        match proposed.change {
            Change::Credit(note) => {
                let why = format!("the buyer refuses it: {}", legible(why));
                self.amends.notes.refused(proposed.number, note.ask, why);
            }
            Change::Pace(change) => self.amends.refused_pace = Some(change.pace),
            Change::Leg(_) => self.leg_refused(),
            Change::Void(_) => {
                let why = legible(why);
                let why = format!("the buyer does not sign that what is lost is void: {why}");
                return Err(Fault::ours(why));
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts a request. A buyer that waits for no answers is not served.
    pub(super) fn count_ask(&mut self, number: u64) -> Result<(), Fault> {
        if number != self.amends.heard + 1 {
            let next = self.amends.heard + 1;
            return Err(bad(format!("the buyer's amend {number} comes where {next} is due")));
        }
        if number > AMENDS_MAX || self.amends.notes.asks().count() >= ASKS_OPEN_MAX {
            return Err(unexpected("one more request", Some(self.terms.session)));
        }
        self.amends.heard = number;
        Ok(())
    }

    /// Answers a request with a reason why not.
    pub(super) fn refuse(&mut self, number: u64, why: &str, out: &mut Outputs) {
        let change = Change::Refused(Refused { why: legible(why) });
        let amend = Amend { number, by: Role::Buyer, from_seq: 0, change };
        let (message, frame) = Draft::new(self.terms.session, &amend).sign(&self.offer.key, "");
        out.record(Record::Amend { by: Role::Seller, message });
        out.send(frame);
    }
}

fn bad(why: impl Into<String>) -> Fault {
    Fault::theirs(Code::BadAmend, why)
}
