//! Several legs, paces and quotes in a journal: each leg is counted by itself, in its own currency.

use crate::lies::{lie, sign_again};
use crate::pair::{Side, key};
use crate::told::{Paid, Told, elsewhere, ledger_of};
use crate::{Book, audit, buyer, seller};
use proptest::prelude::*;
use sdpp::audit::{By, Expected, LegStatement, Report, Span, State, Statement, Totals};
use sdpp::dispute::{Bundle, Keys, Verdict, export, judge};
use sdpp::journal::Entry;
use sdpp::journal::prune::Tally;
use sdpp::message::Moment;
use sdpp::record::{End, Record, SignedMessage};
use sdpp::terms::{Method, Role};
use sdpp_ledger::{Amount, PublicKey};
use serde_json::json;

fn owner(role: Role) -> PublicKey {
    if role == Role::Seller { seller() } else { buyer() }
}

fn report(told: &Told, role: Role) -> Report {
    audit(&owner(role), &told.entries(role))
}

fn figures(leg: &LegStatement) -> [u128; 4] {
    [leg.invoiced, leg.paid, leg.settled, leg.outstanding].map(Amount::units)
}

#[test]
fn each_leg_is_stated_by_itself_on_both_sides() {
    for method in [Method::Transfer, Method::Escrow] {
        let told = Told::failed_over(method);
        for role in [Role::Seller, Role::Buyer] {
            let report = report(&told, role);
            assert_eq!(report.problems, [], "{role} {method}");
            let [one] = &report.statements[..] else { panic!("one session") };
            let [first] = &one.earlier[..] else { panic!("one leg before the last") };
            // Eight items are 80 SDP, of which 40 are final.
            assert_eq!(figures(first), [80, 80, 40, 40], "{role} {method}");
            assert_eq!((first.from_seq, first.items_delivered, first.items_acked), (1, 8, 8));
            assert_eq!(first.ledger, ledger_of("SDP"));
            // Eight more are 80 again, at three for seven 34 and two sevenths.
            assert_eq!(figures(&one.last), [34, 34, 34, 0], "{role} {method}");
            assert_eq!((one.last.from_seq, one.last.items_delivered), (9, 8));
            assert_eq!((one.last.ledger.clone(), one.last.method), (elsewhere(), method));
            assert_eq!((one.items_delivered, one.windows, one.unrated), (16, 4, 0));
            assert_eq!(one.state, State::Ended(End::Outstanding));
        }
    }
}

/// Both books to the unit in every currency, over a day's sessions.
#[test]
fn a_days_mixed_takings_are_summed_in_every_currency() {
    let told = Told::failed_over(Method::Transfer);
    let mut plain = Told::order("FAR", Method::Transfer);
    plain.window(Paid::Final).end();
    for role in [Role::Seller, Role::Buyer] {
        let mut both = report(&told, role);
        both.statements.extend(report(&plain, role).statements);
        let totals = Totals::of(&both, Span::ALL);
        let sums = |name: &str| {
            let of_all = |by: &By, money: &str| *by == By::Currency && money == name;
            let found = totals.money.iter().filter(|((by, money), _)| of_all(by, &money.name));
            let all: Vec<_> = found.map(|(_, sums)| *sums).collect();
            let [sums] = all[..] else { panic!("one row for {name}: {all:?}") };
            (
                sums.sessions,
                sums.items,
                sums.invoiced.unwrap().units(),
                sums.settled.unwrap().units(),
            )
        };
        assert_eq!(sums("SDP"), (1, 8, 80, 40), "{role}");
        assert_eq!(sums("FAR"), (2, 12, 34 + 17, 34 + 17), "{role}");
    }
}

/// A ledger is asked for what its leg says, and nothing of another's.
#[test]
fn a_payment_is_looked_for_on_its_legs_ledger_at_its_legs_payee() {
    let told = Told::failed_over(Method::Transfer);
    let report = report(&told, Role::Seller);
    let checks: Vec<_> = report.statements[0].checks().collect();
    assert_eq!(checks.len(), 3);
    for check in checks {
        let Expected::Paid(claim) = &check.what else { panic!("no anchors here") };
        let payee = if *check.ledger == elsewhere() { key(7) } else { key(1) };
        assert_eq!(claim.transfer.to, payee.public().account());
    }
}

