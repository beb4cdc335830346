//! Each figure of a statement is computed again, stands for itself, and adds up to the last unit.

use crate::lies::{lie, sign_again};
use crate::pair::{Role, Setting, key};
use crate::{audit, both, buyer, ledger, seller, transfers, vouchers};
use sdpp::audit::{Audit, By, Escrowed, Fees, Progress, Report, Seen, Span, Statement, Totals};
use sdpp::journal::Entry;
use sdpp::record::{Leaves, Record};
use sdpp::session::Input;
use sdpp::terms::{Role as Side, SessionId};
use sdpp_ledger::{
    Account, Amount, Asset, Change, ChangeKind, Channel, ChannelId, Digest, PublicKey, TxId,
};
use serde_json::json;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn only(owner: &PublicKey, entries: &[Entry]) -> Statement {
    audit(owner, entries).statements.remove(0)
}

#[test]
fn the_digest_that_runs_over_a_window_is_computed_from_its_leaves() {
    lie(transfers(seller()), "the digest of window 1 is not what its leaves make", |entries| {
        let other = Digest([7; 32]);
        let (seq, (message, digest)) =
            nth!(entries, 0, Record::Invoice { message, digest, .. } => (message, digest));
        sign_again(message, &key(1), |data| data["invoice"]["digest"] = json!(other));
        *digest = other;
        seq
    });
    lie(transfers(seller()), "the leaves of window 2 are others", |entries| {
        let (seq, leaves) = nth!(entries, 1, Record::Invoice { leaves, .. } => leaves);
        *leaves = Leaves::of(leaves.as_slice()[1..].to_vec());
        seq
    });
}

/// Whether its items were invoiced by then or not.
#[test]
fn an_ack_inside_a_window_is_of_the_items_that_were_invoiced() {
    let mut pair = Setting::default().by_escrow().start();
    pair.run();
    let entries = both(&pair)[0].1.clone();
    let inside = |entry: &&Entry| match &entry.record {
        Record::Ack { message } => message.data.as_ref().unwrap().contains("\"seq\":3"),
        _ => false,
    };
    let acks = entries.iter().filter_map(|entry| match &entry.record {
        Record::Ack { message } => message.data.as_ref(),
        _ => None,
    });
    let acks: Vec<_> = acks.collect();
    assert!(entries.iter().any(|entry| inside(&entry)), "{acks:?}");
    lie((seller(), entries), "the ack of item 3 is of other items", |entries| {
        let entry = entries.iter_mut().find(|entry| inside(&&**entry)).unwrap();
        let Record::Ack { message } = &mut entry.record else { unreachable!() };
        let other = Digest([7; 32]);
        message.commitment = other;
        sign_again(message, &key(2), |data| data["digest"] = json!(other));
        entry.seq
    });
}

#[test]
fn a_window_without_leaves_is_counted_and_no_problem() {
    let (owner, mut entries) = transfers(buyer());
    assert_eq!((only(&owner, &entries).windows, only(&owner, &entries).windows_recomputed), (2, 2));
    *nth!(entries, 0, Record::Invoice { leaves, .. } => leaves).1 = Leaves::default();
    let report = audit(&owner, &entries);
    assert_eq!(report.problems, []);
    assert_eq!((report.statements[0].windows, report.statements[0].windows_recomputed), (2, 1));
}

#[test]
fn an_invoice_is_no_receipt_for_what_was_not_paid() {
    for owner in [seller(), buyer()] {
        lie(transfers(owner), "is a receipt for 18, more than was paid", |entries| {
            let (seq, message) = nth!(entries, 0, Record::Invoice { message, .. } => message);
            sign_again(message, &key(1), |data| data["invoice"]["paid_total"] = json!("18"));
            seq
        });
    }
}

/// The buyer acknowledged items beyond the window that was invoiced, and is gone.
#[test]
fn what_is_acknowledged_and_not_invoiced_stands_for_itself() {
    for setting in [Setting::default(), Setting::default().by_escrow()] {
        let mut pair = setting.windows(4, 2).order("co2", None).start();
        pair.run_to(5).run_without_feeding();
        pair.tell(Role::Buyer, Input::Hangup);
        pair.tell(Role::Seller, Input::Hangup);
        pair.run();
        for (owner, entries) in both(&pair).into_iter().take(1) {
            let one = only(&owner, &entries);
            let more = u128::from(one.items_acked - 4);
            assert!(one.items_delivered == 4 && more > 0, "{:?}: {more}", one.role);
            assert_eq!(one.last.invoiced, Amount::new(20));
            assert_eq!(one.last.acked_amount, Amount::new(20 + 5 * more));
            assert_eq!(one.last.acked_not_invoiced(), Amount::new(5 * more));
        }
    }
}

