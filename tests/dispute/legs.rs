//! Sessions with several legs, paces and quotes before the judge: who owes whom how much in which
//! currency, and what a leg that one side leaves out proves.

use crate::pair::{self, START_MS, key};
use crate::properties::{Lie, never_accused, tell_lies};
use crate::told::{Paid, Told};
use crate::{key_of, lie, nth, offences, sign_again, verdict};
use proptest::prelude::*;
use sdpp::crypto::layout::MessageKind;
use sdpp::dispute::{Body, Bundle, Condition, Offence, Verdict, export};
use sdpp::message::{Amend, Change, Draft, Moment, PaceChange, PaceReason, Refused};
use sdpp::record::{Record, SignedMessage};
use sdpp::terms::{Method, Pace, Role};
use sdpp_ledger::{Amount, ChannelId, Digest};
use serde_json::json;

fn bundle(told: &Told, role: Role) -> Bundle {
    export(&told.entries(role), told.session, &key_of(role), Moment(START_MS), &[]).unwrap()
}

fn both(told: &Told) -> [Bundle; 2] {
    [bundle(told, Role::Seller), bundle(told, Role::Buyer)]
}

/// Who owes whom in which currency: at most, and at least.
fn debts(verdict: &Verdict) -> Vec<(Role, &str, u128, u128)> {
    let debts = verdict.debts.iter();
    debts
        .map(|one| (one.by, one.currency.as_str(), one.at_most.units(), one.at_least.units()))
        .collect()
}

fn without_amends(bundle: &Bundle) -> Bundle {
    lie(bundle, |body| body.messages.retain(|message| message.kind != MessageKind::Amend))
}

#[test]
fn each_leg_is_judged_in_its_currency() {
    for method in [Method::Transfer, Method::Escrow] {
        let [seller, buyer] = both(&Told::failed_over(method));
        for bundles in [vec![seller.clone(), buyer.clone()], vec![seller]] {
            let found = verdict(&bundles);
            assert_eq!(debts(&found), [(Role::Buyer, "SDP", 40, 0)], "{found}");
            let [Condition::Final { from_seq: 1, window: 2, pays, .. }] = &found.unless[..] else {
                panic!("{found}")
            };
            assert_eq!((pays.units(), found.misdeeds), (40, 0), "{found}");
            let [first, last] = &found.legs[..] else { panic!("{found}") };
            let figures = |leg: &sdpp::dispute::LegVerdict| {
                let (items, due) = (leg.acknowledged.items, leg.due.units());
                (
                    leg.from_seq,
                    items,
                    due,
                    leg.invoiced.amount.units(),
                    leg.receipted.amount.units(),
                )
            };
            assert_eq!((figures(first), figures(last)), ((1, 8, 80, 80, 40), (9, 8, 34, 34, 34)));
            // Outside of the legs the last one is told.
            assert_eq!((found.trade.pay.currency.as_str(), found.due.units()), ("FAR", 34));
            let told = found.to_string();
            let agreed =
                "Both agreed that from item 9 on it costs 10 of the menu's own unit an item";
            assert!(told.contains(agreed), "{told}");
            assert!(told.contains("The buyer owes the seller 0.000040 SDP, unless"), "{told}");
        }
        // A buyer's ledger is its own word.
        let alone = verdict(&[buyer]);
        let paid =
            debts(&alone).iter().all(|(by, .., at_least)| (*by, *at_least) == (Role::Buyer, 0));
        assert!(paid && alone.misdeeds == 0, "{alone}");
    }
}

#[test]
fn a_leg_that_a_buyer_leaves_out_makes_no_liar_of_the_seller() {
    for method in [Method::Transfer, Method::Escrow] {
        let [seller, buyer] = both(&Told::failed_over(method));
        let without = without_amends(&buyer);
        let alone = verdict(std::slice::from_ref(&without));
        assert_eq!(offences(&alone), [], "{alone}");
        let note = "invoice 3 speaks of a change that is not in this evidence";
        assert!(alone.notes.iter().any(|one| one.contains(note)), "{alone}");
        assert!(alone.debts.iter().all(|debt| debt.by == Role::Buyer), "{alone}");
        // Once the seller is heard nothing is missing.
        let found = verdict(&[seller, without]);
        assert_eq!(debts(&found), [(Role::Buyer, "SDP", 40, 0)], "{found}");
        assert_eq!(offences(&found), [], "{found}");
    }
}

