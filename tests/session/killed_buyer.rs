//! Buyers that are killed in mid-session and read back from their journal and their file: no item is
//! lost or doubled, and nothing is paid twice or never.

use crate::amends::grant;
use crate::line::*;
use crate::pair::*;
use proptest::prelude::*;
use sdpp::message::{PaceReason, Reason};
use sdpp::record::{End, Record};
use sdpp::session::{Buyer, BuyerPolicy, Input, Left, LeftChannel, Output, Wish};
use sdpp::settling::Policy;
use sdpp::terms::Pace;
use sdpp_ledger::{Amount, keccak};
use std::collections::BTreeMap;

/// A pair whose buyer can be killed, and what its next process brings.
pub struct Killable {
    pub wire: Wire,
    wish: Wish,
    policy: BuyerPolicy,
    kills: u64,
}

impl Killable {
    pub fn new(setting: Setting) -> Killable {
        let mut setting = resumable(setting);
        setting.buyer.resume_ms = Some(RESUME_MS);
        let (wish, policy) = (setting.wish.clone(), setting.buyer.clone());
        Killable { wire: Wire::new(setting), wish, policy, kills: 0 }
    }

    /// Whether there is a session that a journal can bring back.
    pub fn has_key(&self) -> bool {
        let b = &self.wire.pair.b;
        let is_key = |record: &Record| matches!(record, Record::Epoch { .. });
        let has_end = |record: &Record| matches!(record, Record::Ended { .. });
        b.closed.is_none() && b.records.iter().any(is_key) && !b.records.iter().any(has_end)
    }

    /// The buyer's process is gone in this moment. Records that follow one another are written
    /// together; items are in the file before anything leaves after them, and may be there sooner.
    pub fn kill(&mut self, is_written: bool, is_noticed: bool) {
        if !self.has_key() {
            return;
        }
        let pair = &mut self.wire.pair;
        let is_record = |output: &Output| matches!(output, Output::Record { .. });
        while pair.b.log.last().is_some_and(is_record) {
            let Some(output) = pair.buyer.poll() else { break };
            if is_record(&output) {
                pair.take(Role::Buyer, output);
                continue;
            }
            let has_end = |record: &Record| matches!(record, Record::Ended { .. });
            if pair.b.records.iter().any(has_end) {
                return pair.take(Role::Buyer, output);
            }
            break;
        }
        if !is_written {
            self.lose_unwritten();
        }
        let buyer = self.read_back();
        self.kills += 1;
        self.wire.replace_buyer(buyer, is_noticed);
        self.tell_what_ledgers_did();
    }

    /// Items that came and were followed by nothing are not in the file.
    fn lose_unwritten(&mut self) {
        let b = &mut self.wire.pair.b;
        while let Some(Output::Deliver { seq, .. }) = b.log.last() {
            assert_eq!(b.delivered.pop().map(|(seq, _)| seq), Some(*seq));
            b.log.pop();
        }
        self.wire.forget_seen();
    }

    /// What the journal and the file make of it.
    fn read_back(&self) -> Buyer {
        let pair = &self.wire.pair;
        let invoiced = Buyer::invoiced_by(&pair.b.records);
        let behind = pair.b.delivered.iter().filter(|(seq, _)| *seq > invoiced);
        let items = behind.map(|(_, item)| item.clone()).collect();
        let ceilings = pair.b.records.iter().filter_map(|record| match record {
            Record::Ceiling { amount, .. } => Some(*amount),
            _ => None,
        });
        let ceiling = ceilings.chain([pair.ceiling]).max().unwrap();
        // A seller whose session is over may have closed it.
        let is_over = pair.s.closed.is_some();
        let channel = LeftChannel { domain: domain(), deposit: pair.deposit, ceiling, is_over };
        let named = Buyer::channels_of(&pair.b.records);
        let left = Left {
            records: pair.b.records.iter().map(|one| (pair.now_ms, one.clone())).collect(),
            items,
            keeps_all: true,
            channels: named.into_iter().map(|id| (id, channel.clone())).collect(),
        };
        let nobodys = keccak(&[b"nobody's", &self.kills.to_be_bytes()]);
        let (wish, policy) = (self.wish.clone(), self.policy.clone());
        Buyer::rebuilt(key(2), wish, policy, nobodys, &left, pair.now_ms).unwrap()
    }

    /// The journal knows what became of all that is owed.
    fn tell_what_ledgers_did(&mut self) {
        let pair = &mut self.wire.pair;
        for (reference, _, tx) in pair.ledger.clone() {
            pair.tell(Role::Buyer, Input::Signed { reference, tx: tx.clone() });
            pair.tell(Role::Buyer, Input::Met { reference, tx });
        }
    }
}

