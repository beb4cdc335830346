//! What is void costs nothing, wherever it stands: a session with voids is one without them and without
//! their places.

use super::*;

fn void(from_seq: u64, to_seq: u64) -> Void {
    Void { from_seq, to_seq }
}

#[test]
fn an_orders_items_are_those_that_are_given() {
    let mut agreed = Agreed::new(&terms(3, 1, 1));
    agreed.void(void(9, 12)).unwrap();
    assert_eq!([8, 9, 12, 13, 16].map(|seq| agreed.given(seq)), [8, 8, 8, 9, 12]);
    assert_eq!([8, 9, 12, 13].map(|seq| owed(&agreed, seq)), [24, 24, 24, 27]);
    assert_eq!(
        (agreed.last_seq(), agreed.is_last(43), agreed.is_last(44)),
        (Some(44), false, true)
    );
    assert_eq!(
        (agreed.window(11), agreed.window(12), agreed.window_of(13)),
        (Some((41, 44)), None, 4)
    );
    assert_eq!(
        [(16, 4), (16, 5), (13, 1), (16, 13)].map(|(s, n)| agreed.before(s, n)),
        [8, 7, 8, 0]
    );
    assert_eq!(agreed.void_windows(), 1);
    agreed.void(void(37, 44)).unwrap();
    assert_eq!((agreed.last_seq(), agreed.window_end(49)), (Some(52), 52));
}

#[test]
fn a_void_takes_the_place_of_an_order_that_ends_in_it() {
    let mut ten = Agreed::new(&Terms { quantity: Some(10), ..terms(3, 1, 1) });
    assert_eq!((ten.window_end(9), ten.full_window_end(9)), (10, 12));
    ten.void(void(9, 12)).unwrap();
    assert_eq!((ten.window(3), ten.window(4)), (Some((9, 12)), Some((13, 14))));
    assert_eq!((owed(&ten, 12), owed(&ten, 14)), (24, 30));
}

#[test]
fn what_is_no_void_under_the_terms_says_why() {
    let mut agreed = Agreed::new(&terms(3, 1, 1));
    agreed.void(void(5, 8)).unwrap();
    for (one, why) in [
        (void(0, 4), "begins no window"),
        (void(10, 12), "begins no window"),
        (void(13, 12), "begins no window"),
        (void(9, 11), "ends no window"),
        (void(5, 12), "void already"),
        (void(1, 4), "void already"),
        (void(9, 1_000_020), "more than can have left"),
        (void(45, 48), "all that was ordered"),
    ] {
        let said = agreed.clone().void(one).unwrap_err();
        assert!(said.contains(why), "{one:?}: {said}");
    }
    agreed.void(void(9, 20)).unwrap();
}

/// As many places as a void can have in any session are counted without counting the windows' credit.
#[test]
fn a_void_has_no_more_places_than_any_session_may_have_out() {
    let mut endless = Terms { granularity: 1, credit_windows: u32::MAX, ..terms(3, 1, 1) };
    endless.quantity = None;
    let mut agreed = Agreed::new(&endless);
    let said = agreed.void(void(2, 8_000_000_000)).unwrap_err();
    assert!(said.contains("more than can have left"), "{said}");
    assert_eq!(agreed.pace(2).void_items_max(), 2 * Pace::CREDIT_ITEMS_MAX + 1);
    agreed.void(void(2, 1_000_003)).unwrap();
}

/// A change at a place, of what kind: a void, a credit note or a leg.
type Event = (u64, u8, u128);

/// Has a change happen, which is in force from an item on.
fn happen(agreed: &mut Agreed, from_seq: u64, (kind, size): (u8, u128)) -> Result<(), String> {
    match kind {
        0 => agreed.void(void(from_seq, from_seq + 3 + 4 * (size as u64 % 2))),
        1 => {
            let total = agreed.last_leg().credited().units() + 1 + size % 20;
            agreed.credit(from_seq, Amount::new(total))
        }
        _ => {
            let (price, to) =
                (agreed.last_leg().price, currency("OTH", 1 + size % 7, 1 + size % 5));
            agreed.begin_leg(from_seq, price, to, None)
        }
    }
}

/// The session with its voids, and the same without them and their places; `None` where that cannot be: a
/// note was agreed for items that cost something then.
fn both(events: &[Event], price: u128, rate: (u128, u128)) -> Option<(Agreed, Agreed)> {
    let terms = Terms { quantity: None, ..terms(price, rate.0, rate.1) };
    let (mut with, mut without) = (Agreed::new(&terms), Agreed::new(&terms));
    let mut went = Vec::new();
    for (window, kind, size) in events.iter().copied() {
        let from_seq = 1 + 4 * window;
        if happen(&mut with, from_seq, (kind, size)).is_ok() && kind != 0 {
            went.push((from_seq, (kind, size)));
        }
    }
    for (from_seq, change) in went {
        happen(&mut without, with.given(from_seq - 1) + 1, change).ok()?;
    }
    Some((with, without))
}

proptest! {
    #[test]
    fn a_session_costs_what_it_would_without_what_is_void(
        mut events in prop::collection::vec((0u64..30, 0u8..3, 0u128..1000), 0..14),
        // In the order in which they are proposed, at times some windows early: what begins inside of
        // a void was agreed before it.
        early in 0u64..3,
        price in 1u128..50,
        rate in (1u128..9, 1u128..9),
    ) {
        events.sort_by_key(|(window, kind, _)| {
            if *kind == 0 { *window + early } else { *window }
        });
        let Some((with, without)) = both(&events, price, rate) else { return Ok(()) };
        prop_assert_eq!(with.legs().count(), without.legs().count());
        for seq in 0..130u64 {
            let given = with.given(seq);
            for place in 0..with.legs().count() {
                prop_assert_eq!(
                    with.owed_in(place, seq), without.owed_in(place, given),
                    "leg {} at {}: {:?}", place, seq, with.voids()
                );
            }
            prop_assert_eq!(with.worth(seq), without.worth(given));
            prop_assert!(with.is_void(seq) || with.before(seq, 0) == seq);
        }
    }
}

/// A peer may name any place there is.
#[test]
fn what_was_vouched_before_a_void_at_the_last_place_there_is_is_known() {
    let mut agreed = Agreed::new(&Terms { quantity: None, granularity: 5, ..terms(1, 1, 1) });
    agreed.void(void(u64::MAX - 4, u64::MAX)).unwrap();
    let before = agreed.last_leg().price_before_void(u64::MAX);
    assert_eq!(before, Some(Amount::new(u128::from(u64::MAX))));
}
