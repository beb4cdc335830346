//! `sdpp ledger policy explain`: what was decided about vouchers in hand and about invoices that are
//! held back to be paid together, with its figures, and what would be decided now.

use crate::actors::now_ms;
use crate::cli::book::Where;
use crate::cli::exit::Outcome;
use crate::cli::out;
use crate::journal::entry::Entry;
use crate::message::{DataInvoice, Moment, reread};
use crate::record::{Act, Record, SignedMessage};
use crate::settling::{Hand, Policy, Why};
use crate::terms::SessionId;
use clap::{Args, Subcommand};
use sdpp_ledger::{Amount, Call, ChangeKind, ChannelId, LedgerId};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

/// How many decisions are told of each currency.
const TOLD_MAX: usize = 10;

/// When vouchers in hand are redeemed before their session ends, and invoices paid that one transfer
/// may pay together.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger policy explain --journal seller-journal")]
pub(super) struct SettlingPolicy {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Explain(Explain),
}

/// Tell what was decided last, by which figures, and what would be decided now. Asks no ledger: a fee
/// is as it was told last.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp ledger policy explain --journal seller-journal --currency ETH"
)]
struct Explain {
    #[command(flatten)]
    place: Where,
    /// Of this currency alone.
    #[arg(long, value_name = "NAME")]
    currency: Option<String>,
    /// Answer with JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// One decision.
#[derive(Debug, Clone, Serialize)]
struct Decided {
    at: Moment,
    /// Whether this would be decided now, and is not written.
    is_foreseen: bool,
    currency: String,
    ledger: LedgerId,
    #[serde(flatten)]
    what: What,
    settles: bool,
    why: Why,
    hand: Hand,
    policy: Policy,
}

/// What is decided about.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum What {
    /// The vouchers on a channel.
    Vouchers { channel: ChannelId },
    /// A session's invoices, from the first to the last of them.
    Invoices { session: SessionId, from: u64, number: u64 },
}

/// A channel as the journal's entries tell it.
#[derive(Default)]
struct Told {
    best: Amount,
    /// Redeemed or owed to be, or paid out.
    redeemed: Amount,
    /// Since when more is in hand, in milliseconds since 1970 UTC.
    since_ms: u64,
    last: Option<Decided>,
}

/// What all entries tell.
#[derive(Default)]
struct Fold {
    channels: BTreeMap<ChannelId, Told>,
    /// What was decided last of invoices that are held back.
    held: BTreeMap<SessionId, Decided>,
    decided: BTreeMap<String, VecDeque<Decided>>,
}

impl SettlingPolicy {
    pub(super) fn run(self) -> Outcome {
        match self.verb {
            Verb::Explain(explain) => explain.run(),
        }
    }
}

impl Explain {
    fn run(self) -> Outcome {
        let (mut book, mut fold) = (self.place.open()?, Fold::default());
        book.each_entry(None, 0, u64::MAX, |entry| {
            fold.take(entry);
            Ok(())
        })?;
        let mut told = 0_usize;
        for decided in fold.tell(now_ms()) {
            if self.currency.as_ref().is_none_or(|name| *name == decided.currency) {
                told += 1;
                self.print(&decided)?;
            }
        }
        if told == 0 && !self.json {
            let nothing = "nothing was decided: vouchers are redeemed when their session ends, and \
                           invoices paid one by one, unless [settlement] says more";
            out::line(format_args!("{nothing}"))?;
        }
        Ok(())
    }

    fn print(&self, decided: &Decided) -> Outcome {
        match self.json {
            true => out::json(decided),
            false => out::line(format_args!("{decided}")),
        }
    }
}

impl Fold {
    fn take(&mut self, entry: Entry) {
        let (at_ms, record) = (entry.at_ms, entry.record);
        if let Some(Act::Do(Call::Settle(redeem) | Call::Close(redeem))) =
            record.owed().map(|owed| &owed.act)
        {
            self.channels.entry(redeem.channel).or_default().redeem(redeem.amount, at_ms);
        }
        match record {
            Record::Voucher { channel, amount, .. } => {
                let told = self.channels.entry(channel).or_default();
                if told.best <= told.redeemed {
                    told.since_ms = at_ms;
                }
                told.best = told.best.max(amount);
            }
            Record::ChannelChange { change, .. } => {
                if let ChangeKind::Settled { settled } | ChangeKind::Closed { settled } =
                    change.kind
                {
                    let told = self.channels.entry(change.channel).or_default();
                    told.redeem(settled, at_ms);
                }
            }
            Record::Settling { channel, ledger, currency, why, hand, policy } => {
                let (at, settles, is_foreseen) = (Moment(at_ms), why.is_now(), false);
                let what = What::Vouchers { channel };
                let decided =
                    Decided { at, is_foreseen, currency, ledger, what, settles, why, hand, policy };
                self.channels.entry(channel).or_default().last = Some(decided.clone());
                self.decide(decided);
            }
            Record::Gathering { from, number, ledger, currency, why, hand, policy, .. } => {
                let Some(session) = entry.session else { return };
                let (at, settles, is_foreseen) = (Moment(at_ms), why.is_now(), false);
                let what = What::Invoices { session, from, number };
                let decided =
                    Decided { at, is_foreseen, currency, ledger, what, settles, why, hand, policy };
                match settles {
                    true => drop(self.held.remove(&session)),
                    false => drop(self.held.insert(session, decided.clone())),
                }
                self.decide(decided);
            }
            Record::Invoice { message, .. } => self.grow(entry.session, &message),
            Record::Ended { .. } => {
                entry.session.and_then(|session| self.held.remove(&session));
            }
            _ => {}
        }
    }

