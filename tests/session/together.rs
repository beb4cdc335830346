//! Several windows in one payment by transfer.

use crate::legs;
use crate::liars::ends_with;
use crate::pair::*;
use sdpp::message::{Cumulative, Draft, LegReason, PaceReason, PaymentAck};
use sdpp::record::{Act, End, Record};
use sdpp::session::Input;
use sdpp::settling::{Policy, Why};
use sdpp::terms::{Method, Pace, Purpose};
use sdpp_ledger::{Amount, Call};

/// Items at 5 each, two in a window, four windows on credit.
fn setting(quantity: Option<u64>) -> Setting {
    Setting::default().anchored_after().no_records().order("co2", quantity).windows(2, 4)
}

/// Waits as long as it can.
fn patient() -> Policy {
    Policy { exposure: Some(Amount::new(1_000_000)), ..Policy::default() }
}

fn exposed(units: u128) -> Policy {
    Policy { exposure: Some(Amount::new(units)), ..Policy::default() }
}

fn dear() -> Policy {
    Policy { fee_below_permille: Some(100), ..Policy::default() }
}

/// The first and last window of each payment that the seller was told of, and what is paid in all.
fn paid(pair: &Pair) -> Vec<(u64, u64, u128)> {
    let payment = |record: &Record| match record {
        Record::Payment { message, .. } => {
            let words: PaymentAck = serde_json::from_str(message.data.as_ref().unwrap()).unwrap();
            Some((words.first(), words.number, words.amount_total.units()))
        }
        _ => None,
    };
    pair.s.records.iter().filter_map(payment).collect()
}

/// What the ledger moved, payment by payment.
fn moved(pair: &Pair) -> Vec<u128> {
    let amount = |call: &Call| match call {
        Call::Transfer(transfer) => Some(transfer.amount.units()),
        _ => None,
    };
    pair.ledger.iter().filter_map(|(_, call, _)| amount(call)).collect()
}

/// What the buyer decided, in order: of which windows, why, what they cost, and whether it was owed.
fn decided(pair: &Pair) -> Vec<(u64, u64, Why, u128)> {
    let one = |record: &Record| match record {
        Record::Gathering { from, number, why, hand, owed, .. } => {
            assert_eq!(why.is_now(), owed.is_some());
            Some((*from, *number, *why, hand.value.units()))
        }
        _ => None,
    };
    pair.b.records.iter().filter_map(one).collect()
}

fn complete(pair: &Pair) {
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.s.why());
    assert_eq!(pair.s.progress().owed, pair.s.progress().paid);
    assert_eq!(pair.b.progress().paid, pair.s.progress().paid);
    assert_eq!(pair.transferred(), pair.s.progress().paid);
}

#[test]
fn windows_are_paid_together_until_the_seller_would_stop() {
    let mut pair = setting(Some(12)).together(patient()).start();
    pair.run();
    complete(&pair);
    assert_eq!(paid(&pair), [(1, 3, 30), (4, 6, 60)]);
    assert_eq!(moved(&pair), [30, 30]);
    let expected = [
        (1, 1, Why::Waits, 10),
        (1, 3, Why::Credit, 30),
        (4, 4, Why::Waits, 10),
        (4, 6, Why::Close, 30),
    ];
    assert_eq!(decided(&pair), expected);
}

/// One window of credit is left while the payment becomes final, and all that is out stays within W.
#[test]
fn the_seller_goes_on_while_the_payment_becomes_final() {
    let mut pair = setting(None).together(patient()).start();
    pair.never_final = true;
    pair.run();
    assert_eq!(paid(&pair), [(1, 3, 30)]);
    assert_eq!(pair.seller.progress().items, 8, "W windows of K are out");
    let reference = pair.seller.session().unwrap().reference(Purpose::Payment, 3);
    pair.tell(Role::Seller, Input::Met { reference, tx: tx_of(&reference) });
    pair.run();
    assert_eq!(pair.seller.progress().paid, Amount::new(30), "all three at once");
    assert_eq!(pair.seller.progress().items, 14);
    assert_eq!(paid(&pair), [(1, 3, 30), (4, 6, 60)]);
}

#[test]
fn a_buyer_without_a_policy_or_a_seller_that_does_not_offer_it_pays_each_window_at_once() {
    let mut unasked = setting(Some(8)).together(patient());
    unasked.menu.payments_together = false;
    let silent = setting(Some(8)).together(Policy::default());
    let two = setting(Some(8)).windows(2, 2).together(patient());
    for (setting, decisions) in [(unasked, 0), (silent, 0), (two, 4)] {
        let mut pair = setting.start();
        pair.run();
        complete(&pair);
        assert_eq!(paid(&pair), [(1, 1, 10), (2, 2, 20), (3, 3, 30), (4, 4, 40)]);
        assert_eq!(decided(&pair).len(), decisions, "with two windows of credit each is paid");
        let text = sent(&pair.b).iter().map(ToString::to_string).collect::<String>();
        assert!(!text.contains("\"from\""));
    }
}

