//! `sdpp bench fabric`: what a record costs through the gateway of a Fabric channel, how a crowd of
//! producers stays bounded before a gateway that is slower than they are, and how many payments
//! fit a block.

mod clients;
mod crowd;
mod records;
mod spends;

use super::setting::{Setting, Spread};
use crate::cli::exit::Outcome;
use crate::cli::fabric::{DOUBLE, Network};
use crate::cli::out;
use crate::cli::running::{ON_WAY_AT_MOST, in_system};
use clap::Args;
use clients::Clients;
use crowd::Crowd;
use records::Cpu;
use serde::Serialize;
use spends::Blocks;

/// How much of a processor's time a record may take in this process, in milliseconds.
const CPU_MS_AT_MOST: f64 = 1.0;

/// How much more memory a crowd may leave behind than it found, in MiB, whatever it produced.
const MIB_AT_MOST: f64 = 32.0;

/// Record and pay on the double of a Fabric network that `scripts/fabric up` has started.
///
/// Anchors records through the adapter, and asks the gateway bare for as much: what the adapter
/// takes beyond that is its own. Has producers owe records five times faster than the gateway
/// takes them, each with a credit window as a session has. And pays: from one account, whose
/// payments go one after the other, from many to one, and in IOUs. Each run registers clients of
/// its own there.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  scripts/fabric up && sdpp bench fabric --runs 5")]
pub(super) struct Fabric {
    /// How many records a run anchors.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    records: u32,
    /// How many producers a run has.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    producers: u16,
    /// How many windows each of them produces.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    windows: u16,
    /// How many windows of each may be open at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=100))]
    credit: u16,
    /// How many accounts pay one at the same time.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
    payers: u16,
    /// How many payments one account makes at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    payments: u16,
    /// How many runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    runs: u8,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// One run.
#[derive(Serialize)]
struct Run {
    cpu: Cpu,
    crowd: Crowd,
    blocks: Blocks,
}

/// All that was measured.
#[derive(Serialize)]
struct Figures {
    setting: Setting,
    records: u32,
    producers: u16,
    credit: u16,
    payers: u16,
    payments: u16,
    runs: Vec<Run>,
    ms_for_one: Spread,
    cpu_ms_per_record: Spread,
    /// Of as many bare exchanges.
    bare_cpu_ms_per_record: Spread,
    /// Whether a record took no more than it may, at the median.
    within_cpu: bool,
    records_per_s: Spread,
    open_at_most: Spread,
    on_way_at_most: Spread,
    mib_before: Spread,
    mib_after: Spread,
    /// Whether no crowd had more open, or on its way, than it may, or kept what it had.
    is_bounded: bool,
    spends_per_block: Spread,
    blocks_of_many: Spread,
    ious_per_block: Spread,
}

impl Fabric {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let network = Network::find()?;
        in_system(self.measure(network))
    }

    async fn measure(self, network: Network) -> Outcome {
        let clients = Clients::new(&network).await?;
        let own = clients.open().await?;
        let setting = Setting::look(&own).await?;
        let mut runs = Vec::new();
        for _ in 0..self.runs {
            let cpu = records::measure(&own, &network.url, self.records).await?;
            let crowd = Crowd::measure(&clients, self.crowd(), cpu.ms_for_one).await?;
            let (payers, payments) = (self.payers.into(), self.payments.into());
            let blocks = spends::measure(&clients, payers, payments).await?;
            runs.push(Run { cpu, crowd, blocks });
        }
        let figures = self.figures(setting, runs);
        if self.json { out::json(&figures) } else { figures.tell() }
    }

    fn crowd(&self) -> crowd::Rule {
        crowd::Rule {
            producers: self.producers.into(),
            windows: self.windows.into(),
            credit: self.credit.into(),
        }
    }

    fn figures(&self, setting: Setting, runs: Vec<Run>) -> Figures {
        let spread = |of: &dyn Fn(&Run) -> f64| Spread::of(runs.iter().map(of));
        let cpu_ms_per_record = spread(&|run| run.cpu.ms_per_record);
        let open_most = usize::from(self.producers) * usize::from(self.credit);
        let is_bounded = |run: &Run| {
            let Crowd { open_at_most, on_way_at_most, mib_before, mib_after, .. } = &run.crowd;
            *open_at_most <= open_most
                && *on_way_at_most <= ON_WAY_AT_MOST
                && mib_after - mib_before <= MIB_AT_MOST
        };
        Figures {
            ms_for_one: spread(&|run| run.cpu.ms_for_one),
            within_cpu: cpu_ms_per_record.median <= CPU_MS_AT_MOST,
            cpu_ms_per_record,
            bare_cpu_ms_per_record: spread(&|run| run.cpu.bare_ms_per_record),
            records_per_s: spread(&|run| run.crowd.records_per_s),
            open_at_most: spread(&|run| run.crowd.open_at_most as f64),
            on_way_at_most: spread(&|run| run.crowd.on_way_at_most as f64),
            mib_before: spread(&|run| run.crowd.mib_before),
            mib_after: spread(&|run| run.crowd.mib_after),
            is_bounded: runs.iter().all(is_bounded),
            spends_per_block: spread(&|run| run.blocks.spends_per_block),
            blocks_of_many: spread(&|run| run.blocks.blocks_of_many as f64),
            ious_per_block: spread(&|run| run.blocks.ious_per_block),
            setting,
            records: self.records,
            producers: self.producers,
            credit: self.credit,
            payers: self.payers,
            payments: self.payments,
            runs,
        }
    }
}

impl Figures {
    fn tell(&self) -> Outcome {
        let Figures { records, producers, credit, payers, payments, .. } = self;
        out::line(self.setting.line())?;
        DOUBLE.iter().try_for_each(out::line)?;
        let runs = self.runs.len();
        out::line(format_args!("{records} records through the gateway; {runs} runs\n"))?;
        let cpu = &self.cpu_ms_per_record;
        out::table(&[
            ["", "median", "min", "max"].map(str::to_owned),
            self.ms_for_one.row("ms until one record is final", 0),
            cpu.row("ms of CPU for a record: prepare, submit, finality", 3),
            self.bare_cpu_ms_per_record.row("the same exchanges bare, asking for /status", 3),
            self.records_per_s.row("records a second of the crowd", 1),
            self.open_at_most.row("of it open at once, at the most", 0),
            self.on_way_at_most.row("of these on their way", 0),
            self.mib_before.row("MiB of memory before", 1),
            self.mib_after.row("MiB of memory after", 1),
            self.spends_per_block.row("one account's payments a block", 2),
            self.blocks_of_many.row("blocks for many payers to one payee", 0),
            self.ious_per_block.row("one account's IOUs a block", 2),
        ])?;
        let holds = |holds: bool| if holds { "holds" } else { "does not hold" };
        out::line(format_args!(
            "\n\"at most {CPU_MS_AT_MOST} ms of CPU a record\": {}",
            holds(self.within_cpu)
        ))?;
        out::line(format_args!(
            "\"{producers} producers, five times faster than the gateway, are bounded by {credit} \
             windows each\": {}",
            holds(self.is_bounded)
        ))?;
        out::line(format_args!(
            "{payments} payments of one account, {payers} payers to one payee; each was met once"
        ))
    }
}