    fn decide(&mut self, decided: Decided) {
        let all = self.decided.entry(decided.currency.clone()).or_default();
        all.push_back(decided);
        if all.len() > TOLD_MAX {
            all.pop_front();
        }
    }

    /// One more invoice is held back.
    fn grow(&mut self, session: Option<SessionId>, invoice: &SignedMessage) {
        let held = session.and_then(|session| self.held.get_mut(&session));
        let words = held.and_then(|held| Some((held, reread::<DataInvoice>(invoice).ok()?)));
        if let Some((Decided { what: What::Invoices { number, .. }, hand, .. }, words)) = words {
            *number = words.invoice.number;
            let more = hand.value.checked_add(words.invoice.amount);
            hand.value = more.unwrap_or(hand.value);
        }
    }

    /// By currency: what was decided, the oldest first, and what would be now.
    fn tell(self, now_ms: u64) -> Vec<Decided> {
        let Fold { channels, held, decided } = self;
        let vouched = channels.into_values().filter_map(|told| told.foresee(now_ms));
        let held = held.into_values().map(|held| held.foreseen(now_ms));
        let foreseen: Vec<Decided> = vouched.chain(held).collect();
        let of = |(currency, all): (String, VecDeque<Decided>)| {
            let now: Vec<_> = foreseen.iter().filter(|one| one.currency == currency).collect();
            all.into_iter().chain(now.into_iter().cloned()).collect::<Vec<_>>()
        };
        decided.into_iter().flat_map(of).collect()
    }
}

impl Told {
    fn redeem(&mut self, amount: Amount, at_ms: u64) {
        self.redeemed = self.redeemed.max(amount);
        self.since_ms = at_ms;
    }

    /// What would be decided of what is in hand.
    fn foresee(self, now_ms: u64) -> Option<Decided> {
        let last = self.last?;
        let value = self.best.checked_sub(self.redeemed).filter(|value| !value.is_zero())?;
        let (since_ms, fee) = (self.since_ms, last.hand.fee);
        let hand = Hand { value, since_ms, fee, latest_ms: None };
        Some(Decided { hand, ..last }.foreseen(now_ms))
    }
}

impl Decided {
    /// What would be decided of it.
    fn foreseen(self, now_ms: u64) -> Decided {
        let why = self.policy.decide(&self.hand, now_ms);
        let (at, is_foreseen, settles) = (Moment(now_ms), true, why.is_now());
        Decided { at, is_foreseen, settles, why, ..self }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Vouchers { channel } => write!(f, "in hand on {channel}"),
            What::Invoices { session, from, number } if from == number => {
                write!(f, "asked for by invoice {number} of session {session}")
            }
            What::Invoices { session, from, number } => {
                write!(f, "asked for by invoices {from} to {number} of session {session}")
            }
        }
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decided { at, currency, ledger, what, why, hand, policy, .. } = self;
        let when = if self.is_foreseen { "now".to_owned() } else { at.to_string() };
        let (done, doing) = match what {
            What::Vouchers { .. } => ("redeemed", "redeeming"),
            What::Invoices { .. } => ("paid", "paying"),
        };
        let said = match (self.is_foreseen, self.settles) {
            (false, true) => "",
            (false, false) => "not ",
            (true, true) => "would be ",
            (true, false) => "would not be ",
        };
        writeln!(f, "{currency}  {when}  {said}{done}: {}", why.told())?;
        let Hand { value, since_ms, fee, .. } = hand;
        let age = Duration::from_secs(at.0.saturating_sub(*since_ms) / 1_000);
        let age = humantime::format_duration(age);
        writeln!(f, "  {value} of its smallest unit {what} for {age}, on {ledger}")?;
        match fee {
            Some(fee) => writeln!(f, "  {doing} it costs {fee} of the same unit")?,
            None => writeln!(f, "  what {doing} it costs is not known")?,
        }
        write!(f, "  {done}")?;
        if let Some(permille) = policy.fee_below_permille {
            write!(f, " when that is below {permille} permille of it,")?;
        }
        if let Some(age_ms) = policy.age_ms {
            let age = Duration::from_millis(age_ms);
            write!(f, " after {},", humantime::format_duration(age))?;
        }
        if let Some(exposure) = policy.exposure {
            write!(f, " from {exposure} on,")?;
        }
        f.write_str(" and when its session ends, as [settlement] says")
    }
}
