//! A shop on a Fabric network of its own, and on an Anvil beside it where a story needs one: the
//! programs, their configs, and what the network itself tells afterwards.

use crate::chain::Chain;
use crate::double::{Double, MONEY};
use crate::gateway::{Gateway, Told};
use crate::place::{Running, amount, assert_done, listening, sdpp, statements};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What an item of each topic costs.
pub const CO2: u128 = 20;
pub const MEMORY: u128 = 3;

/// How long a story waits for anything before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Keys that Anvil gives coins to.
const ANVIL_KEYS: [(&str, &str); 2] = [
    ("seller", "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    ("buyer", "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
];

/// How it is sold; change what the story is about.
#[derive(Clone)]
pub struct Plan {
    /// What is paid in: `USD` and `IOU` on Fabric, `ETH` on Anvil.
    pub pays_in: &'static str,
    /// Where records are kept: `fabric` or `anvil`.
    pub records_on: &'static str,
    pub batch: &'static str,
    pub anchor: &'static str,
    pub granularity: u32,
    pub credit_windows: u32,
    /// Whether both sides listen to their gateway.
    pub events: bool,
    /// How often a side looks for what nobody tells it.
    pub poll_ms: u64,
    /// More of the double's options.
    pub double: &'static [&'static str],
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            pays_in: "USD",
            records_on: "fabric",
            batch: "each",
            anchor: "before",
            granularity: 10,
            credit_windows: 2,
            events: true,
            poll_ms: 100,
            double: &["--wait-ms", "300", "--retry-ms", "20"],
        }
    }
}

impl Plan {
    fn uses_anvil(&self) -> bool {
        self.pays_in == "ETH" || self.records_on == "anvil"
    }
}

pub struct Shop {
    // Dropped in this order: nobody is left without a ledger for long.
    pub seller: Option<Running>,
    pub address: String,
    pub double: Double,
    pub chain: Option<Chain>,
    pub gateway: Gateway,
    pub plan: Plan,
    pub dir: TempDir,
    pub runtime: tokio::runtime::Runtime,
}

