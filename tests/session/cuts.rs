//! Sessions whose line breaks: nothing is lost, nothing comes twice, nothing is paid twice.

use crate::amends::{agreed_by, grant};
use crate::line::*;
use crate::pair::*;
use proptest::prelude::*;
use sdpp::crypto::layout::MessageKind;
use sdpp::message::{Choice, Draft, Hello, PaceReason, Resume};
use sdpp::record::{End, Record, SignedMessage};
use sdpp::session::Output;
use sdpp::terms::{Pace, Terms};
use sdpp_ledger::{Amount, Digest};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn a_line_that_breaks_after_any_step_costs_nothing() {
    for (what, setting) in SETTINGS {
        let mut broken = 0;
        for at in 0..400 {
            let mut wire = Wire::new(setting());
            let mut steps = 0;
            while steps < at && wire.step() {
                steps += 1;
            }
            if steps < at {
                break;
            }
            let pair = &wire.pair;
            let begun = pair.buyer.terms().is_some() || !pair.b.delivered.is_empty();
            wire.cut();
            wire.finish();
            if begun {
                println!("{what}: cut after step {at}");
                is_whole(&wire, 10);
                broken += 1;
            } else {
                assert!(wire.pair.b.delivered.is_empty());
            }
        }
        assert!(broken > 20, "{what}: {broken}");
    }
}

#[test]
fn a_seller_whose_buyer_does_not_come_back_ends_in_its_own_time() {
    let mut wire = Wire::new(Setting::default().order("co2", Some(10)));
    wire.run_to(2);
    wire.hang_up(Role::Seller);
    let at_ms = wire.pair.now_ms;
    while wire.pair.s.closed.is_none() {
        wire.pair.pass_time();
        while wire.pair.drain_outputs(Role::Seller) {}
    }
    assert_eq!(wire.pair.s.end(), End::Broken);
    assert_eq!(wire.pair.now_ms, at_ms + RESUME_MS);
}

/// A session may be over for its core long before its last records are on the disk.
#[test]
fn a_side_whose_peer_does_not_come_back_wakes_up_until_it_is_over_and_then_no_more() {
    let mut wire = Wire::new(Setting::default().order("co2", Some(10)));
    wire.run_to(2);
    wire.cut();
    let Pair { seller, buyer, .. } = &mut wire.pair;
    let (mut sellers, mut buyers) = (0, 0);
    while let (Some(at_ms), true) = (seller.poll_timeout(), sellers < 9) {
        seller.handle_timeout(at_ms);
        sellers += 1;
    }
    while let (Some(at_ms), true) = (buyer.poll_timeout(), buyers < 9) {
        buyer.handle_timeout(at_ms);
        buyers += 1;
    }
    assert!(buyer.is_over() && buyers < 9, "{buyers}");
    assert!((1..9).contains(&sellers), "{sellers}");
}

/// A hello of the story's buyer, signed by somebody, for a connection.
pub fn hello(wire: &Wire, signer: u8, line: u64, change: impl FnOnce(&mut Resume)) -> Vec<u8> {
    let session = wire.pair.b.session.unwrap();
    let mut resume = Resume {
        session,
        challenge: challenge_of(line),
        received: wire.pair.b.delivered.len() as u64,
        acked: 0,
        heard: 0,
        public_key_encryption: key(9).public(),
    };
    change(&mut resume);
    let (versions, encodings) = (vec!["SDPP/1".to_owned()], vec!["json".to_owned()]);
    let hello =
        Hello::Speaks(Choice { versions, encodings, buyer: None, resume: Some(Box::new(resume)) });
    Draft::new(session, &hello).sign(&key(signer), "").1
}

