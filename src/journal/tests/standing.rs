//! Stories of a buyer's standing: kept with the facts, over restarts and pruning, and the same as the
//! entries alone tell it.

use super::*;
use crate::journal::obligation::Event;
use crate::journal::prune::Place;
use crate::standing::{Priced, Standing};
use crate::terms::{Method, Rate};
use sdpp_ledger::Evidence;

/// One of a session's currency is two of the default's.
const HALF: Rate = Rate { numerator: Amount::new(1), denominator: Amount::new(2) };

fn buyer() -> PublicKey {
    key(2).public()
}

fn priced(method: Method) -> Record {
    let channel = (method == Method::Escrow).then_some((ChannelId([7; 32]), Amount::new(100)));
    let price = Amount::new(20);
    Record::Priced(Priced { from_seq: 1, price, rate: HALF, method, channel })
}

fn billed(number: u64, total: u128) -> Record {
    let Record::Invoice { message, digest, leaves, owed, .. } = invoice(number, None) else {
        unreachable!()
    };
    let message = SignedMessage { amount_total: Amount::new(total), ..message };
    Record::Invoice { message, from_seq: number, to_seq: number, digest, leaves, owed }
}

fn over(end: End, why: &str) -> Record {
    Record::Ended { end, why: why.to_owned(), evidence: Vec::new(), owed: None }
}

fn met(number: u64, of: u8) -> Write {
    let reference = session(of).reference(Purpose::Payment, number);
    let evidence = Evidence::new(tx(&format!("0x{of}{number}")), 7, "block", 7);
    Write::Obligation { reference, event: Event::Met { evidence } }
}

/// A session by transfer: three windows of 10 each, two claimed.
fn begin(journal: &mut Journal, of: u8) {
    let records = [order(), priced(Method::Transfer), billed(1, 10), billed(2, 20), billed(3, 30)];
    let paid = [1, 2].map(|number| claim(session(of), number, tx(&format!("0x{of}{number}"))));
    for record in records.into_iter().chain(paid) {
        done(journal, append(session(of), record));
    }
}

fn standing(journal: &Journal) -> [u128; 6] {
    let Standing { settled, windows, earned, late, broken, owed } =
        journal.reader().standing(&buyer()).unwrap();
    [settled.units(), windows.into(), earned.units(), late.into(), broken.into(), owed.units()]
}

#[test]
fn what_a_buyer_pays_counts_when_it_is_final_and_what_it_leaves_is_owed() {
    let dir = Dir::new();
    let mut journal = dir.open();
    begin(&mut journal, 1);
    assert_eq!(standing(&journal), [0; 6], "a claim is no money");
    done(&mut journal, met(1, 1));
    assert_eq!(standing(&journal), [20, 1, 20, 0, 0, 0]);
    done(&mut journal, append(session(1), over(End::Broken, "it went away")));
    assert_eq!(standing(&journal), [20, 1, 10, 0, 1, 40]);
    drop(journal);
    let mut journal = dir.open();
    assert_eq!(standing(&journal), [20, 1, 10, 0, 1, 40], "over a restart");
    done(&mut journal, met(2, 1));
    assert_eq!(standing(&journal), [40, 2, 30, 1, 1, 20], "paid late is paid");
    begin(&mut journal, 2);
    done(&mut journal, met(1, 2));
    assert_eq!(standing(&journal), [60, 3, 50, 1, 1, 20], "session after session");
}

#[test]
fn who_is_not_to_blame_loses_nothing_that_it_has_earned() {
    for (end, why) in [
        (End::Broken, crate::record::INTERRUPTED),
        (End::Failed, "our source broke"),
        (End::Outstanding, "both said exit"),
    ] {
        let dir = Dir::new();
        let mut journal = dir.open();
        begin(&mut journal, 1);
        done(&mut journal, met(1, 1));
        done(&mut journal, append(session(1), over(end, why)));
        assert_eq!(standing(&journal), [20, 1, 20, 0, 0, 40], "{why}");
    }
}

