//! A session under the chain's bond, what either side has of it on disk, and the real binary.

use crate::contract::Chain;
use crate::rig;
use sdpp::crypto::{SaltSecret, Wrapped, leaf, running_digest, salt};
use sdpp::journal::bonds::bond_reference;
use sdpp::journal::obligation::Event;
use sdpp::journal::{Journal, Write};
use sdpp::message::{
    Ack, Base64, Body, BondOffer, CurrencyOffer, Data, DataInvoice, Draft, EscrowChoice, Exit,
    Invoice, Menu, Moment, Order, OrderLimits, Path, Reason, SessionKey, terms,
};
use sdpp::record::{Act, End, Leaves, Owed, Record, SignedMessage};
use sdpp::terms::{Method, Purpose, Rate, Role, SessionId, Terms};
use sdpp_ledger::{Amount, BondAct, Bonding, Call, Digest, Key, keccak, merkle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The moment at which all was said.
const AT_MS: u64 = 1_767_225_600_000;

pub const SECRET: SaltSecret = SaltSecret(Digest([9; 32]));

/// The secrets of Anvil's first two accounts: the buyer's and the seller's on the chain.
const ACCOUNTS: [&str; 2] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
];

/// A session under the chain's bond, and what is in either side's folder.
pub struct Court {
    pub chain: Chain,
    dir: tempfile::TempDir,
    shown: Menu,
    menu: SignedMessage,
    order: SignedMessage,
    pub terms: Terms,
    /// Whatever both sign of messages has the other v.
    flips: bool,
}

