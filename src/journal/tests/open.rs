//! Opening: whose journal, who holds it, and what damage looks like.

use super::*;
use crate::journal::tree::{Batch, Tree};
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Runs one ignored test of this file or its neighbours in a process of its own.
pub(super) fn child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("SDPP_TEST_JOURNAL", dir);
    command
}

pub(super) fn dir_of_parent() -> PathBuf {
    std::env::var_os("SDPP_TEST_JOURNAL").expect("run by another test").into()
}

fn error(dir: &Dir) -> JournalError {
    match Journal::open(&dir.path(), us()) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let mut journal = dir.open();
    done(&mut journal, append(session(1), order()));
    drop(journal);
    let journal = dir.open();
    let rights = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(rights(&dir.path()), 0o700);
    for item in fs::read_dir(dir.path()).unwrap() {
        let path = item.unwrap().path();
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(rights(&path), expected, "{}", path.display());
    }
    drop(journal);
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let dir = Dir::new();
    let mut journal = dir.open();
    assert_eq!(journal.reader().head().unwrap().seq, 0);
    done(&mut journal, append(session(1), order()));
    drop(journal);
    let mut journal = Journal::open_existing(&dir.path()).unwrap();
    assert_eq!(journal.reader().identity(), us());
    assert_eq!(journal.reader().entry(1).unwrap().unwrap().record, order());
    done(&mut journal, append(session(1), voucher(1, 1)));
    assert!(journal.reader().verify().unwrap().is_ok());
}

#[test]
fn a_second_process_is_told_who_holds_it() {
    let dir = Dir::new();
    let journal = dir.open();
    let pid = std::process::id();
    let again = error(&dir);
    assert!(matches!(again, JournalError::Locked { pid: Some(p), .. } if p == pid));
    let output = child("journal::tests::open::child_opens", &dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("is open in process {pid}")), "{said}");
    // A reader alone still holds it.
    let reader = journal.reader();
    drop(journal);
    assert!(matches!(error(&dir), JournalError::Locked { .. }));
    drop(reader);
    dir.open();
}

#[test]
#[ignore = "run by a_second_process_is_told_who_holds_it"]
fn child_opens() {
    match Journal::open(&dir_of_parent(), us()) {
        Ok(_) => println!("opened"),
        Err(error) => println!("{error}"),
    }
}

#[test]
fn a_stranger_s_journal_is_not_ours() {
    let dir = Dir::new();
    drop(dir.open());
    let opened = Journal::open(&dir.path(), key(2).public());
    let Err(JournalError::Identity { found, .. }) = opened else {
        panic!("a stranger opened it");
    };
    assert_eq!(*found, us());
    dir.open();
}

#[test]
fn another_format_is_named() {
    let dir = Dir::new();
    let journal = dir.open();
    let place = (Tree::Meta, b"schema".to_vec());
    let batch = Batch::from([(place, Some(b"99".to_vec()))]);
    journal.shared.store.write(&batch).unwrap();
    drop(journal);
    assert!(matches!(error(&dir), JournalError::Schema { found } if found == "99"));
}

#[test]
fn no_folder_of_something_else_becomes_a_journal() {
    let dir = Dir::new();
    let missing = Journal::open_existing(&dir.path());
    assert!(matches!(missing, Err(JournalError::NotAJournal(_))));
    assert!(!dir.path().exists());
    fs::create_dir(dir.path()).unwrap();
    fs::write(dir.path().join("thesis.txt"), "precious").unwrap();
    assert!(matches!(error(&dir), JournalError::Taken(_)));
    fs::remove_file(dir.path().join("thesis.txt")).unwrap();
    dir.open();
}

/// Another's, say. Here its files go in circles, which stops root as well.
#[cfg(unix)]
#[test]
fn of_a_folder_that_cannot_be_read_nobody_says_that_it_holds_no_journal() {
    let dir = Dir::new();
    std::os::unix::fs::symlink(dir.path(), dir.path()).unwrap();
    for opened in [Journal::open_existing(&dir.path()), Journal::open(&dir.path(), us())] {
        let why = opened.err().unwrap().to_string();
        assert!(why.contains(" cannot be read: "), "{why}");
    }
}

/// A journal with some hundred entries, closed; the number of its last.
fn closed() -> (Dir, u64) {
    let dir = Dir::new();
    for round in 0..3 {
        let mut journal = dir.open();
        if round == 0 {
            done(&mut journal, append(session(1), order()));
        }
        for n in 0..10 {
            let writes = (0..10).map(|i| append(session(1), voucher(1, n * 10 + i)));
            journal.commit(NOW, writes.collect()).unwrap();
        }
    }
    (dir, 301)
}

