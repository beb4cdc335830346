//! A side is killed at each step that its outbox takes on a real chain, and started again: what
//! it owed happens exactly once. The step is found by the question that it asks the chain, which
//! a proxy holds until the process is dead.

use crate::chain::{Chain, PRICE};
use crate::place::{self, Running, amount, assert_done, sdpp, statements};
use crate::proxy::{self, Fault, Proxy};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a process may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Both sides with keys that Anvil gives coins to, and their accounts.
pub const SIDES: [(&str, &str, &str); 2] = [
    (
        "seller",
        "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    ),
    (
        "buyer",
        "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
        "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
    ),
];

/// What each of them has at first.
const FIRST: u128 = 10_000_000_000_000_000_000_000;

/// How a call of the contract's `topUp` begins.
const TOP_UP: &str = "0x9f6f687a";

/// A step at which a process is killed.
pub struct Step {
    what: &'static str,
    /// The question that it asks.
    asks: &'static str,
    /// Whether the chain is asked, and only the answer is kept back.
    is_forwarded: bool,
    /// How far the dead one's books say its transactions are that are not final.
    leaves: &'static [&'static str],
    /// Whether a transaction of the same session is final by then.
    is_second: bool,
}

const ASKING_THE_NUMBER: Step = Step {
    what: "asking the number",
    asks: "eth_getTransactionCount",
    is_forwarded: false,
    leaves: &[],
    is_second: false,
};
const TRYING_OUT: Step =
    Step { what: "trying it out", asks: "eth_estimateGas", ..ASKING_THE_NUMBER };
pub const BEFORE_IT_LEAVES: Step = Step {
    what: "before it leaves",
    asks: "eth_sendRawTransaction",
    leaves: &["prepared"],
    ..ASKING_THE_NUMBER
};
pub const BEFORE_ITS_ANSWER: Step =
    Step { what: "before its answer", is_forwarded: true, ..BEFORE_IT_LEAVES };
const ASKING_FOR_THE_RECEIPT: Step = Step {
    what: "asking for the receipt",
    asks: "eth_getTransactionReceipt",
    leaves: &["sent"],
    ..ASKING_THE_NUMBER
};
const BEFORE_THE_NEXT: Step =
    Step { what: "final, before the next", is_second: true, ..TRYING_OUT };

/// A side that is to be killed at a step, and how many deliveries its book had before.
pub struct Doomed<'a> {
    side: &'static str,
    step: &'a Step,
    rows: usize,
}

/// A chain with a proxy before it for each side.
pub struct Market {
    pub chain: Chain,
    port: u16,
    roads: BTreeMap<&'static str, Proxy>,
    runtime: tokio::runtime::Runtime,
}

impl Market {
    pub fn open() -> Option<Market> {
        let chain = Chain::up()?;
        let port = chain.read("port").parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut roads = BTreeMap::new();
        for (side, key, _) in SIDES {
            let mut file = fs::OpenOptions::new();
            let file = file.write(true).create_new(true).mode(0o600);
            let mut file = file.open(chain.path(&format!("{side}.key"))).unwrap();
            std::io::Write::write_all(&mut file, key.as_bytes()).unwrap();
            roads.insert(side, road(port));
            change(&chain, side, &format!("keystore:{side}"), &format!("file:{side}.key"));
            change(&chain, side, "keystore = \"keys\"\npassword = \"file:password\"", "");
            change(&chain, side, &chain.recorded("url"), &roads[side].url());
        }
        change(&chain, "seller", "interval_ms = 50", "interval_ms = 20");
        Some(Market { chain, port, roads, runtime })
    }

    /// Both sides put nothing on record: what the buyer sends is money.
    pub fn without_records(&self) {
        for (side, ..) in SIDES {
            let text = self.chain.read(&format!("{side}.toml"));
            let from = text.find("[records]").unwrap();
            let to = text.find("[identity]").unwrap();
            change(&self.chain, side, &text[from..to], "");
        }
    }

    /// From here on the buyer knows this way of paying alone.
    pub fn pays_by(&self, method: &str, config: &str) {
        let line = |line: &str| match line {
            _ if line.starts_with("methods = ") => Some(format!("methods = [\"{method}\"]")),
            _ if line.starts_with("deposit = ") && method != "escrow" => None,
            _ => Some(line.to_owned()),
        };
        let lines: Vec<String> = config.lines().filter_map(line).collect();
        fs::write(self.chain.path("buyer.toml"), lines.join("\n")).unwrap();
    }

