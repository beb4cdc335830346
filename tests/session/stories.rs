//! What happens when both sides are honest.

use crate::pair::*;
use sdpp::record::{End, Record};
use sdpp::terms::Purpose;
use sdpp_ledger::{Amount, Call};

/// Fig. 4 of the paper: six items of gas at K = 4.
#[test]
fn the_papers_own_run() {
    let mut pair = Setting::default().start();
    pair.run();
    let seller = "menu session_key data data data data_invoice data data_invoice exit";
    assert_eq!(types(&pair.s).join(" "), seller);
    let buyer = types(&pair.b).into_iter().filter(|t| t != "ack").collect::<Vec<_>>().join(" ");
    assert_eq!(buyer, "order payment_ack payment_ack exit");
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.transferred(), Amount::new(18));
    let items: Vec<(u64, Vec<u8>)> = (1..=6).map(|seq| (seq, item(seq))).collect();
    assert_eq!(pair.b.delivered, items);
}

#[test]
fn order_invoices_and_exit_are_anchored_and_named_where_the_config_wants_it_first() {
    let mut pair = Setting::default().start();
    pair.run();
    let session = pair.s.session.unwrap();
    let expected = [
        session.reference(Purpose::Order, 0),
        session.reference(Purpose::Invoice, 1),
        session.reference(Purpose::Invoice, 2),
        session.reference(Purpose::Exit, 0),
    ];
    let anchored: Vec<_> =
        pair.ledger.iter().filter(|(_, call, _)| matches!(call, Call::Anchor(_))).collect();
    assert_eq!(anchored.iter().map(|(r, _, _)| *r).collect::<Vec<_>>(), expected);
    let order = sent(&pair.b).remove(0);
    assert_eq!(order["verification"], tx_of(&expected[0]).as_str());
    let invoices: Vec<_> =
        sent(&pair.s).into_iter().filter(|m| m["message_type"] == "data_invoice").collect();
    assert_eq!(invoices[0]["verification"], tx_of(&expected[1]).as_str());
    assert_eq!(invoices[1]["verification"], tx_of(&expected[2]).as_str());
}

#[test]
fn every_way_of_keeping_records_and_paying_ends_paid() {
    let all: [fn() -> Setting; 6] = [
        || Setting::default().anchored_after(),
        || Setting::default().no_records(),
        || Setting::default().under_mac(),
        || Setting::default().under_mac().anchored_after().windows(3, 2),
        || Setting::default().by_escrow(),
        || Setting::default().by_escrow().under_mac().windows(1, 1),
    ];
    for (which, setting) in all.into_iter().enumerate() {
        let mut pair = setting().start();
        pair.run();
        assert_eq!(pair.s.end(), End::Complete, "setting {which}: {}", pair.s.why());
        assert_eq!(pair.b.end(), End::Complete, "setting {which}: {}", pair.b.why());
        assert_eq!(pair.b.delivered.len(), 6, "setting {which}");
        assert_eq!(pair.s.progress(), pair.b.progress(), "setting {which}");
    }
}

#[test]
fn an_escrow_session_closes_its_channel_with_the_best_voucher() {
    let mut pair = Setting { base: Amount::new(100), ..Setting::default().by_escrow() }.start();
    pair.run();
    assert_eq!(pair.transferred(), Amount::ZERO);
    let (_, call, _) = pair.ledger.last().unwrap();
    let Call::Close(redeem) = call else { panic!("the last call is {call:?}") };
    assert_eq!(redeem.amount, Amount::new(118));
    let digest = sdpp_ledger::Voucher { channel: redeem.channel, amount: redeem.amount };
    let signer = redeem.signature.recover(&digest.digest(&domain()));
    assert_eq!(signer, Some(key(2).public().account()));
}

/// With signed acks an acknowledged item is money in hand, before its window is even full.
#[test]
fn each_ack_carries_its_voucher_where_acks_are_signed() {
    let mut pair = Setting::default().by_escrow().windows(10, 1).order("co2", None).start();
    pair.run_to(9);
    while pair.seller.progress().paid < Amount::new(45) {
        assert!(pair.step(), "nothing moves, and nine items at 5 are not paid");
    }
    assert_eq!(pair.seller.progress().windows, 0, "the window is not even full");
    let kept = pair.s.records.iter().filter(|r| matches!(r, Record::Voucher { .. })).count();
    assert!(kept > 0, "a voucher counts once it is recorded");
}

