//! `sdpp dispute ask`: the buyer asks for a credit, with the proof of the item.

use super::amend::amend;
use super::credit::Reason;
use crate::admin::{REQUEST_BYTES_MAX, Request};
use crate::cli::exit::{Failure, Outcome};
use crate::message::Base64;
use crate::terms::SessionId;
use clap::Args;
use sdpp_ledger::Amount;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

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
        let Ask { session, item: seq, amount, .. } = self;
        let (reason, item) = (self.reason.into(), Base64(item(&self.items, seq)?));
        let request = Request::Ask { session, seq, reason, amount, item };
        amend(&self.journal, &request, self.json)
    }
}

/// The line of a file that an item is.
fn item(path: &Path, seq: u64) -> Outcome<Vec<u8>> {
    let file = File::open(path).map_err(Failure::io("open", path))?;
    let missing = || Failure::usage(format!("{} has no item {seq}", path.display()));
    let before = seq.checked_sub(1).and_then(|place| usize::try_from(place).ok());
    let line = BufReader::new(file).split(b'\n').nth(before.ok_or_else(missing)?);
    let line = line.ok_or_else(missing)?.map_err(Failure::io("read", path))?;
    if line.len() > ITEM_BYTES_MAX {
        let why = format!("item {seq} is longer than the {ITEM_BYTES_MAX} bytes that are sent");
        return Err(Failure::usage(why));
    }
    Ok(line)
}