#[test]
fn a_leg_in_the_same_currency_by_another_method_is_one_sessions_part_in_its_sums() {
    let mut told = Told::order("SDP", Method::Transfer);
    told.window(Paid::Final);
    assert!(told.begin_leg("SDP", Method::Escrow, 9));
    told.window(Paid::Final).end();
    let report = report(&told, Role::Seller);
    assert_eq!(report.problems, []);
    let totals = Totals::of(&report, Span::ALL);
    let sums: Vec<_> = totals.money.iter().filter(|((by, _), _)| *by == By::Currency).collect();
    let [(_, sums)] = sums[..] else { panic!("one currency") };
    assert_eq!((sums.sessions, sums.items, sums.invoiced), (1, 8, Some(Amount::new(76))));
}

#[test]
fn windows_are_counted_by_the_pace_that_was_agreed() {
    let mut told = Told::order("SDP", Method::Transfer);
    told.window(Paid::Final);
    assert!(told.pace(10, 2));
    told.window(Paid::Final).window(Paid::Final);
    assert!(told.pace(1, 1));
    told.window(Paid::Final).end();
    for role in [Role::Seller, Role::Buyer] {
        let report = report(&told, role);
        assert_eq!(report.problems, [], "{role}");
        let one = &report.statements[0];
        assert_eq!((one.items_delivered, one.windows, one.paces.len()), (25, 4, 2));
        let items: Vec<u64> = one.last.invoices.iter().map(|invoice| invoice.items).collect();
        assert_eq!(items, [4, 10, 10, 1]);
    }
}

/// What a credit note takes off stays in the leg that it is of.
#[test]
fn a_credit_that_its_leg_has_no_window_for_is_owed_in_its_currency() {
    let mut told = Told::order("SDP", Method::Transfer);
    told.window(Paid::Final);
    assert!(told.credit(50 - 20));
    assert!(told.begin_leg("FAR", Method::Transfer, 10));
    told.window(Paid::Final).end();
    for role in [Role::Seller, Role::Buyer] {
        let report = report(&told, role);
        assert_eq!(report.problems, [], "{role}");
        let one = &report.statements[0];
        let left = |leg: &LegStatement| (leg.credited.units(), leg.credit_left.units());
        assert_eq!((left(&one.earlier[0]), left(&one.last)), ((30, 30), (0, 0)));
    }
}

fn invoice_of(entries: &mut [Entry], number: u64) -> (u64, &mut SignedMessage) {
    let mut found = entries.iter_mut().filter_map(|entry| match &mut entry.record {
        Record::Invoice { message, .. } if message.number == number => Some((entry.seq, message)),
        _ => None,
    });
    found.next().expect("there is one")
}

#[test]
fn an_invoice_whose_rate_quote_or_pace_is_not_what_was_agreed_is_named() {
    let mut paced = Told::order("SDP", Method::Transfer);
    paced.window(Paid::Final);
    assert!(paced.pace(2, 1));
    paced.window(Paid::Final).end();
    let plan = |told: &Told, number, what: &str, change: &dyn Fn(&mut serde_json::Value)| {
        for role in [Role::Seller, Role::Buyer] {
            lie((owner(role), told.entries(role)), what, |entries| {
                let (seq, message) = invoice_of(entries, number);
                sign_again(message, &key(1), |data| change(&mut data["invoice"]));
                seq
            });
        }
    };
    let legs = Told::failed_over(Method::Transfer);
    plan(&legs, 3, "is counted at 2 for 7, agreed was 3 for 7", &|invoice| {
        invoice["rate"]["numerator"] = json!("2");
    });
    plan(&legs, 1, "is counted at 3 for 7, agreed was 1 for 1", &|invoice| {
        invoice["rate"] = json!({ "numerator": "3", "denominator": "7" });
    });
    plan(&legs, 3, "has a quote that makes another rate", &|invoice| {
        let sources = invoice["rate"]["quote"]["sources"].as_array_mut().unwrap();
        sources.truncate(1);
    });
    plan(&legs, 3, "its rate comes from elsewhere", &|invoice| {
        invoice["rate"]["quote"]["sources"][0]["source"] = json!("another");
    });
    plan(&legs, 3, "its rate comes from elsewhere", &|invoice| {
        invoice["rate"].as_object_mut().unwrap().remove("quote");
    });
    plan(&legs, 3, "asks to pay another than was agreed", &|invoice| {
        invoice["currency"] = json!("SDP");
    });
    plan(&paced, 2, "says another pace than was agreed", &|invoice| {
        invoice["pace"]["granularity"] = json!(3);
    });
    plan(&paced, 2, "says another pace than was agreed", &|invoice| {
        invoice["pace"]["amend"] = json!(2);
    });
    plan(&paced, 2, "does not say the pace that was agreed", &|invoice| {
        invoice.as_object_mut().unwrap().remove("pace");
    });
    plan(&paced, 1, "says another pace than was agreed", &|invoice| {
        invoice["pace"] =
            json!({ "amend": 1, "granularity": 2, "credit_windows": 1, "why": "earned" });
    });
}