#[test]
fn the_old_line_yields_to_nobody_who_is_not_its_buyer() {
    let mut wire = Wire::new(Setting::default().order("co2", Some(10)));
    wire.run_to(2);
    wire.cut();
    wire.run_to(5);
    assert_eq!((wire.lines, wire.hellos.len()), (2, 1));
    let replayed = wire.hellos[0].clone();
    let told = wire.knock(&replayed);
    assert!(told.contains("bad_signature"), "an answer to another menu: {told}");
    let stranger = hello(&wire, 8, wire.lines + 1, |_| {});
    assert!(wire.knock(&stranger).contains("bad_signature"), "another's signature");
    let session = sdpp::terms::SessionId(Digest([8; 32]));
    let others = hello(&wire, 2, wire.lines + 1, |resume| resume.session = session);
    assert!(wire.knock(&others).contains("bad_signature"), "another session's name");
    let back = hello(&wire, 2, wire.lines + 1, |resume| resume.received = 0);
    assert!(wire.knock(&back).contains("order_refused"), "less than was acknowledged");
    let ahead = hello(&wire, 2, wire.lines + 1, |resume| resume.received = 9);
    assert!(wire.knock(&ahead).contains("order_refused"), "more than was sent");
    let papers = hello(&wire, 2, wire.lines + 1, |resume| resume.heard = 9);
    assert!(wire.knock(&papers).contains("order_refused"), "papers that were not sent");
    wire.finish();
    is_whole(&wire, 10);
}

/// Its bytes are fixed, with an item in them that is sealed under a key that is over.
#[test]
fn an_invoice_that_waited_for_its_anchor_while_the_line_broke_leaves_as_it_is() {
    for signed in [true, false] {
        let setting = Setting::default().order("co2", Some(10));
        let mut wire = Wire::new(if signed { setting } else { setting.under_mac() });
        wire.run_to(1);
        wire.pair.ledger_down = true;
        while wire.step() {}
        assert_eq!(wire.pair.b.delivered.len(), 3, "the fourth waits with its invoice");
        wire.cut();
        while wire.step() {}
        assert_eq!(wire.pair.b.delivered.len(), 4, "it came by itself");
        wire.cut();
        while wire.step() {}
        wire.pair.ledger_down = false;
        wire.finish();
        is_whole(&wire, 10);
    }
}

#[test]
fn a_session_that_is_not_there_does_not_go_on() {
    let mut wire = Wire::new(Setting::default().order("co2", Some(10)));
    wire.run_to(2);
    wire.hang_up(Role::Seller);
    while wire.pair.s.closed.is_none() {
        wire.pair.pass_time();
        while wire.pair.drain_outputs(Role::Seller) {}
    }
    wire.hang_up(Role::Buyer);
    wire.finish();
    assert!(wire.pair.b.why().contains("no_such_session"), "{}", wire.pair.b.why());
}

#[test]
fn a_session_that_ended_while_its_buyer_was_away_says_its_last_word_again() {
    let mut wire = Wire::new(Setting::default().order("co2", None));
    wire.run_to(5);
    wire.pair.tell(Role::Buyer, stop());
    while wire.pair.s.closed.is_none() {
        assert!(wire.step());
    }
    assert!(wire.pair.b.closed.is_none(), "the seller's exit is on its way");
    wire.cut();
    wire.finish();
    let (s, b) = (&wire.pair.s, &wire.pair.b);
    assert_eq!((s.end(), b.end()), (End::Complete, End::Complete), "{}", b.why());
    assert_eq!(papers(&s.records), papers(&b.records));
}

#[test]
fn a_side_that_does_not_go_on_ends_with_its_line() {
    for (sellers, buyers) in [(None, Some(RESUME_MS)), (Some(RESUME_MS), None)] {
        let mut setting = Setting::default().order("co2", Some(10));
        (setting.menu.resume_ms, setting.buyer.resume_ms) = (sellers, buyers);
        let mut pair = setting.start();
        pair.run_to(2);
        for role in [Role::Seller, Role::Buyer] {
            pair.tell(role, sdpp::session::Input::Hangup);
            while pair.drain_outputs(role) {}
        }
        assert_eq!((pair.s.end(), pair.b.end()), (End::Broken, End::Broken));
    }
}

fn stop<'a>() -> sdpp::session::Input<'a> {
    sdpp::session::Input::Stop(sdpp::message::Reason::Stopped)
}

