//! Buyers that lie to a seller: it names the lie, ends that session alone, and has given away no more than
//! the credit that it gives everybody.

use crate::relay::honest;
use crate::shop::{ON_CREDIT, PRICE, WINDOW, shop};
use crate::stranger::{Stranger, fresh_key};
use sdpp::message::{Ack, Choice, Hello, Order};
use sdpp::terms::Method;
use sdpp_ledger::Digest;

/// A stranger's order, changed before it is signed, and what the seller says to it.
#[track_caller]
fn orders(change: impl FnOnce(&mut Order), code: &str, says: &str) {
    shop().beside(|shop| {
        let mut liar = Stranger::at(&shop.place.address);
        let order = liar.order(change);
        liar.say(&order);
        liar.is_refused(code, says);
    });
}

fn hello(versions: &[&str]) -> Vec<u8> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let (versions, encodings) = (texts(versions), texts(&["json"]));
    let hello = Hello::Speaks(Choice { versions, encodings, buyer: None, resume: None });
    sdpp::message::Draft::new(sdpp::terms::SessionId::NONE, &hello).bare()
}

#[test]
fn a_hello_that_is_said_again_and_again_is_answered_three_times() {
    shop().beside(|shop| {
        let mut liar = Stranger::at(&shop.place.address);
        for _ in 0..3 {
            liar.say(&hello(&["SDPP/1"]));
            assert_eq!(liar.hears("menu").digest, liar.menu.digest, "the very same menu");
        }
        liar.say(&hello(&["SDPP/1"]));
        liar.is_refused("unexpected", "hello");
    });
}

#[test]
fn who_wants_an_older_version_gets_none() {
    shop().beside(|shop| {
        let mut liar = Stranger::at(&shop.place.address);
        liar.say(&hello(&["SDPP/0"]));
        liar.is_refused("version", "SDPP/1");
    });
    orders(|order| order.version = "SDPP/0".to_owned(), "version", "SDPP/1");
    orders(|order| order.encoding = "xml".to_owned(), "version", "json");
}

#[test]
fn an_order_that_is_replayed_on_another_connection_buys_nothing() {
    shop().beside(|shop| {
        let mut first = Stranger::served(&shop.place.address, "co2", Some(20));
        let mut heard = Stranger::at(&shop.place.address);
        heard.menu = first.menu.clone();
        // The first order's own bytes, and the same order made anew.
        let again = first.order(|_| ());
        heard.say(&again);
        heard.is_refused("menu_expired", "another menu");
    });
}

#[test]
fn an_order_that_is_said_twice_ends_its_own_session() {
    shop().beside(|shop| {
        let mut liar = Stranger::at(&shop.place.address);
        let order = liar.order(|_| ());
        liar.say(&[order.clone(), order].concat());
        liar.is_refused("unexpected", "order");
    });
}

#[test]
fn keys_that_are_swapped_or_equal_buy_nothing() {
    let other = fresh_key().public();
    orders(|order| order.public_key_signature = other, "bad_signature", "order");
    let own = |order: &mut Order| order.public_key_encryption = order.public_key_signature;
    orders(own, "order_refused", "fresh");
    let seller = shop().seller().public();
    let sealed_to = |order: &mut Order| order.public_key_encryption = seller;
    orders(sealed_to, "order_refused", "must not be the seller's");
}

#[test]
fn who_has_the_sellers_key_too_cannot_buy_with_it() {
    shop().beside(|shop| {
        let mut liar = Stranger::at(&shop.place.address);
        liar.key = shop.seller();
        let order = liar.order(|_| ());
        liar.say(&order);
        liar.is_refused("order_refused", "must not be the seller's");
    });
}

#[test]
fn an_order_of_more_than_there_is_or_on_no_channel_buys_nothing() {
    orders(|order| order.order_quantity = Some(u64::MAX), "quantity", "there are");
    orders(|order| order.order_quantity = Some(0), "quantity", "no items");
    orders(|order| order.method = Method::Escrow, "order_refused", "channel");
}

/// A stranger that has been served a few items, and lies about them.
fn acks(lie: impl FnOnce(&Stranger) -> Vec<u8>, code: &str, says: &str) {
    shop().beside(|shop| {
        let mut liar = Stranger::served(&shop.place.address, "co2", Some(20));
        liar.takes(4);
        let first = liar.ack(3);
        let lie = lie(&liar);
        liar.say(&[first, lie].concat());
        liar.is_refused(code, says);
        assert!(liar.items() <= ON_CREDIT, "{} items", liar.items());
    });
}

