//! Stories of what takes more than one read: pages to their end, and what became of something owed.

use super::node::Node;
use super::*;
use crate::journal::obligation::{Event, State};

#[test]
fn what_became_of_something_owed_is_told_at_each_of_its_steps() {
    let mut node = Node::new(1);
    let became = |node: &Node, reference| node.journal.reader().became(&reference).unwrap();
    let nobodys = session(1).reference(Purpose::Payment, 9);
    assert_eq!(became(&node, nobodys), None, "nothing is owed there");
    let held = node.owe(1, Owed { held: true, ..payment(session(1), 1) });
    let reference = node.owe(2, payment(session(1), 2));
    assert_eq!((became(&node, held), became(&node, reference)), (None, None));
    let tx = node.send().signed().and_then(|signed| signed.tx.clone()).unwrap();
    assert_eq!(became(&node, reference), Some(NewsKind::Signed(tx)), "it is on its way");
    node.settle();
    let State::Met { evidence } = node.state(&reference) else { panic!("it is not done") };
    let told = became(&node, reference).unwrap();
    assert!(told.is_last() && told == NewsKind::Met(evidence), "{told:?}");
}

#[test]
fn what_is_refused_is_told_with_its_reason() {
    let dir = Dir::new();
    let mut journal = dir.open();
    done(&mut journal, append(session(1), order()));
    done(&mut journal, append(session(1), claim(session(1), 1, tx("0x1"))));
    let reference = session(1).reference(Purpose::Payment, 1);
    assert_eq!(journal.reader().became(&reference).unwrap(), None, "it is looked for");
    let event = Event::Refused { why: "NotIncluded".to_owned() };
    done(&mut journal, Write::Obligation { reference, event });
    let told = journal.reader().became(&reference).unwrap().unwrap();
    assert!(told.is_last() && told == NewsKind::Refused("NotIncluded".to_owned()), "{told:?}");
}

#[test]
fn more_than_a_page_of_sessions_and_of_entries_is_read_to_its_end() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let many = 1..=u8::try_from(3 * 64).unwrap();
    let began = many.clone().map(|n| append(session(n), order()));
    journal.commit(NOW, began.collect()).unwrap();
    let over = many.clone().filter(|n| n % 3 == 0).map(|n| append(session(n), ended("over")));
    journal.commit(NOW, over.collect()).unwrap();
    let open = journal.reader().open_sessions().unwrap().into_iter().map(|(id, _)| id);
    let expected = many.clone().filter(|n| n % 3 != 0).map(session);
    assert_eq!(
        open.collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "by id, those without an end"
    );
    let entries = (1..=200).map(|n| append(session(1), invoice(n, None)));
    journal.commit(NOW, entries.collect()).unwrap();
    let mut seqs = Vec::new();
    journal.reader().each_session_entry(&session(1), |entry| seqs.push(entry.seq)).unwrap();
    assert!(seqs.len() == 201 && seqs.is_sorted(), "its order and 200 more: {seqs:?}");
}
