//! Credit notes: what both sides have signed is netted in the next window, whoever asked for it.

use crate::line::Wire;
use crate::pair::*;
use sdpp::message::{Complaint, Word};
use sdpp::record::{End, Record};
use sdpp::session::{Answer, Complain, Grant, NoteEnd};
use sdpp::terms::{Agreed, Role as Side, Terms};
use sdpp_ledger::Amount;
use std::collections::BTreeMap;

/// Items at 5, four to a window.
pub fn setting() -> Setting {
    Setting::default().anchored_after().no_records().order("co2", Some(24))
}

pub fn grant(items: &[u64], amount: Option<u128>) -> Grant {
    let (items, amount) = (items.to_vec(), amount.map(Amount::new));
    Grant { items, reason: Complaint::Late, amount, ask: None }
}

pub fn credit(pair: &mut Pair, items: &[u64], amount: Option<u128>) -> Result<u64, String> {
    pair.seller.credit(grant(items, amount), pair.now_ms)
}

/// What both sides have agreed by a journal.
pub fn agreed_by(records: &[Record], terms: &Terms) -> Agreed {
    let mut agreement = sdpp::message::Agreement::new(terms);
    for record in records {
        if let Record::Amend { by, message } = record {
            agreement.take(*by, message).unwrap();
        }
    }
    agreement.agreed().clone()
}

fn amounts(pair: &Pair) -> Vec<u128> {
    let invoices = sent(&pair.s).into_iter().filter(|m| m["message_type"] == "data_invoice");
    let amount = |m: serde_json::Value| m["data"]["invoice"]["amount"].as_str().unwrap().parse();
    invoices.map(|m| amount(m).unwrap()).collect()
}

fn agreed(from_seq: u64, amount: u128, total: u128) -> Option<NoteEnd> {
    let (amount, total) = (Amount::new(amount), Amount::new(total));
    Some(NoteEnd::Agreed { from_seq, amount, total })
}

/// Every way to pay, to prove, to anchor, and to give credit.
pub fn settings() -> impl Iterator<Item = Setting> {
    (0..16).map(|case| {
        let setting = setting().windows(4, if case & 1 == 0 { 1 } else { 4 });
        let setting = if case & 2 == 0 { setting } else { setting.by_escrow() };
        let setting = if case & 4 == 0 { setting } else { setting.under_mac() };
        match case & 8 {
            0 => setting,
            _ => {
                let mut before = setting;
                let plain = Setting::default();
                before.menu.records = plain.menu.records;
                (before.seller.anchor_before, before.buyer.anchor_before) = (true, true);
                before
            }
        }
    })
}

#[test]
fn what_is_credited_is_netted_in_the_next_window_however_it_is_paid() {
    for setting in settings() {
        let mut pair = setting.start();
        pair.run_to(6);
        let number = credit(&mut pair, &[3, 2], None).unwrap();
        pair.run_to(9);
        let NoteEnd::Agreed { from_seq, .. } = pair.seller.note(number).unwrap() else {
            panic!("{:?}", pair.seller.note(number));
        };
        assert_eq!(pair.seller.note(number), agreed(from_seq, 10, 10));
        let terms = pair.buyer.terms().unwrap().clone();
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert_eq!(pair.s.progress().paid, Amount::new(110));
        assert_eq!(pair.b.progress().owed, Amount::new(110));
        let netted = usize::try_from(from_seq / 4).unwrap();
        for (window, amount) in amounts(&pair).into_iter().enumerate() {
            assert_eq!(amount, if window == netted { 10 } else { 20 }, "{window}, from {from_seq}");
        }
        for side in [&pair.s, &pair.b] {
            assert_eq!(agreed_by(&side.records, &terms).last_leg().credited(), Amount::new(10));
        }
    }
}

/// One layout, and both signatures under it: what a contract or a judge looks at.
#[test]
fn both_sides_sign_the_same_bytes_and_both_journals_have_both_signatures() {
    let mut pair = setting().start();
    pair.run_to(5);
    credit(&mut pair, &[1], Some(3)).unwrap();
    pair.run();
    for side in [&pair.s, &pair.b] {
        let amend = |record: &Record| match record {
            Record::Amend { by, message } => Some((*by, message.clone())),
            _ => None,
        };
        let amends: Vec<_> = side.records.iter().filter_map(amend).collect();
        let [(Side::Seller, proposed), (Side::Buyer, answer)] = &amends[..] else {
            panic!("{amends:?}");
        };
        assert_eq!(proposed.digest(), answer.digest());
        assert_eq!((proposed.number, proposed.amount_total), (1, Amount::new(3)));
        assert!(proposed.is_by(&key(1).public()) && answer.is_by(&key(2).public()));
    }
}

