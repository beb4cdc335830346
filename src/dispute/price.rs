//! What items cost under the terms and what was changed since: credit notes, paces and legs. All
//! money of a verdict is counted here.

use super::case::{Case, Signed};
use super::papers::SAME_MAX;
use super::verdict::{Misdeed, Offence, Paper};
use crate::crypto::layout::MessageKind;
use crate::message::{Agreement, Amend, Change, Invoice, InvoicePace, Menu, Quote, Word, reread};
use crate::terms::{AMENDS_MAX, Agreed, Leg, Role};
use sdpp_ledger::{Amount, ChannelId, Digest};
use std::collections::{BTreeMap, BTreeSet};

/// What items cost.
pub(super) struct Price {
    agreement: Agreement,
    /// Where the menu's rate comes from.
    quote: Option<Quote>,
    /// What the seller has signed that it credits, by the place of the leg.
    credited: BTreeMap<usize, Amount>,
    /// The changes that count.
    papers: Vec<Paper>,
    /// What the seller asks must be exactly this: it was heard, and brings all changes; and the buyer
    /// has not both taken and refused one, so that the seller could have followed either.
    is_exact: bool,
    /// The session outlives its connection: only then places of it may be void.
    resumes: bool,
    /// The number of the first change that is not in evidence and must have been there before one
    /// that is, where nobody was heard who would have it; or of the one that follows on it.
    gap: Option<u64>,
}

impl Price {
    /// By the terms, and by what was signed of changes; with what is wrong with that.
    pub(super) fn of(case: &Case<'_>) -> (Price, Vec<Misdeed>) {
        let answers = Answers::of(case);
        let amends = answers.amends(case);
        let contradicts = |amend: &&Signed<'_>| answers.agreed(amend).zip(answers.refused(amend));
        let is_exact = case.hears(Role::Seller) && amends.iter().find_map(contradicts).is_none();
        let mut price = Price {
            agreement: Agreement::new(&case.terms),
            quote: quote(case),
            credited: BTreeMap::new(),
            papers: Vec::new(),
            is_exact,
            resumes: case.resumes,
            gap: (!is_exact).then(|| gap(&amends, &answers)).flatten(),
        };
        let mut misdeeds = twice(&amends);
        for amend in &amends {
            if let Some((answer, refusal)) = contradicts(amend) {
                let (what, number) = (name(amend), amend.message.number);
                let why = format!("agreed to {what} {number} and refused it");
                let mut misdeed = blame(answer, is_credit(amend), &why);
                misdeed.proven_by.push(refusal.paper.clone());
                misdeeds.push(misdeed);
            }
            match price.agreement.take(Role::Seller, amend.message) {
                // It follows on what was agreed before, and who brings it may have left that out.
                Err(why) if is_exact => {
                    let why = format!("in its amend: {why}");
                    misdeeds.push(blame(amend, is_credit(amend), &why));
                }
                Ok(Word::Proposed) => price.settle(amend, &answers),
                // Both have signed it, so what it follows on was left out; and what holds behind it nobody
                // knows.
                Err(_) if !is_credit(amend) && answers.counts(amend) == Some(true) => {
                    let number = amend.message.number;
                    price.gap = Some(price.gap.map_or(number, |gap| gap.min(number)));
                }
                Err(_) | Ok(_) => {}
            }
        }
        (price, misdeeds)
    }

    /// A credit note binds the seller before the buyer has signed it, unless the buyer has refused it.
    /// Anything else changes what holds once both have signed it.
    fn settle(&mut self, amend: &Signed<'_>, answers: &Answers<'_, '_>) {
        let (agreed, refused) = (answers.agreed(amend), answers.refused(amend));
        // What was left out before a credit note may have been the leg that it is of: its units are
        // nobody knows which.
        let is_adrift = self.gap.is_some_and(|gap| gap < amend.message.number);
        if is_credit(amend) && is_adrift {
            return;
        }
        if is_credit(amend) && refused.is_none() {
            let leg = self.legs().count().saturating_sub(1);
            let credited = self.credited.entry(leg).or_default();
            *credited = amend.message.amount_total.max(*credited);
            self.papers.push(amend.paper.clone());
        }
        let Some(answer) = agreed else { return };
        let counts = answers.counts(amend) == Some(true);
        let is_taken = counts && (!is_credit(amend) || refused.is_none());
        // The same words under the buyer's signature: the agreement has checked them before.
        if !is_taken {
            return;
        }
        let word = self.agreement.take(Role::Buyer, answer.message);
        let is_agreed = matches!(word, Ok(Word::Agreed | Word::Voided(_)));
        if is_agreed && !is_credit(amend) {
            self.papers.extend([amend.paper.clone(), answer.paper.clone()]);
        }
    }

