//! What a journal knows of the bonds that it has part in.

use super::node::Node;
use super::*;
use crate::journal::bonds::bond_reference;
use crate::journal::delivery::Event;
use crate::journal::outbox::Step;
use crate::journal::prune::{Kept, Place};
use crate::message::{BondChoice, Order};
use crate::record::{Act, Owed};
use crate::terms::Method;
use sdpp_ledger::bond::Demand;
use sdpp_ledger::{Asset, Bond, BondAct, BondId, Bonding, Call, Evidence};

const ID: BondId = BondId([8; 32]);
const DATASET: Digest = Digest([6; 32]);

fn bond() -> Bond {
    let account = |n| key(n).public().account();
    Bond {
        buyer: account(2),
        seller: account(3),
        buyer_key: account(2),
        seller_key: account(3),
        asset: Asset::coin(),
        channel: ChannelId([5; 32]),
        buyer_amount: Amount::new(400),
        seller_amount: Amount::new(301),
        stake: Amount::new(20),
        fee: Amount::new(10),
        salt: Digest::ZERO,
    }
}

/// What is done about it from here, in order.
fn doing(number: u64, act: BondAct) -> Owed {
    let call = Call::Bond(Box::new(Bonding { bond: bond(), act }));
    let (reference, ledger) = (bond_reference(&ID, number), ledger_id());
    Owed { reference, purpose: Purpose::Bond, ledger, act: Act::Do(call), held: false }
}

fn bonding(number: u64, act: BondAct) -> Write {
    let owed = doing(number, act);
    of_none(Record::Bonding { bond: ID, owed })
}

/// What is owed about it under a number is done, for good.
fn meet(journal: &mut Journal, number: u64) {
    let reference = bond_reference(&ID, number);
    let row = journal.reader().obligation(&reference).unwrap().unwrap();
    let Act::Do(call) = row.owed.act else { panic!("it is to be done") };
    let us = account(1);
    let next = journal.reader().numbers(&ledger_id(), &us).unwrap().next;
    let id = DeliveryId { ledger: ledger_id(), account: us.clone(), number: next };
    let tx = tx(&format!("0xee{next:04}"));
    let (raw, fee) = (vec![1], Amount::ZERO);
    let signed = sdpp_ledger::Signed { number: next, tx: Some(tx.clone()), raw, fee };
    let (ledger, references) = (ledger_id(), vec![reference]);
    let prepare = Prepare { ledger, account: us, call, references, head: None, signed };
    done(journal, Write::Prepare(Box::new(prepare)));
    let sent = Event::Sent { tx: tx.clone() };
    done(journal, Write::Delivery { id: id.clone(), event: sent, due_ms: NOW });
    let evidence = Evidence { fee, ..Evidence::new(tx, 3, "0xb3", NOW) };
    done(journal, Write::Delivery { id, event: Event::Final { evidence }, due_ms: NOW });
}

fn order_under_it() -> Record {
    let said = Order {
        version: "SDPP/1".to_owned(),
        encoding: "json".to_owned(),
        data_type: "gas".to_owned(),
        order_quantity: Some(1),
        price: None,
        currency_type: "SDP".to_owned(),
        method: Method::Escrow,
        address: key(2).public().account(),
        public_key_signature: key(2).public(),
        public_key_encryption: key(4).public(),
        menu_digest: Digest::ZERO,
        nonce: Digest::ZERO,
        escrow: None,
        resumes: false,
        bond: Some(BondChoice { id: ID, dataset: DATASET, terms: Digest([9; 32]) }),
    };
    let signed = SignedMessage {
        commitment: Digest([9; 32]),
        amount_total: Amount::ZERO,
        data: Some(serde_json::to_string(&said).unwrap()),
        ..message(MessageKind::Order, 0)
    };
    let Record::Order { role, peer, menu, owed, .. } = order() else { unreachable!() };
    Record::Order { role, peer, menu, order: Box::new(signed), owed }
}

fn kept(journal: &mut Journal) -> Vec<Kept> {
    let mut sweep = Sweep::new(NOW + 1_000, Place::Sessions(None));
    while sweep.rehearse(&journal.reader()).unwrap() {}
    sweep.tally().kept.keys().copied().collect()
}

/// Its leaves and what the other side signed may have to be shown for as long.
#[test]
fn a_session_keeps_its_payload_until_its_bond_was_had_back() {
    let dir = Dir::new();
    let mut journal = dir.open();
    done(&mut journal, append(session(1), order_under_it()));
    done(&mut journal, append(session(1), ended("all is paid")));
    assert_eq!(kept(&mut journal), [Kept::Bond]);
    done(&mut journal, bonding(1, BondAct::Pledge));
    meet(&mut journal, 1);
    done(&mut journal, bonding(2, BondAct::End));
    assert_eq!(kept(&mut journal), [Kept::Bond], "not while it is on its way");
    meet(&mut journal, 2);
    assert_eq!(kept(&mut journal), []);
}

