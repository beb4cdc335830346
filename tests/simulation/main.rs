//! A seeded simulation of the whole: a seller's node and its buyers', lines between them, and two
//! ledgers, in virtual time.
//!
//! Real are both cores, the journal (on a disk in memory), the outbox with its planner and tables, what
//! ends interrupted sessions or builds them again on either side, and the audit. Modelled are what carries the cores (`carry.rs`, in the
//! order in which the program's actors do it), sockets (`lines.rs`), how a buyer finds a channel
//! (`funding.rs`: none is topped up) and the ledgers (`chain.rs`: they lose requests and answers, take
//! transactions late and twice, forget their pools and take blocks back). Nothing watches channels.
//!
//! A witness outside of it all holds the rules at each step, and the books are compared when a world is
//! over; [`plant::Rule`] names them. `SDPP_SEEDS=5000` makes a longer night of it, `SDPP_SEED=17` replays
//! one world exactly. Each fault that is planted has a test that looks for the first world in which it is
//! found out, and says how:
//!
//! | planted | found as | test |
//! |---|---|---|
//! | what is sent leaves before its record is durable | record before act | `catches_what_leaves_before_its_record` |
//! | a session's epoch stays in memory | record before act | `catches_an_epoch_that_is_not_written` |
//! | a voucher's ceiling stays in memory | within ceiling | `catches_a_voucher_above_its_ceiling` |
//! | one channel serves two sessions | one session a channel | `catches_a_channel_that_two_sessions_share` |
//! | fresh keys come from the same numbers | key once | `catches_a_key_that_is_drawn_again` |
//! | a source begins anew when a line comes back | file is whole | `catches_a_source_that_is_read_again` |
//! | an item is acknowledged before it is kept | kept before ack | `catches_an_ack_before_the_item_is_kept` |
//! | a transaction leaves before it is durable | bytes are durable | `catches_a_transaction_that_nothing_remembers` |
//! | what was not answered is signed under another number | met once | `catches_a_number_that_is_given_up` |
//! | a retry has another reference | books agree | `catches_a_retry_under_another_reference` |
//! | what stands in a block counts as final | met once | `catches_what_a_ledger_takes_back` |
//! | a claim is believed | within credit | `catches_a_claim_that_nobody_looked_at` |
//! | a refused payment counts as made | books, audit | `catches_a_refused_payment_that_counts` |
//! | a resumed session forgets what is unpaid | within credit, audit | `catches_a_resume_that_forgets_a_debt` |
//! | a debtor is served on credit | within credit | `catches_a_debtor_that_is_forgotten` |
//! | what a kill left open stays open | ends | `catches_a_session_that_a_kill_left_open` |
//! | a buyer goes on and does not read its file | file is whole | `catches_a_buyer_that_forgets_its_file` |
//! | a buyer goes on and forgets what it accepted and paid | goes on, audit | `catches_a_buyer_that_forgets_what_it_paid` |
//!
//! What these do not reach: what happens inside of a core's own step, and a disk that tears a write.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod books;
mod carry;
mod chain;
mod dice;
mod funding;
mod lines;
mod node;
mod outboxes;
mod peer;
mod plant;
mod rebuilding;
mod setup;
mod teller;
mod witness;
mod world;

use plant::{Plant, Rule, Wrong};
use std::collections::BTreeMap;
use world::World;

/// How many worlds there are where nobody says.
const SEEDS: u64 = 80;

/// How many of them have a trace that is told twice.
const REPLAYED: u64 = 3;

/// In how many worlds a planted fault must be found.
const FOUND_WITHIN: u64 = 400;

fn run(seed: u64, plant: Plant) -> (World, Result<(), Wrong>) {
    let mut world = World::new(seed, plant);
    let result = world.run();
    (world, result)
}

fn seeds() -> (u64, u64) {
    let told = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match told("SDPP_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, told("SDPP_SEEDS").unwrap_or(SEEDS)),
    }
}

