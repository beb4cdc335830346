//! Prices that hold for a buyer or a quantity before the judge: what is due is what the order's own
//! menu says, and a seller that asks more is the liar.

use crate::pair::{Setting, key};
use crate::{both, broke_after, debts, lie, nth, offences, sign_again, verdict};
use sdpp::crypto::layout::MessageKind;
use sdpp::dispute::Offence;
use sdpp::message::SpecialPrice;
use sdpp::terms::Role;
use sdpp_ledger::Amount;
use serde_json::json;

/// `co2` at 5, but 4 for our buyer; and 2 for nobody that is here.
fn setting() -> Setting {
    let price = |byte: u8, price| SpecialPrice {
        topic: "co2".to_owned(),
        currency: None,
        buyer: Some(key(byte).public()),
        from_quantity: None,
        price: Amount::new(price),
    };
    let mut setting = Setting::default();
    setting.menu.special_prices = vec![price(2, 4), price(9, 2)];
    setting
}

#[test]
fn what_is_due_is_counted_by_the_buyers_own_price() {
    // By transfer the last three items were not invoiced; a channel's buyer has vouched for all.
    let owed = [(setting(), vec![(Role::Buyer, 12, 12)]), (setting().by_escrow(), vec![])];
    for (setting, owed) in owed {
        let pair = broke_after(7, setting);
        let [seller, buyer] = both(&pair);
        for bundles in [vec![seller.clone(), buyer.clone()], vec![seller]] {
            let found = verdict(&bundles);
            // 7 * 4, of which four are paid.
            assert_eq!(found.due.units(), 28, "{found}");
            assert_eq!(offences(&found), [], "{found}");
            assert_eq!(debts(&found), owed, "{found}");
        }
    }
}

#[test]
fn a_seller_that_asks_the_topics_price_is_the_liar_and_is_owed_no_more() {
    let pair = broke_after(7, setting());
    let [seller, buyer] = both(&pair);
    let liar = lie(&seller, |body| {
        let invoice = nth(body, MessageKind::DataInvoice, 0);
        sign_again(invoice, &key(1), |data| data["invoice"]["amount_total"] = json!("20"));
    });
    for bundles in [vec![liar.clone()], vec![liar, buyer]] {
        let found = verdict(&bundles);
        assert!(offences(&found).contains(&(Role::Seller, Offence::WrongInvoice)), "{found}");
        assert!(found.misconduct.iter().all(|one| one.by == Role::Seller), "{found}");
        assert_eq!(found.due.units(), 28, "{found}");
    }
}
