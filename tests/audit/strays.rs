//! Items that a buyer did not take, because they are not of the dataset on the menu.

use crate::lies::lie;
use crate::pair::{self, Pair, Setting, dataset, item, key};
use crate::{audit, both, buyer, transfers};
use sdpp::crypto::layout::MessageKind;
use sdpp::crypto::{Keys, leaf, salt};
use sdpp::journal::Entry;
use sdpp::message::{Base64, Data, Draft};
use sdpp::record::{Record, Stray};
use sdpp::session::Input;
use sdpp::terms::Role;
use sdpp_ledger::{Digest, PublicKey};

/// A buyer that was sent another item than the dataset's first.
fn cheated() -> (PublicKey, Vec<Entry>) {
    let setting = Setting::default().order("co2", None).committed(10);
    let mut pair: Pair = setting.anchored_after().no_records().start();
    while pair.buyer.terms().is_none() {
        assert!(pair.step());
    }
    let (seq, session) = (1, pair.b.session.unwrap());
    let keys = Keys::first(&zeroize::Zeroizing::new([33; 32]), session);
    let leaf = leaf(&session, seq, &salt(keys.salt_secret(), seq), &item(99));
    let body = keys.from(Role::Seller).seal(MessageKind::Data, seq, &item(99)).unwrap();
    let data = Data { seq, body: Base64(body), leaf, path: None };
    let (_, frame) = Draft::new(session, &data).sign(&key(1), "");
    pair.tell(pair::Role::Buyer, Input::Read(&frame));
    while pair.drain_outputs(pair::Role::Buyer) {}
    both(&pair).into_iter().find(|(side, _)| *side == buyer()).unwrap()
}

#[test]
fn what_was_not_of_the_dataset_is_stated_and_shown_by_what_its_seller_signed() {
    let (owner, entries) = cheated();
    let report = audit(&owner, &entries);
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let [one] = report.statements.as_slice() else { panic!("one session") };
    assert_eq!((one.dataset, one.strays.as_slice()), (Some(dataset(10).root()), &[1][..]));
    assert_eq!(one.items_acked, 0);
}

#[test]
fn a_stray_item_that_nobody_signed_is_named() {
    lie(cheated(), "nothing that is kept shows that the seller signed item 1", |entries| {
        for entry in entries.iter_mut() {
            if let Record::Stray(stray) = &mut entry.record {
                stray.content = Digest([7; 32]);
            }
        }
        entries.iter().rfind(|entry| matches!(entry.record, Record::Ended { .. })).unwrap().seq
    });
    lie(transfers(buyer()), "is said not to be of a dataset, and none was named", |entries| {
        let is_payment = |entry: &&mut Entry| matches!(entry.record, Record::Payment { .. });
        let entry = entries.iter_mut().find(is_payment).unwrap();
        let (content, salt) = (Digest::ZERO, Digest::ZERO);
        entry.record = Record::Stray(Stray { seq: 1, content, salt, invoiced: None });
        entry.seq
    });
}
