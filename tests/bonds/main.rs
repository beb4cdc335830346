//! Bonds on a real chain: what this project signs, the contract takes for evidence, and nothing else;
//! what the contract computes, we compute. Both stories end with the bonds where they belong.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod answers;
mod complaints;
mod contract;
mod court;
#[allow(dead_code, reason = "shared with the campaign of liars, who make more of frames")]
#[path = "../liars/frame.rs"]
mod frame;
mod items;
mod joins;
mod killed;
mod pledge;
#[allow(dead_code, reason = "shared with the campaign of liars, who lie in more ways")]
#[path = "../liars/relay.rs"]
mod relay;
#[path = "../../ledgers/ethereum/tests/rig/mod.rs"]
mod rig;
mod settle;
mod wanted;
mod whole;

use contract::{Chain, DAY, DEPOSIT};
use sdpp::crypto::dataset_leaf;
use sdpp::crypto::layout::MessageKind;
use sdpp::crypto::{SaltSecret, leaf, salt};
use sdpp_ledger::{Amount, Digest, Voucher, keccak, merkle};

const SECRET: SaltSecret = SaltSecret(Digest([7; 32]));

/// The first window's items, and their leaves in this chain's session.
fn window(chain: &Chain) -> (Vec<Vec<u8>>, Vec<Digest>) {
    let items: Vec<_> = (1..=5_u64).map(|seq| format!("{{\"ppm\":{seq}}}").into_bytes()).collect();
    let leaf = |(seq, item): (u64, &Vec<u8>)| leaf(&chain.session, seq, &salt(&SECRET, seq), item);
    let leaves = (1..).zip(&items).map(leaf).collect();
    (items, leaves)
}

#[tokio::test]
async fn ids_and_terms_are_what_the_contract_computes() {
    let Some(chain) = Chain::with_bond().await else { return };
    assert_eq!(chain.ask("bondId", &[chain.bond()]).await, chain.id.0);
    let asked = chain.ask("termsOf", &[vec![chain.id.0], chain.terms_words()]).await;
    assert_eq!(asked, chain.terms.digest().0);
}

#[tokio::test]
async fn a_seller_that_signs_one_reading_and_invoices_another_loses_its_bond() {
    let Some(chain) = Chain::with_bond().await else { return };
    let (_, mut leaves) = window(&chain);
    let signed = leaves[2];
    leaves[2] = leaf(&chain.session, 3, &salt(&SECRET, 3), b"{\"ppm\":99}");
    let item = chain.item(3, signed);
    let invoice = chain.invoice(1, merkle::root(&leaves), 35);
    let args = [chain.bond(), chain.terms_words(), chain.session_key(), item, invoice];
    chain.buyer("challengeRoot", &args, chain.stake()).await.unwrap();
    assert_eq!(chain.buyer("concludeChallenge", &[chain.bond()], 0).await, Err("TooEarly".into()));
    chain.pass(DAY).await;
    chain.buyer("concludeChallenge", &[chain.bond()], 0).await.unwrap();
    let lost = chain.bonds.seller.units();
    assert_eq!(chain.credits().await, [lost - lost / 2 + chain.stake(), 0]);
}

/// Each leaf of a window that is no power of two, with the proofs that we make.
#[tokio::test]
async fn an_honest_seller_shows_what_it_signed_and_has_the_stakes() {
    let Some(chain) = Chain::with_bond().await else { return };
    let (items, leaves) = window(&chain);
    let root = merkle::root(&leaves);
    for (seq, leaf) in (1..5_u64).zip(&leaves) {
        let (item, invoice) = (chain.item(seq, *leaf), chain.invoice(1, root, 35));
        let args = [chain.bond(), chain.terms_words(), chain.session_key(), item, invoice];
        chain.buyer("challengeRoot", &args, chain.stake()).await.unwrap();
        let asked = chain.challenge(*leaf, root, u32::try_from(seq - 1).unwrap(), 5);
        let proof = merkle::prove(&leaves, usize::try_from(seq - 1).unwrap()).unwrap();
        chain.show(asked, &proof).await.unwrap();
    }
    // And that an item is of the dataset.
    let rows: Vec<_> = items.iter().map(|item| dataset_leaf(&keccak(&[item]))).collect();
    assert_eq!(merkle::root(&rows), chain.terms.dataset);
    let (seq, item) = (2, &items[1]);
    let opened = vec![salt(&SECRET, seq).0];
    let content = vec![keccak(&[item]).0];
    let item = chain.item(seq, leaves[1]);
    let args = [chain.bond(), chain.terms_words(), chain.session_key(), item, opened, content];
    chain.buyer("challengeItem", &args, chain.stake()).await.unwrap();
    let asked = chain.challenge(rows[1], chain.terms.dataset, u32::MAX, u32::MAX);
    chain.show(asked, &merkle::prove(&rows, 1).unwrap()).await.unwrap();
    assert_eq!(chain.credits().await, [0, 5 * chain.stake()]);
}

