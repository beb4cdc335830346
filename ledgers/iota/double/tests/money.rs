//! Whatever is done, in whatever order: no NANO comes from nowhere or gets lost, no coin version is
//! spent twice, and what the node lists is what can be spent.

#![allow(clippy::unwrap_used)]

mod support;

use iota_sdk_types::{Address, Argument, Command, Input, ObjectReference, Version};
use proptest::prelude::*;
use sdpp_iota_double::{Double, GenesisCoin, Options};
use serde_json::{Value, json};

use support::{Payer, ask, post};

const COIN: u64 = 100_000_000;
const COIN_STORAGE: u64 = 980_400;

/// One thing that a payer can do with its coins, which are chosen by their places in its list.
#[derive(Debug, Clone)]
enum Deed {
    Pay {
        gas: usize,
        amount: u64,
    },
    Split {
        gas: usize,
        parts: usize,
        amount: u64,
    },
    Merge {
        gas: usize,
        into: usize,
        from: usize,
    },
    /// With a version of a coin that is there no more.
    PayWithSpent {
        which: usize,
    },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let place = 0..8_usize;
    // Some amounts are more than a coin has.
    let amount = 0..COIN + COIN / 4;
    let deed =
        prop_oneof![
            (place.clone(), amount.clone()).prop_map(|(gas, amount)| Deed::Pay { gas, amount }),
            (place.clone(), 1..4_usize, amount).prop_map(|(gas, parts, amount)| Deed::Split {
                gas,
                parts,
                amount
            }),
            (place.clone(), place.clone(), place.clone())
                .prop_map(|(gas, into, from)| Deed::Merge { gas, into, from }),
            place.prop_map(|which| Deed::PayWithSpent { which }),
        ];
    proptest::collection::vec(deed, 1..30)
}

/// A coin as the node lists it, with its balance.
type Listed = (ObjectReference, u64);

async fn coins(double: &Double, owner: Address) -> Vec<Listed> {
    let answer = ask(double, "iotax_getCoins", json!([owner.to_string()])).await;
    let coin = |coin: &Value| {
        let text = |name: &str| coin[name].as_str().unwrap().to_owned();
        let version = Version::from_u64(text("version").parse().unwrap());
        let id = text("coinObjectId").parse().unwrap();
        let reference = ObjectReference::new(id, version, text("digest").parse().unwrap());
        (reference, text("balance").parse().unwrap())
    };
    answer["result"]["data"].as_array().unwrap().iter().map(coin).collect()
}

/// The request for a deed on these coins, if they are there.
fn request(
    payer: &Payer,
    deed: &Deed,
    coins: &[Listed],
    spent: &[ObjectReference],
) -> Option<Value> {
    let coin = |place: usize| coins.get(place).map(|coin| coin.0);
    let me = Input::pure(&payer.address());
    let transaction = match deed {
        Deed::Pay { gas, amount } => payer.payment(coin(*gas)?, *amount),
        Deed::PayWithSpent { which } => payer.payment(*spent.iter().rev().nth(*which)?, 1),
        Deed::Split { gas, parts, amount } => {
            let each = Input::pure(&(amount / *parts as u64));
            let new = (0..*parts).map(|part| Argument::NestedResult(0, part as u16)).collect();
            let split = Command::new_split_coins(Argument::Gas, vec![Argument::Input(0); *parts]);
            let keep = Command::new_transfer_objects(new, Argument::Input(1));
            payer.transaction(vec![each, me], vec![split, keep], vec![coin(*gas)?])
        }
        Deed::Merge { gas, into, from } => {
            let inputs = [*into, *from].map(|place| coin(place).map(Input::ImmutableOrOwned));
            let [into, from] = inputs;
            let merge = Command::new_merge_coins(Argument::Input(0), vec![Argument::Input(1)]);
            payer.transaction(vec![into?, from?], vec![merge], vec![coin(*gas)?])
        }
    };
    Some(payer.sign(transaction).execute())
}

async fn play(deeds: Vec<Deed>) {
    let payer = Payer::new(7);
    let payee: Address = support::PAYEE.parse().unwrap();
    let genesis = (0..4).map(|number| GenesisCoin::new(payer.address(), COIN, number)).collect();
    let double = Double::start(Options { coins: genesis, ..Options::default() }).unwrap();
    let (mut burned, mut landed) = (0, 0);
    let mut seen: Vec<ObjectReference> = Vec::new();
    for deed in &deeds {
        let mine = coins(&double, payer.address()).await;
        let spent: Vec<_> =
            seen.iter().filter(|old| mine.iter().all(|coin| coin.0 != **old)).copied().collect();
        seen.extend(mine.iter().map(|coin| coin.0));
        let Some(request) = request(&payer, deed, &mine, &spent) else { continue };
        let (_, answer) = post(&double.url(), &request).await;
        let again = matches!(deed, Deed::PayWithSpent { .. });
        assert!(!again || answer["result"].is_null(), "{answer}");
        let used = &answer["result"]["effects"]["gasUsed"];
        if let Some(cost) = used["computationCost"].as_str() {
            burned += cost.parse::<u64>().unwrap();
            landed += 1;
        }
        let all = [coins(&double, payer.address()).await, coins(&double, payee).await].concat();
        let there: u64 = all.iter().map(|coin| coin.1).sum();
        let deposits = COIN_STORAGE * all.len() as u64;
        assert_eq!(there + deposits + burned, 4 * (COIN + COIN_STORAGE), "after {deed:?}");
    }
    let tally = double.tally();
    assert_eq!((tally.executed, tally.strange), (landed, Vec::new()));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn money_is_neither_made_nor_lost(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(deeds));
    }
}
