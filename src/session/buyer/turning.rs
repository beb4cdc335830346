//! Fail-over: where a ledger does not make our payments final, or asks too much for them, we ask the
//! seller to be paid otherwise from the next window on, in the next of our currencies that stands on
//! its menu, and sign that where it is what we asked for. What the leg before owes is paid all the
//! same.

use super::amending::bad;
use super::purse::Purse;
use super::stream::Stream;
use super::tab::Tab;
use super::wish::{self, PinnedCurrency};
use crate::message::{
    Amend, AskLeg, Change, CurrencyOffer, Draft, EscrowChoice, LegChange, LegReason,
};
use crate::record::{Record, SignedMessage};
use crate::session::{Fault, Input, Output, Outputs};
use crate::terms::{AMENDS_MAX, Agreed, Method, Rate, Role};
use sdpp_ledger::{Amount, LedgerId};
use std::collections::BTreeSet;

/// How a buyer turns to another currency, and how far it is with that.
#[derive(Debug)]
pub(super) struct Turning {
    /// How long a payment may take to be final, in milliseconds; never where there is none.
    after_ms: Option<u64>,
    /// How much dearer than on the menu a rate may be.
    slack_permille: u64,
    /// Our currencies, the best first.
    currencies: Vec<PinnedCurrency>,
    /// Those that were tried, by their place.
    tried: BTreeSet<usize>,
    /// Ledgers that do not do what they are asked to.
    unwell: BTreeSet<LedgerId>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing is asked for.
    Idle,
    /// Our own money there is looked at, or a channel found or opened.
    Funding { to: usize, why: LegReason },
    /// The seller was asked.
    Asked { to: usize, number: u64, ask: Box<AskLeg>, purse: Option<Box<Purse>> },
}

impl Turning {
    pub(super) fn new(
        after_ms: Option<u64>,
        slack_permille: u64,
        currencies: Vec<PinnedCurrency>,
    ) -> Self {
        let (tried, unwell) = (BTreeSet::new(), BTreeSet::new());
        Turning { after_ms, slack_permille, currencies, tried, unwell, stage: Stage::Idle }
    }

    /// Whether the seller's word is about this request of ours.
    pub(super) fn asked(&self, request: u64) -> bool {
        matches!(self.stage, Stage::Asked { number, .. } if number == request)
    }

    /// The channel that we have asked to pay from.
    pub(super) fn asked_purse(&mut self) -> Option<&mut Purse> {
        match &mut self.stage {
            Stage::Asked { purse, .. } => purse.as_deref_mut(),
            _ => None,
        }
    }

    fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }
}

impl Stream {
    /// When we ask for another currency, as things stand.
    pub(super) fn turns_at_ms(&self) -> Option<u64> {
        let after_ms = self.turning.after_ms?;
        if !self.turning.is_idle() || self.leaving || self.candidate(LegReason::Stalled).is_none() {
            return None;
        }
        let unpaid_ms = self.tabs.at(self.place()).unpaid_since_ms();
        let since_ms = unpaid_ms.into_iter().chain(self.short_since_ms).min()?;
        Some(since_ms.saturating_add(after_ms))
    }

    /// Asks for another currency, if that is due. Whether it was.
    pub(super) fn turn_if_due(&mut self, now_ms: u64, out: &mut Outputs) -> bool {
        let is_due = self.turns_at_ms().is_some_and(|at_ms| at_ms <= now_ms);
        if is_due {
            self.turn(LegReason::Stalled, out);
        }
        is_due
    }

    /// A ledger does not do what it is asked to, or does again.
    pub(super) fn note_ledger(
        &mut self,
        ledger: LedgerId,
        trouble: Option<LegReason>,
        out: &mut Outputs,
    ) {
        let Some(why) = trouble else {
            // It may be turned to again.
            let is_on = |at: &usize| {
                self.turning.currencies.get(*at).is_some_and(|ours| ours.ledger == ledger)
            };
            self.turning.tried.retain(|at| !is_on(at));
            self.turning.unwell.remove(&ledger);
            return;
        };
        let is_ours = self.tabs.at(self.place()).currency.ledger == ledger;
        self.turning.unwell.insert(ledger);
        if is_ours && self.turning.after_ms.is_some() && self.needs_ledger() {
            self.turn(why, out);
        }
    }

    /// Whether paying the leg that is on needs its ledger: vouchers do not, unless the deposit must grow
    /// for them.
    fn needs_ledger(&self) -> bool {
        let place = self.place();
        let purse = self.tabs.at(place).purse.as_ref();
        purse.is_none_or(|purse| purse.is_growing() || self.is_short(place))
    }

