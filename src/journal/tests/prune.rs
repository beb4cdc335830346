//! What pruning drops, what it never does, and what it leaves behind.

use super::*;
use crate::journal::delivery::{Event, State};
use crate::journal::obligation::Event as Became;
use crate::journal::outbox::pack;
use crate::journal::payload::Payload;
use crate::journal::prune::{BATCH_ROWS_MAX, Kept, Place, SessionFacts, Tally, kept};
use crate::journal::tree::{Batch, Tree};
use proptest::prelude::*;
use sdpp_ledger::{ChangeKind, Evidence, Signed};
use std::sync::atomic::Ordering::SeqCst;

const CUT: u64 = NOW + 1_000;

/// A session as a seller's journal has it: each window with its payload, paid by a transfer.
struct Told<'a> {
    journal: &'a mut Journal,
    id: SessionId,
    windows: u64,
    /// What was invoiced in all.
    total: u128,
}

impl<'a> Told<'a> {
    fn new(journal: &'a mut Journal, n: u8) -> Self {
        let mut told = Told { journal, id: session(n), windows: 0, total: 0 };
        told.record(order());
        told
    }

    fn record(&mut self, record: Record) -> u64 {
        done(self.journal, append(self.id, record)).seq.unwrap()
    }

    fn invoiced(mut self) -> Self {
        self.windows += 1;
        self.total += 7;
        self.window()
    }

    /// A window that costs nothing.
    fn free(mut self) -> Self {
        self.windows += 1;
        self.window()
    }

    fn window(mut self) -> Self {
        let mut record = invoice(self.windows, None);
        let Record::Invoice { message: signed, leaves, .. } = &mut record else { unreachable!() };
        signed.amount_total = Amount::new(self.total);
        *leaves = Leaves::of((0..5u64).map(|n| keccak(&[&n.to_be_bytes()])).collect());
        self.record(record);
        self.record(Record::Ack { message: message(MessageKind::Ack, self.windows) });
        self
    }

    /// What pays its last window.
    fn tx(&self) -> String {
        format!("{}-{}", self.id, self.windows)
    }

    /// All windows from this one on are void.
    fn void(mut self, from_seq: u64) -> Self {
        let billed = Amount::new(7 * u128::from(from_seq - 1));
        self.total = billed.units();
        let (to_seq, delivered, billed) = (self.windows, None, Some(billed));
        self.record(Record::Void { from_seq, to_seq, delivered, billed });
        self
    }

    fn claimed(mut self) -> Self {
        let record = claim(self.id, self.windows, tx(&self.tx()));
        self.record(record);
        self
    }

    fn became(self, event: Became) -> Self {
        let reference = self.id.reference(Purpose::Payment, self.windows);
        done(self.journal, Write::Obligation { reference, event });
        self
    }

    fn paid(self) -> Self {
        let told = self.invoiced().claimed();
        let evidence = evidence(&told.tx());
        told.became(Became::Met { evidence })
    }

    /// What follows is paid in another currency.
    fn on_another_leg(mut self) -> Self {
        self.total = 0;
        self
    }

    fn over(mut self) {
        self.record(ended("all is paid"));
    }

    /// Paid and over.
    fn honest(mut self, windows: u64) {
        for _ in 0..windows {
            self = self.paid();
        }
        self.over();
    }
}

fn evidence(id: &str) -> Evidence {
    Evidence { amount: Amount::new(10), ..Evidence::new(tx(id), 7, "block", 7) }
}

/// Drives one sweep to its end.
fn prune(journal: &mut Journal) -> Tally {
    let mut sweep = Sweep::new(CUT, Place::Sessions(None));
    while journal.prune(CUT, &mut sweep).unwrap() {}
    sweep.tally().clone()
}

fn all(journal: &Journal) -> Vec<Entry> {
    journal.reader().entries(0, 1000).unwrap()
}

fn pruned_seqs(journal: &Journal) -> Vec<u64> {
    all(journal).iter().filter(|entry| entry.lacks.is_some()).map(|entry| entry.seq).collect()
}

