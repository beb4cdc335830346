//! A shop on a double of an IOTA node in this process, and on an Anvil beside it where a story
//! needs one: the programs, their configs, and what the node itself tells afterwards.

use crate::chain::Chain;
use crate::place::{amount, write_side};
use crate::shop::{self, KEYS, PATIENCE};
use ed25519_dalek::{Signer, SigningKey};
use iota_sdk_types::{
    Address, Argument, Ed25519PublicKey, Ed25519Signature, GasPayment, Input, ObjectReference,
    ProgrammableTransaction, SimpleSignature, Transaction, TransactionExpiration, TransactionKind,
    TransactionV1, UserSignature,
};
use sdpp_iota_double::{Double, GenesisCoin, Options, Tally};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What each side has at first, in one coin of NANOS.
pub const FIRST: u128 = 1_000_000_000_000;

/// How it is sold; change what the story is about.
#[derive(Clone)]
pub struct Plan {
    /// What is paid in: `IOTA`, or `ETH` on Anvil.
    pub pays_in: &'static str,
    pub method: &'static str,
    /// Where records are kept: `iota`, `anvil`, or `nowhere`.
    pub records_on: &'static str,
    pub batch: &'static str,
    pub anchor: &'static str,
    pub granularity: u32,
    pub credit_windows: u32,
    /// How often the node makes a checkpoint, and how late it hears of anything.
    pub pace_ms: [u64; 2],
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            pays_in: "IOTA",
            method: "transfer",
            records_on: "iota",
            batch: "each",
            anchor: "before",
            granularity: 10,
            credit_windows: 2,
            pace_ms: [20, 30],
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
        let first = u64::try_from(FIRST).unwrap();
        let coins = KEYS.iter().zip(1..).map(|((side, _), n)| GenesisCoin::new(of(side), first, n));
        let [checkpoint_ms, read_lag_ms] = plan.pace_ms;
        let coins = coins.collect();
        let options = Options { coins, checkpoint_ms, read_lag_ms, ..Options::default() };
        let double = Double::start(options).unwrap();
        let chain = if plan.uses_anvil() { Some(Chain::up()?) } else { None };
        let mut shop = Shop::on(double, chain, plan);
        shop.write_side("seller", &shop.seller_toml());
        shop.write_side("buyer", &shop.buyer_toml());
        shop.sell();
        Some(shop)
    }

    /// Waits until so many requests are held by the node.
    pub fn until_held(&self, requests: usize) {
        let held = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, self.double.until_held(requests)).await
        });
        assert!(held.is_ok(), "never: {requests} requests are held");
    }

    /// What the node was asked, where nothing of it was strange.
    pub fn tally(&self) -> Tally {
        let tally = self.double.tally();
        assert_eq!(tally.strange, Vec::<String>::new());
        tally
    }

    /// How many coins a side has.
    pub fn coins(&self, side: &str) -> usize {
        let mut found = (0, Value::Null);
        loop {
            let params = json!([of(side).to_string(), null, found.1, 50]);
            let page = self.ask("iotax_getCoins", &params);
            found.0 += page["data"].as_array().unwrap().len();
            if page["hasNextPage"] != true {
                return found.0;
            }
            found.1 = page["nextCursor"].clone();
        }
    }

    /// What a wallet with a side's key does: all coins become one, the smallest.
    pub fn merge_coins(&self, side: &str) {
        let owner = of(side);
        let page = self.ask("iotax_getCoins", &json!([owner.to_string(), null, null, 50]));
        let mut coins = page["data"].as_array().unwrap().clone();
        coins.sort_by_key(|coin| number(&coin["balance"]));
        let objects = coins.iter().map(reference).collect();
        let zero = Argument::Input(0);
        let commands = vec![
            iota_sdk_types::Command::new_split_coins(Argument::Gas, vec![zero]),
            iota_sdk_types::Command::new_merge_coins(Argument::Gas, vec![Argument::Result(0)]),
        ];
        let made = ProgrammableTransaction { inputs: vec![Input::pure(&0_u64)], commands };
        let transaction = Transaction::V1(TransactionV1 {
            kind: TransactionKind::new_programmable(made),
            sender: owner,
            gas_payment: GasPayment { objects, owner, price: 1_000, budget: 5_000_000 },
            expiration: TransactionExpiration::None,
        });
        let key = signing_key(side);
        let signature = SimpleSignature::new_ed25519(
            Ed25519Signature::new(key.sign(transaction.signing_digest().as_ref()).to_bytes()),
            Ed25519PublicKey::new(key.verifying_key().to_bytes()),
        );
        let signature = UserSignature::Simple(signature).to_base64();
        let params = json!([transaction.to_base64(), [signature], {}, "WaitForLocalExecution"]);
        self.ask("iota_executeTransactionBlock", &params);
    }

    /// Compares both books with the node, to the NANO: all that was ever executed there is in one
    /// of them, each payment once; nothing failed, and no two were ever sent on one coin.
    pub fn books_are_the_nodes(&self) {
        let books = ["seller", "buyer"].map(|side| self.audit(side));
        let mut named = BTreeSet::new();
        let mut has = [FIRST, FIRST].map(|first| i128::try_from(first).unwrap());
        let (mut moved, mut settled, mut back) = (0, 0, [0, 0]);
        for told in books.iter().flatten() {
            let of = |what: &str| told[what].as_array().unwrap().clone();
            for row in [of("settlements"), of("anchors")].concat() {
                let tx = row["tx"].as_str().unwrap_or_else(|| panic!("on no ledger: {row}"));
                if !tx.starts_with("0x") {
                    named.insert(tx.to_owned());
                }
            }
        }
        for tx in &named {
            let made = self.made(tx);
            let payer = KEYS.iter().position(|(side, _)| of(side).to_string() == made.from);
            let payer = payer.unwrap_or_else(|| panic!("{tx} is of neither"));
            has[payer] -= made.fee + made.pays;
            back[payer] += made.rebate;
            has[1 - payer] += made.pays;
            moved += made.pays;
        }
        for told in books[1].iter().filter(|told| told["currency"] == "IOTA") {
            settled += i128::try_from(amount(&told["settled"])).unwrap();
        }
        let tally = self.tally();
        let done = (tally.executed, tally.failed, tally.conflicts);
        assert_eq!(done, (named.len() as u64, 0, 0), "{named:?}");
        assert_eq!(moved, settled, "what moved was owed");
        for (((side, _), has), (told, back)) in KEYS.iter().zip(has).zip(books.iter().zip(back)) {
            assert_eq!(self.total(side), has, "{side}");
            assert_eq!(rebates(told), back, "{side}: what was given back");
        }
        for side in ["seller", "buyer"] {
            assert_eq!(self.unsettled(side), Vec::<Value>::new(), "{side} owes nothing more");
        }
    }

    /// What a side has in all, by the node's word.
    pub fn total(&self, side: &str) -> i128 {
        let found = self.ask("iotax_getBalance", &json!([of(side).to_string()]));
        found["totalBalance"].as_str().unwrap().parse().unwrap()
    }

    fn made(&self, tx: &str) -> Made {
        let wanted = json!({ "showInput": true, "showEffects": true });
        let told = self.ask("iota_getTransactionBlock", &json!([tx, wanted]));
        assert_eq!(told["effects"]["status"]["status"], "success", "{told}");
        let gas = |name: &str| -> i128 {
            told["effects"]["gasUsed"][name].as_str().unwrap().parse().unwrap()
        };
        let data = &told["transaction"]["data"];
        // The second input is what is split off for the payee: nothing where it is a record alone.
        let pays = number(&data["transaction"]["inputs"][1]["value"]);
        Made {
            from: data["sender"].as_str().unwrap().to_owned(),
            pays,
            fee: gas("computationCost") + gas("storageCost") - gas("storageRebate"),
            rebate: gas("storageRebate"),
        }
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer: Value = self.runtime.block_on(async {
            let request = reqwest::Client::new().post(self.double.url());
            let request = request.header("content-type", "application/json");
            let answer = request.body(question.to_string()).send().await.unwrap();
            serde_json::from_str(&answer.text().await.unwrap()).unwrap()
        });
        assert!(answer.get("error").is_none(), "{question}: {answer}");
        answer["result"].clone()
    }

    fn write_side(&self, side: &str, config: &str) {
        let key = format!("0x{}", secret(side));
        write_side(self.dir.path(), side, &key, &(self.shared(side) + config));
    }

    fn shared(&self, side: &str) -> String {
        let Plan { pays_in, method, records_on, batch, anchor, .. } = &self.plan;
        let method = (*pays_in == "ETH").then_some(*method);
        let records = match *records_on {
            "nowhere" => String::new(),
            name => format!(
                "[records]\nledger = \"{name}\"\nbatch = \"{batch}\"\nanchor = \"{anchor}\"\n"
            ),
        };
        format!(
            "[identity]\nkey = \"file:{side}.key\"\n[journal]\ndir = \"{side}-journal\"\n{records}{}{}",
            self.on_iota(),
            self.on_anvil("anvil", method)
        )
    }

    fn on_iota(&self) -> String {
        let Plan { pays_in, records_on, .. } = &self.plan;
        if *pays_in != "IOTA" && *records_on != "iota" {
            return String::new();
        }
        let currency = match *pays_in {
            "IOTA" => {
                "[currencies.IOTA]\nledger = \"iota\"\nasset = \"coin\"\ndecimals = 9\n\
                 methods = [\"transfer\"]\n"
            }
            _ => "",
        };
        format!(
            "[ledgers.iota]\nkind = \"iota\"\nchain = \"{}\"\nendpoint = \"{}\"\n\
             fee_ceiling = \"100000000\"\npoll_ms = 100\npatience_ms = 3000\n{currency}",
            self.double.chain_id(),
            self.double.url()
        )
    }

    fn seller_toml(&self) -> String {
        let Plan { pays_in, granularity, credit_windows, .. } = &self.plan;
        shop::seller_toml(pays_in, [*granularity, *credit_windows], 60_000)
    }

    fn buyer_toml(&self) -> String {
        let deposit = if self.plan.method == "escrow" { "deposit = \"5000\"\n" } else { "" };
        format!(
            "[buyer]\npatience_ms = 60000\n[[buyer.currencies]]\ncurrency = \"{}\"\n\
             max_total = \"1000000\"\n{deposit}",
            self.plan.pays_in
        )
    }
}