#[test]
fn a_voucher_counts_when_it_is_in_hand() {
    let dir = Dir::new();
    let mut journal = dir.open();
    let of = |record| append(session(1), record);
    for record in [order(), priced(Method::Escrow), billed(1, 10), voucher(7, 110)] {
        done(&mut journal, of(record));
    }
    assert_eq!(standing(&journal), [20, 0, 20, 0, 0, 0]);
    done(
        &mut journal,
        of(Record::Payment { message: message(MessageKind::PaymentAck, 1), owed: None }),
    );
    done(&mut journal, of(billed(2, 20)));
    done(&mut journal, of(Record::Ack { message: message(MessageKind::Ack, 3) }));
    done(&mut journal, of(over(End::Refused, "the buyer says: internal")));
    assert_eq!(standing(&journal), [20, 1, 10, 0, 1, 40], "what arrived is owed, invoiced or not");
}

#[test]
fn a_write_that_is_refused_takes_its_count_back() {
    let dir = Dir::new();
    let mut journal = dir.open();
    begin(&mut journal, 1);
    done(&mut journal, append(session(1), over(End::Complete, "")));
    let before = standing(&journal);
    let again = one(&mut journal, append(session(1), over(End::Broken, "")));
    assert_eq!(again, Err(WriteError::SessionEnded));
    assert!(one(&mut journal, met(9, 1)).is_err());
    assert_eq!(standing(&journal), before);
}

/// Counted anew from nothing but the entries, by another way than the journal's.
fn recounted(journal: &Journal) -> (u128, u128) {
    let entries = journal.reader().entries(0, PAGE_MAX).unwrap();
    let mut claims = BTreeMap::new();
    let (mut settled, mut billed) = (0, BTreeMap::new());
    let mut ended = std::collections::BTreeSet::new();
    for entry in &entries {
        match &entry.record {
            Record::Invoice { message, .. } => {
                billed.insert(entry.session, message.amount_total.units());
            }
            Record::Payment { owed: Some(owed), .. } => {
                let Act::Check(claim) = &owed.act else { panic!("{owed:?}") };
                claims.insert(owed.reference, (entry.session, claim.transfer.amount.units()));
            }
            Record::Met { reference, .. } => {
                let (of, amount) = claims[reference];
                settled += 2 * amount;
                *billed.get_mut(&of).unwrap() -= amount;
            }
            Record::Ended { .. } => {
                ended.insert(entry.session);
            }
            _ => {}
        }
    }
    let owed = billed.iter().filter(|(of, _)| ended.contains(*of)).map(|(_, left)| 2 * left).sum();
    (settled, owed)
}

#[test]
fn the_entries_alone_tell_the_same_and_so_does_a_pruned_journal() {
    let dir = Dir::new();
    let mut journal = dir.open();
    for of in 1..=4 {
        begin(&mut journal, of);
        done(&mut journal, met(1, of));
    }
    done(&mut journal, append(session(1), over(End::Complete, "")));
    done(&mut journal, append(session(2), over(End::Broken, "")));
    for write in [met(2, 1), met(2, 2), met(2, 3)] {
        done(&mut journal, write);
    }
    let [settled, .., owed] = standing(&journal);
    assert_eq!((settled, owed), recounted(&journal));
    assert_eq!((settled, owed), (140, 40));
    let paid = append(session(1), claim(session(1), 3, tx("0x13")));
    assert_eq!(one(&mut journal, paid), Err(WriteError::SessionEnded));
    begin(&mut journal, 5);
    done(&mut journal, append(session(5), claim(session(5), 3, tx("0x53"))));
    for write in [1, 2, 3].map(|number| met(number, 5)) {
        done(&mut journal, write);
    }
    done(&mut journal, append(session(5), over(End::Complete, "")));
    let before = standing(&journal);
    let mut sweep = Sweep::new(NOW + 1_000, Place::Sessions(None));
    while journal.prune(NOW + 1_000, &mut sweep).unwrap() {}
    assert_eq!(sweep.tally().sessions, 1);
    assert_eq!((before[0], before[5]), recounted(&journal), "payload says nothing of it");
    drop(journal);
    assert_eq!(standing(&dir.open()), before);
}
