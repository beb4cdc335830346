//! Stories of a person who has a channel's best voucher redeemed, and of a channel that paid out
//! what nobody vouched.

use super::watch::*;
use super::*;
use crate::journal::settle::{Means, Settle};
use crate::journal::unjust::Unjust;
use crate::journal::watch::View;
use sdpp_ledger::{Anchor, ChangeKind};

/// Wishes a channel settled that its ledger shows so; how that is done, if anything is.
fn settle_as(journal: &mut Journal, view: View, close: bool) -> Option<Means> {
    settle_while(journal, view, close, false)
}

/// The same while a session is going on in it, or not.
fn settle_while(journal: &mut Journal, view: View, close: bool, live: bool) -> Option<Means> {
    let settle = Settle { channel: CHANNEL, ledger: ledger_id(), view, close, live };
    let foretold = journal.reader().must_settle(&settle).unwrap();
    let before = journal.reader().redeems(&CHANNEL).unwrap().len();
    let written = done(journal, Write::Settle(Box::new(settle)));
    let redeems = journal.reader().redeems(&CHANNEL).unwrap();
    assert_eq!(written.seq.is_some(), foretold.is_some(), "who reads foresees what is written");
    assert_eq!(redeems.len(), before + usize::from(foretold.is_some()));
    foretold
}

fn closing() -> View {
    View { ready_ms: Some(READY), ..view(50) }
}

#[test]
fn the_best_voucher_is_redeemed_at_a_persons_word_once() {
    let (_dir, mut journal) = vouched(5);
    assert_eq!(settle_as(&mut journal, view(50), false), Some(Means::Settle));
    assert_eq!(settle_as(&mut journal, view(50), false), None, "it is owed already");
    assert_eq!(redeems(&journal), [5]);
    done(&mut journal, append(session(1), voucher(7, 9)));
    assert_eq!(settle_as(&mut journal, view(50), false), Some(Means::Settle), "a better one");
    assert_eq!(redeems(&journal), [5, 9]);
    done(&mut journal, append(session(1), ends_with(Call::Settle, Purpose::Settle, 9)));
    assert_eq!(redeems(&journal), [5, 9], "the session's end owes nothing more");
}

#[test]
fn what_the_ledger_shows_decides_before_the_watch_has_told_of_it() {
    let (_dir, mut journal) = vouched(5);
    let paid = View { settled: Amount::new(5), ..view(50) };
    assert_eq!(settle_as(&mut journal, paid, false), None, "it is settled");
    let over = View { is_over: true, ..view(50) };
    assert_eq!(settle_as(&mut journal, over, true), None, "nothing can be had any more");
    assert!(!watched(&journal).is_seen, "what is seen is for the watch to keep");
    assert_eq!(settle_as(&mut journal, closing(), false), Some(Means::Close), "one call does both");
    done(&mut journal, heard(vec![change(3, asked_to_close())], 4));
    assert_eq!(redeems(&journal), [5], "the watch finds it done");
}

#[test]
fn a_channel_is_closed_where_that_is_wished_and_once() {
    let (_dir, mut journal) = vouched(5);
    assert_eq!(settle_as(&mut journal, view(50), false), Some(Means::Settle));
    assert_eq!(settle_as(&mut journal, view(50), true), Some(Means::Close), "with what was had");
    assert_eq!(settle_as(&mut journal, view(50), true), None);
    assert_eq!(settle_as(&mut journal, closing(), false), None);
    done(&mut journal, append(session(1), ends_with(Call::Close, Purpose::Close, 5)));
    let calls = journal.reader().redeems(&CHANNEL).unwrap();
    let closes = calls.iter().filter(|row| matches!(row.owed.act, Act::Do(Call::Close(_))));
    assert_eq!(closes.count(), 2, "a session's own close is its own affair");
}

/// Its last window may still be paid: a channel that is closed takes no better voucher.
#[test]
fn a_channel_is_not_closed_under_a_session() {
    let (_dir, mut journal) = vouched(5);
    assert_eq!(settle_while(&mut journal, closing(), true, true), Some(Means::Settle));
    assert_eq!(settle_while(&mut journal, closing(), true, true), None, "it is owed already");
    done(&mut journal, append(session(1), voucher(7, 9)));
    assert_eq!(settle_while(&mut journal, closing(), false, true), Some(Means::Settle));
    assert!(!watched(&journal).is_left);
    assert_eq!(settle_while(&mut journal, closing(), true, false), Some(Means::Close));
}

