//! `sdpp dispute credit`: the seller credits items of a session that runs.

use super::amend::amend;
use crate::admin::Request;
use crate::cli::exit::{Failure, Outcome};
use crate::message::Complaint;
use crate::terms::SessionId;
use clap::{Args, ValueEnum};
use sdpp_ledger::Amount;
use std::path::PathBuf;

/// Seller: credit items that were lost, late or wrong. The note is signed by both sides, and netted
/// in the next window of the session, which must run.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sdpp dispute credit 0xSESSION --items 17,18 --reason late \\\n    --journal seller-journal"
)]
pub(super) struct Credit {
    /// The session.
    session: SessionId,
    /// The items, such as `17,18`.
    #[arg(long, value_name = "SEQ,...", value_delimiter = ',')]
    #[arg(required_unless_present = "decline", conflicts_with = "decline")]
    items: Vec<u64>,
    /// What is wrong with them.
    #[arg(long, value_enum, required_unless_present = "decline", conflicts_with = "decline")]
    reason: Option<Reason>,
    /// How much, in the currency's smallest unit; without it, what they cost.
    #[arg(long, value_name = "AMOUNT", conflicts_with = "decline")]
    amount: Option<Amount>,
    /// The buyer's request that this grants; `sdpp status` shows what is asked for.
    #[arg(long, value_name = "N", conflicts_with = "decline")]
    ask: Option<u64>,
    /// Credit nothing for this request of the buyer's, and tell it so.
    #[arg(long, value_name = "N")]
    decline: Option<u64>,
    /// What the buyer is told with that.
    #[arg(long, value_name = "TEXT", requires = "decline", default_value = "the seller declines")]
    why: String,
    /// The journal's folder, where the seller's socket is.
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What is wrong with an item.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Reason {
    /// It stands for a reading that is not there.
    Lost,
    /// It came too late to be of use.
    Late,
    /// It is not true.
    Wrong,
}

impl From<Reason> for Complaint {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Lost => Complaint::Lost,
            Reason::Late => Complaint::Late,
            Reason::Wrong => Complaint::Wrong,
        }
    }
}

impl Credit {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let Credit { session, items, amount, ask, why, .. } = self;
        let request = match (self.decline, self.reason) {
            (Some(ask), _) => Request::Decline { session, ask, why },
            (None, Some(reason)) => {
                Request::Credit { session, items, reason: reason.into(), amount, ask }
            }
            (None, None) => return Err(Failure::usage("name the items and what is wrong")),
        };
        amend(&self.journal, &request, self.json)
    }
}
