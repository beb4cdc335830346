//! A side dies at a write of its journal, by its own SIGKILL: before anything of the write is there,
//! when it is applied in memory, when it is in the file and not synced, when it is synced and nobody
//! was answered. It is started again with the same command, and the session that it died in goes on to
//! its end: nothing is lost, paid twice or given away.
//!
//! In the suite these are some writes of a session, by a seed that is printed (`SDPP_KILLS_SEED`).
//! `SDPP_KILLS=all` has each write, one after the other, until one is beyond the last; from the one on
//! that `SDPP_KILLS_FIRST` says.

use crate::place::*;
use crate::stage::*;
use serde_json::Value;
use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

/// How far a write may have come.
const MOMENTS: [&str; 4] = ["before", "applied", "flushed", "synced"];

/// What is ordered, how it is paid, and what an item costs.
const ITEMS: usize = 12;
const SETTING: (u32, u32) = (3, 2);
const PRICE: u128 = 20;

/// How many writes a session has at least, so that most of those that are picked happen.
const WRITES: u64 = 24;

/// How many are picked for each story of the suite.
const PICKED: u64 = 3;

/// How often a buyer types the same at most.
const TRIES: usize = 4;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who dies, and when.
#[derive(Clone, Copy)]
struct Doom {
    side: &'static str,
    write: u64,
    moment: &'static str,
}

impl fmt::Display for Doom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} at its write {}, {}", self.side, self.write, self.moment)
    }
}

/// An order, and a side that dies over it.
struct Story {
    doom: Doom,
    stage: Stage,
    place: Place,
    has_died: bool,
    /// It is started again when the other side has nothing left to do, and not at once.
    is_late: bool,
    /// How many files of items were put aside.
    aside: usize,
}

impl Story {
    fn begin(setting: Setting, doom: Doom) -> Story {
        let (granularity, credit_windows) = SETTING;
        let setting = Setting { granularity, credit_windows, patience_ms: 5_000, ..setting };
        let place = Place::before_the_seller(setting);
        place.buyer("buyer", 1_000_000);
        Story { doom, stage: Stage::new(), place, has_died: false, is_late: false, aside: 0 }
    }

    /// A side dies where it is to die, once.
    fn doomed(&self, side: &str, mut command: Command) -> Command {
        let Doom { write, moment, .. } = self.doom;
        if side == self.doom.side && !self.has_died {
            command.env("SDPP_DIES_AT", format!("{write}:{moment}"));
        }
        command
    }

    fn next_gone(&mut self) -> Gone {
        let gone = self.stage.next_gone(PATIENCE);
        let gone = gone.unwrap_or_else(|| panic!("{}: nothing happens", self.doom));
        if gone.was_killed() {
            assert!(!self.has_died && gone.side == self.doom.side, "{}: {}", self.doom, gone.said);
            self.has_died = true;
        }
        gone
    }

    /// Starts the seller, once more where it dies before it listens.
    fn sell(&mut self) {
        loop {
            let mut sell = self.doomed("seller", seller(&self.place));
            if self.stage.serve("seller", &mut sell) {
                return;
            }
            let gone = self.next_gone();
            assert!(gone.was_killed(), "{}: it does not start: {}", self.doom, gone.said);
        }
    }

    fn buy(&mut self) {
        let address = self.stage.relay("seller").address.clone();
        let buy = buy(self.place.dir.path(), "buyer", &[&address, "co2", "12"]);
        let mut buy = self.doomed("buyer", buy);
        self.stage.start("buyer", &mut buy);
    }

    /// What was bought is paid for, and never written over: another order has another file.
    fn put_items_aside(&mut self) {
        let items = self.place.items("buyer");
        // An empty one is in nobody's way.
        if items.metadata().is_ok_and(|file| file.len() > 0) {
            assert_eq!(lines(&items), ITEMS, "{}: its session was over", self.doom);
            self.aside += 1;
            std::fs::rename(items, self.place.path(&format!("aside.{}", self.aside))).unwrap();
        }
    }

    /// Until the buyer has what it ordered, and the seller has ended in good order.
    fn run(&mut self) {
        self.sell();
        self.buy();
        let mut tries = 1;
        loop {
            let gone = self.next_gone();
            match gone.side {
                "seller" => {
                    assert!(gone.was_killed(), "{}: {}", self.doom, gone.said);
                    self.sell();
                }
                _ if gone.status.success() => break,
                _ => {
                    tries += 1;
                    if gone.was_killed() && self.is_late {
                        self.wait_for_seller();
                    }
                    assert!(tries <= TRIES, "{}: {}", self.doom, gone.said);
                    if !gone.was_killed() {
                        println!("{}: {}", self.doom, gone.said.trim());
                        self.put_items_aside();
                    }
                    self.buy();
                }
            }
        }
        self.close();
    }

    /// Until the seller owes its ledger nothing more.
    fn wait_for_seller(&self) {
        let since = Instant::now();
        while !unsettled(&self.place, "seller").is_empty() {
            assert!(since.elapsed() < PATIENCE, "{}: the seller is not done", self.doom);
        }
    }

    fn close(&mut self) {
        loop {
            self.stage.signal("seller", "TERM");
            let gone = self.next_gone();
            if !gone.was_killed() {
                return assert!(gone.status.success(), "{}: {}", self.doom, gone.said);
            }
            self.sell();
        }
    }

