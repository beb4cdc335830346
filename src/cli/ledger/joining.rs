//! A seller joins the bonds that its buyers open, by itself, while it sells: one is looked at on its ledger once
//! more, and our part of it is owed through the journal's outbox. Nothing is waited for: who orders under it
//! comes again, and finds it done, under way, or refused.

use super::pledged::Part;
use crate::actors::funds::lack;
use crate::actors::joining::Joined;
use crate::cli::bonding::{OnLedger, is_out, is_refused, name};
use crate::cli::exit::{Exit, Failure};
use crate::cli::running::Running;
use crate::config::Config;
use crate::journal::bonds::{Pledged, act_of};
use sdpp_ledger::{Amount, Bond, BondAct, BondId, Call, Channel, Ledger, LedgerError};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How long one bond may keep the others waiting.
const AT_MOST: Duration = Duration::from_secs(60);

/// What a buyer is told where the reason is our own affair.
const NOT_JOINED: &str = "this seller does not pledge its part of it by itself";

/// The same where another bond may be joined another time.
const NO_MORE: &str = "this seller pledges no more just now";

/// The same of a second bond for one channel.
const HAS_ANOTHER: &str =
    "this seller has pledged another bond for its channel, and pledges one alone";

/// Joins for ever what sessions ask for.
pub(in crate::cli) async fn keep(config: &Config, running: &Running) -> Infallible {
    loop {
        let (ledger, bond) = running.joining.next().await;
        let joined = match running.ledgers.get(&ledger) {
            Some(on) => {
                let join = join((config, running), on.clone(), bond);
                let late = || No { said: None, why: "its ledger takes too long".to_owned() };
                tokio::time::timeout(AT_MOST, join).await.unwrap_or_else(|_| Err(late()))
            }
            None => Err(No::ours(format!("there is no ledger {ledger} here"))),
        };
        running.joining.is(bond, joined.unwrap_or_else(|no| no.told(bond)));
    }
}

/// Why our part is not pledged.
struct No {
    /// What the buyer is told; nothing where it may be otherwise in a moment.
    said: Option<&'static str>,
    why: String,
}

impl No {
    fn ours(why: impl Into<String>) -> No {
        No { said: Some(NOT_JOINED), why: why.into() }
    }

    fn told(self, bond: BondId) -> Joined {
        let why = self.why;
        tracing::warn!(%bond, why, "our part of a bond that a buyer has opened is not pledged");
        self.said.map_or(Joined::Unknown, |said| Joined::Refused(said.to_owned()))
    }
}

impl<T: Into<Failure>> From<T> for No {
    fn from(failure: T) -> No {
        let Failure { exit, why } = failure.into();
        // All else may be otherwise in a moment.
        No { said: (exit == Exit::Usage).then_some(NOT_JOINED), why }
    }
}

/// Has the next thing owed that our part of a bond takes, once. What was pledged or is on its way stands in
/// the journal, so a kill forgets nothing.
async fn join(
    (config, running): (&Config, &Running),
    ledger: Arc<dyn Ledger>,
    id: BondId,
) -> Result<Joined, No> {
    let rows = running.reader.bond_rows(&id)?;
    // What a ledger has refused costs gas each time: a person may try it again.
    if let Some(row) = rows.iter().find(|row| is_refused(row)) {
        let why = format!("its ledger has refused our {} before", name(&row.owed.act));
        return Err(No::ours(why));
    }
    let is_pledge = |row| act_of(row) == Some(&BondAct::Pledge);
    if rows.iter().any(|row| is_pledge(row) || !row.state.is_settled()) {
        return Ok(Joined::Pledged);
    }
    let on = OnLedger::find(&running.reader, ledger, id).await?;
    let part = Part::of(&on, config, running);
    part.check(None).await?;
    let at_most = part.by_itself_at_most().ok_or_else(|| {
        No::ours("it is not exactly what [seller.bonds] asks for with pledge_at_most")
    })?;
    check_stands(&on).await?;
    let call = next(&on, at_most, &running.reader.pledged()?).await?;
    // Tried before it is owed: what another took back meanwhile leaves nothing behind.
    match on.ledger.cost(&call).await {
        Err(LedgerError::Refused { why, .. }) => return Err(No::ours(why)),
        cost => cost?,
    };
    let owed = on.begin(running, call).await?;
    let (ours, act) = (on.bond.seller_amount, name(&owed.act));
    tracing::info!(bond = %id, channel = %on.bond.channel, %ours, act, "a buyer's bond is joined");
    Ok(Joined::Pledged)
}

