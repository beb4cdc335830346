//! What a commit takes, what it refuses, and what it leaves behind.

use super::*;
use crate::journal::tree::{PAGE_BYTES_MAX, plain};
use crate::record::EVIDENCE_MAX;
use crate::terms::SHOWN_BYTES_MAX;
use std::sync::atomic::Ordering::SeqCst;

fn with_session() -> (Dir, Journal) {
    let dir = Dir::new();
    let mut journal = dir.open();
    done(&mut journal, append(session(1), order()));
    (dir, journal)
}

#[test]
fn sixty_four_appends_cost_one_sync() {
    let (_dir, mut journal) = with_session();
    let before = journal.shared.store.watch.syncs.load(SeqCst);
    let writes = (0..64).map(|n| append(session(1), voucher(1, n))).collect();
    let answers = journal.commit(NOW, writes).unwrap();
    assert_eq!(journal.shared.store.watch.syncs.load(SeqCst) - before, 1);
    let seqs: Vec<_> = answers.into_iter().map(|a| a.unwrap().seq.unwrap()).collect();
    assert_eq!(seqs, (2..66).collect::<Vec<_>>());
}

#[test]
fn a_bad_write_fails_alone() {
    let (_dir, mut journal) = with_session();
    let stranger = append(session(2), voucher(1, 1));
    let bad_claim = Write::Append { session: None, record: Box::new(order()) };
    let good = append(session(1), voucher(1, 5));
    let answers = journal.commit(NOW, vec![stranger, good, bad_claim]).unwrap();
    assert_eq!(answers[0], Err(WriteError::NoSuchSession));
    assert_eq!(answers[1].as_ref().unwrap().seq, Some(2));
    assert_eq!(answers[2], Err(WriteError::NoSuchSession));
    let reader = journal.reader();
    assert_eq!(reader.verify().unwrap().unwrap().seq, 2);
    assert!(reader.session(&session(2)).unwrap().is_none());
}

/// The order names its anchor's transaction, so its anchor is owed before there is a session.
#[test]
fn the_anchor_of_an_order_goes_before_its_session() {
    let (_dir, mut journal) = with_session();
    let anchoring = |purpose| {
        let owed = Owed { purpose, ..anchor(session(2), purpose as u64, false) };
        append(session(2), Record::Anchoring { owed, invoice: None })
    };
    let writes = vec![anchoring(Purpose::Order), anchoring(Purpose::Invoice)];
    let answers = journal.commit(NOW, writes).unwrap();
    assert_eq!(answers[0].as_ref().unwrap().seq, Some(2));
    assert_eq!(answers[1], Err(WriteError::NoSuchSession));
}

#[test]
fn a_refused_write_takes_all_its_changes_back() {
    let (_dir, mut journal) = with_session();
    let by = session(1).reference(Purpose::Payment, 1);
    // The second claim's record passes the checks of session and chain, then its transaction has paid.
    let writes = vec![
        append(session(1), claim(session(1), 1, tx("0xAB"))),
        Write::Obligation { reference: by, event: is_paid_by("0xAB") },
        append(session(1), claim(session(1), 2, tx("0xab"))),
        append(session(1), voucher(1, 5)),
    ];
    let answers = journal.commit(NOW, writes).unwrap();
    let tx = tx("0xab");
    assert_eq!(answers[2], Err(WriteError::TxUsed { tx, by }));
    assert_eq!(answers[3].as_ref().unwrap().seq, Some(4));
    let reader = journal.reader();
    assert_eq!(reader.verify().unwrap().unwrap().seq, 4);
    assert_eq!(reader.session_entries(&session(1), 0, 10).unwrap().len(), 4);
}

/// A ledger says that something claimed is paid.
fn is_paid_by(name: &str) -> obligation::Event {
    let evidence = sdpp_ledger::Evidence::new(tx(name), 9, "0x9".to_owned(), NOW);
    obligation::Event::Met { evidence }
}

#[test]
fn a_transaction_that_two_name_pays_the_one_that_its_ledger_says_whoever_names_it_first() {
    for first in [1, 2] {
        let (_dir, mut journal) = with_session();
        let reference = |number| session(1).reference(Purpose::Payment, number);
        for number in [first, 3 - first] {
            done(&mut journal, append(session(1), claim(session(1), number, tx("0xab"))));
        }
        let event = is_paid_by("0xab");
        let met = done(&mut journal, Write::Obligation { reference: reference(2), event });
        assert!(matches!(met.news[0].kind, NewsKind::Met(_)), "{:?}", met.news);
        // Whatever the ledger says of the other: a transaction pays once.
        let (reference, event) = (reference(1), is_paid_by("0xAB"));
        let other = done(&mut journal, Write::Obligation { reference, event });
        let NewsKind::Refused(why) = &other.news[0].kind else { panic!("{:?}", other.news) };
        assert!(why.contains("has paid"), "{why}");
        let event = obligation::Event::Retried;
        let again = one(&mut journal, Write::Obligation { reference, event });
        assert!(matches!(again, Err(WriteError::TxUsed { .. })));
    }
}

