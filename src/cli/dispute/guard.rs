//! Complaints against us, answered by whoever runs: a seller while it sells, a buyer while it buys. How a
//! bond stands is asked again and again, so a complaint that came while nobody was there is seen too.
//! Nothing is waited for: what is owed goes on by itself, and no bond keeps another waiting.

use super::bonded::{Chamber, Suit};
use super::case::Case;
use super::shown::{challenge, demand, shown};
use crate::actors::now_ms;
use crate::cli::bonding::{OnLedger, is_met, is_refused, name};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::running::{Running, aside};
use crate::journal::Obligation;
use crate::journal::bonds::act_of;
use crate::message::Reason;
use crate::record::Owed;
use crate::terms::SessionId;
use sdpp_ledger::{Amount, BondAct, BondId, LedgerId};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// How often it is asked how bonds stand: no contract has a period of less than ten minutes.
const ASK_EVERY: Duration = Duration::from_secs(15);

/// The same while answers are waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long what was refused is not tried again, in milliseconds.
const AGAIN_MS: u64 = 60_000;

/// The bonds that we have part in, as far as their ledgers are reached.
#[derive(Default)]
pub(in crate::cli) struct Guard {
    bonds: BTreeMap<BondId, OnLedger>,
    /// What was said last of those with which there is trouble: it is said once.
    said: BTreeMap<BondId, String>,
}

