//! Datasets whose root stood on the menu: each item is the one in its place, or nobody takes it.

use crate::bonded;
use crate::liars::{ends_with, last_error, lie};
use crate::line::Wire;
use crate::lying_seller::{LyingSeller, spent};
use crate::pair::*;
use sdpp::crypto::layout::MessageKind;
use sdpp::crypto::{Keys, dataset_leaf, masked, salt};
use sdpp::message::{Body, Data, DataInvoice, Path, reread, reread_terms};
use sdpp::record::{End, Record, SignedMessage, Stray};
use sdpp::session::{Input, Row};
use sdpp::terms::BondTerms;
use sdpp_ledger::{Amount, Digest, keccak};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the menu has of each dataset here.
const COUNT: u64 = 10;

fn setting() -> Setting {
    Setting::default().order("co2", None).committed(COUNT).anchored_after().no_records()
}

fn path(seq: u64) -> Vec<Digest> {
    dataset(COUNT).prove(seq as usize - 1).unwrap().path
}

/// The salts of a session: all that are set so have the same keys.
fn salt_of(pair: &Pair, seq: u64) -> Digest {
    let keys = Keys::first(&zeroize::Zeroizing::new([33; 32]), pair.b.session.unwrap());
    salt(keys.salt_secret(), seq)
}

/// The paths in what the seller sent, by seq, as they stand there.
fn paths_sent(pair: &Pair) -> Vec<(u64, Vec<Digest>)> {
    let brings = |message: &Value| {
        let data = &message["data"];
        let text = data.get("path")?.as_str().unwrap().to_owned();
        let bytes = sdpp::message::Base64::deserialize(json!(text)).unwrap().0;
        let sisters = bytes.chunks(32).map(|sister| Digest(sister.try_into().unwrap()));
        Some((data["seq"].as_u64().unwrap(), sisters.collect()))
    };
    sent(&pair.s).iter().filter_map(brings).collect()
}

/// What the buyer kept of the item that it did not take, and the message that the seller signed it by.
fn kept(pair: &Pair) -> (Stray, Vec<SignedMessage>) {
    let stray = pair.b.records.iter().find_map(|record| match record {
        Record::Stray(stray) => Some(stray.clone()),
        _ => None,
    });
    let Some(Record::Ended { evidence, .. }) = pair.b.records.last() else {
        panic!("it ended");
    };
    (stray.expect("a stray item is kept"), evidence.clone())
}

#[test]
fn a_whole_dataset_is_bought_item_by_item() {
    for setting in [setting(), setting().by_escrow(), setting().under_mac()] {
        let mut pair = setting.start();
        pair.source = Some(COUNT);
        pair.run();
        assert_eq!((pair.b.end(), pair.b.delivered.len() as u64), (End::Complete, COUNT));
        assert!(pair.b.records.iter().all(|record| !matches!(record, Record::Stray(_))));
        for message in sent(&pair.s) {
            let (kind, data) = (&message["message_type"], &message["data"]);
            let brings =
                ["data", "data_invoice"].iter().any(|of| kind == of) && !data["body"].is_null();
            assert_eq!(data.get("path").is_some(), brings, "{message}");
        }
    }
}

/// What both sign for the bond's contract names it.
#[test]
fn a_whole_dataset_is_bought_under_a_bond() {
    let setting = bonded::setting().order("co2", None).committed(COUNT);
    let mut pair = bonded::shown(setting, bonded::bond(), bonded::in_force());
    pair.source = Some(COUNT);
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
    assert_eq!(pair.b.delivered.len() as u64, COUNT);
    let Some(Record::Order { menu, order, .. }) = pair.b.records.first() else { panic!("none") };
    let (.., terms) = reread_terms(menu, order).unwrap();
    let under = BondTerms::of(&terms).unwrap();
    assert_eq!((under.dataset, order.commitment), (dataset(COUNT).root(), under.digest()));
}

/// The first sister of an item is the next one's leaf, which has no salt: whoever read it on the wire could
/// try what that item is.
#[test]
fn no_sister_of_a_dataset_is_read_from_the_wire() {
    let mut pair = setting().start();
    pair.source = Some(COUNT);
    pair.run();
    let (tree, paths) = (dataset(COUNT), paths_sent(&pair));
    assert_eq!(paths.len() as u64, COUNT);
    let told: Vec<Digest> = (1..=COUNT).flat_map(path).collect();
    let seen: Vec<Digest> = paths.iter().flat_map(|(_, sent)| sent.clone()).collect();
    assert!(seen.iter().all(|one| !told.contains(one) && !tree.leaves().contains(one)));
    let distinct: std::collections::BTreeSet<&Digest> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "nor is any seen to be another's");
    for (seq, sent) in &paths {
        assert_eq!(masked(&salt_of(&pair, *seq), sent), path(*seq), "its buyer reads it");
    }
}

