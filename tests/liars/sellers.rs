//! Sellers that lie to a real buyer: it names the lie and leaves, has paid for nothing but what it opened,
//! and its journal shows the lie to whoever judges, where it was signed.

use crate::frame::Frame;
use crate::place::Setting;
use crate::relay::{Heard, Lie, first, honest};
use crate::shop::{Bought, PRICE, Shop, WINDOW, shop};
use crate::stranger::{Stranger, fresh_key};
use sdpp::message::{Base64, Body, Data, DataInvoice, Exit, Menu, Path, SessionKey};
use sdpp::terms::{Role, SessionId};
use sdpp_ledger::Digest;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a purchase of four windows comes to that is lied in.
#[track_caller]
fn lied(lie: impl FnOnce(&Shop) -> Lie, code: &str, says: &str) -> (Arc<Shop>, Bought) {
    lied_in(shop(), lie, code, says)
}

/// The same in a shop of its own.
#[track_caller]
fn lied_in(
    shop: Arc<Shop>,
    lie: impl FnOnce(&Shop) -> Lie,
    code: &str,
    says: &str,
) -> (Arc<Shop>, Bought) {
    let bought = shop.beside(|shop| {
        let name = shop.liar("transfer");
        let lie = lie(shop);
        let bought = shop.buys(&name, 4 * WINDOW, lie);
        bought.relay.finds(Role::Buyer, code, says);
        bought
    });
    let got = shop.got(&bought.name);
    assert!(got <= 4 * WINDOW);
    // What it has paid for it has opened; a window that it was not invoiced for rightly it has not paid.
    let paid: u64 = bought
        .relay
        .said(Role::Buyer, "payment_ack")
        .iter()
        .filter_map(|payment| payment.data["amount_total"].as_str()?.parse().ok())
        .max()
        .unwrap_or(0);
    assert!(paid <= got * PRICE, "{paid} paid for {got} items");
    (shop, bought)
}

/// The first message of this kind says otherwise, and is well signed by the seller.
#[track_caller]
fn signs<T: Body>(
    change: impl Fn(&mut Value) + Send + 'static,
    code: &str,
    says: &str,
) -> (Arc<Shop>, Bought) {
    signs_in::<T>(shop(), change, code, says)
}

/// The same in a shop of its own.
#[track_caller]
fn signs_in<T: Body>(
    shop: Arc<Shop>,
    change: impl Fn(&mut Value) + Send + 'static,
    code: &str,
    says: &str,
) -> (Arc<Shop>, Bought) {
    let kind = T::KIND.to_string();
    let lie = |shop: &Shop| -> Lie {
        let key = shop.seller();
        let mut told = false;
        Box::new(move |heard| {
            if told || !heard.is(Role::Seller, &kind) {
                return heard.on();
            }
            told = true;
            heard.instead(heard.frame.forged::<T>((&key, heard.signed_under()), &change))
        })
    };
    let (shop, bought) = lied_in(shop, lie, code, says);
    bought.ends(4, says);
    (shop, bought)
}

/// The buyer's own journal convicts the seller of this.
#[track_caller]
fn convicts(shop: &Shop, bought: &Bought, what: &str) {
    let verdict = shop.verdict(&bought.name, &bought.relay.session().to_string());
    let misconduct = verdict["misconduct"].as_array().unwrap();
    let is_it = |one: &Value| one["by"] == "seller" && one["why"].as_str().unwrap().contains(what);
    assert!(misconduct.iter().any(is_it), "{what:?} is not in {verdict}");
    assert!(misconduct.iter().all(|one| one["by"] == "seller"), "{verdict}");
}

#[test]
fn the_menu_of_another_seller_is_not_believed() {
    shop().beside(|shop| {
        let name = shop.liar("transfer");
        let relay = crate::relay::Relay::to(&shop.place.address, honest());
        let other = fresh_key().public().to_string();
        let order = [relay.address.as_str(), "co2", "5", "--seller", &other];
        let mut buy = crate::place::buy(shop.place.dir.path(), &name, &order);
        let (exit, said) = crate::place::told(&mut buy);
        assert_eq!(exit, 4, "{said}");
        relay.finds(Role::Buyer, "bad_signature", "menu");
        assert!(relay.said(Role::Buyer, "order").is_empty(), "nothing is ordered");
    });
}

#[test]
fn a_menu_that_was_shown_to_somebody_else_sells_nothing() {
    shop().beside(|shop| {
        let name = shop.liar("transfer");
        let theirs = Stranger::at(&shop.place.address).menu;
        let lie = first(Role::Seller, "menu", move |heard| heard.instead(theirs.bytes.clone()));
        let bought = shop.buys(&name, 5, lie);
        bought.relay.finds(Role::Seller, "menu_expired", "another menu");
        bought.ends(1, "menu_expired");
        assert_eq!(shop.got(&name), 0);
    });
}

