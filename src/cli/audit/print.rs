//! The statement for people, who need not know what a window or a voucher is.

use super::online::Words;
use super::pick::Names;
use super::{Format, json, sheet};
use crate::audit::{
    Approval, Approved, By, Escrowed, Fees, LegStatement, Money, Problem, Remainder, Report, Seen,
    Span, Statement, Totals,
};
use crate::cli::exit::Outcome;
use crate::cli::out;
use crate::cli::remainders::plain;
use crate::message::{Moment, Paced, legible};
use crate::terms::{Method, Role, Void};
use sdpp_ledger::{Amount, Asset, LedgerId, PublicKey};

/// What is printed, and how.
pub(super) struct Shown<'a> {
    pub(super) report: &'a Report,
    pub(super) identity: PublicKey,
    pub(super) entries: u64,
    pub(super) names: &'a Names,
    /// What the ledgers said of channels, where they were asked.
    pub(super) words: Option<&'a Words>,
    /// Whether a ledger that was to be asked did not answer.
    pub(super) is_part: bool,
    pub(super) span: Span,
    /// JSON: the totals as well.
    pub(super) with_totals: bool,
}

impl Shown<'_> {
    pub(super) fn totals(&self) -> Totals {
        Totals::of(self.report, self.span)
    }
}

pub(super) fn statements(shown: &Shown<'_>, format: Format) -> Outcome {
    match format {
        Format::Json => json::print(shown),
        Format::Csv => sheet::print(shown),
        Format::Table => people(shown),
    }
}

/// A moment's day in UTC.
pub(super) fn day(at_ms: u64) -> String {
    let moment = Moment(at_ms).to_string();
    moment.split('T').next().unwrap_or_default().to_owned()
}

