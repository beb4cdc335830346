//! What goes wrong on the way to the chain and on it: roads that lose and mangle, and a node that
//! forgets, thinks again and is started anew.

use crate::DEPTH;
use crate::dice::Dice;
use crate::rig::Anvil;
use crate::rig::proxy::{Fault, Proxy};
use serde_json::json;
use std::time::Duration;
use tempfile::TempDir;

/// One or two ways to the node, an endpoint each.
pub struct Roads(Vec<Proxy>);

impl Roads {
    pub async fn open(node: u16, dice: &mut Dice) -> Roads {
        let mut roads = vec![Proxy::start(node).await];
        if dice.one_in(2) {
            roads.push(Proxy::start(node).await);
        }
        Roads(roads)
    }

    pub fn urls(&self) -> Vec<String> {
        self.0.iter().map(Proxy::url).collect()
    }

    /// Has the next question meet a fault: on one road, or on each.
    pub fn trouble(&self, dice: &mut Dice) {
        let method = if dice.one_in(2) { "eth_sendRawTransaction" } else { "" };
        let (is_everywhere, first) = (dice.one_in(2), dice.roll());
        let fault = fault(dice);
        for (place, road) in (0..).zip(&self.0) {
            let is_meant = is_everywhere || first % self.0.len() as u64 == place;
            if is_meant && road.waiting() < 2 {
                road.next(method, fault.clone());
            }
        }
    }

    pub fn calm(&self) {
        self.0.iter().for_each(Proxy::calm);
    }
}

fn fault(dice: &mut Dice) -> Fault {
    match dice.roll() % 10 {
        0 | 1 => Fault::LoseQuestion,
        2 | 3 => Fault::LoseAnswer,
        4 => Fault::Twice,
        5 => Fault::Say(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":[]}}".to_vec()),
        6 => Fault::Late(Duration::from_millis(20)),
        7 | 8 => Fault::TooMany(0),
        _ => Fault::Down,
    }
}

/// A node that keeps its state in a file, and what it went through.
pub struct Node {
    anvil: Option<Anvil>,
    state: TempDir,
    pub restarts: u32,
    /// The height at which it was started. Anvil cannot take back what it has read from its file.
    since: u64,
}

impl Node {
    /// `None` where there is no Anvil.
    pub async fn start() -> Option<Node> {
        let mut node = Node { anvil: None, state: TempDir::new().unwrap(), restarts: 0, since: 0 };
        node.anvil = Some(Anvil::start(&node.args()).await?);
        Some(node)
    }

    fn args(&self) -> [&str; 3] {
        let path = self.state.path().to_str().expect("a temporary folder's name is text");
        ["--no-mining", "--state", path]
    }

    pub fn anvil(&self) -> &Anvil {
        self.anvil.as_ref().expect("it runs")
    }

    /// Ends it and starts it again where it was: its pool is gone.
    async fn restart(&mut self) {
        let anvil = self.anvil.take().expect("it runs");
        let port = anvil.port;
        anvil.end().await;
        self.anvil = Anvil::start_on(port, &self.args()).await;
        self.restarts += 1;
        self.since = self.anvil().height().await;
    }

    /// One turn of the weather, and perhaps some blocks.
    pub async fn weather(&mut self, dice: &mut Dice, is_calm: bool) {
        if !is_calm && dice.one_in(8) {
            let depth = 1 + dice.roll() % (DEPTH - 1);
            let depth = depth.min(self.anvil().height().await - self.since);
            if depth > 0 {
                self.anvil().ask("anvil_reorg", json!([depth, []])).await;
            }
        }
        if !is_calm && dice.one_in(8) {
            self.anvil().ask("anvil_dropAllTransactions", json!([])).await;
        }
        if !is_calm && dice.one_in(30) {
            self.restart().await;
        }
        if !is_calm && dice.one_in(8) {
            let gwei = 2 + dice.roll() % 30;
            let wei = format!("{:#x}", gwei * 1_000_000_000);
            self.anvil().ask("anvil_setNextBlockBaseFeePerGas", json!([wei])).await;
        }
        if is_calm || !dice.one_in(3) {
            self.anvil().mine(1 + dice.roll() % 3).await;
        }
    }
}
