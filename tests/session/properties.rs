//! What holds whatever happens: in random settings, with random stops and a ledger that comes
//! and goes.

use crate::amends::{agreed_by, grant};
use crate::pair::*;
use proptest::prelude::*;
use sdpp::message::PaceReason;
use sdpp::record::{End, Record};
use sdpp::session::Output;
use sdpp::settling::Policy;
use sdpp::terms::{Pace, Terms};
use sdpp_ledger::{Amount, Call};

#[derive(Debug, Clone)]
struct Chance {
    escrow: bool,
    signed: bool,
    before: bool,
    records: bool,
    granularity: u32,
    credit_windows: u32,
    quantity: Option<u64>,
    read_max: usize,
    /// What the buyer will spend beyond what may be out on credit.
    ceiling: Option<u128>,
    /// The channel begins with what may be out on credit and so much more, and is topped up.
    small: Option<u128>,
    /// What a buyer that complains is credited without a person.
    credit_up_to: u128,
    /// Windows are paid together from so much on, or as late as can be.
    together: Option<u128>,
    /// At which step: the ledger goes or comes, a side is stopped, what a buyer adds to its
    /// channel comes at once or late, items are credited, or complained of.
    events: Vec<(usize, u8)>,
}

fn chances() -> impl Strategy<Value = Chance> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let events = prop::collection::vec((0usize..200, 0u8..9), 0..6);
    let small = prop::option::of(0u128..40);
    let quantity = prop::option::of(1u64..30);
    let read_max = prop_oneof![Just(64usize), Just(1000), Just(usize::MAX)];
    let ceiling = prop::option::of(0u128..120);
    let together = prop::option::of(1u128..60);
    let money = (ceiling, small, 0u128..40, together);
    (flags, 1u32..6, 1u32..7, quantity, read_max, money, events).prop_map(
        |(
            (escrow, signed, before, records),
            granularity,
            credit_windows,
            quantity,
            read_max,
            (ceiling, small, credit_up_to, together),
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
                ceiling,
                small,
                credit_up_to,
                together,
                events,
            }
        },
    )
}

fn start(chance: &Chance) -> Pair {
    let mut setting = Setting::default().order("co2", chance.quantity);
    setting = setting.windows(chance.granularity, chance.credit_windows);
    let Chance { escrow, signed, before, records, .. } = *chance;
    setting = setting.in_mode(escrow, signed, before, records);
    setting.wish.max_total = ceiling(chance);
    setting.seller.credit_up_to.insert("SDP".to_owned(), Amount::new(chance.credit_up_to));
    if let Some(units) = chance.together {
        let exposure = Some(Amount::new(units));
        setting = setting.together(Policy { exposure, ..Policy::default() });
    }
    if let Some(more) = chance.small {
        setting.deposit = Amount::new(least(chance) + more);
        setting.wish.currencies[0].channels.deposit = Amount::new(more + 1);
    }
    let mut pair = setting.start();
    pair.tops_up = true;
    pair.read_max = chance.read_max;
    pair.source = Some(40);
    pair
}

/// A buyer that wants so many items can pay for them; one that wants all there are stops in time.
fn ceiling(chance: &Chance) -> Option<Amount> {
    chance.ceiling.map(|more| Amount::new(least(chance) + more))
}

fn least(chance: &Chance) -> u128 {
    let credit = u64::from(chance.granularity) * u64::from(chance.credit_windows);
    u128::from(chance.quantity.unwrap_or(credit)) * 5
}

