//! What a channel holds for us becomes owed at a person's word.

use super::{Fault, Stage};
use crate::journal::facts::Channel;
use crate::journal::settle::{Means, Settle};
use crate::journal::tree::Tree;
use crate::journal::watch::{Home, Watched, Word};
use crate::record::{Act, Owed, Record};
use crate::terms::{Purpose, SessionId};
use sdpp_ledger::{Call, Digest, Redeem};

impl Stage<'_> {
    /// Owes the best voucher, where anything is missing; else nothing changes.
    pub(super) fn settle(&mut self, settle: Settle) -> Result<(), Fault> {
        let Settle { channel, ledger, view, close, live } = settle;
        let Some(row) = self.watched_on(&ledger, &channel)? else { return Ok(()) };
        let facts: Option<Channel> = self.row(Tree::Channels, &channel.0)?;
        let Some((amount, signature)) = facts.and_then(|facts| facts.voucher) else {
            return Ok(());
        };
        // What the ledger shows decides, and is kept by the watch alone, with the facts behind it.
        let seen = row.clone().next(Word::Seen(&view));
        let Some(means) = seen.must_settle(Some(amount), close, live) else { return Ok(()) };
        let redeems = row.redeems.saturating_add(1);
        let redeem = Redeem { channel, amount, signature };
        let (purpose, call) = match means {
            Means::Settle => (Purpose::Settle, Call::Settle(redeem)),
            Means::Close => (Purpose::Close, Call::Close(redeem)),
        };
        let owed = Owed {
            // A channel is no session, and has its references all the same.
            reference: SessionId(Digest(channel.0)).reference(purpose, redeems),
            purpose,
            ledger: ledger.clone(),
            act: Act::Do(call),
            held: false,
        };
        let (home, redeemed) = (Home::Ledger(ledger), row.redeemed.max(amount));
        let is_left = row.is_left || means == Means::Close;
        self.put_watched(&channel, &Watched { home, redeemed, redeems, is_left, ..row })?;
        self.push(None, Record::Redeeming { channel, owed: owed.clone() })?;
        self.written.seq = Some(self.head.seq);
        self.owe(owed, None)
    }
}
