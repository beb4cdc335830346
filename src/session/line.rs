//! The line under a session: the connection that carries it, and what left over it and may not have
//! arrived. When it is cut, the session goes on as if its peer were slow, and what the peer lacks is
//! said again over the next connection.
//!
//! Two kinds of words are kept. Items are sealed anew for each epoch: their seqs and leaves stay what
//! they are. Papers (invoices, payments, amends, exits) are signed once, so their bytes stay what they
//! are, and both sides count them.

use crate::crypto::SaltSecret;
use crate::crypto::layout::MessageKind;
use crate::record::Record;
use crate::session::{Output, Outputs, Row};
use sdpp_ledger::Digest;
use std::collections::VecDeque;

/// The most bytes of papers that are kept for a peer that says nothing of them. What was dropped
/// cannot be said again: a session that lacks it does not go on.
const PAPER_BYTES_MAX: usize = 4 << 20;

/// The line of a session that outlives its connections.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// What left and may not have arrived, the oldest first.
    words: VecDeque<Word>,
    /// How long the papers among them are, in bytes.
    paper_bytes: usize,
    /// Papers that left and are kept no more.
    gone: u64,
    /// The last item that left.
    left_seq: u64,
    /// The peer's papers that were taken.
    pub(super) heard: u64,
    /// The epoch that is on.
    pub(super) epoch: u32,
    /// Until when the next connection is waited for; `None` while there is one.
    pub(super) cut_until_ms: Option<u64>,
    /// Papers wait for items that go before them: so many of all that ever left were said over this
    /// connection. `None` where each is said as it leaves.
    said: Option<u64>,
}

/// What left.
#[derive(Debug)]
pub(super) enum Word {
    /// An item, whichever message it travelled in.
    Item(Sent),
    /// A paper's frame, and the last item that left before it.
    Paper(u64, Vec<u8>),
}

/// An item as it left.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) seq: u64,
    pub(super) row: Row,
    pub(super) leaf: Digest,
}

/// Whether a message of this kind is signed once and counted.
pub(super) fn is_paper(kind: MessageKind) -> bool {
    use MessageKind::{Amend, DataInvoice, Exit, PaymentAck};
    matches!(kind, DataInvoice | PaymentAck | Amend | Exit)
}

impl Line {
    /// An item leaves.
    pub(super) fn keep_item(&mut self, sent: Sent) {
        self.left_seq = sent.seq;
        self.words.push_back(Word::Item(sent));
    }

    /// A paper leaves.
    pub(super) fn keep_paper(&mut self, frame: Vec<u8>) {
        self.keep_paper_after(self.left_seq, frame);
    }

    /// A paper left when the items up to this one had.
    pub(super) fn keep_paper_after(&mut self, after_seq: u64, frame: Vec<u8>) {
        self.paper_bytes += frame.len();
        self.words.push_back(Word::Paper(after_seq, frame));
        while self.paper_bytes > PAPER_BYTES_MAX
            && matches!(self.words.front(), Some(Word::Paper(..)))
        {
            self.forget_first();
        }
    }

    /// A paper left that cannot be said again, and with it all that left before is gone.
    pub(super) fn lose_paper(&mut self) {
        while !self.words.is_empty() {
            match self.words.front() {
                Some(Word::Paper(..)) => self.forget_first(),
                _ => drop(self.words.pop_front()),
            }
        }
        self.gone += 1;
    }

    /// The items up to this one left, and are not kept.
    pub(super) fn left_to(&mut self, seq: u64) {
        self.left_seq = self.left_seq.max(seq);
    }

    /// The last item that left.
    pub(super) fn left_seq(&self) -> u64 {
        self.left_seq
    }

    /// The items up to this one arrived, and with them all that left before.
    pub(super) fn arrived(&mut self, seq: u64) {
        let is_later = |word: &Word| matches!(word, Word::Item(sent) if sent.seq > seq);
        let is_item = |word: &Word| matches!(word, Word::Item(_));
        let before = self.words.iter().take_while(|word| !is_later(word));
        let last = before.enumerate().filter(|(_, word)| is_item(word)).last();
        let count = last.map_or(0, |(at, _)| at + 1);
        (0..count).for_each(|_| self.forget_first());
    }

