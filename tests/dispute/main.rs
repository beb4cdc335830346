//! Evidence and verdicts: sessions of the real cores, and lies told about them.

// Outside its tests too: what a story cannot find, it cannot tell.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bundles;
mod commands;
mod datasets;
mod legs;
mod liars;
#[allow(dead_code)]
#[path = "../session/line.rs"]
mod line;
#[allow(dead_code)]
#[path = "../session/pair.rs"]
mod pair;
mod prices;
mod properties;
mod table;
mod together;
#[allow(dead_code)]
#[path = "../audit/told.rs"]
mod told;
mod voids;

use pair::{Pair, Setting, Side, key};
use sdpp::crypto::layout::MessageKind;
use sdpp::dispute::{Body, Bundle, Keys, Offence, Verdict, export, judge};
use sdpp::journal::Entry;
use sdpp::message::Moment;
use sdpp::record::{Act, Record, SignedMessage};
use sdpp::session::Input;
use sdpp::terms::{Role, SessionId};
use sdpp_ledger::{Amount, Call, Digest, Evidence, Key, Reference, TxId, keccak};
use serde_json::Value;

/// What became of what a side owed to its ledger.
#[derive(Clone, Copy, PartialEq)]
enum Ledger {
    /// It says what it has.
    Speaks,
    /// It says nothing.
    Silent,
}

/// A side's journal: its records, and what its ledger said of each thing owed.
fn entries(side: &Side, pair: &Pair, ledger: Ledger) -> Vec<Entry> {
    let mut records: Vec<Record> = Vec::new();
    for record in &side.records {
        records.push(record.clone());
        let owed = record.owed().filter(|_| ledger == Ledger::Speaks);
        records.extend(owed.and_then(|owed| met(pair, &owed.reference, &owed.act)));
    }
    let entry = |(seq, record)| Entry {
        lacks: None,
        seq: seq as u64 + 1,
        at_ms: pair::START_MS,
        session: side.session,
        prev: Digest::ZERO,
        record,
    };
    records.into_iter().enumerate().map(entry).collect()
}

fn met(pair: &Pair, reference: &Reference, act: &Act) -> Option<Record> {
    let (tx, amount) = match act {
        Act::Check(claim) => {
            let has = |(_, call, tx): &&(Reference, Call, TxId)| {
                *tx == claim.tx && matches!(call, Call::Transfer(t) if *t == claim.transfer)
            };
            let (_, _, tx) = pair.ledger.iter().find(has)?;
            (tx.clone(), claim.transfer.amount)
        }
        Act::Do(call) => {
            let (_, _, tx) = pair.ledger.iter().find(|(done, ..)| done == reference)?;
            let amount = match call {
                Call::Transfer(transfer) => transfer.amount,
                Call::Settle(redeem) | Call::Close(redeem) => redeem.amount,
                _ => Amount::ZERO,
            };
            (tx.clone(), amount)
        }
    };
    let evidence = Evidence { amount, ..Evidence::new(tx, 7, "block", 7) };
    Some(Record::Met { reference: *reference, evidence, proof: None })
}

fn key_of(role: Role) -> Key {
    key(if role == Role::Seller { 1 } else { 2 })
}

fn keys() -> Keys {
    Keys { seller: Some(key(1).public()), buyer: Some(key(2).public()) }
}

/// What a side exports, with its ledger's words or without.
fn bundle_with(pair: &Pair, role: Role, ledger: Ledger) -> Bundle {
    let side = if role == Role::Seller { &pair.s } else { &pair.b };
    let session = side.session.unwrap();
    let at = Moment(pair::START_MS);
    export(&entries(side, pair, ledger), session, &key_of(role), at, &[]).unwrap()
}

fn bundle(pair: &Pair, role: Role) -> Bundle {
    bundle_with(pair, role, Ledger::Speaks)
}

fn both(pair: &Pair) -> [Bundle; 2] {
    [bundle(pair, Role::Seller), bundle(pair, Role::Buyer)]
}

