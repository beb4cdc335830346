//! `sdpp bench sessions`: what open sessions take of a seller's memory, and how long a new buyer waits
//! for its menu meanwhile.

use super::journal::part;
use super::report::{Figure, Report, Target, Telling};
use super::restart::Serving;
use super::setting::{Setting, config, folder, memory, write_key};
use crate::actors::buying::Event;
use crate::actors::random_key;
use crate::actors::session::Stop;
use crate::cli::anvil::fund;
use crate::cli::buy;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::note;
use crate::cli::running::{Running, in_system};
use crate::config::Config;
use crate::config::ledgers::{ChainRules, Opened, Served};
use crate::message::Reason;
use crate::session::Wish;
use clap::Args;
use sdpp_ledger::{Amount, Asset, Key, PublicKey};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What each session of this may cost at the most.
const MONEY: u128 = 1_000_000_000;

/// Open sessions with a seller in a process of its own.
///
/// Those that are idle have a source that says nothing; those that stream have one that always has more.
/// What a session takes is what the seller's resident memory grew by, for each.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp bench sessions --idle 2000 --streaming 200")]
pub(super) struct Sessions {
    /// How many are idle.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    idle: u16,
    /// How many stream.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    streaming: u16,
    /// How many menus are asked for.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    menus: u16,
    /// How many runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    runs: u8,
    #[command(flatten)]
    telling: Telling,
}

/// What one run measured.
struct Run {
    idle_kib: f64,
    streaming_kib: f64,
    menu_p99_ms: f64,
}

impl Sessions {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        self.measure()?.tell(&self.telling)
    }

    /// Measures it.
    pub(super) fn measure(&self) -> Outcome<Report> {
        let mut runs = Vec::new();
        for number in 1..=self.runs {
            let run = in_system(self.once())?;
            let Run { idle_kib, streaming_kib, menu_p99_ms } = run;
            note(format_args!(
                "run {number}: idle {idle_kib:.1} KiB, streaming {streaming_kib:.1} KiB, a menu \
                 {menu_p99_ms:.1} ms"
            ));
            runs.push(run);
        }
        let Sessions { idle, streaming, .. } = self;
        let of = |of: fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<_>>();
        let figures = vec![
            Figure::of(
                format!("memory of an open, idle session, of {idle}"),
                "KiB",
                of(|r| r.idle_kib),
            )
            .wants(Target::Most(64.0)),
            Figure::of(
                format!("memory of a streaming session, of {streaming}"),
                "KiB",
                of(|r| r.streaming_kib),
            )
            .wants(Target::Most(512.0)),
            Figure::of("a menu for a new buyer meanwhile, p99", "ms", of(|r| r.menu_p99_ms))
                .wants(Target::Most(50.0)),
        ];
        Ok(Report { setting: Setting::here(), figures, notes: Vec::new() })
    }

    async fn once(&self) -> Outcome<Run> {
        let dir = folder()?;
        let listen = ([127, 0, 0, 1], 0).into();
        let (path, rules) = (dir.path().join("ledger"), ChainRules::default());
        let served = Served::open(&path, listen, Default::default(), rules);
        let served = served.await.map_err(failed)?;
        let at = served.address().map_err(failed)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let ledger = tokio::spawn(served.serve(async {
            let _ = stopped.await;
        }));
        let run = self.run_at(&dir, &at.to_string()).await;
        drop(stop);
        ledger.await.map_err(failed)?;
        run
    }

    async fn run_at(&self, dir: &tempfile::TempDir, ledger: &str) -> Outcome<Run> {
        let seller_key = self.write_seller(dir.path(), ledger)?;
        let path = dir.path().join("seller.toml");
        let serving = tokio::task::spawn_blocking(move || Serving::start(&path));
        let serving = serving.await.map_err(failed)??;
        let buyer = config(dir, "buyer", &self.buyer(ledger))?;
        let key = random_key().map_err(failed)?;
        let giver = Opened::open_to_read(&buyer, "local").await?;
        fund(&giver, &key.public().account(), &Asset::coin(), Amount::new(MONEY)).await?;
        let opened = giver.signed_by(key.clone())?;
        let running = Running::start(&buyer, key, &[("local", &opened)])?;
        let crowd =
            Crowd { config: &buyer, running: &running, serving: &serving, seller: seller_key };
        let before = crowd.memory()?;
        let idle = crowd.open("idle", self.idle.into()).await?;
        let quiet = crowd.memory()?;
        let streaming = crowd.open("items", self.streaming.into()).await?;
        let address = serving.address.clone();
        let menus = usize::from(self.menus);
        let menu_p99_ms = tokio::task::spawn_blocking(move || menus_p99(&address, menus));
        let menu_p99_ms = menu_p99_ms.await.map_err(failed)??;
        let busy = crowd.memory()?;
        let flowing = streaming.iter().filter(|one| !one.is_finished()).count();
        if flowing < streaming.len() {
            let why = format!("{flowing} of {} sessions still stream", streaming.len());
            return Err(Failure::new(Exit::Failed, why));
        }
        idle.iter().chain(&streaming).for_each(tokio::task::JoinHandle::abort);
        drop(serving);
        running.stop();
        Ok(Run {
            idle_kib: (quiet - before) * 1024.0 / f64::from(self.idle),
            streaming_kib: (busy - quiet) * 1024.0 / f64::from(self.streaming),
            menu_p99_ms,
        })
    }

    fn write_seller(&self, dir: &Path, ledger: &str) -> Outcome<PublicKey> {
        let key: Key = random_key().map_err(failed)?;
        let mut items = String::new();
        for number in 0..200_000 {
            let _ = writeln!(items, "{number:0>128}");
        }
        let most = u32::from(self.idle) + u32::from(self.streaming) + 64;
        let limits = format!(
            "[limits]\nsessions_max = {most}\nsessions_per_buyer_max = {most}\n\
             credit_sessions_per_address_max = {most}\nconnections_max = {most}\n\
             connections_per_address_max = {most}\nmenus_per_minute = 1000000\n\
             menus_per_minute_per_address = 1000000\norders_per_minute = 1000000\n\
             orders_per_minute_per_address = 1000000\n"
        );
        let text = format!("{SELLER}{}{limits}", shared(ledger));
        write_key(&dir.join("seller.key"), &key)?;
        for (name, text) in [("items", items), ("seller.toml", text)] {
            let path = dir.join(name);
            fs::write(&path, text).map_err(Failure::io("write", &path))?;
        }
        Ok(key.public())
    }

    fn buyer(&self, ledger: &str) -> String {
        format!(
            "{}[buyer]\npatience_ms = 120000\ncurrencies = [{{ currency = \"SDP\", max_total = \
             \"{MONEY}\" }}]\n",
            shared(ledger)
        )
    }
}