/// What a leg rounds off the next asks for, so a leg of which a buyer does not say what it answered, or
/// says that it refused it, or does not show the words, changes what that costs.
#[test]
fn an_answer_to_a_leg_that_a_buyer_hides_makes_no_liar_of_the_seller() {
    let mut told = Told::order("SDP", Method::Transfer);
    told.window(Paid::Final);
    assert!(told.begin_leg("FAR", Method::Transfer, 8));
    told.window(Paid::Final);
    assert!(told.begin_leg("SDP", Method::Transfer, 1));
    told.window(Paid::Final);
    let [seller, buyer] = both(&told);
    let is_first = |one: &SignedMessage| one.kind == MessageKind::Amend && one.number == 1;
    let is_answer = |one: &SignedMessage| is_first(one) && *one == Told::answer(one);
    let without = lie(&buyer, |body| body.messages.retain(|one| !is_answer(one)));
    assert!(without.body().messages.len() < buyer.body().messages.len());
    let (by, change) = (Role::Seller, Change::Refused(Refused { why: String::new() }));
    let refusal = Amend { number: 1, by, from_seq: 5, change };
    let refused = lie(&without, |body| {
        body.messages.push(Draft::new(told.session, &refusal).sign(&key(2), "").0);
    });
    let wordless = |is_it: &dyn Fn(&SignedMessage) -> bool| {
        lie(&buyer, |body| {
            let found = body.messages.iter_mut().filter(|one| is_it(one));
            found.for_each(|one| one.data = None);
        })
    };
    let lies =
        [without, refused, wordless(&is_answer), wordless(&|one| is_first(one) && !is_answer(one))];
    for lied in lies {
        let alone = verdict(std::slice::from_ref(&lied));
        assert_eq!(offences(&alone), [], "{alone}");
        let found = verdict(&[seller.clone(), lied]);
        assert!(offences(&found).iter().all(|(by, _)| *by == Role::Buyer), "{found}");
    }
}

/// Where a pace was taken, and its buyer says that it was refused, a leg behind it begins no window any more.
#[test]
fn a_leg_that_follows_on_what_a_buyer_hides_makes_no_liar_of_the_seller() {
    let mut told = Told::order("SDP", Method::Transfer);
    told.window(Paid::Final);
    assert!(told.pace(2, 1));
    told.window(Paid::Final);
    assert!(told.begin_leg("FAR", Method::Transfer, 8));
    told.window(Paid::Final);
    assert!(told.pace(2, 2) && told.begin_leg("SDP", Method::Transfer, 1));
    told.window(Paid::Final);
    let [seller, buyer] = both(&told);
    let (by, change) = (Role::Seller, Change::Refused(Refused { why: String::new() }));
    let refusal = Amend { number: 1, by, from_seq: 5, change };
    let refused = lie(&buyer, |body| {
        let is_first = |one: &SignedMessage| one.kind == MessageKind::Amend && one.number == 1;
        body.messages.retain(|one| !(is_first(one) && *one == Told::answer(one)));
        body.messages.push(Draft::new(told.session, &refusal).sign(&key(2), "").0);
    });
    let alone = verdict(std::slice::from_ref(&refused));
    assert_eq!(offences(&alone), [], "{alone}");
    let found = verdict(&[seller, refused]);
    assert!(offences(&found).iter().all(|(by, _)| *by == Role::Buyer), "{found}");
}

