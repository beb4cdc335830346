//! Credit notes: what the buyer asks for, and what a person or our own rule grants.

use super::amending::{Phase, Proposed, UNDER_BOND};
use super::stream::Stream;
use crate::crypto::{leaf, salt};
use crate::message::{Ask, Change, Code, Complaint, CreditNote};
use crate::record::{Record, SignedMessage};
use crate::session::windows::Window;
use crate::session::{Fault, Outputs};
use crate::terms::{CREDITED_ITEMS_MAX, Role};
use sdpp_ledger::{Amount, Digest};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The invoiced windows that items can be complained of in: the last so many.
const WINDOWS_KEPT: usize = 1_024;

/// How many notes' ends are remembered for whoever asked for them.
const ENDS_KEPT: usize = 16;

/// Why what is of a leg that is over is not credited.
const EARLIER_LEG: &str = "it is of an earlier leg";

/// What somebody wants credited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The items, in any order.
    pub items: Vec<u64>,
    /// What is wrong with them.
    pub reason: Complaint,
    /// How much, in the currency's smallest unit; `None` for what the items cost.
    pub amount: Option<Amount>,
    /// The buyer's request that this grants.
    pub ask: Option<u64>,
}

/// What became of a credit note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoteEnd {
    /// The buyer has signed it.
    Agreed {
        /// The first item that it is in force for.
        from_seq: u64,
        /// How much it credits, in the currency's smallest unit.
        amount: Amount,
        /// All that is credited with it.
        total: Amount,
    },
    /// It is none, and why.
    Refused(String),
}

/// A request of the buyer's that nobody has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAsk {
    /// Its number.
    pub number: u64,
    /// The item.
    pub seq: u64,
    /// What is wrong with it.
    pub reason: Complaint,
    /// How much is asked for, in the currency's smallest unit.
    pub amount: Amount,
    /// It is granted, and waits for its turn.
    granted: bool,
    /// Why it is not, where its answer has yet to leave.
    refused: Option<&'static str>,
}

/// The credit notes of a session, as the seller has them.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What a person wants credited, until its turn comes.
    wanted: Option<Grant>,
    /// Requests that are not answered, by number.
    asks: BTreeMap<u64, OpenAsk>,
    /// Items that were credited, or are about to be.
    items: BTreeSet<u64>,
    /// What was granted without a person in this session, by the currency's name.
    granted: BTreeMap<String, Amount>,
    windows: VecDeque<Sold>,
    ends: VecDeque<(u64, NoteEnd)>,
}

/// An invoiced window.
#[derive(Debug)]
struct Sold {
    number: u64,
    from_seq: u64,
    to_seq: u64,
    root: Digest,
}

impl Notes {
    /// An invoice leaves: its items can be complained of.
    pub(super) fn sold(&mut self, Window { number, from_seq, to_seq, root, .. }: &Window) {
        if self.windows.len() == WINDOWS_KEPT {
            self.windows.pop_front();
        }
        let (number, from_seq, to_seq, root) = (*number, *from_seq, *to_seq, *root);
        self.windows.push_back(Sold { number, from_seq, to_seq, root });
    }

    /// The windows from this number on are void: nobody can complain of their items.
    pub(super) fn withdraw_from(&mut self, number: u64) {
        self.windows.retain(|sold| sold.number < number);
    }

    /// What became of a note; `None` while it is under way, or where it is long forgotten.
    pub(super) fn note(&self, number: u64) -> Option<&NoteEnd> {
        let mut ends = self.ends.iter().rev();
        ends.find(|(of, _)| *of == number).map(|(_, end)| end)
    }

    /// Requests that nobody has answered, the oldest first.
    pub(super) fn asks(&self) -> impl Iterator<Item = &OpenAsk> {
        self.asks.values()
    }

    /// What is to be credited next: a person's word goes first.
    pub(super) fn next(&mut self) -> Option<Grant> {
        let granted = self.asks.values_mut().find(|ask| ask.granted);
        let of_ask = |ask: &mut OpenAsk| {
            let (items, reason) = (vec![ask.seq], ask.reason);
            Grant { items, reason, amount: Some(ask.amount), ask: Some(ask.number) }
        };
        self.wanted.take().or_else(|| granted.map(of_ask))
    }