/// A false signature is told apart from a wrong figure, also where another session is asked for.
#[test]
fn a_false_signature_is_told_whichever_session_is_asked_for() {
    let (owner, mut entries) = vouchers();
    let fine = audit(&owner, &entries);
    let (seq, signature) = nth!(entries, 0, Record::Voucher { signature, .. } => signature);
    signature.0[3] ^= 1;
    let report = audit(&owner, &entries);
    assert!(report.problems[0].is_forged && report.problems[0].entry == seq);
    assert_eq!(report.statements[0].problems, report.problems);
    let mut of_another = Audit::of_session(owner, SessionId(Digest([8; 32])));
    entries.iter().for_each(|entry| of_another.take(entry));
    let of_another = of_another.finish();
    assert_eq!((of_another.problems, of_another.statements.len()), (report.problems, 0));
    assert_eq!(fine.problems, []);
}

/// Whoever verifies elsewhere comes to the same report.
#[test]
fn signatures_may_be_verified_later_and_in_any_order() {
    let (owner, mut entries) = transfers(seller());
    let (_, message) = nth!(entries, 1, Record::Payment { message, .. } => message);
    message.signature = key(9).sign(&message.digest());
    let (_, message) = nth!(entries, 0, Record::Invoice { message, .. } => message);
    message.signature = key(9).sign(&message.digest());
    let mut later = Audit::new(owner);
    let mut to_verify = Vec::new();
    entries.iter().for_each(|entry| later.read(entry, &mut to_verify));
    assert_eq!(to_verify.len(), 10, "menu, order, two invoices, acks and payments, exits");
    let forged = to_verify.iter().rev().filter(|one| !one.holds());
    forged.for_each(|one| later.refute(one));
    assert_eq!(later.finish(), audit(&owner, &entries));
}

/// Three anchors under one root that cost a hundred, after seventy given back.
#[test]
fn a_fee_and_what_came_back_are_shared_by_all_that_rode_in_the_transaction_to_the_last_unit() {
    let mut setting = Setting::default().anchored_after();
    (setting.seller.hold_records, setting.buyer.hold_records) = (true, true);
    let mut pair = setting.start();
    pair.run();
    let [(owner, mut entries), _] = both(&pair);
    for entry in &mut entries {
        if let Record::Met { evidence, .. } = &mut entry.record {
            (evidence.fee, evidence.rebate) = (Amount::new(100), Amount::new(70));
        }
    }
    let report = audit(&owner, &entries);
    let one = &report.statements[0];
    let fees: Vec<u128> = one
        .anchors
        .iter()
        .map(|line| line.evidence.as_ref().unwrap().fee.unwrap().units())
        .collect();
    assert_eq!(fees, [34, 33, 33]);
    assert!(one.payments().iter().all(|line| line.fee.is_none()), "the buyer paid those");
    let rebates: Vec<u128> =
        one.anchors.iter().map(|line| line.evidence.as_ref().unwrap().rebate.units()).collect();
    assert_eq!(rebates, [24, 23, 23]);
    let fees = Fees { fee: Some(Amount::new(100)), rebate: Some(Amount::new(70)) };
    assert_eq!(one.fees().into_iter().collect::<Vec<_>>(), [(ledger(), fees)]);
    let totals = Totals::of(&report, Span::ALL);
    assert_eq!(totals.fees.len(), 4, "a peer, a topic, a currency, a day");
    assert!(totals.fees.values().all(|sums| *sums == fees), "{:?}", totals.fees);
}

