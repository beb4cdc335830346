//! What is done about one bond, through the journal's outbox: each thing once, and after a kill it goes
//! on where it was.

use super::exit::{Exit, Failure, Outcome};
use super::running::Running;
use crate::actors::journal::{Await, Commit};
use crate::journal::{NewsKind, Obligation, Reader, Write};
use crate::record::{Act, Owed, Record};
use crate::terms::{Purpose, SessionId};
use sdpp_ledger::bond::Held;
use sdpp_ledger::{
    Amount, Bond, BondAct, BondId, Bonding, Bonds, Call, Digest, Evidence, Ledger, TxId,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// A bond on its ledger.
pub(super) struct OnLedger {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) id: BondId,
    pub(super) bond: Bond,
}

/// The ability to hold bonds, or why there is none.
pub(super) fn bonds_of(ledger: &dyn Ledger) -> Outcome<&dyn Bonds> {
    let none = || {
        let why = format!(
            "ledger {} holds no bonds here: write bonds = \"0x...\" where the config names it",
            ledger.id()
        );
        Failure::usage(why)
    };
    ledger.bonds().ok_or_else(none)
}

impl OnLedger {
    /// A bond that somebody has pledged.
    pub(super) async fn find(ledger: Arc<dyn Ledger>, id: BondId) -> Outcome<OnLedger> {
        let found = bonds_of(ledger.as_ref())?.pledged(&id).await?;
        let none = || Failure::usage(format!("ledger {} has no bond {id}", ledger.id()));
        let bond = found.ok_or_else(none)?;
        Ok(OnLedger { ledger, id, bond })
    }

    /// How it stands; an error where nobody has pledged it.
    pub(super) async fn held(&self) -> Outcome<Held> {
        let none =
            || Failure::usage(format!("ledger {} has no bond {}", self.ledger.id(), self.id));
        bonds_of(self.ledger.as_ref())?.held(&self.bond).await?.ok_or_else(none)
    }

    /// What our account can take out of the bond's asset.
    pub(super) async fn credited(&self) -> Outcome<Amount> {
        Ok(bonds_of(self.ledger.as_ref())?.credited(&self.bond.asset).await?)
    }

    /// All that was ever to be done about it from this journal, the first first.
    pub(super) fn rows(&self, reader: &Reader) -> Outcome<Vec<Obligation>> {
        let mut rows = Vec::new();
        while let Some(row) = reader.obligation(&self.reference(rows.len()))? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// Waits for what is on its way, if anything is.
    pub(super) async fn under_way(
        &self,
        running: &Running,
    ) -> Outcome<Option<(BondAct, Evidence)>> {
        match self.rows(&running.reader)?.pop() {
            Some(row) if !row.state.is_settled() => {
                let act = act_of(&row).ok_or_else(|| Failure::new(Exit::Wrong, "no act"))?.clone();
                let evidence = self.wait(running, &row.owed).await?;
                Ok(Some((act, evidence)))
            }
            _ => Ok(None),
        }
    }

    /// Does something, with leave for a token's contract before it where that is missing, and waits
    /// until it is final.
    pub(super) async fn done(&self, running: &Running, act: BondAct) -> Outcome<Evidence> {
        let takes = act.takes(&self.bond, self.ledger.account());
        let bonds = bonds_of(self.ledger.as_ref())?;
        if bonds.needs_leave(&self.bond.asset, takes).await? {
            self.owe(running, BondAct::Allow).await?;
        }
        self.owe(running, act).await
    }

    async fn owe(&self, running: &Running, act: BondAct) -> Outcome<Evidence> {
        let reference = self.reference(self.rows(&running.reader)?.len());
        let bonding = Bonding { bond: self.bond.clone(), act };
        let act = Act::Do(Call::Bond(Box::new(bonding)));
        let (purpose, ledger) = (Purpose::Bond, self.ledger.id().clone());
        let owed = Owed { reference, purpose, ledger, act, held: false };
        let record = Box::new(Record::Bonding { bond: self.id, owed: owed.clone() });
        let write = Write::Append { session: None, record };
        let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error);
        let committed = running.journal.send(Commit(vec![write])).await;
        let answers = committed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        answers.into_iter().try_for_each(|one| one.map(drop)).map_err(|error| failed(&error))?;
        self.wait(running, &owed).await
    }

    async fn wait(&self, running: &Running, owed: &Owed) -> Outcome<Evidence> {
        let stopped = || Failure::new(Exit::Failed, "the journal stopped");
        loop {
            let news = running.journal.send(Await(owed.reference)).await.map_err(|_| stopped())?;
            match news.ok_or_else(stopped)? {
                NewsKind::Met(evidence) => return Ok(evidence),
                NewsKind::Refused(why) => {
                    let name = name(act_in(owed));
                    let why = format!("bond {}: {name} was refused: {why}", self.id);
                    return Err(Failure::new(Exit::Ledger, why));
                }
                NewsKind::Signed(_) | NewsKind::Included { .. } => {}
            }
        }
    }

    fn reference(&self, number: usize) -> sdpp_ledger::Reference {
        SessionId(Digest(self.id.0)).reference(Purpose::Bond, number as u64 + 1)
    }
}

/// What an obligation does about a bond.
pub(super) fn act_of(row: &Obligation) -> Option<&BondAct> {
    act_in(&row.owed)
}

fn act_in(owed: &Owed) -> Option<&BondAct> {
    match &owed.act {
        Act::Do(Call::Bond(bonding)) => Some(&bonding.act),
        _ => None,
    }
}

/// An act's name, for people and programs.
pub(super) fn name(act: Option<&BondAct>) -> String {
    let named = act.and_then(|act| serde_json::to_value(act).ok());
    let name = named.as_ref().and_then(|value| value["act"].as_str());
    name.unwrap_or("something").to_owned()
}

/// Something that was done, for programs.
pub(super) fn step(act: &BondAct, tx: &TxId) -> Value {
    json!({ "act": name(Some(act)), "tx": tx })
}
