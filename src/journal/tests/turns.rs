//! Many turns at once, where transactions have no numbers, and what a ledger tells by itself.

use super::ledger::{REJECTED, now, read};
use super::node::{Node, policy};
use super::unnumbered::Kind;
use super::*;
use crate::journal::delivery::State as Way;
use crate::journal::obligation::State;
use crate::journal::outbox::{self, Outbox, Policy, Step, Turn};
use sdpp_ledger::{Ledger, LedgerError};
use std::sync::atomic::Ordering::SeqCst;

fn gateway() -> Node {
    Node::without_numbers(Kind::Gateway)
}

/// Owes so many payments, from this number on.
fn owe_many(node: &mut Node, from: u64, count: u64) -> Vec<Reference> {
    (from..from + count).map(|number| node.owe(number, payment(session(1), number))).collect()
}

fn claim_of(node: &mut Node, number: u64) -> Reference {
    let record = claim(session(1), number, tx(&format!("good-{number}")));
    done(&mut node.journal, append(session(1), record));
    session(1).reference(Purpose::Payment, number)
}

fn numbers(node: &Node) -> Vec<u64> {
    node.deliveries().iter().map(|row| row.id.number).collect()
}

fn kinds(turns: &[Turn]) -> Vec<Vec<&'static str>> {
    let name = |step: &Step| match step {
        Step::Prepare { .. } => "prepare",
        Step::Submit { .. } => "submit",
        Step::Finality { .. } => "finality",
        Step::Check { .. } => "check",
        other => panic!("not where there are no numbers: {other:?}"),
    };
    turns.iter().map(|turn| turn.steps.iter().map(name).collect()).collect()
}

/// The turn that submits something under this reference.
fn submission(turns: &mut Vec<Turn>, node: &Node, reference: &Reference) -> Turn {
    let State::Riding { delivery } = node.state(reference) else { panic!("not on its way") };
    let is_it = |turn: &Turn| {
        matches!(&turn.steps[..],
        [Step::Submit { delivery: of, .. }] if *of == delivery)
    };
    turns.remove(turns.iter().position(is_it).unwrap())
}

#[test]
fn where_there_are_no_numbers_each_is_asked_for_on_its_own() {
    let mut node = gateway();
    owe_many(&mut node, 1, 3);
    let mut turns = node.turns();
    assert_eq!(kinds(&turns), [["prepare"; 3]], "what is prepared knows of each other");
    node.take(turns.remove(0));
    assert_eq!(numbers(&node), [0, 1, 2]);
    let turns = node.turns();
    assert_eq!(kinds(&turns), [["submit"], ["submit"], ["submit"]], "none is accepted yet");
    turns.into_iter().rev().for_each(|turn| node.take(turn));
    node.now_ms += 1_000;
    node.turns().into_iter().for_each(|turn| node.take(turn));
    assert_eq!(node.met().len(), 3);
}

#[test]
fn where_there_are_numbers_one_turn_is_taken_at_a_time() {
    let mut node = Node::new(1);
    owe_many(&mut node, 1, 2);
    claim_of(&mut node, 3);
    let mut turns = node.turns();
    assert_eq!(kinds(&turns), [["prepare", "check"]]);
    assert_eq!(node.turns(), [], "it is under way");
    assert_eq!(node.outbox.next_due(&node.journal.reader()).unwrap(), None);
    node.take(turns.remove(0));
    assert_eq!(kinds(&node.turns()), [["submit"]]);
}

#[test]
fn a_submission_that_hangs_holds_up_nothing_else() {
    let mut node = gateway();
    let slow = owe_many(&mut node, 1, 2)[0];
    node.turns().into_iter().for_each(|turn| node.take(turn));
    let mut turns = node.turns();
    let hanging = submission(&mut turns, &node, &slow);
    owe_many(&mut node, 3, 1);
    claim_of(&mut node, 4);
    // The other submission, the preparation, the claim: all but the one that hangs.
    for _ in 0..20 {
        turns.drain(..).for_each(|turn| node.take(turn));
        turns = node.turns();
        node.now_ms += 1_000;
    }
    assert_eq!(node.met().len(), 2, "the other two payments");
    assert!(matches!(node.state(&slow), State::Riding { .. }));
    node.toy.chain().mine();
    node.take(hanging);
    // So late it is asked first whether it offers enough.
    for _ in 0..2 {
        node.now_ms += 1_000;
        node.turns().into_iter().for_each(|turn| node.take(turn));
    }
    assert!(matches!(node.state(&slow), State::Met { .. }));
}

