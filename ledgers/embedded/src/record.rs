//! A transaction as the ledger tells of it, and what follows for whoever asked.

use crate::Refusal;
use crate::tx::Tx;
use sdpp_ledger::{
    Account, Amount, Anchor, Call, Digest, Evidence, Finality, Inclusion, Row, Transfer, TxId,
};
use serde::{Deserialize, Serialize};

/// A transaction that the ledger has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxRecord {
    /// Its id.
    pub tx: TxId,
    /// Who signed it.
    pub from: Account,
    /// The signer's number in it.
    pub number: u64,
    /// What it asks for.
    pub call: Call,
    /// Where it stands; `None` while it waits in the pool.
    pub place: Option<Place>,
}

/// Where a transaction stands, and what it did there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Height of its block.
    pub height: u64,
    /// Hash of its block.
    pub block: Digest,
    /// Time of its block, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// What it moved to a payee, in the asset's smallest unit.
    pub amount: Amount,
    /// What became of each row of a batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
    /// Why it had no effect; `None` when it had.
    pub reverted: Option<String>,
    /// Whether the block is deep enough.
    pub is_final: bool,
}

impl TxRecord {
    pub(crate) fn new(tx: &Tx, place: Option<Place>) -> Self {
        TxRecord {
            tx: tx.id.clone(),
            from: tx.from.clone(),
            number: tx.number,
            call: tx.call.clone(),
            place,
        }
    }

    /// How final it is.
    pub fn finality(&self) -> Finality {
        let Some(place) = &self.place else {
            return Finality::Pending(None);
        };
        if !place.is_final {
            return Finality::Pending(Some(Inclusion {
                height: place.height,
                block: place.block.to_string(),
            }));
        }
        let evidence = self.evidence(place);
        match &place.reverted {
            None => Finality::Final(evidence),
            Some(why) => Finality::Reverted { why: why.clone(), evidence },
        }
    }

    /// Whether it makes this transfer, and how final that is.
    ///
    /// # Errors
    /// `Reverted`, `NotATransfer`, `WrongPayee`, `WrongAsset`, `WrongReference`, `AmountTooLow`.
    pub fn pays(&self, claimed: &Transfer) -> Result<Finality, Refusal> {
        let Call::Transfer(made) = &self.call else {
            return Err(Refusal::new("NotATransfer", self.tx.to_string()));
        };
        differs("WrongPayee", "pays", &made.to, &claimed.to)?;
        differs("WrongAsset", "pays in", &made.asset, &claimed.asset)?;
        differs("WrongReference", "pays for", &made.reference, &claimed.reference)?;
        if made.amount < claimed.amount {
            let why = format!("it pays {}, claimed were {}", made.amount, claimed.amount);
            return Err(Refusal::new("AmountTooLow", why));
        }
        self.took_effect()
    }

    /// Whether it holds exactly this anchor, and how final that is.
    ///
    /// # Errors
    /// `NotThisAnchor` or `Reverted`.
    pub fn anchors(&self, anchor: &Anchor) -> Result<Finality, Refusal> {
        if self.call == Call::Anchor(anchor.clone()) {
            return self.took_effect();
        }
        let why = format!("{} holds something else", self.tx);
        Err(Refusal::new("NotThisAnchor", why))
    }

    /// Its finality, unless it is there for good without effect.
    fn took_effect(&self) -> Result<Finality, Refusal> {
        match self.finality() {
            Finality::Reverted { why, .. } => Err(Refusal::new("Reverted", why)),
            finality => Ok(finality),
        }
    }

    fn evidence(&self, place: &Place) -> Evidence {
        Evidence {
            amount: place.amount,
            rows: place.rows.clone(),
            ..Evidence::new(self.tx.clone(), place.height, place.block.to_string(), place.at_ms)
        }
    }
}

fn differs<T: PartialEq + std::fmt::Display>(
    code: &'static str,
    does: &str,
    made: &T,
    claimed: &T,
) -> Result<(), Refusal> {
    if made == claimed {
        return Ok(());
    }
    let why = format!("it {does} {made}, claimed was {claimed}");
    Err(Refusal::new(code, why))
}
