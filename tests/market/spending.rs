//! What a buyer pays in and how much at most: in a session, in a day, and as the bill says beforehand.

use crate::place::*;
use serde_json::{Value, json};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// A seller that takes gold too, ten of its units for one of SDP, and a buyer that would rather pay in
/// that and holds 10,000 of the coin that both are.
fn place() -> Place {
    let mut place = Place::open(Setting::default());
    let gold = "[currencies.GOLD]\nledger = \"local\"\ndecimals = 6\nmethods = [\"transfer\"]\n";
    let rate = "rate = { numerator = 10, denominator = 1 }\n";
    change(&place, "seller", "[records]", &format!("{gold}{rate}[records]"));
    place.sell();
    place.buyer("buyer", 10_000);
    change(&place, "buyer", "[records]", &format!("{gold}[records]"));
    let first = "[[buyer.currencies]]\ncurrency = \"GOLD\"\nmax_total = \"50000\"\n[[buyer";
    change(&place, "buyer", "[[buyer", first);
    place
}

fn change(place: &Place, side: &str, from: &str, to: &str) {
    let path = place.path(&format!("{side}.toml"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from:?} is not in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Buys so many readings; how it ends, and what is said.
fn buy(place: &Place, quantity: u32, more: &[&str]) -> (i32, Value, String) {
    let _ = fs::remove_file(place.items("buyer"));
    let output = place.buy("buyer", "co2", &quantity.to_string()).args(more).output().unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), told, String::from_utf8(output.stderr).unwrap())
}

/// The bill, and how asking for it ends.
fn bill(place: &Place, quantity: u32, more: &[&str]) -> (i32, Value, String) {
    let mut buy = sdpp();
    buy.args(["buy", &place.address, "co2", &quantity.to_string(), "--trust-on-first-use"]);
    buy.args(["--dry-run", "--json", "--config"]).arg(place.path("buyer.toml"));
    let output = buy.args(more).output().unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), told, String::from_utf8(output.stderr).unwrap())
}

fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / (24 * 60 * 60)
}

#[test]
fn the_first_currency_that_our_account_can_pay_is_paid_in() {
    let place = place();
    let (exit, told, said) = buy(&place, 95, &[]);
    assert_eq!(
        (exit, &told["currency"], &told["paid"]),
        (0, &json!("SDP"), &json!("1900")),
        "{said}"
    );
    assert!(said.contains("not paid in GOLD by transfer"), "{said}");
    assert!(said.contains("can pay 10000 of the coin, it needs 19000"), "{said}");
    // Eight thousand are left, and fifty cost five hundred units of gold each ten.
    let (exit, told, said) = buy(&place, 40, &[]);
    assert_eq!(
        (exit, &told["currency"], &told["paid"]),
        (0, &json!("GOLD"), &json!("8000")),
        "{said}"
    );
    let (exit, _, said) = buy(&place, 40, &[]);
    assert_eq!(exit, 1, "{said}");
    for what in ["nothing is ordered: GOLD by transfer", "it needs 8000; SDP by transfer", "800"] {
        assert!(said.contains(what), "{what:?} is not in {said}");
    }
    let (exit, _, said) = buy(&place, 5, &["--max-total", "10"]);
    assert_eq!(exit, 2, "ten of what? {said}");
    assert!(said.contains("--max-total of what? Name one of GOLD, SDP"), "{said}");
    let (exit, _, said) = buy(&place, 5, &["--max-total", "99", "--currency", "SDP"]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("5 items cost 0.000100 SDP, our ceiling is 0.000099"), "{said}");
}

#[test]
fn a_day_s_ceiling_counts_what_was_spent_over_restarts() {
    let (place, began) = (place(), today());
    change(
        &place,
        "buyer",
        "max_total = \"1000000\"",
        "max_total = \"1000000\"\nmax_per_day = 2500",
    );
    let sdp = ["--currency", "SDP"];
    let (exit, told, said) = buy(&place, 95, &sdp);
    assert_eq!((exit, &told["paid"]), (0, &json!("1900")), "{said}");
    let (exit, _, said) = buy(&place, 95, &sdp);
    let (_, told, _) = bill(&place, 30, &sdp);
    if today() != began {
        return eprintln!("SKIPPED: it is another day");
    }
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("95 items cost 0.001900 SDP, our ceiling is 0.000600"), "{said}");
    assert!(said.contains("0.000600 SDP may still be spent today (UTC)"), "{said}");
    assert_eq!(told["choices"][0]["left_today"], "600", "{told}");
    assert_eq!(told["chosen"]["currency"], "SDP", "{told}");
    let (exit, _, said) = buy(&place, 30, &sdp);
    assert_eq!(exit, 0, "{said}");
    let (exit, _, said) = buy(&place, 1, &sdp);
    assert!(exit == 1 && said.contains("our ceiling is 0.000000"), "{said}");
    // Another currency has a day of its own.
    let (exit, told, said) = buy(&place, 10, &[]);
    assert_eq!((exit, &told["currency"]), (0, &json!("GOLD")), "{said}");
}

