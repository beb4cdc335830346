//! Something owed to a ledger, and what became of it by the journal.
//!
//! A journal has very many of these, so one that is met keeps what its statement says of it and
//! no more.

use super::statement::{AnchorLine, Settlement, Told};
use crate::record::{Act, Owed};
use crate::terms::Purpose;
use sdpp_ledger::{
    Amount, Anchor, Call, Claim, Digest, Evidence, LedgerId, Reference, TxId, merkle,
};
use std::sync::Arc;

/// Something owed, and what became of it.
pub(super) struct Due {
    reference: Reference,
    purpose: Purpose,
    pub(super) ledger: Arc<LedgerId>,
    kind: Kind,
    amount: Amount,
    /// When it counts: when it was owed, and then when it was final, in milliseconds since 1970
    /// UTC.
    pub(super) at_ms: u64,
    /// How many items it pays for.
    pub(super) items: u64,
    /// The place of the leg that it pays for.
    pub(super) leg: u16,
    /// What is owed, for as long as it is.
    open: Option<Box<Owed>>,
    /// Further transactions that were named for a claim.
    also: Vec<TxId>,
    told: Option<Told>,
    refused: Option<Box<str>>,
    /// An anchor's record was seen, and the anchor holds its digest.
    fits: bool,
}

/// What is owed.
enum Kind {
    Claim,
    Transfer,
    Redeem,
    /// The digest under the reference that it is owed under, unless it is no such anchor.
    Anchor(Option<Digest>),
    Other,
}

impl Due {
    pub(super) fn new(owed: Owed, ledger: Arc<LedgerId>, at_ms: u64) -> Self {
        let (kind, amount) = match &owed.act {
            Act::Check(claim) => (Kind::Claim, claim.transfer.amount),
            Act::Do(Call::Transfer(transfer)) => (Kind::Transfer, transfer.amount),
            Act::Do(Call::Settle(redeem) | Call::Close(redeem)) => (Kind::Redeem, redeem.amount),
            Act::Do(Call::Anchor(Anchor::One { reference, digest })) => {
                let is_own = *reference == owed.reference;
                (Kind::Anchor(is_own.then_some(*digest)), Amount::ZERO)
            }
            Act::Do(Call::Anchor(Anchor::Root { .. })) => (Kind::Anchor(None), Amount::ZERO),
            Act::Do(_) => (Kind::Other, Amount::ZERO),
        };
        Due {
            reference: owed.reference,
            purpose: owed.purpose,
            ledger,
            kind,
            amount,
            at_ms,
            items: 0,
            leg: 0,
            open: Some(Box::new(owed)),
            also: Vec::new(),
            told: None,
            refused: None,
            fits: false,
        }
    }

    /// Whether this is the same claim under another transaction, which then may prove it as well:
    /// a payer that raises its fee names the new one.
    pub(super) fn claim_also(&mut self, again: &Owed) -> bool {
        let Some(open) = self.open.as_deref().filter(|_| self.refused.is_none()) else {
            return false;
        };
        let (Act::Check(first), Act::Check(new)) = (&open.act, &again.act) else {
            return false;
        };
        let act = Act::Check(Claim { tx: first.tx.clone(), ..new.clone() });
        let is_same = Owed { act, ..again.clone() } == *open;
        if is_same {
            self.also.push(new.tx.clone());
        }
        is_same
    }

    /// Whether this anchors a record with digest `of` on the ledger that keeps the records.
    pub(super) fn fit(&mut self, records: Option<&LedgerId>, of: &Digest) -> Result<(), String> {
        let Kind::Anchor(digest) = &self.kind else {
            return Err("what should anchor this record is no anchor".to_owned());
        };
        self.fits = digest.as_ref() == Some(of);
        if !self.fits {
            return Err("the anchor of this record holds another digest".to_owned());
        }
        match records {
            Some(ledger) if *ledger != *self.ledger => {
                let there = &self.ledger;
                Err(format!("this record is anchored on {there}, agreed was {ledger}"))
            }
            _ => Ok(()),
        }
    }