#[test]
fn one_reference_has_one_content() {
    let (dir, mut journal) = with_session();
    let owed = anchor(session(1), 1, false);
    let first = append(session(1), invoice(1, Some(owed.clone())));
    let other = append(session(1), invoice(2, Some(owed.clone())));
    let answers = journal.commit(NOW, vec![first.clone(), first.clone(), other]).unwrap();
    let written = answers[0].as_ref().unwrap();
    assert_eq!((written.seq, written.ledgers.clone()), (Some(2), vec![ledger_id()]));
    let again = answers[1].as_ref().unwrap();
    assert!(again.repeated && again.seq == Some(2) && again.ledgers.is_empty());
    let (reference, entry) = (owed.reference, 2);
    let conflict = WriteError::ReferenceConflict { reference, entry };
    assert_eq!(answers[2], Err(conflict));

    drop(journal);
    let mut journal = dir.open();
    assert!(done(&mut journal, first).repeated);
    assert_eq!(journal.reader().head().unwrap().seq, 2);
}

#[test]
fn a_session_is_founded_once_and_ends_once() {
    let (dir, mut journal) = with_session();
    drop(journal);
    journal = dir.open();
    let again = one(&mut journal, append(session(1), order()));
    assert_eq!(again, Err(WriteError::SessionExists(session(1))));
    done(&mut journal, append(session(1), ended("all is paid")));
    let late = one(&mut journal, append(session(1), voucher(1, 1)));
    assert_eq!(late, Err(WriteError::SessionEnded));
}

#[test]
fn ranges_ceilings_and_epochs_only_grow() {
    let (_dir, mut journal) = with_session();
    let reserved = |to_seq| append(session(1), Record::Reserved { to_seq });
    let ceiling = |units| {
        let (channel, amount) = (ChannelId([1; 32]), Amount::new(units));
        append(session(1), Record::Ceiling { channel, amount })
    };
    let writes = vec![reserved(10), reserved(10), reserved(20)];
    let writes = [writes, vec![ceiling(5), ceiling(4), ceiling(6)]].concat();
    let epochs = [0, 0, 1].map(|n| append(session(1), epoch(n)));
    let writes = [writes, epochs.to_vec()].concat();
    let answers = journal.commit(NOW, writes).unwrap();
    let taken: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    let expected = [true, false, true, true, false, true, true, false, true];
    assert_eq!(taken, expected);
    let reader = journal.reader();
    assert_eq!(reader.session(&session(1)).unwrap().unwrap().reserved_to_seq, 20);
    let channel = reader.channel(&ChannelId([1; 32])).unwrap().unwrap();
    assert_eq!(channel.ceiling, Some(Amount::new(6)));
}

#[test]
fn the_largest_voucher_is_kept() {
    let (_dir, mut journal) = with_session();
    for units in [5, 9, 7] {
        done(&mut journal, append(session(1), voucher(3, units)));
    }
    let channel = journal.reader().channel(&ChannelId([3; 32])).unwrap();
    let (amount, _) = channel.unwrap().voucher.unwrap();
    assert_eq!(amount, Amount::new(9));
}

#[test]
fn met_and_refused_are_not_for_callers() {
    let (_dir, mut journal) = with_session();
    let reference = Reference([1; 32]);
    let why = "no".to_owned();
    let refused = one(&mut journal, append(session(1), Record::Refused { reference, why }));
    assert_eq!(refused, Err(WriteError::OutboxOnly));
}

#[test]
fn a_record_that_is_too_large_says_so() {
    let (_dir, mut journal) = with_session();
    let answer = one(&mut journal, append(session(1), ended(&"x".repeat(3_000_000))));
    assert!(matches!(answer, Err(WriteError::TooLarge { .. })));
    // The longest two messages that are kept fit, with every byte escaped, and no blob is made.
    let data = "\u{1}".repeat(16 * 1024);
    let mut long = message(MessageKind::Menu, 0);
    long.data = Some(data);
    let record = Record::Order {
        role: Role::Seller,
        peer: key(2).public(),
        menu: Box::new(long.clone()),
        order: Box::new(long),
        owed: None,
    };
    let writes = (10..30).map(|n| append(session(n), record.clone()));
    for answer in journal.commit(NOW, writes.collect()).unwrap() {
        answer.unwrap();
    }
    let blobs = std::fs::read_dir(_dir.path().join("blobs")).unwrap();
    assert_eq!(blobs.count(), 0);
    drop(journal);
    let reader = _dir.open().reader();
    assert_eq!(reader.entry(2).unwrap().unwrap().record, record);
    assert!(reader.verify().unwrap().is_ok());
}