/// What binds somebody, in the order in which a journal has it.
fn papers(records: &[Record]) -> BTreeMap<String, MessageKind> {
    let of = |record: &Record| -> Option<SignedMessage> {
        match record {
            Record::Invoice { message, .. }
            | Record::Payment { message, .. }
            | Record::Amend { message, .. }
            | Record::Exit { message, .. } => Some(message.clone()),
            _ => None,
        }
    };
    let all: Vec<_> = records.iter().filter_map(of).collect();
    let named = all.iter().map(|paper| (paper.signature.to_string(), paper.kind));
    let each: BTreeMap<_, _> = named.collect();
    assert!(each.len() == all.len(), "a paper stands twice in a journal");
    each
}

/// The requests that were refused, by what the refusals are signed with.
fn refusals(records: &[Record]) -> BTreeSet<String> {
    let refusal = |record: &Record| match record {
        Record::Amend { message, .. } => {
            let said = message.data.as_deref()?;
            said.contains("\"refused\"").then(|| message.signature.to_string())
        }
        _ => None,
    };
    records.iter().filter_map(refusal).collect()
}

#[derive(Debug, Clone)]
pub struct Chance {
    pub escrow: bool,
    pub signed: bool,
    pub before: bool,
    pub records: bool,
    pub granularity: u32,
    pub credit_windows: u32,
    pub quantity: u64,
    pub read_max: usize,
    /// A seller that is killed has a live source, and loses what left.
    pub live: bool,
    /// At which step what happens: the line breaks for both, for one side first, once more while the
    /// buyer is on its way back; items are credited, complained of, a pace changes, the ledger goes or
    /// comes, or the seller is killed.
    pub events: Vec<(usize, u8)>,
}

/// With events of so many kinds.
pub fn chances(kinds: u8) -> impl Strategy<Value = Chance> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let events = prop::collection::vec((0usize..250, 0..kinds), 1..10);
    let read_max = prop_oneof![Just(64usize), Just(1000), Just(usize::MAX)];
    (flags, 1u32..6, 1u32..4, 1u64..40, read_max, events).prop_map(
        |(
            (escrow, signed, before, records),
            granularity,
            credit_windows,
            quantity,
            read_max,
            events,
        )| {
            Chance {
                escrow,
                signed,
                before,
                records,
                granularity,
                credit_windows,
                quantity,
                read_max,
                live: false,
                events,
            }
        },
    )
}

fn start(chance: &Chance) -> Wire {
    let mut setting = Setting::default().order("co2", Some(chance.quantity));
    setting = setting.windows(chance.granularity, chance.credit_windows);
    let Chance { escrow, signed, before, records, .. } = *chance;
    setting = setting.in_mode(escrow, signed, before, records);
    setting.seller.credit_up_to.insert("SDP".to_owned(), Amount::new(20));
    let mut wire = Wire::new(setting);
    wire.pair.read_max = chance.read_max;
    wire
}

fn happen(wire: &mut Wire, (event, live): (u8, bool), at: usize) {
    // Before the session's key is here a line that breaks ends it, as ever.
    let pair = &mut wire.pair;
    let has_key = pair.buyer.terms().is_some();
    match event {
        0 | 1 if has_key => wire.cut(),
        2 if has_key => wire.hang_up(Role::Seller),
        3 if has_key => wire.hang_up(Role::Buyer),
        4 => {
            let sent = pair.seller.progress().items;
            let items: Vec<u64> = (sent / 2..=sent).collect();
            let _ = pair.seller.credit(grant(&items, Some(u128::from(3 * sent + 1))), pair.now_ms);
        }
        5 => {
            let last = pair.b.records.iter().rev().find_map(|record| match record {
                Record::Invoice { to_seq, .. } => Some(*to_seq),
                _ => None,
            });
            if let Some(seq) = last {
                let _ = pair.buyer.ask(complaint(pair, seq));
            }
        }
        6 => {
            let chance = |most: u32| 1 + u32::try_from(at).unwrap() * 7 % most;
            let pace = Pace { granularity: chance(6), credit_windows: chance(4) };
            let _ = pair.seller.change_pace(pace, PaceReason::Earned, pair.now_ms);
        }
        7 => pair.ledger_down = !pair.ledger_down,
        8.. if has_key && pair.s.closed.is_none() => wire.restart(!live).unwrap(),
        _ => {}
    }
}

