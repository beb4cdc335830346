//! The contract of the bonds on an Anvil of a test's own, called as anybody could: words of 32 bytes
//! behind a selector. Account 0 buys, account 1 sells; both sign with keys of their own.

use crate::rig::{self, Anvil, CHAIN_ID};
use sdpp::bond::{BondTerms, Bonds};
use sdpp::crypto::dataset_leaf;
use sdpp::crypto::layout::{Layout, MessageKind};
use sdpp::terms::{Rate, SessionId};
use sdpp_ledger::{
    Account, Amount, Asset, Bond, BondId, ChannelId, Digest, Domain, Key, Signature, Voucher,
    keccak, merkle::Proof,
};
use serde_json::{Value, json};

const BONDS: &str = include_str!("../../contracts/ethereum/SdppBonds.json");

/// What the channel holds.
pub const DEPOSIT: u128 = 1_000;
/// The contract's period.
pub const DAY: u64 = 86_400;

const BOND: &str = "(address,address,address,address,address,bytes32,uint88,uint88,uint88,uint88,\
                    bytes32)";
const SESSION: &str = "(bytes32,bytes32,uint128,uint128,uint128,uint128,uint32,uint32,bytes32)";
const WORD: &str = "(bytes32,bytes32,bytes32,bytes32,uint8)";
const DEMAND: &str = "(bytes32,uint128,uint128,uint128,uint128)";

/// Words of the ABI.
pub type Words = Vec<[u8; 32]>;

pub fn number(number: u128) -> [u8; 32] {
    let mut word = [0; 32];
    word[16..].copy_from_slice(&number.to_be_bytes());
    word
}

fn selector(function: &str) -> String {
    let (item, invoice) =
        (format!("(uint64,bytes32,{WORD})"), format!("(uint64,bytes32,uint128,{WORD})"));
    let arguments = match function {
        "pledge" | "bondId" | "concludeChallenge" | "retract" | "requestEnd" => BOND.to_owned(),
        "termsOf" => format!("bytes32,{SESSION}"),
        "release" => format!("{BOND},bool,{WORD}"),
        "convictOfItems" => format!("{BOND},{SESSION},{WORD},{item},{item}"),
        "convictOfInvoices" => format!("{BOND},{SESSION},{WORD},{invoice},{invoice}"),
        "challengeRoot" => format!("{BOND},{SESSION},{WORD},{item},{invoice}"),
        "challengeItem" => format!("{BOND},{SESSION},{WORD},{item},bytes32,bytes32"),
        "show" => format!("{BOND},(bytes32,bytes32,uint32,uint32),uint32,uint32,bytes32[]"),
        "challengeInvoiced" => {
            let opened = "(uint64,bytes32,bytes32,uint32)";
            format!("{BOND},{SESSION},{WORD},{invoice},{opened},bytes32[]")
        }
        "demand" => {
            format!("{BOND},{SESSION},{WORD},(uint8,uint64,bytes32,uint128,{WORD}),{invoice}")
        }
        "pay" => format!("{BOND},{DEMAND},uint128,bytes,uint256"),
        "refuteByExit" => format!("{BOND},{DEMAND},(uint128,uint128,{WORD})"),
        "refuteByItem" => format!("{BOND},{DEMAND},{item}"),
        "refuteByInvoice" => format!("{BOND},{DEMAND},{invoice}"),
        "concludeDemand" => format!("{BOND},{DEMAND}"),
        "credited" => "address,address".to_owned(),
        "open" => "address,address,uint128,bytes32,address".to_owned(),
        "approve" | "transfer" => "address,uint256".to_owned(),
        "settle" | "close" => "bytes32,uint128,bytes".to_owned(),
        "requestClose" => "bytes32".to_owned(),
        other => panic!("no function {other}"),
    };
    hex::encode(&keccak(&[format!("{function}({arguments})").as_bytes()]).0[..4])
}

/// A chain with an escrow, a channel, and a bond that both have pledged.
pub struct Chain {
    pub anvil: Anvil,
    pub domain: Domain,
    pub contract: String,
    pub channel: ChannelId,
    pub buyers_key: Key,
    pub sellers_key: Key,
    pub bond: Bond,
    pub id: BondId,
    pub bonds: Bonds,
    pub terms: BondTerms,
    menu: Digest,
    order: Digest,
    pub session: SessionId,
}

