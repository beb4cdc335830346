//! What the ledgers say of our channels becomes facts, once each, and what a fact threatens is
//! redeemed in the same write.

use super::{Fault, Stage};
use crate::journal::facts::Channel;
use crate::journal::keys;
use crate::journal::obligation::redeem_in;
use crate::journal::tree::Tree;
use crate::journal::watch::{Home, Watch, Watched, Word};
use crate::record::{Act, Owed, Record};
use crate::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{Call, Change, ChannelId, Digest, LedgerId, Redeem};
use std::collections::{BTreeSet, HashMap};

impl Stage<'_> {
    /// Takes what a ledger said of channels.
    pub(super) fn watch(&mut self, watch: Watch) -> Result<(), Fault> {
        let Watch { ledger, changes, seen, next } = watch;
        let (mut touched, mut told) = (BTreeSet::new(), HashMap::<Vec<u8>, u32>::new());
        for change in changes {
            let channel = change.channel;
            let same = told.entry(keys::change(&change, 0)).or_default();
            let before = *same;
            *same = before.saturating_add(1);
            if self.take_change(&ledger, change, before)? {
                touched.insert(channel);
            }
        }
        for (channel, view) in &seen {
            let Some(row) = self.watched_on(&ledger, channel)? else { continue };
            let row = Watched { home: Home::Ledger(ledger.clone()), ..row };
            self.put_watched(channel, &row.next(Word::Seen(view)))?;
            touched.insert(*channel);
        }
        for channel in &touched {
            self.hold_against_vouched(channel)?;
            self.redeem_threatened(&ledger, channel)?;
        }
        self.put_row("a cursor", Tree::Meta, keys::cursor(&ledger), &next)
    }

    /// Whether this is news of a channel of ours; `before` is how often the same was told before it
    /// in this write.
    fn take_change(
        &mut self,
        ledger: &LedgerId,
        change: Change,
        before: u32,
    ) -> Result<bool, Fault> {
        let channel = change.channel;
        let Some(row) = self.watched_on(ledger, &channel)? else { return Ok(false) };
        let key = keys::change(&change, before);
        if self.get(Tree::Changes, &key)?.is_some() {
            return Ok(false);
        }
        self.put_watched(&channel, &row.next(Word::Changed(&change.kind)))?;
        self.push(None, Record::ChannelChange { ledger: ledger.clone(), change })?;
        self.written.seq.get_or_insert(self.head.seq);
        let seq = keys::seq(self.head.seq).to_vec();
        self.put("an index row", Tree::Changes, key, seq)?;
        Ok(true)
    }

    /// Whether a channel of ours paid out more than we vouched is looked at whenever either grows.
    fn hold_against_vouched(&mut self, channel: &ChannelId) -> Result<(), Fault> {
        let Some(row) = self.watched(channel)? else { return Ok(()) };
        let facts: Option<Channel> = self.row(Tree::Channels, &channel.0)?;
        let vouched = facts.and_then(|facts| facts.ceiling).unwrap_or_default();
        match row.is_unjust(vouched) {
            true => self.put("an index row", Tree::Meta, keys::unjust(channel), Vec::new()),
            false => Ok(()),
        }
    }

    /// The payer may withdraw soon: the best voucher is owed to us at once.
    fn redeem_threatened(&mut self, ledger: &LedgerId, channel: &ChannelId) -> Result<(), Fault> {
        let Some(row) = self.watched_on(ledger, channel)? else { return Ok(()) };
        let facts: Option<Channel> = self.row(Tree::Channels, &channel.0)?;
        let voucher = facts.and_then(|facts| facts.voucher);
        let Some((amount, signature)) =
            voucher.filter(|(best, _)| row.must_redeem(Some(*best)).is_some())
        else {
            return Ok(());
        };
        let redeems = row.redeems.saturating_add(1);
        let redeem = Redeem { channel: *channel, amount, signature };
        let owed = Owed {
            // A channel is no session, and has its references all the same.
            reference: SessionId(Digest(channel.0)).reference(Purpose::Settle, redeems),
            purpose: Purpose::Settle,
            ledger: ledger.clone(),
            act: Act::Do(Call::Settle(redeem)),
            held: false,
        };
        self.put_watched(channel, &Watched { redeemed: amount, redeems, ..row })?;
        self.push(None, Record::Redeeming { channel: *channel, owed: owed.clone() })?;
        self.written.seq.get_or_insert(self.head.seq);
        self.owe(owed, None)
    }

    /// A record that gives us part in a channel has it watched from here on, and what the session
    /// on it does with it is kept there.
    pub(super) fn begin_watch(&mut self, record: &Record) -> Result<(), Fault> {
        if let Record::Spent { channel, .. } | Record::Ceiling { channel, .. } = record {
            let is_left = matches!(record, Record::Spent { kept: false, .. });
            self.use_channel(channel, is_left)?;
            return self.hold_against_vouched(channel);
        }
        let (channel, row) = match record {
            Record::Voucher { channel, domain, .. } => {
                let home = Home::Domain(domain.clone());
                (channel, Watched::new(Role::Seller, home, None))
            }
            Record::Funding { channel, owed, .. } => {
                let home = Home::Ledger(owed.ledger.clone());
                (channel, Watched::new(Role::Buyer, home, Some(owed.reference)))
            }
            _ => return Ok(()),
        };
        let is_top_up = record.owed().is_some_and(|owed| owed.purpose == Purpose::TopUp);
        let row = match self.watched(channel)? {
            Some(row) if is_top_up => Watched { top_ups: row.top_ups.saturating_add(1), ..row },
            Some(_) => return Ok(()),
            None => row,
        };
        self.put_watched(channel, &Watched { used_ms: self.now_ms, ..row })
    }

    /// A buyer's session made something of its channel; where it leaves it to be closed, no
    /// session begins on it any more.
    fn use_channel(&mut self, channel: &ChannelId, leaves: bool) -> Result<(), Fault> {
        let Some(row) = self.watched(channel)? else { return Ok(()) };
        let is_left = row.is_left || leaves;
        self.put_watched(channel, &Watched { is_left, used_ms: self.now_ms, ..row })
    }

    /// A session may owe what the watch had redeemed before it, or the other way round: that is
    /// not owed twice, as the ledger would refuse the second. Closing at the same amount does
    /// more, and stays. Of a channel that is over nothing is owed: what was lost with it, audit
    /// tells. Nothing is left of a record that says no more than that.
    pub(super) fn without_repeated_redeem(
        &mut self,
        mut record: Record,
    ) -> Result<Option<Record>, Fault> {
        if !matches!(record, Record::Ended { .. } | Record::Redeeming { .. }) {
            return Ok(Some(record));
        }
        let Some((redeem, is_close)) = record.owed().and_then(redeem_in) else {
            return Ok(Some(record));
        };
        let (channel, amount) = (redeem.channel, redeem.amount);
        let Some(row) = self.watched(&channel)? else { return Ok(Some(record)) };
        let is_had = !is_close && amount <= row.redeemed.max(row.settled);
        if row.is_over || is_had {
            match &mut record {
                Record::Ended { owed, .. } => *owed = None,
                _ => return Ok(None),
            }
        } else {
            let (redeemed, is_left) = (row.redeemed.max(amount), row.is_left || is_close);
            self.put_watched(&channel, &Watched { redeemed, is_left, ..row })?;
        }
        Ok(Some(record))
    }

    pub(super) fn watched(&mut self, channel: &ChannelId) -> Result<Option<Watched>, Fault> {
        Ok(self.row(Tree::Watched, &channel.0)?)
    }

    /// The channel, unless it is known to be on another ledger.
    pub(super) fn watched_on(
        &mut self,
        ledger: &LedgerId,
        channel: &ChannelId,
    ) -> Result<Option<Watched>, Fault> {
        let row = self.watched(channel)?;
        let elsewhere = |home: &Home| matches!(home, Home::Ledger(id) if id != ledger);
        Ok(row.filter(|row| !elsewhere(&row.home)))
    }

    /// Keeps the row, and its place in the index while it is open.
    pub(super) fn put_watched(&mut self, channel: &ChannelId, row: &Watched) -> Result<(), Fault> {
        let key = channel.0.to_vec();
        self.put_row("a watched channel", Tree::Watched, key.clone(), row)?;
        if row.is_over {
            self.set((Tree::Watching, key), None);
            return Ok(());
        }
        self.put("an index row", Tree::Watching, key, Vec::new())
    }
}
