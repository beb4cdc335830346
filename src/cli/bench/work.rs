//! What a bench has a ledger do, by itself or through a journal and its outbox, and what that takes
//! of a processor.

use crate::actors::journal::{Await, Commit, JournalActor};
use crate::actors::random_digest;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::Running;
use crate::journal::{NewsKind, PAGE_MAX, Write, obligation::State};
use crate::record::{Act, Owed, Record};
use crate::terms::Purpose;
use actix::prelude::*;
use sdpp_ledger::{
    Account, Amount, Asset, Call, Evidence, Finality, Ledger, LedgerError, LedgerId, Reference,
    Signed, Transfer,
};
use std::fmt::Display;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often it is looked at what is open.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A reference that was never used.
pub(super) fn reference() -> Outcome<Reference> {
    Ok(Reference(random_digest().map_err(failed)?.0))
}

/// A payment of so much, in the smallest unit, under a reference that was never used.
pub(super) fn payment(to: &Account, asset: &Asset, amount: u128) -> Outcome<Transfer> {
    let (to, asset, amount) = (to.clone(), asset.clone(), Amount::new(amount));
    Ok(Transfer { to, asset, amount, reference: reference()? })
}

/// Submits something, and asks this often whether it is final, until it is.
pub(super) async fn landed(
    ledger: &dyn Ledger,
    signed: &Signed,
    look_every: Duration,
) -> Result<Evidence, LedgerError> {
    ledger.submit(signed).await?;
    loop {
        match ledger.finality(signed).await? {
            Finality::Final(evidence) => return Ok(evidence),
            Finality::Unknown | Finality::Pending(_) => tokio::time::sleep(look_every).await,
            Finality::Replaced | Finality::Reverted { .. } => {
                let why = "something that was done came to nothing";
                return Err(LedgerError::refused("Failed", why));
            }
        }
    }
}

/// Owes something to a ledger, and returns once that is in the journal.
pub(super) async fn owe(
    journal: &Addr<JournalActor>,
    ledger: &LedgerId,
    reference: Reference,
    call: Call,
) -> Outcome {
    let (ledger, act) = (ledger.clone(), Act::Do(call));
    let owed = Owed { reference, purpose: Purpose::Order, ledger, act, held: false };
    let record = Box::new(Record::Anchoring { owed, invoice: None });
    let write = Write::Append { session: None, record };
    let written = journal.send(Commit(vec![write])).await.map_err(failed)?.map_err(failed)?;
    written.into_iter().try_for_each(|one| one.map(drop)).map_err(failed)
}

/// Waits until it is met; `what` it is, where it is not.
pub(super) async fn met(journal: &Addr<JournalActor>, reference: Reference, what: &str) -> Outcome {
    match journal.send(Await(reference)).await.map_err(failed)? {
        Some(NewsKind::Met(_)) => Ok(()),
        other => Err(failed(format!("{what} was not met: {other:?}"))),
    }
}

/// How much is owed to a ledger and not met, and how much of that is on its way.
pub(super) fn open(side: &Running, ledger: &LedgerId) -> Outcome<[usize; 2]> {
    let open = side.reader.unsettled(ledger, None, PAGE_MAX)?;
    let on_way = open.iter().filter(|row| matches!(row.state, State::Riding { .. })).count();
    Ok([open.len(), on_way])
}

/// Looks again and again until the tasks are done, all of them.
pub(super) async fn watched(
    mut tasks: JoinSet<Outcome>,
    mut look: impl FnMut() -> Outcome,
) -> Outcome {
    while !tasks.is_empty() {
        look()?;
        // Whoever is done by then.
        let next = tokio::time::timeout(LOOK_EVERY, tasks.join_next()).await;
        if let Ok(Some(done)) = next {
            done.map_err(failed)??;
        }
    }
    Ok(())
}

/// What the tasks came to, all of them.
pub(super) async fn joined<T: 'static>(mut tasks: JoinSet<Outcome<T>>) -> Outcome<Vec<T>> {
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(one) = tasks.join_next().await {
        done.push(one.map_err(failed)??);
    }
    Ok(done)
}

pub(super) fn failed(error: impl Display) -> Failure {
    Failure::new(Exit::Failed, error)
}
