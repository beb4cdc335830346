//! Properties of when something is settled.

use super::*;
use proptest::prelude::*;

fn hand(value: u128, fee: Option<u128>) -> Hand {
    Hand { value: Amount::new(value), since_ms: 1_000, fee: fee.map(Amount::new), latest_ms: None }
}

const ALL: Policy = Policy {
    fee_below_permille: Some(10),
    age_ms: Some(500),
    exposure: Some(Amount::new(100_000)),
};

#[test]
fn fee_age_and_exposure_each_demand_it_alone() {
    let at = |value, fee, now_ms| ALL.decide(&hand(value, fee), now_ms);
    assert_eq!(at(10_000, Some(100), 1_000), Why::Dear, "a hundredth is not below it");
    assert_eq!(at(10_001, Some(100), 1_000), Why::Cheap);
    assert_eq!(at(10_000, None, 1_499), Why::FeeUnknown);
    assert_eq!(at(1, Some(100), 1_500), Why::Age);
    assert_eq!(at(100_000, None, 1_000), Why::Exposure);
    let silent = Policy::default();
    assert!(silent.is_silent() && !ALL.is_silent());
    assert_eq!(silent.decide(&hand(u128::MAX, Some(0)), u64::MAX), Why::Waits);
}

#[test]
fn a_fee_is_told_in_another_currency_by_both_rates_and_never_too_low() {
    let rate = |up, down| Rate { numerator: Amount::new(up), denominator: Amount::new(down) };
    let wei = rate(1_000_000_000, 1);
    let told = |fee, of: &Rate| fee_in(Amount::new(fee), of, &Rate::ONE).map(Amount::units);
    assert_eq!(told(5_000_000_000, &wei), Some(5));
    assert_eq!(told(1, &wei), Some(1), "rounded up");
    assert_eq!(told(7, &rate(0, 1)), None);
    assert_eq!(fee_in(Amount::new(3), &wei, &wei), Some(Amount::new(3)));
    assert_eq!(fee_in(Amount::new(3), &Rate::ONE, &wei), Some(Amount::new(3_000_000_000)));
    let large = rate(u128::from(u64::MAX), 3);
    assert_eq!(fee_in(Amount::new(1), &large, &rate(1, u128::MAX)), None);
}

proptest! {
    #[test]
    fn more_in_hand_older_or_cheaper_never_makes_it_wait(
        permille in proptest::option::of(0..2_000_u32),
        age_ms in proptest::option::of(0..2_000_u64),
        exposure in proptest::option::of(1..1_000_000_u128),
        value in 0..1_000_000_u128, fee in 0..1_000_u128, now_ms in 1_000..4_000_u64,
        more in 0..1_000_u128, less in 0..1_000_u128, later in 0..1_000_u64,
    ) {
        let exposure = exposure.map(Amount::new);
        let policy = Policy { fee_below_permille: permille, age_ms, exposure };
        let before = policy.decide(&hand(value, Some(fee)), now_ms);
        let cheaper = Some(fee.saturating_sub(less));
        let after = policy.decide(&hand(value + more, cheaper), now_ms + later);
        prop_assert!(!before.is_now() || after.is_now());
        if before == Why::Cheap {
            prop_assert!(fee * 1_000 < value * u128::from(permille.unwrap()));
        }
    }
}
