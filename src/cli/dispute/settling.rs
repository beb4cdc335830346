//! What is to be done on a ledger about a session, and how far it is: for the command that has the
//! journal open and for a node that is asked by one. What is written is decided by the journal's
//! tables; here they are asked, and the ledger is.

use super::case::Case;
use crate::actors::Ledgers;
use crate::actors::busy::Busy;
use crate::actors::journal::Commit;
use crate::actors::now_ms;
use crate::actors::reclaim::Reclaiming;
use crate::actors::waiting::{Waiting, waiting};
use crate::admin::Settling;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::journal::obligation::State;
use crate::journal::settle::Means;
use crate::journal::watch::{View, Wish};
use crate::journal::{Obligation, Reader, Reclaim, Settle, Write};
use crate::record::{Act, Owed, Record};
use crate::terms::{Method, Purpose, Role, SessionId};
use sdpp_ledger::{
    Amount, Anchor, Call, Channel, ChannelId, Digest, InChannel, Ledger, LedgerError, LedgerId,
    Redeem,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Why a channel stays open.
const GOING_ON: &str = "a session is going on in the channel: it is not closed under it";

/// Where everything is that has to be asked.
pub(in crate::cli) struct Ground<'a> {
    /// The journal, to read.
    pub(in crate::cli) reader: &'a Reader,
    /// Our ledgers.
    pub(in crate::cli) ledgers: &'a Ledgers,
}

/// What is to be done, and what is being done or was.
pub(super) struct Plan {
    case: Case,
    channel: Option<OnLedger>,
    /// What the journal is to be told, where something is missing.
    pub(super) write: Option<Write>,
    calls: Vec<Doing>,
    /// Why nothing more can be done just now, where that is so.
    held: Option<String>,
}

/// The session's channel, as its ledger has it and as we do.
struct OnLedger {
    id: ChannelId,
    shown: Option<Channel>,
    /// From when on its payer may withdraw, in milliseconds since 1970 UTC.
    ready_ms: Option<u64>,
    /// What was vouched: the best voucher (seller), or the most that may be (buyer).
    vouched: Amount,
}

/// A call on a ledger.
struct Doing {
    call: Call,
    /// What it brings us, in the currency's smallest unit.
    brings: Amount,
    far: Far,
}

/// How far a call is.
enum Far {
    /// Nothing was written of it.
    Planned(Result<Amount, LedgerError>),
    /// It stands in the journal, and in these words.
    Written(Box<Obligation>),
}

/// Answers one that asks, after it had done what is missing, unless it only asks.
pub(in crate::cli) async fn answer(reclaiming: &Reclaiming, ask: &Settling) -> Outcome<Value> {
    let Reclaiming { reader, ledgers, busy, .. } = reclaiming;
    let ground = Ground { reader, ledgers };
    let mut plan = plan(&ground, busy, ask).await?;
    if let Some(write) = plan.write.take().filter(|_| !ask.dry_run) {
        carry_out(reclaiming, write).await?;
        plan = self::plan(&ground, busy, ask).await?;
    }
    Ok(plan.told(&ask.session))
}

async fn carry_out(reclaiming: &Reclaiming, mut write: Write) -> Outcome {
    // Until it is written no session may begin on a channel that is about to be closed.
    let _held = match &mut write {
        Write::Settle(settle) => {
            let held = reclaiming.busy.hold(settle.channel);
            settle.live = held.is_none();
            held
        }
        _ => None,
    };
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error);
    if let Write::Reclaim(Reclaim { channel, .. }) = &write {
        // As the journal has it by now: no session may take the channel meanwhile.
        let left = reclaiming.reader.remainders()?;
        let ours = left.into_iter().filter(|one| one.channel == *channel).collect();
        return reclaiming.asked(ours).await.map(drop).map_err(|error| failed(&error));
    }
    let committed = reclaiming.journal.send(Commit(vec![write])).await;
    let answers = committed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    answers.into_iter().try_for_each(|one| one.map(drop)).map_err(|error| failed(&error))
}

