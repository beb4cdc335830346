//! A stretch of a session that is paid in one currency, by one method, at one rate. Most sessions
//! have one leg; a further one begins where both sides have signed that the next window is paid
//! otherwise.

use super::voids::Voids;
use super::{Credits, Currency, InEscrow, Rate, Terms, Void};
use sdpp_ledger::Amount;

/// A leg of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Its first item.
    pub from_seq: u64,
    /// The price of one item, in the default currency's smallest unit.
    pub price: Amount,
    /// What is paid, and how.
    pub currency: Currency,
    /// The channel, where the method is escrow.
    pub escrow: Option<InEscrow>,
    /// What the legs before left unpaid by rounding down.
    carried: Carried,
    /// What was credited of it.
    pub(super) credits: Credits,
    /// The places of the session that hold no item.
    voids: Voids,
}

/// A part of the default currency's smallest unit, or some of them, in 2^-64 of it: what one leg
/// could not ask for is asked for by the next, so that legs do not add up what each rounds off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Carried(u128);

impl Leg {
    /// The leg that was ordered.
    pub(super) fn first(terms: &Terms) -> Self {
        Leg {
            from_seq: 1,
            price: terms.price,
            currency: terms.currency.clone(),
            escrow: terms.escrow,
            carried: Carried::default(),
            credits: Credits::default(),
            voids: Voids::default(),
        }
    }

    /// The leg that follows this one from an item on.
    ///
    /// # Errors
    /// Why none can, as a sentence.
    pub(super) fn then(
        &self,
        from_seq: u64,
        price: Amount,
        currency: Currency,
        escrow: Option<InEscrow>,
    ) -> Result<Self, String> {
        if price > self.price {
            return Err(format!("its price is above what was agreed: {price}, not {}", self.price));
        }
        for rate in [&self.currency.rate, &currency.rate] {
            if !rate.is_plain() {
                let Rate { numerator, denominator } = rate;
                return Err(format!(
                    "a leg cannot begin or end at a rate of {numerator} for {denominator}: both \
                     must be above 0 and below 2^63"
                ));
            }
        }
        let priced = from_seq.checked_sub(1).and_then(|items| self.priced(items));
        let (_, carried) = priced.ok_or("the price of this session passes 128 bits")?;
        let (credits, voids) = (Credits::default(), self.voids.clone());
        Ok(Leg { from_seq, price, currency, escrow, carried, credits, voids })
    }

    /// Places became void: what the leg takes over from the one before, and what was owed before each of
    /// its credit notes, is counted anew. Nothing where its price passes 128 bits.
    pub(super) fn recount(&mut self, voids: &Voids, before: Option<&Leg>) -> Option<()> {
        self.voids = voids.clone();
        if let Some(before) = before {
            (_, self.carried) = before.priced(self.from_seq.saturating_sub(1))?;
        }
        let mut credits = std::mem::take(&mut self.credits);
        credits.recount(|items| self.price_of(items))?;
        self.credits = credits;
        Some(())
    }

    /// How many of the leg's places up to this one hold an item.
    pub fn given(&self, items: u64) -> u64 {
        let before = self.voids.given(self.from_seq.saturating_sub(1));
        self.voids.given(items).saturating_sub(before)
    }

    /// What the leg's items up to `items` cost in all, in its currency's smallest unit, rounded
    /// down once. `None` when it does not fit 128 bits.
    pub fn price_of(&self, items: u64) -> Option<Amount> {
        self.priced(items).map(|(amount, _)| amount)
    }

    /// What the leg's items up to `items` cost as long as the void that this one stands in was none: so
    /// much may have been vouched before.
    pub fn price_before_void(&self, items: u64) -> Option<Amount> {
        let Some(void) = self.voids.all().iter().find(|void| void.has(items)) else {
            return self.price_of(items);
        };
        let first = void.from_seq.max(self.from_seq);
        let lost = Void { from_seq: first, ..*void }.up_to(items);
        self.price_for(self.given(first.saturating_sub(1)).saturating_add(lost))
    }

    /// What so many of the leg's items cost in all, those that are void not counted.
    pub fn price_for(&self, given: u64) -> Option<Amount> {
        self.priced_for(given).map(|(amount, _)| amount)
    }

    /// [`Leg::price_of`], less what was credited.
    pub fn owed_for(&self, items: u64) -> Option<Amount> {
        Some(self.credits.net(items, self.price_of(items)?))
    }

    /// All that was credited of this leg, in its currency's smallest unit.
    pub fn credited(&self) -> Amount {
        self.credits.total()
    }

    /// How much of that is netted when its items up to `items` were invoiced. The rest has brought
    /// the buyer nothing, and stays the seller's debt.
    pub fn netted_by(&self, items: u64) -> Option<Amount> {
        let (price, owed) = (self.price_of(items)?, self.owed_for(items)?);
        Some(price.saturating_sub(owed))
    }

    /// What its items up to `items` cost, and what that leaves over. Of no items nothing is owed: what was
    /// taken over waits for the first that is given.
    fn priced(&self, items: u64) -> Option<(Amount, Carried)> {
        match self.given(items) {
            0 => Some((Amount::ZERO, self.carried)),
            given => self.priced_for(given),
        }
    }

    /// `floor((price * items + carried) * numerator / denominator)`, and what that leaves over.
    fn priced_for(&self, items: u64) -> Option<(Amount, Carried)> {
        let Rate { numerator, denominator } = self.currency.rate;
        let (numerator, denominator) = (numerator.units(), denominator.units());
        let carried = self.carried.0;
        let whole = self.price.units().checked_mul(items.into())?.checked_add(carried >> 64)?;
        let scaled = whole.checked_mul(numerator)?;
        let amount = scaled.checked_div(denominator)?;
        let rest = scaled - amount * denominator;
        // Each item is priced several times, and a division of 128 bits is slow: most leave nothing over.
        if rest == 0 && carried as u64 == 0 || !self.currency.rate.is_plain() {
            return Some((Amount::new(amount), Carried::default()));
        }
        // Below 2^127 both: the rest is below the denominator, the part below 2^64.
        let part = u128::from(carried as u64).checked_mul(numerator)?;
        let rest = (rest << 64).checked_add(part)?;
        let one = denominator << 64;
        let amount = amount.checked_add(rest / one)?;
        Some((Amount::new(amount), Carried(rest % one / numerator)))
    }
}