/// Where data was pruned the layouts alone say what was agreed.
#[test]
fn what_was_agreed_is_known_without_its_data() {
    let mut pair = setting().start();
    pair.run_to(5);
    credit(&mut pair, &[1], Some(3)).unwrap();
    pair.run_to(13);
    let terms = pair.buyer.terms().unwrap().clone();
    let mut agreement = sdpp::message::Agreement::new(&terms);
    let mut words = Vec::new();
    for record in &pair.s.records {
        if let Record::Amend { by, message } = record {
            let bare = sdpp::record::SignedMessage { data: None, ..message.clone() };
            words.push(agreement.take(*by, &bare).unwrap());
        }
    }
    assert_eq!(words, [Word::Proposed, Word::Agreed]);
    assert_eq!(agreement.agreed().owed_for(12), Some(Amount::new(57)));
    assert_eq!(agreement.agreed(), &agreed_by(&pair.s.records, &terms));
}

#[test]
fn a_credit_above_a_windows_price_carries_over() {
    let mut pair = setting().by_escrow().start();
    pair.run_to(8);
    credit(&mut pair, &[1, 2, 3, 4, 5, 6, 7], Some(33)).unwrap();
    pair.run();
    assert_eq!(amounts(&pair), [20, 20, 0, 7, 20, 20]);
    assert_eq!((pair.s.end(), pair.s.progress().paid), (End::Complete, Amount::new(87)));
    assert_eq!(pair.b.end(), End::Complete, "{}", pair.b.why());
}

#[test]
fn several_notes_add_up_each_in_its_turn() {
    let mut pair = setting().windows(4, 4).start();
    for (at, amount) in [(5, 3), (9, 4), (13, 5)] {
        pair.run_to(at);
        credit(&mut pair, &[at - 1], Some(amount)).unwrap();
        let again = credit(&mut pair, &[at], Some(amount));
        assert!(again.is_ok(), "it waits for its turn: {again:?}");
        assert!(credit(&mut pair, &[at], None).unwrap_err().contains("try again"));
    }
    pair.run();
    assert_eq!(pair.s.progress().paid, Amount::new(120 - 2 * (3 + 4 + 5)));
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
}

#[test]
fn no_item_that_a_note_is_in_force_for_leaves_before_the_buyer_has_signed() {
    let mut pair = setting().windows(4, 4).start();
    pair.run_to(6);
    pair.muted = Some(Role::Buyer);
    let number = credit(&mut pair, &[1], None).unwrap();
    pair.run();
    assert_eq!(pair.seller.progress().items, 8, "its window is filled, and no other begun");
    assert_eq!((pair.seller.wants(), pair.seller.note(number)), (0, None));
    pair.muted = None;
    pair.run_to(9);
    assert_eq!(pair.seller.note(number), agreed(9, 5, 5));
    pair.run();
    assert_eq!(pair.s.end(), End::Complete);
}

/// A source that is live is asked long before it answers, and somebody may credit meanwhile.
#[test]
fn items_that_were_asked_for_before_a_note_wait_for_the_buyers_signature_too() {
    for (setting, granularity) in settings().map(|setting| (setting, 4)).chain([(setting(), 1)]) {
        let mut pair = setting.windows(granularity, 4).start();
        pair.run_to(4);
        while pair.drain_outputs(Role::Seller) || pair.settle_one() {}
        let asked = pair.seller.wants();
        assert_eq!(asked, u64::from(granularity));
        credit(&mut pair, &[1], None).unwrap();
        let items: Vec<Vec<u8>> = (0..asked).map(|ahead| item(5 + ahead)).collect();
        pair.produced += asked;
        pair.tell(Role::Seller, sdpp::session::Input::Items(items));
        assert_eq!((pair.seller.progress().items, pair.seller.wants()), (4, 0));
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert_eq!(pair.s.progress().paid, Amount::new(115));
        let delivered: Vec<u64> = pair.b.delivered.iter().map(|(seq, _)| *seq).collect();
        assert!(delivered.into_iter().eq(1..=24), "each once, in their order");
        assert!(pair.b.delivered.iter().all(|(seq, bytes)| *bytes == item(*seq)));
    }
}