/// A pace that a buyer refused moves no price: what was credited behind it counts, and what was invoiced.
#[test]
fn what_is_behind_a_pace_that_was_refused_counts_though_the_buyer_is_heard_alone() {
    let mut told = Told::order("SDP", Method::Transfer);
    told.window(Paid::Final);
    let pace = Pace { granularity: 4_000, credit_windows: 2 };
    told.refuse(Change::Pace(PaceChange { pace, why: PaceReason::Earned }));
    assert!(told.credit(5) && told.pace(2, 1));
    told.window_with(Paid::Never, |invoice| invoice.amount_total = Amount::new(1_000));
    let [seller, buyer] = both(&told);
    for bundles in [vec![buyer.clone()], vec![seller, buyer]] {
        let found = verdict(&bundles);
        assert_eq!(found.legs[0].credited.units(), 5, "{found}");
        assert_eq!(offences(&found), [(Role::Seller, Offence::WrongInvoice)], "{found}");
    }
}

#[test]
fn a_seller_that_leaves_out_its_own_leg_has_invoiced_what_no_leg_has() {
    let [seller, buyer] = both(&Told::failed_over(Method::Transfer));
    let without = without_amends(&seller);
    let alone = verdict(std::slice::from_ref(&without));
    assert!(offences(&alone).contains(&(Role::Seller, Offence::WrongInvoice)), "{alone}");
    never_accused(&alone, Role::Buyer);
    let found = verdict(&[without, buyer]);
    assert_eq!(offences(&found), [], "the buyer brings it: {found}");
    assert_eq!(debts(&found), [(Role::Buyer, "SDP", 40, 0)], "{found}");
}

/// Units of one currency do not become another's, dearer ones.
#[test]
fn a_credit_of_a_leg_that_the_buyer_leaves_out_is_credited_in_no_other() {
    let mut told = Told::order("SDP", Method::Transfer);
    told.window(Paid::Final);
    assert!(told.begin_leg("FAR", Method::Transfer, 10));
    told.window(Paid::Final);
    assert!(told.credit(5));
    told.window(Paid::Final).end();
    let [seller, buyer] = both(&told);
    let credited = |found: &Verdict| -> Vec<u128> {
        found.legs.iter().map(|leg| leg.credited.units()).collect()
    };
    let without = lie(&buyer, |body| {
        body.messages.retain(|one| one.kind != MessageKind::Amend || one.number != 1);
    });
    let alone = verdict(std::slice::from_ref(&without));
    assert_eq!(credited(&alone), [0], "{alone}");
    assert!(alone.debts.iter().all(|debt| debt.by == Role::Buyer), "{alone}");
    never_accused(&alone, Role::Seller);
    for bundles in [vec![buyer], vec![seller, without]] {
        let found = verdict(&bundles);
        assert_eq!(credited(&found), [0, 5], "{found}");
        assert_eq!(offences(&found), [], "{found}");
    }
}

/// What the judge says, and the change to an invoice that it says it of.
type Untrue<'a> = (&'a str, &'a dyn Fn(&mut serde_json::Value));

/// By the seller's own signature, where it was heard.
#[test]
fn an_invoice_in_a_currency_at_a_rate_or_of_a_pace_that_was_not_agreed_is_misconduct() {
    let mut paced = Told::order("FAR", Method::Transfer);
    paced.window(Paid::Final);
    assert!(paced.pace(6, 1));
    paced.window(Paid::Final).end();
    let [seller, buyer] = both(&paced);
    let cases: [Untrue<'_>; 5] = [
        ("asks for another currency", &|invoice| invoice["currency"] = json!("SDP")),
        ("asks for another currency, or to pay another", &|invoice| {
            invoice["payment_address"] = json!(key(1).public().account());
        }),
        ("is counted at 4 for 7, agreed was 3 for 7", &|invoice| {
            invoice["rate"]["numerator"] = json!("4");
        }),
        ("its rate comes from elsewhere", &|invoice| {
            invoice["rate"]["quote"]["sources"][0]["source"] = json!("another");
        }),
        ("its pace is that of amend 7, which was not agreed", &|invoice| {
            invoice["pace"]["amend"] = json!(7);
        }),
    ];
    for (what, change) in cases {
        let lying = lie(&seller, |body| {
            let invoice = nth(body, MessageKind::DataInvoice, 1);
            sign_again(invoice, &key(1), |data| change(&mut data["invoice"]));
        });
        let found = verdict(&[
            lying,
            lie(&buyer, |body| {
                body.messages.retain(|one| one.kind != MessageKind::DataInvoice || one.number != 2);
            }),
        ]);
        let named = found.misconduct.iter().any(|one| {
            (one.by, one.what) == (Role::Seller, Offence::WrongInvoice) && one.why.contains(what)
        });
        assert!(named, "{what}: {found}");
        never_accused(&found, Role::Buyer);
    }
}

