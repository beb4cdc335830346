//! The outbox, told step by step against a ledger that behaves.

use super::ledger::{POISON, REJECTED, now};
use super::node::{Node, policy};
use super::*;
use crate::journal::delivery::State as Way;
use crate::journal::obligation::State;
use crate::journal::outbox::{self, Outbox, Step, perform};
use sdpp_ledger::LedgerError;

#[test]
fn a_payment_goes_out_once_and_is_met() {
    let mut node = Node::new(1);
    let reference = node.owe(1, payment(session(1), 1));
    node.settle();
    assert!(matches!(node.state(&reference), State::Met { .. }));
    assert_eq!(node.met().len(), 1);
    let kinds = &node.news;
    assert!(matches!(kinds[..], [NewsKind::Signed(_), NewsKind::Met(_)]));
    assert!(node.journal.reader().counts().unwrap().unsettled.is_empty());
    assert_eq!(node.plan(), []);
    let next = node.outbox.next_due(&node.journal.reader()).unwrap();
    assert_eq!(next, None);
}

#[test]
fn a_clock_that_is_set_back_holds_up_nothing() {
    let mut node = Node::new(1);
    let sent = node.owe(1, payment(session(1), 1));
    while !matches!(node.deliveries().first().map(|row| &row.state), Some(Way::Sent)) {
        for step in node.plan() {
            let answer = now(perform(&node.toy, &step));
            node.answer(step, answer);
        }
    }
    node.now_ms -= 24 * 3_600_000;
    let not_sent = node.owe(2, payment(session(1), 2));
    node.settle();
    for reference in [sent, not_sent] {
        assert!(matches!(node.state(&reference), State::Met { .. }), "it was met");
    }
    assert_eq!(node.deliveries().len(), 2, "each once");
}

#[test]
fn anchors_share_a_root_with_the_journal_s_head() {
    let mut node = Node::new(8);
    let references: Vec<_> = (1..=5).map(|n| node.owe(n, anchor(session(1), n, false))).collect();
    let head = node.journal.reader().head().unwrap();
    node.settle();
    let deliveries = node.deliveries();
    let [delivery] = &deliveries[..] else {
        panic!("not one delivery: {deliveries:?}");
    };
    assert_eq!(delivery.references.len(), references.len());
    assert_eq!(delivery.head, Some(head));
    assert!(node.journal.reader().holds(delivery).unwrap());
    let Call::Anchor(Anchor::Root { root, count: 6 }) = delivery.call else {
        panic!("not a root of six: {delivery:?}");
    };
    let met = node.met();
    assert_eq!(met.len(), 5);
    for (reference, _, proof) in met {
        let row = node.journal.reader().obligation(&reference).unwrap();
        let leaf = row.unwrap().leaf().unwrap();
        assert!(proof.unwrap().verify(&leaf, &root));
    }
    // A head that never was does not pass.
    let digest = keccak(&[b"rewritten"]);
    let head = Some(Head { digest, ..head });
    let forged = Delivery { head, ..delivery.clone() };
    assert!(!node.journal.reader().holds(&forged).unwrap());
}

#[test]
fn a_session_s_exit_takes_the_head_along_where_each_record_goes_alone() {
    let mut node = Node::new(1);
    node.owe(1, anchor(session(1), 1, false));
    let mut exit = anchor(session(1), 2, false);
    exit.purpose = Purpose::Exit;
    node.owe(2, exit);
    node.settle();
    // The two are due at the same moment, in the order of their references.
    let deliveries = node.deliveries();
    let with_head = deliveries.iter().filter(|row| row.head.is_some());
    assert_eq!((deliveries.len(), with_head.count()), (2, 1));
    assert_eq!(node.met().len(), 2);
}

#[test]
fn what_is_held_waits_for_the_session_s_end() {
    let mut node = Node::new(8);
    let references: Vec<_> = (1..=3).map(|n| node.owe(n, anchor(session(1), n, true))).collect();
    assert_eq!((node.plan(), node.state(&references[0])), (vec![], State::Held));
    let counts = node.journal.reader().counts().unwrap();
    assert_eq!(counts.unsettled[0].count, 3);
    let written = done(&mut node.journal, append(session(1), ended("done")));
    assert_eq!(written.ledgers, [ledger_id()]);
    node.settle();
    assert_eq!((node.deliveries().len(), node.met().len()), (1, 3));
}