/// What the ledgers said is in the chain's hashes: an entry that says nothing of a rebate is written
/// again as it was, and its transaction gave nothing back.
#[test]
fn an_entry_from_before_rebates_is_written_and_told_as_it_was() {
    let zeros = "00".repeat(32);
    let told = r#"{"tx":"0x01","height":7,"block":"0xb7","at_ms":9,"amount":"18","fee":"5"}"#;
    let met = format!(r#""record":"met","reference":"0x{zeros}","evidence":{told},"proof":null"#);
    let place = format!(r#""seq":9,"at_ms":9,"session":null,"prev":"0x{zeros}""#);
    let old = format!(r#"{{{place},"record":{{{met}}}}}"#);
    let entry: Entry = serde_json::from_str(&old).unwrap();
    assert_eq!(serde_json::to_string(&entry).unwrap(), old);
    let Record::Met { evidence, .. } = entry.record else { panic!("{old}") };
    let (owner, mut entries) = transfers(buyer());
    for entry in &mut entries {
        if let Record::Met { evidence: told, .. } = &mut entry.record {
            (told.fee, told.rebate) = (evidence.fee, evidence.rebate);
        }
    }
    let fees = only(&owner, &entries).fees();
    assert!(!fees.is_empty() && fees.values().all(|sums| sums.rebate == Some(Amount::ZERO)));
}

/// Each window by transfer is a line, at the time at which it was final.
#[test]
fn each_payment_is_a_line_on_the_day_on_which_it_was_final() {
    for owner in [seller(), buyer()] {
        let (owner, mut entries) = transfers(owner);
        let first_met = entries.iter().position(|entry| match &entry.record {
            Record::Met { evidence, .. } => evidence.amount > Amount::ZERO,
            _ => false,
        });
        for entry in &mut entries[first_met.unwrap()..] {
            entry.at_ms += DAY_MS;
        }
        let one = only(&owner, &entries);
        let lines = one.payments();
        let amounts: Vec<_> = lines.iter().map(|line| (line.items, line.amount.units())).collect();
        assert_eq!(amounts, [(4, 12), (2, 6)]);
        let day = |at_ms| at_ms / DAY_MS;
        let days: Vec<_> = lines.iter().map(|line| day(line.at_ms) - day(one.began_ms)).collect();
        assert_eq!(days, [1, 1], "invoiced the day before, final on this one");
        assert!(lines.iter().all(|line| line.progress == Progress::Final && line.tx.is_some()));
        // Before it is final it stands on the day of its invoice.
        let before = only(&owner, &entries[..first_met.unwrap()]);
        if let [line] = &before.payments()[..] {
            assert_eq!((day(line.at_ms), line.progress), (day(one.began_ms), Progress::Pending));
        }
    }
}

fn closed(entries: &[Entry], settled: u128, tx: &str) -> Entry {
    let last = entries.last().unwrap();
    let kind = ChangeKind::Closed { settled: Amount::new(settled) };
    let tx = tx.parse().unwrap();
    let change = Change { channel: ChannelId([5; 32]), kind, tx, height: 9, at_ms: 9 };
    let record = Record::ChannelChange { ledger: ledger(), change };
    Entry { seq: last.seq + 1, session: None, record, ..last.clone() }
}

/// A seller redeems and its watch tells of it; a buyer knows of it by the watch alone.
#[test]
fn what_a_channel_paid_out_is_one_line_on_either_side() {
    let mut pair = Setting::default().by_escrow().start();
    pair.run();
    for (owner, entries) in both(&pair) {
        let vouched = only(&owner, &entries);
        let redeemed = vouched.settlements.first().and_then(|line| line.evidence.clone());
        let tx = redeemed.map_or("0xclose".to_owned(), |told| told.tx.to_string());
        let all = [&entries[..], &[closed(&entries, 18, &tx)]].concat();
        let one = only(&owner, &all);
        let lines = one.payments();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert_eq!((line.items, line.amount, line.progress), (6, Amount::new(18), Progress::Final));
        assert_eq!(line.tx.as_ref().map(TxId::to_string), Some(tx));
        assert_eq!(line.reference.is_some(), owner == seller());
        assert_eq!(line.fee.is_some(), owner == seller());
        if owner == buyer() {
            let lines = vouched.payments();
            assert_eq!((lines.len(), lines[0].progress), (1, Progress::Vouched));
            assert_eq!((lines[0].items, lines[0].amount), (6, Amount::new(18)));
        }
    }
}

#[test]
fn totals_add_up_and_never_add_what_is_not_the_same() {
    let (owner, entries) = transfers(buyer());
    let report = audit(&owner, &entries);
    let [one] = &report.statements[..] else { panic!("one session") };
    let variants: [fn(&mut Statement); 4] = [
        |one| one.last.ledger = "sdpp:other".parse().unwrap(),
        |one| one.last.asset = "0xtoken".parse().unwrap(),
        |one| one.last.decimals = 2,
        |one| one.role = Side::Seller,
    ];
    let of = |statements: Vec<Statement>| {
        let report = Report { statements, ..Report::default() };
        Totals::of(&report, Span::ALL)
    };
    let twice = of(vec![one.clone(), one.clone()]);
    assert_eq!(twice.money.len(), 4, "a peer, a topic, a currency, a day");
    for sums in twice.money.values() {
        assert_eq!((sums.sessions, sums.items), (2, 12));
        assert_eq!((sums.invoiced, sums.settled), (Some(Amount::new(36)), Some(Amount::new(36))));
    }
    for change in variants {
        let mut other = one.clone();
        change(&mut other);
        let apart = of(vec![one.clone(), other]);
        assert_eq!(apart.money.len(), 8);
        assert!(apart.money.values().all(|sums| sums.settled == Some(Amount::new(18))));
    }
    let mut huge = one.clone();
    huge.last.invoices[0].amount = Amount::new(u128::MAX);
    let passed = of(vec![one.clone(), huge]);
    assert!(passed.money.values().all(|sums| sums.invoiced.is_none()));
    // A day ends where the next one begins.
    let midnight = one.began_ms - one.began_ms % DAY_MS;
    for (since_ms, until_ms, found) in [
        (midnight, midnight + DAY_MS, true),
        (midnight - DAY_MS, midnight, false),
        (midnight + DAY_MS, u64::MAX, false),
    ] {
        let totals = Totals::of(&report, Span { since_ms, until_ms });
        assert_eq!(!totals.money.is_empty(), found);
        assert_eq!(totals.money.keys().any(|(by, _)| *by == By::Day(midnight)), found);
    }
}

#[test]
fn a_channel_is_held_against_what_its_ledger_says_of_it() {
    let account = |name: &str| name.parse::<Account>().unwrap();
    let here = Escrowed {
        entry: 7,
        channel: ChannelId([5; 32]),
        session: None,
        ledger: ledger(),
        role: Side::Seller,
        payee: account("payee"),
        asset: Asset::coin(),
        deposit: Some(Amount::new(100)),
        settled: Amount::new(10),
        vouched: Amount::new(30),
        is_closing: false,
        is_over: false,
        is_certain: true,
    };
    let there = Channel {
        payer: account("payer"),
        payee: account("payee"),
        asset: Asset::coin(),
        signer: account("payer"),
        deposit: Amount::new(100),
        settled: Amount::new(10),
        close_requested_ms: None,
        finalized: false,
    };
    assert_eq!(here.compare(Some(&there)), Seen::Agrees);
    let differs = |change: &dyn Fn(&mut Channel), says: &str| {
        let mut other = there.clone();
        change(&mut other);
        match here.compare(Some(&other)) {
            Seen::Differs(what) => assert!(what.contains(says), "{what}"),
            seen => panic!("{says}: {seen:?}"),
        }
    };
    differs(&|c| c.payee = account("other"), "agreed was coin to payee");
    differs(&|c| c.asset = "0xtoken".parse().unwrap(), "it pays 0xtoken");
    differs(&|c| c.deposit = Amount::new(99), "its deposit is 99, 100 was final");
    differs(&|c| c.settled = Amount::new(9), "it paid 9, 10 was final");
    differs(&|c| c.settled = Amount::new(31), "it paid 31, 30 was vouched");
    differs(&|c| c.finalized = true, "20 is lost");
    let ahead = |change: &dyn Fn(&mut Channel), says: &str| {
        let mut other = there.clone();
        change(&mut other);
        assert_eq!(here.compare(Some(&other)), Seen::Ahead(says.to_owned()));
    };
    ahead(&|c| c.settled = Amount::new(30), "it paid 30");
    ahead(&|c| c.deposit = Amount::new(200), "its deposit is 200");
    ahead(&|c| c.close_requested_ms = Some(1), "its payer asks to close it");
    ahead(&|c| (c.settled, c.finalized) = (Amount::new(30), true), "it paid 30, it is closed");
    let untold = Escrowed { deposit: None, ..here.clone() };
    assert_eq!(untold.compare(Some(&there)), Seen::Agrees);
    let over = Escrowed { is_over: true, ..here.clone() };
    assert!(matches!(over.compare(Some(&there)), Seen::Differs(what) if what.contains("is open")));
    assert!(matches!(here.compare(None), Seen::Differs(what) if what.contains("no such channel")));
    let unsure = Escrowed { is_certain: false, ..here };
    assert_eq!(unsure.compare(None), Seen::Agrees);
}
