//! The outbox against a flaky ledger, with a crash between any two steps, by a seed.

use super::ledger::{Dice, POISON, REJECTED, REVERTS, Toy, now};
use super::*;
use crate::journal::delivery::{Event, State};
use crate::journal::outbox::{Answer, Outbox, Policy, Step, perform};
use sdpp_ledger::{Finality, LedgerError};
use std::collections::BTreeMap;

/// Something that the outbox must never do; each must be found out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Plant {
    Nothing,
    SubmitBeforeCommit,
    SignAgainWhenUnavailable,
    ForgetReorgs,
}

struct World {
    dir: TempDir,
    journal: Option<Journal>,
    outbox: Outbox,
    toy: Toy,
    dice: Dice,
    now_ms: u64,
    plant: Plant,
    crashes: u32,
}

struct Crash;

impl World {
    fn new(seed: u64, plant: Plant) -> Self {
        // No power is cut here, so nothing is lost in memory.
        let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let mut dice = Dice(seed);
        let toy = Toy::new(seed, true);
        toy.chain().gateway = dice.one_in(3);
        toy.chain().refuses_roots = dice.one_in(4);
        let mut world = World {
            journal: None,
            outbox: outbox(1 + dice.roll() as usize % 4),
            dir,
            toy,
            dice,
            now_ms: NOW,
            plant,
            crashes: 0,
        };
        world.restart();
        world
    }

    fn restart(&mut self) {
        self.journal = None;
        let path = self.dir.path().join("journal");
        self.journal = Some(Journal::open(&path, us()).unwrap());
        self.outbox = outbox(1 + self.dice.roll() as usize % 4);
    }

    fn journal(&mut self) -> &mut Journal {
        self.journal.as_mut().unwrap()
    }

    fn commit(&mut self, writes: Vec<Write>) {
        let at = self.now_ms;
        for answer in self.journal().commit(at, writes).unwrap() {
            answer.unwrap();
        }
    }

    fn may_crash(&mut self) -> Result<(), Crash> {
        let crashes = self.toy.chain().faulty && self.crashes < 6 && self.dice.one_in(12);
        if crashes {
            self.crashes += 1;
            return Err(Crash);
        }
        Ok(())
    }

    /// One turn as an actor takes it.
    fn turn(&mut self) -> Result<usize, Crash> {
        let reader = self.journal().reader();
        let steps = self.outbox.plan(&reader, self.now_ms).unwrap();
        drop(reader);
        let count = steps.len();
        for step in steps {
            self.may_crash()?;
            let answer = self.ask(&step);
            self.may_crash()?;
            let jitter = self.dice.roll();
            let mut writes = self.outbox.outcome(step.clone(), answer.clone(), self.now_ms, jitter);
            self.sabotage(&step, &answer, &mut writes)?;
            self.commit(writes);
        }
        Ok(count)
    }

    fn ask(&self, step: &Step) -> Answer {
        now(perform(&self.toy, step))
    }

