//! What both sides of a bond sign, and what the contract makes of it (PROTOCOL.md, sections 4, 7, 8 and 16):
//! made here, compared with `bonds.json`, and read from there by the contract's own tests.

use sdpp::bond::{Bond, BondTerms, address, dataset_leaf};
use sdpp::crypto::layout::{Layout, MessageKind};
use sdpp::crypto::{SaltSecret, leaf, running_digest, salt};
use sdpp::terms::{Rate, SessionId};
use sdpp_ledger::{
    Account, Amount, Asset, ChannelId, Digest, Domain, Key, Voucher, channel_id, keccak, merkle,
};
use serde_json::{Value, json};

const CHAIN_ID: u64 = 31_337;
const SECRET: SaltSecret = SaltSecret(Digest([7; 32]));
/// What the first window costs: four items at 7, at 3 for 2.
const TOTAL: u128 = 42;
const BASE: u128 = 10;

fn key(byte: u8) -> Key {
    Key::from_bytes(&[byte; 32]).unwrap()
}

fn account(byte: u8) -> Account {
    key(byte).public().account()
}

fn hexed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn item(seq: u64) -> Vec<u8> {
    format!("{{\"ppm\":{seq}}}").into_bytes()
}

/// The address of an account's contract: its first, or its second.
fn contract_of(deployer: &Account, nonce: u8) -> [u8; 20] {
    let from = address(deployer).unwrap();
    // RLP has zero as the empty string.
    let nonce = if nonce == 0 { 0x80 } else { nonce };
    keccak(&[&[0xd6, 0x94], &from, &[nonce]]).0[12..].try_into().unwrap()
}

fn bond(channel: ChannelId) -> Bond {
    let [buyer_amount, seller_amount, stake, fee] = [500, 601, 40, 30].map(Amount::new);
    let of = |byte| address(&account(byte)).unwrap();
    Bond {
        buyer: of(6),
        seller: of(7),
        buyer_key: of(2),
        seller_key: of(1),
        token: [0; 20],
        channel: channel.0,
        buyer_amount,
        seller_amount,
        stake,
        fee,
        salt: Digest([5; 32]),
    }
}

/// A message in its layout, signed; its data is a text of the test's, as a contract sees its digest.
fn signed(by: u8, layout: Layout, data: &str) -> Value {
    let layout = Layout { data: keccak(&[data.as_bytes()]), ..layout };
    json!({
        "kind": layout.kind as u8,
        "session": layout.session,
        "number": layout.number,
        "commitment": layout.commitment,
        "amount_total": u64::try_from(layout.amount_total.units()).unwrap(),
        "data": data,
        "layout": hexed(&layout.to_bytes()),
        "digest": layout.digest(),
        "secret_key": Digest([by; 32]),
        "signature": key(by).sign(&layout.digest()),
    })
}

fn proof(leaves: &[Digest], index: usize) -> Value {
    let proof = merkle::prove(leaves, index).unwrap();
    json!({"leaf": leaves[index], "index": proof.index, "count": proof.count, "path": proof.path})
}

