//! `sdpp bench items`: what an item costs, and how many pass in a second, through the very parts that
//! sell and buy; beside what its arithmetic alone would take.

use super::bare::{Bare, Share};
use super::clock::cpu;
use super::market::{Market, Stall, new_key, seconds};
use super::relay::{Passed, Relay};
use super::report::{Figure, Report, Target, Telling};
use super::setting::{Setting, folder};
use crate::cli::audit::pool::cores;
use crate::cli::exit::Outcome;
use crate::cli::note;
use crate::cli::running::in_system;
use crate::terms::Method;
use clap::{Args, ValueEnum};
use std::rc::Rc;

/// How long an item is, in bytes.
const ITEM_BYTES: usize = 128;

/// K, and W.
const GRANULARITY: u32 = 100;
const CREDIT_WINDOWS: u32 = 8;

/// Sell items and measure what each takes of both sides.
///
/// Seller, buyers, their journals and the ledger live in this process, and meet over loopback. What is
/// measured is the processors' time of all of it, from the first connection until the last payment is
/// final, for each item; and the items of a second, from the first that arrives to the last. Fails where
/// what was delivered, owed and paid and what the ledger has are not the same.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp bench items --runs 5 --svg items.svg")]
pub(super) struct Items {
    /// How many items a run has; a tenth of that where they are signed.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    items: u64,
    /// How many runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    runs: u8,
    /// How many sessions all cores have at once.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    sessions: u16,
    /// Only this.
    #[arg(long, value_enum)]
    only: Option<Part>,
    #[command(flatten)]
    telling: Telling,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Signed items and acks, paid by transfer.
    Signed,
    /// MAC in place of signatures, one session and many, paid by voucher.
    Mac,
    /// The same, one session, each window paid by a transfer of its own.
    Transfer,
    /// Signed items, a voucher on each ack.
    Vouchers,
}

/// What one run measured.
#[derive(Clone, Copy)]
struct Run {
    /// Microseconds of a core for an item.
    cpu_us: f64,
    per_s: f64,
    bare: Bare,
}

impl Items {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        self.measure()?.tell(&self.telling)
    }

    /// Measures it.
    pub(super) fn measure(&self) -> Outcome<Report> {
        let asked = |part| self.only.is_none_or(|only| only == part);
        let (mut figures, mut acked) = (Vec::new(), Vec::new());
        if asked(Part::Signed) {
            let (runs, passed) = self.several(SIGNED, self.items / 10)?;
            figures.extend(signed_figures(&runs, &passed));
            figures.push(bytes_figure("bytes on the wire for an item, signed", &passed));
            acked.push(format!("{:.3} signed", acks(&passed)));
        }
        if asked(Part::Mac) {
            let (runs, passed) = self.several(MAC, self.items)?;
            figures.push(mac_figure(&runs, &passed).wants(Target::Most(10.0)));
            let one = runs.iter().map(|run| run.per_s);
            let one = Figure::of("items/s, one session, MAC", "/s", one);
            figures.push(one.wants(Target::Least(100_000.0)));
            figures.push(self.many(MAC, &runs)?);
            figures.push(bytes_figure("bytes on the wire for an item, MAC", &passed));
            acked.push(format!("{:.3} under a MAC", acks(&passed)));
        }
        if asked(Part::Transfer) {
            let (runs, _) = self.several(MAC_BY_TRANSFER, self.items / 10)?;
            let rate = runs.iter().map(|run| run.per_s);
            figures.push(Figure::of("items/s, the same, a transfer for each window", "/s", rate));
        }
        if asked(Part::Vouchers) {
            let (runs, passed) = self.several(VOUCHERS, self.items / 10)?;
            figures.push(voucher_figure(&runs, &passed));
            acked.push(format!("{:.3} with vouchers", acks(&passed)));
        }
        let (acked, bare) = (acked.join(", "), Bare::measure(ITEM_BYTES, GRANULARITY as usize)?);
        let notes = vec![format!(
            "Items of {ITEM_BYTES} bytes, K = {GRANULARITY}, W = {CREDIT_WINDOWS}, anchors at the end \
             of a session, the embedded ledger, loopback; MAC by voucher for each window. An ack covers \
             all that was read at once; acks for an item: {acked}. By themselves, on all cores at once: \
             {bare}."
        )];
        Ok(Report { setting: Setting::here(), figures, notes })
    }

    /// So many runs of one session, and what passes in one more.
    fn several(&self, mode: Mode, items: u64) -> Outcome<(Vec<Run>, Passed)> {
        let mut runs = Vec::new();
        for number in 1..=self.runs {
            let run = mode.run((1, 1), items)?;
            let Run { cpu_us, per_s, .. } = run;
            note(format_args!("{mode}, run {number}: {cpu_us:.2} us an item, {per_s:.0} items/s"));
            runs.push(run);
        }
        Ok((runs, mode.passes(items.min(20_000))?))
    }

    /// Many sessions at once, beside one.
    fn many(&self, mode: Mode, ones: &[Run]) -> Outcome<Figure> {
        let sessions = usize::from(self.sessions);
        let mut runs = Vec::new();
        for one in ones {
            let run = mode.run((cores().min(sessions), sessions), self.items)?;
            note(format_args!("{sessions} sessions: {:.2} us, {:.0}/s", run.cpu_us, run.per_s));
            runs.push((run.per_s, one.per_s));
        }
        let what = format!("items/s, {sessions} sessions, MAC");
        let figure = Figure::beside(what, "/s", &runs, "one session's");
        Ok(figure.wants(Target::LeastOfBound(1.6)))
    }
}