#[test]
fn the_outbox_is_read_page_by_page() {
    let mut node = Node::new(1);
    for n in 1..=5 {
        node.owe(n, payment(session(1), n));
    }
    let reader = node.journal.reader();
    let ask = |query: Query| {
        let answer = reader.answer(&query).unwrap();
        let json = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), answer);
        answer
    };
    let ledger = ledger_id();
    let (mut after, mut seen) = (None, 0);
    loop {
        let (ledger, limit) = (ledger.clone(), 2);
        let query = Query::Unsettled { ledger, after, limit };
        let Answer::Obligations { obligations } = ask(query) else {
            panic!("another answer");
        };
        seen += obligations.len();
        match obligations.last() {
            Some(last) => after = Some(last.owed.reference),
            None => break,
        }
    }
    assert_eq!(seen, 5);
    node.settle();
    let (after, limit) = (None, 10);
    let Answer::Deliveries { deliveries } = ask(Query::Deliveries { after, limit }) else {
        panic!("another answer");
    };
    let after = Some(deliveries[2].id.clone());
    let Answer::Deliveries { deliveries: rest } = ask(Query::Deliveries { after, limit }) else {
        panic!("another answer");
    };
    assert_eq!((deliveries.len(), &rest[..]), (5, &deliveries[3..]));
    let (ledger, account) = (ledger_id(), account(1));
    let ours = reader.account_deliveries(&ledger, &account, 7, 10).unwrap();
    assert_eq!(ours, deliveries[2..]);
    assert!(matches!(ask(Query::Verify), Answer::Holds { .. }));
}

#[test]
fn a_refused_root_is_tried_one_by_one() {
    let mut node = Node::new(8);
    node.toy.chain().refuses_roots = true;
    for n in 1..=3 {
        node.owe(n, anchor(session(1), n, false));
    }
    node.settle();
    assert_eq!((node.deliveries().len(), node.met().len()), (3, 3));
    assert!(node.met().iter().all(|(_, _, proof)| proof.is_none()));
}

#[test]
fn a_poison_row_is_set_aside_and_may_be_retried() {
    let mut node = Node::new(1);
    let mut poison = payment(session(1), 1);
    let call = transfer(poison.reference, POISON);
    poison.act = Act::Do(Call::Transfer(call));
    let poison = node.owe(1, poison);
    let good = node.owe(2, payment(session(1), 2));
    node.settle();
    let State::Refused { why } = node.state(&poison) else {
        panic!("the poison was taken");
    };
    assert_eq!(why, "Poison: never");
    assert!(matches!(node.state(&good), State::Met { .. }));
    let (reference, event) = (poison, obligation::Event::Retried);
    done(&mut node.journal, Write::Obligation { reference, event });
    assert_eq!(node.state(&poison), State::Open { alone: true });
    let (reference, event) = (good, obligation::Event::Retried);
    let illegal = one(&mut node.journal, Write::Obligation { reference, event });
    assert!(matches!(illegal, Err(WriteError::Illegal(_))));
}

#[test]
fn a_number_that_the_ledger_refused_is_used_for_the_next() {
    let mut node = Node::new(1);
    let mut bad = payment(session(1), 1);
    bad.act = Act::Do(Call::Transfer(transfer(bad.reference, REJECTED)));
    let bad = node.owe(1, bad);
    node.settle();
    assert!(matches!(node.state(&bad), State::Refused { .. }));
    let good = node.owe(2, payment(session(1), 2));
    node.settle();
    assert!(matches!(node.state(&good), State::Met { .. }));
    let deliveries = node.deliveries();
    assert_eq!((deliveries.len(), deliveries[0].id.number), (1, 5));
    assert_eq!(deliveries[0].variants.len(), 2);
}