fn address(account: &Account) -> [u8; 20] {
    let mut bytes = [0; 20];
    hex::decode_to_slice(&account.as_str()[2..], &mut bytes).unwrap();
    bytes
}

fn padded(bytes: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    word[32 - bytes.len()..].copy_from_slice(bytes);
    word
}

impl Chain {
    /// `None`, said aloud, where there is no Anvil.
    pub async fn with_bond() -> Option<Chain> {
        let chain = Chain::with_channel().await?;
        let pledged = [chain.bond()];
        chain.buyer("pledge", &pledged, chain.bonds.buyer.units()).await.unwrap();
        chain.seller("pledge", &pledged, chain.bonds.seller.units()).await.unwrap();
        Some(chain)
    }

    /// The same in a token, which asks for leave.
    pub async fn with_bond_in_token() -> Option<Chain> {
        let chain = Chain::with_channel_in_token().await?;
        let (token, bonds) = (chain.bond.asset.as_str(), chain.contract.parse().unwrap());
        for pledges in [rig::account(0), rig::account(1)] {
            let leave = vec![padded(&address(&bonds)), number(DEPOSIT)];
            chain.call(pledges.as_str(), token, "approve", &[leave], 0).await.unwrap();
            chain
                .call(pledges.as_str(), &chain.contract, "pledge", &[chain.bond()], 0)
                .await
                .unwrap();
        }
        Some(chain)
    }

    /// The same before anybody has pledged, or given leave.
    pub async fn with_channel_in_token() -> Option<Chain> {
        let chain = Chain::with_channel_in(true).await?;
        let (token, payee) = (chain.bond.asset.as_str(), &chain.bond.seller);
        let given = vec![padded(&address(payee)), number(DEPOSIT)];
        chain.call(rig::account(0).as_str(), token, "transfer", &[given], 0).await.unwrap();
        Some(chain)
    }

    /// The same before anybody has pledged.
    pub async fn with_channel() -> Option<Chain> {
        Chain::with_channel_in(false).await
    }

    async fn with_channel_in(is_token: bool) -> Option<Chain> {
        let anvil = Anvil::start(&[]).await?;
        let settings = rig::with_escrow(&anvil, 1).await;
        let (asset, token, value) = match is_token {
            true => {
                let asset = rig::with_token(&anvil, &settings).await;
                let token = padded(&address(&asset.as_str().parse().unwrap()));
                (asset, token, 0)
            }
            false => (Asset::coin(), number(0), DEPOSIT),
        };
        let escrow = settings.escrow.unwrap();
        let artifact: Value = serde_json::from_str(BONDS).unwrap();
        let arguments = [padded(&address(&escrow)), number(DAY.into())].concat();
        let code = format!("{}{}", artifact["bytecode"].as_str().unwrap(), hex::encode(arguments));
        let made = send(&anvil, rig::account(3).as_str(), None, &code, 0).await.unwrap();
        let contract = made["contractAddress"].as_str().unwrap().to_owned();
        let (buyers_key, sellers_key) = (key(1), key(2));
        let (payer, payee) = (rig::account(0), rig::account(1));
        let open: Words = vec![
            padded(&address(&payee)),
            token,
            number(DEPOSIT),
            [9; 32],
            padded(&address(&buyers_key.public().account())),
        ];
        let data = format!("0x{}{}", selector("open"), hex::encode(open.concat()));
        let (from, to) = (rig::account(0), Some(escrow.as_str()));
        let opened = send(&anvil, from.as_str(), to, &data, value).await.unwrap();
        let told = opened["logs"].as_array().unwrap().last().unwrap();
        let channel: ChannelId = told["topics"][1].as_str().unwrap().parse().unwrap();
        let [buyer, seller, stake, fee, least_debt] = [400, 301, 20, 10, 1].map(Amount::new);
        let bonds = Bonds { buyer, seller, stake, fee, least_debt };
        let bond = Bond {
            buyer: payer,
            seller: payee,
            buyer_key: buyers_key.public().account(),
            seller_key: sellers_key.public().account(),
            asset,
            channel,
            buyer_amount: buyer,
            seller_amount: seller,
            stake,
            fee,
            salt: Digest([5; 32]),
        };
        let of_bonds = Domain { chain_id: CHAIN_ID, contract: contract.parse().unwrap() };
        let id = bond.id(&of_bonds);
        let item = |seq: u64| keccak(&[format!("{{\"ppm\":{seq}}}").as_bytes()]);
        let rows: Vec<_> = (1..=5).map(|seq| dataset_leaf(&item(seq))).collect();
        let terms = BondTerms {
            bond: id,
            base: Amount::new(3),
            price: Amount::new(7),
            rate: Rate::ONE,
            granularity: 5,
            credit_windows: 2,
            dataset: sdpp_ledger::merkle::root(&rows),
        };
        let [menu, order] = [keccak(&[b"the menu"]), keccak(&[b"the order"])];
        let domain = Domain { chain_id: CHAIN_ID, contract: escrow };
        let session = SessionId::of(&menu, &order);
        Some(Chain {
            anvil,
            domain,
            contract,
            channel,
            buyers_key,
            sellers_key,
            bond,
            id,
            bonds,
            terms,
            menu,
            order,
            session,
        })
    }