/// Runs to the end, checking after each step.
fn run(chance: &Chance) -> Pair {
    let mut pair = start(chance);
    let (mut at, mut checked, mut agreed) = (0, (0, 0), None);
    while !pair.is_over() {
        let terms = pair.buyer.terms().cloned();
        agreed = terms.or(agreed);
        for (_, event) in chance.events.iter().filter(|(step, _)| *step == at) {
            match event {
                0 => pair.ledger_down = true,
                1 => pair.ledger_down = false,
                2 => pair.tell(Role::Seller, stop()),
                3 => pair.tell(Role::Buyer, stop()),
                4 => pair.tops_up = false,
                6 => {
                    let sent = pair.seller.progress().items;
                    let items: Vec<u64> = (sent / 2..=sent).collect();
                    let amount = Some(u128::from(3 * sent + 1));
                    let _ = pair.seller.credit(grant(&items, amount), pair.now_ms);
                }
                7 => complain(&mut pair),
                8 => {
                    let chance = |most: u32| 1 + u32::try_from(at).unwrap() * 7 % most;
                    let pace = Pace { granularity: chance(6), credit_windows: chance(4) };
                    let _ = pair.seller.change_pace(pace, PaceReason::Earned, pair.now_ms);
                }
                _ => {
                    pair.tops_up = true;
                    pair.shown = Some(pair.deposit);
                }
            }
        }
        at += 1;
        if !pair.step() && !pair.is_over() {
            // What was late is there: the buyer's top-up, or the seller's sight of it.
            if pair.shown.take().is_some() {
                continue;
            }
            match pair.next_timeout() {
                Some(_) => drop(pair.wait()),
                // Both wait for the ledger alone: as long as it takes.
                None => pair.ledger_down = false,
            }
        }
        let logged = (pair.s.log.len(), pair.b.log.len());
        if logged != checked {
            unpaid_items_stay_within_credit(&pair, chance);
            the_buyer_pays_for_what_it_has_opened(&pair);
            checked = logged;
        }
        assert!(at < 100_000, "the session does not end");
    }
    pair.ledger_down = false;
    pair.run();
    if let Some(terms) = agreed {
        what_is_invoiced_is_what_items_cost_less_what_was_credited(&pair, &terms);
    }
    pair
}

/// No rounding drift, no credit forgotten or netted twice, whatever was agreed when.
fn what_is_invoiced_is_what_items_cost_less_what_was_credited(pair: &Pair, terms: &Terms) {
    for side in [&pair.s, &pair.b] {
        let agreed = agreed_by(&side.records, terms);
        let mut before = Amount::ZERO;
        for record in &side.records {
            let Record::Invoice { message, to_seq, .. } = record else { continue };
            assert_eq!(Some(message.amount_total), agreed.owed_for(*to_seq));
            assert!(before <= message.amount_total, "totals never go back");
            before = message.amount_total;
        }
        if side.end() == End::Complete {
            assert_eq!((side.progress().owed, side.progress().paid), (before, before));
        }
    }
}

/// The buyer complains of the last item that it was invoiced for.
fn complain(pair: &mut Pair) {
    let last = pair.b.records.iter().rev().find_map(|record| match record {
        Record::Invoice { to_seq, .. } => Some(*to_seq),
        _ => None,
    });
    if let Some(seq) = last {
        let _ = pair.buyer.ask(complaint(pair, seq));
    }
}

fn stop<'a>() -> sdpp::session::Input<'a> {
    sdpp::session::Input::Stop(sdpp::message::Reason::Stopped)
}

fn unpaid_items_stay_within_credit(pair: &Pair, chance: &Chance) {
    let sent = sent(&pair.s).iter().filter(|m| !m["data"]["leaf"].is_null()).count() as u128;
    let Some(terms) = pair.buyer.terms() else { return };
    let agreed = agreed_by(&pair.s.records, terms);
    let sent = u64::try_from(sent).unwrap();
    // Windows that are smaller from here on do not take back what left before.
    let before = u64::from(chance.granularity) * u64::from(chance.credit_windows);
    let paces = (1..=sent + 1).map(|seq| agreed.pace(seq).credit_items());
    let credit = paces.max().unwrap_or(before);
    let (paid, owed) = (paid(pair), agreed.owed_for(sent.saturating_sub(credit)).unwrap());
    assert!(owed <= paid, "{sent} items are out, {owed} are due, {paid} are paid");
}

/// What the seller has in hand: transfers on the ledger, or the best voucher.
fn paid(pair: &Pair) -> Amount {
    let vouched = pair.s.records.iter().filter_map(|record| match record {
        Record::Voucher { amount, .. } => Some(*amount),
        _ => None,
    });
    vouched.max().unwrap_or(pair.transferred())
}

