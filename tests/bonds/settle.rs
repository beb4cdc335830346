//! `sdpp dispute settle` under a bond, with the real binary: what a session's two sides signed becomes a
//! complaint, and with the second command the bonds are where they belong.

use crate::contract::{Chain, DAY};
use crate::rig;
use sdpp::crypto::{SaltSecret, Wrapped, leaf, running_digest, salt};
use sdpp::journal::{Journal, Write};
use sdpp::message::{
    Ack, Base64, Body, BondOffer, CurrencyOffer, Data, DataInvoice, Draft, EscrowChoice, Invoice,
    Menu, Moment, Order, OrderLimits, SessionKey, terms,
};
use sdpp::record::{End, Leaves, Record, SignedMessage};
use sdpp::terms::{Method, Purpose, Rate, Role, SessionId, Terms};
use sdpp_ledger::{Amount, Asset, Digest, Key, keccak, merkle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The moment at which all was said.
const AT_MS: u64 = 1_767_225_600_000;

const SECRET: SaltSecret = SaltSecret(Digest([9; 32]));

/// The secrets of Anvil's first two accounts: the buyer's and the seller's on the chain.
const ACCOUNTS: [&str; 2] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
];

/// A session under the chain's bond, and what is in either side's folder.
struct Court {
    chain: Chain,
    dir: tempfile::TempDir,
    menu: SignedMessage,
    order: SignedMessage,
    terms: Terms,
}

fn offer(chain: &Chain) -> CurrencyOffer {
    let [buyer, seller, stake, fee] =
        [chain.bonds.buyer, chain.bonds.seller, chain.bonds.stake, chain.bonds.fee];
    CurrencyOffer {
        currency: "ETH".to_owned(),
        symbol: "ETH".to_owned(),
        decimals: 18,
        ledger: "eip155:31337".parse().unwrap(),
        asset: Asset::coin(),
        method: Method::Escrow,
        payment_address: rig::account(1),
        rate: Rate::ONE,
        quote: None,
        finality: "final".to_owned(),
        limits: OrderLimits::default(),
        bond: Some(BondOffer { buyer, seller, stake, fee }),
    }
}

fn menu(chain: &Chain) -> Menu {
    Menu {
        versions: vec!["SDPP/1".to_owned()],
        encodings: vec!["json".to_owned()],
        public_key: chain.sellers_key.public(),
        challenge: Digest::ZERO,
        available_data: BTreeMap::from([("gas".to_owned(), Some(100))]),
        datasets: BTreeMap::new(),
        prices: BTreeMap::from([("gas".to_owned(), Amount::new(7))]),
        special_prices: Vec::new(),
        prices_by_buyer: false,
        unknown_by_escrow: false,
        units: BTreeMap::new(),
        default_currency: "ETH".to_owned(),
        currencies_accepted: vec![offer(chain)],
        payment_granularity: 5,
        credit_windows: 2,
        payments_together: false,
        payment_address: rig::account(1),
        signature_required: true,
        records: None,
        resume_ms: None,
        expires_at: Moment(AT_MS),
    }
}

fn order(chain: &Chain, menu_digest: Digest) -> Order {
    Order {
        version: "SDPP/1".to_owned(),
        encoding: "json".to_owned(),
        data_type: "gas".to_owned(),
        order_quantity: Some(100),
        price: None,
        currency_type: "ETH".to_owned(),
        method: Method::Escrow,
        address: rig::account(0),
        public_key_signature: chain.buyers_key.public(),
        public_key_encryption: Key::from_bytes(&[4; 32]).unwrap().public(),
        menu_digest,
        nonce: keccak(&[b"nonce"]),
        escrow: Some(EscrowChoice { channel: chain.channel, base: Amount::new(3) }),
        resumes: false,
        bond: None,
    }
}

impl Court {
    async fn opens() -> Option<Court> {
        let chain = Chain::with_bond().await?;
        let menu = menu(&chain);
        let (signed_menu, _) = Draft::new(SessionId::NONE, &menu).sign(&chain.sellers_key, "");
        let order = order(&chain, signed_menu.data_digest).under(&menu, chain.id);
        let (signed, _) = Draft::new(SessionId::NONE, &order).sign(&chain.buyers_key, "");
        let terms = terms(&menu, &order, &signed.data_digest).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let court = Court { chain, dir, menu: signed_menu, order: signed, terms };
        for (side, account) in ["buyer", "seller"].into_iter().zip(ACCOUNTS) {
            court.write_config(side, account);
        }
        Some(court)
    }

