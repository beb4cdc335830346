use super::*;
use crate::Call;

fn bond() -> Bond {
    let account = |byte: u8| format!("0x{}", hex::encode([byte; 20])).parse().unwrap();
    Bond {
        buyer: account(1),
        seller: account(2),
        buyer_key: account(3),
        seller_key: account(4),
        asset: Asset::coin(),
        channel: ChannelId([5; 32]),
        buyer_amount: Amount::new(400),
        seller_amount: Amount::new(301),
        stake: Amount::new(20),
        fee: Amount::new(10),
        salt: Digest([6; 32]),
    }
}

fn of_a_dataset() -> [BondAct; 2] {
    let [salt, content, root] = [7, 8, 9].map(|byte| Digest([byte; 32]));
    let word = Word { data: root, verification: root, signature: Signature([3; 65]) };
    let session = Box::new(SignedTerms {
        menu: root,
        order: root,
        base: Amount::ZERO,
        price: Amount::new(7),
        numerator: Amount::new(1),
        denominator: Amount::new(1),
        granularity: 5,
        windows: 2,
        dataset: root,
        word: word.clone(),
    });
    let item = SignedItem { seq: 3, leaf: root, word: word.clone() };
    let invoice = SignedInvoice { number: 1, root, amount_total: Amount::new(35), word };
    let proof = merkle::Proof { index: 4, count: 5, path: vec![root] };
    let opened = Opened { seq: 5, salt, content, proof };
    [
        BondAct::ChallengeItem { session: session.clone(), item, salt, content },
        BondAct::ChallengeInvoiced { session, invoice, opened },
    ]
}

/// The outbox keeps calls as JSON, and must read back what it wrote.
#[test]
fn a_call_is_read_back_as_it_was_written() {
    let asked = Demand {
        session: Digest([7; 32]),
        amount_total: Amount::new(u128::MAX),
        voucher: Amount::new(1),
        paid_before: u128::MAX,
        last_unpaid: 9,
    };
    let acts = [BondAct::Pledge, BondAct::ConcludeDemand { asked }, BondAct::ConcludeChallenge];
    for act in acts.into_iter().chain(of_a_dataset()) {
        let call = Call::Bond(Box::new(Bonding { bond: bond(), act }));
        let text = serde_json::to_string(&call).unwrap();
        assert_eq!(serde_json::from_str::<Call>(&text).unwrap(), call, "{text}");
    }
}

#[test]
fn an_id_is_good_in_one_contract_of_one_chain() {
    let domain = |chain_id, byte: u8| Domain {
        chain_id,
        contract: format!("0x{}", hex::encode([byte; 20])).parse().unwrap(),
    };
    let id = bond().id(&domain(1, 9));
    assert_ne!(id, bond().id(&domain(2, 9)));
    assert_ne!(id, bond().id(&domain(1, 8)));
    assert_ne!(id, Bond { fee: Amount::new(11), ..bond() }.id(&domain(1, 9)));
}

#[test]
fn a_call_takes_what_the_contract_takes() {
    let bond = bond();
    let takes = |act: BondAct, by: &Account| act.takes(&bond, by).units();
    assert_eq!(takes(BondAct::Pledge, &bond.buyer), 400);
    assert_eq!(takes(BondAct::Pledge, &bond.seller), 301);
    assert_eq!(takes(BondAct::Add { amount: Amount::new(3) }, &bond.buyer), 3);
    assert_eq!(takes(BondAct::End, &bond.buyer), 0);
    of_a_dataset().into_iter().for_each(|act| assert_eq!(takes(act, &bond.buyer), 20));
}
