//! Random histories with one lying party. The honest one is never named as owing more than it
//! signed, never accused, and never loses what was acknowledged to it.

use crate::pair::{self, Pair, Setting, key};
use crate::{Ledger, bundle_with, key_of, lie, nth, sign_again, signed, verdict};
use proptest::prelude::*;
use sdpp::crypto::layout::MessageKind;
use sdpp::dispute::{Body, Bundle, ChannelWord, Said, Verdict};
use sdpp::message::{Ack, Complaint, Exit, PaymentAck, reread};
use sdpp::record::{Record, SignedMessage};
use sdpp::session::{Grant, Input};
use sdpp::terms::Role;
use sdpp_ledger::{Amount, Change, ChangeKind, ChannelId, Digest, Evidence, Voucher, keccak};
use serde_json::json;

/// What a history is like.
#[derive(Debug, Clone)]
struct History {
    by_escrow: bool,
    under_mac: bool,
    windows: (u32, u32),
    /// Items after which the line breaks, unless all six of an order are wanted.
    items: Option<u64>,
    base: u128,
    /// The ledger is down from so many items on.
    down_from: u64,
    speaks: bool,
    read_max: usize,
    /// After so many items the seller credits the first for so much.
    credit: Option<(u64, u128)>,
}

/// One lie: which, about which message, and some number in it.
pub(crate) type Lie = (u8, usize, u64);

fn histories() -> impl Strategy<Value = History> {
    let windows = (1u32..5, 1u32..4);
    let shape = (any::<bool>(), any::<bool>(), windows, prop::option::of(1u64..12));
    let credit = prop::option::of((1u64..9, 1u128..9));
    (shape, 0u128..50, 0u64..14, any::<bool>(), 40usize..4_000, credit).prop_map(
        |((by_escrow, under_mac, windows, items), base, down_from, speaks, read_max, credit)| {
            History {
                by_escrow,
                under_mac,
                windows,
                items,
                base,
                down_from,
                speaks,
                read_max,
                credit,
            }
        },
    )
}

impl History {
    fn play(&self) -> Pair {
        let mut setting = Setting::default().anchored_after().no_records();
        setting = setting.windows(self.windows.0, self.windows.1);
        setting = if self.by_escrow { setting.by_escrow() } else { setting };
        setting = if self.under_mac { setting.under_mac() } else { setting };
        setting.base = Amount::new(if self.by_escrow { self.base } else { 0 });
        setting = if self.items.is_some() { setting.order("co2", None) } else { setting };
        let mut pair = setting.start();
        pair.read_max = self.read_max;
        let items = self.items.unwrap_or(6);
        if let Some((at, amount)) = self.credit {
            pair.run_to(at.min(items));
            let amount = Some(Amount::new(amount));
            let grant = Grant { items: vec![1], reason: Complaint::Late, amount, ask: None };
            // Where there is nothing to net it in, there is none.
            let _ = pair.seller.credit(grant, pair.now_ms);
        }
        pair.run_to(items.min(self.down_from));
        pair.ledger_down = self.down_from < items;
        match self.items {
            Some(items) => drop(pair.run_to(items)),
            None => drop(pair.run()),
        }
        if self.items.is_some() || !pair.is_over() {
            pair.run_without_feeding();
            pair.tell(pair::Role::Buyer, Input::Hangup);
            pair.tell(pair::Role::Seller, Input::Hangup);
            while pair.drain_outputs(pair::Role::Seller) || pair.drain_outputs(pair::Role::Buyer) {}
        }
        pair
    }
}

/// What this side can know that the buyer acknowledged, in items.
fn acknowledged(records: &[Record]) -> u64 {
    let seq = |record: &Record| match record {
        Record::Ack { message } => Some(message.number),
        Record::Payment { message, .. } => Some(reread::<PaymentAck>(message).unwrap().ack.seq),
        Record::Exit { by: Role::Buyer, message, .. } => {
            Some(reread::<Exit>(message).unwrap().items)
        }
        _ => None,
    };
    records.iter().filter_map(seq).max().unwrap_or(0)
}

/// What the buyer has said that it paid.
fn said_paid(records: &[Record]) -> u128 {
    let paid = |record: &Record| match record {
        Record::Payment { message, .. } => Some(message.amount_total.units()),
        _ => None,
    };
    records.iter().filter_map(paid).max().unwrap_or(0)
}

/// What the buyer has vouched in acks, above what was vouched before: it keeps no copy of them.
fn vouched(history: &History, records: &[Record]) -> u128 {
    let vouched = |record: &Record| match record {
        Record::Ack { message } => reread::<Ack>(message).unwrap().voucher,
        _ => None,
    };
    let all = records.iter().filter_map(vouched);
    let best = all.map(|voucher| voucher.cumulative_amount.units()).max();
    best.unwrap_or(0).saturating_sub(history.base)
}

/// What the seller has signed that it credits.
fn credited(records: &[Record]) -> u128 {
    let credit = |record: &Record| match record {
        Record::Amend { by: Role::Seller, message } => Some(message.amount_total.units()),
        _ => None,
    };
    records.iter().filter_map(credit).max().unwrap_or(0)
}