    /// A request was answered with a refusal.
    pub(super) fn answered(&mut self, number: u64) {
        self.asks.remove(&number);
    }

    /// Another leg begins: what is wanted and asked for is of the one that is over. `number` is what the
    /// next note would have.
    pub(super) fn begin_leg(&mut self, number: u64) {
        if self.wanted.take().is_some() {
            self.ended(number, NoteEnd::Refused(EARLIER_LEG.to_owned()));
        }
        for ask in self.asks.values_mut() {
            (ask.granted, ask.refused) = (false, ask.refused.or(Some(EARLIER_LEG)));
        }
    }

    /// The buyer has signed a note.
    pub(super) fn agreed(&mut self, number: u64, from_seq: u64, note: CreditNote) {
        let CreditNote { amount, total, items, ask, .. } = note;
        self.asks.retain(|number, _| Some(*number) != ask);
        self.items.extend(items);
        self.ended(number, NoteEnd::Agreed { from_seq, amount, total });
    }

    /// The buyer does not sign a note, which granted this request.
    pub(super) fn refused(&mut self, number: u64, ask: Option<u64>, why: String) {
        self.asks.retain(|number, _| Some(*number) != ask);
        self.ended(number, NoteEnd::Refused(why));
    }

    fn ended(&mut self, number: u64, end: NoteEnd) {
        if self.ends.len() == ENDS_KEPT {
            self.ends.pop_front();
        }
        self.ends.push_back((number, end));
    }
}

impl Stream {
    /// Takes in what a person wants credited; gives the number that the note will have.
    ///
    /// # Errors
    /// Why there will be no such note, as a sentence.
    pub(super) fn want(&mut self, grant: Grant) -> Result<u64, String> {
        let (from_seq, amends) = (self.next_from(), &self.amends);
        if self.terms.bond.is_some() {
            return Err(UNDER_BOND.to_owned());
        }
        if amends.phase != Phase::Open || self.agreed().is_last(from_seq - 1) {
            let why = "no window follows that it could be netted in: \
                       `sdpp dispute bundle` has what proves the session";
            return Err(why.to_owned());
        }
        if amends.notes.wanted.is_some() {
            return Err("another credit note is on its way: try again".to_owned());
        }
        if grant.ask.is_some_and(|ask| !amends.notes.asks.contains_key(&ask)) {
            return Err("the buyer has no such request open".to_owned());
        }
        let items: BTreeSet<u64> = grant.items.iter().copied().collect();
        let sent = self.windows.items();
        if items.is_empty() || items.len() > CREDITED_ITEMS_MAX {
            return Err(format!("name 1 to {CREDITED_ITEMS_MAX} items"));
        }
        if let Some(seq) = items.iter().find(|seq| !(1..=sent).contains(*seq)) {
            return Err(format!("item {seq} was not sent: {sent} items were"));
        }
        let leg_from = self.agreed().last_leg().from_seq;
        if let Some(seq) = items.iter().find(|seq| **seq < leg_from) {
            return Err(format!(
                "item {seq} is of an earlier leg: only the one that is on is credited"
            ));
        }
        let amount = grant.amount.or_else(|| self.price_of(&items)).ok_or("it is too much")?;
        let total = self.agreed().last_leg().credited().checked_add(amount);
        let price = self.agreed().last_leg().price_of(sent);
        if amount == Amount::ZERO || total.is_none() || total > price {
            let price = price.unwrap_or_default();
            return Err(format!("{amount} cannot be credited: {sent} items cost {price} in all"));
        }
        let (items, amount) = (items.into_iter().collect(), Some(amount));
        self.amends.notes.wanted = Some(Grant { items, amount, ..grant });
        Ok(self.amends.sent + 1)
    }

