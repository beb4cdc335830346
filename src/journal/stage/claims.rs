//! Writes about claims: which transactions the payer names, and that each pays once.

use super::{Fault, Stage};
use crate::journal::obligation::{Event, Obligation, State};
use crate::journal::tree::Tree;
use crate::journal::write::{Live, NewsKind, WriteError};
use crate::journal::{damaged, keys};
use crate::record::{Act, FURTHER_TXS_MAX, Owed, Record};
use crate::terms::SessionId;
use sdpp_ledger::{Claim, Reference, TxId};

impl Stage<'_> {
    /// A payment that is named again with another transaction, because its payer raised the fee:
    /// either may be mined, so both are watched from here on. Answers whether it is that.
    pub(super) fn claim_also(
        &mut self,
        first: &Obligation,
        owed: &Owed,
        session: Option<SessionId>,
        record: &Record,
    ) -> Result<bool, Fault> {
        let Some(tx) = another_tx(first, owed, session, record) else {
            return Ok(false);
        };
        // What is known to be paid needs no further proof.
        if matches!(first.state, State::Met { .. }) {
            return Ok(true);
        }
        self.check_tx_is_free(owed, tx)?;
        self.learn(session, record)?;
        self.push(session, record.clone())?;
        self.written.seq = Some(self.head.seq);
        let mut row = first.clone();
        row.also.push(tx.clone());
        (row.due_ms, row.tries) = (self.now_ms, 0);
        self.put_obligation(Some(first), &row)?;
        Ok(true)
    }

    /// A claim that gets somewhere: if a reorganisation takes its block, it is asked for as soon
    /// as at first.
    pub(super) fn included(
        &mut self,
        reference: &Reference,
        blocks: u64,
        due_ms: u64,
    ) -> Result<(), Fault> {
        let old = self.obligation(reference)?;
        self.tell(&old, NewsKind::Included { blocks });
        let row = Obligation { due_ms, tries: 0, ..old.clone() };
        self.put_obligation(Some(&old), &row)
    }

    /// A claim that stands in no block. Whether it ever did only the session knows that counted it.
    pub(super) fn absent(&mut self, reference: Reference, due_ms: u64) -> Result<(), Fault> {
        let old = self.obligation(&reference)?;
        self.tell(&old, NewsKind::Included { blocks: 0 });
        self.postpone(Live::Obligation(reference), due_ms)
    }

    /// A transaction pays once. One that is named for two things pays the one that its ledger says: whoever
    /// names a stranger's first takes nothing from it.
    pub(super) fn check_tx_is_free(&mut self, owed: &Owed, tx: &TxId) -> Result<(), Fault> {
        match self.pays_other(owed, tx)? {
            Some(by) => Err(WriteError::TxUsed { tx: tx.clone(), by }.into()),
            None => Ok(()),
        }
    }

    /// What happens to a claim that its ledger shows to be paid: nothing good, where the transaction has
    /// paid something else.
    pub(super) fn paid_once(&mut self, row: &Obligation, event: Event) -> Result<Event, Fault> {
        let (Act::Check(_), Event::Met { evidence }) = (&row.owed.act, &event) else {
            return Ok(event);
        };
        let other = self.pays_other(&row.owed, &evidence.tx)?;
        let why = |by| format!("transaction {} has paid {by} already", evidence.tx);
        Ok(other.map_or(event.clone(), |by| Event::Refused { why: why(by) }))
    }

    /// What else a transaction has paid.
    fn pays_other(&mut self, owed: &Owed, tx: &TxId) -> Result<Option<Reference>, Fault> {
        let key = keys::claim(&owed.ledger, tx);
        let Some(by) = self.get(Tree::Claims, &key)? else { return Ok(None) };
        let by = Reference(by.try_into().map_err(|_| damaged("a claim's row"))?);
        Ok((by != owed.reference).then_some(by))
    }
}

/// The new transaction, where nothing else differs from what was claimed first.
fn another_tx<'a>(
    first: &Obligation,
    owed: &'a Owed,
    session: Option<SessionId>,
    record: &Record,
) -> Option<&'a TxId> {
    let (Act::Check(old), Act::Check(new)) = (&first.owed.act, &owed.act) else {
        return None;
    };
    let under_first_tx = Act::Check(Claim { tx: old.tx.clone(), ..new.clone() });
    let is_open = matches!(first.state, State::Watching | State::Met { .. });
    let is_new = first.claims().iter().all(|claim| claim.tx != new.tx);
    let is_claim = matches!(record, Record::Payment { .. }) && first.session == session;
    let is_same = Owed { act: under_first_tx, ..owed.clone() } == first.owed;
    (is_open && is_new && is_claim && is_same && first.also.len() < FURTHER_TXS_MAX)
        .then_some(&new.tx)
}
