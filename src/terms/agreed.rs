//! The terms of a session with all that both sides have agreed to change since.

use super::leg::Leg;
use super::pace::{Pace, Paces};
use super::voids::{Void, Voids};
use super::{AMENDS_MAX, Currency, InEscrow, Terms};
use sdpp_ledger::Amount;

/// What holds in a session, item by item. Sessions, audits and judges all count by this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    terms: Terms,
    paces: Paces,
    first: Leg,
    /// The legs after the first.
    later: Vec<Leg>,
    /// The places that hold no item.
    voids: Voids,
    /// How many changes there are.
    changes: u64,
}

impl Agreed {
    /// What was ordered.
    pub fn new(terms: &Terms) -> Self {
        let (paces, first, voids) = (Paces::new(terms), Leg::first(terms), Voids::default());
        Agreed { terms: terms.clone(), paces, first, later: Vec::new(), voids, changes: 0 }
    }

    /// What was ordered.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The places that hold no item, the first first.
    pub fn voids(&self) -> &[Void] {
        self.voids.all()
    }

    /// How many windows they are.
    pub fn void_windows(&self) -> u64 {
        let windows = |void: &Void| self.window_of(void.to_seq) + 1 - self.window_of(void.from_seq);
        self.voids().iter().map(windows).sum()
    }

    /// Whether a place holds no item.
    pub fn is_void(&self, seq: u64) -> bool {
        self.voids().iter().any(|void| void.has(seq))
    }

    /// How many of the places up to this one hold an item.
    pub fn given(&self, seq: u64) -> u64 {
        self.voids.given(seq)
    }

    /// The last of the items that are so many items before this one: their credit is what this one
    /// stands on. 0 where there are not so many.
    pub fn before(&self, seq: u64, items: u64) -> u64 {
        self.voids.place_of(self.given(seq).saturating_sub(items))
    }

    /// The place of the last item that was ordered, where there is a last.
    pub fn last_seq(&self) -> Option<u64> {
        self.terms.quantity.map(|quantity| self.voids.place_of(quantity))
    }

    /// Whether all that was ordered stands up to this place.
    pub fn is_last(&self, seq: u64) -> bool {
        self.last_seq().is_some_and(|last| seq >= last)
    }

    /// K and W for an item.
    pub fn pace(&self, seq: u64) -> Pace {
        self.paces.at(seq)
    }

    /// The first seq of a window by its number, and the last that it can have; `None` where no such
    /// window was ordered.
    pub fn window(&self, number: u64) -> Option<(u64, u64)> {
        let (first, last) = self.paces.window(number)?;
        let last = self.last_seq().map_or(last, |ordered| last.min(ordered));
        (first <= last).then_some((first, last))
    }

    /// The number of the window that an item stands in.
    pub fn window_of(&self, seq: u64) -> u64 {
        self.paces.window_of(seq).0
    }

    /// The number of that window, and its first and last place, were it full.
    pub fn full_window(&self, seq: u64) -> (u64, u64, u64) {
        self.paces.window_of(seq)
    }

    /// The last item that the window of an item can have.
    pub fn window_end(&self, seq: u64) -> u64 {
        let last = self.full_window_end(seq);
        self.last_seq().map_or(last, |ordered| last.min(ordered))
    }

    /// The last place of the window of an item, were it full.
    pub fn full_window_end(&self, seq: u64) -> u64 {
        self.full_window(seq).2
    }

    /// The first seq of the next window that has not begun, where so many items have been sent.
    pub fn next_from(&self, items: u64) -> u64 {
        match self.paces.window_of(items.saturating_add(1)) {
            (_, first, _) if first == items.saturating_add(1) => first,
            (_, _, last) => last.saturating_add(1),
        }
    }

    /// The legs, the one that was ordered first.
    pub fn legs(&self) -> impl DoubleEndedIterator<Item = &Leg> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// The leg that an item stands in.
    pub fn leg(&self, seq: u64) -> &Leg {
        let place = self.leg_place(seq).checked_sub(1);
        place.and_then(|place| self.later.get(place)).unwrap_or(&self.first)
    }

    /// The place of that leg among all, the one that was ordered being 0.
    pub fn leg_place(&self, seq: u64) -> usize {
        self.later.partition_point(|leg| leg.from_seq <= seq)
    }

    /// What was ordered, the legs that are over in their order, and the one that is on.
    pub fn into_legs(self) -> (Terms, Vec<Leg>, Leg) {
        let Agreed { terms, first, mut later, .. } = self;
        match later.pop() {
            None => (terms, later, first),
            Some(last) => {
                later.insert(0, first);
                (terms, later, last)
            }
        }
    }

    /// The leg that is on.
    pub fn last_leg(&self) -> &Leg {
        self.later.last().unwrap_or(&self.first)
    }

    /// What so many items cost in all at their prices, in the default currency's smallest unit,
    /// whatever was credited. What passes 128 bits is as much as there can be.
    pub fn worth(&self, items: u64) -> Amount {
        let (mut all, mut to_seq) = (Amount::ZERO, items);
        for leg in self.legs().rev().filter(|leg| leg.from_seq <= items) {
            let of_leg = u128::from(leg.given(to_seq));
            all = all.saturating_add(Amount::new(leg.price.units().saturating_mul(of_leg)));
            to_seq = leg.from_seq - 1;
        }
        all
    }

    /// What the items up to `items` cost that stand in the same leg as that one, in the leg's
    /// currency, less what was credited. `None` when it does not fit 128 bits.
    pub fn owed_for(&self, items: u64) -> Option<Amount> {
        self.leg(items).owed_for(items)
    }