    fn write_config(&self, side: &str, account: &str) {
        let byte = if side == "buyer" { "01" } else { "02" };
        self.write_secret(&format!("{side}.key"), &byte.repeat(32));
        self.write_secret(&format!("{side}-account.key"), account);
        let (url, escrow, bonds) =
            (self.chain.anvil.url(), &self.chain.domain.contract, &self.chain.contract);
        let config = format!(
            "[identity]\nkey = \"file:{side}.key\"\n[journal]\ndir = \"{side}-journal\"\n\
             [ledgers.chain]\nkind = \"ethereum\"\nchain_id = 31337\nendpoints = [\"{url}\"]\n\
             escrow = \"{escrow}\"\nbonds = \"{bonds}\"\ndepth = 1\npoll_ms = 20\n\
             key = \"file:{side}-account.key\"\n\
             [currencies.ETH]\nledger = \"chain\"\nasset = \"coin\"\nsymbol = \"ETH\"\n\
             decimals = 18\nmethods = [\"escrow\"]\n\
             [buyer]\ncurrencies = [{{ currency = \"ETH\", max_total = \"1000\", deposit = \"1000\" }}]\n"
        );
        fs::write(self.path(&format!("{side}.toml")), config).unwrap();
    }

    fn write_secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn key(&self, role: Role) -> &Key {
        if role == Role::Seller { &self.chain.sellers_key } else { &self.chain.buyers_key }
    }

    fn sign<T: Body>(&self, by: Role, body: &T) -> SignedMessage {
        Draft::new(self.terms.session, body).sign(self.key(by), "").0
    }

    fn leaves(&self) -> Vec<Digest> {
        let leaf = |seq| leaf(&self.terms.session, seq, &salt(&SECRET, seq), &[seq as u8]);
        (1..=5).map(leaf).collect()
    }

    /// An item that does not end its window.
    fn item(&self, seq: u64) -> SignedMessage {
        let leaf = self.leaves()[seq as usize - 1];
        self.sign(Role::Seller, &Data { seq, body: Base64(vec![1, 2, 3]), leaf, path: None })
    }

    /// The invoice of the first window, with the last item in it.
    fn invoice(&self, root: Digest) -> SignedMessage {
        let amount = Amount::new(35);
        let leaves = self.leaves();
        let digest =
            leaves.iter().fold(self.terms.session.0, |so_far, leaf| running_digest(&so_far, leaf));
        let invoice = Invoice {
            number: 1,
            from: 1,
            to: 5,
            amount,
            amount_total: amount,
            paid_total: Amount::ZERO,
            currency: "ETH".to_owned(),
            payment_address: rig::account(1),
            digest,
            root,
            reference: self.terms.session.reference(Purpose::Payment, 1),
            due_at: Moment(AT_MS),
            rate: None,
            pace: None,
        };
        let (body, leaf) = (Some(Base64(vec![1, 2, 3])), Some(leaves[4]));
        self.sign(
            Role::Seller,
            &DataInvoice { seq: 5, body, leaf, path: None, invoice, anchored: vec![] },
        )
    }

    /// What a side has on disk when the session is over.
    fn remembers(&self, role: Role, records: Vec<Record>) {
        let peer = if role == Role::Seller { Role::Buyer } else { Role::Seller };
        let peer = self.key(peer).public();
        let (menu, order) = (Box::new(self.menu.clone()), Box::new(self.order.clone()));
        let wrapped = Wrapped {
            ephemeral: Key::from_bytes(&[5; 32]).unwrap().public(),
            nonce: [0; 12],
            sealed: [0; 48],
        };
        let key = self.sign(Role::Seller, &SessionKey::first(&wrapped).under(&self.terms));
        let key = (role == Role::Buyer).then(|| Box::new(key));
        let mut all = vec![
            Record::Order { role, peer, menu, order, owed: None },
            Record::Epoch { key, epoch: 0, salt_secret: SECRET },
        ];
        all.extend(records);
        let dir = self.path(&format!("{role}-journal"));
        let mut journal = Journal::open(&dir, self.key(role).public()).unwrap();
        for record in all {
            let session = Some(self.terms.session);
            let write = Write::Append { session, record: Box::new(record) };
            journal.commit(AT_MS, vec![write]).unwrap().remove(0).unwrap();
        }
    }

    /// The buyer was sent items, and an invoice that is not for them.
    fn seller_cheats(&self) {
        let mut leaves = self.leaves();
        leaves[2] = leaf(&self.terms.session, 3, &salt(&SECRET, 3), b"another reading");
        let mut evidence = vec![self.invoice(merkle::root(&leaves))];
        evidence.extend((1..5).map(|seq| self.item(seq)));
        let why = "the invoice is not for these items".to_owned();
        self.remembers(Role::Buyer, vec![ended(End::Misconduct, why, evidence)]);
    }