fn set(journal: &Journal, tree: Tree, seq: u64, bytes: Option<Vec<u8>>) {
    let place = (tree, keys::seq(seq).to_vec());
    journal.shared.store.write(&Batch::from([(place, bytes)])).unwrap();
}

fn payload(journal: &Journal, seq: u64) -> Option<Vec<u8>> {
    journal.shared.store.get(Tree::Payloads, &keys::seq(seq)).unwrap()
}

fn broken(journal: &Journal) -> (u64, String) {
    let broken = journal.reader().verify().unwrap().unwrap_err();
    (broken.seq, broken.what)
}

#[test]
fn each_reason_to_keep_a_session_holds_alone() {
    let free = SessionFacts {
        ended: Some((End::Complete, NOW)),
        due_seq: 9,
        paid_seq: 9,
        ..SessionFacts::default()
    };
    assert_eq!(kept(&free, NOW + 1), None);
    let ended = |end| SessionFacts { ended: Some((end, NOW)), ..free };
    let reasons = [
        (SessionFacts { is_disputed: true, ..free }, Kept::Disputed),
        (SessionFacts { ended: None, ..free }, Kept::Open),
        (ended(End::Outstanding), Kept::Incomplete),
        (ended(End::Broken), Kept::Incomplete),
        (ended(End::Misconduct), Kept::Incomplete),
        (ended(End::Refused), Kept::Incomplete),
        (ended(End::Failed), Kept::Incomplete),
        (SessionFacts { is_unsettled: true, ..free }, Kept::Unsettled),
        (SessionFacts { is_refused: true, ..free }, Kept::Refused),
        (SessionFacts { due_seq: 10, ..free }, Kept::Unpaid),
        (SessionFacts { is_on_open_channel: true, ..free }, Kept::Channel),
        (SessionFacts { is_under_bond: true, ..free }, Kept::Bond),
    ];
    for (standing, reason) in reasons {
        assert_eq!(kept(&standing, NOW + 1), Some(reason), "{standing:?}");
    }
    assert_eq!(kept(&free, NOW), Some(Kept::Recent), "what ended at the cut is not before it");
}

/// A topic that is given away, and windows that a credit note covers: nobody says that he paid them.
#[test]
fn windows_that_cost_nothing_are_paid_with_those_before_them() {
    let dir = Dir::new();
    let mut journal = dir.open();
    Told::new(&mut journal, 1).free().free().over();
    Told::new(&mut journal, 2).paid().free().paid().free().free().over();
    Told::new(&mut journal, 3).free().paid().over();
    Told::new(&mut journal, 4).paid().invoiced().free().over();
    Told::new(&mut journal, 5).paid().on_another_leg().free().over();
    let tally = prune(&mut journal);
    assert_eq!((tally.sessions, tally.kept), (4, [(Kept::Unpaid, 1)].into()));
}

/// What was invoiced of items that were lost is not owed: neither its windows nor what they asked for count.
#[test]
fn what_is_void_is_not_waited_for() {
    let dir = Dir::new();
    let mut journal = dir.open();
    // The next window asks in all for as much as the one that is void did.
    Told::new(&mut journal, 1).paid().invoiced().void(2).paid().over();
    Told::new(&mut journal, 2).paid().invoiced().void(2).over();
    Told::new(&mut journal, 3).paid().free().free().void(2).over();
    Told::new(&mut journal, 4).paid().invoiced().free().void(3).over();
    let tally = prune(&mut journal);
    assert_eq!((tally.sessions, tally.kept), (3, [(Kept::Unpaid, 1)].into()));
}

#[test]
fn two_sweeps_at_once_are_in_nobodys_way() {
    let (_dir, mut journal) = large();
    let (mut one, mut other) =
        (Sweep::new(CUT, Place::Sessions(None)), Sweep::new(CUT, Place::Sessions(None)));
    // One has looked at a session, and the other drops it.
    assert!(journal.prune(CUT, &mut one).unwrap());
    while journal.prune(CUT, &mut other).unwrap() {}
    while journal.prune(CUT, &mut one).unwrap() {}
    let entries = one.tally().entries + other.tally().entries;
    assert_eq!(entries, pruned_seqs(&journal).len() as u64);
    assert!(journal.reader().verify().unwrap().is_ok());
    assert!(one.tally().entries < entries && other.tally().entries < entries);
}

