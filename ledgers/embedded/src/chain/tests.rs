//! Stories of numbers, time, channels and replay.

use super::*;
use crate::genesis::{Allocation, Genesis};
use sdpp_ledger::{
    Anchor, Asset, Call, ChangeKind, Changes, ChannelId, InChannel, Key, Open, Redeem, Reference,
    Signature, TopUp, Voucher,
};

pub(super) const OWNERS: u8 = 3;
pub(super) const RICHES: u128 = 1_000;

pub(super) fn key(owner: u8) -> Key {
    Key::from_bytes(&[owner + 1; 32]).unwrap()
}

pub(super) fn account(owner: u8) -> Account {
    key(owner).public().account()
}

pub(super) fn origin(block_time_ms: u64, depth: u64) -> Origin {
    let allocation = |owner| Allocation {
        account: account(owner),
        asset: Asset::coin(),
        amount: Amount::new(RICHES),
    };
    let genesis = Genesis {
        block_time_ms,
        depth,
        grace_period_ms: 50,
        faucet: Some(Amount::new(10)),
        allocations: (0..OWNERS).map(allocation).collect(),
        ..Genesis::default()
    };
    Origin::new(genesis).unwrap()
}

fn anchor(digest: u8) -> Call {
    Call::Anchor(Anchor::One { reference: Reference([0; 32]), digest: Digest([digest; 32]) })
}

pub(super) fn sign(chain: &Chain, owner: u8, number: u64, call: &Call) -> Tx {
    Tx::sign(chain.origin.digest(), &key(owner), number, call)
}

/// Submits under the next number and lets the block fall; returns what came of it.
fn act(chain: &mut Chain, now_ms: u64, owner: u8, call: &Call) -> Result<Amount, Refusal> {
    let tx = sign(chain, owner, chain.next_number(&account(owner)), call);
    let id = chain.submit(tx).unwrap();
    chain.advance(now_ms);
    chain.included[&id].outcome.clone().map(|effect| effect.amount)
}

/// Account 0 opens a channel to account 1.
fn opened(chain: &mut Chain, units: u128, signer: Option<Account>) -> ChannelId {
    let opening = Open {
        payee: account(1),
        asset: Asset::coin(),
        deposit: Amount::new(units),
        salt: Digest::ZERO,
        signer,
    };
    act(chain, 1, 0, &Call::Open(opening)).unwrap();
    *chain.state.channels.keys().next().unwrap()
}

#[test]
fn numbers_wait_for_their_turn() {
    let mut chain = Chain::new(origin(0, 1));
    let [zero, one, two] = [0, 1, 2].map(|n| sign(&chain, 0, n, &anchor(n as u8)));
    chain.submit(two.clone()).unwrap();
    chain.submit(one.clone()).unwrap();
    assert!(chain.advance(1).is_empty(), "there is a gap");
    assert_eq!(chain.next_number(&account(0)), 0);
    chain.submit(zero.clone()).unwrap();
    assert_eq!(chain.next_number(&account(0)), 3, "the pool counts");
    assert_eq!(chain.advance(1).len(), 3, "each has a block of its own");
    for (tx, height) in [(zero, 1), (one, 2), (two, 3)] {
        assert_eq!(chain.tx(&tx.id).unwrap().place.unwrap().height, height);
    }
}

