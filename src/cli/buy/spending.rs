//! What may be spent: the config's currencies in their order, as they are paid in here, and how much
//! of each at most, in one session and in one day.

use super::Buy;
use crate::actors::now_ms;
use crate::audit::{OfSession, Spent, day_began_ms};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::config::{Buyer as BuyerConfig, Config, Spending};
use crate::journal::{Answer, Entry, Query};
use crate::record::Record;
use crate::session::{ChannelPlan, PinnedCurrency};
use crate::terms::SessionId;
use sdpp_ledger::{Amount, Ledger};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many entries are read at once.
const ENTRIES: usize = 64;

/// What may be spent, in order of preference.
pub(super) fn spending<'a>(ask: &Buy, buyer: &'a BuyerConfig) -> Outcome<Vec<&'a Spending>> {
    let wanted =
        |spending: &&Spending| ask.currency.as_ref().is_none_or(|c| *c == spending.currency);
    let spending: Vec<&Spending> = buyer.currencies.iter().filter(wanted).collect();
    let known =
        || buyer.currencies.iter().map(|s| s.currency.as_str()).collect::<Vec<_>>().join(", ");
    if spending.is_empty() {
        let known = known();
        let why = format!("the config has no such currency to spend: name one of {known}");
        return Err(Failure::usage(why));
    }
    if ask.max_total.is_some() && spending.len() > 1 {
        let why = format!("--max-total of what? Name one of {} with --currency", known());
        return Err(Failure::usage(why));
    }
    Ok(spending)
}

/// Our currencies as a session holds a menu against them, each by each of its methods.
pub(in crate::cli) fn pinned<'a>(
    config: &Config,
    spending: &[&Spending],
    ledger: impl Fn(&str) -> Option<&'a Arc<dyn Ledger>>,
) -> Outcome<Vec<PinnedCurrency>> {
    let mut pinned = Vec::new();
    for spending in spending {
        let Some(currency) = config.currencies.get(&spending.currency) else { continue };
        let Some(ledger) = ledger(&currency.ledger) else { continue };
        for method in &currency.methods {
            pinned.push(PinnedCurrency {
                name: spending.currency.clone(),
                ledger: ledger.id().clone(),
                asset: currency.asset.clone(),
                symbol: currency.symbol.clone(),
                decimals: currency.decimals,
                method: *method,
                account: ledger.account().clone(),
                max_total: None,
                channels: ChannelPlan {
                    deposit: spending.deposit.unwrap_or_default(),
                    top_up_below: spending.top_up_below,
                    keep: spending.keep_channel,
                },
            });
        }
    }
    Ok(pinned)
}

/// The most that this session may cost in each of our currencies: what the config has for a session,
/// and no more than what is left of the day's.
pub(super) fn limit(pinned: &mut [PinnedCurrency], spending: &[&Spending], spent: &Spent) {
    for one in pinned {
        let Some(of) = spending.iter().find(|of| of.currency == one.name) else { continue };
        let left = left_today(of, spent.of(&one.ledger, &one.asset));
        if let Some(left) = left.filter(|left| *left < of.max_total) {
            let (currency, left) = (&one.name, left.to_decimal(one.decimals));
            tracing::warn!("{left} {currency} may still be spent today (UTC)");
        }
        one.max_total = Some(left.map_or(of.max_total, |left| left.min(of.max_total)));
    }
}

/// What may still be spent today in a currency of which so much was; `None` for no end.
pub(super) fn left_today(of: &Spending, spent: Amount) -> Option<Amount> {
    of.max_per_day.map(|most| most.saturating_sub(spent))
}

/// What was spent since midnight (UTC), as the journal has it, but in one session. Nothing is read where
/// no day has a ceiling.
pub(super) fn spent_today(
    spending: &[&Spending],
    but: Option<SessionId>,
    mut ask: impl FnMut(&Query) -> Outcome<Answer>,
) -> Outcome<Spent> {
    let since_ms = day_began_ms(now_ms());
    let mut spent = Spent::since(since_ms);
    if spending.iter().all(|one| one.max_per_day.is_none()) {
        return Ok(spent);
    }
    let sessions = sessions_since(since_ms, &mut ask)?;
    for session in sessions.into_iter().filter(|session| Some(*session) != but) {
        let (mut after, mut of_session) = (0, OfSession::default());
        loop {
            let page = entries(&mut ask, Some(session), after)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            let taken = page.iter().try_for_each(|entry| spent.take(&mut of_session, entry));
            taken.map_err(|why| {
                Failure::new(
                    Exit::Failed,
                    format!(
                        "what was spent today (UTC) cannot be counted for max_per_day: session \
                         {session}: {why}. Until midnight only a currency without max_per_day can \
                         be paid in: name it with --currency"
                    ),
                )
            })?;
        }
    }
    Ok(spent)
}

/// The sessions that were invoiced since then, or ended with vouchers: the journal is read from its end.
fn sessions_since(
    since_ms: u64,
    ask: &mut impl FnMut(&Query) -> Outcome<Answer>,
) -> Outcome<BTreeSet<SessionId>> {
    let Answer::Counts { counts, .. } = ask(&Query::Counts)? else { return Err(misfit()) };
    let (mut sessions, mut end) = (BTreeSet::new(), counts.head.seq);
    while end > 0 {
        let before = end.saturating_sub(ENTRIES as u64);
        let page = entries(ask, None, before)?;
        for entry in page.iter().filter(|entry| entry.seq <= end && entry.at_ms >= since_ms) {
            if let Record::Invoice { .. } | Record::Spent { .. } = entry.record {
                sessions.extend(entry.session);
            }
        }
        if page.first().is_none_or(|first| first.at_ms < since_ms) {
            break;
        }
        end = match page.first().map(|first| &first.record) {
            // Between a backup's last entry and the first since it was restored there is none.
            Some(Record::Restored { after_seq, .. }) => *after_seq,
            _ => before,
        };
    }
    Ok(sessions)
}

fn entries(
    ask: &mut impl FnMut(&Query) -> Outcome<Answer>,
    session: Option<SessionId>,
    after: u64,
) -> Outcome<Vec<Entry>> {
    match ask(&Query::Entries { session, after, limit: ENTRIES })? {
        Answer::Entries { entries } => Ok(entries),
        _ => Err(misfit()),
    }
}

fn misfit() -> Failure {
    Failure::new(Exit::Failed, "the journal answered another question")
}
