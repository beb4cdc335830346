//! Stories of vouchers that a ledger refuses.

use super::node::Node;
use super::watch::{
    asked_to_close, change, ends_with, heard, redeems, seen, view, vouched, watched,
};
use super::*;
use crate::journal::obligation::{Event, State};
use crate::journal::outbox::{self, Step};
use sdpp_ledger::{ChangeKind, LedgerError};

/// A code that no later look can mend, and one that may be a node that lags.
const NEVER: &str = "NotPayee: somebody else is";
const LAGS: &str = "AmountExceedsDeposit: no top-up was seen";

/// What is owed on the channel and may still happen, by amount.
fn open(journal: &Journal) -> Vec<(u128, Reference)> {
    let rows = journal.reader().obligations(None, PAGE_MAX).unwrap().into_iter();
    let open = rows.filter_map(|row| match (&row.state, &row.owed.act) {
        (State::Open { .. }, Act::Do(Call::Settle(redeem) | Call::Close(redeem))) => {
            Some((redeem.amount.units(), row.owed.reference))
        }
        _ => None,
    });
    let mut open: Vec<_> = open.collect();
    open.sort_unstable_by_key(|(units, _)| *units);
    open
}

fn refuse(journal: &mut Journal, why: &str) {
    let (_, reference) = open(journal).pop().unwrap();
    done(journal, Write::Refused { reference, why: why.to_owned() });
}

#[test]
fn a_voucher_that_was_refused_for_good_is_owed_again_by_who_asks_next() {
    let (dir, mut journal) = vouched(5);
    done(&mut journal, seen(view(50), 2));
    done(&mut journal, heard(vec![change(3, asked_to_close())], 4));
    assert_eq!(watched(&journal).redeemed, Amount::new(5));
    refuse(&mut journal, NEVER);
    assert_eq!(watched(&journal).redeemed, Amount::ZERO, "it is money that nobody has");
    drop(journal);
    let mut journal = dir.open();
    done(&mut journal, heard(vec![change(5, asked_to_close())], 6));
    assert_eq!(redeems(&journal), [5, 5], "asked to close once more, it is owed once more");
    refuse(&mut journal, NEVER);
    done(&mut journal, append(session(1), ends_with(Call::Settle, Purpose::Settle, 5)));
    assert_eq!(redeems(&journal), [5, 5, 5], "and at the session's end");
    assert_eq!(watched(&journal).redeemed, Amount::new(5));
}

/// Nobody asks again before its payer withdraws.
#[test]
fn a_voucher_on_a_channel_that_is_closing_is_tried_until_that_is_over() {
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, seen(view(50), 2));
    done(&mut journal, heard(vec![change(3, asked_to_close())], 4));
    for _ in 0..40 {
        refuse(&mut journal, LAGS);
        assert_eq!(open(&journal).len(), 1);
        assert_eq!(watched(&journal).redeemed, Amount::new(5));
    }
    done(&mut journal, heard(vec![change(9, ChangeKind::Withdrawn)], 10));
    refuse(&mut journal, LAGS);
    assert_eq!(open(&journal), []);
}

#[test]
fn what_is_still_owed_counts_when_more_is_refused() {
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, seen(view(50), 2));
    done(&mut journal, heard(vec![change(3, asked_to_close())], 4));
    done(&mut journal, append(session(1), ends_with(Call::Settle, Purpose::Settle, 8)));
    assert_eq!(watched(&journal).redeemed, Amount::new(8));
    refuse(&mut journal, NEVER);
    assert_eq!(watched(&journal).redeemed, Amount::new(5));
    assert_eq!(open(&journal).len(), 1);
}

#[test]
fn a_close_that_was_refused_leaves_its_channel_to_the_next_session() {
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, seen(view(50), 2));
    done(&mut journal, append(session(1), ends_with(Call::Close, Purpose::Close, 5)));
    assert!(!watched(&journal).is_usable());
    let (_, reference) = open(&journal)[0];
    refuse(&mut journal, NEVER);
    assert!(watched(&journal).is_usable());
    done(&mut journal, Write::Obligation { reference, event: Event::Retried });
    assert!(!watched(&journal).is_usable(), "a person has it closed after all");
    assert_eq!(watched(&journal).redeemed, Amount::new(5));
}