#[test]
fn a_number_that_cannot_be_is_refused_by_name() {
    let mut chain = Chain::new(origin(1_000, 1));
    let first = sign(&chain, 0, 0, &anchor(1));
    let rival = sign(&chain, 0, 0, &anchor(2));
    let far = sign(&chain, 0, 65, &anchor(3));
    chain.submit(first.clone()).unwrap();
    chain.submit(first.clone()).unwrap();
    let code = |refused: Result<TxId, LedgerError>| match refused {
        Err(LedgerError::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(code(chain.submit(rival.clone())), "NumberTaken");
    assert_eq!(code(chain.submit(far)), "NonceTooHigh");
    assert_eq!(chain.advance(1_000).len(), 1);
    assert_eq!(code(chain.submit(rival)), "NonceTooLow");
    chain.submit(first).unwrap();
    assert!(chain.advance(2_000).is_empty(), "the same again does nothing");
}

#[test]
fn what_waited_falls_into_the_block_that_was_due() {
    let mut chain = Chain::new(origin(1_000, 3));
    chain.advance(2_500);
    assert_eq!((chain.height, chain.at_ms), (2, 2_000));
    let tx = sign(&chain, 0, 0, &anchor(1));
    chain.submit(tx.clone()).unwrap();
    assert!(chain.tx(&tx.id).unwrap().place.is_none());
    assert_eq!(chain.advance(60_000).len(), 1, "empty blocks are not kept");
    let place = chain.tx(&tx.id).unwrap().place.unwrap();
    assert_eq!((place.height, place.at_ms), (3, 3_000));
    assert_eq!((chain.height, place.is_final), (60, true));
    chain.advance(1_000);
    assert_eq!(chain.height, 60, "a clock that steps back changes nothing");
}

#[test]
fn a_full_block_leaves_the_rest_for_the_next() {
    let mut chain = Chain::new(origin(1_000, 1));
    let owners = 8;
    for (owner, number) in (0..owners).flat_map(|o| (0..65).map(move |n| (o, n))) {
        let tx = sign(&chain, owner, number, &anchor(1));
        chain.submit(tx).unwrap();
    }
    chain.advance(5_000);
    let sizes: Vec<_> = chain.blocks.iter().map(|b| (b.height, b.ops.len())).collect();
    assert_eq!(sizes, [(1, OPS_MAX), (2, 8 * 65 - OPS_MAX)]);
}

#[test]
fn final_is_counted_from_the_block_itself() {
    let mut chain = Chain::new(origin(1_000, 3));
    let tx = sign(&chain, 0, 0, &anchor(1));
    chain.submit(tx.clone()).unwrap();
    for (now_ms, is_final) in [(1_000, false), (2_999, false), (3_000, true)] {
        chain.advance(now_ms);
        let place = chain.tx(&tx.id).unwrap().place.unwrap();
        assert_eq!(place.is_final, is_final, "at {now_ms} ms");
    }
}

#[test]
fn a_signer_other_than_the_payer_signs_alone() {
    let mut chain = Chain::new(origin(0, 1));
    let channel = opened(&mut chain, 100, Some(account(2)));
    let amount = Amount::new(40);
    let voucher = Voucher { channel, amount };
    let settle = |chain: &Chain, owner| {
        let signature = voucher.sign(chain.origin.domain(), &key(owner));
        Call::Settle(Redeem { channel, amount, signature })
    };
    let by_payer = settle(&chain, 0);
    let refusal = act(&mut chain, 2, 1, &by_payer).unwrap_err();
    assert_eq!(refusal.code, "InvalidSignature");
    let by_signer = settle(&chain, 2);
    assert_eq!(act(&mut chain, 3, 1, &by_signer), Ok(amount));
}

#[test]
fn a_payee_closes_at_what_is_settled_and_not_below() {
    let mut chain = Chain::new(origin(0, 1));
    let channel = opened(&mut chain, 100, None);
    let redeem = |chain: &Chain, units| {
        let amount = Amount::new(units);
        let voucher = Voucher { channel, amount };
        Redeem { channel, amount, signature: voucher.sign(chain.origin.domain(), &key(0)) }
    };
    let sixty = redeem(&chain, 60);
    act(&mut chain, 1, 1, &Call::Settle(sixty)).unwrap();
    let below = redeem(&chain, 59);
    let refusal = act(&mut chain, 1, 1, &Call::Close(below)).unwrap_err();
    assert_eq!(refusal.code, "AmountNotIncreasing");
    let same = Redeem { signature: Signature([0; 65]), ..redeem(&chain, 60) };
    let closed = act(&mut chain, 1, 1, &Call::Close(same));
    assert_eq!(closed, Ok(Amount::ZERO));
    let coin = Asset::coin();
    assert_eq!(chain.balance(&account(0), &coin), Amount::new(940));
    assert_eq!(chain.balance(&account(1), &coin), Amount::new(1_060));
}

#[test]
fn asking_again_to_close_does_not_start_the_grace_period_again() {
    let mut chain = Chain::new(origin(0, 1));
    let channel = opened(&mut chain, 1, None);
    let request = Call::RequestClose(InChannel { channel });
    act(&mut chain, 10, 0, &request).unwrap();
    act(&mut chain, 40, 0, &request).unwrap();
    let withdraw = Call::Withdraw(InChannel { channel });
    let refusal = act(&mut chain, 59, 0, &withdraw).unwrap_err();
    assert_eq!(refusal.code, "CloseNotReady");
    act(&mut chain, 60, 0, &withdraw).unwrap();
}

#[test]
fn a_deposit_beyond_128_bits_is_refused_as_such() {
    let mut chain = Chain::new(origin(0, 1));
    let channel = opened(&mut chain, 1, None);
    let amount = Amount::new(u128::MAX);
    let top_up = Call::TopUp(TopUp { channel, amount });
    let refusal = act(&mut chain, 1, 0, &top_up).unwrap_err();
    assert_eq!(refusal.code, "DepositOverflow");
}

#[test]
fn blocks_of_another_chain_or_out_of_place_are_not_replayed() {
    let mut chain = Chain::new(origin(0, 1));
    let mut json = Vec::new();
    for number in 0..2 {
        chain.submit(sign(&chain, 0, number, &anchor(1))).unwrap();
        json.extend(chain.advance(1));
    }
    let mut elsewhere = Chain::new(origin(0, 2));
    assert!(elsewhere.replay(&json[0]).is_err(), "another genesis");
    let mut again = Chain::new(origin(0, 1));
    assert!(again.replay(&json[1]).is_err(), "its parent is missing");
    again.replay(&json[0]).unwrap();
    assert!(again.replay(&json[0]).is_err(), "twice");
    again.replay(&json[1]).unwrap();
    let text = String::from_utf8(json[0].clone()).unwrap();
    let parent = chain.origin.digest().to_string();
    for (from, to) in [
        ("\"height\":1", "\"height\":2"),
        ("\"ops\"", "\"oops\""),
        (&parent, &Digest::ZERO.to_string()),
    ] {
        let mut fresh = Chain::new(origin(0, 1));
        assert!(fresh.replay(text.replace(from, to).as_bytes()).is_err());
    }
}

#[test]
fn a_channel_is_told_of_when_it_is_there_for_good() {
    let mut chain = Chain::new(origin(0, 2));
    let id = opened(&mut chain, 1, None);
    assert_eq!(chain.channel(&id), None);
    assert!(chain.channels(&account(1), 9).is_empty());
    chain.seal_empty(2).unwrap();
    let channel = chain.channel(&id).unwrap();
    assert_eq!(chain.channels(&account(1), 9), [(id, channel)]);
}

#[test]
fn what_waits_still_does_after_a_reorganisation() {
    let mut chain = Chain::new(origin(0, 3));
    act(&mut chain, 1, 0, &anchor(1)).unwrap();
    let waiting = sign(&chain, 0, 2, &anchor(2));
    chain.submit(waiting.clone()).unwrap();
    let (chain, _) = chain.reorganised(1);
    assert_eq!(chain.next_number(&account(0)), 0);
    assert!(chain.tx(&waiting.id).is_some());
}

#[test]
fn what_happened_is_told_in_parts_that_end_with_a_block() {
    let mut chain = Chain::new(origin(0, 1));
    let id = opened(&mut chain, 100, None);
    for _ in 0..30 {
        let top_up = TopUp { channel: id, amount: Amount::new(1) };
        act(&mut chain, 2, 0, &Call::TopUp(top_up)).unwrap();
        act(&mut chain, 2, 1, &anchor(1)).unwrap();
    }
    let (mut told, mut from) = (Vec::new(), 0);
    while from <= chain.height {
        let changes = chain.changes(&[id], from, 7);
        assert!(changes.list.len() <= 7 && changes.next > from, "{changes:?}");
        told.extend(changes.list);
        from = changes.next;
    }
    let deposits = told.iter().map(|change| match change.kind {
        ChangeKind::Opened { deposit } | ChangeKind::ToppedUp { deposit } => deposit.units(),
        _ => panic!("{change:?}"),
    });
    assert_eq!(deposits.collect::<Vec<_>>(), (100..=130).collect::<Vec<_>>());
    assert_eq!(chain.changes(&[id], u64::MAX, 7), Changes { list: Vec::new(), next: u64::MAX });
}