    /// So many of our papers arrived, and the items up to `received`: they are forgotten. Whether that
    /// is what left, and all the rest is kept.
    #[must_use]
    pub(super) fn forget(&mut self, received: u64, heard: u64) -> bool {
        if !self.can_say_after(heard) || received > self.left_seq {
            return false;
        }
        let first = self.words.iter().find_map(|word| match word {
            Word::Item(sent) => Some(sent.seq),
            Word::Paper(..) => None,
        });
        if received < self.left_seq && first.is_none_or(|first| first > received + 1) {
            return false;
        }
        self.arrived(received);
        // What is behind an item that did not arrive did not arrive either.
        while self.gone < heard && matches!(self.words.front(), Some(Word::Paper(..))) {
            self.forget_first();
        }
        true
    }

    /// Whether so many papers left at least, and all the others are kept.
    fn can_say_after(&self, heard: u64) -> bool {
        let is_paper = |word: &&Word| matches!(word, Word::Paper(..));
        let papers = self.words.iter().filter(is_paper).count() as u64;
        (self.gone..=self.gone + papers).contains(&heard)
    }

    /// Of a line of which only papers are kept: so many of them arrived. The others are said as their
    /// items are, and so is what leaves meanwhile. Whether they can be.
    #[must_use]
    pub(super) fn hold_after(&mut self, heard: u64) -> bool {
        if !self.can_say_after(heard) {
            return false;
        }
        while self.gone < heard && !self.words.is_empty() {
            self.forget_first();
        }
        self.said = Some(self.gone);
        true
    }

    /// The next paper that waits, once the items up to this one have left; with none, whichever.
    fn next_held(&mut self, left_seq: Option<u64>) -> Option<Vec<u8>> {
        let said = self.said.as_mut()?;
        let before = said.saturating_sub(self.gone);
        let mut papers = self.words.iter().filter_map(|word| match word {
            Word::Paper(after_seq, frame) => Some((*after_seq, frame)),
            Word::Item(_) => None,
        });
        let next = papers.nth(usize::try_from(before).ok()?);
        let (_, frame) = next.filter(|(after, _)| left_seq.is_none_or(|left| *after <= left))?;
        *said += 1;
        Some(frame.clone())
    }

    /// What may not have arrived, in the order in which it left.
    pub(super) fn words(&self) -> impl Iterator<Item = &Word> {
        self.words.iter()
    }

    /// The papers among that.
    pub(super) fn papers(&self) -> impl Iterator<Item = Vec<u8>> {
        self.words().filter_map(|word| match word {
            Word::Paper(_, frame) => Some(frame.clone()),
            Word::Item(_) => None,
        })
    }

    fn forget_first(&mut self) {
        if let Some(Word::Paper(_, frame)) = self.words.pop_front() {
            self.paper_bytes -= frame.len();
            self.gone += 1;
        }
    }
}

impl Outputs {
    /// From here on the session outlives its connections.
    pub(super) fn keep_line(&mut self) {
        self.line = Some(Box::default());
    }

    /// An item leaves, in a message that follows.
    pub(super) fn keep_item(&mut self, seq: u64, row: &Row, leaf: Digest) {
        if let Some(line) = &mut self.line {
            line.keep_item(Sent { seq, row: row.clone(), leaf });
        }
    }

    /// The connection is gone: what was on its way out stays here.
    pub(super) fn cut(&mut self, until_ms: u64) {
        if let Some(line) = &mut self.line {
            line.cut_until_ms = Some(until_ms);
            self.queue.retain(|output| !matches!(output, Output::Send(_)));
        }
    }