#[test]
fn a_dataset_with_one_item_is_its_own_root() {
    let mut pair = setting().committed(1).start();
    pair.source = Some(1);
    pair.run();
    assert_eq!((pair.b.end(), pair.b.delivered.len()), (End::Complete, 1));
}

#[test]
fn a_topic_that_nobody_committed_to_brings_no_path() {
    let mut pair = Setting::default().start();
    pair.run();
    assert_eq!(pair.b.end(), End::Complete);
    assert!(sent(&pair.s).iter().all(|message| message["data"].get("path").is_none()));
    assert!(sent(&pair.s)[0]["data"].get("datasets").is_none());
}

/// The item is good, and its way up is not: such a word convicts its seller as well.
#[test]
fn an_item_whose_path_leads_elsewhere_is_not_taken() {
    let mut like = setting().start();
    like.run_without_feeding();
    let salts = [1, 2].map(|seq| salt_of(&like, seq));
    let masked = |path: &[Digest]| json!(Path::of(path, &salts[0]));
    let others: Vec<(&str, Value)> = vec![
        ("of another place", masked(&path(3))),
        ("too short", masked(&path(1)[1..])),
        ("too long", masked(&[path(1), vec![Digest::ZERO]].concat())),
        ("masked by another salt", json!(Path::of(&path(1), &salts[1]))),
        ("in the clear", masked(&sdpp::crypto::masked(&salts[0], &path(1)))),
        ("empty", json!("")),
        ("none", Value::Null),
    ];
    for (what, other) in others {
        println!("{what}");
        let mut pair = lie::<Data>(setting(), Role::Seller, |data| data["path"] = other.clone());
        ends_with(
            &mut pair,
            Role::Seller,
            "bad_item",
            "item 1 is not shown to be that of the dataset",
        );
        assert!(pair.b.why().contains("sdpp dispute bundle"), "{}", pair.b.why());
        assert!(pair.b.delivered.is_empty() && types(&pair.b).iter().all(|kind| kind != "ack"));
        let (stray, evidence) = kept(&pair);
        let session = pair.b.session.unwrap();
        assert_eq!((stray.seq, stray.content), (1, keccak(&[&item(1)])));
        assert_eq!(
            evidence.iter().map(|one| one.commitment).collect::<Vec<_>>(),
            [stray.leaf(&session)]
        );
        assert!(reread::<Data>(&evidence[0]).is_ok(), "its words are kept");
    }
}

/// A key that nobody knows makes words as long as its seller likes.
#[test]
fn words_that_are_made_long_are_kept_all_the_same() {
    let pad = |words: &mut Value| {
        words["path"] = json!("");
        words["pad"] = json!("x".repeat(60_000));
    };
    let mut pair = lie::<RawData>(setting(), Role::Seller, pad);
    ends_with(&mut pair, Role::Seller, "bad_item", "item 1 is not shown");
    let (_, evidence) = kept(&pair);
    assert!(reread::<Data>(&evidence[0]).is_ok(), "its words are kept");
    let mut pair = lie::<RawInvoice>(setting(), Role::Seller, pad);
    ends_with(&mut pair, Role::Seller, "bad_item", "item 4 is not shown");
    let (_, evidence) = kept(&pair);
    assert!(reread::<DataInvoice>(&evidence[0]).is_ok(), "its words are kept");
}

/// Where a buyer takes frames that are longer than what is kept: nothing is owed for what came in one.
#[test]
fn words_too_long_to_be_kept_are_not_taken() {
    let patient = || {
        let mut setting = setting();
        setting.buyer.frame_bytes_max = 4 << 20;
        setting
    };
    let pad = |words: &mut Value| words["pad"] = json!("x".repeat(1 << 20));
    let of_an_item = lie::<RawData>(patient(), Role::Seller, pad);
    let of_an_invoice = lie::<RawInvoice>(patient(), Role::Seller, pad);
    for (mut pair, items) in [(of_an_item, 0), (of_an_invoice, 3)] {
        ends_with(&mut pair, Role::Seller, "bad_item", "is longer than 1048576 bytes");
        assert_eq!((pair.b.delivered.len(), spent(&pair)), (items, Amount::ZERO));
    }
}