    /// Answers a request for a person who does not grant it.
    ///
    /// # Errors
    /// When there is no such request, as a sentence.
    pub(super) fn decline(&mut self, ask: u64, why: &str, out: &mut Outputs) -> Result<(), String> {
        let is_under_way = self.amends.proposed.as_ref().and_then(Proposed::ask) == Some(ask);
        if is_under_way || !self.amends.notes.asks.contains_key(&ask) {
            return Err(format!("the buyer has no request {ask} open"));
        }
        self.refuse_note(ask, why, out);
        Ok(())
    }

    /// Sends the note of what is to be credited.
    pub(super) fn propose_credit(&mut self, grant: Grant, now_ms: u64, out: &mut Outputs) {
        let (number, ask) = (self.amends.sent + 1, grant.ask);
        if ask.is_some_and(|ask| !self.amends.notes.asks.contains_key(&ask)) {
            // Our own rule or another person was first, and a request has one answer.
            let why = "the buyer's request was answered meanwhile".to_owned();
            return self.amends.notes.ended(number, NoteEnd::Refused(why));
        }
        let proposed = self
            .note_of(grant)
            .and_then(|note| self.propose_change(Change::Credit(note), now_ms, out));
        if let Err(why) = proposed {
            self.amends.notes.ended(number, NoteEnd::Refused(why.clone()));
            ask.into_iter().for_each(|ask| self.refuse_note(ask, &why, out));
        }
    }

    fn note_of(&self, Grant { items, reason, amount, ask }: Grant) -> Result<CreditNote, String> {
        let amount = amount.filter(|amount| *amount > Amount::ZERO);
        let amount = amount.ok_or("there is nothing to credit")?;
        let total = self.agreed().last_leg().credited().checked_add(amount);
        let total = total.ok_or("the credits pass 128 bits")?;
        Ok(CreditNote { amount, total, items, reason, ask })
    }

    /// No window follows any more: what is not credited by now is not.
    pub(super) fn end_notes(&mut self, why: &str, out: &mut Outputs) {
        if self.amends.notes.wanted.take().is_some() {
            self.amends.notes.ended(self.amends.sent + 1, NoteEnd::Refused(why.to_owned()));
        }
        // What is granted with a note that is out is answered by that.
        let granted = self.amends.proposed.as_ref().and_then(Proposed::ask);
        let asks = self.amends.notes.asks.keys().copied().filter(|ask| Some(*ask) != granted);
        asks.collect::<Vec<u64>>().into_iter().for_each(|ask| self.refuse_note(ask, why, out));
    }

    fn refuse_note(&mut self, number: u64, why: &str, out: &mut Outputs) {
        self.amends.notes.asks.remove(&number);
        self.refuse(number, why, out);
    }

    /// A request: granted up to what our own rule allows, else kept for a person.
    pub(super) fn hear_ask(
        &mut self,
        number: u64,
        ask: &Ask,
        message: SignedMessage,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        self.count_ask(number)?;
        let is_known = self.is_sold(number, ask)?;
        out.record(Record::Amend { by: Role::Buyer, message });
        if self.amends.phase == Phase::Over {
            return Ok(());
        }
        let refused = match is_known {
            _ if self.amends.phase == Phase::Ending => Some("no window follows to net it in"),
            false => Some("its window is too long ago"),
            true => None,
        };
        self.keep_ask(number, ask, refused);
        self.refuse_asks(out);
        Ok(())
    }

    /// A request that was heard in an earlier life of this process. Where it was refused that follows on
    /// record, or is said once the buyer is back.
    pub(super) fn recall_ask(&mut self, number: u64, ask: &Ask) {
        self.keep_ask(number, ask, None);
    }

    /// Takes a request in, which may be refused already.
    fn keep_ask(&mut self, number: u64, ask: &Ask, refused: Option<&'static str>) {
        let cost = self.price_of(&BTreeSet::from([ask.seq])).unwrap_or_default();
        let (seq, reason, amount) = (ask.seq, ask.reason, ask.amount.unwrap_or(cost));
        let refused = refused.or_else(|| self.no_credit(seq, amount));
        let granted = refused.is_none() && self.grants(amount, cost);
        let ask = OpenAsk { number, seq, reason, amount, granted, refused };
        self.amends.notes.asks.insert(number, ask);
    }