#[test]
fn two_different_legs_under_one_number_are_misconduct_whoever_shows_them() {
    let told = Told::failed_over(Method::Transfer);
    let mut again = Told::order("SDP", Method::Transfer);
    again.window(Paid::Final).window(Paid::Pending);
    let dearer = again.turn("SDP", Method::Transfer, 10);
    let other = again.proposal(Change::Leg(dearer));
    let [seller, buyer] = both(&told);
    let shows = lie(&buyer, |body| body.messages.push(other.clone()));
    for bundles in [vec![shows.clone()], vec![seller, shows]] {
        let found = verdict(&bundles);
        assert_eq!(offences(&found), [(Role::Seller, Offence::WrongChange)], "{found}");
        let twice = "two different changes with number 1";
        assert!(found.misconduct.iter().any(|one| one.why.contains(twice)), "{found}");
        // What the buyer agreed to holds all the same.
        assert_eq!(found.legs[1].pay.currency, "FAR", "{found}");
    }
}

/// Whichever of its two words the seller heard counts.
#[test]
fn a_buyer_that_agrees_to_a_leg_and_refuses_it_gains_nothing() {
    let told = Told::failed_over(Method::Transfer);
    let [seller, buyer] = both(&told);
    let why = "no".to_owned();
    let change = Change::Refused(Refused { why });
    let refusal = Amend { number: 1, by: Role::Seller, from_seq: 9, change };
    let (refusal, _) = Draft::new(told.session, &refusal).sign(&key(2), "");
    let refuses = lie(&buyer, |body| body.messages.push(refusal.clone()));
    let found = verdict(&[seller, refuses]);
    assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongChange)], "{found}");
    assert_eq!(debts(&found), [(Role::Buyer, "SDP", 40, 0)], "{found}");

    // The other way round the seller went on in the first leg.
    let mut refused = Told::order("SDP", Method::Transfer);
    refused.window(Paid::Final).window(Paid::Final);
    let turn = refused.turn("FAR", Method::Transfer, 1);
    let proposal = refused.proposal(Change::Leg(turn));
    for journal in [&mut refused.s, &mut refused.b] {
        journal.push(Record::Amend { by: Role::Seller, message: proposal.clone() });
        journal.push(Record::Amend { by: Role::Buyer, message: refusal.clone() });
    }
    refused.window(Paid::Never).end();
    let [seller, buyer] = both(&refused);
    let honest = verdict(&[seller.clone(), buyer.clone()]);
    assert_eq!((debts(&honest), offences(&honest)), (vec![(Role::Buyer, "SDP", 40, 40)], vec![]));
    let agrees = lie(&buyer, |body| {
        body.messages.push(Told::answer(&proposal));
        body.messages.retain(|message| message.kind != MessageKind::Amend || *message != refusal);
    });
    let found = verdict(&[seller, agrees]);
    assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongChange)], "{found}");
    assert_eq!(debts(&found), [(Role::Buyer, "SDP", 40, 40)], "{found}");
}

