//! Stories of the watch: facts come once, what they threaten is redeemed once, whatever is read
//! again and wherever a crash falls.

use super::*;
use crate::journal::watch::{Home, Life, Plan, View, Watch, Watched, Word};
use sdpp_ledger::{Change, ChangeKind, Open, Redeem};

pub(super) const CHANNEL: ChannelId = ChannelId([7; 32]);
pub(super) const READY: u64 = NOW + 900_000;

fn domain() -> Domain {
    Domain { chain_id: 1, contract: key(3).public().account() }
}

pub(super) fn change(height: u64, kind: ChangeKind) -> Change {
    let tx = tx(&format!("0xAB{height:04}"));
    Change { channel: CHANNEL, kind, tx, height, at_ms: NOW + height }
}

pub(super) fn opened(units: u128) -> ChangeKind {
    ChangeKind::Opened { deposit: Amount::new(units) }
}

pub(super) fn asked_to_close() -> ChangeKind {
    ChangeKind::CloseRequested { ready_ms: READY }
}

pub(super) fn topped_up(units: u128) -> ChangeKind {
    ChangeKind::ToppedUp { deposit: Amount::new(units) }
}

pub(super) fn settled(units: u128) -> ChangeKind {
    ChangeKind::Settled { settled: Amount::new(units) }
}

pub(super) fn view(deposit: u128) -> View {
    View { deposit: Amount::new(deposit), settled: Amount::ZERO, ready_ms: None, is_over: false }
}

pub(super) fn heard(changes: Vec<Change>, next: u64) -> Write {
    Write::Watch(Box::new(Watch { ledger: ledger_id(), changes, seen: Vec::new(), next }))
}

pub(super) fn seen(view: View, next: u64) -> Write {
    let seen = vec![(CHANNEL, view)];
    Write::Watch(Box::new(Watch { ledger: ledger_id(), changes: Vec::new(), seen, next }))
}

fn plan(journal: &Journal) -> Plan {
    journal.reader().watch_plan(&ledger_id(), &domain(), &[]).unwrap()
}

pub(super) fn watched(journal: &Journal) -> Watched {
    journal.reader().watched(&CHANNEL).unwrap().unwrap()
}

/// What the journal says that ledgers told it.
fn facts(journal: &Journal) -> Vec<ChangeKind> {
    let entries = journal.reader().entries(0, PAGE_MAX).unwrap();
    let told = entries.into_iter().filter_map(|entry| match entry.record {
        Record::ChannelChange { change, .. } => Some(change.kind),
        _ => None,
    });
    told.collect()
}

/// What is owed to be redeemed.
pub(super) fn redeems(journal: &Journal) -> Vec<u128> {
    let rows = journal.reader().obligations(None, PAGE_MAX).unwrap();
    let amounts = rows.into_iter().filter_map(|row| match row.owed.act {
        Act::Do(Call::Settle(redeem) | Call::Close(redeem)) => Some(redeem.amount.units()),
        _ => None,
    });
    let mut amounts: Vec<_> = amounts.collect();
    amounts.sort_unstable();
    amounts
}

/// A seller's journal with a session that has a voucher.
pub(super) fn vouched(units: u128) -> (Dir, Journal) {
    let dir = Dir::new();
    let mut journal = dir.open();
    done(&mut journal, append(session(1), order()));
    done(&mut journal, append(session(1), voucher(7, units)));
    (dir, journal)
}

pub(super) fn ends_with(call: fn(Redeem) -> Call, purpose: Purpose, units: u128) -> Record {
    let signature = key(2).sign(&Digest::ZERO);
    let redeem = Redeem { channel: CHANNEL, amount: Amount::new(units), signature };
    let owed = Owed {
        reference: session(1).reference(purpose, 0),
        purpose,
        ledger: ledger_id(),
        act: Act::Do(call(redeem)),
        held: false,
    };
    let why = "stopped".to_owned();
    Record::Ended { end: End::Outstanding, why, evidence: Vec::new(), owed: Some(owed) }
}

