#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod voids;

use super::*;
use proptest::prelude::*;
use sdpp_ledger::Key;

fn key(byte: u8) -> PublicKey {
    Key::from_bytes(&[byte; 32]).unwrap().public()
}

fn currency(name: &str, numerator: u128, denominator: u128) -> Currency {
    let (numerator, denominator) = (Amount::new(numerator), Amount::new(denominator));
    Currency {
        name: name.to_owned(),
        symbol: name.to_owned(),
        decimals: 6,
        ledger: "sdpp:story".parse().unwrap(),
        asset: Asset::coin(),
        method: Method::Transfer,
        payee: key(1).account(),
        rate: Rate { numerator, denominator },
    }
}

/// Forty items at `price * numerator / denominator`, four to a window.
fn terms(price: u128, numerator: u128, denominator: u128) -> Terms {
    Terms {
        session: SessionId::NONE,
        seller: key(1),
        buyer: key(2),
        topic: "gas".to_owned(),
        quantity: Some(40),
        price: Amount::new(price),
        currency: currency("SDP", numerator, denominator),
        granularity: 4,
        credit_windows: 1,
        signed_items: true,
        escrow: None,
        bond: None,
        records: None,
        dataset: None,
    }
}

fn owed(agreed: &Agreed, items: u64) -> u128 {
    agreed.owed_for(items).unwrap().units()
}

fn pace(granularity: u32, credit_windows: u32) -> Pace {
    Pace { granularity, credit_windows }
}

#[test]
fn a_credit_above_one_windows_price_carries_over_and_totals_never_go_back() {
    let mut agreed = Agreed::new(&terms(3, 1, 1));
    agreed.credit(9, Amount::new(14)).unwrap();
    assert_eq!([8, 9, 12, 13, 16].map(|items| owed(&agreed, items)), [24, 24, 24, 25, 34]);
    let netted = |agreed: &Agreed, items| agreed.last_leg().netted_by(items);
    assert_eq!(netted(&agreed, 12), Some(Amount::new(12)));
    assert_eq!(netted(&agreed, 16), Some(Amount::new(14)));
    agreed.credit(13, Amount::new(20)).unwrap();
    assert_eq!([12, 14, 15, 16].map(|items| owed(&agreed, items)), [24, 24, 25, 28]);
}

#[test]
fn what_is_no_credit_note_under_the_terms_says_why() {
    let mut agreed = Agreed::new(&terms(3, 1, 1));
    agreed.credit(9, Amount::new(5)).unwrap();
    for (from_seq, total, why) in [
        (0, 6, "begins no window"),
        (1, 6, "begins no window"),
        (10, 6, "begins no window"),
        (41, 6, "no item 41 was ordered"),
        (5, 6, "comes before"),
        (9, 5, "5 are credited already"),
        (9, 25, "8 items cost 24"),
    ] {
        let error = agreed.credit(from_seq, Amount::new(total)).unwrap_err();
        assert!(error.contains(why), "{error:?} does not say {why:?}");
    }
    assert_eq!(agreed.last_leg().credited(), Amount::new(5), "what was refused changes nothing");
}

#[test]
fn windows_of_another_size_follow_one_another_and_keep_their_numbers() {
    let mut agreed = Agreed::new(&terms(3, 1, 1));
    agreed.change_pace(9, pace(10, 2)).unwrap();
    agreed.change_pace(29, pace(1, 8)).unwrap();
    let windows = [1, 2, 3, 4, 5, 6, 16].map(|number| agreed.window(number));
    let expected = [(1, 4), (5, 8), (9, 18), (19, 28), (29, 29), (30, 30), (40, 40)];
    assert_eq!(windows, expected.map(Some));
    assert_eq!(agreed.window(17), None, "forty items were ordered");
    for (number, (first, last)) in [1, 2, 3, 4, 5, 6, 16].into_iter().zip(expected) {
        for seq in first..=last {
            assert_eq!(agreed.window_of(seq), number, "item {seq}");
            assert_eq!(agreed.window_end(seq), last, "item {seq}");
        }
        assert_eq!(agreed.next_from(first - 1), first, "a window that has not begun");
        assert_eq!(agreed.next_from(last), last + 1);
    }
    assert_eq!([8, 9, 28, 29].map(|seq| agreed.pace(seq).credit_items()), [4, 20, 20, 8]);
}

#[test]
fn a_pace_that_is_none_and_one_inside_a_window_change_nothing() {
    let mut agreed = Agreed::new(&terms(3, 1, 1));
    for (from_seq, pace, why) in [
        (6, pace(10, 1), "begins no window"),
        (1, pace(10, 1), "begins no window"),
        (41, pace(10, 1), "no item 41"),
        (5, pace(0, 1), "zero"),
        (5, pace(1, 0), "zero"),
        (5, pace(1_000, 1_001), "1000000 at most"),
    ] {
        let error = agreed.change_pace(from_seq, pace).unwrap_err();
        assert!(error.contains(why), "{error:?} does not say {why:?}");
    }
    assert_eq!(agreed, Agreed::new(&terms(3, 1, 1)));
}