/// One session for each reason, and one for none.
fn every_kind() -> (Dir, Journal) {
    let dir = Dir::new();
    let mut journal = dir.open();
    Told::new(&mut journal, 1).honest(3);
    Told::new(&mut journal, 2).paid();
    let mut broken = Told::new(&mut journal, 3).paid();
    broken.record(Record::Ended {
        end: End::Broken,
        why: "the line broke".to_owned(),
        evidence: Vec::new(),
        owed: None,
    });
    Told::new(&mut journal, 4).invoiced().claimed().over();
    let why = "pays somebody else".to_owned();
    Told::new(&mut journal, 5).invoiced().claimed().became(Became::Refused { why }).over();
    Told::new(&mut journal, 6).paid().invoiced().over();
    let mut on_channel = Told::new(&mut journal, 7).paid();
    on_channel.record(voucher(7, 5));
    on_channel.over();
    let mut disputed = Told::new(&mut journal, 8).paid();
    let owed = Owed { purpose: Purpose::Dispute, ..anchor(session(8), 99, false) };
    disputed.record(Record::Disputed { bundle: Digest::ZERO, owed });
    disputed.over();
    let late = append(session(9), order());
    journal.commit(CUT, vec![late, append(session(9), ended("just now"))]).unwrap();
    (dir, journal)
}

#[test]
fn only_what_nobody_needs_is_dropped_and_all_else_reads_as_before() {
    let (dir, mut journal) = every_kind();
    let (before, head) = (all(&journal), journal.reader().head().unwrap());
    let tally = prune(&mut journal);
    assert_eq!((tally.sessions, tally.entries, tally.deliveries), (1, 9, 0));
    let reasons = [
        Kept::Disputed,
        Kept::Open,
        Kept::Incomplete,
        Kept::Unsettled,
        Kept::Refused,
        Kept::Unpaid,
        Kept::Channel,
        Kept::Recent,
    ];
    assert_eq!(tally.kept, reasons.map(|reason| (reason, 1)).into_iter().collect());
    let after = all(&journal);
    let (tail, after) = (after.last().unwrap().clone(), &after[..before.len()]);
    for (was, is) in before.iter().zip(after) {
        if is.lacks.is_none() {
            assert_eq!(was, is);
            continue;
        }
        assert_eq!(was.session, Some(session(1)));
        let mut bare = was.clone();
        Payload::take(&mut bare.record).unwrap();
        assert_eq!(Entry { lacks: None, ..is.clone() }, bare);
        assert!(is.holds(was.record.clone()).unwrap());
    }
    // The chain is what it was, and one entry longer.
    assert_eq!(tail.prev, head.digest);
    let Record::Pruned { before_ms: CUT, sessions, deliveries: 0 } = &tail.record else {
        panic!("{tail:?}");
    };
    let [one] = &sessions[..] else { panic!("{sessions:?}") };
    assert_eq!((one.session, one.entries), (session(1), 9));
    drop(journal);
    let walked = dir.open().reader().walk().unwrap().unwrap();
    assert_eq!(walked.pruned, Pruned { entries: 9, sessions: 1, before_ms: CUT });
}

#[test]
fn a_second_prune_changes_nothing() {
    let (_dir, mut journal) = every_kind();
    prune(&mut journal);
    let head = journal.reader().head().unwrap();
    let again = prune(&mut journal);
    assert_eq!((again.sessions, again.entries, again.bytes), (0, 0, 0));
    assert_eq!(journal.reader().head().unwrap(), head);
}

#[test]
fn what_a_sweep_would_drop_is_what_it_drops() {
    let (_dir, mut journal) = every_kind();
    let mut sweep = Sweep::new(CUT, Place::Sessions(None));
    while let Some(batch) = sweep.next(&journal.reader()).unwrap() {
        sweep.count(&batch.would_drop());
    }
    assert_eq!(pruned_seqs(&journal), Vec::<u64>::new());
    assert_eq!(*sweep.tally(), prune(&mut journal));
}

