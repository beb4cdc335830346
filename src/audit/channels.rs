//! What the ledgers said of our channels, held against what was vouched on them.

use super::Problem;
use super::payouts::{Share, shares};
use super::statement::{LegStatement, Statement};
use crate::journal::Entry;
use crate::record::{Act, Owed, Record};
use crate::terms::{InEscrow, Role, SessionId};
use sdpp_ledger::{Amount, Call, Change, ChangeKind, ChannelId, Reference};
use std::collections::{BTreeMap, HashMap};

/// All channels of a journal.
#[derive(Default)]
pub(super) struct Channels {
    /// The most that was vouched on each, or was allowed to be.
    vouched: HashMap<ChannelId, Amount>,
    /// What each has paid out in all, and whether that was all.
    paid: HashMap<ChannelId, (Amount, bool)>,
    /// Those that we are paid from.
    paying: BTreeMap<ChannelId, Paying>,
    /// What is redeemed on them, by reference.
    redeems: BTreeMap<Reference, Redeeming>,
    pub(super) changes: u64,
    pub(super) problems: Vec<Problem>,
}

/// A channel that we are paid from.
#[derive(Default)]
struct Paying {
    /// The best voucher that we hold, and the session that brought it.
    best: Amount,
    session: Option<SessionId>,
    /// What was paid out to us in all, by the ledger's word.
    settled: Amount,
    /// The entry that says that it is closed or withdrawn.
    over: Option<u64>,
}

/// A voucher on its way to its ledger.
struct Redeeming {
    channel: ChannelId,
    amount: Amount,
    session: Option<SessionId>,
    became: Became,
}

/// What became of it.
enum Became {
    UnderWay,
    Met,
    Refused { entry: u64, why: String },
}

impl Channels {
    /// Takes the next entry.
    pub(super) fn take(&mut self, entry: &Entry) {
        if let Some(owed) = entry.record.owed() {
            self.redeem(entry.session, owed);
        }
        match &entry.record {
            Record::Voucher { channel, amount, .. } => {
                self.vouch(*channel, *amount);
                let paying = self.paying.entry(*channel).or_default();
                if *amount > paying.best {
                    (paying.best, paying.session) = (*amount, entry.session);
                }
            }
            // A buyer may sign up to its ceiling, so that is what it can have lost.
            Record::Ceiling { channel, amount } => self.vouch(*channel, *amount),
            Record::Spent { channel, amount, .. } => {
                let most = self.vouched.entry(*channel).or_default();
                *most = (*most).min(*amount);
            }
            Record::ChannelChange { change, .. } => {
                self.changes += 1;
                self.hold_against(entry.seq, change);
            }
            Record::Met { reference, .. } => {
                if let Some(redeem) = self.redeems.get_mut(reference) {
                    redeem.became = Became::Met;
                    let paying = self.paying.entry(redeem.channel).or_default();
                    paying.settled = paying.settled.max(redeem.amount);
                }
            }
            Record::Refused { reference, why } => {
                if let Some(redeem) = self.redeems.get_mut(reference) {
                    redeem.became = Became::Refused { entry: entry.seq, why: why.clone() };
                }
            }
            _ => {}
        }
    }

    /// All that is wrong, now that everything is known: what was refused may have been redeemed by
    /// other means, before it or after.
    pub(super) fn finish(mut self) -> (u64, Vec<Problem>) {
        self.name_refused();
        for (channel, paying) in &self.paying {
            let Paying { best, session, settled, over } = paying;
            if let Some(entry) = over.filter(|_| settled < best) {
                let lost = best.saturating_sub(*settled);
                let what = format!(
                    "channel {channel} is over and paid {settled}, {best} was vouched: {lost} is \
                     lost"
                );
                self.problems.push(Problem::new(entry, *session, what));
            }
        }
        (self.changes, self.problems)
    }

