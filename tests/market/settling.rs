//! Vouchers wait for a chain's fee to be a small part of them, and are redeemed as one; so do invoices,
//! and are paid by one transfer.

use crate::chain::Chain;
use crate::place::{Running, amount, assert_done, sdpp, told};
use serde_json::Value;
use std::fs;

/// What a side has decided, as its program tells it, or its journal where none runs.
fn explained(chain: &Chain, side: &str) -> Vec<Value> {
    let journal = chain.path(&format!("{side}-journal"));
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
        assert!(lines() < 2_000, "nothing is redeemed: {:?}", explained(&chain, "seller"));
    }
    let decided = explained(&chain, "seller");
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
    let decided = explained(&chain, "seller");
    let last = decided.last().unwrap();
    assert_eq!(
        (&last["why"], &last["is_foreseen"]),
        (&"close".into(), &false.into()),
        "{decided:?}"
    );
    let told = chain.audit("seller", "ETH");
    assert_eq!(told["outstanding"], "0", "{told}");
}

/// Two readings cost a small part of what a transfer does, and four windows may be unpaid.
#[test]
fn windows_that_cost_less_than_a_transfer_are_paid_together() {
    let Some(chain) = Chain::up() else { return };
    let change = |side: &str, lines: &[(&str, &str)]| {
        let file = format!("{side}.toml");
        let mut text = chain.read(&file);
        for (key, value) in lines {
            let line = text.lines().find(|line| line.starts_with(key));
            let line = line.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned();
            text = text.replacen(&line, &format!("{key} = {value}"), 1);
        }
        if side == "buyer" {
            // It pays ether by transfer alone.
            let deposit = text.lines().find(|line| line.starts_with("deposit")).unwrap().to_owned();
            text = text.replacen(&format!("{deposit}\n"), "", 1);
        }
        let settlement = "\n[settlement.ETH]\nfee_below_permille = 500\n";
        let settlement = if side == "buyer" { settlement } else { "" };
        fs::write(chain.path(&file), text + settlement).unwrap();
    };
    change("seller", &[("granularity", "2"), ("credit_windows", "4")]);
    change("buyer", &[("methods", "[\"transfer\"]")]);
    let (mut seller, address) = chain.sell();
    let items = chain.path("items");
    let mut buy = sdpp();
    buy.args(["buy", &address, "memory", "24", "--trust-on-first-use", "--currency", "ETH"]);
    buy.arg("--config").arg(chain.path("buyer.toml")).arg("--output").arg(&items);
    assert_done(&buy.output().unwrap());
    seller.signal("TERM");
    assert!(seller.wait().success());

    let [sold, bought] = ["seller", "buyer"].map(|side| chain.audit(side, "ETH"));
    for key in ["windows", "items_delivered", "invoiced", "paid", "settled", "outstanding"] {
        assert_eq!(sold[key], bought[key], "{key}");
    }
    assert_eq!((&sold["windows"], &sold["outstanding"]), (&12.into(), &"0".into()), "{sold}");
    assert_eq!(amount(&sold["settled"]), 24 * crate::chain::PRICE);
    let of = |statement: &Value| statement["settlements"].as_array().unwrap().len();
    let transfers = of(&bought);
    assert_eq!(of(&sold), transfers, "one claim for each transfer");
    assert!(transfers < 12, "{bought}");

    let decided = explained(&chain, "buyer");
    let paid: Vec<_> = decided.iter().filter(|one| one["settles"] == true).collect();
    assert_eq!(paid.len(), transfers, "each is explained: {decided:?}");
    let mut next = 1;
    for one in &paid {
        assert_eq!(one["from"], next, "{decided:?}");
        next = one["number"].as_u64().unwrap() + 1;
    }
    assert_eq!(next, 13, "and all windows are paid by one of them");
    let (last, others) = paid.split_last().unwrap();
    assert_eq!(last["why"], "close", "{decided:?}");
    assert!(others.iter().all(|one| one["why"] == "credit"), "{decided:?}");
    let waited = decided.iter().find(|one| one["why"] == "dear").unwrap();
    let (value, fee) = (amount(&waited["hand"]["value"]), amount(&waited["hand"]["fee"]));
    assert!(fee * 1_000 >= value * 500, "{waited}");
}