/// How items are proven and paid.
#[derive(Clone, Copy)]
struct Mode {
    is_signed: bool,
    method: Method,
}

const SIGNED: Mode = Mode { is_signed: true, method: Method::Transfer };
const MAC: Mode = Mode { is_signed: false, method: Method::Escrow };
const MAC_BY_TRANSFER: Mode = Mode { is_signed: false, method: Method::Transfer };
const VOUCHERS: Mode = Mode { is_signed: true, method: Method::Escrow };

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let proof = if self.is_signed { "signed" } else { "MAC" };
        write!(f, "{proof}, {}", self.method)
    }
}

impl Mode {
    fn stall(self, items: u64, sessions: usize) -> Stall {
        Stall {
            items,
            item_bytes: ITEM_BYTES,
            granularity: GRANULARITY,
            credit_windows: CREDIT_WINDOWS,
            is_signed: self.is_signed,
            method: self.method,
            has_records: true,
            sessions_max: sessions.max(128),
            ledger: None,
        }
    }

    /// So many buyers with so many sessions in all.
    fn run(self, (buyers, sessions): (usize, usize), items: u64) -> Outcome<Run> {
        let before = Bare::measure(ITEM_BYTES, GRANULARITY as usize)?;
        let (per_session, dir) = ((items / sessions as u64).max(1), folder()?);
        let (cpu_us, per_s) = in_system(async move {
            let market = Market::open(self.stall(per_session, sessions), Rc::new(dir)).await?;
            let (began, address) = (cpu(), market.address.clone());
            let mut threads = Vec::new();
            for number in 0..buyers {
                let share = sessions / buyers + usize::from(number < sessions % buyers);
                threads.push(
                    market.buyer((number, new_key()?), (share, per_session), &address).await?,
                );
            }
            let bought = market.close(threads).await?;
            let took = cpu().saturating_sub(began);
            let items: u64 = bought.iter().map(|one| one.items).sum();
            Ok((took.as_secs_f64() * 1e6 / items as f64, items as f64 / seconds(&bought)))
        })?;
        let bare = before.and(&Bare::measure(ITEM_BYTES, GRANULARITY as usize)?);
        Ok(Run { cpu_us, per_s, bare })
    }

    /// One session through a relay that counts.
    fn passes(self, items: u64) -> Outcome<Passed> {
        let dir = folder()?;
        in_system(async move {
            let market = Market::open(self.stall(items, 1), Rc::new(dir)).await?;
            let relay = Relay::to(&market.address)?;
            let buyer = market.buyer((0, new_key()?), (1, items), &relay.address).await?;
            market.close(vec![buyer]).await?;
            Ok(relay.passed())
        })
    }
}

/// Items that passed: each stands in a message of its own, or in an invoice.
fn items(passed: &Passed) -> f64 {
    (passed.of("data").0 + passed.of("data_invoice").0) as f64
}

fn acks(passed: &Passed) -> f64 {
    passed.of("ack").0 as f64 / items(passed)
}

/// What a window signs beside its items: the payment's message, and by transfer its transaction.
fn of_window(signatures: f64) -> f64 {
    signatures / f64::from(GRANULARITY)
}

fn signed_figures(runs: &[Run], passed: &Passed) -> [Figure; 2] {
    let beside = |acks: f64| {
        let share = Share { signatures: 1.0 + acks + of_window(2.0), tags: 0.0 };
        runs.iter().map(move |run| (run.cpu_us, run.bare.item(share))).collect::<Vec<_>>()
    };
    let what = "CPU an item, both sides, signed";
    let as_it_was = "of what was signed, sealed and hashed";
    let one_each = "with an ack for each item";
    [
        Figure::beside(what, "us", &beside(1.0), one_each).wants(Target::MostOfBound(1.15)),
        Figure::beside(
            format!("{what}, by the acks that left"),
            "us",
            &beside(acks(passed)),
            as_it_was,
        ),
    ]
}

fn mac_figure(runs: &[Run], passed: &Passed) -> Figure {
    let share = Share { signatures: of_window(3.0), tags: 1.0 + acks(passed) };
    let runs: Vec<_> = runs.iter().map(|run| (run.cpu_us, run.bare.item(share))).collect();
    Figure::beside(
        "CPU an item, both sides, MAC",
        "us",
        &runs,
        "its tags, seals, hashes, signatures",
    )
}

fn voucher_figure(runs: &[Run], passed: &Passed) -> Figure {
    // An ack brings two signatures then, and so does the message that pays a window.
    let share = Share { signatures: 1.0 + 2.0 * acks(passed) + of_window(2.0), tags: 0.0 };
    let runs: Vec<_> = runs.iter().map(|run| (run.cpu_us, run.bare.item(share))).collect();
    let what = "CPU an item, both sides, signed, a voucher on each ack";
    Figure::beside(what, "us", &runs, "of what was signed, sealed and hashed")
}

fn bytes_figure(what: &str, passed: &Passed) -> Figure {
    Figure::of(what, "B", [passed.bytes() as f64 / items(passed)])
}
