//! What a seller lost with its process, as the buyer has it: a void is signed where it can only be that.
//! It costs us nothing, and what came of it stays where it was delivered.

use super::amending::bad;
use super::stream::Stream;
use crate::message::{Change, Code, DataInvoice, Draft, Word};
use crate::record::{Record, SignedMessage};
use crate::session::{Fault, Outputs};
use crate::terms::{Pace, Role, Void};

impl Stream {
    /// Whether a change is in force from behind items that had left when the connection broke and have not
    /// come since, or of the window that was open then. It was proposed before they were lost: a void
    /// follows.
    pub(super) fn lacks_before(&self, from_seq: u64) -> bool {
        let last = self.agreed().next_from(self.again_to.saturating_add(1));
        let is_ahead = from_seq > self.next_from() && from_seq <= last;
        self.windows.items() <= self.again_to && is_ahead
    }

    /// Does not sign such a change.
    pub(super) fn refuse_unready(
        &mut self,
        (number, from_seq): (u64, u64),
        change: &Change,
        message: SignedMessage,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let why = "items before it left and did not come";
        self.count(number)?;
        if let Change::Leg(_) = change {
            self.not_turned(out);
        }
        self.refuse((number, from_seq), why, message, out);
        Ok(())
    }

    /// An invoice of items that had left when the connection broke and have not come since: as a paper it is
    /// taken, and it counts for nothing. A void follows. Whether it is one.
    pub(super) fn passes_over(&self, invoice: &DataInvoice) -> bool {
        invoice.seq > self.windows.items() && invoice.seq <= self.again_to
    }

    /// Takes it, by its digest: each window comes once, in order.
    pub(super) fn pass_over(
        &mut self,
        DataInvoice { seq, invoice, .. }: &DataInvoice,
        message: Option<SignedMessage>,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let number = invoice.number;
        if number <= self.passed_over || number != self.agreed().window_of(*seq) {
            let why = format!("invoice {number}: it was passed over already, or is of no window");
            return Err(Fault::theirs(Code::BadInvoice, why).shown_by(message));
        }
        self.passed_over = number;
        let message = message.ok_or_else(|| Fault::ours("an invoice without its signature"))?;
        out.record(Record::PassedOver { message: SignedMessage { data: None, ..message } });
        Ok(())
    }

    /// A void that can be one is signed.
    pub(super) fn hear_void(
        &mut self,
        number: u64,
        void: Void,
        message: SignedMessage,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        self.count(number)?;
        if let Some(why) = self.no_void(void, out) {
            self.refuse((number, void.from_seq), &why, message, out);
            return Ok(());
        }
        let wrong = |why: &str| bad(format!("void {number}: {why}"));
        let draft = Draft::same_as(&message).ok_or_else(|| wrong("it is too long"))?;
        let proposed = self.amends.agreement.take(Role::Seller, &message);
        if proposed.map_err(bad)? != Word::Proposed {
            return Err(wrong("it declares nothing void"));
        }
        let Void { from_seq, to_seq } = void;
        let delivered = Some(self.windows.open_items());
        out.record(Record::Void { from_seq, to_seq, delivered, billed: None });
        self.agree(draft, message, out)?;
        self.voided(void);
        Ok(())
    }

    /// Why it cannot be what a seller lost, where it cannot.
    fn no_void(&self, void: Void, out: &Outputs) -> Option<String> {
        if self.terms.dataset.is_some() {
            return Some("what is of a dataset can be read again".to_owned());
        }
        let items = self.windows.items();
        let is_resumed = out.line.as_ref().is_some_and(|line| line.epoch > 0);
        if !is_resumed || items > self.again_to {
            return Some("nothing was lost since the connection was made".to_owned());
        }
        let first = items - self.windows.open_items() + 1;
        if void.from_seq != first || void.to_seq < items {
            let last = void.to_seq;
            return Some(format!(
                "items {first} to {items} are not invoiced, and {} to {last} would be void",
                void.from_seq
            ));
        }
        // What is free waits for no payment: how much of it left the seller has said.
        let end = self.agreed().full_window_end(self.again_to.saturating_add(1));
        let paces = [void.from_seq, void.to_seq].map(|seq| self.agreed().pace(seq));
        let most = paces.iter().map(Pace::void_items_max).max();
        if void.to_seq > end && most.is_none_or(|most| void.places() > most) {
            return Some(format!("{} places are more than can have left", void.places()));
        }
        self.agreed().clone().void(void).err()
    }

    /// Both have signed it: the next item is the one behind it.
    pub(super) fn voided(&mut self, void: Void) {
        let number = self.agreed().window_of(void.to_seq);
        let before = self.windows.closed_digest();
        self.windows.void(&self.terms.session, &before, (void, number));
        self.items.clear();
        self.acked_seq = self.acked_seq.max(void.to_seq);
    }
}