    pub fn stake(&self) -> u128 {
        self.bonds.stake.units()
    }

    // What calls are made of.

    pub fn bond(&self) -> Words {
        self.bond.words().to_vec()
    }

    pub fn terms_words(&self) -> Words {
        let BondTerms { base, price, rate, granularity, credit_windows, .. } = &self.terms;
        vec![
            self.menu.0,
            self.order.0,
            number(base.units()),
            number(price.units()),
            number(rate.numerator.units()),
            number(rate.denominator.units()),
            number((*granularity).into()),
            number((*credit_windows).into()),
            self.terms.dataset.0,
        ]
    }

    fn word(key: &Key, layout: &Layout) -> Words {
        let Signature(bytes) = key.sign(&layout.digest());
        let part = |from: usize| -> [u8; 32] { bytes[from..from + 32].try_into().unwrap() };
        vec![layout.data.0, layout.verification.0, part(0), part(32), number(bytes[64].into())]
    }

    fn layout(&self, kind: MessageKind, number: u64, commitment: Digest, amount: u128) -> Layout {
        Layout {
            session: self.session,
            kind,
            number,
            commitment,
            amount_total: Amount::new(amount),
            data: keccak(&[format!("{kind} {number}").as_bytes()]),
            verification: keccak(&[b""]),
        }
    }

    /// What the seller signs in the session.
    pub fn sellers(
        &self,
        kind: MessageKind,
        number: u64,
        commitment: Digest,
        amount: u128,
    ) -> Words {
        Chain::word(&self.sellers_key, &self.layout(kind, number, commitment, amount))
    }

    pub fn session_key(&self) -> Words {
        self.sellers(MessageKind::SessionKey, 0, self.terms.digest(), 0)
    }

    pub fn item(&self, seq: u64, leaf: Digest) -> Words {
        let word = self.sellers(MessageKind::Data, seq, leaf, 0);
        [vec![number(seq.into()), leaf.0], word].concat()
    }

    pub fn invoice(&self, count: u64, root: Digest, total: u128) -> Words {
        let word = self.sellers(MessageKind::DataInvoice, count, root, total);
        [vec![number(count.into()), root.0, number(total)], word].concat()
    }

    /// An exit from the bond.
    pub fn goodbye(&self, key: &Key) -> Words {
        let nothing = keccak(&[b""]);
        let layout = Layout {
            session: SessionId(Digest(self.id.0)),
            data: nothing,
            ..self.layout(MessageKind::Exit, 0, Digest::ZERO, 0)
        };
        Chain::word(key, &layout)
    }

    pub fn challenge(&self, leaf: Digest, root: Digest, index: u32, most: u32) -> Words {
        vec![leaf.0, root.0, number(index.into()), number(most.into())]
    }

    pub fn demanded(&self, count: u128, total: u128) -> Words {
        let k = u128::from(self.terms.granularity);
        let before = count * k + u128::from(self.terms.credit_windows) * k;
        let voucher = self.terms.base.units() + total;
        let last = count + u128::from(self.terms.credit_windows);
        vec![self.session.0.0, number(total), number(voucher), number(before), number(last)]
    }

    // Calls.

