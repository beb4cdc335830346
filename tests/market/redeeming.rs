//! A session that goes on for long is paid out while it does.

use crate::place::*;
use std::fs;

fn redeems_in_mid_stream(keys: &str) {
    let methods = "[\"escrow\"]";
    let mut place = Place::open(Setting { methods, ..Setting::default() });
    place.buyer("buyer", 1_000_000);
    place.close();
    let config = fs::read_to_string(place.path("seller.toml")).unwrap();
    let config = config.replace("[seller]\n", &format!("[seller]\n{keys}\n"));
    assert!(config.contains(keys), "{config}");
    fs::write(place.path("seller.toml"), config).unwrap();
    place.sell();
    let mut buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
    while place.balance("seller") == 0 {
        assert!(buyer.0.try_wait().unwrap().is_none(), "it ended before its time");
        assert!(place.lines("buyer") < 1_000, "nothing is redeemed");
    }
    let items = place.lines("buyer");
    while place.lines("buyer") < items + 20 {
        assert!(buyer.0.try_wait().unwrap().is_none(), "it ended with the first redeemed");
        std::thread::yield_now();
    }
    buyer.signal("INT");
    assert!(buyer.wait().success());
    place.close();
    let paid = place.lines("buyer") as u128 * 3;
    assert_eq!((place.balance("seller"), place.balance("buyer")), (paid, 1_000_000 - paid));
    for side in ["seller", "buyer"] {
        for session in place.audit(side) {
            assert_eq!(session["outstanding"], "0", "{side}: {session}");
        }
    }
}

#[test]
fn a_voucher_that_is_worth_enough_is_money_before_its_session_ends() {
    redeems_in_mid_stream("redeem_above = { SDP = \"30\" }");
}

#[test]
fn a_voucher_that_is_old_enough_is_money_before_its_session_ends() {
    redeems_in_mid_stream("redeem_every_s = 1");
}
