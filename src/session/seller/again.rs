//! What left before this process was started. The journal has the leaves of what was invoiced and
//! nothing of the items themselves, so they are read again from the source before anything else
//! leaves. What the buyer has already is only counted: where that is not invoiced yet, the buyer's own
//! word says whether the source gave the same as the first time. What a live source cannot give again
//! is declared void (`voiding.rs`).

use super::bills::{Acks, Unacked};
use super::stream::Stream;
use super::{Ending, Event};
use crate::crypto::{EPOCHS_MAX, leaf, running_digest, salt};
use crate::message::{Ack, Code, Cumulative, Resume};
use crate::record::SignedMessage;
use crate::session::windows::Window;
use crate::session::{Fault, Input, Output, Outputs, Row};
use sdpp_ledger::Digest;
use std::collections::VecDeque;

/// The most windows whose leaves are kept for a buyer that may lack them: only of windows that cost
/// nothing there can be so many.
const WINDOWS_KEPT: usize = 1_024;

/// What left before this process was started, as far as it is known.
#[derive(Debug)]
pub(super) struct Again {
    /// The windows whose bytes are fixed and that the buyer may lack, the oldest first.
    windows: VecDeque<Window>,
    /// The running digest before the first of them.
    before: Digest,
    /// The last item that may have left.
    pub(super) may_seq: u64,
    /// The last place that the buyer has paid for, or said to, or signed to be void.
    answered_seq: u64,
    /// The last item that was acknowledged, where it is not invoiced, and its digest.
    pub(super) known: Option<Cumulative>,
    /// The source can be read again.
    pub(super) rereads: bool,
    /// Where it cannot, what left may be declared void.
    pub(super) may_void: bool,
    /// What the session ends for, once all that left is known again.
    pub(super) ending: Option<Ending>,
    stage: Stage,
    /// An ack of items that are not read again yet.
    early: Option<(Ack, Option<SignedMessage>)>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The buyer has not come back.
    Away,
    /// The source gives the items from `next` to `to_seq` again.
    Reading { next: u64, to_seq: u64 },
    /// The buyer is to say what it has, up to this item.
    Proving { seq: u64 },
    /// The buyer is to sign that what stands from this item on is void.
    Voiding { from_seq: u64 },
    /// All is known.
    Done,
}

impl Again {
    /// Before the journal has told anything of a session.
    pub(super) fn new(session: Digest, (rereads, may_void): (bool, bool)) -> Again {
        Again {
            windows: VecDeque::new(),
            before: session,
            may_seq: 0,
            answered_seq: 0,
            known: None,
            rereads,
            may_void,
            ending: None,
            stage: Stage::Away,
            early: None,
        }
    }

    /// A window's bytes are fixed. Those that stand in one that was fixed before are the same.
    pub(super) fn fixed(&mut self, window: Window) {
        if self.windows.back().is_some_and(|last| last.number == window.number) {
            return;
        }
        self.windows.push_back(window);
        if self.windows.len() > WINDOWS_KEPT {
            self.forget_first();
        }
    }

    /// The buyer has answered this invoice, so it has it and all before it.
    pub(super) fn answered(&mut self, number: u64) {
        while let Some(window) = self.windows.front().filter(|window| window.number <= number) {
            self.answered_seq = window.to_seq;
            self.forget_first();
        }
    }

    /// From which item on what left is to be void, where the buyer is to sign that.
    pub(super) fn voids_from(&self) -> Option<u64> {
        match self.stage {
            Stage::Voiding { from_seq } => Some(from_seq),
            _ => None,
        }
    }

    /// The running digest before a window that the buyer may lack, or before the one that comes next.
    pub(super) fn digest_before(&self, from_seq: u64) -> Option<Digest> {
        let ends = |window: &&Window| window.to_seq + 1 == from_seq;
        let is_first = self.windows.front().is_none_or(|first| first.from_seq == from_seq);
        let window = self.windows.iter().find(ends).map(|window| window.digest);
        window.or_else(|| is_first.then_some(self.before))
    }

    /// The last place that nobody can say to be lost: the buyer has signed for its window, be it by an ack
    /// of all of it. Who has acknowledged a part of a window may have kept none of it.
    pub(super) fn signed_seq(&self, acked_seq: u64) -> u64 {
        let is_acked = |window: &&Window| window.to_seq <= acked_seq;
        let acked = self.windows.iter().rev().find(is_acked).map(|window| window.to_seq);
        acked.unwrap_or_default().max(self.answered_seq)
    }