#[test]
fn a_day_s_ceiling_counts_what_is_pruned_on_that_day() {
    let (place, began) = (place(), today());
    let per_day = "max_total = \"1000000\"\nmax_per_day = 2500";
    change(&place, "buyer", "max_total = \"1000000\"", per_day);
    let sdp = ["--currency", "SDP"];
    let (exit, _, said) = buy(&place, 95, &sdp);
    assert_eq!(exit, 0, "{said}");
    let mut prune = sdpp();
    prune.args(["journal", "prune", "--json", "--older", "0s", "--journal"]);
    let (exit, text) = told(prune.arg(place.journal("buyer")));
    assert_eq!(exit, 0, "{text}");
    let pruned: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(pruned["sessions"], 1, "{pruned}");
    let (_, bill, said) = bill(&place, 30, &sdp);
    let (exit, _, bought) = buy(&place, 31, &sdp);
    if today() != began {
        return eprintln!("SKIPPED: it is another day");
    }
    assert_eq!(bill["choices"][0]["left_today"], "600", "{bill}{said}");
    assert!(
        exit == 1 && bought.contains("31 items cost 0.000620 SDP, our ceiling is 0.000600"),
        "{bought}"
    );
}

#[test]
fn a_bill_is_at_the_prices_that_a_seller_has_for_this_buyer() {
    let mut place = place();
    let (_, told, _) = bill(&place, 10, &["--currency", "SDP"]);
    assert_eq!(told["choices"][0]["cost"], "200", "{told}");
    let key = place.key("buyer").public();
    let own = "[[topics.co2.prices]]\nbuyer = \"House\"\nprice = \"15\"\n";
    let own = format!("{own}[peers]\nHouse = \"{key}\"\n[records]");
    change(&place, "seller", "[records]", &own);
    place.sell();
    let (exit, told, said) = bill(&place, 10, &["--currency", "SDP"]);
    assert_eq!((exit, &told["choices"][0]["cost"]), (0, &json!("150")), "{said}{told}");
    let (exit, bought, said) = buy(&place, 10, &["--currency", "SDP"]);
    assert_eq!((exit, &bought["paid"]), (0, &json!("150")), "{said}");
    place.close();
}

#[test]
fn a_bill_is_shown_before_any_money_moves_and_nothing_is_left_behind() {
    let mut place = place();
    let (exit, told, said) = bill(&place, 95, &[]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(told["chosen"], json!({ "currency": "SDP", "method": "transfer" }), "{told}");
    let choices = told["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 2, "{told}");
    let (gold, sdp) = (&choices[0], &choices[1]);
    assert_eq!(
        (&gold["currency"], &gold["cost"], &gold["in_default"]),
        (&json!("GOLD"), &json!("19000"), &json!("1900"))
    );
    assert!(gold["why"].as_str().unwrap().contains("it needs 19000"), "{gold}");
    assert_eq!(
        (&sdp["cost"], &sdp["spendable"], &sdp["ceiling"]),
        (&json!("1900"), &json!("10000"), &json!("1000000"))
    );
    assert_eq!(sdp["fees"][0]["times"], 10, "{sdp}");
    let (exit, _, said) = bill(&place, 95, &["--currency", "GOLD"]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("nothing would be ordered: GOLD: "), "{said}");
    let (exit, told, _) =
        bill(&place, 1, &["--seller", &place.key("stranger").public().to_string()]);
    assert_eq!((exit, told), (4, Value::Null), "another seller's menu is not believed");

    let mut shown = sdpp();
    shown.args([
        "buy",
        &place.address,
        "co2",
        "95",
        "--trust-on-first-use",
        "--dry-run",
        "--config",
    ]);
    let (exit, text) = told_of(&mut shown, &place);
    assert_eq!(exit, 0, "{text}");
    for what in [
        "order    95 items of co2",
        "K = 10 items",
        "->  SDP",
        "0.001900 SDP",
        "fee for paying a window: 10 times",
    ] {
        assert!(text.contains(what), "{what:?} is not in {text}");
    }
    assert!(!place.journal("buyer").exists(), "who only asks keeps no books");
    assert_eq!((place.balance("buyer"), place.balance("seller")), (10_000, 0));
    assert_eq!(place.status()["sessions"]["ended"], 0);
    place.close();
}

fn told_of(command: &mut std::process::Command, place: &Place) -> (i32, String) {
    told(command.arg(place.path("buyer.toml")))
}