/// A channel that is over needs nothing any more.
#[test]
fn a_session_is_free_once_its_channel_is_over() {
    let (_dir, mut journal) = every_kind();
    let change = sdpp_ledger::Change {
        channel: ChannelId([7; 32]),
        kind: ChangeKind::Closed { settled: Amount::new(5) },
        tx: tx("0xc105e"),
        height: 7,
        at_ms: 7,
    };
    let watch = Watch { ledger: ledger_id(), changes: vec![change], seen: Vec::new(), next: 8 };
    done(&mut journal, Write::Watch(Box::new(watch)));
    let tally = prune(&mut journal);
    assert_eq!((tally.sessions, tally.kept.get(&Kept::Channel)), (2, None));
}

/// Two large sessions and some small ones: many batches.
fn large() -> (Dir, Journal) {
    let dir = Dir::new();
    let mut journal = dir.open();
    for n in 1..=6 {
        Told::new(&mut journal, n).honest(if n % 3 == 0 { 30 } else { 2 });
    }
    (dir, journal)
}

#[test]
fn a_crash_between_any_two_batches_leaves_a_chain_that_holds_and_a_second_run_ends_it() {
    let mut ends = Vec::new();
    for batches in 0.. {
        let (dir, mut journal) = large();
        let mut sweep = Sweep::new(CUT, Place::Sessions(None));
        let mut has_more = true;
        for _ in 0..batches {
            has_more = has_more && journal.prune(CUT, &mut sweep).unwrap();
        }
        drop(journal);
        let mut journal = dir.open();
        let walked = journal.reader().walk().unwrap().unwrap();
        assert_eq!(walked.pruned.entries, sweep.tally().entries, "after {batches}");
        let rest = prune(&mut journal);
        assert_eq!(sweep.tally().entries + rest.entries, 3 * (2 * 30 + 4 * 2));
        let walked = journal.reader().walk().unwrap().unwrap();
        ends.push((walked.pruned, pruned_seqs(&journal)));
        if !has_more {
            assert!(batches > 4, "{batches} batches are no story");
            break;
        }
    }
    assert!(ends.iter().all(|end| *end == ends[0]));
}

#[test]
fn a_batch_is_on_disk_as_a_whole_or_not_at_all() {
    let (dir, mut journal) = large();
    let mut sweep = Sweep::new(CUT, Place::Sessions(None));
    assert!(journal.prune(CUT, &mut sweep).unwrap());
    journal.shared.store.watch.fail_next_sync.store(true, SeqCst);
    assert!(matches!(journal.prune(CUT, &mut sweep), Err(JournalError::Io { .. })));
    drop(journal);
    let mut journal = dir.open();
    assert!(journal.reader().verify().unwrap().is_ok());
    prune(&mut journal);
    assert_eq!(pruned_seqs(&journal).len(), 204);
}

#[test]
fn batches_are_small() {
    let (_dir, journal) = large();
    let mut sweep = Sweep::new(CUT, Place::Sessions(None));
    while let Some(batch) = sweep.next(&journal.reader()).unwrap() {
        let would = batch.would_drop();
        assert!(would.entries <= BATCH_ROWS_MAX as u64, "{would:?}");
        sweep.count(&would);
    }
    assert_eq!((sweep.tally().sessions, sweep.tally().entries), (6, 204));
}

#[test]
fn a_sweep_goes_on_where_another_rested() {
    let (_dir, mut journal) = every_kind();
    let whole = prune(&mut every_kind().1);
    let (mut sum, mut place) = (Tally::default(), Place::Sessions(None));
    for _ in 0..100 {
        let mut sweep = Sweep::new(CUT, place.clone());
        journal.prune(CUT, &mut sweep).unwrap();
        sum.add(sweep.tally().clone());
        match sweep.rest() {
            Some(rest) => place = rest.clone(),
            None => break,
        }
    }
    assert_eq!(sum, whole);
}

