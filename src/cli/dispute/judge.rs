//! `sdpp dispute judge`: a verdict out of one bundle or two, with nothing else at hand.

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use crate::dispute::{BUNDLE_BYTES_MAX, Bundle, Keys, judge};
use clap::Args;
use sdpp_ledger::PublicKey;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Judge a session by the evidence of one side or of both.
///
/// Needs no network, no journal and no trust: every signature is verified and every amount computed
/// again. What only a ledger could tell makes the verdict conditional. Without the two keys the
/// verdict says that identities are unproven.
///
/// The exit code is 0 with a verdict that names no misconduct, 3 where a bundle is refused as false
/// or of somebody else, and 4 with a verdict in which misconduct is proven.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp dispute judge seller.json buyer.json --seller-key 0x02... --buyer-key 0x03..."
)]
pub(super) struct Judge {
    /// The bundles, in either order.
    #[arg(value_name = "FILE", required = true, num_args = 1..=2)]
    bundles: Vec<PathBuf>,
    /// The key that you know the seller by.
    #[arg(long, value_name = "KEY")]
    seller_key: Option<PublicKey>,
    /// The key that you know the buyer by.
    #[arg(long, value_name = "KEY")]
    buyer_key: Option<PublicKey>,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

impl Judge {
    pub(super) fn run(self) -> Outcome {
        let bundles: Vec<Bundle> =
            self.bundles.iter().map(|path| read(path)).collect::<Outcome<_>>()?;
        let keys = Keys { seller: self.seller_key, buyer: self.buyer_key };
        let verdict = judge(&bundles, &keys).map_err(|error| Failure::new(Exit::Wrong, error))?;
        if self.json {
            out::json(&verdict)?;
        } else {
            out::line(verdict.to_string().trim_end())?;
        }
        match verdict.misconduct.first() {
            None => Ok(()),
            Some(first) => {
                let why = format!("misconduct is proven: the {} {}", first.by, first.why);
                Err(Failure::new(Exit::Peer, why))
            }
        }
    }
}

/// Reads a bundle, and refuses all that is not as its exporter signed it.
pub(in crate::cli) fn read(path: &Path) -> Outcome<Bundle> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Failure::io("read", path))?;
    let read = file.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(Failure::io("read", path))?;
    let refused = |error| format!("{} is refused: {error}", path.display());
    Bundle::parse(&bytes).map_err(|error| Failure::new(Exit::Wrong, refused(error)))
}
