//! Properties of what is trusted, and stories of how it is earned.

use super::*;
use crate::terms::{Method, Rate};
use proptest::prelude::*;
use sdpp_ledger::{ChannelId, Key};

fn pace(granularity: u32, credit_windows: u32) -> Pace {
    Pace { granularity, credit_windows }
}

fn policy() -> PacePolicy {
    PacePolicy { floor: pace(4, 1), most: pace(30, 5), earn_permille: 100, unconfirmed_most: None }
}

fn facts(settled: u128) -> PaceFacts {
    PaceFacts {
        pace: pace(4, 1),
        windows: 1,
        price: Amount::new(5),
        settled: Amount::new(settled),
        unsettled: Amount::ZERO,
        room: None,
        is_ledger_well: true,
    }
}

fn earned(units: u128) -> Known {
    known(Standing { earned: Amount::new(units), ..Standing::default() })
}

fn known(standing: Standing) -> Known {
    Known { standing, elsewhere: Amount::ZERO }
}

#[test]
fn windows_grow_first_and_then_how_many_may_be_unpaid() {
    let steps: Vec<_> = policy().steps().collect();
    let expected =
        [(4, 1), (8, 1), (16, 1), (30, 1), (30, 2), (30, 4), (30, 5)].map(|(k, w)| pace(k, w));
    assert_eq!(steps, expected);
    assert_eq!(PacePolicy::fixed(pace(7, 2)).steps().collect::<Vec<_>>(), [pace(7, 2)]);
}

#[test]
fn a_new_buyer_begins_at_the_floor_and_grows_with_what_it_pays() {
    let policy = policy();
    let at = |settled| policy.pace(&Known::default(), &facts(settled));
    assert_eq!(at(0), None, "it has the floor already");
    assert_eq!(at(399), None, "7 items at 5 are a tenth of that");
    assert_eq!(at(400), Some((pace(8, 1), PaceReason::Earned)));
    assert_eq!(at(u128::MAX), Some((pace(30, 5), PaceReason::Earned)));
    let again = policy.pace(&earned(400), &facts(0));
    assert_eq!(again, Some((pace(8, 1), PaceReason::Earned)), "whichever session paid it");
}

#[test]
fn each_brake_is_named_and_the_strongest_holds() {
    let policy = policy();
    let rich = earned(1_000_000);
    let target = |known: &Known, facts: &PaceFacts| policy.target(known, facts);
    let now = PaceFacts { pace: pace(30, 5), ..facts(0) };
    assert_eq!(target(&rich, &now), (pace(30, 5), PaceReason::Earned));
    let sick = PaceFacts { is_ledger_well: false, ..now };
    assert_eq!(target(&rich, &sick), (pace(4, 1), PaceReason::Ledger));
    let thin = PaceFacts { room: Some(Amount::new(5 * 32)), ..now };
    assert_eq!(target(&rich, &thin), (pace(16, 1), PaceReason::Thin), "and one window more");
    let empty = PaceFacts { room: Some(Amount::ZERO), ..now };
    assert_eq!(target(&rich, &empty), (pace(4, 1), PaceReason::Thin), "never below the floor");
    let owed = Amount::new(100_000 - 5 * 16);
    let debtor = known(Standing { owed, ..rich.standing });
    assert_eq!(target(&debtor, &now), (pace(16, 1), PaceReason::Missed));
    let wide = PaceFacts { room: Some(Amount::new(5 * 1_000)), ..now };
    assert_eq!(target(&debtor, &wide).1, PaceReason::Missed);
}

#[test]
fn what_was_earned_is_shared_with_the_buyers_other_sessions() {
    let policy = policy();
    let target = |elsewhere| {
        let known = Known { elsewhere: Amount::new(elsewhere), ..earned(10 * 5 * 30) };
        policy.target(&known, &facts(0))
    };
    assert_eq!(target(0), (pace(30, 1), PaceReason::Earned));
    assert_eq!(target(5 * 14), (pace(16, 1), PaceReason::Earned));
    assert_eq!(target(5 * 30), (pace(4, 1), PaceReason::Earned), "the floor is everybody's");
}