#[test]
fn a_path_that_is_none_is_malformed() {
    let none = ["AAAA", "no base64", &"AAAA".repeat(11 * 33)];
    for other in none {
        let mut pair = lie::<RawData>(setting(), Role::Seller, |data| data["path"] = json!(other));
        ends_with(&mut pair, Role::Seller, "malformed", "malformed data");
        assert!(pair.b.delivered.is_empty());
    }
}

/// `data` as it stands, so that a lie need not be one of a message.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct RawData(Value);

impl Body for RawData {
    const KIND: MessageKind = MessageKind::Data;

    fn facts(&self) -> sdpp::message::Facts {
        let number = self.0["seq"].as_u64().unwrap();
        let commitment = serde_json::from_value(self.0["leaf"].clone()).unwrap();
        sdpp::message::Facts { number, commitment, ..Default::default() }
    }
}

/// The same of a `data_invoice`.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct RawInvoice(Value);

impl Body for RawInvoice {
    const KIND: MessageKind = MessageKind::DataInvoice;

    fn facts(&self) -> sdpp::message::Facts {
        serde_json::from_value::<DataInvoice>(self.0.clone()).unwrap().facts()
    }
}

/// Runs a liar up to so many good items, and then it sells others, each with a path of the dataset.
fn sells_others(setting: Setting, good: u64, as_invoice: bool) -> Pair {
    let mut pair = setting.start();
    let mut liar = LyingSeller::take_over(&mut pair);
    liar.gives = |seq| (item(seq), Some(path(seq)));
    (0..good).for_each(|_| pair.tell(Role::Buyer, Input::Read(&liar.data())));
    while pair.drain_outputs(Role::Buyer) {}
    liar.gives = |seq| (item(seq + 100), Some(path(seq)));
    let frame = if as_invoice { liar.invoice(true, |_| ()) } else { liar.data() };
    pair.tell(Role::Buyer, Input::Read(&frame));
    while pair.drain_outputs(Role::Buyer) {}
    pair
}

#[test]
fn an_item_that_is_not_of_the_dataset_is_neither_delivered_nor_acknowledged_and_its_leaf_opens() {
    let mut pair = sells_others(setting(), 2, false);
    ends_with(&mut pair, Role::Seller, "bad_item", "item 3");
    assert_eq!((pair.b.delivered.len(), spent(&pair)), (2, Amount::ZERO));
    let (stray, evidence) = kept(&pair);
    assert_eq!(stray.content, keccak(&[&item(103)]));
    assert_eq!((evidence.len(), evidence[0].kind), (1, MessageKind::Data));
    assert_eq!(evidence[0].commitment, stray.leaf(&pair.b.session.unwrap()));
    assert!(evidence[0].is_by(&key(1).public()) && stray.invoiced.is_none());
}

/// It is signed nowhere but in the invoice's root.
#[test]
fn the_last_item_of_a_window_opens_under_its_invoices_root() {
    let mut pair = sells_others(setting(), 3, true);
    ends_with(&mut pair, Role::Seller, "bad_item", "item 4");
    assert_eq!((pair.b.delivered.len(), spent(&pair)), (3, Amount::ZERO));
    let (stray, evidence) = kept(&pair);
    assert_eq!((evidence.len(), evidence[0].kind), (1, MessageKind::DataInvoice));
    let invoiced = stray.invoiced.clone().expect("its place under the root");
    assert_eq!((invoiced.number, invoiced.proof.index, invoiced.proof.count), (1, 3, 4));
    let leaf = stray.leaf(&pair.b.session.unwrap());
    assert!(invoiced.proof.verify(&leaf, &evidence[0].commitment));
    assert!(pair.b.records.iter().all(|record| !matches!(record, Record::Invoice { .. })));
}

/// Two lies at once: then the signed items are kept too, which the root is not of.
#[test]
fn an_invoice_with_such_an_item_and_another_root_is_shown_by_the_items_of_its_window() {
    let mut pair = setting().start();
    let mut liar = LyingSeller::take_over(&mut pair);
    liar.gives = |seq| (item(seq), Some(path(seq)));
    let frames: Vec<u8> = (0..3).flat_map(|_| liar.data()).collect();
    liar.gives = |seq| (item(seq + 100), Some(path(seq)));
    let frame = liar.invoice(true, |invoice| invoice.root = Digest([9; 32]));
    pair.tell(Role::Buyer, Input::Read(&[frames, frame].concat()));
    while pair.drain_outputs(Role::Buyer) {}
    let (stray, evidence) = kept(&pair);
    assert!(stray.invoiced.is_none());
    assert_eq!(evidence.len(), 4, "the invoice, and the three items that were signed");
}

