//! What ledgers told of channels is held against what was vouched on them.

use crate::pair::{Role, Setting};
use crate::{audit, both, evidence, ledger, seller};
use sdpp::audit::{Audit, OfSession, Spent};
use sdpp::journal::Entry;
use sdpp::record::{Act, Owed, Record};
use sdpp::session::Input;
use sdpp::terms::{Purpose, SessionId};
use sdpp_ledger::{Amount, Call, Change, ChangeKind, ChannelId, Digest, Reference};

/// The most that this journal's owner vouched, or has in vouchers, and on which channel.
fn vouched(entries: &[Entry]) -> (ChannelId, Amount) {
    let vouched = entries.iter().filter_map(|entry| match &entry.record {
        // A buyer's own word at the session's end, which no ledger may pass, ceiling or not.
        Record::Spent { channel, amount, .. } | Record::Voucher { channel, amount, .. } => {
            Some((*channel, *amount))
        }
        _ => None,
    });
    vouched.max_by_key(|(_, amount)| *amount).unwrap()
}

fn told(entries: &[Entry], channel: ChannelId, kind: ChangeKind) -> Entry {
    let last = entries.last().unwrap();
    let tx = "0x01".parse().unwrap();
    let change = Change { channel, kind, tx, height: 9, at_ms: 9 };
    let record = Record::ChannelChange { ledger: ledger(), change };
    Entry { seq: last.seq + 1, session: None, record, ..last.clone() }
}

/// Acks vouch before an invoice asks: what was vouched is spent, also where none ever did.
#[test]
fn what_was_vouched_is_spent_whether_it_was_invoiced_or_not() {
    for items in [40, 100] {
        let setting = Setting::default().anchored_after().no_records().by_escrow();
        let setting = setting.order("co2", Some(100)).windows(50, 1);
        let mut pair = Setting { base: Amount::new(7), ..setting }.start();
        pair.run_to(items);
        pair.run_without_feeding();
        pair.tell(Role::Seller, Input::Hangup);
        pair.tell(Role::Buyer, Input::Hangup);
        while pair.drain_outputs(Role::Seller) || pair.drain_outputs(Role::Buyer) {}
        let (mut spent, mut session) = (Spent::since(0), OfSession::default());
        let [_, (_, entries)] = both(&pair);
        entries.iter().for_each(|entry| spent.take(&mut session, entry).unwrap());
        let (_, most) = vouched(&entries);
        let coin = sdpp_ledger::Asset::coin();
        assert_eq!(spent.of(&ledger(), &coin), most.saturating_sub(Amount::new(7)), "{items}");
        assert!(most > Amount::new(100), "{most}");
    }
}

#[test]
fn a_channel_that_paid_more_than_was_vouched_is_named() {
    let mut pair = Setting::default().by_escrow().start();
    pair.run();
    for (owner, entries) in both(&pair) {
        let (channel, most) = vouched(&entries);
        let more = most.checked_add(Amount::new(1)).unwrap();
        let elsewhere = ChannelId([9; 32]);
        for (channel, kind, says) in [
            (channel, ChangeKind::Opened { deposit: more }, None),
            (channel, ChangeKind::Settled { settled: most }, None),
            (channel, ChangeKind::Closed { settled: most }, None),
            (channel, ChangeKind::Withdrawn, None),
            (channel, ChangeKind::Settled { settled: more }, Some("is settled")),
            (channel, ChangeKind::Closed { settled: more }, Some("was vouched")),
            (elsewhere, ChangeKind::Closed { settled: Amount::new(1) }, Some("0 was vouched")),
        ] {
            let fact = told(&entries, channel, kind);
            let report = audit(&owner, entries.iter().chain([&fact]));
            assert_eq!(report.changes, 1);
            assert_eq!(report.statements.len(), 1, "the session stands as it was");
            match (says, &report.problems[..]) {
                (None, []) => {}
                (Some(says), [problem]) => {
                    assert!(problem.what.contains(says), "{problem:?}");
                    assert_eq!((problem.entry, problem.session), (fact.seq, None));
                }
                (_, problems) => panic!("{:?}: {problems:?}", fact.record),
            }
        }
    }
}

