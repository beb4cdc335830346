//! What holds whatever is agreed: random paces, credits and legs, on ledgers that stall and come
//! back. Both sides count alike, no side gains by rounding, and no more is out than was agreed.

use crate::amends::{agreed_by, grant};
use crate::legs::{rate, setting};
use crate::pair::*;
use proptest::prelude::*;
use sdpp::message::{LegReason, PaceReason};
use sdpp::record::{End, Record};
use sdpp::session::Input;
use sdpp::terms::{Agreed, Method, Pace, Terms};
use sdpp_ledger::Amount;
use std::collections::BTreeMap;

/// The price of an item in the default currency.
const PRICE: u128 = 5;

#[derive(Debug, Clone)]
struct Chance {
    methods: (bool, bool),
    /// Of both currencies, for one unit of the default currency.
    rates: ((u128, u128), (u128, u128)),
    pace: (u32, u32),
    quantity: Option<u64>,
    before: bool,
    credits: bool,
    /// The most that the seller's shell lets be out in one currency.
    room: Option<u128>,
    /// At which step what happens, and a number to do it by.
    events: Vec<(usize, u8, u32)>,
}

fn chances() -> impl Strategy<Value = Chance> {
    let rates = || (1u128..40, 1u128..40);
    let events = prop::collection::vec((0usize..160, 0u8..8, 0u32..1_000), 0..14);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let all = (
        (any::<bool>(), any::<bool>()),
        (rates(), rates()),
        (1u32..5, 1u32..4),
        prop::option::of(1u64..40),
        flags,
        (events, prop::option::weighted(0.3, 20u128..400)),
    );
    all.prop_map(|(methods, rates, pace, quantity, (before, credits, _), (events, room))| Chance {
        methods,
        rates,
        pace,
        quantity,
        before,
        credits,
        room,
        events,
    })
}

fn start(chance: &Chance) -> Pair {
    let method = |escrow| if escrow { Method::Escrow } else { Method::Transfer };
    let mut setting = setting(method(chance.methods.0), method(chance.methods.1));
    setting = setting.order("co2", chance.quantity).windows(chance.pace.0, chance.pace.1);
    if chance.before {
        let plain = Setting::default();
        setting.menu.records = plain.menu.records;
        (setting.seller.anchor_before, setting.buyer.anchor_before) = (true, true);
    }
    setting.menu.default_currency = "DLR".to_owned();
    setting.seller.asks_credit = chance.room.is_some();
    setting.deposit = Amount::new(1_000_000);
    // Of a stream without an end the deposit always grows, so that its ledger is needed.
    for ours in &mut setting.wish.currencies {
        ours.channels.deposit = Amount::new(1);
        ours.channels.top_up_below = Some(Amount::new(1 << 60));
    }
    let ((a, b), (c, d)) = chance.rates;
    for offer in &mut setting.menu.currencies_accepted {
        offer.rate = if offer.currency == "SDP" { rate(a, b) } else { rate(c, d) };
    }
    let mut pair = setting.start();
    pair.source = Some(40);
    pair.credit_room = Amount::new(chance.room.unwrap_or(u128::MAX));
    pair
}

fn happen(pair: &mut Pair, credits: bool, event: u8, by: u32) {
    let [one, two] = [ledger(), other_ledger()];
    match event {
        0 => drop(pair.stalled.insert(one)),
        1 => drop(pair.stalled.insert(two)),
        2 => {
            pair.stalled.clear();
            while pair.settle_again() {}
        }
        3 => {
            let ledger = if by.is_multiple_of(2) { one } else { two };
            pair.tell(Role::Buyer, Input::Ledger { ledger, trouble: Some(LegReason::Dear) });
        }
        4 | 5 => {
            let pace = Pace { granularity: 1 + by % 5, credit_windows: 1 + by / 5 % 3 };
            let _ = pair.seller.change_pace(pace, PaceReason::Earned, pair.now_ms);
        }
        6 => drop(pair.buyer.ask_rate()),
        _ if credits => {
            let sent = pair.seller.progress().items;
            let _ = pair.seller.credit(grant(&[sent], Some(u128::from(by % 20))), pair.now_ms);
        }
        _ => {}
    }
}