    fn sabotage(
        &mut self,
        step: &Step,
        answer: &Answer,
        writes: &mut Vec<Write>,
    ) -> Result<(), Crash> {
        match (self.plant, step, answer) {
            (Plant::SubmitBeforeCommit, _, Answer::Prepared(Ok(signed))) => {
                let signed = signed.clone();
                let _ = now(sdpp_ledger::Ledger::submit(&self.toy, &signed));
                self.may_crash()?;
            }
            (
                Plant::SignAgainWhenUnavailable,
                Step::Submit { delivery, .. },
                Answer::Submitted(Err(LedgerError::Unavailable { .. })),
            ) => {
                let (id, event, due_ms) = (delivery.clone(), Event::Replaced, self.now_ms);
                *writes = vec![Write::Delivery { id, event, due_ms }];
            }
            (
                Plant::ForgetReorgs,
                Step::Finality { delivery, .. },
                Answer::Finality(Ok(Finality::Unknown | Finality::Pending(None))),
            ) => {
                let row = self.journal().reader().delivery(delivery).unwrap().unwrap();
                if matches!(row.state, State::Included { .. }) {
                    let (id, due_ms) = (delivery.clone(), self.now_ms + 1_000);
                    let live = Live::Delivery(id);
                    *writes = vec![Write::Postpone { live, due_ms }];
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn weather(&mut self) {
        let faulty = self.toy.chain().faulty;
        if faulty && self.dice.one_in(6) {
            self.toy.chain().reorg();
        }
        if faulty && self.dice.one_in(8) {
            self.toy.chain().forget_pool();
        }
        self.toy.chain().mine();
    }

    /// Lets time pass until something is due.
    fn wait(&mut self) {
        let reader = self.journal().reader();
        let due_ms = self.outbox.next_due(&reader).unwrap();
        self.now_ms = self.now_ms.max(due_ms.unwrap_or(0)) + self.dice.roll() % 50;
    }

    fn live(&mut self, turns: u32, mut arrivals: Vec<Write>) {
        for _ in 0..turns {
            if !arrivals.is_empty() && self.dice.one_in(2) {
                let writes = vec![arrivals.remove(0)];
                self.commit(writes);
            }
            if self.turn().is_err() {
                self.restart();
            }
            self.weather();
            self.wait();
        }
        self.commit(arrivals);
    }

    /// What the outbox holds, for whoever has to find out why.
    fn outbox_now(&mut self) -> String {
        let reader = self.journal().reader();
        let mut said = String::new();
        for row in reader.unsettled(&ledger_id(), None, 20).unwrap() {
            said += &format!("\n{:?} {:?} {}", row.owed.act, row.state, row.due_ms);
        }
        for row in reader.deliveries(None, 30).unwrap() {
            said += &format!("\n{} {:?} {}", row.id.number, row.state, row.due_ms);
        }
        said
    }

    fn is_settled(&mut self) -> bool {
        self.journal().reader().counts().unwrap().unsettled.is_empty()
    }
}

fn outbox(anchors_at_most: usize) -> Outbox {
    let policy = Policy {
        anchors_at_most,
        redeems_at_most: 4,
        raise_after_ms: 5_000,
        in_flight_max: 3,
        poll_ms: 100,
        backoff_base_ms: 50,
        backoff_max_ms: 1_000,
    };
    Outbox::new(ledger_id(), account(1), policy)
}

/// A session's worth of things owed; the payments of `POISON` and the like end refused.
fn arrivals() -> Vec<Write> {
    let s = session(1);
    let pay = |number, units| {
        let mut owed = payment(s, number);
        let transfer = transfer(owed.reference, units);
        owed.act = Act::Do(Call::Transfer(transfer));
        append(s, invoice(number, Some(owed)))
    };
    let anchored = |number, held| append(s, invoice(number, Some(anchor(s, number, held))));
    vec![
        append(s, order()),
        anchored(1, true),
        pay(1, 10),
        append(s, claim(s, 100, tx("good-1"))),
        pay(2, POISON),
        anchored(2, false),
        pay(3, REJECTED),
        anchored(3, false),
        pay(4, 20),
        append(s, claim(s, 101, tx("bad-1"))),
        pay(5, REVERTS),
        anchored(4, true),
        pay(6, 30),
        append(s, ended("enough")),
    ]
}

/// What is wrong at the end, if anything.
fn run(seed: u64, plant: Plant) -> Result<(), String> {
    let mut world = World::new(seed, plant);
    let arrivals = arrivals();
    world.live(30, arrivals);
    world.toy.chain().faulty = false;
    for _ in 0..120 {
        if world.is_settled() {
            break;
        }
        world.live(1, Vec::new());
    }
    if !world.is_settled() {
        return Err(format!("never settled: {}", world.outbox_now()));
    }
    check_journal(&mut world)?;
    check_ledger(&mut world)
}

fn check_journal(world: &mut World) -> Result<(), String> {
    let reader = world.journal().reader();
    reader.verify().unwrap().map_err(|e| e.to_string())?;
    let mut settled: BTreeMap<Reference, Vec<&str>> = BTreeMap::new();
    for entry in reader.entries(0, PAGE_MAX).unwrap() {
        match entry.record {
            Record::Met { reference, .. } => settled.entry(reference).or_default().push("met"),
            Record::Refused { reference, .. } => {
                settled.entry(reference).or_default().push("refused");
            }
            _ => {}
        }
    }
    for row in reader.obligations(None, PAGE_MAX).unwrap() {
        let expected = match &row.owed.act {
            Act::Do(Call::Transfer(t)) if t.amount.units() >= POISON => "refused",
            Act::Check(claim) if claim.tx.as_str().starts_with("bad") => "refused",
            _ => "met",
        };
        let came_to = settled.remove(&row.owed.reference).unwrap_or_default();
        if came_to != [expected] {
            return Err(format!("{:?} was {came_to:?}", row.owed));
        }
    }
    for delivery in reader.deliveries(None, PAGE_MAX).unwrap() {
        if !reader.holds(&delivery).unwrap() {
            return Err(format!("{:?} is not what is owed", delivery.id));
        }
    }
    match settled.is_empty() {
        true => Ok(()),
        false => Err("something was settled that nobody owed".to_owned()),
    }
}

fn check_ledger(world: &mut World) -> Result<(), String> {
    let chain = world.toy.chain();
    let mut paid: BTreeMap<Reference, u32> = BTreeMap::new();
    let mut roots: BTreeMap<Digest, u32> = BTreeMap::new();
    for mined in chain.mined() {
        match &mined.call {
            Call::Transfer(transfer) => *paid.entry(transfer.reference).or_default() += 1,
            Call::Anchor(Anchor::Root { root, .. }) => *roots.entry(*root).or_default() += 1,
            Call::Anchor(Anchor::One { digest, .. }) => *roots.entry(*digest).or_default() += 1,
            _ => {}
        }
    }
    if let Some((reference, times)) = paid.iter().find(|(_, times)| **times > 1) {
        return Err(format!("{reference} was paid {times} times"));
    }
    if roots.values().any(|times| *times > 1) {
        return Err("something was anchored twice".to_owned());
    }
    if paid.len() != 4 {
        return Err(format!("{} payments took effect, not 4", paid.len()));
    }
    if let Some((number, _)) = chain.arrived.iter().find(|(_, raw)| raw.len() > 1) {
        return Err(format!("number {number} was used for two transactions"));
    }
    Ok(())
}

/// `SDPP_SEEDS=5000` makes a longer night of it.
#[test]
fn each_obligation_is_met_once_whatever_breaks() {
    let seeds = std::env::var("SDPP_SEEDS").map_or(250, |text| text.parse().unwrap());
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                for seed in (part..seeds).step_by(4) {
                    if let Err(wrong) = run(seed, Plant::Nothing) {
                        panic!("seed {seed}: {wrong}");
                    }
                }
            });
        }
    });
    println!("{seeds} seeds in {:?}", started.elapsed());
}

#[test]
fn each_planted_fault_is_found() {
    for plant in [Plant::SubmitBeforeCommit, Plant::SignAgainWhenUnavailable, Plant::ForgetReorgs] {
        let found = (0..60).find_map(|seed| Some((seed, run(seed, plant).err()?)));
        let (seed, wrong) = found.unwrap_or_else(|| panic!("nobody noticed {plant:?}"));
        println!("{plant:?}: seed {seed}: {wrong}");
    }
}
