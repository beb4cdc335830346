//! What only a ledger can tell: whether it holds what the journal says that it holds.

use crate::audit::{Check, Expected, Problem, Report};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::config::Config;
use crate::config::ledgers::Opened;
use sdpp_ledger::{Finality, Ledger, LedgerError, LedgerId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Asks the ledgers of a config for each check, and adds what differs to the report.
///
/// # Errors
/// A ledger that cannot be reached, or that the config does not name. What the others said is in
/// the report all the same.
pub(super) async fn ask(report: &mut Report, config: &Config) -> Outcome {
    if report.statements.iter().all(|statement| statement.checks.is_empty()) {
        return Ok(());
    }
    let (ledgers, missing) = open(config).await;
    let answered = ask_all(report, &ledgers).await;
    missing.and(answered)
}

/// As [`ask`], of ledgers that are open.
///
/// # Errors
/// As [`ask`].
pub(super) async fn ask_all(report: &mut Report, ledgers: &ById) -> Outcome {
    let mut missing = Ok(());
    for statement in &mut report.statements {
        let session = Some(statement.session);
        for check in &statement.checks {
            let said = match ledgers.get(&check.ledger) {
                Some(ledger) => differs(ledger.as_ref(), check).await,
                None => Err(unknown(&check.ledger)),
            };
            match said {
                Ok(None) => {}
                Ok(Some(what)) => {
                    let anchors = statement.anchors.iter_mut();
                    doubt(anchors.filter(|line| line.reference == check.reference));
                    let problem = Problem { entry: check.entry, session, what };
                    statement.problems.push(problem.clone());
                    report.problems.push(problem);
                }
                Err(failure) => missing = missing.and(Err(failure)),
            }
        }
    }
    report.problems.sort_by_key(|problem| problem.entry);
    missing
}

/// Open ledgers by id.
pub(super) type ById = BTreeMap<LedgerId, Arc<dyn Ledger>>;

async fn open(config: &Config) -> (ById, Outcome) {
    let (mut ledgers, mut missing) = (ById::new(), Ok(()));
    for name in config.ledgers.keys() {
        match Opened::open_to_read(config, name).await {
            Ok(opened) => {
                let ledger = Arc::clone(opened.ledger());
                ledgers.insert(ledger.id().clone(), ledger);
            }
            Err(error) => missing = missing.and(Err(error.into())),
        }
    }
    (ledgers, missing)
}

/// What a ledger says otherwise than the journal.
async fn differs(ledger: &dyn Ledger, check: &Check) -> Outcome<Option<String>> {
    let lacks =
        |what: &str| Err(LedgerError::refused("NoSuchAbility", format!("it keeps no {what}")));
    let (tx, said) = match &check.what {
        Expected::Anchored(tx, anchor) => match ledger.records() {
            Some(records) => (tx, records.anchored(tx, anchor).await),
            None => (tx, lacks("records")),
        },
        Expected::Paid(claim) => match ledger.payments() {
            Some(payments) => (&claim.tx, payments.paid(claim).await),
            None => (&claim.tx, lacks("payments")),
        },
    };
    let id = &check.ledger;
    let otherwise = |what: &str| Ok(Some(format!("{tx} is recorded as final, {id} says: {what}")));
    match said {
        Ok(Finality::Final(_)) => Ok(None),
        Ok(Finality::Unknown) => otherwise("there is no such transaction"),
        Ok(Finality::Pending(_)) => otherwise("it is not final"),
        Ok(Finality::Replaced) => otherwise("another took its place"),
        Ok(Finality::Reverted { why, .. }) => otherwise(&format!("it had no effect: {why}")),
        Err(LedgerError::Refused { code, why }) => otherwise(&format!("{code}: {why}")),
        Err(error) => Err(Failure::new(Exit::Ledger, format!("ledger {id}: {error}"))),
    }
}

fn doubt<'a>(lines: impl Iterator<Item = &'a mut crate::audit::AnchorLine>) {
    lines.for_each(|line| line.ok = false);
}

fn unknown(ledger: &LedgerId) -> Failure {
    let why = format!("ledger {ledger} was not asked: the config names none with this id");
    Failure::new(Exit::Ledger, why)
}