    pub fn buy(&self, address: &str, quantity: &str) -> Child {
        let items = self.chain.path("items");
        // What an order before this one brought is of no interest here.
        let _ = fs::remove_file(&items);
        let mut buy = sdpp();
        buy.args(["buy", address, "memory", quantity, "--trust-on-first-use", "--json"]);
        buy.args(["--currency", "ETH", "--config"]).arg(self.chain.path("buyer.toml"));
        buy.arg("--output").arg(items).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// How many items the last order brought.
    pub fn received(&self) -> u128 {
        let items = fs::read_to_string(self.chain.path("items")).unwrap_or_default();
        items.lines().count() as u128
    }

    /// A side that is to be killed at a step of the next order.
    pub fn doomed<'a>(&self, side: &'static str, step: &'a Step) -> Doomed<'a> {
        Doomed { side, step, rows: self.book(side, "deliveries").len() }
    }

    /// Has the next question of its step held.
    pub fn hold(&self, doomed: &Doomed<'_>) -> mpsc::Receiver<()> {
        let (held, is_held) = mpsc::channel();
        let Step { asks, is_forwarded, .. } = doomed.step;
        let fault = if *is_forwarded { Fault::HoldAnswer } else { Fault::HoldQuestion };
        self.roads[doomed.side].next(asks, fault(held));
        is_held
    }

    /// Waits until one more of its transactions is final.
    fn until_one_is_final(&self, doomed: &Doomed<'_>) {
        let since = Instant::now();
        let is_final = |row: &&Value| state(row) == "final";
        while self.book(doomed.side, "deliveries").iter().filter(is_final).count() <= doomed.rows {
            assert!(since.elapsed() < PATIENCE, "nothing becomes final");
        }
    }

    /// Kills a side at its step, and looks at what it leaves behind.
    pub fn kill(&self, running: &mut Running, doomed: &Doomed<'_>, is_held: &mpsc::Receiver<()>) {
        let Doomed { side, step, .. } = doomed;
        let step_of = format!("{side}, {}", step.what);
        is_held.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{step_of}: {error}"));
        running.signal("KILL");
        running.wait();
        let left = self.book(side, "deliveries");
        let (done, live): (Vec<_>, Vec<_>) =
            left.iter().map(state).partition(|state| *state == "final");
        // The one before the second may not be known to be final, where this machine is slow.
        let is_as_it_says = match step.is_second {
            true => done.len() > doomed.rows && live.iter().all(|state| *state == "sent"),
            false => done.len() == doomed.rows && (live == step.leaves || is_ahead(step, &live)),
        };
        assert!(is_as_it_says, "{step_of}: {live:?}, {} done", done.len());
        let is_there =
            live.iter().filter(|state| **state == "sent").count() + usize::from(step.is_forwarded);
        let at_most = if is_ahead(step, &live) { live.len() } else { is_there };
        let on_chain = self.sent_by(side).len() - done.len();
        assert!((is_there..=at_most).contains(&on_chain), "{step_of}: {on_chain} of {live:?}");
    }

    /// Kills a side whose one transaction waits in the pool, at a step, and looks at what its books
    /// say of it.
    fn kill_waiting(
        &self,
        running: &mut Running,
        doomed: &Doomed<'_>,
        is_held: &mpsc::Receiver<()>,
    ) {
        let Doomed { side, step, .. } = doomed;
        let error = is_held.recv_timeout(PATIENCE).err();
        assert_eq!(error, None, "{side}, {}", step.what);
        running.signal("KILL");
        running.wait();
        let left = self.book(side, "deliveries");
        assert_eq!(left.iter().map(state).collect::<Vec<_>>(), step.leaves, "{}", step.what);
        assert_eq!(self.sent_by(side).len(), 0, "nothing is mined");
    }

    /// Waits until something is so.
    pub fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let since = Instant::now();
        while !is_so() {
            assert!(since.elapsed() < PATIENCE, "never: {what}");
            std::thread::yield_now();
        }
    }

    /// What an operator tells the running seller to do about something owed.
    fn journal(&self, verb: &str, reference: &str) -> std::process::Output {
        let mut tell = sdpp();
        tell.args(["journal", verb, reference, "--journal"]).arg(self.chain.path("seller-journal"));
        tell.output().unwrap()
    }

