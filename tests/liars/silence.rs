//! Peers that stop answering and keep the line open, in each state: some deadline ends every one of them,
//! and nobody else waits for it.

use crate::place::{Setting, buy, told};
use crate::relay::{Do, Lie, Relay};
use crate::shop::{PRICE, Shop, WINDOW};
use crate::stranger::Stranger;
use sdpp::terms::Role;
use serde_json::json;
use std::fs;
use std::net::TcpListener;

/// A seller of little patience, one of whose sources falls silent after two items.
fn shop() -> Shop {
    let limits = "idle_ms = 4000\nfirst_message_ms = 4000\n[topics.quiet]\nprice = \"1\"\n\
                  source = { kind = \"command\", command = [\"sh\", \"-c\", \"echo 1; echo 2; exec sleep 600\"] }\n";
    Shop::open(Setting { patience_ms: 4_000, ..Setting::default() }, limits)
}

#[test]
fn a_buyer_that_falls_silent_is_not_waited_for_in_any_state() {
    let shop = shop();
    let address = &shop.place.address;
    shop.beside(|shop| {
        let name = shop.liar("transfer");
        let mut frozen =
            crate::place::Running(shop.place.buy(&name, "memory", "all").spawn().unwrap());
        shop.until("items", || shop.got(&name) > 2 * WINDOW);
        frozen.signal("STOP");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut says_nothing = Stranger::at(address);
                assert!(says_nothing.hear().is_none(), "before an order");
            });
            scope.spawn(|| {
                let mut drips = Stranger::at(address);
                drips.drips();
            });
            scope.spawn(|| {
                let mut takes_and_says_nothing = Stranger::served(address, "co2", Some(20));
                takes_and_says_nothing.is_refused("timed_out", "");
            });
            scope.spawn(|| {
                let mut never_pays = Stranger::served(address, "co2", Some(20));
                never_pays.hears("data_invoice");
                let ack = never_pays.ack(WINDOW);
                never_pays.say(&ack);
                never_pays.is_refused("timed_out", &format!("{} owed", WINDOW * PRICE));
            });
            for drips in [false, true] {
                scope.spawn(move || {
                    // There is nothing that it should say: its line alone tells whether it is there.
                    let mut gone = Stranger::served(address, "quiet", None);
                    gone.takes(2);
                    let ack = gone.ack(2);
                    gone.say(&ack);
                    match drips {
                        true => gone.drips(),
                        false => gone.is_refused("timed_out", "broke"),
                    }
                });
            }
        });
        shop.until("the frozen one is gone too", || {
            shop.place.status()["sessions"]["connections"] == json!(1)
        });
        frozen.signal("CONT");
        assert!(!frozen.wait().success(), "its session is over");
    });
}

/// A buyer of little patience and its config's name.
fn victim(shop: &Shop) -> String {
    let name = shop.liar("transfer");
    let path = shop.place.path(&format!("{name}.toml"));
    let config = fs::read_to_string(&path).unwrap();
    let config = config.replace("patience_ms = 4000", "patience_ms = 2000");
    fs::write(path, config + "[limits]\nidle_ms = 4000\n").unwrap();
    name
}

/// From the first of these messages on the seller is not heard any more.
fn hushed_from(kind: &'static str) -> Lie {
    let mut is_hushed = false;
    Box::new(move |heard| {
        is_hushed |= heard.is(Role::Seller, kind);
        if is_hushed { vec![Do::Hush] } else { heard.on() }
    })
}

#[test]
fn a_seller_that_falls_silent_is_not_waited_for_in_any_state() {
    let shop = shop();
    shop.beside(|shop| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let name = victim(shop);
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap().to_string();
                let mut buy = buy(shop.place.dir.path(), &name, &[&address, "co2", "5"]);
                let (exit, said) = told(&mut buy);
                assert!(exit == 1 && said.contains("no menu came"), "{exit}: {said}");
            });
            for (kind, says) in [
                ("session_key", "did not answer the order"),
                ("data", "broke"),
                ("data_invoice", "broke"),
                // All is delivered, and its end is not said.
                ("exit", "broke"),
            ] {
                scope.spawn(move || {
                    let name = victim(shop);
                    let bought = shop.buys(&name, 2 * WINDOW, hushed_from(kind));
                    bought.ends(1, says);
                    assert!(shop.got(&name) <= 2 * WINDOW);
                });
            }
            scope.spawn(|| {
                // It wants to leave, and is not answered.
                let name = victim(shop);
                let relay = Relay::to(&shop.place.address, hushed_from("exit"));
                let order = [relay.address.as_str(), "memory", "all", "--for", "1s"];
                let (exit, said) = told(&mut buy(shop.place.dir.path(), &name, &order));
                assert!(exit == 1, "{exit}: {said}");
            });
        });
    });
}
