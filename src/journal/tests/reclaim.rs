//! Stories of a buyer that gets back what is left in its channels: each step is owed once, when it
//! is time, whatever is asked again and wherever a crash falls.

use super::watch::*;
use super::*;
use crate::journal::reclaim::{Doing, Reclaim};
use crate::journal::watch::{AGAIN_MS, Step, View, Wish};
use sdpp_ledger::{ChangeKind, Evidence};

/// How long a channel of these stories may be idle.
const AFTER: u64 = 600_000;

fn idle() -> Wish {
    Wish::Idle { after_ms: AFTER, keeps: false }
}

/// What is owed to get back what is left, in the order in which it was.
fn owed(journal: &Journal) -> Vec<(Call, Reference)> {
    let entries = journal.reader().entries(0, PAGE_MAX).unwrap();
    let told = entries.into_iter().filter_map(|entry| match entry.record {
        Record::Reclaiming { owed: Owed { act: Act::Do(call), reference, .. }, .. } => {
            Some((call, reference))
        }
        _ => None,
    });
    told.collect()
}

fn steps(journal: &Journal) -> Vec<Step> {
    let step = |(call, _): &(Call, Reference)| match call {
        Call::RequestClose(at) if at.channel == CHANNEL => Step::RequestClose,
        Call::Withdraw(at) if at.channel == CHANNEL => Step::Withdraw,
        other => panic!("{other:?}"),
    };
    owed(journal).iter().map(step).collect()
}

/// Wishes the channel's rest back at some time; whether that made something owed.
fn reclaim(journal: &mut Journal, now_ms: u64, wish: Wish, ledger_ms: Option<u64>) -> bool {
    let reclaim = Reclaim { channel: CHANNEL, wish, ledger_ms };
    let foretold = journal.reader().must_reclaim(&reclaim, now_ms).unwrap().is_some();
    let answer = journal.commit(now_ms, vec![Write::Reclaim(reclaim)]).unwrap().remove(0).unwrap();
    assert_eq!(answer.seq.is_some(), foretold, "who reads foresees what is written");
    assert_eq!(answer.ledgers, if foretold { vec![ledger_id()] } else { vec![] });
    foretold
}

/// A buyer's journal with an open channel of which some is left, unused since `NOW`.
fn open_channel() -> (Dir, Journal) {
    let (dir, mut journal) = funded();
    done(&mut journal, seen(view(50), 2));
    (dir, journal)
}

fn doing(journal: &Journal) -> Doing {
    journal.reader().remainders().unwrap().remove(0).doing
}

/// What was owed last is done, for good.
fn met(journal: &mut Journal) {
    let reference = owed(journal).pop().unwrap().1;
    let call = owed(journal).pop().unwrap().0;
    let us = account(1);
    let number = journal.reader().numbers(&ledger_id(), &us).unwrap().next;
    let id = DeliveryId { ledger: ledger_id(), account: us.clone(), number };
    let tx = tx(&format!("0xee{number:04}"));
    let (raw, fee) = (vec![1], Amount::ZERO);
    let signed = sdpp_ledger::Signed { number, tx: Some(tx.clone()), raw, fee };
    let (ledger, references) = (ledger_id(), vec![reference]);
    let prepare = Prepare { ledger, account: us, call, references, head: None, signed };
    done(journal, Write::Prepare(Box::new(prepare)));
    let sent = delivery::Event::Sent { tx: tx.clone() };
    done(journal, Write::Delivery { id: id.clone(), event: sent, due_ms: NOW });
    let evidence = Evidence { fee, ..Evidence::new(tx, 3, "0xb3", NOW) };
    done(journal, Write::Delivery { id, event: delivery::Event::Final { evidence }, due_ms: NOW });
}

fn refused(journal: &mut Journal, now_ms: u64, why: &str) {
    let reference = owed(journal).pop().unwrap().1;
    let event = obligation::Event::Refused { why: why.to_owned() };
    let write = Write::Obligation { reference, event };
    journal.commit(now_ms, vec![write]).unwrap().remove(0).unwrap();
}

/// The state can be read ahead of what is told: a top-up of a session that was killed came between.
#[test]
fn a_request_that_a_top_up_took_back_can_be_made_again() {
    let (_dir, mut journal) = open_channel();
    assert!(reclaim(&mut journal, NOW + AFTER, idle(), None));
    met(&mut journal);
    done(&mut journal, heard(vec![change(3, asked_to_close())], 4));
    done(&mut journal, seen(view(60), 5));
    let topped_up = ChangeKind::ToppedUp { deposit: Amount::new(60) };
    done(&mut journal, heard(vec![change(4, topped_up)], 6));
    assert!(watched(&journal).may_open());
    assert!(reclaim(&mut journal, NOW + 9 * AFTER, Wish::Asked, None));
    assert_eq!(steps(&journal), [Step::RequestClose, Step::RequestClose]);
}

