//! The command line: one verb, one file. A verb is a variant of `Verb` and a module beside this
//! one with its arguments and a `run`; it answers on standard output, and ends with an
//! [`Outcome`], from which the exit code follows.
//!
//! Nothing is decided here that a library user would miss: verbs load, open, ask and print.

mod answering;
mod anvil;
pub(in crate::cli) mod audit;
mod bench;
mod bonding;
mod book;
mod buy;
mod config;
mod dataset;
mod demo;
mod desk;
mod dial;
mod dispute;
pub mod exit;
mod fabric;
mod holdings;
mod init;
mod iota;
mod items;
mod journal;
mod keys;
mod ledger;
mod lines;
mod menu;
mod offered;
pub mod out;
mod rating;
mod remainders;
mod running;
mod script;
mod sell;
mod status;
mod stock;
mod tls;

use clap::{ArgAction, Args, Parser, Subcommand};
use exit::{Exit, Failure, Outcome};
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sell a sensor's data stream to a stranger, paid item by item, provable afterwards.
#[derive(Parser)]
#[command(name = "sdpp", version, after_help = EXAMPLE)]
struct Cli {
    #[command(flatten)]
    log: Log,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLE: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage or config, 3 an audit found something wrong,
4 the peer misbehaved, 5 a ledger refused or cannot be reached.

Example:
  sdpp init --dir shop && sdpp config check shop/seller.toml";

#[derive(Subcommand)]
enum Verb {
    Demo(demo::Demo),
    Init(init::Init),
    Sell(sell::Sell),
    Menu(menu::AskMenu),
    Buy(buy::Buy),
    Status(status::Status),
    Config(config::Config),
    Dataset(dataset::Dataset),
    Keys(keys::Keys),
    Ledger(ledger::Ledger),
    Journal(journal::Journal),
    Audit(audit::Audit),
    Dispute(dispute::Dispute),
    Bench(bench::Bench),
}

/// What is logged, on standard error. SDPP_LOG says it more finely: `sdpp=debug,sled=info`.
#[derive(Args)]
struct Log {
    /// Log more: -v what happens, -vv details, -vvv everything.
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Logging")]
    verbose: u8,
    /// Log less: -q errors only, -qq nothing.
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Logging")]
    #[arg(conflicts_with = "verbose")]
    quiet: u8,
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(wrong) => {
            // Help that nobody reads any more is no failure.
            let _ = wrong.print();
            return if wrong.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    match cli.log.start().and_then(|()| cli.verb.run()) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            if !failure.why.is_empty() {
                note(format_args!("error: {failure}"));
            }
            failure.exit.into()
        }
    }
}

impl Verb {
    fn run(self) -> Outcome {
        match self {
            Verb::Demo(verb) => verb.run(),
            Verb::Init(verb) => verb.run(),
            Verb::Sell(verb) => verb.run(),
            Verb::Menu(verb) => verb.run(),
            Verb::Buy(verb) => verb.run(),
            Verb::Status(verb) => verb.run(),
            Verb::Config(verb) => verb.run(),
            Verb::Dataset(verb) => verb.run(),
            Verb::Keys(verb) => verb.run(),
            Verb::Ledger(verb) => verb.run(),
            Verb::Journal(verb) => verb.run(),
            Verb::Audit(verb) => verb.run(),
            Verb::Dispute(verb) => verb.run(),
            Verb::Bench(verb) => verb.run(),
        }
    }
}

impl Log {
    fn start(&self) -> Outcome {
        let level = match (self.quiet, self.verbose) {
            (0, 0) => LevelFilter::WARN,
            (1, _) => LevelFilter::ERROR,
            (2.., _) => LevelFilter::OFF,
            (0, 1) => LevelFilter::INFO,
            (0, 2) => LevelFilter::DEBUG,
            (0, _) => LevelFilter::TRACE,
        };
        let is_said = self.quiet + self.verbose > 0;
        let filter = match std::env::var("SDPP_LOG").ok().filter(|_| !is_said) {
            None => Targets::new().with_default(level),
            Some(text) => text.parse().map_err(|error| {
                Failure::usage(format!("SDPP_LOG: {error}: write warn, or sdpp=debug,sled=info"))
            })?,
        };
        let colours = std::io::IsTerminal::is_terminal(&std::io::stderr())
            && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        let lines =
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
        tracing_subscriber::registry().with(lines).with(filter).init();
        Ok(())
    }
}

/// Writes a line for people to standard error, if anybody is there to read it.
fn note(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Waits for something on a runtime of one thread, for verbs that ask ledgers.
fn wait_for<T>(future: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start a runtime: {error}")))?;
    runtime.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_fit_together_and_each_shows_an_example() {
        let mut sdpp = Cli::command();
        sdpp.build();
        sdpp.clone().debug_assert();
        let mut left = vec![sdpp];
        while let Some(mut command) = left.pop() {
            let help = command.render_long_help().to_string();
            let name = command.get_name().to_owned();
            assert!(help.contains("Example:\n  ") || name == "help", "{name}: {help}");
            left.extend(command.get_subcommands().filter(|c| c.get_name() != "help").cloned());
        }
    }
}