/// Each channel's best voucher is held, and is worth what lies between its leg's base and the next's.
#[test]
fn legs_on_two_channels_are_each_paid_from_their_own() {
    let mut told = Told::order("SDP", Method::Escrow);
    told.window(Paid::Final);
    assert!(told.begin_leg("FAR", Method::Escrow, 10));
    told.window(Paid::Final);
    assert!(told.begin_leg("SDP", Method::Escrow, 10));
    told.window(Paid::Final).end();
    let [seller, buyer] = both(&told);
    let held: Vec<_> = seller.body().held().map(|one| (one.channel, one.amount.units())).collect();
    assert_eq!(held, [(ChannelId([5; 32]), 80), (ChannelId([6; 32]), 17)]);
    assert_eq!(Bundle::parse(&seller.write()).unwrap(), seller);
    for bundles in [vec![seller.clone(), buyer], vec![seller]] {
        let found = verdict(&bundles);
        assert_eq!(found.misdeeds, 0, "{found}");
        let worth =
            |leg: &sdpp::dispute::LegVerdict| leg.voucher.as_ref().map(|one| one.worth.units());
        let worths: Vec<_> = found.legs.iter().map(worth).collect();
        // What the second leg rounded off, a third of a unit, is too little for the third to ask for.
        assert_eq!(worths, [Some(40), Some(17), Some(40)], "{found}");
        assert!(found.debts.iter().all(|debt| debt.at_least == Amount::ZERO), "{found}");
    }
}

#[test]
fn a_bundle_of_one_leg_is_written_as_ever() {
    let mut told = Told::order("SDP", Method::Escrow);
    told.window(Paid::Final).end();
    for one in both(&told) {
        let text = String::from_utf8(one.write()).unwrap();
        assert!(!text.contains("more_vouchers") && !text.contains("\"legs\""), "{text}");
        let acts = one.body().ledgers.acts.iter();
        assert!(acts.into_iter().all(|act| act.channel.is_none()));
    }
}

/// A lie about changes: which, and some number in it.
fn tell_of_changes(body: &mut Body, role: Role, (which, number): (u8, u64)) {
    let own = key_of(role);
    let is_amend = |message: &SignedMessage| message.kind == MessageKind::Amend;
    let amends = body.messages.iter().filter(|one| is_amend(one)).count();
    let at = usize::try_from(number).unwrap_or(0) % amends.max(1);
    let place = body.messages.iter().enumerate().filter(|(_, one)| is_amend(one)).nth(at);
    let place = place.map(|(place, _)| place);
    match which % 5 {
        0 => body.messages.retain(|message| !is_amend(message)),
        1 => drop(place.map(|place| body.messages.remove(place))),
        2 => place.into_iter().for_each(|place| body.messages[place].data = None),
        3 => {
            let why = String::new();
            let (number, change) = (1 + number % 4, Change::Refused(Refused { why }));
            let amend = Amend { number, by: Role::Seller, from_seq: 5, change };
            body.messages.push(Draft::new(body.session, &amend).sign(&own, "").0);
        }
        _ => {
            // Another one beside it, or its own word for what the other never heard.
            let Some(place) = place else { return };
            let mut other = body.messages[place].clone();
            if number % 2 == 0 {
                other.data = None;
                other.commitment = Digest::ZERO;
                other.commitment.0[31] = 1 + u8::try_from(number % 40).unwrap_or(0);
            }
            other.signature = own.sign(&other.digest());
            body.messages.push(other);
        }
    }
}

/// How it is ordered, what is done then, and whether it ends in good order.
type Story = ((bool, bool), Vec<(u8, u8, u8)>, bool);

fn stories() -> impl Strategy<Value = Story> {
    let steps = prop::collection::vec(any::<(u8, u8, u8)>(), 1..10);
    (any::<(bool, bool)>(), steps, any::<bool>())
}

/// What a story does next: a window and what becomes of it, a credit, a pace, or a leg.
fn play((ordered, steps, ends): &Story) -> Told {
    let name = |is_far| if is_far { "FAR" } else { "SDP" };
    let method = |by_escrow| if by_escrow { Method::Escrow } else { Method::Transfer };
    let mut told = Told::order(name(ordered.0), method(ordered.1));
    // Behind a window that is not paid none is sent, but in another leg.
    let mut is_stuck = false;
    for (which, one, two) in steps {
        let paid = [Paid::Final, Paid::Final, Paid::Pending, Paid::Never];
        match which % 8 {
            0..=3 if told.items < 80 && !is_stuck => {
                let paid = paid[usize::from(one % 4)];
                told.window(paid);
                is_stuck = paid != Paid::Final;
            }
            4 => drop(told.credit(1 + u128::from(*one) % 40)),
            5 => drop(told.pace(1 + u32::from(*one) % 8, 1 + u32::from(*two) % 3)),
            6 | 7 => {
                let price = 1 + u128::from(*two) % 10;
                is_stuck &= !told.begin_leg(name(one % 2 == 0), method(one % 4 < 2), price);
            }
            _ => {}
        }
    }
    if *ends {
        told.end();
    }
    told
}

