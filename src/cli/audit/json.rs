//! The statement for programs: one object for each session, one a line. Scripts rely on the names.

use super::online::Words;
use super::print::Shown;
use crate::audit::{By, Escrowed, Fees, LegStatement, Seen, Statement, Sums, Told};
use crate::cli::exit::Outcome;
use crate::cli::out;
use crate::message::{Moment, PaceChange, Paced};
use crate::terms::{Method, Purpose, Rate, Role};
use sdpp_ledger::{Amount, Channel, ChannelId, Digest, PublicKey, Reference, TxId};
use serde::Serialize;
use serde_json::{Value, json};

/// Prints all sessions and, where they are asked for, the totals.
pub(super) fn print(shown: &Shown<'_>) -> Outcome {
    let sessions = &shown.report.statements;
    sessions.iter().try_for_each(|one| out::json(&Line::new(one, shown)))?;
    match shown.with_totals {
        true => out::json(&totals(shown)),
        false => Ok(()),
    }
}

/// A session. What its keys say of a currency and of amounts is said of its last leg; most sessions have
/// one. `legs` has all of them.
#[derive(Serialize)]
struct Line<'a> {
    session: String,
    began: Moment,
    role: Role,
    peer: &'a PublicKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_name: Option<&'a str>,
    seller_key: &'a PublicKey,
    buyer_key: &'a PublicKey,
    topic: &'a str,
    currency: &'a str,
    decimals: u8,
    method: Method,
    ledger: &'a str,
    asset: &'a str,
    payee: &'a str,
    records: Option<&'a str>,
    granularity: u32,
    /// The pace where it was changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paces: Vec<PaceLine>,
    items_delivered: u64,
    items_acked: u64,
    /// Places that hold no item, each from one item to another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    voids: Vec<[u64; 2]>,
    /// The root of the dataset that the menu named.
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<Digest>,
    /// The items that were not of it, and were not taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    strays: Vec<u64>,
    acked_amount: Amount,
    acked_not_invoiced: Amount,
    windows: u64,
    windows_recomputed: u64,
    invoiced: Amount,
    credited: Amount,
    credit_left: Amount,
    paid: Amount,
    settled: Amount,
    outstanding: Amount,
    legs: Vec<LegLine<'a>>,
    /// How many invoices in another currency than prices do not say the rate.
    #[serde(skip_serializing_if = "is_none")]
    invoices_without_rate: u64,
    state: &'static str,
    fees: Vec<FeeLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelLine<'a>>,
    ledgers_asked: bool,
    settlements: Vec<SettlementLine<'a>>,
    anchors: Vec<Anchored<'a>>,
    /// How many entries have lost their payload.
    pruned: u64,
    problems: Vec<ProblemLine<'a>>,
}

/// A leg. Its amounts are in its own currency's smallest unit.
#[derive(Serialize)]
struct LegLine<'a> {
    from_seq: u64,
    currency: &'a str,
    decimals: u8,
    method: Method,
    ledger: &'a str,
    asset: &'a str,
    payee: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelId>,
    price: Amount,
    rate: Rate,
    items_delivered: u64,
    items_acked: u64,
    acked_amount: Amount,
    acked_not_invoiced: Amount,
    windows: u64,
    invoiced: Amount,
    credited: Amount,
    credit_left: Amount,
    paid: Amount,
    settled: Amount,
    outstanding: Amount,
}

#[derive(Serialize)]
struct PaceLine {
    from_seq: u64,
    amend: u64,
    #[serde(flatten)]
    change: PaceChange,
}

#[derive(Serialize)]
struct FeeLine {
    ledger: String,
    amount: Option<Amount>,
    #[serde(skip_serializing_if = "is_none_back")]
    rebate: Option<Amount>,
}

#[derive(Serialize)]
struct ChannelLine<'a> {
    channel: ChannelId,
    deposit: Option<Amount>,
    settled: Amount,
    vouched: Amount,
    closing: bool,
    over: bool,
    /// What its ledger says, where it was asked.
    there: Option<&'a Channel>,
    /// `agrees`, `ahead`, `differs`, or `not_asked`.
    said: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'a str>,
}