pub(super) fn funding() -> Record {
    let reference = SessionId(Digest(CHANNEL.0)).reference(Purpose::Open, 0);
    let (payee, asset, deposit) = (account(9), Asset::coin(), Amount::new(50));
    let salt = Digest::ZERO;
    let open = Open { payee: payee.clone(), asset: asset.clone(), deposit, salt, signer: None };
    let owed = Owed {
        reference,
        purpose: Purpose::Open,
        ledger: ledger_id(),
        act: Act::Do(Call::Open(open)),
        held: false,
    };
    Record::Funding { channel: CHANNEL, payee, asset, owed }
}

#[test]
fn the_table_of_a_watched_channel() {
    let new = || Watched::new(Role::Buyer, Home::Ledger(ledger_id()), None);
    let after = |kinds: &[ChangeKind]| {
        let rows = kinds.iter().fold(new(), |row, kind| row.next(Word::Changed(kind)));
        let amounts = (rows.deposit.units(), rows.settled.units());
        (amounts, rows.ready_ms, rows.is_over)
    };
    let closed = ChangeKind::Closed { settled: Amount::new(6) };
    assert_eq!(after(&[opened(9)]), ((9, 0), None, false));
    assert_eq!(after(&[opened(9), settled(4), settled(3)]), ((9, 4), None, false));
    assert_eq!(after(&[opened(9), asked_to_close()]), ((9, 0), Some(READY), false));
    assert_eq!(after(&[asked_to_close(), topped_up(12)]), ((12, 0), None, false));
    assert_eq!(after(&[opened(9), closed.clone()]), ((9, 6), None, true));
    assert_eq!(after(&[ChangeKind::Withdrawn]), ((0, 0), None, true));
    // What is told late takes nothing back.
    assert_eq!(after(&[closed, opened(9), topped_up(8)]), ((9, 6), None, true));
    let closing = View { ready_ms: Some(READY), ..view(9) };
    assert!(!new().is_usable(), "nobody has looked at it");
    assert!(new().next(Word::Seen(&view(9))).is_usable());
    assert!(!new().next(Word::Seen(&closing)).is_usable());
    let over = View { is_over: true, ..view(9) };
    let row = new().next(Word::Seen(&over)).next(Word::Seen(&view(9)));
    assert!(row.is_over && !row.is_usable(), "over is for good");
}

#[test]
fn a_channel_is_watched_from_the_record_that_gives_us_part_in_it() {
    let (_dir, mut journal) = vouched(5);
    assert_eq!(plan(&journal), Plan { new: vec![CHANNEL], ..Plan::default() });
    let elsewhere = Domain { chain_id: 2, ..domain() };
    let other =
        journal.reader().watch_plan(&"embedded:other".parse().unwrap(), &elsewhere, &[CHANNEL]);
    assert_eq!(other.unwrap(), Plan::default(), "it is not there");
    done(&mut journal, seen(view(50), 11));
    let known = Plan { known: vec![CHANNEL], cursor: Some(11), ..Plan::default() };
    assert_eq!(plan(&journal), known);
    done(&mut journal, append(session(1), voucher(7, 9)));
    assert_eq!(plan(&journal), known, "a further voucher forgets nothing");
}

/// However many there are: who is served on one is not left unwatched for its id.
#[test]
fn channels_that_serve_a_session_are_watched_before_all_others() {
    let (_dir, mut journal) = vouched(5);
    let last = ChannelId([9; 32]);
    done(&mut journal, append(session(1), voucher(9, 3)));
    let asked = |journal: &Journal, serving: &[ChannelId]| {
        let plan = journal.reader().watch_plan(&ledger_id(), &domain(), serving).unwrap();
        (plan.new, plan.known)
    };
    assert_eq!(asked(&journal, &[]).0, [CHANNEL, last]);
    let unknown = ChannelId([1; 32]);
    assert_eq!(asked(&journal, &[last, unknown]).0, [last, CHANNEL], "each once");
    let now = |channel, view| {
        let seen = vec![(channel, view)];
        Write::Watch(Box::new(Watch { ledger: ledger_id(), changes: vec![], seen, next: 3 }))
    };
    done(&mut journal, now(CHANNEL, view(9)));
    done(&mut journal, now(last, view(9)));
    assert_eq!(asked(&journal, &[last]).1, [last, CHANNEL]);
    done(&mut journal, now(last, View { is_over: true, ..view(9) }));
    assert_eq!(asked(&journal, &[last]).1, [CHANNEL], "of what is over nothing is asked");
}