#[test]
fn a_leg_is_counted_by_itself_and_asks_for_what_the_one_before_rounded_off() {
    // An item costs 10 units: 8 items are 80, at 1 for 3 that is 26, and 2 units are left over.
    let mut agreed = Agreed::new(&terms(10, 1, 3));
    agreed.begin_leg(9, Amount::new(10), currency("ETH", 1, 7), None).unwrap();
    assert_eq!([4, 8].map(|items| owed(&agreed, items)), [13, 26]);
    // 42 units are 6 of 7, where 40 would be 5.
    assert_eq!([9, 12].map(|items| owed(&agreed, items)), [1, 6]);
    assert_eq!(agreed.leg(8).currency.name, "SDP");
    assert_eq!(agreed.leg(9).currency.name, "ETH");
    agreed.begin_leg(13, Amount::new(5), currency("SDP", 1, 3), None).unwrap();
    assert_eq!(agreed.legs().map(|leg| leg.from_seq).collect::<Vec<_>>(), [1, 9, 13]);
    assert_eq!(owed(&agreed, 16), 6);
}

/// What a leg takes over from the one before is owed with its first item: until that is given there is
/// nothing of it to credit.
#[test]
fn a_leg_has_nothing_to_credit_before_its_first_item() {
    // Eight items at 1 for 3 are 2, and 2 units are left over.
    let mut agreed = Agreed::new(&terms(1, 1, 3));
    agreed.begin_leg(9, Amount::new(1), currency("OTH", 1, 1), None).unwrap();
    let why = agreed.credit(9, Amount::new(1)).unwrap_err();
    assert!(why.contains("8 items cost 0"), "{why}");
    agreed.credit(13, Amount::new(2)).unwrap();
    assert_eq!([8, 9, 12, 13, 16].map(|items| owed(&agreed, items)), [2, 3, 6, 6, 8]);
}

#[test]
fn a_leg_that_cannot_begin_says_why() {
    let mut agreed = Agreed::new(&terms(10, 1, 3));
    agreed.begin_leg(9, Amount::new(10), currency("ETH", 1, 7), None).unwrap();
    let large = 1 << 63;
    for (from_seq, currency, why) in [
        (9, currency("SDP", 1, 1), "already"),
        (5, currency("SDP", 1, 1), "before the leg"),
        (10, currency("SDP", 1, 1), "begins no window"),
        (13, currency("SDP", 0, 1), "above 0"),
        (13, currency("SDP", 1, 0), "above 0"),
        (13, currency("SDP", large, 1), "below 2^63"),
    ] {
        let error = agreed.begin_leg(from_seq, Amount::new(1), currency, None).unwrap_err();
        assert!(error.contains(why), "{error:?} does not say {why:?}");
    }
    assert_eq!(agreed.legs().count(), 2);
}

proptest! {
    /// Totals only grow, by no more than the price of the items, and whatever was netted is
    /// no more than what was credited.
    #[test]
    fn totals_with_credits_only_grow(
        price in 0u128..9,
        rate in (1u128..5, 1u128..9),
        notes in prop::collection::vec((1u64..10, 1u128..20), 0..6),
    ) {
        let mut agreed = Agreed::new(&terms(price, rate.0, rate.1));
        let mut from_window = 0;
        for (windows, amount) in notes {
            from_window += windows % 3;
            let credited = agreed.last_leg().credited();
            let total = credited.checked_add(Amount::new(amount)).unwrap();
            let _ = agreed.credit(4 * from_window + 1, total);
        }
        for items in 1..=40u64 {
            let (before, now) = (owed(&agreed, items - 1), owed(&agreed, items));
            prop_assert!(before <= now, "{} items owe {}, {} owe {}", items - 1, before, items, now);
            let most = agreed.last_leg().price_of(items).unwrap().units();
            prop_assert!(now <= most);
            prop_assert!(most - now <= agreed.last_leg().credited().units());
        }
    }

    /// However often the currency and the price change, all that was asked for is worth what the
    /// items cost, less one unit of the last leg's currency at most, and less nothing that adds up;
    /// and never more. Counted again with exact fractions of large integers.
    #[test]
    fn legs_never_add_up_what_each_rounds_off(
        first in (1u128..1_000_000, 1u128..1_000_000_000_000_000_000, 1u128..1_000_000_000),
        then in prop::collection::vec(
            (1u128..1_000_000, 1u128..1_000_000_000_000_000_000, 1u128..1_000_000_000), 0..9),
    ) {
        let mut agreed = Agreed::new(&terms(first.0, first.1, first.2));
        for (nth, (price, numerator, denominator)) in then.into_iter().enumerate() {
            let from_seq = 4 * (nth as u64 + 1) + 1;
            let currency = currency("ETH", numerator, denominator);
            // No leg costs more than the one before.
            let price = Amount::new(price).min(agreed.last_leg().price);
            agreed.begin_leg(from_seq, price, currency, None).unwrap();
        }
        let legs: Vec<&Leg> = agreed.legs().collect();
        // In the default currency's unit, in 2^-128 of it, rounded down for each leg: too small
        // to hide anything.
        let (mut cost, mut asked) = (Exact::ZERO, Exact::ZERO);
        for (nth, leg) in legs.iter().enumerate() {
            let end = legs.get(nth + 1).map_or(40, |next| next.from_seq - 1);
            let items = u128::from(end + 1 - leg.from_seq);
            cost = cost + Exact::of(items * leg.price.units(), 1, 1);
            let Rate { numerator, denominator } = leg.currency.rate;
            let amount = leg.price_of(end).unwrap().units();
            asked = asked + Exact::of(amount, denominator.units(), numerator.units());
        }
        prop_assert!(asked <= cost, "more is asked than it costs");
        let Rate { numerator, denominator } = legs[legs.len() - 1].currency.rate;
        // One unit of the last currency, and what 2^-64 of a unit for each leg can come to.
        let slack = Exact::of(1, denominator.units(), numerator.units()) + Exact::of(9, 1, 1 << 64);
        prop_assert!(cost < asked + slack, "what was rounded off has added up");
    }
}

