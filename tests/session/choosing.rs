//! What a buyer pays in: the first of its currencies that both sides have, that its ceilings allow and
//! that its account can pay.

use crate::pair::*;
use sdpp::record::End;
use sdpp::session::{Bid, BuyerPolicy, Output, Paying, PinnedCurrency, bids};
use sdpp::terms::{Method, Rate};
use sdpp_ledger::Amount;

/// A seller that takes gold too, ten of its units for one of SDP; the buyer would rather pay in that.
fn setting() -> Setting {
    let mut setting = Setting::default().no_records();
    let rate = Rate { numerator: Amount::new(10), denominator: Amount::new(1) };
    let mut gold = setting.menu.currencies_accepted[0].clone();
    (gold.currency, gold.symbol, gold.rate) = ("GOLD".to_owned(), "GOLD".to_owned(), rate);
    setting.menu.currencies_accepted.push(gold);
    setting.wish.currencies.insert(0, gold_of_ours());
    setting
}

fn gold_of_ours() -> PinnedCurrency {
    let (name, symbol) = ("GOLD".to_owned(), "GOLD".to_owned());
    PinnedCurrency { name, symbol, ..pinned(Method::Transfer) }
}

fn paying(pair: &Pair) -> Vec<&Paying> {
    let paying = |output: &'_ Output| matches!(output, Output::Paying(_));
    let told = pair.b.log.iter().filter(|output| paying(output));
    told.filter_map(|output| if let Output::Paying(paying) = output { Some(paying) } else { None })
        .collect()
}

#[test]
fn what_is_preferred_is_paid_in_where_nothing_speaks_against_it() {
    let mut pair = setting().start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
    assert_eq!(pair.b.progress().paid, Amount::new(180), "six at 3, in gold");
    let [told] = paying(&pair)[..] else { panic!("{:?}", paying(&pair)) };
    assert_eq!((told.currency.as_str(), told.passed.len()), ("GOLD", 0));
}

#[test]
fn a_currency_that_our_account_cannot_pay_is_passed_over() {
    let mut pair = setting().start();
    pair.holds = Amount::new(179);
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
    assert_eq!(pair.b.progress().paid, Amount::new(18));
    let [told] = paying(&pair)[..] else { panic!("{:?}", paying(&pair)) };
    assert_eq!(told.currency, "SDP");
    assert_eq!(told.passed, ["GOLD by transfer: too little for 180"]);
}

#[test]
fn a_currency_whose_ceiling_is_too_low_is_passed_over_and_no_account_is_looked_at_for_it() {
    let mut setting = setting();
    setting.wish.currencies[0].max_total = Some(Amount::new(179));
    let mut pair = setting.start();
    pair.run();
    assert_eq!(pair.b.progress().paid, Amount::new(18), "{}", pair.b.why());
    let looked = |output: &&Output| matches!(output, Output::Afford { .. });
    assert_eq!(pair.b.log.iter().filter(looked).count(), 1);
    let passed = &paying(&pair)[0].passed;
    assert_eq!(
        passed[..],
        ["GOLD by transfer: 6 items cost 0.000180 GOLD, our ceiling is 0.000179"]
    );
}

/// A ceiling holds for the session that is paid in its currency, and no other.
#[test]
fn the_ceiling_of_what_is_paid_in_ends_the_session() {
    let mut setting = setting().order("co2", None).windows(2, 2);
    setting.wish.currencies[0].max_total = Some(Amount::new(250));
    setting.wish.currencies[1].max_total = Some(Amount::new(1));
    let mut pair = setting.start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
    let paid = pair.b.progress().paid;
    assert!(paid > Amount::ZERO && paid <= Amount::new(250), "{paid}");
}

