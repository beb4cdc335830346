//! Random lives of a chain, and stories of numbers, time and reorganisation.

use super::*;
use crate::genesis::{Allocation, Genesis};
use proptest::prelude::*;
use sdpp_ledger::{
    Anchor, Asset, Call, ChannelId, InChannel, Key, Open, Redeem, Reference, Signature, TopUp,
    Transfer, Voucher, channel_id,
};

const OWNERS: u8 = 3;
const RICHES: u128 = 1_000;

fn key(owner: u8) -> Key {
    Key::from_bytes(&[owner + 1; 32]).unwrap()
}

fn account(owner: u8) -> Account {
    key(owner).public().account()
}

fn origin(block_time_ms: u64, depth: u64) -> Origin {
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
    Call::Anchor(Anchor::One {
        reference: Reference([0; 32]),
        digest: Digest([digest; 32]),
    })
}

fn sign(chain: &Chain, owner: u8, number: u64, call: &Call) -> Tx {
    Tx::sign(chain.origin.digest(), &key(owner), number, call)
}

/// Submits under the next number and lets the block fall; returns what came of it.
fn act(chain: &mut Chain, now_ms: u64, owner: u8, call: &Call) -> Result<Amount, Refusal> {
    let tx = sign(chain, owner, chain.next_number(&account(owner)), call);
    let id = chain.submit(tx).unwrap();
    chain.advance(now_ms);
    chain.included[&id].outcome.clone()
}

/// One step of a random life. Numbers are reduced to what there is: owners, channels.
#[derive(Debug, Clone)]
struct Step {
    owner: u8,
    other: u8,
    units: u128,
    channel: usize,
    kind: u8,
    honest: bool,
    wait_ms: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let who = (0..OWNERS, 0..OWNERS, 0u128..400, 0usize..4);
    let what = (0u8..9, prop::bool::weighted(0.8), 0u64..40);
    (who, what).prop_map(|(who, what)| Step {
        owner: who.0,
        other: who.1,
        units: who.2,
        channel: who.3,
        kind: what.0,
        honest: what.1,
        wait_ms: what.2,
    })
}

/// A life, with what was signed in each channel.
struct Life {
    chain: Chain,
    json: Vec<Vec<u8>>,
    now_ms: u64,
    minted: u128,
    /// Channels that somebody tried to open, and who.
    opened: Vec<(ChannelId, u8)>,
    signed: HashMap<ChannelId, u128>,
}

impl Life {
    fn new(origin: Origin) -> Self {
        Life {
            chain: Chain::new(origin),
            json: Vec::new(),
            now_ms: 0,
            minted: RICHES * u128::from(OWNERS),
            opened: Vec::new(),
            signed: HashMap::new(),
        }
    }

    fn live(&mut self, step: &Step) {
        self.now_ms += step.wait_ms;
        if step.kind == 8 {
            self.fund(step);
        } else {
            let call = self.call(step);
            let owner = account(step.owner);
            let tx = sign(
                &self.chain,
                step.owner,
                self.chain.next_number(&owner),
                &call,
            );
            // Too many may wait for one block; then nothing happened.
            let _ = self.chain.submit(tx);
        }
        self.json.extend(self.chain.advance(self.now_ms));
    }

    fn fund(&mut self, step: &Step) {
        let fund = Fund {
            account: account(step.owner),
            asset: Asset::coin(),
            amount: Amount::new(step.units % 20),
        };
        let amount = fund.amount.units();
        let funded = self.chain.fund(fund);
        assert_eq!(funded.is_ok(), amount <= 10, "the faucet's limit");
        self.minted += if funded.is_ok() { amount } else { 0 };
    }

