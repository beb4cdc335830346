//! `sdpp journal release`: a restored journal learns what it forgot, and is used again.

use crate::actors::now_ms;
use crate::actors::recalling::{RecallError, Recalled, recall};
use crate::cli::dispute::judge::read;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use crate::cli::running::in_system;
use crate::config::Config;
use crate::config::ledgers::{Keyring, Ledgers};
use crate::dispute::{Bundle, Keys, Verdict, judge};
use crate::journal::{Journal, Quarantine, Write};
use crate::message::Moment;
use crate::terms::Role;
use clap::Args;
use sdpp_ledger::PublicKey;
use serde_json::json;
use std::path::PathBuf;

/// Let a restored journal sign again, once the ledgers have told what it forgot.
///
/// Each payment that is open in it is looked for on its ledger: what is there is not sent again. Of
/// what a ledger cannot tell nothing is sent; look for it and use `sdpp journal retry`. Sessions
/// after the backup are known from evidence alone: name a bundle of each, ours or the other side's.
/// What they come to is told and written down; nothing is paid by it.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp journal release --config buyer.toml --learn from-the-seller.json"
)]
pub(super) struct Release {
    /// The config of whose journal it is, with its ledgers.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Evidence of a session, as `sdpp dispute bundle` writes it; may be said more than once.
    #[arg(long, value_name = "BUNDLE")]
    learn: Vec<PathBuf>,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

impl Release {
    pub(super) fn run(self) -> Outcome {
        let config = Config::load(&self.config)?;
        in_system(self.release(config))
    }

    async fn release(self, config: Config) -> Outcome {
        let mut keys = Keyring::default();
        let key = keys.open(&config.identity)?;
        let mut journal = Journal::open(&config.journal.dir, key.public())?;
        let reader = journal.reader();
        let quarantine = reader.quarantine()?.filter(Quarantine::is_on).ok_or_else(|| {
            Failure::usage("the journal is in no quarantine: nothing is to be released")
        })?;
        let mut verdicts = Vec::new();
        for path in &self.learn {
            let bundle = read(path)?;
            let verdict = weigh(&bundle, key.public())?;
            let (session, bundle) = (verdict.session, bundle.digest());
            commit(&mut journal, Write::Learn { session, bundle })?;
            verdicts.push(verdict);
        }
        let opened = Ledgers::open(&config, &mut keys).await?;
        let ledgers = opened.iter().map(|(_, opened)| opened.ledger().clone());
        let ledgers = ledgers.map(|ledger| (ledger.id().clone(), ledger)).collect();
        let recalled = recall(&reader, &ledgers).await.map_err(unasked)?;
        let release = Box::new(recalled.release.clone());
        commit(&mut journal, Write::Release(release))?;
        self.tell(&quarantine, &recalled, &verdicts)
    }

    fn tell(&self, since: &Quarantine, told: &Recalled, verdicts: &[Verdict]) -> Outcome {
        let Recalled { release, not_done } = told;
        let found: Vec<_> = release.found.iter().flat_map(|one| &one.references).collect();
        if self.json {
            return out::json(&json!({
                "quarantine": since, "found": found, "not_done": not_done,
                "untold": release.untold, "learned": verdicts,
            }));
        }
        for verdict in verdicts {
            out::line(verdict.to_string().trim_end())?;
        }
        let name = |what: &str, references: &[&sdpp_ledger::Reference]| {
            references.iter().try_for_each(|one| out::line(format_args!("{one}  {what}")))
        };
        name("is on its ledger already, and is not sent again", &found)?;
        name("is not done yet, and is sent", &not_done.iter().collect::<Vec<_>>())?;
        let untold: Vec<_> = release.untold.iter().collect();
        name("may be done: its ledger does not tell; look, then `sdpp journal retry`", &untold)?;
        out::line(format_args!(
            "released: the journal is used again; what came after {} is in it as far as it was told \
             here",
            Moment(since.backup_ms)
        ))
    }
}

/// What the evidence comes to. It must be of a session of ours.
fn weigh(bundle: &Bundle, ours: PublicKey) -> Outcome<Verdict> {
    let role = match (*bundle.exporter() == ours, bundle.body().role) {
        (true, role) => role,
        (false, Role::Seller) => Role::Buyer,
        (false, Role::Buyer) => Role::Seller,
    };
    let verdict = judge(std::slice::from_ref(bundle), &Keys::of(role, ours));
    verdict.map_err(|error| Failure::new(Exit::Wrong, error))
}

fn commit(journal: &mut Journal, write: Write) -> Outcome {
    let answers = journal.commit(now_ms(), vec![write])?;
    let written = answers.into_iter().try_for_each(|answer| answer.map(drop));
    written.map_err(|error| Failure::new(Exit::Failed, error))
}

fn unasked(error: RecallError) -> Failure {
    let why = format!("{error}; the journal stays in quarantine");
    match error {
        RecallError::Journal(error) => error.into(),
        RecallError::NoSuchLedger(..) => Failure::usage(why),
        RecallError::Ledger(_) => Failure::new(Exit::Ledger, why),
    }
}
