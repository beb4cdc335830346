#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::game::{Mover, Node, is_fair, of_a_debt, of_an_item};
use super::{Bonds, Deal, Gas, GasPrice, NoBonds};
use proptest::prelude::*;
use sdpp_ledger::Amount;

const GAS_TABLE: &str = include_str!("../../contracts/ethereum/gas.md");

/// What a call costs as the contract's own tests measured it.
fn measured(call: &str) -> u64 {
    let row = GAS_TABLE.lines().find(|line| line.starts_with(&format!("| bonds: {call} |")));
    row.unwrap().split('|').nth(2).unwrap().trim().parse().unwrap()
}

#[test]
fn gas_is_what_the_contract_costs_and_little_more() {
    let withdraw = measured("withdraw");
    let told = [
        (Gas::COIN.demand, measured("demand")),
        (Gas::COIN.pay, measured("pay, by voucher")),
        (Gas::COIN.refute, measured("refuteByItem").max(measured("refuteByExit"))),
        (Gas::COIN.complain, measured("challengeInvoiced, of 256")),
        (Gas::COIN.show, measured("show, of 256")),
        (Gas::COIN.of_dataset(8).show, measured("show, of 256")),
        (Gas::COIN.of_dataset(32).show, measured("show, of 2^32")),
        (
            Gas::COIN.conclude,
            measured("concludeDemand").max(measured("concludeChallenge")) + withdraw,
        ),
    ];
    for (told, measured) in told {
        assert!(told >= measured, "{told} is less than {measured}");
        assert!(told <= measured + measured / 10, "{told} is much more than {measured}");
    }
    let token = measured("pledge, token, the first") - measured("pledge, the first");
    assert!(Gas::COIN.in_token().demand >= measured("demand") + token);
}

fn amounts(buyer: u128, seller: u128, bonds: &Bonds) -> Bonds {
    Bonds { buyer: Amount::new(buyer), seller: Amount::new(seller), ..*bonds }
}