#[test]
fn whatever_breaks_nothing_is_paid_twice_or_never_and_every_session_ends() {
    let ((from, to), started) = (seeds(), std::time::Instant::now());
    let told = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..4)
            .map(|part| {
                scope.spawn(move || {
                    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
                    for seed in (from..to).filter(|seed| seed % 4 == part) {
                        let (world, result) = run(seed, Plant::Nothing);
                        if let Err(Wrong { rule, what }) = result {
                            panic!("SDPP_SEED={seed}: {rule:?}: {what}");
                        }
                        let mut count = |what: String, by: u64| {
                            *counts.entry(what).or_default() += by;
                        };
                        count("crashes".to_owned(), world.crashes.into());
                        count("cuts".to_owned(), world.cuts.into());
                        let [sellers, buyers] = world.went_on;
                        count("sellers rebuilt".to_owned(), sellers.into());
                        count("buyers rebuilt".to_owned(), buyers.into());
                        count("steps".to_owned(), world.steps);
                        for outcome in &world.outcomes {
                            count(format!("{} {:?}", outcome.role, outcome.end), 1);
                        }
                    }
                    counts
                })
            })
            .collect();
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        for part in parts {
            for (what, count) in part.join().unwrap() {
                *all.entry(what).or_default() += count;
            }
        }
        all
    });
    println!("{} worlds in {:?}: {told:?}", to - from, started.elapsed());
    let often = ["crashes", "cuts", "sellers rebuilt", "buyers rebuilt"];
    assert!(to - from < SEEDS || often.iter().all(|what| told[*what] > 5), "{told:?}");
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..REPLAYED {
        let [one, other] = [(); 2].map(|()| {
            let (world, result) = run(seed, Plant::Nothing);
            assert!(result.is_ok(), "SDPP_SEED={seed}: {result:?}");
            (world.trace, world.steps, world.outcomes.len())
        });
        assert_eq!(one, other, "SDPP_SEED={seed}");
    }
}

/// Runs worlds with a fault until one of them is found wrong, which must be for one of these reasons. The
/// search begins where it was short when it was written.
fn is_caught(plant: Plant, from: u64, rules: &[Rule]) {
    for seed in from..from + FOUND_WITHIN {
        let Err(Wrong { rule, what }) = run(seed, plant).1 else { continue };
        println!("{plant:?}: SDPP_SEED={seed}: {rule:?}: {what:.300}");
        assert!(rules.contains(&rule), "{plant:?}: SDPP_SEED={seed}: {rule:?}: {what}");
        return;
    }
    panic!("nobody noticed {plant:?} in {FOUND_WITHIN} worlds");
}

macro_rules! caught {
    ($($name:ident: $plant:ident from $from:literal => $($rule:ident)|+;)*) => {
        $(
            #[test]
            fn $name() {
                is_caught(Plant::$plant, $from, &[$(Rule::$rule),+]);
            }
        )*
    };
}

caught! {
    catches_what_leaves_before_its_record: SendBeforeRecord from 0 => RecordBeforeAct;
    catches_an_epoch_that_is_not_written: EpochInMemory from 0 => RecordBeforeAct;
    catches_a_voucher_above_its_ceiling: CeilingInMemory from 1 => WithinCeiling;
    catches_a_channel_that_two_sessions_share: ShareChannels from 38 => OneSessionAChannel;
    catches_a_key_that_is_drawn_again: SameKeysAgain from 0 => KeyOnce;
    catches_a_source_that_is_read_again: RewindSource from 0 => FileIsWhole;
    catches_an_ack_before_the_item_is_kept: AckBeforeKept from 0 => KeptBeforeAck;
    catches_a_transaction_that_nothing_remembers: SubmitBeforePrepared from 0 => BytesAreDurable;
    catches_a_number_that_is_given_up: SignAgainWhenUnavailable from 14 => MetOnce;
    catches_a_retry_under_another_reference: OtherReferenceOnRetry from 14 => BooksAgree;
    catches_what_a_ledger_takes_back: BelieveInclusion from 1 => MetOnce;
    catches_a_claim_that_nobody_looked_at: BelieveClaims from 0 => WithinCredit;
    catches_a_refused_payment_that_counts: CountRefusedAsPaid from 32 => AuditClean | BooksAgree;
    catches_a_resume_that_forgets_a_debt: ForgetDebtOnResume from 149 => WithinCredit | AuditClean;
    catches_a_debtor_that_is_forgotten: ForgetDebtors from 113 => WithinCredit;
    catches_a_session_that_a_kill_left_open: LeaveInterrupted from 6 => Ends;
    catches_a_buyer_that_forgets_its_file: ForgetFile from 102 => FileIsWhole;
    catches_a_buyer_that_forgets_what_it_paid: ForgetInvoices from 6 => GoesOn | AuditClean;
}