/// Runs to the end, checking after each step.
pub fn run(chance: &Chance) -> Wire {
    let mut wire = start(chance);
    let mut terms = None;
    for at in 0..250 {
        for (_, event) in chance.events.iter().filter(|(step, _)| *step == at) {
            happen(&mut wire, (*event, chance.live), at);
        }
        terms = wire.pair.buyer.terms().cloned().or(terms);
        if !wire.step() && !std::mem::take(&mut wire.pair.ledger_down) {
            break;
        }
        if let Some(terms) = &terms {
            unpaid_items_stay_within_credit(&wire.pair, terms, chance);
        }
    }
    wire.finish();
    wire
}

fn unpaid_items_stay_within_credit(pair: &Pair, terms: &Terms, chance: &Chance) {
    let left = |message: &serde_json::Value| message["data"]["seq"].as_u64();
    let sent = sent(&pair.s).iter().filter_map(left).max().unwrap_or(0);
    let agreed = agreed_by(&pair.s.records, terms);
    let before = u64::from(chance.granularity) * u64::from(chance.credit_windows);
    let paces = (1..=sent + 1).map(|seq| agreed.pace(seq).credit_items());
    let credit = paces.max().unwrap_or(before);
    let owed = agreed.owed_for(agreed.before(sent, credit)).unwrap();
    let vouched = pair.s.records.iter().filter_map(|record| match record {
        Record::Voucher { amount, .. } => Some(*amount),
        _ => None,
    });
    let paid = vouched.max().unwrap_or(pair.transferred());
    assert!(owed <= paid, "{sent} items left, {owed} are due, {paid} are paid");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn lines_that_break_anywhere_lose_nothing_and_double_nothing(chance in chances(8)) {
        let wire = run(&chance);
        both_have_the_same(&wire, &chance)?;
    }
}

/// All items and papers are with both, each once and in one form, and all is paid.
pub fn both_have_the_same(wire: &Wire, chance: &Chance) -> Result<(), TestCaseError> {
    is_whole(wire, chance.quantity);
    let Pair { s, b, .. } = &wire.pair;
    // A seller that has said `exit` need not hear its buyer's, nor what it asked for before that.
    let (sellers, mut buyers) = (papers(&s.records), papers(&b.records));
    // One whose session is over when its buyer comes back says its exit alone, and what it refused is lost.
    let refused = refusals(&s.records);
    prop_assert!(
        sellers.keys().all(|paper| buyers.remove(paper).is_some() || refused.contains(paper))
    );
    let is_late = |kind: &MessageKind| matches!(kind, MessageKind::Exit | MessageKind::Amend);
    prop_assert!(buyers.values().all(is_late), "{buyers:?}");
    if !chance.escrow {
        prop_assert_eq!(wire.pair.transferred(), b.progress().paid);
    }
    // Every item has one leaf, however often it left, and no paper has two forms.
    let (mut leaves, mut forms) = (BTreeSet::new(), BTreeSet::new());
    for message in sent(s) {
        let leaf = message["data"]["leaf"].clone();
        if let (Some(seq), false) = (message["data"]["seq"].as_u64(), leaf.is_null()) {
            leaves.insert((seq, leaf.to_string()));
        }
        if let Some(number) = message["data"]["invoice"]["number"].as_u64() {
            forms.insert((number, message["signature"].to_string()));
        }
    }
    prop_assert_eq!(leaves.len() as u64, chance.quantity);
    let invoices = s.progress().windows;
    prop_assert_eq!(forms.len() as u64, invoices);
    let epochs = |side: &Side| {
        side.log.iter().filter(|output| {
            matches!(output, Output::Record { record, .. } if matches!(**record, Record::Epoch { .. }))
        }).count()
    };
    prop_assert!(epochs(s) >= epochs(b));
    Ok(())
}