/// A session that broke has no receipt. What was vouched in the middle of a window is paid all the
/// same, and what the channel paid out is settled, in both books.
#[test]
fn what_a_channel_paid_is_its_sessions_whatever_was_written_when_it_broke() {
    let mut pair = Setting::default().by_escrow().no_records().order("co2", None).start();
    pair.run_to(7).run_without_feeding();
    pair.tell(Role::Buyer, Input::Hangup);
    pair.tell(Role::Seller, Input::Hangup);
    pair.run();
    for (owner, entries) in both(&pair) {
        let (channel, most) = vouched(&entries);
        let only = |entries: &[Entry]| audit(&owner, entries).statements.remove(0);
        let before = only(&entries);
        assert!(before.last.invoiced < most, "it broke in the middle of a window");
        assert_eq!(before.last.paid, most, "{:?}", before.role);

        let all = [&entries[..], &[told(&entries, channel, ChangeKind::Closed { settled: most })]];
        let after = only(&all.concat());
        assert_eq!(
            (after.last.paid, after.last.settled, after.last.outstanding),
            (most, most, Amount::ZERO)
        );
        // The last voucher did not arrive, or was not redeemed in time.
        let less = before.last.invoiced.saturating_sub(Amount::new(1));
        let fact = told(&entries, channel, ChangeKind::Closed { settled: less });
        let after = only(&[&entries[..], &[fact]].concat());
        assert_eq!((after.last.settled, after.last.outstanding), (less, Amount::new(1)));
    }
}

/// Its vouchers were on acks alone, and the seller had to end it.
#[test]
fn a_session_that_was_refused_in_its_first_window_is_paid_for_what_was_vouched() {
    let mut pair = Setting::default().by_escrow().no_records().order("co2", None).start();
    pair.run_to(2).run_without_feeding();
    pair.tell(Role::Seller, Input::ChannelOver(sdpp_ledger::ChannelId([5; 32])));
    pair.run();
    let [_, (owner, entries)] = both(&pair);
    let (channel, most) = vouched(&entries);
    let fact = told(&entries, channel, ChangeKind::Closed { settled: most });
    let only = audit(&owner, &[&entries[..], &[fact]].concat()).statements.remove(0);
    assert_eq!(only.state.name(), "refused");
    assert_eq!((only.windows, only.last.paid, only.last.settled), (0, most, most));
    assert!(most > Amount::ZERO);
}

/// A seller's journal up to where its voucher is owed to the ledger, and that.
fn redeeming() -> (Vec<Entry>, Owed, ChannelId, Amount) {
    let mut pair = Setting::default().by_escrow().start();
    pair.run();
    let [(_, mut entries), _] = both(&pair);
    let redeems = |entry: &Entry| match &entry.record.owed()?.act {
        Act::Do(Call::Settle(_) | Call::Close(_)) => entry.record.owed().cloned(),
        _ => None,
    };
    let owed = entries.iter().find_map(redeems).unwrap();
    let met = |entry: &Entry| matches!(&entry.record, Record::Met { reference, .. } if *reference == owed.reference);
    entries.retain(|entry| !met(entry));
    let (channel, most) = vouched(&entries);
    (entries, owed, channel, most)
}

/// What follows, in order.
fn then(entries: &[Entry], records: Vec<(Option<SessionId>, Record)>) -> Vec<Entry> {
    let last = entries.last().unwrap().clone();
    let next = records.into_iter().zip(last.seq + 1..);
    let next = next.map(|((session, record), seq)| Entry { seq, session, record, ..last.clone() });
    entries.iter().cloned().chain(next).collect()
}

fn change(channel: ChannelId, kind: ChangeKind) -> (Option<SessionId>, Record) {
    let tx = "0x01".parse().unwrap();
    let change = Change { channel, kind, tx, height: 9, at_ms: 9 };
    (None, Record::ChannelChange { ledger: ledger(), change })
}

fn met(reference: Reference, amount: Amount) -> (Option<SessionId>, Record) {
    let evidence = evidence("0x02".parse().unwrap(), amount);
    (None, Record::Met { reference, evidence, proof: None })
}