#[test]
fn a_menu_that_was_good_yesterday_is_not_ordered_from() {
    let old = |menu: &mut Value| menu["expires_at"] = json!("2026-01-01T00:00:00.000Z");
    signs::<Menu>(old, "menu_expired", "");
    let for_ever = |menu: &mut Value| menu["expires_at"] = json!("2999-01-01T00:00:00.000Z");
    signs::<Menu>(for_ever, "menu_expired", "");
}

#[test]
fn a_menu_of_an_older_version_is_not_ordered_from() {
    signs::<Menu>(|menu| menu["versions"] = json!(["SDPP/0"]), "version", "SDPP/1");
}

#[test]
fn who_stands_between_the_two_takes_no_signature_off_their_items() {
    let unsigned = |_: &Shop| -> Lie {
        first(Role::Seller, "menu", |heard| {
            let text = String::from_utf8(heard.frame.bytes.clone()).unwrap();
            let (from, to) = ("\"signature_required\":true", "\"signature_required\":false");
            assert!(text.contains(from), "{text}");
            heard.instead(text.replace(from, to).into_bytes())
        })
    };
    let (_, bought) = lied(unsigned, "bad_signature", "menu");
    bought.ends(4, "menu");
}

#[test]
fn a_seller_with_its_buyers_own_key_is_not_ordered_from() {
    shop().beside(|shop| {
        let name = shop.liar("transfer");
        let key = shop.place.key(&name);
        let public = key.public().to_string();
        let lie = {
            let public = public.clone();
            first(Role::Seller, "menu", move |heard| {
                let change = |menu: &mut Value| menu["public_key"] = json!(public);
                heard.instead(heard.frame.forged::<Menu>((&key, SessionId::NONE), change))
            })
        };
        let relay = crate::relay::Relay::to(&shop.place.address, lie);
        let order = [relay.address.as_str(), "co2", "5", "--seller", &public];
        let told = crate::place::told(&mut crate::place::buy(shop.place.dir.path(), &name, &order));
        assert_ne!(told.0, 0, "{}", told.1);
        relay.finds(Role::Buyer, "order_refused", "");
        assert!(relay.said(Role::Buyer, "order").is_empty(), "nothing is ordered");
    });
}

#[test]
fn a_session_key_of_somebody_else_or_of_another_session_opens_nothing() {
    let swapped = |_: &Shop| -> Lie {
        let thief = fresh_key();
        first(Role::Seller, "session_key", move |heard| {
            heard.instead(heard.frame.forged::<SessionKey>((&thief, heard.session), |_| ()))
        })
    };
    lied(swapped, "bad_signature", "session_key").1.ends(4, "session_key");
    let replayed = |shop: &Shop| -> Lie {
        let mut other = Stranger::at(&shop.place.address);
        let order = other.order(|_| ());
        other.say(&order);
        let key = other.hears("session_key");
        first(Role::Seller, "session_key", move |heard| heard.instead(key.bytes.clone()))
    };
    lied(replayed, "bad_signature", "session_key").1.ends(4, "session_key");
}

#[test]
fn a_session_key_that_opens_nothing_or_of_another_epoch_is_refused() {
    signs::<SessionKey>(|key| key["epoch"] = json!(1), "unexpected", "epoch");
    let sealed = format!("0x{}", "00".repeat(48));
    signs::<SessionKey>(move |key| key["sealed"] = json!(sealed), "bad_item", "");
}

#[test]
fn an_item_that_is_replayed_is_taken_once() {
    let twice = |_: &Shop| -> Lie {
        first(Role::Seller, "data", |heard| heard.instead(heard.frame.bytes.repeat(2)))
    };
    lied(twice, "bad_item", "not the next").1.ends(4, "not the next");
}

#[test]
fn a_seller_that_skips_an_item_is_not_paid_for_it() {
    let skips = |_: &Shop| -> Lie { first(Role::Seller, "data", |_| Vec::new()) };
    lied(skips, "bad_item", "not the next").1.ends(4, "not the next");
    signs::<Data>(|item| item["seq"] = json!(2), "bad_item", "not the next");
}

#[test]
fn items_that_come_in_another_order_are_refused() {
    let swaps = |_: &Shop| -> Lie {
        let mut kept: Option<Frame> = None;
        Box::new(move |heard| match (heard.is(Role::Seller, "data"), kept.take()) {
            (true, None) if heard.frame.data["seq"] == json!(1) => {
                kept = Some(heard.frame.clone());
                Vec::new()
            }
            (_, Some(first)) => heard.instead([&heard.frame.bytes[..], &first.bytes].concat()),
            _ => heard.on(),
        })
    };
    lied(swaps, "bad_item", "not the next").1.ends(4, "not the next");
}

#[test]
fn garbage_in_the_place_of_an_item_is_not_paid_for() {
    let garbage = serde_json::to_value(Base64(vec![7; 64])).unwrap();
    signs::<Data>(move |item| item["body"] = garbage.clone(), "bad_item", "");
    signs::<Data>(|item| item["leaf"] = json!(Digest([7; 32])), "bad_item", "leaf");
}

