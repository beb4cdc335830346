//! `sdpp ledger serve`: an embedded ledger for other processes of this machine.

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::out;
use crate::config::ledgers::{ChainRules, FAUCET, Served};
use clap::Args;
use sdpp_ledger::{Account, Amount};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Serve an embedded ledger to other processes, until Ctrl-C or SIGTERM.
///
/// The first line on standard output is `listening ADDR`. The rules are fixed when the folder is
/// founded: serving it again takes the same. There is no authentication, so listen on loopback.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp ledger serve --dir ledger --listen 127.0.0.1:9630")]
pub(super) struct Serve {
    /// The chain's folder; founded if it is not there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9630")]
    listen: SocketAddr,
    /// Time between blocks in milliseconds; 0 for a block for each transaction, at once.
    #[arg(long, value_name = "MS", default_value_t = ChainRules::default().block_time_ms)]
    block_time_ms: u64,
    /// How many blocks make a transaction final.
    #[arg(long, value_name = "BLOCKS", default_value_t = ChainRules::default().depth)]
    depth: u64,
    /// How long a payee can still settle after the payer asked to close, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = ChainRules::default().grace_period_ms)]
    grace_period_ms: u64,
    /// The most that one `sdpp ledger fund` may create; 0 for no faucet.
    #[arg(long, value_name = "AMOUNT", default_value_t = FAUCET)]
    faucet: Amount,
    /// Who holds how much of the coin at the beginning; may be said again.
    #[arg(long, value_name = "ACCOUNT=AMOUNT", value_parser = allocation)]
    allocate: Vec<(Account, Amount)>,
}

impl Serve {
    pub(super) async fn run(self) -> Outcome {
        let rules = ChainRules {
            block_time_ms: self.block_time_ms,
            depth: self.depth,
            grace_period_ms: self.grace_period_ms,
            faucet: Some(self.faucet).filter(|most| *most > Amount::ZERO),
        };
        if !self.listen.ip().is_loopback() {
            let address = self.listen;
            tracing::warn!("{address} is not loopback: whoever reaches it can read and be funded");
        }
        let coins: BTreeMap<Account, Amount> = self.allocate.into_iter().collect();
        let stopped = stopped()?;
        let served = Served::open(&self.dir, self.listen, coins, rules).await;
        let served = served.map_err(|why| Failure::new(Exit::Failed, why))?;
        let address = served
            .address()
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot listen: {error}")))?;
        out::line(format!("listening {address}"))?;
        tracing::info!(ledger = %served.id(), "serving");
        served.serve(stopped).await;
        Ok(())
    }
}

/// Ready when somebody wants this process to end. The signals are caught from here on.
fn stopped() -> Outcome<impl Future<Output = ()> + Send> {
    let caught = |kind| {
        signal(kind)
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot catch signals: {error}")))
    };
    let (mut interrupt, mut terminate) =
        (caught(SignalKind::interrupt())?, caught(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn allocation(text: &str) -> Result<(Account, Amount), String> {
    let (account, amount) = text.split_once('=').ok_or("write ACCOUNT=AMOUNT")?;
    let account = account.parse::<Account>().map_err(|error| error.to_string())?;
    Ok((account, amount.parse::<Amount>().map_err(|error| error.to_string())?))
}
