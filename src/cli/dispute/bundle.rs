//! `sdpp dispute bundle`: one side's evidence of one session, in a file that it signs.

use super::{gather, make, verified};
use crate::actors::now_ms;
use crate::cli::book::{Book, Where, misfit};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::lines::{read_item, voids_in};
use crate::cli::out;
use crate::config::Config;
use crate::config::ledgers::Keyring;
use crate::dispute::{Disclosure, ExportError};
use crate::journal::{Answer, Query};
use crate::message::Moment;
use crate::terms::SessionId;
use clap::Args;
use sdpp_ledger::Digest;
use serde_json::json;
use std::path::PathBuf;

/// Write the evidence of a session into one file that proves itself.
///
/// The file has the menu, the order, invoices, acks, payments and exits as they were signed, the
/// best voucher, and what the ledgers said by this journal's word. It has no session key, no salt
/// secret and no item; --item discloses that one item, with the proof that it was sold.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp dispute bundle 0x5c1a... --journal buyer-journal --config buyer.toml --output evidence.json"
)]
pub(super) struct Export {
    /// The session.
    session: SessionId,
    #[command(flatten)]
    book: Where,
    /// The config whose identity signs the file: the journal's owner.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The new file.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Disclose this item; may be said more than once.
    #[arg(long, value_name = "N", requires = "items")]
    item: Vec<u64>,
    /// The items as `sdpp buy --output` writes them: item N is line N, or where places before it are void, as
    /// many lines earlier as those are short of.
    #[arg(long, value_name = "FILE", requires = "item")]
    items: Option<PathBuf>,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

impl Export {
    pub(super) fn run(self) -> Outcome {
        let config = Config::load(&self.config)?;
        let key = Keyring::default().open(&config.identity)?;
        let mut book = self.book.open()?;
        let (identity, to) = verified(&mut book)?;
        if identity != key.public() {
            let why = format!("the journal is {identity}'s, the config's key is another");
            return Err(Failure::usage(why));
        }
        let gather = gather(&mut book, self.session, to)?;
        let disclosures = self.disclosures(&mut book)?;
        drop(book);
        let bundle = gather.finish(&key, Moment(now_ms()), &disclosures).map_err(unexported)?;
        let bytes = bundle.write();
        make(&self.output, &bytes).map_err(Failure::io("make the new file", &self.output))?;
        let (digest, messages) = (bundle.digest(), bundle.body().messages.len());
        let path = self.output.display();
        if self.json {
            let session = self.session;
            return out::json(&json!({
                "session": session, "role": bundle.body().role, "file": self.output,
                "digest": digest, "messages": messages, "bytes": bytes.len(),
            }));
        }
        out::line(format_args!("{path}: {messages} signed messages, digest {digest}"))
    }

    /// The items to disclose, and the salt of each alone.
    fn disclosures(&self, book: &mut Book) -> Outcome<Vec<Disclosure>> {
        let Some(items) = &self.items else { return Ok(Vec::new()) };
        let voids = voids_in(book, self.session)?;
        let disclose = |seq: &u64| {
            let (session, seq) = (self.session, *seq);
            let Answer::Salt { salt } = book.ask(&Query::Salt { session, seq })? else {
                return Err(misfit());
            };
            let salt: Digest = salt.ok_or_else(|| unexported(ExportError::Unproven(seq)))?;
            Ok(Disclosure { seq, item: read_item(items, &voids, seq)?, salt })
        };
        self.item.iter().map(disclose).collect()
    }
}

fn unexported(error: ExportError) -> Failure {
    match error {
        ExportError::NoSession(_) | ExportError::Unproven(_) => Failure::usage(error),
        ExportError::OtherItem(_) => Failure::new(Exit::Wrong, error),
    }
}
