//! Sessions under a bond: what both sign commits to it, it is looked at before anybody is served, and
//! nothing is changed by the way.

use crate::line::Wire;
use crate::pair::{self, *};
use sdpp::crypto::layout::MessageKind;
use sdpp::message::{BondOffer, Draft, Exit, Reason, reread_terms};
use sdpp::record::{End, Record};
use sdpp::session::{BondView, Grant, Input, Output, UnderBond};
use sdpp::terms::{BondTerms, Role};
use sdpp_ledger::bond::Held;
use sdpp_ledger::{Amount, Bond, ChannelId, Digest, Domain};

pub fn bond() -> Bond {
    Bond {
        buyer: key(2).public().account(),
        seller: key(1).public().account(),
        buyer_key: key(2).public().account(),
        seller_key: key(1).public().account(),
        asset: coin(),
        channel: ChannelId([5; 32]),
        buyer_amount: Amount::new(400),
        seller_amount: Amount::new(301),
        stake: Amount::new(20),
        fee: Amount::new(10),
        salt: Digest([5; 32]),
    }
}

pub fn in_force() -> Held {
    Held {
        of_buyer: Amount::new(400),
        of_seller: Amount::new(301),
        buyer_in: true,
        seller_in: true,
        revoked: false,
        ends_ms: None,
        answered: Amount::ZERO,
        challenged_until_ms: None,
        demanded_until_ms: None,
        is_good: true,
    }
}

pub fn setting() -> Setting {
    let mut setting = Setting::default().by_escrow().no_records().anchored_after();
    let [buyer, seller, stake, fee] = [400, 301, 20, 10].map(Amount::new);
    for offer in &mut setting.menu.currencies_accepted {
        offer.bond = Some(BondOffer { buyer, seller, stake, fee });
    }
    let domain = Domain { chain_id: 1, contract: key(9).public().account() };
    setting.wish.bond = Some(UnderBond { id: bond().id(&domain), bond: bond() });
    setting
}

/// A pair whose ledger shows a bond as it is told.
pub fn shown(setting: Setting, bond: Bond, held: Held) -> Pair {
    let mut pair = setting.start();
    pair.bond = Some(Box::new(BondView { bond, held, period_ms: 86_400_000 }));
    pair
}

#[test]
fn order_key_and_receipt_commit_to_what_a_contract_is_shown() {
    let mut pair = shown(setting(), bond(), in_force());
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
    let (mut order, mut key, mut exit) = (None, None, None);
    for record in &pair.b.records {
        match record {
            Record::Order { menu, order: message, .. } => order = Some((menu, message)),
            Record::Epoch { key: message, .. } => key = message.as_ref(),
            Record::Exit { by: Role::Seller, message, .. } => exit = Some(message),
            _ => {}
        }
    }
    let ((menu, order), said, exit) = (order.unwrap(), key.unwrap(), exit.unwrap());
    let (.., terms) = reread_terms(menu, order).unwrap();
    let committed = BondTerms::of(&terms).unwrap().digest();
    assert_eq!(order.commitment, committed);
    assert_eq!((said.kind, said.commitment), (MessageKind::SessionKey, committed));
    assert!(said.is_by(&pair::key(1).public()), "the seller's own word");
    let paid = u128::from_be_bytes(exit.commitment.0[16..].try_into().unwrap());
    assert_eq!(Amount::new(paid), exit.amount_total, "all of it is receipted");
}

#[test]
fn a_seller_serves_under_no_bond_but_the_one_that_it_asks_for() {
    let less = Bond { buyer_amount: Amount::new(399), ..bond() };
    let elsewhere = Bond { channel: ChannelId([6; 32]), ..bond() };
    let anothers = Bond { buyer_key: key(3).public().account(), ..bond() };
    let unpledged = Held { is_good: false, seller_in: false, ..in_force() };
    let asked = Held { demanded_until_ms: Some(1), ..in_force() };
    let stories = [
        (less, in_force(), "are asked for"),
        (elsewhere, in_force(), "it is for channel"),
        (anothers, in_force(), "other keys"),
        (bond(), unpledged, "not in force"),
        (bond(), asked, "a complaint waits"),
    ];
    for (bond, held, why) in stories {
        let mut pair = shown(setting(), bond, held);
        pair.run();
        assert_eq!(pair.b.end(), End::Refused, "{why}: {}", pair.b.why());
        assert!(pair.b.why().contains(why), "{}", pair.b.why());
        assert!(pair.b.delivered.is_empty());
    }
    let mut unknown = setting().start();
    unknown.run();
    assert!(unknown.b.why().contains("no such bond"), "{}", unknown.b.why());
}

/// What a contract may ask for is kept for small windows, and for datasets that are not too large.
#[test]
fn nothing_is_ordered_under_a_bond_that_could_not_be_answered_for() {
    let mut large = setting();
    large.menu.payment_granularity = 257;
    let mut pair = large.start();
    pair.run();
    assert!(pair.b.why().contains("K is at most 256"), "{}", pair.b.why());
    for (count, is_too_many) in [(BondTerms::ITEMS_MAX, false), (BondTerms::ITEMS_MAX + 1, true)] {
        let mut named = setting();
        for (topic, counts) in &mut named.menu.available_data {
            named.menu.datasets.insert(topic.clone(), Digest([7; 32]));
            *counts = Some(count.into());
        }
        let mut pair = named.start();
        pair.run();
        let why = pair.b.why();
        assert_eq!(why.contains("a dataset has at most 1048576 items"), is_too_many, "{why}");
    }
}