#[test]
fn a_buyer_that_does_not_answer_a_note_ends_the_session() {
    let mut pair = setting().by_escrow().windows(4, 4).start();
    pair.run_to(8);
    while pair.drain_outputs(Role::Seller) || pair.carry(Role::Seller) {}
    while pair.drain_outputs(Role::Buyer) || pair.carry(Role::Buyer) {}
    pair.muted = Some(Role::Buyer);
    credit(&mut pair, &[1], None).unwrap();
    pair.run().wait();
    assert_eq!(pair.s.why(), "a credit note is out, and the buyer does not answer it");
}

#[test]
fn a_note_and_either_sides_exit_may_cross() {
    for who in [Role::Seller, Role::Buyer] {
        let mut pair = setting().windows(4, 2).start();
        pair.run_to(6);
        credit(&mut pair, &[1], None).unwrap();
        pair.stop(who);
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        // Six items at most were invoiced, and the note is in force from the ninth.
        let items = u128::from(pair.s.progress().items);
        assert_eq!(pair.s.progress().paid, Amount::new(items * 5));
        assert_eq!(pair.b.progress().owed, pair.s.progress().owed);
    }
}

/// The buyer stops before it hears of a note: it signs it all the same, and the seller's exit waits
/// for that, so that both books say the same; but not for ever.
#[test]
fn a_note_that_crosses_the_buyers_exit_stands_in_both_books() {
    for escrow in [false, true] {
        for answers in [true, false] {
            let setting = setting().windows(4, 2);
            let mut pair = if escrow { setting.by_escrow() } else { setting }.start();
            pair.run_to(8).run_without_feeding();
            let terms = pair.buyer.terms().unwrap().clone();
            credit(&mut pair, &[1], None).unwrap();
            pair.tell(Role::Buyer, sdpp::session::Input::Stop(sdpp::message::Reason::Stopped));
            while pair.drain_outputs(Role::Buyer) || pair.carry(Role::Buyer) {}
            pair.muted = (!answers).then_some(Role::Buyer);
            pair.run_without_feeding();
            if !answers {
                pair.wait();
            }
            assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
            let total = |side: &crate::pair::Side| {
                agreed_by(&side.records, &terms).last_leg().credited().units()
            };
            let totals = (total(&pair.s), total(&pair.b));
            assert_eq!(totals, (if answers { 5 } else { 0 }, 5), "escrow: {escrow}");
        }
    }
}

#[test]
fn what_can_not_be_netted_is_said_to_whoever_wants_it() {
    let mut pair = setting().start();
    pair.run_to(6);
    for (items, amount, why) in [
        (vec![], None, "name 1 to 256 items"),
        ((1..=257).collect(), None, "name 1 to 256 items"),
        (vec![0], None, "item 0 was not sent"),
        (vec![9], None, "item 9 was not sent: 7 items were"),
        (vec![1], Some(0), "0 cannot be credited"),
        (vec![1], Some(36), "36 cannot be credited: 7 items cost 35"),
    ] {
        let refused = credit(&mut pair, &items, amount).unwrap_err();
        assert!(refused.contains(why), "{refused:?} does not say {why:?}");
    }
    let unknown = Grant { ask: Some(1), ..grant(&[1], None) };
    assert!(pair.seller.credit(unknown, pair.now_ms).unwrap_err().contains("no such request"));
    pair.run_to(21);
    let last = credit(&mut pair, &[1], None).unwrap_err();
    assert!(last.contains("no window follows"), "{last}");
    pair.run();
    assert!(credit(&mut pair, &[1], None).unwrap_err().contains("no windows to come"));
    assert!(!types(&pair.s).contains(&"amend".to_owned()), "nobody was told of any");
}

