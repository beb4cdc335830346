//! A restored journal never signs two things for one number.

use super::*;
use crate::journal::quarantine::PERHAPS_DONE;
use crate::journal::restore::restore;
use crate::journal::tree::{Batch, Tree};
use crate::journal::watch::{View, Watch};
use sdpp_ledger::{Open, Signed, TopUp};
use std::path::PathBuf;

/// A journal, what was backed up of it, and where another comes out of that.
struct Lost {
    dir: Dir,
    journal: Journal,
    backup: PathBuf,
}

impl Lost {
    fn new(fill: impl FnOnce(&mut Journal)) -> Lost {
        let dir = Dir::new();
        let mut journal = dir.open();
        fill(&mut journal);
        let backup = dir.0.path().join("one.backup");
        journal.reader().back_up(&backup, NOW).unwrap();
        Lost { dir, journal, backup }
    }

    fn restored(&self, at_ms: u64) -> Journal {
        let new = self.dir.0.path().join(format!("new-{at_ms}"));
        restore(&new, &self.backup, at_ms).unwrap();
        Journal::open(&new, us()).unwrap()
    }

    fn released(&self) -> Journal {
        let mut journal = self.restored(NOW + 1_000);
        done(&mut journal, Write::Release(Box::default()));
        journal
    }
}

fn with_session(journal: &mut Journal) {
    done(journal, append(session(1), order()));
    done(journal, append(session(1), Record::Reserved { to_seq: 10 }));
}

#[test]
fn nothing_is_written_in_quarantine_but_what_leads_out_of_it() {
    let lost = Lost::new(with_session);
    let mut journal = lost.restored(NOW + 1_000);
    let reader = journal.reader();
    assert!(reader.quarantine().unwrap().unwrap().is_on());
    for write in [append(session(2), order()), append(session(1), ended("over"))] {
        assert_eq!(one(&mut journal, write), Err(WriteError::Quarantined));
    }
    let (session_2, bundle) = (session(2), Digest([5; 32]));
    done(&mut journal, Write::Learn { session: session_2, bundle });
    done(&mut journal, Write::Release(Box::default()));
    done(&mut journal, append(session(2), order()));
    assert!(!reader.quarantine().unwrap().unwrap().is_on());
    let again = one(&mut journal, Write::Release(Box::default()));
    assert_eq!(again, Err(WriteError::NotQuarantined));
    assert!(reader.verify().unwrap().is_ok());
    drop((reader, journal));
    let new = lost.dir.0.path().join(format!("new-{}", NOW + 1_000));
    assert!(!Journal::open(&new, us()).unwrap().reader().quarantine().unwrap().unwrap().is_on());
}

#[test]
fn its_entries_go_on_beyond_all_that_was_used_after_the_backup() {
    let mut lost = Lost::new(with_session);
    // What is forgotten: many entries, and another restore of the same backup.
    for n in 0..20 {
        let writes = (0..50).map(|i| append(session(1), voucher(1, n * 50 + i)));
        lost.journal.commit(NOW + 10, writes.collect()).unwrap();
    }
    let mut first = lost.restored(NOW + 1_000);
    done(&mut first, Write::Release(Box::default()));
    for n in 0..200 {
        first.commit(NOW + 1_001, vec![append(session(9), voucher(1, n))]).unwrap();
        done(&mut first, Write::Append { session: None, record: Box::new(voucher(1, n)) });
    }
    let used = first.reader().head().unwrap().seq.max(lost.journal.reader().head().unwrap().seq);
    let second = lost.restored(NOW + 2_000);
    let entries = second.reader().entries(2, 10).unwrap();
    assert!(entries[0].seq > used, "{} of {used}", entries[0].seq);
    assert_eq!(entries[0].record, Record::Restored { after_seq: 2, backup_ms: NOW });
    let head = second.reader().verify().unwrap().unwrap();
    assert_eq!(head, second.reader().head().unwrap());
}

#[test]
fn a_gap_without_a_restore_is_a_missing_entry() {
    let lost = Lost::new(with_session);
    let journal = lost.restored(NOW + 1_000);
    let restored = journal.reader().head().unwrap().seq;
    let store = &journal.shared.store;
    let key = keys::seq(2).to_vec();
    store.write(&Batch::from([((Tree::Entries, key), None)])).unwrap();
    let broken = journal.reader().verify().unwrap().unwrap_err();
    assert_eq!(broken.seq, 2);
    assert!(broken.what.contains(&format!("the next one there is {restored}")), "{broken}");
}

#[test]
fn a_session_that_was_live_is_over_and_can_only_be_ended() {
    let lost = Lost::new(with_session);
    let mut journal = lost.released();
    let id = session(1);
    for record in [
        Record::Reserved { to_seq: 20 },
        invoice(1, None),
        Record::Ack { message: message(MessageKind::Ack, 1) },
        epoch(1),
        claim(id, 1, tx("0xaa")),
    ] {
        assert_eq!(one(&mut journal, append(id, record)), Err(WriteError::SessionLost(id)));
    }
    done(&mut journal, append(id, ended("its end is forgotten")));
}

fn open(deposit: u128) -> Open {
    let (payee, asset, signer) = (account(9), Asset::coin(), None);
    Open { payee, asset, deposit: Amount::new(deposit), salt: Digest([3; 32]), signer }
}