#[test]
fn too_much_that_is_not_final_slows_down_step_by_step_and_does_not_swing() {
    let policy = PacePolicy { unconfirmed_most: Some(Amount::new(100)), ..policy() };
    let now = |pace, unsettled| PaceFacts { pace, unsettled: Amount::new(unsettled), ..facts(0) };
    let target = |facts: &PaceFacts| policy.target(&earned(u128::MAX), facts);
    assert_eq!(target(&now(pace(30, 4), 101)), (pace(30, 2), PaceReason::Unconfirmed));
    assert_eq!(target(&now(pace(30, 2), 80)), (pace(30, 2), PaceReason::Unconfirmed), "it holds");
    assert_eq!(target(&now(pace(30, 2), 50)), (pace(30, 5), PaceReason::Earned));
    assert_eq!(target(&now(pace(4, 1), 1_000)), (pace(4, 1), PaceReason::Unconfirmed));
}

#[test]
fn a_break_with_something_owed_costs_half_of_what_was_earned() {
    let mut standing = Standing::default();
    standing.pay(Amount::new(1_000), 10);
    standing.part(Amount::ZERO, true);
    assert_eq!(standing.earned, Amount::new(1_000), "nothing was owed");
    standing.part(Amount::new(20), false);
    assert_eq!((standing.earned.units(), standing.owed.units()), (1_000, 20), "in good order");
    standing.part(Amount::new(30), true);
    assert_eq!((standing.earned.units(), standing.owed.units(), standing.broken), (500, 50, 1));
    standing.make_good(Amount::new(50), true);
    assert_eq!((standing.owed.units(), standing.late, standing.settled.units()), (0, 1, 1_000));
}

fn any_pace() -> impl Strategy<Value = Pace> {
    (1..1_000_u32, 1..50_u32)
        .prop_map(|(granularity, credit_windows)| pace(granularity, credit_windows))
}

fn any_policy() -> impl Strategy<Value = PacePolicy> {
    let most = (any_pace(), any_pace(), 0..3_000_u32, proptest::option::of(0..10_000_u128));
    most.prop_map(|(one, other, earn_permille, unconfirmed)| PacePolicy {
        floor: pace(
            one.granularity.min(other.granularity),
            one.credit_windows.min(other.credit_windows),
        ),
        most: pace(
            one.granularity.max(other.granularity),
            one.credit_windows.max(other.credit_windows),
        ),
        earn_permille,
        unconfirmed_most: unconfirmed.map(Amount::new),
    })
}

fn any_facts() -> impl Strategy<Value = PaceFacts> {
    let money = 0..1_000_000_u128;
    let all = (any_pace(), 1..100_u128, money.clone(), money.clone(), proptest::option::of(money));
    (all, any::<bool>()).prop_map(|((pace, price, settled, unsettled, room), is_ledger_well)| {
        let [price, settled, unsettled] = [price, settled, unsettled].map(Amount::new);
        let room = room.map(Amount::new);
        PaceFacts { pace, windows: 1, price, settled, unsettled, room, is_ledger_well }
    })
}

fn any_known() -> impl Strategy<Value = Known> {
    (0..1_000_000_u128, 0..10_000_u128, 0..10_000_u128).prop_map(|(paid, owed, elsewhere)| {
        let standing = Standing { owed: Amount::new(owed), ..earned(paid).standing };
        Known { standing, elsewhere: Amount::new(elsewhere) }
    })
}

proptest! {
    #[test]
    fn never_above_the_most_nor_below_the_floor(
        policy in any_policy(), known in any_known(), facts in any_facts(),
    ) {
        let (pace, _) = policy.target(&known, &facts);
        prop_assert!((policy.floor.granularity..=policy.most.granularity).contains(&pace.granularity));
        let windows = policy.floor.credit_windows..=policy.most.credit_windows;
        prop_assert!(windows.contains(&pace.credit_windows));
    }

    #[test]
    fn never_more_credit_than_was_earned_less_what_is_owed(
        policy in any_policy(), known in any_known(), facts in any_facts(),
    ) {
        let (pace, _) = policy.target(&known, &facts);
        let out = u128::from(pace.credit_items()) * facts.price.units();
        let Known { standing, elsewhere } = known;
        let paid = standing.earned.units() + facts.settled.units();
        let granted = paid * u128::from(policy.earn_permille) / 1_000;
        let granted = granted.saturating_sub(standing.owed.units() + elsewhere.units());
        prop_assert!(pace == policy.floor || out <= granted, "{out} out, {granted} earned");
        let room = facts.room.map_or(u128::MAX, Amount::units);
        prop_assert!(pace == policy.floor || out <= room, "{out} out, {room} in the channel");
    }

    #[test]
    fn who_pays_more_is_never_trusted_less(
        policy in any_policy(), known in any_known(), facts in any_facts(),
        more in 0..1_000_000_u128, here in any::<bool>(),
    ) {
        let (less, _) = policy.target(&known, &facts);
        let (mut known, mut facts) = (known, facts);
        match here {
            true => facts.settled = Amount::new(facts.settled.units() + more),
            false => known.standing.pay(Amount::new(more), 1),
        }
        let (after, _) = policy.target(&known, &facts);
        prop_assert!(after.granularity >= less.granularity);
        prop_assert!(after.credit_windows >= less.credit_windows);
    }
}

