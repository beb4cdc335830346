//! Random lives of a chain, and what holds in each of them.

use super::tests::{OWNERS, RICHES, account, key, origin, sign};
use super::*;
use proptest::prelude::*;
use sdpp_ledger::{
    Batch, Call, ChannelId, InChannel, Open, Redeem, Reference, TopUp, Transfer, Voucher,
    channel_id,
};

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
    let what = (0u8..11, prop::bool::weighted(0.8), 0u64..40);
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
            let tx = sign(&self.chain, step.owner, self.chain.next_number(&owner), &call);
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
            9 | 10 => self.batch(step, channel, payer),
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
        Call::Open(Open { payee, asset, deposit, salt, signer: None })
    }

    /// The same row twice, so that one of them is passed over.
    fn batch(&mut self, step: &Step, channel: ChannelId, payer: u8) -> Call {
        let row = self.redeem(step, channel, payer);
        let batch = Batch { rows: vec![row.clone(), row] };
        if step.kind == 9 { Call::SettleMany(batch) } else { Call::CloseMany(batch) }
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