    /// The seller's buyer has acknowledged a whole window, and is gone.
    fn buyer_is_gone(&self) {
        let leaves = self.leaves();
        let digest =
            leaves.iter().fold(self.terms.session.0, |so_far, leaf| running_digest(&so_far, leaf));
        let ack = self.sign(Role::Buyer, &Ack { seq: 5, digest, voucher: None });
        let message = self.invoice(merkle::root(&leaves));
        let (from_seq, to_seq, leaves) = (1, 5, Leaves::of(leaves));
        let mut records = vec![
            Record::Invoice { message, from_seq, to_seq, digest, leaves, owed: None },
            Record::Ack { message: ack },
        ];
        records.push(ended(End::Broken, "the line broke".to_owned(), Vec::new()));
        self.remembers(Role::Seller, records);
    }

    fn seller_remembers_what_it_invoiced(&self) {
        let mut leaves = self.leaves();
        leaves[2] = leaf(&self.terms.session, 3, &salt(&SECRET, 3), b"another reading");
        let message = self.invoice(merkle::root(&leaves));
        let (digest, leaves) = (self.terms.session.0, Leaves::of(leaves));
        let invoice =
            Record::Invoice { message, from_seq: 1, to_seq: 5, digest, leaves, owed: None };
        let broken = ended(End::Broken, "the line broke".to_owned(), Vec::new());
        self.remembers(Role::Seller, vec![invoice, broken]);
    }

    fn command(&self, side: &str, verb: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sdpp"));
        command.args(verb).args(["--config", &format!("{side}.toml")]);
        command.current_dir(self.dir.path()).env_remove("SDPP_LOG").env("NO_COLOR", "1");
        command.stdin(Stdio::null());
        command
    }

    /// A command in its own time: the chain makes no block while nobody asks it to.
    async fn run(&self, mut command: Command) -> Output {
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn settle(&self, side: &str) -> Value {
        let session = self.terms.session.to_string();
        let output = self.run(self.command(side, &["dispute", "settle", &session, "--json"])).await;
        told(&output)["bond"].clone()
    }

    /// What the contract of the bonds holds, in wei.
    async fn held(&self) -> u128 {
        let answer =
            self.chain.anvil.ask("eth_getBalance", json!([self.chain.contract, "latest"])).await;
        u128::from_str_radix(&answer.as_str().unwrap()[2..], 16).unwrap()
    }
}

fn ended(end: End, why: String, evidence: Vec<SignedMessage>) -> Record {
    Record::Ended { end, why, evidence, owed: None }
}

#[track_caller]
fn told(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {errors}"))
}

fn acts(bond: &Value) -> Vec<&str> {
    bond["steps"].as_array().unwrap().iter().map(|step| step["act"].as_str().unwrap()).collect()
}

/// Half of a lost bond is burnt, and stays in the contract beside the other side's.
fn left(other: Amount, lost: Amount) -> u128 {
    other.units() + lost.units() / 2
}

#[tokio::test]
async fn the_seller_signs_one_reading_and_invoices_another() {
    let Some(court) = Court::opens().await else { return };
    court.seller_cheats();
    let first = court.settle("buyer").await;
    assert_eq!(acts(&first), ["challenge_root"], "{first}");
    assert!(first["until_ms"].as_u64().is_some(), "{first}");
    let again = court.settle("buyer").await;
    assert_eq!(acts(&again), [""; 0], "typed twice it complains once: {again}");
    court.chain.pass(DAY).await;
    let last = court.settle("buyer").await;
    assert_eq!(acts(&last), ["conclude_challenge", "withdraw"], "{last}");
    assert_eq!(last["of_seller"], "0");
    assert_eq!(court.chain.credits().await, [0, 0]);
    let bonds = &court.chain.bonds;
    assert_eq!(court.held().await, left(bonds.buyer, bonds.seller));
    assert_eq!(acts(&court.settle("buyer").await), [""; 0]);
}

#[tokio::test]
async fn the_buyer_acknowledges_is_asked_in_public_and_stays_silent() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    let first = court.settle("seller").await;
    assert_eq!(acts(&first), ["demand"], "{first}");
    assert_eq!(acts(&court.settle("seller").await), [""; 0]);
    court.chain.pass(DAY).await;
    let last = court.settle("seller").await;
    assert_eq!(acts(&last), ["conclude_demand", "withdraw"], "{last}");
    assert_eq!(last["of_buyer"], "0");
    let bonds = &court.chain.bonds;
    assert_eq!(court.held().await, left(bonds.seller, bonds.buyer));
}

