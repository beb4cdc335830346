//! Changes inside a session, as the buyer has them: it asks for a credit note with the proof of the
//! item, and signs at once what the seller proposes where it fits: a credit note always, for that only
//! ever favours us, another pace where we can bear it.

use super::stream::Stream;
use crate::crypto::layout::MessageKind;
use crate::crypto::{leaf, salt};
use crate::message::{
    Agreement, Amend, Ask, AskLeg, Base64, Change, Code, Complaint, CreditNote, Draft, Envelope,
    PaceChange, Refused, Word, legible, reread,
};
use crate::record::{Record, SignedMessage};
use crate::session::{ASKS_OPEN_MAX, Fault, Outputs, unexpected};
use crate::terms::{AMENDS_MAX, Role, Terms};
use sdpp_ledger::{Amount, Digest, merkle};
use std::collections::{BTreeMap, VecDeque};

/// How many answers are remembered for whoever asked.
const ANSWERS_KEPT: usize = 16;

/// What we complain of, with what the journal has of its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complain {
    /// The item.
    pub seq: u64,
    /// What is wrong with it.
    pub reason: Complaint,
    /// How much is asked for, in the currency's smallest unit; `None` for what the item costs.
    pub amount: Option<Amount>,
    /// The item's bytes as they were delivered.
    pub item: Vec<u8>,
    /// The number of its window's invoice.
    pub invoice: u64,
    /// The first seq of that window.
    pub from_seq: u64,
    /// All leaves of that window.
    pub leaves: Vec<Digest>,
}

/// What the seller says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// So much is credited, and both have signed it.
    Credited {
        /// By this note, in the currency's smallest unit.
        amount: Amount,
        /// The first item that it is in force for.
        from_seq: u64,
    },
    /// Nothing is, and why.
    Refused(String),
}

/// The changes of a session, as the buyer has them.
#[derive(Debug)]
pub(super) struct Amends {
    pub(super) agreement: Agreement,
    /// Proposals that were heard.
    heard: u64,
    /// Requests that were sent.
    pub(super) sent: u64,
    /// Requests that are not answered, and their items.
    open: BTreeMap<u64, u64>,
    answers: VecDeque<(u64, Answer)>,
}

impl Amends {
    pub(super) fn new(terms: &Terms) -> Self {
        Amends {
            agreement: Agreement::new(terms),
            heard: 0,
            sent: 0,
            open: BTreeMap::new(),
            answers: VecDeque::new(),
        }
    }

    /// The seller's answer to a request; `None` while there is none, or it is long forgotten.
    pub(super) fn answer(&self, number: u64) -> Option<&Answer> {
        self.answers.iter().rev().find(|(of, _)| *of == number).map(|(_, answer)| answer)
    }

    fn answered(&mut self, number: u64, answer: Answer) -> Result<(), Fault> {
        let open = self.open.remove(&number);
        open.ok_or_else(|| bad(format!("it answers request {number}, which is not open")))?;
        if self.answers.len() == ANSWERS_KEPT {
            self.answers.pop_front();
        }
        self.answers.push_back((number, answer));
        Ok(())
    }
}

impl Stream {
    /// Asks the seller to credit an item; gives the number of the request.
    ///
    /// # Errors
    /// Why it is not asked for, as a sentence.
    pub(super) fn ask(&mut self, complain: Complain, out: &mut Outputs) -> Result<u64, String> {
        let Complain { seq, reason, amount, item, invoice, from_seq, leaves } = complain;
        let number = self.amends.sent + 1;
        if number > AMENDS_MAX || self.amends.open.len() >= ASKS_OPEN_MAX {
            return Err("too much is asked for already: wait for the answers".to_owned());
        }
        if self.amends.open.values().any(|open| *open == seq) {
            return Err(format!("item {seq} is asked for already"));
        }
        if !self.may_seal {
            return Err("the session has no connection since it was read back: ask again once it \
                        goes on"
                .to_owned());
        }
        let salt = salt(self.keys.salt_secret(), seq);
        let leaf = leaf(&self.terms.session, seq, &salt, &item);
        let place = seq.checked_sub(from_seq).and_then(|place| usize::try_from(place).ok());
        let place = place.filter(|place| leaves.get(*place) == Some(&leaf));
        let proof = place.and_then(|place| merkle::prove(&leaves, place));
        let proof = proof.ok_or_else(|| format!("this is not item {seq} as it was delivered"))?;
        let by = Role::Buyer;
        let sealed = self.keys.from(by).seal(MessageKind::Amend, number, &item);
        let body = Base64(sealed.map_err(|error| error.to_string())?);
        let change = Change::Ask(Ask { seq, reason, amount, body, leaf, invoice, proof });
        let draft = Draft::new(self.terms.session, &Amend { number, by, from_seq: 0, change });
        let (message, frame) = draft.sign(&self.key, "");
        out.record(Record::Amend { by, message });
        out.send(frame);
        self.asks(number, seq);
        Ok(number)
    }