    /// Whether what the seller asks must be exactly what this says.
    pub(super) fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Whether a change was left out that one in evidence follows on.
    pub(super) fn has_gap(&self) -> bool {
        self.gap.is_some()
    }

    /// All that the seller has signed that it credits of a leg.
    pub(super) fn credited(&self, leg: usize) -> Amount {
        self.credited.get(&leg).copied().unwrap_or_default()
    }

    /// The changes that count.
    pub(super) fn papers(&self) -> &[Paper] {
        &self.papers
    }

    fn agreed(&self) -> &Agreed {
        self.agreement.agreed()
    }

    /// The legs, the one that was ordered first.
    pub(super) fn legs(&self) -> impl DoubleEndedIterator<Item = &Leg> {
        self.agreed().legs()
    }

    /// The leg at a place among them; behind the last, that one.
    pub(super) fn nth_leg(&self, place: usize) -> &Leg {
        self.legs().nth(place).unwrap_or(self.agreed().last_leg())
    }

    /// Whether a leg draws on this channel.
    pub(super) fn has_channel(&self, channel: &ChannelId) -> bool {
        self.legs().filter_map(|leg| leg.escrow).any(|escrow| escrow.channel == *channel)
    }

    /// The leg that an item stands in.
    pub(super) fn leg(&self, seq: u64) -> &Leg {
        self.agreed().leg(seq)
    }

    /// Its place among all.
    pub(super) fn leg_place(&self, seq: u64) -> usize {
        self.agreed().leg_place(seq)
    }

    /// What the items up to `items` cost in their leg, net of the credits that both have signed.
    /// `None` beyond 128 bits, and beyond what was ordered.
    pub(super) fn owed(&self, items: u64) -> Option<Amount> {
        match self.is_beyond(items) {
            true => None,
            false => self.agreed().owed_for(items),
        }
    }

    /// Whether an item stands behind the last that was ordered.
    pub(super) fn is_beyond(&self, seq: u64) -> bool {
        self.agreed().last_seq().is_some_and(|last| seq > last)
    }

    /// The same, where whoever brings it may have left out that items were lost: then others follow in
    /// their place.
    pub(super) fn may_follow(&self, seq: u64) -> bool {
        self.resumes && !self.is_exact && self.is_beyond(seq)
    }

    /// Whether both have signed that a place holds no item.
    pub(super) fn is_void(&self, seq: u64) -> bool {
        self.agreed().is_void(seq)
    }

    /// The most that may have been vouched with an ack of an item: where it is void since, that was
    /// before.
    pub(super) fn vouchable(&self, items: u64) -> Option<Amount> {
        self.owed(items).and(self.leg(items).price_before_void(items))
    }

    /// The same without any credit.
    pub(super) fn gross(&self, items: u64) -> Option<Amount> {
        self.owed(items).and(self.leg(items).price_of(items))
    }

    /// What was owed of a leg before the window that begins with an item.
    pub(super) fn owed_before(&self, first: u64) -> Option<Amount> {
        match self.leg(first).from_seq == first {
            true => Some(Amount::ZERO),
            false => self.owed(first.checked_sub(1)?),
        }
    }

    /// The first seq of a window, and the last that it can have.
    pub(super) fn window(&self, number: u64) -> Option<(u64, u64)> {
        self.agreed().window(number)
    }

