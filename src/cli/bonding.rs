//! What is done about one bond, through the journal's outbox: each thing once, and after a kill it goes
//! on where it was.

use super::exit::{Exit, Failure, Outcome};
use super::running::Running;
use crate::actors::journal::{Await, Commit};
use crate::journal::obligation::State;
use crate::journal::{NewsKind, Obligation, Reader, Write};
use crate::record::{Act, Owed, Record};
use crate::terms::{Purpose, SessionId};
use sdpp_ledger::bond::{BondChangeKind, Held};
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

    /// The last thing of a kind that happened to it, by final blocks from our own pledge on.
    pub(super) async fn last<T>(
        &self,
        reader: &Reader,
        of: impl Fn(BondChangeKind) -> Option<T>,
    ) -> Outcome<Option<T>> {
        let bonds = bonds_of(self.ledger.as_ref())?;
        let pledged = |row: Obligation| match row.state {
            State::Met { evidence } => Some(evidence.height),
            _ => None,
        };
        let mut from = self.rows(reader)?.into_iter().find_map(pledged).unwrap_or_default();
        let (head, mut last) = (self.ledger.status().await?.height, None);
        while from <= head {
            let changes = bonds.bond_changes(&[self.id], from).await?;
            last = changes.list.into_iter().filter_map(|change| of(change.kind)).last().or(last);
            if changes.next <= from {
                break;
            }
            from = changes.next;
        }
        Ok(last)
    }

    /// Waits for what is on its way, if anything is, and tells what that was.
    pub(super) async fn under_way(&self, running: &Running) -> Outcome<Option<Value>> {
        match self.rows(&running.reader)?.pop() {
            Some(row) if !row.state.is_settled() => {
                let evidence = self.wait(running, &row.owed).await?;
                Ok(Some(step(&row.owed.act, &evidence.tx)))
            }
            _ => Ok(None),
        }
    }

    /// Does something, with leave for a token's contract before it where that is missing, and waits
    /// until it is final.
    pub(super) async fn done(&self, running: &Running, act: BondAct) -> Outcome<Value> {
        let takes = act.takes(&self.bond, self.ledger.account());
        let bonds = bonds_of(self.ledger.as_ref())?;
        if bonds.needs_leave(&self.bond.asset, takes).await? {
            self.owe(running, self.call(BondAct::Allow)).await?;
        }
        self.owe(running, self.call(act)).await
    }

    fn call(&self, act: BondAct) -> Call {
        Call::Bond(Box::new(Bonding { bond: self.bond.clone(), act }))
    }

    /// Has a call owed that is about the bond, and waits until it is final.
    pub(super) async fn owe(&self, running: &Running, call: Call) -> Outcome<Value> {
        let reference = self.reference(self.rows(&running.reader)?.len());
        let act = Act::Do(call);
        let (purpose, ledger) = (Purpose::Bond, self.ledger.id().clone());
        let owed = Owed { reference, purpose, ledger, act, held: false };
        let record = Box::new(Record::Bonding { bond: self.id, owed: owed.clone() });
        let write = Write::Append { session: None, record };
        let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error);
        let committed = running.journal.send(Commit(vec![write])).await;
        let answers = committed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        answers.into_iter().try_for_each(|one| one.map(drop)).map_err(|error| failed(&error))?;
        let evidence = self.wait(running, &owed).await?;
        Ok(step(&owed.act, &evidence.tx))
    }

    async fn wait(&self, running: &Running, owed: &Owed) -> Outcome<Evidence> {
        let stopped = || Failure::new(Exit::Failed, "the journal stopped");
        loop {
            let news = running.journal.send(Await(owed.reference)).await.map_err(|_| stopped())?;
            match news.ok_or_else(stopped)? {
                NewsKind::Met(evidence) => return Ok(evidence),
                NewsKind::Refused(why) => {
                    let name = name(&owed.act);
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
    match &row.owed.act {
        Act::Do(Call::Bond(bonding)) => Some(&bonding.act),
        _ => None,
    }
}

/// An act's name, for people and programs.
fn name(act: &Act) -> String {
    let named = match act {
        Act::Do(Call::Bond(bonding)) => serde_json::to_value(&bonding.act).ok(),
        Act::Do(_) | Act::Check(_) => None,
    };
    let name = named.as_ref().and_then(|value| value["act"].as_str());
    name.unwrap_or("redeem").to_owned()
}

/// Something that was done, for programs.
fn step(act: &Act, tx: &TxId) -> Value {
    json!({ "act": name(act), "tx": tx })
}