/// A root has no leaves that the buyer could point at: it asks for one item after the other, and the
/// seller shows those that are there.
#[tokio::test]
async fn a_seller_shows_what_it_can_and_loses_its_bond_to_the_rest() {
    let Some(court) = Court::opens().await else { return };
    court.seller_cheats();
    court.seller_remembers_what_it_invoiced();
    for _ in 0..2 {
        let asked = court.settle("buyer").await;
        assert_eq!(acts(&asked), ["challenge_root"], "{asked}");
        let shown = court.settle("seller").await;
        assert_eq!(acts(&shown), ["show", "withdraw"], "{shown}");
    }
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_root"]);
    assert_eq!(acts(&court.settle("seller").await), [""; 0], "the third is another reading");
    court.chain.pass(DAY).await;
    let last = court.settle("buyer").await;
    assert_eq!(acts(&last), ["conclude_challenge", "withdraw"], "{last}");
}

/// The seller has the voucher from the contract's event alone, and redeems it.
#[tokio::test]
async fn a_buyer_that_is_asked_pays_and_keeps_its_bond() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    let (channel, amount) = (court.chain.channel, Amount::new(73));
    let broken = ended(End::Broken, "the line broke".to_owned(), Vec::new());
    court.remembers(Role::Buyer, vec![Record::Ceiling { channel, amount }, broken]);
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    let paid = court.settle("buyer").await;
    assert_eq!(acts(&paid), ["pay"], "{paid}");
    let bonds = &court.chain.bonds;
    let rest = bonds.buyer.saturating_sub(bonds.fee);
    assert_eq!(paid["of_buyer"], rest.to_string(), "it pays the fee, and nothing else");
    let had = court.settle("seller").await;
    assert_eq!(acts(&had), ["redeem", "withdraw"], "{had}");
    assert_eq!(acts(&court.settle("seller").await), [""; 0]);
}

/// Nobody was there when it was complained of: a seller that is started again answers by itself.
#[tokio::test]
async fn a_seller_that_was_down_answers_when_it_sells_again() {
    let Some(court) = Court::opens().await else { return };
    court.seller_cheats();
    court.seller_remembers_what_it_invoiced();
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_root"]);
    let mut config = fs::read_to_string(court.path("seller.toml")).unwrap();
    let at = config.find("[buyer]").unwrap();
    config.truncate(at);
    fs::write(court.path("items"), "1\n2\n").unwrap();
    config += "[seller]\nlisten = \"127.0.0.1:0\"\noutage_s = 60\n\
               [seller.bonds.ETH]\nbuyer = \"400\"\nseller = \"301\"\nstake = \"20\"\nfee = \"10\"\n\
               [topics.gas]\nprice = \"7\"\nunits = \"\"\n\
               source = { kind = \"file\", path = \"items\", format = \"lines\" }\n";
    fs::write(court.path("seller.toml"), config).unwrap();
    let mut sell = court.command("seller", &["sell"]);
    let mut seller = sell.stdout(Stdio::null()).spawn().unwrap();
    let shown = keccak(&[b"Shown(bytes32)"]).to_string();
    let filter = json!([{ "fromBlock": "0x0", "topics": [shown] }]);
    let ask = async || {
        let told = court.chain.anvil.ask("eth_getLogs", filter.clone()).await;
        (!told.as_array().unwrap().is_empty()).then_some(())
    };
    let answered = tokio::time::timeout(rig::PATIENCE, rig::until("it is shown", ask)).await;
    let (kept, _) = (seller.kill(), seller.wait());
    kept.unwrap();
    answered.unwrap();
}

/// Wherever it is killed, the same command goes on: there is one demand, and one stake.
#[tokio::test]
async fn a_command_that_is_killed_goes_on_when_it_is_typed_again() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    let session = court.terms.session.to_string();
    let held = court.held().await;
    let mut write = 0;
    loop {
        write += 1;
        let mut command = court.command("seller", &["dispute", "settle", &session, "--json"]);
        command.env("SDPP_DIES_AT", format!("{write}:synced"));
        let output = court.run(command).await;
        if output.status.signal().is_none() {
            let told = told(&output);
            assert!(told["bond"]["until_ms"].as_u64().is_some(), "{told}");
            break;
        }
        assert!(write < 40, "it never ends");
    }
    assert!(write > 2, "it died on its way");
    assert_eq!(court.held().await, held + court.chain.stake());
    let told = court.chain.anvil.ask(
        "eth_getLogs",
        json!([{
            "fromBlock": "0x0", "address": court.chain.contract,
            "topics": [keccak(&[DEMANDED]).to_string()],
        }]),
    );
    assert_eq!(told.await.as_array().unwrap().len(), 1);
}

const DEMANDED: &[u8] = b"Demanded(bytes32,(bytes32,uint128,uint128,uint128,uint128),uint256)";