    /// What an invoice says of its pace that was not agreed, where it says so.
    pub(super) fn other_pace(&self, invoice: &Invoice) -> Option<String> {
        let InvoicePace { amend, change } = invoice.pace.as_ref()?;
        let paced = self.agreement.paced(invoice.from);
        let is_agreed = paced.is_some_and(|paced| (paced.amend, paced.change) == (*amend, *change));
        let why = || format!("says that its pace is that of amend {amend}, which was not agreed");
        (!is_agreed).then(why)
    }

    /// What an invoice says of its rate that was not agreed, where it says so.
    pub(super) fn other_rate(&self, invoice: &Invoice) -> Option<String> {
        let said = invoice.rate.as_ref()?;
        let rate = self.leg(invoice.to).currency.rate;
        if said.rate != rate {
            let (one, by) = (said.rate.numerator, said.rate.denominator);
            let (agreed, of) = (rate.numerator, rate.denominator);
            return Some(format!("is counted at {one} for {by}, agreed was {agreed} for {of}"));
        }
        let agreed = match self.leg_place(invoice.to) {
            0 => self.quote.as_ref(),
            _ => self.agreement.quote(invoice.to),
        };
        let is_same = said.quote.as_ref() == agreed;
        (!is_same).then(|| "says that its rate comes from elsewhere than was agreed".to_owned())
    }

    /// Where a window ends after which so much is owed in all; the last such item.
    pub(super) fn end_of(&self, number: u64, total: Amount) -> Option<u64> {
        let (first, last) = self.window(number)?;
        // What is owed never falls, so the last item that fits is found by halves.
        let (mut low, mut high) = (first, last);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match self.owed(middle) {
                Some(owed) if owed <= total => low = middle,
                _ => high = middle - 1,
            }
        }
        (self.owed(low) == Some(total)).then_some(low)
    }
}

/// Where the rate of the menu's offer comes from that was ordered.
fn quote(case: &Case<'_>) -> Option<Quote> {
    let menu: Menu = reread(&case.bodies.first()?.menu).ok()?;
    let currency = &case.terms.currency;
    menu.currency(&currency.name, currency.method)?.quote.clone()
}