/// A deal whose amounts are so small that every bond below the proposed one can be tried.
fn small() -> impl Strategy<Value = Deal> {
    let costs = prop::collection::vec(1_u128..40, 6);
    (1_u128..60, 1_u128..4, 0_u128..10, costs).prop_map(|(window, windows, dearer, costs)| {
        let [cheapest_demand, pay, refute, complain, show, conclude] = costs.try_into().unwrap();
        Deal {
            window,
            credit: window * windows,
            cheapest_demand,
            demand: cheapest_demand + dearer,
            pay,
            refute,
            complain,
            show,
            conclude,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// The formula is what a search from nothing upwards finds first.
    #[test]
    fn the_proposed_bonds_are_the_smallest_that_do(deal in small()) {
        let Ok(bonds) = deal.bonds() else { return Ok(()) };
        let (buyer, seller) = (bonds.buyer.units(), bonds.seller.units());
        let buyers = (0..).find(|buyer| is_fair(&deal, &amounts(*buyer, seller, &bonds)));
        prop_assert_eq!(buyers, Some(buyer));
        let sellers = (0..).find(|seller| is_fair(&deal, &amounts(buyer, *seller, &bonds)));
        prop_assert_eq!(sellers, Some(seller));
        // And with more it stays so.
        prop_assert!(is_fair(&deal, &amounts(buyer + 1, seller + 1, &bonds)));
        prop_assert!(is_fair(&deal, &amounts(2 * buyer + 7, 3 * seller, &bonds)));
    }

    /// Every debt that is worth asking for is paid, and the next smaller one is let go.
    #[test]
    fn debts_are_paid_down_to_the_least(deal in small()) {
        let Ok(bonds) = deal.bonds() else { return Ok(()) };
        let least = bonds.least_debt.units();
        for debt in least..=deal.credit {
            let game = of_a_debt(&deal, &bonds, debt);
            prop_assert_eq!(game.temptation(), None, "of {}", debt);
            prop_assert_eq!(game.solve(), [0, 0]);
        }
        if least > 1 {
            let tempted = of_a_debt(&deal, &bonds, least - 1).temptation();
            prop_assert_eq!(tempted, Some((Mover::Seller, "lets it go")));
        }
    }

    /// A fee as high as a demand is cheap makes it pay to ask for what was paid.
    #[test]
    fn the_fee_is_the_largest_that_tempts_no_seller(deal in small()) {
        let Ok(bonds) = deal.bonds() else { return Ok(()) };
        let buyer = Amount::new(bonds.buyer.units() + 1);
        let larger = Bonds { fee: Amount::new(deal.cheapest_demand), buyer, ..bonds };
        let tempted = of_a_debt(&deal, &larger, deal.credit).temptation();
        prop_assert_eq!(tempted, Some((Mover::Seller, "asks for what it was paid")));
    }

    /// On real chains too: amounts of any size that the contract holds.
    #[test]
    fn proposed_bonds_do_at_any_price(
        window in 1_u128..1 << 80,
        windows in 1_u128..64,
        least in 0_u128..1 << 60,
        spread in 1_u128..1_000,
        token: bool,
    ) {
        let gas = if token { Gas::COIN.in_token() } else { Gas::COIN };
        let price = GasPrice { least: Amount::new(least), most: Amount::new(least * spread) };
        let [window, credit] = [window, window * windows].map(Amount::new);
        let deal = Deal::new(window, credit, gas, price).unwrap();
        match deal.bonds() {
            Ok(bonds) => {
                let (buyer, seller) = (bonds.buyer.units(), bonds.seller.units());
                prop_assert!(is_fair(&deal, &bonds));
                prop_assert!(!is_fair(&deal, &amounts(buyer - 1, seller, &bonds)));
                prop_assert!(!is_fair(&deal, &amounts(buyer, seller - 1, &bonds)));
            }
            Err(NoBonds::CreditTooSmall { credit: told, least_debt }) => {
                prop_assert_eq!(told, credit);
                prop_assert!(told < least_debt);
            }
            Err(other) => prop_assert_eq!(other, NoBonds::TooLarge),
        }
    }
}

#[test]
fn without_bonds_each_side_is_tempted() {
    let deal = Deal {
        window: 100,
        credit: 200,
        cheapest_demand: 5,
        demand: 5,
        pay: 4,
        refute: 3,
        complain: 4,
        show: 2,
        conclude: 4,
    };
    let bonds = deal.bonds().unwrap();
    assert_eq!(of_a_debt(&deal, &bonds, 200).solve(), [0, 0]);
    assert_eq!(of_an_item(&deal, &bonds).solve(), [0, 0]);
    let none = amounts(0, 0, &bonds);
    let tempted = of_a_debt(&deal, &none, 200).temptation();
    assert_eq!(tempted, Some((Mover::Seller, "takes it back")));
    assert_eq!(of_a_debt(&deal, &none, 200).solve(), [200, -200]);
    assert_eq!(of_an_item(&deal, &none).solve(), [-100, 100]);
    assert!(of_an_item(&deal, &none).temptation().is_some());
}

/// Who would gain at a turn that fair play never comes to is found too.
#[test]
fn an_empty_threat_is_seen() {
    let threat = Node::Turn {
        mover: Mover::Seller,
        fair: ("carries it out", Box::new(Node::End([-10, -1]))),
        others: vec![("does not", Node::End([5, 0]))],
    };
    let game = Node::Turn {
        mover: Mover::Buyer,
        fair: ("pays", Box::new(Node::End([0, 0]))),
        others: vec![("does not pay", threat)],
    };
    assert_eq!(game.temptation(), Some((Mover::Seller, "does not")));
    assert_eq!(game.solve(), [5, 0]);
}

#[test]
fn what_has_no_bonds_is_told() {
    let price = GasPrice { least: Amount::new(1_000_000), most: Amount::new(2_000_000) };
    let deal = |window: u128, credit: u128| {
        Deal::new(Amount::new(window), Amount::new(credit), Gas::COIN, price)
    };
    assert_eq!(deal(0, 0), Err(NoBonds::Nothing));
    assert_eq!(deal(1 << 88, 1 << 88), Err(NoBonds::TooLarge));
    let too_small = deal(10, 20).unwrap().bonds();
    let least_debt = Amount::new(97_002);
    assert_eq!(too_small, Err(NoBonds::CreditTooSmall { credit: Amount::new(20), least_debt }));
    assert!(too_small.unwrap_err().to_string().contains("97002"));
    let large = (1 << 88) - 1;
    assert_eq!(deal(large, large).unwrap().bonds(), Err(NoBonds::TooLarge));
}
