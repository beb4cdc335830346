//! Sellers that are killed and started again: what is not in their journal is gone, and the session goes
//! on all the same.

use crate::cuts::{Chance, both_have_the_same, chances, run};
use crate::line::*;
use crate::pair::{Role, Setting, ledger};
use proptest::prelude::*;
use sdpp::message::Reason;
use sdpp::session::Input;

/// Lets so many things happen. Whether there were so many.
fn steps(wire: &mut Wire, count: usize) -> bool {
    (0..count).all(|_| wire.step())
}

fn killed_after_any_step(feeds_early: bool) {
    for (what, setting) in SETTINGS {
        let mut killed = 0;
        for at in 0..400 {
            let mut wire = Wire::new(setting());
            wire.pair.feeds_early = feeds_early;
            if !steps(&mut wire, at) {
                break;
            }
            let has_key = wire.pair.buyer.terms().is_some();
            if !has_key || wire.pair.s.closed.is_some() {
                continue;
            }
            println!("{what}: killed after step {at}");
            wire.restart(true).unwrap();
            wire.finish();
            is_whole(&wire, 10);
            killed += 1;
        }
        assert!(killed > 20, "{what}: {killed}");
    }
}

#[test]
fn a_seller_that_is_killed_after_any_step_goes_on_from_its_journal() {
    killed_after_any_step(false);
}

/// Its source is asked while records are on their way to the disk, and never at the place where it stood
/// before it is to be opened anew.
#[test]
fn a_seller_that_goes_on_sells_nothing_before_its_source_is_where_it_is_to_be() {
    killed_after_any_step(true);
}

/// Killed at one step and killed again some steps later, and the line breaks for one side between.
#[test]
fn a_seller_that_is_killed_again_and_again_goes_on_from_its_journal() {
    for (what, setting) in SETTINGS {
        for at in (0..200).step_by(7) {
            for then in [1, 5, 14] {
                let mut wire = Wire::new(setting());
                if !steps(&mut wire, at) || wire.pair.buyer.terms().is_none() {
                    continue;
                }
                println!("{what}: killed after step {at} and each {then} steps after that");
                for _ in 0..4 {
                    if wire.pair.s.closed.is_none() {
                        wire.restart(true).unwrap();
                    }
                    steps(&mut wire, then);
                }
                wire.finish();
                is_whole(&wire, 10);
            }
        }
    }
}

/// A seller that is stopped, and killed before it has said goodbye, does not say later that there is no more.
#[test]
fn a_seller_that_was_killed_as_it_stopped_has_stopped() {
    let mut killed = 0;
    for at in 0..40 {
        let mut wire =
            Wire::new(resumable(Setting::default().order("co2", Some(20)).windows(4, 2)));
        wire.run_to(6);
        wire.pair.tell(Role::Seller, Input::Stop(Reason::Stopped));
        if !steps(&mut wire, at) || wire.restart(true).is_err() {
            break;
        }
        wire.finish();
        let (delivered, why) = (wire.pair.b.delivered.len(), wire.pair.b.why());
        assert!(delivered == 20 || why == "the seller stopped", "{at}: {delivered} items: {why}");
        killed += usize::from(delivered < 20);
    }
    assert!(killed > 0);
}

/// A seller that was killed after so many steps, where there are so many, and then has yet to read again what
/// left before.
fn killed_at(mut wire: Wire, at: usize) -> Option<Option<Wire>> {
    if !steps(&mut wire, at) {
        return None;
    }
    if wire.pair.buyer.terms().is_none() || wire.pair.s.closed.is_some() {
        return Some(None);
    }
    wire.restart(true).unwrap();
    wire.run_without_feeding();
    let is_over = wire.pair.s.closed.is_some() || wire.pair.b.closed.is_some();
    Some((wire.pair.seller.wants() > 0 && !is_over).then_some(wire))
}

/// What left before is read from a file that takes its time. The buyer has answered what it has, and can
/// answer nothing that it lacks. Where the line breaks meanwhile it comes back once more.
#[test]
fn a_buyer_is_not_late_while_its_seller_reads_again_what_left_before() {
    for (what, setting) in SETTINGS {
        let mut waited = 0;
        for at in (0..400).step_by(3) {
            let Some(read) = killed_at(Wire::new(setting()), at) else { break };
            let Some(mut wire) = read else { continue };
            println!("{what}: killed after step {at}");
            for _ in 0..30 {
                wire.pair.now_ms += 1_000;
                wire.pair.seller.handle_timeout(wire.pair.now_ms);
                wire.pair.buyer.handle_timeout(wire.pair.now_ms);
                wire.run_without_feeding();
            }
            if at % 2 == 0 {
                wire.cut();
            }
            wire.finish();
            is_whole(&wire, 10);
            waited += 1;
        }
        assert!(waited > 10, "{what}: {waited}");
    }
}

/// Its ledger makes nothing final all that while: the session ends when all is read, and until then there is
/// nothing to wake up for because of that.
#[test]
fn a_seller_whose_ledger_is_late_while_it_reads_again_hears_of_that_once() {
    for (what, setting) in SETTINGS.into_iter().filter(|(what, _)| what.starts_with("transfer")) {
        let mut waited = 0;
        for at in (0..400).step_by(3) {
            let mut wire = Wire::new(setting());
            wire.pair.stalled.insert(ledger());
            let Some(read) = killed_at(wire, at) else { break };
            let Some(mut wire) = read else { continue };
            println!("{what}: killed after step {at}");
            wire.pair.now_ms += 150_000;
            for _ in 0..3 {
                wire.pair.seller.handle_timeout(wire.pair.now_ms);
            }
            let wakes_ms = wire.pair.seller.poll_timeout();
            assert!(wakes_ms.is_none_or(|wakes_ms| wakes_ms > wire.pair.now_ms), "{wakes_ms:?}");
            waited += 1;
        }
        assert!(waited > 2, "{what}: {waited}");
    }
}

/// Its source gives what left before in two parts, and its buyer has acknowledged both by then.
#[test]
fn a_seller_that_is_killed_takes_an_ack_when_all_of_it_is_read_again() {
    let chance = Chance {
        escrow: false,
        signed: true,
        before: false,
        records: true,
        granularity: 1,
        credit_windows: 1,
        quantity: 18,
        read_max: 1_000,
        live: false,
        // The line breaks, the seller is killed, the ledger is away, K and W grow, and it is killed again.
        events: vec![(15, 0), (56, 8), (58, 7), (70, 6), (149, 8)],
    };
    both_have_the_same(&run(&chance), &chance).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn sellers_that_are_killed_anywhere_lose_nothing_and_double_nothing(chance in chances(12)) {
        let wire = run(&chance);
        both_have_the_same(&wire, &chance)?;
    }
}
