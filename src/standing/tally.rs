//! What one session of a seller says of its buyer, counted from the session's records alone.

use super::Standing;
use crate::terms::{Method, Rate};
use sdpp_ledger::{Amount, ChannelId, PublicKey};
use serde::{Deserialize, Serialize};

/// What items cost from one of them on, as far as standings need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priced {
    /// The first item.
    pub from_seq: u64,
    /// The price of one, in the default currency's smallest unit.
    pub price: Amount,
    /// What is paid, for one unit of the default currency.
    pub rate: Rate,
    /// How.
    pub method: Method,
    /// By escrow: the channel, and what was vouched on it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<(ChannelId, Amount)>,
}

/// The money of a session, leg by leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The buyer's key as hex: parsing it is dear, and nobody does anything but compare it.
    pub peer: String,
    legs: Vec<LegTally>,
    /// The last item that the buyer's signature says arrived.
    acked_seq: u64,
    /// The last item that was invoiced.
    invoiced_seq: u64,
    windows: u64,
    /// How it ended, if it has.
    ended: Option<Parted>,
}

/// One leg, in its currency's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LegTally {
    #[serde(flatten)]
    priced: Priced,
    /// The number of its first invoice.
    from_number: u64,
    billed: Amount,
    paid: Amount,
}

/// How a session left its buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Parted {
    /// Neither both sides nor we have ended it.
    broken: bool,
    /// What was unpaid then and is not paid yet.
    owed: Amount,
}

impl LegTally {
    fn settled(&self) -> Amount {
        self.priced.rate.in_default(self.paid)
    }

    /// What is owed for what was invoiced and for so many items more.
    fn owed(&self, items: u64) -> Amount {
        let Rate { numerator, denominator } = self.priced.rate;
        let price = self.priced.price.units().saturating_mul(items.into());
        let more = price.saturating_mul(numerator.units());
        // Rounded down, as an invoice is.
        let more = more.checked_div(denominator.units()).unwrap_or_default();
        self.priced
            .rate
            .in_default(self.billed.saturating_add(Amount::new(more)).saturating_sub(self.paid))
    }
}

impl Tally {
    /// A session with a buyer, of which nothing is known yet.
    pub fn new(peer: &PublicKey) -> Self {
        let (acked_seq, invoiced_seq, windows) = (0, 0, 0);
        let (peer, legs, ended) = (peer.to_string(), Vec::new(), None);
        Tally { peer, legs, acked_seq, invoiced_seq, windows, ended }
    }

    /// From here on items cost this. Of a session that never says so nothing is counted.
    pub fn price(&mut self, priced: Priced) {
        let from_number = if self.legs.is_empty() { 1 } else { u64::MAX };
        let (billed, paid) = (Amount::ZERO, Amount::ZERO);
        self.legs.push(LegTally { priced, from_number, billed, paid });
    }

    /// The seller asks for a window; `total` is the whole leg's.
    pub fn invoice(&mut self, number: u64, to_seq: u64, total: Amount) {
        self.invoiced_seq = self.invoiced_seq.max(to_seq);
        let leg = self.legs.iter_mut().rfind(|leg| leg.priced.from_seq <= to_seq);
        if let Some(leg) = leg {
            leg.from_number = leg.from_number.min(number);
            leg.billed = leg.billed.max(total);
        }
    }

    /// Items are void: the leg of the one before them had asked for so much, later ones for nothing.
    pub fn void(&mut self, (from_seq, to_seq): (u64, u64), billed: Amount) {
        let seqs = (self.acked_seq.max(to_seq), self.invoiced_seq.max(to_seq));
        (self.acked_seq, self.invoiced_seq) = seqs;
        let later = self.legs.iter_mut().filter(|leg| leg.priced.from_seq >= from_seq.max(2));
        later.for_each(|leg| leg.billed = Amount::ZERO);
        if let Some(leg) = self.legs.iter_mut().rfind(|leg| leg.priced.from_seq < from_seq.max(2)) {
            leg.billed = leg.billed.min(billed);
        }
    }

    /// Items arrived, by the buyer's own word.
    pub fn acknowledge(&mut self, seq: u64) {
        self.acked_seq = self.acked_seq.max(seq);
    }

    /// A transfer for a window is final. Which leg's it was its number says.
    pub fn transferred(&mut self, number: u64, amount: Amount) {
        self.windows = self.windows.saturating_add(1);
        if let Some(leg) = self.legs.iter_mut().rfind(|leg| leg.from_number <= number) {
            leg.paid = leg.paid.saturating_add(amount);
        }
    }

    /// A voucher of so much in all is in hand.
    pub fn vouched(&mut self, channel: &ChannelId, amount: Amount) {
        let is_its = |leg: &&mut LegTally| leg.priced.channel.is_some_and(|(id, _)| id == *channel);
        if let Some(leg) = self.legs.iter_mut().rfind(is_its) {
            let base = leg.priced.channel.map_or(Amount::ZERO, |(_, base)| base);
            leg.paid = leg.paid.max(amount.saturating_sub(base));
        }
    }

    /// The buyer says that a window is paid: by voucher that is so, and a transfer is looked for.
    pub fn said(&mut self, number: u64) {
        let leg = self.legs.iter().rfind(|leg| leg.from_number <= number);
        if leg.is_some_and(|leg| leg.priced.method == Method::Escrow) {
            self.windows = self.windows.saturating_add(1);
        }
    }

    /// It is over; `broken`, unless both sides or we ended it.
    pub fn end(&mut self, broken: bool) {
        self.ended.get_or_insert(Parted { broken, owed: Amount::ZERO });
    }

    /// Brings what is known of the buyer up to date: `before` is this session as it was counted
    /// last.
    pub fn count(&mut self, before: &Tally, standing: &mut Standing) {
        let paid = self.settled().saturating_sub(before.settled());
        let windows = self.windows.saturating_sub(before.windows);
        standing.pay(paid, windows);
        let owed = self.owed();
        let Some(parted) = &mut self.ended else { return };
        match before.ended {
            None => standing.part(owed, parted.broken),
            Some(was) if windows > 0 => {
                standing.make_good(was.owed.saturating_sub(owed), parted.broken);
            }
            Some(_) => return,
        }
        parted.owed = owed;
    }

    /// What was paid for good, in the default currency's smallest unit.
    pub fn settled(&self) -> Amount {
        self.legs.iter().map(LegTally::settled).fold(Amount::ZERO, Amount::saturating_add)
    }

    /// What is not, of what was invoiced or is known to have arrived, in that unit.
    pub fn owed(&self) -> Amount {
        let open = self.acked_seq.saturating_sub(self.invoiced_seq);
        let last = self.legs.len().saturating_sub(1);
        let of = |(place, leg): (usize, &LegTally)| leg.owed(if place == last { open } else { 0 });
        self.legs.iter().enumerate().map(of).fold(Amount::ZERO, Amount::saturating_add)
    }
}