    /// What those of the items up to `items` cost that stand in a leg, by its place, in its currency,
    /// less what was credited. `None` when it does not fit 128 bits.
    pub fn owed_in(&self, place: usize, items: u64) -> Option<Amount> {
        let leg = self.legs().nth(place).unwrap_or(self.last_leg());
        if items < leg.from_seq {
            return Some(Amount::ZERO);
        }
        let end = self.later.get(place).map_or(u64::MAX, |next| next.from_seq - 1);
        leg.owed_for(items.min(end))
    }

    /// The last item that costs nothing beyond what the items up to `items` cost: that one, unless what
    /// follows is free. A window that costs nothing is paid as it leaves, so a seller goes on to there
    /// without a word of the buyer's. Counted in the leg of the item after that one, and no further than
    /// that leg goes.
    pub fn free_until(&self, items: u64) -> u64 {
        let place = self.leg_place(items.saturating_add(1));
        let owed = self.owed_in(place, items);
        let is_free = |seq: u64| self.owed_in(place, seq) == owed;
        let end = self.later.get(place).map_or(u64::MAX, |next| next.from_seq - 1);
        let most = self.last_seq().unwrap_or(u64::MAX).min(end).max(items);
        if items == most || !is_free(items + 1) {
            return items;
        }
        // What is owed never falls, so the last such item is found by halves.
        let (mut low, mut high) = (items + 1, most);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if is_free(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    /// The last item that may be sent on credit at a pace, once so many came: what is free is sent before
    /// that.
    pub fn credited_to(&self, items: u64, pace: Pace) -> u64 {
        let items = self.free_until(items);
        let left = self.last_seq().map_or(u64::MAX, |last| last.saturating_sub(items));
        items.saturating_add(pace.credit_items().min(left))
    }

    /// From `from_seq` on `total` is credited in all, of the leg that is on.
    ///
    /// # Errors
    /// What makes it no credit note under these terms, as a sentence: it must be in force from the
    /// first item of a window that was ordered, credit more than the one before and no more than
    /// what the items before it cost, and not reach back behind the one before.
    pub fn credit(&mut self, from_seq: u64, total: Amount) -> Result<(), String> {
        self.may_change(from_seq)?;
        let leg = self.later.last_mut().unwrap_or(&mut self.first);
        let price =
            leg.price_of(from_seq - 1).ok_or("the price of this session passes 128 bits")?;
        leg.credits.add(from_seq, total, price)?;
        self.changes += 1;
        Ok(())
    }

    /// From `from_seq` on windows are of another size, or others may be unpaid.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub fn change_pace(&mut self, from_seq: u64, pace: Pace) -> Result<(), String> {
        self.may_change(from_seq)?;
        pace.check()?;
        self.paces.add(from_seq, pace);
        self.changes += 1;
        Ok(())
    }

    /// From `from_seq` on it is paid otherwise, and an item costs no more than before.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub fn begin_leg(
        &mut self,
        from_seq: u64,
        price: Amount,
        currency: Currency,
        escrow: Option<InEscrow>,
    ) -> Result<(), String> {
        self.may_change(from_seq)?;
        let now = self.leg(from_seq);
        if now.from_seq == from_seq {
            return Err(format!("a leg begins with item {from_seq} already"));
        }
        let leg = now.then(from_seq, price, currency, escrow)?;
        self.later.push(leg);
        self.changes += 1;
        Ok(())
    }

    /// A change is in force from the first item of a window that was ordered, after the first, and
    /// none behind the leg that is on.
    fn may_change(&self, from_seq: u64) -> Result<(), String> {
        let before = from_seq.saturating_sub(1);
        if before == 0 || self.next_from(before) != from_seq {
            return Err(format!("item {from_seq} begins no window after the first"));
        }
        if self.is_last(before) {
            return Err(format!("no item {from_seq} was ordered: nothing can change for it"));
        }
        if self.later.last().is_some_and(|leg| leg.from_seq > from_seq) {
            return Err(format!("item {from_seq} comes before the leg that is on"));
        }
        self.may_change_more()
    }

    fn may_change_more(&self) -> Result<(), String> {
        match self.changes >= AMENDS_MAX {
            true => Err(format!("a session has {AMENDS_MAX} changes at most")),
            false => Ok(()),
        }
    }

    /// What stood from one place to another is not billed: whole windows, so that paces and the numbers
    /// of windows stay what they are. Legs and credit notes that begin in there stay where they are.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub fn void(&mut self, void: Void) -> Result<(), String> {
        let Void { from_seq, to_seq } = void;
        let (_, first, _) = self.paces.window_of(from_seq);
        if from_seq == 0 || first != from_seq || to_seq < from_seq {
            return Err(format!("item {from_seq} begins no window"));
        }
        if self.full_window_end(to_seq) != to_seq {
            return Err(format!("item {to_seq} ends no window"));
        }
        if self.voids().last().is_some_and(|last| last.to_seq >= from_seq) {
            return Err(format!("item {from_seq} is void already"));
        }
        if self.is_last(from_seq - 1) {
            return Err(format!("all that was ordered comes before item {from_seq}"));
        }
        let windows = [from_seq, to_seq].map(|seq| u64::from(self.pace(seq).granularity));
        if void.places() > Pace::CREDIT_ITEMS_MAX + windows.iter().sum::<u64>() {
            return Err(format!("{} places are more than can have left", void.places()));
        }
        self.may_change_more()?;
        let mut then = self.clone();
        then.voids.add(void);
        then.recount().ok_or("the price of this session passes 128 bits")?;
        then.changes += 1;
        *self = then;
        Ok(())
    }

    /// Each leg is counted anew, from the first on.
    fn recount(&mut self) -> Option<()> {
        self.first.recount(&self.voids, None)?;
        let mut before = &self.first;
        for leg in &mut self.later {
            leg.recount(&self.voids, Some(before))?;
            before = leg;
        }
        Some(())
    }
}