/// The verdict, in whatever order the bundles are named, in whatever form it is told.
#[track_caller]
fn verdict(bundles: &[Bundle]) -> Verdict {
    let verdict = judge(bundles, &keys()).unwrap();
    let turned: Vec<Bundle> = bundles.iter().rev().cloned().collect();
    let again = judge(&turned, &keys()).unwrap();
    assert_eq!(verdict.to_string(), again.to_string());
    let json = |verdict| serde_json::to_string(verdict).unwrap();
    assert_eq!(json(&verdict), json(&again));
    verdict
}

/// The same bundle with something else in it, signed again by who lies.
fn lie(bundle: &Bundle, change: impl FnOnce(&mut Body)) -> Bundle {
    let mut body = bundle.body().clone();
    change(&mut body);
    Bundle::sign(body, &key_of(bundle.body().role))
}

/// The n-th message of a kind (from 0).
fn nth(body: &mut Body, kind: MessageKind, n: usize) -> &mut SignedMessage {
    body.messages.iter_mut().filter(|message| message.kind == kind).nth(n).expect("it is there")
}

/// A message with other words, signed again; the frame under the signature follows the words.
fn sign_again(message: &mut SignedMessage, by: &Key, change: impl FnOnce(&mut Value)) {
    let mut data: Value = serde_json::from_str(message.data.as_ref().unwrap()).unwrap();
    change(&mut data);
    let parsed = |value: &Value| value.as_str().unwrap().to_owned();
    match message.kind {
        MessageKind::DataInvoice => {
            let invoice = &data["invoice"];
            message.number = invoice["number"].as_u64().unwrap();
            message.commitment = parsed(&invoice["root"]).parse().unwrap();
            message.amount_total = parsed(&invoice["amount_total"]).parse().unwrap();
        }
        MessageKind::Ack => {
            message.number = data["seq"].as_u64().unwrap();
            message.commitment = parsed(&data["digest"]).parse().unwrap();
        }
        MessageKind::PaymentAck => {
            message.number = data["number"].as_u64().unwrap();
            message.amount_total = parsed(&data["amount_total"]).parse().unwrap();
        }
        MessageKind::Exit => message.amount_total = parsed(&data["amount_total"]).parse().unwrap(),
        _ => {}
    }
    let text = data.to_string();
    message.data_digest = keccak(&[text.as_bytes()]);
    message.data = Some(text);
    message.signature = by.sign(&message.digest());
}

/// A message that some key signs for a session.
fn signed(kind: MessageKind, session: SessionId, number: u64, by: &Key) -> SignedMessage {
    let mut message = SignedMessage {
        kind,
        session,
        number,
        commitment: keccak(&[b"whatever"]),
        amount_total: Amount::ZERO,
        data: None,
        data_digest: keccak(&[b"words"]),
        verification: String::new(),
        signature: by.sign(&Digest::ZERO),
    };
    message.signature = by.sign(&message.digest());
    message
}

/// Who owes whom: at most, and at least.
fn debts(verdict: &Verdict) -> Vec<(Role, u128, u128)> {
    let debt = |debt: &sdpp::dispute::Debt| (debt.by, debt.at_most.units(), debt.at_least.units());
    verdict.debts.iter().map(debt).collect()
}

fn offences(verdict: &Verdict) -> Vec<(Role, Offence)> {
    let mut all: Vec<_> = verdict.misconduct.iter().map(|one| (one.by, one.what)).collect();
    all.dedup();
    all
}

/// What sessions are like that end well.
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
    ]
}

/// Both sides' lines break.
fn hang_up(pair: &mut Pair) {
    pair.tell(pair::Role::Buyer, Input::Hangup);
    pair.tell(pair::Role::Seller, Input::Hangup);
    pair.run();
}

/// An endless stream that broke after so many items were sent and acknowledged.
fn broke_after(items: u64, setting: Setting) -> Pair {
    let mut pair = setting.order("co2", None).start();
    pair.run_to(items).run_without_feeding();
    hang_up(&mut pair);
    pair
}