/// Sellers from before such words say none, and are none the worse for it.
#[test]
fn an_invoice_in_another_currency_without_its_rate_is_counted_and_told() {
    let mut told = Told::order("FAR", Method::Transfer);
    told.window(Paid::Final).window_with(Paid::Final, |invoice| invoice.rate = None).end();
    for role in [Role::Seller, Role::Buyer] {
        let report = report(&told, role);
        assert_eq!(report.problems, []);
        assert_eq!((report.statements[0].unrated, report.statements[0].windows), (1, 2));
    }
}

#[test]
fn a_menu_whose_quote_makes_another_rate_is_named() {
    let mut told = Told::order("FAR", Method::Transfer);
    told.window(Paid::Final);
    let mut other = Told::order_from(|menu| {
        for offer in &mut menu.currencies_accepted {
            if let Some(quote) = &mut offer.quote {
                quote.sources.truncate(1);
            }
        }
    });
    other.window_with(Paid::Final, |invoice| invoice.rate = None);
    let [honest, lying] = [&told, &other].map(|told| report(told, Role::Buyer).problems);
    assert_eq!(honest, []);
    assert!(lying[0].what.contains("the menu's quote for FAR makes another rate"), "{lying:?}");
}

/// The seller's exit is the last receipt for each leg.
#[test]
fn an_exit_that_says_another_total_or_receipt_of_an_earlier_leg_is_named() {
    let told = Told::failed_over(Method::Transfer);
    let exit = |entries: &mut Vec<Entry>, change: &dyn Fn(&mut serde_json::Value)| {
        let (seq, message) =
            nth!(entries, 0, Record::Exit { by: Role::Seller, message, .. } => message);
        sign_again(message, &key(1), |data| change(&mut data["legs"][0]));
        seq
    };
    let entries = || (seller(), told.entries(Role::Seller));
    lie(entries(), "names 81 for the leg from item 1, 80 was invoiced", |entries| {
        exit(entries, &|leg| leg["amount_total"] = json!("81"))
    });
    lie(entries(), "a receipt for 41, more than was paid", |entries| {
        exit(entries, &|leg| leg["paid_total"] = json!("41"))
    });
    lie(entries(), "names a leg from item 5", |entries| {
        exit(entries, &|leg| leg["from_seq"] = json!(5))
    });
}

/// Nothing of a change of pace or of leg is payload: what is left of a journal says all that counts.
#[test]
fn a_pruned_journal_with_legs_is_stated_and_judged_as_before() {
    let mut told = Told::order("FAR", Method::Transfer);
    told.window(Paid::Final);
    assert!(told.pace(6, 2));
    told.window(Paid::Final);
    assert!(told.begin_leg("SDP", Method::Transfer, 9));
    told.window(Paid::Final).window(Paid::Final);
    assert!(told.credit(5));
    told.window(Paid::Final).end();
    for (role, by) in [(Role::Seller, 1), (Role::Buyer, 2)] {
        let records = told.records(role).to_vec();
        let side = Side { records, session: Some(told.session), ..Side::default() };
        let mut book = Book::written(&side, owner(role));
        let looked = |book: &Book| {
            let entries = book.entries();
            let report = audit(&owner(role), &entries);
            let at = Moment(crate::pair::START_MS);
            let bundle = export(&entries, told.session, &key(by), at, &[]).unwrap();
            (report, verdict(&[bundle]))
        };
        let (before, judged) = looked(&book);
        assert_eq!(before.problems, [], "{role}");
        let tally: Tally = book.prune();
        assert_eq!((tally.sessions, tally.kept.len()), (1, 0), "{role}: {tally:?}");
        let (after, again) = looked(&book);
        assert_eq!(after.problems, [], "{role}");
        let bare = |mut one: Statement| {
            (one.pruned, one.windows_recomputed) = (0, 0);
            one
        };
        let [before, after] = [before, after].map(|mut all| bare(all.statements.remove(0)));
        assert_eq!(before, after);
        assert_eq!(judged.misdeeds, 0, "{judged}");
        assert_eq!((&judged.debts, judged.misdeeds), (&again.debts, again.misdeeds));
        let dues = |all: &Verdict| all.legs.iter().map(|leg| leg.due).collect::<Vec<_>>();
        assert_eq!(dues(&judged), dues(&again));
    }
}