/// A seller that may be away for longer than it has to answer would lose its bond to a shutdown.
#[test]
fn a_seller_serves_under_no_bond_that_it_could_not_answer_for() {
    let mut pair = shown(setting(), bond(), in_force());
    pair.bond.iter_mut().for_each(|view| view.period_ms = 600_000 - 1);
    pair.run();
    assert_eq!(pair.b.end(), End::Refused);
    assert!(pair.b.why().contains("are answered within 599 s"), "{}", pair.b.why());
}

#[test]
fn a_buyer_orders_under_no_bond_that_is_not_for_its_channel_and_seller() {
    let mut elsewhere = setting();
    let other = Bond { channel: ChannelId([6; 32]), ..bond() };
    elsewhere.wish.bond.iter_mut().for_each(|under| under.bond = other.clone());
    let mut pair = elsewhere.start();
    pair.run();
    assert!(pair.b.why().contains("another would pay"), "{}", pair.b.why());
    let mut anothers = setting();
    let other = Bond { seller_key: key(3).public().account(), ..bond() };
    anothers.wish.bond.iter_mut().for_each(|under| under.bond = other.clone());
    let mut pair = anothers.start();
    pair.run();
    assert!(pair.b.why().contains("other keys"), "{}", pair.b.why());
    let funds = |output: &Output| matches!(output, Output::Fund { .. });
    assert!(!pair.b.log.iter().any(funds), "nothing is deposited for an order that is not made");
    let mut unoffered = setting();
    unoffered.menu.currencies_accepted.iter_mut().for_each(|offer| offer.bond = None);
    let mut pair = unoffered.start();
    pair.run();
    assert!(pair.b.why().contains("offers no bond"), "{}", pair.b.why());
}

/// A channel that is opened for the order is not the bond's.
#[test]
fn no_other_channel_is_funded_for_an_order_under_a_bond() {
    let mut pair = shown(setting(), bond(), in_force());
    pair.run_to(1);
    let only = |output: &Output| match output {
        Output::Fund { only, .. } => Some(*only),
        _ => None,
    };
    assert_eq!(pair.b.log.iter().find_map(only), Some(Some(bond().channel)));
}

/// What the buyer paid in public is the next session's base, as any voucher.
#[test]
fn a_session_begins_where_what_was_paid_in_public_ends() {
    let paid = Held { answered: Amount::new(1), ..in_force() };
    let mut pair = shown(setting(), bond(), paid);
    pair.run();
    assert_eq!(pair.b.end(), End::Refused);
    assert!(pair.b.why().contains("paid when it was asked for in public"), "{}", pair.b.why());
}

/// By its layout an exit is a receipt: it must be one under a bond, and must not be one elsewhere.
#[test]
fn an_exit_is_a_receipt_under_a_bond_and_nowhere_else() {
    let elsewhere = Setting::default().by_escrow().no_records().anchored_after();
    for (setting, bonded) in [(setting(), false), (elsewhere, true)] {
        let mut pair = shown(setting.order("gas", Some(40)), bond(), in_force());
        pair.run_to(5);
        let exit = Exit {
            reason: Reason::Stopped,
            items: 5,
            amount_total: Amount::ZERO,
            paid_total: Amount::ZERO,
            anchored: Vec::new(),
            channel: None,
            legs: Vec::new(),
            bonded,
        };
        let session = pair.b.session.unwrap();
        let (_, frame) = Draft::new(session, &exit).sign(&key(1), "");
        pair.tell(pair::Role::Buyer, Input::Read(&frame));
        while pair.drain_outputs(pair::Role::Buyer) {}
        assert!(pair.b.why().contains("receipt for a bond's contract"), "{}", pair.b.why());
    }
}

/// The contract is shown what was ordered, and would hold either to that.
#[test]
fn nothing_is_changed_under_a_bond() {
    let mut pair = shown(setting().order("gas", Some(40)), bond(), in_force());
    pair.run_to(5);
    let grant = Grant {
        items: vec![1],
        reason: sdpp::message::Complaint::Lost,
        amount: Some(Amount::new(1)),
        ask: None,
    };
    let refused = pair.seller.credit(grant, pair.now_ms);
    assert!(refused.is_err_and(|why| why.contains("under a bond")));
}

/// Its source is a file that another has written anew: read again, an item would have two leaves.
#[test]
fn a_seller_that_is_started_anew_signs_no_item_twice_under_a_bond() {
    let mut wire = Wire::new(setting().order("gas", Some(40)).windows(5, 2));
    wire.pair.bond =
        Some(Box::new(BondView { bond: bond(), held: in_force(), period_ms: 86_400_000 }));
    wire.run_to(7);
    assert_eq!(wire.pair.b.delivered.len(), 7, "{}", wire.pair.b.why());
    let why = wire.restart(true).unwrap_err();
    assert!(why.contains("no item is signed twice"), "{why}");
}