#[test]
fn where_nothing_is_left_all_reasons_are_told_to_us_and_none_to_the_seller() {
    let mut setting = setting();
    setting.wish.currencies[0].max_total = Some(Amount::new(1));
    let mut pair = setting.start();
    pair.holds = Amount::new(17);
    pair.run();
    let why = "nothing is ordered: GOLD by transfer: 6 items cost 0.000180 GOLD, our ceiling is 0.000001; \
               SDP by transfer: too little for 18";
    assert_eq!((pair.b.end(), pair.b.why()), (End::Failed, why));
    assert!(!types(&pair.b).contains(&"order".to_owned()));
    let said = pair.s.why();
    assert!(said.contains("the buyer cannot go on") && !said.contains("18"), "{said}");
}

#[test]
fn money_that_is_on_its_way_is_waited_for_where_nothing_else_can_be_paid() {
    let mut pair = setting().start();
    (pair.holds, pair.coming) = (Amount::new(17), Amount::new(1));
    pair.run();
    (pair.holds, pair.coming) = (Amount::new(18), Amount::ZERO);
    pair.wait();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
    assert_eq!(pair.b.progress().paid, Amount::new(18));
    let waits = pair.b.log.iter().filter_map(|output| match output {
        Output::Unfunded { passed, within_ms } => Some((passed.clone(), *within_ms)),
        _ => None,
    });
    let whats = ["GOLD", "SDP"].map(|name| name.to_owned() + " by transfer: too little for ");
    let [(passed, within_ms)] = &waits.collect::<Vec<_>>()[..] else { panic!("said once") };
    assert!(passed.iter().zip(&whats).all(|(one, what)| one.starts_with(what)), "{passed:?}");
    assert_eq!(*within_ms, setting().buyer.patience_ms);
}

#[test]
fn what_is_funded_is_paid_in_at_once_though_more_is_on_its_way() {
    let mut pair = setting().start();
    (pair.holds, pair.coming) = (Amount::new(18), Amount::new(1_000));
    pair.run();
    assert_eq!(paying(&pair)[0].currency, "SDP", "{}", pair.b.why());
}

#[test]
fn money_that_does_not_come_is_waited_for_no_longer_than_our_patience() {
    let patience_ms = setting().buyer.patience_ms;
    let mut pair = setting().start();
    (pair.holds, pair.coming) = (Amount::ZERO, Amount::new(1));
    let before_ms = pair.now_ms;
    pair.run();
    while pair.b.closed.is_none() {
        pair.wait();
    }
    assert!(pair.b.why().contains("nothing is ordered: GOLD by transfer"), "{}", pair.b.why());
    let waited_ms = pair.now_ms - before_ms;
    assert!((patience_ms - 1_000..=patience_ms).contains(&waited_ms), "{waited_ms}");
}

/// Whoever looks at the bill first sees what the session then does.
#[test]
fn the_bill_says_what_a_session_would_cost() {
    let mut setting = setting();
    setting.menu.expires_at.0 = START_MS + 1_000;
    setting.wish.currencies.push(pinned(Method::Escrow));
    setting.wish.currencies[1].max_total = Some(Amount::new(17));
    setting.wish.currencies.push(PinnedCurrency { name: "TIN".to_owned(), ..gold_of_ours() });
    let policy: &BuyerPolicy = &setting.buyer;
    let bids = bids(&setting.menu, &setting.wish, policy, &key(2).public(), START_MS).unwrap();
    let told =
        |bid: &Bid| (bid.ours.name.clone(), bid.items, bid.cost.units(), bid.why_not.clone());
    let bids: Vec<_> = bids.iter().map(told).collect();
    let ceiling = Some("6 items cost 0.000018 SDP, our ceiling is 0.000017".to_owned());
    let unknown = Some("the seller does not take it".to_owned());
    assert_eq!(
        bids,
        [
            ("GOLD".to_owned(), 6, 180, None),
            ("SDP".to_owned(), 6, 18, ceiling),
            ("SDP".to_owned(), 6, 18, None),
            ("TIN".to_owned(), 0, 0, unknown),
        ]
    );
}
