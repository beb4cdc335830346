//! The two tables: every state meets every event, and either moves or says that it cannot.

use super::*;
use crate::journal::delivery::{Event as Moved, State as Way};
use crate::journal::obligation::{Event, State};
use proptest::prelude::*;
use sdpp_ledger::{Evidence, Inclusion};

pub(super) fn evidence(tx: &str) -> Evidence {
    Evidence::new(tx.parse().unwrap(), 3, "0xb", NOW)
}

fn delivery_id() -> DeliveryId {
    DeliveryId { ledger: ledger_id(), account: account(1), number: 4 }
}

fn states() -> Vec<State> {
    let (evidence, why) = (evidence("0x1"), "no".to_owned());
    let delivery = delivery_id();
    vec![
        State::Held,
        State::Open { alone: false },
        State::Open { alone: true },
        State::Watching,
        State::Riding { delivery },
        State::Met { evidence },
        State::Refused { why },
    ]
}

fn events() -> Vec<Event> {
    let (evidence, why) = (evidence("0x1"), "no".to_owned());
    let delivery = delivery_id();
    vec![
        Event::Released,
        Event::Separated,
        Event::Boarded { delivery },
        Event::Dropped,
        Event::Met { evidence },
        Event::Refused { why },
        Event::Deferred,
        Event::Retried,
    ]
}

fn ways() -> Vec<Way> {
    let place = Inclusion { height: 1, block: "0xa".to_owned() };
    let (evidence, why) = (evidence("0x1"), "no".to_owned());
    vec![
        Way::Prepared { accepted: false },
        Way::Sent,
        Way::Included { place },
        Way::Rejected { why: why.clone(), accepted: true },
        Way::Final { evidence: evidence.clone() },
        Way::Reverted { why: why.clone(), evidence: evidence.clone() },
        Way::Cancelled { evidence },
        Way::Dead { why, number_spent: true },
    ]
}

fn moves() -> Vec<Moved> {
    let place = Inclusion { height: 2, block: "0xc".to_owned() };
    let (evidence, why) = (evidence("0x1"), "no".to_owned());
    let tx = tx("0x1");
    vec![
        Moved::Sent { tx },
        Moved::Rejected { why: why.clone() },
        Moved::Unknown,
        Moved::Pending,
        Moved::Included { place },
        Moved::Final { evidence: evidence.clone() },
        Moved::Reverted { why, evidence: evidence.clone() },
        Moved::Replaced,
        Moved::Resigned,
        Moved::Voided,
        Moved::Cancelled { evidence },
    ]
}

/// Legal moves of an obligation, a row for each state and a column for each event, in the order
/// of [`states`] and [`events`].
const OBLIGATION: [&str; 7] = [
    "r.......", // held
    ".sb..xl.", // open
    ".sb..xl.", // open, alone
    "....mx..", // watching
    "...dmxl.", // riding
    "........", // met
    ".......o", // refused
];

#[test]
fn an_obligation_moves_as_its_table_says() {
    let owed = payment(session(1), 1);
    for (state, row) in states().into_iter().zip(OBLIGATION) {
        for (event, cell) in events().into_iter().zip(row.chars()) {
            let next = state.clone().next(event.clone(), &owed);
            assert_eq!(next.is_ok(), cell != '.', "{state:?} {event:?}: {next:?}");
            if state.is_settled() && event != Event::Retried {
                assert!(next.is_err());
            }
        }
    }
}

#[test]
fn a_delivery_that_is_over_stays_so_and_no_other_is_stuck() {
    for state in ways() {
        for event in moves() {
            let next = state.clone().next(event.clone());
            assert_eq!(next.is_ok(), state.is_live(), "{state:?} {event:?}");
        }
    }
}

#[test]
fn a_reorg_sends_a_delivery_back() {
    let place = Inclusion { height: 1, block: "0xa".to_owned() };
    let included = Way::Included { place };
    assert_eq!(included.clone().next(Moved::Pending), Ok(Way::Sent));
    let accepted = true;
    assert_eq!(included.next(Moved::Unknown), Ok(Way::Prepared { accepted }));
}

#[test]
fn only_a_refusal_that_was_looked_up_kills_what_was_never_accepted() {
    let why = "no".to_owned();
    let refuse = |way: Way| {
        way.next(Moved::Rejected { why: why.clone() }).unwrap().next(Moved::Unknown).unwrap()
    };
    let number_spent = false;
    let why = why.clone();
    let dead = refuse(Way::Prepared { accepted: false });
    assert_eq!(dead, Way::Dead { why, number_spent });
    let accepted = true;
    assert_eq!(refuse(Way::Sent), Way::Prepared { accepted });
    let voided = Way::Prepared { accepted: false }.next(Moved::Voided).unwrap();
    assert_eq!(refuse(voided), Way::Prepared { accepted }, "what is cancelled may have arrived");
}

proptest! {
    #[test]
    fn no_walk_through_the_tables_is_met_and_then_something_else(
        picks in proptest::collection::vec(0usize..77, 1..40)
    ) {
        let owed = payment(session(1), 1);
        let mut state = State::birth(&owed, true);
        let mut way = Way::Prepared { accepted: false };
        for pick in picks {
            let event = events()[pick % 7].clone();
            if let Ok(next) = state.clone().next(event, &owed) {
                let stays_met = !matches!(state, State::Met { .. });
                prop_assert!(stays_met);
                state = next;
            }
            if let Ok(next) = way.clone().next(moves()[pick % 11].clone()) {
                prop_assert!(way.is_live());
                way = next;
            }
        }
    }
}