/// `a * b / c` in 2^-128, by long division in halves of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Exact {
    whole: u128,
    part: u128,
}

impl Exact {
    const ZERO: Exact = Exact { whole: 0, part: 0 };

    fn of(a: u128, b: u128, c: u128) -> Exact {
        let product = a.checked_mul(b).unwrap();
        let (whole, mut rest, mut part) = (product / c, product % c, 0_u128);
        for _ in 0..128 {
            rest *= 2;
            part = part << 1 | u128::from(rest >= c);
            rest -= if rest >= c { c } else { 0 };
        }
        Exact { whole, part }
    }
}

impl std::ops::Add for Exact {
    type Output = Exact;

    fn add(self, other: Exact) -> Exact {
        let (part, carries) = self.part.overflowing_add(other.part);
        Exact { whole: self.whole + other.whole + u128::from(carries), part }
    }
}

#[test]
fn what_is_free_ends_where_an_item_costs_something_again() {
    let mut agreed = Agreed::new(&terms(3, 1, 1));
    assert_eq!([0, 8, 40].map(|items| agreed.free_until(items)), [0, 8, 40]);
    agreed.credit(9, Amount::new(14)).unwrap();
    // 8 items are 24, and 38 is the price of twelve items and two thirds of one.
    assert_eq!([7, 8, 9, 12, 13].map(|items| agreed.free_until(items)), [7, 12, 12, 12, 13]);
    let mut gift = terms(0, 1, 1);
    assert_eq!(Agreed::new(&gift).free_until(3), 40);
    gift.quantity = None;
    assert_eq!(Agreed::new(&gift).free_until(3), u64::MAX);
}

#[test]
fn a_leg_costs_no_more_than_the_one_before() {
    let mut agreed = Agreed::new(&terms(3, 1, 1));
    let begin = |agreed: &mut Agreed, from_seq, price| {
        agreed.begin_leg(from_seq, Amount::new(price), currency("OTH", 7, 3), None)
    };
    begin(&mut agreed, 5, 2).unwrap();
    for price in [3, u128::MAX] {
        let error = begin(&mut agreed, 9, price).unwrap_err();
        assert!(error.contains("above what was agreed"), "{error}");
    }
    begin(&mut agreed, 9, 2).unwrap();
    assert_eq!(agreed.legs().count(), 3);
}

#[test]
fn what_is_free_is_looked_for_in_the_leg_that_follows() {
    // Four items cost 4 in the first leg, and so does the first of the second, whose price is
    // the same at another rate.
    let mut agreed = Agreed::new(&terms(1, 1, 1));
    agreed.begin_leg(5, Amount::new(1), currency("OTH", 4, 1), None).unwrap();
    assert_eq!([owed(&agreed, 4), owed(&agreed, 5)], [4, 4]);
    assert_eq!([3, 4, 5].map(|items| agreed.free_until(items)), [3, 4, 5]);
    // A leg whose items round to nothing is free as long as they do.
    agreed.begin_leg(9, Amount::new(1), currency("BIG", 1, 3), None).unwrap();
    assert_eq!([7, 8, 10, 11].map(|items| agreed.free_until(items)), [7, 10, 10, 13]);
}
