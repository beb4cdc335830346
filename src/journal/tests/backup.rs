//! A backup is one whole moment, and nothing is restored from what is not.

use super::*;
use crate::journal::restore::restore;
use crate::journal::tree::Tree;
use proptest::prelude::*;
use std::fs;

/// All rows of all trees.
pub(super) fn rows(journal: &Journal) -> Vec<(Tree, Vec<u8>, Vec<u8>)> {
    let store = &journal.shared.store;
    let of = |tree| store.scan(tree, &[], None, usize::MAX).unwrap().into_iter();
    Tree::ALL.into_iter().flat_map(|tree| of(tree).map(move |(k, v)| (tree, k, v))).collect()
}

/// A journal with a bit of everything, and values of several pieces.
pub(super) fn filled(dir: &Dir) -> Journal {
    let mut journal = dir.open();
    done(&mut journal, append(session(1), order()));
    done(&mut journal, append(session(1), epoch(0)));
    for n in 1..40 {
        let mut message = message(MessageKind::DataInvoice, n);
        message.data = Some("x".repeat(6_000 * (n as usize % 3)));
        let owed = Some(anchor(session(1), n, n % 2 == 0));
        let (from_seq, to_seq, digest) = (n, n, Digest::ZERO);
        let leaves = Leaves::of(vec![Digest([7; 32]); 9]);
        let record = Record::Invoice { message, from_seq, to_seq, digest, leaves, owed };
        done(&mut journal, append(session(1), record));
        done(&mut journal, append(session(1), voucher(1, n.into())));
    }
    journal
}

#[test]
fn a_backup_holds_one_moment_while_the_journal_is_written() {
    let dir = Dir::new();
    let mut journal = filled(&dir);
    // More than a page, so that the writer comes between two.
    for n in 0..30 {
        let writes = (0..100).map(|i| append(session(1), voucher(2, n * 100 + i)));
        journal.commit(NOW, writes.collect()).unwrap();
    }
    let before = rows(&journal);
    let shared = journal.shared.clone();
    shared.begin_copying(|_| Ok(())).unwrap().unwrap();
    let mut copied = Vec::new();
    for tree in Tree::ALL {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (page, next) = shared.copy_page(tree, after.as_deref()).unwrap();
            copied.extend(page.into_iter().map(|(key, value)| (tree, key, value)));
            // New rows, changed rows, and rows that go.
            let n = copied.len() as u64;
            done(&mut journal, append(session(1), voucher(3, n.into())));
            done(&mut journal, append(session(1), invoice(1_000 + n, None)));
            let reference = session(1).reference(Purpose::Invoice, 1);
            done(
                &mut journal,
                Write::Postpone { live: Live::Obligation(reference), due_ms: NOW + n },
            );
            match next {
                Some(key) => after = Some(key),
                None => break,
            }
        }
    }
    assert!(journal.reader().head().unwrap().seq > 3_000);
    assert_eq!(copied, before);
    shared.end_copying();
}

#[test]
fn a_backup_is_restored_row_by_row_and_only_the_quarantine_is_added() {
    let dir = Dir::new();
    let journal = filled(&dir);
    let (before, reader) = (rows(&journal), journal.reader());
    let made = reader.back_up(dir.0.path(), NOW + 5).unwrap();
    let name = made.file.file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with("-80.backup"), "{name}");
    assert_eq!(made.manifest.head, reader.head().unwrap());
    assert_eq!(
        (made.rows, made.bytes),
        (before.len() as u64, fs::metadata(&made.file).unwrap().len())
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&made.file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let again = reader.back_up(&made.file, NOW).unwrap_err().to_string();
    assert!(again.contains("nothing is overwritten"), "{again}");
    let new = dir.0.path().join("new");
    let restored = restore(&new, &made.file, NOW + 60_000).unwrap();
    assert_eq!(restored.rows, made.rows);
    let journal = Journal::open(&new, us()).unwrap();
    let after = rows(&journal);
    let kept = before.iter().filter(|row| after.contains(row)).count();
    // Nothing but the head has changed: there is no channel of ours in it.
    let changed: Vec<_> = before.iter().filter(|row| !after.contains(row)).map(|r| &r.1).collect();
    assert_eq!((kept, changed.len()), (before.len() - 2, 2), "{changed:?}");
    assert!(journal.reader().verify().unwrap().is_ok());
    assert!(!dir.0.path().join("new.restoring").exists());
}

#[test]
fn nothing_is_restored_over_anything() {
    let dir = Dir::new();
    let journal = filled(&dir);
    let made = journal.reader().back_up(&dir.0.path().join("one.backup"), NOW).unwrap();
    let over = restore(&dir.path(), &made.file, NOW).unwrap_err().to_string();
    assert!(over.contains("move that away first"), "{over}");
    let full = dir.0.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("thesis.txt"), "precious").unwrap();
    let over = restore(&full, &made.file, NOW).unwrap_err().to_string();
    assert!(over.contains("not empty"), "{over}");
    let left = dir.0.path().join("new.restoring");
    fs::create_dir(&left).unwrap();
    let over = restore(&dir.0.path().join("new"), &made.file, NOW).unwrap_err().to_string();
    assert!(over.contains("another restore has left"), "{over}");
    assert!(left.exists());
}

#[test]
fn one_backup_is_made_at_a_time_and_one_that_fails_leaves_nothing() {
    let dir = Dir::new();
    let journal = filled(&dir);
    let reader = journal.reader();
    let missing = dir.0.path().join("missing").join("one.backup");
    let why = reader.back_up(&missing, NOW).unwrap_err().to_string();
    assert!(why.contains("No such file"), "{why}");
    journal.shared.begin_copying(|_| Ok(())).unwrap().unwrap();
    let why = reader.back_up(&dir.0.path().join("one.backup"), NOW).unwrap_err().to_string();
    assert!(why.contains("another backup"), "{why}");
    journal.shared.end_copying();
    reader.back_up(&dir.0.path().join("one.backup"), NOW).unwrap();
    assert_eq!(fs::read_dir(dir.0.path()).unwrap().count(), 2);
}

/// A backup, as bytes.
fn bytes() -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let dir = Dir::new();
        let made = filled(&dir).reader().back_up(&dir.0.path().join("one.backup"), NOW).unwrap();
        fs::read(made.file).unwrap()
    });
    &BYTES
}

fn refused(bytes: &[u8], what: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (file, new) = (dir.path().join("one.backup"), dir.path().join("new"));
    fs::write(&file, bytes).unwrap();
    let why = restore(&new, &file, NOW).err().unwrap_or_else(|| panic!("{what} was restored"));
    assert!(matches!(why, JournalError::Backup { .. }), "{what}: {why:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{what} left something");
    why.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_backup_with_a_flipped_bit_or_a_missing_end_is_refused_whole(
        place in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let mut flipped = bytes().to_vec();
        let place = place.index(flipped.len());
        flipped[place] ^= 1 << bit;
        refused(&flipped, &format!("bit {bit} of {place}"));
        refused(&bytes()[..place], &format!("cut at {place}"));
    }
}

#[test]
fn a_backup_of_another_format_says_so() {
    let text = b"\"schema\":2";
    let at = bytes().windows(text.len()).position(|window| window == text).unwrap();
    let mut other = bytes().to_vec();
    other[at + text.len() - 1] = b'3';
    let why = refused(&other, "another format");
    assert!(why.contains("format 3, this program reads format 2"), "{why}");
    let longer = [bytes(), b"x"].concat();
    assert!(refused(&longer, "a longer one").contains("goes on after its end"));
}
