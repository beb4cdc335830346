//! The audit of real sessions finds nothing, and each lie that is planted in them is named.

// Outside its tests too: what a story cannot find, it cannot tell.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod channels;
#[macro_use]
mod lies;
mod credits;
mod figures;
mod legs;
#[allow(dead_code)]
#[path = "../session/line.rs"]
mod line;
#[allow(dead_code)]
#[path = "../session/pair.rs"]
mod pair;
mod prices;
mod pruned;
mod remainders;
mod strays;
mod together;
#[allow(dead_code)]
mod told;
mod voids;

use lies::lie;
use pair::{Pair, Setting, Side, key, ledger};
use sdpp::audit::{Audit, Check, Expected, Report, Settlement, State};
use sdpp::journal::{
    Delivery, Entry, Journal, Obligation, Prepare, Write, delivery, obligation, outbox,
};
use sdpp::record::{Act, End, Record};
use sdpp_ledger::{
    Amount, Call, ChannelId, Evidence, LedgerId, PublicKey, Reference, Row, Signed, TxId,
};
use std::collections::BTreeMap;

/// One side's real journal, in which everything that was owed is settled as soon as it can be.
struct Book {
    journal: Journal,
    /// The next transaction's number on each ledger.
    numbers: BTreeMap<LedgerId, u64>,
    _dir: tempfile::TempDir,
}

impl Book {
    fn of(side: &Side, owner: PublicKey) -> Vec<Entry> {
        Book::written(side, owner).journal.reader().entries(0, 1000).unwrap()
    }

    fn written(side: &Side, owner: PublicKey) -> Book {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal"), owner).unwrap();
        let mut book = Book { journal, numbers: BTreeMap::new(), _dir: dir };
        for record in &side.records {
            book.commit(Write::Append { session: side.session, record: Box::new(record.clone()) });
            book.settle();
        }
        assert!(book.journal.reader().verify().unwrap().is_ok());
        book
    }

    fn commit(&mut self, write: Write) {
        self.journal.commit(pair::START_MS, vec![write]).unwrap().remove(0).unwrap();
    }

    /// Claims are true; calls are carried out one by one, anchors together where there are many.
    fn settle(&mut self) {
        let rows = self.journal.reader().obligations(None, 1000).unwrap();
        let open = |row: &Obligation| matches!(row.state, obligation::State::Open { .. });
        for row in &rows {
            if let (Act::Check(claim), obligation::State::Watching) = (&row.owed.act, &row.state) {
                let evidence = evidence(claim.tx.clone(), claim.transfer.amount);
                let event = obligation::Event::Met { evidence };
                self.commit(Write::Obligation { reference: row.owed.reference, event });
            }
        }
        let (anchors, calls): (Vec<_>, Vec<_>) =
            rows.into_iter().filter(open).partition(|row| row.leaf().is_some());
        calls.into_iter().for_each(|row| self.deliver(vec![row]));
        if !anchors.is_empty() {
            self.deliver(anchors);
        }
    }

    fn deliver(&mut self, rows: Vec<Obligation>) {
        let is_many = rows.len() > 1;
        let head = if is_many { Some(self.journal.reader().head().unwrap()) } else { None };
        let identity = self.journal.reader().identity();
        let call = outbox::pack(&rows, head, &identity).unwrap().call;
        let amount = match &call {
            Call::Transfer(transfer) => transfer.amount,
            Call::Close(redeem) | Call::Settle(redeem) => redeem.amount,
            _ => Amount::ZERO,
        };
        let references: Vec<Reference> = rows.iter().map(|row| row.owed.reference).collect();
        let tx = pair::tx_of(&references[0]);
        // What is carried out together is owed to one ledger.
        let ledger = rows[0].owed.ledger.clone();
        let number = self.numbers.entry(ledger.clone()).or_default();
        let signed =
            Signed { number: *number, tx: Some(tx.clone()), raw: vec![1], fee: Amount::ZERO };
        *number += 1;
        let account = identity.account();
        let prepare = Prepare { ledger: ledger.clone(), account, call, references, head, signed };
        let id = delivery::DeliveryId {
            ledger,
            account: identity.account(),
            number: prepare.signed.number,
        };
        self.commit(Write::Prepare(Box::new(prepare)));
        let sent = delivery::Event::Sent { tx: tx.clone() };
        self.commit(Write::Delivery { id: id.clone(), event: sent, due_ms: 0 });
        let done = delivery::Event::Final { evidence: evidence(tx, amount) };
        self.commit(Write::Delivery { id, event: done, due_ms: 0 });
        let all: Vec<Delivery> = self.journal.reader().deliveries(None, 1000).unwrap();
        assert!(all.iter().all(|row| self.journal.reader().holds(row).unwrap()));
    }
}

