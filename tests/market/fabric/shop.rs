//! A shop on a Fabric network of its own, and on an Anvil beside it where a story needs one: the
//! programs, their configs, and what the network itself tells afterwards.

use crate::chain::Chain;
use crate::double::{Double, MONEY};
use crate::gateway::{Gateway, Told};
use crate::place::{amount, write_side};
use crate::shop::{self, KEYS};

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

pub type Shop = shop::Shop<Double, Plan>;

impl Shop {
    /// `None`, said aloud, where a ledger cannot be started.
    pub fn open(plan: Plan) -> Option<Shop> {
        let double = Double::start(plan.double)?;
        let chain = if plan.uses_anvil() { Some(Chain::up()?) } else { None };
        let mut shop = Shop::on(double, chain, plan);
        shop.write_side("seller", "seller", &shop.seller_toml());
        shop.write_side("buyer", "buyer", &shop.buyer_toml());
        shop.sell();
        Some(shop)
    }

    pub fn gateway(&self) -> Gateway {
        Gateway::of(&self.double)
    }

    /// A buyer of another signer, registered for it, with so much money.
    pub fn add_buyer(&self, name: &str, funds: u128) {
        let signer = self.runtime.block_on(async {
            let signer = self.gateway().new_signer(false).await;
            self.gateway().mint("admin", &signer.account, MONEY, funds).await;
            signer
        });
        self.write_side(name, &signer.name, &self.buyer_toml());
    }

    /// What the network has of what a signer's account did, in order.
    pub fn told(&self, owner: &str) -> Vec<Told> {
        let account = self.double.account(owner);
        let told = self.runtime.block_on(self.gateway().told_since("seller", 0));
        told.into_iter().filter(|one| one.owner == account && is_ours(one)).collect()
    }

    /// What one of the double's traders has in all.
    pub fn total(&self, signer: &str) -> u128 {
        let account = self.double.account(signer);
        self.runtime.block_on(self.gateway().total("seller", &account, MONEY))
    }

    /// What a trader holds and owes in open IOUs.
    pub fn ious(&self, signer: &str) -> [u128; 2] {
        let account = self.double.account(signer);
        let args = [account.as_str(), MONEY];
        let found = self.runtime.block_on(self.gateway().query("seller", "GetIous", &args));
        ["held", "owed"].map(|what| amount(&found[what]["total"]))
    }

    pub fn write_side(&self, name: &str, signer: &str, config: &str) {
        let key = match KEYS.iter().find(|(side, _)| *side == name) {
            Some((_, key)) => format!("0x{key}"),
            None => sdpp_ledger::keccak(&[signer.as_bytes()]).to_string(),
        };
        let shared = self.shared(name, signer);
        write_side(self.dir.path(), name, &key, &(shared + config));
    }

    fn shared(&self, name: &str, signer: &str) -> String {
        let Plan { pays_in, records_on, batch, anchor, .. } = &self.plan;
        let method = (*pays_in == "ETH").then_some("transfer");
        let records = if *records_on == "anvil" { "chain" } else { "consortium" };
        format!(
            "[identity]\nkey = \"file:{name}.key\"\n[journal]\ndir = \"{name}-journal\"\n\
             [records]\nledger = \"{records}\"\nbatch = \"{batch}\"\nanchor = \"{anchor}\"\n{}{}",
            self.on_fabric(signer),
            self.on_anvil("chain", method)
        )
    }

    fn on_fabric(&self, signer: &str) -> String {
        let Plan { pays_in, records_on, events, poll_ms, .. } = &self.plan;
        let Gateway { url, channel, chaincode, .. } = self.gateway();
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

    fn seller_toml(&self) -> String {
        let Plan { pays_in, granularity, credit_windows, .. } = &self.plan;
        let trade = shop::seller_toml(pays_in, [*granularity, *credit_windows], 30_000);
        trade + "[limits]\nconnections_per_address_max = 64\n"
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

/// How often something was told, where each reference is told of once.
pub fn times(told: &[Told], what: &str) -> usize {
    let of_it: Vec<&str> =
        told.iter().filter(|one| one.what == what).map(|one| one.reference.as_str()).collect();
    let distinct: std::collections::BTreeSet<&str> = of_it.iter().copied().collect();
    assert_eq!(of_it.len(), distinct.len(), "{what} twice under a reference");
    of_it.len()
}
