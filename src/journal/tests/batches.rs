//! Vouchers that are redeemed together.

use super::ledger::SKIPPED;
use super::node::{Node, policy};
use super::*;
use crate::journal::delivery;
use crate::journal::obligation::State;
use crate::journal::outbox::{Outbox, Policy, Step};
use sdpp_ledger::Evidence;

fn node(redeems_at_most: usize) -> Node {
    let mut node = Node::new(1);
    let policy = Policy { redeems_at_most, ..policy(1) };
    node.outbox = Outbox::new(&node.toy, policy);
    node
}

/// Vouchers of these amounts, each on a channel of its own.
fn owe(node: &mut Node, amounts: &[u128]) -> Vec<Reference> {
    let numbered = (1u8..).zip(amounts);
    let owed = numbered.map(|(n, units)| settle(session(1), n.into(), n, *units));
    let owed: Vec<Owed> = owed.collect();
    (1..).zip(owed).map(|(number, owed)| node.owe(number, owed)).collect()
}

fn evidence(node: &Node, reference: &Reference) -> Evidence {
    match node.state(reference) {
        State::Met { evidence } => evidence,
        state => panic!("not met: {state:?}"),
    }
}

#[test]
fn due_vouchers_ride_together_and_each_is_met_with_its_own_amount() {
    let mut node = node(10);
    let references = owe(&mut node, &[100, 200, 300]);
    node.settle();
    let deliveries = node.deliveries();
    let [row] = &deliveries[..] else {
        panic!("not one delivery: {deliveries:?}");
    };
    assert!(matches!(&row.call, Call::SettleMany(batch) if batch.rows.len() == 3));
    assert!(node.journal.reader().holds(row).unwrap());
    for (reference, units) in references.iter().zip([100, 200, 300]) {
        let evidence = evidence(&node, reference);
        assert_eq!(evidence.amount, Amount::new(units));
        assert_eq!(evidence.rows.len(), 1, "and nobody else's rows");
    }
    assert_eq!(node.met().len(), 3);
}

#[test]
fn a_row_that_was_passed_over_is_refused_and_the_others_are_met() {
    let mut node = node(10);
    let references = owe(&mut node, &[100, SKIPPED, 300]);
    node.settle();
    assert_eq!(evidence(&node, &references[0]).amount, Amount::new(100));
    assert_eq!(evidence(&node, &references[2]).amount, Amount::new(300));
    let State::Refused { why } = node.state(&references[1]) else {
        panic!("it was met");
    };
    assert_eq!(why, "AmountNotIncreasing: it was settled");
}

#[test]
fn a_batch_that_comes_to_nothing_as_a_whole_goes_one_by_one() {
    for is_mined in [false, true] {
        let mut node = node(10);
        node.toy.chain().refuses_batches = !is_mined;
        node.toy.chain().reverts_batches = is_mined;
        let references = owe(&mut node, &[100, 200, SKIPPED]);
        node.settle();
        assert_eq!(node.deliveries().len(), 3 + usize::from(is_mined));
        assert_eq!(evidence(&node, &references[1]).amount, Amount::new(200));
        assert!(matches!(node.state(&references[2]), State::Refused { .. }));
    }
}

#[test]
fn a_channel_stands_in_a_batch_once() {
    let mut node = node(10);
    let first = node.owe(1, settle(session(1), 1, 7, 100));
    let second = node.owe(2, settle(session(1), 2, 7, 200));
    let other = node.owe(3, settle(session(1), 3, 8, 300));
    node.settle();
    let rows: Vec<usize> = node.deliveries().iter().map(|row| row.references.len()).collect();
    assert_eq!(rows.iter().sum::<usize>(), 3);
    assert_eq!(rows.len(), 2, "{rows:?}");
    let amounts = [first, second, other].map(|r| evidence(&node, &r).amount.units());
    assert_eq!(amounts, [100, 200, 300]);
}

#[test]
fn settling_and_closing_do_not_mix_and_the_limit_holds() {
    let mut node = node(2);
    owe(&mut node, &[1, 2, 3, 4, 5]);
    let mut close = settle(session(1), 9, 9, 9);
    if let Act::Do(Call::Settle(redeem)) = close.act {
        close.act = Act::Do(Call::Close(redeem));
    }
    node.owe(9, close);
    node.settle();
    let mut kinds = [0; 3];
    for row in node.deliveries() {
        match row.call {
            Call::SettleMany(batch) => kinds[0] += batch.rows.len(),
            Call::Settle(_) => kinds[1] += 1,
            Call::Close(_) => kinds[2] += 1,
            call => panic!("{call:?}"),
        }
    }
    assert_eq!((kinds, node.met().len()), ([4, 1, 1], 6));
}

#[test]
fn one_at_a_time_is_as_it_was() {
    let mut node = node(1);
    owe(&mut node, &[100, 200]);
    node.settle();
    assert!(node.deliveries().iter().all(|row| matches!(row.call, Call::Settle(_))));
    assert_eq!(node.met().len(), 2);
}