fn verdict(bundles: &[Bundle]) -> Verdict {
    let keys = Keys { seller: Some(seller()), buyer: Some(buyer()) };
    judge(bundles, &keys).unwrap()
}

/// What a story does next.
#[derive(Debug, Clone)]
enum Step {
    Window(Paid),
    Credit(u128),
    Pace(u32, u32),
    Leg(&'static str, Method, u128),
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![Just(Method::Transfer), Just(Method::Escrow)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let paid =
        prop_oneof![3 => Just(Paid::Final), 1 => Just(Paid::Pending), 1 => Just(Paid::Never)];
    let name = || prop_oneof![Just("SDP"), Just("FAR")];
    let step = prop_oneof![
        4 => paid.prop_map(Step::Window),
        1 => (1u128..40).prop_map(Step::Credit),
        1 => (1u32..9, 1u32..4).prop_map(|(granularity, windows)| Step::Pace(granularity, windows)),
        1 => (name(), method(), 1u128..11).prop_map(|(name, method, price)| Step::Leg(name, method, price)),
    ];
    prop::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever the two agree on, both books and the judge come to the same, to the last unit in every
    /// currency.
    #[test]
    fn both_books_and_the_judge_agree_on_any_history(
        ordered in (prop_oneof![Just("SDP"), Just("FAR")], method()),
        steps in steps(),
        ends in any::<bool>(),
    ) {
        let mut told = Told::order(ordered.0, ordered.1);
        // Behind a window that is not paid none is sent, but in another leg.
        let mut is_stuck = false;
        for step in steps {
            match step {
                Step::Window(paid) if told.items < 80 && !is_stuck => {
                    told.window(paid);
                    is_stuck = paid != Paid::Final;
                }
                Step::Window(_) => {}
                Step::Credit(amount) => drop(told.credit(amount)),
                Step::Pace(granularity, windows) => drop(told.pace(granularity, windows)),
                Step::Leg(name, method, price) => {
                    is_stuck &= !told.begin_leg(name, method, price);
                }
            }
        }
        if ends {
            told.end();
        }
        let [sold, bought] = [Role::Seller, Role::Buyer].map(|role| report(&told, role));
        prop_assert_eq!(&sold.problems, &[]);
        prop_assert_eq!(&bought.problems, &[]);
        let [sold, bought] = [sold, bought].map(|mut report| report.statements.remove(0));
        let at = Moment(crate::pair::START_MS);
        let bundle = |role, by| export(&told.entries(role), told.session, &key(by), at, &[]).unwrap();
        let both = [bundle(Role::Seller, 1), bundle(Role::Buyer, 2)];
        let found = verdict(&both);
        prop_assert_eq!(found.misdeeds, 0, "{}", &found);
        for alone in &both {
            let alone = verdict(std::slice::from_ref(alone));
            prop_assert_eq!(alone.misdeeds, 0, "{}", alone);
        }
        prop_assert_eq!(sold.legs().count(), found.legs.len());
        for ((place, sold), (bought, judged)) in
            sold.legs().enumerate().zip(bought.legs().zip(&found.legs))
        {
            let of = |all: &std::collections::BTreeMap<usize, Amount>| {
                all.get(&place).copied().unwrap_or_default()
            };
            prop_assert_eq!((sold.invoiced, sold.settled), (of(&told.invoiced), of(&told.settled)));
            prop_assert_eq!(sold.paid, of(&told.said));
            prop_assert_eq!((sold.invoiced, sold.paid), (bought.invoiced, bought.paid));
            prop_assert_eq!((sold.credited, sold.credit_left), (bought.credited, bought.credit_left));
            prop_assert_eq!(&sold.currency, &judged.pay.currency);
            prop_assert_eq!(judged.invoiced.amount, sold.invoiced, "{}", &found);
            prop_assert_eq!(judged.acknowledged.items, sold.items_acked, "{}", &found);
            // What the two owe each other, by the book: what arrived, less what was paid for good.
            let gross = judged.acknowledged.amount;
            let due = gross.saturating_sub(sold.credited);
            prop_assert_eq!(judged.due, due);
            let by_buyer = judged.debts.iter().find(|debt| debt.by == Role::Buyer);
            let most = by_buyer.map_or(Amount::ZERO, |debt| debt.at_most);
            let settled = due.saturating_sub(sold.settled);
            match sold.method {
                Method::Transfer => prop_assert_eq!(most, settled, "{}", &found),
                // The channel may still have to pay what was vouched.
                Method::Escrow => prop_assert!(most >= settled && most <= due, "{}", &found),
            }
        }
    }
}