#[test]
fn what_is_being_asked_is_not_asked_again_and_wakes_nobody() {
    let mut node = gateway();
    owe_many(&mut node, 1, 1);
    claim_of(&mut node, 2);
    let due = |node: &Node| node.outbox.next_due(&node.journal.reader()).unwrap();
    let turns = node.turns();
    assert_eq!(kinds(&turns), [["check"], ["prepare"]]);
    assert_eq!((node.turns(), due(&node)), (vec![], None));
    node.outbox.end(turns[0].id);
    assert_eq!(due(&node), Some(NOW), "nothing came of it");
    assert_eq!(kinds(&node.turns()), [["check"]]);
    node.take(turns[1].clone());
    let turns = node.turns();
    assert_eq!(kinds(&turns), [["submit"]]);
    node.now_ms += 60_000;
    assert_eq!((node.turns(), due(&node)), (vec![], None), "however long it takes");
}

#[test]
fn no_more_is_on_its_way_than_may_be_and_no_more_claims_are_checked() {
    let mut node = gateway();
    owe_many(&mut node, 1, 6);
    for number in 11..=30 {
        claim_of(&mut node, number);
    }
    let turns = node.turns();
    let checks = turns.iter().filter(|turn| matches!(turn.steps[..], [Step::Check { .. }]));
    assert_eq!((checks.count(), turns.last().unwrap().steps.len()), (8, 4));
    node.take(turns.last().unwrap().clone());
    let submissions = node.turns();
    assert_eq!(kinds(&submissions), [["submit"]; 4], "eight claims are enough");
    node.take(turns[0].clone());
    assert_eq!(kinds(&node.turns()), [["check"]], "the next one takes its place");
    submissions.into_iter().for_each(|turn| node.take(turn));
    assert_eq!(node.deliveries().len(), 4, "they are not done yet");
    node.now_ms += 1_000;
    let turns = node.turns();
    turns.into_iter().for_each(|turn| node.take(turn));
    assert_eq!(kinds(&node.turns()).last().unwrap(), &["prepare"; 2]);
}

#[test]
fn a_number_that_is_given_back_is_taken_by_one_alone() {
    let mut node = gateway();
    for number in 1..=2 {
        let mut bad = payment(session(1), number);
        bad.act = Act::Do(Call::Transfer(transfer(bad.reference, REJECTED)));
        node.owe(number, bad);
    }
    // Both are refused, and looked up; between the two ends others are prepared.
    node.turns().into_iter().for_each(|turn| node.take(turn));
    node.turns().into_iter().for_each(|turn| node.take(turn));
    node.now_ms += 1_000;
    let mut looked_up = node.turns();
    assert_eq!(kinds(&looked_up), [["finality"]; 2], "a refusal is not believed");
    let good = owe_many(&mut node, 3, 2);
    let mut prepared = node.turns();
    assert_eq!(kinds(&prepared), [["prepare"; 2]]);
    looked_up.drain(..).rev().for_each(|turn| node.take(turn));
    assert_eq!(node.journal.reader().numbers(&ledger_id(), &account(1)).unwrap().next, 0);
    let late = owe_many(&mut node, 5, 2);
    assert_eq!(node.turns(), [], "what is being prepared is not durable yet");
    node.take(prepared.remove(0));
    node.settle();
    for reference in good.iter().chain(&late) {
        assert!(matches!(node.state(reference), State::Met { .. }));
    }
    let refused = [1, 2].map(|n| node.state(&session(1).reference(Purpose::Payment, n)));
    assert!(refused.iter().all(|state| matches!(state, State::Refused { .. })), "{refused:?}");
    assert_eq!(numbers(&node), [0, 1, 2, 3, 4, 5], "the two that were refused, and four");
}

#[test]
fn a_refusal_of_what_was_done_is_not_believed() {
    let mut node = gateway();
    node.toy.chain().unnumbered.forgetful = true;
    let reference = owe_many(&mut node, 1, 1)[0];
    node.turns().into_iter().for_each(|turn| node.take(turn));
    let turn = node.turns().remove(0);
    let [Step::Submit { signed, .. }] = &turn.steps[..] else { panic!("not submitted") };
    // It arrives, and the answer does not.
    now(node.toy.submit(signed)).unwrap();
    node.take(turn);
    assert!(matches!(node.deliveries()[0].state, Way::Rejected { .. }));
    node.now_ms += 1_000;
    node.turns().into_iter().for_each(|turn| node.take(turn));
    assert!(matches!(node.state(&reference), State::Met { .. }));
}