    /// A journal's rows, of the running process where there is one.
    pub fn book(&self, side: &str, what: &str) -> Vec<Value> {
        let journal = self.chain.path(&format!("{side}-journal"));
        if !journal.exists() {
            return Vec::new();
        }
        let mut list = sdpp();
        list.args(["journal", "list", what, "--json", "--journal"]).arg(journal);
        let output = list.output().unwrap();
        assert_done(&output);
        statements(&output.stdout)
    }

    /// Asks the chain, past the proxies.
    pub fn ask(&self, method: &str, params: &Value) -> Value {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let question = question.to_string();
        let asked = proxy::ask(self.port, question.as_bytes());
        let answer: Value = serde_json::from_slice(&self.runtime.block_on(asked).unwrap()).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The transactions of a side that stand on the chain, as its blocks have them.
    pub fn sent_by(&self, side: &str) -> Vec<Value> {
        let account = account(side);
        let height = number(&self.ask("eth_blockNumber", &json!([])));
        let block =
            |height| self.ask("eth_getBlockByNumber", &json!([format!("{height:#x}"), true]));
        let txs = (1..=height)
            .flat_map(|height| block(height)["transactions"].as_array().unwrap().to_owned());
        txs.filter(|tx| tx["from"] == account).collect()
    }

    /// What a side's book says is done is what the chain has of it, each thing once.
    pub fn book_is_the_chain_s(&self, side: &str) {
        let on_chain = self.sent_by(side);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let numbers: Vec<u128> = on_chain.iter().map(|tx| number(&tx["nonce"])).collect();
        assert_eq!(numbers, (0..on_chain.len() as u128).collect::<Vec<_>>());
        // Each says what it is for, but for a deposit that is raised by the same amount again.
        let inputs = on_chain.iter().map(|tx| text(&tx["input"]));
        let mut inputs: Vec<_> = inputs.filter(|input| !input.starts_with(TOP_UP)).collect();
        inputs.sort_unstable();
        assert!(inputs.windows(2).all(|two| two[0] != two[1]), "{side} did something twice");

        let hashes: BTreeSet<String> = on_chain.iter().map(|tx| text(&tx["hash"])).collect();
        let evidence = |row: &Value| text(&row["state"]["evidence"]["tx"]);
        let deliveries = self.book(side, "deliveries");
        assert_eq!(deliveries.len(), on_chain.len(), "of {side}");
        assert_eq!(deliveries.iter().map(evidence).collect::<BTreeSet<_>>(), hashes, "of {side}");
        let mut met = BTreeSet::new();
        for row in self.book(side, "obligations") {
            assert_eq!(row["state"]["state"], "met", "{row}");
            if !row["owed"]["act"]["do"].is_null() {
                met.insert(evidence(&row));
            }
        }
        assert_eq!(met, hashes, "{side} did nothing that it did not owe");
    }

    /// A sum over all of a side's statements; nothing in them is wrong.
    pub fn told(&self, side: &str, what: &str) -> u128 {
        let told = place::audit(&self.chain.path(""), side);
        assert!(told.iter().all(|told| told["problems"] == json!([])), "{told:?}");
        told.iter().map(|told| amount(&told[what])).sum()
    }

    /// What a side has more than at first, when what its transactions cost is given back.
    pub fn gained(&self, side: &str) -> i128 {
        let fee = |tx: &Value| {
            let receipt = self.ask("eth_getTransactionReceipt", &json!([tx["hash"]]));
            assert_eq!(receipt["status"], "0x1", "{tx}");
            number(&receipt["gasUsed"]) * number(&receipt["effectiveGasPrice"])
        };
        let fees: u128 = self.sent_by(side).iter().map(fee).sum();
        let held = number(&self.ask("eth_getBalance", &json!([account(side), "latest"])));
        i128::try_from(held + fees).unwrap() - i128::try_from(FIRST).unwrap()
    }

    /// Waits until the running seller owes nothing any more.
    pub fn seller_settles(&self) {
        self.until_seller(|told| told["ledgers"]["anvil"]["unsettled"] == 0);
    }

    /// Waits until the running seller knows that none of its channels is open any more.
    pub fn seller_sees_the_end(&self) {
        self.until_seller(|told| told["channels"] == json!([]));
    }

    pub fn until_seller(&self, is_so: impl Fn(&Value) -> bool) {
        let since = Instant::now();
        loop {
            let mut status = sdpp();
            status.args(["status", "--json", "--journal"]).arg(self.chain.path("seller-journal"));
            let output = status.output().unwrap();
            assert_done(&output);
            let told: Value = serde_json::from_slice(&output.stdout).unwrap();
            if is_so(&told) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "not yet: {told}");
            std::thread::yield_now();
        }
    }

