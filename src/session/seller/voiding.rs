//! What left before this process was started and cannot leave again is declared void: a live source has
//! no past. Seqs are never used twice, so whatever the buyer has of it, and whatever it says that it has,
//! nothing is ever signed a second time with other content.

use super::amending::{Phase, Proposed, UNDER_BOND};
use super::bills::Acks;
use super::stream::Stream;
use super::{Seller, State, stream_of};
use crate::message::{Change, VoidChange};
use crate::record::Record;
use crate::session::{Fault, Outputs};
use crate::terms::Void;

impl Seller {
    /// Whether the session was read back from its journal, and what left before that is not settled with
    /// its buyer yet.
    pub fn is_anew(&self) -> bool {
        self.stream().is_some_and(|stream| stream.again.is_some())
    }

    /// Declares void what is to be, once nothing else waits for the buyer's signature: at which pace
    /// windows run on decides how far it goes.
    pub(super) fn see_to_void(&mut self, state: &mut State, now_ms: u64) -> Result<(), Fault> {
        let Some(from_seq) = stream_of(state).and_then(|stream| stream.voids_from()) else {
            return Ok(());
        };
        flow_again(state);
        match stream_of(state).filter(|stream| stream.amends.proposed.is_none()) {
            Some(stream) => stream.propose_void(from_seq, now_ms, &mut self.out),
            None => Ok(()),
        }
    }
}

/// An invoice that waits for its anchor is of what is void, and what ended the session may be: more
/// follows, unless the buyer wants no more.
fn flow_again(state: &mut State) {
    let (mut stream, ending) = match std::mem::replace(state, State::Closed) {
        State::Anchoring(stream, _, ending) => (stream, ending),
        State::Draining(stream, ending) => (stream, Some(ending).filter(|ending| ending.heard)),
        other => {
            *state = other;
            return;
        }
    };
    stream.amends.phase = Phase::Open;
    stream.again.iter_mut().for_each(|again| again.ending = again.ending.or(ending));
    *state = State::Streaming(stream);
}

impl Stream {
    /// From which item on what left is to be void, for a buyer that has so many: from the window that it
    /// lacks something of. `None` where nothing is.
    pub(super) fn must_void_from(&self, received: u64) -> Option<u64> {
        if let Some(void) = self.amends.proposed.as_ref().and_then(Proposed::void) {
            return Some(void.from_seq);
        }
        let (again, fixed) = (self.again.as_ref()?, self.windows.items());
        let is_lost = received < fixed || again.may_seq > fixed;
        // What is signed for is not lost, and behind our exit nothing changes.
        let may_be = again.may_void && received >= again.signed_seq(self.acks.acked_seq());
        if again.rereads || !is_lost || !may_be || self.amends.phase == Phase::Over {
            return None;
        }
        let (_, from_seq, _) = self.agreed().full_window(received.min(fixed).saturating_add(1));
        again.digest_before(from_seq).and(Some(from_seq))
    }

    /// Whether a void that waits for the buyer's signature ends with this item: who has so many has signed.
    pub(super) fn is_void_to(&self, received: u64) -> bool {
        let void = self.amends.proposed.as_ref().and_then(Proposed::void);
        void.is_some_and(|void| void.to_seq == received)
    }

    /// From which item on something is to be void, as long as it is not.
    fn voids_from(&self) -> Option<u64> {
        self.again.as_ref()?.voids_from()
    }

    /// Proposes it, up to the end of the window of the last item that may have left.
    fn propose_void(&mut self, from_seq: u64, now_ms: u64, out: &mut Outputs) -> Result<(), Fault> {
        if self.terms.bond.is_some() {
            return Err(Fault::ours(format!("what is lost cannot be void: {UNDER_BOND}")));
        }
        let may_seq = self.again.as_ref().map_or(0, |again| again.may_seq);
        let last = may_seq.max(self.windows.items()).max(from_seq);
        let change = Change::Void(VoidChange { to_seq: self.agreed().full_window_end(last) });
        let proposed = self.propose_from(from_seq, change, now_ms, out);
        proposed.map_err(|why| Fault::ours(format!("what is lost cannot be void: {why}")))
    }

    /// Whether nothing of a window is owed, by its number: it is void, or about to be.
    pub(super) fn is_lost(&self, number: u64) -> bool {
        let first = self.agreed().window(number).map(|(first, _)| first);
        let is_ahead = |first: u64| self.voids_from().is_some_and(|from_seq| from_seq <= first);
        first.is_some_and(|first| self.agreed().is_void(first) || is_ahead(first))
    }

    /// Both have signed it: the next item is the one behind it, and its windows are not owed.
    pub(super) fn voided(&mut self, void: Void, out: &mut Outputs) -> Result<(), Fault> {
        let before = self.again.as_ref().and_then(|one| one.digest_before(void.from_seq));
        let before = before.ok_or_else(|| {
            Fault::ours(format!("what came before item {} is not known any more", void.from_seq))
        })?;
        let [first, last] = [void.from_seq, void.to_seq].map(|seq| self.agreed().window_of(seq));
        let digest = self.windows.void(&self.terms.session, &before, (void, last));
        self.acks = Acks::from(void.to_seq);
        self.amends.notes.withdraw_from(first);
        self.tabs.all_mut().for_each(|tab| tab.withdraw_from(first));
        out.line.iter_mut().for_each(|line| line.left_to(void.to_seq));
        out.record(self.void_record(void));
        self.reserve(void.to_seq, out);
        self.again.iter_mut().for_each(|again| again.voided(void.to_seq, digest));
        Ok(())
    }

    /// What standings are counted by from there on.
    pub(super) fn void_record(&self, Void { from_seq, to_seq }: Void) -> Record {
        let billed = self.tabs.at(self.agreed().leg_place(from_seq.saturating_sub(1))).billed();
        Record::Void { from_seq, to_seq, delivered: None, billed: Some(billed) }
    }
}