    /// Takes the seller's word about a change.
    pub(super) fn hear_amend(
        &mut self,
        envelope: &Envelope<'_>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let verified = envelope.signed_by::<Amend>(&self.terms.seller, self.terms.session)?;
        let message = verified.message.ok_or_else(|| Fault::ours("an amend without signature"))?;
        let evidence = message.clone();
        let Amend { number, by, from_seq, change } = verified.body;
        match (by, change) {
            // Without its words nobody could tell later that what we refused moves no price.
            (Role::Seller, _) if message.data.is_none() => {
                Err(bad(format!("change {number}: it is too long")))
            }
            (Role::Seller, change @ (Change::Pace(_) | Change::Leg(_)))
                if self.lacks_before(from_seq) =>
            {
                self.refuse_unready((number, from_seq), &change, message, out)
            }
            (Role::Seller, Change::Void(change)) => {
                self.hear_void(number, change.places(from_seq), message, out)
            }
            (Role::Seller, Change::Credit(note)) => {
                self.hear_credit((number, from_seq), note, message, out)
            }
            (Role::Seller, Change::Pace(change)) => {
                self.hear_pace((number, from_seq), change, message, out)
            }
            (Role::Seller, Change::Leg(change)) => {
                self.hear_leg((number, from_seq), &change, message, now_ms, out)
            }
            (Role::Seller, Change::Unknown) => {
                self.count(number)?;
                self.refuse((number, from_seq), "this buyer knows no such change", message, out);
                Ok(())
            }
            (Role::Buyer, Change::Refused(_)) if self.turning.asked(number) => {
                out.record(Record::Amend { by: Role::Seller, message });
                self.not_turned(out);
                Ok(())
            }
            (Role::Buyer, Change::Refused(Refused { why })) => {
                self.amends.answered(number, Answer::Refused(legible(&why)))?;
                out.record(Record::Amend { by: Role::Seller, message });
                Ok(())
            }
            _ => Err(bad("the seller's amend proposes nothing and answers nothing")),
        }
        .map_err(|fault| fault.shown_by([evidence]))
    }

    /// A credit note that fits is signed.
    fn hear_credit(
        &mut self,
        (number, from_seq): (u64, u64),
        note: CreditNote,
        message: SignedMessage,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let draft = self.check_change("credit note", number, from_seq, &message)?;
        let CreditNote { amount, ask, .. } = note;
        if let Some(ask) = ask {
            self.amends.answered(ask, Answer::Credited { amount, from_seq })?;
        }
        self.agree(draft, message, out)
    }

    /// Another pace is signed where we can hold so many leaves and pay for so many items; else it is
    /// refused, and nothing is wrong with that.
    fn hear_pace(
        &mut self,
        (number, from_seq): (u64, u64),
        PaceChange { pace, .. }: PaceChange,
        message: SignedMessage,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let draft = self.check_change("change of pace", number, from_seq, &message)?;
        let most = self.granularity_max;
        if pace.granularity > most {
            let why = format!("this buyer takes {most} items to a window at most");
            self.refuse((number, from_seq), &why, message, out);
            return Ok(());
        }
        if !self.bears(from_seq - 1, pace) {
            let why = "so many items on credit are more than this buyer wants to pay for";
            self.refuse((number, from_seq), why, message, out);
            return Ok(());
        }
        self.agree(draft, message, out)
    }