/// The first that is not whole of the seller's proposals, whose numbers begin with 1 and go on one by
/// one: it is not there, or nobody knows what the buyer answered, though another was proposed behind it.
/// Before that the seller had the answer.
fn gap(amends: &[&Signed<'_>], answers: &Answers<'_, '_>) -> Option<u64> {
    let last = amends.last()?.message.number;
    let is_whole = |amend: &&&Signed<'_>| answers.is_told(amend) || amend.message.number == last;
    let whole: BTreeSet<u64> =
        amends.iter().filter(is_whole).map(|amend| amend.message.number).collect();
    (1..=last).find(|number| !whole.contains(number))
}

/// Two different changes under one number: whoever brings them, the seller has signed both.
fn twice(amends: &[&Signed<'_>]) -> Vec<Misdeed> {
    let same = amends.chunk_by(|one, next| one.message.number == next.message.number);
    let twice = same.filter_map(|same| {
        let (first, other) = (same.first()?, same.get(1)?);
        // Of two credit notes the second is none under what was agreed, and no more.
        if is_credit(first) && is_credit(other) {
            return None;
        }
        let why = format!("signed two different changes with number {}", first.message.number);
        let mut misdeed = blame(first, false, &why);
        misdeed.proven_by.push(other.paper.clone());
        Some(misdeed)
    });
    twice.collect()
}

/// What the buyer said to the changes that the seller proposed.
struct Answers<'p, 'a> {
    /// The seller was heard, and would have brought what the buyer agreed to.
    is_seller_heard: bool,
    /// The very words that the seller has proposed, under the buyer's own signature; by digest.
    agreed: BTreeMap<Digest, &'p Signed<'a>>,
    /// By the change's number.
    refused: BTreeMap<u64, &'p Signed<'a>>,
}

impl<'p, 'a> Answers<'p, 'a> {
    fn of(case: &'p Case<'a>) -> Self {
        let (mut agreed, mut refused) = (BTreeMap::new(), BTreeMap::new());
        for answer in case.of(MessageKind::Amend, Role::Buyer) {
            agreed.insert(answer.paper.digest, answer);
            if is_refusal(answer) {
                refused.insert(answer.message.number, answer);
            }
        }
        Answers { is_seller_heard: case.hears(Role::Seller), agreed, refused }
    }

    fn agreed(&self, amend: &Signed<'_>) -> Option<&'p Signed<'a>> {
        self.agreed.get(&amend.paper.digest).copied()
    }

    fn refused(&self, amend: &Signed<'_>) -> Option<&'p Signed<'a>> {
        self.refused.get(&amend.message.number).copied()
    }

    /// Whether the buyer took a change; `None` where that is not known. Of a buyer that has said both,
    /// the seller heard what its own bundle has; and of one that brings its refusal of a leg or a void
    /// while the seller is not heard, nobody knows whether it has said both.
    fn counts(&self, amend: &Signed<'_>) -> Option<bool> {
        let heard = |one: &Signed<'_>| one.held.has(Role::Seller);
        match (self.agreed(amend), self.refused(amend)) {
            (None, None) => None,
            (Some(_), None) => Some(true),
            (None, Some(_)) => (self.is_seller_heard || !may_change_sums(amend)).then_some(false),
            (Some(answer), Some(refusal)) => {
                (heard(answer) != heard(refusal)).then(|| heard(answer))
            }
        }
    }

    /// Whether it is known what the buyer took, if it took a change: of one without its words nobody knows
    /// what holds since, but of a credit note, which signs its amount.
    fn is_told(&self, amend: &Signed<'_>) -> bool {
        let has_words = |one: &Signed<'_>| one.message.data.is_some();
        let both = || has_words(amend) && self.agreed(amend).is_some_and(has_words);
        self.counts(amend).is_some_and(|is_taken| !is_taken || is_credit(amend) || both())
    }

    /// What the seller has proposed, in its order. Of some with one number, the one that the buyer has
    /// agreed to comes first: whoever signs another beside it takes nothing of it back. And no more
    /// than a session can have: whoever signs a flood of them takes nobody's time with it.
    fn amends(&self, case: &'p Case<'a>) -> Vec<&'p Signed<'a>> {
        let amends = case.of(MessageKind::Amend, Role::Seller);
        let proposes = |amend: &&Signed<'_>| {
            (is_credit(amend) || amend.message.changes_terms())
                && amend.message.number <= AMENDS_MAX
        };
        let mut amends: Vec<_> = amends.filter(proposes).collect();
        amends.sort_by_key(|amend| (amend.message.number, self.agreed(amend).is_none()));
        let same = amends.chunk_by(|one, next| one.message.number == next.message.number);
        same.flat_map(|same| same.iter().copied().take(SAME_MAX)).collect()
    }
}

/// Whether it is a credit note: only that signs an amount.
fn is_credit(one: &Signed<'_>) -> bool {
    one.message.amount_total > Amount::ZERO
}

fn name(one: &Signed<'_>) -> &'static str {
    if is_credit(one) { "credit note" } else { "change" }
}

/// A buyer's word that it does not take a change. Where its words were pruned, the frame under
/// its signature has neither item nor amount, as nothing else of the buyer's has.
fn is_refusal(one: &Signed<'_>) -> bool {
    let message = one.message;
    if message.data.is_none() {
        return (message.commitment, message.amount_total) == (Digest::ZERO, Amount::ZERO);
    }
    let body = reread::<Amend>(message);
    body.is_ok_and(|body| body.by == Role::Seller && matches!(body.change, Change::Refused(_)))
}

/// Whether it changes what items behind it cost, where it is taken.
fn may_change_sums(one: &Signed<'_>) -> bool {
    let body = reread::<Amend>(one.message);
    body.map_or(true, |body| matches!(body.change, Change::Leg(_) | Change::Void(_)))
}

fn blame(one: &Signed<'_>, is_credit: bool, why: &str) -> Misdeed {
    let what = if is_credit { Offence::WrongCredit } else { Offence::WrongChange };
    let (by, why, proven_by) = (one.paper.signed_by, why.to_owned(), vec![one.paper.clone()]);
    Misdeed { by, what, why, proven_by }
}