/// What audit names of a seller's journal, of all of it and of its session alone.
fn named(entries: &[Entry]) -> Vec<String> {
    let report = audit(&seller(), entries);
    let session = report.statements[0].session;
    let mut alone = Audit::of_session(seller(), session);
    entries.iter().for_each(|entry| alone.take(entry));
    let alone = alone.finish();
    assert_eq!(alone.problems, report.problems, "whatever else is in the journal");
    assert_eq!(alone.statements, report.statements);
    assert_eq!(report.statements[0].problems, report.problems, "it is this session's");
    report.problems.into_iter().map(|problem| problem.what).collect()
}

#[test]
fn a_channel_that_is_over_and_paid_less_than_was_vouched_is_named() {
    let (entries, _, channel, most) = redeeming();
    let less = most.saturating_sub(Amount::new(1));
    assert_eq!(named(&entries), Vec::<String>::new(), "while it is under way nothing is lost");
    let settled = |settled| change(channel, ChangeKind::Settled { settled });
    let closed = |settled| change(channel, ChangeKind::Closed { settled });
    let withdrawn = || change(channel, ChangeKind::Withdrawn);
    for (facts, lost) in [
        (vec![settled(most), withdrawn()], None),
        (vec![closed(most)], None),
        (vec![withdrawn(), settled(most)], None),
        (vec![settled(less)], None),
        (vec![settled(less), withdrawn()], Some(("1", less))),
        (vec![closed(less)], Some(("1", less))),
        (vec![withdrawn()], Some((most.to_string().as_str(), Amount::ZERO))),
    ] {
        let told = format!("{facts:?}");
        let found = named(&then(&entries, facts));
        match lost {
            None => assert!(found.is_empty(), "{told}: {found:?}"),
            Some((lost, paid)) => {
                let says = format!("is over and paid {paid}, {most} was vouched: {lost} is lost");
                assert!(found.len() == 1 && found[0].ends_with(&says), "{told}: {found:?}");
            }
        }
    }
}

#[test]
fn a_redeem_that_is_refused_is_named_unless_as_much_was_redeemed_by_other_means() {
    let (entries, owed, channel, most) = redeeming();
    let session = entries.iter().find_map(|entry| entry.session);
    let less = most.saturating_sub(Amount::new(1));
    let refused = || {
        let (reference, why) = (owed.reference, "ChannelFinalized".to_owned());
        (session, Record::Refused { reference, why })
    };
    // The watch redeems by a reference of its own, which no session has.
    let watch = |amount: Amount| {
        let Act::Do(Call::Settle(mut redeem) | Call::Close(mut redeem)) = owed.act.clone() else {
            panic!("{owed:?}")
        };
        redeem.amount = amount;
        let reference = SessionId(Digest(channel.0)).reference(Purpose::Settle, 1);
        let act = Act::Do(Call::Settle(redeem));
        let owed = Owed { reference, purpose: Purpose::Settle, act, ..owed.clone() };
        (reference, (None, Record::Redeeming { channel, owed }))
    };
    let (by_watch, redeeming) = watch(most);
    let (_, too_little) = watch(less);
    let settled = |settled| change(channel, ChangeKind::Settled { settled });
    for (records, is_lost) in [
        (vec![refused()], true),
        (vec![refused(), settled(less)], true),
        (vec![settled(less), refused()], true),
        (vec![too_little.clone(), met(by_watch, less), refused()], true),
        (vec![refused(), (session, met(owed.reference, most).1)], false),
        (vec![settled(most), refused()], false),
        (vec![refused(), settled(most)], false),
        (vec![redeeming.clone(), met(by_watch, most), refused()], false),
        (vec![refused(), redeeming.clone()], false),
    ] {
        let told = format!("{records:?}");
        let found = named(&then(&entries, records));
        assert_eq!(found.len(), usize::from(is_lost), "{told}: {found:?}");
        let says = format!("redeeming {most} is refused (ChannelFinalized)");
        assert!(found.iter().all(|what| what.contains(&says)), "{found:?}");
    }
}