#[test]
fn a_channel_that_is_refused_is_not_asked_for() {
    let dir = Dir::new();
    let mut journal = dir.open();
    done(&mut journal, Write::Append { session: None, record: Box::new(funding()) });
    assert_eq!(plan(&journal).new, vec![CHANNEL]);
    let reference = SessionId(Digest(CHANNEL.0)).reference(Purpose::Open, 0);
    let event = obligation::Event::Refused { why: "InsufficientFunds".to_owned() };
    done(&mut journal, Write::Obligation { reference, event });
    assert_eq!(plan(&journal), Plan::default());
    done(&mut journal, Write::Obligation { reference, event: obligation::Event::Retried });
    assert_eq!(plan(&journal).new, vec![CHANNEL], "a person had it tried again");
}

#[test]
fn what_happened_is_a_fact_once_and_in_order() {
    let (_dir, mut journal) = vouched(5);
    let life = vec![
        change(3, opened(9)),
        change(4, asked_to_close()),
        change(5, topped_up(12)),
        change(5, settled(4)),
    ];
    let kinds: Vec<_> = life.iter().map(|change| change.kind.clone()).collect();
    done(&mut journal, heard(life[..2].to_vec(), 5));
    done(&mut journal, heard(life.clone(), 6));
    done(&mut journal, heard(life.clone(), 6));
    assert_eq!(facts(&journal), kinds);
    // After a reorganisation the same transaction stands in another block.
    let moved = Change { height: 9, tx: tx("0xab0005"), ..life[3].clone() };
    done(&mut journal, heard(vec![moved], 10));
    assert_eq!(facts(&journal), kinds);
    let stranger = Change { channel: ChannelId([8; 32]), ..change(9, opened(1)) };
    done(&mut journal, heard(vec![stranger], 10));
    assert_eq!(facts(&journal), kinds, "we have no part in that one");
    assert_eq!(plan(&journal).cursor, Some(10));
    assert_eq!(journal.reader().verify().unwrap().unwrap().seq, 2 + 4 + 1);
}

/// A payer that is a contract can do all of it in one transaction.
#[test]
fn asking_to_close_twice_in_one_transaction_is_asking() {
    let one_tx = |kinds: &[ChangeKind]| {
        let of = |kind: &ChangeKind| change(3, kind.clone());
        kinds.iter().map(of).collect::<Vec<_>>()
    };
    let twice = one_tx(&[asked_to_close(), topped_up(51), asked_to_close()]);
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, seen(view(50), 2));
    done(&mut journal, heard(twice.clone(), 4));
    assert_eq!(watched(&journal).life(), Life::Closing);
    assert_eq!((facts(&journal).len(), redeems(&journal)), (3, vec![5]));
    done(&mut journal, heard(twice, 4));
    assert_eq!((facts(&journal).len(), redeems(&journal)), (3, vec![5]), "told again, once");
}