#[test]
fn a_buyer_that_proves_its_item_is_credited_up_to_what_the_seller_allows() {
    for escrow in [false, true] {
        let mut setting = setting();
        setting.seller.credit_up_to = BTreeMap::from([("SDP".to_owned(), Amount::new(9))]);
        let mut pair = if escrow { setting.by_escrow() } else { setting }.start();
        run_to_invoice(&mut pair, 1);
        let asked = pair.buyer.ask(complaint(&pair, 2)).unwrap();
        run_to_invoice(&mut pair, 2);
        let (amount, from_seq) = (Amount::new(5), 5);
        assert_eq!(pair.buyer.answer(asked), Some(Answer::Credited { amount, from_seq }));
        let twice = pair.buyer.ask(complaint(&pair, 2)).unwrap();
        let beyond = pair.buyer.ask(complaint(&pair, 3)).unwrap();
        while pair.buyer.answer(twice).is_none() || pair.seller.asks().is_empty() {
            assert!(pair.step());
        }
        assert_eq!(pair.buyer.answer(twice), refused("it was asked for already"));
        assert_eq!(pair.seller.asks()[0].seq, 3, "5 more are too much: a person decides");
        pair.run();
        assert_eq!(pair.s.progress().paid, Amount::new(115));
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        let last = sent(&pair.s).into_iter().rfind(|m| m["message_type"] == "amend").unwrap();
        assert_eq!(last["data"]["number"], beyond, "nobody waits for ever");
        assert!(last["data"]["change"]["refused"]["why"].as_str().unwrap().contains("ends"));
    }
}

fn refused(why: &str) -> Option<Answer> {
    Some(Answer::Refused(why.to_owned()))
}

#[test]
fn a_person_grants_what_the_buyer_asks_for_or_declines_it() {
    let mut pair = setting().windows(4, 4).start();
    run_to_invoice(&mut pair, 1);
    let wanted = Complain { amount: Some(Amount::new(2)), ..complaint(&pair, 2) };
    let (first, second) =
        (pair.buyer.ask(wanted).unwrap(), pair.buyer.ask(complaint(&pair, 3)).unwrap());
    assert!(pair.buyer.ask(complaint(&pair, 3)).unwrap_err().contains("asked for already"));
    while pair.seller.asks().len() < 2 {
        assert!(pair.step());
    }
    assert_eq!(pair.seller.asks()[0].amount, Amount::new(2));
    pair.seller.decline(second, "it is as it was measured", pair.now_ms).unwrap();
    assert!(pair.seller.decline(second, "", pair.now_ms).is_err());
    let grant = Grant { ask: Some(first), ..grant(&[2], Some(2)) };
    let number = pair.seller.credit(grant, pair.now_ms).unwrap();
    assert!(pair.seller.decline(first, "", pair.now_ms).is_err(), "it is granted");
    pair.run_to(13);
    assert!(matches!(pair.seller.note(number), Some(NoteEnd::Agreed { .. })));
    assert_eq!(pair.buyer.answer(second), refused("it is as it was measured"));
    assert!(matches!(pair.buyer.answer(first), Some(Answer::Credited { .. })));
    pair.run();
    assert_eq!(pair.s.progress().paid, Amount::new(118));
}

/// Our own rule has granted it, or another person declines it: whoever comes second is told, and
/// the session goes on.
#[test]
fn a_request_has_one_answer_whoever_grants_it() {
    let mut setting = setting().windows(4, 4);
    setting.seller.credit_up_to = BTreeMap::from([("SDP".to_owned(), Amount::new(5))]);
    let mut pair = setting.start();
    run_to_invoice(&mut pair, 1);
    let first = pair.buyer.ask(complaint(&pair, 2)).unwrap();
    let second = pair.buyer.ask(complaint(&pair, 3)).unwrap();
    while !types(&pair.s).contains(&"amend".to_owned()) || pair.seller.asks().len() < 2 {
        assert!(pair.step());
    }
    let of = |ask| Grant { ask: Some(ask), ..grant(&[2], Some(5)) };
    let late = pair.seller.credit(of(first), pair.now_ms).unwrap();
    run_to_invoice(&mut pair, 3);
    let refused = Some(NoteEnd::Refused("the buyer's request was answered meanwhile".to_owned()));
    assert_eq!(pair.seller.note(late), refused);
    // The one that waits for a person is granted behind another note, and declined before its turn.
    pair.muted = Some(Role::Buyer);
    credit(&mut pair, &[1], Some(1)).unwrap();
    let late = pair.seller.credit(of(second), pair.now_ms).unwrap();
    pair.seller.decline(second, "no", pair.now_ms).unwrap();
    pair.muted = None;
    while pair.seller.note(late).is_none() {
        assert!(pair.step());
    }
    assert_eq!(pair.seller.note(late), refused);
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
    assert_eq!(pair.s.progress().paid, Amount::new(120 - 5 - 1));
}

