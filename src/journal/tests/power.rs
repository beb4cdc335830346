//! What is answered is on disk: watched from outside the process.

use super::open::{child, dir_of_parent};
use super::*;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const COMMITS: u64 = 30;

#[test]
#[ignore = "run by the other tests of this file"]
fn child_appends() {
    let mut journal = Journal::open(&dir_of_parent(), us()).unwrap();
    say("acknowledged 0");
    if journal.reader().head().unwrap().seq == 0 {
        done(&mut journal, append(session(1), order()));
    }
    for n in 0..COMMITS * 100 {
        let writes = (0..4).map(|i| append(session(1), voucher(1, n.into()).with_why(i)));
        match journal.commit(NOW, writes.collect()) {
            Ok(answers) => {
                let seq = answers.last().unwrap().as_ref().unwrap().seq;
                say(&format!("acknowledged {}", seq.unwrap()));
            }
            Err(error) => {
                say(&format!("failed {error}"));
                // The next one says that the journal has stopped.
                let next = journal.commit(NOW, vec![append(session(1), voucher(1, 1))]);
                say(&format!("then {}", next.unwrap_err()));
                return;
            }
        }
        if n == COMMITS && std::env::var_os("SDPP_TEST_FILL").is_none() {
            return;
        }
    }
}

impl Record {
    /// Records of some size, so that a disk fills up.
    fn with_why(self, n: u64) -> Record {
        match std::env::var_os("SDPP_TEST_FILL") {
            Some(_) if n == 0 => Record::Exit {
                by: Role::Seller,
                message: SignedMessage {
                    data: Some("x".repeat(16_000)),
                    ..message(MessageKind::Exit, n)
                },
                owed: None,
            },
            _ => self,
        }
    }
}

/// Runs a child that fills its journal, after this word of bash, and that lives on where a file may
/// not grow.
fn filled(test: &str, dir: &Dir, first: &str) -> Output {
    let plain = child(test, &dir.path());
    Command::new("bash")
        .args(["-c", &format!("trap '' XFSZ; {first}exec \"$@\""), "bash"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env("SDPP_TEST_JOURNAL", dir.path())
        .env("SDPP_TEST_FILL", "yes")
        .output()
        .unwrap()
}

/// One line in one write, past the test harness.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[test]
fn each_answer_comes_after_a_sync_of_the_file_that_holds_it() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("SKIPPED: strace is not installed, so nobody watched the syncs");
        return;
    }
    let dir = Dir::new();
    let trace = dir.0.path().join("trace");
    let plain = child("journal::tests::power::child_appends", &dir.path());
    let status = Command::new("strace")
        .args(["-f", "-y", "-o"])
        .arg(&trace)
        .args(["-e", "trace=fdatasync,fsync,pwrite64,write"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env("SDPP_TEST_JOURNAL", dir.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let trace = std::fs::read_to_string(trace).unwrap();
    let db = format!("{}>", dir.path().join("db").display());
    let (mut dirty, mut synced, mut answers) = (false, false, 0);
    let mut opened = Vec::new();
    for line in trace.lines() {
        if line.contains("pwrite64(") && line.contains(&db) {
            (dirty, synced) = (true, false);
        } else if line.contains("fdatasync(") && line.contains(&db) {
            (dirty, synced) = (false, true);
        } else if line.contains("fsync(") && answers == 0 {
            opened.push(line.to_owned());
        } else if line.contains("acknowledged ") {
            assert!(answers == 0 || (synced && !dirty), "unsynced: {line}");
            (synced, answers) = (false, answers + 1);
        }
    }
    assert!(answers > COMMITS, "{answers} answers in the trace");
    for name in ["db", "conf", "journal", "blobs"] {
        let path = format!("/{name}>");
        let found = opened.iter().any(|line| line.contains(&path));
        assert!(found, "{name} was not synced at open");
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_answered() {
    let dir = Dir::new();
    drop(dir.open());
    // A file that may not grow is as good as a full disk, and needs no rights to make.
    let output = filled("journal::tests::power::child_appends", &dir, "ulimit -f 3000; ");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("failed "), "{said}");
    assert!(said.contains("then the journal stopped"), "{said}");
    let last = said.lines().filter_map(|line| {
        let (_, seq) = line.split_once("acknowledged ")?;
        seq.trim().parse::<u64>().ok()
    });
    let last = last.max().unwrap();
    let reader = dir.open().reader();
    let head = reader.verify().unwrap().unwrap();
    assert!(last > 100 && head.seq >= last, "{last} of {}", head.seq);
}

#[test]
#[ignore = "run by a_journal_goes_on_in_its_process_when_there_is_room_again"]
fn child_mends() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let mut journal = Journal::open(&dir_of_parent(), us()).unwrap();
    done(&mut journal, append(session(1), order()));
    let reader = journal.reader();
    let limit = |current| {
        setrlimit(Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    };
    let mut acknowledged = 1;
    for round in 0..3_u64 {
        limit(Some((round + 2) << 20));
        let failed = loop {
            let record = voucher(1, 1).with_why(0);
            match journal.commit(NOW, vec![append(session(1), record)]) {
                Ok(answers) => acknowledged = answers[0].as_ref().unwrap().seq.unwrap(),
                Err(error) => break error,
            }
        };
        say(&format!("full at {acknowledged}: {failed}"));
        assert!(matches!(reader.head(), Err(JournalError::Stopped { .. })));
        // Without room it may come back, and is full again with what is written next.
        let mended = journal.mend();
        assert!(matches!(mended, Ok(true) | Err(JournalError::Io { .. })), "{mended:?}");
        limit(None);
        journal.mend().unwrap();
        let head = reader.verify().unwrap().unwrap();
        assert!(head.seq >= acknowledged, "{} of {acknowledged}", head.seq);
        done(&mut journal, append(session(1), voucher(1, 1)));
    }
    say("mended");
}

#[test]
fn a_journal_goes_on_in_its_process_when_there_is_room_again() {
    let dir = Dir::new();
    let output = filled("journal::tests::power::child_mends", &dir, "");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("mended"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.matches("full at").count(), 3, "{said}");
}