/// A transaction, by the node's word, in NANOS.
struct Made {
    from: String,
    pays: i128,
    fee: i128,
    rebate: i128,
}

/// What a side's statements say in all that it had given back, in NANOS.
fn rebates(told: &[Value]) -> i128 {
    let fees = told.iter().flat_map(|one| one["fees"].as_array().unwrap());
    fees.filter_map(|fee| fee.get("rebate")).map(number).sum()
}

fn secret(side: &str) -> &'static str {
    KEYS.iter().find(|(name, _)| *name == side).unwrap().1
}

/// The account that the network derives from a side's key.
fn of(side: &str) -> Address {
    Ed25519PublicKey::new(signing_key(side).verifying_key().to_bytes()).derive_address()
}

fn signing_key(side: &str) -> SigningKey {
    let secret: [u8; 32] = hex::decode(secret(side)).unwrap().try_into().unwrap();
    SigningKey::from_bytes(&secret)
}

/// A coin as a node lists it.
fn reference(coin: &Value) -> ObjectReference {
    let text = |name: &str| coin[name].as_str().unwrap();
    let version: u64 = text("version").parse().unwrap();
    let (id, digest) = (text("coinObjectId").parse(), text("digest").parse());
    ObjectReference::new(id.unwrap(), version.into(), digest.unwrap())
}

fn number(value: &Value) -> i128 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or_else(|_| panic!("{value} is no number"))
}