#[test]
fn the_largest_batch_fits_a_row_with_all_its_variants() {
    let mut node = node(1_000);
    let amounts: Vec<u128> = (1..=120).collect();
    owe(&mut node, &amounts);
    for _ in 0..2 {
        node.turn();
    }
    let row = node.deliveries().remove(0);
    assert_eq!(row.references.len(), 100);
    // What a chain's batch takes in bytes: channel, amount and signature of each row, and a head.
    let raw = vec![7; 100 * (32 + 16 + 65) + 300];
    for fee in 2..=8 {
        let signed = Box::new(sdpp_ledger::Signed {
            number: row.id.number,
            tx: Some(tx(&format!("0x{fee:064x}"))),
            raw: raw.clone(),
            fee: Amount::new(fee),
        });
        done(&mut node.journal, Write::Raise { delivery: row.id.clone(), signed });
    }
    assert_eq!(node.deliveries()[0].own().len(), 8);
    // And with what the ledger says of each of its rows.
    let Call::SettleMany(batch) = &row.call else { panic!("{:?}", row.call) };
    let told = |redeem: &Redeem| sdpp_ledger::Row {
        channel: redeem.channel,
        amount: Amount::new(u128::MAX),
        refused: None,
    };
    let rows = batch.rows.iter().map(told).collect();
    let evidence = Evidence {
        amount: Amount::new(5_050),
        fee: Amount::new(u128::MAX),
        rows,
        ..Evidence::new(tx(&format!("0x{:064x}", 8)), u64::MAX, format!("0x{:064x}", 9), 0)
    };
    let event = delivery::Event::Final { evidence };
    done(&mut node.journal, Write::Delivery { id: row.id.clone(), event, due_ms: 0 });
}

/// How many rows each transaction had, and how often one was asked for.
fn told(node: &mut Node) -> (Vec<usize>, usize) {
    let mut asked = 0;
    for _ in 0..400 {
        for _ in 0..10 {
            let plan = node.plan();
            asked += plan.iter().filter(|step| matches!(step, Step::Prepare { .. })).count();
            node.turn();
        }
        node.toy.chain().mine();
        node.now_ms += 400;
    }
    (node.deliveries().iter().map(|row| row.references.len()).collect(), asked)
}

#[test]
fn a_batch_that_is_too_dear_goes_in_halves() {
    let mut node = node(16);
    node.toy.chain().rows_paid = 5;
    let amounts: Vec<u128> = (1..=16).collect();
    let references = owe(&mut node, &amounts);
    let (rows, _) = told(&mut node);
    assert_eq!(rows.iter().sum::<usize>(), 16, "each once: {rows:?}");
    assert!(rows.iter().all(|rows| *rows <= 5) && rows[0] == 4, "{rows:?}");
    assert!(references.iter().all(|r| matches!(node.state(r), State::Met { .. })));
}

#[test]
fn an_account_without_money_is_not_asked_for_each_voucher_over_and_over() {
    let mut node = node(16);
    node.toy.chain().rows_paid = 0;
    let amounts: Vec<u128> = (1..=16).collect();
    let references = owe(&mut node, &amounts);
    for _ in 0..5 {
        node.turn();
    }
    assert_eq!(node.plan(), [], "16, 8, 4, 2 and one: all of them wait");
    let (rows, asked) = told(&mut node);
    assert_eq!(rows, [0; 0]);
    assert!(asked < 100, "{asked} questions in 160 seconds");
    assert!(references.iter().all(|r| matches!(node.state(r), State::Open { .. })));
    node.toy.chain().rows_paid = 16;
    told(&mut node);
    assert!(references.iter().all(|r| matches!(node.state(r), State::Met { .. })));
}

#[test]
fn what_its_payer_may_take_back_soon_goes_first() {
    use sdpp_ledger::{Change, ChangeKind};
    let mut node = node(16);
    node.toy.chain().rows_paid = 1;
    let amounts: Vec<u128> = (1..=6).collect();
    let references = owe(&mut node, &amounts);
    for (n, ready_ms) in [(5, NOW + 900_000), (3, NOW + 700_000)] {
        done(&mut node.journal, append(session(1), voucher(n, 0)));
        let kind = ChangeKind::CloseRequested { ready_ms };
        let (channel, tx) = (ChannelId([n; 32]), tx(&format!("0x{n}")));
        let change = Change { channel, kind, tx, height: 1, at_ms: NOW };
        let (ledger, changes) = (ledger_id(), vec![change]);
        let watch = crate::journal::Watch { ledger, changes, seen: Vec::new(), next: 2 };
        done(&mut node.journal, Write::Watch(Box::new(watch)));
    }
    let Some(Step::Prepare { references: first, .. }) = node.plan().pop() else {
        panic!("nothing is prepared");
    };
    assert_eq!(first[..2], [references[2], references[4]]);
}