/// Nobody makes its words too long to be held against it: not by what is around an item, nor by what is
/// escaped.
#[test]
fn the_longest_words_that_a_session_ends_for_fit() {
    let (dir, mut journal) = with_session();
    let mut longest = message(MessageKind::DataInvoice, 1);
    longest.data = Some("\\".repeat(SHOWN_BYTES_MAX));
    let mut others = vec![message(MessageKind::Data, 1); EVIDENCE_MAX - 1];
    others.insert(0, longest);
    let Record::Ended { end, why, owed, .. } = ended(&"y".repeat(1_000)) else { unreachable!() };
    let record = Record::Ended { end, why, evidence: others, owed };
    done(&mut journal, append(session(1), record.clone()));
    drop(journal);
    let reader = dir.open().reader();
    assert_eq!(reader.entry(2).unwrap().unwrap().record, record);
    assert!(reader.verify().unwrap().is_ok());
}

/// Whoever reads a journal has a page of it in memory, and a peer that ends many sessions chooses how long the
/// words are that they ended for.
#[test]
fn a_page_of_long_words_has_fewer_of_them() {
    let (dir, mut journal) = with_session();
    for n in 1..=7 {
        let mut longest = message(MessageKind::DataInvoice, 1);
        longest.data = Some("\\".repeat(SHOWN_BYTES_MAX));
        let Record::Ended { end, why, owed, .. } = ended("it lied") else { unreachable!() };
        let ended = Record::Ended { end, why, evidence: vec![longest], owed };
        let writes = [voucher(n, 1), voucher(n, 2), ended, order()];
        let of = [n, n, n, n + 1].map(session);
        let writes = of.into_iter().zip(writes).map(|(of, record)| append(of, record));
        let written = journal.commit(NOW, writes.collect()).unwrap();
        assert!(written.iter().all(Result::is_ok), "{written:?}");
    }
    let reader = journal.reader();
    let pages = pages(&reader);
    assert_eq!(pages.iter().map(Vec::len).sum::<usize>(), 29);
    let is_long = |one: &&Entry| matches!(one.record, Record::Ended { .. });
    let long = pages.iter().map(|page| page.iter().filter(is_long).count());
    assert_eq!(long.collect::<Vec<_>>(), [PAGE_BYTES_MAX / (2 * SHOWN_BYTES_MAX), 3]);
    assert!(reader.verify().unwrap().is_ok());
    let made = reader.back_up(dir.0.path(), NOW).unwrap();
    assert_eq!(made.rows, super::backup::rows(&journal).len() as u64);
}

/// All entries, as pages bring them: each in its order, and with all that it has.
fn pages(reader: &Reader) -> Vec<Vec<Entry>> {
    let (mut pages, mut seq) = (Vec::new(), 0);
    loop {
        let page = reader.entries(seq, PAGE_MAX).unwrap();
        if page.is_empty() {
            return pages;
        }
        for entry in &page {
            seq += 1;
            assert_eq!((entry.seq, Some(entry)), (seq, reader.entry(seq).unwrap().as_ref()));
        }
        pages.push(page);
    }
}

/// What can be pruned of an entry stands apart, and is the larger part.
#[test]
fn a_page_of_long_words_that_can_be_pruned_has_each_with_its_entry() {
    let (_dir, mut journal) = with_session();
    for n in 0..6 {
        let long = |at: u64| {
            let mut record = invoice(1 + 100 * n + at, None);
            if let Record::Invoice { message, .. } = &mut record {
                message.data = Some("x".repeat(16_000));
            }
            append(session(1), record)
        };
        journal.commit(NOW, (0..100).map(long).collect()).unwrap();
    }
    let pages: Vec<usize> = pages(&journal.reader()).iter().map(Vec::len).collect();
    assert!(pages.len() == 2 && pages.iter().sum::<usize>() == 601, "{pages:?}");
    assert!(journal.reader().verify().unwrap().is_ok());
}

#[test]
fn time_does_not_run_backwards_in_the_chain() {
    let (_dir, mut journal) = with_session();
    let write = append(session(1), voucher(1, 1));
    journal.commit(NOW - 5_000, vec![write]).unwrap();
    let entry = journal.reader().entry(2).unwrap().unwrap();
    assert_eq!(entry.at_ms, NOW);
    assert!(journal.reader().verify().unwrap().is_ok());
}