/// What a node that is behind the one before it shows is older than what was told, and takes
/// nothing back: only a top-up takes a request back, and only by a larger deposit.
#[test]
fn a_state_that_is_older_than_what_was_told_takes_no_request_back() {
    let closing = |deposit| View { ready_ms: Some(READY), ..view(deposit) };
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, seen(view(50), 2));
    let at_once = |changes: Vec<Change>, view: View| {
        let seen = vec![(CHANNEL, view)];
        Write::Watch(Box::new(Watch { ledger: ledger_id(), changes, seen, next: 4 }))
    };
    done(&mut journal, at_once(vec![change(3, asked_to_close())], view(50)));
    assert_eq!((watched(&journal).life(), redeems(&journal)), (Life::Closing, vec![5]));
    done(&mut journal, at_once(vec![change(4, topped_up(60))], closing(50)));
    assert_eq!(watched(&journal).life(), Life::Open, "a larger deposit is newer");
    done(&mut journal, at_once(Vec::new(), closing(60)));
    assert_eq!(watched(&journal).life(), Life::Closing, "shown before it is told");
    done(&mut journal, heard(vec![change(5, topped_up(60))], 6));
    assert_eq!(watched(&journal).life(), Life::Closing, "told late");
}

#[test]
fn another_ledger_says_nothing_of_a_channel_that_is_here() {
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, seen(view(50), 2));
    let lie = Watch {
        ledger: "embedded:other".parse().unwrap(),
        changes: vec![change(3, ChangeKind::Withdrawn)],
        seen: vec![(CHANNEL, View { is_over: true, ..view(1) })],
        next: 4,
    };
    done(&mut journal, Write::Watch(Box::new(lie)));
    assert!(watched(&journal).is_usable());
    assert_eq!(facts(&journal), []);
}

#[test]
fn a_threatened_voucher_is_owed_at_once_and_once() {
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, seen(view(50), 2));
    assert_eq!(redeems(&journal), [], "nobody asked to close");
    let written = done(&mut journal, heard(vec![change(3, asked_to_close())], 4));
    assert_eq!(written.ledgers, [ledger_id()], "its outbox is woken");
    assert_eq!(redeems(&journal), [5]);
    assert_eq!(watched(&journal).life(), Life::Closing);
    done(&mut journal, heard(vec![change(3, asked_to_close())], 5));
    let closing = View { ready_ms: Some(READY), ..view(50) };
    done(&mut journal, seen(closing, 6));
    assert_eq!(redeems(&journal), [5], "the same again owes nothing");
    done(&mut journal, append(session(1), ends_with(Call::Settle, Purpose::Settle, 5)));
    assert_eq!(redeems(&journal), [5], "nor does the session's end");
    let last = journal.reader().entries(0, PAGE_MAX).unwrap().pop().unwrap().record;
    assert!(matches!(last, Record::Ended { owed: None, .. }), "{last:?}");
}

#[test]
fn the_sessions_end_redeems_what_came_later_and_closes_all_the_same() {
    for (call, purpose, units, expected) in [
        (Call::Settle as fn(Redeem) -> Call, Purpose::Settle, 8, vec![5, 8]),
        (Call::Close, Purpose::Close, 8, vec![5, 8]),
        (Call::Close, Purpose::Close, 5, vec![5, 5]),
    ] {
        let (_dir, mut journal) = vouched(5);
        done(&mut journal, seen(View { ready_ms: Some(READY), ..view(50) }, 2));
        assert_eq!(redeems(&journal), [5], "it was asked to be closed before we looked");
        let end = append(session(1), ends_with(call, purpose, units));
        done(&mut journal, end.clone());
        assert_eq!(redeems(&journal), expected);
        let again = one(&mut journal, end).unwrap();
        assert!(again.repeated, "the same end again changes nothing");
    }
}

#[test]
fn what_the_session_redeems_is_not_redeemed_by_the_watch() {
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, append(session(1), ends_with(Call::Settle, Purpose::Settle, 5)));
    done(&mut journal, seen(view(50), 2));
    done(&mut journal, heard(vec![change(3, asked_to_close())], 4));
    assert_eq!(redeems(&journal), [5]);
}