#[test]
fn a_refusal_is_tried_again_at_the_next_word() {
    let (_dir, mut journal) = vouched(5);
    assert_eq!(settle_as(&mut journal, view(50), true), Some(Means::Close));
    let reference = journal.reader().redeems(&CHANNEL).unwrap()[0].owed.reference;
    let event = obligation::Event::Refused { why: "no".to_owned() };
    done(&mut journal, Write::Obligation { reference, event });
    assert_eq!(journal.reader().redeems(&CHANNEL).unwrap(), []);
    let (channel, ledger, view) = (CHANNEL, ledger_id(), view(50));
    let settle = Settle { channel, ledger, view, close: true, live: false };
    assert_eq!(journal.reader().must_settle(&settle).unwrap(), Some(Means::Close));
    done(&mut journal, Write::Settle(Box::new(settle)));
    let [again] = &journal.reader().redeems(&CHANNEL).unwrap()[..] else { panic!("not one") };
    assert_ne!(again.owed.reference, reference, "another thing owed");
}

#[test]
fn a_buyer_and_who_holds_no_voucher_settle_nothing() {
    let (_dir, mut journal) = funded();
    assert_eq!(settle_as(&mut journal, view(50), true), None);
    let dir = Dir::new();
    let mut journal = dir.open();
    assert_eq!(settle_as(&mut journal, view(50), true), None, "it is nobody's");
}

#[test]
fn evidence_of_a_dispute_is_pinned_after_its_sessions_end_and_once() {
    let (_dir, mut journal) = vouched(5);
    done(&mut journal, append(session(1), ends_with(Call::Settle, Purpose::Settle, 5)));
    let disputed = |number, byte| {
        let (reference, bundle) =
            (session(1).reference(Purpose::Dispute, number), Digest([byte; 32]));
        let act = Act::Do(Call::Anchor(Anchor::One { reference, digest: bundle }));
        let (purpose, ledger) = (Purpose::Dispute, ledger_id());
        Record::Disputed { bundle, owed: Owed { reference, purpose, ledger, act, held: false } }
    };
    let first = done(&mut journal, append(session(1), disputed(1, 3)));
    assert_eq!(first.ledgers, [ledger_id()]);
    assert!(done(&mut journal, append(session(1), disputed(1, 3))).repeated);
    assert!(one(&mut journal, append(session(1), disputed(1, 4))).is_err(), "another bundle");
    done(&mut journal, append(session(1), disputed(2, 4)));
    let pinned = journal.reader().disputes(&session(1)).unwrap();
    let bundles: Vec<Digest> = pinned.into_iter().map(|(bundle, _)| bundle).collect();
    assert_eq!(bundles, [Digest([3; 32]), Digest([4; 32])]);
}

#[test]
fn a_channel_that_paid_out_what_nobody_vouched_is_kept_in_mind_until_it_is_explained() {
    let (_dir, mut journal) = funded();
    let ceiling = |units| Record::Ceiling { channel: CHANNEL, amount: Amount::new(units) };
    let spent = |units| Record::Spent { channel: CHANNEL, amount: Amount::new(units), kept: true };
    let unjust = |journal: &Journal| journal.reader().unjust().unwrap();
    let of = |settled, vouched| {
        let (settled, vouched) = (Amount::new(settled), Amount::new(vouched));
        vec![Unjust { channel: CHANNEL, ledger: ledger_id(), settled, vouched }]
    };
    let told = |journal: &mut Journal, kind: ChangeKind| {
        done(journal, heard(vec![change(3, kind)], 4));
    };
    done(&mut journal, seen(view(50), 2));
    done(&mut journal, append(session(1), ceiling(30)));
    told(&mut journal, settled(30));
    assert_eq!(unjust(&journal), [], "all of it may have been vouched");
    done(&mut journal, append(session(1), spent(20)));
    assert_eq!(unjust(&journal), of(30, 20), "less was");
    done(&mut journal, append(session(1), ceiling(30)));
    assert_eq!(unjust(&journal), [], "a voucher was shown that we had forgotten");
    told(&mut journal, ChangeKind::Closed { settled: Amount::new(31) });
    assert_eq!(unjust(&journal), of(31, 30), "though the channel is over");
}