impl Guard {
    /// Answers for ever.
    pub(in crate::cli) async fn keep(&mut self, running: &Running) -> Infallible {
        loop {
            self.answer(running).await;
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Answers what waits now, until all that is final or so much time has passed.
    pub(in crate::cli) async fn answered(&mut self, running: &Running, at_most: Duration) {
        let began = Instant::now();
        while self.answer(running).await && began.elapsed() < at_most {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Has owed what answers a complaint, of each bond once. Whether anything is under way. What cannot
    /// be answered is said, and looked at again the next time. A ledger that is away is waited for once.
    async fn answer(&mut self, running: &Running) -> bool {
        let mut away = BTreeMap::new();
        for (id, ledger) in running.ledgers.iter().filter(|(_, ledger)| ledger.bonds().is_some()) {
            if let Err(error) = ledger.status().await {
                away.insert(id.clone(), Failure::from(error));
            }
        }
        if let Err(failure) = self.see(running, &away).await {
            tracing::warn!(%failure, "the journal does not tell which bonds there are");
        }
        let mut is_under_way = false;
        for on in self.bonds.values() {
            if let Some(failure) = away.get(on.ledger.id()) {
                say(&mut self.said, on.id, failure, "complaints against us are not heard of");
                continue;
            }
            match answer(on, running).await {
                Ok(is_owed) => {
                    is_under_way |= is_owed;
                    self.said.remove(&on.id);
                }
                Err(failure) => {
                    say(&mut self.said, on.id, &failure, "a complaint against us is not answered");
                }
            }
        }
        is_under_way
    }

    /// Looks for bonds that the journal names since, and forgets those of which nothing is ours to lose. It is
    /// not read where no ledger holds any.
    async fn see(&mut self, running: &Running, away: &BTreeMap<LedgerId, Failure>) -> Outcome {
        let able: Vec<_> =
            running.ledgers.values().filter(|ledger| ledger.bonds().is_some()).collect();
        if able.is_empty() {
            return Ok(());
        }
        for id in running.reader.bonds()? {
            if !running.reader.may_lose_bond(&id)? {
                self.bonds.remove(&id);
                continue;
            }
            for ledger in able.iter().filter(|ledger| !away.contains_key(ledger.id())) {
                if self.bonds.contains_key(&id) {
                    break;
                }
                match OnLedger::look(&running.reader, (*ledger).clone(), id).await {
                    Ok(on) => self.bonds.extend(on.map(|on| (id, on))),
                    Err(failure) => {
                        let what =
                            "a bond cannot be looked up: complaints about it are not answered";
                        say(&mut self.said, id, &failure, what);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Says that there is trouble with a bond, where that was not the last that was said of it.
fn say(said: &mut BTreeMap<BondId, String>, bond: BondId, failure: &Failure, what: &str) {
    let why = failure.to_string();
    if said.get(&bond) != Some(&why) {
        tracing::warn!(%bond, %failure, "{what}");
        said.insert(bond, why);
    }
}

/// Has the next thing owed that one bond asks of us. Whether anything is under way.
async fn answer(on: &OnLedger, running: &Running) -> Outcome<bool> {
    let rows = running.reader.bond_rows(&on.id)?;
    if let Some(last) = rows.last() {
        if !last.state.is_settled() {
            return Ok(true);
        }
        if was_refused(last) {
            return Ok(false);
        }
    }
    let held = on.held().await?;
    // Nothing that is signed later than a period from then is answered for.
    let is_leaving = held.ends_ms.is_some() && running.reader.is_bond_used(&on.id)?;
    if is_leaving && running.busy.stop(&on.bond.channel, Reason::Stopped) {
        tracing::warn!(bond = %on.id, "its end was asked for: the session under it is ended");
    }
    if on.is_sellers() {
        on.keep_voucher(running, &held).await?;
    }
    let until_ms = if on.is_sellers() { held.challenged_until_ms } else { held.demanded_until_ms };
    let Some(until_ms) = until_ms else { return take_back(on, running, &rows).await };
    if on.ledger.status().await?.at_ms >= until_ms {
        let why = "it is too late: the time to answer is over";
        return Err(Failure::new(Exit::Ledger, why));
    }
    let owed = match on.is_sellers() {
        true => show(on, running).await?,
        false => pay(on, running).await?,
    };
    tracing::info!(bond = %on.id, act = name(&owed.act), "a complaint is answered");
    Ok(true)
}

/// Has shown what a seller is asked for.
async fn show(on: &OnLedger, running: &Running) -> Outcome<Owed> {
    let unknown = || Failure::new(Exit::Ledger, "its ledger does not show what was asked for");
    let asked = on.last(challenge).await?.ok_or_else(unknown)?;
    let (reader, bond, root) = (running.reader.clone(), on.id, asked.root);
    let none = || {
        let why = format!("nothing in this journal shows such an item under the root {root}");
        Failure::new(Exit::Failed, why)
    };
    let act = aside(move || shown(&reader, &bond, &asked)).await?.ok_or_else(none)?;
    on.begin(running, on.call(act)).await
}

/// Has paid what a buyer is asked for, or refuted that it owes it.
async fn pay(on: &OnLedger, running: &Running) -> Outcome<Owed> {
    let none = |why: String| Failure::new(Exit::Failed, why);
    let unknown = || none("no session of this journal is the one that it is about".to_owned());
    let session = SessionId(on.last(demand).await?.ok_or_else(unknown)?.session);
    let case = Case::find(&running.reader, &session, None)?;
    let suit = Suit::find(&Chamber::of(running), &case, &session).await?;
    let owed = match suit {
        Some(suit) => suit.answered(running).await?,
        None => None,
    };
    owed.ok_or_else(|| none(format!("nothing in this journal answers it, of session {session}")))
}

/// A ledger that has refused something refuses it again a moment later.
fn was_refused(last: &Obligation) -> bool {
    is_refused(last) && now_ms().saturating_sub(last.due_ms) < AGAIN_MS
}

/// What went along with a voucher and was not due is ours again, also where it was not given at first.
async fn take_back(on: &OnLedger, running: &Running, rows: &[Obligation]) -> Outcome<bool> {
    let was_kept = |row: &&Obligation| is_refused(row) && act_of(row) == Some(&BondAct::Withdraw);
    let has_paid = rows.iter().rev().find(|row| !was_kept(row)).is_some_and(|row| {
        is_met(row)
            && matches!(act_of(row), Some(BondAct::Pay { most, .. }) if *most > Amount::ZERO)
    });
    if !has_paid || on.credited().await? == Amount::ZERO {
        return Ok(false);
    }
    on.begin(running, on.call(BondAct::Withdraw)).await?;
    Ok(true)
}