#[test]
fn an_invoice_that_is_said_twice_is_paid_once() {
    let twice = |_: &Shop| -> Lie {
        first(Role::Seller, "data_invoice", |heard| heard.instead(heard.frame.bytes.repeat(2)))
    };
    let (shop, bought) = lied(twice, "bad_item", "");
    bought.ends(4, "");
    assert_eq!(shop.got(&bought.name), WINDOW);
    let paid = bought.relay.said(Role::Buyer, "payment_ack");
    assert!(paid.len() <= 1, "one window, one payment at most");
}

/// A second invoice of the same window for more, under the seller's own signature.
#[test]
fn a_second_invoice_under_the_same_number_convicts_its_seller() {
    let second = |shop: &Shop| -> Lie {
        let key = shop.seller();
        first(Role::Seller, "data_invoice", move |heard| {
            let dearer = heard.frame.forged::<DataInvoice>((&key, heard.session), |invoice| {
                (invoice["body"], invoice["leaf"]) = (Value::Null, Value::Null);
                invoice["invoice"]["amount"] = json!("101");
                invoice["invoice"]["amount_total"] = json!("101");
            });
            heard.instead([heard.frame.bytes.clone(), dearer].concat())
        })
    };
    let (shop, bought) = lied(second, "bad_invoice", "");
    bought.ends(4, "");
    convicts(&shop, &bought, "");
}

#[test]
fn a_seller_that_reprices_is_convicted_by_its_own_invoice() {
    let dearer = |invoice: &mut Value| {
        invoice["invoice"]["amount"] = json!("105");
        invoice["invoice"]["amount_total"] = json!("105");
    };
    let (shop, bought) = signs::<DataInvoice>(dearer, "bad_invoice", "its amount");
    convicts(&shop, &bought, "invoice 1");
    let thief = fresh_key().public().account();
    let to_another =
        move |invoice: &mut Value| invoice["invoice"]["payment_address"] = json!(thief);
    // To another payee is of another leg, for all that one side's papers can tell.
    signs::<DataInvoice>(to_another, "bad_invoice", "payee");
}

#[test]
fn a_seller_whose_digest_lies_is_convicted_by_the_items_that_it_signed() {
    let of_others = |invoice: &mut Value| invoice["invoice"]["root"] = json!(Digest([7; 32]));
    let (shop, bought) = signs::<DataInvoice>(of_others, "bad_invoice", "digest or root");
    convicts(&shop, &bought, "");
    let digest = |invoice: &mut Value| invoice["invoice"]["digest"] = json!(Digest([7; 32]));
    signs::<DataInvoice>(digest, "bad_invoice", "digest or root");
}

/// Its root stands on the menu: nothing is taken that does not lead there, and who signed it is convicted.
#[test]
fn a_path_that_leads_nowhere_convicts_a_seller_that_promised_a_dataset() {
    let shop = Arc::new(Shop::open(Setting { committed: true, ..Setting::default() }, ""));
    let elsewhere =
        |data: &mut Value| data["path"] = json!(Path::of(&[Digest([7; 32]); 12], &Digest::ZERO));
    let (shop, bought) = signs_in::<Data>(shop, elsewhere, "bad_item", "item 1");
    convicts(&shop, &bought, "to be item 1 of the dataset");
    let audited = shop.place.audit(&bought.name);
    assert_eq!((&audited[0]["strays"], &audited[0]["state"]), (&json!([1]), &json!("misconduct")));
    let missing = |invoice: &mut Value| invoice["path"] = Value::Null;
    let (shop, bought) = signs_in::<DataInvoice>(shop, missing, "bad_item", "item 5");
    convicts(&shop, &bought, "to be item 5 of the dataset");
}

#[test]
fn a_final_receipt_that_lies_is_refused() {
    signs::<Exit>(|exit| exit["items"] = json!(5), "bad_invoice", "items");
    signs::<Exit>(|exit| exit["paid_total"] = json!("1000000"), "bad_invoice", "");
}

#[test]
fn a_seller_that_sends_what_is_no_message_is_left() {
    let cases: [&[u8]; 6] =
        [b"", b"GET / HTTP/1.1", b"\0\0\0", b"\xff\xfe", b"{}", b"[[[[[[[[[[[[[[[[[[[[[[[["];
    for (place, bytes) in cases.into_iter().enumerate() {
        let kind = ["menu", "session_key", "data"][place % 3];
        let noise = move |_: &Shop| -> Lie {
            first(Role::Seller, kind, move |heard| heard.instead([bytes, b"\n"].concat()))
        };
        lied(noise, "malformed", "frame").1.ends(4, "frame");
    }
    let long = |_: &Shop| -> Lie {
        first(Role::Seller, "data", |heard| heard.instead(vec![b'x'; 10 << 20]))
    };
    lied(long, "frame_too_long", "").1.ends(4, "");
}

impl Heard<'_> {
    /// What the session is that this message is signed in: none before there is an order.
    fn signed_under(&self) -> SessionId {
        if self.frame.kind == "menu" { SessionId::NONE } else { self.session }
    }
}