/// Whether it waits for our part alone, for a channel that is open and between those who pledge.
async fn check_stands(on: &OnLedger) -> Result<(), No> {
    let OnLedger { ledger, bond, .. } = on;
    if !on.is_sellers() {
        return Err(No::ours(format!("its seller is {}", bond.seller)));
    }
    let held = on.held().await?;
    if !held.waits_for_seller() || held.of_buyer < bond.buyer_amount {
        return Err(No::ours("the buyer's part is not in it, or is on its way out"));
    }
    let none = || No::ours("its ledger has no escrow");
    let channel = ledger.escrow().ok_or_else(none)?.channel(&bond.channel).await?;
    match channel.is_some_and(|channel| is_its(bond, &channel)) {
        true => Ok(()),
        false => Err(No::ours(format!("channel {} is not open, or another's", bond.channel))),
    }
}

/// Whether a bond is for a channel that pays.
fn is_its(bond: &Bond, channel: &Channel) -> bool {
    let Channel { payer, payee, signer, asset, finalized, close_requested_ms, .. } = channel;
    let is_between = (payer, payee, signer) == (&bond.buyer, &bond.seller, &bond.buyer_key);
    let is_open = !finalized && close_requested_ms.is_none();
    is_between && is_open && *asset == bond.asset
}

/// What is to be done next for our part. Who orders under the bond comes again when that is final.
async fn next(on: &OnLedger, at_most: Amount, pledged: &[Pledged]) -> Result<Call, No> {
    let OnLedger { ledger, bond, .. } = on;
    let on_it: Vec<&Pledged> = pledged.iter().filter(|one| one.ledger == *ledger.id()).collect();
    let coming = match room(on, at_most, &on_it) {
        Ok(coming) => coming,
        // Others end bonds too, of which the journal knows nothing.
        Err(_) => room(on, at_most, &still_in(on, on_it).await?)?,
    };
    // What is on its way stands in our account until that is final.
    let lack = lack(ledger.as_ref(), &bond.asset, coming).await?;
    match lack {
        Some(_) if on.credited().await? > Amount::ZERO => Ok(on.call(BondAct::Withdraw)),
        Some(lack) => Err(No { said: Some(NO_MORE), why: lack.to_string() }),
        // Once for all bonds in a token.
        None => Ok(on.leave(&BondAct::Pledge).await?.unwrap_or_else(|| on.call(BondAct::Pledge))),
    }
}

/// Whether we pledge that much more: once for a channel, and no more in all than the config says. What is on its
/// way then.
fn room(on: &OnLedger, at_most: Amount, pledged: &[&Pledged]) -> Result<Amount, No> {
    let bond = &on.bond;
    if let Some(other) = pledged.iter().find(|one| one.bond.channel == bond.channel) {
        let why = format!("bond {} is for channel {} too", other.id, bond.channel);
        return Err(No { said: Some(HAS_ANOTHER), why });
    }
    let in_it = pledged.iter().filter(|one| one.bond.asset == bond.asset);
    let ours = in_it.filter(|one| one.bond.seller == bond.seller);
    let (mut all, mut coming) = (Amount::ZERO, bond.seller_amount);
    for (pledged, on_its_way) in ours.map(|one| one.amounts(&bond.seller)) {
        all = all.saturating_add(pledged);
        coming = coming.saturating_add(on_its_way);
    }
    if all.saturating_add(bond.seller_amount) > at_most {
        let why = format!(
            "{all} of ours are pledged, and with {} more it were above the {at_most} of \
             pledge_at_most",
            bond.seller_amount
        );
        return Err(No { said: Some(NO_MORE), why });
    }
    Ok(coming)
}

/// Those that have something of ours in them by their ledger, or will have.
async fn still_in<'a>(on: &OnLedger, pledged: Vec<&'a Pledged>) -> Result<Vec<&'a Pledged>, No> {
    let mut still = Vec::new();
    for one in pledged {
        if !is_out(on.ledger.as_ref(), &one.bond).await? {
            still.push(one);
        }
    }
    Ok(still)
}
