//! Something owed to a ledger, and what became of it by the journal.

use super::statement::{AnchorLine, Expected, Settlement};
use crate::record::{Act, Owed};
use sdpp_ledger::{Amount, Anchor, Call, Claim, Digest, Evidence, LedgerId, Row, TxId, merkle};

/// Something owed, and what became of it.
pub(super) struct Due {
    pub(super) owed: Owed,
    /// Further transactions that were named for a claim.
    also: Vec<TxId>,
    evidence: Option<Evidence>,
    refused: Option<String>,
    /// An anchor's record was seen, and the anchor holds its digest.
    fits: bool,
}

impl Due {
    pub(super) fn new(owed: Owed) -> Self {
        Due { owed, also: Vec::new(), evidence: None, refused: None, fits: false }
    }

    /// Whether this is the same claim under another transaction, which then may prove it as well:
    /// a payer that raises its fee names the new one.
    pub(super) fn claim_also(&mut self, again: &Owed) -> bool {
        let (Act::Check(first), Act::Check(new)) = (&self.owed.act, &again.act) else {
            return false;
        };
        let act = Act::Check(Claim { tx: first.tx.clone(), ..new.clone() });
        let is_open = self.evidence.is_none() && self.refused.is_none();
        let is_same = is_open && Owed { act, ..again.clone() } == self.owed;
        if is_same {
            self.also.push(new.tx.clone());
        }
        is_same
    }

    /// Whether this anchors a record with digest `of` on the ledger that keeps the records.
    pub(super) fn fit(&mut self, records: Option<&LedgerId>, of: &Digest) -> Result<(), String> {
        let Act::Do(Call::Anchor(Anchor::One { reference, digest })) = &self.owed.act else {
            return Err("what should anchor this record is no anchor".to_owned());
        };
        self.fits = digest == of && *reference == self.owed.reference;
        if !self.fits {
            return Err("the anchor of this record holds another digest".to_owned());
        }
        match records {
            Some(ledger) if *ledger != self.owed.ledger => {
                let there = &self.owed.ledger;
                Err(format!("this record is anchored on {there}, agreed was {ledger}"))
            }
            _ => Ok(()),
        }
    }

    /// It is met; gives what must then be on its ledger, where a ledger can tell.
    pub(super) fn meet(
        &mut self,
        evidence: &Evidence,
        proof: Option<&merkle::Proof>,
    ) -> Result<Option<Expected>, String> {
        let reference = self.owed.reference;
        if self.evidence.is_some() {
            return Err(format!("{reference} is met a second time"));
        }
        (self.evidence, self.refused) = (Some(evidence.clone()), None);
        let tx = evidence.tx.clone();
        match &self.owed.act {
            Act::Check(claim) if claim.tx != tx && !self.also.contains(&tx) => {
                let claimed = &claim.tx;
                Err(format!("{reference} is met by {tx}, claimed was {claimed}"))
            }
            Act::Check(claim) => paid(Claim { tx, ..claim.clone() }, evidence.amount),
            Act::Do(Call::Transfer(transfer)) => {
                paid(Claim { tx, transfer: transfer.clone() }, evidence.amount)
            }
            Act::Do(Call::Anchor(anchor)) => anchored(tx, anchor, proof),
            Act::Do(Call::Settle(redeem) | Call::Close(redeem)) => {
                let is_other = |row: &&Row| row.channel != redeem.channel;
                match evidence.rows.iter().find(is_other) {
                    Some(row) => Err(format!("{reference} is met by a row of {}", row.channel)),
                    None => Ok(None),
                }
            }
            Act::Do(_) => Ok(None),
        }
    }

    pub(super) fn refuse(&mut self, why: &str) -> Result<(), String> {
        self.refused = Some(why.to_owned());
        match self.evidence {
            Some(_) => Err(format!("{} was met, and is refused", self.owed.reference)),
            None => Ok(()),
        }
    }

    pub(super) fn anchor(&self) -> Option<AnchorLine> {
        matches!(self.owed.act, Act::Do(Call::Anchor(_))).then(|| AnchorLine {
            reference: self.owed.reference,
            purpose: self.owed.purpose,
            evidence: self.evidence.clone(),
            refused: self.refused.clone(),
            ok: self.fits,
        })
    }

    pub(super) fn settlement(&self) -> Option<Settlement> {
        let amount = match &self.owed.act {
            Act::Check(claim) => claim.transfer.amount,
            Act::Do(Call::Transfer(transfer)) => transfer.amount,
            Act::Do(Call::Settle(redeem) | Call::Close(redeem)) => redeem.amount,
            Act::Do(_) => return None,
        };
        Some(Settlement {
            reference: self.owed.reference,
            purpose: self.owed.purpose,
            amount,
            evidence: self.evidence.clone(),
            refused: self.refused.clone(),
        })
    }
}

fn paid(claim: Claim, moved: Amount) -> Result<Option<Expected>, String> {
    let asked = claim.transfer.amount;
    if moved < asked {
        return Err(format!("{} moved {moved}, {asked} was owed", claim.tx));
    }
    Ok(Some(Expected::Paid(claim)))
}

/// What stands on the ledger for an anchor: itself, or the root that its proof leads to.
fn anchored(
    tx: TxId,
    anchor: &Anchor,
    proof: Option<&merkle::Proof>,
) -> Result<Option<Expected>, String> {
    let stands = match (anchor, proof) {
        (Anchor::One { reference, digest }, Some(proof)) => {
            let root = proof.root(&Anchor::leaf(reference, digest));
            let root = root.ok_or("the proof of an anchor has not the right length")?;
            Anchor::Root { root, count: proof.count }
        }
        _ => anchor.clone(),
    };
    Ok(Some(Expected::Anchored(tx, stands)))
}
