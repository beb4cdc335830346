//! The chain: what is read is what was written, and nothing passes for it.

use super::*;
use crate::journal::entry::Stored;
use crate::journal::tree::{Batch, Tree};
use proptest::prelude::*;

fn long_journal() -> (Dir, Journal) {
    let dir = Dir::new();
    let mut journal = dir.open();
    done(&mut journal, append(session(1), order()));
    for n in 0..9 {
        done(&mut journal, append(session(1), voucher(1, n)));
    }
    (dir, journal)
}

fn overwrite(journal: &Journal, seq: u64, bytes: Option<Vec<u8>>) {
    let key = (Tree::Entries, keys::seq(seq).to_vec());
    journal.shared.store.write(&Batch::from([(key, bytes)])).unwrap();
}

fn stored(journal: &Journal, seq: u64) -> Vec<u8> {
    let store = &journal.shared.store;
    store.get(Tree::Entries, &keys::seq(seq)).unwrap().unwrap()
}

#[test]
fn a_changed_entry_is_found_where_it_stands_or_by_the_next() {
    let (_dir, journal) = long_journal();
    let changed = String::from_utf8(stored(&journal, 5)).unwrap();
    let changed = changed.replacen("\"amount\":\"3\"", "\"amount\":\"4\"", 1);
    overwrite(&journal, 5, Some(changed.into_bytes()));
    let broken = journal.reader().verify().unwrap().unwrap_err();
    assert_eq!(broken.seq, 6, "{broken}");
    overwrite(&journal, 5, Some(b"{}".to_vec()));
    let broken = journal.reader().verify().unwrap().unwrap_err();
    assert_eq!(broken.seq, 5, "{broken}");
    overwrite(&journal, 5, None);
    let broken = journal.reader().verify().unwrap().unwrap_err();
    assert_eq!(broken.seq, 5, "{broken}");
}

#[test]
fn two_entries_that_changed_places_do_not_pass() {
    let (_dir, journal) = long_journal();
    let (four, five) = (stored(&journal, 4), stored(&journal, 5));
    overwrite(&journal, 4, Some(five));
    overwrite(&journal, 5, Some(four));
    assert_eq!(journal.reader().verify().unwrap().unwrap_err().seq, 4);
}

#[test]
fn a_chain_cut_short_is_found_at_open_and_by_a_walk() {
    let (dir, journal) = long_journal();
    overwrite(&journal, 10, None);
    assert_eq!(journal.reader().verify().unwrap().unwrap_err().seq, 10);
    drop(journal);
    let opened = Journal::open(&dir.path(), us());
    let Err(error @ JournalError::Damaged { .. }) = opened else {
        panic!("opened without its last entry");
    };
    assert!(error.to_string().contains("restore the last backup"));
}

proptest! {
    #[test]
    fn entries_come_back_as_they_were(seq: u64, at_ms: u64, units: u128, why in ".{0,80}", pick in 0usize..6) {
        let records = [
            voucher(1, units),
            ended(&why),
            order(),
            epoch(3),
            claim(session(1), seq, tx("0x1")),
            invoice(seq, Some(anchor(session(1), seq, true))),
        ];
        let entry = Entry {
            seq,
            at_ms,
            session: (seq % 2 == 0).then(|| session(3)),
            prev: Digest([9; 32]),
            record: records[pick].clone(),
            lacks: None,
        };
        let Stored { body, payload } = entry.clone().encode().unwrap();
        let bare = Entry::decode(&body).unwrap();
        prop_assert_eq!(bare.lacks.is_some(), payload.is_some());
        prop_assert_eq!(bare.clone().encode().unwrap(), Stored { body, payload: None });
        prop_assert_eq!(bare.complete(payload.as_deref()).unwrap(), entry);
    }

    #[test]
    fn hostile_bytes_are_no_entry_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
        let _ = Entry::decode(&bytes);
        let good = Entry { seq: 1, at_ms: 1, session: None, prev: Digest::ZERO, record: ended("x"), lacks: None }.encode().unwrap().body;
        let mut torn = good[..cut.min(good.len())].to_vec();
        torn.extend(bytes);
        let _ = Entry::decode(&torn);
    }

    /// One changed byte of a stored body or payload, a lost end, an added one: the walk says that this
    /// entry, or the next one which no longer follows from it, is wrong.
    #[test]
    fn a_stored_entry_that_was_changed_is_named(
        seq in 1u64..=11,
        of_payload: bool,
        at in any::<prop::sample::Index>(),
        bits in 1u8..,
        how in 0u8..3,
    ) {
        thread_local! {
            static SOUND: (Dir, Journal) = {
                let (dir, mut journal) = long_journal();
                done(&mut journal, append(session(1), invoice(3, None)));
                (dir, journal)
            };
        }
        SOUND.with(|(_, journal)| {
            let tree = if of_payload { Tree::Payloads } else { Tree::Entries };
            let Some(sound) = journal.shared.store.get(tree, &keys::seq(seq)).unwrap() else {
                return Ok(());
            };
            let mut changed = sound.clone();
            let at = at.index(changed.len());
            match how {
                0 => changed[at] ^= bits,
                1 => changed.truncate(at),
                _ => changed.insert(at, bits),
            }
            let put = |bytes: Vec<u8>| {
                // What stands there already may have more pieces than what is put in its place.
                let key = (tree, keys::seq(seq).to_vec());
                for bytes in [None, Some(bytes)] {
                    journal.shared.store.write(&Batch::from([(key.clone(), bytes)])).unwrap();
                }
            };
            put(changed);
            let verified = journal.reader().verify();
            put(sound);
            let named = verified.unwrap().unwrap_err().seq;
            prop_assert!((seq..=seq + 1).contains(&named), "{} is named for {}", named, seq);
            Ok(())
        })?;
    }
}