    pub async fn demand(&self, count: u64, total: u128) -> Result<(), String> {
        let order = Layout {
            session: SessionId::NONE,
            data: self.order,
            ..self.layout(MessageKind::Order, 0, self.terms.digest(), 0)
        };
        let order = Chain::word(&self.buyers_key, &order);
        let (seq, digest) = (count * u64::from(self.terms.granularity), Digest([4; 32]));
        let ack = self.layout(MessageKind::Ack, seq, digest, 0);
        let ack = Chain::word(&self.buyers_key, &ack);
        let kind = number(MessageKind::Ack as u128);
        let ack = [vec![kind, number(seq.into()), digest.0, number(0)], ack].concat();
        let invoice = self.invoice(count, Digest([6; 32]), total);
        let args = [self.bond(), self.terms_words(), order, ack, invoice];
        self.seller("demand", &args, self.stake()).await
    }

    pub async fn show(&self, asked: Words, proof: &Proof) -> Result<(), String> {
        let place: Words = vec![number(proof.index.into()), number(proof.count.into())];
        let head: Words = [self.bond(), asked, place].concat();
        self.seller("show", &[with_path(head, proof)], 0).await
    }

    pub async fn pay(
        &self,
        count: u128,
        total: u128,
        amount: Amount,
        signature: &Signature,
    ) -> Result<(), String> {
        let head = [self.bond(), self.demanded(count, total), vec![number(amount.units())]];
        let head: Words = head.concat();
        let at = vec![number(32 * (head.len() as u128 + 2)), number(0)];
        self.buyer("pay", &[head, at, tail(signature)], 0).await
    }

    pub async fn settle(&self, amount: Amount, signature: &Signature) -> Result<(), String> {
        let head = vec![self.channel.0, number(amount.units()), number(96)];
        let words = [head, tail(signature)];
        let escrow = self.domain.contract.as_str();
        self.call(rig::account(1).as_str(), escrow, "settle", &words, 0).await
    }

    /// The seller closes the channel with a voucher.
    pub async fn close(&self, amount: Amount) {
        let signature =
            Voucher { channel: self.channel, amount }.sign(&self.domain, &self.buyers_key);
        let head = vec![self.channel.0, number(amount.units()), number(96)];
        let words = [head, tail(&signature)];
        let escrow = self.domain.contract.as_str();
        self.call(rig::account(1).as_str(), escrow, "close", &words, 0).await.unwrap();
    }

    /// The buyer asks for its channel to be closed.
    pub async fn request_close(&self) {
        let escrow = self.domain.contract.as_str();
        let words = [vec![self.channel.0]];
        self.call(rig::account(0).as_str(), escrow, "requestClose", &words, 0).await.unwrap();
    }

    /// The buyer takes back the leave that a contract had to take its token.
    pub async fn takes_leave_back(&self, from: &Account) {
        let token = self.bond.asset.as_str();
        let words = [vec![padded(&address(from)), number(0)]];
        self.call(rig::account(0).as_str(), token, "approve", &words, 0).await.unwrap();
    }

    /// The buyer has the coin for a call, and not for all that a session may take.
    pub async fn impoverish_buyer(&self) {
        let price = self.anvil.ask("eth_gasPrice", json!([])).await;
        let price = u128::from_str_radix(&price.as_str().unwrap()[2..], 16).unwrap();
        let left = format!("{:#x}", 400_000 * price);
        self.anvil.ask("anvil_setBalance", json!([self.bond.buyer.as_str(), left])).await;
    }

    pub async fn buyer(&self, function: &str, args: &[Words], value: u128) -> Result<(), String> {
        self.call(rig::account(0).as_str(), &self.contract, function, args, value).await
    }

    pub async fn seller(&self, function: &str, args: &[Words], value: u128) -> Result<(), String> {
        self.call(rig::account(1).as_str(), &self.contract, function, args, value).await
    }

    /// Somebody who is neither.
    pub async fn friend(&self, function: &str, args: &[Words], value: u128) -> Result<(), String> {
        self.call(rig::account(2).as_str(), &self.contract, function, args, value).await
    }

    /// What the contract holds, in wei.
    pub async fn held(&self) -> u128 {
        let answer = self.anvil.ask("eth_getBalance", json!([self.contract, "latest"])).await;
        u128::from_str_radix(&answer.as_str().unwrap()[2..], 16).unwrap()
    }

    /// `Err` is the name of the contract's error.
    async fn call(
        &self,
        from: &str,
        to: &str,
        function: &str,
        args: &[Words],
        value: u128,
    ) -> Result<(), String> {
        let data = encoded(function, args);
        send(&self.anvil, from, Some(to), &data, value).await.map(drop)
    }