    /// Until when the next connection is waited for, where this one is gone.
    pub(super) fn cut_until_ms(&self) -> Option<u64> {
        self.line.as_ref().and_then(|line| line.cut_until_ms)
    }

    /// The session goes on over another connection.
    pub(super) fn begin_epoch(&mut self, epoch: u32, salt_secret: SaltSecret) {
        self.cut(0);
        if let Some(line) = &mut self.line {
            (line.epoch, line.cut_until_ms) = (epoch, None);
        }
        self.record(Record::Epoch { key: None, epoch, salt_secret });
    }

    /// Says the papers that wait for the items up to this one; with none, all, and no more waits.
    pub(super) fn say_held(&mut self, left_seq: Option<u64>) {
        while let Some(frame) = self.line.as_mut().and_then(|line| line.next_held(left_seq)) {
            self.leave(frame);
        }
        if left_seq.is_none() {
            self.line.iter_mut().for_each(|line| line.said = None);
        }
    }

    /// Whether papers wait for items that go before them.
    pub(super) fn holds_papers(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.said.is_some())
    }

    /// There is a connection again.
    pub(super) fn come_back(&mut self) {
        self.line.iter_mut().for_each(|line| line.cut_until_ms = None);
    }

    /// A paper of the peer's was taken: nothing is that comes over a connection that is gone.
    pub(super) fn heard_paper(&mut self) {
        let line = self.line.iter_mut().filter(|line| line.cut_until_ms.is_none());
        line.for_each(|line| line.heard += 1);
    }

    /// A paper of the peer's was taken in an earlier life of this process.
    pub(super) fn heard_before(&mut self) {
        self.line.iter_mut().for_each(|line| line.heard += 1);
    }

    /// The items up to this one arrived.
    pub(super) fn arrived(&mut self, seq: u64) {
        self.line.iter_mut().for_each(|line| line.arrived(seq));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        let mut line = Line::default();
        for seq in 1..=4 {
            let row = Row::from(vec![seq as u8]);
            line.keep_item(Sent { seq, row, leaf: Digest::ZERO });
            if seq % 2 == 0 {
                line.keep_paper(vec![100 + seq as u8]);
            }
        }
        line
    }

    fn lacking(line: &mut Line, received: u64, heard: u64) -> Option<Vec<u8>> {
        let first = |word: &Word| match word {
            Word::Item(sent) => sent.row.item[0],
            Word::Paper(_, frame) => frame[0],
        };
        line.forget(received, heard).then(|| line.words().map(first).collect())
    }

    #[test]
    fn what_did_not_arrive_is_said_again_in_its_order() {
        assert_eq!(lacking(&mut line(), 0, 0), Some(vec![1, 2, 102, 3, 4, 104]));
        assert_eq!(lacking(&mut line(), 2, 1), Some(vec![3, 4, 104]));
        assert_eq!(lacking(&mut line(), 4, 2), Some(Vec::new()));
        assert_eq!(lacking(&mut line(), 2, 0), Some(vec![102, 3, 4, 104]));
    }

    #[test]
    fn a_peer_that_has_more_than_left_or_less_than_it_said_is_not_believed() {
        assert_eq!(lacking(&mut line(), 5, 2), None);
        assert_eq!(lacking(&mut line(), 4, 3), None);
        let mut acked = line();
        acked.arrived(3);
        assert_eq!(lacking(&mut acked, 2, 1), None, "item 3 was acknowledged and is gone");
        assert_eq!(lacking(&mut acked, 3, 0), None, "so is the paper before it");
        assert_eq!(lacking(&mut acked, 3, 1), Some(vec![4, 104]));
    }

    #[test]
    fn papers_that_nobody_speaks_of_are_kept_up_to_a_limit() {
        let mut line = Line::default();
        (0..5).for_each(|at| line.keep_paper(vec![at; PAPER_BYTES_MAX / 4]));
        assert_eq!(lacking(&mut line, 0, 0), None);
        assert_eq!(lacking(&mut line, 0, 1), Some(vec![1, 2, 3, 4]));
    }
}