#[derive(Serialize)]
struct SettlementLine<'a> {
    kind: Purpose,
    reference: Reference,
    tx: Option<&'a TxId>,
    amount: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Amount>,
    #[serde(skip_serializing_if = "Amount::is_zero")]
    rebate: Amount,
    finality: &'static str,
    /// The place of its leg in `legs`, where there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    leg: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct Anchored<'a> {
    kind: Purpose,
    reference: Reference,
    tx: Option<&'a TxId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Amount>,
    #[serde(skip_serializing_if = "Amount::is_zero")]
    rebate: Amount,
    finality: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct ProblemLine<'a> {
    entry: u64,
    what: &'a str,
}

impl<'a> Line<'a> {
    fn new(one: &'a Statement, shown: &'a Shown<'_>) -> Self {
        let fees = one.fees().into_iter().map(|(ledger, Fees { fee, rebate })| FeeLine {
            ledger: ledger.to_string(),
            amount: fee,
            rebate,
        });
        let problems = one.problems.iter().map(|p| ProblemLine { entry: p.entry, what: &p.what });
        let last = &one.last;
        Line {
            session: one.session.to_string(),
            began: Moment(one.began_ms),
            role: one.role,
            peer: one.peer(),
            peer_name: shown.names.name(&one.peer().to_string()),
            seller_key: &one.seller,
            buyer_key: &one.buyer,
            topic: &one.topic,
            currency: &last.currency,
            decimals: last.decimals,
            method: last.method,
            ledger: last.ledger.as_str(),
            asset: last.asset.as_str(),
            payee: last.payee.as_str(),
            records: one.records.as_ref().map(|ledger| ledger.as_str()),
            granularity: one.granularity,
            paces: one.paces.iter().map(PaceLine::new).collect(),
            items_delivered: one.items_delivered,
            items_acked: one.items_acked,
            voids: one.voids.iter().map(|void| [void.from_seq, void.to_seq]).collect(),
            dataset: one.dataset,
            strays: one.strays.clone(),
            acked_amount: last.acked_amount,
            acked_not_invoiced: last.acked_not_invoiced(),
            windows: one.windows,
            windows_recomputed: one.windows_recomputed,
            invoiced: last.invoiced,
            credited: last.credited,
            credit_left: last.credit_left,
            paid: last.paid,
            settled: last.settled,
            outstanding: last.outstanding,
            legs: one.legs().map(LegLine::new).collect(),
            invoices_without_rate: one.unrated,
            state: one.state.name(),
            fees: fees.collect(),
            channel: ChannelLine::of(one, shown),
            ledgers_asked: shown.words.is_some(),
            settlements: settlements(one),
            anchors: anchors(one),
            pruned: one.pruned,
            problems: problems.collect(),
        }
    }
}

impl PaceLine {
    fn new(paced: &Paced) -> Self {
        let Paced { from_seq, amend, change } = *paced;
        PaceLine { from_seq, amend, change }
    }
}

impl<'a> LegLine<'a> {
    fn new(leg: &'a LegStatement) -> Self {
        LegLine {
            from_seq: leg.from_seq,
            currency: &leg.currency,
            decimals: leg.decimals,
            method: leg.method,
            ledger: leg.ledger.as_str(),
            asset: leg.asset.as_str(),
            payee: leg.payee.as_str(),
            channel: leg.escrow.map(|escrow| escrow.channel),
            price: leg.price,
            rate: leg.rate,
            items_delivered: leg.items_delivered,
            items_acked: leg.items_acked,
            acked_amount: leg.acked_amount,
            acked_not_invoiced: leg.acked_not_invoiced(),
            windows: leg.invoices.len() as u64,
            invoiced: leg.invoiced,
            credited: leg.credited,
            credit_left: leg.credit_left,
            paid: leg.paid,
            settled: leg.settled,
            outstanding: leg.outstanding,
        }
    }
}