/// What there is to do about a session; `busy` are the channels in use.
pub(super) async fn plan(ground: &Ground<'_>, busy: &Busy, ask: &Settling) -> Outcome<Plan> {
    let case = Case::find(ground.reader, &ask.session, ask.leg)?;
    match (case.terms.currency.method, case.role) {
        (Method::Escrow, Role::Seller) => redeeming(ground, busy, case, ask).await,
        (Method::Escrow, Role::Buyer) => taking_back(ground, busy, case).await,
        (Method::Transfer, _) => pinning(ground, case, ask).await,
    }
}

/// The seller's part: its best voucher.
async fn redeeming(ground: &Ground<'_>, busy: &Busy, case: Case, ask: &Settling) -> Outcome<Plan> {
    let reader = ground.reader;
    let (channel, ledger, view) = look(ground, &case).await?;
    let facts = reader.channel(&channel.id)?.unwrap_or_default();
    let live = busy.is_taken(&channel.id);
    let settle = view.map(|view| {
        let (channel, ledger) = (channel.id, ledger.id().clone());
        Settle { channel, ledger, view, close: ask.close, live }
    });
    let (mut calls, mut write) = (written(reader, &channel)?, None);
    if let (Some(settle), Some((amount, signature))) = (settle, facts.voucher)
        && let Some(means) = reader.must_settle(&settle)?
    {
        let redeem = Redeem { channel: channel.id, amount, signature };
        let call = match means {
            Means::Settle => Call::Settle(redeem),
            Means::Close => Call::Close(redeem),
        };
        let brings = amount.saturating_sub(settle.view.settled);
        calls.push(planned(ledger.as_ref(), call, brings).await);
        write = Some(Write::Settle(Box::new(settle)));
    }
    let is_held = live && (ask.close || channel.ready_ms.is_some());
    let held = is_held.then(|| GOING_ON.to_owned());
    Ok(Plan { case, channel: Some(channel), write, calls, held })
}

/// What the journal has of redeeming a channel: what is under way, what was refused last, and of
/// what is done that which gave the most.
fn written(reader: &Reader, channel: &OnLedger) -> Outcome<Vec<Doing>> {
    let amount = |row: &Obligation| match &row.owed.act {
        Act::Do(Call::Settle(redeem) | Call::Close(redeem)) => redeem.amount,
        _ => Amount::ZERO,
    };
    let is_close = |row: &Obligation| matches!(row.owed.act, Act::Do(Call::Close(_)));
    let (done, mut rows): (Vec<_>, Vec<_>) = reader
        .redeems(&channel.id)?
        .into_iter()
        .partition(|row| matches!(row.state, State::Met { .. }));
    // Of a channel that is over and paid less, nothing more can be had, however often it is tried.
    let is_over = channel.shown.as_ref().is_some_and(|shown| shown.finalized);
    let settled = channel.shown.as_ref().map_or(Amount::ZERO, |shown| shown.settled);
    rows.retain(|row| !is_over || amount(row) <= settled);
    rows.extend(done.into_iter().max_by_key(|row| (amount(row), is_close(row))));
    if let Some(watched) = reader.watched(&channel.id)? {
        for purpose in [Purpose::Settle, Purpose::Close] {
            let last = SessionId(Digest(channel.id.0)).reference(purpose, watched.redeems);
            let last = reader.obligation(&last)?;
            rows.extend(last.filter(|row| matches!(row.state, State::Refused { .. })));
        }
    }
    let doing = |row: Obligation| {
        let Act::Do(call) = row.owed.act.clone() else { return None };
        let brings = match row.state {
            State::Met { .. } => amount(&row),
            _ => amount(&row).saturating_sub(settled),
        };
        Some(Doing { call, brings, far: Far::Written(Box::new(row)) })
    };
    Ok(rows.into_iter().filter_map(doing).collect())
}