#[test]
fn a_price_that_rises_is_paid_with_the_same_coin_and_no_number_is_asked_for() {
    let mut node = Node::without_numbers(Kind::Coins);
    let reference = owe_many(&mut node, 1, 1)[0];
    node.turns().into_iter().for_each(|turn| node.take(turn));
    node.toy.chain().reprice(5);
    // The small ledger fails this story when it is asked for a number.
    for _ in 0..10 {
        node.turns().into_iter().for_each(|turn| node.take(turn));
        node.toy.chain().mine();
        node.now_ms += 3_000;
    }
    assert!(matches!(node.state(&reference), State::Met { .. }));
    let rows = node.deliveries();
    let [row] = &rows[..] else { panic!("not one: {rows:?}") };
    assert_eq!(row.variants.len(), 2, "signed again once");
    let coins = row.variants.iter().map(|signed| read(&signed.raw).coin);
    assert_eq!(coins.collect::<Vec<_>>(), [Some((0, 0)); 2]);
}

#[test]
fn a_preparation_knows_of_all_that_is_on_its_way() {
    let mut node = Node::without_numbers(Kind::Coins);
    let coins = |node: &Node| {
        let raw = |row: &Delivery| super::ledger::read(&row.signed().unwrap().raw).coin.unwrap();
        node.deliveries().iter().map(raw).collect::<Vec<_>>()
    };
    owe_many(&mut node, 1, 2);
    node.turns().into_iter().for_each(|turn| node.take(turn));
    assert_eq!(coins(&node), [(0, 0), (1, 0)], "of those that are not on disk yet too");
    owe_many(&mut node, 3, 1);
    node.turns().into_iter().for_each(|turn| node.take(turn));
    node.restart();
    node.toy.chain().unnumbered.live.clear();
    let (reader, id, account) = (node.journal.reader(), node.toy.id(), node.toy.account());
    let told = reader.live(id, account).unwrap();
    assert_eq!(told.len(), 3, "and others can tell of it: {told:?}");
    owe_many(&mut node, 4, 1);
    node.turns().into_iter().for_each(|turn| node.take(turn));
    assert_eq!(coins(&node), [(0, 0), (1, 0), (2, 0), (3, 0)], "and after a restart");
}

#[test]
fn an_outage_ends_a_preparation_and_holds_up_nothing_that_was_prepared() {
    let mut node = Node::without_numbers(Kind::Coins);
    let policy = Policy { in_flight_max: 8, ..policy(1) };
    node.outbox = Outbox::new(&node.toy, policy);
    owe_many(&mut node, 1, 7);
    let turn = node.turns().remove(0);
    let answers = now(outbox::take(&node.toy, turn.steps.clone()));
    assert_eq!((turn.steps.len(), answers.len()), (7, 6), "there are five coins");
    for (step, answer) in answers {
        node.answer(step, answer);
    }
    node.outbox.end(turn.id);
    assert_eq!(numbers(&node), [0, 1, 2, 3, 4]);
    let turns = node.turns();
    assert_eq!(turns.len(), 6, "five are handed over, and the seventh has its turn: {turns:?}");
}

#[test]
fn what_can_never_happen_any_more_is_prepared_anew() {
    let mut node = Node::without_numbers(Kind::Coins);
    let reference = owe_many(&mut node, 1, 1)[0];
    node.turns().into_iter().for_each(|turn| node.take(turn));
    // Somebody else signs with our key, and spends the coin.
    node.toy.chain().spend(0);
    for _ in 0..10 {
        node.turns().into_iter().for_each(|turn| node.take(turn));
        node.toy.chain().mine();
        node.now_ms += 1_000;
    }
    assert!(matches!(node.state(&reference), State::Met { .. }));
    let deliveries = node.deliveries();
    let [dead, new] = &deliveries[..] else { panic!("not two: {deliveries:?}") };
    assert!(matches!(dead.state, Way::Dead { number_spent: true, .. }), "{:?}", dead.state);
    assert!(matches!(new.state, Way::Final { .. }), "{:?}", new.state);
    assert_eq!(node.toy.chain().mined().count(), 1, "it is paid once");
}

#[test]
fn a_session_hears_of_its_transaction_where_the_answer_was_lost() {
    let mut node = gateway();
    owe_many(&mut node, 1, 1);
    node.turns().into_iter().for_each(|turn| node.take(turn));
    let turn = node.turns().remove(0);
    let [Step::Submit { signed, .. }] = &turn.steps[..] else { panic!("not submitted") };
    let tx = now(node.toy.submit(signed)).unwrap();
    let lost = LedgerError::unavailable("no answer in time");
    node.answer(turn.steps[0].clone(), outbox::Answer::Submitted(Err(lost)));
    node.outbox.end(turn.id);
    let reference = session(1).reference(Purpose::Payment, 1);
    node.hear(&[reference]);
    node.turns().into_iter().for_each(|turn| node.take(turn));
    let [NewsKind::Signed(told), NewsKind::Met(evidence)] = &node.news[..] else {
        panic!("it heard {:?}", node.news);
    };
    assert_eq!((told, &evidence.tx), (&tx, &tx));
    assert_eq!(node.deliveries()[0].variants[0].tx, Some(tx));
}

