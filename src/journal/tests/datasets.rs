//! Datasets that are sold under bonds: what shows their items is kept.

use super::*;
use crate::journal::datasets::Stretch;
use crate::journal::restore::restore;
use crate::terms::Dataset;
use sdpp_ledger::merkle;

/// More rows than are read or forgotten at once, and the last of them not full.
const COUNT: u32 = 70_001;

fn leaves(first: u32, count: u32) -> Vec<Digest> {
    (first..first + count).map(|n| keccak(&[&[0], &n.to_be_bytes()])).collect()
}

/// A dataset and the writes that keep it.
fn kept(leaves: &[Digest]) -> (Dataset, Vec<Write>) {
    let dataset = Dataset { root: merkle::root(leaves), count: leaves.len() as u32 };
    (dataset, Stretch::writes(dataset, 0, leaves))
}

fn all_done(journal: &mut Journal, writes: Vec<Write>) {
    for writes in writes.chunks(500) {
        let answers = journal.commit(NOW, writes.to_vec()).unwrap();
        assert!(answers.iter().all(Result::is_ok));
    }
}

#[test]
fn an_item_is_shown_from_what_is_kept_and_from_nothing_else() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let all = leaves(0, COUNT);
    let (dataset, mut writes) = kept(&all);
    let last = writes.split_off(writes.len() - 1);
    all_done(&mut journal, writes);
    let reader = journal.reader();
    assert!(!reader.keeps(&dataset.root).unwrap(), "one row is not there yet");
    assert_eq!(reader.place_in(&dataset.root, &all[5]).unwrap(), None);
    assert_eq!(reader.kept_datasets().unwrap(), [dataset.root]);
    all_done(&mut journal, last);
    assert!(reader.keeps(&dataset.root).unwrap());
    for index in [0, 63, 64, COUNT - 1] {
        let leaf = &all[index as usize];
        let proof = reader.place_in(&dataset.root, leaf).unwrap().unwrap();
        assert!(proof.verify(leaf, &dataset.root));
        assert_eq!((proof.index, proof.count), (index, COUNT));
    }
    assert_eq!(reader.place_in(&dataset.root, &leaves(COUNT, 1)[0]).unwrap(), None);
    assert_eq!(reader.place_in(&Digest([7; 32]), &all[5]).unwrap(), None);
    assert_eq!(reader.head().unwrap().seq, 0, "it is no entry");
}

/// Else its seller would show what the contract takes for no answer, or nothing, and never know why.
#[test]
fn what_does_not_come_to_its_root_is_damage() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let all = leaves(0, 3);
    let (dataset, _) = kept(&all);
    let changed = [all[0], all[2], all[1]].to_vec();
    done(&mut journal, Write::Keeping(Box::new(Stretch { dataset, at: 0, leaves: changed })));
    let error = journal.reader().place_in(&dataset.root, &all[0]).unwrap_err();
    assert!(error.to_string().contains(&dataset.root.to_string()), "{error}");
}

#[test]
fn a_dataset_is_forgotten_row_by_row_and_no_other_with_it() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let reader = journal.reader();
    let [large, small] = [leaves(0, COUNT), leaves(COUNT, 3)];
    let [(one, first), (other, second)] = [kept(&large), kept(&small)];
    all_done(&mut journal, first);
    all_done(&mut journal, second);
    let mut times = 0;
    while reader.kept_datasets().unwrap().contains(&one.root) {
        done(&mut journal, Write::Forget { root: one.root });
        assert!(!reader.keeps(&one.root).unwrap(), "it is none from the first on");
        times += 1;
    }
    assert_eq!(times, 2, "so many rows at once");
    assert_eq!(reader.kept_datasets().unwrap(), [other.root]);
    assert!(reader.place_in(&other.root, &small[1]).unwrap().is_some());
}

#[test]
fn a_restored_journal_shows_what_the_one_before_could() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let all = leaves(0, 200);
    let (dataset, writes) = kept(&all);
    all_done(&mut journal, writes);
    let [backup, new] = ["one.backup", "new"].map(|name| dir.0.path().join(name));
    journal.reader().back_up(&backup, NOW).unwrap();
    restore(&new, &backup, NOW + 1).unwrap();
    let restored = Journal::open(&new, us()).unwrap().reader();
    assert!(restored.place_in(&dataset.root, &all[150]).unwrap().is_some());
    // Of what was sold then it may not know.
    let since = restored.kept_since(&dataset.root).unwrap().unwrap();
    assert!(since < restored.quarantine().unwrap().unwrap().entry);
}
