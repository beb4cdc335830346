//! Stories of bonds on a real chain: pledged by both, read by anybody, given back. What is complained
//! of needs what was signed in sessions, and is told in the tests of the whole project.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::{Anvil, account, evidence, key, signed};
use sdpp_ledger::bond::BondChangeKind;
use sdpp_ledger::{
    Amount, Asset, Bond, BondAct, BondId, Bonding, Bonds, Call, Digest, Escrow, Ledger,
    LedgerError, Open, channel_id,
};
use sdpp_ledger_ethereum::{EthereumLedger, Settings};
use serde_json::json;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(600);

/// Both sides' ways to a chain with a channel between them, and a bond that nobody has pledged.
struct Rig {
    anvil: Anvil,
    settings: Settings,
    buyer: EthereumLedger,
    seller: EthereumLedger,
    bond: Bond,
}

impl Rig {
    async fn new(is_token: bool) -> Option<Rig> {
        let anvil = Anvil::start(&[]).await?;
        let settings = rig::with_bonds(&anvil, 1, PERIOD).await;
        let asset = match is_token {
            true => rig::with_token(&anvil, &settings).await,
            false => Asset::coin(),
        };
        let buyer = EthereumLedger::connect(settings.clone(), key(0)).await.unwrap();
        let seller = buyer.signed_by(key(1));
        let (payee, salt, deposit) = (account(1), Digest([1; 32]), Amount::new(1_000));
        let signer = Some(account(2));
        let channel =
            channel_id(Escrow::domain(&buyer), &account(0), &payee, &asset, &salt, signer.as_ref());
        let open = Open { payee, asset: asset.clone(), deposit, salt, signer };
        buyer.send_and_wait(&Call::Open(open)).await.unwrap();
        let bond = Bond {
            buyer: account(0),
            seller: account(1),
            buyer_key: account(2),
            seller_key: account(3),
            asset,
            channel,
            buyer_amount: Amount::new(400),
            seller_amount: Amount::new(301),
            stake: Amount::new(20),
            fee: Amount::new(10),
            salt: Digest([5; 32]),
        };
        Some(Rig { anvil, settings, buyer, seller, bond })
    }

    fn id(&self) -> BondId {
        self.bond.id(Bonds::domain(&self.buyer))
    }

    async fn act(&self, who: &EthereumLedger, act: BondAct) -> Result<(), LedgerError> {
        let bond = self.bond.clone();
        who.send_and_wait(&Call::Bond(Box::new(Bonding { bond, act }))).await.map(drop)
    }

    async fn pass(&self, time: Duration) {
        self.anvil.ask("evm_increaseTime", json!([time.as_secs()])).await;
        self.anvil.mine(1).await;
    }
}

