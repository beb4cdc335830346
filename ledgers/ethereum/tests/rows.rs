//! Stories of what a settlement brought, where others write into the same transaction, where the
//! node gives little at once, and where the settings have changed since.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;
mod suite;

use rig::code::{Code, Word, address, input_of_bytes, number, topic};
use rig::{Anvil, account, evidence, key, signed};
use sdpp_ledger::conformance::Rig;
use sdpp_ledger::{
    Amount, Asset, Batch, Call, ChannelId, Digest, Escrow, Evidence, Finality, InChannel, Ledger,
    LedgerError, Open, Redeem, Signature, TopUp, Voucher, channel_id,
};
use sdpp_ledger_ethereum::{EthereumLedger, Settings};
use serde_json::json;
use suite::EthereumRig;

async fn rig(args: &[&str], depth: u64) -> Option<EthereumRig> {
    Some(EthereumRig::new(Anvil::start(args).await?, depth, false).await)
}

/// Does a call on a chain that makes blocks by itself.
async fn done(ledger: &EthereumLedger, call: &Call) -> Evidence {
    let signed = signed(ledger, call).await;
    ledger.submit(&signed).await.unwrap();
    evidence(ledger, &signed).await
}

/// A channel with a deposit of 1,000 for account 1.
async fn opened(payer: &EthereumLedger, salt: u8) -> ChannelId {
    let (payee, salt, asset) = (account(1), Digest([salt; 32]), Asset::coin());
    let id = channel_id(payer.domain(), payer.account(), &payee, &asset, &salt, None);
    let open = Open { payee, asset, deposit: Amount::new(1_000), salt, signer: None };
    done(payer, &Call::Open(open)).await;
    id
}

/// A voucher of Anvil's account `payer`.
fn redeem(payer: usize, ledger: &EthereumLedger, channel: ChannelId, units: u128) -> Redeem {
    let amount = Amount::new(units);
    let signature = Voucher { channel, amount }.sign(ledger.domain(), &key(payer));
    Redeem { channel, amount, signature }
}

fn row(redeem: &Redeem) -> Vec<u8> {
    let amount = redeem.amount.units().to_be_bytes();
    [redeem.channel.0.as_slice(), &amount, &redeem.signature.0].concat()
}

fn rows_of(evidence: &Evidence) -> Vec<(u128, Option<&str>)> {
    evidence.rows.iter().map(|row| (row.amount.units(), row.refused.as_deref())).collect()
}

/// How many events of the escrow a transaction has.
async fn events(rig: &EthereumRig, evidence: &Evidence) -> usize {
    let receipt = rig.anvil.ask("eth_getTransactionReceipt", json!([evidence.tx.as_str()])).await;
    let escrow = rig.settings.escrow.as_ref().unwrap().as_str();
    receipt["logs"].as_array().unwrap().iter().filter(|log| log["address"] == escrow).count()
}

#[tokio::test]
async fn what_a_payer_writes_into_our_close_is_not_our_close() {
    let Some(rig) = rig(&[], 1).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let escrow = rig.settings.escrow.clone().unwrap();
    let id = opened(payer, 1).await;
    let nothing = input_of_bytes("settleMany(bytes)", &[0; 113]);
    Code::default().call(&escrow, &nothing).put(&rig.anvil, &account(0)).await;
    let closed = done(payee, &Call::Close(redeem(0, payee, id, 400))).await;
    assert_eq!(events(&rig, &closed).await, 2, "the payer wrote nothing into it");
    assert_eq!(closed.amount, Amount::new(400));
}

#[tokio::test]
async fn a_row_that_took_effect_is_not_passed_over_by_the_word_of_a_payer() {
    let Some(rig) = rig(&[], 1).await else { return };
    let [first, payee, second] = &rig.ledgers;
    let escrow = rig.settings.escrow.clone().unwrap();
    let ids = [
        opened(first, 1).await,
        opened(second, 1).await,
        opened(second, 2).await,
        opened(second, 3).await,
    ];
    let bad = Redeem { signature: Signature([0; 65]), ..redeem(2, payee, ids[3], 70) };
    let rows = vec![
        redeem(0, payee, ids[0], 400),
        redeem(2, payee, ids[1], 500),
        redeem(2, payee, ids[2], 600),
        bad,
    ];
    // Paid when the second row is done, and before the others are: it passes over the third and
    // the fourth in its own name, and tells of the fourth's close in its own name too.
    let ours: Vec<u8> = rows[2..].iter().flat_map(row).collect();
    let [close, closed]: [Word; 2] = [topic("ChannelClosed(bytes32,uint256)"), ids[3].0];
    Code::default()
        .call(&escrow, &input_of_bytes("settleMany(bytes)", &ours))
        .tell(&[close, closed], &number(70))
        .put(&rig.anvil, &account(0))
        .await;
    let told = done(payee, &Call::CloseMany(Batch { rows })).await;
    assert_eq!(events(&rig, &told).await, 6, "the payer wrote nothing into it");
    let expected = [(400, None), (500, None), (600, None), (0, Some("InvalidSignature"))];
    assert_eq!(rows_of(&told), expected);
    assert_eq!(told.amount, Amount::new(1_500));
}