#[test]
fn an_idle_channel_is_asked_to_be_closed_once_and_then_withdrawn_once() {
    let (dir, mut journal) = open_channel();
    assert!(!reclaim(&mut journal, NOW + AFTER - 1, idle(), None), "its seller may close it first");
    assert_eq!(doing(&journal), Doing::Nothing);
    assert!(watched(&journal).may_open());
    assert!(reclaim(&mut journal, NOW + AFTER, idle(), None));
    assert!(!watched(&journal).may_open(), "a top-up would take the request back");
    for _ in 0..2 {
        assert!(!reclaim(&mut journal, NOW + 9 * AFTER, idle(), None), "it is under way");
        assert!(!reclaim(&mut journal, NOW + 9 * AFTER, Wish::Asked, None));
        assert_eq!(doing(&journal), Doing::Owed(Step::RequestClose));
    }
    drop(journal);
    let mut journal = dir.open();
    met(&mut journal);
    assert!(
        !reclaim(&mut journal, NOW + 9 * AFTER, Wish::Asked, None),
        "the watch is not told yet"
    );
    done(&mut journal, heard(vec![change(3, asked_to_close())], 4));
    assert_eq!(doing(&journal), Doing::Closing(READY));
    assert!(!reclaim(&mut journal, READY - 1, idle(), Some(READY - 1)), "the grace period runs");
    assert!(!reclaim(&mut journal, READY + 1, idle(), Some(READY - 1)), "by the ledger's clock");
    drop(journal);
    let mut journal = dir.open();
    assert!(reclaim(&mut journal, READY - 1, idle(), Some(READY)));
    assert!(!reclaim(&mut journal, READY, idle(), Some(READY)));
    assert_eq!(doing(&journal), Doing::Owed(Step::Withdraw));
    met(&mut journal);
    assert!(!reclaim(&mut journal, READY + 9 * AFTER, Wish::Asked, Some(READY)));
    done(&mut journal, heard(vec![change(5, ChangeKind::Withdrawn)], 6));
    assert!(!reclaim(&mut journal, READY + 99 * AFTER, Wish::Asked, None), "it is over");
    assert_eq!(steps(&journal), [Step::RequestClose, Step::Withdraw]);
    assert_eq!(journal.reader().remainders().unwrap(), []);
    assert!(journal.reader().verify().unwrap().is_ok());
}

#[test]
fn a_ledger_that_makes_no_blocks_is_believed_to_be_a_minute_behind() {
    let closing = View { ready_ms: Some(READY), ..view(50) };
    for (wish, late_ms) in [(idle(), 60_000), (Wish::Asked, 0)] {
        let (_dir, mut journal) = funded();
        done(&mut journal, seen(closing.clone(), 2));
        assert!(!reclaim(&mut journal, READY + late_ms - 1, wish, Some(NOW)));
        assert!(reclaim(&mut journal, READY + late_ms, wish, Some(NOW)));
        assert_eq!(steps(&journal), [Step::Withdraw], "whoever asked to close it");
    }
}

#[test]
fn whatever_a_session_makes_of_a_channel_puts_the_time_off() {
    let late = NOW + AFTER - 1;
    for use_of_it in [ceiling(10), spent(0, true), spent(0, false)] {
        let (_dir, mut journal) = open_channel();
        journal.commit(late, vec![use_of_it]).unwrap().remove(0).unwrap();
        assert!(!reclaim(&mut journal, late + AFTER - 1, idle(), None));
        assert!(reclaim(&mut journal, late + AFTER, idle(), None));
    }
}

#[test]
fn a_kept_channel_stays_open_until_a_person_asks_or_a_session_has_left_it() {
    let kept = Wish::Idle { after_ms: AFTER, keeps: true };
    let (_dir, mut journal) = open_channel();
    done(&mut journal, spent(0, true));
    assert!(!reclaim(&mut journal, NOW + 99 * AFTER, kept, None));
    assert!(watched(&journal).may_open());
    assert!(reclaim(&mut journal, NOW, Wish::Asked, None));
    met(&mut journal);
    done(&mut journal, heard(vec![change(3, asked_to_close())], 4));
    assert!(reclaim(&mut journal, READY, kept, Some(READY)), "what was begun is ended");
    let (_dir, mut journal) = open_channel();
    done(&mut journal, spent(0, false));
    assert!(reclaim(&mut journal, NOW + AFTER, kept, None), "its seller takes it no more");
}