    /// Why nobody could grant a request, whatever our own rule allows.
    fn no_credit(&self, seq: u64, amount: Amount) -> Option<&'static str> {
        let Notes { asks, items, .. } = &self.amends.notes;
        if seq < self.agreed().last_leg().from_seq {
            return Some(EARLIER_LEG);
        }
        if items.contains(&seq) || asks.values().any(|other| other.seq == seq) {
            return Some("it was asked for already");
        }
        (amount == Amount::ZERO).then_some("the item cost nothing")
    }

    /// Answers the requests that are refused.
    pub(super) fn refuse_asks(&mut self, out: &mut Outputs) {
        let refused = |ask: &OpenAsk| Some((ask.number, ask.refused?));
        let all: Vec<_> = self.amends.notes.asks().filter_map(refused).collect();
        all.into_iter().for_each(|(number, why)| self.refuse_note(number, why, out));
    }

    /// Whether the item is in a window that we still know; a proof that is none is misconduct.
    fn is_sold(&self, number: u64, ask: &Ask) -> Result<bool, Fault> {
        let Ask { seq, invoice, ref body, ref proof, .. } = *ask;
        let wrong =
            |why: &str| Fault::theirs(Code::BadItem, format!("item {seq} was asked for: {why}"));
        if invoice == 0 || invoice > self.windows.closed() {
            return Err(wrong("no such invoice was sent"));
        }
        let Some(sold) = self.amends.notes.windows.iter().find(|sold| sold.number == invoice)
        else {
            return match self.amends.notes.windows.back().is_some_and(|last| last.number >= invoice)
            {
                true => Ok(false),
                false => Err(wrong("no such invoice was sent")),
            };
        };
        let place = seq.checked_sub(sold.from_seq).filter(|_| seq <= sold.to_seq);
        let count = sold.to_seq + 1 - sold.from_seq;
        if (place, count) != (Some(proof.index.into()), proof.count.into()) {
            return Err(wrong("it does not stand in that invoice's window"));
        }
        let item = match self.open_ask(number, &body.0) {
            // It was sealed under a key that went with an earlier life of this process.
            Err(_) if self.forgot_keys => return Ok(false),
            item => item.map_err(|error| wrong(&error.to_string()))?,
        };
        let salt = salt(self.keys.salt_secret(), seq);
        let leaf = leaf(&self.terms.session, seq, &salt, &item);
        if leaf != ask.leaf || !proof.verify(&leaf, &sold.root) {
            return Err(wrong("the proof does not lead to the invoiced root"));
        }
        Ok(true)
    }

    /// Whether our own rule grants this without a person; then it counts as granted, in whichever legs
    /// this currency is paid.
    fn grants(&mut self, amount: Amount, cost: Amount) -> bool {
        let name = self.agreed().last_leg().currency.name.clone();
        let most = self.offer.policy.credit_up_to.get(&name).copied();
        let granted = self.amends.notes.granted.entry(name).or_default();
        let all = granted.checked_add(amount).filter(|_| self.terms.bond.is_none());
        let all = all.filter(|all| amount <= cost && most.is_some_and(|most| *all <= most));
        *granted = all.unwrap_or(*granted);
        all.is_some()
    }

    /// What these items cost, in the way that totals count them, without what their leg took over from the
    /// one before.
    fn price_of(&self, items: &BTreeSet<u64>) -> Option<Amount> {
        let price = |seq: &u64| {
            let leg = self.agreed().leg(*seq);
            let up_to = |seq| leg.price_for(leg.given(seq));
            Some(up_to(*seq)?.saturating_sub(up_to(seq.checked_sub(1)?)?))
        };
        let sum = |sum: Amount, seq| sum.checked_add(price(seq)?);
        items.iter().try_fold(Amount::ZERO, sum)
    }
}
