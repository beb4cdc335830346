//! Complaints against us, answered by whoever runs: a seller while it sells, a buyer before it buys. How a
//! bond stands is asked again and again, so a complaint that came while nobody was there is seen too.

use super::bonded::Suit;
use super::case::Case;
use crate::cli::bonding::OnLedger;
use crate::cli::exit::Outcome;
use crate::cli::running::Running;
use crate::journal::Reader;
use crate::message::{Order, reread};
use crate::record::{Act, Record};
use crate::terms::SessionId;
use sdpp_ledger::bond::BondChangeKind;
use sdpp_ledger::{BondId, Call, Digest};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often it is asked how bonds stand: no contract has a period of less than ten minutes.
const ASK_EVERY: Duration = Duration::from_secs(15);

/// How many entries are read at once.
const ENTRIES: usize = 256;

/// The bonds that we have part in, as far as their ledgers are reached.
pub(in crate::cli) struct Guard {
    bonds: Vec<OnLedger>,
    /// Those that no ledger has told of yet.
    unseen: BTreeSet<BondId>,
}

impl Guard {
    /// Of all bonds that the journal knows. It is not read where no ledger holds any.
    pub(in crate::cli) fn new(running: &Running) -> Outcome<Guard> {
        let is_able = running.ledgers.values().any(|ledger| ledger.bonds().is_some());
        let mut unseen = BTreeSet::new();
        if is_able {
            each(&running.reader, |_, record| {
                unseen.extend(bond_of(record));
                None::<()>
            })?;
        }
        Ok(Guard { bonds: Vec::new(), unseen })
    }

    /// Answers for ever.
    pub(in crate::cli) async fn keep(mut self, running: &Running) {
        if self.unseen.is_empty() {
            return std::future::pending().await;
        }
        loop {
            self.answer(running).await;
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Answers what waits now. What cannot be answered is said, and looked at again the next time.
    pub(in crate::cli) async fn answer(&mut self, running: &Running) {
        self.see(running).await;
        for on in &self.bonds {
            if let Err(failure) = answer(on, running).await {
                tracing::warn!(bond = %on.id, %failure, "a complaint against us is not answered");
            }
        }
    }

    /// Asks for the words of those that were not told yet.
    async fn see(&mut self, running: &Running) {
        for id in self.unseen.clone() {
            for ledger in running.ledgers.values() {
                if let Ok(on) = OnLedger::find(ledger.clone(), id).await {
                    self.unseen.remove(&id);
                    self.bonds.push(on);
                }
            }
        }
    }
}

async fn answer(on: &OnLedger, running: &Running) -> Outcome {
    let held = on.held().await?;
    let is_seller = *on.ledger.account() == on.bond.seller;
    let waits = if is_seller { held.challenged_until_ms } else { held.demanded_until_ms };
    if waits.is_none() {
        return Ok(());
    }
    let asked = |kind| match kind {
        BondChangeKind::Challenged { challenge, .. } if is_seller => Some((None, challenge.root)),
        BondChangeKind::Demanded { demand, .. } if !is_seller => {
            Some((Some(SessionId(demand.session)), Digest::ZERO))
        }
        _ => None,
    };
    let Some((named, root)) = on.last(&running.reader, asked).await? else { return Ok(()) };
    let session = match named {
        Some(session) => Some(session),
        None => session_of(&running.reader, &root)?,
    };
    let Some(session) = session else { return Ok(()) };
    let case = Case::find(&running.reader, &session, None)?;
    if let Some(suit) = Suit::find(running, &case, &session).await?
        && let Some(step) = suit.answered(running).await?
    {
        tracing::info!(bond = %on.id, %session, %step, "a complaint against us is answered");
    }
    Ok(())
}

/// The session in which we invoiced a window with this root.
fn session_of(reader: &Reader, root: &Digest) -> Outcome<Option<SessionId>> {
    each(reader, |session, record| match record {
        Record::Invoice { message, .. } if message.commitment == *root => session,
        _ => None,
    })
}

/// The bond that a record is about: one that we pledged, or that a session of ours is under.
fn bond_of(record: &Record) -> Option<BondId> {
    match record {
        Record::Bonding { bond, owed } => {
            matches!(owed.act, Act::Do(Call::Bond(_))).then_some(*bond)
        }
        Record::Order { order, .. } => Some(reread::<Order>(order).ok()?.bond?.id),
        _ => None,
    }
}

/// Reads the journal from its first entry on, until something is found.
fn each<T>(
    reader: &Reader,
    mut found: impl FnMut(Option<SessionId>, &Record) -> Option<T>,
) -> Outcome<Option<T>> {
    let mut after = 0;
    loop {
        let entries = reader.entries(after, ENTRIES)?;
        let Some(last) = entries.last() else { return Ok(None) };
        after = last.seq;
        if let Some(it) = entries.iter().find_map(|entry| found(entry.session, &entry.record)) {
            return Ok(Some(it));
        }
    }
}
