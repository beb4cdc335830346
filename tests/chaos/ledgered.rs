//! What stands on the chain at the end, read block by block, and whether the books say the same.

use crate::rig::Anvil;
use crate::{DEPOSIT, FORGED, POISON, Side, World, rig};
use sdpp::journal::Obligation;
use sdpp::journal::obligation::State;
use sdpp::record::Act;
use sdpp_ledger::{
    Account, Amount, Anchor, Asset, Call, Claim, Digest, Escrow, Finality, Payments, Records,
    Transfer, channel_id,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// All transactions that took effect, as the chain has them.
pub struct Ledgered {
    txs: Vec<Tx>,
}

struct Tx {
    from: String,
    number: u64,
    input: String,
}

impl Ledgered {
    pub async fn read(anvil: &Anvil, after: u64) -> Ledgered {
        let mut txs = Vec::new();
        for height in after + 1..=anvil.height().await {
            let height = json!(format!("{height:#x}"));
            let block = anvil.ask("eth_getBlockByNumber", json!([height, true])).await;
            let receipts = anvil.ask("eth_getBlockReceipts", json!([height])).await;
            let receipts = receipts.as_array().unwrap();
            for (tx, receipt) in block["transactions"].as_array().unwrap().iter().zip(receipts) {
                assert_eq!(tx["hash"], receipt["transactionHash"]);
                if receipt["status"] == "0x1" {
                    txs.push(Tx::new(tx));
                }
            }
        }
        Ledgered { txs }
    }

    pub async fn check(&self, world: &World) {
        for side in [&world.payer, &world.payee] {
            self.check_side(side).await;
        }
        check_money(world).await;
    }

    /// One side's books are what the chain says.
    pub async fn check_side(&self, side: &Side) {
        side.verify();
        self.check_numbers(side);
        for row in side.obligations() {
            check_obligation(side, &row, self).await;
        }
    }

    /// So many transactions of a side stand on the chain, whatever they came to.
    pub fn check_ends(&self, side: &Side, times: usize) {
        side.verify();
        assert_eq!(self.of(side.account()).count(), times, "of {}", side.account());
    }

    /// Each number once, and nothing on the chain that the books do not have.
    fn check_numbers(&self, side: &Side) {
        let mut used: BTreeMap<u64, u32> = BTreeMap::new();
        for tx in self.of(side.account()) {
            *used.entry(tx.number).or_default() += 1;
        }
        assert!(used.values().all(|times| *times == 1), "a number twice: {used:?}");
        assert_eq!(used.len(), side.landed(), "of {}", side.account());
    }

    fn of(&self, account: &Account) -> impl Iterator<Item = &Tx> {
        self.txs.iter().filter(|tx| tx.from == account.as_str())
    }

    /// How many transactions of an account carry these bytes.
    pub fn carrying(&self, account: &Account, bytes: &[u8; 32]) -> usize {
        let digits = hex::encode(bytes);
        self.of(account).filter(|tx| tx.input.contains(&digits)).count()
    }
}

impl Tx {
    fn new(tx: &Value) -> Tx {
        let text = |name: &str| tx[name].as_str().unwrap().to_lowercase();
        let number = u64::from_str_radix(text("nonce").trim_start_matches("0x"), 16).unwrap();
        Tx { from: text("from"), number, input: text("input") }
    }
}

async fn check_obligation(side: &Side, row: &Obligation, chain: &Ledgered) {
    let call = match &row.owed.act {
        Act::Do(call) => call,
        Act::Check(claim) => return check_claim(row, claim, chain),
    };
    let evidence = match &row.state {
        State::Met { evidence } => evidence,
        State::Refused { why } => {
            let expected = match call {
                Call::Transfer(made) if made.amount == Amount::new(POISON) => "InsufficientFunds",
                Call::Settle(redeem) if redeem.amount == Amount::new(FORGED) => "InvalidSignature",
                // The later one of two vouchers may have been redeemed first.
                Call::Settle(redeem) if redeem.amount.units() < 500 => "AmountNotIncreasing",
                _ => panic!("{call:?} was refused: {why}"),
            };
            return assert!(why.contains(expected), "{why}");
        }
        other => panic!("{call:?} is {other:?}"),
    };
    match call {
        Call::Transfer(transfer) => {
            assert_eq!(chain.carrying(side.account(), &transfer.reference.0), 1, "{transfer:?}");
            assert_eq!(evidence.amount, transfer.amount);
            let claim = Claim { tx: evidence.tx.clone(), transfer: transfer.clone() };
            let paid = side.ledger.paid(&claim).await.unwrap();
            assert!(matches!(paid, Finality::Final(_)), "{paid:?}");
        }
        Call::Anchor(anchor) => check_anchor(side, row, anchor, chain).await,
        Call::Open(open) => assert_eq!(chain.carrying(side.account(), &open.salt.0), 1),
        Call::Settle(_) => {}
        other => panic!("nobody owed {other:?}"),
    }
}

/// What was said to be paid is paid, by one of the transactions that were named for it.
fn check_claim(row: &Obligation, claim: &Claim, chain: &Ledgered) {
    let State::Met { evidence } = &row.state else { panic!("{claim:?} is {:?}", row.state) };
    assert_eq!(evidence.amount, claim.transfer.amount, "{claim:?}");
    assert!(row.claims().iter().any(|claim| claim.tx == evidence.tx), "{evidence:?}");
    assert_eq!(chain.carrying(&rig::account(0), &claim.transfer.reference.0), 1, "{claim:?}");
}

/// The digest stands on the chain once, by itself or under a root that it is a leaf of.
async fn check_anchor(side: &Side, row: &Obligation, anchor: &Anchor, chain: &Ledgered) {
    let Anchor::One { reference, digest } = anchor else { panic!("a root is owed by nobody") };
    let mut found = Vec::new();
    for delivery in side.deliveries() {
        let State::Met { evidence } = &row.state else { continue };
        let is_its = delivery.own().iter().any(|own| own.tx.as_ref() == Some(&evidence.tx));
        if is_its {
            found.push((delivery.call, evidence.tx.clone()));
        }
    }
    let [(Call::Anchor(landed), tx)] = &found[..] else { panic!("{row:?} in {found:?}") };
    let bytes: Digest = match landed {
        Anchor::One { .. } => *digest,
        Anchor::Root { root, .. } => *root,
    };
    assert_eq!(chain.carrying(side.account(), &bytes.0), 1, "{anchor:?}");
    assert!(matches!(side.ledger.anchored(tx, landed).await, Ok(Finality::Final(_))));
    if let Some((proof, root)) = side.proof(reference).zip(root_of(landed)) {
        assert!(proof.verify(&Anchor::leaf(reference, digest), &root));
    }
}

fn root_of(anchor: &Anchor) -> Option<Digest> {
    match anchor {
        Anchor::Root { root, .. } => Some(*root),
        Anchor::One { .. } => None,
    }
}

/// Every unit is where the books say.
async fn check_money(world: &World) {
    let ledger = &world.payer.ledger;
    let mut owed: BTreeMap<Asset, u128> = BTreeMap::new();
    for row in world.payer.obligations() {
        if let (Act::Do(Call::Transfer(Transfer { asset, amount, .. })), State::Met { .. }) =
            (row.owed.act, row.state)
        {
            *owed.entry(asset).or_default() += amount.units();
        }
    }
    let first = Amount::new(10_000 * 10u128.pow(18));
    for (asset, before) in [(Asset::coin(), first), (world.token.clone(), Amount::ZERO)] {
        let has = ledger.balance(&rig::account(4), &asset).await.unwrap();
        let paid = has.checked_sub(before).unwrap().units();
        assert_eq!(paid, owed.get(&asset).copied().unwrap_or(0), "paid in {asset}");
    }
    let mut settled = 0;
    for i in 0..5 {
        let open = crate::opening(10 + i);
        let (payer, asset) = (rig::account(2), Asset::coin());
        let id = channel_id(ledger.domain(), &payer, &open.payee, &asset, &open.salt, None);
        let channel = ledger.channel(&id).await.unwrap().unwrap();
        assert_eq!(channel.settled, Amount::new(900 + i), "of channel {i}");
        settled += channel.settled.units();
    }
    let told = world.payee.obligations().into_iter().map(|row| match (row.owed.act, row.state) {
        (Act::Do(_), State::Met { evidence }) => evidence.amount.units(),
        _ => 0,
    });
    let told: u128 = told.sum();
    assert_eq!(told, settled, "what the payee's books say was settled");
    let contract = world.settings.escrow.clone().unwrap();
    let holds = ledger.balance(&contract, &Asset::coin()).await.unwrap();
    assert_eq!(holds.units(), 7 * DEPOSIT - settled, "what the escrow holds");
}
