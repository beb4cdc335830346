//! A node that misbehaves as real ledgers and networks do: by chance from a seed, or on order.
//!
//! For tests and simulations. Everything that it may do to a caller is something that the caller
//! must survive: see [`Odds`] and [`Fault`].

use crate::genesis::Origin;
use crate::local::LocalNode;
use crate::node::{Answer, Node, Request};
use async_trait::async_trait;
use sdpp_ledger::{LedgerError, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// One misdeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The question never arrives; the caller sees `Unavailable`.
    LoseRequest,
    /// The question is answered, the answer is lost; the caller sees `Unavailable`.
    LoseAnswer,
    /// Everything that waits for a block is forgotten before the question is answered.
    ForgetPool,
    /// So many of the last blocks are emptied before the question is answered, but none that
    /// is final. What was in them does not come back by itself.
    Reorganise(u64),
    /// The same, final blocks too.
    ReorganiseDeep(u64),
}

/// How often what happens by chance: so many times in a thousand questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Odds {
    /// [`Fault::LoseRequest`].
    pub lose_request: u16,
    /// [`Fault::LoseAnswer`].
    pub lose_answer: u16,
    /// [`Fault::ForgetPool`].
    pub forget_pool: u16,
    /// [`Fault::Reorganise`], by 1 block up to all that are not final.
    pub reorganise: u16,
}

/// A node in this process behind faults. Share it in an [`Arc`] and keep a handle to steer it.
pub struct Faulty {
    node: Arc<LocalNode>,
    plan: Mutex<Plan>,
}

struct Plan {
    seed: u64,
    odds: Odds,
    down: bool,
    ordered: VecDeque<Fault>,
}

impl Faulty {
    /// A node without faults until some are asked for; `seed` decides what chance does.
    pub fn new(node: Arc<LocalNode>, seed: u64) -> Self {
        let plan = Plan { seed, odds: Odds::default(), down: false, ordered: VecDeque::new() };
        Faulty { node, plan: Mutex::new(plan) }
    }

    /// Lets chance do this from now on.
    pub fn set_odds(&self, odds: Odds) {
        self.plan(|plan| plan.odds = odds);
    }

    /// Orders a fault for the next question; several take one question each, in order, and
    /// chance stays out of those.
    pub fn order(&self, fault: Fault) {
        self.plan(|plan| plan.ordered.push_back(fault));
    }

    /// Takes the node away, or brings it back. While it is away no question arrives.
    pub fn set_down(&self, down: bool) {
        self.plan(|plan| plan.down = down);
    }

    /// The node behind the faults.
    pub fn node(&self) -> &Arc<LocalNode> {
        &self.node
    }

    async fn before(&self, fault: Fault) -> Result<()> {
        match fault {
            Fault::LoseRequest => Err(lost("the question was lost")),
            Fault::LoseAnswer => Ok(()),
            Fault::ForgetPool => self.node.forget_pool().await.map(drop),
            Fault::Reorganise(count) => self.node.reorganise(count, false).await.map(drop),
            Fault::ReorganiseDeep(count) => self.node.reorganise(count, true).await.map(drop),
        }
    }

    fn plan<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        // A plan is whole at every moment, so a panic elsewhere leaves a good one.
        change(&mut self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Node for Faulty {
    fn origin(&self) -> &Origin {
        self.node.origin()
    }

    async fn ask(&self, request: Request) -> Result<Answer> {
        let depth = self.origin().genesis().depth;
        let (down, faults) = self.plan(|plan| (plan.down, plan.faults(depth)));
        if down {
            return Err(lost("the node is down"));
        }
        for fault in &faults {
            self.before(*fault).await?;
        }
        let answer = self.node.ask(request).await;
        if faults.contains(&Fault::LoseAnswer) {
            return Err(lost("the answer was lost"));
        }
        answer
    }
}

impl Plan {
    /// What befalls the next question.
    fn faults(&mut self, depth: u64) -> Vec<Fault> {
        if self.down {
            return Vec::new();
        }
        if let Some(ordered) = self.ordered.pop_front() {
            return vec![ordered];
        }
        let blocks = 1 + self.random() % depth.saturating_sub(1).max(1);
        let odds = self.odds;
        let by_chance = [
            (odds.forget_pool, Fault::ForgetPool),
            (odds.reorganise, Fault::Reorganise(blocks)),
            (odds.lose_request, Fault::LoseRequest),
            (odds.lose_answer, Fault::LoseAnswer),
        ];
        let mut happens = |odds: u16| self.random() % 1_000 < u64::from(odds);
        let befalls = by_chance.into_iter().filter(|(odds, _)| happens(*odds));
        befalls.map(|(_, fault)| fault).collect()
    }

    /// SplitMix64: enough for chance, and the same on every machine.
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn lost(what: &str) -> LedgerError {
    LedgerError::unavailable(format!("a fault on order: {what}"))
}