#[test]
fn a_payload_with_one_byte_changed_is_damage() {
    let (_dir, journal) = every_kind();
    let seq = 2;
    let good = payload(&journal, seq).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        set(&journal, Tree::Payloads, seq, Some(bad));
        let what = "has another payload than it was written with".to_owned();
        assert_eq!(broken(&journal), (seq, what.clone()));
        let read = journal.reader().entry(seq);
        assert!(matches!(&read, Err(JournalError::Damaged { what: said }) if said.contains(&what)));
        assert!(journal.reader().entries(0, 10).is_err());
    }
    set(&journal, Tree::Payloads, seq, Some(good[..good.len() - 1].to_vec()));
    assert_eq!(broken(&journal).0, seq);
    // Nor may an entry get one that never had any.
    set(&journal, Tree::Payloads, seq, Some(good.clone()));
    set(&journal, Tree::Payloads, 1, Some(good));
    assert_eq!(broken(&journal).0, 1);
}

#[test]
fn a_payload_that_somebody_deleted_is_damage_and_no_prune_hides_it() {
    let (_dir, mut journal) = large();
    let free = with_payload(&journal, 3)[70];
    set(&journal, Tree::Payloads, free, None);
    assert_eq!(broken(&journal), (free, walk::LOST.to_owned()));
    let mut sweep = Sweep::new(CUT, Place::Sessions(None));
    let failed = loop {
        match journal.prune(CUT, &mut sweep) {
            Ok(has_more) => assert!(has_more, "the sweep ended"),
            Err(error) => break error,
        }
    };
    assert!(failed.to_string().contains(walk::LOST), "{failed}");
    assert_eq!(broken(&journal), (free, walk::LOST.to_owned()));
}

#[test]
fn what_a_prune_kept_cannot_be_deleted_in_its_name() {
    let (_dir, mut journal) = every_kind();
    prune(&mut journal);
    for kept in 2..=8 {
        for seq in with_payload(&journal, kept) {
            let was = payload(&journal, seq);
            set(&journal, Tree::Payloads, seq, None);
            assert_eq!(broken(&journal), (seq, walk::LOST.to_owned()));
            set(&journal, Tree::Payloads, seq, was);
        }
    }
    assert!(journal.reader().verify().unwrap().is_ok());
}

fn with_payload(journal: &Journal, n: u8) -> Vec<u64> {
    let entries = journal.reader().session_entries(&session(n), 0, 1000).unwrap();
    let with = entries.iter().filter(|entry| payload(journal, entry.seq).is_some());
    with.map(|entry| entry.seq).collect()
}

/// Part of a session is pruned, and somebody deletes from the rest.
#[test]
fn what_is_lost_beyond_what_was_pruned_is_named_where_it_stands() {
    let (_dir, mut journal) = large();
    let mut sweep = Sweep::new(CUT, Place::Sessions(None));
    while pruned_seqs(&journal).len() < 100 {
        assert!(journal.prune(CUT, &mut sweep).unwrap());
    }
    assert!(journal.reader().verify().unwrap().is_ok());
    let cut = pruned_seqs(&journal);
    let of = all(&journal).iter().find(|entry| entry.seq == *cut.last().unwrap()).unwrap().session;
    let is_left = |entry: &&Entry| entry.session == of && payload(&journal, entry.seq).is_some();
    let left: Vec<u64> = all(&journal).iter().filter(is_left).map(|entry| entry.seq).collect();
    set(&journal, Tree::Payloads, left[2], None);
    assert_eq!(broken(&journal), (left[2], walk::LOST.to_owned()));
}

#[test]
fn a_dispute_that_begins_before_the_batch_is_written_keeps_everything() {
    let (_dir, mut journal) = every_kind();
    let mut sweep = Sweep::new(CUT, Place::Sessions(None));
    let batch = sweep.next(&journal.reader()).unwrap().unwrap();
    assert_eq!(batch.would_drop().entries, 9);
    // What comes after the end of a session comes from the outbox or a dispute: any entry will do.
    let key = (Tree::SessionEntries, keys::session_row(&session(1), &[1_000]).0);
    journal.shared.store.write(&Batch::from([(key, Some(vec![0; 8]))])).unwrap();
    let head = journal.reader().head().unwrap();
    let written = done(&mut journal, Write::Prune(Box::new(batch)));
    assert_eq!((written.pruned, written.seq), (None, None));
    assert_eq!(journal.reader().head().unwrap(), head);
    assert_eq!(pruned_seqs(&journal), Vec::<u64>::new());
}