/// The last item of a window stands in its invoice only: our leaf and proof bring it.
#[tokio::test]
async fn an_invoiced_item_that_is_not_in_the_dataset_costs_the_seller_its_bond() {
    let Some(chain) = Chain::with_bond().await else { return };
    let (_, mut leaves) = window(&chain);
    let made = b"{\"ppm\":99}";
    leaves[4] = leaf(&chain.session, 5, &salt(&SECRET, 5), made);
    let invoice = chain.invoice(1, merkle::root(&leaves), 35);
    let [seq, count] = [contract::number(5), contract::number(5)];
    let opened = vec![seq, salt(&SECRET, 5).0, keccak(&[made]).0, count];
    let head = [chain.bond(), chain.terms_words(), chain.session_key(), invoice, opened].concat();
    let args = contract::with_path(head, &merkle::prove(&leaves, 4).unwrap());
    chain.buyer("challengeInvoiced", &[args], chain.stake()).await.unwrap();
    chain.pass(DAY).await;
    chain.buyer("concludeChallenge", &[chain.bond()], 0).await.unwrap();
    let lost = chain.bonds.seller.units();
    assert_eq!(chain.credits().await, [lost - lost / 2 + chain.stake(), 0]);
}

/// A seller that is paid beside the bond takes its demand back, and goes on.
#[tokio::test]
async fn a_seller_takes_its_demand_back_and_has_its_stake() {
    let Some(chain) = Chain::with_bond().await else { return };
    chain.demand(1, 35).await.unwrap();
    chain.seller("retract", &[chain.bond()], 0).await.unwrap();
    assert_eq!(chain.credits().await, [0, chain.stake()]);
    chain.pass(DAY).await;
    let args = [chain.bond(), chain.demanded(1, 35)];
    assert_eq!(chain.seller("concludeDemand", &args, 0).await, Err("NoComplaint".to_owned()));
}

#[tokio::test]
async fn a_buyer_that_is_asked_in_public_and_stays_silent_loses_its_bond() {
    let Some(chain) = Chain::with_bond().await else { return };
    chain.demand(1, 35).await.unwrap();
    chain.pass(DAY).await;
    let args = [chain.bond(), chain.demanded(1, 35)];
    chain.seller("concludeDemand", &args, 0).await.unwrap();
    let lost = chain.bonds.buyer.units();
    assert_eq!(chain.credits().await, [0, lost - lost / 2 + chain.stake()]);
}

/// Our voucher answers, and the escrow redeems it.
#[tokio::test]
async fn a_buyer_that_pays_when_it_is_asked_pays_the_fee() {
    let Some(chain) = Chain::with_bond().await else { return };
    chain.demand(1, 35).await.unwrap();
    let amount = Amount::new(chain.terms.base.units() + 35);
    let voucher = Voucher { channel: chain.channel, amount };
    let signature = voucher.sign(&chain.domain, &chain.buyers_key);
    assert!(chain.pay(1, 35, amount, &chain.sellers_key.sign(&Digest::ZERO)).await.is_err());
    chain.pay(1, 35, amount, &signature).await.unwrap();
    let fee = chain.bonds.fee.units();
    assert_eq!(chain.credits().await, [0, chain.stake() + fee]);
    chain.settle(amount, &signature).await.unwrap();
    assert!(amount.units() < DEPOSIT);
}

#[tokio::test]
async fn a_seller_that_demands_what_it_receipted_loses_its_bond() {
    let Some(chain) = Chain::with_bond().await else { return };
    chain.demand(1, 35).await.unwrap();
    let paid = |paid: u128| {
        let mut commitment = Digest::ZERO;
        commitment.0[16..].copy_from_slice(&paid.to_be_bytes());
        let word = chain.sellers(MessageKind::Exit, 0, commitment, 35);
        [vec![contract::number(35), contract::number(paid)], word].concat()
    };
    let args = |receipt| [chain.bond(), chain.demanded(1, 35), receipt];
    assert_eq!(
        chain.buyer("refuteByExit", &args(paid(34)), 0).await,
        Err("NotReceipted".to_owned())
    );
    chain.buyer("refuteByExit", &args(paid(35)), 0).await.unwrap();
    let lost = chain.bonds.seller.units();
    assert_eq!(chain.credits().await, [lost - lost / 2 + chain.stake(), 0]);
}

/// The buyer's exit from the bond frees the seller's part at once; the seller's own frees nothing.
#[tokio::test]
async fn a_signed_exit_frees_the_other_sides_bond() {
    let Some(chain) = Chain::with_bond().await else { return };
    let of_seller = vec![contract::number(1)];
    let args = |word| [chain.bond(), of_seller.clone(), word];
    let own = args(chain.goodbye(&chain.sellers_key));
    assert_eq!(chain.seller("release", &own, 0).await, Err("InvalidSignature".to_owned()));
    chain.seller("release", &args(chain.goodbye(&chain.buyers_key)), 0).await.unwrap();
    assert_eq!(chain.credits().await, [0, chain.bonds.seller.units()]);
}

#[tokio::test]
async fn two_leaves_for_one_item_cost_the_seller_its_bond() {
    let Some(chain) = Chain::with_bond().await else { return };
    let (_, leaves) = window(&chain);
    let items = |other| {
        let (one, other) = (chain.item(3, leaves[2]), chain.item(3, other));
        [chain.bond(), chain.terms_words(), chain.session_key(), one, other]
    };
    let same = chain.buyer("convictOfItems", &items(leaves[2]), 0).await;
    assert_eq!(same, Err("NoContradiction".to_owned()));
    chain.buyer("convictOfItems", &items(leaves[3]), 0).await.unwrap();
    let lost = chain.bonds.seller.units();
    assert_eq!(chain.credits().await, [lost - lost / 2, 0]);
}