fn the_buyer_pays_for_what_it_has_opened(pair: &Pair) {
    let opened = Amount::new(pair.b.delivered.len() as u128 * 5);
    assert!(pair.transferred() <= opened);
    for message in sent(&pair.b) {
        let voucher = &message["data"]["voucher"]["cumulative_amount"];
        if let Some(amount) = voucher.as_str() {
            assert!(amount.parse::<Amount>().unwrap() <= opened);
        }
    }
}

/// Each message that binds us has its entry before it in the order of outputs.
fn nothing_leaves_before_its_entry(side: &Side, what: &str) {
    let mut reserved = 0;
    let mut known: Vec<String> = Vec::new();
    let mut ceiling = Amount::ZERO;
    for output in &side.log {
        match output {
            Output::Record { record, .. } => match &**record {
                Record::Order { order, .. } => known.push(order.signature.to_string()),
                Record::Epoch { .. } => known.push("session_key".to_owned()),
                Record::Reserved { to_seq } => reserved = *to_seq,
                Record::Ceiling { amount, .. } => ceiling = *amount,
                Record::Invoice { message, .. }
                | Record::Payment { message, .. }
                | Record::Amend { message, .. }
                | Record::Exit { message, .. } => known.push(message.signature.to_string()),
                _ => {}
            },
            Output::Send(bytes) => {
                for line in String::from_utf8_lossy(bytes).lines() {
                    let message: serde_json::Value = serde_json::from_str(line).unwrap();
                    let signature = message["signature"].as_str().unwrap().to_owned();
                    let voucher = &message["data"]["voucher"]["cumulative_amount"];
                    if let Some(amount) = voucher.as_str() {
                        assert!(amount.parse::<Amount>().unwrap() <= ceiling, "{what}: {line}");
                    }
                    match message["message_type"].as_str().unwrap() {
                        "order" | "data_invoice" | "payment_ack" | "amend" | "exit" => {
                            assert!(known.contains(&signature), "{what}: no entry for {line}");
                        }
                        "session_key" => assert!(known.contains(&"session_key".to_owned())),
                        "data" => {
                            assert!(message["data"]["seq"].as_u64().unwrap() <= reserved);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn money_items_and_entries_keep_step(chance in chances()) {
        let pair = run(&chance);
        nothing_leaves_before_its_entry(&pair.s, "seller");
        nothing_leaves_before_its_entry(&pair.b, "buyer");
        let invoices = pair.s.records.iter().filter(|r| matches!(r, Record::Invoice { .. }));
        let transfers = pair.ledger.iter().filter(|(_, c, _)| matches!(c, Call::Transfer(_)));
        prop_assert!(transfers.count() <= invoices.count());
        prop_assert!(pair.transferred() <= ceiling(&chance).unwrap_or(Amount::new(u128::MAX)));
        for side in [&pair.s, &pair.b] {
            let honest = !matches!(side.end(), End::Misconduct | End::Failed);
            prop_assert!(honest || side.why() == "stopped before it began", "{}", side.why());
        }
        for (at, (seq, item)) in pair.b.delivered.iter().enumerate() {
            prop_assert_eq!(*seq, at as u64 + 1);
            prop_assert_eq!(item, &crate::pair::item(*seq));
        }
    }
}

/// What a credit note makes free is paid as it leaves: a buyer whose channel cannot grow stops before
/// that, and not at an invoice that it cannot pay.
#[test]
fn a_credit_above_a_windows_price_at_the_end_of_a_channel_breaks_nothing() {
    for step in 0..120 {
        let chance = Chance {
            escrow: true,
            signed: false,
            before: false,
            records: false,
            granularity: 1,
            credit_windows: 1,
            quantity: None,
            read_max: 1_000,
            ceiling: None,
            small: Some(10),
            credit_up_to: 0,
            together: None,
            events: vec![(step, 6), (0, 4)],
        };
        let pair = run(&chance);
        for side in [&pair.s, &pair.b] {
            assert!(!matches!(side.end(), End::Misconduct | End::Failed), "{step}: {}", side.why());
        }
    }
}