/// Opens what was damaged: all is there, or an error says what is wrong; nothing is lost in
/// silence, and nothing panics.
fn must_tell(dir: &Path, what: &str, acknowledged: u64) -> bool {
    match Journal::open(dir, us()) {
        Ok(journal) => {
            let reader = journal.reader();
            assert_eq!(reader.head().unwrap().seq, acknowledged, "{what}");
            let walk = reader.verify();
            matches!(walk, Ok(Ok(_)))
        }
        Err(error) => {
            let expected =
                matches!(error, JournalError::Damaged { .. } | JournalError::Schema { .. });
            assert!(expected, "{what}: {error:?}");
            false
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

/// Calls `damage` with copies of a journal and each of its files.
fn each_file(damage: impl Fn(&str, &Path, &dyn Fn(&str) -> bool)) {
    let (dir, seq) = closed();
    for item in fs::read_dir(dir.path()).unwrap() {
        let item = item.unwrap();
        let name = item.file_name().into_string().unwrap();
        if item.file_type().unwrap().is_dir() || name == "lock" || name == "mark" {
            continue;
        }
        let broken = dir.0.path().join("broken");
        copy(&dir.path(), &broken);
        let again = |what: &str| {
            let well = must_tell(&broken, &format!("{name}: {what}"), seq);
            fs::remove_dir_all(&broken).unwrap();
            copy(&dir.path(), &broken);
            well
        };
        damage(&name, &broken.join(&name), &again);
        fs::remove_dir_all(&broken).unwrap();
    }
}

#[test]
fn flipped_bytes_are_told_and_never_panic() {
    each_file(|name, path, again| {
        let length = fs::metadata(path).unwrap().len() as usize;
        let places = (0..24).map(|n| n * length / 24 + (n * 37) % 11);
        let mut noticed = 0;
        for place in places.filter(|place| *place < length) {
            let mut bytes = fs::read(path).unwrap();
            for byte in bytes.iter_mut().skip(place).take(4) {
                *byte ^= 0x5a;
            }
            fs::write(path, bytes).unwrap();
            noticed += u32::from(!again(&format!("flipped at {place}")));
        }
        println!("{name}: {length} bytes, {noticed} of 24 flips noticed");
    });
}

#[test]
fn a_truncated_file_is_told_and_never_panics() {
    each_file(|name, path, again| {
        let length = fs::metadata(path).unwrap().len();
        for part in [0, 1, 2, 5, 8, 9] {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_len(length * part / 10).unwrap();
            drop(file);
            let well = again(&format!("cut to {part} tenths"));
            println!("{name}: cut to {part} tenths: {well}");
        }
    });
}

#[test]
fn an_end_that_sled_drops_in_silence_is_missed() {
    let (dir, seq) = closed();
    let path = dir.path().join("db");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end - 40..end].fill(0x77);
    fs::write(&path, bytes).unwrap();
    let said = error(&dir).to_string();
    assert!(said.contains(&format!("entry {seq} was acknowledged")), "{said}");
}

/// The files of a journal with a bit of everything, and all its rows.
struct Sound {
    files: Vec<(PathBuf, Vec<u8>)>,
    rows: Vec<(Tree, Vec<u8>, Vec<u8>)>,
    seq: u64,
}

fn sound() -> &'static Sound {
    static SOUND: LazyLock<Sound> = LazyLock::new(|| {
        let dir = Dir::new();
        drop(super::backup::filled(&dir));
        // What sled writes when it opens a journal is there too.
        let journal = dir.open();
        let (rows, seq) = (super::backup::rows(&journal), journal.reader().head().unwrap().seq);
        drop(journal);
        let items = fs::read_dir(dir.path()).unwrap().map(|item| item.unwrap().path());
        let files = items.filter(|path| path.is_file() && !path.ends_with("lock"));
        let name = |path: &Path| PathBuf::from(path.file_name().unwrap());
        let read = |path: PathBuf| (name(&path), fs::read(&path).unwrap());
        Sound { files: files.map(read).collect(), rows, seq }
    });
    &SOUND
}

/// Opens and verifies a journal, one file of which is another: it says what is wrong, or all is as
/// it was.
fn says_what_is_wrong_or_has_all(name: &Path, bytes: &[u8], what: &str) -> bool {
    let dir = Dir::new();
    fs::create_dir(dir.path()).unwrap();
    for (file, sound) in &sound().files {
        let bytes = if file == name { bytes } else { sound };
        fs::write(dir.path().join(file), bytes).unwrap();
    }
    let journal = match Journal::open(&dir.path(), us()) {
        Ok(journal) => journal,
        Err(JournalError::Damaged { .. } | JournalError::Schema { .. }) => return false,
        Err(other) => panic!("{what}: {other:?}"),
    };
    match journal.reader().answer(&Query::Verify) {
        Ok(Answer::Holds { head, .. }) => {
            assert_eq!(head.seq, sound().seq, "{what}");
            assert!(super::backup::rows(&journal) == sound().rows, "{what}: unnoticed");
            true
        }
        Ok(Answer::Broken { .. }) | Err(JournalError::Damaged { .. }) => false,
        other => panic!("{what}: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_flipped_bit_and_no_missing_end_of_any_file_goes_unnoticed(
        file in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let (name, bytes) = file.get(&sound().files);
        // The mark is written without a sync, so one that is torn says nothing.
        prop_assume!(!name.ends_with("mark") && !bytes.is_empty());
        let place = place.index(bytes.len());
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << bit;
        let shown = name.display();
        says_what_is_wrong_or_has_all(name, &flipped, &format!("{shown}: bit {bit} of {place}"));
        says_what_is_wrong_or_has_all(name, &bytes[..place], &format!("{shown}: cut at {place}"));
    }
}

#[test]
fn a_journal_whose_files_were_not_touched_is_well() {
    let (name, bytes) = &sound().files[0];
    assert!(says_what_is_wrong_or_has_all(name, bytes, "nothing"));
}
