//! `sdpp dispute ask`: the buyer asks for a credit, with the proof of the item.

use super::amend::amend;
use super::credit::Reason;
use crate::admin::{REQUEST_BYTES_MAX, Request};
use crate::cli::book::Where;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::lines::{read_item, voids_in};
use crate::message::Base64;
use crate::terms::SessionId;
use clap::Args;
use sdpp_ledger::Amount;
use std::path::PathBuf;

/// The longest item that is sent along, in bytes: as base64 it fits a request.
const ITEM_BYTES_MAX: usize = REQUEST_BYTES_MAX / 2;

/// Buyer: ask for the credit of an item that was lost, late or wrong, in the session that `sdpp buy`
/// runs. The item goes to the seller, with the proof that it was invoiced.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sdpp dispute ask 0xSESSION --item 17 --reason wrong --items co2.items \\\n    --journal buyer-journal"
)]
pub(super) struct Ask {
    /// The session.
    session: SessionId,
    /// The item's number in the session, from 1.
    #[arg(long, value_name = "SEQ")]
    item: u64,
    /// What is wrong with it.
    #[arg(long, value_enum)]
    reason: Reason,
    /// How much is asked for, in the currency's smallest unit; without it, what the item costs.
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<Amount>,
    /// The file that `sdpp buy --output` writes the items to.
    #[arg(long, value_name = "FILE")]
    items: PathBuf,
    /// The journal's folder, where the buyer's socket is.
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Ask {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let (reason, item) = (self.reason.into(), Base64(self.read()?));
        let Ask { session, item: seq, amount, .. } = self;
        let request = Request::Ask { session, seq, reason, amount, item };
        amend(&self.journal, &request, self.json)
    }

    /// The item, out of the file. What is void of its session stands in the journal, which is let go of
    /// before its process is asked.
    fn read(&self) -> Outcome<Vec<u8>> {
        let mut book = Where::in_folder(self.journal.clone()).open()?;
        let voids = voids_in(&mut book, self.session)?;
        let (seq, item) = (self.item, read_item(&self.items, &voids, self.item)?);
        if item.len() > ITEM_BYTES_MAX {
            let why = format!("item {seq} is longer than the {ITEM_BYTES_MAX} bytes that are sent");
            return Err(Failure::usage(why));
        }
        Ok(item)
    }
}
