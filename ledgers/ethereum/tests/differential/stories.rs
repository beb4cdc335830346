//! Random stories of people who open, fill, redeem and close channels, rightly and wrongly.

use crate::{GRACE_S, WIDEST};
use proptest::prelude::*;

/// What people do. People and channels are told by number, modulo how many there are.
#[derive(Debug, Clone)]
pub enum Step {
    Open { from: usize, to: Option<usize>, token: bool, sum: Sum, salt: u8, signer: Signer },
    TopUp { by: By, channel: usize, sum: Sum },
    Redeem { by: By, row: Paper, closing: bool },
    Batch { by: By, rows: Vec<Paper>, closing: bool },
    RequestClose { by: By, channel: usize },
    Withdraw { by: By, channel: usize },
    Wait { seconds: u64 },
}

/// Whose vouchers count in a new channel.
#[derive(Debug, Clone)]
pub enum Signer {
    Payer,
    Nobody,
    Person(usize),
}

/// Who does something to a channel.
#[derive(Debug, Clone)]
pub enum By {
    Payer,
    Payee,
    Person(usize),
}

/// An amount, of a channel or of what somebody has.
#[derive(Debug, Clone)]
pub enum Sum {
    Units(u128),
    /// Around what was settled.
    Settled(i8),
    /// Around what was deposited.
    Deposit(i8),
    /// Around what the caller has.
    Held(i8),
    /// Around what makes the deposit as wide as it can be.
    Widest(i8),
}

/// A voucher as it is handed in.
#[derive(Debug, Clone)]
pub struct Paper {
    pub channel: usize,
    pub sum: Sum,
    pub flaw: Flaw,
}

/// What is wrong with a voucher.
#[derive(Debug, Clone)]
pub enum Flaw {
    None,
    OtherHand(usize),
    OtherChannel(usize),
    OtherAmount,
    OtherChain,
    OtherContract,
    HighHalf,
    OddEnd(u8),
    Blank,
}

/// Stories, with everything that can go wrong in a few of their steps.
pub fn stories() -> impl Strategy<Value = Vec<Step>> {
    let open = (0..4usize, to(), any::<bool>(), deposit(), 0..3u8, signer()).prop_map(
        |(from, to, token, sum, salt, signer)| Step::Open { from, to, token, sum, salt, signer },
    );
    let top_up = (by_payer(), 0..15usize, deposit()).prop_map(|(by, channel, sum)| Step::TopUp {
        by,
        channel,
        sum,
    });
    let redeem = (by_payee(), paper(), prop::bool::weighted(0.3))
        .prop_map(|(by, row, closing)| Step::Redeem { by, row, closing });
    let batch = (by_payee(), prop::collection::vec(paper(), 0..6), prop::bool::weighted(0.3))
        .prop_map(|(by, rows, closing)| Step::Batch { by, rows, closing });
    let request =
        (by_payer(), 0..15usize).prop_map(|(by, channel)| Step::RequestClose { by, channel });
    let withdraw =
        (by_payer(), 0..15usize).prop_map(|(by, channel)| Step::Withdraw { by, channel });
    let wait = prop_oneof![Just(1), Just(GRACE_S - 1), Just(GRACE_S), Just(GRACE_S + 1)]
        .prop_map(|seconds| Step::Wait { seconds });
    let step = prop_oneof![
        4 => open, 3 => top_up, 8 => redeem, 3 => batch, 3 => request, 3 => withdraw, 2 => wait
    ];
    prop::collection::vec(step, 1..80)
}

fn to() -> impl Strategy<Value = Option<usize>> {
    prop::option::weighted(0.95, 0..4usize)
}

fn signer() -> impl Strategy<Value = Signer> {
    prop_oneof![
        6 => Just(Signer::Payer),
        1 => Just(Signer::Nobody),
        3 => (0..4usize).prop_map(Signer::Person),
    ]
}

fn by_payer() -> impl Strategy<Value = By> {
    prop_oneof![8 => Just(By::Payer), 1 => Just(By::Payee), 1 => (0..4usize).prop_map(By::Person)]
}

fn by_payee() -> impl Strategy<Value = By> {
    prop_oneof![8 => Just(By::Payee), 1 => Just(By::Payer), 1 => (0..4usize).prop_map(By::Person)]
}

fn deposit() -> impl Strategy<Value = Sum> {
    prop_oneof![
        1 => Just(Sum::Units(0)),
        8 => (1..400u128).prop_map(Sum::Units),
        2 => (-1..=1i8).prop_map(Sum::Held),
        2 => (-1..=1i8).prop_map(Sum::Widest),
        1 => Just(Sum::Units(u128::MAX)),
    ]
}

fn amount() -> impl Strategy<Value = Sum> {
    prop_oneof![
        4 => (-1..=1i8).prop_map(Sum::Settled),
        4 => (2..50i8).prop_map(Sum::Settled),
        4 => (-1..=1i8).prop_map(Sum::Deposit),
        1 => Just(Sum::Units(0)),
        1 => Just(Sum::Units(u128::MAX)),
        1 => Just(Sum::Units(WIDEST + 1)),
    ]
}

fn paper() -> impl Strategy<Value = Paper> {
    let flaw = prop_oneof![
        12 => Just(Flaw::None),
        1 => (0..4usize).prop_map(Flaw::OtherHand),
        1 => (0..15usize).prop_map(Flaw::OtherChannel),
        1 => Just(Flaw::OtherAmount),
        1 => Just(Flaw::OtherChain),
        1 => Just(Flaw::OtherContract),
        1 => Just(Flaw::HighHalf),
        1 => prop_oneof![Just(0), Just(1), Just(26), Just(29)].prop_map(Flaw::OddEnd),
        1 => Just(Flaw::Blank),
    ];
    (0..15usize, amount(), flaw).prop_map(|(channel, sum, flaw)| Paper { channel, sum, flaw })
}
