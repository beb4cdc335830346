//! Buyers by escrow whose vouchers lie. The buyer and its channel are real; what it says is not always
//! what it hears itself saying.

use crate::relay::{Do, Heard, Lie, first, honest};
use crate::shop::{Bought, ON_CREDIT, PRICE, Shop, WINDOW, shop};
use crate::stranger::Stranger;
use sdpp::message::{Ack, EscrowChoice};
use sdpp::terms::{Method, Role};
use sdpp_ledger::{Amount, ChannelId, Domain, Key, Voucher};
use sdpp_ledger_embedded::{Node, RemoteNode};
use serde_json::{Value, json};
use std::sync::mpsc;

/// What vouchers are signed under.
fn domain(shop: &Shop) -> Domain {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let node = runtime.block_on(RemoteNode::connect(shop.place.ledger_address())).unwrap();
    node.origin().domain().clone()
}

/// An ack whose voucher says otherwise, in the buyer's own name; and what the seller says to it. It has
/// given away no more than anybody's credit beyond what it holds vouchers for.
#[track_caller]
fn vouches(
    lie: impl FnOnce(&Shop, &Key, &str) -> Box<dyn FnMut(&Heard<'_>, &mut Value) + Send>,
    says: &str,
) -> Bought {
    shop().beside(|shop| {
        let name = shop.liar("escrow");
        let key = shop.place.key(&name);
        let mut lie = lie(shop, &key, &name);
        let told: Lie = Box::new(move |heard| {
            if !heard.is(Role::Buyer, "ack") || heard.frame.data["voucher"].is_null() {
                return heard.on();
            }
            let bytes = heard
                .frame
                .forged::<Ack>((&key, heard.session), |data| lie(heard, &mut data["voucher"]));
            heard.instead(bytes)
        });
        let bought = shop.buys(&name, 200, told);
        bought.relay.finds(Role::Seller, "bad_payment", says);
        bought.ends(1, "bad_payment");
        assert!(shop.got(&name) <= 2 * ON_CREDIT, "{} items", shop.got(&name));
        bought
    })
}

/// A voucher of this much on this channel, as it stands in messages.
fn voucher(channel: ChannelId, amount: u128, domain: &Domain, key: &Key) -> Value {
    let amount = Amount::new(amount);
    let signature = Voucher { channel, amount }.sign(domain, key);
    json!({ "cumulative_amount": amount, "signature": signature })
}

/// The channel of the buyer's only order.
fn channel_in(bought: &Bought) -> ChannelId {
    let order = bought.relay.said(Role::Buyer, "order").pop().unwrap();
    serde_json::from_value(order.data["escrow"]["channel"].clone()).unwrap()
}

/// A buyer whose channel stays open: its vouchers are there to be shown again.
fn customer(shop: &Shop) -> (String, Bought) {
    let name = shop.liar("escrow");
    let bought = shop.buys(&name, WINDOW, honest());
    bought.ends(0, "");
    (name, bought)
}

#[test]
fn a_voucher_that_is_said_again_pays_nothing_more() {
    let mut shown = None;
    vouches(
        |_, _, _| {
            Box::new(move |_, voucher| *voucher = shown.get_or_insert(voucher.clone()).clone())
        },
        "worth",
    );
}

#[test]
fn a_voucher_of_less_than_is_owed_is_refused() {
    vouches(
        |shop, key, _| {
            let (domain, key, mut channel) = (domain(shop), key.clone(), None);
            Box::new(move |heard, said| {
                let amount: Amount =
                    serde_json::from_value(said["cumulative_amount"].clone()).unwrap();
                let id = channel.get_or_insert_with(|| of(heard));
                *said = voucher(*id, amount.units() - 1, &domain, &key);
            })
        },
        "",
    );
}

#[test]
fn a_voucher_beyond_the_deposit_is_refused() {
    vouches(
        |shop, key, _| {
            let (domain, key) = (domain(shop), key.clone());
            Box::new(move |heard, said| *said = voucher(of(heard), 1_000_000, &domain, &key))
        },
        "",
    );
}

/// The channel of the order that went by last; the liar has seen it.
fn of(heard: &Heard<'_>) -> ChannelId {
    heard.channel.expect("an order by escrow went by")
}

#[test]
fn a_voucher_for_another_channel_is_no_money() {
    vouches(
        |shop, key, _| {
            let (domain, key) = (domain(shop), key.clone());
            Box::new(move |_, said| {
                let amount: Amount =
                    serde_json::from_value(said["cumulative_amount"].clone()).unwrap();
                *said = voucher(ChannelId([9; 32]), amount.units(), &domain, &key);
            })
        },
        "not signed by the channel's signer",
    );
}

#[test]
fn a_voucher_of_another_buyer_is_no_money() {
    let shop = shop();
    let (_, other) = customer(&shop);
    let theirs = other.relay.said(Role::Buyer, "ack").into_iter();
    let mut theirs = theirs.filter(|ack| !ack.data["voucher"].is_null()).map(|ack| ack.data);
    let theirs = theirs.next_back().unwrap()["voucher"].clone();
    vouches(
        |_, _, _| Box::new(move |_, said| said["signature"] = theirs["signature"].clone()),
        "not signed by the channel's signer",
    );
}

#[test]
fn a_channel_pays_for_one_session_at_a_time() {
    shop().beside(|shop| {
        let name = shop.liar("escrow");
        let key = shop.place.key(&name);
        let (sender, ordered) = mpsc::channel();
        let address = shop.place.address.clone();
        // While the first session is under way, another is ordered on its channel.
        let lie = first(Role::Seller, "data", move |heard| {
            let mut second = Stranger::at(&address);
            second.key = key.clone();
            let order = second.order(|order| {
                order.method = Method::Escrow;
                order.escrow = Some(EscrowChoice { channel: of(heard), base: Amount::ZERO });
            });
            second.say(&order);
            // Until it is answered, the first session stands still.
            sender.send(second.error()).unwrap();
            heard.on()
        });
        let bought = shop.buys(&name, 4 * WINDOW, lie);
        let (code, message) = ordered.recv().unwrap();
        assert_eq!(code, "channel_busy", "{message}");
        bought.ends(0, "");
        assert_eq!(shop.got(&name), 4 * WINDOW, "the first one does not notice");
    });
}

#[test]
fn a_channel_cannot_be_ordered_on_below_what_was_vouched_on_it() {
    shop().beside(|shop| {
        let (name, bought) = customer(shop);
        let mut liar = Stranger::at(&shop.place.address);
        liar.key = shop.place.key(&name);
        let order = liar.order(|order| {
            order.method = Method::Escrow;
            order.escrow = Some(EscrowChoice { channel: channel_in(&bought), base: Amount::ZERO });
        });
        liar.say(&order);
        // The seller shows the buyer its own voucher, or has the channel closed already.
        liar.is_refused("channel", "");
    });
}

#[test]
fn a_voucher_of_more_than_is_owed_is_refused() {
    vouches(
        |shop, key, _| {
            let (domain, key) = (domain(shop), key.clone());
            Box::new(move |heard, said| {
                let amount: Amount =
                    serde_json::from_value(said["cumulative_amount"].clone()).unwrap();
                let more = amount.units() + u128::from(PRICE);
                *said = voucher(of(heard), more, &domain, &key);
            })
        },
        "worth",
    );
}

#[test]
fn who_vouches_nothing_is_sent_no_more_than_its_credit() {
    shop().beside(|shop| {
        let name = shop.liar("escrow");
        let key = shop.place.key(&name);
        // Its acks come without their vouchers, and its payments not at all.
        let lie: Lie = Box::new(move |heard| match heard.frame.kind.as_str() {
            "ack" if heard.frame.from == Role::Buyer => {
                let bytes = heard.frame.forged::<Ack>((&key, heard.session), |data| {
                    data.as_object_mut().unwrap().remove("voucher");
                });
                heard.instead(bytes)
            }
            "payment_ack" => vec![Do::Cut],
            _ => heard.on(),
        });
        let bought = shop.buys(&name, 200, lie);
        assert_ne!(bought.exit, 0, "{}", bought.said);
        assert!(shop.got(&name) <= ON_CREDIT, "{} items", shop.got(&name));
    });
}