#[test]
fn what_is_redeemed_in_a_session_is_redeemed_once() {
    let redeeming = |number, units| {
        let owed = settle(session(1), number, 7, units);
        append(session(1), Record::Redeeming { channel: CHANNEL, owed })
    };
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, seen(view(50), 2));
    let first = done(&mut journal, redeeming(1, 5));
    assert_eq!((first.ledgers, watched(&journal).redeemed), (vec![ledger_id()], Amount::new(5)));
    assert!(done(&mut journal, redeeming(1, 5)).repeated);
    done(&mut journal, heard(vec![change(3, asked_to_close())], 4));
    assert_eq!(redeems(&journal), [5], "by the session, and not by the watch");
    done(&mut journal, append(session(1), voucher(7, 9)));
    done(&mut journal, heard(vec![change(4, settled(5)), change(5, asked_to_close())], 6));
    assert_eq!(redeems(&journal), [5, 9], "by the watch");
    let entries = journal.reader().counts().unwrap().head.seq;
    assert_eq!(done(&mut journal, redeeming(2, 9)), Written::default(), "and not by the session");
    assert_eq!(journal.reader().counts().unwrap().head.seq, entries);
    done(&mut journal, append(session(1), ends_with(Call::Settle, Purpose::Settle, 9)));
    assert_eq!(redeems(&journal), [5, 9]);
}

#[test]
fn a_buyer_redeems_nothing_and_forgets_what_is_over() {
    let dir = Dir::new();
    let mut journal = dir.open();
    done(&mut journal, Write::Append { session: None, record: Box::new(funding()) });
    done(&mut journal, seen(view(50), 2));
    done(&mut journal, heard(vec![change(3, asked_to_close()), change(4, settled(20))], 5));
    assert_eq!(redeems(&journal), []);
    let open = journal.reader().open_channels(None, PAGE_MAX).unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].watched.settled, open[0].watched.side), (Amount::new(20), Role::Buyer));
    done(&mut journal, heard(vec![change(6, ChangeKind::Withdrawn)], 7));
    assert_eq!(journal.reader().open_channels(None, PAGE_MAX).unwrap(), []);
    assert!(watched(&journal).is_over, "known for ever, and open no more");
}

/// The words of a ledger in any number of writes, told again from any of them on, and the journal
/// closed in between: the facts and what is owed are the same.
#[test]
fn a_crash_between_any_two_writes_changes_nothing() {
    let life = [
        change(2, opened(9)),
        change(3, settled(2)),
        change(4, asked_to_close()),
        change(5, settled(5)),
        change(6, ChangeKind::Withdrawn),
    ];
    let kinds: Vec<_> = life.iter().map(|change| change.kind.clone()).collect();
    for crash in 0..life.len() {
        for again_from in 0..=crash {
            let (dir, mut journal) = vouched(5);
            for change in &life[..crash] {
                done(&mut journal, heard(vec![change.clone()], change.height + 1));
            }
            drop(journal);
            let mut journal = dir.open();
            let next = life[..crash].last().map(|change| change.height + 1);
            assert_eq!(plan(&journal).cursor, next, "the cursor goes with the facts");
            done(&mut journal, heard(life[again_from..].to_vec(), 7));
            assert_eq!(facts(&journal), kinds, "crash {crash}, again from {again_from}");
            // Where it is all told at once, the end is known before anything is owed.
            let is_late = crash < 3;
            let owed: &[u128] = if is_late { &[] } else { &[5] };
            assert_eq!(redeems(&journal), owed, "crash {crash}, again from {again_from}");
            assert!(journal.reader().verify().unwrap().is_ok());
        }
    }
}

/// The disk refuses: neither the facts nor the cursor are there after.
#[test]
fn a_write_that_fails_leaves_neither_fact_nor_cursor() {
    use std::sync::atomic::Ordering::SeqCst;
    let (dir, mut journal) = vouched(5);
    done(&mut journal, seen(view(50), 2));
    let broken = &journal.shared.store.watch.fail_next_sync;
    broken.store(true, SeqCst);
    let write = heard(vec![change(3, asked_to_close())], 4);
    assert!(journal.commit(NOW, vec![write.clone()]).is_err());
    drop(journal);
    let mut journal = dir.open();
    // The batch is atomic: it is all there, or nothing of it is.
    let told = facts(&journal).len();
    assert_eq!(plan(&journal).cursor, Some(if told == 0 { 2 } else { 4 }));
    assert_eq!(redeems(&journal).len(), told);
    done(&mut journal, write);
    assert_eq!((facts(&journal).len(), redeems(&journal)), (1, vec![5]));
}