fn lies() -> impl Strategy<Value = (Vec<Lie>, Vec<(u8, u64)>)> {
    let any_lie = (any::<u8>(), 0usize..40, any::<u64>());
    (prop::collection::vec(any_lie, 0..3), prop::collection::vec((any::<u8>(), any::<u64>()), 0..4))
}

fn lying(honest: &Bundle, (lies, of_changes): &(Vec<Lie>, Vec<(u8, u64)>)) -> Bundle {
    let role = honest.body().role;
    let told = tell_lies(honest, lies);
    lie(&told, |body| of_changes.iter().for_each(|one| tell_of_changes(body, role, *one)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn an_honest_buyer_with_legs_is_never_accused_and_owes_no_more_than_it_signed(
        story in stories(),
        told_lies in lies(),
    ) {
        let told = play(&story);
        let [seller, honest] = both(&told);
        let liar = lying(&seller, &told_lies);
        never_accused(&verdict(std::slice::from_ref(&liar)), Role::Buyer);
        never_accused(&verdict(std::slice::from_ref(&honest)), Role::Seller);
        let found = verdict(&[liar, honest]);
        never_accused(&found, Role::Buyer);
        for (place, leg) in found.legs.iter().enumerate() {
            let agreed = told.agreement.agreed();
            let Some(known) = agreed.legs().nth(place) else {
                prop_assert!(false, "a leg that nobody agreed to: {found}");
                continue;
            };
            prop_assert_eq!(&leg.pay.currency, &known.currency.name, "{}", &found);
            let most = told.invoiced.get(&place).copied().unwrap_or_default();
            let most = most.checked_add(known.credited()).unwrap();
            let owed = leg.debts.iter().filter(|debt| debt.by == Role::Buyer);
            prop_assert!(owed.into_iter().all(|debt| debt.at_most <= most), "{most}: {found}");
        }
    }

    #[test]
    fn an_honest_seller_with_legs_is_never_accused_and_loses_nothing_that_was_acknowledged(
        story in stories(),
        told_lies in lies(),
    ) {
        let told = play(&story);
        let [honest, buyer] = both(&told);
        let liar = lying(&buyer, &told_lies);
        let alone = verdict(std::slice::from_ref(&liar));
        never_accused(&alone, Role::Seller);
        let by_itself = verdict(std::slice::from_ref(&honest));
        never_accused(&by_itself, Role::Buyer);
        let found = verdict(&[honest, liar]);
        never_accused(&found, Role::Seller);
        for (place, leg) in told.agreement.agreed().legs().enumerate() {
            let of = |debts: &[sdpp::dispute::Debt], by: Role| {
                let found = debts.iter().find(|debt| debt.by == by);
                found.map_or(Amount::ZERO, |debt| debt.at_most)
            };
            let judged = &found.legs[place];
            let settled = told.settled.get(&place).copied().unwrap_or_default();
            let rest = by_itself.legs[place].due.saturating_sub(settled);
            prop_assert!(of(&judged.debts, Role::Buyer) >= rest, "{rest}: {found}");
            prop_assert!(of(&judged.debts, Role::Seller) <= leg.credited(), "{found}");
        }
    }
}

/// What a story wants of its wire is there.
#[test]
fn a_story_with_legs_is_one_that_both_books_can_hold() {
    let told = Told::failed_over(Method::Escrow);
    let invoices = |records: &[Record]| {
        records.iter().filter(|record| matches!(record, Record::Invoice { .. })).count()
    };
    assert_eq!((invoices(&told.s), invoices(&told.b)), (4, 4));
    assert_eq!(told.agreement.agreed().legs().count(), 2);
    assert_ne!(pair::ledger(), crate::told::elsewhere());
}
