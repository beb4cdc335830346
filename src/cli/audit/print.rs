//! The statement on paper: for people, for programs, for a spreadsheet.

use super::Format;
use crate::audit::{AnchorLine, Approval, Approved, Problem, Remainder, Report, Statement};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use crate::cli::remainders::plain;
use crate::journal::Head;
use crate::message::Moment;
use crate::terms::{Purpose, Role};
use sdpp_ledger::{Amount, PublicKey, Reference, TxId};
use serde::Serialize;

pub(super) fn statements(
    report: &Report,
    format: Format,
    identity: PublicKey,
    head: Head,
) -> Outcome {
    match format {
        Format::Json => report.statements.iter().try_for_each(|one| out::json(&Line::new(one))),
        Format::Csv => csv(&report.statements),
        Format::Table => {
            report.statements.iter().try_for_each(table)?;
            let count = report.statements.len();
            let sessions = if count == 1 { "session" } else { "sessions" };
            out::line(format!("journal of {identity}: {count} {sessions}, {} entries", head.seq))?;
            if report.changes > 0 {
                out::line(format!("{} changes of its channels, told by ledgers", report.changes))?;
            }
            report.approvals.iter().try_for_each(approval)?;
            report.remainders.iter().try_for_each(remainder)?;
            match report.problems.is_empty() {
                true => out::line("nothing is wrong"),
                false => report.problems.iter().try_for_each(|Problem { entry, what, .. }| {
                    out::line(format!("wrong in entry {entry}: {what}"))
                }),
            }
        }
    }
}

fn approval(one: &Approval) -> Outcome {
    let outcome = match &one.outcome {
        Approved::Open => "is on its way".to_owned(),
        Approved::Given(tx) => format!("is given in {tx}"),
        Approved::Refused(why) => format!("is refused: {why}"),
    };
    let Approval { ledger, asset, .. } = one;
    out::line(format!("leave for the escrow on {ledger} to take deposits of {asset} {outcome}"))
}

fn remainder(one: &Remainder) -> Outcome {
    let Remainder { channel, ledger, asset, deposit, left, .. } = one;
    let doing = plain(&one.doing);
    out::line(format!(
        "channel {channel} on {ledger}: {left} of {asset} left of {deposit}, {doing}"
    ))
}

fn table(one: &Statement) -> Outcome {
    let ours = |role| if one.role == role { " (this journal's owner)" } else { "" };
    let money = |amount: Amount| format!("{} {}", amount.to_decimal(one.decimals), one.currency);
    let credited = match one.credit_left {
        Amount::ZERO => money(one.credited),
        left => format!("{}, no window was left for {}", money(one.credited), money(left)),
    };
    let (finals, anchors) = (finals(one), one.anchors.len());
    let records = one.records.as_ref().map_or("no ledger", |ledger| ledger.as_str());
    out::line(format!("session {}", one.session))?;
    let lines = [
        ("state", format!("{}, began {}", one.state.name(), Moment(one.began_ms))),
        ("seller", format!("{}{}", one.seller, ours(Role::Seller))),
        ("buyer", format!("{}{}", one.buyer, ours(Role::Buyer))),
        ("topic", one.topic.clone()),
        ("items", format!("{} invoiced, {} acknowledged", one.items_delivered, one.items_acked)),
        ("windows", format!("{} of at most {} items", one.windows, one.granularity)),
        ("invoiced", money(one.invoiced)),
        ("credited", credited),
        ("paid", format!("{} by {} on {}", money(one.paid), one.method, one.ledger)),
        ("settled", money(one.settled)),
        ("outstanding", money(one.outstanding)),
        ("anchors", format!("{finals}/{anchors} final on {records}")),
    ];
    for (what, value) in lines {
        out::line(format!("  {what:<11}  {value}"))?;
    }
    out::line("")
}

fn csv(statements: &[Statement]) -> Outcome {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error);
    for one in statements {
        writer.serialize(Facts::new(one)).map_err(|error| failed(&error))?;
    }
    if statements.is_empty() {
        return Ok(());
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    out::line(String::from_utf8_lossy(&bytes).trim_end())
}

fn finals(one: &Statement) -> usize {
    one.anchors.iter().filter(|line| line.evidence.is_some()).count()
}

/// What both JSON and CSV say of a session. Scripts rely on the names.
#[derive(Serialize)]
struct Facts<'a> {
    session: String,
    began: Moment,
    role: Role,
    peer: &'a PublicKey,
    seller_key: &'a PublicKey,
    buyer_key: &'a PublicKey,
    topic: &'a str,
    currency: &'a str,
    decimals: u8,
    method: crate::terms::Method,
    ledger: &'a str,
    payee: &'a str,
    records: Option<&'a str>,
    granularity: u32,
    items_delivered: u64,
    items_acked: u64,
    windows: u64,
    invoiced: Amount,
    credited: Amount,
    credit_left: Amount,
    paid: Amount,
    settled: Amount,
    outstanding: Amount,
    state: &'static str,
}

impl<'a> Facts<'a> {
    fn new(one: &'a Statement) -> Self {
        Facts {
            session: one.session.to_string(),
            began: Moment(one.began_ms),
            role: one.role,
            peer: if one.role == Role::Seller { &one.buyer } else { &one.seller },
            seller_key: &one.seller,
            buyer_key: &one.buyer,
            topic: &one.topic,
            currency: &one.currency,
            decimals: one.decimals,
            method: one.method,
            ledger: one.ledger.as_str(),
            payee: one.payee.as_str(),
            records: one.records.as_ref().map(|ledger| ledger.as_str()),
            granularity: one.granularity,
            items_delivered: one.items_delivered,
            items_acked: one.items_acked,
            windows: one.windows,
            invoiced: one.invoiced,
            credited: one.credited,
            credit_left: one.credit_left,
            paid: one.paid,
            settled: one.settled,
            outstanding: one.outstanding,
            state: one.state.name(),
        }
    }
}

/// A session in JSON.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    facts: Facts<'a>,
    settlements: Vec<SettlementLine<'a>>,
    anchors: Vec<Anchored<'a>>,
    problems: Vec<ProblemLine<'a>>,
}

#[derive(Serialize)]
struct SettlementLine<'a> {
    kind: Purpose,
    reference: Reference,
    tx: Option<&'a TxId>,
    amount: Amount,
    finality: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct Anchored<'a> {
    kind: Purpose,
    reference: Reference,
    tx: Option<&'a TxId>,
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
    fn new(one: &'a Statement) -> Self {
        let settlements = one.settlements.iter().map(|line| SettlementLine {
            kind: line.purpose,
            reference: line.reference,
            tx: line.evidence.as_ref().map(|evidence| &evidence.tx),
            amount: line.amount,
            finality: finality(line.evidence.is_some(), line.refused.is_some()),
            why: line.refused.as_deref(),
        });
        let anchors = one.anchors.iter().map(|line: &AnchorLine| Anchored {
            kind: line.purpose,
            reference: line.reference,
            tx: line.evidence.as_ref().map(|evidence| &evidence.tx),
            finality: finality(line.evidence.is_some(), line.refused.is_some()),
            ok: line.ok,
            why: line.refused.as_deref(),
        });
        let problems = one.problems.iter().map(|p| ProblemLine { entry: p.entry, what: &p.what });
        Line {
            facts: Facts::new(one),
            settlements: settlements.collect(),
            anchors: anchors.collect(),
            problems: problems.collect(),
        }
    }
}

fn finality(is_final: bool, is_refused: bool) -> &'static str {
    match (is_final, is_refused) {
        (true, _) => "final",
        (false, true) => "refused",
        (false, false) => "pending",
    }
}