#[test]
fn a_buyer_that_is_killed_after_any_output_goes_on_from_its_journal_and_its_file() {
    for (what, setting) in SETTINGS {
        let mut killed = 0;
        for at in 0..400 {
            // What the suite has no time for the property below finds in the long run.
            let (is_written, is_noticed) = (at % 4 < 2, at % 2 == 0);
            let mut story = Killable::new(setting());
            let steps = (0..at).take_while(|_| story.wire.step()).count();
            if steps < at {
                break;
            }
            println!("{what}: killed after step {at}, all is written: {is_written}");
            story.kill(is_written, is_noticed);
            if story.kills == 0 {
                continue;
            }
            story.wire.finish();
            is_whole(&story.wire, 10);
            let pair = &story.wire.pair;
            if !what.starts_with("escrow") {
                assert_eq!(pair.transferred(), pair.b.progress().paid);
            }
            killed += 1;
        }
        assert!(killed > 20, "{what}: {killed}");
    }
}

/// A power cut takes both, and the seller is as far ahead of its buyer as it may be.
#[test]
fn both_sides_that_are_killed_after_any_output_go_on_from_their_journals() {
    for (what, setting) in SETTINGS {
        let mut killed = 0;
        for at in (0..400).step_by(3) {
            let (is_written, is_seller_first) = (at % 4 < 2, at % 2 == 0);
            let mut story = Killable::new(setting());
            let step = |story: &mut Killable| {
                story.wire.pair.run_ahead();
                story.wire.step()
            };
            let steps = (0..at).take_while(|_| step(&mut story)).count();
            if steps < at {
                break;
            }
            if !story.has_key() || story.wire.pair.s.closed.is_some() {
                continue;
            }
            println!("{what}: both killed after step {at}, all is written: {is_written}");
            if is_seller_first {
                story.wire.restart(true).unwrap();
            }
            story.kill(is_written, true);
            if !is_seller_first {
                story.wire.restart(true).unwrap();
            }
            story.wire.finish();
            is_whole(&story.wire, 10);
            killed += 1;
        }
        assert!(killed > 10, "{what}: {killed}");
    }
}

