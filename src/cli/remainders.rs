//! What is left in a buyer's channels, and how it comes back: for people, and for programs.

use crate::actors::reclaim::Policy;
use crate::config::{Config, CurrencyConfig};
use crate::journal::watch::Step;
use crate::journal::{Doing, Remainder};
use crate::message::Moment;
use sdpp_ledger::{Amount, Asset, LedgerId};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Tells of remainders in the words of one config.
pub(super) struct Teller<'a> {
    /// The config.
    pub(super) config: &'a Config,
    /// Its ledgers' ids by their names there.
    pub(super) ids: &'a BTreeMap<String, LedgerId>,
    /// When a channel is one that nobody needs any more; `None` where nobody looks for that.
    pub(super) policy: Option<&'a Policy>,
}

impl Teller<'_> {
    /// How much is left where, such as `0.000936 ETH is left in channel 0x12..`.
    pub(super) fn how_much(&self, one: &Remainder) -> String {
        let money = self.money(&one.ledger, &one.asset, one.left);
        format!("{money} is left in channel {}", one.channel)
    }

    /// An amount in the config's words for its asset, such as `0.000936 ETH`.
    pub(super) fn money(&self, ledger: &LedgerId, asset: &Asset, amount: Amount) -> String {
        let is_its = |currency: &&CurrencyConfig| {
            self.ids.get(&currency.ledger) == Some(ledger) && currency.asset == *asset
        };
        match self.config.currencies.values().find(is_its) {
            Some(known) => format!("{} {}", amount.to_decimal(known.decimals), known.symbol),
            None => format!("{amount} of {asset}"),
        }
    }

    /// How it comes back.
    pub(super) fn how_back(&self, one: &Remainder) -> String {
        match &one.doing {
            Doing::Nothing => self.when_asked(one),
            Doing::Owed(Step::RequestClose) => "the escrow is being asked to close it".to_owned(),
            Doing::Owed(Step::Withdraw) => "it is being withdrawn".to_owned(),
            Doing::Closing(ready_ms) => {
                let ready = Moment(*ready_ms);
                format!(
                    "the escrow was asked to close it, and it can be withdrawn from {ready} on: \
                     the next `sdpp buy` or `sdpp ledger close` with this config does that"
                )
            }
            Doing::Refused(step, why) => {
                let what = match step {
                    Step::RequestClose => "asking the escrow to close it",
                    Step::Withdraw => "withdrawing it",
                };
                format!("{what} was refused ({why}), and is tried again")
            }
        }
    }

    fn when_asked(&self, one: &Remainder) -> String {
        if self.keeps(one) {
            return "it is kept for the next session; `sdpp ledger close` gets it back".to_owned();
        }
        let first = match one.watched.is_left {
            true => "its seller is to close it",
            false => "the next session with its seller may use it",
        };
        let Some(policy) = self.policy else {
            return format!("{first}; `sdpp ledger close` gets it back");
        };
        let after = humantime::format_duration(policy.after);
        format!(
            "{first}; else the first `sdpp buy` with this config after {after}, or `sdpp ledger \
             close` now, asks the escrow to close it"
        )
    }

    fn keeps(&self, one: &Remainder) -> bool {
        let asset = (one.ledger.clone(), one.asset.clone());
        self.policy.is_some_and(|policy| policy.kept.contains(&asset)) && !one.watched.is_left
    }

    /// The same for a program.
    pub(super) fn json(&self, one: &Remainder) -> Value {
        json!({
            "channel": one.channel,
            "ledger": one.ledger,
            "asset": one.asset,
            "left": one.left,
            "kept": self.keeps(one),
            "doing": name(&one.doing),
            "ready_ms": one.watched.ready_ms,
        })
    }
}

/// What is being done to get back what is left in a channel, in a few words.
pub(super) fn plain(doing: &Doing) -> String {
    match doing {
        Doing::Nothing => "open".to_owned(),
        Doing::Owed(Step::RequestClose) => "being asked to close".to_owned(),
        Doing::Owed(Step::Withdraw) => "being withdrawn".to_owned(),
        Doing::Closing(ready_ms) => {
            format!("asked to close, can be withdrawn from {} on", Moment(*ready_ms))
        }
        Doing::Refused(Step::RequestClose, why) => format!("asking it to close was refused: {why}"),
        Doing::Refused(Step::Withdraw, why) => format!("withdrawing it was refused: {why}"),
    }
}

/// The word for what is being done to get back what is left in a channel.
pub(super) fn name(doing: &Doing) -> &'static str {
    match doing {
        Doing::Nothing => "nothing",
        Doing::Owed(Step::RequestClose) => "asking",
        Doing::Closing(_) => "closing",
        Doing::Owed(Step::Withdraw) => "withdrawing",
        Doing::Refused(..) => "refused",
    }
}
