//! Programs that end, are killed or die, and are started again with the same command. The seller and
//! the ledger stay where they are for everybody: each is behind a relay.

use crate::place::*;
use crate::relay::Relay;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// A program that is gone, and its last words.
pub struct Gone {
    pub side: &'static str,
    pub status: ExitStatus,
    pub said: String,
}

impl Gone {
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(rustix::process::Signal::KILL.as_raw())
    }
}

/// Who has closed its standard error, with all that it said there.
type Closed = (&'static str, String);

/// The programs that run now, by what they are.
pub struct Stage {
    programs: BTreeMap<&'static str, Running>,
    closed: (Sender<Closed>, Receiver<Closed>),
    relays: BTreeMap<&'static str, Relay>,
}

impl Stage {
    pub fn new() -> Stage {
        Stage { programs: BTreeMap::new(), closed: mpsc::channel(), relays: BTreeMap::new() }
    }

    /// Where a side that listens, or will listen, is found.
    pub fn relay(&mut self, side: &'static str) -> &Relay {
        self.relays.entry(side).or_insert_with(Relay::new)
    }

    pub fn start(&mut self, side: &'static str, command: &mut Command) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut errors, closed) = (child.stderr.take().unwrap(), self.closed.0.clone());
        assert!(self.programs.insert(side, Running(child)).is_none(), "one {side} at a time");
        std::thread::spawn(move || {
            let mut said = Vec::new();
            errors.read_to_end(&mut said).unwrap();
            // Nobody listens any more where the story has failed.
            let _ = closed.send((side, String::from_utf8_lossy(&said).into_owned()));
        });
    }

    /// Starts a side that listens; false where it does not come so far.
    pub fn serve(&mut self, side: &'static str, command: &mut Command) -> bool {
        self.start(side, command);
        let told = self.programs.get_mut(side).unwrap().0.stdout.take().unwrap();
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening ").map(str::trim);
        let relay = self.relay(side);
        address.into_iter().for_each(|address| relay.leads_to(address));
        address.is_some()
    }

    pub fn signal(&self, side: &'static str, signal: &str) {
        self.programs[side].signal(signal);
    }

    /// The next program that is gone; `None` where none is after so long.
    pub fn next_gone(&mut self, within: Duration) -> Option<Gone> {
        let (side, said) = self.closed.1.recv_timeout(within).ok()?;
        let status = self.programs.remove(side).unwrap().wait();
        Some(Gone { side, status, said })
    }
}

impl Stage {
    /// Ends all that still runs: what each had said, for whoever has to find out what went wrong.
    pub fn last_words(&mut self) -> String {
        self.programs.values().for_each(|running| running.signal("KILL"));
        let mut all = String::new();
        while !self.programs.is_empty() {
            let Some(gone) = self.next_gone(Duration::from_secs(5)) else { break };
            all += &format!("\nthe {} had said: {}", gone.side, gone.said);
        }
        all
    }
}

/// A seller's command, as its config in this place says.
pub fn seller(place: &Place) -> Command {
    let mut sell = sdpp();
    sell.args(["sell", "--config"]).arg(place.path("seller.toml"));
    sell
}

/// Both books are sound, and owe nothing more.
pub fn books_are_settled(place: &Place, story: &str) {
    for side in ["seller", "buyer"] {
        ask(place, side, &["verify"]);
        assert_eq!(unsettled(place, side), "", "{story}: the {side} owes nothing more");
    }
}

/// What a side owes to ledgers and has not settled.
pub fn unsettled(place: &Place, side: &str) -> String {
    ask(place, side, &["list", "obligations", "--unsettled", "--json"]).trim().to_owned()
}

fn ask(place: &Place, side: &str, args: &[&str]) -> String {
    let mut journal = sdpp();
    journal.arg("journal").args(args).arg("--journal").arg(place.journal(side));
    let output = journal.output().unwrap();
    assert_done(&output);
    String::from_utf8(output.stdout).unwrap()
}