    fn call(&mut self, step: &Step) -> Call {
        let amount = Amount::new(step.units);
        let at = step.channel % self.opened.len().max(1);
        let opened = self.opened.get(at).copied();
        let (channel, payer) = opened.unwrap_or((ChannelId([9; 32]), 0));
        match step.kind {
            0 => Call::Transfer(Transfer {
                to: account(step.other),
                asset: Asset::coin(),
                amount,
                reference: Reference([1; 32]),
            }),
            1 => self.opening(step, amount),
            2 => Call::TopUp(TopUp { channel, amount }),
            3 | 4 => Call::Settle(self.redeem(step, channel, payer)),
            5 => Call::Close(self.redeem(step, channel, payer)),
            6 => Call::RequestClose(InChannel { channel }),
            _ => Call::Withdraw(InChannel { channel }),
        }
    }

    fn opening(&mut self, step: &Step, deposit: Amount) -> Call {
        let (payer, payee) = (account(step.owner), account(step.other));
        let (domain, asset) = (self.chain.origin.domain(), Asset::coin());
        let salt = Digest([step.channel as u8; 32]);
        let id = channel_id(domain, &payer, &payee, &asset, &salt, None);
        if !self.opened.contains(&(id, step.owner)) {
            self.opened.push((id, step.owner));
        }
        Call::Open(Open {
            payee,
            asset,
            deposit,
            salt,
            signer: None,
        })
    }

    /// A voucher by the channel's payer, or one by somebody else.
    fn redeem(&mut self, step: &Step, channel: ChannelId, payer: u8) -> Redeem {
        let amount = Amount::new(step.units);
        if step.honest {
            let most = self.signed.entry(channel).or_default();
            *most = step.units.max(*most);
        }
        let signer = if step.honest { payer } else { payer + 1 };
        let voucher = Voucher { channel, amount };
        Redeem {
            channel,
            amount,
            signature: voucher.sign(self.chain.origin.domain(), &key(signer)),
        }
    }