#[test]
fn under_macs_it_is_not_taken_either_and_nothing_proves_it() {
    let mut pair = sells_others(setting().under_mac(), 2, false);
    ends_with(&mut pair, Role::Seller, "bad_item", "item 3");
    let (stray, evidence) = kept(&pair);
    assert_eq!((stray.seq, evidence.len()), (3, 0));
}

/// The n-th item is the dataset's n-th: one that was sold already is not sold again.
#[test]
fn an_item_of_the_dataset_in_anothers_place_is_not_taken() {
    let mut pair = setting().start();
    let mut liar = LyingSeller::take_over(&mut pair);
    liar.gives = |_| (item(1), Some(path(1)));
    let frames = [liar.data(), liar.data()].concat();
    pair.tell(Role::Buyer, Input::Read(&frames));
    while pair.drain_outputs(Role::Buyer) {}
    ends_with(&mut pair, Role::Seller, "bad_item", "item 2");
    assert_eq!(pair.b.delivered.len(), 1);
}

#[test]
fn nobody_orders_from_a_dataset_that_has_no_end() {
    for count in [None, Some(1 << 32)] {
        let mut setting = setting();
        setting.menu.available_data.insert("co2".to_owned(), count);
        setting.menu.datasets.insert("co2".to_owned(), Digest([7; 32]));
        let mut pair = setting.start();
        pair.run();
        let (code, why) = last_error(&pair.b);
        assert_eq!(code, "order_refused", "{why}");
        assert!(why.contains("a dataset that has no end"), "{why}");
    }
}

/// A seller never signs what would cost it its bond, whatever its source gives.
#[test]
fn a_seller_signs_no_item_that_is_not_what_it_promised() {
    let given = [
        Input::Rows(vec![Row { item: item(2), path: path(1) }]),
        Input::Rows(vec![Row { item: item(1), path: Vec::new() }]),
        Input::Items(vec![item(1)]),
    ];
    for rows in given {
        let mut pair = setting().start();
        while pair.seller.wants() == 0 {
            assert!(pair.step());
        }
        pair.tell(Role::Seller, rows);
        pair.run_without_feeding();
        assert_eq!(pair.s.end(), End::Failed);
        assert!(
            pair.s.why().contains("item 1 is not that of the menu's dataset"),
            "{}",
            pair.s.why()
        );
        assert!(pair.b.delivered.is_empty() && pair.b.end() == End::Refused);
        assert!(!pair.b.why().contains("dataset"), "{}", pair.b.why());
    }
}

/// What is in a dataset can be read again, so nothing of it is ever lost.
#[test]
fn nothing_of_a_dataset_is_signed_to_be_void() {
    let mut wire = Wire::new(setting());
    wire.run_to(6);
    wire.restart(false).unwrap();
    wire.finish();
    let is_void = |record: &Record| matches!(record, Record::Void { .. });
    assert!(!wire.pair.b.records.iter().any(is_void), "the buyer signs none");
    let refused = sent(&wire.pair.b).into_iter().filter(|m| m["message_type"] == "amend");
    let refused: Vec<Value> = refused.collect();
    assert!(refused.iter().any(|m| m["data"]["change"]["refused"].is_object()), "{refused:?}");
    assert_ne!(wire.pair.s.end(), End::Complete);
    assert!(wire.pair.b.progress().void == 0);
    let leaves: Vec<Digest> =
        wire.pair.b.delivered.iter().map(|(_, item)| dataset_leaf(&keccak(&[item]))).collect();
    assert_eq!(leaves, dataset(COUNT).leaves()[..leaves.len()]);
}

#[test]
fn who_wants_one_dataset_orders_of_no_other() {
    let wanted = |root: Digest| {
        let mut setting = setting();
        setting.wish.dataset = Some(root);
        setting
    };
    let mut pair = wanted(dataset(COUNT).root()).start();
    pair.source = Some(COUNT);
    pair.run();
    assert_eq!((pair.b.end(), pair.b.delivered.len() as u64), (End::Complete, COUNT));
    let mut none = Setting::default();
    none.wish.dataset = Some(Digest([7; 32]));
    for (setting, named) in [(wanted(Digest([7; 32])), "0x"), (none, "none")] {
        let mut pair = setting.start();
        pair.run();
        let (code, why) = last_error(&pair.b);
        assert_eq!(code, "order_refused", "{why}");
        assert!(why.contains(&format!("is wanted, the seller names {named}")), "{why}");
        assert!(pair.b.session.is_none() && pair.b.records.is_empty());
    }
}
