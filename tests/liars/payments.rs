//! A liar that says that a stranger's payment is its own, before the stranger has said that it has paid.

use crate::place::{Place, Setting, assert_done, buy, sdpp, told};
use crate::relay::{Relay, first};
use crate::shop::{PRICE, WINDOW, until};
use crate::stranger::Stranger;
use sdpp::terms::Role;
use std::sync::mpsc;

/// In how many things that are owed to the seller or by it a transaction is named.
fn named(place: &Place, tx: &str) -> usize {
    let mut show = sdpp();
    show.args(["journal", "list", "obligations", "--json", "--journal"]);
    let (exit, said) = told(show.arg(place.journal("seller")));
    assert_eq!(exit, 0, "{said}");
    said.matches(tx).count()
}

/// Whoever hears of a transaction can name it: that takes nothing from who has paid with it.
#[test]
fn who_names_a_strangers_payment_first_keeps_nobody_from_paying_with_it() {
    let granularity = u32::try_from(WINDOW).unwrap();
    let place = Place::open(Setting { granularity, ..Setting::default() });
    place.buyer("honest", 1_000_000);
    let mut liar = Stranger::served(&place.address, "co2", Some(20));
    liar.hears("data_invoice");
    let ((heard, hears), (goes_on, wait)) = (mpsc::channel(), mpsc::channel::<()>());
    let relay = first(Role::Buyer, "payment_ack", move |paid| {
        heard.send(paid.frame.verification.clone()).unwrap();
        wait.recv().unwrap();
        paid.on()
    });
    let relay = Relay::to(&place.address, relay);
    let mut buys = buy(place.dir.path(), "honest", &[&relay.address, "co2", "20"]);
    let mut buying = buys.spawn().unwrap();
    let tx = hears.recv().unwrap();
    // For now its ledger does not say what it pays.
    place.ledger.signal("STOP");
    let lie = liar.payment(WINDOW, WINDOW * PRICE, &tx);
    liar.say(&lie);
    until("the liar's word is written down", &mut || named(&place, &tx) == 1);
    goes_on.send(()).unwrap();
    until("the payer's word is written down, or it is refused", &mut || {
        named(&place, &tx) == 2 || buying.try_wait().unwrap().is_some()
    });
    place.ledger.signal("CONT");
    assert_done(&buying.wait_with_output().unwrap());
    liar.is_refused("bad_payment", "WrongReference");
    assert_eq!(place.balance("seller"), u128::from(20 * PRICE), "all is paid, and once");
}