fn evidence(tx: TxId, amount: Amount) -> Evidence {
    Evidence { amount, ..Evidence::new(tx, 7, "block", 7) }
}

fn audit<'a>(owner: &PublicKey, entries: impl IntoIterator<Item = &'a Entry>) -> Report {
    let mut audit = Audit::new(*owner);
    entries.into_iter().for_each(|entry| audit.take(entry));
    audit.finish()
}

fn seller() -> PublicKey {
    key(1).public()
}

fn buyer() -> PublicKey {
    key(2).public()
}

fn both(pair: &Pair) -> [(PublicKey, Vec<Entry>); 2] {
    [(seller(), Book::of(&pair.s, seller())), (buyer(), Book::of(&pair.b, buyer()))]
}

fn settings() -> Vec<fn() -> Setting> {
    vec![
        Setting::default,
        || Setting::default().anchored_after(),
        || Setting::default().no_records(),
        || Setting::default().under_mac(),
        || Setting::default().under_mac().anchored_after().windows(3, 2),
        || Setting::default().by_escrow(),
        || Setting::default().by_escrow().under_mac().windows(1, 1),
        || Setting { base: Amount::new(100), ..Setting::default().by_escrow() },
        || {
            let mut held = Setting::default().anchored_after();
            (held.seller.hold_records, held.buyer.hold_records) = (true, true);
            held
        },
    ]
}

#[test]
fn an_honest_session_is_stated_in_full_and_nothing_is_wrong() {
    for (which, setting) in settings().into_iter().enumerate() {
        let mut pair = setting().start();
        pair.run();
        for (owner, entries) in both(&pair) {
            let report = audit(&owner, &entries);
            assert_eq!(report.problems, [], "setting {which}");
            let [one] = &report.statements[..] else { panic!("one session, one statement") };
            assert_eq!((one.seller, one.buyer), (seller(), buyer()));
            assert_eq!((one.topic.as_str(), one.items_delivered), ("gas", 6));
            let eighteen = Amount::new(18);
            assert_eq!(
                (one.last.invoiced, one.last.paid, one.last.settled),
                (eighteen, eighteen, eighteen)
            );
            assert_eq!((one.last.outstanding, one.items_acked), (Amount::ZERO, 6));
            assert_eq!(one.state, State::Ended(End::Complete));
            assert!(one.anchors.iter().all(|line| line.ok && line.evidence.is_some()));
            let (is_seller, keeps_records) = (owner == seller(), one.records.is_some());
            let anchors = if is_seller { one.windows + 1 } else { 1 };
            assert_eq!(one.anchors.len() as u64, if keeps_records { anchors } else { 0 });
        }
    }
}

/// While it runs, and wherever it is cut off, a session is stated as far as it came.
#[test]
fn every_beginning_of_an_honest_journal_is_honest() {
    for setting in settings() {
        let mut pair = setting().start();
        pair.run();
        for (owner, entries) in both(&pair) {
            for end in 0..=entries.len() {
                let report = audit(&owner, &entries[..end]);
                assert_eq!(report.problems, [], "after {end} of {entries:#?}");
            }
        }
    }
}

#[test]
fn a_session_that_broke_off_is_honest_too() {
    for setting in settings() {
        for items in 1..6 {
            let mut pair = setting().order("co2", None).start();
            pair.run_to(items);
            pair.tell(pair::Role::Seller, sdpp::session::Input::Hangup);
            pair.tell(pair::Role::Buyer, sdpp::session::Input::Hangup);
            pair.run();
            for (owner, entries) in both(&pair) {
                assert_eq!(audit(&owner, &entries).problems, []);
            }
        }
    }
}

/// A buyer's anchor may be final before its order is on disk, and the order may never follow.
#[test]
fn an_anchor_without_its_order_is_no_session_and_no_problem() {
    let (owner, mut entries) = transfers(buyer());
    let order = entries.iter().position(|e| matches!(e.record, Record::Order { .. })).unwrap();
    let met = entries.iter().position(|e| matches!(e.record, Record::Met { .. })).unwrap();
    assert!(met < order, "the anchor goes first");
    assert_eq!(audit(&owner, &entries).problems, []);
    entries.truncate(order);
    let report = audit(&owner, &entries);
    assert_eq!((report.statements.len(), report.problems.len()), (0, 0));
}