#[test]
fn what_is_held_is_paid_once_it_is_worth_the_fee() {
    let mut pair = setting(None).windows(2, 9).together(dear()).start();
    pair.run_to(2);
    pair.run_without_feeding();
    assert_eq!(moved(&pair), [], "nobody knows the fee");
    let Some((on, Call::Transfer(transfer))) = pair.buyer.to_settle() else { panic!("nothing") };
    assert_eq!((on, transfer.amount), (ledger(), Amount::new(10)));
    let fee = |pair: &mut Pair, fee: Option<u128>| {
        pair.tell(Role::Buyer, Input::Fee { ledger: ledger(), fee: fee.map(Amount::new) });
        pair.run_without_feeding();
    };
    fee(&mut pair, Some(3));
    pair.run_to(6);
    pair.run_without_feeding();
    assert_eq!(moved(&pair), [], "a tenth of 30 is not below a tenth");
    pair.run_to(8);
    pair.run_without_feeding();
    assert_eq!(moved(&pair), [40]);
    assert_eq!(paid(&pair), [(1, 4, 40)]);
    pair.run_to(10);
    pair.run_without_feeding();
    fee(&mut pair, Some(0));
    assert_eq!(moved(&pair), [40, 10], "the fee falls, and nothing else moves");
    assert!(pair.buyer.to_settle().is_none());
    let expected = [
        (1, 1, Why::FeeUnknown, 10),
        (1, 1, Why::Dear, 10),
        (1, 4, Why::Cheap, 40),
        (5, 5, Why::Dear, 10),
        (5, 5, Why::Cheap, 10),
    ];
    assert_eq!(decided(&pair), expected);
}

#[test]
fn so_much_is_paid_at_once() {
    let mut pair = setting(Some(12)).windows(2, 9).together(exposed(20)).start();
    pair.run();
    complete(&pair);
    assert_eq!(paid(&pair), [(1, 2, 20), (3, 4, 40), (5, 6, 60)]);
}

/// Nobody tells the buyer that the source has ended with a full window.
#[test]
fn nothing_is_held_longer_than_half_of_the_sellers_patience() {
    let aged = Policy { age_ms: Some(3_000), ..Policy::default() };
    for (policy, after_ms) in [(patient(), 5_000), (aged, 3_000)] {
        let mut pair = setting(None).together(policy).start();
        pair.source = Some(4);
        pair.run();
        assert_eq!(moved(&pair), []);
        pair.wait();
        assert_eq!(pair.now_ms, START_MS + after_ms);
        complete(&pair);
        assert_eq!(paid(&pair), [(1, 2, 20)]);
        assert_eq!(decided(&pair)[1], (1, 2, Why::Age, 20));
    }
}

/// A seller with less patience than ours says so in its invoices.
#[test]
fn a_seller_in_a_hurry_is_paid_in_time() {
    let mut setting = setting(None).together(patient());
    setting.seller.patience_ms = 4_000;
    let mut pair = setting.start();
    pair.source = Some(4);
    pair.run();
    pair.wait();
    assert_eq!(pair.now_ms, START_MS + 2_000);
    complete(&pair);
}

#[test]
fn what_is_held_is_paid_when_either_side_ends_the_session() {
    for role in [Role::Buyer, Role::Seller] {
        let mut pair = setting(None).windows(4, 4).together(patient()).start();
        pair.run_to(11);
        pair.run_without_feeding();
        assert_eq!(moved(&pair), []);
        pair.stop(role);
        complete(&pair);
        assert_eq!(moved(&pair).iter().sum::<u128>(), 55, "two windows and a part of one");
        let last = *decided(&pair).last().unwrap();
        assert_eq!(last.2, Why::Close, "{:?}", decided(&pair));
    }
}

#[test]
fn what_is_held_of_a_leg_is_paid_when_the_next_begins() {
    let both = legs::setting(Method::Transfer, Method::Transfer);
    let mut pair = both.windows(2, 4).together(patient()).start();
    pair.run_to(4);
    pair.run_without_feeding();
    assert_eq!(moved(&pair), []);
    let trouble = Some(LegReason::Dear);
    pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble });
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(paid(&pair)[0], (1, 2, 20));
    assert_eq!(decided(&pair)[1].2, Why::Close);
    assert!(paid(&pair)[1..].iter().all(|(from, ..)| *from > 2), "{:?}", paid(&pair));
    assert_eq!((pair.transferred_of(&coin()), pair.transferred_of(&token())), (20, 233));
}

