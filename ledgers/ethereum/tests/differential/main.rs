//! The contract and the embedded ledger are two hands that wrote down one set of rules. Random
//! stories are told to both, the contract as its own bytecode: after each step both gave the same
//! answer, everybody has the same money, and every channel stands the same.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod contract;
mod embedded;
mod stories;

use contract::{Chain, bytes32, word};
use embedded::Embedded;
use ethers_core::abi::Token;
use proptest::test_runner::{Config, TestRunner};
use revm::primitives::U256;
use sdpp_ledger::{
    Account, Amount, Asset, Batch, Call, Channel, ChannelId, Digest, Domain, InChannel, Key, Open,
    Redeem, Row, Signature, TopUp, Voucher, channel_id,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use stories::{By, Flaw, Paper, Signer, Step, Sum};

const CHAIN_ID: u64 = 31_337;
const START_S: u64 = 1_800_000_000;
const GRACE_S: u64 = 900;
/// The widest deposit that the contract takes: 88 bits.
const WIDEST: u128 = (1 << 88) - 1;
/// What each person has of each asset. The first could deposit more than the contract takes.
const HOLDINGS: [u128; 4] = [3 << 88, 10_000, 500, 0];
const NOBODY: &str = "0x0000000000000000000000000000000000000000";

/// A channel that was opened, or an id that never was one.
#[derive(Debug, Clone)]
struct Known {
    id: ChannelId,
    payer: usize,
    payee: usize,
    signer: usize,
    asset: Asset,
}

/// The same story in two hands.
struct Pair {
    chain: Chain,
    embedded: Embedded,
    domain: Domain,
    people: Vec<Key>,
    assets: [Asset; 2],
    channels: Vec<Known>,
    now_s: u64,
}

/// What became of a step, for both: its name, and `ok` or the refusal.
type Told = Vec<(&'static str, String)>;

impl Pair {
    fn new() -> Pair {
        let mut chain = Chain::new(CHAIN_ID);
        let assets = [Asset::coin(), chain.token()];
        let people: Vec<Key> = (1..=HOLDINGS.len()).map(|n| key(n as u8)).collect();
        let holdings: Vec<_> = people.iter().cloned().zip(HOLDINGS.map(Amount::new)).collect();
        let embedded = Embedded::new(CHAIN_ID, START_S, GRACE_S, &holdings, &assets);
        let domain = embedded.domain();
        chain.found_escrow(&domain, GRACE_S);
        chain.set_time(START_S);
        for (key, amount) in &holdings {
            chain.endow(&key.public().account(), amount.units());
        }
        Pair { chain, embedded, domain, people, assets, channels: Vec::new(), now_s: START_S }
    }

    /// Takes one step in both, and compares all that there is.
    fn take(&mut self, step: &Step) -> Told {
        let told = match step {
            Step::Open { from, to, token, sum, salt, signer } => {
                self.open(*from, *to, *token, sum, *salt, signer)
            }
            Step::TopUp { by, channel, sum } => self.top_up(by, *channel, sum),
            Step::Redeem { by, row, closing } => self.redeem(by, row, *closing),
            Step::Batch { by, rows, closing } => self.batch(by, rows, *closing),
            Step::RequestClose { by, channel } => {
                let (known, by) = self.who(by, *channel);
                let call = Call::RequestClose(InChannel { channel: known.id });
                self.both("request close", by, "requestClose", &[bytes32(&known.id.0)], 0, &call)
            }
            Step::Withdraw { by, channel } => {
                let (known, by) = self.who(by, *channel);
                let call = Call::Withdraw(InChannel { channel: known.id });
                self.both("withdraw", by, "withdraw", &[bytes32(&known.id.0)], 0, &call)
            }
            Step::Wait { seconds } => {
                self.now_s += seconds;
                self.chain.set_time(self.now_s);
                self.embedded.set_time(self.now_s);
                Vec::new()
            }
        };
        self.compare();
        told
    }

    fn open(
        &mut self,
        from: usize,
        to: Option<usize>,
        token: bool,
        sum: &Sum,
        salt: u8,
        signer: &Signer,
    ) -> Told {
        let from = from % self.people.len();
        let to = to.map(|to| to % self.people.len());
        let signer = match signer {
            Signer::Payer => None,
            Signer::Nobody => Some(NOBODY.parse().unwrap()),
            Signer::Person(n) => Some(self.account(n % self.people.len())),
        };
        let asset = self.assets[usize::from(token)].clone();
        let deposit = self.sum(sum, None, from, &asset);
        let payee = to.map_or(NOBODY.parse().unwrap(), |to| self.account(to));
        let salt = Digest([salt; 32]);
        let payer = self.account(from);
        let id = channel_id(&self.domain, &payer, &payee, &asset, &salt, signer.as_ref());
        let nobody = || Token::Address(ethers_core::types::H160::zero());
        let args = [
            word(&payee),
            if token { word(&asset.as_str().parse().unwrap()) } else { nobody() },
            Token::Uint(deposit.into()),
            bytes32(&salt.0),
            signer.as_ref().map_or_else(nobody, word),
        ];
        let signing = (0..self.people.len()).find(|n| Some(self.account(*n)) == signer);
        let open = Open { payee, asset, deposit: Amount::new(deposit), salt, signer };
        let known = Known {
            id,
            payer: from,
            payee: to.unwrap_or(0),
            signer: signing.unwrap_or(from),
            asset: open.asset.clone(),
        };
        let value = if token { 0 } else { deposit };
        let told = self.both("open", from, "open", &args, value, &Call::Open(open));
        if told[0].1 == "ok" {
            self.channels.push(known);
        }
        told
    }

    fn top_up(&mut self, by: &By, channel: usize, sum: &Sum) -> Told {
        let (known, by) = self.who(by, channel);
        let amount = self.sum(sum, Some(&known.id), by, &known.asset);
        let args = [bytes32(&known.id.0), Token::Uint(amount.into())];
        let value = if known.asset == Asset::coin() { amount } else { 0 };
        let call = Call::TopUp(TopUp { channel: known.id, amount: Amount::new(amount) });
        self.both("top up", by, "topUp", &args, value, &call)
    }

    fn redeem(&mut self, by: &By, paper: &Paper, closing: bool) -> Told {
        let (_, by) = self.who(by, paper.channel);
        let redeem = self.write(paper, by);
        let args = [
            bytes32(&redeem.channel.0),
            Token::Uint(redeem.amount.units().into()),
            Token::Bytes(redeem.signature.0.to_vec()),
        ];
        if closing {
            self.both("close", by, "close", &args, 0, &Call::Close(redeem))
        } else {
            self.both("settle", by, "settle", &args, 0, &Call::Settle(redeem))
        }
    }

    fn batch(&mut self, by: &By, papers: &[Paper], closing: bool) -> Told {
        let (_, by) = self.who(by, papers.first().map_or(0, |paper| paper.channel));
        let rows: Vec<Redeem> = papers.iter().map(|paper| self.write(paper, by)).collect();
        let bytes = rows.iter().flat_map(|row| {
            let amount = row.amount.units().to_be_bytes();
            [&row.channel.0[..], &amount, &row.signature.0].concat()
        });
        let args = [Token::Bytes(bytes.collect())];
        let function = if closing { "closeMany" } else { "settleMany" };
        let logs = self.chain.call(&self.account(by), function, &args, 0).unwrap();
        let there = self.chain.skipped(&logs);

        let batch = Batch { rows };
        let call = if closing { Call::CloseMany(batch) } else { Call::SettleMany(batch) };
        let here = self.embedded.call(by, &call).unwrap();
        let passed_over = here.iter().filter(|row| row.refused.is_some()).cloned();
        assert_eq!(passed_over.collect::<Vec<_>>(), there, "passed over here and there");
        let name = if closing { "close in a batch" } else { "settle in a batch" };
        let answer = |row: Row| row.refused.unwrap_or_else(|| "ok".to_owned());
        here.into_iter().map(|row| (name, answer(row))).collect()
    }

    /// Makes a call in both; the answers must be the same.
    fn both(
        &mut self,
        name: &'static str,
        by: usize,
        function: &str,
        args: &[Token],
        value: u128,
        call: &Call,
    ) -> Told {
        let there = self.chain.call(&self.account(by), function, args, value).map(drop);
        // The one rule that is the contract's alone: its amounts are 88 bits wide.
        if there == Err("DepositOverflow".to_owned()) {
            assert!(self.deposit_after(call) > WIDEST, "{call:?} is not too wide");
            return vec![(name, "DepositOverflow".to_owned())];
        }
        // Who has not enough is told in the words of the token or of the coin.
        let poor = |refusal: String| match refusal.as_str() {
            "DepositNotReceived" | "ValueNotDeposit" => "InsufficientFunds".to_owned(),
            _ => refusal,
        };
        let here = self.embedded.call(by, call).map(drop);
        assert_eq!(here, there.map_err(poor), "here and there, of {call:?}");
        vec![(name, here.err().unwrap_or_else(|| "ok".to_owned()))]
    }

    fn deposit_after(&self, call: &Call) -> u128 {
        match call {
            Call::Open(open) => open.deposit.units(),
            Call::TopUp(top_up) => {
                let channel = self.embedded.channel(&top_up.channel).unwrap();
                channel.deposit.units().saturating_add(top_up.amount.units())
            }
            _ => 0,
        }
    }

    fn compare(&mut self) {
        for asset in &self.assets {
            for key in &self.people {
                let account = key.public().account();
                let (here, there) =
                    (self.embedded.balance(&account, asset), self.chain.balance(&account, asset));
                assert_eq!(here, there, "what {account} has of {asset}, here and there");
            }
            let held = self.chain.balance(&self.domain.contract, asset).units();
            assert_eq!(held, self.owed(asset), "the contract's {asset} and what it owes");
        }
        for known in &self.channels {
            let (here, there) = (self.embedded.channel(&known.id), self.chain.channel(&known.id));
            assert_eq!(here, there, "channel {}, here and there", known.id);
        }
    }

    /// What open channels have not paid out.
    fn owed(&self, asset: &Asset) -> u128 {
        let channels = self.channels.iter().filter_map(|known| self.embedded.channel(&known.id));
        let open = channels.filter(|channel| !channel.finalized && channel.asset == *asset);
        open.map(|channel| channel.deposit.units() - channel.settled.units()).sum()
    }

    /// Number 0 never was a channel.
    fn known(&self, number: usize) -> Known {
        let opened = number.checked_sub(1).and_then(|n| n.checked_rem(self.channels.len()));
        let unknown = || Known {
            id: ChannelId([0xee; 32]),
            payer: 0,
            payee: 1,
            signer: 0,
            asset: Asset::coin(),
        };
        opened.map_or_else(unknown, |n| self.channels[n].clone())
    }

    fn who(&self, by: &By, channel: usize) -> (Known, usize) {
        let known = self.known(channel);
        let by = match by {
            By::Payer => known.payer,
            By::Payee => known.payee,
            By::Person(n) => n % self.people.len(),
        };
        (known, by)
    }

    fn account(&self, person: usize) -> Account {
        self.people[person].public().account()
    }

    fn sum(&self, sum: &Sum, id: Option<&ChannelId>, by: usize, asset: &Asset) -> u128 {
        let channel = id.and_then(|id| self.embedded.channel(id));
        let of = |part: fn(&Channel) -> Amount| channel.as_ref().map_or(0, |c| part(c).units());
        let (middle, by) = match sum {
            Sum::Units(units) => (*units, 0),
            Sum::Settled(by) => (of(|channel| channel.settled), *by),
            Sum::Deposit(by) => (of(|channel| channel.deposit), *by),
            Sum::Held(of) => (self.embedded.balance(&self.account(by), asset).units(), *of),
            Sum::Widest(by) => (WIDEST.saturating_sub(of(|channel| channel.deposit)), *by),
        };
        middle.saturating_add_signed(by.into())
    }

    fn write(&self, paper: &Paper, by: usize) -> Redeem {
        let known = self.known(paper.channel);
        let amount = self.sum(&paper.sum, Some(&known.id), by, &known.asset);
        let right = Voucher { channel: known.id, amount: Amount::new(amount) };
        let signed = |voucher: &Voucher, domain: &Domain, person: usize| {
            voucher.sign(domain, &self.people[person % self.people.len()])
        };
        let good = signed(&right, &self.domain, known.signer);
        let signature = match &paper.flaw {
            Flaw::None => good,
            Flaw::OtherHand(n) => signed(&right, &self.domain, *n),
            Flaw::OtherChannel(n) => {
                let channel = self.known(*n).id;
                signed(&Voucher { channel, ..right.clone() }, &self.domain, known.signer)
            }
            Flaw::OtherAmount => {
                let amount = Amount::new(amount.saturating_add(1));
                signed(&Voucher { amount, ..right.clone() }, &self.domain, known.signer)
            }
            Flaw::OtherChain => {
                let domain = Domain { chain_id: 1, ..self.domain.clone() };
                signed(&right, &domain, known.signer)
            }
            Flaw::OtherContract => {
                let domain = Domain { contract: self.account(0), ..self.domain.clone() };
                signed(&right, &domain, known.signer)
            }
            Flaw::HighHalf => high_half(good),
            Flaw::OddEnd(v) => {
                Signature(std::array::from_fn(|i| if i == 64 { *v } else { good.0[i] }))
            }
            Flaw::Blank => Signature([0; 65]),
        };
        Redeem { channel: known.id, amount: Amount::new(amount), signature }
    }
}

fn key(secret: u8) -> Key {
    Key::from_bytes(&[secret; 32]).unwrap()
}

/// The other signature that ecrecover alone takes for the same.
fn high_half(signature: Signature) -> Signature {
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let order = U256::from_str_radix(ORDER, 16).unwrap();
    let mut bytes = signature.0;
    let high: [u8; 32] = (order - U256::from_be_slice(&bytes[32..64])).to_be_bytes();
    bytes[32..64].copy_from_slice(&high);
    bytes[64] = 27 + 28 - bytes[64];
    Signature(bytes)
}

/// Each of these must have been told, or the stories were too tame to show anything.
const MUST_HAPPEN: [(&str, &[&str]); 8] = [
    (
        "open",
        &[
            "ok",
            "InvalidPayee",
            "ZeroDeposit",
            "ChannelAlreadyExists",
            "DepositOverflow",
            "InsufficientFunds",
        ],
    ),
    (
        "top up",
        &[
            "ok",
            "ChannelNotFound",
            "NotPayer",
            "ChannelFinalized",
            "ZeroDeposit",
            "DepositOverflow",
            "InsufficientFunds",
        ],
    ),
    (
        "settle",
        &[
            "ok",
            "ChannelNotFound",
            "NotPayee",
            "ChannelFinalized",
            "AmountExceedsDeposit",
            "AmountNotIncreasing",
            "InvalidSignature",
        ],
    ),
    (
        "close",
        &[
            "ok",
            "ChannelNotFound",
            "NotPayee",
            "ChannelFinalized",
            "AmountExceedsDeposit",
            "AmountNotIncreasing",
            "InvalidSignature",
        ],
    ),
    (
        "settle in a batch",
        &[
            "ok",
            "ChannelNotFound",
            "NotPayee",
            "ChannelFinalized",
            "AmountExceedsDeposit",
            "AmountNotIncreasing",
            "InvalidSignature",
        ],
    ),
    (
        "close in a batch",
        &[
            "ok",
            "ChannelNotFound",
            "NotPayee",
            "ChannelFinalized",
            "AmountExceedsDeposit",
            "AmountNotIncreasing",
            "InvalidSignature",
        ],
    ),
    ("request close", &["ok", "ChannelNotFound", "NotPayer", "ChannelFinalized"]),
    ("withdraw", &["ok", "ChannelNotFound", "NotPayer", "ChannelFinalized", "CloseNotReady"]),
];

/// proptest prints the shortest story that is told in two ways, and keeps its seed.
#[test]
fn the_contract_and_the_embedded_ledger_tell_every_story_alike() {
    let tally: RefCell<BTreeMap<(&str, String), usize>> = RefCell::default();
    let mut runner = TestRunner::new(Config { cases: 80, ..Config::with_source_file(file!()) });
    let outcome = runner.run(&stories::stories(), |story| {
        let mut pair = Pair::new();
        for step in &story {
            for told in pair.take(step) {
                *tally.borrow_mut().entry(told).or_default() += 1;
            }
        }
        Ok(())
    });
    if let Err(difference) = outcome {
        panic!("{difference}");
    }
    let tally = tally.into_inner();
    for (name, answers) in MUST_HAPPEN {
        for answer in answers {
            let told = tally.contains_key(&(name, (*answer).to_owned()));
            assert!(told, "no story told of {name}: {answer}; there were {tally:?}");
        }
    }
}