/// Runs to the end, checking after each step. Ledgers come back when nothing else moves.
fn run(chance: &Chance) -> (Pair, Option<Terms>) {
    let mut pair = start(chance);
    let (mut at, mut terms) = (0, None);
    while !pair.is_over() {
        terms = pair.buyer.terms().cloned().or(terms);
        for (_, event, by) in chance.events.iter().filter(|(step, ..)| *step == at) {
            happen(&mut pair, chance.credits, *event, *by);
        }
        at += 1;
        if !pair.step() && !pair.is_over() {
            // The buyer's patience with its ledger is shorter than anything else.
            match pair.next_timeout() {
                Some(next_ms) if next_ms <= pair.now_ms + 4_000 => drop(pair.wait()),
                _ => {
                    pair.stalled.clear();
                    pair.resume();
                    assert!(pair.step() || pair.is_over(), "neither side can go on");
                }
            }
        }
        no_more_is_out_than_two_legs_have_on_credit(&pair, terms.as_ref());
        no_more_is_out_than_the_book_lets(&pair, terms.as_ref());
        assert!(at < 100_000, "the session does not end");
    }
    (pair, terms)
}

/// Items that left and are not paid, leg by leg.
fn no_more_is_out_than_two_legs_have_on_credit(pair: &Pair, terms: Option<&Terms>) {
    let Some(terms) = terms else { return };
    let agreed = agreed_by(&pair.s.records, terms);
    let sent = pair.seller.progress().items;
    let most = (1..=sent + 1).map(|seq| agreed.pace(seq).credit_items()).max().unwrap();
    let owed_twice = agreed.legs().enumerate().filter(|(place, leg)| {
        let end = agreed.legs().nth(place + 1).map_or(u64::MAX, |next| next.from_seq - 1);
        let items = (leg.from_seq..=sent.min(end)).count() as u64;
        let due = agreed.owed_in(*place, sent).unwrap().units();
        let paid = paid_of(pair, &agreed, *place);
        let covered = agreed.owed_in(*place, sent.min(end).saturating_sub(most)).unwrap();
        assert!(
            items == 0 || covered.units() <= paid,
            "leg {place} has more than {most} items out"
        );
        items > 0 && paid < due
    });
    let legs = owed_twice.count();
    assert!(legs <= 2, "{legs} legs have something out");
}

/// What is sent and not paid by transfer, currency by currency, over all legs.
fn no_more_is_out_than_the_book_lets(pair: &Pair, terms: Option<&Terms>) {
    let Some(terms) = terms else { return };
    let agreed = agreed_by(&pair.s.records, terms);
    let sent = pair.seller.progress().items;
    let mut out: BTreeMap<String, u128> = BTreeMap::new();
    for (place, leg) in agreed.legs().enumerate().filter(|(_, leg)| leg.escrow.is_none()) {
        let owed = agreed.owed_in(place, sent).unwrap().units();
        *out.entry(leg.currency.name.clone()).or_default() +=
            owed.saturating_sub(paid_of(pair, &agreed, place));
    }
    for (currency, out) in out {
        let let_be = pair.credits.iter().filter(|(name, _)| *name == currency);
        let most = let_be.map(|(_, amount)| *amount).filter(|amount| *amount <= pair.credit_room);
        let most = most.max().unwrap_or(pair.credit_room).units();
        assert!(out <= most, "{out} {currency} are out, the book lets {most} be");
    }
}