#[test]
fn nobody_but_a_sweep_says_that_something_was_pruned() {
    let (_dir, mut journal) = every_kind();
    let record = Record::Pruned { before_ms: CUT, sessions: Vec::new(), deliveries: 0 };
    let write = Write::Append { session: None, record: Box::new(record) };
    assert_eq!(one(&mut journal, write), Err(WriteError::OutboxOnly));
}

#[test]
fn the_same_record_again_is_known_after_its_payload_is_gone() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let mut told = Told::new(&mut journal, 1).paid();
    let owed = Some(anchor(session(1), 2, false));
    told.record(invoice(2, owed.clone()));
    let reference = session(1).reference(Purpose::Invoice, 2);
    deliver(told.journal, 0, &[reference], true);
    told.windows = 2;
    told.claimed().became(Became::Met { evidence: evidence("0x2") }).over();
    assert!(prune(&mut journal).entries > 0);
    let again = done(&mut journal, append(session(1), invoice(2, owed.clone())));
    assert!(again.repeated);
    let mut other = invoice(2, owed);
    let Record::Invoice { message, .. } = &mut other else { unreachable!() };
    message.data = Some("something else".to_owned());
    let refused = one(&mut journal, append(session(1), other));
    assert!(matches!(refused, Err(WriteError::ReferenceConflict { .. })));
}

/// Signs, sends and, where it is wished, finishes one transaction for these.
fn deliver(journal: &mut Journal, number: u64, references: &[Reference], is_final: bool) {
    let reader = journal.reader();
    let owed: Vec<_> = references.iter().map(|r| reader.obligation(r).unwrap().unwrap()).collect();
    let call = pack(&owed, None, &us()).unwrap().call;
    let id = DeliveryId { ledger: ledger_id(), account: account(1), number };
    let signed = |raw| Signed {
        number,
        tx: Some(tx(&format!("0xde{number}{raw}"))),
        raw: vec![raw; 90],
        fee: Amount::new(3),
    };
    let (ledger, account, references) =
        (id.ledger.clone(), id.account.clone(), references.to_vec());
    let signed_first = signed(1);
    let prepare = Prepare { ledger, account, call, references, head: None, signed: signed_first };
    done(journal, Write::Prepare(Box::new(prepare)));
    let raised = Box::new(signed(2));
    done(journal, Write::Raise { delivery: id.clone(), signed: raised });
    if is_final {
        let event = Event::Final { evidence: evidence(&format!("0xde{number}2")) };
        done(journal, Write::Delivery { id, event, due_ms: NOW });
    }
}

#[test]
fn final_transactions_keep_their_ids_fees_and_evidence_and_lose_their_bytes() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let mut references = Vec::new();
    for n in 1..=3 {
        let mut told = Told::new(&mut journal, n);
        references.push([1, 2].map(|number| session(n).reference(Purpose::Invoice, number)));
        for number in [1, 2] {
            told.record(invoice(number, Some(anchor(session(n), number, false))));
            told.windows = number;
            told = told.claimed();
            let what = format!("0x{n}{number}");
            told = told.became(Became::Met { evidence: evidence(&what) });
        }
        // The third stays open.
        if n < 3 {
            told.over();
        }
    }
    deliver(&mut journal, 0, &references[0], true);
    deliver(&mut journal, 1, &[references[1][0], references[2][0]], true);
    deliver(&mut journal, 2, &[references[1][1]], true);
    deliver(&mut journal, 3, &[references[2][1]], false);
    let before = journal.reader().deliveries(None, 10).unwrap();
    let tally = prune(&mut journal);
    assert_eq!((tally.sessions, tally.deliveries), (2, 2), "{tally:?}");
    let after = journal.reader().deliveries(None, 10).unwrap();
    for (number, (was, is)) in before.iter().zip(&after).enumerate() {
        let mut expected = was.clone();
        // What shares a transaction with an open session, or is on its way, is kept whole.
        if number == 0 || number == 2 {
            expected.variants.iter_mut().for_each(|signed| signed.raw = Vec::new());
            assert!(matches!(is.state, State::Final { .. }));
            assert_eq!((is.variants.len(), is.spent_by()), (2, None));
        }
        assert_eq!(*is, expected);
        assert!(journal.reader().holds(is).unwrap());
    }
    assert!(journal.reader().verify().unwrap().is_ok());
    assert_eq!(prune(&mut journal).deliveries, 0);
}