fn debt(verdict: &Verdict, by: Role) -> (u128, u128) {
    let debt = verdict.debts.iter().find(|debt| debt.by == by);
    debt.map_or((0, 0), |debt| (debt.at_most.units(), debt.at_least.units()))
}

/// What so many items cost.
fn cost(history: &History, items: u64) -> u128 {
    u128::from(items) * if history.items.is_some() { 5 } else { 3 }
}

pub(crate) fn tell_lies(bundle: &Bundle, lies: &[Lie]) -> Bundle {
    let role = bundle.body().role;
    lie(bundle, |body| lies.iter().for_each(|one| tell(body, role, *one)))
}

/// One lie. Whatever a party may do: leave out, sign again what is its own, forge what is not, and
/// say anything of ledgers.
fn tell(body: &mut Body, role: Role, (which, at, number): Lie) {
    let own = key_of(role);
    let session = body.session;
    let count = body.messages.len().max(1);
    match which % 16 {
        0 => drop(
            (at < count && !body.messages.is_empty()).then(|| body.messages.remove(at % count)),
        ),
        1 => body.messages.truncate(at % count),
        2 => body.ledgers.acts.clear(),
        3 => body.voucher = None,
        4 => body.proofs.clear(),
        5 => body.messages.iter_mut().skip(at % count).for_each(|message| message.data = None),
        6 => {
            let kinds = [MessageKind::Ack, MessageKind::PaymentAck, MessageKind::DataInvoice];
            let mut message = signed(kinds[at % 3], session, number % 20, &own);
            message.amount_total = Amount::new(u128::from(number % 99));
            message.signature = own.sign(&message.digest());
            body.messages.push(message);
        }
        7 => {
            let said = |said: &mut Said| match number % 3 {
                0 => *said = Said::Nothing,
                1 => *said = Said::Refused { why: "no such thing".to_owned() },
                _ => {
                    let evidence = Box::new(Evidence {
                        amount: Amount::new(u128::from(number % 99)),
                        ..Evidence::new("0x01".parse().unwrap(), 1, "", 1)
                    });
                    *said = Said::Final { evidence, proof: None };
                }
            };
            body.ledgers.acts.iter_mut().for_each(|act| said(&mut act.said));
        }
        8 => {
            let settled = Amount::new(u128::from(number % 99));
            let kind = ChangeKind::Closed { settled };
            let tx = "0x02".parse().unwrap();
            let change = Change { channel: ChannelId([5; 32]), kind, tx, height: 1, at_ms: 1 };
            body.ledgers.channel.push(ChannelWord { ledger: pair::ledger(), change });
        }
        9 => {
            let mut note = signed(MessageKind::Amend, session, 1, &own);
            note.commitment = Digest::ZERO;
            note.commitment.0[31] = u8::try_from(number % 13).unwrap();
            note.amount_total = Amount::new(u128::from(number % 50));
            note.signature = own.sign(&note.digest());
            body.messages.push(note);
        }
        10 if role == Role::Seller => {
            let mut item = signed(MessageKind::Data, session, number % 9, &own);
            item.commitment = keccak(&[&number.to_be_bytes()]);
            item.signature = own.sign(&item.digest());
            body.messages.push(item);
        }
        11 => {
            let theirs = key_of(if role == Role::Seller { Role::Buyer } else { Role::Seller });
            let is_theirs =
                body.messages.get(at % count).is_some_and(|m| m.is_by(&theirs.public()));
            if let Some(message) = body.messages.get_mut(at % count).filter(|_| is_theirs) {
                message.amount_total = Amount::new(u128::from(number % 99));
            }
        }
        13 => {
            // What it agreed to, refused; or a word for nothing.
            let mut refusal = signed(MessageKind::Amend, session, 1 + number % 2, &own);
            refusal.commitment = Digest::ZERO;
            refusal.signature = own.sign(&refusal.digest());
            body.messages.push(refusal);
        }
        14 => {
            // A voucher of a later session on the channel, which settled it.
            if let Some(held) = &mut body.voucher {
                held.amount =
                    held.amount.checked_add(Amount::new(u128::from(number % 99))).unwrap();
                let voucher = Voucher { channel: held.channel, amount: held.amount };
                held.signature = voucher.sign(&held.domain, &key(2));
            }
        }
        15 if body.messages.iter().any(|message| message.kind == MessageKind::Amend) => {
            // A smaller note beside the one that is there.
            let note = nth(body, MessageKind::Amend, 0).clone();
            let amount_total =
                Amount::new(u128::from(1 + number % 3).min(note.amount_total.units()));
            let data_digest = keccak(&[&number.to_be_bytes()]);
            let mut less = SignedMessage { data: None, data_digest, amount_total, ..note };
            less.signature = own.sign(&less.digest());
            body.messages.push(less);
        }
        _ => sign_one_again(body, role, (at, number), which % 2 == 0),
    }
}