    /// It is met; gives what that paid for the session's items by transfer.
    pub(super) fn meet(
        &mut self,
        (entry, at_ms): (u64, u64),
        evidence: &Evidence,
        proof: Option<&merkle::Proof>,
    ) -> Result<Amount, String> {
        let reference = self.reference;
        let Some(owed) = self.open.take() else {
            return Err(format!("{reference} is met a second time"));
        };
        let is_ours = matches!(owed.act, Act::Do(_));
        self.told = Some(Told::new((entry, at_ms), evidence, is_ours));
        (self.refused, self.at_ms) = (None, at_ms);
        let tx = &evidence.tx;
        match &owed.act {
            Act::Check(claim) if claim.tx != *tx && !self.also.contains(tx) => {
                let claimed = &claim.tx;
                Err(format!("{reference} is met by {tx}, claimed was {claimed}"))
            }
            Act::Check(_) | Act::Do(Call::Transfer(_)) => self.pay(evidence),
            Act::Do(Call::Anchor(anchor)) => self.stand(anchor, proof),
            Act::Do(Call::Settle(redeem) | Call::Close(redeem)) => {
                let is_other = |row: &&sdpp_ledger::Row| row.channel != redeem.channel;
                match evidence.rows.iter().find(is_other) {
                    Some(row) => Err(format!("{reference} is met by a row of {}", row.channel)),
                    None => Ok(Amount::ZERO),
                }
            }
            Act::Do(_) => Ok(Amount::ZERO),
        }
    }

    fn pay(&mut self, evidence: &Evidence) -> Result<Amount, String> {
        let (asked, moved) = (self.amount, evidence.amount);
        if moved < asked {
            return Err(format!("{} moved {moved}, {asked} was owed", evidence.tx));
        }
        self.told.iter_mut().for_each(|told| told.can_be_asked = true);
        Ok(asked)
    }

    /// What stands on the ledger for an anchor: itself, or the root that its proof leads to.
    fn stand(&mut self, anchor: &Anchor, proof: Option<&merkle::Proof>) -> Result<Amount, String> {
        let stands = match (anchor, proof) {
            (Anchor::One { reference, digest }, Some(proof)) => {
                let root = proof.root(&Anchor::leaf(reference, digest));
                let root = root.ok_or("the proof of an anchor has not the right length")?;
                Anchor::Root { root, count: proof.count }
            }
            _ => anchor.clone(),
        };
        self.told.iter_mut().for_each(|told| {
            (told.stands, told.can_be_asked) = (Some(Box::new(stands.clone())), true);
        });
        Ok(Amount::ZERO)
    }

    pub(super) fn refuse(&mut self, why: &str) -> Result<(), String> {
        self.refused = Some(why.into());
        match self.told {
            Some(_) => Err(format!("{} was met, and is refused", self.reference)),
            None => Ok(()),
        }
    }

    /// What the statement says of it.
    pub(super) fn line(self) -> Line {
        let (reference, purpose, ledger) = (self.reference, self.purpose, self.ledger);
        let (evidence, refused) = (self.told, self.refused);
        let is_by_voucher = match self.kind {
            Kind::Claim | Kind::Transfer => false,
            Kind::Redeem => true,
            Kind::Anchor(_) => {
                let ok = self.fits;
                let line = AnchorLine { reference, purpose, ledger, evidence, refused, ok };
                return Line::Anchor(line);
            }
            Kind::Other => return Line::None,
        };
        Line::Settlement(Settlement {
            reference,
            purpose,
            ledger,
            amount: self.amount,
            items: self.items,
            at_ms: self.at_ms,
            leg: self.leg,
            is_by_voucher,
            evidence,
            refused,
        })
    }
}

/// A line of a statement.
pub(super) enum Line {
    Anchor(AnchorLine),
    Settlement(Settlement),
    None,
}