fn offer(chain: &Chain) -> CurrencyOffer {
    let [buyer, seller, stake, fee] =
        [chain.bonds.buyer, chain.bonds.seller, chain.bonds.stake, chain.bonds.fee];
    CurrencyOffer {
        currency: "ETH".to_owned(),
        symbol: "ETH".to_owned(),
        decimals: 18,
        ledger: "eip155:31337".parse().unwrap(),
        asset: chain.bond.asset.clone(),
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

fn order(chain: &Chain, menu_digest: Digest, nonce: Digest) -> Order {
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
        nonce,
        escrow: Some(EscrowChoice { channel: chain.channel, base: Amount::new(3) }),
        resumes: false,
        bond: None,
    }
}

/// An order of a menu under the chain's bond, and what is agreed by it.
fn ordered(
    chain: &Chain,
    menu: &Menu,
    signed: &SignedMessage,
    nonce: Digest,
) -> (SignedMessage, Terms) {
    let order = order(chain, signed.data_digest, nonce).under(menu, chain.id);
    let (signed, _) = Draft::new(SessionId::NONE, &order).sign(&chain.buyers_key, "");
    let terms = terms(menu, &order, &signed.data_digest).unwrap();
    (signed, terms)
}

impl Court {
    pub async fn opens() -> Option<Court> {
        Some(Court::on(Chain::with_bond().await?, BTreeMap::new()))
    }

    /// Where the menu names a dataset.
    pub async fn opens_of(dataset: Digest) -> Option<Court> {
        let named = BTreeMap::from([("gas".to_owned(), dataset)]);
        Some(Court::on(Chain::with_bond().await?, named))
    }

    /// In a token.
    pub async fn opens_in_token() -> Option<Court> {
        Some(Court::on(Chain::with_bond_in_token().await?, BTreeMap::new()))
    }

    /// Where both sign with the v that the other side's session does not look at.
    pub async fn opens_with_other_vs() -> Option<Court> {
        Some(Court { flips: true, ..Court::opens().await? })
    }

    /// Where nobody has pledged yet.
    pub async fn without_bond() -> Option<Court> {
        Some(Court::on(Chain::with_channel().await?, BTreeMap::new()))
    }

    /// The same in a token.
    pub async fn without_bond_in_token() -> Option<Court> {
        Some(Court::on(Chain::with_channel_in_token().await?, BTreeMap::new()))
    }

    fn on(chain: Chain, datasets: BTreeMap<String, Digest>) -> Court {
        let menu = Menu { datasets, ..menu(&chain) };
        let (signed, _) = Draft::new(SessionId::NONE, &menu).sign(&chain.sellers_key, "");
        let (order, terms) = ordered(&chain, &menu, &signed, keccak(&[b"nonce"]));
        let dir = tempfile::tempdir().unwrap();
        let (shown, menu, flips) = (menu, signed, false);
        let court = Court { chain, dir, shown, menu, order, terms, flips };
        for (side, account) in ["buyer", "seller"].into_iter().zip(ACCOUNTS) {
            court.write_config(side, account);
        }
        court
    }

    /// Another session under the same bond.
    pub fn begins_again(&mut self) {
        let nonce = self.order.data_digest;
        (self.order, self.terms) = ordered(&self.chain, &self.shown, &self.menu, nonce);
    }

    /// What the seller's config says when it sells.
    pub fn seller_sells(&self) {
        let mut config = fs::read_to_string(self.path("seller.toml")).unwrap();
        let at = config.find("[buyer]").unwrap();
        config.truncate(at);
        fs::write(self.path("items"), "1\n2\n").unwrap();
        config += "[seller]\nlisten = \"127.0.0.1:0\"\noutage_s = 60\n\
                   [seller.bonds.ETH]\nbuyer = \"400\"\nseller = \"301\"\nstake = \"20\"\nfee = \"10\"\n\
                   [topics.gas]\nprice = \"7\"\nunits = \"\"\n\
                   source = { kind = \"file\", path = \"items\", format = \"lines\" }\n";
        fs::write(self.path("seller.toml"), config).unwrap();
    }

    pub fn write_config(&self, side: &str, account: &str) {
        let byte = match side {
            "buyer" => "01",
            "seller" => "02",
            _ => "03",
        };
        self.write_secret(&format!("{side}.key"), &byte.repeat(32));
        self.write_secret(&format!("{side}-account.key"), account);
        let (url, escrow, bonds) =
            (self.chain.anvil.url(), &self.chain.domain.contract, &self.chain.contract);
        let asset = &self.chain.bond.asset;
        let config = format!(
            "[identity]\nkey = \"file:{side}.key\"\n[journal]\ndir = \"{side}-journal\"\n\
             [ledgers.chain]\nkind = \"ethereum\"\nchain_id = 31337\nendpoints = [\"{url}\"]\n\
             escrow = \"{escrow}\"\nbonds = \"{bonds}\"\ndepth = 1\npoll_ms = 20\n\
             key = \"file:{side}-account.key\"\n\
             [currencies.ETH]\nledger = \"chain\"\nasset = \"{asset}\"\nsymbol = \"ETH\"\n\
             decimals = 18\nmethods = [\"escrow\"]\n\
             [buyer]\ncurrencies = [{{ currency = \"ETH\", max_total = \"1000\", deposit = \"1000\" }}]\n"
        );
        fs::write(self.path(&format!("{side}.toml")), config).unwrap();
    }

    /// What happens is final for a side nine hours later.
    pub async fn hears_late(&self, side: &str) {
        self.changes(side, "depth = 1", "depth = 10");
        self.chain.anvil.ask("anvil_mine", json!(["0x14", "0xe10"])).await;
    }

    /// Something else in a side's config.
    pub fn changes(&self, side: &str, from: &str, to: &str) {
        let path = self.path(&format!("{side}.toml"));
        let config = fs::read_to_string(&path).unwrap();
        assert!(config.contains(from), "{config}");
        fs::write(&path, config.replace(from, to)).unwrap();
    }

    fn write_secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn key(&self, role: Role) -> &Key {
        if role == Role::Seller { &self.chain.sellers_key } else { &self.chain.buyers_key }
    }

    pub fn sign<T: Body>(&self, by: Role, body: &T) -> SignedMessage {
        self.flipped(Draft::new(self.terms.session, body).sign(self.key(by), "").0)
    }

    fn flipped(&self, mut message: SignedMessage) -> SignedMessage {
        let v = &mut message.signature.0[64];
        *v = if self.flips { 27 + 28 - *v } else { *v };
        message
    }

    pub fn leaves(&self) -> Vec<Digest> {
        let leaf = |seq| leaf(&self.terms.session, seq, &salt(&SECRET, seq), &[seq as u8]);
        (1..=5).map(leaf).collect()
    }

    /// An item that does not end its window.
    fn item(&self, seq: u64) -> SignedMessage {
        let leaf = self.leaves()[seq as usize - 1];
        self.sign(Role::Seller, &Data { seq, body: Base64(vec![1, 2, 3]), leaf, path: None })
    }

    /// The invoice of the first window, with the last item in it.
    pub fn invoice(&self, root: Digest) -> SignedMessage {
        self.invoice_over(&self.leaves(), root, None)
    }

    /// The same over other leaves, with that item's way up in its dataset.
    pub fn invoice_over(
        &self,
        leaves: &[Digest],
        root: Digest,
        path: Option<Path>,
    ) -> SignedMessage {
        let amount = Amount::new(35);
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
            &DataInvoice { seq: 5, body, leaf, path, invoice, anchored: vec![] },
        )
    }

    /// What a side has on disk when the session is over.
    pub fn remembers(&self, role: Role, records: Vec<Record>) {
        let peer = if role == Role::Seller { Role::Buyer } else { Role::Seller };
        let peer = self.key(peer).public();
        let signed = |message: &SignedMessage| Box::new(self.flipped(message.clone()));
        let (menu, order) = (signed(&self.menu), signed(&self.order));
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

    /// What a side has on disk that is no session's.
    pub fn knows(&self, role: Role, record: Record) {
        self.writes(role, Write::Append { session: None, record: Box::new(record) });
    }

    fn writes(&self, role: Role, write: Write) {
        let dir = self.path(&format!("{role}-journal"));
        let mut journal = Journal::open(&dir, self.key(role).public()).unwrap();
        journal.commit(AT_MS, vec![write]).unwrap().remove(0).unwrap();
    }

    /// What a side did first about the bond, so often, and its ledger refused.
    pub fn was_refused(&self, role: Role, times: u64, act: &BondAct) {
        (1..=times).for_each(|time| self.was_refused_at(role, time, act.clone()));
    }

    fn was_refused_at(&self, role: Role, time: u64, act: BondAct) {
        let (bond, reference) = (self.chain.id, bond_reference(&self.chain.id, time));
        let call = Call::Bond(Box::new(Bonding { bond: self.chain.bond.clone(), act }));
        let (purpose, ledger) = (Purpose::Bond, "eip155:31337".parse().unwrap());
        let owed = Owed { reference, purpose, ledger, act: Act::Do(call), held: false };
        self.knows(role, Record::Bonding { bond, owed });
        let event = Event::Refused { why: "it was there before something else".to_owned() };
        self.writes(role, Write::Obligation { reference, event });
    }

    /// The buyer was sent items, and an invoice that is not for them.
    pub fn seller_cheats(&self) {
        let mut leaves = self.leaves();
        leaves[2] = leaf(&self.terms.session, 3, &salt(&SECRET, 3), b"another reading");
        let mut evidence = vec![self.invoice(merkle::root(&leaves))];
        evidence.extend((1..5).map(|seq| self.item(seq)));
        let why = "the invoice is not for these items".to_owned();
        self.remembers(Role::Buyer, vec![ended(End::Misconduct, why, evidence)]);
    }

    /// The buyer's word that so many items have come.
    pub fn ack(&self, seq: u64) -> Record {
        let leaves = self.leaves();
        let digest = leaves[..seq as usize]
            .iter()
            .fold(self.terms.session.0, |so_far, leaf| running_digest(&so_far, leaf));
        Record::Ack { message: self.sign(Role::Buyer, &Ack { seq, digest, voucher: None }) }
    }

    /// The seller's buyer has acknowledged a whole window, and is gone.
    pub fn buyer_is_gone(&self) {
        self.buyer_is_gone_after(5, Vec::new());
    }

    /// The same after so many items of it, with what else the seller knows.
    pub fn buyer_is_gone_after(&self, seq: u64, more: Vec<Record>) {
        let leaves = self.leaves();
        let digest =
            leaves.iter().fold(self.terms.session.0, |so_far, leaf| running_digest(&so_far, leaf));
        let message = self.invoice(merkle::root(&leaves));
        let (from_seq, to_seq, leaves) = (1, 5, Leaves::of(leaves));
        let mut records = vec![
            Record::Invoice { message, from_seq, to_seq, digest, leaves, owed: None },
            self.ack(seq),
        ];
        records.extend(more);
        records.push(broken());
        self.remembers(Role::Seller, records);
    }

    /// The buyer's line broke before it paid. What it acknowledged it sent, and kept nowhere.
    pub fn buyer_is_cut_off(&self) {
        self.remembers(Role::Buyer, vec![broken()]);
    }

    /// The buyer was sent two items with one number.
    pub fn seller_signs_twice(&self) {
        let leaf = leaf(&self.terms.session, 3, &salt(&SECRET, 3), b"another reading");
        let other = Data { seq: 3, body: Base64(vec![1, 2, 3]), leaf, path: None };
        let evidence = vec![self.item(3), self.sign(Role::Seller, &other)];
        let why = "two items have one number".to_owned();
        self.remembers(Role::Buyer, vec![ended(End::Misconduct, why, evidence)]);
    }

    /// The seller has said that all is paid.
    pub fn exit(&self) -> SignedMessage {
        let paid = Amount::new(35);
        let exit = Exit {
            reason: Reason::Stopped,
            items: 5,
            amount_total: paid,
            paid_total: paid,
            anchored: Vec::new(),
            channel: None,
            legs: Vec::new(),
            bonded: true,
        };
        self.sign(Role::Seller, &exit)
    }

    /// The buyer has it.
    pub fn buyer_has_a_receipt(&self) {
        let exit = Record::Exit { by: Role::Seller, message: self.exit(), owed: None };
        self.remembers(Role::Buyer, vec![exit, broken()]);
    }

    pub fn seller_remembers_what_it_invoiced(&self) {
        let mut leaves = self.leaves();
        leaves[2] = leaf(&self.terms.session, 3, &salt(&SECRET, 3), b"another reading");
        let message = self.invoice(merkle::root(&leaves));
        let (digest, leaves) = (self.terms.session.0, Leaves::of(leaves));
        let invoice =
            Record::Invoice { message, from_seq: 1, to_seq: 5, digest, leaves, owed: None };
        self.remembers(Role::Seller, vec![invoice, broken()]);
    }

    pub fn command(&self, side: &str, verb: &[&str]) -> Command {
        let mut command = self.bare(verb);
        command.args(["--config", &format!("{side}.toml")]);
        command
    }

    /// A command without a config.
    pub fn bare(&self, verb: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sdpp"));
        command.args(verb);
        command.current_dir(self.dir.path()).env_remove("SDPP_LOG").env("NO_COLOR", "1");
        command.stdin(Stdio::null());
        command
    }

    /// A command in its own time: the chain makes no block while nobody asks it to.
    pub async fn run(&self, mut command: Command) -> Output {
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    pub async fn settle(&self, side: &str) -> Value {
        told(&self.settles(side, &[]).await)["bond"].clone()
    }

    pub async fn settles(&self, side: &str, more: &[&str]) -> Output {
        let session = self.terms.session.to_string();
        let verb = [&["dispute", "settle", &session, "--json"], more].concat();
        self.run(self.command(side, &verb)).await
    }

    /// Waits until some contract has told of something.
    pub async fn tells(&self, topic: &str) -> Result<(), tokio::time::error::Elapsed> {
        let filter = json!([{ "fromBlock": "0x0", "topics": [topic] }]);
        let ask = async || {
            let told = self.chain.anvil.ask("eth_getLogs", filter.clone()).await;
            (!told.as_array().unwrap().is_empty()).then_some(())
        };
        tokio::time::timeout(rig::PATIENCE, rig::until("it is told", ask)).await
    }

    /// All that contracts have told of one event, the oldest first.
    pub async fn events(&self, event: &str) -> Vec<Value> {
        let topic = keccak(&[event.as_bytes()]).to_string();
        let filter = json!([{ "fromBlock": "0x0", "topics": [topic] }]);
        let told = self.chain.anvil.ask("eth_getLogs", filter).await;
        told.as_array().unwrap().clone()
    }

    /// What the contract of the bonds holds, in wei.
    pub async fn held(&self) -> u128 {
        self.chain.held().await
    }
}

pub fn broken() -> Record {
    ended(End::Broken, "the line broke".to_owned(), Vec::new())
}

pub fn ended(end: End, why: String, evidence: Vec<SignedMessage>) -> Record {
    Record::Ended { end, why, evidence, owed: None }
}

#[track_caller]
pub fn told(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {errors}"))
}

/// That a command failed, and said so of it.
#[track_caller]
pub fn refused(output: &Output, why: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(errors.contains(why), "{errors}");
}

pub fn acts(bond: &Value) -> Vec<&str> {
    bond["steps"].as_array().unwrap().iter().map(|step| step["act"].as_str().unwrap()).collect()
}

/// A channel of the escrow was opened.
pub const CHANNEL_OPENED: &str =
    "ChannelOpened(bytes32,address,address,address,address,bytes32,uint256)";