#[test]
fn bytes_go_only_where_the_ledger_vouches_for_the_end() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let mut told = Told::new(&mut journal, 1);
    told.record(invoice(1, Some(anchor(session(1), 1, false))));
    deliver(&mut journal, 0, &[session(1).reference(Purpose::Invoice, 1)], false);
    let row = journal.reader().deliveries(None, 1).unwrap().remove(0);
    let (evidence, why) = (evidence("0x1"), "no".to_owned());
    let place = sdpp_ledger::Inclusion { height: 1, block: "b".to_owned() };
    let states = [
        (State::Prepared { accepted: true }, false),
        (State::Sent, false),
        (State::Included { place }, false),
        (State::Rejected { why: why.clone(), accepted: true }, false),
        // Somebody may still have them.
        (State::Dead { why: why.clone(), number_spent: false }, false),
        (State::Dead { why: why.clone(), number_spent: true }, false),
        (State::Final { evidence: evidence.clone() }, true),
        (State::Reverted { why, evidence: evidence.clone() }, true),
        (State::Cancelled { evidence }, true),
    ];
    for (state, goes) in states {
        assert_eq!(
            Delivery { state: state.clone(), ..row.clone() }.is_prunable(),
            goes,
            "{state:?}"
        );
    }
}

#[test]
fn a_chain_that_is_walked_while_it_is_pruned_holds() {
    let dir = Dir::new();
    let mut journal = dir.open();
    // Some pages to walk before those that are pruned meanwhile.
    let filler = (0..4_000).map(|n| append(session(200), voucher(1, n)));
    let filler = std::iter::once(append(session(200), order())).chain(filler);
    journal.commit(NOW, filler.collect()).unwrap();
    for n in 1..=40 {
        Told::new(&mut journal, n).honest(8);
    }
    let reader = journal.reader();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let walker = scope.spawn(|| {
            let mut seen = Vec::new();
            while !is_over.load(SeqCst) {
                seen.push(reader.walk().unwrap().unwrap().pruned.entries);
            }
            seen.push(reader.walk().unwrap().unwrap().pruned.entries);
            seen
        });
        prune(&mut journal);
        is_over.store(true, SeqCst);
        let seen = walker.join().unwrap();
        assert!(seen.is_sorted() && seen.last() == Some(&960), "{seen:?}");
        println!("{seen:?}");
    });
}

#[test]
fn what_a_verdict_rests_on_is_never_payload() {
    let shows = message(MessageKind::DataInvoice, 2);
    let misconduct = Record::Ended {
        end: End::Misconduct,
        why: "two invoices of one number".to_owned(),
        evidence: vec![shows],
        owed: None,
    };
    let records = [epoch(0), ended("x"), order(), voucher(1, 1), misconduct];
    for mut record in records {
        assert_eq!(Payload::take(&mut record), None);
    }
    let exit = message(MessageKind::Exit, 0);
    let mut record = Record::Exit { by: Role::Buyer, message: exit, owed: None };
    assert_eq!(Payload::take(&mut record), None);
}