fn people(shown: &Shown<'_>) -> Outcome {
    let Shown { report, identity, entries, .. } = shown;
    report.statements.iter().try_for_each(|one| table(one, shown))?;
    sums(shown)?;
    let count = report.statements.len();
    let sessions = if count == 1 { "session" } else { "sessions" };
    out::line(format!("journal of {identity}: {count} {sessions}, {entries} entries"))?;
    if report.changes > 0 {
        let changes = if report.changes == 1 { "change" } else { "changes" };
        out::line(format!("{} {changes} of its channels, told by ledgers", report.changes))?;
    }
    report.approvals.iter().try_for_each(approval)?;
    report.remainders.iter().try_for_each(remainder)?;
    channels(shown)?;
    match report.problems.is_empty() {
        true if shown.is_part => {
            out::line("nothing is wrong in the journal; what its ledgers hold was not all checked")
        }
        true => out::line("nothing is wrong"),
        false => report.problems.iter().try_for_each(|Problem { entry, what, .. }| {
            out::line(format!("wrong in entry {entry}: {what}"))
        }),
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

/// The channels that their ledgers were asked for, and do not tell the same of.
fn channels(shown: &Shown<'_>) -> Outcome {
    let Some(words) = shown.words else { return Ok(()) };
    let mut agree = 0;
    for (place, Escrowed { channel, ledger, .. }) in shown.report.escrowed.iter().enumerate() {
        match words.channels.get(&place) {
            Some((_, Seen::Agrees)) => agree += 1,
            Some((_, Seen::Ahead(what))) => {
                out::line(format!("channel {channel}: {ledger} knows more by now: {what}"))?;
            }
            // That one is among what is wrong, or could not be asked, which is said too.
            Some((_, Seen::Differs(_))) | None => {}
        }
    }
    match agree {
        0 => Ok(()),
        1 => out::line("1 channel stands on its ledger as it does here"),
        agree => out::line(format!("{agree} channels stand on their ledgers as they do here")),
    }
}

fn table(one: &Statement, shown: &Shown<'_>) -> Outcome {
    let side = |role, key: &PublicKey| match one.role == role {
        true => format!("{key} (this journal's owner)"),
        false => shown
            .names
            .name(&key.to_string())
            .map_or(key.to_string(), |name| format!("{key} ({name})")),
    };
    out::line(format!("session {}", one.session))?;
    let mut lines = vec![
        ("state", format!("{}, began {}", one.state.name(), Moment(one.began_ms))),
        ("seller", side(Role::Seller, &one.seller)),
        ("buyer", side(Role::Buyer, &one.buyer)),
        ("topic", legible(&one.topic)),
        ("items", format!("{} invoiced, {} acknowledged", one.items_delivered, one.items_acked)),
        ("void", voids(one)),
        ("dataset", dataset(one)),
        ("windows", windows(one)),
    ];
    for (place, leg) in one.legs().enumerate() {
        if one.has_legs() {
            lines.push((LEG, which(place, leg, one.voids.is_empty())));
        }
        lines.extend([
            ("signed for", acknowledged(leg)),
            ("invoiced", money(leg, leg.invoiced)),
            ("credited", credited(leg)),
            ("paid", format!("{} by {} on {}", money(leg, leg.paid), leg.method, leg.ledger)),
            ("settled", money(leg, leg.settled)),
            ("outstanding", money(leg, leg.outstanding)),
        ]);
    }
    lines.extend([("rates", unrated(one)), ("anchors", anchors(one)), ("fees", fees(one))]);
    let mut indent = "";
    for (what, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        // What is said of a leg stands under it.
        indent = match *what {
            LEG => "",
            "signed for" if one.has_legs() => "  ",
            "rates" | "anchors" => "",
            _ => indent,
        };
        out::line(format!("  {indent}{what:<11}  {value}"))?;
    }
    if one.pruned > 0 {
        let (what, count) = ("pruned", one.pruned);
        out::line(format!(
            "  {what:<11}  the payload of {count} entries: their signatures, amounts and roots hold, \
             what else they said and their items' leaves could not be checked again"
        ))?;
    }
    out::line("")
}

/// Stands before what is said of a leg.
const LEG: &str = "leg";

/// Which leg: its items, and what they are paid in.
fn which(place: usize, leg: &LegStatement, runs_on: bool) -> String {
    let (nth, from_seq) = (place + 1, leg.from_seq);
    let in_what = format!("in {} by {} on {}", legible(&leg.currency), leg.method, leg.ledger);
    match leg.items_delivered {
        0 => format!("{nth}: from item {from_seq}, {in_what}"),
        items if !runs_on => format!("{nth}: {items} items from item {from_seq} on, {in_what}"),
        items => format!("{nth}: items {from_seq} to {}, {in_what}", from_seq + (items - 1)),
    }
}

fn money(leg: &LegStatement, amount: Amount) -> String {
    format!("{} {}", amount.to_decimal(leg.decimals), legible(&leg.currency))
}

/// What the seller lost; nothing where it lost nothing.
fn voids(one: &Statement) -> String {
    let places = |void: &Void| format!("items {} to {}", void.from_seq, void.to_seq);
    match one.voids.is_empty() {
        true => String::new(),
        false => {
            let places: Vec<String> = one.voids.iter().map(places).collect();
            format!("{} (the seller was started anew; not billed)", places.join(", "))
        }
    }
}

/// What the menu named, and what was not of it; nothing where it named nothing.
fn dataset(one: &Statement) -> String {
    let Some(root) = one.dataset else { return String::new() };
    match one.strays.as_slice() {
        [] => root.to_string(),
        strays => {
            let items: Vec<String> = strays.iter().map(|seq| format!("item {seq}")).collect();
            format!("{root}; NOT of it, and not taken: {}", items.join(", "))
        }
    }
}

fn windows(one: &Statement) -> String {
    let bare = one.windows.saturating_sub(one.windows_recomputed);
    let mut windows = format!("{} of at most {} items", one.windows, one.granularity);
    for Paced { from_seq, change, .. } in &one.paces {
        let (granularity, why) = (change.pace.granularity, change.why);
        windows.push_str(&format!(", {granularity} from item {from_seq} on ({why})"));
    }
    match bare {
        0 => windows,
        bare => format!("{windows}; {bare} without the leaves to compute its digest from again"),
    }
}

/// Nothing where each invoice in another currency than prices says the rate.
fn unrated(one: &Statement) -> String {
    match one.unrated {
        0 => String::new(),
        1 => "1 invoice does not say at which rate it is counted".to_owned(),
        count => format!("{count} invoices do not say at which rate they are counted"),
    }
}

/// What the buyer's signature says arrived: the part of it that no invoice asks for is owed all
/// the same, and without an invoice nobody is asked for it.
fn acknowledged(leg: &LegStatement) -> String {
    let money = |amount| money(leg, amount);
    let (more, items) = (leg.acked_not_invoiced(), leg.items_acked);
    let worth = format!("{} worth of items by the buyer", money(leg.acked_amount));
    if more == Amount::ZERO {
        return worth;
    }
    let items = items.saturating_sub(leg.items_delivered);
    let paid = match leg.method == Method::Escrow && leg.paid >= leg.acked_amount {
        true => ", and vouched",
        false => "",
    };
    format!("{worth}, of which {} ({items} items) is not invoiced{paid}", money(more))
}

/// Nothing where nothing was.
fn credited(leg: &LegStatement) -> String {
    let money = |amount| money(leg, amount);
    match (leg.credited, leg.credit_left) {
        (Amount::ZERO, _) => String::new(),
        (sum, Amount::ZERO) => money(sum),
        (sum, left) => format!("{}, no window was left for {}", money(sum), money(left)),
    }
}

fn anchors(one: &Statement) -> String {
    let finals = one.anchors.iter().filter(|line| line.evidence.is_some()).count();
    let records = one.records.as_ref().map_or("no ledger", |ledger| ledger.as_str());
    format!("{finals}/{} final on {records}", one.anchors.len())
}

fn fees(one: &Statement) -> String {
    let all = one.fees();
    let some = all.iter().filter(|(_, fees)| !fees.is_nothing());
    some.map(|(ledger, fees)| coins(ledger, fees)).collect::<Vec<_>>().join("; ")
}

/// Fees, in the smallest unit of the ledger's own coin: how many of them make a whole one is not in
/// the journal.
fn coins(ledger: &LedgerId, fees: &Fees) -> String {
    let paid = format!("{} of the coin's smallest unit on {ledger}", whole(fees.fee));
    match fees.rebate {
        Some(Amount::ZERO) => paid,
        rebate => format!("{paid}, after {} given back", whole(rebate)),
    }
}

fn whole(sum: Option<Amount>) -> String {
    sum.map_or("more than 128 bits".to_owned(), |sum| sum.to_string())
}

/// The totals, where there is more than one session to sum over.
fn sums(shown: &Shown<'_>) -> Outcome {
    let totals = shown.totals();
    if shown.report.statements.len() < 2 && !shown.with_totals {
        return Ok(());
    }
    let heading = ["totals by", "", "", "sessions", "items", "invoiced", "settled", "in"];
    let mut rows = vec![heading.map(str::to_owned)];
    for ((by, money), sums) in &totals.money {
        let (kind, of) = label(by, shown.names);
        let amount =
            |sum: Option<Amount>| sum.map_or(whole(None), |sum| sum.to_decimal(money.decimals));
        rows.push([
            kind.to_owned(),
            of,
            if money.is_income { "sold" } else { "bought" }.to_owned(),
            sums.sessions.to_string(),
            sums.items.to_string(),
            amount(sums.invoiced),
            amount(sums.settled),
            format!("{} ({} on {})", legible(&money.name), money.asset, money.ledger),
        ]);
    }
    out::table(&rows)?;
    for ((by, ledger), fees) in &totals.fees {
        if *by == By::Currency && !fees.is_nothing() {
            out::line(format!("our fees in all: {}", in_coin(&totals, ledger, fees)))?;
        }
    }
    out::line("")
}

/// The same in whole coins where a session was paid in the ledger's own, as its decimals stand there.
fn in_coin(totals: &Totals, ledger: &LedgerId, fees: &Fees) -> String {
    let is_coin = |money: &&Money| money.ledger == *ledger && money.asset == Asset::coin();
    let coin = totals.money.keys().map(|(_, money)| money).find(is_coin);
    let (Some(coin), Some(fee), Some(rebate)) = (coin, fees.fee, fees.rebate) else {
        return coins(ledger, fees);
    };
    let text =
        |amount: Amount| format!("{} {}", amount.to_decimal(coin.decimals), legible(&coin.name));
    let paid = format!("{} on {ledger}", text(fee));
    if rebate.is_zero() { paid } else { format!("{paid}, after {} given back", text(rebate)) }
}

fn label(by: &By, names: &Names) -> (&'static str, String) {
    match by {
        By::Peer(key) => ("peer", names.name(key).unwrap_or(key).to_owned()),
        By::Topic(topic) => ("topic", legible(topic)),
        By::Currency => ("currency", String::new()),
        By::Day(at_ms) => ("day", day(*at_ms)),
    }
}