    /// Asks for the currency that is paid at the rate that is offered now.
    ///
    /// # Errors
    /// Why that is not asked for, as a sentence.
    pub(super) fn ask_rate(&mut self, out: &mut Outputs) -> Result<(), String> {
        if !self.turning.is_idle() || self.candidate(LegReason::Rate).is_none() {
            return Err("another leg is asked for already, or no window follows".to_owned());
        }
        self.turn(LegReason::Rate, out);
        Ok(())
    }

    /// Looks at our own money in the next currency that the seller takes.
    fn turn(&mut self, why: LegReason, out: &mut Outputs) {
        while self.turning.is_idle()
            && !self.leaving
            && let Some((to, offer)) = self.candidate(why)
        {
            let offer = offer.clone();
            if why != LegReason::Rate {
                self.turning.tried.insert(to);
                self.turning.tried.extend(self.paid_now());
            }
            let Some(least) = self.bearable(to, &offer) else {
                // Of another rate there is no next one.
                match why {
                    LegReason::Rate => return,
                    LegReason::Stalled | LegReason::Dear => continue,
                }
            };
            let CurrencyOffer { ledger, payment_address: payee, asset, .. } = offer;
            out.push(match offer.method {
                Method::Transfer => Output::Afford { ledger, asset, amount: least },
                Method::Escrow => {
                    let deposit = self.turning.currencies.get(to).map(|ours| ours.channels.deposit);
                    let ample = least.max(deposit.unwrap_or_default());
                    Output::Fund { least, ample, ledger, payee, asset, only: None }
                }
            });
            self.turning.stage = Stage::Funding { to, why };
        }
    }

    /// The next of our currencies that stands on the menu as we know it, whose ledger is well.
    fn candidate(&self, why: LegReason) -> Option<(usize, &CurrencyOffer)> {
        let is_fixed = self.terms.bond.is_some() || self.windows.items() == 0;
        if is_fixed || self.agreed().is_last(self.next_from() - 1) {
            return None;
        }
        let paid = &self.tabs.at(self.place()).currency;
        let fits = |(at, ours): (usize, &PinnedCurrency)| {
            let is_paid = (&ours.name, ours.method) == (&paid.name, paid.method);
            let is_meant = match why {
                LegReason::Rate => is_paid,
                LegReason::Stalled | LegReason::Dear => {
                    ours.ledger != paid.ledger
                        && !self.turning.unwell.contains(&ours.ledger)
                        && !self.turning.tried.contains(&at)
                }
            };
            let offer = self.offered.currency(&ours.name, ours.method).filter(|_| is_meant)?;
            wish::difference(ours, offer).is_none().then_some((at, offer))
        };
        self.turning.currencies.iter().enumerate().find_map(fits)
    }

    /// The place of the currency that is paid among ours.
    fn paid_now(&self) -> Option<usize> {
        let paid = &self.tabs.at(self.place()).currency;
        let is_it = |ours: &PinnedCurrency| (&ours.name, ours.method) == (&paid.name, paid.method);
        self.turning.currencies.iter().position(is_it)
    }

    /// What would be agreed if the next window were paid so.
    fn agreed_with(&self, offer: &CurrencyOffer) -> Option<Agreed> {
        let (mut then, from_seq) = (self.agreed().clone(), self.next_from());
        let price = then.last_leg().price;
        then.begin_leg(from_seq, price, offer.currency(), None).ok()?;
        Some(then)
    }

    /// What may be out on credit as the next window begins, were it paid so; `None` where that is more
    /// than we want to pay.
    fn bearable(&self, to: usize, offer: &CurrencyOffer) -> Option<Amount> {
        let then = self.agreed_with(offer)?;
        self.least(&then).filter(|least| *least <= self.ceiling_of(to, &then))
    }

    /// The most that the last of these legs may cost, which is paid in this currency of ours: what is
    /// left of the session's ceiling, and of the currency's own after the legs of it before.
    fn ceiling_of(&self, to: usize, then: &Agreed) -> Amount {
        let left = self.ceiling_after(then);
        let Some(ours) = self.turning.currencies.get(to) else { return left };
        let Some(most) = ours.max_total else { return left };
        let is_it = |(_, tab): &(usize, &Tab)| tab.currency.name == ours.name;
        let cost = |(place, _)| then.owed_in(place, u64::MAX).map_or(u128::MAX, Amount::units);
        let before = self.tabs.all().enumerate().filter(is_it).map(cost);
        left.min(most.saturating_sub(Amount::new(before.fold(0, u128::saturating_add))))
    }