const CHANNEL: ChannelId = ChannelId([7; 32]);

fn tally(method: Method, rate: Rate) -> Tally {
    let mut tally = Tally::new(&Key::from_bytes(&[2; 32]).unwrap().public());
    let channel = (method == Method::Escrow).then_some((CHANNEL, Amount::new(100)));
    tally.price(Priced { from_seq: 1, price: Amount::new(6), rate, method, channel });
    tally
}

const HALF: Rate = Rate { numerator: Amount::new(1), denominator: Amount::new(2) };

#[test]
fn a_session_counts_in_the_default_currency_whatever_it_is_paid_in() {
    let (mut standing, mut tally) = (Standing::default(), tally(Method::Transfer, HALF));
    let before = tally.clone();
    tally.invoice(1, 4, Amount::new(12));
    tally.said(1);
    tally.transferred(1, Amount::new(12));
    tally.invoice(2, 8, Amount::new(24));
    tally.count(&before, &mut standing);
    assert_eq!((standing.settled.units(), standing.windows, tally.owed().units()), (24, 1, 24));
    let before = tally.clone();
    tally.end(true);
    tally.count(&before, &mut standing);
    assert_eq!((standing.owed.units(), standing.broken, standing.earned.units()), (24, 1, 12));
    let before = tally.clone();
    tally.transferred(2, Amount::new(12));
    tally.count(&before, &mut standing);
    assert_eq!((standing.owed.units(), standing.late, standing.settled.units()), (0, 1, 48));
}

#[test]
fn items_that_arrived_and_were_not_invoiced_are_owed_and_vouchers_pay_for_them() {
    let mut tally = tally(Method::Escrow, HALF);
    tally.invoice(1, 4, Amount::new(12));
    tally.acknowledge(7);
    assert_eq!(tally.owed(), Amount::new(42));
    tally.vouched(&CHANNEL, Amount::new(112));
    assert_eq!((tally.settled().units(), tally.owed().units()), (24, 18));
    tally.vouched(&CHANNEL, Amount::new(121));
    assert_eq!((tally.settled().units(), tally.owed().units()), (42, 0));
    tally.vouched(&ChannelId([8; 32]), Amount::new(500));
    assert_eq!(tally.settled(), Amount::new(42), "of another channel nothing is its own");
}

/// Of two windows asked for the second is lost, with two items that had arrived of it.
#[test]
fn what_is_void_is_not_owed() {
    let mut tally = tally(Method::Transfer, Rate::ONE);
    let owed = |tally: &Tally| tally.owed().units();
    tally.invoice(1, 4, Amount::new(12));
    tally.invoice(2, 8, Amount::new(24));
    tally.acknowledge(6);
    assert_eq!(owed(&tally), 24);
    tally.void((5, 8), Amount::new(12));
    assert_eq!(owed(&tally), 12);
    tally.invoice(3, 12, Amount::new(24));
    assert_eq!(owed(&tally), 24);
}

#[test]
fn what_an_earlier_leg_owes_stays_owed_at_its_own_rate() {
    let mut tally = tally(Method::Transfer, HALF);
    tally.invoice(1, 4, Amount::new(12));
    let (price, method) = (Amount::new(6), Method::Transfer);
    tally.price(Priced { from_seq: 5, price, rate: Rate::ONE, method, channel: None });
    tally.invoice(2, 8, Amount::new(24));
    assert_eq!(tally.owed(), Amount::new(48));
    tally.transferred(2, Amount::new(24));
    assert_eq!((tally.settled().units(), tally.owed().units()), (24, 24));
    tally.transferred(1, Amount::new(12));
    assert_eq!((tally.settled().units(), tally.owed().units()), (48, 0));
}