/// The buyer's part: what is left in its channel.
async fn taking_back(ground: &Ground<'_>, busy: &Busy, case: Case) -> Outcome<Plan> {
    let (channel, ledger, view) = look(ground, &case).await?;
    let watched = ground.reader.watched(&channel.id)?;
    let (mut calls, mut write, mut held) = (Vec::new(), None, None);
    let row = match watched.as_ref().and_then(|row| row.reclaiming(&channel.id)) {
        Some(reference) => ground.reader.obligation(&reference)?,
        None => None,
    };
    let left = view.as_ref().map_or(Amount::ZERO, |view| view.deposit.saturating_sub(view.settled));
    let is_under_way = row.as_ref().is_some_and(|row| !row.state.is_settled());
    if let Some(row) = row
        && let Act::Do(call) = row.owed.act.clone()
    {
        let brings = if let Call::Withdraw(_) = call { left } else { Amount::ZERO };
        calls.push(Doing { call, brings, far: Far::Written(Box::new(row)) });
    }
    let is_bonded =
        ledger.bonds().is_some() && ground.reader.bonded_channels()?.contains(&channel.id);
    let open = view.filter(|view| !view.is_over && left > Amount::ZERO && !is_under_way);
    if let Some(why) = in_use(ground.reader, busy, &channel.id)? {
        held = Some(why);
    } else if is_bonded && open.is_some() {
        let why = "a bond of ours is for its channel: `sdpp ledger bond end` has that back first";
        held = Some(why.to_owned());
    } else if let Some(view) = open {
        let ledger_ms = ledger.status().await?.at_ms;
        let at = InChannel { channel: channel.id };
        let call = match view.ready_ms {
            None => Some((Call::RequestClose(at), Amount::ZERO)),
            Some(ready_ms) => (ledger_ms >= ready_ms).then_some((Call::Withdraw(at), left)),
        };
        if let Some((call, brings)) = call {
            calls.push(planned(ledger.as_ref(), call, brings).await);
            let (wish, ledger_ms) = (Wish::Asked, Some(ledger_ms));
            write = Some(Write::Reclaim(Reclaim { channel: channel.id, wish, ledger_ms }));
        }
    }
    Ok(Plan { case, channel: Some(channel), write, calls, held })
}

/// Why a buyer's channel is not closed now, where a session has it: one that is going on, or that a kill
/// left for its command.
fn in_use(reader: &Reader, busy: &Busy, channel: &ChannelId) -> Outcome<Option<String>> {
    if busy.is_serving(channel) {
        return Ok(Some(GOING_ON.to_owned()));
    }
    let left = waiting(reader, now_ms())?;
    let left = left.into_iter().find(|one| one.channels.contains(channel));
    let has_it = left.map(|Waiting { session, .. }| {
        format!(
            "session {session}, which was interrupted, has the channel: the `sdpp buy` that began it \
             goes on with it, and `sdpp ledger close {channel} --config FILE` ends it and closes the \
             channel"
        )
    });
    Ok(has_it.or_else(|| busy.is_taken(channel).then(|| GOING_ON.to_owned())))
}

/// Without an escrow: the evidence is pinned where the session's records are.
async fn pinning(ground: &Ground<'_>, case: Case, ask: &Settling) -> Outcome<Plan> {
    let mut plan = Plan { case, channel: None, write: None, calls: Vec::new(), held: None };
    let Some(records) = plan.case.terms.records.clone() else {
        let why = "its seller keeps no records on a ledger: the evidence is pinned nowhere";
        plan.held = Some(why.to_owned());
        return Ok(plan);
    };
    let Some(bundle) = ask.bundle else { return Ok(plan) };
    let pinned = ground.reader.disputes(&ask.session)?;
    if let Some((_, owed)) = pinned.iter().find(|(digest, _)| *digest == bundle) {
        let row = ground.reader.obligation(&owed.reference)?;
        plan.calls.extend(row.and_then(|row| {
            let Act::Do(call) = row.owed.act.clone() else { return None };
            Some(Doing { call, brings: Amount::ZERO, far: Far::Written(Box::new(row)) })
        }));
        return Ok(plan);
    }
    let reference = ask.session.reference(Purpose::Dispute, pinned.len() as u64 + 1);
    let call = Call::Anchor(Anchor::One { reference, digest: bundle });
    let ledger = of(ground, &records)?;
    plan.calls.push(planned(ledger.as_ref(), call.clone(), Amount::ZERO).await);
    let (purpose, act) = (Purpose::Dispute, Act::Do(call));
    let owed = Owed { reference, purpose, ledger: records, act, held: false };
    let (session, record) = (Some(ask.session), Box::new(Record::Disputed { bundle, owed }));
    plan.write = Some(Write::Append { session, record });
    Ok(plan)
}