#[test]
fn a_bonds_channel_is_known_from_its_pledge_to_its_end() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let reader = journal.reader();
    assert!(reader.bonds().unwrap().is_empty());
    done(&mut journal, append(session(1), order_under_it()));
    assert_eq!(reader.bonds().unwrap(), [ID]);
    assert_eq!(reader.sessions_under(&ID).unwrap(), [session(1)]);
    assert!(reader.is_bond_used(&ID).unwrap());
    done(&mut journal, append(session(1), ended("all is paid")));
    assert!(!reader.is_bond_used(&ID).unwrap());
    assert!(reader.bonded_channels().unwrap().is_empty(), "another pledged it");
    done(&mut journal, bonding(1, BondAct::Pledge));
    let event = obligation::Event::Refused { why: "we have too little".to_owned() };
    done(&mut journal, Write::Obligation { reference: bond_reference(&ID, 1), event });
    assert!(reader.bonded_channels().unwrap().is_empty(), "it was refused");
    done(&mut journal, bonding(2, BondAct::Pledge));
    assert_eq!(reader.bonded_channels().unwrap(), [bond().channel].into());
    let ours = |of: fn(&Bond) -> &Account| {
        let pledged = reader.pledged().unwrap();
        assert_eq!((pledged.len(), pledged[0].id, &pledged[0].bond), (1, ID, &bond()));
        pledged[0].amounts(of(&bond()))
    };
    let amounts = |all, coming| (Amount::new(all), Amount::new(coming));
    assert_eq!(ours(|bond| &bond.seller), amounts(301, 301), "on its way");
    meet(&mut journal, 2);
    assert_eq!(ours(|bond| &bond.buyer), amounts(400, 0));
    done(&mut journal, bonding(3, BondAct::Add { amount: Amount::new(7) }));
    assert_eq!(ours(|bond| &bond.seller), amounts(308, 7));
    meet(&mut journal, 3);
    done(&mut journal, bonding(4, BondAct::End));
    assert_eq!(reader.bonded_channels().unwrap().len(), 1);
    meet(&mut journal, 4);
    assert!(reader.bonded_channels().unwrap().is_empty());
}

fn of_none(record: Record) -> Write {
    Write::Append { session: None, record: Box::new(record) }
}

/// A session that goes on beside it knows of its own vouchers alone.
#[test]
fn what_answered_a_demand_was_vouched_whatever_a_session_says_at_its_end() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let (channel, [less, amount]) = (bond().channel, [10, 38].map(Amount::new));
    let vouched = |journal: &mut Journal| {
        let facts = journal.reader().channel(&channel).unwrap().unwrap();
        (facts.ceiling, facts.spent)
    };
    let asked = Demand {
        session: Digest::ZERO,
        amount_total: amount,
        voucher: amount,
        paid_before: 15,
        last_unpaid: 3,
    };
    let signature = key(2).sign(&Digest::ZERO);
    done(&mut journal, of_none(Record::Ceiling { channel, amount }));
    done(&mut journal, bonding(1, BondAct::Pay { asked, amount, signature, most: Amount::ZERO }));
    let spent = Record::Spent { channel, amount: less, kept: true };
    done(&mut journal, of_none(spent));
    assert_eq!(vouched(&mut journal), (Some(amount), Some(amount)));
}

/// What must be shown is one leaf of one window, however many there are.
#[test]
fn a_window_is_found_by_its_root() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let leaves = [Digest([3; 32]), Digest([4; 32])].to_vec();
    done(&mut journal, append(session(1), order_under_it()));
    done(&mut journal, append(session(2), order()));
    for number in 1..4_u8 {
        let of = SignedMessage {
            commitment: Digest([number; 32]),
            ..message(MessageKind::DataInvoice, number.into())
        };
        let Record::Invoice { from_seq, to_seq, digest, owed, .. } = invoice(number.into(), None)
        else {
            unreachable!()
        };
        let leaves = if number == 2 { Leaves::of(leaves.clone()) } else { Leaves::default() };
        let record = Record::Invoice { message: of, from_seq, to_seq, digest, leaves, owed };
        done(&mut journal, append(session(1), record));
    }
    let reader = journal.reader();
    assert_eq!(reader.sessions_under(&ID).unwrap(), [session(1)], "no other is looked in");
    assert_eq!(reader.window(&session(1), &Digest([2; 32])).unwrap(), Some(leaves));
    assert_eq!(reader.window(&session(1), &Digest([9; 32])).unwrap(), None);
}

/// Somebody may wait for it in vain: it goes before what was owed earlier, however much that is.
#[test]
fn what_is_about_a_bond_goes_first() {
    let mut node = Node::new(1);
    node.owe(1, payment(session(1), 1));
    for number in 2..50 {
        node.owe(number, anchor(session(1), number, false));
    }
    node.now_ms += 1;
    let owed = bonding(1, BondAct::ConcludeChallenge);
    node.journal.commit(node.now_ms, vec![owed]).unwrap().remove(0).unwrap();
    let first = node.plan().into_iter().find_map(|step| match step {
        Step::Prepare { call, .. } => Some(call),
        _ => None,
    });
    assert!(matches!(first, Some(Call::Bond(_))), "{first:?}");
}

#[test]
fn a_bonds_datasets_are_needed_until_it_is_over_whoever_ended_it() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let reader = journal.reader();
    done(&mut journal, append(session(1), order_under_it()));
    done(&mut journal, bonding(1, BondAct::Pledge));
    meet(&mut journal, 1);
    let needed =
        |over: &[BondId]| reader.datasets_under_bonds(&over.iter().copied().collect()).unwrap();
    assert_eq!(needed(&[]), [DATASET].into());
    assert_eq!(needed(&[ID]), [].into(), "its ledger says so");
    done(&mut journal, bonding(2, BondAct::End));
    meet(&mut journal, 2);
    assert_eq!(needed(&[]), [].into());
}

/// What a ledger has refused leaves nothing that anybody could complain of.
#[test]
fn a_bond_whose_pledge_was_refused_is_nothing_to_lose() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let reader = journal.reader();
    done(&mut journal, bonding(1, BondAct::Pledge));
    assert!(reader.may_lose_bond(&ID).unwrap(), "it is on its way");
    let (reference, why) = (bond_reference(&ID, 1), "it was taken back".to_owned());
    done(&mut journal, Write::Refused { reference, why });
    assert!(!reader.may_lose_bond(&ID).unwrap());
    done(&mut journal, append(session(1), order_under_it()));
    assert!(reader.may_lose_bond(&ID).unwrap(), "a session is under it");
}