#[test]
fn an_ack_that_is_replayed_says_nothing_new_and_an_older_one_is_a_lie() {
    // The same again is no lie; what comes after it is.
    acks(|liar| [liar.ack(3), liar.ack(2)].concat(), "bad_item", "2");
}

#[test]
fn an_ack_of_what_was_not_sent_is_a_lie() {
    let beyond =
        |liar: &Stranger| liar.signed(&Ack { seq: 19, digest: Digest([7; 32]), voucher: None }, "");
    acks(beyond, "bad_item", "not sent");
}

#[test]
fn an_ack_with_another_digest_is_a_lie() {
    let other =
        |liar: &Stranger| liar.signed(&Ack { seq: 4, digest: liar.digests[3], voucher: None }, "");
    acks(other, "bad_item", "digest");
}

#[test]
fn an_ack_of_another_session_is_no_ack_of_this_one() {
    let address = shop().place.address.clone();
    let mut other = Stranger::served(&address, "co2", Some(20));
    other.takes(4);
    let replayed = other.ack(4);
    acks(move |_| replayed, "bad_signature", "ack");
}

/// A stranger that has been sent its first window, and says that it is paid.
#[track_caller]
fn pays(lie: impl FnOnce(&Stranger) -> Vec<u8>, code: &str, says: &str) {
    shop().beside(|shop| {
        let mut liar = Stranger::served(&shop.place.address, "co2", Some(20));
        liar.hears("data_invoice");
        let lie = lie(&liar);
        liar.say(&lie);
        liar.is_refused(code, says);
        assert!(liar.items() <= ON_CREDIT, "{} items", liar.items());
    });
}

#[test]
fn a_payment_that_no_ledger_has_pays_nothing() {
    let tx = format!("0x{}", "5a".repeat(32));
    // It may be on its way, so it is waited for, and nothing more is sent than is out on credit.
    pays(|liar| liar.payment(WINDOW, WINDOW * PRICE, &tx), "timed_out", "owed");
    pays(|liar| liar.payment(WINDOW, WINDOW * PRICE, ""), "bad_payment", "names no transaction");
}

#[test]
fn a_payment_of_another_session_pays_nothing_here() {
    let shop = shop();
    let name = shop.liar("transfer");
    let paid = shop.buys(&name, WINDOW, honest());
    paid.ends(0, "");
    let tx = &paid.relay.said(sdpp::terms::Role::Buyer, "payment_ack")[0].verification;
    pays(|liar| liar.payment(WINDOW, WINDOW * PRICE, tx), "bad_payment", "has paid something else");
}

#[test]
fn a_payment_of_less_or_of_another_window_pays_nothing() {
    let tx = format!("0x{}", "5a".repeat(32));
    pays(|liar| liar.payment(WINDOW, WINDOW * PRICE - 1, &tx), "bad_payment", "1 owed");
    pays(|liar| liar.payment(WINDOW - 1, WINDOW * PRICE, &tx), "bad_payment", "");
}

#[test]
fn who_vanishes_at_any_message_takes_its_own_session_with_it() {
    shop().beside(|shop| {
        let address = &shop.place.address;
        let before = |stranger: &mut Stranger, part: usize| {
            let order = stranger.order(|_| ());
            stranger.say(&order[..order.len() / part]);
        };
        drop(Stranger::at(address));
        let mut greets = Stranger::at(address);
        greets.say(&hello(&["SDPP/1"]));
        let (mut half, mut whole) = (Stranger::at(address), Stranger::at(address));
        before(&mut half, 2);
        before(&mut whole, 1);
        drop((greets, half, whole));
        drop(Stranger::served(address, "co2", Some(20)));
        for items in [1, WINDOW - 1, WINDOW, ON_CREDIT] {
            for acknowledges in [false, true] {
                let mut stranger = Stranger::served(address, "co2", Some(20));
                stranger.takes(items);
                if acknowledges {
                    let ack = stranger.ack(items);
                    stranger.say(&ack);
                }
            }
        }
        let mut says_exit = Stranger::served(address, "co2", Some(20));
        says_exit.takes(2);
        let exit = sdpp::message::Exit {
            reason: sdpp::message::Reason::Stopped,
            items: 2,
            amount_total: sdpp_ledger::Amount::ZERO,
            paid_total: sdpp_ledger::Amount::ZERO,
            anchored: Vec::new(),
            channel: None,
            legs: Vec::new(),
            bonded: false,
        };
        let exit = says_exit.signed(&exit, "");
        says_exit.say(&exit);
        drop(says_exit);
    });
}
