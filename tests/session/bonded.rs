//! Sessions under a bond: what both sign commits to it, it is looked at before anybody is served, and
//! nothing is changed by the way.

use crate::line::Wire;
use crate::pair::{self, *};
use sdpp::crypto::layout::MessageKind;
use sdpp::message::{BondOffer, Draft, Exit, Reason, reread_terms};
use sdpp::record::{End, Record};
use sdpp::session::{BondView, Grant, Input, Output, UnderBond, hindrance};
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
    let (id, is_in_force) = (bond().id(&domain), true);
    setting.wish.bond = Some(UnderBond { id, bond: bond(), is_in_force });
    setting
}

/// A seller that joins bonds by itself, and a buyer whose ledger does not show that it did.
fn joining() -> Setting {
    let mut setting = setting();
    setting.seller.joins.insert("SDP".to_owned());
    setting.wish.bond.iter_mut().for_each(|under| under.is_in_force = false);
    setting
}

/// What a ledger shows of a bond that its buyer alone has pledged.
fn unjoined() -> Held {
    Held { is_good: false, seller_in: false, of_seller: Amount::ZERO, ..in_force() }
}

fn view(bond: Bond, held: Held) -> BondView {
    BondView { bond, held, period_ms: 86_400_000, unjoined: None }
}

/// A pair whose ledger shows a bond as it is told.
pub fn shown(setting: Setting, bond: Bond, held: Held) -> Pair {
    let mut pair = setting.start();
    pair.bond = Some(Box::new(view(bond, held)));
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
    let asked = Held { demanded_until_ms: Some(1), ..in_force() };
    let stories = [
        (less, in_force(), "are asked for"),
        (elsewhere, in_force(), "it is for channel"),
        (anothers, in_force(), "other keys"),
        (bond(), unjoined(), "not in force"),
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

fn joins(side: &Side) -> bool {
    side.log.iter().any(|output| matches!(output, Output::Join { .. }))
}

/// A seller that has pledged by then serves it.
#[test]
fn a_seller_is_asked_to_join_a_bond_and_the_order_comes_again() {
    let mut pair = shown(joining(), bond(), unjoined());
    pair.run();
    assert!(joins(&pair.s), "{}", pair.s.why());
    assert!(
        pair.b.why().contains("busy: ") && pair.b.why().contains("order again"),
        "{}",
        pair.b.why()
    );
    let again = pair.b.again.take().unwrap();
    assert_eq!(*again, joining().wish);
    let mut behind = joining();
    behind.wish.bond.iter_mut().for_each(|under| under.is_in_force = true);
    for (setting, shows) in [(behind, Some(unjoined())), (joining(), None)] {
        let mut pair = setting.start();
        pair.bond = shows.map(|held| Box::new(view(bond(), held)));
        pair.run();
        assert!(pair.b.why().contains("busy: "), "{}", pair.b.why());
        assert_eq!(*pair.b.again.take().unwrap(), joining().wish, "its seller is behind");
    }
    let mut joined = joining();
    joined.wish.bond.iter_mut().for_each(|under| under.is_in_force = true);
    let mut pair = shown(joined, bond(), in_force());
    pair.run();
    assert_eq!((pair.b.end(), joins(&pair.s)), (End::Complete, false), "{}", pair.b.why());
}

#[test]
fn a_seller_joins_no_bond_but_one_that_it_would_serve_under() {
    let dear = Bond { seller_amount: Amount::new(302), ..bond() };
    let other = Bond { stake: Amount::new(21), ..bond() };
    let anothers = Bond { seller_key: key(3).public().account(), ..bond() };
    let revoked = Held { revoked: true, ..unjoined() };
    let leaving = Held { ends_ms: Some(1), ..unjoined() };
    let nobodys = Held { buyer_in: false, ..unjoined() };
    let mut by_hand = joining();
    by_hand.seller.joins.clear();
    let mut away = joining();
    away.seller.outage_ms = 86_400_000;
    let stories = [
        (joining(), dear, unjoined(), "it takes 302 of us, and we pledge 301"),
        (joining(), other, unjoined(), "a stake of 20"),
        (joining(), anothers, unjoined(), "other keys"),
        (joining(), bond(), revoked, "not in force"),
        (joining(), bond(), leaving, "not in force"),
        (joining(), bond(), nobodys, "not in force"),
        (away, bond(), unjoined(), "we may be away"),
        (by_hand, bond(), unjoined(), "not in force"),
    ];
    for (setting, bond, held, why) in stories {
        let mut pair = shown(setting, bond, held);
        pair.run();
        assert!(pair.b.why().contains(why), "{why}: {}", pair.b.why());
        assert!(!joins(&pair.s) && pair.b.again.is_none(), "{why}");
    }
    let mut pair = shown(joining(), bond(), unjoined());
    pair.shown = Some(Amount::new(1));
    pair.run();
    assert!(pair.b.why().contains("does not cover one window"), "{}", pair.b.why());
    assert!(!joins(&pair.s));
    let mut pair = shown(joining(), bond(), unjoined());
    pair.bond.iter_mut().for_each(|view| view.unjoined = Some("no more just now".to_owned()));
    pair.run();
    assert!(pair.b.why().contains("order_refused: ") && pair.b.why().contains("no more just now"));
    assert!(!joins(&pair.s) && pair.b.again.is_none());
}

/// A seller that says so and has pledged nothing would be paid for items that nothing answers for.
#[test]
fn a_buyer_takes_nothing_before_its_own_ledger_shows_the_bond_in_force() {
    let mut pair = shown(joining(), bond(), in_force());
    pair.run();
    assert!(pair.b.why().contains("our ledger does not show"), "{}", pair.b.why());
    assert_eq!((pair.b.delivered.len(), pair.b.again.is_some()), (0, true));
    let is_begun = |record: &Record| matches!(record, Record::Epoch { .. });
    assert!(!pair.b.records.iter().any(is_begun), "nothing has begun");
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
    wire.pair.bond = Some(Box::new(view(bond(), in_force())));
    wire.run_to(7);
    assert_eq!(wire.pair.b.delivered.len(), 7, "{}", wire.pair.b.why());
    let why = wire.restart(true).unwrap_err();
    assert!(why.contains("no item is signed twice"), "{why}");
}

#[test]
fn it_is_said_which_of_all_things_keeps_a_bond_from_being_in_force() {
    let whole = Held { is_good: false, ..in_force() };
    let (none, ends_ms) = (Amount::ZERO, Some(1));
    let stories = [
        (Held { revoked: true, seller_in: false, ..whole.clone() }, "taken back"),
        (Held { ends_ms, ..whole.clone() }, "with complaints until 1970-01-01"),
        (Held { ends_ms, of_seller: none, ..whole.clone() }, "with complaints until"),
        (Held { ends_ms, of_seller: none, of_buyer: none, ..whole.clone() }, "it is over"),
        (Held { buyer_in: false, ..whole.clone() }, "its buyer has not pledged"),
        (Held { seller_in: false, ..whole.clone() }, "its seller has not pledged"),
        (Held { challenged_until_ms: ends_ms, is_good: true, ..whole.clone() }, "seller's answer"),
        (Held { demanded_until_ms: ends_ms, is_good: true, ..whole.clone() }, "buyer's payment"),
        (Held { of_seller: Amount::new(300), ..whole.clone() }, "there are 300 left"),
        (whole.clone(), "its channel"),
    ];
    for (held, why) in stories {
        let said = hindrance(&bond(), &held).unwrap();
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(hindrance(&bond(), &Held { is_good: true, ..whole }), None);
}
