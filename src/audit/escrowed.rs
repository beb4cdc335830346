//! What the journal says of each channel, to be held against what its ledger says now.
//!
//! A journal knows what was final when it was written. So a ledger may be ahead of it, and that is
//! worth a note; where the ledger has less than was final, something is wrong.

use super::statement::{LegStatement, Statement};
use crate::journal::Entry;
use crate::record::{Act, Record};
use crate::terms::{Role, SessionId};
use sdpp_ledger::{
    Account, Amount, Asset, Call, Change, ChangeKind, Channel, ChannelId, LedgerId, Reference,
};
use std::collections::HashMap;

/// A channel by the journal. Amounts are in its asset's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escrowed {
    /// The last entry that says something of it.
    pub entry: u64,
    /// The channel.
    pub channel: ChannelId,
    /// The last session on it.
    pub session: Option<SessionId>,
    /// Its ledger.
    pub ledger: LedgerId,
    /// Which side of it we are.
    pub role: Role,
    /// Who may claim from it.
    pub payee: Account,
    /// What was deposited.
    pub asset: Asset,
    /// All that was deposited, for good; `None` where no ledger told a payee of it yet.
    pub deposit: Option<Amount>,
    /// All that was paid out, for good.
    pub settled: Amount,
    /// The most that was vouched on it.
    pub vouched: Amount,
    /// The payer asked to close it.
    pub is_closing: bool,
    /// It is closed or withdrawn.
    pub is_over: bool,
    /// It must be there: it was opened for good, or paid out, or a session was paid from it.
    pub is_certain: bool,
}

/// What a ledger says of a channel beside what the journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The same.
    Agrees,
    /// More has happened than the journal knows.
    Ahead(String),
    /// It contradicts the journal.
    Differs(String),
}

impl Escrowed {
    /// Holds it against its ledger's word.
    pub fn compare(&self, there: Option<&Channel>) -> Seen {
        let Some(there) = there else {
            return match self.is_certain {
                true => Seen::Differs("there is no such channel".to_owned()),
                false => Seen::Agrees,
            };
        };
        match self.contradiction(there) {
            Some(what) => Seen::Differs(what),
            None => self.news(there).map_or(Seen::Agrees, Seen::Ahead),
        }
    }

    fn contradiction(&self, there: &Channel) -> Option<String> {
        let Channel { payee, asset, deposit, settled, finalized, .. } = there;
        if *payee != self.payee || *asset != self.asset {
            let (agreed, of) = (&self.payee, &self.asset);
            return Some(format!("it pays {asset} to {payee}, agreed was {of} to {agreed}"));
        }
        if let Some(known) = self.deposit.filter(|known| deposit < known) {
            return Some(format!("its deposit is {deposit}, {known} was final"));
        }
        if *settled < self.settled {
            return Some(format!("it paid {settled}, {} was final", self.settled));
        }
        if *settled > self.vouched.max(self.settled) {
            return Some(format!("it paid {settled}, {} was vouched", self.vouched));
        }
        if self.is_over && !finalized {
            return Some("it is open, and was closed for good".to_owned());
        }
        let lost = self.vouched.saturating_sub(*settled);
        let is_lost = *finalized && !self.is_over && self.role == Role::Seller;
        (is_lost && lost > Amount::ZERO).then(|| {
            format!("it is closed and paid {settled}, {} was vouched: {lost} is lost", self.vouched)
        })
    }

    fn news(&self, there: &Channel) -> Option<String> {
        let Channel { deposit, settled, finalized, close_requested_ms, .. } = there;
        let mut news = Vec::new();
        if self.deposit.is_some_and(|known| *deposit > known) {
            news.push(format!("its deposit is {deposit}"));
        }
        if *settled > self.settled {
            news.push(format!("it paid {settled}"));
        }
        if *finalized && !self.is_over {
            news.push("it is closed".to_owned());
        }
        if close_requested_ms.is_some() && !finalized && !self.is_closing {
            news.push("its payer asks to close it".to_owned());
        }
        (!news.is_empty()).then(|| news.join(", "))
    }
}

/// All channels of a journal.
#[derive(Default)]
pub(super) struct AllEscrowed {
    known: HashMap<ChannelId, Known>,
    /// What the outbox does about which.
    owed: HashMap<Reference, (ChannelId, Call)>,
    /// In the order in which they came.
    order: Vec<ChannelId>,
}

#[derive(Default)]
struct Known {
    entry: u64,
    funded: Option<(LedgerId, Account, Asset)>,
    deposit: Option<Amount>,
    settled: Amount,
    vouched: Amount,
    is_closing: bool,
    is_over: bool,
    is_certain: bool,
}

