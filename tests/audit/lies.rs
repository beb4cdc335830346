//! Each lie that can be planted in a journal is named, at its entry.

use crate::pair::{Setting, key};
use crate::{Book, audit, buyer, name_again, seller, transfers, vouchers};
use sdpp::journal::Entry;
use sdpp::record::{Act, Owed, Record, SignedMessage};
use sdpp::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{Amount, Anchor, Call, Digest, Evidence, Key, PublicKey, keccak, merkle};
use serde_json::{Value, json};

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
pub(crate) fn sign_again(message: &mut SignedMessage, by: &Key, change: impl FnOnce(&mut Value)) {
    let mut data: Value = serde_json::from_str(message.data.as_ref().unwrap()).unwrap();
    change(&mut data);
    let text = data.to_string();
    message.data_digest = keccak(&[text.as_bytes()]);
    message.data = Some(text);
    message.signature = by.sign(&message.digest());
}

/// Plants one lie into an honest journal and expects it named, at its entry and nowhere else.
pub(crate) fn lie(
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
    lie(transfers(seller()), "they make session", |entries| {
        entries.iter_mut().for_each(|entry| entry.session = Some(SessionId(Digest([9; 32]))));
        entries[0].seq
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
    lie(transfers(buyer()), "the leaves of window 2 are others", |entries| {
        let (_, others) = nth!(entries, 0, Record::Invoice { leaves, .. } => leaves.clone());
        let (seq, leaves) = nth!(entries, 1, Record::Invoice { leaves, .. } => leaves);
        *leaves = others;
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
        *evidence = vec![ours];
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
fn acks_exits_and_proofs_are_read_and_not_believed() {
    lie(under_w_2(), "is of other items than were invoiced", |entries| {
        let (seq, message) = nth!(entries, 0, Record::Ack { message } => message);
        message.commitment = Digest::ZERO;
        sign_again(message, &key(2), |data| data["digest"] = json!(Digest::ZERO));
        seq
    });
    lie(transfers(seller()), "the buyer's exit names 19, 18 was invoiced", |entries| {
        let (seq, message) =
            nth!(entries, 0, Record::Exit { by: Role::Buyer, message, .. } => message);
        message.amount_total = Amount::new(19);
        sign_again(message, &key(2), |data| data["amount_total"] = json!("19"));
        seq
    });
    lie(transfers(seller()), "has not the right length", |entries| {
        let (seq, proof) = nth!(entries, 0, Record::Met { proof, .. } => proof);
        *proof = Some(merkle::Proof { index: 0, count: 9, path: Vec::new() });
        seq
    });
    lie(transfers(seller()), "was met, and is refused", |entries| {
        let (_, reference) = nth!(entries, 0, Record::Met { reference, .. } => *reference);
        let record = Record::Refused { reference, why: "no".to_owned() };
        entries.push(Entry { seq: 99, record, ..entries[0].clone() });
        99
    });
}

/// A seller's journal with an ack in it: one that covers a window not yet paid.
fn under_w_2() -> (PublicKey, Vec<Entry>) {
    let mut pair = Setting::default().anchored_after().no_records().windows(2, 2).start();
    pair.run_to(2);
    pair.ledger_down = true;
    pair.run();
    pair.ledger_down = false;
    pair.run();
    (seller(), Book::of(&pair.s, seller()))
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
    let changes: [fn(&mut Owed); 4] = [
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

fn transfer_of(owed: &mut Owed) -> &mut sdpp_ledger::Transfer {
    match &mut owed.act {
        Act::Check(claim) => &mut claim.transfer,
        Act::Do(Call::Transfer(transfer)) => transfer,
        Act::Do(call) => panic!("{call:?} is no payment"),
    }
}

#[test]
fn an_anchor_holds_the_record_that_it_is_for() {
    lie(transfers(seller()), "the anchor of this record holds another digest", |entries| {
        let (_, owed) = nth!(entries, 0, Record::Anchoring { owed, .. } => owed);
        let Act::Do(Call::Anchor(Anchor::One { digest, .. })) = &mut owed.act else {
            panic!("it is an anchor")
        };
        *digest = Digest::ZERO;
        nth!(entries, 0, Record::Invoice { .. } => ()).0
    });
    lie(transfers(buyer()), "agreed was sdpp:story", |entries| {
        let (_, owed) = nth!(entries, 0, Record::Anchoring { owed, .. } => owed);
        owed.ledger = "sdpp:elsewhere".parse().unwrap();
        nth!(entries, 0, Record::Order { .. } => ()).0
    });
    lie(transfers(seller()), "is no anchor", |entries| {
        let (_, owed) = nth!(entries, 0, Record::Payment { owed: Some(owed), .. } => owed.clone());
        let (seq, (exit, message)) =
            nth!(entries, 0, Record::Exit { owed, message, .. } => (owed, message));
        let reference = message.session.reference(Purpose::Exit, 0);
        *exit = Some(Owed { reference, ..owed });
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
    lie(transfers(seller()), "is owed a second time", |entries| {
        let anchoring = |entry: &Entry| matches!(entry.record, Record::Anchoring { .. });
        let at = entries.iter().position(anchoring).unwrap();
        let again = Entry { seq: 99, ..entries[at].clone() };
        entries.insert(at + 1, again);
        99
    });
    lie(transfers(seller()), "is owed a second time", |entries| {
        let tx = "0xraised".parse().unwrap();
        name_again(entries, &tx, |amount| *amount = Amount::new(1))
    });
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
    let unsettled = |entries: &mut Vec<Entry>| {
        let payment = nth!(entries, 1, Record::Payment { owed: Some(owed), .. } => owed.reference);
        let of = |entry: &Entry| matches!(entry.record, Record::Met { reference, .. } if reference == payment.1);
        entries.retain(|entry| !of(entry));
    };
    lie(transfers(seller()), "ended as complete, and 6 is outstanding", |entries| {
        unsettled(entries);
        entries.last().unwrap().seq
    });
    lie(transfers(seller()), "a receipt for 18, more than was paid", |entries| {
        unsettled(entries);
        nth!(entries, 0, Record::Exit { .. } => ()).0
    });
}
