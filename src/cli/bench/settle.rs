//! `sdpp bench settle`: what it takes to redeem many vouchers at once through the real outbox, and
//! whether a session by escrow ever waits for the chain.

use super::redeeming::{Redeeming, Run};
use super::setting::{Setting, Spread};
use super::windows::{self, PerWindow};
use crate::cli::anvil::{Anvil, reach};
use crate::cli::exit::Outcome;
use crate::cli::out;
use crate::cli::running::in_system;
use crate::config::ledgers::Keyring;
use clap::Args;
use serde::Serialize;

/// How soon all vouchers are to be in a block.
const BLOCKS_AT_MOST: u64 = 2;

/// Redeem vouchers of many channels on the chain that `scripts/anvil up` has started.
///
/// Opens the channels, signs a voucher on each, owes them to the chain in a journal made for it,
/// and lets the outbox redeem them; then compares what the chain paid out with what was owed. And
/// sells by escrow there and on the embedded ledger, a window at a time: a window paid by voucher
/// waits for no chain, so both take as long. Each run costs the chain's operator some gas.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  scripts/anvil up && sdpp bench settle --channels 200 --runs 5")]
pub(super) struct Settle {
    /// How many channels a run has.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    channels: u16,
    /// How many runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    runs: u8,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// All that was measured.
#[derive(Serialize)]
struct Figures {
    setting: Setting,
    channels: u16,
    depth: u64,
    runs: Vec<Run>,
    seconds: Spread,
    blocks: Spread,
    blocks_to_final: Spread,
    gas: Spread,
    gas_per_row: Spread,
    /// What they cost together, of what as many cost one by one.
    gas_ratio: Spread,
    /// Whether all were in a block within two, in each run.
    within_two_blocks: bool,
    ms_per_window: PerWindow,
}

impl Settle {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let anvil = Anvil::find()?;
        in_system(self.measure(anvil))
    }

    async fn measure(self, anvil: Anvil) -> Outcome {
        let operator = reach(&anvil.operator, &mut Keyring::default()).await?;
        let setting = Setting::look(&operator).await?;
        let mut runs = Vec::new();
        for _ in 0..self.runs {
            let redeeming = Redeeming::open(&anvil, &operator, self.channels.into()).await?;
            runs.push(redeeming.measure().await?);
        }
        let ms_per_window = windows::measure(&anvil, &operator, self.runs).await?;
        let figures = Figures::of(setting, self.channels, anvil.depth(), runs, ms_per_window);
        if self.json { out::json(&figures) } else { figures.tell() }
    }
}

impl Figures {
    fn of(
        setting: Setting,
        channels: u16,
        depth: u64,
        runs: Vec<Run>,
        ms_per_window: PerWindow,
    ) -> Figures {
        let spread = |of: &dyn Fn(&Run) -> f64| Spread::of(runs.iter().map(of));
        let rows = f64::from(channels);
        Figures {
            seconds: spread(&|run| run.seconds),
            blocks: spread(&|run| run.blocks as f64),
            blocks_to_final: spread(&|run| run.blocks_to_final as f64),
            gas: spread(&|run| run.gas as f64),
            gas_per_row: spread(&|run| run.gas as f64 / rows),
            gas_ratio: spread(&|run| run.gas as f64 / (run.gas_alone as f64 * rows)),
            within_two_blocks: runs.iter().all(|run| run.blocks <= BLOCKS_AT_MOST),
            setting,
            channels,
            depth,
            runs,
            ms_per_window,
        }
    }

    fn tell(&self) -> Outcome {
        let (channels, depth, runs) = (self.channels, self.depth, self.runs.len());
        out::line(self.setting.line())?;
        let transactions = self.runs.iter().map(|run| run.transactions).max().unwrap_or(0);
        out::line(format_args!(
            "{channels} vouchers by the outbox, in {transactions} transactions; {runs} runs\n"
        ))?;
        let PerWindow { chain, embedded } = &self.ms_per_window;
        out::table(&[
            ["", "median", "min", "max"].map(str::to_owned),
            self.seconds.row("seconds until all are final in the journal", 3),
            self.blocks.row("blocks until the last is included", 0),
            self.blocks_to_final.row("blocks until it is final", 0),
            self.gas.row("gas in all", 0),
            self.gas_per_row.row("gas for each", 0),
            self.gas_ratio.row("of what as many cost one by one", 3),
            chain.row("ms for a window by escrow, W = 1, on this chain", 3),
            embedded.row("the same on the embedded ledger", 3),
        ])?;
        let holds = if self.within_two_blocks { "holds" } else { "does not hold" };
        out::line(format_args!(
            "\n\"included within {BLOCKS_AT_MOST} blocks, and final at depth {depth}\": {holds}"
        ))?;
        out::line("what the chain paid out is what was owed, in each channel of each run")
    }
}