fn shared(ledger: &str) -> String {
    format!(
        "[ledgers.local]\nkind = \"embedded\"\naddress = \"{ledger}\"\n[currencies.SDP]\nledger = \
         \"local\"\nasset = \"coin\"\ndecimals = 6\n"
    )
}

const SELLER: &str = r#"
[identity]
key = "file:seller.key"
[journal]
dir = "seller-journal"
[seller]
listen = "127.0.0.1:0"
granularity = 100
credit_windows = 8
signature_required = false
patience_ms = 120000
[topics.idle]
price = "1"
source = { kind = "host", sensor = "memory", interval_ms = 3600000 }
[topics.items]
price = "1"
source = { kind = "file", path = "items", format = "lines" }
"#;

/// Buyers of one seller.
struct Crowd<'a> {
    config: &'a Config,
    running: &'a Running,
    serving: &'a Serving,
    seller: PublicKey,
}

impl Crowd<'_> {
    /// What the seller has of memory, in MiB.
    fn memory(&self) -> Outcome<f64> {
        let unknown = || Failure::new(Exit::Failed, "this system does not tell a process's memory");
        memory(&self.serving.child.id().to_string(), "VmRSS").ok_or_else(unknown)
    }

    /// Opens so many sessions; each is a task that takes what comes.
    async fn open(&self, topic: &str, count: usize) -> Outcome<Vec<tokio::task::JoinHandle<()>>> {
        let mut open = Vec::new();
        let none = || Failure::usage("the buyer has no [buyer]");
        let buyer = self.config.buyer.as_ref().ok_or_else(none)?;
        let spending: Vec<_> = buyer.currencies.iter().collect();
        for _ in 0..count {
            let wish = Wish {
                topic: topic.to_owned(),
                quantity: None,
                currencies: buy::pinned(self.config, &spending, |name| self.running.ledger(name))?,
                max_total: None,
                seller: Some(self.seller),
                bond: None,
                dataset: None,
            };
            let address = &self.serving.address;
            let mut session = buy::start(address, self.config, wish, self.running).await?;
            // It stands somewhere from when it has its key.
            let mut is_open = false;
            while !is_open && let Some(event) = session.events.recv().await {
                is_open = matches!(event, Event::Progress(_) | Event::Item { .. });
            }
            if !is_open {
                let why = session.done.await.map_or_else(|_| "it broke".to_owned(), |end| end.why);
                return Err(Failure::new(Exit::Failed, format!("a session does not open: {why}")));
            }
            open.push(actix::spawn(async move {
                let actor = session.actor.clone();
                while session.events.recv().await.is_some() {}
                actor.do_send(Stop::from(Reason::Stopped));
            }));
        }
        Ok(open)
    }
}

/// From dialling to a whole menu, in milliseconds: of a hundred the last but one.
fn menus_p99(address: &str, menus: usize) -> Outcome<f64> {
    let mut all = Vec::new();
    for _ in 0..menus {
        let began = Instant::now();
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(failed)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).map_err(failed)?;
        if !line.starts_with("{\"message_type\":\"menu\"") {
            return Err(Failure::new(Exit::Failed, format!("no menu came, but {line}")));
        }
        all.push(began.elapsed());
    }
    all.sort_unstable();
    Ok(part(&all, 99))
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error)
}