/// What is paid of a leg, in hand: final transfers, or what its best voucher is worth.
fn paid_of(pair: &Pair, agreed: &Agreed, place: usize) -> u128 {
    let leg = agreed.legs().nth(place).unwrap();
    if let Some(escrow) = leg.escrow {
        let best = pair.s.records.iter().filter_map(|record| match record {
            Record::Voucher { channel, amount, .. } if *channel == escrow.channel => Some(*amount),
            _ => None,
        });
        return best.max().unwrap_or_default().units();
    }
    let end = agreed.legs().nth(place + 1).map_or(u64::MAX, |next| next.from_seq - 1);
    let of_leg = |record: &&Record| match record {
        Record::Invoice { to_seq, .. } => (leg.from_seq..=end).contains(to_seq),
        _ => false,
    };
    let invoices = pair.b.records.iter().filter(of_leg).filter_map(Record::owed);
    let is_final = |reference| {
        let is_taken = pair.ledger.iter().any(|(paid, ..)| *paid == reference);
        is_taken && !pair.is_kept(reference)
    };
    let paid = invoices.filter(|owed| is_final(owed.reference)).map(|owed| match &owed.act {
        sdpp::record::Act::Do(sdpp_ledger::Call::Transfer(transfer)) => transfer.amount.units(),
        _ => 0,
    });
    paid.sum()
}

/// What each leg was invoiced at is what its items cost, by both sides' journals.
fn invoiced_is_owed(pair: &Pair, terms: &Terms) -> Agreed {
    let ours = agreed_by(&pair.s.records, terms);
    assert_eq!(ours, agreed_by(&pair.b.records, terms), "both sides count alike");
    for side in [&pair.s, &pair.b] {
        for record in &side.records {
            if let Record::Invoice { message, to_seq, .. } = record {
                assert_eq!(Some(message.amount_total), ours.owed_for(*to_seq));
            }
        }
    }
    ours
}

/// The items at their price, less what all legs ask for: at least nothing, and less than one unit of
/// the last leg's currency. Exact: in parts of the product of all numerators.
fn rounding_favours_the_buyer_by_less_than_a_unit(agreed: &Agreed, items: u64) {
    let begun: Vec<_> = agreed.legs().filter(|leg| leg.from_seq <= items).collect();
    // The same rate often, so that the least common multiple stays small.
    let lcm = begun.iter().map(|leg| leg.currency.rate.numerator.units()).fold(1, lcm);
    let worth = |amount: u128, at: usize| {
        let rate = begun[at].currency.rate;
        amount * rate.denominator.units() * (lcm / rate.numerator.units())
    };
    let asked: u128 = (0..begun.len())
        .map(|place| worth(agreed.owed_in(place, items).unwrap().units(), place))
        .sum();
    let cost = PRICE * u128::from(items) * lcm;
    assert!(asked <= cost, "{asked} of {cost}: the buyer pays too much");
    assert!(cost - asked < worth(1, begun.len() - 1) + 1, "{asked} of {cost}: more than a unit");
}

fn lcm(one: u128, two: u128) -> u128 {
    let (mut a, mut b) = (one, two);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    one / a * two
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn both_sides_count_alike_whatever_is_agreed(chance in chances()) {
        let (pair, terms) = run(&chance);
        // What rounds to nothing is not sold.
        let Some(terms) = terms else { return Ok(()) };
        for side in [&pair.s, &pair.b] {
            let honest = !matches!(side.end(), End::Misconduct | End::Failed);
            prop_assert!(honest, "{}", side.why());
        }
        let agreed = invoiced_is_owed(&pair, &terms);
        if pair.s.end() == End::Complete {
            let items = pair.s.progress().items;
            let begun = agreed.legs().filter(|leg| leg.from_seq <= items).count();
            for place in 0..begun {
                let owed = agreed.owed_in(place, items).unwrap().units();
                prop_assert_eq!(paid_of(&pair, &agreed, place), owed, "leg {}", place);
            }
            let credited = agreed.legs().any(|leg| leg.credited() != Amount::ZERO);
            if !credited && items > 0 {
                rounding_favours_the_buyer_by_less_than_a_unit(&agreed, items);
            }
        }
    }
}
