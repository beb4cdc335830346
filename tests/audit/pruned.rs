//! Pruning takes nothing from a statement but what it says that it could not check again.

use crate::pair::{Setting, Side, key, ledger};
use crate::{Book, audit, buyer, seller, settings};
use sdpp::audit::Statement;
use sdpp::journal::prune::{Kept, Place, Tally};
use sdpp::journal::{Entry, Sweep, Watch, Write};
use sdpp::record::{Act, Owed, Record};
use sdpp::terms::Purpose;
use sdpp_ledger::{
    Amount, Asset, Call, Change, ChangeKind, ChannelId, Digest, Open, PublicKey, Reference, TxId,
};
use std::collections::BTreeSet;

const LATER_MS: u64 = crate::pair::START_MS + 1_000;

impl Book {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.journal.reader().entries(0, 1000).unwrap()
    }

    /// The ledger says that its channel is closed. Who pays into it has funded it before.
    fn close_channel(&mut self) {
        let channel = |entry: &Entry| match entry.record {
            Record::Voucher { channel, amount, .. } | Record::Ceiling { channel, amount } => {
                Some((channel, amount))
            }
            _ => None,
        };
        let all: BTreeSet<_> = self.entries().iter().filter_map(channel).collect();
        let Some((channel, amount)) = all.last().copied() else { return };
        let is_payer = self.entries().iter().any(|e| matches!(e.record, Record::Ceiling { .. }));
        if is_payer {
            self.commit(Write::Append { session: None, record: Box::new(funding(channel)) });
        }
        let tx: TxId = "0xc105ed".parse().unwrap();
        let kind = ChangeKind::Closed { settled: amount.min(Amount::new(18)) };
        let changes = vec![Change { channel, kind, tx, height: 9, at_ms: 9 }];
        let watch = Watch { ledger: ledger(), changes, seen: Vec::new(), next: 10 };
        self.commit(Write::Watch(Box::new(watch)));
    }

    pub(crate) fn prune(&mut self) -> Tally {
        let mut sweep = Sweep::new(LATER_MS, Place::Sessions(None));
        while self.journal.prune(LATER_MS, &mut sweep).unwrap() {}
        sweep.tally().clone()
    }
}

fn funding(channel: ChannelId) -> Record {
    let (payee, asset) = (seller().account(), Asset::coin());
    let (deposit, salt) = (Amount::new(1000), Digest::ZERO);
    let open = Open { payee: payee.clone(), asset: asset.clone(), deposit, salt, signer: None };
    let (reference, purpose) = (Reference([7; 32]), Purpose::Open);
    let act = Act::Do(Call::Open(open));
    let owed = Owed { reference, purpose, ledger: ledger(), act, held: false };
    Record::Funding { channel, payee, asset, owed }
}

/// Its statement before and after.
fn pruned(side: &Side, owner: PublicKey) -> (Tally, [Statement; 2]) {
    let mut book = Book::written(side, owner);
    book.close_channel();
    let before = audit(&owner, &book.entries());
    let tally = book.prune();
    assert!(book.journal.reader().verify().unwrap().is_ok());
    let after = audit(&owner, &book.entries());
    assert_eq!((before.problems, after.problems), (vec![], vec![]), "{owner}");
    let only = |mut all: Vec<Statement>| all.pop().unwrap();
    (tally, [before.statements, after.statements].map(only))
}

#[test]
fn every_kind_of_session_is_stated_the_same_after_it_is_pruned() {
    for (which, setting) in settings().into_iter().enumerate() {
        let mut pair = setting().start();
        pair.run();
        for (side, owner) in [(&pair.s, seller()), (&pair.b, buyer())] {
            let (tally, [before, after]) = pruned(side, owner);
            assert_eq!((tally.sessions, tally.kept.len()), (1, 0), "setting {which}: {tally:?}");
            assert_eq!((before.pruned, after.pruned), (0, tally.entries));
            // Two windows at least, each with its invoice and its payment.
            assert!(tally.entries >= 4, "setting {which}: {tally:?}");
            let (windows, recomputed) = (before.windows, after.windows_recomputed);
            assert_eq!((before.windows_recomputed, recomputed), (windows, 0), "no leaves are left");
            let again = Statement { pruned: 0, windows_recomputed: windows, ..after };
            assert_eq!(again, before, "setting {which}");
        }
    }
}

#[test]
fn a_session_whose_channel_is_open_or_that_broke_off_keeps_everything() {
    let mut pair = Setting::default().by_escrow().start();
    pair.run();
    let mut book = Book::written(&pair.s, seller());
    assert_eq!(book.prune().kept.into_keys().collect::<Vec<_>>(), [Kept::Channel]);
    let mut pair = Setting::default().order("co2", None).start();
    pair.run_to(5);
    pair.tell(crate::pair::Role::Seller, sdpp::session::Input::Hangup);
    pair.run();
    let mut book = Book::written(&pair.s, seller());
    let before = book.entries();
    assert_eq!(book.prune().kept.into_keys().collect::<Vec<_>>(), [Kept::Incomplete]);
    assert_eq!(book.entries(), before);
}

/// Changes a record of some kind; answers whether it is one.
type Plant = fn(&mut Record) -> bool;

/// The payload is gone, and the layout is still signed.
#[test]
fn a_lie_in_what_is_left_is_named_all_the_same() {
    let mut pair = Setting::default().start();
    pair.run();
    let mut book = Book::written(&pair.s, seller());
    assert!(book.prune().entries > 0);
    let honest = book.entries();
    let lies: [(&str, Plant); 4] = [
        ("the signature of the payment is false", |record| match record {
            Record::Payment { message, .. } => {
                message.amount_total = Amount::new(99);
                true
            }
            _ => false,
        }),
        ("the signature of the ack is false", |record| match record {
            Record::Ack { message } => {
                message.number += 1;
                true
            }
            _ => false,
        }),
        ("the signature of the invoice is false", |record| match record {
            Record::Invoice { message, .. } => {
                message.commitment.0[0] ^= 1;
                true
            }
            _ => false,
        }),
        ("does not follow the one before", |record| match record {
            Record::Invoice { to_seq, .. } => {
                *to_seq = 0;
                true
            }
            _ => false,
        }),
    ];
    for (what, plant) in lies {
        let mut entries = honest.clone();
        let planted = |entry: &mut Entry| plant(&mut entry.record).then_some(entry.seq);
        let seq = entries.iter_mut().find_map(planted);
        let problems = audit(&seller(), &entries).problems;
        let is_named = |seq| problems.iter().any(|p| p.entry == seq && p.what.contains(what));
        assert!(seq.is_some_and(is_named), "{what}: {problems:?}");
    }
    // What the buyer signed for another amount than was invoiced pays nothing.
    let mut entries = honest.clone();
    let payment = entries.iter_mut().find_map(|entry| match &mut entry.record {
        Record::Payment { message, .. } => Some(message),
        _ => None,
    });
    let message = payment.unwrap();
    message.amount_total = Amount::new(1);
    message.signature = key(2).sign(&message.digest());
    let problems = audit(&seller(), &entries).problems;
    assert!(problems[0].what.contains("does not fit its invoice"), "{problems:?}");
    // Data that is missing without having been pruned is no payment.
    let mut entries = honest.clone();
    let is_payment = |entry: &&mut Entry| matches!(entry.record, Record::Payment { .. });
    let payment = entries.iter_mut().find(is_payment).unwrap();
    payment.lacks = None;
    let problems = audit(&seller(), &entries).problems;
    assert!(problems[0].what.contains("its data was not kept"), "{problems:?}");
}