/// How long its ledger takes is counted from when it was owed there, and not from its invoice.
#[test]
fn a_payment_that_is_held_does_not_stall_its_ledger() {
    let mut setting = legs::setting(Method::Transfer, Method::Transfer).windows(2, 4);
    setting.buyer.fail_over_after_ms = Some(1_000);
    let mut pair = setting.together(patient()).start();
    pair.run_to(4);
    pair.run_without_feeding();
    pair.wait_without_feeding();
    assert_eq!(pair.now_ms, START_MS + 5_000, "nobody asks for another currency");
    assert_eq!(moved(&pair), [20]);
}

#[test]
fn what_is_held_is_paid_when_fewer_windows_may_be_unpaid() {
    let mut pair = setting(None).together(patient()).start();
    pair.run_to(3);
    let less = Pace { granularity: 2, credit_windows: 1 };
    pair.seller.change_pace(less, PaceReason::Missed, pair.now_ms).unwrap();
    pair.run_to(4);
    pair.run_without_feeding();
    assert_eq!(decided(&pair).last(), Some(&(1, 2, Why::Credit, 20)));
    pair.run_to(8);
    assert_eq!(paid(&pair)[0], (1, 2, 20), "and the seller goes on");
}

#[test]
fn a_payment_of_several_windows_whose_fee_is_raised_stays_one() {
    let mut pair = setting(Some(12)).together(patient()).start();
    pair.raises = 2;
    pair.run();
    complete(&pair);
    assert_eq!(paid(&pair), [[(1, 3, 30)].repeat(3), [(4, 6, 60)].repeat(3)].concat());
    assert_eq!(moved(&pair), [30, 30]);
}

/// At stake is the whole payment: it counts as one before it is final, or not at all.
#[test]
fn a_payment_of_several_windows_counts_whole() {
    for (finality, items) in [("blocks 1 up to 29, final", 8), ("blocks 1 up to 30, final", 14)] {
        let mut setting = setting(None).together(patient());
        for offer in &mut setting.menu.currencies_accepted {
            offer.finality = finality.to_owned();
        }
        let mut pair = setting.start();
        pair.never_final = true;
        pair.run();
        let reference = pair.seller.session().unwrap().reference(Purpose::Payment, 3);
        pair.tell(Role::Seller, Input::Included { reference, blocks: 1 });
        pair.run();
        assert_eq!(pair.seller.progress().items, items, "{finality}");
        assert_eq!(pair.seller.progress().paid, Amount::ZERO);
    }
}

/// A credit note can make a window free: it is paid with those around it.
#[test]
fn a_window_that_costs_nothing_is_paid_with_those_around_it() {
    let mut pair = setting(Some(12)).together(patient()).start();
    pair.run_to(1);
    let grant = crate::amends::grant(&[1], Some(10));
    pair.seller.credit(grant, pair.now_ms).unwrap();
    pair.run();
    complete(&pair);
    assert_eq!(pair.transferred(), Amount::new(50));
    let payments = paid(&pair);
    assert!(payments.iter().all(|(from, number, _)| from <= number), "{payments:?}");
    assert_eq!(payments.first().unwrap().0, 1);
}

/// The session up to the second invoice, and no payment is said; what the buyer would say of it.
fn held() -> (Pair, PaymentAck) {
    let mut pair = setting(None).together(patient()).start();
    pair.run_to(4);
    pair.run_without_feeding();
    let payment = word(&pair, 1, 2);
    (pair, payment)
}

fn word(pair: &Pair, from: u64, number: u64) -> PaymentAck {
    let invoice = |record: &Record| match record {
        Record::Invoice { message, to_seq, digest, .. } if message.number == number => {
            Some((message.amount_total, Cumulative { seq: *to_seq, digest: *digest }))
        }
        _ => None,
    };
    let (amount_total, ack) = pair.s.records.iter().find_map(invoice).unwrap();
    PaymentAck { number, from: Some(from), amount_total, ack, voucher: None }
}

fn say(pair: &mut Pair, payment: &PaymentAck, tx: &str) {
    let frame = Draft::new(pair.b.session.unwrap(), payment).sign(&key(2), tx).1;
    pair.seller.handle(Input::Read(&frame), pair.now_ms);
    while pair.drain_outputs(Role::Seller) {}
}