    /// What of the last leg may be out on credit as it begins.
    fn least(&self, then: &Agreed) -> Option<Amount> {
        let from_seq = then.last_leg().from_seq;
        let ahead = then.credited_to(from_seq - 1, then.pace(from_seq));
        then.last_leg().owed_for(ahead)
    }

    /// We can pay so, from this channel where it is by escrow: the seller is asked.
    pub(super) fn funded(&mut self, purse: Option<Purse>, out: &mut Outputs) {
        let Stage::Funding { to, why } = self.turning.stage else { return };
        self.turning.stage = Stage::Idle;
        let number = self.amends.sent + 1;
        let from_seq = self.next_from();
        let Some(ours) = self.turning.currencies.get(to) else { return };
        let by_escrow = ours.method == Method::Escrow;
        if self.leaving || number > AMENDS_MAX || by_escrow != purse.is_some() {
            return;
        }
        if self.agreed().is_last(from_seq - 1) {
            return;
        }
        let escrow = purse.as_ref().map(|p| EscrowChoice { channel: p.channel, base: p.base });
        let ask = AskLeg {
            currency: ours.name.clone(),
            method: ours.method,
            address: ours.account.clone(),
            escrow,
            why,
        };
        let (by, change) = (Role::Buyer, Change::AskLeg(ask.clone()));
        let draft = Draft::new(self.terms.session, &Amend { number, by, from_seq, change });
        let (message, frame) = draft.sign(&self.key, "");
        out.record(Record::Amend { by, message });
        out.send(frame);
        self.amends.sent = number;
        let (ask, purse) = (Box::new(ask), purse.map(Box::new));
        self.turning.stage = Stage::Asked { to, number, ask, purse };
    }

    /// How channels are funded in the currency that we are about to ask for.
    pub(super) fn turns_to(&self) -> Option<&PinnedCurrency> {
        match self.turning.stage {
            Stage::Funding { to, .. } => self.turning.currencies.get(to),
            _ => None,
        }
    }

    /// We cannot pay so, or the seller does not want it: the next of our currencies is tried.
    pub(super) fn not_turned(&mut self, out: &mut Outputs) {
        let why = match &self.turning.stage {
            Stage::Idle => return,
            Stage::Funding { why, .. } => *why,
            Stage::Asked { ask, .. } => ask.why,
        };
        self.turning.stage = Stage::Idle;
        if why != LegReason::Rate {
            self.turn(why, out);
        }
    }

    /// A leg that is what we asked for, and that we can pay, is signed.
    pub(super) fn hear_leg(
        &mut self,
        (number, from_seq): (u64, u64),
        change: &LegChange,
        message: SignedMessage,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let draft = self.check_change("leg", number, from_seq, &message)?;
        let wrong = |why: &str| bad(format!("leg {number}: {why}"));
        let is_asked = change.ask.is_some_and(|ask| self.turning.asked(ask));
        if !is_asked {
            return Err(wrong("nobody asked for it"));
        }
        let stage = std::mem::replace(&mut self.turning.stage, Stage::Idle);
        let Stage::Asked { to, ask, purse, .. } = stage else { return Ok(()) };
        self.is_as_asked(to, &ask, change).map_err(|why| wrong(&why))?;
        let why = self.leg_too_dear((to, change), ask.why, purse.as_deref(), now_ms);
        if let Some(why) = why {
            self.refuse((number, from_seq), &why, message, out);
            if ask.why != LegReason::Rate {
                self.turn(ask.why, out);
            }
            return Ok(());
        }
        self.agree(draft, message, out)?;
        self.begin_leg(to, purse);
        Ok(())
    }

    /// Both have signed another leg: it is paid in this currency of ours.
    fn begin_leg(&mut self, to: usize, purse: Option<Box<Purse>>) {
        let ceiling = self.ceiling_of(to, self.agreed());
        let leg = self.agreed().last_leg();
        let policy = self.gather.policy(&self.offered, &leg.currency);
        let tab = Tab::new(leg, purse.map(|purse| *purse), ceiling, policy);
        self.tabs.begin(tab);
        self.short_since_ms = None;
    }

    /// A request of ours, read back: the seller's answer is waited for.
    ///
    /// # Errors
    /// Why it cannot be, as a sentence.
    pub(super) fn asked_again(
        &mut self,
        number: u64,
        ask: AskLeg,
        purse: Option<Purse>,
    ) -> Result<(), String> {
        let is_it =
            |ours: &PinnedCurrency| (&ours.name, ours.method) == (&ask.currency, ask.method);
        let to = self.turning.currencies.iter().position(is_it).ok_or_else(|| {
            format!("the session asked to be paid in {}: put it back in the config", ask.currency)
        })?;
        if ask.why != LegReason::Rate {
            self.turning.tried.insert(to);
            self.turning.tried.extend(self.paid_now());
        }
        let (ask, purse) = (Box::new(ask), purse.map(Box::new));
        self.turning.stage = Stage::Asked { to, number, ask, purse };
        Ok(())
    }

