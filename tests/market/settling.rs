//! Vouchers wait for a chain's fee to be a small part of them, and are redeemed as one.

use crate::chain::Chain;
use crate::place::{Running, amount, sdpp, told};
use serde_json::Value;
use std::fs;

/// What was decided about vouchers in hand, as the running seller tells it.
fn explained(chain: &Chain) -> Vec<Value> {
    let journal = chain.path("seller-journal");
    let mut explain = sdpp();
    explain.args(["ledger", "policy", "explain", "--json", "--currency", "ETH", "--journal"]);
    let (exit, text) = told(explain.arg(journal));
    assert_eq!(exit, 0, "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn vouchers_are_redeemed_in_one_transaction_once_the_fee_is_worth_it() {
    let Some(chain) = Chain::up() else { return };
    let config = chain.read("seller.toml") + "\n[settlement.ETH]\nfee_below_permille = 500\n";
    fs::write(chain.path("seller.toml"), config).unwrap();
    let buyer = chain.read("buyer.toml").replace("\"1000000000000000\"", "\"9000000000000000\"");
    fs::write(chain.path("buyer.toml"), buyer).unwrap();
    let (mut seller, address) = chain.sell();
    let items = chain.path("items");
    let mut buy = sdpp();
    buy.args(["buy", &address, "memory", "all", "--trust-on-first-use", "--currency", "ETH"]);
    buy.arg("--config").arg(chain.path("buyer.toml")).arg("--output").arg(&items);
    let mut buyer = Running(buy.spawn().unwrap());
    let lines = || fs::read_to_string(&items).map_or(0, |text| text.lines().count());
    while chain.events("Settled(bytes32,uint256)").is_empty() {
        assert!(buyer.0.try_wait().unwrap().is_none(), "it ended before its time");
        assert!(lines() < 2_000, "nothing is redeemed: {:?}", explained(&chain));
    }
    let decided = explained(&chain);
    let now = decided.iter().find(|one| one["settles"] == true).unwrap();
    assert_eq!(now["why"], "cheap", "{decided:?}");
    let (value, fee) = (amount(&now["hand"]["value"]), amount(&now["hand"]["fee"]));
    assert!(fee > 0 && fee * 1_000 < value * 500, "{now}");
    assert!(value > 10 * crate::chain::PRICE, "more than the first two windows: {now}");
    let before: Vec<_> = decided.iter().take_while(|one| one["settles"] == false).collect();
    assert!(!before.is_empty(), "it waited first: {decided:?}");
    let (_, settled, _) = &chain.events("Settled(bytes32,uint256)")[0];
    assert_eq!(*settled, value, "all that was in hand, by one transaction");

    buyer.signal("INT");
    assert!(buyer.wait().success());
    seller.signal("TERM");
    assert!(seller.wait().success());
    let decided = explained(&chain);
    let last = decided.last().unwrap();
    assert_eq!(
        (&last["why"], &last["is_foreseen"]),
        (&"close".into(), &false.into()),
        "{decided:?}"
    );
    let told = chain.audit("seller", "ETH");
    assert_eq!(told["outstanding"], "0", "{told}");
}