fn code_of(done: Result<(), LedgerError>) -> String {
    match done {
        Err(LedgerError::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_bond_is_pledged_by_both_seen_by_each_and_given_back() {
    let Some(rig) = Rig::new(false).await else { return };
    let (buyer, seller) = (&rig.buyer, &rig.seller);
    assert_eq!(buyer.period(), PERIOD);
    assert_eq!(buyer.held(&rig.bond).await.unwrap(), None);
    assert_eq!(buyer.pledged(&rig.id()).await.unwrap(), None);
    rig.act(buyer, BondAct::Pledge).await.unwrap();
    // All that the other side needs to know is the id.
    assert_eq!(seller.pledged(&rig.id()).await.unwrap().as_ref(), Some(&rig.bond));
    let half = seller.held(&rig.bond).await.unwrap().unwrap();
    assert!(half.buyer_in && !half.seller_in && !half.is_good);
    rig.act(seller, BondAct::Pledge).await.unwrap();
    assert_eq!(code_of(rig.act(seller, BondAct::Pledge).await), "AlreadyPledged");
    let both = buyer.held(&rig.bond).await.unwrap().unwrap();
    assert!(both.is_good);
    assert_eq!([both.of_buyer.units(), both.of_seller.units()], [400, 301]);
    rig.act(buyer, BondAct::Add { amount: Amount::new(7) }).await.unwrap();
    rig.act(seller, BondAct::RequestEnd).await.unwrap();
    let ending = buyer.held(&rig.bond).await.unwrap().unwrap();
    assert!(ending.ends_ms.is_some() && !ending.is_good);
    assert_eq!(code_of(rig.act(buyer, BondAct::End).await), "TooEarly");
    rig.pass(PERIOD).await;
    rig.act(buyer, BondAct::End).await.unwrap();
    assert_eq!(buyer.credited(&Asset::coin()).await.unwrap(), Amount::new(407));
    rig.act(buyer, BondAct::Withdraw).await.unwrap();
    assert_eq!(buyer.credited(&Asset::coin()).await.unwrap(), Amount::ZERO);
    let told = seller.bond_changes(&[rig.id()], 0).await.unwrap();
    let kinds: Vec<_> = told.list.into_iter().map(|change| change.kind).collect();
    let pledged = |by| BondChangeKind::Pledged { by: account(by) };
    let ends_ms = ending.ends_ms.unwrap();
    let expected = [
        pledged(0),
        pledged(1),
        BondChangeKind::Added { amount: Amount::new(7) },
        BondChangeKind::EndRequested { ends_ms },
        BondChangeKind::Ended,
    ];
    assert_eq!(kinds, expected);
    assert_eq!(seller.bond_changes(&[rig.id()], told.next).await.unwrap().list, []);
}

#[tokio::test]
async fn a_pledge_that_nobody_answers_comes_back_and_one_side_lets_the_other_go() {
    let Some(mut rig) = Rig::new(false).await else { return };
    rig.act(&rig.buyer, BondAct::Pledge).await.unwrap();
    rig.act(&rig.buyer, BondAct::Revoke).await.unwrap();
    assert!(rig.buyer.held(&rig.bond).await.unwrap().unwrap().revoked);
    assert_eq!(code_of(rig.act(&rig.seller, BondAct::Pledge).await), "AlreadyPledged");
    rig.bond.salt = Digest([6; 32]);
    rig.act(&rig.buyer, BondAct::Pledge).await.unwrap();
    rig.act(&rig.seller, BondAct::Pledge).await.unwrap();
    rig.act(&rig.buyer, BondAct::Release).await.unwrap();
    assert_eq!(rig.seller.credited(&Asset::coin()).await.unwrap(), Amount::new(301));
    let held = rig.seller.held(&rig.bond).await.unwrap().unwrap();
    assert_eq!([held.of_buyer.units(), held.of_seller.units()], [400, 0]);
}

#[tokio::test]
async fn a_token_is_pledged_with_leave() {
    let Some(rig) = Rig::new(true).await else { return };
    let (buyer, asset) = (&rig.buyer, &rig.bond.asset);
    assert!(buyer.needs_leave(asset, Amount::new(400)).await.unwrap());
    // It may come with the next block, so this is no refusal for good.
    let pledge = Call::Bond(Box::new(Bonding { bond: rig.bond.clone(), act: BondAct::Pledge }));
    let number = buyer.next_number().await.unwrap();
    let early = buyer.bond_call(number, &pledge).await;
    assert!(matches!(early, Err(LedgerError::Unavailable { .. })), "{early:?}");
    rig.act(buyer, BondAct::Allow).await.unwrap();
    assert!(!buyer.needs_leave(asset, Amount::new(400)).await.unwrap());
    rig.act(buyer, BondAct::Pledge).await.unwrap();
    let held = buyer.held(&rig.bond).await.unwrap().unwrap();
    assert_eq!(held.of_buyer, Amount::new(400));
}

/// The same bytes again change nothing, as everywhere.
#[tokio::test]
async fn a_pledge_is_prepared_once_and_sent_often() {
    let Some(rig) = Rig::new(false).await else { return };
    let call = Call::Bond(Box::new(Bonding { bond: rig.bond.clone(), act: BondAct::Pledge }));
    assert!(rig.buyer.cost(&call).await.unwrap() > Amount::ZERO);
    let signed = signed(&rig.buyer, &call).await;
    for _ in 0..3 {
        rig.buyer.submit(&signed).await.unwrap();
    }
    evidence(&rig.buyer, &signed).await;
    let held = rig.buyer.held(&rig.bond).await.unwrap().unwrap();
    assert_eq!(held.of_buyer, Amount::new(400));
    let transfer = Call::Transfer(rig::transfer(1, 1));
    let wrong = rig.buyer.bond_call(9, &transfer).await.map(drop);
    assert_eq!(code_of(wrong), "NotACallOfBonds");
}

#[tokio::test]
async fn bonds_that_are_not_of_our_escrow_are_refused() {
    let Some(rig) = Rig::new(false).await else { return };
    let other = rig.buyer.deploy_escrow(rig::GRACE).await.unwrap().contract;
    let strangers = rig.buyer.deploy_bonds(&other, PERIOD).await.unwrap().contract;
    for wrong in [Some(strangers), rig.settings.escrow.clone(), Some(account(1))] {
        let settings = Settings { bonds: wrong, ..rig.settings.clone() };
        let refused = EthereumLedger::connect(settings, key(0)).await.map(drop);
        assert_eq!(code_of(refused), "NotTheBonds");
    }
    let alone = Settings { escrow: None, ..rig.settings.clone() };
    assert_eq!(code_of(EthereumLedger::connect(alone, key(0)).await.map(drop)), "NotTheBonds");
}