#[test]
fn nothing_is_acknowledged_when_the_disk_refuses() {
    let (dir, mut journal) = with_session();
    let reader = journal.reader();
    journal.shared.store.watch.fail_next_sync.store(true, SeqCst);
    let write = append(session(1), voucher(1, 1));
    let failed = journal.commit(NOW, vec![write.clone()]);
    assert!(matches!(failed, Err(JournalError::Io { .. })));
    let stopped = journal.commit(NOW, vec![write.clone()]);
    assert!(matches!(stopped, Err(JournalError::Stopped { .. })));
    assert!(matches!(reader.head(), Err(JournalError::Stopped { .. })));
    drop((journal, reader));
    let mut journal = dir.open();
    done(&mut journal, write);
    assert!(journal.reader().verify().unwrap().is_ok());
}

/// The trees write in their own time too, and tell whoever asks next that they could not.
#[test]
fn a_journal_stops_by_whoever_hears_of_the_disk_first_and_goes_on_when_it_is_mended() {
    let (_dir, mut journal) = with_session();
    let reader = journal.reader();
    let write = append(session(1), voucher(1, 1));
    reader.refuse_gets();
    assert!(matches!(reader.head(), Err(JournalError::Io { .. })));
    assert!(matches!(reader.head(), Err(JournalError::Stopped { .. })));
    assert!(journal.mend().unwrap() && reader.head().is_ok());
    reader.refuse_gets();
    assert!(matches!(journal.commit(NOW, vec![write.clone()]), Err(JournalError::Io { .. })));
    assert!(matches!(reader.head(), Err(JournalError::Stopped { .. })));
    assert!(journal.mend().unwrap() && !journal.mend().unwrap());
    done(&mut journal, write);
    assert!(reader.verify().unwrap().is_ok());
}

#[test]
fn readers_see_whole_commits_while_the_journal_writes() {
    let (_dir, mut journal) = with_session();
    let reader = journal.reader();
    let watcher = std::thread::spawn(move || {
        let mut last = 0;
        while last < 401 {
            let head = reader.head().unwrap();
            assert!(head.seq >= last && head.seq % 4 == 1, "{head:?}");
            assert!(reader.entry(head.seq).unwrap().is_some());
            last = head.seq;
        }
    });
    for n in 0..100 {
        let writes = (0..4).map(|i| append(session(1), voucher(1, n * 4 + i)));
        journal.commit(NOW, writes.collect()).unwrap();
    }
    watcher.join().unwrap();
}

#[test]
fn a_session_is_read_from_any_entry_on() {
    let (_dir, mut journal) = with_session();
    done(&mut journal, append(session(2), order()));
    let mut ours = vec![1];
    for commit in 0..3 {
        let owner = |n: u64| session(if n.is_multiple_of(3) { 2 } else { 1 });
        let writes = (0..300).map(|n| append(owner(n), voucher(1, n.into())));
        journal.commit(NOW, writes.collect()).unwrap();
        ours.extend((0..300).filter(|n| n % 3 != 0).map(|n| 3 + commit * 300 + n));
    }
    let reader = journal.reader();
    for (after, limit) in [(0, 1000), (0, 7), (1, 5), (150, 100), (299, 300), (902, 5)] {
        let page = reader.session_entries(&session(1), after, limit).unwrap();
        let seqs: Vec<u64> = page.iter().map(|entry| entry.seq).collect();
        let expected = ours.iter().copied().filter(|seq| *seq > after);
        assert_eq!(seqs, expected.take(limit).collect::<Vec<_>>());
    }
}

#[test]
fn the_salt_secret_leaves_by_its_own_door_only() {
    let (_dir, mut journal) = with_session();
    done(&mut journal, append(session(1), epoch(0)));
    let reader = journal.reader();
    let secret = reader.salt_secret(&session(1), 0).unwrap().unwrap();
    assert_eq!(secret.0, keccak(&[b"salt", &0u32.to_be_bytes()]));
    assert!(reader.salt_secret(&session(1), 1).unwrap().is_none());
    let queries = [
        Query::Counts,
        Query::Verify,
        Query::Entries { session: None, after: 0, limit: 10 },
        Query::Entries { session: Some(session(1)), after: 0, limit: 10 },
        Query::Sessions { after: None, limit: 10 },
    ];
    for query in queries {
        let json = serde_json::to_string(&query).unwrap();
        let query: Query = serde_json::from_str(&json).unwrap();
        let answer = reader.answer(&query).unwrap();
        let json = serde_json::to_string(&answer).unwrap();
        assert!(!json.contains(&secret.0.to_string()), "{json}");
        assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), answer);
    }
}

#[test]
fn what_the_disk_said_is_told_in_its_own_words() {
    let full = || io::Error::from_raw_os_error(28);
    let copied = io::Error::new(full().kind(), format!("{:?}", full()));
    assert_eq!(plain(copied).to_string(), full().to_string());
    assert_eq!(plain(io::Error::other("gone")).to_string(), "gone");
}