/// It was killed when it had written the request and not its refusal.
#[test]
fn a_request_that_is_refused_is_so_after_a_kill_too() {
    let mut setting = setting().windows(4, 4);
    setting.seller.credit_up_to = BTreeMap::from([("SDP".to_owned(), Amount::new(50))]);
    let mut wire = Wire::new(setting);
    wire.run_to(5);
    let first = wire.pair.buyer.ask(complaint(&wire.pair, 2)).unwrap();
    while wire.pair.buyer.answer(first).is_none() {
        assert!(wire.step());
    }
    assert!(matches!(wire.pair.buyer.answer(first), Some(Answer::Credited { .. })));
    let second = wire.pair.buyer.ask(complaint(&wire.pair, 2)).unwrap();
    let written = wire.pair.s.records.len();
    let is_ask = |record: &Record| match record {
        Record::Amend { by: Side::Buyer, message } => message.number == second,
        _ => false,
    };
    let asked = |wire: &Wire| wire.pair.s.records[written..].iter().position(is_ask);
    while asked(&wire).is_none() {
        assert!(wire.step());
    }
    let ask = written + asked(&wire).unwrap();
    wire.pair.s.records.truncate(ask + 1);
    wire.restart(true).unwrap();
    wire.run_to(20);
    assert_eq!(wire.pair.buyer.answer(second), refused("it was asked for already"));
    wire.finish();
    assert_eq!(wire.pair.s.progress().paid, Amount::new(120 - 5));
    assert_eq!((wire.pair.s.end(), wire.pair.b.end()), (End::Complete, End::Complete));
}

/// The seller has granted a request, and stops before the buyer's signature is here: the note is the
/// answer, and there is no other.
#[test]
fn a_request_that_is_granted_as_the_session_ends_has_one_answer() {
    let mut setting = setting().windows(4, 4);
    setting.seller.credit_up_to = BTreeMap::from([("SDP".to_owned(), Amount::new(9))]);
    let mut pair = setting.start();
    run_to_invoice(&mut pair, 1);
    pair.buyer.ask(complaint(&pair, 2)).unwrap();
    while !types(&pair.s).contains(&"amend".to_owned()) {
        assert!(pair.step());
    }
    pair.muted = Some(Role::Buyer);
    pair.tell(Role::Seller, sdpp::session::Input::Stop(sdpp::message::Reason::Stopped));
    let terms = pair.buyer.terms().unwrap().clone();
    pair.run();
    pair.muted = None;
    pair.run();
    assert_eq!(agreed_by(&pair.b.records, &terms).last_leg().credited(), Amount::new(5));
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
    assert_eq!(types(&pair.s).iter().filter(|kind| *kind == "amend").count(), 1);
}

#[test]
fn what_is_not_the_item_is_not_even_asked_for() {
    let mut pair = setting().start();
    run_to_invoice(&mut pair, 1);
    let other = Complain { item: b"another".to_vec(), ..complaint(&pair, 2) };
    assert!(pair.buyer.ask(other).unwrap_err().contains("not item 2 as it was delivered"));
    let elsewhere = Complain { seq: 9, ..complaint(&pair, 2) };
    assert!(pair.buyer.ask(elsewhere).is_err());
    pair.run();
    assert!(pair.buyer.ask(complaint(&pair, 2)).unwrap_err().contains("no windows to come"));
}

/// A channel's ceiling counts what is credited: the buyer goes on for longer.
#[test]
fn a_credit_leaves_room_under_the_buyers_ceiling() {
    let spend = |credited: Option<u128>| {
        let mut setting = setting().order("co2", None).windows(4, 1);
        setting.wish.max_total = Some(Amount::new(60));
        let mut pair = setting.start();
        pair.run_to(5);
        if let Some(amount) = credited {
            credit(&mut pair, &[1], Some(amount)).unwrap();
        }
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert!(pair.transferred() <= Amount::new(60));
        pair.b.delivered.len()
    };
    assert!(spend(Some(20)) > spend(None));
}