async fn planned(ledger: &dyn Ledger, call: Call, brings: Amount) -> Doing {
    let cost = ledger.cost(&call).await;
    Doing { call, brings, far: Far::Planned(cost) }
}

fn of<'a>(ground: &'a Ground<'_>, id: &LedgerId) -> Outcome<&'a Arc<dyn Ledger>> {
    let unknown = || Failure::usage(format!("the session is on {id}, which the config lacks"));
    ground.ledgers.get(id).ok_or_else(unknown)
}

/// The session's channel as its ledger has it.
async fn look<'a>(
    ground: &'a Ground<'_>,
    case: &Case,
) -> Outcome<(OnLedger, &'a Arc<dyn Ledger>, Option<View>)> {
    let ledger = of(ground, &case.terms.currency.ledger)?;
    let Some(escrow) = ledger.escrow() else {
        let why = format!("ledger {} has no escrow any more", ledger.id());
        return Err(Failure::new(Exit::Ledger, why));
    };
    let none = || Failure::new(Exit::Wrong, "the order names no channel");
    let id = case.terms.escrow.ok_or_else(none)?.channel;
    let shown = escrow.channel(&id).await?;
    let grace_ms = u64::try_from(escrow.grace_period().as_millis()).unwrap_or(u64::MAX);
    let view = shown.as_ref().map(|shown| View {
        deposit: shown.deposit,
        settled: shown.settled,
        ready_ms: shown.close_requested_ms.map(|asked| asked.saturating_add(grace_ms)),
        is_over: shown.finalized,
    });
    let facts = ground.reader.channel(&id)?.unwrap_or_default();
    let vouched = match case.role {
        Role::Seller => facts.voucher.map_or(Amount::ZERO, |(best, _)| best),
        Role::Buyer => facts.ceiling.unwrap_or_default(),
    };
    let ready_ms = view.as_ref().and_then(|view| view.ready_ms);
    Ok((OnLedger { id, shown, ready_ms, vouched }, ledger, view))
}

impl Plan {
    /// For programs; a person is told from the same.
    pub(super) fn told(&self, session: &SessionId) -> Value {
        let Case { role, peer, terms } = &self.case;
        let currency = &terms.currency;
        json!({
            "session": session, "role": role, "peer": peer, "topic": terms.topic,
            "currency": currency.name, "symbol": currency.symbol, "decimals": currency.decimals,
            "method": currency.method, "ledger": currency.ledger, "records": terms.records,
            "channel": self.channel.as_ref().map(OnLedger::told),
            "calls": self.calls.iter().map(Doing::told).collect::<Vec<_>>(),
            "held": self.held,
            "bond": terms.bond.map(|under| json!({ "bond": under.id })),
        })
    }
}

impl OnLedger {
    fn told(&self) -> Value {
        let shown = self.shown.as_ref();
        json!({
            "channel": self.id,
            "vouched": self.vouched,
            "payer": shown.map(|shown| &shown.payer),
            "payee": shown.map(|shown| &shown.payee),
            "deposit": shown.map(|shown| shown.deposit),
            "settled": shown.map(|shown| shown.settled),
            "over": shown.map(|shown| shown.finalized),
            "ready_ms": self.ready_ms,
        })
    }
}

impl Doing {
    fn told(&self) -> Value {
        let call = match &self.call {
            Call::Settle(_) => "settle",
            Call::Close(_) => "close",
            Call::RequestClose(_) => "request_close",
            Call::Withdraw(_) => "withdraw",
            _ => "anchor",
        };
        let (state, cost, tx, why) = match &self.far {
            Far::Planned(Ok(cost)) => ("planned", Some(*cost), None, None),
            Far::Planned(Err(error)) => ("planned", None, None, Some(error.to_string())),
            Far::Written(row) => match &row.state {
                State::Met { evidence } => {
                    ("done", Some(evidence.fee), Some(evidence.tx.clone()), None)
                }
                State::Refused { why } => ("refused", None, None, Some(why.clone())),
                _ => ("owed", None, None, None),
            },
        };
        let reference = match &self.far {
            Far::Written(row) => Some(row.owed.reference),
            Far::Planned(_) => None,
        };
        json!({
            "call": call, "brings": self.brings, "state": state, "cost": cost, "tx": tx,
            "why": why, "reference": reference,
        })
    }
}
