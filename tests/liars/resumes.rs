//! Liars about a session that goes on over another connection: nobody but its buyer moves it, and nobody
//! but its seller answers.

use crate::place::Setting;
use crate::relay::{Do, Lie};
use crate::shop::{PRICE, Shop, WINDOW};
use crate::stranger::{Stranger, fresh_key};
use sdpp::message::{Choice, Draft, Hello, Resume};
use sdpp::terms::Role;
use sdpp_ledger::Digest;
use serde_json::json;
use std::sync::mpsc;

/// What is bought in each of these stories.
const ITEMS: u64 = 6 * WINDOW;

fn shop() -> Shop {
    Shop::open(Setting { resume_s: 30, ..Setting::default() }, "")
}

/// The line breaks at the third item; from then on it is lied so. All the same the buyer has each item
/// once, and all is paid.
fn goes_on(shop: &Shop, mut lie: Lie) {
    shop.beside(|shop| {
        let name = shop.liar("transfer");
        let cut: Lie = Box::new(move |heard| match heard.line {
            1 if heard.is(Role::Seller, "data") && heard.frame.data["seq"] == json!(3) => {
                vec![Do::Cut]
            }
            _ => lie(heard),
        });
        let bought = shop.buys(&name, ITEMS, cut);
        bought.ends(0, &format!("\"paid\":\"{}\"", ITEMS * PRICE));
        assert_eq!(shop.got(&name), ITEMS, "each item once");
    });
}

#[test]
fn who_replays_a_buyers_word_to_go_on_or_says_it_in_its_own_name_moves_no_session() {
    let shop = shop();
    let address = shop.place.address.clone();
    let (sender, answers) = mpsc::channel();
    let mut hello = None;
    goes_on(
        &shop,
        Box::new(move |heard| {
            if heard.is(Role::Buyer, "hello") && heard.line == 2 {
                hello = Some(heard.frame.bytes.clone());
            }
            if heard.is(Role::Seller, "data")
                && let Some(hello) = hello.take()
            {
                let mut replays = Stranger::at(&address);
                replays.say(&hello);
                sender.send((replays, "bad_signature")).unwrap();
                let mut own = Stranger::at(&address);
                let challenge = own.menu.data["challenge"].clone();
                let resume = Resume {
                    session: heard.session,
                    challenge: serde_json::from_value(challenge).unwrap(),
                    received: 3,
                    acked: 3,
                    heard: 0,
                    public_key_encryption: fresh_key().public(),
                };
                let texts = |text: &str| vec![text.to_owned()];
                let word = |resume: Resume| {
                    Hello::Speaks(Choice {
                        versions: texts("SDPP/1"),
                        encodings: texts("json"),
                        buyer: None,
                        resume: Some(Box::new(resume)),
                    })
                };
                let (_, bytes) = Draft::new(heard.session, &word(resume)).sign(&own.key, "");
                own.say(&bytes);
                sender.send((own, "bad_signature")).unwrap();
                let mut nobodys = Stranger::at(&address);
                let unknown = Resume { session: sdpp::terms::SessionId(Digest([9; 32])), ..resume };
                let (_, bytes) = Draft::new(unknown.session, &word(unknown)).sign(&nobodys.key, "");
                nobodys.say(&bytes);
                sender.send((nobodys, "no_such_session")).unwrap();
            }
            heard.on()
        }),
    );
    let mut told = 0;
    for (mut liar, code) in answers.try_iter() {
        liar.is_refused(code, "");
        told += 1;
    }
    assert_eq!(told, 3);
}

#[test]
fn who_answers_with_an_earlier_key_is_not_taken_for_the_seller() {
    let mut earlier = None;
    goes_on(
        &shop(),
        Box::new(move |heard| {
            if heard.is(Role::Seller, "session_key") {
                match heard.line {
                    1 => earlier = Some(heard.frame.bytes.clone()),
                    2 => return heard.instead(earlier.clone().unwrap()),
                    _ => {}
                }
            }
            heard.on()
        }),
    );
}

/// A line that is made and brings nothing, as half-open ones do: another is made.
#[test]
fn who_answers_nothing_on_another_line_does_not_hold_the_session_up() {
    let hushes: Lie = Box::new(|heard| if heard.line == 2 { Vec::new() } else { heard.on() });
    goes_on(&shop(), hushes);
}