    fn check(&self) {
        let waiting = self.chain.funds.iter().map(|f| f.amount.units());
        let there = self.chain.state.total(&Asset::coin()).units();
        assert_eq!(there + waiting.sum::<u128>(), self.minted, "money is kept");
        for (id, channel) in &self.chain.state.channels {
            let signed = self.signed.get(id).copied().unwrap_or(0);
            assert!(channel.settled.units() <= signed, "more than was signed");
            assert!(channel.settled <= channel.deposit, "more than there is");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn money_is_kept_whatever_happens(
        steps in prop::collection::vec(step(), 1..80),
        block_time in prop_oneof![Just(0u64), Just(30)],
        depth in 1u64..4,
    ) {
        let mut life = Life::new(origin(block_time, depth));
        for step in &steps {
            life.live(step);
            life.check();
        }
        // What is for good is what a chain of the blocks that are for good holds.
        let (mut again, mut for_good) = (
            Chain::new(life.chain.origin.clone()),
            Chain::new(life.chain.origin.clone()),
        );
        for (json, kept) in life.json.iter().zip(&life.chain.blocks) {
            again.replay(json).unwrap();
            if kept.height <= life.chain.final_height() {
                for_good.replay(json).unwrap();
            }
        }
        prop_assert_eq!(&again.state, &life.chain.state);
        prop_assert_eq!(again.tip(), life.chain.tip());
        let settled = if depth == 1 { &life.chain.state } else { &life.chain.final_state };
        prop_assert_eq!(&for_good.state, settled);
    }

    #[test]
    fn a_call_that_is_refused_changes_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let mut life = Life::new(origin(0, 1));
        for step in &steps {
            let before = life.chain.state.clone();
            life.live(step);
            let newest = life.chain.blocks.last();
            let Some(KeptOp::Tx(id)) = newest.and_then(|kept| kept.ops.first()) else { continue };
            if life.chain.included[id].outcome.is_err() {
                prop_assert_eq!(&life.chain.state, &before);
            }
        }
    }

    #[test]
    fn a_reorganisation_leaves_what_came_before(
        steps in prop::collection::vec(step(), 1..40),
        block_time in prop_oneof![Just(0u64), Just(30)],
        count in 0u64..10,
    ) {
        let mut life = Life::new(origin(block_time, 4));
        for step in &steps {
            life.live(step);
        }
        let cut = life.chain.height.saturating_sub(count);
        let height = life.chain.height;
        let kept = life.chain.blocks.iter().filter(|kept| kept.height <= cut).count();
        let mut short = Chain::new(life.chain.origin.clone());
        for json in &life.json[..kept] {
            short.replay(json).unwrap();
        }
        let (new, json) = life.chain.reorganised(count);
        prop_assert_eq!(&new.state, &short.state);
        prop_assert_eq!(new.height, height, "a chain does not get shorter");
        let mut again = Chain::new(new.origin.clone());
        for json in &json {
            again.replay(json).unwrap();
        }
        prop_assert_eq!(&again.state, &new.state);
        prop_assert_eq!(again.tip(), new.tip());
    }
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
    assert!(
        chain.advance(2_000).is_empty(),
        "the same again does nothing"
    );
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
    let sizes: Vec<_> = chain
        .blocks
        .iter()
        .map(|b| (b.height, b.ops.len()))
        .collect();
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
    let opening = Open {
        payee: account(1),
        asset: Asset::coin(),
        deposit: Amount::new(100),
        salt: Digest::ZERO,
        signer: Some(account(2)),
    };
    act(&mut chain, 1, 0, &Call::Open(opening)).unwrap();
    let channel = *chain.state.channels.keys().next().unwrap();
    let amount = Amount::new(40);
    let voucher = Voucher { channel, amount };
    let settle = |chain: &Chain, owner| {
        let signature = voucher.sign(chain.origin.domain(), &key(owner));
        Call::Settle(Redeem {
            channel,
            amount,
            signature,
        })
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
    let life_call = |chain: &mut Chain, owner, call: Call| act(chain, 1, owner, &call);
    let opening = Open {
        payee: account(1),
        asset: Asset::coin(),
        deposit: Amount::new(100),
        salt: Digest::ZERO,
        signer: None,
    };
    life_call(&mut chain, 0, Call::Open(opening)).unwrap();
    let channel = *chain.state.channels.keys().next().unwrap();
    let redeem = |chain: &Chain, units| {
        let amount = Amount::new(units);
        let voucher = Voucher { channel, amount };
        Redeem {
            channel,
            amount,
            signature: voucher.sign(chain.origin.domain(), &key(0)),
        }
    };
    let sixty = redeem(&chain, 60);
    life_call(&mut chain, 1, Call::Settle(sixty)).unwrap();
    let below = redeem(&chain, 59);
    let refusal = life_call(&mut chain, 1, Call::Close(below)).unwrap_err();
    assert_eq!(refusal.code, "AmountNotIncreasing");
    let same = Redeem {
        signature: Signature([0; 65]),
        ..redeem(&chain, 60)
    };
    let closed = life_call(&mut chain, 1, Call::Close(same));
    assert_eq!(closed, Ok(Amount::ZERO));
    let coin = Asset::coin();
    assert_eq!(chain.balance(&account(0), &coin), Amount::new(940));
    assert_eq!(chain.balance(&account(1), &coin), Amount::new(1_060));
}

#[test]
fn asking_again_to_close_does_not_start_the_grace_period_again() {
    let mut chain = Chain::new(origin(0, 1));
    let opening = Open {
        payee: account(1),
        asset: Asset::coin(),
        deposit: Amount::new(1),
        salt: Digest::ZERO,
        signer: None,
    };
    act(&mut chain, 1, 0, &Call::Open(opening)).unwrap();
    let channel = *chain.state.channels.keys().next().unwrap();
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
    let opening = Open {
        payee: account(1),
        asset: Asset::coin(),
        deposit: Amount::new(1),
        salt: Digest::ZERO,
        signer: None,
    };
    act(&mut chain, 1, 0, &Call::Open(opening)).unwrap();
    let channel = *chain.state.channels.keys().next().unwrap();
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
    for (from, to) in [("\"height\":1", "\"height\":2"), ("\"ops\"", "\"oops\"")] {
        let mut fresh = Chain::new(origin(0, 1));
        assert!(fresh.replay(text.replace(from, to).as_bytes()).is_err());
    }
}