    /// The whole money of all channels, by the contract's own events: what each paid at last.
    fn paid_by_channels(&self) -> u128 {
        let closed = self.chain.events("ChannelClosed(bytes32,uint256)");
        let opened = self
            .chain
            .events("ChannelOpened(bytes32,address,address,address,address,bytes32,uint256)");
        assert_eq!(closed.len(), opened.len(), "each channel is closed, and closed once");
        closed.iter().map(|(_, amount, _)| amount).sum()
    }
}

/// A proxy before the chain, on a thread of its own.
fn road(port: u16) -> Proxy {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let road = runtime.block_on(Proxy::start(port));
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    road
}

/// Writes something else into a side's config.
pub fn change(chain: &Chain, side: &str, from: &str, to: &str) {
    let path = chain.path(&format!("{side}.toml"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Whether the next window's payment is on its way too by then, as where this machine is slow.
fn is_ahead(step: &Step, live: &[&str]) -> bool {
    let is_on_its_way = |state: &&str| ["sent", "prepared"].contains(state);
    step.leaves == ["sent"] && live.first() == Some(&"sent") && live.iter().all(is_on_its_way)
}

/// How far a delivery is.
fn state(row: &Value) -> &str {
    row["state"]["state"].as_str().unwrap()
}

fn account(side: &str) -> &'static str {
    SIDES.iter().find(|(name, ..)| *name == side).unwrap().2
}

fn number(value: &Value) -> u128 {
    u128::from_str_radix(value.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

#[test]
fn a_seller_killed_at_each_step_does_all_that_it_owes_and_does_it_once() {
    let Some(market) = Market::open() else { return };
    let steps = [
        // Only a process that has not signed anything yet asks for it.
        ASKING_THE_NUMBER,
        TRYING_OUT,
        BEFORE_IT_LEAVES,
        BEFORE_ITS_ANSWER,
        ASKING_FOR_THE_RECEIPT,
        BEFORE_THE_NEXT,
    ];
    let (mut seller, mut address) = market.chain.sell();
    let mut received = 0;
    for step in steps {
        let doomed = market.doomed("seller", &step);
        let is_held = (!step.is_second).then(|| market.hold(&doomed));
        let mut buyer = Running(market.buy(&address, "2000"));
        let is_held = is_held.unwrap_or_else(|| {
            market.until_one_is_final(&doomed);
            market.hold(&doomed)
        });
        market.kill(&mut seller, &doomed, &is_held);
        assert!(!buyer.wait().success(), "the line broke");
        received += market.received();
        (seller, address) = market.chain.sell();
        market.seller_settles();
        market.book_is_the_chain_s("seller");
    }
    let last = market.buy(&address, "10").wait_with_output().unwrap();
    assert_done(&last);
    market.seller_sees_the_end();
    seller.signal("TERM");
    assert!(seller.wait().success());

    let paid = market.paid_by_channels();
    received += market.received();
    assert!(paid <= received * PRICE, "nothing is paid that did not come");
    for side in ["seller", "buyer"] {
        market.book_is_the_chain_s(side);
    }
    assert_eq!((market.told("buyer", "paid"), market.told("seller", "settled")), (paid, paid));
    let paid = i128::try_from(paid).unwrap();
    assert_eq!((market.gained("seller"), market.gained("buyer")), (paid, -paid));
}

#[test]
fn a_buyer_killed_at_a_step_pays_all_that_it_owes_and_pays_it_once() {
    let Some(market) = Market::open() else { return };
    market.without_records();
    let (mut seller, address) = market.chain.sell();
    let config = market.chain.read("buyer.toml");
    market.pays_by("transfer", &config);
    for step in [BEFORE_IT_LEAVES, BEFORE_ITS_ANSWER, ASKING_FOR_THE_RECEIPT] {
        killed_and_back(&market, &address, &step);
    }
    let transferred = market.gained("seller");
    let sent = market.sent_by("buyer");
    let value: u128 = sent.iter().map(|tx| number(&tx["value"])).sum();
    assert_eq!(i128::try_from(value).unwrap(), transferred);

    market.pays_by("escrow", &config);
    killed_and_back(&market, &address, &BEFORE_ITS_ANSWER);
    seller.signal("TERM");
    assert!(seller.wait().success());
    let by_escrow = i128::try_from(market.paid_by_channels()).unwrap();
    assert_eq!(by_escrow, i128::try_from(10 * PRICE).unwrap(), "through the one channel");
    let paid = transferred + by_escrow;
    assert_eq!((market.gained("seller"), market.gained("buyer")), (paid, -paid));
    for side in ["seller", "buyer"] {
        market.book_is_the_chain_s(side);
    }
    let told = |side| i128::try_from(market.told(side, "settled")).unwrap();
    assert_eq!(told("buyer"), paid);
    // Of a payment whose sender died before it told of it, the seller has the money alone.
    assert!((by_escrow..=paid).contains(&told("seller")));
}

/// Kills a buyer at a step, and has it buy again.
fn killed_and_back(market: &Market, address: &str, step: &Step) {
    let doomed = market.doomed("buyer", step);
    let is_held = market.hold(&doomed);
    let mut buyer = Running(market.buy(address, "2000"));
    market.kill(&mut buyer, &doomed, &is_held);
    assert_done(&market.buy(address, "10").wait_with_output().unwrap());
    market.book_is_the_chain_s("buyer");
}

/// The seller's question whether a stranger's transaction pays.
const CHECKING_A_CLAIM: Step =
    Step { what: "checking a claim", asks: "eth_getTransactionByHash", ..ASKING_THE_NUMBER };

#[test]
fn a_seller_killed_while_it_checks_a_claim_knows_after_that_it_is_paid() {
    let Some(market) = Market::open() else { return };
    market.without_records();
    let config = market.chain.read("buyer.toml");
    market.pays_by("transfer", &config);
    let (mut seller, address) = market.chain.sell();
    let doomed = market.doomed("seller", &CHECKING_A_CLAIM);
    let is_held = market.hold(&doomed);
    let mut buyer = Running(market.buy(&address, "2000"));
    market.kill(&mut seller, &doomed, &is_held);
    assert!(!buyer.wait().success(), "the line broke");
    let claims = market.book("seller", "obligations");
    assert!(claims.iter().any(|row| state(row) == "watching"), "{claims:?}");

    let (mut seller, address) = market.chain.sell();
    market.seller_settles();
    assert_done(&market.buy(&address, "10").wait_with_output().unwrap());
    market.seller_settles();
    seller.signal("TERM");
    assert!(seller.wait().success());
    for side in ["seller", "buyer"] {
        market.book_is_the_chain_s(side);
    }
    let gained = market.gained("seller");
    assert_eq!(market.gained("buyer"), -gained);
    // Of a payment that its buyer could not tell it of any more, the seller has the money alone.
    let told = i128::try_from(market.told("seller", "settled")).unwrap();
    assert!((1..=gained).contains(&told), "{told} of {gained}");
    let met = market.book("seller", "obligations");
    assert!(met.len() > claims.len() && met.iter().all(|row| state(row) == "met"), "{met:?}");
}

/// The questions of a wish to cancel what waits in the pool.
const PRICING_A_CANCELLATION: Step = Step {
    what: "pricing a cancellation",
    asks: "eth_feeHistory",
    leaves: &["sent"],
    ..ASKING_THE_NUMBER
};
const CANCELLING: Step = Step {
    what: "before the answer to a cancellation",
    leaves: &["prepared"],
    ..BEFORE_ITS_ANSWER
};

#[test]
fn a_seller_killed_while_it_cancels_its_closing_does_one_of_the_two() {
    let Some(market) = Market::open() else { return };
    market.without_records();
    let config = market.chain.read("buyer.toml");
    market.pays_by("escrow", &config);
    let (mut seller, address) = market.chain.sell();
    let mut buyer = Running(market.buy(&address, "100"));
    market.until("items flow", || market.received() > 5);
    market.ask("evm_setAutomine", &json!([false]));
    let waits = |rows: &[Value]| rows.iter().map(state).eq(["sent"]);
    market.until("the closing waits", || waits(&market.book("seller", "deliveries")));
    let closing = market.book("seller", "obligations").pop().unwrap();
    let reference = closing["owed"]["reference"].as_str().unwrap();
    assert!(buyer.wait().success());

    let doomed = market.doomed("seller", &PRICING_A_CANCELLATION);
    let is_held = market.hold(&doomed);
    assert_done(&market.journal("cancel", reference));
    market.kill_waiting(&mut seller, &doomed, &is_held);

    let doomed = market.doomed("seller", &CANCELLING);
    let is_held = market.hold(&doomed);
    let (mut seller, _) = market.chain.sell();
    market.kill_waiting(&mut seller, &doomed, &is_held);

    let (mut seller, _) = market.chain.sell();
    market.ask("evm_setAutomine", &json!([true]));
    market.ask("evm_mine", &json!([]));
    market.seller_settles();
    let [cancelled] = &market.sent_by("seller")[..] else { panic!("not one transaction") };
    assert_eq!((&cancelled["to"], &cancelled["input"]), (&cancelled["from"], &json!("0x")));
    let refused = market.book("seller", "obligations").pop().unwrap();
    assert_eq!(state(&refused), "refused", "{refused}");
    assert_eq!(market.gained("seller"), 0);

    // What was not done may be wanted after all, and is done once.
    assert_done(&market.journal("retry", reference));
    market.seller_settles();
    seller.signal("TERM");
    assert!(seller.wait().success());
    let paid = i128::try_from(market.paid_by_channels()).unwrap();
    assert_eq!(paid, i128::try_from(100 * PRICE).unwrap());
    assert_eq!((market.gained("seller"), market.gained("buyer")), (paid, -paid));
}

/// A number that the chain has lost is filled again before anything else is sent.
const FILLING: Step =
    Step { what: "filling a gap", asks: "eth_sendRawTransaction", ..ASKING_THE_NUMBER };

#[test]
fn a_seller_killed_while_it_fills_a_gap_leaves_each_thing_done_once() {
    let Some(market) = Market::open() else { return };
    market.without_records();
    let config = market.chain.read("buyer.toml");
    market.pays_by("escrow", &config);
    let (mut seller, address) = market.chain.sell();
    assert_done(&market.buy(&address, "10").wait_with_output().unwrap());
    market.seller_settles();
    seller.signal("TERM");
    assert!(seller.wait().success());
    let closed = market.sent_by("seller").pop().unwrap();
    market.ask("anvil_rollback", &json!([1]));
    assert!(market.sent_by("seller").is_empty(), "what was final is gone");

    for is_forwarded in [false, true] {
        let step = Step { is_forwarded, ..FILLING };
        let doomed = market.doomed("seller", &step);
        let is_held = market.hold(&doomed);
        let (mut seller, address) = market.chain.sell();
        if !is_forwarded {
            assert_done(&market.buy(&address, "20").wait_with_output().unwrap());
        }
        let error = is_held.recv_timeout(PATIENCE).err();
        assert_eq!(error, None, "{}", step.what);
        seller.signal("KILL");
        seller.wait();
        let left = market.book("seller", "deliveries");
        assert_eq!(left.iter().map(state).collect::<Vec<_>>(), ["final"], "no other before it");
        assert_eq!(market.sent_by("seller").len(), usize::from(is_forwarded));
    }
    assert_eq!(market.sent_by("seller")[0]["hash"], closed["hash"], "the same bytes");

    let (mut seller, address) = market.chain.sell();
    market.seller_settles();
    assert_done(&market.buy(&address, "5").wait_with_output().unwrap());
    market.seller_settles();
    seller.signal("TERM");
    assert!(seller.wait().success());
    let hashes = |row: &Value| row["hash"].as_str().unwrap().to_owned();
    assert_eq!(market.sent_by("seller").iter().map(hashes).collect::<BTreeSet<_>>().len(), 3);
    market.book_is_the_chain_s("seller");
    let paid = market.paid_by_channels();
    assert_eq!(paid, 35 * PRICE);
    let paid = i128::try_from(paid).unwrap();
    assert_eq!((market.gained("seller"), market.gained("buyer")), (paid, -paid));
}