    /// A change must be the next one, in force from the next window on, and fit what was agreed; a credit
    /// note may also come from behind what was lost before it came. Gives its bytes, to be signed as they
    /// came.
    pub(super) fn check_change(
        &mut self,
        what: &str,
        number: u64,
        from_seq: u64,
        message: &SignedMessage,
    ) -> Result<Draft, Fault> {
        self.count(number)?;
        let wrong = |why: String| bad(format!("{what} {number}: {why}"));
        if from_seq != self.next_from() && !self.lacks_before(from_seq) {
            return Err(wrong(format!("item {from_seq} does not begin the next window")));
        }
        let draft = Draft::same_as(message).ok_or_else(|| wrong("it is too long".to_owned()))?;
        let proposed = self.amends.agreement.take(Role::Seller, message);
        if proposed.map_err(bad)? != Word::Proposed {
            return Err(wrong("it credits nothing".to_owned()));
        }
        Ok(draft)
    }

    /// Signs a change as it came, to the byte.
    pub(super) fn agree(
        &mut self,
        draft: Draft,
        message: SignedMessage,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let (answer, frame) = draft.sign(&self.key, &message.verification);
        let agreed = self.amends.agreement.take(Role::Buyer, &answer).map_err(bad)?;
        debug_assert!(matches!(agreed, Word::Agreed | Word::Voided(_)), "it is the same layout");
        out.record(Record::Amend { by: Role::Seller, message });
        out.record(Record::Amend { by: Role::Buyer, message: answer });
        out.send(frame);
        Ok(())
    }

    /// What one of us said of a change, read back. Gives the leg's request, where that is what was
    /// asked for.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(super) fn said_of_change(
        &mut self,
        by: Role,
        message: &SignedMessage,
    ) -> Result<Option<AskLeg>, String> {
        let word = self.amends.agreement.take(by, message)?;
        if let Word::Voided(void) = word {
            self.voided(void);
        }
        let body = message.data.is_some().then(|| reread::<Amend>(message)).transpose();
        let body = body.map_err(|error| error.to_string())?;
        let number = message.number;
        match (by, body.map(|body| (body.by, body.change))) {
            // Long words are items that we complain of, or a change that nobody here knows.
            (Role::Buyer, None) => self.asks(number, 0),
            (Role::Buyer, Some((Role::Buyer, Change::Ask(ask)))) => self.asks(number, ask.seq),
            (Role::Buyer, Some((Role::Buyer, Change::AskLeg(ask)))) => {
                self.amends.sent = number;
                return Ok(Some(ask));
            }
            (Role::Buyer, Some((_, Change::Leg(_)))) => self.answered_again(word == Word::Agreed),
            (Role::Buyer, Some(_)) => {}
            (Role::Seller, Some((Role::Buyer, _))) if self.turning.asked(number) => {
                self.answered_again(false);
            }
            (Role::Seller, Some((Role::Buyer, _))) => drop(self.amends.open.remove(&number)),
            (Role::Seller, change) => {
                self.amends.heard = number;
                if let Some((_, Change::Credit(CreditNote { ask: Some(ask), .. }))) = change {
                    self.amends.open.remove(&ask);
                }
            }
        }
        Ok(None)
    }

    fn asks(&mut self, number: u64, seq: u64) {
        self.amends.sent = number;
        self.amends.open.insert(number, seq);
    }

    pub(super) fn count(&mut self, number: u64) -> Result<(), Fault> {
        if number != self.amends.heard + 1 {
            let next = self.amends.heard + 1;
            return Err(bad(format!("the seller's amend {number} comes where {next} is due")));
        }
        if number > AMENDS_MAX {
            return Err(unexpected("one more amend", Some(self.terms.session)));
        }
        self.amends.heard = number;
        Ok(())
    }

    /// Does not agree to a change: the session goes on without it.
    pub(super) fn refuse(
        &mut self,
        (number, from_seq): (u64, u64),
        why: &str,
        proposed: SignedMessage,
        out: &mut Outputs,
    ) {
        out.record(Record::Amend { by: Role::Seller, message: proposed });
        let change = Change::Refused(Refused { why: why.to_owned() });
        let amend = Amend { number, by: Role::Seller, from_seq, change };
        let (message, frame) = Draft::new(self.terms.session, &amend).sign(&self.key, "");
        out.record(Record::Amend { by: Role::Buyer, message });
        out.send(frame);
    }
}

pub(super) fn bad(why: impl Into<String>) -> Fault {
    Fault::theirs(Code::BadAmend, why)
}