/// A node with one voucher to redeem, and the step that tries it.
fn owing(call: fn(Redeem) -> Call) -> (Node, Reference) {
    let mut node = Node::new(1);
    let mut owed = settle(session(1), 1, 7, 100);
    if let Act::Do(Call::Settle(redeem)) = owed.act {
        owed.act = Act::Do(call(redeem));
    }
    let reference = node.owe(1, owed);
    (node, reference)
}

/// Has the ledger refuse what is tried next, and waits as long as the outbox does.
fn refused(node: &mut Node, code: &str) -> u64 {
    let step = node.plan().into_iter().find(|step| matches!(step, Step::Prepare { .. }));
    let error = LedgerError::refused(code, "as it stands");
    node.answer(step.unwrap(), outbox::Answer::Prepared(Err(error)));
    let next_ms = node.outbox.next_due(&node.journal.reader()).unwrap();
    let waits_ms = next_ms.map_or(0, |next_ms| next_ms - node.now_ms);
    node.now_ms += waits_ms;
    waits_ms
}

#[test]
fn a_node_that_lags_does_not_cost_a_voucher() {
    for call in [Call::Settle as fn(Redeem) -> Call, Call::Close] {
        let (mut node, reference) = owing(call);
        let waits: Vec<u64> = (0..6).map(|_| refused(&mut node, "ChannelNotFound")).collect();
        assert_eq!(waits, [5_000, 10_000, 20_000, 40_000, 80_000, 160_000]);
        assert_eq!(node.state(&reference), State::Open { alone: true });
        node.settle();
        assert!(matches!(node.state(&reference), State::Met { .. }));
    }
}

#[test]
fn a_voucher_that_stays_refused_is_set_aside_and_a_person_may_have_it_tried_as_often_again() {
    let (mut node, reference) = owing(Call::Settle);
    for _ in 0..2 {
        for _ in 0..7 {
            assert!(matches!(node.state(&reference), State::Open { .. }));
            refused(&mut node, "ChannelNotFound");
        }
        let State::Refused { why } = node.state(&reference) else { panic!("still tried") };
        assert_eq!(why, "ChannelNotFound: as it stands");
        done(&mut node.journal, Write::Obligation { reference, event: Event::Retried });
    }
}

#[test]
fn an_outage_is_no_refusal_and_the_other_way_round() {
    let (mut node, reference) = owing(Call::Settle);
    for _ in 0..20 {
        let step = node.plan().remove(0);
        let error = LedgerError::unavailable("down");
        node.answer(step, outbox::Answer::Prepared(Err(error)));
        node.now_ms = node.outbox.next_due(&node.journal.reader()).unwrap().unwrap();
    }
    assert_eq!(refused(&mut node, "ChannelNotFound"), 5_000, "the first of its kind");
    assert!(matches!(node.state(&reference), State::Open { .. }));
}

#[test]
fn a_refused_voucher_is_waited_for_and_a_refused_anchor_is_not() {
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, append(session(1), ends_with(Call::Settle, Purpose::Settle, 5)));
    refuse(&mut journal, LAGS);
    assert_eq!(open(&journal).len(), 1, "a voucher is");
    let anchor = anchor(session(1), 9, false);
    let reference = anchor.reference;
    done(
        &mut journal,
        Write::Append {
            session: None,
            record: Box::new(Record::Anchoring { owed: anchor, invoice: None }),
        },
    );
    done(&mut journal, Write::Refused { reference, why: LAGS.to_owned() });
    let row = journal.reader().obligation(&reference).unwrap().unwrap();
    assert!(matches!(row.state, State::Refused { .. }), "an anchor is not");
}