    /// The largest voucher of each channel that a ledger does not take, where nothing else gives
    /// as much.
    fn name_refused(&mut self) {
        let mut worst = BTreeMap::new();
        for redeem in self.redeems.values() {
            let most = worst.entry(redeem.channel).or_insert(redeem);
            // Of two that give as much, one that was not refused is enough.
            let is_better = matches!(most.became, Became::Refused { .. });
            if redeem.amount > most.amount || (redeem.amount == most.amount && is_better) {
                *most = redeem;
            }
        }
        for (channel, redeem) in worst {
            let settled = self.paying.get(&channel).map_or(Amount::ZERO, |paying| paying.settled);
            let Redeeming { amount, session, became: Became::Refused { entry, why }, .. } = redeem
            else {
                continue;
            };
            if settled < *amount {
                let (entry, session) = (*entry, *session);
                let what = format!(
                    "channel {channel}: redeeming {amount} is refused ({why}), {settled} is settled"
                );
                self.problems.push(Problem::new(entry, session, what));
            }
        }
    }

    fn redeem(&mut self, session: Option<SessionId>, owed: &Owed) {
        if let Act::Do(Call::Settle(redeem) | Call::Close(redeem)) = &owed.act {
            let (channel, amount) = (redeem.channel, redeem.amount);
            let redeem = Redeeming { channel, amount, session, became: Became::UnderWay };
            self.redeems.insert(owed.reference, redeem);
        }
    }

    fn vouch(&mut self, channel: ChannelId, amount: Amount) {
        let most = self.vouched.entry(channel).or_default();
        *most = (*most).max(amount);
    }

    fn hold_against(&mut self, entry: u64, change: &Change) {
        let channel = change.channel;
        let is_over = matches!(change.kind, ChangeKind::Closed { .. } | ChangeKind::Withdrawn);
        self.paid.entry(channel).or_default().1 |= is_over;
        let paying = self.paying.get_mut(&channel);
        if let Some(paying) = paying.filter(|_| is_over) {
            paying.over.get_or_insert(entry);
        }
        let (ChangeKind::Settled { settled } | ChangeKind::Closed { settled }) = change.kind else {
            return;
        };
        let (paid, _) = self.paid.entry(channel).or_default();
        *paid = (*paid).max(settled);
        if let Some(paying) = self.paying.get_mut(&channel) {
            paying.settled = paying.settled.max(settled);
        }
        let vouched = self.vouched.get(&channel).copied().unwrap_or_default();
        if settled > vouched {
            let what = format!("channel {channel}: {settled} is settled, {vouched} was vouched");
            self.problems.push(Problem::new(entry, None, what));
        }
    }

    /// Deals out what each channel has paid, by its ledger, to the legs on it, in their order:
    /// one has what lies between its base and the next one's, whatever either side wrote of it.
    pub(super) fn deal(&self, statements: &mut [Statement]) {
        for Share { statement, leg, start, end } in shares(statements) {
            let statement = &mut statements[statement];
            let role = statement.role;
            let Some(leg) = statement.legs_mut().nth(leg) else { continue };
            let Some(InEscrow { channel, .. }) = leg.escrow else { continue };
            // The next order's word is that so much was vouched before it.
            let vouched = end.map_or(Amount::ZERO, |end| end.saturating_sub(start));
            leg.paid = leg.paid.max(vouched);
            let Some((paid, is_over)) = self.paid.get(&channel) else { continue };
            let part = end.map_or(*paid, |end| end.min(*paid)).saturating_sub(start);
            has(role, leg, part, *is_over);
        }
    }
}

/// A leg has got so much out of its channel; where that is over, it gets no more.
fn has(role: Role, leg: &mut LegStatement, part: Amount, is_over: bool) {
    // Vouchers that are not redeemed are worth nothing any more; the seller's receipt still is.
    leg.settled = match role {
        Role::Seller if is_over => part,
        _ => leg.settled.max(part),
    };
    leg.paid = leg.paid.max(part);
    leg.outstanding = leg.invoiced.saturating_sub(leg.settled);
}
