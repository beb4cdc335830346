//! What ledgers told of channels is held against what was vouched on them.

use crate::pair::{Role, Setting};
use crate::{audit, both, ledger};
use sdpp::journal::Entry;
use sdpp::record::Record;
use sdpp::session::Input;
use sdpp_ledger::{Amount, Change, ChangeKind, ChannelId};

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
        assert!(before.invoiced < most, "it broke in the middle of a window");
        assert_eq!(before.paid, most, "{:?}", before.role);

        let all = [&entries[..], &[told(&entries, channel, ChangeKind::Closed { settled: most })]];
        let after = only(&all.concat());
        assert_eq!((after.paid, after.settled, after.outstanding), (most, most, Amount::ZERO));
        // The last voucher did not arrive, or was not redeemed in time.
        let less = before.invoiced.saturating_sub(Amount::new(1));
        let fact = told(&entries, channel, ChangeKind::Closed { settled: less });
        let after = only(&[&entries[..], &[fact]].concat());
        assert_eq!((after.settled, after.outstanding), (less, Amount::new(1)));
    }
}