#[test]
fn a_stop_on_either_side_pays_the_part_window() {
    for role in [Role::Seller, Role::Buyer] {
        for setting in [Setting::default(), Setting::default().by_escrow()] {
            let mut pair = setting.order("co2", None).windows(4, 2).start();
            pair.run_to(6);
            pair.stop(role);
            assert_eq!(pair.s.end(), End::Complete, "{role:?}: {}", pair.s.why());
            assert_eq!(pair.b.end(), End::Complete, "{role:?}: {}", pair.b.why());
            let paid = pair.b.delivered.len() as u64;
            assert!(paid >= 6);
            assert_eq!(pair.s.progress(), pair.b.progress());
            let exit = sent(&pair.s).pop().unwrap();
            assert_eq!(exit["message_type"], "exit");
            assert_eq!(exit["data"]["paid_total"], (paid * 5).to_string());
            assert_eq!(exit["data"]["items"], paid);
        }
    }
}

#[test]
fn a_source_that_ends_closes_the_window_and_the_session() {
    let mut pair = Setting::default().order("co2", None).start();
    pair.source = Some(5);
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.transferred(), Amount::new(25));
    let last = sent(&pair.s).into_iter().rfind(|m| m["message_type"] == "data_invoice").unwrap();
    assert_eq!(last["data"]["invoice"]["to"], 5);
    assert!(!last["data"]["body"].is_null() || last["data"]["leaf"].is_null());
}

#[test]
fn a_source_that_ends_within_a_window_sends_an_invoice_without_an_item() {
    let mut pair = Setting::default().order("co2", None).start();
    pair.source = Some(6);
    pair.run();
    let last = sent(&pair.s).into_iter().rfind(|m| m["message_type"] == "data_invoice").unwrap();
    assert!(last["data"]["body"].is_null() && last["data"]["leaf"].is_null());
    assert_eq!(pair.transferred(), Amount::new(30));
    assert_eq!(pair.b.end(), End::Complete);
}

#[test]
fn bytes_may_arrive_one_by_one_or_all_at_once() {
    for read_max in [1, 7, 1000, usize::MAX] {
        let mut pair = Setting::default().anchored_after().windows(4, 8).start();
        pair.read_max = read_max;
        pair.run();
        assert_eq!(pair.b.end(), End::Complete, "reads of {read_max}: {}", pair.b.why());
        assert_eq!(pair.b.delivered.len(), 6);
    }
}

#[test]
fn a_ledger_that_is_down_stops_the_flow_at_the_credit_limit_and_no_sooner() {
    let setting = Setting::default().anchored_after().no_records().order("co2", None).windows(4, 3);
    let mut pair = setting.start();
    pair.run_to(1);
    pair.ledger_down = true;
    pair.run();
    assert_eq!(pair.b.delivered.len(), 12, "W * K items are out and nothing more");
    assert_eq!(pair.seller.wants(), 0);
    pair.ledger_down = false;
    pair.source = Some(8);
    pair.run();
    assert_eq!(pair.s.end(), End::Complete);
}

#[test]
fn an_anchor_is_waited_for_no_longer_than_our_patience() {
    let mut pair = Setting::default().start();
    pair.ledger_down = true;
    pair.run();
    assert!(types(&pair.b).is_empty(), "the order waits for its anchor");
    pair.wait();
    assert_eq!(types(&pair.b)[0], "order", "and leaves without it in the end");
    assert_eq!(sent(&pair.b)[0]["verification"], "");
}

#[test]
fn what_is_still_unpaid_when_patience_ends_is_said_in_the_exit() {
    let mut pair = Setting::default().anchored_after().no_records().start();
    pair.run_to(5);
    while pair.b.delivered.len() < 6 {
        assert!(pair.step());
    }
    // The buyer's last payment is sent, and its finality never comes.
    while types(&pair.b).iter().filter(|t| *t == "payment_ack").count() < 2 {
        assert!(pair.step());
    }
    pair.ledger_down = true;
    pair.run().wait();
    let exit = sent(&pair.s).pop().unwrap();
    assert_eq!(exit["data"]["amount_total"], "18");
    assert_eq!(exit["data"]["paid_total"], "12");
    assert_eq!((pair.s.end(), pair.b.end()), (End::Outstanding, End::Outstanding));
}

#[test]
fn a_buyer_leaves_before_its_ceiling_is_passed() {
    let mut setting = Setting::default().order("co2", None).windows(2, 1);
    setting.wish.max_total = Some(Amount::new(42));
    let mut pair = setting.start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert!(pair.transferred() <= Amount::new(42), "paid {}", pair.transferred());
    assert!(pair.transferred() >= Amount::new(30), "paid {}", pair.transferred());
}

#[test]
fn a_stream_that_costs_nothing_needs_no_payment() {
    let mut setting = Setting::default();
    setting.menu.prices.insert("gas".to_owned(), Amount::ZERO);
    let mut pair = setting.start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.b.delivered.len(), 6);
    assert!(!types(&pair.b).contains(&"payment_ack".to_owned()));
}