#[test]
fn an_outage_is_waited_for_on_disk_with_the_same_bytes() {
    let mut node = Node::new(1);
    node.owe(1, payment(session(1), 1));
    let step = node.plan().remove(0);
    let answer = now(perform(&node.toy, &step));
    node.answer(step, answer);
    let mut waits = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..5 {
        let step = node.plan().remove(0);
        let Step::Submit { signed, .. } = &step else {
            panic!("not submitted: {step:?}");
        };
        bytes.push(signed.raw.clone());
        let error = LedgerError::unavailable("down");
        node.answer(step, outbox::Answer::Submitted(Err(error)));
        assert_eq!(node.plan(), []);
        let next = node.outbox.next_due(&node.journal.reader()).unwrap();
        waits.push(next.unwrap() - node.now_ms);
        node.now_ms = next.unwrap();
        // A restart forgets no wait.
        node.outbox = Outbox::new(&node.toy, policy(1));
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000]);
    bytes.dedup();
    assert_eq!(bytes.len(), 1);
    node.settle();
    assert_eq!((node.deliveries().len(), node.met().len()), (1, 1));
}

#[test]
fn a_gateway_tells_the_transaction_when_it_takes_it() {
    let mut node = Node::new(1);
    node.toy.chain().gateway = true;
    node.owe(1, payment(session(1), 1));
    node.settle();
    assert!(matches!(node.news[..], [NewsKind::Signed(_), NewsKind::Met(_)]));
    assert!(node.deliveries()[0].variants[0].tx.is_some());
}

#[test]
fn a_claim_is_asked_for_until_it_is_known() {
    let mut node = Node::new(1);
    for (number, name) in [(1, "good-1"), (2, "bad-1")] {
        let record = claim(session(1), number, tx(name));
        done(&mut node.journal, append(session(1), record));
    }
    node.settle();
    let state = |number| node.state(&session(1).reference(Purpose::Payment, number));
    assert!(matches!(state(1), State::Met { .. }));
    assert!(matches!(state(2), State::Refused { .. }));
    assert!(node.deliveries().is_empty());
}

#[test]
fn only_what_is_owed_is_prepared_and_a_number_once() {
    let mut node = Node::new(1);
    let first = node.owe(1, payment(session(1), 1));
    node.owe(2, payment(session(1), 2));
    let step = node.plan().remove(0);
    let answer = now(perform(&node.toy, &step));
    let prepare = node.outbox.outcome(step, answer, NOW, 0).remove(0);
    let Write::Prepare(good) = prepare else {
        panic!("not prepared");
    };
    let write = |change: &dyn Fn(&mut Prepare)| {
        let mut prepare = good.clone();
        change(&mut prepare);
        Write::Prepare(prepare)
    };
    let wrong_call = write(&|p| p.call = Call::Transfer(transfer(first, 11)));
    let wrong_head = write(&|p| p.head = Some(node.journal.reader().head().unwrap()));
    let writes = vec![wrong_call, wrong_head, write(&|_| {}), write(&|_| {})];
    let answers = node.journal.commit(NOW, writes).unwrap();
    assert!(matches!(answers[0], Err(WriteError::NotWhatIsOwed(_))));
    assert!(matches!(answers[1], Err(WriteError::NotWhatIsOwed(_))));
    assert!(answers[2].is_ok());
    assert!(matches!(answers[3], Err(WriteError::NumberUsed(_))));
    let again = one(&mut node.journal, write(&|p| p.signed.number += 1));
    assert!(matches!(again, Err(WriteError::Illegal(_))), "{again:?}");
    // What is on a delivery is settled by it alone.
    let (reference, why) = (good.references[0], "no".to_owned());
    let event = obligation::Event::Refused { why };
    let touched = one(&mut node.journal, Write::Obligation { reference, event });
    assert!(matches!(touched, Err(WriteError::Illegal(_))));
}

#[test]
fn a_replaced_delivery_gives_its_obligation_back() {
    let mut node = Node::new(1);
    let reference = node.owe(1, payment(session(1), 1));
    let step = node.plan().remove(0);
    let answer = now(perform(&node.toy, &step));
    node.answer(step, answer);
    // Somebody else signs with our key, under the same number, and is first.
    let call = Call::Transfer(transfer(Reference([8; 32]), 3));
    let number = node.deliveries()[0].id.number;
    let theirs = now(sdpp_ledger::prepare(&node.toy, number, &call)).unwrap();
    now(sdpp_ledger::Ledger::submit(&node.toy, &theirs)).unwrap();
    node.toy.chain().mine();
    node.settle();
    assert!(matches!(node.state(&reference), State::Met { .. }));
    let deliveries = node.deliveries();
    let spent = matches!(deliveries[0].state, Way::Dead { number_spent: true, .. });
    assert!(spent, "{:?}", deliveries[0].state);
    assert_eq!(deliveries.len(), 2);
}