    /// All that left and that the buyer may lack is void, up to this place: the digest behind it is this.
    pub(super) fn voided(&mut self, to_seq: u64, digest: Digest) {
        self.windows.clear();
        (self.before, self.answered_seq) = (digest, to_seq);
        if self.voids_from().is_some() {
            self.stage = Stage::Done;
        }
    }

    /// How many items the source is to give.
    pub(super) fn wants(&self) -> u64 {
        match self.stage {
            Stage::Reading { next, to_seq } => (to_seq + 1).saturating_sub(next),
            _ => 0,
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self.stage, Stage::Reading { .. })
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// The last item that the buyer can have: where it is not read again yet, more than is counted.
    pub(super) fn arrived_to(&self) -> u64 {
        match self.stage {
            Stage::Reading { to_seq, .. } => to_seq,
            Stage::Voiding { .. } => self.may_seq,
            _ => 0,
        }
    }

    fn forget_first(&mut self) {
        if let Some(window) = self.windows.pop_front() {
            self.before = window.digest;
        }
    }

    /// The leaf of an item whose window's bytes are fixed.
    fn leaf(&self, seq: u64) -> Option<Digest> {
        let window = self.windows.iter().find(|window| window.to_seq >= seq)?;
        let place = usize::try_from(seq.checked_sub(window.from_seq)?).ok()?;
        window.leaves.get(place).copied()
    }

    /// Whether the leaves of all items after this one are here whose windows' bytes are fixed.
    fn has_after(&self, seq: u64) -> bool {
        let later = self.windows.iter().filter(|window| window.to_seq > seq);
        self.leaf(seq + 1).is_some() && later.clone().all(|window| !window.leaves.is_empty())
    }

    /// What an ack can name of them. Of a window whose leaves were too many to be kept, its end.
    fn cumulatives(&self) -> Vec<Cumulative> {
        let (mut before, mut all) = (self.before, Vec::new());
        for Window { from_seq, to_seq, digest, leaves, .. } in &self.windows {
            for (seq, leaf) in (*from_seq..).zip(leaves) {
                before = running_digest(&before, leaf);
                all.push(Cumulative { seq, digest: before });
            }
            if leaves.is_empty() {
                all.push(Cumulative { seq: *to_seq, digest: *digest });
            }
            before = *digest;
        }
        all
    }
}

impl Stream {
    /// Where a session goes on that was known from its journal alone: the first item that has not left,
    /// as far as its buyer knows.
    pub(super) fn place_again(
        &mut self,
        resume: &Resume,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<u64, Fault> {
        let refused = |why: &str| Err(Fault::theirs(Code::OrderRefused, why));
        let (fixed, Resume { received, heard, .. }) = (self.windows.items(), *resume);
        let voids_from = self.must_void_from(received);
        let is_signed = self.is_void_to(received);
        let Some(again) = self.again.as_mut().filter(|again| again.stage == Stage::Away) else {
            return refused("this session ends with its connection");
        };
        let lacks = received < fixed && !(again.rereads && again.has_after(received));
        let is_beyond = received > again.may_seq.max(fixed) && !is_signed;
        if is_beyond || (lacks && voids_from.is_none()) {
            return refused("the buyer has what did not leave, or lacks what is not kept");
        }
        let line = out.line.as_mut().filter(|line| line.epoch + 1 < EPOCHS_MAX);
        if !line.is_some_and(|line| line.hold_after(heard)) {
            return refused(
                "the buyer lacks papers that are not kept, or has some that did not leave",
            );
        }
        let acked = self.acks.acked_seq().min(received).min(fixed);
        self.acks = Acks::from(acked);
        for cumulative in again.cumulatives().into_iter().filter(|one| one.seq > acked) {
            self.acks.sent(Unacked { cumulative, bytes: 0 }, now_ms);
        }
        let to_seq = received.max(fixed);
        let next = if received < fixed { received + 1 } else { fixed + 1 };
        again.stage = match voids_from {
            Some(from_seq) => Stage::Voiding { from_seq },
            None => Stage::Reading { next, to_seq },
        };
        Ok(to_seq + 1)
    }

    /// The buyer is back: what it may lack is read again, and said once it is.
    pub(super) fn begin_again(&mut self, out: &mut Outputs) {
        let Some(again) = &self.again else { return };
        // Where items are read again, papers that left before them are said first.
        let (from_seq, papers_to) = match again.stage {
            Stage::Reading { next, .. } => (next, Some(next - 1)),
            Stage::Voiding { from_seq } => (from_seq, None),
            _ => return,
        };
        let given = self.agreed().given(from_seq.saturating_sub(1));
        // A live source goes on with what it has now.
        out.push(Output::Rewind { skip: if again.rereads { given } else { 0 } });
        out.say_held(papers_to);
        self.see_to_again(out);
    }

    /// Takes what concerns the items that are read again; gives back what does not.
    pub(super) fn read_again<'a>(
        &mut self,
        event: Event<'a>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<Option<Event<'a>>, Fault> {
        if !self.is_reading_again() {
            return Ok(Some(event));
        }
        match event {
            Event::Items(items) => {
                items.iter().try_for_each(|item| self.take_again(item, now_ms, out))?;
                self.see_to_again(out);
                self.wait_from(now_ms);
                // A source may give less at once than its buyer has acknowledged.
                let items = self.windows.items();
                let again = self.again.as_mut().filter(|again| {
                    let early = again.early.as_ref();
                    !again.is_reading() || early.is_some_and(|(ack, _)| ack.seq <= items)
                });
                if let Some((ack, message)) = again.and_then(|again| again.early.take()) {
                    self.take_ack(ack, message, now_ms, out)?;
                }
                Ok(None)
            }
            Event::Other(Input::SourceEnded) => Err(not_given()),
            event => Ok(Some(event)),
        }
    }

    /// An ack of items that are not read again yet waits for them. Whether it does.
    pub(super) fn is_early(&mut self, ack: &Ack, message: &Option<SignedMessage>) -> bool {
        let items = self.windows.items();
        let again = self.again.as_mut().filter(|again| again.is_reading() && ack.seq > items);
        let is_early = again.is_some();
        again.into_iter().for_each(|one| one.early = Some((ack.clone(), message.clone())));
        is_early
    }

    /// The buyer has said what it has of the items that were read again, and whether that is what was
    /// read. Of items that nobody has any more there is nothing to hold its ack against.
    pub(super) fn is_proven(
        &mut self,
        seq: u64,
        acked: Result<bool, Fault>,
    ) -> Result<bool, Fault> {
        let (acked_seq, fixed) = (self.acks.acked_seq(), self.windows.items());
        let Some(again) = &mut self.again else { return acked };
        match (again.stage, &acked) {
            (Stage::Voiding { .. }, Err(_)) if seq <= again.may_seq.max(fixed) => Ok(false),
            (Stage::Proving { .. }, Err(_)) => Err(not_given()),
            (Stage::Proving { seq }, Ok(_)) if acked_seq >= seq => {
                again.stage = Stage::Done;
                acked
            }
            _ => acked,
        }
    }

    /// One item that left before.
    fn take_again(&mut self, row: &Row, now_ms: u64, out: &mut Outputs) -> Result<(), Fault> {
        let Some(again) = &mut self.again else { return Ok(()) };
        let Stage::Reading { next: seq, to_seq } = again.stage else { return Ok(()) };
        if seq > to_seq {
            return Ok(());
        }
        again.stage = Stage::Reading { next: seq + 1, to_seq };
        self.is_promised(seq, row)?;
        let Some(again) = &self.again else { return Ok(()) };
        let salt = salt(self.keys.salt_secret(), seq);
        let leaf = leaf(&self.terms.session, seq, &salt, &row.item);
        let (fixed, known) = (again.leaf(seq), again.known);
        match fixed {
            Some(before) if before == leaf => {
                let frame = self.data(seq, row, leaf)?;
                out.leave(frame);
            }
            Some(_) => return Err(not_given()),
            None => {
                self.windows.push(leaf);
                let cumulative = Cumulative { seq, digest: self.windows.digest() };
                if known.is_some_and(|known| known.seq == seq && known != cumulative) {
                    return Err(not_given());
                }
                self.acks.sent(Unacked { cumulative, bytes: 0 }, now_ms);
            }
        }
        out.say_held(Some(seq));
        Ok(())
    }

    /// Goes on where all that left was read again.
    fn see_to_again(&mut self, out: &mut Outputs) {
        let Some(again) = &mut self.again else { return };
        let Stage::Reading { next, to_seq } = again.stage else { return };
        if next <= to_seq {
            return;
        }
        out.say_held(None);
        out.line.iter_mut().for_each(|line| line.left_to(to_seq));
        // What is invoiced is known by its leaves; of the rest the buyer's ack says what it is.
        let is_fixed = self.windows.open_items() == 0;
        again.stage = if is_fixed { Stage::Done } else { Stage::Proving { seq: to_seq } };
    }
}

/// The source is read a second time, and gives other items than the first, or fewer.
fn not_given() -> Fault {
    let why = "the source does not give again what left before this seller was started anew";
    Fault::ours(why)
}