#[test]
fn a_buyer_that_is_killed_when_it_has_said_exit_pays_what_was_under_way() {
    for escrow in [false, true] {
        for at in 0..40 {
            let setting = Setting::default().order("co2", None).windows(3, 2);
            let mut story = Killable::new(if escrow { setting.by_escrow() } else { setting });
            story.wire.run_to(7);
            story.wire.pair.tell(Role::Buyer, Input::Stop(Reason::Stopped));
            for _ in 0..at {
                story.wire.step();
            }
            story.kill(true, true);
            // What was not written when the kill came is said once more.
            story.wire.pair.tell(Role::Buyer, Input::Stop(Reason::Stopped));
            story.wire.finish();
            let Pair { s, b, .. } = &story.wire.pair;
            assert_eq!((s.end(), b.end()), (End::Complete, End::Complete), "{at}: {}", b.why());
            assert_eq!(s.progress().paid, b.progress().paid);
            let seqs: Vec<u64> = b.delivered.iter().map(|(seq, _)| *seq).collect();
            assert_eq!(seqs, (1..=s.progress().items).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_session_whose_seller_is_gone_ends_in_the_buyers_own_time() {
    let mut story = Killable::new(Setting::default().order("co2", Some(10)));
    story.wire.run_to(5);
    story.kill(true, true);
    let pair = &mut story.wire.pair;
    while pair.b.closed.is_none() {
        pair.now_ms = pair.buyer.poll_timeout().unwrap();
        pair.buyer.handle_timeout(pair.now_ms);
        while pair.drain_outputs(Role::Buyer) {}
    }
    assert_eq!(pair.b.end(), End::Broken);
    assert!(pair.b.why().contains("could not be made again"), "{}", pair.b.why());
}

#[test]
fn what_the_file_holds_beyond_what_can_have_come_is_not_taken_for_items() {
    let mut story = Killable::new(Setting::default().order("co2", Some(10)).windows(3, 2));
    story.wire.run_to(4);
    let pair = &mut story.wire.pair;
    let beyond = 5..=8;
    pair.b.delivered.extend(beyond.map(|seq| (seq, item(seq))));
    let left = Left {
        records: pair.b.records.iter().map(|one| (pair.now_ms, one.clone())).collect(),
        items: pair.b.delivered.iter().skip(3).map(|(_, item)| item.clone()).collect(),
        keeps_all: true,
        channels: BTreeMap::new(),
    };
    let (wish, policy) = (story.wish.clone(), story.policy.clone());
    let nobodys = keccak(&[b"nobody's"]);
    let refused = Buyer::rebuilt(key(2), wish, policy, nobodys, &left, pair.now_ms);
    assert!(refused.unwrap_err().contains("cannot have come"));
}

/// The same command with another dataset is another order.
#[test]
fn a_session_of_another_dataset_than_is_wanted_is_not_gone_on_with() {
    let mut story = Killable::new(Setting::default().order("co2", Some(10)).committed(10));
    story.wire.run_to(4);
    let pair = &story.wire.pair;
    let left = || Left {
        records: pair.b.records.iter().map(|one| (pair.now_ms, one.clone())).collect(),
        items: pair.b.delivered.iter().skip(4).map(|(_, item)| item.clone()).collect(),
        keeps_all: true,
        channels: BTreeMap::new(),
    };
    let rebuilt = |root| {
        let wish = sdpp::session::Wish { dataset: Some(root), ..story.wish.clone() };
        let (policy, nobodys) = (story.policy.clone(), keccak(&[b"nobody's"]));
        Buyer::rebuilt(key(2), wish, policy, nobodys, &left(), pair.now_ms)
    };
    assert!(rebuilt(dataset(10).root()).is_ok());
    let refused = rebuilt(keccak(&[b"another"])).unwrap_err();
    assert!(refused.contains("is wanted, the seller names 0x"), "{refused}");
}

#[derive(Debug, Clone)]
struct Chance {
    escrow: bool,
    signed: bool,
    before: bool,
    records: bool,
    /// So much may be held back to be paid together.
    together: Option<u128>,
    granularity: u32,
    credit_windows: u32,
    quantity: u64,
    /// At which step what happens: the buyer is killed, or its line breaks; items are credited or
    /// complained of, a pace changes, or the ledger goes or comes.
    events: Vec<(usize, u8)>,
}

fn chances() -> impl Strategy<Value = Chance> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let together = prop::option::of(1u128..60);
    let events = prop::collection::vec((0usize..400, 0u8..9), 1..10);
    (flags, together, 1u32..6, 1u32..4, 1u64..40, events).prop_map(
        |((escrow, signed, before, records), together, granularity, credit, quantity, events)| {
            let credit_windows = credit;
            Chance {
                escrow,
                signed,
                before,
                records,
                together,
                granularity,
                credit_windows,
                quantity,
                events,
            }
        },
    )
}

fn start(chance: &Chance) -> Killable {
    let mut setting = Setting::default().order("co2", Some(chance.quantity));
    setting = setting.windows(chance.granularity, chance.credit_windows);
    let Chance { escrow, signed, before, records, .. } = *chance;
    setting = setting.in_mode(escrow, signed, before, records);
    if let Some(units) = chance.together {
        setting =
            setting.together(Policy { exposure: Some(Amount::new(units)), ..Policy::default() });
    }
    setting.seller.credit_up_to.insert("SDP".to_owned(), Amount::new(20));
    Killable::new(setting)
}

fn happen(story: &mut Killable, event: u8, at: usize) {
    let has_key = story.wire.pair.buyer.terms().is_some();
    match event {
        0..=3 => story.kill(event & 1 == 0, event < 2),
        4 if has_key => story.wire.cut(),
        5 => {
            let pair = &mut story.wire.pair;
            let sent = pair.seller.progress().items;
            let items: Vec<u64> = (sent / 2..=sent).collect();
            let _ = pair.seller.credit(grant(&items, Some(u128::from(3 * sent + 1))), pair.now_ms);
        }
        6 => {
            let pair = &mut story.wire.pair;
            let last = Buyer::invoiced_by(&pair.b.records);
            if last > 0 {
                let _ = pair.buyer.ask(complaint(pair, last));
            }
        }
        7 => {
            let pair = &mut story.wire.pair;
            let chance = |most: u32| 1 + u32::try_from(at).unwrap() * 7 % most;
            let pace = Pace { granularity: chance(6), credit_windows: chance(4) };
            let _ = pair.seller.change_pace(pace, PaceReason::Earned, pair.now_ms);
        }
        8 => story.wire.pair.ledger_down = !story.wire.pair.ledger_down,
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn buyers_that_are_killed_anywhere_lose_nothing_and_pay_nothing_twice(chance in chances()) {
        let mut story = start(&chance);
        for at in 0..400 {
            for (_, event) in chance.events.iter().filter(|(step, _)| *step == at) {
                happen(&mut story, *event, at);
            }
            if !story.wire.step() && !std::mem::take(&mut story.wire.pair.ledger_down) {
                break;
            }
        }
        story.wire.finish();
        is_whole(&story.wire, chance.quantity);
        let Pair { b, .. } = &story.wire.pair;
        if !chance.escrow {
            prop_assert_eq!(story.wire.pair.transferred(), b.progress().paid);
        }
        // What may have been vouched is what was.
        let of = |record: &Record| match record {
            Record::Spent { amount, .. } => Some(*amount),
            _ => None,
        };
        if chance.escrow {
            prop_assert_eq!(b.records.iter().find_map(of), Some(b.progress().paid));
        }
    }
}