    /// The sessions whose keys stand in the buyer's journal: those that go on.
    fn with_key(&self) -> Vec<Value> {
        let mut list = sdpp();
        list.args(["journal", "list", "entries", "--json", "--limit", "100000", "--journal"]);
        let output = list.arg(self.place.journal("buyer")).output().unwrap();
        assert_done(&output);
        let entries = statements(&output.stdout).into_iter();
        let first =
            |entry: &Value| entry["record"]["record"] == "epoch" && entry["record"]["epoch"] == 0;
        entries.filter(first).map(|entry| entry["session"].clone()).collect()
    }

    /// Both books are sound and agree with each other and with the ledger.
    fn check(&self) {
        let doom = self.doom;
        books_are_settled(&self.place, &doom.to_string());
        let (sold, bought) = (self.place.audit("seller"), self.place.audit("buyer"));
        let with_key = self.with_key();
        let worth = PRICE * ITEMS as u128;
        for one in sold.iter().chain(&bought) {
            let (owed, paid) = (amount(&one["invoiced"]), amount(&one["paid"]));
            match with_key.contains(&one["session"]) {
                true => assert_eq!((owed, paid), (worth, worth), "{doom}: it is whole: {one}"),
                // The seller may have said a window or two before it heard that nobody is there.
                false => {
                    let within = u128::from(SETTING.0 * SETTING.1) * PRICE;
                    assert!(paid == 0 && owed <= within, "{doom}: it never began: {one}");
                }
            }
            let is_complete = one["state"] == "complete";
            assert_eq!(is_complete, with_key.contains(&one["session"]), "{doom}: {one}");
        }
        for session in &with_key {
            let has = |side: &[Value]| side.iter().any(|one| one["session"] == *session);
            assert!(has(&sold) && has(&bought), "{doom}: {sold:?} {bought:?}");
        }
        // A command that is typed again when its session was over orders again.
        assert_eq!(with_key.len(), 1 + self.aside, "{doom}: {bought:?}");
        let landed = self.place.balance("seller");
        assert_eq!(landed, worth * with_key.len() as u128, "{doom}: each is paid once");
        let files = (1..=self.aside).map(|nth| self.place.path(&format!("aside.{nth}")));
        for file in files.chain([self.place.items("buyer")]) {
            let items = std::fs::read_to_string(file).unwrap();
            assert_eq!(items.lines().collect::<Vec<_>>(), co2_items(ITEMS), "{doom}");
        }
    }
}

/// Lives through a death. Whether there was one: not where the write is beyond the last.
fn lives_through(setting: &Setting, doom: Doom) -> bool {
    live(Story::begin(setting.clone(), doom))
}

fn live(mut story: Story) -> bool {
    let doom = story.doom;
    story.run();
    story.check();
    println!("{doom}: {}", if story.has_died { "it died" } else { "it had no such write" });
    story.has_died
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Has a side die at some writes, or at each.
fn dies(side: &'static str, setting: Setting) {
    if std::env::var("SDPP_KILLS").as_deref() == Ok("all") {
        let first = number("SDPP_KILLS_FIRST", 1);
        let died = |write| {
            let at = |moment| lives_through(&setting, Doom { side, write, moment });
            MOMENTS.into_iter().filter(|moment| at(moment)).count()
        };
        let beyond = (first..).find(|write| died(*write) == 0).unwrap();
        return println!("the {side} has {} writes", beyond - 1);
    }
    let seed = number("SDPP_KILLS_SEED", 1);
    println!("SDPP_KILLS_SEED={seed}");
    let picked = (0..PICKED).map(|n| {
        let story = format!("{seed} {n} {side} {}", setting.methods);
        let dice = sdpp_ledger::keccak(&[story.as_bytes()]).0;
        let (write, moment) = (1 + u64::from(dice[0]) % WRITES, MOMENTS[usize::from(dice[1]) % 4]);
        Doom { side, write, moment }
    });
    let died = picked.filter(|doom| lives_through(&setting, *doom)).count();
    assert!(died > 0, "none of these deaths happened");
}

fn by_transfer() -> Setting {
    // Less than a seller that is told to end waits for whoever does not come back.
    Setting { resume_s: 8, ..Setting::default() }
}

fn by_escrow() -> Setting {
    Setting { methods: "[\"escrow\"]", ..by_transfer() }
}

#[test]
fn a_seller_that_dies_at_a_write_loses_nothing_by_transfer() {
    dies("seller", by_transfer());
}

#[test]
fn a_buyer_that_dies_at_a_write_loses_nothing_by_transfer() {
    dies("buyer", by_transfer());
}

#[test]
fn a_seller_that_dies_at_a_write_loses_nothing_by_escrow() {
    dies("seller", by_escrow());
}

#[test]
fn a_buyer_that_dies_at_a_write_loses_nothing_by_escrow() {
    dies("buyer", by_escrow());
}

/// The last words are said, and it is killed before they are in its journal: its seller ends the session
/// and closes the channel, and the same command finds out.
#[test]
fn a_buyer_that_died_over_its_last_words_hears_how_it_ended_when_its_channel_is_closed() {
    let died = (16..=18).filter(|write| {
        let doom = Doom { side: "buyer", write: *write, moment: "before" };
        live(Story { is_late: true, ..Story::begin(by_escrow(), doom) })
    });
    assert_eq!(died.count(), 3, "each of these deaths happened");
}