/// What the parties say in the session, each message by its name.
fn messages(terms: &BondTerms, session: SessionId, leaves: &[Digest]) -> Value {
    let layout = |kind, number, commitment, amount| Layout {
        session,
        kind,
        number,
        commitment,
        amount_total: Amount::new(amount),
        data: Digest::ZERO,
        verification: keccak(&[b""]),
    };
    let other = leaf(&session, 2, &salt(&SECRET, 2), b"{\"ppm\":99}");
    let digest = leaves.iter().fold(session.0, |digest, leaf| running_digest(&digest, leaf));
    let mut paid = Digest::ZERO;
    paid.0[16..].copy_from_slice(&TOTAL.to_be_bytes());
    let order =
        Layout { session: SessionId::NONE, ..layout(MessageKind::Order, 0, terms.digest(), 0) };
    let from_bond =
        Layout { session: SessionId(terms.bond), ..layout(MessageKind::Exit, 0, Digest::ZERO, 0) };
    let root = merkle::root(leaves);
    let [key, data] = [MessageKind::SessionKey, MessageKind::Data];
    let [invoice, exit] = [MessageKind::DataInvoice, MessageKind::Exit];
    json!({
        "order": signed(2, order, "order"),
        "session_key": signed(1, layout(key, 0, terms.digest(), 0), "session key"),
        "data": signed(1, layout(data, 2, leaves[1], 0), "item 2"),
        "data_again": signed(1, layout(data, 2, other, 0), "item 2, another"),
        "data_beyond": signed(1, layout(data, 12, other, 0), "item 12"),
        "data_invoice": signed(1, layout(invoice, 1, root, TOTAL), "invoice 1"),
        "data_invoice_again": signed(1, layout(invoice, 1, root, TOTAL + 1), "invoice 1, another"),
        "data_invoice_beyond": signed(1, layout(invoice, 4, root, 4 * TOTAL), "invoice 4"),
        "ack": signed(2, layout(MessageKind::Ack, 4, digest, 0), "ack 4"),
        "payment_ack":
            signed(2, layout(MessageKind::PaymentAck, 1, Digest::ZERO, TOTAL), "payment 1"),
        "exit": signed(1, layout(exit, 0, paid, TOTAL), "exit"),
        "exit_from_bond": signed(2, from_bond, ""),
    })
}

/// All of it; PROTOCOL.md, section 14, says what stands where.
pub fn vectors() -> Value {
    let deployer = account(9);
    let [escrow, bonds] = [0, 1].map(|nonce| contract_of(&deployer, nonce));
    let domain = Domain { chain_id: CHAIN_ID, contract: hexed(&escrow).parse().unwrap() };
    let (payer, payee, signer) = (account(6), account(7), account(2));
    let salted = Digest([8; 32]);
    let channel = channel_id(&domain, &payer, &payee, &Asset::coin(), &salted, Some(&signer));
    let bond = bond(channel);
    let id = bond.id(&bonds, CHAIN_ID);
    let rows: Vec<Digest> = (1..=5).map(|seq| dataset_leaf(&item(seq))).collect();
    let terms = BondTerms {
        bond: id,
        base: Amount::new(BASE),
        price: Amount::new(7),
        rate: Rate { numerator: Amount::new(3), denominator: Amount::new(2) },
        granularity: 4,
        credit_windows: 2,
        dataset: merkle::root(&rows),
    };
    let [menu, order] = [keccak(&[b"menu"]), keccak(&[b"order"])];
    let session = SessionId::of(&menu, &order);
    let leaves: Vec<Digest> =
        (1..=4).map(|seq| leaf(&session, seq, &salt(&SECRET, seq), &item(seq))).collect();
    let voucher = Voucher { channel, amount: Amount::new(BASE + TOTAL) };
    json!({
        "chain_id": CHAIN_ID,
        "deployer": deployer.as_str(),
        "escrow": hexed(&escrow),
        "bonds": hexed(&bonds),
        "channel": { "salt": salted, "id": channel, "deposit": 1_000 },
        "bond": { "words": hexed(&bond.words().concat()), "id": id },
        "terms": {
            "menu": menu, "order": order, "base": 10, "price": 7, "numerator": 3, "denominator": 2,
            "granularity": 4, "windows": 2, "dataset": terms.dataset, "digest": terms.digest(),
        },
        "session": session,
        "messages": messages(&terms, session, &leaves),
        "root": merkle::root(&leaves),
        "item_2": {
            "text": String::from_utf8(item(2)).unwrap(), "salt": salt(&SECRET, 2),
            "in_window": proof(&leaves, 1), "in_dataset": proof(&rows, 1),
        },
        "item_4": {
            "text": String::from_utf8(item(4)).unwrap(), "salt": salt(&SECRET, 4),
            "in_window": proof(&leaves, 3), "in_dataset": proof(&rows, 3),
        },
        "demand": { "amount_total": 42, "voucher": 52, "paid_before": 12, "last_unpaid": 3 },
        "voucher": {
            "amount": 52, "digest": voucher.digest(&domain), "secret_key": Digest([2; 32]),
            "signature": voucher.sign(&domain, &key(2)),
        },
    })
}