fn funding(channel: u8, number: u64, purpose: Purpose, call: Call) -> Record {
    let channel = ChannelId([channel; 32]);
    let reference = SessionId(Digest(channel.0)).reference(purpose, number);
    let owed = Owed { reference, purpose, ledger: ledger_id(), act: Act::Do(call), held: false };
    Record::Funding { channel, payee: account(9), asset: Asset::coin(), owed }
}

fn of_none(record: Record) -> Write {
    Write::Append { session: None, record: Box::new(record) }
}

#[test]
fn a_channel_of_ours_counts_as_vouched_away_and_serves_no_session_again() {
    let id = ChannelId([4; 32]);
    let lost = Lost::new(|journal| {
        done(journal, of_none(funding(4, 0, Purpose::Open, Call::Open(open(100)))));
        done(journal, of_none(Record::Ceiling { channel: id, amount: Amount::new(20) }));
    });
    let mut journal = lost.released();
    let reader = journal.reader();
    assert_eq!(reader.channel(&id).unwrap().unwrap().ceiling, Some(Amount::new(100)));
    let watched = reader.watched(&id).unwrap().unwrap();
    assert!(watched.is_left && !watched.may_open());
    // What its seller redeems by vouchers that are forgotten is no unjust claim.
    let (settled, deposit) = (Amount::new(80), Amount::new(100));
    let view = View { deposit, settled, ready_ms: None, is_over: false };
    let seen = vec![(id, view)];
    let watch = Watch { ledger: ledger_id(), changes: Vec::new(), seen, next: 9 };
    done(&mut journal, Write::Watch(Box::new(watch)));
    assert_eq!(reader.unjust().unwrap(), []);
}

fn signed(number: u64, name: &str) -> Signed {
    let (tx, raw, fee) = (Some(tx(name)), vec![1, 2, 3], Amount::ZERO);
    Signed { number, tx, raw, fee }
}

fn prepared(owed: &Owed, number: u64, name: &str) -> Prepare {
    let Act::Do(call) = &owed.act else { panic!("a claim is not prepared") };
    Prepare {
        ledger: ledger_id(),
        account: account(1),
        call: call.clone(),
        references: vec![owed.reference],
        head: None,
        signed: signed(number, name),
    }
}

fn paying(journal: &mut Journal) {
    with_session(journal);
    let owed = Some(payment(session(1), 1));
    done(journal, append(session(1), invoice(1, owed)));
    done(journal, append(session(1), invoice(2, Some(payment(session(1), 2)))));
    let top_up = Call::TopUp(TopUp { channel: ChannelId([4; 32]), amount: Amount::new(5) });
    done(journal, of_none(funding(4, 0, Purpose::Open, Call::Open(open(100)))));
    done(journal, of_none(funding(4, 0, Purpose::TopUp, top_up)));
}

#[test]
fn a_payment_that_its_ledger_has_is_taken_up_and_one_that_it_cannot_tell_waits_for_a_person() {
    let lost = Lost::new(paying);
    let (first, second) = (payment(session(1), 1), payment(session(1), 2));
    let mut journal = lost.restored(NOW + 1_000);
    let found = vec![prepared(&first, 7, "0xf0")];
    let release = Release { found, untold: vec![second.reference] };
    done(&mut journal, Write::Release(Box::new(release)));
    let reader = journal.reader();
    let state = |owed: &Owed| reader.obligation(&owed.reference).unwrap().unwrap().state;
    assert!(
        matches!(state(&first), obligation::State::Riding { delivery } if delivery.number == 7)
    );
    assert_eq!(state(&second), obligation::State::Refused { why: PERHAPS_DONE.to_owned() });
    let event = obligation::Event::Retried;
    done(&mut journal, Write::Obligation { reference: second.reference, event });
}

#[test]
fn a_payment_whose_number_another_took_is_never_signed_again() {
    let lost = Lost::new(paying);
    let owed = payment(session(1), 1);
    let mut journal = lost.released();
    done(&mut journal, Write::Prepare(Box::new(prepared(&owed, 3, "0xa0"))));
    let id = DeliveryId { ledger: ledger_id(), account: account(1), number: 3 };
    let event = delivery::Event::Replaced;
    done(&mut journal, Write::Delivery { id, event, due_ms: NOW });
    let row = journal.reader().obligation(&owed.reference).unwrap().unwrap();
    assert_eq!(row.state, obligation::State::Refused { why: PERHAPS_DONE.to_owned() });
    // Something owed since then was never signed by anybody else.
    done(&mut journal, append(session(2), order()));
    let owed = payment(session(2), 1);
    done(&mut journal, append(session(2), invoice(1, Some(owed.clone()))));
    done(&mut journal, Write::Prepare(Box::new(prepared(&owed, 4, "0xa1"))));
    let id = DeliveryId { ledger: ledger_id(), account: account(1), number: 4 };
    let event = delivery::Event::Replaced;
    done(&mut journal, Write::Delivery { id, event, due_ms: NOW });
    let row = journal.reader().obligation(&owed.reference).unwrap().unwrap();
    assert_eq!(row.state, obligation::State::Open { alone: false });
}
