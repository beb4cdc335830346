//! `sdpp bench iota`: what the adapter takes of a processor for a payment, beside what it cannot do
//! without, and how many payments are on their way at once from what was one coin.

mod accounts;
mod adapter;
mod flight;

use super::setting::{Setting, Spread};
use crate::cli::exit::Outcome;
use crate::cli::iota::{DOUBLE, Network};
use crate::cli::out;
use crate::cli::running::in_system;
use accounts::Accounts;
use adapter::Cpu;
use clap::Args;
use flight::Flight;
use serde::Serialize;

/// How much of a processor's time a payment may take in this process, in milliseconds.
const CPU_MS_AT_MOST: f64 = 3.0;

/// How many payments are to be on their way at once, once the coin is split.
const ON_WAY_AT_LEAST: f64 = 20.0;

/// Pay on the double of an IOTA node that `scripts/iota up` has started.
///
/// Pays through the adapter, and does bare what a payment cannot do without: a signature, its
/// hashes, and as many exchanges with the node. Then pays through a journal and its outbox, from an
/// account that has a single coin at first, and looks at how many payments are on their way at
/// once and whether two were ever sent on one coin. Each run has accounts of its own there.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  scripts/iota up && sdpp bench iota --payments 2000")]
pub(super) struct Iota {
    /// How many payments all runs together make from single coins.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    payments: u32,
    /// How many payments a run makes through the adapter alone.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    alone: u32,
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
    flight: Flight,
}

/// All that was measured.
#[derive(Serialize)]
struct Figures {
    setting: Setting,
    /// Of all runs together, from single coins.
    payments: u64,
    runs: Vec<Run>,
    ms_for_one: Spread,
    exchanges_per_payment: Spread,
    cpu_ms_per_payment: Spread,
    /// Of a signature, its hashes, and as many exchanges.
    bare_cpu_ms_per_payment: Spread,
    /// Whether a payment took no more than it may, at the median.
    within_cpu: bool,
    payments_per_s: Spread,
    /// Once as many as are wanted were on their way, until nothing waited any more.
    on_way: Spread,
    on_way_at_most: Spread,
    /// Whether as many as are wanted were on their way, at the median of each run.
    keeps_on_way: bool,
    /// How many were refused as the second on one coin, of all payments.
    equivocations: u64,
}

impl Iota {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let network = Network::find()?;
        in_system(self.measure(network))
    }

    async fn measure(self, network: Network) -> Outcome {
        let accounts = Accounts::new(&network).await?;
        let setting = Setting::look(accounts.funder()).await?;
        let each = self.payments.div_ceil(self.runs.into());
        let mut runs = Vec::new();
        for _ in 0..self.runs {
            let cpu = Cpu::measure(&accounts, self.alone).await?;
            let flight = Flight::measure(&accounts, each).await?;
            runs.push(Run { cpu, flight });
        }
        let figures = Figures::of(setting, runs);
        if self.json { out::json(&figures) } else { figures.tell() }
    }
}

impl Figures {
    fn of(setting: Setting, runs: Vec<Run>) -> Figures {
        let spread = |of: &dyn Fn(&Run) -> f64| Spread::of(runs.iter().map(of));
        let cpu_ms_per_payment = spread(&|run| run.cpu.ms_per_payment);
        Figures {
            setting,
            payments: runs.iter().map(|run| run.flight.payments).sum(),
            ms_for_one: spread(&|run| run.cpu.ms_for_one),
            exchanges_per_payment: spread(&|run| run.cpu.exchanges_per_payment),
            within_cpu: cpu_ms_per_payment.median <= CPU_MS_AT_MOST,
            cpu_ms_per_payment,
            bare_cpu_ms_per_payment: spread(&|run| run.cpu.bare_ms_per_payment),
            payments_per_s: spread(&|run| run.flight.payments_per_s),
            on_way: spread(&|run| run.flight.on_way),
            on_way_at_most: spread(&|run| run.flight.on_way_at_most),
            keeps_on_way: runs.iter().all(|run| run.flight.on_way >= ON_WAY_AT_LEAST),
            equivocations: runs.iter().map(|run| run.flight.equivocations).sum(),
            runs,
        }
    }

    fn tell(&self) -> Outcome {
        let Figures { payments, equivocations, runs, .. } = self;
        out::line(self.setting.line())?;
        DOUBLE.iter().try_for_each(out::line)?;
        out::line(format_args!("{payments} payments from single coins in {} runs\n", runs.len()))?;
        let cpu = &self.cpu_ms_per_payment;
        out::table(&[
            ["", "median", "min", "max"].map(str::to_owned),
            self.ms_for_one.row("ms until one payment is final", 0),
            self.exchanges_per_payment.row("exchanges with the node for a payment", 1),
            cpu.row("ms of CPU for a payment: prepare, submit, finality", 3),
            self.bare_cpu_ms_per_payment.row("a signature, hashes, the same exchanges bare", 3),
            self.payments_per_s.row("payments a second from one coin", 1),
            self.on_way.row("of these on their way at once, once it is split", 0),
            self.on_way_at_most.row("at the most", 0),
        ])?;
        let holds = |holds: bool| if holds { "holds" } else { "does not hold" };
        out::line(format_args!(
            "\n\"at most {CPU_MS_AT_MOST} ms of CPU a payment\": {}",
            holds(self.within_cpu)
        ))?;
        out::line(format_args!(
            "\"{ON_WAY_AT_LEAST} payments on their way from what was one coin\": {}",
            holds(self.keeps_on_way)
        ))?;
        out::line(format_args!(
            "of {payments} payments the node refused {equivocations} as the second on one coin; \
             each arrived once"
        ))
    }
}