/// Signs one of its own messages again with another number in it; or signs it beside the first.
fn sign_one_again(body: &mut Body, role: Role, (at, number): (usize, u64), beside: bool) {
    let key = key_of(role);
    let own: Vec<usize> = (0..body.messages.len())
        .filter(|at| body.messages[*at].is_by(&key.public()) && body.messages[*at].data.is_some())
        .collect();
    let Some(place) = own.get(at % own.len().max(1)) else { return };
    let mut message = body.messages[*place].clone();
    let (number, text) = (number % 20, json!((number % 99).to_string()));
    sign_again(&mut message, &key, |data| match at % 4 {
        0 if data["invoice"].is_object() => data["invoice"]["amount_total"] = text,
        1 if data["invoice"].is_object() => data["invoice"]["paid_total"] = text,
        2 if data["invoice"].is_object() => data["invoice"]["number"] = json!(number),
        _ if data["invoice"].is_object() => data["invoice"]["to"] = json!(number),
        0 | 1 if data["amount_total"].is_string() => data["amount_total"] = text,
        2 if data["paid_total"].is_string() => data["paid_total"] = text,
        _ if data["items"].is_u64() => data["items"] = json!(number),
        _ if data["ack"].is_object() => data["ack"]["seq"] = json!(number),
        _ if data["seq"].is_u64() => data["seq"] = json!(number),
        _ => {}
    });
    if beside {
        body.messages.push(message);
    } else {
        body.messages[*place] = message;
    }
}

#[track_caller]
pub(crate) fn never_accused(verdict: &Verdict, honest: Role) {
    let accused: Vec<_> = verdict.misconduct.iter().filter(|one| one.by == honest).collect();
    assert!(accused.is_empty(), "the honest {honest} is accused: {accused:?}\n{verdict}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn an_honest_buyer_never_owes_more_than_it_signed(
        history in histories(),
        lies in prop::collection::vec((any::<u8>(), 0usize..40, any::<u64>()), 0..5),
    ) {
        let pair = history.play();
        prop_assume!(pair.b.session.is_some() && pair.s.session.is_some());
        let ledger = if history.speaks { Ledger::Speaks } else { Ledger::Silent };
        let liar = tell_lies(&bundle_with(&pair, Role::Seller, ledger), &lies);
        let honest = bundle_with(&pair, Role::Buyer, ledger);
        // All that the buyer signed: the seller's journal, which it did not write, may have more.
        let acked = acknowledged(&pair.s.records).max(acknowledged(&pair.b.records));
        let due = cost(&history, acked);
        let net = due.saturating_sub(credited(&pair.b.records));
        for bundles in [vec![liar.clone(), honest.clone()], vec![liar]] {
            let found = verdict(&bundles);
            never_accused(&found, Role::Buyer);
            let (at_most, at_least) = debt(&found, Role::Buyer);
            prop_assert!(at_most <= due, "{} items: {found}", acked);
            if bundles.len() == 2 {
                let paid = said_paid(&pair.b.records).max(vouched(&history, &pair.s.records));
                prop_assert!(at_most <= net, "{net}: {found}");
                prop_assert!(at_least <= net.saturating_sub(paid), "{net}: {found}");
            }
        }
        let alone = verdict(&[honest]);
        never_accused(&alone, Role::Seller);
    }

    #[test]
    fn an_honest_seller_never_loses_what_was_acknowledged(
        history in histories(),
        lies in prop::collection::vec((any::<u8>(), 0usize..40, any::<u64>()), 0..5),
    ) {
        let pair = history.play();
        prop_assume!(pair.b.session.is_some() && pair.s.session.is_some());
        let ledger = if history.speaks { Ledger::Speaks } else { Ledger::Silent };
        let liar = tell_lies(&bundle_with(&pair, Role::Buyer, ledger), &lies);
        let honest = bundle_with(&pair, Role::Seller, ledger);
        let alone = verdict(std::slice::from_ref(&honest));
        never_accused(&alone, Role::Buyer);
        // What it has itself signed, or says, that it got.
        let got = alone.receipted.amount.checked_add(alone.admitted).unwrap().units();
        let credits = credited(&pair.s.records);
        let due = cost(&history, acknowledged(&pair.s.records)).saturating_sub(credits);
        for bundles in [vec![honest.clone(), liar.clone()], vec![honest]] {
            let found = verdict(&bundles);
            never_accused(&found, Role::Seller);
            prop_assert!(debt(&found, Role::Buyer).0 >= due.saturating_sub(got), "{found}");
            prop_assert!(debt(&found, Role::Seller).0 <= credits, "{found}");
        }
        let found = verdict(&[liar]);
        never_accused(&found, Role::Seller);
        prop_assert!(debt(&found, Role::Seller).0 <= credits, "{found}");
    }
}

/// What a buyer can hold, it can show: a seller's exit says what it got.
#[test]
fn a_lie_is_told_as_it_was_meant() {
    let mut pair = Setting::default().start();
    pair.run();
    let honest = bundle_with(&pair, Role::Seller, Ledger::Speaks);
    let liar = tell_lies(&honest, &[(12, 0, 98)]);
    assert_ne!(liar, honest);
    let mut body = liar.body().clone();
    assert!(nth(&mut body, MessageKind::DataInvoice, 0).is_by(&key(1).public()));
}
