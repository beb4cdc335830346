//! What is left in the open channels that this journal pays into, by its entries alone.

use crate::journal::watch::{Step, Word};
use crate::journal::{Doing, Entry, Watched};
use crate::record::{Act, Owed, Record};
use sdpp_ledger::{Amount, Asset, Call, ChannelId, LedgerId, Reference};
use std::collections::HashMap;

/// An open channel that this journal pays into. Amounts are in its asset's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remainder {
    /// The entry that opened it.
    pub entry: u64,
    /// The channel.
    pub channel: ChannelId,
    /// Its ledger.
    pub ledger: LedgerId,
    /// What was deposited.
    pub asset: Asset,
    /// How much of that.
    pub deposit: Amount,
    /// What was neither settled nor vouched.
    pub left: Amount,
    /// What is being done to get it back.
    pub doing: Doing,
}

/// All channels that a journal pays into.
#[derive(Default)]
pub(super) struct Remainders {
    channels: Vec<Paid>,
    /// Where each is.
    places: HashMap<ChannelId, usize>,
    /// What the outbox was told to do about which.
    owed: HashMap<Reference, (usize, Task)>,
}

struct Paid {
    entry: u64,
    channel: ChannelId,
    ledger: LedgerId,
    asset: Asset,
    watched: Watched,
    /// The deposits that are final; what the ledger told may be behind.
    funded: Amount,
    vouched: Amount,
    refused: Option<(Step, String)>,
}

#[derive(Clone, Copy)]
enum Task {
    Fund(Amount),
    Reclaim(Step),
}

impl Remainders {
    /// Takes the next entry.
    pub(super) fn take(&mut self, entry: &Entry) {
        match &entry.record {
            Record::Funding { channel, asset, owed, .. } => {
                self.fund(entry.seq, *channel, asset, owed);
            }
            Record::Ceiling { channel, amount } => {
                self.on(channel, |paid| paid.vouched = *amount);
            }
            Record::Spent { channel, amount, .. } => {
                self.on(channel, |paid| paid.vouched = paid.vouched.min(*amount));
            }
            Record::ChannelChange { change, .. } => self.on(&change.channel, |paid| {
                paid.watched = paid.watched.clone().next(Word::Changed(&change.kind));
            }),
            Record::Reclaiming { channel, owed } => self.reclaim(channel, owed),
            Record::Met { reference, .. } => self.settled(reference, None),
            Record::Refused { reference, why } => self.settled(reference, Some(why)),
            _ => {}
        }
    }

    /// Those that are open, with something left in them.
    pub(super) fn finish(self) -> Vec<Remainder> {
        let left = |paid: Paid| {
            let Paid { entry, channel, ledger, asset, watched, funded, vouched, refused } = paid;
            let deposit = watched.deposit.max(funded);
            let left = deposit.saturating_sub(vouched.max(watched.settled));
            let doing = match (refused, watched.reclaim, watched.ready_ms) {
                (_, Some(Step::RequestClose) | None, Some(ready_ms)) => Doing::Closing(ready_ms),
                (Some((step, why)), ..) => Doing::Refused(step, why),
                (None, Some(step), _) => Doing::Owed(step),
                (None, None, None) => Doing::Nothing,
            };
            let is_some = !watched.is_over && left > Amount::ZERO;
            is_some.then_some(Remainder { entry, channel, ledger, asset, deposit, left, doing })
        };
        self.channels.into_iter().filter_map(left).collect()
    }

    fn on(&mut self, channel: &ChannelId, change: impl FnOnce(&mut Paid)) {
        let place = self.places.get(channel).copied();
        if let Some(paid) = place.and_then(|place| self.channels.get_mut(place)) {
            change(paid);
        }
    }

    /// What is owed decides, not what stands beside it.
    fn fund(&mut self, entry: u64, channel: ChannelId, asset: &Asset, owed: &Owed) {
        let amount = match &owed.act {
            Act::Do(Call::Open(open)) => open.deposit,
            Act::Do(Call::TopUp(top_up)) => top_up.amount,
            _ => return,
        };
        let new = self.channels.len();
        let place = *self.places.entry(channel).or_insert(new);
        if place == new {
            let watched = Watched::payer(owed.ledger.clone(), owed.reference);
            self.channels.push(Paid {
                entry,
                channel,
                ledger: owed.ledger.clone(),
                asset: asset.clone(),
                watched,
                funded: Amount::ZERO,
                vouched: Amount::ZERO,
                refused: None,
            });
        }
        self.owed.insert(owed.reference, (place, Task::Fund(amount)));
    }

    fn reclaim(&mut self, channel: &ChannelId, owed: &Owed) {
        let step = match &owed.act {
            Act::Do(Call::RequestClose(_)) => Step::RequestClose,
            Act::Do(Call::Withdraw(_)) => Step::Withdraw,
            _ => return,
        };
        let Some(place) = self.places.get(channel).copied() else { return };
        self.owed.insert(owed.reference, (place, Task::Reclaim(step)));
        self.on(channel, |paid| (paid.watched.reclaim, paid.refused) = (Some(step), None));
    }

    fn settled(&mut self, reference: &Reference, refused: Option<&String>) {
        let Some((place, task)) = self.owed.get(reference).copied() else { return };
        let Some(paid) = self.channels.get_mut(place) else { return };
        match (task, refused) {
            (Task::Fund(amount), None) => {
                paid.funded = paid.funded.checked_add(amount).unwrap_or(paid.funded);
            }
            (Task::Reclaim(step), Some(why)) => paid.refused = Some((step, why.clone())),
            (Task::Fund(_), Some(_)) | (Task::Reclaim(_), None) => {}
        }
    }
}