    /// What a view answers: one word.
    pub async fn ask(&self, function: &str, args: &[Words]) -> [u8; 32] {
        let call = json!({ "to": self.contract, "data": encoded(function, args) });
        let answer = self.anvil.ask("eth_call", json!([call, "latest"])).await;
        let mut word = [0; 32];
        hex::decode_to_slice(&answer.as_str().unwrap()[2..], &mut word).unwrap();
        word
    }

    /// What the buyer and the seller can take out.
    pub async fn credits(&self) -> [u128; 2] {
        let mut credits = [0; 2];
        for (credit, owner) in credits.iter_mut().zip([&self.bond.buyer, &self.bond.seller]) {
            let words = vec![number(0), padded(&address(owner))];
            let word = self.ask("credited", &[words]).await;
            *credit = u128::from_be_bytes(word[16..].try_into().unwrap());
        }
        credits
    }

    /// The buyer asks for the end of the last bond that was pledged in a contract.
    pub async fn request_end(&self, contract: &str) {
        let pledged = keccak(&[format!("Pledged(bytes32,address,{BOND})").as_bytes()]).to_string();
        let filter = json!([{ "fromBlock": "0x0", "address": contract, "topics": [pledged] }]);
        let told = self.anvil.ask("eth_getLogs", filter).await;
        let data = told.as_array().unwrap().last().unwrap()["data"].as_str().unwrap().to_owned();
        let bytes = hex::decode(&data[2..]).unwrap();
        let words: Words = bytes.as_chunks().0.to_vec();
        let from = rig::account(0);
        self.call(from.as_str(), contract, "requestEnd", &[words], 0).await.unwrap();
    }

    pub async fn pass(&self, seconds: u64) {
        self.anvil.ask("evm_increaseTime", json!([seconds])).await;
        self.anvil.mine(1).await;
    }
}

fn key(byte: u8) -> Key {
    Key::from_bytes(&[byte; 32]).unwrap()
}

fn encoded(function: &str, args: &[Words]) -> String {
    format!("0x{}{}", selector(function), hex::encode(args.concat().concat()))
}

/// Arguments of which the last is a Merkle path.
pub fn with_path(head: Words, proof: &Proof) -> Words {
    let at = vec![number(32 * (head.len() as u128 + 1)), number(proof.path.len() as u128)];
    let path: Words = proof.path.iter().map(|sister| sister.0).collect();
    [head, at, path].concat()
}

/// 65 bytes as the ABI has them at a call's end.
fn tail(signature: &Signature) -> Words {
    let mut last = [0; 32];
    last[0] = signature.0[64];
    let part = |from: usize| -> [u8; 32] { signature.0[from..from + 32].try_into().unwrap() };
    vec![number(65), part(0), part(32), last]
}

/// Sends from an account of Anvil's, and waits for the receipt; or the name of the error.
async fn send(
    anvil: &Anvil,
    from: &str,
    to: Option<&str>,
    data: &str,
    value: u128,
) -> Result<Value, String> {
    let mut tx = json!({ "from": from, "data": data, "value": format!("{value:#x}") });
    if let Some(to) = to {
        tx["to"] = json!(to);
    }
    // What would be refused is asked first, as a transaction that is refused tells no reason.
    let answer = anvil.answer("eth_call", json!([tx, "latest"])).await;
    if let Some(error) = answer.get("error") {
        let data = error["data"].as_str().unwrap_or_default();
        return Err(error_name(data).unwrap_or_else(|| error.to_string()));
    }
    let answer = anvil.answer("eth_sendTransaction", json!([tx])).await;
    let asked = json!([answer["result"]]);
    let mined = async || {
        let receipt = anvil.ask("eth_getTransactionReceipt", asked.clone()).await;
        (!receipt.is_null()).then_some(receipt)
    };
    let receipt = rig::until("it is mined", mined).await;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    Ok(receipt)
}

/// The contract's error with the selector that some data begins with.
fn error_name(data: &str) -> Option<String> {
    let artifact: Value = serde_json::from_str(BONDS).unwrap();
    let entries = artifact["abi"].as_array().unwrap().iter();
    let mut errors = entries.filter(|entry| entry["type"] == "error");
    let found = errors.find(|error| {
        let name = format!("{}()", error["name"].as_str().unwrap());
        data.starts_with(&format!("0x{}", hex::encode(&keccak(&[name.as_bytes()]).0[..4])))
    });
    Some(found?["name"].as_str().unwrap().to_owned())
}