fn transfers(owner: PublicKey) -> (PublicKey, Vec<Entry>) {
    let mut pair = Setting::default().start();
    pair.run();
    both(&pair).into_iter().find(|(side, _)| *side == owner).unwrap()
}

fn vouchers() -> (PublicKey, Vec<Entry>) {
    let mut pair = Setting::default().by_escrow().start();
    pair.run();
    let [sellers, _] = both(&pair);
    sellers
}

/// A payment's message again with another transaction, signed by the buyer, and right after it.
fn name_again(entries: &mut Vec<Entry>, tx: &TxId, change: fn(&mut Amount)) -> u64 {
    let is_payment = |entry: &Entry| matches!(entry.record, Record::Payment { .. });
    let at = entries.iter().position(is_payment).unwrap();
    let mut again = Entry { seq: 99, ..entries[at].clone() };
    if let Record::Payment { message, owed: Some(owed) } = &mut again.record
        && let Act::Check(claim) = &mut owed.act
    {
        (message.verification, claim.tx) = (tx.to_string(), tx.clone());
        message.signature = key(2).sign(&message.digest());
        change(&mut claim.transfer.amount);
    }
    entries.insert(at + 1, again);
    99
}

/// A buyer that raises its fee names the new transaction, and either may be mined.
#[test]
fn a_payment_that_was_named_again_is_met_by_either_transaction() {
    let tx: TxId = "0xraised".parse().unwrap();
    for is_raised in [false, true] {
        let (owner, mut entries) = transfers(seller());
        name_again(&mut entries, &tx, |_| {});
        let (_, claimed) =
            nth!(entries, 0, Record::Payment { owed: Some(owed), .. } => owed.reference);
        for entry in entries.iter_mut().filter(|_| is_raised) {
            match &mut entry.record {
                Record::Met { reference, evidence, .. } if *reference == claimed => {
                    evidence.tx = tx.clone();
                }
                _ => {}
            }
        }
        let report = audit(&owner, &entries);
        assert_eq!(report.problems, []);
        let one = &report.statements[0];
        assert_eq!((one.last.paid, one.last.settled), (Amount::new(18), Amount::new(18)));
        let asks = |check: &Check| matches!(&check.what, Expected::Paid(claim) if claim.tx == tx);
        assert_eq!(
            one.checks().any(|check| asks(&check)),
            is_raised,
            "the ledger is asked for what landed"
        );
    }
}

/// Who redeems for many at once is met by its own row.
#[test]
fn a_voucher_that_was_redeemed_with_others_is_stated_by_its_row() {
    let (owner, mut entries) = vouchers();
    let (_, reference) = nth!(entries, 0, Record::Ended { owed: Some(owed), .. } => owed.reference);
    let channel = ChannelId([5; 32]);
    for entry in &mut entries {
        match &mut entry.record {
            Record::Met { reference: met, evidence, .. } if *met == reference => {
                let amount = evidence.amount;
                evidence.rows = vec![Row { channel, amount, refused: None }];
            }
            _ => {}
        }
    }
    let report = audit(&owner, &entries);
    assert_eq!(report.problems, []);
    let of = |line: &&Settlement| line.reference == reference;
    let line = report.statements[0].settlements.iter().find(of).unwrap();
    assert_eq!(line.evidence.as_ref().unwrap().amount, line.amount);
    lie((owner, entries), "is met by a row of", |entries| {
        let mut met = entries.iter_mut().filter_map(|entry| match &mut entry.record {
            Record::Met { evidence, .. } => Some((entry.seq, evidence.rows.first_mut()?)),
            _ => None,
        });
        let (seq, row) = met.next().unwrap();
        row.channel.0[0] ^= 1;
        seq
    });
}

/// What was refused and tried again counts as what it came to.
#[test]
fn a_refusal_that_was_tried_again_is_no_problem() {
    let (owner, mut entries) = transfers(seller());
    let (_, reference) =
        nth!(entries, 0, Record::Payment { owed: Some(owed), .. } => owed.reference);
    let of = |entry: &Entry| matches!(entry.record, Record::Met { reference: met, .. } if met == reference);
    let at = entries.iter().position(of).unwrap();
    let why = "no such transaction".to_owned();
    let refused = Entry { record: Record::Refused { reference, why }, ..entries[at].clone() };
    entries.insert(at, refused);
    let report = audit(&owner, &entries);
    assert_eq!(report.problems, []);
    assert!(report.statements[0].settlements.iter().all(|line| line.refused.is_none()));
}
