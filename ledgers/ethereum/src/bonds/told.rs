//! What the contract of bonds tells: how one stands, and what happened to it. All of it is a
//! stranger's until it is read here.

use super::BONDS;
use crate::abi;
use crate::names;
use crate::view::Log;
use ethers_core::types::{Address, H256};
use sdpp_ledger::bond::{BondChange, BondChangeKind, Challenge, Demand, Held};
use sdpp_ledger::{Amount, Bond, BondId, ChannelId, Digest, Signature};

/// The events that change a bond.
pub(super) const KINDS: [&str; 12] = [
    "Pledged",
    "Revoked",
    "Added",
    "EndRequested",
    "Ended",
    "Released",
    "Challenged",
    "Shown",
    "Demanded",
    "Retracted",
    "Paid",
    "Lost",
];

/// Who has pledged, as the contract writes it.
const BUYER_IN: u128 = 1;
const SELLER_IN: u128 = 2;
const REVOKED: u128 = 4;

/// The first topic of one of the contract's events.
pub(super) fn topic(event: &str) -> H256 {
    // Named in this file alone, and each is met by a test.
    #[allow(clippy::expect_used)]
    BONDS.abi.event(event).expect("the checked-in contract has this event").signature()
}

/// Reads how a bond stands, without what waits: `Some(None)` where nobody pledged it, `None` where
/// it cannot be.
pub(super) fn held(answer: &[u8]) -> Option<Option<Held>> {
    let number = |at: usize| abi::word(answer, at * 32);
    let pledged = number(3)?;
    if pledged == 0 {
        return Some(None);
    }
    Some(Some(Held {
        of_buyer: Amount::new(number(0)?),
        of_seller: Amount::new(number(1)?),
        buyer_in: pledged & BUYER_IN != 0,
        seller_in: pledged & SELLER_IN != 0,
        revoked: pledged & REVOKED != 0,
        ends_ms: moment(answer, 2)?,
        answered: Amount::new(number(4)?),
        challenged_until_ms: None,
        demanded_until_ms: None,
        is_good: false,
    }))
}

/// A word that is a moment in seconds, or zero for none; `None` where it cannot be.
pub(super) fn moment(answer: &[u8], at: usize) -> Option<Option<u64>> {
    let seconds = u64::try_from(abi::word(answer, at * 32)?).ok()?;
    let at_ms = seconds.checked_mul(1000)?;
    Some((at_ms > 0).then_some(at_ms))
}

/// A bond's words, as the event tells them.
pub(super) fn bond(data: &[u8]) -> Option<Bond> {
    let account = |at: usize| -> Option<Address> {
        let word = data.get(at * 32..at * 32 + 32)?;
        word[..12].iter().all(|byte| *byte == 0).then(|| Address::from_slice(&word[12..]))
    };
    let amount = |at: usize| abi::word(data, at * 32).map(Amount::new);
    Some(Bond {
        buyer: names::account(account(0)?),
        seller: names::account(account(1)?),
        buyer_key: names::account(account(2)?),
        seller_key: names::account(account(3)?),
        asset: names::asset(account(4)?),
        channel: ChannelId(fixed(data, 5)?),
        buyer_amount: amount(6)?,
        seller_amount: amount(7)?,
        stake: amount(8)?,
        fee: amount(9)?,
        salt: Digest(fixed(data, 10)?),
    })
}

/// What an event says, and its place in the chain; its time is not in it.
pub(super) fn change(log: &Log) -> Option<((u64, u64), BondChange)> {
    let bond = BondId(log.topics.get(1)?.0);
    let name = KINDS.iter().find(|kind| topic(kind) == log.topics[0])?;
    let data: &[u8] = &log.data;
    let amount = |at: usize| abi::word(data, at * 32).map(Amount::new);
    let is_so = || log.topics.get(2).map(|topic| topic.0[31] == 1);
    let kind = match *name {
        "Pledged" => {
            let by = Address::from_slice(&log.topics.get(2)?.0[12..]);
            BondChangeKind::Pledged { by: names::account(by) }
        }
        "Revoked" => BondChangeKind::Revoked,
        "Added" => BondChangeKind::Added { amount: amount(0)? },
        "EndRequested" => BondChangeKind::EndRequested { ends_ms: moment(data, 0)?? },
        "Ended" => BondChangeKind::Ended,
        "Released" => BondChangeKind::Released { of_seller: is_so()? },
        "Challenged" => {
            let until_ms = moment(data, 4)??;
            BondChangeKind::Challenged { challenge: challenge(data)?, until_ms }
        }
        "Shown" => BondChangeKind::Shown,
        "Demanded" => {
            BondChangeKind::Demanded { demand: demand(data)?, until_ms: moment(data, 5)?? }
        }
        "Retracted" => BondChangeKind::Retracted,
        "Paid" => BondChangeKind::Paid { amount: amount(0)?, signature: signature(data) },
        _ => BondChangeKind::Lost { by_seller: is_so()?, amount: amount(0)?, burned: amount(1)? },
    };
    let tx = names::tx_id(log.transaction_hash?);
    let place = log.place()?;
    Some((place, BondChange { bond, kind, tx, height: place.0, at_ms: 0 }))
}

fn challenge(data: &[u8]) -> Option<Challenge> {
    let number = |at: usize| u32::try_from(abi::word(data, at * 32)?).ok();
    Some(Challenge {
        leaf: Digest(fixed(data, 0)?),
        root: Digest(fixed(data, 1)?),
        index: number(2)?,
        most: number(3)?,
    })
}

fn demand(data: &[u8]) -> Option<Demand> {
    let number = |at: usize| abi::word(data, at * 32);
    Some(Demand {
        session: Digest(fixed(data, 0)?),
        amount_total: Amount::new(number(1)?),
        voucher: Amount::new(number(2)?),
        paid_before: number(3)?,
        last_unpaid: number(4)?,
    })
}

/// The 65 bytes behind an amount, where there are just so many.
fn signature(data: &[u8]) -> Option<Signature> {
    let (at, length) = (abi::word(data, 32)?, abi::word(data, 64)?);
    (at == 64 && length == 65).then_some(())?;
    Some(Signature(data.get(96..96 + 65)?.try_into().ok()?))
}

fn fixed(data: &[u8], at: usize) -> Option<[u8; 32]> {
    data.get(at * 32..at * 32 + 32)?.try_into().ok()
}