#[test]
fn what_the_ledger_tells_of_is_asked_about_at_once() {
    let mut node = gateway();
    let (paid, claimed) = (owe_many(&mut node, 1, 1)[0], claim_of(&mut node, 2));
    for _ in 0..3 {
        node.turns().into_iter().for_each(|turn| node.take(turn));
    }
    assert_eq!(node.turns(), [], "both wait for their time");
    node.hear(&[Reference([9; 32]), claimed]);
    assert_eq!(kinds(&node.turns()), [["check"]], "and not for what is nothing to us");
    // While it is asked about it is told of once more: that came too late for the answer.
    node.hear(&[paid, claimed]);
    let turns = node.turns();
    assert_eq!(kinds(&turns), [["finality"]]);
    turns.into_iter().for_each(|turn| node.take(turn));
    assert!(matches!(node.state(&paid), State::Met { .. }));
    node.hear(&[paid]);
    assert_eq!(node.turns(), [], "what is settled is not asked about");
    node.restart();
    assert_eq!(node.turns(), [], "nothing was written");
}

#[test]
fn what_is_told_while_it_is_asked_about_is_asked_about_again() {
    let mut node = gateway();
    let claimed = claim_of(&mut node, 1);
    let turn = node.turns().remove(0);
    node.hear(&[claimed]);
    assert_eq!(node.turns(), []);
    node.take(turn);
    assert_eq!(kinds(&node.turns()), [["check"]]);
}

#[test]
fn a_flood_of_what_a_ledger_tells_is_bounded_and_keeps_no_claim_waiting() {
    let mut node = gateway();
    let told: Vec<_> = (1..=1_500).map(|number| claim_of(&mut node, number)).collect();
    node.now_ms -= 1;
    for page in told.chunks(256) {
        node.hear(page);
    }
    let kept = format!("{:?}", node.outbox).matches("Owed(").count();
    assert_eq!(kept, 1_024);
    node.now_ms += 1;
    let due = node.journal.reader().due(&ledger_id(), keys::WATCHING, 8).unwrap();
    let due: Vec<Vec<u8>> = due.into_iter().map(|(_, key)| key).collect();
    let asked = node.turns().into_iter().map(|turn| match &turn.steps[..] {
        [Step::Check { reference, .. }] => reference.0.to_vec(),
        other => panic!("not a check: {other:?}"),
    });
    assert_eq!(asked.collect::<Vec<_>>(), due, "what is due goes first");
}

#[test]
fn a_plan_looks_at_few_of_the_claims_that_were_told() {
    let mut node = gateway();
    let told: Vec<_> = (1..=600).map(|number| claim_of(&mut node, number)).collect();
    node.now_ms -= 1;
    node.toy.chain().blocks.resize_with(12, Vec::new);
    node.hear(&told);
    let gets = |node: &Node| node.journal.shared.store.watch.gets.load(SeqCst);
    let mut met = 0;
    loop {
        let before = gets(&node);
        let turns = node.turns();
        let read = gets(&node) - before;
        assert!(read < 100, "{read} rows were read after {met} claims");
        if turns.is_empty() {
            break;
        }
        assert_eq!(kinds(&turns), [["check"]; 8]);
        met += turns.len();
        // They are told once more meanwhile, and are forgotten when they are met.
        node.hear(&told[..16]);
        turns.into_iter().for_each(|turn| node.take(turn));
    }
    assert_eq!(met, 600);
    assert_eq!(format!("{:?}", node.outbox).matches("Owed(").count(), 0);
}

#[test]
fn where_there_are_numbers_a_ledger_may_tell_as_well() {
    let mut node = Node::new(1);
    let reference = owe_many(&mut node, 1, 1)[0];
    node.send();
    assert_eq!(node.turns(), []);
    node.hear(&[reference]);
    let turns = node.turns();
    assert_eq!(kinds(&turns), [["finality"]]);
    node.hear(&[reference]);
    assert_eq!(node.turns(), [], "one turn at a time");
    turns.into_iter().for_each(|turn| node.take(turn));
    assert_eq!(kinds(&node.turns()), [["finality"]]);
}