pub(super) fn ceiling(units: u128) -> Write {
    append(session(1), Record::Ceiling { channel: CHANNEL, amount: Amount::new(units) })
}

pub(super) fn spent(units: u128, kept: bool) -> Write {
    append(session(1), Record::Spent { channel: CHANNEL, amount: Amount::new(units), kept })
}

fn most(journal: &Journal) -> u128 {
    journal.reader().open_channels(None, PAGE_MAX).unwrap()[0].vouched.units()
}

/// A buyer's journal with a channel, and a session on it.
pub(super) fn funded() -> (Dir, Journal) {
    let dir = Dir::new();
    let mut journal = dir.open();
    done(&mut journal, Write::Append { session: None, record: Box::new(funding()) });
    done(&mut journal, append(session(1), order()));
    (dir, journal)
}

#[test]
fn what_a_session_did_not_vouch_is_free_for_the_next() {
    let (dir, mut journal) = funded();
    done(&mut journal, ceiling(40));
    assert_eq!(most(&journal), 40, "as after a crash: whatever was allowed may have left");
    done(&mut journal, spent(31, true));
    drop(journal);
    let mut journal = dir.open();
    assert_eq!(most(&journal), 31);
    assert!(one(&mut journal, ceiling(30)).is_err(), "never below what was vouched");
    done(&mut journal, ceiling(35));
    done(&mut journal, spent(60, true));
    assert_eq!(most(&journal), 35, "nothing above the ceiling can have left");
    assert!(watched(&journal).may_open());
}

#[test]
fn a_channel_that_is_left_to_be_closed_serves_no_session() {
    let (_dir, mut journal) = funded();
    done(&mut journal, seen(view(50), 2));
    done(&mut journal, spent(0, true));
    assert!(watched(&journal).is_usable());
    done(&mut journal, spent(0, false));
    done(&mut journal, heard(vec![change(3, topped_up(90))], 4));
    assert!(!watched(&journal).is_usable() && !watched(&journal).may_open(), "for good");
    assert_eq!(plan(&journal).known, [CHANNEL], "and is watched until it is over");
    for (call, purpose, is_left) in [
        (Call::Settle as fn(Redeem) -> Call, Purpose::Settle, false),
        (Call::Close, Purpose::Close, true),
    ] {
        let (_dir, mut journal) = vouched(5);
        done(&mut journal, append(session(1), ends_with(call, purpose, 5)));
        assert_eq!(watched(&journal).is_left, is_left, "the seller that closes knows it too");
    }
}

#[test]
fn each_top_up_has_a_number_of_its_own() {
    let top_up = |number| {
        let Record::Funding { channel, payee, asset, owed } = funding() else { panic!() };
        let amount = Amount::new(7);
        let owed = Owed {
            reference: SessionId(Digest(CHANNEL.0)).reference(Purpose::TopUp, number),
            purpose: Purpose::TopUp,
            act: Act::Do(Call::TopUp(sdpp_ledger::TopUp { channel, amount })),
            ..owed
        };
        let record = Box::new(Record::Funding { channel, payee, asset, owed });
        Write::Append { session: None, record }
    };
    let (dir, mut journal) = funded();
    assert_eq!(watched(&journal).top_ups, 0, "to open it is none");
    done(&mut journal, top_up(0));
    done(&mut journal, top_up(0));
    assert_eq!(watched(&journal).top_ups, 1, "the same one again is not another");
    drop(journal);
    let mut journal = dir.open();
    done(&mut journal, top_up(1));
    assert_eq!(watched(&journal).top_ups, 2);
}