impl<'a> ChannelLine<'a> {
    fn of(one: &Statement, shown: &'a Shown<'_>) -> Option<Self> {
        let on = one.last.escrow?;
        let mut channels = shown.report.escrowed.iter().enumerate();
        let (place, known) = channels.find(|(_, known)| known.channel == on.channel)?;
        let Escrowed { channel, deposit, settled, vouched, is_closing, is_over, .. } = known;
        let word = word(shown.words, place);
        let (said, what) = match word.map(|(_, seen)| seen) {
            None => ("not_asked", None),
            Some(Seen::Agrees) => ("agrees", None),
            Some(Seen::Ahead(what)) => ("ahead", Some(what.as_str())),
            Some(Seen::Differs(what)) => ("differs", Some(what.as_str())),
        };
        Some(ChannelLine {
            channel: *channel,
            deposit: *deposit,
            settled: *settled,
            vouched: *vouched,
            closing: *is_closing,
            over: *is_over,
            there: word.and_then(|(there, _)| there.as_ref()),
            said,
            what,
        })
    }
}

/// What a ledger said of a channel, by its place among the report's.
fn word(words: Option<&Words>, place: usize) -> Option<&(Option<Channel>, Seen)> {
    words?.channels.get(&place)
}

fn settlements(one: &Statement) -> Vec<SettlementLine<'_>> {
    let line = one.settlements.iter().map(|line| SettlementLine {
        kind: line.purpose,
        reference: line.reference,
        tx: line.evidence.as_ref().map(|told| &told.tx),
        amount: line.amount,
        fee: line.evidence.as_ref().and_then(|told| told.fee),
        rebate: line.evidence.as_ref().map_or(Amount::ZERO, |told| told.rebate),
        finality: finality(line.evidence.as_ref(), line.refused.is_some()),
        leg: one.has_legs().then_some(line.leg),
        why: line.refused.as_deref(),
    });
    line.collect()
}

fn anchors(one: &Statement) -> Vec<Anchored<'_>> {
    let line = one.anchors.iter().map(|line| Anchored {
        kind: line.purpose,
        reference: line.reference,
        tx: line.evidence.as_ref().map(|told| &told.tx),
        fee: line.evidence.as_ref().and_then(|told| told.fee),
        rebate: line.evidence.as_ref().map_or(Amount::ZERO, |told| told.rebate),
        finality: finality(line.evidence.as_ref(), line.refused.is_some()),
        ok: line.ok,
        why: line.refused.as_deref(),
    });
    line.collect()
}

fn finality(told: Option<&Told>, is_refused: bool) -> &'static str {
    match (told, is_refused) {
        (Some(_), _) => "final",
        (None, true) => "refused",
        (None, false) => "pending",
    }
}

/// The last line, where it is asked for: an object with `totals` alone.
fn totals(shown: &Shown<'_>) -> Value {
    let totals = shown.totals();
    let money = totals.money.iter().map(|((by, money), sums)| {
        let Sums { sessions, items, invoiced, settled } = sums;
        let (kind, value) = labels(by);
        json!({
            "by": kind, "of": value, "direction": if money.is_income { "income" } else { "spent" },
            "currency": money.name, "decimals": money.decimals, "ledger": money.ledger,
            "asset": money.asset, "sessions": sessions, "items": items,
            "invoiced": invoiced, "settled": settled,
        })
    });
    let fees = totals.fees.iter().map(|((by, ledger), Fees { fee, rebate })| {
        let (kind, value) = labels(by);
        let mut line = json!({ "by": kind, "of": value, "ledger": ledger, "fee": fee });
        if !is_none_back(rebate) {
            line["rebate"] = json!(rebate);
        }
        line
    });
    let (money, fees): (Vec<Value>, Vec<Value>) = (money.collect(), fees.collect());
    json!({ "totals": { "money": money, "fees": fees } })
}

/// Most ledgers give nothing back, and their lines say nothing of it.
fn is_none_back(rebate: &Option<Amount>) -> bool {
    *rebate == Some(Amount::ZERO)
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What is summed over, and which of them: a peer by its key, a day as `2026-01-31`.
fn labels(by: &By) -> (&'static str, Option<String>) {
    match by {
        By::Peer(key) => ("peer", Some(key.clone())),
        By::Topic(topic) => ("topic", Some(topic.clone())),
        By::Currency => ("currency", None),
        By::Day(at_ms) => ("day", Some(super::print::day(*at_ms))),
    }
}