#[test]
fn nothing_is_reclaimed_where_nothing_is_ours_to_have() {
    let far = NOW + 99 * AFTER;
    let (_dir, mut journal) = funded();
    assert!(!reclaim(&mut journal, far, Wish::Asked, None), "its ledger was not asked for it yet");
    done(&mut journal, seen(View { settled: Amount::new(50), ..view(50) }, 2));
    assert!(!reclaim(&mut journal, far, Wish::Asked, None), "all of it is the seller's");
    let dir = Dir::new();
    let mut journal = dir.open();
    done(&mut journal, append(session(1), order()));
    done(&mut journal, append(session(1), voucher(7, 5)));
    done(&mut journal, seen(view(50), 2));
    assert!(!reclaim(&mut journal, far, Wish::Asked, None), "it is our buyer's");
    let unknown = Reclaim { channel: ChannelId([8; 32]), wish: Wish::Asked, ledger_ms: None };
    assert_eq!(done(&mut journal, Write::Reclaim(unknown)).seq, None);
}

#[test]
fn a_step_that_is_refused_is_owed_again_later_unless_the_channel_is_over() {
    let (_dir, mut journal) = open_channel();
    assert!(reclaim(&mut journal, NOW + AFTER, idle(), None));
    refused(&mut journal, NOW + AFTER, "InsufficientFunds: no fees");
    let why = "InsufficientFunds: no fees".to_owned();
    assert_eq!(doing(&journal), Doing::Refused(Step::RequestClose, why));
    assert!(!reclaim(&mut journal, NOW + AFTER + AGAIN_MS - 1, idle(), None));
    assert!(reclaim(&mut journal, NOW + AFTER + AGAIN_MS, idle(), None));
    refused(&mut journal, NOW + 2 * AFTER, "ChannelFinalized: it is closed");
    assert!(
        reclaim(&mut journal, NOW + 2 * AFTER, Wish::Asked, None),
        "a person needs no patience"
    );
    refused(&mut journal, NOW + 2 * AFTER, "ChannelFinalized: it is closed");
    let references: std::collections::BTreeSet<_> =
        owed(&journal).into_iter().map(|(_, reference)| reference.0).collect();
    assert_eq!((steps(&journal).len(), references.len()), (3, 3), "each has its own reference");
    let closed = ChangeKind::Closed { settled: Amount::new(4) };
    done(&mut journal, heard(vec![change(3, closed)], 4));
    assert!(!reclaim(&mut journal, NOW + 99 * AFTER, Wish::Asked, None), "its seller was first");
}

#[test]
fn a_top_up_takes_a_request_back() {
    let (_dir, mut journal) = open_channel();
    assert!(reclaim(&mut journal, NOW + AFTER, idle(), None));
    met(&mut journal);
    done(&mut journal, heard(vec![change(3, asked_to_close()), change(4, topped_up(60))], 5));
    assert_eq!(doing(&journal), Doing::Nothing);
    assert!(watched(&journal).may_open());
    assert!(reclaim(&mut journal, NOW + 2 * AFTER, idle(), None), "and it can be asked for again");
    assert_eq!(steps(&journal), [Step::RequestClose, Step::RequestClose]);
}

/// The disk refuses: either the step is owed, or nothing of it is there.
#[test]
fn a_step_whose_write_failed_is_owed_once() {
    use std::sync::atomic::Ordering::SeqCst;
    let (dir, mut journal) = open_channel();
    journal.shared.store.watch.fail_next_sync.store(true, SeqCst);
    let wish = Reclaim { channel: CHANNEL, wish: Wish::Asked, ledger_ms: None };
    assert!(journal.commit(NOW, vec![Write::Reclaim(wish)]).is_err());
    drop(journal);
    let mut journal = dir.open();
    done(&mut journal, Write::Reclaim(wish));
    assert_eq!(steps(&journal), [Step::RequestClose]);
    let rows = journal.reader().unsettled(&ledger_id(), None, PAGE_MAX).unwrap();
    let is_asking = |row: &&Obligation| row.owed.purpose == Purpose::RequestClose;
    assert_eq!(rows.iter().filter(is_asking).count(), 1);
}