/// How long a batch holds up what waits for the journal, and what it does to the disk.
#[test]
#[ignore = "a measurement: run it by hand, with --nocapture"]
fn a_large_journal_is_pruned_and_the_figures_are_printed() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let text = "x".repeat(400);
    let of = |number: u64| {
        let leaves = Leaves::of((0..10u64).map(|n| keccak(&[&n.to_be_bytes()])).collect());
        let with = |kind| SignedMessage { data: Some(text.clone()), ..message(kind, number) };
        let mut invoice = invoice(number, None);
        if let Record::Invoice { message, leaves: place, .. } = &mut invoice {
            (*message, *place) = (with(MessageKind::DataInvoice), leaves);
        }
        let ack = Record::Ack { message: with(MessageKind::Ack) };
        let payment = Record::Payment { message: with(MessageKind::PaymentAck), owed: None };
        [invoice, ack, payment]
    };
    let sessions = (0..400u32).map(|n| SessionId(keccak(&[&n.to_be_bytes()])));
    for id in sessions {
        let mut writes = vec![append(id, order())];
        writes.extend((1..=50).flat_map(of).map(|record| append(id, record)));
        writes.push(append(id, ended("all is paid")));
        for answer in journal.commit(NOW, writes).unwrap() {
            answer.unwrap();
        }
    }
    let disk = || std::fs::metadata(dir.path().join("db")).unwrap().len() / 1024;
    println!("{} entries, {} KiB", journal.reader().head().unwrap().seq, disk());
    let mut sweep = Sweep::new(CUT, Place::Sessions(None));
    let (started, mut looked, mut wrote) = (std::time::Instant::now(), Vec::new(), Vec::new());
    loop {
        let at = std::time::Instant::now();
        let Some(batch) = sweep.next(&journal.reader()).unwrap() else { break };
        looked.push(at.elapsed());
        let at = std::time::Instant::now();
        if !batch.is_empty() {
            let written = done(&mut journal, Write::Prune(Box::new(batch)));
            sweep.count(&written.pruned.unwrap());
            wrote.push(at.elapsed());
        }
    }
    let told = |name: &str, mut times: Vec<std::time::Duration>| {
        times.sort();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{name}: {} times, median {median:?}, most {most:?}", times.len());
    };
    println!("{:?} in {:?}, {} KiB", sweep.tally(), started.elapsed(), disk());
    told("looking for a batch", looked);
    told("writing a batch", wrote);
    let mut alone = Vec::new();
    done(&mut journal, append(session(1), order()));
    for n in 0..500 {
        let at = std::time::Instant::now();
        done(&mut journal, append(session(1), voucher(1, n)));
        alone.push(at.elapsed());
    }
    told("one append alone", alone);
    let started = std::time::Instant::now();
    journal.reader().verify().unwrap().unwrap();
    println!("verified in {:?}", started.elapsed());
    drop(journal);
    drop(dir.open());
    println!("closed and opened: {} KiB", disk());
    let mut journal = dir.open();
    for at in 0..20_000u64 {
        let writes = (0..16).map(|n| append(session(1), voucher(1, (1_000 + at * 16 + n).into())));
        journal.commit(NOW, writes.collect()).unwrap();
        if at % 1_000 == 0 && at <= 4_000 {
            println!("{} entries more: {} KiB", at * 16, disk());
        }
        if at > 4_000 {
            break;
        }
    }
}

#[test]
fn the_words_of_each_window_are_payload() {
    let of = |kind| message(kind, 1);
    let records = [
        invoice(1, None),
        Record::Ack { message: of(MessageKind::Ack) },
        claim(session(1), 1, tx("0x1")),
        Record::Amend { by: Role::Seller, message: of(MessageKind::Amend) },
    ];
    for mut record in records {
        let was = record.clone();
        let payload = Payload::take(&mut record).unwrap();
        assert_ne!(record, was);
        payload.put_back(&mut record).unwrap();
        assert_eq!(record, was);
    }
}

proptest! {
    #[test]
    fn payload_comes_back_as_it_was(data in proptest::option::of(".{0,60}"), leaves in 0u64..9) {
        let mut record = invoice(1, None);
        let Record::Invoice { message, leaves: place, .. } = &mut record else { unreachable!() };
        message.data = data;
        *place = Leaves::of((0..leaves).map(|n| keccak(&[&n.to_be_bytes()])).collect());
        let was = record.clone();
        if let Some(payload) = Payload::take(&mut record) {
            let read = Payload::read(&payload.to_bytes()).unwrap();
            prop_assert_eq!(&read, &payload);
            read.put_back(&mut record).unwrap();
        }
        prop_assert_eq!(record, was);
    }

    #[test]
    fn hostile_bytes_are_no_payload_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        if let Some(payload) = Payload::read(&bytes) {
            prop_assert_eq!(Payload::read(&payload.to_bytes()), Some(payload));
        }
    }
}