    /// The answer to that request, read back: our word on what the seller proposed, or the seller's own
    /// refusal.
    pub(super) fn answered_again(&mut self, is_agreed: bool) {
        let stage = std::mem::replace(&mut self.turning.stage, Stage::Idle);
        if let (Stage::Asked { to, purse, .. }, true) = (stage, is_agreed) {
            self.begin_leg(to, purse);
        }
    }

    /// Whether a leg is the one that we asked for.
    fn is_as_asked(&self, to: usize, ask: &AskLeg, change: &LegChange) -> Result<(), String> {
        let CurrencyOffer { currency, method, payment_address, .. } = &change.currency;
        if (currency, *method) != (&ask.currency, ask.method) || change.escrow != ask.escrow {
            return Err("it is not what was asked for".to_owned());
        }
        let ours = self.turning.currencies.get(to).ok_or("it is none of our currencies")?;
        if let Some(what) = wish::difference(ours, &change.currency) {
            return Err(format!("its {currency} has {what}"));
        }
        let menu = self.offered.currency(currency, *method);
        match menu.is_some_and(|offer| offer.payment_address == *payment_address) {
            true => Ok(()),
            false => Err("it pays somebody else than the menu said".to_owned()),
        }
    }

    /// Why we do not want to pay so, though nothing is wrong with it.
    fn leg_too_dear(
        &self,
        (to, change): (usize, &LegChange),
        asked: LegReason,
        purse: Option<&Purse>,
        now_ms: u64,
    ) -> Option<String> {
        // Another leg would give the seller another W * K items on credit.
        if self.leaving {
            return Some("this buyer is leaving".to_owned());
        }
        if purse.is_some_and(Purse::is_over) {
            return Some("the channel is over".to_owned());
        }
        let (offer, from_seq) = (&change.currency, self.next_from());
        // Who asks for a better rate does not take a worse one.
        let paid = &self.agreed().last_leg().currency.rate;
        if asked == LegReason::Rate && !is_within(&offer.rate, paid, 0) {
            return Some("its rate is worse than the one that is paid".to_owned());
        }
        if let Some(what) = wish::no_quote(offer, now_ms) {
            return Some(format!("it has {what}"));
        }
        let menu = self.offered.currency(&offer.currency, offer.method)?;
        if !is_within(&offer.rate, &menu.rate, self.turning.slack_permille) {
            return Some("its rate is too far off the menu's".to_owned());
        }
        let mut then = self.agreed().clone();
        if let Err(why) = then.begin_leg(from_seq, change.price, offer.currency(), None) {
            return Some(why);
        }
        let most =
            self.ceiling_of(to, &then).min(purse.map_or(Amount::new(u128::MAX), Purse::room));
        match self.least(&then) {
            Some(least) if least <= most => None,
            _ => Some("so much on credit is more than this buyer wants to pay".to_owned()),
        }
    }
}

/// What concerns the currency that we are about to turn to.
pub(super) fn turn(stream: &mut Stream, input: Input<'_>, out: &mut Outputs) {
    match input {
        Input::Afforded => stream.funded(None, out),
        Input::Funded { channel, domain, base, ceiling, deposit } => {
            let plan = stream.turns_to().map(|ours| ours.channels.clone());
            let purse =
                Purse::new((channel, domain), (base, ceiling, deposit), plan.unwrap_or_default());
            stream.funded(Some(purse), out);
        }
        Input::NotFunded { .. } => stream.not_turned(out),
        Input::Ledger { ledger, trouble } => stream.note_ledger(ledger, trouble, out),
        _ => {}
    }
}

/// Whether a rate asks for no more than another, and so many thousandths of that on top. Both are
/// plain, so that nothing here overflows; what is rounded is rounded against the one that is tried.
fn is_within(rate: &Rate, menu: &Rate, slack_permille: u64) -> bool {
    let [asked, known] = rate.crossed(menu);
    let slack = (known / 1_000).saturating_mul(slack_permille.into());
    // Small numbers lose all of their slack when they are divided first.
    let slack = known.checked_mul(slack_permille.into()).map_or(slack, |all| all / 1_000);
    asked <= known.saturating_add(slack)
}
