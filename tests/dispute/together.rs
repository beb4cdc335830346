//! What a payment of several windows proves.

use crate::pair::{Pair, Setting, key};
use crate::{Ledger, both, bundle_with, debts, hang_up, lie, nth, offences, sign_again, verdict};
use sdpp::crypto::layout::MessageKind;
use sdpp::dispute::{Bundle, Condition, Offence, Verdict};
use sdpp::settling::Policy;
use sdpp::terms::Role;
use sdpp_ledger::Amount;
use serde_json::json;

/// Windows of 10, four of which may be unpaid, paid as late as can be.
fn setting(quantity: Option<u64>) -> Setting {
    let exposure = Some(Amount::new(1_000_000));
    let setting = Setting::default().anchored_after().no_records().order("co2", quantity);
    setting.windows(2, 4).together(Policy { exposure, ..Policy::default() })
}

/// Six windows, of which three and three are paid together.
fn complete() -> Pair {
    let mut pair = setting(Some(12)).start();
    pair.run();
    pair
}

/// Four windows came, the first three are said to be paid, and the ledger says nothing of it.
fn claimed() -> Pair {
    let mut pair = setting(None).start();
    pair.never_final = true;
    pair.run();
    hang_up(&mut pair);
    pair
}

fn silent(pair: &Pair) -> [Bundle; 2] {
    [Role::Seller, Role::Buyer].map(|role| bundle_with(pair, role, Ledger::Silent))
}

fn wordless(bundle: &Bundle) -> Bundle {
    lie(bundle, |body| {
        let payments = body.messages.iter_mut().filter(|m| m.kind == MessageKind::PaymentAck);
        payments.for_each(|message| message.data = None);
    })
}

/// The one condition: under which window, what must be paid, and how much is owed without it.
fn condition(verdict: &Verdict) -> (u64, u128, u128) {
    let [Condition::Final { window, pays, amount, .. }] = &verdict.unless[..] else {
        panic!("{verdict}")
    };
    (*window, pays.units(), amount.units())
}

#[test]
fn who_pays_windows_together_owes_nothing() {
    let pair = complete();
    let [seller, buyer] = both(&pair);
    for bundles in [vec![seller.clone(), buyer.clone()], vec![buyer], vec![seller]] {
        let found = verdict(&bundles);
        assert_eq!((debts(&found), offences(&found)), (vec![], vec![]), "{found}");
        assert!(found.parting.is_none(), "{found}");
    }
}

/// By what the buyer has said; where its words were dropped, by what was owed to the ledger.
#[test]
fn a_payment_that_only_the_buyer_names_leaves_one_condition_of_the_whole() {
    let [seller, buyer] = silent(&claimed());
    let pruned = [wordless(&seller), wordless(&buyer)];
    // A buyer keeps no acks of its own: that the fourth window arrived the seller's bundle proves.
    let (all, three) = ([(Role::Buyer, 40, 10)], [(Role::Buyer, 30, 0)]);
    for (bundles, owed) in [
        (vec![seller.clone(), buyer.clone()], all),
        (vec![seller], all),
        (vec![buyer], three),
        (pruned.to_vec(), all),
        (pruned[..1].to_vec(), all),
        (pruned[1..].to_vec(), three),
    ] {
        let found = verdict(&bundles);
        assert_eq!(condition(&found), (3, 30, 30), "{found}");
        assert_eq!(debts(&found), owed, "{found}");
        assert_eq!(offences(&found), [], "{found}");
    }
}

/// A seller may have its own ledger's word for all three, and sign a receipt for one.
#[test]
fn a_seller_that_counts_a_part_of_a_payment_admits_all_that_its_ledger_paid() {
    let pair = claimed();
    let [seller, buyer] = both(&pair);
    let admitted = verdict(&[seller, buyer]);
    assert_eq!(debts(&admitted), [(Role::Buyer, 10, 10)], "{admitted}");
    let [seller, buyer] = silent(&pair);
    let liar = lie(&seller, |body| {
        sign_again(nth(body, MessageKind::DataInvoice, 3), &key(1), |data| {
            data["invoice"]["paid_total"] = json!("10");
        });
    });
    let found = verdict(&[liar, buyer]);
    let (window, pays, amount) = condition(&found);
    assert_eq!(
        (window, pays, amount),
        (3, 30, 20),
        "the receipt stands, the rest is asked: {found}"
    );
}

#[test]
fn a_buyer_that_says_two_payments_pay_a_window_is_convicted_by_both() {
    let [seller, buyer] = both(&complete());
    for (role, bundle) in [(Role::Seller, &seller), (Role::Buyer, &buyer)] {
        let found = verdict(&[lie(bundle, |body| {
            sign_again(nth(body, MessageKind::PaymentAck, 1), &key(2), |data| {
                data["from"] = json!(3);
            });
        })]);
        assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongPayment)], "{role}: {found}");
        assert!(found.to_string().contains("of window 3 that two payments pay it"), "{found}");
        assert_eq!(found.misconduct[0].proven_by.len(), 2, "{found}");
    }
    let found = verdict(&[lie(&buyer, |body| {
        let mut again = nth(body, MessageKind::PaymentAck, 0).clone();
        sign_again(&mut again, &key(2), |data| data["from"] = json!(2));
        body.messages.push(again);
    })]);
    assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongPayment)], "{found}");
}

#[test]
fn a_buyer_that_pays_backwards_is_convicted() {
    let [_, buyer] = both(&complete());
    for from in [0, 9] {
        let found = verdict(&[lie(&buyer, |body| {
            sign_again(nth(body, MessageKind::PaymentAck, 0), &key(2), |data| {
                data["from"] = json!(from);
            });
        })]);
        assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongPayment)], "{from}: {found}");
    }
}

/// What is held back when a session breaks is owed for certain: nobody says that it is paid.
#[test]
fn windows_that_were_held_back_when_a_session_broke_are_owed() {
    let mut pair = setting(None).start();
    pair.run_to(4).run_without_feeding();
    hang_up(&mut pair);
    let found = verdict(&both(&pair));
    assert_eq!(debts(&found), [(Role::Buyer, 20, 20)], "{found}");
    assert_eq!((found.unless.len(), offences(&found)), (0, vec![]), "{found}");
}