impl AllEscrowed {
    /// Takes the next entry.
    pub(super) fn take(&mut self, entry: &Entry) {
        let seq = entry.seq;
        if let Some(owed) = entry.record.owed()
            && let Act::Do(call) = &owed.act
            && let Some(channel) = channel_of(call, &entry.record)
        {
            self.owed.insert(owed.reference, (channel, call.clone()));
        }
        match &entry.record {
            Record::Funding { channel, payee, asset, owed } => {
                let funded = (owed.ledger.clone(), payee.clone(), asset.clone());
                self.on(*channel, seq, |known| known.funded = Some(funded));
            }
            Record::Voucher { channel, amount, .. } | Record::Ceiling { channel, amount } => {
                self.on(*channel, seq, |known| known.vouched = known.vouched.max(*amount));
            }
            Record::Spent { channel, amount, .. } => {
                self.on(*channel, seq, |known| known.vouched = known.vouched.min(*amount));
            }
            Record::ChannelChange { change, .. } => {
                self.on(change.channel, seq, |known| known.change(change));
            }
            Record::Met { reference, .. } => {
                if let Some((channel, call)) = self.owed.remove(reference) {
                    self.on(channel, seq, |known| known.done(&call));
                }
            }
            _ => {}
        }
    }

    fn on(&mut self, channel: ChannelId, entry: u64, change: impl FnOnce(&mut Known)) {
        let known = self.known.entry(channel).or_insert_with(|| {
            self.order.push(channel);
            Known::default()
        });
        known.entry = entry;
        change(known);
    }

    /// Those whose ledger is known, in the order in which they came.
    pub(super) fn finish(mut self, statements: &[Statement]) -> Vec<Escrowed> {
        let mut on: HashMap<ChannelId, (&Statement, &LegStatement)> = HashMap::new();
        for statement in statements {
            for leg in statement.legs() {
                on.extend(leg.escrow.map(|on| (on.channel, (statement, leg))));
            }
        }
        let order = std::mem::take(&mut self.order);
        let one = |channel| {
            let known = self.known.remove(&channel)?;
            let last = on.get(&channel).copied();
            let role = last.map_or(Role::Buyer, |(statement, _)| statement.role);
            let by_leg = |(_, leg): (_, &LegStatement)| {
                (leg.ledger.clone(), leg.payee.clone(), leg.asset.clone())
            };
            let (ledger, payee, asset) = known.funded.or_else(|| last.map(by_leg))?;
            Some(Escrowed {
                entry: known.entry,
                channel,
                session: last.map(|(statement, _)| statement.session),
                ledger,
                role,
                payee,
                asset,
                deposit: known.deposit,
                settled: known.settled,
                vouched: known.vouched,
                is_closing: known.is_closing,
                is_over: known.is_over,
                is_certain: known.is_certain
                    || last.is_some_and(|(_, leg)| leg.paid > Amount::ZERO),
            })
        };
        order.into_iter().filter_map(one).collect()
    }
}

impl Known {
    /// A ledger told of it.
    fn change(&mut self, change: &Change) {
        self.is_certain = true;
        match change.kind {
            ChangeKind::Opened { deposit } => self.deposit = self.deposit.max(Some(deposit)),
            ChangeKind::ToppedUp { deposit } => {
                (self.deposit, self.is_closing) = (self.deposit.max(Some(deposit)), false);
            }
            ChangeKind::CloseRequested { .. } => self.is_closing = true,
            ChangeKind::Settled { settled } => self.settled = self.settled.max(settled),
            ChangeKind::Closed { settled } => {
                (self.settled, self.is_over) = (self.settled.max(settled), true);
            }
            ChangeKind::Withdrawn => self.is_over = true,
        }
    }

    /// Something of ours is done with it, for good.
    fn done(&mut self, call: &Call) {
        self.is_certain = true;
        match call {
            Call::Open(open) => self.deposit = self.deposit.max(Some(open.deposit)),
            Call::Settle(redeem) => self.settled = self.settled.max(redeem.amount),
            Call::Close(redeem) => {
                (self.settled, self.is_over) = (self.settled.max(redeem.amount), true);
            }
            Call::RequestClose(_) => self.is_closing = true,
            Call::Withdraw(_) => self.is_over = true,
            // How much is in it then, the ledger tells.
            _ => {}
        }
    }
}

/// The channel that a call is about.
fn channel_of(call: &Call, record: &Record) -> Option<ChannelId> {
    match (call, record) {
        (Call::Settle(redeem) | Call::Close(redeem), _) => Some(redeem.channel),
        (Call::RequestClose(in_channel) | Call::Withdraw(in_channel), _) => {
            Some(in_channel.channel)
        }
        (Call::Open(_), Record::Funding { channel, .. }) => Some(*channel),
        _ => None,
    }
}