impl Shop {
    /// `None`, said aloud, where a ledger cannot be started.
    pub fn open(plan: Plan) -> Option<Shop> {
        let double = Double::start(plan.double)?;
        let chain = if plan.uses_anvil() { Some(Chain::up()?) } else { None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let gateway = Gateway::of(&double);
        let dir = tempfile::tempdir().unwrap();
        let address = String::new();
        let mut shop = Shop { seller: None, address, double, chain, gateway, plan, dir, runtime };
        shop.write_side("seller", "seller", &shop.seller_toml());
        shop.write_side("buyer", "buyer", &shop.buyer_toml());
        shop.sell();
        Some(shop)
    }

    /// Starts the seller, again where it was stopped.
    pub fn sell(&mut self) {
        drop(self.seller.take());
        let (seller, address) =
            listening(sdpp().args(["sell", "--config"]).arg(self.path("seller.toml")));
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

    /// A buyer of another signer, registered for it, with so much money.
    pub fn add_buyer(&self, name: &str, funds: u128) {
        let signer = self.runtime.block_on(async {
            let signer = self.gateway.new_signer(false).await;
            self.gateway.mint("admin", &signer.account, MONEY, funds).await;
            signer
        });
        self.write_side(name, &signer.name, &self.buyer_toml());
    }

    /// A buyer's command to buy; its items go to a file of its name.
    pub fn buy(&self, name: &str, topic: &str, quantity: &str) -> Command {
        let mut command = sdpp();
        command.args(["buy", &self.address, topic, quantity, "--trust-on-first-use", "--json"]);
        command.arg("--config").arg(self.path(&format!("{name}.toml")));
        command.arg("--output").arg(self.path(&format!("{name}.items")));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// How many items have come to a buyer's file.
    pub fn lines(&self, name: &str) -> usize {
        let items = self.path(&format!("{name}.items"));
        fs::read_to_string(items).map_or(0, |text| text.lines().count())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A side's statements, every row of which is read back from the ledgers, and nothing is
    /// wrong with any.
    pub fn audit(&self, name: &str) -> Vec<Value> {
        let mut audit = sdpp();
        audit.args(["audit", "--format", "json", "--journal"]);
        audit.arg(self.path(&format!("{name}-journal"))).arg("--config");
        let output = audit.arg(self.path(&format!("{name}.toml"))).output().unwrap();
        assert_done(&output);
        let found = statements(&output.stdout);
        for one in &found {
            assert_eq!(one["problems"].as_array().map(Vec::len), Some(0), "{name}: {one}");
            assert_eq!(one["ledgers_asked"], true, "{name}: {one}");
            let anchors = one["anchors"].as_array().unwrap();
            let are_there = anchors.iter().all(|anchor| anchor["finality"] == "final");
            assert!(are_there, "{name}: {anchors:?}");
        }
        found
    }

    /// What a side still owes its ledgers.
    pub fn unsettled(&self, side: &str) -> Vec<Value> {
        let mut list = sdpp();
        list.args(["journal", "list", "obligations", "--unsettled", "--json", "--journal"]);
        let output = list.arg(self.path(&format!("{side}-journal"))).output().unwrap();
        assert_done(&output);
        statements(&output.stdout)
    }

    /// What the network has of what a signer's account did, in order.
    pub fn told(&self, owner: &str) -> Vec<Told> {
        let account = self.double.account(owner);
        let told = self.runtime.block_on(self.gateway.told_since("seller", 0));
        told.into_iter().filter(|one| one.owner == account && is_ours(one)).collect()
    }

    /// What one of the double's traders has in all.
    pub fn total(&self, signer: &str) -> u128 {
        let account = self.double.account(signer);
        self.runtime.block_on(self.gateway.total("seller", &account, MONEY))
    }

    /// What a trader holds and owes in open IOUs.
    pub fn ious(&self, signer: &str) -> [u128; 2] {
        let account = self.double.account(signer);
        let args = [account.as_str(), MONEY];
        let found = self.runtime.block_on(self.gateway.query("seller", "GetIous", &args));
        ["held", "owed"].map(|what| amount(&found[what]["total"]))
    }

    pub fn write_side(&self, name: &str, signer: &str, config: &str) {
        let key = self.path(&format!("{name}.key"));
        let of_anvil = ANVIL_KEYS.iter().find(|(side, _)| *side == name);
        let digest = match of_anvil {
            Some((_, key)) => (*key).to_owned(),
            None => sdpp_ledger::keccak(&[signer.as_bytes()]).to_string(),
        };
        fs::write(&key, format!("{digest}\n")).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let shared = self.shared(name, signer);
        fs::write(self.path(&format!("{name}.toml")), format!("{shared}{config}")).unwrap();
    }

    fn shared(&self, name: &str, signer: &str) -> String {
        let Plan { records_on, batch, anchor, .. } = &self.plan;
        let records = if *records_on == "anvil" { "chain" } else { "consortium" };
        format!(
            "[identity]\nkey = \"file:{name}.key\"\n[journal]\ndir = \"{name}-journal\"\n\
             [records]\nledger = \"{records}\"\nbatch = \"{batch}\"\nanchor = \"{anchor}\"\n{}{}",
            self.on_fabric(signer),
            self.on_anvil()
        )
    }

    fn on_fabric(&self, signer: &str) -> String {
        let Plan { pays_in, records_on, events, poll_ms, .. } = &self.plan;
        let Gateway { url, channel, chaincode, .. } = &self.gateway;
        let currency = match *pays_in {
            "ETH" if *records_on == "anvil" => return String::new(),
            "ETH" => String::new(),
            name => {
                let asset = if name == "IOU" { "iou:Org1MSP/USD" } else { MONEY };
                format!(
                    "[currencies.{name}]\nledger = \"consortium\"\nasset = \"{asset}\"\n\
                     decimals = 2\nmethods = [\"transfer\"]\n"
                )
            }
        };
        format!(
            "[ledgers.consortium]\nkind = \"fabric\"\ngateway = \"{url}\"\n\
             channel = \"{channel}\"\nchaincode = \"{chaincode}\"\nsigner = \"{signer}\"\n\
             poll_ms = {poll_ms}\nevents = {events}\npatience_ms = 5000\n\
             commit_patience_ms = 20000\nious_from = [\"Org2MSP\"]\n\
             owe_at_most = {{ \"Org1MSP/USD\" = \"1000000\" }}\n{currency}"
        )
    }

    fn on_anvil(&self) -> String {
        let Some(chain) = &self.chain else { return String::new() };
        let url = chain.recorded("url");
        let currency = match self.plan.pays_in {
            "ETH" => {
                "[currencies.ETH]\nledger = \"chain\"\nasset = \"coin\"\ndecimals = 18\n\
                 methods = [\"transfer\"]\n"
            }
            _ => "",
        };
        format!(
            "[ledgers.chain]\nkind = \"ethereum\"\nchain_id = 31337\nendpoints = [\"{url}\"]\n\
             escrow = \"{}\"\n\
             depth = 1\nfee_ceiling = \"100000000000\"\npoll_ms = 100\n{currency}",
            chain.recorded("escrow")
        )
    }

    fn seller_toml(&self) -> String {
        let Plan { pays_in, granularity, credit_windows, .. } = &self.plan;
        let co2 = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/data/mauna-loa-co2.csv");
        format!(
            "[seller]\nlisten = \"127.0.0.1:0\"\ndefault_currency = \"{pays_in}\"\n\
             granularity = {granularity}\ncredit_windows = {credit_windows}\n\
             patience_ms = 30000\n\
             [topics.co2]\nprice = \"{CO2}\"\nunits = \"ppm\"\n\
             source = {{ kind = \"file\", path = \"{}\", format = \"csv\" }}\n\
             [topics.memory]\nprice = \"{MEMORY}\"\nunits = \"bytes\"\n\
             source = {{ kind = \"host\", sensor = \"memory\", interval_ms = 10 }}\n\
             [limits]\nconnections_per_address_max = 64\n",
            co2.display()
        )
    }

    pub fn buyer_toml(&self) -> String {
        format!(
            "[buyer]\npatience_ms = 30000\n[[buyer.currencies]]\ncurrency = \"{}\"\n\
             max_total = \"1000000\"\n",
            self.plan.pays_in
        )
    }
}

/// What the double's own beginning did is no part of a story.
fn is_ours(one: &Told) -> bool {
    !one.reference.starts_with("seed") && one.what != "Opened"
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
pub fn ends_paid(child: std::process::Child, items: usize) {
    let output = child.wait_with_output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let owed = items as u128 * CO2;
    assert_eq!(told["end"], "complete", "{told}");
    assert_eq!((amount(&told["owed"]), amount(&told["paid"])), (owed, owed), "{told}");
}

/// How often something was told, where each reference is told of once.
pub fn times(told: &[Told], what: &str) -> usize {
    let of_it: Vec<&str> =
        told.iter().filter(|one| one.what == what).map(|one| one.reference.as_str()).collect();
    let distinct: std::collections::BTreeSet<&str> = of_it.iter().copied().collect();
    assert_eq!(of_it.len(), distinct.len(), "{what} twice under a reference");
    of_it.len()
}
