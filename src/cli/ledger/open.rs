//! `sdpp ledger open`: opens our accounts where a ledger wants that.

use super::{Which, at};
use crate::cli::exit::Outcome;
use crate::config::ledgers::Opened;
use clap::Args;
use serde_json::json;
use std::fmt;

/// Open our account where a ledger wants that before it can be paid.
///
/// Selling, buying and funding oneself do it too; this is for who is to be given money before.
/// Asked twice it does nothing.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger open --config buyer.toml")]
pub(super) struct Open {
    #[command(flatten)]
    which: Which,
}

/// When an account was opened.
#[derive(Clone, Copy)]
enum When {
    Now,
    Before,
    /// Accounts need no opening there.
    Never,
}

impl Open {
    pub(super) async fn run(self) -> Outcome {
        let mut chosen = self.which.choose()?;
        for name in chosen.names.clone() {
            let opened = chosen.open(&name).await?;
            let (account, when) = (opened.ledger().account(), open(&opened, &name).await?);
            let opened = match when {
                When::Now => "now",
                When::Before => "before",
                When::Never => "never",
            };
            chosen.print(
                &format!("{name}  {account}  {when}"),
                &json!({ "ledger": name, "account": account, "opened": opened }),
            )?;
        }
        Ok(())
    }
}

async fn open(opened: &Opened, name: &str) -> Outcome<When> {
    if !opened.opens_accounts() {
        return Ok(When::Never);
    }
    if opened.is_open().await.map_err(at(name))? {
        return Ok(When::Before);
    }
    opened.open_account().await.map_err(at(name))?;
    Ok(When::Now)
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            When::Now => "is open now",
            When::Before => "was open before",
            When::Never => "there is nothing to open: an account here can be paid as it is",
        })
    }
}
