//! A shop on the double of a ledger, and on an Anvil beside it where a story needs one: the
//! programs, and what their configs say alike.

use crate::chain::Chain;
use crate::place::{self, Running, amount, assert_done, sdpp, statements};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What an item of each topic costs.
pub const CO2: u128 = 20;
pub const MEMORY: u128 = 3;

/// How long a story waits for anything before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Keys that Anvil gives coins to, in hex.
pub const KEYS: [(&str, &str); 2] = [
    ("seller", "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    ("buyer", "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
];

/// A seller and buyers by a plan, on a double.
pub struct Shop<D, P> {
    // Dropped in this order: nobody is left without a ledger for long.
    pub seller: Option<Running>,
    pub address: String,
    pub double: D,
    pub chain: Option<Chain>,
    pub plan: P,
    pub dir: TempDir,
    pub runtime: tokio::runtime::Runtime,
}

impl<D, P> Shop<D, P> {
    /// Nobody is there yet.
    pub fn on(double: D, chain: Option<Chain>, plan: P) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (seller, address) = (None, String::new());
        let dir = tempfile::tempdir().unwrap();
        Shop { seller, address, double, chain, plan, dir, runtime }
    }

    /// Starts the seller, again where it was stopped.
    pub fn sell(&mut self) {
        drop(self.seller.take());
        let (seller, address) = place::sell(&self.path("seller.toml"));
        (self.seller, self.address) = (Some(seller), address);
    }

    pub fn seller(&mut self) -> &mut Running {
        self.seller.as_mut().unwrap()
    }

    /// Ends the seller in good order: what it owed is settled when it is gone.
    pub fn close(&mut self) {
        self.seller().signal("TERM");
        assert!(self.seller().wait().success());
    }

    /// A buyer's command to buy; its items go to a file of its name.
    pub fn buy(&self, name: &str, topic: &str, quantity: &str) -> Command {
        place::buy(self.dir.path(), name, &[&self.address, topic, quantity])
    }

    /// How many items have come to a buyer's file.
    pub fn lines(&self, name: &str) -> usize {
        place::lines(&self.path(&format!("{name}.items")))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A side's statements, every row of which is read back from the ledgers, and nothing is
    /// wrong with any.
    pub fn audit(&self, name: &str) -> Vec<Value> {
        let found = place::audit(self.dir.path(), name);
        for one in &found {
            assert_eq!(one["problems"].as_array().map(Vec::len), Some(0), "{name}: {one}");
            assert_eq!(one["ledgers_asked"], true, "{name}: {one}");
            let anchors = one["anchors"].as_array().unwrap();
            let are_there = anchors.iter().all(|anchor| anchor["finality"] == "final");
            assert!(are_there, "{name}: {anchors:?}");
        }
        found
    }

    /// A purchase of so many items that ends complete and paid, after which the seller ends too.
    pub fn buys_co2(&mut self, items: usize) {
        ends_paid(self.buy("buyer", "co2", &items.to_string()).spawn().unwrap(), items);
        let came = std::fs::read_to_string(self.path("buyer.items")).unwrap();
        assert_eq!(came.lines().collect::<Vec<_>>(), place::co2_items(items));
        self.close();
    }

    /// A side's only statement: so many items are settled, and every anchor is good.
    pub fn settled_co2(&self, side: &str, items: usize) -> Value {
        let mut found = self.audit(side);
        assert_eq!(found.len(), 1, "{side}: {found:?}");
        let told = found.remove(0);
        let settled = (&told["outstanding"], amount(&told["settled"]));
        assert_eq!(settled, (&Value::from("0"), items as u128 * CO2), "{side}: {told}");
        let anchors = told["anchors"].as_array().unwrap();
        assert!(anchors.iter().all(|anchor| anchor["ok"] == true), "{side}: {anchors:?}");
        told
    }

    /// Both sides' statements, which agree: of what was sent in each session no more than so many
    /// items' worth is not in the seller's book.
    pub fn both_books_agree(&self, credit_items: u128) -> [Vec<Value>; 2] {
        let (sold, bought) = (self.audit("seller"), self.audit("buyer"));
        assert_eq!(sold.len(), bought.len());
        for (sold, bought) in sold.iter().zip(&bought) {
            assert_eq!(sold["session"], bought["session"]);
            let (theirs, ours) = (amount(&sold["settled"]), amount(&bought["settled"]));
            assert!(theirs <= ours, "nothing is received that was not sent: {sold} {bought}");
            let price = if sold["topic"] == "co2" { CO2 } else { MEMORY };
            assert!(ours - theirs <= credit_items * price, "within K * W: {sold} {bought}");
        }
        [sold, bought]
    }

    /// What a side still owes its ledgers.
    pub fn unsettled(&self, side: &str) -> Vec<Value> {
        let mut list = sdpp();
        list.args(["journal", "list", "obligations", "--unsettled", "--json", "--journal"]);
        let output = list.arg(self.path(&format!("{side}-journal"))).output().unwrap();
        assert_done(&output);
        statements(&output.stdout)
    }

    /// What a config says of the Anvil under this name, where there is one, and of its ether, where
    /// that is paid by some method.
    pub fn on_anvil(&self, name: &str, method: Option<&str>) -> String {
        let Some(chain) = &self.chain else { return String::new() };
        let (url, escrow) = (chain.recorded("url"), chain.recorded("escrow"));
        let currency = method.map(|method| {
            format!(
                "[currencies.ETH]\nledger = \"{name}\"\nasset = \"coin\"\ndecimals = 18\n\
                 methods = [\"{method}\"]\n"
            )
        });
        format!(
            "[ledgers.{name}]\nkind = \"ethereum\"\nchain_id = 31337\nendpoints = [\"{url}\"]\n\
             escrow = \"{escrow}\"\n\
             depth = 1\nfee_ceiling = \"100000000000\"\npoll_ms = 100\n{}",
            currency.unwrap_or_default()
        )
    }
}

/// What a seller's config says of its trade: how many items a window has and how many windows may
/// be open.
pub fn seller_toml(pays_in: &str, windows: [u32; 2], patience_ms: u32) -> String {
    let [granularity, credit_windows] = windows;
    let co2 = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/data/mauna-loa-co2.csv");
    format!(
        "[seller]\nlisten = \"127.0.0.1:0\"\ndefault_currency = \"{pays_in}\"\n\
         granularity = {granularity}\ncredit_windows = {credit_windows}\n\
         patience_ms = {patience_ms}\n\
         [topics.co2]\nprice = \"{CO2}\"\nunits = \"ppm\"\n\
         source = {{ kind = \"file\", path = \"{}\", format = \"csv\" }}\n\
         [topics.memory]\nprice = \"{MEMORY}\"\nunits = \"bytes\"\n\
         source = {{ kind = \"host\", sensor = \"memory\", interval_ms = 10 }}\n",
        co2.display()
    )
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The end of a purchase that must be complete and paid.
pub fn ends_paid(child: Child, items: usize) {
    let output = child.wait_with_output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let owed = items as u128 * CO2;
    assert_eq!(told["end"], "complete", "{told}");
    assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (owed, owed), "{told}");
}
