//! `sdpp ledger policy explain`: what was decided about vouchers in hand, with its figures, and what
//! would be decided now.

use crate::actors::now_ms;
use crate::cli::book::Where;
use crate::cli::exit::Outcome;
use crate::cli::out;
use crate::journal::entry::Entry;
use crate::message::Moment;
use crate::record::{Act, Record};
use crate::settling::{Hand, Policy, Why};
use clap::{Args, Subcommand};
use sdpp_ledger::{Amount, Call, ChangeKind, ChannelId, LedgerId};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

/// How many decisions are told of each currency.
const TOLD_MAX: usize = 10;

/// When vouchers in hand are redeemed before their session ends.
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
    channel: ChannelId,
    settles: bool,
    why: Why,
    hand: Hand,
    policy: Policy,
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
            let nothing = "nothing was decided: vouchers are redeemed when their session ends, unless \
                           [settlement] says more";
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
                let decided = Decided {
                    at,
                    is_foreseen,
                    currency,
                    ledger,
                    channel,
                    settles,
                    why,
                    hand,
                    policy,
                };
                self.channels.entry(channel).or_default().last = Some(decided.clone());
                let all = self.decided.entry(decided.currency.clone()).or_default();
                all.push_back(decided);
                if all.len() > TOLD_MAX {
                    all.pop_front();
                }
            }
            _ => {}
        }
    }

    /// By currency: what was decided, the oldest first, and what would be now.
    fn tell(self, now_ms: u64) -> Vec<Decided> {
        let Fold { channels, decided } = self;
        let foreseen: Vec<Decided> =
            channels.into_values().filter_map(|told| told.foresee(now_ms)).collect();
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
        let hand = Hand { value, since_ms: self.since_ms, fee: last.hand.fee };
        let why = last.policy.decide(&hand, now_ms);
        let (at, is_foreseen, settles) = (Moment(now_ms), true, why.is_now());
        Some(Decided { at, is_foreseen, settles, why, hand, ..last })
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decided { at, currency, ledger, channel, why, hand, policy, .. } = self;
        let when = if self.is_foreseen { "now".to_owned() } else { at.to_string() };
        let said = match (self.is_foreseen, self.settles) {
            (false, true) => "redeemed",
            (false, false) => "not redeemed",
            (true, true) => "would be redeemed",
            (true, false) => "would not be redeemed",
        };
        writeln!(f, "{currency}  {when}  {said}: {}", why.told())?;
        let Hand { value, since_ms, fee } = hand;
        let age = Duration::from_secs(at.0.saturating_sub(*since_ms) / 1_000);
        let age = humantime::format_duration(age);
        writeln!(f, "  {value} of its smallest unit in hand for {age}, on {channel} of {ledger}")?;
        match fee {
            Some(fee) => writeln!(f, "  redeeming it costs {fee} of the same unit")?,
            None => f.write_str("  what redeeming it costs is not known\n")?,
        }
        f.write_str("  redeemed")?;
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
