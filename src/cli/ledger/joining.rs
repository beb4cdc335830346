//! A seller joins the bonds that its buyers open, by itself, while it sells: one is looked at on its ledger once
//! more, and our part of it is owed through the journal's outbox. Nothing is waited for: who orders under it
//! comes again, and finds it done, under way, or refused.

use super::pledged::Part;
use crate::actors::funds::lack;
use crate::actors::joining::Joined;
use crate::cli::bonding::{OnLedger, is_refused, name};
use crate::cli::exit::{Exit, Failure};
use crate::cli::running::Running;
use crate::config::Config;
use crate::journal::bonds::{Pledged, act_of};
use sdpp_ledger::{Amount, Bond, BondAct, BondId, Channel, Ledger};
use std::convert::Infallible;
use std::sync::Arc;

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
            Some(on) => join((config, running), on.clone(), bond).await,
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
        No { said: (exit != Exit::Ledger).then_some(NOT_JOINED), why }
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
    check_means(&on, at_most, &running.reader.pledged()?).await?;
    let call = match on.leave(&BondAct::Pledge).await? {
        // Once for all bonds in a token: who orders under this one comes again when that is final.
        Some(leave) => leave,
        None => on.call(BondAct::Pledge),
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

/// Whether we pledge that much more: once for a channel, no more in all than the config says, and nothing
/// that our account does not have.
async fn check_means(on: &OnLedger, at_most: Amount, pledged: &[Pledged]) -> Result<(), No> {
    let OnLedger { ledger, bond, .. } = on;
    let on_it = pledged.iter().filter(|one| one.ledger == *ledger.id());
    let on_it: Vec<&Pledged> = on_it.collect();
    if let Some(other) = on_it.iter().find(|one| one.bond.channel == bond.channel) {
        let why = format!("bond {} is for channel {} too", other.id, bond.channel);
        return Err(No { said: Some(HAS_ANOTHER), why });
    }
    let no_more = |why| No { said: Some(NO_MORE), why };
    let in_it = on_it.iter().filter(|one| one.bond.asset == bond.asset);
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
        return Err(no_more(why));
    }
    // What is on its way stands in our account until that is final.
    match lack(ledger.as_ref(), &bond.asset, coming).await? {
        Some(lack) => Err(no_more(lack.to_string())),
        None => Ok(()),
    }
}
