//! What a buyer has paid is remembered: over sessions, and over restarts of the seller.

use crate::place::*;
use sdpp::journal::Journal;
use sdpp::record::Record;

/// How many items each window had, session by session.
fn windows(place: &Place) -> Vec<Vec<u64>> {
    let journal = Journal::open_existing(&place.journal("seller")).unwrap();
    let mut sessions = Vec::new();
    for entry in journal.reader().entries(0, 1_000).unwrap() {
        match entry.record {
            Record::Order { .. } => sessions.push(Vec::new()),
            Record::Invoice { from_seq, to_seq, .. } => {
                sessions.last_mut().unwrap().push(to_seq + 1 - from_seq);
            }
            _ => {}
        }
    }
    sessions
}

#[test]
fn windows_grow_with_what_was_paid_over_sessions_and_restarts() {
    for methods in ["[\"escrow\"]", "[\"transfer\"]"] {
        let topics = "[seller.trust]\ngranularity = 16\nearn_permille = 500\n".to_owned();
        let setting = Setting { methods, granularity: 2, topics, ..Setting::default() };
        let mut place = Place::open(setting);
        place.buyer("buyer", 1_000_000);
        place.buyer("other", 1_000_000);
        for name in ["buyer", "buyer", "other"] {
            assert_done(&place.buy(name, "co2", "60").output().unwrap());
            std::fs::remove_file(place.items(name)).unwrap();
            place.close();
            if name == "buyer" {
                place.sell();
            }
        }
        let sessions = windows(&place);
        let [first, second, others] = &sessions[..] else { panic!("{sessions:?}") };
        for new in [first, others] {
            assert!(new.starts_with(&[2, 2, 2]), "everybody begins small: {new:?}");
            assert!(new.contains(&4) && new[..new.len() - 1].is_sorted(), "and grows: {new:?}");
        }
        assert_eq!(second[0], 2, "the first window is as the menu says");
        assert!(second[1..4].contains(&16), "it is known: {second:?}");
        let journal = Journal::open_existing(&place.journal("seller")).unwrap();
        let [known, other] = ["buyer", "other"]
            .map(|name| journal.reader().standing(&place.key(name).public()).unwrap());
        assert_eq!((known.settled.units(), known.owed.units(), known.broken), (2 * 1_200, 0, 0));
        assert_eq!(known.windows, (first.len() + second.len()) as u64);
        assert_eq!(other.settled.units(), 1_200);
    }
}