#[test]
fn a_payment_for_several_windows_is_one_claim_of_the_whole() {
    let (mut pair, payment) = held();
    say(&mut pair, &payment, "0xboth");
    let claim = pair.s.records.iter().rev().find_map(|record| match record {
        Record::Payment { owed: Some(owed), .. } => Some(owed.clone()),
        _ => None,
    });
    let owed = claim.unwrap();
    assert_eq!(owed.reference, pair.b.session.unwrap().reference(Purpose::Payment, 2));
    let Act::Check(claim) = owed.act else { panic!("no claim") };
    assert_eq!(claim.transfer.amount, Amount::new(20));
    say(&mut pair, &payment, "0xraised");
    assert!(pair.s.closed.is_none(), "its fee may be raised");
    let single = PaymentAck { from: None, ..payment };
    say(&mut pair, &single, "0xanother");
    ends_with(&mut pair, Role::Buyer, "bad_payment", "window 2 was said to be paid, and not so");
}

#[test]
fn a_payment_that_is_short_or_not_of_the_oldest_windows_is_refused() {
    type Lie = fn(&Pair, &mut PaymentAck);
    let lies: [(Lie, &str); 7] = [
        (|_, word| word.amount_total = Amount::new(10), "asks 20 in all, 10 is paid: 10 owed"),
        (|_, word| word.amount_total = Amount::new(30), "asks 20 in all, 30 is paid"),
        (|_, word| word.from = None, "window 1 is to be paid now, not 2"),
        (|_, word| word.from = Some(0), "window 1 is to be paid now, not 0"),
        (|_, word| word.number = 3, "window 3 is not to be paid now"),
        (|pair, word| *word = PaymentAck { from: Some(2), ..self::word(pair, 1, 1) }, "1 is to be"),
        (|pair, word| word.ack = self::word(pair, 1, 1).ack, "ack does not fit window 2"),
    ];
    for (lie, says) in lies {
        let (mut pair, mut payment) = held();
        lie(&pair, &mut payment);
        say(&mut pair, &payment, "0xboth");
        ends_with(&mut pair, Role::Buyer, "bad_payment", says);
    }
}

#[test]
fn a_payment_that_overlaps_another_or_goes_back_is_refused() {
    for (from, number) in [(2, 3), (1, 3), (1, 1), (1, 2)] {
        let mut pair = setting(None).together(patient()).windows(2, 6).start();
        pair.run_to(6);
        pair.run_without_feeding();
        let (first, second) = (word(&pair, 1, 2), word(&pair, from, number));
        say(&mut pair, &first, "0xboth");
        assert!(pair.s.closed.is_none());
        say(&mut pair, &second, "0xboth");
        let says = match number {
            3 => format!("window 3 is to be paid now, not {from}"),
            1 => "window 1 was said to be paid, and not so".to_owned(),
            _ => "is said to be paid by that transaction already".to_owned(),
        };
        ends_with(&mut pair, Role::Buyer, "bad_payment", &says);
    }
}

#[test]
fn a_payment_reaches_over_no_leg() {
    let both = legs::setting(Method::Transfer, Method::Transfer);
    let mut pair = both.windows(2, 4).together(patient()).start();
    pair.run_to(3);
    let trouble = Some(LegReason::Dear);
    pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble });
    pair.ledger_down = true;
    pair.run_to(6);
    pair.run_without_feeding();
    let over = word(&pair, 2, 3);
    say(&mut pair, &over, "0xboth");
    ends_with(&mut pair, Role::Buyer, "bad_payment", "window 3 is to be paid now, not 2");
}

#[test]
fn a_payment_for_several_windows_that_was_not_offered_is_refused() {
    for escrow in [false, true] {
        let mut setting = setting(None).together(patient());
        setting.menu.payments_together = escrow;
        let mut pair = if escrow { setting.by_escrow().start() } else { setting.start() };
        pair.ledger_down = !escrow;
        pair.run_to(4);
        pair.run_without_feeding();
        let payment = word(&pair, 1, 2);
        say(&mut pair, &payment, "0xboth");
        ends_with(&mut pair, Role::Buyer, "bad_payment", "window 2 is to be paid by itself");
    }
}

/// Nobody could be told of a payment any more: what was held back stays owed, and nothing is paid.
#[test]
fn a_session_that_breaks_leaves_what_was_held_unpaid() {
    let (mut pair, _) = held();
    pair.tell(Role::Seller, Input::Hangup);
    pair.tell(Role::Buyer, Input::Hangup);
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Broken, End::Broken));
    assert_eq!(moved(&pair), []);
    assert_eq!(
        (pair.s.progress().owed, pair.b.progress().owed),
        (Amount::new(20), Amount::new(20))
    );
    assert_eq!((pair.s.progress().paid, pair.b.progress().paid), (Amount::ZERO, Amount::ZERO));
}
