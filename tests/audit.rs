//! The audit of real sessions finds nothing, and each lie that is planted in them is named.

#[allow(dead_code)]
#[path = "session/pair.rs"]
mod pair;

use pair::{Pair, Setting, Side, key, ledger};
use sdpp::audit::{Audit, Report, State};
use sdpp::journal::{
    Delivery, Entry, Journal, Obligation, Prepare, Write, delivery, obligation, outbox,
};
use sdpp::record::{Act, End, Record, SignedMessage};
use sdpp::terms::Purpose;
use sdpp_ledger::{
    Amount, Anchor, Call, Digest, Evidence, Key, PublicKey, Reference, Signed, TxId, keccak,
};
use serde_json::{Value, json};

/// One side's real journal, in which everything that was owed is settled as soon as it can be.
struct Book {
    journal: Journal,
    number: u64,
    _dir: tempfile::TempDir,
}

impl Book {
    fn of(side: &Side, owner: PublicKey) -> Vec<Entry> {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal"), owner).unwrap();
        let mut book = Book { journal, number: 0, _dir: dir };
        for record in &side.records {
            book.commit(Write::Append { session: side.session, record: Box::new(record.clone()) });
            book.settle();
        }
        assert!(book.journal.reader().verify().unwrap().is_ok());
        book.journal.reader().entries(0, 1000).unwrap()
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
        let signed =
            Signed { number: self.number, tx: Some(tx.clone()), raw: vec![1], fee: Amount::ZERO };
        self.number += 1;
        let account = identity.account();
        let prepare = Prepare { ledger: ledger(), account, call, references, head, signed };
        let id = delivery::DeliveryId {
            ledger: ledger(),
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
    Evidence { tx, height: 7, block: "block".to_owned(), at_ms: 7, amount, fee: Amount::ZERO }
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
            assert_eq!((one.invoiced, one.paid, one.settled), (eighteen, eighteen, eighteen));
            assert_eq!((one.outstanding, one.items_acked), (Amount::ZERO, 6));
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

/// Finds the n-th record (from 0) of a kind, and gives what is to be changed in it.
macro_rules! nth {
    ($entries:expr, $n:expr, $record:pat => $what:expr) => {{
        let mut found = $entries.iter_mut().filter_map(|entry| {
            let seq = entry.seq;
            match &mut entry.record {
                $record => Some((seq, $what)),
                _ => None,
            }
        });
        found.nth($n).expect("there is such a record")
    }};
}

/// What the owner of a key signs, changed and signed again by whoever `by` is.
fn sign_again(message: &mut SignedMessage, by: &Key, change: impl FnOnce(&mut Value)) {
    let mut data: Value = serde_json::from_str(message.data.as_ref().unwrap()).unwrap();
    change(&mut data);
    let text = data.to_string();
    message.data_digest = keccak(&[text.as_bytes()]);
    message.data = Some(text);
    message.signature = by.sign(&message.digest());
}

/// Plants one lie into an honest journal and expects it named, at its entry and nowhere else.
fn lie(
    (owner, mut entries): (PublicKey, Vec<Entry>),
    what: &str,
    plant: impl FnOnce(&mut Vec<Entry>) -> u64,
) {
    let seq = plant(&mut entries);
    let report = audit(&owner, &entries);
    let said: Vec<_> = report.problems.iter().map(|p| (p.entry, p.what.clone())).collect();
    let named = |(entry, said): &(u64, String)| *entry == seq && said.contains(what);
    assert!(said.iter().any(named), "entry {seq}: {what}: {said:?}");
}

#[test]
fn a_false_signature_is_named_whoevers_it_is() {
    lie(transfers(seller()), "the signature of the menu is false", |entries| {
        let (seq, menu) = nth!(entries, 0, Record::Order { menu, .. } => menu);
        menu.signature = key(2).sign(&menu.digest());
        seq
    });
    lie(transfers(seller()), "the signature of the order is false", |entries| {
        let (seq, order) = nth!(entries, 0, Record::Order { order, .. } => order);
        order.signature.0[0] ^= 1;
        seq
    });
    lie(transfers(buyer()), "the signature of the invoice is false", |entries| {
        let (seq, message) = nth!(entries, 1, Record::Invoice { message, .. } => message);
        message.verification = "another".to_owned();
        seq
    });
    lie(transfers(seller()), "the signature of the payment is false", |entries| {
        let (seq, message) = nth!(entries, 0, Record::Payment { message, .. } => message);
        message.data = Some(message.data.clone().unwrap().replace('4', "5"));
        seq
    });
    lie(transfers(buyer()), "the signature of the exit is false", |entries| {
        let (seq, message) = nth!(entries, 0, Record::Exit { message, .. } => message);
        message.signature = key(9).sign(&message.digest());
        seq
    });
    lie(vouchers(), "the voucher is not signed by the buyer", |entries| {
        let (seq, signature) = nth!(entries, 0, Record::Voucher { signature, .. } => signature);
        *signature = key(1).sign(&Digest::ZERO);
        seq
    });
}

#[test]
fn a_signature_for_something_else_proves_nothing() {
    lie(transfers(seller()), "a message of another kind", |entries| {
        let (_, payment) = nth!(entries, 1, Record::Payment { message, .. } => message.clone());
        let (seq, message) = nth!(entries, 1, Record::Invoice { message, .. } => message);
        *message = payment;
        seq
    });
    lie(transfers(seller()), "of another session", |entries| {
        let (seq, message) = nth!(entries, 0, Record::Invoice { message, .. } => message);
        message.session.0.0[0] ^= 1;
        message.signature = key(1).sign(&message.digest());
        seq
    });
    lie(transfers(seller()), "the order is for another menu", |entries| {
        let (seq, order) = nth!(entries, 0, Record::Order { order, .. } => order);
        sign_again(order, &key(2), |data| data["menu_digest"] = json!(Digest::ZERO));
        seq
    });
    lie(transfers(seller()), "are of other people", |entries| {
        let (seq, peer) = nth!(entries, 0, Record::Order { peer, .. } => peer);
        *peer = key(9).public();
        seq
    });
    lie(vouchers(), "another channel", |entries| {
        let (seq, channel) = nth!(entries, 0, Record::Voucher { channel, .. } => channel);
        channel.0[0] ^= 1;
        seq
    });
}

/// Signed by the right key, and still not what was agreed.
#[test]
fn what_is_signed_must_be_what_was_agreed() {
    lie(transfers(seller()), "asks 19 in all, 18 is agreed", |entries| {
        let (seq, message) = nth!(entries, 1, Record::Invoice { message, .. } => message);
        message.amount_total = Amount::new(19);
        sign_again(message, &key(1), |data| data["invoice"]["amount_total"] = json!("19"));
        seq
    });
    lie(transfers(buyer()), "is not what was recorded of it", |entries| {
        let (seq, message) = nth!(entries, 0, Record::Invoice { message, .. } => message);
        sign_again(message, &key(1), |data| data["invoice"]["amount"] = json!("1"));
        seq
    });
    lie(transfers(buyer()), "asks to pay another", |entries| {
        let (seq, message) = nth!(entries, 0, Record::Invoice { message, .. } => message);
        let thief = key(9).public().account();
        sign_again(message, &key(1), |data| data["invoice"]["payment_address"] = json!(thief));
        seq
    });
    lie(transfers(seller()), "does not fit its invoice", |entries| {
        let (seq, message) = nth!(entries, 0, Record::Payment { message, .. } => message);
        sign_again(message, &key(2), |data| data["ack"]["digest"] = json!(Digest::ZERO));
        seq
    });
    lie(transfers(seller()), "names 7 items, 6 were invoiced", |entries| {
        let (seq, message) = nth!(entries, 0, Record::Exit { message, .. } => message);
        sign_again(message, &key(1), |data| data["items"] = json!(7));
        seq
    });
    lie(transfers(buyer()), "a receipt for 19", |entries| {
        let (seq, message) = nth!(entries, 0, Record::Exit { message, .. } => message);
        sign_again(message, &key(1), |data| data["paid_total"] = json!("19"));
        seq
    });
    lie(transfers(seller()), "the evidence is not signed by the other side", |entries| {
        let (_, ours) = nth!(entries, 0, Record::Invoice { message, .. } => message.clone());
        let (seq, evidence) = nth!(entries, 0, Record::Ended { evidence, .. } => evidence);
        *evidence = Some(Box::new(ours));
        seq
    });
    lie(vouchers(), "does not fit its invoice", |entries| {
        let (seq, message) = nth!(entries, 1, Record::Payment { message, .. } => message);
        message.amount_total = Amount::new(12);
        sign_again(message, &key(2), |data| data["amount_total"] = json!("12"));
        seq
    });
}

#[test]
fn windows_follow_one_another() {
    lie(transfers(seller()), "invoice 2 does not follow the one before", |entries| {
        let (seq, from_seq) = nth!(entries, 1, Record::Invoice { from_seq, .. } => from_seq);
        *from_seq = 6;
        seq
    });
    lie(transfers(seller()), "invoice 2 does not follow the one before", |entries| {
        let first = |entry: &Entry| matches!(entry.record, Record::Invoice { .. });
        let at = entries.iter().position(first).unwrap();
        entries.remove(at);
        nth!(entries, 0, Record::Invoice { .. } => ()).0
    });
    lie(transfers(buyer()), "for more than K items", |entries| {
        let (seq, (to_seq, message)) =
            nth!(entries, 0, Record::Invoice { to_seq, message, .. } => (to_seq, message));
        *to_seq = 5;
        message.amount_total = Amount::new(15);
        sign_again(message, &key(1), |data| {
            (data["invoice"]["to"], data["invoice"]["amount_total"]) = (json!(5), json!("15"));
        });
        seq
    });
    lie(transfers(seller()), "comes after the session's end", |entries| {
        let at = |entry: &Entry| matches!(entry.record, Record::Ended { .. });
        let at = entries.iter().position(at).unwrap();
        let late = Entry { seq: 99, record: Record::Reserved { to_seq: 1 }, ..entries[at].clone() };
        entries.push(late);
        99
    });
    lie(transfers(seller()), "a session without an order", |entries| {
        entries.remove(0);
        entries[0].seq
    });
    lie(transfers(seller()), "a session has one order", |entries| {
        let again = Entry { seq: 99, ..entries[0].clone() };
        entries.insert(3, again);
        99
    });
}

#[test]
fn a_payment_is_the_one_that_was_agreed_or_none() {
    let is_not = "the transfer for window 1 is not the one that was agreed";
    let changes: [fn(&mut sdpp::record::Owed); 4] = [
        |owed| transfer_of(owed).to = key(9).public().account(),
        |owed| transfer_of(owed).amount = Amount::new(11),
        |owed| transfer_of(owed).reference.0[0] ^= 1,
        |owed| owed.ledger = "sdpp:elsewhere".parse().unwrap(),
    ];
    for change in changes {
        lie(transfers(seller()), is_not, |entries| {
            let (seq, owed) = nth!(entries, 0, Record::Payment { owed: Some(owed), .. } => owed);
            change(owed);
            seq
        });
        lie(transfers(buyer()), is_not, |entries| {
            let (seq, owed) = nth!(entries, 0, Record::Invoice { owed: Some(owed), .. } => owed);
            change(owed);
            seq
        });
    }
    lie(transfers(seller()), "names another transaction", |entries| {
        let (seq, owed) = nth!(entries, 0, Record::Payment { owed: Some(owed), .. } => owed);
        let Act::Check(claim) = &mut owed.act else { panic!("a seller checks") };
        claim.tx = "0xother".parse().unwrap();
        seq
    });
    lie(transfers(seller()), "is not the buyer's own", |entries| {
        let (seq, owed) = nth!(entries, 0, Record::Payment { owed: Some(owed), .. } => owed);
        let transfer = transfer_of(owed).clone();
        owed.act = Act::Do(Call::Transfer(transfer));
        seq
    });
    lie(transfers(seller()), "no transfer stands behind", |entries| {
        let (seq, owed) = nth!(entries, 0, Record::Payment { owed, .. } => owed);
        *owed = None;
        seq
    });
}

fn transfer_of(owed: &mut sdpp::record::Owed) -> &mut sdpp_ledger::Transfer {
    match &mut owed.act {
        Act::Check(claim) => &mut claim.transfer,
        Act::Do(Call::Transfer(transfer)) => transfer,
        Act::Do(call) => panic!("{call:?} is no payment"),
    }
}

#[test]
fn an_anchor_holds_the_record_that_it_is_for() {
    lie(transfers(seller()), "the anchor of this record holds another digest", |entries| {
        let (_, owed) = nth!(entries, 0, Record::Anchoring { owed } => owed);
        let Act::Do(Call::Anchor(Anchor::One { digest, .. })) = &mut owed.act else {
            panic!("it is an anchor")
        };
        *digest = Digest::ZERO;
        nth!(entries, 0, Record::Invoice { .. } => ()).0
    });
    lie(transfers(buyer()), "agreed was sdpp:story", |entries| {
        let (_, owed) = nth!(entries, 0, Record::Anchoring { owed } => owed);
        owed.ledger = "sdpp:elsewhere".parse().unwrap();
        nth!(entries, 0, Record::Order { .. } => ()).0
    });
    lie(transfers(seller()), "is no anchor", |entries| {
        let (_, owed) = nth!(entries, 0, Record::Payment { owed: Some(owed), .. } => owed.clone());
        let (seq, (exit, message)) =
            nth!(entries, 0, Record::Exit { owed, message, .. } => (owed, message));
        let reference = message.session.reference(Purpose::Exit, 0);
        *exit = Some(sdpp::record::Owed { reference, ..owed });
        seq
    });
}

#[test]
fn what_is_met_was_owed_once_and_in_full() {
    lie(transfers(seller()), "is met and was never owed", |entries| {
        let (seq, reference) = nth!(entries, 0, Record::Met { reference, .. } => reference);
        reference.0[0] ^= 1;
        seq
    });
    lie(transfers(seller()), "is met a second time", |entries| {
        let met = |entry: &Entry| matches!(entry.record, Record::Met { .. });
        let at = entries.iter().position(met).unwrap();
        let again = Entry { seq: 99, ..entries[at].clone() };
        entries.insert(at + 1, again);
        99
    });
    let payment = |entries: &mut Vec<Entry>, change: fn(&mut Evidence)| {
        let (_, claimed) = nth!(entries, 0, Record::Payment { owed: Some(owed), .. } => {
            owed.reference
        });
        let mut met = entries.iter_mut().filter_map(|entry| match &mut entry.record {
            Record::Met { reference, evidence, .. } if *reference == claimed => {
                Some((entry.seq, evidence))
            }
            _ => None,
        });
        let (seq, evidence) = met.next().unwrap();
        change(evidence);
        seq
    };
    lie(transfers(seller()), "claimed was", |entries| {
        payment(entries, |evidence| evidence.tx = "0xother".parse().unwrap())
    });
    lie(transfers(seller()), "moved 11, 12 was owed", |entries| {
        payment(entries, |evidence| evidence.amount = Amount::new(11))
    });
    lie(transfers(buyer()), "30 is settled, 18 was invoiced", |entries| {
        let (_, owed) = nth!(entries, 1, Record::Invoice { owed: Some(owed), .. } => owed);
        transfer_of(owed).amount = Amount::new(18);
        let second = owed.reference;
        let mut met = entries.iter_mut().filter_map(|entry| match &mut entry.record {
            Record::Met { reference, evidence, .. } if *reference == second => {
                Some((entry.seq, evidence))
            }
            _ => None,
        });
        let (seq, evidence) = met.next().unwrap();
        evidence.amount = Amount::new(18);
        seq
    });
    lie(transfers(seller()), "ended as complete, and 6 is outstanding", |entries| {
        let last = nth!(entries, 1, Record::Payment { owed: Some(owed), .. } => owed.reference).1;
        entries.retain(
            |entry| !matches!(entry.record, Record::Met { reference, .. } if reference == last),
        );
        entries.last().unwrap().seq
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
